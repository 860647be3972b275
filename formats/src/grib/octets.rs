//! Sections as the WMO Manual on Codes counts them: octets from 1, big-endian,
//! negative numbers with a sign bit (not two's complement).

use std::fmt;

/// Why a message is not read, and where.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    /// Byte in the file, where it is known.
    pub(crate) offset: Option<u64>,
    pub(crate) reason: String,
}

impl Fault {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { offset: None, reason: reason.into() }
    }

    pub(crate) fn at(reason: impl Into<String>, offset: u64) -> Self {
        Self { offset: Some(offset), reason: reason.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            Some(o) => write!(f, "byte {o}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Fault>;

/// One section of a message, with its place in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Section<'a> {
    pub(crate) name: &'static str,
    /// Of octet 1, in the file.
    pub(crate) offset: u64,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Section<'a> {
    pub(crate) fn fault(&self, octet: usize, reason: impl fmt::Display) -> Fault {
        Fault::at(format!("{}: {reason}", self.name), self.offset + octet.saturating_sub(1) as u64)
    }

    pub(crate) fn octets(&self, first: usize, n: usize) -> Result<&'a [u8]> {
        first.checked_sub(1).and_then(|i| self.bytes.get(i..i.checked_add(n)?)).ok_or_else(|| {
            let last = first.saturating_add(n).saturating_sub(1);
            self.fault(first, format!("it has {} octets; octet {last} is needed", self.bytes.len()))
        })
    }

    fn array<const N: usize>(&self, first: usize) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.octets(first, N)?);
        Ok(out)
    }

    pub(crate) fn u8(&self, octet: usize) -> Result<u8> {
        Ok(u8::from_be_bytes(self.array(octet)?))
    }

    pub(crate) fn u16(&self, octet: usize) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array(octet)?))
    }

    pub(crate) fn u24(&self, octet: usize) -> Result<u32> {
        let [a, b, c] = self.array(octet)?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    pub(crate) fn u32(&self, octet: usize) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array(octet)?))
    }

    pub(crate) fn u64(&self, octet: usize) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array(octet)?))
    }

    pub(crate) fn f32(&self, octet: usize) -> Result<f32> {
        Ok(f32::from_be_bytes(self.array(octet)?))
    }

    pub(crate) fn i8(&self, octet: usize) -> Result<i32> {
        self.u8(octet).map(|v| signed(u32::from(v), 8))
    }

    pub(crate) fn i16(&self, octet: usize) -> Result<i32> {
        self.u16(octet).map(|v| signed(u32::from(v), 16))
    }

    pub(crate) fn i24(&self, octet: usize) -> Result<i32> {
        self.u24(octet).map(|v| signed(v, 24))
    }

    pub(crate) fn i32(&self, octet: usize) -> Result<i32> {
        self.u32(octet).map(|v| signed(v, 32))
    }

    /// A scale factor in one octet and a value in the next four: `value * 10^-factor`,
    /// `None` where either is missing (all bits set).
    pub(crate) fn scaled(&self, octet: usize) -> Result<Option<f64>> {
        if self.u8(octet)? == 0xff || self.u32(octet + 1)? == u32::MAX {
            return Ok(None);
        }
        Ok(Some(decimal(self.i32(octet + 1)?, self.i8(octet)?)))
    }
}

/// `value * 10^-factor`, by a division where that is the exact way.
pub(crate) fn decimal(value: i32, factor: i32) -> f64 {
    let power = 10f64.powi(factor.abs());
    if factor >= 0 { f64::from(value) / power } else { f64::from(value) * power }
}

/// Sign and magnitude in `bits` bits.
pub(crate) fn signed(v: u32, bits: u32) -> i32 {
    let sign = 1u32 << (bits - 1);
    let magnitude = (v & (sign - 1)) as i32;
    if v & sign == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_sign_bit_and_octets_count_from_one() {
        let s = Section { name: "section 3", offset: 100, bytes: &[0x80, 0x05, 0x7f, 2, 0x80, 0, 0, 150] };
        assert_eq!((s.i16(1).unwrap(), s.i8(3).unwrap()), (-5, 127));
        assert_eq!(s.scaled(4).unwrap(), Some(-1.5));
        let error = s.u16(8).unwrap_err();
        assert_eq!((error.offset, error.reason.contains("octet 9 is needed")), (Some(107), true));
    }
}
