//! The Mercator picture cut into rectangles of pixels, each read from one page.
//!
//! A Mercator map is separable: the column of a pixel decides the column of its
//! cell, its row the row. The CPU therefore knows for each run of columns and of
//! rows which page they lie in, and the shader is left with one load for the
//! number. Where a page of the wanted level is missing, its rectangle is cut
//! along the pages of the next coarser level, and so on: nothing overlaps, so
//! that no data of a fine page never shows a coarse page's value.

use graticule_shared::raster::Cell;

use crate::view::levels::{Grid, PageId};

/// Levels that one picture can draw from; what would need more is left out.
pub const TABLES: usize = 4;
/// More are drawn by the general shader.
const MAX_PATCHES: usize = 4096;

/// Pixels of one page. Ranges end before their second number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    pub x: [u16; 2],
    pub y: [u16; 2],
    /// Layer of the atlas.
    pub layer: u16,
    /// Which of the tables holds its texels.
    pub table: u16,
}

#[derive(Debug, Default)]
pub struct Patches {
    pub quads: Vec<Patch>,
    /// For each level drawn from: the texel, within its page, of every column of
    /// pixels, then of every row; in units of 1/65536, so that the place within the
    /// cell is in it.
    pub tables: Vec<[Vec<u32>; 2]>,
    /// No pixel over the grid is without a page.
    pub covers: bool,
}

/// A level's place on the screen along one axis.
struct Line {
    texels: Vec<u32>,
    /// First pixel, pixel after the last, page.
    runs: Vec<[u32; 3]>,
}

impl Line {
    fn new(cells: &[Cell], grid: &Grid, axis: usize) -> Self {
        let mut line = Self { texels: vec![0; cells.len()], runs: Vec::new() };
        for (i, cell) in cells.iter().enumerate().filter(|(_, c)| c.index >= 0.0) {
            let at = (f64::from(cell.index) + f64::from(cell.fraction)) / grid.factor[axis];
            let cell = grid.cell(axis, cell.index as u32);
            let page = grid.page_at(axis, cell);
            let part = ((at - f64::from(cell)) * 65536.0).clamp(0.0, 65535.0);
            line.texels[i] = ((cell % grid.block[axis] % grid.page[axis]) << 16) | part as u32;
            let i = i as u32;
            match line.runs.last_mut() {
                Some(run) if run[1] == i && run[2] == page => run[1] = i + 1,
                _ => line.runs.push([i, i + 1, page]),
            }
        }
        line
    }

    fn within(&self, [from, to]: [u32; 2]) -> impl Iterator<Item = [u32; 3]> + '_ {
        self.runs
            .iter()
            .map(move |[a, b, page]| [*a.max(&from), *b.min(&to), *page])
            .filter(|[a, b, _]| a < b)
    }
}

struct Cut<'a, F> {
    cells: [&'a [Cell]; 2],
    grids: &'a [Grid],
    layer_of: F,
    lines: Vec<Option<[Line; 2]>>,
    table_of: Vec<Option<u16>>,
    out: Patches,
}

/// Cuts the view. `columns` and `rows` are the level 0 cells of the device
/// pixels; `layer_of` says where a page is, if it is here. `None` where there
/// would be too many pieces.
pub fn patches(
    columns: &[Cell],
    rows: &[Cell],
    grids: &[Grid],
    wanted: usize,
    layer_of: impl Fn(PageId) -> Option<u32>,
) -> Option<Patches> {
    let limit = usize::from(u16::MAX);
    if columns.len() > limit || rows.len() > limit || wanted >= grids.len() {
        return None;
    }
    let mut cut = Cut {
        cells: [rows, columns],
        grids,
        layer_of,
        lines: (0..grids.len()).map(|_| None).collect(),
        table_of: vec![None; grids.len()],
        out: Patches { covers: true, ..Patches::default() },
    };
    let whole = |cells: &[Cell]| [0, cells.len() as u32];
    if !cut.fill(wanted, whole(rows), whole(columns)) {
        return None;
    }
    let Cut { lines, table_of, mut out, .. } = cut;
    let mut tables: Vec<Option<[Vec<u32>; 2]>> = (0..TABLES).map(|_| None).collect();
    for (line, table) in lines.into_iter().zip(table_of) {
        if let (Some([y, x]), Some(table)) = (line, table) {
            tables[usize::from(table)] = Some([x.texels, y.texels]);
        }
    }
    out.tables = tables.into_iter().flatten().collect();
    Some(out)
}

