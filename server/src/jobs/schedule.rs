//! Runs that are started by the clock. When a recipe is due next stands in the database.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::{Jobs, RunRequest};
use crate::catalog::micros_rfc3339;
use crate::recipe::cron::Cron;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS rules (
  recipe TEXT PRIMARY KEY, cron TEXT NOT NULL, due INTEGER NOT NULL, run TEXT) STRICT;
";

/// What is known of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scheduled {
    pub cron: String,
    /// When the next run begins: RFC 3339.
    pub next: String,
    /// The run that it started last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

impl Jobs {
    /// Starts a run of a recipe if its time has come, and returns when it is due next. Times are
    /// seconds since 1970, UTC.
    ///
    /// Of several times that passed one is made up for; a run that is still under way is not
    /// started again.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn keep_time(&self, recipe: &str, collection: &str, cron: &Cron, now: i64) -> anyhow::Result<i64> {
        let never = || anyhow::anyhow!("recipe {recipe:?}: {:?} comes no more", cron.as_str());
        let next = cron.after(now).ok_or_else(never)?;
        let known: Option<(i64, Option<String>)> = self.catalog.with(|c| {
            Ok(c.query_row(
                "SELECT due, run FROM rules WHERE recipe = ? AND cron = ?",
                params![recipe, cron.as_str()],
                |r| Ok((r.get(0)?, r.get(1)?)),
            )
            .optional()?)
        })?;
        let mut run = None;
        match known {
            Some((due, _)) if due > now => return Ok(due),
            // A rule that is new, or was changed, begins with its next time.
            None => {}
            Some((_, last)) => {
                let open = last.as_deref().map(|id| self.get(id)).transpose()?.flatten();
                if open.is_some_and(|r| r.finished.is_none()) {
                    tracing::info!(recipe, "is due, and still under way from the last time");
                    run = last;
                } else {
                    let id = self.enqueue(&RunRequest {
                        collection: collection.to_owned(),
                        inputs: vec![RunRequest::whole_recipe(recipe)],
                        recipe: Some(recipe.to_owned()),
                        append: None,
                    })?;
                    tracing::info!(recipe, run = id, "is due");
                    run = Some(id);
                }
            }
        }
        // After the run: killed in between, it is queued twice, and the second changes nothing.
        self.catalog.with(|c| {
            c.execute(
                "INSERT OR REPLACE INTO rules (recipe, cron, due, run) VALUES (?, ?, ?, ?)",
                params![recipe, cron.as_str(), next, run],
            )?;
            Ok(())
        })?;
        Ok(next)
    }

    /// What is known of a recipe's times.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn scheduled(&self, recipe: &str) -> anyhow::Result<Option<Scheduled>> {
        self.catalog.with(|c| {
            Ok(c.query_row("SELECT cron, due, run FROM rules WHERE recipe = ?", [recipe], |r| {
                let next = micros_rfc3339(r.get::<_, i64>(1)?.saturating_mul(1_000_000));
                Ok(Scheduled { cron: r.get(0)?, next, run: r.get(2)? })
            })
            .optional()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalog::Catalog;
    use crate::grouping::ByRecipe;
    use crate::jobs::Baked;

    #[test]
    fn a_time_that_passed_while_nobody_looked_is_made_up_for_once() {
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            let grouping = Arc::new(ByRecipe(None));
            Jobs::open(Catalog::open(dir.path()).unwrap(), vec![], Arc::default(), grouping).unwrap()
        };
        let hourly: Cron = "0 * * * *".parse().unwrap();
        let jobs = open();
        let runs = |jobs: &Jobs| jobs.list(None, 100).unwrap().len();
        assert_eq!(jobs.keep_time("r", "c", &hourly, 7000).unwrap(), 7200);
        assert_eq!(jobs.keep_time("r", "c", &hourly, 7199).unwrap(), 7200);
        assert_eq!(runs(&jobs), 0);
        // Another process, five hours later.
        let jobs = open();
        assert_eq!(jobs.keep_time("r", "c", &hourly, 7200 + 5 * 3600 + 10).unwrap(), 28_800);
        assert_eq!(runs(&jobs), 1);
        let claim = jobs.claim().unwrap().unwrap();
        assert!(claim.work.is_whole_recipe());
        // It is still under way an hour later, and is not started beside itself.
        assert_eq!(jobs.keep_time("r", "c", &hourly, 28_800).unwrap(), 32_400);
        assert_eq!(runs(&jobs), 1);
        jobs.settle(&claim, 0.1, &Ok(Baked::Unchanged)).unwrap();
        assert_eq!(jobs.keep_time("r", "c", &hourly, 32_400).unwrap(), 36_000);
        assert_eq!(runs(&jobs), 2);
        // Another rule begins with its own next time.
        let daily: Cron = "0 0 * * *".parse().unwrap();
        assert_eq!(jobs.keep_time("r", "c", &daily, 40_000).unwrap(), 86_400);
        assert_eq!(runs(&jobs), 2);
        assert_eq!(jobs.scheduled("r").unwrap().unwrap().next, "1970-01-02T00:00:00Z");
    }
}
