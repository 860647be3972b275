//! Appending, repeating, replacing; going back, expiring, retiring: through the real binary.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use graticule_tests::granules::Granule;
use graticule_tests::{Server, graticule};
use serde_json::Value;

const TOKEN: &str = "a-token-for-the-tests-only";

fn run(data: &Path, args: &[&str]) -> Output {
    let mut all = args.to_vec();
    let shown = data.to_string_lossy();
    all.extend(["--data", &shown]);
    graticule(&all)
}

fn said(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

/// Ingests a granule; what was said, and whether all went well.
fn ingest(data: &Path, name: &str, granule: Granule, more: &[&str]) -> (bool, String) {
    ingest_into(data, "c", name, granule, more)
}

fn ingest_into(data: &Path, id: &str, name: &str, granule: Granule, more: &[&str]) -> (bool, String) {
    let folder = data.join("sources");
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = granule.write(&folder, name).to_string_lossy().into_owned();
    let mut args = vec!["ingest", &file, "--collection", id];
    args.extend(more);
    let out = run(data, &args);
    (out.status.success(), said(&out))
}

fn versions(s: &Server) -> Vec<Value> {
    s.get("/api/collections/c/versions").json()["versions"].as_array().expect("a list").clone()
}

fn items(s: &Server) -> Vec<String> {
    let all = s.get("/api/collections/c/items?limit=100").json();
    let ids = all["features"].as_array().expect("a list").iter();
    ids.map(|f| f["id"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Every stored chunk of the latest version, by its key.
fn chunks(s: &Server, id: &str) -> BTreeMap<String, Vec<u8>> {
    let root = s.get(&format!("/zarr/{id}/zarr.json")).json();
    let nodes = root["consolidated_metadata"]["metadata"].as_object().expect("nodes").clone();
    let list =
        |v: &Value| -> Vec<u64> { v.as_array().into_iter().flatten().filter_map(Value::as_u64).collect() };
    let mut all = BTreeMap::new();
    for (path, node) in nodes.iter().filter(|(_, n)| n["node_type"] == "array") {
        let (shape, chunk) =
            (list(&node["shape"]), list(&node["chunk_grid"]["configuration"]["chunk_shape"]));
        let grid: Vec<u64> = shape.iter().zip(&chunk).map(|(n, c)| n.div_ceil(*c)).collect();
        for flat in 0..grid.iter().product::<u64>() {
            let mut rest = flat;
            let mut index: Vec<String> = Vec::new();
            for n in grid.iter().rev() {
                index.push((rest % n).to_string());
                rest /= n;
            }
            index.reverse();
            let key = format!("{path}/c/{}", index.join("/"));
            let reply = s.get(&format!("/zarr/{id}/{key}"));
            if reply.status == 200 {
                all.insert(key, reply.body);
            }
        }
    }
    all
}

/// Values over time of the first cell.
fn series(s: &Server) -> Vec<f64> {
    let at = "/api/collections/c/position?coords=POINT(-157.5%20-75)";
    let all = s.get(at).json();
    let values = all["ranges"]["v"]["values"].as_array().unwrap_or_else(|| panic!("{all}"));
    values.iter().filter_map(Value::as_f64).collect()
}

#[test]
fn the_same_bytes_change_nothing_and_the_same_times_are_what_the_policy_says() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path();
    for (step, name) in ["a.nc", "b.nc", "c.nc"].iter().enumerate() {
        let (ok, said) = ingest(data, name, Granule::of(step), &[]);
        assert!(ok, "{said}");
    }
    let s = Server::start_in(data, &[]);
    let first = versions(&s);
    assert_eq!(first.len(), 3);
    assert_eq!(first[0]["changes"]["kind"], "append");
    assert_eq!(first[0]["changes"]["dimensions"]["time"]["before"], 2);
    assert_eq!(first[0]["changes"]["dimensions"]["time"]["after"], 3);
    assert_eq!(first[0]["changes"]["added"][0]["item"], "c.nc");
    let old = first[0]["id"].as_str().expect("an id").to_owned();
    let chunk = |v: &str| s.get(&format!("/zarr/c@{v}/v/c/0/0/0")).body;
    let before = chunk(&old);

    // The same bytes, under another name.
    let (ok, said) = ingest(data, "copy.nc", Granule::of(1), &[]);
    assert!(ok && said.contains("nothing new"), "{said}");
    // The same time, other bytes.
    let other = Granule { extra: 0.5, ..Granule::of(1) };
    let (ok, said) = ingest(data, "b2.nc", other, &[]);
    assert!(!ok && said.contains("2000-01-02") && said.contains("duplicates = \"replace\""), "{said}");
    let (ok, said) = ingest(data, "b2.nc", other, &["--duplicates", "error"]);
    assert!(!ok && said.contains("duplicates = \"error\""), "{said}");
    let (ok, said) = ingest(data, "b.nc", Granule::of(1), &["--duplicates", "error"]);
    assert!(!ok && said.contains("already"), "{said}");
    assert_eq!(versions(&s).len(), 3);
    assert_eq!(series(&s), [0.0, 1000.0, 2000.0]);

    let (ok, said) = ingest(data, "b2.nc", other, &["--duplicates", "replace"]);
    assert!(ok, "{said}");
    s.wait_for("/api/collections/c/items/b2.nc", |r| r.status == 200);
    assert_eq!(series(&s), [0.0, 1000.5, 2000.0]);
    assert_eq!(items(&s), ["a.nc", "c.nc", "b2.nc"]);
    let v = &versions(&s)[0];
    assert_eq!(v["changes"]["kind"], "replace");
    assert_eq!(v["changes"]["replaced"][0]["item"], "b.nc");
    assert_eq!(v["changes"]["replaced"][0]["by"], "b2.nc");
    assert_eq!(chunk(&old), before, "what was published never changes");
    assert_ne!(chunk(v["id"].as_str().expect("an id")), before);
    // Again: nothing.
    let (ok, said) = ingest(data, "b2.nc", other, &["--duplicates", "replace"]);
    assert!(ok && said.contains("nothing new"), "{said}");

    // A revision of the last step that brings two more, under the name that is taken.
    let revised = Granule { steps: 3, extra: 0.25, ..Granule::of(2) };
    let (ok, said) = ingest(data, "c.nc", revised, &["--duplicates", "version"]);
    assert!(ok, "{said}");
    s.wait_for("/api/collections/c/items/c.nc~2", |r| r.status == 200);
    assert_eq!(series(&s), [0.0, 1000.5, 2000.25, 3000.25, 4000.25]);
    let v = &versions(&s)[0];
    assert_eq!(v["changes"]["kind"], "revise");
    assert_eq!(v["changes"]["superseded"][0]["item"], "c.nc");
    let former = s.get("/api/collections/c/items/c.nc").json();
    assert_eq!(former["properties"]["deprecated"], true);
    let links = former["links"].as_array().expect("links");
    assert!(links.iter().any(|l| l["rel"] == "successor-version"), "{links:?}");
}

#[test]
fn what_lies_between_or_differs_is_refused_by_its_first_field() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path();
    assert!(ingest(data, "a.nc", Granule { steps: 2, ..Granule::of(4) }, &[]).0);
    for (granule, fragment) in [
        (Granule::of(1), "time out of order"),
        (Granule { steps: 2, ..Granule::of(3) }, "time out of order"),
        (Granule { rows: 7, ..Granule::of(9) }, "expected 6, found 7"),
    ] {
        for policy in ["skip", "replace", "version"] {
            let (ok, said) = ingest(data, "x.nc", granule, &["--duplicates", policy]);
            assert!(!ok && said.contains(fragment), "{policy}: {said}");
        }
    }
}

#[test]
fn a_rollback_is_a_new_version_and_what_it_took_away_can_be_appended_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path();
    for (step, name) in ["a.nc", "b.nc", "c.nc"].iter().enumerate() {
        assert!(ingest(data, name, Granule::of(step), &[]).0);
    }
    let s = Server::start_in(data, &["--token", TOKEN]);
    let list = versions(&s);
    let id = |n: usize| list[n]["id"].as_str().expect("an id").to_owned();
    let bad = run(data, &["rollback", "c", &id(0)]);
    assert!(!bad.status.success() && said(&bad).contains("is the latest"), "{}", said(&bad));
    let bad = run(data, &["rollback", "c", "0000000000000000000G"]);
    assert!(!bad.status.success() && said(&bad).contains("has no version"), "{}", said(&bad));
    let out = run(data, &["rollback", "c", &id(2)]);
    assert!(out.status.success(), "{}", said(&out));
    s.wait_for("/api/collections/c/items/c.nc", |r| r.status == 404);
    assert_eq!(items(&s), ["a.nc"]);
    assert_eq!(series(&s), [0.0]);
    let now = versions(&s);
    assert_eq!(now.len(), 4);
    assert_eq!(now[0]["changes"]["kind"], "rollback");
    assert_eq!(now[0]["changes"]["rollback_of"], id(2));
    assert_eq!(now[0]["changes"]["removed"].as_array().expect("a list").len(), 2);
    assert_eq!(now[0]["changes"]["dimensions"]["time"]["after"], 1);
    // The later versions stay readable.
    assert_eq!(s.get(&format!("/zarr/c@{}/v/zarr.json", id(0))).json()["shape"][0], 3);

    let (ok, said) = ingest(data, "b.nc", Granule::of(1), &[]);
    assert!(ok, "{said}");
    s.wait_for("/api/collections/c/items/b.nc", |r| r.status == 200);
    assert_eq!(series(&s), [0.0, 1000.0]);

    let path = "/api/collections/c/rollback";
    let body = format!("{{\"version\": \"{}\"}}", id(0));
    s.send("POST", path, &[], body.as_bytes()).problem(401);
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", &*bearer)];
    s.send("POST", path, &headers, b"{}").problem(400);
    let done = s.send("POST", path, &headers, body.as_bytes());
    assert_eq!(done.status, 201, "{}", String::from_utf8_lossy(&done.body));
    assert_eq!(items(&s), ["a.nc", "b.nc", "c.nc"]);
    assert_eq!(series(&s), [0.0, 1000.0, 2000.0]);
    // A page at a time.
    let page = s.get("/api/collections/c/versions?limit=4").json();
    let next = page["links"].as_array().expect("links").iter().find(|l| l["rel"] == "next");
    let next = next.and_then(|l| l["href"].as_str()).expect("a next page").replace(&s.url, "");
    let rest = s.get(&next).json();
    assert_eq!(rest["versions"].as_array().expect("a list").len(), 2);
    let one = s.get(&format!("/api/collections/c/versions/{}", id(0))).json();
    assert_eq!(one["id"], id(0));
}

#[test]
fn versions_beyond_retention_are_gone_and_say_so_and_those_within_stay_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path();
    for step in 0..5 {
        assert!(ingest(data, &format!("{step}.nc"), Granule::of(step), &[]).0);
    }
    let s = Server::start_in(data, &[]);
    let list = versions(&s);
    let id = |n: usize| list[n]["id"].as_str().expect("an id").to_owned();
    let objects = || std::fs::read_dir(data.join("collections/c/repo/snapshots")).expect("a folder").count();
    let before = objects();
    let none = run(data, &["expire", "c"]);
    assert!(!none.status.success() && said(&none).contains("--keep"), "{}", said(&none));
    let dry = run(data, &["expire", "c", "--keep", "2", "--dry-run"]);
    assert!(said(&dry).contains("3 versions would expire"), "{}", said(&dry));
    assert_eq!(versions(&s).len(), 5);
    // Within the grace, who reads an old version goes on reading.
    let out = run(data, &["expire", "c", "--keep", "2"]);
    assert!(out.status.success() && said(&out).contains("3 versions expired"), "{}", said(&out));
    assert_eq!(versions(&s).len(), 2);
    assert_eq!(s.get(&format!("/zarr/c@{}/v/c/0/0/0", id(4))).status, 200);
    assert_eq!(objects(), before);
    let out = run(data, &["expire", "c", "--keep", "2", "--grace", "0s"]);
    assert!(out.status.success() && said(&out).contains("objects deleted"), "{}", said(&out));
    assert_eq!(objects(), before - 3);
    for old in [id(2), id(4)] {
        let gone = s.wait_for(&format!("/zarr/c@{old}/v/c/0/0/0"), |r| r.status == 410);
        assert!(gone.problem(410)["detail"].as_str().expect("a detail").contains("expired"));
        s.get(&format!("/api/collections/c/versions/{old}")).problem(410);
    }
    for kept in [id(0), id(1)] {
        assert_eq!(s.get(&format!("/zarr/c@{kept}/v/c/0/0/0")).status, 200);
    }
    assert_eq!(series(&s), [0.0, 1000.0, 2000.0, 3000.0, 4000.0]);
    // Granules of versions that expired still make up those that stand.
    drop(s);
    std::fs::remove_file(data.join("catalog.sqlite")).expect("the catalog");
    let s = Server::start_in(data, &[]);
    assert_eq!(items(&s), ["0.nc", "1.nc", "2.nc", "3.nc", "4.nc"]);
    let (ok, said) = ingest(data, "again.nc", Granule::of(0), &[]);
    assert!(ok && said.contains("nothing new"), "{said}");
    assert!(ingest(data, "5.nc", Granule::of(5), &[]).0);
    s.wait_for("/api/collections/c/items/5.nc", |r| r.status == 200);
    let out = run(data, &["rollback", "c", &id(1)]);
    assert!(out.status.success(), "{}", self::said(&out));
    let out = run(data, &["rollback", "c", &id(3)]);
    assert!(!out.status.success() && self::said(&out).contains("expired"), "{}", self::said(&out));
}

