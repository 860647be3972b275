//! `/api/lineage`: what came of a source, in all collections or in one, also what stands no more; of a
//! collection, what it is computed from and which views are computed from it.

use std::collections::HashMap;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::query::Query;
use super::respond::{Document, GEOJSON, JSON};
use super::{App, collections, doc, provenance, search, stac};
use crate::catalog::Collection;
use crate::catalog::lineage::{After, Derived, Named};
use crate::problem::{Answer, Problem};
use crate::views;

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
    let collection = collections::find(&app, &id).await?;
    if query.given("granule").is_some() {
        return answer(&app, &query, "granule", Some(id), &headers).await;
    }
    // All of it is one page.
    query.limit(100, 1000)?;
    if let Some(token) = query.get("token") {
        return Err(search::no_page(token, "without a granule there is one page"));
    }
    query.form(JSON)?;
    whole(&app, &collection, &headers).await
}

/// What a collection is computed from, the nearest first, and the views that are computed from it.
async fn whole(app: &App, c: &Collection, headers: &HeaderMap) -> Answer<Response<Body>> {
    let base = app.base(headers);
    let own = c.id.clone();
    let above = app.catalog.call_with(move |c| c.all_views_of(&own)).await.map_err(Problem::internal)?;
    let declaration = c.facts.view.as_ref();
    let mut beneath = Vec::new();
    let mut at = declaration.and_then(provenance::beneath).map(|(of, v)| (of.to_owned(), v.to_owned()));
    while let Some((of, version)) = at {
        beneath.push(named(&of, &version, &base));
        let next = app.store.view(&of)?;
        at = next.and_then(|v| Some((v.of.clone(), v.version_beneath(&version)?.to_owned())));
    }
    let here = format!("{base}/api/collections/{}", c.id);
    let mut body = named(&c.id, &c.version, &base);
    body["derived_from"] = beneath.into();
    body["views"] = above.iter().map(|v| view(v, &base)).collect();
    if let Some(declaration) = declaration {
        body["steps"] = json!(views::steps(declaration));
        body["processing:lineage"] = json!(provenance::of_view(declaration));
    }
    if let Some(Value::Array(links)) = body.get_mut("links") {
        links.insert(0, stac::link("self", &format!("{here}/lineage"), JSON));
        links.insert(1, stac::link("root", &format!("{base}/api"), JSON));
    }
    Ok(Document::json(&body)?.answer(headers))
}

/// A version of a collection, and where it is described.
fn named(id: &str, version: &str, base: &str) -> Value {
    let here = format!("{base}/api/collections/{id}");
    json!({"collection": id, "version": version, "links": [
        stac::link("collection", &here, JSON),
        stac::link("version", &format!("{here}/versions/{version}"), JSON),
    ]})
}

/// A view as what it is of lists it.
fn view(v: &Collection, base: &str) -> Value {
    let mut out = named(&v.id, &v.version, base);
    if let Some(declaration) = &v.facts.view {
        out["of"] = declaration["of"].clone();
        out["steps"] = json!(views::steps(declaration));
    }
    out
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
    let within = of.clone();
    let found = app.catalog.call_with(move |c| {
        let (found, next) = c.derived(&source, within.as_deref(), after, limit)?;
        let mut views: HashMap<String, Vec<Collection>> = HashMap::new();
        for d in &found {
            if !views.contains_key(&d.collection) {
                views.insert(d.collection.clone(), c.all_views_of(&d.collection)?);
            }
        }
        Ok((found, next, views))
    });
    let (found, next, views) = found.await.map_err(Problem::internal)?;
    let mut links = vec![
        stac::link("self", &query.link(&here, None), JSON),
        stac::link("root", &format!("{base}/api"), JSON),
    ];
    links.extend(next.map(|at| stac::link("next", &query.link(&here, Some(&at.text())), JSON)));
    let body = json!({
        key: text,
        "derived": found.iter().map(|d| one(d, &views, &base)).collect::<Vec<_>>(),
        "numberReturned": found.len(),
        "links": links,
    });
    Ok(Document::json(&body)?.answer(headers))
}

fn one(d: &Derived, views: &HashMap<String, Vec<Collection>>, base: &str) -> Value {
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
    // What the latest version has is in the views of it.
    if let Some(views) = views.get(&d.collection).filter(|v| d.ended.is_none() && !v.is_empty()) {
        out["views"] = views.iter().map(|v| view(v, base)).collect();
    }
    if let Some(by) = &d.successor {
        out["successor"] = json!(by);
    }
    if let Some(e) = &d.ended {
        out["until"] = json!({"version": e.version, "time": e.time});
    }
    out
}

fn described(summary: &str, first: Vec<Value>, key: &str, is_required: bool) -> Value {
    let mut source = doc::query(key, "Name of the file, its address, or sha256: and its checksum", "a.nc");
    source["required"] = json!(is_required);
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
        true,
    )
}

pub fn describe_of_granule() -> Value {
    described(
        "What was made of a source file in a collection, also what stands no more; without a file, what the collection is computed from and which views are computed from it",
        vec![doc::id()],
        "granule",
        false,
    )
}
