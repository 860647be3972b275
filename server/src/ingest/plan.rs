//! What to store, decided from the header and the coordinates before any field is read.
//!
//! The plan is the next version's metadata: every node with its `zarr.json`. It
//! reads the roles of dimensions with the very code that readers of the store use
//! ([`graticule_shared::cube`]), so that a pyramid is made where a map will look for one.

use std::collections::{BTreeMap, BTreeSet};

use graticule_formats::{FormatError, Header, Source, Variable};
use graticule_shared::axis::Axis;
use graticule_shared::cube::{Cube, Packing, Role, role_of};
use graticule_shared::dtype::DataType;
use graticule_shared::zarr::Hierarchy;
use serde_json::{Map, Value, json};

use super::attributes::{self, Fill};
use super::coordinates::Coordinates;
use super::field::{Field, Level};
use super::layout::{Axes, Described, Layout, sharded_array, whole_array};
use super::pyramid::{Method, level_count};

/// Coordinates are stored in one chunk, and other one-dimensional arrays while they are small:
/// all of them are in memory at once.
const COORDINATE_BYTES: u64 = 8 << 20;
const WHOLE_BYTES: u64 = 256 << 10;

/// A small array, stored in one chunk: its values are at hand.
pub struct Whole {
    pub path: String,
    pub metadata: Value,
    /// Native-endian; empty where the array has no elements.
    pub bytes: Vec<u8>,
}

pub struct Plan {
    pub root: Map<String, Value>,
    /// Groups below the root and their attributes.
    pub groups: BTreeMap<String, Map<String, Value>>,
    pub wholes: Vec<Whole>,
    pub fields: Vec<Field>,
    pub notes: Vec<String>,
}

/// Continues a collection: keep what is stored, walk only what is new.
pub struct Continue<'a> {
    pub former: &'a Hierarchy,
    /// The dimension that grows, and its former length.
    pub dimension: &'a str,
    pub from: u64,
}

pub fn leaf(name: &str) -> String {
    name.rsplit('/').next().unwrap_or(name).to_owned()
}

/// Metadata as a reader of the store will see it.
pub fn hierarchy(nodes: BTreeMap<String, Value>, root: Map<String, Value>) -> Result<Hierarchy, String> {
    let document = json!({"zarr_format": 3, "node_type": "group", "attributes": root,
        "consolidated_metadata": {"kind": "inline", "must_understand": false, "metadata": nodes}});
    Hierarchy::from_v3(document.to_string().as_bytes()).map_err(|e| e.to_string())
}

/// A name that can be a node: it must stay inside its store and its URL.
fn usable(path: &str) -> Result<(), &'static str> {
    for segment in path.split('/') {
        if segment.is_empty() || segment == "." || segment == ".." {
            return Err("an empty name or one of dots");
        }
        if segment.starts_with("__") || segment == "zarr.json" {
            return Err("a name that Zarr reserves");
        }
        if segment.len() > 200
            || segment.chars().any(|c| c.is_control() || matches!(c, '\\' | '?' | '#' | '%'))
        {
            return Err("characters that no URL path can carry");
        }
    }
    Ok(())
}

/// The time dimensions of a header: those whose coordinate says it is time.
pub fn time_dimensions(header: &Header) -> BTreeSet<String> {
    header
        .variables
        .iter()
        .filter(|v| matches!(v.dims.as_slice(), [only] if *only == v.path))
        .filter(|v| role_of(&leaf(&v.path), &attributes::global(&v.attributes)) == Role::T)
        .map(|v| v.path.clone())
        .collect()
}

struct Prepared<'h> {
    variable: &'h Variable,
    attributes: Map<String, Value>,
    fill: Fill,
    dims: Vec<String>,
    whole: bool,
    axes: Axes,
    layout: Layout,
    metadata: Value,
}

