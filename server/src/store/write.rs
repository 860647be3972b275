//! Writing the next version of a collection.
//!
//! Encoders write data objects straight to their final files, under random names
//! that nothing refers to yet; the commit then makes one version of them. So a
//! process killed at any moment leaves the former version as it was and, at
//! worst, objects that nobody names: a marker file lists them, and the next writer
//! removes them. What a commit names is on the disk before the commit is.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bytes::Bytes;
use graticule_formats::ChunkSpan;
use icechunk::Repository;
use icechunk::format::format_constants::SpecVersionBin;
use icechunk::format::manifest::{
    Checksum, ChunkPayload, ChunkRef, SecondsSinceEpoch, VirtualChunkLocation, VirtualChunkRef,
};
use icechunk::format::snapshot::{ArrayShape, DimensionName, SnapshotProperties};
use icechunk::format::{ChunkIndices, Path as NodePath, SnapshotId};
use serde_json::Value;

use super::history::{CHANGE, Change, GRANULES, Granule};
use super::{BRANCH, Snapshot, Store, StoreError, config, durable, leftovers, lock, names, repository_error};

/// Shorter chunks live in the manifest.
const INLINE_BYTES: usize = 512;

/// A stored chunk, not yet part of any version.
#[derive(Debug, Clone)]
pub struct Payload(ChunkPayload);

impl Payload {
    /// Part of a file elsewhere, as it was when last modified.
    ///
    /// # Errors
    /// A URL that Icechunk does not take.
    pub fn elsewhere(url: &str, offset: u64, length: u64, modified: u32) -> Result<Self, StoreError> {
        Ok(Self(ChunkPayload::Virtual(VirtualChunkRef {
            location: VirtualChunkLocation::from_url(url).map_err(repository_error)?,
            offset,
            length,
            checksum: Some(Checksum::LastModified(SecondsSinceEpoch(modified))),
        })))
    }
}

/// Chunks that are parts of files elsewhere, as small as they come: a collection may refer to
/// millions of them, and what Icechunk holds of one is ten times as large.
#[derive(Debug)]
pub struct Parts {
    /// Chunks along each axis of the box that the spans count in.
    grid: Vec<u64>,
    /// The index of the box's first chunk.
    first: Vec<u64>,
    /// URLs, and when each file was last modified.
    files: Vec<(String, u32)>,
    spans: Vec<ChunkSpan>,
}

impl Parts {
    /// # Errors
    /// A box that reaches beyond what an index can say, a URL that Icechunk does not take, a span
    /// of a file or a chunk that there is not.
    pub fn new(
        grid: Vec<u64>,
        first: Vec<u64>,
        files: Vec<(String, u32)>,
        mut spans: Vec<ChunkSpan>,
    ) -> Result<Self, StoreError> {
        let ends = grid.iter().zip(&first).map(|(n, f)| n.checked_add(*f));
        let total = grid.iter().try_fold(1u64, |t, n| t.checked_mul(*n));
        let fits = ends.into_iter().all(|e| e.is_some_and(|e| e <= u64::from(u32::MAX)));
        let inside = |s: &ChunkSpan| total.is_some_and(|t| s.index < t) && (s.file as usize) < files.len();
        if !fits || grid.len() != first.len() || !spans.iter().all(inside) {
            let reason = format!("chunks that are not among the {grid:?} from {first:?} on");
            return Err(StoreError::Corrupt { path: "references".to_owned(), reason });
        }
        for (url, _) in &files {
            VirtualChunkLocation::from_url(url).map_err(repository_error)?;
        }
        spans.shrink_to_fit();
        Ok(Self { grid, first, files, spans })
    }

    /// Each with its index.
    fn payloads(&self) -> impl Iterator<Item = Result<(ChunkIndices, ChunkPayload), StoreError>> {
        self.spans.iter().map(|s| {
            let (mut rest, mut index) = (s.index, vec![0; self.grid.len()]);
            for ((i, n), first) in index.iter_mut().zip(&self.grid).zip(&self.first).rev() {
                *i = u32::try_from(rest % n.max(&1) + first).map_err(repository_error)?;
                rest /= n.max(&1);
            }
            let (url, modified) = self.files.get(s.file as usize).map_or(("", 0), |(u, m)| (u.as_str(), *m));
            let payload = Payload::elsewhere(url, s.offset, s.length, modified)?;
            Ok((ChunkIndices(index), payload.0))
        })
    }
}

