//! What a hierarchy means: variables over space and time, after CF.
//!
//! A Zarr store is arrays with attributes. A map needs to know which dimension
//! runs north, which integer is no data, which array is the same field at half
//! the resolution. Those readings are made here, once, from metadata alone; what
//! had to be guessed is said in [`Cube::notes`].

mod levels;
mod packing;

use serde_json::{Map, Value};

use crate::dtype::DataType;
use crate::grid::{Cells, Horizontal, horizontal};
use crate::node;
use crate::time::TimeUnits;
use crate::zarr::{ArrayMeta, Hierarchy, json_number};

use levels::{LayoutLevel, pyramid_layout, strip_level};
pub use packing::{FILL_FLOAT, Packing, packing};

/// What a dimension runs along (CF section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    X,
    Y,
    Z,
    T,
    Other,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Dim {
    pub name: String,
    pub len: u64,
    pub role: Role,
    /// Path of the coordinate variable, where there is one.
    pub coordinate: Option<String>,
    pub units: Option<String>,
    pub calendar: Option<String>,
    /// CF `positive`, for vertical coordinates.
    pub positive: Option<String>,
    pub long_name: Option<String>,
}

/// One resolution of a variable; level 0 is the finest.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// Path of the array.
    pub array: String,
    /// Cells of level 0 along y and x that one cell of this level covers.
    pub factor_y: f64,
    pub factor_x: f64,
    /// Of [`Horizontal::Cells`] one row.
    pub rows: u64,
    pub columns: u64,
    /// Where this level's cells lie, by coordinates of its own group. A grid of cells is
    /// separable from level 1 on, and factors count from there.
    pub horizontal: Option<Horizontal>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Path of the level-0 array; for a plain store simply its name.
    pub path: String,
    pub long_name: Option<String>,
    pub standard_name: Option<String>,
    pub units: Option<String>,
    pub dims: Vec<Dim>,
    pub packing: Packing,
    /// Physical `valid_min`/`valid_max` or `valid_range`: what a colour scale may start from.
    pub valid_range: Option<(f64, f64)>,
    /// `flag_values` and their meanings, for categories.
    pub flags: Vec<(f64, String)>,
    pub attributes: Map<String, Value>,
    /// Finest first; at least one.
    pub levels: Vec<Level>,
}

impl Variable {
    pub fn position(&self, role: Role) -> Option<usize> {
        self.dims.iter().position(|d| d.role == role)
    }
    pub fn dim(&self, role: Role) -> Option<&Dim> {
        self.dims.iter().find(|d| d.role == role)
    }
    /// Where its cells lie on the Earth; `None` where nothing says so.
    pub fn horizontal(&self) -> Option<&Horizontal> {
        self.levels.first()?.horizontal.as_ref()
    }
    /// The dimensions before those of its grid; all of them where it has none.
    pub fn leading(&self) -> &[Dim] {
        let grid = self.horizontal().map_or(0, Horizontal::rank);
        &self.dims[..self.dims.len().saturating_sub(grid)]
    }
    /// True where its last two dimensions are y and x with one-dimensional coordinates.
    pub fn is_mappable(&self) -> bool {
        let n = self.dims.len();
        n >= 2
            && self.dims[n - 2].role == Role::Y
            && self.dims[n - 1].role == Role::X
            && self.dims[n - 2..].iter().all(|d| d.coordinate.is_some() && d.len > 0)
    }
    /// True where its cells lie along no lines of latitude and longitude.
    pub fn is_warped(&self) -> bool {
        matches!(self.horizontal(), Some(Horizontal::Projected(_) | Horizontal::Curvilinear { .. }))
    }
    /// True where a map can show it: on its own grid, or as levels on latitude and longitude.
    pub fn is_drawable(&self) -> bool {
        match self.horizontal() {
            Some(Horizontal::Projected(_) | Horizontal::Curvilinear { .. }) => true,
            Some(Horizontal::Cells(_)) => {
                self.levels.iter().skip(1).any(|l| matches!(l.horizontal, Some(Horizontal::Separable { .. })))
            }
            Some(Horizontal::Separable { .. }) | None => self.is_mappable(),
        }
    }
    /// The name to show: `long_name`, else `standard_name` in words, else the path.
    pub fn label(&self) -> String {
        self.long_name
            .clone()
            .or_else(|| self.standard_name.as_ref().map(|s| s.replace('_', " ")))
            .unwrap_or_else(|| self.path.clone())
    }
}

