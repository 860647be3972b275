//! Pyramids that a hierarchy brings along, by the `multiscales` convention or by ndpyramid's older
//! one: the finest level becomes the root, the coarser ones the groups `1`, `2` and so on.

use std::collections::{BTreeMap, BTreeSet};

use graticule_shared::dtype::DataType;
use graticule_shared::node;
use serde_json::{Map, Value, json};

use super::nodes::{Array, Nodes};
use crate::{AttrValue, Header, Variable};

/// Attributes that describe the levels: they are written anew.
const ABOUT_LEVELS: [&str; 2] = ["multiscales", "zarr_conventions"];
/// Web Mercator, as carbonplan's maps take a pyramid to be in (EPSG 3857: a sphere).
const WEB_SPHERE: f64 = 6_378_137.0;

/// Groups of the coarser levels after the renaming, finest first; none where there is no pyramid.
pub(crate) fn arrange(nodes: &mut Nodes) -> Vec<String> {
    let root = nodes.groups.get("").cloned().unwrap_or_default();
    let Some(mut found) = levels(&root) else { return Vec::new() };
    // The asset may be an array: its group holds the level.
    for l in &mut found {
        if nodes.arrays.contains_key(l.as_str()) {
            *l = node::group(l).to_owned();
        }
    }
    let within = |path: &str, level: &str| level.is_empty() || path.starts_with(&format!("{level}/"));
    let size = |level: &str| {
        let mine = nodes.arrays.values().filter(|a| match level {
            // At the root, only what no other level holds.
            "" => !found.iter().any(|l| !l.is_empty() && within(&a.meta.path, l)),
            _ => within(&a.meta.path, level),
        });
        mine.map(|a| a.meta.shape.iter().product::<u64>()).max().unwrap_or(0)
    };
    let mut sized: Vec<(u64, String)> =
        found.iter().map(|l| (size(l), l.clone())).filter(|l| l.0 > 0).collect();
    sized.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    sized.dedup_by(|a, b| a.1 == b.1);
    let ordered: Vec<String> = sized.into_iter().map(|(_, l)| l).collect();
    let nested = ordered.iter().any(|a| !a.is_empty() && ordered.iter().any(|b| b != a && within(b, a)));
    if ordered.len() < 2 || nested {
        return Vec::new();
    }
    let renamed = |path: &str| -> String {
        let level = ordered.iter().enumerate().filter(|(_, l)| !l.is_empty());
        for (k, level) in level {
            let rest = if path == level { Some("") } else { path.strip_prefix(&format!("{level}/")) };
            if let Some(rest) = rest {
                return match (k, rest) {
                    (0, rest) => rest.to_owned(),
                    (k, "") => k.to_string(),
                    (k, rest) => format!("{k}/{rest}"),
                };
            }
        }
        path.to_owned()
    };
    let names: Vec<String> = nodes.arrays.keys().map(|p| renamed(p)).collect();
    let distinct: BTreeSet<&String> = names.iter().collect();
    if distinct.len() < names.len() {
        return Vec::new();
    }
    let web = is_web_mercator(&root);
    for (path, mut array) in std::mem::take(&mut nodes.arrays) {
        if web {
            place_on_web_mercator(&mut array);
        }
        nodes.arrays.insert(renamed(&path), array);
    }
    let mut groups: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for (path, attributes) in std::mem::take(&mut nodes.groups) {
        let attributes = attributes.into_iter().filter(|(k, _)| !ABOUT_LEVELS.contains(&k.as_str()));
        groups.entry(renamed(&path)).or_default().extend(attributes);
    }
    nodes.groups = groups;
    (1..ordered.len()).map(|k| k.to_string()).collect()
}

/// Groups or arrays that the root's attributes name as levels.
fn levels(root: &Map<String, Value>) -> Option<Vec<String>> {
    let about = root.get("multiscales")?;
    let texts = |list: &Value, key: &str| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(|e| Some(e[key].as_str()?.to_owned())).collect()
    };
    let listed = match about.as_array() {
        Some(list) => list.iter().flat_map(|m| texts(&m["datasets"], "path")).collect(),
        None => texts(&about["layout"], "asset"),
    };
    let mut out = Vec::new();
    for asset in listed {
        let clean = asset.trim_matches('/').trim_start_matches("./");
        let clean = if clean == "." { "" } else { clean };
        let inside = clean.is_empty() || graticule_shared::zarr::check_path(clean).is_ok();
        if inside && !out.iter().any(|l| l == clean) {
            out.push(clean.to_owned());
        }
    }
    (out.len() > 1).then_some(out)
}

fn is_web_mercator(root: &Map<String, Value>) -> bool {
    let list = root.get("multiscales").and_then(Value::as_array);
    let mut datasets = list.into_iter().flatten().filter_map(|m| m["datasets"].as_array()).flatten();
    datasets.any(|d| d["crs"] == "EPSG:3857")
}

/// ndpyramid says the projection once, for all: CF says it with each array and axis.
fn place_on_web_mercator(array: &mut Array) {
    let attributes = &mut array.meta.attributes;
    let dims = &array.meta.dims;
    let leaf = array.meta.path.rsplit('/').next().unwrap_or_default();
    let axis = dims.len() == 1 && dims.first().is_some_and(|d| d == leaf);
    if axis && matches!(leaf, "x" | "y") {
        attributes.entry("standard_name").or_insert(json!(format!("projection_{leaf}_coordinate")));
        attributes.entry("units").or_insert(json!("m"));
    } else if dims.ends_with(&["y".to_owned(), "x".to_owned()]) {
        attributes.entry("grid_mapping").or_insert(json!("crs"));
    }
}

/// The grid mapping that arrays on Web Mercator name, where the hierarchy has none of that name.
pub(crate) fn web_mercator(header: &Header) -> Option<Variable> {
    let names = |v: &Variable| v.attribute("grid_mapping").and_then(AttrValue::as_text) == Some("crs");
    if header.variables.iter().any(|v| v.path == "crs") || !header.variables.iter().any(names) {
        return None;
    }
    let mut attributes = vec![("grid_mapping_name".to_owned(), AttrValue::Text("mercator".into()))];
    for (name, value) in [
        ("standard_parallel", 0.0),
        ("longitude_of_projection_origin", 0.0),
        ("false_easting", 0.0),
        ("false_northing", 0.0),
        ("semi_major_axis", WEB_SPHERE),
        ("semi_minor_axis", WEB_SPHERE),
    ] {
        attributes.push((name.to_owned(), AttrValue::Floats(DataType::Float64, vec![value])));
    }
    Some(Variable {
        path: "crs".to_owned(),
        dims: Vec::new(),
        shape: Vec::new(),
        dtype: DataType::Int32,
        attributes,
        chunks: None,
    })
}

/// Root attributes of a hierarchy whose levels are stores side by side.
pub(crate) fn side_by_side(levels: &[String]) -> Map<String, Value> {
    let layout: Vec<Value> = levels.iter().map(|l| json!({"asset": l})).collect();
    let mut root = Map::new();
    root.insert("multiscales".into(), json!({"layout": layout}));
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_outside_the_store_are_no_levels() {
        let root =
            json!({"multiscales": {"layout": [{"asset": "../../etc"}, {"asset": "0"}, {"asset": "0"}]}});
        assert_eq!(levels(root.as_object().unwrap()), None);
        let root = json!({"multiscales": [{"datasets": [{"path": "0"}, {"path": "./1/"}]}]});
        assert_eq!(levels(root.as_object().unwrap()), Some(vec!["0".to_owned(), "1".to_owned()]));
    }
}
