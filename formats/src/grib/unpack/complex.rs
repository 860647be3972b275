//! Complex packing (template 5.2) and with spatial differencing (5.3): the field
//! is cut into groups, each with its own reference and its own width, after first
//! or second differences were taken.

use super::super::bits::Bits;
use super::super::octets::{Fault, Result, signed};
use super::Scale;

/// Which packed numbers mean "no value" (Code Table 5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    None,
    Primary,
    PrimaryAndSecondary,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Complex {
    pub(crate) scale: Scale,
    pub(crate) missing: Missing,
    pub(crate) groups: u32,
    pub(crate) width_reference: u32,
    pub(crate) width_bits: u32,
    pub(crate) length_reference: u32,
    pub(crate) length_increment: u32,
    pub(crate) last_length: u32,
    pub(crate) length_bits: u32,
    /// Of spatial differencing; 0 for none.
    pub(crate) order: u8,
    /// Octets of each extra descriptor in section 7.
    pub(crate) descriptor_octets: u8,
}

impl Complex {
    pub(super) fn unpack(&self, data: &[u8], count: usize, out: &mut Vec<f32>) -> Result<()> {
        // No group at all: a constant field.
        if self.groups == 0 {
            out.resize(out.len() + count, self.scale.constant());
            return Ok(());
        }
        let (descriptors, data) = self.descriptors(data)?;
        let groups = self.groups as usize;
        if groups > count {
            return Err(Fault::new(format!("{groups} groups for {count} values")));
        }
        let mut bits = Bits::new(data);
        let read = |bits: &mut Bits<'_>, width: u32| -> Result<Vec<u32>> {
            let mut list = vec![0; groups];
            bits.fill(width, &mut list, |v| v)?;
            bits.align();
            Ok(list)
        };
        let references = read(&mut bits, self.scale.bits)?;
        let widths = read(&mut bits, self.width_bits)?;
        let lengths = read(&mut bits, self.length_bits)?;
        let (offset, factor) = self.scale.line();
        let groups = Groups { references: &references, widths: &widths, lengths: &lengths };
        if self.order == 0 && self.missing == Missing::None {
            // Straight to values.
            let from = out.len();
            out.resize(from + count, 0.0);
            return self.walk(&groups, out.get_mut(from..).unwrap_or_default(), |width, reference, out| {
                let base = f64::from(reference);
                bits.fill(width, out, |v| (offset + (base + f64::from(v)) * factor) as f32)
            });
        }
        let from = out.len();
        out.resize(from + count, 0.0);
        let mut sums = Sums::new(self.order, &descriptors);
        let mut numbers = [0u32; 256];
        self.walk(&groups, out.get_mut(from..).unwrap_or_default(), |width, reference, out| {
            let base = i64::from(reference);
            // Groups of width 0 mark it in their reference, others in each number.
            if width == 0 && self.is_missing(reference, self.scale.bits) {
                out.fill(f32::NAN);
                return Ok(());
            }
            for out in out.chunks_mut(numbers.len()) {
                let numbers = numbers.get_mut(..out.len()).unwrap_or_default();
                bits.fill(width, numbers, |v| v)?;
                let each = out.iter_mut().zip(numbers.iter());
                let value = |p: i64| (offset + p as f64 * factor) as f32;
                if self.missing == Missing::None {
                    each.for_each(|(o, v)| *o = value(sums.next(base + i64::from(*v))));
                } else {
                    each.for_each(|(o, v)| {
                        let none = self.is_missing(*v, width);
                        *o = if none { f32::NAN } else { value(sums.next(base + i64::from(*v))) };
                    });
                }
            }
            Ok(())
        })
    }

    /// First value(s) of the differences and their minimum (template 7.3).
    fn descriptors<'a>(&self, data: &'a [u8]) -> Result<(Vec<i64>, &'a [u8])> {
        let n = match self.order {
            0 => return Ok((Vec::new(), data)),
            1 | 2 => usize::from(self.order) + 1,
            o => return Err(Fault::new(format!("spatial differencing of order {o}; 1 and 2 are defined"))),
        };
        let octets = usize::from(self.descriptor_octets);
        if octets == 0 {
            return Ok((vec![0; n], data));
        }
        if octets > 4 {
            return Err(Fault::new(format!("extra descriptors of {octets} octets; at most 4 are read")));
        }
        let head = data
            .get(..n * octets)
            .ok_or_else(|| Fault::new("section 7 ends within the descriptors of spatial differencing"))?;
        let list = head
            .chunks_exact(octets)
            .map(|c| {
                let v = c.iter().fold(0u32, |v, b| v << 8 | u32::from(*b));
                i64::from(signed(v, 8 * octets as u32))
            })
            .collect();
        Ok((list, &data[n * octets..]))
    }

    /// True where a number of `width` bits means that there is no value.
    fn is_missing(&self, v: u32, width: u32) -> bool {
        let top = u32::MAX.checked_shr(32 - width.min(32)).unwrap_or(0);
        match self.missing {
            _ if width == 0 => false,
            Missing::None => false,
            Missing::Primary => v == top,
            Missing::PrimaryAndSecondary => v == top || v == top.wrapping_sub(1),
        }
    }

    /// Cuts `out` into the groups and has each filled, by its width and reference.
    #[inline]
    fn walk<T>(
        &self,
        groups: &Groups<'_>,
        out: &mut [T],
        mut fill: impl FnMut(u32, u32, &mut [T]) -> Result<()>,
    ) -> Result<()> {
        let count = out.len();
        let mut rest = out;
        let last = groups.references.len().wrapping_sub(1);
        let lists = groups.references.iter().zip(groups.widths).zip(groups.lengths);
        for (g, ((reference, width), length)) in lists.enumerate() {
            let length = if g == last {
                u64::from(self.last_length)
            } else {
                u64::from(self.length_reference) + u64::from(*length) * u64::from(self.length_increment)
            };
            let (now, later) = rest.split_at_mut_checked(length as usize).ok_or_else(|| {
                Fault::new(format!("the groups hold more than the {count} values declared (group {g})"))
            })?;
            fill(width.saturating_add(self.width_reference), *reference, now)?;
            rest = later;
        }
        if !rest.is_empty() {
            let held = count - rest.len();
            return Err(Fault::new(format!("the groups hold {held} values; {count} are declared")));
        }
        Ok(())
    }
}

