//! Coordinate reference systems that a picture may be asked for in.
//!
//! Longitude and latitude, Web Mercator, and planes around the poles: what map
//! clients ask for. Coordinates here are always x (east) before y (north); the order
//! that a protocol writes them in is said by [`Crs::latitude_first`] (ISO 19111,
//! EPSG:4326 has latitude first).

use serde_json::{Map, Value, json};

use crate::grid::projection::Projection;
use crate::raster::{mercator_latitude_deg, mercator_y};

/// Half the width of Web Mercator's square in metres: pi times the equatorial radius of WGS 84.
pub const MERCATOR_HALF_M: f64 = 20_037_508.342_789_244;
/// Metres of a degree on the equator of WGS 84, as OGC tile matrix sets count them (OGC 17-083r4, annex A).
pub const METRES_PER_DEGREE: f64 = 111_319.490_793_273_57;

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Degrees,
    WebMercator,
    Plane(Box<Projection>),
}

/// A coordinate reference system.
#[derive(Debug, Clone, PartialEq)]
pub struct Crs {
    /// Authority and code, such as `EPSG:3857`.
    name: &'static str,
    kind: Kind,
}

/// Names of the systems that lie on a plane around a pole, and the CF grid mapping of each.
const POLAR: [(&str, &str, f64, f64, f64); 8] = [
    // Name, projection, latitude of the pole, straight vertical longitude, standard parallel (or factor).
    ("EPSG:3413", "polar_stereographic", 90.0, -45.0, 70.0),
    ("EPSG:3031", "polar_stereographic", -90.0, 0.0, -71.0),
    ("EPSG:3995", "polar_stereographic", 90.0, 0.0, 71.0),
    ("EPSG:3976", "polar_stereographic", -90.0, 0.0, -70.0),
    ("EPSG:5041", "ups", 90.0, 0.0, 0.994),
    ("EPSG:5042", "ups", -90.0, 0.0, 0.994),
    ("EPSG:6931", "lambert_azimuthal_equal_area", 90.0, 0.0, 0.0),
    ("EPSG:6932", "lambert_azimuthal_equal_area", -90.0, 0.0, 0.0),
];

