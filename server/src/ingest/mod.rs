//! From source files to one published version.
//!
//! A granule is refused whole or published whole, and a collection is never seen
//! between two states: everything is planned from headers and coordinates, data
//! objects are written where nothing refers to them, and one commit makes the
//! version. What a file's bytes reveal only half-way (a chunk that does not
//! decompress) takes that granule out, and the others are done again without it.
//!
//! **Invariant:** memory does not grow with the file. See `feed` and `shards`.

mod along;
mod arrange;
mod attributes;
mod bins;
mod bring;
pub mod bundle;
#[cfg(test)]
mod classic;
mod compare;
mod concat;
pub mod conventions;
mod coordinates;
pub mod dry_run;
pub mod duplicates;
mod feed;
mod field;
#[cfg(test)]
mod grid_tests;
pub mod grids;
pub mod inputs;
mod layout;
mod levels;
mod merge;
mod mesh;
mod plan;
mod planes;
pub mod progress;
pub mod pyramid;
pub mod quality;
#[cfg(test)]
mod recipe_tests;
mod report;
mod schema;
mod select;
mod series;
mod shards;
mod stack;
#[cfg(test)]
mod tests;
mod transpose;
#[cfg(test)]
mod version_tests;
mod whole;
mod write;

use std::collections::VecDeque;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use graticule_formats::{FormatError, Limits, Source};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::acquire::{self, Known};
use crate::recipe::Recipe;
use crate::reference;
use crate::store::{Change, Granule, Kind, Standing, Store};
use arrange::{Arranged, Candidate, Grows};
use bring::{bring, cancelled, fetched, fetcher, gather};
use bundle::Bundle;
use duplicates::{Duplicates, Wanted};
use progress::Progress;
pub use report::{Failure, GranuleReport, IngestReport, Outcome};
use write::{Referred, Written, write};

use crate::tables::ingest::Candidate as Table;

/// What the files of one command or one run become.
#[derive(Debug, Clone, Default)]
pub struct IngestRequest {
    pub collection: String,
    /// Files, folders, patterns and URLs; what the recipe's source says where there are none.
    pub inputs: Vec<PathBuf>,
    /// The dimension to grow along; the time dimension where none is named.
    pub append: Option<String>,
    /// What to do with granules that are there already.
    pub duplicates: Duplicates,
    pub recipe: Arc<Recipe>,
    /// Only so many granules, the first ones.
    pub first: Option<usize>,
    /// URLs may be fetched only below these prefixes; any where it is `None`.
    pub allow_urls: Option<Arc<Vec<String>>>,
    /// Leaves the full resolution in the files, and refers to it.
    pub reference: bool,
    /// Waited for once files are at hand, and held until they are published: whoever fetches lets
    /// others ingest meanwhile.
    pub turn: Option<Arc<Semaphore>>,
}

impl IngestRequest {
    /// Follows a recipe.
    pub fn of(collection: String, inputs: Vec<PathBuf>, recipe: Recipe) -> Self {
        Self {
            collection,
            inputs,
            append: recipe.cube.concat.clone(),
            duplicates: recipe.cube.duplicates,
            recipe: Arc::new(recipe),
            first: None,
            allow_urls: None,
            reference: false,
            turn: None,
        }
    }
}

