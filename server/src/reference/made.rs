//! The virtual array that stands for one variable of several files.

use std::collections::HashMap;
use std::path::PathBuf;

use graticule_formats::{FormatError, Limits};
use graticule_shared::codec::Chain;
use graticule_shared::zarr::{ArrayMeta, Sharding, ZarrFormat};
use serde_json::{Value, json};

use super::origin;
use crate::codec::Decoder;
use crate::store::{ChunkSink, Parts, Payload};

/// One file's part along the dimension that grows.
pub struct Piece {
    pub path: PathBuf,
    /// Where its first step is in the whole.
    pub from: u64,
}

/// Level 0 of a variable.
pub struct Made {
    pub metadata: Value,
    /// What is too small to be referred to, or has no place of its own.
    pub chunks: Vec<(Vec<u32>, Payload)>,
    /// What stays in the files.
    pub parts: Vec<Parts>,
}

/// Refers to the chunks of `variable` in every piece. `planned` is the array as it would be stored,
/// `axis` the one that grows; `former` what is there already.
///
/// # Errors
/// Chunks that cannot be referred to, that the viewer cannot decode, that differ between the files,
/// or that do not begin where a file begins.
pub fn make(
    variable: &str,
    planned: &Value,
    axis: Option<usize>,
    pieces: &[Piece],
    former: Option<&ArrayMeta>,
    sink: &ChunkSink,
) -> anyhow::Result<Made> {
    let mut metadata = planned.clone();
    let mut known = former.map(|f| (f.chunk_shape.clone(), f.metadata["codecs"].clone()));
    let (mut chunks, mut parts) = (Vec::new(), Vec::new());
    // What has no part in the growth is the same in every file.
    let pieces = if axis.is_some() { pieces } else { pieces.get(..1).unwrap_or_default() };
    for piece in pieces {
        let name = piece.path.display().to_string();
        let refuse = |why: String| FormatError::new(&name, why).in_variable(variable);
        // No cache: every chunk's place is seen as it is read.
        let limits = Limits { cache_bytes: 0, ..crate::ingest::limits() };
        let source = graticule_formats::open(&piece.path, limits)?;
        let mut stored = source.stored(variable).map_err(|e| refuse(e.reason))?;
        let this = (stored.chunk_shape.clone(), stored.codecs.clone());
        let first = known.get_or_insert_with(|| this.clone());
        if first.0 != this.0 {
            let why = format!("its chunks are {:?}, those of the collection {:?}", this.0, first.0);
            return Err(refuse(why).into());
        }
        if !alike(&first.1, &this.1) {
            return Err(
                refuse(format!("its codecs are {}, those of the collection {}", this.1, first.1)).into()
            );
        }
        let v = source.header().variables.iter().find(|v| v.path == variable);
        let v = v.ok_or_else(|| refuse("there is no such variable".to_owned()))?;
        let step = axis.and_then(|a| stored.chunk_shape.get(a)).copied().unwrap_or(1).max(1);
        if !piece.from.is_multiple_of(step) {
            let why = format!(
                "its first step would be number {} of the collection, within a chunk of {step} steps; references can only follow whole chunks: ingest a copy, or rechunk the files",
                piece.from
            );
            return Err(refuse(why).into());
        }
        let grid: Vec<u64> =
            v.shape.iter().zip(&stored.chunk_shape).map(|(n, c)| n.div_ceil((*c).max(1))).collect();
        let files = if stored.files.is_empty() { vec![piece.path.clone()] } else { stored.files.clone() };
        let mut urls = Vec::with_capacity(files.len());
        for file in &files {
            let file = file.canonicalize().map_err(|e| refuse(format!("{}: {e}", file.display())))?;
            urls.push((origin::url(&file), origin::modified(&file).map_err(&refuse)?));
        }
        let place = |flat: u64| -> anyhow::Result<Vec<u32>> {
            let (mut rest, mut index) = (flat, vec![0u32; grid.len()]);
            for a in (0..grid.len()).rev() {
                let n = grid[a].max(1);
                let shift = if Some(a) == axis { piece.from / step } else { 0 };
                index[a] = u32::try_from(rest % n + shift)?;
                rest /= n;
            }
            Ok(index)
        };
        for (flat, bytes) in &stored.inline {
            chunks.push((place(*flat)?, sink.put(bytes.clone())?));
        }
        let described = described(&mut metadata, &this, variable).map_err(&refuse)?;
        verify(source.as_ref(), v, &stored, &files, &described).map_err(&refuse)?;
        if former.is_none()
            && (stored.spans.len() + stored.inline.len()) < grid.iter().product::<u64>() as usize
        {
            unwritten(&mut metadata, source.as_ref(), v, &stored, &grid)?;
        }
        let first = (0..grid.len()).map(|a| if Some(a) == axis { piece.from / step } else { 0 });
        let first = first.collect();
        parts.push(Parts::new(grid, first, urls, std::mem::take(&mut stored.spans))?);
    }
    if let Some(former) = former {
        metadata["fill_value"] = former.metadata["fill_value"].clone();
    }
    Ok(Made { metadata, chunks, parts })
}

