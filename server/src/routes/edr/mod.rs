//! `/api/collections/{id}/{position,area,cube,radius,trajectory}` and the same of a version, under
//! `/instances/{version}` (OGC API EDR 1.1): by GET, or by POST with the same members in a body.

pub mod describe;
pub mod instances;
pub mod later;
pub mod locations;
pub mod picture;
pub mod statistics;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{AcquireError, SemaphorePermit};

use super::App;
use super::query::Query;
use super::respond::Document;
use crate::citation;
use crate::edr::formats::{Format, Source};
use crate::edr::region::Region;
use crate::edr::shape::{self, Shape};
use crate::edr::{self, Choice, Cost, Most, Plan, Request};
use crate::opened::Opened;
use crate::problem::{Answer, Kind, Problem};

/// Memory that all answers being made may take together.
pub const BUDGET_KIB: usize = 128 << 10;
/// Plans of regions made at once: each may hold as much as an answer before it is weighed.
pub const PLANS: usize = 2;
/// Answers that are fetched later, made at once: readers who wait have the rest of what there is.
pub const MADE_LATER: usize = 1;
/// How long a reader waits for a turn to plan, and for a share of that memory.
const PATIENCE: Duration = Duration::from_secs(30);
/// Mean radius of the Earth (IUGG).
const RADIUS_KM: f64 = 6_371.008_8;

/// For whom an answer is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// Someone who waits for it, and would rather hear that it takes long.
    Reader,
    /// Nobody: it is fetched later, and waits for as long as it must.
    Job,
}

/// A query type of EDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Position,
    Area,
    Cube,
    Radius,
    Trajectory,
}

impl What {
    pub const ALL: [Self; 5] = [Self::Position, Self::Area, Self::Cube, Self::Radius, Self::Trajectory];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Position => "position",
            Self::Area => "area",
            Self::Cube => "cube",
            Self::Radius => "radius",
            Self::Trajectory => "trajectory",
        }
    }

    pub const fn path(self) -> &'static str {
        match self {
            Self::Position => "/api/collections/{id}/position",
            Self::Area => "/api/collections/{id}/area",
            Self::Cube => "/api/collections/{id}/cube",
            Self::Radius => "/api/collections/{id}/radius",
            Self::Trajectory => "/api/collections/{id}/trajectory",
        }
    }

    pub const fn instance_path(self) -> &'static str {
        match self {
            Self::Position => "/api/collections/{id}/instances/{version}/position",
            Self::Area => "/api/collections/{id}/instances/{version}/area",
            Self::Cube => "/api/collections/{id}/instances/{version}/cube",
            Self::Radius => "/api/collections/{id}/instances/{version}/radius",
            Self::Trajectory => "/api/collections/{id}/instances/{version}/trajectory",
        }
    }

    /// A `coords` (of a cube, a `bbox`) that can be asked for.
    pub const fn example(self) -> &'static str {
        match self {
            Self::Position | Self::Radius => "POINT(4.9 52.4)",
            Self::Area => "POLYGON((-10 40,10 40,10 60,-10 60,-10 40))",
            Self::Cube => "-10,40,10,60",
            Self::Trajectory => "LINESTRING(-30 0,-20 10,-10 10)",
        }
    }

    /// True where what is asked for has an area, and a picture.
    pub const fn is_region(self) -> bool {
        matches!(self, Self::Area | Self::Cube | Self::Radius)
    }

    /// Parameters besides those of all queries.
    const fn own(self) -> &'static [&'static str] {
        match self {
            Self::Position => &["coords", "method"],
            Self::Area => &["coords", "colormap", "clim"],
            Self::Trajectory => &["coords"],
            Self::Cube => &["bbox", "colormap", "clim"],
            Self::Radius => &["coords", "within", "within-units", "bbox", "colormap", "clim"],
        }
    }
}

/// Parameters of every query.
const COMMON: [&str; 7] = ["datetime", "z", "parameter-name", "crs", "f", "estimate", "dim:*"];

/// Where a query is asked.
#[derive(Debug, Deserialize)]
pub struct Target {
    pub id: String,
    pub version: Option<String>,
    pub location: Option<String>,
}

pub async fn get(
    what: What,
    State(app): State<Arc<App>>,
    Path(target): Path<Target>,
    method: Method,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let opened = open(&app, &target).await?;
    let names = known(&opened, what.own());
    let query = Query::parse(text.as_deref(), &borrowed(&names))?;
    answer(&app, &target, what, opened, query, method == Method::HEAD, &headers).await
}