impl Plan {
    /// # Errors
    /// Coordinates that cannot be read, a header that contradicts itself.
    pub fn new(source: &dyn Source, goes_on: Option<&Continue<'_>>) -> Result<Self, FormatError> {
        let header = source.header();
        let mut notes: Vec<String> =
            header.skipped.iter().map(|(name, why)| format!("{name}: not carried over: {why}")).collect();
        let times = time_dimensions(header);
        let mut prepared: Vec<Prepared<'_>> = Vec::new();
        let mut taken: BTreeSet<String> = BTreeSet::new();
        for v in &header.variables {
            if let Err(why) = usable(&v.path) {
                notes.push(format!("{:?}: not carried over: {why}", v.path));
                continue;
            }
            let clash = prepared.iter().any(|p| {
                let (a, b) = (&p.variable.path, &v.path);
                a == b || a.starts_with(&format!("{b}/")) || b.starts_with(&format!("{a}/"))
            });
            if clash {
                notes.push(format!("{:?}: not carried over: its name is also a group's", v.path));
                continue;
            }
            prepared.push(prepare(v, &times, goes_on, &mut notes));
            taken.insert(v.path.split('/').next().unwrap_or_default().to_owned());
        }
        let root = attributes::global(&header.attributes);
        let nodes: BTreeMap<String, Value> =
            prepared.iter().map(|p| (p.variable.path.clone(), p.metadata.clone())).collect();
        let seen = hierarchy(nodes, root.clone()).map_err(|e| FormatError::new("", e))?;
        let cube = Cube::new(&seen);
        let mut plan = Plan { root, groups: BTreeMap::new(), wholes: Vec::new(), fields: Vec::new(), notes };
        let mut coordinates = Coordinates::new(source);
        let prefix = if (1..40).any(|k| taken.contains(&k.to_string())) { "pyramid_" } else { "" };
        let mut most = 0;
        let mut extent: Option<(String, String)> = None;
        // Level groups' coordinates, each once.
        let mut made: BTreeSet<String> = BTreeSet::new();
        for p in &prepared {
            if p.whole {
                plan.wholes.push(Whole {
                    path: p.variable.path.clone(),
                    metadata: p.metadata.clone(),
                    bytes: coordinates.bytes(p.variable)?,
                });
                continue;
            }
            let meant = cube.variable(&p.variable.path);
            let spatial = meant.filter(|v| v.is_mappable() && p.axes.column.is_some()).and_then(|v| {
                let n = v.dims.len();
                Some((v, v.dims[n - 2].coordinate.clone()?, v.dims[n - 1].coordinate.clone()?))
            });
            let mut field = p.field(meant.map(|v| v.packing.clone()), goes_on);
            if let Some((variable, y, x)) = spatial {
                match (coordinates.axis(&y)?, coordinates.axis(&x)?) {
                    (Ok(rows), Ok(columns)) => {
                        extent.get_or_insert_with(|| (y.clone(), x.clone()));
                        let latitude = coordinates.is_latitude(&y);
                        field.areas = rows
                            .values()
                            .iter()
                            .map(|v| if latitude { v.to_radians().cos().abs().max(1e-12) } else { 1.0 })
                            .collect();
                        let levels = level_count(rows.len() as u64, columns.len() as u64);
                        most = most.max(levels);
                        for k in 1..=levels {
                            let group = format!("{prefix}{k}");
                            field.levels.push(p.level(&field, k, &group, goes_on));
                            for d in &variable.dims {
                                let Some(path) = &d.coordinate else { continue };
                                let to = format!("{group}/{path}");
                                let Some(c) = prepared.iter().find(|c| c.variable.path == *path) else {
                                    continue;
                                };
                                if c.whole && made.insert(to.clone()) {
                                    let axis = match () {
                                        () if *path == y => Some(&rows),
                                        () if *path == x => Some(&columns),
                                        () => None,
                                    };
                                    let bytes = coordinates.bytes(c.variable)?;
                                    plan.wholes.push(c.coarser_coordinate(to, axis, k, bytes));
                                }
                            }
                        }
                    }
                    (Err(e), _) => plan.notes.push(format!("{}: no pyramid: {y}: {e}", p.variable.path)),
                    (_, Err(e)) => plan.notes.push(format!("{}: no pyramid: {x}: {e}", p.variable.path)),
                }
            }
            plan.fields.push(field);
        }
        plan.conventions(&mut coordinates, extent, most, prefix)?;
        let paths: Vec<String> = plan
            .wholes
            .iter()
            .map(|w| w.path.clone())
            .chain(plan.fields.iter().flat_map(|f| f.levels.iter().map(|l| l.path.clone())))
            .collect();
        for path in paths {
            let mut at = path.as_str();
            while let Some((group, _)) = at.rsplit_once('/') {
                plan.groups.entry(group.to_owned()).or_default();
                at = group;
            }
        }
        Ok(plan)
    }

