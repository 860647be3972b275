//! `/api/collections/{id}/items`: granules as STAC items.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response};
use serde_json::Value;

use super::query::Query;
use super::respond::{Document, GEOJSON};
use super::{App, Deprecation, collections, doc, search, stac};
use crate::problem::{Answer, Problem};
use crate::search::{Search, instants};

pub async fn list(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(text.as_deref(), &search::PARAMETERS)?;
    query.form(GEOJSON)?;
    let (mut wanted, fields) = search::of_query(&query, instants::dates)?;
    collections::find(&app, &id).await?;
    of_path(&mut wanted, &id, "/api/search")?;
    let base = app.base(&headers);
    let here = format!("{base}/api/collections/{id}");
    let items = format!("{here}/items");
    let links = vec![
        stac::link("self", &query.link(&items, None), GEOJSON),
        stac::link("root", &format!("{base}/api"), "application/json"),
        stac::link("parent", &here, "application/json"),
        stac::link("collection", &here, "application/json"),
    ];
    let next = |token: &str| stac::link("next", &query.link(&items, Some(token)), GEOJSON);
    search::answer(&app, wanted, &fields, links, &next, &headers).await
}

/// The collection that the path names, and no other.
///
/// # Errors
/// Another is asked for; `elsewhere` has several.
pub fn of_path(wanted: &mut Search, id: &str, elsewhere: &str) -> Answer<()> {
    match &wanted.collections {
        // Of none is nothing, wherever it is asked for.
        Some(said) if said.is_empty() => Ok(()),
        // Clients repeat what the path says.
        Some(said) if said != &[id] => Err(Problem::parameter(
            "collections",
            &said.join(","),
            format!("the path says {id}; {elsewhere} has several"),
        )),
        _ => {
            wanted.collections = Some(vec![id.to_owned()]);
            Ok(())
        }
    }
}

pub async fn one(
    State(app): State<Arc<App>>,
    Path((id, item)): Path<(String, String)>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    Query::of_document(text.as_deref(), GEOJSON)?;
    let collection = collections::find(&app, &id).await?;
    let (c, i) = (id.clone(), item.clone());
    let found = app.catalog.call_with(move |cat| cat.item(&c, &i)).await.map_err(Problem::internal)?;
    let found = found.ok_or_else(|| {
        Problem::not_found(format!(
            "Collection {id:?} has no item {item:?}; /api/collections/{id}/items lists those it has."
        ))
    })?;
    let mut document =
        Document::json(&stac::item(&found, &collection, &app.base(&headers)))?.content_type(GEOJSON);
    if let Some(by) = found.superseded_by {
        let (c, by) = (id.clone(), by);
        let next = app.catalog.call_with(move |cat| cat.item(&c, &by)).await.map_err(Problem::internal)?;
        let since = next.and_then(|n| instants::instant(&n.published)).unwrap_or_default();
        // What takes its place is among its links already.
        document = document.deprecated(&Deprecation {
            since_secs: since as u64,
            sunset_secs: None,
            successor: None,
        });
    }
    Ok(document.answer(&headers))
}

/// `datetime` as seconds since 1970, `..` or nothing for an open end.
pub fn interval(query: &Query) -> Result<Option<(f64, f64)>, Problem> {
    let Some(text) = query.given("datetime") else { return Ok(None) };
    instants::dates(text).map(Some).map_err(|why| Problem::parameter("datetime", text, why))
}

pub fn describe_list() -> Value {
    let mut all = vec![doc::id(), doc::bbox(), doc::datetime(), doc::limit()];
    all.extend(search::parameters());
    doc::returning(
        doc::get("Catalog", "Items: the granules a collection was made from", &all, GEOJSON),
        "Items",
    )
}

pub fn describe_one() -> Value {
    let parameters = [doc::id(), doc::path("item", "Item id")];
    doc::returning(doc::get("Catalog", "One item", &parameters, GEOJSON), "Item")
}
