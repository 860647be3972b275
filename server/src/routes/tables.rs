//! `/api/tables` and `/api/tables/{id}`: rows of tabular collections, as JSON or CSV.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use graticule_formats::table::Role;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::coding::{Coding, Packer};
use super::conditional::{Validators, Verdict};
use super::query::Query;
use super::respond::{Document, open_to_all};
use super::{App, doc, stac};
use crate::catalog::tokens::hex;
use crate::citation;
use crate::problem::{Answer, Kind as ProblemKind, Problem};
use crate::store::StoreError;
use crate::tables::query::{self, After, Asked, Compare, Filter};
use crate::tables::{Column, Table, Version};

const CSV: &str = "text/csv; charset=utf-8";
/// Parameters that are no columns; a column of such a name is asked for with `_eq`.
const RESERVED: [&str; 7] = ["bbox", "datetime", "select", "order", "limit", "f", "token"];
/// Rows of a page of JSON.
const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 10_000;
/// Rows read at a time; a reader holds the table no longer than it takes to read them.
const ROWS_READ: u64 = 1000;
/// Conditions in one request.
const MAX_FILTERS: usize = 32;

pub async fn list(
    State(app): State<Arc<App>>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    Query::of_document(text.as_deref(), "application/json")?;
    let base = app.base(&headers);
    let all = app.catalog.call_with(|c| c.collections()).await.map_err(Problem::internal)?;
    let tables: Vec<Value> = all
        .iter()
        .filter_map(|c| Some((c, c.facts.table.as_ref()?)))
        .map(|(c, t)| {
            json!({
                "id": c.id,
                "title": c.title,
                "version": c.version,
                "updated": c.updated,
                "rows": t.rows,
                "columns": t.columns.iter().map(|c| &c.name).collect::<Vec<_>>(),
                "links": [
                    stac::link("self", &format!("{base}/api/tables/{}", c.id), "application/json"),
                    stac::link("alternate", &format!("{base}/api/tables/{}?f=csv", c.id), CSV),
                    stac::link("collection", &format!("{base}/api/collections/{}", c.id), "application/json"),
                ],
            })
        })
        .collect();
    let body = json!({
        "tables": tables,
        "links": [
            stac::link("self", &format!("{base}/api/tables"), "application/json"),
            stac::link("root", &format!("{base}/api"), "application/json"),
        ],
    });
    Ok(Document::json(&body)?.answer(&headers))
}

/// What one request asks for.
struct Request {
    asked: Asked,
    version: Version,
    /// Columns shown, in their order.
    shown: Vec<usize>,
    limit: Option<u64>,
    csv: bool,
}

pub async fn one(
    State(app): State<Arc<App>>,
    Path(reference): Path<String>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    let (id, version) = match reference.split_once('@') {
        Some((id, version)) => (id.to_owned(), Some(version.to_owned())),
        None => (reference, None),
    };
    let pinned = version.is_some();
    let root = app.store.root().to_owned();
    let (at, asked_for) = (id.clone(), text.clone());
    let base = app.base(&headers);
    let opened =
        tokio::task::spawn_blocking(move || open(&root, &at, version.as_deref(), asked_for.as_deref()))
            .await
            .map_err(Problem::internal)?;
    let (table, request) = opened?;
    let media = if request.csv { CSV } else { "application/json" };
    // How long it will be is not known; it may be all of the table.
    let coding = Coding::of(&headers, media, usize::MAX);
    let etag = {
        let mut hash = Sha256::new();
        for part in
            [env!("CARGO_PKG_VERSION"), &base, &id, &request.version.id, text.as_deref().unwrap_or("")]
        {
            hash.update(part);
            hash.update([0]);
        }
        coding.tagged(&hex(&hash.finalize()[..12]))
    };
    let mut response = Response::new(Body::empty());
    let h = response.headers_mut();
    open_to_all(h);
    let cache = if pinned { "public, max-age=31536000, immutable" } else { "no-cache" };
    h.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    h.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    let known = super::collections::find(&app, &id).await.ok();
    let (attributes, title) = known.map_or((Map::new(), id.clone()), |c| (c.facts.attributes, c.title));
    let href = format!("{base}/api/collections/{id}");
    let said = citation::headers(&attributes, &title, &request.version.id, &href);
    for (name, value) in said.into_iter().chain([(header::ETAG, etag.clone())]) {
        if let Ok(v) = HeaderValue::from_str(&value) {
            h.append(name, v);
        }
    }
    let now = Validators { etag: &etag, modified_secs: None };
    match now.judge(&headers) {
        Verdict::Send => {}
        Verdict::Known => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        Verdict::Another => return Err(now.another()),
    }
    if let Some(v) = coding.header() {
        response.headers_mut().insert(header::CONTENT_ENCODING, v);
    }
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    if request.csv {
        let name = format!("inline; filename=\"{id}.csv\"");
        if let Ok(v) = HeaderValue::from_str(&name) {
            response.headers_mut().insert(header::CONTENT_DISPOSITION, v);
        }
    }
    *response.body_mut() = if request.csv {
        stream(table, request, coding, |t, r, send| write_csv(t, r, send))
    } else {
        let page = Page { base, id, query: text.unwrap_or_default() };
        stream(table, request, coding, move |t, r, send| write_json(t, r, &page, send))
    };
    Ok(response)
}

