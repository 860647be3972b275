//! Versions that are computed when they are read: views of another collection's versions.
//!
//! A view is a file, `collections/ID/view.json`. Its versions are those of the collection that it
//! is of, each followed by a point and a digest of the declaration: whoever pins one gets the same
//! values for as long as the version beneath stands.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use graticule_shared::zarr::{ArrayMeta, Hierarchy};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::documents::{Documents, documents_of, etag_of, hex};
use super::read::{Backing, Location};
use super::{Change, Snapshot, Store, StoreError, VersionInfo, durable, lock};
use crate::views::View;

/// Packed chunks that are kept, of all views together.
const KEPT_BYTES: u64 = 32 << 20;
/// Views of views, and so on.
pub const DEEPEST: usize = 8;

/// Where the arrays of a view come from.
pub trait Derived: Send + Sync {
    fn base(&self) -> &Arc<Snapshot>;

    /// The base's array whose stored chunks are this array's own, one by one.
    fn passed(&self, path: &str) -> Option<&str>;

    /// What making one block reads.
    fn effort(&self, array: &ArrayMeta) -> Effort;

    /// Values of one block in the array's type, native-endian, padded to the block's whole shape.
    fn block<'a>(&'a self, array: &'a ArrayMeta, block: &'a [u64]) -> BoxFuture<'a, anyhow::Result<Vec<u8>>>;
}

/// Stored blocks that are read for one block, and their bytes decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    pub blocks: u64,
    pub bytes: u64,
}

impl Effort {
    pub fn times(self, n: u64) -> Self {
        Self { blocks: self.blocks.saturating_mul(n), bytes: self.bytes.saturating_mul(n) }
    }

    pub fn and(self, other: Self) -> Self {
        Self {
            blocks: self.blocks.saturating_add(other.blocks),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

#[derive(Clone)]
struct Bytewise;

impl Weighter<String, Option<(Bytes, Arc<str>)>> for Bytewise {
    fn weight(&self, key: &String, value: &Option<(Bytes, Arc<str>)>) -> u64 {
        (key.len() + value.as_ref().map_or(0, |(b, _)| b.len()) + 64) as u64
    }
}

/// Packed chunks by collection, version and key.
static MADE: LazyLock<Cache<String, Option<(Bytes, Arc<str>)>, Bytewise>> = LazyLock::new(|| {
    // One shard: what is weighed against the whole bound may be large.
    let options =
        OptionsBuilder::new().shards(1).estimated_items_capacity(256).weight_capacity(KEPT_BYTES).build();
    match options {
        Ok(options) => {
            Cache::with_options(options, Bytewise, Default::default(), DefaultLifecycle::default())
        }
        Err(_) => Cache::with_weighter(256, KEPT_BYTES, Bytewise),
    }
});
/// Chunks being made at once, of views by how many views are beneath them: whoever makes one waits
/// only for those further down.
static MAKING: LazyLock<[Semaphore; DEEPEST + 2]> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::array::from_fn(|_| Semaphore::new(cores))
});

impl Snapshot {
    /// A version of a view: its nodes but the root as they stand in `zarr.json`, by path.
    ///
    /// # Errors
    /// Documents that are no hierarchy.
    pub fn derived(
        collection: &str,
        info: VersionInfo,
        root: Value,
        nodes: BTreeMap<String, Value>,
        from: Arc<dyn Derived>,
    ) -> Result<Self, StoreError> {
        let texts = nodes.into_iter().map(|(path, node)| {
            let bytes = serde_json::to_vec(&node).unwrap_or_default().into();
            (path, bytes, node)
        });
        let Documents { root, nodes, stored } = documents_of(root, texts)?;
        let hierarchy = Hierarchy::from_v3(stored.as_ref().unwrap_or(&root.bytes)).map_err(|e| {
            StoreError::Corrupt { path: format!("{collection}@{}", info.id), reason: e.to_string() }
        })?;
        Ok(Self {
            collection: collection.to_owned(),
            info,
            backing: Backing::Derived(from),
            root,
            nodes,
            hierarchy: Arc::new(hierarchy),
            decoders: Mutex::default(),
        })
    }

    /// True where it is computed from another when it is read.
    pub fn is_derived(&self) -> bool {
        matches!(self.backing, Backing::Derived(_))
    }

