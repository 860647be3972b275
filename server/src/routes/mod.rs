//! Every route of the server, in one table; one action, one file.
//!
//! The same table makes the router and the OpenAPI document, so neither can
//! promise what the other does not have.

mod aggregate;
mod auth;
mod browse;
pub mod chunks;
mod coding;
mod collections;
pub mod conditional;
mod deprecation;
mod doc;
mod docs_page;
pub mod edr;
mod events;
mod health;
mod items;
mod landing;
mod lineage;
mod links;
mod map;
mod openapi;
mod ows;
mod preview;
mod projection;
mod provenance;
mod query;
mod queryables;
mod range;
mod recipes;
pub mod respond;
mod rules;
mod runs;
mod schemas;
mod search;
mod stac;
mod stored;
mod table_versions;
mod tables;
mod versions;
mod web;
mod wms;
mod wmts;
mod zarr;
mod zarr2;

pub use deprecation::Deprecation;

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, Method, Response, Uri};
use axum::middleware::{Next, map_response};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get, post};
use axum::serve::IncomingStream;
use quick_cache::sync::Cache;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tower::Service;
use tower_http::catch_panic::CatchPanicLayer;

use crate::answers::Answers;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::jobs::Jobs;
use crate::limits::{Limits, Peer};
use crate::opened::Opened;
use crate::patience::Patiently;
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
    /// Answers that are fetched later.
    pub answers: Answers,
    /// Memory for answers being made, in KiB.
    pub budget: Semaphore,
    /// Plans of regions and paths being made, which are not weighed yet.
    pub planning: Semaphore,
    /// Answers that are fetched later, being made.
    pub making: Semaphore,
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
        self.opened_version(id, None).await
    }

    /// A version of a collection, as [`App::opened`] its latest.
    ///
    /// # Errors
    /// There is no such collection or version; its metadata cannot be read.
    pub async fn opened_at(&self, id: &str, version: &str) -> Answer<Arc<Opened>> {
        self.opened_version(id, Some(version)).await
    }

    async fn opened_version(&self, id: &str, version: Option<&str>) -> Answer<Arc<Opened>> {
        let snapshot = self.store.open_version(id, version).await.map_err(|e| self.not_a_cube(id, e))?;
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
    /// Where the route will go.
    pub deprecated: Option<Deprecation>,
}

impl Route {
    /// This route will go: every answer says so, and so does the OpenAPI document.
    pub fn deprecated(mut self, how: Deprecation) -> Self {
        self.deprecated = Some(how);
        self
    }
}

