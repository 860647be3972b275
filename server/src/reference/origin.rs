//! The file that a virtual chunk lies in.

use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

const KEPT: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'`');

/// `file://` and the absolute path.
pub fn url(path: &Path) -> String {
    format!("file://{}", utf8_percent_encode(&path.to_string_lossy(), KEPT))
}

/// The path of a `file://` URL.
pub fn path(url: &str) -> Option<PathBuf> {
    let text = percent_decode_str(url.strip_prefix("file://")?).decode_utf8().ok()?;
    text.starts_with('/').then(|| PathBuf::from(text.as_ref()))
}

/// When a file was last modified, in whole seconds since 1970 as Icechunk keeps it.
///
/// # Errors
/// The file is not there, or is none.
pub fn modified(path: &Path) -> Result<u32, String> {
    let metadata = path.metadata().map_err(|e| format!("it cannot be read: {e}"))?;
    if !metadata.is_file() {
        return Err("it is no file any more".to_owned());
    }
    Ok(u32::try_from(metadata.mtime()).unwrap_or(0))
}

/// # Errors
/// What of the file is not as it was when it was referred to, in words.
pub fn check(path: &Path, recorded: Option<u32>) -> Result<(), String> {
    let now = modified(path)?;
    match recorded {
        Some(then) if then != now => Err(format!(
            "it was modified at {now} s after 1970, and what is referred to is its content of {then} s"
        )),
        _ => Ok(()),
    }
}

/// A chunk's bytes, if the file is still as it was.
///
/// # Errors
/// As [`check`]; a file that ends before the chunk does.
pub fn read(path: &Path, offset: u64, length: u64, recorded: Option<u32>) -> Result<Vec<u8>, String> {
    check(path, recorded)?;
    let file = std::fs::File::open(path).map_err(|e| format!("it cannot be read: {e}"))?;
    let size = file.metadata().map_err(|e| e.to_string())?.len();
    if offset.checked_add(length).is_none_or(|end| end > size) {
        return Err(format!("it ends at byte {size}, and {length} bytes from {offset} on are referred to"));
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, offset).map_err(|e| format!("it cannot be read: {e}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_through_urls_and_back() {
        for text in ["/data/a b#c?.nc", "/päth/100%.nc"] {
            assert_eq!(path(&url(Path::new(text))), Some(PathBuf::from(text)));
        }
        assert_eq!(path("https://example.org/x"), None);
        assert_eq!(path("file://relative"), None);
    }

    #[test]
    fn a_file_that_changed_or_vanished_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, b"0123456789").unwrap();
        let then = modified(&file).unwrap();
        assert_eq!(read(&file, 2, 3, Some(then)).unwrap(), b"234");
        assert!(read(&file, 8, 3, Some(then)).unwrap_err().contains("ends at byte 10"));
        assert!(read(&file, u64::MAX, 3, Some(then)).is_err());
        assert!(read(&file, 2, 3, Some(then - 1)).unwrap_err().contains("was modified"));
        std::fs::remove_file(&file).unwrap();
        assert!(read(&file, 2, 3, Some(then)).unwrap_err().contains("cannot be read"));
    }
}
