//! Recipes: what a pile of files is, and the cube that it becomes.
//!
//! A recipe is one TOML file that a person writes once and a machine follows for
//! years, so everything in it is checked before any file is opened: a key that is
//! not known names the nearest one, a value that cannot be meant says where it
//! stands, what was expected and what was found. `docs/recipes.md` lists every key.

pub mod codec;
pub mod cron;
pub mod cube;
pub mod folder;
pub mod pattern;
pub mod quality;
pub mod rule;
mod section;
pub mod source;
mod span;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Map, Value, json};

pub use cube::{Cube, Pyramid};
pub use rule::Rule;
pub use source::Source;

pub use section::Section;

const KEYS: [&str; 5] = ["collection", "source", "cube", "quality", "rule"];
const COLLECTION: [&str; 6] = ["id", "title", "description", "license", "providers", "keywords"];
const PROVIDER: [&str; 4] = ["name", "roles", "url", "description"];
const ROLES: [&str; 4] = ["licensor", "producer", "processor", "host"];
/// Longer files are no recipes.
const LONGEST: u64 = 1 << 20;

/// `[collection]`: what the catalog says of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collection {
    pub id: Option<String>,
    pub title: Option<String>,
    pub description: Option<String>,
    /// An SPDX identifier, or words.
    pub license: Option<String>,
    /// STAC provider objects.
    pub providers: Vec<Value>,
    pub keywords: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recipe {
    /// Where it was read from.
    pub path: Option<PathBuf>,
    pub collection: Collection,
    pub source: Source,
    pub cube: Cube,
    /// By variable.
    pub quality: BTreeMap<String, quality::Tests>,
    /// What starts a run of it on a server.
    pub rule: Option<Rule>,
}

impl Recipe {
    /// # Errors
    /// The file cannot be read or is no recipe: which key, what was expected and found.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let length =
            std::fs::metadata(path).with_context(|| format!("{shown}: cannot read the recipe"))?.len();
        let fits = || -> anyhow::Result<()> {
            anyhow::ensure!(length <= LONGEST, "{length} bytes, too long for a recipe");
            Ok(())
        };
        fits().with_context(|| shown.to_string())?;
        let text =
            std::fs::read_to_string(path).with_context(|| format!("{shown}: cannot read the recipe"))?;
        let base = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut recipe = Self::parse(&text, base).with_context(|| shown.to_string())?;
        recipe.path = Some(path.to_owned());
        Ok(recipe)
    }

    /// Paths in it are meant from `base`.
    ///
    /// # Errors
    /// As [`Recipe::read`].
    pub fn parse(text: &str, base: &Path) -> anyhow::Result<Self> {
        let table: toml::Table = toml::from_str(text)?;
        let s = Section::new("", &table, &KEYS)?;
        let mut out = Self::default();
        if let Some(c) = s.table("collection", &COLLECTION)? {
            out.collection = Collection::read(&c)?;
        }
        if let Some(c) = s.table("source", Source::keys())? {
            out.source = Source::read(&c, base)?;
        }
        if let Some(c) = s.table("cube", Cube::keys())? {
            out.cube = Cube::read(&c)?;
        }
        if let Some(q) = s.named("quality")? {
            for (variable, _) in q.entries() {
                out.quality.insert(variable.clone(), quality::Tests::read(&q, variable)?);
            }
        }
        if let Some(r) = s.table("rule", Rule::keys())? {
            out.rule = Rule::read(&r, base, &out.collection, &out.source)?;
        }
        Ok(out)
    }

    /// Attributes of the root that say what `[collection]` and `[cube.attributes]` say.
    pub fn root_attributes(&self) -> Map<String, Value> {
        let mut out: Map<String, Value> =
            self.cube.attributes.iter().map(|(k, v)| (k.clone(), v.to_json())).collect();
        let c = &self.collection;
        for (key, text) in [("title", &c.title), ("summary", &c.description), ("license", &c.license)] {
            out.extend(text.as_ref().map(|t| (key.to_owned(), json!(t))));
        }
        if !c.keywords.is_empty() {
            out.insert("keywords".into(), json!(c.keywords.join(", ")));
        }
        if !c.providers.is_empty() {
            out.insert("providers".into(), json!(c.providers));
        }
        out
    }
}

impl Collection {
    fn read(s: &Section<'_>) -> anyhow::Result<Self> {
        let id = s.text("id")?;
        if id.as_deref().is_some_and(|id| !crate::store::is_collection_id(id)) {
            return Err(s.wrong(
                "id",
                "letters, digits, '-', '_' and '.', at most 63, beginning with a letter or digit",
            ));
        }
        let mut providers = Vec::new();
        for (i, entry) in s
            .get("providers")
            .map(|v| v.as_array().ok_or_else(|| s.wrong("providers", "a list of tables")))
            .transpose()?
            .into_iter()
            .flatten()
            .enumerate()
        {
            let table = entry.as_table().ok_or_else(|| s.wrong("providers", "a list of tables"))?;
            let p = Section::new(&format!("{}[{i}].", s.path("providers")), table, &PROVIDER)?;
            let mut provider = Map::new();
            let name = p.text("name")?.ok_or_else(|| p.wrong("name", "text"))?;
            provider.insert("name".into(), json!(name));
            let roles = p.texts("roles")?;
            if !roles.iter().all(|r| ROLES.contains(&r.as_str())) {
                return Err(p.wrong("roles", &format!("some of {}", ROLES.join(", "))));
            }
            if !roles.is_empty() {
                provider.insert("roles".into(), json!(roles));
            }
            for key in ["url", "description"] {
                provider.extend(p.text(key)?.map(|t| (key.to_owned(), json!(t))));
            }
            providers.push(Value::Object(provider));
        }
        Ok(Self {
            id,
            title: s.text("title")?,
            description: s.text("description")?,
            license: s.text("license")?,
            providers,
            keywords: s.texts("keywords")?,
        })
    }
}

#[cfg(test)]
mod tests;
