//! How an array is cut: inner chunks for the browser, shards for the disk.
//!
//! A map reads a rectangle of one instant, so a chunk is a tile of at most 256 by
//! 256 cells; a small grid takes several time steps along, so that its chunks are
//! not crumbs. Shards gather neighbouring chunks into one object. The ingest walks
//! the array in bands of rows, so a shard is one band high and whole bands fit in
//! memory whatever the grid's size.

use serde_json::{Value, json};

use graticule_shared::dtype::DataType;

use crate::recipe::codec::Codec;

/// Decoded bytes of an inner chunk that time steps may fill up.
const INNER_BYTES: u64 = 256 << 10;
/// Decoded bytes of a shard that time steps may fill up.
const SHARD_BYTES: u64 = 8 << 20;
/// Decoded bytes of a band, all its time steps together.
const BAND_BYTES: u64 = 40 << 20;
const TILE: u64 = 256;
const SHARD_COLUMNS: u64 = 2048;
/// One-dimensional chunks, in elements.
const RUN: u64 = 65_536;
/// Cells of a grid of cells, all steps of a shard together.
const SUMMED_CELLS: u64 = 8 << 20;
/// What a recipe may ask for: decoded bytes of an inner chunk that a viewer still loads, of a
/// shard, and of all shards side by side, which the ingest holds.
const ASKED_INNER_BYTES: u64 = graticule_shared::codec::MAX_BLOCK_BYTES;
const ASKED_SHARD_BYTES: u64 = 512 << 20;
const ASKED_BAND_BYTES: u64 = 128 << 20;
/// A row longer than this is walked as one dimension.
const LONGEST_ROW_BYTES: u64 = 16 << 20;

/// Axes of an array as the ingest walks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axes {
    /// The time axis, where it comes before the rows.
    pub step: Option<usize>,
    pub row: usize,
    /// `None` where the array is walked as one dimension.
    pub column: Option<usize>,
}

impl Axes {
    pub fn of(shape: &[u64], dtype: DataType, time: Option<usize>) -> Self {
        let rank = shape.len();
        let wide = shape.last().is_some_and(|n| n.saturating_mul(dtype.size() as u64) > LONGEST_ROW_BYTES);
        let (row, column) =
            if rank < 2 || wide { (rank.saturating_sub(1), None) } else { (rank - 2, Some(rank - 1)) };
        Self { step: time.filter(|t| *t < row), row, column }
    }

    /// Of an array whose last axis is all of its grid.
    pub fn of_cells(rank: usize, time: Option<usize>) -> Self {
        let row = rank.saturating_sub(1);
        Self { step: time.filter(|t| *t < row), row, column: None }
    }

    /// Of the regular grids that its coarser levels are: one axis more.
    pub fn of_binned(&self) -> Self {
        Self { step: self.step, row: self.row, column: Some(self.row + 1) }
    }
}

/// Chunks of one array of three walked axes: steps, rows, columns. Every other
/// axis has chunks of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub inner: [u64; 3],
    /// A multiple of `inner`.
    pub shard: [u64; 3],
}

