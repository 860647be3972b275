//! The steps of the strip: what each is called, and where the ruler's ticks stand.
//!
//! Most strips are time, in any CF calendar; a climatology's may be plain months
//! and a sounding's a list of pressures. All of them have steps and labels.

use graticule_shared::cube::{Dim, Role};
use graticule_shared::time::{Calendar, CfTime, TimeUnits};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A dimension's steps with their decoded coordinate.
#[derive(Debug, Clone, PartialEq)]
pub struct Steps {
    pub dim: String,
    pub len: u64,
    pub units: Option<String>,
    pub calendar: Option<Calendar>,
    values: Vec<f64>,
    times: Vec<CfTime>,
    /// All at midnight: hours would say nothing.
    daily: bool,
    monthly: bool,
    climatology: bool,
}

/// A mark on the ruler.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    pub index: f64,
    pub label: String,
    pub major: bool,
}

impl Steps {
    pub fn new(dim: &Dim, values: &[f64]) -> Self {
        let units = dim.units.as_deref().unwrap_or_default();
        let parsed = (dim.role == Role::T || TimeUnits::looks_like(units))
            .then(|| TimeUnits::parse(units, dim.calendar.as_deref()).ok())
            .flatten();
        let times: Vec<CfTime> = parsed
            .as_ref()
            .map(|u| values.iter().map_while(|v| u.decode(*v).ok()).collect())
            .filter(|t: &Vec<CfTime>| t.len() == values.len())
            .unwrap_or_default();
        let gap = |a: &CfTime, b: &CfTime| (b.year - a.year) * 12 + i64::from(b.month) - i64::from(a.month);
        Self {
            dim: dim.name.clone(),
            len: dim.len,
            units: dim.units.clone(),
            calendar: parsed.filter(|_| !times.is_empty()).map(|u| u.calendar),
            daily: times.iter().all(|t| t.micros_of_day == times[0].micros_of_day),
            monthly: times.len() > 1 && times.windows(2).all(|w| gap(&w[0], &w[1]) >= 1),
            climatology: times.first().is_some_and(|t| t.year <= 1) && times.len() <= 366,
            values: values.to_vec(),
            times,
        }
    }

    pub fn is_time(&self) -> bool {
        !self.times.is_empty()
    }

    /// ISO 8601 of step `index`, for links and queries.
    pub fn iso(&self, index: u64) -> Option<String> {
        self.times.get(index as usize).map(ToString::to_string)
    }

    /// The step nearest to an ISO time.
    pub fn nearest(&self, iso: &str) -> Option<u64> {
        let calendar = self.calendar?;
        let wanted = CfTime::parse(iso, calendar).ok()?.epoch_secs(calendar);
        let distance = |t: &CfTime| (t.epoch_secs(calendar) - wanted).abs();
        let best = self.times.iter().enumerate().min_by(|a, b| distance(a.1).total_cmp(&distance(b.1)))?;
        Some(best.0 as u64)
    }

    /// "5 Jun 2017 12:00", "16 Jan" of a climatology, "850 hPa", "step 3".
    pub fn label(&self, index: u64) -> String {
        let i = index as usize;
        if let Some(t) = self.times.get(i) {
            let month = MONTHS[usize::from(t.month.clamp(1, 12) - 1)];
            let day = t.day;
            let date = match (self.climatology, self.monthly && self.daily) {
                (true, _) => format!("{day} {month}"),
                (false, true) if self.times.iter().all(|t| t.day == self.times[0].day && t.day == 1) => {
                    format!("{month} {}", t.year)
                }
                _ => format!("{day} {month} {}", t.year),
            };
            if self.climatology || self.daily && t.micros_of_day == 0 {
                return date;
            }
            let seconds = if t.second() != 0 { format!(":{:02}", t.second()) } else { String::new() };
            return format!("{date} {:02}:{:02}{seconds}", t.hour(), t.minute());
        }
        match self.values.get(i) {
            Some(v) if self.is_month() => {
                MONTHS.get((*v as usize).saturating_sub(1)).map_or_else(String::new, |m| (*m).to_owned())
            }
            Some(v) => {
                let unit = self.units.as_deref().map(graticule_shared::units::label).unwrap_or_default();
                format!("{} {unit}", super::numbers::value(*v)).trim_end().to_owned()
            }
            None => format!("step {}", index + 1),
        }
    }

