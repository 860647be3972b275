//! Zarr hierarchies, v2 and v3: nodes, sharding, codecs, pyramids.
//!
//! The input is objects one after the other: length of the key (1 byte), length of the
//! content (2 bytes, little endian), key, content. They become a ZIP archive without
//! compression, so that what is mutated is the hierarchy and not the archive (`open` has those).

#![no_main]

use graticule_fuzz::{exercise, zip};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| exercise(&zip(bytes)));
