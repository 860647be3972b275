//! Stored objects, ready to be sent.
//!
//! A chunk never changes within a version, so where it lies is looked up once and
//! its file is mapped once; after that a request costs the socket write and
//! nothing else. Mapping beats reading (20 µs of CPU for 100 kB against 32) and
//! shares the page cache. When nobody has asked for a while the maps are let go,
//! so that an idle server is small again.

use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::body::Bytes;
use axum::http::HeaderValue;
use graticule_formats::FileCodec;
use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use tokio::sync::watch;

use super::coding::Coding;
use super::conditional::http_date;
use crate::reference::{Part, Transcoder, origin};
use crate::store::{Location, Snapshot, Store, StoreError};
use crate::zarr2::View;

/// Objects kept mapped; the kernel allows 65,530 maps in all.
const KEPT_OBJECTS: usize = 4096;
const KEPT_VERSIONS: usize = 256;
/// A burst of requests looks at the branch's tip once. Short enough that nobody
/// can tell; and an event, which is what clients act on, ends it at once.
const HEAD_FRESH_MICROS: u128 = 5_000;
const IDLE: Duration = Duration::from_secs(20);

/// One stored object.
#[derive(Clone)]
pub struct Object {
    pub bytes: Bytes,
    pub etag: HeaderValue,
    pub is_metadata: bool,
    /// In a file that is not the store's, or just made: not kept here.
    pub is_elsewhere: bool,
}

/// A version that requests have asked for.
pub struct Served {
    number: u64,
    pub snapshot: Arc<Snapshot>,
    pub version: HeaderValue,
    /// When it was published: as HTTP writes dates, and in seconds since 1970.
    pub modified: HeaderValue,
    pub modified_secs: u64,
    /// Made when it is first asked for.
    view: OnceLock<Arc<View>>,
}

impl Served {
    /// This version as Zarr v2 says it.
    pub fn view(&self) -> anyhow::Result<Arc<View>> {
        if let Some(view) = self.view.get() {
            return Ok(Arc::clone(view));
        }
        let made = Arc::new(View::of(&self.snapshot)?);
        Ok(Arc::clone(self.view.get_or_init(|| made)))
    }
}

/// What "latest" was when last looked at.
#[derive(Clone)]
struct Head {
    served: Arc<Served>,
    checked_micros: u128,
    /// Newest event of the log at that time.
    epoch: i64,
}

#[derive(PartialEq, Eq)]
struct Key {
    version: u64,
    path: Box<str>,
}

struct KeyRef<'a> {
    version: u64,
    path: &'a str,
}

// Both hash alike: `Equivalent` demands it.
impl Hash for Key {
    fn hash<H: Hasher>(&self, h: &mut H) {
        KeyRef { version: self.version, path: &self.path }.hash(h);
    }
}
impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, h: &mut H) {
        self.version.hash(h);
        self.path.hash(h);
    }
}
impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.version == key.version && *self.path == *key.path
    }
}

pub struct Chunks {
    store: Arc<Store>,
    objects: Cache<Key, Object>,
    versions: Cache<String, Arc<Served>>,
    heads: Cache<String, Head>,
    transcoder: Transcoder,
    events: watch::Receiver<i64>,
    next_number: AtomicU64,
    started: Instant,
    last_used_secs: AtomicU64,
}

impl Chunks {
    /// `events` follows the log, so that no answer is older than an event that was told.
    pub fn new(store: Arc<Store>, events: watch::Receiver<i64>) -> Self {
        Self {
            store,
            objects: Cache::new(KEPT_OBJECTS),
            versions: Cache::new(KEPT_VERSIONS),
            heads: Cache::new(KEPT_VERSIONS),
            transcoder: Transcoder::default(),
            events,
            next_number: AtomicU64::new(0),
            started: Instant::now(),
            last_used_secs: AtomicU64::new(0),
        }
    }