    /// Labels are dates without a clock.
    fn is_dated(&self) -> bool {
        self.daily && self.times.first().is_some_and(|t| t.micros_of_day == 0)
    }

    fn is_month(&self) -> bool {
        self.dim.eq_ignore_ascii_case("month")
            && self.values.iter().all(|v| v.fract() == 0.0 && (1.0..=12.0).contains(v))
    }

    /// Words beside the time: which calendar, unless it is everyone's.
    pub fn calendar_words(&self) -> Option<&'static str> {
        Some(match self.calendar? {
            _ if self.climatology => "climatology",
            // Where no clock is shown there is no zone to speak of.
            Calendar::Standard | Calendar::ProlepticGregorian if self.is_dated() => return None,
            Calendar::Standard | Calendar::ProlepticGregorian => "UTC",
            Calendar::NoLeap => "365-day calendar",
            Calendar::AllLeap => "366-day calendar",
            Calendar::Day360 => "360-day calendar",
            Calendar::Julian => "Julian calendar",
        })
    }

    /// At most `most` labelled ticks, at the turn of hours, days, months or years where it is time.
    pub fn ticks(&self, most: usize) -> Vec<Tick> {
        let most = most.max(2);
        if self.len == 0 {
            return Vec::new();
        }
        if self.times.len() < 2 {
            return self.plain_ticks(most);
        }
        // From fine to coarse: the first rank whose turns fit.
        type Turn = fn(&CfTime) -> i64;
        type Name = fn(&CfTime, bool) -> String;
        let ranks: [(Turn, Name); 12] = [
            (|t| day_number(t) * 24 + i64::from(t.hour()), hour_label),
            (|t| day_number(t) * 8 + i64::from(t.hour()) / 3, hour_label),
            (|t| day_number(t) * 4 + i64::from(t.hour()) / 6, hour_label),
            (|t| day_number(t) * 2 + i64::from(t.hour()) / 12, hour_label),
            (day_number, day_label),
            (|t| month_number(t) * 6 + i64::from(t.day.saturating_sub(1)) / 5, day_label),
            (|t| month_number(t) * 3 + i64::from(t.day.saturating_sub(1).min(29)) / 10, day_label),
            (month_number, month_label),
            (|t| month_number(t) / 3, month_label),
            (|t| t.year, year_label),
            (|t| t.year.div_euclid(5), year_label),
            (|t| t.year.div_euclid(10), year_label),
        ];
        // A monthly axis has no first of the month to speak of, a daily one no hours.
        let finest = if self.monthly {
            7
        } else if self.daily {
            4
        } else {
            0
        };
        for (key, label) in ranks.into_iter().skip(finest) {
            let turns: Vec<usize> = (0..self.times.len())
                .filter(|&i| i == 0 || key(&self.times[i]) != key(&self.times[i - 1]))
                .collect();
            if turns.len() <= most {
                let mut last: Option<&CfTime> = None;
                let first_is_turn = turns.len() < 3 || turns[1] * 2 >= turns[2].saturating_sub(turns[1]);
                return turns
                    .iter()
                    .enumerate()
                    // A first stub too short for its label gives way to the next turn.
                    .filter(|(n, _)| *n > 0 || first_is_turn)
                    .map(|(_, &i)| {
                        let t = &self.times[i];
                        let major = last.is_none_or(|l| l.year != t.year);
                        last = Some(t);
                        Tick { index: i as f64, label: label(t, major && !self.climatology), major }
                    })
                    .collect();
            }
        }
        self.plain_ticks(most)
    }

    fn plain_ticks(&self, most: usize) -> Vec<Tick> {
        let stride = (self.len as usize).div_ceil(most).max(1);
        let stride = [1, 2, 5, 10, 20, 25, 50, 100].into_iter().find(|s| *s >= stride).unwrap_or(stride);
        (0..self.len as usize)
            .step_by(stride)
            .map(|i| Tick { index: i as f64, label: self.label(i as u64), major: false })
            .collect()
    }
}

