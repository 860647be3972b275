//! A collection as one JSON object that is both a STAC Collection 1.1.0 (with the
//! datacube, version and render extensions) and an OGC API EDR collection; a
//! granule as a STAC Item.

use serde_json::{Map, Value, json};

use super::edr::{What, picture};
use super::{projection, provenance};
use crate::catalog::facts::{DimFacts, VariableFacts};
use crate::catalog::items::Item;
use crate::catalog::{Collection, Facts, discovery};
use crate::edr::formats::Format;
use crate::tables::TableFacts;
use crate::tables::facts::ColumnFacts;

pub const ZARR_TYPE: &str = "application/vnd.zarr; version=3";
pub const ZARR2_TYPE: &str = "application/vnd.zarr; version=2";
pub const CRS84: &str = "http://www.opengis.net/def/crs/OGC/1.3/CRS84";
const TABLE: &str = "https://stac-extensions.github.io/table/v1.2.0/schema.json";
pub const QUERYABLES: &str = "http://www.opengis.net/def/rel/ogc/1.0/queryables";
const STAC_VERSION: &str = "1.1.0";
const CUBE: &str = "https://stac-extensions.github.io/datacube/v2.2.0/schema.json";
const VERSION: &str = "https://stac-extensions.github.io/version/v1.2.0/schema.json";
const WEB_MAP: &str = "https://stac-extensions.github.io/web-map-links/v1.2.0/schema.json";
const RENDER: &str = "https://stac-extensions.github.io/render/v2.0.0/schema.json";

pub fn collection(c: &Collection, base: &str) -> Value {
    let f = &c.facts;
    if let Some(t) = &f.table {
        return table(c, t, base);
    }
    let here = format!("{base}/api/collections/{}", c.id);
    let bbox = f.bbox.unwrap_or([-180.0, -90.0, 180.0, 90.0]);
    let interval = f.time.as_ref().map_or(json!([null, null]), |t| json!([t.start, t.end]));
    let locatable: Vec<&VariableFacts> = f.variables.iter().filter(|v| v.locatable).collect();
    let mut extent = json!({
        "spatial": {"bbox": [bbox], "crs": CRS84},
        "temporal": {"interval": [interval], "values": times(f), "trs": trs(f)},
    });
    if let Some(z) = f.dims.values().find(|d| d.role == "z" && d.first.is_some()) {
        let end = |v: Option<f64>| v.map_or_else(String::new, |v| v.to_string());
        extent["vertical"] = json!({"interval": [[end(z.first), end(z.last)]], "values": strings(&z.values),
            "vrs": z.units.clone().unwrap_or_else(|| "unknown".to_owned())});
    }
    let mut out = json!({
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [CUBE, VERSION, RENDER, WEB_MAP],
        "id": c.id,
        "title": c.title,
        "description": c.description,
        "license": discovery::license(&f.attributes),
        "keywords": discovery::keywords(&f.attributes),
        "providers": discovery::providers(&f.attributes),
        "extent": extent,
        "version": c.version,
        "updated": c.updated,
        "summaries": {},
        "cube:dimensions": f.dims.iter().map(|(k, d)| (k.clone(), dimension(d, f))).collect::<Map<_, _>>(),
        "cube:variables": f.variables.iter().map(|v| (v.path.clone(), variable(v))).collect::<Map<_, _>>(),
        "item_assets": {"zarr": {"type": ZARR_TYPE, "roles": ["data"], "title": "The cube as of this item's version"}},
        "assets": {
            "zarr": {"href": format!("{base}/zarr/{}", c.id), "type": ZARR_TYPE, "roles": ["data"],
                "title": "Latest version, Zarr v3 with consolidated metadata"},
            "zarr-version": {"href": format!("{base}/zarr/{}@{}", c.id, c.version), "type": ZARR_TYPE,
                "roles": ["data"], "title": "This version, which never changes"},
            "zarr2": {"href": format!("{base}/zarr2/{}", c.id), "type": ZARR2_TYPE, "roles": ["data"],
                "title": "Latest version as Zarr v2, for older clients"},
        },
        "renders": locatable.iter().map(|v| (v.path.clone(), render(v))).collect::<Map<_, _>>(),
        "graticule:notes": f.notes,
        "graticule:attributes": f.attributes,
        "links": [
            link("self", &here, "application/json"),
            link("root", &format!("{base}/api"), "application/json"),
            link("parent", &format!("{base}/api"), "application/json"),
            link("items", &format!("{here}/items"), "application/geo+json"),
            link("version-history", &format!("{here}/versions"), "application/json"),
            link("data", &format!("{base}/zarr/{}", c.id), ZARR_TYPE),
            link(QUERYABLES, &format!("{here}/queryables"), "application/schema+json"),
        ],
    });
    if let Some(Value::Array(links)) = out.get_mut("links") {
        links.extend(counts(&here));
    }
    if let Some(view) = &f.view {
        provenance::add_view(&mut out, view, base);
    }
    let members = projection::members(f);
    for asset in ["zarr", "zarr-version"] {
        if let Some(Value::Object(asset)) = out["assets"].get_mut(asset) {
            asset.extend(members.clone());
        }
    }
    if let Some(o) = out.as_object_mut() {
        o.retain(|_, v| !v.is_null());
        // The render extension demands at least one.
        if locatable.is_empty() {
            o.shift_remove("renders");
        }
        let mut extensions = vec![CUBE, VERSION];
        extensions.extend((!locatable.is_empty()).then_some(RENDER));
        extensions.extend(f.view.as_ref().map(|_| provenance::PROCESSING));
        extensions.extend((!members.is_empty()).then_some(projection::EXTENSION));
        o.insert("stac_extensions".into(), json!(extensions));
        if locatable.iter().any(|v| v.pictured)
            && let Some(Value::Object(assets)) = o.get_mut("assets")
        {
            let href = format!("{here}/preview.png");
            assets.insert(
                "thumbnail".into(),
                json!({"href": href, "type": "image/png", "roles": ["thumbnail"], "title": "A small picture"}),
            );
        }
        if !locatable.is_empty()
            && let Some(Value::Array(links)) = o.get_mut("links")
        {
            let variables: Vec<&str> = locatable.iter().map(|v| v.path.as_str()).collect();
            links.extend(super::map::links(&c.id, base, &variables));
        }
        edr(o, f, &locatable, &here);
    }
    out
}

