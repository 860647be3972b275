//! Second-order packing of GRIB1 in the general extended form (section 4, octet 14,
//! flag 5), as ECMWF writes it: groups with their own reference and width, after
//! differences of up to third order were taken.

use super::super::bits::Bits;
use super::super::octets::{Fault, Result, Section, signed};
use super::Scale;
use super::groups::{Lists, Sums};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SecondOrder {
    scale: Scale,
    /// Of spatial differencing, 0 to 3.
    order: u8,
    /// Every second row of the grid runs backwards.
    pub(crate) boustrophedonic: bool,
    groups: u32,
    width_bits: u32,
    length_bits: u32,
    /// Of the first values and the bias of differencing.
    difference_bits: u32,
    /// Octets of section 4 before the lists.
    head: usize,
}

impl SecondOrder {
    /// From the first octets of section 4; `scale` holds the width of group references.
    pub(crate) fn read(s: &Section<'_>, scale: Scale) -> Result<Self> {
        let flags = s.u8(14)?;
        // Different widths, general extended form, no matrix, no secondary bitmap.
        if flags & 0x78 != 0x18 {
            return Err(s.fault(
                14,
                format!(
                    "second-order packing with flags {flags:#010b}; only the general extended form is read"
                ),
            ));
        }
        let order = flags & 3;
        let difference_bits = if order > 0 { u32::from(s.u8(26)?) } else { 0 };
        Ok(Self {
            scale,
            order,
            boustrophedonic: flags & 4 != 0,
            groups: u32::from(s.u16(17)?) + 65_536 * u32::from(s.u8(21)?),
            width_bits: u32::from(s.u8(22)?),
            length_bits: u32::from(s.u8(23)?),
            difference_bits,
            head: if order > 0 { 26 } else { 25 },
        })
    }

    /// `data` is section 4 from its first octet on.
    pub(super) fn unpack(&self, data: &[u8], count: usize, out: &mut Vec<f32>) -> Result<()> {
        let groups = self.groups as usize;
        if groups > count {
            return Err(Fault::new(format!("{groups} groups for {count} values")));
        }
        let mut bits = Bits::new(data.get(self.head..).unwrap_or_default());
        let first = (0..self.order)
            .map(|_| bits.next(self.difference_bits).map(i64::from))
            .collect::<Result<Vec<i64>>>()?;
        let bias = match (self.order, self.difference_bits) {
            (0, _) | (_, 0) => 0,
            (_, width) => i64::from(signed(bits.next(width)?, width)),
        };
        bits.align();
        let lists = Lists::new(&mut bits, groups, [self.width_bits, self.length_bits, self.scale.bits])?;
        let mut sums = Sums::new(&first, bias);
        let (offset, factor) = self.scale.line();
        let value = |p: i64| (offset + p as f64 * factor) as f32;
        let end = out.len() + count;
        // Groups hold what comes after the first values.
        out.extend(first.iter().map(|_| value(sums.next(0))));
        let mut numbers = [0u32; 256];
        lists.each(|_, [width, length, reference]| {
            let mut left = length as usize;
            if left > end.saturating_sub(out.len()) {
                return Err(Fault::new(format!("the groups hold more than the {count} values expected")));
            }
            while left > 0 {
                let numbers = numbers.get_mut(..left.min(256)).unwrap_or_default();
                bits.fill(width, numbers, |v| v)?;
                left -= numbers.len();
                out.extend(numbers.iter().map(|v| value(sums.next(i64::from(reference) + i64::from(*v)))));
            }
            Ok(())
        })?;
        if out.len() != end {
            let held = count + out.len() - end;
            return Err(Fault::new(format!("the groups hold {held} values; {count} are expected")));
        }
        Ok(())
    }
}
