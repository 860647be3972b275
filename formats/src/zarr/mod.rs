//! Zarr v2 and v3 hierarchies as sources: folders, ZIP archives, and whatever gives objects by key.
//!
//! A hierarchy is read as xarray reads it: an array's dimensions are named by its metadata or by
//! `_ARRAY_DIMENSIONS`, and chunks that are not stored hold the fill value. A pyramid that it brings
//! along is kept ([`Header::levels`]).

mod chunks;
mod header;
mod nodes;
mod objects;
mod pyramid;
mod refer;
mod zip;

use graticule_shared::node::within;
use std::collections::BTreeMap;
use std::path::Path;

use hdf5_reader::storage::DynStorage;

use crate::{FormatError, Header, Limits, Source, slab};
use chunks::{Cache, Chunks};
use header::Stored;
pub(crate) use header::base64;
pub use header::fill as fill_bytes;
use nodes::{Array, Nodes, Reader};
pub(crate) use objects::Origin;
use objects::{Folder, Side};
pub(crate) use objects::{Objects, folders_of, read_range};

/// Metadata of a node, any of which makes a folder a hierarchy.
const MARKS: [&str; 4] = ["zarr.json", ".zgroup", ".zarray", ".zmetadata"];
/// Levels that a pyramid of stores side by side may have.
const MAX_LEVELS: usize = 40;

/// True where a folder is one Zarr hierarchy, or a pyramid of them (xcube's `NAME.levels`).
pub fn is_hierarchy(path: &Path) -> bool {
    let marked = |p: &Path| MARKS.iter().any(|m| p.join(m).is_file());
    let ends = |suffix: &str| path.to_str().is_some_and(|p| p.trim_end_matches('/').ends_with(suffix));
    marked(path)
        || (path.is_dir() && ends(".zarr"))
        || (path.is_dir()
            && ends(".levels")
            && (path.join("0.zarr").is_dir() || path.join("0.link").is_file()))
}

pub(crate) struct Zarr {
    file: String,
    header: Header,
    stored: BTreeMap<String, Stored>,
    objects: Box<dyn Objects>,
    limits: Limits,
    cache: Cache,
}

impl Zarr {
    /// A folder.
    pub(crate) fn open(file: &str, path: &Path, limits: Limits) -> Result<Self, FormatError> {
        if path.join("0.zarr").is_dir() || path.join("0.link").is_file() {
            return Self::open_levels(file, path, limits);
        }
        Self::open_objects(file, "Zarr", Box::new(Folder::open(file, path)?), limits)
    }

    /// A ZIP archive, in memory or on disk.
    pub(crate) fn open_zip(
        file: &str,
        storage: DynStorage,
        path: Option<&Path>,
        limits: Limits,
    ) -> Result<Self, FormatError> {
        let zip = zip::Zip::open(file, storage, path.map(Path::to_owned), &limits)?;
        let root = zip.root();
        let zip: Box<dyn Objects> = Box::new(zip);
        let objects = if root.is_empty() { zip } else { Box::new(objects::Below(zip, root)) };
        Self::open_objects(file, "Zarr in ZIP", objects, limits)
    }

    pub(crate) fn open_objects(
        file: &str,
        format: &str,
        objects: Box<dyn Objects>,
        limits: Limits,
    ) -> Result<Self, FormatError> {
        let nodes = Reader { file, objects: objects.as_ref(), limits: &limits }.read()?;
        Self::of_nodes(file, format, nodes, objects, limits)
    }

    /// xcube's levels: `0.zarr`, `1.zarr` and so on beside each other, any of which may be a
    /// `N.link` that holds the path of a store elsewhere below the folder that they are in.
    fn open_levels(file: &str, path: &Path, limits: Limits) -> Result<Self, FormatError> {
        let error = |why: String| FormatError::new(file, why);
        let home = path.canonicalize().map_err(|e| error(e.to_string()))?;
        let around = home.parent().unwrap_or(&home).to_owned();
        let mut parts: Vec<(String, Box<dyn Objects>)> = Vec::new();
        let mut nodes = Nodes::default();
        for k in 0..MAX_LEVELS {
            let (store, link) = (home.join(format!("{k}.zarr")), home.join(format!("{k}.link")));
            let place = if store.is_dir() {
                store
            } else if link.is_file() {
                let text = objects::read_range(&link, 0, link.metadata().map_or(0, |m| m.len()).min(4096));
                let text = text.map_err(|e| error(format!("{k}.link: {e}")))?;
                let text = String::from_utf8_lossy(&text).trim().to_owned();
                let place = home.join(&text).canonicalize();
                let place = place.map_err(|e| error(format!("{k}.link points at {text:?}: {e}")))?;
                if !place.starts_with(&around) {
                    return Err(error(format!("{k}.link points at {text:?}, outside {}", around.display())));
                }
                place
            } else {
                break;
            };
            let folder = Folder::open(file, &place)?;
            let name = k.to_string();
            let read = Reader { file, objects: &folder, limits: &limits }.read()?;
            nodes.groups.extend(read.groups.into_iter().map(|(path, a)| (prefixed(&name, &path), a)));
            for (path, Array { mut meta, format }) in read.arrays {
                meta.path = prefixed(&name, &meta.path);
                nodes.arrays.insert(prefixed(&name, &path), Array { meta, format });
            }
            parts.push((name, Box::new(folder)));
        }
        let names: Vec<String> = parts.iter().map(|(n, _)| n.clone()).collect();
        nodes.groups.insert(String::new(), pyramid::side_by_side(&names));
        Self::of_nodes(file, "Zarr", nodes, Box::new(Side(parts)), limits)
    }

