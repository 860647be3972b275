//! Mean, least, greatest, spread and count of a region's cells, step by step.
//!
//! Weighted by the cells' areas on the sphere. Each block is decoded once and its values are added to
//! their steps, so that memory does not grow with the time that is covered.

use std::sync::Arc;

use graticule_shared::cube::Role;
use serde_json::{Map, Value, json};

use super::coverage::{Labels, Selected};
use super::inside::Areas;
use super::{Plan, gather};
use crate::opened::Opened;
use crate::problem::{Answer, Problem};

/// Of one step: what is known so far of the cells that have a value.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Summary {
    mean: f64,
    /// Weighted sum of squares of differences from the mean.
    squares: f64,
    weight: f64,
    min: f64,
    max: f64,
    count: u64,
}

impl Summary {
    const NONE: Self =
        Self { mean: 0.0, squares: 0.0, weight: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, count: 0 };

    /// D. H. D. West, Communications of the ACM 22:9, 1979: exact beside a large mean.
    fn add(&mut self, v: f64, weight: f64) {
        self.count += 1;
        self.weight += weight;
        let before = v - self.mean;
        self.mean += before * (weight / self.weight);
        self.squares += weight * before * (v - self.mean);
        self.min = self.min.min(v);
        self.max = self.max.max(v);
    }

    fn std(&self) -> f64 {
        (self.squares / self.weight).max(0.0).sqrt()
    }
}

/// The answer to a plan for a region, as JSON.
///
/// # Errors
/// More chunks than are read at once; one that does not read.
pub async fn of(opened: &Arc<Opened>, plan: &Plan) -> Answer<Value> {
    plan.check(u64::MAX)?;
    let mut parameters = Map::new();
    for part in &plan.parts {
        let chosen = plan.region(part).ok_or_else(|| Problem::internal("statistics of what is no region"))?;
        let cells = chosen.at.count().max(1);
        let outside = match &chosen.domain {
            super::Domain::Grid { outside, .. } => outside.as_deref(),
            _ => None,
        };
        let areas = &chosen.areas;
        let weights: Vec<f64> = (0..cells)
            .map(|i| {
                let left_out = outside.is_some_and(|o| o.get(i).copied().unwrap_or(true));
                if left_out { 0.0 } else { areas.weight(i) }
            })
            .collect();
        let within = weights.iter().filter(|w| **w > 0.0).count() as u64;
        let shape: Vec<usize> = part.dims.iter().map(|d| d.indices.len()).collect();
        let mut all = vec![Summary::NONE; shape.iter().product()];
        let add = |step: usize, cell: usize, v: f64| {
            if let (Some(s), Some(w)) = (all.get_mut(step), weights.get(cell).filter(|w| **w > 0.0)) {
                s.add(v, *w);
            }
        };
        gather::visit(opened, &part.variable, &part.dims, &chosen.at, add).await?;
        let number = |of: fn(&Summary) -> f64| -> Value {
            all.iter().map(|s| (s.count > 0).then(|| of(s))).collect::<Vec<_>>().into()
        };
        let mut out = json!({
            "label": part.variable.label(),
            "units": part.variable.units,
            "dimensions": part.dims.iter().map(|d| &d.name).collect::<Vec<_>>(),
            "shape": shape,
            "axes": part.dims.iter().map(axis).collect::<Map<_, _>>(),
            "weights": if *areas == Areas::Unknown { "equal" } else { "area" },
            "mean": number(|s| s.mean),
            "std": number(Summary::std),
            "min": number(|s| s.min),
            "max": number(|s| s.max),
            "count": all.iter().map(|s| s.count).collect::<Vec<_>>(),
            "missing": all.iter().map(|s| within - s.count).collect::<Vec<_>>(),
        });
        if part.variable.units.is_none()
            && let Some(o) = out.as_object_mut()
        {
            o.shift_remove("units");
        }
        parameters.insert(part.variable.path.clone(), out);
    }
    Ok(json!({
        "collection": opened.snapshot.collection(),
        "version": opened.snapshot.version(),
        "parameters": parameters,
    }))
}

fn axis(dim: &Selected) -> (String, Value) {
    let mut out = match &dim.labels {
        Labels::Times { values, calendar, .. } => json!({"values": values, "calendar": calendar}),
        Labels::Numbers(values) => json!({"values": values}),
    };
    if dim.role != Role::T
        && let Some(units) = &dim.units
    {
        out["units"] = json!(units);
    }
    (dim.name.clone(), out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heavier_cells_count_for_more() {
        let mut s = Summary::NONE;
        [(1.0, 1.0), (3.0, 3.0)].into_iter().for_each(|(v, w)| s.add(v, w));
        assert_eq!((s.mean, s.min, s.max, s.count), (2.5, 1.0, 3.0, 2));
        assert!((s.std() - 0.75f64.sqrt()).abs() < 1e-15);
        // What is small beside a large mean stays.
        let mut s = Summary::NONE;
        (0..1000).for_each(|i| s.add(1e9 + f64::from(i % 2), 1.0));
        assert!((s.std() - 0.5).abs() < 1e-6, "{}", s.std());
    }
}
