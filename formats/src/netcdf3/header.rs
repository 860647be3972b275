//! The header's grammar, read front to back, every count checked before use.

use graticule_shared::dtype::DataType;
use hdf5_reader::Storage;

use super::{Extent, Version};
use crate::{AttrValue, Dimension, FormatError, Header, Limits, Variable, slab};

const NC_DIMENSION: u32 = 0x0A;
const NC_VARIABLE: u32 = 0x0B;
const NC_ATTRIBUTE: u32 = 0x0C;
/// Names beyond this are damage (the library's own NC_MAX_NAME is 256).
const MAX_NAME: u64 = 4096;
const MAX_RANK: u64 = 1024;
/// Headers are read in pieces of this size.
const BLOCK: u64 = 64 << 10;

/// A variable as the header declares it, before record sizes are known.
struct Declared {
    name: String,
    dimids: Vec<usize>,
    attributes: Vec<(String, AttrValue)>,
    kind: Kind,
    begin: u64,
    /// Where `begin` itself is stored.
    begin_at: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Char,
    Number(DataType),
}

impl Kind {
    const fn size(self) -> u64 {
        match self {
            Kind::Char => 1,
            Kind::Number(t) => t.size() as u64,
        }
    }
}

pub(super) fn parse(
    file: &str,
    storage: &dyn Storage,
    version: Version,
    limits: &Limits,
) -> Result<(Header, Vec<Extent>), FormatError> {
    let mut cursor =
        Cursor { file, storage, wide: version == Version::Cdf5, at: 4, block: Vec::new(), block_at: 0 };
    let numrecs_at = cursor.at;
    let numrecs = match (cursor.count()?, cursor.wide) {
        (n, false) if n == u64::from(u32::MAX) => None,
        (u64::MAX, true) => None,
        (n, _) => Some(n),
    };
    let dims = dimensions(&mut cursor, limits)?;
    let mut attribute_bytes = 0;
    let attributes = attributes(&mut cursor, limits, &mut attribute_bytes)?;
    let declared = variables(&mut cursor, version, &dims, limits, &mut attribute_bytes)?;
    layout(&cursor, version, numrecs, numrecs_at, dims, attributes, declared, limits)
}

/// Names and lengths; 0 is the record dimension.
fn dimensions(cursor: &mut Cursor<'_>, limits: &Limits) -> Result<Vec<(String, u64)>, FormatError> {
    let n = cursor.list(NC_DIMENSION, "dimension", limits.dimensions as u64)?;
    let mut dims: Vec<(String, u64)> = Vec::new();
    for _ in 0..n {
        let name_at = cursor.at;
        let name = cursor.name("dimension")?;
        let at = cursor.at;
        let len = cursor.count()?;
        if len == 0 && dims.iter().any(|(_, l)| *l == 0) {
            return Err(cursor.error(at, format!("dimension {name:?} is a second record dimension")));
        }
        if dims.iter().any(|(other, _)| *other == name) {
            return Err(cursor.error(name_at, format!("dimension {name:?} is declared twice")));
        }
        dims.push((name, len));
    }
    Ok(dims)
}

fn attributes(
    cursor: &mut Cursor<'_>,
    limits: &Limits,
    spent: &mut u64,
) -> Result<Vec<(String, AttrValue)>, FormatError> {
    let n = cursor.list(NC_ATTRIBUTE, "attribute", limits.attribute_bytes)?;
    let mut list = Vec::new();
    for _ in 0..n {
        let name = cursor.name("attribute")?;
        let kind = cursor.kind()?;
        let at = cursor.at;
        let values = cursor.count()?;
        let bytes = values.saturating_mul(kind.size());
        *spent = spent.saturating_add(bytes).saturating_add(name.len() as u64 + 16);
        if *spent > limits.attribute_bytes {
            return Err(cursor.error(
                at,
                format!(
                    "attribute {name:?} has {values} values; all attributes of a file may have {} bytes",
                    limits.attribute_bytes
                ),
            ));
        }
        let mut raw = cursor.bytes(bytes)?;
        cursor.pad(bytes)?;
        let value = match kind {
            Kind::Char => AttrValue::Text(slab::text(&raw)),
            Kind::Number(dtype) => {
                if cfg!(target_endian = "little") {
                    slab::swap_elements(&mut raw, dtype.size());
                }
                AttrValue::from_native(dtype, &raw)
            }
        };
        list.push((name, value));
    }
    Ok(list)
}

