//! Rows as Apache Parquet. Times of calendars that no wall clock has are text.

use super::super::Coverage;
use super::rows::{Columns, Label};
use crate::parquet::{self, Column};
use crate::problem::{Answer, Problem};

/// A column being filled.
pub enum Filled {
    Numbers(Vec<f64>),
    /// Microseconds since 1970.
    Instants(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
}

/// Name, unit and values of every column, longitude and latitude first.
pub fn filled(coverages: &[Coverage]) -> Vec<(String, Option<String>, Filled)> {
    let columns = Columns::of(coverages);
    let (mut longitude, mut latitude) = (Vec::new(), Vec::new());
    let mut dims: Vec<Filled> = columns
        .dims
        .iter()
        .map(|d| match d.calendar {
            None => Filled::Numbers(Vec::new()),
            Some("standard" | "proleptic_gregorian") => Filled::Instants(Vec::new()),
            Some(_) => Filled::Texts(Vec::new()),
        })
        .collect();
    let mut parameters: Vec<Vec<f64>> = columns.parameters.iter().map(|_| Vec::new()).collect();
    columns.each(coverages, |row| {
        longitude.push(row.longitude);
        latitude.push(row.latitude);
        for (column, label) in dims.iter_mut().zip(row.labels) {
            match (column, label) {
                (Filled::Numbers(v), Some(Label::Number(n))) => v.push(*n),
                (Filled::Numbers(v), _) => v.push(f64::NAN),
                (Filled::Instants(v), Some(Label::Time(t))) => v.push(micros(t)),
                (Filled::Instants(v), _) => v.push(None),
                (Filled::Texts(v), Some(Label::Time(t))) => v.push(Some((*t).to_owned())),
                (Filled::Texts(v), _) => v.push(None),
            }
        }
        parameters.iter_mut().zip(row.values).for_each(|(column, v)| column.push(*v));
    });
    let degrees = |name: &str, unit: &str, v| (name.to_owned(), Some(unit.to_owned()), Filled::Numbers(v));
    let mut out =
        vec![degrees("longitude", "degrees_east", longitude), degrees("latitude", "degrees_north", latitude)];
    out.extend(columns.dims.into_iter().zip(dims).map(|(d, v)| (d.name, d.units, v)));
    out.extend(
        columns.parameters.into_iter().zip(parameters).map(|(p, v)| (p.name, p.units, Filled::Numbers(v))),
    );
    out
}

fn micros(text: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|t| t.timestamp_micros())
}

pub fn write(coverages: &[Coverage]) -> Answer<Vec<u8>> {
    let all = filled(coverages);
    let columns: Vec<(&str, Column<'_>)> = all
        .iter()
        .map(|(name, _, values)| {
            let column = match values {
                Filled::Numbers(v) => Column::Doubles(v.clone()),
                Filled::Instants(v) => Column::Instants(v.clone()),
                Filled::Texts(v) => Column::Texts(v.iter().map(Option::as_deref).collect()),
            };
            (name.as_str(), column)
        })
        .collect();
    parquet::file(&columns).map_err(Problem::internal)
}
