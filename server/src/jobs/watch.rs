//! Watched folders: a file that has stopped growing becomes a run.
//!
//! The operating system's notices say that something happened, never that a file
//! is whole, and they can be lost; so a notice only wakes the scan, and the scan
//! also runs by itself. A file counts as whole when size and time of change were
//! the same at two looks. What was queued is remembered by path, size and time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use notify::Watcher;
use tokio::sync::Notify;

use super::Jobs;
use super::queue::State;

/// Between two looks at a file that has just changed.
const SETTLE: Duration = Duration::from_millis(700);
/// Between scans when nothing was noticed.
const RESCAN: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedFolder {
    pub folder: PathBuf,
    pub collection: String,
    /// Id of the recipe that its files follow.
    pub recipe: Option<String>,
    /// Only files that the recipe's pattern fits, so many folders further down; every file of the
    /// folder itself where it is `None`.
    pub depth: Option<usize>,
}

type Seen = HashMap<PathBuf, State>;

/// Watches for ever; a folder that does not exist yet is watched once it does.
pub async fn watch(jobs: Arc<Jobs>, folder: WatchedFolder) {
    let noticed = Arc::new(Notify::new());
    let wake = Arc::clone(&noticed);
    let mut watcher = notify::recommended_watcher(move |_| wake.notify_one()).ok();
    let mut watching = false;
    let mut seen = Seen::new();
    loop {
        if !watching && let Some(w) = watcher.as_mut() {
            let deep = folder.depth.is_some_and(|d| d > 0);
            let mode =
                if deep { notify::RecursiveMode::Recursive } else { notify::RecursiveMode::NonRecursive };
            watching = w.watch(&folder.folder, mode).is_ok();
        }
        let (queue, which, before) = (Arc::clone(&jobs), folder.clone(), std::mem::take(&mut seen));
        let unsettled = match tokio::task::spawn_blocking(move || scan(&queue, &which, before)).await {
            Ok(Ok((now, unsettled))) => {
                seen = now;
                unsettled
            }
            Ok(Err(e)) => {
                tracing::warn!(folder = %folder.folder.display(), "watched folder: {e:#}");
                false
            }
            Err(e) => {
                tracing::error!("watched folder: {e}");
                false
            }
        };
        tokio::select! {
            () = tokio::time::sleep(if unsettled { SETTLE } else { RESCAN }) => {}
            () = noticed.notified(), if !unsettled => tokio::time::sleep(SETTLE).await,
        }
    }
}

/// One look: queues what has not changed since the last one, in the order of the recipe's
/// granules, or of names.
fn scan(jobs: &Jobs, folder: &WatchedFolder, before: Seen) -> anyhow::Result<(Seen, bool)> {
    let mut now = Seen::new();
    let files = files(jobs, folder)?;
    for path in &files {
        let Ok(meta) = path.metadata() else { continue };
        let modified = meta
            .modified()
            .ok()
            .and_then(|t| t.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |d| d.as_nanos() as i64);
        now.insert(path.clone(), (meta.len(), modified));
    }
    let settled = |p: &PathBuf| now.get(p).is_some_and(|state| before.get(p) == Some(state));
    for granule in granules(jobs, folder, &files)? {
        // One whose files are still coming waits for all of them.
        if !granule.iter().all(settled) {
            continue;
        }
        let files: Vec<_> = granule.iter().filter_map(|p| Some((p.clone(), *now.get(p)?))).collect();
        if let Some(run) = jobs.submit_watched(&files, &folder.collection, folder.recipe.as_deref())? {
            let file = granule.first().map(|p| p.display().to_string());
            tracing::info!(file, files = granule.len(), run, "picked up");
        }
    }
    let unsettled = !now.keys().all(settled);
    Ok((now, unsettled))
}

/// The files that are meant, by path; none where the folder does not exist yet.
fn files(jobs: &Jobs, folder: &WatchedFolder) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.folder.exists() {
        return Ok(Vec::new());
    }
    let mut files = match (&folder.recipe, folder.depth) {
        (Some(recipe), Some(_)) => jobs.grouping.matching(recipe, &folder.folder)?,
        _ => std::fs::read_dir(&folder.folder)?.filter_map(Result::ok).map(|e| e.path()).collect(),
    };
    files.retain(|p| is_granule(p));
    files.sort();
    Ok(files)
}

