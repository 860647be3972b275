//! `/api/collections` and `/api/collections/{id}`.

use std::cmp::Ordering;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, Response};
use serde_json::{Value, json};

use super::query::Query;
use super::respond::{Document, JSON};
use super::{App, doc, queryables, search, stac};
use crate::catalog::Collection;
use crate::problem::{Answer, Problem};
use crate::reference;
use crate::search::{COLLECTIONS, Expr, Fields};
use crate::store::StoreError;

pub async fn list(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(
        query.as_deref(),
        &[
            "bbox",
            "datetime",
            "q",
            "filter",
            "filter-lang",
            "filter-crs",
            "sortby",
            "fields",
            "limit",
            "token",
            "f",
        ],
    )?;
    query.form(JSON)?;
    let wanted = query.bbox()?;
    let time = super::items::interval(&query)?;
    let limit = query.limit(1000, 10_000)? as usize;
    let words: Vec<String> = query
        .get("q")
        .map(|q| q.split(',').map(|w| w.trim().to_lowercase()).filter(|w| !w.is_empty()).collect())
        .unwrap_or_default();
    let order = match query.given("sortby") {
        None => Vec::new(),
        Some(text) => orders(text).map_err(|why| Problem::parameter("sortby", text, why))?,
    };
    let fields = match query.get("fields") {
        None => Fields::default(),
        Some(text) => Fields::of_collections(text).map_err(|why| Problem::parameter("fields", text, why))?,
    };
    let filter = queryables::filter(&query, &COLLECTIONS)?;
    let base = app.base(&headers);
    let turn = search::turn(filter.as_ref().is_some_and(Expr::has_shape)).await?;
    let found = app.catalog.call_with(move |c| {
        let _turn = turn;
        let all = c.collections()?;
        let fitting = filter.map(|f| c.fitting(&all, &f)).transpose()?;
        Ok((all, fitting))
    });
    let (all, fitting) = found.await.map_err(search::too_long)?;
    let overlaps = |c: &Collection| {
        let space = match (wanted, c.facts.bbox) {
            (Some(w), Some(b)) => w[1] <= b[3] && w[3] >= b[1] && crosses((w[0], w[2]), (b[0], b[2])),
            _ => true,
        };
        let when = match (time, &c.facts.time) {
            (Some((from, to)), Some(t)) => t.start_secs <= to && t.end_secs >= from,
            _ => true,
        };
        let fits = fitting.as_ref().is_none_or(|ids| ids.contains(&c.id));
        fits && space && when && (words.is_empty() || said(c, &words))
    };
    let mut matched: Vec<&Collection> = all.iter().filter(|c| overlaps(c)).collect();
    let before = |a: &&Collection, b: &&Collection| {
        let by = order.iter().map(|(key, falls)| {
            let ordering = key(a).cmp(key(b));
            if *falls { ordering.reverse() } else { ordering }
        });
        by.fold(Ordering::Equal, Ordering::then).then_with(|| a.id.cmp(&b.id))
    };
    matched.sort_by(before);
    // A page begins after a collection, not at a number: others may come before it meanwhile.
    let first = match query.get("token") {
        None => 0,
        Some(id) => {
            let wrong = || search::no_page(id, "expected the one of a \"next\" link of this listing");
            let after = all.iter().find(|c| c.id == id).ok_or_else(wrong)?;
            matched.partition_point(|c| before(c, &after) != Ordering::Greater)
        }
    };
    let mut shown = Vec::with_capacity(matched.len().min(limit));
    for c in matched.iter().skip(first).take(limit) {
        shown.push(fields.apply(described(&app, c, &base).await));
    }
    let here = format!("{base}/api/collections");
    let mut links = vec![
        stac::link("self", &query.link(&here, None), "application/json"),
        stac::link("root", &format!("{base}/api"), "application/json"),
        stac::link("parent", &format!("{base}/api"), "application/json"),
        stac::link(stac::QUERYABLES, &format!("{base}/api/collections-queryables"), queryables::SCHEMA_JSON),
    ];
    if let Some(last) = matched.get(first + limit - 1).filter(|_| first + limit < matched.len()) {
        links.push(stac::link("next", &query.link(&here, Some(&last.id)), "application/json"));
    }
    let body = json!({
        "collections": shown,
        "numberMatched": matched.len(),
        "numberReturned": shown.len(),
        "links": links,
    });
    Ok(Document::json(&body)?.answer(&headers))
}

type Order = (fn(&Collection) -> &str, bool);

/// What collections are sorted by.
fn orders(text: &str) -> Result<Vec<Order>, String> {
    let keys = text.split(',').map(str::trim).filter(|k| !k.is_empty()).take(8);
    if text.trim().is_empty() {
        return Err("expected some of id, title, updated".to_owned());
    }
    keys.map(|k| {
        let key: fn(&Collection) -> &str = match k.trim_start_matches(['-', '+']).trim() {
            "id" => |c| &c.id,
            "title" => |c| &c.title,
            "updated" => |c| &c.updated,
            _ => {
                return Err("expected some of id, title, updated, each with - for a falling order".to_owned());
            }
        };
        Ok((key, k.starts_with('-')))
    })
    .collect()
}

