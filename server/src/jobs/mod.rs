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
mod watch;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

pub use queue::{GranuleRow, Jobs, RunCounts, RunRow};
pub use watch::{WatchedFolder, watch};
pub use worker::work;

/// What a run is asked to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// The recipe's where it is empty.
    #[serde(default)]
    pub collection: String,
    /// Paths of files and URLs; one granule each, ingested in this order. What the recipe's
    /// source says where there are none.
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

/// The work of one granule. Called on a thread that may block.
pub trait Bake: Send + Sync + 'static {
    /// `cancel` becomes true when the granule is no longer wanted of this worker.
    ///
    /// # Errors
    /// Why the granule was not published; the collection is as it was.
    fn bake(
        &self,
        collection: &str,
        input: &Path,
        append: Option<&str>,
        recipe: Option<&str>,
        cancel: &Arc<AtomicBool>,
    ) -> Result<Baked, Failure>;
}

/// Starts the worker; it ends when the runtime does.
pub fn spawn(jobs: &Arc<Jobs>, bake: Arc<dyn Bake>) {
    let jobs = Arc::clone(jobs);
    tokio::spawn(async move { work(&jobs, bake).await });
}