    /// Root attributes: `multiscales`, `proj:` and `spatial:` as their conventions say.
    fn conventions(
        &mut self,
        coordinates: &mut Coordinates<'_>,
        extent: Option<(String, String)>,
        levels: u32,
        prefix: &str,
    ) -> Result<(), FormatError> {
        let Some((y, x)) = extent else { return Ok(()) };
        let (Ok(rows), Ok(columns)) = (coordinates.axis(&y)?, coordinates.axis(&x)?) else { return Ok(()) };
        let geographic = coordinates.is_latitude(&y);
        let affine = |k: u32| {
            let f = f64::from(2u32.pow(k));
            let (dx, dy) = (columns.step()?, rows.step()?);
            // The first coarse node is the middle of the nodes it covers.
            Some(json!([
                dx * f,
                0.0,
                columns.first() + dx * (f - 1.0) / 2.0,
                0.0,
                dy * f,
                rows.first() + dy * (f - 1.0) / 2.0
            ]))
        };
        let mut layout = Vec::new();
        for k in 0..=levels {
            let mut entry = if k == 0 {
                json!({"asset": ".", "transform": {"scale": [1.0, 1.0], "translation": [0.0, 0.0]}})
            } else {
                let from = if k == 1 { ".".to_owned() } else { format!("{prefix}{}", k - 1) };
                let mut coarsened = self.fields.iter().filter(|f| f.levels.len() > 1);
                let method = if coarsened.all(|f| f.method == Method::Nearest) {
                    Method::Nearest
                } else {
                    Method::Average
                };
                json!({"asset": format!("{prefix}{k}"), "derived_from": from,
                    "transform": {"scale": [2.0, 2.0], "translation": [0.5, 0.5]},
                    "resampling_method": method.name()})
            };
            entry["spatial:shape"] =
                json!([(rows.len() as u64).div_ceil(1 << k), (columns.len() as u64).div_ceil(1 << k)]);
            if let Some(a) = affine(k) {
                entry["spatial:transform"] = a;
            }
            layout.push(entry);
        }
        let mut conventions = vec![MULTISCALES, SPATIAL];
        if geographic {
            conventions.push(PROJ);
            self.root.insert("proj:code".into(), json!("EPSG:4326"));
        }
        let conventions: Vec<Value> = conventions
            .iter()
            .map(|[schema, spec, uuid, name, about]| {
                json!({"schema_url": schema, "spec_url": spec, "uuid": uuid, "name": name, "description": about})
            })
            .collect();
        let ordered = |(a, b): (f64, f64)| (a.min(b), a.max(b));
        let ((south, north), (west, east)) = (ordered(rows.edges()), ordered(columns.edges()));
        let (south, north) = if geographic { (south.max(-90.0), north.min(90.0)) } else { (south, north) };
        self.root.insert("zarr_conventions".into(), Value::Array(conventions));
        self.root.insert("multiscales".into(), json!({"layout": layout}));
        self.root.insert("spatial:dimensions".into(), json!([leaf(&y), leaf(&x)]));
        self.root.insert("spatial:shape".into(), json!([rows.len(), columns.len()]));
        self.root.insert("spatial:bbox".into(), json!([west, south, east, north]));
        self.root.insert("spatial:registration".into(), json!("node"));
        if let Some(a) = affine(0) {
            self.root.insert("spatial:transform".into(), a);
        }
        Ok(())
    }
}

