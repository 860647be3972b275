//! Cells along a path, as a ship or a float meets them.
//!
//! A path is straight on longitude and latitude between its vertices. Each cell that it enters
//! is a sample; heights and times of its vertices run evenly along a leg.

use std::collections::BTreeMap;
use std::sync::Arc;

use graticule_shared::cube::Role;
use graticule_shared::time::{CfTime, TimeUnits};

use super::cost::Cost;
use super::coverage::{Coverage, Domain, Field, Labels, Selected};
use super::gather::{self, MAX_BLOCKS, Where};
use super::places::{Cell, Grid};
use super::plan::Part;
use super::shape::Vertex;
use super::{select, split};
use crate::opened::Opened;
use crate::problem::{Answer, Problem};

/// Places of a path that are looked at.
const MAX_LOOKS: u64 = 1 << 20;
/// The same between them, in search of cells that are only nicked.
const MAX_NICKS: u64 = 4 * MAX_LOOKS;

/// Halvings of the way between two looks, in search of a cell between theirs: what is found of a
/// cell's corner is a thousandth of its width.
const BISECTIONS: u32 = 8;

pub struct Path {
    pub samples: Vec<Sample>,
    /// Looks that were made, and how many degrees they are apart at most.
    pub looks: u64,
    pub step_deg: f64,
}

pub struct Sample {
    pub cell: Cell,
    /// Which look found it first.
    look: u64,
    /// Where the path first meets the cell.
    z: Option<f64>,
    /// Seconds since 1970.
    m: Option<f64>,
}

impl Path {
    /// True where its vertices say times or heights.
    pub fn is_timed(&self) -> bool {
        self.samples.first().is_some_and(|s| s.z.is_some() || s.m.is_some())
    }
}

/// The cells that a path enters; `None` where all of it lies beside the grid.
///
/// # Errors
/// A path too long for cells of this size, with pieces of it.
pub fn samples(grid: &Grid, lines: &[Vec<Vertex>]) -> Answer<Option<Path>> {
    let step_deg = grid.spacing_deg() / 4.0;
    let mut samples: Vec<Sample> = Vec::new();
    let (mut looks, mut nicks) = (0u64, 0u64);
    for (n, line) in lines.iter().enumerate() {
        looks += u64::from(n > 0);
        for (leg, (a, b)) in line.iter().zip(line.iter().skip(1)).enumerate() {
            let count = split::looks_along(a, b, step_deg);
            if looks.saturating_add(count) > MAX_LOOKS {
                return Err(split::too_long(lines, step_deg, MAX_LOOKS));
            }
            let cell = |part: f64| {
                let between = |a: f64, b: f64| a + (b - a) * part;
                grid.cell(between(a.longitude, b.longitude), between(a.latitude, b.latitude))
            };
            let mut found: Vec<(f64, Option<Cell>)> = Vec::new();
            let mut last: Option<(f64, Option<Cell>)> = None;
            for i in 0..=count {
                let part = i as f64 / count as f64;
                let here = (part, cell(part));
                found.clear();
                if let Some(last) = last {
                    nicks += nicked(grid, &cell, last, here, BISECTIONS, &mut found);
                }
                // Cells much finer than they are on the whole.
                if nicks > MAX_NICKS || samples.len() as u64 > MAX_LOOKS {
                    let finer =
                        split::too_long(lines, step_deg, (split::looks_of(lines, step_deg) / 4).max(1));
                    return Err(finer);
                }
                last = Some(here);
                // Where the leg begins is where the last one ended.
                found.extend((i > 0 || leg == 0).then_some(here));
                for (part, cell) in found.iter().filter_map(|(part, cell)| Some((*part, (*cell)?))) {
                    let both = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a + (b - a) * part);
                    let (z, m) = (both(a.z, b.z), both(a.m, b.m));
                    // Within one cell a vertex counts where it is at another time or height.
                    let vertex = part == 1.0 && (z.is_some() || m.is_some());
                    let same = samples.last().is_some_and(|s| s.cell.flat == cell.flat);
                    if !same || (vertex && samples.last().is_some_and(|s| s.z != z || s.m != m)) {
                        samples.push(Sample { cell, look: looks + i, z, m });
                    }
                }
            }
            looks += count;
        }
    }
    Ok((!samples.is_empty()).then_some(Path { samples, looks, step_deg }))
}

