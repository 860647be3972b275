//! What a check needs to see of a repository: every reference of every version, and
//! every object that there is.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use icechunk::format::SnapshotId;
use icechunk::format::manifest::{ChunkPayload, VirtualChunkRef};
use icechunk::format::snapshot::NodeData;

use super::history::VersionInfo;
use super::{Store, StoreError, leftovers, repository_error};

/// Where a manifest says that a chunk is.
#[derive(Debug, Clone)]
pub enum Held {
    Inline(Bytes),
    Object { name: String, offset: u64, length: u64 },
    Elsewhere(Box<VirtualChunkRef>),
}

/// One chunk, as a manifest lists it.
#[derive(Debug, Clone)]
pub struct Reference {
    pub array: String,
    pub index: Vec<u32>,
    pub held: Held,
}

/// What could be read of a version's manifests.
#[derive(Debug, Default)]
pub struct References {
    pub list: Vec<Reference>,
    /// Arrays of which a manifest does not read, and why.
    pub broken: Vec<(String, String)>,
}

impl Store {
    /// Directories of collections, whether anything is published in them or not.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn directories(&self) -> Result<Vec<String>, StoreError> {
        let dir = self.root.join("collections");
        let entries = std::fs::read_dir(&dir).map_err(StoreError::io(&dir))?;
        let mut ids: Vec<String> = entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect();
        ids.sort();
        Ok(ids)
    }

    /// Versions newest first as far as they read, and why they do not any further.
    ///
    /// # Errors
    /// There is no such collection, or its branch does not read.
    pub async fn readable_versions(
        &self,
        id: &str,
    ) -> Result<(Vec<VersionInfo>, Option<StoreError>), StoreError> {
        self.latest(id)?.ok_or_else(|| StoreError::NoCollection(id.to_owned()))?;
        let mut all = Vec::new();
        let outcome = self
            .back_from(id, None, |v| {
                all.push(v);
                true
            })
            .await;
        Ok((all, outcome.err()))
    }

    /// The chunks of a version whose manifests are not in `seen`, where they are entered.
    ///
    /// # Errors
    /// The version's snapshot does not read.
    pub async fn references(
        &self,
        id: &str,
        version: &str,
        seen: &mut HashSet<String>,
    ) -> Result<References, StoreError> {
        let repository = self.repository(id).await?;
        let assets = repository.asset_manager();
        let snapshot = SnapshotId::try_from(version).map_err(repository_error)?;
        let snapshot = assets.fetch_snapshot(&snapshot).await.map_err(repository_error)?;
        let mut out = References::default();
        for node in snapshot.iter() {
            let node = node.map_err(repository_error)?;
            let array = node.path.to_string().trim_start_matches('/').to_owned();
            let NodeData::Array { manifests, .. } = &node.node_data else { continue };
            for manifest in manifests {
                if !seen.insert(format!("{} {}", manifest.object_id, node.id)) {
                    continue;
                }
                let mut read = async || {
                    let found = assets
                        .fetch_manifest_without_node(&manifest.object_id)
                        .await
                        .map_err(repository_error)?;
                    for chunk in Arc::clone(&found).iter(node.id.clone()).map_err(repository_error)? {
                        let (index, payload) = chunk.map_err(repository_error)?;
                        let held = match payload {
                            ChunkPayload::Inline(bytes) => Held::Inline(bytes),
                            ChunkPayload::Ref(r) => {
                                let name = r.id.to_string();
                                Held::Object { name, offset: r.offset, length: r.length }
                            }
                            ChunkPayload::Virtual(v) => Held::Elsewhere(Box::new(v)),
                            _ => continue,
                        };
                        out.list.push(Reference { array: array.clone(), index: index.0, held });
                    }
                    Ok::<_, StoreError>(())
                };
                if let Err(e) = read().await {
                    out.broken.push((array.clone(), format!("manifest {}: {e}", manifest.object_id)));
                }
            }
        }
        Ok(out)
    }

    /// Where an object lies.
    ///
    /// # Errors
    /// A bad id.
    pub fn object(&self, id: &str, name: &str) -> Result<PathBuf, StoreError> {
        Ok(self.repo_dir(id)?.join("chunks").join(name))
    }

    /// Objects that no version needs, given the data objects that are `named`. `None` while the
    /// collection is being written: what is not named yet may be about to be.
    ///
    /// # Errors
    /// The history cannot be read.
    pub async fn orphans(
        &self,
        id: &str,
        named: &HashSet<String>,
    ) -> Result<Option<Vec<PathBuf>>, StoreError> {
        let _lock = match self.lock_collection(id) {
            Ok(lock) => lock,
            Err(StoreError::Busy(_)) => return Ok(None),
            Err(e) => return Err(e),
        };
        let repository = self.repository(id).await?;
        let mut named = named.clone();
        for e in self.lineage(id)?.expired.iter().filter(|e| !e.gone) {
            named.extend(leftovers::chunks(&repository, &e.id).await?);
        }
        let needed = leftovers::needed(self, id, &repository).await?;
        let repo = self.repo_dir(id)?;
        let mut orphans = Vec::new();
        for folder in ["chunks", "manifests", "snapshots", "transactions"] {
            for entry in std::fs::read_dir(repo.join(folder)).into_iter().flatten().flatten() {
                let Ok(name) = entry.file_name().into_string() else { continue };
                let wanted = if folder == "chunks" {
                    named.contains(&name)
                } else {
                    // The snapshot of an empty repository has no log of changes, nor need for one.
                    needed.contains(&(folder, name))
                };
                if !wanted {
                    orphans.push(entry.path());
                }
            }
        }
        let marker = self.collection_dir(id)?.join(".writing");
        orphans.extend(marker.exists().then_some(marker));
        orphans.sort();
        Ok(Some(orphans))
    }

    /// Removes a directory in which nothing was ever published.
    ///
    /// # Errors
    /// It is being written; something is published in it; the disk fails.
    pub fn remove_unpublished(&self, id: &str) -> Result<(), StoreError> {
        let dir = self.collection_dir(id)?;
        let _lock = self.lock_collection(id)?;
        // A table that does not read is no reason to delete it.
        if self.latest(id)?.is_some()
            || self.view(id)?.is_some()
            || !matches!(crate::tables::latest(&self.root, id), Ok(None))
        {
            return Err(StoreError::Busy(id.to_owned()));
        }
        std::fs::remove_dir_all(&dir).map_err(StoreError::io(&dir))
    }
}
