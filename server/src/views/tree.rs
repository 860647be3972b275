//! The nodes of a view: which of them pass from what it is of, and how the others are made.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use graticule_shared::zarr::ArrayMeta;
use serde_json::{Map, Value, json};

use crate::store::{Derived, Effort, Snapshot, StoreError, VersionInfo};

/// Makes part of an array.
pub trait Make: Send + Sync {
    /// What a slab of this shape reads of the base.
    fn effort(&self, base: &Snapshot, shape: &[u64]) -> Effort;

    /// Native-endian values of the hyperslab `start`, `count`, in the array's type and C order.
    fn slab<'a>(
        &'a self,
        base: &'a Arc<Snapshot>,
        start: &'a [u64],
        count: &'a [u64],
    ) -> BoxFuture<'a, anyhow::Result<Vec<u8>>>;
}

pub enum Source {
    /// An array of the base, as it is.
    Passed(String),
    /// Whole, native-endian.
    Whole(Vec<u8>),
    Made(Box<dyn Make>),
}

/// What a step makes of a version.
pub struct Tree {
    base: Arc<Snapshot>,
    /// Attributes of the root.
    pub root: Map<String, Value>,
    groups: BTreeMap<String, Map<String, Value>>,
    arrays: BTreeMap<String, (Value, Source)>,
}

impl Tree {
    /// All of the base.
    pub fn of(base: Arc<Snapshot>) -> Self {
        let h = Arc::clone(base.hierarchy());
        let passed = |a: &ArrayMeta| (a.path.clone(), (a.metadata.clone(), Source::Passed(a.path.clone())));
        Self {
            base,
            root: h.attributes.clone(),
            groups: h.groups.clone(),
            arrays: h.arrays.values().map(passed).collect(),
        }
    }

    /// Leaves out arrays, and groups in which none are left.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.arrays.retain(|path, _| keep(path));
        let inside = |group: &str| {
            let prefix = format!("{group}/");
            self.arrays.keys().any(|p| p.starts_with(&prefix))
        };
        self.groups.retain(|g, _| inside(g));
    }

    pub fn put(&mut self, path: &str, metadata: Value, source: Source) {
        self.arrays.insert(path.to_owned(), (metadata, source));
    }

    pub fn put_group(&mut self, path: &str, attributes: Map<String, Value>) {
        self.groups.insert(path.to_owned(), attributes);
    }

    /// # Errors
    /// Documents that are no hierarchy.
    pub fn snapshot(self, id: &str, info: VersionInfo) -> Result<Snapshot, StoreError> {
        let mut nodes = BTreeMap::new();
        // A group is a node of its own (Zarr v3, section "Hierarchy").
        for path in self.arrays.keys() {
            for (end, _) in path.match_indices('/') {
                let group = json!({"zarr_format": 3, "node_type": "group", "attributes": {}});
                nodes.insert(path[..end].to_owned(), group);
            }
        }
        for (path, attributes) in self.groups {
            nodes.insert(path, json!({"zarr_format": 3, "node_type": "group", "attributes": attributes}));
        }
        let mut sources = BTreeMap::new();
        for (path, (metadata, source)) in self.arrays {
            nodes.insert(path.clone(), metadata);
            sources.insert(path, source);
        }
        let root = json!({"zarr_format": 3, "node_type": "group", "attributes": self.root});
        let made = Made { base: self.base, sources };
        Snapshot::derived(id, info, root, nodes, Arc::new(made))
    }
}

struct Made {
    base: Arc<Snapshot>,
    sources: BTreeMap<String, Source>,
}

impl Derived for Made {
    fn base(&self) -> &Arc<Snapshot> {
        &self.base
    }

    fn passed(&self, path: &str) -> Option<&str> {
        match self.sources.get(path) {
            Some(Source::Passed(from)) => Some(from),
            _ => None,
        }
    }

    fn effort(&self, array: &ArrayMeta) -> Effort {
        match self.sources.get(&array.path) {
            Some(Source::Made(make)) => make.effort(&self.base, array.block_shape()),
            _ => Effort::default(),
        }
    }

