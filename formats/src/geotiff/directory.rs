//! Image file directories (TIFF 6.0, section 2; BigTIFF): which tags there are and
//! where their values lie. Values are read when they are asked for, so that a list of
//! a million tiles costs nothing until a tile of it is wanted.

use std::collections::BTreeMap;

use hdf5_reader::storage::DynStorage;

use crate::{FormatError, Limits, slab};

type Result<T> = std::result::Result<T, FormatError>;

/// A directory has some twenty tags; no file has reason for more than this.
const MOST_TAGS: u64 = 4096;
/// Pages that are looked at: overviews, masks and what else follows the first image.
const MOST_PAGES: usize = 256;

/// The bytes of a TIFF file and how its numbers are written.
pub(crate) struct Bytes {
    pub(crate) file: String,
    pub(crate) storage: DynStorage,
    pub(crate) little: bool,
    pub(crate) big: bool,
}

/// One tag: `count` values of a type, from byte `at` on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    kind: u16,
    pub(crate) count: u64,
    pub(crate) at: u64,
}

impl Entry {
    /// Bytes of one value (TIFF 6.0, section 2 "Types"; 13 and 16 to 18 later).
    fn size(self) -> u64 {
        match self.kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16 | 17 | 18 => 8,
            _ => 0,
        }
    }
}

pub(crate) type Directory = BTreeMap<u16, Entry>;

/// True for the beginning of a TIFF or BigTIFF file.
pub(crate) fn begins(head: &[u8]) -> bool {
    [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|magic| head.starts_with(*magic))
}

impl Bytes {
    pub(crate) fn error(&self, reason: impl Into<String>, at: u64) -> FormatError {
        FormatError::new(&self.file, reason).at_byte(at)
    }

    pub(crate) fn get(&self, at: u64, len: u64) -> Result<Vec<u8>> {
        let end = at.checked_add(len);
        if end.is_none_or(|end| end > self.storage.len()) {
            return Err(self.error(
                format!("the file ends at byte {}; {len} bytes are needed here", self.storage.len()),
                at,
            ));
        }
        let bytes = self.storage.read_range(at, len as usize);
        Ok(bytes.map_err(|e| self.error(format!("{len} bytes cannot be read: {e}"), at))?.to_vec())
    }

    fn uint(&self, bytes: &[u8]) -> u64 {
        let join = |n: u64, b: &u8| (n << 8) | u64::from(*b);
        if self.little { bytes.iter().rev().fold(0, join) } else { bytes.iter().fold(0, join) }
    }

    /// All directories of the chain, and a sentence where it is odd. Only the first
    /// must be in order.
    pub(crate) fn directories(&self) -> Result<(Vec<(u64, Directory)>, Option<String>)> {
        let (at, width) = if self.big { (8, 8) } else { (4, 4) };
        if self.big {
            let sizes = self.get(4, 4)?;
            if self.uint(&sizes[..2]) != 8 || self.uint(&sizes[2..]) != 0 {
                return Err(self.error("BigTIFF offsets are not 8 bytes wide, as they must be", 4));
            }
        }
        let mut next = self.uint(&self.get(at, width)?);
        let mut pages: Vec<(u64, Directory)> = Vec::new();
        while next != 0 {
            if pages.iter().any(|(seen, _)| *seen == next) {
                return Ok((pages, Some(format!("the chain of directories returns to byte {next}"))));
            }
            if pages.len() == MOST_PAGES {
                return Ok((pages, Some(format!("there are more than {MOST_PAGES} images"))));
            }
            match self.directory(next) {
                Ok((directory, following)) => {
                    pages.push((next, directory));
                    next = following;
                }
                Err(e) if pages.is_empty() => return Err(e),
                Err(e) => {
                    let found = format!("image {}: {e}", pages.len() + 1);
                    return Ok((pages, Some(found)));
                }
            }
        }
        if pages.is_empty() {
            return Err(self.error("there is no image directory; expected its offset here", at));
        }
        Ok((pages, None))
    }

