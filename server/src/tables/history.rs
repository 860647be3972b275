//! Going back to an earlier version of a table, and taking old versions out of its history.
//!
//! The same rules as for cubes (`docs/versions.md`): going back makes a *new* version, and a
//! version that expired is listed no more, stays readable for its grace, and is gone after it.
//! A row that no standing version shows is then deleted.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use rusqlite::{Connection, params};

use super::write::Writer;
use super::{Table, TableFacts, Version, exists, path, schema};
use crate::store::{Change, Expiry, Kind, Past, Retention, StoreError, VersionInfo};

/// Makes the rows of version `to` the latest again, as a new version; returns its id. Blocks.
///
/// # Errors
/// No such table or version, one that expired or is the latest; another writer; a disk that cannot
/// be written: the table is as it was.
pub fn roll_back(root: &Path, id: &str, to: &str) -> anyhow::Result<String> {
    if !exists(root, id) {
        return Err(StoreError::NoCollection(id.to_owned()).into());
    }
    let writer = Writer::open(root, id)?;
    let table = Table::open(root, id)?.context("the table has no file")?;
    let (collection, version) = (id.to_owned(), to.to_owned());
    if table.is_expired(to)? {
        return Err(StoreError::Expired { collection, version }.into());
    }
    let Some(then) = table.version(Some(to))? else {
        return Err(StoreError::NoVersion { collection, version }.into());
    };
    if table.version(None)?.is_some_and(|latest| latest.id == to) {
        return Err(StoreError::AlreadyLatest { collection, version }.into());
    }
    drop(table);
    let c = &writer.conn;
    let (seq, change) =
        (writer.seq, Change { kind: Kind::Rollback, of: Some(to.to_owned()), ..Change::default() });
    let removed = granules(c, "gone IS NULL AND seq > ?1", then.seq)?;
    let change = Change { removed, ..change };
    let (added, gone) = rows_as_of(c, then.seq, seq)?;
    c.execute("UPDATE granules SET gone = ?2 WHERE gone IS NULL AND seq > ?1", params![then.seq, seq])?;
    // What an earlier going back had taken away comes again.
    c.execute(
        "INSERT INTO granules (seq, name, sha256, bytes, source, rows, faults, notes)
         SELECT ?2, name, sha256, bytes, source, rows, faults, notes FROM granules
         WHERE seq <= ?1 AND gone > ?1 AND gone < ?2 ORDER BY id",
        params![then.seq, seq],
    )?;
    schema::as_of(c, then.seq, seq)?;
    let columns = schema::columns(c, seq)?;
    let facts = TableFacts {
        title: then.facts.title.clone(),
        format: then.facts.format.clone(),
        notes: then.facts.notes.clone(),
        key: then.facts.key.clone(),
        ..TableFacts::derive(c, &columns)?
    };
    let message = format!("Roll back to {to}: {}", then.message);
    writer.publish(&message, &facts, (added, gone), &change)
}

/// Lets the rows of version `then` be those of `seq`; how many come and how many go.
fn rows_as_of(c: &Connection, then: i64, seq: i64) -> anyhow::Result<(u64, u64)> {
    let gone = c.execute("UPDATE rows SET died = ?2 WHERE died IS NULL AND born > ?1", params![then, seq])?;
    let names = schema::row_columns(c)?;
    // A row is never changed: one that comes again is born again.
    let added = c.execute(
        &format!(
            "INSERT INTO rows (granule, born, key{names}) SELECT granule, ?2, key{names} FROM rows
             WHERE born <= ?1 AND died > ?1 AND died < ?2 ORDER BY id"
        ),
        params![then, seq],
    )?;
    Ok((added as u64, gone as u64))
}

fn granules(c: &Connection, which: &str, seq: i64) -> anyhow::Result<Vec<Past>> {
    let mut q = c.prepare(&format!("SELECT name, sha256 FROM granules WHERE {which} ORDER BY id"))?;
    let past = q.query_map([seq], |r| Ok(Past { id: r.get(0)?, sha256: r.get(1)?, by: None }))?;
    Ok(past.collect::<Result<_, _>>()?)
}

/// Takes versions beyond `retention` out of the history, and deletes the rows that only those
/// showed whose grace is over. Blocks.
///
/// # Errors
/// No such table; another writer; a disk that cannot be written.
pub fn expire(
    root: &Path,
    id: &str,
    retention: Retention,
    grace: Duration,
    dry_run: bool,
) -> anyhow::Result<Expiry> {
    if !exists(root, id) {
        return Err(StoreError::NoCollection(id.to_owned()).into());
    }
    let mut writer = Writer::open(root, id)?;
    let table = Table::open(root, id)?.context("the table has no file")?;
    let now = i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_micros())?;
    let versions: Vec<Version> = table.versions()?;
    drop(table);
    let infos: Vec<VersionInfo> = versions.iter().cloned().map(VersionInfo::from).collect();
    let standing = retention.standing(&infos, now).min(versions.len());
    let (kept, beyond) = versions.split_at(standing);
    let mut out = Expiry {
        expired: beyond.iter().map(|v| v.id.clone()).collect(),
        standing: kept.len(),
        ..Expiry::default()
    };
    if dry_run {
        return Ok(out);
    }
    let c = &writer.conn;
    for v in beyond {
        c.execute("UPDATE versions SET expired_micros = ? WHERE seq = ?", params![now, v.seq])?;
    }
    let over = now.saturating_sub(i64::try_from(grace.as_micros()).unwrap_or(i64::MAX));
    let due = c.execute(
        "UPDATE versions SET gone = 1, facts = '{}' WHERE expired_micros <= ?1 AND gone IS NULL",
        [over],
    )?;
    let waiting: i64 = c.query_row(
        "SELECT count(*) FROM versions WHERE expired_micros IS NOT NULL AND gone IS NULL",
        [],
        |r| r.get(0),
    )?;
    out.waiting = usize::try_from(waiting)?;
    let file = path(root, id);
    let before = std::fs::metadata(&file).map_or(0, |m| m.len());
    if due > 0 {
        let oldest: i64 =
            c.query_row("SELECT min(seq) FROM versions WHERE gone IS NULL", [], |r| r.get(0))?;
        out.objects = c.execute("DELETE FROM rows WHERE died <= ?", [oldest])? as u64;
    }
    writer.end()?;
    if out.objects > 0 {
        // Readers at work put this off: the pages are used again by what is added.
        let _ = writer.conn.execute_batch("VACUUM");
        writer.fold();
        out.bytes = before.saturating_sub(std::fs::metadata(&file).map_or(before, |m| m.len()));
    }
    Ok(out)
}