fn variables(
    cursor: &mut Cursor<'_>,
    version: Version,
    dims: &[(String, u64)],
    limits: &Limits,
    attribute_bytes: &mut u64,
) -> Result<Vec<Declared>, FormatError> {
    let n = cursor.list(NC_VARIABLE, "variable", limits.variables as u64)?;
    let mut list: Vec<Declared> = Vec::new();
    for _ in 0..n {
        let name_at = cursor.at;
        let name = cursor.name("variable")?;
        if list.iter().any(|v| v.name == name) {
            return Err(cursor.error(name_at, format!("variable {name:?} is declared twice")));
        }
        let at = cursor.at;
        let rank = cursor.count()?;
        if rank > MAX_RANK {
            return Err(
                cursor.error(at, format!("variable {name:?} has {rank} dimensions; at most {MAX_RANK}"))
            );
        }
        let mut dimids = Vec::new();
        for axis in 0..rank {
            let at = cursor.at;
            let id = cursor.count()?;
            match usize::try_from(id).ok().and_then(|id| dims.get(id).map(|d| (id, d))) {
                Some((_, (dim, 0))) if axis > 0 => {
                    return Err(cursor.error(
                        at,
                        format!("variable {name:?} has the record dimension {dim:?} in place {axis}; it must come first"),
                    ));
                }
                Some((id, _)) => dimids.push(id),
                None => {
                    return Err(cursor.error(
                        at,
                        format!("variable {name:?} names dimension number {id}; the file has {}", dims.len()),
                    ));
                }
            }
        }
        let attributes = attributes(cursor, limits, attribute_bytes)?;
        let kind = cursor.kind()?;
        // vsize overflows for large variables and is redundant: it is computed instead.
        cursor.count()?;
        let begin_at = cursor.at;
        let begin = if version == Version::Classic { u64::from(cursor.u32()?) } else { cursor.u64()? };
        list.push(Declared { name, dimids, attributes, kind, begin, begin_at });
    }
    Ok(list)
}

