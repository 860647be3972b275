//! GRIB, editions 1 and 2 (WMO Manual on Codes, FM 92), as a CF cube.
//!
//! A GRIB file is a heap of messages, each one field with all its metadata. Opening
//! reads their headers only and arranges them ([`cube`], [`groups`]); values are
//! decoded when they are asked for. Everything is read here but the code streams of
//! JPEG 2000 and PNG.

mod bits;
mod cube;
mod decode;
mod edition1;
mod edition2;
mod field;
mod grid;
mod groups;
mod gzip;
mod header;
mod inventory;
mod level;
mod names;
mod octets;
mod product;
#[cfg(feature = "zarr")]
pub(crate) mod refer;
mod scan;
mod time;
mod units;
mod unpack;
mod window;

use std::sync::{Arc, Mutex, OnceLock};

use graticule_shared::dtype::DataType;
use hdf5_reader::storage::DynStorage;
use hdf5_reader::{BytesStorage, Storage};

use crate::checks::{Finding, Severity};
use crate::guard::guard;
use crate::{FormatError, Header, Limits, Source, Variable, slab};
use cube::{Cube, HOLE, Places};
use decode::Values;
use field::Field;
use grid::Grid;
use header::Content;
use inventory::Inventory;
use octets::Fault;
use unpack::Packing;

pub(crate) use gzip::unwrap as unwrap_gzip;
pub use units::of as units;

/// Where the first message begins, if it does within `head`.
pub(crate) fn begins(head: &[u8]) -> Option<usize> {
    head.windows(8).position(scan::starts)
}

/// Fields in the cache, which is searched one by one.
const MOST_HELD: usize = 4096;

type Decoded = Arc<OnceLock<Result<Arc<Values>, Fault>>>;

pub(crate) struct Grib {
    file: String,
    storage: DynStorage,
    header: Header,
    /// In the order of `header.variables`.
    content: Vec<Content>,
    fields: Vec<Field>,
    grids: Vec<Grid>,
    limits: Limits,
    /// The bytes are those of a file, at the same places.
    #[cfg_attr(not(feature = "zarr"), allow(dead_code))]
    in_place: bool,
    /// Last used last.
    cache: Mutex<Vec<(u32, Decoded)>>,
}

impl Grib {
    pub(crate) fn open(file: &str, storage: DynStorage, limits: Limits) -> Result<Self, FormatError> {
        let inventory = Inventory::read(storage.as_ref(), &limits);
        if inventory.fields.is_empty() {
            return Err(refusal(file, &inventory));
        }
        let same = |a: usize, b: usize| equal(storage.as_ref(), &inventory.fields, a, b, &limits);
        let (groups, refused) = groups::group(&inventory.fields, &same);
        if groups.len() > limits.variables {
            let reason = format!("{} variables; at most {} are read", groups.len(), limits.variables);
            return Err(FormatError::new(file, reason));
        }
        let cube = Cube::new(&groups, &inventory.fields);
        let (mut header, content) = header::build(&inventory.fields, &inventory.grids, &groups, cube);
        header.format = match inventory.editions {
            [_, true, true] => "GRIB1 and GRIB2",
            [_, true, false] => "GRIB1",
            _ => "GRIB2",
        }
        .to_owned();
        header.skipped.extend(refused);
        header.skipped.extend(inventory.faults.iter().map(|(what, fault)| (what.clone(), fault.to_string())));
        let gaps = inventory.gaps;
        if gaps.count > 0 {
            let found = format!(
                "{} bytes, in {} places from byte {} on, are no GRIB message and were stepped over",
                gaps.bytes, gaps.count, gaps.first
            );
            header.notes.push(Finding::new(Severity::Note, "file", found, "one message after another"));
        }
        for v in &header.variables {
            slab::check_declared(file, &v.path, &v.shape, v.dtype, &limits)?;
        }
        if header.dimensions.len() > limits.dimensions {
            let reason =
                format!("{} dimensions; at most {} are read", header.dimensions.len(), limits.dimensions);
            return Err(FormatError::new(file, reason));
        }
        Ok(Self {
            file: file.to_owned(),
            storage,
            header,
            content,
            fields: inventory.fields,
            grids: inventory.grids,
            limits,
            in_place: true,
            cache: Mutex::new(Vec::new()),
        })
    }

    /// The same, of bytes that were unpacked out of a file.
    pub(crate) fn open_unpacked(file: &str, bytes: Vec<u8>, limits: Limits) -> Result<Self, FormatError> {
        let opened = Self::open(file, Arc::new(BytesStorage::new(bytes)), limits)?;
        Ok(Self { in_place: false, ..opened })
    }