/// Cells of which a leg has a corner between two looks that found cells that are not beside each other;
/// how many more places were looked at.
fn nicked(
    grid: &Grid,
    cell: &impl Fn(f64) -> Option<Cell>,
    (from, a): (f64, Option<Cell>),
    (to, b): (f64, Option<Cell>),
    left: u32,
    out: &mut Vec<(f64, Option<Cell>)>,
) -> u64 {
    let flat = |c: Option<Cell>| c.map(|c| c.flat);
    let beside = a.zip(b).is_some_and(|(a, b)| grid.are_beside(a.flat, b.flat));
    if left == 0 || flat(a) == flat(b) || beside {
        return 0;
    }
    let part = f64::midpoint(from, to);
    let middle = (part, cell(part));
    let before = nicked(grid, cell, (from, a), middle, left - 1, out);
    if flat(middle.1) != flat(a) && flat(middle.1) != flat(b) {
        out.push(middle);
    }
    1 + before + nicked(grid, cell, middle, (to, b), left - 1, out)
}

/// The dimensions that the path itself goes along, by place in the list, and for each sample
/// the step of each.
pub(super) struct Own {
    time: Option<usize>,
    height: Option<usize>,
    steps: Vec<(usize, usize)>,
}

/// # Errors
/// A time or a height that the variable does not have.
pub(super) fn own(part: &Part, path: &Path) -> Answer<Own> {
    let first = path.samples.first();
    let dim =
        |role: Role, drawn: bool| drawn.then(|| part.dims.iter().position(|d| d.role == role)).flatten();
    let time = dim(Role::T, first.is_some_and(|s| s.m.is_some()));
    let height = dim(Role::Z, first.is_some_and(|s| s.z.is_some()));
    let stored = |i: usize| match &part.dims[i].labels {
        Labels::Times { stored, .. } => stored.as_slice(),
        Labels::Numbers(values) => values.as_slice(),
    };
    let units = time.and_then(|i| {
        let d = &part.dims[i];
        let calendar = match &d.labels {
            Labels::Times { calendar, .. } => Some(*calendar),
            Labels::Numbers(_) => None,
        };
        TimeUnits::parse(d.units.as_deref()?, calendar).ok()
    });
    let epoch = CfTime { year: 1970, month: 1, day: 1, micros_of_day: 0 };
    // Where M counts from, and how long its second is.
    let clock = units.as_ref().map(|units| {
        let zero = units.encode(epoch);
        (zero, units.encode(CfTime { micros_of_day: 1_000_000, ..epoch }) - zero)
    });
    let times = time.map(|i| select::Steps::new(stored(i)));
    let heights = height.map(|i| select::Steps::new(stored(i)));
    let mut steps = Vec::with_capacity(path.samples.len());
    for sample in &path.samples {
        let mut at = (0, 0);
        if let (Some(times), Some((zero, second)), Some(m)) = (&times, clock, sample.m) {
            let outside = || {
                Problem::parameter(
                    "coords",
                    &format!("M {m}"),
                    "seconds since 1970 of a time that the collection does not cover",
                )
            };
            at.0 = times.nearest(zero + m * second).ok_or_else(outside)?;
        }
        if let (Some(heights), Some(z)) = (&heights, sample.z) {
            at.1 = heights.nearest(z).ok_or_else(|| {
                Problem::parameter("coords", &format!("Z {z}"), "a height that the collection does not cover")
            })?;
        }
        steps.push(at);
    }
    Ok(Own { time, height, steps })
}

