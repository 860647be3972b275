//! Where the objects of a hierarchy lie: in a folder, in a ZIP archive, or wherever references point.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use crate::FormatError;

/// Entries that one folder of groups may have.
const MAX_ENTRIES: usize = 100_000;

/// The bytes of an object, named and not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    File {
        path: PathBuf,
        offset: u64,
        length: u64,
    },
    /// At hand already, or in no file as they are.
    Bytes(Vec<u8>),
}

/// Objects by key: paths of names joined by slashes, none of them empty or of dots.
pub(crate) trait Objects: Send + Sync {
    /// Length in bytes; `None` where there is no such object.
    fn length(&self, key: &str) -> Result<Option<u64>, FormatError>;

    /// `length` bytes from `offset` on, all of them within the object; the caller bounds `length`.
    fn range(&self, key: &str, offset: u64, length: u64) -> Result<Vec<u8>, FormatError>;

    /// Names of what may be groups and arrays below `path`, sorted.
    fn folders(&self, path: &str) -> Result<Vec<String>, FormatError>;

    /// Where an object's bytes are; `None` where there is no such object.
    fn origin(&self, key: &str) -> Result<Option<Origin>, FormatError>;

    /// A whole object of at most `limit` bytes.
    fn whole(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>, FormatError> {
        let Some(length) = self.length(key)? else { return Ok(None) };
        if length > limit {
            return Err(FormatError::new("", format!("{key}: {length} bytes; at most {limit} are read")));
        }
        self.range(key, 0, length).map(Some)
    }
}

/// A folder on disk. What leaves it through symbolic links is not there.
pub(crate) struct Folder {
    file: String,
    /// Without symbolic links.
    root: PathBuf,
}

impl Folder {
    pub(crate) fn open(file: &str, path: &Path) -> Result<Self, FormatError> {
        let root = path
            .canonicalize()
            .map_err(|e| FormatError::new(file, format!("the folder cannot be opened: {e}")))?;
        Ok(Self { file: file.to_owned(), root })
    }

    fn error(&self, key: &str, why: impl std::fmt::Display) -> FormatError {
        FormatError::new(&self.file, format!("{key}: {why}"))
    }

    /// The object's place; `None` where nothing is there.
    fn place(&self, key: &str) -> Result<Option<PathBuf>, FormatError> {
        let clean = key.split('/').all(|s| !s.is_empty() && s != "." && s != "..");
        if !clean && !key.is_empty() {
            return Err(self.error(key, "a key may not leave its store"));
        }
        match self.root.join(key).canonicalize() {
            Ok(place) if place.starts_with(&self.root) => Ok(Some(place)),
            Ok(_) => Err(self.error(key, "a symbolic link leads out of the store")),
            Err(e)
                if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
            {
                Ok(None)
            }
            Err(e) => Err(self.error(key, e)),
        }
    }
}

impl Objects for Folder {
    fn length(&self, key: &str) -> Result<Option<u64>, FormatError> {
        let Some(place) = self.place(key)? else { return Ok(None) };
        let metadata = place.metadata().map_err(|e| self.error(key, e))?;
        Ok(metadata.is_file().then_some(metadata.len()))
    }

    fn range(&self, key: &str, offset: u64, length: u64) -> Result<Vec<u8>, FormatError> {
        let place = self.place(key)?.ok_or_else(|| self.error(key, "there is no such object"))?;
        read_range(&place, offset, length).map_err(|e| self.error(key, e))
    }

