//! `/api/search`: items of all collections (STAC API, item search with filter, sort,
//! fields, query and free text), and what can be asked of them.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response};
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::query::{self, Query};
use super::queryables::{CRS84, LANGUAGES};
use super::respond::{Document, GEOJSON};
use super::{App, doc, queryables, stac};
use crate::catalog::Collection;
use crate::catalog::search::{Page, TooLong};
use crate::problem::{Answer, Kind, Problem};
use crate::search::{self, Expr, Fields, ITEMS, Key, MAX_LISTED, Search, Shape, Token, instants};

const MOST: u32 = 10_000;
const DEFAULT: u32 = 10;

/// Parameters of a search by GET.
pub const PARAMETERS: [&str; 14] = [
    "bbox",
    "intersects",
    "datetime",
    "ids",
    "collections",
    "limit",
    "token",
    "q",
    "sortby",
    "fields",
    "filter",
    "filter-lang",
    "filter-crs",
    "f",
];

pub async fn get(
    State(app): State<Arc<App>>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let query = Query::parse(text.as_deref(), &PARAMETERS)?;
    query.form(GEOJSON)?;
    let (wanted, fields) = of_query(&query, instants::interval)?;
    let base = app.base(&headers);
    let here = format!("{base}/api/search");
    let links = vec![
        stac::link("self", &query.link(&here, None), GEOJSON),
        stac::link("root", &format!("{base}/api"), "application/json"),
    ];
    let next = |token: &str| stac::link("next", &query.link(&here, Some(token)), GEOJSON);
    answer(&app, wanted, &fields, links, &next, &headers).await
}

pub async fn post(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Answer<Response<Body>> {
    let asked = object(&body)?;
    let (wanted, fields) = of_object(&asked)?;
    let base = app.base(&headers);
    let here = format!("{base}/api/search");
    let links = vec![
        stac::link("self", &here, GEOJSON),
        stac::link("root", &format!("{base}/api"), "application/json"),
    ];
    let next = |token: &str| {
        let mut body = asked.clone();
        body.insert("token".into(), json!(token));
        json!({"rel": "next", "href": here, "type": GEOJSON, "method": "POST", "merge": false, "body": body})
    };
    answer(&app, wanted, &fields, links, &next, &headers).await
}

/// The body of a POST.
///
/// # Errors
/// It is no JSON object.
pub fn object(body: &Bytes) -> Answer<Map<String, Value>> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let asked = serde_json::from_slice(body)
        .map_err(|e| Problem::bad_request(format!("the body is no JSON: {e}")))?;
    match asked {
        Value::Object(asked) => Ok(asked),
        _ => Err(Problem::bad_request(
            "expected a JSON object such as {\"bbox\": [-30, -20, 30, 20], \"limit\": 10}",
        )),
    }
}

/// A page of items, with a link to the next.
pub async fn answer(
    app: &App,
    wanted: Search,
    fields: &Fields,
    mut links: Vec<Value>,
    next: &(dyn Fn(&str) -> Value + Sync),
    headers: &HeaderMap,
) -> Answer<Response<Body>> {
    let first = wanted.after.is_none();
    let turn = turn(wanted.has_shape()).await?;
    type Found = (Page, HashMap<String, Collection>);
    let found: anyhow::Result<Found> = app
        .catalog
        .call_with(move |c| {
            let page = c.search(&wanted)?;
            drop(turn);
            let mut collections = HashMap::new();
            for i in &page.items {
                if !collections.contains_key(&i.collection)
                    && let Some(found) = c.collection(&i.collection)?
                {
                    collections.insert(i.collection.clone(), found);
                }
            }
            Ok((page, collections))
        })
        .await;
    let (page, of) = found.map_err(too_long)?;
    let base = app.base(headers);
    let mut features = Vec::with_capacity(page.items.len());
    for i in &page.items {
        // One whose collection has just gone is gone with it.
        if let Some(c) = of.get(&i.collection) {
            features.push(fields.apply(stac::item(i, c, &base)));
        }
    }
    let mut body = json!({"type": "FeatureCollection", "numberReturned": features.len()});
    if first && page.next.is_none() {
        body["numberMatched"] = json!(features.len());
    }
    if let Some(token) = &page.next {
        links.push(next(&token.to_text()));
    }
    body["features"] = features.into();
    body["links"] = links.into();
    Ok(Document::json(&body)?.content_type(GEOJSON).answer(headers))
}

