//! The cell of a curvilinear grid whose quadrilateral a place lies in: what a map shows there.
//!
//! A query answers with the nearest centre; where cells lean, that is not everywhere the cell
//! that is drawn. Pictures ask here, so that their edges are the browser's.

use std::cell::RefCell;

use super::areas::Places;
use super::corners::Corners;
use super::nearest::Nearest;
use super::sphere::{dot, minus, place_of, times, unit, unit_vector};

/// Corners remembered, a few rows of pixels' where cells are as small; a power of two.
const KEPT: usize = 1 << 13;
/// Cells around the one with the nearest centre that may have the place in them.
const RINGS: i64 = 2;
/// A cell whose nearest neighbour's centre is so many times farther than half its diagonal is not there.
const FAR: f64 = 2.0;

/// Where the edges of a quadrilateral are straight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edges {
    /// Web Mercator.
    Mercator,
    /// On the globe.
    GreatCircles,
}

/// Finds cells of many places, of which each lies near the one before.
pub struct Quads<'a> {
    places: &'a Places,
    nearest: &'a Nearest,
    edges: Edges,
    corners: Kept<Place>,
    centres: RefCell<Kept<[f64; 3]>>,
    last: Option<[i64; 2]>,
    /// The centre that was nearest before.
    guess: Option<(u32, [f64; 3])>,
}

/// What was found by row and column, each in the one slot that it may have.
struct Kept<T>(Vec<([i64; 2], Option<T>)>);

impl<T: Copy> Kept<T> {
    fn new() -> Self {
        Self(vec![([i64::MIN; 2], None); KEPT])
    }

    fn slot([r, c]: [i64; 2]) -> usize {
        r.wrapping_mul(127).wrapping_add(c) as usize % KEPT
    }

    /// `None` where it is not known whether there is one.
    fn get(&self, key: [i64; 2]) -> Option<Option<T>> {
        self.0.get(Self::slot(key)).filter(|(known, _)| *known == key).map(|(_, found)| *found)
    }

    fn put(&mut self, key: [i64; 2], found: Option<T>) {
        if let Some(kept) = self.0.get_mut(Self::slot(key)) {
            *kept = (key, found);
        }
    }
}

/// Where a corner is: longitude and height in widths of the world, or a unit vector.
#[derive(Debug, Clone, Copy)]
enum Place {
    Mercator([f64; 2]),
    Vector([f64; 3]),
}

impl<'a> Quads<'a> {
    pub(super) fn new(places: &'a Places, nearest: &'a Nearest, edges: Edges) -> Self {
        Self {
            places,
            nearest,
            edges,
            corners: Kept::new(),
            centres: RefCell::new(Kept::new()),
            last: None,
            guess: None,
        }
    }

    /// Row and column; `None` beside all cells.
    pub fn cell(&mut self, longitude: f64, latitude: f64) -> Option<[u64; 2]> {
        if !longitude.is_finite() || latitude.is_nan() || latitude.abs() > 90.0 {
            return None;
        }
        let at = Here::new(longitude, latitude, self.edges);
        let last = self.last;
        let again = last.filter(|cell| self.holds(*cell, &at));
        let found = again.or_else(|| self.search(&at))?;
        self.last = Some(found);
        Some(found.map(i64::unsigned_abs))
    }

    fn search(&mut self, at: &Here) -> Option<[i64; 2]> {
        let columns = self.places.columns.max(1);
        let most = FAR * self.places.farthest_reach();
        let found = self.nearest.one_within(at.vector, self.guess, most)?;
        let (r, c) = (found.id as usize / columns, found.id as usize % columns);
        self.guess = centre(self.places, r as i64, c as i64).map(|v| (found.id, v));
        if found.chord > FAR * self.places.reach(r, c) {
            return None;
        }
        let (r, c) = (r as i64, c as i64);
        let around = |ring: i64| {
            let side = move |d: i64| d.abs() == ring;
            (-ring..=ring).flat_map(move |y| {
                (-ring..=ring).filter(move |x| side(y) || side(*x)).map(move |x| [r + y, c + x])
            })
        };
        (0..=RINGS).flat_map(around).find(|cell| self.holds(*cell, at))
    }

