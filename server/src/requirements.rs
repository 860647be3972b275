//! The OGC requirement that a refusal follows from, as the URI that the standard gives it.
//!
//! One place for all routes: a refusal names its parameter, and the path tells which standard the
//! resource is of (OGC API - EDR 1.1, 19-086r6; OGC API - Features part 1, 17-069r4, and part 3,
//! 19-079r2).

use crate::problem::Kind;

const EDR: &str = "http://www.opengis.net/spec/ogcapi-edr-1/1.1";
const FEATURES: &str = "http://www.opengis.net/spec/ogcapi-features-1/1.0";
const FILTERING: &str = "http://www.opengis.net/spec/ogcapi-features-3/1.0";

/// Data queries of EDR, by the last segment of their paths.
const QUERIES: [&str; 8] =
    ["position", "area", "cube", "trajectory", "corridor", "radius", "locations", "instances"];

/// `None` where no requirement is the reason.
pub fn of(kind: Kind, path: &str, parameter: Option<&str>) -> Option<String> {
    if kind != Kind::BadRequest && kind != Kind::TooLarge {
        return None;
    }
    let mut segments = path.strip_prefix("/api/collections")?.split('/').skip(1);
    let (resource, parameter) = (segments.nth(1), parameter?);
    let (standard, requirement) = match resource {
        Some(query) if QUERIES.contains(&query) => (EDR, edr(query, parameter)?),
        Some("items") => features(parameter)?,
        // The list of collections.
        None => (EDR, collections(parameter)?),
        Some(_) => return None,
    };
    Some(format!("{standard}{requirement}"))
}

/// Identifiers as the standard spells them, the irregular ones too.
fn edr(query: &str, parameter: &str) -> Option<&'static str> {
    Some(match (query, parameter) {
        (_, "coords") => "/req/edr/coords-definition",
        (_, "datetime") => "/req/core/datetime-definition",
        (_, "bbox") => "/req/core/rc-bbox-definition",
        ("cube", "z") => "/req/edr/cube-z-response",
        (_, "z") => "/req/edr/z-definition",
        (_, "parameter-name") => "/req/edr/REQ_rc-parameter-name-definition",
        (_, "crs") => "/req/edr/REQ_rc-crs-definition",
        (_, "f") => "/req/edr/rc-f-definition",
        (_, "within") => "/req/edr/within-definition",
        (_, "within-units") => "/req/edr/within-units-definition",
        (_, "corridor-width") => "/req/edr/corridor-width-definition",
        (_, "width-units") => "/req/edr/REQ_rc-width-units-definition",
        (_, "corridor-height") => "/req/edr/REQ_rc-corridor-height-definition",
        (_, "height-units") => "/req/edr/REQ_rc-height-units-definition",
        (_, "resolution-x") => "/req/edr/resolution-x-definition",
        (_, "resolution-y") => "/req/edr/resolution-y-definition",
        (_, "resolution-z") => "/req/edr/resolution-z-definition",
        (_, name) if name.starts_with("dim:") => "/req/edr/custom-dimension-definition",
        _ => return None,
    })
}

fn features(parameter: &str) -> Option<(&'static str, &'static str)> {
    Some(match parameter {
        "bbox" => (FEATURES, "/req/core/fc-bbox-definition"),
        "datetime" => (FEATURES, "/req/core/fc-time-definition"),
        "limit" => (FEATURES, "/req/core/fc-limit-definition"),
        "filter" => (FILTERING, "/req/filter/filter-param"),
        "filter-lang" => (FILTERING, "/req/filter/filter-lang-param"),
        "filter-crs" => (FILTERING, "/req/filter/filter-crs-wgs84"),
        // Parameters of STAC are none of the standard's.
        "ids" | "collections" | "intersects" | "q" | "sortby" | "fields" | "token" => return None,
        _ => (FEATURES, "/req/core/query-param-unknown"),
    })
}

fn collections(parameter: &str) -> Option<&'static str> {
    match parameter {
        "bbox" => Some("/req/core/rc-bbox-definition"),
        "datetime" => Some("/req/core/datetime-definition"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_parameter_names_the_requirement_that_defines_it() {
        let of = |path: &str, parameter: &str| of(Kind::BadRequest, path, Some(parameter));
        assert_eq!(
            of("/api/collections/a/position", "coords").as_deref(),
            Some("http://www.opengis.net/spec/ogcapi-edr-1/1.1/req/edr/coords-definition")
        );
        assert_eq!(
            of("/api/collections/a/items", "bbox").as_deref(),
            Some("http://www.opengis.net/spec/ogcapi-features-1/1.0/req/core/fc-bbox-definition")
        );
        assert!(of("/api/collections/a/items", "bbbox").unwrap().ends_with("/req/core/query-param-unknown"));
        assert!(of("/api/collections", "datetime").unwrap().ends_with("/req/core/datetime-definition"));
        assert_eq!(of("/api/collections/a/items", "token"), None);
        assert_eq!(of("/api/runs", "limit"), None);
        assert_eq!(super::of(Kind::NotFound, "/api/collections/a/position", Some("coords")), None);
    }
}
