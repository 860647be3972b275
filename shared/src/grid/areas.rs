//! What the coordinates of a curvilinear grid give: which cells have a place, how
//! large they are, and where the cells of coarser levels lie.

use super::neighbours;
use super::sphere::{is_place, place_of, unit_vector};

/// Longitude and latitude in degrees of each cell, NaN where a cell has no place.
#[derive(Debug, Clone, PartialEq)]
pub struct Places {
    pub rows: usize,
    pub columns: usize,
    pub longitude: Vec<f64>,
    pub latitude: Vec<f64>,
    /// Cells whose coordinates are no place: fill values, NaN, latitudes beyond a pole.
    pub without: usize,
    /// Cells at the very place of two or more of their neighbours: models write
    /// one constant where they compute nothing, such as on land.
    pub repeated: usize,
    /// Cells far from every neighbour, such as a lone fill of (0, 0): no grid has them there.
    pub stray: usize,
    /// The squared chord beyond which neighbours in the array are none on the Earth.
    limit: f64,
    /// Of all cells, the chord that [`Places::reach`] gives.
    farthest_reach: f64,
}

impl Places {
    /// Takes the coordinates of `rows` by `columns` cells; `None` where their number differs.
    pub fn new(rows: usize, columns: usize, longitude: Vec<f64>, latitude: Vec<f64>) -> Option<Self> {
        let cells = rows.checked_mul(columns)?;
        if longitude.len() != cells || latitude.len() != cells {
            return None;
        }
        let (limit, farthest_reach) = (4.0, 0.0);
        let (without, repeated, stray) = (0, 0, 0);
        let mut made =
            Self { rows, columns, longitude, latitude, without, repeated, stray, limit, farthest_reach };
        let mut repeated = Vec::new();
        for r in 0..rows {
            for c in 0..columns {
                let i = r * columns + c;
                let (lon, lat) = (made.longitude[i], made.latitude[i]);
                if !is_place(lon, lat) {
                    made.without += 1;
                    repeated.push(i);
                    continue;
                }
                let same = |j: usize| made.longitude[j] == lon && made.latitude[j] == lat;
                let around = [
                    c > 0 && same(i - 1),
                    c + 1 < columns && same(i + 1),
                    r > 0 && same(i - columns),
                    r + 1 < rows && same(i + columns),
                ];
                if around.iter().filter(|s| **s).count() >= 2 {
                    made.repeated += 1;
                    repeated.push(i);
                }
            }
        }
        for i in repeated {
            (made.longitude[i], made.latitude[i]) = (f64::NAN, f64::NAN);
        }
        made.limit = neighbours::limit(rows, columns, |r, c| made.vector(r, c));
        let stray: Vec<usize> = (0..cells).filter(|i| made.is_stray(i / columns, i % columns)).collect();
        made.stray = stray.len();
        for i in stray {
            (made.longitude[i], made.latitude[i]) = (f64::NAN, f64::NAN);
        }
        let reaches = (0..cells).map(|i| made.reach(i / columns, i % columns));
        made.farthest_reach = reaches.fold(1e-9, f64::max);
        Some(made)
    }

    /// True where a cell has two neighbours or more, and all are too far to be beside it.
    fn is_stray(&self, row: usize, column: usize) -> bool {
        let Some(at) = self.vector(row, column) else { return false };
        let beside = |r: Option<usize>, c: Option<usize>| self.vector(r?, c?);
        let around = [
            beside(row.checked_sub(1), Some(column)),
            beside(Some(row + 1), Some(column)),
            beside(Some(row), column.checked_sub(1)),
            beside(Some(row), Some(column + 1)),
        ];
        let (mut there, mut far) = (0, 0);
        for other in around.into_iter().flatten() {
            there += 1;
            far += usize::from(neighbours::squared(at, other) > self.limit);
        }
        there >= 2 && far == there
    }

    /// Cells with a place.
    pub fn valid(&self) -> usize {
        self.longitude.len() - self.without - self.repeated - self.stray
    }

    pub fn get(&self, row: usize, column: usize) -> Option<(f64, f64)> {
        if row >= self.rows || column >= self.columns {
            return None;
        }
        let i = row * self.columns + column;
        let (lon, lat) = (*self.longitude.get(i)?, *self.latitude.get(i)?);
        lat.is_finite().then_some((lon, lat))
    }

