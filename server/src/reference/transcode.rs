//! Parts of files that only their format's reader decodes, handed out as ordinary chunks.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use graticule_shared::zarr::ArrayMeta;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::origin;
use crate::codec::{self, Decoder};
use crate::store::{Snapshot, StoreError, hex};

/// Chunks kept, packed.
const KEPT_BYTES: u64 = 64 << 20;
/// Of a thousand or so: a field is seldom smaller.
const KEPT_CHUNKS: usize = 1024;

#[derive(Clone)]
struct ByBytes;

impl Weighter<String, Bytes> for ByBytes {
    fn weight(&self, key: &String, bytes: &Bytes) -> u64 {
        (key.len() + bytes.len()) as u64
    }
}

/// Where a chunk's stored bytes are.
#[derive(Debug, Clone)]
pub struct Part {
    pub file: PathBuf,
    pub offset: u64,
    pub length: u64,
    pub modified: Option<u32>,
    /// Of the stored bytes.
    pub etag: Arc<str>,
}

/// Decodes by the array's own codec and packs by the one that the server says it has.
pub struct Transcoder {
    kept: Cache<String, Bytes, ByBytes>,
    /// A chunk being made is held three times over.
    slots: Semaphore,
}

impl Default for Transcoder {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self { kept: Cache::with_weighter(KEPT_CHUNKS, KEPT_BYTES, ByBytes), slots: Semaphore::new(cores) }
    }
}

impl Transcoder {
    /// A chunk of `array` and its strong ETag, which names the stored bytes and how they are read.
    /// Made once however many ask at a time; the file is looked at every time.
    ///
    /// # Errors
    /// The file is gone or not as it was, or its bytes do not decode to a chunk.
    pub async fn chunk(
        &self,
        snapshot: &Snapshot,
        array: &ArrayMeta,
        part: Part,
    ) -> Result<(Bytes, String), StoreError> {
        let shown = codec::presented(&array.block_metadata()).ok_or_else(|| StoreError::Corrupt {
            path: array.path.clone(),
            reason: "its chunks are handed out as they are".to_owned(),
        })?;
        let etag = tag(&part.etag, array, &shown);
        let (file, modified) = (part.file.clone(), part.modified);
        let look =
            move || origin::check(&file, modified).map_err(|reason| StoreError::Origin { file, reason });
        tokio::task::spawn_blocking(look).await.map_err(broke_off)??;
        let made = self.kept.get_or_insert_async(etag.as_str(), async {
            let _slot = self.slots.acquire().await.map_err(broke_off)?;
            let from = snapshot.decoder(array)?;
            tokio::task::spawn_blocking(move || make(&from, shown, part)).await.map_err(broke_off)?
        });
        Ok((made.await?, etag))
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Lets go of what is kept.
    pub fn clear(&self) {
        self.kept.clear();
    }
}

fn broke_off(e: impl std::fmt::Display) -> StoreError {
    StoreError::Repository(e.to_string())
}

fn make(from: &Decoder, shown: serde_json::Value, part: Part) -> Result<Bytes, StoreError> {
    let Part { file, offset, length, modified, .. } = part;
    let made = origin::read(&file, offset, length, modified).and_then(|stored| {
        let values = from.decode(&stored).map_err(|why| format!("its bytes from {offset} on: {why}"))?;
        drop(stored);
        Decoder::new(shown)?.encode(&values)
    });
    made.map(Bytes::from).map_err(|reason| StoreError::Origin { file, reason })
}

/// The same part of a file is several chunks where several fields are in it.
fn tag(stored: &str, array: &ArrayMeta, shown: &serde_json::Value) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{stored} {} {shown}", array.metadata["codecs"]));
    format!("\"{}\"", hex(&hash.finalize()[..16]))
}
