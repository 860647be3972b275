//! `/zarr/{id}/…`: stored bytes, unchanged but for parts of files that Zarr has no codec for.
//!
//! The hot path of the server: no router, no tracing span, no middleware, and for a chunk
//! that was asked for before no system call beyond the socket.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::App;
use super::chunks::{Object, Served};
use super::range::{self, Wanted};
use super::respond::{self, JSON};
use crate::problem::{Kind, Problem};

const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const REVALIDATE: HeaderValue = HeaderValue::from_static("public, no-cache");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const BYTES: HeaderValue = HeaderValue::from_static("bytes");
const ANYONE: HeaderValue = HeaderValue::from_static("*");

pub async fn any(app: Arc<App>, request: Request) -> Response<Body> {
    let (request, _) = request.into_parts();
    match answer(&app, &request).await {
        Ok(r) => r,
        Err(problem) => {
            let problem = problem.at(request.uri.path());
            tracing::debug!(path = request.uri.path(), detail = problem.detail, "refused");
            problem.into_response()
        }
    }
}

async fn answer(app: &App, request: &Parts) -> Result<Response<Body>, Problem> {
    if request.method == Method::OPTIONS {
        return Ok(respond::preflight());
    }
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(Problem::new(
            Kind::MethodNotAllowed,
            format!("{} does not work here; GET, HEAD and OPTIONS do.", request.method),
        )
        .header(header::ALLOW, HeaderValue::from_static("GET,HEAD,OPTIONS")));
    }
    let path = request.uri.path().strip_prefix("/zarr/").unwrap_or_default();
    // Keys are plain; the few clients that escape '@' or ':' are decoded.
    let decoded;
    let path = if path.contains('%') {
        decoded = percent_encoding::percent_decode_str(path)
            .decode_utf8()
            .map_err(|_| Problem::not_found("The path is not UTF-8."))?;
        &*decoded
    } else {
        path
    };
    let (reference, key) = path.split_once('/').unwrap_or((path, ""));
    let id = reference.split_once('@').map_or(reference, |(id, _)| id);
    let served = app.chunks.version(reference).await.map_err(|e| app.not_a_cube(id, e))?;
    // The bare address of a hierarchy describes it, as a directory would.
    let key = if key.is_empty() { "zarr.json" } else { key };
    if !is_plain_key(key) {
        return Err(Problem::not_found(format!("{key:?} cannot be a key of a Zarr hierarchy.")));
    }
    let object = app.chunks.object(&served, key).await.map_err(Problem::of)?.ok_or_else(|| {
        Problem::not_found(format!(
            "Nothing is stored at {key:?} in {reference}. A chunk that is not stored is all fill value."
        ))
    })?;
    send(request, &object, &served, reference.contains('@'))
}

/// A key names a node or a chunk and cannot leave the store.
fn is_plain_key(key: &str) -> bool {
    key.len() <= 1024
        && !key.contains('\\')
        && !key.contains('\0')
        && key.split('/').all(|s| !s.is_empty() && s != "." && s != "..")
}

fn send(request: &Parts, object: &Object, served: &Served, pinned: bool) -> Result<Response<Body>, Problem> {
    let asked = &request.headers;
    let text = |name| asked.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    let mut response = Response::new(Body::empty());
    let h = response.headers_mut();
    h.reserve(12);
    h.insert(header::ETAG, object.etag.clone());
    h.insert(header::CACHE_CONTROL, if pinned { IMMUTABLE } else { REVALIDATE });
    h.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANYONE);
    h.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(respond::EXPOSED));
    h.insert("graticule-version", served.version.clone());
    let etag = object.etag.to_str().unwrap_or_default();
    if text(header::IF_NONE_MATCH).is_some_and(|t| range::none_match(t, etag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    h.insert(header::ACCEPT_RANGES, BYTES);
    h.insert(header::CONTENT_TYPE, if object.is_metadata { HeaderValue::from_static(JSON) } else { OCTETS });
    let total = object.bytes.len();
    // A range of something that has changed since is no use: send all of it.
    let wanted = match text(header::IF_RANGE) {
        Some(tag) if tag.trim() != etag => Wanted::Whole,
        _ if request.method == Method::HEAD => Wanted::Whole,
        _ => range::parse(text(header::RANGE), total),
    };
    let body = match wanted {
        Wanted::Whole => object.bytes.clone(),
        Wanted::Part(r) => {
            let value = format!("bytes {}-{}/{total}", r.start, r.end - 1);
            h.insert(header::CONTENT_RANGE, HeaderValue::try_from(value).map_err(Problem::internal)?);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            object.bytes.slice(r)
        }
        Wanted::Unsatisfiable => {
            let asked = text(header::RANGE).unwrap_or_default();
            let value = HeaderValue::try_from(format!("bytes */{total}")).map_err(Problem::internal)?;
            return Err(Problem::new(
                Kind::RangeNotSatisfiable,
                format!("Range {asked:?} lies outside this object of {total} bytes."),
            )
            .header(header::CONTENT_RANGE, value));
        }
    };
    let h = response.headers_mut();
    h.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    if request.method != Method::HEAD {
        *response.body_mut() = Body::from(body);
    }
    Ok(response)
}

/// For the OpenAPI document.
pub fn describe() -> Value {
    json!({
        "summary": "Stored bytes of a Zarr v3 hierarchy",
        "description": "`reference` is a collection id (its latest version) or `id@version` (that version, \
            for ever). `key` is `zarr.json`, `ARRAY/zarr.json` or a chunk key such as `sst/c/0/0/0`. \
            GRIB messages and TIFF tiles of a cube of \
            references are handed out decoded and packed anew, as `zarr.json` says. One byte range is answered with 206; a chunk that is not stored is 404 and means fill value.",
        "parameters": [
            {"name": "reference", "in": "path", "required": true, "schema": {"type": "string"}},
            {"name": "key", "in": "path", "required": true, "schema": {"type": "string"}},
            {"name": "Range", "in": "header", "schema": {"type": "string"}, "example": "bytes=-1024"},
            {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}}
        ],
        "responses": {
            "200": {"description": "The whole object", "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                "application/json": {"schema": {"type": "object"}}}},
            "206": {"description": "The range asked for", "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
            "304": {"description": "Unchanged"},
            "404": {"$ref": "#/components/responses/Problem"},
            "416": {"$ref": "#/components/responses/Problem"},
            "502": {"$ref": "#/components/responses/Problem"}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::is_plain_key;

    #[test]
    fn keys_cannot_leave_the_store() {
        for bad in ["../x", "a/../b", "/etc", "a//b", "a\\b", ".", "a/./b", "a\0"] {
            assert!(!is_plain_key(bad), "{bad}");
        }
        assert!(is_plain_key("sst/c/0/0/0") && is_plain_key("1/lat/zarr.json"));
    }
}
