//! `graticule export`: references for other software.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::DataDir;
use crate::store::Store;

#[derive(Debug, Args)]
pub struct Export {
    /// Id of a collection that was ingested with --reference
    collection: String,
    /// File to write: references as kerchunk's JSON
    #[arg(long, value_name = "FILE")]
    kerchunk: PathBuf,
    /// Version to write [default: the latest]
    #[arg(long, value_name = "VERSION")]
    at_version: Option<String>,
    #[command(flatten)]
    at: DataDir,
}

impl Export {
    /// # Errors
    /// No such collection or version, one without references, a file that cannot be written.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let written = runtime.block_on(async {
            let store = Store::open(&self.at.data)?;
            let snapshot = store.open_version(&self.collection, self.at_version.as_deref()).await?;
            crate::reference::kerchunk(&snapshot, &self.kerchunk).await
        })?;
        println!(
            "{}: {} references and {} chunks inline in {}",
            self.collection,
            written.references,
            written.inline,
            self.kerchunk.display()
        );
        Ok(ExitCode::SUCCESS)
    }
}