/// Schema, specification, identifier, name, description.
type Convention = [&'static str; 5];
const MULTISCALES: Convention = [
    "https://raw.githubusercontent.com/zarr-conventions/multiscales/refs/tags/v1/schema.json",
    "https://github.com/zarr-conventions/multiscales/blob/v1/README.md",
    "d35379db-88df-4056-af3a-620245f8e347",
    "multiscales",
    "Multiscale layout of zarr datasets",
];
const PROJ: Convention = [
    "https://raw.githubusercontent.com/zarr-experimental/geo-proj/refs/tags/v1/schema.json",
    "https://github.com/zarr-experimental/geo-proj/blob/v1/README.md",
    "f17cb550-5864-4468-aeb7-f3180cfb622f",
    "proj:",
    "Coordinate reference system information for geospatial data",
];
const SPATIAL: Convention = [
    "https://raw.githubusercontent.com/zarr-conventions/spatial/refs/tags/v1/schema.json",
    "https://github.com/zarr-conventions/spatial/blob/v1/README.md",
    "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4",
    "spatial:",
    "Spatial coordinate information",
];

fn prepare<'h>(
    v: &'h Variable,
    times: &BTreeSet<String>,
    goes_on: Option<&Continue<'_>>,
    notes: &mut Vec<String>,
) -> Prepared<'h> {
    let (attributes, fill) = attributes::of_variable(v, notes);
    let dims: Vec<String> = v.dims.iter().map(|d| leaf(d)).collect();
    let bytes = v.shape.iter().try_fold(v.dtype.size() as u64, |p, n| p.checked_mul(*n)).unwrap_or(u64::MAX);
    let time = v.dims.iter().position(|d| times.contains(d) || goes_on.is_some_and(|g| g.dimension == d));
    let axes = Axes::of(&v.shape, v.dtype, time);
    let length = |a: Option<usize>| a.and_then(|a| v.shape.get(a)).copied().unwrap_or(1);
    let mut layout =
        Layout::plan(&axes, length(axes.step), length(Some(axes.row)), length(axes.column), v.dtype);
    let own = v.dims.as_slice() == [v.path.clone()];
    let most = if own { COORDINATE_BYTES } else { WHOLE_BYTES };
    let mut whole = v.shape.len() < 2 && bytes <= most;
    if let Some(former) = goes_on.and_then(|g| g.former.arrays.get(&v.path)) {
        match &former.sharding {
            Some(s) => {
                whole = false;
                layout = Layout::stored(&axes, &s.inner_shape, &former.chunk_shape).unwrap_or(layout);
            }
            None => whole = bytes <= most,
        }
    }
    let rank = v.shape.len();
    let described = Described {
        shape: &v.shape,
        dtype: v.dtype,
        dims: &dims,
        fill: &fill.json,
        attributes: attributes.clone(),
    };
    let metadata = if whole {
        whole_array(described)
    } else {
        sharded_array(
            described,
            &Layout::spread(layout.inner, &axes, rank),
            &Layout::spread(layout.shard, &axes, rank),
        )
    };
    Prepared { variable: v, attributes, fill, dims, whole, axes, layout, metadata }
}

