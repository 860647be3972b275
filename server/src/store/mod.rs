//! Where collections live: one Icechunk repository each, on the local disk.
//!
//! Readers must never meet a half-written cube, and what was published must
//! never change under them. Icechunk gives both: data objects are written once
//! under random names, and a version becomes visible when one small file, the
//! branch's tip, is replaced.
//!
//! **Invariants:** one writer per collection (an exclusive `flock`, which the
//! kernel drops with the process); a collection exists once its branch has a
//! commit of ours; nothing here decodes a chunk except [`Snapshot::read_block`].

mod derived;
mod documents;
pub mod durable;
pub mod history;
mod inspect;
mod leftovers;
pub mod lineage;
pub mod names;
mod read;
mod retain;
mod retire;
mod rollback;
mod slab;
mod write;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use icechunk::Repository;
use icechunk::config::{
    CachingConfig, ManifestConfig, ManifestPreloadConfig, ManifestSplitCondition, ManifestSplitDim,
    ManifestSplitDimCondition, ManifestSplittingConfig, RepositoryConfig,
};

pub use derived::{Derived, Effort, digest};
pub use documents::Document;
pub(crate) use documents::hex;
pub use history::{
    Change, Ending, Extent, Former, Granule, Kind, Living, Origin, Past, Standing, VersionInfo,
};
pub use inspect::{Held, Reference};
pub use lineage::Lineage;
pub use read::{Elsewhere, Location, Snapshot};
pub use retain::{Expiry, Retention};
pub use rollback::{changed, lengths};
pub use slab::slab;
pub use write::{ChunkSink, Node, Parts, Payload, Writer};

const BRANCH: &str = "main";
/// Open repositories kept; one costs about 100 KB.
const REPOSITORIES_KEPT: usize = 64;
/// Chunks that one manifest lists, along the first axis, which is the one that grows most often,
/// and along the others: few enough that one is written and read in little memory and time.
const MANIFEST_CHUNKS: [u32; 2] = [128, 32];
/// Versions kept with their metadata parsed.
const SNAPSHOTS_KEPT: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "{0:?} is no collection id: letters, digits, '_', '-' and single dots, at most 63, beginning with a letter or digit"
    )]
    BadId(String),
    #[error("there is no collection {0:?}")]
    NoCollection(String),
    #[error("collection {collection:?} has no version {version:?}")]
    NoVersion { collection: String, version: String },
    #[error(
        "version {version:?} of collection {collection:?} has expired: retention removed it; newer versions stand"
    )]
    Expired { collection: String, version: String },
    #[error(
        "version {version:?} is the latest of collection {collection:?} already; there is nothing to go back from"
    )]
    AlreadyLatest { collection: String, version: String },
    #[error(
        "collection {0:?} is retired already; `graticule remove --purge` deletes what is retired, `graticule restore` brings it back"
    )]
    RetiredAlready(String),
    #[error("no collection {0:?} is retired")]
    NotRetired(String),
    #[error("there is a collection {0:?} again; retire it before the one that was retired is restored")]
    InTheWay(String),
    #[error("collection {0:?} is being written by another process; one writer at a time")]
    Busy(String),
    #[error("{path}: {reason}")]
    Io { path: PathBuf, reason: std::io::Error },
    #[error("{path}: {reason}")]
    Corrupt { path: String, reason: String },
    #[error("{}, a file that this cube refers to: {reason}", file.display())]
    Origin { file: PathBuf, reason: String },
    #[error("{0:?} is a view: it is computed from another collection and holds nothing of its own")]
    IsView(String),
    #[error("view {view:?}: {reason}")]
    View { view: String, reason: String },
    #[error("collection {id:?} has views ({views}); remove them first")]
    HasViews { id: String, views: String },
    #[error("repository: {0}")]
    Repository(String),
}

impl StoreError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |reason| Self::Io { path, reason }
    }
}

fn repository_error(e: impl std::fmt::Display) -> StoreError {
    StoreError::Repository(e.to_string())
}

/// Whether `id` may name a collection (and so a directory and a URL segment).
pub fn is_collection_id(id: &str) -> bool {
    id.len() <= 63
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !id.contains("..")
}

/// The tip of a branch as last read, with what tells that its file was replaced.
#[derive(Clone, PartialEq)]
struct Tip {
    stamp: (u64, i64, i64),
    version: String,
}

/// All collections of a data directory.
pub struct Store {
    root: PathBuf,
    /// With the stamp of what had expired: what a repository remembers of its history is old then.
    repositories: Mutex<Recent<(Option<lineage::Stamp>, Arc<Repository>)>>,
    snapshots: Mutex<Recent<Arc<Snapshot>>>,
    tips: Mutex<HashMap<String, Tip>>,
    lineages: Mutex<HashMap<String, (lineage::Stamp, Arc<Lineage>)>>,
    views: Mutex<HashMap<String, derived::Declared>>,
}

