//! From attributes to a kind of grid (CF section 5; UGRID 1.0 for meshes).

use serde_json::{Map, Value};

use super::healpix::Healpix;
use super::projection::{Plane, Projection};
use super::{Angles, Cells, Horizontal, Projected};
use crate::cube::{Role, role_of};
use crate::node;
use crate::zarr::{ArrayMeta, Hierarchy};

/// Node names that MPAS meshes always have, in radians and mostly without units.
const MPAS: [(&str, &str); 3] = [("latCell", "lonCell"), ("latVertex", "lonVertex"), ("latEdge", "lonEdge")];

/// The grid of an array, and what kept a better reading away, in words.
/// `None` where nothing says where its cells lie.
pub fn horizontal(h: &Hierarchy, a: &ArrayMeta, notes: &mut Vec<String>) -> Option<Horizontal> {
    if a.shape.is_empty() || a.shape.contains(&0) {
        return None;
    }
    let scope = Scope { h, a };
    let mapping = scope.mapping();
    let mut note = |why: String| {
        if !notes.contains(&why) {
            notes.push(why);
        }
    };
    let plane = scope.plane();
    if let Some((y, x)) = plane
        && scope.geographic(y, x)
    {
        return Some(Horizontal::Separable { latitude: y.path.clone(), longitude: x.path.clone() });
    }
    let mut healpix = None;
    if let Some(m) = mapping {
        match m.attributes.get("grid_mapping_name").and_then(Value::as_str) {
            Some("healpix") => match Healpix::from_attributes(&m.attributes) {
                Ok(grid) => healpix = Some(grid),
                Err(why) => note(format!("{}: {why}", m.path)),
            },
            Some("latitude_longitude") | None => {}
            Some(_) => match Projection::from_attributes(&m.attributes) {
                Err(why) => note(format!("{}: {why}", m.path)),
                Ok(projection) => {
                    if let Some((y, x)) = plane {
                        match unit(&projection, y, x) {
                            Ok(unit) => {
                                return Some(Horizontal::Projected(Projected {
                                    y: y.path.clone(),
                                    x: x.path.clone(),
                                    mapping: m.path.clone(),
                                    projection,
                                    unit,
                                }));
                            }
                            Err(why) => note(format!("{}: {why}", m.path)),
                        }
                    }
                }
            },
        }
    }
    if let Some(grid) = healpix {
        if a.shape.last() == Some(&grid.cells()) {
            return Some(Horizontal::Cells(Cells::Healpix(grid)));
        }
        note(format!(
            "{}: {} cells along its last dimension; its HEALPix grid has {}",
            a.path,
            a.shape.last().unwrap_or(&0),
            grid.cells()
        ));
        return None;
    }
    if let Some((latitude, longitude)) = scope.angles(2) {
        return Some(Horizontal::Curvilinear { latitude, longitude });
    }
    if !scope.is_track()
        && let Some((latitude, longitude)) = scope.angles(1)
    {
        return Some(Horizontal::Cells(Cells::Listed { latitude, longitude }));
    }
    None
}

/// What a stored x or y is multiplied by.
fn unit(projection: &Projection, y: &ArrayMeta, x: &ArrayMeta) -> Result<f64, String> {
    let of = |a: &ArrayMeta| text(a, "units").to_ascii_lowercase();
    let (units, other) = (of(x), of(y));
    if units != other && projection.plane() != Plane::RotatedDegrees {
        return Err(format!("x is in {units:?} and y in {other:?}; both must be in one unit"));
    }
    let wrong = || Err(format!("coordinates in {units:?} are none of a {} projection", projection.name()));
    match projection.plane() {
        Plane::RotatedDegrees if units.is_empty() || units.starts_with("deg") => Ok(1.0),
        Plane::RotatedDegrees if units.starts_with("rad") => Ok(1f64.to_degrees()),
        Plane::RotatedDegrees => wrong(),
        plane => match units.as_str() {
            "rad" | "radian" | "radians" if plane == Plane::ScanAngles => Ok(1.0),
            "microradian" | "microradians" | "urad" if plane == Plane::ScanAngles => Ok(1e-6),
            "m" | "meter" | "meters" | "metre" | "metres" | "" | "1" => Ok(1.0),
            "km" | "kilometer" | "kilometers" | "kilometre" | "kilometres" => Ok(1e3),
            "us-ft" | "us_survey_foot" | "us survey foot" => Ok(1200.0 / 3937.0),
            "ft" | "foot" | "feet" => Ok(0.3048),
            _ => return wrong(),
        }
        .map(|unit: f64| {
            let lengths = plane == Plane::ScanAngles && !units.contains("rad");
            if lengths { unit / projection.height() } else { unit }
        }),
    }
}