impl Prepared<'_> {
    fn field(&self, packing: Option<Packing>, goes_on: Option<&Continue<'_>>) -> Field {
        let v = self.variable;
        let categories =
            ["flag_values", "flag_masks", "flag_meanings"].iter().any(|k| self.attributes.contains_key(*k));
        let plain = ["units", "scale_factor", "add_offset"].iter().all(|k| !self.attributes.contains_key(*k));
        let method =
            if categories || (!v.dtype.is_float() && plain) { Method::Nearest } else { Method::Average };
        let packing = packing.unwrap_or(Packing {
            dtype: v.dtype,
            unsigned: false,
            scale: 1.0,
            offset: 0.0,
            nodata: Vec::new(),
        });
        let nodata = match (self.attributes.contains_key("_FillValue"), packing.nodata.first()) {
            (true, _) => self.fill.bytes.clone(),
            // Only a missing_value: that is how this file says it.
            (false, Some(first)) => raw_bytes(packing.read_as(), *first),
            (false, None) if v.dtype.is_float() => raw_bytes(v.dtype, f64::NAN),
            (false, None) => self.fill.bytes.clone(),
        };
        Field {
            source: v.path.clone(),
            dtype: v.dtype,
            shape: v.shape.clone(),
            axes: self.axes.clone(),
            source_chunks: v.chunks.clone(),
            levels: vec![Level {
                path: v.path.clone(),
                metadata: self.metadata.clone(),
                layout: self.layout,
                columns: self.axes.column.map_or(1, |a| v.shape[a]),
            }],
            packing,
            method,
            nodata,
            areas: Vec::new(),
            // Only an array that grows along its steps can be continued; others are written anew.
            from_step: goes_on
                .filter(|g| self.axes.step.is_some_and(|a| v.dims[a] == g.dimension))
                .map_or(0, |g| g.from),
        }
    }

    fn level(&self, field: &Field, k: u32, group: &str, goes_on: Option<&Continue<'_>>) -> Level {
        let v = self.variable;
        let rank = v.shape.len();
        let (rows, columns) = (field.rows().div_ceil(1 << k), field.columns().div_ceil(1 << k));
        let mut shape = v.shape.clone();
        (shape[rank - 2], shape[rank - 1]) = (rows, columns);
        let path = format!("{group}/{}", v.path);
        let former = goes_on.and_then(|g| g.former.arrays.get(&path));
        let layout = former
            .and_then(|a| Layout::stored(&self.axes, &a.sharding.as_ref()?.inner_shape, &a.chunk_shape))
            .unwrap_or_else(|| self.layout.coarser(rows, columns));
        let described = Described {
            shape: &shape,
            dtype: v.dtype,
            dims: &self.dims,
            fill: &self.fill.json,
            attributes: self.attributes.clone(),
        };
        let (inner, shard) =
            (Layout::spread(layout.inner, &self.axes, rank), Layout::spread(layout.shard, &self.axes, rank));
        Level { path, metadata: sharded_array(described, &inner, &shard), layout, columns }
    }

    /// The same coordinate at level `k`: halfway along what a cell covers where it is `axis`, else unchanged.
    fn coarser_coordinate(&self, path: String, axis: Option<&Axis>, k: u32, bytes: Vec<u8>) -> Whole {
        let mut attributes = self.attributes.clone();
        attributes.remove("bounds");
        let Some(axis) = axis else {
            let described = Described {
                shape: &self.variable.shape,
                dtype: self.variable.dtype,
                dims: &self.dims,
                fill: &self.fill.json,
                attributes,
            };
            return Whole { path, metadata: whole_array(described), bytes };
        };
        for packed in [
            "scale_factor",
            "add_offset",
            "_FillValue",
            "missing_value",
            "_Unsigned",
            "valid_min",
            "valid_max",
            "valid_range",
            "actual_range",
        ] {
            attributes.remove(packed);
        }
        let unpacked =
            !self.attributes.contains_key("scale_factor") && !self.attributes.contains_key("add_offset");
        let dtype = if self.variable.dtype == DataType::Float32 && unpacked {
            DataType::Float32
        } else {
            DataType::Float64
        };
        let n = axis.len().div_ceil(1 << k);
        let values = (0..n).filter_map(|j| axis.level_value(k, j));
        let bytes: Vec<u8> = values.flat_map(|v| raw_bytes(dtype, v)).collect();
        let fill = attributes::float_fill(dtype, 0.0);
        let described =
            Described { shape: &[n as u64], dtype, dims: &self.dims, fill: &fill.json, attributes };
        Whole { path, metadata: whole_array(described), bytes }
    }
}

/// One element, native-endian.
fn raw_bytes(dtype: DataType, v: f64) -> Vec<u8> {
    match dtype {
        DataType::Int8 => (v as i8).to_ne_bytes().to_vec(),
        DataType::UInt8 => (v as u8).to_ne_bytes().to_vec(),
        DataType::Int16 => (v as i16).to_ne_bytes().to_vec(),
        DataType::UInt16 => (v as u16).to_ne_bytes().to_vec(),
        DataType::Int32 => (v as i32).to_ne_bytes().to_vec(),
        DataType::UInt32 => (v as u32).to_ne_bytes().to_vec(),
        DataType::Int64 => (v as i64).to_ne_bytes().to_vec(),
        DataType::UInt64 => (v as u64).to_ne_bytes().to_vec(),
        DataType::Float32 => (v as f32).to_ne_bytes().to_vec(),
        DataType::Float64 => v.to_ne_bytes().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_the_store_are_not_carried_over() {
        for bad in ["../etc", "a//b", "a/./b", "__proto", "a\\b", "zarr.json", "x\u{7}", "a?b"] {
            assert!(usable(bad).is_err(), "{bad}");
        }
        assert!(usable("group/sub grid/µ").is_ok());
    }
}
