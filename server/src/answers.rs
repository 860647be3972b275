//! Answers that are fetched later (`Prefer: respond-async`, RFC 7240 section 4.1).
//!
//! Each is a folder `answers/ID` of the data directory: `asked.json` is what to answer, written
//! before the request is accepted, so that a server that ends begins it again; then `answer` and
//! last `done.json`, which says what came of it. What was accepted stays until it is made; what was
//! made, for a day at most: the oldest give way to new ones where all take too much room.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalog::tokens::hex;
use crate::store::durable;

/// How long an answer can be fetched.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Accepted and not made yet; more are refused.
pub const MOST_WAITING: usize = 100;
/// Made and kept: failures are small, but each is a folder.
const MOST_MADE: usize = 1000;
/// Of the whole folder.
const MOST_BYTES: u64 = 4 << 30;

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

/// What became of an answer that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Room {
    Kept,
    /// Not even alone does it fit into so many bytes; it still waits.
    TooLarge {
        most: u64,
    },
}

pub struct Answers {
    folder: PathBuf,
    waiting: usize,
    made: usize,
    bytes: u64,
    /// Whoever counts what is there also changes it, before another counts.
    turn: Mutex<()>,
}

/// A folder of an answer, as it is found.
struct Entry {
    folder: PathBuf,
    /// False of the remains of one that was let go, or that was never wholly accepted.
    asked: bool,
    /// When it was made, in seconds, and of two in one second by the file system's clock.
    made: Option<(u64, SystemTime)>,
    bytes: u64,
}

impl Entry {
    fn is_waiting(&self) -> bool {
        self.asked && self.made.is_none()
    }

    /// Begins with `asked.json`: what is left by a server that ends meanwhile is no answer to make.
    fn remove(&self) -> anyhow::Result<()> {
        match std::fs::remove_file(self.folder.join("asked.json")) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => std::fs::remove_dir_all(&self.folder),
        }
        .with_context(|| self.folder.display().to_string())
    }
}

pub fn now() -> u64 {
    seconds(SystemTime::now())
}

