//! Numbers of any width out of a stream of bits, most significant first.

use super::octets::{Fault, Result};

/// Widest number that is read.
pub(crate) const WIDEST: u32 = 32;

/// A position in a stream of bits. Reading beyond the end is a fault.
#[derive(Debug, Clone)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    /// Next bit.
    at: u64,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn short(&self, wanted: u64) -> Fault {
        let have = self.bytes.len() as u64 * 8 - self.at.min(self.bytes.len() as u64 * 8);
        Fault::new(format!("the packed data end early: {wanted} bits are needed, {have} are left"))
    }

    /// Makes sure that `count` numbers of `width` bits are there.
    pub(crate) fn need(&self, count: u64, width: u32) -> Result<()> {
        let wanted = count.saturating_mul(u64::from(width));
        if self.at.saturating_add(wanted) > self.bytes.len() as u64 * 8 {
            return Err(self.short(wanted));
        }
        Ok(())
    }

    /// Goes on to the next whole octet.
    pub(crate) fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    /// Steps over `count` numbers of `width` bits.
    pub(crate) fn skip(&mut self, count: u64, width: u32) -> Result<()> {
        self.need(count, width)?;
        self.at += count * u64::from(width);
        Ok(())
    }

    pub(crate) fn next(&mut self, width: u32) -> Result<u32> {
        if width > WIDEST {
            return Err(Fault::new(format!("numbers of {width} bits; at most {WIDEST} are read")));
        }
        self.need(1, width)?;
        let value = get(self.bytes, self.at, width);
        self.at += u64::from(width);
        Ok(value)
    }

    /// Fills `out` with what `value` makes of as many numbers of `width` bits.
    #[inline]
    pub(crate) fn fill<T>(&mut self, width: u32, out: &mut [T], value: impl Fn(u32) -> T) -> Result<()> {
        if width > WIDEST {
            return Err(Fault::new(format!("numbers of {width} bits; at most {WIDEST} are read")));
        }
        self.need(out.len() as u64, width)?;
        let end = self.at + out.len() as u64 * u64::from(width);
        let whole = self.at.is_multiple_of(8);
        let bytes = self.bytes.get((self.at / 8) as usize..).unwrap_or_default();
        match width {
            0 => out.iter_mut().for_each(|o| *o = value(0)),
            8 if whole => out.iter_mut().zip(bytes).for_each(|(o, b)| *o = value(u32::from(*b))),
            16 if whole => {
                let numbers = bytes.as_chunks().0;
                out.iter_mut().zip(numbers).for_each(|(o, b)| *o = value(u32::from(u16::from_be_bytes(*b))));
            }
            24 if whole => {
                let numbers = bytes.as_chunks().0;
                out.iter_mut()
                    .zip(numbers)
                    .for_each(|(o, [a, b, c])| *o = value(u32::from_be_bytes([0, *a, *b, *c])));
            }
            32 if whole => {
                let numbers = bytes.as_chunks().0;
                out.iter_mut().zip(numbers).for_each(|(o, b)| *o = value(u32::from_be_bytes(*b)));
            }
            _ => unaligned(bytes, self.at % 8, width, out, value),
        }
        self.at = end;
        Ok(())
    }
}

/// Numbers that lie across octets, from bit `at` of `bytes` on.
#[inline]
fn unaligned<T>(bytes: &[u8], mut at: u64, width: u32, out: &mut [T], value: impl Fn(u32) -> T) {
    let down = 64 - width;
    // While eight octets can be loaded at once.
    let fast = (bytes.len() as u64 * 8).saturating_sub(71) / u64::from(width);
    let (fast, tail) = out.split_at_mut((fast as usize).min(out.len()));
    for o in fast {
        let word = bytes.get((at / 8) as usize..).and_then(<[u8]>::first_chunk);
        let word = word.map_or(0, |w| u64::from_be_bytes(*w));
        *o = value(((word << (at % 8)) >> down) as u32);
        at += u64::from(width);
    }
    for o in tail {
        *o = value(get(bytes, at, width));
        at += u64::from(width);
    }
}

/// `width` bits from bit `at` on; what lies beyond the end is zero.
fn get(bytes: &[u8], at: u64, width: u32) -> u32 {
    if width == 0 {
        return 0;
    }
    let from = (at / 8) as usize;
    let mut word = [0; 8];
    let have = bytes.len().saturating_sub(from).min(8);
    word[..have].copy_from_slice(&bytes[from..from + have]);
    ((u64::from_be_bytes(word) << (at % 8)) >> (64 - width)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_reads_back_what_was_written() {
        for width in 1..=32u32 {
            let values: Vec<u32> =
                (0..100u32).map(|i| i.wrapping_mul(2_654_435_761) & ((1u64 << width) - 1) as u32).collect();
            for lead in [0, 3] {
                let mut bits: Vec<bool> = vec![true; lead];
                for v in &values {
                    bits.extend((0..width).rev().map(|b| v >> b & 1 == 1));
                }
                let bytes: Vec<u8> = bits
                    .chunks(8)
                    .map(|c| c.iter().enumerate().fold(0, |b, (i, on)| b | u8::from(*on) << (7 - i)))
                    .collect();
                let mut stream = Bits::new(&bytes);
                stream.next(lead as u32).unwrap();
                let mut one = stream.clone();
                let mut got = vec![0; values.len()];
                stream.fill(width, &mut got, |v| v).unwrap();
                assert_eq!(got, values, "{width} bits after {lead}");
                assert!(values.iter().all(|v| one.next(width).unwrap() == *v));
                assert!(stream.fill(width, &mut [0; 9], |v| v).is_err(), "beyond the end");
            }
        }
    }
}
