//! Times in the five fields of a crontab: minute, hour, day of the month, month, day of the week.
//!
//! Source of the rules: POSIX.1-2017, `crontab`: lists, ranges and `*`; where both days are
//! restricted, either is enough. Steps (`*/15`), names (`mon`, `jan`) and 7 for Sunday as in
//! Vixie's cron. Times are UTC, so that no hour comes twice or not at all.

use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime};

/// Looked ahead for the next time: 29 February may be eight years away.
const LONGEST_DAYS: u32 = 9 * 366;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// When a rule starts a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    /// A bit for each value of a field.
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Both fields of days are restricted.
    either_day: bool,
}

impl FromStr for Cron {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(format!(
                "{text:?}: expected five fields (minute, hour, day of the month, month, day of the week), such as \"0 1 * * *\""
            ));
        };
        let weekdays = field("day of the week", weekday, (0, 7), (&WEEKDAYS, 0))?;
        let out = Self {
            text: fields.join(" "),
            minutes: field("minute", minute, (0, 59), (&[], 0))?,
            hours: field("hour", hour, (0, 23), (&[], 0))?,
            days: field("day of the month", day, (1, 31), (&[], 0))?,
            months: field("month", month, (1, 12), (&MONTHS, 1))?,
            // 7 is Sunday, too.
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        match out.after(0) {
            Some(_) => Ok(out),
            None => Err(format!("{text:?}: this day never comes")),
        }
    }
}

impl Cron {
    /// As it was written, with single blanks.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first such minute after an instant; both in seconds since 1970, UTC.
    pub fn after(&self, instant: i64) -> Option<i64> {
        let from = DateTime::from_timestamp(instant.div_euclid(60).checked_add(1)?.checked_mul(60)?, 0)?;
        let (first, time) = (from.date_naive(), from.time());
        (0..LONGEST_DAYS).find_map(|n| {
            let day = first.checked_add_days(Days::new(n.into()))?;
            let earliest = if n == 0 { minute_of(time) } else { 0 };
            self.has_day(day).then(|| self.minute_from(earliest)).flatten().and_then(|minute| {
                let time = NaiveTime::from_num_seconds_from_midnight_opt(minute * 60, 0)?;
                Some(day.and_time(time).and_utc().timestamp())
            })
        })
    }

    fn has_day(&self, day: NaiveDate) -> bool {
        let has = |bits: u64, n: u32| bits >> n & 1 == 1;
        let (of_month, of_week) =
            (has(self.days, day.day()), has(self.weekdays, day.weekday().num_days_from_sunday()));
        let fits = if self.either_day { of_month || of_week } else { of_month && of_week };
        fits && has(self.months, day.month())
    }

    /// The first minute of the day, not before `earliest`.
    fn minute_from(&self, earliest: u32) -> Option<u32> {
        (earliest..24 * 60).find(|m| self.hours >> (m / 60) & 1 == 1 && self.minutes >> (m % 60) & 1 == 1)
    }
}

fn minute_of(time: NaiveTime) -> u32 {
    use chrono::Timelike;
    time.hour() * 60 + time.minute()
}

/// The bits of a field: values, ranges, steps and their lists. `names` stand for values from a
/// first one on.
fn field(
    what: &str,
    text: &str,
    (least, most): (u32, u32),
    (names, first): (&[&str], u32),
) -> Result<u64, String> {
    let wrong = |part: &str| {
        format!("{what} {part:?}: expected numbers from {least} to {most}, as 1,2 or 1-5 or */2")
    };
    let value = |part: &str| -> Result<u32, String> {
        let lower = part.to_ascii_lowercase();
        let named = names.iter().zip(first..).find(|(n, _)| **n == lower).map(|(_, v)| v);
        named
            .or_else(|| part.parse().ok().filter(|_| part.bytes().all(|b| b.is_ascii_digit())))
            .filter(|v| (least..=most).contains(v))
            .ok_or_else(|| wrong(part))
    };
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                (range, step.parse::<u32>().ok().filter(|n| *n > 0).ok_or_else(|| wrong(part))?)
            }
            None => (part, 1),
        };
        let (from, to) = match (range, range.split_once('-')) {
            ("*", _) => (least, most),
            (_, Some((from, to))) => (value(from)?, value(to)?),
            // A value with a step goes on to the end.
            (one, None) => (value(one)?, if step > 1 { most } else { value(one)? }),
        };
        if from > to {
            return Err(wrong(part));
        }
        (from..=to).step_by(step as usize).for_each(|v| bits |= 1 << v);
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cron: &str, after: &str) -> String {
        let at = DateTime::parse_from_rfc3339(after).unwrap().timestamp();
        let next = cron.parse::<Cron>().unwrap().after(at).unwrap();
        DateTime::from_timestamp(next, 0).unwrap().format("%Y-%m-%dT%H:%M").to_string()
    }

    #[test]
    fn the_next_time_is_that_of_a_crontab() {
        for (cron, after, expected) in [
            ("0 1 * * *", "2020-02-28T01:00:00Z", "2020-02-29T01:00"),
            ("0 1 * * *", "2020-02-28T00:59:59Z", "2020-02-28T01:00"),
            ("* * * * *", "2020-12-31T23:59:30Z", "2021-01-01T00:00"),
            ("*/15 6-18/6 * * *", "2020-01-01T06:45:00Z", "2020-01-01T12:00"),
            ("5,35 * * * *", "2020-01-01T06:05:00Z", "2020-01-01T06:35"),
            ("0 0 29 2 *", "2021-01-01T00:00:00Z", "2024-02-29T00:00"),
            ("0 0 29 feb *", "2096-03-01T00:00:00Z", "2104-02-29T00:00"),
            // 2020-01-05 is a Sunday.
            ("0 0 * * 7", "2020-01-01T00:00:00Z", "2020-01-05T00:00"),
            ("0 0 * * sun", "2020-01-05T00:00:00Z", "2020-01-12T00:00"),
            ("0 12 * * Mon-Fri", "2020-01-03T12:00:00Z", "2020-01-06T12:00"),
            // Either day: the 15th, or a Monday.
            ("0 0 15 * 1", "2020-01-13T00:00:00Z", "2020-01-15T00:00"),
            ("0 0 15 * 1", "2020-01-15T00:00:00Z", "2020-01-20T00:00"),
            ("0 0 1 1,7 *", "2020-01-01T00:00:00Z", "2020-07-01T00:00"),
            ("30 23 31 * *", "2020-01-31T23:30:00Z", "2020-03-31T23:30"),
        ] {
            assert_eq!(next(cron, after), expected, "{cron} after {after}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_would_be_one() {
        for (cron, said) in [
            ("0 1 * *", "expected five fields"),
            ("60 1 * * *", "minute \"60\": expected numbers from 0 to 59"),
            ("0 5-1 * * *", "hour \"5-1\""),
            ("*/0 * * * *", "minute \"*/0\""),
            ("+1 * * * *", "minute \"+1\""),
            ("0 0 30 2 *", "this day never comes"),
            ("0 0 * foo *", "month \"foo\": expected numbers from 1 to 12"),
            ("0 0 * * 8", "day of the week \"8\""),
            ("", "expected five fields"),
        ] {
            let e = cron.parse::<Cron>().unwrap_err();
            assert!(e.contains(said), "{cron}: {e}");
        }
    }
}
