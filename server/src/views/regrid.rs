//! The same values on another grid: rows and columns of a coordinate reference system.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use futures::future::BoxFuture;
use graticule_shared::axis::Axis;
use graticule_shared::crs::{Crs, METRES_PER_DEGREE};
use graticule_shared::cube::{Dim, Role, Variable, packing};
use graticule_shared::dtype::DataType;
use graticule_shared::grid::Horizontal;
use graticule_shared::node;
use graticule_shared::zarr::ArrayMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::array;
use super::tree::{Make, Source, Tree};
use crate::edr::gather::{self, Where};
use crate::edr::places::Grid;
use crate::edr::{Labels, Selected};
use crate::ingest::conventions::{self, Reference};
use crate::ingest::grids::Grid as Axes;
use crate::ingest::pyramid;
use crate::opened::Opened;
use crate::problem::{Kind, Problem};
use crate::recipe::Section;
use crate::store::{Effort, Snapshot, StoreError};

/// Blocks of the base that a chunk of a coarser level may lie over.
const MOST_CHUNKS: u64 = 500;
/// Rows and columns of a chunk.
const CHUNK: u64 = 256;
/// Of a chunk, through all its steps.
const MOST_CELLS: u64 = 1 << 22;
/// Along each axis; and levels above the finest.
const LONGEST: f64 = 200_000.0;
const MOST_LEVELS: u32 = 8;
/// A level whose longer side has no more than this is the last.
const SMALL: u64 = 512;
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    Nearest,
    Bilinear,
}

/// `[grid]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regrid {
    pub crs: String,
    /// Outer edges, in the system's units, x first: west, south, east, north.
    pub bbox: [f64; 4],
    /// Width and height of a cell.
    pub cell: [f64; 2],
    pub method: Method,
}

impl Regrid {
    pub const KEYS: [&str; 4] = ["crs", "bbox", "cell", "method"];

    pub fn read(s: &Section<'_>) -> anyhow::Result<Self> {
        let name = s.text("crs")?.unwrap_or_else(|| "OGC:CRS84".to_owned());
        let names = || Crs::names().collect::<Vec<_>>().join(", ");
        let crs = Crs::parse(&name).ok_or_else(|| s.wrong("crs", &format!("one of {}", names())))?;
        let number = |v: &toml::Value| v.as_float().or_else(|| v.as_integer().map(|i| i as f64));
        let list = |key: &str| -> Option<Vec<f64>> { s.get(key)?.as_array()?.iter().map(number).collect() };
        let bbox = match (s.get("bbox"), list("bbox").as_deref()) {
            (Some(_), Some(&[w, so, e, n])) if w < e && so < n => [w, so, e, n],
            (None, _) if crs.is_degrees() => [-180.0, -90.0, 180.0, 90.0],
            (None, _) if crs.is_separable() => {
                let edge = 20_037_508.342_789_244;
                [-edge, -edge, edge, edge]
            }
            _ => return Err(s.wrong("bbox", "[west, south, east, north] in the units of the crs")),
        };
        let positive = |v: f64| v.is_finite() && v > 0.0;
        let cell = match (s.get("cell").and_then(number), list("cell").as_deref()) {
            (Some(side), _) if positive(side) => [side, side],
            (_, Some(&[x, y])) if positive(x) && positive(y) => [x, y],
            _ => return Err(s.wrong("cell", "a cell's side in the units of the crs, or [width, height]")),
        };
        for (low, high, side) in [(bbox[0], bbox[2], cell[0]), (bbox[1], bbox[3], cell[1])] {
            let n = (high - low) / side;
            if !(0.5..=LONGEST).contains(&n) {
                return Err(s.wrong(
                    "cell",
                    &format!("cells of which 1 to {LONGEST} lie along each side of the bbox"),
                ));
            }
        }
        let method = match s.text("method")?.as_deref() {
            None | Some("nearest") => Method::Nearest,
            Some("bilinear") => Method::Bilinear,
            Some(_) => return Err(s.wrong("method", "nearest or bilinear")),
        };
        Ok(Self { crs: crs.name().to_owned(), bbox, cell, method })
    }
}

/// Rows from the north, columns from the west.
#[derive(Clone)]
struct Target {
    crs: Crs,
    west: f64,
    north: f64,
    width: f64,
    height: f64,
    rows: u64,
    columns: u64,
}

