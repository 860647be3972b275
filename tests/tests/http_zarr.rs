//! `/zarr`: stored bytes, unchanged, over HTTP as RFC 9110 has it.

use graticule_tests::{Server, demo_file, ingest};

const CHUNK: &str = "analysed_sst/c/0/0/0";

fn ocean() -> Server {
    Server::start_with(&[], |data| ingest(data, &demo_file("ostia-sst.nc"), "ostia"))
}

#[test]
fn ranges_give_the_bytes_they_name_and_nothing_else() {
    let s = ocean();
    let path = format!("/zarr/ostia/{CHUNK}");
    let whole = s.get(&path);
    assert_eq!(whole.status, 200);
    assert_eq!(whole.header("content-type"), Some("application/octet-stream"));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let n = whole.body.len();
    for (range, from, to) in [
        ("bytes=0-9".to_owned(), 0, 10),
        (format!("bytes={}-", n - 5), n - 5, n),
        ("bytes=-4".to_owned(), n - 4, n),
        (format!("bytes=-{}", n + 100), 0, n),
        (format!("bytes=10-{}", n + 100), 10, n),
    ] {
        let part = s.get_with(&path, &[("range", &range)]);
        assert_eq!(part.status, 206, "{range}");
        assert_eq!(part.body, whole.body[from..to], "{range}");
        assert_eq!(part.header("content-range"), Some(format!("bytes {from}-{}/{n}", to - 1).as_str()));
        assert_eq!(part.header("etag"), whole.header("etag"));
    }
    // Two that are near each other are one.
    let near = s.get_with(&path, &[("range", "bytes=0-1,5-6")]);
    assert_eq!((near.status, &near.body[..]), (206, &whole.body[..7]));
    for range in ["lines=1-2", "bytes=5-2"] {
        let all = s.get_with(&path, &[("range", range)]);
        assert_eq!((all.status, all.body.len()), (200, n), "{range}");
    }
    let past = s.get_with(&path, &[("range", &format!("bytes={n}-"))]);
    past.problem(416);
    assert_eq!(past.header("content-range"), Some(format!("bytes */{n}").as_str()));
}

#[test]
fn what_is_known_is_not_sent_again() {
    let s = ocean();
    for path in [
        format!("/zarr/ostia/{CHUNK}"),
        "/zarr/ostia/zarr.json".to_owned(),
        "/api/collections/ostia".to_owned(),
    ] {
        let first = s.get(&path);
        let etag = first.header("etag").expect("a tag").to_owned();
        assert!(etag.starts_with('"') && etag.ends_with('"'), "strong and quoted: {etag}");
        let again = s.get_with(&path, &[("if-none-match", &format!("\"other\", {etag}"))]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(again.header("etag"), Some(etag.as_str()));
        assert_eq!(s.get_with(&path, &[("if-none-match", "\"other\"")]).status, 200);
    }
}

#[test]
fn a_range_of_what_has_changed_since_is_sent_whole() {
    let s = ocean();
    let path = format!("/zarr/ostia/{CHUNK}");
    let etag = s.get(&path).header("etag").expect("a tag").to_owned();
    assert_eq!(s.get_with(&path, &[("range", "bytes=0-9"), ("if-range", &etag)]).status, 206);
    assert_eq!(s.get_with(&path, &[("range", "bytes=0-9"), ("if-range", "\"old\"")]).status, 200);
}

#[test]
fn head_says_what_get_would_without_the_body() {
    let s = ocean();
    for path in [format!("/zarr/ostia/{CHUNK}"), "/zarr/ostia/zarr.json".to_owned(), "/api".to_owned()] {
        let get = s.get(&path);
        let head = s.send("HEAD", &path, &[], b"");
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()), "{path}");
        assert_eq!(head.header("etag"), get.header("etag"));
    }
}

#[test]
fn pages_of_other_origins_may_read_ranges_and_tags() {
    let s = ocean();
    let path = format!("/zarr/ostia/{CHUNK}");
    let reply = s.get_with(&path, &[("origin", "https://elsewhere.example")]);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let exposed = reply.header("access-control-expose-headers").expect("exposed headers").to_owned();
    for name in ["ETag", "Content-Range", "Content-Length", "Accept-Ranges"] {
        assert!(exposed.contains(name), "{name} in {exposed}");
    }
    for path in [path.as_str(), "/api/collections", "/api/runs"] {
        let asked = s.send(
            "OPTIONS",
            path,
            &[
                ("origin", "https://elsewhere.example"),
                ("access-control-request-method", "GET"),
                ("access-control-request-headers", "range,if-none-match,authorization"),
            ],
            b"",
        );
        assert_eq!(asked.status, 204, "{path}");
        let allowed = asked.header("access-control-allow-headers").expect("allowed headers").to_lowercase();
        for name in ["range", "if-none-match", "authorization"] {
            assert!(allowed.contains(name), "{name} in {allowed}");
        }
        assert!(asked.header("access-control-max-age").is_some());
    }
}

#[test]
fn a_named_version_is_immutable_and_the_latest_is_revalidated() {
    let s = ocean();
    let latest = s.get(&format!("/zarr/ostia/{CHUNK}"));
    let version = latest.header("graticule-version").expect("a version").to_owned();
    assert!(latest.header("cache-control").is_some_and(|c| c.contains("no-cache")));
    for at in ["@", "%40"] {
        let pinned = s.get(&format!("/zarr/ostia{at}{version}/{CHUNK}"));
        assert_eq!(pinned.status, 200);
        assert!(pinned.header("cache-control").is_some_and(|c| c.contains("immutable")));
        assert_eq!(pinned.body, latest.body);
        assert_eq!(pinned.header("etag"), latest.header("etag"));
    }
}

#[test]
fn what_is_not_stored_is_a_problem_and_no_key_leaves_the_store() {
    let s = ocean();
    assert!(
        s.get("/zarr/ostia/analysed_sst/c/9/9/9").problem(404)["detail"]
            .as_str()
            .unwrap()
            .contains("is cut into 1 x 3 x 1 chunks")
    );
    for path in [
        "/zarr/ostia/.zmetadata",
        "/zarr/ostia/nothing/zarr.json",
        "/zarr/ostia/%2e%2e/%2e%2e/catalog.sqlite",
        "/zarr/ostia/..%2f..%2fcatalog.sqlite",
        "/zarr/ostia/analysed_sst/c/00/0/0",
        "/zarr/nobody/zarr.json",
        "/zarr/%2e%2e/zarr.json",
        "/zarr/ostia@nosuchversion/zarr.json",
        "/zarr/",
        "/zarr",
    ] {
        let problem = s.get(path).problem(404);
        assert_eq!(problem["instance"], path);
    }
    let reply = s.send("PUT", &format!("/zarr/ostia/{CHUNK}"), &[], b"x");
    reply.problem(405);
    assert!(reply.header("allow").is_some_and(|a| a.contains("GET")));
}

#[test]
fn the_hierarchy_is_described_by_one_document() {
    let s = ocean();
    let root = s.get("/zarr/ostia/zarr.json");
    assert_eq!(root.header("content-type"), Some("application/json"));
    let json = root.json();
    assert_eq!(json["zarr_format"], 3);
    let node = &json["consolidated_metadata"]["metadata"]["analysed_sst"];
    assert_eq!(&s.get("/zarr/ostia/analysed_sst/zarr.json").json(), node);
    for bare in ["/zarr/ostia", "/zarr/ostia/"] {
        assert_eq!(s.get(bare).body, root.body);
    }
}
