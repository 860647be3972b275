//! Tables: text files, and the discrete samples of CF, as rows of typed columns.
//!
//! A text file is read twice, both times from end to end and never whole: first
//! to learn what its columns hold, because a type guessed from the first rows is
//! wrong on the row that matters; then for its values. What does not fit (a row
//! with too few fields, a latitude of 95) is left out and reported with its line
//! and its text; nothing is dropped unseen.

mod columns;
mod dialect;
mod faults;
mod infer;
mod lines;
mod records;
mod samples;
mod text;
mod values;

use std::path::Path;
use std::sync::Arc;

use graticule_shared::time::{CfTime, TimeUnits};
use hdf5_reader::storage::DynStorage;
use hdf5_reader::{BytesStorage, FileStorage};

pub use faults::{Fault, Faults};
pub use values::{Kind, Value};

use crate::sniff::{self, Container};
use crate::{FormatError, Limits};

/// What the values of a column are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Degrees north.
    Latitude,
    /// Degrees east.
    Longitude,
    /// The instant that the row is about.
    Time,
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Unique in the table; the source's own name, with what makes it unique.
    pub name: String,
    pub kind: Kind,
    pub units: Option<String>,
    pub role: Option<Role>,
    /// What more the source says of it.
    pub description: Option<String>,
    /// Values that are there.
    pub present: u64,
    /// Line and text of the first value that is no integer, and of the first that
    /// is no number: what a wider column is explained by.
    pub first_not_integer: Option<(u64, String)>,
    pub first_not_number: Option<(u64, String)>,
}

/// What a table is, before its rows are read.
#[derive(Debug, Clone)]
pub struct TableHeader {
    /// `CSV`, `NDBC text`, `Argo profiles`, …
    pub format: String,
    pub columns: Vec<Column>,
    /// Rows with the right number of fields; those with a value out of place are left out yet.
    pub rows: u64,
    /// Columns that together name a row, where that is known.
    pub key: Vec<usize>,
    pub title: Option<String>,
    pub faults: Faults,
    /// What was guessed, in words.
    pub notes: Vec<String>,
}

impl TableHeader {
    /// The column with this role.
    pub fn with_role(&self, role: Role) -> Option<usize> {
        self.columns.iter().position(|c| c.role == Some(role))
    }
}

/// Takes the rows of a table one by one; an error ends the reading.
pub type Each<'a> = dyn FnMut(&[Value]) -> Result<(), String> + 'a;

/// One opened table.
pub trait Table: Send + Sync {
    fn header(&self) -> &TableHeader;

    /// Hands out every row, its values as `kinds` say: those of the header, or wider ones
    /// (see [`Kind::widens_to`]). Returns the rows that were left out.
    ///
    /// # Errors
    /// The source cannot be read any more, more rows are at fault than are not, or
    /// what `each` returned.
    fn rows(&self, kinds: &[Kind], each: &mut Each<'_>) -> Result<Faults, FormatError>;
}

/// Microseconds since 1970 of an instant or a date in text; UTC where no zone is given.
pub fn micros_of(text: &str) -> Option<i64> {
    values::time(text.trim())
}

/// Microseconds since 1970 as RFC 3339 in UTC.
pub fn instant(micros: i64) -> String {
    const DAY: i64 = 86_400_000_000;
    let days = TimeUnits::parse("days since 1970-01-01", Some("proleptic_gregorian"));
    days.and_then(|u| u.decode(micros.div_euclid(DAY) as f64)).map_or_else(
        |_| micros.to_string(),
        |date| format!("{}Z", CfTime { micros_of_day: micros.rem_euclid(DAY), ..date }),
    )
}

/// Opens a file as a table; `None` where it holds grids.
///
/// # Errors
/// The file cannot be read; it is text in which no table is recognised, or one
/// that has more faults than rows.
pub fn open(path: &Path, limits: Limits) -> Result<Option<Box<dyn Table>>, FormatError> {
    let name = path.display().to_string();
    let is_file = std::fs::metadata(path).is_ok_and(|m| m.is_file());
    // What cannot be opened is refused by [`crate::open`], in its words.
    let Some(storage) = is_file.then(|| FileStorage::open(path).ok()).flatten() else { return Ok(None) };
    open_storage(&name, Arc::new(storage), limits)
}

/// The same for bytes in memory.
///
/// # Errors
/// As [`open`].
pub fn open_bytes(name: &str, bytes: Vec<u8>, limits: Limits) -> Result<Option<Box<dyn Table>>, FormatError> {
    open_storage(name, Arc::new(BytesStorage::new(bytes)), limits)
}

fn open_storage(
    name: &str,
    storage: DynStorage,
    limits: Limits,
) -> Result<Option<Box<dyn Table>>, FormatError> {
    match sniff::container(name, storage.as_ref()) {
        Ok(Container::NetCdf3(_) | Container::Hdf5) => {}
        // Others hold no samples, and some are read through where they are opened.
        Ok(_) => return Ok(None),
        Err(_) if dialect::is_text(storage.as_ref()) => {
            return Ok(Some(Box::new(text::Text::open(name, storage, &limits)?)));
        }
        Err(_) => return Ok(None),
    }
    // A file that does not open is refused by [`crate::open`], in its words.
    let Ok(source) = crate::open_storage(name, storage, None, limits) else { return Ok(None) };
    Ok(samples::Samples::open(name, source)?.map(|s| Box::new(s) as Box<dyn Table>))
}
