//! CF time (CF-1.11 section 4.4): "UNIT since REFERENCE" in a calendar.
//!
//! Model calendars have days that no wall clock knows (30 February), so instants
//! are kept as fields of their own calendar and never forced into a Gregorian
//! one. All arithmetic is in whole microseconds: exact for every unit that CF allows.

use std::fmt;

const MICROS_PER_SEC: i128 = 1_000_000;
const MICROS_PER_DAY: i128 = 86_400 * MICROS_PER_SEC;
/// Beyond a million years the number is not a date but a mistake.
const MAX_DAYS: f64 = 366.0 * 1.0e6;

/// The calendars of CF-1.11 section 4.4.1 (and their older names).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Calendar {
    /// Julian until 1582-10-04, Gregorian from 1582-10-15.
    #[default]
    Standard,
    ProlepticGregorian,
    Julian,
    NoLeap,
    AllLeap,
    Day360,
}

impl Calendar {
    /// `None` for a calendar that CF does not define (or `none`).
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "standard" | "gregorian" | "" => Calendar::Standard,
            "proleptic_gregorian" => Calendar::ProlepticGregorian,
            "julian" => Calendar::Julian,
            "noleap" | "no_leap" | "365_day" => Calendar::NoLeap,
            "all_leap" | "allleap" | "366_day" => Calendar::AllLeap,
            "360_day" => Calendar::Day360,
            _ => return None,
        })
    }

    pub const fn name(self) -> &'static str {
        match self {
            Calendar::Standard => "standard",
            Calendar::ProlepticGregorian => "proleptic_gregorian",
            Calendar::Julian => "julian",
            Calendar::NoLeap => "noleap",
            Calendar::AllLeap => "all_leap",
            Calendar::Day360 => "360_day",
        }
    }

    /// True where an ISO 8601 date of this calendar names the same day as a wall clock.
    pub const fn is_real(self) -> bool {
        matches!(self, Calendar::Standard | Calendar::ProlepticGregorian)
    }

    pub fn days_in_month(self, year: i64, month: u8) -> u8 {
        let leap = match self {
            Calendar::Day360 => return 30,
            Calendar::NoLeap => false,
            Calendar::AllLeap => true,
            Calendar::Julian => year.rem_euclid(4) == 0,
            Calendar::Standard if year < 1583 => year.rem_euclid(4) == 0,
            Calendar::Standard | Calendar::ProlepticGregorian => {
                year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
            }
        };
        match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// Days since the calendar's own 0000-01-01-like origin; only differences mean anything.
    pub fn days(self, year: i64, month: u8, day: u8) -> i64 {
        match self {
            Calendar::Day360 => year * 360 + i64::from(month - 1) * 30 + i64::from(day - 1),
            Calendar::NoLeap => year * 365 + day_of_year(month, false) + i64::from(day - 1),
            Calendar::AllLeap => year * 366 + day_of_year(month, true) + i64::from(day - 1),
            Calendar::Julian => julian_days(year, month, day),
            Calendar::ProlepticGregorian => gregorian_days(year, month, day),
            Calendar::Standard => {
                if (year, month, day) < (1582, 10, 15) {
                    julian_days(year, month, day)
                } else {
                    gregorian_days(year, month, day)
                }
            }
        }
    }

    fn date(self, days: i64) -> (i64, u8, u8) {
        match self {
            Calendar::Day360 => {
                let in_year = days.rem_euclid(360);
                (days.div_euclid(360), (in_year / 30 + 1) as u8, (in_year % 30 + 1) as u8)
            }
            Calendar::NoLeap => fixed_date(days, false),
            Calendar::AllLeap => fixed_date(days, true),
            Calendar::Julian => julian_date(days),
            Calendar::ProlepticGregorian => gregorian_date(days),
            Calendar::Standard => {
                if days < gregorian_days(1582, 10, 15) {
                    julian_date(days)
                } else {
                    gregorian_date(days)
                }
            }
        }
    }
}

fn day_of_year(month: u8, leap: bool) -> i64 {
    const STARTS: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    STARTS[usize::from(month.clamp(1, 12) - 1)] + i64::from(leap && month > 2)
}