/// Searches that relate items to shapes at the same time.
static RELATING: Semaphore = Semaphore::const_new(4);

/// What a search that relates to shapes waits for: it takes a processor and memory. Whoever asked may
/// go while it runs, so it keeps its turn itself.
pub async fn turn(has_shape: bool) -> Answer<Option<SemaphorePermit<'static>>> {
    if !has_shape {
        return Ok(None);
    }
    Ok(Some(RELATING.acquire().await.map_err(Problem::internal)?))
}

/// What a search that failed is told.
pub fn too_long(e: anyhow::Error) -> Problem {
    match e.downcast::<TooLong>() {
        Ok(e) => Problem::new(
            Kind::TooLarge,
            format!("{e}; ask for fewer collections, a smaller box or a shorter time"),
        ),
        Err(e) => Problem::internal(e),
    }
}

fn wrong<'a>(name: &'a str, value: &'a str) -> impl Fn(String) -> Problem + 'a {
    move |why| Problem::parameter(name, value, why)
}

/// A search as its parameters say it; `time` reads `datetime`.
///
/// # Errors
/// The first parameter that cannot be understood.
pub fn of_query(query: &Query, time: fn(&str) -> Result<(f64, f64), String>) -> Answer<(Search, Fields)> {
    let list = |key: &str| -> Answer<Option<Vec<String>>> {
        let Some(text) = query.given(key) else { return Ok(None) };
        let all = text.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty());
        listed(key, all.collect()).map(Some)
    };
    let mut out = Search {
        ids: list("ids")?,
        collections: list("collections")?,
        bbox: query.bbox()?,
        words: list("q")?.unwrap_or_default(),
        limit: query.limit(DEFAULT, MOST)?,
        ..Search::default()
    };
    if let Some(text) = query.get("intersects") {
        let no = wrong("intersects", text);
        let value: Value = serde_json::from_str(text).map_err(|e| no(format!("no JSON: {e}")))?;
        out.intersects = Some(Shape::from_geojson(&value).map_err(no)?);
    }
    if let Some(text) = query.given("datetime") {
        out.time = Some(time(text).map_err(wrong("datetime", text))?);
    }
    out.filter = queryables::filter(query, &ITEMS)?;
    if let Some(text) = query.given("sortby") {
        out.sort = Key::list(text).map_err(wrong("sortby", text))?;
    }
    let fields = match query.get("fields") {
        None => Fields::default(),
        Some(text) => Fields::list(text).map_err(wrong("fields", text))?,
    };
    if let Some(text) = query.get("token") {
        out.after = Some(Token::from_text(text, &out.sort).map_err(|why| no_page(text, &why))?);
    }
    Ok((checked(out)?, fields))
}

/// No page begins there.
pub fn no_page(token: &str, why: &str) -> Problem {
    Problem::not_found(format!("token={:?}: {why}", search::cut(token))).with("parameter", "token")
}

fn listed(key: &str, list: Vec<String>) -> Answer<Vec<String>> {
    if list.len() > MAX_LISTED {
        return Err(Problem::parameter(
            key,
            &format!("{} values", list.len()),
            format!("at most {MAX_LISTED}"),
        ));
    }
    Ok(list)
}

fn checked(search: Search) -> Answer<Search> {
    if search.bbox.is_some() && search.intersects.is_some() {
        return Err(Problem::bad_request(
            "bbox and intersects together say two places; expected one of them",
        ));
    }
    Ok(search)
}

