//! `/api/recipes`: what a run may follow.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::query::Query;
use super::respond::{Document, JSON};
use super::{App, doc};
use crate::problem::{Answer, Problem};

pub async fn list(
    State(app): State<Arc<App>>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    Query::of_document(text.as_deref(), JSON)?;
    let base = app.base(&headers);
    let folder = app.config.recipes.clone();
    let read = move || -> anyhow::Result<Vec<Value>> {
        let Some(folder) = folder else { return Ok(Vec::new()) };
        let ids = folder.ids()?.into_iter();
        Ok(ids
            .map(|id| match folder.get(&id) {
                Ok(r) => json!({
                    "id": id,
                    "collection": r.collection.id,
                    "title": r.collection.title,
                    "description": r.collection.description,
                    "variables": r.cube.variables,
                    "pattern": r.source.pattern.as_ref().map(|p| p.as_str()),
                }),
                // Where it lies is the operator's business.
                Err(e) => json!({"id": id, "error": e.root_cause().to_string()}),
            })
            .collect())
    };
    let recipes = tokio::task::spawn_blocking(read).await.map_err(Problem::internal)?;
    let recipes = recipes.map_err(Problem::internal)?;
    let links = json!([
        {"rel": "self", "type": "application/json", "href": format!("{base}/api/recipes")},
        {"rel": "runs", "type": "application/json", "href": format!("{base}/api/runs")},
    ]);
    Ok(Document::json(&json!({"recipes": recipes, "links": links}))?.answer(&headers))
}

pub fn describe() -> Value {
    doc::returning(
        doc::get("Operations", "Recipes that a run may follow", &[], "application/json"),
        "Recipes",
    )
}