/// Where items are counted and browsed.
fn counts(here: &str) -> Vec<Value> {
    let to = |rel: &str, path: &str| link(rel, &format!("{here}/{path}"), "application/json");
    let with = |method: &str| {
        let mut link = to("aggregate", "aggregate");
        link["method"] = json!(method);
        link
    };
    // Not `child`: who walks the catalog would walk every day and region of it.
    let mut browse = to("contents", "browse");
    browse["title"] = json!("Items by year, month, day and region");
    vec![with("GET"), with("POST"), to("aggregations", "aggregations"), browse]
}

/// A tabular collection: the table extension, and where its rows are.
fn table(c: &Collection, t: &TableFacts, base: &str) -> Value {
    let f = &c.facts;
    let here = format!("{base}/api/collections/{}", c.id);
    let rows = format!("{base}/api/tables/{}", c.id);
    let bbox = f.bbox.unwrap_or([-180.0, -90.0, 180.0, 90.0]);
    let interval = f.time.as_ref().map_or(json!([null, null]), |t| json!([t.start, t.end]));
    let mut out = json!({
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [TABLE, VERSION],
        "id": c.id,
        "title": c.title,
        "description": c.description,
        "license": discovery::license(&f.attributes),
        "keywords": discovery::keywords(&f.attributes),
        "extent": {
            "spatial": {"bbox": [bbox], "crs": CRS84},
            "temporal": {"interval": [interval], "values": times(f), "trs": trs(f)},
        },
        "version": c.version,
        "updated": c.updated,
        "summaries": {},
        "table:columns": t.columns.iter().map(table_column).collect::<Vec<_>>(),
        "table:row_count": t.rows,
        "graticule:kind": "table",
        "graticule:format": t.format,
        "graticule:key": t.key,
        "assets": {
            "csv": {"href": format!("{rows}?f=csv"), "type": "text/csv", "roles": ["data"],
                "title": "All rows of the latest version"},
            "csv-version": {"href": format!("{rows}@{}?f=csv", c.version), "type": "text/csv", "roles": ["data"],
                "title": "All rows of this version, which never changes"},
            "json": {"href": rows, "type": "application/json", "roles": ["data"], "title": "Rows, a page at a time"},
        },
        "graticule:notes": f.notes,
        "links": [
            link("self", &here, "application/json"),
            link("root", &format!("{base}/api"), "application/json"),
            link("parent", &format!("{base}/api"), "application/json"),
            link("items", &format!("{here}/items"), "application/geo+json"),
            link("version-history", &format!("{here}/versions"), "application/json"),
            link("data", &rows, "application/json"),
        ],
        // EDR: of a table no position is asked.
        "data_queries": {},
        "crs": ["CRS84"],
        "output_formats": [],
        "parameter_names": {},
    });
    if let Some(Value::Array(links)) = out.get_mut("links") {
        links.extend(counts(&here));
    }
    out
}

