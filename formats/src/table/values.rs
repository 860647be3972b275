//! From text to a value, and which kinds of value there are.

use graticule_shared::time::{Calendar, CfTime};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No value at all: it may become anything.
    Empty,
    Int64,
    Float64,
    Boolean,
    /// An instant in UTC, to the microsecond.
    Timestamp,
    Text,
}

impl Kind {
    pub const ALL: [Kind; 6] =
        [Kind::Empty, Kind::Int64, Kind::Float64, Kind::Boolean, Kind::Timestamp, Kind::Text];

    pub const fn name(self) -> &'static str {
        match self {
            Kind::Empty => "null",
            Kind::Int64 => "int64",
            Kind::Float64 => "float64",
            Kind::Boolean => "boolean",
            Kind::Timestamp => "timestamp",
            Kind::Text => "text",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.name() == name)
    }

    /// True where every value of this kind is one of `other` too, and reads the same.
    pub fn widens_to(self, other: Kind) -> bool {
        self == other
            || self == Kind::Empty
            || matches!((self, other), (Kind::Int64, Kind::Float64) | (_, Kind::Text))
    }
}

/// One value of one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Int(i64),
    Float(f64),
    Bool(bool),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Time(i64),
    Text(String),
}

/// What one text looks like, by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looks {
    /// Nothing, in any column.
    Missing,
    /// Nothing, in a column of numbers or times; a word elsewhere.
    PerhapsMissing,
    Int,
    /// Digits that would not be written so again: `007`.
    Code,
    Float,
    Boolean,
    Time,
    Text,
}

/// What `text`, without blanks around it, looks like.
pub(crate) fn looks(text: &str, missing: &[&str], decimal_comma: bool) -> Looks {
    if text.is_empty() || missing.contains(&text) {
        return Looks::Missing;
    }
    let first = text.as_bytes()[0];
    if first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.') {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
            let code = digits.len() > 1 && digits.starts_with('0');
            return match text.parse::<i64>() {
                Ok(0) if first == b'-' => Looks::Float,
                Ok(_) if code => Looks::Code,
                Ok(_) => Looks::Int,
                // More digits than an integer holds are a number only if they survive as one.
                Err(_) => Looks::Code,
            };
        }
        if float(text, decimal_comma).is_some() {
            return Looks::Float;
        }
        return if time(text).is_some() { Looks::Time } else { Looks::Text };
    }
    if matches!(text, "True" | "False" | "true" | "false" | "TRUE" | "FALSE") {
        return Looks::Boolean;
    }
    if text.eq_ignore_ascii_case("nan")
        || matches!(text, "NA" | "N/A" | "NULL" | "null" | "None" | "--" | "n/a" | "NaT")
    {
        return Looks::PerhapsMissing;
    }
    Looks::Text
}