/// Samples from one to before another by their steps of the path's own dimensions.
fn groups(own: &Own, from: usize, to: usize) -> BTreeMap<(usize, usize), Vec<usize>> {
    let mut out: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (i, step) in own.steps.iter().enumerate().take(to).skip(from) {
        out.entry(*step).or_default().push(i);
    }
    out
}

/// What is selected where the path is at this step of its own dimensions.
fn selected(part: &Part, own: &Own, (t, z): (usize, usize)) -> Vec<Selected> {
    let pick = |(i, d): (usize, &Selected)| match Some(i) {
        at if at == own.time => d.pick(&[t]),
        at if at == own.height => d.pick(&[z]),
        _ => d.clone(),
    };
    part.dims.iter().enumerate().map(pick).collect()
}

fn cells(path: &Path, which: &[usize]) -> Where {
    Where::List(which.iter().filter_map(|i| path.samples.get(*i)).map(|s| s.cell.flat).collect())
}

pub(super) fn cost(opened: &Opened, part: &Part, path: &Path) -> Answer<Cost> {
    cost_between(opened, part, path, &own(part, path)?, 0, path.looks)
}

/// Of the samples that were found by some of the looks; at least this where that is too much.
pub(super) fn cost_between(
    opened: &Opened,
    part: &Part,
    path: &Path,
    own: &Own,
    from: u64,
    to: u64,
) -> Answer<Cost> {
    let at = |look: u64| path.samples.partition_point(|s| s.look < look);
    let groups = groups(own, at(from), at(to.saturating_add(1)));
    let mut cost = Cost::default();
    for (n, (step, which)) in groups.iter().enumerate() {
        let dims = selected(part, own, *step);
        cost.add(gather::cost(opened, &part.variable, &dims, &cells(path, which))?);
        // Each of the others is a chunk at least.
        if cost.chunks > MAX_BLOCKS {
            let left = (groups.len() - n - 1) as u64;
            cost.add(Cost { chunks: left, bytes: 0, values: left });
            break;
        }
    }
    Ok(cost)
}

pub(super) async fn coverages(opened: &Arc<Opened>, path: &Path, parts: &[&Part]) -> Answer<Vec<Coverage>> {
    let mut out: Vec<Coverage> = Vec::new();
    for part in parts {
        let own = own(part, path)?;
        let left: Vec<Selected> = (part.dims.iter().enumerate())
            .filter(|(i, _)| Some(*i) != own.time && Some(*i) != own.height)
            .map(|(_, d)| d.clone())
            .chain(part.scalars.iter().cloned())
            .collect();
        let count = path.samples.len();
        let steps: usize = left.iter().map(|d| d.indices.len()).product();
        let mut values = vec![f64::NAN; steps * count];
        for (step, which) in groups(&own, 0, path.samples.len()) {
            let dims = selected(part, &own, step);
            // The path's own dimensions are one step long here, so what is left keeps its order.
            let read = gather::values(opened, &part.variable, &dims, &cells(path, &which)).await?;
            for (step, row) in read.chunks(which.len().max(1)).enumerate() {
                for (value, sample) in row.iter().zip(&which) {
                    if let Some(slot) = values.get_mut(step * count + sample) {
                        *slot = *value;
                    }
                }
            }
        }
        let picked = |dim: Option<usize>, step: fn(&(usize, usize)) -> usize| {
            dim.map(|i| part.dims[i].pick(&own.steps.iter().map(step).collect::<Vec<_>>()))
        };
        let domain = Domain::Path {
            longitude: path.samples.iter().map(|s| s.cell.longitude).collect(),
            latitude: path.samples.iter().map(|s| s.cell.latitude).collect(),
            times: picked(own.time, |s| s.0).map(|d| d.labels),
            heights: picked(own.height, |s| s.1).map(Box::new),
        };
        let field = Field { variable: part.variable.clone(), values };
        match out.iter_mut().find(|c| c.dims == left && c.domain == domain) {
            Some(c) => c.fields.push(field),
            None => out.push(Coverage { domain, dims: left, fields: vec![field] }),
        }
    }
    Ok(out)
}
