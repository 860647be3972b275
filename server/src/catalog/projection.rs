//! The grid of a cube in its own coordinates: reference system, shape and transform, as the
//! STAC extension "projection" and GDAL have them. Nothing is guessed: what the metadata do
//! not say stays unsaid.

use graticule_shared::axis::Axis;
use graticule_shared::cube::Variable;
use graticule_shared::grid::Horizontal;
use graticule_shared::grid::projection::{Ellipsoid, Plane};
use graticule_shared::node;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::projjson;
use crate::opened::Opened;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Projected {
    /// `EPSG:3413`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// ISO 19162.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wkt2: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projjson: Option<Value>,
    /// Rows and columns.
    pub shape: [u64; 2],
    /// From column and row, counted from a cell's corner, to x and y; of a regular grid alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<[f64; 6]>,
    /// Outer edges: least x, least y, greatest x, greatest y.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bbox: Option<[f64; 4]>,
}

impl Projected {
    /// `None` where there is no grid of one-dimensional coordinates, or more than one.
    pub(super) async fn of(opened: &Opened) -> Option<Self> {
        let placed: Vec<&Variable> = opened.cube.variables.iter().filter(|v| opened.is_placed(v)).collect();
        let first = placed.first()?;
        let grid = first.horizontal()?;
        if placed.iter().any(|v| v.horizontal() != Some(grid)) {
            return None;
        }
        match grid {
            Horizontal::Separable { latitude, longitude } => {
                let mapping = mapping(opened, first);
                let wgs84 = || is_wgs84(&mapping).then(|| "EPSG:4326".to_owned());
                let code = code_said(&mapping).or_else(wgs84);
                let (y, x) = axes(opened, latitude, longitude, 1.0).await?;
                let mut out = Self { code, ..Self::on(&y, &x) };
                if let Some([_, south, _, north]) = &mut out.bbox {
                    (*south, *north) = (south.max(-90.0), north.min(90.0));
                }
                Some(out)
            }
            Horizontal::Projected(p) => {
                let mapping = &opened.array(&p.mapping).ok()?.attributes;
                let plane = p.projection.plane();
                // The coordinates of PROJ's view from a satellite are scan angles times its height.
                let unit = if plane == Plane::ScanAngles { p.unit * p.projection.height() } else { p.unit };
                let wkt2 = mapping.get("crs_wkt").and_then(Value::as_str).filter(|w| is_wkt2(w));
                let code = code_said(mapping).or_else(|| wkt2.and_then(code_of));
                // A system that is named has its own unit; one in feet is stored as it has them.
                let feet = plane == Plane::Metres && p.unit < 1.0 && (code.is_some() || wkt2.is_some());
                let (y, x) = axes(opened, &p.y, &p.x, if feet { 1.0 } else { unit }).await?;
                let projjson = if wkt2.is_none() { projjson::of(mapping) } else { None };
                Some(Self { code, wkt2: wkt2.map(str::to_owned), projjson, ..Self::on(&y, &x) })
            }
            Horizontal::Curvilinear { .. } | Horizontal::Cells(_) => None,
        }
    }

    fn on(y: &Axis, x: &Axis) -> Self {
        let transform = x.step().zip(y.step()).map(|(dx, dy)| {
            // Coordinates are of the middles of cells.
            [dx, 0.0, x.first() - dx / 2.0, 0.0, dy, y.first() - dy / 2.0]
        });
        let sides = |axis: &Axis| {
            let (a, b) = axis.edges();
            (axis.len() > 1).then_some((a.min(b), a.max(b)))
        };
        let bbox = sides(x).zip(sides(y)).map(|((w, e), (s, n))| [w, s, e, n]);
        Self { shape: [y.len() as u64, x.len() as u64], transform, bbox, ..Self::default() }
    }
}

async fn axes(opened: &Opened, y: &str, x: &str, unit: f64) -> Option<(Axis, Axis)> {
    let (y, x) = (opened.axis_values(y).await.ok()?, opened.axis_values(x).await.ok()?);
    let of = |values: &[f64]| Axis::new(values.iter().map(|v| v * unit).collect()).ok();
    Some((of(&y)?, of(&x)?))
}

