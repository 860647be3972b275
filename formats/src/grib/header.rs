//! A cube as the header of a file: dimensions, coordinate variables, attributes.

use std::collections::HashMap;

use graticule_shared::dtype::DataType;

use super::cube::{Bounds, Cube, Levels, MOST_PLACES, Places, Times};
use super::field::{Field, Parameter};
use super::grid::{Attributes, Grid};
use super::groups::{self, Group, Key};
use super::names;
use super::time::HOUR;
use crate::checks::{Finding, Severity};
use crate::{AttrValue, Dimension, Header, Variable};

/// Where a variable's values come from.
#[derive(Debug)]
pub(crate) enum Content {
    /// Native-endian bytes.
    Bytes(Vec<u8>),
    /// A coordinate of a grid.
    Position { grid: usize, coordinate: usize },
    /// Fields.
    Fields(Places),
}

/// What dimensions and coordinates of a grid are called in this file.
#[derive(Clone)]
struct Placed {
    dims: Vec<String>,
    /// Names of coordinates that are no axes.
    auxiliary: Vec<String>,
    mapping: Option<String>,
}

#[derive(Default)]
struct Builder {
    header: Header,
    content: Vec<Content>,
    /// How often a name was asked for.
    names: HashMap<String, usize>,
}

const BOUNDS_DIM: &str = "bnds";

fn text(name: &str, value: impl Into<String>) -> (String, AttrValue) {
    (name.to_owned(), AttrValue::Text(value.into()))
}

fn integer(name: &str, value: i64) -> (String, AttrValue) {
    (name.to_owned(), AttrValue::Ints(DataType::Int32, vec![value]))
}

fn owned(attributes: &Attributes) -> Vec<(String, AttrValue)> {
    attributes.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect()
}

fn f64_bytes(values: impl IntoIterator<Item = f64>) -> Vec<u8> {
    values.into_iter().flat_map(f64::to_ne_bytes).collect()
}

fn i64_bytes(values: impl IntoIterator<Item = i64>) -> Vec<u8> {
    values.into_iter().flat_map(i64::to_ne_bytes).collect()
}

/// Builds the header; `content` is in the order of its variables.
pub(crate) fn build(
    fields: &[Field],
    grids: &[Grid],
    groups: &[Group],
    cube: Cube,
) -> (Header, Vec<Content>) {
    let mut b = Builder::default();
    let times = b.times(&cube.times);
    let members: Vec<Option<String>> = cube.members.iter().map(|m| b.members(m)).collect();
    let levels: Vec<PlacedLevels> = cube.levels.iter().map(|l| b.levels(l)).collect();
    let placed = b.grids(grids, groups);
    let variable_names = groups::names(groups, &b.names.keys().cloned().collect::<Vec<_>>());
    for ((g, name), places) in groups.iter().zip(variable_names).zip(cube.places) {
        let places = match places {
            Ok(places) => places,
            Err(why) => {
                b.header.skipped.push((name, why));
                continue;
            }
        };
        let (Some(grid), Some(at), Some(level)) =
            (grids.get(g.key.grid), placed.get(&g.key.grid), levels.get(places.levels))
        else {
            continue;
        };
        let mut dims = Vec::new();
        let mut coordinates = times.auxiliary.clone();
        if let Some(Some(number)) = places.members.and_then(|m| members.get(m)) {
            if places.members.and_then(|m| cube.members.get(m)).is_some_and(|m| m.len() > 1) {
                dims.push(number.clone());
            } else {
                coordinates.push(number.clone());
            }
        }
        dims.extend(times.dims.iter().cloned());
        match level {
            PlacedLevels::Dimension(name) => dims.push(name.clone()),
            PlacedLevels::Scalar(name) => coordinates.push(name.clone()),
            PlacedLevels::None => {}
        }
        dims.extend(at.dims.iter().cloned());
        coordinates.extend(at.auxiliary.iter().cloned());
        let mut shape = places.outer.clone();
        shape.extend(grid.dims.iter().map(|(_, n)| *n));
        let first = g.fields.first().and_then(|i| fields.get(*i));
        let Some(first) = first else { continue };
        if g.copies > 0 {
            b.note(&name, format!("{} messages say again what another says", g.copies), "each field once");
        }
        if places.holes > 0 {
            b.note(
                &name,
                format!("{} of {} fields are not in the file and are NaN", places.holes, places.fields.len()),
                "a field at every place of the cube",
            );
        }
        let chunks = places.outer.iter().map(|_| 1).chain(grid.dims.iter().map(|(_, n)| *n)).collect();
        let dtype = if g.key.float64 { DataType::Float64 } else { DataType::Float32 };
        let level_value =
            first.product.level.value().filter(|_| !matches!(level, PlacedLevels::Dimension(_)));
        let mut attributes = vec![("_FillValue".to_owned(), AttrValue::Floats(dtype, vec![f64::NAN]))];
        attributes.extend(described(&g.key, grid, first, &coordinates, at));
        if let Some(v) = level_value {
            attributes.push(("GRIB_level".to_owned(), AttrValue::Floats(DataType::Float64, vec![v])));
        }
        b.push(
            Variable { path: name, dims, shape, dtype, attributes, chunks: Some(chunks) },
            Content::Fields(places),
        );
    }
    for grid in placed.keys().filter_map(|g| grids.get(*g)) {
        for note in &grid.notes {
            b.note(grid.type_name, note.clone(), "coordinates without contradiction");
        }
    }
    b.globals(fields, groups);
    (b.header, b.content)
}

