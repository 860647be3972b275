//! Tables end to end: ingest, rows over HTTP, versions, kills.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use graticule_tests::{Reply, Server, binary, demo_file, graticule, ingest, sample};
use serde_json::Value;

fn try_ingest(data: &Path, file: &Path, collection: &str) -> Output {
    graticule(&[
        "ingest",
        &file.to_string_lossy(),
        "--collection",
        collection,
        "--data",
        &data.to_string_lossy(),
    ])
}

fn get(s: &Server, path: &str) -> Value {
    let reply = s.get(path);
    assert_eq!(reply.status, 200, "{path}: {}", String::from_utf8_lossy(&reply.body));
    reply.json()
}

fn refused(s: &Server, path: &str, status: u16) -> String {
    let reply: Reply = s.get(path);
    assert_eq!(reply.status, status, "{path}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    reply.json()["detail"].as_str().unwrap().to_owned()
}

/// Rows of a made-up network of buoys.
fn buoys(rows: std::ops::Range<u32>) -> String {
    let mut out = "id,time,lat,lon,depth (m),place\n".to_owned();
    for i in rows {
        let (day, hour) = (1 + i / 24 % 28, i % 24);
        let _ = writeln!(
            out,
            "b{i},2020-01-{day:02}T{hour:02}:00:00Z,{},{},{}.5,\"sea, {i}\"",
            i % 90,
            i % 360,
            i
        );
    }
    out
}

#[test]
fn rows_are_filtered_ordered_paged_and_pinned_to_a_version() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("buoys.csv");
    std::fs::write(&file, buoys(0..2500)).unwrap();
    let s = Server::start_with(&[], |data| ingest(data, &file, "buoys"));
    let first = get(&s, "/api/tables/buoys?limit=1000&order=-depth&select=id,depth");
    assert_eq!(first["numberMatched"], 2500);
    assert_eq!(first["rows"][0], serde_json::json!({"id": "b2499", "depth": 2499.5}));
    assert_eq!(first["columns"][1]["unit"], "m");
    // A newer version comes between two pages; the pages do not see it.
    let more = dir.path().join("more.csv");
    std::fs::write(&more, buoys(2500..2600)).unwrap();
    ingest(&s.data, &more, "buoys");
    let (mut seen, mut page) = (Vec::new(), first.clone());
    loop {
        seen.extend(page["rows"].as_array().unwrap().iter().map(|r| r["depth"].as_f64().unwrap()));
        let next = page["links"].as_array().unwrap().iter().find(|l| l["rel"] == "next").cloned();
        let Some(next) = next else { break };
        let href = next["href"].as_str().unwrap();
        page = get(&s, &href[href.find("/api/").unwrap()..]);
    }
    assert_eq!(seen.len(), 2500);
    assert!(seen.windows(2).all(|w| w[0] > w[1]));
    assert_eq!(get(&s, "/api/tables/buoys")["numberMatched"], 2600);
    let v1 = first["version"].as_str().unwrap();
    assert_eq!(get(&s, &format!("/api/tables/buoys@{v1}"))["numberMatched"], 2500);
    let count = |q: &str| get(&s, &format!("/api/tables/buoys@{v1}?{q}"))["numberMatched"].as_u64().unwrap();
    assert_eq!(count("id=b7"), 1);
    assert_eq!(count("depth_ge=2000&depth_lt=2010"), 10);
    assert_eq!(count("id_ne=b7"), 2499);
    assert_eq!(count("place=sea,%207"), 1);
    assert_eq!(count("datetime=2020-01-02"), (0..2500).filter(|i| 1 + i / 24 % 28 == 2).count() as u64);
    assert_eq!(
        count("datetime=2020-01-27T12:00:00Z/.."),
        (0..2500).filter(|i| 1 + i / 24 % 28 == 28 || (1 + i / 24 % 28 == 27 && i % 24 >= 12)).count() as u64
    );
    // Longitudes are stored as 0 to 359.
    let within = |i: &u32| (-10..=10).contains(&(((i % 360) as i32 + 180) % 360 - 180)) && i % 90 <= 20;
    assert_eq!(count("bbox=-10,0,10,20"), (0..2500).filter(within).count() as u64);
    let across = |i: &u32| [170..=180, 181..=190].iter().any(|r| r.contains(&(i % 360)));
    assert_eq!(count("bbox=170,-90,-170,90"), (0..2500).filter(across).count() as u64);
}