impl Target {
    fn of(grid: &Regrid) -> anyhow::Result<Self> {
        let crs = Crs::parse(&grid.crs).with_context(|| format!("{}: no such system", grid.crs))?;
        let [west, south, east, north] = grid.bbox;
        let [width, height] = grid.cell;
        let count = |span: f64, side: f64| (span / side).round().clamp(1.0, LONGEST) as u64;
        Ok(Self {
            crs,
            west,
            north,
            width,
            height,
            rows: count(north - south, height),
            columns: count(east - west, width),
        })
    }

    fn coarser(&self) -> Self {
        Self {
            width: self.width * 2.0,
            height: self.height * 2.0,
            rows: self.rows.div_ceil(2),
            columns: self.columns.div_ceil(2),
            ..self.clone()
        }
    }

    fn y(&self, row: u64) -> f64 {
        self.north - (row as f64 + 0.5) * self.height
    }

    fn x(&self, column: u64) -> f64 {
        self.west + (column as f64 + 0.5) * self.width
    }

    fn spacing_deg(&self) -> f64 {
        let side = self.width.min(self.height);
        if self.crs.is_degrees() { side } else { side * self.crs.metres_per_unit() / METRES_PER_DEGREE }
    }
}

/// A refusal of a query as the store says it.
fn refused(p: Problem) -> anyhow::Error {
    let file = p.extra.iter().find(|(k, _)| *k == "file").and_then(|(_, v)| v.as_str());
    match (p.kind, file) {
        (Kind::BrokenReference, Some(file)) => {
            StoreError::Origin { file: file.into(), reason: p.detail }.into()
        }
        _ => anyhow::anyhow!(p.detail),
    }
}

struct Regridded {
    opened: Arc<Opened>,
    /// At the level that is read.
    variable: Variable,
    spacing_deg: f64,
    target: Target,
    method: Method,
    dtype: DataType,
}

impl Make for Regridded {
    fn effort(&self, base: &Snapshot, shape: &[u64]) -> Effort {
        let Some(a) = base.hierarchy().arrays.get(&self.variable.path) else { return Effort::default() };
        let lead = self.variable.leading().len();
        let block = a.block_shape();
        let (Some(steps), Some(plane)) = (shape.get(..lead), block.get(lead..)) else {
            return Effort::default();
        };
        let steps = steps.iter().zip(block).fold(1u64, |n, (s, b)| n.saturating_mul(s.div_ceil((*b).max(1))));
        // As many cells as lie beneath, in blocks that it cuts at its edges.
        let ratio = (self.target.spacing_deg() / self.spacing_deg).max(1.0).powi(2);
        let cells = shape.iter().skip(lead).product::<u64>() as f64 * ratio;
        let grid: u64 = a.shape.iter().skip(lead).product();
        let blocks = (cells.min(grid as f64) / plane.iter().product::<u64>().max(1) as f64).ceil() as u64;
        base.effort(a).times(blocks.saturating_add(3)).times(steps)
    }

    fn slab<'a>(
        &'a self,
        _: &'a Arc<Snapshot>,
        start: &'a [u64],
        count: &'a [u64],
    ) -> BoxFuture<'a, anyhow::Result<Vec<u8>>> {
        Box::pin(async move {
            let lead = start.len() - 2;
            let grid = Grid::of(&self.opened, &self.variable).await.map_err(refused)?;
            let (target, method) = (self.target.clone(), self.method);
            let (first, size) = ([start[lead], start[lead + 1]], [count[lead], count[lead + 1]]);
            let found =
                tokio::task::spawn_blocking(move || cells(&grid, &target, method, first, size)).await?;
            let dims: Vec<Selected> = self
                .variable
                .leading()
                .iter()
                .zip(start.iter().zip(count))
                .map(|(dim, (from, n))| Selected {
                    name: dim.name.clone(),
                    role: dim.role,
                    indices: (*from..from + n).collect(),
                    labels: Labels::Numbers(Vec::new()),
                    units: None,
                    positive: None,
                    is_scalar: false,
                })
                .collect();
            let places = (size[0] * size[1]) as usize;
            let steps = dims.iter().map(|d| d.indices.len()).product::<usize>();
            let mut out = vec![f64::NAN; steps * places];
            let read = found.list.len();
            if read > 0 {
                let at = Where::List(found.list);
                let values =
                    gather::values(&self.opened, &self.variable, &dims, &at).await.map_err(refused)?;
                for (step, values) in values.chunks(read).enumerate() {
                    for (place, range) in &found.of {
                        let sum = match values.get(range.clone()).unwrap_or_default() {
                            [one] => *one,
                            // What counts for nothing may be missing.
                            parts => parts
                                .iter()
                                .zip(found.weights.get(range.clone()).unwrap_or_default())
                                .filter(|(_, w)| **w > 0.0)
                                .map(|(v, w)| v * w)
                                .sum(),
                        };
                        if let Some(slot) = out.get_mut(step * places + *place as usize) {
                            *slot = sum;
                        }
                    }
                }
            }
            Ok(array::bytes_of(&out, self.dtype))
        })
    }
}

