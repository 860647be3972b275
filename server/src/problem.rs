//! One shape for every refusal (RFC 9457).
//!
//! Whoever gets an error should be able to act on it without our source: what
//! was wrong, with which value, and what would be right. Handlers return
//! [`Problem`]; `routes::mod` fills in `instance` and turns whatever else goes
//! wrong (an unknown path, a wrong method, a panic) into the same shape.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

use crate::store::StoreError;

pub const MEDIA_TYPE: &str = "application/problem+json";

/// The kinds of problem, each with the anchor under `/api/docs` that explains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    Conflict,
    Gone,
    PreconditionFailed,
    TooLarge,
    UnsupportedMediaType,
    RangeNotSatisfiable,
    TooManyRequests,
    Internal,
    BrokenReference,
    Unavailable,
}

impl Kind {
    pub const ALL: [Kind; 16] = [
        Kind::BadRequest,
        Kind::Unauthorized,
        Kind::Forbidden,
        Kind::NotFound,
        Kind::MethodNotAllowed,
        Kind::NotAcceptable,
        Kind::Conflict,
        Kind::Gone,
        Kind::PreconditionFailed,
        Kind::TooLarge,
        Kind::UnsupportedMediaType,
        Kind::RangeNotSatisfiable,
        Kind::TooManyRequests,
        Kind::Internal,
        Kind::BrokenReference,
        Kind::Unavailable,
    ];

    pub const fn status(self) -> StatusCode {
        match self {
            Kind::BadRequest => StatusCode::BAD_REQUEST,
            Kind::Unauthorized => StatusCode::UNAUTHORIZED,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Kind::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Gone => StatusCode::GONE,
            Kind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Kind::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
            Kind::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Kind::BrokenReference => StatusCode::BAD_GATEWAY,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub const fn slug(self) -> &'static str {
        match self {
            Kind::BadRequest => "bad-request",
            Kind::Unauthorized => "unauthorized",
            Kind::Forbidden => "forbidden",
            Kind::NotFound => "not-found",
            Kind::MethodNotAllowed => "method-not-allowed",
            Kind::NotAcceptable => "not-acceptable",
            Kind::Conflict => "conflict",
            Kind::Gone => "gone",
            Kind::PreconditionFailed => "precondition-failed",
            Kind::TooLarge => "too-large",
            Kind::UnsupportedMediaType => "unsupported-media-type",
            Kind::RangeNotSatisfiable => "range-not-satisfiable",
            Kind::TooManyRequests => "too-many-requests",
            Kind::Internal => "internal",
            Kind::BrokenReference => "broken-reference",
            Kind::Unavailable => "unavailable",
        }
    }

    pub const fn title(self) -> &'static str {
        match self {
            Kind::BadRequest => "The request cannot be understood",
            Kind::Unauthorized => "A valid bearer token is needed",
            Kind::Forbidden => "This token does not allow that",
            Kind::NotFound => "There is nothing here",
            Kind::MethodNotAllowed => "This method does not work here",
            Kind::NotAcceptable => "No representation fits what was asked for",
            Kind::Conflict => "The present state does not allow that",
            Kind::Gone => "This was here and has been removed",
            Kind::PreconditionFailed => "What is here is not what the request means",
            Kind::TooLarge => "More than this server answers at once",
            Kind::UnsupportedMediaType => "The body has a type that is not read here",
            Kind::RangeNotSatisfiable => "The ranges cannot be answered",
            Kind::TooManyRequests => "This address has taken what it may for now",
            Kind::Internal => "The server failed",
            Kind::BrokenReference => "A file that this cube refers to has vanished or changed",
            Kind::Unavailable => "Not ready yet",
        }
    }

    /// The kind that stands for a bare status.
    pub fn of_status(status: StatusCode) -> Self {
        Self::ALL.into_iter().find(|k| k.status() == status).unwrap_or(if status.is_server_error() {
            Kind::Internal
        } else {
            Kind::BadRequest
        })
    }
}

