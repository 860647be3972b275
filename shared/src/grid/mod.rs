//! Where the cells of a variable lie on the Earth, whatever its grid.
//!
//! Four kinds, found from CF metadata alone. What differs between them is how a
//! cell's place is said; which cell a place falls in is asked of a [`Locator`],
//! the same for the server's position query and for the browser's readout.

pub mod areas;
pub mod around;
pub mod corners;
pub mod extent;
pub mod healpix;
pub mod locate;
pub mod nearest;
pub mod neighbours;
pub mod projection;
pub mod quads;
mod recognise;
pub mod sphere;
#[cfg(test)]
mod tests;

use healpix::Healpix;
use projection::Projection;

pub use locate::{Drawn, Finder, Found, Locator};
pub use quads::Edges;
pub use recognise::{angle, horizontal, is_angle};

/// The grid of a variable: its last two dimensions, of [`Horizontal::Cells`] the last one.
#[derive(Debug, Clone, PartialEq)]
pub enum Horizontal {
    /// One-dimensional latitudes and longitudes.
    Separable { latitude: String, longitude: String },
    /// One-dimensional coordinates of a map projection.
    Projected(Projected),
    /// A latitude and a longitude for each row and column.
    Curvilinear { latitude: Angles, longitude: Angles },
    /// One dimension of cells.
    Cells(Cells),
}

impl Horizontal {
    /// How many of a variable's last dimensions it takes.
    pub fn rank(&self) -> usize {
        if matches!(self, Self::Cells(_)) { 1 } else { 2 }
    }
}

/// One-dimensional y and x, and the projection whose coordinates they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Projected {
    /// Paths of the coordinate variables.
    pub y: String,
    pub x: String,
    /// Path of the grid mapping variable.
    pub mapping: String,
    pub projection: Projection,
    /// What a stored coordinate is multiplied by to be in the units of
    /// [`Projection::plane`]: 1000 for kilometres.
    pub unit: f64,
}

/// A variable of latitudes or longitudes.
#[derive(Debug, Clone, PartialEq)]
pub struct Angles {
    pub path: String,
    /// In radians instead of degrees.
    pub radians: bool,
}

impl Angles {
    /// A value in degrees.
    pub fn degrees(&self, value: f64) -> f64 {
        if self.radians { value.to_degrees() } else { value }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Cells {
    /// A latitude and a longitude for each cell.
    Listed { latitude: Angles, longitude: Angles },
    /// Computed from the index.
    Healpix(Healpix),
}
