//! What there is: collections, their items, tokens, and the log of events, in
//! one SQLite file.
//!
//! The stores are the truth; the catalog is what makes them findable. So every
//! row about a collection is derived from its store ([`facts`]) and is written
//! again when it is missing or names another version ([`Catalog::reconcile`]).
//! Lineage (which file a granule came from) and events live only here.
//!
//! SQLite calls block: async code goes through [`Catalog::call`].

pub mod aggregate;
pub mod collections;
pub mod discovery;
pub mod events;
pub mod facts;
pub mod items;
pub mod lineage;
pub mod projection;
mod projjson;
mod scalars;
pub mod search;
mod sync;
mod tables;
pub mod tally;
pub mod tokens;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::watch;

pub use collections::Collection;
pub use events::Event;
pub use facts::Facts;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS collections (
  id TEXT PRIMARY KEY, title TEXT NOT NULL, description TEXT NOT NULL,
  version TEXT NOT NULL, updated TEXT NOT NULL, facts TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS collections_by_base ON collections (json_extract(facts, '$.view.of'));
CREATE TABLE IF NOT EXISTS items (
  rowid INTEGER PRIMARY KEY, collection TEXT NOT NULL, name TEXT NOT NULL,
  checksum TEXT NOT NULL, bytes INTEGER NOT NULL, source TEXT NOT NULL, version TEXT NOT NULL,
  published TEXT NOT NULL, start_time TEXT, end_time TEXT, start_secs REAL, end_secs REAL,
  west REAL, south REAL, east REAL, north REAL,
  first_step INTEGER, end_step INTEGER, superseded_by TEXT, record TEXT NOT NULL,
  published_micros INTEGER NOT NULL, reach INTEGER NOT NULL,
  UNIQUE (collection, name)) STRICT;
CREATE INDEX IF NOT EXISTS items_by_checksum ON items (collection, checksum);
CREATE INDEX IF NOT EXISTS items_by_origin ON items (collection, json_extract(record, '$.origin.url'));
CREATE INDEX IF NOT EXISTS items_by_step ON items (collection, end_step, first_step);
CREATE INDEX IF NOT EXISTS items_by_name ON items (name);
CREATE INDEX IF NOT EXISTS items_by_time ON items (coalesce(start_secs, published_micros / 1e6));
CREATE INDEX IF NOT EXISTS items_in_order ON items (collection);
CREATE INDEX IF NOT EXISTS items_by_collection ON items (collection, coalesce(start_secs, published_micros / 1e6));
CREATE INDEX IF NOT EXISTS items_by_span ON items (reach, coalesce(start_secs, published_micros / 1e6), coalesce(end_secs, published_micros / 1e6));
CREATE INDEX IF NOT EXISTS items_in_span ON items (collection, reach, coalesce(start_secs, published_micros / 1e6), coalesce(end_secs, published_micros / 1e6));
CREATE INDEX IF NOT EXISTS items_renamed ON items (json_extract(record, '$.name')) WHERE json_extract(record, '$.id') IS NOT NULL;
CREATE VIRTUAL TABLE IF NOT EXISTS items_bbox USING rtree(rowid, west, east, south, north, start, end);
CREATE TABLE IF NOT EXISTS events (
  id INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, type TEXT NOT NULL,
  collection TEXT NOT NULL, data TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS events_by_version ON events (collection, type, json_extract(data, '$.version'));
CREATE TABLE IF NOT EXISTS tokens (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, hash TEXT NOT NULL UNIQUE,
  scopes TEXT NOT NULL, created TEXT NOT NULL, revoked TEXT) STRICT;
";

/// What is derived from the stores has this shape; another is dropped and derived again.
const DERIVED: i64 = 6;

/// Connections kept open for reading; more readers than this wait for none, they open their own.
const KEPT_CONNECTIONS: usize = 4;

pub struct Catalog {
    path: std::path::PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// Offset of the newest event that this process knows of.
    newest_event: watch::Sender<i64>,
}

impl Catalog {
    /// Opens or creates `DIR/catalog.sqlite`.
    ///
    /// # Errors
    /// The file cannot be created, or is no SQLite database.
    pub fn open(data_dir: &Path) -> anyhow::Result<Arc<Self>> {
        std::fs::create_dir_all(data_dir)?;
        let path = data_dir.join("catalog.sqlite");
        let mut conn = connect(&path)?;
        // Alone: of two that begin in a new directory, one makes the tables.
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let shape: i64 = tx.pragma_query_value(None, "user_version", |r| r.get(0))?;
        if shape != DERIVED {
            tx.execute_batch(
                "DROP TABLE IF EXISTS items; DROP TABLE IF EXISTS items_bbox; DROP TABLE IF EXISTS collections;
                 DROP TABLE IF EXISTS tallies; DROP TABLE IF EXISTS past_items;",
            )?;
            tx.pragma_update(None, "user_version", DERIVED)?;
        }
        for schema in [SCHEMA, tally::SCHEMA, lineage::SCHEMA] {
            tx.execute_batch(schema)?;
        }
        tx.commit()?;
        let newest: i64 = conn.query_row("SELECT coalesce(max(id), 0) FROM events", [], |r| r.get(0))?;
        let (newest_event, _) = watch::channel(newest);
        Ok(Arc::new(Self { path, idle: Mutex::new(vec![conn]), newest_event }))
    }

    /// Runs `work` with a connection; blocks.
    ///
    /// # Errors
    /// What `work` returns, and failure to open another connection.
    pub fn with<T>(&self, work: impl FnOnce(&mut Connection) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut conn = match kept {
            Some(c) => c,
            None => connect(&self.path)?,
        };
        let out = work(&mut conn);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT_CONNECTIONS {
            idle.push(conn);
        }
        out
    }

    /// [`Catalog::with`] from async code, on a thread that may block.
    ///
    /// # Errors
    /// As [`Catalog::with`]; and when `work` panicked.
    pub async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Connection) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || this.with(work)).await?
    }

    /// A blocking method of the catalog from async code.
    ///
    /// # Errors
    /// What `work` returns; and when it panicked.
    pub async fn call_with<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&this)).await?
    }
}

