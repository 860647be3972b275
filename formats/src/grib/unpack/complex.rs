//! Complex packing (template 5.2) and with spatial differencing (5.3): the field
//! is cut into groups, each with its own reference and its own width, after first
//! or second differences were taken.

use super::super::bits::Bits;
use super::super::octets::{Fault, Result, signed};
use super::Scale;
use super::groups::{Lists, Sums};

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
        let (first, minimum, data) = self.descriptors(data)?;
        let groups = self.groups as usize;
        if groups > count {
            return Err(Fault::new(format!("{groups} groups for {count} values")));
        }
        let mut bits = Bits::new(data);
        let lists = Lists::new(&mut bits, groups, [self.scale.bits, self.width_bits, self.length_bits])?;
        let (offset, factor) = self.scale.line();
        let from = out.len();
        out.resize(from + count, 0.0);
        let out = out.get_mut(from..).unwrap_or_default();
        if self.order == 0 && self.missing == Missing::None {
            // Straight to values.
            return self.walk(lists, out, |width, reference, out| {
                let base = f64::from(reference);
                bits.fill(width, out, |v| (offset + (base + f64::from(v)) * factor) as f32)
            });
        }
        let mut sums = Sums::new(&first, minimum);
        let mut numbers = [0u32; 256];
        self.walk(lists, out, |width, reference, out| {
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

    /// First value(s) of the differences, their minimum, and what follows (template 7.3).
    fn descriptors<'a>(&self, data: &'a [u8]) -> Result<(Vec<i64>, i64, &'a [u8])> {
        let n = match self.order {
            0 => return Ok((Vec::new(), 0, data)),
            1 | 2 => usize::from(self.order) + 1,
            o => return Err(Fault::new(format!("spatial differencing of order {o}; 1 and 2 are defined"))),
        };
        let octets = usize::from(self.descriptor_octets);
        if octets > 4 {
            return Err(Fault::new(format!("extra descriptors of {octets} octets; at most 4 are read")));
        }
        let (head, rest) = data
            .split_at_checked(n * octets)
            .ok_or_else(|| Fault::new("section 7 ends within the descriptors of spatial differencing"))?;
        let number = |i: usize| {
            let octets_of = head.get(i * octets..(i + 1) * octets).unwrap_or_default();
            let v = octets_of.iter().fold(0u32, |v, b| v << 8 | u32::from(*b));
            if octets == 0 { 0 } else { i64::from(signed(v, 8 * octets as u32)) }
        };
        Ok(((0..n - 1).map(number).collect(), number(n - 1), rest))
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
        lists: Lists<'_>,
        out: &mut [T],
        mut fill: impl FnMut(u32, u32, &mut [T]) -> Result<()>,
    ) -> Result<()> {
        let count = out.len();
        let mut rest = out;
        let last = self.groups as usize - 1;
        lists.each(|g, [reference, width, length]| {
            let length = if g == last {
                u64::from(self.last_length)
            } else {
                u64::from(self.length_reference) + u64::from(length) * u64::from(self.length_increment)
            };
            let (now, later) =
                std::mem::take(&mut rest).split_at_mut_checked(length as usize).ok_or_else(|| {
                    Fault::new(format!("the groups hold more than the {count} values declared (group {g})"))
                })?;
            rest = later;
            fill(width.saturating_add(self.width_reference), reference, now)
        })?;
        if !rest.is_empty() {
            let held = count - rest.len();
            return Err(Fault::new(format!("the groups hold {held} values; {count} are declared")));
        }
        Ok(())
    }
}