/// A search as the body of a POST says it.
///
/// # Errors
/// The first member that cannot be understood.
pub fn of_object(asked: &Map<String, Value>) -> Answer<(Search, Fields)> {
    // The body says nothing of the answer's format, and has one member more.
    let members = PARAMETERS.map(|p| if p == "f" { "query" } else { p });
    if let Some(key) = asked.keys().find(|k| !members.contains(&k.as_str())) {
        return Err(query::unknown(key, "", "member", &members));
    }
    let value = |key: &str| asked.get(key).filter(|v| !v.is_null());
    let no = |key: &str, why: &str| {
        Problem::parameter(key, &value(key).map(Value::to_string).unwrap_or_default(), why)
    };
    let texts = |key: &str| -> Answer<Option<Vec<String>>> {
        let Some(v) = value(key) else { return Ok(None) };
        let list = v.as_array().ok_or_else(|| no(key, "expected a list of texts"))?;
        let list = list.iter().map(|t| t.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
        listed(key, list.ok_or_else(|| no(key, "expected a list of texts"))?).map(Some)
    };
    let text = |key: &str| -> Answer<Option<&str>> {
        value(key).map(|v| v.as_str().ok_or_else(|| no(key, "expected a text"))).transpose()
    };
    let mut out = Search {
        ids: texts("ids")?,
        collections: texts("collections")?,
        limit: DEFAULT,
        ..Search::default()
    };
    if let Some(v) = value("bbox") {
        let numbers = v.as_array().and_then(|l| l.iter().map(Value::as_f64).collect::<Option<Vec<_>>>());
        let finite = |b: &[f64]| b.iter().all(|n| n.is_finite());
        out.bbox = Some(match numbers.as_deref() {
            Some(b @ (&[w, s, e, n] | &[w, s, _, e, n, _])) if s <= n && finite(b) => [w, s, e, n],
            _ => {
                return Err(no(
                    "bbox",
                    "expected [west, south, east, north] in degrees, with south at most north",
                ));
            }
        });
    }
    if let Some(v) = value("intersects") {
        out.intersects = Some(Shape::from_geojson(v).map_err(|e| no("intersects", &e))?);
    }
    if let Some(t) = text("datetime")? {
        out.time = Some(instants::interval(t).map_err(|why| no("datetime", &why))?);
    }
    if let Some(v) = value("limit") {
        // To JSON Schema 10.0 is a whole number.
        let whole = v.as_f64().filter(|f| f.fract() == 0.0 && *f >= 0.0).map(|f| f as u64);
        out.limit = match v.as_u64().or(whole) {
            Some(n @ 1..) => u32::try_from(n).unwrap_or(MOST).min(MOST),
            _ => return Err(no("limit", &format!("expected a whole number from 1 to {MOST}"))),
        };
    }
    out.words = match value("q") {
        Some(Value::String(t)) => {
            listed("q", t.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect())?
        }
        _ => texts("q")?.unwrap_or_default(),
    };
    if text("filter-lang")?.is_some_and(|l| !LANGUAGES.contains(&l)) {
        return Err(no("filter-lang", "expected cql2-text or cql2-json"));
    }
    let mut conditions = Vec::new();
    if let Some(v) = value("filter") {
        let given = text("filter-lang")?;
        let said = |e: String| no("filter", &e);
        conditions.push(match (given, v) {
            (None | Some("cql2-json"), Value::Object(_) | Value::Bool(_)) => {
                Expr::from_json(&ITEMS, v).map_err(said)?
            }
            (None | Some("cql2-text"), Value::String(t)) => Expr::from_text(&ITEMS, t).map_err(said)?,
            (Some("cql2-json"), _) => {
                return Err(no("filter", "expected an object with \"op\" and \"args\""));
            }
            (Some("cql2-text"), _) => return Err(no("filter", "expected CQL2 as a text")),
            (None, _) => return Err(no("filter", "expected CQL2 as an object or a text")),
            (Some(_), _) => return Err(no("filter-lang", "expected cql2-text or cql2-json")),
        });
    }
    if let Some(v) = value("query") {
        conditions.push(query_extension(v).map_err(|e| no("query", &e))?);
    }
    out.filter = match conditions.len() {
        0 => None,
        1 => conditions.pop(),
        _ => Some(Expr::And(conditions).checked().map_err(|e| no("filter", &e))?),
    };
    if text("filter-crs")?.is_some_and(|c| !CRS84.contains(&c)) {
        return Err(no("filter-crs", &format!("expected {}", CRS84[0])));
    }
    out.sort = match value("sortby") {
        None => Vec::new(),
        Some(Value::String(t)) => Key::list(t).map_err(|e| no("sortby", &e))?,
        Some(v) => Key::objects(v).map_err(|e| no("sortby", &e))?,
    };
    let fields = match value("fields") {
        None => Fields::default(),
        Some(Value::String(t)) => Fields::list(t).map_err(|e| no("fields", &e))?,
        Some(v) => Fields::object(v).map_err(|e| no("fields", &e))?,
    };
    if let Some(t) = text("token")? {
        out.after = Some(Token::from_text(t, &out.sort).map_err(|why| no_page(t, &why))?);
    }
    Ok((checked(out)?, fields))
}

/// STAC API's older `query`: `{"graticule:bytes": {"gt": 10}}`, said in CQL2.
fn query_extension(v: &Value) -> Result<Expr, String> {
    let wrong = || "expected an object such as {\"version\": {\"eq\": \"A\"}}".to_owned();
    let mut list = Vec::new();
    for (name, tests) in v.as_object().ok_or_else(wrong)? {
        let numeric = ITEMS.find(name).is_ok_and(|p| p.kind == search::Kind::Number);
        for (op, value) in tests.as_object().ok_or_else(wrong)? {
            let escaped = || {
                let t = value.as_str().ok_or_else(|| format!("{op} compares texts"))?;
                Ok::<_, String>(t.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
            };
            let property = json!({"property": name});
            // pystac-client sends "bytes>10" with the number as text.
            let value = &if numeric { as_numbers(value) } else { value.clone() };
            let cql = match op.as_str() {
                "eq" => json!({"op": "=", "args": [property, value]}),
                "neq" => json!({"op": "<>", "args": [property, value]}),
                "gt" => json!({"op": ">", "args": [property, value]}),
                "gte" => json!({"op": ">=", "args": [property, value]}),
                "lt" => json!({"op": "<", "args": [property, value]}),
                "lte" => json!({"op": "<=", "args": [property, value]}),
                "in" => json!({"op": "in", "args": [property, value]}),
                "startsWith" => json!({"op": "like", "args": [property, format!("{}%", escaped()?)]}),
                "endsWith" => json!({"op": "like", "args": [property, format!("%{}", escaped()?)]}),
                "contains" => json!({"op": "like", "args": [property, format!("%{}%", escaped()?)]}),
                _ => {
                    return Err(format!(
                        "{op:?}: there are eq, neq, gt, gte, lt, lte, in, startsWith, endsWith, contains"
                    ));
                }
            };
            list.push(Expr::from_json(&ITEMS, &cql)?);
        }
    }
    if list.is_empty() { Ok(Expr::Is(true)) } else { Expr::And(list).checked() }
}

/// Texts that are numbers, as these.
fn as_numbers(value: &Value) -> Value {
    match value {
        Value::String(t) => {
            let number = t.trim().parse::<f64>().ok().filter(|n| n.is_finite());
            number.map_or_else(|| value.clone(), |n| json!(n))
        }
        Value::Array(list) => list.iter().map(as_numbers).collect(),
        _ => value.clone(),
    }
}

/// Patterns of what items are sorted by.
fn sorted() -> Vec<String> {
    let sorted = ITEMS.iter().filter(|p| p.kind != search::Kind::Geometry);
    sorted.map(|p| format!(r"(properties\.)?{}", p.name)).collect()
}

/// Parameters beyond those of place and time, as OpenAPI has them.
pub fn parameters() -> Vec<Value> {
    let mut all = vec![
        doc::query("ids", "Ids of items, separated by commas", "a"),
        doc::query(
            "q",
            "Words, separated by commas: items of which any is said, or of whose collection",
            "temperature",
        ),
        doc::sortby(&sorted(), "-datetime"),
        doc::query(
            "fields",
            "Members of the items to include, or with - to leave out",
            "id,properties.datetime",
        ),
    ];
    all.extend(queryables::parameters("graticule:bytes > 1000"));
    all.push(doc::token());
    all
}

pub fn describe_get() -> Value {
    let mut all = vec![
        doc::bbox(),
        doc::query("intersects", "A GeoJSON geometry", "{\"type\":\"Point\",\"coordinates\":[0,0]}"),
        doc::instants(),
        doc::query("collections", "Ids of collections, separated by commas", "a"),
        doc::limit(),
    ];
    all.extend(parameters());
    doc::returning(doc::get("Catalog", "Items of all collections that fit", &all, GEOJSON), "Items")
}

pub fn describe_post() -> Value {
    let mut operation = doc::returning(
        doc::get("Catalog", "Items of all collections that fit, asked for in JSON", &[], GEOJSON),
        "Items",
    );
    let text = json!({"type": "string"});
    let names: Vec<&str> =
        ITEMS.iter().filter(|p| p.kind != search::Kind::Geometry).map(|p| p.name).collect();
    let sortby_text = doc::sortby(&sorted(), "-datetime")["schema"].clone();
    // A member that is null is as good as absent.
    let or_null = |of: &Value| json!({"anyOf": [of, {"type": "null"}]});
    let members_of = json!({"type": "array", "items": text, "maxItems": search::MAX_FIELDS});
    let mut members = members();
    members["limit"] = json!({"type": "integer", "minimum": 1});
    members["sortby"] = json!({"anyOf": [sortby_text, {"type": "array", "maxItems": 8, "items": {"type": "object",
        "required": ["field"], "properties": {"field": {"type": "string", "enum": names},
            "direction": {"type": "string", "enum": ["asc", "desc"]}}}}]});
    members["fields"] = json!({"anyOf": [text, {"type": "object", "additionalProperties": false,
        "properties": {"include": or_null(&members_of), "exclude": or_null(&members_of)}}]});
    members["token"] = text;
    operation["requestBody"] = body(&members);
    operation
}

/// What a body says of which items are meant.
pub fn members() -> Value {
    let text = json!({"type": "string"});
    let texts = json!({"type": "array", "items": text, "maxItems": MAX_LISTED});
    let instants = doc::instants();
    let number = json!({"type": "number"});
    let box_of = |n: u32| json!({"type": "array", "items": number, "minItems": n, "maxItems": n});
    let test = json!({"type": "object", "additionalProperties": false, "properties": {
        "eq": {}, "neq": {}, "gt": {}, "gte": {}, "lt": {}, "lte": {}, "in": {"type": "array"},
        "startsWith": text, "endsWith": text, "contains": text}});
    json!({
        "bbox": {"oneOf": [box_of(4), box_of(6)],
            "description": "West, south, east, north, or with a height after each pair; south at most north"},
        "intersects": {"$ref": "#/components/schemas/Geometry"},
        "datetime": {"type": "string", "pattern": instants["schema"]["pattern"], "description": instants["description"]},
        "ids": texts, "collections": texts, "q": {"anyOf": [texts, text]},
        "filter": {"type": ["object", "string", "boolean"],
            "description": "CQL2: JSON as an object, text as a string; which, filter-lang says where it is given"},
        "filter-lang": {"type": "string", "enum": LANGUAGES},
        "filter-crs": {"type": "string", "enum": CRS84},
        "query": {"type": "object", "additionalProperties": test,
            "description": "Tests of properties; filter says more"},
    })
}

/// A body with these members, each of which may be null.
pub fn body(members: &Value) -> Value {
    let or_null = |of: &Value| json!({"anyOf": [of, {"type": "null"}]});
    let members = members.as_object().into_iter().flatten();
    let members: Map<String, Value> = members.map(|(name, of)| (name.clone(), or_null(of))).collect();
    json!({"content": {"application/json": {
    "example": {"bbox": [-30, -20, 30, 20]},
    "schema": {
    "type": "object",
    "additionalProperties": false,
    "description": "A place is said by bbox or by intersects",
    "not": {"required": ["bbox", "intersects"], "properties": {
        "bbox": {"not": {"type": "null"}}, "intersects": {"not": {"type": "null"}}}},
    "properties": members
    }}}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_extension_reads_a_text_as_the_number_that_it_is() {
        let of = |v: Value| query_extension(&json!({"graticule:bytes": v}));
        assert_eq!(of(json!({"gt": "10"})), of(json!({"gt": 10})));
        assert_eq!(of(json!({"in": ["1", 2.5]})), of(json!({"in": [1, 2.5]})));
        assert!(of(json!({"gt": "many"})).is_err());
        assert!(of(json!({"gt": "inf"})).is_err());
        // A text stays one, and so does CQL2's.
        assert_eq!(
            query_extension(&json!({"version": {"eq": "10"}})),
            Expr::from_text(&ITEMS, "version = '10'").map(|e| Expr::And(vec![e]))
        );
        assert!(
            Expr::from_json(&ITEMS, &json!({"op": ">", "args": [{"property": "graticule:bytes"}, "10"]}))
                .is_err()
        );
    }
}
