//! Names of data objects, which vouch for what is in them.
//!
//! Icechunk takes any twelve bytes for a name. Ours are six of the content's SHA-256, four
//! random ones, so that objects are never shared and one may be deleted without a thought for
//! others, and two that say that the name is of this kind. Nothing that reads a store needs
//! to know; `graticule check --deep` compares.

use icechunk::format::ChunkId;
use sha2::{Digest, Sha256};

use super::StoreError;

const SUM: usize = 6;
const KIND: [u8; 2] = [0x47, 0x53];

/// A new name for an object with this content.
///
/// # Errors
/// The system has no randomness.
pub fn of_content(bytes: &[u8]) -> Result<ChunkId, StoreError> {
    let mut name = [0; 12];
    name[..SUM].copy_from_slice(&Sha256::digest(bytes)[..SUM]);
    getrandom::fill(&mut name[SUM..10]).map_err(|e| StoreError::Repository(format!("no randomness: {e}")))?;
    name[10..].copy_from_slice(&KIND);
    Ok(ChunkId::new(name))
}

/// Whether an object's content is what its name says; `None` for names of another kind.
pub fn vouches(name: &str, bytes: &[u8]) -> Option<bool> {
    let id = ChunkId::try_from(name).ok()?;
    (id.0[10..] == KIND).then(|| id.0[..SUM] == Sha256::digest(bytes)[..SUM])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_vouches_for_its_content_and_no_two_are_the_same() {
        let (a, b) = (of_content(b"abc").unwrap(), of_content(b"abc").unwrap());
        assert_ne!(a, b);
        assert_eq!(vouches(&a.to_string(), b"abc"), Some(true));
        assert_eq!(vouches(&a.to_string(), b"abd"), Some(false));
        assert_eq!(vouches(&ChunkId::new([7; 12]).to_string(), b"abc"), None);
    }
}
