//! Bands of rows from a source whose chunks lie any which way.
//!
//! The ingest wants full rows, top to bottom; a source stores rows, columns, tiles
//! or time series. Reading each stored chunk once matters more than anything else
//! (a chunk costs its decompression every time), so the feed reads regions that
//! are whole in source chunks and cuts the bands from them. A region that does not
//! fit in memory goes through an unlinked file on disk: the page cache holds what
//! there is room for, and the process stays small.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use graticule_formats::{FormatError, Source};

use super::field::Field;

/// Bytes of a region kept in memory.
const MEMORY: u64 = 48 << 20;
/// Bytes of one read that goes to the scratch file.
const BLOCK: u64 = 16 << 20;
/// Bytes of one read that goes to memory: a reader may need as much again to convert them.
const PIECE: u64 = 4 << 20;
/// Pieces read at once.
const READERS: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error("scratch file in {0}: {1}")]
    Scratch(String, std::io::Error),
}

fn short() -> std::io::Error {
    std::io::Error::other("the source returned fewer bytes than asked for")
}

fn ended() -> std::io::Error {
    std::io::Error::other("a thread that read the source ended unexpectedly")
}

enum Held {
    Memory(Vec<u8>),
    Disk(File),
}

/// All columns of a box of rows and leading indices, in C order.
struct Region {
    start: Vec<u64>,
    count: Vec<u64>,
    held: Held,
}

pub struct Feed<'a> {
    source: &'a dyn Source,
    field: &'a Field,
    scratch: &'a Path,
    region: Option<Region>,
}

impl<'a> Feed<'a> {
    pub fn new(source: &'a dyn Source, field: &'a Field, scratch: &'a Path) -> Self {
        Self { source, field, scratch, region: None }
    }

    /// Rows `row..row + rows` of `steps` steps: bytes in the order step, row,
    /// column. `lead` has one index per axis; those of rows and columns are ignored.
    ///
    /// # Errors
    /// The source does not read, the scratch file fails.
    pub fn band(&mut self, lead: &[u64], steps: u64, row: u64, rows: u64) -> Result<Vec<u8>, FeedError> {
        let axes = &self.field.axes;
        let mut start = lead.to_vec();
        let mut count = vec![1; start.len()];
        if let Some(a) = axes.step {
            count[a] = steps;
        }
        if start.is_empty() {
            return Ok(self.source.read(&self.field.source, &[], &[])?);
        }
        (start[axes.row], count[axes.row]) = (row, rows);
        if let Some(a) = axes.column {
            (start[a], count[a]) = (0, self.field.shape[a]);
        }
        let row_bytes = self.field.columns() * self.field.dtype.size() as u64;
        let mut out: Vec<u8> = Vec::new();
        let mut done = 0;
        while done < rows {
            start[axes.row] = row + done;
            self.hold(&start, &count)?;
            let Some(region) = &mut self.region else { break };
            let end = region.start[axes.row] + region.count[axes.row];
            let here = (end - (row + done)).min(rows - done);
            // The common case: the band is the region.
            if here == rows
                && region.start == start
                && region.count == count
                && let Held::Memory(bytes) = &mut region.held
            {
                let bytes = std::mem::take(bytes);
                self.region = None;
                return Ok(bytes);
            }
            if out.is_empty() {
                out = vec![0; (steps * rows * row_bytes) as usize];
            }
            for s in 0..steps {
                let mut at = 0;
                for a in 0..=axes.row {
                    let index = match a {
                        a if a == axes.row => row + done,
                        a if Some(a) == axes.step => start[a] + s,
                        a => start[a],
                    };
                    at = at * region.count[a] + (index - region.start[a]);
                }
                let from = at * row_bytes;
                let to = ((s * rows + done) * row_bytes) as usize;
                let target = &mut out[to..to + (here * row_bytes) as usize];
                match &region.held {
                    Held::Memory(bytes) => {
                        let from = from as usize;
                        target.copy_from_slice(&bytes[from..from + target.len()]);
                    }
                    Held::Disk(file) => file
                        .read_exact_at(target, from)
                        .map_err(|e| FeedError::Scratch(self.scratch.display().to_string(), e))?,
                }
            }
            done += here;
        }
        Ok(out)
    }