fn fixed_date(days: i64, leap: bool) -> (i64, u8, u8) {
    let len = if leap { 366 } else { 365 };
    let in_year = days.rem_euclid(len);
    let month = (1..=12u8).rev().find(|m| day_of_year(*m, leap) <= in_year).unwrap_or(1);
    (days.div_euclid(len), month, (in_year - day_of_year(month, leap) + 1) as u8)
}

/// Days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn gregorian_days(year: i64, month: u8, day: u8) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let m = i64::from(month);
    let doy = (153 * (if m > 2 { m - 3 } else { m + 9 }) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

fn gregorian_date(days: i64) -> (i64, u8, u8) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    march_date(yoe + era * 400, doy)
}

/// Days since 1970-01-01 Gregorian, of a Julian date.
fn julian_days(year: i64, month: u8, day: u8) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let m = i64::from(month);
    let doy = (153 * (if m > 2 { m - 3 } else { m + 9 }) + 2) / 5 + i64::from(day) - 1;
    y.div_euclid(4) * 1461 + y.rem_euclid(4) * 365 + doy - 719_470
}

fn julian_date(days: i64) -> (i64, u8, u8) {
    let z = days + 719_470;
    let era = z.div_euclid(1461);
    let doe = z.rem_euclid(1461);
    let yoe = (doe - doe / 1460) / 365;
    march_date(era * 4 + yoe, doe - 365 * yoe)
}

/// From a year that starts in March and a day in it.
fn march_date(year: i64, doy: i64) -> (i64, u8, u8) {
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (year + i64::from(month <= 2), month as u8, (doy - (153 * mp + 2) / 5 + 1) as u8)
}

#[derive(Debug, thiserror::Error, PartialEq)]
pub enum TimeError {
    #[error(
        "time units {0:?} are not \"UNIT since REFERENCE\" (CF section 4.4), such as \"hours since 1970-01-01\""
    )]
    NotSince(String),
    #[error(
        "time unit {0:?} is none of microseconds, milliseconds, seconds, minutes, hours, days, weeks, months, years"
    )]
    Unit(String),
    #[error("reference time {0:?} is not a date such as 1970-01-01 00:00:00")]
    Reference(String),
    #[error("calendar {0:?} is none of standard, proleptic_gregorian, julian, noleap, all_leap, 360_day")]
    Calendar(String),
    #[error("time value {0} is not a date: not finite, or more than a million years away")]
    Value(f64),
    #[error("{0:?} is not an ISO 8601 time such as 2024-01-31T12:00:00Z")]
    Iso(String),
    #[error("the calendar {1} has no day {0:?}")]
    NoDay(String, &'static str),
}

/// An instant in the fields of its calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CfTime {
    pub year: i64,
    pub month: u8,
    pub day: u8,
    pub micros_of_day: i64,
}

impl CfTime {
    /// Parses `YYYY[-MM[-DD[(T| )hh[:mm[:ss[.f]]]]]][Z|UTC|±hh[:mm]]`; an offset is applied.
    ///
    /// # Errors
    /// Anything else, and days that `calendar` does not have.
    pub fn parse(text: &str, calendar: Calendar) -> Result<Self, TimeError> {
        let bad = || TimeError::Iso(text.chars().take(80).collect());
        let (year, month, day, micros) = parse_fields(text).ok_or_else(bad)?;
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return Err(bad());
        }
        if day > calendar.days_in_month(year, month) {
            return Err(TimeError::NoDay(text.trim().chars().take(80).collect(), calendar.name()));
        }
        let total = i128::from(calendar.days(year, month, day)) * MICROS_PER_DAY + micros;
        Ok(from_micros(total, calendar))
    }

    pub const fn hour(self) -> u8 {
        (self.micros_of_day / 3_600_000_000) as u8
    }
    pub const fn minute(self) -> u8 {
        (self.micros_of_day / 60_000_000 % 60) as u8
    }
    pub const fn second(self) -> u8 {
        (self.micros_of_day / 1_000_000 % 60) as u8
    }

    fn micros(self, calendar: Calendar) -> i128 {
        i128::from(calendar.days(self.year, self.month, self.day)) * MICROS_PER_DAY
            + i128::from(self.micros_of_day)
    }

    /// Seconds since 1970-01-01T00:00:00 counted in `calendar`; equal across
    /// calendars only where they agree on every day in between.
    pub fn epoch_secs(self, calendar: Calendar) -> f64 {
        let origin = CfTime { year: 1970, month: 1, day: 1, micros_of_day: 0 };
        (self.micros(calendar) - origin.micros(calendar)) as f64 / MICROS_PER_SEC as f64
    }
}

