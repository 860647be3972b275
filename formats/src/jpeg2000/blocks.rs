//! Code-blocks: codeword segments to coefficients (annex D).

use super::codestream::Codestream;
use super::contexts::{UNIFORM, significance};
use super::mq::{Contexts, Decisions, Mq, Raw, contexts, unstuff};
use super::packets::{Block, Contents, segment_end};
use super::passes::{Frame, Maps, cleanup_pass, refinement_pass, significance_pass};
use super::tile::{Band, Tile};
use super::wavelet::Sample;
use super::{Result, fault};

/// Bit planes that are read: a coefficient has one bit more for the half of its last plane,
/// and its sign.
pub(super) const MOST_PLANES: u8 = 30;

/// Passes before the first that can bypass the arithmetic decoder.
const CODED: u32 = 10;
/// What segmentation symbols say (D.5).
const SYMBOL: u32 = 0b1010;

/// Decodes blocks one after the other, in the same memory.
pub(super) struct Blocks {
    maps: Box<Maps>,
    contexts: Contexts,
    bytes: Vec<u8>,
    words: Vec<u32>,
}

impl Blocks {
    pub(super) fn new() -> Self {
        Self { maps: Box::new(Maps::new()), contexts: contexts(), bytes: Vec::new(), words: Vec::new() }
    }

    /// Decodes all passes of a block.
    pub(super) fn decode(
        &mut self,
        stream: &Codestream<'_>,
        tile: &Tile<'_>,
        contents: &Contents,
        block: &Block,
        band: &Band,
    ) -> Result<()> {
        let style = tile.coding.style;
        let frame = Frame::new(block, style);
        self.maps.clear(&frame);
        self.contexts = contexts();
        let planes = u32::from(band.planes - block.zero_planes);
        let mut chunks = contents.chunks(block).peekable();
        let mut pass = 0;
        while let Some(first) = chunks.next() {
            let end = segment_end(style, pass).min(block.passes);
            let mut upto = pass + first.passes;
            let slice = |start: usize, length: u32| {
                stream.data.get(start..start + length as usize).unwrap_or_default()
            };
            let mut bytes = slice(first.start, first.length);
            if upto < end && chunks.peek().is_some() {
                self.bytes.clear();
                self.bytes.extend_from_slice(bytes);
                while upto < end
                    && let Some(more) = chunks.next()
                {
                    self.bytes.extend_from_slice(slice(more.start, more.length));
                    upto += more.passes;
                }
                bytes = &self.bytes;
            }
            let raw = style.bypass() && pass >= CODED && pass % 3 != 0;
            let table = significance(band.orientation);
            let maps = &mut *self.maps;
            if raw {
                let mut bits = Raw::new(bytes);
                for pass in pass..upto {
                    let plane = (planes - 1).saturating_sub(pass.div_ceil(3));
                    match pass % 3 {
                        1 => bits = significance_pass(bits, maps, &frame, table, plane),
                        _ => bits = refinement_pass(bits, maps, &frame, plane),
                    }
                    if style.reset() {
                        self.contexts = contexts();
                    }
                }
            } else {
                unstuff(bytes, &mut self.words);
                let mut mq = Mq::new(&self.words, &mut self.contexts);
                for pass in pass..upto {
                    let plane = (planes - 1).saturating_sub(pass.div_ceil(3));
                    match pass % 3 {
                        1 => mq = significance_pass(mq, maps, &frame, table, plane),
                        2 => mq = refinement_pass(mq, maps, &frame, plane),
                        _ => {
                            mq = cleanup_pass(mq, maps, &frame, table, plane);
                            if style.segmentation_symbols() {
                                let symbol: u32 = (0..4).fold(0, |s, _| s << 1 | mq.decide(UNIFORM));
                                if symbol != SYMBOL {
                                    return fault(
                                        first.start,
                                        format!(
                                            "the segmentation symbol of a code-block is {symbol}, not {SYMBOL}: its data are broken"
                                        ),
                                    );
                                }
                            }
                        }
                    }
                    if style.reset() {
                        mq.reset();
                    }
                }
            }
            pass = upto;
        }
        Ok(())
    }

    /// Writes the coefficients to where they lie in the sub-band.
    pub(super) fn store<S: Sample>(&self, block: &Block, band: &Band, out: &mut [S]) {
        let (width, height) = (usize::from(block.width), usize::from(block.height));
        let half = band.step / 2.0;
        let pitch = band.area.width() as usize;
        let start = block.y as usize * pitch + block.x as usize;
        let mut rows = out.get_mut(start..).unwrap_or_default().chunks_mut(pitch.max(1)).take(height);
        for stripe in self.maps.samples().chunks_exact(4 * (width + 2)).skip(1) {
            let columns = stripe.get(4..4 * (width + 1)).unwrap_or_default().as_chunks::<4>().0;
            for row in 0..4 {
                let Some(out) = rows.next() else { return };
                for (out, column) in out.iter_mut().zip(columns) {
                    *out = S::coefficient(column[row], half);
                }
            }
        }
    }
}
