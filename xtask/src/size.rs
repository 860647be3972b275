//! What a browser downloads before its first map, file by file.

use crate::client::brotli_of;
use crate::dist;

/// The most that the first WebGPU map may cost, brotli-compressed.
const LIMIT_BYTES: usize = 900_000;

pub fn print() -> anyhow::Result<()> {
    let dist = dist();
    let mut total = 0;
    let mut other = Vec::new();
    let mut names: Vec<_> = std::fs::read_dir(&dist)?
        .filter_map(Result::ok)
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    println!("{:>10} {:>10}  file", "bytes", "brotli");
    for name in names {
        let first = ["index.html", "boot.js"].contains(&name.as_str())
            || ["app-webgpu-", "decode-"].iter().any(|p| name.starts_with(p));
        let code = [".js", ".wasm", ".html"].iter().any(|e| name.ends_with(e));
        if !code {
            continue;
        }
        let bytes = std::fs::read(dist.join(&name))?;
        let small = brotli_of(&bytes)?.len();
        let line = format!("{:>10} {small:>10}  {name}", bytes.len());
        if first {
            total += small;
            println!("{line}");
        } else {
            other.push(line);
        }
    }
    let css = dist.join("assets/styles");
    if css.exists() {
        for entry in std::fs::read_dir(css)?.filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".css") {
                let bytes = std::fs::read(entry.path())?;
                let small = brotli_of(&bytes)?.len();
                total += small;
                println!("{:>10} {small:>10}  {name}", bytes.len());
            }
        }
    }
    println!("{:>10} {total:>10}  first map with WebGPU (limit {LIMIT_BYTES})", "");
    println!("\nfetched only where needed:");
    other.iter().for_each(|l| println!("{l}"));
    anyhow::ensure!(total <= LIMIT_BYTES, "the first map costs {total} bytes, more than {LIMIT_BYTES}");
    Ok(())
}
