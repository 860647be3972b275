//! What is asked of a table, and the rows that answer it, a page at a time.
//!
//! A page begins after the last row of the one before (keyset), and names the
//! version it is of: rows that come or go in between change nothing.

use std::fmt::Write as _;

use anyhow::Context;
use graticule_formats::table::{Kind, Role, instant};
use rusqlite::types::Value as Sql;
use serde_json::{Value, json};

use super::{Column, Table};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Compare {
    /// `column_gt=…` and so on.
    pub const SUFFIXES: [(&'static str, Compare); 6] = [
        ("_eq", Compare::Equal),
        ("_ne", Compare::NotEqual),
        ("_gt", Compare::Greater),
        ("_ge", Compare::GreaterOrEqual),
        ("_lt", Compare::Less),
        ("_le", Compare::LessOrEqual),
    ];

    const fn sql(self) -> &'static str {
        match self {
            Compare::Equal => "=",
            Compare::NotEqual => "<>",
            Compare::Greater => ">",
            Compare::GreaterOrEqual => ">=",
            Compare::Less => "<",
            Compare::LessOrEqual => "<=",
        }
    }
}

/// One condition on one column.
#[derive(Debug, Clone)]
pub struct Filter {
    pub column: usize,
    pub compare: Compare,
    pub value: Sql,
}

/// Where a page begins: after this value of the ordering column, and this row.
#[derive(Debug, Clone, PartialEq)]
pub struct After {
    pub value: Sql,
    pub row: i64,
}

#[derive(Debug, Clone, Default)]
pub struct Query {
    pub filters: Vec<Filter>,
    /// West, south, east, north; west is greater than east across the antimeridian.
    pub bbox: Option<[f64; 4]>,
    /// First and last microsecond since 1970.
    pub time: Option<(i64, i64)>,
    /// A column, and whether the greatest comes first; by row where there is none.
    pub order: Option<(usize, bool)>,
    pub after: Option<After>,
}

/// A row: its number, and its stored values in the order of the columns.
pub type Row = (i64, Vec<Sql>);

/// A query on one version of a table.
pub struct Asked {
    pub seq: i64,
    pub columns: Vec<Column>,
    pub query: Query,
}

impl Asked {
    fn role(&self, role: Role) -> Option<usize> {
        self.columns.iter().position(|c| c.role == Some(role))
    }

    /// The conditions, and the values that they are about.
    fn conditions(&self) -> (String, Vec<Sql>) {
        let mut sql = "born <= ? AND (died IS NULL OR died > ?)".to_owned();
        let mut values = vec![Sql::Integer(self.seq), Sql::Integer(self.seq)];
        for f in &self.query.filters {
            let _ = write!(sql, " AND c{} {} ?", f.column, f.compare.sql());
            values.push(f.value.clone());
        }
        if let Some([west, south, east, north]) = self.query.bbox
            && let (Some(lat), Some(lon)) = (self.role(Role::Latitude), self.role(Role::Longitude))
        {
            let _ = write!(sql, " AND c{lat} BETWEEN ? AND ?");
            values.extend([Sql::Real(south), Sql::Real(north)]);
            // A longitude may be stored as any of -360 to 360.
            let east = if east < west { east + 360.0 } else { east };
            let turns = [-360.0, 0.0, 360.0, 720.0];
            let any = turns.map(|turn| format!("c{lon} + {turn:?} BETWEEN ? AND ?")).join(" OR ");
            let _ = write!(sql, " AND ({any})");
            values.extend(turns.iter().flat_map(|_| [Sql::Real(west), Sql::Real(east)]));
        }
        if let Some((from, to)) = self.query.time
            && let Some(time) = self.role(Role::Time)
        {
            let _ = write!(sql, " AND c{time} BETWEEN ? AND ?");
            values.extend([Sql::Integer(from), Sql::Integer(to)]);
        }
        (sql, values)
    }

    /// Rows that fit, whatever the page.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn count(&self, table: &Table) -> anyhow::Result<u64> {
        let (conditions, values) = self.conditions();
        let mut q = table.conn.prepare(&format!("SELECT count(*) FROM rows WHERE {conditions}"))?;
        let n: i64 = q.query_row(rusqlite::params_from_iter(values), |r| r.get(0))?;
        Ok(n.max(0) as u64)
    }

    /// At most `limit` rows from where the page begins.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn page(&self, table: &Table, limit: u64) -> anyhow::Result<Vec<Row>> {
        let (mut sql, mut values) = self.conditions();
        let (column, down) = self.query.order.map_or((None, false), |(c, down)| (Some(c), down));
        if let Some(After { value, row }) = &self.query.after {
            match (column, value) {
                (None, _) => {
                    sql += " AND id > ?";
                    values.push(Sql::Integer(*row));
                }
                // Rows without a value come last, either way.
                (Some(c), Sql::Null) => {
                    let _ = write!(sql, " AND c{c} IS NULL AND id > ?");
                    values.push(Sql::Integer(*row));
                }
                (Some(c), v) => {
                    let beyond = if down { "<" } else { ">" };
                    let _ = write!(sql, " AND (c{c} {beyond} ? OR (c{c} = ? AND id > ?) OR c{c} IS NULL)");
                    values.extend([v.clone(), v.clone(), Sql::Integer(*row)]);
                }
            }
        }
        let order = match column {
            Some(c) => format!("c{c} IS NULL, c{c} {}, id", if down { "DESC" } else { "ASC" }),
            None => "id".to_owned(),
        };
        let names: String = (0..self.columns.len()).map(|i| format!(", c{i}")).collect();
        let sql = format!("SELECT id{names} FROM rows WHERE {sql} ORDER BY {order} LIMIT ?");
        values.push(Sql::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
        let mut q = table.conn.prepare_cached(&sql)?;
        let rows = q.query_map(rusqlite::params_from_iter(values), |r| {
            let values = (0..self.columns.len()).map(|i| r.get(i + 1)).collect::<Result<_, _>>()?;
            Ok((r.get(0)?, values))
        })?;
        rows.collect::<Result<_, _>>().context("the table cannot be read")
    }

    /// Where the page after this row begins.
    pub fn after(&self, (row, values): &Row) -> After {
        let value = self.query.order.and_then(|(c, _)| values.get(c).cloned()).unwrap_or(Sql::Null);
        After { value, row: *row }
    }
}

