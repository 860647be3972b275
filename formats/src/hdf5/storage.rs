//! Remembers what was read last, so that an error names its byte: the library's
//! own errors seldom do.

use std::cell::Cell;

use hdf5_reader::error::Result;
use hdf5_reader::storage::DynStorage;
use hdf5_reader::{Storage, StorageBuffer};

thread_local! {
    /// A read runs on one thread from its first to its last byte.
    static LAST: Cell<Option<u64>> = const { Cell::new(None) };
}

pub(super) struct Traced(pub(super) DynStorage);

/// Forgets what was read before.
pub(super) fn forget() {
    LAST.set(None);
}

/// Where the last range began that this thread read.
pub(super) fn last() -> Option<u64> {
    LAST.get()
}

impl Storage for Traced {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_range(&self, offset: u64, len: usize) -> Result<StorageBuffer> {
        LAST.set(Some(offset));
        self.0.read_range(offset, len)
    }
}
