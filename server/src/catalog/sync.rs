//! Following the stores: what a catalog says of a collection is derived from its
//! history, a version at a time while it can, from the whole where it must.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Transaction, params};

use super::collections::put_collection;
use super::tally::Tally;
use super::{Catalog, Facts, events, items, lineage};
use crate::ingest::duplicates::Wanted;
use crate::opened::Opened;
use crate::store::{Ending, Former, Living, Standing, Store, VersionInfo};

/// Another process may be following the same store; after as many attempts it is let do it.
const ATTEMPTS: usize = 5;

/// What must be entered.
enum News {
    /// Versions after the one that is known, newest first.
    After(Vec<VersionInfo>),
    /// Everything that stands, and what once stood.
    All(Living, Vec<Former>),
}

impl Catalog {
    /// Brings what is known of a collection to its latest version.
    ///
    /// # Errors
    /// The version cannot be opened, or the catalog cannot be written.
    pub async fn catch_up(self: &Arc<Self>, store: &Store, id: &str) -> anyhow::Result<bool> {
        for _ in 0..ATTEMPTS {
            let known = self.known_version(id).await?;
            let Some(latest) = store.latest(id)? else { return Ok(false) };
            if known.as_deref() == Some(&*latest) {
                return Ok(false);
            }
            let after = match &known {
                Some(v) => store.versions_since(id, v).await?,
                None => None,
            };
            let news = match after {
                Some(list) => News::After(list),
                None => {
                    let (living, former) = store.annals(id, None).await?;
                    News::All(living, former)
                }
            };
            if self.enter(store, id, known, &latest, news).await? {
                return Ok(true);
            }
        }
        anyhow::bail!("{id}: its versions came faster than the catalog could follow")
    }

    /// Writes everything about a collection anew, from its store.
    ///
    /// # Errors
    /// The store cannot be read, or the catalog cannot be written.
    pub async fn rebuild(self: &Arc<Self>, store: &Store, id: &str) -> anyhow::Result<()> {
        for _ in 0..ATTEMPTS {
            let known = self.known_version(id).await?;
            let Some(latest) = store.latest(id)? else { return Ok(()) };
            let (living, former) = store.annals(id, Some(&latest)).await?;
            if self.enter(store, id, known, &latest, News::All(living, former)).await? {
                return Ok(());
            }
        }
        anyhow::bail!("{id}: its versions came faster than the catalog could follow")
    }

    async fn known_version(self: &Arc<Self>, id: &str) -> anyhow::Result<Option<String>> {
        let id = id.to_owned();
        self.call(move |c| Ok(version_of(c, &id)?)).await
    }

    /// False where another process entered something meanwhile.
    async fn enter(
        self: &Arc<Self>,
        store: &Store,
        id: &str,
        known: Option<String>,
        latest: &str,
        news: News,
    ) -> anyhow::Result<bool> {
        let opened = Opened::new(store.open_version(id, Some(latest)).await?);
        let facts = Facts::derive(&opened).await?;
        let (id, info) = (id.to_owned(), opened.snapshot.info().clone());
        let offset = self
            .call(move |c| {
                // Readers who wait to write would otherwise find the file changed beneath them.
                let tx = c.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
                if version_of(&tx, &id)? != known {
                    return Ok(None);
                }
                put_collection(&tx, &id, &info, &facts)?;
                let mut tally = Tally::of(&id);
                let offset = match &news {
                    News::After(list) => {
                        let mut offset = 0;
                        for v in list.iter().rev() {
                            enter_version(&tx, &mut tally, &id, v, &facts)?;
                            offset = events::published(&tx, &id, v)?;
                        }
                        offset
                    }
                    News::All(living, former) => {
                        items::clear(&tx, &id)?;
                        let mut all: Vec<&Standing> = living.values().collect();
                        all.sort_by_key(|s| (s.time_micros, s.granule.steps));
                        for s in all {
                            items::put(&tx, &mut tally, &id, &s.version, &s.granule, s.time_micros, &facts)?;
                        }
                        for f in former {
                            lineage::put(&tx, &id, f)?;
                        }
                        // Its ingest may have been killed between the commit and the event.
                        events::published(&tx, &id, &info)?
                    }
                };
                tally.settle(&tx)?;
                tx.commit()?;
                Ok(Some(offset))
            })
            .await?;
        if let Some(offset) = offset {
            self.wake(offset);
        }
        Ok(offset.is_some())
    }

    /// The granules of the latest version that are asked for.
    ///
    /// # Errors
    /// The store cannot be read; the catalog cannot be read or brought to it.
    pub async fn held(
        self: &Arc<Self>,
        store: &Store,
        id: &str,
        wanted: &Wanted,
    ) -> anyhow::Result<Vec<Standing>> {
        self.catch_up(store, id).await?;
        let (id, wanted) = (id.to_owned(), wanted.clone());
        self.call(move |c| items::held(c, &id, &wanted)).await
    }
}

fn version_of(c: &rusqlite::Connection, id: &str) -> rusqlite::Result<Option<String>> {
    c.prepare_cached("SELECT version FROM collections WHERE id = ?")?
        .query_row(params![id], |r| r.get(0))
        .optional()
}

fn enter_version(
    tx: &Transaction<'_>,
    tally: &mut Tally,
    id: &str,
    v: &VersionInfo,
    facts: &Facts,
) -> anyhow::Result<()> {
    let endings = [(&v.change.removed, Ending::Removed), (&v.change.replaced, Ending::Replaced)];
    for (past, ending) in endings.into_iter().flat_map(|(list, e)| list.iter().map(move |p| (p, e))) {
        lineage::end(tx, id, past, ending, v)?;
        items::remove(tx, tally, id, &past.id)?;
    }
    for past in &v.change.superseded {
        items::supersede(tx, id, &past.id, past.by.as_deref())?;
    }
    for granule in &v.granules {
        items::put(tx, tally, id, &v.id, granule, v.time_micros, facts)?;
    }
    Ok(())
}
