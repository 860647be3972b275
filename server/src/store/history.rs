//! What was published: versions, what each changed, and which granules stand.
//!
//! Every commit carries what it added and what it took away, so that the history
//! alone says which granules a version is made of. What retention takes out of
//! the history is carried on by [`super::lineage`].

use std::collections::BTreeMap;

use futures::TryStreamExt;
use icechunk::Repository;
use icechunk::format::SnapshotId;
use icechunk::format::snapshot::SnapshotInfo;
use icechunk::repository::VersionInfo as IcechunkVersion;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::derived::of_base;
use super::{Store, StoreError, repository_error};

/// One source file of a version, as the commit records it: the catalog can be
/// rebuilt from the store alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Granule {
    pub name: String,
    pub sha256: String,
    pub bytes: u64,
    /// Where it came from, as given.
    pub source: String,
    /// What was odd and was carried over all the same.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Its item's id, where another granule has its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// First step and number of steps, along the dimension that grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<(u64, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Extent>,
    /// Id of the item that took its place: it stands as a former revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<String>,
    /// Of a download: what tells whether it has changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The version of Graticule that read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
    /// Outcome of the recipe's quality tests, a variable each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quality: Vec<serde_json::Value>,
}

/// A URL, and what its server said of the bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// As people may read it: without what is secret in it.
    pub url: String,
    /// SHA-256 of the address that was asked, where `url` does not say all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

impl Origin {
    /// What two addresses differ in, even where they are shown alike.
    pub fn key(&self) -> String {
        self.address.clone().unwrap_or_else(|| Self::key_of(&self.url))
    }

    /// The key of an address: its SHA-256 in hexadecimal.
    pub fn key_of(address: &str) -> String {
        super::hex(&Sha256::digest(address))
    }
}

impl Granule {
    /// Its bytes and its name.
    pub fn key(&self) -> String {
        format!("{} {}", self.sha256, self.name)
    }

    /// What people may read of where it came from: an address, or a file's name without its folders.
    pub fn public_source(&self) -> &str {
        let address = |s: &str| ["http://", "https://", "s3://"].iter().any(|p| s.starts_with(p));
        match &self.origin {
            Some(o) if address(&o.url) => &o.url,
            _ if address(&self.source) => &self.source,
            _ => &self.name,
        }
    }

    /// Unique among the granules that stand.
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.name)
    }
}

/// From the first to the last instant of a granule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extent {
    /// RFC 3339.
    pub start: String,
    pub end: String,
    /// Seconds since 1970 in the granule's calendar.
    pub start_secs: f64,
    pub end_secs: f64,
}

/// A granule that a version took away or put behind another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Of the item.
    pub id: String,
    pub sha256: String,
    /// Id of the item in its place; none where it was rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The first version, or one of which nothing is recorded.
    #[default]
    Ingest,
    Append,
    /// Steps were overwritten (and others may have been appended).
    Replace,
    /// As `Replace`, the granules before staying as former revisions.
    Revise,
    Rollback,
}

/// What a version changed, beside the granules that it added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    #[serde(default)]
    pub kind: Kind,
    /// Lengths before and after; `None` where there was no such dimension.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<String, (Option<u64>, Option<u64>)>,
    /// Gone: others took their places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Past>,
    /// Former revisions from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub superseded: Vec<Past>,
    /// Gone with a rollback.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Past>,
    /// The version that a rollback went back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct VersionInfo {
    pub id: String,
    /// Microseconds since 1970, UTC.
    pub time_micros: i64,
    pub message: String,
    /// What this version added.
    pub granules: Vec<Granule>,
    pub change: Change,
}

/// Keys in a commit's properties.
pub(super) const GRANULES: &str = "granules";
pub(super) const CHANGE: &str = "change";

impl VersionInfo {
    pub(super) fn new(s: SnapshotInfo) -> Self {
        fn read<T: serde::de::DeserializeOwned + Default>(s: &SnapshotInfo, key: &str) -> T {
            s.metadata.get(key).cloned().and_then(|g| serde_json::from_value(g).ok()).unwrap_or_default()
        }
        Self {
            id: s.id.to_string(),
            time_micros: s.flushed_at.timestamp_micros(),
            granules: read(&s, GRANULES),
            change: read(&s, CHANGE),
            message: s.message,
        }
    }
}