    /// True where the place lies in either half of the quadrilateral, as it is drawn.
    fn holds(&mut self, [r, c]: [i64; 2], at: &Here) -> bool {
        if !is_there(self.places, r, c) {
            return false;
        }
        let mut corners = [[0.0; 2]; 4];
        for (corner, key) in corners.iter_mut().zip([[r, c], [r, c + 1], [r + 1, c + 1], [r + 1, c]]) {
            let Some(place) = self.corner(key).and_then(|p| at.offset(p)) else { return false };
            *corner = place;
        }
        let [a, b, c, d] = corners;
        if self.edges == Edges::Mercator {
            // About a pole, or at the place's antipodes.
            let wide = |p: [f64; 2], q: [f64; 2]| (p[0] - q[0]).abs() > 0.5;
            if wide(a, b) || wide(b, c) || wide(c, d) || wide(d, a) {
                return false;
            }
        }
        about_origin([a, b, c]) || about_origin([a, c, d])
    }

    fn corner(&mut self, key: [i64; 2]) -> Option<Place> {
        if let Some(known) = self.corners.get(key) {
            return known;
        }
        let near = |r: i64, c: i64| {
            let known = self.centres.borrow().get([r, c]);
            known.unwrap_or_else(|| {
                let found = centre(self.places, r, c);
                self.centres.borrow_mut().put([r, c], found);
                found
            })
        };
        let corners = Corners { centre: near, limit: self.places.limit() };
        let made = corners.corner(key[0], key[1]).and_then(|v| match self.edges {
            Edges::GreatCircles => Some(Place::Vector(v)),
            Edges::Mercator => {
                let (longitude, latitude) = place_of(v)?;
                Some(Place::Mercator([longitude / 360.0, mercator(latitude)]))
            }
        });
        self.corners.put(key, made);
        made
    }
}

fn is_there(places: &Places, r: i64, c: i64) -> bool {
    let index = |n: i64| usize::try_from(n).ok();
    index(r).zip(index(c)).is_some_and(|(r, c)| places.get(r, c).is_some())
}

fn centre(places: &Places, r: i64, c: i64) -> Option<[f64; 3]> {
    let (lon, lat) = places.get(usize::try_from(r).ok()?, usize::try_from(c).ok()?)?;
    Some(unit_vector(lon, lat))
}

/// A place, from which others are measured.
struct Here {
    vector: [f64; 3],
    /// Right and up: widths of the world, or axes of the plane that touches the Earth there.
    frame: Frame,
}

enum Frame {
    Mercator([f64; 2]),
    Sphere([[f64; 3]; 2]),
}

impl Here {
    fn new(longitude: f64, latitude: f64, edges: Edges) -> Self {
        let vector = unit_vector(longitude, latitude);
        let frame = match edges {
            Edges::Mercator => Frame::Mercator([longitude / 360.0, mercator(latitude)]),
            Edges::GreatCircles => {
                let (sin, cos) = longitude.to_radians().sin_cos();
                let east = [-sin, cos, 0.0];
                let [x, y, z] = vector;
                // Beside the poles too, where "north" is away from the Greenwich meridian.
                let north = [-z * cos, -z * sin, x * cos + y * sin];
                Frame::Sphere([east, unit(north).unwrap_or([-cos, -sin, 0.0])])
            }
        };
        Self { vector, frame }
    }

    /// `None` where the plane does not have it.
    fn offset(&self, corner: Place) -> Option<[f64; 2]> {
        match (&self.frame, corner) {
            (Frame::Mercator([x, y]), Place::Mercator([u, v])) => {
                let right = u - x;
                Some([right - right.round(), v - y])
            }
            (Frame::Sphere([east, north]), Place::Vector(corner)) => {
                let near = dot(self.vector, corner);
                let from = minus(corner, times(self.vector, near));
                (near > 0.1).then(|| [dot(*east, from) / near, dot(*north, from) / near])
            }
            _ => None,
        }
    }
}

/// Up, in widths of the world; not quite to the poles, which are infinitely far.
fn mercator(latitude: f64) -> f64 {
    latitude.clamp(-89.9, 89.9).to_radians().tan().asinh() / std::f64::consts::TAU
}

