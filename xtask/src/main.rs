//! Project chores that need more than a shell: `cargo run --release -p xtask -- COMMAND`.
//!
//! | command | does |
//! |---|---|
//! | `client` | builds the viewer's three wasm modules and lays out `dist/` |
//! | `size` | prints what a browser downloads for its first map, brotli-compressed |
//! | `bench-append [GRANULES]` | appends small granules one by one: whether the time of each grows |
//! | `bench-ingest [COLUMNS ROWS]` | ingests a large grid with the real binary: time and peak memory |
//! | `bench-python [ROUNDS] [CASE...]` | ingests the same files as Python writes, in turn: how many times quicker |

mod bench_append;
mod bench_ingest;
mod bench_python;
mod client;
mod size;

use std::path::PathBuf;

fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("client") => client::build(),
        Some("size") => size::print(),
        Some("bench-append") => bench_append::run(),
        Some("bench-ingest") => bench_ingest::run(),
        Some("bench-python") => bench_python::run(),
        other => anyhow::bail!(
            "{}: the commands are client, size, bench-append, bench-ingest, bench-python",
            other.unwrap_or("no command given")
        ),
    }
}

/// The workspace's root, wherever the command was given.
fn root() -> PathBuf {
    // Cargo names the crate that it runs; checkouts may share one compiled binary.
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    PathBuf::from(here).join("..").components().collect()
}

/// Where the client is laid out: `GRATICULE_DIST`, or `dist/` in the workspace.
fn dist() -> PathBuf {
    std::env::var_os("GRATICULE_DIST").map_or_else(|| root().join("dist"), PathBuf::from)
}