/// Since 1970.
fn seconds(instant: SystemTime) -> u64 {
    instant.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

impl Answers {
    pub fn new(root: &Path) -> Self {
        Self::bounded(root, MOST_WAITING, MOST_MADE, MOST_BYTES)
    }

    fn bounded(root: &Path, waiting: usize, made: usize, bytes: u64) -> Self {
        Self { folder: root.join("answers"), waiting, made, bytes, turn: Mutex::new(()) }
    }

    /// An id for what is asked; `None` where too many wait already.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn accept(&self, asked: &Asked) -> anyhow::Result<Option<String>> {
        let _turn = self.turn();
        std::fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        if self.entries()?.iter().filter(|e| e.is_waiting()).count() >= self.waiting {
            return Ok(None);
        }
        let mut random = [0u8; 16];
        getrandom::fill(&mut random)?;
        let id = hex(&random);
        let folder = self.folder.join(&id);
        std::fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        if let Err(e) = write(&folder.join("asked.json"), &serde_json::to_vec(asked)?) {
            let _ = std::fs::remove_dir_all(&folder);
            return Err(e);
        }
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

    /// `None` where it is not there (any more).
    ///
    /// # Errors
    /// The file does not read.
    pub fn body(&self, id: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(folder) = self.folder_of(id) else { return Ok(None) };
        contents(&folder.join("answer"))
    }

    /// Keeps what was made. Older answers give way to it.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn finish(&self, id: &str, body: &[u8], done: &Done) -> anyhow::Result<Room> {
        let _turn = self.turn();
        let folder = self.folder_of(id).context("no such answer")?;
        let done = serde_json::to_vec(done)?;
        // Of a server that ended while it wrote; `done.json` is last, so nobody was told of it.
        for part in ["answer", "answer.part"] {
            let _ = std::fs::remove_file(folder.join(part));
        }
        let room = self.make_room((body.len() + done.len()) as u64)?;
        if room == Room::Kept {
            write(&folder.join("answer"), body)?;
            write(&folder.join("done.json"), &done)?;
        }
        Ok(room)
    }

    /// Lets go the oldest of those made until there is room for one more of so many bytes.
    fn make_room(&self, more: u64) -> anyhow::Result<Room> {
        let (waiting, mut made): (Vec<Entry>, Vec<Entry>) =
            self.entries()?.into_iter().partition(Entry::is_waiting);
        let mut bytes = waiting.iter().map(|e| e.bytes).sum::<u64>() + more;
        if bytes > self.bytes {
            return Ok(Room::TooLarge { most: self.bytes });
        }
        made.sort_by_key(|e| std::cmp::Reverse(e.made));
        let fit = made.iter().take(self.made.saturating_sub(1)).take_while(|e| {
            bytes += e.bytes;
            bytes <= self.bytes
        });
        let kept = fit.count();
        for entry in made.iter().skip(kept).rev() {
            entry.remove()?;
        }
        Ok(Room::Kept)
    }

    /// Those that a server which ended had accepted and not answered, in the order they came in.
    ///
    /// # Errors
    /// The folder does not read.
    pub fn left(&self) -> anyhow::Result<Vec<String>> {
        let mut left = Vec::new();
        for id in self.ids()? {
            if let Ok(Some((asked, None))) = self.look(&id) {
                left.push((asked.created, id));
            }
        }
        left.sort();
        Ok(left.into_iter().map(|(_, id)| id).collect())
    }

    /// Lets go what was made a day ago, and what was never wholly accepted.
    ///
    /// # Errors
    /// The folder does not read.
    pub fn tidy(&self) -> anyhow::Result<()> {
        let _turn = self.turn();
        for entry in self.entries()? {
            let gone = match entry.made {
                Some((finished, _)) => now().saturating_sub(finished) > KEPT.as_secs(),
                None => !entry.asked,
            };
            if gone {
                entry.remove()?;
            }
        }
        Ok(())
    }

    fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        self.ids()?.iter().filter_map(|id| self.folder_of(id)).map(entry).collect()
    }

    fn ids(&self) -> anyhow::Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e).with_context(|| self.folder.display().to_string()),
        };
        let folders = entries.filter_map(Result::ok).filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
        let names = folders.filter_map(|e| e.file_name().into_string().ok());
        Ok(names.filter(|n| self.folder_of(n).is_some()).collect())
    }

    /// Only what can be an id names a folder.
    fn folder_of(&self, id: &str) -> Option<PathBuf> {
        (id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| self.folder.join(id))
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(folder: PathBuf) -> anyhow::Result<Entry> {
    let said = || folder.display().to_string();
    let (mut asked, mut made, mut bytes) = (false, None, 0);
    for file in std::fs::read_dir(&folder).with_context(said)? {
        let file = file.with_context(said)?;
        let about = file.metadata().with_context(said)?;
        bytes += about.len();
        if file.file_name() == "asked.json" {
            asked = true;
        } else if file.file_name() == "done.json" {
            let written = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let done = read::<Done>(&file.path()).ok().flatten();
            made = Some((done.map_or_else(|| seconds(written), |d| d.finished), written));
        }
    }
    Ok(Entry { folder, asked, made, bytes })
}

fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    Ok(durable::replace(file, bytes, &file.with_extension("part"))?)
}

fn contents(file: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| file.display().to_string()),
    }
}