#[test]
fn a_table_is_csv_with_an_etag_and_open_to_all() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("buoys.csv");
    std::fs::write(&file, buoys(0..2500) + "=2+2,2020-01-01,1,2,3.5,-\n").unwrap();
    let s = Server::start_with(&[], |data| ingest(data, &file, "buoys"));
    let reply = s.get("/api/tables/buoys?f=csv");
    assert_eq!(reply.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let text = String::from_utf8(reply.body.clone()).unwrap();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines.len(), 2503);
    assert_eq!(lines[0], "id,time,lat,lon,depth,place");
    assert_eq!(lines[8], "b7,2020-01-01T07:00:00Z,7,7,7.5,\"sea, 7\"");
    assert_eq!(
        lines[2501], "\"'=2+2\",2020-01-01T00:00:00Z,1,2,3.5,\"'-\"",
        "a formula is no formula any more"
    );
    let etag = reply.header("etag").unwrap().to_owned();
    assert_eq!(s.get_with("/api/tables/buoys?f=csv", &[("If-None-Match", &etag)]).status, 304);
    assert_ne!(s.get("/api/tables/buoys?f=csv&limit=5").header("etag"), Some(etag.as_str()));
}

#[test]
fn what_a_table_does_not_have_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("buoys.csv");
    std::fs::write(&file, buoys(0..30)).unwrap();
    let s = Server::start_with(&[], |data| ingest(data, &file, "buoys"));
    assert!(refused(&s, "/api/tables/buoys?dpeth_gt=1", 400).contains("the nearest is \"depth\""));
    assert!(refused(&s, "/api/tables/buoys?f=csv&depth=1&f=json", 400).contains("given twice"));
    // Conditions on a column may be several, and all of them hold.
    assert_eq!(get(&s, "/api/tables/buoys?depth_ne=1.5&depth_ne=2.5&depth_le=3.5")["numberMatched"], 2);
    assert!(refused(&s, "/api/tables/buoys?depth=deep", 400).contains("expected a number"));
    assert!(refused(&s, "/api/tables/buoys@NOPE", 404).contains("no version"));
    assert!(refused(&s, "/api/tables/other", 404).contains("no table"));
    for path in [
        "/api/collections/buoys/position?coords=POINT(1%202)",
        "/api/collections/buoys/preview.png",
        "/zarr/buoys/zarr.json",
    ] {
        assert!(refused(&s, path, 404).contains("is a table"), "{path}");
    }
}

#[test]
fn a_table_is_catalogued_as_stac_says() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("buoys.csv");
    std::fs::write(&file, buoys(0..30)).unwrap();
    let s = Server::start_with(&["--demo"], |data| ingest(data, &file, "buoys"));
    let c = get(&s, "/api/collections/buoys");
    assert_eq!(c["table:row_count"], 30);
    assert_eq!(c["table:columns"][4], serde_json::json!({"name": "depth", "type": "float64", "unit": "m"}));
    assert_eq!(c["extent"]["spatial"]["bbox"][0], serde_json::json!([0.0, 0.0, 29.0, 29.0]));
    assert_eq!(c["extent"]["temporal"]["interval"][0][0], "2020-01-01T00:00:00Z");
    assert_eq!(get(&s, "/api/tables")["tables"].as_array().unwrap().len(), 1);
    let items = get(&s, "/api/collections/buoys/items");
    assert_eq!(items["features"][0]["id"], "buoys.csv");
    let versions = get(&s, "/api/collections/buoys/versions");
    assert_eq!(versions["versions"][0]["changes"]["rows_added"], 30);
    assert!(get(&s, "/api/collections")["numberMatched"].as_u64().unwrap() > 1);
}

