//! `/api/collections/{id}/position`: values at places, as CoverageJSON or CSV.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, Response, header};
use serde_json::Value;

use super::query::Query;
use super::respond::Document;
use super::{App, doc};
use crate::position::{self, Request};
use crate::problem::{Answer, Kind, Problem};

const COVERAGE_JSON: &str = "application/vnd.cov+json";
const CSV: &str = "text/csv; charset=utf-8";

pub async fn get(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query =
        Query::parse(text.as_deref(), &["coords", "datetime", "z", "parameter-name", "crs", "f", "dim:*"])?;
    let as_csv = wants_csv(&query, &headers)?;
    if let Some(crs) = query.given("crs")
        && !["CRS84", "OGC:CRS84", "http://www.opengis.net/def/crs/OGC/1.3/CRS84"].contains(&crs)
    {
        return Err(Problem::parameter("crs", crs, "expected CRS84, the one this collection is queried in"));
    }
    let coords = query.get("coords").ok_or_else(|| {
        Problem::parameter("coords", "", "it is required: WKT such as POINT(4.9 52.4), longitude first")
    })?;
    let request = Request {
        points: position::parse_points(coords).map_err(|why| Problem::parameter("coords", coords, why))?,
        datetime: query.get("datetime").map(str::to_owned),
        z: query.get("z").map(str::to_owned),
        parameters: query.get("parameter-name").map(|l| l.split(',').map(|p| p.trim().to_owned()).collect()),
        dims: query.starting("dim:").map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
    };
    let opened = app.opened(&id).await?;
    let places = position::answer(&opened, &request).await?;
    let document = if as_csv {
        Document::new(CSV, position::csv(&places))
    } else {
        Document::json(&position::coverage_json(&places))?.content_type(COVERAGE_JSON)
    };
    Ok(document
        .header(HeaderName::from_static("graticule-version"), opened.snapshot.version())
        .answer(&headers))
}

/// `f=` first, `Accept` second (OGC API Common).
fn wants_csv(query: &Query, headers: &HeaderMap) -> Answer<bool> {
    if let Some(f) = query.given("f") {
        return match f.to_ascii_lowercase().as_str() {
            "coveragejson" | "covjson" | "json" => Ok(false),
            "csv" => Ok(true),
            _ => Err(Problem::parameter("f", f, "expected CoverageJSON or CSV")),
        };
    }
    let Some(accept) = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok()) else { return Ok(false) };
    let types: Vec<&str> = accept.split(',').filter_map(|t| t.split(';').next()).map(str::trim).collect();
    let json = ["*/*", "application/*", "application/json", COVERAGE_JSON, "application/prs.coverage+json"];
    match types.iter().find(|t| json.contains(t) || **t == "text/csv") {
        Some(t) => Ok(*t == "text/csv"),
        // A browser that asks for a page gets the data all the same.
        None if types.contains(&"text/html") => Ok(false),
        None => Err(Problem::new(
            Kind::NotAcceptable,
            format!("Accept {accept:?} names neither {COVERAGE_JSON} nor text/csv."),
        )),
    }
}

pub fn describe() -> Value {
    let mut operation = doc::get(
        "Data",
        "Values at places, through all selected times and levels",
        &[
            doc::id(),
            doc::coords(),
            doc::datetime(),
            doc::query("z", "Level, list or interval; all levels when absent", "850"),
            doc::query("parameter-name", "Variables, separated by commas; all when absent", "sst"),
            doc::choice(
                "crs",
                "CRS84 alone",
                &["CRS84", "OGC:CRS84", "http://www.opengis.net/def/crs/OGC/1.3/CRS84"],
            ),
            doc::choice("f", "How values are written", &["CoverageJSON", "CSV"]),
        ],
        COVERAGE_JSON,
    );
    operation["description"] = Value::from(
        "The nearest cell's stored values, decoded in float64; no data is null. A dimension that is neither place, \
         level nor time is chosen by `dim:NAME=VALUE`, such as `dim:month=7`.",
    );
    operation["responses"]["200"]["content"]["text/csv"] = serde_json::json!({"schema": {"type": "string"}});
    operation["responses"]["406"] = serde_json::json!({"$ref": "#/components/responses/Problem"});
    doc::returning(operation, "Coverage")
}