    fn vector(&self, row: usize, column: usize) -> Option<[f64; 3]> {
        self.get(row, column).map(|(lon, lat)| unit_vector(lon, lat))
    }

    /// The step from the neighbour before to the one after, halved; one-sided at borders, and beside
    /// what is too far to be a neighbour.
    fn step(&self, at: [f64; 3], before: Option<[f64; 3]>, after: Option<[f64; 3]>) -> Option<[f64; 3]> {
        let near = |p: &[f64; 3]| neighbours::squared(at, *p) <= self.limit;
        let (before, after) = (before.filter(near), after.filter(near));
        let minus = |a: [f64; 3], b: [f64; 3]| [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
        match (before, after) {
            (Some(b), Some(a)) => Some(minus(a, b).map(|v| v / 2.0)),
            (Some(b), None) => Some(minus(at, b)),
            (None, Some(a)) => Some(minus(a, at)),
            (None, None) => None,
        }
    }

    /// The squared chord beyond which neighbours in the array are none on the Earth.
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// How far from its centre a cell reaches, as a chord: half its diagonal, and a fifth more for
    /// cells that lean.
    pub fn reach(&self, row: usize, column: usize) -> f64 {
        let squares = |v: [f64; 3]| v.iter().map(|c| c * c).sum::<f64>();
        let reach = |(along, across)| 0.6 * (squares(along) + squares(across)).sqrt();
        self.steps(row, column).map_or(0.0, reach).max(1e-9)
    }

    /// The reach of the cell that reaches farthest.
    pub fn farthest_reach(&self) -> f64 {
        self.farthest_reach
    }

    /// Steps along columns and along rows at a cell, as vectors on the unit sphere.
    pub fn steps(&self, row: usize, column: usize) -> Option<([f64; 3], [f64; 3])> {
        let at = self.vector(row, column)?;
        let beside = |r: Option<usize>, c: Option<usize>| self.vector(r?, c?);
        let along =
            self.step(at, beside(Some(row), column.checked_sub(1)), beside(Some(row), Some(column + 1)));
        let across =
            self.step(at, beside(row.checked_sub(1), Some(column)), beside(Some(row + 1), Some(column)));
        // A grid of one row is as high as it is wide.
        Some((along.or(across)?, across.or(along)?))
    }

    /// Area of each cell in steradians, 0 where it has no place: the parallelogram of its steps.
    pub fn areas(&self) -> Vec<f32> {
        let area = |r, c| {
            let ([a, b, d], [p, q, s]) = self.steps(r, c)?;
            let cross = [b * s - d * q, d * p - a * s, a * q - b * p];
            let size = cross.iter().map(|v| v * v).sum::<f64>().sqrt();
            // Lone rows have parallel steps.
            Some(if size > 0.0 { size } else { a * a + b * b + d * d })
        };
        let mut out = Vec::with_capacity(self.longitude.len());
        for r in 0..self.rows {
            for c in 0..self.columns {
                // A cell without neighbours has a place and no size: as good as any.
                let lone = if self.get(r, c).is_some() { 1e-12 } else { 0.0 };
                out.push(area(r, c).unwrap_or(lone).max(lone) as f32);
            }
        }
        out
    }

    /// Places at half the resolution: normalised means of the unit vectors of those cells
    /// that have a place, weighted alike. Sums are of the finest cells, so call it on those
    /// with `level` 1, 2, ...
    pub fn coarser(&self, level: u32) -> (usize, usize, Vec<f64>, Vec<f64>) {
        let (rows, columns) = (self.rows.div_ceil(1 << level), self.columns.div_ceil(1 << level));
        let mut sums = vec![[0.0; 3]; rows * columns];
        for r in 0..self.rows {
            for c in 0..self.columns {
                if let Some(v) = self.vector(r, c) {
                    let sum = &mut sums[(r >> level) * columns + (c >> level)];
                    for (s, v) in sum.iter_mut().zip(v) {
                        *s += v;
                    }
                }
            }
        }
        let places: Vec<(f64, f64)> =
            sums.into_iter().map(|s| place_of(s).unwrap_or((f64::NAN, f64::NAN))).collect();
        (rows, columns, places.iter().map(|p| p.0).collect(), places.iter().map(|p| p.1).collect())
    }
}
