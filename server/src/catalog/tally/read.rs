//! What is read of the counts: a period or region, and its parts.

use rusqlite::{Connection, params};

use super::cell;
use super::period::{self, Period};
use super::{Kind, SPAN, Span};
use crate::catalog::Catalog;

/// How many items, and how far they reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counted {
    pub count: u64,
    pub span: Span,
}

impl Counted {
    const NONE: Self = Self { count: 0, span: Span::NOTHING };

    fn join(&mut self, other: &Self) {
        self.count += other.count;
        self.span.join(&other.span);
    }
}

fn one(c: &Connection, collection: &str, node: &str, kind: Kind) -> rusqlite::Result<Counted> {
    let mut q = c.prepare_cached(&format!(
        "SELECT count, {SPAN} FROM tallies WHERE collection = ? AND node = ? AND kind = ?"
    ))?;
    let mut rows = q.query(params![collection, node, kind as i64])?;
    rows.next()?.map_or(Ok(Counted::NONE), |r| read(r, 0))
}

fn read(r: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Counted> {
    Ok(Counted { count: r.get::<_, i64>(first)?.max(0) as u64, span: Span::read(r, first + 1)? })
}

/// Rows of a kind whose node begins with `prefix` and has `length` bytes.
fn parts(
    c: &Connection,
    collection: &str,
    prefix: &str,
    length: usize,
    kind: Kind,
) -> rusqlite::Result<Vec<(String, Counted)>> {
    let mut q = c.prepare_cached(&format!(
        "SELECT node, count, {SPAN} FROM tallies WHERE collection = ?1 AND kind = ?2
           AND node > ?3 AND node < ?3 || '~' AND length(node) = ?4 ORDER BY node"
    ))?;
    let rows = q.query_map(params![collection, kind as i64, prefix, length as i64], |r| {
        Ok((r.get(0)?, read(r, 1)?))
    })?;
    rows.collect()
}

impl Catalog {
    /// The items of a period, and of each of its parts that has any: years, months or days.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn in_period(
        &self,
        collection: &str,
        of: Period,
    ) -> anyhow::Result<(Counted, Vec<(Period, Counted)>)> {
        self.with(|c| {
            // One state of the catalog, whoever writes meanwhile.
            let c = &c.transaction()?;
            let mut all = one(c, collection, &of.node(), Kind::Meets)?;
            for above in of.above() {
                all.join(&one(c, collection, &above.node(), Kind::Whole)?);
            }
            // What has every day of this has every day of each part.
            let mut whole =
                if of == Period::All { Counted::NONE } else { one(c, collection, &of.node(), Kind::Whole)? };
            for above in of.above() {
                whole.join(&one(c, collection, &above.node(), Kind::Whole)?);
            }
            let every: Vec<Period> = match of {
                Period::Year(y) if whole.count > 0 => (1..=12).map(|m| Period::Month(y, m)).collect(),
                Period::Month(..) if whole.count > 0 => {
                    let days = of.days().into_iter();
                    days.flat_map(|(a, b)| a.iter_days().take_while(move |d| *d <= b))
                        .map(Period::Day)
                        .collect()
                }
                _ => Vec::new(),
            };
            let (prefix, length) = match of {
                Period::All => (period::ALL.to_owned(), 6),
                Period::Year(_) => (format!("{}-", of.node()), 9),
                Period::Month(..) => (format!("{}-", of.node()), 12),
                Period::Day(_) => return Ok((all, Vec::new())),
            };
            let mut out: Vec<(Period, Counted)> = every.into_iter().map(|p| (p, whole)).collect();
            for (node, counted) in parts(c, collection, &prefix, length, Kind::Meets)? {
                let Some(p) = Period::of_node(&node) else { continue };
                match out.iter_mut().find(|(known, _)| *known == p) {
                    Some((_, sum)) => sum.join(&counted),
                    None => out.push((p, counted)),
                }
            }
            Ok((all, out))
        })
    }

    /// The items of a cell of the geohash grid (of the Earth, where it is empty), and of each of
    /// its parts that has any; and how many items have no place.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn in_cell(&self, collection: &str, hash: &str) -> anyhow::Result<Cells> {
        self.with(|c| {
            let c = &c.transaction()?;
            let nowhere = one(c, collection, cell::NOWHERE, Kind::Meets)?.count;
            let world = one(c, collection, cell::WORLD, Kind::Whole)?;
            let node = |hash: &str| format!("{}{hash}", cell::WORLD);
            let large = hash.get(..1).map(node);
            let mut whole = world;
            if let Some(large) = &large {
                whole.join(&one(c, collection, large, Kind::Whole)?);
            }
            let all = match hash.len() {
                0 => {
                    let mut all = one(c, collection, period::ALL, Kind::Meets)?;
                    all.count -= nowhere.min(all.count);
                    all
                }
                1 => {
                    let mut all = one(c, collection, &node(hash), Kind::Meets)?;
                    all.join(&world);
                    all
                }
                _ => {
                    let mut all = one(c, collection, &node(hash), Kind::Meets)?;
                    all.join(&whole);
                    all
                }
            };
            let mut out = Vec::new();
            if hash.len() < cell::FINEST {
                let mut found = parts(c, collection, &node(hash), node(hash).len() + 1, Kind::Meets)?;
                found.retain(|(n, _)| n != cell::NOWHERE);
                let mut found = found.into_iter().peekable();
                let every =
                    cell::bounds(hash).map(|b| cell::Met::of(b).cells(hash.len() + 1)).unwrap_or_default();
                let mut every: Vec<String> = every.into_iter().filter(|h| h.starts_with(hash)).collect();
                every.sort_unstable();
                for part in every {
                    let mut counted = whole;
                    if let Some((_, own)) =
                        found.next_if(|(n, _)| n.strip_prefix(cell::WORLD) == Some(part.as_str()))
                    {
                        counted.join(&own);
                    }
                    if counted.count > 0 {
                        out.push((part, counted));
                    }
                }
            }
            Ok(Cells { all, parts: out, nowhere })
        })
    }
}

