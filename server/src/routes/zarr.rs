//! `/zarr/{id}/…`: stored bytes, unchanged but for parts of files that Zarr has no codec for.
//!
//! The hot path of the server: no router, no tracing span, no middleware, and for a chunk
//! that was asked for before no system call beyond the socket.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};
use axum::response::IntoResponse;
use graticule_shared::zarr::ArrayMeta;
use serde_json::{Value, json};

use super::chunks::{Object, Served};
use super::coding::Coding;
use super::respond::{self, JSON};
use super::stored::{self, OCTETS, Stored};
use super::{App, doc, stac};
use crate::problem::{Answer, Kind, Problem};

pub async fn any(app: Arc<App>, request: Request) -> Response<Body> {
    let (request, _) = request.into_parts();
    refused(&request, answer(&app, &request).await)
}

/// The answer, or the refusal with where it happened.
pub fn refused(request: &Parts, answer: Answer<Response<Body>>) -> Response<Body> {
    answer.unwrap_or_else(|problem| {
        let problem = problem.at(request.uri.path());
        tracing::debug!(path = request.uri.path(), detail = problem.detail, "refused");
        problem.into_response()
    })
}

/// What a request below `/zarr` or `/zarr2` names.
pub struct Named {
    pub served: Arc<Served>,
    /// `ID` or `ID@VERSION`.
    pub reference: String,
    /// Below the hierarchy's root; empty where the address is bare.
    pub key: String,
}

impl Named {
    pub fn id(&self) -> &str {
        self.reference.split_once('@').map_or(&*self.reference, |(id, _)| id)
    }
    /// True where the version is named.
    pub fn pinned(&self) -> bool {
        self.reference.contains('@')
    }
    /// `object` of this version, to be sent.
    pub fn stored<'a>(&'a self, object: &'a Object, content_type: HeaderValue) -> Stored<'a> {
        Stored {
            bytes: object.bytes.clone(),
            etag: &object.etag,
            content_type,
            modified: (&self.served.modified, self.served.modified_secs),
            version: &self.served.version,
            pinned: self.pinned(),
            headers: Vec::new(),
        }
    }
}

/// What is read below `root`; `None` for a preflight.
///
/// # Errors
/// A method that does not read, a key that leaves the store, no such collection or version.
pub async fn named(app: &App, request: &Parts, root: &str) -> Answer<Option<Named>> {
    if request.method == Method::OPTIONS {
        return Ok(None);
    }
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(Problem::new(
            Kind::MethodNotAllowed,
            format!("{} does not work here; GET, HEAD and OPTIONS do.", request.method),
        )
        .header(header::ALLOW, HeaderValue::from_static("GET,HEAD,OPTIONS")));
    }
    let path = request.uri.path().strip_prefix(root).and_then(|p| p.strip_prefix('/')).unwrap_or_default();
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
    if !key.is_empty() && !is_plain_key(key) {
        return Err(Problem::not_found(format!("{key:?} cannot be a key of a Zarr hierarchy.")));
    }
    Ok(Some(Named { served, reference: reference.to_owned(), key: key.to_owned() }))
}

async fn answer(app: &App, request: &Parts) -> Answer<Response<Body>> {
    let Some(named) = named(app, request, "/zarr").await? else { return Ok(respond::preflight()) };
    // The bare address of a hierarchy describes it, as a directory would.
    let key = if named.key.is_empty() { "zarr.json" } else { &named.key };
    let object = app.chunks.object(&named.served, key).await.map_err(Problem::of)?;
    let object = object.ok_or_else(|| match named.served.snapshot.array_of(key) {
        Some(array) => absent(&named, array, key),
        None => nothing(&named, key, ArrayMeta::grid_shape, |a| a.chunk_key(&vec![0; a.shape.len()])),
    })?;
    if !object.is_metadata {
        return stored::send(request, named.stored(&object, OCTETS));
    }
    let mut headers = Vec::new();
    if key == "zarr.json" {
        let id = named.id();
        let v2 = format!("/zarr2/{}", named.reference);
        let mut links = format!(
            "</api/collections/{id}>; rel=\"collection\"; type=\"{JSON}\", <{v2}>; rel=\"alternate\"; type=\"{}\"",
            stac::ZARR2_TYPE
        );
        if named.pinned() {
            links += &format!(", </zarr/{id}>; rel=\"latest-version\"; type=\"{}\"", stac::ZARR_TYPE);
        }
        headers.extend(HeaderValue::try_from(links).map(|v| (header::LINK, v)));
    }
    let bare = named.key.is_empty();
    send_metadata(app, request, &named, object, key, bare.then_some(stac::ZARR_TYPE), headers)
}

