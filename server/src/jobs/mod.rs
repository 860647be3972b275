//! Background work: runs of granules, each a task with a lease.
//!
//! A server is killed, restarted, updated; the pile it was working through does
//! not go away. So what is to be done stands in the catalog's database before
//! anything is begun, and a granule belongs to a worker only for as long as its
//! lease is renewed. A worker that dies loses its lease; whoever comes next takes
//! the granule over. Publication is one commit and ingesting the same file twice
//! changes nothing, so a granule may be begun twice and is still done once.
//!
//! This module knows nothing of formats: what a granule's work *is* stands behind
//! [`Bake`].

mod queue;
mod schedule;
mod watch;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

pub use queue::{GranuleRow, Jobs, RunCounts, RunRow};
pub use schedule::Scheduled;
pub use watch::{WatchedFolder, watch};
pub use worker::work;

use crate::acquire::url;

/// What a run is asked to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// The recipe's where it is empty.
    #[serde(default)]
    pub collection: String,
    /// Paths of files and URLs; one granule each, ingested in this order, unless the recipe's
    /// pattern puts them together and in order. What the recipe's source says where there are none.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// Id of a recipe of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
    /// Dimension to append along; the time dimension when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append: Option<String>,
}

impl RunRequest {
    /// The one input of a run that follows all of a recipe.
    pub fn whole_recipe(id: &str) -> String {
        format!("{id}.toml")
    }
}

/// Why a granule was not published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Trying again cannot help: the file itself is at fault.
    pub permanent: bool,
    pub file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte_offset: Option<u64>,
    pub reason: String,
}

/// What became of a granule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Baked {
    Published {
        version: String,
        notes: Vec<String>,
    },
    /// The same bytes were ingested before; nothing changed.
    Unchanged,
}

/// One granule that is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Work {
    pub collection: String,
    /// The files that it is made of, or the one input that a run follows all of a recipe for.
    pub inputs: Vec<String>,
    pub append: Option<String>,
    pub recipe: Option<String>,
}

impl Work {
    /// Its first input, as people may read it.
    pub fn shown(&self) -> String {
        self.inputs.first().map(|i| url::shown_input(i)).unwrap_or_default()
    }

    /// All that a recipe's own source names.
    pub fn is_whole_recipe(&self) -> bool {
        let whole = self.recipe.as_deref().map(RunRequest::whole_recipe);
        whole.is_some_and(|w| self.inputs == [w])
    }
}

/// Inputs that are one granule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub inputs: Vec<String>,
    /// Nothing that belongs to it is known to be missing yet.
    pub whole: bool,
}

/// Which inputs belong together, and which files a recipe means.
pub trait Grouping: Send + Sync + 'static {
    /// The granules that the inputs make by a recipe, in the order in which they are to be done.
    ///
    /// # Errors
    /// There is no such recipe.
    fn groups(&self, recipe: &str, inputs: &[String]) -> anyhow::Result<Vec<Group>>;

    /// The files below a folder that a recipe's pattern fits.
    ///
    /// # Errors
    /// There is no such recipe; the folder cannot be listed.
    fn matching(&self, recipe: &str, folder: &Path) -> anyhow::Result<Vec<PathBuf>>;
}

/// The work of one granule. Called on a thread that may block.
pub trait Bake: Send + Sync + 'static {
    /// `cancel` becomes true when the granule is no longer wanted of this worker.
    ///
    /// # Errors
    /// Why the granule was not published; the collection is as it was.
    fn bake(&self, work: &Work, cancel: &Arc<AtomicBool>) -> Result<Baked, Failure>;
}

/// Granules that are under way at once, of as many collections: while one waits for a slow network,
/// others go on.
pub const WORKERS: usize = 4;

/// Starts the workers; they end when the runtime does.
pub fn spawn(jobs: &Arc<Jobs>, bake: &Arc<dyn Bake>) {
    for _ in 0..WORKERS {
        let (jobs, bake) = (Arc::clone(jobs), Arc::clone(bake));
        tokio::spawn(async move { work(&jobs, bake).await });
    }
}
