//! Objects and what is in them: there, whole, and decodable.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use graticule_shared::shard;
use graticule_shared::zarr::{ArrayMeta, Hierarchy};
use icechunk::format::manifest::{Checksum, VirtualChunkRef};

use super::{Code, Finding, Seen};
use crate::codec::Decoder;
use crate::reference::origin;
use crate::store::{Store, names};

/// Where a chunk belongs.
pub struct Place {
    pub version: String,
    pub key: String,
    pub array: String,
    pub hierarchy: Arc<Hierarchy>,
}

impl Place {
    fn finding(&self, code: Code, detail: impl Into<String>) -> Finding {
        Finding::new(code, detail).in_version(&self.version).at(self.key.clone())
    }
    fn meta(&self) -> Option<&ArrayMeta> {
        self.hierarchy.arrays.get(&self.array)
    }
}

/// An object and the chunk that it is.
pub struct Job {
    pub place: Place,
    pub offset: u64,
    pub length: u64,
}

pub struct Inline {
    pub place: Place,
    pub bytes: Bytes,
}

pub struct Elsewhere {
    pub place: Place,
    pub reference: Box<VirtualChunkRef>,
}

pub struct Look {
    pub store: Arc<Store>,
    pub collection: String,
    pub deep: bool,
}

/// Looks at every object, on every core.
///
/// # Errors
/// The work broke off.
pub async fn check(look: Look, all: Seen) -> anyhow::Result<Vec<Finding>> {
    tokio::task::spawn_blocking(move || {
        let jobs: Vec<(String, Job)> = all.objects.into_iter().collect();
        let total = jobs.len() + all.inline.len() + all.elsewhere.len();
        let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let cores = std::thread::available_parallelism().map_or(2, usize::from).min(16);
        std::thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= total {
                            break;
                        }
                        let finding = if let Some((name, job)) = jobs.get(n) {
                            object(&look, name, job)
                        } else if let Some(i) = all.inline.get(n - jobs.len()) {
                            bytes(&i.place, &i.bytes, look.deep)
                        } else {
                            all.elsewhere.get(n - jobs.len() - all.inline.len()).and_then(elsewhere)
                        };
                        if let Some(f) = finding {
                            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                            found.push(f.of(&look.collection));
                        }
                    }
                });
            }
        });
        Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
    })
    .await?
}

fn object(look: &Look, name: &str, job: &Job) -> Option<Finding> {
    let place = &job.place;
    let path = match look.store.object(&look.collection, name) {
        Ok(p) => p,
        Err(e) => return Some(place.finding(Code::ObjectMissing, e.to_string())),
    };
    let file = match File::open(&path) {
        Ok(f) => f,
        Err(e) => return Some(place.finding(Code::ObjectMissing, format!("object {name}: {e}"))),
    };
    let size = file.metadata().map_or(0, |m| m.len());
    let end = job.offset.saturating_add(job.length);
    if size < end || (job.offset == 0 && size != end) {
        let detail = format!("object {name} has {size} bytes, its manifest says {end}");
        return Some(place.finding(Code::ObjectShort, detail));
    }
    let read = |from: u64, length: u64| -> std::io::Result<Vec<u8>> {
        // Not longer than the file, as was just seen.
        let mut buffer = vec![0; length as usize];
        file.read_exact_at(&mut buffer, job.offset + from)?;
        Ok(buffer)
    };
    let io = |e: std::io::Error| place.finding(Code::ObjectShort, format!("object {name}: {e}"));
    if look.deep {
        let whole = match read(0, job.length) {
            Ok(b) => b,
            Err(e) => return Some(io(e)),
        };
        if job.offset == 0 && names::vouches(name, &whole) == Some(false) {
            let detail = format!("object {name}: its content is not what its name vouches for");
            return Some(place.finding(Code::ObjectCorrupt, detail));
        }
        return bytes(place, &whole, true);
    }
    // A shard's index has a checksum of its own and costs little to read.
    let array = place.meta()?;
    let sharding = array.sharding.as_ref()?;
    let length = shard::index_len(inner_chunks(array), sharding.index_crc32c);
    let Some(start) = job.length.checked_sub(length) else {
        let detail = format!("object {name} has {} bytes, its index alone needs {length}", job.length);
        return Some(place.finding(Code::ObjectCorrupt, detail));
    };
    match read(if sharding.index_at_end { start } else { 0 }, length) {
        Err(e) => Some(io(e)),
        Ok(index) => shard::parse_index(&index, inner_chunks(array), sharding.index_crc32c)
            .err()
            .map(|e| place.finding(Code::ObjectCorrupt, format!("object {name}: {e}"))),
    }
}

fn inner_chunks(array: &ArrayMeta) -> u64 {
    array.chunk_shape.iter().zip(array.block_shape()).map(|(c, b)| c / b.max(&1)).product()
}

/// Whether stored bytes are a chunk of their array.
fn bytes(place: &Place, stored: &[u8], deep: bool) -> Option<Finding> {
    let array = place.meta()?;
    if !deep || array.dtype.is_none() {
        return None;
    }
    let decoder = match Decoder::new(array.block_metadata()) {
        Ok(d) => d,
        Err(e) => return Some(place.finding(Code::ZarrInvalid, e)),
    };
    let Some(sharding) = &array.sharding else {
        return decoder.decode(stored).err().map(|e| place.finding(Code::ChunkUndecodable, e));
    };
    let chunks = inner_chunks(array);
    let length = usize::try_from(shard::index_len(chunks, sharding.index_crc32c)).unwrap_or(usize::MAX);
    let Some(start) = stored.len().checked_sub(length) else {
        return Some(place.finding(Code::ObjectCorrupt, "shorter than a shard's index"));
    };
    let index = if sharding.index_at_end { &stored[start..] } else { &stored[..length] };
    let index = match shard::parse_index(index, chunks, sharding.index_crc32c) {
        Ok(i) => i,
        Err(e) => return Some(place.finding(Code::ObjectCorrupt, e.to_string())),
    };
    index.iter().flatten().find_map(|span| {
        let from = usize::try_from(span.offset).ok()?;
        let part = from
            .checked_add(usize::try_from(span.length).ok()?)
            .and_then(|to| stored.get(from..to))
            .ok_or_else(|| format!("inner chunk at {}+{} is past the shard's end", span.offset, span.length));
        part.and_then(|p| decoder.decode(p)).err().map(|e| place.finding(Code::ChunkUndecodable, e))
    })
}

/// A chunk in another's file: there, long enough, and not changed since.
fn elsewhere(e: &Elsewhere) -> Option<Finding> {
    let url = e.reference.location.url();
    let path = origin::path(url)?;
    let size = match std::fs::metadata(&path) {
        Ok(m) => m.len(),
        Err(why) => return Some(e.place.finding(Code::ReferenceMissing, format!("{url}: {why}"))),
    };
    let end = e.reference.offset.saturating_add(e.reference.length);
    if size < end {
        let detail = format!("{url} has {size} bytes, the reference ends at {end}");
        return Some(e.place.finding(Code::ReferenceChanged, detail));
    }
    let recorded = match &e.reference.checksum {
        Some(Checksum::LastModified(then)) => Some(then.0),
        _ => None,
    };
    // The same comparison by which the server refuses to read it.
    let changed = origin::check(&path, recorded).err()?;
    Some(e.place.finding(Code::ReferenceChanged, format!("{url}: {changed}")))
}
