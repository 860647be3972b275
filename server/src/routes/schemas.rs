//! What documents are like, for the OpenAPI document: what a client may rely on, not every member.

use serde_json::{Map, Value, json};

fn list(of: Value) -> Value {
    json!({"type": "array", "items": of})
}

/// A schema of [`all`].
pub fn of(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// An object of these members, of which those whose names end in `?` may be absent.
fn object(members: Value) -> Value {
    let mut required = Vec::new();
    let mut properties = Map::new();
    for (name, schema) in members.as_object().cloned().unwrap_or_default() {
        let plain = name.trim_end_matches('?');
        if plain == name {
            required.push(plain.to_owned());
        }
        properties.insert(plain.to_owned(), schema);
    }
    json!({"type": "object", "required": required, "properties": properties})
}

/// By name, below `#/components/schemas`.
pub fn all() -> Map<String, Value> {
    let text = json!({"type": "string"});
    let uri = json!({"type": "string", "format": "uri-reference"});
    let time = json!({"type": "string", "format": "date-time"});
    let number = json!({"type": "number"});
    let count = json!({"type": "integer", "minimum": 0});
    let anything = json!({"type": "object"});
    let links = list(of("Link"));
    let bbox = json!({"type": "array", "items": number, "minItems": 4, "maxItems": 6});
    let counted = |name: &str, each: Value| {
        object(json!({name: list(each), "numberMatched?": count, "numberReturned?": count, "links": links}))
    };
    let collection = json!({
        "type": {"const": "Collection"}, "stac_version": text, "stac_extensions?": list(text.clone()),
        "id": text, "title?": text, "description": text, "license": text, "keywords?": list(text.clone()),
        "extent": object(json!({
            "spatial": object(json!({"bbox": list(bbox.clone()), "crs?": text})),
            "temporal": object(json!({"interval": list(json!({"type": "array", "minItems": 2, "maxItems": 2})), "trs?": text}))})),
        "version?": text, "updated?": time, "assets?": {"type": "object", "additionalProperties": of("Asset")},
        "links": links, "data_queries?": anything, "crs?": list(text.clone()),
        "output_formats?": list(text.clone()), "parameter_names?": anything, "cube:dimensions?": anything,
        "cube:variables?": anything, "table:columns?": list(of("Column")), "graticule:status?": anything});
    let item = json!({
        "type": {"const": "Feature"}, "stac_version": text, "id": text, "collection": text,
        "bbox": bbox, "geometry": of("Geometry"), "properties": anything,
        "assets": {"type": "object", "additionalProperties": of("Asset")}, "links": links});
    // `fields` leaves members out.
    let some_of = |members: &Value| {
        let mut schema = object(members.clone());
        if let Some(o) = schema.as_object_mut() {
            o.remove("required");
        }
        schema
    };
    let coverage = json!({"type": {"enum": ["Coverage", "CoverageCollection"]},
        "parameters?": {"type": "object"}, "domain?": anything, "ranges?": anything,
        "coverages?": list(anything.clone())});
    let schemas = [
        (
            "Problem",
            object(json!({
            "type": uri, "title": text, "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": text, "instance?": uri,
            "parameter?": {"type": "string", "description": "The parameter whose value is refused"},
            "requirement?": {"type": "string", "format": "uri",
                "description": "The OGC requirement that the refusal follows from"}})),
        ),
        (
            "Link",
            object(
                json!({"rel": text, "href": {"type": "string", "description": "A template where templated is true"}, "templated?": {"type": "boolean"}, "type?": text, "title?": text,
            "method?": {"enum": ["GET", "POST"]}, "body?": anything, "merge?": {"type": "boolean"}}),
            ),
        ),
        ("Asset", object(json!({"href": uri, "type?": text, "roles?": list(text.clone()), "title?": text}))),
        (
            "Landing",
            object(json!({"type": {"const": "Catalog"}, "stac_version": text, "id": text, "title?": text,
            "description": text, "conformsTo": list(text.clone()), "links": links})),
        ),
        ("Conformance", object(json!({"conformsTo": list(json!({"type": "string", "format": "uri"}))}))),
        ("OpenApi", object(json!({"openapi": text, "info": anything, "paths": anything}))),
        ("Collection", object(collection.clone())),
        ("Collections", counted("collections", some_of(&collection))),
        ("Item", object(item.clone())),
        ("Items", {
            let mut items = counted("features", some_of(&item));
            items["properties"]["type"] = json!({"const": "FeatureCollection"});
            items
        }),
        (
            "Geometry",
            json!({"oneOf": [
            object(json!({"type": {"enum": ["Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon"]},
                "coordinates": {"type": "array", "minItems": 1}})),
            object(json!({"type": {"const": "GeometryCollection"}, "geometries": {"type": "array", "minItems": 1, "items": anything}}))]}),
        ),
        (
            "Queryables",
            object(
                json!({"$schema": text, "$id": text, "type": {"const": "object"}, "properties": anything}),
            ),
        ),
        (
            "Version",
            object(json!({"id": text, "time": time, "message": text, "latest": {"type": "boolean"},
            "rows?": count, "changes": object(json!({"kind": text})), "items": list(text.clone()),
            "notes": list(text.clone()), "links": links})),
        ),
        ("Versions", object(json!({"collection": text, "versions": list(of("Version")), "links": links}))),
        ("Coverage", object(coverage)),
        (
            "Column",
            object(
                json!({"name": text, "type": text, "unit?": text, "description?": text, "graticule:role?": text}),
            ),
        ),
        (
            "Tables",
            object(json!({"tables": list(object(json!({"id": text, "title": text, "version": text,
            "updated": time, "rows": count, "columns": list(text.clone()), "links": links}))), "links": links})),
        ),
        (
            "Rows",
            object(
                json!({"collection": text, "version": text, "numberMatched": count, "numberReturned": count,
            "columns": list(of("Column")), "rows": list(anything.clone()), "links": links}),
            ),
        ),
        (
            "Run",
            object(json!({"id": text, "collection": text,
            "state": {"enum": ["queued", "running", "succeeded", "failed", "cancelled"]},
            "created": time, "finished?": time, "counts": {"type": "object", "additionalProperties": count}})),
        ),
        ("Runs", object(json!({"runs": list(of("Run")), "links": links}))),
        (
            "Granules",
            object(json!({"granules": list(object(json!({"id": count, "input": text,
            "state": {"enum": ["queued", "running", "published", "unchanged", "failed", "cancelled"]},
            "attempts": count, "started?": time, "finished?": time, "seconds?": number, "version?": text,
            "failure?": {}, "notes?": list(text.clone())}))), "links": links})),
        ),
        (
            "Recipes",
            object(json!({"recipes": list(object(json!({"id": text, "error?": text}))), "links": links})),
        ),
        (
            "Rules",
            object(
                json!({"rules": list(object(json!({"recipe": text, "collection": {"type": ["string", "null"]}}))),
            "links": links}),
            ),
        ),
        ("Alive", object(json!({"status": {"const": "ok"}, "version": text}))),
        ("Ready", object(json!({"status": {"const": "ready"}, "collections": count}))),
        (
            "ZarrNode",
            object(json!({"zarr_format?": {"enum": [2, 3]}, "node_type?": {"enum": ["group", "array"]}})),
        ),
    ];
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}
