//! The members of an item that an answer has (STAC API, extension "fields").

use serde_json::{Map, Value};

use super::properties::cut;

/// Members that make an item one, whatever is asked for.
const ALWAYS: [&str; 9] = [
    "type",
    "stac_version",
    "id",
    "collection",
    "geometry",
    "bbox",
    "properties.datetime",
    "links",
    "assets",
];
/// Members that one request may include, or leave out.
pub const MAX_FIELDS: usize = 100;

/// The same of a collection.
const OF_COLLECTIONS: [&str; 8] =
    ["type", "stac_version", "id", "description", "license", "extent", "links", "title"];

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields {
    of_collections: bool,
    include: Vec<Vec<String>>,
    exclude: Vec<Vec<String>>,
}

fn path(name: &str) -> Vec<String> {
    // Properties have names with colons, never with dots.
    name.split('.').map(str::to_owned).collect()
}

impl Fields {
    /// `id,properties.datetime,-geometry`.
    ///
    /// # Errors
    /// Too many.
    pub fn list(text: &str) -> Result<Self, String> {
        let mut out = Self::default();
        for f in text.split(',').map(str::trim).filter(|f| !f.is_empty()) {
            match f.strip_prefix('-') {
                Some(f) => out.exclude.push(path(f)),
                None => out.include.push(path(f.strip_prefix('+').unwrap_or(f))),
            }
        }
        out.checked()
    }

    /// [`Fields::list`] of collections.
    ///
    /// # Errors
    /// Too many.
    pub fn of_collections(text: &str) -> Result<Self, String> {
        Ok(Self { of_collections: true, ..Self::list(text)? })
    }

    /// `{"include": [..], "exclude": [..]}`.
    ///
    /// # Errors
    /// Another shape, too many.
    pub fn object(value: &Value) -> Result<Self, String> {
        let wrong = || "expected {\"include\": [names], \"exclude\": [names]}".to_owned();
        let names = |key: &str| -> Result<Vec<Vec<String>>, String> {
            match value.get(key) {
                None | Some(Value::Null) => Ok(Vec::new()),
                Some(Value::Array(list)) => {
                    list.iter().map(|v| v.as_str().map(path).ok_or_else(wrong)).collect()
                }
                Some(_) => Err(wrong()),
            }
        };
        let known = value.as_object().ok_or_else(wrong)?;
        if let Some(odd) = known.keys().find(|k| !matches!(k.as_str(), "include" | "exclude")) {
            return Err(format!("{:?} is neither include nor exclude", cut(odd)));
        }
        Self { include: names("include")?, exclude: names("exclude")?, ..Self::default() }.checked()
    }

    fn checked(self) -> Result<Self, String> {
        if self.include.len().max(self.exclude.len()) > MAX_FIELDS {
            return Err(format!("more than {MAX_FIELDS} fields"));
        }
        Ok(self)
    }

    /// The item with what was asked for.
    pub fn apply(&self, item: Value) -> Value {
        let mut out = if self.include.is_empty() {
            item
        } else {
            let mut out = Value::Object(Map::new());
            let always: &[&str] = if self.of_collections { &OF_COLLECTIONS } else { &ALWAYS };
            let all = always.iter().map(|n| path(n));
            for p in all.filter(|p| !self.exclude.contains(p)).chain(self.include.iter().cloned()) {
                copy(&item, &mut out, &p);
            }
            out
        };
        for p in &self.exclude {
            remove(&mut out, p);
        }
        out
    }
}

fn copy(from: &Value, to: &mut Value, path: &[String]) {
    let [first, rest @ ..] = path else { return };
    let (Some(value), Some(target)) = (from.get(first), to.as_object_mut()) else { return };
    if rest.is_empty() {
        target.insert(first.clone(), value.clone());
    } else if value.is_object() {
        copy(value, target.entry(first.clone()).or_insert_with(|| Value::Object(Map::new())), rest);
    }
}

fn remove(from: &mut Value, path: &[String]) {
    match path {
        [last] => {
            if let Some(o) = from.as_object_mut() {
                o.shift_remove(last);
            }
        }
        [first, rest @ ..] => {
            if let Some(inner) = from.get_mut(first) {
                remove(inner, rest);
            }
        }
        [] => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_asked_for_is_there_and_what_is_not_wanted_is_not() {
        let item = json!({"type": "Feature", "id": "a", "geometry": {}, "stac_extensions": [],
            "properties": {"datetime": null, "version": "v", "graticule:bytes": 3}, "links": []});
        let fields = Fields::list("properties.version,-geometry").unwrap();
        assert_eq!(
            fields.apply(item.clone()),
            json!({"type": "Feature", "id": "a", "properties": {"datetime": null, "version": "v"}, "links": []})
        );
        let fields = Fields::object(&json!({"exclude": ["properties.graticule:bytes", "links"]})).unwrap();
        assert_eq!(
            fields.apply(item.clone()),
            json!({"type": "Feature", "id": "a", "geometry": {}, "stac_extensions": [],
                "properties": {"datetime": null, "version": "v"}})
        );
        assert_eq!(Fields::default().apply(item.clone()), item);
        assert!(Fields::object(&json!({"includes": []})).is_err() && Fields::object(&json!([])).is_err());
    }
}
