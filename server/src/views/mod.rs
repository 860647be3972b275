//! Views: collections that are declared once and computed when they are read.
//!
//! A view is of one collection. Up to five steps follow each other, each of which makes of a
//! version another: some of its variables ([`keep`]), one time axis out of a forecast's two
//! ([`forecast`]), formulas ([`formula`]), periods of time ([`period`]), another grid ([`regrid`]).
//! A view may be of a view, which is how they come in another order.

mod array;
mod forecast;
mod formula;
mod keep;
mod period;
mod regrid;
mod tree;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use forecast::Forecast;
pub use formula::Expression;
pub use period::Period;
pub use regrid::Regrid;

use crate::opened::Opened;
use crate::recipe::Section;
use crate::store::{Snapshot, VersionInfo, digest};
use tree::Tree;

/// Root attribute that says what a hierarchy is computed from.
pub const ATTRIBUTE: &str = "graticule:view";
/// The steps of a declaration, in the order in which they follow each other.
const STEPS: [&str; 5] = ["keep", "forecast", "formula", "time", "grid"];
/// Longer files are no declarations.
const LONGEST: u64 = 1 << 20;
const MOST_FORMULAS: usize = 64;

/// What a view is, as `view.json` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// The collection that it is of.
    pub of: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Variables that stay; all where none are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Forecast>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub formula: BTreeMap<String, Expression>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Period>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<Regrid>,
}

impl View {
    /// A declaration of its own, and the id that it gives the view.
    ///
    /// # Errors
    /// The file cannot be read or is no declaration: which key, what was expected and found.
    pub fn read(path: &Path) -> anyhow::Result<(String, Self)> {
        let shown = path.display();
        let length = std::fs::metadata(path).with_context(|| format!("{shown}: cannot read the view"))?.len();
        anyhow::ensure!(length <= LONGEST, "{shown}: {length} bytes, too long for a view");
        let text = std::fs::read_to_string(path).with_context(|| format!("{shown}: cannot read the view"))?;
        Self::parse(&text).with_context(|| shown.to_string())
    }

    /// # Errors
    /// As [`View::read`].
    pub fn parse(text: &str) -> anyhow::Result<(String, Self)> {
        let table: toml::Table = toml::from_str(text)?;
        let s = Section::new("", &table, &["view", "forecast", "formula", "time", "grid"])?;
        let v = s
            .table("view", &["id", "of", "title", "description", "keep"])?
            .context("no [view]: expected one with an id and what it is of")?;
        let id = v.text("id")?.context("view.id: expected the id of the view, found nothing")?;
        if !crate::store::is_collection_id(&id) {
            let expected = "letters, digits, '-', '_' and '.', at most 63, beginning with a letter or digit";
            return Err(v.wrong("id", expected));
        }
        let of = v.text("of")?.context("view.of: expected the id of a collection, found nothing")?;
        let mut formula = BTreeMap::new();
        if let Some(all) = s.named("formula")? {
            for (name, _) in all.entries() {
                formula.insert(name.clone(), Expression::read(&all, name)?);
            }
        }
        anyhow::ensure!(
            formula.len() <= MOST_FORMULAS,
            "formula: {} of at most {MOST_FORMULAS}",
            formula.len()
        );
        let view = Self {
            of,
            title: v.text("title")?,
            description: v.text("description")?,
            keep: v.get("keep").map(|_| v.texts("keep")).transpose()?,
            forecast: s.table("forecast", &Forecast::KEYS)?.map(|f| Forecast::read(&f)).transpose()?,
            formula,
            time: s.table("time", &Period::KEYS)?.map(|t| Period::read(&t)).transpose()?,
            grid: s.table("grid", &Regrid::KEYS)?.map(|g| Regrid::read(&g)).transpose()?,
        };
        Ok((id, view))
    }