#[derive(Debug, Clone)]
pub struct Problem {
    pub kind: Kind,
    pub detail: String,
    pub instance: Option<String>,
    /// Members beside the standard ones.
    pub extra: Vec<(&'static str, Value)>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// What a handler gives back.
pub type Answer<T = Response<Body>> = Result<T, Problem>;

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), instance: None, extra: Vec::new(), headers: Vec::new() }
    }
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Kind::BadRequest, detail)
    }
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, detail)
    }
    /// The reader learns that it failed; the log learns why.
    pub fn internal(why: impl std::fmt::Display) -> Self {
        tracing::error!(error = %why, "a request failed");
        Self::new(
            Kind::Internal,
            "The request was understood, but answering it failed. The server's log says why.",
        )
    }
    /// What stands behind an error: a problem of its own, else [`Problem::internal`].
    pub fn of(why: anyhow::Error) -> Self {
        match why.downcast::<StoreError>() {
            Ok(e @ StoreError::Origin { .. }) => e.into(),
            Ok(e) => Self::internal(e),
            Err(why) => Self::internal(why),
        }
    }
    /// A query parameter whose value is not as it should be.
    pub fn parameter(name: &str, value: &str, expected: impl std::fmt::Display) -> Self {
        let shown: String = value.chars().take(120).collect();
        Self::bad_request(format!("{name}={shown:?}: {expected}")).with("parameter", name)
    }
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.extra.push((key, value.into()));
        self
    }
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
    /// Says where it happened, and which OGC requirement it follows from, where one does.
    pub fn at(mut self, instance: &str) -> Self {
        self.instance.get_or_insert_with(|| instance.to_owned());
        if let Some(requirement) = crate::requirements::of(self.kind, instance, self.refused_parameter())
            && !self.extra.iter().any(|(k, _)| *k == "requirement")
        {
            self.extra.push(("requirement", requirement.into()));
        }
        self
    }

    /// The parameter whose value is refused.
    pub fn refused_parameter(&self) -> Option<&str> {
        self.extra.iter().find(|(k, _)| *k == "parameter").and_then(|(_, v)| v.as_str())
    }

    pub fn body(&self) -> Vec<u8> {
        let mut o = Map::new();
        o.insert("type".into(), json!(format!("/api/docs#problem-{}", self.kind.slug())));
        o.insert("title".into(), json!(self.kind.title()));
        o.insert("status".into(), json!(self.kind.status().as_u16()));
        o.insert("detail".into(), json!(self.detail));
        if let Some(i) = &self.instance {
            o.insert("instance".into(), json!(i));
        }
        for (k, v) in &self.extra {
            o.entry(*k).or_insert_with(|| v.clone());
        }
        serde_json::to_vec(&o).unwrap_or_default()
    }
}

impl From<StoreError> for Problem {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::BadId(_) | StoreError::NoCollection(_) => {
                Self::not_found(format!("{e}; /api/collections lists those there are"))
            }
            StoreError::NoVersion { ref collection, .. } => {
                let there = format!("/api/collections/{collection}/versions");
                Self::not_found(format!("{e}; {there} lists those it has"))
            }
            StoreError::Expired { ref collection, .. } => {
                let there = format!("/api/collections/{collection}/versions");
                Self::new(Kind::Gone, format!("{e}; {there} lists those that stand"))
            }
            StoreError::AlreadyLatest { .. } | StoreError::RetiredAlready(_) | StoreError::InTheWay(_) => {
                Self::new(Kind::Conflict, e.to_string())
            }
            StoreError::Origin { ref file, .. } => {
                let file = file.display().to_string();
                Self::new(Kind::BrokenReference, e.to_string()).with("file", file)
            }
            StoreError::Busy(_)
            | StoreError::IsView(_)
            | StoreError::View { .. }
            | StoreError::HasViews { .. } => Self::new(Kind::Conflict, e.to_string()),
            e => Self::internal(e),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = self.kind.status();
        let h = response.headers_mut();
        h.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        h.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        crate::routes::respond::open_to_all(h);
        if self.kind == Kind::Unauthorized {
            h.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"graticule\""));
        }
        for (name, value) in &self.headers {
            h.insert(name.clone(), value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_which_value_and_what_would_be_right() {
        let p = Problem::parameter("coords", "POINT(1)", "expected POINT(longitude latitude)")
            .at("/api/collections/a/position");
        let body: Value = serde_json::from_slice(&p.body()).unwrap();
        assert_eq!(body["status"], 400);
        assert_eq!(body["parameter"], "coords");
        assert_eq!(body["instance"], "/api/collections/a/position");
        assert!(body["detail"].as_str().unwrap().contains("POINT(1)"));
    }

    #[test]
    fn every_status_has_one_kind() {
        for k in Kind::ALL {
            assert_eq!(Kind::of_status(k.status()), k);
        }
        assert_eq!(Kind::of_status(StatusCode::IM_A_TEAPOT), Kind::BadRequest);
    }
}