    fn failed(&self, e: std::io::Error) -> FeedError {
        FeedError::Scratch(self.scratch.display().to_string(), e)
    }

    /// Makes `self.region` one that has the first row of the request.
    fn hold(&mut self, start: &[u64], count: &[u64]) -> Result<(), FeedError> {
        let row = self.field.axes.row;
        let inside = |r: &Region| {
            (0..start.len()).all(|a| {
                let wanted = if a == row { 1 } else { count[a] };
                start[a] >= r.start[a] && start[a] + wanted <= r.start[a] + r.count[a]
            })
        };
        if self.region.as_ref().is_some_and(inside) {
            return Ok(());
        }
        self.region = None;
        let (start, count, whole) = self.choose(start, count);
        let bytes = count.iter().product::<u64>() * self.field.dtype.size() as u64;
        let held = if bytes <= MEMORY || !whole {
            Held::Memory(self.read(&start, &count)?)
        } else {
            Held::Disk(self.spill(&start, &count)?)
        };
        self.region = Some(Region { start, count, held });
        Ok(())
    }

    /// Reads a region into memory, in pieces along its first axis that are whole in source chunks.
    /// All cores read: decoding may take longer than everything after it.
    fn read(&self, start: &[u64], count: &[u64]) -> Result<Vec<u8>, FeedError> {
        let bytes = count.iter().product::<u64>() * self.field.dtype.size() as u64;
        let Some(axis) = count.iter().position(|n| *n > 1).filter(|_| bytes > PIECE) else {
            return Ok(self.source.read(&self.field.source, start, count)?);
        };
        let chunk = self.field.source_chunks.as_ref().and_then(|c| c.get(axis)).copied().unwrap_or(1).max(1);
        let one = bytes / count[axis];
        let piece = (PIECE / one.max(1) / chunk).max(1) * chunk;
        let mut out = vec![0; bytes as usize];
        let mut pieces = Vec::new();
        let (mut from, end, mut rest) = (start[axis], start[axis] + count[axis], out.as_mut_slice());
        while from < end {
            // Cuts fall on the source's chunk boundaries, wherever the region begins.
            let to = ((from / chunk * chunk) + piece).min(end);
            let (now, later) = rest.split_at_mut(((to - from) * one) as usize);
            pieces.push((from, to - from, now));
            (from, rest) = (to, later);
        }
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(READERS);
        let workers = workers.min(pieces.len());
        let pieces = Mutex::new(pieces.into_iter());
        let work = || -> Result<(), FeedError> {
            let (mut from, mut n) = (start.to_vec(), count.to_vec());
            loop {
                let next = pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((at, length, to)) = next else { return Ok(()) };
                (from[axis], n[axis]) = (at, length);
                let got = self.source.read(&self.field.source, &from, &n)?;
                let got = got.get(..to.len()).ok_or_else(|| self.failed(short()))?;
                to.copy_from_slice(got);
            }
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
            let own = work();
            let joined = others.into_iter().map(|t| t.join().unwrap_or_else(|_| Err(self.failed(ended()))));
            joined.fold(own, Result::and)
        })?;
        Ok(out)
    }

    /// The region to read for a request, and whether it may go to disk.
    fn choose(&self, start: &[u64], count: &[u64]) -> (Vec<u64>, Vec<u64>, bool) {
        let f = self.field;
        let (row, rank) = (f.axes.row, f.shape.len());
        let size = f.dtype.size() as u64;
        let bytes = |c: &[u64]| c.iter().product::<u64>() * size;
        let Some(chunks) = f.source_chunks.as_ref().filter(|c| c.len() == rank) else {
            // Stored row after row: any run of rows reads as well as another.
            let one: u64 = bytes(count) / count[row].max(1);
            let rows = (MEMORY / one.max(1)).max(count[row]) / f.levels[0].layout.shard[1].max(1)
                * f.levels[0].layout.shard[1];
            let mut count = count.to_vec();
            count[row] = rows.max(count[row]).min(f.shape[row] - start[row]);
            return (start.to_vec(), count, false);
        };
        // Leading axes: whole source chunks around the request.
        let (mut from, mut n) = (start.to_vec(), count.to_vec());
        for a in (0..rank).filter(|a| *a != row && Some(*a) != f.axes.column) {
            let chunk = chunks[a].max(1);
            if chunk > count[a] {
                // A multiple of the steps taken at once, so that no request straddles two regions.
                let unit = if Some(a) == f.axes.step { f.levels[0].layout.shard[0] } else { 1 };
                let length = chunk.div_ceil(unit) * unit;
                from[a] = start[a] / length * length;
                n[a] = length.min(f.shape[a] - from[a]);
            }
        }
        // All rows, if they fit.
        (from[row], n[row]) = (0, f.shape[row]);
        if bytes(&n) <= MEMORY {
            return (from, n, true);
        }
        // Where source chunks reach past the steps taken at once, planes must be whole.
        if (0..rank).any(|a| a != row && Some(a) != f.axes.column && n[a] > count[a]) {
            return (from, n, true);
        }
        // Strips of whole chunk rows: as many as fit, at least one (through the disk if need be).
        let chunk = chunks[row].clamp(1, f.shape[row]);
        // Chunk rows that divide a band make regions of whole bands, which are handed on uncopied.
        let band = f.levels[0].layout.shard[1];
        let chunk = if band.is_multiple_of(chunk) { band } else { chunk };
        n[row] = 1;
        let strips = (MEMORY / (bytes(&n) * chunk).max(1)).max(1);
        from[row] = start[row] / chunk * chunk;
        n[row] = (strips * chunk).min(f.shape[row] - from[row]);
        (from, n, true)
    }

    /// Copies a region to an unlinked file, block by block of whole source chunks.
    fn spill(&self, start: &[u64], count: &[u64]) -> Result<File, FeedError> {
        let file = tempfile::tempfile_in(self.scratch).map_err(|e| self.failed(e))?;
        let size = self.field.dtype.size() as u64;
        let rank = start.len();
        let chunks = self.field.source_chunks.as_deref().unwrap_or(&[]);
        let mut block: Vec<u64> =
            (0..rank).map(|a| chunks.get(a).copied().unwrap_or(1).clamp(1, count[a])).collect();
        // Grow from the last axis on, whole chunks at a time.
        for a in (0..rank).rev() {
            let bytes = block.iter().product::<u64>() * size;
            let times = (BLOCK / bytes.max(1)).max(1);
            block[a] = (block[a] * times).min(count[a]);
        }
        let mut at = vec![0; rank];
        loop {
            let from: Vec<u64> = (0..rank).map(|a| start[a] + at[a]).collect();
            let n: Vec<u64> = (0..rank).map(|a| block[a].min(count[a] - at[a])).collect();
            let bytes = self.source.read(&self.field.source, &from, &n)?;
            self.scatter(&file, &bytes, &at, &n, count).map_err(|e| self.failed(e))?;
            let Some(a) = (0..rank).rev().find(|a| at[*a] + block[*a] < count[*a]) else { break };
            at[a] += block[a];
            at[a + 1..].fill(0);
        }
        Ok(file)
    }

    /// Writes a block at its place in the region's file, in the longest contiguous runs.
    fn scatter(
        &self,
        file: &File,
        bytes: &[u8],
        at: &[u64],
        n: &[u64],
        whole: &[u64],
    ) -> std::io::Result<()> {
        let size = self.field.dtype.size() as u64;
        let rank = at.len();
        // Axes after `split` are whole in the block, so that runs span them.
        let split = (0..rank).rev().find(|a| n[*a] != whole[*a]).unwrap_or(0);
        let run = n[split..].iter().product::<u64>() * size;
        let mut index = vec![0; split];
        let mut cut = 0usize;
        loop {
            let mut to = 0;
            for a in 0..rank {
                let i = at[a] + index.get(a).copied().unwrap_or(0);
                to = to * whole[a] + i;
            }
            let Some(piece) = bytes.get(cut..cut + run as usize) else {
                return Err(short());
            };
            file.write_all_at(piece, to * size)?;
            cut += run as usize;
            let Some(a) = (0..split).rev().find(|a| index[*a] + 1 < n[*a]) else { break };
            index[a] += 1;
            index[a + 1..].fill(0);
        }
        Ok(())
    }
}
