//! `/api/collections/{id}/preview.png`: a small picture of a collection.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::query::Query;
use super::{App, doc};
use crate::pictures::{Format, style};
use crate::preview::{self, Request};
use crate::problem::Answer;

const PNG: &str = "image/png";

pub async fn get(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(text.as_deref(), &["variable", "colormap", "clim"])?;
    let request = Request {
        variable: query.get("variable").map(str::to_owned),
        colormap: query.get("colormap").map(str::to_owned),
        clim: query.get("clim").map(|t| style::clim("clim", t)).transpose()?,
    };
    let opened = app.opened(&id).await?;
    let version = opened.snapshot.version();
    // A version never changes, so neither does its picture.
    let key = format!("{id}@{version} {request:?}");
    let picture = match app.previews.get(&key) {
        Some(known) => known,
        None => {
            let drawn = preview::png(&app.pictures, &opened, &request).await?;
            app.previews.insert(key, Arc::clone(&drawn));
            drawn
        }
    };
    Ok(super::map::picture(&app, &opened, Format::Png, &picture, &headers).answer(&headers))
}

pub fn describe() -> Value {
    let mut operation = doc::get(
        "Data",
        "A small picture of all of a variable, in equirectangular projection",
        &[
            doc::id(),
            doc::query("variable", "A variable; the one the viewer begins with when absent", "sst"),
            doc::query("colormap", "A colour scale; by the standard name when absent", "viridis"),
            doc::query("clim", "Low and high end of the colour scale, in the stored unit", "-2,32"),
        ],
        PNG,
    );
    operation["responses"]["200"]["content"][PNG] = json!({"schema": {"type": "string", "format": "binary"}});
    operation["description"] = Value::from(
        "The first step of every dimension that is not the grid's; no data is transparent. The colours are those of \
         the map. Its longer side has at most 512 pixels, of a regular grid no more than its coarsest level has cells.",
    );
    operation
}