/// Compression levels and the like say how it was written, not how it is read.
fn alike(a: &Value, b: &Value) -> bool {
    let reading = |v: &Value| -> Vec<(Value, Value)> {
        let list = v.as_array().map(Vec::as_slice).unwrap_or_default();
        let part = |c: &Value| {
            let mut configuration = c["configuration"].clone();
            if let Some(o) = configuration.as_object_mut() {
                ["level", "clevel", "cname", "blocksize"].iter().for_each(|k| drop(o.shift_remove(*k)));
            }
            (c["name"].clone(), configuration)
        };
        list.iter().map(part).collect()
    };
    reading(a) == reading(b)
}

/// Writes chunks and codecs into the metadata; refused where the viewer cannot decode them.
fn described(
    metadata: &mut Value,
    (shape, codecs): &(Vec<u64>, Value),
    variable: &str,
) -> Result<ArrayMeta, String> {
    metadata["chunk_grid"] = json!({"name": "regular", "configuration": {"chunk_shape": shape}});
    metadata["codecs"] = codecs.clone();
    let array = ArrayMeta::from_v3(variable, metadata.clone()).map_err(|e| e.to_string())?;
    let unread = |e: &dyn std::fmt::Display| format!("the viewer cannot decode it: {e}");
    let shown = crate::codec::presented(&array.metadata).map(|m| ArrayMeta::from_v3(variable, m));
    let shown = shown.transpose().map_err(|e| unread(&e))?;
    Chain::new(shown.as_ref().unwrap_or(&array), ZarrFormat::V3).map_err(|e| unread(&e))?;
    Ok(array)
}

/// The first and the last chunk decode by the metadata to what the reader reads.
fn verify(
    source: &dyn graticule_formats::Source,
    v: &graticule_formats::Variable,
    stored: &graticule_formats::StoredChunks,
    files: &[PathBuf],
    array: &ArrayMeta,
) -> Result<(), String> {
    if let Some(Sharding { .. }) = array.sharding {
        // Inner chunks are found by the shard's own index.
        return Ok(());
    }
    let decoder = Decoder::referred(array)?;
    for span in stored.spans.first().into_iter().chain(stored.spans.last()) {
        let file = files.get(span.file as usize).ok_or("a file that is not there")?;
        let bytes = origin::read(file, span.offset, span.length, None)?;
        let block = decoder.decode(&bytes)?;
        let (mut start, mut rest) = (vec![0; v.shape.len()], span.index);
        for (a, n) in v.shape.iter().zip(&stored.chunk_shape).map(|(n, c)| n.div_ceil(*c)).enumerate().rev() {
            start[a] = rest % n.max(1) * stored.chunk_shape[a];
            rest /= n.max(1);
        }
        let mut count = vec![1; v.shape.len()];
        if let Some(a) = v.shape.len().checked_sub(1) {
            count[a] = stored.chunk_shape[a].min(v.shape[a].saturating_sub(start[a]));
        }
        let expected = source.read(&v.path, &start, &count).map_err(|e| e.reason)?;
        if !block.starts_with(&expected) {
            return Err(format!("the chunk at {start:?} does not decode to what is read there"));
        }
    }
    Ok(())
}

/// Where chunks were never written, the fill value is what the reader gives there.
fn unwritten(
    metadata: &mut Value,
    source: &dyn graticule_formats::Source,
    v: &graticule_formats::Variable,
    stored: &graticule_formats::StoredChunks,
    grid: &[u64],
) -> anyhow::Result<()> {
    let there: HashMap<u64, ()> = stored
        .spans
        .iter()
        .map(|s| s.index)
        .chain(stored.inline.iter().map(|i| i.0))
        .map(|i| (i, ()))
        .collect();
    let total: u64 = grid.iter().product();
    let Some(missing) = (0..total).find(|i| !there.contains_key(i)) else { return Ok(()) };
    let (mut start, mut rest) = (vec![0; grid.len()], missing);
    for a in (0..grid.len()).rev() {
        start[a] = rest % grid[a].max(1) * stored.chunk_shape[a];
        rest /= grid[a].max(1);
    }
    let one = source.read(&v.path, &start, &vec![1; start.len()])?;
    let value = v.dtype.to_f64_vec(&one).first().copied().unwrap_or(0.0);
    metadata["fill_value"] = if v.dtype.is_float() {
        graticule_formats::AttrValue::Floats(v.dtype, vec![value]).to_json()
    } else {
        json!(value as i64)
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_that_read_alike_are_alike() {
        let chain = |level: u32, size: u32| {
            json!([{"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "numcodecs.shuffle", "configuration": {"elementsize": size}},
                {"name": "numcodecs.zlib", "configuration": {"level": level}}])
        };
        assert!(alike(&chain(1, 4), &chain(9, 4)));
        assert!(!alike(&chain(1, 4), &chain(1, 2)));
    }
}