#[test]
fn a_removed_collection_can_be_restored_until_it_is_purged() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path();
    assert!(ingest(data, "a.nc", Granule::of(0), &[]).0);
    let s = Server::start_in(data, &[]);
    let version = versions(&s)[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(s.get(&format!("/zarr/c@{version}/zarr.json")).status, 200);
    assert!(run(data, &["remove", "c"]).status.success());
    s.wait_for("/api/collections/c", |r| r.status == 404);
    s.wait_for(&format!("/zarr/c@{version}/zarr.json"), |r| r.status == 404);
    let again = run(data, &["remove", "c"]);
    assert!(!again.status.success() && said(&again).contains("no collection"), "{}", said(&again));
    assert!(run(data, &["restore", "c"]).status.success());
    s.wait_for("/api/collections/c", |r| r.status == 200);
    assert_eq!(s.get(&format!("/zarr/c@{version}/zarr.json")).status, 200);
    assert!(run(data, &["remove", "c", "--purge"]).status.success());
    let none = run(data, &["restore", "c"]);
    assert!(!none.status.success() && said(&none).contains("retired"), "{}", said(&none));
    assert_eq!(std::fs::read_dir(data.join("tmp")).expect("a folder").count(), 0);
}

#[test]
fn a_server_expires_what_its_configuration_says() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path();
    for step in 0..3 {
        assert!(ingest(data, &format!("{step}.nc"), Granule::of(step), &[]).0);
    }
    let config = data.join("graticule.toml");
    std::fs::write(&config, "[versions]\nkeep = 1\ngrace = \"0s\"\n").expect("written");
    let s = Server::start_in(data, &["--config", &config.to_string_lossy()]);
    let list = s.wait_for("/api/collections/c/versions", |r| {
        r.json()["versions"].as_array().is_some_and(|l| l.len() == 1)
    });
    assert_eq!(list.json()["versions"][0]["latest"], true);
    assert_eq!(series(&s), [0.0, 1000.0, 2000.0]);
}

