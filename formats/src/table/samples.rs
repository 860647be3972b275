//! Discrete samples in NetCDF (CF chapter 9) and Argo profiles, one row an observation.
//!
//! The rows run over the dimensions of the largest variables (`N_PROF`, `N_LEVELS`);
//! what has fewer of them (the position of a profile) is repeated along the others. In
//! ragged arrays (CF section 9.3.3 and 9.3.4) the rows run over the samples, and each
//! finds its instance by a count or an index.

use graticule_shared::cube::Packing;
use graticule_shared::dtype::DataType;
use graticule_shared::time::{Calendar, TimeUnits};

use super::faults::Faults;
use super::values::micros;
use super::{Column, Each, Kind, Role, Table, TableHeader, Value, instant};
use crate::{AttrValue, FormatError, Header, Source, Variable};

/// Elements of a block of rows.
const BLOCK: u64 = 1 << 16;
/// One step of the slowest dimension may have so many rows.
const MAX_STEP: u64 = 1 << 22;
/// Instances of a ragged array.
const MAX_INSTANCES: u64 = 1 << 24;
const MAX_COLUMNS: usize = 1500;

/// CF table 9.1.
const FEATURES: [&str; 6] =
    ["point", "timeseries", "trajectory", "profile", "timeseriesprofile", "trajectoryprofile"];

/// How a variable's values become those of a column.
enum Decode {
    Number(Packing, Kind),
    Time(Packing, TimeUnits),
    /// Characters; the last dimension is the length of a text where there is one.
    Text {
        strings: bool,
    },
}

/// A variable that becomes a column.
struct Field {
    variable: Variable,
    decode: Decode,
    /// For each dimension of the variable, but the length of texts, which of the rows' it is.
    along: Vec<usize>,
    /// It is one value per instance of a ragged array.
    of_instance: bool,
    /// It is measured: a row without any such value is padding.
    measured: bool,
}

/// An opened file of discrete samples.
pub(crate) struct Samples {
    file: String,
    source: Box<dyn Source>,
    header: TableHeader,
    fields: Vec<Field>,
    /// Lengths of the dimensions that the rows run over.
    shape: Vec<u64>,
    /// First row of each instance, for contiguous ragged arrays; instance of each row is read
    /// from the variable named, for indexed ones.
    ragged: Ragged,
}

enum Ragged {
    No,
    /// Rows of each instance end here.
    Counts(Vec<u64>),
    Index(Variable),
}

fn text<'a>(v: &'a Variable, name: &str) -> &'a str {
    v.attribute(name).and_then(AttrValue::as_text).unwrap_or_default().trim()
}

/// True where the file says that it holds samples, not grids.
fn is_samples(header: &Header) -> Option<String> {
    let stated = header
        .attributes
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case("featureType") || n == "CF:featureType")
        .and_then(|(_, v)| v.as_text())
        .unwrap_or_default();
    let has = |name: &str| header.dimensions.iter().any(|d| d.name == name);
    if has("N_PROF") && has("N_LEVELS") {
        return Some("Argo profiles".to_owned());
    }
    let plain = stated.replace('_', "").to_ascii_lowercase();
    FEATURES.contains(&plain.as_str()).then(|| format!("CF {stated}"))
}

