//! What complex and second-order packing share: lists that describe groups of
//! values, and differences to be summed up again.

use super::super::bits::Bits;
use super::super::octets::Result;

/// Groups described at a time. Lists are never held whole: their length is the file's word.
const BLOCK: usize = 256;

/// Three lists behind one another, one number of each for every group; each list
/// ends with an octet.
pub(super) struct Lists<'a> {
    cursors: [(Bits<'a>, u32); 3],
    groups: usize,
}

impl<'a> Lists<'a> {
    /// Lists of `groups` numbers of `widths` bits at `bits`, which goes on behind them.
    pub(super) fn new(bits: &mut Bits<'a>, groups: usize, widths: [u32; 3]) -> Result<Self> {
        let mut list = |width: u32| -> Result<(Bits<'a>, u32)> {
            let here = bits.clone();
            bits.skip(groups as u64, width)?;
            bits.align();
            Ok((here, width))
        };
        let [a, b, c] = widths;
        Ok(Self { cursors: [list(a)?, list(b)?, list(c)?], groups })
    }

    /// Calls `group` with the index of each group and its three numbers.
    #[inline]
    pub(super) fn each(mut self, mut group: impl FnMut(usize, [u32; 3]) -> Result<()>) -> Result<()> {
        let mut held = [[0u32; BLOCK]; 3];
        for first in (0..self.groups).step_by(BLOCK) {
            let n = BLOCK.min(self.groups - first);
            for ((bits, width), held) in self.cursors.iter_mut().zip(&mut held) {
                bits.fill(*width, held.get_mut(..n).unwrap_or_default(), |v| v)?;
            }
            let [a, b, c] = &held;
            for (i, ((a, b), c)) in a.iter().zip(b).zip(c).take(n).enumerate() {
                group(first + i, [*a, *b, *c])?;
            }
        }
        Ok(())
    }
}

/// Sums differences up again, value by value.
pub(super) struct Sums {
    order: u8,
    /// Values that come as they are, the last one first.
    first: [i64; 3],
    /// How many of them are still to come.
    verbatim: u8,
    /// What every difference was lessened by.
    minimum: i64,
    /// The values before, the latest first.
    before: [i64; 3],
}

impl Sums {
    /// `first` are the values that come as they are, one for each order of differences.
    pub(super) fn new(first: &[i64], minimum: i64) -> Self {
        let mut reversed = [0; 3];
        reversed.iter_mut().zip(first.iter().rev()).for_each(|(to, from)| *to = *from);
        let order = first.len().min(3) as u8;
        Self { order, first: reversed, verbatim: order, minimum, before: [0; 3] }
    }

    /// The value that `difference` leads to.
    #[inline]
    pub(super) fn next(&mut self, difference: i64) -> i64 {
        let [one, two, three] = self.before;
        let now = if self.verbatim > 0 {
            self.verbatim -= 1;
            self.first.get(usize::from(self.verbatim)).copied().unwrap_or(0)
        } else {
            let step = difference.wrapping_add(self.minimum);
            match self.order {
                0 => return difference,
                1 => step.wrapping_add(one),
                2 => step.wrapping_add(one.wrapping_mul(2)).wrapping_sub(two),
                _ => step.wrapping_add(one.wrapping_sub(two).wrapping_mul(3)).wrapping_add(three),
            }
        };
        self.before = [now, one, two];
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_sum_up_to_what_they_were_taken_of() {
        let values: [i64; 7] = [7, 9, 4, 4, 100, -3, 12];
        for order in 0..=3 {
            let mut differences = values.to_vec();
            for taken in 0..order {
                for i in (taken + 1..differences.len()).rev() {
                    differences[i] -= differences[i - 1];
                }
            }
            let minimum = if order == 0 { 0 } else { -500 };
            let mut sums = Sums::new(&values[..order], minimum);
            let got: Vec<i64> = differences.iter().map(|d| sums.next(d - minimum)).collect();
            assert_eq!(got, values, "order {order}");
        }
    }

    #[test]
    fn lists_are_read_side_by_side() {
        // Two groups: 4-bit 1, 2; 8-bit 3, 4; no bits; then 0xff.
        let bytes = [0x12, 3, 4, 0xff];
        let mut bits = Bits::new(&bytes);
        let lists = Lists::new(&mut bits, 2, [4, 8, 0]).unwrap();
        let mut seen = Vec::new();
        lists
            .each(|i, numbers| {
                seen.push((i, numbers));
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, [(0, [1, 3, 0]), (1, [2, 4, 0])]);
        assert_eq!(bits.next(8).unwrap(), 0xff);
        assert!(Lists::new(&mut Bits::new(&bytes), 5, [8, 0, 0]).is_err());
    }
}
