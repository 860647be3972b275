//! Source formats to cubes.
//!
//! Agencies publish the same thing, named arrays over named dimensions, in many
//! containers. Everything behind [`Source`] is the container's business; nothing
//! in front of it knows which container it was. Reading is lazy and by hyperslab,
//! so that a file larger than memory streams.
//!
//! **Invariants:** no sockets; no allocation whose size an input alone decides
//! (see [`Limits`]); no panic on any input; compiles for `wasm32-unknown-unknown`.

pub mod error;
pub mod model;

pub use error::FormatError;
pub use model::{AttrValue, Dimension, Header, Limits, Source, Variable};
