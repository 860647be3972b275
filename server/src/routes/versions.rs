//! `/api/collections/{id}/versions`: what was published, when, and by which message.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::respond::Document;
use super::{App, doc};
use crate::catalog::micros_rfc3339;
use crate::problem::Answer;

pub async fn get(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let base = app.base(&headers);
    let versions = app.store.versions(&id).await?;
    let list: Vec<Value> = versions
        .iter()
        .enumerate()
        .map(|(i, v)| {
            json!({
                "id": v.id,
                "time": micros_rfc3339(v.time_micros),
                "message": v.message,
                "latest": i == 0,
                "items": v.granules.iter().map(|g| &g.name).collect::<Vec<_>>(),
                "notes": v.granules.iter().flat_map(|g| &g.notes).collect::<Vec<_>>(),
                "links": [{"rel": "data", "type": "application/vnd.zarr; version=3",
                    "href": format!("{base}/zarr/{id}@{}", v.id)}],
            })
        })
        .collect();
    let body = json!({
        "collection": id,
        "versions": list,
        "links": [
            {"rel": "self", "type": "application/json", "href": format!("{base}/api/collections/{id}/versions")},
            {"rel": "collection", "type": "application/json", "href": format!("{base}/api/collections/{id}")},
        ],
    });
    Ok(Document::json(&body)?.answer(&headers))
}

pub fn describe() -> Value {
    doc::get("Catalog", "Immutable versions of a collection, newest first", &[doc::id()], "application/json")
}
