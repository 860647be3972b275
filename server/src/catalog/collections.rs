//! Collections: one row each, derived from the store.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::Context;
use rusqlite::types::Value as Sql;
use rusqlite::{OptionalExtension, Row, params, params_from_iter};
use serde_json::{Value, json};

use super::{Catalog, Facts, discovery, items, micros_rfc3339, search};
use crate::ingest::duplicates::Wanted;
use crate::search::{Expr, instants, sql};
use crate::store::{Standing, Store, VersionInfo};

#[derive(Debug, Clone)]
pub struct Collection {
    pub id: String,
    pub title: String,
    pub description: String,
    pub version: String,
    pub updated: String,
    pub facts: Facts,
}

fn read(r: &Row<'_>) -> rusqlite::Result<(Collection, String)> {
    let facts: String = r.get(5)?;
    let collection = Collection {
        id: r.get(0)?,
        title: r.get(1)?,
        description: r.get(2)?,
        version: r.get(3)?,
        updated: r.get(4)?,
        facts: Facts::default(),
    };
    Ok((collection, facts))
}

fn with_facts((mut c, text): (Collection, String)) -> anyhow::Result<Collection> {
    c.facts = serde_json::from_str(&text)
        .with_context(|| format!("catalog: facts of {:?} cannot be read", c.id))?;
    Ok(c)
}

/// What `search::COLLECTIONS` asks of a collection, as the collection itself says it.
fn queried(c: &Collection) -> Value {
    let keywords = discovery::keywords(&c.facts.attributes);
    let time = c.facts.time.as_ref();
    // What people read is what they search by, whatever calendar its seconds were counted in.
    let secs = |text: &str, own: f64| instants::instant(text).unwrap_or(own);
    let [west, south, east, north] = c.facts.bbox.map_or([None; 4], |b| b.map(Some));
    json!({
        "id": c.id,
        "title": c.title,
        "description": c.description,
        "keywords": (!keywords.is_empty()).then(|| keywords.join(", ")),
        "license": discovery::license(&c.facts.attributes),
        "version": c.version,
        "updated_secs": instants::instant(&c.updated),
        "start_secs": time.map(|t| secs(&t.start, t.start_secs)),
        "end_secs": time.map(|t| secs(&t.end, t.end_secs)),
        "west": west, "south": south, "east": east, "north": north,
    })
}

/// The members of [`queried`], of a row of `json_each`.
const QUERIED: &str =
    "value ->> 'id' AS id, value ->> 'title' AS title, value ->> 'description' AS description,
    value ->> 'keywords' AS keywords, value ->> 'license' AS license, value ->> 'version' AS version,
    value ->> 'updated_secs' AS updated_secs, value ->> 'start_secs' AS start_secs,
    value ->> 'end_secs' AS end_secs, value ->> 'west' AS west, value ->> 'south' AS south,
    value ->> 'east' AS east, value ->> 'north' AS north";

const COLUMNS: &str = "id, title, description, version, updated, facts";

impl Catalog {
    /// Makes `version` of collection `id` findable and tells whoever follows the events.
    ///
    /// # Errors
    /// The version cannot be opened, or the catalog cannot be written.
    pub async fn publish(self: &Arc<Self>, store: &Store, id: &str, _version: &str) -> anyhow::Result<()> {
        self.catch_up(store, id).await?;
        // Its views have a new version too.
        let mut left = store.views_of(id)?;
        let mut done = vec![id.to_owned()];
        while let Some(view) = left.pop() {
            if done.contains(&view) {
                continue;
            }
            done.push(view.clone());
            if let Err(e) = self.catch_up(store, &view).await {
                tracing::error!(collection = %view, error = %format!("{e:#}"), "a view cannot be read");
            }
            left.extend(store.views_of(&view)?);
        }
        Ok(())
    }

