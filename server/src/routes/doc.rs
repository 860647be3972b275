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

pub fn limit() -> Value {
    json!({"name": "limit", "in": "query", "description": "At most this many; more than the greatest is the greatest",
        "schema": {"type": "integer", "minimum": 1}})
}

pub fn id() -> Value {
    path("id", "Collection id")
}
