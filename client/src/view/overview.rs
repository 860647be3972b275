//! Where a curvilinear grid lies, from its cell centres: which part of it a view
//! shows, and which cell is nearest to a place.
//!
//! The centres are those of a coarse level, or a sample of level 0, so that they
//! are few however large the grid is. Over them stands a pyramid of caps, each
//! around two by two of the one below.

use crate::view::cap::{Cap, angle};

/// Centres along each side of the lowest caps.
const TILE: usize = 8;

/// Sampled cell centres, rows of columns.
pub struct Overview {
    /// Rows and columns of the sample.
    size: [usize; 2],
    /// Cells of level 0 between neighbouring samples, along y and x.
    pub factor: [f64; 2],
    /// Unit vectors; NaN where a cell has no place.
    centres: Vec<[f32; 3]>,
    /// Lowest first.
    tiles: Vec<Tiles>,
}

struct Tiles {
    size: [usize; 2],
    caps: Vec<Option<Cap>>,
}

impl Tiles {
    fn get(&self, y: usize, x: usize) -> Option<Cap> {
        (y < self.size[0] && x < self.size[1]).then(|| self.caps[y * self.size[1] + x]).flatten()
    }
}

impl Overview {
    /// `None` where no cell has a place, or the sizes do not fit.
    pub fn new(size: [usize; 2], factor: [f64; 2], centres: Vec<[f32; 3]>) -> Option<Self> {
        if size[0].checked_mul(size[1])? != centres.len() || centres.is_empty() {
            return None;
        }
        let mut o = Self { size, factor, centres, tiles: Vec::new() };
        let dims = size.map(|n| n.div_ceil(TILE));
        let caps = (0..dims[0] * dims[1]).map(|i| o.tile(i / dims[1], i % dims[1])).collect();
        o.tiles.push(Tiles { size: dims, caps });
        while let Some(below) = o.tiles.last().filter(|t| t.caps.len() > 1) {
            let dims = below.size.map(|n| n.div_ceil(2));
            let up = |i: usize| {
                let (y, x) = (2 * (i / dims[1]), 2 * (i % dims[1]));
                let four = [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)].map(|(y, x)| below.get(y, x));
                Cap::around(four.into_iter().flatten())
            };
            let caps = (0..dims[0] * dims[1]).map(up).collect();
            o.tiles.push(Tiles { size: dims, caps });
        }
        o.whole()?;
        Some(o)
    }

    fn centre(&self, y: usize, x: usize) -> Option<[f64; 3]> {
        if y >= self.size[0] || x >= self.size[1] {
            return None;
        }
        let c = self.centres[y * self.size[1] + x].map(f64::from);
        c[0].is_finite().then_some(c)
    }

    /// Around a tile's centres and their neighbours, and a little for the cells' outer halves.
    fn tile(&self, y: usize, x: usize) -> Option<Cap> {
        let range = |t: usize, n: usize| (t * TILE).saturating_sub(1)..(t * TILE + TILE + 1).min(n);
        let columns = range(x, self.size[1]);
        let points = range(y, self.size[0])
            .flat_map(move |y| columns.clone().map(move |x| (y, x)))
            .filter_map(|(y, x)| self.centre(y, x));
        let cap = Cap::around_points(points)?;
        Some(Cap { radius: cap.radius * 1.15, ..cap })
    }

    /// The cells' centres that have a place.
    pub fn places(&self) -> impl Iterator<Item = [f64; 3]> + Clone + '_ {
        self.centres.iter().filter(|c| c[0].is_finite()).map(|c| c.map(f64::from))
    }

    pub fn whole(&self) -> Option<Cap> {
        self.tiles.last()?.get(0, 0)
    }

    /// Around the cells of level 0 in these rows and columns.
    pub fn cap(&self, rows: [f64; 2], columns: [f64; 2]) -> Option<Cap> {
        let range = |r: [f64; 2], axis: usize| {
            let last = self.size[axis] as f64 - 1.0;
            let at = |v: f64| (v / self.factor[axis]).floor().clamp(0.0, last) as usize / TILE;
            (at(r[0]), at((r[1] - 1e-9).max(r[0])))
        };
        let (mut y, mut x) = (range(rows, 0), range(columns, 1));
        let mut level = 0;
        while level + 1 < self.tiles.len() && (y.1 - y.0 > 3 || x.1 - x.0 > 3) {
            (y, x) = ((y.0 / 2, y.1 / 2), (x.0 / 2, x.1 / 2));
            level += 1;
        }
        let tiles = self.tiles.get(level)?;
        let caps = (y.0..=y.1).flat_map(move |y| (x.0..=x.1).map(move |x| (y, x)));
        Cap::around(caps.filter_map(|(y, x)| tiles.get(y, x)))
    }

    /// Row and column of the nearest sample, and its angle from the place in radians.
    pub fn nearest(&self, place: [f64; 3]) -> Option<(usize, usize, f64)> {
        let top = self.tiles.len().checked_sub(1)?;
        let mut best: Option<(usize, usize, f64)> = None;
        let mut open = vec![(self.whole()?.distance(place), top, 0, 0)];
        // The nearest cap last, so that it is taken first.
        while let Some((bound, level, y, x)) = open.pop() {
            if best.is_some_and(|b| b.2 <= bound) {
                continue;
            }
            if level == 0 {
                for y in y * TILE..((y + 1) * TILE).min(self.size[0]) {
                    for x in x * TILE..((x + 1) * TILE).min(self.size[1]) {
                        let Some(c) = self.centre(y, x) else { continue };
                        let off = angle(c, place);
                        if best.is_none_or(|b| off < b.2) {
                            best = Some((y, x, off));
                        }
                    }
                }
                continue;
            }
            let from = open.len();
            for (y, x) in [(2 * y, 2 * x), (2 * y, 2 * x + 1), (2 * y + 1, 2 * x), (2 * y + 1, 2 * x + 1)] {
                if let Some(cap) = self.tiles[level - 1].get(y, x) {
                    open.push((cap.distance(place), level - 1, y, x));
                }
            }
            open[from..].sort_by(|a, b| b.0.total_cmp(&a.0));
        }
        best
    }

    /// The angle in radians from a sample to its farthest next neighbour.
    pub fn spacing(&self, y: usize, x: usize) -> Option<f64> {
        let c = self.centre(y, x)?;
        let near = [(y.wrapping_sub(1), x), (y + 1, x), (y, x.wrapping_sub(1)), (y, x + 1)];
        let off = near.iter().filter_map(|(y, x)| Some(angle(c, self.centre(*y, *x)?)));
        off.reduce(f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use graticule_shared::grid::sphere::{place_of, unit_vector};

    /// A polar grid with a hole: rows are rings about the north pole.
    fn rings(rows: usize, columns: usize) -> Overview {
        let at = |i: usize| {
            let (r, c) = (i / columns, i % columns);
            if r == 5 && c < 10 {
                return [f32::NAN; 3];
            }
            let (lon, lat) = (c as f64 / columns as f64 * 360.0, 89.0 - r as f64);
            unit_vector(lon, lat).map(|v| v as f32)
        };
        Overview::new([rows, columns], [2.0, 2.0], (0..rows * columns).map(at).collect()).unwrap()
    }

    #[test]
    fn the_nearest_centre_is_the_nearest_of_all() {
        let o = rings(40, 90);
        for i in 0..500 {
            let place = unit_vector(f64::from(i * 7 % 360) + 0.3, 90.0 - f64::from(i % 50));
            let all = (0..40).flat_map(|y| (0..90).map(move |x| (y, x)));
            let least = all.filter_map(|(y, x)| Some(angle(o.centre(y, x)?, place))).fold(9.0, f64::min);
            let (y, x, off) = o.nearest(place).unwrap();
            assert_eq!(off, least, "{:?}", place_of(place));
            assert_eq!(off, angle(o.centre(y, x).unwrap(), place));
        }
    }

    #[test]
    fn a_part_lies_within_its_cap() {
        let o = rings(40, 90);
        for (r, c) in [(0, 0), (10, 80), (30, 44)] {
            let cap = o.cap([2.0 * r as f64, 2.0 * r as f64 + 20.0], [2.0 * c as f64, 2.0 * c as f64 + 20.0]);
            let cap = cap.unwrap();
            for (y, x) in (r..(r + 10).min(40)).flat_map(|y| (c..(c + 10).min(90)).map(move |x| (y, x))) {
                assert!(o.centre(y, x).is_none_or(|p| cap.distance(p) == 0.0));
            }
        }
        assert!(o.whole().unwrap().radius < 100f64.to_radians());
    }

    #[test]
    fn no_places_are_no_overview() {
        assert!(Overview::new([1, 1], [1.0, 1.0], vec![[f32::NAN; 3]]).is_none());
        assert!(Overview::new([0, 0], [1.0, 1.0], Vec::new()).is_none());
        assert!(Overview::new([2, 2], [1.0, 1.0], vec![[1.0, 0.0, 0.0]]).is_none());
    }
}
