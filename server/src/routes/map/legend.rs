//! `/api/collections/{id}/legend`: which colour is which number.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, Response, header};
use serde_json::{Value, json};

use super::super::query::Query;
use super::super::respond::Document;
use super::super::{App, doc};
use crate::pictures::legend::MAX_SIDE_PX;
use crate::pictures::{legend, select};
use crate::problem::{Answer, Problem};

pub async fn get(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let known = ["variable", "colormap", "clim", "scale", "width", "height", "orientation", "bar", "f"];
    let query = Query::parse(text.as_deref(), &known)?;
    let accepts_json = || {
        let accept = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok()).unwrap_or_default();
        accept.starts_with("application/json")
    };
    let as_json = query.get("f").map_or_else(accepts_json, |f| matches!(f, "json" | "application/json"));
    let format = if as_json { Default::default() } else { super::format(&query, &headers)? };
    let flag = |name: &str, values: [&str; 2]| match query.get(name) {
        None => Ok(false),
        Some(v) if v == values[0] => Ok(false),
        Some(v) if v == values[1] => Ok(true),
        Some(v) => Err(Problem::parameter(name, v, format!("expected {} or {}", values[0], values[1]))),
    };
    let side = |name: &str| -> Answer<Option<u32>> {
        let Some(text) = query.get(name) else { return Ok(None) };
        let wrong = || Problem::parameter(name, text, "expected a whole number of pixels");
        text.parse().map(Some).map_err(|_| wrong())
    };
    let asked = legend::Asked {
        width: side("width")?,
        height: side("height")?,
        horizontal: flag("orientation", ["vertical", "horizontal"])?,
        bar_only: flag("bar", ["labelled", "only"])?,
        format,
    };
    let opened = app.opened(&id).await?;
    let variable = select::variable(&opened, query.get("variable"))?;
    let style = app.pictures.style(&opened, variable, &super::asked_style(&query)?).await?;
    let document = if as_json {
        Document::json(&legend::json(variable, &style))?.cache(super::CACHE)
    } else {
        Document::new(format.media_type(), legend::picture(variable, &style, &asked)?).cache(super::CACHE)
    };
    let version = opened.snapshot.version();
    Ok(document.header(HeaderName::from_static("graticule-version"), version).answer(&headers))
}

pub fn describe() -> Value {
    let mut operation = doc::get(
        "Data",
        "A legend as a picture, or as JSON",
        &[
            doc::id(),
            doc::query("variable", "A variable; the one the viewer begins with when absent", "sst"),
            doc::query("colormap", "A colour scale; by the standard name when absent", "viridis"),
            doc::query("clim", "Low and high end of the colour scale in the stored unit, or auto", "-2,32"),
            doc::choice("scale", "How colours are spread", &["linear", "log"]),
            doc::pixels("width", "Pixels", MAX_SIDE_PX),
            doc::pixels("height", "Pixels", MAX_SIDE_PX),
            doc::choice("orientation", "Which way the colours run", &["vertical", "horizontal"]),
            doc::choice("bar", "only: the colours alone", &["labelled", "only"]),
            doc::choice("f", "What the legend is; else by Accept", &["png", "webp", "json"]),
        ],
        "image/png",
    );
    operation["responses"]["200"]["content"] = json!({
        "image/png": {"schema": {"type": "string", "format": "binary"}},
        "image/webp": {"schema": {"type": "string", "format": "binary"}},
        "application/json": {"schema": {"type": "object"}},
    });
    operation
}