/// Attributes of a data variable: CF's, then what the headers say.
fn described(
    key: &Key,
    grid: &Grid,
    first: &Field,
    coordinates: &[String],
    at: &Placed,
) -> Vec<(String, AttrValue)> {
    let mut out = Vec::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            out.push(text(name, value));
        }
    };
    put("long_name", &key.name.long);
    put("units", &key.name.units);
    // Components along the grid are not those along east and north.
    put(
        "standard_name",
        match (key.name.standard.as_str(), grid.along_grid) {
            ("eastward_wind", true) => "x_wind",
            ("northward_wind", true) => "y_wind",
            (name, _) => name,
        },
    );
    put("coordinates", &coordinates.join(" "));
    put("grid_mapping", at.mapping.as_deref().unwrap_or_default());
    put(
        "cell_methods",
        match key.step_type {
            "avg" => "time: mean",
            "accum" | "sum" => "time: sum",
            "max" => "time: maximum",
            "min" => "time: minimum",
            "sd" => "time: standard_deviation",
            "rms" => "time: root_mean_square",
            _ => "",
        },
    );
    put("GRIB_shortName", &key.name.short);
    put("GRIB_typeOfLevel", &key.level.name);
    put("GRIB_stepType", key.step_type);
    put("GRIB_gridType", grid.type_name);
    put("GRIB_packingType", first.encoded.packing.name());
    let centre = names::centre(key.centre).map_or_else(|| key.centre.to_string(), |c| c.0.to_owned());
    put("GRIB_centre", &centre);
    out.push(integer("GRIB_edition", i64::from(first.edition)));
    match key.parameter {
        Parameter::Edition1 { table, indicator } => {
            out.push(integer("GRIB_table2Version", i64::from(table)));
            out.push(integer("GRIB_indicatorOfParameter", i64::from(indicator)));
        }
        Parameter::Edition2 { discipline, category, number } => {
            out.push(integer("GRIB_discipline", i64::from(discipline)));
            out.push(integer("GRIB_parameterCategory", i64::from(category)));
            out.push(integer("GRIB_parameterNumber", i64::from(number)));
        }
    }
    for (name, value) in &key.kind {
        out.push(text(&format!("GRIB_{name}"), value.clone()));
    }
    for (name, value) in &key.split {
        out.push(integer(&format!("GRIB_{name}"), *value));
    }
    if grid.along_grid {
        out.push(integer("GRIB_uvRelativeToGrid", 1));
    }
    out.extend(owned(&grid.attributes));
    out
}

enum PlacedLevels {
    Dimension(String),
    Scalar(String),
    None,
}

struct PlacedTimes {
    dims: Vec<String>,
    auxiliary: Vec<String>,
}

impl Builder {
    fn name(&mut self, base: &str) -> String {
        let n = self.names.entry(base.to_owned()).or_insert(0);
        *n += 1;
        if *n == 1 {
            return base.to_owned();
        }
        let numbered = format!("{base}_{n}");
        self.name(&numbered)
    }

    fn push(&mut self, variable: Variable, content: Content) {
        self.header.variables.push(variable);
        self.content.push(content);
    }

    fn note(&mut self, variable: &str, found: impl Into<String>, expected: &str) {
        self.header.notes.push(Finding::new(Severity::Note, variable, found, expected));
    }

    fn dimension(&mut self, name: &str, len: usize) {
        self.header.dimensions.push(Dimension { name: name.to_owned(), len: len as u64, unlimited: false });
    }