pub async fn post(
    what: What,
    State(app): State<Arc<App>>,
    Path(target): Path<Target>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Response<Body>> {
    let opened = open(&app, &target).await?;
    let names = known(&opened, what.own());
    let names = borrowed(&names);
    let query = Query::parse(text.as_deref(), &names)?.and(Query::of_body(&headers, &body, &names)?)?;
    answer(&app, &target, what, opened, query, false, &headers).await
}

/// The version that is asked, the latest where none is named.
pub async fn open(app: &App, target: &Target) -> Answer<Arc<Opened>> {
    match &target.version {
        None => app.opened(&target.id).await,
        Some(version) => app.opened_at(&target.id, version).await,
    }
}

/// Parameters of a query of this collection: its dimensions are among them by their names.
pub fn known(opened: &Opened, own: &[&str]) -> Vec<String> {
    let dims = edr::readable(opened).flat_map(|v| v.leading()).map(|d| d.name.clone());
    let mut out: Vec<String> = own.iter().chain(&COMMON).map(|n| (*n).to_owned()).collect();
    for name in dims {
        if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}

pub fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// What all queries have in common.
pub fn request(query: &Query, own: &[&str], asked: edr::Query) -> Answer<Request> {
    if let Some(crs) = query.given("crs")
        && !["CRS84", "OGC:CRS84", super::stac::CRS84].contains(&crs)
    {
        return Err(Problem::parameter("crs", crs, "expected CRS84, the one this collection is queried in"));
    }
    let list = |l: &str| l.split(',').map(|p| p.trim().to_owned()).collect();
    let mut dims: Vec<(String, String)> =
        query.starting("dim:").map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    // A dimension by its plain name, where that is no parameter's.
    dims.extend(
        query
            .pairs()
            .filter(|(k, _)| !own.contains(k) && !COMMON.contains(k) && !k.starts_with("dim:"))
            .map(|(k, v)| (k.to_owned(), v.to_owned())),
    );
    let method = match query.given("method") {
        None | Some("nearest") => edr::Method::Nearest,
        Some("bilinear") => edr::Method::Bilinear,
        Some(other) => return Err(Problem::parameter("method", other, "expected nearest or bilinear")),
    };
    let choice = Choice {
        datetime: query.given("datetime").map(str::to_owned),
        z: query.given("z").map(str::to_owned),
        dims,
    };
    Ok(Request { query: asked, choice, parameters: query.given("parameter-name").map(list), method })
}

/// The places that are asked for.
fn asked(what: What, query: &Query) -> Answer<edr::Query> {
    if what == What::Cube {
        let bbox = boxed(query)?.ok_or_else(|| {
            Problem::parameter(
                "bbox",
                "",
                "it is required: west,south,east,north in degrees, such as -10,40,10,60",
            )
        })?;
        return Ok(edr::Query::Region(Region::of_box(bbox)));
    }
    let coords = query.get("coords").ok_or_else(|| {
        let example = what.example();
        Problem::parameter("coords", "", format!("it is required: WKT such as {example}, longitude first"))
    })?;
    let wrong = |why: String| Problem::parameter("coords", coords, why);
    let shape = shape::parse(coords, what.example()).map_err(wrong)?;
    let places = |points: Vec<shape::Vertex>| points.iter().map(|v| (v.longitude, v.latitude)).collect();
    match (what, shape) {
        (What::Position, Shape::Points(points)) => Ok(edr::Query::Points(places(points))),
        (What::Radius, Shape::Points(points)) if points.len() <= 100 => {
            Ok(edr::Query::Region(Region::of_circles(places(points), within(query)?, boxed(query)?)))
        }
        (What::Area, Shape::Polygons(polygons)) => Ok(edr::Query::Region(Region::Polygons(polygons))),
        (What::Trajectory, Shape::Lines(lines)) => Ok(edr::Query::Path(lines)),
        _ => {
            Err(wrong(format!("{} is asked with another geometry, such as {}", what.name(), what.example())))
        }
    }
}

/// # Errors
/// Of a box that is not on the Earth.
fn boxed(query: &Query) -> Answer<Option<[f64; 4]>> {
    let bbox = query.bbox()?;
    if bbox.is_some_and(|[w, s, e, n]| s < -90.0 || n > 90.0 || w.abs() > 540.0 || e.abs() > 540.0) {
        return Err(Problem::parameter(
            "bbox",
            query.get("bbox").unwrap_or_default(),
            "expected west,south,east,north: longitudes within -540 and 540, latitudes within -90 and 90",
        ));
    }
    Ok(bbox)
}

/// The angle that a distance spans at the Earth's centre.
fn within(query: &Query) -> Answer<f64> {
    let text = query.get("within").ok_or_else(|| {
        Problem::parameter("within", "", "it is required: a distance such as 100 with within-units=km")
    })?;
    let distance: f64 =
        text.trim().parse().ok().filter(|d: &f64| d.is_finite() && *d > 0.0).ok_or_else(|| {
            Problem::parameter(
                "within",
                text,
                "expected a number above 0, in the unit that within-units says (km, m, mi or nmi)",
            )
        })?;
    let units = query.given("within-units").unwrap_or("km");
    let km = match units.to_ascii_lowercase().as_str() {
        "km" | "kilometre" | "kilometres" | "kilometer" | "kilometers" => 1.0,
        "m" | "metre" | "metres" | "meter" | "meters" => 1e-3,
        "mi" | "mile" | "miles" => 1.609_344,
        "nmi" | "nm" | "nautical-mile" | "nautical-miles" => 1.852,
        _ => return Err(Problem::parameter("within-units", units, "expected km, m, mi or nmi")),
    };
    let angle = (distance * km / RADIUS_KM).to_degrees();
    if angle > 180.0 {
        return Err(Problem::parameter(
            "within",
            text,
            "expected at most half way around the Earth, 20015 km",
        ));
    }
    Ok(angle)
}

async fn answer(
    app: &Arc<App>,
    target: &Target,
    what: What,
    opened: Arc<Opened>,
    query: Query,
    head: bool,
    headers: &HeaderMap,
) -> Answer<Response<Body>> {
    let request = request(&query, what.own(), asked(what, &query)?)?;
    // A picture costs the same however much is behind it, so there is nothing to estimate or to put off.
    if picture::is_asked(&query) && matches!(query.given("estimate"), None | Some("false")) {
        return picture::answer(app, target, &opened, &query, &request, headers).await;
    }
    if later::is_preferred(headers) && !head && query.get("estimate").is_none() {
        let accept = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok());
        let format = Format::negotiated(query.given("f"), accept)?;
        // What cannot be answered is refused now.
        let plan = planned(app, &opened, &request, Asker::Reader).await?.0;
        plan.check(&opened, Most::values(format.most_values())).await?;
        let mut pairs: Vec<(String, String)> =
            query.pairs().filter(|(k, _)| *k != "f").map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        pairs.push(("f".to_owned(), format.name().to_owned()));
        return later::accept(app, target, &opened, what.name(), pairs, None, headers).await;
    }
    respond(app, target, opened, &query, &request, head, headers).await
}

pub const COST: HeaderName = HeaderName::from_static("graticule-cost");

/// The bytes of an answer.
pub async fn made(
    app: &App,
    opened: &Arc<Opened>,
    request: &Request,
    format: Format,
    href: &str,
    asker: Asker,
) -> Answer<Vec<u8>> {
    let (plan, turn) = planned(app, opened, request, asker).await?;
    let plan = plan.check(opened, Most::values(format.most_values())).await?;
    let _share = share(app, plan.cost.values, 40, asker).await?;
    drop(turn);
    let source = Source { attributes: citation::attributes(opened, href) };
    let coverages = plan.read(opened).await?;
    let written = tokio::task::spawn_blocking(move || format.write(&coverages, &source));
    written.await.map_err(Problem::internal)?
}

/// Plans, weighs, reads and writes.
pub async fn respond(
    app: &App,
    target: &Target,
    opened: Arc<Opened>,
    query: &Query,
    request: &Request,
    head: bool,
    headers: &HeaderMap,
) -> Answer<Response<Body>> {
    let accept = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok());
    let format = Format::negotiated(
        query.given("f").filter(|_| !(picture::is_asked(query) && query.get("estimate").is_some())),
        accept,
    )?;
    if head || query.get("estimate").is_some() {
        let cost = planned(app, &opened, request, Asker::Reader).await?.0.cost;
        if let Some(estimate) = estimate(query, &cost, format.most_values())? {
            return Ok(about(estimate, app, target, &opened, headers).answer(headers));
        }
        if head {
            let document = named(Document::new(format.media_type(), Vec::new()), target, format);
            let document = document.header(COST, &cost.header());
            return Ok(about(document, app, target, &opened, headers).unmade());
        }
    }
    let href = format!("{}/api/collections/{}", app.base(headers), target.id);
    let body = made(app, &opened, request, format, &href, Asker::Reader).await?;
    let document = named(Document::new(format.media_type(), body), target, format);
    Ok(about(document, app, target, &opened, headers).answer(headers))
}

