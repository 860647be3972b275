//! The group of one coarser level: its arrays, and coordinates of its own, so that
//! what its arrays name is found beside them.

use std::collections::BTreeSet;

use graticule_formats::FormatError;
use graticule_shared::axis::Axis;
use graticule_shared::cube;
use graticule_shared::dtype::DataType;
use graticule_shared::node;
use serde_json::{Map, Value, json};

use super::attributes;
use super::coordinates::Coordinates;
use super::field::{Field, Level};
use super::grids::Grid;
use super::layout::{Described, Layout, sharded_array, tiled_array, whole_array};
use super::plan::{Continue, Prepared, keep_codecs, leaf, raw_bytes};
use super::whole::Whole;

/// Attributes that no longer hold where values are no more those of the source.
const PACKED: [&str; 10] = [
    "bounds",
    "scale_factor",
    "add_offset",
    "_FillValue",
    "missing_value",
    "_Unsigned",
    "valid_min",
    "valid_max",
    "valid_range",
    "actual_range",
];

/// One level's group while it is filled.
pub struct Group<'a, 'h> {
    pub name: String,
    /// Times that the grid was halved.
    pub k: u32,
    /// The group of the grid that was halved, with its slash; empty for the root.
    pub base: &'a str,
    pub prepared: &'a [Prepared<'h>],
    /// Paths in any group, each made once.
    pub made: &'a mut BTreeSet<String>,
}

impl<'h> Group<'_, 'h> {
    fn path(&self, path: &str) -> String {
        format!("{}/{}", self.name, path.strip_prefix(self.base).unwrap_or(path))
    }

    /// The variable that `name` means beside the variable at `path`: in its group, else in those above.
    fn find(&self, path: &str, name: &str) -> Option<&Prepared<'h>> {
        let at = |path: String| self.prepared.iter().find(|p| p.variable.path == path);
        node::scope(path, name).find_map(at)
    }

    /// Adds the coordinates of a variable, and returns the attributes of its array here.
    ///
    /// # Errors
    /// A coordinate that does not read.
    pub fn coordinates(
        &mut self,
        p: &Prepared<'_>,
        variable: &cube::Variable,
        grid: &Grid,
        read: &mut Coordinates<'_>,
        wholes: &mut Vec<Whole>,
    ) -> Result<Map<String, Value>, FormatError> {
        let mut attributes = p.attributes.clone();
        for key in ["coordinates", "grid_mapping", "cell_measures"] {
            attributes.shift_remove(key);
        }
        let own = &p.variable.path;
        let horizontal_dims = if matches!(grid, Grid::Cells { .. }) { 1 } else { 2 };
        let (leading, horizontal) = p.dims.split_at(p.dims.len().saturating_sub(horizontal_dims));
        // Coordinate variables of the other dimensions, and what `coordinates` names that has no place in the grid.
        let said = |key: &str| p.attributes.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let of_dims = variable.dims.iter().take(leading.len()).filter_map(|d| d.coordinate.clone());
        let mut copies: Vec<String> = of_dims.collect();
        let mut names = Vec::new();
        for name in said("coordinates").split_whitespace() {
            let Some(c) = self.find(own, name) else { continue };
            if c.whole && !c.dims.iter().any(|d| horizontal.contains(d)) {
                copies.push(c.variable.path.clone());
                names.push(name.to_owned());
            }
        }
        if !matches!(grid, Grid::Cells { .. })
            && let Some(name) =
                said("grid_mapping").split_whitespace().next().map(|n| n.trim_end_matches(':'))
            && let Some(c) = self.find(own, name).filter(|c| c.whole)
        {
            copies.push(c.variable.path.clone());
            attributes.insert("grid_mapping".into(), json!(name));
        }
        for path in copies {
            let Some(c) = self.prepared.iter().find(|c| c.variable.path == path && c.whole) else { continue };
            let to = self.path(&path);
            if self.made.insert(to.clone()) {
                wholes.push(unchanged(c, to, read.bytes(c.variable)?));
            }
        }
        match grid {
            Grid::Axes { y, x, rows, columns, .. } => {
                for (path, axis) in [(y, rows), (x, columns)] {
                    let to = self.path(path);
                    if let Some(c) = self.prepared.iter().find(|c| c.variable.path == *path)
                        && self.made.insert(to.clone())
                    {
                        wholes.push(coarser_axis(c, to, axis, self.k));
                    }
                }
            }
            Grid::Curvilinear { latitude, longitude, places, .. } => {
                names.extend([leaf(&latitude.path), leaf(&longitude.path)]);
                if self.made.insert(self.path(&latitude.path)) {
                    let (rows, columns, lon, lat) = places.coarser(self.k);
                    let shape = [rows as u64, columns as u64];
                    for (angles, values, units) in
                        [(latitude, lat, "degrees_north"), (longitude, lon, "degrees_east")]
                    {
                        let to = self.path(&angles.path);
                        self.made.insert(to.clone());
                        let c = self.prepared.iter().find(|c| c.variable.path == angles.path);
                        let mut kept = c.map(|c| c.attributes.clone()).unwrap_or_default();
                        PACKED.iter().chain(&["coordinates"]).for_each(|k| drop(kept.shift_remove(*k)));
                        kept.insert("units".into(), json!(units));
                        let single = c.is_some_and(|c| c.variable.dtype == DataType::Float32);
                        let dtype = if single { DataType::Float32 } else { DataType::Float64 };
                        wholes.push(values_at(to, &shape, horizontal, dtype, &values, kept, f64::NAN));
                    }
                }
            }
            Grid::Cells { latitude, longitude, .. } => {
                for key in ["mesh", "location"] {
                    attributes.shift_remove(key);
                }
                let group = own.rsplit_once('/').map_or(String::new(), |(g, _)| format!("{g}/"));
                let group = group.strip_prefix(self.base).unwrap_or(&group).to_owned();
                if let Some((lat, lon)) = grid.binned_axes(self.k) {
                    for (name, values, standard, units) in [
                        (latitude, lat, "latitude", "degrees_north"),
                        (longitude, lon, "longitude", "degrees_east"),
                    ] {
                        let to = self.path(&format!("{group}{name}"));
                        if self.made.insert(to.clone()) {
                            let kept = json!({"standard_name": standard, "units": units});
                            let kept = kept.as_object().cloned().unwrap_or_default();
                            let (shape, dims) = ([values.len() as u64], [name.clone()]);
                            wholes.push(values_at(to, &shape, &dims, DataType::Float64, &values, kept, 0.0));
                        }
                    }
                }
            }
        }
        if !names.is_empty() {
            let mut seen = BTreeSet::new();
            names.retain(|n| seen.insert(n.clone()));
            attributes.insert("coordinates".into(), json!(names.join(" ")));
        }
        Ok(attributes)
    }
}

