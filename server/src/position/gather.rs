//! Reads one cell through all selected steps, each stored block once.

use std::sync::Arc;

use graticule_shared::cube::Variable;
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

pub async fn values(
    opened: &Arc<Opened>,
    variable: &Variable,
    dims: &[Selected],
    cell: &[u64],
) -> Answer<Vec<Option<f64>>> {
    let array = opened.array(&variable.path).map_err(Problem::internal)?;
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
            let (opened, path, flat) = (Arc::clone(opened), variable.path.clone(), next);
            tasks.spawn(async move {
                let array = opened.array(&path)?;
                Ok((flat, opened.snapshot.read_block(array, &index).await?.to_vec()))
            });
            next += 1;
        }
        let Some(done) = tasks.join_next().await else { break };
        let (flat, bytes) = done.map_err(Problem::internal)?.map_err(Problem::internal)?;
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