    fn error(&self, variable: &str, field: Option<&Field>, fault: Fault) -> FormatError {
        let reason = match field {
            Some(f) => format!("message {}: {}", f.message, fault.reason),
            None => fault.reason,
        };
        let error = FormatError::new(&self.file, reason).in_variable(variable);
        match fault.offset {
            Some(o) => error.at_byte(o),
            None => error,
        }
    }

    fn values(&self, index: u32) -> Result<Arc<Values>, Fault> {
        let (f, grid) = self.field(index)?;
        let slot = {
            let mut cache = self.cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match cache.iter().position(|(i, _)| *i == index) {
                Some(at) => {
                    let entry = cache.remove(at);
                    let slot = entry.1.clone();
                    cache.push(entry);
                    slot
                }
                None => {
                    let slot = Decoded::default();
                    cache.push((index, slot.clone()));
                    slot
                }
            }
        };
        // Whoever else wants this field waits here instead of decoding it too.
        let decode = || decode::field(self.storage.as_ref(), f, grid, self.limits.chunk_bytes).map(Arc::new);
        let values = slot.get_or_init(decode).clone();
        self.trim();
        values
    }

    /// Drops what was used longest ago until the cache fits; the last one stays.
    fn trim(&self) {
        let mut cache = self.cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let size = |d: &Decoded| match d.get() {
            Some(Ok(v)) => v.bytes(),
            _ => 0,
        };
        let mut total: usize = cache.iter().map(|(_, d)| size(d)).sum();
        while (total > self.limits.cache_bytes || cache.len() > MOST_HELD) && cache.len() > 1 {
            total -= size(&cache.remove(0).1);
        }
    }

    fn field(&self, index: u32) -> Result<(&Field, &Grid), Fault> {
        let f = self.fields.get(index as usize);
        f.and_then(|f| Some((f, self.grids.get(f.grid)?)))
            .ok_or_else(|| Fault::new(format!("there is no field {index}")))
    }

    /// Part of a field: rows and columns, or cells.
    fn part(&self, index: u32, start: &[u64], count: &[u64], out: &mut [u8]) -> Result<(), Fault> {
        let (f, grid) = self.field(index)?;
        let whole = grid.dims.iter().map(|(_, n)| *n).eq(count.iter().copied());
        let columns = grid.columns().unwrap_or(1) as usize;
        let (&[row0, column0], &[rows, wide]) = (
            &match start {
                [y, x] => [*y as usize, *x as usize],
                [c] => [*c as usize, 0],
                _ => [0, 0],
            },
            &match count {
                [y, x] => [*y as usize, *x as usize],
                [c] => [*c as usize, 1],
                _ => [0, 0],
            },
        );
        // Rows that lie together in the file need not wait for the others.
        if wide == columns && decode::run(self.storage.as_ref(), f, grid, row0 * columns, out)? {
            return Ok(());
        }
        if whole {
            let held = {
                let cache = self.cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                cache.iter().find(|(i, _)| *i == index).map(|(_, d)| d.clone())
            };
            // Nothing of it is left to be asked for again soon.
            let values = match held.as_ref().and_then(|d| d.get()) {
                Some(held) => held.clone()?,
                None => Arc::new(decode::field(self.storage.as_ref(), f, grid, self.limits.chunk_bytes)?),
            };
            values.copy(0, rows * wide, out);
            return Ok(());
        }
        if wide == columns {
            self.values(index)?.copy(row0 * columns, rows * columns, out);
            return Ok(());
        }
        let values = self.values(index)?;
        let size = if f.encoded.packing == Packing::Ieee64 { 8 } else { 4 };
        for (row, out) in (row0..row0 + rows).zip(out.chunks_mut((wide * size).max(1))) {
            values.copy(row * columns + column0, wide, out);
        }
        Ok(())
    }

    fn fields_into(
        &self,
        v: &Variable,
        places: &Places,
        start: &[u64],
        count: &[u64],
        out: &mut [u8],
    ) -> Result<(), FormatError> {
        let outer = places.outer.len();
        let (outer_start, inner_start) = start.split_at(outer);
        let (outer_count, inner_count) = count.split_at(outer);
        let one = inner_count.iter().product::<u64>() as usize * v.dtype.size();
        let mut at = vec![0u64; outer];
        for piece in out.chunks_mut(one.max(1)) {
            let flat = at
                .iter()
                .zip(outer_start)
                .zip(&places.outer)
                .fold(0u64, |flat, ((i, s), n)| flat * n + i + s);
            match places.fields.get(flat as usize).copied() {
                Some(index) if index != HOLE => self
                    .part(index, inner_start, inner_count, piece)
                    .map_err(|fault| self.error(&v.path, self.fields.get(index as usize), fault))?,
                _ => nan(v.dtype, piece),
            }
            for (i, n) in at.iter_mut().zip(outer_count).rev() {
                *i += 1;
                if *i < *n {
                    break;
                }
                *i = 0;
            }
        }
        Ok(())
    }
}

