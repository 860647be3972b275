//! `[rule]`: what starts a run of a recipe, where a server has it among its recipes.

use std::path::{Path, PathBuf};

use toml::Value;

use super::cron::Cron;
use super::section::Section;
use super::{Collection, Source};

const KEYS: [&str; 3] = ["cron", "watch", "event"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// At these times.
    Cron(Cron),
    /// When files come into this folder.
    Watch(PathBuf),
}

impl Rule {
    pub const fn keys() -> &'static [&'static str] {
        &KEYS
    }

    /// Paths are meant from `base`.
    ///
    /// # Errors
    /// More than one rule, one that cannot be followed, a recipe that it cannot start.
    pub fn read(
        s: &Section<'_>,
        base: &Path,
        collection: &Collection,
        source: &Source,
    ) -> anyhow::Result<Option<Self>> {
        if s.get("event").is_some() {
            anyhow::bail!(
                "{}: this server takes no notices of buckets or other servers; say {} or {}",
                s.path("event"),
                "cron = \"0 1 * * *\", by which what is new in the source is found,",
                "watch = true for a folder"
            );
        }
        let cron = s.text("cron")?;
        let rule = match (cron, s.flag("watch")?) {
            (Some(_), Some(true)) => {
                anyhow::bail!("{} and {}: expected one of them", s.path("cron"), s.path("watch"))
            }
            (Some(text), _) => {
                let cron = text.parse().map_err(|e| anyhow::anyhow!("{}: {e}", s.path("cron")))?;
                Self::Cron(cron)
            }
            (None, Some(true)) => {
                let root = source.root.clone().filter(|r| !r.contains("://")).map(PathBuf::from);
                match (root, &source.root) {
                    (Some(folder), _) => Self::Watch(folder),
                    (None, Some(address)) => anyhow::bail!(
                        "{}: expected a folder in source.root, found {}; say cron for what is remote",
                        s.path("watch"),
                        Value::String(crate::acquire::url::shown(address))
                    ),
                    (None, None) if source.pattern.is_some() => Self::Watch(base.to_owned()),
                    (None, None) => anyhow::bail!(
                        "{}: which folder? say source.root, or source.pattern of files beside the recipe",
                        s.path("watch")
                    ),
                }
            }
            (None, _) => return Ok(None),
        };
        anyhow::ensure!(
            collection.id.is_some(),
            "{}: a run that nobody asks for needs collection.id in the recipe",
            s.path("cron").trim_end_matches(".cron")
        );
        Ok(Some(rule))
    }
}
