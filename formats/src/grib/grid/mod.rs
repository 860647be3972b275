//! Grids in the terms of CF: axes, or positions of cells, and a grid mapping.

mod axis;
mod edition1;
mod edition2;
mod gaussian;
mod projection;
mod reduced;

pub(crate) use edition1::read as read1;
pub(crate) use edition2::read as read2;

use super::octets::{Fault, Result};
use crate::AttrValue;
use axis::{latitudes, longitudes};
use projection::{Earth, Projection};
use reduced::Rows;

/// Order of the values (Flag Table 3.4, GRIB1 Code Table 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Scan {
    pub(crate) i_negative: bool,
    pub(crate) j_positive: bool,
    /// Columns one after another instead of rows.
    pub(crate) columns_first: bool,
    /// Every second row runs the other way.
    pub(crate) alternating: bool,
}

impl Scan {
    pub(crate) fn of_flags(flags: u8) -> Result<Self> {
        // Rows or columns that are shifted by half a step against the others.
        if flags & 0x0f != 0 {
            return Err(Fault::new(format!("scanning mode {flags:#010b}: staggered grids are not read")));
        }
        Ok(Self {
            i_negative: flags & 0x80 != 0,
            j_positive: flags & 0x40 != 0,
            columns_first: flags & 0x20 != 0,
            alternating: flags & 0x10 != 0,
        })
    }

    /// True where the values lie in the file as they are delivered: rows of equal direction.
    pub(crate) fn is_plain(&self) -> bool {
        !self.columns_first && !self.alternating
    }
}

/// Where a coordinate's values come from.
#[derive(Debug, Clone)]
pub(crate) enum Positions {
    Values(Vec<f64>),
    /// Latitude of each cell of a reduced grid.
    RowLatitude(std::sync::Arc<Rows>),
    RowLongitude(std::sync::Arc<Rows>),
}

impl Positions {
    pub(crate) fn range(&self, from: usize, count: usize) -> Vec<f64> {
        match self {
            Positions::Values(v) => v.get(from..from.saturating_add(count)).unwrap_or_default().to_vec(),
            Positions::RowLatitude(rows) => rows.latitudes(from, count),
            Positions::RowLongitude(rows) => rows.longitudes(from, count),
        }
    }
}

