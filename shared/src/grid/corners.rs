//! Cell corners of a curvilinear grid from its cell centres.
//!
//! CF grids may come with bounds, most do not. A corner is the mean of the four
//! centres around it; where some are missing, at the border or beside cells
//! without a place, each cell that is there says where its corner would be by
//! the distance to its neighbours. The browser draws the quadrilaterals between
//! them page by page (a page is given two cells around it, so that both sides of
//! its border find the same corners); the server finds the one that a pixel lies in.

use super::neighbours::{limit, squared};
use super::sphere::{minus, plus, times, unit};

/// Rows and columns around a page that its corners depend on.
pub const HALO: u32 = 2;

/// Cell centres as unit vectors, rows of columns; `None` where a cell has no place.
pub struct Centres {
    pub rows: usize,
    pub columns: usize,
    pub at: Vec<Option<[f64; 3]>>,
}

impl Centres {
    fn get(&self, r: i64, c: i64) -> Option<[f64; 3]> {
        let (r, c) = (usize::try_from(r).ok()?, usize::try_from(c).ok()?);
        if r >= self.rows || c >= self.columns {
            return None;
        }
        self.at.get(r * self.columns + c).copied().flatten()
    }

    /// Takes places away that two or more of a cell's four neighbours share: a
    /// model's filling on land (often 0, 0), not a grid.
    pub fn drop_repeated(&mut self) {
        let repeated: Vec<usize> = (0..self.at.len())
            .filter(|i| {
                let (r, c) = ((i / self.columns) as i64, (i % self.columns) as i64);
                let Some(here) = self.get(r, c) else { return false };
                let near = [(r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)];
                near.iter().filter(|(r, c)| self.get(*r, *c) == Some(here)).count() >= 2
            })
            .collect();
        for i in repeated {
            self.at[i] = None;
        }
    }

    fn finder(&self) -> Corners<impl Fn(i64, i64) -> Option<[f64; 3]>> {
        let limit = limit(self.rows, self.columns, |r, c| self.get(r as i64, c as i64));
        Corners { centre: |r, c| self.get(r, c), limit }
    }

    /// The corners of the cells from (`row`, `column`) on, `rows` by `columns` of
    /// them: one more along each side.
    pub fn corners(&self, [row, column]: [u32; 2], [rows, columns]: [u32; 2]) -> Vec<Option<[f64; 3]>> {
        let finder = self.finder();
        let (row, column) = (i64::from(row), i64::from(column));
        let across = 0..=i64::from(columns);
        (0..=i64::from(rows))
            .flat_map(|r| across.clone().map(move |c| (r, c)))
            .map(|(r, c)| finder.corner(row + r, column + c))
            .collect()
    }

    /// How far from the centre `at` its cell reaches, in radians: half its
    /// diagonal, and a fifth more for cells that lean. 0 for a lone one.
    pub fn reach(&self, at: usize) -> f64 {
        let (r, c) = ((at / self.columns) as i64, (at % self.columns) as i64);
        let finder = Corners { centre: |r, c| self.get(r, c), limit: f64::INFINITY };
        let step = |d: [i64; 2]| finder.step(r, c, d).map(|v| squared(v, [0.0; 3]));
        let (down, along) = (step([1, 0]), step([0, 1]));
        let (down, along) = (down.or(along).unwrap_or(0.0), along.or(down).unwrap_or(0.0));
        0.6 * (down + along).sqrt()
    }

    /// True where the cell has a place.
    pub fn has(&self, row: u32, column: u32) -> bool {
        self.get(i64::from(row), i64::from(column)).is_some()
    }
}

/// Corners of the cells that `centre` places: unit vectors by row and column, which may lie outside.
pub struct Corners<F> {
    pub centre: F,
    /// The squared chord beyond which neighbours are not neighbours ([`limit`]).
    pub limit: f64,
}

impl<F: Fn(i64, i64) -> Option<[f64; 3]>> Corners<F> {
    /// From a cell to the next along one axis: half the way between the two
    /// beside it, or the way to the one that is there.
    fn step(&self, r: i64, c: i64, [dr, dc]: [i64; 2]) -> Option<[f64; 3]> {
        let here = (self.centre)(r, c)?;
        let beside = |s: i64| {
            let p = (self.centre)(r + s * dr, c + s * dc)?;
            (squared(p, here) <= self.limit).then(|| times(minus(p, here), s as f64))
        };
        match (beside(-1), beside(1)) {
            (Some(a), Some(b)) => Some(times(plus(a, b), 0.5)),
            (a, b) => a.or(b),
        }
    }

