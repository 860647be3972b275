//! Stored bytes to decoded blocks: what to ask for, in which requests, and what
//! to keep.
//!
//! A wanted block is fetched once; one no longer wanted is aborted; one seen
//! before comes from the cache. Inner chunks of a shard that lie together come in
//! one request.

/// Addresses below this are of files dropped on the page (`client/js/drop.js`).
pub const DROPPED: &str = "https://dropped.invalid/";

#[cfg(target_arch = "wasm32")]
pub mod fetch;
#[cfg(target_arch = "wasm32")]
pub mod loader;
pub mod lru;
#[cfg(target_arch = "wasm32")]
pub mod pool;
pub mod source;
