//! Cubes whose full resolution stays in the files that it came from.
//!
//! Their level 0 is virtual chunks of the Icechunk repository: a file, an offset, a length, and when
//! the file was last modified. Nothing is copied; so a file that vanishes or changes breaks the cube,
//! and that is said wherever the cube is met. Coordinates and coarser levels are stored as always.

mod contents;
mod export;
mod intact;
mod lazy;
mod made;
pub mod origin;
mod transcode;

pub use export::{Export, kerchunk};
pub use intact::{Status, broken, status, watch};
pub use lazy::{RECORD_SIZE, parquet};
pub use made::{Made, Piece, make};
pub use transcode::{Part, Transcoder};

/// Attribute of the root of such a cube.
pub const MARK: &str = "graticule:references";

/// True where a version's level 0 is in files elsewhere.
pub fn is_marked(hierarchy: &graticule_shared::zarr::Hierarchy) -> bool {
    hierarchy.attributes.get(MARK).is_some_and(|v| *v == true)
}
