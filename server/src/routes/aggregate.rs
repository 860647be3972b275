//! `/api/aggregate`: counts of the items that a search finds, and `/api/aggregations`, which
//! there are (STAC API, extension "aggregation" v0.3.0).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response};
use chrono::{Datelike, NaiveDate, TimeDelta};
use serde_json::{Map, Value, json};

use super::query::{self, Query};
use super::respond::{Document, JSON};
use super::{App, collections, doc, items, search, stac};
use crate::catalog::aggregate::{Aggregates, MOST_BUCKETS, Wanted};
use crate::catalog::micros_rfc3339;
use crate::catalog::tally::cell;
use crate::problem::{Answer, Problem};
use crate::search::{Search, instants};

/// Names, and the type of values or of the keys of buckets.
const ALL: [(&str, &str); 7] = [
    ("total_count", "integer"),
    ("datetime_min", "datetime"),
    ("datetime_max", "datetime"),
    ("datetime_frequency", "datetime"),
    ("collection_frequency", "string"),
    ("centroid_geohash_grid_frequency", "string"),
    ("geometry_geohash_grid_frequency", "string"),
];
const INTERVAL: &str = "datetime_frequency_interval";
const CENTROID_PRECISION: &str = "centroid_geohash_grid_frequency_precision";
const GEOMETRY_PRECISION: &str = "geometry_geohash_grid_frequency_precision";

