//! GetCapabilities (OGC 06-042 section 7.2, 01-068r3 section 7.1).

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use graticule_shared::colormap;
use graticule_shared::crs::Crs;

use super::super::App;
use super::super::ows::layers::{Group, Layer, list};
use super::super::ows::{self, xml::Xml};
use super::super::respond::Document;
use super::super::stac::path_segment;
use super::{Version, info};
use crate::pictures::{Format, MAX_SIDE_PX};
use crate::problem::Answer;

const WMS: (&str, &str) = ("xmlns", "http://www.opengis.net/wms");
const SLD: (&str, &str) = ("xmlns:sld", "http://www.opengis.net/sld");

pub async fn get(
    app: &App,
    only: Option<&str>,
    version: Version,
    headers: &HeaderMap,
) -> Answer<Response<Body>> {
    let groups = list(app, only).await?;
    let base = app.base(headers);
    let here = match only {
        Some(id) => format!("{base}/api/collections/{id}/wms"),
        None => format!("{base}/api/wms"),
    };
    let about = About { base, here: format!("{here}?"), version };
    let mut x = Xml::new();
    let kind = match version {
        Version::V130 => {
            let place = "http://www.opengis.net/wms http://schemas.opengis.net/wms/1.3.0/capabilities_1_3_0.xsd http://www.opengis.net/sld http://schemas.opengis.net/sld/1.1.0/sld_capabilities.xsd";
            let attributes =
                [("version", "1.3.0"), WMS, SLD, ows::XLINK, ows::XSI, ("xsi:schemaLocation", place)];
            x.node("WMS_Capabilities", &attributes, |x| about.document(x, &groups));
            ows::XML
        }
        Version::V111 => {
            x.raw("<!DOCTYPE WMT_MS_Capabilities SYSTEM \"http://schemas.opengis.net/wms/1.1.1/WMS_MS_Capabilities.dtd\">\n");
            let attributes = [("version", "1.1.1"), ows::XLINK];
            x.node("WMT_MS_Capabilities", &attributes, |x| about.document(x, &groups));
            "application/vnd.ogc.wms_xml"
        }
    };
    Ok(Document::new(kind, x.finish()).answer(headers))
}

struct About {
    base: String,
    /// With what parameters follow.
    here: String,
    version: Version,
}

impl About {
    fn old(&self) -> bool {
        self.version == Version::V111
    }

    fn document(&self, x: &mut Xml, groups: &[Group]) {
        x.node("Service", &[], |x| {
            x.leaf("Name", if self.old() { "OGC:WMS" } else { "WMS" });
            let title = match groups {
                [one] => one.collection.title.as_str(),
                _ => "Graticule",
            };
            x.leaf("Title", title);
            x.leaf("Abstract", "Grids of the earth, drawn as the viewer draws them.");
            resource(x, &format!("{}/api", self.base));
            if !self.old() {
                x.leaf("LayerLimit", "1");
                x.leaf("MaxWidth", &MAX_SIDE_PX.to_string());
                x.leaf("MaxHeight", &MAX_SIDE_PX.to_string());
            }
        });
        x.node("Capability", &[], |x| {
            x.node("Request", &[], |x| {
                let xml = if self.old() { "application/vnd.ogc.wms_xml" } else { "text/xml" };
                let pictures = Format::ALL.map(Format::media_type);
                self.operation(x, "GetCapabilities", &[xml]);
                self.operation(x, "GetMap", &pictures);
                self.operation(x, "GetFeatureInfo", &info::FORMATS);
                // In 1.3.0 an operation of another standard (06-042 section 7.2.4.4).
                let legend = if self.old() { "GetLegendGraphic" } else { "sld:GetLegendGraphic" };
                self.operation(x, legend, &pictures);
            });
            x.node("Exception", &[], |x| {
                x.leaf("Format", if self.old() { "application/vnd.ogc.se_xml" } else { "XML" });
            });
            x.node("Layer", &[], |x| {
                x.leaf("Title", "Graticule");
                for name in Crs::names() {
                    let name = if name == "OGC:CRS84" { "CRS:84" } else { name };
                    if !(self.old() && name == "CRS:84") {
                        x.leaf(if self.old() { "SRS" } else { "CRS" }, name);
                    }
                }
                if self.old() {
                    x.empty(
                        "LatLonBoundingBox",
                        &[("minx", "-180"), ("miny", "-90"), ("maxx", "180"), ("maxy", "90")],
                    );
                } else {
                    geographic(x, [-180.0, -90.0, 180.0, 90.0]);
                    bounds(x, "CRS:84", [-180.0, -90.0, 180.0, 90.0], false);
                }
                for name in colormap::names() {
                    x.node("Style", &[], |x| {
                        x.leaf("Name", name);
                        x.leaf("Title", name);
                    });
                }
                // What has no layer to show is no heading either.
                for group in groups.iter().filter(|g| !g.layers.is_empty()) {
                    x.node("Layer", &[], |x| {
                        x.leaf("Title", &group.collection.title);
                        if !group.collection.description.is_empty() {
                            x.leaf("Abstract", &group.collection.description);
                        }
                        for layer in &group.layers {
                            x.node("Layer", &[("queryable", "1")], |x| self.layer(x, layer));
                        }
                    });
                }
            });
        });
    }

