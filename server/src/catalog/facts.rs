//! What a store says of itself: extent, dimensions, variables.
//!
//! Computed when a version is published, so that listing collections reads no
//! chunk, and never stale, because nothing of it is typed by hand.

use std::collections::BTreeMap;

use graticule_shared::axis::Axis;
use graticule_shared::cube::{Dim, Role};
use graticule_shared::grid::Horizontal;
use graticule_shared::time::{CfTime, TimeUnits};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::projection::Projected;
use crate::opened::Opened;

/// Coordinate values are listed up to this many; above, only the first, the last and the step.
const MAX_LISTED: usize = 512;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Facts {
    pub title: Option<String>,
    pub description: Option<String>,
    /// West, south, east, north in degrees; west is greater than east across the antimeridian.
    pub bbox: Option<[f64; 4]>,
    pub time: Option<TimeExtent>,
    pub dims: BTreeMap<String, DimFacts>,
    pub variables: Vec<VariableFacts>,
    /// How its one grid lies in its own coordinates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projection: Option<Projected>,
    /// Attributes of the root group that STAC has a place for.
    pub attributes: Map<String, Value>,
    /// What was guessed, in words.
    pub notes: Vec<String>,
    /// Its full resolution is in files elsewhere, which may vanish.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub references: bool,
    /// How it is computed, where it is a view.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<Value>,
    /// What a table says of itself; a cube has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<crate::tables::TableFacts>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TimeExtent {
    /// RFC 3339.
    pub start: String,
    pub end: String,
    pub calendar: String,
    pub start_secs: f64,
    pub end_secs: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DimFacts {
    pub name: String,
    /// `x`, `y`, `z`, `t`, or empty.
    pub role: String,
    pub len: u64,
    pub coordinate: Option<String>,
    pub units: Option<String>,
    pub positive: Option<String>,
    pub description: Option<String>,
    pub calendar: Option<String>,
    /// Latitude or longitude in degrees.
    pub geographic: bool,
    pub first: Option<f64>,
    pub last: Option<f64>,
    /// The constant step, where there is one.
    pub step: Option<f64>,
    /// Numbers; on a time axis ISO 8601 strings in its calendar.
    pub values: Vec<Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VariableFacts {
    pub path: String,
    pub label: String,
    pub standard_name: Option<String>,
    pub units: Option<String>,
    pub dtype: String,
    /// Keys of [`Facts::dims`].
    pub dims: Vec<String>,
    pub shape: Vec<u64>,
    pub levels: usize,
    pub valid_range: Option<(f64, f64)>,
    pub flags: Vec<(f64, String)>,
    /// Its cells have a place: positions can be asked for.
    pub locatable: bool,
    /// A small picture can be drawn of it.
    #[serde(default)]
    pub pictured: bool,
}

const KEPT_ATTRIBUTES: [&str; 16] = [
    "institution",
    "source",
    "history",
    "references",
    "comment",
    "Conventions",
    "license",
    "keywords",
    "creator_name",
    "creator_url",
    "publisher_name",
    "publisher_url",
    "providers",
    "doi",
    "citation",
    "processing_level",
];

impl Facts {
    /// Reads them from an opened version.
    ///
    /// # Errors
    /// None at present: a coordinate that cannot be read is noted and left out.
    pub async fn derive(opened: &Opened) -> anyhow::Result<Self> {
        let attributes = &opened.hierarchy.attributes;
        let mut facts = Self {
            title: opened.cube.title.clone(),
            description: ["summary", "description", "comment"]
                .iter()
                .find_map(|k| attributes.get(*k)?.as_str())
                .map(str::trim)
                .filter(|s| !s.is_empty())
                .map(str::to_owned),
            notes: opened.cube.notes.clone(),
            references: crate::reference::is_marked(&opened.hierarchy),
            view: attributes.get(crate::views::ATTRIBUTE).filter(|_| opened.snapshot.is_derived()).cloned(),
            attributes: KEPT_ATTRIBUTES
                .iter()
                .filter_map(|k| Some(((*k).to_owned(), attributes.get(*k)?.clone())))
                .collect(),
            ..Self::default()
        };
        for v in &opened.cube.variables {
            let mut keys = Vec::new();
            for dim in &v.dims {
                keys.push(facts.add_dim(opened, dim).await);
            }
            facts.add_scalar_times(opened, v).await;
            facts.variables.push(VariableFacts {
                path: v.path.clone(),
                label: v.label(),
                standard_name: v.standard_name.clone(),
                units: v.units.clone(),
                dtype: v.packing.dtype.zarr_name().to_owned(),
                shape: v.dims.iter().map(|d| d.len).collect(),
                dims: keys,
                levels: v.levels.len(),
                valid_range: v.valid_range,
                flags: v.flags.clone(),
                locatable: opened.is_placed(v),
                pictured: crate::preview::is_pictured(opened, v),
            });
        }
        facts.projection = Projected::of(opened).await;
        let mut boxes: Vec<[f64; 4]> = facts.box_of_axes().into_iter().collect();
        boxes.extend(facts.boxes_of_grids(opened).await);
        facts.bbox = boxes.into_iter().reduce(union);
        if facts.bbox.is_none() {
            facts.variables.iter_mut().for_each(|v| v.pictured = false);
            facts.notes.push("no latitude and longitude found: the extent is not known".to_owned());
        }
        Ok(facts)
    }

    /// Adds the dimension and returns its key: its name, or its coordinate's path where names clash.
    async fn add_dim(&mut self, opened: &Opened, dim: &Dim) -> String {
        let mut key = dim.name.clone();
        if let Some(known) = self.dims.get(&key) {
            if known.coordinate == dim.coordinate && known.len == dim.len {
                return key;
            }
            key = dim.coordinate.clone().unwrap_or_else(|| format!("{}_{}", dim.name, dim.len));
            if self.dims.contains_key(&key) {
                return key;
            }
        }
        let mut out = DimFacts {
            name: dim.name.clone(),
            role: role_name(dim.role).to_owned(),
            len: dim.len,
            coordinate: dim.coordinate.clone(),
            units: dim.units.clone(),
            positive: dim.positive.clone(),
            description: dim.long_name.clone(),
            calendar: None,
            geographic: opened.is_geographic(dim),
            first: None,
            last: None,
            step: None,
            values: Vec::new(),
        };
        if let Some(path) = &dim.coordinate {
            match opened.axis_values(path).await {
                Ok(values) => self.read_values(&mut out, dim, &values),
                Err(e) => self.notes.push(format!("{path}: values not read: {e:#}")),
            }
        }
        self.dims.insert(key.clone(), out);
        key
    }

    fn read_values(&mut self, out: &mut DimFacts, dim: &Dim, values: &[f64]) {
        out.first = values.first().copied().filter(|v| v.is_finite());
        out.last = values.last().copied().filter(|v| v.is_finite());
        out.step = Axis::new(values.to_vec()).ok().and_then(|a| a.step());
        if dim.role == Role::T {
            let units = dim.units.as_deref().unwrap_or_default();
            match TimeUnits::parse(units, dim.calendar.as_deref()) {
                Ok(units) => {
                    out.calendar = Some(units.calendar.name().to_owned());
                    if values.len() > MAX_LISTED {
                        // Instants are in the order of their numbers: two of them say the extent.
                        let finite = || values.iter().copied().filter(|v| v.is_finite());
                        let at = |v: f64| units.decode(v).ok();
                        let first = finite().min_by(f64::total_cmp).and_then(at);
                        let last = finite().max_by(f64::total_cmp).and_then(at);
                        self.widen_time(&units, first.as_ref(), last.as_ref());
                        return;
                    }
                    let times: Vec<CfTime> = values.iter().filter_map(|v| units.decode(*v).ok()).collect();
                    if times.len() == values.len() {
                        out.values = times.iter().map(|t| Value::from(format!("{t}Z"))).collect();
                    }
                    self.widen_time(&units, times.iter().min(), times.iter().max());
                    return;
                }
                Err(e) => self.notes.push(format!("{}: {e}", dim.name)),
            }
        }
        if values.len() <= MAX_LISTED && !matches!(dim.role, Role::X | Role::Y) {
            out.values = values.iter().map(|v| Value::from(*v)).collect();
        }
    }

    pub(super) fn widen_time(&mut self, units: &TimeUnits, first: Option<&CfTime>, last: Option<&CfTime>) {
        let (Some(first), Some(last)) = (first, last) else { return };
        // RFC 3339 has four digits and most readers no year 0: the year of a climatology is none.
        if !(1..=9999).contains(&first.year) || !(1..=9999).contains(&last.year) {
            let note = format!(
                "times from {first} to {last} are no wall-clock times: the temporal extent is left open"
            );
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
            return;
        }
        let extent = TimeExtent {
            start: clock_time(*first),
            end: clock_time(*last),
            calendar: units.calendar.name().to_owned(),
            start_secs: first.epoch_secs(units.calendar),
            end_secs: last.epoch_secs(units.calendar),
        };
        match &mut self.time {
            None => self.time = Some(extent),
            Some(t) => {
                if extent.start_secs < t.start_secs {
                    (t.start, t.start_secs) = (extent.start, extent.start_secs);
                }
                if extent.end_secs > t.end_secs {
                    (t.end, t.end_secs) = (extent.end, extent.end_secs);
                }
            }
        }
    }

    fn box_of_axes(&self) -> Option<[f64; 4]> {
        let boxes = self.variables.iter().filter(|v| v.locatable).filter_map(|v| {
            let dim = |role: &str| {
                v.dims.iter().filter_map(|k| self.dims.get(k)).find(|d| d.role == role && d.geographic)
            };
            let (x, y) = (dim("x")?, dim("y")?);
            Some(grid_box((x.first?, x.last?, x.len), (y.first?, y.last?, y.len)))
        });
        boxes.reduce(union)
    }

    /// Boxes of the cells that have a place, of each grid that is not separable.
    async fn boxes_of_grids(&mut self, opened: &Opened) -> Vec<[f64; 4]> {
        let mut grids: Vec<&Horizontal> = Vec::new();
        for grid in opened.cube.variables.iter().filter_map(|v| v.horizontal()) {
            if !matches!(grid, Horizontal::Separable { .. }) && !grids.contains(&grid) {
                grids.push(grid);
            }
        }
        let mut out = Vec::new();
        for grid in grids {
            match opened.locator(grid).await {
                Ok(locator) => out.extend(locator.extent().bbox()),
                Err(e) => self.notes.push(format!("extent not known: {e:#}")),
            }
        }
        out
    }
}

/// The box around two; all the way around where only one crosses the antimeridian.
fn union(a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
    if a == b {
        return a;
    }
    let (wraps_a, wraps_b) = (a[0] > a[2], b[0] > b[2]);
    let (west, east) = if wraps_a != wraps_b { (-180.0, 180.0) } else { (a[0].min(b[0]), a[2].max(b[2])) };
    [west, a[1].min(b[1]), east, a[3].max(b[3])]
}

/// RFC 3339 of the nearest day that a wall clock knows: 30 February becomes the 28th.
pub fn clock_time(t: CfTime) -> String {
    let leap = t.year.rem_euclid(4) == 0 && (t.year.rem_euclid(100) != 0 || t.year.rem_euclid(400) == 0);
    let longest = match t.month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    format!("{}Z", CfTime { day: t.day.min(longest), ..t })
}

pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::X => "x",
        Role::Y => "y",
        Role::Z => "z",
        Role::T => "t",
        Role::Other => "",
    }
}

