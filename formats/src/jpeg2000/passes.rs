//! Coding passes over a code-block (annex D).
//!
//! Which samples a pass visits comes from bit maps; what context each has, from what its neighbours
//! noted with it when they became significant.

use super::contexts::{
    ABOVE, BELOW, DIAGONAL, LEFT, REFINE, REFINE_ALONE, RIGHT, RUN, SIGN, TO_SIGN, UNIFORM,
};
use super::mq::Decisions;
use super::packets::Block;
use super::parameters::Style;

/// Samples that a block of 4096 can need, with a column more on each side and a stripe above and
/// below (4 by 1024: 6 * 258 columns of four; 1024 by 4: 1026 * 3); a power of two, so that a
/// mask replaces a check.
const SAMPLES: usize = 4 * 4096;
const MASK: usize = SAMPLES - 1;
/// Words of sixteen columns, with an empty one before each stripe and behind the last (4 by 1024:
/// 2 * 258 + 1).
const WORDS: usize = 1024;
const MAP_MASK: usize = WORDS - 1;

/// What is known of the four rows of sixteen columns: bit `4 * column + row`, the order in which
/// passes visit them.
type Word = u64;

const ROW_0: Word = 0x1111_1111_1111_1111;
const ROW_3: Word = ROW_0 << 3;

/// Neighbours of a sample in its word that are visited after it, by row: from its own bit on.
const LATER: [Word; 4] = [0b11_0010, 0b11_1010, 0b11_1010, 0b1_1000];

/// The state of a block's samples.
pub(super) struct Maps {
    /// What is around each sample, and the signs of that, in the order that passes visit them.
    around: [[u8; 2]; SAMPLES],
    significant: [Word; WORDS],
    /// In this bit plane.
    visited: [Word; WORDS],
    refined: [Word; WORDS],
    /// Sign and twice the magnitude, with the half of the last plane that is known.
    samples: [u32; SAMPLES],
}

/// What a pass needs to know of its block.
pub(super) struct Frame {
    width: usize,
    height: usize,
    stripes: usize,
    /// Samples from one stripe to the next.
    pitch: usize,
    /// Words from one stripe to the next.
    words: usize,
    /// Samples do not see the stripe below.
    causal: bool,
}

/// Sixteen columns of a stripe.
struct Place {
    word: usize,
    /// Its first sample.
    first: usize,
    exists: Word,
    /// The stripe has four rows.
    whole: bool,
}

impl Frame {
    pub(super) fn new(block: &Block, style: Style) -> Self {
        let (width, height) = (usize::from(block.width), usize::from(block.height));
        Self {
            width,
            height,
            stripes: height.div_ceil(4),
            pitch: 4 * (width + 2),
            words: width.div_ceil(16) + 1,
            causal: style.vertically_causal(),
        }
    }

    /// Calls `visit` for each sixteen columns of each stripe.
    #[inline(always)]
    fn places(&self, mut visit: impl FnMut(Place)) {
        for stripe in 0..self.stripes {
            let rows = (self.height - 4 * stripe).min(4);
            let exists = ROW_0 * ((1 << rows) - 1);
            let first = (stripe + 1) * self.pitch + 4;
            let word = (stripe + 1) * self.words + 1;
            for nth in 0..self.words - 1 {
                let columns = (self.width - 16 * nth).min(16);
                let exists = exists & Word::MAX >> (64 - 4 * columns);
                visit(Place { word: word + nth, first: first + 64 * nth, exists, whole: rows == 4 });
            }
        }
    }
}

impl Maps {
    pub(super) fn new() -> Self {
        Self {
            around: [[0; 2]; SAMPLES],
            significant: [0; WORDS],
            visited: [0; WORDS],
            refined: [0; WORDS],
            samples: [0; SAMPLES],
        }
    }

