//! Source formats to cubes.
//!
//! Agencies publish the same thing, named arrays over named dimensions, in many
//! containers. Everything behind [`Source`] is the container's business; nothing
//! in front of it knows which container it was. Reading is lazy and by hyperslab,
//! so that a file larger than memory streams.
//!
//! **Invariants:** no sockets; no allocation whose size an input alone decides
//! (see [`Limits`]); no panic on any input; compiles for `wasm32-unknown-unknown`.

mod bzip2;
pub mod checks;
pub mod error;
#[cfg(feature = "zarr")]
mod file_codec;
mod geotiff;
mod grib;
mod guard;
mod hdf5;
mod jpeg;
mod jpeg2000;
#[cfg(feature = "zarr")]
mod kerchunk;
pub mod model;
mod netcdf3;
mod slab;
mod sniff;
#[cfg(feature = "zarr")]
mod stored;
pub mod table;
#[cfg(feature = "zarr")]
mod zarr;

use std::path::Path;
use std::sync::Arc;

use hdf5_reader::storage::DynStorage;
use hdf5_reader::{BytesStorage, FileStorage};

pub use error::FormatError;
pub use grib::units as grib_units;
pub use model::{AttrValue, Dimension, Header, Limits, Source, Variable};

#[cfg(feature = "zarr")]
pub use file_codec::FileCodec;
use sniff::Container;
#[cfg(feature = "zarr")]
pub use stored::{ChunkSpan, StoredChunks};
#[cfg(feature = "zarr")]
pub use zarr::{fill_bytes, is_hierarchy};

/// Opens a file by what it contains, whatever it is called. Its bytes are read
/// in ranges when they are needed: the file may be far larger than memory.
///
/// # Errors
/// The file cannot be read, is no format that this crate knows (the reason says
/// what it looks like), is damaged, or declares more than `limits` allow.
pub fn open(path: &Path, limits: Limits) -> Result<Box<dyn Source>, FormatError> {
    let name = path.display().to_string();
    let failed = |e: String| FormatError::new(&name, format!("the file cannot be opened: {e}"));
    let metadata = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?;
    #[cfg(feature = "zarr")]
    if is_hierarchy(path) {
        return Ok(Box::new(zarr::Zarr::open(&name, path, limits)?));
    }
    // Opening a pipe would wait for its writer.
    if !metadata.is_file() {
        let what = if metadata.is_dir() { "a folder without Zarr metadata" } else { "a pipe or device" };
        return Err(FormatError::new(&name, format!("this is {what}, not a file")));
    }
    let storage = FileStorage::open(path).map_err(|e| failed(e.to_string()))?;
    open_storage(&name, Arc::new(storage), Some(path), limits)
}

/// The same for bytes already in memory, such as a file dropped on a page.
///
/// # Errors
/// As [`open`].
pub fn open_bytes(name: &str, bytes: Vec<u8>, limits: Limits) -> Result<Box<dyn Source>, FormatError> {
    open_storage(name, Arc::new(BytesStorage::new(bytes)), None, limits)
}

/// `path` where the bytes are those of a file.
#[cfg_attr(not(feature = "zarr"), allow(unused_variables))]
fn open_storage(
    name: &str,
    storage: DynStorage,
    path: Option<&Path>,
    limits: Limits,
) -> Result<Box<dyn Source>, FormatError> {
    match sniff::container(name, storage.as_ref())? {
        Container::NetCdf3(version) => Ok(Box::new(netcdf3::NetCdf3::open(name, storage, version, limits)?)),
        Container::Hdf5 => Ok(Box::new(hdf5::Hdf5::open(name, storage, limits)?)),
        Container::Grib => Ok(Box::new(grib::Grib::open(name, storage, limits)?)),
        #[cfg(feature = "zarr")]
        Container::Zip => Ok(Box::new(zarr::Zarr::open_zip(name, storage, path, limits)?)),
        #[cfg(feature = "zarr")]
        Container::Json => match path {
            Some(path) => Ok(Box::new(kerchunk::open(name, path, limits)?)),
            None => Err(FormatError::new(name, "this is JSON text; references are read from files on disk")),
        },
        Container::Tiff => Ok(Box::new(geotiff::GeoTiff::open(name, storage, limits)?)),
        Container::Gzip => match grib::unwrap_gzip(name, storage.as_ref(), &limits)? {
            Some(bytes) => Ok(Box::new(grib::Grib::open_unpacked(name, bytes, limits)?)),
            None => Err(FormatError::new(
                name,
                "this is gzip-compressed, and there is no GRIB message at the beginning of what is inside; unpack it first",
            )
            .at_byte(0)),
        },
    }
}