/// A column of the STAC table extension.
pub fn table_column(c: &ColumnFacts) -> Value {
    let mut out = json!({"name": c.name, "type": c.kind});
    for (key, value) in [("description", &c.description), ("unit", &c.units), ("graticule:role", &c.role)] {
        if let Some(v) = value {
            out[key] = json!(v);
        }
    }
    out
}

/// A collection as OGC API EDR alone has it (19-086r6, annex C): STAC's members are none of its own.
pub fn edr_collection(c: &Collection, base: &str) -> Value {
    edr_only(c, base, &c.id, &format!("{base}/api/collections/{}", c.id), true)
}

/// A version as an EDR instance: what it covers and what can be asked of it.
pub fn instance(c: &Collection, base: &str) -> Value {
    let here = format!("{base}/api/collections/{}/instances/{}", c.id, c.version);
    edr_only(c, base, &c.version, &here, false)
}

fn edr_only(c: &Collection, base: &str, id: &str, here: &str, whole: bool) -> Value {
    let mut out = collection(c, base);
    let locatable: Vec<&VariableFacts> = c.facts.variables.iter().filter(|v| v.locatable).collect();
    if let Some(o) = out.as_object_mut() {
        o.retain(|k, _| ["title", "description", "keywords", "extent"].contains(&k.as_str()));
        o.shift_insert(0, "id".into(), json!(id));
        let zarr = if whole { c.id.clone() } else { format!("{}@{}", c.id, c.version) };
        let links = json!([
            link("self", here, "application/json"),
            link("collection", &format!("{base}/api/collections/{}", c.id), "application/json"),
            link("data", &format!("{base}/zarr/{zarr}"), ZARR_TYPE),
        ]);
        o.insert("links".into(), links);
        edr(o, &c.facts, &locatable, here);
        let Some(queries) = o.get_mut("data_queries").and_then(Value::as_object_mut) else { return out };
        queries.retain(|k, _| whole || !["instances", "locations"].contains(&k.as_str()));
        if let Some(Value::Array(links)) = o.get_mut("links") {
            links.truncate(3);
        }
        // What has no time has no temporal extent.
        if c.facts.time.is_none()
            && let Some(extent) = o.get_mut("extent").and_then(Value::as_object_mut)
        {
            extent.shift_remove("temporal");
        }
    }
    out
}