/// Root attribute that names the group of a second layout of the same variables, long in time.
pub const SERIES: &str = "graticule:series";

#[derive(Debug, Clone)]
pub struct Cube {
    pub title: Option<String>,
    /// The group of the second layout, where there is one: its arrays are no variables of their own.
    pub series: Option<String>,
    /// Data variables in the order of the hierarchy; coordinates, bounds and grid mappings are not among them.
    pub variables: Vec<Variable>,
    /// What was guessed or set aside, in words.
    pub notes: Vec<String>,
}

impl Cube {
    pub fn variable(&self, path: &str) -> Option<&Variable> {
        self.variables.iter().find(|v| v.path == path)
    }

    /// The variable to begin with: the first of those that suit which is measured itself, not what
    /// is said of another one's quality (CF section 3.4), and not on the edges of a mesh.
    pub fn principal(&self, suits: impl Fn(&Variable) -> bool) -> Option<&Variable> {
        let said: Vec<String> = self
            .variables
            .iter()
            .filter_map(|v| Some((v, v.attributes.get("ancillary_variables")?.as_str()?)))
            .flat_map(|(v, names)| names.split_whitespace().map(|n| node::beside(&v.path, n)))
            .collect();
        let rank = |v: &&Variable| {
            let standard = v.standard_name.as_deref().unwrap_or_default();
            if said.contains(&v.path) || standard.ends_with("_flag") || standard.contains(" status_flag") {
                3
            } else if !v.flags.is_empty() {
                2
            } else {
                u8::from(v.dims.last().is_some_and(|d| d.name.to_ascii_lowercase().contains("edge")))
            }
        };
        self.variables.iter().filter(|v| suits(v)).min_by_key(rank)
    }

    /// Reads a hierarchy.
    pub fn new(h: &Hierarchy) -> Self {
        let mut notes = Vec::new();
        let layout = pyramid_layout(h, &mut notes);
        let base = layout.first().map(|l| l.prefix.clone()).unwrap_or_default();
        let mut helpers = std::collections::BTreeSet::new();
        for a in h.arrays.values() {
            for key in [
                "bounds",
                "climatology",
                "coordinates",
                "grid_mapping",
                "ancillary_variables",
                "cell_measures",
            ] {
                if key == "ancillary_variables" {
                    continue;
                }
                if let Some(text) = a.attributes.get(key).and_then(Value::as_str) {
                    helpers.extend(text.split_whitespace().map(|n| node::beside(&a.path, n)));
                }
            }
            // A mesh topology names what it is made of (UGRID 1.0).
            if a.attributes.get("cf_role").and_then(Value::as_str) == Some("mesh_topology") {
                helpers.insert(a.path.clone());
                let parts = a.attributes.iter().filter(|(k, _)| {
                    k.ends_with("_connectivity") || k.ends_with("_coordinates") || k.ends_with("_dimension")
                });
                let names = parts.filter_map(|(_, v)| v.as_str()).flat_map(str::split_whitespace);
                helpers.extend(names.map(|n| node::beside(&a.path, n)));
            }
        }
        let mut variables = Vec::new();
        let series = text(&h.attributes, SERIES);
        for a in h.arrays.values() {
            let Some(name) = strip_level(&a.path, &base) else { continue };
            if series.as_ref().is_some_and(|s| strip_level(&a.path, s).is_some()) {
                continue;
            }
            // Arrays of the coarser levels are found through their finest one.
            if layout
                .iter()
                .skip(1)
                .any(|l| !l.prefix.is_empty() && strip_level(&a.path, &l.prefix).is_some())
            {
                continue;
            }
            let Some(dtype) = a.dtype else { continue };
            if helpers.contains(&a.path)
                || a.shape.is_empty()
                || is_coordinate(a)
                || a.attributes.contains_key("grid_mapping_name")
                || a.attributes.contains_key("cf_role")
            {
                continue;
            }
            if name.ends_with("_bnds") || name.ends_with("_bounds") {
                continue;
            }
            let Some(variable) = variable(h, a, dtype, &layout, &base, &mut notes) else { continue };
            variables.push(variable);
        }
        // What places another variable's cells is no field, whether it was named or found.
        let places: std::collections::BTreeSet<String> =
            variables.iter().filter_map(Variable::horizontal).flat_map(placed_by).collect();
        variables.retain(|v| !places.contains(&v.path));
        if variables.iter().any(Variable::is_mappable)
            && !h.attributes.contains_key("proj:code")
            && !h.arrays.values().any(|a| a.attributes.contains_key("grid_mapping_name"))
        {
            notes.push("no CRS given: read as longitude/latitude".to_owned());
        }
        notes.extend(variables.iter().filter_map(out_of_order));
        let title = ["title", "Title", "name"].iter().find_map(|k| text(&h.attributes, k));
        Self { title, series, variables, notes }
    }
}