fn text<'a>(a: &'a ArrayMeta, key: &str) -> &'a str {
    a.attributes.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn leaf(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// An array and the names that it can see.
struct Scope<'a> {
    h: &'a Hierarchy,
    a: &'a ArrayMeta,
}

impl<'a> Scope<'a> {
    /// The array called `name` in the array's group, else in the groups above (NetCDF-4 scoping).
    fn find(&self, name: &str) -> Option<&'a ArrayMeta> {
        node::scope(&self.a.path, name).find_map(|path| self.h.arrays.get(&path))
    }

    /// The variable that `grid_mapping` names; in its extended form the first one (CF section 5.6).
    fn mapping(&self) -> Option<&'a ArrayMeta> {
        let first = text(self.a, "grid_mapping").split_whitespace().next()?;
        self.find(first.trim_end_matches(':'))
    }

    /// Coordinate variables of the last two dimensions.
    fn plane(&self) -> Option<(&'a ArrayMeta, &'a ArrayMeta)> {
        let [.., y, x] = self.a.dims.as_slice() else { return None };
        let axis = |name: &str, wanted: Role, len: Option<&u64>| {
            let c = self.find(name).filter(|c| c.shape.len() == 1 && c.shape.first() == len)?;
            (c.dtype.is_some() && role_of(leaf(&c.path), &c.attributes) == wanted).then_some(c)
        };
        let n = self.a.shape.len();
        Some((axis(y, Role::Y, self.a.shape.get(n - 2))?, axis(x, Role::X, self.a.shape.last())?))
    }

    /// True where y and x are latitude and longitude, or nothing says otherwise.
    fn geographic(&self, y: &ArrayMeta, x: &ArrayMeta) -> bool {
        let other = |c: &ArrayMeta| {
            let standard = text(c, "standard_name");
            let units = text(c, "units").to_ascii_lowercase();
            standard.starts_with("projection_")
                || matches!(standard, "grid_latitude" | "grid_longitude")
                || !(units.is_empty() || units.starts_with("degree") || units == "deg")
        };
        if other(y) || other(x) {
            return false;
        }
        let sure = |c: &ArrayMeta| {
            let units = text(c, "units").to_ascii_lowercase();
            matches!(text(c, "standard_name"), "latitude" | "longitude") || angle_units(&units).is_some()
        };
        let named = |c: &ArrayMeta| {
            matches!(
                leaf(&c.path).to_ascii_lowercase().as_str(),
                "lat" | "latitude" | "lon" | "long" | "longitude"
            )
        };
        if [y, x].iter().all(|c| sure(c) || named(c)) {
            return true;
        }
        // Bare numbers along y and x are an index where two-dimensional coordinates place the cells.
        let mapped = self
            .mapping()
            .and_then(|m| m.attributes.get("grid_mapping_name")?.as_str())
            .is_some_and(|n| n != "latitude_longitude");
        !mapped && self.angles(2).is_none()
    }

    /// Latitudes and longitudes over the last `rank` dimensions: those that the array names
    /// first, else the only ones of that shape that its group has.
    fn angles(&self, rank: usize) -> Option<(Angles, Angles)> {
        let mut named: Vec<&ArrayMeta> =
            text(self.a, "coordinates").split_whitespace().filter_map(|n| self.find(n)).collect();
        named.extend(self.mesh());
        let pick = |from: &[&'a ArrayMeta], is: fn(&ArrayMeta) -> Option<bool>| -> Vec<Angles> {
            from.iter()
                .filter(|c| self.fits(c, rank))
                .filter_map(|c| Some(Angles { path: c.path.clone(), radians: is(c)? }))
                .collect()
        };
        if let (Some(lat), Some(lon)) =
            (pick(&named, latitude).into_iter().next(), pick(&named, longitude).into_iter().next())
        {
            return Some((lat, lon));
        }
        let group = node::group(&self.a.path);
        let near: Vec<&ArrayMeta> = self
            .h
            .arrays
            .values()
            .filter(|c| node::group(&c.path) == group && c.path != self.a.path)
            .collect();
        match (pick(&near, latitude).as_slice(), pick(&near, longitude).as_slice()) {
            ([lat], [lon]) => Some((lat.clone(), lon.clone())),
            _ => MPAS.iter().find_map(|(lat, lon)| {
                let fit = |n: &str| self.find(n).filter(|c| rank == 1 && self.fits(c, 1));
                let angles =
                    |c: &ArrayMeta| Angles { path: c.path.clone(), radians: text(c, "units").is_empty() };
                Some((angles(fit(lat)?), angles(fit(lon)?)))
            }),
        }
    }

    /// Coordinates that a mesh topology gives for the array's location (UGRID 1.0).
    fn mesh(&self) -> Vec<&'a ArrayMeta> {
        let Some(mesh) = self.find(text(self.a, "mesh")) else { return Vec::new() };
        let key = match text(self.a, "location") {
            "face" => "face_coordinates",
            "node" => "node_coordinates",
            "edge" => "edge_coordinates",
            _ => return Vec::new(),
        };
        text(mesh, key).split_whitespace().filter_map(|n| self.find(n)).collect()
    }

    /// True where `c` has a value for each place along the last `rank` dimensions. A leading
    /// dimension of one step is no dimension.
    fn fits(&self, c: &ArrayMeta, rank: usize) -> bool {
        let n = self.a.shape.len();
        let m = c.shape.len();
        c.dtype.is_some()
            && n >= rank
            && m >= rank
            && (rank > 1 || m == 1)
            && c.shape[m - rank..] == self.a.shape[n - rank..]
            && c.dims[m - rank..] == self.a.dims[n - rank..]
            && c.shape[..m - rank].iter().all(|len| *len == 1)
    }

    /// True where places follow one another in time or stand alone: a ship's track, stations
    /// (CF section 9). Those are not the cells of a grid.
    fn is_track(&self) -> bool {
        let time = self.a.dims.last().and_then(|d| self.find(d)).is_some_and(|c| {
            c.shape.len() == 1 && matches!(role_of(leaf(&c.path), &c.attributes), Role::T | Role::Z)
        });
        time || self.h.attributes.get("featureType").is_some()
    }
}

