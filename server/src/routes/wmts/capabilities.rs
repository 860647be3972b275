//! GetCapabilities (OGC 07-057r7 section 7.1).

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use graticule_shared::colormap;
use graticule_shared::tiles::{SETS, TILE_PX, TileMatrixSet};

use super::super::App;
use super::super::ows::layers::{Layer, list};
use super::super::ows::{self, xml::Xml};
use super::super::respond::Document;
use super::super::stac::path_segment;
use crate::pictures::Format;
use crate::problem::Answer;

pub async fn get(app: &App, only: Option<&str>, headers: &HeaderMap) -> Answer<Response<Body>> {
    let groups = list(app, only).await?;
    let base = app.base(headers);
    let here = match only {
        Some(id) => format!("{base}/api/collections/{id}/wmts"),
        None => format!("{base}/api/wmts"),
    };
    let mut x = Xml::new();
    let attributes = [
        ("xmlns", "http://www.opengis.net/wmts/1.0"),
        ("xmlns:ows", "http://www.opengis.net/ows/1.1"),
        ows::XLINK,
        ows::XSI,
        (
            "xsi:schemaLocation",
            "http://www.opengis.net/wmts/1.0 http://schemas.opengis.net/wmts/1.0/wmtsGetCapabilities_response.xsd",
        ),
        ("version", "1.0.0"),
    ];
    x.node("Capabilities", &attributes, |x| {
        x.node("ows:ServiceIdentification", &[], |x| {
            x.leaf(
                "ows:Title",
                groups.first().filter(|_| groups.len() == 1).map_or("Graticule", |g| &g.collection.title),
            );
            x.leaf("ows:ServiceType", "OGC WMTS");
            x.leaf("ows:ServiceTypeVersion", "1.0.0");
        });
        x.node("ows:OperationsMetadata", &[], |x| {
            for name in ["GetCapabilities", "GetTile"] {
                x.node("ows:Operation", &[("name", name)], |x| {
                    x.node("ows:DCP", &[], |x| {
                        x.node("ows:HTTP", &[], |x| {
                            x.node("ows:Get", &[("xlink:href", &format!("{here}?"))], |x| {
                                x.node("ows:Constraint", &[("name", "GetEncoding")], |x| {
                                    x.node("ows:AllowedValues", &[], |x| x.leaf("ows:Value", "KVP"));
                                });
                            });
                        });
                    });
                });
            }
        });
        x.node("Contents", &[], |x| {
            for group in &groups {
                for layer in &group.layers {
                    let tiles = format!("{base}/api/collections/{}/map/tiles", group.collection.id);
                    let legend = format!("{base}/api/collections/{}/legend", group.collection.id);
                    x.node("Layer", &[], |x| one(x, layer, &tiles, &legend));
                }
            }
            for set in &SETS {
                x.node("TileMatrixSet", &[], |x| matrices(x, set));
            }
        });
        x.empty("ServiceMetadataURL", &[("xlink:href", &format!("{here}/1.0.0/WMTSCapabilities.xml"))]);
    });
    Ok(Document::new(ows::XML, x.finish()).answer(headers))
}

fn one(x: &mut Xml, layer: &Layer, tiles: &str, legend: &str) {
    let variable = layer.name.split_once('/').map_or(layer.name.as_str(), |(_, v)| v);
    let variable = path_segment(variable);
    x.leaf("ows:Title", &layer.title);
    if !layer.description.is_empty() {
        x.leaf("ows:Abstract", &layer.description);
    }
    let [west, south, east, north] = layer.bbox;
    x.node("ows:WGS84BoundingBox", &[], |x| {
        x.leaf("ows:LowerCorner", &format!("{west} {south}"));
        x.leaf("ows:UpperCorner", &format!("{east} {north}"));
    });
    x.leaf("ows:Identifier", &layer.name);
    for (i, name) in std::iter::once("default").chain(colormap::names()).enumerate() {
        x.node("Style", &[("isDefault", if i == 0 { "true" } else { "false" })], |x| {
            x.leaf("ows:Title", if i == 0 { "As the viewer draws it" } else { name });
            x.leaf("ows:Identifier", name);
            if i == 0 {
                let href = format!("{legend}?variable={variable}&f=png");
                x.empty("LegendURL", &[("format", "image/png"), ("xlink:href", &href)]);
            }
        });
    }
    for format in Format::ALL {
        x.leaf("Format", format.media_type());
    }
    // A template has a place for each dimension, by its identifier (section 11.1).
    let mut places = String::new();
    for dim in &layer.dims {
        let (identifier, key) = match dim.name.as_str() {
            "time" => ("Time".to_owned(), "datetime".to_owned()),
            "elevation" => ("Elevation".to_owned(), "z".to_owned()),
            name => (name.to_owned(), format!("dim:{}", path_segment(name))),
        };
        places += &format!("&{key}={{{identifier}}}");
        x.node("Dimension", &[], |x| {
            x.leaf("ows:Identifier", &identifier);
            if !dim.units.is_empty() {
                x.leaf("ows:UOM", &dim.units);
            }
            x.leaf("Default", &dim.default);
            for value in &dim.values {
                x.leaf("Value", value);
            }
        });
    }
    for set in &SETS {
        x.node("TileMatrixSetLink", &[], |x| x.leaf("TileMatrixSet", set.id));
    }
    // One template: some clients take any of several, whatever the format.
    let template = format!(
        "{tiles}/{{TileMatrixSet}}/{{TileMatrix}}/{{TileRow}}/{{TileCol}}?variable={variable}&colormap={{Style}}&f=png{places}"
    );
    let attributes = [("format", "image/png"), ("resourceType", "tile"), ("template", template.as_str())];
    x.empty("ResourceURL", &attributes);
}

fn matrices(x: &mut Xml, set: &TileMatrixSet) {
    let crs = set.crs();
    x.leaf("ows:Title", set.title);
    x.leaf("ows:Identifier", set.id);
    let [west, south, east, north] = set.bbox();
    x.node("ows:BoundingBox", &[("crs", &crs.urn())], |x| {
        x.leaf("ows:LowerCorner", &format!("{west} {south}"));
        x.leaf("ows:UpperCorner", &format!("{east} {north}"));
    });
    x.leaf("ows:SupportedCRS", &crs.urn());
    if let Some(known) = set.well_known_scale_set.and_then(|s| s.rsplit('/').next()) {
        x.leaf("WellKnownScaleSet", &format!("urn:ogc:def:wkss:OGC:1.0:{known}"));
    }
    for matrix in 0..=set.greatest {
        x.node("TileMatrix", &[], |x| {
            let [columns, rows] = set.size(matrix);
            x.leaf("ows:Identifier", &matrix.to_string());
            x.leaf("ScaleDenominator", &set.scale_denominator(matrix).to_string());
            x.leaf("TopLeftCorner", &format!("{} {}", set.origin[0], set.origin[1]));
            x.leaf("TileWidth", &TILE_PX.to_string());
            x.leaf("TileHeight", &TILE_PX.to_string());
            x.leaf("MatrixWidth", &columns.to_string());
            x.leaf("MatrixHeight", &rows.to_string());
        });
    }
}
