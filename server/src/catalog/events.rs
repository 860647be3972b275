//! The durable log of what happened, as CloudEvents 1.0.
//!
//! An event's id is its offset in the log, so whoever missed some asks for what
//! came after the last one seen. Another process (a foreground `ingest`) writes
//! to the same file; [`Catalog::notice`] finds what it wrote.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Catalog, now};
use crate::store::VersionInfo;

/// A new version of a collection can be read.
pub const VERSION_PUBLISHED: &str = "org.graticule.version.published";
/// A run or one of its granules changed state.
pub const RUN_CHANGED: &str = "org.graticule.run.changed";

#[derive(Debug, Clone)]
pub struct Event {
    pub id: i64,
    pub time: String,
    pub kind: String,
    pub collection: String,
    pub data: Value,
}

impl Event {
    /// The CloudEvents JSON envelope.
    pub fn cloud_event(&self) -> Value {
        json!({
            "specversion": "1.0",
            "id": self.id.to_string(),
            "source": format!("/api/collections/{}", self.collection),
            "type": self.kind,
            "subject": self.collection,
            "time": self.time,
            "datacontenttype": "application/json",
            "data": self.data,
        })
    }
}

pub(super) fn append(conn: &Connection, kind: &str, collection: &str, data: &Value) -> anyhow::Result<i64> {
    conn.execute(
        "INSERT INTO events (time, type, collection, data) VALUES (?, ?, ?, ?)",
        params![now(), kind, collection, data.to_string()],
    )?;
    Ok(conn.last_insert_rowid())
}

/// Appends that a version was published, unless the log says so already.
pub(super) fn published(conn: &Connection, collection: &str, version: &VersionInfo) -> anyhow::Result<i64> {
    let known: Option<i64> = conn
        .query_row(
            "SELECT id FROM events WHERE type = ? AND collection = ? AND json_extract(data, '$.version') = ?",
            params![VERSION_PUBLISHED, collection, version.id],
            |r| r.get(0),
        )
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    let data = json!({"collection": collection, "version": version.id, "message": version.message,
        "items": version.granules.iter().map(|g| &g.name).collect::<Vec<_>>()});
    append(conn, VERSION_PUBLISHED, collection, &data)
}

impl Catalog {
    /// Appends an event and wakes whoever follows the log; blocks.
    ///
    /// # Errors
    /// The catalog cannot be written.
    pub fn emit(&self, kind: &str, collection: &str, data: &Value) -> anyhow::Result<i64> {
        let id = self.with(|c| append(c, kind, collection, data))?;
        self.wake(id);
        Ok(id)
    }

    pub(super) fn wake(&self, newest: i64) {
        self.newest_event.send_if_modified(|n| {
            let newer = newest > *n;
            *n = newest.max(*n);
            newer
        });
    }

    /// Follows the offset of the newest event.
    pub fn follow(&self) -> watch::Receiver<i64> {
        self.newest_event.subscribe()
    }

    /// Looks for events that another process appended; blocks.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn notice(&self) -> anyhow::Result<i64> {
        let newest =
            self.with(|c| Ok(c.query_row("SELECT coalesce(max(id), 0) FROM events", [], |r| r.get(0))?))?;
        self.wake(newest);
        Ok(newest)
    }

    /// At most `limit` events after offset `after`, oldest first; blocks.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn events_after(
        &self,
        after: i64,
        kind: Option<&str>,
        collection: Option<&str>,
        limit: u32,
    ) -> anyhow::Result<Vec<Event>> {
        self.with(|c| {
            let mut q = c.prepare_cached(
                "SELECT id, time, type, collection, data FROM events WHERE id > ?1
                 AND (?2 IS NULL OR type = ?2) AND (?3 IS NULL OR collection = ?3) ORDER BY id LIMIT ?4",
            )?;
            let rows = q.query_map(params![after, kind, collection, limit], |r| {
                Ok(Event {
                    id: r.get(0)?,
                    time: r.get(1)?,
                    kind: r.get(2)?,
                    collection: r.get(3)?,
                    data: serde_json::from_str(&r.get::<_, String>(4)?).unwrap_or(Value::Null),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}