/// What cells of the target are made of.
#[derive(Default)]
struct Found {
    list: Vec<u64>,
    weights: Vec<f64>,
    /// A cell of the target, and its part of the lists.
    of: Vec<(u64, std::ops::Range<usize>)>,
}

fn cells(grid: &Grid, target: &Target, method: Method, first: [u64; 2], size: [u64; 2]) -> Found {
    let mut out = Found::default();
    for row in 0..size[0] {
        for column in 0..size[1] {
            let (y, x) = (target.y(first[0] + row), target.x(first[1] + column));
            let Some((longitude, latitude)) = target.crs.place(x, y) else { continue };
            let from = out.list.len();
            match method {
                Method::Nearest => {
                    if let Some(cell) = grid.cell(longitude, latitude) {
                        out.list.push(cell.flat);
                        out.weights.push(1.0);
                    }
                }
                Method::Bilinear => {
                    if let Some(cell) = grid.cell(longitude, latitude)
                        && let Ok(around) = grid.around(cell, longitude, latitude)
                    {
                        out.list.extend(around.iter().map(|(cell, _)| *cell));
                        out.weights.extend(around.iter().map(|(_, w)| *w));
                    }
                }
            }
            if out.list.len() > from {
                out.of.push((row * size[1] + column, from..out.list.len()));
            }
        }
    }
    out
}

/// A variable as if one of its levels were all that there is.
fn at_level(opened: &Opened, variable: &Variable, level: usize) -> Option<Variable> {
    let level = variable.levels.get(level)?;
    let a = opened.hierarchy.arrays.get(&level.array)?;
    let horizontal = level.horizontal.as_ref()?;
    let lead = variable.leading();
    let (y, x) = match horizontal {
        Horizontal::Separable { latitude, longitude } => (Some(latitude.clone()), Some(longitude.clone())),
        Horizontal::Projected(p) => (Some(p.y.clone()), Some(p.x.clone())),
        Horizontal::Curvilinear { .. } | Horizontal::Cells(_) => (None, None),
    };
    let roles =
        if horizontal.rank() == 2 { vec![(Role::Y, y), (Role::X, x)] } else { vec![(Role::Other, None)] };
    let mut dims = lead.to_vec();
    for ((name, len), (role, coordinate)) in a.dims.iter().zip(&a.shape).skip(lead.len()).zip(roles) {
        dims.push(Dim {
            name: name.clone(),
            len: *len,
            role,
            coordinate,
            units: None,
            calendar: None,
            positive: None,
            long_name: None,
        });
    }
    let mut out = variable.clone();
    out.path.clone_from(&level.array);
    out.packing = packing(a, a.dtype?);
    out.levels = vec![level.clone()];
    out.dims = dims;
    Some(out)
}

