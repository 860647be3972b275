//! Runs and granules in SQLite.
//!
//! A granule that is to be done has a lease: the instant from which anyone may
//! claim it. Now means waiting, later means that a worker has it or that it rests
//! before another attempt, NULL means that it is over. One index, (lease, id),
//! answers "what is next".

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::bail;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use tokio::sync::Notify;

use super::{Baked, Failure, Grouping, RunRequest, Work};
use crate::acquire::url;
use crate::catalog::{Catalog, events::RUN_CHANGED, now};

/// How long a claim holds without being renewed.
pub const LEASE_SECS: f64 = 60.0;
/// Attempts before a passing fault counts as a failure.
pub const MAX_ATTEMPTS: u32 = 5;
const MAX_INPUTS: usize = 100_000;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS runs (
  id TEXT PRIMARY KEY, collection TEXT NOT NULL, request TEXT NOT NULL,
  cancelled INTEGER NOT NULL DEFAULT 0, created TEXT NOT NULL, finished TEXT) STRICT;
CREATE TABLE IF NOT EXISTS granules (
  id INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES runs(id), input TEXT NOT NULL,
  state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, lease REAL, owner TEXT,
  started TEXT, finished TEXT, seconds REAL, version TEXT, failure TEXT, notes TEXT, also TEXT) STRICT;
CREATE INDEX IF NOT EXISTS granules_lease ON granules (lease, id);
CREATE INDEX IF NOT EXISTS granules_run ON granules (run, id);
CREATE TABLE IF NOT EXISTS watched (
  path TEXT PRIMARY KEY, bytes INTEGER NOT NULL, modified INTEGER NOT NULL, run TEXT NOT NULL) STRICT;