    fn plain(
        &mut self,
        path: &str,
        dims: &[&str],
        shape: &[usize],
        dtype: DataType,
        attributes: Vec<(String, AttrValue)>,
        bytes: Vec<u8>,
    ) {
        let variable = Variable {
            path: path.to_owned(),
            dims: dims.iter().map(|d| (*d).to_owned()).collect(),
            shape: shape.iter().map(|n| *n as u64).collect(),
            dtype,
            attributes,
            chunks: None,
        };
        self.push(variable, Content::Bytes(bytes));
    }

    fn times(&mut self, times: &Times) -> PlacedTimes {
        const SINCE: &str = "seconds since 1970-01-01T00:00:00";
        let stamp = |standard: &str, long: &str, axis: bool| {
            let mut all = vec![
                text("standard_name", standard),
                text("long_name", long),
                text("units", SINCE),
                text("calendar", "proleptic_gregorian"),
            ];
            if axis {
                all.push(text("axis", "T"));
            }
            all
        };
        let lead = || {
            vec![
                text("standard_name", "forecast_period"),
                text("long_name", "time since forecast_reference_time"),
                text("units", "hours"),
            ]
        };
        let hours = |s: &i64| *s as f64 / HOUR as f64;
        let (time, step) = (self.name("time"), self.name("step"));
        let t = time.as_str();
        let reference = ("forecast_reference_time", "initial time of forecast");
        match times {
            Times::Valid(pairs) => {
                let n = pairs.len();
                self.dimension(t, n);
                let valid = i64_bytes(pairs.iter().map(|(r, s)| r.saturating_add(*s)));
                self.plain(t, &[t], &[n], DataType::Int64, stamp("time", "time", true), valid);
                let name = self.name(reference.0);
                let references = i64_bytes(pairs.iter().map(|p| p.0));
                self.plain(
                    &name,
                    &[t],
                    &[n],
                    DataType::Int64,
                    stamp(reference.0, reference.1, false),
                    references,
                );
                let steps = f64_bytes(pairs.iter().map(|p| hours(&p.1)));
                self.plain(&step, &[t], &[n], DataType::Float64, lead(), steps);
                PlacedTimes { dims: vec![time], auxiliary: vec![name, step] }
            }
            Times::Forecast(references, steps) => {
                let (n, m) = (references.len(), steps.len());
                self.dimension(t, n);
                self.dimension(&step, m);
                let bytes = i64_bytes(references.iter().copied());
                self.plain(t, &[t], &[n], DataType::Int64, stamp(reference.0, reference.1, true), bytes);
                self.plain(
                    &step,
                    &[&step],
                    &[m],
                    DataType::Float64,
                    lead(),
                    f64_bytes(steps.iter().map(hours)),
                );
                // Both lists come from the file, and so does the size of their product.
                if n.saturating_mul(m) > MOST_PLACES {
                    return PlacedTimes { dims: vec![time, step], auxiliary: Vec::new() };
                }
                let valid = self.name("valid_time");
                let all = references.iter().flat_map(|r| steps.iter().map(move |s| r.saturating_add(*s)));
                let bytes = i64_bytes(all);
                self.plain(
                    &valid,
                    &[t, &step],
                    &[n, m],
                    DataType::Int64,
                    stamp("time", "time", false),
                    bytes,
                );
                PlacedTimes { dims: vec![time, step], auxiliary: vec![valid] }
            }
        }
    }

    fn members(&mut self, numbers: &[i64]) -> Option<String> {
        let name = self.name("number");
        let attributes = vec![
            text("standard_name", "realization"),
            text("long_name", "ensemble member numerical id"),
            text("units", "1"),
        ];
        let bytes = i64_bytes(numbers.iter().copied());
        if numbers.len() > 1 {
            self.dimension(&name, numbers.len());
            self.plain(&name, &[&name], &[numbers.len()], DataType::Int64, attributes, bytes);
        } else {
            self.plain(&name, &[], &[], DataType::Int64, attributes, bytes);
        }
        Some(name)
    }

