//! The groups and arrays of a hierarchy, from consolidated metadata or by walking it.

use std::collections::{BTreeMap, BTreeSet};

use graticule_shared::node::within;
use graticule_shared::zarr::{ArrayMeta, ZarrFormat, check_path};
use serde_json::{Map, Value};

use super::objects::Objects;
use crate::{FormatError, Limits};

/// Groups deep, and folders in all, that a walk goes.
const MAX_DEPTH: usize = 24;
const MAX_FOLDERS: usize = 50_000;
/// Consolidated metadata may have so many times the bytes of one node's.
const CONSOLIDATED: u64 = 16;

/// One array with the version that it is of.
pub(crate) struct Array {
    pub(crate) meta: ArrayMeta,
    pub(crate) format: ZarrFormat,
}

#[derive(Default)]
pub(crate) struct Nodes {
    /// By path; the empty one is the root.
    pub(crate) groups: BTreeMap<String, Map<String, Value>>,
    /// By the path that they are shown at; their own is where their chunks are.
    pub(crate) arrays: BTreeMap<String, Array>,
}

/// JSON as Python writes it: NaN and infinities may stand bare.
pub(crate) fn json(file: &str, key: &str, text: &[u8]) -> Result<Value, FormatError> {
    let said = |e: serde_json::Error| FormatError::new(file, format!("{key} is not JSON: {e}"));
    match serde_json::from_slice(text) {
        Ok(value) => Ok(value),
        Err(e) if text.windows(3).any(|w| w == b"NaN" || w == b"Inf") => {
            serde_json::from_slice(&quoted(text)).map_err(|_| said(e))
        }
        Err(e) => Err(said(e)),
    }
}

/// Bare `NaN`, `Infinity` and `-Infinity` in quotation marks, as Zarr v3 writes them.
fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 16);
    let (mut inside, mut at) = (false, 0);
    while let Some(byte) = text.get(at) {
        let rest = text.get(at..).unwrap_or_default();
        let word =
            [&b"NaN"[..], b"Infinity", b"-Infinity"].into_iter().find(|w| !inside && rest.starts_with(w));
        match (byte, word) {
            (_, Some(word)) => {
                out.push(b'"');
                out.extend_from_slice(word);
                out.push(b'"');
                at += word.len();
                continue;
            }
            (b'\\', None) if inside => {
                out.extend(rest.iter().take(2));
                at += 2;
                continue;
            }
            (b'"', None) => inside = !inside,
            _ => {}
        }
        out.push(*byte);
        at += 1;
    }
    out
}

fn object(v: &Value) -> Map<String, Value> {
    v.as_object().cloned().unwrap_or_default()
}

/// Reads metadata of one hierarchy.
pub(crate) struct Reader<'a> {
    pub(crate) file: &'a str,
    pub(crate) objects: &'a dyn Objects,
    pub(crate) limits: &'a Limits,
}

