//! CoverageJSON 1.0 (OGC 21-069r2): one coverage for each set of places and axes; a collection
//! where there are several.
//!
//! Its common domain types know x, y, z and t. A dimension that is none of these (a member of an
//! ensemble, a month of a climatology) makes a coverage of each of its values, which say so in
//! their `id` and in `graticule:dimensions`.

use std::borrow::Cow;

use graticule_shared::cube::Role;
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::{Map, Value, json};

use super::super::coverage::{Coverage, Domain, Field, Labels, Selected};
use super::super::property;
use crate::opened::unravel;
use crate::problem::{Answer, Problem};

pub fn write(coverages: &[Coverage]) -> Answer<Vec<u8>> {
    let mut parameters = Map::new();
    for field in coverages.iter().flat_map(|c| &c.fields) {
        parameters.entry(field.variable.path.clone()).or_insert_with(|| parameter(field));
    }
    let apart: Vec<Apart<'_>> = coverages.iter().flat_map(apart).collect();
    let body = match apart.as_slice() {
        [one] => serde_json::to_vec(&Written { of: one, parameters: Some(&parameters) }),
        all => {
            let coverages: Vec<_> = all.iter().map(|of| Written { of, parameters: None }).collect();
            #[derive(Serialize)]
            struct Collection<'a> {
                #[serde(rename = "type")]
                kind: &'static str,
                parameters: &'a Map<String, Value>,
                coverages: Vec<Written<'a>>,
            }
            serde_json::to_vec(&Collection { kind: "CoverageCollection", parameters: &parameters, coverages })
        }
    };
    body.map_err(Problem::internal)
}

/// A coverage at one value of each dimension that CoverageJSON has no axis for.
struct Apart<'a> {
    coverage: Cow<'a, Coverage>,
    /// These dimensions and their values.
    at: Vec<(String, Value)>,
}

/// A list of places has no vertical axis of one step beside it.
fn is_axis(dim: &Selected, domain: &Domain) -> bool {
    let listed = matches!(domain, Domain::Cells { .. } | Domain::Path { .. });
    match dim.role {
        Role::T => true,
        Role::Z => !(dim.is_scalar && listed),
        _ => false,
    }
}

fn apart(coverage: &Coverage) -> Vec<Apart<'_>> {
    let others: Vec<usize> = coverage
        .dims
        .iter()
        .enumerate()
        .filter(|(_, d)| !is_axis(d, &coverage.domain))
        .map(|(i, _)| i)
        .collect();
    if others.is_empty() {
        return vec![Apart { coverage: Cow::Borrowed(coverage), at: Vec::new() }];
    }
    let shape: Vec<u64> = coverage.dims.iter().map(|d| d.indices.len() as u64).collect();
    let wide: Vec<u64> = others.iter().filter_map(|i| shape.get(*i).copied()).collect();
    let places = coverage.domain.count();
    (0..wide.iter().product::<u64>())
        .map(|flat| {
            let chosen = unravel(flat, &wide);
            let here = |step: usize| {
                let at = unravel(step as u64, &shape);
                others.iter().zip(&chosen).all(|(dim, i)| at.get(*dim) == Some(i))
            };
            let fields = coverage.fields.iter().map(|f| Field {
                variable: f.variable.clone(),
                values: (f.values.chunks(places.max(1)).enumerate())
                    .filter(|(step, _)| here(*step))
                    .flat_map(|(_, v)| v.iter().copied())
                    .collect(),
            });
            let at = others.iter().zip(&chosen).filter_map(|(dim, i)| {
                let dim = coverage.dims.get(*dim)?;
                let value = match &dim.labels {
                    Labels::Times { values, .. } => json!(values.get(*i as usize)),
                    Labels::Numbers(values) => json!(values.get(*i as usize)),
                };
                Some((dim.name.clone(), value))
            });
            Apart {
                at: at.collect(),
                coverage: Cow::Owned(Coverage {
                    domain: coverage.domain.clone(),
                    dims: coverage.dims.iter().filter(|d| is_axis(d, &coverage.domain)).cloned().collect(),
                    fields: fields.collect(),
                }),
            }
        })
        .collect()
}

