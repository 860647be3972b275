//! Values out of a cube by OGC API EDR 1.1: at places, in regions, along paths.
//!
//! The answer must be the number that the map shows there, so it is found the
//! same way: [`Axis::cell`] names the cell, or a
//! [`graticule_shared::grid::Locator`] on other grids; the stored block is decoded, and
//! [`graticule_shared::cube::Packing::value`] turns the stored number into a
//! value. Nothing is interpolated unless that is asked for.
//!
//! A [`Request`] becomes a [`Plan`], of which the cost is known; a plan becomes
//! [`Coverage`]s; those are written by [`formats`].

mod cost;
mod coverage;
pub mod formats;
pub mod gather;
mod inside;
mod path;
pub mod places;
mod plan;
pub mod region;
pub mod scalars;
mod select;
pub mod shape;
mod split;
pub mod statistics;

use std::sync::Arc;

use graticule_shared::axis::Axis;
use graticule_shared::cube::Variable;

use crate::opened::Opened;
use crate::problem::{Answer, Problem};

pub use cost::{Cost, MAX_VALUES};
pub use coverage::{Coverage, Domain, Field, Labels, Selected};
pub use places::{Cell, listed_cells};
pub use plan::{Plan, at, check_dims, readable};
pub use region::Region;
pub use select::{along, clock};
use shape::Vertex;
pub use split::Most;

/// What is asked, still in words where the collection decides what they mean.
#[derive(Debug, Clone)]
pub struct Request {
    pub query: Query,
    pub choice: Choice,
    pub parameters: Option<Vec<String>>,
    pub method: Method,
}

/// What is chosen along the dimensions that are none of the grid's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    pub datetime: Option<String>,
    pub z: Option<String>,
    /// Further dimensions by name, each with the value asked for.
    pub dims: Vec<(String, String)>,
}

impl Request {
    /// Everything that there is of what a query covers.
    pub fn new(query: Query) -> Self {
        Self { query, choice: Choice::default(), parameters: None, method: Method::Nearest }
    }
}

#[derive(Debug, Clone)]
pub enum Query {
    /// Longitudes and latitudes in degrees.
    Points(Vec<(f64, f64)>),
    Region(Region),
    Path(Vec<Vec<Vertex>>),
}

/// How the value at a point is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// That of the cell which the point lies in.
    #[default]
    Nearest,
    /// Between the centres of four cells; no data where one of them that counts has none.
    Bilinear,
}

/// Where a CF standard name is explained; `None` of what is none by its form.
pub fn property(standard_name: &str) -> Option<String> {
    let is_name = |n: &str| {
        n.starts_with(|c: char| c.is_ascii_lowercase())
            && n.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    is_name(standard_name).then(|| format!("http://vocab.nerc.ac.uk/standard_name/{standard_name}/"))
}

/// Latitudes and longitudes of a separable grid.
///
/// # Errors
/// Coordinates that do not read, or are no axes.
pub async fn axes(opened: &Arc<Opened>, variable: &Variable) -> Answer<(Axis, Axis)> {
    let [.., y, x] = variable.dims.as_slice() else {
        return Err(Problem::internal("a variable without y and x"));
    };
    let values = |path: Option<String>| async move {
        opened.axis_values(&path.unwrap_or_default()).await.map_err(Problem::of)
    };
    let lat = values(y.coordinate.clone()).await?;
    let lon = values(x.coordinate.clone()).await?;
    Ok((
        Axis::new(lat.to_vec()).map_err(Problem::internal)?,
        Axis::longitude(lon.to_vec()).map_err(Problem::internal)?,
    ))
}
