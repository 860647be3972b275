//! Which resolution a picture is drawn from: the same for the browser and the server.

/// A cell may be this much wider than a pixel before the next finer level is taken.
pub const SLACK: f64 = 1.1;

/// The coarsest level that still has a cell for each pixel; the finest where none has.
///
/// `cell` is the width of a cell of the finest level and `pixel` that of a pixel, in one unit;
/// `factors` are how many of those cells one of each level is wide, finest level first.
pub fn coarsest(
    cell: f64,
    pixel: f64,
    factors: impl DoubleEndedIterator<Item = f64> + ExactSizeIterator,
) -> usize {
    fitting(cell, pixel, factors).unwrap_or(0)
}

/// [`coarsest`]; `None` where no level has a cell for each pixel.
pub fn fitting(
    cell: f64,
    pixel: f64,
    factors: impl DoubleEndedIterator<Item = f64> + ExactSizeIterator,
) -> Option<usize> {
    let mut factors = factors;
    factors.rposition(|factor| cell * factor <= pixel * SLACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_has_a_cell_for_each_pixel() {
        let factors = || [1.0, 2.0, 4.0].into_iter();
        assert_eq!(coarsest(0.25, 360.0 / 256.0 / 8.0, factors()), 0);
        assert_eq!(coarsest(0.25, 360.0 / 256.0 / 2.0, factors()), 1);
        assert_eq!(coarsest(0.25, 360.0 / 256.0, factors()), 2);
        assert_eq!(coarsest(0.25, 0.001, factors()), 0);
        assert_eq!(fitting(0.25, 0.001, factors()), None);
        assert_eq!(coarsest(0.25, f64::NAN, factors()), 0);
    }
}
