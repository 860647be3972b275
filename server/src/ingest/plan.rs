//! What to store, decided from the header and the coordinates before any field is read.
//!
//! The plan is the next version's metadata: every node with its `zarr.json`. It
//! reads the roles of dimensions with the very code that readers of the store use
//! ([`graticule_shared::cube`]), so that a pyramid is made where a map will look for one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use graticule_formats::{FormatError, Header, Source, Variable};
use graticule_shared::cube::{Cube, FILL_FLOAT, Packing, Role, role_of};
use graticule_shared::dtype::DataType;
use graticule_shared::grid::Horizontal;
use graticule_shared::node;
use graticule_shared::zarr::{ArrayMeta, Hierarchy};
use serde_json::{Map, Value, json};

use super::attributes::{self, Fill};
use super::conventions::{self, Reference};
use super::coordinates::Coordinates;
use super::field::{Field, Level, Weights};
use super::grids::{Grid, Grids};
use super::layout::{Axes, Described, Layout, sharded_array, whole_array};
use super::levels::{Group, unchanged};
use super::pyramid::Method;
use super::series;
use super::whole::Whole;
use crate::recipe::{self, Pyramid, Recipe, codec::Codec};

/// Coordinates are stored in one chunk, and other one-dimensional arrays while they are small:
/// all of them are in memory at once.
const COORDINATE_BYTES: u64 = 8 << 20;
const WHOLE_BYTES: u64 = 256 << 10;

pub struct Plan {
    pub root: Map<String, Value>,
    /// Groups below the root and their attributes.
    pub groups: BTreeMap<String, Map<String, Value>>,
    pub wholes: Vec<Whole>,
    pub fields: Vec<Field>,
    /// Those of `wholes` that the recipe has quality tests of, as fields that are not stored.
    pub tested: Vec<Field>,
    /// The group of the second layout, where it is made for the first time.
    pub new_series: Option<String>,
    pub notes: Vec<String>,
}

/// Continues a collection: keep what is stored, walk only what is new.
pub struct Continue<'a> {
    pub former: &'a Hierarchy,
    /// The dimension that grows, and its steps that are new or overwritten.
    pub dimension: &'a str,
    pub fresh: &'a [Range<u64>],
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

/// A variable with all that is known before any grid is.
pub struct Prepared<'h> {
    pub variable: &'h Variable,
    pub attributes: Map<String, Value>,
    pub fill: Fill,
    pub dims: Vec<String>,
    pub whole: bool,
    pub axes: Axes,
    pub layout: Layout,
    pub codec: &'h Codec,
    metadata: Value,
}

/// The metadata that a header comes to, as a reader of the store would see it.
///
/// # Errors
/// A header that contradicts itself.
pub fn hierarchy_of(header: &Header) -> Result<Hierarchy, String> {
    let times = time_dimensions(header);
    let usable = header.variables.iter().filter(|v| usable(&v.path).is_ok());
    let codec = Codec::default();
    let nodes =
        usable.map(|v| (v.path.clone(), prepare(v, &times, None, false, &codec, &mut Vec::new()).metadata));
    hierarchy(nodes.collect(), attributes::global(&header.attributes))
}

/// Paths of the variables that are fields: no coordinates, bounds or grid mappings.
///
/// # Errors
/// A header that contradicts itself.
pub fn fields(header: &Header) -> Result<BTreeSet<String>, String> {
    Ok(Cube::new(&hierarchy_of(header)?).variables.into_iter().map(|v| v.path).collect())
}

/// Chunks that stay were written with the codecs that stay; those of files elsewhere are said by the files.
pub fn keep_codecs(metadata: &mut Value, former: Option<&ArrayMeta>) {
    let former = former.filter(|f| !crate::codec::is_elsewhere(&f.metadata));
    if let Some(codecs) = former.map(|f| &f.metadata["codecs"]).filter(|c| !c.is_null()) {
        metadata["codecs"] = codecs.clone();
    }
}

/// Groups of coarser levels that the source brings along.
struct Given<'h>(&'h [String]);

