//! GetMap (OGC 06-042 section 7.3).

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use graticule_shared::crs::Crs;
use graticule_shared::frame::Frame;

use super::super::App;
use super::super::map::picture;
use super::super::ows::kvp::{self, Kvp};
use super::{NO_CODE, Version};
use crate::opened::Opened;
use crate::pictures::select::Choice;
use crate::pictures::{Format, Request, select, style};
use crate::problem::{Answer, Problem};

pub async fn get(
    app: &Arc<App>,
    only: Option<&str>,
    k: &Kvp,
    version: Version,
    headers: &HeaderMap,
) -> Answer<Response<Body>> {
    let format = k.get("FORMAT").map_or(Ok(Format::Png), |f| Format::parse("FORMAT", f))?;
    let (opened, variable) = layer(app, only, "LAYERS", k.need("LAYERS")?).await?;
    let request = Request {
        choice: choice(&opened, &variable, k)?,
        variable: Some(variable),
        frame: frame(k, version)?,
        style: k.style(k.get("STYLES").or(k.get("STYLE")))?,
        format,
        ground: ground(k)?,
        only: None,
    };
    let made = app.pictures.draw(&opened, &request).await?;
    Ok(picture(app, &opened, format, &made, headers).answer(headers))
}

/// The collection and the variable that a layer is.
pub async fn layer(
    app: &App,
    only: Option<&str>,
    key: &'static str,
    name: &str,
) -> Answer<(Arc<Opened>, String)> {
    if name.contains(',') {
        // Each of them may be defined, and no code of the standard says that they are too many.
        return Err(Problem::parameter(key, name, "expected one layer a request: LayerLimit is 1")
            .with("code", NO_CODE));
    }
    let (id, variable) = kvp::layer(key, name)?;
    let missing =
        || Problem::parameter(key, name, "there is no such layer; the capabilities list those there are");
    if only.is_some_and(|only| only != id) {
        return Err(missing().with("code", "LayerNotDefined"));
    }
    let opened = app.opened(id).await.map_err(|e| {
        if e.kind.status().is_client_error() { missing().with("code", "LayerNotDefined") } else { e }
    })?;
    select::variable(&opened, Some(variable)).map_err(|_| missing().with("code", "LayerNotDefined"))?;
    Ok((opened, variable.to_owned()))
}

/// What is chosen along the variable's dimensions.
pub fn choice(opened: &Opened, variable: &str, k: &Kvp) -> Answer<Choice> {
    let mut choice = k.choice();
    let variable = select::variable(opened, Some(variable))?;
    let names: Vec<&str> = variable.leading().iter().map(|d| d.name.as_str()).collect();
    kvp::spelled(&mut choice, &names);
    Ok(choice)
}

/// BBOX, WIDTH and HEIGHT; x before y unless the version goes by the system's own order
/// (06-042 section 6.7.2: EPSG:4326 has latitude first).
pub fn frame(k: &Kvp, version: Version) -> Answer<Frame> {
    let named = k.get("CRS").or(k.get("SRS"));
    let Some(named) = named else { return Err(Problem::parameter("CRS", "", kvp::REQUIRED)) };
    let crs = Crs::parse(named).ok_or_else(|| {
        let known: Vec<&str> = Crs::names().collect();
        Problem::parameter("CRS", named, format!("expected one of {}", known.join(", ")))
    })?;
    let text = k.need("BBOX")?;
    let wrong = |why: &str| Problem::parameter("BBOX", text, why);
    let numbers: Option<Vec<f64>> = text
        .split(',')
        .map(|n| n.trim().parse().ok().filter(|v: &f64| v.is_finite() && v.abs() < 1e9))
        .collect();
    let Some(&[a, b, c, d]) = numbers.as_deref() else {
        return Err(wrong("expected four numbers minx,miny,maxx,maxy"));
    };
    let bbox = if version == Version::V130 && crs.latitude_first() { [b, a, d, c] } else { [a, b, c, d] };
    if bbox[2] - bbox[0] <= 1e-9 || bbox[3] - bbox[1] <= 1e-9 {
        return Err(wrong("expected minx less than maxx and miny less than maxy"));
    }
    let side = |key: &'static str| k.whole(key)?.ok_or_else(|| Problem::parameter(key, "", kvp::REQUIRED));
    Ok(Frame { crs, bbox, width: side("WIDTH")?, height: side("HEIGHT")? })
}

/// TRANSPARENT and BGCOLOR: a picture is opaque and white where nothing else is asked for.
fn ground(k: &Kvp) -> Answer<Option<[u8; 3]>> {
    if k.flag("TRANSPARENT")? {
        return Ok(None);
    }
    let Some(text) = k.get("BGCOLOR") else { return Ok(Some([255; 3])) };
    let wrong = || Problem::parameter("BGCOLOR", text, "expected a colour such as 0xFFFFFF");
    style::colour(text).map(Some).ok_or_else(wrong)
}
