//! Metadata against the CF conventions, as far as readers depend on them: what is named
//! exists (sections 5, 5.6 and 7.1), units are text (3.1), times decode (4.4) and
//! coordinates are monotonic (1.3, "coordinate variable").

use graticule_shared::cube::{Role, role_of};
use graticule_shared::node;
use graticule_shared::time::TimeUnits;
use graticule_shared::zarr::{ArrayMeta, Hierarchy};
use serde_json::Value;

use super::{Code, Finding, Report};
use crate::opened::Opened;

/// Attributes whose values name other variables.
const NAMING: [&str; 3] = ["coordinates", "grid_mapping", "bounds"];

pub async fn check(opened: &Opened, id: &str, report: &mut Report) {
    let version = opened.snapshot.version();
    let mut found: Vec<(Code, String, String)> = Vec::new();
    for a in opened.hierarchy.arrays.values() {
        names(a, &opened.hierarchy, &mut found);
        if a.attributes.get("units").is_some_and(|u| !u.is_string()) {
            found.push((Code::CfUnits, a.path.clone(), "units is no text".into()));
        }
        let leaf = a.path.rsplit('/').next().unwrap_or_default();
        let is_coordinate = a.dims.len() == 1 && a.dims[0] == leaf && a.dtype.is_some();
        if is_coordinate && !a.shape.contains(&0) {
            match opened.axis_values(&a.path).await {
                Ok(values) => coordinate(a, leaf, &values, &mut found),
                // What does not read was found among the objects.
                Err(e) => tracing::debug!(path = %a.path, error = %format!("{e:#}"), "not compared"),
            }
        }
    }
    let all = found.into_iter();
    report.findings.extend(all.map(|(c, p, d)| Finding::new(c, d).of(id).in_version(version).at(p)));
}

/// Whether everything that a variable names is beside it or in a group above.
fn names(a: &ArrayMeta, h: &Hierarchy, found: &mut Vec<(Code, String, String)>) {
    for key in NAMING {
        let Some(text) = a.attributes.get(key).and_then(Value::as_str) else { continue };
        for name in text.split_whitespace().map(|n| n.trim_end_matches(':')) {
            if resolve(h, &a.path, name).is_none() {
                let why = format!("{key} names {name:?}, which is not there");
                found.push((Code::CfCoordinateMissing, a.path.clone(), why));
            }
        }
    }
}

fn resolve<'h>(h: &'h Hierarchy, path: &str, name: &str) -> Option<&'h ArrayMeta> {
    if let Some(absolute) = name.strip_prefix('/') {
        return h.arrays.get(absolute);
    }
    node::scope(path, name).find_map(|p| h.arrays.get(&p))
}

fn coordinate(a: &ArrayMeta, leaf: &str, values: &[f64], found: &mut Vec<(Code, String, String)>) {
    let text = |k: &str| a.attributes.get(k).and_then(Value::as_str);
    let role = role_of(leaf, &a.attributes);
    if role == Role::T {
        match text("units").map(|u| TimeUnits::parse(u, text("calendar"))) {
            None => found.push((Code::CfTime, a.path.clone(), "a time without units".into())),
            Some(Err(e)) => found.push((Code::CfTime, a.path.clone(), e.to_string())),
            Some(Ok(units)) => {
                let bad = values.iter().position(|v| units.decode(*v).is_err());
                if let Some(i) = bad {
                    let why = format!("value {i}, {}, is no instant", values[i]);
                    found.push((Code::CfTime, a.path.clone(), why));
                }
            }
        }
    }
    // Longitudes may go around; and what is not spoken of as an axis need have no order.
    if matches!(role, Role::T | Role::Y | Role::Z)
        && let Some(i) = out_of_order(values)
    {
        let why = format!("values {i} and {} are {} and {}", i + 1, values[i], values[i + 1]);
        found.push((Code::CfNotMonotonic, a.path.clone(), why));
    }
}

/// The first pair that breaks the order of the first.
fn out_of_order(values: &[f64]) -> Option<usize> {
    let rising = values.get(1)? > values.first()?;
    values.windows(2).position(|w| if rising { w[0] >= w[1] } else { w[0] <= w[1] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hierarchy() -> Hierarchy {
        let array = |dims: &[&str], attributes: Value| {
            json!({"zarr_format": 3, "node_type": "array", "shape": vec![2; dims.len()], "data_type": "float64",
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": vec![2; dims.len()]}},
                "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
                "fill_value": 0.0, "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
                "attributes": attributes, "dimension_names": dims})
        };
        let document = json!({"zarr_format": 3, "node_type": "group", "attributes": {},
            "consolidated_metadata": {"kind": "inline", "must_understand": false, "metadata": {
                "time": array(&["time"], json!({"units": "days since 2000-01-01", "bounds": "time_bnds"})),
                "crs": array(&["time"], json!({})),
                "1/v": array(&["time"], json!({"coordinates": "crs", "grid_mapping": "crs: time nothing"}))}}});
        Hierarchy::from_v3(document.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_is_named_must_be_beside_or_above() {
        let h = hierarchy();
        let mut found = Vec::new();
        h.arrays.values().for_each(|a| names(a, &h, &mut found));
        let details: Vec<&str> = found.iter().map(|f| f.2.as_str()).collect();
        assert_eq!(
            details,
            [
                "grid_mapping names \"nothing\", which is not there",
                "bounds names \"time_bnds\", which is not there"
            ]
        );
    }

    #[test]
    fn times_must_decode_and_keep_their_order() {
        let h = hierarchy();
        let codes = |values: &[f64]| {
            let mut found = Vec::new();
            coordinate(&h.arrays["time"], "time", values, &mut found);
            found.into_iter().map(|f| f.0).collect::<Vec<_>>()
        };
        assert_eq!(codes(&[1.0, 2.0, 3.0]), []);
        assert_eq!(codes(&[1.0, 2.0, 2.0]), [Code::CfNotMonotonic]);
        assert_eq!(codes(&[f64::NAN]), [Code::CfTime]);
    }
}