/// The files of each granule that is there whole.
fn granules(jobs: &Jobs, folder: &WatchedFolder, files: &[PathBuf]) -> anyhow::Result<Vec<Vec<PathBuf>>> {
    let Some(recipe) = &folder.recipe else { return Ok(files.iter().map(|f| vec![f.clone()]).collect()) };
    let named: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
    let groups = jobs.grouping.groups(recipe, &named)?.into_iter().filter(|g| g.whole);
    Ok(groups.map(|g| g.inputs.into_iter().map(PathBuf::from).collect()).collect())
}

/// Files only; hidden ones and those that a copy in progress names are left alone.
fn is_granule(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or(".");
    let partial = ["part", "partial", "tmp", "crdownload"];
    !name.starts_with('.')
        && !path.extension().and_then(|e| e.to_str()).is_some_and(|e| partial.contains(&e))
        && path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::grouping::ByRecipe;
    use crate::recipe::folder::Folder;

    fn queue(dir: &Path, recipes: Option<Folder>) -> Arc<Jobs> {
        let grouping = Arc::new(ByRecipe(recipes));
        Jobs::open(Catalog::open(dir).unwrap(), vec![dir.to_owned()], Arc::default(), grouping).unwrap()
    }

    #[test]
    fn files_that_a_recipe_merges_are_queued_together_once_all_of_them_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let incoming = dir.path().join("in");
        std::fs::create_dir(&incoming).unwrap();
        let recipe = "[source]\npattern = \"{variable}_{time:%Y}.nc\"\n[cube]\nvariables = [\"u\", \"v\"]";
        std::fs::write(dir.path().join("wind.toml"), recipe).unwrap();
        let jobs = queue(dir.path(), Some(Folder::new(dir.path().to_owned())));
        let folder = WatchedFolder {
            folder: incoming.clone(),
            collection: "c".into(),
            recipe: Some("wind".into()),
            depth: None,
        };
        let look = |seen| scan(&jobs, &folder, seen).unwrap().0;
        std::fs::write(incoming.join("u_2020.nc"), b"u").unwrap();
        let seen = look(look(look(Seen::new())));
        assert!(jobs.list(None, 10).unwrap().is_empty(), "the other variable is still to come");
        std::fs::write(incoming.join("v_2020.nc"), b"v").unwrap();
        look(look(look(seen)));
        let runs = jobs.list(None, 10).unwrap();
        assert_eq!((runs.len(), runs[0].counts.total), (1, 1));
        assert_eq!(jobs.granules(&runs[0].id, 0, 10).unwrap()[0].also.len(), 1);
    }

    #[test]
    fn a_file_is_queued_once_it_has_stopped_growing_and_only_once() {
        let dir = tempfile::tempdir().unwrap();
        let incoming = dir.path().join("in");
        std::fs::create_dir(&incoming).unwrap();
        let jobs = queue(dir.path(), None);
        let folder =
            WatchedFolder { folder: incoming.clone(), collection: "c".into(), recipe: None, depth: None };
        std::fs::write(incoming.join("a.nc"), b"ab").unwrap();
        std::fs::write(incoming.join("b.nc.part"), b"ab").unwrap();
        let (seen, unsettled) = scan(&jobs, &folder, Seen::new()).unwrap();
        assert!(unsettled && jobs.list(None, 10).unwrap().is_empty());
        std::fs::write(incoming.join("a.nc"), b"abcd").unwrap();
        let (seen, unsettled) = scan(&jobs, &folder, seen).unwrap();
        assert!(unsettled && jobs.list(None, 10).unwrap().is_empty());
        let (seen, unsettled) = scan(&jobs, &folder, seen).unwrap();
        assert!(!unsettled);
        scan(&jobs, &folder, seen).unwrap();
        assert_eq!(jobs.list(None, 10).unwrap().len(), 1);
    }
}
