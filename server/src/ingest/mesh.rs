//! Faces and edges of a mesh that says only where its nodes are.
//!
//! UGRID leaves coordinates of faces and edges to the writer. Where a field lies on
//! faces without them, each gets the middle of its nodes on the sphere, as two variables that the
//! mesh then names: what follows knows cells with places only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use graticule_formats::{AttrValue, FormatError, Header, Source, Variable};
use graticule_shared::dtype::DataType;
use graticule_shared::grid::angle;
use graticule_shared::grid::sphere::{is_place, unit_vector};
use graticule_shared::node;

use super::bins::MAX_CELLS;
use super::{attributes, plan};

/// Rows of a connectivity table read at once.
const ROWS: u64 = 1 << 18;
/// Nodes that one face may have.
const MAX_NODES: u64 = 1024;

struct Placed {
    header: Header,
    inner: Arc<dyn Source>,
    /// Native-endian float64, by variable.
    places: BTreeMap<String, Vec<u8>>,
}

/// `source` with places for what its meshes do not place; itself where they do.
///
/// # Errors
/// Node coordinates or a connectivity that cannot be read.
pub fn placed(source: Arc<dyn Source>) -> Result<Arc<dyn Source>, FormatError> {
    let wanted: BTreeSet<(String, Location)> = source
        .header()
        .variables
        .iter()
        .filter_map(|v| {
            let text = |k: &str| v.attribute(k).and_then(AttrValue::as_text);
            let location = Location::of(text("location")?)?;
            Some((beside(source.header(), &v.path, text("mesh")?)?.path.clone(), location))
        })
        .collect();
    let mut header = source.header().clone();
    let mut places = BTreeMap::new();
    let text = |k: &str, v: &str| (k.to_owned(), AttrValue::Text(v.to_owned()));
    for (mesh, location) in wanted {
        let Some(table) = Table::of(source.header(), &mesh, location) else { continue };
        let middles = table.middles(source.as_ref())?;
        let word = location.word();
        for (values, axis, units) in
            [(middles.0, "longitude", "degrees_east"), (middles.1, "latitude", "degrees_north")]
        {
            header.variables.push(Variable {
                path: format!("{mesh}_{word}_{axis}"),
                dims: vec![table.cells.clone()],
                shape: vec![values.len() as u64],
                dtype: DataType::Float64,
                attributes: vec![
                    text("standard_name", axis),
                    text("units", units),
                    text("comment", "middle of its nodes on the sphere; the file has no place for it"),
                ],
                chunks: None,
            });
            let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_ne_bytes()).collect();
            places.insert(format!("{mesh}_{word}_{axis}"), bytes);
        }
        let key = format!("{word}_coordinates");
        let leaf = plan::leaf(&mesh);
        if let Some(v) = header.variables.iter_mut().find(|v| v.path == mesh) {
            v.attributes.retain(|(name, _)| *name != key);
            v.attributes.push(text(&key, &format!("{leaf}_{word}_longitude {leaf}_{word}_latitude")));
        }
    }
    if places.is_empty() {
        return Ok(source);
    }
    Ok(Arc::new(Placed { header, inner: source, places }))
}

/// The variable that `name` means beside the one at `path`.
fn beside<'h>(header: &'h Header, path: &str, name: &str) -> Option<&'h Variable> {
    node::scope(path, name).find_map(|p| header.variables.iter().find(|v| v.path == p))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Location {
    Face,
    Edge,
}

impl Location {
    fn of(word: &str) -> Option<Self> {
        match word {
            "face" => Some(Self::Face),
            "edge" => Some(Self::Edge),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Face => "face",
            Self::Edge => "edge",
        }
    }
}

