//! Lossless compression of CCSDS 121.0-B (adaptive entropy coding), template 5.42.
//!
//! Samples come in blocks, each coded the shortest way: all zero, pairs in one
//! code, a unary part with `k` plain bits, or uncoded. What is coded are mapped
//! differences from sample to sample; every so many blocks (the reference sample
//! interval) a sample comes as it is.

use super::super::octets::{Fault, Result};

/// Flags of template 5.42, octet 22.
const SIGNED: u8 = 1;
const PREPROCESSED: u8 = 1 << 3;
const RESTRICTED: u8 = 1 << 4;
const PADDED: u8 = 1 << 5;

/// Largest block that the recommendation allows.
const LARGEST_BLOCK: usize = 64;
/// In a run of zero blocks, this count means "up to the end of the segment" of 64 blocks.
const REST_OF_SEGMENT: u64 = 5;
const SEGMENT: u64 = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ccsds {
    pub(crate) bits: u32,
    pub(crate) flags: u8,
    /// Samples in a block.
    pub(crate) block: u32,
    /// Blocks from one uncoded sample to the next.
    pub(crate) interval: u32,
}

/// Bits, the most significant first.
struct Stream<'a> {
    rest: &'a [u8],
    /// Bits not yet used, left-aligned; those below are zero.
    held: u64,
    have: u32,
}

impl Stream<'_> {
    #[inline]
    fn refill(&mut self) {
        if let Some(word) = self.rest.first_chunk() {
            let octets = (63 - self.have) / 8;
            // Only whole octets: the others are taken again.
            let word = u64::from_be_bytes(*word) >> (64 - 8 * octets.max(1)) << (64 - 8 * octets.max(1));
            if octets > 0 {
                self.held |= word >> self.have;
                self.have += 8 * octets;
                self.rest = self.rest.get(octets as usize..).unwrap_or_default();
            }
            return;
        }
        while self.have <= 55
            && let Some((first, rest)) = self.rest.split_first()
        {
            self.held |= u64::from(*first) << (56 - self.have);
            self.have += 8;
            self.rest = rest;
        }
    }

    fn ended() -> Fault {
        Fault::new("the CCSDS stream ends early")
    }

    /// A number of up to 32 bits.
    #[inline]
    fn bits(&mut self, n: u32) -> Result<u32> {
        if self.have < n {
            self.refill();
            if self.have < n {
                return Err(Self::ended());
            }
        }
        // Two steps, for `n` may be 0.
        let value = (self.held >> 32 >> (32 - n)) as u32;
        self.held <<= n;
        self.have -= n;
        Ok(value)
    }

    /// Zeros before the next one: the fundamental sequence.
    #[inline]
    fn zeros(&mut self) -> Result<u32> {
        let mut count = 0u32;
        loop {
            let zeros = self.held.leading_zeros();
            if zeros < self.have {
                self.held <<= zeros + 1;
                self.have -= zeros + 1;
                return Ok(count.saturating_add(zeros));
            }
            count = count.saturating_add(self.have);
            (self.held, self.have) = (0, 0);
            self.refill();
            if self.have == 0 {
                return Err(Self::ended());
            }
        }
    }

    fn align(&mut self) {
        let odd = self.have % 8;
        self.held <<= odd;
        self.have -= odd;
    }
}

/// Turns mapped differences back into samples.
struct Undo {
    largest: u32,
    sample: u32,
}

impl Undo {
    #[inline]
    fn next(&mut self, mapped: u32) -> u32 {
        let half = (mapped >> 1) + (mapped & 1);
        let (below, above) = (self.sample, self.largest.wrapping_sub(self.sample));
        self.sample = if half <= below.min(above) {
            // Even differences go up, odd ones down.
            self.sample.wrapping_add((mapped >> 1) ^ (mapped & 1).wrapping_neg())
        } else if below < above {
            mapped
        } else {
            self.largest.wrapping_sub(mapped)
        };
        self.sample
    }
}

