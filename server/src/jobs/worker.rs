//! The worker: claims a granule, does it, writes down what became of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::queue::{Claim, Jobs, LEASE_SECS};
use super::{Bake, Baked, Failure};

/// Looks again at least this often, for what another process may have queued.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Works off the queue for ever, one granule at a time: an ingest uses all cores
/// by itself and its memory is what the limits are about.
pub async fn work(jobs: &Arc<Jobs>, bake: Arc<dyn Bake>) {
    loop {
        let queue = Arc::clone(jobs);
        let claimed = tokio::task::spawn_blocking(move || queue.claim()).await;
        let rest = match claimed {
            Ok(Ok(Ok(claim))) => {
                if let Err(e) = one(jobs, &bake, claim).await {
                    tracing::error!("the queue cannot be written: {e:#}");
                    LONGEST_REST
                } else {
                    continue;
                }
            }
            Ok(Ok(Err(secs))) => Duration::from_secs_f64(secs.min(LONGEST_REST.as_secs_f64())),
            Ok(Err(e)) => {
                tracing::error!("the queue cannot be read: {e:#}");
                LONGEST_REST
            }
            Err(e) => {
                tracing::error!("claiming a granule: {e}");
                LONGEST_REST
            }
        };
        tokio::select! {
            () = jobs.wake.notified() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
}

async fn one(jobs: &Arc<Jobs>, bake: &Arc<dyn Bake>, claim: Claim) -> anyhow::Result<()> {
    let input = claim.work.shown();
    tracing::info!(collection = claim.work.collection, input, attempt = claim.attempts, "granule begun");
    let started = Instant::now();
    let cancel = Arc::new(AtomicBool::new(false));
    let task = {
        let (bake, claim, cancel) = (Arc::clone(bake), claim.clone(), Arc::clone(&cancel));
        tokio::task::spawn_blocking(move || bake.bake(&claim.work, &cancel))
    };
    tokio::pin!(task);
    let mut heartbeat = tokio::time::interval(Duration::from_secs_f64(LEASE_SECS / 4.0));
    let outcome = loop {
        tokio::select! {
            done = &mut task => break done,
            _ = heartbeat.tick() => {
                let (queue, held) = (Arc::clone(jobs), claim.clone());
                let renewed = tokio::task::spawn_blocking(move || queue.renew(&held)).await?;
                // Cancelled, or another worker's. Publishing twice would change nothing, but cost.
                if renewed.is_ok_and(|ours| !ours) {
                    cancel.store(true, Ordering::Relaxed);
                }
            }
        }
    };
    let outcome = outcome.unwrap_or_else(|e| {
        Err(Failure {
            permanent: true,
            file: input.clone(),
            variable: None,
            byte_offset: None,
            reason: format!("the ingest itself failed: {e}"),
        })
    });
    match &outcome {
        Ok(Baked::Published { version, .. }) => {
            tracing::info!(collection = claim.work.collection, input, version, "granule published");
        }
        Ok(Baked::Unchanged) => tracing::info!(input, "granule was there already"),
        Err(f) => {
            tracing::warn!(input, permanent = f.permanent, "granule failed: {}", f.reason)
        }
    }
    let jobs = Arc::clone(jobs);
    tokio::task::spawn_blocking(move || jobs.settle(&claim, started.elapsed().as_secs_f64(), &outcome))
        .await?
}