/// A granule that stands, and the version that brought it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    pub version: String,
    pub time_micros: i64,
    pub granule: Granule,
}

/// Why a granule stands no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// Another took its place.
    Replaced,
    /// It went with a rollback.
    Removed,
}

impl Ending {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::Removed => "removed",
        }
    }
}

/// A granule that stood once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Former {
    pub standing: Standing,
    pub ending: Ending,
    /// The first version without it.
    pub until: String,
    pub until_micros: i64,
    /// Id of the item in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// The granules that a version is made of, former revisions included, by item id.
pub type Living = BTreeMap<String, Standing>;

/// Makes of what stood before a version what stands after it; what it took away goes to `former`.
pub fn apply(living: &mut Living, former: &mut Vec<Former>, version: &VersionInfo) {
    let gone = version.change.removed.iter().map(|p| (p, Ending::Removed));
    for (past, ending) in gone.chain(version.change.replaced.iter().map(|p| (p, Ending::Replaced))) {
        former.extend(living.remove(&past.id).map(|standing| Former {
            standing,
            ending,
            until: version.id.clone(),
            until_micros: version.time_micros,
            by: past.by.clone(),
        }));
    }
    for past in &version.change.superseded {
        if let Some(s) = living.get_mut(&past.id) {
            s.granule.superseded_by.clone_from(&past.by);
        }
    }
    for granule in &version.granules {
        let standing = Standing {
            version: version.id.clone(),
            time_micros: version.time_micros,
            granule: granule.clone(),
        };
        living.insert(granule.id().to_owned(), standing);
    }
}

/// Walks from a version back, as long as `more` says so of the version just seen.
async fn walk(
    repository: &Repository,
    from: &SnapshotId,
    mut more: impl FnMut(VersionInfo) -> bool,
) -> Result<(), StoreError> {
    let from = IcechunkVersion::SnapshotId(from.clone());
    let history = repository.ancestry(&from).await.map_err(repository_error)?;
    let mut history = std::pin::pin!(history);
    while let Some(s) = history.try_next().await.map_err(repository_error)? {
        if s.id.is_initial() || !more(VersionInfo::new(s)) {
            break;
        }
    }
    Ok(())
}

impl Store {
    pub(super) async fn back_from(
        &self,
        id: &str,
        from: Option<&str>,
        more: impl FnMut(VersionInfo) -> bool,
    ) -> Result<(), StoreError> {
        let latest = self.latest(id)?.ok_or_else(|| StoreError::NoCollection(id.to_owned()))?;
        let from = from.unwrap_or(&latest);
        let missing = || StoreError::NoVersion { collection: id.to_owned(), version: from.to_owned() };
        // A view's history is that of what it is of.
        let (mut below, mut version, mut views) = (id.to_owned(), from, Vec::new());
        while let Some(view) = self.view(&below)? {
            version = view.version_beneath(version).ok_or_else(missing)?;
            below.clone_from(&view.of);
            views.push(view);
        }
        let start = SnapshotId::try_from(version).map_err(|_| missing())?;
        let lineage = self.lineage(&below)?;
        if lineage.is_expired(version) {
            return Err(StoreError::Expired { collection: id.to_owned(), version: from.to_owned() });
        }
        if start.is_initial() || !self.repo_dir(&below)?.join("snapshots").join(version).is_file() {
            return Err(missing());
        }
        let mut more = more;
        walk(self.repository(&below).await?.as_ref(), &start, |v| {
            let oldest = lineage.since.as_ref() == Some(&v.id);
            more(views.iter().rev().fold(v, |v, view| of_base(view, &v))) && !oldest
        })
        .await
    }

    /// Published versions, newest first.
    ///
    /// # Errors
    /// No such collection; an unreadable history.
    pub async fn versions(&self, id: &str) -> Result<Vec<VersionInfo>, StoreError> {
        let mut all = Vec::new();
        self.back_from(id, None, |v| {
            all.push(v);
            true
        })
        .await?;
        Ok(all)
    }

    /// One version.
    ///
    /// # Errors
    /// No such collection or version, or one that expired.
    pub async fn version_info(&self, id: &str, version: &str) -> Result<VersionInfo, StoreError> {
        let mut found = None;
        self.back_from(id, Some(version), |v| {
            found = Some(v);
            false
        })
        .await?;
        found.ok_or_else(|| StoreError::NoVersion { collection: id.to_owned(), version: version.to_owned() })
    }