impl Ccsds {
    fn check(&self) -> Result<u32> {
        let allowed = (1..=32).contains(&self.bits)
            && self.block >= 2
            && self.block as usize <= LARGEST_BLOCK
            && self.block.is_multiple_of(2)
            && (1..=4096).contains(&self.interval);
        if !allowed {
            return Err(Fault::new(format!(
                "CCSDS samples of {} bits in blocks of {}, reference interval {}; 1 to 32 bits, even blocks up to {LARGEST_BLOCK} and intervals up to 4096 are allowed",
                self.bits, self.block, self.interval
            )));
        }
        if self.flags & SIGNED != 0 {
            return Err(Fault::new("CCSDS samples with a sign; packed numbers have none"));
        }
        // Bits of a block's option identifier.
        match (self.bits, self.flags & RESTRICTED != 0) {
            (17.., _) => Ok(5),
            (9.., _) => Ok(4),
            (_, false) => Ok(3),
            (..=2, true) => Ok(1),
            (..=4, true) => Ok(2),
            _ => Err(Fault::new(format!("the restricted CCSDS options for samples of {} bits", self.bits))),
        }
    }

    /// Decodes as many samples as `out` holds.
    pub(super) fn unpack<T>(&self, data: &[u8], out: &mut [T], value: impl Fn(u32) -> T) -> Result<()> {
        let option_bits = self.check()?;
        let uncoded = (1 << option_bits) - 1;
        let mut stream = Stream { rest: data, held: 0, have: 0 };
        let differences = self.flags & PREPROCESSED != 0;
        let block = self.block as usize;
        let mut undo = Undo { largest: u32::MAX >> (32 - self.bits), sample: 0 };
        let mut mapped = [0u32; LARGEST_BLOCK];
        for interval in out.chunks_mut(block * self.interval as usize) {
            let mut rest = interval;
            let mut blocks = 0u64;
            while !rest.is_empty() {
                // The first sample of an interval is not a difference.
                let reference = usize::from(differences && blocks == 0);
                let option = stream.bits(option_bits)?;
                let pairs = option == 0 && stream.bits(1)? == 1;
                if reference == 1 && option != uncoded {
                    mapped[0] = stream.bits(self.bits)?;
                }
                let mut count = 1;
                let codes = mapped.get_mut(reference..block).unwrap_or_default();
                match option {
                    0 if pairs => second_extension(&mut stream, codes, reference)?,
                    0 => {
                        count = zero_blocks(&mut stream, blocks, u64::from(self.interval))?;
                        codes.fill(0);
                    }
                    o if o == uncoded => {
                        for m in mapped.get_mut(..block).unwrap_or_default() {
                            *m = stream.bits(self.bits)?;
                        }
                    }
                    o => split(&mut stream, codes, o - 1)?,
                }
                let coded = mapped.get(..block).unwrap_or_default();
                for nth in 0..count {
                    let (now, later) = rest.split_at_mut(block.min(rest.len()));
                    let skip = if nth == 0 { reference } else { 0 };
                    if skip == 1 {
                        undo.sample = mapped[0];
                    }
                    if !differences {
                        now.iter_mut().zip(coded).for_each(|(o, m)| *o = value(*m));
                    } else if option == 0 && !pairs {
                        now.iter_mut().for_each(|o| *o = value(undo.sample));
                    } else {
                        let mut cells = now.iter_mut().zip(coded);
                        if skip == 1
                            && let Some((o, m)) = cells.next()
                        {
                            *o = value(*m);
                        }
                        cells.for_each(|(o, m)| *o = value(undo.next(*m)));
                    }
                    rest = later;
                    if rest.is_empty() {
                        break;
                    }
                }
                blocks += count;
            }
            if self.flags & PADDED != 0 {
                stream.align();
            }
        }
        Ok(())
    }
}

/// How many blocks of zeros begin here.
fn zero_blocks(stream: &mut Stream<'_>, blocks: u64, interval: u64) -> Result<u64> {
    let coded = u64::from(stream.zeros()?) + 1;
    Ok(match coded {
        c if c < REST_OF_SEGMENT => c,
        REST_OF_SEGMENT => (interval - blocks).min(SEGMENT - blocks % SEGMENT),
        c => c - 1,
    })
}

