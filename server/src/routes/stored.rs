//! A stored object as a response: conditions, ranges, caching. `/zarr` and `/zarr2` send with it.

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use futures::stream;
use std::convert::Infallible;
use std::ops::Range;

use super::conditional::{Validators, Verdict};
use super::range::{self, Wanted};
use super::respond;
use crate::problem::{Answer, Kind, Problem};

const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const REVALIDATE: HeaderValue = HeaderValue::from_static("public, no-cache");
pub const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const BYTES: HeaderValue = HeaderValue::from_static("bytes");
const ANYONE: HeaderValue = HeaderValue::from_static("*");

/// One representation, and what is to be said of it.
pub struct Stored<'a> {
    pub bytes: Bytes,
    pub etag: &'a HeaderValue,
    pub content_type: HeaderValue,
    /// When the version was published: as a date, and in seconds since 1970.
    pub modified: (&'a HeaderValue, u64),
    pub version: &'a HeaderValue,
    /// True of a version that is named, and so never changes.
    pub pinned: bool,
    /// `Content-Encoding`, `Vary`, `Link`: of metadata.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// # Errors
/// A precondition that does not hold, a range that lies outside, too many ranges.
pub fn send(request: &Parts, object: Stored<'_>) -> Answer<Response<Body>> {
    let asked = &request.headers;
    let mut response = Response::new(Body::empty());
    let h = response.headers_mut();
    h.reserve(16);
    h.insert(header::ETAG, object.etag.clone());
    h.insert(header::LAST_MODIFIED, object.modified.0.clone());
    h.insert(header::CACHE_CONTROL, cache(object.pinned));
    h.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANYONE);
    h.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(respond::EXPOSED));
    h.insert("graticule-version", object.version.clone());
    for (name, value) in object.headers {
        h.insert(name, value);
    }
    let etag = object.etag.to_str().unwrap_or_default();
    let now = Validators { etag, modified_secs: Some(object.modified.1) };
    match now.judge(asked) {
        Verdict::Send => {}
        Verdict::Known => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        Verdict::Another => return Err(now.another()),
    }
    h.insert(header::ACCEPT_RANGES, BYTES);
    let total = object.bytes.len();
    let text = asked.get(header::RANGE).and_then(|v| v.to_str().ok());
    // A range of something that has changed since is no use: send all of it. And of a HEAD it means nothing.
    let counts = text.is_some() && request.method != Method::HEAD && now.range_counts(asked, object.pinned);
    let wanted = if counts { range::parse(text, total) } else { Wanted::Whole };
    let refused = |why: String| {
        let value = HeaderValue::try_from(format!("bytes */{total}")).map_err(Problem::internal)?;
        Err(Problem::new(Kind::RangeNotSatisfiable, why).header(header::CONTENT_RANGE, value))
    };
    let body = match wanted {
        Wanted::Whole => object.bytes,
        Wanted::Part(r) => {
            let value = HeaderValue::try_from(content_range(&r, total)).map_err(Problem::internal)?;
            h.insert(header::CONTENT_RANGE, value);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            object.bytes.slice(r)
        }
        Wanted::Parts(ranges) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            return multipart(response, &object.bytes, &ranges, &object.content_type);
        }
        Wanted::Unsatisfiable => {
            let shown: String = text.unwrap_or_default().chars().take(120).collect();
            return refused(format!("Range {shown:?} lies outside this object of {total} bytes."));
        }
        Wanted::TooMany(n) => {
            return refused(format!(
                "{n} ranges are asked for at once; at most {} are answered.",
                range::MAX_RANGES
            ));
        }
    };
    let h = response.headers_mut();
    h.insert(header::CONTENT_TYPE, object.content_type);
    h.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    if request.method != Method::HEAD {
        *response.body_mut() = Body::from(body);
    }
    Ok(response)
}

/// How long an answer about a version may be kept.
pub fn cache(pinned: bool) -> HeaderValue {
    if pinned { IMMUTABLE } else { REVALIDATE }
}

fn content_range(r: &Range<usize>, total: usize) -> String {
    format!("bytes {}-{}/{total}", r.start, r.end - 1)
}

/// Several ranges (RFC 9110 section 14.6); the bytes between the heads are not copied.
fn multipart(
    mut response: Response<Body>,
    whole: &Bytes,
    ranges: &[Range<usize>],
    content_type: &HeaderValue,
) -> Answer<Response<Body>> {
    let mut random = [0; 12];
    getrandom::fill(&mut random).map_err(Problem::internal)?;
    let boundary = crate::catalog::tokens::hex(&random);
    let kind = content_type.to_str().unwrap_or("application/octet-stream");
    let mut frames = Vec::with_capacity(2 * ranges.len() + 1);
    for (i, r) in ranges.iter().enumerate() {
        let head = format!(
            "{}--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {}\r\n\r\n",
            if i == 0 { "" } else { "\r\n" },
            content_range(r, whole.len())
        );
        frames.push(Bytes::from(head));
        frames.push(whole.slice(r.clone()));
    }
    frames.push(Bytes::from(format!("\r\n--{boundary}--\r\n")));
    let length: usize = frames.iter().map(Bytes::len).sum();
    let h = response.headers_mut();
    let kind = format!("multipart/byteranges; boundary={boundary}");
    h.insert(header::CONTENT_TYPE, HeaderValue::try_from(kind).map_err(Problem::internal)?);
    h.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    *response.body_mut() = Body::from_stream(stream::iter(frames.into_iter().map(Ok::<_, Infallible>)));
    Ok(response)
}
