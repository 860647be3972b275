//! Rules that the server and the browser both obey.
//!
//! Two programs read the same stores: the server answers queries from them and
//! the browser draws them. Whatever both must agree on (where a cell lies, what
//! a stored integer means, which instant a number names, which bytes hold a
//! chunk) is decided here once.
//!
//! **Invariant:** no I/O, no async, no clock, no `web_sys`; nothing here panics
//! on input or allocates a size that an input alone decides.

pub mod axis;
pub mod codec;
pub mod colormap;
pub mod crs;
pub mod cube;
pub mod dtype;
pub mod formula;
pub mod frame;
pub mod grid;
pub mod level;
pub mod node;
pub mod range;
pub mod raster;
pub mod shard;
pub mod tiles;
pub mod time;
pub mod units;
pub mod zarr;