/// The EDR members; a collection of which no position can be asked has none.
fn edr(out: &mut Map<String, Value>, f: &Facts, locatable: &[&VariableFacts], here: &str) {
    let formats = if locatable.is_empty() { json!([]) } else { json!(Format::ALL.map(Format::name)) };
    let crs_details = json!([{"crs": "CRS84", "wkt": CRS84_WKT}]);
    let mut queries = Map::new();
    let mut heights: Vec<&str> =
        f.dims.values().filter(|d| d.role == "z").filter_map(|d| d.units.as_deref()).collect();
    heights.dedup();
    if !locatable.is_empty() {
        let mut add = |name: &str, title: &str, href: String, more: Value| {
            let mut formats = formats.clone();
            if What::ALL.iter().any(|w| w.name() == name && w.is_region())
                && let Some(formats) = formats.as_array_mut()
            {
                formats.push(json!(picture::NAME));
            }
            let mut variables = json!({"title": title, "query_type": name, "output_formats": formats,
                "default_output_format": "CoverageJSON", "crs_details": crs_details});
            if let (Some(v), Value::Object(more)) = (variables.as_object_mut(), more) {
                v.extend(more);
            }
            let link = json!({"href": href, "rel": "data", "type": "application/vnd.cov+json", "variables": variables});
            queries.insert(name.to_owned(), json!({"link": link}));
        };
        for (what, title) in [
            (What::Position, "Values at places"),
            (What::Area, "Values in a polygon"),
            (What::Cube, "Values in a box"),
            (What::Radius, "Values within a distance"),
            (What::Trajectory, "Values along a path"),
        ] {
            let more = match what {
                What::Radius => json!({"within_units": ["km", "m", "mi", "nmi"]}),
                What::Cube => json!({"height_units": heights}),
                _ => json!({}),
            };
            add(what.name(), title, format!("{here}/{}", what.name()), more);
        }
        add("locations", "Places by name", format!("{here}/locations"), json!({}));
        add("instances", "Versions", format!("{here}/instances"), json!({}));
        if let Some(Value::Array(links)) = out.get_mut("links") {
            let href = format!("{here}/position?coords=POINT(0%200)");
            links.push(json!({"rel": "data", "href": href, "type": "application/vnd.cov+json", "title": "Values at a place"}));
        }
    }
    out.insert("data_queries".into(), queries.into());
    out.insert("crs".into(), json!(["CRS84"]));
    out.insert("output_formats".into(), formats);
    let parameters: Map<String, Value> = locatable
        .iter()
        .map(|v| {
            let mut p = parameter(v);
            p["dimensions"] =
                json!(v.dims.iter().filter_map(|k| f.dims.get(k)).map(|d| &d.name).collect::<Vec<_>>());
            (v.path.clone(), p)
        })
        .collect();
    out.insert("parameter_names".into(), parameters.into());
}

const CRS84_WKT: &str = "GEOGCRS[\"WGS 84 (CRS84)\",DATUM[\"World Geodetic System 1984\",ELLIPSOID[\"WGS 84\",\
    6378137,298.257223563,LENGTHUNIT[\"metre\",1]]],PRIMEM[\"Greenwich\",0],CS[ellipsoidal,2],\
    AXIS[\"longitude\",east,ORDER[1]],AXIS[\"latitude\",north,ORDER[2]],ANGLEUNIT[\"degree\",0.0174532925199433],\
    ID[\"OGC\",\"CRS84\"]]";

/// An EDR parameter.
fn parameter(v: &VariableFacts) -> Value {
    let mut observed = json!({"label": v.label});
    if let Some(id) = v.standard_name.as_deref().and_then(crate::edr::property) {
        observed["id"] = json!(id);
    }
    let mut p =
        json!({"type": "Parameter", "label": v.label, "description": v.label, "observedProperty": observed});
    if let Some(u) = v.units.as_ref().filter(|u| !u.trim().is_empty()) {
        p["unit"] = json!({"label": u, "symbol": u});
    }
    if !v.flags.is_empty() {
        // CoverageJSON section 3.2: a categorical parameter has categories and no unit.
        let category = |i: usize| format!("#{}-{i}", v.path);
        let categories = v.flags.iter().enumerate();
        p["observedProperty"]["categories"] = categories
            .clone()
            .map(|(i, (_, meaning))| json!({"id": category(i), "label": meaning.replace('_', " ")}))
            .collect();
        p["categoryEncoding"] = categories
            .map(|(i, (value, _))| (category(i), json!(*value as i64)))
            .collect::<Map<_, _>>()
            .into();
        if let Some(o) = p.as_object_mut() {
            o.remove("unit");
        }
    }
    p
}

