//! `POST /api/collections/{id}/statistics`: what lies in a polygon, in numbers.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response};
use serde_json::{Map, Value, json};
use tokio::sync::SemaphorePermit;

use super::{Asker, Target, about, as_text, borrowed, estimate, known, later, open, request, share};
use crate::edr::region::Region;
use crate::edr::shape::{Shape, of_geometry};
use crate::edr::{self, MAX_VALUES, Most, Plan};
use crate::opened::Opened;
use crate::problem::{Answer, Kind, Problem};
use crate::routes::query::Query;
use crate::routes::respond::Document;
use crate::routes::{App, doc};
use crate::search::geometry::Shape as Feature;

/// Values of the blocks that are decoded together.
const BLOCKS: u64 = 1 << 20;

pub const NAME: &str = "statistics";
/// Members that say where.
const WHERE: [&str; 2] = ["geometry", "bbox"];
/// Of values that are read there is no end but that of chunks and bytes. Parts of a region have
/// statistics of their own.
const MOST: Most = Most { values: u64::MAX, steps: 200_000, by_place: false };

pub async fn post(
    State(app): State<Arc<App>>,
    Path(target): Path<Target>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Response<Body>> {
    let opened = open(&app, &target).await?;
    let names = known(&opened, &[]);
    let address = Query::parse(text.as_deref(), &borrowed(&names))?;
    let example = r#"{"geometry": {"type": "Polygon", "coordinates": [[[-10,40],[10,40],[10,60],[-10,60],[-10,40]]]}, "parameter-name": ["sst"], "datetime": "2024-01-01/2024-02-01"}"#;
    let asked: Value = serde_json::from_slice(&body).map_err(|e| {
        Problem::bad_request(format!("the body is no JSON ({e}); expected such as {example}"))
    })?;
    let Value::Object(mut asked) = asked else {
        return Err(Problem::bad_request(format!("expected a JSON object such as {example}")));
    };
    // A polygon is where by itself.
    if asked.get("type").is_some_and(|t| t == "Polygon" || t == "MultiPolygon") {
        asked = Map::from_iter([("geometry".to_owned(), Value::Object(asked))]);
    }
    // A feature has its geometry, and may say the rest among its properties.
    if asked.get("type").is_some_and(|t| t == "Feature") {
        let properties = asked.remove("properties");
        asked.retain(|k, _| k == "geometry");
        if let Some(Value::Object(more)) = properties {
            let names = known(&opened, &[]);
            asked.extend(more.into_iter().filter(|(k, _)| names.contains(k)));
        }
    }
    region(&asked)?;
    let mut pairs = Vec::new();
    for (key, value) in asked.iter().filter(|(k, _)| !WHERE.contains(&k.as_str())) {
        let key = if matches!(key.as_str(), "variables" | "parameters") { "parameter-name" } else { key };
        pairs.extend(as_text(value).map(|v| (key.to_owned(), v)));
    }
    asked.retain(|k, _| WHERE.contains(&k.as_str()));
    let asked = Value::Object(asked);
    let query = address.and(Query::of(pairs, &borrowed(&names))?)?;
    if let Some(f) = query.given("f").filter(|f| !f.eq_ignore_ascii_case("json")) {
        return Err(Problem::parameter("f", f, "expected JSON, which is all that statistics are written as"));
    }
    let pairs: Vec<(String, String)> = query.pairs().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let (query, plan, turn) = planned(&app, &opened, &asked, pairs.clone(), Asker::Reader).await?;
    if let Some(document) = estimate(&query, &plan.cost, u64::MAX)? {
        return Ok(about(document, &app, &target, &opened, &headers).answer(&headers));
    }
    if later::is_preferred(&headers) {
        drop((plan, turn));
        return later::accept(&app, &target, &opened, NAME, pairs, Some(asked), &headers).await;
    }
    let body = summed(&app, &opened, plan, turn, Asker::Reader).await?;
    Ok(about(Document::json(&body)?, &app, &target, &opened, &headers).answer(&headers))
}

async fn planned<'a>(
    app: &'a App,
    opened: &Arc<Opened>,
    asked: &Value,
    pairs: Vec<(String, String)>,
    asker: Asker,
) -> Answer<(Query, Plan, Option<SemaphorePermit<'a>>)> {
    let nowhere = Map::new();
    let region = region(asked.as_object().unwrap_or(&nowhere))?;
    let names = known(opened, &[]);
    let query = Query::of(pairs, &borrowed(&names))?;
    let request = request(&query, &[], edr::Query::Region(region))?;
    let (plan, turn) = super::planned(app, opened, &request, asker).await?;
    if plan.listed() as u64 > MAX_VALUES {
        return Err(Problem::new(
            Kind::TooLarge,
            format!(
                "a region of more than {MAX_VALUES} cells, which on this grid are found one by one: ask for smaller regions"
            ),
        ));
    }
    Ok((query, plan.check(opened, MOST).await?, turn))
}

