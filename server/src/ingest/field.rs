//! A variable that is streamed, and the order in which it is read.

use std::ops::Range;
use std::sync::Arc;

use graticule_shared::cube::{FILL_FLOAT, Packing};
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
    /// The source's name of its first dimension.
    pub dimension: Option<String>,
    pub axes: Axes,
    pub source_chunks: Option<Vec<u64>>,
    /// Finest first.
    pub levels: Vec<Level>,
    pub packing: Packing,
    pub method: Method,
    /// How a cell without a value is stored.
    pub nodata: Vec<u8>,
    pub weights: Weights,
    /// The steps that are new (the rows, where it grows by rows), where the others are stored
    /// already; `None` where all are new.
    pub fresh: Option<Vec<Range<u64>>>,
    /// Of the second layout.
    pub is_series: bool,
    /// Level 0 stays in the files that it came from.
    pub elsewhere: bool,
}

impl Field {
    /// False where nothing of it is stored here.
    pub fn is_walked(&self) -> bool {
        !self.elsewhere || self.levels.len() > 1
    }

    /// True where NetCDF's own fill is no value since the source names no other.
    pub fn fill_is_unnamed(&self) -> bool {
        let named = |m: &Value| ["_FillValue", "missing_value"].iter().any(|k| !m["attributes"][k].is_null());
        self.dtype.is_float()
            && self.packing.nodata == [FILL_FLOAT]
            && self.levels.first().is_some_and(|l| !named(&l.metadata))
    }

    pub fn rows(&self) -> u64 {
        self.shape.get(self.axes.row).copied().unwrap_or(1)
    }
    pub fn columns(&self) -> u64 {
        self.axes.column.map_or(1, |a| self.shape[a])
    }

    /// Bytes that will be read.
    pub fn bytes(&self) -> u64 {
        let whole = self.shape.iter().product::<u64>() * self.dtype.size() as u64;
        let Some(axis) = self.axes.step else {
            let read = self.row_bands().map(|(_, rows)| rows).sum::<u64>();
            return whole / self.rows().max(1) * read;
        };
        let (steps, unit) = (self.shape[axis], self.levels[0].layout.shard[0]);
        let read: u64 = self.touched(steps, unit).iter().map(|g| unit.min(steps - g * unit)).sum();
        whole / steps.max(1) * read
    }

    /// The groups of `unit` steps that have anything new.
    pub fn touched(&self, steps: u64, unit: u64) -> Vec<u64> {
        let groups = 0..steps.div_ceil(unit);
        match &self.fresh {
            None => groups.collect(),
            Some(fresh) => {
                let fits = |g: &u64| fresh.iter().any(|r| r.start < (g + 1) * unit && r.end > g * unit);
                let first = fresh.iter().map(|r| r.start).min().unwrap_or(steps) / unit;
                (first..groups.end).filter(fits).collect()
            }
        }
    }

    /// First row and number of rows of each band that is read, in order.
    pub fn row_bands(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let (height, rows) = (self.levels[0].layout.shard[1].max(1), self.rows());
        let by_rows = self.fresh.as_ref().filter(|_| self.axes.step.is_none());
        (0..rows.div_ceil(height)).map(move |b| (b * height, height.min(rows - b * height))).filter(
            move |(row, n)| by_rows.is_none_or(|f| f.iter().any(|r| r.start < row + n && r.end > *row)),
        )
    }

    /// Index of each axis, with the steps taken at once, in the order of reading.
    pub fn groups(&self) -> impl Iterator<Item = (Vec<u64>, u64)> + '_ {
        let unit = self.levels[0].layout.shard[0];
        let touched = self.axes.step.map_or_else(Vec::new, |a| self.touched(self.shape[a], unit));
        let length = |a: usize| -> u64 {
            if a == self.axes.row || Some(a) == self.axes.column {
                1
            } else if Some(a) == self.axes.step {
                touched.len() as u64
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
                lead[a] = touched.get(lead[a] as usize).copied().unwrap_or(0) * unit;
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
