//! Which files a request means, and what each one is.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use crate::store::hex;
use crate::wildcards::{Part, fits};

/// Names that a folder is searched for.
const EXTENSIONS: [&str; 22] = [
    "nc", "nc3", "nc4", "cdf", "netcdf", "h5", "hdf5", "he5", "hdf", "grd", "grib", "grib1", "grib2", "grb",
    "grb1", "grb2", "tif", "tiff", "csv", "tsv", "spec", "drift",
];

/// Files named by paths, folders and patterns (`*` and `?` in the last part), sorted within each.
///
/// # Errors
/// Nothing there, a folder without a file of a known kind, a URL.
pub fn expand(inputs: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    for input in inputs {
        let text = input.to_string_lossy();
        if text.contains("://") {
            bail!(
                "{}: only local files can be ingested; download it first",
                crate::acquire::url::shown(&text)
            );
        }
        if input.is_dir() && graticule_formats::is_hierarchy(input) {
            out.push(input.clone());
        } else if input.join("snapshots").is_dir()
            && (input.join("refs").is_dir() || input.join("repo").is_file())
        {
            bail!(
                "{text}: this is an Icechunk repository, which is not read; ingest what it was made from, or a Zarr copy"
            );
        } else if input.is_dir() {
            let found = listed(input, |n| {
                n.ends_with(".zarr.zip")
                    || n.rsplit_once('.')
                        .is_some_and(|(_, e)| EXTENSIONS.contains(&e.to_ascii_lowercase().as_str()))
            })?;
            if found.is_empty() {
                bail!(
                    "{text}: this folder is no Zarr hierarchy, holds none, and no file in it ends in one of {}",
                    EXTENSIONS.join(", ")
                );
            }
            out.extend(found);
        } else if !input.exists() && text.contains(['*', '?']) {
            let pattern = input.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let folder = input.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let found = listed(folder, |n| matches(&pattern, n))?;
            if found.is_empty() {
                bail!("{text}: no file matches");
            }
            out.extend(found);
        } else {
            out.push(input.clone());
        }
    }
    let mut seen = std::collections::HashSet::new();
    out.retain(|p| seen.insert(p.clone()));
    Ok(out)
}

fn listed(folder: &Path, wanted: impl Fn(&str) -> bool) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|e| {
            let path = e.path();
            let named = e.file_name().to_str().is_some_and(|n| !n.starts_with('.') && wanted(n));
            (named && path.is_file()) || graticule_formats::is_hierarchy(&path)
        })
        .map(|e| e.path())
        .collect();
    found.sort();
    Ok(found)
}

/// `*` is any run of characters, `?` one character.
pub fn matches(pattern: &str, name: &str) -> bool {
    let part = |c| match c {
        '*' => Part::Any,
        '?' => Part::One,
        c => Part::Just(c),
    };
    fits(&pattern.chars().map(part).collect::<Vec<_>>(), name)
}

/// SHA-256 in hexadecimal, and the length. Of a folder: of the sorted lines `SHA-256  PATH` of the
/// files in it, with paths relative to it.
///
/// # Errors
/// A file cannot be read.
pub fn checksum(path: &Path) -> std::io::Result<(String, u64)> {
    checksum_until(path, &AtomicBool::new(false))
}

/// # Errors
/// A file cannot be read, or `stop`.
pub fn checksum_until(path: &Path, stop: &AtomicBool) -> std::io::Result<(String, u64)> {
    if path.is_dir() {
        let (mut files, mut folders) = (Vec::new(), vec![path.to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                match entry.file_type()? {
                    t if t.is_dir() => folders.push(entry.path()),
                    t if t.is_file() => files.push(entry.path()),
                    _ => {}
                }
            }
        }
        files.sort();
        let (mut hash, mut length) = (Sha256::new(), 0);
        for file in files {
            let (sum, n) = checksum_until(&file, stop)?;
            let name = file.strip_prefix(path).unwrap_or(&file).display().to_string();
            hash.update(format!("{sum}  {name}\n"));
            length += n;
        }
        return Ok((hex(&hash.finalize()), length));
    }
    let mut file = std::fs::File::open(path)?;
    let (mut hash, mut length) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(std::io::Error::other("stopped"));
        }
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok((hex(&hash.finalize()), length));
        }
        hash.update(&buffer[..n]);
        length += n as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_icechunk_repository_is_called_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["snapshots", "refs"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let e = expand(&[dir.path().to_owned()]).unwrap_err().to_string();
        assert!(e.contains("an Icechunk repository"), "{e}");
    }

    #[test]
    fn patterns_match_as_a_shell_has_them() {
        assert!(matches("sst_*.nc", "sst_2020.nc"));
        assert!(matches("*", ""));
        assert!(matches("a?c*", "abcd"));
        assert!(!matches("sst_*.nc", "sst_2020.nc.tmp"));
        assert!(!matches("a?c", "ac"));
    }
}
