//! The recipes of a server: `ID.toml` in one folder.

use std::path::{Path, PathBuf};

use super::Recipe;
use crate::keys;
use crate::store::is_collection_id;

#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Ids, sorted.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn ids(&self) -> anyhow::Result<Vec<String>> {
        // Where the folder is, is the operator's business.
        let entries = std::fs::read_dir(&self.0)
            .map_err(|e| anyhow::anyhow!("the folder of recipes cannot be listed: {e}"))?;
        let names = entries.flatten().filter_map(|e| e.file_name().into_string().ok());
        let mut ids: Vec<String> = names
            .filter_map(|n| n.strip_suffix(".toml").map(str::to_owned))
            .filter(|id| is_collection_id(id))
            .collect();
        ids.sort();
        Ok(ids)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// # Errors
    /// There is none of this name (the nearest is named), or it is no recipe.
    pub fn get(&self, id: &str) -> anyhow::Result<Recipe> {
        let ids = self.ids()?;
        if !ids.iter().any(|i| i == id) {
            match keys::nearest(id, ids.iter().map(String::as_str)) {
                Some(near) => anyhow::bail!("there is no recipe {id:?}; did you mean {near:?}?"),
                None => anyhow::bail!("there is no recipe {id:?}; there are {}", ids.join(", ")),
            }
        }
        Recipe::read(&self.0.join(format!("{id}.toml")))
            .map_err(|e| anyhow::anyhow!("recipe {id:?}: {}", e.root_cause()))
    }
}
