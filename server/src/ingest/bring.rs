//! The files that a request means, fetched where they are elsewhere.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::bundle::{self, Bundle};
use super::duplicates::Wanted;
use super::{GranuleReport, IngestRequest, Outcome, Publish, failed};
use crate::acquire::{self, Brought, Fetcher, Known};
use crate::store::Store;

/// Downloads that lie here at once; what is more comes into a version of its own.
const DOWNLOADED: u64 = 8 << 30;
/// Granules fetched before their bytes are counted.
const AHEAD: usize = 32;

/// What fetches remote inputs, where there are any.
pub(super) async fn fetcher(request: &IngestRequest, downloads: &Path) -> anyhow::Result<Option<Fetcher>> {
    if !acquire::is_remote(&request.inputs, &request.recipe) {
        return Ok(None);
    }
    Ok(Some(Fetcher::new(downloads, &request.recipe.source, request.allow_urls.clone()).await?))
}

/// What the collection's granules were fetched from, of the addresses at hand.
pub(super) async fn fetched(
    store: &Store,
    catalog: &impl Publish,
    id: &str,
    bundles: &VecDeque<Bundle>,
) -> anyhow::Result<Known> {
    if store.latest(id)?.is_none() {
        return Ok(Known::new());
    }
    let named = bundles.iter().flat_map(|b| &b.files).filter_map(|f| f.named.as_deref());
    let wanted = Wanted { urls: named.map(acquire::url::shown).collect(), ..Wanted::default() };
    let held = catalog.held(store, id, &wanted).await?;
    let origins = held.into_iter().map(|s| s.granule).filter(|g| g.superseded_by.is_none());
    Ok(origins.filter_map(|g| g.origin).map(|o| (o.key(), o)).collect())
}

/// Ends when the ingest is no longer wanted.
pub(super) async fn cancelled(cancel: &AtomicBool) {
    while !cancel.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Fetches the next granules, until they are as many bytes as may lie here at once.
pub(super) async fn bring(
    fetcher: &Fetcher,
    rest: &mut VecDeque<Bundle>,
    known: &Known,
    reports: &mut Vec<GranuleReport>,
) -> Vec<Bundle> {
    let (mut here, mut bytes) = (Vec::new(), 0);
    while !rest.is_empty() && bytes < DOWNLOADED {
        let next: Vec<Bundle> = rest.drain(..rest.len().min(AHEAD)).collect();
        for brought in fetcher.bring(next, known).await {
            match brought {
                Brought::Here(b) => {
                    let length = |f: &bundle::Input| std::fs::metadata(&f.path).map_or(0, |m| m.len());
                    bytes += b.files.iter().map(length).sum::<u64>();
                    here.push(b);
                }
                Brought::Unchanged(b) => reports.push(GranuleReport {
                    file: b.shown(),
                    outcome: Outcome::Unchanged,
                    failure: None,
                    notes: Vec::new(),
                    bytes: 0,
                }),
                Brought::Failed(b, failure) => reports.push(failed(b.shown(), failure)),
            }
        }
    }
    here
}

/// The granules that a request means, and those that its recipe's pattern does not fit.
pub(super) async fn gather(
    request: &IngestRequest,
    fetcher: Option<&Fetcher>,
) -> anyhow::Result<(Vec<Bundle>, Vec<GranuleReport>)> {
    let (mut bundles, odd) = acquire::bundles(&request.inputs, &request.recipe, fetcher).await?;
    anyhow::ensure!(bundles.len() + odd.len() > 0, "no input files were given");
    bundles.truncate(request.first.unwrap_or(usize::MAX));
    bundles.iter_mut().for_each(|b| b.in_place = request.reference);
    Ok((bundles, odd.into_iter().map(|(path, failure)| failed(path, failure)).collect()))
}
