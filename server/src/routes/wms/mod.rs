//! `/api/wms` and `/api/collections/{id}/wms`: OGC Web Map Service 1.3.0 (06-042), and 1.1.1 (01-068r3)
//! for clients that know no other.

mod capabilities;
mod info;
mod legend;
mod map;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::Value;

use super::ows::kvp::{self, Kvp};
use super::ows::{self, xml::Xml};
use super::{App, doc};
use crate::problem::{Answer, Problem};

pub use map::{choice, layer};

/// Of a refusal that only its text explains (06-042 table E.1 has no code for it).
pub const NO_CODE: &str = "";
pub const OGC: (&str, &str) = ("xmlns", "http://www.opengis.net/ogc");

/// Which version the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V111,
    V130,
}

impl Version {
    /// The highest that is not above what is asked for (06-042 section 6.2.4).
    fn of(k: &Kvp) -> Self {
        match k.get("VERSION").or(k.get("WMTVER")) {
            Some(v) if v < "1.3" => Self::V111,
            _ => Self::V130,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::V111 => "1.1.1",
            Self::V130 => "1.3.0",
        }
    }
}

pub async fn all(
    State(app): State<Arc<App>>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    answer(&app, None, text.as_deref(), &headers).await
}

pub async fn one(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    answer(&app, Some(&id), text.as_deref(), &headers).await
}

async fn answer(
    app: &Arc<App>,
    only: Option<&str>,
    text: Option<&str>,
    headers: &HeaderMap,
) -> Response<Body> {
    let k = match Kvp::parse(text) {
        Ok(k) => k,
        Err(problem) => return exception(&problem, Version::V130, headers),
    };
    let version = Version::of(&k);
    let answered = dispatch(app, only, &k, version, headers).await;
    answered.unwrap_or_else(|problem| exception(&problem, version, headers))
}

async fn dispatch(
    app: &Arc<App>,
    only: Option<&str>,
    k: &Kvp,
    version: Version,
    headers: &HeaderMap,
) -> Answer<Response<Body>> {
    if let Some(service) = k.get("SERVICE").filter(|s| !s.eq_ignore_ascii_case("WMS")) {
        return Err(Problem::parameter("SERVICE", service, "expected WMS"));
    }
    let request = k.need("REQUEST")?;
    match request.to_ascii_lowercase().as_str() {
        "getcapabilities" | "capabilities" => capabilities::get(app, only, version, headers).await,
        "getmap" | "map" => map::get(app, only, k, version, headers).await,
        "getfeatureinfo" | "feature_info" => info::get(app, only, k, version, headers).await,
        "getlegendgraphic" => legend::get(app, only, k, headers).await,
        _ => {
            let why = "expected GetCapabilities, GetMap, GetFeatureInfo or GetLegendGraphic";
            Err(Problem::parameter("REQUEST", request, why).with("code", "OperationNotSupported"))
        }
    }
}

/// A service exception report (06-042 annex E.2): status 400 where the request was wrong.
fn exception(problem: &Problem, version: Version, headers: &HeaderMap) -> Response<Body> {
    let said = |key: &str| problem.extra.iter().find(|(k, _)| *k == key).and_then(|(_, v)| v.as_str());
    let (detail, parameter) = spoken(problem);
    let code = said("code").or(match parameter {
        // No code of the standard says that a parameter is missing.
        Some(_) if detail.ends_with(kvp::REQUIRED) => None,
        Some("LAYERS") => Some("LayerNotDefined"),
        Some("STYLES") => Some("StyleNotDefined"),
        Some("TIME" | "ELEVATION") => Some("InvalidDimensionValue"),
        Some("FORMAT") => Some("InvalidFormat"),
        Some("INFO_FORMAT") => Some("InvalidFormat"),
        Some("CRS") => Some(if version == Version::V111 { "InvalidSRS" } else { "InvalidCRS" }),
        Some("I" | "J") => Some("InvalidPoint"),
        Some(p) if p.starts_with("dim:") => Some("InvalidDimensionValue"),
        None if problem.kind.status() == StatusCode::NOT_FOUND => Some("LayerNotDefined"),
        _ => None,
    });
    let code = code.filter(|c| *c != NO_CODE);
    let mut x = Xml::new();
    let place = match version {
        Version::V130 => {
            "http://www.opengis.net/ogc http://schemas.opengis.net/wms/1.3.0/exceptions_1_3_0.xsd"
        }
        Version::V111 => "http://www.opengis.net/ogc http://schemas.opengis.net/wms/1.1.1/OGC-exception.xsd",
    };
    let attributes = [("version", version.name()), OGC, ows::XSI, ("xsi:schemaLocation", place)];
    x.node("ServiceExceptionReport", &attributes, |x| {
        let code: Vec<(&str, &str)> = code.map(|c| ("code", c)).into_iter().collect();
        x.said("ServiceException", &code, &detail);
    });
    let status = problem.kind.status();
    let status = if status.is_client_error() { StatusCode::BAD_REQUEST } else { status };
    let content_type = if version == Version::V111 { "application/vnd.ogc.se_xml" } else { ows::XML };
    ows::refusal(status, content_type, x.finish(), headers)
}

/// What is wrong with a parameter, by the name that this service gives it.
pub fn spoken(problem: &Problem) -> (String, Option<&str>) {
    let found = problem.extra.iter().find(|(k, _)| *k == "parameter").and_then(|(_, v)| v.as_str());
    let own = found.map(|name| match name {
        "variable" => "LAYERS",
        "colormap" => "STYLES",
        "datetime" => "TIME",
        "z" => "ELEVATION",
        "clim" => "COLORSCALERANGE",
        "width" => "WIDTH",
        "height" => "HEIGHT",
        other => other,
    });
    let rest = found.and_then(|name| problem.detail.strip_prefix(name));
    match (own, rest) {
        (Some(own), Some(rest)) => (format!("{own}{rest}"), Some(own)),
        _ => (problem.detail.clone(), own),
    }
}

fn describe(parameters: &[Value]) -> Value {
    let mut all = parameters.to_vec();
    all.extend([
        doc::query("service", "WMS, in any case; may be left out", "WMS"),
        doc::query("version", "Of the standard; another is answered by the nearest (OGC 06-121r3 section 7.3)", "1.3.0"),
        doc::choice("request", "GetCapabilities, GetMap, GetFeatureInfo or GetLegendGraphic; their parameters are those of OGC 06-042, and ncWMS's", &["GetCapabilities", "GetMap", "GetFeatureInfo", "GetLegendGraphic"]),
    ]);
    if let Some(request) = all.last_mut() {
        request["required"] = Value::from(true);
    }
    let mut operation = doc::get("Data", "Web Map Service (OGC 06-042)", &all, "text/xml");
    operation["responses"]["200"]["content"] = serde_json::json!({
        "text/xml": {"schema": {"type": "string"}},
        "image/png": {"schema": {}},
        "application/json": {"schema": {"type": "object"}},
    });
    // Version 1.1.1 has media types of its own.
    operation["responses"]["200"]["content"]["application/vnd.ogc.wms_xml"] =
        serde_json::json!({"schema": {"type": "string"}});
    for status in ["400", "404"] {
        operation["responses"][status] = serde_json::json!({"description": "A service exception report", "content": {
            "text/xml": {"schema": {"type": "string"}},
            "application/vnd.ogc.se_xml": {"schema": {"type": "string"}}}});
    }
    operation
}

pub fn describe_all() -> Value {
    describe(&[])
}

pub fn describe_one() -> Value {
    describe(&[doc::id()])
}
