//! Pictures by OGC API - Maps (20-058) and - Tiles (20-057), and TileJSON; what they share.

pub mod cost;
pub mod legend;
pub mod matrix_sets;
pub mod tile;
pub mod tilejson;
pub mod tilesets;
pub mod whole;

use axum::http::{HeaderMap, header};
use serde_json::{Value, json};

use super::edr::cited;
use super::query::Query;
use super::respond::Document;
use super::stac::link;
use super::{App, doc};
use crate::accept;
use crate::opened::Opened;
use crate::pictures::select::Choice;
use crate::pictures::{Format, style};
use crate::problem::{Answer, Kind, Problem};

/// A picture may be shown a minute long before it is asked for again: a collection may have a new version.
pub const CACHE: &str = "public, max-age=60, stale-while-revalidate=86400";
pub const MAP: &str = "http://www.opengis.net/def/rel/ogc/1.0/map";
pub const TILESETS: &str = "http://www.opengis.net/def/rel/ogc/1.0/tilesets-map";
pub const TILING_SCHEME: &str = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme";
pub const TILING_SCHEMES: &str = "http://www.opengis.net/def/rel/ogc/1.0/tiling-schemes";

/// Links of a collection to its pictures, those of the STAC web map links extension 1.2.0 among them.
pub fn links(id: &str, base: &str, variables: &[&str]) -> Vec<Value> {
    let here = format!("{base}/api/collections/{id}");
    let set = format!("{here}/map/tiles/WebMercatorQuad");
    let layers: Vec<String> = variables.iter().map(|v| format!("{id}/{v}")).collect();
    let titled = |mut link: Value, title: &str| {
        link["title"] = json!(title);
        link
    };
    vec![
        titled(link(MAP, &format!("{here}/map"), "image/png"), "A picture"),
        titled(link(TILESETS, &format!("{here}/map/tiles"), "application/json"), "Tiles"),
        titled(
            link("tilejson", &format!("{set}/tilejson.json"), "application/json"),
            "Tiles of Web Mercator",
        ),
        titled(link("xyz", &format!("{set}/{{z}}/{{y}}/{{x}}?f=png"), "image/png"), "Tiles of Web Mercator"),
        json!({"rel": "wms", "href": format!("{here}/wms"), "type": "image/png", "title": "Web Map Service",
            "wms:layers": layers, "wms:transparent": true}),
        json!({"rel": "wmts", "href": format!("{here}/wmts"), "type": "image/png", "title": "Web Map Tile Service",
            "wmts:layer": layers}),
        titled(link("legend", &format!("{here}/legend"), "image/png"), "Legend"),
        titled(link("legend", &format!("{here}/legend?f=json"), "application/json"), "Legend"),
    ]
}

/// Parameters that choose a variable, a step and its colours.
const CONTENT: [&str; 8] = ["variable", "datetime", "z", "dim:*", "colormap", "clim", "scale", "f"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    CONTENT.iter().chain(more).copied().collect()
}

fn choice(query: &Query) -> Choice {
    Choice {
        datetime: query.given("datetime").map(str::to_owned),
        z: query.given("z").map(str::to_owned),
        dims: query.starting("dim:").map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
    }
}

pub fn asked_style(query: &Query) -> Answer<style::Asked> {
    let logarithmic = match query.get("scale") {
        None | Some("linear") => false,
        Some("log") => true,
        Some(other) => return Err(Problem::parameter("scale", other, "expected linear or log")),
    };
    Ok(style::Asked {
        // As tile services name the one that nobody chose.
        colormap: query.get("colormap").filter(|n| *n != "default").map(str::to_owned),
        clim: query.get("clim").filter(|t| *t != "auto").map(|t| style::clim("clim", t)).transpose()?,
        logarithmic,
        ..style::Asked::default()
    })
}

/// `f=` first, `Accept` second (OGC API Common).
fn format(query: &Query, headers: &HeaderMap) -> Answer<Format> {
    if let Some(f) = query.get("f") {
        return Format::parse("f", f);
    }
    let Some(accept) = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok()) else {
        return Ok(Format::Png);
    };
    for wanted in accept::preferred(accept) {
        match wanted {
            // A browser that asks for a page gets the picture all the same.
            "*/*" | "image/*" | "image/png" | "text/html" => return Ok(Format::Png),
            "image/webp" => return Ok(Format::WebP),
            _ => {}
        }
    }
    Err(Problem::new(
        Kind::NotAcceptable,
        format!("Accept {accept:?} names neither image/png nor image/webp."),
    ))
}

/// A picture of a version, with how to cite it.
pub fn picture(app: &App, opened: &Opened, format: Format, bytes: &[u8], headers: &HeaderMap) -> Document {
    let document = Document::new(format.media_type(), bytes).cache(CACHE);
    cited(document, app, opened.snapshot.collection(), opened, headers)
}

/// Parameters of [`CONTENT`] as OpenAPI has them.
fn described(more: &[Value]) -> Vec<Value> {
    let mut all = vec![
        doc::id(),
        doc::query("variable", "A variable; the one the viewer begins with when absent", "sst"),
        doc::datetime(),
        doc::query("z", "Level; the first when absent", "850"),
        doc::query("colormap", "A colour scale; by the standard name when absent", "viridis"),
        doc::query("clim", "Low and high end of the colour scale in the stored unit, or auto", "-2,32"),
        doc::choice("scale", "How colours are spread", &["linear", "log"]),
        doc::choice("f", "How the picture is packed; else by Accept", &["png", "webp"]),
    ];
    all.extend_from_slice(more);
    all
}

/// An operation that answers with a picture.
fn describe(summary: &str, description: &str, more: &[Value]) -> Value {
    let png = Format::Png.media_type();
    let mut operation = doc::get("Data", summary, &described(more), png);
    for format in Format::ALL {
        operation["responses"]["200"]["content"][format.media_type()] =
            json!({"schema": {"type": "string", "format": "binary"}});
    }
    operation["description"] = Value::from(format!(
        "{description} Each pixel has the colour of the cell that lies under its middle, of the coarsest level that \
         still has a cell for each pixel; no data is transparent. The first step of every dimension that is not \
         chosen; `dim:NAME=VALUE` chooses others."
    ));
    operation
}
