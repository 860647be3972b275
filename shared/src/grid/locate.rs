//! Which cell a place lies in.

use super::Projected;
use super::areas::Places;
use super::extent::Extent;
use super::healpix::Healpix;
use super::nearest::Nearest;
use super::projection::{Plane, Projection};
use super::quads::{Edges, Quads};
use super::sphere::{chord, chord_angle_deg, unit_vector, wrap_longitude};
use crate::axis::{Axis, AxisError};

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Row and column, or the cell alone: indices along the grid's dimensions.
    pub index: Vec<u64>,
    /// The cell's own place; longitude within -180 <= x < 180.
    pub longitude_deg: f64,
    pub latitude_deg: f64,
}

impl Found {
    fn new(index: Vec<u64>, (longitude, latitude): (f64, f64)) -> Self {
        Self { index, longitude_deg: wrap_longitude(longitude), latitude_deg: latitude }
    }
}

/// Axes of a projected grid, in the projection's own units.
#[derive(Debug)]
pub struct ProjectedGrid {
    y: Axis,
    x: Axis,
    projection: Projection,
}

impl ProjectedGrid {
    /// From stored coordinates.
    ///
    /// # Errors
    /// Coordinates that are no axis.
    pub fn new(grid: &Projected, y: &[f64], x: &[f64]) -> Result<Self, AxisError> {
        let scaled = |v: &[f64]| v.iter().map(|c| c * grid.unit).collect::<Vec<f64>>();
        let rotated = grid.projection.plane() == Plane::RotatedDegrees;
        let x = if rotated { Axis::longitude(scaled(x))? } else { Axis::new(scaled(x))? };
        Ok(Self { y: Axis::new(scaled(y))?, x, projection: grid.projection.clone() })
    }

    /// Row and column of the cell that a place lies in.
    pub fn cell(&self, longitude: f64, latitude: f64) -> Option<(usize, usize)> {
        let (x, y) = self.projection.forward(longitude, latitude)?;
        let row = self.y.cell(y)?;
        // A grid may lie across the seam of a cylinder.
        let turns = self.projection.period().map_or([0.0; 3], |p| [0.0, p, -p]);
        turns.iter().find_map(|turn| self.x.cell(x + turn)).map(|column| (row, column))
    }

    /// Longitude and latitude of a cell's centre; `None` beside the Earth.
    pub fn place(&self, row: usize, column: usize) -> Option<(f64, f64)> {
        self.projection.inverse(*self.x.values().get(column)?, *self.y.values().get(row)?)
    }

    /// Axes in the projection's units, and the projection: what a mesh is made of.
    pub fn parts(&self) -> (&Axis, &Axis, &Projection) {
        (&self.y, &self.x, &self.projection)
    }

    /// The box of the cells' outer edges.
    pub fn extent(&self) -> Extent {
        let mut extent = Extent::default();
        let along = |axis: &Axis| -> Vec<f64> {
            let n = axis.len().clamp(1, 256);
            (0..=n).map(|i| axis.edge(i * axis.len() / n)).collect()
        };
        let (rows, columns) = (along(&self.y), along(&self.x));
        for y in &rows {
            for x in &columns {
                if let Some((lon, lat)) = self.projection.inverse(*x, *y) {
                    extent.add(lon, lat);
                }
            }
        }
        for pole in [90.0, -90.0] {
            if self.cell(0.0, pole).is_some() {
                extent.add_pole(pole);
            }
        }
        extent
    }
}

/// Finds cells of a grid that is not separable.
#[derive(Debug)]
pub enum Locator {
    Projected(ProjectedGrid),
    Curvilinear { places: Places, nearest: Nearest },
    Cells { longitude: Vec<f64>, latitude: Vec<f64>, nearest: Nearest },
    Healpix(Healpix),
}

impl Locator {
    pub fn curvilinear(places: Places) -> Self {
        let pairs = places.longitude.iter().copied().zip(places.latitude.iter().copied());
        let nearest = Nearest::new(pairs);
        Self::Curvilinear { places, nearest }
    }

    /// Longitudes and latitudes in degrees, one of each a cell.
    pub fn cells(longitude: Vec<f64>, latitude: Vec<f64>) -> Self {
        let nearest = Nearest::new(longitude.iter().copied().zip(latitude.iter().copied()));
        Self::Cells { longitude, latitude, nearest }
    }

    /// Cells whose places it holds: what it takes of memory, 32 bytes each.
    pub fn held(&self) -> u64 {
        match self {
            Self::Projected(_) | Self::Healpix(_) => 0,
            Self::Curvilinear { places, .. } => places.longitude.len() as u64,
            Self::Cells { longitude, .. } => longitude.len() as u64,
        }
    }

    /// The cell that a place lies in: by the projection, or the nearest centre unless
    /// that is further than the cells there are wide. `None` beside the grid.
    pub fn locate(&self, longitude: f64, latitude: f64) -> Option<Found> {
        let mut finder = Finder::new(self);
        let [row, column] = finder.cell(longitude, latitude)?;
        let index = match self {
            Self::Projected(_) | Self::Curvilinear { .. } => vec![row, column],
            Self::Cells { .. } | Self::Healpix(_) => vec![column],
        };
        Some(Found::new(index, finder.last?.place))
    }

