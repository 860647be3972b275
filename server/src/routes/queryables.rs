//! `/api/queryables` and its kin: which properties of items and of collections can be filtered by, and
//! the filter of a request that is given as parameters.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response};
use serde_json::{Map, Value, json};

use super::query::Query;
use super::respond::Document;
use super::{App, collections, doc};
use crate::problem::{Answer, Problem};
use crate::search::{COLLECTIONS, Expr, ITEMS, Kind, Queryables};

pub const SCHEMA_JSON: &str = "application/schema+json";
pub const CRS84: [&str; 3] = [
    "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
    "https://www.opengis.net/def/crs/OGC/1.3/CRS84",
    "CRS84",
];
pub const LANGUAGES: [&str; 2] = ["cql2-text", "cql2-json"];

/// `filter`, `filter-lang` and `filter-crs`.
///
/// # Errors
/// The first of them that cannot be understood.
pub fn filter(query: &Query, of: &'static Queryables) -> Answer<Option<Expr>> {
    let lang = query.given("filter-lang").unwrap_or(LANGUAGES[0]);
    if !LANGUAGES.contains(&lang) {
        return Err(Problem::parameter("filter-lang", lang, "expected cql2-text or cql2-json"));
    }
    if let Some(crs) = query.given("filter-crs").filter(|c| !CRS84.contains(c)) {
        return Err(Problem::parameter("filter-crs", crs, format!("expected {}", CRS84[0])));
    }
    let Some(text) = query.get("filter") else { return Ok(None) };
    let read = if lang == "cql2-json" {
        let value = serde_json::from_str(text).map_err(|e| format!("no JSON: {e}"));
        value.and_then(|v: Value| Expr::from_json(of, &v))
    } else {
        Expr::from_text(of, text)
    };
    read.map(Some).map_err(|why| Problem::parameter("filter", text, why))
}

pub async fn of_items(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    Query::of_document(query.as_deref(), SCHEMA_JSON)?;
    let id = format!("{}/api/queryables", app.base(&headers));
    answer(&schema(&ITEMS, &id, "Queryables of all collections"), &headers)
}

pub async fn of_items_of(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    Query::of_document(query.as_deref(), SCHEMA_JSON)?;
    let c = collections::find(&app, &id).await?;
    let here = format!("{}/api/collections/{id}/queryables", app.base(&headers));
    answer(&schema(&ITEMS, &here, &format!("Queryables of {}", c.title)), &headers)
}

pub async fn of_collections(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    Query::of_document(query.as_deref(), SCHEMA_JSON)?;
    let id = format!("{}/api/collections-queryables", app.base(&headers));
    answer(&schema(&COLLECTIONS, &id, "Queryables of the search for collections"), &headers)
}

fn answer(schema: &Value, headers: &HeaderMap) -> Answer<Response<Body>> {
    Ok(Document::json(schema)?.content_type(SCHEMA_JSON).answer(headers))
}

/// As JSON Schema (OGC API Features part 3, section 6).
fn schema(of: &Queryables, id: &str, title: &str) -> Value {
    let properties: Map<String, Value> = of
        .iter()
        .map(|p| {
            let mut of = match p.kind {
                Kind::Text => json!({"type": "string"}),
                Kind::Number => json!({"type": "number"}),
                Kind::Time => json!({"type": "string", "format": "date-time"}),
                Kind::Bool => json!({"type": "boolean"}),
                Kind::Nothing => json!({}),
                Kind::Geometry => json!({"$ref": "https://geojson.org/schema/Geometry.json"}),
            };
            of["title"] = json!(p.name);
            of["description"] = json!(p.description);
            (p.name.to_owned(), of)
        })
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": id,
        "type": "object",
        "title": title,
        "properties": properties,
        // Another is null for every one.
        "additionalProperties": true,
    })
}

/// The parameters that [`filter`] reads, as OpenAPI has them.
pub fn parameters(example: &str) -> Vec<Value> {
    vec![
        doc::query("filter", "CQL2", example),
        json!({"name": "filter-lang", "in": "query", "description": "The form of the filter",
            "schema": {"type": "string", "enum": LANGUAGES, "default": LANGUAGES[0]}}),
        doc::choice("filter-crs", "Of the coordinates in the filter", &CRS84),
    ]
}

pub fn describe_of_items() -> Value {
    let summary = "What items of any collection can be filtered by";
    doc::returning(doc::get("Catalog", summary, &[], SCHEMA_JSON), "Queryables")
}

pub fn describe_of_items_of() -> Value {
    let summary = "What items of a collection can be filtered by";
    doc::returning(doc::get("Catalog", summary, &[doc::id()], SCHEMA_JSON), "Queryables")
}

pub fn describe_of_collections() -> Value {
    let summary = "What collections can be filtered by";
    doc::returning(doc::get("Catalog", summary, &[], SCHEMA_JSON), "Queryables")
}
