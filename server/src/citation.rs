//! How data is cited and where it comes from: the same words in headers and in files.

use axum::http::{HeaderName, header};
use serde_json::{Map, Value};

use crate::opened::Opened;

/// By whom, what, when, where: as much of it as the source says (DataCite's order).
pub fn citation(attributes: &Map<String, Value>, title: &str, version: &str, href: &str) -> String {
    let text = |k: &str| attributes.get(k).and_then(Value::as_str).map(str::trim).filter(|t| !t.is_empty());
    if let Some(own) = text("citation") {
        return format!("{own} (version {version}, {href})");
    }
    let by = text("creator_name").or_else(|| text("institution"));
    let at = doi(attributes).unwrap_or_else(|| href.to_owned());
    by.map(|b| format!("{b}: ")).unwrap_or_default() + &format!("{title}, version {version}. {at}")
}

/// The resolvable form of a DOI, from `doi` or `references`.
pub fn doi(attributes: &Map<String, Value>) -> Option<String> {
    let text = |k: &str| attributes.get(k).and_then(Value::as_str).map(str::trim);
    let of = |t: &str| -> Option<String> {
        let from = t.find("10.")?;
        let found: String =
            t[from..].chars().take_while(|c| !c.is_whitespace() && !"\"<>,;".contains(*c)).collect();
        let found = found.trim_end_matches(['.', ')']);
        let registrant = found.split_once('/')?.0.strip_prefix("10.")?;
        (registrant.len() >= 4 && registrant.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
            .then(|| format!("https://doi.org/{found}"))
    };
    text("doi").and_then(of).or_else(|| text("references").filter(|t| t.contains("doi")).and_then(of))
}

/// What a file says of itself, by attribute name (CF section 2.6.2 and ACDD 1.3).
pub fn attributes(opened: &Opened, href: &str) -> Vec<(String, String)> {
    let from = &opened.hierarchy.attributes;
    let (collection, version) = (opened.snapshot.collection(), opened.snapshot.version());
    let title = opened.cube.title.clone().unwrap_or_else(|| collection.to_owned());
    let mut out = vec![("title".to_owned(), title.clone())];
    for key in ["institution", "source", "references", "license", "creator_name", "publisher_name"] {
        if let Some(text) = from.get(key).and_then(Value::as_str).filter(|t| !t.trim().is_empty()) {
            out.push((key.to_owned(), text.to_owned()));
        }
    }
    let history = from.get("history").and_then(Value::as_str).map(|h| format!("\n{h}")).unwrap_or_default();
    out.push(("history".to_owned(), format!("a part of {href}, version {version}{history}")));
    out.push(("graticule_collection".to_owned(), collection.to_owned()));
    out.push(("graticule_version".to_owned(), version.to_owned()));
    out.push(("citation".to_owned(), citation(from, &title, version, href)));
    out
}

/// Which version it is, how to cite it and where it belongs, as headers; `href` is the collection's.
pub fn headers(
    from: &Map<String, Value>,
    title: &str,
    version: &str,
    href: &str,
) -> [(HeaderName, String); 4] {
    let text = citation(from, title, version, href);
    let cite = doi(from).unwrap_or_else(|| href.to_owned());
    [
        (HeaderName::from_static("graticule-version"), version.to_owned()),
        (HeaderName::from_static("graticule-citation"), as_header(&text)),
        (header::LINK, format!("<{cite}>; rel=\"cite-as\"")),
        (header::LINK, format!("<{href}>; rel=\"collection\"; type=\"application/json\"")),
    ]
}

/// Text as a header's value: what is not printable ASCII is percent-encoded.
fn as_header(text: &str) -> String {
    use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
    const KEEP: &AsciiSet = &CONTROLS.add(b'%');
    utf8_percent_encode(text, KEEP).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_doi_is_found_where_it_is_usually_written() {
        let of = |v: Value| doi(v.as_object().unwrap());
        assert_eq!(of(json!({"doi": "10.5067/GHOST-4FK01"})).unwrap(), "https://doi.org/10.5067/GHOST-4FK01");
        let text = "See https://doi.org/10.1175/2007JCLI1824.1, and others";
        assert_eq!(of(json!({"references": text})).unwrap(), "https://doi.org/10.1175/2007JCLI1824.1");
        assert_eq!(of(json!({"references": "doi: 10.5"})), None);
        assert_eq!(of(json!({"doi": "unknown"})), None);
    }

    #[test]
    fn a_citation_says_who_what_and_which_version() {
        let a = json!({"institution": "NOAA"});
        let c = citation(a.as_object().unwrap(), "Sea ice", "AB12", "http://h/api/collections/ice");
        assert_eq!(c, "NOAA: Sea ice, version AB12. http://h/api/collections/ice");
        assert_eq!(as_header("Météo"), "M%C3%A9t%C3%A9o");
    }
}