impl Reader<'_> {
    fn error(&self, why: impl Into<String>) -> FormatError {
        FormatError::new(self.file, why)
    }

    fn document(&self, key: &str, limit: u64) -> Result<Option<Value>, FormatError> {
        let text = self.objects.whole(key, limit).map_err(|e| self.error(e.reason))?;
        text.map(|t| json(self.file, key, &t)).transpose()
    }

    fn node(&self, key: &str) -> Result<Option<Value>, FormatError> {
        self.document(key, self.limits.attribute_bytes)
    }

    /// The whole hierarchy.
    ///
    /// # Errors
    /// No hierarchy, metadata that is none, nodes outside the store, too many of them.
    pub(crate) fn read(&self) -> Result<Nodes, FormatError> {
        let mut nodes = Nodes::default();
        let most = self.limits.attribute_bytes.saturating_mul(CONSOLIDATED);
        if let Some(group) = self.document("zarr.json", most)?
            && group["node_type"] != "array"
        {
            if let Some(listed) =
                group["consolidated_metadata"]["metadata"].as_object().filter(|l| !l.is_empty())
            {
                if group["zarr_format"] != 3 {
                    return Err(self.error(format!("zarr_format is {}, expected 3", group["zarr_format"])));
                }
                nodes.groups.insert(String::new(), object(&group["attributes"]));
                for (path, node) in listed {
                    self.inside(path)?;
                    self.add_v3(&mut nodes, path, node.clone())?;
                }
                return Ok(nodes);
            }
        } else if let Some(all) = self.document(".zmetadata", most)? {
            let Some(listed) = all["metadata"].as_object() else {
                return Err(self.error(".zmetadata has no \"metadata\""));
            };
            self.consolidated_v2(&mut nodes, listed)?;
            return Ok(nodes);
        }
        self.walk(&mut nodes)?;
        Ok(nodes)
    }

    fn inside(&self, path: &str) -> Result<(), FormatError> {
        check_path(path).map_err(|e| self.error(format!("consolidated metadata: {e}")))
    }

    fn consolidated_v2(&self, nodes: &mut Nodes, listed: &Map<String, Value>) -> Result<(), FormatError> {
        for (key, node) in listed {
            let (path, name) = key.rsplit_once('/').unwrap_or(("", key));
            if !path.is_empty() {
                self.inside(path)?;
            }
            let attributes = || listed.get(&within(path, ".zattrs")).map(object).unwrap_or_default();
            match name {
                ".zarray" => self.add_v2(nodes, path, node.clone(), attributes())?,
                ".zgroup" => drop(nodes.groups.insert(path.to_owned(), attributes())),
                _ => {}
            }
        }
        Ok(())
    }

    fn walk(&self, nodes: &mut Nodes) -> Result<(), FormatError> {
        let mut groups = vec![(String::new(), 0)];
        let mut seen = 0usize;
        let mut known = BTreeSet::new();
        while let Some((path, depth)) = groups.pop() {
            seen += 1;
            if seen > MAX_FOLDERS {
                return Err(self.error(format!("more than {MAX_FOLDERS} groups and arrays")));
            }
            if let Some(node) = self.node(&within(&path, "zarr.json"))? {
                known.insert(path.clone());
                self.add_v3(nodes, &path, node)?;
            } else if let Some(node) = self.node(&within(&path, ".zarray"))? {
                known.insert(path.clone());
                let attributes =
                    self.node(&within(&path, ".zattrs"))?.as_ref().map(object).unwrap_or_default();
                self.add_v2(nodes, &path, node, attributes)?;
            } else {
                if let Some(group) = self.node(&within(&path, ".zgroup"))? {
                    if group["zarr_format"] != 2 {
                        let found = &group["zarr_format"];
                        return Err(self.error(format!("{path}/.zgroup: zarr_format is {found}, expected 2")));
                    }
                    known.insert(path.clone());
                }
                let attributes =
                    self.node(&within(&path, ".zattrs"))?.as_ref().map(object).unwrap_or_default();
                nodes.groups.insert(path.clone(), attributes);
            }
            if nodes.arrays.contains_key(&path) {
                continue;
            }
            if depth >= MAX_DEPTH {
                return Err(self.error(format!("{path}: groups are nested more than {MAX_DEPTH} deep")));
            }
            for name in self.objects.folders(&path).map_err(|e| self.error(e.reason))?.into_iter().rev() {
                let path = within(&path, &name);
                self.inside(&path)?;
                groups.push((path, depth + 1));
            }
        }
        if known.is_empty() {
            return Err(self.error("there is no zarr.json, .zgroup or .zarray in it: no Zarr hierarchy"));
        }
        Ok(())
    }

    fn add_v3(&self, nodes: &mut Nodes, path: &str, node: Value) -> Result<(), FormatError> {
        if node["zarr_format"] != 3 {
            let found = &node["zarr_format"];
            return Err(self.error(format!("{path}/zarr.json: zarr_format is {found}, expected 3")));
        }
        match node["node_type"].as_str() {
            Some("group") => drop(nodes.groups.insert(path.to_owned(), object(&node["attributes"]))),
            Some("array") => {
                let meta = ArrayMeta::from_v3(path, node).map_err(|e| self.error(e.to_string()))?;
                self.add(nodes, Array { meta, format: ZarrFormat::V3 })?;
            }
            _ => {
                let found = &node["node_type"];
                return Err(
                    self.error(format!("{path}/zarr.json: node_type is {found}, expected group or array"))
                );
            }
        }
        Ok(())
    }

    fn add_v2(
        &self,
        nodes: &mut Nodes,
        path: &str,
        node: Value,
        attributes: Map<String, Value>,
    ) -> Result<(), FormatError> {
        if node["zarr_format"] != 2 {
            let found = &node["zarr_format"];
            return Err(self.error(format!("{path}/.zarray: zarr_format is {found}, expected 2")));
        }
        let meta = ArrayMeta::from_v2(path, node, attributes).map_err(|e| self.error(e.to_string()))?;
        self.add(nodes, Array { meta, format: ZarrFormat::V2 })
    }

    fn add(&self, nodes: &mut Nodes, array: Array) -> Result<(), FormatError> {
        if nodes.arrays.len() >= self.limits.variables {
            return Err(self.error(format!("more than {} arrays", self.limits.variables)));
        }
        nodes.arrays.insert(array.meta.path.clone(), array);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_lacks_are_read_as_python_writes_them() {
        let value =
            json("f", "k", br#"{"a": NaN, "b": [-Infinity, "NaN \" Infinity"], "c": Infinity}"#).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"a": "NaN", "b": ["-Infinity", "NaN \" Infinity"], "c": "Infinity"})
        );
        assert!(json("f", "k", b"{NaN").is_err());
        assert!(json("f", "k", "[".repeat(5000).as_bytes()).is_err());
    }
}
