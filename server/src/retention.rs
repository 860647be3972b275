//! How long versions stand, as configured, and the task that sees to it daily.
//!
//! ```toml
//! [versions]
//! keep = 30           # so many of the newest, and
//! keep_for = "90d"    # those that were the latest within this time
//! grace = "1h"        # objects of expired versions stay so long for those who read them
//!
//! [versions.collections.oisst]
//! keep = 5            # for this collection, in place of the above
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use serde::Deserialize;
use tokio::sync::watch;

use crate::config::duration;
use crate::keys;
use crate::store::{Expiry, Retention, Store, StoreError};
use crate::tables;

const EVERY: Duration = Duration::from_secs(24 * 3600);
/// After the start, when clients have had their first answers.
const FIRST: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_secs(3600);

/// `[versions]`, as typed.
#[derive(Debug, Default, Clone, Deserialize)]
pub struct Typed {
    keep: Option<usize>,
    keep_for: Option<String>,
    grace: Option<String>,
    #[serde(default)]
    collections: BTreeMap<String, Rules>,
}

/// `[versions.collections.ID]`, as typed.
#[derive(Debug, Default, Clone, Deserialize)]
struct Rules {
    keep: Option<usize>,
    keep_for: Option<String>,
}

/// As meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    all: Retention,
    collections: BTreeMap<String, Retention>,
    pub grace: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { all: Retention::default(), collections: BTreeMap::new(), grace: GRACE }
    }
}

/// # Errors
/// A key that is not known.
pub fn check(table: Option<&toml::Value>) -> anyhow::Result<()> {
    let Some(table) = table.and_then(toml::Value::as_table) else { return Ok(()) };
    keys::check("versions.", table.keys(), &["keep", "keep_for", "grace", "collections"])?;
    let each = table.get("collections").and_then(toml::Value::as_table);
    for (id, rules) in each.into_iter().flatten() {
        if let Some(rules) = rules.as_table() {
            keys::check(&format!("versions.collections.{id}."), rules.keys(), &["keep", "keep_for"])?;
        }
    }
    Ok(())
}

impl Policy {
    /// # Errors
    /// A time that is none; a rule by which nothing would stand.
    pub fn new(typed: &Typed) -> anyhow::Result<Self> {
        let time = |key: &str, text: &Option<String>| -> anyhow::Result<Option<Duration>> {
            text.as_deref().map(duration).transpose().map_err(|e| anyhow!("versions.{key} = {e}"))
        };
        let rule = |keep: Option<usize>, keep_for: &Option<String>| -> anyhow::Result<Retention> {
            anyhow::ensure!(
                keep != Some(0),
                "versions.keep = 0: the latest version always stands; expected 1 or more"
            );
            Ok(Retention { keep, keep_for: time("keep_for", keep_for)? })
        };
        let mut collections = BTreeMap::new();
        for (id, r) in &typed.collections {
            collections.insert(id.clone(), rule(r.keep, &r.keep_for)?);
        }
        Ok(Self {
            all: rule(typed.keep, &typed.keep_for)?,
            collections,
            grace: time("grace", &typed.grace)?.unwrap_or(GRACE),
        })
    }

    pub fn of(&self, id: &str) -> Retention {
        self.collections.get(id).copied().unwrap_or(self.all)
    }

    pub fn is_none(&self) -> bool {
        self.all.is_none() && self.collections.values().all(Retention::is_none)
    }
}

/// Expires what is beyond the policy, soon after the start and then daily. What expired waits
/// for its grace at most until the next time.
pub async fn daily(store: Arc<Store>, policy: Policy, mut stopping: watch::Receiver<bool>) {
    let mut wait = FIRST;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stopping.wait_for(|s| *s) => return,
        }
        wait = EVERY;
        let cubes = store.collections().unwrap_or_default().into_iter().map(|id| (id, false));
        let tables = tables::list(store.root()).unwrap_or_default().into_iter().map(|(id, _)| (id, true));
        let mut waiting = false;
        for (id, is_table) in cubes.chain(tables) {
            let done = match is_table {
                true => expire_table(&store, &id, policy.of(&id), policy.grace).await,
                false => store.expire(&id, policy.of(&id), policy.grace, false).await,
            };
            match done {
                Ok(done) => {
                    waiting |= done.waiting > 0;
                    if !done.expired.is_empty() || done.objects > 0 {
                        tracing::info!(
                            collection = %id,
                            expired = done.expired.len(),
                            standing = done.standing,
                            objects = done.objects,
                            bytes = done.bytes,
                            "versions expired"
                        );
                    }
                }
                // Being written: next time.
                Err(StoreError::Busy(_)) => waiting = true,
                Err(e) => tracing::error!(collection = %id, error = %e, "versions cannot be expired"),
            }
        }
        if waiting {
            wait = policy.grace.clamp(Duration::from_secs(60), EVERY);
        }
    }
}

async fn expire_table(
    store: &Store,
    id: &str,
    retention: Retention,
    grace: Duration,
) -> Result<Expiry, StoreError> {
    let (root, table) = (store.root().to_owned(), id.to_owned());
    let work = move || tables::history::expire(&root, &table, retention, grace, false);
    let done = tokio::task::spawn_blocking(work).await.map_err(|e| StoreError::Repository(e.to_string()))?;
    done.map_err(|e| e.downcast().unwrap_or_else(|e| StoreError::Repository(format!("{e:#}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> anyhow::Result<Policy> {
        let value: toml::Value = toml::from_str(text)?;
        check(Some(&value))?;
        Policy::new(&value.try_into()?)
    }

    #[test]
    fn rules_are_read_with_their_exceptions() {
        let p = policy("keep = 3\nkeep_for = \"30d\"\n[collections.a]\nkeep = 1").unwrap();
        assert_eq!(p.of("b"), Retention { keep: Some(3), keep_for: Some(Duration::from_secs(30 * 86_400)) });
        assert_eq!(p.of("a"), Retention { keep: Some(1), keep_for: None });
        assert_eq!(p.grace, GRACE);
        assert!(policy("").unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_can() {
        for (text, fragment) in [
            ("kep = 3", "did you mean \"versions.keep\""),
            ("keep = 0", "always stands"),
            ("keep_for = \"30\"", "such as 30d"),
            ("[collections.a]\nkeeps = 1", "did you mean \"versions.collections.a.keep\""),
        ] {
            let e = policy(text).unwrap_err().to_string();
            assert!(e.contains(fragment), "{text}: {e}");
        }
    }
}
