//! What retention took out of the history, kept beside it.
//!
//! A version that expired is gone from the repository, but readers of it must
//! learn that it *was*, and the granules that it brought still make up the
//! versions that stand. Both are in `lineage.json`, replaced in one step: that
//! file is the decision, and the repository is brought to it afterwards, as often
//! as it takes.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::history::{Former, Living, Standing};
use super::{Store, StoreError, durable, lock};

const FILE: &str = "lineage.json";

/// A version that retention took out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    pub id: String,
    /// When it was published: microseconds since 1970, UTC.
    pub time_micros: i64,
    /// When it was taken out.
    pub expired_micros: i64,
    /// Its objects may be gone.
    #[serde(default)]
    pub gone: bool,
    /// Its objects are gone.
    #[serde(default)]
    pub collected: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    /// The oldest version that stands; none where nothing ever expired.
    #[serde(default)]
    pub since: Option<String>,
    /// What makes up the version `since`.
    #[serde(default)]
    pub granules: Vec<Standing>,
    /// What versions up to `since` had been made of, and it is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<Former>,
    #[serde(default)]
    pub expired: Vec<Expired>,
}

impl Lineage {
    pub fn is_expired(&self, version: &str) -> bool {
        self.expired.iter().any(|e| e.id == version)
    }

    pub fn living(&self) -> Living {
        self.granules.iter().map(|s| (s.granule.id().to_owned(), s.clone())).collect()
    }
}

/// When a file was last replaced.
pub(super) type Stamp = (u64, i64, i64);

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|m| (m.ino(), m.mtime(), m.mtime_nsec()))
}

impl Store {
    /// What expired of a collection. One `stat` when nothing has changed.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn lineage(&self, id: &str) -> Result<Arc<Lineage>, StoreError> {
        let path = self.collection_dir(id)?.join(FILE);
        let Some(now) = stamp(&path) else { return Ok(Arc::default()) };
        if let Some((then, known)) = lock(&self.lineages).get(id)
            && *then == now
        {
            return Ok(Arc::clone(known));
        }
        let bytes = std::fs::read(&path).map_err(StoreError::io(&path))?;
        let lineage: Lineage = serde_json::from_slice(&bytes)
            .map_err(|e| StoreError::Corrupt { path: path.display().to_string(), reason: e.to_string() })?;
        let lineage = Arc::new(lineage);
        lock(&self.lineages).insert(id.to_owned(), (now, Arc::clone(&lineage)));
        Ok(lineage)
    }

    /// When anything last expired: changes with every change of it.
    pub fn lineage_stamp(&self, id: &str) -> Option<(u64, i64, i64)> {
        stamp(&self.collection_dir(id).ok()?.join(FILE))
    }

    pub(super) fn put_lineage(&self, id: &str, lineage: &Lineage) -> Result<(), StoreError> {
        let dir = self.collection_dir(id)?;
        let bytes = serde_json::to_vec(lineage)
            .map_err(|e| StoreError::Corrupt { path: FILE.to_owned(), reason: e.to_string() })?;
        durable::replace(&dir.join(FILE), &bytes, &dir.join(".lineage.new"))
    }
}
