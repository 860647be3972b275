//! `graticule check`: stores, manifests, checksums, references and the catalog proved
//! against each other, and metadata against the rules that it claims to follow.
//!
//! Nothing is believed because another thing says so: each version's snapshot and
//! manifests are read, each object that one names is looked for, and what the catalog
//! says is derived again from the stores. Objects are immutable and shared between
//! versions, so each is looked at once. `--deep` decodes every chunk and compares
//! every object with the sum in its name.

mod blocks;
mod catalog;
mod cf;
mod report;
mod rules;
mod sources;
mod tables;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use graticule_shared::zarr::{ArrayMeta, Hierarchy};

use crate::opened::Opened;
use crate::store::{Held, Store, StoreError};
pub use report::{Code, Finding, Report};

#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only this collection.
    pub only: Option<String>,
    /// Decode every chunk, compare every object with its name.
    pub deep: bool,
    /// Compare the granules' sources, where they are still there.
    pub sources: bool,
    /// Set right what can be: the catalog from the store, orphans away.
    pub repair: bool,
}

/// Checks a data directory; with `repair`, reports what was set right and what remains.
///
/// # Errors
/// There is no such data directory or collection; with `repair`, what cannot be written.
pub async fn run(data: &Path, options: &Options) -> anyhow::Result<Report> {
    let store = Arc::new(Store::open(data)?);
    let first = look(&store, data, options).await?;
    if !options.repair || !first.findings.iter().any(|f| f.repairable) {
        return Ok(first);
    }
    for f in first.findings.iter().filter(|f| f.code == Code::Unpublished) {
        if let Some(id) = &f.collection {
            store.remove_unpublished(id)?;
        }
    }
    let orphaned: HashSet<&String> = first
        .findings
        .iter()
        .filter(|f| f.code == Code::Orphan)
        .filter_map(|f| f.collection.as_ref())
        .collect();
    for id in orphaned {
        store.remove_orphans(id).await?;
    }
    catalog::repair(&store, data, &first.findings).await?;
    // A fresh look, past everything that this one has read.
    let store = Arc::new(Store::open(data)?);
    let mut second = look(&store, data, options).await?;
    second.repaired =
        first.findings.into_iter().filter(|f| f.repairable && !second.findings.contains(f)).collect();
    Ok(second)
}

async fn look(store: &Arc<Store>, data: &Path, options: &Options) -> anyhow::Result<Report> {
    let mut report = Report { deep: options.deep, ..Report::default() };
    let all = store.directories()?;
    if let Some(id) = &options.only
        && !all.contains(id)
    {
        return Err(StoreError::NoCollection(id.clone()).into());
    }
    let wanted: Vec<&String> =
        all.iter().filter(|id| options.only.as_ref().is_none_or(|o| o == *id)).collect();
    let mut readable = Vec::new();
    for id in wanted {
        match store.latest(id) {
            Err(e) => report.findings.push(Finding::new(Code::TipUnreadable, e.to_string()).of(id)),
            Ok(None)
                if crate::tables::path(store.root(), id).is_file()
                    && tables::check(store, id, &mut report).await? => {}
            Ok(None) if matches!(store.view(id), Ok(Some(_))) => report.findings.push(
                Finding::new(Code::VersionUnreadable, "a view of a collection that there is not").of(id),
            ),
            Ok(None) => report.findings.push(
                Finding::new(Code::Unpublished, "a directory in which nothing was ever published").of(id),
            ),
            Ok(Some(_)) => {
                report.collections += 1;
                let before = report.findings.len();
                collection(store, id, options, &mut report).await?;
                let lost = |f: &Finding| matches!(f.code, Code::VersionUnreadable | Code::LineageUnreadable);
                if !report.findings[before..].iter().any(lost) {
                    readable.push(id.clone());
                }
            }
        }
    }
    catalog::check(store, data, &readable, options, &mut report).await?;
    if options.sources {
        for id in &readable {
            sources::check(store, id, &mut report).await?;
        }
    }
    report.findings.sort_by(|a, b| (a.code, &a.collection, &a.path).cmp(&(b.code, &b.collection, &b.path)));
    Ok(report)
}

