//! Mean, least, greatest, spread and count of a region's cells, step by step.
//!
//! Weighted by the cells' areas on the sphere; read a few steps at a time, so that memory does
//! not grow with the time that is covered.

use std::sync::Arc;

use graticule_shared::cube::Role;
use serde_json::{Map, Value, json};

use super::coverage::{Labels, Selected};
use super::inside::Areas;
use super::{Plan, gather, plan};
use crate::opened::{Opened, unravel};
use crate::problem::{Answer, Problem};

/// Values held at a time.
pub const BATCH: usize = 1 << 20;

/// One step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Summary {
    mean: f64,
    std: f64,
    min: f64,
    max: f64,
    count: u64,
    missing: u64,
}

/// Of values and their weights, those cells left out whose weight is not above 0.
fn summary(values: &[f64], weights: impl Iterator<Item = f64> + Clone) -> Summary {
    let cells = || values.iter().copied().zip(weights.clone()).filter(|(_, w)| *w > 0.0);
    let there = || cells().filter(|(v, _)| v.is_finite());
    let (mut sum, mut total, mut count) = (0.0, 0.0, 0u64);
    let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
    for (v, w) in there() {
        sum += v * w;
        total += w;
        count += 1;
        min = min.min(v);
        max = max.max(v);
    }
    let mean = sum / total;
    // The second pass keeps what is small beside a large mean.
    let spread: f64 = there().map(|(v, w)| w * (v - mean).powi(2)).sum();
    Summary { mean, std: (spread / total).sqrt(), min, max, count, missing: cells().count() as u64 - count }
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
        let weights = (0..cells).map(|i| {
            let left_out = outside.is_some_and(|o| o.get(i).copied().unwrap_or(true));
            if left_out { 0.0 } else { areas.weight(i) }
        });
        let mut all: Vec<Summary> = Vec::new();
        let shape: Vec<usize> = part.dims.iter().map(|d| d.indices.len()).collect();
        let batch = (BATCH / cells).max(1);
        // Steps of the slowest dimension together, as many as fit; those of the others all at once
        // where they fit, else one by one.
        let inner: usize = shape.iter().skip(1).product();
        let batches: Vec<Vec<Selected>> = if inner <= batch {
            let n = shape.first().copied().unwrap_or(1);
            let per = (batch / inner.max(1)).max(1);
            (0..n)
                .step_by(per)
                .map(|from| {
                    let mut dims = part.dims.clone();
                    if let Some(first) = dims.first_mut() {
                        *first = first.pick(&(from..(from + per).min(n)).collect::<Vec<_>>());
                    }
                    dims
                })
                .collect()
        } else {
            let wide: Vec<u64> = shape.iter().map(|n| *n as u64).collect();
            (0..wide.iter().product::<u64>())
                .map(|flat| {
                    let at = unravel(flat, &wide);
                    part.dims.iter().zip(at).map(|(d, i)| d.pick(&[i as usize])).collect()
                })
                .collect()
        };
        for dims in batches {
            let mut values = gather::values(opened, &part.variable, &dims, &chosen.at).await?;
            plan::blank(&chosen.domain, &mut values);
            all.extend(values.chunks(cells).map(|step| summary(step, weights.clone())));
        }
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
            "std": number(|s| s.std),
            "min": number(|s| s.min),
            "max": number(|s| s.max),
            "count": all.iter().map(|s| s.count).collect::<Vec<_>>(),
            "missing": all.iter().map(|s| s.missing).collect::<Vec<_>>(),
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
    fn heavier_cells_count_for_more_and_missing_ones_for_nothing() {
        let s = summary(&[1.0, 3.0, f64::NAN, 9.0], [1.0, 3.0, 1.0, 0.0].into_iter());
        assert_eq!((s.mean, s.min, s.max, s.count, s.missing), (2.5, 1.0, 3.0, 2, 1));
        assert!((s.std - 0.75f64.sqrt()).abs() < 1e-15);
        let none = summary(&[f64::NAN], [1.0].into_iter());
        assert_eq!((none.count, none.missing), (0, 1));
    }
}
