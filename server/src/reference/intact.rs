//! Whether the files that a cube refers to are still as they were.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use serde_json::{Value, json};

use super::{is_marked, origin};
use crate::store::{Snapshot, Store, StoreError};

/// An answer holds so long; so often all cubes are looked at.
const FRESH: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_secs(60);
/// Files named in a status.
const NAMED: usize = 10;
const KEPT: usize = 64;

/// A file that is not as it was, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub file: PathBuf,
    pub reason: String,
}

/// What there is to say of a version's references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// All that it holds is its own, or is as it was.
    Intact,
    Broken(Vec<Broken>),
}

impl Status {
    /// For `graticule:status`.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Intact => json!({"state": "intact"}),
            Self::Broken(list) => {
                let first = list.first().map(|b| format!("{}: {}", b.file.display(), b.reason));
                let files: Vec<String> =
                    list.iter().take(NAMED).map(|b| b.file.display().to_string()).collect();
                json!({"state": "broken", "files": files, "count": list.len(), "detail": format!(
                    "{} of the files that this cube refers to are not as they were: {}", list.len(),
                    first.unwrap_or_default())})
            }
        }
    }
}

/// Files that a version refers to, each with when it was modified.
type Files = Arc<Vec<(PathBuf, Option<u32>)>>;

struct Kept {
    files: Files,
    looked: Option<(Instant, Status)>,
}

static KNOWN: Mutex<Option<HashMap<String, Kept>>> = Mutex::new(None);

fn with_known<T>(f: impl FnOnce(&mut HashMap<String, Kept>) -> T) -> T {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    f(known.get_or_insert_with(HashMap::new))
}

/// Every file of a version that is not as it was when it was referred to.
///
/// # Errors
/// A manifest that cannot be read.
pub async fn broken(snapshot: &Snapshot) -> Result<Vec<Broken>, StoreError> {
    let files = files(snapshot).await?;
    let look = move || {
        let state = |(file, then): &(PathBuf, Option<u32>)| {
            let reason = origin::check(file, *then).err()?;
            Some(Broken { file: file.clone(), reason })
        };
        files.iter().filter_map(state).collect()
    };
    tokio::task::spawn_blocking(look).await.map_err(|e| StoreError::Repository(e.to_string()))
}

async fn files(snapshot: &Snapshot) -> Result<Files, StoreError> {
    if !is_marked(snapshot.hierarchy()) {
        return Ok(Files::default());
    }
    let key = format!("{}@{}", snapshot.collection(), snapshot.version());
    if let Some(found) = with_known(|k| k.get(&key).map(|k| Arc::clone(&k.files))) {
        return Ok(found);
    }
    let mut seen: HashMap<String, Option<u32>> = HashMap::new();
    let mut references = std::pin::pin!(snapshot.references().await?);
    while let Some(r) = references.try_next().await? {
        if !seen.contains_key(r.url.as_str()) {
            seen.insert(r.url, r.modified);
        }
    }
    let mut list: Vec<_> =
        seen.into_iter().filter_map(|(url, then)| Some((origin::path(&url)?, then))).collect();
    list.sort();
    let list = Arc::new(list);
    with_known(|known| {
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(key, Kept { files: Arc::clone(&list), looked: None });
    });
    Ok(list)
}

/// As [`broken`], looked at again after a few seconds only.
///
/// # Errors
/// A manifest that cannot be read.
pub async fn status(snapshot: &Snapshot) -> Result<Status, StoreError> {
    if !is_marked(snapshot.hierarchy()) {
        return Ok(Status::Intact);
    }
    let key = format!("{}@{}", snapshot.collection(), snapshot.version());
    let fresh = with_known(|k| {
        let (at, status) = k.get(&key)?.looked.as_ref()?;
        (at.elapsed() < FRESH).then(|| status.clone())
    });
    if let Some(found) = fresh {
        return Ok(found);
    }
    let list = broken(snapshot).await?;
    let found = if list.is_empty() { Status::Intact } else { Status::Broken(list) };
    with_known(|k| {
        if let Some(kept) = k.get_mut(&key) {
            kept.looked = Some((Instant::now(), found.clone()));
        }
    });
    Ok(found)
}

/// Looks at all cubes now and then, and says in the log which broke and which are whole again.
pub async fn watch(store: Arc<Store>, mut stopping: tokio::sync::watch::Receiver<bool>) {
    let mut before: HashMap<String, Status> = HashMap::new();
    loop {
        for id in store.collections().unwrap_or_default() {
            let Ok(snapshot) = store.open_version(&id, None).await else { continue };
            let Ok(now) = status(&snapshot).await else { continue };
            let changed = before.get(&id).map_or(now != Status::Intact, |then| *then != now);
            match (&now, changed) {
                (Status::Broken(_), true) => {
                    tracing::warn!(collection = %id, detail = %now.to_json()["detail"], "a cube is broken");
                }
                (Status::Intact, true) => tracing::info!(collection = %id, "a cube is whole again"),
                _ => {}
            }
            before.insert(id, now);
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stopping.wait_for(|s| *s) => return,
        }
    }
}