    /// The version that `reference` (`ID` or `ID@VERSION`) names.
    ///
    /// # Errors
    /// No such collection or version; metadata that cannot be read.
    pub async fn version(&self, reference: &str) -> Result<Arc<Served>, StoreError> {
        let Some((id, version)) = reference.split_once('@') else { return self.latest(reference).await };
        match self.versions.get(reference) {
            Some(served) => Ok(served),
            None => self.keep(reference.to_owned(), self.store.open_version(id, Some(version)).await?),
        }
    }

    async fn latest(&self, id: &str) -> Result<Arc<Served>, StoreError> {
        let epoch = *self.events.borrow();
        let now_micros = self.started.elapsed().as_micros();
        if let Some(head) = self.heads.get(id)
            && head.epoch == epoch
            && now_micros.saturating_sub(head.checked_micros) < HEAD_FRESH_MICROS
        {
            return Ok(head.served);
        }
        let Some(latest) = self.store.latest(id)? else {
            return Err(StoreError::NoCollection(id.to_owned()));
        };
        let reference = format!("{id}@{latest}");
        let served = match self.versions.get(&reference) {
            Some(served) => served,
            None => self.keep(reference, self.store.open_version(id, Some(&latest)).await?)?,
        };
        self.heads
            .insert(id.to_owned(), Head { served: Arc::clone(&served), checked_micros: now_micros, epoch });
        Ok(served)
    }

    fn keep(&self, reference: String, snapshot: Arc<Snapshot>) -> Result<Arc<Served>, StoreError> {
        let no_header = |_| StoreError::NoVersion {
            collection: reference.clone(),
            version: snapshot.version().to_owned(),
        };
        let version = HeaderValue::from_str(snapshot.version()).map_err(no_header)?;
        let modified_secs = u64::try_from(snapshot.published_at_micros() / 1_000_000).unwrap_or(0);
        let modified = HeaderValue::from_str(&http_date(modified_secs)).map_err(no_header)?;
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let served =
            Arc::new(Served { number, snapshot, version, modified, modified_secs, view: OnceLock::new() });
        self.versions.insert(reference, Arc::clone(&served));
        Ok(served)
    }

    /// The object at `path` below the hierarchy's root; `None` where none is stored.
    ///
    /// # Errors
    /// The manifest or the file cannot be read.
    pub async fn object(&self, served: &Served, path: &str) -> anyhow::Result<Option<Object>> {
        self.last_used_secs.store(self.started.elapsed().as_secs(), Ordering::Relaxed);
        if let Some(object) = self.objects.get(&KeyRef { version: served.number, path }) {
            return Ok(Some(object));
        }
        let Some(object) = self.load(&served.snapshot, path).await? else { return Ok(None) };
        // What lies elsewhere is looked at every time: it may be gone.
        if !object.is_elsewhere {
            self.objects.insert(Key { version: served.number, path: path.into() }, object.clone());
        }
        Ok(Some(object))
    }

    /// A document of metadata in a content coding; kept, for its first readers come in crowds.
    ///
    /// # Errors
    /// It cannot be packed.
    pub fn packed(
        &self,
        served: &Served,
        path: &str,
        plain: Object,
        coding: Coding,
    ) -> anyhow::Result<Object> {
        let Some(token) = coding.token() else { return Ok(plain) };
        // No key of a hierarchy has a NUL in it.
        let path = format!("{path}\0{token}");
        if let Some(object) = self.objects.get(&KeyRef { version: served.number, path: &path }) {
            return Ok(object);
        }
        let etag = coding.tagged(plain.etag.to_str()?.trim_matches('"'));
        let object =
            Object { bytes: coding.pack(&plain.bytes)?.into(), etag: HeaderValue::from_str(&etag)?, ..plain };
        self.objects.insert(Key { version: served.number, path: path.into() }, object.clone());
        Ok(object)
    }

