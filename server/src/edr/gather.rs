//! Reads chosen cells through all selected steps, each stored block once.

use std::collections::BTreeMap;
use std::sync::Arc;

use graticule_shared::cube::{Role, Variable};
use graticule_shared::zarr::ArrayMeta;
use tokio::task::JoinSet;

use super::cost::Cost;
use super::coverage::Selected;
use crate::opened::{Opened, unravel};
use crate::problem::{Answer, Kind, Problem};
use crate::store::Snapshot;

/// Blocks being decoded at once for one request: bounds its memory.
const AT_ONCE: usize = 4;
/// A request that reads more blocks than this is asked for in parts.
pub const MAX_BLOCKS: u64 = 20_000;

/// Cells of a grid by their indices.
#[derive(Debug, Clone, PartialEq)]
pub enum Where {
    /// All of these rows in all of these columns.
    Window { rows: Vec<u64>, columns: Vec<u64> },
    /// Cells counted in C order over the grid's dimensions.
    List(Vec<u64>),
}

impl Where {
    pub fn count(&self) -> usize {
        match self {
            Self::Window { rows, columns } => rows.len() * columns.len(),
            Self::List(cells) => cells.len(),
        }
    }

    /// How many blocks hold these cells.
    fn blocks_of(&self, grid: &[u64], block: &[u64]) -> u64 {
        let distinct = |mut of: Vec<u64>| {
            of.sort_unstable();
            of.dedup();
            of.len() as u64
        };
        match (self, block) {
            (Self::Window { rows, columns }, [tall, wide]) => {
                let of = |list: &[u64], n: &u64| distinct(list.iter().map(|i| i / (*n).max(1)).collect());
                of(rows, tall) * of(columns, wide)
            }
            (Self::List(cells), _) => {
                let number = |cell: &u64| {
                    let at = unravel(*cell, grid).into_iter().zip(grid).zip(block);
                    at.fold(0, |b, ((i, len), n)| b * len.div_ceil((*n).max(1)) + i / (*n).max(1))
                };
                // Neighbours in the list are mostly of the same block.
                let mut of: Vec<u64> = Vec::new();
                for block in cells.iter().map(number) {
                    if of.last() != Some(&block) {
                        of.push(block);
                    }
                }
                distinct(of)
            }
            // A grid of cells has no rows.
            (Self::Window { .. }, _) => 0,
        }
    }

    fn blocks(&self, grid: &[u64], block: &[u64]) -> BTreeMap<Vec<u64>, Inside> {
        let mut out = BTreeMap::new();
        match (self, block) {
            (Self::Window { rows, columns }, [tall, wide]) => {
                let (rows, across) = (runs(rows, *tall), runs(columns, *wide));
                for r in &rows {
                    for c in &across {
                        let inside = Inside::Rect {
                            rows: r.members.clone(),
                            columns: c.members.clone(),
                            stride: columns.len(),
                        };
                        out.insert(vec![r.block, c.block], inside);
                    }
                }
            }
            (Self::List(cells), _) => {
                for (slot, cell) in cells.iter().enumerate() {
                    let at = unravel(*cell, grid);
                    let index: Vec<u64> = at.iter().zip(block).map(|(i, n)| i / (*n).max(1)).collect();
                    let offset = at.iter().zip(block).fold(0, |o, (i, n)| o * n + i % (*n).max(1));
                    let inside = out.entry(index).or_insert_with(|| Inside::List(Vec::new()));
                    if let Inside::List(list) = inside {
                        list.push((slot, offset as usize));
                    }
                }
            }
            // A grid of cells has no rows.
            (Self::Window { .. }, _) => {}
        }
        out
    }
}

/// What is wanted of one block: where it goes, and where in the block's plane it is.
enum Inside {
    Rect { rows: Vec<(usize, u64)>, columns: Vec<(usize, u64)>, stride: usize },
    List(Vec<(usize, usize)>),
}

/// Positions along one dimension that lie in the same block.
struct Run {
    block: u64,
    /// Position in the selection, and offset in the block.
    members: Vec<(usize, u64)>,
}

fn runs(indices: &[u64], block_len: u64) -> Vec<Run> {
    let block_len = block_len.max(1);
    let mut out: BTreeMap<u64, Run> = BTreeMap::new();
    for (position, index) in indices.iter().enumerate() {
        let block = index / block_len;
        let run = out.entry(block).or_insert_with(|| Run { block, members: Vec::new() });
        run.members.push((position, index % block_len));
    }
    out.into_values().collect()
}

/// Cells of a variable, and in how many blocks of each layout they lie: known once, so that any
/// steps of them can be weighed.
pub(super) struct Reach<'a> {
    snapshot: &'a Snapshot,
    cells: u64,
    flat: (&'a ArrayMeta, u64),
    long: Option<Long<'a>>,
}

/// The layout that is long in time.
struct Long<'a> {
    path: String,
    array: &'a ArrayMeta,
    blocks: u64,
    /// Which dimension is time.
    along: usize,
}

