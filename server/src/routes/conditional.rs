//! Conditional requests, in the order of RFC 9110 section 13.2.2, once for all routes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, header};

use crate::problem::{Kind, Problem};

/// What a request says of the representation that it would get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send it.
    Send,
    /// The client has it: 304.
    Known,
    /// It is not the one that the client means: 412.
    Another,
}

/// What one representation can be recognised by.
#[derive(Debug, Clone, Copy)]
pub struct Validators<'a> {
    /// Strong, quotes included.
    pub etag: &'a str,
    /// Seconds since 1970.
    pub modified_secs: Option<u64>,
}

impl Validators<'_> {
    pub fn judge(&self, request: &HeaderMap) -> Verdict {
        // What has no condition, which is nearly all, is done here.
        if !CONDITIONS.iter().any(|name| request.contains_key(name)) {
            return Verdict::Send;
        }
        let any = |name: HeaderName, strong: bool| {
            let mut lists = request.get_all(name).iter().peekable();
            lists.peek()?;
            Some(lists.filter_map(|v| v.to_str().ok()).any(|list| matches(list, self.etag, strong)))
        };
        let date = |name: HeaderName| date(request, name).zip(self.modified_secs);
        match any(header::IF_MATCH, true) {
            Some(false) => return Verdict::Another,
            Some(true) => {}
            None => {
                if date(header::IF_UNMODIFIED_SINCE).is_some_and(|(since, at)| at > since) {
                    return Verdict::Another;
                }
            }
        }
        match any(header::IF_NONE_MATCH, false) {
            Some(true) => Verdict::Known,
            Some(false) => Verdict::Send,
            // Only the very same date: a rollback makes something older the latest again.
            None => match date(header::IF_MODIFIED_SINCE) {
                Some((since, at)) if at == since => Verdict::Known,
                _ => Verdict::Send,
            },
        }
    }

    /// Whether a `Range` counts (RFC 9110 section 13.1.5). A date is strong enough only for what
    /// never changes.
    pub fn range_counts(&self, request: &HeaderMap, never_changes: bool) -> bool {
        let Some(value) = request.get(header::IF_RANGE) else { return true };
        let Ok(value) = value.to_str() else { return false };
        if value.contains('"') {
            return value.trim() == self.etag;
        }
        never_changes && date(request, header::IF_RANGE).is_some_and(|d| Some(d) == self.modified_secs)
    }

    /// The refusal of a request whose `If-Match` or `If-Unmodified-Since` does not hold.
    pub fn another(&self) -> Problem {
        Problem::new(
            Kind::PreconditionFailed,
            format!(
                "What is here now has the ETag {}, which is not what the request's If-Match or If-Unmodified-Since means.",
                self.etag
            ),
        )
    }
}

const CONDITIONS: [HeaderName; 4] =
    [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_MATCH, header::IF_UNMODIFIED_SINCE];

fn date(request: &HeaderMap, name: HeaderName) -> Option<u64> {
    let at = httpdate::parse_http_date(request.get(name)?.to_str().ok()?).ok()?;
    Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// As HTTP writes dates.
pub fn http_date(secs: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(secs)).unwrap_or(SystemTime::now());
    httpdate::fmt_http_date(at)
}

/// True where one of the tags in `If-None-Match` is `etag`, compared weakly as
/// RFC 9110 section 13.1.2 wants it.
pub fn none_match(header: &str, etag: &str) -> bool {
    matches(header, etag, false)
}

fn matches(list: &str, etag: &str, strong: bool) -> bool {
    let bare =
        |t: &'_ str| if strong { t.trim().to_owned() } else { t.trim().trim_start_matches("W/").to_owned() };
    list.trim() == "*" || list.split(',').any(|t| bare(t) == bare(etag))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 784_111_777;
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn judged(headers: &[(HeaderName, &str)]) -> Verdict {
        let request = headers.iter().map(|(n, v)| (n.clone(), v.parse().unwrap())).collect();
        Validators { etag: "\"b\"", modified_secs: Some(AT) }.judge(&request)
    }

    #[test]
    fn tags_match_in_lists_and_weakly() {
        assert!(none_match("\"a\", W/\"b\"", "\"b\""));
        assert!(none_match("*", "\"b\""));
        assert!(!none_match("\"bb\"", "\"b\""));
    }

    #[test]
    fn tags_come_before_dates_and_what_must_match_before_what_must_not() {
        assert_eq!(http_date(AT), SAME);
        assert_eq!(judged(&[]), Verdict::Send);
        assert_eq!(judged(&[(header::IF_NONE_MATCH, "\"b\"")]), Verdict::Known);
        assert_eq!(judged(&[(header::IF_MODIFIED_SINCE, SAME)]), Verdict::Known);
        let (tag, date) = ((header::IF_NONE_MATCH, "\"a\""), (header::IF_MODIFIED_SINCE, SAME));
        assert_eq!(judged(&[tag, date]), Verdict::Send);
        assert_eq!(judged(&[(header::IF_MATCH, "\"a\"")]), Verdict::Another);
        assert_eq!(judged(&[(header::IF_MATCH, "W/\"b\"")]), Verdict::Another);
        assert_eq!(judged(&[(header::IF_MATCH, "\"a\", \"b\"")]), Verdict::Send);
        let before = "Sun, 06 Nov 1994 08:49:36 GMT";
        assert_eq!(judged(&[(header::IF_UNMODIFIED_SINCE, before)]), Verdict::Another);
        assert_eq!(judged(&[(header::IF_UNMODIFIED_SINCE, SAME)]), Verdict::Send);
        assert_eq!(judged(&[(header::IF_MODIFIED_SINCE, "yesterday")]), Verdict::Send);
    }

    #[test]
    fn a_range_by_date_counts_only_of_what_never_changes() {
        let of = Validators { etag: "\"b\"", modified_secs: Some(AT) };
        let asked = |v: &str| HeaderMap::from_iter([(header::IF_RANGE, v.parse().unwrap())]);
        assert!(of.range_counts(&HeaderMap::new(), false));
        assert!(of.range_counts(&asked("\"b\""), false) && !of.range_counts(&asked("W/\"b\""), true));
        assert!(of.range_counts(&asked(SAME), true) && !of.range_counts(&asked(SAME), false));
    }
}