    fn digest(&self) -> String {
        digest(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// The version of the view that is computed from a version of what it is of.
    pub fn version_of(&self, below: &str) -> String {
        format!("{below}.{}", self.digest())
    }

    /// The version beneath one of the view's; `None` where it is none of this declaration's.
    pub fn version_beneath<'a>(&self, version: &'a str) -> Option<&'a str> {
        let (below, digest) = version.rsplit_once('.')?;
        (digest == self.digest()).then_some(below)
    }
}

/// The steps of a declaration as it stands in [`ATTRIBUTE`].
pub fn steps(declaration: &Value) -> Vec<&'static str> {
    STEPS.into_iter().filter(|s| declaration.get(s).is_some()).collect()
}

/// Stored chunks that one chunk of a view is made of: more take too long for somebody who waits.
const MOST_CHUNKS: u64 = 2000;

/// Whether each chunk of a version can be made while somebody waits. What was declared once is
/// served even where it has grown beyond that.
///
/// # Errors
/// An array of which a chunk is made of too many.
pub fn check_effort(snapshot: &Snapshot) -> anyhow::Result<()> {
    for (path, array) in &snapshot.hierarchy().arrays {
        let blocks = snapshot.effort(array).blocks;
        anyhow::ensure!(
            blocks <= MOST_CHUNKS,
            "a chunk of {path} would be made of {blocks} stored chunks, of at most {MOST_CHUNKS}; make the base's chunks longer in time, or the periods shorter"
        );
    }
    Ok(())
}

/// A version of a view.
///
/// # Errors
/// A declaration that does not fit what it is of; coordinates that do not read.
pub async fn open(
    id: &str,
    view: &View,
    info: VersionInfo,
    base: Arc<Snapshot>,
) -> anyhow::Result<Arc<Snapshot>> {
    let of = format!("{}@{}", view.of, base.version());
    let mut steps = Vec::new();
    let mut at = Arc::clone(&base);
    let mut through = async |name: &'static str, tree: Tree| -> anyhow::Result<Arc<Snapshot>> {
        steps.push(name);
        // Not the view's own version: what is remembered of one step is not true of another.
        let own = VersionInfo { id: format!("{}#{name}", info.id), ..info.clone() };
        Ok(Arc::new(tree.snapshot(id, own)?))
    };
    // Each step sees what the one before has made.
    if view.keep.is_some() || base.hierarchy().attributes.contains_key(graticule_shared::cube::SERIES) {
        at = through("keep", keep::tree(&Opened::new(at), view.keep.as_deref())?).await?;
    }
    if let Some(forecast) = &view.forecast {
        let tree = forecast::tree(&Arc::new(Opened::new(at)), forecast).await.context("forecast")?;
        at = through("forecast", tree).await?;
    }
    if !view.formula.is_empty() {
        at = through("formula", formula::tree(&Opened::new(at), &view.formula)?).await?;
    }
    if let Some(time) = &view.time {
        let tree = period::tree(&Arc::new(Opened::new(at)), time).await.context("time")?;
        at = through("time", tree).await?;
    }
    if let Some(grid) = &view.grid {
        let tree = regrid::tree(Arc::new(Opened::new(at)), grid).await.context("grid")?;
        at = through("grid", tree).await?;
    }
    anyhow::ensure!(
        !Arc::ptr_eq(&at, &base),
        "it changes nothing: expected view.keep, [forecast], [formula.NAME], [time] or [grid]"
    );
    // Once more, under what is said of the whole.
    let mut last = Tree::of(at);
    for (key, text) in [("title", &view.title), ("summary", &view.description)] {
        if let Some(text) = text {
            last.root.insert(key.to_owned(), json!(text));
        }
    }
    let mut said = serde_json::to_value(view)?;
    said["version"] = json!(base.version());
    last.root.insert(ATTRIBUTE.to_owned(), said);
    let line = format!("Graticule {}: {} of {of}", env!("CARGO_PKG_VERSION"), steps.join(", "));
    let history = match last.root.get("history").and_then(Value::as_str) {
        Some(before) if !before.trim().is_empty() => format!("{before}\n{line}"),
        _ => line,
    };
    last.root.insert("history".to_owned(), json!(history));
    Ok(Arc::new(last.snapshot(id, info.clone())?))
}