    /// The corner before a row and a column; `None` where neighbours are too far to have one in common.
    pub fn corner(&self, r: i64, c: i64) -> Option<[f64; 3]> {
        let around = [(r - 1, c - 1), (r - 1, c), (r, c), (r, c - 1)];
        let here = around.map(|(r, c)| (self.centre)(r, c));
        if let [Some(a), Some(b), Some(d), Some(e)] = here {
            let near = [(a, b), (b, d), (d, e), (e, a)].iter().all(|(p, q)| squared(*p, *q) <= self.limit);
            return if near { unit(plus(plus(a, b), plus(d, e))) } else { None };
        }
        let mut sum = [0.0; 3];
        for ((y, x), place) in around.into_iter().zip(here) {
            let Some(place) = place else { continue };
            let (Some(down), Some(along)) = (self.step(y, x, [1, 0]), self.step(y, x, [0, 1])) else {
                continue;
            };
            let (sy, sx) = (if y < r { 0.5 } else { -0.5 }, if x < c { 0.5 } else { -0.5 });
            sum = plus(sum, plus(place, plus(times(down, sy), times(along, sx))));
        }
        unit(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::sphere::{place_of, unit_vector};

    fn grid(rows: usize, columns: usize, at: impl Fn(usize, usize) -> Option<(f64, f64)>) -> Centres {
        let place = |i: usize| at(i / columns, i % columns).map(|(lon, lat)| unit_vector(lon, lat));
        Centres { rows, columns, at: (0..rows * columns).map(place).collect() }
    }

    fn near(a: Option<[f64; 3]>, (lon, lat): (f64, f64)) {
        let (x, y) = place_of(a.unwrap()).unwrap();
        assert!((x - lon).abs() < 5e-3 && (y - lat).abs() < 5e-3, "{x} {y}, not {lon} {lat}");
    }

    #[test]
    fn corners_lie_between_centres_and_half_a_cell_outside() {
        let g = grid(4, 5, |r, c| Some((c as f64, r as f64)));
        let corners = g.corners([0, 0], [4, 5]);
        assert_eq!(corners.len(), 30);
        for (i, corner) in corners.into_iter().enumerate() {
            near(corner, ((i % 6) as f64 - 0.5, (i / 6) as f64 - 0.5));
        }
    }

    #[test]
    fn both_sides_of_a_page_border_find_the_same_corners() {
        let bent = |r: usize, c: usize| {
            let (r, c) = (r as f64, c as f64);
            (r > 2.0 || c != 6.0).then_some((c + 0.02 * r * r, 40.0 + r + 0.03 * c * c))
        };
        let whole = grid(12, 12, bent);
        let all = whole.corners([0, 0], [12, 12]);
        // Columns 0 to 5 with two more, columns 6 to 11 with two more.
        let left = grid(12, 8, bent).corners([0, 0], [12, 6]);
        let right = grid(12, 8, |r, c| bent(r, c + 4)).corners([0, 2], [12, 6]);
        for r in 0..=12 {
            assert_eq!(left[r * 7 + 6], all[r * 13 + 6]);
            assert_eq!(right[r * 7], all[r * 13 + 6]);
        }
    }

    #[test]
    fn filling_on_land_has_no_corners() {
        let mut g =
            grid(6, 6, |r, c| Some(if c > 3 { (0.0, 0.0) } else { (20.0 + c as f64, 50.0 + r as f64) }));
        g.drop_repeated();
        assert!(g.has(2, 3) && !g.has(2, 4) && !g.has(0, 5));
        let corners = g.corners([0, 0], [6, 6]);
        near(corners[2 * 7 + 4], (23.5, 51.5));
        assert_eq!(corners[2 * 7 + 6], None);
    }

    #[test]
    fn a_jump_is_no_cell() {
        let g = grid(4, 8, |r, c| Some((c as f64 + if c > 3 { 50.0 } else { 0.0 }, r as f64)));
        let corners = g.corners([0, 0], [4, 8]);
        assert_eq!(corners[9 * 2 + 4], None);
        assert!(corners[9 * 2 + 3].is_some());
    }
}