/// `text` as a value that a column of `kind` is compared with; `Err` says what is expected.
pub fn operand(text: &str, kind: Kind) -> Result<Sql, &'static str> {
    let number = || text.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    match kind {
        Kind::Int64 => {
            text.trim().parse().map(Sql::Integer).or_else(|_| number().map(Sql::Real).ok_or("a number"))
        }
        Kind::Float64 => number().map(Sql::Real).ok_or("a number"),
        Kind::Boolean => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(Sql::Integer(1)),
            "false" | "0" => Ok(Sql::Integer(0)),
            _ => Err("true or false"),
        },
        Kind::Timestamp => graticule_formats::table::micros_of(text)
            .map(Sql::Integer)
            .ok_or("an instant such as 2020-01-31T12:00:00Z"),
        Kind::Text | Kind::Empty => Ok(Sql::Text(text.to_owned())),
    }
}

/// A stored value as JSON.
pub fn to_json(value: &Sql, kind: Kind) -> Value {
    match (value, kind) {
        (Sql::Null | Sql::Blob(_), _) => Value::Null,
        (Sql::Integer(v), Kind::Boolean) => json!(*v != 0),
        (Sql::Integer(v), Kind::Timestamp) => json!(instant(*v)),
        (Sql::Integer(v), Kind::Float64) => json!(*v as f64),
        (Sql::Integer(v), _) => json!(v),
        (Sql::Real(v), _) => json!(v),
        (Sql::Text(v), _) => json!(v),
    }
}

/// A stored value as a field of CSV (RFC 4180). Text that a spreadsheet would run as a formula is
/// given an apostrophe, which it shows as the text it is.
pub fn to_csv(out: &mut String, value: &Sql, kind: Kind) {
    match (value, kind) {
        (Sql::Text(text), _) => text_to_csv(out, text),
        (Sql::Null | Sql::Blob(_), _) => {}
        (Sql::Integer(v), Kind::Timestamp) => out.push_str(&instant(*v)),
        (Sql::Integer(v), Kind::Boolean) => out.push_str(if *v != 0 { "true" } else { "false" }),
        (Sql::Integer(v), _) => {
            let _ = write!(out, "{v}");
        }
        // Rust writes the shortest text that reads back as the same number.
        (Sql::Real(v), _) => {
            let _ = write!(out, "{v}");
        }
    }
}

pub fn text_to_csv(out: &mut String, text: &str) {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    if !formula && !text.contains(['"', ',', '\n', '\r']) {
        out.push_str(text);
        return;
    }
    out.push('"');
    if formula {
        out.push('\'');
    }
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

/// A value of a paging token.
pub fn token_value(value: &Sql) -> Value {
    match value {
        Sql::Integer(v) => json!({"i": v}),
        Sql::Real(v) => json!({"f": v}),
        Sql::Text(v) => json!({"t": v}),
        Sql::Null | Sql::Blob(_) => Value::Null,
    }
}

pub fn value_of_token(value: &Value) -> Option<Sql> {
    if value.is_null() {
        return Some(Sql::Null);
    }
    value["i"]
        .as_i64()
        .map(Sql::Integer)
        .or_else(|| value["f"].as_f64().map(Sql::Real))
        .or_else(|| value["t"].as_str().map(|t| Sql::Text(t.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_quoted_where_it_must_be_and_runs_no_formula() {
        let field = |text: &str| {
            let mut out = String::new();
            text_to_csv(&mut out, text);
            out
        };
        assert_eq!(field("plain"), "plain");
        assert_eq!(field("a, \"b\""), "\"a, \"\"b\"\"\"");
        assert_eq!(field("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        assert_eq!(field("-1.5"), "-1.5");
        assert_eq!(field("-"), "\"'-\"");
    }

    #[test]
    fn operands_are_of_the_kind_of_their_column() {
        assert_eq!(operand("3", Kind::Int64), Ok(Sql::Integer(3)));
        assert_eq!(operand("3.5", Kind::Int64), Ok(Sql::Real(3.5)));
        assert_eq!(operand("1970-01-01T00:00:01Z", Kind::Timestamp), Ok(Sql::Integer(1_000_000)));
        assert_eq!(operand("abc", Kind::Float64), Err("a number"));
        assert_eq!(operand("007", Kind::Text), Ok(Sql::Text("007".into())));
    }
}