/// ISO 8601 without a zone: `2017-06-05T12:00:00`, fractions only where there are any.
impl fmt::Display for CfTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.year < 0 {
            write!(f, "-{:04}", -self.year)?;
        } else {
            write!(f, "{:04}", self.year)?;
        }
        write!(
            f,
            "-{:02}-{:02}T{:02}:{:02}:{:02}",
            self.month,
            self.day,
            self.hour(),
            self.minute(),
            self.second()
        )?;
        match self.micros_of_day % 1_000_000 {
            0 => Ok(()),
            frac => write!(f, "{}", format!(".{frac:06}").trim_end_matches('0')),
        }
    }
}

fn from_micros(total: i128, calendar: Calendar) -> CfTime {
    let (year, month, day) = calendar.date(total.div_euclid(MICROS_PER_DAY) as i64);
    CfTime { year, month, day, micros_of_day: total.rem_euclid(MICROS_PER_DAY) as i64 }
}

/// A parsed `units` and `calendar` pair.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeUnits {
    pub calendar: Calendar,
    micros_per_unit: f64,
    reference_micros: i128,
}

impl TimeUnits {
    /// True where `units` has the form of a time axis at all.
    pub fn looks_like(units: &str) -> bool {
        let lower = units.to_ascii_lowercase();
        lower.split_whitespace().nth(1).is_some_and(|w| w == "since" || w == "after" || w == "from")
            && lower
                .split_whitespace()
                .nth(2)
                .is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+'))
    }

    /// # Errors
    /// Names the part that is not as CF section 4.4 says.
    pub fn parse(units: &str, calendar: Option<&str>) -> Result<Self, TimeError> {
        let calendar = match calendar {
            None => Calendar::Standard,
            Some(name) => {
                Calendar::parse(name).ok_or_else(|| TimeError::Calendar(name.chars().take(80).collect()))?
            }
        };
        let short = || units.chars().take(80).collect::<String>();
        let mut words = units.trim().splitn(3, char::is_whitespace);
        let (Some(unit), Some(since), Some(reference)) = (words.next(), words.next(), words.next()) else {
            return Err(TimeError::NotSince(short()));
        };
        if !matches!(since.to_ascii_lowercase().as_str(), "since" | "after" | "from") {
            return Err(TimeError::NotSince(short()));
        }
        let micros_per_unit = match unit.to_ascii_lowercase().as_str() {
            "microsecond" | "microseconds" | "microsec" | "microsecs" | "us" => 1.0,
            "millisecond" | "milliseconds" | "millisec" | "millisecs" | "msec" | "msecs" | "ms" => 1e3,
            "second" | "seconds" | "sec" | "secs" | "s" => 1e6,
            "minute" | "minutes" | "min" | "mins" => 60e6,
            "hour" | "hours" | "hr" | "hrs" | "h" => 3600e6,
            "day" | "days" | "d" => 86_400e6,
            "week" | "weeks" => 7.0 * 86_400e6,
            // UDUNITS: a year is 365.242198781 days, a month a twelfth of it; in the
            // calendars with one length of year, that length.
            "month" | "months" | "mon" => year_micros(calendar) / 12.0,
            "year" | "years" | "yr" | "yrs" => year_micros(calendar),
            "common_year" | "common_years" => 365.0 * 86_400e6,
            _ => return Err(TimeError::Unit(unit.chars().take(80).collect())),
        };
        let bad = || TimeError::Reference(reference.chars().take(80).collect());
        let (year, month, day, micros) = parse_fields(reference.trim()).ok_or_else(bad)?;
        if !(1..=12).contains(&month) || day == 0 || day > calendar.days_in_month(year, month) {
            return Err(bad());
        }
        let reference_micros = i128::from(calendar.days(year, month, day)) * MICROS_PER_DAY + micros;
        Ok(Self { calendar, micros_per_unit, reference_micros })
    }

