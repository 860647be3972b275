//! Gaussian latitudes: the zeros of the Legendre polynomial of degree 2N, in degrees.

use std::f64::consts::PI;

use super::super::octets::{Fault, Result};

/// Rows between a pole and the equator that are computed at most.
const MOST: u32 = 8000;

/// All 2N latitudes, northernmost first.
pub(super) fn latitudes(n: u32) -> Result<Vec<f64>> {
    if n == 0 || n > MOST {
        return Err(Fault::new(format!("a Gaussian grid of N = {n}; 1 to {MOST} are read")));
    }
    let degree = 2 * n;
    let order = f64::from(degree);
    let mut north = Vec::with_capacity(n as usize);
    for k in 0..n {
        // Tricomi's first guess, then Newton.
        let theta = PI * (4.0 * f64::from(k) + 3.0) / (4.0 * order + 2.0);
        let mut x = theta.cos() * (1.0 - (1.0 - 1.0 / order) / (8.0 * order * order));
        for _ in 0..20 {
            let (mut p0, mut p1) = (1.0, x);
            for i in 2..=degree {
                let i = f64::from(i);
                (p0, p1) = (p1, ((2.0 * i - 1.0) * x * p1 - (i - 1.0) * p0) / i);
            }
            let slope = order * (p0 - x * p1) / (1.0 - x * x);
            let delta = p1 / slope;
            x -= delta;
            if delta.abs() < 1e-15 {
                break;
            }
        }
        north.push(x.asin().to_degrees());
    }
    let south: Vec<f64> = north.iter().rev().map(|v| -v).collect();
    north.extend(south);
    Ok(north)
}

/// The `nj` latitudes from `lat1` to `lat2` among those of N, in that order.
pub(super) fn between(n: u32, nj: u32, lat1: f64, lat2: f64) -> Result<Vec<f64>> {
    let mut all = latitudes(n)?;
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
}
