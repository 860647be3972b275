//! What went wrong with an attempt, and how long to rest before the next.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::recipe::source::Retries;

/// No server is waited for longer than this.
const LONGEST: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub struct Trouble {
    /// Another attempt cannot help.
    pub permanent: bool,
    pub said: String,
    /// When the server asks to come back.
    pub after: Option<Duration>,
}

impl Trouble {
    pub fn passing(said: impl Into<String>) -> Self {
        Self { permanent: false, said: said.into(), after: None }
    }

    pub fn lasting(said: impl Into<String>) -> Self {
        Self { permanent: true, said: said.into(), after: None }
    }

    /// RFC 9110: 408, 429 and the 500s may pass; what else refuses will refuse again.
    pub fn of_status(status: StatusCode, headers: &HeaderMap) -> Self {
        let passing = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
        let reason = status.canonical_reason().unwrap_or("no standard status");
        Self {
            permanent: !passing,
            said: format!("status {} {reason}", status.as_u16()),
            after: headers.get(RETRY_AFTER).and_then(|v| after(v.to_str().ok()?)),
        }
    }
}

impl From<reqwest::Error> for Trouble {
    fn from(e: reqwest::Error) -> Self {
        // The address may hold a signature: it is said by whoever knows how to show it.
        let e = e.without_url();
        let permanent = e.is_builder() || e.is_redirect();
        let mut said = e.to_string();
        let mut source = std::error::Error::source(&e);
        while let Some(s) = source {
            said.push_str(&format!(": {s}"));
            source = s.source();
        }
        Self { permanent, said, after: None }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(e: std::io::Error) -> Self {
        Self::lasting(format!("the download cannot be kept: {e}"))
    }
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn after(text: &str) -> Option<Duration> {
    let text = text.trim();
    let rest = match text.parse::<u64>() {
        Ok(secs) => Duration::from_secs(secs),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).unwrap_or_default(),
    };
    Some(rest.min(LONGEST))
}

/// The rest after attempt number `n`, from 1: doubled each time, and what the server asked for at least.
pub fn rest(retries: &Retries, n: u32, trouble: &Trouble) -> Duration {
    let own = retries.backoff.saturating_mul(1u32.checked_shl(n - 1).unwrap_or(u32::MAX)).min(LONGEST);
    own.max(trouble.after.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_double_and_a_server_may_ask_for_more_within_reason() {
        let r = Retries { attempts: 5, backoff: Duration::from_secs(2) };
        let plain = Trouble::passing("x");
        assert_eq!([1, 2, 3].map(|n| rest(&r, n, &plain).as_secs()), [2, 4, 8]);
        assert_eq!(rest(&r, 60, &plain), LONGEST);
        let asked = |v: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, v.parse().unwrap())]);
            rest(&r, 1, &Trouble::of_status(StatusCode::SERVICE_UNAVAILABLE, &headers))
        };
        assert_eq!(asked("30").as_secs(), 30);
        assert_eq!(asked("999999"), LONGEST);
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT").as_secs(), 2);
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
        assert!((55..=60).contains(&asked(&soon).as_secs()));
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let permanent = |n| Trouble::of_status(StatusCode::from_u16(n).unwrap(), &HeaderMap::new()).permanent;
        assert!([400, 401, 403, 404, 410].into_iter().all(permanent));
        assert!(![408, 429, 500, 502, 503, 504].into_iter().any(permanent));
    }
}
