//! What OGC's older web services share: parameters whose names know no case, XML, layers.

pub mod kvp;
pub mod layers;
pub mod xml;

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode};

use super::respond::{Document, OwnShape};

pub const XML: &str = "text/xml; charset=utf-8";
pub const XLINK: (&str, &str) = ("xmlns:xlink", "http://www.w3.org/1999/xlink");
pub const XSI: (&str, &str) = ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance");

/// An exception in the service's own XML: these clients read no problem documents.
pub fn refusal(
    status: StatusCode,
    content_type: &'static str,
    body: String,
    headers: &HeaderMap,
) -> Response<Body> {
    let document = Document::new(content_type, body).status(status).cache("no-store");
    let mut response = document.answer(headers);
    response.extensions_mut().insert(OwnShape);
    response
}
