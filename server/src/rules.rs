//! Follows the rules of a server's recipes: starts runs at their times, and watches their folders.
//!
//! The recipes are read again now and then, so that one that is added, changed or taken away is
//! followed without a restart. When a rule is due next stands in the catalog's database: a time
//! that passed while no server ran is made up for, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::jobs::{self, Jobs, WatchedFolder};
use crate::recipe::{Recipe, folder::Folder, rule::Rule};

/// Between two readings of the recipes.
const EVERY: Duration = Duration::from_secs(10);

/// A folder that is watched for a recipe.
struct Watching {
    folder: WatchedFolder,
    task: JoinHandle<()>,
}

/// Stops watching.
impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Follows the rules until the server stops.
pub async fn follow(jobs: Arc<Jobs>, recipes: Folder, mut stopping: watch::Receiver<bool>) {
    let mut watching: BTreeMap<String, Watching> = BTreeMap::new();
    // What was said of recipes that cannot be read, so that it is said once.
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let (queue, folder) = (Arc::clone(&jobs), recipes.clone());
        let wait = match tokio::task::spawn_blocking(move || look(&queue, &folder)).await {
            Ok(Ok(found)) => {
                for (id, e) in &found.unread {
                    if said.get(id) != Some(e) {
                        tracing::warn!("{e}");
                    }
                }
                said = found.unread;
                watching.retain(|id, w| found.watched.get(id) == Some(&w.folder));
                for (id, folder) in found.watched {
                    watching.entry(id).or_insert_with(|| {
                        tracing::info!(folder = %folder.folder.display(), collection = folder.collection, "watching");
                        let task = tokio::spawn(jobs::watch(Arc::clone(&jobs), folder.clone()));
                        Watching { folder, task }
                    });
                }
                found.next.min(EVERY)
            }
            Ok(Err(e)) => {
                tracing::warn!("rules: {e:#}");
                EVERY
            }
            Err(e) => {
                tracing::error!("rules: {e}");
                EVERY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stopping.wait_for(|s| *s) => return,
        }
    }
}

/// What the recipes say now.
#[derive(Default)]
struct Found {
    watched: BTreeMap<String, WatchedFolder>,
    /// Why a recipe cannot be read.
    unread: BTreeMap<String, String>,
    /// Until a rule is due.
    next: Duration,
}

/// Reads the recipes and starts what is due.
fn look(jobs: &Jobs, recipes: &Folder) -> anyhow::Result<Found> {
    let mut found = Found { next: EVERY, ..Found::default() };
    for id in recipes.ids()? {
        let recipe = match recipes.get(&id) {
            Ok(recipe) => recipe,
            Err(e) => {
                found.unread.insert(id, format!("{e:#}"));
                continue;
            }
        };
        let Some(collection) = recipe.collection.id.clone() else { continue };
        match &recipe.rule {
            None => {}
            Some(Rule::Watch(_)) => found.watched.extend(watched(&id, &recipe).map(|w| (id, w))),
            Some(Rule::Cron(cron)) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let at = i64::try_from(now.as_secs())?;
                let due = jobs.keep_time(&id, &collection, cron, at)?;
                let due = Duration::from_secs(u64::try_from(due).unwrap_or(0));
                found.next = found.next.min(due.saturating_sub(now));
            }
        }
    }
    Ok(found)
}

/// The folder that a recipe's rule watches.
fn watched(id: &str, recipe: &Recipe) -> Option<WatchedFolder> {
    let Some(Rule::Watch(folder)) = &recipe.rule else { return None };
    Some(WatchedFolder {
        folder: folder.clone(),
        collection: recipe.collection.id.clone()?,
        recipe: Some(id.to_owned()),
        depth: recipe.source.pattern.as_ref().map(|p| p.depth()),
    })
}
