//! NetCDF-4 and plain HDF5, on top of `hdf5-reader`.
//!
//! The library reads HDF5's structures; this module gives them NetCDF's names
//! (`tree`), and makes every failure say where it was.

mod attributes;
mod dimensions;
mod filters;
mod held;
mod legacy;
#[cfg(feature = "zarr")]
mod refer;
mod storage;
mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;

use graticule_shared::dtype::DataType;
use hdf5_reader::error::Error;
use hdf5_reader::storage::DynStorage;
use hdf5_reader::{Dataset, H5Type, Hdf5File, OpenOptions, SliceInfo, SliceInfoElem};

use crate::guard::guard;
use crate::{FormatError, Header, Limits, Source, Variable, slab};

pub(crate) struct Hdf5 {
    file: String,
    header: Header,
    /// In the order of `header.variables`.
    datasets: Vec<Dataset>,
    #[cfg(feature = "zarr")]
    library: Hdf5File,
    limits: Limits,
    held: held::Held,
}

impl Hdf5 {
    pub(crate) fn open(file: &str, storage: DynStorage, limits: Limits) -> Result<Self, FormatError> {
        guard(file, || {
            storage::forget();
            let hdf5 = library_file(file, &storage, BTreeMap::new(), &limits)?;
            // Counted from the start of the file, user block included.
            let (end, len) = (hdf5.superblock().eof_address, storage.len());
            // As libhdf5: a shorter file has lost data, wherever it may be.
            if end > len {
                return Err(FormatError::new(
                    file,
                    format!("the HDF5 superblock declares {end} bytes, but the file ends at byte {len}: it is cut short"),
                )
                .at_byte(len));
            }
            #[cfg_attr(not(feature = "zarr"), allow(unused_variables))]
            let (header, datasets, library) = match tree::read(file, &hdf5, &limits, true)? {
                tree::Outcome::Read(header, datasets) => (header, datasets, hdf5),
                tree::Outcome::Suspect(addresses) => {
                    let places = addresses.iter().flat_map(|a| legacy::version_bytes(&hdf5, *a));
                    let replaced = places.map(|place| (place, 1)).collect();
                    let hdf5 = library_file(file, &storage, replaced, &limits)?;
                    let (header, datasets) = match tree::read(file, &hdf5, &limits, false)? {
                        tree::Outcome::Read(header, datasets) => (header, datasets),
                        tree::Outcome::Suspect(_) => Default::default(),
                    };
                    (header, datasets, hdf5)
                }
            };
            Ok(Self {
                file: file.to_owned(),
                header,
                datasets,
                #[cfg(feature = "zarr")]
                library,
                limits,
                held: held::Held::default(),
            })
        })
    }
}

fn library_file(
    file: &str,
    storage: &DynStorage,
    replaced: BTreeMap<u64, u8>,
    limits: &Limits,
) -> Result<Hdf5File, FormatError> {
    let cap = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let options = OpenOptions {
        chunk_cache_bytes: limits.cache_bytes,
        filter_registry: Some(filters::registry(limits.chunk_bytes)),
        max_chunk_bytes: cap(limits.chunk_bytes),
        // A held chunk is read whole, whatever the slab.
        max_read_bytes: cap(limits.read_bytes.max(limits.chunk_bytes)),
        max_object_header_bytes: cap(limits.attribute_bytes),
        ..OpenOptions::default()
    };
    let seen = storage::Seen { inner: storage.clone(), replaced };
    Hdf5File::from_storage_with_options(Arc::new(seen), options).map_err(|e| explain(file, &e))
}

impl Source for Hdf5 {
    fn header(&self) -> &Header {
        &self.header
    }

    fn read(&self, variable: &str, start: &[u64], count: &[u64]) -> Result<Vec<u8>, FormatError> {
        let found = self.header.variables.iter().zip(&self.datasets).find(|(v, _)| v.path == variable);
        let Some((var, dataset)) = found else {
            let reason = match self.header.skipped.iter().find(|(name, _)| name == variable) {
                Some((_, why)) => why.clone(),
                None => "there is no such variable".to_owned(),
            };
            return Err(FormatError::new(&self.file, reason).in_variable(variable));
        };
        if slab::check(&self.file, var, start, count, &self.limits)? == 0 {
            return Ok(Vec::new());
        }
        if attributes::number(dataset.dtype()).is_none() {
            // Only its attributes mean anything.
            return Ok(vec![0; var.dtype.size()]);
        }
        let large = var.chunks.as_ref().filter(|chunks| {
            let bytes = chunks.iter().fold(var.dtype.size() as u64, |n, c| n.saturating_mul(*c));
            bytes > self.limits.cache_bytes as u64 && chunks.len() == var.shape.len()
        });
        match large {
            Some(chunks) => self.held.read(var, chunks, start, count, |s, c| self.decode(var, dataset, s, c)),
            None => self.decode(var, dataset, start, count),
        }
    }

    #[cfg(feature = "zarr")]
    fn stored(&self, variable: &str) -> Result<crate::StoredChunks, FormatError> {
        let error = |why: String| FormatError::new(&self.file, why).in_variable(variable);
        let found = self.header.variables.iter().zip(&self.datasets).find(|(v, _)| v.path == variable);
        let (var, dataset) = found.ok_or_else(|| error("there is no such variable".to_owned()))?;
        guard(&self.file, || {
            refer::chunks(&self.library, dataset, var)
                .map_err(|why| error(format!("its chunks cannot be referred to: {why}")))
        })
        .map_err(|e| e.in_variable(variable))
    }
}

impl Hdf5 {
    fn decode(
        &self,
        var: &Variable,
        dataset: &Dataset,
        start: &[u64],
        count: &[u64],
    ) -> Result<Vec<u8>, FormatError> {
        let selection = SliceInfo {
            selections: start
                .iter()
                .zip(count)
                .map(|(s, c)| SliceInfoElem::Slice { start: *s, end: s + c, step: 1 })
                .collect(),
        };
        guard(&self.file, || {
            storage::forget();
            macro_rules! read {
                ($t:ty) => {
                    slice::<$t, { size_of::<$t>() }>(dataset, &selection, |v| v.to_ne_bytes())
                };
            }
            match var.dtype {
                DataType::Int8 => read!(i8),
                DataType::UInt8 => read!(u8),
                DataType::Int16 => read!(i16),
                DataType::UInt16 => read!(u16),
                DataType::Int32 => read!(i32),
                DataType::UInt32 => read!(u32),
                DataType::Int64 => read!(i64),
                DataType::UInt64 => read!(u64),
                DataType::Float32 => read!(f32),
                DataType::Float64 => read!(f64),
            }
            .map_err(|e| explain(&self.file, &e))
        })
        .map_err(|e| e.in_variable(&var.path))
    }
}

fn slice<T: H5Type, const N: usize>(
    dataset: &Dataset,
    selection: &SliceInfo,
    bytes: impl Fn(T) -> [u8; N],
) -> Result<Vec<u8>, Error> {
    let (values, _) = dataset.read_slice::<T>(selection)?.into_raw_vec_and_offset();
    Ok(values.into_iter().map(bytes).collect::<Vec<[u8; N]>>().into_flattened())
}

/// A library error with the byte where it arose: its own, else the last one read.
fn explain(file: &str, error: &Error) -> FormatError {
    let mut inner = error;
    while let Error::Context { source, .. } = inner {
        inner = source;
    }
    let offset = if matches!(inner, Error::ResourceLimit(_)) { None } else { storage::last() };
    let mut explained = FormatError::new(file, error.to_string());
    explained.offset = offset;
    explained
}
