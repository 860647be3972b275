//! A cube of references as kerchunk's JSON (fsspec's ReferenceFileSystem, version 1), for whoever
//! reads it with xarray and fsspec alone.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use base64::Engine;
use futures::TryStreamExt;
use graticule_shared::zarr::KeyEncoding;
use serde_json::{Value, json};

use super::contents::Contents;
use super::origin;
use crate::store::{Location, Snapshot};

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Export {
    pub references: u64,
    pub inline: u64,
}

/// Writes the references of a version; chunks of its own are given inline, and its coarser levels left out.
///
/// # Errors
/// A version without references, a chunk that cannot be read, a disk that is full.
pub async fn kerchunk(snapshot: &Snapshot, out: &Path) -> anyhow::Result<Export> {
    let contents = Contents::of(snapshot)?;
    let file = tempfile::NamedTempFile::new_in(
        out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")),
    )
    .with_context(|| out.display().to_string())?;
    let mut w = std::io::BufWriter::new(file);
    let mut counts = Export::default();
    write!(w, "{{\"version\":1,\"refs\":{{")?;
    let nodes = match &contents.v2 {
        Some(_) => contents.groups_v2(),
        None => {
            let group = |a: &_| json!({"zarr_format": 3, "node_type": "group", "attributes": a});
            let below = contents.groups.iter().map(|(p, a)| (format!("{p}/zarr.json"), group(*a)));
            std::iter::once(("zarr.json".to_owned(), group(&contents.attributes))).chain(below).collect()
        }
    };
    for (number, (key, node)) in nodes.into_iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        write!(w, "{comma}{}:{}", json!(key), json!(node.to_string()))?;
    }
    for (number, (path, array)) in contents.arrays.into_iter().enumerate() {
        let mut array = array.clone();
        match contents.v2.as_ref().and_then(|v| v.get(number)) {
            Some((zarray, zattrs)) => {
                write!(w, ",{}:{}", json!(format!("{path}/.zarray")), json!(zarray.to_string()))?;
                write!(w, ",{}:{}", json!(format!("{path}/.zattrs")), json!(zattrs.to_string()))?;
                array.key_encoding = KeyEncoding::V2('.');
            }
            None => {
                let node = snapshot.node_json(path).context("an array without metadata")?;
                let text = String::from_utf8_lossy(&node.bytes);
                write!(w, ",{}:{}", json!(format!("{path}/zarr.json")), json!(text))?;
            }
        }
        let mut chunks = std::pin::pin!(snapshot.chunks_of(path).await?);
        while let Some((index, location)) = chunks.try_next().await? {
            let value: Value = match location {
                Location::Virtual { url, offset, length, .. } => {
                    let file = origin::path(&url).with_context(|| format!("{path}: {url} is no file"))?;
                    counts.references += 1;
                    json!([file.to_string_lossy(), offset, length])
                }
                Location::Inline { bytes, .. } | Location::Made { bytes, .. } => inline(&bytes, &mut counts),
                Location::File { path, offset, length, .. } => inline(
                    &origin::read(&path, offset, length, None).map_err(anyhow::Error::msg)?,
                    &mut counts,
                ),
            };
            write!(w, ",{}:{value}", json!(array.chunk_key(&index)))?;
        }
    }
    write!(w, "}}}}")?;
    let file = w.into_inner().map_err(|e| anyhow::anyhow!("{}: {e}", out.display()))?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(out).with_context(|| out.display().to_string())?;
    Ok(counts)
}

fn inline(bytes: &[u8], counts: &mut Export) -> Value {
    counts.inline += 1;
    json!(format!("base64:{}", base64::engine::general_purpose::STANDARD.encode(bytes)))
}