    /// The directory at `at`, and the offset of the one after it.
    fn directory(&self, at: u64) -> Result<(Directory, u64)> {
        let (head, each, word) = if self.big { (8, 20, 8) } else { (2, 12, 4) };
        if at >= self.storage.len() {
            let len = self.storage.len();
            return Err(self.error(
                format!("an image directory should be at byte {at}, but the file ends at byte {len}"),
                at,
            ));
        }
        let n = self.uint(&self.get(at, head)?);
        if n == 0 || n > MOST_TAGS {
            return Err(self.error(format!("an image directory of {n} tags; expected 1 to {MOST_TAGS}"), at));
        }
        let first = at + head;
        let bytes = self.get(first, n * each + word)?;
        let mut directory = Directory::new();
        for i in 0..n {
            let from = (i * each) as usize;
            let tag = &bytes[from..from + each as usize];
            let value = tag.len() - word as usize;
            let kind = self.uint(&tag[2..4]) as u16;
            let count = self.uint(&tag[4..value]);
            let mut entry = Entry { kind, count, at: first + i * each + value as u64 };
            if count.checked_mul(entry.size()).is_none_or(|bytes| bytes > word) {
                entry.at = self.uint(&tag[value..]);
            }
            directory.entry(self.uint(&tag[..2]) as u16).or_insert(entry);
        }
        Ok((directory, self.uint(&bytes[(n * each) as usize..])))
    }

    /// `n` values from the `first` on, as their bytes.
    fn raw(&self, tag: u16, e: Entry, first: u64, n: u64) -> Result<Vec<u8>> {
        let size = e.size();
        if size == 0 {
            return Err(
                self.error(format!("tag {tag} is of type {}, which TIFF does not know", e.kind), e.at)
            );
        }
        if first.checked_add(n).is_none_or(|end| end > e.count) {
            return Err(
                self.error(format!("tag {tag} has {} values; {} are needed", e.count, first + n), e.at)
            );
        }
        let at = first.checked_mul(size).and_then(|o| o.checked_add(e.at));
        self.get(at.unwrap_or(u64::MAX), n.saturating_mul(size))
    }

    /// Unsigned numbers of a tag, a slice of them.
    pub(crate) fn uints(&self, tag: u16, e: Entry, first: u64, n: u64) -> Result<Vec<u64>> {
        if !matches!(e.kind, 1 | 3 | 4 | 13 | 16 | 18) {
            return Err(
                self.error(format!("tag {tag} is of type {}; expected an unsigned integer", e.kind), e.at)
            );
        }
        let raw = self.raw(tag, e, first, n)?;
        Ok(raw.chunks_exact(e.size() as usize).map(|b| self.uint(b)).collect())
    }

    /// All values of a tag, if there is such a tag, checked against what attributes may take.
    fn whole(&self, directory: &Directory, tag: u16, limits: &Limits) -> Result<Option<(Entry, Vec<u8>)>> {
        let Some(e) = directory.get(&tag).copied() else { return Ok(None) };
        let bytes = e.count.saturating_mul(e.size());
        if bytes > limits.attribute_bytes {
            return Err(self.error(
                format!("tag {tag} has {bytes} bytes; at most {} are read", limits.attribute_bytes),
                e.at,
            ));
        }
        Ok(Some((e, self.raw(tag, e, 0, e.count)?)))
    }

    /// All unsigned numbers of a tag; none where it is missing.
    pub(crate) fn all_uints(&self, directory: &Directory, tag: u16, limits: &Limits) -> Result<Vec<u64>> {
        let Some((e, _)) = self.whole(directory, tag, limits)? else { return Ok(Vec::new()) };
        self.uints(tag, e, 0, e.count)
    }

    /// The first number of a tag, or what TIFF says where it is missing.
    pub(crate) fn one(&self, directory: &Directory, tag: u16, default: u64) -> Result<u64> {
        match directory.get(&tag) {
            Some(e) => Ok(self.uints(tag, *e, 0, 1)?[0]),
            None => Ok(default),
        }
    }

    /// All float64 values of a tag; none where it is missing.
    pub(crate) fn doubles(&self, directory: &Directory, tag: u16, limits: &Limits) -> Result<Vec<f64>> {
        let Some((e, raw)) = self.whole(directory, tag, limits)? else { return Ok(Vec::new()) };
        if e.kind != 12 {
            return Err(self.error(format!("tag {tag} is of type {}; expected float64 (12)", e.kind), e.at));
        }
        Ok(raw.chunks_exact(8).map(|b| f64::from_bits(self.uint(b))).collect())
    }

    /// The bytes of a tag; none where it is missing.
    pub(crate) fn bytes(&self, directory: &Directory, tag: u16, limits: &Limits) -> Result<Vec<u8>> {
        Ok(self.whole(directory, tag, limits)?.map(|(_, raw)| raw).unwrap_or_default())
    }

    /// Text of a tag; empty where it is missing.
    pub(crate) fn text(&self, directory: &Directory, tag: u16, limits: &Limits) -> Result<String> {
        Ok(slab::text(&self.bytes(directory, tag, limits)?))
    }
}