/// Metadata is text: packed where the client takes it so, and under `root_type` at the bare address
/// of a hierarchy, where nobody asks for a page or for JSON.
///
/// # Errors
/// As [`stored::send`].
pub fn send_metadata(
    app: &App,
    request: &Parts,
    named: &Named,
    object: Object,
    key: &str,
    root_type: Option<&'static str>,
    mut headers: Vec<(HeaderName, HeaderValue)>,
) -> Answer<Response<Body>> {
    let readable = |h: &HeaderMap| {
        let accept = h.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        accept.contains(JSON) || accept.contains("text/html")
    };
    let content_type = root_type.filter(|_| !readable(&request.headers)).unwrap_or(JSON);
    // Ranges are of the document as it is stored.
    let coding = match request.headers.contains_key(header::RANGE) {
        true => Coding::Identity,
        false => Coding::of(&request.headers, JSON, object.bytes.len()),
    };
    let object = app.chunks.packed(&named.served, key, object, coding).map_err(Problem::internal)?;
    headers.extend(coding.header().map(|v| (header::CONTENT_ENCODING, v)));
    let vary = if root_type.is_some() { "Accept, Accept-Encoding" } else { "Accept-Encoding" };
    headers.push((header::VARY, HeaderValue::from_static(vary)));
    let stored = named.stored(&object, HeaderValue::from_static(content_type));
    stored::send(request, Stored { headers, ..stored })
}

/// Nothing is stored at `key`, a chunk of `array`.
pub fn absent(named: &Named, array: &ArrayMeta, key: &str) -> Problem {
    let (reference, fill) = (&named.reference, &array.fill_value);
    Problem::not_found(format!(
        "Chunk {key:?} of {reference} is not stored: all of its values are the fill value, {fill}."
    ))
    .with("fill_value", fill.clone())
    .header(header::CACHE_CONTROL, stored::cache(named.pinned()))
}

/// `key` names nothing; where it is meant as a chunk's, how many chunks there are. `grid` says that
/// of an array, and `first` the key of the first.
pub fn nothing(
    named: &Named,
    key: &str,
    grid: impl Fn(&ArrayMeta) -> Vec<u64>,
    first: impl Fn(&ArrayMeta) -> String,
) -> Problem {
    let reference = &named.reference;
    let arrays = &named.served.snapshot.hierarchy().arrays;
    let chunk_of = || {
        key.rmatch_indices('/').find_map(|(at, _)| {
            let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | '/' | '-');
            let rest = key.get(at + 1..)?.trim_start_matches('c');
            arrays.get(key.get(..at)?).filter(|_| rest.chars().all(digits))
        })
    };
    Problem::not_found(match chunk_of() {
        Some(array) => {
            let counts: Vec<String> = grid(array).iter().map(u64::to_string).collect();
            let counts = if counts.is_empty() { "1".to_owned() } else { counts.join(" x ") };
            format!(
                "{key:?} is no chunk of {reference}: {} is cut into {counts} chunks, counted from 0; the first is {:?}.",
                array.path,
                first(array)
            )
        }
        None => format!(
            "Nothing is at {key:?} in {reference}: no node of the hierarchy, and no chunk of an array."
        ),
    })
}

/// A key names a node or a chunk and cannot leave the store.
fn is_plain_key(key: &str) -> bool {
    key.len() <= 1024
        && !key.contains('\\')
        && !key.contains('\0')
        && key.split('/').all(|s| !s.is_empty() && s != "." && s != "..")
}

/// For the OpenAPI document.
pub fn describe() -> Value {
    json!({
        "tags": ["Data"],
        "operationId": "getZarr",
        "summary": "Stored bytes of a Zarr v3 hierarchy",
        "description": "`reference` is a collection id (its latest version) or `id@version` (that version, \
            for ever). `key` is `zarr.json`, `ARRAY/zarr.json` or a chunk key such as `sst/c/0/0/0`. \
            GRIB messages and TIFF tiles of a cube of \
            references are handed out decoded and packed anew, as `zarr.json` says. A chunk that is not stored is 404 and means fill value.",
        "parameters": [
            doc::reference("reference"),
            {"name": "key", "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}},
            header("Range", "One byte range or several, at most 256; near ones are joined", "bytes=-1024"),
            header("If-Range", "A strong ETag: the ranges of this object, or all of another", "\"a\""),
            header("If-None-Match", "ETags of what is at hand", "\"a\""),
            header("If-Modified-Since", "When what is at hand was published", "Sun, 06 Nov 1994 08:49:37 GMT")
        ],
        "responses": {
            "200": {"description": "The whole object", "content": {
                "application/octet-stream": {},
                "application/json": {"schema": {"$ref": "#/components/schemas/ZarrNode"}},
                "application/vnd.zarr": {}}},
            "206": {"description": "The ranges asked for", "content": {
                "application/octet-stream": {},
                "multipart/byteranges": {},
                "application/json": {}}},
            "416": {"$ref": "#/components/responses/Problem"},
            "502": {"$ref": "#/components/responses/Problem"}
        }
    })
}

fn header(name: &str, description: &str, example: &str) -> Value {
    json!({"name": name, "in": "header", "description": description, "schema": {"type": "string"},
        "example": example})
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