/// Why a variable that has both axes of a map is on none: they are not its last dimensions in the order of CF
/// (section 2.4).
fn out_of_order(v: &Variable) -> Option<String> {
    let (y, x) = (v.dim(Role::Y)?, v.dim(Role::X)?);
    let placed = [y, x].iter().all(|d| d.coordinate.is_some() && d.len > 0);
    if !placed || v.horizontal().is_some() || v.is_mappable() {
        return None;
    }
    let names = |dims: &[&Dim]| dims.iter().map(|d| d.name.as_str()).collect::<Vec<_>>().join(", ");
    let found: Vec<&Dim> = v.dims.iter().collect();
    let mut wanted: Vec<&Dim> = v.dims.iter().filter(|d| !matches!(d.role, Role::Y | Role::X)).collect();
    wanted.extend([y, x]);
    Some(format!(
        "{}: no map: its dimensions are ({}); in the order ({}) it has one",
        v.path,
        names(&found),
        names(&wanted)
    ))
}

fn text(attributes: &Map<String, Value>, key: &str) -> Option<String> {
    attributes.get(key).and_then(Value::as_str).map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned)
}

/// The arrays that a grid takes its coordinates from.
fn placed_by(grid: &Horizontal) -> Vec<String> {
    match grid {
        Horizontal::Separable { latitude, longitude } => vec![latitude.clone(), longitude.clone()],
        Horizontal::Projected(p) => vec![p.y.clone(), p.x.clone()],
        Horizontal::Curvilinear { latitude, longitude }
        | Horizontal::Cells(Cells::Listed { latitude, longitude }) => {
            vec![latitude.path.clone(), longitude.path.clone()]
        }
        Horizontal::Cells(Cells::Healpix(_)) => Vec::new(),
    }
}

fn is_coordinate(a: &ArrayMeta) -> bool {
    let name = a.path.rsplit('/').next().unwrap_or(&a.path);
    match a.dims.as_slice() {
        [only] => only == name,
        _ => {
            // Auxiliary coordinates by what they say of themselves.
            matches!(
                a.attributes.get("standard_name").and_then(Value::as_str),
                Some(
                    "latitude"
                        | "longitude"
                        | "grid_latitude"
                        | "grid_longitude"
                        | "projection_x_coordinate"
                        | "projection_y_coordinate"
                        | "time"
                        | "forecast_reference_time"
                )
            ) || is_lat_units(&a.attributes)
                || is_lon_units(&a.attributes)
        }
    }
}

