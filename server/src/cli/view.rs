//! `graticule view`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::DataDir;
use crate::catalog::Catalog;
use crate::opened::Opened;
use crate::store::Store;
use crate::views::View;

/// Declares views.
#[derive(Debug, Args)]
pub struct Views {
    /// Declarations, a TOML file each (docs/views.md)
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    at: DataDir,
}

impl Views {
    /// # Errors
    /// A file that is no declaration, or one that does not fit what it is of.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        // All are read before any is declared.
        let all: Vec<(String, View)> = self.files.iter().map(|f| View::read(f)).collect::<Result<_, _>>()?;
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
            let (store, catalog) = (Store::open(&self.at.data)?, Catalog::open(&self.at.data)?);
            for (id, view) in all {
                let of = view.of.clone();
                let opened = Opened::new(store.declare(&id, view).await?);
                catalog.publish(&store, &id, opened.snapshot.version()).await?;
                let names: Vec<&str> = opened.cube.variables.iter().map(|v| v.path.as_str()).collect();
                out!("{id}: view of {of}, version {}: {}", opened.snapshot.version(), names.join(", "));
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}
