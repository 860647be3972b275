//! Publishing: the granules of one ingest become one version, or nothing does.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context;
use graticule_formats::table::{Table as Source, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, OptionalExtension, ToSql, params};

use super::{TableFacts, connect, path, schema};
use crate::ingest::duplicates::Duplicates;
use crate::store::{Change, Granule, Kind, StoreError};

/// Why a granule was left out; the others go on.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    Because(String),
    /// Two rows of the first granule have the same key and other values.
    KeyNotUnique,
}

/// The one writer of a table. Dropped without a commit, it leaves the table as it was.
pub struct Writer {
    pub(super) conn: Connection,
    /// Of the version that is being made.
    pub(super) seq: i64,
    added: u64,
    removed: u64,
    title: Option<String>,
    format: String,
    notes: Vec<String>,
    granules: usize,
    dir: std::path::PathBuf,
    committed: bool,
    /// Held for the `flock`; last, so that it is released last.
    _lock: File,
}

impl Writer {
    /// Becomes the writer of the table of a collection, which need not exist.
    ///
    /// # Errors
    /// Another writer, a disk that cannot be written, a file that is no table.
    pub fn open(root: &Path, id: &str) -> anyhow::Result<Self> {
        let file = path(root, id);
        let dir = file.parent().context("a table has a folder")?;
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let lock = lock(dir, id)?;
        if super::latest(root, id)?.is_none() {
            // Nothing was ever published: what lies there is an ingest that died.
            for name in ["table.sqlite", "table.sqlite-wal", "table.sqlite-shm"] {
                match std::fs::remove_file(dir.join(name)) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
                    _ => {}
                }
            }
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let conn = connect(&file, flags)?;
        conn.pragma_update(None, "journal_mode", "WAL")?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        let made: bool =
            conn.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'versions'", [], |r| r.get(0))?;
        if made {
            schema::upgrade(&conn)?;
        }
        let seq = match made {
            true => conn.query_row("SELECT coalesce(max(seq), 0) + 1 FROM versions", [], |r| r.get(0))?,
            false => 1,
        };
        conn.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Self {
            conn,
            seq,
            added: 0,
            removed: 0,
            title: None,
            format: String::new(),
            notes: Vec::new(),
            granules: 0,
            dir: dir.to_owned(),
            committed: false,
            _lock: lock,
        })
    }

    /// True where a granule with these bytes is in the table.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn knows(&self, sha256: &str) -> anyhow::Result<bool> {
        if self.seq == 1 && self.granules == 0 {
            return Ok(false);
        }
        let mut q = self.conn.prepare_cached("SELECT 1 FROM granules WHERE sha256 = ? AND gone IS NULL")?;
        Ok(q.exists([sha256])?)
    }

    /// Adds the rows of one granule, and returns what is to be said of them.
    ///
    /// # Errors
    /// The disk is full or fails; inside, why this granule alone is refused.
    pub fn add(
        &mut self,
        source: &dyn Source,
        granule: &Granule,
        duplicates: Duplicates,
        stop: &dyn Fn() -> bool,
    ) -> anyhow::Result<Result<Vec<String>, Refused>> {
        self.conn.execute_batch("SAVEPOINT granule")?;
        let before = (self.added, self.removed);
        let mut outcome = self.try_add(source, granule, duplicates, stop, true);
        if matches!(outcome, Ok(Err(Refused::KeyNotUnique))) {
            // What looked like an identifier is none: every row counts by itself.
            (self.added, self.removed) = before;
            self.conn.execute_batch("ROLLBACK TO granule")?;
            outcome = self.try_add(source, granule, duplicates, stop, false);
        }
        match outcome {
            Ok(Ok(notes)) => {
                self.conn.execute_batch("RELEASE granule")?;
                self.granules += 1;
                Ok(Ok(notes))
            }
            other => {
                (self.added, self.removed) = before;
                self.conn.execute_batch("ROLLBACK TO granule; RELEASE granule")?;
                other
            }
        }
    }

    fn try_add(
        &mut self,
        source: &dyn Source,
        granule: &Granule,
        duplicates: Duplicates,
        stop: &dyn Fn() -> bool,
        with_key: bool,
    ) -> anyhow::Result<Result<Vec<String>, Refused>> {
        let header = source.header();
        let first = self.seq == 1 && self.granules == 0;
        if first {
            schema::create(&self.conn, header, with_key)?;
        }
        let kinds = match schema::meet(&self.conn, self.seq, header)? {
            Ok(kinds) => kinds,
            Err(why) => return Ok(Err(Refused::Because(why))),
        };
        let key = schema::key(&self.conn)?;
        self.conn.execute(
            "INSERT INTO granules (seq, name, sha256, bytes, source, rows, faults, notes)
             VALUES (?, ?, ?, ?, ?, 0, 0, '[]')",
            params![
                self.seq,
                granule.name,
                granule.sha256,
                i64::try_from(granule.bytes).unwrap_or(i64::MAX),
                granule.source
            ],
        )?;
        let number = self.conn.last_insert_rowid();
        let mut rows = Rows::new(&self.conn, number, self.seq, kinds.len(), key, duplicates)?;
        rows.proves_key = first;
        // An error of the database and a refusal both end the reading; they are told apart after.
        let mut broken: Option<anyhow::Error> = None;
        let (mut seen, mut unique) = (0u64, true);
        let read = source.rows(&kinds, &mut |row| {
            seen += 1;
            if seen.is_multiple_of(4096) && stop() {
                broken = Some(anyhow::anyhow!("interrupted"));
                return Err("interrupted".to_owned());
            }
            rows.put(row).map_err(|e| match e {
                Put::Refused(why) => why,
                Put::KeyNotUnique => {
                    unique = false;
                    String::new()
                }
                Put::Broken(e) => {
                    let said = e.to_string();
                    broken = Some(e);
                    said
                }
            })
        });
        let counts = rows.counts;
        drop(rows);
        if let Some(e) = broken {
            return Err(e);
        }
        let faults = match read {
            Ok(faults) => faults,
            Err(_) if !unique => return Ok(Err(Refused::KeyNotUnique)),
            Err(e) => return Ok(Err(Refused::Because(e.reason))),
        };
        let mut notes = faults.sentences();
        notes.extend(header.notes.iter().cloned());
        if counts.same > 0 {
            notes.push(format!("{} rows are in the table already, unchanged", counts.same));
        }
        if counts.replaced > 0 {
            notes.push(format!("{} rows took the place of rows with the same key", counts.replaced));
        }
        if counts.skipped > 0 {
            notes.push(format!(
                "{} rows differ from rows with the same key, which stay; duplicates = \"replace\" takes the new ones",
                counts.skipped
            ));
        }
        self.conn.execute(
            "UPDATE granules SET rows = ?, faults = ?, notes = ? WHERE id = ?",
            params![
                i64::try_from(counts.added)?,
                i64::try_from(faults.count)?,
                serde_json::to_string(&notes)?,
                number
            ],
        )?;
        self.added += counts.added;
        self.removed += counts.replaced;
        self.title = self.title.take().or_else(|| header.title.clone());
        self.format.clone_from(&header.format);
        for note in header.notes.iter().filter(|n| !self.notes.contains(n)).cloned().collect::<Vec<_>>() {
            self.notes.push(note);
        }
        Ok(Ok(notes))
    }

    /// Publishes what was added as one version, and returns its id; `None` where nothing was.
    ///
    /// # Errors
    /// The disk is full or fails: the former version stays.
    pub fn commit(mut self, message: &str) -> anyhow::Result<Option<String>> {
        if self.granules == 0 {
            return Ok(None);
        }
        let columns = schema::columns(&self.conn, self.seq)?;
        let mut facts = TableFacts::derive(&self.conn, &columns)?;
        facts.title = self.title.take();
        facts.format = std::mem::take(&mut self.format);
        facts.notes = std::mem::take(&mut self.notes);
        let key = schema::key(&self.conn)?;
        facts.key = key.into_iter().filter_map(|i| columns.get(i)).map(|c| c.name.clone()).collect();
        let kind = if self.seq == 1 { Kind::Ingest } else { Kind::Append };
        let (rows, change) = ((self.added, self.removed), Change { kind, ..Change::default() });
        self.publish(message, &facts, rows, &change).map(Some)
    }

    /// Makes what was changed a version, and returns its id; `rows` are those added and removed.
    ///
    /// # Errors
    /// The disk is full or fails: the former version stays.
    pub(super) fn publish(
        mut self,
        message: &str,
        facts: &TableFacts,
        (added, removed): (u64, u64),
        change: &Change,
    ) -> anyhow::Result<String> {
        let id = new_id()?;
        let micros = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_micros());
        self.conn.execute(
            "INSERT INTO versions (seq, id, time_micros, message, rows, added, removed, facts, change)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                self.seq,
                id,
                i64::try_from(micros)?,
                message,
                i64::try_from(facts.rows)?,
                i64::try_from(added)?,
                i64::try_from(removed)?,
                serde_json::to_string(facts)?,
                serde_json::to_string(change)?
            ],
        )?;
        self.end()?;
        Ok(id)
    }

    /// Makes what was changed last.
    ///
    /// # Errors
    /// The disk is full or fails: all is as it was.
    pub(super) fn end(&mut self) -> anyhow::Result<()> {
        self.conn.execute_batch("COMMIT")?;
        self.committed = true;
        self.fold();
        Ok(())
    }

    /// Folds the log into the file, so that a copy of it is whole; a reader at work may put that
    /// off to the next time.
    pub(super) fn fold(&self) {
        let _ = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }
}

