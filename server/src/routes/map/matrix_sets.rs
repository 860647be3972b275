//! `/api/tileMatrixSets[/{tms}]`: the tile matrix sets that are drawn (OGC 17-083r4).

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response};
use graticule_shared::tiles::{SETS, TILE_PX, TileMatrixSet};
use serde_json::{Value, json};
use std::sync::Arc;

use super::super::query::Query;
use super::super::respond::Document;
use super::super::stac::link;
use super::super::{App, doc};
use super::tile;
use crate::problem::Answer;

const JSON: &str = "application/json";

pub async fn list(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    Query::parse(query.as_deref(), &["f"])?;
    let base = app.base(&headers);
    let all: Vec<Value> = SETS
        .iter()
        .map(|set| {
            json!({"id": set.id, "title": set.title, "uri": set.uri(), "crs": set.crs().uri(),
                "links": [link("self", &href(&base, set), JSON)]})
        })
        .collect();
    let links = [link("self", &format!("{base}/api/tileMatrixSets"), JSON)];
    Ok(Document::json(&json!({"tileMatrixSets": all, "links": links}))?.answer(&headers))
}

pub fn href(base: &str, set: &TileMatrixSet) -> String {
    format!("{base}/api/tileMatrixSets/{}", set.id)
}

pub async fn one(
    Path(tms): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    Query::parse(query.as_deref(), &["f"])?;
    let set = tile::find(&tms)?;
    let matrices: Vec<Value> = (0..=set.greatest)
        .map(|matrix| {
            let [columns, rows] = set.size(matrix);
            json!({
                "id": matrix.to_string(),
                "scaleDenominator": set.scale_denominator(matrix),
                "cellSize": set.cell_size(matrix),
                "cornerOfOrigin": "topLeft",
                "pointOfOrigin": set.origin,
                "tileWidth": TILE_PX,
                "tileHeight": TILE_PX,
                "matrixWidth": columns,
                "matrixHeight": rows,
            })
        })
        .collect();
    let mut body = json!({
        "id": set.id,
        "title": set.title,
        "uri": set.uri(),
        "crs": set.crs().uri(),
        "orderedAxes": if set.crs().is_degrees() { ["Lon", "Lat"] } else { ["E", "N"] },
        "tileMatrices": matrices,
    });
    if let Some(known) = set.well_known_scale_set {
        body["wellKnownScaleSet"] = json!(known);
    }
    Ok(Document::json(&body)?.answer(&headers))
}

pub fn describe_list() -> Value {
    doc::get("Catalog", "Tile matrix sets", &[], JSON)
}

pub fn describe_one() -> Value {
    let tms = doc::path("tms", "Tile matrix set, such as WebMercatorQuad");
    doc::get("Catalog", "A tile matrix set (OGC 17-083r4)", &[tms], JSON)
}
