//! The files that granules came from, where they are still there: the same bytes as then?

use std::path::PathBuf;

use super::{Code, Finding, Report};
use crate::ingest::inputs;
use crate::store::Store;

/// # Errors
/// The history cannot be read.
pub async fn check(store: &Store, id: &str, report: &mut Report) -> anyhow::Result<()> {
    for (item, standing) in store.living(id, None).await? {
        let g = standing.granule;
        if g.source.contains("://") {
            report.notes.push(format!("{id}: {} is not a local file and was not read", g.source));
            continue;
        }
        let path = PathBuf::from(&g.source);
        let sum = tokio::task::spawn_blocking(move || inputs::checksum(&path)).await?;
        let finding = match sum {
            Err(e) => Finding::new(Code::SourceMissing, format!("{}: {e}", g.source)),
            Ok((sha256, _)) if sha256 != g.sha256 => {
                Finding::new(Code::SourceChanged, format!("{} has other bytes than were ingested", g.source))
            }
            Ok(_) => continue,
        };
        report.findings.push(finding.of(id).at(item));
    }
    Ok(())
}
