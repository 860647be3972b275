//! A disk that is full: a clear error, the former version as it was, nothing left behind.
//!
//! Needs a file system of its own, a small `tmpfs` in a mount namespace of its own. Where
//! neither root nor user namespaces are to be had, the test says SKIPPED.

use std::path::Path;
use std::process::{Command, Output};

use graticule_tests::binary;
use graticule_tests::granules::Granule;

/// Runs a script where `$D` is an empty file system of 4 MB and `$G` the binary.
fn on_a_small_disk(script: &str, folder: &Path) -> Option<Output> {
    let disk = folder.join("disk");
    std::fs::create_dir_all(&disk).expect("a folder");
    let whole = format!("mount -t tmpfs -o size=4m tmpfs \"$D\" || exit 77\n{script}");
    for flags in [&["--mount"][..], &["--mount", "--user", "--map-root-user"]] {
        let out = Command::new("unshare")
            .args(flags)
            .args(["sh", "-c", &whole])
            .env("D", &disk)
            .env("G", binary())
            .env("S", folder)
            .output();
        match out {
            Ok(out) if out.status.success() => return Some(out),
            Ok(out) => {
                let said = format!(
                    "{}{}",
                    String::from_utf8_lossy(&out.stdout),
                    String::from_utf8_lossy(&out.stderr)
                );
                let refused = out.status.code() == Some(77)
                    || said.contains("unshare:")
                    || said.contains("permission denied");
                assert!(refused, "{said}");
            }
            Err(_) => {}
        }
    }
    eprintln!("SKIPPED: no file system can be mounted here (unshare --mount)");
    None
}

#[test]
fn a_full_disk_is_a_clear_error_and_leaves_the_former_version_as_it_was() {
    let dir = tempfile::tempdir().expect("a folder");
    let grid = Granule { rows: 280, columns: 280, ..Granule::default() };
    grid.write(dir.path(), "0.nc");
    // Steps enough that its objects do not fit in what is left.
    Granule { first: 1, steps: 8, ..grid }.write(dir.path(), "1.nc");
    let script = r#"
set -e
"$G" ingest "$S/0.nc" --collection c --data "$D" > /dev/null
find "$D/collections" -type f | sort > "$S/before"
for left in 0 4 8 16 32 64; do
    # Fill the disk, then leave so many kilobytes.
    rm -f "$D/ballast" "$D/rest"
    dd if=/dev/zero of="$D/rest" bs=1k count=$left 2> /dev/null || true
    dd if=/dev/zero of="$D/ballast" bs=4k 2> /dev/null || true
    rm -f "$D/rest"
    if "$G" ingest "$S/1.nc" --collection c --data "$D" > "$S/out" 2>&1; then
        echo "PUBLISHED with $left kB left"; cat "$S/out"; exit 1
    fi
    grep -qi -e 'no space left' -e 'disk is full' -e 'disk I/O' "$S/out" || { echo "UNCLEAR:"; cat "$S/out"; exit 1; }
    find "$D/collections" -type f | sort > "$S/after"
    diff "$S/before" "$S/after" || { echo "LEFT BEHIND with $left kB left"; cat "$S/out"; exit 1; }
done
tail -n 1 "$S/out"
rm -f "$D/ballast"
"$G" check --deep --data "$D" || { echo "UNSOUND"; exit 1; }
"$G" ingest "$S/1.nc" --collection c --data "$D"
"$G" check --deep --data "$D"
"#;
    if let Some(out) = on_a_small_disk(script, dir.path()) {
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(said.contains("nothing is wrong") && said.contains("1 of 1 granules published"), "{said}");
        println!("{said}");
    }
}
