//! Builds `dist/`: the site that the server carries.
//!
//! Three wasm modules: the viewer drawing with WebGPU, the viewer drawing with
//! WebGL2 (several times larger, fetched only where there is no WebGPU), and the
//! decoder that runs in workers. Their names carry a hash of their content, so
//! that browsers keep them for ever; the JavaScript that loads them learns the
//! names through the token `"__ASSETS__"`. `wasm-bindgen` runs as a library at the
//! version in Cargo.lock: nobody installs a command line tool.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use crate::{dist, root};

/// One wasm build: what to compile, and what its files are called in `dist/`.
struct Module {
    name: &'static str,
    package: &'static str,
    artifact: &'static str,
    profile: &'static str,
    features: &'static [&'static str],
}

const MODULES: [Module; 4] = [
    Module {
        name: "app-webgpu",
        package: "graticule-client",
        artifact: "graticule_client.wasm",
        profile: "wasm",
        features: &["--no-default-features", "--features", "webgpu"],
    },
    Module {
        name: "decode",
        package: "graticule-decode",
        artifact: "graticule_decode.wasm",
        profile: "wasm-decode",
        features: &[],
    },
    Module {
        name: "files",
        package: "graticule-files",
        artifact: "graticule_files.wasm",
        profile: "wasm",
        features: &[],
    },
    Module {
        name: "app-webgl",
        package: "graticule-client",
        artifact: "graticule_client.wasm",
        profile: "wasm",
        features: &["--no-default-features", "--features", "webgl"],
    },
];

/// Scripts of workers: hashed, since the others name them.
const WORKERS: [&str; 2] = ["decode-worker.js", "files-worker.js"];

const TOKEN: &str = "\"__ASSETS__\"";

pub fn build() -> anyhow::Result<()> {
    let dist = dist();
    let staging = dist.with_extension("staging");
    if staging.exists() {
        std::fs::remove_dir_all(&staging)?;
    }
    std::fs::create_dir_all(&staging)?;
    let mut names = BTreeMap::new();
    for module in &MODULES {
        compile(module)?;
        bind(module, &staging)?;
        for (from, as_name) in [
            (format!("{}_bg.wasm", module.name), format!("{}.wasm", module.name)),
            (format!("{}.js", module.name), format!("{}.js", module.name)),
        ] {
            let hashed = rename_by_content(&staging, &from, &as_name)?;
            names.insert(as_name, hashed);
        }
    }
    let scripts = root().join("client/js");
    for name in WORKERS {
        let mut text = substitute(&scripts.join(name), &names)?;
        if name == "decode-worker.js" {
            let glue = names.remove("decode.js").context("the decoder has no glue")?;
            text = std::fs::read_to_string(staging.join(&glue))? + &text;
            std::fs::remove_file(staging.join(&glue))?;
        }
        std::fs::write(staging.join(name), text)?;
        let hashed = rename_by_content(&staging, name, name)?;
        names.insert(name.into(), hashed);
    }
    for entry in std::fs::read_dir(&scripts).context("client/js")? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".js") && !WORKERS.contains(&name.as_str()) {
            std::fs::write(staging.join(&name), substitute(&path, &names)?)?;
        }
    }
    std::fs::write(staging.join("index.html"), substitute(&root().join("index.html"), &names)?)?;
    for folder in ["styles", "fonts", "vector"] {
        copy_tree(&root().join("assets").join(folder), &staging.join("assets").join(folder))?;
    }
    compress(&staging)?;
    if dist.exists() {
        std::fs::remove_dir_all(&dist)?;
    }
    std::fs::rename(&staging, &dist)?;
    println!("client: {}", dist.display());
    Ok(())
}

fn compile(module: &Module) -> anyhow::Result<()> {
    println!("client: building {}", module.name);
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root())
        .args([
            "build",
            "--target",
            "wasm32-unknown-unknown",
            "--profile",
            module.profile,
            "-p",
            module.package,
        ])
        .args(module.features)
        .status()?;
    if !status.success() {
        bail!("{} did not build", module.name);
    }
    Ok(())
}

fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |d| root().join(d))
}

fn bind(module: &Module, out: &Path) -> anyhow::Result<()> {
    let wasm = target_dir().join("wasm32-unknown-unknown").join(module.profile).join(module.artifact);
    wasm_bindgen_cli_support::Bindgen::new()
        .input_path(&wasm)
        .out_name(module.name)
        .web(true)?
        .typescript(false)
        .omit_default_module_path(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(out)
        .with_context(|| format!("wasm-bindgen: {}", wasm.display()))
}

/// `NAME.EXT` becomes `NAME-HASH.EXT`.
fn rename_by_content(folder: &Path, from: &str, as_name: &str) -> anyhow::Result<String> {
    let bytes = std::fs::read(folder.join(from)).with_context(|| from.to_owned())?;
    let hash: String = Sha256::digest(&bytes).iter().take(8).map(|b| format!("{b:02x}")).collect();
    let (stem, extension) = as_name.rsplit_once('.').unwrap_or((as_name, ""));
    let hashed = format!("{stem}-{hash}.{extension}");
    std::fs::rename(folder.join(from), folder.join(&hashed))?;
    Ok(hashed)
}

fn substitute(path: &Path, names: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(text.replace(TOKEN, &serde_json::to_string(names)?))
}

fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_tree(&path, &target)?;
        } else {
            std::fs::copy(&path, target)?;
        }
    }
    Ok(())
}

/// Puts `FILE.br` beside each file that gets smaller by it.
fn compress(folder: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            compress(&path)?;
            continue;
        }
        let bytes = std::fs::read(&path)?;
        let small = brotli_of(&bytes)?;
        if small.len() * 10 < bytes.len() * 9 {
            let mut name = path.into_os_string();
            name.push(".br");
            std::fs::write(name, small)?;
        }
    }
    Ok(())
}

pub fn brotli_of(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::new();
    let params = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 24, ..Default::default() };
    brotli::BrotliCompress(&mut &bytes[..], &mut out, &params)?;
    Ok(out)
}
