//! Items: the STAC view of granules.

use rusqlite::{Connection, Row, params};

use super::{Catalog, Facts};
use crate::store::Granule;

#[derive(Debug, Clone)]
pub struct Item {
    pub rowid: i64,
    /// Unique in its collection; also the item's id in URLs.
    pub name: String,
    pub checksum: String,
    pub bytes: u64,
    pub source: String,
    pub version: String,
    pub published: String,
    pub start_time: Option<String>,
    pub end_time: Option<String>,
    /// West, south, east, north; west is greater than east across the antimeridian.
    pub bbox: Option<[f64; 4]>,
}

/// Which items to list.
#[derive(Debug, Clone, Default)]
pub struct ItemQuery {
    pub bbox: Option<[f64; 4]>,
    /// Seconds since 1970; either side may be open.
    pub time: Option<(f64, f64)>,
    /// Only items after this one.
    pub after: i64,
    pub limit: u32,
}

const COLUMNS: &str = "i.rowid, i.name, i.checksum, i.bytes, i.source, i.version, i.published, i.start_time, \
                       i.end_time, i.west, i.south, i.east, i.north";

fn read(r: &Row<'_>) -> rusqlite::Result<Item> {
    let west: Option<f64> = r.get(9)?;
    let bbox = match west {
        Some(w) => Some([w, r.get(10)?, r.get(11)?, r.get(12)?]),
        None => None,
    };
    Ok(Item {
        rowid: r.get(0)?,
        name: r.get(1)?,
        checksum: r.get(2)?,
        bytes: r.get::<_, i64>(3)?.max(0) as u64,
        source: r.get(4)?,
        version: r.get(5)?,
        published: r.get(6)?,
        start_time: r.get(7)?,
        end_time: r.get(8)?,
        bbox,
    })
}

pub(super) fn put(
    conn: &Connection,
    collection: &str,
    version: &str,
    granule: &Granule,
    published: &str,
    facts: &Facts,
) -> anyhow::Result<()> {
    let (start, end) = facts.time.as_ref().map_or((None, None), |t| (Some(&t.start), Some(&t.end)));
    let (from, to) = facts.time.as_ref().map_or((None, None), |t| (Some(t.start_secs), Some(t.end_secs)));
    let rowid: i64 = conn.query_row(
        "INSERT INTO items (collection, name, checksum, bytes, source, version, published, start_time, end_time,
                            start_secs, end_secs, west, south, east, north)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
         ON CONFLICT (collection, name) DO UPDATE SET checksum = ?3, bytes = ?4, source = ?5, version = ?6,
            published = ?7, start_time = ?8, end_time = ?9, start_secs = ?10, end_secs = ?11,
            west = ?12, south = ?13, east = ?14, north = ?15
         RETURNING rowid",
        params![
            collection,
            granule.name,
            granule.sha256,
            i64::try_from(granule.bytes).unwrap_or(i64::MAX),
            granule.source,
            version,
            published,
            start,
            end,
            from,
            to,
            facts.bbox.map(|b| b[0]),
            facts.bbox.map(|b| b[1]),
            facts.bbox.map(|b| b[2]),
            facts.bbox.map(|b| b[3])
        ],
        |r| r.get(0),
    )?;
    conn.execute("DELETE FROM items_bbox WHERE rowid = ?", params![rowid])?;
    if let Some([west, south, east, north]) = facts.bbox {
        // An R*Tree box may not be inside out: across the antimeridian it is the whole belt.
        let (west, east) = if west > east { (-180.0, 180.0) } else { (west, east) };
        conn.execute(
            "INSERT INTO items_bbox (rowid, west, east, south, north) VALUES (?, ?, ?, ?, ?)",
            params![rowid, west, east, south, north],
        )?;
    }
    Ok(())
}

impl Catalog {
    /// One more than `query.limit`, where there are as many, so that the caller knows of a next page; blocks.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn items(&self, collection: &str, query: &ItemQuery) -> anyhow::Result<Vec<Item>> {
        let [west, south, east, north] = query.bbox.unwrap_or([f64::NEG_INFINITY; 4]);
        let (from, to) = query.time.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        self.with(|c| {
            let mut q = c.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM items i LEFT JOIN items_bbox b ON b.rowid = i.rowid
                 WHERE i.collection = ?1 AND i.rowid > ?2
                 AND (?3 OR (b.west <= ?6 AND b.east >= ?4 AND b.south <= ?7 AND b.north >= ?5)
                         OR (?4 > ?6 AND (b.west <= ?6 OR b.east >= ?4) AND b.south <= ?7 AND b.north >= ?5))
                 AND (?8 OR (i.start_secs <= ?10 AND i.end_secs >= ?9))
                 ORDER BY i.rowid LIMIT ?11"
            ))?;
            let rows = q.query_map(
                params![
                    collection,
                    query.after,
                    query.bbox.is_none(),
                    west,
                    south,
                    east,
                    north,
                    query.time.is_none(),
                    from,
                    to,
                    query.limit.saturating_add(1)
                ],
                read,
            )?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

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