    /// Brings the catalog to what the stores hold. Returns the ids that had to be written or removed.
    ///
    /// # Errors
    /// The stores cannot be listed, or the catalog cannot be written. A single
    /// store that cannot be read is logged and left out.
    pub async fn reconcile(self: &Arc<Self>, store: &Store) -> anyhow::Result<Vec<String>> {
        let known: Vec<(String, String)> = self
            .call(|c| {
                let mut q = c.prepare("SELECT id, version FROM collections")?;
                let rows = q.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await?;
        let stored = store.collections()?;
        let mut changed = Vec::new();
        for id in &stored {
            let outcome = self.reconcile_one(store, id, &known).await;
            match outcome {
                Ok(true) => changed.push(id.clone()),
                Ok(false) => {}
                Err(e) => {
                    tracing::error!(collection = %id, error = %format!("{e:#}"), "a store cannot be read");
                }
            }
        }
        let tables = self.reconcile_tables(store, &known, &mut changed).await?;
        let stands = |id: &String| stored.contains(id) || tables.contains(id);
        for (id, _) in known.into_iter().filter(|(id, _)| !stands(id)) {
            changed.push(id.clone());
            self.call(move |c| remove(c, &id)).await?;
        }
        Ok(changed)
    }

    async fn reconcile_one(
        self: &Arc<Self>,
        store: &Store,
        id: &str,
        known: &[(String, String)],
    ) -> anyhow::Result<bool> {
        // One `stat`: a start with thousands of collections opens none of them.
        let latest = store.latest(id)?;
        if known.iter().any(|(k, v)| k == id && Some(v) == latest.as_ref()) {
            return Ok(false);
        }
        self.catch_up(store, id).await
    }

    /// All collections by id; blocks.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn collections(&self) -> anyhow::Result<Vec<Collection>> {
        self.with(|c| {
            let mut q = c.prepare_cached(&format!("SELECT {COLUMNS} FROM collections ORDER BY id"))?;
            let rows = q.query_map([], read)?.collect::<Result<Vec<_>, _>>()?;
            rows.into_iter().map(with_facts).collect()
        })
    }

    /// Ids of those of `all` that a filter over `search::COLLECTIONS` finds; blocks.
    ///
    /// # Errors
    /// The catalog cannot be read; [`search::TooLong`].
    pub fn fitting(&self, all: &[Collection], filter: &Expr) -> anyhow::Result<HashSet<String>> {
        let rows = Value::from(all.iter().map(queried).collect::<Vec<_>>()).to_string();
        let condition = sql::filter(filter);
        let query =
            format!("SELECT i.id FROM (SELECT {QUERIED} FROM json_each(?)) i WHERE {}", condition.sql);
        let values = std::iter::once(Sql::Text(rows)).chain(condition.values);
        self.with(|c| {
            search::in_time(c, |c| {
                c.prepare(&query)?.query_map(params_from_iter(values), |r| r.get(0))?.collect()
            })
        })
    }

    /// Ids of the views of a collection; blocks.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn views_of(&self, id: &str) -> anyhow::Result<Vec<String>> {
        self.with(|c| {
            let mut q = c.prepare_cached(
                "SELECT id FROM collections WHERE json_extract(facts, '$.view.of') = ? ORDER BY id",
            )?;
            Ok(q.query_map(params![id], |r| r.get(0))?.collect::<Result<_, _>>()?)
        })
    }

    /// Views of a collection, and views of these, each after what it is of; blocks.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn all_views_of(&self, id: &str) -> anyhow::Result<Vec<Collection>> {
        let mut found: Vec<Collection> = Vec::new();
        let mut next = 0;
        let mut of = id.to_owned();
        loop {
            for view in self.views_of(&of)? {
                if view != id && !found.iter().any(|c| c.id == view) {
                    found.extend(self.collection(&view)?);
                }
            }
            let Some(c) = found.get(next) else { return Ok(found) };
            of.clone_from(&c.id);
            next += 1;
        }
    }

    /// # Errors
    /// The catalog cannot be read.
    pub fn collection(&self, id: &str) -> anyhow::Result<Option<Collection>> {
        self.with(|c| {
            let mut q = c.prepare_cached(&format!("SELECT {COLUMNS} FROM collections WHERE id = ?"))?;
            q.query_row(params![id], read).optional()?.map(with_facts).transpose()
        })
    }
}

/// Writes the row of a collection.
pub(super) fn put_collection(
    tx: &rusqlite::Transaction<'_>,
    id: &str,
    latest: &VersionInfo,
    facts: &Facts,
) -> anyhow::Result<()> {
    let title = facts.title.clone().unwrap_or_else(|| id.to_owned());
    let description = facts.description.clone().unwrap_or_else(|| title.clone());
    tx.execute(
        "INSERT INTO collections (id, title, description, version, updated, facts) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET title = ?2, description = ?3, version = ?4, updated = ?5, facts = ?6",
        params![
            id,
            title,
            description,
            latest.id,
            micros_rfc3339(latest.time_micros),
            serde_json::to_string(facts)?
        ],
    )?;
    Ok(())
}

