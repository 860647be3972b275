//! kerchunk references as a source: a Zarr v2 hierarchy whose chunks are spans of other files
//! (fsspec's ReferenceFileSystem specification, versions 0 and 1).
//!
//! **Rule:** references may point below the folder that the reference file is in. Beside that folder,
//! below the folder around it, they may point at what is a data file itself; nowhere else, and
//! never at another machine. So a crafted reference file publishes no file of another kind.

mod parse;
mod template;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use hdf5_reader::FileStorage;

use crate::zarr::{Objects, Origin, Zarr, folders_of, read_range};
use crate::{FormatError, Limits, sniff};
use parse::{Span, Table};

/// A file that is referred to.
struct File {
    path: PathBuf,
    size: u64,
}

struct References {
    file: String,
    table: Table,
    files: Vec<File>,
}

/// Opens a reference file.
///
/// # Errors
/// JSON that is no such file; references to what is not there, is elsewhere, or is shorter than said.
pub(crate) fn open(file: &str, path: &Path, limits: Limits) -> Result<Zarr, FormatError> {
    let error = |why: String| FormatError::new(file, why);
    let text = std::fs::File::open(path).map_err(|e| error(format!("the file cannot be opened: {e}")))?;
    let table = Table::read(std::io::BufReader::with_capacity(1 << 20, text))
        .map_err(|why| error(format!("these are no kerchunk references: {why}")))?;
    if !table.inline.keys().any(|k| k.ends_with(".zarray") || k.ends_with(".zmetadata")) {
        return Err(error(
            "this is JSON text without a \".zarray\" in it: no kerchunk references".to_owned(),
        ));
    }
    let home = path.canonicalize().map_err(|e| error(e.to_string()))?;
    let home = home.parent().unwrap_or(Path::new("/")).to_owned();
    let mut files = Vec::with_capacity(table.urls.len());
    let mut checked = HashMap::new();
    for url in &table.urls {
        let path = place(&home, url, &mut checked).map_err(error)?;
        let size = path.metadata().map_err(|e| error(format!("{url}: {e}")))?.len();
        files.push(File { path, size });
    }
    let references = References { file: file.to_owned(), table, files };
    for span in &references.table.spans {
        let size = references.files.get(span.url as usize).map_or(0, |f| f.size);
        if span.length.is_some_and(|l| span.offset.checked_add(l).is_none_or(|end| end > size)) {
            let url = references.table.urls.get(span.url as usize).map_or("", String::as_str);
            let (key, length) = (references.key(span), span.length.unwrap_or(0));
            let why = format!(
                "{key} is said to be {length} bytes from byte {} on of {url}, which has {size}",
                span.offset
            );
            return Err(error(why));
        }
    }
    Zarr::open_objects(file, "kerchunk", Box::new(references), limits)
}

/// The file that a reference means.
fn place(home: &Path, url: &str, checked: &mut HashMap<PathBuf, bool>) -> Result<PathBuf, String> {
    let local = match url.split_once("://") {
        Some(("file" | "local", rest)) => rest,
        Some((scheme, _)) => {
            return Err(format!(
                "it refers to {url}; references over {scheme} are not read: make the file local and refer to that"
            ));
        }
        None => url,
    };
    let found = home.join(local).canonicalize().map_err(|e| format!("it refers to {url:?}: {e}"))?;
    if !found.is_file() {
        return Err(format!("it refers to {url:?}, which is no file"));
    }
    if found.starts_with(home) {
        return Ok(found);
    }
    // The root of the file system is around nothing.
    let around = home.parent().filter(|p| p.parent().is_some() && found.starts_with(p)).is_some();
    let data = around
        && *checked
            .entry(found.clone())
            .or_insert_with(|| FileStorage::open(&found).is_ok_and(|s| sniff::container("", &s).is_ok()));
    if data {
        return Ok(found);
    }
    Err(format!(
        "it refers to {url:?}; references may point below {} and at data files beside that folder",
        home.display()
    ))
}

impl References {
    fn key(&self, span: &Span) -> &str {
        self.table.keys.get(span.key.0 as usize..span.key.1 as usize).unwrap_or_default()
    }

    /// The file, the offset and the length of a chunk.
    fn span(&self, key: &str) -> Option<(&File, u64, u64)> {
        let at = self.table.spans.partition_point(|s| self.key(s) <= key).checked_sub(1)?;
        let span = self.table.spans.get(at).filter(|s| self.key(s) == key)?;
        let file = self.files.get(span.url as usize)?;
        Some((file, span.offset, span.length.unwrap_or(file.size)))
    }
}

impl Objects for References {
    fn length(&self, key: &str) -> Result<Option<u64>, FormatError> {
        let inline = self.table.inline.get(key).map(|b| b.len() as u64);
        Ok(inline.or_else(|| self.span(key).map(|(.., length)| length)))
    }

    fn range(&self, key: &str, offset: u64, length: u64) -> Result<Vec<u8>, FormatError> {
        let error = |why: String| FormatError::new(&self.file, format!("{key}: {why}"));
        if let Some(bytes) = self.table.inline.get(key) {
            let end = offset.checked_add(length).and_then(|end| bytes.get(offset as usize..end as usize));
            return end.map(<[u8]>::to_vec).ok_or_else(|| error("past its end".to_owned()));
        }
        let (file, base, whole) =
            self.span(key).ok_or_else(|| error("there is no such reference".to_owned()))?;
        if offset.checked_add(length).is_none_or(|end| end > whole) {
            return Err(error("past its end".to_owned()));
        }
        read_range(&file.path, base + offset, length)
            .map_err(|e| error(format!("{}: {e}", file.path.display())))
    }

    fn folders(&self, path: &str) -> Result<Vec<String>, FormatError> {
        // Metadata is always inline.
        Ok(folders_of(&self.table.inline, path))
    }

    fn origin(&self, key: &str) -> Result<Option<Origin>, FormatError> {
        if let Some(bytes) = self.table.inline.get(key) {
            return Ok(Some(Origin::Bytes(bytes.clone())));
        }
        let span = self.span(key);
        Ok(span.map(|(file, offset, length)| Origin::File { path: file.path.clone(), offset, length }))
    }
}
