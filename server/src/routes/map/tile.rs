//! `/api/collections/{id}/map/tiles/{tms}/{z}/{y}/{x}`: a tile.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response};
use graticule_shared::frame::Frame;
use graticule_shared::tiles::TileMatrixSet;
use serde_json::Value;

use super::super::query::Query;
use super::super::{App, doc};
use crate::pictures::{Format, Request};
use crate::problem::{Answer, Problem};

pub async fn get(
    State(app): State<Arc<App>>,
    Path((id, tms, z, y, x)): Path<(String, String, String, String, String)>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(text.as_deref(), &super::with(&[]))?;
    // Some clients know a picture by its ending.
    let (x, ending) = x.rsplit_once('.').map_or((x.as_str(), None), |(x, ending)| (x, Some(ending)));
    let format = match ending {
        Some(ending) if query.get("f").is_none() => Format::parse("f", ending)?,
        _ => super::format(&query, &headers)?,
    };
    let frame = frame(find(&tms)?, &z, &y, x)?;
    let opened = app.opened(&id).await?;
    let request = Request {
        variable: query.get("variable").map(str::to_owned),
        choice: super::choice(&query),
        frame,
        style: super::asked_style(&query)?,
        format,
        ground: None,
        only: None,
    };
    let made = app.pictures.draw(&opened, &request).await?;
    Ok(super::picture(&app, &opened, format, &made, &headers).answer(&headers))
}

/// # Errors
/// No such tile matrix set.
pub fn find(tms: &str) -> Answer<&'static TileMatrixSet> {
    TileMatrixSet::find(tms).ok_or_else(|| {
        let known: Vec<&str> = graticule_shared::tiles::SETS.iter().map(|s| s.id).collect();
        Problem::not_found(format!("there is no tile matrix set {tms:?}; there are {}", known.join(", ")))
    })
}

/// # Errors
/// No such tile.
pub fn frame(set: &TileMatrixSet, z: &str, y: &str, x: &str) -> Answer<Frame> {
    let number = |what: &str, text: &str| {
        let digits = !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u32>().ok().filter(|_| digits).ok_or_else(|| {
            Problem::not_found(format!("{what} {text:?} is no whole number, as in {}/3/2/5", set.id))
        })
    };
    let (matrix, row, column) =
        (number("tile matrix", z)?, number("tile row", y)?, number("tile column", x)?);
    let Some(matrix) = u8::try_from(matrix).ok().filter(|m| *m <= set.greatest) else {
        return Err(Problem::not_found(format!(
            "{} has no tile matrix {matrix}; its last is {}",
            set.id, set.greatest
        )));
    };
    set.frame(matrix, row, column).ok_or_else(|| {
        let [columns, rows] = set.size(matrix);
        Problem::not_found(format!(
            "row {row}, column {column} is no tile: matrix {matrix} of {} has {rows} rows and {columns} columns, counted from 0",
            set.id
        ))
    })
}

pub fn describe() -> Value {
    let paths = [
        doc::path("tms", "Tile matrix set, such as WebMercatorQuad"),
        doc::path("z", "Tile matrix (zoom)"),
        doc::path("y", "Tile row, from the top"),
        doc::path("x", "Tile column, from the left"),
    ];
    super::describe("A tile of 256 x 256 pixels", "What the set has no tile for is a 404.", &paths)
}
