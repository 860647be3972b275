//! The tables inside a table's file, and how a granule's columns meet those stored.

use anyhow::Context;
use graticule_formats::table::{Column as Read, Kind, Role, TableHeader};
use rusqlite::{Connection, params};

use super::{Column, role_name};

/// Columns of `rows` are `c0`, `c1`, … without a declared type: SQLite then keeps each value as
/// it is given, and names that differ only in case (`MM`, `mm`) do not clash.
const TABLES: &str = "
CREATE TABLE versions (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time_micros INTEGER NOT NULL, message TEXT NOT NULL,
  rows INTEGER NOT NULL, added INTEGER NOT NULL, removed INTEGER NOT NULL, facts TEXT NOT NULL,
  change TEXT, expired_micros INTEGER, gone INTEGER) STRICT;
CREATE TABLE granules (
  id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, name TEXT NOT NULL, sha256 TEXT NOT NULL,
  bytes INTEGER NOT NULL, source TEXT NOT NULL, rows INTEGER NOT NULL, faults INTEGER NOT NULL,
  notes TEXT NOT NULL, gone INTEGER) STRICT;
CREATE INDEX granules_sha256 ON granules (sha256);
CREATE TABLE columns (
  position INTEGER NOT NULL, seq INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, units TEXT,
  role TEXT, description TEXT, is_key INTEGER NOT NULL, PRIMARY KEY (position, seq)) STRICT;
";

/// Brings the tables of a file that was made before versions could expire or be gone back to.
pub(super) fn upgrade(conn: &Connection) -> anyhow::Result<()> {
    let has = |table: &str| -> rusqlite::Result<bool> {
        conn.prepare("SELECT 1 FROM pragma_table_info(?) WHERE name = 'gone'")?.exists([table])
    };
    if !has("versions")? {
        conn.execute_batch(
            "ALTER TABLE versions ADD COLUMN change TEXT;
             ALTER TABLE versions ADD COLUMN expired_micros INTEGER;
             ALTER TABLE versions ADD COLUMN gone INTEGER;",
        )?;
    }
    if !has("granules")? {
        conn.execute_batch("ALTER TABLE granules ADD COLUMN gone INTEGER")?;
    }
    Ok(())
}

/// Lets the columns of version `seq` be what they were in version `then`.
pub(super) fn as_of(conn: &Connection, then: i64, seq: i64) -> anyhow::Result<()> {
    let keys = key(conn)?;
    let now = columns(conn, seq)?;
    for (position, (was, is)) in columns(conn, then)?.iter().zip(&now).enumerate() {
        if was.kind != is.kind {
            put(conn, position, seq, was, keys.contains(&position))?;
        }
    }
    Ok(())
}

/// The columns of `rows` that hold values, each after a comma.
pub(super) fn row_columns(conn: &Connection) -> anyhow::Result<String> {
    let n: i64 = conn.query_row("SELECT count(DISTINCT position) FROM columns", [], |r| r.get(0))?;
    Ok((0..n).map(|i| format!(", c{i}")).collect())
}

/// Makes the file's tables for the columns of its first granule.
pub(super) fn create(conn: &Connection, header: &TableHeader, with_key: bool) -> anyhow::Result<()> {
    conn.execute_batch(TABLES)?;
    let columns: String = (0..header.columns.len()).map(|i| format!(", c{i}")).collect();
    conn.execute_batch(&format!(
        "CREATE TABLE rows (id INTEGER PRIMARY KEY, granule INTEGER NOT NULL, born INTEGER NOT NULL, died INTEGER,
           key TEXT{columns});
         CREATE INDEX rows_key ON rows (key) WHERE key IS NOT NULL;"
    ))?;
    for (position, c) in header.columns.iter().enumerate() {
        let column = Column {
            name: c.name.clone(),
            kind: c.kind,
            units: c.units.clone(),
            role: c.role,
            description: c.description.clone(),
        };
        put(conn, position, 1, &column, with_key && header.key.contains(&position))?;
    }
    for role in [Role::Time, Role::Latitude] {
        if let Some(i) = header.with_role(role) {
            conn.execute_batch(&format!("CREATE INDEX rows_{} ON rows (c{i})", role_name(role)))?;
        }
    }
    Ok(())
}

fn put(conn: &Connection, position: usize, seq: i64, c: &Column, is_key: bool) -> anyhow::Result<()> {
    conn.execute(
        "INSERT INTO columns (position, seq, name, kind, units, role, description, is_key)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (position, seq) DO UPDATE SET kind = excluded.kind",
        params![
            i64::try_from(position)?,
            seq,
            c.name,
            c.kind.name(),
            c.units,
            c.role.map(role_name),
            c.description,
            is_key
        ],
    )?;
    Ok(())
}

