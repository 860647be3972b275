//! RFC 3339 as STAC and CQL2 want it: with a date, a time and an offset.

use graticule_shared::time::{Calendar, CfTime};

/// Seconds since 1970 of `2020-01-31T12:00:00Z`; `None` for anything less.
pub fn instant(text: &str) -> Option<f64> {
    let b = text.as_bytes();
    let digits = |from: usize, to: usize| b.get(from..to).is_some_and(|s| s.iter().all(u8::is_ascii_digit));
    let at = |i: usize, any: &[u8]| b.get(i).is_some_and(|c| any.contains(c));
    let formed = digits(0, 4)
        && at(4, b"-")
        && digits(5, 7)
        && at(7, b"-")
        && digits(8, 10)
        && at(10, b"Tt")
        && digits(11, 13)
        && at(13, b":")
        && digits(14, 16)
        && at(16, b":")
        && digits(17, 19);
    if !formed || b.len() > 64 {
        return None;
    }
    let mut zone = 19;
    if at(zone, b".") {
        zone += 1 + b[zone + 1..].iter().take_while(|c| c.is_ascii_digit()).count();
        if zone == 20 {
            return None;
        }
    }
    let offset_secs = match &b[zone..] {
        b"Z" | b"z" => 0.0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let number = |a: &u8, b: &u8| {
                (a.is_ascii_digit() && b.is_ascii_digit()).then(|| f64::from((a - b'0') * 10 + b - b'0'))
            };
            let (h, m) = (number(h1, h2)?, number(m1, m2)?);
            if h > 23.0 || m > 59.0 {
                return None;
            }
            (h * 3600.0 + m * 60.0) * if *sign == b'-' { -1.0 } else { 1.0 }
        }
        _ => return None,
    };
    let local = text.get(..zone)?.to_ascii_uppercase();
    let time = CfTime::parse(&local, Calendar::ProlepticGregorian).ok()?;
    Some(time.epoch_secs(Calendar::ProlepticGregorian) - offset_secs)
}

/// A date alone: its first second.
pub fn date(text: &str) -> Option<f64> {
    if text.len() != 10 { None } else { instant(&format!("{text}T00:00:00Z")) }
}

/// `datetime` of a search: an instant, or an interval with `..` or nothing for an open end.
pub fn interval(text: &str) -> Option<(f64, f64)> {
    let open = |s: &str| s.is_empty() || s == "..";
    if text.split_once('/').is_some_and(|(a, b)| open(a) && open(b)) {
        return None;
    }
    between(text, instant)
}

/// The same where people ask: a date, or less of one, is its first instant.
pub fn dates(text: &str) -> Option<(f64, f64)> {
    let calendar = Calendar::ProlepticGregorian;
    between(text, |s| {
        instant(s).or_else(|| Some(CfTime::parse(s.trim(), calendar).ok()?.epoch_secs(calendar)))
    })
}

fn between(text: &str, at: impl Fn(&str) -> Option<f64>) -> Option<(f64, f64)> {
    let end = |s: &str, open: f64| match s {
        "" | ".." => Some(open),
        s => at(s),
    };
    let (from, to) = match text.split_once('/') {
        Some((a, b)) => (end(a, f64::NEG_INFINITY)?, end(b, f64::INFINITY)?),
        None => (at(text)?, at(text)?),
    };
    (from <= to).then_some((from, to))
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
        assert_eq!(interval("../1970-01-01T00:00:01Z"), Some((f64::NEG_INFINITY, 1.0)));
        assert_eq!(interval("1970-01-01T00:00:01Z/"), Some((1.0, f64::INFINITY)));
        for bad in
            ["/", "../..", "1970-01-01T00:00:01Z/1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z/x", "a/b/c"]
        {
            assert_eq!(interval(bad), None, "{bad}");
        }
        assert_eq!(dates("1970-01-02/.."), Some((86_400.0, f64::INFINITY)));
        assert_eq!(dates("1970-01-02T00:00:00+01:00"), Some((82_800.0, 82_800.0)));
        assert_eq!((dates("soon"), dates("2020-01-02/2020-01-01")), (None, None));
    }
}
