//! Chunks of a hierarchy, to be referred to from another.

use std::collections::HashMap;
use std::path::PathBuf;

use graticule_shared::zarr::ZarrFormat;
use serde_json::{Value, json};

use super::header::{Stored, Widen};
use super::objects::{Objects, Origin};
use crate::stored::{ChunkSpan, MAX_CHUNKS, StoredChunks, bytes_codec};

pub(super) fn chunks(objects: &dyn Objects, stored: &Stored) -> Result<StoredChunks, String> {
    if stored.widen != Widen::No {
        return Err("half precision is widened when it is read".to_owned());
    }
    let meta = &stored.meta;
    let codecs = match stored.format {
        ZarrFormat::V3 => meta.metadata["codecs"].clone(),
        ZarrFormat::V2 => codecs_of_v2(stored)?,
    };
    let grid = meta.grid_shape();
    let total = grid.iter().try_fold(1u64, |n, g| n.checked_mul(*g)).filter(|n| *n <= MAX_CHUNKS);
    let total = total
        .ok_or_else(|| format!("{grid:?} chunks are more than the {MAX_CHUNKS} that are referred to"))?;
    let mut out = StoredChunks {
        chunk_shape: meta.chunk_shape.clone(),
        codecs,
        files: Vec::new(),
        spans: Vec::new(),
        inline: Vec::new(),
    };
    let mut known: HashMap<PathBuf, u32> = HashMap::new();
    let mut index = vec![0; grid.len()];
    for flat in 0..total {
        let mut rest = flat;
        for (i, n) in index.iter_mut().zip(&grid).rev() {
            *i = rest % n;
            rest /= n;
        }
        match objects.origin(&meta.chunk_key(&index)).map_err(|e| e.reason)? {
            None => {}
            Some(Origin::Bytes(bytes)) => out.inline.push((flat, bytes)),
            Some(Origin::File { path, offset, length }) => {
                let files = &mut out.files;
                let file = *known.entry(path).or_insert_with_key(|path| {
                    files.push(path.clone());
                    files.len() as u32 - 1
                });
                out.spans.push(ChunkSpan { index: flat, file, offset, length });
            }
        }
    }
    Ok(out)
}

/// A v2 array's filters and compressor as a v3 chain: the bytes are the same.
fn codecs_of_v2(stored: &Stored) -> Result<Value, String> {
    let meta = &stored.meta.metadata;
    let mut out = Vec::new();
    if !stored.chain.order.is_empty() {
        out.push(json!({"name": "transpose", "configuration": {"order": stored.chain.order}}));
    }
    let filters = meta["filters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let compressor = Some(&meta["compressor"]).filter(|c| !c.is_null());
    let mut after = Vec::new();
    for codec in filters.iter().chain(compressor) {
        let id = codec["id"].as_str().unwrap_or_default();
        let mut configuration = codec.as_object().cloned().unwrap_or_default();
        configuration.shift_remove("id");
        let numeric =
            matches!(id, "delta" | "fixedscaleoffset" | "astype" | "quantize" | "bitround" | "packbits");
        let named = match id {
            "gzip" => json!({"name": "gzip", "configuration": configuration}),
            "zstd" => {
                let level = configuration.get("level").and_then(Value::as_i64).unwrap_or(0);
                json!({"name": "zstd", "configuration": {"level": level, "checksum": false}})
            }
            _ => json!({"name": format!("numcodecs.{id}"), "configuration": configuration}),
        };
        if numeric && !after.is_empty() {
            return Err(format!("filter {id} comes after one of bytes, which no v3 chain can say"));
        }
        if numeric { out.push(named) } else { after.push(named) }
    }
    out.push(bytes_codec(stored.chain.dtype.size(), stored.chain.big_endian));
    out.extend(after);
    Ok(Value::Array(out))
}