/// Where everything lies, and whether the file is long enough for it.
#[allow(clippy::too_many_arguments)]
fn layout(
    cursor: &Cursor<'_>,
    version: Version,
    numrecs: Option<u64>,
    numrecs_at: u64,
    dims: Vec<(String, u64)>,
    attributes: Vec<(String, AttrValue)>,
    declared: Vec<Declared>,
    limits: &Limits,
) -> Result<(Header, Vec<Extent>), FormatError> {
    let (header_end, file_len) = (cursor.at, cursor.storage.len());
    let is_record = |v: &Declared| v.dimids.first().is_some_and(|d| dims[*d].1 == 0);
    // Bytes of one record of a variable, or of all of it.
    let unit = |v: &Declared| -> Option<u64> {
        let skip = usize::from(is_record(v));
        v.dimids.iter().skip(skip).try_fold(v.kind.size(), |n, d| n.checked_mul(dims[*d].1))
    };
    let mut record_bytes = 0u64;
    let mut record_vars = 0;
    let mut first_record = u64::MAX;
    for v in &declared {
        let bytes = unit(v).filter(|b| *b <= limits.variable_bytes).ok_or_else(|| {
            cursor
                .error(
                    v.begin_at,
                    format!("one record or all of it is more than {} bytes", limits.variable_bytes),
                )
                .in_variable(&v.name)
        })?;
        if v.begin < header_end {
            return Err(cursor
                .error(
                    v.begin_at,
                    format!(
                        "its values begin at byte {}, inside the header, which ends at byte {header_end}",
                        v.begin
                    ),
                )
                .in_variable(&v.name));
        }
        if is_record(v) {
            record_vars += 1;
            record_bytes = record_bytes.saturating_add(bytes.div_ceil(4).saturating_mul(4));
            first_record = first_record.min(v.begin);
        }
    }
    // A lone record variable is not padded (format specification, "Note on padding").
    if record_vars == 1 {
        record_bytes = declared.iter().find(|v| is_record(v)).and_then(unit).unwrap_or(record_bytes);
    }
    let numrecs = numrecs
        .unwrap_or_else(|| file_len.saturating_sub(first_record).checked_div(record_bytes).unwrap_or(0));
    let mut header = Header {
        format: version.name().to_owned(),
        dimensions: dims
            .iter()
            .map(|(name, len)| Dimension {
                name: name.clone(),
                len: if *len == 0 { numrecs } else { *len },
                unlimited: *len == 0,
            })
            .collect(),
        attributes,
        ..Header::default()
    };
    let (mut extents, mut text_extents) = (Vec::new(), Vec::new());
    for v in declared {
        let bytes = unit(&v).unwrap_or(u64::MAX);
        let record = is_record(&v);
        let end = if !record {
            v.begin.checked_add(bytes)
        } else if numrecs == 0 {
            Some(v.begin.min(file_len))
        } else {
            (numrecs - 1).checked_mul(record_bytes).and_then(|n| n.checked_add(v.begin)?.checked_add(bytes))
        };
        if end.is_none_or(|end| end > file_len) {
            let end = end.map_or_else(|| "beyond 2^64".to_owned(), |e| e.to_string());
            let reason = if record {
                let whole = file_len.saturating_sub(v.begin).checked_div(record_bytes).unwrap_or(0);
                format!(
                    "the header declares {numrecs} records (byte {numrecs_at}), whose last ends at byte {end}; \
                     the file ends at byte {file_len}, after {whole} of them: it is cut short or its header is damaged"
                )
            } else {
                format!(
                    "its {bytes} bytes from byte {} on end at byte {end}; the file ends at byte {file_len}: \
                     it is cut short or its header is damaged",
                    v.begin
                )
            };
            return Err(cursor.error(file_len, reason).in_variable(v.name));
        }
        let dtype = match v.kind {
            Kind::Number(dtype) => dtype,
            Kind::Char if slab::holds_attributes(&v.attributes) => DataType::UInt8,
            Kind::Char => {
                let shape: Vec<u64> = v.dimids.iter().map(|d| header.dimensions[*d].len).collect();
                text_extents.push(Extent { begin: v.begin, record_stride: record.then_some(record_bytes) });
                header.texts.push(Variable {
                    dims: v.dimids.iter().map(|d| dims[*d].0.clone()).collect(),
                    path: v.name.clone(),
                    shape,
                    dtype: DataType::UInt8,
                    attributes: v.attributes,
                    chunks: None,
                });
                header.skipped.push((v.name, "it holds characters, not numbers".to_owned()));
                continue;
            }
        };
        if let Some(fault) = slab::name_fault(&v.name) {
            header.skipped.push((v.name, fault.to_owned()));
            continue;
        }
        let shape: Vec<u64> = v.dimids.iter().map(|d| header.dimensions[*d].len).collect();
        slab::check_declared(cursor.file, &v.name, &shape, dtype, limits)?;
        extents.push(Extent { begin: v.begin, record_stride: record.then_some(record_bytes) });
        header.variables.push(Variable {
            dims: v.dimids.iter().map(|d| dims[*d].0.clone()).collect(),
            path: v.name,
            shape,
            dtype,
            attributes: v.attributes,
            chunks: None,
        });
    }
    extents.append(&mut text_extents);
    Ok((header, extents))
}

