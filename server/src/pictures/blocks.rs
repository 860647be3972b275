//! The decoded blocks that a picture's cells lie in, each read once and kept.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use futures::future::try_join_all;
use graticule_shared::cube::Variable;
use graticule_shared::frame::Frame;
use graticule_shared::grid::Horizontal;
use graticule_shared::zarr::ArrayMeta;

use super::Pictures;
use super::sheet::{NONE, Places, Sheet};
use crate::opened::{Opened, element_size};
use crate::problem::{Answer, Problem};

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

/// What a sheet needs at some indices, before any of it is read.
pub struct Wanted<'a> {
    pub array: &'a ArrayMeta,
    /// Rows and columns of a block.
    pub block: [u32; 2],
    pub blocks: Vec<[u32; 2]>,
    /// Of each of them, decoded.
    pub bytes_each: u64,
    /// Of the block along each dimension before the grid's.
    first: Vec<u64>,
    offset: usize,
    is_list: bool,
}

impl<'a> Wanted<'a> {
    /// # Errors
    /// An array whose dimensions are not its variable's.
    pub fn new(
        opened: &'a Opened,
        variable: &Variable,
        sheet: &Sheet,
        frame: &Frame,
        indices: &[u64],
    ) -> Answer<Self> {
        let level = variable.levels.get(sheet.level).ok_or_else(|| Problem::internal("no such level"))?;
        let array = opened.array(&level.array).map_err(Problem::internal)?;
        let shape = array.block_shape();
        let is_list = sheet.level == 0 && matches!(variable.horizontal(), Some(Horizontal::Cells(_)));
        let split = shape.len().checked_sub(if is_list { 1 } else { 2 }).filter(|n| *n == indices.len());
        let Some((leading, grid)) = split.map(|n| shape.split_at(n)) else {
            return Err(Problem::internal(format!("{}: its dimensions are not its variable's", level.array)));
        };
        let side = |n: Option<&u64>| u32::try_from(n.copied().unwrap_or(1).max(1)).unwrap_or(NONE);
        let block = if is_list { [1, side(grid.first())] } else { [side(grid.first()), side(grid.last())] };
        let within = indices
            .iter()
            .zip(leading)
            .fold(0, |at: u64, (i, n)| at.saturating_mul(*n).saturating_add(i % (*n).max(1)));
        let offset = within.saturating_mul(grid.iter().product());
        Ok(Self {
            array,
            block,
            blocks: touched(&sheet.places, frame.width, 0..frame.width, 0..frame.height, block)
                .into_iter()
                .collect(),
            bytes_each: block_bytes(array),
            first: indices.iter().zip(leading).map(|(i, n)| i / (*n).max(1)).collect(),
            offset: usize::try_from(offset).map_err(Problem::internal)?,
            is_list,
        })
    }

    pub fn bytes(&self) -> u64 {
        self.bytes_each.saturating_mul(self.blocks.len() as u64)
    }
}

/// Of one block, decoded.
pub fn block_bytes(array: &ArrayMeta) -> u64 {
    array.block_shape().iter().fold(element_size(array) as u64, |n, len| n.saturating_mul(*len))
}

/// Of all blocks of one step of a level, decoded; `leading` dimensions are not the grid's.
pub fn step_bytes(array: &ArrayMeta, leading: usize) -> u64 {
    let grid = array.shape.iter().zip(array.block_shape()).skip(leading);
    grid.fold(block_bytes(array), |n, (len, block)| n.saturating_mul(len.div_ceil((*block).max(1))))
}

impl Pictures {
    /// Reads what is wanted, which is not weighed here.
    ///
    /// # Errors
    /// A block that does not read.
    pub(super) async fn plane(&self, opened: &Arc<Opened>, wanted: &Wanted<'_>) -> Answer<Plane> {
        let mut blocks = HashMap::with_capacity(wanted.blocks.len());
        for some in wanted.blocks.chunks(AT_ONCE) {
            let read = some.iter().map(|at| {
                let mut index = wanted.first.clone();
                index.extend(at.iter().skip(usize::from(wanted.is_list)).map(|i| u64::from(*i)));
                self.block(opened, wanted.array, index)
            });
            let read = try_join_all(read).await?;
            blocks.extend(some.iter().copied().zip(read));
        }
        Ok(Plane { block: wanted.block, offset: wanted.offset, blocks })
    }

    async fn block(&self, opened: &Opened, array: &ArrayMeta, index: Vec<u64>) -> Answer<Arc<Vec<u8>>> {
        let (id, version) = (opened.snapshot.collection(), opened.snapshot.version());
        let key = format!("{id}@{version} {} {index:?}", array.path);
        if let Some(known) = self.blocks.get(&key) {
            return Ok(known);
        }
        let read = Arc::new(opened.snapshot.read_block(array, &index).await?);
        self.blocks.insert(key, Arc::clone(&read));
        Ok(read)
    }
}

/// Blocks that hold a cell of these pixels of a picture that is `width` pixels wide.
pub fn touched(
    places: &Places,
    width: u32,
    columns: Range<u32>,
    rows: Range<u32>,
    block: [u32; 2],
) -> BTreeSet<[u32; 2]> {
    let span = |r: &Range<u32>| r.start as usize..r.end as usize;
    match places {
        Places::Table { rows: row_of, columns: column_of } => {
            let of = |cells: &[u32], some: Range<usize>, len: u32| -> BTreeSet<u32> {
                let cells = cells.get(some).unwrap_or_default();
                cells.iter().filter(|c| **c != NONE).map(|c| c / len).collect()
            };
            let row_of = of(row_of, span(&rows), block[0]);
            let column_of = of(column_of, span(&columns), block[1]);
            row_of.iter().flat_map(|r| column_of.iter().map(|c| [*r, *c])).collect()
        }
        Places::Each(all) => {
            let mut out = BTreeSet::new();
            let mut last = [NONE; 2];
            for row in all.chunks(width.max(1) as usize).take(rows.end as usize).skip(rows.start as usize) {
                let some = row.get(span(&columns)).unwrap_or_default();
                for [r, c] in some.iter().filter(|[r, _]| *r != NONE) {
                    let at = [r / block[0], c / block[1]];
                    if at != last {
                        out.insert(at);
                        last = at;
                    }
                }
            }
            out
        }
    }
}
