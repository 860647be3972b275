//! The versions of a table: what each did to its rows.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode, header};
use serde_json::{Value, json};

use super::App;
use super::respond::Document;
use crate::catalog::micros_rfc3339;
use crate::problem::{Answer, Problem};
use crate::store::StoreError;
use crate::tables::{Table, Version, history};

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
    let Some(found) = versions.iter().position(|v| v.id == version) else {
        let (root, table, asked) = (app.store.root().to_owned(), id.to_owned(), version.to_owned());
        let look = move || Table::open(&root, &table)?.map_or(Ok(false), |t| t.is_expired(&asked));
        let expired = tokio::task::spawn_blocking(look).await.map_err(Problem::internal)?;
        let (collection, version) = (id.to_owned(), version.to_owned());
        return Err(match expired.map_err(Problem::internal)? {
            true => StoreError::Expired { collection, version },
            false => StoreError::NoVersion { collection, version },
        }
        .into());
    };
    Ok(Document::json(&describe(&versions[found], id, found == 0, &app.base(headers)))?.answer(headers))
}

/// Makes an earlier version the latest again; the caller has been authorised.
pub async fn roll_back(app: &Arc<App>, id: &str, to: String, headers: &HeaderMap) -> Answer<Response<Body>> {
    let (catalog, root, table) = (Arc::clone(&app.catalog), app.store.root().to_owned(), id.to_owned());
    let work = move || -> anyhow::Result<Option<Version>> {
        let version = history::roll_back(&root, &table, &to)?;
        catalog.publish_table(&root, &table)?;
        Table::open(&root, &table)?.map_or(Ok(None), |t| t.version(Some(&version)))
    };
    let done = tokio::task::spawn_blocking(work).await.map_err(Problem::internal)?;
    let made = done.map_err(|e| match e.downcast::<StoreError>() {
        Ok(e) => e.into(),
        Err(e) => Problem::internal(e),
    })?;
    let v = made.ok_or_else(|| StoreError::NoCollection(id.to_owned()))?;
    let base = app.base(headers);
    Ok(Document::json(&describe(&v, id, true, &base))?
        .status(StatusCode::CREATED)
        .header(header::LOCATION, &format!("{base}/api/collections/{id}/versions/{}", v.id))
        .answer(headers))
}

fn describe(v: &Version, id: &str, latest: bool, base: &str) -> Value {
    let here = format!("{base}/api/collections/{id}");
    let removed = v.change.removed.iter();
    let mut out = json!({
        "id": v.id,
        "time": micros_rfc3339(v.time_micros),
        "message": v.message,
        "latest": latest,
        "rows": v.rows,
        "changes": {
            "kind": v.change.kind,
            "added": v.granules.iter()
                .map(|g| json!({"item": g.name, "checksum": format!("sha256:{}", g.sha256), "source": g.public_source()}))
                .collect::<Vec<_>>(),
            "removed": removed
                .map(|p| json!({"item": p.id, "checksum": format!("sha256:{}", p.sha256)}))
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
    });
    if let Some(of) = &v.change.of {
        out["changes"]["rollback_of"] = json!(of);
    }
    out
}