/// Of a table that never had a version nothing stays behind.
impl Drop for Writer {
    fn drop(&mut self) {
        if self.seq > 1 || self.committed {
            return;
        }
        let _ = self.conn.execute_batch("ROLLBACK");
        for name in ["table.sqlite-wal", "table.sqlite-shm", "table.sqlite", ".lock"] {
            let _ = std::fs::remove_file(self.dir.join(name));
        }
        // Not empty where something else is kept here.
        let _ = std::fs::remove_dir(&self.dir);
    }
}

/// The lock that cubes' writers take.
fn lock(dir: &Path, id: &str) -> anyhow::Result<File> {
    let path = dir.join(".lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| path.display().to_string())?;
    match file.try_lock() {
        // The holder before us may have removed the folder with the lock in it.
        Ok(()) if path.exists() => Ok(file),
        Ok(()) | Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::Busy(id.to_owned()).into()),
        Err(std::fs::TryLockError::Error(e)) => Err(e).with_context(|| path.display().to_string()),
    }
}

/// Ninety-six random bits in Crockford's base 32, as the ids of cubes' versions look.
fn new_id() -> anyhow::Result<String> {
    const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut bytes = [0; 20];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no random numbers: {e}"))?;
    Ok(bytes.iter().map(|b| char::from(LETTERS[usize::from(b % 32)])).collect())
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    added: u64,
    same: u64,
    replaced: u64,
    skipped: u64,
}

