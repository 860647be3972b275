//! The MQ arithmetic decoder: annex C, in another arrangement.
//!
//! The registers have 64 bits, so bytes come 32 bits at a time, unstuffed beforehand; below what is
//! there of the code stands a one, which says where the next word goes. All that a decision
//! changes is computed without branches: half of them cannot be foreseen.

/// Bits of a register below the standard's 16.
const FRACTION: u32 = 48;
/// The least interval, 0x8000 in the standard.
const LEAST: u64 = 0x8000 << FRACTION;

/// A state of probability estimation with the likely decision: Qe in the top 16 bits, the decision
/// in bit [`LIKELY`], and below that where in [`NEXT`] is what follows.
type State = u64;

const UNLIKELY: u64 = 0xffff << FRACTION;
const LIKELY: u32 = 9;

/// Qe, next after the likely and after the unlikely decision, and whether they change places then.
const STANDARD: [(u16, u8, u8, bool); 47] = [
    (0x5601, 1, 1, true),
    (0x3401, 2, 6, false),
    (0x1801, 3, 9, false),
    (0x0ac1, 4, 12, false),
    (0x0521, 5, 29, false),
    (0x0221, 38, 33, false),
    (0x5601, 7, 6, true),
    (0x5401, 8, 14, false),
    (0x4801, 9, 14, false),
    (0x3801, 10, 14, false),
    (0x3001, 11, 17, false),
    (0x2401, 12, 18, false),
    (0x1c01, 13, 20, false),
    (0x1601, 29, 21, false),
    (0x5601, 15, 14, true),
    (0x5401, 16, 14, false),
    (0x5101, 17, 15, false),
    (0x4801, 18, 16, false),
    (0x3801, 19, 17, false),
    (0x3401, 20, 18, false),
    (0x3001, 21, 19, false),
    (0x2801, 22, 19, false),
    (0x2401, 23, 20, false),
    (0x2201, 24, 21, false),
    (0x1c01, 25, 22, false),
    (0x1801, 26, 23, false),
    (0x1601, 27, 24, false),
    (0x1401, 28, 25, false),
    (0x1201, 29, 26, false),
    (0x1101, 30, 27, false),
    (0x0ac1, 31, 28, false),
    (0x09c1, 32, 29, false),
    (0x08a1, 33, 30, false),
    (0x0521, 34, 31, false),
    (0x0441, 35, 32, false),
    (0x02a1, 36, 33, false),
    (0x0221, 37, 34, false),
    (0x0141, 38, 35, false),
    (0x0111, 39, 36, false),
    (0x0085, 40, 37, false),
    (0x0049, 41, 38, false),
    (0x0025, 42, 39, false),
    (0x0015, 43, 40, false),
    (0x0009, 44, 41, false),
    (0x0005, 45, 42, false),
    (0x0001, 45, 43, false),
    (0x5601, 46, 46, false),
];

/// `index` is twice the standard's, and one more where 1 is likely.
const fn state(index: usize) -> State {
    (STANDARD[index / 2].0 as u64) << FRACTION | (index as u64 % 2) << LIKELY | (4 * index as u64)
}

/// What follows a state: after the likely decision with and without renormalization, and after
/// the other one. As many as a mask can reach.
static NEXT: [State; 512] = {
    let mut next = [state(0); 512];
    let mut i = 0;
    while i < 2 * STANDARD.len() {
        let (_, after_likely, after_unlikely, switch) = STANDARD[i / 2];
        let likely = i % 2;
        next[4 * i] = state(2 * after_likely as usize + likely);
        next[4 * i + 1] = state(i);
        next[4 * i + 2] = state(2 * after_unlikely as usize + (likely ^ switch as usize));
        i += 1;
    }
    next
};

/// Contexts: 19 are used, a mask reaches 32.
pub(super) type Contexts = [State; 32];

/// All contexts as they begin (table D.7).
pub(super) fn contexts() -> Contexts {
    let mut contexts = [state(0); 32];
    contexts[0] = state(2 * 4);
    contexts[super::contexts::RUN as usize] = state(2 * 3);
    contexts[super::contexts::UNIFORM as usize] = state(2 * 46);
    contexts
}

