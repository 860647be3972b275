//! A hierarchy in a ZIP archive: PKWARE's APPNOTE 6.3, with its 64-bit extension. Members are
//! stored or deflated; no other method, no encryption and no archive in several parts is read.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use hdf5_reader::storage::DynStorage;

use super::objects::{Objects, Origin, folders_of};
use crate::{FormatError, Limits};

const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const MEMBER: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";
/// The end record with the longest comment.
const LONGEST_END: u64 = 22 + 65_535;
/// The central directory may have so many bytes: two million members.
const MAX_DIRECTORY: u64 = 128 << 20;

struct Member {
    /// Of the local header.
    offset: u64,
    stored: u64,
    size: u64,
    deflated: bool,
}

pub(crate) struct Zip {
    file: String,
    storage: DynStorage,
    path: Option<PathBuf>,
    members: BTreeMap<String, Member>,
    limit: u64,
    /// The deflated member that was read last.
    last: Mutex<Option<(String, Arc<Vec<u8>>)>>,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(N)?)?;
    Some(part.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
}

impl Zip {
    pub(crate) fn open(
        file: &str,
        storage: DynStorage,
        path: Option<PathBuf>,
        limits: &Limits,
    ) -> Result<Self, FormatError> {
        let error = |why: String, at: u64| FormatError::new(file, why).at_byte(at);
        let read = |from: u64, length: u64| -> Result<Vec<u8>, FormatError> {
            let bytes = storage.read_range(from, length as usize);
            Ok(bytes.map_err(|e| error(format!("the archive cannot be read: {e}"), from))?.to_vec())
        };
        let len = storage.len();
        let from = len.saturating_sub(LONGEST_END);
        let tail = read(from, len - from)?;
        let at = (0..tail.len().saturating_sub(21)).rev().find(|i| tail[*i..].starts_with(END));
        let cut = || error("the ZIP archive has no end record: it is cut short".into(), len);
        let at = at.ok_or_else(cut)?;
        let mut count = number::<2>(&tail, at + 10).ok_or_else(cut)?;
        let mut size = number::<4>(&tail, at + 12).ok_or_else(cut)?;
        let mut begin = number::<4>(&tail, at + 16).ok_or_else(cut)?;
        if let Some(locator) = at.checked_sub(20).and_then(|l| tail.get(l..l + 20))
            && locator.starts_with(LOCATOR_64)
            && let Some(place) =
                number::<8>(locator, 8).filter(|p| p.checked_add(56).is_some_and(|e| e <= len))
        {
            let record = read(place, 56)?;
            if !record.starts_with(END_64) {
                return Err(error("the ZIP archive's 64-bit end record is not there".into(), place));
            }
            count = number::<8>(&record, 32).ok_or_else(cut)?;
            size = number::<8>(&record, 40).ok_or_else(cut)?;
            begin = number::<8>(&record, 48).ok_or_else(cut)?;
        }
        if size > MAX_DIRECTORY {
            return Err(error(
                format!("the ZIP archive's directory has {size} bytes; at most {MAX_DIRECTORY} are read"),
                begin,
            ));
        }
        if begin.checked_add(size).is_none_or(|end| end > len) {
            return Err(error(format!("the ZIP archive's directory passes the end, {len}"), begin));
        }
        let directory = read(begin, size)?;
        let members = members(&directory, count).map_err(|(why, at)| error(why, begin + at as u64))?;
        Ok(Self {
            file: file.to_owned(),
            storage,
            path,
            members,
            limit: limits.chunk_bytes,
            last: Mutex::default(),
        })
    }

    /// The one folder that all members are in, where there is no metadata beside it.
    pub(crate) fn root(&self) -> String {
        let mut root = String::new();
        loop {
            let has = |name: &str| {
                let key = if root.is_empty() { name.to_owned() } else { format!("{root}/{name}") };
                self.members.contains_key(&key)
            };
            if ["zarr.json", ".zgroup", ".zarray", ".zmetadata"].iter().any(|n| has(n)) {
                return root;
            }
            match folders_of(&self.members, &root).as_slice() {
                [only] if root.is_empty() => root.clone_from(only),
                [only] => root = format!("{root}/{only}"),
                _ => return String::new(),
            }
        }
    }

    fn error(&self, key: &str, why: impl std::fmt::Display) -> FormatError {
        FormatError::new(&self.file, format!("{key}: {why}"))
    }

    /// Where a member's own bytes begin.
    fn begin(&self, key: &str, member: &Member) -> Result<u64, FormatError> {
        let fault = || self.error(key, "its local header is damaged").at_byte(member.offset);
        let header = self.storage.read_range(member.offset, 30).map_err(|_| fault())?;
        if !header.starts_with(LOCAL) {
            return Err(fault());
        }
        let (name, extra) = number::<2>(&header, 26).zip(number::<2>(&header, 28)).ok_or_else(fault)?;
        let begin = member.offset + 30 + name + extra;
        if begin.checked_add(member.stored).is_none_or(|end| end > self.storage.len()) {
            return Err(self.error(key, "it passes the end of the archive").at_byte(begin));
        }
        Ok(begin)
    }

