//! Retention: versions beyond it leave the history, and their space is reclaimed
//! once nobody can be reading them.

use std::collections::HashSet;
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use icechunk::Repository;
use icechunk::format::SnapshotId;
use icechunk::ops::gc::{ExpiredRefAction, GCConfig, expire, garbage_collect};

use super::history::VersionInfo;
use super::lineage::{Expired, Lineage};
use super::{Store, StoreError, durable, repository_error};

/// How long versions stand. A version stands if either rule says so; without any rule all do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Retention {
    /// So many of the newest.
    pub keep: Option<usize>,
    /// Those that were the latest within this time.
    pub keep_for: Option<Duration>,
}

impl Retention {
    pub fn is_none(&self) -> bool {
        self.keep.is_none() && self.keep_for.is_none()
    }

    /// How many of `versions`, newest first, stand at `now`. The latest always does.
    pub fn standing(&self, versions: &[VersionInfo], now_micros: i64) -> usize {
        if self.is_none() {
            return versions.len();
        }
        let by_number = self.keep.unwrap_or(0);
        let by_time = self.keep_for.map_or(0, |d| {
            let oldest = now_micros.saturating_sub(i64::try_from(d.as_micros()).unwrap_or(i64::MAX));
            // A version was the latest until the next one came.
            let recent = |i: usize| i.checked_sub(1).is_none_or(|next| versions[next].time_micros >= oldest);
            (0..versions.len()).take_while(|i| recent(*i)).count()
        });
        by_number.max(by_time).clamp(1, versions.len().max(1))
    }
}

/// What retention did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expiry {
    /// Versions taken out of the history now, newest first.
    pub expired: Vec<String>,
    pub standing: usize,
    /// Objects and bytes that were deleted.
    pub objects: u64,
    pub bytes: u64,
    /// Versions that expired and whose objects wait for their grace to end.
    pub waiting: usize,
}

impl Store {
    /// Takes versions beyond `retention` out of the history, and deletes the objects of those
    /// that were taken out longer than `grace` ago.
    ///
    /// # Errors
    /// No such collection; another writer; a history that cannot be read or written.
    pub async fn expire(
        &self,
        id: &str,
        retention: Retention,
        grace: Duration,
        dry_run: bool,
    ) -> Result<Expiry, StoreError> {
        if self.latest(id)?.is_none() {
            return Err(StoreError::NoCollection(id.to_owned()));
        }
        if self.view(id)?.is_some() {
            return Err(StoreError::IsView(id.to_owned()));
        }
        let _lock = self.lock_collection(id)?;
        let now = Utc::now().timestamp_micros();
        let versions = self.versions(id).await?;
        let standing = retention.standing(&versions, now);
        let (kept, beyond) = versions.split_at(standing.min(versions.len()));
        let mut out = Expiry {
            expired: beyond.iter().map(|v| v.id.clone()).collect(),
            standing: kept.len(),
            ..Expiry::default()
        };
        if dry_run {
            return Ok(out);
        }
        let mut lineage = Lineage::clone(self.lineage(id)?.as_ref());
        if let (Some(oldest), false) = (kept.last(), beyond.is_empty()) {
            let (living, former) = self.annals(id, Some(&oldest.id)).await?;
            lineage.granules = living.into_values().collect();
            lineage.former = former;
            lineage.since = Some(oldest.id.clone());
            lineage.expired.extend(beyond.iter().rev().map(|v| Expired {
                id: v.id.clone(),
                time_micros: v.time_micros,
                expired_micros: now,
                gone: false,
                collected: false,
            }));
            // The decision; what follows can be done again.
            self.put_lineage(id, &lineage)?;
        }
        let over = now.saturating_sub(i64::try_from(grace.as_micros()).unwrap_or(i64::MAX));
        let due: Vec<usize> = lineage
            .expired
            .iter()
            .enumerate()
            .filter(|(_, e)| e.gone || e.expired_micros <= over)
            .filter(|(_, e)| !e.collected)
            .map(|(i, _)| i)
            .collect();
        out.waiting = lineage.expired.iter().filter(|e| !e.collected).count() - due.len();
        if due.is_empty() && beyond.is_empty() {
            return Ok(out);
        }
        let done = self.reclaim(id, &mut lineage, &due).await;
        // Also after a failure: what is remembered of the history may be half changed.
        self.forget(id);
        (out.objects, out.bytes) = done?;
        Ok(out)
    }

