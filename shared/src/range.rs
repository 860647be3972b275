//! The ends of a colour scale that nobody has chosen.
//!
//! The map and the server's picture of the same numbers start from the same
//! range, so that one can stand in for the other.

/// The stated range (`valid_min`, `valid_max`) if the numbers use most of it (it is
/// often no more than what a sensor could say), else the
/// 2nd to the 98th percentile; about zero for a colour scale made for
/// differences. `None` where nothing is stated and `values` is empty.
pub fn first(stated: Option<(f64, f64)>, values: &mut [f64], colormap: &str) -> Option<(f64, f64)> {
    match (stated, percentiles(values)) {
        (Some(stated), Some((low, high))) if high - low >= 0.4 * (stated.1 - stated.0) => Some(stated),
        (_, Some((low, high))) if colormap == "balance" => {
            let most = low.abs().max(high.abs());
            Some((-most, most))
        }
        (_, Some(found)) => Some(found),
        (stated, None) => stated,
    }
}

/// 2nd and 98th percentile, rounded to what a legend would say.
pub fn percentiles(values: &mut [f64]) -> Option<(f64, f64)> {
    if values.is_empty() {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let at = |q: f64| values[((values.len() - 1) as f64 * q).round() as usize];
    let (low, high) = (at(0.02), at(0.98));
    let (low, high) = if high > low { (low, high) } else { (at(0.0), at(1.0)) };
    if high <= low {
        let half = if low == 0.0 { 1.0 } else { low.abs() * 0.01 };
        return Some((low - half, low + half));
    }
    // A hundredth of the range is finer than the eye tells colours apart.
    let unit = 10f64.powf(((high - low) / 50.0).log10().floor());
    Some(((low / unit).floor() * unit, (high / unit).ceil() * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stated_range_holds_where_the_numbers_use_it() {
        let mut used: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(first(Some((0.0, 120.0)), &mut used, "viridis"), Some((0.0, 120.0)));
        let mut partly: Vec<f64> = (40..90).map(f64::from).collect();
        assert_ne!(first(Some((-102.0, 102.0)), &mut partly, "viridis"), Some((-102.0, 102.0)));
        let mut unused = vec![1.0, 1.5, 2.0];
        assert_eq!(first(Some((0.0, 1e6)), &mut unused, "viridis"), Some((1.0, 2.0)));
        assert_eq!(first(Some((0.0, 5.0)), &mut [], "viridis"), Some((0.0, 5.0)));
        assert_eq!(first(None, &mut [], "viridis"), None);
    }

    #[test]
    fn differences_have_zero_in_the_middle_and_a_single_value_has_room() {
        assert_eq!(first(None, &mut [-1.0, 3.0], "balance"), Some((-3.0, 3.0)));
        assert_eq!(percentiles(&mut [5.0, 5.0]), Some((4.95, 5.05)));
        assert_eq!(percentiles(&mut [0.0]), Some((-1.0, 1.0)));
    }
}
