//! What is selected along a dimension: times, levels, or anything with values.

use std::sync::Arc;

use graticule_shared::cube::{Dim, Role};
use graticule_shared::time::{Calendar, CfTime, TimeError, TimeUnits};

use super::Choice;
use super::coverage::{Labels, Selected};
use crate::opened::Opened;
use crate::problem::{Answer, Problem};

/// How the numbers of a dimension of time are instants.
///
/// # Errors
/// What its units say is no time.
pub fn clock(dim: &Dim) -> Result<TimeUnits, String> {
    let units = dim.units.as_deref().ok_or("it has no units")?;
    TimeUnits::parse(units, dim.calendar.as_deref()).map_err(|e| e.to_string())
}

pub async fn along(opened: &Arc<Opened>, dim: &Dim, choice: &Choice) -> Answer<Selected> {
    let values = match &dim.coordinate {
        Some(path) => opened.axis_values(path).await.map_err(Problem::of)?.to_vec(),
        None => (0..dim.len).map(|i| i as f64).collect(),
    };
    let explicit = choice.dims.iter().find(|(n, _)| *n == dim.name).map(|(_, v)| v.as_str());
    let units = if dim.role == Role::T { clock(dim).ok() } else { None };
    let (indices, labels) = match (&units, dim.role) {
        (Some(units), _) => {
            let asked = explicit.or(choice.datetime.as_deref());
            let indices = match asked {
                Some(text) => times(text, &values, units)?,
                None => (0..values.len() as u64).collect(),
            };
            let label = |i: &u64| {
                let t = values.get(*i as usize).and_then(|v| units.decode(*v).ok());
                t.map_or_else(|| "unknown".to_owned(), |t| format!("{t}Z"))
            };
            let labels = Labels::Times {
                values: indices.iter().map(label).collect(),
                calendar: units.calendar.name(),
                stored: indices.iter().filter_map(|i| values.get(*i as usize).copied()).collect(),
            };
            (indices, labels)
        }
        (None, role) => {
            let asked = explicit.or(choice.z.as_deref().filter(|_| role == Role::Z));
            let name = if role == Role::Z && explicit.is_none() {
                "z".to_owned()
            } else {
                format!("dim:{}", dim.name)
            };
            let indices = match asked {
                Some(text) => numbers(&name, text, &values)?,
                None => (0..values.len() as u64).collect(),
            };
            let picked = indices.iter().filter_map(|i| values.get(*i as usize).copied()).collect();
            (indices, Labels::Numbers(picked))
        }
    };
    Ok(Selected {
        name: dim.name.clone(),
        role: if units.is_none() && dim.role == Role::T { Role::Other } else { dim.role },
        indices,
        labels,
        units: dim.units.clone(),
        positive: dim.positive.clone(),
        is_scalar: false,
    })
}

