//! What an ingest would do, without doing it: the schema, the chunks, the sizes,
//! the granules, and the first thing that is wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use graticule_formats::Source;
use graticule_shared::cube::Cube;
use graticule_shared::grid::{Cells, Horizontal};
use serde::Serialize;
use serde_json::Value;

use super::arrange::{self, Arranged};
use super::field::{Field, Level};
use super::plan::{self, Continue, Plan};
use super::{GranuleReport, IngestRequest, Outcome, examine, failed, gather};
use crate::acquire::Known;
use crate::store::{Snapshot, Store};

/// Inner chunks of a variable that are packed to tell how well it packs.
const SAMPLES: u64 = 3;

#[derive(Debug, Clone, Serialize)]
pub struct DryRun {
    pub collection: String,
    /// It exists and would grow along this dimension, which has this length now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grows: Option<(String, u64)>,
    /// By name; of the whole cube.
    pub dimensions: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crs: Option<String>,
    pub variables: Vec<VariablePlan>,
    /// Coordinates and other small arrays.
    pub coordinates: Vec<String>,
    pub granules: Vec<GranulePlan>,
    pub notes: Vec<String>,
    /// The first thing that keeps a granule, or all of them, out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct VariablePlan {
    pub path: String,
    pub dtype: String,
    pub dims: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<String>,
    /// Where its cells lie; empty for what is no map.
    pub grid: String,
    pub codec: String,
    pub resampling: String,
    pub levels: Vec<LevelPlan>,
    /// Uncompressed, all levels.
    pub bytes: u64,
    /// Of all levels, by a sample of the finest.
    pub stored_bytes_estimate: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct LevelPlan {
    pub array: String,
    pub shape: Vec<u64>,
    pub chunk: Vec<u64>,
    pub shard: Vec<u64>,
    pub chunks: u64,
    pub shards: u64,
    /// Decoded, of one chunk and of all.
    pub chunk_bytes: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct GranulePlan {
    pub file: String,
    /// `take`, `unchanged`, `refuse` or, where it would have to be downloaded, `not looked at`.
    pub would: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Plans an ingest; the store is opened only to read, and not made where there is none.
///
/// # Errors
/// What concerns the whole request, as [`super::ingest`].
pub async fn dry_run(data: &std::path::Path, request: &IngestRequest) -> anyhow::Result<DryRun> {
    let here = crate::store::is_collection_id(&request.collection)
        && data.join("collections").join(&request.collection).is_dir();
    let store = if here { Some(Store::open(data)?) } else { None };
    if !crate::store::is_collection_id(&request.collection) {
        return Err(crate::store::StoreError::BadId(request.collection.clone()).into());
    }
    let former: Option<Arc<Snapshot>> = match &store {
        Some(s) if s.latest(&request.collection)?.is_some() => {
            Some(s.open_version(&request.collection, None).await?)
        }
        _ => None,
    };
    // Of what is remote, the first granule shows what the others are; it is kept nowhere.
    let scratch = tempfile::tempdir()?;
    let fetcher = super::fetcher(request, scratch.path()).await?;
    let (mut bundles, mut reports) = gather(request, fetcher.as_ref()).await?;
    let mut unseen = Vec::new();
    if let Some(f) = &fetcher {
        unseen = bundles.split_off(bundles.len().min(1));
        bundles = super::bring(f, &mut bundles.into(), &Known::new(), &mut reports).await;
    }
    let (tables, bundles) = super::tables(bundles, &mut reports).await?;
    let candidates = examine(bundles, true, &mut reports).await?;
    let mut known = std::collections::HashSet::new();
    if let (Some(s), Some(_)) = (&store, &former) {
        let living = s.living(&request.collection, None).await?;
        let granules = living.into_values().map(|g| g.granule);
        known.extend(granules.flat_map(|g| [g.key(), g.sha256]));
    }
    let (same, candidates): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|c| c.is_known(&known));
    let (append, runtime) = (request.append.clone(), tokio::runtime::Handle::current());
    let (request, before) = (request.clone(), former.clone());
    tokio::task::spawn_blocking(move || {
        let Arranged { source, accepted, refused, grows, fatal, .. } =
            arrange::arrange(candidates, before, append, request.duplicates, runtime);
        reports.extend(fatal.into_iter().map(|(c, failure)| failed(c.path, failure)));
        reports.extend(refused.into_iter().map(|(c, failure)| failed(c.path, failure)));
        let mut out = DryRun {
            collection: request.collection.clone(),
            grows: grows.as_ref().zip(former.as_ref()).map(|(g, f)| {
                let stored = f.hierarchy().arrays.get(&g.dimension).and_then(|a| a.shape.first());
                (g.dimension.clone(), stored.copied().unwrap_or(0))
            }),
            dimensions: BTreeMap::new(),
            crs: None,
            variables: Vec::new(),
            coordinates: Vec::new(),
            granules: reports.iter().map(GranulePlan::of).collect(),
            notes: Vec::new(),
            wrong: reports.iter().find(|g| g.outcome == Outcome::Failed).map(ToString::to_string),
        };
        let plain = |file: &std::path::Path, would| GranulePlan {
            file: file.display().to_string(),
            would,
            why: None,
        };
        for table in &tables {
            out.granules.push(plain(&table.path, "take"));
            out.notes.push(table.described());
        }
        out.granules.extend(same.iter().map(|c| plain(&c.path, "unchanged")));
        out.granules.extend(accepted.iter().map(|c| plain(&c.path, "take")));
        out.granules.extend(unseen.iter().map(|b| plain(&b.shown(), "not looked at")));
        if let Some(source) = source {
            let goes_on = former.as_ref().zip(grows.as_ref());
            let goes_on = goes_on.map(|(f, g)| Continue {
                former: f.hierarchy(),
                dimension: &g.dimension,
                fresh: &g.fresh,
            });
            match Plan::new(source.as_ref(), goes_on.as_ref(), &request.recipe) {
                Ok(plan) => out.describe(source.as_ref(), &plan)?,
                Err(e) => out.wrong = Some(out.wrong.take().unwrap_or_else(|| e.to_string())),
            }
        }
        Ok(out)
    })
    .await?
}

impl GranulePlan {
    fn of(g: &GranuleReport) -> Self {
        let why = g.failure.as_ref().map(ToString::to_string);
        Self { file: g.file.display().to_string(), would: "refuse", why }
    }
}

impl DryRun {
    fn describe(&mut self, source: &dyn Source, plan: &Plan) -> anyhow::Result<()> {
        let levels = plan.fields.iter().flat_map(|f| &f.levels);
        let nodes = levels.map(|l| (l.path.clone(), l.metadata.clone()));
        let nodes = nodes.chain(plan.wholes.iter().map(|w| (w.path.clone(), w.metadata.clone()))).collect();
        let seen = plan::hierarchy(nodes, plan.root.clone()).map_err(anyhow::Error::msg)?;
        let cube = Cube::new(&seen);
        self.notes.extend(plan.notes.iter().cloned());
        let text = |k: &str| plan.root.get(k).and_then(Value::as_str).map(str::to_owned);
        let mapping = seen.arrays.values().find_map(|a| a.attributes.get("grid_mapping_name")?.as_str());
        self.crs = text("proj:code").or_else(|| mapping.map(str::to_owned)).or_else(|| text("proj:wkt2"));
        self.coordinates = plan
            .wholes
            .iter()
            .map(|w| w.path.clone())
            .filter(|p| source.header().variables.iter().any(|v| v.path == *p))
            .collect();
        for field in &plan.fields {
            let ratio = ratio(source, field)?;
            let meant = cube.variable(&field.source);
            let mut v = VariablePlan {
                path: field.levels.first().map(|l| l.path.clone()).unwrap_or_default(),
                dtype: field.dtype.zarr_name().to_owned(),
                dims: Vec::new(),
                units: meant.and_then(|v| v.units.clone()),
                grid: meant.and_then(|v| v.horizontal()).map_or_else(String::new, kind),
                codec: String::new(),
                resampling: field.method.name().to_owned(),
                levels: Vec::new(),
                bytes: 0,
                stored_bytes_estimate: 0,
            };
            for level in &field.levels {
                let Some(array) = seen.arrays.get(&level.path) else { continue };
                if v.dims.is_empty() {
                    v.dims = array.dims.clone();
                    v.codec = codec(&array.metadata);
                    self.dimensions.extend(array.dims.iter().cloned().zip(array.shape.iter().copied()));
                }
                let plan = LevelPlan::of(level, array, field.dtype.size() as u64);
                v.bytes += plan.bytes;
                v.levels.push(plan);
            }
            v.stored_bytes_estimate = (v.bytes as f64 * ratio) as u64;
            self.variables.push(v);
        }
        Ok(())
    }
}

impl LevelPlan {
    fn of(level: &Level, array: &graticule_shared::zarr::ArrayMeta, size: u64) -> Self {
        let count = |n: &[u64]| n.iter().product::<u64>();
        let along = |by: &[u64]| array.shape.iter().zip(by).map(|(n, c)| n.div_ceil(*c)).product();
        Self {
            array: level.path.clone(),
            shape: array.shape.clone(),
            chunk: array.block_shape().to_vec(),
            shard: array.chunk_shape.clone(),
            chunks: along(array.block_shape()),
            shards: along(&array.chunk_shape),
            chunk_bytes: count(array.block_shape()) * size,
            bytes: count(&array.shape) * size,
        }
    }
}

/// Stored bytes for each byte, of a few chunks that are spread over what is new.
fn ratio(source: &dyn Source, field: &Field) -> anyhow::Result<f64> {
    let level = &field.levels[0];
    let codec = level.codec().map_err(anyhow::Error::msg)?;
    let inner = super::layout::Layout::spread(level.layout.inner, &level.axes, level.rank);
    let (mut packed, mut plain) = (0u64, 0u64);
    for k in 0..SAMPLES {
        let new = field.fresh.iter().flatten().map(|r| r.start).min().unwrap_or(0);
        let first = |a: usize| if Some(a) == field.axes.step { new } else { 0 };
        let start: Vec<u64> = (0..level.rank)
            .map(|a| {
                let (from, n) = (first(a) / inner[a], field.shape[a].div_ceil(inner[a]).max(1));
                (from + (n - 1 - from.min(n - 1)) * k / (SAMPLES - 1)).min(n - 1) * inner[a]
            })
            .collect();
        let count: Vec<u64> =
            (0..level.rank).map(|a| inner[a].min(field.shape[a] - start[a].min(field.shape[a]))).collect();
        if count.contains(&0) {
            break;
        }
        let bytes = source.read(&field.source, &start, &count)?;
        plain += bytes.len() as u64;
        let mut block = codec.fill();
        place(&bytes, &count, &inner, field.dtype.size(), &mut block);
        packed += codec.encode(&block).map_err(anyhow::Error::msg)?.len() as u64;
    }
    Ok(if plain == 0 { 1.0 } else { packed as f64 / plain as f64 })
}

/// Puts a box of `count` cells at the beginning of one of `shape`.
fn place(bytes: &[u8], count: &[u64], shape: &[u64], size: usize, out: &mut [u8]) {
    let run = count.last().map_or(size, |n| *n as usize * size);
    for (row, piece) in bytes.chunks_exact(run).enumerate() {
        let (mut rest, mut at, mut stride) = (row as u64, 0u64, shape.last().copied().unwrap_or(1));
        for a in (0..count.len().saturating_sub(1)).rev() {
            at += rest % count[a] * stride;
            rest /= count[a];
            stride *= shape[a];
        }
        let at = at as usize * size;
        if let Some(slot) = out.get_mut(at..at + run) {
            slot.copy_from_slice(piece);
        }
    }
}

fn kind(h: &Horizontal) -> String {
    match h {
        Horizontal::Separable { .. } => "latitude and longitude".into(),
        Horizontal::Projected(p) => format!("map projection of {}", p.mapping),
        Horizontal::Curvilinear { .. } => "curvilinear".into(),
        Horizontal::Cells(Cells::Listed { .. }) => "list of cells".into(),
        Horizontal::Cells(Cells::Healpix(_)) => "HEALPix".into(),
    }
}

fn codec(metadata: &Value) -> String {
    let inner = metadata["codecs"][0]["configuration"]["codecs"].as_array();
    let names = inner.into_iter().flatten().skip(1).map(|c| {
        let c = (&c["name"], &c["configuration"]);
        match c.0.as_str().unwrap_or_default() {
            "blosc" => format!(
                "blosc {} level {} {}",
                c.1["cname"].as_str().unwrap_or_default(),
                c.1["clevel"],
                c.1["shuffle"].as_str().unwrap_or_default()
            ),
            name => format!("{name} level {}", c.1["level"]),
        }
    });
    let names: Vec<String> = names.collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |n: &[u64]| n.iter().map(u64::to_string).collect::<Vec<_>>().join(" x ");
        match &self.grows {
            Some((d, n)) => {
                writeln!(f, "collection {}, which exists, grows along {d} from {n}", self.collection)?
            }
            None => writeln!(f, "collection {}, new", self.collection)?,
        }
        let dims: Vec<String> = self.dimensions.iter().map(|(d, n)| format!("{d} = {n}")).collect();
        writeln!(f, "dimensions   {}", dims.join(", "))?;
        if let Some(crs) = &self.crs {
            writeln!(f, "crs          {}", crs.chars().take(100).collect::<String>())?;
        }
        writeln!(f, "coordinates  {}", self.coordinates.join(", "))?;
        let (mut chunks, mut bytes, mut stored) = (0, 0, 0);
        for v in &self.variables {
            let units = v.units.as_deref().map_or_else(String::new, |u| format!(", {u}"));
            let grid = if v.grid.is_empty() { String::new() } else { format!("; {}", v.grid) };
            writeln!(f, "{} ({}) {}{units}{grid}; {}", v.path, v.dims.join(", "), v.dtype, v.codec)?;
            for l in &v.levels {
                writeln!(
                    f,
                    "  {}: {} in {} chunks of {} ({}), {} shards of {}, {}",
                    l.array,
                    list(&l.shape),
                    l.chunks,
                    list(&l.chunk),
                    size(l.chunk_bytes),
                    l.shards,
                    list(&l.shard),
                    size(l.bytes)
                )?;
                chunks += l.chunks;
            }
            bytes += v.bytes;
            stored += v.stored_bytes_estimate;
        }
        writeln!(
            f,
            "in all {chunks} chunks, {} uncompressed, about {} stored (by a sample)",
            size(bytes),
            size(stored)
        )?;
        for n in &self.notes {
            writeln!(f, "note: {n}")?;
        }
        let takes = self.granules.iter().filter(|g| g.would == "take").count();
        writeln!(f, "{takes} of {} granules would be taken", self.granules.len())?;
        for g in &self.granules {
            match &g.why {
                Some(why) => writeln!(f, "  {}: {}: {why}", g.would, g.file)?,
                None => writeln!(f, "  {}: {}", g.would, g.file)?,
            }
        }
        match &self.wrong {
            Some(w) => writeln!(f, "wrong: {w}"),
            None => writeln!(f, "nothing is wrong; nothing was written"),
        }
    }
}