#[test]
fn the_same_file_twice_changes_nothing_and_what_does_not_fit_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let data = dir.path().join("data");
    ingest(&data, &write("a.csv", "station,n\nx,1\ny,2\n"), "t");
    let again = try_ingest(&data, &write("copy.csv", "station,n\nx,1\ny,2\n"), "t");
    assert!(String::from_utf8_lossy(&again.stdout).contains("nothing new was published"));
    // Whole numbers become floats where fractions come: nothing is lost.
    ingest(&data, &write("b.csv", "station,n\nz,2.5\n"), "t");
    let words = try_ingest(&data, &write("c.csv", "station,n\nx,1\ny,many\n"), "t");
    assert!(!words.status.success());
    let said = String::from_utf8_lossy(&words.stderr).into_owned();
    assert!(said.contains("column \"n\": expected float64, found text, at line 3: \"many\""), "{said}");
    let names = try_ingest(&data, &write("d.csv", "station,m\nx,1\n"), "t");
    assert!(String::from_utf8_lossy(&names.stderr).contains("expected column \"n\", found \"m\""));
    let cube = try_ingest(&data, &demo_file("ostia-sst.nc"), "t");
    assert!(String::from_utf8_lossy(&cube.stderr).contains("the collection is a table"));
    let s = Server::start_in(&data, &[]);
    let rows = get(&s, "/api/tables/t");
    assert_eq!(rows["rows"].as_array().unwrap().len(), 3);
    assert_eq!(rows["columns"][1]["type"], "float64");
    assert_eq!(get(&s, "/api/collections/t/versions")["versions"].as_array().unwrap().len(), 2);
}

#[test]
fn samples_of_the_meteor_network_and_of_buoys_are_served_whole() {
    let (Some(gmn), Some(ndbc)) =
        (sample("tabular/gmn_traj_summary_monthly_201812.txt"), sample("tabular/ndbc_41002.txt"))
    else {
        return;
    };
    let s = Server::start_with(&[], |data| {
        ingest(data, &gmn, "gmn");
        ingest(data, &ndbc, "ndbc");
    });
    assert_eq!(get(&s, "/api/collections/gmn")["table:row_count"], 497);
    let one = get(&s, "/api/tables/gmn?unique_trajectory_identifier=20181210010656_eBlUM");
    assert_eq!(one["rows"][0]["Sol lon"], 257.653525);
    assert_eq!(
        get(&s, "/api/tables/ndbc?WTMP_gt=28.5")["rows"][0]["WTMP"].as_f64().map(|t| t > 28.5),
        Some(true)
    );
    let csv = s.get("/api/tables/ndbc?f=csv").body;
    assert_eq!(csv.iter().filter(|b| **b == b'\n').count(), 6561);
}

#[test]
fn a_killed_ingest_leaves_a_whole_version() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let first = dir.path().join("first.csv");
    std::fs::write(&first, buoys(0..1000)).unwrap();
    ingest(&data, &first, "t");
    let mut whole = vec![1000];
    for round in 0..12u32 {
        let file = dir.path().join(format!("more-{round}.csv"));
        let from = 1000 + round * 20_000;
        std::fs::write(&file, buoys(from..from + 20_000)).unwrap();
        let mut child = Command::new(binary())
            .args(["ingest", &file.to_string_lossy(), "--collection", "t", "--data", &data.to_string_lossy()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(20 + round * 35)));
        child.kill().unwrap();
        child.wait().unwrap();
        let s = Server::start_in(&data, &[]);
        let table = get(&s, "/api/tables/t?limit=1");
        let rows = table["numberMatched"].as_u64().unwrap();
        let stated = get(&s, "/api/collections/t")["table:row_count"].as_u64().unwrap();
        assert_eq!(rows, stated, "round {round}");
        let before = *whole.last().unwrap();
        assert!(rows == before || rows == before + 20_000, "round {round}: {rows} after {before}");
        whole.push(rows);
    }
    // The same command run again completes.
    let last = dir.path().join("more-11.csv");
    ingest(&data, &last, "t");
}