fn day_number(t: &CfTime) -> i64 {
    month_number(t) * 31 + i64::from(t.day)
}

fn month_number(t: &CfTime) -> i64 {
    t.year * 12 + i64::from(t.month) - 1
}

fn month_name(t: &CfTime) -> &'static str {
    MONTHS[usize::from(t.month.clamp(1, 12) - 1)]
}

fn hour_label(t: &CfTime, _: bool) -> String {
    if t.hour() == 0 {
        format!("{} {}", t.day, month_name(t))
    } else {
        format!("{:02}:{:02}", t.hour(), t.minute())
    }
}

fn day_label(t: &CfTime, major: bool) -> String {
    let year = if major { format!(" {}", t.year) } else { String::new() };
    format!("{} {}{year}", t.day, month_name(t))
}

fn month_label(t: &CfTime, major: bool) -> String {
    let year = if major { format!(" {}", t.year) } else { String::new() };
    format!("{}{year}", month_name(t))
}

fn year_label(t: &CfTime, _: bool) -> String {
    t.year.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(name: &str, units: Option<&str>, calendar: Option<&str>, values: &[f64]) -> Steps {
        let dim = Dim {
            name: name.into(),
            len: values.len() as u64,
            role: if units.is_some_and(TimeUnits::looks_like) { Role::T } else { Role::Other },
            coordinate: Some(name.into()),
            units: units.map(Into::into),
            calendar: calendar.map(Into::into),
            positive: None,
            long_name: None,
        };
        Steps::new(&dim, values)
    }

    #[test]
    fn labels_say_no_more_than_the_axis_knows() {
        let daily = steps("time", Some("days since 2000-01-01"), None, &[0.0, 1.0]);
        assert_eq!(daily.label(1), "2 Jan 2000");
        let noon = steps("time", Some("hours since 2017-06-05"), None, &[12.0]);
        assert_eq!(noon.label(0), "5 Jun 2017 12:00");
        let months = steps("month", None, None, &[1.0, 7.0]);
        assert_eq!(months.label(1), "Jul");
        let levels = steps("level", Some("hPa"), None, &[1000.0, 850.0]);
        assert_eq!(levels.label(1), "850 hPa");
        assert_eq!(steps("band", None, None, &[]).label(2), "step 3");
    }

    #[test]
    fn a_time_is_found_again_by_its_iso_text() {
        let s = steps("time", Some("days since 1850-01-01"), Some("360_day"), &[0.0, 30.0, 60.0]);
        for i in 0..3 {
            assert_eq!(s.nearest(&s.iso(i).unwrap()), Some(i));
        }
        assert_eq!(s.nearest("1850-02-03"), Some(1));
        assert_eq!(s.nearest("junk"), None);
        assert_eq!(s.calendar_words(), Some("360-day calendar"));
    }

    #[test]
    fn ticks_stand_at_turns_and_fit() {
        let two_years: Vec<f64> = (0..731).map(f64::from).collect();
        let s = steps("time", Some("days since 2003-01-01"), None, &two_years);
        let ticks = s.ticks(10);
        assert!(ticks.len() <= 10, "{ticks:?}");
        assert_eq!(ticks[0].label, "Jan 2003");
        assert!(ticks.iter().any(|t| t.index == 365.0 && t.label.contains("2004")));
        for most in 2..40 {
            assert!(s.ticks(most).len() <= most);
        }
    }

    #[test]
    fn a_single_step_has_a_tick_and_none_has_none() {
        assert_eq!(steps("time", Some("days since 2000-01-01"), None, &[3.0]).ticks(8).len(), 1);
        assert!(steps("time", None, None, &[]).ticks(8).is_empty());
    }
}