/// `Some(true)` for north, `Some(false)` for east.
fn angle_units(units: &str) -> Option<bool> {
    let rest = units.strip_prefix("degree")?;
    let rest = rest.strip_prefix('s').unwrap_or(rest).trim_start_matches(['_', ' ']);
    match rest {
        "north" | "n" | "latitude" => Some(true),
        "east" | "e" | "longitude" => Some(false),
        _ => None,
    }
}

/// Whether a variable with these attributes holds latitudes (`north`) or longitudes, and if so whether
/// they are in radians.
pub fn angle(attributes: &Map<String, Value>, north: bool) -> Option<bool> {
    let get = |k: &str| attributes.get(k).and_then(Value::as_str).unwrap_or_default();
    let units = get("units").to_ascii_lowercase();
    if angle_units(&units) == Some(north) {
        return Some(false);
    }
    if get("standard_name") != if north { "latitude" } else { "longitude" } {
        return None;
    }
    match units.as_str() {
        "" | "degrees" | "degree" | "deg" => Some(false),
        "radian" | "radians" | "rad" => Some(true),
        _ => None,
    }
}

fn latitude(c: &ArrayMeta) -> Option<bool> {
    angle(&c.attributes, true)
}

fn longitude(c: &ArrayMeta) -> Option<bool> {
    angle(&c.attributes, false)
}

/// True where a variable's attributes say that it holds latitudes or longitudes.
pub fn is_angle(attributes: &Map<String, Value>) -> bool {
    let get = |k: &str| attributes.get(k).and_then(Value::as_str).unwrap_or_default();
    angle_units(&get("units").to_ascii_lowercase()).is_some()
        || matches!(get("standard_name"), "latitude" | "longitude")
}
