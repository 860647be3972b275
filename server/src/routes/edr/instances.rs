//! `/api/collections/{id}/instances`: the versions of a collection as EDR's instances, each of
//! which answers the queries as the collection does and never changes.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, Response};
use serde_json::{Value, json};

use super::{Target, open};
use crate::catalog::{Collection, Facts, micros_rfc3339};
use crate::opened::Opened;
use crate::problem::{Answer, Problem};
use crate::routes::query::Query;
use crate::routes::respond::Document;
use crate::routes::{App, doc, stac};

/// Each is opened to say what it holds.
const MOST: u32 = 100;

pub async fn list(
    State(app): State<Arc<App>>,
    Path(target): Path<Target>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(text.as_deref(), &["limit", "before", "f"])?;
    let limit = query.limit(10, MOST)? as usize;
    // A table has versions and no instances: none of EDR's queries is asked of it.
    app.opened(&target.id).await?;
    let mut versions = app.store.versions_before(&target.id, query.get("before"), limit + 1).await?;
    let more = versions.len() > limit;
    versions.truncate(limit);
    let base = app.base(&headers);
    let here = format!("{base}/api/collections/{}/instances", target.id);
    let mut instances = Vec::new();
    for version in &versions {
        let opened = app.opened_at(&target.id, &version.id).await?;
        instances.push(instance(&opened, &base).await?);
    }
    let mut links = vec![
        stac::link("self", &here, "application/json"),
        stac::link("collection", &format!("{base}/api/collections/{}", target.id), "application/json"),
    ];
    if let Some(last) = versions.last().filter(|_| more) {
        let next = format!("{here}?limit={limit}&before={}", last.id);
        links.push(stac::link("next", &next, "application/json"));
    }
    Ok(Document::json(&json!({"instances": instances, "links": links}))?.answer(&headers))
}

pub async fn one(
    State(app): State<Arc<App>>,
    Path(target): Path<Target>,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let opened = open(&app, &target).await?;
    let body = instance(&opened, &app.base(&headers)).await?;
    Ok(Document::json(&body)?
        .cache("public, max-age=31536000, immutable")
        .header(HeaderName::from_static("graticule-version"), opened.snapshot.version())
        .answer(&headers))
}

async fn instance(opened: &Arc<Opened>, base: &str) -> Answer<Value> {
    let facts = Facts::derive(opened).await.map_err(Problem::internal)?;
    let (id, version) = (opened.snapshot.collection(), opened.snapshot.version());
    let as_collection = Collection {
        id: id.to_owned(),
        title: facts.title.clone().unwrap_or_else(|| id.to_owned()),
        description: opened.snapshot.message().to_owned(),
        version: version.to_owned(),
        updated: micros_rfc3339(opened.snapshot.published_at_micros()),
        facts,
    };
    Ok(stac::instance(&as_collection, base))
}

pub fn describe_list() -> Value {
    doc::get(
        "Data",
        "Versions of a collection as EDR instances, the newest first",
        &[
            doc::id(),
            doc::limit(),
            doc::query("before", "Versions before this one, from a \"next\" link", ""),
        ],
        "application/json",
    )
}

pub fn describe_one() -> Value {
    doc::get(
        "Data",
        "A version as an EDR instance",
        &[doc::id(), doc::path("version", "Version id")],
        "application/json",
    )
}