/// Whether any of the words is said of the collection.
fn said(c: &Collection, words: &[String]) -> bool {
    let variables = c
        .facts
        .variables
        .iter()
        .flat_map(|v| [Some(v.path.as_str()), Some(v.label.as_str()), v.standard_name.as_deref()]);
    let keywords = c.facts.attributes.get("keywords").and_then(Value::as_str);
    let all =
        [Some(c.id.as_str()), Some(&c.title), Some(&c.description), keywords].into_iter().chain(variables);
    all.flatten().any(|text| {
        let text = text.to_lowercase();
        words.iter().any(|w| text.contains(w.as_str()))
    })
}

/// True where two ranges of longitude share a meridian; either may cross the antimeridian.
fn crosses(a: (f64, f64), b: (f64, f64)) -> bool {
    let parts = |(w, e): (f64, f64)| if w <= e { vec![(w, e)] } else { vec![(w, 180.0), (-180.0, e)] };
    parts(a).iter().any(|p| parts(b).iter().any(|q| p.0 <= q.1 && p.1 >= q.0))
}

pub async fn one(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(query.as_deref(), &["f"])?;
    let collection = find(&app, &id).await?;
    let base = app.base(&headers);
    let body = if query.get("f").is_some_and(|f| f.eq_ignore_ascii_case("edr")) {
        stac::edr_collection(&collection, &base)
    } else {
        query.form(JSON).map_err(|_| {
            let expected = "expected json, or edr for what OGC API EDR has of it alone";
            Problem::parameter("f", query.get("f").unwrap_or_default(), expected)
        })?;
        let mut body = described(&app, &collection, &base).await;
        add_views(&app, &id, &base, &mut body).await?;
        body
    };
    Ok(Document::json(&body)?
        .header(HeaderName::from_static("graticule-version"), &collection.version)
        .answer(&headers))
}

/// As STAC, with whether the files that it refers to are as they were.
async fn described(app: &App, c: &Collection, base: &str) -> Value {
    let mut body = stac::collection(c, base);
    body["graticule:status"] = if c.facts.references {
        match status(app, c).await {
            Ok(found) => found.to_json(),
            // One cube that cannot be opened does not take the list of all with it.
            Err(e) => json!({"state": "broken", "detail": e.to_string()}),
        }
    } else {
        reference::Status::Intact.to_json()
    };
    body
}

/// What is computed from it.
async fn add_views(app: &App, id: &str, base: &str, body: &mut Value) -> Answer<()> {
    let own = id.to_owned();
    let views = app.catalog.call_with(move |c| c.views_of(&own)).await.map_err(Problem::internal)?;
    if views.is_empty() {
        return Ok(());
    }
    if let Some(links) = body["links"].as_array_mut() {
        links.extend(views.iter().map(|view| {
            let mut link =
                stac::link("related", &format!("{base}/api/collections/{view}"), "application/json");
            link["title"] = json!(format!("{view}, a view of this collection"));
            link
        }));
    }
    body["graticule:views"] = json!(views);
    Ok(())
}

async fn status(app: &App, c: &Collection) -> Result<reference::Status, StoreError> {
    let snapshot = app.store.open_version(&c.id, Some(&c.version)).await?;
    reference::status(&snapshot).await
}

/// The collection, or the problem that there is none.
pub async fn find(app: &App, id: &str) -> Answer<Collection> {
    let wanted = id.to_owned();
    let found = app.catalog.call_with(move |c| c.collection(&wanted)).await.map_err(Problem::internal)?;
    found.ok_or_else(|| StoreError::NoCollection(id.to_owned()).into())
}

pub fn describe_list() -> Value {
    let mut parameters = vec![
        doc::bbox(),
        doc::datetime(),
        doc::query("q", "Words, separated by commas: collections of which any is said", "temperature"),
    ];
    parameters.extend(queryables::parameters("license = 'CC0-1.0'"));
    parameters.extend([
        doc::sortby(&["id", "title", "updated"], "-updated"),
        doc::query("fields", "Members of the collections to include, or with - to leave out", "id,title"),
        doc::limit(),
        doc::token(),
    ]);
    doc::returning(
        doc::get("Catalog", "All collections, or those that fit", &parameters, "application/json"),
        "Collections",
    )
}

pub fn describe_one() -> Value {
    let parameters = [doc::id()];
    doc::returning(
        doc::get("Catalog", "A collection, as STAC and as EDR", &parameters, "application/json"),
        "Collection",
    )
}

#[cfg(test)]
mod tests {
    use super::crosses;

    #[test]
    fn ranges_meet_across_the_antimeridian() {
        assert!(crosses((170.0, -170.0), (-175.0, -160.0)));
        assert!(!crosses((170.0, -170.0), (0.0, 10.0)));
        assert!(crosses((0.0, 10.0), (5.0, 6.0)));
    }
}
