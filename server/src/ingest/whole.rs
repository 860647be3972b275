//! Arrays whose values are at hand, cut into their chunks.

use std::ops::Range;

use graticule_shared::zarr::ArrayMeta;
use serde_json::{Value, json};

use super::plan;
use crate::codec::Decoder as Codec;
use crate::opened::unravel;
use crate::store::{ChunkSink, Payload};

/// An array whose values are at hand, stored in one chunk or in tiles.
pub struct Whole {
    pub path: String,
    pub metadata: Value,
    /// Native-endian; empty where the array has no elements.
    pub bytes: Vec<u8>,
}

/// Elements in a chunk of an array that grows by its one dimension: an append rewrites the
/// last chunk, not all that was there.
const RUN: u64 = 16_384;

impl Whole {
    /// Cuts an array that grows along its one dimension into runs. Returns the first run to be
    /// stored, where those before it are stored already in the same runs.
    pub fn in_runs(&mut self, former: Option<&ArrayMeta>, fresh: &[Range<u64>]) -> Option<u64> {
        if self.metadata["shape"].as_array().is_none_or(|s| s.len() != 1) {
            return None;
        }
        self.metadata["chunk_grid"]["configuration"]["chunk_shape"] = json!([RUN]);
        let kept = former.is_some_and(|a| a.chunk_shape == [RUN] && a.sharding.is_none());
        kept.then(|| fresh.iter().map(|r| r.start).min().unwrap_or(0) / RUN)
    }
}

impl Whole {
    /// Its stored chunks, by index, from `first` on in C order.
    ///
    /// # Errors
    /// Metadata that no codec follows, a disk that cannot be written.
    pub fn chunks(&self, sink: &ChunkSink, first: u64) -> anyhow::Result<Vec<(Vec<u32>, Option<Payload>)>> {
        if self.bytes.is_empty() {
            return Ok(Vec::new());
        }
        let h = plan::hierarchy([(self.path.clone(), self.metadata.clone())].into(), serde_json::Map::new());
        let h = h.map_err(anyhow::Error::msg)?;
        let array = h.arrays.values().next().ok_or_else(|| anyhow::anyhow!("{}: no array", self.path))?;
        let codec = Codec::new(array.block_metadata()).map_err(anyhow::Error::msg)?;
        let encode = |bytes: &[u8]| codec.encode(bytes).map_err(|e| anyhow::anyhow!("{}: {e}", self.path));
        let grid = array.grid_shape();
        let mut out = Vec::new();
        for flat in first..grid.iter().product::<u64>() {
            let index = unravel(flat, &grid);
            let encoded = if grid.iter().all(|n| *n == 1) && array.chunk_shape == array.shape {
                encode(&self.bytes)?
            } else {
                encode(&self.tile(array, &index, codec.fill()))?
            };
            let index = index.into_iter().map(u32::try_from).collect::<Result<_, _>>()?;
            out.push((index, Some(sink.put(encoded)?)));
        }
        Ok(out)
    }

    /// One chunk of an array of two dimensions, or of one; what lies beyond the array is fill.
    fn tile(&self, array: &ArrayMeta, index: &[u64], mut tile: Vec<u8>) -> Vec<u8> {
        let two = |v: &[u64]| match v {
            [.., a, b] => (*a as usize, *b as usize),
            [b] => (1, *b as usize),
            [] => (1, 1),
        };
        let size = array.dtype.map_or(1, |d| d.size());
        let ((rows, columns), (high, wide)) = (two(&array.shape), two(&array.chunk_shape));
        let (r0, c0) = match index {
            [.., r, c] => (*r as usize * high, *c as usize * wide),
            [c] => (0, *c as usize * wide),
            [] => (0, 0),
        };
        let width = wide.min(columns.saturating_sub(c0)) * size;
        for r in 0..high.min(rows.saturating_sub(r0)) {
            let (from, to) = (((r0 + r) * columns + c0) * size, r * wide * size);
            if let (Some(target), Some(source)) =
                (tile.get_mut(to..to + width), self.bytes.get(from..from + width))
            {
                target.copy_from_slice(source);
            }
        }
        tile
    }
}
