//! Lengths of time as a person writes them: `2s`, `30m`, `6h`, `1d`, `1mo`, `1y`.

use graticule_shared::time::{Calendar, CfTime, TimeUnits};

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Span {
    Seconds(f64),
    Months(u32),
}

impl Span {
    /// # Errors
    /// What is not a number above 0 and a unit.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?}: expected a number above 0 and one of ms, s, m, h, d, mo, y, such as \"2s\" or \"1d\""
            )
        };
        let text = text.trim();
        let at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
        let n: f64 = text[..at].trim().parse().map_err(|_| wrong())?;
        if !(n > 0.0 && n < 1e6) {
            return Err(wrong());
        }
        let months =
            |each: u32| (n.fract() == 0.0).then_some(Self::Months(n as u32 * each)).ok_or_else(wrong);
        Ok(match &text[at..] {
            "ms" => Self::Seconds(n / 1000.0),
            "s" => Self::Seconds(n),
            "m" | "min" => Self::Seconds(n * 60.0),
            "h" => Self::Seconds(n * 3600.0),
            "d" => Self::Seconds(n * 86_400.0),
            "mo" => months(1)?,
            "y" => months(12)?,
            _ => return Err(wrong()),
        })
    }

    /// The instant that lies `n` of these after `start`, on the usual calendar.
    pub fn after(self, start: CfTime, n: u32) -> Option<CfTime> {
        match self {
            Self::Seconds(s) => {
                let units = TimeUnits::parse("seconds since 1970-01-01", None).ok()?;
                units.decode(start.epoch_secs(Calendar::Standard) + s * f64::from(n)).ok()
            }
            Self::Months(m) => {
                let months = start.year * 12 + i64::from(start.month) - 1 + i64::from(m) * i64::from(n);
                let month = u8::try_from(months.rem_euclid(12) + 1).ok()?;
                Some(CfTime { year: months.div_euclid(12), month, ..start })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        assert_eq!(Span::parse("2s"), Ok(Span::Seconds(2.0)));
        assert_eq!(Span::parse("6h"), Ok(Span::Seconds(21_600.0)));
        assert_eq!(Span::parse("1y"), Ok(Span::Months(12)));
        for bad in ["", "s", "2", "-1d", "1.5mo", "2 weeks"] {
            assert!(Span::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn steps_go_over_the_ends_of_months_and_years() {
        let start = CfTime::parse("2020-02-28", Calendar::Standard).unwrap();
        let day = Span::parse("1d").unwrap();
        assert_eq!(day.after(start, 2).unwrap().to_string(), "2020-03-01T00:00:00");
        let start = CfTime::parse("2020-11-01", Calendar::Standard).unwrap();
        assert_eq!(Span::parse("1mo").unwrap().after(start, 3).unwrap().to_string(), "2021-02-01T00:00:00");
    }
}