struct Groups<'a> {
    references: &'a [u32],
    widths: &'a [u32],
    lengths: &'a [u32],
}

/// Sums differences up again, over the values that are there.
struct Sums {
    order: u8,
    /// Values that come as they are, the last one first.
    first: [i64; 2],
    /// How many of them are still to come.
    verbatim: u8,
    minimum: i64,
    one: i64,
    two: i64,
}

impl Sums {
    fn new(order: u8, descriptors: &[i64]) -> Self {
        let (first, minimum) = match descriptors {
            [first, minimum] => ([*first, 0], *minimum),
            [first, second, minimum] => ([*second, *first], *minimum),
            _ => ([0, 0], 0),
        };
        Self { order, first, verbatim: order, minimum, one: 0, two: 0 }
    }

    /// The value that `difference` leads to.
    #[inline]
    fn next(&mut self, difference: i64) -> i64 {
        let now = if self.verbatim > 0 {
            self.verbatim -= 1;
            self.first.get(usize::from(self.verbatim)).copied().unwrap_or(0)
        } else {
            let step = difference.wrapping_add(self.minimum);
            match self.order {
                0 => return difference,
                1 => self.one.wrapping_add(step),
                _ => step.wrapping_add(self.one.wrapping_mul(2)).wrapping_sub(self.two),
            }
        };
        (self.two, self.one) = (self.one, now);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_sum_up_to_what_they_were_taken_of() {
        let values = [7, 9, 4, 4, 100, -3];
        let mut first = Sums::new(1, &[7, -103]);
        let steps = values.iter().zip(values.iter().skip(1)).map(|(a, b)| b - a + 103);
        let got: Vec<i64> = std::iter::once(0).chain(steps).map(|d| first.next(d)).collect();
        assert_eq!(got, values);
        let mut second = Sums::new(2, &[7, 9, -200]);
        let bends = values.windows(3).map(|w| w[2] - 2 * w[1] + w[0] + 200);
        let got: Vec<i64> = [0, 0].into_iter().chain(bends).map(|d| second.next(d)).collect();
        assert_eq!(got, values);
        let mut none = Sums::new(0, &[]);
        assert_eq!([none.next(5), none.next(6)], [5, 6]);
    }
}