/// Outer edges of a grid, with longitudes in [-180, 180].
fn grid_box((x0, x1, nx): (f64, f64, u64), (y0, y1, ny): (f64, f64, u64)) -> [f64; 4] {
    let edge = |a: f64, b: f64, n: u64| {
        let half = if n > 1 { (b - a).abs() / (n - 1) as f64 / 2.0 } else { 0.0 };
        (a.min(b) - half, a.max(b) + half)
    };
    let (south, north) = edge(y0, y1, ny);
    let (west, east) = wrapped(edge(x0, x1, nx));
    [west, south.max(-90.0), east, north.min(90.0)]
}

/// A range of longitudes in [-180, 180]; west is greater than east across the antimeridian.
fn wrapped((west, east): (f64, f64)) -> (f64, f64) {
    // Longitudes in float32 miss a turn by their rounding.
    if east - west >= 360.0 - 1e-3 {
        return (-180.0, 180.0);
    }
    let into = |v: f64| if (-180.0..=180.0).contains(&v) { v } else { (v + 180.0).rem_euclid(360.0) - 180.0 };
    (into(west), into(east))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_edges_in_the_usual_range() {
        assert_eq!(grid_box((0.0, 357.5, 144), (90.0, -90.0, 73)), [-180.0, -90.0, 180.0, 90.0]);
        assert_eq!(grid_box((0.0, 359.1666564941406, 432), (0.0, 4.5, 10))[..3], [-180.0, -0.25, 180.0]);
        assert_eq!(grid_box((250.0, 300.0, 21), (75.0, 50.0, 11)), [-111.25, 48.75, -58.75, 76.25]);
        assert_eq!(grid_box((170.0, 190.0, 21), (0.0, 0.0, 1)), [169.5, 0.0, -169.5, 0.0]);
    }

    #[test]
    fn days_no_wall_clock_has_become_the_nearest_it_has() {
        let t = CfTime { year: 1861, month: 2, day: 30, micros_of_day: 0 };
        assert_eq!(clock_time(t), "1861-02-28T00:00:00Z");
    }
}