impl Store {
    /// Opens (and creates, where there is none) a data directory.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        crate::memory::return_large_buffers();
        for dir in [root.join("collections"), root.join("tmp")] {
            std::fs::create_dir_all(&dir).map_err(StoreError::io(&dir))?;
        }
        let root = root.canonicalize().map_err(StoreError::io(root))?;
        Ok(Self {
            root,
            repositories: Mutex::new(Recent::new(REPOSITORIES_KEPT)),
            snapshots: Mutex::new(Recent::new(SNAPSHOTS_KEPT)),
            tips: Mutex::default(),
            lineages: Mutex::default(),
            views: Mutex::default(),
        })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    fn collection_dir(&self, id: &str) -> Result<PathBuf, StoreError> {
        if is_collection_id(id) {
            Ok(self.root.join("collections").join(id))
        } else {
            Err(StoreError::BadId(id.to_owned()))
        }
    }

    fn repo_dir(&self, id: &str) -> Result<PathBuf, StoreError> {
        Ok(self.collection_dir(id)?.join("repo"))
    }

    /// Ids of the published collections, sorted.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn collections(&self) -> Result<Vec<String>, StoreError> {
        let dir = self.root.join("collections");
        let mut ids: Vec<String> = std::fs::read_dir(&dir)
            .map_err(StoreError::io(&dir))?
            .filter_map(|e| e.ok()?.file_name().into_string().ok())
            .filter(|id| matches!(self.latest(id), Ok(Some(_))))
            .collect();
        ids.sort();
        Ok(ids)
    }

    /// The version that "latest" means now; `None` where nothing is published.
    /// One `stat` when nothing has changed.
    ///
    /// # Errors
    /// A bad id, an unreadable branch file.
    pub fn latest(&self, id: &str) -> Result<Option<String>, StoreError> {
        self.latest_within(id, derived::DEEPEST)
    }

    fn latest_within(&self, id: &str, depth: usize) -> Result<Option<String>, StoreError> {
        use std::os::unix::fs::MetadataExt;
        let path = self.repo_dir(id)?.join("refs").join(format!("branch.{BRANCH}")).join("ref.json");
        let meta = match std::fs::metadata(&path) {
            Ok(m) => m,
            Err(e)
                if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
            {
                let Some(view) = self.view(id)?.filter(|_| depth > 0) else { return Ok(None) };
                let below = self.latest_within(&view.of, depth - 1)?;
                return Ok(below.map(|version| view.version_of(&version)));
            }
            Err(e) => return Err(StoreError::Io { path, reason: e }),
        };
        let stamp = (meta.ino(), meta.mtime(), meta.mtime_nsec());
        let mut tips = self.tips.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tip) = tips.get(id).filter(|t| t.stamp == stamp) {
            return Ok(published(&tip.version));
        }
        let bytes = std::fs::read(&path).map_err(StoreError::io(&path))?;
        let version = serde_json::from_slice::<serde_json::Value>(&bytes)
            .ok()
            .and_then(|v| v.get("snapshot")?.as_str().map(str::to_owned))
            .ok_or_else(|| StoreError::Corrupt {
                path: path.display().to_string(),
                reason: "not a branch file: no \"snapshot\"".to_owned(),
            })?;
        tips.insert(id.to_owned(), Tip { stamp, version: version.clone() });
        Ok(published(&version))
    }

    async fn repository(&self, id: &str) -> Result<Arc<Repository>, StoreError> {
        if self.view(id)?.is_some() {
            return Err(StoreError::IsView(id.to_owned()));
        }
        let dir = self.repo_dir(id)?;
        let stamp = self.lineage_stamp(id);
        if let Some((then, found)) = lock(&self.repositories).get(id)
            && then == stamp
        {
            return Ok(found);
        }
        if !dir.is_dir() {
            return Err(StoreError::NoCollection(id.to_owned()));
        }
        let storage = icechunk::new_local_filesystem_storage(&dir).await.map_err(repository_error)?;
        let repository =
            Repository::open(storage).config(config()).execute().await.map_err(repository_error)?;
        let repository = Arc::new(repository);
        lock(&self.repositories).put(id, (stamp, Arc::clone(&repository)));
        Ok(repository)
    }

    /// Opens a version of a collection, the latest where none is named.
    ///
    /// # Errors
    /// No such collection or version; metadata that cannot be read.
    pub async fn open_version(&self, id: &str, version: Option<&str>) -> Result<Arc<Snapshot>, StoreError> {
        let Some(latest) = self.latest(id)? else { return Err(StoreError::NoCollection(id.to_owned())) };
        let version = version.unwrap_or(&latest);
        // A view's version stands as long as the one beneath.
        let (mut root, mut beneath) = (id.to_owned(), version);
        while let Some(view) = self.view(&root)? {
            let Some(below) = view.version_beneath(beneath) else { break };
            beneath = below;
            root.clone_from(&view.of);
        }
        if root != id && self.lineage(&root)?.expired.iter().any(|e| e.gone && e.id == beneath) {
            return Err(StoreError::Expired { collection: id.to_owned(), version: version.to_owned() });
        }
        if version != latest && self.lineage(id)?.expired.iter().any(|e| e.gone && e.id == version) {
            return Err(StoreError::Expired { collection: id.to_owned(), version: version.to_owned() });
        }
        let key = format!("{id}@{version}");
        if let Some(found) = lock(&self.snapshots).get(&key) {
            return Ok(found);
        }
        let snapshot = match self.view(id)? {
            Some(view) => {
                let missing =
                    || StoreError::NoVersion { collection: id.to_owned(), version: version.to_owned() };
                let below = view.version_beneath(version).ok_or_else(missing)?;
                // Whoever asks for a view's version asks for no version of what is beneath.
                let base = Box::pin(self.open_version(&view.of, Some(below))).await;
                let base = base.map_err(|e| match e {
                    StoreError::NoVersion { .. } => missing(),
                    StoreError::Expired { .. } => {
                        StoreError::Expired { collection: id.to_owned(), version: version.to_owned() }
                    }
                    other => other,
                })?;
                self.open_view(id, &view, base).await?
            }
            None => {
                let repository = self.repository(id).await?;
                Arc::new(Snapshot::open(id, &self.repo_dir(id)?, &repository, version).await?)
            }
        };
        lock(&self.snapshots).put(&key, Arc::clone(&snapshot));
        Ok(snapshot)
    }

    /// Forgets what is cached of a collection: its directory was removed.
    fn forget(&self, id: &str) {
        lock(&self.repositories).remove(|k| k == id);
        lock(&self.snapshots).remove(|k| k.rsplit_once('@').is_some_and(|(c, _)| c == id));
        lock(&self.tips).remove(id);
        lock(&self.lineages).remove(id);
        lock(&self.views).remove(id);
    }
}

