//! `Prefer: respond-async`: a query is accepted, made in the background, and fetched from
//! `/api/jobs/{job}/results` (status documents as in OGC API Processes, 18-062r2 section 7.12).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::{Asker, Target, What, borrowed, known, made, statistics};
use crate::answers::{Answers, Asked, Done, KEPT, MOST_WAITING, Room, now};
use crate::catalog::micros_rfc3339;
use crate::opened::Opened;
use crate::problem::{self, Answer, Kind, Problem};
use crate::routes::query::Query;
use crate::routes::respond::Document;
use crate::routes::{App, doc};

/// Until an answer is tried again that could not be made, or not be kept: twice as long each time.
const AGAIN: Duration = Duration::from_secs(5);
const AT_LEAST_EVERY: Duration = Duration::from_secs(600);

/// True where the answer is wanted later.
pub fn is_preferred(headers: &HeaderMap) -> bool {
    let all = headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok());
    all.flat_map(|v| v.split([',', ';'])).any(|p| p.trim().eq_ignore_ascii_case("respond-async"))
}

/// Accepts what is asked.
pub async fn accept(
    app: &Arc<App>,
    target: &Target,
    opened: &Opened,
    what: &str,
    pairs: Vec<(String, String)>,
    region: Option<Value>,
    headers: &HeaderMap,
) -> Answer<Response<Body>> {
    let base = app.base(headers);
    let asked = Asked {
        collection: target.id.clone(),
        version: opened.snapshot.version().to_owned(),
        what: what.to_owned(),
        pairs,
        region,
        created: now(),
        href: format!("{base}/api/collections/{}", target.id),
    };
    let (own, kept) = (Arc::clone(app), asked.clone());
    let accepted = tokio::task::spawn_blocking(move || own.answers.accept(&kept));
    let Some(id) = accepted.await.map_err(Problem::internal)?.map_err(Problem::internal)? else {
        return Err(Problem::new(
            Kind::Unavailable,
            format!("{MOST_WAITING} answers wait to be made already; try again later."),
        )
        .header(header::RETRY_AFTER, HeaderValue::from_static("60")));
    };
    let document = Document::json(&status(&id, &asked, None, &base))?
        .status(StatusCode::ACCEPTED)
        .header(header::LOCATION, &format!("{base}/api/jobs/{id}"))
        .header(HeaderName::from_static("preference-applied"), "respond-async");
    start(app, id);
    Ok(document.answer(headers))
}

/// Begins again what a server that ended had accepted, and lets go what is old.
pub fn resume(app: &Arc<App>) {
    let left = app.answers.tidy().and_then(|()| app.answers.left());
    match left {
        Err(e) => tracing::warn!(error = %e, "answers of before cannot be listed"),
        Ok(left) => {
            for id in left {
                start(app, id);
            }
        }
    }
}

/// Makes an answer when its turn comes, and again later as long as nothing could come of it.
fn start(app: &Arc<App>, id: String) {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let mut pause = AGAIN;
        while !is_settled(&app, &id).await {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(AT_LEAST_EVERY);
        }
    });
}

/// False where it has to be tried again. What is asked is read when its turn has come: a hundred
/// regions need not be in memory until then.
async fn is_settled(app: &Arc<App>, id: &str) -> bool {
    let Ok(_turn) = app.making.acquire().await else { return true };
    let asked = match found(app, id).await {
        Ok(Some((asked, None))) => asked,
        Ok(_) => return true,
        Err(_) => return false,
    };
    let own = Arc::clone(app);
    // On its own, so that one which panics has failed and does not wait for ever.
    let made = tokio::spawn(async move { make(&own, &asked).await }).await;
    let made = match made {
        Ok(made) => made,
        Err(e) if e.is_panic() => Err(Problem::internal(e)),
        // The server ends; the next one makes it.
        Err(_) => return true,
    };
    let (body, done) = match made {
        // Not what came of it: there was no room to make it in.
        Err(problem) if problem.kind == Kind::Unavailable => return false,
        Err(problem) => failure(&problem),
        Ok((content_type, file, body)) => {
            (body, Done { finished: now(), content_type: content_type.to_owned(), file, failed: None })
        }
    };
    let (own, id) = (Arc::clone(app), id.to_owned());
    match tokio::task::spawn_blocking(move || keep(&own.answers, &id, &body, &done)).await {
        Ok(Ok(())) => true,
        Ok(Err(e)) => {
            tracing::error!(error = %format!("{e:#}"), "an answer cannot be kept; it is made again later");
            false
        }
        Err(_) => false,
    }
}

fn failure(problem: &Problem) -> (Vec<u8>, Done) {
    let failed = Some(problem.kind.status().as_u16());
    let content_type = problem::MEDIA_TYPE.to_owned();
    (problem.body(), Done { finished: now(), content_type, file: None, failed })
}

fn keep(answers: &Answers, id: &str, body: &[u8], done: &Done) -> anyhow::Result<()> {
    if let Room::TooLarge { most } = answers.finish(id, body, done)? {
        let (body, done) = failure(&Problem::new(
            Kind::TooLarge,
            format!(
                "the answer has {} bytes, more than the {most} that answers fetched later may take together; \
                 ask for parts of it",
                body.len()
            ),
        ));
        if let Room::TooLarge { most } = answers.finish(id, &body, &done)? {
            anyhow::bail!("what is asked takes more than {most} bytes already");
        }
    }
    // What is old can be let go at the next answer, too.
    if let Err(e) = answers.tidy() {
        tracing::warn!(error = %format!("{e:#}"), "old answers cannot be let go");
    }
    Ok(())
}