enum Put {
    Refused(String),
    KeyNotUnique,
    Broken(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Put {
    fn from(e: E) -> Self {
        Self::Broken(e.into())
    }
}

/// Takes the rows of one granule.
struct Rows<'a> {
    conn: &'a Connection,
    insert: rusqlite::Statement<'a>,
    number: i64,
    seq: i64,
    key: Vec<usize>,
    find: String,
    duplicates: Duplicates,
    /// The first granule: what its header takes for a key must be one.
    proves_key: bool,
    counts: Counts,
}

impl<'a> Rows<'a> {
    fn new(
        conn: &'a Connection,
        number: i64,
        seq: i64,
        columns: usize,
        key: Vec<usize>,
        duplicates: Duplicates,
    ) -> anyhow::Result<Self> {
        let names: String = (0..columns).map(|i| format!(", c{i}")).collect();
        let marks = ", ?".repeat(columns);
        let insert =
            conn.prepare(&format!("INSERT INTO rows (granule, born, key{names}) VALUES (?, ?, ?{marks})"))?;
        let find = format!("SELECT id, born{names} FROM rows WHERE key = ? AND died IS NULL");
        Ok(Self {
            conn,
            insert,
            number,
            seq,
            key,
            find,
            duplicates,
            proves_key: false,
            counts: Counts::default(),
        })
    }

