//! `/api/collections/{id}/locations`: places by name. Cells in a list (stations, columns of a
//! model) are listed; on any grid a geohash names the place at its middle.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method, Response};
use serde_json::{Value, json};

use super::{Target, about, borrowed, known, open, request, respond};
use crate::catalog::tally::cell;
use crate::edr;
use crate::problem::{Answer, Problem};
use crate::routes::query::Query;
use crate::routes::respond::{Document, GEOJSON};
use crate::routes::stac::{self, path_segment};
use crate::routes::{App, doc};

const MOST: u32 = 10_000;
const CELL: &str = "cell-";

pub async fn list(
    State(app): State<Arc<App>>,
    Path(target): Path<Target>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(text.as_deref(), &["limit", "bbox", "f"])?;
    query.form(GEOJSON)?;
    let limit = query.limit(1000, MOST)? as usize;
    let bbox = query.bbox()?.map(edr::Region::of_box);
    let opened = open(&app, &target).await?;
    let cells = edr::listed_cells(&opened).await?;
    let here = format!("{}/api/collections/{}/locations", app.base(&headers), target.id);
    let features: Vec<Value> = cells
        .iter()
        .filter(|c| bbox.as_ref().is_none_or(|b| b.contains(c.longitude, c.latitude)))
        .take(limit)
        .map(|c| {
            let id = format!("{CELL}{}", c.flat);
            json!({
                "type": "Feature",
                "id": id,
                "geometry": {"type": "Point", "coordinates": [c.longitude, c.latitude]},
                "properties": {"name": id, "edrqueryendpoint": format!("{here}/{id}")},
            })
        })
        .collect();
    let body = json!({
        "type": "FeatureCollection",
        "features": features,
        "links": [
            stac::link("self", &query.link(&here, None), GEOJSON),
            {"rel": "data", "href": format!("{here}/{{geohash}}"), "templated": true, "type": "application/vnd.cov+json",
                "title": "The place in the middle of a geohash, such as u173z"},
        ],
    });
    let document = Document::json(&body)?.content_type(GEOJSON);
    Ok(about(document, &app, &target, &opened, &headers).answer(&headers))
}

pub async fn one(
    State(app): State<Arc<App>>,
    Path(target): Path<Target>,
    method: Method,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let opened = open(&app, &target).await?;
    let names = known(&opened, &["method"]);
    let query = Query::parse(text.as_deref(), &borrowed(&names))?;
    let id = target.location.as_deref().unwrap_or_default();
    let nothing = || {
        let there = format!("/api/collections/{}/locations", path_segment(&target.id));
        Problem::not_found(format!(
            "there is no location {id:?}: expected a geohash such as u173z, or one of {there}"
        ))
    };
    let place = match id.strip_prefix(CELL) {
        Some(number) => {
            let flat: u64 = number.parse().map_err(|_| nothing())?;
            let cells = edr::listed_cells(&opened).await?;
            let cell = cells.iter().find(|c| c.flat == flat).ok_or_else(nothing)?;
            (cell.longitude, cell.latitude)
        }
        None => geohash(id).ok_or_else(nothing)?,
    };
    let request = request(&query, &["method"], edr::Query::Points(vec![place]))?;
    let found = respond(&app, &target, opened, &query, &request, method == Method::HEAD, &headers).await;
    found.map_err(|problem| match problem.refused_parameter() {
        // Nobody gave any.
        Some("coords") => {
            let why = problem.detail.split_once(": ").map_or("", |(_, why)| why);
            Problem::not_found(format!("location {id:?}, at {} {}: {why}", place.0, place.1))
        }
        _ => problem,
    })
}

/// Longitude and latitude of a geohash's middle.
fn geohash(text: &str) -> Option<(f64, f64)> {
    let [west, south, east, north] = cell::bounds(&text.to_ascii_lowercase()).filter(|_| !text.is_empty())?;
    Some(((west + east) / 2.0, (south + north) / 2.0))
}

pub fn describe_list() -> Value {
    doc::get(
        "Data",
        "Places by name: the cells of a list; any geohash is one too",
        &[doc::id(), doc::bbox(), doc::limit()],
        GEOJSON,
    )
}

pub fn describe_one() -> Value {
    let mut parameters =
        vec![doc::id(), doc::path("location", "cell-N of the list, or a geohash such as u173z")];
    parameters.extend(super::describe::common());
    super::describe::data("Values at a named place", &parameters)
}

#[cfg(test)]
mod tests {
    use super::geohash;

    #[test]
    fn a_geohash_is_the_middle_of_its_box() {
        let (lon, lat) = geohash("ezs42").unwrap();
        assert!((lon - -5.6).abs() < 0.03 && (lat - 42.6).abs() < 0.03, "{lon} {lat}");
        assert_eq!(geohash("a"), None);
        assert_eq!(geohash(""), None);
        assert_eq!(geohash("u173zu173zu17"), None);
    }
}