/// The commit that Icechunk makes of an empty repository is no version of ours.
fn published(version: &str) -> Option<String> {
    use icechunk::format::SnapshotId;
    let id = SnapshotId::try_from(version).ok()?;
    (!id.is_initial()).then(|| version.to_owned())
}

/// Small caches: the operating system's page cache does the rest.
fn config() -> RepositoryConfig {
    RepositoryConfig {
        inline_chunk_threshold_bytes: Some(512),
        // An append rewrites the last manifest of an array, not all that it ever had.
        manifest: Some(ManifestConfig {
            // Nothing is read ahead: choosing compiles a pattern for every manifest of a version.
            preload: Some(ManifestPreloadConfig { max_total_refs: Some(0), ..Default::default() }),
            // Of any array: a pattern of paths would be compiled again and again.
            splitting: Some(ManifestSplittingConfig {
                split_sizes: Some(vec![(
                    ManifestSplitCondition::AnyArray,
                    vec![
                        ManifestSplitDim {
                            condition: ManifestSplitDimCondition::Axis(0),
                            num_chunks: MANIFEST_CHUNKS[0],
                        },
                        ManifestSplitDim {
                            condition: ManifestSplitDimCondition::Any,
                            num_chunks: MANIFEST_CHUNKS[1],
                        },
                    ],
                )]),
            }),
            ..ManifestConfig::default()
        }),
        caching: Some(CachingConfig {
            num_snapshot_nodes: Some(20_000),
            num_chunk_refs: Some(200_000),
            num_transaction_changes: Some(0),
            num_bytes_attributes: Some(0),
            num_bytes_chunks: Some(0),
        }),
        ..RepositoryConfig::default()
    }
}

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A handful of values, the least recently used leaving first.
struct Recent<T> {
    capacity: usize,
    clock: u64,
    entries: HashMap<String, (u64, T)>,
}

impl<T: Clone> Recent<T> {
    fn new(capacity: usize) -> Self {
        Self { capacity, clock: 0, entries: HashMap::new() }
    }

    fn get(&mut self, key: &str) -> Option<T> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.0 = self.clock;
        Some(entry.1.clone())
    }

    fn put(&mut self, key: &str, value: T) {
        self.clock += 1;
        if self.entries.len() >= self.capacity && !self.entries.contains_key(key) {
            let oldest = self.entries.iter().min_by_key(|(_, (t, _))| *t).map(|(k, _)| k.clone());
            if let Some(k) = oldest {
                self.entries.remove(&k);
            }
        }
        self.entries.insert(key.to_owned(), (self.clock, value));
    }

    fn remove(&mut self, gone: impl Fn(&str) -> bool) {
        self.entries.retain(|k, _| !gone(k));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_inside_the_data_directory() {
        for good in ["oisst", "a", "ERSST.v5", "x_1-2"] {
            assert!(is_collection_id(good), "{good}");
        }
        for bad in ["", ".", "..", ".x", "a..b", "a/b", "a@b", "-x", "ä", &"x".repeat(64)] {
            assert!(!is_collection_id(bad), "{bad}");
        }
    }

    #[test]
    fn the_least_recently_used_leaves_first() {
        let mut r = Recent::new(2);
        r.put("a", 1);
        r.put("b", 2);
        assert_eq!(r.get("a"), Some(1));
        r.put("c", 3);
        assert_eq!((r.get("a"), r.get("b"), r.get("c")), (Some(1), None, Some(3)));
    }
}