    fn block<'a>(&'a self, array: &'a ArrayMeta, block: &'a [u64]) -> BoxFuture<'a, anyhow::Result<Vec<u8>>> {
        Box::pin(async move {
            let dtype = array.dtype.ok_or_else(|| anyhow::anyhow!("{}: not numeric", array.path))?;
            let fill = graticule_formats::fill_bytes(dtype, &array.fill_value)
                .ok_or_else(|| anyhow::anyhow!("{}: no fill value", array.path))?;
            let shape = array.block_shape();
            let start: Vec<u64> = block.iter().zip(shape).map(|(b, n)| b * n).collect();
            let count: Vec<u64> =
                start.iter().zip(shape).zip(&array.shape).map(|((s, n), all)| (*n).min(all - s)).collect();
            let inside = match self.sources.get(&array.path) {
                Some(Source::Made(make)) => make.slab(&self.base, &start, &count).await?,
                Some(Source::Whole(all)) => part(all, &array.shape, &start, &count, dtype.size()),
                _ => anyhow::bail!("{}: nothing makes it", array.path),
            };
            let expected = count.iter().product::<u64>() as usize * dtype.size();
            anyhow::ensure!(
                inside.len() == expected,
                "{}: made {} bytes of {expected}",
                array.path,
                inside.len()
            );
            if count == shape {
                return Ok(inside);
            }
            let mut out = fill.repeat(shape.iter().product::<u64>() as usize);
            copy(&inside, &count, &mut out, shape, dtype.size());
            Ok(out)
        })
    }
}

/// What a hyperslab of this shape of a base's array reads, begun where its blocks begin.
pub fn effort_of(base: &Snapshot, path: &str, shape: &[u64]) -> Effort {
    let Some(a) = base.hierarchy().arrays.get(path) else { return Effort::default() };
    let blocks =
        shape.iter().zip(a.block_shape()).fold(1u64, |n, (s, b)| n.saturating_mul(s.div_ceil((*b).max(1))));
    base.effort(a).times(blocks)
}

/// Rows of a slab to the beginning of a larger one.
fn copy(from: &[u8], count: &[u64], to: &mut [u8], shape: &[u64], size: usize) {
    let run = count.last().map_or(1, |n| *n as usize) * size;
    let outer = count.split_last().map_or(&[] as &[u64], |(_, o)| o);
    for (n, row) in from.chunks(run.max(1)).enumerate() {
        let index = crate::opened::unravel(n as u64, outer);
        let mut slot = index.iter().zip(shape).fold(0, |at, (i, n)| at * n + i) as usize;
        slot *= shape.last().map_or(1, |n| *n as usize) * size;
        if let Some(to) = to.get_mut(slot..slot + row.len()) {
            to.copy_from_slice(row);
        }
    }
}

/// A hyperslab of a whole array.
fn part(all: &[u8], shape: &[u64], start: &[u64], count: &[u64], size: usize) -> Vec<u8> {
    let run = count.last().map_or(1, |n| *n as usize) * size;
    let outer: Vec<u64> = count.split_last().map_or_else(Vec::new, |(_, o)| o.to_vec());
    let mut out = Vec::with_capacity(count.iter().product::<u64>() as usize * size);
    for n in 0..outer.iter().product::<u64>() {
        let mut index = crate::opened::unravel(n, &outer);
        index.push(0);
        index.truncate(count.len());
        let flat = index.iter().zip(start).zip(shape).fold(0, |at, ((i, s), n)| at * n + i + s) as usize;
        out.extend_from_slice(all.get(flat * size..flat * size + run).unwrap_or_default());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_out_and_put_into_larger_blocks() {
        let all: Vec<u8> = (0..12).collect();
        assert_eq!(part(&all, &[3, 4], &[1, 2], &[2, 2], 1), [6, 7, 10, 11]);
        let mut out = vec![99; 9];
        copy(&[6, 7, 10, 11], &[2, 2], &mut out, &[3, 3], 1);
        assert_eq!(out, [6, 7, 99, 10, 11, 99, 99, 99, 99]);
        assert_eq!(part(&[5, 0], &[], &[], &[], 2), [5, 0]);
    }
}
