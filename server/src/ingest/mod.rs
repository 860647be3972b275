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
mod concat;
mod conventions;
mod coordinates;
pub mod duplicates;
mod feed;
mod field;
#[cfg(test)]
mod grid_tests;
mod grids;
pub mod inputs;
mod layout;
mod levels;
mod plan;
mod planes;
pub mod progress;
mod pyramid;
mod schema;
mod shards;
#[cfg(test)]
mod tests;
mod whole;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::Context as _;
use graticule_formats::{FormatError, Limits, Source};
use serde_json::{Value, json};

use crate::store::{Change, Granule, Kind, Node, Standing, Store, Writer};
use arrange::{Arranged, Candidate, Grows};
use duplicates::{Duplicates, Wanted};
use plan::{Continue, Plan};
use progress::Progress;

/// What the files of one command or one run become.
#[derive(Debug, Clone, Default)]
pub struct IngestRequest {
    pub collection: String,
    pub inputs: Vec<PathBuf>,
    /// The dimension to grow along; the time dimension where none is named.
    pub append: Option<String>,
    /// What to do with granules that are there already.
    pub duplicates: Duplicates,
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
    fn new(reason: impl Into<String>) -> Self {
        Self { variable: None, offset: None, reason: reason.into() }
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
            (Some(failure), _) => {
                if let Some(v) = &failure.variable {
                    write!(f, ", variable {v:?}")?;
                }
                if let Some(at) = failure.offset {
                    write!(f, ", byte {at}")?;
                }
                write!(f, ": {}", failure.reason)
            }
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
}

fn limits() -> Limits {
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
    let files = inputs::expand(&request.inputs)?;
    anyhow::ensure!(!files.is_empty(), "no input files were given");
    let mut reports: Vec<GranuleReport> = Vec::new();
    let mut candidates = Vec::new();
    for file in files {
        let examined = {
            let file = file.clone();
            tokio::task::spawn_blocking(move || arrange::examine(&file)).await?
        };
        match examined {
            Ok(c) => candidates.push(c),
            Err(failure) => reports.push(failed(file, failure)),
        }
    }
    let mut report = IngestReport {
        collection: request.collection.clone(),
        version: None,
        granules: reports,
        seconds: 0.0,
    };
    if !candidates.is_empty() {
        run(store, catalog, request, candidates, &progress, &cancel, &mut report).await?;
    }
    for g in &report.granules {
        progress.end(&g.to_string());
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
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
    let (id, policy) = (request.collection.as_str(), request.duplicates);
    if writer.former().is_some() {
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
        candidates.into_iter().partition(|c| seen.insert(c.granule.sha256.clone()));
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
        let Arranged { source, accepted, refused, grows, steps, fatal } = arranged;
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
        match write(&writer, source, grows.clone(), &accepted, progress, cancel).await {
            Ok((nodes, notes)) => {
                let dimension = growing_dimension(&accepted, grows.as_ref(), request);
                let mut granules: Vec<Granule> = accepted
                    .iter()
                    .zip(steps)
                    .map(|(c, steps)| {
                        let mut g = c.granule.clone();
                        g.notes.extend(notes.iter().cloned());
                        g.steps = steps;
                        g.time = dimension.as_deref().and_then(|d| c.extent(d));
                        g
                    })
                    .collect();
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
                report.granules.extend(accepted.into_iter().zip(granules).map(|(c, g)| GranuleReport {
                    file: c.path,
                    outcome: Outcome::Published,
                    failure: None,
                    notes: g.notes,
                    bytes: g.bytes,
                }));
                return Ok(());
            }
            Err(e) => {
                // The file that does not read goes; the others are done again.
                let Some(format) = format_error(&e) else { return Err(e) };
                let guilty = accepted.iter().position(|c| c.path.display().to_string() == format.file);
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
    let mut count: std::collections::HashMap<String, u32> = std::collections::HashMap::new();
    for g in granules {
        let n = count.entry(g.name.clone()).or_default();
        *n += 1;
        g.id = (*n > 1).then(|| format!("{}~{n}", g.name));
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

/// Stores everything of a source that is new, and returns the nodes to commit.
async fn write(
    writer: &Writer<'_>,
    source: Arc<dyn Source>,
    grows: Option<Grows>,
    accepted: &[Candidate],
    progress: &Arc<dyn Progress>,
    cancel: &Arc<AtomicBool>,
) -> anyhow::Result<(Vec<Node>, Vec<String>)> {
    let name = match accepted {
        [one] => one.granule.name.clone(),
        many => format!("{} files", many.len()),
    };
    let (sink, progress, cancel) = (writer.sink(), Arc::clone(progress), Arc::clone(cancel));
    let scratch = writer.scratch();
    let former = writer.former().map(|s| Arc::clone(s.hierarchy()));
    tokio::task::spawn_blocking(move || {
        let goes_on = former.as_deref().zip(grows.as_ref()).map(|(former, g)| Continue {
            former,
            dimension: &g.dimension,
            fresh: &g.fresh,
        });
        let mut plan = Plan::new(source.as_ref(), goes_on.as_ref())?;
        anyhow::ensure!(
            plan.fields.len() + plan.wholes.len() > 0,
            FormatError::new("", format!("no variable can be carried over: {}", plan.notes.join("; ")))
        );
        if let Some(g) = &goes_on {
            plan.keep_only_what_grows(g.dimension);
        }
        progress.begin(&name, plan.fields.iter().map(field::Field::bytes).sum());
        let stored =
            shards::store(source.as_ref(), &plan.fields, &sink, &scratch, progress.as_ref(), &cancel)?;
        let nodes = nodes(plan.clone_metadata(), stored, &mut plan, &sink, goes_on.as_ref())?;
        Ok((nodes, plan.notes))
    })
    .await?
}

struct Skeleton {
    root: Value,
    groups: Vec<(String, Value)>,
}

impl Plan {
    fn clone_metadata(&self) -> Skeleton {
        let group = |attributes: &serde_json::Map<String, Value>| json!({"zarr_format": 3, "node_type": "group", "attributes": attributes});
        Skeleton {
            root: group(&self.root),
            groups: self.groups.iter().map(|(p, a)| (p.clone(), group(a))).collect(),
        }
    }

    /// What an append leaves as it is: arrays that do not have the dimension.
    fn keep_only_what_grows(&mut self, dimension: &str) {
        let leaf = dimension.rsplit('/').next().unwrap_or(dimension).to_owned();
        let grows = |metadata: &Value| {
            metadata["dimension_names"].as_array().is_some_and(|d| d.iter().any(|n| n == leaf.as_str()))
        };
        self.wholes.retain(|w| grows(&w.metadata));
        self.fields.retain(|f| f.levels.first().is_some_and(|l| grows(&l.metadata)));
    }
}

/// Stored chunks of one array, by index.
type Chunks = Vec<(Vec<u32>, Option<crate::store::Payload>)>;

fn nodes(
    skeleton: Skeleton,
    stored: Vec<shards::Stored>,
    plan: &mut Plan,
    sink: &crate::store::ChunkSink,
    goes_on: Option<&Continue<'_>>,
) -> anyhow::Result<Vec<Node>> {
    let mut out = Vec::new();
    let group = |path: String, metadata| Node { path, metadata, chunks: Vec::new(), keep_chunks: false };
    if goes_on.is_none() {
        out.push(group(String::new(), skeleton.root));
        out.extend(skeleton.groups.into_iter().map(|(p, m)| group(p, m)));
    }
    for mut w in plan.wholes.drain(..) {
        let first = goes_on.and_then(|g| w.in_runs(g.former.arrays.get(&w.path), g.fresh));
        let chunks = w.chunks(sink, first.unwrap_or(0))?;
        out.push(Node { path: w.path, metadata: w.metadata, chunks, keep_chunks: first.is_some() });
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
            out.push(Node { path: level.path, metadata: level.metadata, chunks, keep_chunks });
        }
    }
    Ok(out)
}
