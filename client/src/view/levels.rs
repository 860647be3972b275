//! Resolutions of one variable, cut into pages.
//!
//! A *block* is what can be fetched and decoded by itself; a *page* is what fits
//! a layer of the atlas on the GPU. They are the same unless a block is larger
//! than a page may be; then it is cut evenly.

/// Pages are at most this many cells high and wide.
pub const MAX_PAGE: u32 = 1024;
/// More levels than any pyramid has.
pub const MAX_LEVELS: usize = 16;

/// One resolution. Pairs are (y, x).
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    pub cells: [u32; 2],
    /// Cells of level 0 that one cell covers.
    pub factor: [f64; 2],
    pub block: [u32; 2],
    pub page: [u32; 2],
    /// Pages along each side of a block.
    pub cuts: [u32; 2],
    /// Pages along each side of the level.
    pub pages: [u32; 2],
    /// Number of its first page among those of all levels.
    pub first_page: u32,
}

/// A page of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageId {
    pub level: u8,
    pub y: u32,
    pub x: u32,
}

/// Where a page lies in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Index of the block along y and x.
    pub block: [u32; 2],
    /// First row and column within the block.
    pub origin: [u32; 2],
    /// Rows and columns.
    pub size: [u32; 2],
}

impl Grid {
    pub fn new(cells: [u64; 2], factor: [f64; 2], block: [u64; 2]) -> Option<Self> {
        let small = |n: u64| u32::try_from(n).ok().filter(|n| *n > 0 && *n <= 1 << 24);
        let cells = [small(cells[0])?, small(cells[1])?];
        // A chunk may be larger than its array.
        let block = [small(block[0].min(1 << 24))?, small(block[1].min(1 << 24))?];
        let used = [block[0].min(cells[0]), block[1].min(cells[1])];
        let cuts = used.map(|b| b.div_ceil(MAX_PAGE));
        let page = [used[0].div_ceil(cuts[0]), used[1].div_ceil(cuts[1])];
        let pages = [cells[0].div_ceil(block[0]) * cuts[0], cells[1].div_ceil(block[1]) * cuts[1]];
        let factor = factor.map(|f| if f.is_finite() && f >= 1.0 { f } else { 1.0 });
        Some(Self { cells, factor, block, page, cuts, pages, first_page: 0 })
    }

    pub fn page_count(&self) -> u64 {
        u64::from(self.pages[0]) * u64::from(self.pages[1])
    }

    /// This level's cell over cell `index` of level 0, on axis 0 (y) or 1 (x).
    pub fn cell(&self, axis: usize, index: u32) -> u32 {
        ((f64::from(index) / self.factor[axis]) as u32).min(self.cells[axis] - 1)
    }

    /// The page along one axis that holds a cell of this level.
    pub fn page_at(&self, axis: usize, cell: u32) -> u32 {
        let (block, within) = (cell / self.block[axis], cell % self.block[axis]);
        block * self.cuts[axis] + within / self.page[axis]
    }

    /// First row and column of a page.
    pub fn page_origin(&self, y: u32, x: u32) -> [u32; 2] {
        let cut = self.cut(PageId { level: 0, y, x });
        [0, 1].map(|d| cut.block[d] * self.block[d] + cut.origin[d])
    }

    pub fn page_number(&self, page: PageId) -> u32 {
        self.first_page + page.y * self.pages[1] + page.x
    }

    pub fn cut(&self, page: PageId) -> Cut {
        let at = [page.y, page.x];
        let along = |axis: usize| {
            let (block, part) = (at[axis] / self.cuts[axis], at[axis] % self.cuts[axis]);
            let origin = part * self.page[axis];
            // What a block holds past the end of the array is padding.
            let used = self.cells[axis].saturating_sub(block * self.block[axis]).min(self.block[axis]);
            (block, origin, self.page[axis].min(used.saturating_sub(origin)))
        };
        let (y, x) = (along(0), along(1));
        Cut { block: [y.0, x.0], origin: [y.1, x.1], size: [y.2, x.2] }
    }
}

/// Numbers the pages of all levels, finest level first; levels that would make
/// the page table too large are dropped from the fine end.
pub fn number_pages(mut grids: Vec<Grid>, limit: u64) -> (Vec<Grid>, usize) {
    let mut dropped = 0;
    while grids.len() > 1 && grids.iter().map(Grid::page_count).sum::<u64>() > limit {
        grids.remove(0);
        dropped += 1;
    }
    grids.truncate(MAX_LEVELS);
    let mut first = 0;
    for g in &mut grids {
        g.first_page = first;
        first += g.page_count() as u32;
    }
    (grids, dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_larger_than_a_page_is_cut_evenly() {
        let g = Grid::new([721, 1440], [1.0, 1.0], [721, 1440]).unwrap();
        assert_eq!((g.page, g.cuts, g.pages), ([721, 720], [1, 2], [1, 2]));
        let cut = g.cut(PageId { level: 0, y: 0, x: 1 });
        assert_eq!((cut.block, cut.origin, cut.size), ([0, 0], [0, 720], [721, 720]));
        // 721 = 2 * 361 - 1: the last row of the second block is padding.
        let h = Grid::new([721, 1440], [1.0, 1.0], [361, 360]).unwrap();
        assert_eq!(h.cut(PageId { level: 0, y: 1, x: 0 }).size, [360, 360]);
        assert_eq!(g.page_at(1, 719), 0);
        assert_eq!(g.page_at(1, 720), 1);
    }

    #[test]
    fn a_coarse_cell_covers_its_fine_ones() {
        let g = Grid::new([91, 180], [8.0, 8.0], [256, 256]).unwrap();
        assert_eq!(g.cell(0, 720), 90);
        assert_eq!(g.cell(1, 1439), 179);
        assert_eq!((g.page, g.pages), ([91, 180], [1, 1]));
        assert_eq!(g.cut(PageId { level: 0, y: 0, x: 0 }).size, [91, 180]);
    }

    #[test]
    fn pages_are_numbered_through_all_levels() {
        let a = Grid::new([1000, 1000], [1.0, 1.0], [256, 256]).unwrap();
        let b = Grid::new([500, 500], [2.0, 2.0], [256, 256]).unwrap();
        let (grids, dropped) = number_pages(vec![a.clone(), b.clone()], 100);
        assert_eq!((grids[1].first_page, dropped), (16, 0));
        let (grids, dropped) = number_pages(vec![a, b], 10);
        assert_eq!((grids.len(), dropped), (1, 1));
    }

    #[test]
    fn sizes_that_no_table_holds_are_refused() {
        assert!(Grid::new([0, 10], [1.0, 1.0], [1, 1]).is_none());
        assert!(Grid::new([1 << 40, 10], [1.0, 1.0], [1, 1]).is_none());
    }
}
