//! Going back to an earlier version, with the history kept: a new version whose
//! content is the earlier one's. Nothing is copied; the new snapshot names the
//! same manifests.

use std::collections::BTreeMap;
use std::sync::Arc;

use graticule_shared::zarr::Hierarchy;
use icechunk::format::format_constants::SpecVersionBin;
use icechunk::format::snapshot::{NodeSnapshot, Snapshot as Stored};
use icechunk::format::transaction_log::TransactionLog;
use icechunk::format::{NodeId, SnapshotId};

use super::history::{Change, Granule, Kind, Living, Past};
use super::write::{Writer, properties};
use super::{Store, StoreError, repository_error};

impl Store {
    /// Makes the content of version `to` the latest again. Returns the new version.
    ///
    /// # Errors
    /// No such collection or version, one that expired or is the latest; another
    /// writer; a disk that cannot be written.
    pub async fn roll_back(&self, id: &str, to: &str) -> Result<String, StoreError> {
        let Some(latest) = self.latest(id)? else { return Err(StoreError::NoCollection(id.to_owned())) };
        if latest == to {
            return Err(StoreError::AlreadyLatest { collection: id.to_owned(), version: to.to_owned() });
        }
        // The version must stand: also one in its grace is none to go back to.
        let then = self.living(id, Some(to)).await?;
        self.writer(id).await?.roll_back(to, &then).await
    }
}

impl Writer<'_> {
    async fn roll_back(mut self, to: &str, then: &Living) -> Result<String, StoreError> {
        let Some(former) = self.former().cloned() else {
            return Err(StoreError::NoCollection(self.id.clone()));
        };
        if former.version() == to {
            return Err(StoreError::AlreadyLatest { collection: self.id.clone(), version: to.to_owned() });
        }
        let target = self.store.open_version(&self.id, Some(to)).await?;
        let now = self.store.living(&self.id, None).await?;
        let (granules, removed) = difference(&now, then);
        let change = Change {
            kind: Kind::Rollback,
            dimensions: changed(&lengths(former.hierarchy()), &lengths(target.hierarchy())),
            removed,
            of: Some(to.to_owned()),
            ..Change::default()
        };
        let message = format!("Roll back to {to}: {}", target.message());
        let outcome = async {
            let version = self.adopt(former.version(), to, &granules, &change, &message).await?;
            self.publish(&version).await
        };
        match outcome.await {
            Ok(version) => Ok(version),
            Err(e) => Err(self.give_up(e).await),
        }
    }

    /// Stores a snapshot that follows `parent` and holds what `content` holds.
    async fn adopt(
        &self,
        parent: &str,
        content: &str,
        granules: &[Granule],
        change: &Change,
        message: &str,
    ) -> Result<SnapshotId, StoreError> {
        let assets = self.repository.asset_manager();
        let id = |name: &str| SnapshotId::try_from(name).map_err(repository_error);
        let (parent, content) = (id(parent)?, id(content)?);
        let before = assets.fetch_snapshot(&parent).await.map_err(repository_error)?;
        let after = assets.fetch_snapshot(&content).await.map_err(repository_error)?;
        let nodes = |s: &Stored| s.iter().collect::<Result<Vec<_>, _>>().map_err(repository_error);
        let manifests = after.manifest_files().collect::<Result<Vec<_>, _>>().map_err(repository_error)?;
        let (old, new) = (nodes(&before)?, nodes(&after)?);
        let snapshot = Stored::from_iter(
            None,
            Some(parent),
            SpecVersionBin::V1,
            message,
            Some(properties(granules, change)?),
            manifests,
            None,
            new.iter().cloned().map(Ok),
        )
        .map_err(repository_error)?;
        let version = snapshot.id();
        let log = Arc::new(log(&version, &old, &new));
        assets.write_transaction_log(version.clone(), log).await.map_err(repository_error)?;
        assets.write_snapshot(Arc::new(snapshot)).await.map_err(repository_error)?;
        Ok(version)
    }
}

/// What changed between two snapshots, node by node.
fn log(version: &SnapshotId, old: &[NodeSnapshot], new: &[NodeSnapshot]) -> TransactionLog {
    use icechunk::format::snapshot::NodeType;
    let pick = |from: &[NodeSnapshot], kind: NodeType, wanted: &dyn Fn(&NodeSnapshot) -> bool| {
        let mut ids: Vec<NodeId> =
            from.iter().filter(|n| n.node_type() == kind && wanted(n)).map(|n| n.id.clone()).collect();
        ids.sort();
        ids.into_iter()
    };
    let added = |n: &NodeSnapshot| !old.iter().any(|o| o.id == n.id);
    let gone = |o: &NodeSnapshot| !new.iter().any(|n| n.id == o.id);
    let differs = |n: &NodeSnapshot| old.iter().any(|o| o.id == n.id && o != n);
    TransactionLog::new_from_parts(
        version,
        pick(new, NodeType::Group, &added),
        pick(new, NodeType::Array, &added),
        pick(old, NodeType::Group, &gone),
        pick(old, NodeType::Array, &gone),
        pick(new, NodeType::Group, &differs),
        pick(new, NodeType::Array, &differs),
        std::iter::empty::<(NodeId, std::iter::Empty<_>)>().collect::<Vec<_>>().into_iter(),
        std::iter::empty(),
    )
}

/// What must be added to and taken from `now` to make `then`.
fn difference(now: &Living, then: &Living) -> (Vec<Granule>, Vec<Past>) {
    let same = |id: &String, in_other: &Living, granule: &Granule| {
        in_other.get(id).is_some_and(|s| s.granule == *granule)
    };
    let added = then.iter().filter(|(id, s)| !same(id, now, &s.granule));
    let removed = now.iter().filter(|(id, s)| !same(id, then, &s.granule));
    (
        added.map(|(_, s)| s.granule.clone()).collect(),
        removed.map(|(id, s)| Past { id: id.clone(), sha256: s.granule.sha256.clone(), by: None }).collect(),
    )
}

/// Lengths of the dimensions of the finest level.
pub fn lengths(h: &Hierarchy) -> BTreeMap<String, u64> {
    let layout = h.attributes.get("multiscales").and_then(|m| m["layout"].as_array());
    let assets = layout.into_iter().flatten().filter_map(|l| l["asset"].as_str());
    let coarser: Vec<String> = assets.filter(|a| *a != ".").map(|a| format!("{a}/")).collect();
    let finest = h.arrays.values().filter(|a| !coarser.iter().any(|c| a.path.starts_with(c)));
    let mut lengths = BTreeMap::new();
    for (name, n) in finest.flat_map(|a| a.dims.iter().cloned().zip(a.shape.iter().copied())) {
        // A second layout of the same values may lag behind.
        let longest = lengths.entry(name).or_insert(n);
        *longest = n.max(*longest);
    }
    lengths
}

/// Dimensions whose lengths differ, before and after.
pub fn changed(
    before: &BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
) -> BTreeMap<String, (Option<u64>, Option<u64>)> {
    let names = before.keys().chain(after.keys());
    names
        .map(|n| (n.clone(), (before.get(n).copied(), after.get(n).copied())))
        .filter(|(_, (b, a))| b != a)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_that_did_not_change_are_not_told() {
        let map = |l: &[(&str, u64)]| l.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
        let got = changed(&map(&[("time", 3), ("lat", 4)]), &map(&[("time", 5), ("lat", 4), ("z", 1)]));
        assert_eq!(got["time"], (Some(3), Some(5)));
        assert_eq!(got["z"], (None, Some(1)));
        assert_eq!(got.len(), 2);
    }
}
