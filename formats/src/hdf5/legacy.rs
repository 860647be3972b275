//! Data layout messages of version 2, which HDF5 1.4 wrote.
//!
//! `hdf5-reader` 0.12.1 skips three reserved bytes in them where the HDF5 File
//! Format Specification (IV.A.2.i, "Version 1 and 2") has five, so that addresses
//! and sizes come out shifted. Version 1 differs in nothing else and is read as
//! specified: such messages are shown to the library as version 1. Object headers
//! of that age carry no checksum.

use hdf5_reader::messages::HdfMessage;
use hdf5_reader::{Dataset, Hdf5File, Storage};

use super::attributes;

const LAYOUT: u16 = 0x0008;
const CONTINUATION: u16 = 0x0010;
const MAX_BLOCKS: usize = 64;
const MAX_BLOCK_BYTES: u64 = 1 << 20;

/// True where the layout as parsed contradicts shape and type.
pub(super) fn is_suspect(hdf5: &Hdf5File, dataset: &Dataset) -> bool {
    use hdf5_reader::messages::layout::DataLayout;
    let Ok(header) = hdf5.get_or_parse_header(dataset.address()) else { return false };
    let Some((dtype, _)) = attributes::number(dataset.dtype()) else { return false };
    let element = dtype.size() as u64;
    header.messages.iter().any(|m| match m {
        HdfMessage::DataLayout(l) => match &l.layout {
            DataLayout::Contiguous { size, .. } => {
                let expected = dataset.num_elements().ok().and_then(|n| n.checked_mul(element));
                expected.is_some_and(|n| n != *size)
            }
            DataLayout::Chunked { element_size, .. } => {
                *element_size != 0 && u64::from(*element_size) != element
            }
            DataLayout::Compact { .. } => false,
        },
        _ => false,
    })
}

/// Where in the file the version bytes of such messages are, for the object
/// header at `address`.
pub(super) fn version_bytes(hdf5: &Hdf5File, address: u64) -> Vec<u64> {
    let (storage, base) = (hdf5.storage(), hdf5.superblock().base_address);
    let offset_size = u64::from(hdf5.superblock().offset_size);
    let length_size = u64::from(hdf5.superblock().length_size);
    let mut found = Vec::new();
    // Prefix of a version 1 header: version, reserved, count, references, size, padding.
    let Some(size) = bytes(storage, address, 16).filter(|b| b.first() == Some(&1)).map(|b| number(&b, 8, 4))
    else {
        return found;
    };
    let mut blocks = vec![(address.saturating_add(16), size)];
    let mut next = 0;
    while let Some((at, len)) = blocks.get(next).copied() {
        next += 1;
        let Some(block) = bytes(storage, at, len.min(MAX_BLOCK_BYTES)) else { break };
        let mut i = 0;
        // Type, size, flags, three reserved, then the message.
        while i + 8 <= block.len() as u64 {
            let (kind, size) = (number(&block, i, 2) as u16, number(&block, i + 2, 2));
            let body = i + 8;
            if kind == LAYOUT && number(&block, body, 1) == 2 {
                found.push(base.saturating_add(at).saturating_add(body));
            } else if kind == CONTINUATION && blocks.len() < MAX_BLOCKS {
                blocks.push((
                    number(&block, body, offset_size),
                    number(&block, body + offset_size, length_size),
                ));
            }
            i = body + size;
        }
    }
    found
}

fn bytes(storage: &dyn Storage, at: u64, len: u64) -> Option<Vec<u8>> {
    storage.read_range(at, usize::try_from(len).ok()?).ok().map(|b| b.to_vec())
}

/// Little-endian; 0 past the end.
fn number(block: &[u8], at: u64, len: u64) -> u64 {
    let taken = usize::try_from(at).ok().and_then(|at| block.get(at..at.checked_add(len as usize)?));
    taken.unwrap_or_default().iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}
