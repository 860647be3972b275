//! Tables: SQLite's own check, and what a version says of its rows against the rows.

use std::sync::Arc;

use super::{Code, Finding, Report};
use crate::store::Store;
use crate::tables::Table;

/// False where the table was never published. What does not read is a finding, and stays.
///
/// # Errors
/// The work broke off.
pub async fn check(store: &Arc<Store>, id: &str, report: &mut Report) -> anyhow::Result<bool> {
    let (root, table) = (store.root().to_owned(), id.to_owned());
    let look = move || -> anyhow::Result<Option<usize>> {
        let Some(table) = Table::open(&root, &table)? else { return Ok(None) };
        let versions = table.versions()?;
        if !versions.is_empty() {
            table.prove()?;
        }
        Ok((!versions.is_empty()).then_some(versions.len()))
    };
    match tokio::task::spawn_blocking(look).await? {
        Ok(None) => return Ok(false),
        Ok(Some(versions)) => {
            report.collections += 1;
            report.versions += versions as u64;
        }
        Err(e) => {
            let finding = Finding::new(Code::VersionUnreadable, format!("{e:#}"));
            report.findings.push(finding.of(id).at(format!("collections/{id}/table.sqlite")));
        }
    }
    Ok(true)
}