/// CF attributes of a grid mapping (CF appendix F).
fn polar((_, projection, pole, longitude, parallel): (&'static str, &str, f64, f64, f64)) -> Value {
    let ups = projection == "ups";
    let mut a = json!({
        "grid_mapping_name": if ups { "polar_stereographic" } else { projection },
        "latitude_of_projection_origin": pole,
        "longitude_of_projection_origin": longitude,
        "straight_vertical_longitude_from_pole": longitude,
        "semi_major_axis": 6_378_137.0,
        "inverse_flattening": 298.257_223_563,
    });
    if ups {
        // EPSG operation methods 16061 and 16161: scale at the pole, and the pole's own coordinates.
        a["scale_factor_at_projection_origin"] = json!(parallel);
        a["false_easting"] = json!(2e6);
        a["false_northing"] = json!(2e6);
    } else if projection == "polar_stereographic" {
        a["standard_parallel"] = json!(parallel);
    }
    a
}

fn plane(system: (&'static str, &str, f64, f64, f64)) -> Option<Crs> {
    let attributes = polar(system);
    let projection = Projection::from_attributes(attributes.as_object()?).ok()?;
    Some(Crs { name: system.0, kind: Kind::Plane(Box::new(projection)) })
}

impl Crs {
    pub const CRS84: Crs = Crs { name: "OGC:CRS84", kind: Kind::Degrees };
    pub const WEB_MERCATOR: Crs = Crs { name: "EPSG:3857", kind: Kind::WebMercator };

    /// Names of all of them, as [`Crs::parse`] reads them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ["OGC:CRS84", "EPSG:4326", "EPSG:3857"].into_iter().chain(POLAR.iter().map(|p| p.0))
    }

    /// A URI, a URN, or a name such as `EPSG:3857`, `CRS:84` and `CRS84`.
    pub fn parse(text: &str) -> Option<Self> {
        let bare = text.trim().trim_start_matches('[').trim_end_matches(']');
        let lower = bare.to_ascii_lowercase();
        let uri = ["http://www.opengis.net/def/crs/", "https://www.opengis.net/def/crs/"]
            .iter()
            .find_map(|p| lower.strip_prefix(p))
            .map(|rest| rest.split('/').collect::<Vec<_>>());
        let urn = lower.strip_prefix("urn:ogc:def:crs:").map(|rest| rest.split(':').collect::<Vec<_>>());
        let name = match uri.or(urn).as_deref() {
            // Authority, version, code.
            Some(&[authority, _, code]) => format!("{authority}:{code}"),
            Some(_) => return None,
            None => lower,
        };
        match name.as_str() {
            "crs84" | "ogc:crs84" | "crs:84" | "crs:crs84" | "ogc:84" => Some(Self::CRS84),
            "epsg:4326" => Some(Self { name: "EPSG:4326", kind: Kind::Degrees }),
            // What Web Mercator was called before it had a code.
            "epsg:3857" | "epsg:900913" | "epsg:3785" => Some(Self::WEB_MERCATOR),
            _ => plane(*POLAR.iter().find(|p| p.0.eq_ignore_ascii_case(&name))?),
        }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Attributes of a CF grid mapping; `None` for longitude and latitude, which need none.
    pub fn grid_mapping(&self) -> Option<Map<String, Value>> {
        match self.kind {
            Kind::Degrees => None,
            Kind::WebMercator => json!({
                "grid_mapping_name": "mercator",
                "longitude_of_projection_origin": 0.0,
                "standard_parallel": 0.0,
                "false_easting": 0.0,
                "false_northing": 0.0,
                // EPSG method 1024 takes the ellipsoid's larger axis for a sphere's radius.
                "semi_major_axis": 6_378_137.0,
                "semi_minor_axis": 6_378_137.0,
            })
            .as_object()
            .cloned(),
            Kind::Plane(_) => {
                let system = POLAR.iter().find(|p| p.0 == self.name)?;
                polar(*system).as_object().cloned()
            }
        }
    }

    pub fn uri(&self) -> String {
        match self.name.split_once(':') {
            Some(("EPSG", code)) => format!("http://www.opengis.net/def/crs/EPSG/0/{code}"),
            _ => "http://www.opengis.net/def/crs/OGC/1.3/CRS84".to_owned(),
        }
    }

    /// As OWS documents name it.
    pub fn urn(&self) -> String {
        match self.name.split_once(':') {
            Some(("EPSG", code)) => format!("urn:ogc:def:crs:EPSG::{code}"),
            _ => "urn:ogc:def:crs:OGC:1.3:CRS84".to_owned(),
        }
    }

    /// True where its definition writes north before east.
    pub fn latitude_first(&self) -> bool {
        self.name == "EPSG:4326"
    }

    /// Coordinates are degrees of longitude and latitude.
    pub fn is_degrees(&self) -> bool {
        self.kind == Kind::Degrees
    }

    /// True where a column of a picture is one longitude and a row one latitude.
    pub fn is_separable(&self) -> bool {
        !matches!(self.kind, Kind::Plane(_))
    }

    /// Metres of one unit of its coordinates (on the equator, where units are degrees).
    pub fn metres_per_unit(&self) -> f64 {
        if self.is_degrees() { METRES_PER_DEGREE } else { 1.0 }
    }

    /// Longitude of an x of a separable system; it runs on past the antimeridian.
    pub fn longitude(&self, x: f64) -> f64 {
        if self.is_degrees() { x } else { x / MERCATOR_HALF_M * 180.0 }
    }

    /// Latitude of a y of a separable system; `None` beyond its map.
    pub fn latitude(&self, y: f64) -> Option<f64> {
        if self.is_degrees() {
            return (y.abs() <= 90.0).then_some(y);
        }
        let v = 0.5 - y / MERCATOR_HALF_M / 2.0;
        (0.0..=1.0).contains(&v).then(|| mercator_latitude_deg(v))
    }

    /// Longitude and latitude in degrees of a place; `None` beside the Earth.
    pub fn place(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        match &self.kind {
            Kind::Plane(p) => p.inverse(x, y),
            _ => Some((self.longitude(x), self.latitude(y)?)),
        }
    }

    /// x and y of a place; `None` where it is not on the map.
    pub fn forward(&self, longitude: f64, latitude: f64) -> Option<(f64, f64)> {
        match &self.kind {
            Kind::Plane(p) => p.forward(longitude, latitude),
            Kind::Degrees => Some((longitude, latitude)),
            Kind::WebMercator => Some((
                longitude / 180.0 * MERCATOR_HALF_M,
                (0.5 - mercator_y(latitude)) * 2.0 * MERCATOR_HALF_M,
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_uri_and_a_urn_that_name_it_again() {
        for name in Crs::names() {
            let crs = Crs::parse(name).unwrap();
            assert_eq!(crs.name(), name);
            assert_eq!(Crs::parse(&crs.uri()).unwrap().name(), name);
            assert_eq!(Crs::parse(&crs.urn()).unwrap().name(), name);
            assert_eq!(Crs::parse(&format!("[{}]", name.to_lowercase())).unwrap(), crs);
        }
        for bad in
            ["", "EPSG", "EPSG:", "EPSG:99999", "urn:ogc:def:crs:", "http://www.opengis.net/def/crs/EPSG"]
        {
            assert_eq!(Crs::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn places_are_where_proj_has_them() {
        // pyproj 3.7.2 (PROJ 9.5.1), always_xy.
        let known = [
            ("EPSG:3857", 10.0, 50.0, 1113194.9079, 6446275.8410),
            ("EPSG:3413", 10.0, 70.0, 1792245.4067, -1254943.7441),
            ("EPSG:3031", -60.0, -75.0, -1419227.9158, 819391.6192),
            ("EPSG:5041", 30.0, 80.0, 2556475.5685, 1036156.0422),
            ("EPSG:5042", 30.0, -80.0, 2556475.5685, 2963843.9578),
            ("EPSG:6931", 100.0, 60.0, 3259535.9549, 574744.1334),
            ("EPSG:3976", 100.0, -60.0, 3272673.9990, -577060.7251),
            ("EPSG:3995", 100.0, 60.0, 3282496.2322, 578792.6498),
        ];
        for (name, lon, lat, x, y) in known {
            let crs = Crs::parse(name).unwrap();
            let (u, v) = crs.forward(lon, lat).unwrap();
            assert!((u - x).abs() < 0.01 && (v - y).abs() < 0.01, "{name}: {u} {v}");
            let (a, b) = crs.place(u, v).unwrap();
            assert!((a - lon).abs() < 1e-9 && (b - lat).abs() < 1e-9, "{name}: {a} {b}");
        }
        assert_eq!(Crs::parse("EPSG:5042").unwrap().place(2e6, 2e6).unwrap().1, -90.0);
        assert_eq!(Crs::CRS84.place(200.0, 91.0), None);
    }
}
