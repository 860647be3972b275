//! Writing the next version of a collection.
//!
//! Encoders write data objects straight to their final files, under random names
//! that nothing refers to yet; the commit then makes one version of them. So a
//! process killed at any moment leaves the former version as it was and, at
//! worst, objects that nobody names: a marker file says so, and the next writer
//! removes them.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::TryStreamExt;
use icechunk::Repository;
use icechunk::format::format_constants::SpecVersionBin;
use icechunk::format::manifest::{ChunkPayload, ChunkRef};
use icechunk::format::snapshot::{ArrayShape, DimensionName, SnapshotProperties};
use icechunk::format::{ChunkId, ChunkIndices, Path as NodePath};
use icechunk::repository::VersionInfo as IcechunkVersion;
use serde_json::Value;

use super::{BRANCH, Granule, Snapshot, Store, StoreError, config, lock, repository_error};

/// Shorter chunks live in the manifest.
const INLINE_BYTES: usize = 512;

/// A stored chunk, not yet part of any version.
#[derive(Debug, Clone)]
pub struct Payload(ChunkPayload);

/// Takes encoded chunks; cheap to clone, safe to share between threads.
#[derive(Clone)]
pub struct ChunkSink {
    chunks_dir: Arc<Path>,
    written: Arc<Mutex<Vec<PathBuf>>>,
}

impl ChunkSink {
    /// # Errors
    /// The disk is full or fails.
    pub fn put(&self, bytes: Vec<u8>) -> Result<Payload, StoreError> {
        if bytes.len() <= INLINE_BYTES {
            return Ok(Payload(ChunkPayload::Inline(Bytes::from(bytes))));
        }
        let id = ChunkId::random();
        let path = self.chunks_dir.join(id.to_string());
        lock(&self.written).push(path.clone());
        std::fs::write(&path, &bytes).map_err(StoreError::io(&path))?;
        Ok(Payload(ChunkPayload::Ref(ChunkRef { id, offset: 0, length: bytes.len() as u64 })))
    }
}

/// A node of the next version.
pub struct Node {
    /// Without a leading slash; the root is empty.
    pub path: String,
    /// Its `zarr.json`.
    pub metadata: Value,
    /// Chunks written now, by their index.
    pub chunks: Vec<(Vec<u32>, Payload)>,
    /// Chunks of the former version stay, except where overwritten: the array grew.
    pub keep_chunks: bool,
}

/// The one writer of a collection. Dropped without a commit, it leaves nothing behind.
pub struct Writer<'a> {
    store: &'a Store,
    id: String,
    dir: PathBuf,
    sink: ChunkSink,
    repository: Arc<Repository>,
    former: Option<Arc<Snapshot>>,
    committed: bool,
    /// Held for the `flock`; last, so that it is released last.
    _lock: File,
}

impl Store {
    /// Becomes the writer of a collection, which need not exist.
    ///
    /// # Errors
    /// A bad id, another writer, a disk that cannot be written.
    pub async fn writer(&self, id: &str) -> Result<Writer<'_>, StoreError> {
        let dir = self.collection_dir(id)?;
        std::fs::create_dir_all(&dir).map_err(StoreError::io(&dir))?;
        let lock_path = dir.join(".lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(StoreError::io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(StoreError::Busy(id.to_owned())),
            Err(std::fs::TryLockError::Error(source)) => {
                return Err(StoreError::Io { path: lock_path, source });
            }
        }
        // The holder before us may have removed the directory with the lock in it.
        if !lock_path.exists() {
            return Err(StoreError::Busy(id.to_owned()));
        }
        let repo_dir = self.repo_dir(id)?;
        let former = match self.latest(id)? {
            Some(version) => Some(self.open_version(id, Some(&version)).await?),
            None => {
                // Nothing was ever published: what lies there is an ingest that died.
                if repo_dir.exists() {
                    std::fs::remove_dir_all(&repo_dir).map_err(StoreError::io(&repo_dir))?;
                }
                self.forget(id);
                None
            }
        };
        let repository = if former.is_some() {
            self.repository(id).await?
        } else {
            std::fs::create_dir_all(&repo_dir).map_err(StoreError::io(&repo_dir))?;
            let storage =
                icechunk::new_local_filesystem_storage(&repo_dir).await.map_err(repository_error)?;
            let created = Repository::create(storage)
                .config(config())
                .spec_version(SpecVersionBin::V1)
                .execute()
                .await
                .map_err(repository_error)?;
            Arc::new(created)
        };
        let chunks_dir = repo_dir.join("chunks");
        std::fs::create_dir_all(&chunks_dir).map_err(StoreError::io(&chunks_dir))?;
        let marker = dir.join(".writing");
        if marker.exists() {
            remove_orphans(&repository, &chunks_dir).await?;
        }
        std::fs::write(&marker, b"").map_err(StoreError::io(&marker))?;
        Ok(Writer {
            store: self,
            id: id.to_owned(),
            dir,
            sink: ChunkSink { chunks_dir: chunks_dir.into(), written: Arc::default() },
            repository,
            former,
            committed: false,
            _lock: lock,
        })
    }
}