impl<F: Fn(PageId) -> Option<u32>> Cut<'_, F> {
    /// False where there are too many pieces.
    fn fill(&mut self, level: usize, y: [u32; 2], x: [u32; 2]) -> bool {
        let (Some(grid), Ok(number)) = (self.grids.get(level), u8::try_from(level)) else {
            self.out.covers = false;
            return true;
        };
        let [rows, columns] = self.lines[level]
            .get_or_insert_with(|| [0, 1].map(|axis| Line::new(self.cells[axis], grid, axis)));
        let (rows, columns): (Vec<_>, Vec<_>) = (rows.within(y).collect(), columns.within(x).collect());
        for [y0, y1, row] in rows {
            for &[x0, x1, column] in &columns {
                let page = PageId { level: number, y: row, x: column };
                let here = (self.layer_of)(page).and_then(|l| u16::try_from(l).ok()).zip(self.table(level));
                match here {
                    Some((layer, table)) => {
                        if self.out.quads.len() == MAX_PATCHES {
                            return false;
                        }
                        let range = |a: u32, b: u32| [a as u16, b as u16];
                        self.out.quads.push(Patch { x: range(x0, x1), y: range(y0, y1), layer, table });
                    }
                    None if !self.fill(level + 1, [y0, y1], [x0, x1]) => return false,
                    None => {}
                }
            }
        }
        true
    }

    fn table(&mut self, level: usize) -> Option<u16> {
        if self.table_of[level].is_none() {
            let next = self.table_of.iter().flatten().count();
            self.table_of[level] = u16::try_from(next).ok().filter(|_| next < TABLES);
        }
        self.table_of[level]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(numbers: impl IntoIterator<Item = i32>) -> Vec<Cell> {
        numbers.into_iter().map(|n| Cell { index: n as f32, fraction: 0.0 }).collect()
    }

    /// 8 x 8 cells in pages of 4 x 4, and half of that in one page.
    fn two_levels() -> Vec<Grid> {
        vec![Grid::new([8, 8], [1.0, 1.0], [4, 4]).unwrap(), Grid::new([4, 4], [2.0, 2.0], [4, 4]).unwrap()]
    }

    #[test]
    fn each_run_of_pixels_reads_its_own_page() {
        let grids = two_levels();
        let (columns, rows) = (cells([-1, 2, 3, 4, 5, 0]), cells([0, 7]));
        let p = patches(&columns, &rows, &grids, 0, |p| Some(10 * p.y + p.x)).unwrap();
        let one = |x, y, layer| Patch { x, y, layer, table: 0 };
        assert_eq!(
            p.quads,
            [
                one([1, 3], [0, 1], 0),
                one([3, 5], [0, 1], 1),
                one([5, 6], [0, 1], 0),
                one([1, 3], [1, 2], 10),
                one([3, 5], [1, 2], 11),
                one([5, 6], [1, 2], 10)
            ]
        );
        let texels = |t: &[u32]| t.iter().map(|t| t >> 16).collect::<Vec<_>>();
        assert_eq!(p.tables[0].each_ref().map(|t| texels(t)), [vec![0, 2, 3, 0, 1, 0], vec![0, 3]]);
        assert!(p.covers);
    }

    #[test]
    fn a_missing_page_is_cut_from_the_coarser_level_and_nothing_overlaps() {
        let grids = two_levels();
        let all = || cells(0..8);
        let layer = |p: PageId| match (p.level, p.y, p.x) {
            (0, 1, 1) => None,
            (0, y, x) => Some(2 * y + x),
            _ => Some(9),
        };
        let p = patches(&all(), &all(), &grids, 0, layer).unwrap();
        assert_eq!(p.quads.len(), 4);
        assert!(p.quads.contains(&Patch { x: [4, 8], y: [4, 8], layer: 9, table: 1 }));
        // The second of two fine cells begins in the middle of the coarse one.
        let half = |n: u32| (n / 2) << 16 | (n % 2) << 15;
        assert_eq!(p.tables[1][0], (0..8).map(half).collect::<Vec<_>>());
        let area: usize =
            p.quads.iter().map(|q| usize::from(q.x[1] - q.x[0]) * usize::from(q.y[1] - q.y[0])).sum();
        assert_eq!(area, 64);
        assert!(p.covers);
    }

    #[test]
    fn what_no_level_has_is_left_open_and_said() {
        let p = patches(&cells(0..8), &cells(0..8), &two_levels(), 0, |p| {
            (p.level == 0 && p.x == 0).then_some(0)
        });
        let p = p.unwrap();
        assert_eq!(p.quads.len(), 2);
        assert!(!p.covers);
    }

    #[test]
    fn too_many_pieces_are_no_patches() {
        let grid = Grid::new([200, 200], [1.0, 1.0], [1, 1]).unwrap();
        assert!(patches(&cells(0..200), &cells(0..200), &[grid], 0, |_| Some(0)).is_none());
    }
}
