//! What GDAL keeps in private tags: missing values, and what each band is.

/// One `Item` of the metadata (tag 42112).
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Item {
    pub(crate) name: String,
    /// Index of the band from 0 on, if it is of one band.
    pub(crate) band: Option<u64>,
    pub(crate) role: String,
    /// Of another domain than the common one.
    pub(crate) domain: String,
    pub(crate) value: String,
}

/// Items kept of one file.
const MOST_ITEMS: usize = 4096;

/// The items of `<GDALMetadata>`: flat XML that GDAL itself writes, nothing nested.
pub(crate) fn items(xml: &str) -> Vec<Item> {
    let mut out = Vec::new();
    let mut rest = xml;
    while let Some(start) = rest.find("<Item") {
        if out.len() == MOST_ITEMS {
            break;
        }
        rest = &rest[start + 5..];
        let Some(close) = rest.find('>') else { break };
        let head = &rest[..close];
        rest = &rest[close + 1..];
        if head.ends_with('/') {
            continue;
        }
        let Some(end) = rest.find("</Item>") else { break };
        let attribute = |name: &str| {
            let from = head.find(&format!(" {name}=\""))? + name.len() + 3;
            let len = head[from..].find('"')?;
            Some(unescape(&head[from..from + len]))
        };
        out.push(Item {
            name: attribute("name").unwrap_or_default(),
            band: attribute("sample").and_then(|s| s.parse().ok()),
            role: attribute("role").unwrap_or_default(),
            domain: attribute("domain").unwrap_or_default(),
            value: unescape(&rest[..end]),
        });
        rest = &rest[end + 7..];
    }
    out
}

fn unescape(text: &str) -> String {
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    plain.replace("&amp;", "&")
}

/// The text of tag 42113 as a number.
pub(crate) fn missing(text: &str) -> Option<f64> {
    match text.trim().to_ascii_lowercase().as_str() {
        "nan" | "-nan" => Some(f64::NAN),
        "-1.#ind" | "1.#qnan" => Some(f64::NAN),
        other => other.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_keep_their_band_and_role() {
        let xml = "<GDALMetadata>\n  <Item name=\"SCALE\" sample=\"1\" role=\"scale\">0.001</Item>\n  <Item name=\"A\">x &lt; &amp;lt;</Item>\n</GDALMetadata>";
        let found = items(xml);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].band, found[0].role.as_str(), found[0].value.as_str()),
            (Some(1), "scale", "0.001")
        );
        assert_eq!((found[1].band, found[1].value.as_str()), (None, "x < &lt;"));
    }

    #[test]
    fn missing_values_are_numbers_however_they_are_written() {
        assert_eq!(missing(" -9999 "), Some(-9999.0));
        assert!(missing("nan").is_some_and(f64::is_nan));
        assert_eq!(missing("none"), None);
    }
}