#[test]
fn a_corrected_file_follows_the_policy_for_duplicates() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let first = dir.path().join("first.csv");
    std::fs::write(&first, buoys(0..10)).unwrap();
    ingest(&data, &first, "t");
    let corrected = dir.path().join("corrected.csv");
    std::fs::write(&corrected, buoys(0..12).replace(",7.5,", ",7.75,")).unwrap();
    let with = |policy: &str| {
        graticule(&[
            "ingest",
            &corrected.to_string_lossy(),
            "--collection",
            "t",
            "--data",
            &data.to_string_lossy(),
            "--duplicates",
            policy,
        ])
    };
    let refused = with("error");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("a row with the key \"b7\" and other values"));
    assert!(with("replace").status.success());
    let s = Server::start_in(&data, &[]);
    assert_eq!(get(&s, "/api/tables/t?id=b7")["rows"][0]["depth"], 7.75);
    assert_eq!(get(&s, "/api/tables/t")["numberMatched"], 12);
    let versions = get(&s, "/api/collections/t/versions")["versions"].clone();
    let changes = &versions[0]["changes"];
    assert_eq!((changes["rows_added"].as_u64(), changes["rows_removed"].as_u64()), (Some(3), Some(1)));
    let before = versions[1]["id"].as_str().unwrap();
    assert_eq!(get(&s, &format!("/api/tables/t@{before}?id=b7"))["rows"][0]["depth"], 7.5);
    assert_eq!(get(&s, &format!("/api/collections/t/versions/{before}"))["rows"], 10);
}

#[test]
fn a_check_proves_tables_and_never_removes_one_that_it_cannot_read() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = dir.path().join("a.csv");
    std::fs::write(&file, buoys(0..500)).unwrap();
    ingest(&data, &file, "t");
    let check = |more: &[&str]| {
        let shown = data.to_string_lossy().into_owned();
        graticule(&[&["check", "--data", &shown], more].concat())
    };
    assert!(check(&[]).status.success(), "{}", String::from_utf8_lossy(&check(&[]).stdout));
    let table = data.join("collections/t/table.sqlite");
    let whole = std::fs::read(&table).unwrap();
    let mut bytes = whole.clone();
    let middle = bytes.len() / 8192 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    for damaged in [bytes.as_slice(), b"not a table any more"] {
        std::fs::write(&table, damaged).unwrap();
        assert!(!check(&["--repair"]).status.success());
        assert!(table.is_file());
    }
    // The catalog is written anew from a table as from a cube.
    std::fs::write(&table, &whole).unwrap();
    std::fs::remove_file(data.join("catalog.sqlite")).unwrap();
    let s = Server::start_in(&data, &[]);
    assert_eq!(get(&s, "/api/collections/t")["table:row_count"], 500);
}

