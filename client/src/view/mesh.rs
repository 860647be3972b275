//! Triangles of a page of a grid that is not on latitude and longitude.
//!
//! Vertices are cell corners, in one plane with the screen or on the unit sphere,
//! as offsets from the page's middle: float32 then holds them at any zoom.

use bytemuck::{Pod, Zeroable};
use graticule_shared::grid::sphere::{dot, minus, place_of, plus, times, unit};
use graticule_shared::raster::mercator_y;

/// Mercator runs to infinity; the map ends at 85 degrees.
const LAST_LATITUDE_DEG: f64 = 89.9;
const NONE: u32 = u32::MAX;

/// A cell corner.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct Vertex {
    /// From the origin: on a map in widths of the world, right and down; on the
    /// globe in radii of the Earth.
    pub at: [f32; 3],
    /// Row and column within the page.
    pub texel: [u16; 2],
}

/// Where a mesh's offsets start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Origin {
    /// In widths of the world from the map's upper left corner at 180 degrees west.
    Map([f64; 2]),
    /// On the unit sphere.
    Globe([f64; 3]),
}

impl Origin {
    pub fn new(globe: bool, middle: [f64; 3]) -> Self {
        if globe {
            return Self::Globe(middle);
        }
        let (longitude, latitude) = place_of(middle).unwrap_or_default();
        Self::Map([longitude / 360.0 + 0.5, mercator_y(latitude)])
    }

    /// A place relative to the origin; longitudes the short way.
    pub fn offset(&self, place: [f64; 3]) -> [f64; 3] {
        match self {
            Self::Globe(o) => minus(place, *o),
            Self::Map([x, y]) => {
                let (longitude, latitude) = place_of(place).unwrap_or_default();
                let latitude = latitude.clamp(-LAST_LATITUDE_DEG, LAST_LATITUDE_DEG);
                let right = longitude / 360.0 + 0.5 - x;
                [right - right.round(), unclamped_mercator_y(latitude) - y, 0.0]
            }
        }
    }
}

fn unclamped_mercator_y(latitude: f64) -> f64 {
    use std::f64::consts::{FRAC_PI_4, TAU};
    0.5 - (FRAC_PI_4 + latitude.to_radians() / 2.0).tan().ln() / TAU
}

#[derive(Debug)]
pub struct Mesh {
    pub origin: Origin,
    pub vertices: Vec<Vertex>,
    pub indices: Vec<u32>,
}

/// What a mesh is made of: a page's cells.
pub struct Cells<C, H> {
    /// Rows and columns.
    pub size: [u32; 2],
    /// Of these, the ones that the edge of the grid does not cut short: beyond, the corners lie
    /// closer together, and no quadrilateral spans both.
    pub whole: [u32; 2],
    /// The corner before row and column: a unit vector, or none.
    pub corner: C,
    /// Whether a cell has a place.
    pub has: H,
}

struct Build<'a, C, H> {
    cells: &'a Cells<C, H>,
    mesh: Mesh,
    /// Vertex of each corner, where it was used.
    known: Vec<u32>,
}

/// The mesh of a page with a corner every `step` cells; finer where a corner is
/// missing, so that exactly the cells with four corners are drawn.
pub fn mesh<C, H>(cells: &Cells<C, H>, step: u32, origin: Origin) -> Mesh
where
    C: Fn(u32, u32) -> Option<[f64; 3]>,
    H: Fn(u32, u32) -> bool,
{
    let [rows, columns] = cells.size;
    let corners = (rows as usize + 1) * (columns as usize + 1);
    let mesh = Mesh { origin, vertices: Vec::new(), indices: Vec::new() };
    let mut build = Build { cells, mesh, known: vec![NONE; corners] };
    let cuts = |d: usize| {
        let (size, whole) = (cells.size[d], cells.whole[d].min(cells.size[d]));
        let mut cuts: Vec<u32> = (0..whole).step_by(step.max(1) as usize).collect();
        cuts.extend(whole..=size);
        cuts
    };
    let columns = cuts(1);
    for r in cuts(0).windows(2) {
        for c in columns.windows(2) {
            build.part([r[0], c[0]], [r[1], c[1]]);
        }
    }
    build.mesh
}