    /// # Errors
    /// A value that is not finite or that lies a million years away.
    pub fn decode(&self, value: f64) -> Result<CfTime, TimeError> {
        let micros = value * self.micros_per_unit;
        if !micros.is_finite() || micros.abs() > MAX_DAYS * MICROS_PER_DAY as f64 {
            return Err(TimeError::Value(value));
        }
        // Whole units and their fraction apart: 2^53 microseconds are only 285 years.
        let whole = value.trunc() as i128 * self.micros_per_unit.trunc() as i128;
        let rest = value.trunc() * self.micros_per_unit.fract() + value.fract() * self.micros_per_unit;
        Ok(from_micros(self.reference_micros + whole + rest.round() as i128, self.calendar))
    }

    /// The number that `time` has on this axis.
    pub fn encode(&self, time: CfTime) -> f64 {
        (time.micros(self.calendar) - self.reference_micros) as f64 / self.micros_per_unit
    }
}

fn year_micros(calendar: Calendar) -> f64 {
    let days = match calendar {
        Calendar::Day360 => 360.0,
        Calendar::NoLeap => 365.0,
        Calendar::AllLeap => 366.0,
        Calendar::Julian => 365.25,
        Calendar::Standard | Calendar::ProlepticGregorian => 365.242_198_781,
    };
    days * 86_400e6
}

