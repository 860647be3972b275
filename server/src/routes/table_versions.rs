//! The versions of a table: what each did to its rows.

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::App;
use super::respond::Document;
use crate::catalog::micros_rfc3339;
use crate::problem::{Answer, Problem};
use crate::store::StoreError;
use crate::tables::{Table, Version};

async fn versions(app: &App, id: &str) -> Answer<Vec<Version>> {
    let (root, table) = (app.store.root().to_owned(), id.to_owned());
    let read = move || Table::open(&root, &table)?.map_or_else(|| Ok(Vec::new()), |t| t.versions());
    tokio::task::spawn_blocking(read).await.map_err(Problem::internal)?.map_err(Problem::internal)
}

/// All of them, newest first.
pub async fn list(app: &App, id: &str, headers: &HeaderMap) -> Answer<Response<Body>> {
    let base = app.base(headers);
    let here = format!("{base}/api/collections/{id}");
    let versions = versions(app, id).await?;
    let list: Vec<Value> = versions.iter().enumerate().map(|(i, v)| describe(v, id, i == 0, &base)).collect();
    let body = json!({
        "collection": id,
        "versions": list,
        "links": [
            {"rel": "self", "type": "application/json", "href": format!("{here}/versions")},
            {"rel": "collection", "type": "application/json", "href": here},
        ],
    });
    Ok(Document::json(&body)?.answer(headers))
}

pub async fn one(app: &App, id: &str, version: &str, headers: &HeaderMap) -> Answer<Response<Body>> {
    let versions = versions(app, id).await?;
    let found = versions
        .iter()
        .position(|v| v.id == version)
        .ok_or_else(|| StoreError::NoVersion { collection: id.to_owned(), version: version.to_owned() })?;
    Ok(Document::json(&describe(&versions[found], id, found == 0, &app.base(headers)))?.answer(headers))
}

fn describe(v: &Version, id: &str, latest: bool, base: &str) -> Value {
    let here = format!("{base}/api/collections/{id}");
    json!({
        "id": v.id,
        "time": micros_rfc3339(v.time_micros),
        "message": v.message,
        "latest": latest,
        "rows": v.rows,
        "changes": {
            "kind": if v.seq == 1 { "ingest" } else { "append" },
            "added": v.granules.iter()
                .map(|g| json!({"item": g.name, "checksum": format!("sha256:{}", g.sha256), "source": g.source}))
                .collect::<Vec<_>>(),
            "rows_added": v.added,
            "rows_removed": v.removed,
        },
        "items": v.granules.iter().map(|g| &g.name).collect::<Vec<_>>(),
        "notes": v.granules.iter().flat_map(|g| &g.notes).collect::<Vec<_>>(),
        "links": [
            {"rel": "self", "type": "application/json", "href": format!("{here}/versions/{}", v.id)},
            {"rel": "collection", "type": "application/json", "href": here},
            {"rel": "data", "type": "application/json", "href": format!("{base}/api/tables/{id}@{}", v.id)},
        ],
    })
}
