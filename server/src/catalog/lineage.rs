//! What came of a source: the items that were made from it, also those that no version has any
//! more.
//!
//! An item names its source; this is the way back. Items that stand are found among the items;
//! of one that another took the place of, or that went with a rollback, a row stays here.

use rusqlite::{Connection, Row, params};

use super::items::{COLUMNS, Item, read};
use super::{Catalog, micros_rfc3339};
use crate::store::{Ending, Former, Granule, Past, VersionInfo};

pub const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS past_items (
  rowid INTEGER PRIMARY KEY, collection TEXT NOT NULL, item TEXT NOT NULL, file TEXT NOT NULL,
  checksum TEXT NOT NULL, bytes INTEGER NOT NULL, source TEXT NOT NULL, version TEXT NOT NULL,
  published TEXT NOT NULL, ending TEXT NOT NULL, until TEXT NOT NULL, until_time TEXT NOT NULL,
  successor TEXT) STRICT;
CREATE INDEX IF NOT EXISTS past_items_by_collection ON past_items (collection);
CREATE INDEX IF NOT EXISTS past_items_by_checksum ON past_items (checksum);
CREATE INDEX IF NOT EXISTS past_items_by_file ON past_items (file);
CREATE INDEX IF NOT EXISTS past_items_by_source ON past_items (source);
";

/// How a source is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// SHA-256 in hexadecimal.
    Checksum(String),
    Address(String),
    File(String),
}

impl Named {
    /// `sha256:…`, an address, or the name of a file.
    ///
    /// # Errors
    /// What is none of them.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let expected = "expected the name of a file, its address, or sha256: and 64 hexadecimal digits";
        if let Some(sum) = text.strip_prefix("sha256:") {
            let digits = sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit());
            return if digits { Ok(Self::Checksum(sum.to_ascii_lowercase())) } else { Err(expected) };
        }
        match text {
            "" => Err(expected),
            t if t.contains("://") => Ok(Self::Address(t.to_owned())),
            t => Ok(Self::File(t.to_owned())),
        }
    }

    fn value(&self) -> &str {
        match self {
            Self::Checksum(t) | Self::Address(t) | Self::File(t) => t,
        }
    }
}

/// An item that was made of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct Derived {
    pub collection: String,
    pub item: String,
    pub file: String,
    pub checksum: String,
    pub bytes: u64,
    /// An address, or the file's name.
    pub source: String,
    pub version: String,
    pub published: String,
    /// Of one that no version has any more: how that came, and the first version without it.
    pub ended: Option<Ended>,
    /// The item in its place.
    pub successor: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// `replaced` or `removed`.
    pub how: String,
    pub version: String,
    pub time: String,
}

/// Where a page begins: behind a row of the items that stand, or of those that do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    Standing(i64),
    Past(i64),
}

impl After {
    pub fn parse(text: &str) -> Option<Self> {
        let row = |t: &str| t.parse().ok().filter(|n: &i64| *n >= 0);
        match text.strip_prefix('s') {
            Some(t) => row(t).map(Self::Standing),
            None => row(text.strip_prefix('p')?).map(Self::Past),
        }
    }

    pub fn text(self) -> String {
        match self {
            Self::Standing(row) => format!("s{row}"),
            Self::Past(row) => format!("p{row}"),
        }
    }
}

impl From<Item> for Derived {
    fn from(i: Item) -> Self {
        let g: Granule = serde_json::from_value(i.record).unwrap_or_default();
        let source = g.public_source().to_owned();
        Self {
            collection: i.collection,
            file: if g.name.is_empty() { i.name.clone() } else { g.name },
            item: i.name,
            checksum: i.checksum,
            bytes: i.bytes,
            source,
            version: i.version,
            published: i.published,
            ended: None,
            successor: i.superseded_by,
        }
    }
}

fn read_past(r: &Row<'_>) -> rusqlite::Result<(i64, Derived)> {
    let derived = Derived {
        collection: r.get(1)?,
        item: r.get(2)?,
        file: r.get(3)?,
        checksum: r.get(4)?,
        bytes: r.get::<_, i64>(5)?.max(0) as u64,
        source: r.get(6)?,
        version: r.get(7)?,
        published: r.get(8)?,
        ended: Some(Ended { how: r.get(9)?, version: r.get(10)?, time: r.get(11)? }),
        successor: r.get(12)?,
    };
    Ok((r.get(0)?, derived))
}

/// Enters what once stood.
pub(super) fn put(conn: &Connection, collection: &str, f: &Former) -> rusqlite::Result<()> {
    let g = &f.standing.granule;
    conn.prepare_cached(
        "INSERT INTO past_items (collection, item, file, checksum, bytes, source, version, published, ending, until,
           until_time, successor) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        collection,
        g.id(),
        g.name,
        g.sha256,
        i64::try_from(g.bytes).unwrap_or(i64::MAX),
        g.public_source(),
        f.standing.version,
        micros_rfc3339(f.standing.time_micros),
        f.ending.name(),
        f.until,
        micros_rfc3339(f.until_micros),
        f.by
    ])?;
    Ok(())
}

