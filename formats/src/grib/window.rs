//! Headers out of a storage without a read for each of them.

use hdf5_reader::Storage;
use hdf5_reader::storage::StorageBuffer;

use super::octets::{Fault, Result};

/// Bytes read at a time: the headers of most messages.
const BLOCK: u64 = 2048;
/// A section that is kept whole may be this long: row lengths of the finest reduced
/// grids take a tenth of it.
const LONGEST: u64 = 1 << 20;

pub(crate) struct Window<'a> {
    storage: &'a dyn Storage,
    start: u64,
    block: Option<StorageBuffer>,
}

impl<'a> Window<'a> {
    pub(crate) fn new(storage: &'a dyn Storage) -> Self {
        Self { storage, start: 0, block: None }
    }

    pub(crate) fn len(&self) -> u64 {
        self.storage.len()
    }

    /// `len` bytes at `offset`.
    pub(crate) fn get(&mut self, offset: u64, len: u64) -> Result<&[u8]> {
        let end = offset.saturating_add(len);
        if end > self.len() {
            return Err(Fault::at(
                format!("the file ends at byte {}; {len} bytes are needed here", self.len()),
                offset,
            ));
        }
        if len > LONGEST {
            return Err(Fault::at(format!("a section of {len} bytes; at most {LONGEST} are read"), offset));
        }
        let held = self.block.as_ref().map_or(0, |b| b.len() as u64);
        if offset < self.start || end > self.start + held {
            let n = len.max(BLOCK).min(self.len() - offset);
            let read = self.storage.read_range(offset, n as usize);
            self.block = Some(read.map_err(|e| Fault::at(format!("{n} bytes cannot be read: {e}"), offset))?);
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        self.block
            .as_ref()
            .and_then(|b| b.get(from..from + len as usize))
            .ok_or_else(|| Fault::at("the storage returned less than was asked for", offset))
    }
}
