//! Which groups of a store hold the same fields at which resolution.

use serde_json::Value;

use crate::node;
use crate::zarr::Hierarchy;

pub(super) fn strip_level<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    if prefix.is_empty() { Some(path) } else { path.strip_prefix(prefix)?.strip_prefix('/') }
}

pub(super) struct LayoutLevel {
    /// Group path; empty for the root.
    pub prefix: String,
    /// Cumulative factor against the first level, where the metadata says it.
    pub factor: Option<(f64, f64)>,
}

/// Levels by the `multiscales` convention, ndpyramid's older one, or none.
pub(super) fn pyramid_layout(h: &Hierarchy, notes: &mut Vec<String>) -> Vec<LayoutLevel> {
    let clean = |asset: &str| {
        asset.trim_matches('/').strip_prefix("./").unwrap_or(asset.trim_matches('/')).to_owned()
    };
    if let Some(layout) =
        h.attributes.get("multiscales").and_then(|m| m.get("layout")).and_then(Value::as_array)
    {
        let mut levels: Vec<LayoutLevel> = Vec::new();
        for entry in layout {
            let Some(asset) = entry.get("asset").and_then(Value::as_str) else { continue };
            let prefix = if asset == "." { String::new() } else { clean(asset) };
            if prefix.split('/').any(|s| s == "..") || levels.iter().any(|l| l.prefix == prefix) {
                notes.push(format!("multiscales: level {asset:?} was set aside"));
                continue;
            }
            // The array itself may be the asset: its group holds the level.
            let prefix =
                if h.arrays.contains_key(&prefix) { node::group(&prefix).to_owned() } else { prefix };
            levels.push(LayoutLevel { prefix, factor: None });
        }
        return levels;
    }
    // ndpyramid: multiscales is a list whose datasets have paths, coarsest first.
    if let Some(list) = h.attributes.get("multiscales").and_then(Value::as_array) {
        let mut paths: Vec<String> = list
            .iter()
            .filter_map(|m| m.get("datasets").and_then(Value::as_array))
            .flatten()
            .filter_map(|d| d.get("path").and_then(Value::as_str))
            .filter(|p| !p.split('/').any(|s| s == ".."))
            .map(clean)
            .collect();
        let size = |p: &str| {
            h.arrays
                .values()
                .filter(|a| strip_level(&a.path, p).is_some())
                .map(|a| a.shape.iter().product::<u64>())
                .max()
        };
        paths.sort_by_key(|p| std::cmp::Reverse(size(p)));
        paths.dedup();
        return paths.into_iter().map(|prefix| LayoutLevel { prefix, factor: None }).collect();
    }
    vec![LayoutLevel { prefix: String::new(), factor: Some((1.0, 1.0)) }]
}
