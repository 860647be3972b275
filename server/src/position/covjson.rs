//! CoverageJSON 1.0 (OGC 21-069r2): one coverage for each place and each set of
//! axes; a collection where there are several.

use graticule_shared::cube::Role;
use serde_json::{Map, Value, json};

use super::{Labels, Place, Selected, Series};

pub fn coverage_json(places: &[Place]) -> Value {
    let mut coverages = Vec::new();
    let mut parameters = Map::new();
    for place in places {
        let mut groups: Vec<(&[Selected], Vec<&Series>)> = Vec::new();
        for series in &place.series {
            parameters.insert(series.variable.path.clone(), parameter(series));
            match groups.iter_mut().find(|(dims, _)| *dims == series.dims.as_slice()) {
                Some((_, members)) => members.push(series),
                None => groups.push((&series.dims, vec![series])),
            }
        }
        coverages.extend(groups.into_iter().map(|(dims, members)| coverage(place, dims, &members)));
    }
    if coverages.len() == 1 {
        let mut only = coverages.remove(0);
        only["parameters"] = Value::Object(parameters);
        return only;
    }
    json!({"type": "CoverageCollection", "parameters": parameters, "coverages": coverages})
}

fn coverage(place: &Place, dims: &[Selected], members: &[&Series]) -> Value {
    let mut axes = Map::new();
    axes.insert("x".into(), json!({"values": [place.longitude_deg]}));
    axes.insert("y".into(), json!({"values": [place.latitude_deg]}));
    let mut referencing = vec![json!({
        "coordinates": ["x", "y"],
        "system": {"type": "GeographicCRS", "id": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"},
    })];
    for dim in dims {
        let key = axis_key(dim);
        let system = match (&dim.labels, dim.role) {
            (Labels::Times { calendar, .. }, _) => {
                json!({"type": "TemporalRS", "calendar": calendar_uri(calendar)})
            }
            (_, Role::Z) => json!({
                "type": "VerticalCRS",
                "cs": {"csAxes": [{
                    "name": {"en": dim.name},
                    "direction": if dim.positive.as_deref() == Some("down") { "down" } else { "up" },
                    "unit": {"symbol": dim.units.as_deref().unwrap_or("1")},
                }]},
            }),
            _ => json!({"type": "IdentifierRS", "targetConcept": {"label": {"en": dim.name}}}),
        };
        let values = match &dim.labels {
            Labels::Times { values, .. } => json!(values),
            Labels::Numbers(values) => json!(values),
        };
        axes.insert(key.clone(), json!({"values": values}));
        referencing.push(json!({"coordinates": [key], "system": system}));
    }
    let len = |role: Role| dims.iter().find(|d| d.role == role).map(|d| d.indices.len());
    let plain = dims.iter().all(|d| matches!(d.role, Role::T | Role::Z));
    // OGC 21-069r2 section 9.11, "Common domain types".
    let domain_type = match (len(Role::Z), len(Role::T)) {
        _ if !plain => None,
        (None, None) => Some("Point"),
        (None | Some(1), Some(1)) | (Some(1), None) => Some("Point"),
        (None | Some(1), Some(_)) => Some("PointSeries"),
        (Some(_), None | Some(1)) => Some("VerticalProfile"),
        (Some(_), Some(_)) => Some("Grid"),
    };
    let mut domain = json!({"type": "Domain", "axes": axes, "referencing": referencing});
    if let Some(t) = domain_type {
        domain["domainType"] = Value::from(t);
    }
    let names: Vec<String> = dims.iter().map(axis_key).collect();
    let shape: Vec<usize> = dims.iter().map(|d| d.indices.len()).collect();
    let ranges: Map<String, Value> = members
        .iter()
        .map(|s| {
            let range = json!({
                "type": "NdArray", "dataType": "float", "axisNames": names, "shape": shape, "values": s.values,
            });
            (s.variable.path.clone(), range)
        })
        .collect();
    json!({"type": "Coverage", "domain": domain, "ranges": ranges})
}

/// `t` and `z` where CoverageJSON has names for them, the dimension's own otherwise.
fn axis_key(dim: &Selected) -> String {
    match dim.role {
        Role::T => "t".into(),
        Role::Z => "z".into(),
        _ if ["x", "y", "z", "t", "composite"].contains(&dim.name.as_str()) => format!("{}_", dim.name),
        _ => dim.name.clone(),
    }
}

/// CoverageJSON names only the Gregorian calendar; others are URIs.
fn calendar_uri(name: &str) -> String {
    match name {
        "standard" | "proleptic_gregorian" => "Gregorian".into(),
        other => format!("https://cfconventions.org/cf-conventions/cf-conventions.html#{other}"),
    }
}

fn parameter(series: &Series) -> Value {
    let v = &series.variable;
    let mut observed = json!({"label": {"en": v.label()}});
    if let Some(name) = &v.standard_name {
        observed["id"] = Value::from(format!("http://vocab.nerc.ac.uk/standard_name/{name}/"));
    }
    let mut out = json!({"type": "Parameter", "observedProperty": observed});
    if let Some(units) = &v.units {
        out["unit"] = json!({"symbol": units});
    }
    out
}