/// Runs `write` beside the server; what it sends is the body. An error cuts the body short, so that
/// nobody takes it for whole.
fn stream(
    table: Table,
    request: Request,
    coding: Coding,
    write: impl FnOnce(&Table, Request, &mut dyn FnMut(String) -> bool) -> anyhow::Result<()> + Send + 'static,
) -> Body {
    let (tx, mut rx) = mpsc::channel::<std::io::Result<Bytes>>(4);
    tokio::task::spawn_blocking(move || {
        let run = || -> anyhow::Result<()> {
            let mut packer = Packer::new(coding, usize::MAX)?;
            let mut failed = None;
            // False where nobody reads any more.
            let mut send = |text: String| match packer.push(text.as_bytes()) {
                Ok(packed) => packed.is_empty() || tx.blocking_send(Ok(packed.into())).is_ok(),
                Err(e) => {
                    failed = Some(e);
                    false
                }
            };
            write(&table, request, &mut send)?;
            if let Some(e) = failed {
                return Err(e.into());
            }
            let _ = tx.blocking_send(Ok(packer.finish()?.into()));
            Ok(())
        };
        if let Err(e) = run() {
            tracing::error!(error = %format!("{e:#}"), "a table cannot be read");
            let _ = tx.blocking_send(Err(std::io::Error::other("the table cannot be read")));
        }
    });
    Body::from_stream(futures::stream::poll_fn(move |cx| rx.poll_recv(cx)))
}

/// Hands out the rows of a request, page after page, and where the next request would begin.
fn rows(
    table: &Table,
    request: &mut Request,
    mut each: impl FnMut(&[query::Row]) -> bool,
) -> anyhow::Result<Option<After>> {
    let mut left = request.limit.unwrap_or(u64::MAX);
    loop {
        let wanted = left.min(ROWS_READ);
        // One more than is handed out, to know whether there is a next.
        let mut page = request.asked.page(table, wanted + 1)?;
        let more = page.len() as u64 > wanted;
        page.truncate(wanted as usize);
        let last = page.last().map(|r| request.asked.after(r));
        if !each(&page) {
            return Ok(None);
        }
        left -= page.len() as u64;
        match last {
            Some(after) if more && left == 0 => return Ok(Some(after)),
            Some(after) if more => request.asked.query.after = Some(after),
            _ => return Ok(None),
        }
    }
}

fn write_csv(
    table: &Table,
    mut request: Request,
    send: &mut dyn FnMut(String) -> bool,
) -> anyhow::Result<()> {
    let (shown, columns) = (request.shown.clone(), request.asked.columns.clone());
    let mut out = String::new();
    for (n, i) in shown.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        query::text_to_csv(&mut out, &columns[*i].name);
    }
    out.push_str("\r\n");
    rows(table, &mut request, |page| {
        for (_, values) in page {
            for (n, i) in shown.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                query::to_csv(&mut out, &values[*i], columns[*i].kind);
            }
            out.push_str("\r\n");
        }
        send(std::mem::take(&mut out))
    })?;
    Ok(())
}

/// What links are made of.
struct Page {
    base: String,
    id: String,
    query: String,
}