/// The bits of a codeword segment without those that are stuffed, 32 to a word: ones follow.
pub(super) fn unstuff(bytes: &[u8], words: &mut Vec<u32>) {
    words.clear();
    // Bits not yet in a word, fewer than 32; and whether FF was the last byte.
    let (mut held, mut bits) = (0u64, 0u32);
    let mut stuffed = false;
    let mut rest = bytes;
    loop {
        // Four bytes, none of which is FF.
        while !stuffed && let Some(four) = rest.first_chunk::<4>() {
            let word = u32::from_be_bytes(*four);
            if has_ff(word) {
                break;
            }
            held = held << 32 | u64::from(word);
            words.push((held >> bits) as u32);
            rest = rest.get(4..).unwrap_or_default();
        }
        let Some((byte, after)) = rest.split_first() else { break };
        rest = after;
        let byte = u64::from(*byte);
        if stuffed && byte > 0x8f {
            // A marker: the segment ends before it.
            break;
        }
        let n = if stuffed { 7 } else { 8 };
        stuffed = byte == 0xff;
        // The stuffed bit is a carry into what is before it.
        let carries = byte >> n != 0 && held & ((1 << bits) - 1) == (1 << bits) - 1;
        held = (held << n).wrapping_add(byte);
        bits += n;
        if carries {
            for word in words.iter_mut().rev() {
                *word = word.wrapping_add(1);
                if *word != 0 {
                    break;
                }
            }
        }
        if bits >= 32 {
            bits -= 32;
            words.push((held >> bits) as u32);
        }
    }
    let ones = (1u64 << (32 - bits)) - 1;
    words.push((held << (32 - bits) | ones) as u32);
}

fn has_ff(word: u32) -> bool {
    let zero = !word;
    zero.wrapping_sub(0x0101_0101) & !zero & 0x8080_8080 != 0
}

/// What decides: the arithmetic decoder, or plain bits where it is bypassed.
pub(super) trait Decisions {
    fn decide(&mut self, context: u8) -> u32;
    /// The same, quicker where one decision is far more likely.
    fn likely(&mut self, context: u8) -> u32 {
        self.decide(context)
    }
    /// A sign, of a neighbourhood as in [`super::contexts::SIGN`].
    fn sign(&mut self, expected: u8) -> u32;
}

pub(super) struct Mq<'a> {
    contexts: &'a mut Contexts,
    words: &'a [u32],
    at: usize,
    interval: u64,
    /// Below what is there of the stream, a one.
    code: u64,
}

impl<'a> Mq<'a> {
    pub(super) fn new(words: &'a [u32], contexts: &'a mut Contexts) -> Self {
        let first = words.first().copied().unwrap_or(u32::MAX);
        // The first of the standard's bits is 0.
        let code = (u64::from(first) << 1 | 1) << (FRACTION + 15 - 33);
        Self { contexts, words, at: 1, interval: LEAST, code }
    }

    pub(super) fn reset(&mut self) {
        *self.contexts = contexts();
    }
}