/// A unary part and `k` plain bits for each sample.
#[inline]
fn split(stream: &mut Stream<'_>, codes: &mut [u32], k: u32) -> Result<()> {
    for code in codes.iter_mut() {
        *code = stream.zeros()?;
    }
    if k > 0 {
        for code in codes {
            *code = code.checked_shl(k).unwrap_or(0) | stream.bits(k)?;
        }
    }
    Ok(())
}

/// Two small samples in one code: `(a + b) * (a + b + 1) / 2 + b`.
fn second_extension(stream: &mut Stream<'_>, codes: &mut [u32], reference: usize) -> Result<()> {
    let mut i = 0;
    while i < codes.len() {
        let code = stream.zeros()?;
        // The recommendation allows no larger sum than 12.
        if code > 90 {
            return Err(Fault::new(format!("the pair code {code} in the CCSDS stream; 90 is the largest")));
        }
        let mut sum = 0;
        while (sum + 1) * (sum + 2) / 2 <= code {
            sum += 1;
        }
        let second = code - sum * (sum + 1) / 2;
        // A pair whose first sample is the reference has only its second here.
        if (i + reference).is_multiple_of(2) {
            if let Some(c) = codes.get_mut(i) {
                *c = sum - second;
            }
            i += 1;
        }
        if let Some(c) = codes.get_mut(i) {
            *c = second;
        }
        i += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits as text, so that a stream can be read.
    fn decode(bits: &str, coding: Ccsds, count: usize) -> Result<Vec<u32>> {
        let bits: Vec<u8> = bits.bytes().filter(|b| matches!(b, b'0' | b'1')).map(|b| b - b'0').collect();
        let bytes: Vec<u8> =
            bits.chunks(8).map(|c| c.iter().enumerate().fold(0, |v, (i, b)| v | b << (7 - i))).collect();
        let mut out = vec![0; count];
        coding.unpack(&bytes, &mut out, |v| v).map(|()| out)
    }

    #[test]
    fn each_option_decodes_by_hand() {
        let plain = Ccsds { bits: 8, flags: 0, block: 8, interval: 2 };
        // Uncoded; then k = 1: unary parts 0..7, one bit each.
        let uncoded = "111 00000001 00000010 00000011 00000100 00000101 00000110 00000111 00001000";
        let split = "010 1 01 001 0001 1 1 1 1  1 0 1 0 1 1 0 0";
        let got = decode(&format!("{uncoded} {split}"), plain, 16).unwrap();
        assert_eq!(got, [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 5, 6, 1, 1, 0, 0]);
        // Differences: reference 100, then up 1, down 1, up 3 and zeros; then a zero block.
        let mapped = Ccsds { flags: PREPROCESSED, ..plain };
        let first = "001 01100100 001 01 0000001 1 1 1 1";
        let got = decode(&format!("{first} 000 0 1"), mapped, 16).unwrap();
        assert_eq!(got, [100, 101, 100, 103, 103, 103, 103, 103, 103, 103, 103, 103, 103, 103, 103, 103]);
        // Pairs: (0, 1) is code 2, (1, 0) code 1, (2, 1) code 7.
        let pairs = "000 1 001 01 00000001 1";
        assert_eq!(decode(pairs, plain, 8).unwrap(), [0, 1, 1, 0, 2, 1, 0, 0]);
        assert!(decode("001 1 1 1", plain, 8).is_err(), "it ends early");
    }

    #[test]
    fn what_is_not_allowed_is_refused() {
        let coding = Ccsds { bits: 8, flags: 0, block: 8, interval: 2 };
        for wrong in [
            Ccsds { bits: 33, ..coding },
            Ccsds { block: 0, ..coding },
            Ccsds { block: 128, ..coding },
            Ccsds { interval: 0, ..coding },
            Ccsds { flags: SIGNED, ..coding },
            Ccsds { flags: RESTRICTED, ..coding },
        ] {
            assert!(decode("", wrong, 8).is_err(), "{wrong:?}");
        }
    }
}
