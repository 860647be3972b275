//! Section 7 to numbers: one file per packing.
//!
//! What a packing yields is as many integers (or floats) as section 5 says there
//! are; a count that does not fit what section 3 and the bitmap promise is a
//! fault, never padded.

mod bitmap;
mod ccsds;
mod complex;
mod groups;
mod jpeg2000;
mod png;
mod run_length;
mod second_order;

pub(crate) use bitmap::{Bitmap, ones};
pub(crate) use ccsds::Ccsds;
pub(crate) use complex::{Complex, Missing};
pub(crate) use second_order::SecondOrder;

use super::bits::Bits;
use super::octets::{Fault, Result};

/// `value = (reference + packed * 2^binary) * 10^-decimal` (regulation 92.9.4).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    pub(crate) reference: f64,
    pub(crate) binary: i32,
    pub(crate) decimal: i32,
    /// Bits of a packed number.
    pub(crate) bits: u32,
}

impl Scale {
    /// `(offset, factor)` such that `value = offset + packed * factor`.
    pub(crate) fn line(&self) -> (f64, f64) {
        let ten = 10f64.powi(-self.decimal);
        (self.reference * ten, 2f64.powi(self.binary) * ten)
    }

    /// The value of all points where no bits are packed: the reference value as it
    /// stands. The decimal scale is not applied; encoders (NCEP's g2c) write it
    /// unscaled then, and ecCodes reads it so.
    pub(crate) fn constant(&self) -> f32 {
        self.reference as f32
    }

    /// Turns packed numbers into values.
    pub(crate) fn apply(&self, packed: impl Iterator<Item = u32>, out: &mut Vec<f32>) {
        let (offset, factor) = self.line();
        out.extend(packed.map(|p| (offset + f64::from(p) * factor) as f32));
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Packing {
    Simple(Scale),
    /// Template 5.61: `exp(value) - before`.
    SimpleLog {
        scale: Scale,
        before: f64,
    },
    Complex(Box<Complex>),
    SecondOrder(Box<SecondOrder>),
    Ieee32,
    Ieee64,
    Jpeg2000(Scale),
    Png(Scale),
    Ccsds {
        scale: Scale,
        coding: Ccsds,
    },
    RunLength {
        bits: u32,
        largest: u32,
        levels: Vec<u16>,
        decimal: i32,
    },
}

impl Packing {
    /// As ecCodes names it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Packing::Simple(_) => "grid_simple",
            Packing::SimpleLog { .. } => "grid_simple_log_preprocessing",
            Packing::Complex(c) if c.order > 0 => "grid_complex_spatial_differencing",
            Packing::Complex(_) => "grid_complex",
            Packing::SecondOrder(_) => "grid_second_order",
            Packing::Ieee32 | Packing::Ieee64 => "grid_ieee",
            Packing::Jpeg2000(_) => "grid_jpeg",
            Packing::Png(_) => "grid_png",
            Packing::Ccsds { .. } => "grid_ccsds",
            Packing::RunLength { .. } => "grid_run_length",
        }
    }

    /// Decodes `count` values, appending them to `out`; missing ones are NaN.
    /// `out` has room for them.
    pub(crate) fn unpack(&self, data: &[u8], count: usize, out: &mut Vec<f32>) -> Result<()> {
        let before = out.len();
        match self {
            Packing::Simple(s) | Packing::Jpeg2000(s) | Packing::Png(s) | Packing::Ccsds { scale: s, .. }
                if s.bits == 0 =>
            {
                out.resize(before + count, s.constant());
            }
            Packing::Simple(s) => {
                out.resize(before + count, 0.0);
                simple(s, data, 0, out.get_mut(before..).unwrap_or_default(), |v| v)?;
            }
            Packing::SimpleLog { scale, before: b } => {
                out.resize(before + count, 0.0);
                let out = out.get_mut(before..).unwrap_or_default();
                simple(scale, data, 0, out, |v| (f64::from(v).exp() - b) as f32)?;
            }
            Packing::Complex(c) => c.unpack(data, count, out)?,
            Packing::SecondOrder(s) => s.unpack(data, count, out)?,
            Packing::Ieee32 => {
                let (values, _) = data.as_chunks();
                out.extend(values.iter().take(count).map(|b| f32::from_be_bytes(*b)));
            }
            Packing::Ieee64 => {
                let (values, _) = data.as_chunks();
                out.extend(values.iter().take(count).map(|b| f64::from_be_bytes(*b) as f32));
            }
            Packing::Jpeg2000(s) => jpeg2000::unpack(s, data, count, out)?,
            Packing::Png(s) => png::unpack(s, data, count, out)?,
            Packing::Ccsds { scale, coding } => {
                out.resize(before + count, 0.0);
                let (offset, factor) = scale.line();
                let value = |p| (offset + f64::from(p) * factor) as f32;
                coding.unpack(data, out.get_mut(before..).unwrap_or_default(), value)?;
            }
            Packing::RunLength { bits, largest, levels, decimal } => {
                run_length::unpack(*bits, *largest, levels, *decimal, data, count, out)?;
            }
        }
        let got = out.len() - before;
        if got != count {
            return Err(Fault::new(format!("{} gives {got} values; {count} are declared", self.name())));
        }
        Ok(())
    }
}

/// Simple packing after `skip` bits; `value` makes of each value what `out` holds.
#[inline]
pub(crate) fn simple<T>(
    scale: &Scale,
    data: &[u8],
    skip: u32,
    out: &mut [T],
    value: impl Fn(f32) -> T,
) -> Result<()> {
    if scale.bits == 0 {
        out.iter_mut().for_each(|o| *o = value(scale.constant()));
        return Ok(());
    }
    let (offset, factor) = scale.line();
    let mut bits = Bits::new(data);
    bits.next(skip)?;
    bits.fill(scale.bits, out, |p| value((offset + f64::from(p) * factor) as f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_without_bits_has_its_reference_value() {
        let scale = Scale { reference: 2.5, binary: 3, decimal: 2, bits: 0 };
        let mut out = Vec::new();
        Packing::Simple(scale).unpack(&[], 3, &mut out).unwrap();
        assert_eq!(out, [2.5; 3]);
        // With bits, both scales count: (2.5 + 1 * 8) / 100.
        out.clear();
        Packing::Simple(Scale { bits: 8, ..scale }).unpack(&[1], 1, &mut out).unwrap();
        assert_eq!(out, [0.105]);
    }
}
