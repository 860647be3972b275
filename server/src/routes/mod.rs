//! Every route of the server, in one table; one action, one file.
//!
//! The same table makes the router and the OpenAPI document, so neither can
//! promise what the other does not have.

mod auth;
pub mod chunks;
mod collections;
mod doc;
mod docs_page;
mod events;
mod health;
mod items;
mod landing;
mod map;
mod openapi;
mod ows;
mod position;
mod preview;
mod query;
mod range;
mod recipes;
pub mod respond;
mod rules;
mod runs;
mod search;
mod stac;
mod table_versions;
mod tables;
mod versions;
mod web;
mod wms;
mod wmts;
mod zarr;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, Method, Response};
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get, post};
use quick_cache::sync::Cache;
use serde_json::Value;
use tokio::sync::watch;
use tower::Service;
use tower_http::catch_panic::CatchPanicLayer;

use crate::catalog::Catalog;
use crate::config::Config;
use crate::jobs::Jobs;
use crate::opened::Opened;
use crate::pictures::Pictures;
use crate::problem::{Answer, Kind, Problem};
use crate::store::Store;

/// Bodies are small JSON documents.
const MAX_BODY_BYTES: usize = 1 << 20;

/// What every handler has at hand.
pub struct App {
    pub config: Config,
    pub store: Arc<Store>,
    pub catalog: Arc<Catalog>,
    pub chunks: chunks::Chunks,
    pub opened: Cache<String, Arc<Opened>>,
    pub pictures: Pictures,
    /// Pictures of versions, by what was asked for.
    pub previews: Cache<String, Arc<Vec<u8>>>,
    pub queue: Arc<Jobs>,
    /// Becomes true when the server is to end, so that endless responses end too.
    pub stopping: watch::Receiver<bool>,
}

/// Versions kept with their axes read.
pub const KEPT_OPENED: usize = 64;
/// Pictures kept, some tens of kilobytes each.
pub const KEPT_PREVIEWS: usize = 128;

impl App {
    /// The latest version of a collection, its metadata parsed and its axes kept.
    ///
    /// # Errors
    /// There is no such collection; its metadata cannot be read.
    pub async fn opened(&self, id: &str) -> Answer<Arc<Opened>> {
        let snapshot = self.store.open_version(id, None).await.map_err(|e| self.not_a_cube(id, e))?;
        let key = format!("{id}@{}", snapshot.version());
        if let Some(opened) = self.opened.get(&key) {
            return Ok(opened);
        }
        let opened = Arc::new(Opened::new(snapshot));
        self.opened.insert(key, Arc::clone(&opened));
        Ok(opened)
    }

    /// A store's refusal, which for a table says where its rows are.
    pub fn not_a_cube(&self, id: &str, refusal: impl Into<Problem>) -> Problem {
        if crate::tables::exists(self.store.root(), id) { tables::is_a_table(id) } else { refusal.into() }
    }

    /// Asks the queue, on a thread that may block.
    ///
    /// # Errors
    /// The queue's database cannot be read or written.
    pub async fn jobs<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Jobs) -> anyhow::Result<T> + Send + 'static,
    ) -> Answer<T> {
        self.jobs_checked(ask).await?.map_err(Problem::internal)
    }

    /// [`App::jobs`] where what goes wrong is the request's fault.
    ///
    /// # Errors
    /// Only that the asking itself broke off.
    pub async fn jobs_checked<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Jobs) -> anyhow::Result<T> + Send + 'static,
    ) -> Answer<anyhow::Result<T>> {
        let queue = Arc::clone(&self.queue);
        tokio::task::spawn_blocking(move || ask(&queue)).await.map_err(Problem::internal)
    }

    /// Scheme and host for absolute links.
    pub fn base(&self, headers: &HeaderMap) -> String {
        if let Some(url) = &self.config.public_url {
            return url.clone();
        }
        let text = |n: &str| headers.get(n).and_then(|v| v.to_str().ok());
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_');
        let host = text("host").filter(|h| !h.is_empty() && h.chars().all(plain));
        let scheme = text("x-forwarded-proto").filter(|p| *p == "https").unwrap_or("http");
        match host {
            Some(h) => format!("{scheme}://{h}"),
            None => format!("{scheme}://{}", self.config.bind),
        }
    }
}