    async fn load(&self, snapshot: &Snapshot, path: &str) -> anyhow::Result<Option<Object>> {
        if let Some(node) = metadata_path(path) {
            let Some(document) = snapshot.node_json(node) else { return Ok(None) };
            let etag = HeaderValue::from_str(&document.etag)?;
            let bytes = document.bytes.clone();
            return Ok(Some(Object { bytes, etag, is_metadata: true, is_elsewhere: false }));
        }
        let Some(location) = snapshot.chunk_location(path).await? else { return Ok(None) };
        let mut etag = HeaderValue::from_str(location.etag())?;
        // What is made has bounds of its own.
        let is_elsewhere = matches!(location, Location::Virtual { .. } | Location::Made { .. });
        let bytes = match location {
            Location::Inline { bytes, .. } | Location::Made { bytes, .. } => bytes,
            Location::File { path, offset, length, .. } => {
                tokio::task::spawn_blocking(move || map(&path, offset, length)).await??
            }
            Location::Virtual { url, offset, length, modified, etag: stored } => {
                let file = origin::path(&url).with_context(|| format!("{path}: {url} is no file"))?;
                match snapshot.array_of(path).filter(|a| FileCodec::is_one(&a.metadata["codecs"])) {
                    Some(array) => {
                        let part = Part { file, offset, length, modified, etag: stored };
                        let (bytes, tag) = self.transcoder.chunk(snapshot, array, part).await?;
                        etag = HeaderValue::from_str(&tag)?;
                        bytes
                    }
                    None => {
                        let read = move || {
                            let bytes = origin::read(&file, offset, length, modified);
                            bytes.map_err(|reason| StoreError::Origin { file, reason })
                        };
                        Bytes::from(tokio::task::spawn_blocking(read).await??)
                    }
                }
            }
        };
        Ok(Some(Object { bytes, etag, is_metadata: false, is_elsewhere }))
    }

    /// Forgets which versions there are: one expired, or a collection was retired.
    pub fn forget_versions(&self) {
        self.versions.clear();
        self.heads.clear();
        self.objects.clear();
    }

    /// Lets go of what is kept, when nobody has asked for a while.
    pub fn rest(&self) {
        let idle =
            self.started.elapsed().as_secs().saturating_sub(self.last_used_secs.load(Ordering::Relaxed));
        if idle >= IDLE.as_secs() && !(self.objects.is_empty() && self.transcoder.is_empty()) {
            self.objects.clear();
            self.transcoder.clear();
            crate::memory::rest();
        }
    }
}

/// The node whose `zarr.json` is asked for.
fn metadata_path(path: &str) -> Option<&str> {
    if path == "zarr.json" { Some("") } else { path.strip_suffix("/zarr.json") }
}

fn map(file: &Path, offset: u64, length: u64) -> anyhow::Result<Bytes> {
    let whole = map_file(file)?;
    let (from, to) = (usize::try_from(offset)?, usize::try_from(offset.saturating_add(length))?);
    if from > to || to > whole.len() {
        anyhow::bail!(
            "{}: {} bytes, but the manifest says that a chunk lies at {from}..{to}",
            file.display(),
            whole.len()
        );
    }
    Ok(whole.slice(from..to))
}

#[allow(unsafe_code)]
fn map_file(path: &Path) -> anyhow::Result<Bytes> {
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the map stays valid as long as the file is not cut short. Icechunk
    // writes a chunk file under a temporary name, renames it into place and never
    // opens it for writing again; unlinking it leaves the map as it is.
    let map = unsafe { memmap2::Mmap::map(&file) }.with_context(|| path.display().to_string())?;
    Ok(Bytes::from_owner(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_past_the_end_of_its_file_is_an_error_not_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c");
        std::fs::write(&path, b"0123456789").unwrap();
        assert_eq!(&map(&path, 2, 3).unwrap()[..], b"234");
        assert!(map(&path, 8, 3).is_err());
        assert!(map(&path, u64::MAX, 3).is_err());
    }

    #[test]
    fn metadata_is_told_from_chunks() {
        assert_eq!(metadata_path("zarr.json"), Some(""));
        assert_eq!(metadata_path("1/sst/zarr.json"), Some("1/sst"));
        assert_eq!(metadata_path("sst/c/0/0"), None);
    }
}
