//! `/api/wmts` and `/api/collections/{id}/wmts`: OGC Web Map Tile Service 1.0.0 (07-057r7), by
//! parameters; the RESTful tiles it names are those of `/map/tiles`.

mod capabilities;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::Value;

use super::map::{picture, tile};
use super::ows::kvp::{self, Kvp};
use super::ows::{self, xml::Xml};
use super::wms::{NO_CODE, choice, layer, spoken};
use super::{App, doc};
use crate::pictures::{Format, Request};
use crate::problem::{Answer, Problem};

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

/// `/api/wmts/1.0.0/WMTSCapabilities.xml` (07-057r7 section 10.1).
pub async fn document(State(app): State<Arc<App>>, headers: HeaderMap) -> Response<Body> {
    let answered = capabilities::get(&app, None, &headers).await;
    answered.unwrap_or_else(|problem| exception(&problem, &headers))
}

pub async fn document_of_one(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let answered = capabilities::get(&app, Some(&id), &headers).await;
    answered.unwrap_or_else(|problem| exception(&problem, &headers))
}

async fn answer(
    app: &Arc<App>,
    only: Option<&str>,
    text: Option<&str>,
    headers: &HeaderMap,
) -> Response<Body> {
    let answered = async {
        let k = Kvp::parse(text)?;
        dispatch(app, only, &k, headers).await
    };
    answered.await.unwrap_or_else(|problem| exception(&problem, headers))
}

async fn dispatch(
    app: &Arc<App>,
    only: Option<&str>,
    k: &Kvp,
    headers: &HeaderMap,
) -> Answer<Response<Body>> {
    if let Some(service) = k.get("SERVICE").filter(|s| !s.eq_ignore_ascii_case("WMTS")) {
        return Err(Problem::parameter("SERVICE", service, "expected WMTS"));
    }
    let request = k.need("REQUEST")?;
    match request.to_ascii_lowercase().as_str() {
        "getcapabilities" => capabilities::get(app, only, headers).await,
        "gettile" => get_tile(app, only, k, headers).await,
        _ => Err(Problem::parameter("REQUEST", request, "expected GetCapabilities or GetTile")
            .with("code", "OperationNotSupported")),
    }
}

async fn get_tile(
    app: &Arc<App>,
    only: Option<&str>,
    k: &Kvp,
    headers: &HeaderMap,
) -> Answer<Response<Body>> {
    let format = k.get("FORMAT").map_or(Ok(Format::Png), |f| Format::parse("FORMAT", f))?;
    let (opened, variable) = layer(app, only, "LAYER", k.need("LAYER")?).await?;
    let named = k.need("TILEMATRIXSET")?;
    let set = tile::find(named).map_err(|e| Problem::parameter("TILEMATRIXSET", named, e.detail))?;
    let frame = tile::frame(set, k.need("TILEMATRIX")?, k.need("TILEROW")?, k.need("TILECOL")?)
        .map_err(|e| Problem::bad_request(e.detail).with("code", "TileOutOfRange"))?;
    let request = Request {
        choice: choice(&opened, &variable, k)?,
        variable: Some(variable),
        frame,
        style: k.style(k.get("STYLE"))?,
        format,
        ground: None,
        only: None,
    };
    let made = app.pictures.draw(&opened, &request).await?;
    Ok(picture(app, &opened, format, &made, headers).answer(headers))
}

/// An exception report (OWS Common 1.1, 06-121r3 section 8).
fn exception(problem: &Problem, headers: &HeaderMap) -> Response<Body> {
    let said = |key: &str| problem.extra.iter().find(|(k, _)| *k == key).and_then(|(_, v)| v.as_str());
    let (detail, parameter) = spoken(problem);
    let status = problem.kind.status();
    let missing = problem.detail.ends_with(kvp::REQUIRED);
    let code = said("code").filter(|c| !["LayerNotDefined", NO_CODE].contains(c)).unwrap_or(match () {
        () if status.is_server_error() => "NoApplicableCode",
        () if missing => "MissingParameterValue",
        () => "InvalidParameterValue",
    });
    let status = match code {
        _ if status.is_client_error() => StatusCode::BAD_REQUEST,
        _ => status,
    };
    let mut x = Xml::new();
    let attributes = [
        ("xmlns", "http://www.opengis.net/ows/1.1"),
        ows::XSI,
        (
            "xsi:schemaLocation",
            "http://www.opengis.net/ows/1.1 http://schemas.opengis.net/ows/1.1.0/owsExceptionReport.xsd",
        ),
        ("version", "1.1.0"),
        ("xml:lang", "en"),
    ];
    x.node("ExceptionReport", &attributes, |x| {
        let mut about = vec![("exceptionCode", code)];
        about.extend(parameter.map(|p| ("locator", p)));
        x.node("Exception", &about, |x| x.leaf("ExceptionText", &detail));
    });
    ows::refusal(status, ows::XML, x.finish(), headers)
}

fn describe(parameters: &[Value]) -> Value {
    let mut all = parameters.to_vec();
    all.extend([
        doc::query("service", "WMTS, in any case; may be left out", "WMTS"),
        doc::query(
            "version",
            "Of the standard; another is answered by the nearest (OGC 06-121r3 section 7.3)",
            "1.0.0",
        ),
        doc::choice(
            "request",
            "GetCapabilities or GetTile; their parameters are those of OGC 07-057r7",
            &["GetCapabilities", "GetTile"],
        ),
    ]);
    if let Some(request) = all.last_mut() {
        request["required"] = Value::from(true);
    }
    let mut operation = doc::get("Data", "Web Map Tile Service (OGC 07-057r7)", &all, "text/xml");
    operation["responses"]["200"]["content"] = serde_json::json!({
        "text/xml": {"schema": {"type": "string"}},
        "image/png": {"schema": {}},
    });
    operation["responses"]["404"] = serde_json::json!({"description": "There is no such collection",
        "content": {"text/xml": {"schema": {"type": "string"}}}});
    operation["responses"]["400"] = serde_json::json!({"description": "An exception report",
        "content": {"text/xml": {"schema": {"type": "string"}}}});
    operation
}

pub fn describe_all() -> Value {
    describe(&[])
}

pub fn describe_one() -> Value {
    describe(&[doc::id()])
}

fn document_of(summary: &str, parameters: &[Value]) -> Value {
    let mut operation = doc::get("Data", summary, parameters, "text/xml");
    for status in ["400", "404"] {
        operation["responses"][status] = serde_json::json!({"description": "An exception report",
            "content": {"text/xml": {"schema": {"type": "string"}}}});
    }
    operation
}

pub fn describe_document() -> Value {
    document_of("Capabilities of the Web Map Tile Service", &[])
}

pub fn describe_document_of_one() -> Value {
    document_of("Capabilities of the Web Map Tile Service of a collection", &[doc::id()])
}