";

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunCounts {
    pub total: u64,
    pub queued: u64,
    pub running: u64,
    pub published: u64,
    pub unchanged: u64,
    pub failed: u64,
    pub cancelled: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct RunRow {
    pub id: String,
    pub collection: String,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    pub state: &'static str,
    pub created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
    pub counts: RunCounts,
}

#[derive(Debug, Clone, Serialize)]
pub struct GranuleRow {
    pub id: i64,
    pub input: String,
    /// Other files of the same granule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// `queued`, `running`, `published`, `unchanged`, `failed` or `cancelled`.
    pub state: String,
    pub attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Why it failed: file, variable, byte offset, reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A granule that this process holds.
#[derive(Debug, Clone)]
pub struct Claim {
    pub id: i64,
    pub run: String,
    pub work: Work,
    pub attempts: u32,
}

/// Length and time of change of a file.
pub(super) type State = (u64, i64);

pub struct Jobs {
    pub(super) catalog: Arc<Catalog>,
    /// Names this process among those that ever worked on the queue.
    owner: String,
    /// Folders that submitted inputs may lie in.
    roots: Vec<PathBuf>,
    /// Prefixes that submitted URLs may lie below.
    allow_urls: Arc<Vec<String>>,
    pub(super) grouping: Arc<dyn Grouping>,
    pub(super) wake: Notify,
}

impl Jobs {
    /// Opens the queue and takes over what an earlier process left under way: a
    /// data directory has one server, so whatever is claimed has lost its worker.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn open(
        catalog: Arc<Catalog>,
        roots: Vec<PathBuf>,
        allow_urls: Arc<Vec<String>>,
        grouping: Arc<dyn Grouping>,
    ) -> anyhow::Result<Arc<Self>> {
        let owner = unique();
        catalog.with(|c| {
            c.execute_batch(SCHEMA)?;
            c.execute_batch(super::schedule::SCHEMA)?;
            // A queue that was made before granules had several files.
            let several = "SELECT 1 FROM pragma_table_info('granules') WHERE name = 'also'";
            if !c.prepare(several)?.exists([])? {
                c.execute_batch("ALTER TABLE granules ADD COLUMN also TEXT")?;
            }
            let resumed = c.execute(
                "UPDATE granules SET state = 'queued', lease = 0, owner = NULL WHERE state = 'running'",
                [],
            )?;
            if resumed > 0 {
                tracing::info!(granules = resumed, "resuming what was under way");
            }
            Ok(())
        })?;
        let roots = roots.into_iter().filter_map(|r| r.canonicalize().ok()).collect();
        Ok(Arc::new(Self { catalog, owner, roots, allow_urls, grouping, wake: Notify::new() }))
    }

    /// Queues a run whose inputs a client named: they must lie in the folders open to clients.
    ///
    /// # Errors
    /// No or too many inputs, an input outside the folders, a database that cannot be written.
    pub fn submit(&self, request: &RunRequest) -> anyhow::Result<String> {
        let mut checked = request.clone();
        for input in &mut checked.inputs {
            *input = self.admit(input)?;
        }
        if let (true, Some(id)) = (checked.inputs.is_empty(), &checked.recipe) {
            checked.inputs = vec![RunRequest::whole_recipe(id)];
        }
        self.enqueue(&checked)
    }

    /// The input's real path, if it lies in an open folder.
    fn admit(&self, input: &str) -> anyhow::Result<String> {
        if input.contains("://") {
            let url = url::parse(input).map_err(anyhow::Error::msg)?;
            // Whoever may ingest may not for that alone look around from inside of this network.
            if self.allow_urls.is_empty() {
                bail!(
                    "input {:?}: URLs are not open to runs here; allow_urls in the configuration names the prefixes that are",
                    url::shown(input)
                );
            }
            if !url::allowed(&url, &self.allow_urls) {
                bail!(
                    "input {:?}: URLs open to runs begin with {}",
                    url::shown(input),
                    self.allow_urls.join(", ")
                );
            }
            return Ok(input.to_owned());
        }
        let path = Path::new(input);
        let candidates = if path.is_absolute() {
            vec![path.to_owned()]
        } else {
            self.roots.iter().map(|r| r.join(path)).collect()
        };
        let found = candidates.iter().filter_map(|p| p.canonicalize().ok()).collect::<Vec<_>>();
        match found.iter().find(|p| self.roots.iter().any(|r| p.starts_with(r))) {
            Some(p) => Ok(p.display().to_string()),
            // Where these are on the disk is the operator's business.
            None => bail!(
                "input {input:?}: no such file in the folders open to runs, which are incoming/ in the data directory and the watched ones"
            ),
        }
    }

    /// Queues a run of trusted inputs.
    pub(super) fn enqueue(&self, request: &RunRequest) -> anyhow::Result<String> {
        if request.inputs.is_empty() {
            bail!("inputs: the list is empty; expected at least one file");
        }
        if request.inputs.len() > MAX_INPUTS {
            bail!("inputs: {} files, more than the {MAX_INPUTS} that one run takes", request.inputs.len());
        }
        if !crate::store::is_collection_id(&request.collection) {
            bail!(
                "collection {:?}: letters, digits, '-', '_' and '.', at most 63, starting with a letter or digit",
                request.collection
            );
        }
        let granules = self.granules_of(request)?;
        if granules.is_empty() {
            bail!("inputs: the recipe takes none of these files: it names other variables");
        }
        let id = unique();
        self.catalog.with(|c| {
            let tx = c.transaction()?;
            tx.execute(
                "INSERT INTO runs (id, collection, request, created) VALUES (?, ?, ?, ?)",
                params![id, request.collection, serde_json::to_string(request)?, now()],
            )?;
            let mut insert = tx.prepare(
                "INSERT INTO granules (run, input, also, state, lease) VALUES (?, ?, ?, 'queued', 0)",
            )?;
            for inputs in &granules {
                let Some((first, also)) = inputs.split_first() else { continue };
                let also = (!also.is_empty()).then(|| serde_json::to_string(also)).transpose()?;
                insert.execute(params![id, first, also])?;
            }
            drop(insert);
            Ok(tx.commit()?)
        })?;
        self.tell(&id, &request.collection)?;
        self.wake.notify_one();
        Ok(id)
    }

    /// The files of each granule of a run.
    fn granules_of(&self, request: &RunRequest) -> anyhow::Result<Vec<Vec<String>>> {
        match &request.recipe {
            Some(id) if request.inputs != [RunRequest::whole_recipe(id)] => {
                let groups = self.grouping.groups(id, &request.inputs)?;
                Ok(groups.into_iter().map(|g| g.inputs).collect())
            }
            _ => Ok(request.inputs.iter().map(|i| vec![i.clone()]).collect()),
        }
    }

    /// Claims the next granule of a collection that no other worker is at, or says how many seconds
    /// to rest: a collection's granules are done one after the other, in their order.
    pub(super) fn claim(&self) -> anyhow::Result<Result<Claim, f64>> {
        self.catalog.with(|c| {
            let tx = c.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let at = unix_secs();
            let busy: String = tx.query_row(
                "SELECT json_group_array(r.collection) FROM granules g JOIN runs r ON r.id = g.run
                 WHERE g.lease > ? AND g.state = 'running'",
                [at],
                |r| r.get(0),
            )?;
            let next = tx
                .query_row(
                    "SELECT g.id, g.run, r.collection, g.input, r.request, g.attempts, g.also FROM granules g
                     JOIN runs r ON r.id = g.run
                     WHERE g.lease <= ? AND r.collection NOT IN (SELECT value FROM json_each(?))
                     ORDER BY g.lease, g.id LIMIT 1",
                    params![at, busy],
                    |r| {
                        let inputs = std::iter::once(r.get(3)?).chain(texts(r.get(6)?)).collect();
                        let work = Work { collection: r.get(2)?, inputs, ..Work::default() };
                        let attempts = r.get::<_, u32>(5)? + 1;
                        let claim = Claim { id: r.get(0)?, run: r.get(1)?, work, attempts };
                        Ok((claim, r.get::<_, String>(4)?))
                    },
                )
                .optional()?;
            let Some((mut claim, request)) = next else {
                // What waits for another worker is that worker's next.
                let soonest: Option<f64> =
                    tx.query_row("SELECT min(lease) FROM granules WHERE lease > ?", [at], |r| r.get(0))?;
                return Ok(Err(soonest.map_or(f64::INFINITY, |s| (s - at).max(0.05))));
            };
            if let Ok(r) = serde_json::from_str::<RunRequest>(&request) {
                (claim.work.append, claim.work.recipe) = (r.append, r.recipe);
            }
            tx.execute(
                "UPDATE granules SET state = 'running', lease = ?, owner = ?, attempts = ?, started = ?,
                        finished = NULL, failure = NULL WHERE id = ?",
                params![at + LEASE_SECS, self.owner, claim.attempts, now(), claim.id],
            )?;
            tx.commit()?;
            Ok(Ok(claim))
        })
    }

    /// Renews a claim; false when it was lost (cancelled, or taken over).
    pub(super) fn renew(&self, claim: &Claim) -> anyhow::Result<bool> {
        self.catalog.with(|c| {
            Ok(c.execute(
                "UPDATE granules SET lease = ? WHERE id = ? AND owner = ? AND state = 'running'",
                params![unix_secs() + LEASE_SECS, claim.id, self.owner],
            )? == 1)
        })
    }

    /// Writes down what became of a granule.
    pub(super) fn settle(
        &self,
        claim: &Claim,
        seconds: f64,
        outcome: &Result<Baked, Failure>,
    ) -> anyhow::Result<()> {
        let (state, version, failure, notes, lease) = match outcome {
            Ok(Baked::Published { version, notes }) => {
                ("published", Some(version), None, serde_json::to_string(notes)?, None)
            }
            Ok(Baked::Unchanged) => ("unchanged", None, None, "[]".into(), None),
            Err(f) if f.permanent || claim.attempts >= MAX_ATTEMPTS => {
                ("failed", None, Some(serde_json::to_string(f)?), "[]".into(), None)
            }
            // A passing fault rests 1, 4, 16, 64 seconds.
            Err(f) => {
                let rest = 4f64.powi(claim.attempts as i32 - 1);
                ("queued", None, Some(serde_json::to_string(f)?), "[]".into(), Some(unix_secs() + rest))
            }
        };
        self.catalog.with(|c| {
            c.execute(
                "UPDATE granules SET state = ?, version = ?, failure = ?, notes = ?, lease = ?, seconds = ?,
                        finished = ?, owner = NULL WHERE id = ? AND owner = ?",
                params![state, version, failure, notes, lease, seconds, now(), claim.id, self.owner],
            )?;
            c.execute(
                "UPDATE runs SET finished = ?1 WHERE id = ?2 AND finished IS NULL
                 AND NOT EXISTS (SELECT 1 FROM granules WHERE run = ?2 AND lease IS NOT NULL)",
                params![now(), claim.run],
            )?;
            Ok(())
        })?;
        self.tell(&claim.run, &claim.work.collection)
    }

    /// # Errors
    /// The database cannot be read.
    pub fn get(&self, run: &str) -> anyhow::Result<Option<RunRow>> {
        self.catalog.with(|c| {
            let row = c
                .query_row(
                    "SELECT id, collection, cancelled, created, finished FROM runs WHERE id = ?",
                    [run],
                    run_row,
                )
                .optional()?;
            row.map(|r| with_counts(c, r)).transpose()
        })
    }

    /// The newest runs first, older than `before` where it is given.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn list(&self, before: Option<&str>, limit: u32) -> anyhow::Result<Vec<RunRow>> {
        self.catalog.with(|c| {
            let rows = c
                .prepare_cached(
                    "SELECT id, collection, cancelled, created, finished FROM runs
                     WHERE id < coalesce(?, '~') ORDER BY id DESC LIMIT ?",
                )?
                .query_map(params![before, limit], run_row)?
                .collect::<Result<Vec<_>, _>>()?;
            rows.into_iter().map(|r| with_counts(c, r)).collect()
        })
    }

    /// Granules of a run in their order, those after id `after`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn granules(&self, run: &str, after: i64, limit: u32) -> anyhow::Result<Vec<GranuleRow>> {
        self.catalog.with(|c| {
            let rows = c
                .prepare_cached(
                    "SELECT id, input, state, attempts, started, finished, seconds, version, failure, notes, also
                     FROM granules WHERE run = ? AND id > ? ORDER BY id LIMIT ?",
                )?
                .query_map(params![run, after, limit], granule_row)?
                .collect::<Result<Vec<_>, _>>()?;
            Ok(rows)
        })
    }

    /// Gives up what has not been published. Returns false where there is no such run.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn cancel(&self, run: &str) -> anyhow::Result<bool> {
        self.change(
            run,
            "UPDATE granules SET state = 'cancelled', lease = NULL, owner = NULL, finished = ?2
             WHERE run = ?1 AND lease IS NOT NULL",
            "UPDATE runs SET cancelled = 1, finished = coalesce(finished, ?2) WHERE id = ?1",
        )
    }

    /// Queues again what failed or was cancelled. Returns false where there is no such run.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn retry(&self, run: &str) -> anyhow::Result<bool> {
        let found = self.change(
            run,
            "UPDATE granules SET state = 'queued', lease = 0, attempts = 0, finished = NULL
             WHERE run = ?1 AND state IN ('failed', 'cancelled') AND ?2 IS NOT NULL",
            "UPDATE runs SET cancelled = 0, finished = NULL WHERE id = ?1 AND ?2 IS NOT NULL
             AND EXISTS (SELECT 1 FROM granules WHERE run = ?1 AND lease IS NOT NULL)",
        )?;
        self.wake.notify_one();
        Ok(found)
    }

    fn change(&self, run: &str, granules: &str, runs: &str) -> anyhow::Result<bool> {
        let Some(row) = self.get(run)? else { return Ok(false) };
        self.catalog.with(|c| {
            let tx = c.transaction()?;
            tx.execute(granules, params![run, now()])?;
            tx.execute(runs, params![run, now()])?;
            Ok(tx.commit()?)
        })?;
        self.tell(run, &row.collection)?;
        Ok(true)
    }

    /// Queues a granule of watched files, unless these states of all of them were queued before.
    pub(super) fn submit_watched(
        &self,
        files: &[(PathBuf, State)],
        collection: &str,
        recipe: Option<&str>,
    ) -> anyhow::Result<Option<String>> {
        let known = self.catalog.with(|c| {
            let mut known =
                c.prepare_cached("SELECT 1 FROM watched WHERE path = ? AND bytes = ? AND modified = ?")?;
            for (path, (bytes, modified)) in files {
                if !known.exists(params![path.to_string_lossy(), i64::try_from(*bytes)?, modified])? {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        if known {
            return Ok(None);
        }
        let run = self.enqueue(&RunRequest {
            collection: collection.to_owned(),
            inputs: files.iter().map(|(p, _)| p.display().to_string()).collect(),
            recipe: recipe.map(str::to_owned),
            ..RunRequest::default()
        })?;
        // After the run: killed in between, the files are queued twice and ingested once.
        self.catalog.with(|c| {
            let tx = c.transaction()?;
            for (path, (bytes, modified)) in files {
                tx.execute(
                    "INSERT OR REPLACE INTO watched (path, bytes, modified, run) VALUES (?, ?, ?, ?)",
                    params![path.to_string_lossy(), i64::try_from(*bytes)?, modified, run],
                )?;
            }
            Ok(tx.commit()?)
        })?;
        Ok(Some(run))
    }

    fn tell(&self, run: &str, collection: &str) -> anyhow::Result<()> {
        if let Some(row) = self.get(run)? {
            self.catalog.emit(RUN_CHANGED, collection, &serde_json::json!({"run": row}))?;
        }
        Ok(())
    }
}

fn run_row(r: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        id: r.get(0)?,
        collection: r.get(1)?,
        state: if r.get(2)? { "cancelled" } else { "queued" },
        created: r.get(3)?,
        finished: r.get(4)?,
        counts: RunCounts::default(),
    })
}

fn with_counts(c: &Connection, mut run: RunRow) -> anyhow::Result<RunRow> {
    let mut statement =
        c.prepare_cached("SELECT state, count(*) FROM granules WHERE run = ? GROUP BY state")?;
    let mut rows = statement.query([&run.id])?;
    let counts = &mut run.counts;
    while let Some(r) = rows.next()? {
        let n = r.get::<_, i64>(1)?.max(0) as u64;
        counts.total += n;
        match r.get_ref(0)?.as_str()? {
            "queued" => counts.queued = n,
            "running" => counts.running = n,
            "published" => counts.published = n,
            "unchanged" => counts.unchanged = n,
            "failed" => counts.failed = n,
            _ => counts.cancelled = n,
        }
    }
    run.state = match &run.counts {
        _ if run.state == "cancelled" => "cancelled",
        n if n.running > 0 || (n.queued > 0 && n.queued < n.total) => "running",
        n if n.queued > 0 => "queued",
        n if n.failed > 0 => "failed",
        _ => "succeeded",
    };
    Ok(run)
}

fn granule_row(r: &Row<'_>) -> rusqlite::Result<GranuleRow> {
    let json = |s: Option<String>| s.and_then(|s| serde_json::from_str(&s).ok());
    Ok(GranuleRow {
        id: r.get(0)?,
        input: url::shown_input(r.get_ref(1)?.as_str()?),
        state: r.get(2)?,
        attempts: r.get(3)?,
        started: r.get(4)?,
        finished: r.get(5)?,
        seconds: r.get(6)?,
        version: r.get(7)?,
        failure: json(r.get(8)?).map(without_secrets),
        notes: texts(r.get(9)?),
        also: texts(r.get(10)?).iter().map(|i| url::shown_input(i)).collect(),
    })
}

/// A list of texts, as it is written down.
fn texts(json: Option<String>) -> Vec<String> {
    json.and_then(|s| serde_json::from_str(&s).ok()).unwrap_or_default()
}

/// What was written down by a process that did not know better.
fn without_secrets(mut failure: serde_json::Value) -> serde_json::Value {
    if let Some(file) = failure["file"].as_str().map(url::shown_input) {
        failure["file"] = file.into();
    }
    failure
}

fn unix_secs() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// An id that sorts by time and that no other process makes.
fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{millis:012x}{:04x}{:04x}", count & 0xffff, std::process::id() & 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(dir: &Path) -> Arc<Jobs> {
        let alone = Arc::new(crate::grouping::ByRecipe(None));
        Jobs::open(Catalog::open(dir).unwrap(), vec![dir.to_owned()], Arc::default(), alone).unwrap()
    }

    fn request(dir: &Path, names: &[&str]) -> RunRequest {
        for n in names {
            std::fs::write(dir.join(n), b"x").unwrap();
        }
        RunRequest {
            collection: "c".into(),
            inputs: names.iter().map(|n| (*n).to_owned()).collect(),
            ..RunRequest::default()
        }
    }

    fn failure(permanent: bool) -> Failure {
        Failure {
            permanent,
            file: "a.nc".into(),
            variable: None,
            byte_offset: Some(7),
            reason: "broken".into(),
        }
    }

    #[test]
    fn granules_are_claimed_in_order_and_a_run_ends_when_all_are_settled() {
        let dir = tempfile::tempdir().unwrap();
        let jobs = queue(dir.path());
        let run = jobs.submit(&request(dir.path(), &["a.nc", "b.nc"])).unwrap();
        assert_eq!(jobs.get(&run).unwrap().unwrap().state, "queued");
        let a = jobs.claim().unwrap().unwrap();
        assert!(a.work.shown().ends_with("a.nc"));
        assert_eq!(jobs.get(&run).unwrap().unwrap().state, "running");
        jobs.settle(&a, 0.1, &Ok(Baked::Unchanged)).unwrap();
        let b = jobs.claim().unwrap().unwrap();
        jobs.settle(&b, 0.1, &Err(failure(true))).unwrap();
        let row = jobs.get(&run).unwrap().unwrap();
        assert_eq!((row.state, row.counts.failed, row.counts.unchanged), ("failed", 1, 1));
        assert!(row.finished.is_some());
        let granules = jobs.granules(&run, 0, 10).unwrap();
        assert_eq!(granules[1].failure.as_ref().unwrap()["byte_offset"], 7);
        assert!(jobs.claim().unwrap().is_err());
    }

    #[test]
    fn a_restart_takes_over_what_was_under_way() {
        let dir = tempfile::tempdir().unwrap();
        let jobs = queue(dir.path());
        jobs.submit(&request(dir.path(), &["a.nc"])).unwrap();
        let first = jobs.claim().unwrap().unwrap();
        assert!(jobs.claim().unwrap().is_err(), "a held granule is not claimed twice");
        let again = queue(dir.path());
        let second = again.claim().unwrap().unwrap();
        assert_eq!((second.id, second.attempts), (first.id, 2));
        assert!(!jobs.renew(&first).unwrap(), "the old owner has lost it");
    }

    #[test]
    fn a_passing_fault_rests_and_is_tried_again_until_attempts_run_out() {
        let dir = tempfile::tempdir().unwrap();
        let jobs = queue(dir.path());
        let run = jobs.submit(&request(dir.path(), &["a.nc"])).unwrap();
        let mut claim = jobs.claim().unwrap().unwrap();
        jobs.settle(&claim, 0.1, &Err(failure(false))).unwrap();
        assert!(jobs.claim().unwrap().unwrap_err() <= 1.0);
        assert_eq!(jobs.get(&run).unwrap().unwrap().counts.queued, 1);
        claim.attempts = MAX_ATTEMPTS;
        jobs.catalog.with(|c| Ok(c.execute("UPDATE granules SET owner = ?", [&jobs.owner])?)).unwrap();
        jobs.settle(&claim, 0.1, &Err(failure(false))).unwrap();
        assert_eq!(jobs.get(&run).unwrap().unwrap().state, "failed");
        assert!(jobs.retry(&run).unwrap());
        assert_eq!(jobs.get(&run).unwrap().unwrap().state, "queued");
        assert!(jobs.cancel(&run).unwrap());
        assert_eq!(jobs.get(&run).unwrap().unwrap().state, "cancelled");
        assert!(!jobs.cancel("no such run").unwrap());
    }

    #[test]
    fn a_url_is_refused_unless_the_configuration_opens_its_prefix() {
        let dir = tempfile::tempdir().unwrap();
        let submit = |allow: &[&str], input: &str| {
            let allow = Arc::new(allow.iter().map(|p| (*p).to_owned()).collect());
            let alone = Arc::new(crate::grouping::ByRecipe(None));
            let jobs = Jobs::open(Catalog::open(dir.path()).unwrap(), vec![], allow, alone).unwrap();
            let inputs = vec![input.to_owned()];
            jobs.submit(&RunRequest { collection: "c".into(), inputs, ..RunRequest::default() })
                .map_err(|e| e.to_string())
        };
        let inside = "http://169.254.169.254/latest/meta-data";
        assert!(submit(&[], inside).unwrap_err().contains("allow_urls in the configuration"));
        let open = ["https://data.example.org/sst/"];
        assert!(submit(&open, inside).unwrap_err().contains("begin with https://data.example.org/sst/"));
        assert!(submit(&open, "file:///etc/passwd").unwrap_err().contains("expected http://"));
        submit(&open, "https://data.example.org/sst/a.nc").unwrap();
    }

    #[test]
    fn a_signed_url_is_shown_without_its_signature() {
        let dir = tempfile::tempdir().unwrap();
        let allow = Arc::new(vec!["https://data.example.org/".to_owned()]);
        let alone = Arc::new(crate::grouping::ByRecipe(None));
        let jobs = Jobs::open(Catalog::open(dir.path()).unwrap(), vec![], allow, alone).unwrap();
        let signed = "https://data.example.org/a.nc?X-Amz-Signature=secret";
        let inputs = vec![signed.to_owned()];
        let run =
            jobs.submit(&RunRequest { collection: "c".into(), inputs, ..RunRequest::default() }).unwrap();
        let claim = jobs.claim().unwrap().unwrap();
        assert_eq!(claim.work.inputs, [signed], "the worker asks the whole address");
        jobs.settle(&claim, 0.1, &Err(Failure { file: signed.into(), ..failure(true) })).unwrap();
        let rows = serde_json::to_string(&jobs.granules(&run, 0, 10).unwrap()).unwrap();
        assert!(rows.contains("X-Amz-Signature=...") && !rows.contains("secret"), "{rows}");
        let told = jobs.catalog.events_after(0, None, None, 100).unwrap();
        assert!(told.iter().all(|e| !e.cloud_event().to_string().contains("secret")));
    }

    #[test]
    fn files_that_a_recipe_merges_are_one_granule_of_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let recipe = "[source]\npattern = \"{variable}_{time:%Y}.nc\"";
        std::fs::write(dir.path().join("wind.toml"), recipe).unwrap();
        let folder = crate::recipe::folder::Folder::new(dir.path().to_owned());
        let grouping = Arc::new(crate::grouping::ByRecipe(Some(folder)));
        let catalog = Catalog::open(dir.path()).unwrap();
        let jobs = Jobs::open(catalog, vec![dir.path().to_owned()], Arc::default(), grouping).unwrap();
        let named = request(dir.path(), &["v_2021.nc", "u_2020.nc", "u_2021.nc", "v_2020.nc"]);
        let run = jobs.submit(&RunRequest { recipe: Some("wind".into()), ..named }).unwrap();
        assert_eq!(jobs.get(&run).unwrap().unwrap().counts.total, 2);
        let names = |inputs: &[String]| -> Vec<String> {
            inputs.iter().map(|i| i.rsplit('/').next().unwrap().to_owned()).collect()
        };
        let claim = jobs.claim().unwrap().unwrap();
        assert_eq!(names(&claim.work.inputs), ["u_2020.nc", "v_2020.nc"]);
        let rows = jobs.granules(&run, 0, 10).unwrap();
        assert_eq!(
            (names(&[rows[1].input.clone()]), names(&rows[1].also)),
            (vec!["u_2021.nc".into()], vec!["v_2021.nc".into()])
        );
    }

    #[test]
    fn an_input_outside_the_open_folders_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.nc"), b"x").unwrap();
        let jobs = queue(dir.path());
        for input in [
            "../secret.nc",
            "/etc/passwd",
            "nothing.nc",
            &outside.path().join("secret.nc").display().to_string(),
        ] {
            let r = RunRequest {
                collection: "c".into(),
                inputs: vec![input.to_owned()],
                ..RunRequest::default()
            };
            let e = jobs.submit(&r).unwrap_err().to_string();
            assert!(e.contains("no such file in the folders open to runs"), "{e}");
        }
        let r = RunRequest { collection: "c".into(), ..RunRequest::default() };
        assert!(jobs.submit(&r).is_err());
    }
}