impl Samples {
    /// `None` where the file holds grids.
    ///
    /// # Errors
    /// A file of samples in which no observation is found, or that is larger than is read.
    pub(crate) fn open(file: &str, source: Box<dyn Source>) -> Result<Option<Self>, FormatError> {
        let Some(format) = is_samples(source.header()) else { return Ok(None) };
        let h = source.header();
        let numbers = || h.variables.iter().filter(|v| !v.shape.is_empty());
        let ragged_counts = numbers().find(|v| !text(v, "sample_dimension").is_empty());
        let ragged_index = numbers().find(|v| !text(v, "instance_dimension").is_empty());
        let (dims, ragged, instances) = if let Some(v) = ragged_counts {
            let counts = instances(file, source.as_ref(), v)?;
            (vec![text(v, "sample_dimension").to_owned()], Ragged::Counts(counts), v.dims.first().cloned())
        } else if let Some(v) = ragged_index {
            (v.dims.clone(), Ragged::Index(v.clone()), Some(text(v, "instance_dimension").to_owned()))
        } else {
            // The dimensions of the largest variables; of more variables where several are as large.
            let cells = |v: &Variable| v.shape.iter().fold(1u64, |n, d| n.saturating_mul(*d));
            let alike = |v: &&Variable| (cells(v), numbers().filter(|o| o.dims == v.dims).count());
            let Some(largest) = numbers().filter(|v| v.shape.len() <= 3).max_by_key(alike) else {
                return Err(FormatError::new(
                    file,
                    format!("{format}: there is no variable of observations"),
                ));
            };
            (largest.dims.clone(), Ragged::No, None)
        };
        let length = |name: &String| h.dimensions.iter().find(|d| d.name == *name).map(|d| d.len);
        let shape: Option<Vec<u64>> = dims.iter().map(length).collect();
        let shape = shape.ok_or_else(|| {
            FormatError::new(file, format!("the samples are over {}, which is no dimension", dims.join(", ")))
        })?;
        let rows = shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d));
        let step: u64 = shape.iter().skip(1).fold(1, |n, d| n.saturating_mul(*d));
        let Some(rows) = rows.filter(|_| step <= MAX_STEP) else {
            return Err(FormatError::new(
                file,
                format!("one step along {:?} has {step} observations; at most {MAX_STEP} are read", dims[0]),
            ));
        };
        if let Ragged::Counts(ends) = &ragged
            && ends.last().copied().unwrap_or(0) > rows
        {
            return Err(FormatError::new(
                file,
                format!("the counts add up to {}; there are {rows} samples", ends.last().unwrap_or(&0)),
            ));
        }
        let mut fields = Vec::new();
        let mut notes = Vec::new();
        let all = h.variables.iter().map(|v| (v, false)).chain(h.texts.iter().map(|v| (v, true)));
        for (v, is_text) in all {
            match field(v, is_text, &dims, instances.as_deref()) {
                Some(f) if fields.len() < MAX_COLUMNS => fields.push(f),
                _ => notes.push(v.path.clone()),
            }
        }
        let notes = match notes.is_empty() {
            true => Vec::new(),
            false => vec![format!("not along {}, and so left out: {}", dims.join(" and "), notes.join(", "))],
        };
        let columns = columns(&fields, rows);
        if !fields.iter().any(|f| f.measured) {
            return Err(FormatError::new(file, format!("{format}: there is no variable of observations")));
        }
        let title = h.attributes.iter().find(|(n, _)| n == "title").and_then(|(_, v)| v.as_text());
        let header = TableHeader {
            format,
            columns,
            rows,
            key: Vec::new(),
            title: title.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()),
            faults: Faults::default(),
            notes,
        };
        Ok(Some(Self { file: file.to_owned(), source, header, fields, shape, ragged }))
    }

    /// The values of a field for the rows `from..from + count` along the slowest dimension, one an
    /// element of its own slab.
    fn read(&self, field: &Field, from: u64, count: u64) -> Result<Vec<Value>, FormatError> {
        let v = &field.variable;
        let mut start = vec![0; v.shape.len()];
        let mut extent = v.shape.clone();
        if !field.of_instance && field.along.first() == Some(&0) {
            (start[0], extent[0]) = (from, count);
        }
        let bytes = self.source.read(&v.path, &start, &extent)?;
        Ok(match &field.decode {
            Decode::Number(packing, kind) => {
                let raw = packing.read_as().to_f64_vec(&bytes);
                let value = |r: f64| match packing.value(r) {
                    None => Value::Null,
                    Some(x) if !x.is_finite() => Value::Null,
                    Some(x) if *kind == Kind::Int64 => Value::Int(x as i64),
                    Some(x) => Value::Float(x),
                };
                raw.into_iter().map(value).collect()
            }
            Decode::Time(packing, units) => {
                let raw = packing.read_as().to_f64_vec(&bytes);
                let value = |r: f64| {
                    let time = packing.value(r).and_then(|x| units.decode(x).ok());
                    time.and_then(micros).map_or(Value::Null, Value::Time)
                };
                raw.into_iter().map(value).collect()
            }
            Decode::Text { strings } => {
                let length = if *strings { v.shape.last().copied().unwrap_or(1).max(1) as usize } else { 1 };
                let value = |b: &[u8]| {
                    let (text, _) = super::records::decode(b);
                    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace()).to_owned();
                    if text.is_empty() { Value::Null } else { Value::Text(text) }
                };
                bytes.chunks(length).map(value).collect()
            }
        })
    }
}