/// The columns as version `seq` has them.
pub(super) fn columns(conn: &Connection, seq: i64) -> anyhow::Result<Vec<Column>> {
    let mut q = conn.prepare(
        "SELECT name, kind, units, role, description FROM columns c
         WHERE seq = (SELECT max(seq) FROM columns d WHERE d.position = c.position AND d.seq <= ?)
         ORDER BY position",
    )?;
    let rows = q.query_map([seq], |r| {
        Ok((r.get::<_, String>(1)?, r.get::<_, Option<String>>(3)?, r.get(0)?, r.get(2)?, r.get(4)?))
    })?;
    rows.map(|row| {
        let (kind, role, name, units, description) = row?;
        let kind = Kind::from_name(&kind).with_context(|| format!("a column of unknown kind {kind:?}"))?;
        let role = [Role::Latitude, Role::Longitude, Role::Time]
            .into_iter()
            .find(|r| role.as_deref() == Some(role_name(*r)));
        Ok(Column { name, kind, units, role, description })
    })
    .collect()
}

/// Positions of the columns that name a row.
pub(super) fn key(conn: &Connection) -> anyhow::Result<Vec<usize>> {
    let mut q = conn.prepare("SELECT DISTINCT position FROM columns WHERE is_key = 1 ORDER BY position")?;
    let rows = q.query_map([], |r| r.get::<_, i64>(0))?;
    rows.map(|p| Ok(usize::try_from(p?)?)).collect()
}

/// Widens the stored columns to what the granule needs, and returns the kinds that its rows are
/// to be read as; `Ok(Err)` is why the granule does not fit.
pub(super) fn meet(
    conn: &Connection,
    seq: i64,
    header: &TableHeader,
) -> anyhow::Result<Result<Vec<Kind>, String>> {
    let stored = columns(conn, seq)?;
    if let Some(why) = names_differ(&stored, &header.columns) {
        return Ok(Err(why));
    }
    let keys = key(conn)?;
    let mut kinds = Vec::new();
    for (position, (have, read)) in stored.iter().zip(&header.columns).enumerate() {
        if have.units != read.units {
            return Ok(Err(format!(
                "column {:?}: expected units {}, found {}",
                have.name,
                said(have.units.as_deref()),
                said(read.units.as_deref())
            )));
        }
        if read.kind.widens_to(have.kind) {
            kinds.push(have.kind);
            continue;
        }
        let stored_fits = match (have.kind, read.kind) {
            (Kind::Empty, _) => true,
            (Kind::Int64, Kind::Float64) => {
                // Whole numbers up to 2^53 are floats too.
                let largest: Option<f64> =
                    conn.query_row(&format!("SELECT max(abs(c{position})) FROM rows"), [], |r| r.get(0))?;
                largest.is_none_or(|n| n <= 9_007_199_254_740_992.0)
            }
            _ => false,
        };
        if !stored_fits {
            return Ok(Err(misfit(have, read)));
        }
        put(conn, position, seq, &Column { kind: read.kind, ..have.clone() }, keys.contains(&position))?;
        kinds.push(read.kind);
    }
    Ok(Ok(kinds))
}

fn said(units: Option<&str>) -> String {
    units.map_or_else(|| "none".to_owned(), |u| format!("{u:?}"))
}

fn names_differ(stored: &[Column], read: &[Read]) -> Option<String> {
    let first = stored.iter().zip(read).find(|(s, r)| s.name != r.name);
    if let Some((s, r)) = first {
        return Some(format!("expected column {:?}, found {:?}", s.name, r.name));
    }
    match (stored.get(read.len()), read.get(stored.len())) {
        (Some(missing), _) => {
            Some(format!("expected column {:?} after the others, found none", missing.name))
        }
        (_, Some(extra)) => {
            Some(format!("expected {} columns, found {:?} after them", stored.len(), extra.name))
        }
        _ => None,
    }
}

fn misfit(have: &Column, read: &Read) -> String {
    let place = match have.kind {
        Kind::Int64 => read.first_not_integer.as_ref(),
        _ => read.first_not_number.as_ref(),
    };
    let line = place.map_or_else(String::new, |(line, text)| format!(", at line {line}: {text}"));
    format!("column {:?}: expected {}, found {}{line}", have.name, have.kind.name(), read.kind.name())
}