    /// Makes all of a block insignificant.
    pub(super) fn clear(&mut self, frame: &Frame) {
        let samples = frame.pitch * (frame.stripes + 2);
        let words = frame.words * (frame.stripes + 2) + 1;
        self.around.iter_mut().take(samples).for_each(|a| *a = [0; 2]);
        self.samples.iter_mut().take(samples).for_each(|s| *s = 0);
        for map in [&mut self.significant, &mut self.visited, &mut self.refined] {
            map.iter_mut().take(words).for_each(|m| *m = 0);
        }
    }

    /// Sign and twice the magnitude of each: a stripe of nothing, then stripes of columns of four,
    /// the first and the last of which are nothing.
    pub(super) fn samples(&self) -> &[u32] {
        &self.samples
    }

    /// Samples of a word that have a significant neighbour.
    #[inline(always)]
    fn near(&self, frame: &Frame, at: usize) -> Word {
        let (_, left) = self.vertical(frame, at - 1);
        let (_, right) = self.vertical(frame, at + 1);
        let (beside, own) = self.vertical(frame, at);
        beside | own << 4 | own >> 4 | left >> 60 | right << 60
    }

    /// Samples that have one above or below; and those that are significant themselves, too.
    #[inline(always)]
    fn vertical(&self, frame: &Frame, at: usize) -> (Word, Word) {
        let own = self.significant[at & MAP_MASK];
        let above = self.significant[(at - frame.words) & MAP_MASK];
        let below = if frame.causal { 0 } else { self.significant[(at + frame.words) & MAP_MASK] };
        let beside = (own & !ROW_3) << 1 | (above & ROW_3) >> 3 | (own & !ROW_0) >> 1 | (below & ROW_0) << 3;
        (beside, beside | own)
    }

    /// Notes something with a sample and those left and right of it, in bytes, for a number that is
    /// read shortly after a part of it was written has to wait.
    #[inline(always)]
    fn note(&mut self, at: usize, around: [u8; 3], signs: [u8; 3]) {
        if let Some(nine) = self.around.get_mut(at.wrapping_sub(4)..).and_then(|a| a.first_chunk_mut::<9>()) {
            for i in 0..3 {
                nine[4 * i][0] |= around[i];
                nine[4 * i][1] |= signs[i];
            }
        }
    }
}

/// A sample that a pass visits.
#[derive(Clone, Copy)]
struct Visit {
    /// Bit in its word.
    own: u32,
    at: usize,
    /// Contexts of its significance and of its sign.
    context: u8,
    sign: u8,
}

impl Visit {
    /// The next one of those in `visit`.
    #[inline(always)]
    fn next(visit: Word, first: usize, maps: &Maps, table: &[u8; 256]) -> Self {
        let own = visit.trailing_zeros();
        let at = first + own as usize;
        let [around, signs] = maps.around[at & MASK];
        let sign = SIGN[usize::from(around >> 4 | signs << TO_SIGN)];
        Self { own, at, context: table[usize::from(around)], sign }
    }
}

/// Makes a sample significant: decodes its sign, and notes it with its neighbours.
#[inline(always)]
fn turn<D: Decisions>(bits: &mut D, maps: &mut Maps, frame: &Frame, sample: Visit, value: u32) {
    let at = sample.at;
    let sign = bits.sign(sample.sign);
    maps.samples[at & MASK] = value | sign << 31;
    let sign = sign as u8;
    let [a, b, c, d] = DIAGONAL;
    let row = sample.own & 3;
    let above = if row == 0 { at + 3 - frame.pitch } else { at - 1 };
    let below = if row == 3 { at + frame.pitch - 3 } else { at + 1 };
    if !frame.causal || row != 0 {
        maps.note(above, [a, BELOW, c], [0, sign * (BELOW >> TO_SIGN), 0]);
    }
    maps.note(at, [RIGHT, 0, LEFT], [sign * (RIGHT >> TO_SIGN), 0, sign * (LEFT >> TO_SIGN)]);
    maps.note(below, [b, ABOVE, d], [0, sign * (ABOVE >> TO_SIGN), 0]);
}

