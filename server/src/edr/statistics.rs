//! Mean, least, greatest, spread and count of a region's cells, step by step.
//!
//! Weighted by the cells' areas on the sphere. Each block is decoded once and its values are added to
//! their steps, so that memory grows neither with the time that is covered nor, on a regular grid,
//! with the region.

use std::ops::Range;
use std::sync::Arc;

use graticule_shared::cube::Role;
use serde_json::{Map, Value, json};

use super::coverage::{Domain, Labels, Selected};
use super::gather::Where;
use super::inside::{Areas, Chosen, MOST_EFFORT};
use super::plan::Part;
use super::{Plan, Query, Region, gather, places};
use crate::opened::Opened;
use crate::problem::{Answer, Kind, Problem};

/// Cells of a regular grid that are weighed together, more only where a block has more.
const TILE: usize = 1 << 20;

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
    let mut parameters = Map::new();
    for part in &plan.parts {
        let chosen = plan.region(part).ok_or_else(|| Problem::internal("statistics of what is no region"))?;
        let shape: Vec<usize> = part.dims.iter().map(|d| d.indices.len()).collect();
        let mut all = vec![Summary::NONE; shape.iter().product()];
        let mut within = 0;
        let tiles = tiles(opened, part, chosen)?;
        check_effort(plan, chosen, &tiles)?;
        for tile in tiles {
            let weights = tile.weights(plan, chosen).await?;
            within += weights.iter().filter(|w| **w > 0.0).count() as u64;
            let add = |step: usize, cell: usize, v: f64| {
                if let (Some(s), Some(w)) = (all.get_mut(step), weights.get(cell).filter(|w| **w > 0.0)) {
                    s.add(v, *w);
                }
            };
            gather::visit(opened, &part.variable, &part.dims, &tile.at, add).await?;
        }
        let number = |of: fn(&Summary) -> f64| -> Value {
            all.iter().map(|s| (s.count > 0).then(|| of(s))).collect::<Vec<_>>().into()
        };
        let mut out = json!({
            "label": part.variable.label(),
            "units": part.variable.units,
            "dimensions": part.dims.iter().map(|d| &d.name).collect::<Vec<_>>(),
            "shape": shape,
            "axes": part.labels().iter().map(axis).collect::<Map<_, _>>(),
            "weights": if chosen.areas == Areas::Unknown { "equal" } else { "area" },
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

/// Some of a region's cells, which fill whole blocks of it.
#[derive(Debug, Clone, PartialEq)]
struct Tile {
    at: Where,
    /// Which rows and columns of a regular grid's region; all of them in other grids.
    rows: Range<usize>,
    columns: Range<usize>,
}

/// A region in tiles that are cut between blocks: only one that comes back to the block it began in,
/// around the Earth, has it in two of them.
fn tiles(opened: &Opened, part: &Part, chosen: &Chosen) -> Answer<Vec<Tile>> {
    let Where::Window { rows, columns } = &chosen.at else {
        return Ok(vec![Tile { at: chosen.at.clone(), rows: 0..0, columns: 0..0 }]);
    };
    let array = opened.array(&part.variable.path).map_err(Problem::internal)?;
    let [tall, wide] =
        array.block_shape().get(part.dims.len()..).and_then(|p| p.try_into().ok()).unwrap_or([1, 1]);
    Ok(tiles_of(rows, columns, [tall, wide]))
}

fn tiles_of(rows: &[u64], columns: &[u64], [tall, wide]: [u64; 2]) -> Vec<Tile> {
    let mut out = Vec::new();
    // Where one row of blocks is too much, its blocks a few at a time.
    for columns_of in together(columns, wide, (TILE / tall.max(1) as usize).max(1)) {
        for rows_of in together(rows, tall, (TILE / columns_of.len().max(1)).max(1)) {
            out.push(Tile {
                at: Where::Window {
                    rows: rows[rows_of.clone()].to_vec(),
                    columns: columns[columns_of.clone()].to_vec(),
                },
                rows: rows_of,
                columns: columns_of.clone(),
            });
        }
    }
    out
}

/// Runs of indices that are cut between blocks only, each of at most so many or of one block.
fn together(indices: &[u64], block: u64, most: usize) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    let mut blocks: Vec<Range<usize>> = Vec::new();
    for (i, index) in indices.iter().enumerate() {
        match blocks.last_mut() {
            Some(last) if indices[last.start] / block.max(1) == index / block.max(1) => last.end = i + 1,
            _ => blocks.push(i..i + 1),
        }
    }
    for own in blocks {
        match out.last_mut() {
            Some(last) if last.len() + own.len() <= most => last.end = own.end,
            _ => out.push(own),
        }
    }
    out
}

/// # Errors
/// A region of more edges than so many rows are compared with.
fn check_effort(plan: &Plan, chosen: &Chosen, tiles: &[Tile]) -> Answer<()> {
    let (Query::Region(region), Domain::Grid { latitude, .. }) = (&plan.query, &chosen.domain) else {
        return Ok(());
    };
    if !chosen.is_uncompared() {
        return Ok(());
    }
    let sight = region.sight();
    let mut effort = 0usize;
    for rows in tiles.iter().filter_map(|t| latitude.get(t.rows.clone())) {
        effort = rows.iter().fold(effort, |n, lat| n.saturating_add(sight.effort(*lat)));
        if effort > MOST_EFFORT {
            return Err(Problem::new(
                Kind::TooLarge,
                "the region has more edges than so many cells are compared with for one answer: ask with fewer vertices",
            ));
        }
    }
    Ok(())
}

impl Tile {
    /// What each of its cells counts for: nothing beside the region.
    async fn weights(&self, plan: &Plan, chosen: &Chosen) -> Answer<Vec<f64>> {
        let (Domain::Grid { latitude, longitude, outside }, Where::Window { .. }) =
            (&chosen.domain, &self.at)
        else {
            return Ok((0..self.at.count()).map(|i| chosen.areas.weight(i)).collect());
        };
        let mut weights: Vec<f64> = Vec::with_capacity(self.at.count());
        for row in self.rows.clone() {
            for i in self.columns.clone().map(|c| row * longitude.len() + c) {
                let left_out = outside.as_ref().is_some_and(|o| o.get(i).copied().unwrap_or(true));
                weights.push(if left_out { 0.0 } else { chosen.areas.weight(i) });
            }
        }
        match &plan.query {
            // Of so many cells none was compared with the region.
            Query::Region(region) if chosen.is_uncompared() && !matches!(region, Region::Box(_)) => {
                let region = region.clone();
                let latitude = latitude[self.rows.clone()].to_vec();
                let longitude = longitude[self.columns.clone()].to_vec();
                places::search(move || {
                    let sight = region.sight();
                    for (lat, row) in latitude.iter().zip(weights.chunks_mut(longitude.len().max(1))) {
                        let along = sight.along(*lat);
                        let beside = row.iter_mut().zip(&longitude).filter(|(_, lon)| !along.contains(**lon));
                        beside.for_each(|(w, _)| *w = 0.0);
                    }
                    Ok(weights)
                })
                .await
            }
            _ => Ok(weights),
        }
    }
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
    fn tiles_are_cut_between_blocks_and_have_each_cell_once() {
        let rows: Vec<u64> = (5..3005).collect();
        // Across the seam.
        let columns: Vec<u64> = (3000..3600).chain(0..1500).collect();
        let tiles = tiles_of(&rows, &columns, [512, 512]);
        assert_eq!(tiles.iter().map(|t| t.at.count()).sum::<usize>(), 3000 * 2100);
        assert!(tiles.len() > 3 && tiles.iter().all(|t| t.at.count() <= TILE));
        let blocks = tiles.iter().flat_map(|t| {
            let Where::Window { rows, columns } = &t.at else { panic!("no window") };
            let of = |list: &[u64]| list.iter().map(|i| i / 512).collect::<std::collections::BTreeSet<_>>();
            let (down, across) = (of(rows), of(columns));
            down.into_iter().flat_map(move |r| across.clone().into_iter().map(move |c| (r, c)))
        });
        let mut blocks: Vec<(u64, u64)> = blocks.collect();
        let all = blocks.len();
        blocks.sort_unstable();
        blocks.dedup();
        // Six rows of blocks, three of each on both sides of the seam.
        assert_eq!((blocks.len(), all), (6 * 6, 6 * 6));
        // A block of more cells than a tile is one.
        assert_eq!(tiles_of(&rows, &columns, [4096, 4096]).len(), 1);
    }

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