impl Prepared<'_> {
    /// The array of a level.
    pub fn level(
        &self,
        field: &Field,
        grid: &Grid,
        group: &Group<'_, '_>,
        attributes: Map<String, Value>,
        goes_on: Option<&Continue<'_>>,
    ) -> Level {
        let v = self.variable;
        let (rows, columns) = grid.shape(group.k);
        let (mut shape, mut dims, axes) = (
            v.shape.clone(),
            self.dims.clone(),
            match grid {
                Grid::Cells { .. } => field.axes.of_binned(),
                _ => field.axes.clone(),
            },
        );
        if let Grid::Cells { latitude, longitude, .. } = grid {
            (shape, dims) = (shape[..axes.row].to_vec(), dims[..axes.row].to_vec());
            shape.extend([rows, columns]);
            dims.extend([latitude.clone(), longitude.clone()]);
        } else {
            let rank = shape.len();
            (shape[rank - 2], shape[rank - 1]) = (rows, columns);
        }
        let rank = shape.len();
        let path = group.path(&v.path);
        let former = goes_on.and_then(|g| g.former.arrays.get(&path));
        let layout = former
            .and_then(|a| Layout::stored(&axes, &a.sharding.as_ref()?.inner_shape, &a.chunk_shape))
            .unwrap_or_else(|| self.layout.coarser(rows, columns));
        let described =
            Described { shape: &shape, dtype: v.dtype, dims: &dims, fill: &self.fill.json, attributes };
        let (inner, shard) =
            (Layout::spread(layout.inner, &axes, rank), Layout::spread(layout.shard, &axes, rank));
        let mut metadata = sharded_array(described, &inner, &shard, self.codec);
        keep_codecs(&mut metadata, former);
        Level { path, metadata, layout, axes, rank, rows, columns }
    }
}

/// A coordinate that is the same at every level.
pub fn unchanged(c: &Prepared<'_>, path: String, bytes: Vec<u8>) -> Whole {
    let mut attributes = c.attributes.clone();
    attributes.shift_remove("bounds");
    let described = Described {
        shape: &c.variable.shape,
        dtype: c.variable.dtype,
        dims: &c.dims,
        fill: &c.fill.json,
        attributes,
    };
    Whole { path, metadata: whole_array(described), bytes }
}

/// An axis at level `k`: halfway along what a cell covers.
fn coarser_axis(c: &Prepared<'_>, path: String, axis: &Axis, k: u32) -> Whole {
    let mut attributes = c.attributes.clone();
    PACKED.iter().for_each(|key| drop(attributes.shift_remove(*key)));
    let unpacked = !c.attributes.contains_key("scale_factor") && !c.attributes.contains_key("add_offset");
    let single = c.variable.dtype == DataType::Float32 && unpacked;
    let dtype = if single { DataType::Float32 } else { DataType::Float64 };
    let n = axis.len().div_ceil(1 << k);
    let values: Vec<f64> = (0..n).filter_map(|j| axis.level_value(k, j)).collect();
    values_at(path, &[n as u64], &c.dims, dtype, &values, attributes, 0.0)
}

fn values_at(
    path: String,
    shape: &[u64],
    dims: &[String],
    dtype: DataType,
    values: &[f64],
    attributes: Map<String, Value>,
    fill: f64,
) -> Whole {
    let bytes: Vec<u8> = values.iter().flat_map(|v| raw_bytes(dtype, *v)).collect();
    let fill = attributes::float_fill(dtype, fill);
    let described = Described { shape, dtype, dims, fill: &fill.json, attributes };
    let metadata = if shape.len() > 1 { tiled_array(described) } else { whole_array(described) };
    Whole { path, metadata, bytes }
}
