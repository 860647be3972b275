//! From table files to one published version.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use graticule_formats::table::{self, Table};

use super::write::{Refused, Writer};
use crate::ingest::bundle::Input;
use crate::ingest::duplicates::Duplicates;
use crate::ingest::progress::Progress;
use crate::ingest::{Failure, GranuleReport, Outcome, inputs};
use crate::store::Granule;

/// A file that reads as a table.
pub struct Candidate {
    pub path: PathBuf,
    granule: Granule,
    table: Box<dyn Table>,
}

impl Candidate {
    /// What it would become, in a sentence.
    pub fn described(&self) -> String {
        let h = self.table.header();
        let column = |c: &table::Column| {
            let units = c.units.as_deref().map_or_else(String::new, |u| format!(", {u}"));
            format!("{} ({}{units})", c.name, c.kind.name())
        };
        let columns: Vec<String> = h.columns.iter().map(column).collect();
        let faults = h.faults.first.first().map_or_else(String::new, |f| format!("; {f}"));
        format!(
            "{} is a table ({}): {} rows of {}{faults}",
            self.path.display(),
            h.format,
            h.rows,
            columns.join(", ")
        )
    }
}

/// Opens a file as a table; `None` where it holds grids, or cannot be opened at all.
///
/// # Errors
/// Why no table is recognised in text.
pub fn examine(file: &Input) -> Result<Option<Candidate>, Failure> {
    let path = &file.path;
    let Some(table) = table::open(path, graticule_formats::Limits::default())? else { return Ok(None) };
    let (sha256, bytes) = inputs::checksum(path).map_err(|e| Failure {
        variable: None,
        offset: None,
        reason: format!("the file cannot be read: {e}"),
    })?;
    let shown = file.shown();
    let name =
        shown.file_name().map_or_else(|| shown.display().to_string(), |n| n.to_string_lossy().into_owned());
    let source = shown.display().to_string();
    let granule = Granule { name, sha256, bytes, source, ..Granule::default() };
    Ok(Some(Candidate { path: shown, granule, table }))
}

/// Publishes the candidates as one version of the table `id`; blocks.
///
/// # Errors
/// Another writer, a full disk, an interruption: nothing was published.
pub fn publish(
    root: &Path,
    id: &str,
    candidates: Vec<Candidate>,
    duplicates: Duplicates,
    progress: &Arc<dyn Progress>,
    cancel: &AtomicBool,
) -> anyhow::Result<(Option<String>, Vec<GranuleReport>)> {
    let mut writer = Writer::open(root, id)?;
    let mut reports = Vec::new();
    let mut published: Vec<usize> = Vec::new();
    for c in candidates {
        let mut report = GranuleReport {
            file: c.path,
            outcome: Outcome::Unchanged,
            failure: None,
            notes: Vec::new(),
            bytes: c.granule.bytes,
        };
        if writer.knows(&c.granule.sha256)? {
            if duplicates == Duplicates::Error {
                let reason = "the same bytes are in the table already".to_owned();
                report.outcome = Outcome::Failed;
                report.failure = Some(Failure { variable: None, offset: None, reason });
            }
        } else {
            progress.begin(&c.granule.name, c.granule.bytes);
            let stop = || cancel.load(Ordering::Relaxed);
            match writer.add(c.table.as_ref(), &c.granule, duplicates, &stop)? {
                Ok(notes) => {
                    report.outcome = Outcome::Published;
                    report.notes = notes;
                    published.push(reports.len());
                }
                Err(refused) => {
                    let reason = match refused {
                        Refused::Because(why) => why,
                        Refused::KeyNotUnique => "two rows have the same key".to_owned(),
                    };
                    report.outcome = Outcome::Failed;
                    report.failure = Some(Failure { variable: None, offset: None, reason });
                }
            }
            progress.advance(report.bytes, "rows");
        }
        reports.push(report);
    }
    let names: Vec<String> = published
        .iter()
        .filter_map(|i| reports[*i].file.file_name())
        .map(|n| n.to_string_lossy().into_owned())
        .collect();
    let message = match names.as_slice() {
        [one] => format!("Add {one}"),
        [first, .., last] => format!("Add {} files, {first} to {last}", names.len()),
        [] => String::new(),
    };
    Ok((writer.commit(&message)?, reports))
}
