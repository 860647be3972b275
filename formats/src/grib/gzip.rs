//! Files that travel as `.grib2.gz`: unpacked into memory, up to a limit.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use hdf5_reader::Storage;

use crate::{FormatError, Limits};

/// Where a message must begin for the file to be taken as GRIB.
const HEAD: usize = 64 << 10;
/// Read of the packed file at a time.
const STEP: u64 = 256 << 10;

/// The packed file as a stream.
struct Packed<'a> {
    storage: &'a dyn Storage,
    at: u64,
    block: Vec<u8>,
    used: usize,
}

impl Read for Packed<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.used == self.block.len() {
            let n = STEP.min(self.storage.len() - self.at);
            if n == 0 {
                return Ok(0);
            }
            let read = self.storage.read_range(self.at, n as usize).map_err(std::io::Error::other)?;
            self.block = read.to_vec();
            self.used = 0;
            self.at += n;
        }
        let left = self.block.get(self.used..).unwrap_or_default();
        let n = left.len().min(out.len());
        out[..n].copy_from_slice(&left[..n]);
        self.used += n;
        Ok(n)
    }
}

/// The GRIB messages inside a gzip file; `None` if it holds something else.
///
/// # Errors
/// It unpacks to more than [`Limits::read_bytes`], or is damaged.
pub(crate) fn unwrap(
    name: &str,
    storage: &dyn Storage,
    limits: &Limits,
) -> Result<Option<Vec<u8>>, FormatError> {
    let most = limits.read_bytes;
    let mut stream = MultiGzDecoder::new(Packed { storage, at: 0, block: Vec::new(), used: 0 });
    let mut out = Vec::new();
    let damaged = |e: std::io::Error, at: usize| {
        FormatError::new(name, format!("the gzip stream is damaged after {at} unpacked bytes: {e}"))
    };
    // A bomb of something else is not unpacked.
    stream.by_ref().take(HEAD as u64).read_to_end(&mut out).map_err(|e| damaged(e, 0))?;
    if super::begins(&out).is_none() {
        return Ok(None);
    }
    let head = out.len();
    stream.take(most.saturating_sub(head as u64) + 1).read_to_end(&mut out).map_err(|e| damaged(e, head))?;
    if out.len() as u64 > most {
        return Err(FormatError::new(
            name,
            format!("the file is gzip-compressed and unpacks to more than {most} bytes; unpack it first"),
        ));
    }
    Ok(Some(out))
}
