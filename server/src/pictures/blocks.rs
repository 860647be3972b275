//! The decoded blocks that a picture's cells lie in, each read once and kept.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::future::try_join_all;
use graticule_shared::cube::Variable;
use graticule_shared::grid::Horizontal;

use super::Pictures;
use super::sheet::{NONE, Places, Sheet};
use crate::opened::{Opened, element_size};
use crate::problem::{Answer, Kind, Problem};

/// Of the decoded blocks of one picture.
pub const MAX_BYTES: u64 = 256 << 20;
/// Blocks being read at once for one picture.
const AT_ONCE: usize = 4;

/// One step of one level, as far as the picture needs it.
pub struct Plane {
    /// Rows and columns of a block.
    pub block: [u32; 2],
    /// First element of the step within a block.
    pub offset: usize,
    pub blocks: HashMap<[u32; 2], Arc<Vec<u8>>>,
}

impl Pictures {
    /// Reads what a sheet needs at these indices.
    ///
    /// # Errors
    /// More than one picture may take; a block that does not read.
    pub(super) async fn plane(
        &self,
        opened: &Arc<Opened>,
        variable: &Variable,
        sheet: &Sheet,
        indices: &[u64],
    ) -> Answer<Plane> {
        let level = variable.levels.get(sheet.level).ok_or_else(|| Problem::internal("no such level"))?;
        let array = opened.array(&level.array).map_err(Problem::internal)?;
        let shape = array.block_shape();
        let own = sheet.level == 0 && matches!(variable.horizontal(), Some(Horizontal::Cells(_)));
        let split = shape.len().checked_sub(if own { 1 } else { 2 }).filter(|n| *n == indices.len());
        let Some((leading, grid)) = split.map(|n| shape.split_at(n)) else {
            return Err(Problem::internal(format!("{}: its dimensions are not its variable's", level.array)));
        };
        let side = |n: Option<&u64>| u32::try_from(n.copied().unwrap_or(1).max(1)).unwrap_or(NONE);
        let block = if own { [1, side(grid.first())] } else { [side(grid.first()), side(grid.last())] };
        let wanted = touched(&sheet.places, block);
        let bytes = shape.iter().fold(element_size(array) as u64, |n, len| n.saturating_mul(*len));
        if bytes.saturating_mul(wanted.len() as u64) > MAX_BYTES {
            return Err(Problem::new(
                Kind::TooLarge,
                format!(
                    "{}: {} blocks of {bytes} bytes lie under this picture, more than the {MAX_BYTES} bytes of one: ask for a smaller part, or ingest it with a pyramid",
                    level.array,
                    wanted.len()
                ),
            ));
        }
        let first: Vec<u64> = indices.iter().zip(leading).map(|(i, n)| i / (*n).max(1)).collect();
        let within = indices.iter().zip(leading).fold(0, |at, (i, n)| at * n + i % (*n).max(1));
        let offset = within.saturating_mul(grid.iter().product());
        let mut blocks = HashMap::with_capacity(wanted.len());
        let wanted: Vec<[u32; 2]> = wanted.into_iter().collect();
        for some in wanted.chunks(AT_ONCE) {
            let read = some.iter().map(|at| {
                let mut index = first.clone();
                index.extend(at.iter().skip(usize::from(own)).map(|i| u64::from(*i)));
                self.block(opened, &level.array, index)
            });
            let read = try_join_all(read).await?;
            blocks.extend(some.iter().copied().zip(read));
        }
        Ok(Plane { block, offset: usize::try_from(offset).map_err(Problem::internal)?, blocks })
    }

    async fn block(&self, opened: &Arc<Opened>, path: &str, index: Vec<u64>) -> Answer<Arc<Vec<u8>>> {
        let key = format!("{}@{} {path} {index:?}", opened.snapshot.collection(), opened.snapshot.version());
        if let Some(known) = self.blocks.get(&key) {
            return Ok(known);
        }
        let array = opened.array(path).map_err(Problem::internal)?;
        let read = Arc::new(opened.snapshot.read_block(array, &index).await?);
        self.blocks.insert(key, Arc::clone(&read));
        Ok(read)
    }
}

/// Blocks that hold a cell of the picture.
fn touched(places: &Places, block: [u32; 2]) -> BTreeSet<[u32; 2]> {
    match places {
        Places::Table { rows, columns } => {
            let of = |cells: &[u32], len: u32| -> BTreeSet<u32> {
                cells.iter().filter(|c| **c != NONE).map(|c| c / len).collect()
            };
            let (rows, columns) = (of(rows, block[0]), of(columns, block[1]));
            rows.iter().flat_map(|r| columns.iter().map(|c| [*r, *c])).collect()
        }
        Places::Each(all) => {
            let mut out = BTreeSet::new();
            let mut last = [NONE; 2];
            for [r, c] in all.iter().filter(|[r, _]| *r != NONE) {
                let at = [r / block[0], c / block[1]];
                if at != last {
                    out.insert(at);
                    last = at;
                }
            }
            out
        }
    }
}