fn write_json(
    table: &Table,
    mut request: Request,
    page: &Page,
    send: &mut dyn FnMut(String) -> bool,
) -> anyhow::Result<()> {
    let (shown, columns) = (request.shown.clone(), request.asked.columns.clone());
    let matched = request.asked.count(table)?;
    let described: Vec<Value> = shown.iter().map(|i| stac::table_column(&(&columns[*i]).into())).collect();
    let mut out = json!({
        "collection": page.id,
        "version": request.version.id,
        "numberMatched": matched,
        "columns": described,
    })
    .to_string();
    out.pop();
    out.push_str(",\"rows\":[");
    let mut returned = 0u64;
    let next = rows(table, &mut request, |page| {
        for (_, values) in page {
            if returned > 0 {
                out.push(',');
            }
            returned += 1;
            let row: Map<String, Value> = shown
                .iter()
                .map(|i| (columns[*i].name.clone(), query::to_json(&values[*i], columns[*i].kind)))
                .collect();
            out.push_str(&Value::Object(row).to_string());
        }
        send(std::mem::take(&mut out))
    })?;
    let here = format!("{}/api/tables/{}@{}", page.base, page.id, request.version.id);
    let kept: Vec<&str> =
        page.query.split('&').filter(|p| !p.is_empty() && !p.starts_with("token=")).collect();
    let with = |more: &str| {
        let all: Vec<&str> = kept.iter().copied().chain((!more.is_empty()).then_some(more)).collect();
        if all.is_empty() { here.clone() } else { format!("{here}?{}", all.join("&")) }
    };
    let mut links = vec![
        stac::link("self", &with(""), "application/json"),
        stac::link("collection", &format!("{}/api/collections/{}", page.base, page.id), "application/json"),
    ];
    if let Some(after) = next {
        let token = json!([query::token_value(&after.value), after.row]).to_string();
        links.push(stac::link(
            "next",
            &with(&format!("token={}", URL_SAFE_NO_PAD.encode(token))),
            "application/json",
        ));
    }
    out.push_str("],");
    out.push_str(json!({"numberReturned": returned, "links": links}).to_string().trim_start_matches('{'));
    send(out);
    Ok(())
}

/// Opens the table and understands what is asked of it; blocks.
fn open(
    root: &std::path::Path,
    id: &str,
    version: Option<&str>,
    text: Option<&str>,
) -> Answer<(Table, Request)> {
    let no_table =
        || Problem::not_found(format!("There is no table {id:?}; /api/tables lists those there are."));
    if !crate::store::is_collection_id(id) {
        return Err(no_table());
    }
    let table = Table::open(root, id).map_err(Problem::internal)?.ok_or_else(no_table)?;
    if table.version(None).map_err(Problem::internal)?.is_none() {
        return Err(no_table());
    }
    let found = table.version(version).map_err(Problem::internal)?;
    if let (None, Some(version)) = (&found, version)
        && table.is_expired(version).map_err(Problem::internal)?
    {
        return Err(StoreError::Expired { collection: id.to_owned(), version: version.to_owned() }.into());
    }
    let found = found.ok_or_else(|| {
        Problem::not_found(format!(
            "Table {id:?} has no version {:?}; /api/collections/{id}/versions lists those it has.",
            version.unwrap_or_default()
        ))
    })?;
    let columns = table.columns(found.seq).map_err(Problem::internal)?;
    let request = read(text, found, columns)?;
    Ok((table, request))
}