impl Decisions for Mq<'_> {
    /// Without branches but for the one to the next word: which way it goes cannot be foreseen.
    #[inline(always)]
    fn decide(&mut self, context: u8) -> u32 {
        let context = &mut self.contexts[usize::from(context & 31)];
        let state = *context;
        let unlikely = state & UNLIKELY;
        let rest = self.interval.wrapping_sub(unlikely);
        let (above, below) = self.code.overflowing_sub(unlikely);
        // They change places where the likely part is the smaller one.
        let (more, exchanged) = rest.overflowing_sub(unlikely);
        let decision = u32::from(below ^ exchanged);
        let mask = u64::from(below).wrapping_neg();
        let code = above.wrapping_add(unlikely & mask);
        let interval = rest.wrapping_sub(more & mask);
        let whole = (interval >> 63) as u32;
        let value = (state >> LIKELY) as u32 & 1 ^ decision;
        *context = NEXT[(state as u32 + 2 * decision + whole) as usize & 511];
        let shift = (interval | 1).leading_zeros();
        self.interval = interval << shift;
        self.code = code << shift;
        if self.code as u32 == 0 {
            let word = self.words.get(self.at).copied().unwrap_or(u32::MAX);
            self.at += 1;
            let end = self.code.trailing_zeros() & 63;
            self.code ^= 1 << end;
            self.code |= (u64::from(word) << 1 | 1) << ((end - 32) & 63);
        }
        value
    }

    #[inline(always)]
    fn likely(&mut self, context: u8) -> u32 {
        let state = self.contexts[usize::from(context & 31)];
        let rest = self.interval.wrapping_sub(state & UNLIKELY);
        let (above, below) = self.code.overflowing_sub(state & UNLIKELY);
        if rest >= LEAST && !below {
            (self.interval, self.code) = (rest, above);
            return (state >> LIKELY) as u32 & 1;
        }
        self.decide(context)
    }

    #[inline(always)]
    fn sign(&mut self, expected: u8) -> u32 {
        self.decide(expected) ^ u32::from(expected >> 7)
    }
}

/// Plain bits, stuffed as those of packet headers (D.6).
pub(super) struct Raw<'a> {
    rest: &'a [u8],
    byte: u8,
    left: u32,
}

impl<'a> Raw<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest, byte: 0, left: 0 }
    }

    #[inline]
    fn bit(&mut self) -> u32 {
        if self.left == 0 {
            self.left = if self.byte == 0xff { 7 } else { 8 };
            let (byte, rest) = self.rest.split_first().unwrap_or((&0xff, &[]));
            (self.byte, self.rest) = (*byte, rest);
        }
        self.left -= 1;
        u32::from(self.byte >> self.left) & 1
    }
}

impl Decisions for Raw<'_> {
    #[inline]
    fn decide(&mut self, _: u8) -> u32 {
        self.bit()
    }

    #[inline]
    fn sign(&mut self, _: u8) -> u32 {
        self.bit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sequence of H.2: 256 decisions of one context.
    #[test]
    fn the_test_sequence_of_the_standard_decodes() {
        let coded = [
            0x84, 0xc7, 0x3b, 0xfc, 0xe1, 0xa1, 0x43, 0x04, 0x02, 0x20, 0x00, 0x00, 0x41, 0x0d, 0xbb, 0x86,
            0xf4, 0x31, 0x7f, 0xff, 0x88, 0xff, 0x37, 0x47, 0x1a, 0xdb, 0x6a, 0xdf, 0xff, 0xac,
        ];
        let plain = [
            0x00, 0x02, 0x00, 0x51, 0x00, 0x00, 0x00, 0xc0, 0x03, 0x52, 0x87, 0x2a, 0xaa, 0xaa, 0xaa, 0xaa,
            0x82, 0xc0, 0x20, 0x00, 0xfc, 0xd7, 0x9e, 0xf6, 0xbf, 0x7f, 0xed, 0x90, 0x4f, 0x46, 0xa3, 0xbf,
        ];
        let mut words = Vec::new();
        unstuff(&coded, &mut words);
        let mut contexts = contexts();
        let mut mq = Mq::new(&words, &mut contexts);
        for byte in plain {
            let got = (0..8).fold(0, |v, _| v << 1 | mq.decide(1));
            assert_eq!(got, byte);
        }
    }

    #[test]
    fn a_stuffed_bit_is_a_carry() {
        let mut words = Vec::new();
        let mut first = |bytes: &[u8]| {
            unstuff(bytes, &mut words);
            words.clone()
        };
        // 1f, then ff and seven bits of which all are 0, with a carry: 20 00 and zeros.
        assert_eq!(first(&[0x1f, 0xff, 0x80, 0x00]), [0b0010_0000_0000_0000_0000_0000_0000_0001]);
        assert_eq!(first(&[1, 2, 3, 0xfe, 0xff, 0x81]), [0x0102_03ff, 0x0003_ffff]);
        assert_eq!(first(&[1, 2, 3, 4, 5, 0xff, 0x90, 7]), [0x0102_0304, 0x05ff_ffff]);
    }
}
