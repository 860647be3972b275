//! The explorer and everything it loads, carried in the binary.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::coding::{Coding, quality};
use super::conditional::{Validators, Verdict};
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
    let takes = |coding| quality(request, coding).is_some_and(|q| q > 0);
    let packed = |coding| file.brotli.filter(|_| takes(coding));
    // Browsers take Brotli over TLS alone.
    let (coding, body) = if let Some(packed) = packed("br") {
        (Coding::Brotli, Bytes::from_static(packed))
    } else if let Some(packed) = packed("gzip").and_then(|_| gzipped(file)) {
        (Coding::Gzip, packed)
    } else {
        (Coding::Identity, Bytes::from_static(file.bytes))
    };
    let etag = coding.tagged(file.etag);
    let mut response = Response::new(Body::empty());
    let h = response.headers_mut();
    respond::open_to_all(h);
    let cache = if file.is_hashed() { "public, max-age=31536000, immutable" } else { "public, no-cache" };
    h.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    h.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Ok(v) = HeaderValue::from_str(&etag) {
        h.insert(header::ETAG, v);
    }
    let now = Validators { etag: &etag, modified_secs: None };
    if now.judge(request) == Verdict::Known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    let h = response.headers_mut();
    h.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    h.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    if let Some(v) = coding.header() {
        h.insert(header::CONTENT_ENCODING, v);
    }
    h.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = Body::from(body);
    response
}

/// Packed once, when it is first asked for; there are as many as the binary has files.
fn gzipped(file: &'static File) -> Option<Bytes> {
    static PACKED: LazyLock<Mutex<HashMap<&str, Option<Bytes>>>> = LazyLock::new(Mutex::default);
    let mut kept = PACKED.lock().unwrap_or_else(PoisonError::into_inner);
    kept.entry(file.path).or_insert_with(|| Coding::Gzip.pack(file.bytes).ok().map(Bytes::from)).clone()
}
