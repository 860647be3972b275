//! NetCDF-3: classic, 64-bit offset and CDF-5.
//!
//! A flat header, then values at fixed offsets: small enough to read ourselves,
//! so that every refusal names its byte and no record is held that was not asked
//! for. The grammar is that of "NetCDF Classic Format Specification" (Unidata)
//! and "CDF-5 Format Specification" (PnetCDF).

mod header;

use graticule_shared::dtype::DataType;
use hdf5_reader::storage::DynStorage;

use crate::{FormatError, Header, Limits, Source, slab};

/// The byte after `CDF`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Classic,
    Offset64,
    Cdf5,
}

impl Version {
    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Version::Classic),
            2 => Some(Version::Offset64),
            5 => Some(Version::Cdf5),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Version::Classic => "NetCDF-3 classic",
            Version::Offset64 => "NetCDF-3 64-bit offset",
            Version::Cdf5 => "NetCDF-3 CDF-5",
        }
    }
}

/// Where the values of one variable lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    begin: u64,
    /// Bytes from one record to the next; `None` for a variable without records.
    record_stride: Option<u64>,
}

pub(crate) struct NetCdf3 {
    file: String,
    storage: DynStorage,
    header: Header,
    /// In the order of `header.variables`, then of `header.texts`.
    extents: Vec<Extent>,
    limits: Limits,
}

impl NetCdf3 {
    pub(crate) fn open(
        file: &str,
        storage: DynStorage,
        version: Version,
        limits: Limits,
    ) -> Result<Self, FormatError> {
        let (header, extents) = header::parse(file, storage.as_ref(), version, &limits)?;
        Ok(Self { file: file.to_owned(), storage, header, extents, limits })
    }
}

impl Source for NetCdf3 {
    fn header(&self) -> &Header {
        &self.header
    }

    fn read(&self, variable: &str, start: &[u64], count: &[u64]) -> Result<Vec<u8>, FormatError> {
        let all = self.header.variables.iter().chain(&self.header.texts);
        let found = all.zip(&self.extents).find(|(v, _)| v.path == variable);
        let Some((var, extent)) = found else {
            return Err(FormatError::new(&self.file, "there is no such variable").in_variable(variable));
        };
        let bytes = slab::check(&self.file, var, start, count, &self.limits)?;
        let mut out = Vec::new();
        out.try_reserve_exact(bytes).map_err(|_| {
            FormatError::new(&self.file, format!("there is no memory for a slab of {bytes} bytes"))
                .in_variable(variable)
        })?;
        if bytes == 0 {
            return Ok(out);
        }
        for (offset, len) in Runs::new(&var.shape, start, count, var.dtype, *extent) {
            let run = self.storage.read_range(offset, len).map_err(|e| {
                FormatError::new(&self.file, format!("{len} bytes cannot be read: {e}"))
                    .in_variable(variable)
                    .at_byte(offset)
            })?;
            out.extend_from_slice(&run);
        }
        if cfg!(target_endian = "little") {
            slab::swap_elements(&mut out, var.dtype.size());
        }
        Ok(out)
    }

    #[cfg(feature = "zarr")]
    fn stored(&self, variable: &str) -> Result<crate::StoredChunks, FormatError> {
        use crate::stored::{ChunkSpan, MAX_CHUNKS, bytes_codec, cut};
        let error = |why: String| FormatError::new(&self.file, why).in_variable(variable);
        let found = self.header.variables.iter().zip(&self.extents).find(|(v, _)| v.path == variable);
        let (var, extent) = found.ok_or_else(|| error("there is no such variable".to_owned()))?;
        let size = var.dtype.size();
        // Records lie apart from each other.
        let (records, inner) = match (extent.record_stride, var.shape.split_first()) {
            (Some(stride), Some((n, inner))) => (Some((*n, stride)), inner),
            _ => (None, var.shape.as_slice()),
        };
        let mut chunk_shape =
            cut(inner, size).map_err(|why| error(format!("its values cannot be referred to: {why}")))?;
        let length = chunk_shape.iter().product::<u64>() * size as u64;
        let pieces = inner.iter().product::<u64>() * size as u64 / length.max(1);
        let (count, stride) = records.unwrap_or((1, 0));
        if count.checked_mul(pieces).is_none_or(|n| n > MAX_CHUNKS) {
            return Err(error(format!("more than the {MAX_CHUNKS} chunks that are referred to")));
        }
        let span = |flat: u64| {
            let offset = extent.begin + flat / pieces.max(1) * stride + flat % pieces.max(1) * length;
            ChunkSpan { index: flat, file: 0, offset, length }
        };
        let spans = (0..count * pieces).map(span).collect();
        if records.is_some() {
            chunk_shape.insert(0, 1);
        }
        let codecs = serde_json::json!([bytes_codec(size, true)]);
        Ok(crate::StoredChunks { chunk_shape, codecs, files: Vec::new(), spans, inline: Vec::new() })
    }
}

