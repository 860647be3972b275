//! Items of all collections that fit a search.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, ErrorCode, ffi, params_from_iter};
use serde_json::{Value, json};

use super::Catalog;
use super::items::{COLUMNS, Item, reaches, read};
use crate::search::cql2::Spatial;
use crate::search::sql::{During, Near};
use crate::search::{DATETIME, END, Search, Shape, Token, sql};
use crate::wildcards::{Part, fits};

/// Beyond so many items in the boxes, walking all of them in order finds a page sooner.
const FEW: i64 = 4000;
/// With more collections than these, all are looked through.
const MANY: usize = 32;
/// A search that takes longer is given up.
const LONGEST: Duration = Duration::from_secs(5);

thread_local! {
    /// When the search of this thread is given up: SQLite asks nobody while a function of ours runs.
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A page of an answer.
pub struct Page {
    pub items: Vec<Item>,
    /// Where the next page begins, if there is one.
    pub next: Option<Token>,
}

#[derive(Debug, thiserror::Error)]
#[error("the search took longer than {} seconds", LONGEST.as_secs())]
pub struct TooLong;

impl Catalog {
    /// Items in the order asked for; blocks.
    ///
    /// # Errors
    /// The catalog cannot be read; [`TooLong`].
    pub fn search(&self, search: &Search) -> anyhow::Result<Page> {
        self.with(|c| in_time(c, |c| page(c, search)))
    }
}

/// Gives up on what takes too long.
pub(super) fn in_time<T>(
    c: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> anyhow::Result<T> {
    in_time_until(c, Instant::now() + LONGEST, work)
}

fn in_time_until<T>(
    c: &Connection,
    until: Instant,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> anyhow::Result<T> {
    /// Whatever `work` does, the thread's next search begins without an end.
    struct Running;
    impl Drop for Running {
        fn drop(&mut self) {
            UNTIL.set(None);
        }
    }
    c.progress_handler(10_000, Some(move || Instant::now() > until))?;
    UNTIL.set(Some(until));
    let running = Running;
    let found = work(c);
    drop(running);
    c.progress_handler(0, None::<fn() -> bool>)?;
    match found {
        Err(e) if e.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Err(TooLong.into()),
        found => found.map_err(|e| brief(e).into()),
    }
}

/// The error with the beginning of its SQL, which may be long, for the log.
fn brief(e: rusqlite::Error) -> rusqlite::Error {
    const SHOWN: usize = 300;
    match e {
        rusqlite::Error::SqlInputError { error, msg, sql, offset } if sql.len() > SHOWN => {
            let shown: String = sql.chars().take(SHOWN).collect();
            let sql = format!("{shown}... ({} bytes)", sql.len());
            rusqlite::Error::SqlInputError { error, msg, sql, offset }
        }
        e => e,
    }
}

/// What finds the items of a search soonest.
pub(super) fn near(c: &Connection, search: &Search) -> rusqlite::Result<Near> {
    let reaches = sql::reaches(search);
    if let Some((from, to)) = search.time {
        let times = during(c, search, from, to)?;
        // Few in the time asked for, wherever they are, are found sooner by it than by a box.
        let few = if reaches.is_empty() { FEW } else { FEW / 4 };
        let is_few = count_during(c, &times, few + 1)? <= few;
        if is_of_time_alone(search) && (is_few || !is_dense(c, search)?) {
            return Ok(Near::First(times));
        }
        if is_few {
            return Ok(Near::Times(times));
        }
    }
    if reaches.is_empty() {
        return Ok(Near::Anything);
    }
    let mut few = c.prepare_cached(
        "SELECT count(*) FROM (SELECT 1 FROM items_bbox WHERE west <= ?3 AND east >= ?1 AND south <= ?4 AND north >= ?2
           AND start <= ?6 AND end >= ?5 LIMIT ?7)",
    )?;
    let mut total = 0;
    for [w, s, e, n, from, to] in &reaches {
        total += few.query_row((w, s, e, n, from, to, FEW + 1), |r| r.get::<_, i64>(0))?;
    }
    Ok(if total > FEW { Near::Anything } else { Near::Boxes(reaches) })
}

/// The searches of the index of times that a search comes to.
fn during(c: &Connection, search: &Search, from: f64, to: f64) -> rusqlite::Result<Vec<During>> {
    let mut out = Vec::new();
    let mut of = |collection: Option<&String>| -> rusqlite::Result<()> {
        for reach in reaches(c, collection.map(String::as_str))? {
            out.push(During { collection: collection.cloned(), reach, from, to });
        }
        Ok(())
    };
    match &search.collections {
        Some(ids) if ids.len() <= MANY => {
            let mut wanted: Vec<&String> = ids.iter().collect();
            wanted.sort_unstable();
            wanted.dedup();
            wanted.into_iter().try_for_each(|id| of(Some(id)))?;
        }
        _ => of(None)?,
    }
    Ok(out)
}

fn count_during(c: &Connection, times: &[During], most: i64) -> rusqlite::Result<i64> {
    let rows = sql::rows_during(times);
    let values = rows.values.into_iter().chain([most.into()]);
    c.prepare_cached(&format!("SELECT count(*) FROM (SELECT 1 FROM ({}) LIMIT ?)", rows.sql))?
        .query_row(params_from_iter(values), |r| r.get(0))
}

/// Collections that are named.
fn named(s: &Search) -> usize {
    s.collections.as_ref().map_or(0, Vec::len)
}

/// Asks for nothing but a time and collections, in the order of arrival.
fn is_of_time_alone(s: &Search) -> bool {
    let place = s.bbox.is_some() || s.intersects.is_some();
    let more = s.ids.is_some() || !s.words.is_empty() || s.filter.is_some();
    !place && !more && s.sort.is_empty() && named(s) <= MANY
}

/// Whether a page is full within the next few rows.
fn is_dense(c: &Connection, search: &Search) -> rusqlite::Result<bool> {
    let Some((from, to)) = search.time.filter(|_| named(search) < 2) else { return Ok(false) };
    let whenever = sql::conditions(&Search { time: None, ..search.clone() }, &Near::Anything);
    let values = [from, to].map(|n| rusqlite::types::Value::Real(n.clamp(-1e300, 1e300)));
    let next = (i64::from(search.limit) * 50).min(FEW);
    let found: i64 = c
        .prepare_cached(&format!(
            "SELECT count(*) FROM (SELECT {END} >= ? AND {DATETIME} <= ? AS fits FROM items i
               WHERE {} ORDER BY i.rowid LIMIT {next}) WHERE fits",
            whenever.sql
        ))?
        .query_row(params_from_iter(values.into_iter().chain(whenever.values)), |r| r.get(0))?;
    Ok(found > i64::from(search.limit))
}

fn page(c: &Connection, search: &Search) -> rusqlite::Result<Page> {
    let conditions = sql::conditions(search, &near(c, search)?);
    let keys: String = search.sort.iter().map(|k| format!(", {}", k.sql())).collect();
    let query = format!(
        "SELECT {COLUMNS}{keys} FROM items i WHERE {} ORDER BY {} LIMIT {}",
        conditions.sql,
        sql::order(search),
        search.limit.saturating_add(1)
    );
    let mut q = c.prepare_cached(&query)?;
    let first_key = q.column_count() - search.sort.len();
    let mut rows = q.query(params_from_iter(conditions.values))?;
    let (mut items, mut next) = (Vec::new(), None);
    while let Some(r) = rows.next()? {
        if items.len() == search.limit as usize {
            return Ok(Page { items, next });
        }
        let item = read(r)?;
        // Only of the last one: where the next page begins.
        if items.len() + 1 == search.limit as usize {
            let values = (0..search.sort.len()).map(|k| {
                Ok(match r.get_ref(first_key + k)? {
                    rusqlite::types::ValueRef::Integer(n) => json!(n),
                    rusqlite::types::ValueRef::Real(n) => json!(n),
                    rusqlite::types::ValueRef::Text(t) => json!(String::from_utf8_lossy(t)),
                    _ => Value::Null,
                })
            });
            next = Some(Token { values: values.collect::<rusqlite::Result<_>>()?, row: item.rowid });
        }
        items.push(item);
    }
    Ok(Page { items, next: None })
}

/// What the SQL of a search calls.
pub(super) fn functions(c: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    c.create_scalar_function("graticule_relates", 6, flags, |ctx| {
        if UNTIL.get().is_some_and(|until| Instant::now() > until) {
            return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERRUPT), None));
        }
        let side = |i: usize| ctx.get::<Option<f64>>(i);
        let (Some(w), Some(s), Some(e), Some(n)) = (side(0)?, side(1)?, side(2)?, side(3)?) else {
            return Ok(None);
        };
        let shape =
            ctx.get_or_create_aux(4, |v| -> Result<Shape, Box<dyn std::error::Error + Send + Sync>> {
                Ok(Shape::from_geojson(&serde_json::from_str(v.as_str()?)?)?)
            })?;
        let of = usize::try_from(ctx.get::<i64>(5)?).ok().and_then(|n| Spatial::ALL.get(n));
        let of = *of.ok_or_else(|| rusqlite::Error::UserFunctionError("no spatial relation".into()))?;
        Ok(Some(Shape::of_box([w, s, e, n]).relates(of, &shape)))
    })?;
    c.create_scalar_function("graticule_fold", 1, flags, |ctx| {
        Ok(ctx.get::<Option<String>>(0)?.map(|t| t.to_lowercase()))
    })?;
    c.create_scalar_function("graticule_like", 2, flags, |ctx| {
        let texts = (ctx.get::<Option<String>>(0)?, ctx.get::<Option<String>>(1)?);
        Ok(match texts {
            (Some(text), Some(pattern)) => Some(like(&text, &pattern)),
            _ => None,
        })
    })?;
    let numbers = |name: &str, f: fn(f64, f64) -> f64| {
        c.create_scalar_function(name, 2, flags, move |ctx: &Context<'_>| {
            let out = ctx.get::<Option<f64>>(0)?.zip(ctx.get::<Option<f64>>(1)?).map(|(a, b)| f(a, b));
            Ok(out.filter(|n| n.is_finite()))
        })
    };
    numbers("graticule_quotient", |a, b| (a / b).trunc())?;
    numbers("graticule_remainder", |a, b| a % b)?;
    numbers("graticule_power", f64::powf)
}

