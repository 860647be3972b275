//! Parts of a request that is too much: by time or level, by parameter, or by place.
//!
//! What each part costs is found here, so that parts that are offered are answered. Where no list
//! of one parameter's values is as fine as that, its values are to be split again.

mod path;
mod points;
mod steps;
mod strips;

use super::Query;
use super::cost::Cost;
use super::gather::Where;
use super::plan::Plan;
use crate::opened::Opened;
use crate::problem::Problem;

pub(super) use path::{looks_along, looks_of, too_long};
pub(super) use points::too_many;
pub(super) use strips::through;

/// Parts that are listed.
const MOST: usize = 1000;
/// Bytes of the geometries that are listed: long edges are in each of their strips.
const MOST_TEXT: usize = 4 << 20;

/// A parameter, and the values of it that together are what was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    pub parameter: String,
    pub values: Vec<String>,
    /// True where some of them are too much still.
    pub again: bool,
}

impl Split {
    /// A refusal that proposes it.
    pub fn refusal(self, mut problem: Problem) -> Problem {
        let Self { parameter, values, again } = self;
        let first: String = values.first().map_or("", String::as_str).chars().take(120).collect();
        problem.detail +=
            &format!(": ask in {} parts, such as {parameter}={first}; \"split\" lists them", values.len());
        if again {
            problem.detail += ". Some are too much still, and tell how they are to be split again";
            problem = problem.with("again", true);
        }
        problem.with("parameter", parameter).with("split", values)
    }
}

/// What one answer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    pub values: u64,
    /// Steps of all parameters together.
    pub steps: u64,
    /// True where answers of parts of a region can be put together.
    pub by_place: bool,
}

impl Most {
    pub const fn values(values: u64) -> Self {
        Self { values, steps: u64::MAX, by_place: true }
    }

    pub fn has(&self, cost: &Cost, steps: u64) -> bool {
        !cost.is_too_much(self.values) && steps <= self.steps
    }

    fn parts(&self, cost: &Cost, steps: u64) -> usize {
        let parts = cost.parts(self.values).max(steps.div_ceil(self.steps.max(1)));
        usize::try_from(parts).unwrap_or(usize::MAX).max(2)
    }
}

/// Parts of a plan, as few as are answered.
pub(super) fn of(plan: &Plan, opened: &Opened, most: &Most) -> Option<Split> {
    let ways: [&dyn Fn() -> Option<Split>; 3] =
        [&|| steps::of(plan, opened, most), &|| by_parameters(plan, opened, most), &|| {
            by_place(plan, opened, most).filter(|_| most.by_place)
        }];
    let mut coarse = None;
    for way in ways {
        match way() {
            Some(split) if !split.again => return Some(split),
            split => coarse = coarse.or(split),
        }
    }
    coarse
}

/// As many to a part as are answered together.
fn by_parameters(plan: &Plan, opened: &Opened, most: &Most) -> Option<Split> {
    // Alone some may not have what is chosen for all.
    if plan.parts.iter().any(|p| super::check_dims(opened, &[&p.variable], &plan.choice).is_err()) {
        return None;
    }
    let mut values: Vec<String> = Vec::new();
    let (mut cost, mut steps, mut again) = (Cost::default(), 0, false);
    for part in &plan.parts {
        let (own, more) = (part.cost, part.steps());
        again |= !most.has(&own, more);
        let mut both = cost;
        both.add(own);
        match values.last_mut().filter(|_| most.has(&both, steps + more)) {
            Some(list) => {
                list.push(',');
                list.push_str(&part.variable.path);
                (cost, steps) = (both, steps + more);
            }
            None => {
                values.push(part.variable.path.clone());
                (cost, steps) = (own, more);
            }
        }
    }
    let listed = (2..=MOST).contains(&values.len());
    listed.then(|| Split { parameter: "parameter-name".to_owned(), values, again })
}

fn by_place(plan: &Plan, opened: &Opened, most: &Most) -> Option<Split> {
    match &plan.query {
        Query::Points(places) => points::of(plan, places, opened, most),
        Query::Region(region) => strips::of(plan, region, opened, most),
        Query::Path(lines) => path::of(plan, lines, opened, most),
    }
}

/// The costs of all parameters, where each of the plan's spots has these of its cells; `None` for
/// a spot that has none of them.
fn together(plan: &Plan, opened: &Opened, cells: &[Option<Where>]) -> Option<(Cost, u64)> {
    let (mut cost, mut steps) = (Cost::default(), 0);
    for part in &plan.parts {
        if let Some(at) = cells.get(part.spot)? {
            cost.add(super::gather::cost(opened, &part.variable, &part.dims, at).ok()?);
            steps += part.steps();
        }
    }
    Some((cost, steps))
}

/// Tries so many parts, and more until they are fine enough, of at most `finest`: the parts, and
/// whether they are. `cut` makes about so many.
fn finer<T>(
    first: usize,
    finest: usize,
    cut: impl Fn(usize) -> Option<T>,
    fits: impl Fn(&T) -> bool,
) -> Option<(T, bool)> {
    let finest = finest.min(MOST);
    let mut best = None;
    let mut parts = first.clamp(2, finest.max(2));
    while let Some(cuts) = cut(parts) {
        if fits(&cuts) {
            return Some((cuts, true));
        }
        best = Some(cuts);
        if parts >= finest {
            break;
        }
        parts = (parts + parts.div_ceil(3)).min(finest);
    }
    best.map(|cuts| (cuts, false))
}