impl crate::ingest::Publish for Arc<Catalog> {
    async fn publish(&self, store: &Store, id: &str, version: &str) -> anyhow::Result<()> {
        Catalog::publish(self, store, id, version).await
    }

    async fn held(&self, store: &Store, id: &str, wanted: &Wanted) -> anyhow::Result<Vec<Standing>> {
        Catalog::held(self, store, id, wanted).await
    }

    async fn publish_table(&self, store: &Store, id: &str) -> anyhow::Result<()> {
        let (root, id) = (store.root().to_owned(), id.to_owned());
        self.call_with(move |c| c.publish_table(&root, &id)).await
    }
}

fn remove(c: &mut rusqlite::Connection, id: &str) -> anyhow::Result<()> {
    let tx = c.transaction()?;
    items::clear(&tx, id)?;
    tx.execute("DELETE FROM collections WHERE id = ?", params![id])?;
    Ok(tx.commit()?)
}

#[cfg(test)]
mod tests {
    use crate::catalog::facts::TimeExtent;
    use crate::search::COLLECTIONS;

    use super::*;

    #[test]
    fn collections_are_filtered_by_what_they_say_of_themselves() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(dir.path()).unwrap();
        let of =
            |id: &str, attributes: Value, years: Option<(&str, &str)>, bbox: Option<[f64; 4]>| Collection {
                id: id.into(),
                title: format!("The {id}'s \"title\""),
                description: "100% gridded".into(),
                version: "V1".into(),
                updated: "2024-05-01T00:00:00Z".into(),
                facts: Facts {
                    attributes: attributes.as_object().unwrap().clone(),
                    time: years.map(|(a, b)| TimeExtent {
                        start: format!("{a}-01-01T00:00:00Z"),
                        end: format!("{b}-01-01T00:00:00Z"),
                        calendar: "standard".into(),
                        start_secs: 0.0,
                        end_secs: 0.0,
                    }),
                    bbox,
                    ..Facts::default()
                },
            };
        let all = [
            of(
                "north",
                json!({"keywords": "ice; snow", "license": "CC0-1.0"}),
                Some(("1990", "2000")),
                Some([-180.0, 60.0, 180.0, 90.0]),
            ),
            of("date", json!({}), Some(("2010", "2020")), Some([170.0, -10.0, -170.0, 10.0])),
            of("nowhere", json!({"license": "as is"}), None, None),
        ];
        for (filter, expected) in [
            ("id = 'north' OR title LIKE '%nowhere''s%'", "north,nowhere"),
            ("keywords LIKE '%snow%'", "north"),
            ("keywords = 'ice, snow' AND license = 'CC0-1.0'", "north"),
            ("license = 'other' AND keywords IS NULL", "date,nowhere"),
            ("datetime < DATE('2000-01-01')", "north"),
            ("T_INTERSECTS(datetime, INTERVAL('1995-01-01', '2015-01-01'))", "north,date"),
            ("T_DURING(datetime, INTERVAL('2009-01-01', '..'))", "date"),
            ("end_datetime IS NULL AND geometry IS NULL", "nowhere"),
            ("S_INTERSECTS(geometry, BBOX(-175, 0, -174, 70))", "north,date"),
            ("S_WITHIN(geometry, BBOX(-180, 0, 180, 90))", "north"),
            ("NOT S_INTERSECTS(geometry, POINT(0 70))", "date,nowhere"),
            ("updated > TIMESTAMP('2024-04-01T00:00:00Z') AND CASEI(description) LIKE '100\\% GRID%'", ""),
            ("CASEI(description) LIKE CASEI('100\\% GRID%') AND version = 'V1'", "north,date,nowhere"),
            ("collection = 'north' OR graticule:bytes > 0", ""),
            ("TRUE", "north,date,nowhere"),
        ] {
            let found = catalog.fitting(&all, &Expr::from_text(&COLLECTIONS, filter).unwrap()).unwrap();
            let in_order: Vec<&str> =
                all.iter().map(|c| c.id.as_str()).filter(|id| found.contains(*id)).collect();
            assert_eq!(in_order.join(","), expected, "{filter}");
        }
        assert!(Expr::from_text(&COLLECTIONS, "licence = 'a'").unwrap_err().contains("\"license\""));
    }
}
