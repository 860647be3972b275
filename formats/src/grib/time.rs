//! Reference times and lead times, in seconds (UTC, proleptic Gregorian).

use super::octets::{Fault, Result};

pub(crate) const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// Days from 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let y = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * y + y / 4 - y / 100);
    let m = (5 * of_year + 2) / 153;
    let month = if m < 10 { m + 3 } else { m - 9 };
    (y + era * 400 + i64::from(month <= 2), month, of_year - (153 * m + 2) / 5 + 1)
}

fn month_length(year: i64, month: i64) -> i64 {
    days(year + month / 12, month % 12 + 1, 1) - days(year, month, 1)
}

/// Seconds since 1970 of a date and time.
pub(crate) fn epoch(parts: [i64; 6]) -> Result<i64> {
    let [year, month, day, hour, minute, second] = parts;
    let fits = (1..=12).contains(&month)
        && (1..=month_length(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !fits {
        return Err(Fault::new(format!(
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02} is no date"
        )));
    }
    Ok(days(year, month, day) * DAY + hour * HOUR + minute * 60 + second)
}

/// Seconds from `reference` to `n` units later (GRIB2 Code Table 4.4, GRIB1 Code Table 4).
///
/// # Errors
/// A unit that no table defines.
pub(crate) fn lead(reference: i64, unit: u8, n: i64, edition: u8) -> Result<i64> {
    let months = |k: i64| {
        let (year, month, day) = civil(reference.div_euclid(DAY));
        let total = year * 12 + month - 1 + n.saturating_mul(k);
        let (y, m) = (total.div_euclid(12), total.rem_euclid(12) + 1);
        if !(-100_000..100_000).contains(&y) {
            return Err(Fault::new(format!("a lead time of {n} units {unit} is beyond all dates")));
        }
        let date = days(y, m, day.min(month_length(y, m)));
        Ok((date - reference.div_euclid(DAY)) * DAY)
    };
    let secs = match (unit, edition) {
        (0, _) => 60,
        (1, _) => HOUR,
        (2, _) => DAY,
        (3, _) => return months(1),
        (4, _) => return months(12),
        (5, _) => return months(120),
        (6, _) => return months(360),
        (7, _) => return months(1200),
        (10, _) => 3 * HOUR,
        (11, _) => 6 * HOUR,
        (12, _) => 12 * HOUR,
        (13, 1) => 15 * 60,
        (14, 1) => 30 * 60,
        (13, _) | (254, _) => 1,
        _ => return Err(Fault::new(format!("the unit of time {unit} is in no code table"))),
    };
    n.checked_mul(secs)
        .filter(|s| s.abs() < 1 << 42)
        .ok_or_else(|| Fault::new(format!("a lead time of {n} units {unit} is beyond all dates")))
}

/// ISO 8601, for messages.
pub(crate) fn iso(epoch: i64) -> String {
    let (year, month, day) = civil(epoch.div_euclid(DAY));
    let s = epoch.rem_euclid(DAY);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", s / HOUR, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_to_seconds_and_back() {
        assert_eq!(epoch([1970, 1, 1, 0, 0, 0]).unwrap(), 0);
        assert_eq!(epoch([2024, 2, 29, 12, 0, 0]).unwrap(), 1_709_208_000);
        assert_eq!(iso(1_709_208_000), "2024-02-29T12:00:00Z");
        assert_eq!(iso(-1), "1969-12-31T23:59:59Z");
        assert!(epoch([2023, 2, 29, 0, 0, 0]).is_err());
    }

    #[test]
    fn months_are_of_the_calendar() {
        let january = epoch([2016, 1, 31, 6, 0, 0]).unwrap();
        assert_eq!(lead(january, 3, 1, 2).unwrap(), 29 * DAY);
        assert_eq!(lead(january, 4, 1, 2).unwrap(), 366 * DAY);
        assert_eq!((lead(0, 13, 2, 1).unwrap(), lead(0, 13, 2, 2).unwrap()), (1800, 2));
        assert!(lead(0, 99, 1, 2).is_err());
    }
}
