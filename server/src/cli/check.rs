//! `graticule check`.

use std::process::ExitCode;

use clap::Args;

use super::DataDir;
use crate::check::{self, Options};

#[derive(Debug, Args)]
pub struct Check {
    /// Id of one collection; all where none is named
    id: Option<String>,
    /// Decode every chunk and compare every object with the checksum in its name
    #[arg(long)]
    deep: bool,
    /// Compare the files that granules came from with their checksums
    #[arg(long)]
    sources: bool,
    /// Write the catalog anew from the stores, and remove what killed ingests left
    #[arg(long)]
    repair: bool,
    /// A report for machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: DataDir,
}

impl Check {
    /// Exit status 1 on any finding that remains.
    ///
    /// # Errors
    /// There is no such data directory or collection.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        anyhow::ensure!(
            self.at.data.join("collections").is_dir(),
            "{}: no data directory of Graticule's; --data names it",
            self.at.data.display()
        );
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let options = Options { only: self.id, deep: self.deep, sources: self.sources, repair: self.repair };
        let report = runtime.block_on(check::run(&self.at.data, &options))?;
        if self.json {
            out!("{}", serde_json::to_string_pretty(&report.json())?);
        } else {
            super::text(format_args!("{}", report.text()));
        }
        Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
