//! How a document becomes a response: ETag, 304, compression, caching, once for all routes.

use std::any::Any;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use base64::Engine;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Deprecation;
use super::coding::Coding;
use super::conditional::{Validators, Verdict, http_date};
use super::links;
use crate::catalog::tokens::hex;
use crate::problem::{Answer, Problem};

pub const JSON: &str = "application/json";
pub const GEOJSON: &str = "application/geo+json";
pub const EXPOSED: &str = "ETag, Last-Modified, Content-Range, Content-Length, Accept-Ranges, Location, Link, Retry-After, \
     RateLimit, RateLimit-Policy, Deprecation, Sunset, Repr-Digest, Content-Crs, Content-Bbox, Preference-Applied, \
     Graticule-Version, Graticule-Citation, Graticule-Cost";

const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// Marks a refusal whose shape a standard gives, so that it is left as it is.
#[derive(Clone)]
pub struct OwnShape;

pub struct Document {
    pub body: Vec<u8>,
    pub content_type: &'static str,
    pub cache: &'static str,
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    modified_secs: Option<u64>,
    is_digested: bool,
}

impl Document {
    pub fn new(content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            content_type,
            cache: "no-cache",
            status: StatusCode::OK,
            headers: Vec::new(),
            modified_secs: None,
            is_digested: false,
        }
    }

    /// A document of JSON; what it links to is said in a `Link` header too.
    ///
    /// # Errors
    /// None for the values that this server builds.
    pub fn json(value: &(impl Serialize + 'static)) -> Answer<Self> {
        let document = Self::new(JSON, serde_json::to_vec(value).map_err(Problem::internal)?);
        let links = (value as &dyn Any).downcast_ref::<Value>().and_then(|v| links::header(&v["links"]));
        Ok(match links {
            Some(links) => document.header(header::LINK, &links),
            None => document,
        })
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
    /// When it last changed, in seconds since 1970.
    pub fn modified(mut self, secs: u64) -> Self {
        self.modified_secs = Some(secs);
        self
    }
    /// Says the SHA-256 of what is sent (`Repr-Digest`, RFC 9530).
    pub fn digested(mut self) -> Self {
        self.is_digested = true;
        self
    }
    /// What is described here has been replaced, or will go.
    pub fn deprecated(mut self, how: &Deprecation) -> Self {
        let mut h = HeaderMap::new();
        how.tell(&mut h);
        self.headers.extend(h.iter().map(|(name, value)| (name.clone(), value.clone())));
        self
    }
    /// Adds a header; a value that no header can hold is left out.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(v) = HeaderValue::from_str(value) {
            self.headers.push((name, v));
        }
        self
    }

    /// Answers HEAD where the body has not been made: with what GET would say of it, but for its
    /// length, tag and digest (RFC 9110, section 9.3.2).
    pub fn unmade(self) -> Response<Body> {
        // Of no known length, or 0 would be said.
        let nothing = futures::stream::empty::<Result<Bytes, std::convert::Infallible>>();
        let mut response = Response::new(Body::from_stream(nothing));
        *response.status_mut() = self.status;
        let h = response.headers_mut();
        self.describe(h);
        h.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        response
    }

    /// What is said of it whether it is sent or not.
    fn describe(&self, h: &mut HeaderMap) {
        open_to_all(h);
        h.insert(header::CACHE_CONTROL, HeaderValue::from_static(self.cache));
        h.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if let Some(Ok(v)) = self.modified_secs.map(|at| HeaderValue::from_str(&http_date(at))) {
            h.insert(header::LAST_MODIFIED, v);
        }
        for (name, value) in &self.headers {
            h.append(name, value.clone());
        }
    }

    /// Answers a request that had these headers.
    pub fn answer(self, request: &HeaderMap) -> Response<Body> {
        let mut coding = Coding::of(request, self.content_type, self.body.len());
        let whole = Sha256::digest(&self.body);
        let digest = hex(&whole[..12]);
        let etag = coding.tagged(&digest);
        let mut response = Response::new(Body::empty());
        let h = response.headers_mut();
        self.describe(h);
        if let Ok(v) = HeaderValue::from_str(&etag) {
            h.insert(header::ETAG, v);
        }
        if self.status == StatusCode::OK {
            let now = Validators { etag: &etag, modified_secs: self.modified_secs };
            match now.judge(request) {
                Verdict::Send => {}
                Verdict::Known => {
                    *response.status_mut() = StatusCode::NOT_MODIFIED;
                    return response;
                }
                Verdict::Another => return now.another().into_response(),
            }
        }
        let body = match coding {
            Coding::Identity => self.body,
            _ => coding.pack(&self.body).unwrap_or_else(|e| {
                tracing::warn!(error = %e, ?coding, "text cannot be packed");
                coding = Coding::Identity;
                self.body
            }),
        };
        let h = response.headers_mut();
        if self.is_digested {
            // Of the representation, its coding included.
            let own = if matches!(coding, Coding::Identity) { whole } else { Sha256::digest(&body) };
            let text = format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(own));
            if let Ok(v) = HeaderValue::from_str(&text) {
                h.insert(REPR_DIGEST, v);
            }
        }
        if let Ok(v) = HeaderValue::from_str(&coding.tagged(&digest)) {
            h.insert(header::ETAG, v);
        }
        if let Some(v) = coding.header() {
            h.insert(header::CONTENT_ENCODING, v);
        }
        h.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        h.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        *response.status_mut() = self.status;
        *response.body_mut() = Body::from(Bytes::from(body));
        response
    }
}