/// Media type, name and bytes of an answer.
async fn make(app: &Arc<App>, asked: &Asked) -> Answer<(&'static str, Option<String>, Vec<u8>)> {
    let target =
        Target { id: asked.collection.clone(), version: Some(asked.version.clone()), location: None };
    let opened = super::open(app, &target).await?;
    if asked.what == statistics::NAME {
        let region = asked.region.as_ref().ok_or_else(|| Problem::internal("statistics without a region"))?;
        let body = statistics::made(app, &opened, region, asked.pairs.clone(), Asker::Job).await?;
        return Ok(("application/json", None, serde_json::to_vec(&body).map_err(Problem::internal)?));
    }
    let what = What::ALL
        .into_iter()
        .find(|w| w.name() == asked.what)
        .ok_or_else(|| Problem::internal(format!("{:?} is no query", asked.what)))?;
    let names = known(&opened, what.own());
    let query = Query::of(asked.pairs.clone(), &borrowed(&names))?;
    let request = super::request(&query, what.own(), super::asked(what, &query)?)?;
    let format = crate::edr::formats::Format::negotiated(query.given("f"), None)?;
    let body = made(app, &opened, &request, format, &asked.href, Asker::Job).await?;
    Ok((format.media_type(), Some(format!("{}.{}", asked.collection, format.extension())), body))
}

fn status(id: &str, asked: &Asked, done: Option<&Done>, base: &str) -> Value {
    let instant =
        |seconds: u64| micros_rfc3339(i64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000));
    let here = format!("{base}/api/jobs/{id}");
    let state = match done {
        None => "running",
        Some(d) if d.failed.is_none() => "successful",
        Some(_) => "failed",
    };
    let mut out = json!({
        "jobID": id,
        "type": "process",
        "processID": asked.what,
        "status": state,
        "created": instant(asked.created),
        "collection": asked.collection,
        "version": asked.version,
        "links": [{"rel": "self", "href": here, "type": "application/json"}],
    });
    if let Some(d) = done {
        out["finished"] = json!(instant(d.finished));
        out["expires"] = json!(instant(d.finished + KEPT.as_secs()));
        let results = json!({"rel": "http://www.opengis.net/def/rel/ogc/1.0/results",
            "href": format!("{here}/results"), "type": d.content_type});
        if let Some(links) = out["links"].as_array_mut() {
            links.push(results);
        }
    }
    out
}

async fn found(app: &Arc<App>, id: &str) -> Answer<Option<(Asked, Option<Done>)>> {
    let (own, id) = (Arc::clone(app), id.to_owned());
    let found = tokio::task::spawn_blocking(move || own.answers.look(&id));
    found.await.map_err(Problem::internal)?.map_err(Problem::internal)
}

async fn look(app: &Arc<App>, id: &str) -> Answer<(Asked, Option<Done>)> {
    found(app, id).await?.ok_or_else(|| gone(id))
}

fn gone(id: &str) -> Problem {
    Problem::not_found(format!(
        "there is no job {id:?}: an answer is kept for a day after it was made, or until newer ones need its room"
    ))
}

pub async fn one(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let (asked, done) = look(&app, &id).await?;
    Ok(Document::json(&status(&id, &asked, done.as_ref(), &app.base(&headers)))?.answer(&headers))
}

pub async fn results(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let (asked, done) = look(&app, &id).await?;
    let Some(done) = done else {
        return Err(Problem::not_found(
            "the answer is still being made; /api/jobs/{job} says when it is there",
        )
        .header(header::RETRY_AFTER, HeaderValue::from_static("2")));
    };
    let (own, kept) = (Arc::clone(&app), id.clone());
    let body = tokio::task::spawn_blocking(move || own.answers.body(&kept));
    let body = body.await.map_err(Problem::internal)?.map_err(Problem::internal)?.ok_or_else(|| gone(&id))?;
    let known = crate::edr::formats::Format::ALL.into_iter().map(|f| f.media_type());
    let content_type = known
        .chain(["application/json", problem::MEDIA_TYPE])
        .find(|t| *t == done.content_type)
        .unwrap_or("application/octet-stream");
    let document = Document::new(content_type, body);
    let mut document = match app.opened_at(&asked.collection, &asked.version).await {
        Ok(opened) => super::cited(document, &app, &asked.collection, &opened, &headers),
        // Expired since then: what was made of it stays true.
        Err(_) => document.digested().header(HeaderName::from_static("graticule-version"), &asked.version),
    };
    if let Some(failed) = done.failed.and_then(|s| StatusCode::from_u16(s).ok()) {
        document = document.status(failed);
    }
    if let Some(file) = &done.file {
        document = document.header(header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{file}\""));
    }
    Ok(document.answer(&headers))
}

fn job() -> Value {
    doc::path("job", "From the Location of a 202")
}

pub fn describe_one() -> Value {
    doc::get(
        "Data",
        "How far an answer is that was asked for with Prefer: respond-async",
        &[job()],
        "application/json",
    )
}

pub fn describe_results() -> Value {
    super::describe::data("An answer that was asked for with Prefer: respond-async", &[job()])
}
