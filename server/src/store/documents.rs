//! The metadata documents of a version, as ready bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use icechunk::format::snapshot::{NodeData, NodeSnapshot};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{StoreError, repository_error};

/// A document and its strong ETag.
#[derive(Debug, Clone)]
pub struct Document {
    pub bytes: Bytes,
    pub etag: Arc<str>,
}

pub(super) struct Documents {
    /// With everything inline.
    pub root: Document,
    pub nodes: BTreeMap<String, Document>,
    /// The root as it is stored, where it is presented otherwise.
    pub stored: Option<Bytes>,
}

pub(super) fn documents(listed: &[NodeSnapshot]) -> Result<Documents, StoreError> {
    let mut root = Value::Null;
    let mut nodes = Vec::with_capacity(listed.len());
    for node in listed {
        let path = node.path.to_string();
        let path = path.trim_start_matches('/');
        let parsed: Value = serde_json::from_slice(&node.user_data)
            .map_err(|e| StoreError::Corrupt { path: format!("{path}/zarr.json"), reason: e.to_string() })?;
        if path.is_empty() {
            root = parsed;
        } else {
            debug_assert_eq!(
                matches!(node.node_data, NodeData::Array { .. }),
                parsed["node_type"] == "array"
            );
            nodes.push((path.to_owned(), node.user_data.clone(), parsed));
        }
    }
    documents_of(root, nodes.into_iter())
}

/// Of the root's document and of each node's: its path, its text, and what that says.
pub(super) fn documents_of(
    root: Value,
    all: impl Iterator<Item = (String, Bytes, Value)>,
) -> Result<Documents, StoreError> {
    let mut nodes = BTreeMap::new();
    let mut inline = serde_json::Map::new();
    let mut presented = serde_json::Map::new();
    for (path, text, parsed) in all {
        let shown = crate::codec::presented(&parsed);
        let bytes = match &shown {
            Some(shown) => serde_json::to_vec(shown).map_err(repository_error)?.into(),
            None => text,
        };
        nodes.insert(path.clone(), document(bytes));
        presented.extend(shown.map(|shown| (path.clone(), shown)));
        inline.insert(path, parsed);
    }
    let Value::Object(mut root) = root else {
        return Err(StoreError::Corrupt { path: "zarr.json".into(), reason: "no root group".into() });
    };
    inline.sort_keys();
    let mut with = |inline: &serde_json::Map<String, Value>| {
        root.insert(
            "consolidated_metadata".into(),
            serde_json::json!({"kind": "inline", "must_understand": false, "metadata": inline}),
        );
        serde_json::to_vec(&root).map(Bytes::from).map_err(repository_error)
    };
    let mut bytes = with(&inline)?;
    let mut stored = None;
    if !presented.is_empty() {
        inline.extend(presented);
        stored = Some(std::mem::replace(&mut bytes, with(&inline)?));
    }
    Ok(Documents { root: document(bytes), nodes, stored })
}

fn document(bytes: Bytes) -> Document {
    let etag = etag_of(&bytes);
    Document { bytes, etag }
}

pub(super) fn etag_of(bytes: &[u8]) -> Arc<str> {
    format!("\"{}\"", hex(&Sha256::digest(bytes)[..16])).into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}
