//! How a document becomes a response: ETag, 304, compression, caching, once for all routes.

use std::io::Write;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::range::none_match;
use crate::catalog::tokens::hex;
use crate::problem::{Answer, Problem};

/// Below this, compression saves no packet.
const MIN_COMPRESSED: usize = 1024;

pub const JSON: &str = "application/json";
pub const GEOJSON: &str = "application/geo+json";
pub const EXPOSED: &str =
    "ETag, Content-Range, Content-Length, Accept-Ranges, Location, Link, Graticule-Version";

/// Marks a refusal whose shape a standard gives, so that it is left as it is.
#[derive(Clone)]
pub struct OwnShape;

pub struct Document {
    pub body: Vec<u8>,
    pub content_type: &'static str,
    pub cache: &'static str,
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Document {
    pub fn new(content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            content_type,
            cache: "no-cache",
            status: StatusCode::OK,
            headers: Vec::new(),
        }
    }

    /// # Errors
    /// None for the values that this server builds.
    pub fn json(value: &impl Serialize) -> Answer<Self> {
        Ok(Self::new(JSON, serde_json::to_vec(value).map_err(Problem::internal)?))
    }

    pub fn content_type(mut self, content_type: &'static str) -> Self {
        self.content_type = content_type;
        self
    }
    pub fn cache(mut self, cache: &'static str) -> Self {
        self.cache = cache;
        self
    }
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
    /// Adds a header; a value that no header can hold is left out.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(v) = HeaderValue::from_str(value) {
            self.headers.push((name, v));
        }
        self
    }

    /// Answers a request that had these headers.
    pub fn answer(self, request: &HeaderMap) -> Response<Body> {
        // Pictures are packed already.
        let packs = self.body.len() >= MIN_COMPRESSED && !self.content_type.starts_with("image/");
        let compress = packs && accepts(request, "gzip");
        let digest = Sha256::digest(&self.body);
        // A strong tag names the bytes sent, so the compressed form has its own.
        let etag = format!("\"{}{}\"", hex(&digest[..12]), if compress { "-gzip" } else { "" });
        let mut response = Response::new(Body::empty());
        let h = response.headers_mut();
        open_to_all(h);
        h.insert(header::CACHE_CONTROL, HeaderValue::from_static(self.cache));
        h.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if let Ok(v) = HeaderValue::from_str(&etag) {
            h.insert(header::ETAG, v);
        }
        for (name, value) in self.headers {
            h.append(name, value);
        }
        let known = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
        if self.status == StatusCode::OK && known.into_iter().any(|v| none_match(v, &etag)) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        let h = response.headers_mut();
        h.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        let body = if compress {
            match gzip(&self.body) {
                Ok(packed) => {
                    h.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                    packed
                }
                Err(_) => self.body,
            }
        } else {
            self.body
        };
        h.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        *response.status_mut() = self.status;
        *response.body_mut() = Body::from(Bytes::from(body));
        response
    }
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let out = Vec::with_capacity(body.len() / 4);
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

/// Data is public: any page may read it.
pub fn open_to_all(h: &mut HeaderMap) {
    h.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    h.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
}

/// True where `Accept-Encoding` lists `coding` without refusing it.
pub fn accepts(request: &HeaderMap, coding: &str) -> bool {
    request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok()).any(|list| {
        list.split(',').any(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding))
                && !parts.any(|p| p.replace(' ', "").trim_end_matches(['0', '.']) == "q=")
        })
    })
}

/// The answer to a preflight.
pub fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let h = response.headers_mut();
    open_to_all(h);
    h.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, OPTIONS"));
    h.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "Range, If-None-Match, If-Range, Authorization, Content-Type, Last-Event-ID",
        ),
    );
    h.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        let mut h = HeaderMap::new();
        h.insert(name, value.parse().unwrap());
        h
    }

    #[test]
    fn a_refused_coding_is_not_used() {
        assert!(accepts(&with(header::ACCEPT_ENCODING, "br, gzip;q=0.5"), "gzip"));
        assert!(!accepts(&with(header::ACCEPT_ENCODING, "br, gzip; q=0.0"), "gzip"));
        assert!(!accepts(&with(header::ACCEPT_ENCODING, "identity"), "gzip"));
    }

    #[test]
    fn each_encoding_has_its_own_tag_and_is_revalidated_by_it() {
        let text = vec![b'a'; 4096];
        let plain = Document::new(JSON, text.clone()).answer(&HeaderMap::new());
        let asked = with(header::ACCEPT_ENCODING, "gzip");
        let packed = Document::new(JSON, text.clone()).answer(&asked);
        assert_ne!(plain.headers()[header::ETAG], packed.headers()[header::ETAG]);
        let mut again = asked;
        again.insert(header::IF_NONE_MATCH, packed.headers()[header::ETAG].clone());
        assert_eq!(Document::new(JSON, text).answer(&again).status(), StatusCode::NOT_MODIFIED);
    }
}
