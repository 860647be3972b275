//! The value at a place (OGC API EDR 1.1, query type "position").
//!
//! The answer must be the number that the map shows there, so it is found the
//! same way: [`Axis::cell`] names the cell, or a
//! [`graticule_shared::grid::Locator`] on other grids; the stored block is decoded, and
//! [`graticule_shared::cube::Packing::value`] turns the stored number into a
//! value. Nothing is interpolated.

mod covjson;
mod csv;
mod gather;
pub(crate) mod select;
mod wkt;

use std::sync::Arc;

use graticule_shared::axis::Axis;
use graticule_shared::cube::{Role, Variable};
use graticule_shared::grid::sphere::wrap_longitude;
use graticule_shared::grid::{Found, Horizontal};

use crate::opened::Opened;
use crate::problem::{Answer, Problem};

pub use covjson::coverage_json;
pub use csv::csv;
pub use wkt::parse_points;

/// More values than this are asked for in parts.
const MAX_VALUES: usize = 2_000_000;
const MAX_POINTS: usize = 1000;

/// What is asked, still in words.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Longitude and latitude in degrees.
    pub points: Vec<(f64, f64)>,
    pub datetime: Option<String>,
    pub z: Option<String>,
    pub parameters: Option<Vec<String>>,
    /// Further dimensions by name, each with the value asked for.
    pub dims: Vec<(String, String)>,
}

/// A dimension of the answer, with what was selected along it.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected {
    pub name: String,
    pub role: Role,
    /// Indices along the stored dimension.
    pub indices: Vec<u64>,
    pub labels: Labels,
    pub units: Option<String>,
    pub positive: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// ISO 8601 in the calendar of this name.
    Times {
        values: Vec<String>,
        calendar: &'static str,
    },
    Numbers(Vec<f64>),
}

/// One variable at one place.
#[derive(Debug)]
pub struct Series {
    pub variable: Variable,
    /// Slowest first; all but y and x.
    pub dims: Vec<Selected>,
    /// C order over `dims`; `None` for no data.
    pub values: Vec<Option<f64>>,
}

/// Everything at one place.
#[derive(Debug)]
pub struct Place {
    /// Centre of the cell, longitude within -180..180.
    pub longitude_deg: f64,
    pub latitude_deg: f64,
    pub series: Vec<Series>,
}

/// Answers a request.
///
/// # Errors
/// A place outside the grid, an unknown parameter, a time or level that the
/// collection does not have, too much at once: each with what would be right.
pub async fn answer(opened: &Arc<Opened>, request: &Request) -> Answer<Vec<Place>> {
    if request.points.len() > MAX_POINTS {
        return Err(Problem::parameter(
            "coords",
            &format!("{} points", request.points.len()),
            format!("at most {MAX_POINTS} in one request"),
        ));
    }
    let variables = chosen(opened, request.parameters.as_deref())?;
    check_dims(&variables, request)?;
    let mut plans = Vec::new();
    for variable in &variables {
        let mut dims = Vec::new();
        for dim in variable.leading() {
            dims.push(select::along(opened, dim, request).await?);
        }
        plans.push((*variable, dims));
    }
    let per_place: usize =
        plans.iter().map(|(_, dims)| dims.iter().map(|d| d.indices.len()).product::<usize>()).sum();
    if per_place.saturating_mul(request.points.len()) > MAX_VALUES {
        return Err(Problem::new(
            crate::problem::Kind::TooLarge,
            format!(
                "{} values at each of {} places, more than the {MAX_VALUES} of one answer: ask for a shorter datetime interval or fewer parameter-name",
                per_place,
                request.points.len()
            ),
        ));
    }
    let mut places = Vec::with_capacity(request.points.len());
    for &(longitude, latitude) in &request.points {
        // Variables on grids of their own (staggered ones) have cells of their own.
        let mut here: Vec<Place> = Vec::new();
        let mut beside = None;
        for (variable, dims) in &plans {
            let found = match cell(opened, variable, longitude, latitude).await? {
                Ok(found) => found,
                Err(why) => {
                    beside.get_or_insert(why);
                    continue;
                }
            };
            let values = gather::values(opened, variable, dims, &found.index).await?;
            let series = Series { variable: (*variable).clone(), dims: dims.clone(), values };
            let same = |p: &&mut Place| {
                p.longitude_deg == found.longitude_deg && p.latitude_deg == found.latitude_deg
            };
            match here.iter_mut().find(same) {
                Some(place) => place.series.push(series),
                None => here.push(Place {
                    longitude_deg: found.longitude_deg,
                    latitude_deg: found.latitude_deg,
                    series: vec![series],
                }),
            }
        }
        match (here.is_empty(), beside) {
            (true, Some(why)) => return Err(why),
            _ => places.extend(here),
        }
    }
    Ok(places)
}