fn read(text: Option<&str>, version: Version, columns: Vec<Column>) -> Answer<Request> {
    let reserved: Vec<String> = RESERVED.iter().map(|r| (*r).to_owned()).collect();
    let (fixed, filters) = split(text.unwrap_or_default(), &reserved);
    let fixed = Query::parse(Some(&fixed), &RESERVED)?;
    let csv = match fixed.given("f").map(str::to_ascii_lowercase).as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => {
            return Err(Problem::parameter(
                "f",
                fixed.given("f").unwrap_or_default(),
                "expected json or csv",
            ));
        }
    };
    if filters.len() > MAX_FILTERS {
        return Err(Problem::bad_request(format!(
            "{} conditions on columns; at most {MAX_FILTERS} are answered",
            filters.len()
        )));
    }
    let mut asked = query::Query::default();
    for (key, value) in &filters {
        asked.filters.push(filter(key, value, &columns)?);
    }
    let role = |r: Role| columns.iter().position(|c| c.role == Some(r));
    asked.bbox = fixed.bbox()?;
    if asked.bbox.is_some() && (role(Role::Latitude).is_none() || role(Role::Longitude).is_none()) {
        return Err(Problem::parameter(
            "bbox",
            fixed.get("bbox").unwrap_or_default(),
            "this table has no columns of latitude and longitude",
        ));
    }
    if let Some(text) = fixed.given("datetime") {
        if role(Role::Time).is_none() {
            return Err(Problem::parameter("datetime", text, "this table has no column of times"));
        }
        asked.time = Some(interval(text)?);
    }
    if let Some(text) = fixed.get("order") {
        let (name, down) = text.strip_prefix('-').map_or((text, false), |n| (n, true));
        asked.order = Some((column("order", name, &columns)?, down));
    }
    if let Some(token) = fixed.get("token") {
        asked.after = Some(after(token)?);
    }
    let shown = match fixed.get("select") {
        None => (0..columns.len()).collect(),
        Some(list) => {
            let mut seen = BTreeSet::new();
            let all: Vec<usize> =
                list.split(',').map(|n| column("select", n.trim(), &columns)).collect::<Answer<_>>()?;
            all.into_iter().filter(|i| seen.insert(*i)).collect()
        }
    };
    // CSV is the whole table unless a limit is asked for.
    let limit = match csv && fixed.get("limit").is_none() {
        true => None,
        false if csv => Some(u64::from(fixed.limit(DEFAULT_LIMIT, u32::MAX)?)),
        false => Some(u64::from(fixed.limit(DEFAULT_LIMIT, MAX_LIMIT)?)),
    };
    let asked = Asked { seq: version.seq, columns, query: asked };
    Ok(Request { asked, version, shown, limit, csv })
}

/// Parameters of this route, still encoded, and conditions on columns, decoded.
fn split(text: &str, reserved: &[String]) -> (String, Vec<(String, String)>) {
    let decode = |s: &str| percent_decode_str(&s.replace('+', " ")).decode_utf8_lossy().into_owned();
    let (mut fixed, mut filters) = (Vec::new(), Vec::new());
    for pair in text.split('&').filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(key);
        if reserved.contains(&name) {
            fixed.push(pair);
        } else {
            filters.push((name, decode(value)));
        }
    }
    (fixed.join("&"), filters)
}

fn filter(key: &str, text: &str, columns: &[Column]) -> Answer<Filter> {
    let (name, compare) = match position(key, columns) {
        Some(_) => (key, Compare::Equal),
        None => Compare::SUFFIXES
            .iter()
            .find_map(|(suffix, compare)| Some((key.strip_suffix(suffix)?, *compare)))
            .unwrap_or((key, Compare::Equal)),
    };
    let column = column(key, name, columns)?;
    let kind = columns[column].kind;
    let value = query::operand(text, kind).map_err(|expected| {
        Problem::parameter(
            key,
            text,
            format!("column {:?} is of {}: expected {expected}", columns[column].name, kind.name()),
        )
    })?;
    Ok(Filter { column, compare, value })
}

/// A column by its name, or by what is left of its name without blanks, case and signs.
fn position(name: &str, columns: &[Column]) -> Option<usize> {
    let plain = |s: &str| -> String {
        s.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    columns.iter().position(|c| c.name == name).or_else(|| {
        let wanted = plain(name);
        let mut fitting =
            columns.iter().enumerate().filter(|(_, c)| !wanted.is_empty() && plain(&c.name) == wanted);
        let first = fitting.next()?;
        fitting.next().is_none().then_some(first.0)
    })
}

fn column(parameter: &str, name: &str, columns: &[Column]) -> Answer<usize> {
    position(name, columns).ok_or_else(|| {
        let alike = |c: &&Column| strsim::jaro_winkler(&c.name.to_lowercase(), &name.to_lowercase());
        let near = columns.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
        let near = near.map_or(String::new(), |c| format!("; the nearest is {:?}", c.name));
        Problem::parameter(
            parameter,
            name,
            format!("no such column, and none of the parameters {}{near}", RESERVED.join(", ")),
        )
    })
}

/// `datetime` in microseconds; a date alone is all of its day.
fn interval(text: &str) -> Answer<(i64, i64)> {
    const DAY: i64 = 86_400_000_000;
    let wrong = || {
        Problem::parameter(
            "datetime",
            text,
            "expected an instant such as 2020-01-31T12:00:00Z, a date, or an interval such as 2020-01-01/2020-01-31, with .. for an open end",
        )
    };
    let micros = |s: &str| graticule_formats::table::micros_of(s).ok_or_else(wrong);
    let last = |s: &str| Ok::<i64, Problem>(micros(s)? + if s.trim().len() == 10 { DAY - 1 } else { 0 });
    let open = |s: &str| matches!(s.trim(), "" | "..");
    let (from, to) = match text.split_once('/') {
        Some((a, b)) => {
            (if open(a) { i64::MIN } else { micros(a)? }, if open(b) { i64::MAX } else { last(b)? })
        }
        None => (micros(text)?, last(text)?),
    };
    if from > to {
        let why = "it ends before it begins; expected the earlier end first";
        return Err(Problem::parameter("datetime", text, why));
    }
    Ok((from, to))
}

fn after(token: &str) -> Answer<After> {
    let read = || -> Option<After> {
        let json: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        Some(After { value: query::value_of_token(&json[0])?, row: json[1].as_i64()? })
    };
    read().ok_or_else(|| {
        Problem::parameter("token", token, "expected the one of a \"next\" link of this table")
    })
}

/// The refusal of what only cubes answer.
pub fn is_a_table(id: &str) -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        format!("Collection {id:?} is a table, not a cube; its rows are at /api/tables/{id}."),
    )
}