/// What is no text is offered as a file.
fn named(document: Document, target: &Target, format: Format) -> Document {
    if !matches!(format, Format::NetCdf | Format::Parquet | Format::Arrow) {
        return document;
    }
    let name = format!("attachment; filename=\"{}.{}\"", target.id, format.extension());
    document.header(header::CONTENT_DISPOSITION, &name)
}

/// What an answer would cost, where that is all that is asked: by `estimate=true`.
pub fn estimate(query: &Query, cost: &Cost, most: u64) -> Answer<Option<Document>> {
    if !is_estimate(query)? {
        return Ok(None);
    }
    let mut body = cost.json();
    body["allowed"] = json!(!cost.is_too_much(most));
    body["parts"] = json!(cost.parts(most));
    let document = Document::json(&body)?.header(COST, &cost.header());
    Ok(Some(document))
}

/// True where what an answer would cost is all that is asked.
pub fn is_estimate(query: &Query) -> Answer<bool> {
    match query.given("estimate") {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(Problem::parameter("estimate", other, "expected true or false")),
    }
}

/// What is to be read, and of a region or a path the turn in which that was found: it ends once
/// the plan has its share of memory. A job's ends here, since it may wait for that share for long
/// and there are only [`MADE_LATER`] of them.
///
/// # Errors
/// Those of [`Plan::new`]; of a reader, no turn for half a minute.
pub async fn planned<'a>(
    app: &'a App,
    opened: &Arc<Opened>,
    request: &Request,
    asker: Asker,
) -> Answer<(Plan, Option<SemaphorePermit<'a>>)> {
    let turn = match &request.query {
        edr::Query::Points(_) => None,
        edr::Query::Region(_) | edr::Query::Path(_) => Some(granted(app.planning.acquire(), asker).await?),
    };
    let plan = Plan::new(opened, request).await?;
    Ok((plan, turn.filter(|_| asker == Asker::Reader)))
}