    fn of_nodes(
        file: &str,
        format: &str,
        mut nodes: Nodes,
        objects: Box<dyn Objects>,
        limits: Limits,
    ) -> Result<Self, FormatError> {
        let version = nodes.arrays.values().next().map_or("", |a| match a.format {
            graticule_shared::zarr::ZarrFormat::V2 => " v2",
            graticule_shared::zarr::ZarrFormat::V3 => " v3",
        });
        let levels = pyramid::arrange(&mut nodes);
        let (mut header, stored) = header::read(file, nodes, &levels, &limits)?;
        if header.variables.is_empty() {
            let skipped: Vec<String> = header.skipped.iter().map(|(n, why)| format!("{n}: {why}")).collect();
            let why =
                if skipped.is_empty() { "there is no array in it".to_owned() } else { skipped.join("; ") };
            return Err(FormatError::new(file, format!("no array of it can be read: {why}")));
        }
        header.variables.extend(pyramid::web_mercator(&header));
        header.format = match format.split_once(' ') {
            Some((name, place)) => format!("{name}{version} {place}"),
            None => format!("{format}{version}"),
        };
        header.levels = levels;
        Ok(Self { file: file.to_owned(), header, stored, objects, limits, cache: Cache::default() })
    }
}

fn prefixed(name: &str, path: &str) -> String {
    if path.is_empty() { name.to_owned() } else { within(name, path) }
}

impl Source for Zarr {
    fn header(&self) -> &Header {
        &self.header
    }

    fn read(&self, variable: &str, start: &[u64], count: &[u64]) -> Result<Vec<u8>, FormatError> {
        let Some(var) = self.header.variables.iter().find(|v| v.path == variable) else {
            let reason = match self.header.skipped.iter().find(|(name, _)| name == variable) {
                Some((_, why)) => why.clone(),
                None => "there is no such variable".to_owned(),
            };
            return Err(FormatError::new(&self.file, reason).in_variable(variable));
        };
        let bytes = slab::check(&self.file, var, start, count, &self.limits)?;
        let Some(stored) = self.stored.get(variable) else { return Ok(vec![0; bytes]) };
        if bytes == 0 {
            return Ok(Vec::new());
        }
        let mut out = if stored.fill.iter().all(|b| *b == 0) {
            vec![0; bytes]
        } else {
            stored.fill.repeat(bytes / stored.fill.len().max(1))
        };
        let chunks = Chunks {
            file: &self.file,
            objects: self.objects.as_ref(),
            limits: &self.limits,
            cache: &self.cache,
        };
        let extent = stored.meta.block_shape().to_vec();
        let first: Vec<u64> = start.iter().zip(&extent).map(|(s, e)| s / e).collect();
        let last: Vec<u64> =
            start.iter().zip(count).zip(&extent).map(|((s, c), e)| (s + c - 1) / e).collect();
        let target = slab::Region { corner: start, extent: count };
        let mut at = first.clone();
        loop {
            let block = chunks.block(stored, &at).map_err(|e| e.in_variable(variable))?;
            if let Some(block) = block {
                let corner: Vec<u64> = at.iter().zip(&extent).map(|(i, e)| i * e).collect();
                let from = slab::Region { corner: &corner, extent: &extent };
                slab::copy_overlap(&block, &from, &mut out, &target, var.dtype.size());
            }
            let Some(axis) = (0..at.len()).rev().find(|a| at[*a] < last[*a]) else { return Ok(out) };
            at[axis] += 1;
            at[axis + 1..].copy_from_slice(&first[axis + 1..]);
        }
    }

    fn stored(&self, variable: &str) -> Result<crate::StoredChunks, FormatError> {
        let Some(stored) = self.stored.get(variable) else {
            return Err(FormatError::new(&self.file, "it has no chunks").in_variable(variable));
        };
        refer::chunks(self.objects.as_ref(), stored).map_err(|why| {
            FormatError::new(&self.file, format!("its chunks cannot be referred to: {why}"))
                .in_variable(variable)
        })
    }
}
