//! Metadata against the Zarr v3 core specification and the conventions that it names:
//! `multiscales`, `spatial:` and `proj:`.

use std::collections::BTreeMap;

use graticule_shared::zarr::Hierarchy;
use serde_json::{Map, Value};

use super::{Code, Finding, Report};
use crate::codec::Decoder;

/// What was found, as code, path and detail.
type Found = Vec<(Code, String, String)>;

pub fn check(h: &Hierarchy, root: &[u8], id: &str, report: &mut Report) {
    let mut found = Found::new();
    match serde_json::from_slice::<Value>(root) {
        Ok(document) => zarr(&document, h, &mut found),
        Err(e) => found.push((Code::ZarrInvalid, "zarr.json".into(), e.to_string())),
    }
    conventions(h, &mut found);
    report.findings.extend(found.into_iter().map(|(c, p, d)| Finding::new(c, d).of(id).at(p)));
}

fn zarr(document: &Value, h: &Hierarchy, found: &mut Found) {
    let nodes = document["consolidated_metadata"]["metadata"].as_object().cloned().unwrap_or_default();
    let mut invalid =
        |path: &str, why: &str| found.push((Code::ZarrInvalid, path.to_owned(), why.to_owned()));
    for (path, node) in &nodes {
        if node["zarr_format"] != 3 {
            invalid(path, "zarr_format is not 3");
        }
        if let Some((group, _)) = path.rsplit_once('/')
            && nodes.get(group).is_none_or(|g| g["node_type"] != "group")
        {
            invalid(path, "lies in no group");
        }
        if node["node_type"] != "array" {
            continue;
        }
        for key in ["shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs"] {
            if node.get(key).is_none() {
                invalid(path, &format!("has no {key}"));
            }
        }
        if node["codecs"].as_array().is_none_or(Vec::is_empty) {
            invalid(path, "has no codecs");
        }
        let (shape, names) = (node["shape"].as_array(), node["dimension_names"].as_array());
        if let (Some(shape), Some(names)) = (shape, names)
            && shape.len() != names.len()
        {
            invalid(path, "dimension_names are not as many as dimensions");
        }
    }
    for array in h.arrays.values().filter(|a| a.dtype.is_some()) {
        if let Err(e) = Decoder::new(array.block_metadata()) {
            invalid(&array.path, &e);
        }
    }
}

fn conventions(h: &Hierarchy, found: &mut Found) {
    let a = &h.attributes;
    let named = |name: &str| {
        a.get("zarr_conventions")
            .and_then(Value::as_array)
            .is_some_and(|l| l.iter().any(|c| c["name"] == name))
    };
    for (key, name, code) in [
        ("multiscales", "multiscales", Code::MultiscalesInvalid),
        ("spatial:dimensions", "spatial:", Code::SpatialInvalid),
        ("proj:code", "proj:", Code::ProjInvalid),
        ("proj:wkt2", "proj:", Code::ProjInvalid),
    ] {
        if a.contains_key(key) && !named(name) {
            found.push((
                code,
                "zarr.json".into(),
                format!("{key} is there, zarr_conventions does not name {name}"),
            ));
        }
    }
    spatial(a, found);
    if a.get("proj:code").is_some_and(|c| {
        c.as_str().and_then(|c| c.split_once(':')).is_none_or(|(o, n)| o.is_empty() || n.is_empty())
    }) {
        found.push((Code::ProjInvalid, "zarr.json".into(), "proj:code is no AUTHORITY:CODE".into()));
    }
    if let Some(m) = a.get("multiscales") {
        multiscales(m, h, found);
    }
}

fn spatial(a: &Map<String, Value>, found: &mut Found) {
    let mut wrong = |why: &str| found.push((Code::SpatialInvalid, "zarr.json".into(), why.to_owned()));
    let numbers = |key: &str| -> Option<Option<Vec<f64>>> {
        let list = a.get(key)?.as_array().map(|l| l.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>());
        Some(list.flatten())
    };
    if a.get("spatial:dimensions").is_some_and(|d| {
        d.as_array().is_none_or(|d| !(2..=3).contains(&d.len()) || !d.iter().all(Value::is_string))
    }) {
        wrong("spatial:dimensions are not two or three names");
    }
    if numbers("spatial:transform").is_some_and(|t| t.is_none_or(|t| t.len() != 6)) {
        wrong("spatial:transform is not six numbers");
    }
    match numbers("spatial:bbox") {
        Some(Some(b)) if b.len() == 4 && b[0] <= b[2] && b[1] <= b[3] => {}
        None => {}
        Some(_) => wrong("spatial:bbox is not four numbers, the least first"),
    }
}

