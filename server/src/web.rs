//! What the binary carries: the built client and the demo data (see `build.rs`).

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// One file of the built client.
pub struct File {
    /// Below the site's root, such as `widget.js`.
    pub path: &'static str,
    pub etag: &'static str,
    pub content_type: &'static str,
    pub bytes: &'static [u8],
    pub brotli: Option<&'static [u8]>,
}

impl File {
    /// True where the name holds a hash of the content, so that it never changes.
    pub fn is_hashed(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.split(['-', '.'])
            .skip(1)
            .any(|part| part.len() >= 8 && part.bytes().all(|b| b.is_ascii_hexdigit()))
    }
}

pub fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|f| f.path == path)
}

#[cfg(test)]
mod tests {
    use super::File;

    #[test]
    fn a_name_with_a_hash_is_told_from_one_without() {
        let file = |path| File { path, etag: "", content_type: "", bytes: b"", brotli: None }.is_hashed();
        assert!(file("wasm/graticule-0a1b2c3d4e5f.wasm"));
        assert!(file("app.0a1b2c3d.js"));
        assert!(!file("widget.js") && !file("index.html") && !file("assets/coastline-110m.bin"));
    }
}
