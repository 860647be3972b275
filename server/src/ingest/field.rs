//! A variable that is streamed, and the order in which it is read.

use std::sync::Arc;

use graticule_shared::cube::Packing;
use graticule_shared::dtype::DataType;
use serde_json::{Map, Value};

use super::bins::Bins;
use super::layout::{Axes, Layout};
use super::plan::hierarchy;
use super::pyramid::Method;
use crate::codec::Decoder as Codec;

/// One resolution of a field.
pub struct Level {
    pub path: String,
    pub metadata: Value,
    pub layout: Layout,
    pub axes: Axes,
    pub rank: usize,
    pub rows: u64,
    pub columns: u64,
}

/// How the cells of level 0 go into the coarser levels.
pub enum Weights {
    /// Relative area of a cell in each row.
    Rows(Vec<f64>),
    /// Of each cell, row after row.
    Cells(Arc<Vec<f32>>),
    /// Into regular grids.
    Bins(Arc<Bins>),
}

impl Level {
    /// The codecs of its inner chunks, over the walked axes.
    pub fn codec(&self) -> Result<Codec, String> {
        let array = hierarchy([(self.path.clone(), self.metadata.clone())].into(), Map::new())?;
        let array = array.arrays.values().next().ok_or("no array")?;
        Codec::new(array.block_metadata())
    }
}

/// A variable that is streamed: everything large.
pub struct Field {
    /// Name in the source.
    pub source: String,
    pub dtype: DataType,
    pub shape: Vec<u64>,
    pub axes: Axes,
    pub source_chunks: Option<Vec<u64>>,
    /// Finest first.
    pub levels: Vec<Level>,
    pub packing: Packing,
    pub method: Method,
    /// How a cell without a value is stored.
    pub nodata: Vec<u8>,
    pub weights: Weights,
    /// Steps before this one are stored already.
    pub from_step: u64,
}

impl Field {
    pub fn rows(&self) -> u64 {
        self.shape.get(self.axes.row).copied().unwrap_or(1)
    }
    pub fn columns(&self) -> u64 {
        self.axes.column.map_or(1, |a| self.shape[a])
    }

    /// Bytes that will be read.
    pub fn bytes(&self) -> u64 {
        let whole = self.shape.iter().product::<u64>() * self.dtype.size() as u64;
        let steps = self.axes.step.map_or(1, |a| self.shape[a]).max(1);
        whole / steps * (steps - self.first_step().min(steps))
    }

    fn first_step(&self) -> u64 {
        let unit = self.levels[0].layout.shard[0];
        self.from_step / unit * unit
    }

    /// Index of each axis, with the steps taken at once, in the order of reading.
    pub fn groups(&self) -> impl Iterator<Item = (Vec<u64>, u64)> + '_ {
        let unit = self.levels[0].layout.shard[0];
        let length = |a: usize| -> u64 {
            if a == self.axes.row || Some(a) == self.axes.column {
                1
            } else if Some(a) == self.axes.step {
                (self.shape[a] - self.first_step().min(self.shape[a])).div_ceil(unit)
            } else {
                self.shape[a]
            }
        };
        let lengths: Vec<u64> = (0..self.shape.len()).map(length).collect();
        let total: u64 = lengths.iter().product();
        // Source chunks several indices deep along an axis are finished before the next ones begin.
        let depth: Vec<u64> = (0..lengths.len())
            .map(|a| {
                let chunk = self.source_chunks.as_ref().and_then(|c| c.get(a)).copied().unwrap_or(1).max(1);
                let chunk = if Some(a) == self.axes.step { chunk.div_ceil(unit) } else { chunk };
                chunk.min(lengths[a].max(1))
            })
            .collect();
        (0..total).map(move |flat| {
            let mut lead = blocked(flat, &lengths, &depth);
            let steps = self.axes.step.map_or(1, |a| {
                lead[a] = self.first_step() + lead[a] * unit;
                unit.min(self.shape[a] - lead[a])
            });
            (lead, steps)
        })
    }
}

/// The `flat`th index of a box walked block by block of `depth`, C order in each.
fn blocked(flat: u64, lengths: &[u64], depth: &[u64]) -> Vec<u64> {
    let rank = lengths.len();
    let mut index = vec![0; rank];
    let mut rest = flat;
    // Blocks first: each axis's block coordinate, slowest first. Blocks at an
    // edge are smaller, so sizes are worked out on the way down.
    let mut extent: Vec<u64> = lengths.to_vec();
    for a in 0..rank {
        // Cells of one full block-slab along `a`, given the blocks chosen before.
        let others: u64 = (0..rank).filter(|b| *b != a).map(|b| extent[b]).product();
        let slab = others * depth[a];
        let block = rest.checked_div(slab).unwrap_or(0);
        rest -= block * slab;
        index[a] = block * depth[a];
        extent[a] = depth[a].min(lengths[a] - index[a].min(lengths[a]));
    }
    for a in (0..rank).rev() {
        let e = extent[a].max(1);
        index[a] += rest % e;
        rest /= e;
    }
    index
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn blocks_are_finished_before_the_next_begin_and_nothing_is_left_out() {
        let lengths = [5, 1, 3];
        let walk: Vec<Vec<u64>> = (0..15).map(|f| blocked(f, &lengths, &[2, 1, 1])).collect();
        assert_eq!(walk[..4], [vec![0, 0, 0], vec![1, 0, 0], vec![0, 0, 1], vec![1, 0, 1]]);
        let all: BTreeSet<&Vec<u64>> = walk.iter().collect();
        assert_eq!(all.len(), 15);
        assert!(all.iter().all(|i| i.iter().zip(lengths).all(|(i, n)| *i < n)));
    }
}
