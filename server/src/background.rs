//! What the jobs do here: ingest. The only place where both are known.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use tokio::sync::Semaphore;

use crate::catalog::Catalog;
use crate::ingest::{self, IngestRequest, Outcome, progress};
use crate::jobs::{Bake, Baked, Failure, Work};
use crate::recipe::{Recipe, folder::Folder};
use crate::store::{Store, StoreError};

/// Ingests one granule with the pipeline that the command line uses.
pub struct Ingester {
    pub store: Arc<Store>,
    pub catalog: Arc<Catalog>,
    pub runtime: tokio::runtime::Handle,
    pub recipes: Option<Folder>,
    /// Prefixes of URLs that runs may name.
    pub allow_urls: Arc<Vec<String>>,
    /// One: an ingest uses all cores by itself, and its memory is what the limits are about.
    pub turn: Arc<Semaphore>,
}

impl Bake for Ingester {
    fn bake(&self, work: &Work, cancel: &Arc<AtomicBool>) -> Result<Baked, Failure> {
        let outcome = self.ingest(work, cancel);
        crate::memory::rest();
        outcome
    }
}

impl Ingester {
    fn ingest(&self, work: &Work, cancel: &Arc<AtomicBool>) -> Result<Baked, Failure> {
        let failure = |permanent, variable, byte_offset, reason| Failure {
            permanent,
            file: work.shown(),
            variable,
            byte_offset,
            reason,
        };
        let whole = work.is_whole_recipe();
        let inputs = if whole { Vec::new() } else { work.inputs.iter().map(PathBuf::from).collect() };
        let recipe = match &work.recipe {
            Some(id) => {
                let folder = self.recipes.as_ref();
                let read = folder.map_or_else(
                    || Err(anyhow::anyhow!("recipe {id:?}: the configuration names no folder of recipes")),
                    |f| f.get(id),
                );
                read.map_err(|e| failure(true, None, None, format!("{e:#}")))?
            }
            None => Recipe::default(),
        };
        let mut request = IngestRequest::of(work.collection.clone(), inputs, recipe);
        request.append = work.append.clone().or(request.append);
        // What the operator's own recipe names is the operator's; what a client names is not.
        request.allow_urls = (!whole).then(|| Arc::clone(&self.allow_urls));
        request.turn = Some(Arc::clone(&self.turn));
        let work = ingest::ingest(
            &self.store,
            &self.catalog,
            &request,
            Arc::new(progress::Silent),
            Arc::clone(cancel),
        );
        let report = self.runtime.block_on(work).map_err(|e| {
            // Another writer, a full disk, a store out of reach: later may be better.
            let hopeless =
                matches!(e.downcast_ref(), Some(StoreError::BadId(_) | StoreError::Corrupt { .. }));
            failure(hopeless, None, None, format!("{e:#}"))
        })?;
        // A folder, or a recipe's own source, is many.
        if whole || report.granules.len() > 1 {
            return together(report, &failure);
        }
        match report.granules.into_iter().next() {
            Some(g) if g.outcome == Outcome::Failed => Err(match g.failure {
                Some(f) => failure(true, f.variable, f.offset, f.reason),
                None => failure(true, None, None, "refused".to_owned()),
            }),
            Some(g) => Ok(match report.version {
                Some(version) => Baked::Published { version, notes: g.notes },
                None => Baked::Unchanged,
            }),
            None => Err(failure(true, None, None, "no file was found there".to_owned())),
        }
    }
}

/// What became of all granules of a recipe, as one.
fn together(
    report: ingest::IngestReport,
    failure: &dyn Fn(bool, Option<String>, Option<u64>, String) -> Failure,
) -> Result<Baked, Failure> {
    let count = |o: Outcome| report.granules.iter().filter(|g| g.outcome == o).count();
    let (published, failed) = (count(Outcome::Published), count(Outcome::Failed));
    let all = report.granules.len();
    if let Some(first) = report.granules.iter().find(|g| g.outcome == Outcome::Failed) {
        let said =
            format!("{failed} of {all} granules failed, {published} were published; the first: {first}");
        return Err(failure(true, None, None, said));
    }
    let notes = report
        .granules
        .iter()
        .flat_map(|g| g.notes.iter().take(MOST_NOTES).map(|n| format!("{}: {n}", g.file.display())));
    let notes: Vec<String> = std::iter::once(format!("{published} of {all} granules published"))
        .chain(notes)
        .take(MOST_NOTES)
        .collect();
    Ok(match report.version {
        Some(version) => Baked::Published { version, notes },
        None => Baked::Unchanged,
    })
}

/// Notes that a run's answer carries.
const MOST_NOTES: usize = 200;

/// Ingests the data that the binary carries, one collection a file; quick where it is there already.
///
/// # Errors
/// The data directory cannot be written.
pub async fn demo(store: &Store, catalog: &Arc<Catalog>) -> anyhow::Result<usize> {
    let folder = store.root().join("demo");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    for (name, bytes) in crate::web::DEMO {
        let path: PathBuf = folder.join(name);
        let complete = path.metadata().is_ok_and(|m| m.len() == bytes.len() as u64);
        if !complete {
            std::fs::write(&path, bytes).with_context(|| path.display().to_string())?;
        }
        let request = IngestRequest {
            collection: name.trim_end_matches(".nc").to_owned(),
            inputs: vec![path],
            ..IngestRequest::default()
        };
        let quiet = Arc::new(progress::Silent);
        let report =
            ingest::ingest(store, catalog, &request, quiet, Arc::new(AtomicBool::new(false))).await?;
        if let Some(f) = report.granules.iter().find(|g| g.outcome == Outcome::Failed) {
            anyhow::bail!("the demo's own data: {f}");
        }
    }
    crate::memory::rest();
    Ok(crate::web::DEMO.len())
}