/// Where the levels of one variable go on that the source does not have.
struct Below {
    /// Levels that are there.
    from: u32,
    /// The group of the coarsest one, with its slash.
    base: String,
    /// False where a coarser one of the source's is there: it goes on from that.
    made: bool,
}

impl Below {
    fn levels(&self, grid: &Grid) -> u32 {
        if self.made { grid.levels() } else { 0 }
    }
}

impl Given<'_> {
    /// The level whose group a variable is in, from 1 on.
    fn of(&self, path: &str) -> Option<usize> {
        let (group, _) = path.split_once('/')?;
        self.0.iter().position(|l| l == group).map(|at| at + 1)
    }

    fn below(&self, path: &str, header: &Header) -> Below {
        let own = self.of(path).unwrap_or(0);
        let name = if own == 0 { path } else { path.split_once('/').map_or(path, |(_, n)| n) };
        let there = |k: usize| header.variables.iter().any(|v| v.path == format!("{k}/{name}"));
        // Variables that the source has at its finest level alone are left at that.
        let made = self.0.is_empty() || (own > 0 && !(own + 1..=self.0.len()).any(there));
        let base = if own == 0 { String::new() } else { format!("{own}/") };
        Below { from: own as u32, base, made }
    }

    /// Rows and columns of each level, of the first variable that it has.
    fn shapes(&self, header: &Header) -> Vec<(u64, u64)> {
        let of = |group: &String| {
            let within = |v: &&Variable| v.path.starts_with(&format!("{group}/")) && v.shape.len() > 1;
            let grid = |v: &Variable| Some((*v.shape.iter().rev().nth(1)?, *v.shape.last()?));
            header.variables.iter().filter(within).filter_map(grid).max_by_key(|(r, c)| r * c)
        };
        self.0.iter().map_while(of).collect()
    }
}

