//! `/api/lineage`: what came of a source, in all collections or in one, also what stands no more.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::query::Query;
use super::respond::{Document, GEOJSON, JSON};
use super::{App, collections, doc, provenance, search, stac};
use crate::catalog::lineage::{After, Derived, Named};
use crate::problem::{Answer, Problem};

const EXPECTED: &str = "expected the name of a file, its address, or sha256: and 64 hexadecimal digits";

pub async fn of_source(
    State(app): State<Arc<App>>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(text.as_deref(), &["source", "limit", "token", "f"])?;
    answer(&app, &query, "source", None, &headers).await
}

pub async fn of_granule(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(text.as_deref(), &["granule", "limit", "token", "f"])?;
    collections::find(&app, &id).await?;
    answer(&app, &query, "granule", Some(id), &headers).await
}

async fn answer(
    app: &App,
    query: &Query,
    key: &str,
    of: Option<String>,
    headers: &HeaderMap,
) -> Answer<Response<Body>> {
    query.form(JSON)?;
    let text = query.given(key).ok_or_else(|| Problem::parameter(key, "", EXPECTED))?.to_owned();
    let source = Named::parse(&text).map_err(|why| Problem::parameter(key, &text, why))?;
    let limit = query.limit(100, 1000)?;
    let after = match query.get("token") {
        None => None,
        Some(t) => {
            let wrong = || search::no_page(t, "expected the one of a \"next\" link of this listing");
            Some(After::parse(t).ok_or_else(wrong)?)
        }
    };
    let base = app.base(headers);
    let here = match &of {
        Some(id) => format!("{base}/api/collections/{id}/lineage"),
        None => format!("{base}/api/lineage"),
    };
    let found = app.catalog.call_with(move |c| c.derived(&source, of.as_deref(), after, limit)).await;
    let (found, next) = found.map_err(Problem::internal)?;
    let mut links = vec![
        stac::link("self", &query.link(&here, None), JSON),
        stac::link("root", &format!("{base}/api"), JSON),
    ];
    links.extend(next.map(|at| stac::link("next", &query.link(&here, Some(&at.text())), JSON)));
    let body = json!({
        key: text,
        "derived": found.iter().map(|d| one(d, &base)).collect::<Vec<_>>(),
        "numberReturned": found.len(),
        "links": links,
    });
    Ok(Document::json(&body)?.answer(headers))
}

fn one(d: &Derived, base: &str) -> Value {
    let here = format!("{base}/api/collections/{}", d.collection);
    let state = match (&d.ended, &d.successor) {
        (Some(e), _) => e.how.as_str(),
        (None, Some(_)) => "superseded",
        (None, None) => "current",
    };
    let version = format!("{here}/versions/{}", d.version);
    let mut links = vec![stac::link("collection", &here, JSON), stac::link("version", &version, JSON)];
    let item = |name: &str| format!("{here}/items/{}", stac::path_segment(name));
    if d.ended.is_none() {
        links.insert(0, stac::link("item", &item(&d.item), GEOJSON));
    }
    if let Some(by) = &d.successor {
        links.push(stac::link("successor-version", &item(by), GEOJSON));
    }
    let mut out = json!({
        "collection": d.collection,
        "item": d.item,
        "version": d.version,
        "published": d.published,
        "state": state,
        "granule": {"file": d.file, "checksum": provenance::checksum(&d.checksum), "bytes": d.bytes, "source": d.source},
        "links": links,
    });
    if let Some(by) = &d.successor {
        out["successor"] = json!(by);
    }
    if let Some(e) = &d.ended {
        out["until"] = json!({"version": e.version, "time": e.time});
    }
    out
}

fn described(summary: &str, first: Vec<Value>, key: &str) -> Value {
    let mut source = doc::query(key, "Name of the file, its address, or sha256: and its checksum", "a.nc");
    source["required"] = json!(true);
    source["schema"]["minLength"] = json!(1);
    let mut all = first;
    all.extend([source, doc::limit(), doc::token()]);
    doc::get("Catalog", summary, &all, JSON)
}

pub fn describe_of_source() -> Value {
    described(
        "What was made of a source file, in any collection, also what stands no more",
        Vec::new(),
        "source",
    )
}

pub fn describe_of_granule() -> Value {
    described(
        "What was made of a source file in a collection, also what stands no more",
        vec![doc::id()],
        "granule",
    )
}