fn multiscales(m: &Value, h: &Hierarchy, found: &mut Found) {
    let at = || "zarr.json".to_owned();
    let Some(layout) = m["layout"].as_array().filter(|l| !l.is_empty()) else {
        found.push((Code::MultiscalesInvalid, at(), "multiscales has no layout".into()));
        return;
    };
    let mut known: Vec<&str> = Vec::new();
    let shapes = |asset: &str| -> BTreeMap<String, Vec<u64>> {
        let prefix = if asset == "." { String::new() } else { format!("{asset}/") };
        let inside = h.arrays.values().filter_map(|a| Some((a.path.strip_prefix(&prefix)?, a)));
        inside.map(|(p, a)| (p.to_owned(), a.shape.clone())).collect()
    };
    for level in layout {
        let Some(asset) = level["asset"].as_str() else {
            found.push((Code::MultiscalesInvalid, at(), "a level names no asset".into()));
            continue;
        };
        if asset != "." && !h.arrays.keys().any(|p| p.starts_with(&format!("{asset}/"))) {
            found.push((Code::MultiscalesInvalid, asset.to_owned(), "a level that is not there".into()));
        }
        if let Some(t) = level.get("transform")
            && ["scale", "translation"].iter().any(|k| {
                t.get(*k).is_some_and(|v| {
                    v.as_array().is_none_or(|v| v.is_empty() || !v.iter().all(|n| n.as_f64().is_some()))
                })
            })
        {
            found.push((Code::MultiscalesInvalid, asset.to_owned(), "a transform of no numbers".into()));
        }
        if let Some(from) = level.get("derived_from") {
            let from = from.as_str().unwrap_or_default();
            if !known.contains(&from) {
                let why = format!("derived from {from:?}, which no level before it is");
                found.push((Code::MultiscalesInvalid, asset.to_owned(), why));
            } else if level["transform"]["scale"][0].as_f64() == Some(2.0) {
                halves(&shapes(from), &shapes(asset), asset, found);
            }
        }
        known.push(asset);
    }
}

/// Each dimension of a level is as long as that below, or half as long and rounded up.
fn halves(
    below: &BTreeMap<String, Vec<u64>>,
    level: &BTreeMap<String, Vec<u64>>,
    asset: &str,
    found: &mut Found,
) {
    for (name, shape) in level {
        let Some(finer) = below.get(name) else { continue };
        let fits =
            finer.len() == shape.len() && finer.iter().zip(shape).all(|(f, s)| s == f || *s == f.div_ceil(2));
        if !fits {
            let why = format!("{shape:?} is no half of {finer:?}, the level below");
            found.push((Code::LevelShape, format!("{asset}/{name}"), why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn codes(document: &Value) -> Vec<Code> {
        let bytes = serde_json::to_vec(document).unwrap();
        let mut report = Report::default();
        check(&Hierarchy::from_v3(&bytes).unwrap(), &bytes, "c", &mut report);
        report.findings.iter().map(|f| f.code).collect()
    }

    fn array(shape: &[u64]) -> Value {
        json!({"zarr_format": 3, "node_type": "array", "shape": shape, "data_type": "float32",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shape}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0.0, "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "attributes": {}, "dimension_names": ["y", "x"]})
    }

    fn document() -> Value {
        let layout = json!([{"asset": ".", "transform": {"scale": [1.0, 1.0], "translation": [0.0, 0.0]}},
            {"asset": "1", "derived_from": ".", "transform": {"scale": [2.0, 2.0], "translation": [0.5, 0.5]}}]);
        json!({"zarr_format": 3, "node_type": "group", "attributes": {
            "zarr_conventions": [{"name": "multiscales"}, {"name": "spatial:"}, {"name": "proj:"}],
            "multiscales": {"layout": layout}, "proj:code": "EPSG:4326",
            "spatial:dimensions": ["y", "x"], "spatial:bbox": [-180.0, -90.0, 180.0, 90.0],
            "spatial:transform": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]},
            "consolidated_metadata": {"kind": "inline", "must_understand": false, "metadata": {
                "v": array(&[5, 8]), "1/v": array(&[3, 4]),
                "1": {"zarr_format": 3, "node_type": "group", "attributes": {}}}}})
    }

    #[test]
    fn what_is_written_as_the_rules_have_it_passes() {
        assert_eq!(codes(&document()), []);
    }

    #[test]
    fn each_broken_rule_is_named() {
        type Break = fn(&mut Value);
        let cases: [(Code, Break); 8] = [
            (Code::LevelShape, |d| d["consolidated_metadata"]["metadata"]["1/v"] = array(&[2, 4])),
            (Code::MultiscalesInvalid, |d| d["attributes"]["multiscales"]["layout"][1]["asset"] = json!("9")),
            (Code::MultiscalesInvalid, |d| d["attributes"]["multiscales"]["layout"] = json!([])),
            (Code::MultiscalesInvalid, |d| {
                d["attributes"]["multiscales"]["layout"][1]["derived_from"] = json!("7");
            }),
            (Code::SpatialInvalid, |d| d["attributes"]["spatial:bbox"] = json!([180.0, 0.0, -180.0, 1.0])),
            (Code::SpatialInvalid, |d| d["attributes"]["spatial:transform"] = json!([1.0])),
            (Code::ProjInvalid, |d| d["attributes"]["proj:code"] = json!("4326")),
            (Code::ZarrInvalid, |d| {
                d["consolidated_metadata"]["metadata"]["v"]["dimension_names"] = json!(["y"]);
            }),
        ];
        for (n, (code, damage)) in cases.into_iter().enumerate() {
            let mut d = document();
            damage(&mut d);
            let bytes = serde_json::to_vec(&d).unwrap();
            // What the parser refuses already is no case of this check.
            if Hierarchy::from_v3(&bytes).is_ok() {
                assert!(codes(&d).contains(&code), "case {n}: {:?}", codes(&d));
            } else {
                assert_eq!(code, Code::ZarrInvalid, "case {n}");
            }
        }
    }
}