/// Data is public: any page may read it.
pub fn open_to_all(h: &mut HeaderMap) {
    h.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    h.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
}

/// Sends a request on, with its method and its body (RFC 9110, section 15.4.9).
pub fn elsewhere(path: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let h = response.headers_mut();
    open_to_all(h);
    if let Ok(v) = HeaderValue::from_str(path) {
        h.insert(header::LOCATION, v);
    }
    response
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
            "Range, If-None-Match, If-Modified-Since, If-Match, If-Unmodified-Since, If-Range, Authorization, Content-Type, Last-Event-ID, Prefer",
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
    fn each_encoding_has_its_own_tag_and_is_revalidated_by_it() {
        let text = vec![b'a'; 4096];
        let mut tags =
            vec![Document::new(JSON, text.clone()).answer(&HeaderMap::new()).headers()[header::ETAG].clone()];
        for coding in ["gzip", "br", "zstd"] {
            let asked = with(header::ACCEPT_ENCODING, coding);
            let packed = Document::new(JSON, text.clone()).answer(&asked);
            assert_eq!(packed.headers()[header::CONTENT_ENCODING], coding);
            let tag = packed.headers()[header::ETAG].clone();
            assert!(!tags.contains(&tag), "{coding}");
            let mut again = asked;
            again.insert(header::IF_NONE_MATCH, tag.clone());
            tags.push(tag);
            assert_eq!(Document::new(JSON, text.clone()).answer(&again).status(), StatusCode::NOT_MODIFIED);
        }
    }

    #[test]
    fn what_has_not_been_made_is_described_as_what_has() {
        let document = || {
            Document::new(JSON, vec![b'a'; 10])
                .modified(86_400)
                .cache("no-store")
                .header(HeaderName::from_static("graticule-version"), "V")
        };
        let sent = document().answer(&HeaderMap::new()).headers().clone();
        let mut said = document().unmade().headers().clone();
        said.insert(header::ETAG, sent[header::ETAG].clone());
        said.insert(header::CONTENT_LENGTH, sent[header::CONTENT_LENGTH].clone());
        assert_eq!(said, sent);
        assert!(sent.contains_key(header::LAST_MODIFIED));
    }

    #[test]
    fn what_a_document_links_to_is_said_in_its_header() {
        let body =
            serde_json::json!({"links": [{"rel": "next", "href": "/b?token=1", "type": "application/json"}]});
        let reply = Document::json(&body).unwrap().answer(&HeaderMap::new());
        assert_eq!(reply.headers()[header::LINK], "</b?token=1>; rel=\"next\"; type=\"application/json\"");
    }
}