/// Takes encoded chunks; cheap to clone, safe to share between threads.
#[derive(Clone)]
pub struct ChunkSink {
    chunks_dir: Arc<Path>,
    written: Arc<Mutex<Vec<PathBuf>>>,
    /// The marker file: each object's name, before the object itself.
    journal: Arc<Mutex<File>>,
}

impl ChunkSink {
    /// # Errors
    /// The disk is full or fails.
    pub fn put(&self, bytes: Vec<u8>) -> Result<Payload, StoreError> {
        if bytes.len() <= INLINE_BYTES {
            return Ok(Payload(ChunkPayload::Inline(Bytes::from(bytes))));
        }
        let id = names::of_content(&bytes)?;
        let path = self.chunks_dir.join(id.to_string());
        lock(&self.journal).write_all(format!("{id}\n").as_bytes()).map_err(StoreError::io(&path))?;
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
    /// Chunks written now, by their index; `None` where nothing but fill is there any more.
    pub chunks: Vec<(Vec<u32>, Option<Payload>)>,
    /// And those that are parts of files elsewhere.
    pub parts: Vec<Parts>,
    /// Chunks of the former version stay, except where overwritten: the array grew.
    pub keep_chunks: bool,
}

/// The one writer of a collection. Dropped without a commit, it leaves nothing behind.
pub struct Writer<'a> {
    pub(super) store: &'a Store,
    pub(super) id: String,
    dir: PathBuf,
    sink: ChunkSink,
    pub(super) repository: Arc<Repository>,
    former: Option<Arc<Snapshot>>,
    started: SystemTime,
    committed: bool,
    /// Held for the `flock`; last, so that it is released last.
    _lock: File,
}

impl Store {
    /// Takes the lock of a collection, whose directory must exist.
    pub(super) fn lock_collection(&self, id: &str) -> Result<File, StoreError> {
        let path = self.collection_dir(id)?.join(".lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(StoreError::io(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(StoreError::Busy(id.to_owned())),
            Err(std::fs::TryLockError::Error(reason)) => return Err(StoreError::Io { path, reason }),
        }
        // The holder before us may have removed the directory with the lock in it.
        if path.exists() { Ok(lock) } else { Err(StoreError::Busy(id.to_owned())) }
    }

