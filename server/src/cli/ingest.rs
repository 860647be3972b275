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
use crate::recipe::Recipe;
use crate::store::Store;

#[derive(Debug, Args)]
pub struct Ingest {
    /// Files, directories, globs and URLs: NetCDF-3, NetCDF-4, HDF5, GRIB, GeoTIFF, Zarr, kerchunk JSON; or a recipe (FILE.toml)
    #[arg(required_unless_present = "recipe", value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// Id of the collection that they become, or are appended to [default: the recipe's]
    #[arg(long, env = "GRATICULE_COLLECTION", value_name = "ID")]
    collection: Option<String>,
    /// What the files are and the cube that they become (TOML); see docs/recipes.md
    #[arg(long, env = "GRATICULE_RECIPE", value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Take only the first N granules
    #[arg(long, env = "GRATICULE_FIRST", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    first: Option<u32>,
    /// Show the schema, the chunks, the sizes and what is wrong first; write nothing
    #[arg(long, env = "GRATICULE_DRY_RUN")]
    dry_run: bool,
    /// With --dry-run: as JSON
    #[arg(long, env = "GRATICULE_JSON", requires = "dry_run")]
    json: bool,
    #[command(flatten)]
    at: DataDir,
    /// Dimension to grow along [default: time]
    #[arg(long, env = "GRATICULE_APPEND", value_name = "DIM")]
    append: Option<String>,
    /// What to do with a granule that is there already: skip, replace, version or error
    /// [default: the recipe's, else skip]
    #[arg(long, env = "GRATICULE_DUPLICATES", value_name = "POLICY")]
    duplicates: Option<Duplicates>,
    /// Leave the full resolution in the files and refer to it; only coarser levels are stored
    #[arg(long, env = "GRATICULE_REFERENCE")]
    reference: bool,
}

/// The request that the arguments make, with the recipe that they name.
fn request(i: &Ingest) -> anyhow::Result<IngestRequest> {
    let is_recipe = |p: &PathBuf| p.extension().is_some_and(|e| e == "toml");
    let (recipe, inputs) = match (&i.recipe, i.inputs.as_slice()) {
        (Some(file), inputs) => (Recipe::read(file)?, inputs.to_vec()),
        (None, [file]) if is_recipe(file) => (Recipe::read(file)?, Vec::new()),
        (None, inputs) => {
            if let Some(file) = inputs.iter().find(|p| is_recipe(p)) {
                anyhow::bail!("{}: a recipe is given alone, or by --recipe", file.display());
            }
            (Recipe::default(), inputs.to_vec())
        }
    };
    let Some(collection) = i.collection.clone().or_else(|| recipe.collection.id.clone()) else {
        anyhow::bail!("which collection? say --collection ID, or collection.id in the recipe");
    };
    if recipe.rule.is_some() {
        eprintln!(
            "note: [rule] starts runs where a server has this recipe in its folder; this is one run of it"
        );
    }
    let mut request = IngestRequest::of(collection, inputs, recipe);
    request.append = i.append.clone().or(request.append);
    request.duplicates = i.duplicates.unwrap_or(request.duplicates);
    request.reference = i.reference;
    request.first = i.first.map(|n| n as usize);
    Ok(request)
}

impl Ingest {
    /// # Errors
    /// What concerns the whole request.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let request = request(&self)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        if self.dry_run {
            let plan = runtime.block_on(ingest::dry_run::dry_run(&self.at.data, &request))?;
            if self.json {
                out!("{}", serde_json::to_string_pretty(&plan)?);
            } else {
                super::text(format_args!("{plan}"));
            }
            return Ok(if plan.wrong.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        let report = runtime.block_on(async {
            let store = Store::open(&self.at.data)?;
            let catalog = Catalog::open(&self.at.data)?;
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
                let word = if note.starts_with("quality: ") { "" } else { "note: " };
                out!("{word}{}: {note}", g.file.display());
            }
        }
        let failed: Vec<_> =
            report.granules.iter().filter(|g| g.outcome == ingest::Outcome::Failed).collect();
        for g in &failed {
            eprintln!("failed: {g}");
        }
        match &report.version {
            Some(v) => out!(
                "{}: version {v}, {} of {} granules published, {:.1} s",
                report.collection,
                report.granules.iter().filter(|g| g.outcome == ingest::Outcome::Published).count(),
                report.granules.len(),
                report.seconds
            ),
            None => out!("{}: nothing new was published", report.collection),
        }
        Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
