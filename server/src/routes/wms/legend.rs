//! GetLegendGraphic (OGC 05-078r4 section 12), with ncWMS's parameters.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Response};

use super::super::App;
use super::super::map::CACHE;
use super::super::ows::kvp::Kvp;
use super::super::respond::Document;
use super::map::layer;
use crate::pictures::{Format, legend, select};
use crate::problem::Answer;

pub async fn get(app: &Arc<App>, only: Option<&str>, k: &Kvp, headers: &HeaderMap) -> Answer<Response<Body>> {
    let key = if k.get("LAYER").is_none() && k.get("LAYERS").is_some() { "LAYERS" } else { "LAYER" };
    let (opened, variable) = layer(app, only, key, k.need(key)?).await?;
    let variable = select::variable(&opened, Some(&variable))?;
    let named = k.get("PALETTE").or(k.get("STYLE")).or(k.get("STYLES"));
    let style = app.pictures.style(&opened, variable, &k.style(named)?).await?;
    let document = if k.get("FORMAT").is_some_and(|f| f.starts_with("application/json")) {
        Document::json(&legend::json(variable, &style))?
    } else {
        let format = k.get("FORMAT").map_or(Ok(Format::Png), |f| Format::parse("FORMAT", f))?;
        let asked = legend::Asked {
            width: k.whole("WIDTH")?,
            height: k.whole("HEIGHT")?,
            horizontal: k.is("VERTICAL", "false"),
            bar_only: k.flag("COLORBARONLY")?,
            format,
        };
        Document::new(format.media_type(), legend::picture(variable, &style, &asked)?)
    };
    let version = opened.snapshot.version();
    Ok(document.cache(CACHE).header(HeaderName::from_static("graticule-version"), version).answer(headers))
}