    /// Finds the cells that a map shows: of curvilinear grids the quadrilateral that a place lies
    /// in, of all others what [`Locator::locate`] finds.
    pub fn drawn(&self, edges: Edges) -> Drawn<'_> {
        match self {
            Self::Curvilinear { places, nearest } => Drawn::Quads(Quads::new(places, nearest, edges)),
            _ => Drawn::Located(Finder::new(self)),
        }
    }

    /// Centre of a cell; of a list its row is 0.
    fn place(&self, [row, column]: [u64; 2]) -> Option<(f64, f64)> {
        match self {
            Self::Projected(grid) => grid.place(row as usize, column as usize),
            Self::Healpix(grid) => grid.place(column),
            Self::Curvilinear { places, .. } => places.get(row as usize, column as usize),
            Self::Cells { longitude, latitude, .. } => {
                Some((*longitude.get(column as usize)?, *latitude.get(column as usize)?))
            }
        }
    }

    /// How far from a cell's centre, as a chord, a place may lie that is taken for it.
    fn reach(&self, [row, column]: [u64; 2], place: (f64, f64)) -> f64 {
        match self {
            Self::Projected(_) | Self::Healpix(_) => f64::INFINITY,
            Self::Curvilinear { places, .. } => places.reach(row as usize, column as usize),
            Self::Cells { nearest, .. } => spacing(nearest, place).max(1e-9),
        }
    }

    /// How wide the cell at row and column is, in radians; `None` beside the Earth. Of cells in
    /// a list nothing is said.
    pub fn width(&self, row: usize, column: usize) -> Option<f64> {
        match self {
            Self::Projected(grid) => {
                let corner = |r: usize, c: usize| {
                    let (lon, lat) = grid.projection.inverse(grid.x.edge(c), grid.y.edge(r))?;
                    Some(unit_vector(lon, lat))
                };
                let diagonal = chord(corner(row, column)?, corner(row + 1, column + 1)?);
                Some(chord_angle_deg(diagonal).to_radians() / std::f64::consts::SQRT_2)
            }
            Self::Curvilinear { places, .. } => {
                let (along, across) = places.steps(row, column)?;
                let squares = along.iter().chain(&across).map(|c| c * c).sum::<f64>();
                Some((squares / 2.0).sqrt())
            }
            Self::Cells { .. } | Self::Healpix(_) => None,
        }
    }

    /// The box of the cells that have a place.
    pub fn extent(&self) -> Extent {
        let mut extent = Extent::default();
        match self {
            Self::Projected(grid) => return grid.extent(),
            Self::Healpix(_) => {
                extent.add_pole(90.0);
                extent.add_pole(-90.0);
            }
            Self::Curvilinear { places, .. } => {
                places.longitude.iter().zip(&places.latitude).for_each(|(x, y)| extent.add(*x, *y));
            }
            Self::Cells { longitude, latitude, .. } => {
                longitude.iter().zip(latitude).for_each(|(x, y)| extent.add(*x, *y));
            }
        }
        extent
    }
}

/// Finds the cells of many places, of which each lies near the one before: what is known of that
/// one's cell is not looked for again.
pub struct Finder<'a> {
    locator: &'a Locator,
    last: Option<Last>,
}

#[derive(Clone, Copy)]
struct Last {
    cell: [u64; 2],
    place: (f64, f64),
    vector: [f64; 3],
    reach: f64,
}

impl<'a> Finder<'a> {
    pub fn new(locator: &'a Locator) -> Self {
        Self { locator, last: None }
    }

    /// Row and column of the cell that a place lies in, of a list of cells 0 and its number;
    /// exactly as [`Locator::locate`].
    pub fn cell(&mut self, longitude: f64, latitude: f64) -> Option<[u64; 2]> {
        if !longitude.is_finite() || latitude.is_nan() || latitude.abs() > 90.0 {
            return None;
        }
        let near = |nearest: &Nearest, columns: usize, most: f64| {
            let guess =
                self.last.map(|l| ((l.cell[0] as usize * columns) as u32 + l.cell[1] as u32, l.vector));
            let found = nearest.one_within(unit_vector(longitude, latitude), guess, most)?;
            Some((u64::from(found.id), found.chord))
        };
        let (cell, chord) = match self.locator {
            Locator::Projected(grid) => {
                let (row, column) = grid.cell(longitude, latitude)?;
                ([row as u64, column as u64], 0.0)
            }
            Locator::Healpix(grid) => ([0, grid.cell(longitude, latitude)?], 0.0),
            Locator::Curvilinear { places, nearest } => {
                let columns = places.columns.max(1);
                let (id, chord) = near(nearest, columns, places.farthest_reach())?;
                ([id / columns as u64, id % columns as u64], chord)
            }
            Locator::Cells { nearest, .. } => {
                let (id, chord) = near(nearest, 0, f64::INFINITY)?;
                ([0, id], chord)
            }
        };
        let last = match self.last {
            Some(last) if last.cell == cell => last,
            _ => {
                let place = self.locator.place(cell)?;
                let reach = self.locator.reach(cell, place);
                Last { cell, place, vector: unit_vector(place.0, place.1), reach }
            }
        };
        self.last = Some(last);
        (chord <= last.reach).then_some(cell)
    }
}

/// Finds the cells that a map shows, of places of which each lies near the one before.
pub enum Drawn<'a> {
    Located(Finder<'a>),
    Quads(Quads<'a>),
}

impl Drawn<'_> {
    /// Row and column, of a list of cells 0 and its number; `None` beside the grid.
    pub fn cell(&mut self, longitude: f64, latitude: f64) -> Option<[u64; 2]> {
        match self {
            Self::Located(finder) => finder.cell(longitude, latitude),
            Self::Quads(quads) => quads.cell(longitude, latitude),
        }
    }
}

/// How far apart cells lie around one of them: the chord to the fourth nearest other.
pub fn spacing(nearest: &Nearest, (longitude, latitude): (f64, f64)) -> f64 {
    let own = unit_vector(longitude, latitude);
    let around = nearest.several::<5>(own);
    // Fewer than five cells in all: as far as there is one.
    around.iter().rev().map(|n| n.chord).find(|c| c.is_finite()).unwrap_or_else(|| chord(own, own))
}