/// The answer: `asked` says where, `pairs` the rest.
pub async fn made(
    app: &App,
    opened: &Arc<Opened>,
    asked: &Value,
    pairs: Vec<(String, String)>,
    asker: Asker,
) -> Answer<Value> {
    let (_, plan, turn) = planned(app, opened, asked, pairs, asker).await?;
    summed(app, opened, plan, turn, asker).await
}

async fn summed(
    app: &App,
    opened: &Arc<Opened>,
    plan: Plan,
    turn: Option<SemaphorePermit<'_>>,
    asker: Asker,
) -> Answer<Value> {
    // The cells, their areas and weights, and the blocks being read.
    let held = (plan.cells() as u64).min(MAX_VALUES).saturating_mul(4).saturating_add(BLOCKS);
    let _share = share(app, held.min(plan.cost.values.saturating_mul(4)), 16, asker).await?;
    drop(turn);
    edr::statistics::of(opened, &plan).await
}

fn region(asked: &Map<String, Value>) -> Answer<Region> {
    let wrong =
        |name: &str, why: &str| Problem::bad_request(format!("{name}: {why}")).with("parameter", name);
    match (asked.get("geometry"), asked.get("bbox")) {
        (Some(_), Some(_)) => Err(wrong("bbox", "a geometry is there too; expected one of them")),
        (None, None) => Err(wrong(
            "geometry",
            "it is required: a GeoJSON Polygon or MultiPolygon, or else bbox: [w, s, e, n]",
        )),
        (Some(g), None) => {
            let shape = Feature::from_geojson(g).and_then(|f| of_geometry(f.geometry));
            match shape.map_err(|why| wrong("geometry", &why))? {
                Shape::Polygons(p) if p.iter().flatten().flatten().all(|(_, lat)| lat.abs() <= 90.0) => {
                    Ok(Region::Polygons(p))
                }
                Shape::Polygons(_) => {
                    Err(wrong("geometry", "a latitude is not within -90 and 90; longitude comes first"))
                }
                _ => Err(wrong("geometry", "expected a Polygon or a MultiPolygon")),
            }
        }
        (None, Some(b)) => {
            let numbers: Option<Vec<f64>> =
                b.as_array().and_then(|l| l.iter().map(|v| v.as_f64().filter(|v| v.is_finite())).collect());
            match numbers.as_deref() {
                Some(&[w, s, e, n])
                    if s <= n && s >= -90.0 && n <= 90.0 && w.abs() <= 540.0 && e.abs() <= 540.0 =>
                {
                    Ok(Region::of_box([w, s, e, n]))
                }
                _ => Err(wrong(
                    "bbox",
                    "expected [west, south, east, north] in degrees, with south at most north",
                )),
            }
        }
    }
}

pub fn describe() -> Value {
    json!({
        "tags": ["Data"],
        "summary": "Area-weighted mean, least, greatest, spread and count of a region's cells, step by step",
        "parameters": [doc::id()],
        "requestBody": {"required": true, "content": {"application/json": {"schema": {
            "type": "object",
            "properties": {
                "geometry": {"type": "object", "description": "GeoJSON Polygon or MultiPolygon"},
                "bbox": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
                "parameter-name": {"type": "array", "items": {"type": "string"}},
                "datetime": {"type": "string"},
                "z": {"type": "string"},
                "estimate": {"type": "boolean"},
            }, "additionalProperties": false, "patternProperties": {"^dim:": {"type": "string"}}},
            "example": {"bbox": [-10, 40, 10, 60]}}}},
        "responses": {
            "200": {"description": "Per parameter and step: mean, std, min, max, count of cells with a value, missing ones",
                "content": {"application/json": {"schema": {"type": "object",
                    "required": ["collection", "version", "parameters"]}}}},
            "default": {"$ref": "#/components/responses/Problem"}
        }
    })
}