impl<'a> Reach<'a> {
    /// # Errors
    /// The variable's array is not there.
    pub fn of(
        opened: &'a Opened,
        variable: &Variable,
        dims: &[Selected],
        at: &Where,
    ) -> anyhow::Result<Self> {
        let flat = opened.array(&variable.path)?;
        let blocks = |array: &ArrayMeta| {
            let block = array.block_shape();
            let rank = block.len().saturating_sub(dims.len());
            let grid = array.shape.split_at(array.shape.len().saturating_sub(rank)).1;
            at.blocks_of(grid, block.split_at(block.len() - rank).1)
        };
        let long = (opened.cube.series.as_ref())
            .map(|s| format!("{s}/{}", variable.path))
            .zip(dims.iter().position(|d| d.role == Role::T))
            .and_then(|(path, along)| {
                let array = opened.array(&path).ok()?;
                let same = array.dtype == flat.dtype
                    && array.dims == flat.dims
                    && (array.shape.iter().zip(&flat.shape).enumerate())
                        .all(|(a, (l, f))| a == along || l == f);
                same.then(|| Long { path, array, blocks: blocks(array), along })
            });
        Ok(Self { snapshot: &opened.snapshot, cells: at.count() as u64, flat: (flat, blocks(flat)), long })
    }

    /// What reading these steps of the cells costs, from the layout of which the least is decoded.
    pub fn cost(&self, steps: &[&[u64]]) -> Cost {
        self.least(steps).1
    }

    fn least(&self, steps: &[&[u64]]) -> (Option<&Long<'a>>, Cost) {
        let flat = self.cost_in(self.flat.0, self.flat.1, steps);
        match self.long.as_ref().map(|l| (l, self.cost_in(l.array, l.blocks, steps))) {
            Some((long, cost)) if cost.bytes < flat.bytes => (Some(long), cost),
            _ => (None, flat),
        }
    }

    fn cost_in(&self, array: &ArrayMeta, blocks: u64, steps: &[&[u64]]) -> Cost {
        let along = steps.iter().zip(array.block_shape()).map(|(s, n)| runs(s, *n).len() as u64);
        let chunks = along.fold(blocks, u64::saturating_mul);
        let each = self.snapshot.effort(array);
        let values = steps.iter().map(|s| s.len() as u64).fold(self.cells, u64::saturating_mul);
        Cost { chunks: chunks.saturating_mul(each.blocks), bytes: chunks.saturating_mul(each.bytes), values }
    }
}

pub(super) fn steps(dims: &[Selected]) -> Vec<&[u64]> {
    dims.iter().map(|d| d.indices.as_slice()).collect()
}

/// What reading these cells will cost.
///
/// # Errors
/// The variable's array is not there.
pub fn cost(opened: &Opened, variable: &Variable, dims: &[Selected], at: &Where) -> Answer<Cost> {
    Ok(Reach::of(opened, variable, dims, at).map_err(Problem::internal)?.cost(&steps(dims)))
}

/// The values of cells, C order over `dims` and then the cells, from the layout of which the
/// least is decoded; NaN for no data.
///
/// # Errors
/// Too many chunks, one that does not read.
pub async fn values(
    opened: &Arc<Opened>,
    variable: &Variable,
    dims: &[Selected],
    at: &Where,
) -> Answer<Vec<f64>> {
    let cells = at.count();
    let mut out = vec![f64::NAN; dims.iter().map(|d| d.indices.len()).product::<usize>() * cells];
    let put = |step: usize, cell: usize, value: f64| {
        if let Some(slot) = out.get_mut(step * cells + cell) {
            *slot = value;
        }
    };
    visit(opened, variable, dims, at, put).await?;
    Ok(out)
}

/// Hands over each value that there is, with its step (counted in C order over `dims`) and its cell:
/// block by block, each decoded once, always in the same order.
///
/// # Errors
/// Too many chunks, one that does not read.
pub async fn visit(
    opened: &Arc<Opened>,
    variable: &Variable,
    dims: &[Selected],
    at: &Where,
    mut put: impl FnMut(usize, usize, f64) + Send,
) -> Answer<()> {
    let reach = Reach::of(opened, variable, dims, at).map_err(Problem::internal)?;
    let Some(Long { path, array, along, .. }) = reach.least(&steps(dims)).0 else {
        return read(opened, variable, &variable.path, dims, at, put).await;
    };
    let (path, along) = (path.clone(), *along);
    let stored = array.shape.get(along).copied().unwrap_or(0);
    // What the second layout does not have yet comes from the first.
    let all = 0..dims[along].indices.len();
    let (early, late): (Vec<usize>, Vec<usize>) = all.partition(|p| dims[along].indices[*p] < stored);
    if late.is_empty() {
        return read(opened, variable, &path, dims, at, put).await;
    }
    let shape: Vec<u64> = dims.iter().map(|d| d.indices.len() as u64).collect();
    for (positions, path) in [(early, path.as_str()), (late, variable.path.as_str())] {
        if positions.is_empty() {
            continue;
        }
        let mut some = dims.to_vec();
        some[along] = dims[along].pick(&positions);
        let mut inside = shape.clone();
        inside[along] = positions.len() as u64;
        let whole = |step: usize| {
            let mut index = unravel(step as u64, &inside);
            index[along] = positions[index[along] as usize] as u64;
            index.iter().zip(&shape).fold(0, |slot, (i, n)| slot * n + i) as usize
        };
        let mut last = (usize::MAX, 0);
        let moved = |step: usize, cell: usize, value: f64| {
            if last.0 != step {
                last = (step, whole(step));
            }
            put(last.1, cell, value);
        };
        read(opened, variable, path, &some, at, moved).await?;
    }
    Ok(())
}

