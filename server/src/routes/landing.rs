//! `/api`: where everything else is found, as a STAC and an OGC API landing page.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::query::Query;
use super::respond::{Document, JSON};
use super::{App, doc, map, stac};
use crate::problem::{Answer, Problem};

/// Only what is true of this server.
pub const CONFORMS_TO: &[&str] = &[
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0-rc.1/collection-search",
    "https://api.stacspec.org/v1.0.0-rc.1/collection-search#free-text",
    "https://api.stacspec.org/v1.0.0-rc.1/collection-search#filter",
    "https://api.stacspec.org/v1.0.0-rc.1/collection-search#sort",
    "https://api.stacspec.org/v1.0.0-rc.1/collection-search#fields",
    "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/simple-query",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/item-search#filter",
    "https://api.stacspec.org/v1.0.0/item-search#sort",
    "https://api.stacspec.org/v1.0.0/item-search#fields",
    "https://api.stacspec.org/v1.0.0/item-search#query",
    "https://api.stacspec.org/v1.0.0-rc.1/item-search#free-text",
    "https://api.stacspec.org/v1.0.0/ogcapi-features#sort",
    "https://api.stacspec.org/v1.0.0/ogcapi-features#fields",
    "https://api.stacspec.org/v1.0.0-rc.1/ogcapi-features#free-text",
    "https://api.stacspec.org/v0.3.0/aggregation",
    "https://api.stacspec.org/v0.3.0/aggregation#query",
    "https://api.stacspec.org/v0.3.0/aggregation#filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/features-filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-cql2",
    "http://www.opengis.net/spec/cql2/1.0/conf/advanced-comparison-operators",
    "http://www.opengis.net/spec/cql2/1.0/conf/case-insensitive-comparison",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-spatial-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-spatial-functions-plus",
    "http://www.opengis.net/spec/cql2/1.0/conf/spatial-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/temporal-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/property-property",
    "http://www.opengis.net/spec/cql2/1.0/conf/arithmetic",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/landing-page",
    "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/collections",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/tileset",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/tilesets-list",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/geodata-tilesets",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/png",
    "http://www.opengis.net/spec/tms/2.0/conf/tilematrixset",
    "http://www.opengis.net/spec/tms/2.0/conf/json-tilematrixset",
    "http://www.opengis.net/spec/ogcapi-maps-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-maps-1/1.0/conf/collection-map",
    "http://www.opengis.net/spec/ogcapi-maps-1/1.0/conf/png",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/core",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/collections",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/covjson",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/edr-geojson",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/queries",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/position",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/area",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/cube",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/radius",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/trajectory",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/locations",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/instances",
];

pub async fn get(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    Query::of_document(query.as_deref(), JSON)?;
    let base = app.base(&headers);
    let all = app.catalog.call_with(|c| c.collections()).await.map_err(Problem::internal)?;
    let mut links = vec![
        json!({"rel": "self", "type": "application/json", "href": format!("{base}/api")}),
        json!({"rel": "root", "type": "application/json", "href": format!("{base}/api")}),
        json!({"rel": "conformance", "type": "application/json", "href": format!("{base}/api/conformance")}),
        json!({"rel": "data", "type": "application/json", "href": format!("{base}/api/collections")}),
        json!({"rel": "service-desc", "type": "application/vnd.oai.openapi+json;version=3.1",
            "href": format!("{base}/api/openapi.json")}),
        json!({"rel": "search", "type": "application/geo+json", "method": "GET", "href": format!("{base}/api/search")}),
        json!({"rel": "search", "type": "application/geo+json", "method": "POST", "href": format!("{base}/api/search")}),
        json!({"rel": stac::QUERYABLES, "type": "application/schema+json", "href": format!("{base}/api/queryables")}),
        json!({"rel": "aggregate", "type": "application/json", "method": "GET", "href": format!("{base}/api/aggregate")}),
        json!({"rel": "aggregate", "type": "application/json", "method": "POST", "href": format!("{base}/api/aggregate")}),
        json!({"rel": "aggregations", "type": "application/json", "href": format!("{base}/api/aggregations")}),
        json!({"rel": map::TILING_SCHEMES, "type": "application/json", "href": format!("{base}/api/tileMatrixSets")}),
        json!({"rel": "alternate", "type": "text/xml", "title": "Web Map Service",
            "href": format!("{base}/api/wms?service=WMS&request=GetCapabilities")}),
        json!({"rel": "alternate", "type": "text/xml", "title": "Web Map Tile Service",
            "href": format!("{base}/api/wmts/1.0.0/WMTSCapabilities.xml")}),
        json!({"rel": "service-doc", "type": "text/html", "href": format!("{base}/api/docs")}),
    ];
    links.extend(all.iter().map(|c| {
        json!({"rel": "child", "type": "application/json", "title": c.title,
            "href": format!("{base}/api/collections/{}", c.id)})
    }));
    let body = json!({
        "type": "Catalog",
        "stac_version": "1.1.0",
        "id": "graticule",
        "title": "Graticule",
        "description": "Grids of the earth as versioned Zarr: catalog, stored chunks, and values at places.",
        "conformsTo": CONFORMS_TO,
        "links": links,
    });
    Ok(Document::json(&body)?.answer(&headers))
}

pub async fn conformance(RawQuery(query): RawQuery, headers: HeaderMap) -> Answer<Response<Body>> {
    Query::of_document(query.as_deref(), JSON)?;
    Ok(Document::json(&json!({"conformsTo": CONFORMS_TO}))?.answer(&headers))
}

pub fn describe() -> Value {
    doc::returning(
        doc::get("Catalog", "Landing page: STAC API and OGC API Common", &[], "application/json"),
        "Landing",
    )
}

pub fn describe_conformance() -> Value {
    doc::returning(
        doc::get("Catalog", "Conformance classes that hold here", &[], "application/json"),
        "Conformance",
    )
}
