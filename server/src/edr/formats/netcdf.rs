//! NetCDF-4 by CF-1.11: dimensions of latitude and longitude for a grid, one of cells, samples or
//! stations for places in a list (CF section 9, "multidimensional array representation").

use std::borrow::Cow;

use graticule_shared::cube::{Role, Variable};
use graticule_shared::dtype::DataType;
use graticule_shared::units;
use netcdf_core::NcAttrValue;
use netcdf_writer::{DimensionId, NcFileBuilder, NcWriteFormat, NcWriteOptions, VariableId};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::coverage::{Coverage, Domain, Field, Labels, Selected};
use crate::catalog::tokens::hex;
use crate::opened::unravel;
use crate::problem::{Answer, Problem};

/// What the file says of where it comes from: attributes of the whole, by name.
#[derive(Debug, Clone, Default)]
pub struct Source {
    pub attributes: Vec<(String, String)>,
}

type Result<T> = std::result::Result<T, netcdf_writer::Error>;

pub fn write(coverages: &[Coverage], source: &Source) -> Answer<Vec<u8>> {
    File::default().whole(coverages, source).map_err(Problem::internal)
}

/// A dimension that is written.
struct Axis {
    name: String,
    /// What it would be called where that was free.
    asked: String,
    bits: Vec<u64>,
    attributes: Vec<(String, String)>,
    id: DimensionId,
}

/// An auxiliary coordinate that is written.
struct Auxiliary {
    name: String,
    /// What it would be called where that was free.
    asked: String,
    dims: Vec<DimensionId>,
    bits: Vec<u64>,
}

#[derive(Default)]
struct File {
    builder: NcFileBuilder,
    /// Dimensions by name, with their coordinates' values, so that those which are the same are one.
    dims: Vec<Axis>,
    /// So that those which are the same are one, as of points whose variables differ in dimensions.
    auxiliaries: Vec<Auxiliary>,
    /// Names of variables.
    names: Vec<String>,
    /// Names of what is asked for.
    asked: Vec<String>,
    /// So that variables whose places are the same have one dimension of them.
    lists: Vec<List>,
    /// Latitude and longitude of each set of places, by name.
    systems: Vec<(String, String)>,
    fields: Vec<VariableId>,
}

/// Places along a dimension of their own.
struct List {
    kind: &'static str,
    bits: Vec<(u64, u64)>,
    id: DimensionId,
}

/// The grid mapping's variable.
const CRS: &str = "crs";

impl File {
    fn whole(mut self, coverages: &[Coverage], source: &Source) -> Result<Vec<u8>> {
        for (name, value) in [("Conventions", "CF-1.11")]
            .into_iter()
            .chain(source.attributes.iter().map(|(n, v)| (n.as_str(), v.as_str())))
        {
            self.builder.add_attribute(name, NcAttrValue::Chars(value.to_owned()))?;
        }
        self.names.push(CRS.to_owned());
        self.asked = coverages.iter().flat_map(|c| &c.fields).map(|f| plain(&f.variable.path)).collect();
        self.asked.sort();
        self.asked.dedup();
        let mut left: Vec<&Coverage> = coverages.iter().collect();
        while !left.is_empty() {
            let first = left.remove(0);
            if let Domain::Point { .. } = first.domain {
                // Points of the same kind are stations along one dimension.
                let alike = |c: &&Coverage| {
                    matches!(c.domain, Domain::Point { .. })
                        && c.dims == first.dims
                        && c.fields
                            .iter()
                            .map(|f| &f.variable.path)
                            .eq(first.fields.iter().map(|f| &f.variable.path))
                };
                let (mut same, rest): (Vec<&Coverage>, Vec<&Coverage>) = left.into_iter().partition(alike);
                same.insert(0, first);
                left = rest;
                self.stations(&same)?;
            } else {
                self.coverage(first)?;
            }
        }
        // A grid mapping is of one longitude and one latitude (CF section 5.6).
        if let [_] = self.systems.as_slice() {
            self.crs()?;
        }
        let options = NcWriteOptions { format: NcWriteFormat::Nc4 };
        self.builder.to_vec(options).map(|(_, bytes)| bytes)
    }

