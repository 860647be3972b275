//! What a cube's attributes say for whoever looks for it (ACDD 1.3), in STAC's terms.

use serde_json::{Map, Value, json};

fn text<'a>(a: &'a Map<String, Value>, k: &str) -> Option<&'a str> {
    a.get(k).and_then(Value::as_str).map(str::trim).filter(|s| !s.is_empty())
}

/// An SPDX identifier, or `other`, as STAC 1.1 wants it; the words stay among the attributes.
pub fn license(a: &Map<String, Value>) -> String {
    let spdx = |s: &str| {
        s.len() <= 32
            && ["CC-", "CC0", "MIT", "Apache-", "OGL-", "ODbL", "ODC-", "PDDL", "BSD-", "etalab-"]
                .iter()
                .any(|p| s.starts_with(p))
            && s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
    };
    text(a, "license").filter(|s| spdx(s)).unwrap_or("other").to_owned()
}

/// Some dozens at most.
pub fn keywords(a: &Map<String, Value>) -> Vec<&str> {
    text(a, "keywords")
        .map(|k| k.split([',', ';']).map(str::trim).filter(|s| !s.is_empty()).take(50).collect())
        .unwrap_or_default()
}

/// As STAC has them; null where there are none.
pub fn providers(a: &Map<String, Value>) -> Value {
    // As a recipe says them; another's attribute of that name may be anything.
    if let Some(list) = a.get("providers").and_then(Value::as_array)
        && !list.is_empty()
        && list.iter().all(|p| p["name"].is_string())
    {
        return json!(list);
    }
    let url = |k| text(a, k).filter(|u| u.starts_with("http://") || u.starts_with("https://"));
    let one = |name: Option<&str>, role: &str, url: Option<&str>| {
        name.map(|n| {
            let mut p = json!({"name": n, "roles": [role]});
            if let Some(u) = url {
                p["url"] = json!(u);
            }
            p
        })
    };
    let producer = text(a, "creator_name").or(text(a, "institution"));
    let list: Vec<Value> = one(producer, "producer", url("creator_url"))
        .into_iter()
        .chain(one(text(a, "publisher_name"), "host", url("publisher_url")))
        .collect();
    if list.is_empty() { Value::Null } else { json!(list) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_in_prose_is_other() {
        let a = json!({"license": "Freely available, cite us"});
        assert_eq!(license(a.as_object().unwrap()), "other");
        let a = json!({"license": "CC-BY-4.0"});
        assert_eq!(license(a.as_object().unwrap()), "CC-BY-4.0");
    }
}
