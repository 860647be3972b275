//! Second-order packing of GRIB1 in the general extended form (section 4, octet 14,
//! flag 5), as ECMWF writes it: groups with their own reference and width, after
//! differences of up to third order were taken.

use super::super::bits::Bits;
use super::super::octets::{Fault, Result, Section, signed};
use super::Scale;

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
        let mut values: Vec<i64> = Vec::new();
        values
            .try_reserve_exact(count)
            .map_err(|_| Fault::new(format!("there is no memory for {count} values")))?;
        for _ in 0..self.order {
            values.push(i64::from(bits.next(self.difference_bits)?));
        }
        let bias = match (self.order, self.difference_bits) {
            (0, _) | (_, 0) => 0,
            (_, width) => i64::from(signed(bits.next(width)?, width)),
        };
        bits.align();
        let mut list = |width: u32| -> Result<Vec<u32>> {
            let mut list = vec![0; groups];
            bits.fill(width, &mut list, |v| v)?;
            bits.align();
            Ok(list)
        };
        let (widths, lengths) = (list(self.width_bits)?, list(self.length_bits)?);
        let references = list(self.scale.bits)?;
        for ((width, length), reference) in widths.iter().zip(&lengths).zip(&references) {
            let length = *length as usize;
            if length > count - values.len().min(count) {
                return Err(Fault::new(format!("the groups hold more than the {count} values declared")));
            }
            let from = values.len();
            values.resize(from + length, 0);
            let reference = i64::from(*reference);
            bits.fill(*width, values.get_mut(from..).unwrap_or_default(), |v| reference + i64::from(v))?;
        }
        if values.len() != count {
            return Err(Fault::new(format!("the groups hold {} values; {count} are expected", values.len())));
        }
        undo_differences(self.order, bias, &mut values);
        let (offset, factor) = self.scale.line();
        out.extend(values.iter().map(|v| (offset + *v as f64 * factor) as f32));
        Ok(())
    }
}

/// Sums the differences up again; the first `order` values are as they were.
fn undo_differences(order: u8, bias: i64, values: &mut [i64]) {
    let sum = i64::wrapping_add;
    match (order, &mut *values) {
        (1, [first, rest @ ..]) => {
            let mut value = *first;
            for v in rest {
                value = sum(value, sum(*v, bias));
                *v = value;
            }
        }
        (2, [first, second, rest @ ..]) => {
            let (mut slope, mut value) = (*second - *first, *second);
            for v in rest {
                slope = sum(slope, sum(*v, bias));
                value = sum(value, slope);
                *v = value;
            }
        }
        (3, [first, second, third, rest @ ..]) => {
            let mut slope = *third - *second;
            let mut bend = slope - (*second - *first);
            let mut value = *third;
            for v in rest {
                bend = sum(bend, sum(*v, bias));
                slope = sum(slope, bend);
                value = sum(value, slope);
                *v = value;
            }
        }
        _ => {}
    }
}