    /// Brings the repository to what the lineage says; objects and bytes that were deleted.
    async fn reclaim(
        &self,
        id: &str,
        lineage: &mut Lineage,
        due: &[usize],
    ) -> Result<(u64, u64), StoreError> {
        let repository = self.repository(id).await?;
        if let Some(since) = &lineage.since {
            self.cut_history(id, &repository, since).await?;
        }
        if due.is_empty() {
            return Ok((0, 0));
        }
        for i in due {
            lineage.expired[*i].gone = true;
        }
        // Said before it is so: nobody begins to read what is about to go.
        self.put_lineage(id, lineage)?;
        let fresh = self.repository(id).await?;
        let done = self.collect(id, &fresh).await?;
        // Only now: killed in between, it is begun again next time.
        for i in due {
            lineage.expired[*i].collected = true;
        }
        self.put_lineage(id, lineage)?;
        Ok(done)
    }

    /// Makes `since` the oldest version of the repository's own history.
    async fn cut_history(&self, id: &str, repository: &Repository, since: &str) -> Result<(), StoreError> {
        let since = SnapshotId::try_from(since).map_err(repository_error)?;
        let info = repository.lookup_snapshot(&since).await.map_err(repository_error)?;
        let (keep, assets) = (ExpiredRefAction::Ignore, Arc::clone(repository.asset_manager()));
        expire(assets, info.flushed_at, keep, keep, None, 1).await.map_err(repository_error)?;
        // An old snapshot was written anew: it must be whole before what it replaces is deleted.
        durable::sync_file_system(&self.repo_dir(id)?)
    }

    /// Deletes objects that no version needs: objects and bytes. The caller holds the lock.
    async fn collect(&self, id: &str, repository: &Repository) -> Result<(u64, u64), StoreError> {
        let mut roots = HashSet::new();
        for e in self.lineage(id)?.expired.iter().filter(|e| !e.gone) {
            roots.insert(SnapshotId::try_from(e.id.as_str()).map_err(repository_error)?);
        }
        let (two, much) = (NonZeroU16::MIN.saturating_add(3), NonZeroUsize::MIN.saturating_add(64 << 20));
        // Nothing is being written: the lock is held. A margin covers coarse file times.
        let now: DateTime<Utc> = Utc::now() + Duration::from_secs(3);
        let wanted =
            GCConfig::clean_all(now, now, Some(roots), two, much, much, two, two, two, Some(two), false);
        let assets = Arc::clone(repository.asset_manager());
        let done = garbage_collect(assets, &wanted, None, 1).await.map_err(repository_error)?;
        if let Some(e) = done.delete_errors.first() {
            return Err(StoreError::Repository(format!("garbage that cannot be deleted: {e}")));
        }
        let objects = done.chunks_deleted
            + done.manifests_deleted
            + done.snapshots_deleted
            + done.transaction_logs_deleted;
        Ok((objects, done.bytes_deleted))
    }

    /// Deletes what no version needs, such as a killed ingest left: objects and bytes.
    ///
    /// # Errors
    /// No such collection; another writer; a version that cannot be read.
    pub async fn remove_orphans(&self, id: &str) -> Result<(u64, u64), StoreError> {
        if self.latest(id)?.is_none() {
            return Err(StoreError::NoCollection(id.to_owned()));
        }
        let _lock = self.lock_collection(id)?;
        let repository = self.repository(id).await?;
        let done = self.collect(id, &repository).await?;
        let marker = self.collection_dir(id)?.join(".writing");
        if marker.exists() {
            std::fs::remove_file(&marker).map_err(StoreError::io(&marker))?;
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(times: &[i64]) -> Vec<VersionInfo> {
        let one = |t: &i64| VersionInfo {
            id: t.to_string(),
            time_micros: *t * 1_000_000,
            message: String::new(),
            granules: Vec::new(),
            change: super::super::Change::default(),
        };
        times.iter().map(one).collect()
    }

    #[test]
    fn a_version_stands_if_either_rule_says_so_and_the_latest_always() {
        let v = versions(&[100, 90, 50, 10]);
        let at = |keep, secs: Option<u64>| {
            let r = Retention { keep, keep_for: secs.map(Duration::from_secs) };
            r.standing(&v, 110_000_000)
        };
        assert_eq!(at(None, None), 4);
        assert_eq!(at(Some(2), None), 2);
        assert_eq!(at(Some(0), None), 1);
        // The one of second 50 was the latest until second 90.
        assert_eq!(at(None, Some(25)), 3);
        assert_eq!(at(None, Some(5)), 1);
        assert_eq!(at(Some(4), Some(5)), 4);
        assert_eq!(at(Some(9), None), 4);
    }
}
