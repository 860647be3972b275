//! The file as the library sees it.
//!
//! Remembers what was read last, so that an error names its byte (the library's
//! own errors seldom do), and replaces the bytes that [`super::legacy`] names.

use std::cell::Cell;
use std::collections::BTreeMap;

use hdf5_reader::error::Result;
use hdf5_reader::storage::DynStorage;
use hdf5_reader::{Storage, StorageBuffer};

thread_local! {
    /// A read runs on one thread from its first to its last byte.
    static LAST: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

pub(super) struct Seen {
    pub(super) inner: DynStorage,
    /// Offsets, and the byte to show there.
    pub(super) replaced: BTreeMap<u64, u8>,
}

/// Forgets what was read before.
pub(super) fn forget() {
    LAST.set(None);
}

/// Where the last range began that this thread read.
pub(super) fn last() -> Option<u64> {
    LAST.get().map(|(offset, _)| offset)
}

/// Offset and length of the last range that this thread read.
#[cfg(feature = "zarr")]
pub(super) fn last_range() -> Option<(u64, u64)> {
    LAST.get()
}

impl Storage for Seen {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_range(&self, offset: u64, len: usize) -> Result<StorageBuffer> {
        LAST.set(Some((offset, len as u64)));
        let read = self.inner.read_range(offset, len)?;
        let mut replaced = self.replaced.range(offset..offset.saturating_add(len as u64)).peekable();
        if replaced.peek().is_none() {
            return Ok(read);
        }
        let mut bytes = read.to_vec();
        for (at, byte) in replaced {
            if let Some(b) = usize::try_from(at - offset).ok().and_then(|i| bytes.get_mut(i)) {
                *b = *byte;
            }
        }
        Ok(StorageBuffer::from_vec(bytes))
    }
}
