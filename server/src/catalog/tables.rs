//! Tables in the catalog: rows derived from their own files.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::collections::put_collection;
use super::tally::Tally;
use super::{Catalog, events, items, lineage};
use crate::store::{Store, VersionInfo};
use crate::tables::{self, Table};

impl Catalog {
    /// Brings what is known of a table to its newest version, and tells whoever follows the events;
    /// blocks.
    ///
    /// # Errors
    /// The table cannot be read, or the catalog cannot be written.
    pub fn publish_table(&self, root: &Path, id: &str) -> anyhow::Result<()> {
        let table = Table::open(root, id)?.with_context(|| format!("there is no table {id:?}"))?;
        let latest = table.version(None)?.with_context(|| format!("{id}: no versions"))?;
        let facts = latest.facts.catalogued();
        // Also of versions that expired: what they brought is there.
        let (living, former) = (table.living()?, table.former()?);
        let latest = VersionInfo::from(latest);
        let newest = self.with(|c| {
            let tx = c.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            items::clear(&tx, id)?;
            // A granule published again names its newest version.
            let mut tally = Tally::of(id);
            for (version, time_micros, granule) in &living {
                items::put(&tx, &mut tally, id, version, granule, *time_micros, &facts)?;
            }
            tally.settle(&tx)?;
            for f in &former {
                lineage::put(&tx, id, f)?;
            }
            put_collection(&tx, id, &latest, &facts)?;
            // Its ingest may have been killed between the commit and the event.
            let newest = events::published(&tx, id, &latest)?;
            tx.commit()?;
            Ok(newest)
        })?;
        self.wake(newest);
        Ok(())
    }

    /// Brings the catalog to what the tables hold, and returns their ids; one that cannot be read
    /// is logged and left out.
    pub(super) async fn reconcile_tables(
        self: &Arc<Self>,
        store: &Store,
        known: &[(String, String)],
        changed: &mut Vec<String>,
    ) -> anyhow::Result<Vec<String>> {
        let root = store.root().to_owned();
        let found = tokio::task::spawn_blocking(move || tables::list(&root)).await??;
        for (id, version) in &found {
            if known.iter().any(|(k, v)| k == id && v == version) {
                continue;
            }
            let (root, table) = (store.root().to_owned(), id.clone());
            match self.call_with(move |c| c.publish_table(&root, &table)).await {
                Ok(()) => changed.push(id.clone()),
                Err(e) => {
                    tracing::error!(collection = %id, error = %format!("{e:#}"), "a table cannot be read");
                }
            }
        }
        Ok(found.into_iter().map(|(id, _)| id).collect())
    }
}