/// # Errors
/// No variable whose cells have a place; a method that a grid has not.
pub async fn tree(opened: Arc<Opened>, grid: &Regrid) -> anyhow::Result<Tree> {
    let mut target = Target::of(grid)?;
    let h = Arc::clone(&opened.hierarchy);
    let placed: Vec<&Variable> = opened.cube.variables.iter().filter(|v| opened.is_placed(v)).collect();
    anyhow::ensure!(!placed.is_empty(), "no variable has cells with a place");
    let mut tree = Tree::of(Arc::clone(&opened.snapshot));
    // Of what there was, the axes beside the grid stay, in the root's group.
    let mut kept: Vec<String> = Vec::new();
    for dim in placed.iter().flat_map(|v| v.leading()) {
        let Some(path) = &dim.coordinate else { continue };
        kept.push(path.clone());
        let attributes = opened.attributes(path);
        for key in ["bounds", "climatology"] {
            if let Some(name) = attributes.and_then(|a| a.get(key)).and_then(Value::as_str) {
                kept.push(node::beside(path, name));
            }
        }
    }
    // Coordinates that run along none of the grid's dimensions: of steps, or of all of it.
    let mut named: Vec<String> = Vec::new();
    for v in &placed {
        let lead: Vec<&str> = v.leading().iter().map(|d| d.name.as_str()).collect();
        let names = v.attributes.get("coordinates").and_then(Value::as_str).unwrap_or_default();
        for name in names.split_whitespace() {
            let fits = |a: &ArrayMeta| {
                a.dims.iter().all(|d| lead.contains(&d.as_str()))
                    && !a.attributes.contains_key("grid_mapping_name")
            };
            if h.arrays.get(name).is_some_and(fits) && !named.iter().any(|n| n == name) {
                named.push(name.to_owned());
            }
        }
    }
    kept.extend(named.iter().cloned());
    tree.retain(|path| kept.iter().any(|k| k == path));
    for key in ["multiscales", "zarr_conventions", "proj:code", "proj:wkt2", "proj:projjson"] {
        tree.root.shift_remove(key);
    }
    tree.root.retain(|key, _| !key.starts_with("spatial:"));
    let own = axes_of(&target)?;
    let reference =
        if target.crs.is_degrees() { Reference::Geographic } else { Reference::Code(target.crs.name()) };
    // By variable: the levels that it can be read from, and how far apart their cells are.
    let mut sources: BTreeMap<&str, Vec<(Variable, f64)>> = BTreeMap::new();
    for v in &placed {
        let mut levels = Vec::new();
        for level in 0..v.levels.len() {
            let Some(own) = at_level(&opened, v, level) else { continue };
            let found = Grid::of(&opened, &own).await.map_err(|p| anyhow::anyhow!(p.detail))?;
            levels.push((own, found.spacing_deg()));
        }
        anyhow::ensure!(!levels.is_empty(), "{}: no level has a place", v.path);
        let warped = matches!(v.horizontal(), Some(Horizontal::Curvilinear { .. } | Horizontal::Cells(_)));
        anyhow::ensure!(
            grid.method == Method::Nearest || !warped,
            "{}: its grid has no rows and columns to interpolate between; expected method = \"nearest\"",
            v.path
        );
        sources.insert(&v.path, levels);
    }
    let mut coarser = 0;
    for level in 0..=MOST_LEVELS {
        // Of a base without coarse levels a coarse chunk would be made of very many of its own.
        if level > 0
            && placed.iter().any(|v| beneath(&opened, sources.get(v.path.as_str()), &target) > MOST_CHUNKS)
        {
            break;
        }
        coarser = level;
        let group = if level == 0 { String::new() } else { format!("{level}/") };
        if level > 0 {
            tree.put_group(&level.to_string(), Map::new());
            for path in &kept {
                if let Some(a) = h.arrays.get(path) {
                    tree.put(&format!("{group}{path}"), a.metadata.clone(), Source::Passed(path.clone()));
                }
            }
        }
        let (y, x) = axes(&mut tree, &group, &target);
        for v in &placed {
            let Some(levels) = sources.get(v.path.as_str()) else { continue };
            // The coarsest whose cells are not wider than the target's.
            let wide = target.spacing_deg() * 1.01;
            let coarsest = levels.iter().rev().find(|(_, s)| *s <= wide);
            // The finest is of the values themselves, not of means.
            let chosen = if level == 0 { None } else { coarsest };
            let Some((own, spacing)) = chosen.or_else(|| levels.first()) else {
                continue;
            };
            let method = if v.flags.is_empty() { grid.method } else { Method::Nearest };
            let a = opened.array(&own.path)?;
            let lead = own.leading().len();
            let dtype = array::float_for(&own.packing);
            let with =
                |of: &[u64], y: u64, x: u64| of.iter().take(lead).copied().chain([y, x]).collect::<Vec<_>>();
            let shape = with(&a.shape, target.rows, target.columns);
            let mut chunk = with(a.block_shape(), CHUNK.min(target.rows), CHUNK.min(target.columns));
            // What is held at once does not grow with the base's chunks.
            while chunk.iter().product::<u64>() > MOST_CELLS
                && let Some(longest) = chunk.iter_mut().take(lead).max_by_key(|n| **n).filter(|n| **n > 1)
            {
                *longest = longest.div_ceil(2);
            }
            let dims: Vec<String> = a.dims.iter().take(lead).cloned().chain([y.clone(), x.clone()]).collect();
            let mut attributes = array::of_values(a);
            let before = attributes.shift_remove("coordinates");
            let before = before.as_ref().and_then(Value::as_str).unwrap_or_default();
            let still: Vec<&str> =
                before.split_whitespace().filter(|c| named.iter().any(|n| n == c)).collect();
            if !still.is_empty() {
                attributes.insert("coordinates".into(), json!(still.join(" ")));
            }
            attributes.shift_remove("grid_mapping");
            attributes.shift_remove("cell_measures");
            attributes.shift_remove("ancillary_variables");
            if !target.crs.is_degrees() {
                attributes.insert("grid_mapping".into(), json!("crs"));
            }
            let document = array::document(dtype, &shape, &chunk, &dims, attributes);
            let leaf = v.path.clone();
            let make = Regridded {
                opened: Arc::clone(&opened),
                variable: own.clone(),
                spacing_deg: *spacing,
                target: target.clone(),
                method,
                dtype,
            };
            tree.put(&format!("{group}{leaf}"), document, Source::Made(Box::new(make)));
        }
        if target.rows.max(target.columns) <= SMALL {
            break;
        }
        target = target.coarser();
    }
    conventions::attributes(&mut tree.root, &own, &reference, coarser, "", pyramid::Method::Nearest);
    Ok(tree)
}

