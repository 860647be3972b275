//! Tokens, events, and a server's life.

use std::time::Duration;

use graticule_tests::{Server, demo_file, graticule, ingest};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_version_published_by_another_process_is_served_and_told_at_once() {
    let s = Server::start(&[]);
    let all = s.events("", None);
    let others = s.events("?collection=other", None);
    ingest(&s.data, &demo_file("ostia-sst.nc"), "ostia");
    // The stored bytes need no notice: "latest" is read at each request.
    assert_eq!(s.get("/zarr/ostia/zarr.json").status, 200);
    let event = all.recv_timeout(SOON).expect("an event");
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "org.graticule.version.published");
    assert_eq!(event["data"]["collection"], "ostia");
    let version = event["data"]["version"].as_str().unwrap();
    assert_eq!(s.get("/api/collections/ostia").json()["version"], version);
    assert!(others.recv_timeout(Duration::from_millis(300)).is_err());
}

#[test]
fn whoever_was_away_hears_what_was_missed_and_nothing_twice() {
    let s = Server::start_with(&[], |data| {
        ingest(data, &demo_file("ostia-sst.nc"), "a");
        ingest(data, &demo_file("ostia-sst.nc"), "b");
        ingest(data, &demo_file("ostia-sst.nc"), "c");
    });
    let from_start = s.events("?type=org.graticule.version.published", Some("0"));
    let heard: Vec<_> = (0..3).map(|_| from_start.recv_timeout(SOON).expect("an event")).collect();
    let collections: Vec<_> = heard.iter().map(|e| e["data"]["collection"].as_str().unwrap()).collect();
    assert_eq!(collections, ["a", "b", "c"]);
    assert!(from_start.recv_timeout(Duration::from_millis(1500)).is_err(), "nothing is told twice");
    let second = heard[1]["id"].as_str().unwrap();
    let resumed = s.events("?type=org.graticule.version.published", Some(second));
    assert_eq!(resumed.recv_timeout(SOON).expect("an event"), heard[2]);
    s.get_with("/api/events", &[("last-event-id", "yesterday")]).problem(400);
}

#[test]
fn tokens_are_issued_listed_and_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let out = graticule(&["token", "issue", "--scope", "ingest:ostia", "--name", "ci", "--data", data]);
    assert!(out.status.success());
    let token = String::from_utf8(out.stdout).unwrap().trim().to_owned();
    assert!(token.len() >= 64);
    let list = String::from_utf8(graticule(&["token", "list", "--data", data]).stdout).unwrap();
    assert!(list.contains("ingest:ostia") && list.contains("ci") && !list.contains(&token), "{list}");
    let s = Server::start_in(dir.path(), &[]);
    let run = |token: Option<&str>, collection: &str| {
        let bearer = token.map(|t| format!("Bearer {t}"));
        let headers: Vec<(&str, &str)> = bearer.iter().map(|b| ("authorization", b.as_str())).collect();
        let body = format!("{{\"collection\": \"{collection}\", \"inputs\": [\"nothing.nc\"]}}");
        s.send("POST", "/api/runs", &headers, body.as_bytes())
    };
    assert!(run(None, "ostia").header("www-authenticate").is_some());
    run(None, "ostia").problem(401);
    run(Some("graticule_wrong"), "ostia").problem(401);
    assert!(run(Some(&token), "other").problem(403)["detail"].as_str().unwrap().contains("ingest:other"));
    // Allowed, and then refused for what it names.
    run(Some(&token), "ostia").problem(400);
    assert!(graticule(&["token", "revoke", "1", "--data", data]).status.success());
    assert!(!graticule(&["token", "revoke", "1", "--data", data]).status.success());
    run(Some(&token), "ostia").problem(401);
}