fn read<T: for<'a> Deserialize<'a>>(file: &Path) -> anyhow::Result<Option<T>> {
    let Some(bytes) = contents(file)? else { return Ok(None) };
    Ok(Some(serde_json::from_slice(&bytes).with_context(|| file.display().to_string())?))
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

    fn done(finished: u64) -> Done {
        Done { finished, content_type: "text/csv".into(), file: None, failed: None }
    }

    /// Accepts and makes one.
    fn one(answers: &Answers, body: &[u8], finished: u64) -> (String, Room) {
        let id = answers.accept(&asked()).unwrap().unwrap();
        let room = answers.finish(&id, body, &done(finished)).unwrap();
        (id, room)
    }

    fn bytes(answers: &Answers) -> u64 {
        answers.entries().unwrap().iter().map(|e| e.bytes).sum()
    }

    #[test]
    fn what_was_accepted_is_there_after_a_restart_until_it_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        let id = Answers::new(dir.path()).accept(&asked()).unwrap().unwrap();
        let again = Answers::new(dir.path());
        assert_eq!(again.left().unwrap(), vec![id.clone()]);
        assert_eq!(again.look(&id).unwrap().unwrap().0.pairs, asked().pairs);
        let done = done(now());
        assert_eq!(again.finish(&id, b"1,2", &done).unwrap(), Room::Kept);
        assert!(again.left().unwrap().is_empty());
        assert_eq!(
            (again.body(&id).unwrap(), again.look(&id).unwrap().unwrap().1),
            (Some(b"1,2".to_vec()), Some(done))
        );
    }

    #[test]
    fn old_answers_go_and_names_that_are_no_ids_name_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let answers = Answers::new(dir.path());
        let id = answers.accept(&asked()).unwrap().unwrap();
        assert_eq!(answers.finish(&id, b"", &done(0)).unwrap(), Room::Kept);
        answers.tidy().unwrap();
        assert!(answers.look(&id).unwrap().is_none());
        for bad in ["..", "../../etc/passwd", "", "0123", &"g".repeat(32)] {
            assert!(answers.look(bad).unwrap().is_none());
        }
    }

    #[test]
    fn the_oldest_of_those_made_give_way_where_all_take_too_many_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let answers = Answers::bounded(dir.path(), 9, 9, 10_000);
        let waits = answers.accept(&asked()).unwrap().unwrap();
        let ids: Vec<String> = (0..5).map(|i| one(&answers, &[b'x'; 3000], now() + i).0).collect();
        assert!(bytes(&answers) <= 10_000);
        let there: Vec<bool> = ids.iter().map(|id| answers.look(id).unwrap().is_some()).collect();
        assert_eq!(there, [false, false, true, true, true]);
        assert_eq!(answers.body(&ids[0]).unwrap(), None);
        assert_eq!(answers.left().unwrap(), [waits]);
    }

    #[test]
    fn one_that_does_not_fit_alone_is_not_kept_and_no_other_goes_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let answers = Answers::bounded(dir.path(), 9, 9, 10_000);
        let (small, _) = one(&answers, b"1,2", now());
        let (large, room) = one(&answers, &[b'x'; 10_001], now());
        assert_eq!(room, Room::TooLarge { most: 10_000 });
        assert_eq!(answers.left().unwrap(), vec![large.clone()]);
        assert_eq!(answers.finish(&large, b"too large", &done(now())).unwrap(), Room::Kept);
        assert_eq!(answers.body(&small).unwrap().unwrap(), b"1,2");
    }

    #[test]
    fn those_made_are_no_reason_to_refuse_one() {
        let dir = tempfile::tempdir().unwrap();
        let answers = Answers::bounded(dir.path(), 2, 3, 10_000);
        let ids: Vec<String> = (0..5).map(|i| one(&answers, b"1", now() + i).0).collect();
        let there: Vec<bool> = ids.iter().map(|id| answers.look(id).unwrap().is_some()).collect();
        assert_eq!(there, [false, false, true, true, true]);
        assert!(answers.accept(&asked()).unwrap().is_some());
        assert!(answers.accept(&asked()).unwrap().is_some());
        assert!(answers.accept(&asked()).unwrap().is_none());
    }

    #[test]
    fn what_waits_is_kept_however_old_and_begun_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let answers = Answers::new(dir.path());
        let at = |created| answers.accept(&Asked { created, ..asked() }).unwrap().unwrap();
        let ids = [3, 1, 2].map(at);
        answers.tidy().unwrap();
        assert_eq!(answers.left().unwrap(), [1, 2, 0].map(|i: usize| ids[i].clone()));
    }

    #[test]
    fn remains_of_a_server_that_ended_are_neither_made_nor_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let answers = Answers::bounded(dir.path(), 1, 9, 10_000);
        // While it let one go, and while it wrote one.
        let (gone, _) = one(&answers, &[b'x'; 6000], now());
        std::fs::remove_file(dir.path().join("answers").join(&gone).join("asked.json")).unwrap();
        let id = answers.accept(&asked()).unwrap().unwrap();
        std::fs::write(dir.path().join("answers").join(&id).join("answer.part"), [b'x'; 9000]).unwrap();
        assert_eq!(answers.left().unwrap(), vec![id.clone()]);
        assert_eq!(answers.finish(&id, &[b'y'; 6000], &done(now())).unwrap(), Room::Kept);
        assert!(!dir.path().join("answers").join(&gone).exists() && bytes(&answers) <= 10_000);
        assert_eq!(answers.body(&id).unwrap().unwrap(), [b'y'; 6000]);
    }
}
