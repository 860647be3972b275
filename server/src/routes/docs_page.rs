//! `/api/docs`: the OpenAPI document as one page without scripts, and what each kind of problem means.

use std::fmt::Write;

use axum::body::Body;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, Response};
use serde_json::Value;

use super::query::Query;
use super::respond::Document;
use super::{doc, openapi};
use crate::problem::{Answer, Kind};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;\
    color:#1b2330;background:#fff}code{font-family:ui-monospace,monospace}h2{margin-top:2rem}\
    dt{margin-top:.8rem}dd{margin-left:1.5rem;color:#475166}small{color:#475166}\
    @media(prefers-color-scheme:dark){body{background:#10151d;color:#dfe6f0}dd,small{color:#9aa7ba}a{color:#7db4ff}}";

const MEDIA_TYPE: &str = "text/html; charset=utf-8";

pub async fn get(RawQuery(query): RawQuery, headers: HeaderMap) -> Answer<Response<Body>> {
    Query::of_document(query.as_deref(), MEDIA_TYPE)?;
    Ok(Document::new(MEDIA_TYPE, page()).answer(&headers))
}

fn page() -> String {
    let document = openapi::document();
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Graticule API</title><style>{STYLE}</style><h1>Graticule API</h1>\
         <p>{} The machine-readable form is <a href=\"/api/openapi.json\">/api/openapi.json</a>.</p>",
        escape(&document["info"]["description"])
    );
    for tag in document["tags"].as_array().into_iter().flatten() {
        let _ = write!(out, "<h2>{}</h2><dl>", escape(&tag["name"]));
        for (path, operations) in document["paths"].as_object().into_iter().flatten() {
            for (method, o) in operations.as_object().into_iter().flatten() {
                if o["tags"][0] != tag["name"] {
                    continue;
                }
                let path = escape(&Value::from(path.as_str()));
                let _ = write!(
                    out,
                    "<dt><code>{} {path}</code></dt><dd>{}",
                    method.to_uppercase(),
                    escape(&o["summary"])
                );
                if o["description"].is_string() {
                    let _ = write!(out, "<br><small>{}</small>", escape(&o["description"]));
                }
                for p in o["parameters"].as_array().into_iter().flatten() {
                    let _ = write!(
                        out,
                        "<br><code>{}</code> <small>{}</small>",
                        escape(&p["name"]),
                        escape(&p["description"])
                    );
                }
                out.push_str("</dd>");
            }
        }
        out.push_str("</dl>");
    }
    out.push_str(
        "<h2 id=\"deprecation\">Deprecation</h2><p>What will go says so in every answer for at least 12 months before: \
         <code>Deprecation</code> (RFC 9745), <code>Sunset</code> (RFC 8594) once its end is decided, and a \
         <code>Link</code> to what takes its place. Its operation above is marked deprecated.</p>",
    );
    out.push_str("<h2>Problems</h2><p>Errors are <code>application/problem+json</code> (RFC 9457).</p><dl>");
    for kind in Kind::ALL {
        let (slug, status, title) = (kind.slug(), kind.status().as_u16(), kind.title());
        let _ = write!(out, "<dt id=\"problem-{slug}\"><code>{status} {slug}</code></dt><dd>{title}.</dd>");
    }
    out.push_str("</dl></html>");
    out
}

fn escape(v: &Value) -> String {
    v.as_str().unwrap_or_default().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

pub fn describe() -> Value {
    doc::get("Catalog", "This API for readers", &[], "text/html")
}
