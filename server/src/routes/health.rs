//! `/healthz` (the process runs) and `/readyz` (it can answer).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::respond::Document;
use super::{App, doc};
use crate::problem::{Answer, Kind, Problem};

pub async fn live(headers: HeaderMap) -> Answer<Response<Body>> {
    let body = json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")});
    Ok(Document::json(&body)?.cache("no-store").answer(&headers))
}

pub async fn ready(State(app): State<Arc<App>>, headers: HeaderMap) -> Answer<Response<Body>> {
    let catalog = app.catalog.call_with(|c| c.notice()).await;
    match catalog.and_then(|_| Ok(app.store.collections()?.len())) {
        Ok(collections) => {
            let body = json!({"status": "ready", "collections": collections});
            Ok(Document::json(&body)?.cache("no-store").answer(&headers))
        }
        Err(e) => {
            tracing::error!(error = %format!("{e:#}"), "not ready");
            Err(Problem::new(
                Kind::Unavailable,
                "The catalog or the stores cannot be read; the server's log says why.",
            ))
        }
    }
}

pub fn describe_live() -> Value {
    doc::returning(doc::get("Operations", "Whether the process runs", &[], "application/json"), "Alive")
}

pub fn describe_ready() -> Value {
    let summary = "Whether catalog and stores can be read";
    let mut o = doc::returning(doc::get("Operations", summary, &[], "application/json"), "Ready");
    o["responses"]["503"] = serde_json::json!({"$ref": "#/components/responses/Problem"});
    o
}