#[test]
fn what_was_replaced_is_as_if_it_had_never_been_otherwise_at_every_level() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path();
    // Two levels; the third shard of steps begins within these.
    let grid = |first, steps, extra| Granule { first, steps, rows: 300, columns: 280, extra };
    for (n, first) in [0, 5, 12, 19].into_iter().enumerate() {
        let next = [5, 12, 19, 20][n];
        let straight = grid(first, next - first, if n == 1 || n == 3 { 0.5 } else { 0.0 });
        let (ok, said) = ingest_into(data, "straight", &format!("{n}.nc"), straight, &[]);
        assert!(ok, "{said}");
        if n < 3 {
            let (ok, said) = ingest(data, &format!("{n}.nc"), grid(first, next - first, 0.0), &[]);
            assert!(ok, "{said}");
        }
    }
    // One in the middle and one that continues, in one run.
    let folder = data.join("sources");
    let files = [grid(5, 7, 0.5).write(&folder, "1-new.nc"), grid(19, 1, 0.5).write(&folder, "3.nc")];
    let files: Vec<String> = files.iter().map(|f| f.to_string_lossy().into_owned()).collect();
    let out = run(data, &["ingest", &files[0], &files[1], "--collection", "c", "--duplicates", "replace"]);
    assert!(out.status.success(), "{}", said(&out));
    let s = Server::start_in(data, &[]);
    let (got, want) = (chunks(&s, "c"), chunks(&s, "straight"));
    assert_eq!(got.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>());
    assert!(want.keys().any(|k| k.starts_with("1/v/")));
    for (key, bytes) in &want {
        assert!(got[key] == *bytes, "{key} differs");
    }
    let v = &versions(&s)[0];
    assert_eq!(v["changes"]["added"].as_array().expect("a list").len(), 2);
    assert_eq!(v["changes"]["replaced"][0]["item"], "1.nc");
}