fn route(
    path: &'static str,
    handler: MethodRouter<Arc<App>>,
    operations: &[(&'static str, Describe)],
) -> Route {
    Route { path, operations: operations.to_vec(), handler, deprecated: None }
}

/// All but `/zarr`, which goes without middleware.
pub fn table() -> Vec<Route> {
    let mut all = documents();
    all.extend(queries());
    all
}

/// The queries of EDR, of a collection and of each of its versions.
fn queries() -> Vec<Route> {
    use edr::{What, describe, instances, later, locations, statistics};
    let mut all = vec![
        route("/api/jobs/{job}", get(later::one), &[("get", later::describe_one)]),
        route("/api/jobs/{job}/results", get(later::results), &[("get", later::describe_results)]),
        route("/api/collections/{id}/instances", get(instances::list), &[("get", instances::describe_list)]),
        route(
            "/api/collections/{id}/instances/{version}",
            get(instances::one),
            &[("get", instances::describe_one)],
        ),
        route("/api/collections/{id}/locations", get(locations::list), &[("get", locations::describe_list)]),
        route(
            "/api/collections/{id}/locations/{location}",
            get(locations::one),
            &[("get", locations::describe_one)],
        ),
        route("/api/collections/{id}/statistics", post(statistics::post), &[("post", statistics::describe)]),
    ];
    for what in What::ALL {
        let asked = move || {
            get(move |s, p, m, q, h| edr::get(what, s, p, m, q, h))
                .post(move |s, p, q, h, b| edr::post(what, s, p, q, h, b))
        };
        let (by_get, by_post) = describe::of(what);
        all.push(route(what.path(), asked(), &[("get", by_get), ("post", by_post)]));
        let (by_get, by_post) = describe::of_instance(what);
        all.push(route(what.instance_path(), asked(), &[("get", by_get), ("post", by_post)]));
    }
    all
}

fn documents() -> Vec<Route> {
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
        route("/api/queryables", get(queryables::of_items), &[("get", queryables::describe_of_items)]),
        route(
            "/api/collections-queryables",
            get(queryables::of_collections),
            &[("get", queryables::describe_of_collections)],
        ),
        route(
            "/api/collections/{id}/queryables",
            get(queryables::of_items_of),
            &[("get", queryables::describe_of_items_of)],
        ),
        route(
            "/api/aggregate",
            get(aggregate::get).post(aggregate::post),
            &[("get", aggregate::describe_get), ("post", aggregate::describe_post)],
        ),
        route("/api/aggregations", get(aggregate::list), &[("get", aggregate::describe_list)]),
        route(
            "/api/collections/{id}/aggregate",
            get(aggregate::get_of).post(aggregate::post_of),
            &[("get", aggregate::describe_get_of), ("post", aggregate::describe_post_of)],
        ),
        route(
            "/api/collections/{id}/aggregations",
            get(aggregate::list_of),
            &[("get", aggregate::describe_list_of)],
        ),
        route("/api/collections/{id}/browse", get(browse::all), &[("get", browse::describe_all)]),
        route("/api/collections/{id}/browse/{year}", get(browse::year), &[("get", browse::describe_year)]),
        route(
            "/api/collections/{id}/browse/{year}/{month}",
            get(browse::month),
            &[("get", browse::describe_month)],
        ),
        route(
            "/api/collections/{id}/browse/{year}/{month}/{day}",
            get(browse::day),
            &[("get", browse::describe_day)],
        ),
        route(
            "/api/collections/{id}/browse/regions",
            get(browse::regions),
            &[("get", browse::describe_regions)],
        ),
        route(
            "/api/collections/{id}/browse/regions/{geohash}",
            get(browse::region),
            &[("get", browse::describe_region)],
        ),
        route("/api/lineage", get(lineage::of_source), &[("get", lineage::describe_of_source)]),
        route(
            "/api/collections/{id}/lineage",
            get(lineage::of_granule),
            &[("get", lineage::describe_of_granule)],
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

/// Paths of stored bytes, which the router does not know, and what describes them.
const STORED: [(&str, Describe); 2] =
    [("/zarr/{reference}/{key}", zarr::describe), ("/zarr2/{reference}/{key}", zarr2::describe)];

pub fn front(app: Arc<App>) -> Front {
    let mut api = Router::new();
    for r in table() {
        let handler = match r.deprecated {
            Some(how) => r.handler.layer(map_response(move |reply| how.clone().told(reply))),
            None => r.handler,
        };
        api = api.route(r.path, handler);
    }
    let api = api
        .fallback(async || {
            Problem::not_found("No route has this path; /api/openapi.json lists those there are.")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(axum::middleware::from_fn(one_shape))
        .layer(CatchPanicLayer::custom(panicked));
    let limits = Limits::new(&app.config.limits).map(Arc::new);
    Front { rest: api.with_state(Arc::clone(&app)), app, limits }
}

/// Makes a [`Door`] for each connection.
#[derive(Clone)]
pub struct Front {
    app: Arc<App>,
    rest: Router,
    limits: Option<Arc<Limits>>,
}

impl Service<IncomingStream<'_, Patiently>> for Front {
    type Response = Door;
    type Error = Infallible;
    type Future = Ready<Result<Door, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, connection: IncomingStream<'_, Patiently>) -> Self::Future {
        let limits = self.limits.as_ref();
        let peer = limits.map(|l| (Arc::clone(l), l.peer(connection.remote_addr().ip())));
        ready(Ok(Door { app: Arc::clone(&self.app), rest: self.rest.clone(), peer }))
    }
}

/// Where requests come in: `/zarr` goes straight to the chunks, everything else to the router.
#[derive(Clone)]
pub struct Door {
    app: Arc<App>,
    rest: Router,
    /// Where something is limited, whom this connection is from.
    peer: Option<(Arc<Limits>, Peer)>,
}

impl Service<Request> for Door {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Some((limits, peer)) = &self.peer else { return self.answer(request) };
        match limits.admit(peer, request.headers()) {
            Err(problem) => {
                let response = problem.at(request.uri().path()).into_response();
                Box::pin(ready(Ok(response)))
            }
            Ok(None) => self.answer(request),
            Ok(Some(client)) => {
                let (limits, answer) = (Arc::clone(limits), self.answer(request));
                Box::pin(async move { Ok(limits.charge(client, answer.await?)) })
            }
        }
    }
}

impl Door {
    fn answer(&mut self, request: Request) -> <Self as Service<Request>>::Future {
        let path = request.uri().path();
        let below = |root: &str| path.strip_prefix(root).is_some_and(|r| r.is_empty() || r.starts_with('/'));
        if below("/zarr") {
            let app = Arc::clone(&self.app);
            return Box::pin(async move { Ok(zarr::any(app, request).await) });
        }
        if below("/zarr2") {
            let app = Arc::clone(&self.app);
            return Box::pin(async move { Ok(zarr2::any(app, request).await) });
        }
        Box::pin(self.rest.call(request))
    }
}

/// Gives every refusal the same shape, whoever made it, and says where it happened.
async fn one_shape(request: Request, next: Next) -> Result<Response<Body>, Infallible> {
    if request.method() == Method::OPTIONS {
        return Ok(respond::preflight());
    }
    if let Some(there) = without_slash(request.uri()) {
        return Ok(respond::elsewhere(&there));
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

/// Of an address of the API that ends with a slash, as clients put them together, the one that there is.
fn without_slash(uri: &Uri) -> Option<String> {
    let path = uri
        .path()
        .strip_suffix('/')
        .filter(|p| *p == "/api" || p.starts_with("/api/"))?
        .trim_end_matches('/');
    Some(uri.query().map_or_else(|| path.to_owned(), |q| format!("{path}?{q}")))
}

fn panicked(what: Box<dyn std::any::Any + Send>) -> Response<Body> {
    let text = what
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| what.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Problem::internal(format!("panic: {text}")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_at_the_end_is_taken_off_below_the_api_alone() {
        let of = |text: &str| without_slash(&text.parse().unwrap());
        assert_eq!(of("/api/").as_deref(), Some("/api"));
        assert_eq!(of("/api/collections/?q=a/").as_deref(), Some("/api/collections?q=a/"));
        assert_eq!(of("/api/collections/a//").as_deref(), Some("/api/collections/a"));
        for stays in
            ["/", "/api", "/api/collections", "/apis/", "/embed/", "/zarr/a/", "/api/collections/a%2F"]
        {
            assert_eq!(of(stays), None, "{stays}");
        }
    }
}
