//! `/api/collections/{id}/browse`: a collection's items by year, month and day, and by region:
//! STAC catalogs, each with how many items its parts have and how far they reach.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response};
use serde_json::{Map, Value, json};

use super::query::Query;
use super::respond::{Document, GEOJSON, JSON};
use super::{App, collections, doc, stac};
use crate::catalog::tally::cell;
use crate::catalog::tally::period::Period;
use crate::catalog::tally::read::Counted;
use crate::catalog::{Collection, micros_rfc3339};
use crate::problem::{Answer, Problem};

/// One catalog.
struct Shelf<'a> {
    collection: &'a Collection,
    base: String,
    /// Below `browse`.
    path: String,
    /// `2020-06`, or a geohash.
    name: String,
    /// Path of what it is a part of; of the first one none.
    above: Option<String>,
    all: Counted,
    /// What the items of it are asked for with.
    only: String,
    parts: Vec<Part>,
}

struct Part {
    name: String,
    path: String,
    counted: Counted,
    only: String,
}

impl Shelf<'_> {
    fn here(&self) -> String {
        format!("{}/api/collections/{}", self.base, self.collection.id)
    }

    fn href(&self, path: &str) -> String {
        let browse = format!("{}/browse", self.here());
        if path.is_empty() { browse } else { format!("{browse}/{path}") }
    }

    fn items(&self, only: &str) -> String {
        let items = format!("{}/items", self.here());
        if only.is_empty() { items } else { format!("{items}?{only}") }
    }

    fn to_json(&self, kind: &str) -> Value {
        let title = &self.collection.title;
        let title =
            if self.name.is_empty() { format!("{title}, {kind}") } else { format!("{title}, {}", self.name) };
        let id = match self.path.as_str() {
            "" => format!("{}-browse", self.collection.id),
            path => format!("{}-{}", self.collection.id, path.replace('/', "-")),
        };
        let above = match &self.above {
            Some(path) => self.href(path),
            None => self.here(),
        };
        let mut links = vec![
            stac::link("self", &self.href(&self.path), JSON),
            stac::link("root", &format!("{}/api", self.base), JSON),
            stac::link("parent", &above, JSON),
            stac::link("collection", &self.here(), JSON),
            stac::link("items", &self.items(&self.only), GEOJSON),
        ];
        if self.path.is_empty() {
            let mut regions = stac::link("child", &self.href("regions"), JSON);
            regions["title"] = json!("By region");
            links.push(regions);
        }
        let mut parts = Vec::with_capacity(self.parts.len());
        for p in &self.parts {
            let mut link = stac::link("child", &self.href(&p.path), JSON);
            link["title"] = json!(p.name);
            links.push(link);
            let mut part = json!({"name": p.name, "href": self.href(&p.path), "items": self.items(&p.only)});
            counted(&mut part, &p.counted);
            parts.push(part);
        }
        let mut out = json!({
            "type": "Catalog",
            "stac_version": "1.1.0",
            "id": id,
            "title": title,
            "description": format!("{} items of {}", self.all.count, self.collection.title),
        });
        counted(&mut out, &self.all);
        out["graticule:parts"] = parts.into();
        out["links"] = links.into();
        out
    }
}

fn counted(out: &mut Value, c: &Counted) {
    out["graticule:count"] = json!(c.count);
    let instant = |secs: f64| micros_rfc3339((secs * 1e6) as i64);
    let interval = c.span.time().map_or(json!([null, null]), |(a, b)| json!([instant(a), instant(b)]));
    let mut extent = Map::new();
    // Without a footprint there is none to tell.
    if let Some(b) = c.span.bbox() {
        extent.insert("spatial".into(), json!({"bbox": [b]}));
    }
    extent.insert("temporal".into(), json!({"interval": [interval]}));
    out["extent"] = extent.into();
}

fn path_of(p: Period) -> String {
    p.name().replace('-', "/")
}

/// `datetime` of the items of a period.
fn only(p: Period) -> String {
    // To the last instant that RFC 3339 is written with here.
    let day = |d: chrono::NaiveDate| d.format("%Y-%m-%d");
    p.days().map_or_else(String::new, |(a, b)| {
        format!("datetime={}T00:00:00Z/{}T23:59:59.999999Z", day(a), day(b))
    })
}

async fn period(
    app: &App,
    id: &str,
    said: [Option<&str>; 3],
    query: Option<&str>,
    headers: &HeaderMap,
) -> Answer<Response<Body>> {
    Query::of_document(query, JSON)?;
    let collection = collections::find(app, id).await?;
    let [year, month, day] = said;
    let of = Period::parse(year, month, day).map_err(|why| {
        let said: Vec<&str> = said.into_iter().flatten().collect();
        Problem::parameter("period", &said.join("/"), format!("{why} (YYYY, YYYY/MM or YYYY/MM/DD)"))
    })?;
    let asked = id.to_owned();
    let (all, parts) =
        app.catalog.call_with(move |c| c.in_period(&asked, of)).await.map_err(Problem::internal)?;
    let name = of.name();
    if all.count == 0 && of != Period::All {
        return Err(Problem::not_found(format!(
            "Collection {id:?} has no items in {name}; /api/collections/{id}/browse lists the years that have some."
        )));
    }
    let part =
        |(p, counted): (Period, Counted)| Part { name: p.name(), path: path_of(p), counted, only: only(p) };
    let above = of.above();
    let shelf = Shelf {
        collection: &collection,
        base: app.base(headers),
        path: path_of(of),
        name,
        above: (of != Period::All).then(|| above.first().map_or_else(String::new, |p| path_of(*p))),
        all,
        only: only(of),
        parts: parts.into_iter().map(part).collect(),
    };
    Ok(Document::json(&shelf.to_json("by time"))?.answer(headers))
}