/// Everything about one published collection but its place in the catalog.
async fn collection(
    store: &Arc<Store>,
    id: &str,
    options: &Options,
    report: &mut Report,
) -> anyhow::Result<()> {
    if let Err(e) = store.lineage(id) {
        report.findings.push(Finding::new(Code::LineageUnreadable, e.to_string()).of(id));
        return Ok(());
    }
    let (versions, broken) = match store.readable_versions(id).await {
        Ok(found) => found,
        Err(e) => {
            report.findings.push(Finding::new(Code::VersionUnreadable, e.to_string()).of(id));
            return Ok(());
        }
    };
    if let Some(e) = broken {
        let detail = format!("the history cannot be followed beyond {} versions: {e}", versions.len());
        report.findings.push(Finding::new(Code::VersionUnreadable, detail).of(id));
        if versions.is_empty() {
            return Ok(());
        }
    }
    // A view holds nothing of its own: it must open, and say what CF says.
    if store.view(id)?.is_some() {
        report.versions += versions.len() as u64;
        match store.open_version(id, None).await {
            Err(e) => report.findings.push(Finding::new(Code::VersionUnreadable, e.to_string()).of(id)),
            Ok(snapshot) => {
                rules::check(snapshot.hierarchy(), &snapshot.root_json().bytes, id, report);
                cf::check(&Opened::new(snapshot), id, report).await;
            }
        }
        return Ok(());
    }
    let mut all = Seen::default();
    for (n, v) in versions.iter().enumerate() {
        report.versions += 1;
        let snapshot = match store.open_version(id, Some(&v.id)).await {
            Ok(s) => s,
            Err(e) => {
                let f = Finding::new(Code::VersionUnreadable, e.to_string());
                report.findings.push(f.of(id).in_version(&v.id));
                continue;
            }
        };
        if n == 0 {
            rules::check(snapshot.hierarchy(), &snapshot.root_json().bytes, id, report);
        }
        references(store, id, &v.id, snapshot.hierarchy(), &mut all, report).await?;
    }
    let looked = blocks::Look { store: Arc::clone(store), collection: id.to_owned(), deep: options.deep };
    let (objects, bytes) = all.objects.values().fold((0, 0), |(n, b), j| (n + 1, b + j.length));
    report.objects += objects;
    report.bytes += bytes;
    let named: HashSet<String> = all.objects.keys().cloned().collect();
    report.findings.extend(blocks::check(looked, all).await?);
    if versions.last().is_some_and(|_| !report.findings.iter().any(|f| f.of_history(id))) {
        match store.orphans(id, &named).await? {
            None => report.notes.push(format!("{id} is being written: orphans were not looked for")),
            Some(list) => report.findings.extend(list.into_iter().map(|path| {
                let size = std::fs::metadata(&path).map_or(0, |m| m.len());
                let shown = path.strip_prefix(store.root()).unwrap_or(&path).display().to_string();
                Finding::new(Code::Orphan, format!("{size} bytes that no version needs")).of(id).at(shown)
            })),
        }
    }
    if let Some(latest) = versions.first()
        && let Ok(snapshot) = store.open_version(id, Some(&latest.id)).await
    {
        cf::check(&Opened::new(snapshot), id, report).await;
    }
    Ok(())
}

impl Finding {
    /// Whether it keeps the history of a collection from being read.
    fn of_history(&self, id: &str) -> bool {
        self.collection.as_deref() == Some(id)
            && matches!(self.code, Code::VersionUnreadable | Code::ManifestUnreadable)
    }
}

/// What the versions of a collection name, each thing once.
#[derive(Default)]
pub struct Seen {
    manifests: HashSet<String>,
    /// By name of the object.
    objects: HashMap<String, blocks::Job>,
    inline: Vec<blocks::Inline>,
    elsewhere: Vec<blocks::Elsewhere>,
}

async fn references(
    store: &Store,
    id: &str,
    version: &str,
    hierarchy: &Arc<Hierarchy>,
    all: &mut Seen,
    report: &mut Report,
) -> anyhow::Result<()> {
    let found = match store.references(id, version, &mut all.manifests).await {
        Ok(found) => found,
        Err(e) => {
            let f = Finding::new(Code::VersionUnreadable, e.to_string());
            report.findings.push(f.of(id).in_version(version));
            return Ok(());
        }
    };
    for (array, why) in found.broken {
        let f = Finding::new(Code::ManifestUnreadable, why);
        report.findings.push(f.of(id).in_version(version).at(array));
    }
    for r in found.list {
        report.chunks += 1;
        let Some(array) = hierarchy.arrays.get(&r.array) else {
            let f = Finding::new(Code::ZarrInvalid, "chunks of an array that has no metadata");
            report.findings.push(f.of(id).in_version(version).at(r.array));
            continue;
        };
        let key = key_of(array, &r.index);
        if r.index.len() != array.shape.len() {
            let f = Finding::new(Code::ChunkOutside, format!("index {:?} of {:?}", r.index, array.shape));
            report.findings.push(f.of(id).in_version(version).at(key));
            continue;
        }
        let place = blocks::Place {
            version: version.to_owned(),
            key,
            array: r.array.clone(),
            hierarchy: Arc::clone(hierarchy),
        };
        match r.held {
            Held::Object { name, offset, length } => {
                all.objects.entry(name).or_insert(blocks::Job { place, offset, length });
            }
            Held::Inline(bytes) => all.inline.push(blocks::Inline { place, bytes }),
            Held::Elsewhere(reference) => all.elsewhere.push(blocks::Elsewhere { place, reference }),
        }
    }
    Ok(())
}

fn key_of(array: &ArrayMeta, index: &[u32]) -> String {
    array.chunk_key(&index.iter().map(|i| u64::from(*i)).collect::<Vec<_>>())
}
