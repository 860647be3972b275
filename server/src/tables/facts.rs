//! What a version of a table says of itself: rows, columns, extents.

use graticule_formats::table::{Kind, Role, instant};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::{Column, role_name};
use crate::catalog::Facts;
use crate::catalog::facts::TimeExtent;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TableFacts {
    pub rows: u64,
    pub columns: Vec<ColumnFacts>,
    /// West, south, east, north in degrees.
    pub bbox: Option<[f64; 4]>,
    /// First and last instant, microseconds since 1970.
    pub time: Option<(i64, i64)>,
    pub title: Option<String>,
    /// `CSV`, `NDBC text`, …
    pub format: String,
    /// Columns that together name a row.
    pub key: Vec<String>,
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnFacts {
    pub name: String,
    /// A [`Kind`]'s name.
    pub kind: String,
    pub units: Option<String>,
    pub role: Option<String>,
    pub description: Option<String>,
}

impl From<&Column> for ColumnFacts {
    fn from(c: &Column) -> Self {
        Self {
            name: c.name.clone(),
            kind: c.kind.name().to_owned(),
            units: c.units.clone(),
            role: c.role.map(|r| role_name(r).to_owned()),
            description: c.description.clone(),
        }
    }
}

impl TableFacts {
    /// Counts the living rows and measures their extents.
    pub(super) fn derive(conn: &Connection, columns: &[Column]) -> anyhow::Result<Self> {
        let alive = "FROM rows WHERE died IS NULL";
        let rows: i64 = conn.query_row(&format!("SELECT count(*) {alive}"), [], |r| r.get(0))?;
        let at = |role: Role| columns.iter().position(|c| c.role == Some(role) && c.kind != Kind::Empty);
        let mut facts = Self {
            rows: rows.max(0) as u64,
            columns: columns.iter().map(ColumnFacts::from).collect(),
            ..Self::default()
        };
        if let (Some(lat), Some(lon)) = (at(Role::Latitude), at(Role::Longitude)) {
            // Longitudes of 0 to 360 are brought to -180 to 180.
            let east = format!("(c{lon} - 360.0 * (c{lon} > 180) + 360.0 * (c{lon} < -180))");
            let ends = conn.query_row(
                &format!(
                    "SELECT min({east}), min(c{lat}), max({east}), max(c{lat}) {alive} AND c{lat} IS NOT NULL"
                ),
                [],
                |r| Ok([r.get::<_, Option<f64>>(0)?, r.get(1)?, r.get(2)?, r.get(3)?]),
            )?;
            if let [Some(w), Some(s), Some(e), Some(n)] = ends {
                facts.bbox = Some([w, s, e, n]);
            }
        }
        if let Some(time) = at(Role::Time) {
            let ends = conn.query_row(&format!("SELECT min(c{time}), max(c{time}) {alive}"), [], |r| {
                Ok((r.get::<_, Option<i64>>(0)?, r.get::<_, Option<i64>>(1)?))
            })?;
            facts.time = ends.0.zip(ends.1);
        }
        Ok(facts)
    }

    /// As the catalog keeps them.
    pub fn catalogued(&self) -> Facts {
        Facts {
            title: self.title.clone(),
            bbox: self.bbox,
            time: self.time.map(|(first, last)| TimeExtent {
                start: instant(first),
                end: instant(last),
                calendar: "proleptic_gregorian".to_owned(),
                start_secs: first as f64 / 1e6,
                end_secs: last as f64 / 1e6,
            }),
            notes: self.notes.clone(),
            table: Some(self.clone()),
            ..Facts::default()
        }
    }
}
