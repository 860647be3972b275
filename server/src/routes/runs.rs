//! `/api/runs`: background ingest, asked for and looked after.
//!
//! Who may read the catalog may see how it came about; to start or change a run
//! takes a token that may ingest into its collection.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use serde_json::{Value, json};

use super::auth::{authorise, authorise_any, guarded};
use super::query::Query;
use super::respond::{Document, JSON};
use super::{App, doc};
use crate::jobs::{RunRequest, RunRow};
use crate::problem::{Answer, Problem};

pub async fn list(
    State(app): State<Arc<App>>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(text.as_deref(), &["limit", "before", "f"])?;
    query.form(JSON)?;
    let limit = query.limit(50, 1000)?;
    let before = query.get("before").map(str::to_owned);
    let runs = app.jobs(move |j| j.list(before.as_deref(), limit)).await?;
    let base = app.base(&headers);
    let mut links = vec![json!({"rel": "self", "href": format!("{base}/api/runs")})];
    if runs.len() == limit as usize
        && let Some(last) = runs.last()
    {
        let next = format!("{base}/api/runs?limit={limit}&before={}", last.id);
        links.push(json!({"rel": "next", "href": next}));
    }
    Ok(Document::json(&json!({"runs": runs, "links": links}))?.answer(&headers))
}

pub async fn create(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Answer<Response<Body>> {
    let form = "expected {\"collection\": \"ID\", \"inputs\": [\"file.nc\"]} or {\"recipe\": \"ID\"}, and \"append\": \"DIMENSION\" where it is not time";
    let mut request: RunRequest = serde_json::from_slice(&body)
        .map_err(|e| Problem::bad_request(format!("The body is no request for a run: {e}; {form}.")))?;
    // Nothing is read, or said of what there is, for whoever may not ingest.
    match request.collection.as_str() {
        "" => authorise_any(&app, &headers).await?,
        id => authorise(&app, &headers, id).await?,
    }
    if let Some(recipe) = &request.recipe {
        let own = of_recipe(&app, recipe).await.map_err(|e| Problem::bad_request(format!("{e:#}")))?;
        if let Some(own) = own {
            // A recipe fetches with the operator's credentials what is meant for its own collection.
            authorise(&app, &headers, &own).await?;
            if request.collection.is_empty() {
                request.collection = own;
            }
        }
    }
    if request.collection.is_empty() {
        let why = match &request.recipe {
            Some(recipe) => format!("recipe {recipe:?} names no collection, and neither does the request"),
            None => "no collection is named, and no recipe".to_owned(),
        };
        return Err(Problem::bad_request(format!("{why}; {form}.")));
    }
    let id = app
        .jobs_checked(move |j| j.submit(&request))
        .await?
        .map_err(|e| Problem::bad_request(format!("{e:#}")))?;
    let run = one_of(&app, &id).await?;
    Ok(Document::json(&run)?
        .status(StatusCode::ACCEPTED)
        .header(header::LOCATION, &format!("{}/api/runs/{id}", app.base(&headers)))
        .answer(&headers))
}

/// The collection that a recipe names.
async fn of_recipe(app: &Arc<App>, id: &str) -> anyhow::Result<Option<String>> {
    let id = id.to_owned();
    let folder = app.config.recipes.clone().ok_or_else(|| {
        anyhow::anyhow!(
            "recipe {id:?}: this server has none; \"recipes\" in its configuration names their folder"
        )
    })?;
    let recipe = tokio::task::spawn_blocking(move || folder.get(&id)).await??;
    Ok(recipe.collection.id)
}

pub async fn one(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    Query::of_document(text.as_deref(), JSON)?;
    Ok(Document::json(&one_of(&app, &id).await?)?.answer(&headers))
}

pub async fn granules(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(text.as_deref(), &["limit", "after", "f"])?;
    query.form(JSON)?;
    let limit = query.limit(100, 10_000)?;
    let after = match query.get("after") {
        None => 0,
        Some(t) => t.parse().map_err(|_| {
            Problem::parameter("after", t, "expected a granule's number from a \"next\" link")
        })?,
    };
    one_of(&app, &id).await?;
    let run = id.clone();
    let granules = app.jobs(move |j| j.granules(&run, after, limit)).await?;
    let mut links = Vec::new();
    if granules.len() == limit as usize
        && let Some(last) = granules.last()
    {
        let next = format!("{}/api/runs/{id}/granules?limit={limit}&after={}", app.base(&headers), last.id);
        links.push(json!({"rel": "next", "href": next}));
    }
    Ok(Document::json(&json!({"granules": granules, "links": links}))?.answer(&headers))
}

pub async fn cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let run = one_of(&app, &id).await?;
    authorise(&app, &headers, &run.collection).await?;
    let which = id.clone();
    app.jobs(move |j| j.cancel(&which)).await?;
    Ok(Document::json(&one_of(&app, &id).await?)?.answer(&headers))
}

pub async fn retry(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let run = one_of(&app, &id).await?;
    authorise(&app, &headers, &run.collection).await?;
    let which = id.clone();
    app.jobs(move |j| j.retry(&which)).await?;
    Ok(Document::json(&one_of(&app, &id).await?)?.status(StatusCode::ACCEPTED).answer(&headers))
}

async fn one_of(app: &Arc<App>, id: &str) -> Answer<RunRow> {
    let which = id.to_owned();
    app.jobs(move |j| j.get(&which)).await?.ok_or_else(|| {
        Problem::not_found(format!("There is no run {id:?}; /api/runs lists those there are."))
    })
}

fn operation(summary: &str, parameters: &[Value], status: &str, schema: &str) -> Value {
    let mut o = doc::returning(doc::get("Operations", summary, parameters, "application/json"), schema);
    if status != "200"
        && let Some(responses) = o["responses"].as_object_mut()
        && let Some(ok) = responses.shift_remove("200")
    {
        responses.insert(status.into(), ok);
    }
    o
}

fn run_id() -> Value {
    doc::path("run", "Run id")
}

pub fn describe_list() -> Value {
    operation(
        "Runs, the newest first",
        &[doc::limit(), doc::query("before", "Only runs older than this one", "")],
        "200",
        "Runs",
    )
}

pub fn describe_create() -> Value {
    let mut o =
        guarded(operation("Start a run: each input becomes a granule of the collection", &[], "202", "Run"));
    o["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": {
    "type": "object", "additionalProperties": false,
    "properties": {
        "collection": {"type": "string", "description": "The recipe's when absent"},
        "inputs": {"type": "array", "items": {"type": "string"},
            "description": "Files in the data directory's incoming/ or in a watched folder, and URLs below the configuration's allow_urls; what the recipe's source names when absent"},
        "recipe": {"type": "string", "description": "Id of one of /api/recipes"},
        "append": {"type": "string", "description": "Dimension to grow along; time when absent"}
    }}}}});
    o
}

pub fn describe_one() -> Value {
    operation("State and counts of a run", &[run_id()], "200", "Run")
}

pub fn describe_granules() -> Value {
    operation(
        "Granules of a run, and why each failed one did",
        &[run_id(), doc::limit(), doc::number("after", "Only granules after this one")],
        "200",
        "Granules",
    )
}

pub fn describe_cancel() -> Value {
    guarded(operation("Give up what has not been published", &[run_id()], "200", "Run"))
}

pub fn describe_retry() -> Value {
    guarded(operation("Queue again what failed or was cancelled", &[run_id()], "202", "Run"))
}