impl Table for Samples {
    fn header(&self) -> &TableHeader {
        &self.header
    }

    fn rows(&self, kinds: &[Kind], each: &mut Each<'_>) -> Result<Faults, FormatError> {
        let step: u64 = self.shape.iter().skip(1).product();
        let (slowest, block) = (self.shape.first().copied().unwrap_or(0), (BLOCK / step.max(1)).max(1));
        let of_instance: Vec<Option<Vec<Value>>> = self
            .fields
            .iter()
            .map(|f| f.of_instance.then(|| self.read(f, 0, 0)).transpose())
            .collect::<Result<_, _>>()?;
        let mut row = vec![Value::Null; self.fields.len()];
        let mut from = 0;
        while from < slowest {
            let count = block.min(slowest - from);
            let values: Vec<Vec<Value>> = self
                .fields
                .iter()
                .map(|f| if f.of_instance { Ok(Vec::new()) } else { self.read(f, from, count) })
                .collect::<Result<_, _>>()?;
            let index = match &self.ragged {
                Ragged::Index(v) => {
                    let packing = v.packing();
                    packing.read_as().to_f64_vec(&self.source.read(&v.path, &[from], &[count])?)
                }
                _ => Vec::new(),
            };
            for flat in 0..count * step {
                let sample = from * step + flat;
                let instance = match &self.ragged {
                    Ragged::No => None,
                    Ragged::Counts(ends) => Some(ends.partition_point(|end| *end <= sample)),
                    Ragged::Index(_) => {
                        index.get(flat as usize).filter(|i| **i >= 0.0 && i.is_finite()).map(|i| *i as usize)
                    }
                };
                let mut any = false;
                for (((cell, f), values), instances) in
                    row.iter_mut().zip(&self.fields).zip(&values).zip(&of_instance)
                {
                    let found = match instances {
                        Some(list) => instance.and_then(|i| list.get(i)),
                        None => values.get(self.element(f, flat, step)),
                    };
                    *cell = found.cloned().unwrap_or(Value::Null);
                    any |= f.measured && *cell != Value::Null;
                }
                // Rows that only fill a rectangle hold nothing.
                if any {
                    for (cell, kind) in row.iter_mut().zip(kinds) {
                        widen(cell, *kind);
                    }
                    each(&row).map_err(|e| FormatError::new(&self.file, e))?;
                }
            }
            from += count;
        }
        Ok(Faults::default())
    }
}

impl Samples {
    /// Which element of a field's slab belongs to row `flat` of a block.
    fn element(&self, field: &Field, flat: u64, step: u64) -> usize {
        // The index along each of the rows' dimensions, within the block.
        let mut at = [flat / step.max(1), 0, 0];
        let mut rest = flat % step.max(1);
        for axis in (1..self.shape.len().min(3)).rev() {
            at[axis] = rest % self.shape[axis].max(1);
            rest /= self.shape[axis].max(1);
        }
        let along = field.along.iter();
        along.fold(0, |n, axis| n * if *axis == 0 { 0 } else { self.shape[*axis] } + at[*axis]) as usize
    }
}

/// Where the rows of each instance end.
fn instances(file: &str, source: &dyn Source, v: &Variable) -> Result<Vec<u64>, FormatError> {
    let n = v.shape.iter().product::<u64>();
    if v.shape.len() != 1 || n > MAX_INSTANCES {
        return Err(FormatError::new(
            file,
            format!("{n} instances are counted; expected one list of at most {MAX_INSTANCES}"),
        )
        .in_variable(&v.path));
    }
    let packing = v.packing();
    let counts = packing.read_as().to_f64_vec(&source.read(&v.path, &[0], &v.shape)?);
    let mut end = 0u64;
    Ok(counts
        .into_iter()
        .map(|c| {
            end = end.saturating_add(packing.value(c).unwrap_or(0.0).max(0.0) as u64);
            end
        })
        .collect())
}

