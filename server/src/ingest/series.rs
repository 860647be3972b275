//! The second layout: the same values in chunks that are long in time and small on
//! the ground, so that one place through all times is one chunk or a few.
//!
//! It lies in a group of its own beside the levels, named by the root's attribute
//! [`ATTRIBUTE`], with its own coordinates. Appending one time would write the last
//! block of every chunk again, which holds up to [`STEPS`] times; so the layout
//! follows a little behind, never by more than [`LATEST`] times, and whoever reads
//! takes those from the first layout.

use std::ops::Range;

use graticule_shared::dtype::DataType;

use super::field::{Field, Level, Weights};
use super::layout::{Axes, Described, Layout, sharded_array};
use super::plan::{Continue, Prepared, keep_codecs};

pub use graticule_shared::cube::SERIES as ATTRIBUTE;

/// Times of a chunk; fewer on very wide grids.
const STEPS: u64 = 1024;
/// Decoded bytes of a chunk.
const CHUNK_BYTES: u64 = 1 << 20;
/// Decoded bytes of a row of shards, all its times together: what the ingest holds.
const BAND_BYTES: u64 = 40 << 20;
const PER_SHARD: u64 = 16;
/// Rows of a chunk.
const ROWS: u64 = 16;
/// Times that the layout may lack.
const LATEST: u64 = 64;

/// Times of a chunk on a grid with so many columns.
fn steps(columns: u64, dtype: DataType) -> u64 {
    let row = columns.max(1) * dtype.size() as u64;
    let mut n = STEPS;
    while n > 16 && n * row > BAND_BYTES {
        n /= 2;
    }
    n
}

fn layout(axes: &Axes, rows: u64, columns: u64, n: u64, dtype: DataType) -> Layout {
    let size = dtype.size() as u64;
    let cells = (CHUNK_BYTES / (n * size)).max(1);
    if axes.column.is_none() {
        let inner = rows.clamp(1, cells);
        let shard = inner * rows.div_ceil(inner).clamp(1, PER_SHARD);
        return Layout { inner: [n, inner, 1], shard: [n, shard, 1] };
    }
    let high = (BAND_BYTES / (n * columns.max(1) * size)).clamp(1, ROWS).min(rows.max(1));
    let wide = (cells / high).clamp(1, columns.max(1));
    let shard = wide * columns.div_ceil(wide).clamp(1, PER_SHARD);
    Layout { inner: [n, high, wide], shard: [n, high, shard] }
}

/// Whether the layout goes on from what it has to the end.
fn is_due(stored: u64, total: u64, n: u64) -> bool {
    let filled = stored % n.max(1);
    total.saturating_sub(stored) >= (filled / 4).clamp(1, LATEST)
}

/// The steps to write; `None` where none need be yet.
fn fresh(stored: u64, total: u64, n: u64, changed: &[Range<u64>]) -> Option<Vec<Range<u64>>> {
    let mut out: Vec<Range<u64>> =
        changed.iter().filter(|r| r.start < stored).map(|r| r.start..r.end.min(stored)).collect();
    if out.is_empty() && !is_due(stored, total, n) {
        return None;
    }
    out.push(stored..total);
    Some(out)
}

/// The fields of the second layout, of those that have times.
pub fn fields(group: &str, of: &[(&Field, &Prepared<'_>)], continues: Option<&Continue<'_>>) -> Vec<Field> {
    // One coordinate of time serves all: they reach equally far.
    let wanted = of.iter().filter_map(|(f, p)| Some((*f, *p, f.axes.step?)));
    let n = wanted.clone().map(|(f, ..)| steps(f.columns(), f.dtype)).min().unwrap_or(STEPS);
    wanted
        .filter_map(|(f, p, step)| {
            let path = format!("{group}/{}", p.variable.path);
            let former = continues.and_then(|g| g.former.arrays.get(&path));
            let kept = former
                .and_then(|a| Layout::stored(&f.axes, &a.sharding.as_ref()?.inner_shape, &a.chunk_shape));
            let layout = kept.unwrap_or_else(|| layout(&f.axes, f.rows(), f.columns(), n, f.dtype));
            let fresh = match former.zip(continues) {
                Some((a, g)) => {
                    Some(fresh(a.shape.get(step).copied()?, f.shape[step], layout.inner[0], g.fresh)?)
                }
                None => None,
            };
            let mut attributes = p.attributes.clone();
            for key in ["coordinates", "grid_mapping", "cell_measures", "ancillary_variables"] {
                attributes.shift_remove(key);
            }
            let rank = f.shape.len();
            let described =
                Described { shape: &f.shape, dtype: f.dtype, dims: &p.dims, fill: &p.fill.json, attributes };
            let (inner, shard) =
                (Layout::spread(layout.inner, &f.axes, rank), Layout::spread(layout.shard, &f.axes, rank));
            let mut metadata = sharded_array(described, &inner, &shard, p.codec);
            keep_codecs(&mut metadata, former);
            let level = Level {
                path,
                metadata,
                layout,
                axes: f.axes.clone(),
                rank,
                rows: f.rows(),
                columns: f.columns(),
            };
            Some(Field {
                source: f.source.clone(),
                dtype: f.dtype,
                shape: f.shape.clone(),
                dimension: f.dimension.clone(),
                axes: f.axes.clone(),
                source_chunks: f.source_chunks.clone(),
                levels: vec![level],
                packing: f.packing.clone(),
                method: f.method,
                nodata: f.nodata.clone(),
                weights: Weights::Rows(Vec::new()),
                fresh,
                is_series: true,
                elsewhere: false,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_long_small_and_bounded_on_any_grid() {
        let axes = Axes { step: Some(0), row: 1, column: Some(2) };
        for (rows, columns) in [(720, 1440), (8, 4), (18_000, 36_000), (1, 1)] {
            for dtype in [DataType::Int16, DataType::Float64] {
                let n = steps(columns, dtype);
                let l = layout(&axes, rows, columns, n, dtype);
                let bytes = |s: [u64; 3]| s.iter().product::<u64>() * dtype.size() as u64;
                assert!(bytes(l.inner) <= 1 << 20, "{rows} x {columns} {dtype}: {l:?}");
                assert!(l.shard[0] * l.shard[1] * columns * dtype.size() as u64 <= 40 << 20, "{l:?}");
                assert!(l.inner.iter().zip(l.shard).all(|(i, s)| s % i == 0));
            }
        }
        let l = layout(&axes, 720, 1440, steps(1440, DataType::Int16), DataType::Int16);
        assert_eq!(l, Layout { inner: [1024, 14, 36], shard: [1024, 14, 576] });
    }

    #[test]
    fn it_follows_closely_while_it_is_cheap_and_never_far_behind() {
        assert!(is_due(3, 4, 1024) && is_due(1024, 1025, 1024));
        assert!(!is_due(100, 124, 1024) && is_due(100, 125, 1024));
        assert!(!is_due(1000, 1063, 1024) && is_due(1000, 1064, 1024));
        assert_eq!(fresh(100, 110, 1024, std::slice::from_ref(&(100..110))), None);
        // What was overwritten is written again, and then all that is new with it.
        assert_eq!(fresh(100, 110, 1024, &[5..7, 98..110]), Some(vec![5..7, 98..100, 100..110]));
    }
}
