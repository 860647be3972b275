//! The `Link` header (RFC 8288) of a document, from the links in its JSON.

use std::fmt::Write;

use serde_json::Value;

/// Relations that help whoever has the header alone; children and items are many, and in the body.
const SAID: [&str; 19] = [
    "self",
    "next",
    "prev",
    "alternate",
    "canonical",
    "collection",
    "items",
    "data",
    "license",
    "conformance",
    "service-desc",
    "service-doc",
    "describedby",
    "search",
    "root",
    "version-history",
    "predecessor-version",
    "successor-version",
    "latest-version",
];
/// Proxies take some kilobytes of headers in all.
const MAX_BYTES: usize = 1536;

/// `None` where there is nothing to say.
pub fn header(links: &Value) -> Option<String> {
    let mut out = String::new();
    for link in links.as_array()? {
        let text = |key: &str| link[key].as_str().filter(|t| t.chars().all(is_plain));
        let (Some(rel), Some(href)) = (text("rel"), text("href")) else { continue };
        // A link that takes a body is none that a header can say.
        if !SAID.contains(&rel) || link["method"].as_str().is_some_and(|m| m != "GET") {
            continue;
        }
        let mut one = format!("<{href}>; rel=\"{rel}\"");
        if let Some(media) = text("type") {
            let _ = write!(one, "; type=\"{media}\"");
        }
        if out.len() + one.len() + 2 > MAX_BYTES {
            continue;
        }
        if !out.is_empty() {
            out += ", ";
        }
        out += &one;
    }
    (!out.is_empty()).then_some(out)
}

/// Stands between angle brackets or quotes as it is.
fn is_plain(c: char) -> bool {
    c.is_ascii() && !c.is_ascii_control() && !matches!(c, '<' | '>' | '"' | '\\')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::header;

    #[test]
    fn links_are_said_but_not_those_that_a_header_cannot_say() {
        let links = json!([
            {"rel": "self", "href": "http://a/b", "type": "application/json"},
            {"rel": "child", "href": "http://a/c"},
            {"rel": "next", "href": "http://a/d", "method": "POST"},
            {"rel": "items", "href": "http://a/>; rel=x"},
            {"rel": "alternate", "href": "http://a/e"},
        ]);
        let expected =
            "<http://a/b>; rel=\"self\"; type=\"application/json\", <http://a/e>; rel=\"alternate\"";
        assert_eq!(header(&links).as_deref(), Some(expected));
        assert_eq!(header(&json!([])), None);
        let many: Vec<_> =
            (0..1000).map(|i| json!({"rel": "next", "href": format!("http://a/{i}")})).collect();
        assert!(header(&json!(many)).unwrap().len() <= super::MAX_BYTES);
    }
}
