//! Where an item or a view is from: links and members of the STAC extensions "processing" and "file".

use serde_json::{Map, Value, json};

use super::stac;
use crate::catalog::items::Item;
use crate::catalog::{Collection, Facts};
use crate::store::Granule;
use crate::views;

pub const PROCESSING: &str = "https://stac-extensions.github.io/processing/v1.2.0/schema.json";
pub const FILE: &str = "https://stac-extensions.github.io/file/v2.1.0/schema.json";

/// As items say it; none where a file's checksum was not taken.
pub fn checksum(sha256: &str) -> Option<String> {
    (sha256.len() == 64).then(|| format!("sha256:{sha256}"))
}

/// The granule of an item.
pub fn granule(i: &Item) -> Granule {
    serde_json::from_value(i.record.clone()).unwrap_or_default()
}

/// `derived_from`: the file where it can be fetched, else what is known of it here.
pub fn links(i: &Item, g: &Granule, base: &str) -> Vec<Value> {
    let file = if g.name.is_empty() { &i.name } else { &g.name };
    let asked = match checksum(&i.checksum) {
        Some(sum) => sum,
        None => stac::path_segment(file),
    };
    let known = stac::link("derived_from", &format!("{base}/api/lineage?source={asked}"), "application/json");
    let source = g.public_source();
    let mut from =
        if source.contains("://") { json!({"rel": "derived_from", "href": source}) } else { known.clone() };
    from["title"] = json!(file);
    from["file:size"] = json!(i.bytes);
    if i.checksum.len() == 64 {
        // A multihash: SHA2-256, 32 bytes.
        from["file:checksum"] = json!(format!("1220{}", i.checksum));
    }
    let mut out = vec![from];
    if source.contains("://") {
        let mut others = known;
        others["rel"] = json!("related");
        others["title"] = json!(format!("What else was made of {file}"));
        out.push(others);
    }
    out
}

/// Members of the processing extension.
pub fn properties(i: &Item, g: &Granule, c: &Collection) -> Map<String, Value> {
    let file = if g.name.is_empty() { &i.name } else { &g.name };
    let sum = checksum(&i.checksum).map_or_else(String::new, |s| format!(" ({s})"));
    let lineage = match (i.steps, c.facts.table.is_some()) {
        (_, true) => format!("Rows of the table were read from {file}{sum}."),
        (Some((first, 1)), _) => format!("Step {first} of the cube was read from {file}{sum}."),
        (Some((first, n)), _) => {
            format!("Steps {first} to {} of the cube were read from {file}{sum}.", first + n.max(1) - 1)
        }
        (None, _) => format!("The cube was read from {file}{sum}."),
    };
    let mut out = Map::new();
    out.insert("processing:lineage".into(), json!(lineage));
    if let Some(version) = &g.software {
        out.insert("processing:software".into(), json!({"graticule": version}));
    }
    if let Some(level) = level(&c.facts) {
        out.insert("processing:level".into(), json!(level));
    }
    out
}

/// What a view is computed from, and how: as its collection says it.
pub fn add_view(out: &mut Value, declaration: &Value, base: &str) {
    out["graticule:view"] = declaration.clone();
    let Some((of, version)) = beneath(declaration) else { return };
    if let Some(links) = out["links"].as_array_mut() {
        let mut from =
            stac::link("derived_from", &format!("{base}/api/collections/{of}"), "application/json");
        from["title"] = json!(format!("{of}, of which this is computed from version {version}"));
        links.push(from);
    }
    // A collection has no place of its own for the extension's members.
    for asset in ["zarr", "zarr-version", "zarr2"] {
        if let Some(Value::Object(asset)) = out["assets"].get_mut(asset) {
            asset.insert("processing:lineage".into(), json!(of_view(declaration)));
            asset.insert("processing:software".into(), json!({"graticule": env!("CARGO_PKG_VERSION")}));
        }
    }
}

/// The collection and the version that a version of a view is computed from.
pub fn beneath(declaration: &Value) -> Option<(&str, &str)> {
    Some((declaration["of"].as_str()?, declaration["version"].as_str()?))
}

/// The same in words.
pub fn of_view(declaration: &Value) -> Option<String> {
    let (of, version) = beneath(declaration)?;
    let steps: Vec<String> = views::steps(declaration)
        .into_iter()
        .map(|step| match declaration[step].as_object().filter(|_| step == "formula") {
            Some(of) => format!("{step} of {}", of.keys().map(String::as_str).collect::<Vec<_>>().join(", ")),
            None => step.to_owned(),
        })
        .collect();
    Some(format!("Computed when it is read, from version {version} of {of}: {}.", steps.join("; ")))
}

/// `L3` of the attribute `processing_level` (ACDD 1.3), where it names a level.
fn level(f: &Facts) -> Option<String> {
    let said = f.attributes.get("processing_level")?.as_str()?.trim();
    let rest = said.get(..5).filter(|p| p.eq_ignore_ascii_case("level")).and_then(|_| said.get(5..));
    let rest = rest.or_else(|| said.strip_prefix(['L', 'l'])).unwrap_or(said);
    let rest = rest.trim_start_matches([' ', '-', '_']).to_ascii_uppercase();
    let mut chars = rest.chars();
    let digit = chars.next().is_some_and(|c| ('0'..='4').contains(&c));
    let tail = chars.as_str();
    let part =
        tail.is_empty() || (tail.len() == 1 && ('A'..='U').contains(&tail.chars().next().unwrap_or(' ')));
    (digit && part).then(|| format!("L{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processing_level_is_told_only_where_it_is_one() {
        let of = |said: &str| {
            let mut f = Facts::default();
            f.attributes.insert("processing_level".into(), json!(said));
            level(&f)
        };
        for (said, level) in [
            ("L3", Some("L3")),
            ("l2p", Some("L2P")),
            ("Level 4", Some("L4")),
            ("3C", Some("L3C")),
            ("Level-1b", Some("L1B")),
            ("NASA Level 9", None),
            ("Land", None),
            ("gridded", None),
            ("", None),
        ] {
            assert_eq!(of(said).as_deref(), level, "{said}");
        }
    }
}
