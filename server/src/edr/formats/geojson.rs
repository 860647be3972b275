//! Rows as GeoJSON (RFC 7946): one point feature for each place and step, its properties the
//! step and the values. No data is null.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::json;

use super::super::Coverage;
use super::rows::{Columns, Label, Row};
use crate::problem::{Answer, Problem};

pub fn write(coverages: &[Coverage]) -> Answer<Vec<u8>> {
    let columns = Columns::of(coverages);
    let parameters: serde_json::Map<_, _> = columns
        .parameters
        .iter()
        .map(|p| (p.name.clone(), json!({"unit": p.units, "standard_name": p.standard_name})))
        .collect();
    let mut out = b"{\"type\":\"FeatureCollection\",\"parameters\":".to_vec();
    serde_json::to_writer(&mut out, &parameters).map_err(Problem::internal)?;
    out.extend_from_slice(b",\"features\":[");
    let (mut first, mut failed) = (true, None);
    columns.each(coverages, |row| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        let feature = Feature {
            kind: "Feature",
            geometry: Point { kind: "Point", coordinates: [row.longitude, row.latitude] },
            properties: Properties { columns: &columns, row: &row },
        };
        if let Err(e) = serde_json::to_writer(&mut out, &feature) {
            failed = Some(e);
        }
    });
    if let Some(e) = failed {
        return Err(Problem::internal(e));
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}

#[derive(Serialize)]
struct Feature<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    geometry: Point,
    properties: Properties<'a>,
}

#[derive(Serialize)]
struct Point {
    #[serde(rename = "type")]
    kind: &'static str,
    coordinates: [f64; 2],
}

struct Properties<'a> {
    columns: &'a Columns,
    row: &'a Row<'a>,
}

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        for (dim, label) in self.columns.dims.iter().zip(self.row.labels) {
            // What tools look for a feature's time under.
            let name = if dim.calendar.is_some() { "datetime" } else { &dim.name };
            match label {
                Some(Label::Time(t)) => map.serialize_entry(name, t)?,
                Some(Label::Number(v)) => map.serialize_entry(name, v)?,
                None => {}
            }
        }
        for (p, v) in self.columns.parameters.iter().zip(self.row.values) {
            map.serialize_entry(&p.name, &v.is_finite().then_some(*v))?;
        }
        map.end()
    }
}
