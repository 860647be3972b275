//! `graticule ingest`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use super::DataDir;
use crate::catalog::Catalog;
use crate::ingest::{
    self, IngestRequest,
    duplicates::Duplicates,
    progress::{self, Progress},
};
use crate::store::Store;

#[derive(Debug, Args)]
pub struct Ingest {
    /// Files, directories and globs: NetCDF-3, NetCDF-4, HDF5, GRIB
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// Id of the collection that they become, or are appended to
    #[arg(long, env = "GRATICULE_COLLECTION", value_name = "ID")]
    collection: String,
    #[command(flatten)]
    at: DataDir,
    /// Dimension to grow along [default: time]
    #[arg(long, env = "GRATICULE_APPEND", value_name = "DIM")]
    append: Option<String>,
    /// What to do with a granule that is there already: skip, replace, version or error
    #[arg(long, env = "GRATICULE_DUPLICATES", value_name = "POLICY", default_value = "skip")]
    duplicates: Duplicates,
}

impl Ingest {
    /// # Errors
    /// What concerns the whole request.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let report = runtime.block_on(async {
            let store = Store::open(&self.at.data)?;
            let catalog = Catalog::open(&self.at.data)?;
            let request = IngestRequest {
                collection: self.collection,
                inputs: self.inputs,
                append: self.append,
                duplicates: self.duplicates,
            };
            let progress: Arc<dyn Progress> = progress::for_stderr().into();
            let cancel = Arc::new(AtomicBool::new(false));
            let interrupted = Arc::clone(&cancel);
            tokio::spawn(async move {
                // Once to end in order, twice to end at once.
                let _ = tokio::signal::ctrl_c().await;
                interrupted.store(true, Ordering::Relaxed);
                let _ = tokio::signal::ctrl_c().await;
                std::process::exit(130);
            });
            ingest::ingest(&store, &catalog, &request, progress, cancel).await
        })?;
        for g in &report.granules {
            for note in &g.notes {
                println!("note: {}: {note}", g.file.display());
            }
        }
        let failed: Vec<_> =
            report.granules.iter().filter(|g| g.outcome == ingest::Outcome::Failed).collect();
        for g in &failed {
            eprintln!("failed: {g}");
        }
        match &report.version {
            Some(v) => println!(
                "{}: version {v}, {} of {} granules published, {:.1} s",
                report.collection,
                report.granules.iter().filter(|g| g.outcome == ingest::Outcome::Published).count(),
                report.granules.len(),
                report.seconds
            ),
            None => println!("{}: nothing new was published", report.collection),
        }
        Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
