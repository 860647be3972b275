//! Where the chunks of a dataset lie, and its filters as codecs of Zarr v3.

use hdf5_reader::error::ByteOrder;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::layout::DataLayout;
use hdf5_reader::{Dataset, Hdf5File};
use serde_json::{Value, json};

use super::{attributes, filters, storage};
use crate::Variable;
use crate::stored::{ChunkSpan, MAX_CHUNKS, StoredChunks, bytes_codec, cut};

/// # Errors
/// In words: a filter that Zarr has not, a chunk stored in a way of its own.
pub(super) fn chunks(library: &Hdf5File, dataset: &Dataset, var: &Variable) -> Result<StoredChunks, String> {
    let (dtype, order) = attributes::number(dataset.dtype()).ok_or("its values mean nothing")?;
    if dataset.shape() != var.shape.as_slice() {
        return Err("it is shorter than its dimensions".to_owned());
    }
    let header = library.get_or_parse_header(dataset.address()).map_err(|e| e.to_string())?;
    let mut codecs = vec![bytes_codec(dtype.size(), order == ByteOrder::BigEndian)];
    let mut compact = false;
    for message in &header.messages {
        match message {
            HdfMessage::FilterPipeline(pipeline) => {
                for f in &pipeline.filters {
                    codecs.push(codec(f.id, &f.client_data, dtype.size())?);
                }
            }
            HdfMessage::DataLayout(layout) => compact = matches!(layout.layout, DataLayout::Compact { .. }),
            HdfMessage::ExternalFiles(_) => return Err("its values are in other files".to_owned()),
            _ => {}
        }
    }
    let mut out = StoredChunks {
        chunk_shape: var.shape.iter().map(|n| (*n).max(1)).collect(),
        codecs: Value::Array(codecs),
        files: Vec::new(),
        spans: Vec::new(),
        inline: Vec::new(),
    };
    if compact {
        out.inline.push((0, dataset.read_raw_bytes().map_err(|e| e.to_string())?));
        return Ok(out);
    }
    match &var.chunks {
        Some(chunk) => {
            let grid: Vec<u64> = var.shape.iter().zip(chunk).map(|(n, c)| n.div_ceil(*c)).collect();
            out.chunk_shape.clone_from(chunk);
            out.spans = listed(dataset, &grid, chunk)?;
        }
        None => {
            out.chunk_shape = cut(&var.shape, dtype.size())?;
            let length = out.chunk_shape.iter().product::<u64>() * dtype.size() as u64;
            let total = var.shape.iter().product::<u64>() * dtype.size() as u64 / length.max(1);
            if total > MAX_CHUNKS {
                return Err(format!("more than the {MAX_CHUNKS} chunks that are referred to"));
            }
            if let Some(begin) = contiguous(dataset, dtype.size())? {
                let span = |i| ChunkSpan { index: i, file: 0, offset: begin + i * length, length };
                out.spans = (0..total).map(span).collect();
            }
        }
    }
    Ok(out)
}

/// Every chunk as the library reads it: its bytes are the last that are read for it.
fn listed(dataset: &Dataset, grid: &[u64], chunk: &[u64]) -> Result<Vec<ChunkSpan>, String> {
    let mut spans = Vec::new();
    let mut chunks = dataset.iter_chunks().map_err(|e| e.to_string())?;
    loop {
        storage::forget();
        let Some(next) = chunks.next() else { break };
        let next = next.map_err(|e| e.to_string())?;
        let (offset, length) = storage::last_range().ok_or("a chunk's place in the file is not known")?;
        if next.filter_mask() != 0 {
            return Err(format!("the chunk at {:?} is stored without some of the filters", next.offsets()));
        }
        if spans.len() as u64 >= MAX_CHUNKS {
            return Err(format!("more than the {MAX_CHUNKS} chunks that are referred to"));
        }
        let place = next.offsets().iter().zip(chunk).zip(grid);
        let index = place.fold(0, |flat, ((o, c), n)| flat * n + o / c);
        spans.push(ChunkSpan { index, file: 0, offset, length });
    }
    Ok(spans)
}

/// Where values without chunks begin; `None` where none were ever written.
fn contiguous(dataset: &Dataset, size: usize) -> Result<Option<u64>, String> {
    use hdf5_reader::{SliceInfo, SliceInfoElem};
    if dataset.shape().contains(&0) {
        return Ok(None);
    }
    let one = |_: &u64| SliceInfoElem::Slice { start: 0, end: 1, step: 1 };
    let first = SliceInfo { selections: dataset.shape().iter().map(one).collect() };
    storage::forget();
    let read = match size {
        1 => dataset.read_slice::<u8>(&first).map(drop),
        2 => dataset.read_slice::<u16>(&first).map(drop),
        4 => dataset.read_slice::<u32>(&first).map(drop),
        _ => dataset.read_slice::<u64>(&first).map(drop),
    };
    // The type may be another of that size: it is the place that is wanted.
    let place = storage::last_range();
    match (read, place) {
        (_, Some((offset, _))) => Ok(Some(offset)),
        (Ok(()), None) => Ok(None),
        (Err(e), None) => Err(e.to_string()),
    }
}

/// A filter of the pipeline as a codec.
fn codec(id: u16, client_data: &[u32], size: usize) -> Result<Value, String> {
    let at = |i: usize| client_data.get(i).copied();
    Ok(match id {
        1 => json!({"name": "numcodecs.zlib", "configuration": {"level": at(0).unwrap_or(4)}}),
        2 => {
            let size = at(0).map_or(size, |n| n as usize);
            json!({"name": "numcodecs.shuffle", "configuration": {"elementsize": size}})
        }
        3 => json!({"name": "numcodecs.fletcher32", "configuration": {}}),
        filters::ZSTD => {
            json!({"name": "zstd", "configuration": {"level": at(0).unwrap_or(3) as i32, "checksum": false}})
        }
        filters::BLOSC => {
            let shuffle = ["noshuffle", "shuffle", "bitshuffle"][at(5).unwrap_or(1).min(2) as usize];
            let name =
                ["blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd"][at(6).unwrap_or(0).min(5) as usize];
            json!({"name": "blosc", "configuration": {"cname": name, "clevel": at(4).unwrap_or(5).min(9),
                "shuffle": shuffle, "typesize": at(2).unwrap_or(size as u32).max(1), "blocksize": 0}})
        }
        4 => return Err("its filter is szip, which no Zarr codec reads".to_owned()),
        5 | 6 => {
            return Err(format!(
                "its filter {id} packs bits (nbit, scale-offset), which no Zarr codec reads"
            ));
        }
        filters::BZIP2 => return Err("its filter is bzip2, which the viewer does not read".to_owned()),
        _ => return Err(format!("its filter {id} is no codec of Zarr's")),
    })
}
