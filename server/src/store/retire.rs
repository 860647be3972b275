//! Collections that are taken down: moved aside whole, so that nothing of their
//! history is lost, and brought back as they were.

use std::path::PathBuf;

use super::{Store, StoreError, durable, is_collection_id};

impl Store {
    fn retired_dir(&self, id: &str) -> Result<PathBuf, StoreError> {
        if is_collection_id(id) {
            Ok(self.root.join("retired").join(id))
        } else {
            Err(StoreError::BadId(id.to_owned()))
        }
    }

    /// Takes a collection down; its history is kept.
    ///
    /// # Errors
    /// No such collection; another writer; one of that id is retired already.
    pub fn retire(&self, id: &str) -> Result<(), StoreError> {
        let (from, to) = (self.collection_dir(id)?, self.retired_dir(id)?);
        let nothing = self.latest(id)?.is_none() && self.view(id)?.is_none();
        if nothing && !crate::tables::exists(&self.root, id) {
            return Err(StoreError::NoCollection(id.to_owned()));
        }
        let views = self.views_of(id)?;
        if !views.is_empty() {
            return Err(StoreError::HasViews { id: id.to_owned(), views: views.join(", ") });
        }
        let _lock = self.lock_collection(id)?;
        if to.exists() {
            return Err(StoreError::RetiredAlready(id.to_owned()));
        }
        self.move_dir(&from, &to)?;
        self.forget(id);
        Ok(())
    }

    /// Brings a retired collection back.
    ///
    /// # Errors
    /// None of that id is retired; another has its id meanwhile.
    pub fn restore(&self, id: &str) -> Result<(), StoreError> {
        let (from, to) = (self.retired_dir(id)?, self.collection_dir(id)?);
        if !from.is_dir() {
            return Err(StoreError::NotRetired(id.to_owned()));
        }
        if to.exists() {
            return Err(StoreError::InTheWay(id.to_owned()));
        }
        self.move_dir(&from, &to)?;
        self.forget(id);
        Ok(())
    }

    /// Deletes a retired collection for good.
    ///
    /// # Errors
    /// None of that id is retired; the disk fails.
    pub fn purge(&self, id: &str) -> Result<(), StoreError> {
        let from = self.retired_dir(id)?;
        if !from.is_dir() {
            return Err(StoreError::NotRetired(id.to_owned()));
        }
        // What is half deleted must not be restored.
        let to = self.root.join("tmp").join(format!("purged-{id}-{}", std::process::id()));
        std::fs::rename(&from, &to).map_err(StoreError::io(&from))?;
        std::fs::remove_dir_all(&to).map_err(StoreError::io(&to))
    }

    /// Ids of the retired collections, sorted.
    pub fn retired(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.join("retired")).into_iter().flatten().flatten();
        let mut ids: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
        ids.sort();
        ids
    }

    fn move_dir(&self, from: &std::path::Path, to: &std::path::Path) -> Result<(), StoreError> {
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).map_err(StoreError::io(parent))?;
        }
        std::fs::rename(from, to).map_err(StoreError::io(from))?;
        let parents: Vec<PathBuf> =
            [from, to].iter().filter_map(|p| p.parent()).map(std::path::Path::to_path_buf).collect();
        durable::sync(&[], &parents)
    }
}