/// Samples that are not significant but have neighbours that are (D.3.1).
#[inline(never)]
pub(super) fn significance_pass<D: Decisions>(
    mut bits: D,
    maps: &mut Maps,
    frame: &Frame,
    table: &[u8; 256],
    plane: u32,
) -> D {
    let value = 3u32 << plane;
    frame.places(|Place { word, first, exists, .. }| {
        let mut significant = maps.significant[word & MAP_MASK];
        let eligible = exists & !significant;
        let mut visit = maps.near(frame, word) & eligible;
        let mut visited = visit;
        while visit != 0 {
            let now = Visit::next(visit, first, maps, table);
            visit &= visit - 1;
            if bits.decide(now.context) != 0 {
                turn(&mut bits, maps, frame, now, value);
                significant |= 1 << now.own;
                // Those that now have a neighbour.
                let later = LATER[now.own as usize & 3] << now.own & eligible;
                visit |= later;
                visited |= later;
            }
        }
        maps.significant[word & MAP_MASK] = significant;
        maps.visited[word & MAP_MASK] = visited;
    });
    bits
}

/// Samples that were significant before this bit plane (D.3.3).
#[inline(never)]
pub(super) fn refinement_pass<D: Decisions>(mut bits: D, maps: &mut Maps, frame: &Frame, plane: u32) -> D {
    let half = 1u32 << plane;
    frame.places(|Place { word, first, .. }| {
        let mut visit = maps.significant[word & MAP_MASK] & !maps.visited[word & MAP_MASK];
        let refined = maps.refined[word & MAP_MASK];
        maps.refined[word & MAP_MASK] = refined | visit;
        while visit != 0 {
            let own = visit.trailing_zeros();
            visit &= visit - 1;
            let at = (first + own as usize) & MASK;
            let once = REFINE_ALONE + u8::from(maps.around[at][0] != 0);
            let context = if refined >> own & 1 != 0 { REFINE } else { once };
            let bit = bits.decide(context);
            // The half that was assumed becomes this plane's bit.
            let sample = &mut maps.samples[at];
            *sample = sample.wrapping_sub(half).wrapping_add(bit.wrapping_neg() & (2 * half));
        }
    });
    bits
}

/// All others, empty columns in one decision (D.3.4).
#[inline(never)]
pub(super) fn cleanup_pass<D: Decisions>(
    mut bits: D,
    maps: &mut Maps,
    frame: &Frame,
    table: &[u8; 256],
    plane: u32,
) -> D {
    let value = 3u32 << plane;
    frame.places(|Place { word, first, exists, whole }| {
        let mut significant = maps.significant[word & MAP_MASK];
        let mut visit = exists & !significant & !maps.visited[word & MAP_MASK];
        maps.visited[word & MAP_MASK] = 0;
        if visit == 0 {
            return;
        }
        // Columns without any neighbour, at their first row.
        let mut runs = 0;
        if whole {
            let some = maps.near(frame, word) | significant;
            let some = some | some >> 1;
            runs = !(some | some >> 2) & ROW_0;
        }
        while visit != 0 {
            let mut now = Visit::next(visit, first, maps, table);
            if runs >> now.own & 1 != 0 {
                visit &= !(0xf << now.own);
                if bits.likely(RUN) == 0 {
                    continue;
                }
                let skipped = bits.decide(UNIFORM) << 1;
                let skipped = skipped | bits.decide(UNIFORM);
                visit |= (0xe << skipped & 0xf) << now.own;
                now.own += skipped;
                now.at += skipped as usize;
            } else {
                visit &= visit - 1;
                if bits.decide(now.context) == 0 {
                    continue;
                }
            }
            turn(&mut bits, maps, frame, now, value);
            significant |= 1 << now.own;
            // The next column has a neighbour now.
            runs &= !(0x10 << (now.own & !3));
        }
        maps.significant[word & MAP_MASK] = significant;
    });
    bits
}