#[test]
fn a_run_ingests_in_the_background_and_says_why_each_granule_failed() {
    let s = Server::start(&["--token", "a-token-for-this-test"]);
    let incoming = s.data.join("incoming");
    std::fs::create_dir_all(&incoming).unwrap();
    std::fs::copy(demo_file("ostia-sst.nc"), incoming.join("good.nc")).unwrap();
    std::fs::write(incoming.join("bad.nc"), b"CDF\x01 and then nothing of the kind").unwrap();
    let heard = s.events("?type=org.graticule.version.published", None);
    let created = s.send(
        "POST",
        "/api/runs",
        &[("authorization", "Bearer a-token-for-this-test"), ("content-type", "application/json")],
        br#"{"collection": "ostia", "inputs": ["good.nc", "bad.nc"]}"#,
    );
    assert_eq!(created.status, 202, "{}", String::from_utf8_lossy(&created.body));
    let place = created.header("location").expect("a place").strip_prefix(&s.url).unwrap().to_owned();
    let ended = s.wait_for(&place, |r| !["queued", "running"].iter().any(|w| r.json()["state"] == *w)).json();
    assert_eq!(
        (&ended["counts"]["published"], &ended["counts"]["failed"]),
        (&1.into(), &1.into()),
        "{ended}"
    );
    let granules = s.get(&format!("{place}/granules")).json();
    let bad = granules["granules"].as_array().unwrap().iter().find(|g| g["state"] == "failed").unwrap();
    assert!(bad["failure"]["reason"].as_str().is_some_and(|r| !r.is_empty()), "{bad}");
    assert_eq!(heard.recv_timeout(SOON).expect("an event")["data"]["collection"], "ostia");
    assert_eq!(s.get("/api/collections/ostia").status, 200);
}

#[test]
fn a_catalog_that_was_lost_is_rebuilt_from_the_stores() {
    let dir = tempfile::tempdir().unwrap();
    ingest(dir.path(), &demo_file("ostia-sst.nc"), "ostia");
    let before = Server::start_in(dir.path(), &[]).get("/api/collections/ostia").json();
    for name in ["catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm"] {
        let _ = std::fs::remove_file(dir.path().join(name));
    }
    let s = Server::start_in(dir.path(), &[]);
    let after = s.get("/api/collections/ostia").json();
    for member in ["version", "title", "extent", "cube:dimensions", "cube:variables", "updated"] {
        assert_eq!(after[member], before[member], "{member}");
    }
    assert_eq!(s.get("/api/collections/ostia/items/ostia-sst.nc").status, 200);
}

#[test]
fn a_server_that_is_told_to_stop_does_so_in_order_even_while_someone_listens() {
    let mut s = Server::start(&[]);
    let listening = s.events("", None);
    let start = std::time::Instant::now();
    assert!(s.terminate());
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert!(listening.recv_timeout(SOON).is_err());
}

#[test]
fn an_idle_server_is_small() {
    let s = Server::start_with(&[], |data| ingest(data, &demo_file("ostia-sst.nc"), "ostia"));
    s.get("/zarr/ostia/analysed_sst/c/0/0/0");
    s.get("/api/collections");
    let status = std::fs::read_to_string(format!("/proc/{}/status", s.pid())).unwrap();
    let kib: u64 = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
        .unwrap();
    assert!(kib < 40 * 1024, "{kib} KiB resident");
}

#[test]
fn a_misspelt_key_of_the_configuration_is_named_with_its_neighbour() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("graticule.toml");
    std::fs::write(&file, "dtaa = \"x\"\n").unwrap();
    let out = graticule(&["serve", "--config", file.to_str().unwrap()]);
    assert!(!out.status.success());
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("dtaa") && said.contains("did you mean \"data\""), "{said}");
}

