//! Items: the STAC view of granules.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};

use super::{Catalog, Facts, micros_rfc3339};
use crate::ingest::duplicates::Wanted;
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

/// Removes all items of a collection.
pub(super) fn clear(conn: &Connection, collection: &str) -> rusqlite::Result<()> {
    conn.execute(
        "DELETE FROM items_bbox WHERE rowid IN (SELECT rowid FROM items WHERE collection = ?)",
        params![collection],
    )?;
    conn.execute("DELETE FROM items WHERE collection = ?", params![collection])?;
    Ok(())
}

pub(super) fn remove(conn: &Connection, collection: &str, id: &str) -> rusqlite::Result<()> {
    conn.execute(
        "DELETE FROM items_bbox WHERE rowid = (SELECT rowid FROM items WHERE collection = ? AND name = ?)",
        params![collection, id],
    )?;
    conn.execute("DELETE FROM items WHERE collection = ? AND name = ?", params![collection, id])?;
    Ok(())
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

pub(super) fn put(
    conn: &Connection,
    collection: &str,
    version: &str,
    granule: &Granule,
    published_micros: i64,
    facts: &Facts,
) -> anyhow::Result<()> {
    let published = micros_rfc3339(published_micros);
    let own = granule.time.as_ref().map(|t| (&t.start, &t.end, t.start_secs, t.end_secs));
    let time = own.or(facts.time.as_ref().map(|t| (&t.start, &t.end, t.start_secs, t.end_secs)));
    let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let rowid: i64 = conn.query_row(
        "INSERT INTO items (collection, name, checksum, bytes, source, version, published, start_time, end_time,
                            start_secs, end_secs, west, south, east, north, first_step, end_step, superseded_by,
                            record, published_micros)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
         ON CONFLICT (collection, name) DO UPDATE SET checksum = ?3, bytes = ?4, source = ?5, version = ?6,
            published = ?7, start_time = ?8, end_time = ?9, start_secs = ?10, end_secs = ?11,
            west = ?12, south = ?13, east = ?14, north = ?15, first_step = ?16, end_step = ?17,
            superseded_by = ?18, record = ?19, published_micros = ?20
         RETURNING rowid",
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
            time.map(|t| t.2),
            time.map(|t| t.3),
            facts.bbox.map(|b| b[0]),
            facts.bbox.map(|b| b[1]),
            facts.bbox.map(|b| b[2]),
            facts.bbox.map(|b| b[3]),
            granule.steps.map(|s| whole(s.0)),
            granule.steps.map(|s| whole(s.0.saturating_add(s.1))),
            granule.superseded_by,
            serde_json::to_string(granule)?,
            published_micros
        ],
        |r| r.get(0),
    )?;
    conn.execute("DELETE FROM items_bbox WHERE rowid = ?", params![rowid])?;
    // An R*Tree box may not be inside out: across the antimeridian it is the whole belt.
    let [west, south, east, north] = match facts.bbox {
        Some([west, south, east, north]) if west > east => [-180.0, south, 180.0, north],
        Some(whole) => whole,
        None => [NOWHERE; 4],
    };
    let at = published_micros as f64 / 1e6;
    let (start, end) = time.map_or((at, at), |t| (t.2, t.3));
    conn.execute(
        "INSERT INTO items_bbox (rowid, west, east, south, north, start, end) VALUES (?, ?, ?, ?, ?, ?, ?)",
        params![rowid, west, east, south, north, start / SCALE_SECS, end / SCALE_SECS],
    )?;
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