fn nan(dtype: DataType, out: &mut [u8]) {
    if dtype == DataType::Float64 {
        out.as_chunks_mut().0.iter_mut().for_each(|o| *o = f64::NAN.to_ne_bytes());
    } else {
        out.as_chunks_mut().0.iter_mut().for_each(|o| *o = f32::NAN.to_ne_bytes());
    }
}

/// Why there is nothing to read.
fn refusal(file: &str, inventory: &Inventory) -> FormatError {
    let Some((what, fault)) = inventory.faults.first() else {
        return FormatError::new(file, "there is no GRIB message in it");
    };
    let more = match inventory.faults.len() - 1 {
        0 => String::new(),
        n => format!(" ({n} more messages or fields cannot be read either)"),
    };
    let error = FormatError::new(file, format!("{what}: {}{more}", fault.reason));
    match fault.offset {
        Some(o) => error.at_byte(o),
        None => error,
    }
}

/// True where two fields hold the same bits in the same packing.
fn equal(storage: &dyn Storage, fields: &[Field], a: usize, b: usize, limits: &Limits) -> bool {
    let (Some(a), Some(b)) = (fields.get(a), fields.get(b)) else { return false };
    let (x, y) = (&a.encoded, &b.encoded);
    let bytes = |r: field::Range| decode::bytes(storage, r, limits.chunk_bytes).ok();
    let bitmaps = match (x.bitmap, y.bitmap) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            let (a, b) = (bytes(a), bytes(b));
            a.is_some() && a.as_deref() == b.as_deref()
        }
        _ => false,
    };
    if !bitmaps || x.packing != y.packing || x.data.len != y.data.len {
        return false;
    }
    let (a, b) = (bytes(x.data), bytes(y.data));
    a.is_some() && a.as_deref() == b.as_deref()
}

impl Source for Grib {
    fn header(&self) -> &Header {
        &self.header
    }

    fn read(&self, variable: &str, start: &[u64], count: &[u64]) -> Result<Vec<u8>, FormatError> {
        let found = self.header.variables.iter().zip(&self.content).find(|(v, _)| v.path == variable);
        let Some((v, content)) = found else {
            return Err(FormatError::new(&self.file, "there is no such variable").in_variable(variable));
        };
        let bytes = slab::check(&self.file, v, start, count, &self.limits)?;
        let mut out: Vec<u8> = Vec::new();
        out.try_reserve_exact(bytes).map_err(|_| {
            FormatError::new(&self.file, format!("there is no memory for a slab of {bytes} bytes"))
                .in_variable(variable)
        })?;
        match content {
            Content::Bytes(all) => {
                out.resize(bytes, 0);
                let zero = vec![0; v.shape.len()];
                let from = slab::Region { corner: &zero, extent: &v.shape };
                let to = slab::Region { corner: start, extent: count };
                slab::copy_overlap(all, &from, &mut out, &to, v.dtype.size());
            }
            Content::Position { grid, coordinate } => {
                let c = self.grids.get(*grid).and_then(|g| g.coordinates.get(*coordinate));
                if let (Some(c), [from], [n]) = (c, start, count) {
                    let values = c.positions.range(*from as usize, *n as usize);
                    out.extend(values.into_iter().flat_map(f64::to_ne_bytes));
                }
            }
            Content::Fields(places) => {
                out.resize(bytes, 0);
                // The decoders of code streams are other people's.
                guard(&self.file, || self.fields_into(v, places, start, count, &mut out))?;
            }
        }
        Ok(out)
    }

    #[cfg(feature = "zarr")]
    fn stored(&self, variable: &str) -> Result<crate::StoredChunks, FormatError> {
        let found = self.header.variables.iter().zip(&self.content).find(|(v, _)| v.path == variable);
        let why = match found {
            _ if !self.in_place => Err("the file is packed with gzip: unpack it first".to_owned()),
            Some((v, Content::Fields(places))) => refer::chunks(v, places, &self.fields),
            // Made of the headers: there is nothing in the file to refer to.
            Some((v, _)) => {
                let zero = vec![0; v.shape.len()];
                Ok(refer::given(v, &self.read(variable, &zero, &v.shape)?))
            }
            None => Err("there is no such variable".to_owned()),
        };
        why.map_err(|why| {
            let why = format!("its messages cannot be referred to: {why}");
            FormatError::new(&self.file, why).in_variable(variable)
        })
    }
}
