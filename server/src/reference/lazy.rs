//! A cube of references as kerchunk's Parquet, which fsspec's `LazyReferenceMapper` reads: a folder
//! with `.zmetadata`, and for each array `refs.0.parq`, `refs.1.parq`, ... of so many chunks each,
//! by their number in C order. A reader loads only the files that it needs.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use futures::TryStreamExt;
use graticule_shared::zarr::ArrayMeta;
use serde_json::{Map, Value, json};

use super::contents::Contents;
use super::export::Export;
use super::origin;
use crate::parquet::{self, Column};
use crate::store::{Location, Snapshot};

/// References in one file that fsspec writes by itself.
pub const RECORD_SIZE: u64 = 10_000;

#[derive(Clone)]
enum Row {
    Missing,
    /// Number of the file, offset, length.
    Span(u32, u64, u64),
    Inline(Bytes),
}

/// Chunks of one file to write, as far as they were seen.
struct Record {
    rows: Vec<Row>,
    unseen: usize,
}

/// Writes the references of a version to the folder `out`, which must not be there yet. Chunks of
/// its own are given inline. Of all references only those are held whose file is not complete.
///
/// # Errors
/// A version without references, metadata that Zarr v2 cannot say, a folder that is there, a chunk
/// that cannot be read, a disk that is full.
pub async fn parquet(snapshot: &Snapshot, out: &Path, record_size: u64) -> anyhow::Result<Export> {
    let contents = Contents::of(snapshot)?;
    let Some(v2) = &contents.v2 else {
        anyhow::bail!(
            "{}: its chunks are shards or have an order of axes that Zarr v2 cannot say, and readers of Parquet references know v2 only: use --kerchunk",
            snapshot.collection()
        );
    };
    anyhow::ensure!(!out.exists(), "{} is there already: remove it, or name another folder", out.display());
    let parent = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = tempfile::Builder::new()
        .prefix(".references")
        .tempdir_in(parent)
        .with_context(|| out.display().to_string())?;
    let mut metadata: Map<String, Value> = contents.groups_v2().into_iter().collect();
    let mut counts = Export::default();
    for ((path, array), (zarray, zattrs)) in contents.arrays.iter().zip(v2) {
        metadata.insert(format!("{path}/.zarray"), zarray.clone());
        metadata.insert(format!("{path}/.zattrs"), zattrs.clone());
        let at = folder.path().join(path);
        std::fs::create_dir_all(&at)?;
        records(snapshot, array, &at, record_size, &mut counts).await.with_context(|| (*path).clone())?;
    }
    let whole = json!({"metadata": metadata, "record_size": record_size, "zarr_consolidated_format": 1});
    std::fs::write(folder.path().join(".zmetadata"), serde_json::to_vec(&whole)?)?;
    let folder = folder.keep();
    open_to_all(&folder)?;
    std::fs::rename(&folder, out).with_context(|| out.display().to_string())?;
    Ok(counts)
}

/// Temporary folders are their maker's alone.
fn open_to_all(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
}

/// Writes the files of one array to `folder`; one without any chunk is left out.
async fn records(
    snapshot: &Snapshot,
    array: &ArrayMeta,
    folder: &Path,
    size: u64,
    counts: &mut Export,
) -> anyhow::Result<()> {
    let grid = array.grid_shape();
    let total: u64 = grid.iter().try_fold(1u64, |p, n| p.checked_mul(*n)).context("too many chunks")?;
    let mut open: BTreeMap<u64, Record> = BTreeMap::new();
    let (mut files, mut numbers): (Vec<String>, HashMap<String, u32>) = Default::default();
    let mut chunks = std::pin::pin!(snapshot.chunks_of(&array.path).await?);
    while let Some((index, location)) = chunks.try_next().await? {
        if index.len() != grid.len() || index.iter().zip(&grid).any(|(i, n)| i >= n) {
            continue;
        }
        let flat = index.iter().zip(&grid).fold(0, |at, (i, n)| at * n + i);
        let row = match location {
            Location::Virtual { url, offset, length, .. } => {
                let number = match numbers.get(&*url) {
                    Some(number) => *number,
                    None => {
                        let file = origin::path(&url).with_context(|| format!("{url} is no file"))?;
                        let number = u32::try_from(files.len())?;
                        files.push(file.to_string_lossy().into_owned());
                        numbers.insert(url.to_string(), number);
                        number
                    }
                };
                counts.references += 1;
                Row::Span(number, offset, length)
            }
            Location::Inline { bytes, .. } | Location::Made { bytes, .. } => {
                counts.inline += 1;
                Row::Inline(bytes)
            }
            Location::File { path, offset, length, .. } => {
                counts.inline += 1;
                Row::Inline(origin::read(&path, offset, length, None).map_err(anyhow::Error::msg)?.into())
            }
        };
        let number = flat / size;
        let record = open.entry(number).or_insert_with(|| {
            let rows = size.min(total - number * size) as usize;
            Record { rows: vec![Row::Missing; rows], unseen: rows }
        });
        if let Some(slot) = record.rows.get_mut((flat % size) as usize) {
            *slot = row;
            record.unseen -= 1;
        }
        if record.unseen == 0
            && let Some(done) = open.remove(&number)
        {
            write(&folder.join(format!("refs.{number}.parq")), &done.rows, &files)?;
        }
    }
    for (number, rest) in open {
        write(&folder.join(format!("refs.{number}.parq")), &rest.rows, &files)?;
    }
    Ok(())
}

/// Columns that have no value at all are left out, as kerchunk does.
fn write(path: &Path, rows: &[Row], files: &[String]) -> anyhow::Result<()> {
    let texts = rows.iter().map(|r| match r {
        Row::Span(file, ..) => files.get(*file as usize).map(String::as_str),
        _ => None,
    });
    let ints = |get: fn(&Row) -> u64| -> anyhow::Result<Vec<i64>> {
        Ok(rows.iter().map(|r| i64::try_from(get(r))).collect::<Result<_, _>>()?)
    };
    let offsets = ints(|r| if let Row::Span(_, offset, _) = r { *offset } else { 0 })?;
    let lengths = ints(|r| if let Row::Span(_, _, length) = r { *length } else { 0 })?;
    let blobs = rows.iter().map(|r| if let Row::Inline(bytes) = r { Some(&bytes[..]) } else { None });
    let mut columns = Vec::new();
    if rows.iter().any(|r| matches!(r, Row::Span(..))) {
        columns.push(("path", Column::Texts(texts.collect())));
        columns.push(("offset", Column::Ints(offsets)));
        columns.push(("size", Column::Ints(lengths)));
    }
    if rows.iter().any(|r| matches!(r, Row::Inline(_))) {
        columns.push(("raw", Column::Blobs(blobs.collect())));
    }
    std::fs::write(path, parquet::file(&columns)?).with_context(|| path.display().to_string())
}
