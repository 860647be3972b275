//! Reads one cell through all selected steps, each stored block once.

use std::sync::Arc;

use graticule_shared::cube::{Role, Variable};
use tokio::task::JoinSet;

use super::Selected;
use crate::opened::{Opened, unravel};
use crate::problem::{Answer, Problem};

/// Blocks being decoded at once for one request: bounds its memory.
const AT_ONCE: usize = 4;
/// A request that reads more blocks than this is asked for in parts.
const MAX_BLOCKS: usize = 20_000;

/// Selected positions along one dimension that lie in the same block.
struct Run {
    block: u64,
    /// Position in the selection, and offset in the block.
    members: Vec<(usize, u64)>,
}

fn runs(selected: &Selected, block_len: u64) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    for (position, index) in selected.indices.iter().enumerate() {
        let member = (position, index % block_len);
        match out.iter_mut().find(|r| r.block == index / block_len) {
            Some(run) => run.members.push(member),
            None => out.push(Run { block: index / block_len, members: vec![member] }),
        }
    }
    out
}

/// The values of one cell, from the layout in which they are the fewest chunks.
///
/// # Errors
/// Too many chunks, one that does not read.
pub async fn values(
    opened: &Arc<Opened>,
    variable: &Variable,
    dims: &[Selected],
    cell: &[u64],
) -> Answer<Vec<Option<f64>>> {
    let Some((path, along, stored)) = series(opened, variable, dims) else {
        return read(opened, variable, &variable.path, dims, cell).await;
    };
    // What the second layout does not have yet comes from the first.
    let (mut early, mut late) = (Vec::new(), Vec::new());
    for (position, index) in dims[along].indices.iter().enumerate() {
        if *index < stored { early.push(position) } else { late.push(position) }
    }
    let part = |positions: &[usize]| {
        let mut dims = dims.to_vec();
        let of = |p: &usize| dims[along].indices[*p];
        let indices = positions.iter().map(of).collect();
        dims[along].indices = indices;
        dims
    };
    let shape: Vec<u64> = dims.iter().map(|d| d.indices.len() as u64).collect();
    let mut out = vec![None; shape.iter().product::<u64>() as usize];
    for (positions, path) in [(early, path.as_str()), (late, variable.path.as_str())] {
        if positions.is_empty() {
            continue;
        }
        let dims = part(&positions);
        let values = read(opened, variable, path, &dims, cell).await?;
        let mut inside = shape.clone();
        inside[along] = positions.len() as u64;
        for (flat, value) in values.into_iter().enumerate() {
            let mut at = unravel(flat as u64, &inside);
            at[along] = positions[at[along] as usize] as u64;
            let slot = at.iter().zip(&shape).fold(0, |slot, (i, n)| slot * n + i);
            out[slot as usize] = value;
        }
    }
    Ok(out)
}

/// The variable's array in the layout that is long in time, where it saves chunks; the dimension
/// of time, and how much of it is there.
fn series(opened: &Opened, variable: &Variable, dims: &[Selected]) -> Option<(String, usize, u64)> {
    let along = dims.iter().position(|d| d.role == Role::T)?;
    let path = format!("{}/{}", opened.cube.series.as_ref()?, variable.path);
    let (long, flat) = (opened.array(&path).ok()?, opened.array(&variable.path).ok()?);
    let same = long.dtype == flat.dtype
        && long.dims == flat.dims
        && long.shape.iter().zip(&flat.shape).enumerate().all(|(a, (l, f))| a == along || l == f);
    let blocks = |of: &[u64]| {
        let block = of.get(along).copied().unwrap_or(1).max(1);
        let all: std::collections::BTreeSet<u64> = dims[along].indices.iter().map(|i| i / block).collect();
        all.len()
    };
    let fewer = blocks(long.block_shape()) < blocks(flat.block_shape());
    (same && fewer).then(|| (path, along, long.shape.get(along).copied().unwrap_or(0)))
}

async fn read(
    opened: &Arc<Opened>,
    variable: &Variable,
    path: &str,
    dims: &[Selected],
    cell: &[u64],
) -> Answer<Vec<Option<f64>>> {
    let array = opened.array(path).map_err(Problem::internal)?;
    let block = array.block_shape().to_vec();
    let split = block.len().checked_sub(cell.len());
    let Some((leading, grid_block)) = split.and_then(|n| block.split_at_checked(n)) else {
        return Err(Problem::internal("a variable with fewer dimensions than its grid"));
    };
    let within: Vec<u64> = cell.iter().zip(grid_block).map(|(i, n)| i % (*n).max(1)).collect();
    let runs: Vec<Vec<Run>> = dims.iter().zip(leading).map(|(d, len)| runs(d, (*len).max(1))).collect();
    let grid: Vec<u64> = runs.iter().map(|r| r.len() as u64).collect();
    let count = grid.iter().product::<u64>();
    if count > MAX_BLOCKS as u64 {
        return Err(Problem::new(
            crate::problem::Kind::TooLarge,
            format!(
                "{count} chunks would be read, more than {MAX_BLOCKS}: ask for a shorter datetime interval"
            ),
        ));
    }
    let shape: Vec<usize> = dims.iter().map(|d| d.indices.len()).collect();
    let mut out = vec![None; shape.iter().product()];
    let mut tasks: JoinSet<anyhow::Result<(u64, Vec<u8>)>> = JoinSet::new();
    let mut next = 0;
    loop {
        while next < count && tasks.len() < AT_ONCE {
            let which = unravel(next, &grid);
            let mut index: Vec<u64> =
                which.iter().zip(&runs).filter_map(|(i, r)| r.get(*i as usize)).map(|r| r.block).collect();
            index.extend(cell.iter().zip(grid_block).map(|(i, n)| i / (*n).max(1)));
            let (opened, path, flat) = (Arc::clone(opened), path.to_owned(), next);
            tasks.spawn(async move {
                let array = opened.array(&path)?;
                Ok((flat, opened.snapshot.read_block(array, &index).await?.to_vec()))
            });
            next += 1;
        }
        let Some(done) = tasks.join_next().await else { break };
        let (flat, bytes) = done.map_err(Problem::internal)?.map_err(Problem::of)?;
        let members: Vec<&[(usize, u64)]> = unravel(flat, &grid)
            .iter()
            .zip(&runs)
            .filter_map(|(i, r)| r.get(*i as usize))
            .map(|r| r.members.as_slice())
            .collect();
        let inside: Vec<u64> = members.iter().map(|m| m.len() as u64).collect();
        for flat in 0..inside.iter().product::<u64>() {
            let pick = unravel(flat, &inside);
            let chosen: Vec<(usize, u64)> =
                pick.iter().zip(&members).filter_map(|(i, m)| m.get(*i as usize).copied()).collect();
            let element = chosen
                .iter()
                .map(|(_, offset)| *offset)
                .chain(within.iter().copied())
                .zip(&block)
                .fold(0u64, |acc, (offset, n)| acc * n + offset);
            let slot = chosen.iter().zip(&shape).fold(0usize, |acc, ((p, _), n)| acc * n + p);
            let raw = variable.packing.read_as().get_f64(&bytes, element as usize);
            if let Some(slot) = out.get_mut(slot) {
                *slot = raw.and_then(|r| variable.packing.value(r)).filter(|v| v.is_finite());
            }
        }
    }
    Ok(out)
}
