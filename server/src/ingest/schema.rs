//! Whether a granule fits its collection, and if not, which field differs first.

use std::collections::BTreeMap;

use graticule_formats::{Header, grib_units};
use graticule_shared::zarr::Hierarchy;
use serde_json::{Map, Value};

use super::attributes;

/// Attributes that decide what stored numbers mean.
const MEANING: [&str; 6] =
    ["units", "scale_factor", "add_offset", "_FillValue", "_Unsigned", "flag_meanings"];

struct Entry {
    dtype: String,
    dims: Vec<String>,
    shape: Vec<u64>,
    attributes: Map<String, Value>,
}

impl Entry {
    /// Of a parameter of GRIB its unit as it is written now: older versions have the words of the
    /// tables (`Degree true`, `gpm`), and go on.
    fn grib_units(&self) -> Option<String> {
        let text = |key: &str| self.attributes.get(key).and_then(Value::as_str).unwrap_or_default();
        self.attributes.contains_key("GRIB_edition").then(|| grib_units(text("units"), text("long_name")))
    }
}

/// What all granules of a collection have in common.
pub struct Schema(BTreeMap<String, Entry>);

impl Schema {
    pub fn of_header(header: &Header) -> Self {
        let entry = |v: &graticule_formats::Variable| Entry {
            dtype: v.dtype.zarr_name().to_owned(),
            dims: v.dims.iter().map(|d| leaf(d)).collect(),
            shape: v.shape.clone(),
            attributes: attributes::of_variable(v, &mut Vec::new()).0,
        };
        // Coarser levels that it brings along are no more its schema than those made here.
        let coarser = |path: &str| header.levels.iter().any(|l| path.starts_with(&format!("{l}/")));
        let finest = header.variables.iter().filter(|v| !coarser(&v.path));
        Self(finest.map(|v| (v.path.clone(), entry(v))).collect())
    }

    /// Groups of the coarser levels and of the second layout of a stored version, each with its slash.
    pub fn coarser(h: &Hierarchy) -> Vec<String> {
        let layout = h.attributes.get("multiscales").and_then(|m| m["layout"].as_array());
        let assets = layout.into_iter().flatten().filter_map(|l| l["asset"].as_str());
        let series = h.attributes.get(graticule_shared::cube::SERIES).and_then(Value::as_str);
        assets.filter(|a| *a != ".").chain(series).map(|a| format!("{a}/")).collect()
    }

    /// Of the finest level of a stored version.
    pub fn of_version(h: &Hierarchy) -> Self {
        let coarser = Self::coarser(h);
        let entries = h.arrays.values().filter(|a| !coarser.iter().any(|c| a.path.starts_with(c))).map(|a| {
            let dtype = a.dtype.map(|d| d.zarr_name().to_owned()).unwrap_or_default();
            (
                a.path.clone(),
                Entry {
                    dtype,
                    dims: a.dims.clone(),
                    shape: a.shape.clone(),
                    attributes: a.attributes.clone(),
                },
            )
        });
        Self(entries.collect())
    }

    /// The first difference that keeps `other` out, in words; lengths along `grows` may differ,
    /// and so may the units of the coordinate `grows` and its bounds (they are converted).
    pub fn difference(&self, other: &Self, grows: &str) -> Option<String> {
        let grows_leaf = leaf(grows);
        let bounds = self.0.get(grows).and_then(|t| t.attributes.get("bounds")).and_then(Value::as_str);
        for (path, mine) in &self.0 {
            let Some(theirs) = other.0.get(path) else {
                return Some(format!("variable {path:?}: expected, not found"));
            };
            let differs = |what: &str, expected: String, found: String| {
                (expected != found)
                    .then(|| format!("variable {path:?}: {what}: expected {expected}, found {found}"))
            };
            let lengths = |e: &Entry| {
                let list = e.dims.iter().zip(&e.shape);
                list.map(|(d, n)| if *d == grows_leaf { "any".to_owned() } else { n.to_string() })
                    .collect::<Vec<_>>()
                    .join(" x ")
            };
            let found = differs("type", mine.dtype.clone(), theirs.dtype.clone())
                .or_else(|| differs("dimensions", format!("{:?}", mine.dims), format!("{:?}", theirs.dims)))
                .or_else(|| differs("size", lengths(mine), lengths(theirs)));
            if found.is_some() {
                return found;
            }
            let is_time = path == grows || Some(path.as_str()) == bounds;
            for key in MEANING.iter().filter(|k| !(is_time && **k == "units")) {
                // NetCDF's own fill is meant where none is named, and named where it was met.
                let said = |e: &Entry| match e.attributes.get(*key) {
                    Some(v) if *key == "_FillValue" && *v == attributes::own_fill() => None,
                    other => other.map(Value::to_string),
                };
                let said = |e: &Entry| said(e).unwrap_or_else(|| "nothing".to_owned());
                if *key == "units" && mine.grib_units().is_some_and(|u| theirs.grib_units() == Some(u)) {
                    continue;
                }
                if let Some(found) = differs(key, said(mine), said(theirs)) {
                    return Some(found);
                }
            }
        }
        other
            .0
            .keys()
            .find(|p| !self.0.contains_key(*p))
            .map(|p| format!("variable {p:?}: found, not expected"))
    }
}

fn leaf(name: &str) -> String {
    name.rsplit('/').next().unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use graticule_formats::{AttrValue, Variable};
    use graticule_shared::dtype::DataType;

    fn header(dtype: DataType, units: &str, n: u64) -> Header {
        let v = Variable {
            path: "sst".into(),
            dims: vec!["time".into(), "lat".into()],
            shape: vec![n, 4],
            dtype,
            attributes: vec![("units".into(), AttrValue::Text(units.into()))],
            chunks: None,
        };
        Header { variables: vec![v], ..Header::default() }
    }

    #[test]
    fn the_first_field_that_differs_is_named_with_what_was_expected_and_found() {
        let first = Schema::of_header(&header(DataType::Int16, "kelvin", 3));
        let same = Schema::of_header(&header(DataType::Int16, "kelvin", 5));
        assert_eq!(first.difference(&same, "time"), None);
        let unit = Schema::of_header(&header(DataType::Int16, "degC", 3));
        assert_eq!(
            first.difference(&unit, "time").unwrap(),
            "variable \"sst\": units: expected \"kelvin\", found \"degC\""
        );
        let kind = Schema::of_header(&header(DataType::Float32, "kelvin", 3));
        assert_eq!(
            first.difference(&kind, "time").unwrap(),
            "variable \"sst\": type: expected int16, found float32"
        );
    }
    #[test]
    fn a_collection_with_units_of_the_tables_of_grib_goes_on_with_those_of_cf() {
        let mut swell = ["Degree true", "degree", "K"].map(|u| header(DataType::Int16, u, 3));
        let [plain, cf, _] = swell.each_ref().map(Schema::of_header);
        assert!(plain.difference(&cf, "time").is_some(), "only GRIB's tables say it so");
        for h in &mut swell {
            h.variables[0]
                .attributes
                .push(("GRIB_edition".into(), AttrValue::Ints(DataType::Int64, vec![2])));
        }
        let [old, new, other] = swell.map(|h| Schema::of_header(&h));
        assert_eq!(old.difference(&new, "time"), None, "a collection made before goes on");
        assert!(old.difference(&other, "time").is_some());
    }
}
