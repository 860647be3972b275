//! How a route says that it will go: never silently.
//!
//! A route that is marked in the table answers with `Deprecation` (RFC 9745), with `Sunset` (RFC 8594) once
//! its end is decided, and with links to what takes its place and to the policy; the OpenAPI document
//! marks the operation. docs/http.md says how long it stays.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use serde_json::{Value, json};

use super::conditional::http_date;

/// Where the policy is explained.
const POLICY: &str = "/api/docs#deprecation";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deprecation {
    /// Seconds since 1970.
    pub since_secs: u64,
    /// When it will be gone, where that is decided.
    pub sunset_secs: Option<u64>,
    /// What takes its place.
    pub successor: Option<String>,
}

impl Deprecation {
    /// Says it in a response's head.
    pub fn tell(&self, h: &mut HeaderMap) {
        let mut add = |name: HeaderName, text: String| {
            if let Ok(v) = HeaderValue::try_from(text) {
                h.append(name, v);
            }
        };
        add(HeaderName::from_static("deprecation"), format!("@{}", self.since_secs));
        if let Some(at) = self.sunset_secs {
            add(HeaderName::from_static("sunset"), http_date(at));
        }
        let successor = self.successor.iter().map(|s| format!("<{s}>; rel=\"successor-version\", "));
        let links: String = successor.collect();
        add(header::LINK, format!("{links}<{POLICY}>; rel=\"deprecation\"; type=\"text/html\""));
    }

    /// Says it in every response of a route.
    pub async fn told(self, mut response: Response<Body>) -> Response<Body> {
        self.tell(response.headers_mut());
        response
    }

    /// Says it of an operation of the OpenAPI document.
    pub fn describe(&self, operation: &mut Value) {
        operation["deprecated"] = json!(true);
        let instead = self.successor.as_ref().map_or(String::new(), |s| format!(" Use {s}."));
        let end = self.sunset_secs.map_or(String::new(), |at| format!(" It ends on {}.", http_date(at)));
        let before = operation["description"].as_str().map_or(String::new(), |d| format!("{d} "));
        operation["description"] = json!(format!("{before}Deprecated.{instead}{end}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deprecated_route_says_so_in_its_head_and_in_the_document() {
        let of = Deprecation {
            since_secs: 1_688_169_599,
            sunset_secs: Some(1_719_791_999),
            successor: Some("/api/collections/{id}/position".to_owned()),
        };
        let mut h = HeaderMap::new();
        of.tell(&mut h);
        assert_eq!(h["deprecation"], "@1688169599");
        assert_eq!(h["sunset"], "Sun, 30 Jun 2024 23:59:59 GMT");
        assert!(h["link"].to_str().unwrap().contains("rel=\"deprecation\""));
        let mut operation = json!({"description": "Values."});
        of.describe(&mut operation);
        assert_eq!(operation["deprecated"], true);
        assert!(operation["description"].as_str().unwrap().starts_with("Values. Deprecated. Use /api"));
    }
}
