//! One published version, read.
//!
//! A chunk's request should cost what a static file's costs, so a version keeps
//! its metadata as ready bytes and remembers where chunks lie; the bytes
//! themselves stay on disk and are named, not read ([`Location`]).

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use graticule_shared::shard::{self, Span};
use graticule_shared::zarr::{ArrayMeta, Hierarchy};
use icechunk::Repository;
use icechunk::format::manifest::{Checksum, ChunkPayload};
use icechunk::format::snapshot::NodeSnapshot;
use icechunk::format::{ChunkIndices, Path as NodePath, SnapshotId};
use icechunk::repository::VersionInfo as IcechunkVersion;
use icechunk::session::Session;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::derived::Derived;
use super::documents::{Document, Documents, documents, etag_of, hex};
use super::{StoreError, VersionInfo, lock, repository_error};
use crate::codec::Decoder;
use crate::reference::origin;

/// Chunk locations and shard indices remembered per version.
const LOCATIONS_KEPT: usize = 4096;
const INDICES_KEPT: usize = 256;

/// Blocks being read and decoded at once, by all requests together: more threads would share the
/// same cores, and each keeps buffers of its own.
static READING: LazyLock<Semaphore> = LazyLock::new(|| {
    Semaphore::new(2 * std::thread::available_parallelism().map_or(2, std::num::NonZero::get))
});

/// Where the stored bytes of a chunk are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Inline {
        bytes: Bytes,
        etag: Arc<str>,
    },
    File {
        path: Arc<Path>,
        offset: u64,
        length: u64,
        etag: Arc<str>,
    },
    /// In a file elsewhere, as it was when last modified (seconds since 1970).
    Virtual {
        url: Arc<str>,
        offset: u64,
        length: u64,
        modified: Option<u32>,
        etag: Arc<str>,
    },
    /// Computed just now, of a view.
    Made {
        bytes: Bytes,
        etag: Arc<str>,
    },
}

impl Location {
    /// Strong, quotes included.
    pub fn etag(&self) -> &Arc<str> {
        match self {
            Self::Inline { etag, .. }
            | Self::File { etag, .. }
            | Self::Virtual { etag, .. }
            | Self::Made { etag, .. } => etag,
        }
    }