impl<C, H> Build<'_, C, H>
where
    C: Fn(u32, u32) -> Option<[f64; 3]>,
    H: Fn(u32, u32) -> bool,
{
    /// One quadrilateral if it can be, else cell by cell.
    fn part(&mut self, from: [u32; 2], to: [u32; 2]) {
        let cells = || (from[0]..to[0]).flat_map(|r| (from[1]..to[1]).map(move |c| (r, c)));
        if cells().all(|(r, c)| (self.cells.has)(r, c)) && self.quad(from, to) {
            return;
        }
        if to[0] - from[0] > 1 || to[1] - from[1] > 1 {
            for (r, c) in cells().filter(|(r, c)| (self.cells.has)(*r, *c)) {
                self.quad([r, c], [r + 1, c + 1]);
            }
        }
    }

    /// False where it is none: a corner is missing, or a pole lies inside.
    fn quad(&mut self, from: [u32; 2], to: [u32; 2]) -> bool {
        let texels = [[from[0], from[1]], [from[0], to[1]], [to[0], to[1]], [to[0], from[1]]];
        let mut offsets = [[0.0; 3]; 4];
        for (offset, [r, c]) in offsets.iter_mut().zip(texels) {
            let Some(place) = (self.cells.corner)(r, c) else { return false };
            *offset = self.mesh.origin.offset(place);
        }
        let mut crosses = false;
        if matches!(self.mesh.origin, Origin::Map(_)) {
            let wrap = |d: f64| d - d.round();
            let around: f64 = (0..4).map(|i| wrap(offsets[(i + 1) % 4][0] - offsets[i][0])).sum();
            if around.abs() > 0.5 {
                return false;
            }
            crosses = offsets.iter().any(|o| (o[0] - offsets[0][0]).abs() > 0.5);
            if crosses {
                // All four on the first one's side; it has vertices of its own.
                for i in 1..4 {
                    offsets[i][0] = offsets[0][0] + wrap(offsets[i][0] - offsets[0][0]);
                }
            }
        }
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| self.vertex(texels[i], offsets[i], crosses));
        self.mesh.indices.extend([a, b, c, a, c, d]);
        true
    }

    fn vertex(&mut self, [r, c]: [u32; 2], offset: [f64; 3], alone: bool) -> u32 {
        let slot = r as usize * (self.cells.size[1] as usize + 1) + c as usize;
        if !alone && self.known[slot] != NONE {
            return self.known[slot];
        }
        let number = self.mesh.vertices.len() as u32;
        self.mesh.vertices.push(Vertex { at: offset.map(|v| v as f32), texel: [r as u16, c as u16] });
        if !alone {
            self.known[slot] = number;
        }
        number
    }
}