const PARAMETERS: [&str; 14] = [
    "aggregations",
    INTERVAL,
    CENTROID_PRECISION,
    GEOMETRY_PRECISION,
    "bbox",
    "intersects",
    "datetime",
    "ids",
    "collections",
    "q",
    "filter",
    "filter-lang",
    "filter-crs",
    "f",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Interval {
    Year,
    Month,
    Day,
}

impl Interval {
    const NAMES: [(&str, Self); 3] = [("year", Self::Year), ("month", Self::Month), ("day", Self::Day)];

    /// One that has some tens of buckets, where the items allow it.
    fn fitting(days: &BTreeMap<i64, u64>) -> Self {
        let first_and_last = days.keys().next().zip(days.keys().next_back());
        match first_and_last.map_or(0, |(a, b)| b - a) {
            0..=100 => Self::Day,
            101..=3660 => Self::Month,
            _ => Self::Year,
        }
    }

    fn first_day(self, day: NaiveDate) -> NaiveDate {
        let day = if self == Self::Day { Some(day) } else { day.with_day(1) }.unwrap_or(day);
        if self == Self::Year { day.with_month(1).unwrap_or(day) } else { day }
    }
}

/// What is asked of the items, in the order in which it is asked.
struct Asked {
    names: Vec<&'static str>,
    interval: Option<Interval>,
    centroid: usize,
    geometry: usize,
}

impl Asked {
    /// From the texts that the parameters have.
    fn read(names: &[String], of: impl Fn(&str) -> Option<String>) -> Answer<Self> {
        let every = || ALL.map(|(n, _)| n).join(", ");
        // Only what is named is answered (the extension's words), and of nothing nothing would be.
        if names.is_empty() {
            return Err(Problem::parameter("aggregations", "", format!("expected some of {}", every())));
        }
        let mut out = Self { names: Vec::new(), interval: None, centroid: 1, geometry: 1 };
        for name in names {
            let Some((known, _)) = ALL.iter().find(|(n, _)| n == name) else {
                let wrong = format!("no such aggregation; there are {}", every());
                return Err(Problem::parameter("aggregations", name, wrong));
            };
            if !out.names.contains(known) {
                out.names.push(known);
            }
        }
        if let Some(text) = of(INTERVAL) {
            let known = Interval::NAMES.iter().find(|(n, _)| *n == text).map(|(_, i)| *i);
            let wrong = || Problem::parameter(INTERVAL, &text, "expected year, month or day");
            out.interval = Some(known.ok_or_else(wrong)?);
        }
        let precision = |key: &str, most: usize| -> Answer<usize> {
            let Some(text) = of(key) else { return Ok(1) };
            let n = text.parse().ok().filter(|n| (1..=most).contains(n));
            n.ok_or_else(|| {
                Problem::parameter(key, &text, format!("expected a whole number from 1 to {most}"))
            })
        };
        out.centroid = precision(CENTROID_PRECISION, cell::LONGEST)?;
        out.geometry = precision(GEOMETRY_PRECISION, cell::FINEST)?;
        Ok(out)
    }

    fn wanted(&self) -> Wanted {
        let has = |n: &str| self.names.contains(&n);
        Wanted {
            days: has("datetime_frequency"),
            latest: has("datetime_max"),
            centroids: has("centroid_geohash_grid_frequency").then_some(self.centroid),
            footprints: has("geometry_geohash_grid_frequency").then_some(self.geometry),
        }
    }
}

fn of_query(text: Option<&str>) -> Answer<(Search, Asked)> {
    let query = Query::parse(text, &PARAMETERS)?;
    query.form(JSON)?;
    let names = query.given("aggregations").unwrap_or_default().split(',').map(str::trim);
    let names: Vec<String> = names.filter(|n| !n.is_empty()).map(str::to_owned).collect();
    let asked = Asked::read(&names, |key| query.given(key).map(str::to_owned))?;
    Ok((search::of_query(&query, instants::interval)?.0, asked))
}

fn of_body(body: &Bytes) -> Answer<(Search, Asked)> {
    let mut said: Map<String, Value> = search::object(body)?;
    let members = PARAMETERS.map(|p| if p == "f" { "query" } else { p });
    if let Some(key) = said.keys().find(|k| !members.contains(&k.as_str())) {
        return Err(query::unknown(key, "", "member", &members));
    }
    let mut own = Map::new();
    for key in ["aggregations", INTERVAL, CENTROID_PRECISION, GEOMETRY_PRECISION] {
        own.extend(said.shift_remove(key).filter(|v| !v.is_null()).map(|v| (key.to_owned(), v)));
    }
    let names = match own.get("aggregations") {
        None => Vec::new(),
        Some(v) => {
            let texts = v.as_array().and_then(|l| l.iter().map(|n| n.as_str().map(str::to_owned)).collect());
            let wrong = || Problem::parameter("aggregations", &v.to_string(), "expected a list of names");
            texts.ok_or_else(wrong)?
        }
    };
    let asked = Asked::read(&names, |key| {
        let v = own.get(key)?;
        // To JSON 1.0 is a whole number too.
        let whole = v.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 1e9).map(|n| format!("{n:.0}"));
        Some(v.as_str().map(str::to_owned).or(whole).unwrap_or_else(|| v.to_string()))
    })?;
    Ok((search::of_object(&said)?.0, asked))
}

pub async fn get(
    State(app): State<Arc<App>>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let (wanted, asked) = of_query(text.as_deref())?;
    answer(&app, wanted, asked, "/api", &headers).await
}

