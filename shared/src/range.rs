//! The ends of a colour scale that nobody has chosen.
//!
//! The map and the server's picture of the same numbers start from the same
//! range, so that one can stand in for the other: both take it from the numbers that
//! [`Sampling`] names, wherever either happens to look.

/// Numbers looked at.
pub const SAMPLES: u64 = 20 << 10;
/// Blocks looked at: of a level without end some stand for all ...
const MAX_BLOCKS: u64 = 16;
/// ... and fewer where they are large, decoded.
const MAX_BYTES: u64 = 64 << 20;

/// Which numbers of a level are looked at: those of some of its blocks, evenly spread, at the
/// first index of every dimension before the last ones.
#[derive(Debug, Clone)]
pub struct Sampling {
    /// Index of each block along every dimension.
    pub blocks: Vec<Vec<u64>>,
    /// Decoded bytes of these blocks.
    pub bytes: u64,
    /// Lengths of the array and of its blocks along the dimensions of space.
    shape: Vec<u64>,
    block: Vec<u64>,
    leading: usize,
    step: u64,
}

impl Sampling {
    /// Of an array of `shape` in blocks of `block`, whose dimensions from number `leading` on
    /// are those of space. `item` is the size of an element in bytes.
    pub fn new(shape: &[u64], block: &[u64], leading: usize, item: usize) -> Self {
        let bytes = block.iter().fold(item as u64, |n, len| n.saturating_mul(*len)).max(1);
        let shape = shape.get(leading..).unwrap_or_default().to_vec();
        let block: Vec<u64> =
            block.get(leading..).unwrap_or_default().iter().map(|len| (*len).max(1)).collect();
        let count: Vec<u64> = shape.iter().zip(&block).map(|(n, len)| n.div_ceil(*len)).collect();
        let all = count.iter().fold(1u64, |n, c| n.saturating_mul(*c));
        let some = (MAX_BYTES / bytes).clamp(1, MAX_BLOCKS).min(all);
        // Each stands in the middle of those that it stands for.
        let number = |k: u64| ((2 * u128::from(k) + 1) * u128::from(all) / (2 * u128::from(some))) as u64;
        let blocks = (0..some)
            .map(|k| std::iter::repeat_n(0, leading).chain(unravel(number(k), &count)).collect())
            .collect();
        let cells = block.iter().fold(1u64, |n, len| n.saturating_mul(*len));
        let mut step = (cells.saturating_mul(some) / SAMPLES).max(1);
        // A step that divides the rows would look at a few columns only.
        while gcd(step, block.last().copied().unwrap_or(1)) > 1 {
            step += 1;
        }
        Self { blocks, bytes: some.saturating_mul(bytes), shape, block, leading, step }
    }

    /// Numbers of the elements to look at within a block, in C order.
    pub fn cells(&self, index: &[u64]) -> impl Iterator<Item = u64> {
        let first: Vec<u64> = index.iter().skip(self.leading).zip(&self.block).map(|(i, n)| i * n).collect();
        let cells = self.block.iter().fold(1u64, |n, len| n.saturating_mul(*len));
        let step = usize::try_from(self.step).unwrap_or(usize::MAX);
        // What a block holds past the end of its array is padding.
        (0..cells).step_by(step).filter(move |cell| {
            let within = unravel(*cell, &self.block);
            within.iter().zip(&first).zip(&self.shape).all(|((w, f), len)| f + w < *len)
        })
    }
}