impl Plan {
    /// # Errors
    /// Coordinates that cannot be read, a header that contradicts itself, a grid too large to be
    /// held, chunks that the recipe cannot mean.
    pub fn new(
        source: &dyn Source,
        goes_on: Option<&Continue<'_>>,
        recipe: &Recipe,
    ) -> Result<Self, FormatError> {
        let header = source.header();
        let mut notes: Vec<String> =
            header.skipped.iter().map(|(name, why)| format!("{name}: not carried over: {why}")).collect();
        let times = time_dimensions(header);
        let given = Given(&header.levels);
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
            prepared.push(prepare(v, &times, goes_on, false, &recipe.cube.codec, &mut notes));
            if given.of(&v.path).is_none() {
                taken.insert(v.path.split('/').next().unwrap_or_default().to_owned());
            }
        }
        let mut root = attributes::global(&header.attributes);
        root.extend(recipe.root_attributes());
        let nodes: BTreeMap<String, Value> =
            prepared.iter().map(|p| (p.variable.path.clone(), p.metadata.clone())).collect();
        let seen = hierarchy(nodes, root.clone()).map_err(|e| FormatError::new("", e))?;
        let cube = Cube::new(&seen);
        notes.extend(cube.notes.iter().filter(|n| !n.starts_with("no CRS")).cloned());
        for p in &mut prepared {
            let grid = cube.variable(&p.variable.path).and_then(|v| v.horizontal());
            if matches!(grid, Some(Horizontal::Cells(_))) {
                *p = prepare(p.variable, &times, goes_on, true, &recipe.cube.codec, &mut Vec::new());
            }
            if cube.variable(&p.variable.path).is_some() && !p.whole {
                p.cut(&recipe.cube, goes_on)
                    .map_err(|e| FormatError::new("", e).in_variable(&p.variable.path))?;
            }
        }
        let mut plan = Plan {
            root,
            groups: BTreeMap::new(),
            wholes: Vec::new(),
            fields: Vec::new(),
            tested: Vec::new(),
            new_series: None,
            notes,
        };
        let mut coordinates = Coordinates::new(source);
        let prefix = if (1..40).any(|k| taken.contains(&k.to_string())) { "pyramid_" } else { "" };
        let dims: BTreeSet<String> = prepared.iter().flat_map(|p| p.dims.iter().cloned()).collect();
        let mut grids = Grids::default();
        let mut first: Option<(Arc<Grid>, Reference)> = None;
        let mut most = 0;
        // Level groups' coordinates, each once.
        let mut made: BTreeSet<String> = BTreeSet::new();
        for p in &prepared {
            let meant = cube.variable(&p.variable.path);
            if p.whole {
                if recipe.quality.contains_key(&p.variable.path) {
                    plan.tested.push(p.field(meant.map(|v| v.packing.clone()), goes_on));
                }
                plan.wholes.push(Whole {
                    path: p.variable.path.clone(),
                    metadata: p.metadata.clone(),
                    bytes: coordinates.bytes(p.variable)?,
                });
                continue;
            }
            let mut field = p.field(meant.map(|v| v.packing.clone()), goes_on);
            match recipe.cube.pyramid {
                Pyramid::Average => field.method = Method::Average,
                Pyramid::Nearest => field.method = Method::Nearest,
                Pyramid::Auto | Pyramid::None => {}
            }
            // What is stored already decides for what follows.
            let below = given.below(&p.variable.path, header);
            let coarsened = match goes_on {
                Some(g) => {
                    let name = p.variable.path.strip_prefix(&below.base).unwrap_or(&p.variable.path);
                    g.former.arrays.contains_key(&format!("{prefix}{}/{name}", below.from + 1))
                }
                None => recipe.cube.pyramid != Pyramid::None,
            };
            let listed = matches!(meant.and_then(|v| v.horizontal()), Some(Horizontal::Cells(_)));
            if let Some(variable) = meant.filter(|_| coarsened && (listed || p.axes.column.is_some()))
                && let Some(grid) =
                    grids.of(variable, &mut coordinates, |n| dims.contains(n), &mut plan.notes)?
            {
                field.weights = grid.weights();
                most = most.max(below.from + below.levels(&grid));
                for k in 1..=below.levels(&grid) {
                    let name = format!("{prefix}{}", below.from + k);
                    let mut level =
                        Group { name, k, base: &below.base, prepared: &prepared, made: &mut made };
                    let attributes =
                        level.coordinates(p, variable, &grid, &mut coordinates, &mut plan.wholes)?;
                    field.levels.push(p.level(&field, &grid, &level, attributes, goes_on));
                }
                if given.of(&p.variable.path).is_none() {
                    first.get_or_insert_with(|| {
                        let reference = reference(variable, &grid, &coordinates, &seen);
                        (grid, reference)
                    });
                }
            }
            if field.levels.len() > 1 && field.axes.step.is_none() {
                // Coarser levels are summed over all rows.
                field.fresh = None;
            }
            plan.fields.push(field);
        }
        if let Some((grid, reference)) = &first {
            let mut coarsened = plan.fields.iter().filter(|f| f.levels.len() > 1);
            let nearest = coarsened.all(|f| f.method == Method::Nearest);
            let method = if nearest { Method::Nearest } else { Method::Average };
            conventions::attributes(&mut plan.root, grid, reference, most, prefix, method);
            conventions::carried(&mut plan.root, &given.shapes(header));
        }
        let former = goes_on.and_then(|g| g.former.attributes.get(series::ATTRIBUTE)?.as_str());
        if recipe.cube.series || former.is_some() {
            let usual = if taken.contains("series") { "graticule_series" } else { "series" };
            let group = former.unwrap_or(usual).to_owned();
            plan.add_series(&group, &prepared, &cube, &mut coordinates, goes_on)?;
            plan.root.insert(series::ATTRIBUTE.into(), json!(group));
            plan.new_series = former.is_none().then_some(group);
        }
        let paths: Vec<String> = plan
            .wholes
            .iter()
            .map(|w| w.path.clone())
            .chain(plan.fields.iter().flat_map(|f| f.levels.iter().map(|l| l.path.clone())))
            .collect();
        for path in paths {
            let above = std::iter::successors(Some(node::group(&path)), |g| Some(node::group(g)));
            for group in above.take_while(|g| !g.is_empty()) {
                plan.groups.entry(group.to_owned()).or_default();
            }
        }
        Ok(plan)
    }
}

