//! `/api/openapi.json`: made from the table of routes.

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use serde_json::{Map, Value, json};

use super::respond::Document;
use super::{STORED, doc, table};
use crate::problem::Answer;

pub const MEDIA_TYPE: &str = "application/vnd.oai.openapi+json;version=3.1";

pub async fn get(headers: HeaderMap) -> Answer<Response<Body>> {
    Ok(Document::json(&document())?.content_type(MEDIA_TYPE).answer(&headers))
}

pub fn document() -> Value {
    let mut paths = Map::new();
    for route in table() {
        let mut operations = Map::new();
        for (method, describe) in &route.operations {
            let mut operation = describe();
            if let Some(o) = operation.as_object_mut() {
                o.insert("operationId".into(), json!(operation_id(method, route.path)));
            }
            operations.insert((*method).to_owned(), operation);
        }
        if !operations.is_empty() {
            paths.insert(route.path.to_owned(), operations.into());
        }
    }
    for (path, describe) in STORED {
        paths.insert(path.to_owned(), json!({"get": describe()}));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Graticule",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Grids of the earth as versioned Zarr: catalog, stored chunks, values at places, operations.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"}
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": "Catalog"}, {"name": "Data"}, {"name": "Events"}, {"name": "Operations"}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer",
                "description": "From `graticule token issue`"}},
            "responses": {"Problem": {
                "description": "What was wrong, with which value, and what would be right (RFC 9457)",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}},
            "schemas": {"Problem": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string", "format": "uri-reference"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "instance": {"type": "string", "format": "uri-reference"}
                }}}
        }
    })
}

/// `GET /api/collections/{id}` becomes `getApiCollectionsId`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    words.fold(method.to_owned(), |mut id, word| {
        let mut letters = word.chars();
        id.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        id.extend(letters);
        id
    })
}

pub fn describe() -> Value {
    doc::get("Catalog", "This document", &[], MEDIA_TYPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_under_api_is_described_and_every_parameter_of_a_path_declared() {
        let document = document();
        for route in table().iter().filter(|r| r.path.starts_with("/api") || r.path.ends_with('z')) {
            let described = &document["paths"][route.path];
            assert!(described.is_object(), "{}", route.path);
            for (_, operation) in described.as_object().unwrap() {
                assert!(operation["responses"].is_object(), "{}", route.path);
                let declared = operation["parameters"].as_array().cloned().unwrap_or_default();
                for name in route.path.split('{').skip(1).filter_map(|s| s.split('}').next()) {
                    assert!(
                        declared.iter().any(|p| p["name"] == name && p["in"] == "path"),
                        "{} {name}",
                        route.path
                    );
                }
            }
        }
    }

    #[test]
    fn operation_ids_are_unique() {
        let document = document();
        let ids: Vec<String> = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|p| p.as_object().unwrap().values())
            .map(|o| o["operationId"].to_string())
            .collect();
        let unique: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(ids.len(), unique.len());
    }
}