    /// At most `limit` versions, newest first, from the one before `before` on.
    ///
    /// # Errors
    /// No such collection or version; an unreadable history.
    pub async fn versions_before(
        &self,
        id: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<VersionInfo>, StoreError> {
        let wanted = limit.saturating_add(usize::from(before.is_some()));
        let mut page = Vec::new();
        self.back_from(id, before, |v| {
            page.push(v);
            page.len() < wanted
        })
        .await?;
        if before.is_some() && !page.is_empty() {
            page.remove(0);
        }
        Ok(page)
    }

    /// Versions after `known`, newest first; `None` where the history does not have it.
    ///
    /// # Errors
    /// No such collection; an unreadable history.
    pub async fn versions_since(
        &self,
        id: &str,
        known: &str,
    ) -> Result<Option<Vec<VersionInfo>>, StoreError> {
        let (mut list, mut met) = (Vec::new(), false);
        self.back_from(id, None, |v| {
            met = v.id == known;
            if !met {
                list.push(v);
            }
            !met
        })
        .await?;
        Ok(met.then_some(list))
    }

    /// The granules that make up a version, the latest where none is named.
    ///
    /// # Errors
    /// No such collection or version; an unreadable history.
    pub async fn living(&self, id: &str, version: Option<&str>) -> Result<Living, StoreError> {
        Ok(self.annals(id, version).await?.0)
    }

    /// The same, and the granules of the versions before that it is not made of any more.
    ///
    /// # Errors
    /// As [`Store::living`].
    pub async fn annals(&self, id: &str, version: Option<&str>) -> Result<(Living, Vec<Former>), StoreError> {
        let mut history = Vec::new();
        self.back_from(id, version, |v| {
            history.push(v);
            true
        })
        .await?;
        let lineage = self.lineage(id)?;
        let (mut living, mut former) = (lineage.living(), lineage.former.clone());
        for v in history.iter().rev().filter(|v| lineage.since.as_ref() != Some(&v.id)) {
            apply(&mut living, &mut former, v);
        }
        Ok((living, former))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(id: &str, names: &[&str], change: Change) -> VersionInfo {
        let granules = names.iter().map(|n| Granule { name: (*n).into(), ..Granule::default() });
        VersionInfo {
            id: id.into(),
            time_micros: 0,
            message: String::new(),
            granules: granules.collect(),
            change,
        }
    }

    fn past(id: &str, by: Option<&str>) -> Past {
        Past { id: id.into(), sha256: String::new(), by: by.map(str::to_owned) }
    }

    #[test]
    fn what_stands_follows_from_what_each_version_changed() {
        let (mut living, mut former) = (Living::new(), Vec::new());
        apply(&mut living, &mut former, &version("1", &["a", "b"], Change::default()));
        let change = Change { replaced: vec![past("a", Some("a2"))], ..Change::default() };
        apply(&mut living, &mut former, &version("2", &["a2"], change));
        let change = Change { superseded: vec![past("b", Some("b2"))], ..Change::default() };
        apply(&mut living, &mut former, &version("3", &["b2"], change));
        let names: Vec<&str> = living.keys().map(String::as_str).collect();
        assert_eq!(names, ["a2", "b", "b2"]);
        assert_eq!(living["b"].granule.superseded_by.as_deref(), Some("b2"));
        let change = Change { removed: vec![past("b2", None)], ..Change::default() };
        apply(&mut living, &mut former, &version("4", &["b"], change));
        assert_eq!(living["b"].version, "4");
        assert_eq!(living["b"].granule.superseded_by, None);
        let ends: Vec<_> = former
            .iter()
            .map(|f| (f.standing.granule.id(), f.standing.version.as_str(), f.ending, f.until.as_str()))
            .collect();
        assert_eq!(ends, [("a", "1", Ending::Replaced, "2"), ("b2", "3", Ending::Removed, "4")]);
    }

    #[test]
    fn granules_recorded_before_there_were_changes_still_read() {
        let g: Granule =
            serde_json::from_str(r#"{"name":"a.nc","sha256":"00","bytes":3,"source":"/a.nc"}"#).unwrap();
        assert_eq!((g.id(), g.steps), ("a.nc", None));
    }
}