/// `datetime` as EDR has it: an instant, `start/end`, or an open interval with `..`.
/// A date without a clock, a month or a year means all of it.
fn times(text: &str, values: &[f64], units: &TimeUnits) -> Answer<Vec<u64>> {
    let wrong = |why: String| Problem::parameter("datetime", text, why);
    let unread = |e: &TimeError, example: &str| match e {
        TimeError::NoDay(..) => wrong(e.to_string()),
        _ => wrong(example.to_owned()),
    };
    // What steps there are, and which is nearest.
    let there = |at: Option<CfTime>| {
        let say = |v: Option<&f64>| {
            v.and_then(|v| units.decode(*v).ok()).map_or_else(|| "-".into(), |t| format!("{t}Z"))
        };
        let near = at.map_or_else(String::new, |at| {
            let at = units.encode(at);
            let nearest = values.iter().min_by(|p, q| (*p - at).abs().total_cmp(&(*q - at).abs()));
            format!("; the nearest is {}", say(nearest))
        });
        format!(
            "the {} steps run from {} to {} in the calendar {}{near}",
            values.len(),
            say(values.first()),
            say(values.last()),
            units.calendar.name()
        )
    };
    if let Some((method, asked)) = method_of(text) {
        let at = CfTime::parse(asked.trim(), units.calendar)
            .map_err(|e| unread(&e, "expected an instant such as nearest::2024-01-31T12:00:00Z"))?;
        let found = method.find(values, units.encode(at));
        return found
            .map(|i| vec![i])
            .ok_or_else(|| wrong(format!("there is no time step {}; {}", method.side(), there(Some(at)))));
    }
    let example = "expected an instant such as 2024-01-31T12:00:00Z, a date, or an interval such as 2024-01-01/2024-02-01 or ../2024-02-01";
    let span = |part: &str| span_of(part, units.calendar).map_err(|e| unread(&e, example));
    let (from, to) = match text.split_once('/') {
        None => {
            let (from, to) = span(text)?;
            (Some(from), Some(to))
        }
        Some((a, b)) => {
            let open = |p: &str| matches!(p.trim(), ".." | "");
            if open(a) && open(b) {
                (None, None)
            } else {
                (if open(a) { None } else { Some(span(a)?.0) }, if open(b) { None } else { Some(span(b)?.1) })
            }
        }
    };
    // Times on the axis may be rounded: half a second is the same instant.
    let slack = units.encode(CfTime { year: 1970, month: 1, day: 1, micros_of_day: 500_000 })
        - units.encode(CfTime { year: 1970, month: 1, day: 1, micros_of_day: 0 });
    let low = from.map_or(f64::NEG_INFINITY, |t| units.encode(t) - slack);
    let high = to.map_or(f64::INFINITY, |t| units.encode(t) + slack);
    let found: Vec<u64> =
        values.iter().enumerate().filter(|(_, v)| **v >= low && **v <= high).map(|(i, _)| i as u64).collect();
    if low > high {
        return Err(wrong("the interval ends before it begins; expected start/end".to_owned()));
    }
    if found.is_empty() {
        return Err(wrong(format!("there is no time step; {}", there(from))));
    }
    Ok(found)
}

/// First and last instant that `text` names.
fn span_of(text: &str, calendar: Calendar) -> Result<(CfTime, CfTime), TimeError> {
    let text = text.trim();
    let start = CfTime::parse(text, calendar)?;
    let date_only = text.len() <= 10 && !text.contains(['T', 't', ':', ' ']);
    if !date_only {
        return Ok((start, start));
    }
    // The slack of half a second is added to it.
    let end_of_day = 86_399_000_000;
    let last_day = |year: i64, month: u8| {
        (28..=31u8)
            .rev()
            .find(|d| CfTime::parse(&format!("{year:04}-{month:02}-{d:02}"), calendar).is_ok())
            .unwrap_or(28)
    };
    let end = match text.trim_start_matches('-').split('-').count() {
        1 if text.len() <= 5 => {
            CfTime { month: 12, day: last_day(start.year, 12), micros_of_day: end_of_day, ..start }
        }
        2 => CfTime { day: last_day(start.year, start.month), micros_of_day: end_of_day, ..start },
        _ => CfTime { micros_of_day: end_of_day, ..start },
    };
    Ok((start, end))
}

/// How a value that the dimension does not have is found, in the words of `xarray.Dataset.sel`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Method {
    Exact,
    Nearest,
    /// The last value not above.
    Ffill,
    /// The first value not below.
    Bfill,
}

/// `nearest::500`: the method and the value.
fn method_of(text: &str) -> Option<(Method, &str)> {
    let (name, value) = text.split_once("::")?;
    let method = match name.trim().to_ascii_lowercase().as_str() {
        "exact" => Method::Exact,
        "nearest" => Method::Nearest,
        "ffill" | "pad" => Method::Ffill,
        "bfill" | "backfill" => Method::Bfill,
        _ => return None,
    };
    Some((method, value))
}

impl Method {
    /// Index of the value found; the first of two that are equally near.
    fn find(self, values: &[f64], asked: f64) -> Option<u64> {
        let same = |v: f64| (v - asked).abs() <= 1e-6 * asked.abs().max(1.0);
        let suits = |v: f64| match self {
            Self::Exact => same(v),
            Self::Nearest => v.is_finite(),
            Self::Ffill => v <= asked || same(v),
            Self::Bfill => v >= asked || same(v),
        };
        let all = values.iter().enumerate().filter(|(_, v)| suits(**v));
        all.min_by(|a, b| (a.1 - asked).abs().total_cmp(&(b.1 - asked).abs())).map(|(i, _)| i as u64)
    }

    fn side(self) -> &'static str {
        match self {
            Self::Exact => "exactly there",
            Self::Nearest => "near it",
            Self::Ffill => "before it",
            Self::Bfill => "after it",
        }
    }
}