fn is_lat_units(a: &Map<String, Value>) -> bool {
    matches!(
        a.get("units").and_then(Value::as_str).map(str::to_ascii_lowercase).as_deref(),
        Some("degrees_north" | "degree_north" | "degree_n" | "degrees_n" | "degreen" | "degreesn")
    )
}

fn is_lon_units(a: &Map<String, Value>) -> bool {
    matches!(
        a.get("units").and_then(Value::as_str).map(str::to_ascii_lowercase).as_deref(),
        Some("degrees_east" | "degree_east" | "degree_e" | "degrees_e" | "degreee" | "degreese")
    )
}

/// CF section 4: by units and standard name first, `axis` next, the name last.
pub fn role_of(name: &str, attributes: &Map<String, Value>) -> Role {
    let get = |k: &str| attributes.get(k).and_then(Value::as_str).unwrap_or_default();
    let standard = get("standard_name");
    if is_lat_units(attributes) || matches!(standard, "latitude") {
        return Role::Y;
    }
    if is_lon_units(attributes) || matches!(standard, "longitude") {
        return Role::X;
    }
    if TimeUnits::looks_like(get("units")) || standard == "time" {
        return Role::T;
    }
    match standard {
        "projection_x_coordinate" | "grid_longitude" | "projection_x_angular_coordinate" => return Role::X,
        "projection_y_coordinate" | "grid_latitude" | "projection_y_angular_coordinate" => return Role::Y,
        _ => {}
    }
    match get("axis").to_ascii_uppercase().as_str() {
        "X" => return Role::X,
        "Y" => return Role::Y,
        "Z" => return Role::Z,
        "T" => return Role::T,
        _ => {}
    }
    if !get("positive").is_empty() {
        return Role::Z;
    }
    match name.to_ascii_lowercase().as_str() {
        "lat" | "latitude" | "y" | "nav_lat" | "rlat" => Role::Y,
        "lon" | "longitude" | "long" | "x" | "nav_lon" | "rlon" => Role::X,
        "time" | "valid_time" | "time_counter" => Role::T,
        "level" | "lev" | "depth" | "height" | "altitude" | "plev" | "z" | "isobaric" | "pressure_level" => {
            Role::Z
        }
        _ => Role::Other,
    }
}

/// The coordinate variable of dimension `name` seen from the array at `path`: in
/// its own group, else in the groups above (NetCDF-4 scoping).
fn coordinate_of<'a>(h: &'a Hierarchy, path: &str, name: &str) -> Option<&'a ArrayMeta> {
    node::scope(path, name).find_map(|p| h.arrays.get(&p).filter(|a| a.shape.len() == 1))
}

