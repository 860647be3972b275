//! The ends of the colour scale that nobody chose.
//!
//! They are the server's: of the coarsest level at the first step, wherever the view looks. Two
//! links into one collection show one value in one colour, and so do the server's pictures.

use graticule_shared::range::{self, Sampling};

use crate::chunks::loader::Block;
use crate::chunks::source::BlockKey;
use crate::engine::run::Engine;
use crate::engine::state::{Layer, State};

/// The first picture waits for this much of the coarsest level; for more, what is in view stands in.
const FEW_BLOCKS: usize = 4;
const FEW_BYTES: u64 = 4 << 20;

impl Layer {
    fn sampling(&self) -> Option<Sampling> {
        let source = self.sources.last()?;
        let leading = source.meta.shape.len().checked_sub(2)?;
        let item = source.chain.dtype.size();
        Some(Sampling::new(&source.meta.shape, source.meta.block_shape(), leading, item))
    }
}

/// What the range still waits for.
pub(super) struct Awaited {
    pub keys: Vec<BlockKey>,
    /// Little enough to be asked for before all else.
    pub few: bool,
}

impl Engine {
    /// Blocks of the coarsest level that the range is taken from; `None` where it is known.
    pub(super) fn range_blocks(&self, s: &State) -> Option<Awaited> {
        let layer = s.layer.as_ref().filter(|_| s.clim_open)?;
        let (sampling, source) = (layer.sampling()?, layer.sources.last()?);
        let few = sampling.blocks.len() <= FEW_BLOCKS && sampling.bytes <= FEW_BYTES;
        Some(Awaited { keys: sampling.blocks.iter().map(|index| source.key(index)).collect(), few })
    }

    /// The first numbers decide the colours, once: those in view only until the coarsest level's
    /// are here.
    pub(super) fn first_clim(&self, s: &mut State, selection: &[u64]) {
        let Some(Awaited { keys, few }) = self.range_blocks(s) else { return };
        let whole = keys.iter().all(|k| self.loader.has(k) || self.loader.has_failed(k));
        let mut values = if whole {
            self.of_coarsest(s)
        } else if few || s.style.clim.is_some() {
            return;
        } else {
            Vec::new()
        };
        // Beside it, and where it cannot be had: what is in view.
        if values.is_empty() {
            values = self.sample(s, selection);
        }
        // Nothing in view so far: more may come.
        if values.is_empty() && !whole {
            return;
        }
        let stated = s.layer.as_ref().and_then(|l| l.variable.valid_range);
        // All no data: any range will do.
        let found = range::first(stated, &mut values, &s.style.colormap).unwrap_or((0.0, 1.0));
        s.clim_open = !whole;
        if s.style.clim != Some(found) {
            s.style.clim = Some(found);
            s.draw_dirty = true;
            s.say_style();
        }
    }

    /// What the server looks at too.
    fn of_coarsest(&self, s: &State) -> Vec<f64> {
        let Some(layer) = &s.layer else { return Vec::new() };
        let (Some(sampling), Some(source)) = (layer.sampling(), layer.sources.last()) else {
            return Vec::new();
        };
        let packing = &layer.variable.packing;
        let dtype = packing.read_as();
        let mut out = Vec::new();
        for index in &sampling.blocks {
            let value =
                |bytes: &[u8], at| packing.value(dtype.get_f64(bytes, at)?).filter(|v: &f64| v.is_finite());
            match self.loader.get(&source.key(index)) {
                Some(Block::Data(data)) => {
                    let bytes = data.to_vec();
                    out.extend(sampling.cells(index).filter_map(|at| value(&bytes, at as usize)));
                }
                Some(Block::Fill) => {
                    let fill = value(&source.fill(), 0);
                    out.extend(sampling.cells(index).filter_map(|_| fill));
                }
                None => {}
            }
        }
        out
    }
}
