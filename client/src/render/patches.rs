//! The Mercator picture cut into rectangles of pixels, each read from one page.
//!
//! A Mercator map is separable: the column of a pixel decides the column of its
//! cell, its row the row. The CPU therefore knows for each run of columns and of
//! rows which page they lie in, and where in it: a run ends where a straight line
//! no longer meets the right cells, so that the shader is left with one load for
//! the number. Where a page of the wanted level is missing, its rectangle is cut
//! along the pages of the next coarser level, and so on: nothing overlaps, so
//! that no data of a fine page never shows a coarse page's value.

use graticule_shared::raster::Cell;

use crate::view::levels::{Grid, PageId};

/// Levels that one picture can draw from; what would need more is left out.
pub const TABLES: usize = 4;
/// More are drawn by the general shader.
const MAX_PATCHES: usize = 4096;
/// How far from its edges a straight line must meet a cell, in cells: what a
/// device may be wrong by when it interpolates.
const MARGIN: f64 = 1.0 / 1024.0;
/// In place of a layer: the page is not here.
pub const NO_LAYER: u16 = u16::MAX;

/// Pixels of one page, or of the strip between the middles of cells on both
/// sides of a border. Ranges end before their second number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patch {
    pub x: [u16; 2],
    pub y: [u16; 2],
    /// Layers of the atlas that hold the cell above left, above right, below left
    /// and below right of a pixel; all the same where cells are flat.
    pub layers: [u16; 4],
    /// Which of the tables holds its texels, where cells are smooth.
    pub table: u16,
    /// Where cells are flat: column of texels at the left and right edge, row of
    /// texels at the upper and lower.
    pub u: [f32; 2],
    pub v: [f32; 2],
}

#[derive(Debug, Default)]
pub struct Patches {
    pub quads: Vec<Patch>,
    /// Where cells are smooth, for each level drawn from, of every column of
    /// pixels, then of every row: the texel before it, the texel after it (10 bits
    /// each), and how far it is from one to the other (12 bits).
    pub tables: Vec<[Vec<u32>; 2]>,
    /// No pixel over the grid is without a page.
    pub covers: bool,
}

/// How cells are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    Flat,
    /// With straight lines between their centres; `wraps` where the last column
    /// is the first one's neighbour.
    Smooth {
        wraps: bool,
    },
}

/// Pixels that read the same pages: first, after the last, page before and after.
#[derive(Debug, Clone, Copy)]
struct Run {
    from: u32,
    to: u32,
    pages: [u32; 2],
    /// Texel at the first pixel's near edge, and texels a pixel, where cells are flat.
    start: f64,
    slope: f64,
}

impl Run {
    /// Texels at both its edges.
    fn edges(&self) -> [f32; 2] {
        [self.start, self.start + self.slope * f64::from(self.to - self.from)].map(|t| t as f32)
    }

    /// What of it lies between two pixels.
    fn within(&self, [from, to]: [u32; 2]) -> Self {
        let (from, to) = (self.from.max(from), self.to.min(to));
        let start = self.start + self.slope * (f64::from(from) - f64::from(self.from));
        Self { from, to, start, ..*self }
    }
}

/// The straight lines from one pixel's place that meet all cells since.
struct Fan {
    first: u32,
    at: f64,
    slopes: [f64; 2],
}

impl Fan {
    /// `texel` is a cell of the page, `at` where in it the pixel's middle lies.
    fn new(first: u32, texel: u32, at: f64) -> Self {
        let texel = f64::from(texel);
        let at = at.clamp(texel + MARGIN, texel + 1.0 - MARGIN);
        Self { first, at, slopes: [f64::NEG_INFINITY, f64::INFINITY] }
    }

    /// Narrowed to what meets this cell too, if anything does.
    fn through(&self, pixel: u32, texel: u32) -> Option<Self> {
        let (away, texel) = (f64::from(pixel - self.first), f64::from(texel));
        let low = ((texel + MARGIN - self.at) / away).max(self.slopes[0]);
        let high = ((texel + 1.0 - MARGIN - self.at) / away).min(self.slopes[1]);
        (low <= high).then_some(Self { slopes: [low, high], ..*self })
    }

    /// Texel at the first pixel's near edge, and texels a pixel.
    fn line(&self) -> (f64, f64) {
        let [low, high] = self.slopes;
        let slope = if low.is_finite() { (low + high) / 2.0 } else { 0.0 };
        (self.at - slope / 2.0, slope)
    }
}

/// A level's place on the screen along one axis.
struct Line {
    texels: Vec<u32>,
    runs: Vec<Run>,
}

