//! Years, months and days (UTC).
//!
//! An item is in every period that it has an instant of, as a search by `datetime` has it. One
//! of a century would be in 36,525 days; so a year or month of which it has every day is said
//! as a whole, and nothing is said of its parts.

use chrono::{Datelike, NaiveDate};

use super::Kind;
use crate::search::cut;

pub const ALL: &str = "t:";
/// Before the year 1 or after 9999: no date of RFC 3339.
pub const UNDATED: &str = "t:0000";
const DAY_SECS: f64 = 86_400.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    All,
    Year(i32),
    Month(i32, u32),
    Day(NaiveDate),
}

impl Period {
    /// From `2020`, `06` and `15`, or fewer of them.
    ///
    /// # Errors
    /// Which of them there is not, and which there are.
    pub fn parse(year: Option<&str>, month: Option<&str>, day: Option<&str>) -> Result<Self, String> {
        let number = |text: &str, digits: usize| {
            (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit()))
                .then(|| text.parse::<u32>().ok())?
        };
        let Some(text) = year else { return Ok(Self::All) };
        let year = number(text, 4).and_then(|y| i32::try_from(y).ok()).filter(|y| *y >= 1);
        let year =
            year.ok_or_else(|| format!("no year {:?}; expected four digits, from 0001 to 9999", cut(text)))?;
        let Some(text) = month else { return Ok(Self::Year(year)) };
        let month = number(text, 2).filter(|m| (1..=12).contains(m));
        let month =
            month.ok_or_else(|| format!("no month {:?}; expected two digits, from 01 to 12", cut(text)))?;
        let Some(text) = day else { return Ok(Self::Month(year, month)) };
        let day = number(text, 2).and_then(|d| NaiveDate::from_ymd_opt(year, month, d));
        day.map(Self::Day).ok_or_else(|| {
            let last = Self::Month(year, month).days().map_or(31, |(_, last)| last.day());
            format!("no day {:?} of {year:04}-{month:02}; expected two digits, from 01 to {last}", cut(text))
        })
    }

    /// `2020-06-15`, or as much of it as is said.
    pub fn name(self) -> String {
        match self {
            Self::All => String::new(),
            Self::Year(y) => format!("{y:04}"),
            Self::Month(y, m) => format!("{y:04}-{m:02}"),
            Self::Day(d) => d.format("%Y-%m-%d").to_string(),
        }
    }

    pub fn node(self) -> String {
        format!("{ALL}{}", self.name())
    }

    /// What it is a part of, the largest last.
    pub fn above(self) -> Vec<Self> {
        match self {
            Self::All | Self::Year(_) => Vec::new(),
            Self::Month(y, _) => vec![Self::Year(y)],
            Self::Day(d) => vec![Self::Month(d.year(), d.month()), Self::Year(d.year())],
        }
    }

    /// First and last day; of all time none.
    pub fn days(self) -> Option<(NaiveDate, NaiveDate)> {
        match self {
            Self::All => None,
            Self::Year(y) => Some((NaiveDate::from_ymd_opt(y, 1, 1)?, NaiveDate::from_ymd_opt(y, 12, 31)?)),
            Self::Month(y, m) => {
                let next = if m == 12 { (y + 1, 1) } else { (y, m + 1) };
                Some((
                    NaiveDate::from_ymd_opt(y, m, 1)?,
                    NaiveDate::from_ymd_opt(next.0, next.1, 1)?.pred_opt()?,
                ))
            }
            Self::Day(d) => Some((d, d)),
        }
    }

    /// Its first second since 1970, and that of what follows it.
    pub fn secs(self) -> Option<(f64, f64)> {
        let (first, last) = self.days()?;
        Some((number(first) as f64 * DAY_SECS, (number(last) + 1) as f64 * DAY_SECS))
    }

    /// The period of a node.
    pub fn of_node(node: &str) -> Option<Self> {
        let mut parts = node.strip_prefix(ALL)?.split('-');
        Self::parse(parts.next().filter(|p| !p.is_empty()), parts.next(), parts.next()).ok()
    }
}

/// Days since 1970.
pub fn number(day: NaiveDate) -> i64 {
    day.signed_duration_since(NaiveDate::default()).num_days()
}

/// The day of an instant; none beyond the years 1 to 9999.
pub fn day(secs: f64) -> Option<NaiveDate> {
    let days = (secs / DAY_SECS).floor();
    // `NaiveDate::default` is 1970-01-01.
    let date = NaiveDate::default().checked_add_signed(chrono::TimeDelta::try_days(days as i64)?)?;
    (days.is_finite() && (1..=9999).contains(&date.year())).then_some(date)
}