fn variable(
    h: &Hierarchy,
    a: &ArrayMeta,
    dtype: DataType,
    layout: &[LayoutLevel],
    base: &str,
    notes: &mut Vec<String>,
) -> Option<Variable> {
    let rank = a.shape.len();
    let mut dims: Vec<Dim> = a
        .dims
        .iter()
        .zip(&a.shape)
        .map(|(name, len)| {
            let c = coordinate_of(h, &a.path, name);
            let empty = Map::new();
            let attributes = c.map_or(&empty, |c| &c.attributes);
            Dim {
                role: role_of(name, attributes),
                name: name.clone(),
                len: *len,
                coordinate: c.map(|c| c.path.clone()),
                units: text(attributes, "units"),
                calendar: text(attributes, "calendar"),
                positive: text(attributes, "positive"),
                long_name: text(attributes, "long_name"),
            }
        })
        .collect();
    // A role belongs to one dimension; the one nearest the end keeps it.
    for i in 0..rank {
        if dims[i].role != Role::Other && dims[i + 1..].iter().any(|d| d.role == dims[i].role) {
            dims[i].role = Role::Other;
        }
    }
    let grid = horizontal(h, a, notes);
    if let (Some(Horizontal::Curvilinear { .. }), [leading @ .., y, x]) = (&grid, dims.as_mut_slice()) {
        (y.role, x.role) = (Role::Y, Role::X);
        for d in leading.iter_mut().filter(|d| matches!(d.role, Role::X | Role::Y)) {
            d.role = Role::Other;
        }
    }
    let cells = matches!(grid, Some(Horizontal::Cells(_)));
    let (rows, columns) = match dims.as_slice() {
        [.., cell] if cells => (1, cell.len),
        [.., y, x] if y.role == Role::Y && x.role == Role::X => (y.len, x.len),
        _ => (0, 0),
    };
    let name = strip_level(&a.path, base)?;
    let mut levels =
        vec![Level { array: a.path.clone(), factor_y: 1.0, factor_x: 1.0, rows, columns, horizontal: grid }];
    // What the levels' factors count from.
    let mut finest = (!cells).then_some((rows, columns));
    let grid_rank = if cells { 1 } else { 2 };
    if rows > 0 && columns > 0 {
        for l in layout.iter().skip(1) {
            let path = if l.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", l.prefix) };
            let Some(coarse) = h.arrays.get(&path) else { continue };
            let (Some(&r), Some(&c)) = (coarse.shape.iter().rev().nth(1), coarse.shape.last()) else {
                continue;
            };
            let (finest_rows, finest_columns) = *finest.get_or_insert((r, c));
            let lead = rank - grid_rank;
            let same = coarse.shape.len() == lead + 2
                && coarse.dtype.is_some()
                && coarse.shape[..lead] == a.shape[..lead]
                && r > 0
                && c > 0
                && r <= finest_rows
                && c <= finest_columns;
            if !same {
                continue;
            }
            // Factor 2^k covers ragged last cells exactly; other ratios are taken as they are.
            let factor = |fine: u64, coarse: u64| {
                let ratio = fine as f64 / coarse as f64;
                let power = ratio.log2().ceil().exp2();
                if fine.div_ceil(power as u64) == coarse { power } else { ratio }
            };
            let (factor_y, factor_x) =
                l.factor.unwrap_or((factor(finest_rows, r), factor(finest_columns, c)));
            let horizontal = horizontal(h, coarse, notes);
            levels.push(Level { array: path, factor_y, factor_x, rows: r, columns: c, horizontal });
        }
        levels[1..].sort_by_key(|l| std::cmp::Reverse(l.rows * l.columns));
    }
    let packing = packing(a, dtype);
    let range = |k: &str| {
        a.attributes
            .get(k)
            .and_then(|v| v.as_array())
            .and_then(|v| Some((json_number(v.first()?)?, json_number(v.get(1)?)?)))
    };
    let number = |k: &str| a.attributes.get(k).and_then(json_number);
    // CF section 8.1: valid_* of packed data are in packed units.
    let unpack = |v: f64| v * packing.scale + packing.offset;
    let valid_range = range("valid_range")
        .or_else(|| Some((number("valid_min")?, number("valid_max")?)))
        .map(|(lo, hi)| (unpack(lo), unpack(hi)))
        .filter(|(lo, hi)| lo.is_finite() && hi.is_finite() && lo < hi);
    Some(Variable {
        path: a.path.clone(),
        long_name: text(&a.attributes, "long_name"),
        standard_name: text(&a.attributes, "standard_name"),
        units: text(&a.attributes, "units"),
        dims,
        valid_range,
        flags: flags(&a.attributes, &packing),
        attributes: a.attributes.clone(),
        packing,
        levels,
    })
}