fn dimension(d: &DimFacts, f: &Facts) -> Value {
    let ends = match (d.first, d.last) {
        (Some(a), Some(b)) => json!([a.min(b), a.max(b)]),
        _ => json!([0, d.len.saturating_sub(1)]),
    };
    let mut out = match d.role.as_str() {
        "x" | "y" if d.geographic => {
            json!({"type": "spatial", "axis": d.role, "extent": ends, "reference_system": 4326, "step": d.step})
        }
        "z" => json!({"type": "spatial", "axis": "z", "extent": ends, "step": d.step}),
        "t" if d.calendar.is_some() => {
            let interval = f.time.as_ref().map_or(json!([null, null]), |t| json!([t.start, t.end]));
            json!({"type": "temporal", "extent": interval})
        }
        _ => json!({"type": "other", "extent": ends}),
    };
    if d.role != "x" && d.role != "y" && !d.values.is_empty() {
        out["values"] = json!(d.values);
    }
    if d.role != "t"
        && let Some(u) = &d.units
    {
        out["unit"] = json!(u);
    }
    if let Some(t) = &d.description {
        out["description"] = json!(t);
    }
    if let Some(c) = &d.calendar {
        out["graticule:calendar"] = json!(c);
    }
    out["graticule:size"] = json!(d.len);
    if let Some(o) = out.as_object_mut() {
        // `step: null` would say that the values are irregular, which a list says better.
        o.retain(|k, v| k != "step" || !v.is_null());
    }
    out
}

fn variable(v: &VariableFacts) -> Value {
    let mut out = json!({"type": "data", "dimensions": v.dims, "description": v.label, "data_type": v.dtype,
        "shape": v.shape, "graticule:levels": v.levels});
    if let Some(u) = &v.units {
        out["unit"] = json!(u);
    }
    if let Some(s) = &v.standard_name {
        out["cf:standard_name"] = json!(s);
    }
    out
}

fn render(v: &VariableFacts) -> Value {
    let mut out = json!({"title": v.label, "assets": ["zarr"]});
    if let Some((low, high)) = v.valid_range {
        out["rescale"] = json!([[low, high]]);
    }
    out
}

