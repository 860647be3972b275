//! A source as its recipe wants it: some variables, and attributes put right.

use std::collections::BTreeSet;
use std::sync::Arc;

use graticule_formats::{AttrValue, FormatError, Header, Source, Variable};

use super::plan;
use crate::recipe::Cube;

pub struct Selected {
    header: Header,
    inner: Arc<dyn Source>,
}

impl Selected {
    /// # Errors
    /// A variable or a dimension of the recipe that the source does not have: which is nearest.
    pub fn new(file: &str, inner: Arc<dyn Source>, cube: &Cube) -> Result<Self, FormatError> {
        let mut header = inner.header().clone();
        let wrong = |e: String| FormatError::new(file, e);
        let paths: Vec<&str> = header.variables.iter().map(|v| v.path.as_str()).collect();
        if !cube.variables.is_empty() {
            let skipped = |n: &&String| header.skipped.iter().find(|(s, _)| s == *n);
            if let Some((name, why)) = cube.variables.iter().find_map(|n| skipped(&n)) {
                return Err(wrong(format!("cube.variables: {name:?} cannot be carried over: {why}")));
            }
            let fields = plan::fields(&header).map_err(wrong)?;
            let known: Vec<&str> = paths.iter().copied().filter(|p| fields.contains(*p)).collect();
            let odd: Vec<&String> = cube.variables.iter().filter(|n| !paths.contains(&n.as_str())).collect();
            Cube::check_names(odd, "cube.variables", &known).map_err(wrong)?;
        }
        Cube::check_names(cube.variable_attributes.keys(), "cube.attributes", &paths).map_err(wrong)?;
        let dims: Vec<String> =
            header.variables.iter().flat_map(|v| &v.dims).map(|d| plan::leaf(d)).collect();
        let dims: Vec<&str> = dims.iter().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect();
        Cube::check_names(cube.chunks.keys(), "cube.chunks", &dims).map_err(wrong)?;
        Cube::check_names(cube.shards.keys(), "cube.shards", &dims).map_err(wrong)?;
        if !cube.variables.is_empty() {
            let kept = needed(&header.variables, &cube.variables);
            header.variables.retain(|v| kept.contains(&v.path));
            header.skipped.clear();
            let used: BTreeSet<&String> = header.variables.iter().flat_map(|v| &v.dims).collect();
            header.dimensions.retain(|d| used.contains(&d.name));
        }
        for v in &mut header.variables {
            for (name, value) in cube.variable_attributes.get(&v.path).into_iter().flatten() {
                match v.attributes.iter_mut().find(|(n, _)| n == name) {
                    Some(slot) => slot.1 = value.clone(),
                    None => v.attributes.push((name.clone(), value.clone())),
                }
            }
        }
        Ok(Self { header, inner })
    }
}

/// The chosen variables, and all that they name or that places their cells.
fn needed(all: &[Variable], chosen: &[String]) -> BTreeSet<String> {
    let mut kept: BTreeSet<String> = chosen.iter().cloned().collect();
    let mut next: Vec<String> = chosen.to_vec();
    while let Some(path) = next.pop() {
        let Some(v) = all.iter().find(|v| v.path == path) else { continue };
        let group = path.rsplit_once('/').map(|(g, _)| format!("{g}/")).unwrap_or_default();
        let text = |k: &str| v.attribute(k).and_then(AttrValue::as_text).unwrap_or_default();
        let mut names: Vec<&str> = v.dims.iter().map(String::as_str).collect();
        for key in ["coordinates", "bounds", "climatology", "grid_mapping", "formula_terms", "mesh"] {
            names.extend(text(key).split_whitespace().map(|n| n.trim_end_matches(':')));
        }
        for (key, value) in &v.attributes {
            // A mesh topology names what it is made of (UGRID 1.0).
            if key.ends_with("_connectivity") || key.ends_with("_coordinates") {
                names.extend(value.as_text().unwrap_or_default().split_whitespace());
            }
        }
        for w in all {
            let named = names.iter().any(|n| *n == w.path || format!("{group}{n}") == w.path);
            // Latitudes and longitudes that nobody names still place the cells.
            let places = ["units", "standard_name"].iter().any(|k| {
                let said = w.attribute(k).and_then(AttrValue::as_text).unwrap_or_default();
                matches!(said, "latitude" | "longitude")
                    || said.starts_with("degrees_")
                    || said.starts_with("degree_")
            });
            let within = !w.dims.is_empty() && w.dims.iter().all(|d| v.dims.contains(d));
            if (named || (places && within && chosen.contains(&path))) && kept.insert(w.path.clone()) {
                next.push(w.path.clone());
            }
        }
    }
    kept
}

impl Source for Selected {
    fn header(&self) -> &Header {
        &self.header
    }

    fn read(&self, variable: &str, start: &[u64], count: &[u64]) -> Result<Vec<u8>, FormatError> {
        self.inner.read(variable, start, count)
    }
}