/// How far, in cells, the sides and the diagonal of a quadrilateral run from where
/// straight lines between its corners have them. `None` where a corner is missing.
pub fn bend(
    corner: impl Fn(f64, f64) -> Option<[f64; 3]>,
    [r, c]: [f64; 2],
    step: f64,
    globe: bool,
) -> Option<f64> {
    let origin = Origin::new(globe, unit(corner(r + step / 2.0, c + step / 2.0)?)?);
    let at = |dr: f64, dc: f64| Some(origin.offset(corner(r + dr * step, c + dc * step)?));
    let length = |a: [f64; 3]| dot(a, a).sqrt();
    let lines = [
        ([0.0, 0.0], [1.0, 1.0]),
        ([0.0, 0.0], [0.0, 1.0]),
        ([0.0, 0.0], [1.0, 0.0]),
        ([1.0, 0.0], [1.0, 1.0]),
        ([0.0, 1.0], [1.0, 1.0]),
    ];
    let (mut off, mut cell) = (0.0f64, 0.0);
    for (i, (from, to)) in lines.into_iter().enumerate() {
        let (a, b) = (at(from[0], from[1])?, at(to[0], to[1])?);
        let middle = at((from[0] + to[0]) / 2.0, (from[1] + to[1]) / 2.0)?;
        off = off.max(length(minus(times(plus(a, b), 0.5), middle)));
        if i == 0 {
            cell = length(minus(b, a)) / std::f64::consts::SQRT_2 / step;
        }
    }
    (cell > 0.0).then_some(off / cell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use graticule_shared::grid::sphere::unit_vector;

    fn cells(
        size: [u32; 2],
        at: impl Fn(u32, u32) -> (f64, f64),
    ) -> Cells<impl Fn(u32, u32) -> Option<[f64; 3]>, impl Fn(u32, u32) -> bool> {
        let corner = move |r, c| {
            let (lon, lat) = at(r, c);
            Some(unit_vector(lon, lat))
        };
        Cells { size, whole: size, corner, has: |_, _| true }
    }

    fn area(m: &Mesh) -> f64 {
        let at = |i: &u32| m.vertices[*i as usize].at.map(f64::from);
        m.indices
            .chunks(3)
            .map(|t| {
                let [a, b, c] = [at(&t[0]), at(&t[1]), at(&t[2])];
                (((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])) / 2.0).abs()
            })
            .sum()
    }

    #[test]
    fn across_the_antimeridian_no_triangle_runs_the_long_way() {
        // Forty degrees about the antimeridian, and the whole equator.
        for (first, width) in [(160.0, 40.0), (3.0, 360.0)] {
            let grid = cells([4, 40], |r, c| (first + f64::from(c) * width / 40.0, 2.0 - f64::from(r)));
            let m = mesh(&grid, 1, Origin::new(false, unit_vector(first + width / 2.0, 0.0)));
            assert_eq!(m.indices.len(), 4 * 40 * 6);
            let height = f64::from(m.vertices[m.indices[2] as usize].at[1]).abs();
            assert!((area(&m) - width / 360.0 * 4.0 / 360.0).abs() < 1e-4, "{} {height}", area(&m));
        }
    }

    #[test]
    fn larger_steps_have_fewer_corners_and_the_same_edges() {
        let grid = cells([100, 70], |r, c| (f64::from(c) * 0.1, 50.0 - f64::from(r) * 0.1));
        let middle = Origin::new(true, unit_vector(3.5, 45.0));
        let (fine, coarse) = (mesh(&grid, 1, middle), mesh(&grid, 16, middle));
        assert_eq!(fine.vertices.len(), 101 * 71);
        assert_eq!(coarse.vertices.len(), 8 * 6);
        assert!(coarse.vertices.iter().all(|v| fine.vertices.contains(v)));
        assert!(coarse.vertices.iter().any(|v| v.texel == [100, 70]));
    }

    #[test]
    fn cells_that_are_cut_short_are_drawn_by_themselves() {
        // The last column is half as wide.
        let at = |r: u32, c: u32| ((f64::from(c)).min(7.5), f64::from(r));
        let grid = Cells { whole: [8, 7], ..cells([8, 8], at) };
        let m = mesh(&grid, 4, Origin::new(false, unit_vector(4.0, 4.0)));
        let columns: std::collections::BTreeSet<u16> = m.vertices.iter().map(|v| v.texel[1]).collect();
        assert_eq!(columns.into_iter().collect::<Vec<_>>(), [0, 4, 7, 8]);
        assert_eq!(m.indices.len() / 6, 2 * 3);
    }

    #[test]
    fn cells_without_a_place_are_left_out_and_no_others() {
        let grid = cells([8, 8], |r, c| (f64::from(c), f64::from(r)));
        assert_eq!(mesh(&grid, 4, Origin::new(false, unit_vector(4.0, 4.0))).indices.len() / 6, 4);
        let holed = Cells { size: [8, 8], whole: [8, 8], corner: grid.corner, has: |r, c| (r, c) != (1, 2) };
        let m = mesh(&holed, 4, Origin::new(false, unit_vector(4.0, 4.0)));
        assert_eq!(m.indices.len() / 6, 3 + 15);
    }

    #[test]
    fn a_cell_about_the_pole_is_drawn_on_the_globe_only() {
        let at = |r: u32, c: u32| {
            let (x, y) = (f64::from(c) - 1.5, f64::from(r) - 1.5);
            (y.atan2(x).to_degrees(), 90.0 - x.hypot(y))
        };
        let grid = cells([3, 3], at);
        let pole = unit_vector(0.0, 90.0);
        assert_eq!(mesh(&grid, 1, Origin::new(true, pole)).indices.len() / 6, 9);
        assert_eq!(mesh(&grid, 1, Origin::new(false, pole)).indices.len() / 6, 8);
    }

    #[test]
    fn a_straight_grid_does_not_bend_and_a_turned_one_does() {
        let straight = |r: f64, c: f64| Some(unit_vector(c * 0.01, r * 0.01));
        let polar = |r: f64, c: f64| Some(unit_vector(c.atan2(r).to_degrees(), 90.0 - 0.1 * r.hypot(c)));
        assert!(bend(straight, [3.0, 3.0], 8.0, false).unwrap() < 0.01);
        assert!(bend(polar, [300.0, 300.0], 8.0, false).unwrap() < 0.1);
        assert!(bend(polar, [100.0, 100.0], 64.0, false).unwrap() > 0.3);
    }
}
