//! Puts the built client and the demo data into the binary.
//!
//! The server builds without either: whoever works on it alone needs no wasm.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

fn main() -> std::io::Result<()> {
    let root = PathBuf::from(env("CARGO_MANIFEST_DIR")).join("..");
    let dist = std::env::var_os("GRATICULE_DIST").map_or_else(|| root.join("dist"), PathBuf::from);
    println!("cargo::rerun-if-env-changed=GRATICULE_DIST");
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    collect(&dist, &mut files)?;
    files.sort();
    let mut out = String::from("pub static FILES: &[File] = &[\n");
    for path in &files {
        if path.extension().is_some_and(|e| e == "br") {
            continue;
        }
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.strip_prefix(&dist).unwrap_or(path).to_string_lossy().replace('\\', "/");
        let bytes = std::fs::read(path)?;
        let mut brotli = path.clone().into_os_string();
        brotli.push(".br");
        let brotli = PathBuf::from(brotli);
        let packed = if brotli.exists() { format!("Some({})", include(&brotli)?) } else { "None".to_owned() };
        let etag = Sha256::digest(&bytes).iter().take(12).fold(String::new(), |mut s, b| {
            let _ = write!(s, "{b:02x}");
            s
        });
        let _ = writeln!(
            out,
            "    File {{ path: {name:?}, etag: {etag:?}, content_type: {:?}, bytes: {}, brotli: {packed} }},",
            content_type(&name),
            include(path)?,
        );
    }
    out.push_str("];\n");
    let demo = root.join("assets").join("demo");
    println!("cargo::rerun-if-changed={}", demo.display());
    let mut granules = Vec::new();
    collect(&demo, &mut granules)?;
    granules.retain(|p| p.extension().is_some_and(|e| e == "nc"));
    granules.sort();
    out.push_str("pub static DEMO: &[(&str, &[u8])] = &[\n");
    for path in &granules {
        let name = path.strip_prefix(&demo).unwrap_or(path).to_string_lossy().replace('\\', "/");
        let _ = writeln!(out, "    ({name:?}, {}),", include(path)?);
    }
    out.push_str("];\n");
    std::fs::write(PathBuf::from(env("OUT_DIR")).join("embedded.rs"), out)
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn include(path: &Path) -> std::io::Result<String> {
    Ok(format!("include_bytes!({:?})", path.canonicalize()?))
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
