//! GeoTIFF and cloud-optimized GeoTIFF, TIFF 6.0 and BigTIFF.
//!
//! The first image of the file becomes one variable a band over `y` and `x` (or
//! `latitude` and `longitude`), in CF's terms: cell centres as 1-D coordinates, the
//! reference system as a grid mapping, GDAL's nodata, scale and offset as CF packing.
//! Tiles and strips are fetched and decoded one by one as they are asked for.
//! Sources: TIFF Revision 6.0 with its technical notes, OGC GeoTIFF 1.1 (19-008r4),
//! and GDAL's documentation of its private tags.

mod axes;
mod codec;
mod crs;
mod directory;
mod gdal;
mod header;
mod keys;
mod layout;
#[cfg(feature = "zarr")]
pub(crate) mod refer;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use graticule_shared::grid::projection::Projection;
use graticule_shared::grid::sphere::{is_place, wrap_longitude};
use hdf5_reader::storage::DynStorage;

pub(crate) use directory::begins;

use crate::slab::{self, Region};
use crate::{FormatError, Header, Limits, Source, Variable};
use axes::{Affine, Axis};
use directory::Bytes;
use layout::Layout;

/// Cells of a rotated image that is referred to: their places are not in the file.
#[cfg(feature = "zarr")]
const MOST_PLACES: u64 = 4 << 20;

/// What stands behind a variable of the header.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content {
    Axis(Axis),
    /// The grid mapping: its attributes are all there is.
    Mapping,
    /// Of the cells of a rotated image.
    Latitude,
    Longitude,
    Band(u64),
}

/// Places of the cells of a rotated image, which has no axes.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    affine: Affine,
    /// `None` where the coordinates are longitudes and latitudes.
    projection: Option<Projection>,
}

impl Places {
    /// Longitude and latitude; `None` beyond what the projection shows.
    fn of(&self, row: u64, column: u64) -> Option<(f64, f64)> {
        let (x, y) = self.affine.at(row, column);
        let place = match &self.projection {
            Some(p) => p.inverse(x, y),
            None => Some((wrap_longitude(x), y)),
        };
        place.filter(|(longitude, latitude)| is_place(*longitude, *latitude))
    }
}

/// Decoded chunks by index, the latest last.
#[derive(Default)]
struct Cache {
    chunks: VecDeque<(u64, Arc<Vec<u8>>)>,
    bytes: usize,
}

pub(crate) struct GeoTiff {
    bytes: Bytes,
    layout: Layout,
    header: Header,
    /// In the order of `header.variables`.
    contents: Vec<Content>,
    places: Option<Places>,
    /// One sample of what was never written, native-endian.
    unwritten: [u8; 8],
    limits: Limits,
    cache: Mutex<Cache>,
}

impl GeoTiff {
    pub(crate) fn open(file: &str, storage: DynStorage, limits: Limits) -> Result<Self, FormatError> {
        let mut bytes = Bytes { file: file.to_owned(), storage, little: true, big: false };
        let head = bytes.get(0, 4)?;
        bytes.little = head[0] == b'I';
        bytes.big = head[2] == b'+' || head[3] == b'+';
        let (pages, odd) = bytes.directories()?;
        let layout = Layout::read(&bytes, &pages[0].1, &limits)?;
        let (mut header, contents, places, missing) = header::build(&bytes, &layout, &pages, &limits)?;
        header.notes.extend(odd.map(|found| header::note("file", found, "a chain of images that ends")));
        let mut unwritten = [0; 8];
        if let Some(value) = missing {
            let native = header::native(layout.coding.dtype, value);
            unwritten[..native.len()].copy_from_slice(&native);
        }
        Ok(Self { bytes, layout, header, contents, places, unwritten, limits, cache: Mutex::default() })
    }