async fn read(
    opened: &Arc<Opened>,
    variable: &Variable,
    path: &str,
    dims: &[Selected],
    at: &Where,
    mut put: impl FnMut(usize, usize, f64) + Send,
) -> Answer<()> {
    let array = opened.array(path).map_err(Problem::internal)?;
    let block = array.block_shape().to_vec();
    let Some((leading, plane)) = block.split_at_checked(dims.len()) else {
        return Err(Problem::internal("a variable with fewer dimensions than its answer"));
    };
    let grid = array.shape.get(dims.len()..).unwrap_or_default();
    let picks: Vec<(Vec<u64>, Inside)> = at.blocks(grid, plane).into_iter().collect();
    let runs: Vec<Vec<Run>> = dims.iter().zip(leading).map(|(d, len)| runs(&d.indices, *len)).collect();
    let mut order: Vec<u64> = runs.iter().map(|r| r.len() as u64).collect();
    order.push(picks.len() as u64);
    let count = order.iter().fold(1, |n: u64, m| n.saturating_mul(*m));
    if count > MAX_BLOCKS {
        return Err(Problem::new(
            Kind::TooLarge,
            format!(
                "{count} chunks would be read, more than {MAX_BLOCKS}: ask for a shorter datetime interval"
            ),
        ));
    }
    let shape: Vec<usize> = dims.iter().map(|d| d.indices.len()).collect();
    let per_plane = plane.iter().product::<u64>();
    let dtype = variable.packing.read_as();
    let mut tasks: JoinSet<anyhow::Result<(u64, Vec<u8>)>> = JoinSet::new();
    let mut ready: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut next = 0;
    for flat in 0..count {
        while next < count && tasks.len() + ready.len() < AT_ONCE {
            let which = unravel(next, &order);
            let mut index: Vec<u64> =
                which.iter().zip(&runs).filter_map(|(i, r)| r.get(*i as usize)).map(|r| r.block).collect();
            let pick = which.last().and_then(|i| picks.get(*i as usize));
            index.extend(pick.iter().flat_map(|(block, _)| block));
            let (opened, path, flat) = (Arc::clone(opened), path.to_owned(), next);
            tasks.spawn(async move {
                let array = opened.array(&path)?;
                Ok((flat, opened.snapshot.read_block(array, &index).await?))
            });
            next += 1;
        }
        let bytes = loop {
            if let Some(bytes) = ready.remove(&flat) {
                break bytes;
            }
            let Some(done) = tasks.join_next().await else {
                return Err(Problem::internal("a block that nobody reads"));
            };
            let (number, bytes) = done.map_err(Problem::internal)?.map_err(Problem::of)?;
            ready.insert(number, bytes);
        };
        let which = unravel(flat, &order);
        let members: Vec<&[(usize, u64)]> = which
            .iter()
            .zip(&runs)
            .filter_map(|(i, r)| r.get(*i as usize))
            .map(|r| r.members.as_slice())
            .collect();
        let Some((_, inside)) = which.last().and_then(|i| picks.get(*i as usize)) else { continue };
        let steps: Vec<u64> = members.iter().map(|m| m.len() as u64).collect();
        for flat in 0..steps.iter().product::<u64>() {
            let pick = unravel(flat, &steps);
            let chosen: Vec<(usize, u64)> =
                pick.iter().zip(&members).filter_map(|(i, m)| m.get(*i as usize).copied()).collect();
            let base = chosen.iter().zip(leading).fold(0, |at, ((_, offset), n)| at * n + offset) * per_plane;
            let step = chosen.iter().zip(&shape).fold(0, |at, ((p, _), n)| at * n + p);
            let mut put = |cell: usize, element: usize| {
                let raw = dtype.get_f64(&bytes, base as usize + element);
                if let Some(v) = raw.and_then(|r| variable.packing.value(r)).filter(|v| v.is_finite()) {
                    put(step, cell, v);
                }
            };
            match inside {
                Inside::List(list) => list.iter().for_each(|(slot, element)| put(*slot, *element)),
                Inside::Rect { rows, columns, stride } => {
                    let wide = plane.last().copied().unwrap_or(1);
                    for (to_row, row) in rows {
                        for (to_column, column) in columns {
                            put(to_row * stride + to_column, (row * wide + column) as usize);
                        }
                    }
                }
            }
        }
    }
    Ok(())
}
