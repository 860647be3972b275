//! What each kind of coordinate must be.

use graticule_shared::time::{TimeError, TimeUnits};

use super::values::for_each;
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
    let mut previous: Option<f64> = None;
    let mut rising: Option<bool> = None;
    let mut jump: Option<u64> = None;
    let mut fault = None;
    for_each(source, v, |i, value| {
        fault = match (value, previous) {
            (None, _) => Some(refuse(v, i, "missing (NaN or fill value)", expected)),
            (Some(x), _) if !x.is_finite() || !in_range(x) => Some(refuse(v, i, x.to_string(), expected)),
            (Some(x), Some(p)) if x == p => {
                Some(refuse(v, i, format!("{x}, as the value before"), "a different value at every index"))
            }
            // Longitudes may cross the antimeridian once: 179, -179.
            (Some(x), Some(p)) if wraps && (x - p).abs() > 180.0 && jump.is_none() => {
                jump = Some(i);
                None
            }
            (Some(x), Some(p)) if *rising.get_or_insert(x > p) != (x > p) => Some(refuse(
                v,
                i,
                format!("{x} after {p}, against the direction so far"),
                "values that rise or fall throughout",
            )),
            _ => None,
        };
        previous = value;
        fault.is_none()
    })?;
    if fault.is_none()
        && let Some(i) = jump
    {
        fault = Some(
            note(
                v,
                "the longitudes jump by more than half a turn here",
                "values that rise or fall throughout",
            )
            .at(i),
        );
    }
    findings.extend(fault);
    Ok(())
}

/// Latitudes or longitudes of each cell, or of a point.
fn auxiliary(
    source: &dyn Source,
    v: &Variable,
    expected: &str,
    in_range: impl Fn(f64) -> bool,
    findings: &mut Findings,
) -> Result<(), FormatError> {
    let (mut missing, mut first_missing) = (0u64, 0);
    let mut fault = None;
    for_each(source, v, |i, value| {
        match value {
            None => {
                if missing == 0 {
                    first_missing = i;
                }
                missing += 1;
            }
            Some(x) if !x.is_finite() || !in_range(x) => fault = Some(refuse(v, i, x.to_string(), expected)),
            Some(_) => {}
        }
        fault.is_none()
    })?;
    if missing > 0 && fault.is_none() {
        let found = format!("{missing} positions are missing; their cells cannot be placed");
        fault = Some(note(v, found, expected).at(first_missing));
    }
    findings.extend(fault);
    Ok(())
}

/// Levels, members and the like: labels, not places.
pub(super) fn other(source: &dyn Source, v: &Variable, findings: &mut Findings) -> Result<(), FormatError> {
    let mut previous = None;
    let mut fault = None;
    for_each(source, v, |i, value| {
        fault = match value {
            Some(x) if x.is_finite() && Some(x) == previous => {
                Some(note(v, format!("{x}, as the value before"), "a different value at every index").at(i))
            }
            Some(x) if x.is_finite() => None,
            Some(x) => Some(note(v, x.to_string(), "finite values").at(i)),
            None => Some(note(v, "missing (NaN or fill value)", "finite values").at(i)),
        };
        previous = value;
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
    let mut previous: Option<f64> = None;
    let mut rising: Option<bool> = None;
    let mut fault = None;
    for_each(source, v, |i, value| {
        fault = match (value, previous) {
            (None, _) => Some(refuse(v, i, "missing (NaN or fill value)", "a time at every index")),
            (Some(x), _) if parsed.decode(x).is_err() => {
                Some(refuse(v, i, format!("{x} {units} is no date"), "a date within a million years"))
            }
            (Some(x), Some(p)) if x == p && is_coordinate(v) => Some(refuse(
                v,
                i,
                format!("{x}, the time of the step before"),
                "a different time at every index",
            )),
            (Some(x), Some(p)) if is_coordinate(v) && *rising.get_or_insert(x > p) != (x > p) => {
                Some(refuse(v, i, format!("{x} after {p}, against the direction so far"), "times in order"))
            }
            _ => None,
        };
        previous = value;
        fault.is_none()
    })?;
    match fault {
        // A time that is not the axis places nothing.
        Some(f) if !is_coordinate(v) => findings.push(Finding { severity: Severity::Note, ..f }),
        Some(f) => findings.push(f),
        None if rising == Some(false) => {
            findings.push(note(v, "the times run backwards", "times in rising order"))
        }
        None => {}
    }
    Ok(())
}
