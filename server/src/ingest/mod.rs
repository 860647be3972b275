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

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use graticule_formats::{FormatError, Limits, Source};
use graticule_shared::zarr::Hierarchy;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::acquire::{self, Brought, Fetcher, Known};
use crate::recipe::Recipe;
use crate::reference::{self, Made, Piece};
use crate::store::{Change, ChunkSink, Granule, Kind, Node, Standing, Store, Writer};
use arrange::{Arranged, Candidate, Grows};
use bundle::Bundle;
use duplicates::{Duplicates, Wanted};
use plan::{Continue, Plan};
use progress::Progress;

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Published,
    /// The same bytes are in the collection already.
    Unchanged,
    Failed,
}

/// Why a granule was refused: enough to find the place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub variable: Option<String>,
    pub offset: Option<u64>,
    pub reason: String,
}

impl Failure {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { variable: None, offset: None, reason: reason.into() }
    }
}

/// With `#` it goes on after the name of a file.
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut place = Vec::new();
        place.extend(self.variable.as_ref().map(|v| format!("variable {v:?}")));
        place.extend(self.offset.map(|at| format!("byte {at}")));
        match (f.alternate(), place.is_empty()) {
            (true, true) => write!(f, ": {}", self.reason),
            (true, false) => write!(f, ", {}: {}", place.join(", "), self.reason),
            (false, true) => f.write_str(&self.reason),
            (false, false) => write!(f, "{}: {}", place.join(", "), self.reason),
        }
    }
}

impl From<FormatError> for Failure {
    fn from(e: FormatError) -> Self {
        Self { variable: e.variable, offset: e.offset, reason: e.reason }
    }
}

#[derive(Debug, Clone)]
pub struct GranuleReport {
    pub file: PathBuf,
    pub outcome: Outcome,
    pub failure: Option<Failure>,
    pub notes: Vec<String>,
    pub bytes: u64,
}

impl std::fmt::Display for GranuleReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        match (&self.failure, self.outcome) {
            (Some(failure), _) => write!(f, "{failure:#}"),
            (None, Outcome::Unchanged) => write!(f, ": already in the collection, unchanged"),
            (None, _) => write!(f, ": published"),
        }
    }
}

#[derive(Debug, Clone)]
pub struct IngestReport {
    pub collection: String,
    /// The version that was published, if one was.
    pub version: Option<String>,
    pub granules: Vec<GranuleReport>,
    pub seconds: f64,
}

impl IngestReport {
    pub fn is_complete(&self) -> bool {
        self.granules.iter().all(|g| g.outcome != Outcome::Failed)
    }
}

/// Downloads that lie here at once; what is more comes into a version of its own.
const DOWNLOADED: u64 = 8 << 30;
/// Granules fetched before their bytes are counted.
const AHEAD: usize = 32;

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

/// What fetches remote inputs, where there are any.
async fn fetcher(request: &IngestRequest, downloads: &Path) -> anyhow::Result<Option<Fetcher>> {
    if !acquire::is_remote(&request.inputs, &request.recipe) {
        return Ok(None);
    }
    Ok(Some(Fetcher::new(downloads, &request.recipe.source, request.allow_urls.clone()).await?))
}