    fn crs(&mut self) -> Result<()> {
        let crs = self.builder.add_variable::<i32>(CRS, &[])?;
        self.builder.write_variable(crs, &[0i32])?;
        self.text(crs, "grid_mapping_name", "latitude_longitude")?;
        for (name, value) in [
            ("semi_major_axis", 6_378_137.0),
            ("inverse_flattening", 298.257_223_563),
            ("longitude_of_prime_meridian", 0.0),
        ] {
            self.builder.add_variable_attribute(crs, name, NcAttrValue::Doubles(vec![value]))?;
        }
        for id in std::mem::take(&mut self.fields) {
            self.text(id, "grid_mapping", CRS)?;
        }
        Ok(())
    }

    fn text(&mut self, variable: VariableId, name: &str, value: &str) -> Result<()> {
        self.builder.add_variable_attribute(variable, name, NcAttrValue::Chars(value.to_owned()))
    }

    /// A name of a coordinate or a dimension that no variable has, nor will have: what is asked for
    /// keeps its own.
    fn free(&self, name: &str) -> String {
        self.free_but(name, &self.asked)
    }

    fn free_but(&self, name: &str, kept: &[String]) -> String {
        let plain = plain(name);
        let taken =
            |n: &str| self.names.iter().chain(kept).any(|k| k == n) || self.dims.iter().any(|d| d.name == n);
        if !taken(&plain) {
            return plain;
        }
        (2..).map(|i| format!("{plain}_{i}")).find(|n| !taken(n)).unwrap_or(plain)
    }

    /// A dimension and its coordinate variable; the one that is there already where it is the same.
    fn dimension(
        &mut self,
        name: &str,
        values: &[f64],
        attributes: &[(&str, String)],
    ) -> Result<DimensionId> {
        let bits: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
        let attributes: Vec<(String, String)> =
            attributes.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        let same = |d: &&Axis| d.asked == name && d.bits == bits && d.attributes == attributes;
        if let Some(known) = self.dims.iter().find(same) {
            return Ok(known.id);
        }
        let asked = name.to_owned();
        let name = self.free(name);
        let id = self.builder.add_dimension(name.clone(), values.len() as u64)?;
        let variable = self.builder.add_variable::<f64>(name.clone(), &[id])?;
        self.builder.write_variable(variable, values)?;
        for (key, value) in &attributes {
            self.text(variable, key, value)?;
        }
        self.dims.push(Axis { name, asked, bits, attributes, id });
        Ok(id)
    }

    /// The dimension of places in a list, the one that is there already where they are the same.
    fn list(&mut self, kind: &'static str, longitude: &[f64], latitude: &[f64]) -> Result<DimensionId> {
        let bits: Vec<(u64, u64)> =
            longitude.iter().zip(latitude).map(|(x, y)| (x.to_bits(), y.to_bits())).collect();
        if let Some(known) = self.lists.iter().find(|l| l.kind == kind && l.bits == bits) {
            return Ok(known.id);
        }
        let name = self.free(kind);
        let id = self.builder.add_dimension(name.clone(), bits.len() as u64)?;
        self.dims.push(Axis { name, asked: String::new(), bits: Vec::new(), attributes: Vec::new(), id });
        self.lists.push(List { kind, bits, id });
        Ok(id)
    }

    /// Longitude and latitude of places in a list, or of one place; their names.
    fn places(&mut self, dims: &[DimensionId], longitude: &[f64], latitude: &[f64]) -> Result<[String; 2]> {
        let longitude = self.auxiliary("longitude", dims, longitude, &longitude_attributes())?;
        let latitude = self.auxiliary("latitude", dims, latitude, &latitude_attributes())?;
        self.system(&latitude, &longitude);
        Ok([latitude, longitude])
    }

    fn system(&mut self, latitude: &str, longitude: &str) {
        let names = (latitude.to_owned(), longitude.to_owned());
        if !self.systems.contains(&names) {
            self.systems.push(names);
        }
    }

