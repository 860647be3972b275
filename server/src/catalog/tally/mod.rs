//! How many items there are in each year, month, day and region, and how far they reach.
//!
//! Browsing a million items must not look at a million. So the catalog keeps a row for each
//! period and region that has items, and whatever enters, replaces or removes items writes it
//! in the same transaction: a [`Tally`] collects what changes and [`Tally::settle`] writes each
//! row once. Counts are added to; an extent can only grow that way, so where an item goes that
//! reached the edge, the items that remain are looked at until one is found that does too.

pub mod cell;
pub mod period;
pub mod read;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::items::NOWHERE;
use crate::search::{DATETIME, END};
use period::Period;

pub const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS tallies (
  collection TEXT NOT NULL, node TEXT NOT NULL, kind INTEGER NOT NULL, count INTEGER NOT NULL,
  start REAL, end REAL, west REAL, east REAL, south REAL, north REAL,
  PRIMARY KEY (collection, node, kind)) STRICT, WITHOUT ROWID;
";

/// In which way a node has an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// It has a part of it, and not all of what the node above has was met.
    Meets = 0,
    /// Every part of the node is met; its parts say nothing of the item.
    Whole = 1,
    /// Its first instant lies there; said of days alone.
    Begins = 2,
}

/// When and where an item is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// Seconds since 1970.
    pub start: f64,
    pub end: f64,
    /// West, south, east, north; west is greater than east across the antimeridian.
    pub bbox: Option<[f64; 4]>,
}

/// First and last instant and outermost sides, the last of each pair negated: what joins two is
/// the lesser of each. Longitudes run on past the antimeridian.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span([f64; 6]);

impl Span {
    const NOTHING: Self = Self([f64::INFINITY; 6]);

    fn of(e: &Entry) -> Self {
        let [w, x, s, n] = match e.bbox {
            Some([w, s, e, n]) => [w, if w > e { -(e + 360.0) } else { -e }, s, -n],
            None => [f64::INFINITY; 4],
        };
        Self([e.start, -e.end, w, x, s, n])
    }

    fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a = a.min(b));
    }

    /// Seconds since 1970, if there is an item at all.
    pub fn time(&self) -> Option<(f64, f64)> {
        let [start, end, ..] = self.0;
        start.is_finite().then_some((start, -end))
    }

    /// West, south, east, north; west is greater than east across the antimeridian.
    pub fn bbox(&self) -> Option<[f64; 4]> {
        let [_, _, west, east, south, north] = self.0;
        if !west.is_finite() {
            return None;
        }
        let east = -east;
        let (west, east) = match () {
            () if east - west >= 360.0 => (-180.0, 180.0),
            () if east > 180.0 => (west, east - 360.0),
            () => (west, east),
        };
        Some([west, south, east, -north])
    }

    fn read(r: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let mut out = Self::NOTHING;
        for (i, side) in out.0.iter_mut().enumerate() {
            *side = r.get::<_, Option<f64>>(first + i)?.unwrap_or(f64::INFINITY);
        }
        Ok(out)
    }

    /// As stored: nothing is NULL.
    fn sides(&self) -> [Option<f64>; 6] {
        self.0.map(|v| v.is_finite().then_some(v))
    }
}

/// From first and last instant, west, south, east and north.
fn entry(r: &Row<'_>) -> rusqlite::Result<Entry> {
    let bbox = match r.get::<_, Option<f64>>(2)? {
        Some(w) => Some([w, r.get(3)?, r.get(4)?, r.get(5)?]),
        None => None,
    };
    Ok(Entry { start: r.get(0)?, end: r.get(1)?, bbox })
}

fn nodes(e: &Entry, mut push: impl FnMut(String, Kind)) {
    period::nodes(e.start, e.end, &mut push);
    cell::nodes(e.bbox, &mut push);
}

#[derive(Debug)]
struct Change {
    by: i64,
    /// Everything that was added.
    added: Span,
    /// What of it nothing that went afterwards can have been.
    sure: Span,
    /// Everything that went.
    gone: Span,
}

/// What changes of a collection's counts in one transaction.
#[derive(Debug)]
#[must_use = "counts that are not settled are wrong"]
pub struct Tally {
    collection: String,
    changes: HashMap<(String, Kind), Change>,
}

const SPAN: &str = "start, end, west, east, south, north";

impl Tally {
    pub fn of(collection: &str) -> Self {
        Self { collection: collection.to_owned(), changes: HashMap::new() }
    }

    fn each(&mut self, e: &Entry, mut change: impl FnMut(&mut Change)) {
        nodes(e, |node, kind| {
            let nothing = || Change { by: 0, added: Span::NOTHING, sure: Span::NOTHING, gone: Span::NOTHING };
            change(self.changes.entry((node, kind)).or_insert_with(nothing));
        });
    }

