//! Which points have a value (GRIB2 section 6, GRIB1 section 3).

use super::super::octets::{Fault, Result};

/// One bit per point, set where there is a value; the most significant bit first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bitmap<'a>(pub(crate) &'a [u8]);

/// Set bits among the first `points`.
pub(crate) fn ones(bytes: &[u8], points: usize) -> usize {
    let whole = points / 8;
    let (words, tail) = bytes.get(..whole).unwrap_or(bytes).as_chunks();
    let mut n: u32 = words.iter().map(|w| u64::from_ne_bytes(*w).count_ones()).sum();
    n += tail.iter().map(|b| b.count_ones()).sum::<u32>();
    let left = points % 8;
    if left > 0
        && let Some(last) = bytes.get(whole)
    {
        n += (last >> (8 - left)).count_ones();
    }
    n as usize
}

impl Bitmap<'_> {
    /// Spreads `values` over `points`; the others are `nan`.
    pub(crate) fn spread<T: Copy>(&self, values: &[T], points: usize, nan: T) -> Result<Vec<T>> {
        let mut out = Vec::new();
        out.try_reserve_exact(points)
            .map_err(|_| Fault::new(format!("there is no memory for {points} points")))?;
        let mut next = values.iter();
        let mut short = false;
        for (i, byte) in self.0.iter().take(points.div_ceil(8)).enumerate() {
            let n = (points - i * 8).min(8);
            match byte {
                0 => out.extend(std::iter::repeat_n(nan, n)),
                0xff if n == 8 && next.len() >= 8 => {
                    let (eight, rest) = next.as_slice().split_at(8);
                    out.extend_from_slice(eight);
                    next = rest.iter();
                }
                _ => out.extend((0..n).map(|bit| {
                    if byte << bit & 0x80 == 0 {
                        return nan;
                    }
                    next.next().copied().unwrap_or_else(|| {
                        short = true;
                        nan
                    })
                })),
            }
        }
        if short || next.len() > 0 || out.len() != points {
            return Err(Fault::new(format!(
                "the bitmap has {} points with a value; {} values are packed",
                ones(self.0, points),
                values.len()
            )));
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_where_the_bits_are_set() {
        let bits = [0b1010_0000, 0xff, 0b1000_0000];
        let values: Vec<f32> = (0..11).map(|v| v as f32).collect();
        let out = Bitmap(&bits).spread(&values, 17, f32::NAN).unwrap();
        assert_eq!((out[0], out[2], out[8], out[16]), (0.0, 1.0, 2.0, 10.0));
        assert_eq!(out.iter().filter(|v| v.is_nan()).count(), 6);
        assert_eq!(ones(&bits, 17), 11);
        assert!(Bitmap(&bits).spread(&values[..10], 17, f32::NAN).is_err());
        assert!(Bitmap(&bits).spread(&values, 25, f32::NAN).is_err());
    }
}
