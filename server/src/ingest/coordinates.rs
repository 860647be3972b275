//! Coordinates of a source, each read once.

use std::collections::BTreeMap;

use graticule_formats::{FormatError, Header, Source, Variable};
use graticule_shared::axis::Axis;
use graticule_shared::grid::Angles;
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

    /// All latitudes or longitudes in degrees, in C order; NaN where there is none. Read in slabs.
    ///
    /// # Errors
    /// The source does not read.
    pub fn degrees(&self, angles: &Angles) -> Result<Vec<f64>, FormatError> {
        const SLAB: u64 = 1 << 20;
        let Some(v) = self.variable(&angles.path) else {
            return Err(FormatError::new("", "no such coordinate").in_variable(&angles.path));
        };
        let (packing, rank) = (v.packing(), v.shape.len());
        let mut out = Vec::new();
        let Some(axis) = v.shape.iter().position(|n| *n > 1) else {
            let bytes = self.source.read(&v.path, &vec![0; rank], &v.shape)?;
            let value = |r: f64| packing.value(r).map_or(f64::NAN, |d| angles.degrees(d));
            return Ok(packing.read_as().to_f64_vec(&bytes).into_iter().map(value).collect());
        };
        let one = v.shape[axis + 1..].iter().product::<u64>();
        let step = (SLAB / one.max(1)).max(1);
        let (mut start, mut count) = (vec![0; rank], v.shape.clone());
        while start[axis] < v.shape[axis] {
            count[axis] = step.min(v.shape[axis] - start[axis]);
            let bytes = self.source.read(&v.path, &start, &count)?;
            let raw = packing.read_as().to_f64_vec(&bytes);
            out.extend(raw.into_iter().map(|r| packing.value(r).map_or(f64::NAN, |d| angles.degrees(d))));
            start[axis] += count[axis];
        }
        Ok(out)
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
