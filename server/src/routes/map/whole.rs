//! `/api/collections/{id}/map`: a whole picture (OGC API - Maps, 20-058).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, Method, Response};
use graticule_shared::crs::Crs;
use graticule_shared::frame::Frame;
use serde_json::{Value, json};

use super::super::edr::{COST, cited, is_estimate};
use super::super::query::Query;
use super::super::respond::Document;
use super::super::{App, doc};
use super::{cost, tilesets};
use crate::pictures::{MAX_SIDE_PX, Request, style};
use crate::problem::{Answer, Problem};

/// Pixels along the longer side where no size is given.
const DEFAULT_PX: u32 = 1024;
/// Places along a side by which a box of degrees is found on another plane.
const AROUND: u32 = 64;

pub async fn get(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    method: Method,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let own = ["bbox", "bbox-crs", "crs", "width", "height", "bgcolor", "transparent", "estimate"];
    let query = Query::parse(text.as_deref(), &super::with(&own))?;
    let estimated = is_estimate(&query)?;
    let format = super::format(&query, &headers)?;
    let crs = crs_of(&query, "crs")?.unwrap_or(Crs::CRS84);
    let collection = tilesets::drawable(&app, &id).await?;
    let bbox = bbox(&query, &crs, collection.facts.bbox)?;
    let [width, height] = size(&query, bbox)?;
    let request = Request {
        variable: query.get("variable").map(str::to_owned),
        choice: super::choice(&query),
        frame: Frame { crs, bbox, width, height },
        style: super::asked_style(&query)?,
        format,
        ground: ground(&query)?,
        only: None,
    };
    let opened = app.opened(&id).await?;
    let asked = crs_of(&query, "bbox-crs")?.unwrap_or(Crs::CRS84);
    let [west, south, east, north] = request.frame.bbox;
    let crs = &request.frame.crs;
    let said = if crs.latitude_first() { [south, west, north, east] } else { [west, south, east, north] };
    let about = |document: Document| {
        cited(document.cache(super::CACHE), &app, &id, &opened, &headers)
            .header(HeaderName::from_static("content-crs"), &format!("<{}>", crs.uri()))
            .header(HeaderName::from_static("content-bbox"), &said.map(|v| v.to_string()).join(","))
    };
    if estimated || method == Method::HEAD {
        let weighed = app.pictures.weigh(&opened, &request).await?;
        if estimated {
            let document = cost::estimate(&app, &weighed).await?;
            return Ok(cited(document, &app, &id, &opened, &headers).answer(&headers));
        }
        if weighed.is_too_much() {
            return Err(cost::refusal(&app, &weighed, &asked).await?);
        }
        let document = Document::new(format.media_type(), Vec::new());
        return Ok(about(document.header(COST, &weighed.cost().header())).unmade());
    }
    match app.pictures.drawn(&opened, &request).await? {
        Ok(made) => Ok(about(Document::new(format.media_type(), made.as_slice())).answer(&headers)),
        Err(weighed) => Err(cost::refusal(&app, &weighed, &asked).await?),
    }
}

fn crs_of(query: &Query, name: &str) -> Answer<Option<Crs>> {
    let Some(text) = query.get(name) else { return Ok(None) };
    let known = || Crs::names().collect::<Vec<_>>().join(", ");
    let wrong = || Problem::parameter(name, text, format!("expected one of {}", known()));
    Crs::parse(text).map(Some).ok_or_else(wrong)
}

/// In units of `crs`: as asked in that system or in degrees, else around the collection.
fn bbox(query: &Query, crs: &Crs, whole: Option<[f64; 4]>) -> Answer<[f64; 4]> {
    let given = query.bbox()?;
    let of = crs_of(query, "bbox-crs")?.unwrap_or(Crs::CRS84);
    let wrong = |why: &str| Problem::parameter("bbox", query.get("bbox").unwrap_or_default(), why);
    let asked = match given {
        Some([south, west, north, east]) if of.latitude_first() => Some([west, south, east, north]),
        other => other,
    };
    if !of.is_degrees() && of != *crs {
        let why = format!("expected CRS84, EPSG:4326, or the system of the picture, {}", crs.name());
        return Err(Problem::parameter("bbox-crs", of.name(), why));
    }
    let mut found = asked.or(whole).unwrap_or([-180.0, -90.0, 180.0, 90.0]);
    if asked.is_none() || of.is_degrees() {
        // A box whose west is greater than its east lies across the antimeridian.
        if found[0] > found[2] {
            found[2] += 360.0;
        }
        if found[1] < -90.0 || found[3] > 90.0 {
            return Err(wrong("latitudes lie between -90 and 90"));
        }
        if found[2] - found[0] > 360.0 + 1e-9 || found.iter().any(|v| v.abs() > 720.0) {
            return Err(wrong("a box is at most 360 degrees wide"));
        }
        if !crs.is_degrees() {
            found = around(crs, found).ok_or_else(|| wrong("it lies beside what this crs shows"))?;
        }
    }
    let [west, south, east, north] = found;
    // What a cell's width would be rounded away in is no picture.
    let sound = found.iter().all(|v| v.abs() < 1e9) && east - west > 1e-9 && north - south > 1e-9;
    if sound {
        Ok(found)
    } else {
        Err(wrong("expected a box with a width and a height: west,south,east,north"))
    }
}

