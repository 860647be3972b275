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

/// The packed number of a missing point; differences never reach it.
const NONE: i64 = i64::MIN;

impl Complex {
    pub(super) fn unpack(&self, data: &[u8], count: usize, out: &mut Vec<f32>) -> Result<()> {
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
        let mut packed: Vec<i64> = Vec::new();
        packed
            .try_reserve_exact(count)
            .map_err(|_| Fault::new(format!("there is no memory for {count} values")))?;
        packed.resize(count, 0);
        self.walk(&groups, &mut packed, |width, reference, out| {
            let base = i64::from(reference);
            if self.missing == Missing::None {
                return bits.fill(width, out, |v| base + i64::from(v));
            }
            // Groups of width 0 mark it in their reference, others in each number.
            if width == 0 {
                let none = self.is_missing(reference, self.scale.bits);
                out.fill(if none { NONE } else { base });
                return Ok(());
            }
            bits.fill(width, out, |v| if self.is_missing(v, width) { NONE } else { base + i64::from(v) })
        })?;
        undo_differences(self.order, &descriptors, &mut packed);
        let (offset, factor) = self.scale.line();
        out.extend(
            packed.iter().map(|p| if *p == NONE { f32::NAN } else { (offset + *p as f64 * factor) as f32 }),
        );
        Ok(())
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

/// Sums the differences up again, over the values that are there.
fn undo_differences(order: u8, descriptors: &[i64], packed: &mut [i64]) {
    let mut values = packed.iter_mut().filter(|p| **p != NONE);
    match (order, descriptors) {
        (1, [first, minimum]) => {
            let Some(v) = values.next() else { return };
            *v = *first;
            let mut before = *first;
            for v in values {
                before = before.wrapping_add(v.wrapping_add(*minimum));
                *v = before;
            }
        }
        (2, [first, second, minimum]) => {
            let Some(v) = values.next() else { return };
            *v = *first;
            let Some(v) = values.next() else { return };
            *v = *second;
            let (mut two, mut one) = (*first, *second);
            for v in values {
                let now = v.wrapping_add(*minimum).wrapping_add(one.wrapping_mul(2)).wrapping_sub(two);
                (two, one) = (one, now);
                *v = now;
            }
        }
        _ => {}
    }
}
