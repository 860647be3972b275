//! `graticule check`: stores and catalogs broken in many ways, and each way named.

use std::path::{Path, PathBuf};

use graticule_tests::granules::Granule;
use graticule_tests::{Server, graticule};
use serde_json::Value;

fn run(data: &Path, args: &[&str]) -> (bool, String) {
    let mut all = args.to_vec();
    let shown = data.to_string_lossy();
    all.extend(["--data", &shown]);
    let out = graticule(&all);
    (
        out.status.success(),
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)),
    )
}

/// Three versions of a small collection with one coarser level.
fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for step in 0..3 {
        let granule = Granule { rows: 270, columns: 360, ..Granule::of(step) };
        let file = granule.write(dir.path(), &format!("{step}.nc"));
        let (ok, said) = run(dir.path(), &["ingest", &file.to_string_lossy(), "--collection", "c"]);
        assert!(ok, "{said}");
    }
    dir
}

/// The report for machines, and whether the command said that all is well.
fn check(data: &Path, more: &[&str]) -> (bool, Value) {
    let mut args = vec!["check", "--json"];
    args.extend(more);
    let (ok, said) = run(data, &args);
    let report: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"));
    assert_eq!(report["ok"], ok, "{report}");
    (ok, report)
}

fn codes(report: &Value) -> Vec<String> {
    let mut codes: Vec<String> = report["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .map(|f| f["code"].as_str().expect("a code").to_owned())
        .collect();
    codes.dedup();
    codes
}

/// Files of a folder of the repository, largest first.
fn objects(data: &Path, folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data.join("collections/c/repo").join(folder)).expect("a folder");
    let mut all: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    all.sort_by_key(|p| std::cmp::Reverse(p.metadata().map_or(0, |m| m.len())));
    all
}

fn tip(data: &Path) -> String {
    let text = std::fs::read_to_string(data.join("collections/c/repo/refs/branch.main/ref.json"));
    let tip: Value = serde_json::from_str(&text.expect("a tip")).expect("JSON");
    tip["snapshot"].as_str().expect("a snapshot").to_owned()
}

#[test]
fn a_sound_store_has_no_findings_however_deep_one_looks() {
    let dir = filled();
    for more in [&[][..], &["--deep"], &["--deep", "--sources"], &["c", "--repair"]] {
        let (ok, report) = check(dir.path(), more);
        assert!(ok, "{report}");
        assert_eq!((report["versions"].as_u64(), report["items"].as_u64()), (Some(3), Some(3)));
        assert!(report["objects"].as_u64() > Some(0));
    }
    let (ok, said) = run(dir.path(), &["check"]);
    assert!(ok && said.contains("nothing is wrong"), "{said}");
    let (ok, said) = run(dir.path(), &["check", "nobody"]);
    assert!(!ok && said.contains("nobody"), "{said}");
}

#[test]
fn a_sound_collection_stays_sound_through_replacing_going_back_and_expiring() {
    let dir = filled();
    let data = dir.path();
    let first = tip(data);
    let granule = Granule { rows: 270, columns: 360, extra: 0.5, ..Granule::of(1) };
    let file = granule.write(data, "1-again.nc");
    let ingest = ["ingest", &file.to_string_lossy(), "--collection", "c", "--duplicates", "version"];
    let (ok, said) = run(data, &ingest);
    assert!(ok, "{said}");
    for step in [&["rollback", "c", &first][..], &["expire", "c", "--keep", "2", "--grace", "0s"]] {
        let (ok, said) = run(data, step);
        assert!(ok, "{said}");
        let (ok, report) = check(data, &["--deep"]);
        assert!(ok, "{step:?}: {report}");
    }
}

