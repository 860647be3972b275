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

    pub(crate) fn next(&mut self, width: u32) -> Result<u32> {
        if width > WIDEST {
            return Err(Fault::new(format!("numbers of {width} bits; at most {WIDEST} are read")));
        }
        self.need(1, width)?;
        let value = get(self.bytes, self.at, width);
        self.at += u64::from(width);
        Ok(value)
    }

    /// Calls `each` with `count` numbers of `width` bits.
    #[inline]
    pub(crate) fn each(&mut self, count: usize, width: u32, mut each: impl FnMut(u32)) -> Result<()> {
        if width > WIDEST {
            return Err(Fault::new(format!("numbers of {width} bits; at most {WIDEST} are read")));
        }
        self.need(count as u64, width)?;
        let end = self.at + count as u64 * u64::from(width);
        match width {
            0 => (0..count).for_each(|_| each(0)),
            8 | 16 | 24 | 32 if self.at.is_multiple_of(8) => {
                let bytes = &self.bytes[(self.at / 8) as usize..(end / 8) as usize];
                match width {
                    8 => bytes.iter().for_each(|b| each(u32::from(*b))),
                    16 => bytes.as_chunks().0.iter().for_each(|b| each(u32::from(u16::from_be_bytes(*b)))),
                    24 => bytes
                        .as_chunks()
                        .0
                        .iter()
                        .for_each(|[a, b, c]| each(u32::from_be_bytes([0, *a, *b, *c]))),
                    _ => bytes.as_chunks().0.iter().for_each(|b| each(u32::from_be_bytes(*b))),
                }
            }
            _ => {
                let down = 64 - width;
                let mut at = self.at;
                // While eight octets can be loaded at once.
                let fast = (self.bytes.len() as u64 * 8).saturating_sub(64);
                while at < end && at <= fast {
                    let i = (at / 8) as usize;
                    let word = self.bytes[i..].first_chunk().map_or(0, |c| u64::from_be_bytes(*c));
                    // Several numbers out of one word.
                    let mut used = at % 8;
                    while used + u64::from(width) <= 64 && at < end {
                        each(((word << used) >> down) as u32);
                        used += u64::from(width);
                        at += u64::from(width);
                    }
                }
                while at < end {
                    each(get(self.bytes, at, width));
                    at += u64::from(width);
                }
            }
        }
        self.at = end;
        Ok(())
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
                let mut got = Vec::new();
                stream.each(values.len(), width, |v| got.push(v)).unwrap();
                assert_eq!(got, values, "{width} bits after {lead}");
                assert!(values.iter().all(|v| one.next(width).unwrap() == *v));
                assert!(stream.each(9, width, |_| ()).is_err(), "beyond the end");
            }
        }
    }
}
