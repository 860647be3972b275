//! What an ingest stores of a source, and the nodes that a commit makes of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use graticule_formats::{FormatError, Source};
use graticule_shared::zarr::Hierarchy;
use serde_json::{Value, json};

use super::arrange::{Candidate, Grows};
use super::plan::{self, Continue, Plan};
use super::progress::Progress;
use super::{attributes, field, quality, series, shards};
use crate::recipe::Recipe;
use crate::reference::{self, Made, Piece};
use crate::store::{ChunkSink, Node, Writer};

/// What a commit is made of.
pub(super) struct Written {
    pub nodes: Vec<Node>,
    pub notes: Vec<String>,
    /// Outcome of the quality tests, by granule.
    pub quality: Vec<Vec<Value>>,
}

/// Where the files of a cube of references lie along the dimension that grows.
pub(super) struct Referred {
    dimension: Option<String>,
    pieces: Vec<Piece>,
}

impl Referred {
    /// `steps` are those of each accepted candidate along the dimension.
    pub fn new(accepted: &[Candidate], dimension: Option<String>, steps: &[Option<(u64, u64)>]) -> Self {
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
pub(super) async fn write(
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
        let (stored, watch, filled) =
            shards::store(source.as_ref(), &plan.fields, watch, &sink, &scratch, progress.as_ref(), &cancel)?;
        let quality = watch.finish(source.as_ref())?;
        let mut skeleton = plan.clone_metadata();
        if let Some(g) = &goes_on {
            skeleton.keep(g.former, &recipe, plan.new_series.as_deref());
        }
        let nodes = nodes(skeleton, (stored, filled), made, &mut plan, &sink, goes_on.as_ref())?;
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
    (stored, filled): (Vec<shards::Stored>, Vec<bool>),
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
    for ((field, levels), filled) in plan.fields.drain(..).zip(chunks).zip(filled) {
        let keep_chunks = field.fresh.is_some();
        let unnamed = field.fill_is_unnamed();
        for (mut level, chunks) in field.levels.into_iter().zip(levels) {
            let former = goes_on.and_then(|g| g.former.arrays.get(&level.path));
            let before = former.and_then(|a| a.attributes.get("_FillValue"));
            if unnamed && (filled || before == Some(&attributes::own_fill())) {
                level.metadata["attributes"]["_FillValue"] = attributes::own_fill();
            }
            if let Some(m) = made.remove(&level.path) {
                let chunks = m.chunks.into_iter().map(|(index, payload)| (index, Some(payload))).collect();
                let (mut metadata, parts, keep_chunks) = (m.metadata, m.parts, goes_on.is_some());
                if let Some(fill) = level.metadata["attributes"].get("_FillValue") {
                    metadata["attributes"]["_FillValue"] = fill.clone();
                }
                out.push(Node { path: level.path, metadata, chunks, parts, keep_chunks });
                continue;
            }
            let (path, metadata) = (level.path, level.metadata);
            out.push(Node { path, metadata, chunks, parts: Vec::new(), keep_chunks });
        }
    }
    Ok(out)
}
