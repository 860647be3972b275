//! One chunk too large for the library's cache, held while slabs pass over it.
//!
//! A chunk beyond the cache would be decoded anew for every slab that touches it:
//! a global field in one deflated chunk, read 256 rows at a time, seventeen times.
//! Held here it is decoded once, and let go before the next one is decoded, so
//! that no more than two chunks' bytes are in memory at any time.

use std::sync::Mutex;

use crate::slab::{self, Region};
use crate::{FormatError, Variable};

struct Chunk {
    variable: String,
    /// Its place in the chunk grid.
    index: Vec<u64>,
    values: Vec<u8>,
}

/// The last large chunk.
#[derive(Default)]
pub(super) struct Held(Mutex<Option<Chunk>>);

impl Held {
    /// The slab `start`, `count` of `variable`, chunk by chunk; `decode` reads any slab.
    pub(super) fn read(
        &self,
        variable: &Variable,
        chunks: &[u64],
        start: &[u64],
        count: &[u64],
        decode: impl Fn(&[u64], &[u64]) -> Result<Vec<u8>, FormatError>,
    ) -> Result<Vec<u8>, FormatError> {
        let size = variable.dtype.size();
        let mut out = vec![0; count.iter().product::<u64>() as usize * size];
        // A reader that panicked left no half-written chunk behind: decoding came first.
        let mut held = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let first: Vec<u64> = start.iter().zip(chunks).map(|(s, c)| s / c).collect();
        let last: Vec<u64> = start.iter().zip(count).zip(chunks).map(|((s, n), c)| (s + n - 1) / c).collect();
        let mut index = first.clone();
        loop {
            let corner: Vec<u64> = index.iter().zip(chunks).map(|(i, c)| i * c).collect();
            let extent: Vec<u64> =
                corner.iter().zip(chunks).zip(&variable.shape).map(|((at, c), n)| (*c).min(n - at)).collect();
            let known = held.as_ref().is_some_and(|h| h.variable == variable.path && h.index == index);
            if !known {
                *held = None;
                let values = decode(&corner, &extent)?;
                *held = Some(Chunk { variable: variable.path.clone(), index: index.clone(), values });
            }
            if let Some(chunk) = held.as_ref() {
                let from = Region { corner: &corner, extent: &extent };
                slab::copy_overlap(
                    &chunk.values,
                    &from,
                    &mut out,
                    &Region { corner: start, extent: count },
                    size,
                );
            }
            // The next place in the grid, C order.
            let mut axis = index.len();
            loop {
                let Some(below) = axis.checked_sub(1) else { return Ok(out) };
                axis = below;
                match (index.get_mut(axis), last.get(axis), first.get(axis)) {
                    (Some(i), Some(last), _) if *i < *last => {
                        *i += 1;
                        break;
                    }
                    (Some(i), _, Some(first)) => *i = *first,
                    _ => return Ok(out),
                }
            }
        }
    }
}