/// True where (0, 0) lies in a triangle or on its edge.
fn about_origin([a, b, c]: [[f64; 2]; 3]) -> bool {
    let cross = |p: [f64; 2], q: [f64; 2]| p[0] * q[1] - p[1] * q[0];
    let sides = [cross(a, b), cross(b, c), cross(c, a)];
    (sides.iter().all(|s| *s >= 0.0) || sides.iter().all(|s| *s <= 0.0)) && sides.iter().any(|s| *s != 0.0)
}

#[cfg(test)]
mod tests {
    use crate::grid::areas::Places;
    use crate::grid::locate::Locator;

    use super::*;

    fn grid(rows: usize, columns: usize, at: impl Fn(f64, f64) -> (f64, f64)) -> Locator {
        let places: Vec<(f64, f64)> =
            (0..rows * columns).map(|i| at((i / columns) as f64, (i % columns) as f64)).collect();
        let (lon, lat) = places.into_iter().unzip();
        Locator::curvilinear(Places::new(rows, columns, lon, lat).unwrap())
    }

    fn found(grid: &Locator, edges: Edges, lon: f64, lat: f64) -> Option<[u64; 2]> {
        grid.drawn(edges).cell(lon, lat)
    }

    #[test]
    fn cells_that_lean_are_parallelograms_and_not_what_is_nearest() {
        // Each row lies 0.8 of a cell further east.
        let lean = grid(9, 9, |r, c| (c + 0.8 * r, r));
        for edges in [Edges::Mercator, Edges::GreatCircles] {
            // In the middle of the upper edge of cell (4, 4), a little below: 0.4 of a cell east.
            assert_eq!(found(&lean, edges, 7.2 + 0.38, 4.45), Some([4, 4]));
            assert_eq!(lean.locate(7.2 + 0.38, 4.45).unwrap().index, [4, 4]);
            // Near its upper right corner the centre of the next row is nearer.
            assert_eq!(found(&lean, edges, 7.2 + 0.8, 4.44), Some([4, 4]));
            assert_ne!(lean.locate(7.2 + 0.8, 4.44).unwrap().index, [4, 4]);
        }
    }

    #[test]
    fn the_grid_ends_half_a_cell_beside_its_last_centres() {
        let square = grid(5, 6, |r, c| (177.0 + c, 60.0 + r));
        for edges in [Edges::Mercator, Edges::GreatCircles] {
            assert_eq!(found(&square, edges, 176.52, 59.52), Some([0, 0]));
            assert_eq!(found(&square, edges, 176.48, 60.0), None);
            // Across the antimeridian.
            assert_eq!(found(&square, edges, -179.1, 62.1), Some([2, 4]));
            assert_eq!(found(&square, edges, 181.9, 62.1), Some([2, 5]));
            assert_eq!(found(&square, edges, -177.4, 62.1), None);
        }
    }

    #[test]
    fn a_cell_about_the_pole_is_on_the_sphere_only() {
        let polar = grid(3, 3, |r, c| {
            let (x, y) = (c - 1.0, r - 1.0);
            (f64::atan2(y, x).to_degrees(), 90.0 - x.hypot(y))
        });
        assert_eq!(found(&polar, Edges::GreatCircles, 40.0, 89.9), Some([1, 1]));
        assert_eq!(found(&polar, Edges::GreatCircles, 0.0, 90.0), Some([1, 1]));
        assert_eq!(found(&polar, Edges::Mercator, 40.0, 89.8), None);
        assert_eq!(found(&polar, Edges::GreatCircles, 2.0, 89.1), Some([1, 2]));
    }

    #[test]
    fn many_places_in_turn_are_found_as_one_by_one() {
        let bent = grid(40, 50, |r, c| (c * 0.3 + 0.004 * r * r, 40.0 + 0.2 * r + 0.002 * c * c));
        let mut turn = bent.drawn(Edges::Mercator);
        let mut there = 0;
        for i in 0..4000 {
            let (lon, lat) = (f64::from(i % 80) * 0.27 - 1.0, 39.5 + f64::from(i / 80) * 0.27);
            let one = found(&bent, Edges::Mercator, lon, lat);
            there += u32::from(one.is_some());
            assert_eq!(turn.cell(lon, lat), one, "{lon} {lat}");
        }
        assert!((1000..2000).contains(&there), "{there}");
    }
}
