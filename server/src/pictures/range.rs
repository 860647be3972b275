//! The ends of a colour scale that nobody chose.

use std::sync::Arc;

use graticule_shared::cube::Variable;
use graticule_shared::grid::Horizontal;
use graticule_shared::range::{self, Sampling};

use crate::opened::{Opened, element_size};
use crate::problem::{Answer, Problem};

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
    let sampling = Sampling::new(&array.shape, array.block_shape(), leading, element_size(array));
    let dtype = variable.packing.read_as();
    let mut out = Vec::new();
    for index in &sampling.blocks {
        let bytes = opened.snapshot.read_block(array, index).await?;
        let raw = sampling.cells(index).filter_map(|cell| dtype.get_f64(&bytes, cell as usize));
        out.extend(raw.filter_map(|raw| variable.packing.value(raw)).filter(|v| v.is_finite()));
    }
    Ok(out)
}