fn field(v: &Variable, is_text: bool, dims: &[String], instance: Option<&str>) -> Option<Field> {
    let position = |d: &String| dims.iter().position(|r| r == d);
    let places = |own: &[String]| -> Option<Vec<usize>> {
        let along: Vec<usize> = own.iter().map(position).collect::<Option<_>>()?;
        along.windows(2).all(|w| w[0] < w[1]).then_some(along)
    };
    let (own, strings) = match (is_text, v.dims.split_last()) {
        (true, Some((_, before))) if places(&v.dims).is_none() => (before, true),
        _ => (v.dims.as_slice(), false),
    };
    // What says the same of every row is about the file.
    if is_text && own.is_empty() {
        return None;
    }
    let of_instance = instance.is_some_and(|i| own.len() == 1 && own[0] == i);
    let along = if of_instance { Vec::new() } else { places(own)? };
    let units = text(v, "units");
    let calendar = text(v, "calendar");
    let time = TimeUnits::parse(units, (!calendar.is_empty()).then_some(calendar)).ok().filter(|u| {
        // The calendars of years that have the months that clocks have.
        matches!(u.calendar, Calendar::Standard | Calendar::ProlepticGregorian)
    });
    let packing = v.packing();
    let whole = !matches!(packing.read_as(), DataType::Float32 | DataType::Float64) && packing.is_identity();
    let decode = match time {
        _ if is_text => Decode::Text { strings },
        Some(units) => Decode::Time(packing, units),
        None => Decode::Number(packing, if whole { Kind::Int64 } else { Kind::Float64 }),
    };
    let ragged_helper = !text(v, "sample_dimension").is_empty() || !text(v, "instance_dimension").is_empty();
    if ragged_helper {
        return None;
    }
    let coordinate =
        role(v).is_some() || matches!(decode, Decode::Time(..)) || v.dims.first() == Some(&v.path);
    let measured = !is_text && !coordinate && along.len() == dims.len();
    Some(Field { variable: v.clone(), decode, along, of_instance, measured })
}

fn role(v: &Variable) -> Option<Role> {
    let units = text(v, "units").to_ascii_lowercase();
    let leaf = v.path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    match (text(v, "standard_name"), leaf.as_str()) {
        ("latitude", _) | ("", "latitude" | "lat") => Some(Role::Latitude),
        ("longitude", _) | ("", "longitude" | "lon") => Some(Role::Longitude),
        ("time", _) | ("", "time" | "juld") if TimeUnits::looks_like(&units) => Some(Role::Time),
        _ => None,
    }
}

fn columns(fields: &[Field], rows: u64) -> Vec<Column> {
    let mut out: Vec<Column> = Vec::new();
    for f in fields {
        let v = &f.variable;
        let (kind, units) = match &f.decode {
            Decode::Number(_, kind) => (*kind, text(v, "units")),
            Decode::Time(..) => (Kind::Timestamp, "UTC"),
            Decode::Text { .. } => (Kind::Text, ""),
        };
        let role = role(v).filter(|r| !out.iter().any(|c| c.role == Some(*r)));
        let role = role.filter(|r| match r {
            Role::Time => kind == Kind::Timestamp,
            _ => kind == Kind::Float64,
        });
        let description = Some(text(v, "long_name")).filter(|t| !t.is_empty());
        out.push(Column {
            name: v.path.clone(),
            kind,
            units: Some(units).filter(|u| !u.is_empty()).map(str::to_owned),
            role,
            description: description.map(str::to_owned),
            present: rows,
            first_not_integer: None,
            first_not_number: None,
        });
    }
    out
}

/// A value as what the table wants it to be.
fn widen(value: &mut Value, kind: Kind) {
    let wide = match (&*value, kind) {
        (Value::Int(v), Kind::Float64) => Value::Float(*v as f64),
        (Value::Int(v), Kind::Text) => Value::Text(v.to_string()),
        (Value::Float(v), Kind::Text) => Value::Text(v.to_string()),
        (Value::Time(v), Kind::Text) => Value::Text(instant(*v)),
        _ => return,
    };
    *value = wide;
}
