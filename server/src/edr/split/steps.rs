//! By intervals of time or level.

use graticule_shared::cube::Role;

use super::super::cost::Cost;
use super::super::coverage::{Labels, Selected};
use super::super::gather::{Reach, Where};
use super::super::plan::{Plan, Spot};
use super::{MOST, Most, Split, finer};
use crate::opened::Opened;

/// From a step of a selection to another, both among it.
type Run = (usize, usize);

pub(super) fn of(plan: &Plan, opened: &Opened, most: &Most) -> Option<Split> {
    // A path that says its times is asked for no others.
    if plan.spots.iter().any(Spot::is_timed) {
        return None;
    }
    let parts = most.parts(&plan.cost, plan.steps());
    let longest = plan.parts.iter().max_by_key(|p| p.steps())?;
    let mut dims: Vec<&Selected> = (longest.dims.iter())
        .filter(|d| matches!(d.role, Role::T | Role::Z) && d.indices.len() >= 2)
        .collect();
    // Best along what is long enough, and time before levels.
    dims.sort_by_key(|d| std::cmp::Reverse((d.indices.len() >= parts, d.role == Role::T, d.indices.len())));
    let places: Vec<Where> = plan.spots.iter().map(Spot::cells).collect();
    let reaches: Option<Vec<Reach<'_>>> = (plan.parts.iter())
        .map(|p| Reach::of(opened, &p.variable, &p.dims, places.get(p.spot)?).ok())
        .collect();
    let reaches = reaches?;
    let mut coarse = None;
    for dim in dims {
        // An interval of these steps may have none of another parameter's.
        if plan.parts.iter().flat_map(|p| &p.dims).any(|d| d.role == dim.role && d != dim) {
            continue;
        }
        // Of a parameter without it the whole is counted.
        let own: Vec<Option<usize>> =
            plan.parts.iter().map(|p| p.dims.iter().position(|d| d == dim)).collect();
        let cost_of = |(from, to): Run| {
            let (mut cost, mut steps) = (Cost::default(), 0);
            for ((part, reach), own) in plan.parts.iter().zip(&reaches).zip(&own) {
                let some: Vec<&[u64]> = (part.dims.iter().enumerate())
                    .map(|(i, d)| {
                        let part = d.indices.get(from..=to).filter(|_| Some(i) == *own);
                        part.unwrap_or(&d.indices)
                    })
                    .collect();
                cost.add(reach.cost(&some));
                steps += some.iter().map(|s| s.len() as u64).fold(1, u64::saturating_mul);
            }
            (cost, steps)
        };
        let fits = |runs: &Vec<Run>| {
            runs.iter().all(|r| {
                let (cost, steps) = cost_of(*r);
                most.has(&cost, steps)
            })
        };
        let Some((runs, fine)) = finer(parts, dim.indices.len(), |n| runs(&dim.indices, n), fits) else {
            continue;
        };
        let split = listed(dim, runs, &plan.choice.dims, !fine);
        if fine {
            return Some(split);
        }
        coarse.get_or_insert(split);
    }
    coarse
}

/// About so many intervals, none of which has a step that was not selected; `None` where they are
/// too many to list.
fn runs(indices: &[u64], parts: usize) -> Option<Vec<Run>> {
    let per = indices.len().div_ceil(parts);
    let mut runs: Vec<Run> = Vec::new();
    for (i, index) in indices.iter().enumerate() {
        match runs.last_mut() {
            Some((from, to)) if i - *from < per && indices.get(*to).is_some_and(|b| b + 1 == *index) => {
                *to = i;
            }
            _ => runs.push((i, i)),
        }
    }
    (2..=MOST).contains(&runs.len()).then_some(runs)
}

/// `given` are the dimensions that were chosen by their own names.
fn listed(dim: &Selected, runs: Vec<Run>, given: &[(String, String)], again: bool) -> Split {
    let falls = match &dim.labels {
        Labels::Times { stored, .. } => stored.first() > stored.last(),
        Labels::Numbers(_) => false,
    };
    let part = |text: &dyn Fn(usize) -> String, (from, to): Run| {
        let (from, to) = if falls { (to, from) } else { (from, to) };
        if from == to { text(from) } else { format!("{}/{}", text(from), text(to)) }
    };
    let (own, values) = match &dim.labels {
        Labels::Times { values, .. } => {
            let text = |i: usize| values.get(i).cloned().unwrap_or_else(|| "..".to_owned());
            ("datetime", runs.into_iter().map(|r| part(&text, r)).collect())
        }
        Labels::Numbers(values) => {
            let text = |i: usize| values.get(i).copied().unwrap_or_default().to_string();
            ("z", runs.into_iter().map(|r| part(&text, r)).collect())
        }
    };
    let named = given.iter().any(|(name, _)| *name == dim.name);
    let parameter = if named { format!("dim:{}", dim.name) } else { own.to_owned() };
    Split { parameter, values, again }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_two_intervals_was_not_selected() {
        assert_eq!(runs(&[0, 1, 2, 3, 4], 2), Some(vec![(0, 2), (3, 4)]));
        assert_eq!(runs(&[0, 1, 5, 6], 2), Some(vec![(0, 1), (2, 3)]));
        assert_eq!(runs(&[0, 2, 4, 6], 2), Some(vec![(0, 0), (1, 1), (2, 2), (3, 3)]));
        assert_eq!(runs(&(0..4000).map(|i| i * 2).collect::<Vec<u64>>(), 2), None);
    }
}
