//! `/api/collections/{id}/map/tiles[/{tms}]`: which tiles there are (OGC API - Tiles, 20-057).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response};
use graticule_shared::tiles::{SETS, TileMatrixSet};
use serde_json::{Value, json};

use super::super::query::Query;
use super::super::respond::Document;
use super::super::stac::{CRS84, link, path_segment};
use super::super::{App, collections, doc};
use super::{TILING_SCHEME, matrix_sets, tile};
use crate::catalog::Collection;
use crate::pictures::Format;
use crate::problem::{Answer, Problem};

const JSON: &str = "application/json";

pub async fn list(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    Query::parse(text.as_deref(), &["f"])?;
    let collection = drawable(&app, &id).await?;
    let base = app.base(&headers);
    let here = format!("{base}/api/collections/{id}/map/tiles");
    let all: Vec<Value> = SETS
        .iter()
        .map(|set| {
            let mut one = summary(&collection, set);
            one["links"] = json!([
                link("self", &format!("{here}/{}", set.id), JSON),
                link(TILING_SCHEME, &matrix_sets::href(&base, set), JSON),
            ]);
            one
        })
        .collect();
    Ok(Document::json(&json!({"tilesets": all, "links": [link("self", &here, JSON)]}))?.answer(&headers))
}

pub async fn one(
    State(app): State<Arc<App>>,
    Path((id, tms)): Path<(String, String)>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(text.as_deref(), &super::with(&[]))?;
    let set = tile::find(&tms)?;
    let collection = drawable(&app, &id).await?;
    let base = app.base(&headers);
    let here = format!("{base}/api/collections/{id}/map/tiles/{}", set.id);
    let mut body = summary(&collection, set);
    let mut links = vec![
        link("self", &here, JSON),
        link(TILING_SCHEME, &matrix_sets::href(&base, set), JSON),
        link("collection", &format!("{base}/api/collections/{id}"), JSON),
    ];
    for format in Format::ALL {
        let href = format!("{here}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}");
        let href = query.without("f").link(&href, None);
        let sign = if href.contains('?') { '&' } else { '?' };
        let mut item = link("item", &format!("{href}{sign}f={}", format.name()), format.media_type());
        item["templated"] = json!(true);
        links.push(item);
    }
    if set.id == "WebMercatorQuad" {
        links.push(link(
            "describedby",
            &query.without("f").link(&format!("{here}/tilejson.json"), None),
            JSON,
        ));
    }
    if let Some([west, south, east, north]) = collection.facts.bbox {
        body["boundingBox"] = json!({"lowerLeft": [west, south], "upperRight": [east, north], "crs": CRS84});
    }
    body["layers"] = collection
        .facts
        .variables
        .iter()
        .filter(|v| v.locatable)
        .map(|v| {
            json!({"id": v.path, "title": v.label, "dataType": "coverage",
                "links": [link("item", &format!("{here}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}?variable={}",
                    path_segment(&v.path)), Format::Png.media_type())]})
        })
        .collect();
    body["links"] = json!(links);
    Ok(Document::json(&body)?.answer(&headers))
}

fn summary(collection: &Collection, set: &TileMatrixSet) -> Value {
    json!({"title": format!("{} ({})", collection.title, set.title), "dataType": "map", "crs": set.crs().uri(),
        "tileMatrixSetId": set.id, "tileMatrixSetURI": set.uri()})
}

/// The collection, if there is a picture of it.
///
/// # Errors
/// There is no such collection, or no variable of it has a place on the Earth.
pub async fn drawable(app: &App, id: &str) -> Answer<Collection> {
    let collection = collections::find(app, id).await?;
    if collection.facts.table.is_some() {
        return Err(super::super::tables::is_a_table(id));
    }
    if !collection.facts.variables.iter().any(|v| v.locatable) {
        return Err(Problem::not_found(format!(
            "{id} has no variable whose cells have a latitude and a longitude, of which a picture is drawn"
        )));
    }
    Ok(collection)
}

pub fn describe_list() -> Value {
    doc::get("Data", "Sets of tiles of a collection", &[doc::id()], JSON)
}

pub fn describe_one() -> Value {
    let tms = doc::path("tms", "Tile matrix set, such as WebMercatorQuad");
    doc::get("Data", "A set of tiles of a collection", &super::described(&[tms]), JSON)
}