/// The box on a plane around a box of degrees; `None` where none of it is on the plane.
fn around(crs: &Crs, [west, south, east, north]: [f64; 4]) -> Option<[f64; 4]> {
    let at = |a: f64, b: f64, i: u32| a + (b - a) * f64::from(i) / f64::from(AROUND);
    let points = (0..=AROUND).flat_map(|i| (0..=AROUND).map(move |j| (i, j)));
    let points = points.filter_map(|(i, j)| crs.forward(at(west, east, i), at(south, north, j)));
    // A stereographic plane has no end: the far hemisphere is left out.
    let points = points.filter(|(x, y)| crs.is_separable() || x.hypot(*y) < 2.2e7);
    points.fold(None, |found: Option<[f64; 4]>, (x, y)| {
        let [a, b, c, d] = found.unwrap_or([x, y, x, y]);
        Some([a.min(x), b.min(y), c.max(x), d.max(y)])
    })
}

fn size(query: &Query, [west, south, east, north]: [f64; 4]) -> Answer<[u32; 2]> {
    let side = |name: &str| -> Answer<Option<u32>> {
        let Some(text) = query.get(name) else { return Ok(None) };
        let number = text.parse::<u32>().ok().filter(|n| (1..=MAX_SIDE_PX).contains(n));
        let why = || format!("expected a whole number of pixels from 1 to {MAX_SIDE_PX}");
        number.map(Some).ok_or_else(|| Problem::parameter(name, text, why()))
    };
    let ratio = (east - west) / (north - south);
    let held = |px: f64| (px.round() as u32).clamp(1, MAX_SIDE_PX);
    Ok(match (side("width")?, side("height")?) {
        (Some(width), Some(height)) => [width, height],
        (Some(width), None) => [width, held(f64::from(width) / ratio)],
        (None, Some(height)) => [held(f64::from(height) * ratio), height],
        (None, None) if ratio >= 1.0 => [DEFAULT_PX, held(f64::from(DEFAULT_PX) / ratio)],
        (None, None) => [held(f64::from(DEFAULT_PX) * ratio), DEFAULT_PX],
    })
}

/// The colour behind the data; none unless one is asked for.
fn ground(query: &Query) -> Answer<Option<[u8; 3]>> {
    let transparent = match query.get("transparent").map(str::to_ascii_lowercase).as_deref() {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(other) => return Err(Problem::parameter("transparent", other, "expected true or false")),
    };
    let colour = query
        .get("bgcolor")
        .map(|text| {
            let why = "expected a colour such as 0xFFFFFF";
            style::colour(text).ok_or_else(|| Problem::parameter("bgcolor", text, why))
        })
        .transpose()?;
    Ok(match (transparent, colour) {
        (Some(true), _) | (None, None) => None,
        (_, Some(colour)) => Some(colour),
        (Some(false), None) => Some([255; 3]),
    })
}

pub fn describe() -> Value {
    let more = [
        doc::bbox(),
        doc::query(
            "bbox-crs",
            "CRS84, EPSG:4326 (latitude first) or the same as crs; CRS84 when absent",
            "CRS84",
        ),
        doc::query(
            "crs",
            "CRS84, EPSG:4326, EPSG:3857, or a polar one: EPSG:3413, 3995, 3031, …",
            "EPSG:3857",
        ),
        doc::pixels("width", "Pixels; by the height when absent", MAX_SIDE_PX),
        doc::pixels("height", "Pixels; by the width when absent", MAX_SIDE_PX),
        doc::query("bgcolor", "A colour behind the data; none when absent", "0xFFFFFF"),
        doc::choice(
            "transparent",
            "false: white behind the data, unless bgcolor says which",
            &["true", "false"],
        ),
        json!({"name": "estimate", "in": "query", "description": "true: only what the picture would cost",
            "schema": {"type": "boolean"}}),
    ];
    let what = "Of the box asked for, else of the whole collection. HEAD and `estimate=true` say what it would cost; \
        more than is drawn at once is a 413 whose `split` lists boxes that each work, with their `sizes`.";
    let mut operation = super::describe("A picture of any size", what, &more);
    // What an estimate is.
    operation["responses"]["200"]["content"]["application/json"] = json!({"schema": {"type": "object"}});
    operation["responses"]["413"] = json!({"$ref": "#/components/responses/Problem"});
    operation
}