    pub fn add(&mut self, e: &Entry) {
        let span = Span::of(e);
        self.each(e, |c| {
            c.by += 1;
            c.added.join(&span);
            c.sure.join(&span);
        });
    }

    pub fn take(&mut self, e: &Entry) {
        let span = Span::of(e);
        self.each(e, |c| {
            c.by -= 1;
            c.gone.join(&span);
            // The one that reached so far may have been this one.
            for (sure, gone) in c.sure.0.iter_mut().zip(span.0) {
                if gone <= *sure {
                    *sure = f64::INFINITY;
                }
            }
        });
    }

    /// Writes what changed; the items must have been written.
    pub fn settle(self, c: &Connection) -> rusqlite::Result<()> {
        let mut changes: Vec<((String, Kind), Change)> = self.changes.into_iter().collect();
        // The parts of a node before the node.
        changes.sort_unstable_by(|((a, k), _), ((b, l), _)| (b.len(), l, a).cmp(&(a.len(), k, b)));
        for ((node, kind), change) in changes {
            settle(c, &self.collection, &node, kind, &change)?;
        }
        Ok(())
    }
}

/// The first count that is not what a look at every item gives, in words; for checks.
///
/// # Errors
/// The catalog cannot be read.
pub fn difference(c: &Connection, collection: &str) -> rusqlite::Result<Option<String>> {
    let mut counted = Tally::of(collection);
    let mut q = c.prepare(&format!(
        "SELECT {DATETIME}, {END}, i.west, i.south, i.east, i.north FROM items i WHERE i.collection = ?"
    ))?;
    let mut rows = q.query([collection])?;
    while let Some(r) = rows.next()? {
        counted.add(&entry(r)?);
    }
    let mut q = c.prepare(&format!("SELECT node, kind, count, {SPAN} FROM tallies WHERE collection = ?"))?;
    let mut rows = q.query([collection])?;
    while let Some(r) = rows.next()? {
        let (node, kind, count): (String, i64, i64) = (r.get(0)?, r.get(1)?, r.get(2)?);
        let known = [Kind::Meets, Kind::Whole, Kind::Begins].into_iter().find(|k| *k as i64 == kind);
        let found = known.and_then(|k| counted.changes.remove(&(node.clone(), k)).map(|c| (k, c)));
        match found {
            Some((k, f)) if f.by == count && (k == Kind::Begins || f.added == Span::read(r, 3)?) => {}
            Some((_, f)) if f.by == count => {
                return Ok(Some(format!("{node}: another extent than its items")));
            }
            found => {
                let items = found.map_or(0, |(_, f)| f.by);
                return Ok(Some(format!("{node}: a count of {count}, where there are {items} items")));
            }
        }
    }
    let missing = counted.changes.into_iter().map(|((node, _), f)| (node, f.by)).min();
    Ok(missing.map(|(node, n)| format!("{node}: no count, where there are {n} items")))
}

/// Forgets a collection.
pub fn clear(c: &Connection, collection: &str) -> rusqlite::Result<()> {
    c.execute("DELETE FROM tallies WHERE collection = ?", params![collection])?;
    Ok(())
}

fn settle(c: &Connection, collection: &str, node: &str, kind: Kind, change: &Change) -> rusqlite::Result<()> {
    let key = params![collection, node, kind as i64];
    let stored = c
        .prepare_cached(&format!(
            "SELECT count, {SPAN} FROM tallies WHERE collection = ? AND node = ? AND kind = ?"
        ))?
        .query_row(key, |r| Ok((r.get::<_, i64>(0)?, Span::read(r, 1)?)))
        .optional()?;
    let (count, mut span) = stored.unwrap_or((0, Span::NOTHING));
    let count = count + change.by;
    if count <= 0 {
        c.prepare_cached("DELETE FROM tallies WHERE collection = ? AND node = ? AND kind = ?")?
            .execute(key)?;
        return Ok(());
    }
    if kind == Kind::Begins {
        span = Span::NOTHING;
    } else {
        span.join(&change.added);
        let mut loose = [false; 6];
        for (i, l) in loose.iter_mut().enumerate() {
            *l =
                change.gone.0[i].is_finite() && change.gone.0[i] <= span.0[i] && change.sure.0[i] > span.0[i];
        }
        if loose.contains(&true) {
            span = look(c, collection, node, kind, span, loose)?;
        }
    }
    let [start, end, west, east, south, north] = span.sides();
    c.prepare_cached(&format!(
        "INSERT INTO tallies (collection, node, kind, count, {SPAN}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (collection, node, kind) DO UPDATE SET count = ?4, start = ?5, end = ?6, west = ?7, east = ?8,
           south = ?9, north = ?10"
    ))?
    .execute(params![collection, node, kind as i64, count, start, end, west, east, south, north])?;
    Ok(())
}