impl Plan {
    /// Adds the second layout, with the coordinates of its dimensions.
    fn add_series(
        &mut self,
        group: &str,
        prepared: &[Prepared<'_>],
        cube: &Cube,
        coordinates: &mut Coordinates<'_>,
        goes_on: Option<&Continue<'_>>,
    ) -> Result<(), FormatError> {
        let fields = self.fields.iter().filter(|f| cube.variable(&f.source).is_some());
        let of: Vec<(&Field, &Prepared<'_>)> = fields
            .filter_map(|f| Some((f, prepared.iter().find(|p| p.variable.path == f.source)?)))
            .collect();
        let made = series::fields(group, &of, goes_on);
        let named: BTreeSet<String> = made
            .iter()
            .filter_map(|f| cube.variable(&f.source))
            .flat_map(|v| v.dims.iter().filter_map(|d| d.coordinate.clone()))
            .collect();
        for c in prepared.iter().filter(|c| c.whole && named.contains(&c.variable.path)) {
            let path = format!("{group}/{}", c.variable.path);
            self.wholes.push(unchanged(c, path, coordinates.bytes(c.variable)?));
        }
        self.fields.extend(made);
        Ok(())
    }
}

/// What the root says of its coordinate reference system, by its first grid.
fn reference(
    variable: &graticule_shared::cube::Variable,
    grid: &Grid,
    coordinates: &Coordinates<'_>,
    seen: &Hierarchy,
) -> Reference {
    match (variable.horizontal(), grid) {
        (Some(Horizontal::Projected(p)), _) => seen
            .arrays
            .get(&p.mapping)
            .and_then(|m| m.attributes.get("crs_wkt")?.as_str())
            .map_or(Reference::Unsaid, |wkt| Reference::Wkt(wkt.to_owned())),
        (_, Grid::Axes { y, .. }) if !coordinates.is_latitude(y) => Reference::Unsaid,
        _ => Reference::Geographic,
    }
}

/// `cells` where the last axis is all of the grid.
fn prepare<'h>(
    v: &'h Variable,
    times: &BTreeSet<String>,
    goes_on: Option<&Continue<'_>>,
    cells: bool,
    codec: &'h Codec,
    notes: &mut Vec<String>,
) -> Prepared<'h> {
    let (attributes, fill) = attributes::of_variable(v, notes);
    let dims: Vec<String> = v.dims.iter().map(|d| leaf(d)).collect();
    let bytes = v.shape.iter().try_fold(v.dtype.size() as u64, |p, n| p.checked_mul(*n)).unwrap_or(u64::MAX);
    // As the first version was cut, whatever it grows along since.
    let grows = |d: &String| goes_on.is_some_and(|g| g.dimension == d);
    let time = v.dims.iter().position(|d| times.contains(d)).or_else(|| v.dims.iter().position(grows));
    let axes = if cells { Axes::of_cells(v.shape.len(), time) } else { Axes::of(&v.shape, v.dtype, time) };
    let length = |a: Option<usize>| a.and_then(|a| v.shape.get(a)).copied().unwrap_or(1);
    let mut layout =
        Layout::plan(&axes, length(axes.step), length(Some(axes.row)), length(axes.column), v.dtype);
    let own = v.dims.as_slice() == [v.path.clone()];
    let most = if own { COORDINATE_BYTES } else { WHOLE_BYTES };
    let mut whole = !cells && v.shape.len() < 2 && bytes <= most;
    if let Some(former) = goes_on.and_then(|g| g.former.arrays.get(&v.path)) {
        match &former.sharding {
            Some(s) => {
                whole = false;
                layout = Layout::stored(&axes, &s.inner_shape, &former.chunk_shape).unwrap_or(layout);
            }
            None => {
                // One whose level 0 is elsewhere is walked as its coarser levels are stored.
                whole = !cells && v.shape.len() < 2 && bytes <= most;
                let coarser = [format!("1/{}", v.path), format!("pyramid_1/{}", v.path)];
                let coarser = coarser.iter().find_map(|p| goes_on.and_then(|g| g.former.arrays.get(p)));
                if let (Some(axis), Some((inner, shard))) = (
                    axes.step,
                    coarser.and_then(|c| Some((&c.sharding.as_ref()?.inner_shape, &c.chunk_shape))),
                ) && let (Some(i), Some(s)) = (inner.get(axis), shard.get(axis))
                {
                    (layout.inner[0], layout.shard[0]) = (*i, *s);
                }
            }
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
        let inner = Layout::spread(layout.inner, &axes, rank);
        let mut metadata =
            sharded_array(described, &inner, &Layout::spread(layout.shard, &axes, rank), codec);
        keep_codecs(&mut metadata, goes_on.and_then(|g| g.former.arrays.get(&v.path)));
        metadata
    };
    Prepared { variable: v, attributes, fill, dims, whole, axes, layout, codec, metadata }
}

impl Prepared<'_> {
    /// Cuts the array as the recipe asks, unless it is stored already.
    fn cut(&mut self, cube: &recipe::Cube, goes_on: Option<&Continue<'_>>) -> Result<(), String> {
        let v = self.variable;
        let stored = goes_on.is_some_and(|g| g.former.arrays.contains_key(&v.path));
        if stored || (cube.chunks.is_empty() && cube.shards.is_empty()) {
            return Ok(());
        }
        let (axes, rank) = (&self.axes, v.shape.len());
        let walked = [axes.step, Some(axes.row), axes.column];
        let others = self.dims.iter().enumerate().filter(|(a, _)| !walked.contains(&Some(*a)));
        for (_, name) in others {
            for (what, lengths) in [("chunks", &cube.chunks), ("shards", &cube.shards)] {
                if let Some(n) = lengths.get(name).filter(|n| **n != 1) {
                    return Err(format!(
                        "cube.{what}.{name}: expected 1, found {n}: {what} hold more than one only along time and the dimensions of the grid"
                    ));
                }
            }
        }
        let name = |a: &Option<usize>| a.and_then(|a| self.dims.get(a)).map_or("", String::as_str);
        let of = |lengths: &BTreeMap<String, u64>| walked.each_ref().map(|a| lengths.get(name(a)).copied());
        let lengths = walked.map(|a| a.and_then(|a| v.shape.get(a)).copied().unwrap_or(1));
        self.layout = self.layout.asked(
            [of(&cube.chunks), of(&cube.shards)],
            walked.each_ref().map(name),
            lengths,
            v.dtype,
        )?;
        let described = Described {
            shape: &v.shape,
            dtype: v.dtype,
            dims: &self.dims,
            fill: &self.fill.json,
            attributes: self.attributes.clone(),
        };
        let spread = |l: [u64; 3]| Layout::spread(l, axes, rank);
        self.metadata =
            sharded_array(described, &spread(self.layout.inner), &spread(self.layout.shard), self.codec);
        Ok(())
    }

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
        // NetCDF's own fill is none that this file says: NaN is plainer.
        let said = packing.nodata.first().filter(|v| **v != FILL_FLOAT);
        let nodata = match (self.attributes.contains_key("_FillValue"), said) {
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
            dimension: v.dims.first().cloned(),
            axes: self.axes.clone(),
            source_chunks: v.chunks.clone(),
            levels: vec![Level {
                path: v.path.clone(),
                metadata: self.metadata.clone(),
                layout: self.layout,
                axes: self.axes.clone(),
                rank: v.shape.len(),
                rows: v.shape.get(self.axes.row).copied().unwrap_or(1),
                columns: self.axes.column.map_or(1, |a| v.shape[a]),
            }],
            packing,
            method,
            nodata,
            weights: Weights::Rows(Vec::new()),
            elsewhere: false,
            // Only an array that grows along its steps, or its rows, is continued; others are written anew.
            fresh: goes_on
                .filter(|g| g.former.arrays.contains_key(&v.path))
                .filter(|g| {
                    v.dims.get(self.axes.step.unwrap_or(self.axes.row)).is_some_and(|d| d == g.dimension)
                })
                .map(|g| g.fresh.to_vec()),
            is_series: false,
        }
    }
}

/// One element, native-endian.
pub fn raw_bytes(dtype: DataType, v: f64) -> Vec<u8> {
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
