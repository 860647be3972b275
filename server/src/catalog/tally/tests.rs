//! Counts that are kept must be those that a look at every item gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::Connection;

use super::period::Period;
use super::{Entry, Kind, Span, Tally, nodes};
use crate::catalog::{Catalog, Facts, items};
use crate::store::{Extent, Granule};

/// Numbers that are as good as random, and the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

type Rows = BTreeMap<(String, i64), (i64, Vec<Option<String>>)>;

fn shown(v: Option<f64>) -> Option<String> {
    v.map(|v| format!("{:.6}", v + 0.0))
}

fn kept(c: &Connection, collection: &str) -> Rows {
    let mut q = c
        .prepare("SELECT node, kind, count, start, end, west, east, south, north FROM tallies WHERE collection = ?")
        .unwrap();
    let rows = q
        .query_map([collection], |r| {
            let sides = (3..9).map(|i| Ok(shown(r.get(i)?))).collect::<rusqlite::Result<_>>()?;
            Ok(((r.get(0)?, r.get(1)?), (r.get(2)?, sides)))
        })
        .unwrap();
    rows.map(Result::unwrap).collect()
}

fn recounted(entries: &BTreeMap<String, Entry>) -> Rows {
    let mut all: BTreeMap<(String, i64), (i64, Span)> = BTreeMap::new();
    for e in entries.values() {
        nodes(e, |n, k| {
            let row = all.entry((n, k as i64)).or_insert((0, Span::NOTHING));
            row.0 += 1;
            if k != Kind::Begins {
                row.1.join(&Span::of(e));
            }
        });
    }
    all.into_iter().map(|(k, (n, span))| (k, (n, span.sides().map(shown).to_vec()))).collect()
}

fn random(chance: &mut Chance) -> Entry {
    let start = chance.below(2000) as f64 * 43_200.0 - 3e7;
    let length = [0.0, 3600.0, 86_400.0, 40.0 * 86_400.0, 500.0 * 86_400.0][chance.below(5) as usize];
    let bbox = match chance.below(5) {
        0 => None,
        1 => Some([-180.0, -90.0, 180.0, 90.0]),
        2 => Some([170.0, -10.0, -170.0, 10.0]),
        3 => Some([0.0, 0.0, 90.0, 90.0]),
        _ => {
            let (w, s) = (chance.below(300) as f64 - 180.0, chance.below(150) as f64 - 90.0);
            Some([w, s, w + chance.below(60) as f64, s + chance.below(30) as f64])
        }
    };
    Entry { start, end: start + length, bbox }
}

fn put(c: &Connection, tally: &mut Tally, name: &str, e: &Entry) {
    let time = Extent { start: String::new(), end: String::new(), start_secs: e.start, end_secs: e.end };
    let granule = Granule { name: name.to_owned(), time: Some(time), ..Granule::default() };
    let facts = Facts { bbox: e.bbox, ..Facts::default() };
    items::put(c, tally, "c", "V", &granule, 0, &facts).unwrap();
}

/// Items that come, are replaced and go, twenty at a time.
fn shuffled(steps: u64) -> (tempfile::TempDir, Arc<Catalog>, BTreeMap<String, Entry>) {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(dir.path()).unwrap();
    let (mut chance, mut entries) = (Chance(7), BTreeMap::new());
    for step in 0..steps {
        catalog
            .with(|c| {
                let tx = c.transaction()?;
                let mut tally = Tally::of("c");
                for _ in 0..20 {
                    let name = format!("g{}", chance.below(60));
                    if chance.below(5) < 2 {
                        items::remove(&tx, &mut tally, "c", &name)?;
                        entries.remove(&name);
                    } else {
                        let e = random(&mut chance);
                        put(&tx, &mut tally, &name, &e);
                        entries.insert(name, e);
                    }
                }
                tally.settle(&tx)?;
                let (kept, counted) = (kept(&tx, "c"), recounted(&entries));
                for key in kept.keys().chain(counted.keys()) {
                    assert_eq!(kept.get(key), counted.get(key), "step {step}, {key:?}");
                }
                Ok(tx.commit()?)
            })
            .unwrap();
    }
    (dir, catalog, entries)
}