pub(crate) type Attributes = Vec<(&'static str, AttrValue)>;

/// A coordinate of the grid: an axis named after its dimension, or one along `cell`.
#[derive(Debug, Clone)]
pub(crate) struct Coordinate {
    pub(crate) name: &'static str,
    pub(crate) dim: usize,
    pub(crate) positions: Positions,
    pub(crate) attributes: Attributes,
}

/// A grid as a file declares it.
#[derive(Debug, Clone)]
pub(crate) struct Grid {
    /// As ecCodes names it, such as `regular_ll`.
    pub(crate) type_name: &'static str,
    /// Names and lengths, slowest first; one or two.
    pub(crate) dims: Vec<(&'static str, u64)>,
    pub(crate) scan: Scan,
    pub(crate) coordinates: Vec<Coordinate>,
    /// CF grid mapping, unless the coordinates are latitudes and longitudes on a sphere or spheroid alone.
    pub(crate) mapping: Option<Attributes>,
    /// `GRIB_*` facts worth keeping with every variable.
    pub(crate) attributes: Attributes,
    /// Vectors are along the grid's axes, not along east and north (Flag Table 3.3).
    pub(crate) along_grid: bool,
    /// What was odd, in words.
    pub(crate) notes: Vec<String>,
}

impl Grid {
    pub(crate) fn points(&self) -> u64 {
        self.dims.iter().fold(1, |n, (_, len)| n.saturating_mul(*len))
    }

    /// Cells of each row of a reduced grid; none otherwise.
    pub(crate) fn row_lengths(&self) -> Vec<u32> {
        let rows = self.coordinates.iter().find_map(|c| match &c.positions {
            Positions::RowLatitude(rows) => Some(rows.cells_by_row()),
            _ => None,
        });
        rows.unwrap_or_default()
    }

    /// Columns of a grid with rows; `None` for a list of cells.
    pub(crate) fn columns(&self) -> Option<u64> {
        match self.dims.as_slice() {
            [_, (_, columns)] => Some(*columns),
            _ => None,
        }
    }
}

/// Largest number of points along one axis, and of an axis that is kept as a list.
const MOST_ALONG_AXIS: u32 = 1 << 20;

/// Numbers that say where a grid of rows and columns lies, in degrees.
struct Corners {
    ni: u32,
    nj: u32,
    lat1: f64,
    lon1: f64,
    lat2: f64,
    lon2: f64,
    /// `None` where they are not given.
    di: Option<f64>,
    dj: Option<f64>,
    scan: Scan,
}

impl Corners {
    fn check(&self) -> Result<()> {
        for (n, what) in [(self.ni, "along a row"), (self.nj, "along a column")] {
            if n == 0 || n > MOST_ALONG_AXIS {
                return Err(Fault::new(format!("{n} points {what}; 1 to {MOST_ALONG_AXIS} are read")));
            }
        }
        let latitudes = [self.lat1, self.lat2];
        if let Some(wrong) = latitudes.iter().find(|l| l.abs() > 90.0 + 1e-3) {
            return Err(Fault::new(format!("{wrong} degrees is no latitude")));
        }
        Ok(())
    }

    fn dims(&self, y: &'static str, x: &'static str) -> Vec<(&'static str, u64)> {
        vec![(y, u64::from(self.nj)), (x, u64::from(self.ni))]
    }
}

fn text(name: &'static str, value: &str) -> (&'static str, AttrValue) {
    (name, AttrValue::Text(value.to_owned()))
}

fn number(name: &'static str, value: f64) -> (&'static str, AttrValue) {
    (name, AttrValue::Floats(graticule_shared::dtype::DataType::Float64, vec![value]))
}

fn geographic(name: &'static str, dim: usize, positions: Positions) -> Coordinate {
    let (units, long, axis) = if name == "latitude" {
        ("degrees_north", "latitude", "Y")
    } else {
        ("degrees_east", "longitude", "X")
    };
    let mut attributes = vec![text("standard_name", long), text("long_name", long), text("units", units)];
    if matches!(positions, Positions::Values(_)) {
        attributes.push(text("axis", axis));
    }
    Coordinate { name, dim, positions, attributes }
}

/// Latitude and longitude axes; the latitudes are given for Gaussian grids.
fn regular(type_name: &'static str, c: &Corners, given: Option<Vec<f64>>, earth: &Earth) -> Result<Grid> {
    c.check()?;
    let mut notes = Vec::new();
    let rows = match given {
        Some(rows) => rows,
        None => latitudes(c, &mut notes)?,
    };
    let columns = longitudes(c, &mut notes)?;
    let mapping = earth.mapping("latitude_longitude");
    Ok(Grid {
        type_name,
        dims: c.dims("latitude", "longitude"),
        scan: c.scan,
        coordinates: vec![
            geographic("latitude", 0, Positions::Values(rows)),
            geographic("longitude", 1, Positions::Values(columns)),
        ],
        mapping,
        attributes: Vec::new(),
        along_grid: false,
        notes,
    })
}

/// A regular grid about another pole (CF Appendix F, rotated pole). The south pole
/// of the rotation is at (`pole_lat`, `pole_lon`).
fn rotated(mut grid: Grid, pole_lat: f64, pole_lon: f64, angle: f64, earth: &Earth) -> Grid {
    for (c, (name, standard, axis)) in
        grid.coordinates.iter_mut().zip([("rlat", "grid_latitude", "Y"), ("rlon", "grid_longitude", "X")])
    {
        c.name = name;
        c.attributes = vec![
            text("standard_name", standard),
            text("long_name", &standard.replace('_', " ").replace("grid", "rotated")),
            text("units", "degrees"),
            text("axis", axis),
        ];
        if let (Some(dim), Positions::Values(values)) = (grid.dims.get_mut(c.dim), &mut c.positions) {
            dim.0 = name;
            // Rotated longitudes are counted from the rotated meridian: 352 is 8 before it.
            if name == "rlon" && values.iter().all(|v| *v > 180.0) {
                values.iter_mut().for_each(|v| *v -= 360.0);
            }
        }
    }
    let wrap = |x: f64| (x + 540.0).rem_euclid(360.0) - 180.0;
    let mut mapping = vec![
        text("grid_mapping_name", "rotated_latitude_longitude"),
        number("grid_north_pole_latitude", -pole_lat),
        number("grid_north_pole_longitude", wrap(pole_lon + 180.0)),
        number("north_pole_grid_longitude", angle),
    ];
    mapping.extend(earth.attributes());
    grid.mapping = Some(mapping);
    grid
}

/// Axes in metres from the position of the first point.
fn projected(
    type_name: &'static str,
    c: &Corners,
    step_metres: (f64, f64),
    projection: &Projection,
    earth: &Earth,
) -> Result<Grid> {
    c.check()?;
    let (x, y) = projection.forward(earth, c.lat1, c.lon1).ok_or_else(|| {
        Fault::new(format!(
            "the first point ({}, {}) cannot be projected with the parameters given",
            c.lat1, c.lon1
        ))
    })?;
    plane(type_name, c, (x, y), step_metres, projection, earth)
}

/// Axes in metres from (`x`, `y`) on.
fn plane(
    type_name: &'static str,
    c: &Corners,
    (x, y): (f64, f64),
    (dx, dy): (f64, f64),
    projection: &Projection,
    earth: &Earth,
) -> Result<Grid> {
    if !(dx > 0.0 && dy > 0.0 && x.is_finite() && y.is_finite()) {
        return Err(Fault::new(format!("grid lengths of {dx} and {dy} metres; both must be positive")));
    }
    let dx = if c.scan.i_negative { -dx } else { dx };
    let dy = if c.scan.j_positive { dy } else { -dy };
    let walk = |from: f64, step: f64, n: u32| (0..n).map(|i| from + f64::from(i) * step).collect();
    let axis = |name: &'static str, dim, values: Vec<f64>, letter: &str| Coordinate {
        name,
        dim,
        positions: Positions::Values(values),
        attributes: vec![
            text("standard_name", &format!("projection_{name}_coordinate")),
            text("long_name", &format!("{name} coordinate of projection")),
            text("units", "m"),
            text("axis", letter),
        ],
    };
    Ok(Grid {
        type_name,
        dims: c.dims("y", "x"),
        scan: c.scan,
        coordinates: vec![axis("y", 0, walk(y, dy, c.nj), "Y"), axis("x", 1, walk(x, dx, c.ni), "X")],
        mapping: Some(projection.mapping(earth)),
        attributes: Vec::new(),
        along_grid: false,
        notes: Vec::new(),
    })
}

/// Space view perpendicular to the ecliptic (GRIB2 template 3.90, GRIB1 type 90) as
/// CF's geostationary projection: axes are scanning angles in radians.
struct SpaceView {
    lat: f64,
    lon: f64,
    /// Apparent diameters of the earth in grid lengths.
    diameter: (f64, f64),
    /// Sub-satellite point, in grid lengths.
    nadir: (f64, f64),
    /// Origin of the sector.
    origin: (f64, f64),
    orientation: f64,
    /// Of the camera from the earth's centre, in equatorial radii.
    distance: f64,
}

fn space_view(c: &Corners, v: &SpaceView, earth: &Earth) -> Result<Grid> {
    c.check()?;
    if v.lat != 0.0 || v.orientation % 360.0 != 0.0 && v.orientation != 180.0 {
        return Err(Fault::new(format!(
            "a space view from latitude {} turned by {} degrees; only views from above the equator are read",
            v.lat, v.orientation
        )));
    }
    if !(v.distance > 1.0 && v.diameter.0 > 0.0 && v.diameter.1 > 0.0) {
        return Err(Fault::new(format!("a space view from {} earth radii", v.distance)));
    }
    let (a, b) = earth.axes();
    let size = 2.0 * (1.0 / v.distance).asin();
    let (rx, ry) = (size / v.diameter.0, size / v.diameter.1 * (b / a));
    let walk = |n: u32, origin: f64, nadir: f64, step: f64, up: bool| -> Vec<f64> {
        (0..n)
            .map(|i| {
                let at = f64::from(i) + origin - nadir;
                if up { at * step } else { -at * step }
            })
            .collect()
    };
    let axis = |name: &'static str, dim, values, letter: &str| Coordinate {
        name,
        dim,
        positions: Positions::Values(values),
        attributes: vec![
            text("standard_name", &format!("projection_{name}_coordinate")),
            text("long_name", &format!("fixed grid {name} scanning angle")),
            text("units", "rad"),
            text("axis", letter),
        ],
    };
    let mut mapping = vec![
        text("grid_mapping_name", "geostationary"),
        number("longitude_of_projection_origin", v.lon),
        number("latitude_of_projection_origin", 0.0),
        number("perspective_point_height", (v.distance - 1.0) * a),
        text("sweep_angle_axis", "y"),
    ];
    mapping.extend(earth.attributes());
    let y = walk(c.nj, v.origin.1, v.nadir.1, ry, c.scan.j_positive);
    let x = walk(c.ni, v.origin.0, v.nadir.0, rx, !c.scan.i_negative);
    Ok(Grid {
        type_name: "space_view",
        dims: c.dims("y", "x"),
        scan: c.scan,
        coordinates: vec![axis("y", 0, y, "Y"), axis("x", 1, x, "X")],
        mapping: Some(mapping),
        attributes: Vec::new(),
        along_grid: false,
        notes: Vec::new(),
    })
}

/// A list of cells with the row structure of a reduced grid.
fn cells(type_name: &'static str, rows: Rows, attributes: Attributes, earth: &Earth) -> Grid {
    let mut all = attributes;
    let pl = rows.lengths().iter().map(|n| i64::from(*n)).collect();
    all.push(("GRIB_pl", AttrValue::Ints(graticule_shared::dtype::DataType::Int32, pl)));
    let rows = std::sync::Arc::new(rows);
    Grid {
        type_name,
        dims: vec![("cell", rows.cells())],
        scan: Scan::default(),
        coordinates: vec![
            geographic("latitude", 0, Positions::RowLatitude(rows.clone())),
            geographic("longitude", 0, Positions::RowLongitude(rows)),
        ],
        mapping: earth.mapping("latitude_longitude"),
        attributes: all,
        along_grid: false,
        notes: Vec::new(),
    }
}