    fn put(&mut self, row: &[Value]) -> Result<(), Put> {
        let key = self.key_of(row);
        if let Some(key) = &key {
            let mut find = self.conn.prepare_cached(&self.find)?;
            let old = find
                .query_row([key], |r| {
                    let mut same = true;
                    for (i, value) in row.iter().enumerate() {
                        same &= equal(r.get_ref(i + 2)?, value);
                    }
                    Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?, same))
                })
                .optional()?;
            match (old, self.duplicates) {
                (Some((_, _, true)), _) => {
                    self.counts.same += 1;
                    return Ok(());
                }
                (Some(_), _) if self.proves_key => return Err(Put::KeyNotUnique),
                (Some(_), Duplicates::Skip) => {
                    self.counts.skipped += 1;
                    return Ok(());
                }
                (Some(_), Duplicates::Error) => {
                    return Err(Put::Refused(format!(
                        "the table has a row with the key {:?} and other values",
                        key.replace('\u{1f}', ", ")
                    )));
                }
                (Some((id, born, _)), Duplicates::Replace | Duplicates::Version) => {
                    // Born in this version, it was never seen.
                    let end = match born == self.seq {
                        true => "DELETE FROM rows WHERE id = ?2 AND born = ?1",
                        false => "UPDATE rows SET died = ?1 WHERE id = ?2",
                    };
                    self.conn.prepare_cached(end)?.execute(params![self.seq, id])?;
                    self.counts.replaced += u64::from(born != self.seq);
                }
                (None, _) => {}
            }
        }
        self.insert.raw_bind_parameter(1, self.number)?;
        self.insert.raw_bind_parameter(2, self.seq)?;
        self.insert.raw_bind_parameter(3, &key)?;
        for (i, value) in row.iter().enumerate() {
            self.insert.raw_bind_parameter(i + 4, Bound(value))?;
        }
        self.insert.raw_execute()?;
        self.counts.added += 1;
        Ok(())
    }

    /// The values that name the row, as one text; `None` where one is missing.
    fn key_of(&self, row: &[Value]) -> Option<String> {
        let parts: Option<Vec<String>> = self
            .key
            .iter()
            .map(|i| match row.get(*i)? {
                Value::Null => None,
                Value::Int(v) | Value::Time(v) => Some(v.to_string()),
                Value::Float(v) => Some(v.to_string()),
                Value::Bool(v) => Some(v.to_string()),
                Value::Text(v) => Some(v.clone()),
            })
            .collect();
        parts.filter(|p| !p.is_empty()).map(|p| p.join("\u{1f}"))
    }
}

struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Int(v) | Value::Time(v) => ValueRef::Integer(*v),
            Value::Float(v) => ValueRef::Real(*v),
            Value::Bool(v) => ValueRef::Integer(i64::from(*v)),
            Value::Text(v) => ValueRef::Text(v.as_bytes()),
        }))
    }
}

/// True where a stored value reads as this one; whole numbers stored before their column became
/// one of floats too.
fn equal(stored: ValueRef<'_>, value: &Value) -> bool {
    match (stored, value) {
        (ValueRef::Null, Value::Null) => true,
        (ValueRef::Integer(a), Value::Int(b) | Value::Time(b)) => a == *b,
        (ValueRef::Integer(a), Value::Bool(b)) => a == i64::from(*b),
        (ValueRef::Integer(a), Value::Float(b)) => a as f64 == *b,
        (ValueRef::Real(a), Value::Float(b)) => a == *b,
        (ValueRef::Text(a), Value::Text(b)) => a == b.as_bytes(),
        _ => false,
    }
}
