//! `f=PNG` of a region: the map of it in the viewer's colours, transparent beside it.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use graticule_shared::crs::Crs;
use graticule_shared::frame::Frame;
use serde_json::{Value, json};

use super::{Target, about};
use crate::edr::{self, Request};
use crate::opened::Opened;
use crate::pictures::{self, Format};
use crate::problem::{Answer, Problem};
use crate::routes::App;
use crate::routes::map::{CACHE, asked_style};
use crate::routes::query::Query;
use crate::routes::respond::Document;

pub const NAME: &str = "PNG";
/// Pixels along the longer side.
const SIDE_PX: f64 = 512.0;

pub fn is_asked(query: &Query) -> bool {
    query.given("f").is_some_and(|f| f.eq_ignore_ascii_case(NAME) || f.eq_ignore_ascii_case("image/png"))
}

/// Of the first variable that is named, else the one that the viewer begins with; at the first step
/// that is chosen of each dimension.
///
/// # Errors
/// What is asked is no region; those of pictures.
pub async fn answer(
    app: &App,
    target: &Target,
    opened: &Arc<Opened>,
    query: &Query,
    request: &Request,
    headers: &HeaderMap,
) -> Answer<Response<Body>> {
    let edr::Query::Region(region) = &request.query else {
        return Err(Problem::parameter("f", NAME, "a picture is of a region: area, cube or radius"));
    };
    let [west, south, east, north] = region.bounds();
    let (wide, high) = ((east - west).min(360.0), north - south);
    if wide < 1e-9 || high < 1e-9 {
        return Err(Problem::parameter("f", NAME, "a picture is of a region with a width and a height"));
    }
    let side = |own: f64, other: f64| (SIDE_PX * (own / own.max(other))).round().clamp(1.0, SIDE_PX) as u32;
    let frame = Frame {
        crs: Crs::CRS84,
        bbox: [west, south, west + wide, north],
        width: side(wide, high),
        height: side(high, wide),
    };
    let asked = pictures::Request {
        variable: request.parameters.as_ref().and_then(|p| p.first()).cloned(),
        choice: request.choice.clone(),
        frame,
        style: asked_style(query)?,
        format: Format::Png,
        ground: None,
        only: (!matches!(region, edr::Region::Box(_))).then(|| region.clone()),
    };
    let made = app.pictures.draw(opened, &asked).await?;
    let document = Document::new(Format::Png.media_type(), made.as_slice()).cache(CACHE);
    Ok(about(document, app, target, opened, headers).answer(headers))
}

/// Adds the format and its colours to a query's parameters.
pub fn describe(parameters: &mut Vec<Value>) {
    for p in parameters.iter_mut().filter(|p| p["name"] == "f") {
        if let Some(names) = p["schema"]["enum"].as_array_mut() {
            names.push(json!(NAME));
        }
    }
    let of = crate::routes::doc::query;
    parameters.push(of("colormap", "Of a PNG: a colour scale; by the standard name when absent", "viridis"));
    parameters.push(of(
        "clim",
        "Of a PNG: low and high end of the colour scale in the stored unit, or auto",
        "-2,32",
    ));
}