impl Writer<'_> {
    /// The version that this one will follow; `None` for a new collection.
    pub fn former(&self) -> Option<&Arc<Snapshot>> {
        self.former.as_ref()
    }

    /// Folder for scratch files; they are unlinked at once, so that none outlives its process.
    pub fn scratch(&self) -> PathBuf {
        self.store.root.join("tmp")
    }

    pub fn sink(&self) -> ChunkSink {
        self.sink.clone()
    }

    /// Publishes: from here on "latest" is this version.
    ///
    /// # Errors
    /// Metadata without a shape, a disk that cannot be written.
    pub async fn commit(
        mut self,
        nodes: Vec<Node>,
        granules: &[Granule],
        message: &str,
    ) -> Result<String, StoreError> {
        let mut session = self.repository.writable_session(BRANCH).await.map_err(repository_error)?;
        for node in nodes {
            let path = NodePath::new(&format!("/{}", node.path)).map_err(repository_error)?;
            let document = Bytes::from(serde_json::to_vec(&node.metadata).map_err(repository_error)?);
            let exists = session.get_node(&path).await.is_ok();
            if node.metadata["node_type"] == "group" {
                if exists {
                    session.update_group(&path, document).await.map_err(repository_error)?;
                } else {
                    session.add_group(path, document).await.map_err(repository_error)?;
                }
                continue;
            }
            let (shape, names) = shape_of(&node)?;
            if exists && node.keep_chunks {
                session.update_array(&path, shape, names, document).await.map_err(repository_error)?;
            } else {
                if exists {
                    session.delete_array(path.clone()).await.map_err(repository_error)?;
                }
                session.add_array(path.clone(), shape, names, document).await.map_err(repository_error)?;
            }
            for (index, payload) in node.chunks {
                session
                    .set_chunk_ref(path.clone(), ChunkIndices(index), Some(payload.0))
                    .await
                    .map_err(repository_error)?;
            }
        }
        let mut properties = SnapshotProperties::new();
        properties.insert("granules".to_owned(), serde_json::to_value(granules).map_err(repository_error)?);
        let version =
            session.commit(message).properties(properties).execute().await.map_err(repository_error)?;
        self.committed = true;
        Ok(version.to_string())
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        // Failures here leave orphans, which the next writer finds by the marker.
        if !self.committed {
            if self.former.is_none() {
                let _ = std::fs::remove_dir_all(&self.dir);
                self.store.forget(&self.id);
                return;
            }
            for path in lock(&self.sink.written).drain(..) {
                let _ = std::fs::remove_file(path);
            }
        }
        let _ = std::fs::remove_file(self.dir.join(".writing"));
    }
}

fn shape_of(node: &Node) -> Result<(ArrayShape, Option<Vec<DimensionName>>), StoreError> {
    let bad = |what: &str| StoreError::Corrupt { path: node.path.clone(), reason: format!("no {what}") };
    let list = |v: &Value| v.as_array()?.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>();
    let shape = list(&node.metadata["shape"]).ok_or_else(|| bad("shape"))?;
    let chunk = list(&node.metadata["chunk_grid"]["configuration"]["chunk_shape"])
        .ok_or_else(|| bad("chunk_shape"))?;
    let counts = shape.iter().zip(&chunk).map(|(n, c)| {
        let count = n.checked_div(*c).map(|_| n.div_ceil(*c)).and_then(|c| u32::try_from(c).ok());
        count.map(|count| (*n, count))
    });
    let counts: Vec<(u64, u32)> = counts.collect::<Option<_>>().ok_or_else(|| bad("usable chunk count"))?;
    let shape = ArrayShape::new(counts).ok_or_else(|| bad("shape"))?;
    let names = node.metadata["dimension_names"]
        .as_array()
        .map(|names| names.iter().map(|n| DimensionName::from(n.as_str())).collect());
    Ok((shape, names))
}

/// Deletes data objects that no version names: an ingest died before its commit.
async fn remove_orphans(repository: &Repository, chunks_dir: &Path) -> Result<(), StoreError> {
    let tip = IcechunkVersion::BranchTipRef(BRANCH.to_owned());
    let history: Vec<_> = repository
        .ancestry(&tip)
        .await
        .map_err(repository_error)?
        .try_collect()
        .await
        .map_err(repository_error)?;
    let mut named = HashSet::new();
    for s in history {
        let session = repository
            .readonly_session(&IcechunkVersion::SnapshotId(s.id))
            .await
            .map_err(repository_error)?;
        let chunks = session.all_chunks().await.map_err(repository_error)?;
        let mut chunks = std::pin::pin!(chunks);
        while let Some((_, chunk)) = chunks.try_next().await.map_err(repository_error)? {
            if let ChunkPayload::Ref(r) = chunk.payload {
                named.insert(r.id.to_string());
            }
        }
    }
    for entry in std::fs::read_dir(chunks_dir).map_err(StoreError::io(chunks_dir))?.flatten() {
        if entry.file_name().to_str().is_none_or(|n| !named.contains(n)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}