async fn cells(
    app: &App,
    id: &str,
    hash: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Answer<Response<Body>> {
    Query::of_document(query, JSON)?;
    let collection = collections::find(app, id).await?;
    if hash.len() > cell::FINEST || cell::bounds(hash).is_none() {
        let expected = format!("expected a geohash of 1 to {} characters, such as u or u0", cell::FINEST);
        return Err(Problem::parameter("geohash", hash, expected));
    }
    let (asked, of) = (id.to_owned(), hash.to_owned());
    let found = app.catalog.call_with(move |c| c.in_cell(&asked, &of)).await.map_err(Problem::internal)?;
    if found.all.count == 0 && !hash.is_empty() {
        return Err(Problem::not_found(format!(
            "Collection {id:?} has no items in {hash}; /api/collections/{id}/browse/regions lists the regions that have some."
        )));
    }
    let path = |hash: &str| if hash.is_empty() { "regions".to_owned() } else { format!("regions/{hash}") };
    let only = |hash: &str| match cell::bounds(hash).filter(|_| !hash.is_empty()) {
        Some([w, s, e, n]) => format!("bbox={w},{s},{e},{n}"),
        None => String::new(),
    };
    let part = |(h, counted): (String, Counted)| Part { path: path(&h), counted, only: only(&h), name: h };
    let above = if hash.len() > 1 { hash.get(..1).map(path) } else { Some(path("")) };
    let shelf = Shelf {
        collection: &collection,
        base: app.base(headers),
        path: path(hash),
        name: hash.to_owned(),
        above: if hash.is_empty() { Some(String::new()) } else { above },
        all: found.all,
        only: only(hash),
        parts: found.parts.into_iter().map(part).collect(),
    };
    let mut body = shelf.to_json("by region");
    body["graticule:region"] = json!(cell::bounds(hash));
    if let Some(Value::Array(parts)) = body.get_mut("graticule:parts") {
        for p in parts {
            p["region"] = json!(p["name"].as_str().and_then(cell::bounds));
        }
    }
    if hash.is_empty() {
        body["graticule:without_place"] = json!(found.nowhere);
    }
    Ok(Document::json(&body)?.answer(headers))
}

pub async fn all(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    period(&app, &id, [None; 3], query.as_deref(), &headers).await
}

pub async fn year(
    State(app): State<Arc<App>>,
    Path((id, y)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    period(&app, &id, [Some(&y), None, None], query.as_deref(), &headers).await
}

pub async fn month(
    State(app): State<Arc<App>>,
    Path((id, y, m)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    period(&app, &id, [Some(&y), Some(&m), None], query.as_deref(), &headers).await
}

pub async fn day(
    State(app): State<Arc<App>>,
    Path((id, y, m, d)): Path<(String, String, String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    period(&app, &id, [Some(&y), Some(&m), Some(&d)], query.as_deref(), &headers).await
}

pub async fn regions(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    cells(&app, &id, "", query.as_deref(), &headers).await
}

pub async fn region(
    State(app): State<Arc<App>>,
    Path((id, hash)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    cells(&app, &id, &hash, query.as_deref(), &headers).await
}

fn described(summary: &str, parts: &[(&str, &str, &str)]) -> Value {
    let mut parameters = vec![doc::id()];
    for (name, description, pattern) in parts {
        let mut p = doc::path(name, description);
        p["schema"]["pattern"] = json!(pattern);
        parameters.push(p);
    }
    doc::get("Catalog", summary, &parameters, JSON)
}

const YEAR: (&str, &str, &str) = ("year", "Four digits", r"^(000[1-9]|00[1-9]\d|0[1-9]\d{2}|[1-9]\d{3})$");
const MONTH: (&str, &str, &str) = ("month", "01 to 12", r"^(0[1-9]|1[0-2])$");
const DAY: (&str, &str, &str) = ("day", "01 to 31", r"^(0[1-9]|[12]\d|3[01])$");

pub fn describe_all() -> Value {
    described("The years that a collection has items of, with counts and extents", &[])
}

pub fn describe_year() -> Value {
    described("The months of a year, with counts and extents", &[YEAR])
}

pub fn describe_month() -> Value {
    described("The days of a month, with counts and extents", &[YEAR, MONTH])
}

pub fn describe_day() -> Value {
    described("A day: count and extent, and where its items are", &[YEAR, MONTH, DAY])
}

pub fn describe_regions() -> Value {
    described("The regions that a collection has items of, with counts and extents", &[])
}

pub fn describe_region() -> Value {
    let hash = ("geohash", "One or two characters", "^[0-9b-hjkmnp-z]{1,2}$");
    described("The parts of a region, with counts and extents", &[hash])
}