    pub fn len(&self) -> u64 {
        match self {
            Self::Inline { bytes, .. } | Self::Made { bytes, .. } => bytes.len() as u64,
            Self::File { length, .. } | Self::Virtual { length, .. } => *length,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

type ShardIndex = Arc<Vec<Option<Span>>>;

pub struct Snapshot {
    pub(super) collection: String,
    pub(super) info: VersionInfo,
    pub(super) backing: Backing,
    pub(super) root: Document,
    pub(super) nodes: BTreeMap<String, Document>,
    pub(super) hierarchy: Arc<Hierarchy>,
    pub(super) decoders: Mutex<HashMap<String, Arc<Decoder>>>,
}

/// Where the chunks of a version come from.
pub(super) enum Backing {
    Stored(Box<Stored>),
    Derived(Arc<dyn Derived>),
}

pub(super) struct Stored {
    chunks_dir: PathBuf,
    session: Session,
    locations: Mutex<HashMap<String, Option<Location>>>,
    indices: Mutex<HashMap<String, ShardIndex>>,
}

impl Snapshot {
    pub(super) async fn open(
        collection: &str,
        repo_dir: &Path,
        repository: &Repository,
        version: &str,
    ) -> Result<Self, StoreError> {
        let missing =
            || StoreError::NoVersion { collection: collection.to_owned(), version: version.to_owned() };
        let id = SnapshotId::try_from(version).map_err(|_| missing())?;
        // A version's name has one spelling, so that URLs have one too.
        if id.is_initial() || id.to_string() != version {
            return Err(missing());
        }
        if !repo_dir.join("snapshots").join(version).is_file() {
            return Err(missing());
        }
        let info = repository.lookup_snapshot(&id).await.map_err(repository_error)?;
        let session =
            repository.readonly_session(&IcechunkVersion::SnapshotId(id)).await.map_err(repository_error)?;
        let listed: Vec<NodeSnapshot> = session
            .list_nodes(&NodePath::root())
            .await
            .map_err(repository_error)?
            .collect::<Result<_, _>>()
            .map_err(repository_error)?;
        let Documents { root, nodes, stored } = documents(&listed)?;
        let hierarchy = Hierarchy::from_v3(stored.as_ref().unwrap_or(&root.bytes)).map_err(|e| {
            StoreError::Corrupt { path: format!("{collection}@{version}"), reason: e.to_string() }
        })?;
        Ok(Self {
            collection: collection.to_owned(),
            info: VersionInfo::new(info),
            backing: Backing::Stored(Box::new(Stored {
                chunks_dir: repo_dir.join("chunks"),
                session,
                locations: Mutex::default(),
                indices: Mutex::default(),
            })),
            root,
            nodes,
            hierarchy: Arc::new(hierarchy),
            decoders: Mutex::default(),
        })
    }

    pub fn collection(&self) -> &str {
        &self.collection
    }
    pub fn version(&self) -> &str {
        &self.info.id
    }
    /// Microseconds since 1970, UTC.
    pub fn published_at_micros(&self) -> i64 {
        self.info.time_micros
    }
    pub fn message(&self) -> &str {
        &self.info.message
    }
    pub fn info(&self) -> &VersionInfo {
        &self.info
    }
    pub fn hierarchy(&self) -> &Arc<Hierarchy> {
        &self.hierarchy
    }

    /// The root's `zarr.json`, with every node consolidated inline. Arrays whose chunks only a
    /// file's reader decodes are described as they are handed out ([`crate::codec::presented`]);
    /// [`Snapshot::hierarchy`] describes all as they are stored.
    pub fn root_json(&self) -> &Document {
        &self.root
    }

    /// `zarr.json` of a node; the empty path is the root.
    pub fn node_json(&self, path: &str) -> Option<&Document> {
        if path.is_empty() { Some(&self.root) } else { self.nodes.get(path) }
    }

    /// The array that a chunk's key is of.
    pub fn array_of(&self, key: &str) -> Option<&ArrayMeta> {
        self.parse_key(key).map(|(array, _)| array)
    }

    /// Splits `sst/c/0/1/2` into the array and the chunk's indices.
    fn parse_key(&self, key: &str) -> Option<(&ArrayMeta, Vec<u32>)> {
        let (path, indices) =
            match key.split_once("/c/").filter(|(p, _)| self.hierarchy.arrays.contains_key(*p)) {
                Some(found) => found,
                // An array or group may itself be called "c"; and a scalar's key has no indices.
                None => key
                    .match_indices("/c")
                    .map(|(at, _)| (&key[..at], key[at + 2..].trim_start_matches('/')))
                    .find(|(p, rest)| {
                        self.hierarchy.arrays.contains_key(*p)
                            && rest.bytes().all(|b| b.is_ascii_digit() || b == b'/')
                    })?,
            };
        let array = self.hierarchy.arrays.get(path)?;
        let numbers = if indices.is_empty() {
            Vec::new()
        } else {
            indices
                .split('/')
                // One spelling per chunk: no "+1", no "01".
                .map(|s| s.parse::<u32>().ok().filter(|n| n.to_string() == s))
                .collect::<Option<Vec<_>>>()?
        };
        let inside = numbers.len() == array.shape.len()
            && numbers.iter().zip(array.grid_shape()).all(|(i, n)| u64::from(*i) < n);
        inside.then_some((array, numbers))
    }

    /// Where the chunk with this key is; `None` where none is stored.
    ///
    /// # Errors
    /// A manifest that cannot be read.
    pub async fn chunk_location(&self, key: &str) -> Result<Option<Location>, StoreError> {
        let stored = match &self.backing {
            Backing::Stored(stored) => stored,
            Backing::Derived(from) => {
                let Some((array, indices)) = self.parse_key(key) else { return Ok(None) };
                let index: Vec<u64> = indices.iter().map(|i| u64::from(*i)).collect();
                if let Some(below) =
                    from.passed(&array.path).and_then(|p| from.base().hierarchy.arrays.get(p))
                {
                    let key = below.chunk_key(&index);
                    return Box::pin(from.base().chunk_location(&key)).await;
                }
                return self.made(from, array, &index).await;
            }
        };
        if let Some(found) = lock(&stored.locations).get(key) {
            return Ok(found.clone());
        }
        let Some((array, indices)) = self.parse_key(key) else { return Ok(None) };
        let path = NodePath::new(&format!("/{}", array.path)).map_err(repository_error)?;
        let payload =
            stored.session.get_chunk_ref(&path, &ChunkIndices(indices)).await.map_err(repository_error)?;
        let location = payload.and_then(|p| stored.located(p));
        let mut kept = lock(&stored.locations);
        if kept.len() >= LOCATIONS_KEPT {
            kept.clear();
        }
        kept.insert(key.to_owned(), location.clone());
        Ok(location)
    }

    /// The chunks of this version that lie in files elsewhere, one by one.
    ///
    /// # Errors
    /// A manifest that cannot be read.
    pub async fn references(
        &self,
    ) -> Result<impl Stream<Item = Result<Elsewhere, StoreError>> + '_, StoreError> {
        // A view refers to what the version beneath does.
        let mut at = self;
        while let Backing::Derived(from) = &at.backing {
            at = from.base();
        }
        let chunks = at.stored()?.session.all_chunks().await.map_err(repository_error)?;
        Ok(chunks.map_err(repository_error).try_filter_map(|(_, chunk)| async move {
            let ChunkPayload::Virtual(v) = chunk.payload else { return Ok(None) };
            let modified = modified(v.checksum.as_ref());
            Ok(Some(Elsewhere {
                url: v.location.url().to_owned(),
                offset: v.offset,
                length: v.length,
                modified,
            }))
        }))
    }

    /// The stored chunks of one array with where they are, one by one.
    ///
    /// # Errors
    /// No such array, a manifest that cannot be read.
    pub async fn chunks_of(
        &self,
        path: &str,
    ) -> Result<impl Stream<Item = Result<(Vec<u64>, Location), StoreError>> + '_, StoreError> {
        let path = NodePath::new(&format!("/{path}")).map_err(repository_error)?;
        let stored = self.stored()?;
        let chunks = stored.session.array_chunk_iterator(&path).await;
        Ok(chunks.map_err(repository_error).try_filter_map(|chunk| {
            let index = chunk.coord.0.iter().map(|i| u64::from(*i)).collect();
            let found = stored.located(chunk.payload).map(|location| (index, location));
            async move { Ok(found) }
        }))
    }

    fn stored(&self) -> Result<&Stored, StoreError> {
        match &self.backing {
            Backing::Stored(stored) => Ok(stored),
            Backing::Derived(_) => Err(StoreError::IsView(self.collection.clone())),
        }
    }

    /// Decoded values of one block (an inner chunk of a shard, or a whole chunk
    /// where there are no shards): native-endian bytes of `array.block_shape()`.
    /// A block that is not stored is the fill value.
    ///
    /// # Errors
    /// An index outside the array, bytes that do not decode.
    pub async fn read_block(&self, array: &ArrayMeta, block: &[u64]) -> Result<Vec<u8>, StoreError> {
        let corrupt = |reason: String| StoreError::Corrupt { path: array.path.clone(), reason };
        let block_shape = array.block_shape();
        if block.len() != array.shape.len()
            || block.iter().zip(block_shape).zip(&array.shape).any(|((b, s), n)| b.saturating_mul(*s) >= *n)
        {
            return Err(corrupt(format!("block {block:?} is outside the array {:?}", array.shape)));
        }
        if let Backing::Derived(from) = &self.backing {
            if !self.is_step() {
                return Box::pin(self.kept_block(array, block)).await;
            }
            // The next step reads it once, and what comes of that is kept.
            return match from.passed(&array.path).and_then(|p| from.base().hierarchy.arrays.get(p)) {
                Some(below) => Box::pin(from.base().read_block(below, block)).await,
                None => self.computed(from, array, block).await,
            };
        }
        let decoder = self.decoder(array)?;
        let Placed { key, within, chunks } = placed(array, block);
        let Some(location) = self.chunk_location(&key).await? else { return Ok(decoder.fill()) };
        // It is never closed; without a turn it would be read all the same.
        let _turn = READING.acquire().await;
        let Some(sharding) = &array.sharding else {
            let len = location.len();
            let bytes = fetch(location, 0, len).await?;
            return decode(decoder, bytes).await.map_err(corrupt);
        };
        let index =
            self.shard_index(&key, &location, chunks, sharding.index_at_end, sharding.index_crc32c).await?;
        match index.get(within as usize).copied().flatten() {
            None => Ok(decoder.fill()),
            Some(span) => {
                let bytes = fetch(location, span.offset, span.length).await?;
                decode(decoder, bytes).await.map_err(corrupt)
            }
        }
    }

    /// The key of the shard that an inner chunk lies in, and where; `None` where it is not stored, or
    /// the array has no shards. `block` lies inside the array.
    ///
    /// # Errors
    /// A manifest or an index that cannot be read.
    pub async fn inner_chunk(
        &self,
        array: &ArrayMeta,
        block: &[u64],
    ) -> Result<Option<(String, Span)>, StoreError> {
        let Some(sharding) = &array.sharding else { return Ok(None) };
        let Placed { key, within, chunks } = placed(array, block);
        let Some(location) = self.chunk_location(&key).await? else { return Ok(None) };
        let index =
            self.shard_index(&key, &location, chunks, sharding.index_at_end, sharding.index_crc32c).await?;
        let span = usize::try_from(within).ok().and_then(|i| index.get(i).copied().flatten());
        Ok(span.map(|span| (key, span)))
    }

    async fn shard_index(
        &self,
        key: &str,
        location: &Location,
        chunks: u64,
        at_end: bool,
        crc32c: bool,
    ) -> Result<ShardIndex, StoreError> {
        if let Ok(stored) = self.stored()
            && let Some(found) = lock(&stored.indices).get(key)
        {
            return Ok(Arc::clone(found));
        }
        let corrupt = |reason: String| StoreError::Corrupt { path: key.to_owned(), reason };
        let len = shard::index_len(chunks, crc32c);
        let Some(start) = location.len().checked_sub(len) else {
            return Err(corrupt(format!("shard has {} bytes, its index alone needs {len}", location.len())));
        };
        let bytes = fetch(location.clone(), if at_end { start } else { 0 }, len).await?;
        let index = shard::parse_index(&bytes, chunks, crc32c).map_err(|e| corrupt(e.to_string()))?;
        if let Some(s) = index.iter().flatten().find(|s| s.offset + s.length > location.len()) {
            return Err(corrupt(format!("inner chunk at {}+{} is past the shard's end", s.offset, s.length)));
        }
        let index = Arc::new(index);
        if let Ok(stored) = self.stored() {
            let mut kept = lock(&stored.indices);
            if kept.len() >= INDICES_KEPT {
                kept.clear();
            }
            kept.insert(key.to_owned(), Arc::clone(&index));
        }
        Ok(index)
    }

    pub(crate) fn decoder(&self, array: &ArrayMeta) -> Result<Arc<Decoder>, StoreError> {
        if let Some(d) = lock(&self.decoders).get(&array.path) {
            return Ok(Arc::clone(d));
        }
        let d = Decoder::new(array.block_metadata())
            .map_err(|reason| StoreError::Corrupt { path: array.path.clone(), reason })?;
        let d = Arc::new(d);
        lock(&self.decoders).insert(array.path.clone(), Arc::clone(&d));
        Ok(d)
    }
}

impl Stored {
    fn located(&self, payload: ChunkPayload) -> Option<Location> {
        Some(match payload {
            ChunkPayload::Inline(bytes) => {
                let etag = etag_of(&bytes);
                Location::Inline { bytes, etag }
            }
            ChunkPayload::Ref(r) => {
                let id = r.id.to_string();
                let etag = format!("\"{id}-{}-{}\"", r.offset, r.length).into();
                let path = self.chunks_dir.join(&id).into();
                Location::File { path, offset: r.offset, length: r.length, etag }
            }
            ChunkPayload::Virtual(v) => {
                let url: Arc<str> = v.location.url().into();
                let mut hash = Sha256::new();
                hash.update(format!("{url} {} {} {:?}", v.offset, v.length, v.checksum));
                let etag = format!("\"{}\"", hex(&hash.finalize()[..16])).into();
                let modified = modified(v.checksum.as_ref());
                Location::Virtual { url, offset: v.offset, length: v.length, modified, etag }
            }
            _ => return None,
        })
    }
}

/// A chunk in a file elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    pub url: String,
    pub offset: u64,
    pub length: u64,
    pub modified: Option<u32>,
}

