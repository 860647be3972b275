//! The queries as OpenAPI operations.

use serde_json::{Value, json};

use super::{What, picture};
use crate::edr::formats::Format;
use crate::routes::doc;

/// Parameters of every query.
pub fn common() -> Vec<Value> {
    vec![
        doc::datetime(),
        doc::query(
            "z",
            "A level, a list a,b, an interval low/high, Rn/start/step, or nearest::850; all when absent",
            "850",
        ),
        doc::query("parameter-name", "Variables, separated by commas; all when absent", "sst"),
        doc::choice("crs", "CRS84 alone", &["CRS84", "OGC:CRS84", crate::routes::stac::CRS84]),
        doc::choice("f", "How values are written; else by Accept", &Format::ALL.map(Format::name)),
        json!({"name": "estimate", "in": "query", "description": "true: only what the answer would cost",
            "schema": {"type": "boolean"}}),
    ]
}

fn parameters(what: What) -> Vec<Value> {
    let required = |name: &str, description: &str, example: &str| {
        let mut p = doc::query(name, description, example);
        p["required"] = json!(true);
        p
    };
    let mut out = vec![doc::id()];
    match what {
        What::Position => out.extend([
            doc::coords(),
            doc::choice(
                "method",
                "The cell the point lies in, or between four centres",
                &["nearest", "bilinear"],
            ),
        ]),
        What::Area => out.push(required("coords", "WKT POLYGON or MULTIPOLYGON, or GeoJSON", what.example())),
        What::Trajectory => out.push(required(
            "coords",
            "WKT LINESTRING, with Z levels and M seconds since 1970 where the path has them, or GeoJSON",
            what.example(),
        )),
        What::Cube => {
            let mut bbox = doc::bbox();
            bbox["required"] = json!(true);
            out.push(bbox);
        }
        What::Radius => out.extend([
            required("coords", "WKT POINT or MULTIPOINT", what.example()),
            required("within", "Distance", "100"),
            doc::choice("within-units", "Unit of the distance; km when absent", &["km", "m", "mi", "nmi"]),
            doc::bbox(),
        ]),
    }
    out.extend(common());
    if what.is_region() {
        picture::describe(&mut out);
    }
    out
}

/// An operation that answers with data in any of the formats.
pub fn data(summary: &str, parameters: &[Value]) -> Value {
    let mut operation = doc::get("Data", summary, parameters, "application/vnd.cov+json");
    operation = doc::returning(operation, "Coverage");
    operation["responses"]["406"] = json!({"$ref": "#/components/responses/Problem"});
    for format in Format::ALL.into_iter().filter(|f| *f != Format::CoverageJson) {
        let media_type = format.media_type().split(';').next().unwrap_or_default();
        let schema = match format {
            Format::GeoJson => json!({"type": "object", "required": ["type", "features"]}),
            Format::Csv => json!({"type": "string"}),
            // Bytes have no schema (OpenAPI 3.1 section 4.8.14.3).
            _ => json!({}),
        };
        operation["responses"]["200"]["content"][media_type] = json!({"schema": schema});
    }
    // What an estimate is.
    operation["responses"]["200"]["content"]["application/json"] = json!({"schema": {"type": "object"}});
    operation["responses"]["413"] = json!({"$ref": "#/components/responses/Problem"});
    operation["description"] = Value::from(
        "The stored values, decoded in float64; no data is null. A dimension that is neither place, level nor time is \
         chosen by its name, as in `month=7` or `dim:month=nearest::7` (exact, nearest, ffill, bfill). HEAD and \
         `estimate=true` say what it would cost; more than is answered at once is a 413 whose `split` lists intervals \
         that each work.",
    );
    operation
}

fn get(what: What) -> Value {
    let summary = match what {
        What::Position => "Values at places, through all selected times and levels",
        What::Area => "Values of the cells in a polygon",
        What::Cube => "Values of the cells in a box",
        What::Radius => "Values of the cells within a distance",
        What::Trajectory => "Values along a path",
    };
    let mut operation = data(summary, &parameters(what));
    if what.is_region() {
        operation["responses"]["200"]["content"]["image/png"] = json!({"schema": {}});
    }
    operation
}

fn post(what: What) -> Value {
    let mut operation = get(what);
    let mut properties = serde_json::Map::new();
    let (mut required, mut example) = (Vec::new(), serde_json::Map::new());
    for p in parameters(what).into_iter().filter(|p| p["in"] == "query") {
        let name = p["name"].as_str().unwrap_or_default().to_owned();
        if p["required"] == true {
            required.push(name.clone());
            example.insert(name.clone(), p["example"].clone());
        }
        properties.insert(name, p["schema"].clone());
    }
    let schema = json!({"type": "object", "required": required, "properties": properties,
        "patternProperties": {"^dim:": {"type": "string"}}, "additionalProperties": false});
    operation["parameters"] = json!([doc::id()]);
    operation["requestBody"] = json!({"required": true, "content": {
        "application/json": {"schema": schema, "example": example},
        "application/x-www-form-urlencoded": {"schema": schema},
    }});
    operation
}

type Describe = fn() -> Value;

/// Descriptions of a query by GET and by POST.
pub fn of(what: What) -> (Describe, Describe) {
    match what {
        What::Position => (|| get(What::Position), || post(What::Position)),
        What::Area => (|| get(What::Area), || post(What::Area)),
        What::Cube => (|| get(What::Cube), || post(What::Cube)),
        What::Radius => (|| get(What::Radius), || post(What::Radius)),
        What::Trajectory => (|| get(What::Trajectory), || post(What::Trajectory)),
    }
}

/// The same of a version.
pub fn of_instance(what: What) -> (Describe, Describe) {
    fn with_version(mut operation: Value) -> Value {
        if let Some(list) = operation["parameters"].as_array_mut() {
            list.insert(1, doc::path("version", "Version id"));
        }
        operation
    }
    match what {
        What::Position => (|| with_version(get(What::Position)), || with_version(post(What::Position))),
        What::Area => (|| with_version(get(What::Area)), || with_version(post(What::Area))),
        What::Cube => (|| with_version(get(What::Cube)), || with_version(post(What::Cube))),
        What::Radius => (|| with_version(get(What::Radius)), || with_version(post(What::Radius))),
        What::Trajectory => (|| with_version(get(What::Trajectory)), || with_version(post(What::Trajectory))),
    }
}