    fn levels(&mut self, levels: &Levels) -> PlacedLevels {
        let value = |(a, b): &Bounds| match (*a, *b) {
            (Some(a), Some(b)) => Some((a + b) / 2.0),
            (a, b) => a.or(b),
        };
        let many = levels.values.len() > 1;
        if !many && levels.values.iter().all(|b| value(b).is_none()) {
            return PlacedLevels::None;
        }
        let name = self.name(&levels.kind.name);
        let mut attributes =
            vec![text("long_name", levels.kind.name.as_ref()), text("units", levels.kind.units)];
        for (key, value) in [("standard_name", levels.kind.standard_name), ("positive", levels.kind.positive)]
        {
            if !value.is_empty() {
                attributes.push(text(key, value));
            }
        }
        if many && levels.kind.is_vertical() {
            attributes.push(text("axis", "Z"));
        }
        let dims: &[&str] = if many { &[&name] } else { &[] };
        let n = levels.values.len();
        let shape: &[usize] = if many { &[n] } else { &[] };
        let layers: Option<Vec<[f64; 2]>> = levels.values.iter().map(|(a, b)| Some([(*a)?, (*b)?])).collect();
        let bounds = layers.map(|l| (self.name(&format!("{name}_bnds")), l));
        if let Some((bounds, _)) = &bounds {
            attributes.push(text("bounds", bounds.clone()));
        }
        if many {
            self.dimension(&name, n);
        }
        let bytes = f64_bytes(levels.values.iter().map(|b| value(b).unwrap_or(f64::NAN)));
        self.plain(&name, dims, shape, DataType::Float64, attributes, bytes);
        if let Some((bounds, layers)) = bounds {
            if !self.header.dimensions.iter().any(|d| d.name == BOUNDS_DIM) {
                self.dimension(BOUNDS_DIM, 2);
            }
            let dims: Vec<&str> = dims.iter().copied().chain([BOUNDS_DIM]).collect();
            let shape: Vec<usize> = shape.iter().copied().chain([2]).collect();
            self.plain(
                &bounds,
                &dims,
                &shape,
                DataType::Float64,
                Vec::new(),
                f64_bytes(layers.into_iter().flatten()),
            );
        }
        if many { PlacedLevels::Dimension(name) } else { PlacedLevels::Scalar(name) }
    }

    /// Names dimensions and coordinates of each grid that a variable uses.
    fn grids(&mut self, grids: &[Grid], groups: &[Group]) -> HashMap<usize, Placed> {
        let mut out: HashMap<usize, Placed> = HashMap::new();
        for g in groups.iter().map(|g| g.key.grid) {
            let Some(grid) = grids.get(g).filter(|_| !out.contains_key(&g)) else { continue };
            let dims: Vec<String> = grid.dims.iter().map(|(base, _)| self.name(base)).collect();
            for (name, (_, len)) in dims.iter().zip(&grid.dims) {
                self.dimension(name, *len as usize);
            }
            let mut auxiliary = Vec::new();
            for (i, c) in grid.coordinates.iter().enumerate() {
                let (Some(dim), Some((base, len))) = (dims.get(c.dim), grid.dims.get(c.dim)) else {
                    continue;
                };
                let name = if c.name == *base { dim.clone() } else { self.name(c.name) };
                if name != *dim {
                    auxiliary.push(name.clone());
                }
                let variable = Variable {
                    path: name,
                    dims: vec![dim.clone()],
                    shape: vec![*len],
                    dtype: DataType::Float64,
                    attributes: owned(&c.attributes),
                    chunks: None,
                };
                self.push(variable, Content::Position { grid: g, coordinate: i });
            }
            let mapping = grid.mapping.as_ref().map(|attributes| {
                let kind = attributes.iter().find(|(n, _)| *n == "grid_mapping_name");
                let base = kind.and_then(|(_, v)| v.as_text()).unwrap_or("crs");
                let name = self.name(base);
                self.plain(&name, &[], &[], DataType::Int32, owned(attributes), 0i32.to_ne_bytes().to_vec());
                name
            });
            out.insert(g, Placed { dims, auxiliary, mapping });
        }
        out
    }

    fn globals(&mut self, fields: &[Field], groups: &[Group]) {
        let mut centres: Vec<u16> = Vec::new();
        for g in groups {
            if !centres.contains(&g.key.centre) {
                centres.push(g.key.centre);
            }
        }
        let known: Vec<&str> = centres.iter().filter_map(|c| names::centre(*c)).map(|c| c.1).collect();
        self.header.attributes.push(text("Conventions", "CF-1.11"));
        if !known.is_empty() {
            self.header.attributes.push(text("institution", known.join("; ")));
        }
        if let Some(f) = fields.first() {
            self.header.attributes.push(integer("GRIB_edition", i64::from(f.edition)));
            self.header.attributes.push(integer("GRIB_subCentre", i64::from(f.subcentre)));
        }
    }
}
