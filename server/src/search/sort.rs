//! The order of an answer, and where a page of it begins.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::properties::{ITEMS, Kind, Property};

/// Fields that one request may sort by.
const MAX_KEYS: usize = 8;

#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub property: &'static Property,
    pub descending: bool,
}

impl Key {
    /// `+datetime,-id`.
    ///
    /// # Errors
    /// A property that is not there, or cannot be sorted by.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        let keys = text.split(',').map(str::trim).filter(|k| !k.is_empty()).map(|k| {
            // A plus of a URL that was not encoded is a space, which is trimmed.
            let (name, descending) = match k.strip_prefix('-') {
                Some(name) => (name, true),
                None => (k.strip_prefix('+').unwrap_or(k), false),
            };
            Self::of(name.trim(), descending)
        });
        let keys: Vec<Self> = keys.collect::<Result<_, _>>()?;
        if keys.is_empty() {
            Err("expected properties such as -datetime,id".to_owned())
        } else {
            Self::checked(keys)
        }
    }

    /// `[{"field": "datetime", "direction": "desc"}]`.
    ///
    /// # Errors
    /// As [`Key::list`].
    pub fn objects(value: &Value) -> Result<Vec<Self>, String> {
        let wrong =
            || "expected a list such as [{\"field\": \"datetime\", \"direction\": \"desc\"}]".to_owned();
        let list = value.as_array().ok_or_else(wrong)?;
        let keys = list.iter().map(|k| {
            let descending = match k.get("direction").map(Value::as_str) {
                None | Some(Some("asc")) => false,
                Some(Some("desc")) => true,
                Some(_) => return Err("a direction is asc or desc".to_owned()),
            };
            Self::of(k["field"].as_str().ok_or_else(wrong)?, descending)
        });
        Self::checked(keys.collect::<Result<_, _>>()?)
    }

    fn of(name: &str, descending: bool) -> Result<Self, String> {
        let property = ITEMS.known(name)?;
        if property.kind == Kind::Geometry {
            return Err("a geometry has no order".to_owned());
        }
        Ok(Self { property, descending })
    }

    fn checked(keys: Vec<Self>) -> Result<Vec<Self>, String> {
        if keys.len() > MAX_KEYS { Err(format!("more than {MAX_KEYS} fields")) } else { Ok(keys) }
    }

    /// What is sorted by: never NULL, so that a page can begin after any of it.
    pub fn sql(&self) -> String {
        match self.property.name {
            "start_datetime" | "end_datetime" => format!("coalesce({}, -1e300)", self.property.sql),
            _ => self.property.sql.to_owned(),
        }
    }
}

/// The last item of a page: its place in the order, and its row.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub values: Vec<Value>,
    pub row: i64,
}

impl Token {
    pub fn to_text(&self) -> String {
        // What is sorted by nothing is paged by a plain number.
        if self.values.is_empty() {
            return self.row.to_string();
        }
        URL_SAFE_NO_PAD.encode(json!([self.values, self.row]).to_string())
    }

    /// # Errors
    /// A token that no page of this order ended with.
    pub fn from_text(text: &str, sort: &[Key]) -> Result<Self, String> {
        let wrong = || "expected the one of a \"next\" link of this listing".to_owned();
        if sort.is_empty() {
            let row = text.parse().ok().filter(|n: &i64| *n >= 0);
            return Ok(Self { values: Vec::new(), row: row.ok_or_else(wrong)? });
        }
        let bytes = Some(text).filter(|t| t.len() < 8192).and_then(|t| URL_SAFE_NO_PAD.decode(t).ok());
        let parsed: Value = bytes.and_then(|b| serde_json::from_slice(&b).ok()).ok_or_else(wrong)?;
        let (values, row) = (parsed[0].as_array().ok_or_else(wrong)?, parsed[1].as_i64().ok_or_else(wrong)?);
        let fits = values.len() == sort.len()
            && values.iter().zip(sort).all(|(v, k)| match k.property.kind {
                Kind::Text => v.is_string(),
                _ => v.is_number(),
            });
        if !fits { Err(wrong()) } else { Ok(Self { values: values.clone(), row }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_from_both_forms() {
        let a = Key::list("-properties.datetime, id").unwrap();
        let b = Key::objects(
            &json!([{"field": "datetime", "direction": "desc"}, {"field": "id", "direction": "asc"}]),
        );
        assert_eq!(Ok(&a), b.as_ref());
        assert!(a[0].descending && !a[1].descending);
        assert!(Key::list("geometry").is_err() && Key::list("nothing").is_err());
        assert!(Key::objects(&json!([{"field": "id", "direction": "up"}])).is_err());
    }

    #[test]
    fn a_token_says_where_a_page_began_and_no_other_is_taken() {
        let sort = Key::list("-datetime,id").unwrap();
        let token = Token { values: vec![json!(12.5), json!("a")], row: 7 };
        assert_eq!(Token::from_text(&token.to_text(), &sort), Ok(token.clone()));
        assert_eq!(Token::from_text("12", &[]), Ok(Token { values: vec![], row: 12 }));
        for bad in ["", "x", "%%%", &token.to_text()] {
            assert!(Token::from_text(bad, &Key::list("id").unwrap()).is_err(), "{bad}");
        }
        assert!(Token::from_text("-1", &[]).is_err());
    }
}