/// Place of the cell and value of one variable at one index along each of its other dimensions;
/// `None` beside the grid.
///
/// # Errors
/// A block that does not read.
pub async fn at(
    opened: &Arc<Opened>,
    variable: &Variable,
    indices: &[u64],
    (longitude, latitude): (f64, f64),
) -> Answer<Option<((f64, f64), Option<f64>)>> {
    let Ok(found) = cell(opened, variable, longitude, latitude).await? else { return Ok(None) };
    let one = |(dim, index): (&graticule_shared::cube::Dim, &u64)| Selected {
        name: dim.name.clone(),
        role: dim.role,
        indices: vec![*index],
        labels: Labels::Numbers(Vec::new()),
        units: None,
        positive: None,
    };
    let dims: Vec<Selected> = variable.leading().iter().zip(indices).map(one).collect();
    let values = gather::values(opened, variable, &dims, &found.index).await?;
    Ok(Some(((found.longitude_deg, found.latitude_deg), values.into_iter().next().flatten())))
}

/// Variables that a position can be read from: those whose cells have a place.
pub fn readable(opened: &Opened) -> impl Iterator<Item = &Variable> {
    opened.cube.variables.iter().filter(|v| opened.is_placed(v))
}

fn chosen<'a>(opened: &'a Opened, names: Option<&[String]>) -> Answer<Vec<&'a Variable>> {
    let all: Vec<&Variable> = readable(opened).collect();
    if all.is_empty() {
        return Err(Problem::bad_request(
            "this collection has no variable whose cells have a latitude and a longitude, which a position is read from",
        ));
    }
    let Some(names) = names else { return Ok(all) };
    let known = || all.iter().map(|v| v.path.as_str()).collect::<Vec<_>>().join(", ");
    names
        .iter()
        .map(|n| {
            all.iter().find(|v| v.path == *n).copied().ok_or_else(|| {
                Problem::parameter("parameter-name", n, format!("expected some of {}", known()))
            })
        })
        .collect()
}

/// A selector that fits no variable would silently select nothing.
pub(crate) fn check_dims(variables: &[&Variable], request: &Request) -> Answer<()> {
    let leading = |v: &&Variable| v.leading().to_vec();
    let dims: Vec<_> = variables.iter().flat_map(leading).collect();
    for (name, value) in &request.dims {
        if !dims.iter().any(|d| d.name == *name) {
            let mut names: Vec<_> = dims.iter().map(|d| d.name.clone()).collect();
            names.sort();
            names.dedup();
            return Err(Problem::parameter(
                &format!("dim:{name}"),
                value,
                format!("no such dimension; there are {}", names.join(", ")),
            ));
        }
    }
    if let Some(z) = &request.z
        && !dims.iter().any(|d| d.role == Role::Z)
    {
        return Err(Problem::parameter("z", z, "this collection has no vertical dimension"));
    }
    if let Some(t) = &request.datetime
        && !dims.iter().any(|d| d.role == Role::T)
    {
        return Err(Problem::parameter("datetime", t, "this collection has no time dimension"));
    }
    Ok(())
}

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

/// The cell of a variable that a place lies in; what is wrong where there is none.
async fn cell(
    opened: &Arc<Opened>,
    variable: &Variable,
    longitude: f64,
    latitude: f64,
) -> Answer<Result<Found, Problem>> {
    let wrong = |why: String| Problem::parameter("coords", &format!("{longitude} {latitude}"), why);
    match variable.horizontal() {
        None => Err(Problem::internal("a variable without a grid")),
        Some(Horizontal::Separable { .. }) => {
            let (y, x) = axes(opened, variable).await?;
            let outside = |name: &str, value: f64, axis: &Axis| {
                let (a, b) = axis.edges();
                wrong(format!("{name} {value} is outside the grid, which spans {} to {}", a.min(b), a.max(b)))
            };
            let Some(row) = y.cell(latitude) else { return Ok(Err(outside("latitude", latitude, &y))) };
            let Some(column) = x.cell(longitude) else { return Ok(Err(outside("longitude", longitude, &x))) };
            Ok(Ok(Found {
                index: vec![row as u64, column as u64],
                longitude_deg: wrap_longitude(x.values().get(column).copied().unwrap_or(longitude)),
                latitude_deg: y.values().get(row).copied().unwrap_or(latitude),
            }))
        }
        Some(grid) => {
            let locator = opened.locator(grid).await.map_err(Problem::of)?;
            Ok(locator.locate(longitude, latitude).ok_or_else(|| {
                let spans = locator.extent().bbox().map_or_else(
                    || "none of its cells has a place".to_owned(),
                    |[w, s, e, n]| {
                        format!("its cells lie between {s} and {n} north and from {w} to {e} east")
                    },
                );
                wrong(format!("{longitude} {latitude} is outside the grid of {:?}: {spans}", variable.path))
            }))
        }
    }
}
