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
    #[arg(long, value_name = "FILE", required_unless_present = "parquet", conflicts_with = "parquet")]
    kerchunk: Option<PathBuf>,
    /// Folder to write: references as kerchunk's Parquet, for more of them than fit into memory
    #[arg(long, value_name = "FOLDER")]
    parquet: Option<PathBuf>,
    /// References in one file of the folder
    #[arg(long, value_name = "N", default_value_t = crate::reference::RECORD_SIZE, requires = "parquet",
        value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    record_size: u64,
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
            match (&self.parquet, &self.kerchunk) {
                (Some(folder), _) => {
                    let written = crate::reference::parquet(&snapshot, folder, self.record_size).await?;
                    anyhow::Ok((written, folder.display().to_string()))
                }
                (None, Some(file)) => {
                    let written = crate::reference::kerchunk(&snapshot, file).await?;
                    Ok((written, file.display().to_string()))
                }
                (None, None) => anyhow::bail!("--kerchunk or --parquet names what to write"),
            }
        });
        let (written, place) = written?;
        out!(
            "{}: {} references and {} chunks inline in {place}",
            self.collection,
            written.references,
            written.inline
        );
        Ok(ExitCode::SUCCESS)
    }
}
