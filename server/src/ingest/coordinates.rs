//! Coordinates of a source, each read once.

use std::collections::BTreeMap;

use graticule_formats::{FormatError, Header, Source, Variable};
use graticule_shared::axis::Axis;
use graticule_shared::zarr::json_number;

use super::attributes;
use super::plan::leaf;

/// Coordinate values, each read once.
pub struct Coordinates<'a> {
    source: &'a dyn Source,
    header: &'a Header,
    read: BTreeMap<String, Vec<u8>>,
}

impl<'a> Coordinates<'a> {
    pub fn new(source: &'a dyn Source) -> Self {
        Self { source, header: source.header(), read: BTreeMap::new() }
    }

    fn variable(&self, path: &str) -> Option<&Variable> {
        self.header.variables.iter().find(|v| v.path == path)
    }

    /// All values, as stored.
    ///
    /// # Errors
    /// The source does not read.
    pub fn bytes(&mut self, v: &Variable) -> Result<Vec<u8>, FormatError> {
        if let Some(b) = self.read.get(&v.path) {
            return Ok(b.clone());
        }
        if v.shape.contains(&0) {
            return Ok(Vec::new());
        }
        let bytes = self.source.read(&v.path, &vec![0; v.shape.len()], &v.shape)?;
        if v.dims.len() == 1 {
            self.read.insert(v.path.clone(), bytes.clone());
        }
        Ok(bytes)
    }

    /// The unpacked values as an axis, or why they are none.
    ///
    /// # Errors
    /// The source does not read.
    pub fn axis(&mut self, path: &str) -> Result<Result<Axis, String>, FormatError> {
        let Some(v) = self.variable(path).cloned() else { return Ok(Err("no such coordinate".into())) };
        let number = |k: &str| {
            attributes::global(&v.attributes).get(k).and_then(json_number).filter(|f| f.is_finite())
        };
        let (scale, offset) = (number("scale_factor").filter(|s| *s != 0.0), number("add_offset"));
        let raw = v.dtype.to_f64_vec(&self.bytes(&v)?);
        let values = match (scale, offset) {
            (None, None) => raw,
            (s, o) => raw.into_iter().map(|r| r * s.unwrap_or(1.0) + o.unwrap_or(0.0)).collect(),
        };
        Ok(Axis::new(values).map_err(|e| e.to_string()))
    }

    /// Whether this y axis is degrees of latitude, so that cells shrink with its cosine.
    pub fn is_latitude(&self, path: &str) -> bool {
        let Some(v) = self.variable(path) else { return false };
        let text =
            |k: &str| v.attribute(k).and_then(|a| a.as_text()).unwrap_or_default().to_ascii_lowercase();
        let projected =
            text("standard_name").starts_with("projection_") || text("standard_name").starts_with("grid_");
        !projected
            && (text("units").starts_with("degree")
                || text("standard_name") == "latitude"
                || matches!(leaf(path).to_ascii_lowercase().as_str(), "lat" | "latitude" | "nav_lat"))
    }
}
