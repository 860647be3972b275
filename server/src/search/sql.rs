//! A search as SQL: every value of the request is a bound parameter, none is text of the query.

use rusqlite::types::Value as Sql;

use super::cql2::{Arithmetic, Comparison, Expr, Scalar, Span, Spatial, Temporal};
use super::geometry::Shape;
use super::properties::{DATETIME, END};
use super::{Search, Token};
use crate::catalog::items::{SCALE_SECS, longest};

/// Part of a query, and the values of its question marks.
#[derive(Debug, Clone, Default)]
pub struct Clause {
    pub sql: String,
    pub values: Vec<Sql>,
}

impl Clause {
    fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    fn bind(&mut self, value: Sql) -> &mut Self {
        self.values.push(value);
        self.push("?")
    }

    fn number(&mut self, n: f64) -> &mut Self {
        // An infinite end is beyond every instant.
        self.bind(Sql::Real(n.clamp(-1e300, 1e300)))
    }

    fn list(&mut self, texts: &[String]) -> &mut Self {
        self.push("(");
        for (i, t) in texts.iter().enumerate() {
            self.push(if i > 0 { ", " } else { "" }).bind(Sql::Text(t.clone()));
        }
        self.push(")")
    }
}

/// West, south, east, north, from, to; times in the R*Tree's unit.
pub type Reach = [f64; 6];

/// What an R*Tree can leave out before anything else is looked at: items beyond all of these.
pub fn reaches(search: &Search) -> Vec<Reach> {
    fn of_filter(e: &Expr) -> Option<[f64; 4]> {
        match e {
            Expr::Spatial(op, shape) if *op != Spatial::Disjoint => Some(shape.bounds()),
            Expr::And(list) => list.iter().find_map(of_filter),
            _ => None,
        }
    }
    let boxes = match (search.bbox, &search.intersects) {
        (Some([w, s, e, n]), _) if w > e => vec![[w, s, 180.0, n], [-180.0, s, e, n]],
        (Some(b), _) => vec![b],
        (None, Some(shape)) => vec![shape.bounds()],
        (None, None) => search.filter.as_ref().and_then(of_filter).into_iter().collect(),
    };
    let (from, to) = search.time.unwrap_or((-FAR, FAR));
    let (from, to) = ((from / SCALE_SECS).clamp(-FAR, FAR), (to / SCALE_SECS).clamp(-FAR, FAR));
    boxes.iter().map(|[w, s, e, n]| [*w, *s, *e, *n, from, to]).collect()
}

/// Beyond every place and time; a number that float32 has too.
const FAR: f64 = 1e30;

/// Items of one reach (`catalog::items::longest`) that meet a time, of one collection or of all.
#[derive(Debug, Clone, PartialEq)]
pub struct During {
    pub collection: Option<String>,
    pub reach: i64,
    pub from: f64,
    pub to: f64,
}

/// The rows of items that meet a time: index entries alone are looked at, and no item that
/// began too long ago to last until then.
pub fn rows_during(times: &[During]) -> Clause {
    let mut c = Clause::default();
    for (n, t) in times.iter().enumerate() {
        c.push(if n > 0 { " UNION ALL " } else { "" });
        c.push("SELECT rowid AS row FROM items i WHERE ");
        if let Some(id) = &t.collection {
            c.push("i.collection = ").bind(Sql::Text(id.clone())).push(" AND ");
        }
        c.push("i.reach = ").bind(Sql::Integer(t.reach));
        c.push(&format!(" AND {DATETIME} >= ")).number(t.from - longest(t.reach));
        c.push(&format!(" AND {DATETIME} <= ")).number(t.to);
        c.push(&format!(" AND {END} >= ")).number(t.from);
    }
    if times.is_empty() {
        c.push("SELECT 0 AS row WHERE 0");
    }
    c
}

