//! Gaussian latitudes: the zeros of the Legendre polynomial of degree 2N, in degrees.

use std::f64::consts::PI;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::octets::{Fault, Result};

/// Rows between a pole and the equator that are computed at most.
const MOST: u32 = 8000;

/// Latitudes kept, of the grids asked for last: a file has one grid in thousands of messages.
const KEPT: usize = 8;
/// From here on, in n sin(theta), the asymptotic series is exact to the last bit.
const FAR_FROM_POLE: f64 = 100.0;
const TERMS: usize = 12;

/// All 2N latitudes, northernmost first.
pub(super) fn latitudes(n: u32) -> Result<Arc<[f64]>> {
    static KNOWN: Mutex<Vec<(u32, Arc<[f64]>)>> = Mutex::new(Vec::new());
    if n == 0 || n > MOST {
        return Err(Fault::new(format!("a Gaussian grid of N = {n}; 1 to {MOST} are read")));
    }
    let lock = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, known)) = lock().iter().find(|(k, _)| *k == n) {
        return Ok(Arc::clone(known));
    }
    let made: Arc<[f64]> = computed(n).into();
    let mut known = lock();
    known.truncate(KEPT - 1);
    known.insert(0, (n, Arc::clone(&made)));
    Ok(made)
}

fn computed(n: u32) -> Vec<f64> {
    let degree = 2 * n;
    let order = f64::from(degree);
    let mut north = Vec::with_capacity(2 * n as usize);
    for k in 0..n {
        // Tricomi's first guess, then Newton.
        let guess = PI * (4.0 * f64::from(k) + 3.0) / (4.0 * order + 2.0);
        let mut theta =
            (guess.cos() * (1.0 - (1.0 - 1.0 / order) / (8.0 * order * order))).clamp(-1.0, 1.0).acos();
        for _ in 0..6 {
            let (cos, sin) = (theta.cos(), theta.sin());
            let (p0, p1) =
                if order * sin > FAR_FROM_POLE { far(degree, theta) } else { recurrence(degree, cos) };
            // d/dtheta P_n(cos theta) = n (cos theta P_n - P_{n-1}) / sin theta
            let delta = p1 * sin / (order * (cos * p1 - p0));
            theta -= delta;
            if delta.abs() < 1e-15 {
                break;
            }
        }
        north.push((PI / 2.0 - theta).to_degrees());
    }
    let south: Vec<f64> = north.iter().rev().map(|v| -v).collect();
    north.extend(south);
    north
}

/// The Legendre polynomials of degree n - 1 and n, term by term.
fn recurrence(degree: u32, x: f64) -> (f64, f64) {
    let (mut p0, mut p1) = (1.0, x);
    for i in 2..=degree {
        let i = f64::from(i);
        (p0, p1) = (p1, ((2.0 * i - 1.0) * x * p1 - (i - 1.0) * p0) / i);
    }
    (p0, p1)
}

/// The same from Stieltjes' series (Szegő, Orthogonal Polynomials, 8.21.5) without the factor that
/// both have in common: a few terms whatever the degree.
fn far(degree: u32, theta: f64) -> (f64, f64) {
    let n = f64::from(degree);
    let series = |n: f64| {
        let twice = 2.0 * theta.sin();
        let (mut factor, mut sum) = (1.0 / twice.sqrt(), 0.0);
        for m in 0..TERMS {
            let m = m as f64;
            sum += factor * ((n + m + 0.5) * theta - (m + 0.5) * PI / 2.0).cos();
            let next = m + 1.0;
            factor *= (next - 0.5) * (next - 0.5) / (next * (n + next + 0.5)) / twice;
        }
        sum
    };
    // The common factor of degree n is n / (n + 1/2) times that of degree n - 1.
    (series(n - 1.0), series(n) * n / (n + 0.5))
}

/// The `nj` latitudes from `lat1` to `lat2` among those of N, in that order.
pub(super) fn between(n: u32, nj: u32, lat1: f64, lat2: f64) -> Result<Vec<f64>> {
    let mut all = latitudes(n)?.to_vec();
    if nj as usize > all.len() {
        return Err(Fault::new(format!("{nj} rows; N = {n} has {}", all.len())));
    }
    if lat1 < lat2 {
        all.reverse();
    }
    let nearest = |to: f64| {
        let far = |(_, l): &(usize, &f64)| (*l - to).abs();
        all.iter().enumerate().min_by(|a, b| far(a).total_cmp(&far(b))).map_or((0, 90.0), |(i, l)| (i, *l))
    };
    let (first, found) = nearest(lat1);
    // Headers round to a millidegree, and some say 90 for the first row of a globe.
    let whole = nj as usize == all.len();
    let first = if whole { 0 } else { first };
    if !whole && (found - lat1).abs() > 0.5 * 90.0 / f64::from(n) {
        return Err(Fault::new(format!("{lat1} is no Gaussian latitude of N = {n}; {found} is the nearest")));
    }
    all.get(first..first + nj as usize)
        .map(<[f64]>::to_vec)
        .ok_or_else(|| Fault::new(format!("{nj} rows from {lat1} on; N = {n} has fewer there")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaussian_latitudes_are_the_known_ones() {
        let n48 = latitudes(48).unwrap();
        assert!((n48[0] - 88.572_168_514_007_27).abs() < 1e-11, "{}", n48[0]);
        assert!((n48[13] - 64.350_730_408_872_07).abs() < 1e-11);
        assert_eq!((n48.len(), n48[95]), (96, -n48[0]));
        let part = between(48, 3, n48[13], n48[15]).unwrap();
        assert_eq!(part, n48[13..16]);
        assert_eq!(between(48, 96, -n48[0], n48[0]).unwrap()[0], n48[95]);
        assert!(between(48, 3, 89.9, 80.0).is_err() && latitudes(1_000_000).is_err());
    }

    #[test]
    fn rows_far_from_the_poles_are_those_of_the_recurrence() {
        for n in [160, 640] {
            let found = latitudes(n).unwrap();
            for k in [0, 20, 40, 80, n as usize - 1] {
                // A zero to within the slope's rounding: P_n changes its sign around it.
                let at = |shift: f64| recurrence(2 * n, (PI / 2.0 - found[k].to_radians() + shift).cos()).1;
                assert!(at(1e-12) * at(-1e-12) < 0.0, "N = {n}, row {k}");
            }
        }
    }

    #[test]
    fn the_largest_grid_takes_no_second() {
        let started = std::time::Instant::now();
        assert_eq!(latitudes(MOST).unwrap().len(), 16_000);
        assert!(started.elapsed().as_secs_f64() < 1.0, "{:?}", started.elapsed());
    }
}