/// What the collection's granules were fetched from, of the addresses at hand.
async fn fetched(
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
async fn cancelled(cancel: &AtomicBool) {
    while !cancel.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Fetches the next granules, until they are as many bytes as may lie here at once.
async fn bring(
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
async fn gather(
    request: &IngestRequest,
    fetcher: Option<&Fetcher>,
) -> anyhow::Result<(Vec<Bundle>, Vec<GranuleReport>)> {
    let (mut bundles, odd) = acquire::bundles(&request.inputs, &request.recipe, fetcher).await?;
    anyhow::ensure!(bundles.len() + odd.len() > 0, "no input files were given");
    bundles.truncate(request.first.unwrap_or(usize::MAX));
    bundles.iter_mut().for_each(|b| b.in_place = request.reference);
    Ok((bundles, odd.into_iter().map(|(path, failure)| failed(path, failure)).collect()))
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

/// What a commit is made of.
struct Written {
    nodes: Vec<Node>,
    notes: Vec<String>,
    /// Outcome of the quality tests, by granule.
    quality: Vec<Vec<Value>>,
}

/// Where the files of a cube of references lie along the dimension that grows.
struct Referred {
    dimension: Option<String>,
    pieces: Vec<Piece>,
}

impl Referred {
    /// `steps` are those of each accepted candidate along the dimension.
    fn new(accepted: &[Candidate], dimension: Option<String>, steps: &[Option<(u64, u64)>]) -> Self {
        let from = |steps: &Option<(u64, u64)>| steps.map_or(0, |(from, _)| from);
        let pieces = accepted.iter().zip(steps).map(|(c, s)| Piece { path: c.path.clone(), from: from(s) });
        Self { dimension, pieces: pieces.collect() }
    }

    /// Level 0 of every field, by its path; the fields are walked for their coarser levels alone.
    fn make(
        &self,
        plan: &mut Plan,
        source: &dyn Source,
        former: Option<&Hierarchy>,
        sink: &ChunkSink,
    ) -> anyhow::Result<BTreeMap<String, Made>> {
        plan.root.insert(reference::MARK.to_owned(), json!(true));
        let mut made = BTreeMap::new();
        for field in &mut plan.fields {
            // What is long in time is stored.
            let Some(level) = field.levels.first().filter(|_| !field.is_series) else { continue };
            let v = source.header().variables.iter().find(|v| v.path == field.source);
            let axis = v.zip(self.dimension.as_ref()).and_then(|(v, d)| v.dims.iter().position(|x| x == d));
            let former = former.and_then(|h| h.arrays.get(&level.path));
            let one = reference::make(&field.source, &level.metadata, axis, &self.pieces, former, sink)?;
            field.elsewhere = true;
            made.insert(level.path.clone(), one);
        }
        Ok(made)
    }
}

/// Stores everything of a source that is new, and returns the nodes to commit.
#[allow(clippy::too_many_arguments)]
async fn write(
    writer: &Writer<'_>,
    source: Arc<dyn Source>,
    grows: Option<Grows>,
    referred: Option<Referred>,
    accepted: &[Candidate],
    shares: Vec<quality::Share>,
    recipe: &Arc<Recipe>,
    progress: &Arc<dyn Progress>,
    cancel: &Arc<AtomicBool>,
) -> anyhow::Result<Written> {
    let name = match accepted {
        [one] => one.granule.name.clone(),
        many => format!("{} files", many.len()),
    };
    let (sink, progress, cancel) = (writer.sink(), Arc::clone(progress), Arc::clone(cancel));
    let scratch = writer.scratch();
    let former = writer.former().map(|s| Arc::clone(s.hierarchy()));
    let recipe = Arc::clone(recipe);
    tokio::task::spawn_blocking(move || {
        let goes_on = former.as_deref().zip(grows.as_ref()).map(|(former, g)| Continue {
            former,
            dimension: &g.dimension,
            fresh: &g.fresh,
        });
        let mut plan = Plan::new(source.as_ref(), goes_on.as_ref(), &recipe)?;
        anyhow::ensure!(
            plan.fields.len() + plan.wholes.len() > 0,
            FormatError::new("", format!("no variable can be carried over: {}", plan.notes.join("; ")))
        );
        if let Some(g) = &goes_on {
            plan.keep_only_what_grows(g.dimension);
        }
        let made = match &referred {
            Some(r) => r.make(&mut plan, source.as_ref(), former.as_deref(), &sink)?,
            None => BTreeMap::new(),
        };
        let walked = plan.fields.iter().filter(|f| f.is_walked());
        progress.begin(&name, walked.map(field::Field::bytes).sum());
        let known: Vec<&str> = source.header().variables.iter().map(|v| v.path.as_str()).collect();
        crate::recipe::Cube::check_names(recipe.quality.keys(), "quality", &known)
            .map_err(anyhow::Error::msg)?;
        let of_tests = |n: &String| plan.fields.iter().chain(&plan.tested).any(|f| f.source == *n);
        for name in recipe.quality.keys().filter(|n| !of_tests(n)) {
            plan.notes.push(format!("{name}: no quality tests: it does not grow"));
        }
        let mut lines = plan::time_dimensions(source.header());
        lines.extend(goes_on.as_ref().map(|g| g.dimension.to_owned()));
        let mut watch =
            quality::Quality::new(&plan.fields, &plan.tested, &lines, &recipe, &shares, &scratch)?;
        for (number, field) in plan.tested.iter().enumerate() {
            if let Some(whole) = plan.wholes.iter().find(|w| w.path == field.source) {
                watch.observe_whole(source.as_ref(), number, &whole.bytes)?;
            }
        }
        let (stored, watch) =
            shards::store(source.as_ref(), &plan.fields, watch, &sink, &scratch, progress.as_ref(), &cancel)?;
        let quality = watch.finish(source.as_ref())?;
        let mut skeleton = plan.clone_metadata();
        if let Some(g) = &goes_on {
            skeleton.keep(g.former, &recipe, plan.new_series.as_deref());
        }
        let nodes = nodes(skeleton, stored, made, &mut plan, &sink, goes_on.as_ref())?;
        Ok(Written { nodes, notes: plan.notes, quality })
    })
    .await?
}

struct Skeleton {
    /// The groups to write; the root's path is empty.
    groups: Vec<(String, Value)>,
}

fn group_document(attributes: &serde_json::Map<String, Value>) -> Value {
    json!({"zarr_format": 3, "node_type": "group", "attributes": attributes})
}

impl Skeleton {
    /// Keeps the groups of the former version, except for what the recipe now says of the whole.
    fn keep(
        &mut self,
        former: &graticule_shared::zarr::Hierarchy,
        recipe: &Recipe,
        new_series: Option<&str>,
    ) {
        self.groups.retain(|(path, _)| {
            new_series.is_some_and(|s| path == s || path.strip_prefix(s).is_some_and(|p| p.starts_with('/')))
        });
        let mut wanted = recipe.root_attributes();
        wanted.extend(new_series.map(|s| (series::ATTRIBUTE.to_owned(), json!(s))));
        if wanted.iter().any(|(k, v)| former.attributes.get(k) != Some(v)) {
            let mut attributes = former.attributes.clone();
            attributes.extend(wanted);
            self.groups.push((String::new(), group_document(&attributes)));
        }
    }
}

impl Plan {
    fn clone_metadata(&self) -> Skeleton {
        let root = (String::new(), group_document(&self.root));
        let below = self.groups.iter().map(|(p, a)| (p.clone(), group_document(a)));
        Skeleton { groups: std::iter::once(root).chain(below).collect() }
    }

    /// What an append leaves as it is: arrays that do not have the dimension.
    fn keep_only_what_grows(&mut self, dimension: &str) {
        let leaf = dimension.rsplit('/').next().unwrap_or(dimension).to_owned();
        let grows = |metadata: &Value| {
            metadata["dimension_names"].as_array().is_some_and(|d| d.iter().any(|n| n == leaf.as_str()))
        };
        let new = self.new_series.as_ref().map(|s| format!("{s}/"));
        self.wholes.retain(|w| grows(&w.metadata) || new.as_ref().is_some_and(|n| w.path.starts_with(n)));

        self.fields.retain(|f| f.levels.first().is_some_and(|l| grows(&l.metadata)));
        self.tested.retain(|f| f.levels.first().is_some_and(|l| grows(&l.metadata)));
    }
}

/// Stored chunks of one array, by index.
type Chunks = Vec<(Vec<u32>, Option<crate::store::Payload>)>;

fn nodes(
    skeleton: Skeleton,
    stored: Vec<shards::Stored>,
    mut made: BTreeMap<String, Made>,
    plan: &mut Plan,
    sink: &ChunkSink,
    goes_on: Option<&Continue<'_>>,
) -> anyhow::Result<Vec<Node>> {
    let group =
        |(path, metadata)| Node { path, metadata, chunks: Vec::new(), parts: Vec::new(), keep_chunks: false };
    let mut out: Vec<Node> = skeleton.groups.into_iter().map(group).collect();
    // The second layout's coordinates lag behind: what is new of them is not what is new elsewhere.
    let series = plan.root.get(series::ATTRIBUTE).and_then(Value::as_str).map(|s| format!("{s}/"));
    for mut w in plan.wholes.drain(..) {
        let lags = series.as_ref().is_some_and(|s| w.path.starts_with(s));
        let first = goes_on.and_then(|g| {
            let all = 0..u64::MAX;
            let fresh = if lags { std::slice::from_ref(&all) } else { g.fresh };
            w.in_runs(g.former.arrays.get(&w.path), fresh)
        });
        let chunks = w.chunks(sink, first.unwrap_or(0))?;
        let keep_chunks = first.is_some();
        out.push(Node { path: w.path, metadata: w.metadata, chunks, parts: Vec::new(), keep_chunks });
    }
    // By field and level.
    let mut chunks: Vec<Vec<Chunks>> =
        plan.fields.iter().map(|f| f.levels.iter().map(|_| Vec::new()).collect()).collect();
    for s in stored {
        if let Some(list) = chunks.get_mut(s.field).and_then(|f| f.get_mut(s.level)) {
            list.push((s.index, s.payload));
        }
    }
    for (field, levels) in plan.fields.drain(..).zip(chunks) {
        let keep_chunks = field.fresh.is_some();
        for (level, chunks) in field.levels.into_iter().zip(levels) {
            if let Some(m) = made.remove(&level.path) {
                let chunks = m.chunks.into_iter().map(|(index, payload)| (index, Some(payload))).collect();
                let (metadata, parts, keep_chunks) = (m.metadata, m.parts, goes_on.is_some());
                out.push(Node { path: level.path, metadata, chunks, parts, keep_chunks });
                continue;
            }
            let (path, metadata) = (level.path, level.metadata);
            out.push(Node { path, metadata, chunks, parts: Vec::new(), keep_chunks });
        }
    }
    Ok(out)
}