fn modified(checksum: Option<&Checksum>) -> Option<u32> {
    match checksum {
        Some(Checksum::LastModified(at)) => Some(at.0),
        _ => None,
    }
}

/// Where a block lies among the stored chunks.
struct Placed {
    key: String,
    /// Its number in the shard, and how many that has; 0 of 1 without shards.
    within: u64,
    chunks: u64,
}

fn placed(array: &ArrayMeta, block: &[u64]) -> Placed {
    // Blocks per stored chunk along each dimension; 1 without shards.
    let per: Vec<u64> = array.chunk_shape.iter().zip(array.block_shape()).map(|(c, b)| c / b).collect();
    let chunk: Vec<u64> = block.iter().zip(&per).map(|(b, p)| b / p).collect();
    let within = block.iter().zip(&per).fold(0u64, |at, (b, p)| at * p + b % p);
    Placed { key: array.chunk_key(&chunk), within, chunks: per.iter().product() }
}

async fn decode(decoder: Arc<Decoder>, bytes: Bytes) -> Result<Vec<u8>, String> {
    tokio::task::spawn_blocking(move || decoder.decode(&bytes)).await.map_err(|e| e.to_string())?
}

async fn fetch(location: Location, offset: u64, length: u64) -> Result<Bytes, StoreError> {
    match location {
        Location::Inline { bytes, .. } | Location::Made { bytes, .. } => {
            let (from, to) = (offset as usize, (offset + length) as usize);
            if to > bytes.len() {
                return Err(StoreError::Corrupt { path: "inline chunk".into(), reason: "too short".into() });
            }
            Ok(bytes.slice(from..to))
        }
        Location::File { path, offset: base, length: whole, .. } => {
            let read = move || {
                let io = |reason| StoreError::Io { path: path.to_path_buf(), reason };
                let file = File::open(&path).map_err(io)?;
                // The manifest's length is checked, so that no lie in it decides an allocation.
                let size = file.metadata().map_err(io)?.len();
                if offset + length > whole || base + offset + length > size {
                    return Err(StoreError::Corrupt {
                        path: path.display().to_string(),
                        reason: format!("bytes {offset}+{length} are past its end ({size})"),
                    });
                }
                let mut buffer = vec![0; length as usize];
                file.read_exact_at(&mut buffer, base + offset).map_err(io)?;
                Ok(Bytes::from(buffer))
            };
            tokio::task::spawn_blocking(read).await.map_err(repository_error)?
        }
        Location::Virtual { url, offset: base, length: whole, modified, .. } => {
            let outside =
                || StoreError::Corrupt { path: url.to_string(), reason: "past the chunk's end".into() };
            if offset.checked_add(length).is_none_or(|end| end > whole) {
                return Err(outside());
            }
            let file = origin::path(&url).ok_or_else(outside)?;
            let read = move || {
                let bytes = origin::read(&file, base.saturating_add(offset), length, modified);
                bytes.map(Bytes::from).map_err(|reason| StoreError::Origin { file, reason })
            };
            tokio::task::spawn_blocking(read).await.map_err(repository_error)?
        }
    }
}