type Describe = fn() -> Value;

pub struct Route {
    pub path: &'static str,
    /// Lower-case method and the operation's description; what is not an API has none.
    pub operations: Vec<(&'static str, Describe)>,
    pub handler: MethodRouter<Arc<App>>,
}

fn route(
    path: &'static str,
    handler: MethodRouter<Arc<App>>,
    operations: &[(&'static str, Describe)],
) -> Route {
    Route { path, operations: operations.to_vec(), handler }
}

/// All but `/zarr`, which goes without middleware.
pub fn table() -> Vec<Route> {
    vec![
        route("/api", get(landing::get), &[("get", landing::describe)]),
        route("/api/conformance", get(landing::conformance), &[("get", landing::describe_conformance)]),
        route("/api/openapi.json", get(openapi::get), &[("get", openapi::describe)]),
        route("/api/docs", get(docs_page::get), &[("get", docs_page::describe)]),
        route("/api/collections", get(collections::list), &[("get", collections::describe_list)]),
        route("/api/collections/{id}", get(collections::one), &[("get", collections::describe_one)]),
        route(
            "/api/search",
            get(search::get).post(search::post),
            &[("get", search::describe_get), ("post", search::describe_post)],
        ),
        route("/api/queryables", get(search::queryables), &[("get", search::describe_queryables)]),
        route(
            "/api/collections/{id}/queryables",
            get(search::queryables_of),
            &[("get", search::describe_queryables_of)],
        ),
        route("/api/collections/{id}/items", get(items::list), &[("get", items::describe_list)]),
        route("/api/collections/{id}/items/{item}", get(items::one), &[("get", items::describe_one)]),
        route("/api/collections/{id}/versions", get(versions::list), &[("get", versions::describe_list)]),
        route(
            "/api/collections/{id}/versions/{version}",
            get(versions::one),
            &[("get", versions::describe_one)],
        ),
        route(
            "/api/collections/{id}/rollback",
            post(versions::roll_back),
            &[("post", versions::describe_roll_back)],
        ),
        route("/api/collections/{id}/preview.png", get(preview::get), &[("get", preview::describe)]),
        route("/api/collections/{id}/position", get(position::get), &[("get", position::describe)]),
        route("/api/collections/{id}/map", get(map::whole::get), &[("get", map::whole::describe)]),
        route(
            "/api/collections/{id}/map/tiles",
            get(map::tilesets::list),
            &[("get", map::tilesets::describe_list)],
        ),
        route(
            "/api/collections/{id}/map/tiles/{tms}",
            get(map::tilesets::one),
            &[("get", map::tilesets::describe_one)],
        ),
        route(
            "/api/collections/{id}/map/tiles/{tms}/tilejson.json",
            get(map::tilejson::get),
            &[("get", map::tilejson::describe)],
        ),
        route(
            "/api/collections/{id}/map/tiles/{tms}/{z}/{y}/{x}",
            get(map::tile::get),
            &[("get", map::tile::describe)],
        ),
        route("/api/collections/{id}/legend", get(map::legend::get), &[("get", map::legend::describe)]),
        route(
            "/api/tileMatrixSets",
            get(map::matrix_sets::list),
            &[("get", map::matrix_sets::describe_list)],
        ),
        route(
            "/api/tileMatrixSets/{tms}",
            get(map::matrix_sets::one),
            &[("get", map::matrix_sets::describe_one)],
        ),
        route("/api/wms", get(wms::all), &[("get", wms::describe_all)]),
        route("/api/collections/{id}/wms", get(wms::one), &[("get", wms::describe_one)]),
        route("/api/wmts", get(wmts::all), &[("get", wmts::describe_all)]),
        route(
            "/api/wmts/1.0.0/WMTSCapabilities.xml",
            get(wmts::document),
            &[("get", wmts::describe_document)],
        ),
        route("/api/collections/{id}/wmts", get(wmts::one), &[("get", wmts::describe_one)]),
        route(
            "/api/collections/{id}/wmts/1.0.0/WMTSCapabilities.xml",
            get(wmts::document_of_one),
            &[("get", wmts::describe_document_of_one)],
        ),
        route("/api/tables", get(tables::list), &[("get", tables::describe_list)]),
        route("/api/tables/{id}", get(tables::one), &[("get", tables::describe_one)]),
        route(
            "/api/runs",
            get(runs::list).post(runs::create),
            &[("get", runs::describe_list), ("post", runs::describe_create)],
        ),
        route("/api/runs/{run}", get(runs::one), &[("get", runs::describe_one)]),
        route("/api/runs/{run}/granules", get(runs::granules), &[("get", runs::describe_granules)]),
        route("/api/runs/{run}/cancel", post(runs::cancel), &[("post", runs::describe_cancel)]),
        route("/api/runs/{run}/retry", post(runs::retry), &[("post", runs::describe_retry)]),
        route("/api/recipes", get(recipes::list), &[("get", recipes::describe)]),
        route("/api/rules", get(rules::list), &[("get", rules::describe)]),
        route("/api/events", get(events::get), &[("get", events::describe)]),
        route("/healthz", get(health::live), &[("get", health::describe_live)]),
        route("/readyz", get(health::ready), &[("get", health::describe_ready)]),
        route("/", get(web::index), &[]),
        route("/embed", get(web::embed), &[]),
        route("/{*path}", get(web::file), &[]),
    ]
}

pub const ZARR: &str = "/zarr/{reference}/{key}";

pub fn front(app: Arc<App>) -> Front {
    let mut api = Router::new();
    for r in table() {
        api = api.route(r.path, r.handler);
    }
    let api = api
        .fallback(async || {
            Problem::not_found("No route has this path; /api/openapi.json lists those there are.")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(axum::middleware::from_fn(one_shape))
        .layer(CatchPanicLayer::custom(panicked));
    Front { rest: api.with_state(Arc::clone(&app)), app }
}

/// The door: `/zarr` goes straight to the chunks, everything else to the router.
#[derive(Clone)]
pub struct Front {
    app: Arc<App>,
    rest: Router,
}

impl Service<Request> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let path = request.uri().path();
        if path.strip_prefix("/zarr").is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            let app = Arc::clone(&self.app);
            return Box::pin(async move { Ok(zarr::any(app, request).await) });
        }
        Box::pin(self.rest.call(request))
    }
}

/// Gives every refusal the same shape, whoever made it, and says where it happened.
async fn one_shape(request: Request, next: Next) -> Result<Response<Body>, Infallible> {
    if request.method() == Method::OPTIONS {
        return Ok(respond::preflight());
    }
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let response = next.run(request).await;
    let own = response.extensions().get::<respond::OwnShape>().is_some();
    if own || response.status().is_success() || response.status().is_redirection() {
        return Ok(response);
    }
    if let Some(problem) = response.extensions().get::<Problem>() {
        return Ok(problem.clone().at(&path).into_response());
    }
    let (parts, body) = response.into_parts();
    let kind = Kind::of_status(parts.status);
    let said = axum::body::to_bytes(body, 4096).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let detail = match kind {
        // The router adds `Allow` itself, outside of this.
        Kind::MethodNotAllowed => format!("{method} does not work here; the Allow header names what does."),
        _ if said.is_empty() => kind.title().to_owned(),
        _ => said,
    };
    let problem = Problem::new(kind, detail).at(&path);
    Ok(problem.into_response())
}

fn panicked(what: Box<dyn std::any::Any + Send>) -> Response<Body> {
    let text = what
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| what.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Problem::internal(format!("panic: {text}")).into_response()
}
