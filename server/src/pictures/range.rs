//! The ends of a colour scale that nobody chose.

use std::sync::Arc;

use graticule_shared::cube::Variable;
use graticule_shared::grid::Horizontal;
use graticule_shared::range;

use crate::opened::{Opened, element_size, unravel};
use crate::problem::{Answer, Problem};

/// Values looked at.
const SAMPLES: u64 = 20 << 10;
/// Decoded bytes looked at: of a level without end some blocks stand for all.
const MAX_BYTES: u64 = 64 << 20;

/// As the browser's first view has them: of the coarsest level, at the first step of every
/// other dimension, so that all tiles and all steps of a variable share one scale.
///
/// # Errors
/// A block that does not read.
pub async fn first(opened: &Arc<Opened>, variable: &Variable, colormap: &str) -> Answer<(f64, f64)> {
    let mut values = sample(opened, variable).await?;
    Ok(range::first(variable.valid_range, &mut values, colormap).unwrap_or((0.0, 1.0)))
}

/// Some of the values of the coarsest level, evenly spread.
///
/// # Errors
/// A block that does not read.
pub async fn sample(opened: &Arc<Opened>, variable: &Variable) -> Answer<Vec<f64>> {
    let Some(level) = variable.levels.last() else { return Ok(Vec::new()) };
    let array = opened.array(&level.array).map_err(Problem::internal)?;
    let own = variable.levels.len() == 1 && matches!(variable.horizontal(), Some(Horizontal::Cells(_)));
    let leading = array.shape.len().saturating_sub(if own { 1 } else { 2 });
    let block = array.block_shape().to_vec();
    let count: Vec<u64> =
        array.shape.iter().zip(&block).skip(leading).map(|(n, b)| n.div_ceil((*b).max(1))).collect();
    let blocks = count.iter().product::<u64>();
    let bytes = block.iter().fold(element_size(array) as u64, |n, len| n.saturating_mul(*len)).max(1);
    let some = (MAX_BYTES / bytes).clamp(1, blocks.max(1));
    let every = blocks.div_ceil(some).max(1);
    let cells = block.iter().skip(leading).product::<u64>();
    let step = (cells.saturating_mul(blocks.div_ceil(every)) / SAMPLES).max(1);
    let dtype = variable.packing.read_as();
    let mut out = Vec::new();
    for flat in (0..blocks).step_by(usize::try_from(every).unwrap_or(usize::MAX)) {
        let mut index = vec![0; leading];
        index.extend(unravel(flat, &count));
        let bytes = opened.snapshot.read_block(array, &index).await?;
        for cell in (0..cells).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
            // What a block holds past the end of its array is padding.
            let within = unravel(cell, block.get(leading..).unwrap_or_default());
            let at = within.iter().zip(&block[leading..]).zip(&index[leading..]).map(|((w, n), i)| i * n + w);
            if at.zip(&array.shape[leading..]).any(|(at, len)| at >= *len) {
                continue;
            }
            let value = dtype.get_f64(&bytes, cell as usize).and_then(|raw| variable.packing.value(raw));
            out.extend(value.filter(|v| v.is_finite()));
        }
    }
    Ok(out)
}
