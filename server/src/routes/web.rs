//! The explorer and everything it loads, carried in the binary.

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::range::none_match;
use super::respond;
use crate::problem::{Answer, Problem};
use crate::web::{self, File};

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Graticule</title>\
    <body style=\"font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem\">\
    <h1>Graticule</h1><p>This server was built without its client. <code>make build</code> builds both.</p>\
    <p>The <a href=\"/api/docs\">API</a> works: <a href=\"/api/collections\">collections</a>.</p>";

pub async fn index(headers: HeaderMap) -> Response<Body> {
    page(&["index.html"], &headers)
}

pub async fn embed(headers: HeaderMap) -> Response<Body> {
    page(&["embed.html", "index.html"], &headers)
}

fn page(names: &[&str], headers: &HeaderMap) -> Response<Body> {
    match names.iter().find_map(|n| web::find(n)) {
        Some(file) => send(file, headers),
        None => respond::Document::new("text/html; charset=utf-8", NOT_BUILT).answer(headers),
    }
}

pub async fn file(Path(path): Path<String>, headers: HeaderMap) -> Answer<Response<Body>> {
    match web::find(&path) {
        Some(file) => Ok(send(file, &headers)),
        None => Err(Problem::not_found(format!(
            "/{path} is neither a file of the explorer nor a route; /api/openapi.json lists the routes."
        ))),
    }
}

fn send(file: &'static File, request: &HeaderMap) -> Response<Body> {
    let packed = file.brotli.filter(|_| respond::accepts(request, "br"));
    let etag = format!("\"{}{}\"", file.etag, if packed.is_some() { "-br" } else { "" });
    let mut response = Response::new(Body::empty());
    let h = response.headers_mut();
    respond::open_to_all(h);
    let cache = if file.is_hashed() { "public, max-age=31536000, immutable" } else { "public, no-cache" };
    h.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    h.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Ok(v) = HeaderValue::from_str(&etag) {
        h.insert(header::ETAG, v);
    }
    let known = request.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    if known.is_some_and(|v| none_match(v, &etag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    let h = response.headers_mut();
    h.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    h.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    if packed.is_some() {
        h.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    let body = packed.unwrap_or(file.bytes);
    h.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = Body::from(Bytes::from_static(body));
    response
}