impl Layout {
    /// `steps`, `rows` and `columns` are the array's lengths.
    pub fn plan(axes: &Axes, steps: u64, rows: u64, columns: u64, dtype: DataType) -> Self {
        let size = dtype.size() as u64;
        let (rows, columns, steps) = (rows.max(1), columns.max(1), steps.max(1));
        if axes.column.is_none() {
            let inner = rows.min(RUN);
            let shard = inner * rows.div_ceil(inner).min(8);
            let (mut inner_steps, mut shard_steps) = (1, 1);
            if axes.step.is_some() {
                // All steps of a shard are summed at once, cell by cell.
                let most = (SUMMED_CELLS / rows).clamp(1, steps.max(8));
                inner_steps = (INNER_BYTES / (inner * size)).clamp(1, steps.min(most));
                let by_shard = SHARD_BYTES / (shard * size * inner_steps);
                shard_steps = by_shard.clamp(1, (most / inner_steps).max(1));
            }
            return Self { inner: [inner_steps, inner, 1], shard: [inner_steps * shard_steps, shard, 1] };
        }
        let mut tile_rows = rows.min(TILE);
        while tile_rows > 1 && tile_rows * columns * size > BAND_BYTES {
            tile_rows = tile_rows.div_ceil(2);
        }
        let tile_columns = columns.min(TILE);
        let shard_columns = tile_columns * columns.div_ceil(tile_columns).min(SHARD_COLUMNS / TILE);
        let tile = tile_rows * tile_columns * size;
        let inner_steps = if axes.step.is_some() { (INNER_BYTES / tile).clamp(1, steps) } else { 1 };
        let shard_steps = if axes.step.is_some() {
            let by_shard = SHARD_BYTES / (tile_rows * shard_columns * size * inner_steps);
            let by_band = BAND_BYTES / (tile_rows * columns * size * inner_steps);
            // Room to grow for a collection that begins with one step.
            let useful = steps.div_ceil(inner_steps).max(8);
            inner_steps * by_shard.min(by_band).clamp(1, useful)
        } else {
            1
        };
        Self { inner: [inner_steps, tile_rows, tile_columns], shard: [shard_steps, tile_rows, shard_columns] }
    }

    /// A coarser level of the same array, with the same steps.
    pub fn coarser(&self, rows: u64, columns: u64) -> Self {
        let (r, c) = (rows.clamp(1, TILE), columns.clamp(1, TILE));
        Self {
            inner: [self.inner[0], r, c],
            shard: [self.shard[0], r, c * columns.max(1).div_ceil(c).min(SHARD_COLUMNS / TILE)],
        }
    }

    /// The layout that a recipe asks for where it says something, and this one where it does not.
    ///
    /// `names` and `lengths` are those of steps, rows and columns.
    ///
    /// # Errors
    /// Shards that are no multiple of their chunks, chunks or shards that are too large.
    pub fn asked(
        self,
        [chunks, shards]: [[Option<u64>; 3]; 2],
        names: [&str; 3],
        lengths: [u64; 3],
        dtype: DataType,
    ) -> Result<Self, String> {
        let mut out = self;
        for (i, name) in names.into_iter().enumerate() {
            // A dimension that grows may have chunks longer than it is yet; others are cut to size.
            let fit = |n: u64| if i == 0 { n } else { n.min(lengths[i].max(1)) };
            if let Some(n) = chunks[i] {
                out.inner[i] = fit(n);
            }
            match shards[i] {
                Some(n) if fit(n).is_multiple_of(out.inner[i]) => out.shard[i] = fit(n),
                // The last shard may reach past the end; it must still be whole chunks.
                Some(n) if n.is_multiple_of(out.inner[i]) => {
                    out.shard[i] = lengths[i].div_ceil(out.inner[i]) * out.inner[i];
                }
                Some(n) => {
                    return Err(format!(
                        "shards along {name:?}: {n} is no multiple of the chunk's {}; expected such as {}, or say the chunk too",
                        out.inner[i],
                        n.div_ceil(out.inner[i]) * out.inner[i]
                    ));
                }
                None => out.shard[i] = out.inner[i] * (self.shard[i] / out.inner[i]).max(1),
            }
        }
        let size = dtype.size() as u64;
        let bytes = |s: [u64; 3]| s.into_iter().fold(size, u64::saturating_mul);
        let band = [out.shard[0], out.shard[1], lengths[2].max(1)];
        for (what, shape, most) in [
            ("a chunk", out.inner, ASKED_INNER_BYTES),
            ("a shard", out.shard, ASKED_SHARD_BYTES),
            ("a row of shards, which is held at once,", band, ASKED_BAND_BYTES),
        ] {
            if bytes(shape) > most {
                return Err(format!(
                    "{what} of {} by {} by {} values holds {:.1} MB, more than {} MB; expected smaller ones along {names:?}",
                    shape[0],
                    shape[1],
                    shape[2],
                    bytes(shape) as f64 / f64::from(1 << 20),
                    most >> 20
                ));
            }
        }
        Ok(out)
    }

