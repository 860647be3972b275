//! `/api/collections/{id}/map/tiles/{tms}/tilejson.json`: TileJSON 3.0.0.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, Response};
use graticule_shared::raster::MERCATOR_LATITUDE_DEG;
use serde_json::{Map, Value, json};

use super::super::query::Query;
use super::super::respond::Document;
use super::super::{App, doc};
use super::{tile, tilesets};
use crate::pictures::select;
use crate::problem::{Answer, Problem};

pub async fn get(
    State(app): State<Arc<App>>,
    Path((id, tms)): Path<(String, String)>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(text.as_deref(), &super::with(&[]))?;
    let set = tile::find(&tms)?;
    if set.id != "WebMercatorQuad" {
        return Err(Problem::not_found(format!(
            "TileJSON knows Web Mercator alone; /api/collections/{id}/map/tiles/{tms} describes these tiles"
        )));
    }
    let collection = tilesets::drawable(&app, &id).await?;
    let opened = app.opened(&id).await?;
    // What tiles would refuse is refused here.
    let variable = select::variable(&opened, query.get("variable"))?;
    select::indices(&opened, variable, &super::choice(&query)).await?;
    let style = app.pictures.style(&opened, variable, &super::asked_style(&query)?).await?;
    let here = format!("{}/api/collections/{id}/map/tiles/{tms}", app.base(&headers));
    let bounds = collection.facts.bbox.map_or(
        [-180.0, -MERCATOR_LATITUDE_DEG, 180.0, MERCATOR_LATITUDE_DEG],
        |[west, south, east, north]| {
            // TileJSON has no box across the antimeridian.
            let (west, east) = if west > east { (-180.0, 180.0) } else { (west, east) };
            let held = |v: f64| v.clamp(-MERCATOR_LATITUDE_DEG, MERCATOR_LATITUDE_DEG);
            [west, held(south), east, held(north)]
        },
    );
    let unit = variable.units.as_ref().map_or(String::new(), |u| format!(" [{u}]"));
    let mut body = Map::from_iter([
        ("tilejson".to_owned(), json!("3.0.0")),
        ("name".to_owned(), json!(format!("{}: {}{unit}", collection.title, variable.label()))),
        ("description".to_owned(), json!(collection.description)),
        ("version".to_owned(), json!("1.0.0")),
        ("scheme".to_owned(), json!("xyz")),
        ("tiles".to_owned(), json!([query.link(&format!("{here}/{{z}}/{{y}}/{{x}}"), None)])),
        ("minzoom".to_owned(), json!(0)),
        ("maxzoom".to_owned(), json!(set.greatest)),
        ("bounds".to_owned(), json!(bounds)),
        ("graticule:variable".to_owned(), json!(variable.path)),
        ("graticule:colormap".to_owned(), json!(style.name)),
        ("graticule:clim".to_owned(), json!([style.low, style.high])),
    ]);
    if let Some(by) = collection.facts.attributes.get("institution").and_then(Value::as_str) {
        body.insert("attribution".to_owned(), json!(escaped(by)));
    }
    Ok(Document::json(&body)?
        .header(HeaderName::from_static("graticule-version"), opened.snapshot.version())
        .answer(&headers))
}

/// Viewers show an attribution as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

pub fn describe() -> Value {
    let tms = doc::path("tms", "WebMercatorQuad");
    doc::get(
        "Data",
        "TileJSON 3.0.0, whose tiles have the same parameters",
        &super::described(&[tms]),
        "application/json",
    )
}
