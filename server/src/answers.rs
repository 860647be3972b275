//! Answers that are fetched later (`Prefer: respond-async`, RFC 7240 section 4.1).
//!
//! Each is a folder `answers/ID` of the data directory: `asked.json` is what to answer, written
//! before the request is accepted, so that a server that ends begins it again; then `answer` and
//! last `done.json`, which says what came of it. They are kept for a day.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalog::tokens::hex;
use crate::store::durable;

/// How long an answer can be fetched.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Waiting and made at the same time; more are refused.
pub const MOST: usize = 1000;

/// What is to be answered: enough to do it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    pub collection: String,
    /// The version that it is answered from, whatever comes later.
    pub version: String,
    /// A query type, or `statistics`.
    pub what: String,
    /// Parameters, decoded.
    pub pairs: Vec<(String, String)>,
    /// Of `statistics` the region, as GeoJSON or as a list of four numbers.
    #[serde(default)]
    pub region: Option<Value>,
    /// Seconds since 1970.
    pub created: u64,
    /// The address of the collection, which citations name.
    pub href: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Seconds since 1970.
    pub finished: u64,
    /// Of the answer; of a failure the problem.
    pub content_type: String,
    /// The file's name, where it is one to keep.
    pub file: Option<String>,
    /// The problem's status, where it failed.
    pub failed: Option<u16>,
}

pub struct Answers {
    folder: PathBuf,
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

impl Answers {
    pub fn new(root: &Path) -> Self {
        Self { folder: root.join("answers") }
    }

    /// # Errors
    /// The folder cannot be written; there are too many.
    pub fn accept(&self, asked: &Asked) -> anyhow::Result<Option<String>> {
        std::fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        if self.ids()?.len() >= MOST {
            return Ok(None);
        }
        let mut random = [0u8; 16];
        getrandom::fill(&mut random)?;
        let id = hex(&random);
        let folder = self.folder.join(&id);
        std::fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        write(&folder.join("asked.json"), &serde_json::to_vec(asked)?)?;
        Ok(Some(id))
    }

    /// What was asked, and what came of it; `None` where there is no such answer (any more).
    ///
    /// # Errors
    /// Files that do not read.
    pub fn look(&self, id: &str) -> anyhow::Result<Option<(Asked, Option<Done>)>> {
        let Some(folder) = self.folder_of(id) else { return Ok(None) };
        let Some(asked) = read(&folder.join("asked.json"))? else { return Ok(None) };
        Ok(Some((asked, read(&folder.join("done.json"))?)))
    }

    /// # Errors
    /// The file does not read.
    pub fn body(&self, id: &str) -> anyhow::Result<Vec<u8>> {
        let file = self.folder_of(id).context("no such answer")?.join("answer");
        std::fs::read(&file).with_context(|| file.display().to_string())
    }

    /// # Errors
    /// The files cannot be written.
    pub fn finish(&self, id: &str, body: &[u8], done: &Done) -> anyhow::Result<()> {
        let folder = self.folder_of(id).context("no such answer")?;
        write(&folder.join("answer"), body)?;
        write(&folder.join("done.json"), &serde_json::to_vec(done)?)
    }

    /// Those that a server which ended had accepted and not answered.
    ///
    /// # Errors
    /// The folder does not read.
    pub fn left(&self) -> anyhow::Result<Vec<String>> {
        let mut left = Vec::new();
        for id in self.ids()? {
            if matches!(self.look(&id), Ok(Some((_, None)))) {
                left.push(id);
            }
        }
        Ok(left)
    }

    /// Lets go what nobody fetched for a day, and what was never wholly accepted.
    ///
    /// # Errors
    /// The folder does not read.
    pub fn tidy(&self) -> anyhow::Result<()> {
        for id in self.ids()? {
            let old = |from: u64| now().saturating_sub(from) > KEPT.as_secs();
            let gone = match self.look(&id) {
                Ok(Some((asked, None))) => old(asked.created),
                Ok(Some((_, Some(done)))) => old(done.finished),
                Ok(None) | Err(_) => {
                    let made = self.folder_of(&id).and_then(|f| f.metadata().ok()?.modified().ok());
                    made.and_then(|m| m.elapsed().ok()).is_none_or(|age| age > KEPT)
                }
            };
            if let (true, Some(folder)) = (gone, self.folder_of(&id)) {
                std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
            }
        }
        Ok(())
    }

    fn ids(&self) -> anyhow::Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e).with_context(|| self.folder.display().to_string()),
        };
        let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
        Ok(names.filter(|n| self.folder_of(n).is_some()).collect())
    }

    /// Only what can be an id names a folder.
    fn folder_of(&self, id: &str) -> Option<PathBuf> {
        (id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| self.folder.join(id))
    }
}

fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    Ok(durable::replace(file, bytes, &file.with_extension("part"))?)
}

fn read<T: for<'a> Deserialize<'a>>(file: &Path) -> anyhow::Result<Option<T>> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).with_context(|| file.display().to_string())?)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| file.display().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked {
            collection: "a".into(),
            version: "V".into(),
            what: "cube".into(),
            pairs: vec![("bbox".into(), "0,0,1,1".into())],
            region: None,
            created: now(),
            href: "http://h/api/collections/a".into(),
        }
    }

    #[test]
    fn what_was_accepted_is_there_after_a_restart_until_it_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        let id = Answers::new(dir.path()).accept(&asked()).unwrap().unwrap();
        let again = Answers::new(dir.path());
        assert_eq!(again.left().unwrap(), vec![id.clone()]);
        assert_eq!(again.look(&id).unwrap().unwrap().0.pairs, asked().pairs);
        let done = Done { finished: now(), content_type: "text/csv".into(), file: None, failed: None };
        again.finish(&id, b"1,2", &done).unwrap();
        assert!(again.left().unwrap().is_empty());
        assert_eq!(
            (again.body(&id).unwrap(), again.look(&id).unwrap().unwrap().1),
            (b"1,2".to_vec(), Some(done))
        );
    }

    #[test]
    fn old_answers_go_and_names_that_are_no_ids_name_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let answers = Answers::new(dir.path());
        let id = answers.accept(&asked()).unwrap().unwrap();
        let done = Done { finished: 0, content_type: "text/csv".into(), file: None, failed: None };
        answers.finish(&id, b"", &done).unwrap();
        answers.tidy().unwrap();
        assert!(answers.look(&id).unwrap().is_none());
        for bad in ["..", "../../etc/passwd", "", "0123", &"g".repeat(32)] {
            assert!(answers.look(bad).unwrap().is_none());
        }
    }
}