    fn name_of(&self, id: DimensionId) -> String {
        self.dims.iter().find(|d| d.id == id).map(|d| d.name.clone()).unwrap_or_default()
    }

    fn selected(&mut self, d: &Selected) -> Result<DimensionId> {
        self.dimension(&d.name, stored(&d.labels), &attributes(d))
    }

    /// An auxiliary coordinate, the one that is there already where it is the same; its name.
    fn auxiliary(
        &mut self,
        name: &str,
        dims: &[DimensionId],
        values: &[f64],
        attributes: &[(&str, String)],
    ) -> Result<String> {
        let bits: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
        let same = |a: &&Auxiliary| a.asked == name && a.dims == dims && a.bits == bits;
        if let Some(known) = self.auxiliaries.iter().find(same) {
            return Ok(known.name.clone());
        }
        let asked = name.to_owned();
        let name = self.free(name);
        let variable = self.builder.add_variable::<f64>(name.clone(), dims)?;
        self.builder.write_variable(variable, values)?;
        for (key, value) in attributes {
            self.text(variable, key, value)?;
        }
        self.names.push(name.clone());
        self.auxiliaries.push(Auxiliary { name: name.clone(), asked, dims: dims.to_vec(), bits });
        Ok(name)
    }

    /// Names of coordinates, and of the scalar ones among these.
    fn with_scalars(&mut self, mut names: String, dims: &[Selected]) -> Result<String> {
        for d in dims.iter().filter(|d| d.is_scalar) {
            let mut about = attributes(d);
            about.retain(|(k, _)| *k != "axis");
            let name = self.auxiliary(&d.name, &[], stored(&d.labels), &about)?;
            names = if names.is_empty() { name } else { format!("{names} {name}") };
        }
        Ok(names)
    }

    fn stations(&mut self, points: &[&Coverage]) -> Result<()> {
        let Some(first) = points.first() else { return Ok(()) };
        let places: Vec<(f64, f64)> = points.iter().filter_map(|c| c.domain.place(0)).collect();
        let (x, y): (Vec<f64>, Vec<f64>) = places.into_iter().unzip();
        let mut dims = Vec::new();
        if points.len() > 1 {
            dims.push(self.list("station", &x, &y)?);
        }
        let [latitude, longitude] = self.places(&dims, &x, &y)?;
        let order = order(&first.dims);
        for d in order.iter().filter_map(|i| first.dims.get(*i)).filter(|d| !d.is_scalar) {
            dims.push(self.selected(d)?);
        }
        let coordinates = self.with_scalars(format!("{latitude} {longitude}"), &first.dims)?;
        for (i, field) in first.fields.iter().enumerate() {
            let values: Vec<f64> = points
                .iter()
                .filter_map(|c| Some(ordered(c, &order, &c.fields.get(i)?.values)))
                .flat_map(|values| values.into_owned())
                .collect();
            self.field(&field.variable, &dims, &values, &coordinates)?;
        }
        Ok(())
    }