pub fn item(i: &Item, c: &Collection, base: &str) -> Value {
    let here = format!("{base}/api/collections/{}", c.id);
    let bbox = i.bbox.unwrap_or([-180.0, -90.0, 180.0, 90.0]);
    let mut properties = json!({
        "datetime": null,
        "created": i.published,
        "updated": i.published,
        "version": i.version,
        "graticule:bytes": i.bytes,
        "graticule:checksum": format!("sha256:{}", i.checksum),
    });
    for (key, name) in [("notes", "graticule:notes"), ("quality", "graticule:quality")] {
        if let Some(list) = i.record[key].as_array().filter(|l| !l.is_empty()) {
            properties[name] = json!(list);
        }
    }
    if let Some((first, count)) = i.steps {
        properties["graticule:steps"] = json!([first, count]);
    }
    if i.superseded_by.is_some() {
        properties["deprecated"] = json!(true);
    }
    match (&i.start_time, &i.end_time) {
        (Some(a), Some(b)) if a == b => properties["datetime"] = json!(a),
        (Some(a), Some(b)) => {
            properties["start_datetime"] = json!(a);
            properties["end_datetime"] = json!(b);
        }
        // A grid without a time axis: STAC wants an instant all the same.
        _ => properties["datetime"] = json!(i.published),
    }
    let granule = provenance::granule(i);
    if let Some(p) = properties.as_object_mut() {
        p.extend(provenance::properties(i, &granule, c));
        p.extend(projection::members(&c.facts));
    }
    let mut extensions = vec![VERSION, provenance::PROCESSING, provenance::FILE];
    extensions.extend(c.facts.projection.as_ref().map(|_| projection::EXTENSION));
    let named = |rel: &str| {
        let mut up = link(rel, &here, "application/json");
        up["title"] = json!(c.title);
        up
    };
    let mut links = vec![
        link("self", &format!("{here}/items/{}", path_segment(&i.name)), "application/geo+json"),
        link("root", &format!("{base}/api"), "application/json"),
        named("parent"),
        named("collection"),
    ];
    if let Some(next) = &i.superseded_by {
        let next = format!("{here}/items/{}", path_segment(next));
        links.push(link("successor-version", &next, "application/geo+json"));
    }
    links.extend(provenance::links(i, &granule, base));
    json!({
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": extensions,
        "id": i.name,
        "collection": c.id,
        "bbox": bbox,
        "geometry": geometry(bbox),
        "properties": properties,
        "assets": match &c.facts.table {
            None => json!({"zarr": {"href": format!("{base}/zarr/{}@{}", c.id, i.version), "type": ZARR_TYPE,
                "roles": ["data"], "title": "The cube as of this item's version"}}),
            Some(_) => json!({"csv": {"href": format!("{base}/api/tables/{}@{}?f=csv", c.id, i.version),
                "type": "text/csv", "roles": ["data"], "title": "The table as of this item's version"}}),
        },
        "links": links,
    })
}

/// A name as one segment of a URL.
pub fn path_segment(name: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEEP: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(name, KEEP).to_string()
}

/// With a title where the relation says what is there; whoever knows more sets another.
pub fn link(rel: &str, href: &str, media_type: &str) -> Value {
    let mut out = json!({"rel": rel, "href": href, "type": media_type});
    let title = match rel {
        "root" => "Graticule",
        "conformance" => "What is conformed to",
        "service-desc" => "OpenAPI description",
        "service-doc" => "API documentation",
        "search" => "Search for items",
        "items" => "Items",
        "version-history" => "Versions",
        "aggregate" => "Counts and ranges of items",
        "aggregations" => "Which counts and ranges there are",
        QUERYABLES => "Queryable properties",
        _ => return out,
    };
    out["title"] = json!(title);
    out
}

/// RFC 7946 section 3.1.9: a box across the antimeridian is two polygons.
fn geometry([west, south, east, north]: [f64; 4]) -> Value {
    let ring = |w: f64, e: f64| json!([[[w, south], [e, south], [e, north], [w, north], [w, south]]]);
    if west > east {
        json!({"type": "MultiPolygon", "coordinates": [ring(west, 180.0), ring(-180.0, east)]})
    } else {
        json!({"type": "Polygon", "coordinates": ring(west, east)})
    }
}

fn trs(f: &Facts) -> String {
    let calendar = f.time.as_ref().map_or("standard", |t| t.calendar.as_str());
    match calendar {
        "standard" | "proleptic_gregorian" => {
            "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian".to_owned()
        }
        other => other.to_owned(),
    }
}

/// Every step where they are few, the interval where not.
fn times(f: &Facts) -> Vec<String> {
    let listed = f.dims.values().find(|d| d.role == "t" && d.calendar.is_some() && !d.values.is_empty());
    match (listed, &f.time) {
        (Some(d), _) => d.values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        (None, Some(t)) => vec![format!("{}/{}", t.start, t.end)],
        (None, None) => Vec::new(),
    }
}

fn strings(values: &[Value]) -> Vec<String> {
    values.iter().map(Value::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_across_the_antimeridian_is_two_polygons() {
        assert_eq!(geometry([170.0, -1.0, -170.0, 1.0])["type"], "MultiPolygon");
        assert_eq!(geometry([-1.0, -1.0, 1.0, 1.0])["type"], "Polygon");
    }
}