    /// Becomes the writer of a collection, which need not exist.
    ///
    /// # Errors
    /// A bad id, another writer, a disk that cannot be written.
    pub async fn writer(&self, id: &str) -> Result<Writer<'_>, StoreError> {
        let dir = self.collection_dir(id)?;
        if self.view(id)?.is_some() {
            return Err(StoreError::IsView(id.to_owned()));
        }
        std::fs::create_dir_all(&dir).map_err(StoreError::io(&dir))?;
        let lock = self.lock_collection(id)?;
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
        let made = async {
            if former.is_some() {
                return self.repository(id).await;
            }
            std::fs::create_dir_all(&repo_dir).map_err(StoreError::io(&repo_dir))?;
            let storage =
                icechunk::new_local_filesystem_storage(&repo_dir).await.map_err(repository_error)?;
            Repository::create(storage)
                .config(config())
                .spec_version(SpecVersionBin::V1)
                .execute()
                .await
                .map(Arc::new)
                .map_err(repository_error)
        };
        let chunks_dir = repo_dir.join("chunks");
        let marker = dir.join(".writing");
        let prepared = async {
            let repository = made.await?;
            std::fs::create_dir_all(&chunks_dir).map_err(StoreError::io(&chunks_dir))?;
            if former.is_some() {
                leftovers::of_a_killed_writer(self, id, &repository, &marker).await?;
            }
            let journal = File::create(&marker).map_err(StoreError::io(&marker))?;
            Ok::<_, StoreError>((repository, journal))
        };
        let (repository, journal) = match prepared.await {
            Ok(made) => made,
            Err(e) => {
                if former.is_none() {
                    let _ = std::fs::remove_dir_all(&dir);
                }
                return Err(e);
            }
        };
        Ok(Writer {
            store: self,
            id: id.to_owned(),
            dir,
            sink: ChunkSink {
                chunks_dir: chunks_dir.into(),
                written: Arc::default(),
                journal: Arc::new(Mutex::new(journal)),
            },
            repository,
            former,
            started: SystemTime::now(),
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

    /// Takes back what was put since the last commit: what it was of is not published.
    pub fn discard(&self) {
        for path in lock(&self.sink.written).drain(..) {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Publishes: from here on "latest" is this version, and it is on the disk.
    ///
    /// # Errors
    /// Metadata without a shape, a disk that cannot be written.
    pub async fn commit(
        mut self,
        nodes: Vec<Node>,
        granules: &[Granule],
        change: &Change,
        message: &str,
    ) -> Result<String, StoreError> {
        let outcome = async {
            let version = self.flush(nodes, granules, change, message).await?;
            self.publish(&version).await
        };
        match outcome.await {
            Ok(version) => Ok(version),
            Err(e) => Err(self.give_up(e).await),
        }
    }

    /// Stores a snapshot that no branch names yet.
    async fn flush(
        &self,
        nodes: Vec<Node>,
        granules: &[Granule],
        change: &Change,
        message: &str,
    ) -> Result<SnapshotId, StoreError> {
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
                    .set_chunk_ref(path.clone(), ChunkIndices(index), payload.map(|p| p.0))
                    .await
                    .map_err(repository_error)?;
            }
            // Each box is let go before the next is unfolded.
            for parts in node.parts {
                for part in parts.payloads() {
                    let (index, payload) = part?;
                    let set = session.set_chunk_ref(path.clone(), index, Some(payload)).await;
                    set.map_err(repository_error)?;
                }
            }
        }
        let properties = properties(granules, change)?;
        let flushed = session.commit(message).properties(properties).anonymous().execute().await;
        flushed.map_err(repository_error)
    }

    /// Puts everything of a flushed snapshot on the disk, then points the branch to it.
    pub(super) async fn publish(&mut self, version: &SnapshotId) -> Result<String, StoreError> {
        let repo_dir = self.store.repo_dir(&self.id)?;
        let mut files: Vec<PathBuf> = lock(&self.sink.written).clone();
        for (folder, name) in [("snapshots", version), ("transactions", version)] {
            files.push(repo_dir.join(folder).join(name.to_string()));
        }
        let before = match &self.former {
            Some(former) => leftovers::manifests(&self.repository, former.version()).await?,
            None => HashSet::new(),
        };
        let after = leftovers::manifests(&self.repository, &version.to_string()).await?;
        files.extend(after.difference(&before).map(|m| repo_dir.join("manifests").join(m)));
        let mut folders: Vec<PathBuf> =
            ["chunks", "manifests", "snapshots", "transactions"].map(|f| repo_dir.join(f)).into();
        folders.retain(|f| f.is_dir());
        let first = self.former.is_none();
        let tip = repo_dir.join("refs").join(format!("branch.{BRANCH}")).join("ref.json");
        let body = serde_json::json!({"snapshot": version.to_string()}).to_string();
        let (new, collections) = (self.dir.join(".ref.new"), self.store.root.join("collections"));
        let done = tokio::task::spawn_blocking(move || {
            if first {
                // Directories and the repository's own files are new as well.
                durable::sync_file_system(&collections)?;
            } else {
                durable::sync(&files, &folders)?;
            }
            durable::replace(&tip, body.as_bytes(), &new)
        });
        let done = done.await.map_err(repository_error)?;
        let version = version.to_string();
        // Once the branch names it, its objects must stay, whatever failed after that.
        self.committed = done.is_ok() || self.store.latest(&self.id)?.as_ref() == Some(&version);
        done.map(|()| version)
    }

    /// Removes what a failed commit left; returns the reason, said as an operator needs it.
    pub(super) async fn give_up(&self, reason: StoreError) -> StoreError {
        if !self.committed
            && self.former.is_some()
            && let Err(e) = leftovers::metadata(self.store, &self.id, &self.repository, self.started).await
        {
            tracing::warn!(collection = %self.id, error = %e, "what a failed commit left stays there");
        }
        reason
    }
}

/// What a commit says of itself.
pub(super) fn properties(granules: &[Granule], change: &Change) -> Result<SnapshotProperties, StoreError> {
    let mut properties = SnapshotProperties::new();
    properties.insert(GRANULES.to_owned(), serde_json::to_value(granules).map_err(repository_error)?);
    properties.insert(CHANGE.to_owned(), serde_json::to_value(change).map_err(repository_error)?);
    Ok(properties)
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
            self.discard();
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
