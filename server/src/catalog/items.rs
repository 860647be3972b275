//! Items: the STAC view of granules.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::tally::{Entry, Tally};
use super::{Catalog, Facts, micros_rfc3339, tally};
use crate::ingest::duplicates::Wanted;
use crate::search::{DATETIME, END, instants};
use crate::store::{Granule, Standing};

#[derive(Debug, Clone)]
pub struct Item {
    pub rowid: i64,
    pub collection: String,
    /// Unique in its collection; also the item's id in URLs.
    pub name: String,
    pub checksum: String,
    pub bytes: u64,
    pub source: String,
    pub version: String,
    pub published: String,
    pub start_time: Option<String>,
    pub end_time: Option<String>,
    /// First step and number of steps along the dimension that grows.
    pub steps: Option<(u64, u64)>,
    /// The item that took its place: it is a former revision.
    pub superseded_by: Option<String>,
    /// West, south, east, north; west is greater than east across the antimeridian.
    pub bbox: Option<[f64; 4]>,
    /// The granule as its version recorded it: notes, outcomes of the quality tests.
    pub record: serde_json::Value,
}

pub(super) const COLUMNS: &str = "i.rowid, i.name, i.checksum, i.bytes, i.source, i.version, i.published, i.start_time, \
                       i.end_time, i.west, i.south, i.east, i.north, i.first_step, i.end_step, i.superseded_by, i.record, i.collection";

pub(super) fn read(r: &Row<'_>) -> rusqlite::Result<Item> {
    let west: Option<f64> = r.get(9)?;
    let bbox = match west {
        Some(w) => Some([w, r.get(10)?, r.get(11)?, r.get(12)?]),
        None => None,
    };
    Ok(Item {
        rowid: r.get(0)?,
        collection: r.get(17)?,
        name: r.get(1)?,
        checksum: r.get(2)?,
        bytes: r.get::<_, i64>(3)?.max(0) as u64,
        source: r.get(4)?,
        version: r.get(5)?,
        published: r.get(6)?,
        start_time: r.get(7)?,
        end_time: r.get(8)?,
        steps: steps(r.get(13)?, r.get(14)?),
        superseded_by: r.get(15)?,
        bbox,
        record: r
            .get::<_, Option<String>>(16)?
            .and_then(|t| serde_json::from_str(&t).ok())
            .unwrap_or_default(),
    })
}

fn steps(first: Option<i64>, end: Option<i64>) -> Option<(u64, u64)> {
    let (first, end) = (u64::try_from(first?).ok()?, u64::try_from(end?).ok()?);
    Some((first, end.saturating_sub(first)))
}

/// Where the R*Tree has items without a place, which a search by time alone must find.
pub const NOWHERE: f64 = -1000.0;

/// Seconds of one unit of the R*Tree's third dimension: years should weigh as degrees do, or
/// the tree would be cut along time alone.
pub const SCALE_SECS: f64 = 1e6;

/// Items that are searched by time are found by how long they are: one that meets an instant
/// cannot begin earlier than its length before it. Lengths are kept as powers of two, of which
/// a catalog has a few.
fn reach(start: f64, end: f64) -> i64 {
    (0..MAX_REACH).find(|k| longest(*k) >= end - start).unwrap_or(MAX_REACH)
}

const MAX_REACH: i64 = 64;

/// Seconds that no item of a reach is longer than.
pub fn longest(reach: i64) -> f64 {
    if reach >= MAX_REACH { f64::MAX } else { 2f64.powi(reach as i32) }
}

/// The reaches that there are, of a collection's items or of all.
pub(super) fn reaches(c: &Connection, collection: Option<&str>) -> rusqlite::Result<Vec<i64>> {
    let of = if collection.is_some() { "collection = ?1" } else { "?1 IS NULL" };
    let least = |beyond: &str| format!("(SELECT min(reach) FROM items WHERE {of}{beyond})");
    // A look into the index for each, however many items it has.
    let sql = format!(
        "WITH RECURSIVE k(r) AS (SELECT {} UNION ALL SELECT {} FROM k WHERE r IS NOT NULL)
         SELECT r FROM k WHERE r IS NOT NULL",
        least(""),
        least(" AND reach > k.r")
    );
    let mut q = c.prepare_cached(&sql)?;
    let rows = q.query_map(params![collection], |r| r.get(0))?;
    rows.collect()
}