#[test]
fn every_way_to_break_a_store_is_named() {
    type Break = fn(&Path);
    let cases: [(&str, &[&str], Break); 11] = [
        ("object-missing", &[], |d| std::fs::remove_file(&objects(d, "chunks")[0]).expect("removed")),
        ("object-short", &[], |d| {
            let path = &objects(d, "chunks")[0];
            let bytes = std::fs::read(path).expect("bytes");
            std::fs::write(path, &bytes[..bytes.len() - 9]).expect("written");
        }),
        // The shard's index, at its end, has a checksum of its own.
        ("object-corrupt", &[], |d| flip(&objects(d, "chunks")[0], |n| n - 6)),
        // A value, which only its name vouches for.
        ("object-corrupt", &["--deep"], |d| flip(&objects(d, "chunks")[0], |n| n / 3)),
        ("version-unreadable", &[], |d| {
            std::fs::write(d.join("collections/c/repo/snapshots").join(tip(d)), b"nothing").expect("written");
        }),
        ("manifest-unreadable", &[], |d| {
            for path in objects(d, "manifests") {
                std::fs::write(path, b"nothing").expect("written");
            }
        }),
        ("tip-unreadable", &[], |d| {
            std::fs::write(d.join("collections/c/repo/refs/branch.main/ref.json"), b"{}").expect("written");
        }),
        ("orphan", &[], |d| {
            std::fs::write(d.join("collections/c/repo/chunks/ZZZZZZZZZZZZZZZZZZZ0"), [1; 99])
                .expect("written");
        }),
        ("unpublished", &[], |d| std::fs::create_dir_all(d.join("collections/died/repo")).expect("made")),
        ("source-changed", &["--sources"], |d| std::fs::write(d.join("1.nc"), b"other").expect("written")),
        ("source-missing", &["--sources"], |d| std::fs::remove_file(d.join("1.nc")).expect("removed")),
    ];
    for (code, more, damage) in cases {
        let dir = filled();
        damage(dir.path());
        let (ok, report) = check(dir.path(), more);
        assert!(!ok && codes(&report).contains(&code.to_owned()), "{code}: {report}");
        let f = report["findings"].as_array().and_then(|l| l.iter().find(|f| f["code"] == code));
        let f = f.expect("the finding");
        assert!(f["detail"].as_str().is_some_and(|d| !d.is_empty()) && f["advice"].is_string(), "{f}");
        if code.starts_with("object") {
            assert!(f["path"].as_str().is_some_and(|p| p.contains("/c/")) && f["version"].is_string(), "{f}");
        }
    }
}

fn flip(path: &Path, at: fn(usize) -> usize) {
    let mut bytes = std::fs::read(path).expect("bytes");
    let n = at(bytes.len());
    bytes[n] ^= 0x10;
    std::fs::write(path, bytes).expect("written");
}

#[test]
fn a_catalog_that_is_gone_corrupt_or_edited_is_written_anew_from_the_store() {
    let sql = |d: &Path, text: &str| {
        let c = rusqlite::Connection::open(d.join("catalog.sqlite")).expect("a catalog");
        c.execute_batch(text).expect("SQL");
    };
    let cases: [(&str, &dyn Fn(&Path)); 9] = [
        ("catalog-missing", &|d| std::fs::remove_file(d.join("catalog.sqlite")).expect("removed")),
        ("catalog-corrupt", &|d| std::fs::write(d.join("catalog.sqlite"), vec![7; 9000]).expect("written")),
        ("collection-missing", &|d| sql(d, "DELETE FROM collections; DELETE FROM items")),
        ("collection-extra", &|d| {
            sql(
                d,
                "INSERT INTO collections SELECT 'gone', title, description, version, updated, facts FROM collections",
            );
        }),
        ("collection-stale", &|d| sql(d, "UPDATE collections SET version = 'XXXXXXXXXXXXXXXXXXX0'")),
        ("collection-differs", &|d| {
            sql(d, "UPDATE collections SET facts = replace(facts, '\"K\"', '\"degC\"')")
        }),
        ("item-missing", &|d| sql(d, "DELETE FROM items WHERE name = '1.nc'")),
        ("item-extra", &|d| sql(d, "UPDATE items SET name = 'other.nc' WHERE name = '1.nc'")),
        ("item-differs", &|d| sql(d, "UPDATE items SET checksum = 'ab' WHERE name = '1.nc'")),
    ];
    for (code, damage) in cases {
        let dir = filled();
        damage(dir.path());
        let (ok, report) = check(dir.path(), &[]);
        assert!(!ok && codes(&report).contains(&code.to_owned()), "{code}: {report}");
        let (ok, report) = check(dir.path(), &["--repair"]);
        assert!(ok, "{code}: {report}");
        assert!(
            report["repaired"].as_array().is_some_and(|r| r.iter().any(|f| f["code"] == code)),
            "{report}"
        );
        let (ok, report) = check(dir.path(), &["--repair"]);
        assert!(ok && report["repaired"].as_array().is_some_and(Vec::is_empty), "{code}: {report}");
        let s = Server::start_in(dir.path(), &[]);
        let items = s.get("/api/collections/c/items").json();
        assert_eq!(items["features"].as_array().map(Vec::len), Some(3), "{code}");
        assert_eq!(s.get("/api/collections/gone").status, 404);
    }
}

#[test]
fn orphans_and_dead_beginnings_are_removed_by_a_repair_and_nothing_else_is() {
    let dir = filled();
    let data = dir.path();
    let before = objects(data, "chunks").len();
    for folder in ["chunks", "manifests", "snapshots", "transactions"] {
        std::fs::write(data.join("collections/c/repo").join(folder).join("ZZZZZZZZZZZZZZZZZZZ0"), [1; 99])
            .expect("written");
    }
    std::fs::write(data.join("collections/c/.writing"), b"").expect("written");
    std::fs::create_dir_all(data.join("collections/died/repo")).expect("made");
    let (ok, report) = check(data, &["--repair"]);
    assert!(ok, "{report}");
    assert_eq!(objects(data, "chunks").len(), before);
    assert!(!data.join("collections/died").exists());
    assert!(check(data, &["--deep"]).0);
}
