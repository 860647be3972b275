//! `/api/collections` and `/api/collections/{id}`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, Response};
use serde_json::{Value, json};

use super::query::Query;
use super::respond::Document;
use super::{App, doc, stac};
use crate::catalog::Collection;
use crate::problem::{Answer, Problem};
use crate::reference;
use crate::store::StoreError;

pub async fn list(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(query.as_deref(), &["bbox", "datetime", "limit", "f"])?;
    let wanted = query.bbox()?;
    let time = super::items::interval(&query)?;
    let limit = query.limit(1000, 10_000)? as usize;
    let base = app.base(&headers);
    let all = app.catalog.call_with(|c| c.collections()).await.map_err(Problem::internal)?;
    let overlaps = |c: &Collection| {
        let space = match (wanted, c.facts.bbox) {
            (Some(w), Some(b)) => w[1] <= b[3] && w[3] >= b[1] && crosses((w[0], w[2]), (b[0], b[2])),
            _ => true,
        };
        let when = match (time, &c.facts.time) {
            (Some((from, to)), Some(t)) => t.start_secs <= to && t.end_secs >= from,
            _ => true,
        };
        space && when
    };
    let matched: Vec<&Collection> = all.iter().filter(|c| overlaps(c)).collect();
    let mut shown = Vec::with_capacity(matched.len().min(limit));
    for c in matched.iter().take(limit) {
        shown.push(described(&app, c, &base).await);
    }
    let here = format!("{base}/api/collections");
    let body = json!({
        "collections": shown,
        "numberMatched": matched.len(),
        "numberReturned": shown.len(),
        "links": [
            stac::link("self", &here, "application/json"),
            stac::link("root", &format!("{base}/api"), "application/json"),
            stac::link("parent", &format!("{base}/api"), "application/json"),
        ],
    });
    Ok(Document::json(&body)?.answer(&headers))
}

/// True where two ranges of longitude share a meridian; either may cross the antimeridian.
fn crosses(a: (f64, f64), b: (f64, f64)) -> bool {
    let parts = |(w, e): (f64, f64)| if w <= e { vec![(w, e)] } else { vec![(w, 180.0), (-180.0, e)] };
    parts(a).iter().any(|p| parts(b).iter().any(|q| p.0 <= q.1 && p.1 >= q.0))
}

pub async fn one(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    Query::parse(query.as_deref(), &["f"])?;
    let collection = find(&app, &id).await?;
    let body = described(&app, &collection, &app.base(&headers)).await;
    Ok(Document::json(&body)?
        .header(HeaderName::from_static("graticule-version"), &collection.version)
        .answer(&headers))
}

/// As STAC, with whether the files that it refers to are as they were.
async fn described(app: &App, c: &Collection, base: &str) -> Value {
    let mut body = stac::collection(c, base);
    body["graticule:status"] = if c.facts.references {
        match status(app, c).await {
            Ok(found) => found.to_json(),
            // One cube that cannot be opened does not take the list of all with it.
            Err(e) => json!({"state": "broken", "detail": e.to_string()}),
        }
    } else {
        reference::Status::Intact.to_json()
    };
    body
}

async fn status(app: &App, c: &Collection) -> Result<reference::Status, StoreError> {
    let snapshot = app.store.open_version(&c.id, Some(&c.version)).await?;
    reference::status(&snapshot).await
}

/// The collection, or the problem that there is none.
pub async fn find(app: &App, id: &str) -> Answer<Collection> {
    let wanted = id.to_owned();
    let found = app.catalog.call_with(move |c| c.collection(&wanted)).await.map_err(Problem::internal)?;
    found.ok_or_else(|| StoreError::NoCollection(id.to_owned()).into())
}

pub fn describe_list() -> Value {
    doc::get("Catalog", "All collections", &[doc::bbox(), doc::datetime(), doc::limit()], "application/json")
}

pub fn describe_one() -> Value {
    doc::get("Catalog", "A collection, as STAC and as EDR", &[doc::id()], "application/json")
}

#[cfg(test)]
mod tests {
    use super::crosses;

    #[test]
    fn ranges_meet_across_the_antimeridian() {
        assert!(crosses((170.0, -170.0), (-175.0, -160.0)));
        assert!(!crosses((170.0, -170.0), (0.0, 10.0)));
        assert!(crosses((0.0, 10.0), (5.0, 6.0)));
    }
}