/// Removes all items of a collection.
pub(super) fn clear(conn: &Connection, collection: &str) -> rusqlite::Result<()> {
    conn.execute(
        "DELETE FROM items_bbox WHERE rowid IN (SELECT rowid FROM items WHERE collection = ?)",
        params![collection],
    )?;
    conn.execute("DELETE FROM items WHERE collection = ?", params![collection])?;
    conn.execute("DELETE FROM past_items WHERE collection = ?", params![collection])?;
    tally::clear(conn, collection)
}

pub(super) fn remove(
    conn: &Connection,
    tally: &mut Tally,
    collection: &str,
    id: &str,
) -> rusqlite::Result<()> {
    let Some((rowid, entry)) = entry(conn, collection, id)? else { return Ok(()) };
    tally.take(&entry);
    conn.prepare_cached("DELETE FROM items_bbox WHERE rowid = ?")?.execute(params![rowid])?;
    conn.prepare_cached("DELETE FROM items WHERE rowid = ?")?.execute(params![rowid])?;
    Ok(())
}

/// Row, time and place of an item.
fn entry(conn: &Connection, collection: &str, id: &str) -> rusqlite::Result<Option<(i64, Entry)>> {
    let mut q = conn.prepare_cached(&format!(
        "SELECT i.rowid, {DATETIME}, {END}, i.west, i.south, i.east, i.north FROM items i
         WHERE i.collection = ? AND i.name = ?"
    ))?;
    q.query_row(params![collection, id], |r| {
        let bbox = match r.get::<_, Option<f64>>(3)? {
            Some(w) => Some([w, r.get(4)?, r.get(5)?, r.get(6)?]),
            None => None,
        };
        Ok((r.get(0)?, Entry { start: r.get(1)?, end: r.get(2)?, bbox }))
    })
    .optional()
}

pub(super) fn supersede(
    conn: &Connection,
    collection: &str,
    id: &str,
    by: Option<&str>,
) -> rusqlite::Result<()> {
    conn.execute(
        "UPDATE items SET superseded_by = ? WHERE collection = ? AND name = ?",
        params![by, collection, id],
    )?;
    Ok(())
}

/// The granules that fit; each once.
pub(super) fn held(conn: &Connection, collection: &str, wanted: &Wanted) -> anyhow::Result<Vec<Standing>> {
    const FORM: &str = "SELECT record, version, published_micros, name FROM items WHERE collection = ?1 AND";
    let mut found: BTreeMap<String, Standing> = BTreeMap::new();
    let mut take = |condition: &str, values: &[&dyn rusqlite::ToSql]| -> anyhow::Result<()> {
        let mut q = conn.prepare_cached(&format!("{FORM} {condition}"))?;
        let mut rows = q.query(values)?;
        while let Some(r) = rows.next()? {
            let granule = serde_json::from_str(&r.get::<_, String>(0)?)?;
            let mut standing = Standing { version: r.get(1)?, time_micros: r.get(2)?, granule };
            let id: String = r.get(3)?;
            standing.granule.superseded_by = conn
                .prepare_cached("SELECT superseded_by FROM items WHERE collection = ? AND name = ?")?
                .query_row(params![collection, id], |r| r.get(0))?;
            found.insert(id, standing);
        }
        Ok(())
    };
    for sum in &wanted.sha256 {
        take("checksum = ?2", &[&collection, sum])?;
    }
    for id in &wanted.ids {
        take("name = ?2", &[&collection, id])?;
    }
    for url in &wanted.urls {
        take("json_extract(record, '$.origin.url') = ?2", &[&collection, url])?;
    }
    for steps in &wanted.steps {
        let (from, to) = (i64::try_from(steps.start)?, i64::try_from(steps.end)?);
        take("first_step < ?3 AND end_step > ?2", &[&collection, &from, &to])?;
    }
    Ok(found.into_values().collect())
}