/// Index along each dimension of element `flat` in C order.
pub fn unravel(flat: u64, shape: &[u64]) -> Vec<u64> {
    let mut rest = flat;
    let mut index: Vec<u64> = shape
        .iter()
        .rev()
        .map(|len| {
            let i = rest % (*len).max(1);
            rest /= (*len).max(1);
            i
        })
        .collect();
    index.reverse();
    index
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The stated range (`valid_min`, `valid_max`) if the numbers use most of it (it is
/// often no more than what a sensor could say), else the
/// 2nd to the 98th percentile; about zero for a colour scale made for
/// differences. A single value has room on both sides, as far as the stated range goes.
/// `None` where nothing is stated and `values` is empty.
pub fn first(stated: Option<(f64, f64)>, values: &mut [f64], colormap: &str) -> Option<(f64, f64)> {
    let found = percentiles(values);
    let single = values.first().is_some_and(|v| values.last() == Some(v));
    match (stated, found) {
        (Some(stated), Some((low, high))) if high - low >= 0.4 * (stated.1 - stated.0) => Some(stated),
        (_, Some((low, high))) if colormap == "balance" => {
            let most = low.abs().max(high.abs());
            Some((-most, most))
        }
        (Some((least, most)), Some((low, high))) if single && low.max(least) < high.min(most) => {
            Some((low.max(least), high.min(most)))
        }
        (_, Some(found)) => Some(found),
        (stated, None) => stated,
    }
}

/// 2nd and 98th percentile, rounded to what a legend would say. Of a single value a hundredth of
/// it to both sides; of 0 alone 0 to 1, since what is often nowhere (rain, sunshine at night,
/// ice) is seldom less than nothing.
pub fn percentiles(values: &mut [f64]) -> Option<(f64, f64)> {
    if values.is_empty() {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let at = |q: f64| values[((values.len() - 1) as f64 * q).round() as usize];
    let (low, high) = (at(0.02), at(0.98));
    let (low, high) = if high > low { (low, high) } else { (at(0.0), at(1.0)) };
    if high <= low {
        let half = low.abs() * 0.01;
        return Some(if low == 0.0 { (0.0, 1.0) } else { (low - half, low + half) });
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
        assert_eq!(percentiles(&mut [0.0, -0.0]), Some((0.0, 1.0)));
        assert_eq!(first(None, &mut [0.0], "balance"), Some((-1.0, 1.0)));
        assert_eq!(first(Some((0.0, 100.0)), &mut [100.0, 100.0], "viridis"), Some((99.0, 100.0)));
    }

    #[test]
    fn of_many_blocks_some_are_looked_at_and_they_are_spread_over_all() {
        let few = Sampling::new(&[7, 100, 250], &[1, 64, 128], 1, 4);
        assert_eq!(few.blocks, [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]]);
        assert_eq!(few.bytes, 4 * 64 * 128 * 4);
        let many = Sampling::new(&[4000, 4000], &[100, 100], 0, 4);
        assert_eq!(many.blocks.len() as u64, MAX_BLOCKS);
        let rows: Vec<u64> = many.blocks.iter().map(|b| b[0]).collect();
        assert_eq!((rows[0], rows[15]), (1, 38));
        let large = Sampling::new(&[1 << 40, 1 << 14, 1 << 14], &[1 << 20, 1 << 12, 1 << 12], 1, 8);
        assert_eq!((large.blocks.len(), &large.blocks[0]), (1, &vec![0, 2, 0]));
        // An axis without cells is no reason to divide by zero.
        assert_eq!(Sampling::new(&[0, 5], &[0, 5], 0, 4).blocks.len(), 0);
    }

    #[test]
    fn cells_past_the_end_are_not_looked_at_and_all_columns_are() {
        let s = Sampling::new(&[3, 5], &[2, 4], 0, 4);
        assert_eq!(s.cells(&[0, 0]).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(s.cells(&[1, 1]).collect::<Vec<_>>(), [0]);
        let wide = Sampling::new(&[2048, 2560], &[2048, 2560], 0, 4);
        let cells: Vec<u64> = wide.cells(&[0, 0]).collect();
        assert!(cells.len() as u64 <= SAMPLES, "{}", cells.len());
        let columns: std::collections::BTreeSet<u64> = cells.iter().map(|c| c % 2560).collect();
        assert!(columns.len() > 2000, "{} columns", columns.len());
    }
}
