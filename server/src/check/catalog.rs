//! The catalog against the stores: what it says is derived again and compared; and its repair.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, params};
use serde_json::Value;

use super::{Code, Finding, Options, Report};
use crate::catalog::{Catalog, Facts, tally};
use crate::opened::Opened;
use crate::store::{Living, Store};

const FILE: &str = "catalog.sqlite";

struct ItemRow {
    checksum: String,
    version: String,
    superseded_by: Option<String>,
    record: String,
}

/// Everything that the catalog says of collections.
struct Said {
    /// Version and facts.
    collections: BTreeMap<String, (String, String)>,
    items: HashMap<String, BTreeMap<String, ItemRow>>,
    /// By collection: a count that is wrong.
    counts: BTreeMap<String, String>,
}

/// # Errors
/// The work broke off; what is wrong with the catalog is in the report.
pub async fn check(
    store: &Arc<Store>,
    data: &Path,
    readable: &[String],
    options: &Options,
    report: &mut Report,
) -> anyhow::Result<()> {
    let path = data.join(FILE);
    if !path.exists() {
        if !readable.is_empty() {
            report
                .findings
                .push(Finding::new(Code::CatalogMissing, format!("{} is not there", path.display())));
        }
        return Ok(());
    }
    let said = match tokio::task::spawn_blocking(move || read(&path)).await? {
        Ok(said) => said,
        Err(e) => {
            report.findings.push(Finding::new(Code::CatalogCorrupt, format!("{FILE}: {e:#}")));
            return Ok(());
        }
    };
    let wanted = |id: &str| options.only.as_ref().is_none_or(|o| o == id);
    let stored = store.directories()?;
    for id in said.collections.keys().filter(|id| wanted(id) && !stored.contains(id)) {
        let detail = "the catalog has it, there is no store of it";
        report.findings.push(Finding::new(Code::CollectionExtra, detail).of(id));
    }
    for (id, latest) in crate::tables::list(store.root())?.into_iter().filter(|(id, _)| wanted(id)) {
        let (code, detail) = match said.collections.get(&id) {
            None => (Code::CollectionMissing, "published, and not in the catalog".to_owned()),
            Some((version, _)) if *version != latest => (
                Code::CollectionStale,
                format!("the catalog says that {version} is the latest version, the table {latest}"),
            ),
            Some(_) => continue,
        };
        report.findings.push(Finding::new(code, detail).of(&id));
    }
    for (id, detail) in said.counts.iter().filter(|(id, _)| wanted(id)) {
        report.findings.push(Finding::new(Code::CountsDiffer, detail.clone()).of(id));
    }
    for id in readable {
        let Some(latest) = store.latest(id)? else { continue };
        let Some((version, facts)) = said.collections.get(id) else {
            let detail = "published, and not in the catalog";
            report.findings.push(Finding::new(Code::CollectionMissing, detail).of(id));
            continue;
        };
        if *version != latest {
            let detail = format!("the catalog says that {version} is the latest version, the store {latest}");
            report.findings.push(Finding::new(Code::CollectionStale, detail).of(id));
            continue;
        }
        if let Ok(snapshot) = store.open_version(id, Some(&latest)).await {
            let derived = serde_json::to_value(Facts::derive(&Opened::new(snapshot)).await?)?;
            let kept: Value = serde_json::from_str(facts).unwrap_or_default();
            if let Some(key) = first_difference(&derived, &kept) {
                let detail = format!("what the catalog says of its {key} is not what the store says");
                report.findings.push(Finding::new(Code::CollectionDiffers, detail).of(id));
            }
        }
        let none = BTreeMap::new();
        let rows = said.items.get(id).unwrap_or(&none);
        report.items += rows.len() as u64;
        let living = store.living(id, Some(&latest)).await?;
        report.findings.extend(items(&living, rows)?.into_iter().map(|f| f.of(id)));
    }
    Ok(())
}

