//! Tabular collections: one SQLite file each, `collections/ID/table.sqlite`.
//!
//! A publication is one transaction and one version. A row is never changed: it
//! carries the version it was born in and the one it died in, so that every
//! version can be read, and paged through, while newer ones come. The file is in
//! WAL mode, because a long ingest must not stand in the way of readers, and the
//! log is folded in at the end of every ingest: a copy of the file is whole.
//!
//! **Invariants:** one writer per collection, by the same lock as cubes'; a table
//! exists once it has a version; what the catalog says of it is derived from it.

pub mod facts;
pub mod history;
pub mod ingest;
pub mod query;
mod schema;
mod write;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use graticule_formats::table::{Kind as ColumnKind, Role};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

pub use facts::TableFacts;

use crate::store::{Change, Ending, Former, Granule, Kind, Standing};

/// How long a statement waits for another connection.
const PATIENCE: Duration = Duration::from_secs(10);
const FILE: &str = "table.sqlite";

/// A column as one version has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: String,
    pub kind: ColumnKind,
    pub units: Option<String>,
    pub role: Option<Role>,
    pub description: Option<String>,
}

/// A version, as it was published.
#[derive(Debug, Clone)]
pub struct Version {
    /// Counts from 1.
    pub seq: i64,
    pub id: String,
    /// Microseconds since 1970, UTC.
    pub time_micros: i64,
    pub message: String,
    pub rows: u64,
    pub added: u64,
    pub removed: u64,
    pub facts: TableFacts,
    /// What this version added.
    pub granules: Vec<Granule>,
    /// What else it did to the granules.
    pub change: Change,
}

const VERSION: &str =
    "SELECT seq, id, time_micros, message, rows, added, removed, facts, change FROM versions";

/// The table of a collection, open for reading.
pub struct Table {
    conn: Connection,
}

pub fn path(root: &Path, id: &str) -> PathBuf {
    root.join("collections").join(id).join(FILE)
}

/// What tells that a file was written: length, seconds and nanoseconds of it and of its log.
type Stamp = [Option<(u64, i64, i64)>; 2];

fn stamp(file: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    let log = file.with_extension("sqlite-wal");
    [file, log.as_path()].map(|p| std::fs::metadata(p).ok().map(|m| (m.len(), m.mtime(), m.mtime_nsec())))
}

/// The newest version of the table `id`; `None` where there is no table. Two `stat`s where
/// nothing has changed.
///
/// # Errors
/// A file that is no table.
pub fn latest(root: &Path, id: &str) -> anyhow::Result<Option<String>> {
    static KNOWN: Mutex<Option<HashMap<PathBuf, (Stamp, Option<String>)>>> = Mutex::new(None);
    let file = path(root, id);
    let now = stamp(&file);
    let lock = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if now[0].is_none() {
        return Ok(None);
    }
    if let Some((_, version)) = lock().as_ref().and_then(|k| k.get(&file)).filter(|(s, _)| *s == now) {
        return Ok(version.clone());
    }
    let version = match Table::open(root, id)? {
        Some(table) => table.version(None)?.map(|v| v.id),
        None => None,
    };
    lock().get_or_insert_default().insert(file, (now, version.clone()));
    Ok(version)
}

/// True where the collection holds a table.
pub fn exists(root: &Path, id: &str) -> bool {
    crate::store::is_collection_id(id) && matches!(latest(root, id), Ok(Some(_)))
}

/// Ids of all published tables with their newest version, sorted.
///
/// # Errors
/// The folder cannot be listed.
pub fn list(root: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut out = Vec::new();
    let dir = root.join("collections");
    for entry in std::fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
        let Some(id) = entry?.file_name().to_str().map(str::to_owned) else { continue };
        if crate::store::is_collection_id(&id)
            && let Ok(Some(version)) = latest(root, &id)
        {
            out.push((id, version));
        }
    }
    out.sort();
    Ok(out)
}

fn connect(file: &Path, flags: OpenFlags) -> anyhow::Result<Connection> {
    let conn = Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .with_context(|| format!("{}: the table cannot be opened", file.display()))?;
    conn.busy_timeout(PATIENCE)?;
    conn.pragma_update(None, "cache_size", -4096)?;
    Ok(conn)
}

impl Table {
    /// `None` where there is no such file.
    ///
    /// # Errors
    /// A file that is no table.
    pub fn open(root: &Path, id: &str) -> anyhow::Result<Option<Self>> {
        let file = path(root, id);
        if !file.is_file() {
            return Ok(None);
        }
        let conn = connect(&file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let made: bool = conn.query_row(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'versions'",
            [],
            |r| r.get(0),
        )?;
        if made {
            schema::upgrade(&conn)?;
        }
        conn.pragma_update(None, "query_only", true)?;
        Ok(made.then_some(Self { conn }))
    }

    /// The version of this id, or the newest; one that expired while its grace lasts.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn version(&self, id: Option<&str>) -> anyhow::Result<Option<Version>> {
        let found = self
            .conn
            .query_row(
                &format!(
                    "{VERSION} WHERE (?1 IS NULL OR id = ?1) AND gone IS NULL ORDER BY seq DESC LIMIT 1"
                ),
                params![id],
                read_version,
            )
            .optional()?;
        found.map(|v| self.complete(v)).transpose()
    }

