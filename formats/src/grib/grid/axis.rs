//! Axes in degrees from what a header says of their ends.
//!
//! A header says them twice: by first and last point, and by an increment. Both are
//! rounded to a millidegree or microdegree. Longitudes are spread from first to
//! last point; latitudes are stepped by the increment. So does ecCodes, and the
//! coordinates of one grid should be the same in every tool. Where the two
//! contradict one another by more than rounding, first and last point are right.

use super::super::octets::{Fault, Result};
use super::Corners;

/// What a header says of one axis.
struct Ends {
    first: f64,
    last: f64,
    n: u32,
    increment: Option<f64>,
    /// By the scanning mode.
    rising: bool,
    /// Stepped by the increment, if that leads to the last point, instead of spread.
    stepped: bool,
}

/// Latitudes of the rows.
pub(super) fn latitudes(c: &Corners, notes: &mut Vec<String>) -> Result<Vec<f64>> {
    let ends = Ends {
        first: c.lat1,
        last: c.lat2,
        n: c.nj,
        increment: c.dj,
        rising: c.scan.j_positive,
        stepped: true,
    };
    degrees("latitude", &ends, notes)
}

fn degrees(what: &str, ends: &Ends, notes: &mut Vec<String>) -> Result<Vec<f64>> {
    let Ends { first, last, n, increment, rising, stepped } = *ends;
    if n == 1 {
        return Ok(vec![first]);
    }
    let steps = f64::from(n - 1);
    let mut step = (last - first) / steps;
    match increment.filter(|d| *d > 0.0) {
        // Up to the rounding of the increment at each step.
        Some(d) if step == 0.0 => {
            notes.push(format!("{what}: first and last point are both {first}; the increment {d} is used"));
            step = if rising { d } else { -d };
        }
        Some(d) if (step.abs() - d).abs() * steps > 0.5 * step.abs().max(d) => notes.push(format!(
            "{what}: the increment {d} does not lead from {first} to {last} in {steps} steps; {} does and is used",
            step.abs()
        )),
        Some(d) if stepped => step = d.copysign(step),
        None if step == 0.0 => {
            return Err(Fault::new(format!("{what}: {n} points from {first} to {last}, and no increment")));
        }
        _ => {}
    }
    if (step > 0.0) != rising {
        notes.push(format!(
            "{what}: the scanning mode says that values {}, first and last point ({first}, {last}) say otherwise and are used",
            if rising { "rise" } else { "fall" }
        ));
    }
    Ok((0..n).map(|i| if i == n - 1 && first != last { last } else { first + f64::from(i) * step }).collect())
}

/// Longitudes of the columns: unwrapped in the direction of scanning, and within
/// -360 and 360 degrees.
pub(super) fn longitudes(c: &Corners, notes: &mut Vec<String>) -> Result<Vec<f64>> {
    let (mut first, mut last) = (c.lon1, c.lon2);
    if first.abs() > 720.0 || last.abs() > 720.0 {
        return Err(Fault::new(format!("{first} to {last} degrees are no longitudes")));
    }
    if c.ni > 1 {
        if !c.scan.i_negative {
            while last < first {
                last += 360.0;
            }
        } else {
            while last > first {
                last -= 360.0;
            }
        }
        // From 0 to 0 once around: the increment tells.
        let span = c.di.unwrap_or(0.0) * f64::from(c.ni - 1);
        if first == last && (359.0..361.0).contains(&span) {
            last = if c.scan.i_negative { first - 360.0 } else { first + 360.0 };
        }
    }
    if first.max(last) > 360.0 {
        first -= 360.0;
        last -= 360.0;
    }
    let ends = Ends { first, last, n: c.ni, increment: c.di, rising: !c.scan.i_negative, stepped: false };
    degrees("longitude", &ends, notes)
}

#[cfg(test)]
mod tests {
    use super::super::Scan;
    use super::*;

    fn columns(lon1: f64, lon2: f64, ni: u32, di: f64, i_negative: bool) -> (Vec<f64>, usize) {
        let scan = Scan { i_negative, ..Scan::default() };
        let c = Corners { ni, nj: 1, lat1: 0.0, lon1, lat2: 0.0, lon2, di: Some(di), dj: None, scan };
        let mut notes = Vec::new();
        let values = longitudes(&c, &mut notes).unwrap();
        (values, notes.len())
    }

    #[test]
    fn longitudes_go_on_over_the_meridian() {
        assert_eq!(columns(350.0, 10.0, 3, 10.0, false), (vec![-10.0, 0.0, 10.0], 0));
        assert_eq!(columns(10.0, 350.0, 3, 10.0, true), (vec![10.0, 0.0, -10.0], 0));
        assert_eq!(columns(180.0, 90.0, 4, 90.0, false), (vec![-180.0, -90.0, 0.0, 90.0], 0));
        assert_eq!(columns(0.0, 0.0, 5, 90.0, false).0, [0.0, 90.0, 180.0, 270.0, 360.0]);
    }

    #[test]
    fn a_wrong_increment_gives_way_to_the_last_point_with_a_note() {
        assert_eq!(columns(0.0, 20.0, 3, 1.0, false), (vec![0.0, 10.0, 20.0], 1));
        // Rounded, not wrong.
        assert_eq!(columns(0.0, 100.0, 301, 0.333, false).1, 0);
    }
}