#[test]
fn counts_and_extents_stay_true_whatever_comes_and_goes() {
    let (_dir, catalog, _) = shuffled(60);
    catalog
        .with(|c| {
            items::clear(c, "c")?;
            assert!(kept(c, "c").is_empty());
            Ok(())
        })
        .unwrap();
}

#[test]
fn every_period_and_region_has_what_a_look_at_each_item_finds() {
    let (_dir, catalog, entries) = shuffled(8);
    let look = |p: Period| {
        let secs = p.secs();
        entries.values().filter(|e| secs.is_none_or(|(a, b)| e.start < b && e.end >= a)).count() as u64
    };
    let (all, years) = catalog.in_period("c", Period::All).unwrap();
    assert_eq!(all.count, entries.len() as u64);
    assert!(years.len() > 2);
    for (year, counted) in years {
        assert_eq!(counted.count, look(year), "{year:?}");
        let (all, months) = catalog.in_period("c", year).unwrap();
        assert_eq!(all, counted);
        for (month, counted) in months {
            assert_eq!(counted.count, look(month), "{month:?}");
            let (all, days) = catalog.in_period("c", month).unwrap();
            assert_eq!(all, counted);
            assert_eq!(
                days.iter().map(|(d, _)| look(*d)).collect::<Vec<_>>(),
                days.iter().map(|(_, n)| n.count).collect::<Vec<_>>()
            );
            let missing = month
                .days()
                .unwrap()
                .0
                .iter_days()
                .take(28)
                .filter(|d| !days.iter().any(|(p, _)| *p == Period::Day(*d)));
            missing.for_each(|d| assert_eq!(look(Period::Day(d)), 0, "{d}"));
        }
    }
    let meets = |b: [f64; 4], e: &Entry| {
        let Some([w, s, x, n]) = e.bbox else { return false };
        let parts = if w > x { vec![(w, 180.0), (-180.0, x)] } else { vec![(w, x)] };
        s <= b[3] && n >= b[1] && parts.iter().any(|(w, x)| *w <= b[2] && *x >= b[0])
    };
    let count = |hash: &str| {
        let b = super::cell::bounds(hash).unwrap();
        entries.values().filter(|e| meets(b, e)).count() as u64
    };
    let world = catalog.in_cell("c", "").unwrap();
    assert_eq!((world.all.count, world.nowhere), (count(""), entries.len() as u64 - count("")));
    assert_eq!(world.parts.len(), 32);
    for (hash, counted) in world.parts {
        assert_eq!(counted.count, count(&hash), "{hash}");
        let large = catalog.in_cell("c", &hash).unwrap();
        assert_eq!(large.all, counted);
        assert_eq!(large.parts.len(), 32);
        for (hash, counted) in large.parts {
            assert_eq!(counted.count, count(&hash), "{hash}");
            assert_eq!(catalog.in_cell("c", &hash).unwrap().all, counted);
        }
    }
}

#[test]
fn a_footprint_across_the_antimeridian_is_told_as_one() {
    let of = |bbox| Span::of(&Entry { start: 0.0, end: 0.0, bbox });
    let mut span = of(Some([170.0, -10.0, -170.0, 10.0]));
    assert_eq!(span.bbox(), Some([170.0, -10.0, -170.0, 10.0]));
    span.join(&of(None));
    assert_eq!(span.bbox(), Some([170.0, -10.0, -170.0, 10.0]));
    span.join(&of(Some([-175.0, 0.0, -172.0, 1.0])));
    assert_eq!(span.bbox(), Some([-180.0, -10.0, 180.0, 10.0]));
    assert_eq!(of(None).bbox(), None);
}