    fn operation(&self, x: &mut Xml, name: &str, formats: &[&str]) {
        x.node(name, &[], |x| {
            for format in formats {
                x.leaf("Format", format);
            }
            x.node("DCPType", &[], |x| {
                x.node("HTTP", &[], |x| x.node("Get", &[], |x| resource(x, &self.here)));
            });
        });
    }

    fn layer(&self, x: &mut Xml, layer: &Layer) {
        x.leaf("Name", &layer.name);
        x.leaf("Title", &layer.title);
        if !layer.description.is_empty() {
            x.leaf("Abstract", &layer.description);
        }
        let [west, south, east, north] = layer.bbox;
        if self.old() {
            let [a, b, c, d] = layer.bbox.map(|v| v.to_string());
            x.empty("LatLonBoundingBox", &[("minx", &a), ("miny", &b), ("maxx", &c), ("maxy", &d)]);
        } else {
            geographic(x, layer.bbox);
            bounds(x, "CRS:84", layer.bbox, false);
        }
        let swapped = if self.old() { layer.bbox } else { [south, west, north, east] };
        bounds(x, "EPSG:4326", swapped, self.old());
        let [w, s, e, n] = layer.mercator_bbox();
        if let (Some((a, b)), Some((c, d))) =
            (Crs::WEB_MERCATOR.forward(w, s), Crs::WEB_MERCATOR.forward(e, n))
        {
            bounds(x, "EPSG:3857", [a, b, c, d], self.old());
        }
        for dim in &layer.dims {
            let values = dim.values.join(",");
            let known = [("name", dim.name.as_str()), ("units", dim.units.as_str())];
            let about = [("default", dim.default.as_str()), ("multipleValues", "0"), ("nearestValue", "0")];
            if self.old() {
                x.empty("Dimension", &known);
                x.said("Extent", &[("name", dim.name.as_str()), about[0], about[1], about[2]], &values);
            } else {
                x.said("Dimension", &[known, [about[0], about[1]]].concat(), &values);
            }
        }
        x.node("Style", &[], |x| {
            x.leaf("Name", "default");
            x.leaf("Title", "As the viewer draws it");
            x.node("LegendURL", &[("width", "190"), ("height", "270")], |x| {
                x.leaf("Format", "image/png");
                let query =
                    "service=WMS&request=GetLegendGraphic&format=image/png&width=190&height=270&layer=";
                resource(x, &format!("{}{query}{}", self.here, path_segment(&layer.name)));
            });
        });
    }
}

fn resource(x: &mut Xml, href: &str) {
    x.empty("OnlineResource", &[ows::XLINK, ("xlink:type", "simple"), ("xlink:href", href)]);
}

fn geographic(x: &mut Xml, [west, south, east, north]: [f64; 4]) {
    x.node("EX_GeographicBoundingBox", &[], |x| {
        x.leaf("westBoundLongitude", &west.to_string());
        x.leaf("eastBoundLongitude", &east.to_string());
        x.leaf("southBoundLatitude", &south.to_string());
        x.leaf("northBoundLatitude", &north.to_string());
    });
}

fn bounds(x: &mut Xml, crs: &str, bbox: [f64; 4], old: bool) {
    let [a, b, c, d] = bbox.map(|v| v.to_string());
    let key = if old { "SRS" } else { "CRS" };
    x.empty("BoundingBox", &[(key, crs), ("minx", &a), ("miny", &b), ("maxx", &c), ("maxy", &d)]);
}