/// CQL2's LIKE: `%` is any run of characters, `_` one, `\` takes the next as it is.
fn like(text: &str, pattern: &str) -> bool {
    let mut chars = pattern.chars();
    let mut parts = Vec::new();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '%' => Part::Any,
            '_' => Part::One,
            '\\' => Part::Just(chars.next().unwrap_or('\\')),
            c => Part::Just(c),
        });
    }
    fits(&parts, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Facts;
    use crate::search::{Expr, ITEMS, Key};
    use crate::store::{Extent, Granule};

    fn catalog(n: usize) -> (tempfile::TempDir, std::sync::Arc<Catalog>) {
        let dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(dir.path()).unwrap();
        catalog
            .with(|c| {
                let tx = c.transaction()?;
                let mut tally = crate::catalog::tally::Tally::of("c");
                for i in 0..n {
                    let west = (i * 7 % 360) as f64 - 180.0;
                    let south = (i * 3 % 160) as f64 - 80.0;
                    let secs = 86_400.0 * i as f64;
                    let granule = Granule {
                        name: format!("g{i:03}"),
                        sha256: format!("{i:064x}"),
                        bytes: 10 * i as u64,
                        time: Some(Extent {
                            start: String::new(),
                            end: String::new(),
                            start_secs: secs,
                            end_secs: secs + 3600.0,
                        }),
                        ..Granule::default()
                    };
                    // Some lie across the antimeridian.
                    let east = if west + 4.0 > 180.0 { west - 356.0 } else { west + 4.0 };
                    let facts = Facts { bbox: Some([west, south, east, south + 4.0]), ..Facts::default() };
                    let collection = if i % 2 == 0 { "even" } else { "odd" };
                    crate::catalog::items::put(
                        &tx, &mut tally, collection, "V", &granule, 1_000_000, &facts,
                    )?;
                }
                Ok(tx.commit()?)
            })
            .unwrap();
        (dir, catalog)
    }

    fn names(c: &Catalog, search: &Search) -> Vec<String> {
        c.search(search).unwrap().items.into_iter().map(|i| i.checksum[60..].to_owned()).collect()
    }

    fn all() -> Search {
        Search { limit: 1000, ..Search::default() }
    }

    fn by(text: &str) -> Search {
        Search { filter: Some(Expr::from_text(&ITEMS, text).unwrap()), ..all() }
    }

    #[test]
    fn pages_in_any_order_have_every_item_once_while_others_arrive() {
        let (_dir, c) = catalog(100);
        for sort in ["", "-datetime", "collection,-graticule:bytes", "updated", "-collection,-updated,id"] {
            let sort = if sort.is_empty() { Vec::new() } else { Key::list(sort).unwrap() };
            let whole = names(&c, &Search { sort: sort.clone(), ..all() });
            assert_eq!(whole.len(), 100);
            let mut search = Search { sort, limit: 7, ..Search::default() };
            let mut seen = Vec::new();
            loop {
                let page = c.search(&search).unwrap();
                seen.extend(page.items.iter().map(|i| i.checksum[60..].to_owned()));
                let Some(next) = page.next else { break };
                search.after = Some(Token::from_text(&next.to_text(), &search.sort).unwrap());
            }
            assert_eq!(seen, whole);
        }
        let newest =
            names(&c, &Search { sort: Key::list("-datetime").unwrap(), limit: 2, ..Search::default() });
        assert_eq!(newest, ["0063", "0062"]);
    }

    #[test]
    fn boxes_and_shapes_find_what_a_look_at_each_finds() {
        let (_dir, c) = catalog(400);
        let every: Vec<(String, [f64; 4])> = c
            .search(&all())
            .unwrap()
            .items
            .into_iter()
            .map(|i| (i.checksum[60..].to_owned(), i.bbox.unwrap()))
            .collect();
        let shapes = [
            Shape::of_box([-20.0, -30.0, 40.0, 10.0]),
            Shape::of_box([170.0, -80.0, -170.0, 80.0]),
            Shape::from_geojson(
                &json!({"type": "Polygon", "coordinates": [[[0, 0], [60, 0], [0, 60], [0, 0]]]}),
            )
            .unwrap(),
            Shape::from_geojson(&json!({"type": "LineString", "coordinates": [[-170, -70], [170, 70]]}))
                .unwrap(),
        ];
        for shape in &shapes {
            let look: Vec<String> = every
                .iter()
                .filter(|(_, b)| Shape::of_box(*b).relates(Spatial::Intersects, shape))
                .map(|(n, _)| n.clone())
                .collect();
            assert!(!look.is_empty() && look.len() < every.len());
            assert_eq!(names(&c, &Search { intersects: Some(shape.clone()), ..all() }), look);
            let text = Expr::Spatial(Spatial::Intersects, shape.clone());
            assert_eq!(
                names(&c, &Search { filter: Some(Expr::Not(Box::new(text))), ..all() }).len(),
                every.len() - look.len()
            );
        }
        for b in [[-20.0, -30.0, 40.0, 10.0], [170.0, -80.0, -170.0, 80.0]] {
            let look = names(&c, &Search { intersects: Some(Shape::of_box(b)), ..all() });
            assert_eq!(names(&c, &Search { bbox: Some(b), ..all() }), look);
        }
    }

    #[test]
    fn filters_mean_what_they_say() {
        let (_dir, c) = catalog(50);
        let count = |text: &str| names(&c, &by(text)).len();
        assert_eq!(count("collection = 'even'"), 25);
        assert_eq!(count("collection = 'even' AND graticule:bytes < 100"), 5);
        assert_eq!(count("NOT collection = 'even' OR graticule:bytes = 0"), 26);
        assert_eq!(count("datetime >= TIMESTAMP('1970-01-11T00:00:00Z')"), 40);
        assert_eq!(count("datetime BETWEEN DATE('1970-01-02') AND DATE('1970-01-03')"), 2);
        assert_eq!(
            count("T_INTERSECTS(datetime, INTERVAL('1970-01-02T00:30:00Z', '1970-01-02T02:00:00Z'))"),
            1
        );
        assert_eq!(count("T_BEFORE(datetime, DATE('1970-01-03'))"), 2);
        assert_eq!(count("T_DISJOINT(datetime, INTERVAL('1970-01-02T00:30:00Z', '..'))"), 1);
        assert_eq!(count("graticule:bytes % 20 = 0 AND graticule:bytes / 10 > 2 ^ 3"), 20);
        assert_eq!(count("id LIKE 'g00_%' OR id LIKE '%_'"), 50);
        assert_eq!(count("CASEI(collection) LIKE CASEI('EV%')"), 25);
        assert_eq!(count("collection LIKE 'EV%'"), 0);
        assert_eq!(count("collection IN ('odd', 'nothing')"), 25);
        assert_eq!(count("deprecated OR end_datetime IS NULL"), 0);
        assert_eq!(count("graticule:bytes / 0 = 1"), 0);
        assert_eq!((count("eo:cloud_cover < 10"), count("eo:cloud_cover IS NULL")), (0, 50));
        // A value is never text of the query.
        assert_eq!(count("id = ''' OR 1=1 --'"), 0);
        let words = |w: &str| names(&c, &Search { words: vec![w.to_owned()], ..all() }).len();
        assert_eq!((words("%"), words("00000")), (0, 0));
        // SQLite's trees have a depth; ours are no deeper for being long.
        let many = Search { words: vec!["nothing".to_owned(); 1000], ..all() };
        assert_eq!(names(&c, &many).len(), 0);
        assert_eq!(
            (count(&vec!["id = '-'"; 1000].join(" OR ")), count(&vec!["id <> '-'"; 1000].join(" AND ")) > 0),
            (0, true)
        );
    }

    #[test]
    fn a_list_of_no_ids_or_no_collections_finds_nothing() {
        let (_dir, c) = catalog(10);
        let time = Some((0.0, 1e9));
        let none = Some(Vec::new());
        for wanted in [
            Search { ids: none.clone(), ..all() },
            Search { collections: none.clone(), ..all() },
            Search { collections: none.clone(), time, ..all() },
            Search { collections: none.clone(), bbox: Some([-180.0, -90.0, 180.0, 90.0]), ..all() },
            Search { ids: none, collections: Some(vec!["even".to_owned()]), time, ..all() },
        ] {
            assert_eq!(names(&c, &wanted).len(), 0, "{wanted:?}");
        }
        assert_eq!(names(&c, &Search { time, ..all() }).len(), 10);
        assert_eq!(names(&c, &Search { collections: Some(vec!["even".to_owned()]), time, ..all() }).len(), 5);
    }

    #[test]
    fn relating_shapes_ends_when_its_time_does() {
        let (_dir, c) = catalog(10);
        let relate = |until: Instant| {
            c.with(|c| {
                in_time_until(c, until, |c| {
                    let shape = r#"{"type":"Point","coordinates":[0,0]}"#;
                    let sql = "SELECT count(graticule_relates(west, south, east, north, ?, 0)) FROM items";
                    c.query_row(sql, [shape], |r| r.get::<_, i64>(0))
                })
            })
        };
        let now = Instant::now();
        // So few rows that SQLite itself does not look at the time.
        assert!(relate(now).unwrap_err().is::<TooLong>());
        assert_eq!(relate(now + LONGEST).unwrap(), 10);
        assert_eq!(UNTIL.get(), None);
    }

    #[test]
    fn an_error_shows_the_beginning_of_a_long_query() {
        let (_dir, c) = catalog(1);
        let sql = format!("SELECT {}nothing", "1 + ".repeat(900));
        let e = c.with(|c| in_time(c, |c| c.execute(&sql, []))).unwrap_err().to_string();
        assert!(e.contains("nothing") && e.contains("(3614 bytes)") && e.len() < 500, "{e}");
    }

    #[test]
    fn filters_at_their_bounds_are_answered() {
        let (_dir, c) = catalog(4);
        let sum = |sign: &str, n: usize| format!("graticule:bytes{} >= 0", format!(" {sign} 1").repeat(n));
        assert_eq!(names(&c, &by(&sum("+", 500))).len(), 4);
        assert_eq!(names(&c, &by(&sum("/", 440))).len(), 4);
        let ids: Vec<String> = (0..1000).map(|i| i.to_string()).collect();
        let one = json!({"op": "in", "args": [{"property": "id"}, ids]});
        let filter = Expr::from_json(&ITEMS, &json!({"op": "or", "args": vec![one; 14]})).unwrap();
        assert_eq!(
            names(&c, &Search { filter: Some(filter), ids: Some(ids.clone()), words: ids, ..all() }).len(),
            0
        );
        let mut deep = json!({"op": "isNull", "args": [{"property": "id"}]});
        for i in 0..60 {
            let mut args = vec![json!(i % 2 == 0); 16];
            args.push(deep);
            deep = json!({"op": if i % 2 == 0 { "and" } else { "or" }, "args": args});
        }
        assert_eq!(
            names(&c, &Search { filter: Some(Expr::from_json(&ITEMS, &deep).unwrap()), ..all() }).len(),
            0
        );
    }

    #[test]
    fn like_knows_runs_single_characters_and_escapes() {
        for (text, pattern, fits) in [
            ("abc", "a%", true),
            ("abc", "a_c", true),
            ("abc", "a_", false),
            ("a%c", "a\\%c", true),
            ("abc", "a\\%c", false),
            ("", "%", true),
            ("", "_", false),
            ("aaaaaaaaaaaaaaaaaaaaaaaa", "%a%a%a%a%a%a%a%b", false),
        ] {
            assert_eq!(like(text, pattern), fits, "{text} {pattern}");
        }
    }
}
