//! CF grid mappings (appendix F) as PROJJSON, with the methods and parameters of EPSG guidance
//! note 7-2, and PROJ's own names where EPSG has none.

use graticule_shared::grid::projection::Ellipsoid;
use serde_json::{Map, Value, json};

/// Name and code of an EPSG parameter.
type Parameter = (&'static str, u32);
const LAT_NATURAL: Parameter = ("Latitude of natural origin", 8801);
const LON_NATURAL: Parameter = ("Longitude of natural origin", 8802);
const FACTOR: Parameter = ("Scale factor at natural origin", 8805);
const EASTING: Parameter = ("False easting", 8806);
const NORTHING: Parameter = ("False northing", 8807);
const LAT_FALSE: Parameter = ("Latitude of false origin", 8821);
const LON_FALSE: Parameter = ("Longitude of false origin", 8822);
const PARALLEL_1: Parameter = ("Latitude of 1st standard parallel", 8823);
const PARALLEL_2: Parameter = ("Latitude of 2nd standard parallel", 8824);
const EASTING_FALSE: Parameter = ("Easting at false origin", 8826);
const NORTHING_FALSE: Parameter = ("Northing at false origin", 8827);
const LAT_PARALLEL: Parameter = ("Latitude of standard parallel", 8832);
const LON_ORIGIN: Parameter = ("Longitude of origin", 8833);

/// A conversion: method, its EPSG code, and parameters in degrees, metres and ones.
struct Conversion {
    method: &'static str,
    code: Option<u32>,
    parameters: Vec<(Parameter, f64)>,
}

/// A projected reference system; `None` of a mapping that lacks what its method needs, or whose
/// method neither EPSG nor PROJ has in the same sense.
pub fn of(a: &Map<String, Value>) -> Option<Value> {
    let name = a.get("grid_mapping_name")?.as_str()?;
    if name == "rotated_latitude_longitude" {
        return rotated(a);
    }
    let c = conversion(name, a)?;
    let mut method = json!({"name": c.method});
    if let Some(code) = c.code {
        method["id"] = json!({"authority": "EPSG", "code": code});
    }
    let parameter = |((name, code), value): &(Parameter, f64)| {
        let unit = match code {
            8805 => "unity",
            8806 | 8807 | 8826 | 8827 | 0 => "metre",
            _ => "degree",
        };
        let mut out = json!({"name": name, "value": value, "unit": unit});
        if *code != 0 {
            out["id"] = json!({"authority": "EPSG", "code": code});
        }
        out
    };
    let axis = |name: &str, short: &str, towards: &str| json!({"name": name, "abbreviation": short, "direction": towards, "unit": "metre"});
    Some(json!({
        "$schema": "https://proj.org/schemas/v0.7/projjson.schema.json",
        "type": "ProjectedCRS",
        "name": name,
        "base_crs": geographic(a),
        "conversion": {"name": name, "method": method,
            "parameters": c.parameters.iter().map(parameter).collect::<Vec<_>>()},
        "coordinate_system": {"subtype": "Cartesian",
            "axis": [axis("Easting", "E", "east"), axis("Northing", "N", "north")]},
    }))
}

fn numbers(a: &Map<String, Value>, key: &str) -> Vec<f64> {
    let finite = |v: &Value| v.as_f64().filter(|n| n.is_finite());
    match a.get(key) {
        Some(Value::Array(list)) => list.iter().filter_map(finite).collect(),
        Some(v) => finite(v).into_iter().collect(),
        None => Vec::new(),
    }
}

fn first(a: &Map<String, Value>, keys: &[&str]) -> Option<f64> {
    keys.iter().find_map(|k| numbers(a, k).first().copied())
}

fn conversion(name: &str, a: &Map<String, Value>) -> Option<Conversion> {
    let lat = first(a, &["latitude_of_projection_origin"]);
    let lon = first(
        a,
        &[
            "longitude_of_central_meridian",
            "longitude_of_projection_origin",
            "straight_vertical_longitude_from_pole",
        ],
    )?;
    let (x, y) = (first(a, &["false_easting"]).unwrap_or(0.0), first(a, &["false_northing"]).unwrap_or(0.0));
    let factor = first(a, &["scale_factor_at_projection_origin", "scale_factor_at_central_meridian"]);
    let parallels = numbers(a, "standard_parallel");
    let parallel = parallels.first().copied();
    let origin = |lat: f64| vec![(LAT_NATURAL, lat), (LON_NATURAL, lon)];
    let falses = [(EASTING, x), (NORTHING, y)];
    let with = |mut list: Vec<(Parameter, f64)>| {
        list.extend(falses);
        list
    };
    let made = |method, code: u32, parameters| Some(Conversion { method, code: Some(code), parameters });
    match name {
        "lambert_conformal_conic" | "albers_conical_equal_area" => {
            let one = parallel?;
            let conic = vec![
                (LAT_FALSE, lat?),
                (LON_FALSE, lon),
                (PARALLEL_1, one),
                (PARALLEL_2, parallels.get(1).copied().unwrap_or(one)),
                (EASTING_FALSE, x),
                (NORTHING_FALSE, y),
            ];
            match (name, factor) {
                ("albers_conical_equal_area", _) => made("Albers Equal Area", 9822, conic),
                (_, None) => made("Lambert Conic Conformal (2SP)", 9802, conic),
                (_, Some(_)) => None,
            }
        }
        "polar_stereographic" => match (parallel, factor) {
            (Some(p), None) => made(
                "Polar Stereographic (variant B)",
                9829,
                with(vec![(LAT_PARALLEL, p), (LON_ORIGIN, lon)]),
            ),
            (None, Some(k)) => {
                let pole = lat.filter(|l| (l.abs() - 90.0).abs() < 1e-9)?;
                let mut list = origin(pole);
                list.push((FACTOR, k));
                made("Polar Stereographic (variant A)", 9810, with(list))
            }
            _ => None,
        },
        "lambert_azimuthal_equal_area" => made("Lambert Azimuthal Equal Area", 9820, with(origin(lat?))),
        "transverse_mercator" => {
            let mut list = origin(lat?);
            list.push((FACTOR, factor?));
            made("Transverse Mercator", 9807, with(list))
        }
        "mercator" => match (parallel, factor) {
            (Some(p), None) => {
                made("Mercator (variant B)", 9805, with(vec![(PARALLEL_1, p), (LON_NATURAL, lon)]))
            }
            (None, Some(k)) => {
                let mut list = origin(0.0);
                list.push((FACTOR, k));
                made("Mercator (variant A)", 9804, with(list))
            }
            _ => None,
        },
        "sinusoidal" => {
            Some(Conversion { method: "Sinusoidal", code: None, parameters: with(vec![(LON_NATURAL, lon)]) })
        }
        "geostationary" => {
            let axis = |k: &str| a.get(k).and_then(Value::as_str);
            let method = match (axis("sweep_angle_axis"), axis("fixed_angle_axis")) {
                (Some("x"), _) | (None, Some("y")) => "Geostationary Satellite (Sweep X)",
                (Some("y"), _) | (None, Some("x")) => "Geostationary Satellite (Sweep Y)",
                _ => return None,
            };
            let height = first(a, &["perspective_point_height"])?;
            let list = vec![(LON_NATURAL, lon), (("Satellite Height", 0), height)];
            Some(Conversion { method, code: None, parameters: with(list) })
        }
        _ => None,
    }
}

/// Longitude and latitude about another pole.
fn rotated(a: &Map<String, Value>) -> Option<Value> {
    let (lat, lon) = (first(a, &["grid_north_pole_latitude"])?, first(a, &["grid_north_pole_longitude"])?);
    let turn = first(a, &["north_pole_grid_longitude"]).unwrap_or(0.0);
    let parameter = |name: &str, value: f64| json!({"name": format!("{name} (netCDF CF convention)"), "value": value, "unit": "degree"});
    let parameters = [
        parameter("Grid north pole latitude", lat),
        parameter("Grid north pole longitude", lon),
        parameter("North pole grid longitude", turn),
    ];
    Some(json!({
        "$schema": "https://proj.org/schemas/v0.7/projjson.schema.json",
        "type": "DerivedGeographicCRS",
        "name": "rotated_latitude_longitude",
        "base_crs": geographic(a),
        "conversion": {"name": "Pole rotation (netCDF CF convention)",
            "method": {"name": "Pole rotation (netCDF CF convention)"}, "parameters": parameters},
        "coordinate_system": ellipsoidal(),
    }))
}

fn ellipsoidal() -> Value {
    let axis = |name: &str, short: &str, towards: &str| json!({"name": name, "abbreviation": short, "direction": towards, "unit": "degree"});
    json!({"subtype": "ellipsoidal", "axis": [axis("Longitude", "lon", "east"), axis("Latitude", "lat", "north")]})
}

fn geographic(a: &Map<String, Value>) -> Value {
    let e = Ellipsoid::from_attributes(a);
    let figure = if e.e2 <= 0.0 {
        json!({"name": "unknown", "radius": e.a})
    } else {
        json!({"name": "unknown", "semi_major_axis": e.a, "inverse_flattening": 1.0 / (1.0 - (1.0 - e.e2).sqrt())})
    };
    json!({
        "type": "GeographicCRS",
        "name": "unknown",
        "datum": {"type": "GeodeticReferenceFrame", "name": "unknown", "ellipsoid": figure},
        "coordinate_system": ellipsoidal(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_that_lacks_a_parameter_is_not_guessed() {
        let of = |v: Value| of(v.as_object().unwrap());
        let lcc = json!({"grid_mapping_name": "lambert_conformal_conic", "standard_parallel": [25.0, 25.0],
            "longitude_of_central_meridian": -95.0, "latitude_of_projection_origin": 25.0, "earth_radius": 6371229.0});
        let made = of(lcc.clone()).unwrap();
        assert_eq!(made["conversion"]["method"]["id"]["code"], 9802);
        assert_eq!(made["base_crs"]["datum"]["ellipsoid"]["radius"], 6371229.0);
        let mut less = lcc;
        less.as_object_mut().unwrap().remove("longitude_of_central_meridian");
        assert_eq!(of(less), None);
        assert_eq!(of(json!({"grid_mapping_name": "stereographic"})), None);
        assert_eq!(of(json!({})), None);
    }
}