/// Told of a version after its commit: the catalog.
pub trait Publish: Send + Sync {
    fn publish(
        &self,
        store: &Store,
        id: &str,
        version: &str,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// The granules of the latest version that are asked for. A catalog answers from its index.
    fn held(
        &self,
        store: &Store,
        id: &str,
        wanted: &Wanted,
    ) -> impl Future<Output = anyhow::Result<Vec<Standing>>> + Send {
        async move { Ok(duplicates::from_history(store, id, wanted).await?) }
    }

    /// The same for the newest version of a table.
    fn publish_table(&self, store: &Store, id: &str) -> impl Future<Output = anyhow::Result<()>> + Send;
}

pub(crate) fn limits() -> Limits {
    Limits { cache_bytes: 16 << 20, ..Limits::default() }
}

/// Ingests the files of a request into one version.
///
/// # Errors
/// What concerns the whole request: a bad id, another writer, nothing to read, a
/// full disk. What concerns one granule is in the report.
pub async fn ingest(
    store: &Store,
    catalog: &impl Publish,
    request: &IngestRequest,
    progress: Arc<dyn Progress>,
    cancel: Arc<AtomicBool>,
) -> anyhow::Result<IngestReport> {
    let started = Instant::now();
    if !crate::store::is_collection_id(&request.collection) {
        return Err(crate::store::StoreError::BadId(request.collection.clone()).into());
    }
    let fetcher = fetcher(request, &acquire::downloads(store.root())).await?;
    anyhow::ensure!(
        !(request.reference && fetcher.is_some()),
        "--reference refers to files of this machine; what is fetched is removed once it is published"
    );
    let (rest, granules) = gather(request, fetcher.as_ref()).await?;
    let mut rest = VecDeque::from(rest);
    let mut report =
        IngestReport { collection: request.collection.clone(), version: None, granules, seconds: 0.0 };
    let known = match &fetcher {
        Some(_) => Box::pin(fetched(store, catalog, &request.collection, &rest)).await?,
        None => Known::new(),
    };
    while !rest.is_empty() {
        let batch = match &fetcher {
            None => Vec::from(std::mem::take(&mut rest)),
            // What came of a download stays, and is gone on with next time.
            Some(f) => tokio::select! {
                here = bring(f, &mut rest, &known, &mut report.granules) => here,
                () = cancelled(&cancel) => anyhow::bail!("cancelled"),
            },
        };
        let _turn = match &request.turn {
            Some(turn) => Some(turn.acquire().await?),
            None => None,
        };
        let here: Vec<Bundle> = if fetcher.is_some() { batch.clone() } else { Vec::new() };
        let (tables, batch) = tables(batch, &mut report.granules).await?;
        // The one file of a new collection is like no other: its checksum can wait.
        let alone = batch.len() == 1 && batch.iter().all(|b| b.files.len() == 1);
        let sum = !alone || store.latest(&request.collection)?.is_some();
        let mut candidates = examine(batch, sum, &mut report.granules).await?;
        if !tables.is_empty() {
            publish_tables(store, catalog, request, tables, &progress, &cancel, &mut report).await?;
        }
        if crate::tables::exists(store.root(), &request.collection) {
            // A collection is a cube or a table.
            let why =
                "this file holds grids, and the collection is a table; ingest it into another collection";
            report.granules.extend(candidates.drain(..).map(|c| failed(c.path, Failure::new(why))));
        }
        if request.reference {
            let (composed, plain): (Vec<_>, Vec<_>) =
                candidates.into_iter().partition(Candidate::is_composed);
            let why = "--reference takes files as they are; merged by variable or member, or timed by their names, they become copies";
            report.granules.extend(composed.into_iter().map(|c| failed(c.path, Failure::new(why))));
            candidates = plain;
        }
        if !candidates.is_empty() {
            run(store, catalog, request, candidates, &progress, &cancel, &mut report).await?;
        }
        here.iter().for_each(acquire::forget);
    }
    for g in &report.granules {
        progress.end(&g.to_string());
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// Opens and checks each bundle; what cannot be a granule is reported.
async fn examine(
    bundles: Vec<Bundle>,
    sum: bool,
    reports: &mut Vec<GranuleReport>,
) -> anyhow::Result<Vec<Candidate>> {
    let mut candidates = Vec::new();
    for bundle in bundles {
        let shown = bundle.shown();
        let bundle = Arc::new(bundle);
        match tokio::task::spawn_blocking(move || arrange::examine(bundle, sum)).await? {
            Ok(c) => candidates.push(c),
            Err(failure) => reports.push(failed(shown, failure)),
        }
    }
    Ok(candidates)
}

/// Those of the granules that are tables, opened, and the others.
async fn tables(
    bundles: Vec<Bundle>,
    reports: &mut Vec<GranuleReport>,
) -> anyhow::Result<(Vec<Table>, Vec<Bundle>)> {
    let (mut tables, mut others) = (Vec::new(), Vec::new());
    for bundle in bundles {
        let [file] = bundle.files.as_slice() else {
            others.push(bundle);
            continue;
        };
        let (file, shown) = (file.clone(), bundle.shown());
        match tokio::task::spawn_blocking(move || crate::tables::ingest::examine(&file)).await? {
            Ok(Some(table)) => tables.push(table),
            Ok(None) => others.push(bundle),
            Err(failure) => reports.push(failed(shown, failure)),
        }
    }
    Ok((tables, others))
}

/// Publishes tables as one version of a tabular collection.
async fn publish_tables(
    store: &Store,
    catalog: &impl Publish,
    request: &IngestRequest,
    tables: Vec<Table>,
    progress: &Arc<dyn Progress>,
    cancel: &Arc<AtomicBool>,
    report: &mut IngestReport,
) -> anyhow::Result<()> {
    if store.latest(&request.collection)?.is_some() {
        let why = "this file is a table, and the collection is a cube; ingest it into another collection";
        report.granules.extend(tables.into_iter().map(|t| failed(t.path, Failure::new(why))));
        return Ok(());
    }
    let (root, id) = (store.root().to_owned(), request.collection.clone());
    let (progress, cancel, policy) = (Arc::clone(progress), Arc::clone(cancel), request.duplicates);
    let publish = move || crate::tables::ingest::publish(&root, &id, tables, policy, &progress, &cancel);
    let (version, granules) = tokio::task::spawn_blocking(publish).await??;
    report.granules.extend(granules);
    if version.is_some() {
        catalog.publish_table(store, &request.collection).await?;
    }
    report.version = version;
    Ok(())
}

fn failed(file: PathBuf, failure: Failure) -> GranuleReport {
    GranuleReport { file, outcome: Outcome::Failed, failure: Some(failure), notes: Vec::new(), bytes: 0 }
}

async fn run(
    store: &Store,
    catalog: &impl Publish,
    request: &IngestRequest,
    mut candidates: Vec<Candidate>,
    progress: &Arc<dyn Progress>,
    cancel: &Arc<AtomicBool>,
    report: &mut IngestReport,
) -> anyhow::Result<()> {
    let writer = store.writer(&request.collection).await?;
    if let Some(former) = writer.former() {
        match (reference::is_marked(former.hierarchy()), request.reference) {
            (true, false) => anyhow::bail!(
                "{} refers to its files: append with --reference, or ingest copies into a collection of their own",
                request.collection
            ),
            (false, true) => anyhow::bail!(
                "{} holds copies: append without --reference, or refer to the files in a collection of their own",
                request.collection
            ),
            _ => {}
        }
    }
    let (id, policy) = (request.collection.as_str(), request.duplicates);
    if writer.former().is_some() {
        // Another process made the collection meanwhile.
        for i in (0..candidates.len()).rev() {
            if let Some(sum) = summing(&candidates[i])
                && let Err(failure) = sum.into(&mut candidates[i]).await?
            {
                report.granules.push(failed(candidates.remove(i).path, failure));
            }
        }
        match duplicates::known(store, catalog, id, policy, candidates).await? {
            Ok((new, same)) => {
                report.granules.extend(same);
                candidates = new;
            }
            Err(all) => {
                report.granules.extend(all);
                return Ok(());
            }
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    let (new, copies): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|c| seen.insert(c.keys().collect::<Vec<_>>()));
    report.granules.extend(copies.into_iter().map(duplicates::unchanged));
    candidates = new;
    loop {
        if candidates.is_empty() {
            return Ok(());
        }
        let former = writer.former().cloned();
        let append = request.append.clone();
        let runtime = tokio::runtime::Handle::current();
        let arranged = tokio::task::spawn_blocking(move || {
            arrange::arrange(candidates, former, append, policy, runtime)
        })
        .await?;
        let Arranged { source, mut accepted, refused, grows, dimension, steps, fatal } = arranged;
        if !fatal.is_empty() {
            let why: Vec<(PathBuf, Failure)> =
                fatal.iter().map(|(c, f)| (c.path.clone(), f.clone())).collect();
            let all = fatal.into_iter().map(|(c, _)| c).chain(accepted);
            let of = |c: &Candidate| why.iter().find(|(p, _)| *p == c.path).map(|(_, f)| f.clone());
            report.granules.extend(duplicates::fail_all(all.collect(), of));
            report.granules.extend(refused.into_iter().map(|(c, failure)| failed(c.path, failure)));
            return Ok(());
        }
        report.granules.extend(refused.into_iter().map(|(c, failure)| failed(c.path, failure)));
        let Some(source) = source else { return Ok(()) };
        let lengths = lengths(source.as_ref());
        let shares = shares(&accepted, &steps);
        let recipe = &request.recipe;
        let sums = accepted.first().and_then(summing);
        let referred = request.reference.then(|| Referred::new(&accepted, dimension, &steps));
        let taken =
            write(&writer, source, grows.clone(), referred, &accepted, shares, recipe, progress, cancel);
        let taken = taken.await;
        if let (Ok(_), Some(sum), Some(first)) = (&taken, sums, accepted.first_mut())
            && let Err(failure) = sum.into(first).await?
        {
            report.granules.extend(accepted.into_iter().map(|c| failed(c.path, failure.clone())));
            return Ok(());
        }
        match taken {
            Ok(Written { nodes, notes, quality }) => {
                let dimension = growing_dimension(&accepted, grows.as_ref(), request);
                let mut quality = quality.into_iter();
                let mut granules: Vec<Granule> = Vec::new();
                for (c, steps) in accepted.iter().zip(steps) {
                    let time = dimension.as_deref().and_then(|d| c.extent(d));
                    for (i, g) in std::iter::once(&c.granule).chain(&c.also).enumerate() {
                        let software = Some(env!("CARGO_PKG_VERSION").to_owned());
                        let mut g = Granule { steps, time: time.clone(), software, ..g.clone() };
                        if i == 0 {
                            g.notes.extend(notes.iter().cloned());
                            g.quality = quality.next().unwrap_or_default();
                        }
                        granules.push(g);
                    }
                }
                let change = match (&grows, writer.former()) {
                    (Some(grows), Some(former)) => {
                        let mut change =
                            duplicates::settle(store, catalog, id, policy, &mut granules, &grows.replaced)
                                .await?;
                        let before = crate::store::lengths(former.hierarchy());
                        change.dimensions = crate::store::changed(&before, &lengths);
                        change
                    }
                    _ => Change {
                        dimensions: crate::store::changed(&Default::default(), &lengths),
                        ..first_of(&mut granules)
                    },
                };
                let message = message(&granules, change.kind);
                let version = writer.commit(nodes, &granules, &change, &message).await?;
                catalog.publish(store, id, &version).await.with_context(|| {
                    format!("version {version} of {id} is published, but the catalog could not be told; it will catch up")
                })?;
                report.version = Some(version);
                let mut granules = granules.into_iter();
                for c in accepted {
                    let files: Vec<Granule> = granules.by_ref().take(1 + c.also.len()).collect();
                    let quality = files.iter().flat_map(|g| g.quality.iter().map(quality_note));
                    report.granules.push(GranuleReport {
                        file: c.path,
                        outcome: Outcome::Published,
                        failure: None,
                        notes: files.iter().flat_map(|g| g.notes.iter().cloned()).chain(quality).collect(),
                        bytes: files.iter().map(|g| g.bytes).sum(),
                    });
                }
                return Ok(());
            }
            Err(e) => {
                // The file that does not read goes; the others are done again.
                writer.discard();
                let Some(format) = format_error(&e) else { return Err(e) };
                let guilty = accepted.iter().position(|c| c.bundle.has(&format.file));
                let guilty = guilty.or((accepted.len() == 1).then_some(0));
                let Some(guilty) = guilty else { return Err(e) };
                candidates = accepted;
                let out = candidates.remove(guilty);
                let failure = Failure {
                    variable: format.variable.clone(),
                    offset: format.offset,
                    reason: format.reason.clone(),
                };
                report.granules.push(failed(out.path, failure));
            }
        }
    }
}

/// The checksum of a file, on its way; given up where nobody waits for it any more.
struct Summing {
    sum: tokio::task::JoinHandle<Result<(String, u64), Failure>>,
    stop: Arc<AtomicBool>,
}

/// Where it was left for later.
fn summing(candidate: &Candidate) -> Option<Summing> {
    let (file, stop) = (candidate.unsummed()?.clone(), Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    Some(Summing { sum: tokio::task::spawn_blocking(move || arrange::checksum(&file, &stopped)), stop })
}

impl Summing {
    async fn into(mut self, candidate: &mut Candidate) -> anyhow::Result<Result<(), Failure>> {
        let sum = (&mut self.sum).await?;
        Ok(sum.map(|(sha256, bytes)| (candidate.granule.sha256, candidate.granule.bytes) = (sha256, bytes)))
    }
}

impl Drop for Summing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What the quality tests found, beside what else was odd.
fn quality_note(summary: &Value) -> String {
    format!("quality: {}", quality::line(summary))
}

/// The steps of each granule, for the quality tests.
fn shares(accepted: &[Candidate], steps: &[Option<(u64, u64)>]) -> Vec<quality::Share> {
    let share = |(c, steps): (&Candidate, &Option<(u64, u64)>)| {
        let file = c.bundle.files.first().map(|f| f.path.display().to_string()).unwrap_or_default();
        let (from, n) = steps.unwrap_or((0, u64::MAX));
        quality::Share { file, from, to: from.saturating_add(n) }
    };
    accepted.iter().zip(steps).map(share).collect()
}

fn format_error(e: &anyhow::Error) -> Option<&FormatError> {
    e.chain().find_map(|c| {
        c.downcast_ref::<FormatError>().or_else(|| match c.downcast_ref::<feed::FeedError>() {
            Some(feed::FeedError::Format(f)) => Some(f),
            _ => None,
        })
    })
}

/// The first version of a collection: granules of one name get numbers.
fn first_of(granules: &mut [Granule]) -> Change {
    let mut count: std::collections::HashMap<String, u64> = std::collections::HashMap::new();
    for g in granules {
        let n = count.entry(g.name.clone()).or_default();
        *n += 1;
        g.id = (*n > 1).then(|| duplicates::numbered(&g.name, *n));
    }
    Change::default()
}

/// Lengths of a source's dimensions, by their last names.
fn lengths(source: &dyn Source) -> std::collections::BTreeMap<String, u64> {
    let all = source.header().variables.iter().flat_map(|v| v.dims.iter().zip(&v.shape));
    all.map(|(d, n)| (plan::leaf(d), *n)).collect()
}

fn growing_dimension(
    accepted: &[Candidate],
    grows: Option<&Grows>,
    request: &IngestRequest,
) -> Option<String> {
    let found = || accepted.first()?.growing(request.append.as_deref()).ok().flatten();
    grows.map(|g| g.dimension.clone()).or_else(found)
}

fn message(granules: &[Granule], kind: Kind) -> String {
    let verb = match kind {
        Kind::Append => "Append",
        Kind::Replace => "Replace",
        Kind::Revise => "Revise",
        Kind::Ingest | Kind::Rollback => "Ingest",
    };
    match granules {
        [one] => format!("{verb} {}", one.name),
        [first, .., last] => format!("{verb} {} files, {} to {}", granules.len(), first.name, last.name),
        [] => verb.to_owned(),
    }
}