/// Waits until there is memory for an answer of so many values.
///
/// # Errors
/// Of a reader: there was none for half a minute.
pub async fn share(app: &App, values: u64, bytes_each: u64, asker: Asker) -> Answer<SemaphorePermit<'_>> {
    let kib = (values.saturating_mul(bytes_each) >> 10).clamp(64, BUDGET_KIB as u64);
    let permits = u32::try_from(kib).unwrap_or(u32::MAX);
    granted(app.budget.acquire_many(permits), asker).await
}

async fn granted<'a>(
    permit: impl Future<Output = Result<SemaphorePermit<'a>, AcquireError>>,
    asker: Asker,
) -> Answer<SemaphorePermit<'a>> {
    let permit = match asker {
        Asker::Reader => tokio::time::timeout(PATIENCE, permit).await.ok(),
        Asker::Job => Some(permit.await),
    };
    match permit {
        Some(Ok(permit)) => Ok(permit),
        _ => Err(Problem::new(
            Kind::Unavailable,
            "Other answers take all the memory set aside for them; try again in a moment.",
        )
        .header(header::RETRY_AFTER, HeaderValue::from_static("5"))),
    }
}

/// The version that it came from, how to cite it, and how long it stays true.
pub fn about(
    document: Document,
    app: &App,
    target: &Target,
    opened: &Opened,
    headers: &HeaderMap,
) -> Document {
    let document = cited(document, app, &target.id, opened, headers);
    if target.version.is_some() { document.cache("public, max-age=31536000, immutable") } else { document }
}

/// The version that it came from, how to cite it, and its SHA-256.
pub fn cited(document: Document, app: &App, id: &str, opened: &Opened, headers: &HeaderMap) -> Document {
    let attributes = &opened.hierarchy.attributes;
    let href = format!("{}/api/collections/{id}", app.base(headers));
    let title = opened.cube.title.clone().unwrap_or_else(|| id.to_owned());
    let said = citation::headers(attributes, &title, opened.snapshot.version(), &href);
    said.into_iter().fold(document.digested(), |document, (name, value)| document.header(name, &value))
}

/// A member of a body as the text of a query.
pub fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        // What is no list of words or numbers stays as it is, and is refused as what it is.
        Value::Array(list) => {
            let words = list.iter().map(|v| if v.is_array() { None } else { as_text(v) });
            Some(words.collect::<Option<Vec<_>>>().map_or_else(|| value.to_string(), |l| l.join(",")))
        }
        Value::Object(_) => Some(value.to_string()),
        Value::Null => None,
    }
}