    /// What reading one block of an array costs.
    pub fn effort(&self, array: &ArrayMeta) -> Effort {
        match &self.backing {
            Backing::Stored(_) => {
                let size = crate::opened::element_size(array) as u64;
                let bytes = array.block_shape().iter().fold(size, |n, len| n.saturating_mul(*len));
                Effort { blocks: 1, bytes }
            }
            Backing::Derived(from) => {
                match from.passed(&array.path).and_then(|p| from.base().hierarchy.arrays.get(p)) {
                    Some(below) => from.base().effort(below),
                    None => from.effort(array),
                }
            }
        }
    }

    /// One of the steps of a view, which nobody but the next one reads.
    pub(super) fn is_step(&self) -> bool {
        self.info.id.contains('#')
    }

    /// Views beneath this one.
    fn depth(&self) -> usize {
        let (mut at, mut depth) = (self, 0);
        while let Backing::Derived(from) = &at.backing {
            at = from.base();
            depth += usize::from(!at.is_step() && at.is_derived());
        }
        depth.min(DEEPEST + 1)
    }

    /// Values of a block as a reader of the view asks for it: kept, and made by turns.
    pub(super) async fn kept_block(&self, array: &ArrayMeta, block: &[u64]) -> Result<Vec<u8>, StoreError> {
        let Backing::Derived(from) = &self.backing else { return self.read_block(array, block).await };
        if let Some(below) = from.passed(&array.path).and_then(|p| from.base().hierarchy.arrays.get(p)) {
            let base = from.base();
            return if base.is_step() {
                Box::pin(base.kept_block(below, block)).await
            } else {
                Box::pin(base.read_block(below, block)).await
            };
        }
        let decoder = self.decoder(array)?;
        let Some(Location::Made { bytes, .. }) = self.made(from, array, block).await? else {
            return Ok(decoder.fill());
        };
        let corrupt = |reason: String| StoreError::Corrupt { path: array.path.clone(), reason };
        let decoded = tokio::task::spawn_blocking(move || decoder.decode(&bytes));
        decoded.await.map_err(|e| corrupt(e.to_string()))?.map_err(corrupt)
    }

    /// A chunk of a view, packed; `None` where all of it is the fill value.
    pub(super) async fn made(
        &self,
        from: &Arc<dyn Derived>,
        array: &ArrayMeta,
        index: &[u64],
    ) -> Result<Option<Location>, StoreError> {
        let id = format!("{}@{}/{}", self.collection, self.info.id, array.chunk_key(index));
        let made = MADE.get_or_insert_async(&id, async {
            let turn = MAKING.get(self.depth());
            let _turn = match turn {
                Some(turn) => Some(turn.acquire().await),
                None => None,
            };
            let values = self.computed(from, array, index).await?;
            let decoder = self.decoder(array)?;
            let corrupt = |reason: String| StoreError::Corrupt { path: array.path.clone(), reason };
            let packed = tokio::task::spawn_blocking(move || {
                if values == decoder.fill() { Ok(None) } else { decoder.encode(&values).map(Some) }
            });
            let packed = packed.await.map_err(|e| corrupt(e.to_string()))?.map_err(corrupt)?;
            Ok::<_, StoreError>(packed.map(|b| (Bytes::from(b.clone()), etag_of(&b))))
        });
        Ok(made.await?.map(|(bytes, etag)| Location::Made { bytes, etag }))
    }

    pub(super) async fn computed(
        &self,
        from: &Arc<dyn Derived>,
        array: &ArrayMeta,
        block: &[u64],
    ) -> Result<Vec<u8>, StoreError> {
        let made = from.block(array, block).await;
        made.map_err(|e| match e.downcast::<StoreError>() {
            Ok(own) => own,
            Err(e) => StoreError::Corrupt { path: array.path.clone(), reason: format!("{e:#}") },
        })
    }
}

/// A view as its file was when last read.
#[derive(Clone)]
pub(super) struct Declared {
    stamp: (u64, i64, i64),
    view: Arc<View>,
}

impl Store {
    /// The view of this id, where it is one.
    ///
    /// # Errors
    /// A bad id, a file that is no declaration.
    pub fn view(&self, id: &str) -> Result<Option<Arc<View>>, StoreError> {
        use std::os::unix::fs::MetadataExt;
        let path = self.collection_dir(id)?.join("view.json");
        let Ok(meta) = std::fs::metadata(&path) else { return Ok(None) };
        let stamp = (meta.ino(), meta.mtime(), meta.mtime_nsec());
        if let Some(known) = lock(&self.views).get(id).filter(|d| d.stamp == stamp) {
            return Ok(Some(Arc::clone(&known.view)));
        }
        let bytes = std::fs::read(&path).map_err(StoreError::io(&path))?;
        let view: View = serde_json::from_slice(&bytes)
            .map_err(|e| StoreError::Corrupt { path: path.display().to_string(), reason: e.to_string() })?;
        let view = Arc::new(view);
        lock(&self.views).insert(id.to_owned(), Declared { stamp, view: Arc::clone(&view) });
        Ok(Some(view))
    }

