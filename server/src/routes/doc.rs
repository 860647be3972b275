//! Building blocks of the OpenAPI document: each route describes itself beside its code.

use serde_json::{Value, json};

/// An operation that answers one GET with one media type.
pub fn get(tag: &str, summary: &str, parameters: &[Value], content_type: &str) -> Value {
    json!({
        "tags": [tag],
        "summary": summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "As asked for", "content": {content_type: {"schema": {"type": "object"}}}},
            "304": {"description": "Unchanged"},
            "default": {"$ref": "#/components/responses/Problem"}
        }
    })
}

pub fn path(name: &str, description: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "description": description, "schema": {"type": "string"}})
}

pub fn query(name: &str, description: &str, example: &str) -> Value {
    json!({"name": name, "in": "query", "description": description, "schema": {"type": "string"}, "example": example})
}

/// A whole number, as paging hands it out.
pub fn number(name: &str, description: &str) -> Value {
    json!({"name": name, "in": "query", "description": description, "schema": {"type": "integer", "minimum": 0,
        "maximum": i64::MAX}})
}

/// A text of a given form.
fn formed(name: &str, description: &str, example: &str, pattern: &str) -> Value {
    json!({"name": name, "in": "query", "description": description, "example": example,
        "schema": {"type": "string", "pattern": pattern}})
}

pub fn bbox() -> Value {
    formed(
        "bbox",
        "west,south,east,north in degrees; south at most north",
        "-30,-20,30,20",
        r"^-?\d+(\.\d+)?(,-?\d+(\.\d+)?){3}(,-?\d+(\.\d+)?,-?\d+(\.\d+)?)?$",
    )
}

pub fn datetime() -> Value {
    let instant = r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?";
    formed(
        "datetime",
        "An instant, a date, or an interval with .. for an open end, in the calendar of the collection",
        "2020-01-01T00:00:00Z/..",
        &format!(r"^({instant}|({instant}|\.\.)?/({instant}|\.\.)?)$"),
    )
}

/// `coords` of a position query.
pub fn coords() -> Value {
    let mut p = formed(
        "coords",
        "WKT POINT or MULTIPOINT, longitude before latitude",
        "POINT(4.9 52.4)",
        r"^(POINT|MULTIPOINT) ?\(.+\)$",
    );
    p["required"] = json!(true);
    p
}

/// Names to sort by.
pub fn sortby(names: &[&str], example: &str) -> Value {
    let one = format!("[+-]?({})", names.join("|"));
    let description = "Properties, separated by commas, each with - for a falling order";
    formed("sortby", description, example, &format!("^{one}(,{one}){{0,3}}$"))
}

/// Where a page begins; without an example, for it is nobody's to make up.
pub fn token() -> Value {
    json!({"name": "token", "in": "query", "description": "Where the page starts, from a \"next\" link; another is a 404",
        "schema": {"type": "string"}})
}

pub fn limit() -> Value {
    json!({"name": "limit", "in": "query", "description": "At most this many; more than the greatest is the greatest",
        "schema": {"type": "integer", "minimum": 1}})
}

pub fn id() -> Value {
    path("id", "Collection id")
}
