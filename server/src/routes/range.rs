//! `Range` of one object (RFC 9110 section 14).

use std::ops::Range;

/// What a `Range` header asks of an object of known length.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// No range, one that is not in bytes, several, or one that is not well formed: all of it.
    Whole,
    Part(Range<usize>),
    /// Well formed and outside the object.
    Unsatisfiable,
}

pub fn parse(header: Option<&str>, len: usize) -> Wanted {
    let Some(spec) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else { return Wanted::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !digits(first) || !digits(last) {
        return Wanted::Whole;
    }
    // More digits than a usize holds lie past any end.
    let number = |s: &str| s.parse::<usize>().unwrap_or(usize::MAX);
    match (first.is_empty(), last.is_empty()) {
        (true, true) => Wanted::Whole,
        (true, false) => match number(last).min(len) {
            0 => Wanted::Unsatisfiable,
            n => Wanted::Part(len - n..len),
        },
        (false, open) => {
            let (first, last) = (number(first), if open { usize::MAX } else { number(last) });
            if last < first {
                Wanted::Whole
            } else if first >= len {
                Wanted::Unsatisfiable
            } else {
                Wanted::Part(first..last.min(len - 1) + 1)
            }
        }
    }
}

/// True where one of the tags in `If-None-Match` is `etag`, compared weakly as
/// RFC 9110 section 13.1.2 wants it.
pub fn none_match(header: &str, etag: &str) -> bool {
    let bare = |t: &'_ str| t.trim().trim_start_matches("W/").to_owned();
    header.trim() == "*" || header.split(',').any(|t| bare(t) == bare(etag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let p = |s: &str| parse(Some(s), 100);
        assert_eq!(p("bytes=0-9"), Wanted::Part(0..10));
        assert_eq!(p("bytes=90-"), Wanted::Part(90..100));
        assert_eq!(p("bytes=-4"), Wanted::Part(96..100));
        assert_eq!(p("bytes=-400"), Wanted::Part(0..100));
        assert_eq!(p("bytes=50-1000"), Wanted::Part(50..100));
        assert_eq!(p("bytes=99-99"), Wanted::Part(99..100));
    }

    #[test]
    fn a_range_past_the_end_cannot_be_satisfied() {
        for s in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(parse(Some(s), 100), Wanted::Unsatisfiable, "{s}");
        }
        assert_eq!(parse(Some("bytes=-5"), 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn what_is_no_single_byte_range_gets_the_whole() {
        for s in
            ["bytes=0-1,5-9", "items=0-1", "bytes=9-0", "bytes=-", "bytes=a-b", "bytes", "bytes=+1-2", ""]
        {
            assert_eq!(parse(Some(s), 100), Wanted::Whole, "{s}");
        }
        assert_eq!(parse(None, 100), Wanted::Whole);
    }

    #[test]
    fn tags_match_in_lists_and_weakly() {
        assert!(none_match("\"a\", W/\"b\"", "\"b\""));
        assert!(none_match("*", "\"b\""));
        assert!(!none_match("\"bb\"", "\"b\""));
    }
}
