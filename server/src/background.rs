//! What the jobs do here: ingest. The only place where both are known.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;

use crate::catalog::Catalog;
use crate::ingest::{self, IngestRequest, Outcome, progress};
use crate::jobs::{Bake, Baked, Failure};
use crate::store::{Store, StoreError};

/// Ingests one granule with the pipeline that the command line uses.
pub struct Ingester {
    pub store: Arc<Store>,
    pub catalog: Arc<Catalog>,
    pub runtime: tokio::runtime::Handle,
}

impl Bake for Ingester {
    fn bake(&self, collection: &str, input: &Path, append: Option<&str>) -> Result<Baked, Failure> {
        let outcome = self.ingest(collection, input, append);
        crate::memory::rest();
        outcome
    }
}

impl Ingester {
    fn ingest(&self, collection: &str, input: &Path, append: Option<&str>) -> Result<Baked, Failure> {
        let request = IngestRequest {
            collection: collection.to_owned(),
            inputs: vec![input.to_owned()],
            append: append.map(str::to_owned),
            ..IngestRequest::default()
        };
        let failure = |permanent, variable, byte_offset, reason| Failure {
            permanent,
            file: input.display().to_string(),
            variable,
            byte_offset,
            reason,
        };
        let work = ingest::ingest(
            &self.store,
            &self.catalog,
            &request,
            Arc::new(progress::Silent),
            Arc::new(AtomicBool::new(false)),
        );
        let report = self.runtime.block_on(work).map_err(|e| {
            // Another writer, a full disk, a store out of reach: later may be better.
            let hopeless =
                matches!(e.downcast_ref(), Some(StoreError::BadId(_) | StoreError::Corrupt { .. }));
            failure(hopeless, None, None, format!("{e:#}"))
        })?;
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