    /// Whether there was a version of this id that retention took out of the history.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn is_expired(&self, id: &str) -> anyhow::Result<bool> {
        let mut q =
            self.conn.prepare("SELECT 1 FROM versions WHERE id = ? AND expired_micros IS NOT NULL")?;
        Ok(q.exists([id])?)
    }

    /// The granules of the newest version, each with the id and the time of the version that
    /// brought it, in their order.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn living(&self) -> anyhow::Result<Vec<(String, i64, Granule)>> {
        let mut q = self.conn.prepare(
            "SELECT g.name, g.sha256, g.bytes, g.source, g.notes, v.id, v.time_micros FROM granules g
             JOIN versions v ON v.seq = g.seq WHERE g.gone IS NULL ORDER BY g.id",
        )?;
        let rows = q.query_map([], |r| Ok((r.get(5)?, r.get(6)?, read_granule(r)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The granules that were gone back behind, oldest first.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn former(&self) -> anyhow::Result<Vec<Former>> {
        let mut q = self.conn.prepare(
            "SELECT g.name, g.sha256, g.bytes, g.source, g.notes, v.id, v.time_micros, e.id, e.time_micros
             FROM granules g JOIN versions v ON v.seq = g.seq JOIN versions e ON e.seq = g.gone ORDER BY g.id",
        )?;
        let rows = q.query_map([], |r| {
            Ok(Former {
                standing: Standing { version: r.get(5)?, time_micros: r.get(6)?, granule: read_granule(r)? },
                ending: Ending::Removed,
                until: r.get(7)?,
                until_micros: r.get(8)?,
                by: None,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All versions that stand, newest first.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn versions(&self) -> anyhow::Result<Vec<Version>> {
        let mut q =
            self.conn.prepare(&format!("{VERSION} WHERE expired_micros IS NULL ORDER BY seq DESC"))?;
        let rows = q.query_map([], read_version)?.collect::<Result<Vec<_>, _>>()?;
        rows.into_iter().map(|v| self.complete(v)).collect()
    }

    fn complete(&self, (mut version, facts): (Version, String)) -> anyhow::Result<Version> {
        version.facts = serde_json::from_str(&facts).context("the facts of a version cannot be read")?;
        let mut q = self
            .conn
            .prepare("SELECT name, sha256, bytes, source, notes FROM granules WHERE seq = ? ORDER BY id")?;
        version.granules = q.query_map([version.seq], read_granule)?.collect::<Result<_, _>>()?;
        Ok(version)
    }

    /// Compares the file with itself: its pages and indices, and the rows of every version with
    /// what the version says of them.
    ///
    /// # Errors
    /// What is wrong.
    pub fn prove(&self) -> anyhow::Result<()> {
        let verdict: String = self.conn.query_row("PRAGMA integrity_check(1)", [], |r| r.get(0))?;
        anyhow::ensure!(verdict == "ok", "{verdict}");
        for v in self.versions()? {
            let alive: i64 = self.conn.query_row(
                "SELECT count(*) FROM rows WHERE born <= ?1 AND (died IS NULL OR died > ?1)",
                [v.seq],
                |r| r.get(0),
            )?;
            anyhow::ensure!(
                u64::try_from(alive)? == v.rows,
                "version {} says that it has {} rows; there are {alive}",
                v.id,
                v.rows
            );
        }
        Ok(())
    }

    /// The columns as version `seq` has them.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn columns(&self, seq: i64) -> anyhow::Result<Vec<Column>> {
        schema::columns(&self.conn, seq)
    }
}

impl From<Version> for crate::store::VersionInfo {
    fn from(v: Version) -> Self {
        Self {
            id: v.id,
            time_micros: v.time_micros,
            message: v.message,
            granules: v.granules,
            change: v.change,
        }
    }
}

/// From name, checksum, bytes, source and notes.
fn read_granule(r: &rusqlite::Row<'_>) -> rusqlite::Result<Granule> {
    let notes: String = r.get(4)?;
    Ok(Granule {
        name: r.get(0)?,
        sha256: r.get(1)?,
        bytes: r.get::<_, i64>(2)?.max(0) as u64,
        source: r.get(3)?,
        notes: serde_json::from_str(&notes).unwrap_or_default(),
        ..Default::default()
    })
}

fn read_version(r: &rusqlite::Row<'_>) -> rusqlite::Result<(Version, String)> {
    let count = |i: usize| -> rusqlite::Result<u64> { Ok(r.get::<_, i64>(i)?.max(0) as u64) };
    let seq: i64 = r.get(0)?;
    let usual = if seq == 1 { Kind::Ingest } else { Kind::Append };
    let said: Option<String> = r.get(8)?;
    let change = said.and_then(|c| serde_json::from_str(&c).ok());
    Ok((
        Version {
            seq,
            id: r.get(1)?,
            time_micros: r.get(2)?,
            message: r.get(3)?,
            rows: count(4)?,
            added: count(5)?,
            removed: count(6)?,
            facts: TableFacts::default(),
            granules: Vec::new(),
            change: change.unwrap_or(Change { kind: usual, ..Change::default() }),
        },
        r.get(7)?,
    ))
}

pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Latitude => "latitude",
        Role::Longitude => "longitude",
        Role::Time => "time",
    }
}
