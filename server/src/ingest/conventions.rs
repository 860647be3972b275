//! Root attributes that say how the levels lie: `multiscales`, `proj:` and
//! `spatial:` as their conventions have it.

use serde_json::{Map, Value, json};

use super::grids::Grid;
use super::plan::leaf;
use super::pyramid::Method;

/// Schema, specification, identifier, name, description.
type Convention = [&'static str; 5];
const MULTISCALES: Convention = [
    "https://raw.githubusercontent.com/zarr-conventions/multiscales/refs/tags/v1/schema.json",
    "https://github.com/zarr-conventions/multiscales/blob/v1/README.md",
    "d35379db-88df-4056-af3a-620245f8e347",
    "multiscales",
    "Multiscale layout of zarr datasets",
];
const PROJ: Convention = [
    "https://raw.githubusercontent.com/zarr-experimental/geo-proj/refs/tags/v1/schema.json",
    "https://github.com/zarr-experimental/geo-proj/blob/v1/README.md",
    "f17cb550-5864-4468-aeb7-f3180cfb622f",
    "proj:",
    "Coordinate reference system information for geospatial data",
];
const SPATIAL: Convention = [
    "https://raw.githubusercontent.com/zarr-conventions/spatial/refs/tags/v1/schema.json",
    "https://github.com/zarr-conventions/spatial/blob/v1/README.md",
    "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4",
    "spatial:",
    "Spatial coordinate information",
];

/// What the root says of its coordinate reference system.
pub enum Reference {
    /// Longitude and latitude.
    Geographic,
    /// An authority and its code.
    Code(&'static str),
    /// `crs_wkt` of the grid mapping.
    Wkt(String),
    /// By CF attributes alone, or not at all.
    Unsaid,
}

/// The attributes for `levels` coarser levels of which `grid` is the first that was met.
pub fn attributes(
    root: &mut Map<String, Value>,
    grid: &Grid,
    reference: &Reference,
    levels: u32,
    prefix: &str,
    method: Method,
) {
    let affine = |k: u32| {
        let Grid::Axes { rows, columns, .. } = grid else { return None };
        let f = f64::from(2u32.pow(k));
        let (dx, dy) = (columns.step()?, rows.step()?);
        // The first coarse node is the middle of the nodes it covers.
        Some(json!([
            dx * f,
            0.0,
            columns.first() + dx * (f - 1.0) / 2.0,
            0.0,
            dy * f,
            rows.first() + dy * (f - 1.0) / 2.0
        ]))
    };
    let cells = matches!(grid, Grid::Cells { .. });
    let mut layout = Vec::new();
    for k in 0..=levels {
        let mut entry = if k == 0 {
            json!({"asset": ".", "transform": {"scale": [1.0, 1.0], "translation": [0.0, 0.0]}})
        } else {
            let from = if k == 1 { ".".to_owned() } else { format!("{prefix}{}", k - 1) };
            json!({"asset": format!("{prefix}{k}"), "derived_from": from,
                "transform": {"scale": [2.0, 2.0], "translation": [0.5, 0.5]},
                "resampling_method": method.name()})
        };
        if let Some(entry) = entry.as_object_mut().filter(|_| cells && k < 2) {
            // From a list of cells to a grid there is no scale.
            entry.shift_remove("transform");
        }
        if !cells || k > 0 {
            let (rows, columns) = grid.shape(k);
            entry["spatial:shape"] = json!([rows, columns]);
        }
        if let Some(a) = affine(k) {
            entry["spatial:transform"] = a;
        }
        layout.push(entry);
    }
    let mut conventions = vec![MULTISCALES];
    if let Grid::Axes { y, x, rows, columns, .. } = grid {
        conventions.push(SPATIAL);
        let ordered = |(a, b): (f64, f64)| (a.min(b), a.max(b));
        let ((south, north), (west, east)) = (ordered(rows.edges()), ordered(columns.edges()));
        let geographic = matches!(reference, Reference::Geographic);
        let (south, north) = if geographic { (south.max(-90.0), north.min(90.0)) } else { (south, north) };
        root.insert("spatial:dimensions".into(), json!([leaf(y), leaf(x)]));
        root.insert("spatial:shape".into(), json!([rows.len(), columns.len()]));
        root.insert("spatial:bbox".into(), json!([west, south, east, north]));
        root.insert("spatial:registration".into(), json!("node"));
        if let Some(a) = affine(0) {
            root.insert("spatial:transform".into(), a);
        }
    }
    match reference {
        Reference::Geographic => {
            conventions.push(PROJ);
            root.insert("proj:code".into(), json!("EPSG:4326"));
        }
        Reference::Code(code) => {
            conventions.push(PROJ);
            root.insert("proj:code".into(), json!(code));
        }
        Reference::Wkt(wkt) => {
            conventions.push(PROJ);
            root.insert("proj:wkt2".into(), json!(wkt));
        }
        Reference::Unsaid => {}
    }
    let conventions: Vec<Value> = conventions
        .iter()
        .map(|[schema, spec, uuid, name, about]| {
            json!({"schema_url": schema, "spec_url": spec, "uuid": uuid, "name": name, "description": about})
        })
        .collect();
    root.insert("zarr_conventions".into(), Value::Array(conventions));
    root.insert("multiscales".into(), json!({"layout": layout}));
}

/// Corrects the attributes for levels that the source brought along: they have the `shapes` that
/// they have, their own coordinates say where, and nothing is known of how they were made.
pub fn carried(root: &mut Map<String, Value>, shapes: &[(u64, u64)]) {
    let Some(layout) = root.get_mut("multiscales").and_then(|m| m["layout"].as_array_mut()) else { return };
    let mut finer = layout.first().and_then(|l| shape(&l["spatial:shape"]));
    for (entry, (rows, columns)) in layout.iter_mut().skip(1).zip(shapes) {
        if let Some(entry) = entry.as_object_mut() {
            for guessed in ["resampling_method", "spatial:transform", "transform"] {
                entry.shift_remove(guessed);
            }
            entry.insert("spatial:shape".into(), json!([rows, columns]));
            if let Some((r, c)) = finer.filter(|_| *rows > 0 && *columns > 0) {
                let scale = [r as f64 / *rows as f64, c as f64 / *columns as f64];
                entry.insert("transform".into(), json!({"scale": scale}));
            }
        }
        finer = Some((*rows, *columns));
    }
}

fn shape(v: &Value) -> Option<(u64, u64)> {
    Some((v.get(0)?.as_u64()?, v.get(1)?.as_u64()?))
}