    fn inflated(&self, key: &str, member: &Member) -> Result<Arc<Vec<u8>>, FormatError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = last.as_ref().filter(|(k, _)| k == key) {
            return Ok(Arc::clone(bytes));
        }
        let limit = self.limit;
        if member.size > limit || member.stored > limit {
            let why = format!("it inflates to {} bytes; at most {limit} are inflated", member.size);
            return Err(self.error(key, why));
        }
        let begin = self.begin(key, member)?;
        let stored = self.storage.read_range(begin, member.stored as usize);
        let stored = stored.map_err(|e| self.error(key, e).at_byte(begin))?;
        let mut out = Vec::new();
        let inflate = flate2::read::DeflateDecoder::new(stored.as_ref());
        inflate.take(member.size + 1).read_to_end(&mut out).map_err(|e| self.error(key, e).at_byte(begin))?;
        if out.len() as u64 != member.size {
            let why =
                format!("it inflates to another length than the {} bytes that it declares", member.size);
            return Err(self.error(key, why).at_byte(begin));
        }
        let out = Arc::new(out);
        *last = Some((key.to_owned(), Arc::clone(&out)));
        Ok(out)
    }
}

/// The central directory's members by name; an error with its place in the directory.
fn members(directory: &[u8], count: u64) -> Result<BTreeMap<String, Member>, (String, usize)> {
    let mut members = BTreeMap::new();
    let mut at = 0;
    while at < directory.len() {
        let header = directory.get(at..at + 46).filter(|h| h.starts_with(MEMBER));
        let header = header.ok_or_else(|| ("the ZIP archive's directory is damaged".to_owned(), at))?;
        let damaged = || ("the ZIP archive's directory is cut short".to_owned(), at);
        let field = |place| number::<2>(header, place).unwrap_or_default() as usize;
        let (names, extras, comments) = (field(28), field(30), field(32));
        let rest = directory.get(at + 46..at + 46 + names + extras).ok_or_else(damaged)?;
        let (name, mut extra) = rest.split_at(names);
        let name = String::from_utf8_lossy(name).into_owned();
        let flags = field(8);
        let method = field(10);
        let mut wide = [
            number::<4>(header, 24).unwrap_or_default(),
            number::<4>(header, 20).unwrap_or_default(),
            number::<4>(header, 42).unwrap_or_default(),
        ];
        // Extra field 1: those that do not fit, in this order.
        while let (Some(id), Some(length)) = (number::<2>(extra, 0), number::<2>(extra, 2)) {
            let Some(body) = extra.get(4..4 + length as usize) else { break };
            if id == 1 {
                let mut place = 0;
                for n in wide.iter_mut().filter(|n| **n == u64::from(u32::MAX)) {
                    *n = number::<8>(body, place).ok_or_else(damaged)?;
                    place += 8;
                }
            }
            extra = extra.get(4 + length as usize..).unwrap_or_default();
        }
        let [size, stored, offset] = wide;
        if !name.ends_with('/') {
            graticule_shared::zarr::check_path(&name).map_err(|_| {
                (format!("member {name:?} would leave the archive; nothing of it is read"), at)
            })?;
            if flags & 1 != 0 || !matches!(method, 0 | 8) {
                let why = if flags & 1 != 0 { "is encrypted".into() } else { format!("has method {method}") };
                return Err((format!("member {name:?} {why}; stored and deflated members are read"), at));
            }
            members.insert(name, Member { offset, stored, size, deflated: method == 8 });
        }
        at += 46 + names + extras + comments;
    }
    if members.len() as u64 > count {
        return Err((format!("{count} members are declared, {} are there", members.len()), 0));
    }
    Ok(members)
}

impl Objects for Zip {
    fn length(&self, key: &str) -> Result<Option<u64>, FormatError> {
        Ok(self.members.get(key).map(|m| if m.deflated { m.size } else { m.stored }))
    }

    fn range(&self, key: &str, offset: u64, length: u64) -> Result<Vec<u8>, FormatError> {
        let member = self.members.get(key).ok_or_else(|| self.error(key, "there is no such member"))?;
        let size = if member.deflated { member.size } else { member.stored };
        let end = offset.checked_add(length).filter(|end| *end <= size);
        let end =
            end.ok_or_else(|| self.error(key, format!("{length} bytes from {offset} on pass its end")))?;
        if member.deflated {
            let whole = self.inflated(key, member)?;
            return Ok(whole.get(offset as usize..end as usize).unwrap_or_default().to_vec());
        }
        let begin = self.begin(key, member)? + offset;
        let bytes = self.storage.read_range(begin, length as usize);
        Ok(bytes.map_err(|e| self.error(key, e).at_byte(begin))?.to_vec())
    }

    fn folders(&self, path: &str) -> Result<Vec<String>, FormatError> {
        Ok(folders_of(&self.members, path))
    }

    fn origin(&self, key: &str) -> Result<Option<Origin>, FormatError> {
        let Some(member) = self.members.get(key) else { return Ok(None) };
        Ok(Some(match &self.path {
            Some(path) if !member.deflated => {
                Origin::File { path: path.clone(), offset: self.begin(key, member)?, length: member.stored }
            }
            _ => Origin::Bytes(self.range(
                key,
                0,
                if member.deflated { member.size } else { member.stored },
            )?),
        }))
    }
}
