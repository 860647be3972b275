//! The sample data, which lies beside the repository and not in it.

use std::path::PathBuf;

/// Its folder: `GRATICULE_SAMPLE_DATA`, else `../shared/data` beside the workspace.
pub fn dir() -> Option<PathBuf> {
    let dir = std::env::var_os("GRATICULE_SAMPLE_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    if dir.join("references.json").is_file() {
        return Some(dir);
    }
    eprintln!("\n*** SKIPPED: sample data not found at {} (set GRATICULE_SAMPLE_DATA) ***\n", dir.display());
    None
}

#[allow(dead_code)]
pub fn references() -> Option<(PathBuf, serde_json::Value)> {
    let dir = dir()?;
    let text = std::fs::read_to_string(dir.join("references.json")).expect("references.json is readable");
    Some((dir, serde_json::from_str(&text).expect("references.json is JSON")))
}