/// Values are written as they are met: as a tree they would take several times the memory.
struct Written<'a> {
    of: &'a Apart<'a>,
    parameters: Option<&'a Map<String, Value>>,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let c = self.of.coverage.as_ref();
        // Axes of one value may be left out of ranges (section 9.5).
        let dims = || c.dims.iter().filter(|d| !d.is_scalar);
        let mut names: Vec<String> = dims().map(|d| axis_key(d).to_owned()).collect();
        let mut shape: Vec<usize> = dims().map(|d| d.indices.len()).collect();
        shape.extend(c.domain.shape());
        names.extend(match &c.domain {
            Domain::Point { .. } => vec![],
            Domain::Grid { .. } => vec!["y".to_owned(), "x".to_owned()],
            Domain::Cells { .. } | Domain::Path { .. } => vec!["composite".to_owned()],
        });
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("type", "Coverage")?;
        if !self.of.at.is_empty() {
            let id: Vec<String> = self.of.at.iter().map(|(name, v)| format!("{name}={v}")).collect();
            map.serialize_entry("id", &id.join(","))?;
            map.serialize_entry("graticule:dimensions", &self.of.at.iter().cloned().collect::<Map<_, _>>())?;
        }
        map.serialize_entry("domain", &WrittenDomain(c))?;
        if let Some(parameters) = self.parameters {
            map.serialize_entry("parameters", parameters)?;
        }
        map.serialize_entry("ranges", &Ranges { fields: &c.fields, names: &names, shape: &shape })?;
        map.end()
    }
}

struct Ranges<'a> {
    fields: &'a [Field],
    names: &'a [String],
    shape: &'a [usize],
}

impl Serialize for Ranges<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct NdArray<'a> {
            #[serde(rename = "type")]
            kind: &'static str,
            #[serde(rename = "dataType")]
            data_type: &'static str,
            #[serde(rename = "axisNames")]
            axis_names: &'a [String],
            shape: &'a [usize],
            values: Numbers<'a>,
        }
        let mut map = s.serialize_map(Some(self.fields.len()))?;
        for f in self.fields {
            let range = NdArray {
                kind: "NdArray",
                data_type: "float",
                axis_names: self.names,
                shape: self.shape,
                values: Numbers(&f.values),
            };
            map.serialize_entry(&f.variable.path, &range)?;
        }
        map.end()
    }
}

/// What is not finite is null.
struct Numbers<'a>(&'a [f64]);

impl Serialize for Numbers<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(|v| v.is_finite().then_some(*v)))
    }
}

struct WrittenDomain<'a>(&'a Coverage);

impl Serialize for WrittenDomain<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let c = self.0;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("type", "Domain")?;
        if let Some(t) = domain_type(c) {
            map.serialize_entry("domainType", t)?;
        }
        map.serialize_entry("axes", &Axes(c))?;
        map.serialize_entry("referencing", &referencing(c))?;
        map.end()
    }
}

/// OGC 21-069r2 section 9.11, "Common domain types".
fn domain_type(c: &Coverage) -> Option<&'static str> {
    let len = |role: Role| c.dims.iter().find(|d| d.role == role).map(|d| d.indices.len());
    match (&c.domain, len(Role::Z), len(Role::T)) {
        (Domain::Point { .. }, None, None) => Some("Point"),
        (Domain::Point { .. }, None | Some(1), Some(1)) | (Domain::Point { .. }, Some(1), None) => {
            Some("Point")
        }
        (Domain::Point { .. }, None | Some(1), Some(_)) => Some("PointSeries"),
        (Domain::Point { .. }, Some(_), None | Some(1)) => Some("VerticalProfile"),
        (Domain::Point { .. }, Some(_), Some(_)) | (Domain::Grid { .. }, ..) => Some("Grid"),
        (Domain::Path { times: Some(_), .. }, None, None) => Some("Trajectory"),
        (Domain::Path { times: Some(_), heights: None, .. }, Some(_), None) => Some("Section"),
        (Domain::Cells { .. } | Domain::Path { times: None, heights: None, .. }, None, None | Some(1)) => {
            Some("MultiPoint")
        }
        (Domain::Cells { .. } | Domain::Path { times: None, heights: None, .. }, None, Some(_)) => {
            Some("MultiPointSeries")
        }
        _ => None,
    }
}

struct Axes<'a>(&'a Coverage);