    fn folders(&self, path: &str) -> Result<Vec<String>, FormatError> {
        let Some(place) = self.place(path)? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for (n, entry) in std::fs::read_dir(&place).map_err(|e| self.error(path, e))?.enumerate() {
            if n >= MAX_ENTRIES {
                return Err(self.error(path, format!("more than {MAX_ENTRIES} entries in one group")));
            }
            let entry = entry.map_err(|e| self.error(path, e))?;
            let folder = entry.file_type().is_ok_and(|t| t.is_dir() || t.is_symlink());
            if let Ok(name) = entry.file_name().into_string()
                && folder
                && !name.starts_with('.')
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn origin(&self, key: &str) -> Result<Option<Origin>, FormatError> {
        let Some(length) = self.length(key)? else { return Ok(None) };
        Ok(self.place(key)?.map(|path| Origin::File { path, offset: 0, length }))
    }
}

/// Part of a file, none of it past the end.
pub(crate) fn read_range(path: &Path, offset: u64, length: u64) -> Result<Vec<u8>, String> {
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    let size = file.metadata().map_err(|e| e.to_string())?.len();
    if offset.checked_add(length).is_none_or(|end| end > size) {
        return Err(format!("{length} bytes from byte {offset} on pass the end, {size}"));
    }
    file.seek(SeekFrom::Start(offset)).map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    file.take(length).read_to_end(&mut out).map_err(|e| e.to_string())?;
    if out.len() as u64 == length { Ok(out) } else { Err("the file was cut short while it was read".into()) }
}

/// Names of the folders below `path`, of keys held in a map: one look-up for each.
pub(crate) fn folders_of<V>(map: &BTreeMap<String, V>, path: &str) -> Vec<String> {
    let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
    let mut names = Vec::new();
    let mut from = Bound::Included(prefix.clone());
    while let Some((key, _)) = map.range((from, Bound::Unbounded)).next() {
        let Some(rest) = key.strip_prefix(&prefix) else { break };
        from = match rest.split_once('/') {
            Some((name, _)) => {
                names.push(name.to_owned());
                // '0' comes after '/'.
                Bound::Included(format!("{prefix}{name}0"))
            }
            None => Bound::Excluded(key.clone()),
        };
    }
    names
}

/// Several stores, each under a name of its own, as groups of one.
pub(crate) struct Side(pub(crate) Vec<(String, Box<dyn Objects>)>);

impl Side {
    fn part<'k>(&self, key: &'k str) -> Option<(&dyn Objects, &'k str)> {
        let (name, rest) = key.split_once('/').unwrap_or((key, ""));
        let (_, part) = self.0.iter().find(|(n, _)| n == name)?;
        Some((part.as_ref(), rest))
    }
}

impl Objects for Side {
    fn length(&self, key: &str) -> Result<Option<u64>, FormatError> {
        self.part(key).map_or(Ok(None), |(part, key)| part.length(key))
    }
    fn range(&self, key: &str, offset: u64, length: u64) -> Result<Vec<u8>, FormatError> {
        match self.part(key) {
            Some((part, key)) => part.range(key, offset, length),
            None => Err(FormatError::new("", format!("{key}: there is no such object"))),
        }
    }
    fn folders(&self, path: &str) -> Result<Vec<String>, FormatError> {
        if path.is_empty() {
            return Ok(self.0.iter().map(|(n, _)| n.clone()).collect());
        }
        self.part(path).map_or(Ok(Vec::new()), |(part, path)| part.folders(path))
    }
    fn origin(&self, key: &str) -> Result<Option<Origin>, FormatError> {
        self.part(key).map_or(Ok(None), |(part, key)| part.origin(key))
    }
}

/// One folder of another's objects.
pub(crate) struct Below(pub(crate) Box<dyn Objects>, pub(crate) String);

impl Below {
    fn key(&self, key: &str) -> String {
        if key.is_empty() { self.1.clone() } else { format!("{}/{key}", self.1) }
    }
}

impl Objects for Below {
    fn length(&self, key: &str) -> Result<Option<u64>, FormatError> {
        self.0.length(&self.key(key))
    }
    fn range(&self, key: &str, offset: u64, length: u64) -> Result<Vec<u8>, FormatError> {
        self.0.range(&self.key(key), offset, length)
    }
    fn folders(&self, path: &str) -> Result<Vec<String>, FormatError> {
        self.0.folders(&self.key(path))
    }
    fn origin(&self, key: &str) -> Result<Option<Origin>, FormatError> {
        self.0.origin(&self.key(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_found_without_walking_what_is_in_them() {
        let keys = [".zgroup", "a/.zarray", "a/0.0", "a/0.1", "a-b/c/.zarray", "b/.zgroup", "b/x/.zarray"];
        let map: BTreeMap<String, ()> = keys.iter().map(|k| ((*k).to_owned(), ())).collect();
        assert_eq!(folders_of(&map, ""), ["a-b", "a", "b"]);
        assert_eq!(folders_of(&map, "b"), ["x"]);
        assert_eq!(folders_of(&map, "a"), Vec::<String>::new());
    }

    #[test]
    fn a_folder_gives_nothing_from_outside() {
        let outer = std::env::temp_dir().join(format!("graticule-objects-{}", std::process::id()));
        let store = outer.join("store");
        std::fs::create_dir_all(&store).unwrap();
        std::fs::write(outer.join("secret"), b"secret").unwrap();
        std::fs::write(store.join("here"), b"0123").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(outer.join("secret"), store.join("link")).unwrap();
        let folder = Folder::open("store", &store).unwrap();
        assert_eq!(folder.range("here", 1, 2).unwrap(), b"12");
        assert!(folder.range("here", 1, 4).is_err());
        assert!(folder.range("here", u64::MAX, 4).is_err());
        assert_eq!(folder.length("gone").unwrap(), None);
        for key in ["../secret", "x/../../secret", "/etc/passwd", "a//b"] {
            assert!(folder.length(key).is_err(), "{key}");
        }
        #[cfg(unix)]
        assert!(folder.length("link").unwrap_err().reason.contains("symbolic link"));
        std::fs::remove_dir_all(outer).unwrap();
    }
}
