//! Building blocks of the OpenAPI document: each route describes itself beside its code.

use serde_json::{Value, json};

/// An operation that answers one GET with one media type. What any operation may answer besides
/// (304, 400, 404, 429, …) is added for all of them by `openapi::document`.
pub fn get(tag: &str, summary: &str, parameters: &[Value], content_type: &str) -> Value {
    let schema = match content_type {
        t if t.contains("json") => json!({"type": "object"}),
        t if t.starts_with("text/") => json!({"type": "string"}),
        // Bytes have no schema (OpenAPI 3.1 section 4.8.14.3).
        _ => json!({}),
    };
    json!({
        "tags": [tag],
        "summary": summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "As asked for", "content": {content_type: {"schema": schema}}},
            "default": {"$ref": "#/components/responses/Problem"}
        }
    })
}

/// The operation, with what its JSON is like: the name of one of `schemas::all`.
pub fn returning(mut operation: Value, schema: &str) -> Value {
    let reference = json!({"$ref": format!("#/components/schemas/{schema}")});
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        if !status.starts_with('2') {
            continue;
        }
        for (media, content) in response["content"].as_object_mut().into_iter().flatten() {
            if media.contains("json") {
                content["schema"] = reference.clone();
            }
        }
    }
    operation
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

/// The side of a picture.
pub fn pixels(name: &str, description: &str, most: u32) -> Value {
    json!({"name": name, "in": "query", "description": description, "schema": {"type": "integer", "minimum": 1,
        "maximum": most}})
}

/// A text of a given form.
fn formed(name: &str, description: &str, example: &str, pattern: &str) -> Value {
    json!({"name": name, "in": "query", "description": description, "example": example,
        "schema": {"type": "string", "pattern": pattern}})
}

/// One of a few words.
pub fn choice(name: &str, description: &str, words: &[&str]) -> Value {
    json!({"name": name, "in": "query", "description": description, "schema": {"type": "string", "enum": words}})
}

/// A number as a pattern.
const NUMBER: &str = r"-?\d+(\.\d+)?";

pub fn bbox() -> Value {
    let n = NUMBER;
    formed(
        "bbox",
        "west,south,east,north in degrees, or with a height after each pair; south at most north, which no schema can say",
        "-30,-20,30,20",
        &format!(r"^{n}(,{n}){{3}}(,{n},{n})?$"),
    )
}

const DATE: &str = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])";
const CLOCK: &str = r"T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-](0\d|1[0-4]):[0-5]\d)";

fn interval(instant: &str) -> String {
    format!(r"^({instant}|{instant}/({instant}|\.\.)?|(\.\.)?/{instant})$")
}

pub fn datetime() -> Value {
    formed(
        "datetime",
        "An instant, a date, a month, a year, or an interval with .. for an open end, in the calendar of the collection; \
         an interval does not end before it begins",
        "2020-01-01T00:00:00Z/..",
        &interval(&format!(r"({DATE}({CLOCK})?|\d{{4}}(-(0[1-9]|1[0-2]))?)")),
    )
}

/// `datetime` where STAC wants all of RFC 3339.
pub fn instants() -> Value {
    formed(
        "datetime",
        "An instant of RFC 3339, or an interval with .. for an open end, which does not end before it begins",
        "2020-01-01T00:00:00Z/..",
        &interval(&format!("{DATE}{CLOCK}")),
    )
}

/// `coords` of a position query.
pub fn coords() -> Value {
    let lon = r"-?(180(\.0+)?|(1[0-7]\d|\d{1,2})(\.\d+)?)";
    let lat = r"-?(90(\.0+)?|[0-8]?\d(\.\d+)?)";
    let point = format!("{lon} {lat}");
    let mut p = formed(
        "coords",
        "WKT POINT or MULTIPOINT, longitude before latitude, inside of the grid",
        "POINT(4.9 52.4)",
        &format!(r"^(POINT ?\({point}\)|MULTIPOINT ?\(\({point}\)(, ?\({point}\)){{0,99}}\))$"),
    );
    p["required"] = json!(true);
    p
}

/// Names to sort by.
pub fn sortby(names: &[impl AsRef<str>], example: &str) -> Value {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
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
    id_as("id", "Collection id", "")
}

/// A collection's id, or `id@version` of a version that never changes.
pub fn reference(name: &str) -> Value {
    id_as(name, "Collection id (its latest version), or id@version (that version, for ever)", "(@[A-Z0-9]+)?")
}

fn id_as(name: &str, description: &str, more: &str) -> Value {
    let mut p = path(name, description);
    p["schema"]["pattern"] = json!(format!("^[A-Za-z0-9][A-Za-z0-9._-]{{0,62}}{more}$"));
    p
}