#[test]
fn a_run_follows_a_recipe_of_the_server_and_names_no_url_unless_that_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let recipes = dir.path().join("recipes");
    std::fs::create_dir_all(recipes.join("files")).unwrap();
    std::fs::copy(demo_file("ostia-sst.nc"), recipes.join("files/ostia-sst.nc")).unwrap();
    std::fs::write(
        recipes.join("sst.toml"),
        "[collection]\nid = \"sea\"\ntitle = \"The sea\"\n[source]\nroot = \"files\"\npattern = \"*-sst.nc\"",
    )
    .unwrap();
    std::fs::write(recipes.join("bad.toml"), "[cubes]").unwrap();
    let config = dir.path().join("graticule.toml");
    std::fs::write(&config, "recipes = \"recipes\"\ntoken = \"a-token-for-this-test\"").unwrap();
    let s = Server::start(&["--config", &config.to_string_lossy()]);
    let listed = s.get("/api/recipes").json();
    let listed = listed["recipes"].as_array().unwrap();
    assert_eq!((&listed[1]["id"], &listed[1]["collection"]), (&"sst".into(), &"sea".into()));
    assert!(listed[0]["error"].as_str().unwrap().contains("did you mean \"cube\"?"), "{listed:?}");
    let post = |body: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        s.send("POST", "/api/runs", &headers, body.as_bytes())
    };
    assert_eq!(post(r#"{"recipe": "sst"}"#, "not-the-token-at-all").status, 401);
    let said = post(r#"{"recipe": "stt"}"#, "a-token-for-this-test").problem(400);
    assert!(said["detail"].as_str().unwrap().contains("did you mean \"sst\"?"), "{said}");
    let created = post(r#"{"recipe": "sst"}"#, "a-token-for-this-test");
    assert_eq!(created.status, 202, "{}", String::from_utf8_lossy(&created.body));
    let place = created.header("location").expect("a place").strip_prefix(&s.url).unwrap().to_owned();
    let ended = s.wait_for(&place, |r| !["queued", "running"].iter().any(|w| r.json()["state"] == *w)).json();
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(s.get("/api/collections/sea").json()["title"], "The sea");
    let inside = r#"{"collection": "sea", "inputs": ["http://169.254.169.254/latest"]}"#;
    let said = post(inside, "a-token-for-this-test").problem(400);
    assert!(said["detail"].as_str().unwrap().contains("allow_urls"), "{said}");
}

/// Makes a token with one scope.
fn token(data: &std::path::Path, scope: &str) -> String {
    let out = graticule(&["token", "issue", "--scope", scope, "--data", &data.to_string_lossy()]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_token_for_one_collection_runs_no_recipe_of_another_and_learns_nothing_of_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let recipes = dir.path().join("recipes");
    std::fs::create_dir_all(recipes.join("files")).unwrap();
    std::fs::copy(demo_file("ostia-sst.nc"), recipes.join("files/ostia-sst.nc")).unwrap();
    let recipe = "[collection]\nid = \"sea\"\n[source]\nroot = \"files\"\npattern = \"*-sst.nc\"";
    std::fs::write(recipes.join("sst.toml"), recipe).unwrap();
    std::fs::write(recipes.join("broken.toml"), "[cubes]").unwrap();
    let config = dir.path().join("graticule.toml");
    std::fs::write(&config, "recipes = \"recipes\"").unwrap();
    let data = dir.path().join("data");
    let s = Server::start_in(&data, &["--config", &config.to_string_lossy()]);
    let (mine, theirs, reads) =
        (token(&data, "ingest:sea"), token(&data, "ingest:land"), token(&data, "read:sea"));
    let post = |body: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        s.send("POST", "/api/runs", &[("authorization", &bearer)], body.as_bytes())
    };
    for body in [r#"{"recipe": "sst"}"#, r#"{"recipe": "sst", "collection": "land"}"#] {
        let said = post(body, &theirs).problem(403);
        assert!(said["detail"].as_str().unwrap().contains("ingest:sea"), "{said}");
    }
    // Who may not ingest at all does not learn which recipes there are.
    for body in [r#"{"recipe": "none"}"#, r#"{"recipe": "broken"}"#] {
        let said = post(body, &reads).problem(403).to_string();
        assert!(!said.contains("broken.toml") && !said.contains("sst"), "{said}");
    }
    for body in [
        r#"{"recipe": "broken"}"#,
        r#"{"recipe": "none"}"#,
        r#"{"collection": "sea", "inputs": ["nothing.nc"]}"#,
    ] {
        let said = post(body, &mine).problem(400).to_string();
        assert!(!said.contains(&*dir.path().to_string_lossy()), "{said}");
    }
    let created = post(r#"{"recipe": "sst"}"#, &mine);
    assert_eq!(created.status, 202, "{}", String::from_utf8_lossy(&created.body));
}

#[test]
fn a_server_that_never_answers_holds_up_no_other_collection() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", silent.local_addr().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("graticule.toml");
    let text = format!("token = \"a-token-for-this-test\"\nallow_urls = [\"{address}\"]");
    std::fs::write(&config, text).unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir_all(data.join("incoming")).unwrap();
    std::fs::copy(demo_file("ostia-sst.nc"), data.join("incoming/good.nc")).unwrap();
    let s = Server::start_in(&data, &["--config", &config.to_string_lossy()]);
    let post = |body: String| {
        let headers = [("authorization", "Bearer a-token-for-this-test")];
        let created = s.send("POST", "/api/runs", &headers, body.as_bytes());
        assert_eq!(created.status, 202, "{}", String::from_utf8_lossy(&created.body));
        created.header("location").unwrap().strip_prefix(&s.url).unwrap().to_owned()
    };
    let slow = post(format!(r#"{{"collection": "far", "inputs": ["{address}a.nc?token=hidden"]}}"#));
    let _asked = silent.accept().unwrap();
    let near = post(r#"{"collection": "near", "inputs": ["good.nc"]}"#.to_owned());
    let ended = s.wait_for(&near, |r| r.json()["state"] == "succeeded").json();
    assert_eq!(ended["counts"]["published"], 1);
    assert_eq!(s.get(&slow).json()["state"], "running");
    let shown = s.get(&format!("{slow}/granules")).json().to_string();
    assert!(shown.contains("token=...") && !shown.contains("hidden"), "{shown}");
}

/// A server's configuration with a folder of recipes, one of them with a rule.
fn with_rule(dir: &std::path::Path, rule: &str) -> std::path::PathBuf {
    std::fs::create_dir_all(dir.join("recipes/in")).unwrap();
    let recipe = format!(
        "[collection]\nid = \"sea\"\n[source]\nroot = \"in\"\npattern = \"*-sst.nc\"\n[rule]\n{rule}"
    );
    std::fs::write(dir.join("recipes/sst.toml"), recipe).unwrap();
    let config = dir.join("graticule.toml");
    std::fs::write(&config, "recipes = \"recipes\"").unwrap();
    config
}

#[test]
fn a_rule_watches_its_folder_for_what_the_pattern_fits_and_repeats_nothing_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = with_rule(dir.path(), "watch = true");
    let (data, incoming) = (dir.path().join("data"), dir.path().join("recipes/in"));
    let start = || Server::start_in(&data, &["--config", &config.to_string_lossy()]);
    let mut s = start();
    std::fs::write(incoming.join("readme.txt"), "not of it").unwrap();
    std::fs::copy(demo_file("ostia-sst.nc"), incoming.join("a-sst.nc")).unwrap();
    s.wait_for("/api/collections/sea", |r| r.status == 200);
    let rules = s.get("/api/rules").json();
    assert_eq!(rules["rules"], serde_json::json!([{"recipe": "sst", "collection": "sea", "watch": true}]));
    assert!(s.terminate());
    let s = start();
    // One that was there is known; one that comes now is picked up.
    std::fs::copy(demo_file("ostia-sst.nc"), incoming.join("b-sst.nc")).unwrap();
    let runs = s.wait_for("/api/runs", |r| {
        let runs = r.json()["runs"].as_array().unwrap().clone();
        runs.len() > 1 && runs.iter().all(|r| r["state"] == "succeeded")
    });
    assert_eq!(runs.json()["runs"].as_array().unwrap().len(), 2, "{}", runs.json());
}

#[test]
fn a_rule_that_was_due_while_no_server_ran_starts_its_run_when_one_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let config = with_rule(dir.path(), "cron = \"* * * * *\"");
    let data = dir.path().join("data");
    std::fs::copy(demo_file("ostia-sst.nc"), dir.path().join("recipes/in/a-sst.nc")).unwrap();
    let start = || Server::start_in(&data, &["--config", &config.to_string_lossy()]);
    let seconds = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    // Not where the minute is about to end.
    std::thread::sleep(Duration::from_secs(if seconds() % 60 > 45 { 60 - seconds() % 60 } else { 0 }));
    let mut s = start();
    let known = s.wait_for("/api/rules", |r| r.json()["rules"][0]["next"].is_string()).json();
    assert!(known["rules"][0]["next"].as_str().unwrap().ends_with(":00Z"), "{known}");
    assert!(s.get("/api/runs").json()["runs"].as_array().unwrap().is_empty(), "it is not due yet");
    assert!(s.terminate());
    std::thread::sleep(Duration::from_secs(61 - seconds() % 60));
    let s = start();
    s.wait_for("/api/collections/sea", |r| r.status == 200);
    assert!(seconds() % 60 < 45, "made up for, and not the next time");
    let rule = s.get("/api/rules").json()["rules"][0].clone();
    let run = rule["links"][0]["href"].as_str().unwrap().strip_prefix(&s.url).unwrap().to_owned();
    let ended = s.wait_for(&run, |r| r.json()["state"] == "succeeded").json();
    assert_eq!(ended["counts"]["published"], 1);
}