/// Which nodes each cell has (UGRID 1.0, `face_node_connectivity`).
struct Table<'h> {
    connectivity: &'h Variable,
    /// Name of the cells' dimension, and which of the table's it is.
    cells: String,
    axis: usize,
    longitude: (&'h Variable, bool),
    latitude: (&'h Variable, bool),
}

impl<'h> Table<'h> {
    /// `None` where the mesh places its cells itself, or says too little.
    fn of(header: &'h Header, mesh: &str, location: Location) -> Option<Self> {
        let variable = header.variables.iter().find(|v| v.path == mesh)?;
        let named = |key: &str| -> Vec<&'h Variable> {
            let names = variable.attribute(key).and_then(AttrValue::as_text).unwrap_or_default();
            names.split_whitespace().filter_map(|n| beside(header, mesh, n)).collect()
        };
        if named(&format!("{}_coordinates", location.word())).len() > 1 {
            return None;
        }
        let connectivity = *named(&format!("{}_node_connectivity", location.word())).first()?;
        let &[rows, columns] = connectivity.shape.as_slice() else { return None };
        let said = variable.attribute(&format!("{}_dimension", location.word())).and_then(AttrValue::as_text);
        // The table may lie on its side; the dimension that fields use tells.
        let used = |d: &String| {
            header.variables.iter().any(|v| {
                let text = |k: &str| v.attribute(k).and_then(AttrValue::as_text);
                text("location") == Some(location.word()) && v.dims.contains(d)
            })
        };
        let axis = connectivity
            .dims
            .iter()
            .position(|d| Some(d.rsplit('/').next().unwrap_or(d)) == said)
            .or_else(|| connectivity.dims.iter().position(used))?;
        let (cells, nodes) = if axis == 0 { (rows, columns) } else { (columns, rows) };
        if cells == 0 || cells > MAX_CELLS || nodes == 0 || nodes > MAX_NODES || connectivity.dtype.is_float()
        {
            return None;
        }
        let nodes = named("node_coordinates");
        let holds = |north: bool| {
            nodes.iter().find_map(|v| Some((*v, angle(&attributes::global(&v.attributes), north)?)))
        };
        let (longitude, latitude) = (holds(false)?, holds(true)?);
        let usable = |v: &Variable| v.shape.len() == 1 && v.shape[0] > 0 && v.shape[0] <= MAX_CELLS;
        if !usable(longitude.0) || !usable(latitude.0) || longitude.0.shape != latitude.0.shape {
            return None;
        }
        Some(Self { connectivity, cells: connectivity.dims[axis].clone(), axis, longitude, latitude })
    }

    /// Longitudes and latitudes in degrees; NaN for a cell without a node that has a place.
    fn middles(&self, source: &dyn Source) -> Result<(Vec<f64>, Vec<f64>), FormatError> {
        let angles = |(v, radians): (&Variable, bool)| -> Result<Vec<f64>, FormatError> {
            let raw = v.dtype.to_f64_vec(&source.read(&v.path, &[0], &v.shape)?);
            let packing = v.packing();
            let degrees = |x: f64| if radians { x.to_degrees() } else { x };
            Ok(raw.into_iter().map(|r| packing.value(r).map_or(f64::NAN, degrees)).collect())
        };
        let (lon, lat) = (angles(self.longitude)?, angles(self.latitude)?);
        let table = self.connectivity;
        let first = table.attribute("start_index").and_then(AttrValue::as_f64).unwrap_or(0.0);
        let packing = table.packing();
        let (cells, nodes) = (table.shape[self.axis], table.shape[1 - self.axis]);
        let (mut out_lon, mut out_lat) = (Vec::new(), Vec::new());
        let mut from = 0;
        while from < cells {
            let n = (ROWS / nodes).clamp(1, cells - from);
            let (mut start, mut count) = ([0; 2], table.shape.clone());
            (start[self.axis], count[self.axis]) = (from, n);
            let raw = table.dtype.to_f64_vec(&source.read(&table.path, &start, &count)?);
            let step = if self.axis == 0 { 1 } else { n };
            for cell in 0..n {
                let begin = if self.axis == 0 { cell * nodes } else { cell };
                let mut sum = [0.0; 3];
                for k in 0..nodes {
                    let Some(node) = raw.get((begin + k * step) as usize) else { continue };
                    let at = node - first;
                    if packing.is_nodata(*node) || at < 0.0 {
                        continue;
                    }
                    let (Some(x), Some(y)) = (lon.get(at as usize), lat.get(at as usize)) else { continue };
                    if is_place(*x, *y) {
                        let v = unit_vector(*x, *y);
                        (0..3).for_each(|i| sum[i] += v[i]);
                    }
                }
                let [x, y, z] = sum;
                let known = x != 0.0 || y != 0.0 || z != 0.0;
                out_lon.push(if known { y.atan2(x).to_degrees() } else { f64::NAN });
                out_lat.push(if known { z.atan2(x.hypot(y)).to_degrees() } else { f64::NAN });
            }
            from += n;
        }
        Ok((out_lon, out_lat))
    }
}

impl Source for Placed {
    fn header(&self) -> &Header {
        &self.header
    }

    fn read(&self, variable: &str, start: &[u64], count: &[u64]) -> Result<Vec<u8>, FormatError> {
        let Some(bytes) = self.places.get(variable) else { return self.inner.read(variable, start, count) };
        let slab = match (start, count) {
            (&[from], &[n]) => {
                let byte = |i: u64| usize::try_from(i.checked_mul(8)?).ok();
                from.checked_add(n).and_then(|to| bytes.get(byte(from)?..byte(to)?))
            }
            _ => None,
        };
        let outside = || FormatError::new("", "a slab outside of it").in_variable(variable);
        slab.map(<[u8]>::to_vec).ok_or_else(outside)
    }
}
