//! A file dropped on the page.
//!
//! The viewer opens Zarr hierarchies and nothing else. So a file is given the
//! shape of one: [`Store`] answers the same keys that a server would, its
//! metadata made from the file's header, its chunks cut from the file's arrays
//! when they are asked for. It runs in a worker of its own, which is loaded when
//! the first file is dropped.

mod store;
#[cfg(target_arch = "wasm32")]
mod worker;

pub use store::{FileError, Store};