/// The nodes that count an item of these seconds since 1970.
pub fn nodes(start: f64, end: f64, mut push: impl FnMut(String, Kind)) {
    push(ALL.to_owned(), Kind::Meets);
    let begins = day(start);
    if let Some(d) = begins {
        push(Period::Day(d).node(), Kind::Begins);
    }
    let limit = |y, m, d| NaiveDate::from_ymd_opt(y, m, d).unwrap_or_default();
    let (first, last) = match (begins, day(end.max(start))) {
        (Some(a), Some(b)) => (a, b),
        (Some(a), None) => (a, limit(9999, 12, 31)),
        (None, Some(b)) => (limit(1, 1, 1), b),
        (None, None) => return push(UNDATED.to_owned(), Kind::Meets),
    };
    let covers = |p: Period| p.days().is_some_and(|(a, b)| first <= a && last >= b);
    let meets = |p: Period| p.days().is_some_and(|(a, b)| first <= b && last >= a);
    for y in first.year()..=last.year() {
        let year = Period::Year(y);
        push(year.node(), Kind::Meets);
        if covers(year) {
            push(year.node(), Kind::Whole);
            continue;
        }
        for month in (1..=12).map(|m| Period::Month(y, m)).filter(|m| meets(*m)) {
            push(month.node(), Kind::Meets);
            if covers(month) {
                push(month.node(), Kind::Whole);
                continue;
            }
            let Some((a, b)) = month.days() else { continue };
            for d in a.max(first).iter_days().take_while(|d| *d <= b.min(last)) {
                push(Period::Day(d).node(), Kind::Meets);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(start: f64, end: f64) -> Vec<(String, Kind)> {
        let mut out = Vec::new();
        nodes(start, end, |n, k| out.push((n, k)));
        out
    }

    #[test]
    fn an_item_of_an_hour_is_in_its_day_and_what_has_that() {
        let found = of(3600.0, 7200.0);
        let names: Vec<&str> = found.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["t:", "t:1970-01-01", "t:1970", "t:1970-01", "t:1970-01-01"]);
        assert_eq!(found[1].1, Kind::Begins);
    }

    #[test]
    fn a_long_item_says_whole_years_and_months_as_wholes() {
        let (from, to) = (
            Period::Month(1999, 12).secs().unwrap().0,
            Period::Day(NaiveDate::from_ymd_opt(2001, 2, 3).unwrap()).secs().unwrap().0,
        );
        let found = of(from, to);
        assert!(
            found.contains(&("t:2000".to_owned(), Kind::Whole))
                && !found.iter().any(|(n, _)| n.starts_with("t:2000-"))
        );
        assert!(
            found.contains(&("t:1999-12".to_owned(), Kind::Whole))
                && found.contains(&("t:2001-01".to_owned(), Kind::Whole))
        );
        let days: Vec<&str> = found
            .iter()
            .filter(|(n, k)| n.len() == 12 && *k == Kind::Meets)
            .map(|(n, _)| n.as_str())
            .collect();
        assert_eq!(days, ["t:2001-02-01", "t:2001-02-02", "t:2001-02-03"]);
        // However long, it has at most a node a year.
        assert!(
            of(-1e300, 1e300).len() < 11 || of(-1e300, 1e300).contains(&(UNDATED.to_owned(), Kind::Meets))
        );
        assert_eq!(of(-1e14, 0.0).iter().filter(|(_, k)| *k == Kind::Whole).count(), 1969);
        assert_eq!(of(1e14, 2e14), [(ALL.to_owned(), Kind::Meets), (UNDATED.to_owned(), Kind::Meets)]);
    }

    #[test]
    fn periods_are_read_strictly() {
        assert_eq!(Period::parse(Some("2020"), Some("02"), Some("29")).unwrap().name(), "2020-02-29");
        assert_eq!(Period::of_node("t:2020-02"), Some(Period::Month(2020, 2)));
        assert_eq!(Period::of_node("t:"), Some(Period::All));
        for ((y, m, d), said) in [
            (("2021", "02", "29"), "no day \"29\" of 2021-02; expected two digits, from 01 to 28"),
            (("2021", "12", "5"), "from 01 to 31"),
            (("20", "02", "01"), "no year \"20\"; expected four digits"),
            (("2020", "2", "01"), "no month \"2\"; expected two digits"),
            (("2020", "13", "01"), "no month \"13\"; expected two digits, from 01 to 12"),
            (("0000", "01", "01"), "from 0001 to 9999"),
        ] {
            let e = Period::parse(Some(y), Some(m), Some(d)).unwrap_err();
            assert!(e.contains(said), "{y}/{m}/{d}: {e}");
        }
        assert_eq!(Period::Month(2020, 2).secs().map(|(a, b)| (b - a) / 86_400.0), Some(29.0));
    }
}
