//! Counts of the items that a search finds (STAC API, extension "aggregation" v0.3.0).
//!
//! Where only collections are named, the counts that the catalog keeps ([`super::tally`]) say
//! everything; otherwise the items found are walked once, whatever is asked of them.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, params_from_iter};

use super::Catalog;
use super::search::{in_time, near};
use super::tally::cell::{Met, geohash};
use super::tally::{period, read};
use crate::search::sql::Near;
use crate::search::{DATETIME, Search, sql};

/// Buckets that an answer has at most; what is in others is counted as overflow.
pub const MOST_BUCKETS: usize = 10_000;

/// What is asked of the items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub days: bool,
    /// Precision of geohashes of the middles of footprints.
    pub centroids: Option<usize>,
    /// Of those that footprints meet; 1 or 2.
    pub footprints: Option<usize>,
    pub latest: bool,
}

/// Over the items of a search.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Aggregates {
    pub count: u64,
    /// Seconds since 1970 of the first and the last item's `datetime`.
    pub earliest: Option<f64>,
    pub latest: Option<f64>,
    /// By id.
    pub collections: BTreeMap<String, u64>,
    /// Items by the day of their `datetime`, in days since 1970; without those that have no date.
    pub days: BTreeMap<i64, u64>,
    pub centroids: Buckets,
    pub footprints: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Buckets {
    pub of: HashMap<String, u64>,
    pub overflow: u64,
}

impl Buckets {
    fn add(&mut self, key: String) {
        if let Some(n) = self.of.get_mut(&key) {
            *n += 1;
        } else if self.of.len() < MOST_BUCKETS {
            self.of.insert(key, 1);
        } else {
            self.overflow += 1;
        }
    }
}

impl Catalog {
    /// Blocks.
    ///
    /// # Errors
    /// The catalog cannot be read; [`super::search::TooLong`].
    pub fn aggregate(&self, search: &Search, wanted: Wanted) -> anyhow::Result<Aggregates> {
        self.with(|c| {
            let tx = c.transaction()?;
            in_time(&tx, |c| {
                if names_collections_alone(search) && wanted.centroids.is_none() {
                    kept(c, search, wanted)
                } else {
                    walked(c, search, wanted)
                }
            })
        })
    }
}

fn names_collections_alone(s: &Search) -> bool {
    s.ids.is_none()
        && s.bbox.is_none()
        && s.intersects.is_none()
        && s.time.is_none()
        && s.words.is_empty()
        && s.filter.is_none()
}

fn kept(c: &Connection, search: &Search, wanted: Wanted) -> rusqlite::Result<Aggregates> {
    let mut ids: Vec<String> = match &search.collections {
        Some(ids) => ids.clone(),
        None => {
            let mut q = c.prepare_cached("SELECT id FROM collections ORDER BY id")?;
            q.query_map([], |r| r.get(0))?.collect::<Result<_, _>>()?
        }
    };
    ids.sort_unstable();
    ids.dedup();
    let totals = read::totals(c, &ids, wanted.days)?;
    let mut out = Aggregates {
        count: totals.collections.iter().map(|(_, n)| n).sum(),
        earliest: totals.start,
        collections: totals.collections.into_iter().collect(),
        days: totals.days.into_iter().collect(),
        ..Aggregates::default()
    };
    if wanted.latest {
        let mut q = c.prepare_cached(&format!(
            "SELECT {DATETIME} FROM items i WHERE i.collection = ? ORDER BY {DATETIME} DESC LIMIT 1"
        ))?;
        for id in out.collections.keys() {
            let last: f64 = q.query_row([id], |r| r.get(0))?;
            out.latest = Some(out.latest.map_or(last, |l| l.max(last)));
        }
    }
    if let Some(precision) = wanted.footprints {
        out.footprints = read::cells(c, &ids, precision)?;
    }
    Ok(out)
}

fn walked(c: &Connection, search: &Search, wanted: Wanted) -> rusqlite::Result<Aggregates> {
    let near = match near(c, search)? {
        // A page is not all.
        Near::First(times) => Near::Times(times),
        near => near,
    };
    let conditions = sql::conditions(search, &near);
    let mut q = c.prepare_cached(&format!(
        "SELECT i.collection, {DATETIME}, i.west, i.south, i.east, i.north FROM items i WHERE {}",
        conditions.sql
    ))?;
    let mut rows = q.query(params_from_iter(conditions.values))?;
    let mut out = Aggregates::default();
    while let Some(r) = rows.next()? {
        out.count += 1;
        let id = r.get_ref(0)?.as_str()?;
        match out.collections.get_mut(id) {
            Some(n) => *n += 1,
            None => drop(out.collections.insert(id.to_owned(), 1)),
        }
        let at: f64 = r.get(1)?;
        out.earliest = Some(out.earliest.map_or(at, |e| e.min(at)));
        out.latest = Some(out.latest.map_or(at, |e| e.max(at)));
        if wanted.days
            && let Some(day) = period::day(at)
        {
            *out.days.entry(period::number(day)).or_insert(0) += 1;
        }
        if wanted.centroids.is_none() && wanted.footprints.is_none() {
            continue;
        }
        let Some(west) = r.get::<_, Option<f64>>(2)? else { continue };
        let [w, s, e, n] = [west, r.get(3)?, r.get(4)?, r.get(5)?];
        if let Some(precision) = wanted.centroids {
            let middle = if w > e { (w + e + 360.0) / 2.0 } else { (w + e) / 2.0 };
            let middle = if middle > 180.0 { middle - 360.0 } else { middle };
            out.centroids.add(geohash(middle, (s + n) / 2.0, precision));
        }
        if let Some(precision) = wanted.footprints {
            for hash in Met::of([w, s, e, n]).cells(precision) {
                *out.footprints.entry(hash).or_insert(0) += 1;
            }
        }
    }
    Ok(out)
}
