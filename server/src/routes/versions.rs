//! `/api/collections/{id}/versions`: what was published, when, and what each version changed;
//! and `…/rollback`, which makes an earlier one the latest again.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::auth::{authorise, guarded};
use super::query::Query;
use super::respond::{Document, JSON};
use super::{App, doc};
use crate::catalog::micros_rfc3339;
use crate::problem::{Answer, Problem};
use crate::store::{Past, VersionInfo};
use crate::views::View;

pub async fn list(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(text.as_deref(), &["limit", "before", "f"])?;
    query.form(JSON)?;
    let limit = query.limit(100, 1000)?;
    if crate::tables::exists(app.store.root(), &id) {
        return super::table_versions::list(&app, &id, &headers).await;
    }
    let latest = app.store.latest(&id)?;
    // One more than asked for tells whether there is a next page.
    let mut versions = app.store.versions_before(&id, query.get("before"), limit as usize + 1).await?;
    let more = versions.len() > limit as usize;
    versions.truncate(limit as usize);
    let base = app.base(&headers);
    let here = format!("{base}/api/collections/{id}");
    let mut links = vec![
        json!({"rel": "self", "type": "application/json", "href": format!("{here}/versions")}),
        json!({"rel": "collection", "type": "application/json", "href": here}),
    ];
    if let Some(last) = versions.last().filter(|_| more) {
        let next = format!("{here}/versions?limit={limit}&before={}", last.id);
        links.push(json!({"rel": "next", "type": "application/json", "href": next}));
    }
    let view = app.store.view(&id)?;
    let list: Vec<Value> =
        versions.iter().map(|v| describe(v, &id, view.as_deref(), latest.as_deref(), &base)).collect();
    let body = json!({"collection": id, "versions": list, "links": links});
    Ok(Document::json(&body)?.answer(&headers))
}

pub async fn one(
    State(app): State<Arc<App>>,
    Path((id, version)): Path<(String, String)>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    Query::of_document(text.as_deref(), JSON)?;
    if crate::tables::exists(app.store.root(), &id) {
        return super::table_versions::one(&app, &id, &version, &headers).await;
    }
    let info = app.store.version_info(&id, &version).await?;
    let latest = app.store.latest(&id)?;
    let view = app.store.view(&id)?;
    let body = describe(&info, &id, view.as_deref(), latest.as_deref(), &app.base(&headers));
    Ok(Document::json(&body)?.answer(&headers))
}

/// A version as JSON.
fn describe(v: &VersionInfo, id: &str, view: Option<&View>, latest: Option<&str>, base: &str) -> Value {
    let pasts = |list: &[Past]| -> Vec<Value> {
        let one = |p: &Past| {
            let mut o = json!({"item": p.id, "checksum": format!("sha256:{}", p.sha256)});
            if let Some(by) = &p.by {
                o["by"] = json!(by);
            }
            o
        };
        list.iter().map(one).collect()
    };
    let added = v.granules.iter().map(|g| {
        let mut o =
            json!({"item": g.id(), "checksum": format!("sha256:{}", g.sha256), "source": g.public_source()});
        if let Some((first, count)) = g.steps {
            o["steps"] = json!([first, count]);
        }
        o
    });
    let dimensions: Map<String, Value> = v
        .change
        .dimensions
        .iter()
        .map(|(name, (before, after))| (name.clone(), json!({"before": before, "after": after})))
        .collect();
    let mut changes = json!({
        "kind": v.change.kind,
        "added": added.collect::<Vec<_>>(),
        "replaced": pasts(&v.change.replaced),
        "superseded": pasts(&v.change.superseded),
        "removed": pasts(&v.change.removed),
        "dimensions": dimensions,
    });
    if let Some(of) = &v.change.of {
        changes["rollback_of"] = json!(of);
    }
    let mut out = json!({
        "id": v.id,
        "time": micros_rfc3339(v.time_micros),
        "message": v.message,
        "latest": latest == Some(&*v.id),
        "changes": changes,
        "items": v.granules.iter().map(|g| g.id()).collect::<Vec<_>>(),
        "notes": v.granules.iter().flat_map(|g| &g.notes).collect::<Vec<_>>(),
        "links": [
            {"rel": "self", "type": "application/json",
                "href": format!("{base}/api/collections/{id}/versions/{}", v.id)},
            {"rel": "collection", "type": "application/json", "href": format!("{base}/api/collections/{id}")},
            {"rel": "data", "type": "application/vnd.zarr; version=3", "href": format!("{base}/zarr/{id}@{}", v.id)},
        ],
    });
    if let Some((view, below)) = view.and_then(|view| Some((view, view.version_beneath(&v.id)?))) {
        out["derived_from"] = json!({"collection": view.of, "version": below});
        let href = format!("{base}/api/collections/{}/versions/{below}", view.of);
        if let Some(links) = out["links"].as_array_mut() {
            links.push(json!({"rel": "derived_from", "type": "application/json", "href": href}));
        }
    }
    out
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RollBack {
    version: String,
}

pub async fn roll_back(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Response<Body>> {
    authorise(&app, &headers, &id).await?;
    let wanted: RollBack = serde_json::from_slice(&body).map_err(|e| {
        Problem::bad_request(format!("The body names no version: {e}; expected {{\"version\": \"ID\"}}."))
    })?;
    if crate::tables::exists(app.store.root(), &id) {
        return super::table_versions::roll_back(&app, &id, wanted.version, &headers).await;
    }
    let version = app.store.roll_back(&id, &wanted.version).await?;
    app.catalog.catch_up(&app.store, &id).await.map_err(Problem::internal)?;
    let info = app.store.version_info(&id, &version).await?;
    let base = app.base(&headers);
    Ok(Document::json(&describe(&info, &id, None, Some(&version), &base))?
        .status(StatusCode::CREATED)
        .header(header::LOCATION, &format!("{base}/api/collections/{id}/versions/{version}"))
        .answer(&headers))
}

pub fn describe_list() -> Value {
    let parameters = [doc::id(), doc::limit(), doc::query("before", "Only versions before this one", "")];
    let summary = "Immutable versions of a collection, newest first, and what each changed";
    doc::returning(doc::get("Catalog", summary, &parameters, "application/json"), "Versions")
}

pub fn describe_one() -> Value {
    let parameters = [doc::id(), doc::path("version", "Version id")];
    doc::returning(
        doc::get("Catalog", "A version, and what it changed", &parameters, "application/json"),
        "Version",
    )
}

pub fn describe_roll_back() -> Value {
    let summary = "Make the content of an earlier version the latest again, as a new version";
    let o = doc::get("Operations", summary, &[doc::id()], "application/json");
    let mut o = guarded(doc::returning(o, "Version"));
    if let Some(responses) = o["responses"].as_object_mut()
        && let Some(ok) = responses.shift_remove("200")
    {
        responses.insert("201".into(), ok);
    }
    o["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": {
        "type": "object", "required": ["version"], "additionalProperties": false,
        "properties": {"version": {"type": "string"}}}}}});
    o
}
