//! Sanity of coordinates before they place anything on a map.
//!
//! A file can be well-formed and still lie: a NaN among its latitudes, a longitude
//! twice, a time in the year 10^12. What would put cells in the wrong place is a
//! reason to refuse the granule; what only makes values odd is a note. Reading is
//! by slabs, so two-dimensional coordinates cost no memory.

mod axes;
mod values;

use graticule_shared::cube::{Role, role_of};

pub use values::{ValueScan, scan_values};

use crate::{AttrValue, FormatError, Header, Source, Variable};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth telling; the granule can be used.
    Note,
    /// Cells or times would be in the wrong place.
    Refuse,
}

/// One thing that is not as CF says.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub severity: Severity,
    /// Variable or dimension.
    pub variable: String,
    /// Flat index of the first value concerned, in C order.
    pub index: Option<u64>,
    pub found: String,
    pub expected: String,
}

impl Finding {
    pub(crate) fn new(
        severity: Severity,
        variable: &str,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            variable: variable.to_owned(),
            index: None,
            found: found.into(),
            expected: expected.into(),
        }
    }

    fn at(mut self, index: u64) -> Self {
        self.index = Some(index);
        self
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.variable)?;
        if let Some(i) = self.index {
            write!(f, ", value {i}")?;
        }
        write!(f, ": {}; expected {}", self.found, self.expected)
    }
}

/// Everything that the header and the coordinates give away, refusals first.
///
/// # Errors
/// A coordinate that cannot be read at all.
pub fn check_coordinates(source: &dyn Source) -> Result<Vec<Finding>, FormatError> {
    let header = source.header();
    let mut findings = header.notes.clone();
    findings.extend(empty_dimensions(header));
    for v in &header.variables {
        packing(v, &mut findings);
        match meaning(header, v) {
            Meaning::Latitude => axes::latitude(source, v, &mut findings)?,
            Meaning::Longitude => axes::longitude(source, v, &mut findings)?,
            Meaning::Time => axes::time(source, v, &mut findings)?,
            Meaning::Position => axes::position(source, v, &mut findings)?,
            Meaning::Other => axes::other(source, v, &mut findings)?,
            Meaning::Data => {}
        }
    }
    findings.sort_by_key(|f| std::cmp::Reverse(f.severity));
    Ok(findings)
}

/// What a variable's values are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Latitude,
    Longitude,
    Time,
    /// Projected or rotated x or y: places cells, in any unit.
    Position,
    /// Another coordinate variable, such as a level.
    Other,
    Data,
}

/// A one-dimensional variable named after its dimension (CF section 1.3).
fn is_coordinate(v: &Variable) -> bool {
    matches!(v.dims.as_slice(), [only] if *only == v.path)
}

fn text<'a>(v: &'a Variable, name: &str) -> &'a str {
    v.attribute(name).and_then(AttrValue::as_text).unwrap_or_default()
}

fn meaning(header: &Header, v: &Variable) -> Meaning {
    let leaf = v.path.rsplit('/').next().unwrap_or_default();
    let attributes = v.attributes.iter().map(|(n, a)| (n.clone(), a.to_json())).collect();
    let role = role_of(leaf, &attributes);
    let units = text(v, "units").to_ascii_lowercase();
    let standard = text(v, "standard_name");
    // A bare "degrees" counts only under a name that leaves no doubt.
    let named = |full: &str, short: &str| {
        let name = leaf.to_ascii_lowercase();
        (name == full || name == short) && matches!(units.as_str(), "" | "degrees" | "degree" | "deg")
    };
    let unit_of = |letter: char, word: &str| {
        units.strip_prefix("degree").is_some_and(|rest| {
            let rest = rest.strip_prefix('s').unwrap_or(rest);
            let rest = rest.strip_prefix('_').unwrap_or(rest);
            rest == word || rest.chars().eq([letter])
        })
    };
    let is_lat = unit_of('n', "north") || standard == "latitude" || named("latitude", "lat");
    let is_lon = unit_of('e', "east") || standard == "longitude" || named("longitude", "lon");
    if is_coordinate(v) {
        return match role {
            Role::Y if is_lat => Meaning::Latitude,
            Role::X if is_lon => Meaning::Longitude,
            Role::T => Meaning::Time,
            Role::X | Role::Y => Meaning::Position,
            _ => Meaning::Other,
        };
    }
    // Only what another variable names as its coordinate places cells; bounds may
    // reach beyond a pole, and a track's "longitude" may be its data.
    let named_by = |attribute: &str| {
        header
            .variables
            .iter()
            .any(|o| text(o, attribute).split_whitespace().any(|w| w == leaf || w == v.path))
    };
    let is_time = role == Role::T && v.shape.len() <= 1;
    if !(is_lat || is_lon || is_time) || named_by("bounds") || !named_by("coordinates") {
        return Meaning::Data;
    }
    match () {
        () if is_lat => Meaning::Latitude,
        () if is_lon => Meaning::Longitude,
        () => Meaning::Time,
    }
}

/// A dimension of length 0 empties what depends on it.
fn empty_dimensions(header: &Header) -> Vec<Finding> {
    // Something remains if any variable that is no coordinate has values.
    let remains =
        header.variables.iter().any(|v| !is_coordinate(v) && !v.shape.is_empty() && !v.shape.contains(&0));
    let used = |name: &str| header.variables.iter().any(|v| v.dims.iter().any(|d| d == name));
    header
        .dimensions
        .iter()
        .filter(|d| d.len == 0)
        .filter_map(|d| {
            let severity = if remains { Severity::Note } else { Severity::Refuse };
            let unlimited = if d.unlimited { "the unlimited dimension" } else { "the dimension" };
            (!remains || used(&d.name)).then(|| {
                Finding::new(
                    severity,
                    &d.name,
                    format!("{unlimited} has length 0, so what depends on it has no values"),
                    "at least one value",
                )
            })
        })
        .collect()
}

/// `scale_factor` and `add_offset` that no value survives.
fn packing(v: &Variable, findings: &mut Vec<Finding>) {
    for name in ["scale_factor", "add_offset"] {
        let Some(attribute) = v.attribute(name) else { continue };
        let fault = match attribute.as_f64() {
            None => Some("not a number".to_owned()),
            Some(x) if !x.is_finite() => Some(x.to_string()),
            Some(0.0) if name == "scale_factor" => Some("0".to_owned()),
            Some(_) => None,
        };
        if let Some(fault) = fault {
            let expected =
                if name == "scale_factor" { "a finite number other than 0" } else { "a finite number" };
            findings.push(Finding::new(
                Severity::Note,
                &v.path,
                format!("{name} is {fault} and is ignored"),
                expected,
            ));
        }
    }
}