/// The extent of what a node still has; `widest` is as far as it can reach, and `loose` which
/// sides may be nearer.
fn look(
    c: &Connection,
    collection: &str,
    node: &str,
    kind: Kind,
    widest: Span,
    loose: [bool; 6],
) -> rusqlite::Result<Span> {
    if kind == Kind::Meets
        && let Some(found) = of_parts(c, collection, node)?
    {
        return Ok(found);
    }
    let mut found = Span::NOTHING;
    let mut take = |r: &Row<'_>| -> rusqlite::Result<bool> {
        let e = entry(r)?;
        let mut has = false;
        nodes(&e, |n, k| has |= k == kind && n == node);
        if has {
            found.join(&Span::of(&e));
        }
        // What every side has been reached by again reaches as far as before.
        Ok((0..6).all(|i| !loose[i] || found.0[i] <= widest.0[i]))
    };
    let columns = format!("{DATETIME}, {END}, i.west, i.south, i.east, i.north");
    let within = Period::of_node(node).and_then(Period::secs);
    if let Some((from, to)) = within {
        let mut q = c.prepare_cached(&format!(
            "SELECT {columns} FROM items i WHERE i.collection = ?1 AND i.reach = ?2
               AND {DATETIME} BETWEEN ?3 AND ?5 AND {END} >= ?4"
        ))?;
        for reach in super::items::reaches(c, Some(collection))? {
            let mut rows =
                q.query(params![collection, reach, from - super::items::longest(reach), from, to])?;
            while let Some(r) = rows.next()? {
                if take(r)? {
                    return Ok(narrowed(widest, found, loose));
                }
            }
        }
    } else {
        let cell = node.strip_prefix(cell::WORLD).filter(|h| !h.is_empty()).and_then(cell::bounds);
        let [w, s, e, n] = match (cell, node) {
            (Some(b), _) => b,
            (None, cell::NOWHERE) => [NOWHERE; 4],
            (None, _) => [-f64::MAX, -f64::MAX, f64::MAX, f64::MAX],
        };
        let mut q = c.prepare_cached(&format!(
            "SELECT {columns} FROM items i WHERE +i.collection = ?1 AND i.rowid IN
               (SELECT rowid FROM items_bbox WHERE west <= ?4 AND east >= ?2 AND south <= ?5 AND north >= ?3)"
        ))?;
        let mut rows = q.query(params![collection, w, s, e, n])?;
        while let Some(r) = rows.next()? {
            if take(r)? {
                return Ok(narrowed(widest, found, loose));
            }
        }
    }
    Ok(narrowed(widest, found, loose))
}

fn narrowed(widest: Span, found: Span, loose: [bool; 6]) -> Span {
    let mut out = widest;
    for (i, side) in out.0.iter_mut().enumerate() {
        if loose[i] {
            *side = found.0[i];
        }
    }
    out
}

/// The extent of a node of which its parts say everything; `None` of one that has no parts.
fn of_parts(c: &Connection, collection: &str, node: &str) -> rusqlite::Result<Option<Span>> {
    // Digits, letters and the hyphen come before the tilde.
    let (prefix, length) = match (node.strip_prefix(period::ALL), node.strip_prefix(cell::WORLD)) {
        _ if matches!(node, period::UNDATED | cell::NOWHERE) => return Ok(None),
        (Some(""), _) => (node.to_owned(), node.len() + 4),
        (Some(p), _) if p.len() < 10 => (format!("{node}-"), node.len() + 3),
        (_, Some(h)) if h.len() < cell::FINEST => (node.to_owned(), node.len() + 1),
        _ => return Ok(None),
    };
    let mut q = c.prepare_cached(&format!(
        "SELECT {SPAN} FROM tallies WHERE collection = ?1 AND kind = {meets}
           AND node > ?2 AND node < ?2 || '~' AND length(node) = ?3
         UNION ALL SELECT {SPAN} FROM tallies WHERE collection = ?1 AND kind = {whole} AND node = ?4",
        meets = Kind::Meets as i64,
        whole = Kind::Whole as i64
    ))?;
    let mut rows = q.query(params![collection, prefix, length as i64, node])?;
    let mut span = Span::NOTHING;
    while let Some(r) = rows.next()? {
        span.join(&Span::read(r, 0)?);
    }
    Ok(Some(span))
}