/// Blocks beneath a chunk.
fn beneath(opened: &Opened, levels: Option<&Vec<(Variable, f64)>>, target: &Target) -> u64 {
    let wide = target.spacing_deg() * 1.01;
    let source = levels.and_then(|l| l.iter().rev().find(|(_, s)| *s <= wide).or_else(|| l.first()));
    let Some((own, spacing)) = source else { return 0 };
    let Ok(a) = opened.array(&own.path) else { return 0 };
    let of = |shape: &[u64]| shape.iter().skip(own.leading().len()).product::<u64>().max(1);
    let cells = (CHUNK * CHUNK) as f64 * (target.spacing_deg() / spacing).max(1.0).powi(2);
    (cells.min(of(&a.shape) as f64) / of(a.block_shape()) as f64).ceil() as u64
}

/// The grid as ingest knows one.
fn axes_of(target: &Target) -> anyhow::Result<Axes> {
    let rows: Vec<f64> = (0..target.rows).map(|r| target.y(r)).collect();
    let columns: Vec<f64> = (0..target.columns).map(|c| target.x(c)).collect();
    let degrees = target.crs.is_degrees();
    let [y, x] = if degrees { ["latitude", "longitude"] } else { ["y", "x"] };
    Ok(Axes::Axes {
        y: y.to_owned(),
        x: x.to_owned(),
        rows: Axis::new(rows)?,
        columns: if degrees { Axis::longitude(columns)? } else { Axis::new(columns)? },
        areas: Vec::new(),
    })
}

/// The coordinates of a level, and the names of its two dimensions.
fn axes(tree: &mut Tree, group: &str, target: &Target) -> (String, String) {
    let degrees = target.crs.is_degrees();
    let names = if degrees { ["latitude", "longitude"] } else { ["y", "x"] };
    let values: [Vec<f64>; 2] =
        [(0..target.rows).map(|r| target.y(r)).collect(), (0..target.columns).map(|c| target.x(c)).collect()];
    for (i, (name, values)) in names.iter().zip(&values).enumerate() {
        let attributes = match (degrees, i) {
            (true, 0) => json!({"standard_name": "latitude", "units": "degrees_north", "axis": "Y"}),
            (true, _) => json!({"standard_name": "longitude", "units": "degrees_east", "axis": "X"}),
            (false, 0) => json!({"standard_name": "projection_y_coordinate", "units": "m", "axis": "Y"}),
            (false, _) => json!({"standard_name": "projection_x_coordinate", "units": "m", "axis": "X"}),
        };
        let n = values.len() as u64;
        let attributes = attributes.as_object().cloned().unwrap_or_default();
        let document = array::document(DataType::Float64, &[n], &[n], &[(*name).to_owned()], attributes);
        let bytes = array::bytes_of(values, DataType::Float64);
        tree.put(&format!("{group}{name}"), document, Source::Whole(bytes));
    }
    if let Some(mapping) = target.crs.grid_mapping() {
        let document = array::document(DataType::Int32, &[], &[], &[], mapping);
        tree.put(&format!("{group}crs"), document, Source::Whole(vec![0; 4]));
    }
    (names[0].to_owned(), names[1].to_owned())
}
