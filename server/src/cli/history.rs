//! `graticule rollback`, `remove`, `restore` and `expire`: what is done to a collection's history.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::DataDir;
use crate::catalog::Catalog;
use crate::config::duration;
use crate::store::{Retention, Store};
use crate::tables::history;

#[derive(Debug, Args)]
pub struct Rollback {
    /// Id of the collection
    id: String,
    /// The version to go back to
    version: String,
    #[command(flatten)]
    at: DataDir,
}

#[derive(Debug, Args)]
pub struct Remove {
    /// Id of the collection
    id: String,
    /// Delete it for good, or what was retired of it
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    at: DataDir,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// Id of the retired collection
    id: String,
    #[command(flatten)]
    at: DataDir,
}

#[derive(Debug, Args)]
pub struct Expire {
    /// Id of the collection
    id: String,
    /// So many of the newest versions stand
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Versions that were the latest within this time stand: 30d, 12h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    older_than: Option<Duration>,
    /// How long the objects of expired versions stay for those who are reading them
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1h")]
    grace: Duration,
    /// Only say what would expire
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    at: DataDir,
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

impl Rollback {
    /// # Errors
    /// No such version, or one that is the latest or expired; another writer.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        runtime()?.block_on(async {
            let (store, catalog) = (Store::open(&self.at.data)?, Catalog::open(&self.at.data)?);
            let version = if crate::tables::exists(store.root(), &self.id) {
                let version = history::roll_back(store.root(), &self.id, &self.version)?;
                catalog.publish_table(store.root(), &self.id)?;
                version
            } else {
                let version = store.roll_back(&self.id, &self.version).await?;
                catalog.catch_up(&store, &self.id).await?;
                version
            };
            out!("{}: version {version} holds what {} held", self.id, self.version);
            Ok(ExitCode::SUCCESS)
        })
    }
}

impl Remove {
    /// # Errors
    /// No such collection; another writer.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        runtime()?.block_on(async {
            let (store, catalog) = (Store::open(&self.at.data)?, Catalog::open(&self.at.data)?);
            let table = crate::tables::exists(store.root(), &self.id);
            let standing = table || store.latest(&self.id)?.is_some() || store.view(&self.id)?.is_some();
            if standing || !self.purge {
                store.retire(&self.id)?;
            }
            if self.purge {
                store.purge(&self.id)?;
            }
            catalog.reconcile(&store).await?;
            if self.purge {
                out!("{}: deleted", self.id);
            } else {
                out!("{}: retired; `graticule restore {}` brings it back", self.id, self.id);
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

impl Restore {
    /// # Errors
    /// None of that id is retired; another has its id meanwhile.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        runtime()?.block_on(async {
            let (store, catalog) = (Store::open(&self.at.data)?, Catalog::open(&self.at.data)?);
            store.restore(&self.id)?;
            catalog.reconcile(&store).await?;
            out!("{}: restored", self.id);
            Ok(ExitCode::SUCCESS)
        })
    }
}

impl Expire {
    /// # Errors
    /// No such collection; another writer; no rule that says what stands.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let retention = Retention { keep: self.keep, keep_for: self.older_than };
        anyhow::ensure!(
            !retention.is_none(),
            "which versions stand? Say --keep N, --older-than TIME, or both: a version stands if either says so"
        );
        runtime()?.block_on(async {
            let store = Store::open(&self.at.data)?;
            let done = if crate::tables::exists(store.root(), &self.id) {
                history::expire(store.root(), &self.id, retention, self.grace, self.dry_run)?
            } else {
                store.expire(&self.id, retention, self.grace, self.dry_run).await?
            };
            for version in &done.expired {
                out!("{version}");
            }
            let verb = if self.dry_run { "would expire" } else { "expired" };
            out!("{}: {} versions {verb}, {} stand", self.id, done.expired.len(), done.standing);
            if done.objects > 0 {
                out!("{}: {} objects deleted, {} bytes", self.id, done.objects, done.bytes);
            }
            if done.waiting > 0 {
                out!(
                    "{}: the objects of {} expired versions are deleted when their grace is over",
                    self.id,
                    done.waiting
                );
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}
