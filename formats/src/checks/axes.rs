//! What each kind of coordinate must be.

use graticule_shared::time::{TimeError, TimeUnits};

use super::values::{Value, for_each};
use super::{Finding, Severity, is_coordinate, text};
use crate::{AttrValue, FormatError, Source, Variable};

/// Rounding that a float32 pole may have.
const POLE_SLACK_DEG: f64 = 1e-3;
/// Two turns each way: beyond is no longitude in degrees.
const MAX_LONGITUDE_DEG: f64 = 720.0;

type Findings = Vec<Finding>;

fn refuse(v: &Variable, index: u64, found: impl Into<String>, expected: &str) -> Finding {
    Finding::new(Severity::Refuse, &v.path, found, expected).at(index)
}

fn note(v: &Variable, found: impl Into<String>, expected: &str) -> Finding {
    Finding::new(Severity::Note, &v.path, found, expected)
}

pub(super) fn latitude(
    source: &dyn Source,
    v: &Variable,
    findings: &mut Findings,
) -> Result<(), FormatError> {
    const EXPECTED: &str = "latitudes between -90 and 90 degrees";
    let range = |x: f64| x.abs() <= 90.0 + POLE_SLACK_DEG;
    if is_coordinate(v) {
        axis(source, v, EXPECTED, range, false, findings)
    } else {
        auxiliary(source, v, EXPECTED, range, findings)
    }
}

pub(super) fn longitude(
    source: &dyn Source,
    v: &Variable,
    findings: &mut Findings,
) -> Result<(), FormatError> {
    const EXPECTED: &str = "longitudes between -720 and 720 degrees";
    let range = |x: f64| x.abs() <= MAX_LONGITUDE_DEG;
    if is_coordinate(v) {
        axis(source, v, EXPECTED, range, true, findings)
    } else {
        auxiliary(source, v, EXPECTED, range, findings)
    }
}

pub(super) fn position(
    source: &dyn Source,
    v: &Variable,
    findings: &mut Findings,
) -> Result<(), FormatError> {
    axis(source, v, "finite coordinates", |_| true, false, findings)
}

/// One-dimensional and strictly monotonic (CF section 1.3); the first fault is reported.
fn axis(
    source: &dyn Source,
    v: &Variable,
    expected: &str,
    in_range: impl Fn(f64) -> bool,
    wraps: bool,
    findings: &mut Findings,
) -> Result<(), FormatError> {
    let mut order = Order { wraps, ..Order::default() };
    let mut fault = None;
    for_each(source, v, |i, value| {
        fault = match value {
            Value::Number(x) if x.is_finite() && in_range(x) => {
                order.next(i, x).map(|(found, expected)| refuse(v, i, found, expected))
            }
            wrong => Some(refuse(v, i, found(wrong), expected)),
        };
        fault.is_none()
    })?;
    if fault.is_none()
        && let Some(i) = order.jump
    {
        let found = "the longitudes jump by more than half a turn here";
        fault = Some(note(v, found, "values that rise or fall throughout").at(i));
    }
    findings.extend(fault);
    Ok(())
}

/// Follows an axis from value to value.
#[derive(Default)]
struct Order {
    /// Longitudes may cross the antimeridian once: 179, -179.
    wraps: bool,
    previous: Option<f64>,
    rising: Option<bool>,
    /// Steps seen.
    steps: u64,
    wide_first_step: bool,
    jump: Option<u64>,
}

impl Order {
    /// What is wrong with value `index`, and what would be right.
    fn next(&mut self, index: u64, x: f64) -> Option<(String, &'static str)> {
        let p = self.previous.replace(x)?;
        if x == p {
            return Some((format!("{x}, as the value before"), "a different value at every index"));
        }
        self.steps += 1;
        let wide = self.wraps && (x - p).abs() > 180.0;
        let rises = x > p;
        match self.rising {
            None => {
                self.rising = Some(rises);
                self.wide_first_step = wide;
                None
            }
            Some(rising) if rising == rises => None,
            Some(_) if wide && self.jump.is_none() => {
                self.jump = Some(index);
                None
            }
            // The first step was the jump, and this is the direction.
            Some(_) if self.wide_first_step && self.steps == 2 => {
                self.jump = Some(index - 1);
                self.rising = Some(rises);
                None
            }
            Some(_) => Some((
                format!("{x} after {p}, against the direction so far"),
                "values that rise or fall throughout",
            )),
        }
    }
}

/// What is no usable coordinate, in words.
fn found(value: Value) -> String {
    match value {
        Value::Number(x) => x.to_string(),
        Value::Nan => "NaN".to_owned(),
        Value::Fill => "the fill value".to_owned(),
    }
}