    /// From an array's metadata, as an append must keep it.
    pub fn stored(axes: &Axes, inner: &[u64], shard: &[u64]) -> Option<Self> {
        let pick = |s: &[u64]| -> Option<[u64; 3]> {
            Some([
                axes.step.map_or(Some(1), |a| s.get(a).copied())?,
                s.get(axes.row).copied()?,
                axes.column.map_or(Some(1), |a| s.get(a).copied())?,
            ])
        };
        Some(Self { inner: pick(inner)?, shard: pick(shard)? })
    }

    /// Over all axes of the array, one in those that are not walked.
    pub fn spread(walked: [u64; 3], axes: &Axes, rank: usize) -> Vec<u64> {
        (0..rank)
            .map(|a| match a {
                a if Some(a) == axes.step => walked[0],
                a if a == axes.row => walked[1],
                a if Some(a) == axes.column => walked[2],
                _ => 1,
            })
            .collect()
    }

    /// Inner chunks along each walked axis of a shard.
    pub fn per_shard(&self) -> [u64; 3] {
        [0, 1, 2].map(|i| self.shard[i] / self.inner[i])
    }
}

/// The codecs of a chunk: little-endian numbers, and what packs them.
fn chain(dtype: DataType, codec: &Codec, chunk: Option<&[u64]>) -> Value {
    let mut codecs = vec![json!({"name": "bytes", "configuration": {"endian": "little"}})];
    codecs.extend(codec.to_json(dtype, chunk));
    Value::Array(codecs)
}

/// What a node's metadata is made of.
pub struct Described<'a> {
    pub shape: &'a [u64],
    pub dtype: DataType,
    pub dims: &'a [String],
    pub fill: &'a Value,
    pub attributes: serde_json::Map<String, Value>,
}

/// `zarr.json` of an array in one chunk.
pub fn whole_array(d: Described<'_>) -> Value {
    let chunk: Vec<u64> = d.shape.iter().map(|n| (*n).max(1)).collect();
    let codecs = chain(d.dtype, &Codec::default(), None);
    array(d, &chunk, codecs)
}

/// Longest side of a chunk of two-dimensional coordinates.
const COORDINATE_TILE: u64 = 512;

/// `zarr.json` of coordinates that are at hand, in tiles.
pub fn tiled_array(d: Described<'_>) -> Value {
    let chunk: Vec<u64> = d.shape.iter().map(|n| (*n).clamp(1, COORDINATE_TILE)).collect();
    let codecs = chain(d.dtype, &Codec::default(), None);
    array(d, &chunk, codecs)
}