impl Serialize for Axes<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let c = self.0;
        let mut map = s.serialize_map(None)?;
        let numbers = |v: &[f64]| Values { kind: None, values: v.to_vec() };
        match &c.domain {
            Domain::Point { longitude, latitude } => {
                map.serialize_entry("x", &numbers(&[*longitude]))?;
                map.serialize_entry("y", &numbers(&[*latitude]))?;
            }
            Domain::Grid { latitude, longitude, .. } => {
                map.serialize_entry("x", &numbers(longitude))?;
                map.serialize_entry("y", &numbers(latitude))?;
            }
            Domain::Cells { .. } | Domain::Path { .. } => map.serialize_entry("composite", &Composite(c))?,
        }
        for dim in &c.dims {
            match &dim.labels {
                Labels::Times { values, .. } => {
                    map.serialize_entry(axis_key(dim), &Values { kind: None, values: values.clone() })?;
                }
                Labels::Numbers(values) => map.serialize_entry(axis_key(dim), &numbers(values))?,
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Values<T: Serialize> {
    #[serde(rename = "dataType", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    values: Vec<T>,
}

/// Coordinates of a place of a list, in the order of the tuples.
fn coordinates(domain: &Domain) -> Vec<&'static str> {
    let (times, heights) = match domain {
        Domain::Path { times, heights, .. } => (times.is_some(), heights.is_some()),
        _ => (false, false),
    };
    let all = [(times, "t"), (true, "x"), (true, "y"), (heights, "z")];
    all.into_iter().filter(|(there, _)| *there).map(|(_, name)| name).collect()
}

struct Composite<'a>(&'a Coverage);

impl Serialize for Composite<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(3))?;
        map.serialize_entry("dataType", "tuple")?;
        map.serialize_entry("coordinates", &coordinates(&self.0.domain))?;
        map.serialize_entry("values", &Tuples(&self.0.domain))?;
        map.end()
    }
}

struct Tuples<'a>(&'a Domain);

impl Serialize for Tuples<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let (times, heights) = match self.0 {
            Domain::Path { times, heights, .. } => (times.as_ref(), heights.as_deref()),
            _ => (None, None),
        };
        let mut list = s.serialize_seq(Some(self.0.count()))?;
        for i in 0..self.0.count() {
            let (longitude, latitude) = self.0.place(i).unwrap_or((f64::NAN, f64::NAN));
            let mut tuple: Vec<Value> = vec![json!(longitude), json!(latitude)];
            if let Some(Labels::Times { values, .. }) = times {
                tuple.insert(0, json!(values.get(i)));
            }
            if let Some(Labels::Numbers(values)) = heights.map(|d| &d.labels) {
                tuple.push(json!(values.get(i)));
            }
            list.serialize_element(&tuple)?;
        }
        list.end()
    }
}

fn referencing(c: &Coverage) -> Vec<Value> {
    let mut out = vec![json!({
        "coordinates": ["x", "y"],
        "system": {"type": "GeographicCRS", "id": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"},
    })];
    let temporal = |labels: &Labels| match labels {
        Labels::Times { calendar, .. } => json!({"type": "TemporalRS", "calendar": calendar_uri(calendar)}),
        Labels::Numbers(_) => json!({"type": "IdentifierRS", "targetConcept": {"label": {"en": "time"}}}),
    };
    let vertical = |dim: &Selected| {
        json!({
            "type": "VerticalCRS",
            "cs": {"csAxes": [{
                "name": {"en": dim.name},
                "direction": dim.positive(),
                "unit": {"symbol": dim.units.as_deref().unwrap_or("1")},
            }]},
        })
    };
    if let Domain::Path { times, heights, .. } = &c.domain {
        out.extend(times.iter().map(|t| json!({"coordinates": ["t"], "system": temporal(t)})));
        out.extend(heights.iter().map(|z| json!({"coordinates": ["z"], "system": vertical(z)})));
    }
    for dim in &c.dims {
        let system = if dim.role == Role::Z { vertical(dim) } else { temporal(&dim.labels) };
        out.push(json!({"coordinates": [axis_key(dim)], "system": system}));
    }
    out
}

/// The names that CoverageJSON has for them.
fn axis_key(dim: &Selected) -> &'static str {
    if dim.role == Role::T { "t" } else { "z" }
}

/// CoverageJSON names only the Gregorian calendar; others are URIs.
fn calendar_uri(name: &str) -> String {
    match name {
        "standard" | "proleptic_gregorian" => "Gregorian".into(),
        other => format!("https://cfconventions.org/cf-conventions/cf-conventions.html#{other}"),
    }
}

fn parameter(field: &Field) -> Value {
    let v = &field.variable;
    let mut observed = json!({"label": {"en": v.label()}});
    if let Some(id) = v.standard_name.as_deref().and_then(property) {
        observed["id"] = Value::from(id);
    }
    let mut out = json!({"type": "Parameter", "observedProperty": observed});
    if let Some(units) = v.units.as_ref().filter(|u| !u.trim().is_empty()) {
        out["unit"] = json!({"symbol": units});
    }
    out
}
