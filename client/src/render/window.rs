//! The pages in view, as the quick shaders take them: a small table that fits a uniform.

use crate::view::levels::{Grid, PageId};

/// Pages in view that the quick shaders can hold.
pub const WINDOW: usize = 1024;

/// The rectangle of pages of one level that a view needs; columns may run on
/// past the last page to the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    pub level: usize,
    pub origin: [u32; 2],
    pub size: [u32; 2],
}

impl Window {
    /// The smallest around `pages`; `None` where it is too large for the quick shaders.
    pub fn around(grid: &Grid, level: usize, pages: &[PageId]) -> Option<Self> {
        let (y0, y1) = (pages.iter().map(|p| p.y).min()?, pages.iter().map(|p| p.y).max()?);
        let mut xs: Vec<u32> = pages.iter().map(|p| p.x).collect();
        xs.sort_unstable();
        xs.dedup();
        // Everything but the widest gap, which may lie across the seam.
        let n = grid.pages[1];
        let (mut x0, mut gap) = (*xs.first()?, xs.first()? + n - xs.last()?);
        for pair in xs.windows(2) {
            if pair[1] - pair[0] > gap {
                (x0, gap) = (pair[1], pair[1] - pair[0]);
            }
        }
        let size = [y1 - y0 + 1, n - gap + 1];
        (size[0] as usize * size[1] as usize <= WINDOW).then_some(Self { level, origin: [y0, x0], size })
    }

    /// Where a page stands in the window.
    pub fn local(&self, grid: &Grid, y: u32, x: u32) -> Option<[u32; 2]> {
        let row = y.checked_sub(self.origin[0])?;
        let column = (x + grid.pages[1] - self.origin[1]) % grid.pages[1];
        (row < self.size[0] && column < self.size[1]).then_some([row, column])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(y: u32, x: u32) -> PageId {
        PageId { level: 0, y, x }
    }

    #[test]
    fn a_window_runs_on_past_the_seam() {
        let grid = Grid::new([1000, 4000], [1.0, 1.0], [100, 100]).unwrap();
        let w = Window::around(&grid, 0, &[page(2, 39), page(2, 0), page(3, 1)]).unwrap();
        assert_eq!((w.origin, w.size), ([2, 39], [2, 3]));
        assert_eq!(w.local(&grid, 3, 0), Some([1, 1]));
        assert_eq!(w.local(&grid, 2, 2), None);
        assert_eq!(w.local(&grid, 1, 0), None);
    }

    #[test]
    fn a_window_too_large_or_empty_is_none() {
        let grid = Grid::new([4000, 4000], [1.0, 1.0], [100, 100]).unwrap();
        assert_eq!(Window::around(&grid, 0, &[page(0, 0), page(39, 13), page(39, 26)]), None);
        assert_eq!(Window::around(&grid, 0, &[]), None);
    }
}