/// Attributes of the grid mapping that a variable names; nothing where it names none.
fn mapping(opened: &Opened, v: &Variable) -> Map<String, Value> {
    let named = v.attributes.get("grid_mapping").and_then(Value::as_str).unwrap_or_default();
    let name = named.split_whitespace().next().unwrap_or_default().trim_end_matches(':');
    let of = |path: String| opened.array(&path).ok().map(|a| a.attributes.clone());
    node::scope(&v.path, name).find_map(of).unwrap_or_default()
}

/// Whether degrees are those of WGS 84: a file that says nothing of the Earth's figure is read
/// so everywhere.
fn is_wgs84(mapping: &Map<String, Value>) -> bool {
    let (e, wgs84) = (Ellipsoid::from_attributes(mapping), Ellipsoid::WGS84);
    (e.a - wgs84.a).abs() < 1e-3 && (e.e2 - wgs84.e2).abs() < 1e-9
}

/// The code that a GeoTIFF's keys named.
fn code_said(mapping: &Map<String, Value>) -> Option<String> {
    let code = mapping.get("epsg_code")?.as_str()?;
    let digits = code.strip_prefix("EPSG:")?;
    ((4..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())).then(|| code.to_owned())
}

/// CF's `crs_wkt` may be either generation.
fn is_wkt2(wkt: &str) -> bool {
    const ROOTS: [&str; 6] =
        ["PROJCRS[", "PROJECTEDCRS[", "GEOGCRS[", "GEODCRS[", "BOUNDCRS[", "COMPOUNDCRS["];
    let wkt = wkt.trim_start().to_ascii_uppercase();
    ROOTS.iter().any(|r| wkt.starts_with(r))
}

/// `EPSG:3413` of `…,ID["EPSG",3413]]`: the identifier that closes the whole.
fn code_of(wkt: &str) -> Option<String> {
    let inside = wkt.trim_end().strip_suffix(']')?.trim_end().strip_suffix(']')?;
    let id = &inside[inside.rfind("ID[")?..];
    let mut parts = id.strip_prefix("ID[")?.split(',').map(|p| p.trim().trim_matches('"'));
    let (authority, code) = (parts.next()?, parts.next()?);
    let plain = |s: &str| !s.is_empty() && s.len() < 16 && s.bytes().all(|b| b.is_ascii_alphanumeric());
    (plain(authority) && plain(code)).then(|| format!("{authority}:{code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_that_of_the_whole_and_not_of_a_part() {
        let of =
            |tail: &str| code_of(&format!("PROJCRS[\"x\",BASEGEOGCRS[\"WGS 84\",ID[\"EPSG\",4326]]{tail}]"));
        assert_eq!(of(",ID[\"EPSG\",3413]").as_deref(), Some("EPSG:3413"));
        assert_eq!(of(",ID[\"OGC\",\"CRS84\"]").as_deref(), Some("OGC:CRS84"));
        assert_eq!(of(",CS[Cartesian,2],LENGTHUNIT[\"metre\",1]"), None);
        assert_eq!((code_of(""), code_of("]]"), code_of("ID[]]")), (None, None, None));
        assert!(is_wkt2(" projcrs[\"a\"]") && !is_wkt2("PROJCS[\"a\"]"));
    }

    #[test]
    fn a_transform_is_from_the_corner_and_coordinates_are_of_middles() {
        let axis = |v: Vec<f64>| Axis::new(v).unwrap();
        let p = Projected::on(&axis(vec![20.0, 10.0, 0.0]), &axis(vec![1.0, 2.0]));
        assert_eq!(p.transform, Some([1.0, 0.0, 0.5, 0.0, -10.0, 25.0]));
        assert_eq!((p.shape, p.bbox), ([3, 2], Some([0.5, -5.0, 2.5, 25.0])));
        let irregular = Projected::on(&axis(vec![20.0, 10.0, 5.0]), &axis(vec![1.0, 2.0]));
        assert_eq!(irregular.transform, None);
    }
}
