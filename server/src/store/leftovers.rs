//! What a writer left that died or failed, and how it is told from what is needed.
//!
//! Data objects are known by name: each was entered in the marker file before it
//! was written. Metadata is written by Icechunk under names that only it knows, so
//! what is new since the writer began and named by no version is removed.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use icechunk::Repository;
use icechunk::format::SnapshotId;
use icechunk::format::manifest::ChunkPayload;
use icechunk::repository::VersionInfo as IcechunkVersion;

use super::{Store, StoreError, repository_error};

const METADATA: [&str; 3] = ["snapshots", "transactions", "manifests"];
/// File systems keep times more coarsely than the clock tells them.
const COARSE: Duration = Duration::from_secs(2);

/// Names of the manifests of a version.
pub(super) async fn manifests(repository: &Repository, version: &str) -> Result<HashSet<String>, StoreError> {
    let id = SnapshotId::try_from(version).map_err(repository_error)?;
    let files = repository.lookup_manifest_files(&id).await.map_err(repository_error)?;
    Ok(files.map(|f| f.id.to_string()).collect())
}

/// Names of the data objects of a version.
///
/// # Errors
/// A manifest that cannot be read.
pub(super) async fn chunks(repository: &Repository, version: &str) -> Result<HashSet<String>, StoreError> {
    let id = SnapshotId::try_from(version).map_err(repository_error)?;
    let session =
        repository.readonly_session(&IcechunkVersion::SnapshotId(id)).await.map_err(repository_error)?;
    let all = session.all_chunks().await.map_err(repository_error)?;
    let mut all = std::pin::pin!(all);
    let mut named = HashSet::new();
    while let Some((_, chunk)) = all.try_next().await.map_err(repository_error)? {
        if let ChunkPayload::Ref(r) = chunk.payload {
            named.insert(r.id.to_string());
        }
    }
    Ok(named)
}

/// Removes what a writer left that did not come to its end, if there was one.
pub(super) async fn of_a_killed_writer(
    store: &Store,
    id: &str,
    repository: &Repository,
    marker: &Path,
) -> Result<(), StoreError> {
    let journal = match std::fs::read_to_string(marker) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(StoreError::io(marker)(e)),
    };
    let began = std::fs::metadata(marker).and_then(|m| m.created().or_else(|_| m.modified()));
    let began = began.map_err(StoreError::io(marker))?;
    let folder = store.repo_dir(id)?.join("chunks");
    if !journal.is_empty()
        && let Some(tip) = store.latest(id)?
    {
        let named = chunks(repository, &tip).await?;
        // The last line may be cut short: it names no object then.
        for name in journal.lines().filter(|n| is_name(n) && !named.contains(*n)) {
            let _ = std::fs::remove_file(folder.join(name));
        }
    }
    metadata(store, id, repository, began).await
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Removes metadata that is younger than `since` and that no version needs.
pub(super) async fn metadata(
    store: &Store,
    id: &str,
    repository: &Repository,
    since: SystemTime,
) -> Result<(), StoreError> {
    let repo = store.repo_dir(id)?;
    let mut young = Vec::new();
    for folder in METADATA {
        let Ok(entries) = std::fs::read_dir(repo.join(folder)) else { continue };
        for entry in entries.flatten() {
            let recent = entry.metadata().and_then(|m| m.modified()).is_ok_and(|t| t + COARSE >= since);
            if recent && let Ok(name) = entry.file_name().into_string() {
                young.push((folder, name, entry.path()));
            }
        }
    }
    if young.is_empty() {
        return Ok(());
    }
    let needed = needed(store, id, repository).await?;
    for (folder, name, path) in young {
        if !needed.contains(&(folder, name)) {
            let _ = std::fs::remove_file(path);
        }
    }
    Ok(())
}

/// Every metadata object of the versions that stand and of those in their grace.
pub(super) async fn needed(
    store: &Store,
    id: &str,
    repository: &Repository,
) -> Result<HashSet<(&'static str, String)>, StoreError> {
    let mut needed = HashSet::new();
    let Some(tip) = store.latest(id)? else { return Ok(needed) };
    let mut roots = vec![tip];
    roots.extend(store.lineage(id)?.expired.iter().filter(|e| !e.gone).map(|e| e.id.clone()));
    for root in roots {
        let root = SnapshotId::try_from(root.as_str()).map_err(repository_error)?;
        if needed.contains(&("snapshots", root.to_string())) {
            continue;
        }
        let history =
            repository.ancestry(&IcechunkVersion::SnapshotId(root)).await.map_err(repository_error)?;
        let mut history = std::pin::pin!(history);
        while let Some(s) = history.try_next().await.map_err(repository_error)? {
            let name = s.id.to_string();
            for manifest in manifests(repository, &name).await? {
                needed.insert(("manifests", manifest));
            }
            needed.insert(("transactions", name.clone()));
            if !needed.insert(("snapshots", name)) {
                break;
            }
        }
    }
    Ok(needed)
}