fn flags(a: &Map<String, Value>, packing: &Packing) -> Vec<(f64, String)> {
    let Some(meanings) = a.get("flag_meanings").and_then(Value::as_str) else { return Vec::new() };
    let values = match a.get("flag_values") {
        Some(Value::Array(list)) => list.iter().filter_map(json_number).collect(),
        Some(v) => json_number(v).into_iter().collect(),
        None => Vec::new(),
    };
    let values = values.into_iter().map(|v| packing.as_read(v));
    values.zip(meanings.split_whitespace().map(str::to_owned)).take(4096).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn array(shape: &[u64], dims: &[&str], dtype: &str, attributes: Value) -> Value {
        json!({"zarr_format": 3, "node_type": "array", "shape": shape, "data_type": dtype,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shape}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0, "codecs": [{"name": "bytes"}], "dimension_names": dims, "attributes": attributes})
    }

    fn cube(nodes: Value, attributes: Value) -> Cube {
        let root = json!({"zarr_format": 3, "node_type": "group", "attributes": attributes,
            "consolidated_metadata": {"kind": "inline", "must_understand": false, "metadata": nodes}});
        Cube::new(&Hierarchy::from_v3(root.to_string().as_bytes()).unwrap())
    }

    #[test]
    fn a_map_begins_with_what_is_measured_and_not_with_its_quality() {
        let axis = |name: &str, units: &str| array(&[4], &[name], "float32", json!({"units": units}));
        let field = |attributes: Value| array(&[4, 4], &["lat", "lon"], "float32", attributes);
        let c = cube(
            json!({"lat": axis("lat", "degrees_north"), "lon": axis("lon", "degrees_east"),
                "DQF": field(json!({})), "class": field(json!({"flag_values": [0, 1], "flag_meanings": "no yes"})),
                "height": field(json!({"ancillary_variables": "DQF"}))}),
            json!({}),
        );
        assert_eq!(c.principal(Variable::is_drawable).unwrap().path, "height");
        assert_eq!(c.principal(|v| v.path != "height").unwrap().path, "class");
        assert!(c.principal(|_| false).is_none());
    }

    #[test]
    fn a_pyramid_is_one_variable_with_levels() {
        let lat = |n: u64| array(&[n], &["lat"], "float32", json!({"units": "degrees_north"}));
        let lon = |n: u64| array(&[n], &["lon"], "float32", json!({"units": "degrees_east"}));
        let sst = |t: u64, y: u64, x: u64| {
            array(
                &[t, y, x],
                &["time", "lat", "lon"],
                "int16",
                json!({"scale_factor": 0.01, "add_offset": 273.15, "_FillValue": -32768, "units": "kelvin"}),
            )
        };
        let c = cube(
            json!({"sst": sst(3, 181, 360), "lat": lat(181), "lon": lon(360),
                "time": array(&[3], &["time"], "float64", json!({"units": "days since 2000-01-01"})),
                "1": {"node_type": "group"}, "1/sst": sst(3, 91, 180), "1/lat": lat(91), "1/lon": lon(180)}),
            json!({"multiscales": {"layout": [{"asset": "."}, {"asset": "1", "derived_from": "."}]}}),
        );
        assert_eq!(c.variables.len(), 1);
        let v = &c.variables[0];
        assert!(v.is_mappable());
        assert_eq!(v.levels.len(), 2);
        assert_eq!((v.levels[1].factor_y, v.levels[1].factor_x), (2.0, 2.0));
        assert_eq!(v.dim(Role::T).unwrap().units.as_deref(), Some("days since 2000-01-01"));
        assert_eq!(v.packing.value(-32768.0), None);
        assert!((v.packing.value(100.0).unwrap() - 274.15).abs() < 1e-9);
        assert_eq!(c.notes, ["no CRS given: read as longitude/latitude"]);
    }

    #[test]
    fn a_variable_whose_latitude_and_longitude_are_not_last_says_in_which_order_it_has_a_map() {
        let notes = |dims: &[&str]| {
            let axis = |name: &str, units: &str| array(&[4], &[name], "float32", json!({"units": units}));
            let mut nodes = json!({"lat": axis("lat", "degrees_north"), "lon": axis("lon", "degrees_east"),
                "time": axis("time", "days since 2000-01-01")});
            nodes["v"] = array(&vec![4; dims.len()], dims, "float32", json!({}));
            let mut notes = cube(nodes, json!({})).notes;
            notes.retain(|n| !n.starts_with("no CRS"));
            notes
        };
        let told = |dims: &str, order: &str| {
            [format!("v: no map: its dimensions are ({dims}); in the order ({order}) it has one")]
        };
        assert_eq!(notes(&["lat", "time", "lon"]), told("lat, time, lon", "time, lat, lon"));
        assert_eq!(notes(&["lat", "lon", "time"]), told("lat, lon, time", "time, lat, lon"));
        assert_eq!(notes(&["lon", "lat"]), told("lon, lat", "lat, lon"));
        assert_eq!(notes(&["lat", "lon", "band"]), told("lat, lon, band", "band, lat, lon"));
        for fine in [&["time", "lat", "lon"][..], &["lat", "lon"], &["time", "lat"], &["lon"]] {
            assert!(notes(fine).is_empty(), "{fine:?}");
        }
    }

    #[test]
    fn a_second_layout_is_no_more_variables() {
        let v = |n: &str| json!({n: array(&[2], &["i"], "float32", json!({})), "series/v": array(&[2], &["i"], "float32", json!({}))});
        assert_eq!(cube(v("v"), json!({"graticule:series": "series"})).variables.len(), 1);
        assert_eq!(cube(v("v"), json!({})).variables.len(), 2);
    }

    #[test]
    fn fill_values_are_read_as_xarray_writes_them() {
        // base64 of 1e20 as float64, little-endian
        let c = cube(
            json!({"v": array(&[2], &["i"], "float32", json!({"_FillValue": "QIy1eB2vFUQ="}))}),
            json!({}),
        );
        assert_eq!(c.variables[0].packing.value(f64::from(1e20f32)), None);
        assert_eq!(c.variables[0].packing.value(1.5), Some(1.5));
    }

    #[test]
    fn netcdf_s_own_fill_is_no_value_of_floats_that_name_none() {
        let value = |dtype: &str, attributes: Value, raw: f64| {
            let c = cube(json!({"v": array(&[2], &["i"], dtype, attributes)}), json!({}));
            c.variables[0].packing.value(raw)
        };
        assert_eq!(value("float32", json!({}), f64::from(9.969_21e36f32)), None);
        assert_eq!(value("float32", json!({"scale_factor": 2.0}), FILL_FLOAT), None);
        assert_eq!(value("float64", json!({}), FILL_FLOAT), None);
        assert_eq!(value("float64", json!({}), 1.5), Some(1.5));
        for named in
            [json!({"_FillValue": -1.0}), json!({"_FillValue": "NaN"}), json!({"missing_value": 1e20})]
        {
            assert_eq!(value("float32", named, FILL_FLOAT), Some(FILL_FLOAT));
        }
        assert_eq!(value("int32", json!({}), FILL_FLOAT), Some(FILL_FLOAT));
    }

    #[test]
    fn unsigned_bytes_keep_their_fill() {
        let c = cube(
            json!({"v": array(&[2], &["i"], "int8", json!({"_Unsigned": "true", "_FillValue": -1, "scale_factor": 0.5}))}),
            json!({}),
        );
        let p = &c.variables[0].packing;
        assert_eq!(p.read_as(), DataType::UInt8);
        assert_eq!(p.value(255.0), None);
        assert_eq!(p.value(254.0), Some(127.0));
    }

    #[test]
    fn bounds_and_coordinates_are_no_variables() {
        let c = cube(
            json!({"lat": array(&[2], &["lat"], "float32", json!({"units": "degrees_north", "bounds": "lat_b"})),
                "lat_b": array(&[2, 2], &["lat", "nv"], "float32", json!({})),
                "nav_lat": array(&[2, 2], &["y", "x"], "float32", json!({"units": "degrees_north"})),
                "crs": array(&[], &[], "int32", json!({"grid_mapping_name": "latitude_longitude"}))}),
            json!({}),
        );
        assert!(c.variables.is_empty());
    }

    #[test]
    fn a_path_out_of_the_store_is_refused() {
        let root = json!({"zarr_format": 3, "node_type": "group", "consolidated_metadata": {"metadata": {"../../etc": {"node_type": "group"}}}});
        assert!(Hierarchy::from_v3(root.to_string().as_bytes()).is_err());
    }
}
