//! RFC 3339 as STAC and CQL2 want it: with a date, a time and an offset.

use graticule_shared::time::{Calendar, CfTime};

use super::properties::cut;

/// Seconds since 1970 of `2020-01-31T12:00:00Z`; `None` for anything less.
pub fn instant(text: &str) -> Option<f64> {
    // RFC 3339 would let a space stand for the T; STAC does not.
    matches!(text.as_bytes().get(10), Some(b'T' | b't')).then_some(())?;
    let at = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some(at.timestamp() as f64 + f64::from(at.timestamp_subsec_nanos()) / 1e9)
}

/// A date alone: its first second.
pub fn date(text: &str) -> Option<f64> {
    if text.len() != 10 { None } else { instant(&format!("{text}T00:00:00Z")) }
}

const EXPECTED: &str = "expected an instant such as 2020-01-31T12:00:00Z, or an interval such as 2020-01-01T00:00:00Z/.. with .. for an open end";
const EXPECTED_DATE: &str = "expected a date such as 2020-01-31, an instant such as 2020-01-31T12:00:00Z, or an interval such as 2020-01-01/.. with .. for an open end";

/// `datetime` of a search: an instant, or an interval with `..` or nothing for an open end.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn interval(text: &str) -> Result<(f64, f64), String> {
    between(text, EXPECTED, instant)
}

/// The same where people ask: a date, or less of one, is its first instant.
///
/// # Errors
/// As [`interval`].
pub fn dates(text: &str) -> Result<(f64, f64), String> {
    let calendar = Calendar::ProlepticGregorian;
    between(text, EXPECTED_DATE, |s| {
        // A year has four digits (ISO 8601), and "0" is nobody's date.
        let year = s.bytes().take_while(u8::is_ascii_digit).count();
        let date = || Some(CfTime::parse(s, calendar).ok()?.epoch_secs(calendar));
        instant(s).or_else(|| (year == 4 || year == 8).then(date).flatten())
    })
}

fn between(text: &str, expected: &str, at: impl Fn(&str) -> Option<f64>) -> Result<(f64, f64), String> {
    let instant = |s: &str| {
        let no = || if s == text { expected.to_owned() } else { format!("{:?} is none; {expected}", cut(s)) };
        at(s).ok_or_else(no)
    };
    let end = |s: &str, open: f64| match s {
        "" | ".." => Ok(open),
        s => instant(s),
    };
    match text.split_once('/') {
        Some(("" | "..", "" | "..")) => Err(format!("both ends are open; {expected}")),
        Some((a, b)) => {
            let (from, to) = (end(a, f64::NEG_INFINITY)?, end(b, f64::INFINITY)?);
            if from > to {
                let why = "it ends before it begins; expected the earlier end first";
                return Err(format!("{why}, {}/{}", cut(b), cut(a)));
            }
            Ok((from, to))
        }
        None => instant(text).map(|at| (at, at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_have_a_date_a_time_and_an_offset() {
        assert_eq!(instant("1970-01-02T00:00:01Z"), Some(86_401.0));
        assert_eq!(instant("1970-01-01t01:00:00.5+01:00"), Some(0.5));
        assert_eq!(instant("1970-01-01T00:00:00-00:30"), Some(1800.0));
        for bad in [
            "1985-04-12",
            "1985-12-12T23:20:50.52",
            "1985-04-12T23:20:50,Z",
            "1985-13-12T23:20:50Z",
            "1985-12-32T23:20:50Z",
            "85-04-12T23:20:50Z",
            "1985-12-01T25:20:50Z",
            "1985-12-01T00:60:50Z",
            "1985-12-01T00:06:61Z",
            "1990-12-31T23:59:61Z",
            "1986-04-12T23:20:50.52+25:00",
            "1985-12-12T23:20:50.Z",
            "",
            "Z",
            "ä985-04-12T23:20:50Z",
        ] {
            assert_eq!(instant(bad), None, "{bad}");
        }
    }

    #[test]
    fn intervals_may_be_open_at_one_end() {
        assert_eq!(interval("../1970-01-01T00:00:01Z"), Ok((f64::NEG_INFINITY, 1.0)));
        assert_eq!(interval("1970-01-01T00:00:01Z/"), Ok((1.0, f64::INFINITY)));
        assert_eq!(dates("1970-01-02/.."), Ok((86_400.0, f64::INFINITY)));
        assert_eq!(dates("1970-01-02T00:00:00+01:00"), Ok((82_800.0, 82_800.0)));
    }

    #[test]
    fn what_is_no_interval_is_refused_with_what_is_wrong_of_it() {
        for (bad, said) in [
            ("/", "both ends are open"),
            ("../..", "both ends are open"),
            (
                "1970-01-01T00:00:01Z/1970-01-01T00:00:00Z",
                "ends before it begins; expected the earlier end first, 1970-01-01T00:00:00Z/1970-01-01T00:00:01Z",
            ),
            ("1970-01-01T00:00:00Z/x", "\"x\" is none; expected an instant"),
            ("a/b/c", "\"a\" is none"),
            ("1970-01-01", "expected an instant"),
        ] {
            let e = interval(bad).unwrap_err();
            assert!(e.contains(said), "{bad}: {e}");
        }
        for (bad, said) in [("soon", "expected a date"), ("2020-01-02/2020-01-01", "2020-01-01/2020-01-02")] {
            let e = dates(bad).unwrap_err();
            assert!(e.contains(said), "{bad}: {e}");
        }
    }
}