/// Latitudes or longitudes of each cell, or of a point. Cells whose coordinates are no place (models
/// write constants on land, satellites fill what they do not see) are left out of the map and
/// counted; it is a fault only where none is left.
fn auxiliary(
    source: &dyn Source,
    v: &Variable,
    expected: &str,
    in_range: impl Fn(f64) -> bool,
    findings: &mut Findings,
) -> Result<(), FormatError> {
    let (mut good, mut missing, mut wrong) = (0u64, 0u64, 0u64);
    let mut first = None;
    for_each(source, v, |i, value| {
        match value {
            Value::Number(x) if x.is_finite() && in_range(x) => good += 1,
            Value::Number(x) => {
                wrong += 1;
                // A wrong number says more than a missing one.
                if !matches!(first, Some((_, Some(_)))) {
                    first = Some((i, Some(x)));
                }
            }
            Value::Nan | Value::Fill => {
                missing += 1;
                first.get_or_insert((i, None));
            }
        }
        true
    })?;
    let Some((index, number)) = first else { return Ok(()) };
    findings.push(match (good, number) {
        (0, Some(x)) => refuse(v, index, x.to_string(), expected),
        (0, None) => note(v, format!("all {missing} of its positions are missing"), expected).at(index),
        (_, Some(x)) => {
            let found = format!(
                "{wrong} of its {} positions are no place, such as {x}, and {missing} are missing; their cells are left out of the map",
                good + wrong + missing
            );
            note(v, found, expected).at(index)
        }
        (_, None) => {
            note(v, format!("{missing} of its positions are missing; their cells are left out of the map"), expected)
                .at(index)
        }
    });
    Ok(())
}

/// Levels, members and the like: labels, not places.
pub(super) fn other(source: &dyn Source, v: &Variable, findings: &mut Findings) -> Result<(), FormatError> {
    let mut previous = None;
    let mut fault = None;
    for_each(source, v, |i, value| {
        fault = match value {
            Value::Number(x) if x.is_finite() && previous == Some(x) => {
                Some(note(v, format!("{x}, as the value before"), "a different value at every index").at(i))
            }
            Value::Number(x) if x.is_finite() => {
                previous = Some(x);
                None
            }
            wrong => Some(note(v, found(wrong), "finite values").at(i)),
        };
        fault.is_none()
    })?;
    findings.extend(fault);
    Ok(())
}

pub(super) fn time(source: &dyn Source, v: &Variable, findings: &mut Findings) -> Result<(), FormatError> {
    const UNITS: &str = "units such as \"hours since 1970-01-01\" (CF section 4.4)";
    let units = text(v, "units");
    let calendar = v.attribute("calendar").and_then(AttrValue::as_text);
    let parsed = match TimeUnits::parse(units, calendar) {
        Ok(parsed) => parsed,
        Err(e) => {
            // "none" is CF's own word for a time that is no date.
            let none = matches!(&e, TimeError::Calendar(c) if c.eq_ignore_ascii_case("none"));
            let claims = units.to_ascii_lowercase().split_whitespace().any(|w| w == "since");
            findings.push(if claims && !none && is_coordinate(v) {
                Finding::new(Severity::Refuse, &v.path, e.to_string(), UNITS)
            } else {
                note(v, format!("kept as a plain axis: {e}"), UNITS)
            });
            return if is_coordinate(v) { other(source, v, findings) } else { Ok(()) };
        }
    };
    let mut order = Order::default();
    let mut fault = None;
    for_each(source, v, |i, value| {
        fault = match value {
            Value::Number(x) if parsed.decode(x).is_err() => {
                Some(refuse(v, i, format!("{x} {units} is no date"), "a date within a million years"))
            }
            Value::Number(x) if is_coordinate(v) => {
                order.next(i, x).map(|(found, expected)| refuse(v, i, found, expected))
            }
            Value::Number(_) => None,
            wrong => Some(refuse(v, i, found(wrong), "a time at every index")),
        };
        fault.is_none()
    })?;
    match fault {
        // A time that is not the axis places nothing.
        Some(f) if !is_coordinate(v) => findings.push(Finding { severity: Severity::Note, ..f }),
        Some(f) => findings.push(f),
        None if order.rising == Some(false) => {
            findings.push(note(v, "the times run backwards", "times in rising order"));
        }
        None => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(wraps: bool, values: &[f64]) -> (Vec<usize>, Option<u64>) {
        let mut order = Order { wraps, ..Order::default() };
        let wrong = values.iter().enumerate().filter(|(i, x)| order.next(*i as u64, **x).is_some());
        (wrong.map(|(i, _)| i).collect(), order.jump)
    }

    #[test]
    fn an_axis_rises_or_falls_and_longitudes_may_cross_the_antimeridian_once() {
        assert_eq!(faults(false, &[1.0, 2.0, 4.0]), (vec![], None));
        assert_eq!(faults(false, &[4.0, 2.0, 1.0]), (vec![], None));
        assert_eq!(faults(false, &[1.0, 2.0, 2.0]), (vec![2], None));
        assert_eq!(faults(false, &[1.0, 2.0, 0.0]), (vec![2], None));
        assert_eq!(faults(true, &[170.0, 179.0, -179.0, -170.0]), (vec![], Some(2)));
        assert_eq!(faults(true, &[179.0, -179.0, -170.0, -160.0]), (vec![], Some(1)));
        assert_eq!(faults(true, &[0.0, 200.0]), (vec![], None), "coarse, not crossing");
        assert_eq!(faults(true, &[170.0, 179.0, -179.0, 178.0, -178.0]), (vec![4], Some(2)));
    }
}