impl Line {
    fn new(pixels: &[Cell], grid: &Grid, axis: usize, how: Cells) -> Self {
        match how {
            Cells::Flat => Self { texels: Vec::new(), runs: flat(pixels, grid, axis) },
            Cells::Smooth { wraps } => smooth(pixels, grid, axis, wraps && axis == 1),
        }
    }

    fn within(&self, pixels: [u32; 2]) -> Vec<Run> {
        let cut = |r: &Run| r.from.max(pixels[0]) < r.to.min(pixels[1]);
        self.runs.iter().filter(|r| cut(r)).map(|r| r.within(pixels)).collect()
    }
}

/// The texel of a cell in its page.
fn local(grid: &Grid, axis: usize, cell: u32) -> u32 {
    cell % grid.block[axis] % grid.page[axis]
}

/// Where a pixel's middle lies, in cells of the level.
fn place(pixel: &Cell, grid: &Grid, axis: usize) -> f64 {
    (f64::from(pixel.index) + f64::from(pixel.fraction)) / grid.factor[axis]
}

fn flat(pixels: &[Cell], grid: &Grid, axis: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut fan: Option<Fan> = None;
    for (i, pixel) in (0u32..).zip(pixels).filter(|(_, c)| c.index >= 0.0) {
        let cell = grid.cell(axis, pixel.index as u32);
        let texel = local(grid, axis, cell);
        let pages = [grid.page_at(axis, cell); 2];
        let follows = runs.last().is_some_and(|r| r.to == i && r.pages == pages);
        let on = fan.as_ref().filter(|_| follows).and_then(|f| f.through(i, texel));
        if on.is_none() {
            runs.push(Run { from: i, to: i, pages, start: 0.0, slope: 0.0 });
        }
        let at = place(pixel, grid, axis) - f64::from(cell) + f64::from(texel);
        let fan = fan.insert(on.unwrap_or_else(|| Fan::new(i, texel, at)));
        if let Some(run) = runs.last_mut() {
            run.to = i + 1;
            (run.start, run.slope) = fan.line();
        }
    }
    runs
}

fn smooth(pixels: &[Cell], grid: &Grid, axis: usize, wraps: bool) -> Line {
    let mut line = Line { texels: vec![0; pixels.len()], runs: Vec::new() };
    let count = i64::from(grid.cells[axis]);
    let cell = |n: i64| (if wraps { n.rem_euclid(count) } else { n.clamp(0, count - 1) }) as u32;
    for (i, pixel) in (0u32..).zip(pixels).filter(|(_, c)| c.index >= 0.0) {
        let at = place(pixel, grid, axis) - 0.5;
        let (before, after) = (cell(at.floor() as i64), cell(at.floor() as i64 + 1));
        let part = ((at - at.floor()) * 4096.0).clamp(0.0, 4095.0) as u32;
        line.texels[i as usize] = local(grid, axis, before) << 22 | local(grid, axis, after) << 12 | part;
        let pages = [before, after].map(|c| grid.page_at(axis, c));
        match line.runs.last_mut() {
            Some(run) if run.to == i && run.pages == pages => run.to = i + 1,
            _ => line.runs.push(Run { from: i, to: i + 1, pages, start: 0.0, slope: 0.0 }),
        }
    }
    line
}

struct Cut<'a, F> {
    pixels: [&'a [Cell]; 2],
    grids: &'a [Grid],
    how: Cells,
    layer_of: F,
    lines: Vec<Option<[Line; 2]>>,
    table_of: Vec<Option<u16>>,
    out: Patches,
}

/// There would be too many pieces.
struct TooMany;