/// Enters an item that is about to go with version `until`.
pub(super) fn end(
    conn: &Connection,
    collection: &str,
    past: &Past,
    ending: Ending,
    until: &VersionInfo,
) -> anyhow::Result<()> {
    let mut q = conn.prepare_cached(
        "SELECT record, version, published_micros FROM items WHERE collection = ? AND name = ?",
    )?;
    let mut rows = q.query(params![collection, past.id])?;
    let Some(r) = rows.next()? else { return Ok(()) };
    let standing = crate::store::Standing {
        granule: serde_json::from_str(&r.get::<_, String>(0)?)?,
        version: r.get(1)?,
        time_micros: r.get(2)?,
    };
    let (until_micros, until) = (until.time_micros, until.id.clone());
    Ok(put(conn, collection, &Former { standing, ending, until, until_micros, by: past.by.clone() })?)
}

impl Catalog {
    /// At most `limit` items that came of a source, those that stand first, each in the order in
    /// which they came; and where the next page begins. Blocks.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn derived(
        &self,
        source: &Named,
        collection: Option<&str>,
        after: Option<After>,
        limit: u32,
    ) -> anyhow::Result<(Vec<Derived>, Option<After>)> {
        self.with(|c| {
            let c = &c.transaction()?;
            let mut found = Vec::new();
            let most = i64::from(limit) + 1;
            if !matches!(after, Some(After::Past(_))) {
                let from = if let Some(After::Standing(row)) = after { row } else { -1 };
                standing(c, source, collection, from, most, &mut found)?;
            }
            if (found.len() as i64) < most {
                let from = if let Some(After::Past(row)) = after { row } else { -1 };
                let column = match source {
                    Named::Checksum(_) => "checksum",
                    Named::Address(_) => "source",
                    Named::File(_) => "file",
                };
                let mut q = c.prepare_cached(&format!(
                    "SELECT rowid, collection, item, file, checksum, bytes, source, version, published, ending, until,
                       until_time, successor
                     FROM past_items WHERE {column} = ?1 AND (?2 IS NULL OR collection = ?2) AND rowid > ?3
                     ORDER BY rowid LIMIT ?4"
                ))?;
                let rows = q.query_map(params![source.value(), collection, from, most - found.len() as i64], |r| {
                    let (row, d) = read_past(r)?;
                    Ok((After::Past(row), d))
                })?;
                for r in rows {
                    found.push(r?);
                }
            }
            let more = found.len() > limit as usize;
            found.truncate(limit as usize);
            let next = found.last().filter(|_| more).map(|(at, _)| *at);
            Ok((found.into_iter().map(|(_, d)| d).collect(), next))
        })
    }
}

fn standing(
    c: &Connection,
    source: &Named,
    collection: Option<&str>,
    from: i64,
    most: i64,
    found: &mut Vec<(After, Derived)>,
) -> rusqlite::Result<()> {
    let of = match source {
        Named::Checksum(_) => "i.collection IN (SELECT id FROM collections) AND i.checksum = ?1",
        Named::Address(_) => {
            "i.collection IN (SELECT id FROM collections) AND json_extract(i.record, '$.origin.url') = ?1"
        }
        // An item has its file's name unless another had it.
        Named::File(_) => {
            "i.rowid IN (SELECT rowid FROM items WHERE name = ?1
               UNION SELECT rowid FROM items WHERE json_extract(record, '$.name') = ?1
                 AND json_extract(record, '$.id') IS NOT NULL)
             AND json_extract(i.record, '$.name') = ?1"
        }
    };
    let mut q = c.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM items i WHERE {of} AND (?2 IS NULL OR i.collection = ?2) AND +i.rowid > ?3
         ORDER BY +i.rowid LIMIT ?4"
    ))?;
    let rows = q.query_map(params![source.value(), collection, from, most], |r| {
        let item = read(r)?;
        Ok((After::Standing(item.rowid), Derived::from(item)))
    })?;
    for r in rows {
        found.push(r?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_by_its_checksum_its_address_or_its_file() {
        let sum = "A".repeat(64);
        assert_eq!(Named::parse(&format!("sha256:{sum}")), Ok(Named::Checksum(sum.to_lowercase())));
        assert_eq!(Named::parse("a b.nc"), Ok(Named::File("a b.nc".into())));
        assert_eq!(Named::parse("s3://b/k.nc"), Ok(Named::Address("s3://b/k.nc".into())));
        assert!(Named::parse("").is_err() && Named::parse("sha256:12").is_err());
        for a in [After::Standing(3), After::Past(0)] {
            assert_eq!(After::parse(&a.text()), Some(a));
        }
        assert_eq!((After::parse("7"), After::parse("s-1"), After::parse("")), (None, None, None));
    }
}