/// Steps of a dimension, in order, of which a path asks for the nearest many times.
pub struct Steps {
    /// Values and which step they are.
    rising: Vec<(f64, usize)>,
    /// How far outside the first and the last a value may lie: half a step.
    slack: [f64; 2],
}

impl Steps {
    pub fn new(values: &[f64]) -> Self {
        let mut rising: Vec<(f64, usize)> =
            values.iter().copied().zip(0..).filter(|(v, _)| v.is_finite()).collect();
        rising.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let half = |a: Option<&(f64, usize)>, b: Option<&(f64, usize)>| {
            a.zip(b).map_or(0.0, |(a, b)| (b.0 - a.0).abs() / 2.0)
        };
        let first = half(rising.first(), rising.get(1));
        let last = half(rising.len().checked_sub(2).and_then(|i| rising.get(i)), rising.last());
        Self { rising, slack: [first, last] }
    }

    /// The nearest; `None` further outside than half a step.
    pub fn nearest(&self, asked: f64) -> Option<usize> {
        let ((low, _), (high, _)) = (*self.rising.first()?, *self.rising.last()?);
        if !(asked >= low - self.slack[0] && asked <= high + self.slack[1]) {
            return None;
        }
        let above = self.rising.partition_point(|(v, _)| *v < asked);
        let beside = [above.checked_sub(1), Some(above)].into_iter().flatten();
        let near = beside.filter_map(|i| self.rising.get(i));
        near.min_by(|a, b| (a.0 - asked).abs().total_cmp(&(b.0 - asked).abs())).map(|(_, i)| *i)
    }
}

/// `Rn/start/step` of EDR: n values from `start` on.
fn recurring(text: &str) -> Option<Vec<f64>> {
    let mut parts = text.strip_prefix(['R', 'r'])?.split('/');
    let count: usize = parts.next()?.trim().parse().ok().filter(|n| (1..=10_000).contains(n))?;
    let mut number = || parts.next()?.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    let (start, step) = (number()?, number()?);
    parts.next().is_none().then(|| (0..count).map(|i| start + step * i as f64).collect())
}