/// Cuts the view. `columns` and `rows` are the level 0 cells of the device
/// pixels; `layer_of` says where a page is, if it is here. `None` where there
/// would be too many pieces.
pub fn patches(
    columns: &[Cell],
    rows: &[Cell],
    grids: &[Grid],
    wanted: usize,
    how: Cells,
    layer_of: impl Fn(PageId) -> Option<u32>,
) -> Option<Patches> {
    let limit = usize::from(u16::MAX);
    if columns.len() > limit || rows.len() > limit || wanted >= grids.len() {
        return None;
    }
    let mut cut = Cut {
        pixels: [rows, columns],
        grids,
        how,
        layer_of,
        lines: (0..grids.len()).map(|_| None).collect(),
        table_of: vec![None; grids.len()],
        out: Patches { covers: true, ..Patches::default() },
    };
    let whole = |pixels: &[Cell]| [0, pixels.len() as u32];
    cut.fill(wanted, whole(rows), whole(columns)).ok()?;
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
    fn fill(&mut self, level: usize, y: [u32; 2], x: [u32; 2]) -> Result<(), TooMany> {
        let (Some(grid), Ok(number)) = (self.grids.get(level), u8::try_from(level)) else {
            self.out.covers = false;
            return Ok(());
        };
        let (pixels, how) = (self.pixels, self.how);
        let [rows, columns] = self.lines[level]
            .get_or_insert_with(|| [0, 1].map(|axis| Line::new(pixels[axis], grid, axis, how)));
        let (rows, columns) = (rows.within(y), columns.within(x));
        for row in rows {
            for &column in &columns {
                let layer = |y: u32, x: u32| {
                    let layer = (self.layer_of)(PageId { level: number, y, x });
                    layer.and_then(|l| u16::try_from(l).ok()).unwrap_or(NO_LAYER)
                };
                let ([y0, y1], [x0, x1]) = (row.pages, column.pages);
                let layers = [layer(y0, x0), layer(y0, x1), layer(y1, x0), layer(y1, x1)];
                if layers.contains(&NO_LAYER) {
                    let (made, covered) = (self.out.quads.len(), self.out.covers);
                    self.out.covers = true;
                    self.fill(level + 1, [row.from, row.to], [column.from, column.to])?;
                    if self.out.covers || layers == [NO_LAYER; 4] {
                        self.out.covers &= covered;
                        continue;
                    }
                    // Half a border, rather than none of it.
                    self.out.quads.truncate(made);
                }
                self.push(level, row, column, layers)?;
            }
        }
        Ok(())
    }

    fn push(&mut self, level: usize, row: Run, column: Run, layers: [u16; 4]) -> Result<(), TooMany> {
        let table = if self.how == Cells::Flat { Some(0) } else { self.table(level) };
        let Some(table) = table else {
            self.out.covers = false;
            return Ok(());
        };
        if self.out.quads.len() == MAX_PATCHES {
            return Err(TooMany);
        }
        let range = |r: Run| [r.from as u16, r.to as u16];
        let (u, v) = (column.edges(), row.edges());
        self.out.quads.push(Patch { x: range(column), y: range(row), layers, table, u, v });
        Ok(())
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
        numbers.into_iter().map(|n| Cell { index: n as f32, fraction: 0.5 }).collect()
    }

    /// 8 x 8 cells in pages of 4 x 4, and half of that in one page.
    fn two_levels() -> Vec<Grid> {
        vec![Grid::new([8, 8], [1.0, 1.0], [4, 4]).unwrap(), Grid::new([4, 4], [2.0, 2.0], [4, 4]).unwrap()]
    }

    /// What a device reads at the middles of pixels.
    fn texels([from, to]: [u16; 2], [a, b]: [f32; 2]) -> Vec<u32> {
        let part = |i: u16| (f32::from(i - from) + 0.5) / f32::from(to - from);
        (from..to).map(|i| (a + (b - a) * part(i)) as u32).collect()
    }

    #[test]
    fn a_straight_line_meets_every_row_of_a_mercator_map() {
        use graticule_shared::raster::mercator_y;
        let (cells, pixels) = (1024u32, 777u32);
        let grid = [Grid::new([u64::from(cells), 4], [1.0, 1.0], [u64::from(cells), 4]).unwrap()];
        let edge = |i: u32| {
            let latitude = 90.0 - 180.0 * f64::from(i) / f64::from(cells);
            mercator_y(latitude.clamp(-85.05, 85.05)) * f64::from(pixels)
        };
        let rows: Vec<Cell> = (0..pixels)
            .map(|p| {
                let y = f64::from(p) + 0.5;
                let i = (0..cells).rfind(|i| edge(*i) <= y).unwrap_or(0);
                let fraction = (y - edge(i)) / (edge(i + 1) - edge(i)).max(1e-9);
                Cell { index: i as f32, fraction: fraction.clamp(0.0, 0.999) as f32 }
            })
            .collect();
        let p = patches(&self::cells([0]), &rows, &grid, 0, Cells::Flat, |_| Some(0)).unwrap();
        let read: Vec<u32> = p.quads.iter().flat_map(|q| texels(q.y, q.v)).collect();
        assert_eq!(read, rows.iter().map(|r| r.index as u32).collect::<Vec<_>>());
        assert!(p.quads.len() < 100, "{} pieces", p.quads.len());
    }

    fn area(p: &Patches) -> usize {
        p.quads.iter().map(|q| usize::from(q.x[1] - q.x[0]) * usize::from(q.y[1] - q.y[0])).sum()
    }

    #[test]
    fn each_run_of_pixels_reads_its_own_page() {
        let grids = two_levels();
        let (columns, rows) = (cells([-1, 2, 3, 4, 5, 0]), cells([0, 7]));
        let p = patches(&columns, &rows, &grids, 0, Cells::Flat, |p| Some(10 * p.y + p.x)).unwrap();
        let one = |x, y, layer, u, v: f32| Patch { x, y, layers: [layer; 4], table: 0, u, v: [v; 2] };
        assert_eq!(
            p.quads,
            [
                one([1, 3], [0, 1], 0, [2.0, 4.0], 0.5),
                one([3, 5], [0, 1], 1, [0.0, 2.0], 0.5),
                one([5, 6], [0, 1], 0, [0.5, 0.5], 0.5),
                one([1, 3], [1, 2], 10, [2.0, 4.0], 3.5),
                one([3, 5], [1, 2], 11, [0.0, 2.0], 3.5),
                one([5, 6], [1, 2], 10, [0.5, 0.5], 3.5)
            ]
        );
        assert!(p.covers);
    }

    #[test]
    fn flat_cells_on_both_sides_of_the_seam_are_told_apart_in_one_page() {
        let grid = [Grid::new([1, 8], [1.0, 1.0], [1, 8]).unwrap()];
        let p = patches(&cells([5, 6, 7, 0, 1]), &cells([0]), &grid, 0, Cells::Flat, |_| Some(0)).unwrap();
        let along: Vec<_> = p.quads.iter().map(|q| (q.x, q.u)).collect();
        assert_eq!(along, [([0, 3], [5.0, 8.0]), ([3, 5], [0.0, 2.0])]);
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
        let p = patches(&all(), &all(), &grids, 0, Cells::Flat, layer).unwrap();
        assert_eq!(p.quads.len(), 4);
        let coarse = p.quads.iter().find(|q| (q.x, q.y) == ([4, 8], [4, 8])).unwrap();
        assert_eq!(coarse.layers, [9; 4]);
        assert_eq!(
            (texels(coarse.x, coarse.u), texels(coarse.y, coarse.v)),
            (vec![2, 2, 3, 3], vec![2, 2, 3, 3])
        );
        assert_eq!(area(&p), 64);
        assert!(p.covers);
    }

    #[test]
    fn what_no_level_has_is_left_open_and_said() {
        let left = |p: PageId| (p.level == 0 && p.x == 0).then_some(0);
        let p = patches(&cells(0..8), &cells(0..8), &two_levels(), 0, Cells::Flat, left).unwrap();
        assert_eq!(p.quads.len(), 2);
        assert!(!p.covers);
    }

    #[test]
    fn between_the_centres_of_cells_a_patch_reads_the_pages_on_both_sides() {
        let grid = [Grid::new([4, 8], [1.0, 1.0], [4, 4]).unwrap()];
        // Four pixels a cell: the strip around the border is one cell wide.
        let columns: Vec<Cell> = (0..32u8)
            .map(|i| Cell { index: f32::from(i / 4), fraction: f32::from(i % 4) / 4.0 + 0.125 })
            .collect();
        let how = Cells::Smooth { wraps: true };
        let p = patches(&columns, &cells(0..4), &grid, 0, how, |p| Some(p.x)).unwrap();
        let along: Vec<_> =
            p.quads.iter().filter(|q| q.y[0] == 0).map(|q| (q.x, [q.layers[0], q.layers[1]])).collect();
        let expected =
            [([0, 2], [1, 0]), ([2, 14], [0, 0]), ([14, 18], [0, 1]), ([18, 30], [1, 1]), ([30, 32], [1, 0])];
        assert_eq!(along, expected);
        let [x, _] = &p.tables[0];
        // Just right of the border: from the last cell of one page to the first of the next.
        assert_eq!((x[16] >> 22, (x[16] >> 12) & 1023, x[16] & 4095), (3, 0, 2560));
        assert_eq!(area(&p), 32 * 4);
    }

    #[test]
    fn a_neighbour_that_is_not_here_leaves_its_side_of_the_border_out() {
        let grid = [Grid::new([4, 8], [1.0, 1.0], [4, 4]).unwrap()];
        let how = Cells::Smooth { wraps: false };
        let p = patches(&cells(0..8), &cells(0..1), &grid, 0, how, |p| (p.x == 0).then_some(7)).unwrap();
        assert!(!p.covers);
        assert!(p.quads.iter().all(|q| q.layers.contains(&7)), "{:?}", p.quads);
    }

    #[test]
    fn too_many_pieces_are_no_patches() {
        let grid = Grid::new([200, 200], [1.0, 1.0], [1, 1]).unwrap();
        assert!(patches(&cells(0..200), &cells(0..200), &[grid], 0, Cells::Flat, |_| Some(0)).is_none());
    }
}