    /// Ids of the views of a collection.
    ///
    /// # Errors
    /// The collections cannot be listed.
    pub fn views_of(&self, id: &str) -> Result<Vec<String>, StoreError> {
        let all = self.directories()?.into_iter();
        Ok(all.filter(|v| matches!(self.view(v), Ok(Some(view)) if view.of == id)).collect())
    }

    /// Declares a view, or declares it anew.
    ///
    /// # Errors
    /// The id is another kind of collection's; what it is of is not there, or is made of it; a
    /// declaration that does not fit what it is of; a disk that cannot be written.
    pub async fn declare(&self, id: &str, view: View) -> anyhow::Result<Arc<Snapshot>> {
        let dir = self.collection_dir(id)?;
        let is_new = self.view(id)?.is_none();
        if is_new && (self.latest(id)?.is_some() || crate::tables::exists(&self.root, id)) {
            anyhow::bail!("{id:?} is a collection with data of its own: a view needs an id of its own");
        }
        let mut below = view.of.clone();
        for depth in 0.. {
            anyhow::ensure!(below != id, "{id:?} would be a view of itself");
            anyhow::ensure!(depth < DEEPEST, "views of views are at most {DEEPEST} deep");
            match self.view(&below)? {
                Some(next) => below.clone_from(&next.of),
                None => break,
            }
        }
        if crate::tables::exists(&self.root, &view.of) {
            anyhow::bail!("{:?} is a table; a view is of grids", view.of);
        }
        // What cannot be read is not declared.
        let base = self.open_version(&view.of, None).await?;
        let opened = self.open_view(id, &view, base).await?;
        crate::views::check_effort(&opened)?;
        std::fs::create_dir_all(&dir).map_err(StoreError::io(&dir))?;
        durable::sync(&[], &[self.root.join("collections")])?;
        let _lock = self.lock_collection(id)?;
        // An ingest may have been quicker; one that died has left what was never published.
        if self.latest(id)?.is_some() && self.view(id)?.is_none() {
            anyhow::bail!("{id:?} is a collection with data of its own: a view needs an id of its own");
        }
        let repo = self.repo_dir(id)?;
        if repo.exists() {
            std::fs::remove_dir_all(&repo).map_err(StoreError::io(&repo))?;
        }
        let bytes = serde_json::to_vec_pretty(&view)?;
        durable::replace(&dir.join("view.json"), &bytes, &dir.join(".view.new"))?;
        self.forget(id);
        Ok(opened)
    }

    pub(super) async fn open_view(
        &self,
        id: &str,
        view: &View,
        base: Arc<Snapshot>,
    ) -> Result<Arc<Snapshot>, StoreError> {
        let info = of_base(view, base.info());
        crate::views::open(id, view, info, base).await.map_err(|e| match e.downcast::<StoreError>() {
            Ok(own) => own,
            Err(e) => StoreError::View { view: id.to_owned(), reason: format!("{e:#}") },
        })
    }
}

/// A version of a view, from the one beneath it.
pub(super) fn of_base(view: &View, base: &VersionInfo) -> VersionInfo {
    VersionInfo {
        id: view.version_of(&base.id),
        time_micros: base.time_micros,
        message: format!("View of {} {}: {}", view.of, base.id, base.message),
        granules: Vec::new(),
        change: Change { kind: base.change.kind, ..Change::default() },
    }
}

/// The first 8 digits of a SHA-256: what a declaration is told by.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..4])
}
