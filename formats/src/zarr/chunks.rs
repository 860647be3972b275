//! Blocks of an array, decoded: whole chunks, or the inner chunks of shards.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use graticule_decode::{DecodeError, decode_with, fail};
use graticule_shared::codec::Step;
use graticule_shared::dtype::DataType;
use graticule_shared::shard::{self, Span};

use super::header::{Stored, Widen, half};
use super::objects::Objects;
use crate::guard::guard;
use crate::{FormatError, Limits, bzip2};

/// Shard indices kept, and inner chunks that one shard may have.
const KEPT_INDICES: usize = 64;
const MAX_INNER: u64 = 1 << 22;
/// A stored chunk may be so much longer than what it decodes to.
const SLACK: u64 = 1 << 20;

type Index = Arc<Vec<Option<Span>>>;
type Block = Arc<Vec<u8>>;

/// What was read last, the least recently used leaving first.
#[derive(Default)]
pub(crate) struct Cache {
    blocks: Mutex<VecDeque<(String, Block)>>,
    indices: Mutex<VecDeque<(String, Option<Index>)>>,
}

fn recall<T: Clone>(kept: &Mutex<VecDeque<(String, T)>>, key: &str) -> Option<T> {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let at = kept.iter().position(|(k, _)| k == key)?;
    let entry = kept.remove(at)?;
    let found = entry.1.clone();
    kept.push_back(entry);
    Some(found)
}

pub(crate) struct Chunks<'a> {
    pub(crate) file: &'a str,
    pub(crate) objects: &'a dyn Objects,
    pub(crate) limits: &'a Limits,
    pub(crate) cache: &'a Cache,
}

impl Chunks<'_> {
    fn error(&self, key: &str, why: impl std::fmt::Display) -> FormatError {
        FormatError::new(self.file, format!("chunk {key}: {why}"))
    }

    /// The block at this index as elements of the variable; `None` where none is stored.
    pub(crate) fn block(&self, stored: &Stored, index: &[u64]) -> Result<Option<Block>, FormatError> {
        let meta = &stored.meta;
        let per: Vec<u64> = meta.chunk_shape.iter().zip(meta.block_shape()).map(|(c, b)| c / b).collect();
        let chunk: Vec<u64> = index.iter().zip(&per).map(|(i, p)| i / p).collect();
        let within = index.iter().zip(&per).fold(0, |at, (i, p)| at * p + i % p);
        let key = meta.chunk_key(&chunk);
        let name = format!("{key}#{within}");
        if let Some(found) = recall(&self.cache.blocks, &name) {
            return Ok(Some(found));
        }
        let Some(bytes) = self.stored(stored, &key, &per, within)? else { return Ok(None) };
        let decoded =
            guard(self.file, || decode_with(&stored.chain, bytes, heavy).map_err(|e| self.error(&key, e)))?;
        let decoded = Arc::new(match stored.widen {
            Widen::No => decoded,
            Widen::Half => {
                let (halves, _) = decoded.as_chunks::<2>();
                halves.iter().flat_map(|h| half(u16::from_ne_bytes(*h)).to_ne_bytes()).collect()
            }
        });
        let mut kept = self.cache.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((name, Arc::clone(&decoded)));
        let mut held: usize = kept.iter().map(|(_, b)| b.len()).sum();
        while held > self.limits.cache_bytes && kept.len() > 1 {
            held -= kept.pop_front().map_or(0, |(_, b)| b.len());
        }
        Ok(Some(decoded))
    }

    /// The bytes that the chain decodes.
    fn stored(
        &self,
        stored: &Stored,
        key: &str,
        per: &[u64],
        within: u64,
    ) -> Result<Option<Vec<u8>>, FormatError> {
        let at = |e: FormatError| {
            let mut error = self.error(key, e.reason);
            error.offset = e.offset;
            error
        };
        let most = self.limits.chunk_bytes.saturating_add(SLACK);
        if stored.meta.sharding.is_none() {
            // Uncompressed, it is as long as what it decodes to.
            let plain = stored.chain.decoded_len().filter(|_| stored.chain.steps.is_empty());
            return self.objects.whole(key, plain.map_or(most, |n| n as u64)).map_err(at);
        }
        let Some(index) = self.index(stored, key, per)? else { return Ok(None) };
        let Some(span) = index.get(within as usize).copied().flatten() else { return Ok(None) };
        let length = self.objects.length(key).map_err(at)?.unwrap_or(0);
        if span.length > most || span.offset.checked_add(span.length).is_none_or(|end| end > length) {
            let why = format!(
                "inner chunk {within} is said to be {} bytes from {} on, in a shard of {length}",
                span.length, span.offset
            );
            return Err(self.error(key, why).at_byte(span.offset));
        }
        self.objects.range(key, span.offset, span.length).map(Some).map_err(at)
    }

    fn index(&self, stored: &Stored, key: &str, per: &[u64]) -> Result<Option<Index>, FormatError> {
        if let Some(found) = recall(&self.cache.indices, key) {
            return Ok(found);
        }
        let Some(sharding) = &stored.meta.sharding else { return Ok(None) };
        let found = match self.objects.length(key)? {
            None => None,
            Some(length) => {
                let inner = per.iter().try_fold(1u64, |n, p| n.checked_mul(*p)).filter(|n| *n <= MAX_INNER);
                let inner = inner.ok_or_else(|| {
                    self.error(key, format!("more than {MAX_INNER} inner chunks in a shard"))
                })?;
                let size = shard::index_len(inner, sharding.index_crc32c);
                let start = length.checked_sub(size).ok_or_else(|| {
                    self.error(key, format!("the shard has {length} bytes, its index alone needs {size}"))
                })?;
                let at = if sharding.index_at_end { start } else { 0 };
                let bytes = self.objects.range(key, at, size)?;
                let parsed = shard::parse_index(&bytes, inner, sharding.index_crc32c);
                Some(Arc::new(parsed.map_err(|e| self.error(key, e).at_byte(at))?))
            }
        };
        let mut kept = self.cache.indices.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_INDICES {
            kept.pop_front();
        }
        kept.push_back((key.to_owned(), found.clone()));
        Ok(found)
    }
}

/// The codecs that the browser has not.
fn heavy(step: &Step, bytes: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    match step {
        Step::Bzip2 => bzip2::decompress(bytes, room).map_err(|e| fail("bz2", e)),
        Step::Pcodec(dtype) => pcodec(*dtype, bytes, room),
        other => Err(fail("chain", format!("{other:?} is not known"))),
    }
}

fn pcodec(dtype: DataType, bytes: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    macro_rules! numbers {
        ($t:ty) => {{
            let mut out = vec![<$t>::default(); room / size_of::<$t>()];
            let progress = pco::standalone::simple_decompress_into(bytes, &mut out)
                .map_err(|e| fail("pcodec", e.to_string()))?;
            if progress.n_processed != out.len() || !progress.finished {
                let found = progress.n_processed;
                return Err(fail("pcodec", format!("{found} numbers, {} expected", out.len())));
            }
            Ok(out.into_iter().flat_map(<$t>::to_le_bytes).collect())
        }};
    }
    match dtype {
        DataType::Int8 => numbers!(i8),
        DataType::UInt8 => numbers!(u8),
        DataType::Int16 => numbers!(i16),
        DataType::UInt16 => numbers!(u16),
        DataType::Int32 => numbers!(i32),
        DataType::UInt32 => numbers!(u32),
        DataType::Int64 => numbers!(i64),
        DataType::UInt64 => numbers!(u64),
        DataType::Float32 => numbers!(f32),
        DataType::Float64 => numbers!(f64),
    }
}