/// What leads to the items of a search.
#[derive(Debug, Clone, PartialEq)]
pub enum Near {
    /// The order asked for, or whatever index fits.
    Anything,
    /// The R*Tree.
    Boxes(Vec<Reach>),
    /// The index of times.
    Times(Vec<During>),
    /// The same, where nothing else is asked: the first so many rows of a page are known by it.
    First(Vec<During>),
}

/// The conditions of a search over `items i`.
pub fn conditions(search: &Search, near: &Near) -> Clause {
    let mut c = Clause { sql: "1".to_owned(), values: Vec::new() };
    if let Some(ids) = &search.ids {
        c.push(" AND i.name IN ").list(ids);
    }
    if let Some(collections) = &search.collections {
        // Where something else drives, no index of collections helps.
        c.push(if *near == Near::Anything { " AND i.collection IN " } else { " AND +i.collection IN " });
        c.list(collections);
    }
    match near {
        Near::Times(times) => {
            let rows = rows_during(times);
            c.push(" AND i.rowid IN (").push(&rows.sql).push(")");
            c.values.extend(rows.values);
        }
        Near::First(times) => {
            let rows = rows_during(times);
            c.push(" AND i.rowid IN (SELECT row FROM (").push(&rows.sql).push(") WHERE row > ");
            c.values.extend(rows.values);
            c.bind(Sql::Integer(search.after.as_ref().map_or(-1, |a| a.row)));
            c.push(" ORDER BY row LIMIT ").bind(Sql::Integer(i64::from(search.limit) + 1)).push(")");
        }
        Near::Anything | Near::Boxes(_) => {}
    }
    if let Near::Boxes(near) = near {
        c.push(" AND i.rowid IN (");
        for (n, [w, s, e, north, from, to]) in near.iter().enumerate() {
            c.push(if n > 0 { " UNION " } else { "" });
            c.push("SELECT rowid FROM items_bbox WHERE west <= ").number(*e);
            c.push(" AND east >= ").number(*w).push(" AND south <= ").number(*north);
            c.push(" AND north >= ").number(*s).push(" AND start <= ").number(*to);
            c.push(" AND end >= ").number(*from);
        }
        c.push(")");
    }
    if let Some(b) = search.bbox {
        c.push(" AND ");
        meets(&mut c, b);
    }
    if let Some(shape) = &search.intersects {
        c.push(" AND ");
        relates(&mut c, Spatial::Intersects, shape);
    }
    if let Some((from, to)) = search.time {
        // In the order of arrival, an index of times would have all of them sorted for one page.
        let sign = if search.sort.is_empty() { "+" } else { "" };
        c.push(&format!(" AND {sign}{DATETIME} <= ")).number(to);
        c.push(&format!(" AND {sign}{END} >= ")).number(from);
    }
    if !search.words.is_empty() {
        c.push(" AND ");
        joined(&mut c, &search.words, " OR ", "0", &|c: &mut Clause, word: &String| {
            let pattern = format!("%{}%", word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
            c.push("(i.name LIKE ").bind(Sql::Text(pattern.clone())).push(" ESCAPE '\\'");
            // A collection's words are its items'.
            c.push(" OR i.collection IN (SELECT id FROM collections WHERE id || ' ' || title || ' ' || description || ' ' || facts LIKE ");
            c.bind(Sql::Text(pattern)).push(" ESCAPE '\\'))");
        });
    }
    if let Some(e) = &search.filter {
        c.push(" AND ");
        expr(&mut c, e);
    }
    if let Some(after) = &search.after {
        c.push(" AND ");
        beyond(&mut c, search, after);
    }
    c
}

/// A filter alone, over rows `i` that have its properties.
pub fn filter(e: &Expr) -> Clause {
    let mut c = Clause::default();
    expr(&mut c, e);
    c
}

/// `ORDER BY` of a search.
pub fn order(search: &Search) -> String {
    let keys = search.sort.iter().map(|k| format!("{}{}", k.sql(), if k.descending { " DESC" } else { "" }));
    let row = if falls(search) { "i.rowid DESC" } else { "i.rowid" };
    keys.chain(std::iter::once(row.to_owned())).collect::<Vec<_>>().join(", ")
}

/// Rows in the direction of the last key: an index then has the whole order.
fn falls(search: &Search) -> bool {
    search.sort.last().is_some_and(|k| k.descending)
}

/// True behind the last item of a page, in the order of the search.
fn beyond(c: &mut Clause, search: &Search, after: &Token) {
    let value = |v: &serde_json::Value| match v {
        serde_json::Value::String(t) => Sql::Text(t.clone()),
        v => Sql::Real(v.as_f64().unwrap_or(0.0)),
    };
    c.push("(");
    for n in 0..=search.sort.len() {
        c.push(if n > 0 { " OR (" } else { "(" });
        for (k, v) in search.sort.iter().zip(&after.values).take(n) {
            c.push(&k.sql()).push(" = ").bind(value(v)).push(" AND ");
        }
        match search.sort.get(n).zip(after.values.get(n)) {
            Some((k, v)) => {
                c.push(&k.sql()).push(if k.descending { " < " } else { " > " }).bind(value(v));
            }
            None => {
                let sign = if falls(search) { "i.rowid < " } else { "i.rowid > " };
                c.push(sign).bind(Sql::Integer(after.row));
            }
        }
        c.push(")");
    }
    c.push(")");
}

/// The footprint and a box have a place in common; either may cross the antimeridian.
fn meets(c: &mut Clause, [w, s, e, n]: [f64; 4]) {
    c.push("(i.south <= ").number(n).push(" AND i.north >= ").number(s).push(" AND ");
    let parts = if w > e { vec![(w, 180.0), (-180.0, e)] } else { vec![(w, e)] };
    c.push("(0");
    for (w, e) in parts {
        c.push(" OR (i.west <= i.east AND i.west <= ").number(e).push(" AND i.east >= ").number(w).push(")");
        c.push(" OR (i.west > i.east AND (i.west <= ").number(e).push(" OR i.east >= ").number(w).push("))");
    }
    c.push("))");
}

/// By [`crate::catalog`]'s function of that name, which reads the shape once for all rows.
fn relates(c: &mut Clause, of: Spatial, shape: &Shape) {
    c.push("coalesce(graticule_relates(i.west, i.south, i.east, i.north, ");
    c.bind(Sql::Text(shape.to_geojson().to_string())).push(", ");
    c.bind(Sql::Integer(of as i64)).push("), 0)");
}

/// Conditions with AND or OR between them. SQLite's trees are at most 1000 deep, and it reads a long list as
/// deep as it is long: so brackets halve it.
fn joined<T>(c: &mut Clause, list: &[T], between: &str, none: &str, each: &impl Fn(&mut Clause, &T)) {
    match list {
        [] => {
            c.push(none);
        }
        [only] => each(c, only),
        _ => {
            let (left, right) = list.split_at(list.len() / 2);
            c.push("(");
            joined(c, left, between, none, each);
            c.push(between);
            joined(c, right, between, none, each);
            c.push(")");
        }
    }
}

fn expr(c: &mut Clause, e: &Expr) {
    match e {
        Expr::And(list) => joined(c, list, " AND ", "1", &expr),
        Expr::Or(list) => joined(c, list, " OR ", "0", &expr),
        Expr::Not(inner) => {
            c.push("NOT (");
            expr(c, inner);
            c.push(")");
        }
        Expr::Is(b) => {
            c.push(if *b { "1" } else { "0" });
        }
        Expr::Compare(op, a, b) => {
            c.push("(");
            scalar(c, a);
            c.push(&format!(" {} ", op.sign()));
            scalar(c, b);
            c.push(")");
        }
        Expr::Like(a, pattern) => {
            c.push("graticule_like(");
            scalar(c, a);
            c.push(", ");
            scalar(c, pattern);
            c.push(")");
        }
        Expr::Between(a, low, high) => {
            c.push("(");
            scalar(c, a);
            c.push(" BETWEEN ");
            scalar(c, low);
            c.push(" AND ");
            scalar(c, high);
            c.push(")");
        }
        Expr::In(a, list) => {
            c.push("(");
            scalar(c, a);
            c.push(" IN (");
            for (i, v) in list.iter().enumerate() {
                c.push(if i > 0 { ", " } else { "" });
                scalar(c, v);
            }
            c.push("))");
        }
        Expr::IsNull(Scalar::Property(p)) if p.sql.is_empty() => {
            c.push("(i.west IS NULL)");
        }
        Expr::IsNull(a) => {
            c.push("(");
            scalar(c, a);
            c.push(" IS NULL)");
        }
        Expr::Spatial(op, shape) => relates(c, *op, shape),
        Expr::Temporal(op, a, b) => temporal(c, *op, a, b),
    }
}

/// Of [a, b] and [p, q].
fn temporal(c: &mut Clause, op: Temporal, Span(a, b): &Span, Span(p, q): &Span) {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    let conditions: &[(&Scalar, Comparison, &Scalar)] = match op {
        Temporal::After => &[(a, Greater, q)],
        Temporal::Before => &[(b, Less, p)],
        Temporal::Contains => &[(a, Less, p), (b, Greater, q)],
        Temporal::During => &[(a, Greater, p), (b, Less, q)],
        Temporal::Equals => &[(a, Equal, p), (b, Equal, q)],
        Temporal::FinishedBy => &[(a, Less, p), (b, Equal, q)],
        Temporal::Finishes => &[(a, Greater, p), (b, Equal, q)],
        Temporal::Disjoint | Temporal::Intersects => &[(a, LessOrEqual, q), (b, GreaterOrEqual, p)],
        Temporal::Meets => &[(b, Equal, p)],
        Temporal::MetBy => &[(a, Equal, q)],
        Temporal::OverlappedBy => &[(a, Greater, p), (a, Less, q), (b, Greater, q)],
        Temporal::Overlaps => &[(a, Less, p), (b, Greater, p), (b, Less, q)],
        Temporal::StartedBy => &[(a, Equal, p), (b, Greater, q)],
        Temporal::Starts => &[(a, Equal, p), (b, Less, q)],
    };
    c.push(if op == Temporal::Disjoint { "NOT (" } else { "(" });
    for (i, (x, sign, y)) in conditions.iter().enumerate() {
        c.push(if i > 0 { " AND " } else { "" });
        scalar(c, x);
        c.push(&format!(" {} ", sign.sign()));
        scalar(c, y);
    }
    c.push(")");
}

fn scalar(c: &mut Clause, s: &Scalar) {
    match s {
        Scalar::Property(p) => {
            c.push(p.sql);
        }
        Scalar::Text(t) => {
            c.bind(Sql::Text(t.clone()));
        }
        Scalar::Number(n) | Scalar::Time(n) => {
            c.number(*n);
        }
        Scalar::Bool(b) => {
            c.push(if *b { "1" } else { "0" });
        }
        Scalar::Folded(inner) => {
            c.push("graticule_fold(");
            scalar(c, inner);
            c.push(")");
        }
        Scalar::Arithmetic(op, a, b) => {
            let (before, between) = match op {
                Arithmetic::Add => ("(", " + "),
                Arithmetic::Subtract => ("(", " - "),
                Arithmetic::Multiply => ("(", " * "),
                Arithmetic::Divide => ("(1.0 * ", " / "),
                Arithmetic::Quotient => ("graticule_quotient(", ", "),
                Arithmetic::Remainder => ("graticule_remainder(", ", "),
                Arithmetic::Power => ("graticule_power(", ", "),
            };
            c.push(before);
            scalar(c, a);
            c.push(between);
            scalar(c, b);
            c.push(")");
        }
    }
}