pub async fn post(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Answer<Response<Body>> {
    let (wanted, asked) = of_body(&body)?;
    answer(&app, wanted, asked, "/api", &headers).await
}

pub async fn get_of(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let (wanted, asked) = of_query(text.as_deref())?;
    of_collection(&app, id, wanted, asked, &headers).await
}

pub async fn post_of(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Response<Body>> {
    let (wanted, asked) = of_body(&body)?;
    of_collection(&app, id, wanted, asked, &headers).await
}

async fn of_collection(
    app: &App,
    id: String,
    mut wanted: Search,
    asked: Asked,
    headers: &HeaderMap,
) -> Answer<Response<Body>> {
    collections::find(app, &id).await?;
    items::of_path(&mut wanted, &id, "/api/aggregate")?;
    answer(app, wanted, asked, &format!("/api/collections/{id}"), headers).await
}

async fn answer(
    app: &App,
    wanted: Search,
    asked: Asked,
    here: &str,
    headers: &HeaderMap,
) -> Answer<Response<Body>> {
    let what = asked.wanted();
    let turn = search::turn(wanted.has_shape()).await?;
    let found = app.catalog.call_with(move |c| {
        let _turn = turn;
        c.aggregate(&wanted, what)
    });
    let found = found.await.map_err(search::too_long)?;
    let base = app.base(headers);
    let body = json!({
        "type": "AggregationCollection",
        "aggregations": asked.names.iter().map(|n| one(n, &asked, &found)).collect::<Vec<_>>(),
        "links": links(&base, here, "aggregate"),
    });
    Ok(Document::json(&body)?.answer(headers))
}

fn links(base: &str, here: &str, name: &str) -> Value {
    json!([
        stac::link("self", &format!("{base}{here}/{name}"), JSON),
        stac::link("root", &format!("{base}/api"), JSON),
    ])
}

fn one(name: &str, asked: &Asked, found: &Aggregates) -> Value {
    let data_type = ALL.iter().find(|(n, _)| *n == name).map_or("string", |(_, t)| t);
    let mut out = json!({"name": name, "data_type": data_type});
    let instant = |secs: Option<f64>| secs.map_or(Value::Null, |s| json!(micros_rfc3339((s * 1e6) as i64)));
    match name {
        "total_count" => out["value"] = json!(found.count),
        "datetime_min" => out["value"] = instant(found.earliest),
        "datetime_max" => out["value"] = instant(found.latest),
        "datetime_frequency" => {
            let interval = asked.interval.unwrap_or_else(|| Interval::fitting(&found.days));
            let mut buckets: BTreeMap<NaiveDate, u64> = BTreeMap::new();
            for (day, n) in &found.days {
                let day = TimeDelta::try_days(*day).and_then(|d| NaiveDate::default().checked_add_signed(d));
                if let Some(day) = day {
                    *buckets.entry(interval.first_day(day)).or_insert(0) += n;
                }
            }
            let keys = buckets.into_iter().map(|(d, n)| (d.format("%Y-%m-%dT00:00:00Z").to_string(), n));
            fill(&mut out, data_type, keys.collect(), found.count);
            let name = Interval::NAMES.iter().find(|(_, i)| *i == interval).map_or("", |(n, _)| n);
            out["interval"] = json!(name);
        }
        "collection_frequency" => {
            let mut list: Vec<(String, u64)> = found.collections.clone().into_iter().collect();
            list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            fill(&mut out, data_type, list, found.count);
        }
        "centroid_geohash_grid_frequency" => {
            let mut list: Vec<(String, u64)> = found.centroids.of.clone().into_iter().collect();
            list.sort_unstable();
            let all = found.centroids.overflow + list.iter().map(|(_, n)| n).sum::<u64>();
            fill(&mut out, data_type, list, all);
        }
        _ => {
            // An item is in many cells: none is left over.
            let list: Vec<(String, u64)> = found.footprints.clone().into_iter().collect();
            let all = list.iter().map(|(_, n)| n).sum();
            fill(&mut out, data_type, list, all);
        }
    }
    out
}

/// Buckets, and how many of `all` are in none.
fn fill(out: &mut Value, data_type: &str, mut list: Vec<(String, u64)>, all: u64) {
    list.truncate(MOST_BUCKETS);
    let shown: u64 = list.iter().map(|(_, n)| n).sum();
    let one = |(key, n): &(String, u64)| json!({"key": key, "data_type": data_type, "frequency": n});
    out["buckets"] = list.iter().map(one).collect();
    out["overflow"] = json!(all.saturating_sub(shown));
}

pub async fn list(
    State(app): State<Arc<App>>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    Query::of_document(text.as_deref(), JSON)?;
    available(&app, "/api", &headers)
}

pub async fn list_of(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    Query::of_document(text.as_deref(), JSON)?;
    collections::find(&app, &id).await?;
    available(&app, &format!("/api/collections/{id}"), &headers)
}

fn available(app: &App, here: &str, headers: &HeaderMap) -> Answer<Response<Body>> {
    let body = json!({
        "type": "AggregationCollection",
        "aggregations": ALL.map(|(name, data_type)| json!({"name": name, "data_type": data_type})),
        "links": links(&app.base(headers), here, "aggregations"),
    });
    Ok(Document::json(&body)?.answer(headers))
}

fn own_parameters() -> Vec<Value> {
    let names = ALL.map(|(n, _)| n);
    let mut wanted =
        doc::query("aggregations", "Which, separated by commas", "total_count,datetime_frequency");
    wanted["required"] = json!(true);
    wanted["schema"]["pattern"] = json!(format!("^({0})(,({0})){{0,6}}$", names.join("|")));
    let precision = |name: &str, most: usize| {
        json!({"name": name, "in": "query", "description": "Length of the geohashes",
            "schema": {"type": "integer", "minimum": 1, "maximum": most, "default": 1}})
    };
    vec![
        wanted,
        json!({"name": INTERVAL, "in": "query", "description": "Length of the buckets; one that fits where none is said",
            "schema": {"type": "string", "enum": ["year", "month", "day"]}}),
        precision(CENTROID_PRECISION, cell::LONGEST),
        precision(GEOMETRY_PRECISION, cell::FINEST),
    ]
}

fn described(all: &[Value], summary: &str, with_collections: bool) -> Value {
    let mut parameters = all.to_vec();
    parameters.extend(own_parameters());
    parameters.push(doc::bbox());
    parameters.push(doc::query(
        "intersects",
        "A GeoJSON geometry",
        "{\"type\":\"Point\",\"coordinates\":[0,0]}",
    ));
    parameters.push(doc::instants());
    if with_collections {
        parameters.push(doc::query("collections", "Ids of collections, separated by commas", "a"));
    }
    let shared = search::parameters();
    let same = |p: &&Value| p["name"].as_str().is_some_and(|n| PARAMETERS.contains(&n));
    parameters.extend(shared.iter().filter(same).cloned());
    doc::get("Catalog", summary, &parameters, JSON)
}

fn described_post(all: &[Value], summary: &str) -> Value {
    let mut operation = doc::get("Catalog", summary, all, JSON);
    let mut members = search::members();
    // Where the path says which, the body does not.
    if !all.is_empty()
        && let Some(o) = members.as_object_mut()
    {
        o.shift_remove("collections");
    }
    members[INTERVAL] = json!({"type": "string", "enum": ["year", "month", "day"]});
    members[CENTROID_PRECISION] = json!({"type": "integer", "minimum": 1, "maximum": cell::LONGEST});
    members[GEOMETRY_PRECISION] = json!({"type": "integer", "minimum": 1, "maximum": cell::FINEST});
    let mut body = search::body(&members);
    body["required"] = json!(true);
    let asked = &mut body["content"]["application/json"];
    asked["schema"]["properties"]["aggregations"] =
        json!({"type": "array", "minItems": 1, "items": {"type": "string", "enum": ALL.map(|(n, _)| n)}});
    asked["schema"]["required"] = json!(["aggregations"]);
    asked["example"] = json!({"aggregations": ["total_count"], "bbox": [-30, -20, 30, 20]});
    operation["requestBody"] = body;
    operation
}

pub fn describe_get() -> Value {
    described(&[], "Counts of the items that fit", true)
}

pub fn describe_get_of() -> Value {
    described(&[doc::id()], "Counts of a collection's items that fit", false)
}

pub fn describe_post() -> Value {
    described_post(&[], "Counts of the items that fit, asked for in JSON")
}

pub fn describe_post_of() -> Value {
    described_post(&[doc::id()], "Counts of a collection's items that fit, asked for in JSON")
}

pub fn describe_list() -> Value {
    doc::get("Catalog", "Which counts of items there are", &[], JSON)
}

pub fn describe_list_of() -> Value {
    doc::get("Catalog", "Which counts of a collection's items there are", &[doc::id()], JSON)
}
