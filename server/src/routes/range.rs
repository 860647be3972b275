//! `Range` of one object (RFC 9110 section 14).

use std::ops::Range;

/// Ranges of one request; beyond that a client takes the whole object more cheaply.
pub const MAX_RANGES: usize = 256;
/// About what one part of a multipart answer says of itself. Ranges that lie nearer to each
/// other than that are sent as one (RFC 9110 section 15.3.7.2).
const NEAR_BYTES: usize = 128;

/// What a `Range` header asks of an object of known length.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// No range, one that is not in bytes, or one that is not well formed: all of it.
    Whole,
    Part(Range<usize>),
    /// Two or more, in the order asked for but for those that were joined.
    Parts(Vec<Range<usize>>),
    /// Well formed, and all of it outside the object.
    Unsatisfiable,
    /// More than [`MAX_RANGES`].
    TooMany(usize),
}

pub fn parse(header: Option<&str>, len: usize) -> Wanted {
    let Some(specs) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else { return Wanted::Whole };
    if !specs.contains(',') {
        return match one(specs.trim(), len) {
            Spec::Malformed => Wanted::Whole,
            Spec::Outside => Wanted::Unsatisfiable,
            Spec::Inside(r) => Wanted::Part(r),
        };
    }
    // A list may have empty elements (RFC 9110 section 5.6.1).
    let specs = specs.split(',').map(str::trim).filter(|s| !s.is_empty());
    let count = specs.clone().count();
    if count > MAX_RANGES {
        return Wanted::TooMany(count);
    }
    let mut inside = Vec::with_capacity(count);
    for spec in specs {
        match one(spec, len) {
            Spec::Malformed => return Wanted::Whole,
            Spec::Outside => {}
            Spec::Inside(r) => inside.push(r),
        }
    }
    let mut joined = join(inside);
    match (joined.len(), count) {
        (0, 0) => Wanted::Whole,
        (0, _) => Wanted::Unsatisfiable,
        (1, _) => joined.pop().map_or(Wanted::Whole, Wanted::Part),
        _ => Wanted::Parts(joined),
    }
}

enum Spec {
    Malformed,
    Outside,
    Inside(Range<usize>),
}

fn one(spec: &str, len: usize) -> Spec {
    let Some((first, last)) = spec.split_once('-') else { return Spec::Malformed };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !digits(first) || !digits(last) {
        return Spec::Malformed;
    }
    // More digits than a usize holds lie past any end.
    let number = |s: &str| s.parse::<usize>().unwrap_or(usize::MAX);
    match (first.is_empty(), last.is_empty()) {
        (true, true) => Spec::Malformed,
        (true, false) => match number(last).min(len) {
            0 => Spec::Outside,
            n => Spec::Inside(len - n..len),
        },
        (false, open) => {
            let (first, last) = (number(first), if open { usize::MAX } else { number(last) });
            if last < first {
                Spec::Malformed
            } else if first >= len {
                Spec::Outside
            } else {
                Spec::Inside(first..last.min(len - 1) + 1)
            }
        }
    }
}

/// Joins what overlaps or is near; a joined range stands where its first one stood.
fn join(ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut sorted: Vec<(usize, Range<usize>)> = ranges.into_iter().enumerate().collect();
    sorted.sort_by_key(|(_, r)| r.start);
    let mut joined: Vec<(usize, Range<usize>)> = Vec::with_capacity(sorted.len());
    for (at, range) in sorted {
        match joined.last_mut() {
            Some((first, last)) if range.start <= last.end.saturating_add(NEAR_BYTES) => {
                last.end = last.end.max(range.end);
                *first = at.min(*first);
            }
            _ => joined.push((at, range)),
        }
    }
    joined.sort_by_key(|(at, _)| *at);
    joined.into_iter().map(|(_, r)| r).collect()
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
    fn what_is_no_byte_range_gets_the_whole() {
        for s in [
            "items=0-1",
            "bytes=9-0",
            "bytes=-",
            "bytes=a-b",
            "bytes",
            "bytes=+1-2",
            "",
            "bytes=,",
            "bytes=0-1,x",
            "bytes=0-1,9-5",
        ] {
            assert_eq!(parse(Some(s), 100), Wanted::Whole, "{s}");
        }
        assert_eq!(parse(None, 100), Wanted::Whole);
    }

    #[test]
    fn several_ranges_stay_in_their_order_and_near_ones_are_joined() {
        let p = |s: &str| parse(Some(s), 10_000);
        assert_eq!(p("bytes=5000-5009,0-9, -10"), Wanted::Parts(vec![5000..5010, 0..10, 9990..10_000]));
        assert_eq!(p("bytes=5000-5009,0-9,100-199"), Wanted::Parts(vec![5000..5010, 0..200]));
        // One that is left is no multipart.
        assert_eq!(p("bytes=0-9,10-19"), Wanted::Part(0..20));
        assert_eq!(p("bytes=0-9,,20000-"), Wanted::Part(0..10));
        assert_eq!(p("bytes=0-,5-9"), Wanted::Part(0..10_000));
        assert_eq!(p("bytes=10000-,20000-"), Wanted::Unsatisfiable);
    }

    #[test]
    fn a_request_of_very_many_ranges_is_told_so() {
        let list = |n: usize| format!("bytes={}", vec!["0-0"; n].join(","));
        assert_eq!(parse(Some(&list(MAX_RANGES)), 10), Wanted::Part(0..1));
        assert_eq!(parse(Some(&list(MAX_RANGES + 1)), 10), Wanted::TooMany(MAX_RANGES + 1));
    }
}