pub fn describe_list() -> Value {
    doc::returning(doc::get("Data", "Tabular collections", &[], "application/json"), "Tables")
}

pub fn describe_one() -> Value {
    let mut operation = doc::get(
        "Data",
        "Rows of a table",
        &[
            doc::reference("id"),
            doc::query("select", "Columns to show, separated by commas", "time,lat,lon"),
            doc::query("order", "A column to sort by; with - before it the greatest comes first", "-time"),
            doc::bbox(),
            doc::datetime(),
            doc::limit(),
            doc::choice(
                "f",
                "A page of JSON, or the whole table as CSV, unless limit is given",
                &["json", "csv"],
            ),
            doc::query("token", "Where the page begins, from a \"next\" link", "W251bGwsMTAwXQ"),
        ],
        "application/json",
    );
    operation["description"] = json!(
        "Every other parameter is a condition on a column: `column=value`, `column_gt=`, `column_ge=`, `column_lt=`, `column_le=`, `column_ne=`. Names are compared without regard to case, blanks and signs where that is clear."
    );
    operation["responses"]["200"]["content"]["text/csv"] = json!({"schema": {"type": "string"}});
    doc::returning(operation, "Rows")
}

#[cfg(test)]
mod tests {
    use graticule_formats::table::Kind;

    use super::*;

    fn columns() -> Vec<Column> {
        ["time", "MM", "mm", "Unique trajectory (identifier)", "depth"]
            .into_iter()
            .zip([Kind::Timestamp, Kind::Int64, Kind::Int64, Kind::Text, Kind::Float64])
            .map(|(name, kind)| Column {
                name: name.to_owned(),
                kind,
                units: None,
                role: None,
                description: None,
            })
            .collect()
    }

    #[test]
    fn a_column_is_found_by_its_plain_name_where_that_is_clear() {
        let c = columns();
        assert_eq!(position("unique_trajectory_identifier", &c), Some(3));
        assert_eq!(position("mm", &c), Some(2));
        assert_eq!(position("Mm", &c), None);
        let f = filter("depth_ge", "10", &c).unwrap();
        assert_eq!((f.column, f.compare), (4, Compare::GreaterOrEqual));
    }

    #[test]
    fn an_unknown_column_is_refused_naming_the_nearest() {
        let e = filter("deptth_gt", "1", &columns()).unwrap_err();
        assert!(e.detail.contains("the nearest is \"depth\""), "{}", e.detail);
        let e = filter("depth", "deep", &columns()).unwrap_err();
        assert!(e.detail.contains("column \"depth\" is of float64: expected a number"), "{}", e.detail);
    }

    #[test]
    fn a_date_is_all_of_its_day() {
        assert_eq!(interval("1970-01-01").unwrap(), (0, 86_399_999_999));
        assert_eq!(interval("../1970-01-01T00:00:00Z").unwrap(), (i64::MIN, 0));
        assert!(interval("yesterday").is_err());
        assert!(interval("1970-01-02/1970-01-01").is_err());
    }
}