struct Cursor<'a> {
    file: &'a str,
    storage: &'a dyn Storage,
    /// Counts have 64 bits (CDF-5).
    wide: bool,
    at: u64,
    block: Vec<u8>,
    block_at: u64,
}

impl Cursor<'_> {
    fn error(&self, at: u64, reason: String) -> FormatError {
        FormatError::new(self.file, reason).at_byte(at)
    }

    fn bytes(&mut self, n: u64) -> Result<Vec<u8>, FormatError> {
        let len = self.storage.len();
        let end = self.at.checked_add(n).filter(|end| *end <= len).ok_or_else(|| {
            self.error(
                self.at,
                format!(
                    "the header continues for {n} bytes, but the file ends at byte {len}: it is cut short"
                ),
            )
        })?;
        let block_end = self.block_at + self.block.len() as u64;
        if self.at < self.block_at || end > block_end {
            let want = n.max(BLOCK).min(len - self.at);
            let read = self
                .storage
                .read_range(self.at, want as usize)
                .map_err(|e| self.error(self.at, format!("the header cannot be read: {e}")))?;
            self.block = read.to_vec();
            self.block_at = self.at;
        }
        let from = (self.at - self.block_at) as usize;
        let taken = self.block.get(from..from + n as usize).unwrap_or_default().to_vec();
        self.at = end;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, FormatError> {
        let b = self.bytes(4)?;
        Ok(b.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
    }

    fn u64(&mut self) -> Result<u64, FormatError> {
        let b = self.bytes(8)?;
        Ok(b.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    /// `NON_NEG`, of this version's width.
    fn count(&mut self) -> Result<u64, FormatError> {
        if self.wide { self.u64() } else { self.u32().map(u64::from) }
    }

    fn pad(&mut self, written: u64) -> Result<(), FormatError> {
        self.bytes(written.next_multiple_of(4) - written).map(drop)
    }

    /// A list's tag and length; `ABSENT` is a length of 0.
    fn list(&mut self, tag: u32, what: &str, limit: u64) -> Result<u64, FormatError> {
        let at = self.at;
        let found = self.u32()?;
        let count_at = self.at;
        let n = self.count()?;
        if found != tag && !(found == 0 && n == 0) {
            return Err(
                self.error(at, format!("the tag of the {what} list is {found:#x}; expected {tag:#x} or 0"))
            );
        }
        // The shortest entry is a name of 0 bytes and one more count.
        let room = (self.storage.len() - self.at) / 8;
        if n > limit || n > room {
            return Err(self.error(
                count_at,
                format!("the header declares {n} {what}s; at most {} can be", limit.min(room)),
            ));
        }
        Ok(n)
    }

    fn name(&mut self, what: &str) -> Result<String, FormatError> {
        let at = self.at;
        let n = self.count()?;
        if n == 0 || n > MAX_NAME {
            return Err(self.error(at, format!("a {what}'s name has {n} bytes; expected 1 to {MAX_NAME}")));
        }
        let raw = self.bytes(n)?;
        self.pad(n)?;
        Ok(slab::text(&raw))
    }

    fn kind(&mut self) -> Result<Kind, FormatError> {
        let at = self.at;
        let n = self.u32()?;
        Ok(match n {
            2 => Kind::Char,
            1 => Kind::Number(DataType::Int8),
            3 => Kind::Number(DataType::Int16),
            4 => Kind::Number(DataType::Int32),
            5 => Kind::Number(DataType::Float32),
            6 => Kind::Number(DataType::Float64),
            7 if self.wide => Kind::Number(DataType::UInt8),
            8 if self.wide => Kind::Number(DataType::UInt16),
            9 if self.wide => Kind::Number(DataType::UInt32),
            10 if self.wide => Kind::Number(DataType::Int64),
            11 if self.wide => Kind::Number(DataType::UInt64),
            _ => return Err(self.error(at, format!("{n} is no type of this NetCDF version"))),
        })
    }
}