    fn coverage(&mut self, c: &Coverage) -> Result<()> {
        let order = order(&c.dims);
        let mut dims = Vec::new();
        for i in &order {
            if let Some(d) = c.dims.get(*i).filter(|d| !d.is_scalar) {
                dims.push(self.selected(d)?);
            }
        }
        let coordinates = match &c.domain {
            Domain::Point { .. } => String::new(),
            Domain::Grid { latitude, longitude, .. } => {
                let y = self.dimension("latitude", latitude, &latitude_attributes())?;
                let x = self.dimension("longitude", longitude, &longitude_attributes())?;
                dims.extend([y, x]);
                let names = (self.name_of(y), self.name_of(x));
                self.system(&names.0, &names.1);
                String::new()
            }
            Domain::Cells { longitude, latitude } => {
                let cells = self.list("cell", longitude, latitude)?;
                dims.insert(0, cells);
                self.places(&[cells], longitude, latitude)?.join(" ")
            }
            Domain::Path { longitude, latitude, times, heights } => {
                let samples = self.list("sample", longitude, latitude)?;
                dims.insert(0, samples);
                let mut names = self.places(&[samples], longitude, latitude)?.to_vec();
                if let Some(labels @ Labels::Times { values, .. }) = times {
                    let units = "seconds since 1970-01-01 00:00:00".to_owned();
                    let seconds: Vec<f64> = values.iter().map(|t| epoch_seconds(t, labels)).collect();
                    let mut about = time_attributes(units, labels);
                    about.retain(|(k, _)| *k != "axis");
                    names.push(self.auxiliary("time", &[samples], &seconds, &about)?);
                }
                if let Some(d) = heights {
                    let mut about = attributes(d);
                    about.retain(|(k, _)| *k != "axis");
                    names.push(self.auxiliary(&d.name, &[samples], stored(&d.labels), &about)?);
                }
                names.join(" ")
            }
        };
        let coordinates = self.with_scalars(coordinates, &c.dims)?;
        for Field { variable, values } in &c.fields {
            let values = ordered(c, &order, values);
            self.field(variable, &dims, &values, &coordinates)?;
        }
        Ok(())
    }

    /// A variable, in float32 where that is what is stored.
    fn field(&mut self, v: &Variable, dims: &[DimensionId], values: &[f64], coordinates: &str) -> Result<()> {
        let name = self.free_but(&v.path, &[]);
        self.names.push(name.clone());
        let single = v.packing.dtype == DataType::Float32 && v.packing.is_identity();
        let (id, digest) = if single {
            let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
            let id = self.builder.add_variable::<f32>(name, dims)?;
            self.builder.set_variable_fill_value(id, f32::NAN)?;
            self.builder.write_variable(id, &values)?;
            (id, digest(values.iter().flat_map(|v| v.to_le_bytes())))
        } else {
            let id = self.builder.add_variable::<f64>(name, dims)?;
            self.builder.set_variable_fill_value(id, f64::NAN)?;
            self.builder.write_variable(id, values)?;
            (id, digest(values.iter().flat_map(|v| v.to_le_bytes())))
        };
        for (key, value) in &v.attributes {
            if let (true, Some(text)) = (is_kept(key), value.as_str()) {
                self.text(id, key, text)?;
            }
        }
        let of_temperature = v.units.as_deref().is_some_and(units::has_temperature);
        let said = v.attributes.get("units_metadata").is_some_and(Value::is_string);
        if of_temperature && !said {
            // Section 3.1.2: on a scale or of differences.
            self.text(id, "units_metadata", "temperature: unknown")?;
        }
        if !v.flags.is_empty() {
            let flags: Vec<f64> = v.flags.iter().map(|(f, _)| *f).collect();
            let flags = if single {
                NcAttrValue::Floats(flags.iter().map(|f| *f as f32).collect())
            } else {
                NcAttrValue::Doubles(flags)
            };
            self.builder.add_variable_attribute(id, "flag_values", flags)?;
            let meanings: Vec<&str> = v.flags.iter().map(|(_, m)| m.as_str()).collect();
            self.text(id, "flag_meanings", &meanings.join(" "))?;
        }
        self.fields.push(id);
        if !coordinates.is_empty() {
            self.text(id, "coordinates", coordinates)?;
        }
        self.text(id, "graticule_sha256", &digest)
    }
}

/// Of a variable in a group.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c == '/' { '_' } else { c }).collect()
}

/// Dimensions in the order that CF recommends (section 2.4): time and height last, before a
/// grid's rows and columns.
fn order(dims: &[Selected]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..dims.len()).collect();
    order.sort_by_key(|i| match dims[*i].role {
        Role::T => 1,
        Role::Z => 2,
        _ => 0,
    });
    order
}

