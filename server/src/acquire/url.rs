//! Addresses: which are allowed, and how they are shown.

use reqwest::Url;

/// Query parameters whose values are secrets, or may be.
const SECRET: [&str; 8] = ["sig", "token", "key", "pass", "secret", "credential", "x-amz-", "auth"];

pub fn is_url(text: &str) -> bool {
    ["http://", "https://", "s3://"].iter().any(|s| text.starts_with(s))
}

/// The address without what nobody should read.
pub fn shown(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else {
        return text.split(['?', '@']).next().unwrap_or_default().to_owned();
    };
    let _ = url.set_password(None);
    if !url.username().is_empty() {
        let _ = url.set_username("");
    }
    let hidden = |k: &str| SECRET.iter().any(|s| k.to_ascii_lowercase().contains(s));
    if url.query_pairs().any(|(k, _)| hidden(&k)) {
        let kept: Vec<(String, String)> = url
            .query_pairs()
            .map(|(k, v)| (k.to_string(), if hidden(&k) { "...".to_owned() } else { v.to_string() }))
            .collect();
        url.query_pairs_mut().clear().extend_pairs(kept);
    }
    url.to_string()
}

/// An input as people may read it: an address without its secrets, a path as it is.
pub fn shown_input(text: &str) -> String {
    if text.contains("://") { shown(text) } else { text.to_owned() }
}

/// # Errors
/// What is no address to fetch from, or carries a password.
pub fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("{}: no URL: {e}", shown(text)))?;
    if !matches!(url.scheme(), "http" | "https" | "s3") {
        return Err(format!("{}: expected http://, https:// or s3://", shown(text)));
    }
    if url.password().is_some() || !url.username().is_empty() {
        return Err(format!(
            "{}: credentials do not belong into a URL; they come from the environment (see docs/recipes.md)",
            shown(text)
        ));
    }
    Ok(url)
}

/// Whether `url` lies below one of the prefixes: same scheme, host and port, and a path that
/// begins with whole segments of the prefix's. A path that climbs for a server which decodes it
/// before it looks (`..%2f`, `\`) lies nowhere.
pub fn allowed(url: &Url, prefixes: &[String]) -> bool {
    if climbs(url.path()) {
        return false;
    }
    prefixes.iter().filter_map(|p| Url::parse(p).ok()).any(|p| {
        let root = p.path().trim_end_matches('/');
        let below =
            url.path().strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        p.scheme() == url.scheme()
            && p.host_str() == url.host_str()
            && p.port_or_known_default() == url.port_or_known_default()
            && below
    })
}

fn climbs(path: &str) -> bool {
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    // Some servers cut parameters (`..;x`) off a segment.
    path.contains('\\') || path.split('/').any(|s| s.split(';').next() == Some(".."))
}

/// The last segment of its path, as the name of a file.
pub fn file_name(url: &Url) -> String {
    let last = url.path().rsplit('/').next().unwrap_or_default();
    let text = percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned();
    let plain =
        |c: char| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '=') { c } else { '_' };
    let name: String = text.chars().map(plain).take(180).collect();
    // Names of our own files and names that climb are none.
    if name.is_empty() || name.starts_with('.') { format!("file{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(shown("https://me:pw@h.org/a.nc?x=1"), "https://h.org/a.nc?x=1");
        assert_eq!(
            shown("https://h.org/a.nc?day=1&X-Amz-Signature=abc"),
            "https://h.org/a.nc?day=1&X-Amz-Signature=..."
        );
        assert!(!shown("https://h.org:bad/a?token=abc").contains("abc"));
        assert_eq!(shown_input("/data/a@b?c.nc"), "/data/a@b?c.nc");
        assert_eq!(shown_input("s3://b/k?sig=abc"), "s3://b/k?sig=...");
        assert!(parse("https://me:pw@h.org/a.nc").unwrap_err().contains("environment"));
    }

    #[test]
    fn a_prefix_ends_at_a_segment_and_covers_one_host() {
        let prefixes = ["https://h.org/data".to_owned(), "s3://bucket".to_owned()];
        let is = |u: &str| allowed(&Url::parse(u).unwrap(), &prefixes);
        assert!(is("https://h.org/data/a.nc") && is("https://h.org:443/data") && is("s3://bucket/k"));
        assert!(is("https://h.org/data/a..b%20c/..d"));
        for bad in [
            "https://h.org/database",
            "https://h.org/data/../secret",
            "https://h.org/data/..%2fsecret",
            "https://h.org/data/%2E%2e%2Fsecret",
            "https://h.org/data/x%2f..%2f..%2fsecret",
            "https://h.org/data/..%5csecret",
            "https://h.org/data/..;a=b/secret",
            "s3://bucket/..%2fother/k",
            "https://h.org.evil.net/data/a",
            "http://h.org/data/a",
            "https://h.org:8443/data/a",
            "https://evil.net/https://h.org/data",
            "s3://bucket2/k",
        ] {
            assert!(!is(bad), "{bad}");
        }
    }

    #[test]
    fn a_url_gives_a_plain_file_name() {
        let name = |u: &str| file_name(&Url::parse(u).unwrap());
        assert_eq!(name("https://h.org/a/sst%202020.nc?x=/b"), "sst_2020.nc");
        assert_eq!(name("https://h.org/"), "file");
        assert_eq!(name("https://h.org/..%2f..%2fx"), "file.._.._x");
    }
}
