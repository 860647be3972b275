//! A grid in its own coordinates, as the STAC extension "projection" v2 has it.

use serde_json::{Map, Value, json};

use crate::catalog::Facts;

pub const EXTENSION: &str = "https://stac-extensions.github.io/projection/v2.0.0/schema.json";

/// What is known; nothing of a grid that has no coordinates of its own.
pub fn members(f: &Facts) -> Map<String, Value> {
    let mut out = Map::new();
    let Some(p) = &f.projection else { return out };
    out.insert("proj:code".into(), json!(p.code));
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            out.insert(key.to_owned(), value);
        }
    };
    put("proj:wkt2", json!(p.wkt2));
    put("proj:projjson", json!(p.projjson));
    put("proj:shape", json!(p.shape));
    put("proj:transform", json!(p.transform));
    put("proj:bbox", json!(p.bbox));
    out
}