#[test]
fn a_coordinate_of_many_runs_is_continued_and_replaced_in_its_own() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path();
    let grid = |first, steps, extra| Granule { first, steps, rows: 2, columns: 2, extra };
    for (n, (first, steps)) in [(0, 17_000), (17_000, 1), (17_001, 2)].into_iter().enumerate() {
        let (ok, said) = ingest(data, &format!("{n}.nc"), grid(first, steps, 0.0), &[]);
        assert!(ok, "{said}");
    }
    let (ok, said) = ingest(data, "new.nc", grid(16_380, 10, 500.0), &["--duplicates", "replace"]);
    assert!(ok, "{said}");
    let s = Server::start_in(data, &[]);
    let got = s.get("/api/collections/c/position?coords=POINT(-90%20-45)").json();
    let got: Vec<f64> =
        got["ranges"]["v"]["values"].as_array().expect("values").iter().filter_map(Value::as_f64).collect();
    let want: Vec<f64> = (0..17_003)
        .map(|n| f64::from(n) * 1000.0 + if (16_380..16_390).contains(&n) { 500.0 } else { 0.0 })
        .collect();
    assert!(got == want, "{} values", got.len());
    let time = s.get("/zarr/c/time/zarr.json").json();
    assert_eq!(time["chunk_grid"]["configuration"]["chunk_shape"][0], 16_384);
    // The granule of many steps still stands for the others.
    assert_eq!(items(&s), ["0.nc", "1.nc", "2.nc", "new.nc"]);
}
