//! `/api/events`: the log of what happened, as Server-Sent Events of CloudEvents.
//!
//! A browser that lost its connection sends the last offset it saw and misses
//! nothing; one that comes for the first time hears what happens from now on.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Response, header};
use axum::response::IntoResponse;
use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use futures::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::query::Query;
use super::{App, doc, respond};
use crate::catalog::{Catalog, Event};
use crate::problem::{Answer, Problem};

const BATCH: u32 = 100;

struct Follower {
    catalog: Arc<Catalog>,
    newest: watch::Receiver<i64>,
    stopping: watch::Receiver<bool>,
    seen: i64,
    kind: Option<String>,
    collection: Option<String>,
    waiting: std::vec::IntoIter<Event>,
}

pub async fn get(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(query.as_deref(), &["type", "collection", "lastEventId"])?;
    let newest = app.catalog.follow();
    let text = headers.get("last-event-id").and_then(|v| v.to_str().ok()).or(query.get("lastEventId"));
    let seen = match text {
        None => app.catalog.call_with(Catalog::notice).await.map_err(Problem::internal)?,
        Some(t) => t.parse().map_err(|_| {
            Problem::parameter("Last-Event-ID", t, "expected the id of an event of this log, a whole number")
        })?,
    };
    let follower = Follower {
        catalog: Arc::clone(&app.catalog),
        newest,
        stopping: app.stopping.clone(),
        seen,
        kind: query.get("type").map(str::to_owned),
        collection: query.get("collection").map(str::to_owned),
        waiting: Vec::new().into_iter(),
    };
    let frames = stream::unfold(follower, next);
    let mut response = sse(frames).into_response();
    let h = response.headers_mut();
    respond::open_to_all(h);
    h.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that collect responses would hold events back.
    h.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn sse<S>(frames: S) -> impl IntoResponse
where
    S: Stream<Item = Result<Frame, Infallible>> + Send + 'static,
{
    Sse::new(frames).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

async fn next(mut f: Follower) -> Option<(Result<Frame, Infallible>, Follower)> {
    loop {
        if let Some(event) = f.waiting.next() {
            f.seen = event.id;
            // No `event:` field: then plain `onmessage` listeners hear all types.
            let frame = Frame::default().id(event.id.to_string()).data(event.cloud_event().to_string());
            return Some((Ok(frame), f));
        }
        f.newest.borrow_and_update();
        let (seen, kind, collection) = (f.seen, f.kind.clone(), f.collection.clone());
        let found = f
            .catalog
            .call_with(move |c| c.events_after(seen, kind.as_deref(), collection.as_deref(), BATCH))
            .await;
        match found {
            Ok(events) if !events.is_empty() => f.waiting = events.into_iter(),
            Ok(_) => {
                tokio::select! {
                    changed = f.newest.changed() => changed.ok()?,
                    _ = f.stopping.wait_for(|s| *s) => return None,
                }
            }
            Err(e) => {
                tracing::error!(error = %format!("{e:#}"), "events cannot be read");
                return None;
            }
        }
    }
}

pub fn describe() -> Value {
    json!({
        "tags": ["Events"],
        "summary": "What happens, as Server-Sent Events of CloudEvents 1.0 JSON",
        "description": "Types: `org.graticule.version.published` and `org.graticule.run.changed`.",
        "parameters": [
            doc::query("type", "Only events of this type", "org.graticule.version.published"),
            doc::query("collection", "Only events of this collection", "oisst"),
            {"name": "Last-Event-ID", "in": "header", "schema": {"type": "integer"},
                "description": "Resume after this event"}
        ],
        "responses": {
            "200": {"description": "An endless stream", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
            "default": {"$ref": "#/components/responses/Problem"}
        }
    })
}