/// The file ranges of a slab, in C order; each as long as the layout allows.
/// The slab was checked: it is not empty and lies inside the variable.
struct Runs<'a> {
    start: &'a [u64],
    count: &'a [u64],
    /// Bytes from one index to the next, along each axis.
    strides: Vec<u64>,
    begin: u64,
    /// Axes before this one are stepped through; the rest is one run.
    outer: usize,
    run_bytes: usize,
    index: Vec<u64>,
    done: bool,
}

impl<'a> Runs<'a> {
    fn new(shape: &'a [u64], start: &'a [u64], count: &'a [u64], dtype: DataType, extent: Extent) -> Self {
        let mut strides = vec![0; shape.len()];
        let mut step = dtype.size() as u64;
        for (axis, n) in shape.iter().enumerate().rev() {
            strides[axis] = match extent.record_stride {
                Some(stride) if axis == 0 => stride,
                _ => step,
            };
            step = step.saturating_mul(*n);
        }
        let mut outer = shape.len();
        let mut run = dtype.size() as u64;
        // An axis joins the run while every axis below it is whole and adjacent.
        while outer > 0 && strides[outer - 1] == run {
            outer -= 1;
            run = run.saturating_mul(count[outer]);
            if count[outer] != shape[outer] {
                break;
            }
        }
        Self {
            start,
            count,
            begin: extent.begin,
            outer,
            run_bytes: run as usize,
            index: vec![0; outer],
            strides,
            done: false,
        }
    }
}

impl Iterator for Runs<'_> {
    type Item = (u64, usize);

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let mut at = self.begin;
        for (axis, (s, stride)) in self.start.iter().zip(&self.strides).enumerate() {
            let i = s + self.index.get(axis).copied().unwrap_or(0);
            at = at.saturating_add(i.saturating_mul(*stride));
        }
        self.done = true;
        for axis in (0..self.outer).rev() {
            self.index[axis] += 1;
            if self.index[axis] < self.count[axis] {
                self.done = false;
                break;
            }
            self.index[axis] = 0;
        }
        Some((at, self.run_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_as_long_as_the_layout_allows() {
        let fixed = Extent { begin: 100, record_stride: None };
        let runs = |shape: &[u64], start: &[u64], count: &[u64], e| {
            Runs::new(shape, start, count, DataType::Int16, e).collect::<Vec<_>>()
        };
        assert_eq!(runs(&[], &[], &[], fixed), [(100, 2)]);
        assert_eq!(runs(&[3, 4], &[0, 0], &[3, 4], fixed), [(100, 24)]);
        assert_eq!(runs(&[3, 4], &[1, 0], &[2, 4], fixed), [(108, 16)]);
        assert_eq!(runs(&[3, 4], &[1, 1], &[2, 2], fixed), [(110, 4), (118, 4)]);
        let record = Extent { begin: 100, record_stride: Some(32) };
        assert_eq!(runs(&[3, 4], &[1, 0], &[2, 4], record), [(132, 8), (164, 8)]);
        assert_eq!(runs(&[3], &[0], &[3], record), [(100, 2), (132, 2), (164, 2)]);
        // Records that follow one another directly are one run.
        let only = Extent { begin: 100, record_stride: Some(8) };
        assert_eq!(runs(&[3, 4], &[0, 0], &[3, 4], only), [(100, 24)]);
    }
}