/// Year, month, day, and microseconds past that midnight in UTC.
fn parse_fields(text: &str) -> Option<(i64, u8, u8, i128)> {
    let text = text.trim();
    let (sign, rest) = match text.strip_prefix('-') {
        Some(r) => (-1, r),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let date_end = rest.find(|c: char| !(c.is_ascii_digit() || c == '-')).unwrap_or(rest.len());
    let (date, mut clock) = rest.split_at(date_end);
    let mut parts = date.split('-');
    let number = |s: &str, max_len: usize| {
        (!s.is_empty() && s.len() <= max_len).then(|| s.parse::<i64>().ok()).flatten()
    };
    let (year, month, day) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(compact), None, ..) if compact.len() == 8 => {
            (number(&compact[..4], 4)?, number(&compact[4..6], 2)?, number(&compact[6..], 2)?)
        }
        (Some(y), m, d, None) => {
            (number(y, 7)?, m.map_or(Some(1), |m| number(m, 2))?, d.map_or(Some(1), |d| number(d, 2))?)
        }
        _ => return None,
    };
    clock = clock.trim_start_matches(['T', 't']).trim();
    // A zone: Z, UTC, GMT, or an offset after a clock.
    let mut offset_micros = 0i128;
    let upper = clock.to_ascii_uppercase();
    if let Some(z) = ["UTC", "GMT", "Z"].iter().find(|z| upper.ends_with(**z)) {
        clock = clock[..clock.len() - z.len()].trim_end();
    } else if let Some(at) = clock.find(['+', '-']) {
        let (head, zone) = clock.split_at(at);
        let sign = if zone.starts_with('-') { -1 } else { 1 };
        let digits = &zone[1..];
        if !digits.bytes().all(|b| b.is_ascii_digit() || b == b':') {
            return None;
        }
        let (h, m) = match digits.split_once(':') {
            Some((h, m)) => (number(h, 2)?, number(m, 2)?),
            None if digits.len() > 2 => {
                (number(&digits[..digits.len() - 2], 2)?, number(&digits[digits.len() - 2..], 2)?)
            }
            None => (number(digits, 2)?, 0),
        };
        if h > 23 || m > 59 {
            return None;
        }
        offset_micros = i128::from(sign * (h * 60 + m)) * 60 * MICROS_PER_SEC;
        clock = head.trim_end();
    }
    let mut micros = -offset_micros;
    if !clock.is_empty() {
        let mut parts = clock.split(':');
        let hour = number(parts.next()?, 2)?;
        let minute = parts.next().map_or(Some(0), |m| number(m, 2))?;
        let second = parts
            .next()
            .map_or(Some(0.0), |s| if s.is_empty() { Some(0.0) } else { s.parse::<f64>().ok() })?;
        if parts.next().is_some() || hour > 24 || minute > 59 || !(0.0..61.0).contains(&second) {
            return None;
        }
        micros += i128::from(hour * 60 + minute) * 60 * MICROS_PER_SEC + (second * 1e6).round() as i128;
    }
    Some((sign * year, u8::try_from(month).ok()?, u8::try_from(day).ok()?, micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso(units: &str, calendar: &str, value: f64) -> String {
        TimeUnits::parse(units, Some(calendar)).unwrap().decode(value).unwrap().to_string()
    }

    #[test]
    fn known_instants_decode_as_cftime_says() {
        assert_eq!(iso("hours since 1800-01-01", "standard", 1_882_440.0), "2014-10-01T00:00:00");
        assert_eq!(
            iso("seconds since 1981-01-01 00:00:00", "Gregorian", 1_149_508_800.0),
            "2017-06-05T12:00:00"
        );
        assert_eq!(iso("days since 1850-01-01", "365_day", 57_289.5), "2006-12-16T12:00:00");
        assert_eq!(iso("hours since 1970-01-01 00:00:00", "360_day", -946_800.0), "1860-06-01T00:00:00");
        assert_eq!(iso("days since 1582-10-04", "standard", 1.0), "1582-10-15T00:00:00");
        assert_eq!(iso("days since 2000-02-28", "julian", 1.0), "2000-02-29T00:00:00");
        assert_eq!(iso("days since 1900-02-28", "all_leap", 1.0), "1900-02-29T00:00:00");
        assert_eq!(iso("days since 0001-01-01", "proleptic_gregorian", 0.25), "0001-01-01T06:00:00");
    }

    #[test]
    fn year_zero_is_the_leap_year_that_climatologies_mean() {
        assert_eq!(iso("hour since 0000-01-01 00:00:00", "standard", 366.0), "0000-01-16T06:00:00");
    }

    #[test]
    fn offsets_move_the_reference_to_utc() {
        assert_eq!(iso("seconds since 2012-01-01 00:00:00 -7:00", "standard", 0.0), "2012-01-01T07:00:00");
        assert_eq!(iso("seconds since 2012-01-01T00:00:00Z", "standard", 1.5), "2012-01-01T00:00:01.5");
        assert_eq!(iso("days since 1-1-1 00:00:0.0", "standard", 0.0), "0001-01-01T00:00:00");
    }

    #[test]
    fn every_day_goes_there_and_back_in_every_calendar() {
        for c in ["standard", "proleptic_gregorian", "julian", "noleap", "all_leap", "360_day"] {
            let u = TimeUnits::parse("days since 1500-01-01", Some(c)).unwrap();
            for day in (-200_000..400_000).step_by(97) {
                let t = u.decode(f64::from(day)).unwrap();
                assert_eq!(u.encode(t), f64::from(day), "{c} {day}");
                assert_eq!(CfTime::parse(&t.to_string(), u.calendar), Ok(t), "{c} {day}");
            }
        }
    }

    #[test]
    fn what_is_no_time_is_refused_in_words() {
        assert!(matches!(TimeUnits::parse("kelvin", None), Err(TimeError::NotSince(_))));
        assert!(matches!(TimeUnits::parse("fortnights since 2000-01-01", None), Err(TimeError::Unit(_))));
        assert!(matches!(TimeUnits::parse("days since yesterday", None), Err(TimeError::Reference(_))));
        assert!(matches!(
            TimeUnits::parse("days since 2000-01-01", Some("mayan")),
            Err(TimeError::Calendar(_))
        ));
        let u = TimeUnits::parse("days since 2000-01-01", None).unwrap();
        for v in [f64::NAN, f64::INFINITY, 1e300] {
            assert!(matches!(u.decode(v), Err(TimeError::Value(_))));
        }
        assert!(CfTime::parse("2021-02-29", Calendar::Standard).is_err());
        assert!(CfTime::parse("2021-02-30", Calendar::Day360).is_ok());
        for junk in ["", "-", "T", "::", "99999999999999999999", "2020-01-01T+", "2020-01-01T12:00:00+é1"] {
            assert!(CfTime::parse(junk, Calendar::Standard).is_err(), "{junk}");
        }
    }
}