fn items(living: &Living, rows: &BTreeMap<String, ItemRow>) -> anyhow::Result<Vec<Finding>> {
    let mut found = Vec::new();
    for (id, standing) in living {
        let g = &standing.granule;
        let Some(row) = rows.get(id) else {
            found.push(Finding::new(Code::ItemMissing, "a granule of the store").at(id));
            continue;
        };
        // Superseding is entered in its column only; the record is the granule as it came.
        let mut came = g.clone();
        let mut kept: crate::store::Granule = serde_json::from_str(&row.record).unwrap_or_default();
        (came.superseded_by, kept.superseded_by) = (None, None);
        let pairs = [
            ("checksum", g.sha256.clone(), row.checksum.clone()),
            ("version", standing.version.clone(), row.version.clone()),
            (
                "successor",
                g.superseded_by.clone().unwrap_or_default(),
                row.superseded_by.clone().unwrap_or_default(),
            ),
            ("record", serde_json::to_string(&came)?, serde_json::to_string(&kept)?),
        ];
        if let Some((what, stored, said)) = pairs.into_iter().find(|(_, a, b)| a != b) {
            let detail = format!("{what}: the store says {stored:?}, the catalog {said:?}");
            found.push(Finding::new(Code::ItemDiffers, detail).at(id));
        }
    }
    for id in rows.keys().filter(|id| !living.contains_key(*id)) {
        found.push(Finding::new(Code::ItemExtra, "no granule of the store").at(id));
    }
    Ok(found)
}

fn first_difference(a: &Value, b: &Value) -> Option<String> {
    if a == b {
        return None;
    }
    let keys = a.as_object()?.keys();
    Some(keys.into_iter().find(|k| a.get(*k) != b.get(*k)).cloned().unwrap_or_else(|| "facts".to_owned()))
}

fn read(path: &Path) -> anyhow::Result<Said> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let c = Connection::open_with_flags(path, flags)?;
    c.busy_timeout(std::time::Duration::from_secs(10))?;
    let verdict: String = c.query_row("PRAGMA integrity_check(1)", [], |r| r.get(0))?;
    anyhow::ensure!(verdict == "ok", "{verdict}");
    let mut q = c.prepare("SELECT id, version, facts FROM collections")?;
    let collections = q.query_map([], |r| Ok((r.get(0)?, (r.get(1)?, r.get(2)?))))?;
    let collections = collections.collect::<Result<BTreeMap<String, _>, _>>()?;
    let mut items: HashMap<String, BTreeMap<String, ItemRow>> = HashMap::new();
    let mut q = c.prepare("SELECT collection, name, checksum, version, superseded_by, record FROM items")?;
    let mut rows = q.query(params![])?;
    while let Some(r) = rows.next()? {
        let row =
            ItemRow { checksum: r.get(2)?, version: r.get(3)?, superseded_by: r.get(4)?, record: r.get(5)? };
        items.entry(r.get(0)?).or_default().insert(r.get(1)?, row);
    }
    let mut counts = BTreeMap::new();
    for id in collections.keys() {
        counts.extend(tally::difference(&c, id)?.map(|d| (id.clone(), d)));
    }
    Ok(Said { collections, items, counts })
}

/// Writes anew what the catalog has wrong. One that does not read is moved aside: tokens and
/// events are in it alone.
///
/// # Errors
/// The stores cannot be read, or the catalog cannot be written.
pub async fn repair(store: &Arc<Store>, data: &Path, findings: &[Finding]) -> anyhow::Result<()> {
    if findings.iter().any(|f| f.code == Code::CatalogCorrupt) {
        set_aside(data)?;
    }
    let of_catalog =
        |c: Code| c.is_repairable() && !matches!(c, Code::Orphan | Code::Unpublished | Code::CollectionExtra);
    let wrong = findings.iter().filter(|f| of_catalog(f.code));
    let ids: std::collections::BTreeSet<&String> = wrong.filter_map(|f| f.collection.as_ref()).collect();
    let any = findings.iter().any(|f| of_catalog(f.code) || f.code == Code::CollectionExtra);
    if !any {
        return Ok(());
    }
    let catalog = Catalog::open(data)?;
    for id in ids {
        if crate::tables::exists(store.root(), id) {
            let (root, id) = (store.root().to_owned(), id.clone());
            catalog.call_with(move |c| c.publish_table(&root, &id)).await?;
        } else {
            catalog.rebuild(store, id).await?;
        }
    }
    catalog.reconcile(store).await?;
    Ok(())
}

fn set_aside(data: &Path) -> std::io::Result<()> {
    let free = (1..).map(|n| data.join(format!("{FILE}.corrupt-{n}"))).find(|p| !p.exists());
    let Some(aside) = free else { return Ok(()) };
    for tail in ["", "-wal", "-shm"] {
        let from = data.join(format!("{FILE}{tail}"));
        let to = PathBuf::from(format!("{}{tail}", aside.display()));
        if from.exists() {
            std::fs::rename(&from, &to)?;
        }
    }
    Ok(())
}