/// Of a cell.
#[derive(Debug, Clone)]
pub struct Cells {
    pub all: Counted,
    pub parts: Vec<(String, Counted)>,
    pub nowhere: u64,
}

/// Of collections, or of all: what needs no look at items.
pub struct Totals {
    pub collections: Vec<(String, u64)>,
    /// First instant of all.
    pub start: Option<f64>,
    /// Items that begin on each day since 1970, by day.
    pub days: Vec<(i64, u64)>,
}

/// # Errors
/// The catalog cannot be read.
pub(in crate::catalog) fn totals(
    c: &Connection,
    collections: &[String],
    with_days: bool,
) -> rusqlite::Result<Totals> {
    let mut out = Totals { collections: Vec::new(), start: None, days: Vec::new() };
    let mut days = std::collections::BTreeMap::new();
    for id in collections {
        let all = one(c, id, period::ALL, Kind::Meets)?;
        if all.count == 0 {
            continue;
        }
        out.collections.push((id.clone(), all.count));
        out.start = all.span.time().map(|t| t.0).into_iter().chain(out.start).reduce(f64::min);
        let begins = if with_days {
            parts(c, id, period::ALL, period::ALL.len() + 10, Kind::Begins)?
        } else {
            Vec::new()
        };
        for (node, counted) in begins {
            if let Some(Period::Day(d)) = Period::of_node(&node) {
                *days.entry(period::number(d)).or_insert(0) += counted.count;
            }
        }
    }
    out.days = days.into_iter().collect();
    Ok(out)
}

/// Items in each cell of precision 1 or 2, of all these collections together.
pub(in crate::catalog) fn cells(
    c: &Connection,
    collections: &[String],
    precision: usize,
) -> rusqlite::Result<std::collections::BTreeMap<String, u64>> {
    let mut out = std::collections::BTreeMap::new();
    let every = cell::Met::of([-180.0, -90.0, 180.0, 90.0]).cells(precision);
    for id in collections {
        let world = one(c, id, cell::WORLD, Kind::Whole)?.count;
        let mut add = |hash: &str, n: u64| *out.entry(hash.to_owned()).or_insert(0) += n;
        if world > 0 {
            every.iter().for_each(|h| add(h, world));
        }
        let length = cell::WORLD.len() + precision;
        for (node, counted) in parts(c, id, cell::WORLD, length, Kind::Meets)? {
            if let Some(hash) = node.strip_prefix(cell::WORLD).filter(|_| node != cell::NOWHERE) {
                add(hash, counted.count);
            }
        }
        if precision == cell::FINEST {
            for (node, counted) in parts(c, id, cell::WORLD, cell::WORLD.len() + 1, Kind::Whole)? {
                let Some(large) = node.strip_prefix(cell::WORLD) else { continue };
                every.iter().filter(|h| h.starts_with(large)).for_each(|h| add(h, counted.count));
            }
        }
    }
    out.retain(|_, n| *n > 0);
    Ok(out)
}