/// Enters an item, or another in its place; its counts are in `tally`.
pub(super) fn put(
    conn: &Connection,
    tally: &mut Tally,
    collection: &str,
    version: &str,
    granule: &Granule,
    published_micros: i64,
    facts: &Facts,
) -> anyhow::Result<()> {
    let published = micros_rfc3339(published_micros);
    let own = granule.time.as_ref().map(|t| (&t.start, &t.end, t.start_secs, t.end_secs));
    let time = own.or(facts.time.as_ref().map(|t| (&t.start, &t.end, t.start_secs, t.end_secs)));
    // What people read is what they search by, whatever calendar its seconds were counted in.
    let secs = time.map(|(a, b, from, to)| {
        let (from, to) = (instants::instant(a).unwrap_or(from), instants::instant(b).unwrap_or(to));
        (from, to.max(from))
    });
    let at = published_micros as f64 / 1e6;
    let (start, end) = secs.unwrap_or((at, at));
    if let Some((_, former)) = entry(conn, collection, granule.id())? {
        tally.take(&former);
    }
    tally.add(&Entry { start, end, bbox: facts.bbox });
    let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let mut insert = conn.prepare_cached(
        "INSERT INTO items (collection, name, checksum, bytes, source, version, published, start_time, end_time,
                            start_secs, end_secs, west, south, east, north, first_step, end_step, superseded_by,
                            record, published_micros, reach)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)
         ON CONFLICT (collection, name) DO UPDATE SET checksum = ?3, bytes = ?4, source = ?5, version = ?6,
            published = ?7, start_time = ?8, end_time = ?9, start_secs = ?10, end_secs = ?11,
            west = ?12, south = ?13, east = ?14, north = ?15, first_step = ?16, end_step = ?17,
            superseded_by = ?18, record = ?19, published_micros = ?20, reach = ?21
         RETURNING rowid",
    )?;
    let rowid: i64 = insert.query_row(
        params![
            collection,
            granule.id(),
            granule.sha256,
            whole(granule.bytes),
            granule.source,
            version,
            published,
            time.map(|t| t.0),
            time.map(|t| t.1),
            secs.map(|t| t.0),
            secs.map(|t| t.1),
            facts.bbox.map(|b| b[0]),
            facts.bbox.map(|b| b[1]),
            facts.bbox.map(|b| b[2]),
            facts.bbox.map(|b| b[3]),
            granule.steps.map(|s| whole(s.0)),
            granule.steps.map(|s| whole(s.0.saturating_add(s.1))),
            granule.superseded_by,
            serde_json::to_string(granule)?,
            published_micros,
            reach(start, end)
        ],
        |r| r.get(0),
    )?;
    conn.prepare_cached("DELETE FROM items_bbox WHERE rowid = ?")?.execute(params![rowid])?;
    // An R*Tree box may not be inside out: across the antimeridian it is the whole belt.
    let [west, south, east, north] = match facts.bbox {
        Some([west, south, east, north]) if west > east => [-180.0, south, 180.0, north],
        Some(whole) => whole,
        None => [NOWHERE; 4],
    };
    conn.prepare_cached(
        "INSERT INTO items_bbox (rowid, west, east, south, north, start, end) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![rowid, west, east, south, north, start / SCALE_SECS, end / SCALE_SECS])?;
    Ok(())
}

impl Catalog {
    /// # Errors
    /// The catalog cannot be read.
    pub fn item(&self, collection: &str, name: &str) -> anyhow::Result<Option<Item>> {
        self.with(|c| {
            let mut q = c.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM items i WHERE i.collection = ?1 AND i.name = ?2"
            ))?;
            let mut rows = q.query_map(params![collection, name], read)?;
            Ok(rows.next().transpose()?)
        })
    }
}
