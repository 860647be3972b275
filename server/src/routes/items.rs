//! `/api/collections/{id}/items`: granules as STAC items.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response};
use graticule_shared::time::{Calendar, CfTime};
use serde_json::{Value, json};

use super::query::Query;
use super::respond::{Document, GEOJSON};
use super::{App, collections, doc, stac};
use crate::catalog::items::ItemQuery;
use crate::problem::{Answer, Problem};

pub async fn list(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(text.as_deref(), &["bbox", "datetime", "limit", "token", "f"])?;
    let after = match query.get("token") {
        None => 0,
        Some(t) => t.parse().map_err(|_| {
            Problem::parameter("token", t, "expected the one of a \"next\" link of this listing")
        })?,
    };
    let wanted =
        ItemQuery { bbox: query.bbox()?, time: interval(&query)?, after, limit: query.limit(10, 10_000)? };
    let collection = collections::find(&app, &id).await?;
    let limit = wanted.limit as usize;
    let name = id.clone();
    let mut found =
        app.catalog.call_with(move |c| c.items(&name, &wanted)).await.map_err(Problem::internal)?;
    let more = found.len() > limit;
    found.truncate(limit);
    let base = app.base(&headers);
    let here = format!("{base}/api/collections/{id}");
    let mut links = vec![
        stac::link("self", &format!("{here}/items"), GEOJSON),
        stac::link("root", &format!("{base}/api"), "application/json"),
        stac::link("parent", &here, "application/json"),
        stac::link("collection", &here, "application/json"),
    ];
    if let Some(last) = found.last().filter(|_| more) {
        // Keyset paging: a page starts after an item, so none is skipped or repeated when others come.
        let mut next = format!("{here}/items?limit={limit}&token={}", last.rowid);
        for key in ["bbox", "datetime"] {
            if let Some(v) = query.get(key) {
                next += &format!("&{key}={}", stac::path_segment(v));
            }
        }
        links.push(stac::link("next", &next, GEOJSON));
    }
    let features: Vec<Value> = found.iter().map(|i| stac::item(i, &collection, &base)).collect();
    let body = json!({"type": "FeatureCollection", "numberReturned": features.len(), "features": features, "links": links});
    Ok(Document::json(&body)?.content_type(GEOJSON).answer(&headers))
}

pub async fn one(
    State(app): State<Arc<App>>,
    Path((id, item)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let collection = collections::find(&app, &id).await?;
    let (c, i) = (id.clone(), item.clone());
    let found = app.catalog.call_with(move |cat| cat.item(&c, &i)).await.map_err(Problem::internal)?;
    let found = found.ok_or_else(|| {
        Problem::not_found(format!(
            "Collection {id:?} has no item {item:?}; /api/collections/{id}/items lists those it has."
        ))
    })?;
    Ok(Document::json(&stac::item(&found, &collection, &app.base(&headers)))?
        .content_type(GEOJSON)
        .answer(&headers))
}

/// `datetime` as seconds since 1970, `..` or nothing for an open end.
pub fn interval(query: &Query) -> Result<Option<(f64, f64)>, Problem> {
    let Some(text) = query.get("datetime") else { return Ok(None) };
    let wrong = || {
        Problem::parameter(
            "datetime",
            text,
            "expected an instant such as 2020-01-31T12:00:00Z or an interval such as 2020-01-01/2020-01-31, with .. for an open end",
        )
    };
    let secs = |s: &str| {
        CfTime::parse(s, Calendar::ProlepticGregorian).map(|t| t.epoch_secs(Calendar::ProlepticGregorian))
    };
    let end = |s: &str, open: f64| match s.trim() {
        "" | ".." => Ok(open),
        s => secs(s).map_err(|_| wrong()),
    };
    let (from, to) = match text.split_once('/') {
        Some((a, b)) => (end(a, f64::NEG_INFINITY)?, end(b, f64::INFINITY)?),
        None => {
            let at = secs(text).map_err(|_| wrong())?;
            (at, at)
        }
    };
    if from > to { Err(wrong()) } else { Ok(Some((from, to))) }
}

pub fn describe_list() -> Value {
    doc::get(
        "Catalog",
        "Items: the granules a collection was made from",
        &[
            doc::id(),
            doc::bbox(),
            doc::datetime(),
            doc::limit(),
            doc::number("token", "Where the page starts, from a \"next\" link"),
        ],
        GEOJSON,
    )
}

pub fn describe_one() -> Value {
    doc::get("Catalog", "One item", &[doc::id(), doc::path("item", "Item id")], GEOJSON)
}
