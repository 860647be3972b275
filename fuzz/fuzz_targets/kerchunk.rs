//! kerchunk references to a file beside them.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use graticule_formats::open;
use graticule_fuzz::{LIMITS, read};
use libfuzzer_sys::fuzz_target;

/// A folder of this process with `data.nc` in it.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("graticule-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the references");
    let data: Vec<u8> = (0u32..16384).flat_map(|n| (n as f32).to_le_bytes()).collect();
    std::fs::write(folder.join("data.nc"), data).expect("a file to refer to");
    folder
});

fuzz_target!(|bytes: &[u8]| {
    let path = FOLDER.join("references.json");
    std::fs::write(&path, bytes).expect("references written");
    if let Ok(source) = open(&path, LIMITS) {
        read(source.as_ref());
    }
});
