//! GetFeatureInfo (OGC 06-042 section 7.4): the value that the position query gives under a pixel.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use graticule_shared::grid::sphere::wrap_longitude;
use serde_json::{Map, Value, json};

use super::super::App;
use super::super::edr::cited;
use super::super::ows::{XML, kvp::Kvp, xml::Xml};
use super::super::respond::Document;
use super::Version;
use super::map::{choice, frame, layer};
use crate::pictures::{Reading, reading};
use crate::problem::{Answer, Problem};

pub const FORMATS: [&str; 4] = ["application/json", "text/plain", "text/xml", "text/html"];

pub async fn get(
    app: &Arc<App>,
    only: Option<&str>,
    k: &Kvp,
    version: Version,
    headers: &HeaderMap,
) -> Answer<Response<Body>> {
    let name = k.need("QUERY_LAYERS")?;
    let (opened, variable) = layer(app, only, "QUERY_LAYERS", name).await?;
    let frame = frame(k, version)?;
    let point = |key: &'static str, old: &'static str, most: u32| {
        let value = k.whole(key)?.or(k.whole(old)?);
        let wrong = || {
            let given = k.get(key).or(k.get(old)).unwrap_or_default();
            Problem::parameter(key, given, format!("expected a pixel from 0 to {}", most.saturating_sub(1)))
        };
        value.filter(|v| *v < most).map(f64::from).ok_or_else(wrong)
    };
    let (i, j) = (point("I", "X", frame.width)?, point("J", "Y", frame.height)?);
    let format = k.get("INFO_FORMAT").unwrap_or(FORMATS[0]);
    let bare = format.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let choice = choice(&opened, &variable, k)?;
    let place = frame.place(i + 0.5, j + 0.5).map(|(lon, lat)| (wrap_longitude(lon), lat));
    let found = match place {
        Some(place) => Some(reading(&opened, Some(&variable), &choice, place).await?),
        None => None,
    };
    let document = match bare.as_str() {
        "application/json" | "application/geo+json" => Document::json(&as_json(name, place, found.as_ref()))?,
        "text/plain" => Document::new("text/plain; charset=utf-8", as_text(name, place, found.as_ref())),
        "text/xml" | "application/xml" => Document::new(XML, as_xml(name, place, found.as_ref())),
        "text/html" => Document::new("text/html; charset=utf-8", as_html(name, place, found.as_ref())),
        _ => {
            let why = format!("expected one of {}", FORMATS.join(", "));
            return Err(Problem::parameter("INFO_FORMAT", format, why));
        }
    };
    Ok(cited(document, app, opened.snapshot.collection(), &opened, headers).answer(headers))
}

type Place = Option<(f64, f64)>;

/// Names and values in the order in which they are told.
fn told(layer: &str, place: Place, found: Option<&Reading>) -> Vec<(String, Value)> {
    let mut out = vec![("layer".to_owned(), json!(layer))];
    if let Some((lon, lat)) = place {
        out.push(("longitude".to_owned(), json!(lon)));
        out.push(("latitude".to_owned(), json!(lat)));
    }
    let Some(found) = found else { return out };
    if let Some((lon, lat)) = found.cell {
        out.push(("cell_longitude".to_owned(), json!(lon)));
        out.push(("cell_latitude".to_owned(), json!(lat)));
    }
    out.extend(found.steps.iter().map(|(name, value)| (name.clone(), json!(value))));
    out.push(("value".to_owned(), json!(found.value)));
    out.push(("unit".to_owned(), json!(found.variable.units)));
    if let Some((_, meaning)) = found.variable.flags.iter().find(|(v, _)| Some(*v) == found.value) {
        out.push(("meaning".to_owned(), json!(meaning)));
    }
    out
}

fn as_json(layer: &str, place: Place, found: Option<&Reading>) -> Value {
    let told: Map<String, Value> = told(layer, place, found).into_iter().collect();
    let at = found.and_then(|f| f.cell).or(place);
    let geometry = at.map(|(lon, lat)| json!({"type": "Point", "coordinates": [lon, lat]}));
    json!({"type": "FeatureCollection",
        "features": [{"type": "Feature", "id": layer, "geometry": geometry, "properties": told}]})
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(s) => s.clone(),
        v => v.to_string(),
    }
}

fn as_text(layer: &str, place: Place, found: Option<&Reading>) -> String {
    told(layer, place, found).iter().map(|(name, value)| format!("{name}: {}\n", words(value))).collect()
}

fn as_html(layer: &str, place: Place, found: Option<&Reading>) -> String {
    let mut x = Xml::new();
    x.node("html", &[("xmlns", "http://www.w3.org/1999/xhtml")], |x| {
        x.node("head", &[], |x| x.leaf("title", layer));
        x.node("body", &[], |x| {
            x.node("table", &[], |x| {
                for (name, value) in told(layer, place, found) {
                    x.node("tr", &[], |x| {
                        x.leaf("th", &name);
                        x.leaf("td", &words(&value));
                    });
                }
            });
        });
    });
    x.finish()
}

/// As ncWMS answers.
fn as_xml(layer: &str, place: Place, found: Option<&Reading>) -> String {
    let mut x = Xml::new();
    x.node("FeatureInfoResponse", &[], |x| {
        if let Some((lon, lat)) = place {
            x.leaf("longitude", &lon.to_string());
            x.leaf("latitude", &lat.to_string());
        }
        x.node("Feature", &[], |x| {
            x.leaf("layer", layer);
            let Some(found) = found else { return };
            if let Some((lon, lat)) = found.cell {
                x.leaf("actualX", &lon.to_string());
                x.leaf("actualY", &lat.to_string());
            }
            x.node("FeatureInfo", &[], |x| {
                x.leaf("id", &found.variable.path);
                for (name, value) in &found.steps {
                    x.said("dimension", &[("name", name)], value);
                }
                x.leaf("value", &words(&json!(found.value)));
            });
        });
    });
    x.finish()
}