/// A finite decimal number; `inf`, `nan` and what overflows are none.
pub(crate) fn float(text: &str, decimal_comma: bool) -> Option<f64> {
    let digit = |b: u8| b.is_ascii_digit();
    if !text.bytes().any(digit)
        || !text.bytes().all(|b| digit(b) || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E' | b','))
    {
        return None;
    }
    let parsed: f64 = if decimal_comma && text.contains(',') {
        if text.contains('.') {
            return None;
        }
        text.replacen(',', ".", 1).parse().ok()?
    } else {
        text.parse().ok()?
    };
    parsed.is_finite().then_some(parsed)
}

/// Microseconds since 1970 of an instant with at least a date: ISO 8601 with `T` or a
/// blank, `YYYY/MM/DD`, `DD.MM.YYYY`; UTC where no zone is given.
pub(crate) fn time(text: &str) -> Option<i64> {
    let text = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT")).unwrap_or(text);
    let b = text.as_bytes();
    if b.len() < 8 || b.len() > 40 || !text.is_ascii() {
        return None;
    }
    let sign = |i: usize, wanted: u8| b.get(i) == Some(&wanted);
    let iso = if sign(4, b'-') && b[..4].iter().all(u8::is_ascii_digit) {
        text.bytes().filter(|c| *c == b'-').take(2).count().eq(&2).then(|| text.to_owned())?
    } else if sign(4, b'/') && sign(7, b'/') {
        text.replacen('/', "-", 2)
    } else if sign(2, b'.') && sign(5, b'.') && b.len() >= 10 {
        // Dots are only ever written day first.
        format!("{}-{}-{}{}", &text[6..10], &text[3..5], &text[..2], &text[10..])
    } else {
        return None;
    };
    let (date, clock) = iso.split_at_checked(10)?;
    if !date.bytes().enumerate().all(|(i, c)| if matches!(i, 4 | 7) { c == b'-' } else { c.is_ascii_digit() })
    {
        return None;
    }
    if !clock.is_empty() && !clock.starts_with(['T', ' ', 'Z', '+']) {
        return None;
    }
    micros(CfTime::parse(&iso, Calendar::ProlepticGregorian).ok()?)
}

/// Microseconds since 1970 of a CF instant in the proleptic Gregorian calendar.
pub(crate) fn micros(time: CfTime) -> Option<i64> {
    let midnight = CfTime { micros_of_day: 0, ..time };
    // Whole days are exact in a float; the rest is an integer already.
    let days = midnight.epoch_secs(Calendar::ProlepticGregorian) / 86_400.0;
    (days.abs() < 1e8).then(|| days.round() as i64 * 86_400_000_000 + time.micros_of_day)
}

/// `text` as a value of `kind`; `None` where it is none.
pub(crate) fn parse(text: &str, kind: Kind, missing: &[&str], decimal_comma: bool) -> Option<Value> {
    let looks = looks(text, missing, decimal_comma);
    if looks == Looks::Missing || (looks == Looks::PerhapsMissing && kind != Kind::Text) {
        return Some(Value::Null);
    }
    match kind {
        Kind::Text => Some(Value::Text(text.to_owned())),
        Kind::Int64 => text.parse().ok().map(Value::Int),
        Kind::Float64 => float(text, decimal_comma).map(Value::Float),
        Kind::Boolean => (looks == Looks::Boolean).then(|| Value::Bool(text.starts_with(['t', 'T']))),
        Kind::Timestamp => time(text).map(Value::Time),
        Kind::Empty => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_look_like_what_they_are() {
        for (text, expected) in [
            ("", Looks::Missing),
            ("MM", Looks::Missing),
            ("NaN", Looks::PerhapsMissing),
            ("-12", Looks::Int),
            ("+57.70", Looks::Float),
            ("7.01e-04", Looks::Float),
            ("0", Looks::Int),
            ("-0", Looks::Float),
            ("007", Looks::Code),
            ("99999999999999999999", Looks::Code),
            ("1e999", Looks::Text),
            ("inf", Looks::Text),
            ("True", Looks::Boolean),
            ("2024-04-01 10:26:27.337", Looks::Time),
            ("2018-09-05T21:00:00Z", Looks::Time),
            ("2020-13-45T00:00:00Z", Looks::Text),
            ("2018", Looks::Int),
            ("=HYPERLINK(\"x\")", Looks::Text),
            ("-", Looks::Text),
            ("2020-01", Looks::Text),
        ] {
            assert_eq!(looks(text, &["MM"], false), expected, "{text:?}");
        }
        assert_eq!(looks("52,5", &[], true), Looks::Float);
        assert_eq!(looks("52,5", &[], false), Looks::Text);
    }

    #[test]
    fn instants_are_exact_to_the_microsecond() {
        assert_eq!(time("1970-01-01T00:00:01.5Z"), Some(1_500_000));
        assert_eq!(time("2018-12-10 01:06:56.588151"), Some(1_544_404_016_588_151));
        assert_eq!(time("2018/12/10 01:06"), time("2018-12-10T01:06:00Z"));
        assert_eq!(time("01.02.2020 13:00"), time("2020-02-01T13:00"));
        assert_eq!(time("2020-02-01T13:00+01:00"), time("2020-02-01T12:00Z"));
        assert_eq!(time("1850-01-01"), Some(-3_786_825_600_000_000));
        for no in ["2020", "20200101", "12:00", "2020-1", "2020-02-30", "abcd-ef-gh"] {
            assert_eq!(time(no), None, "{no}");
        }
    }

    #[test]
    fn what_widens_loses_nothing() {
        assert!(Kind::Int64.widens_to(Kind::Float64) && Kind::Timestamp.widens_to(Kind::Text));
        assert!(!Kind::Float64.widens_to(Kind::Int64) && !Kind::Text.widens_to(Kind::Float64));
    }
}
