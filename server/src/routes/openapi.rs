//! `/api/openapi.json`: made from the table of routes.

use axum::body::Body;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, Response};
use serde_json::{Map, Value, json};

use super::query::Query;
use super::respond::Document;
use super::{STORED, doc, schemas, table};
use crate::problem::Answer;

pub const MEDIA_TYPE: &str = "application/vnd.oai.openapi+json;version=3.1";

pub async fn get(RawQuery(query): RawQuery, headers: HeaderMap) -> Answer<Response<Body>> {
    Query::of_document(query.as_deref(), MEDIA_TYPE)?;
    Ok(Document::json(&document())?.content_type(MEDIA_TYPE).answer(&headers))
}

pub fn document() -> Value {
    let mut paths = Map::new();
    for route in table() {
        let mut operations = Map::new();
        for (method, describe) in &route.operations {
            let mut operation = describe();
            operation["operationId"] = json!(operation_id(method, route.path));
            if let Some(of) = &route.deprecated {
                of.describe(&mut operation);
            }
            also_answers(method, &mut operation);
            operations.insert((*method).to_owned(), operation);
        }
        if !operations.is_empty() {
            paths.insert(route.path.to_owned(), operations.into());
        }
    }
    for (path, describe) in STORED {
        let mut operation = describe();
        also_answers("get", &mut operation);
        paths.insert(path.to_owned(), json!({"get": operation}));
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
            "headers": {
                "ETag": {"description": "Names these very bytes (strong)", "schema": {"type": "string"}},
                "Link": {"description": "The links of the body (RFC 8288)", "schema": {"type": "string"}},
                "Retry-After": {"description": "Seconds until there is something left to take",
                    "schema": {"type": "integer", "minimum": 1}},
                "RateLimit": {"description": "What is left (draft-ietf-httpapi-ratelimit-headers)",
                    "schema": {"type": "string"}},
                "RateLimit-Policy": {"description": "What a client may take", "schema": {"type": "string"}}
            },
            "responses": {
                "Problem": problem("What was wrong, with which value, and what would be right (RFC 9457)"),
                "NotModified": {"description": "Unchanged",
                    "headers": {"ETag": {"$ref": "#/components/headers/ETag"}}},
                "TooManyRequests": {
                    "description": "This address has taken what it may for now",
                    "headers": {
                        "Retry-After": {"$ref": "#/components/headers/Retry-After"},
                        "RateLimit": {"$ref": "#/components/headers/RateLimit"},
                        "RateLimit-Policy": {"$ref": "#/components/headers/RateLimit-Policy"}
                    },
                    "content": {"application/problem+json": {"schema": schemas::of("Problem")}}}
            },
            "schemas": schemas::all()
        }
    })
}

fn problem(description: &str) -> Value {
    json!({"description": description,
        "content": {"application/problem+json": {"schema": schemas::of("Problem")}}})
}

/// What an operation answers by what it is, so that none has to say it.
fn also_answers(method: &str, operation: &mut Value) {
    let list = operation["parameters"].as_array().cloned().unwrap_or_default();
    let takes = |place: &str| list.iter().any(|p| p["in"] == place);
    let mut more = vec![("429", json!({"$ref": "#/components/responses/TooManyRequests"}))];
    let wrong = json!({"$ref": "#/components/responses/Problem"});
    let etag = json!({"$ref": "#/components/headers/ETag"});
    if method == "get" {
        more.push(("304", json!({"$ref": "#/components/responses/NotModified"})));
        more.push(("412", wrong.clone()));
    }
    if takes("query") || !operation["requestBody"].is_null() {
        more.push(("400", wrong.clone()));
    }
    if takes("path") {
        more.push(("404", wrong.clone()));
    }
    if !operation["requestBody"].is_null() {
        more.push(("413", wrong.clone()));
    }
    if !operation["security"].is_null() {
        more.extend([("401", wrong.clone()), ("403", wrong.clone())]);
    }
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    // What never ends has no tag, and is never the same again.
    let endless = responses.get("200").is_some_and(|r| r["content"]["text/event-stream"].is_object());
    for (status, response) in more {
        if !(endless && matches!(status, "304" | "412")) {
            responses.entry(status).or_insert(response);
        }
    }
    responses.entry("default").or_insert(wrong);
    if let Some(ok) = responses.get_mut("200").filter(|_| method == "get" && !endless) {
        ok["headers"]["ETag"] = etag;
        if ok["content"].as_object().is_some_and(|c| c.keys().any(|k| k.contains("json"))) {
            ok["headers"]["Link"] = json!({"$ref": "#/components/headers/Link"});
        }
    }
    responses.sort_keys();
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
    doc::returning(doc::get("Catalog", "This document", &[], MEDIA_TYPE), "OpenApi")
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
    fn every_reference_leads_somewhere() {
        fn walk<'v>(v: &'v Value, found: &mut Vec<&'v str>) {
            match v {
                Value::Object(o) => {
                    found.extend(o.get("$ref").and_then(Value::as_str));
                    o.values().for_each(|v| walk(v, found));
                }
                Value::Array(a) => a.iter().for_each(|v| walk(v, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = Vec::new();
        walk(&document, &mut found);
        assert!(found.len() > 50);
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
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
