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
}

type Seen = HashMap<PathBuf, (u64, i64)>;

/// Watches for ever; a folder that does not exist yet is watched once it does.
pub async fn watch(jobs: Arc<Jobs>, folder: WatchedFolder) {
    let noticed = Arc::new(Notify::new());
    let wake = Arc::clone(&noticed);
    let mut watcher = notify::recommended_watcher(move |_| wake.notify_one()).ok();
    let mut watching = false;
    let mut seen = Seen::new();
    loop {
        if !watching && let Some(w) = watcher.as_mut() {
            watching = w.watch(&folder.folder, notify::RecursiveMode::NonRecursive).is_ok();
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

/// One look: queues what has not changed since the last one, in order of name.
fn scan(jobs: &Jobs, folder: &WatchedFolder, before: Seen) -> anyhow::Result<(Seen, bool)> {
    let mut now = Seen::new();
    let mut unsettled = false;
    let mut files: Vec<PathBuf> = match std::fs::read_dir(&folder.folder) {
        Ok(entries) => entries.filter_map(Result::ok).map(|e| e.path()).filter(|p| is_granule(p)).collect(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(e.into()),
    };
    files.sort();
    for path in files {
        let Ok(meta) = path.metadata() else { continue };
        let modified = meta
            .modified()
            .ok()
            .and_then(|t| t.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |d| d.as_nanos() as i64);
        let state = (meta.len(), modified);
        if before.get(&path) == Some(&state) {
            if let Some(run) =
                jobs.submit_watched(&path, state, &folder.collection, folder.recipe.as_deref())?
            {
                tracing::info!(file = %path.display(), run, "picked up");
            }
        } else {
            unsettled = true;
        }
        now.insert(path, state);
    }
    Ok((now, unsettled))
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

    #[test]
    fn a_file_is_queued_once_it_has_stopped_growing_and_only_once() {
        let dir = tempfile::tempdir().unwrap();
        let incoming = dir.path().join("in");
        std::fs::create_dir(&incoming).unwrap();
        let jobs =
            Jobs::open(Catalog::open(dir.path()).unwrap(), vec![incoming.clone()], Arc::default()).unwrap();
        let folder = WatchedFolder { folder: incoming.clone(), collection: "c".into(), recipe: None };
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