/// Values with their dimensions in that order; of places in a list the place first.
fn ordered<'a>(c: &Coverage, order: &[usize], values: &'a [f64]) -> Cow<'a, [f64]> {
    let listed = matches!(c.domain, Domain::Cells { .. } | Domain::Path { .. });
    if !listed && order.is_sorted() {
        return Cow::Borrowed(values);
    }
    let shape: Vec<u64> = c.dims.iter().map(|d| d.indices.len() as u64).collect();
    let wanted: Vec<u64> = order.iter().filter_map(|i| shape.get(*i).copied()).collect();
    let (places, steps) = (c.domain.count(), c.steps());
    let mut out = vec![f64::NAN; values.len()];
    for to in 0..steps {
        let at = unravel(to as u64, &wanted);
        let mut index = vec![0; shape.len()];
        order.iter().zip(at).for_each(|(dim, i)| index[*dim] = i);
        let from = index.iter().zip(&shape).fold(0, |from, (i, n)| from * n + i) as usize;
        for (place, value) in values.iter().skip(from * places).take(places).enumerate() {
            let slot = if listed { place * steps + to } else { to * places + place };
            if let Some(slot) = out.get_mut(slot) {
                *slot = *value;
            }
        }
    }
    Cow::Owned(out)
}

/// Of the values as they lie in the file.
fn digest(bytes: impl Iterator<Item = u8>) -> String {
    let mut hash = Sha256::new();
    let mut block = Vec::with_capacity(1 << 16);
    for b in bytes {
        block.push(b);
        if block.len() == 1 << 16 {
            hash.update(&block);
            block.clear();
        }
    }
    hash.update(&block);
    hex(&hash.finalize())
}

/// What is said of a variable and still holds of a part of it. Names of other variables, of
/// dimensions and of how it was stored do not.
fn is_kept(key: &str) -> bool {
    [
        "units",
        "units_metadata",
        "standard_name",
        "long_name",
        "comment",
        "references",
        "source",
        "institution",
        "description",
    ]
    .contains(&key)
}

fn stored(labels: &Labels) -> &[f64] {
    match labels {
        Labels::Times { stored, .. } => stored,
        Labels::Numbers(values) => values,
    }
}

fn epoch_seconds(text: &str, labels: &Labels) -> f64 {
    use graticule_shared::time::{Calendar, CfTime};
    let calendar = match labels {
        Labels::Times { calendar, .. } => Calendar::parse(calendar).unwrap_or_default(),
        Labels::Numbers(_) => Calendar::default(),
    };
    CfTime::parse(text, calendar).map_or(f64::NAN, |t| t.epoch_secs(calendar))
}

fn time_attributes(units: String, labels: &Labels) -> Vec<(&'static str, String)> {
    let calendar = match labels {
        Labels::Times { calendar, .. } => *calendar,
        Labels::Numbers(_) => "standard",
    };
    let mut out = vec![
        ("standard_name", "time".to_owned()),
        ("long_name", "time".to_owned()),
        ("axis", "T".to_owned()),
        ("units", units),
        ("calendar", calendar.to_owned()),
    ];
    if ["standard", "proleptic_gregorian", "julian"].contains(&calendar) {
        // Section 4.4.1: no source says whether it counted them.
        out.push(("units_metadata", "leap_seconds: unknown".to_owned()));
    }
    out
}

fn attributes(d: &Selected) -> Vec<(&'static str, String)> {
    let units = d.units.clone().unwrap_or_else(|| "1".to_owned());
    if let Labels::Times { .. } = d.labels {
        return time_attributes(units, &d.labels);
    }
    let mut out = vec![("long_name", d.name.replace('_', " ")), ("units", units)];
    if d.role == Role::Z {
        out.push(("axis", "Z".to_owned()));
        out.push(("positive", d.positive().to_owned()));
    }
    out
}

fn longitude_attributes() -> Vec<(&'static str, String)> {
    let of = |a: &'static str, b: &str| (a, b.to_owned());
    vec![of("standard_name", "longitude"), of("long_name", "longitude"), of("units", "degrees_east")]
}

fn latitude_attributes() -> Vec<(&'static str, String)> {
    let of = |a: &'static str, b: &str| (a, b.to_owned());
    vec![of("standard_name", "latitude"), of("long_name", "latitude"), of("units", "degrees_north")]
}