/// A value, a list `a,b`, an interval `low/high`, a sequence `Rn/start/step`, or a value by a
/// method such as `nearest::500`, on the dimension's values.
fn numbers(name: &str, text: &str, values: &[f64]) -> Answer<Vec<u64>> {
    let list = || {
        let some: Vec<String> = values.iter().take(40).map(f64::to_string).collect();
        format!("{}{}", some.join(", "), if values.len() > 40 { ", …" } else { "" })
    };
    let wrong = |why: &str| Problem::parameter(name, text, format!("{why}; the values are {}", list()));
    let number = |s: &str| s.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    if let Some((method, asked)) = method_of(text) {
        let asked = number(asked).ok_or_else(|| wrong("expected a number after the method"))?;
        let found = method.find(values, asked);
        return found
            .map(|i| vec![i])
            .ok_or_else(|| wrong(&format!("there is no such value {}", method.side())));
    }
    if let Some(all) = recurring(text) {
        let found: Option<Vec<u64>> = all.iter().map(|v| Method::Exact.find(values, *v)).collect();
        return found.ok_or_else(|| {
            let missing = all.iter().filter(|v| Method::Exact.find(values, **v).is_none());
            let some: Vec<String> = missing.take(5).map(f64::to_string).collect();
            let why = format!(
                "Rn/start/step asks here for {} values, of which {} are not there",
                all.len(),
                some.join(", ")
            );
            wrong(&why)
        });
    }
    if let Some((a, b)) = text.split_once('/') {
        let (Some(a), Some(b)) = (number(a), number(b)) else {
            return Err(wrong("expected an interval low/high"));
        };
        let (low, high) = (a.min(b), a.max(b));
        let found: Vec<u64> = values
            .iter()
            .enumerate()
            .filter(|(_, v)| **v >= low && **v <= high)
            .map(|(i, _)| i as u64)
            .collect();
        return if found.is_empty() { Err(wrong("nothing lies in this interval")) } else { Ok(found) };
    }
    text.split(',')
        .map(|part| {
            let asked =
                number(part).ok_or_else(|| wrong("expected a number, a list a,b or an interval low/high"))?;
            Method::Exact.find(values, asked).ok_or_else(|| wrong("there is no such value"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_a_day_a_month_and_open_intervals_select_what_they_name() {
        let units = TimeUnits::parse("hours since 2014-10-01", None).unwrap();
        let values: Vec<f64> = (0..124).map(|i| f64::from(i) * 6.0).collect();
        let n = |t: &str| times(t, &values, &units).map(|v| v.len());
        assert_eq!(n("2014-10-01T06:00:00Z").unwrap(), 1);
        assert_eq!(n("2014-10-02").unwrap(), 4);
        assert_eq!(n("2014-10").unwrap(), 124);
        assert_eq!(n("2014").unwrap(), 124);
        assert_eq!(n("2014-10-30/..").unwrap(), 8);
        assert_eq!(n("../2014-10-01T12:00:00Z").unwrap(), 3);
        assert_eq!(n("2014-10-01T00:00:00Z/2014-10-01T23:00:00Z").unwrap(), 4);
        let one = |t: &str| times(t, &values, &units).unwrap();
        assert_eq!(one("nearest::2014-10-01T04:00:00Z"), [1]);
        assert_eq!(one("ffill::2014-10-01T04:00:00Z"), [0]);
        assert_eq!(one("bfill::2014-10-01T07:00:00Z"), [2]);
        let e = n("2015-01-01").unwrap_err();
        assert!(e.detail.contains("from 2014-10-01T00:00:00Z to 2014-10-31T18:00:00Z"), "{}", e.detail);
        assert!(n("yesterday").unwrap_err().detail.contains("expected an instant"));
        for (text, nearest) in [
            ("bfill::2015-01-01", "2014-10-31T18:00:00Z"),
            ("ffill::2014-01-01", "2014-10-01T00:00:00Z"),
            ("exact::2014-10-02T05:00:00Z", "2014-10-02T06:00:00Z"),
        ] {
            let e = n(text).unwrap_err();
            assert!(
                e.detail.contains("run from 2014-10-01T00:00:00Z to 2014-10-31T18:00:00Z"),
                "{}",
                e.detail
            );
            assert!(e.detail.ends_with(&format!("the nearest is {nearest}")), "{}", e.detail);
        }
    }

    #[test]
    fn a_month_of_the_360_day_calendar_has_its_thirtieth() {
        let units = TimeUnits::parse("days since 2000-02-01", Some("360_day")).unwrap();
        let values: Vec<f64> = (0..60).map(f64::from).collect();
        assert_eq!(times("2000-02", &values, &units).unwrap().len(), 30);
        assert_eq!(times("2000-02-30", &values, &units).unwrap(), [29]);
        for text in ["2000-03-31", "../2000-03-31T12:00:00Z", "nearest::2000-03-31"] {
            let e = times(text, &values, &units).unwrap_err();
            assert!(e.detail.contains("the calendar 360_day has no day"), "{}", e.detail);
        }
    }

    #[test]
    fn a_dimension_of_time_that_is_not_understood_says_why() {
        let dim = |units: Option<&str>| Dim {
            name: "t".to_owned(),
            len: 2,
            role: Role::T,
            coordinate: None,
            units: units.map(str::to_owned),
            calendar: None,
            positive: None,
            long_name: None,
        };
        assert!(clock(&dim(Some("days since 2000-01-01"))).is_ok());
        assert!(clock(&dim(None)).unwrap_err().contains("no units"));
        assert!(clock(&dim(Some("timesteps"))).unwrap_err().contains("timesteps"));
    }

    #[test]
    fn levels_are_named_by_value_list_or_interval() {
        let values = [1000.0, 850.0, 500.0, 200.0];
        assert_eq!(numbers("z", "850", &values).unwrap(), [1]);
        assert_eq!(numbers("z", "500,1000", &values).unwrap(), [2, 0]);
        assert_eq!(numbers("z", "200/900", &values).unwrap(), [1, 2, 3]);
        assert_eq!(numbers("z", "nearest::640", &values).unwrap(), [2]);
        assert_eq!(numbers("z", "ffill::640", &values).unwrap(), [2]);
        assert_eq!(numbers("z", "bfill::640", &values).unwrap(), [1]);
        assert_eq!(numbers("z", "R2/200/300", &values).unwrap(), [3, 2]);
        assert!(numbers("z", "exact::640", &values).is_err());
        assert!(numbers("z", "bfill::1001", &values).is_err());
        let e = numbers("z", "851", &values).unwrap_err();
        assert!(e.detail.contains("1000, 850, 500, 200"), "{}", e.detail);
    }
}