fn ok(args: &[&str]) -> String {
    let out = graticule(args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Publishes three versions of a table and returns the ids of the versions, oldest first.
fn three_versions(dir: &Path, data: &Path) -> Vec<String> {
    // Whole numbers, then fractions, then a row that takes the place of another.
    for (name, text) in [
        ("a.csv", "id,lat,lon,depth (m)\nb0,1,2,10\nb1,3,4,20\n"),
        ("b.csv", "id,lat,lon,depth (m)\nb2,5,6,30.5\n"),
        ("c.csv", "id,lat,lon,depth (m)\nb0,1,2,11\n"),
    ] {
        let file = dir.join(name);
        std::fs::write(&file, text).unwrap();
        let (file, data) = (file.to_string_lossy(), data.to_string_lossy());
        ok(&["ingest", &file, "--collection", "t", "--data", &data, "--duplicates", "replace"]);
    }
    let s = Server::start_in(data, &[]);
    let listed = get(&s, "/api/collections/t/versions");
    let ids = listed["versions"].as_array().unwrap().iter().map(|v| v["id"].as_str().unwrap().to_owned());
    let ids: Vec<String> = ids.collect();
    ids.into_iter().rev().collect()
}

/// Depths by id, of the latest version or another.
fn depths(s: &Server, reference: &str) -> Vec<f64> {
    let rows = get(s, &format!("/api/tables/{reference}?order=id&select=id,depth"));
    rows["rows"].as_array().unwrap().iter().map(|r| r["depth"].as_f64().unwrap()).collect()
}

#[test]
fn a_table_goes_back_to_an_earlier_version_and_forward_again_with_its_history_kept() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let v = three_versions(dir.path(), &data);
    let shown = data.to_string_lossy();
    let s = Server::start_in(&data, &["--token", "a-token-for-this-test"]);
    assert_eq!(depths(&s, "t"), [11.0, 20.0, 30.5]);
    ok(&["rollback", "t", &v[0], "--data", &shown]);
    s.wait_for("/api/tables/t", |r| r.json()["numberMatched"] == 2);
    assert_eq!(depths(&s, "t"), [10.0, 20.0]);
    let latest = get(&s, "/api/collections/t/versions")["versions"][0].clone();
    assert_eq!(
        (&latest["changes"]["kind"], &latest["changes"]["rollback_of"]),
        (&"rollback".into(), &Value::from(&*v[0]))
    );
    assert_eq!(latest["changes"]["removed"].as_array().unwrap().len(), 2);
    assert_eq!(s.get("/api/collections/t/items/b.csv").status, 404);
    assert_eq!(depths(&s, &format!("t@{}", v[2])), [11.0, 20.0, 30.5]);
    // Forward again, over HTTP: what had been taken away is back, as it was.
    let post = |version: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        let body = format!("{{\"version\": \"{version}\"}}");
        s.send("POST", "/api/collections/t/rollback", &[("authorization", &bearer)], body.as_bytes())
    };
    assert_eq!(post(&v[1], "another-token-altogether").status, 401);
    let said = post("NOSUCHVERSION", "a-token-for-this-test").problem(404).to_string();
    assert!(said.contains("NOSUCHVERSION"), "{said}");
    let made = post(&v[1], "a-token-for-this-test");
    assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
    let made = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(post(&made, "a-token-for-this-test").status, 409);
    assert_eq!(depths(&s, "t"), [10.0, 20.0, 30.5]);
    assert_eq!(s.get("/api/collections/t/items/b.csv").status, 200);
    // A granule that going back took away can be appended again; one that is there changes nothing.
    let file = |n: &str| dir.path().join(n).to_string_lossy().into_owned();
    let again = ok(&["ingest", &file("b.csv"), "--collection", "t", "--data", &shown]);
    assert!(again.contains("nothing new"), "{again}");
    ok(&["ingest", &file("c.csv"), "--collection", "t", "--data", &shown, "--duplicates", "replace"]);
    s.wait_for("/api/tables/t?id=b0", |r| r.json()["rows"][0]["depth"] == 11.0);
    assert_eq!(depths(&s, &format!("t@{made}")), [10.0, 20.0, 30.5]);
    ok(&["check", "t", "--data", &shown]);
}

#[test]
fn versions_of_a_table_expire_stay_readable_for_their_grace_and_are_then_gone() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let v = three_versions(dir.path(), &data);
    let shown = data.to_string_lossy();
    let s = Server::start_in(&data, &[]);
    let said = ok(&["expire", "t", "--keep", "1", "--dry-run", "--data", &shown]);
    assert!(said.contains("2 versions would expire, 1 stand") && said.contains(&v[0]), "{said}");
    let said = ok(&["expire", "t", "--keep", "1", "--grace", "1h", "--data", &shown]);
    assert!(said.contains("2 versions expired, 1 stand"), "{said}");
    let listed = get(&s, "/api/collections/t/versions");
    assert_eq!(listed["versions"].as_array().unwrap().len(), 1);
    assert_eq!(depths(&s, &format!("t@{}", v[0])), [10.0, 20.0], "its grace lasts");
    let said = graticule(&["rollback", "t", &v[0], "--data", &shown]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("has expired"), "{said:?}");
    let said = ok(&["expire", "t", "--keep", "1", "--grace", "0s", "--data", &shown]);
    assert!(said.contains("1 objects deleted"), "{said}");
    for path in [format!("/api/tables/t@{}", v[0]), format!("/api/collections/t/versions/{}", v[1])] {
        assert!(refused(&s, &path, 410).contains("expired"), "{path}");
    }
    refused(&s, "/api/tables/t@NOSUCHVERSION", 404);
    assert_eq!(depths(&s, "t"), [11.0, 20.0, 30.5]);
    // What expired versions brought is there, and is known.
    assert_eq!(s.get("/api/collections/t/items/a.csv").status, 200);
    let file = dir.path().join("a.csv");
    let said = ok(&["ingest", &file.to_string_lossy(), "--collection", "t", "--data", &shown]);
    assert!(said.contains("nothing new"), "{said}");
    ok(&["check", "t", "--data", &shown]);
}