    /// Chunk `index`, decoded; `rows` of it are in the image.
    fn chunk(&self, index: u64, rows: usize) -> Result<Arc<Vec<u8>>, FormatError> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = cache.chunks.iter().position(|(i, _)| *i == index)
            && let Some(found) = cache.chunks.remove(at)
        {
            let chunk = found.1.clone();
            cache.chunks.push_back(found);
            return Ok(chunk);
        }
        drop(cache);
        let chunk = Arc::new(self.decode(index, rows)?);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.bytes += chunk.len();
        cache.chunks.push_back((index, chunk.clone()));
        while cache.bytes > self.limits.cache_bytes && cache.chunks.len() > 1 {
            cache.bytes -= cache.chunks.pop_front().map_or(0, |(_, old)| old.len());
        }
        Ok(chunk)
    }

    fn decode(&self, index: u64, rows: usize) -> Result<Vec<u8>, FormatError> {
        let layout = &self.layout;
        let what = if layout.tiled { "tile" } else { "strip" };
        let (offset, length) = layout.place(&self.bytes, index)?;
        if length == 0 {
            let size = layout.coding.dtype.size();
            return Ok(
                self.unwritten[..size].repeat(layout.coding.chunk_width * rows * layout.coding.interleaved)
            );
        }
        let most = self.limits.chunk_bytes.saturating_add(1 << 20);
        if length > most {
            return Err(self.bytes.error(
                format!("{what} {index} is {length} bytes long, compressed; at most {most} are read"),
                offset,
            ));
        }
        let stored = self.bytes.get(offset, length)?;
        codec::decode(&layout.coding, &stored, rows, self.bytes.little)
            .map_err(|reason| self.bytes.error(format!("{what} {index}: {reason}"), offset))
    }

    fn band(&self, band: u64, start: &[u64], count: &[u64], out: &mut [u8]) -> Result<(), FormatError> {
        let layout = &self.layout;
        let (height, width) = (layout.coding.chunk_height as u64, layout.coding.chunk_width as u64);
        let size = layout.coding.dtype.size();
        let plane = if layout.coding.interleaved == 1 { band * layout.across * layout.down } else { 0 };
        let within = if layout.coding.interleaved == 1 { 0 } else { band as usize };
        for row in start[0] / height..=(start[0] + count[0] - 1) / height {
            let left = if layout.tiled { height } else { height.min(layout.height - row * height) };
            for column in start[1] / width..=(start[1] + count[1] - 1) / width {
                let chunk = self.chunk(plane + row * layout.across + column, left as usize)?;
                let single: Vec<u8>;
                let samples = if layout.coding.interleaved == 1 {
                    chunk.as_slice()
                } else {
                    let pixels = chunk.chunks_exact(layout.coding.interleaved * size);
                    single = pixels.flat_map(|p| &p[within * size..(within + 1) * size]).copied().collect();
                    &single
                };
                let from = Region { corner: &[row * height, column * width], extent: &[left, width] };
                slab::copy_overlap(samples, &from, out, &Region { corner: start, extent: count }, size);
            }
        }
        Ok(())
    }

    fn slab(
        &self,
        v: &Variable,
        content: Content,
        start: &[u64],
        count: &[u64],
    ) -> Result<Vec<u8>, FormatError> {
        let bytes = slab::check(&self.bytes.file, v, start, count, &self.limits)?;
        let mut out = Vec::new();
        out.try_reserve_exact(bytes).map_err(|_| {
            FormatError::new(&self.bytes.file, format!("there is no memory for a slab of {bytes} bytes"))
        })?;
        match content {
            Content::Axis(axis) => {
                let places = start[0]..start[0] + count[0];
                out.extend(places.flat_map(|i| (axis.first + i as f64 * axis.step).to_ne_bytes()));
            }
            Content::Mapping => out.resize(bytes, 0),
            Content::Latitude | Content::Longitude => {
                for row in start[0]..start[0] + count[0] {
                    for column in start[1]..start[1] + count[1] {
                        let place = self.places.as_ref().and_then(|p| p.of(row, column));
                        let value = match (place, content) {
                            (Some((_, latitude)), Content::Latitude) => latitude,
                            (Some((longitude, _)), _) => longitude,
                            (None, _) => f64::NAN,
                        };
                        out.extend_from_slice(&value.to_ne_bytes());
                    }
                }
            }
            Content::Band(band) => {
                out.resize(bytes, 0);
                if bytes > 0 {
                    self.band(band, start, count, &mut out)?;
                }
            }
        }
        Ok(out)
    }
}

impl Source for GeoTiff {
    fn header(&self) -> &Header {
        &self.header
    }

    fn read(&self, variable: &str, start: &[u64], count: &[u64]) -> Result<Vec<u8>, FormatError> {
        let found = self.header.variables.iter().zip(&self.contents).find(|(v, _)| v.path == variable);
        let Some((v, content)) = found else {
            return Err(FormatError::new(&self.bytes.file, "there is no such variable").in_variable(variable));
        };
        crate::guard::guard(&self.bytes.file, || self.slab(v, *content, start, count))
            .map_err(|e| e.in_variable(variable))
    }

    #[cfg(feature = "zarr")]
    fn stored(&self, variable: &str) -> Result<crate::StoredChunks, FormatError> {
        let error = |why: &str| {
            let why = format!("its tiles cannot be referred to: {why}");
            FormatError::new(&self.bytes.file, why).in_variable(variable)
        };
        let found = self.header.variables.iter().zip(&self.contents).find(|(v, _)| v.path == variable);
        match found {
            Some((_, Content::Band(band))) => {
                refer::chunks(&self.layout, &self.bytes, *band)?.map_err(|why| error(&why))
            }
            // They are computed from the transformation, and so are given along.
            Some((v, Content::Latitude | Content::Longitude)) => {
                let chunk_shape = crate::stored::cut(&v.shape, v.dtype.size()).map_err(|why| error(&why))?;
                if v.shape.iter().product::<u64>() > MOST_PLACES {
                    return Err(error("there are too many cells in a rotated image; ingest a copy"));
                }
                let [rows, columns] = [0, 1].map(|a| v.shape[a].div_ceil(chunk_shape[a]));
                let mut inline = Vec::new();
                for index in 0..rows * columns {
                    let start = [index / columns * chunk_shape[0], index % columns * chunk_shape[1]];
                    inline.push((index, self.read(variable, &start, &chunk_shape)?));
                }
                Ok(crate::StoredChunks {
                    chunk_shape,
                    codecs: serde_json::json!([crate::stored::bytes_codec(8, cfg!(target_endian = "big"))]),
                    files: Vec::new(),
                    spans: Vec::new(),
                    inline,
                })
            }
            _ => Err(error("it has none")),
        }
    }
}