fn connect(path: &Path) -> anyhow::Result<Connection> {
    let conn = Connection::open(path)
        .map_err(|e| anyhow::anyhow!("{}: cannot open the catalog: {e}", path.display()))?;
    conn.busy_timeout(Duration::from_secs(10))?;
    write_ahead(&conn)?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "cache_size", -2048)?;
    search::functions(&conn)?;
    Ok(conn)
}

/// SQLite waits for nobody when it changes a file's journal: who else changes it is waited for here.
fn write_ahead(conn: &Connection) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match conn.pragma_update(None, "journal_mode", "WAL") {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            done => return Ok(done?),
        }
    }
}

/// The present instant as RFC 3339 in UTC, to the millisecond.
pub fn now() -> String {
    rfc3339(std::time::SystemTime::now())
}

fn rfc3339(at: std::time::SystemTime) -> String {
    let millis = at.duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis());
    micros_rfc3339(i64::try_from(millis).unwrap_or(0).saturating_mul(1000))
}

/// Microseconds since 1970 as RFC 3339 in UTC.
pub fn micros_rfc3339(micros: i64) -> String {
    use graticule_shared::time::TimeUnits;
    TimeUnits::parse("microseconds since 1970-01-01", Some("proleptic_gregorian"))
        .and_then(|u| u.decode(micros as f64))
        .map_or_else(|_| "1970-01-01T00:00:00Z".to_owned(), |t| format!("{t}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_opens_twice_and_keeps_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let a = Catalog::open(dir.path()).unwrap();
        a.emit("org.graticule.test", "c", &serde_json::json!({"n": 1})).unwrap();
        drop(a);
        let b = Catalog::open(dir.path()).unwrap();
        let log = b.events_after(0, None, None, 10).unwrap();
        assert_eq!(log.len(), 1);
        assert_eq!(log[0].data["n"], 1);
    }

    #[test]
    fn many_that_begin_at_once_in_a_new_directory_all_begin() {
        for _ in 0..5 {
            let dir = tempfile::tempdir().unwrap();
            std::thread::scope(|s| {
                let all: Vec<_> = (0..8).map(|_| s.spawn(|| Catalog::open(dir.path()).map(drop))).collect();
                all.into_iter().for_each(|t| t.join().unwrap().unwrap());
            });
        }
    }

    #[test]
    fn instants_are_written_as_rfc_3339() {
        let at = std::time::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
        assert_eq!(rfc3339(at), "2023-11-14T22:13:20.25Z");
    }
}