/// `zarr.json` of a sharded array.
pub fn sharded_array(d: Described<'_>, inner: &[u64], shard: &[u64], codec: &Codec) -> Value {
    let codecs = json!([{"name": "sharding_indexed", "configuration": {
        "chunk_shape": inner,
        "codecs": chain(d.dtype, codec, Some(inner)),
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": "end"}}]);
    array(d, shard, codecs)
}

fn array(d: Described<'_>, chunk: &[u64], codecs: Value) -> Value {
    json!({"zarr_format": 3, "node_type": "array", "shape": d.shape, "data_type": d.dtype.zarr_name(),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": d.fill, "codecs": codecs, "attributes": d.attributes,
        "dimension_names": d.dims, "storage_transformers": []})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(shape: [u64; 3], dtype: DataType) -> Layout {
        Layout::plan(&Axes::of(&shape, dtype, Some(0)), shape[0], shape[1], shape[2], dtype)
    }

    #[test]
    fn no_inner_chunk_is_larger_than_the_browser_wants_and_no_shard_than_the_disk() {
        for shape in [[1, 18_000, 36_000], [731, 8, 4], [365, 720, 1440], [12, 1, 1], [1, 90_000, 300_000]] {
            for dtype in [DataType::Int8, DataType::Float32, DataType::Float64] {
                let l = plan(shape, dtype);
                let bytes = |s: [u64; 3]| s.iter().product::<u64>() * dtype.size() as u64;
                assert!(bytes(l.inner) <= 512 << 10, "{shape:?} {dtype}: {l:?}");
                assert!(bytes(l.shard) <= 8 << 20, "{shape:?} {dtype}: {l:?}");
                assert!(l.shard[0] * l.shard[1] * shape[2] * dtype.size() as u64 <= BAND_BYTES);
                assert!(l.inner.iter().zip(l.shard).all(|(i, s)| s % i == 0));
            }
        }
    }

    #[test]
    fn small_grids_take_time_steps_along() {
        assert_eq!(plan([731, 8, 4], DataType::Float32).inner, [731, 8, 4]);
        assert_eq!(plan([40, 89, 180], DataType::Float32).inner, [4, 89, 180]);
        assert_eq!(
            plan([365, 720, 1440], DataType::Float32),
            Layout { inner: [1, 256, 256], shard: [5, 256, 1536] }
        );
    }

    #[test]
    fn cells_are_cut_along_their_dimension_and_small_ones_take_steps_along() {
        let plan = |steps, cells| {
            let axes = Axes::of_cells(2, Some(0));
            assert_eq!(axes, Axes { step: Some(0), row: 1, column: None });
            Layout::plan(&axes, steps, cells, 1, DataType::Float32)
        };
        assert_eq!(plan(10, 551).inner, [10, 551, 1]);
        assert_eq!(plan(24, 12_582_912), Layout { inner: [1, 65_536, 1], shard: [1, 524_288, 1] });
        for (steps, cells) in [(1, 7), (1000, 5400), (365, 300_000), (3, 20_971_520)] {
            let l = plan(steps, cells);
            assert!(l.inner.iter().zip(l.shard).all(|(i, s)| s % i == 0), "{l:?}");
            assert!(l.shard[0] == 1 || l.shard[0] * cells <= 8 << 20, "{l:?}");
        }
        assert_eq!(Axes::of_cells(2, Some(0)).of_binned(), Axes { step: Some(0), row: 1, column: Some(2) });
    }

    #[test]
    fn a_recipe_has_its_way_unless_it_contradicts_itself_or_asks_for_too_much() {
        let usual = plan([365, 720, 1440], DataType::Float32);
        let asked = |chunks, shards| {
            usual.asked([chunks, shards], ["time", "lat", "lon"], [365, 720, 1440], DataType::Float32)
        };
        let l = asked([Some(1), Some(180), Some(360)], [None, Some(360), Some(1080)]).unwrap();
        assert_eq!((l.inner, l.shard), ([1, 180, 360], [5, 360, 1080]));
        let l = asked([None; 3], [Some(1), Some(1024), Some(1024)]).unwrap();
        assert_eq!((l.inner, l.shard), ([1, 256, 256], [1, 768, 1024]));
        let e = asked([None; 3], [None, None, Some(1000)]).unwrap_err();
        assert!(e.contains("1000 is no multiple of the chunk's 256; expected such as 1024"), "{e}");
        let e = asked([Some(100), Some(720), Some(1440)], [None; 3]).unwrap_err();
        assert!(e.contains("holds 395.5 MB, more than 64 MB"), "{e}");
    }

    #[test]
    fn a_long_row_is_walked_as_one_dimension() {
        let axes = Axes::of(&[3, 100_000_000], DataType::Float64, None);
        assert_eq!(axes, Axes { step: None, row: 1, column: None });
        let l = Layout::plan(&axes, 1, 100_000_000, 1, DataType::Float64);
        assert_eq!(l, Layout { inner: [1, 65_536, 1], shard: [1, 524_288, 1] });
    }
}
