//! The worker: claims a granule, does it, writes down what became of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::queue::{Claim, Jobs, LEASE_SECS};
use super::{Bake, Baked, Failure};

/// Looks again at least this often, for what another process may have queued.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Works off the queue for ever, one granule at a time.
pub async fn work(jobs: &Arc<Jobs>, bake: Arc<dyn Bake>) {
    loop {
        let queue = Arc::clone(jobs);
        let claimed = tokio::task::spawn_blocking(move || queue.claim()).await;
        let rest = match claimed {
            Ok(Ok(Ok(claim))) => {
                // There may be more, for those who rest.
                jobs.wake.notify_one();
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::catalog::Catalog;
    use crate::grouping::ByRecipe;
    use crate::jobs::{RunRequest, WORKERS, Work, spawn};

    /// Stays at the collection "slow" until it is told to go on.
    struct Waits {
        go_on: Mutex<Receiver<()>>,
        done: Mutex<Vec<String>>,
    }

    impl Bake for Waits {
        fn bake(&self, work: &Work, _: &Arc<AtomicBool>) -> Result<Baked, Failure> {
            if work.collection == "slow" {
                self.go_on.lock().unwrap().recv().unwrap();
            }
            self.done.lock().unwrap().push(work.shown().rsplit('/').next().unwrap().to_owned());
            Ok(Baked::Unchanged)
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_collection_that_waits_for_its_network_holds_up_no_other_and_keeps_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(dir.path()).unwrap();
        let roots = vec![dir.path().to_owned()];
        let jobs = Jobs::open(catalog, roots, Arc::default(), Arc::new(ByRecipe(None))).unwrap();
        let (send, go_on) = channel();
        let bake = Arc::new(Waits { go_on: Mutex::new(go_on), done: Mutex::default() });
        spawn(&jobs, &(Arc::clone(&bake) as Arc<dyn Bake>));
        let submit = |collection: &str, names: &[&str]| {
            names.iter().for_each(|n| std::fs::write(dir.path().join(n), b"x").unwrap());
            let inputs = names.iter().map(|n| (*n).to_owned()).collect();
            let request = RunRequest { collection: collection.into(), inputs, ..RunRequest::default() };
            jobs.submit(&request).unwrap()
        };
        // More of them than there are workers: all but one are free all the same.
        let names: Vec<String> = (0..WORKERS + 2).map(|i| format!("{i}.nc")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let slow = submit("slow", &names);
        let fast = submit("fast", &["a.nc", "b.nc"]);
        let ended = async |run: &str| {
            let start = Instant::now();
            while jobs.get(run).unwrap().unwrap().finished.is_none() {
                assert!(start.elapsed() < Duration::from_secs(20), "{run} does not end");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        ended(&fast).await;
        assert_eq!(*bake.done.lock().unwrap(), ["a.nc", "b.nc"]);
        names.iter().for_each(|_| send.send(()).unwrap());
        ended(&slow).await;
        assert_eq!(bake.done.lock().unwrap()[2..], names);
    }
}
