//! `/api`: the catalog, its documents, and the shape of refusals.

use graticule_tests::{Server, demo_file, ingest};
use serde_json::Value;

fn two_collections() -> Server {
    Server::start_with(&[], |data| {
        ingest(data, &demo_file("ostia-sst.nc"), "ostia");
        ingest(data, &demo_file("ncep-climatology.nc"), "ncep");
    })
}

fn hrefs<'a>(links: &'a Value, rel: &str) -> Vec<&'a str> {
    links.as_array().unwrap().iter().filter(|l| l["rel"] == rel).filter_map(|l| l["href"].as_str()).collect()
}

#[test]
fn every_link_of_the_landing_page_leads_somewhere() {
    let s = two_collections();
    let landing = s.get("/api").json();
    assert_eq!(landing["type"], "Catalog");
    assert_eq!(landing["conformsTo"], s.get("/api/conformance").json()["conformsTo"]);
    assert_eq!(hrefs(&landing["links"], "child").len(), 2);
    for link in landing["links"].as_array().unwrap() {
        let path =
            link["href"].as_str().unwrap().strip_prefix(&s.url).expect("an absolute link to this server");
        // Nothing is counted unless it is named.
        let named = if path == "/api/aggregate" { "?aggregations=total_count" } else { "" };
        assert_eq!(s.get(&format!("{path}{named}")).status, 200, "{path}");
    }
}

#[test]
fn a_collection_says_what_its_store_says() {
    let s = two_collections();
    let c = s.get("/api/collections/ostia").json();
    assert_eq!((&c["type"], &c["stac_version"]), (&"Collection".into(), &"1.1.0".into()));
    assert_eq!(c["extent"]["spatial"]["bbox"][0], serde_json::json!([-180.0, -90.0, 180.0, 90.0]));
    assert_eq!(c["extent"]["temporal"]["interval"][0][0], "2017-06-05T12:00:00Z");
    assert_eq!(c["cube:dimensions"]["lat"]["axis"], "y");
    assert_eq!(c["cube:dimensions"]["time"]["type"], "temporal");
    assert_eq!(c["cube:variables"]["analysed_sst"]["dimensions"], serde_json::json!(["time", "lat", "lon"]));
    assert_eq!(c["parameter_names"]["analysed_sst"]["unit"]["symbol"], "kelvin");
    assert!(c["data_queries"]["position"]["link"]["href"].is_string());
    let zarr = c["assets"]["zarr"]["href"].as_str().unwrap().strip_prefix(&s.url).unwrap().to_owned();
    assert_eq!(s.get(&format!("{zarr}/zarr.json")).status, 200);
    let pinned = c["assets"]["zarr-version"]["href"].as_str().unwrap();
    assert!(pinned.ends_with(c["version"].as_str().unwrap()));
    assert_eq!(c["graticule:status"]["state"], "intact");
    assert_eq!(s.get("/api/collections").json()["collections"][1], c);
}

#[test]
fn collections_and_items_are_found_by_place_and_time() {
    let s = two_collections();
    let ids = |path: &str| -> Vec<String> {
        let list = s.get(path).json()["collections"].as_array().unwrap().clone();
        list.iter().map(|c| c["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("/api/collections"), ["ncep", "ostia"]);
    assert_eq!(ids("/api/collections?datetime=2017-06-01/.."), ["ostia"]);
    assert_eq!(ids("/api/collections?datetime=../1990-01-01"), Vec::<String>::new());
    let items = s.get("/api/collections/ostia/items?bbox=-10,40,10,60&datetime=2017-06-05T12:00:00Z").json();
    assert_eq!(items["features"].as_array().unwrap().len(), 1);
    let item = &items["features"][0];
    assert_eq!(item["properties"]["datetime"], "2017-06-05T12:00:00Z");
    assert_eq!(&s.get("/api/collections/ostia/items/ostia-sst.nc").json(), item);
    let none = s.get("/api/collections/ostia/items?datetime=2018-01-01/..").json();
    assert_eq!(none["features"], serde_json::json!([]));
    s.get("/api/collections/ostia/items/nothing.nc").problem(404);
}

#[test]
fn versions_are_listed_and_each_can_be_opened() {
    let s = two_collections();
    let list = s.get("/api/collections/ostia/versions").json();
    let v = &list["versions"][0];
    assert_eq!((&v["latest"], &v["items"][0]), (&true.into(), &"ostia-sst.nc".into()));
    let id = v["id"].as_str().unwrap();
    assert_eq!(s.get(&format!("/zarr/ostia@{id}/zarr.json")).status, 200);
}

#[test]
fn refusals_say_what_was_wrong_and_what_would_be_right() {
    let s = two_collections();
    for (path, status, word) in [
        ("/api/nothing", 404, "openapi.json"),
        ("/api/collections/nobody", 404, "/api/collections"),
        ("/api/collections/nobody/items", 404, "/api/collections"),
        ("/api/collections/nobody/versions", 404, "/api/collections"),
        ("/api/collections/ostia/items?bbox=1,2,3", 400, "west,south,east,north"),
        ("/api/collections/ostia/items?bbox=1,9,3,2", 400, "south"),
        ("/api/collections/ostia/items?limit=0", 400, "from 1"),
        ("/api/collections/ostia/items?limit=x", 400, "from 1"),
        ("/api/collections/ostia/items?datetime=soon", 400, "2020-01-31"),
        ("/api/collections/ostia/items?bbx=1,2,3,4", 400, "did you mean \"bbox\""),
        ("/api/events?typ=x", 400, "did you mean \"type\""),
        ("/no/such/file.js", 404, "openapi.json"),
    ] {
        let detail = s.get(path).problem(status)["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(word), "{path}: {detail}");
    }
    for method in ["DELETE", "PUT", "POST"] {
        let reply = s.send(method, "/api/collections", &[], b"");
        reply.problem(405);
        assert!(reply.header("allow").is_some_and(|a| a.contains("GET")), "{method}");
    }
    s.send("POST", "/api/runs", &[("content-type", "application/json")], &vec![b'x'; (1 << 20) + 4096])
        .problem(413);
}

#[test]
fn a_limit_above_the_greatest_is_the_greatest() {
    let s = two_collections();
    assert_eq!(s.get("/api/collections/ostia/items?limit=99999999999").status, 200);
}

#[test]
fn text_is_compressed_for_those_who_take_it_and_chunks_never() {
    let s = two_collections();
    let packed = s.get_with("/api/collections", &[("accept-encoding", "gzip")]);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(&packed.body[..2], b"\x1f\x8b");
    assert!(packed.header("vary").is_some_and(|v| v.contains("Accept-Encoding")));
    let chunk = s.get_with("/zarr/ostia/analysed_sst/c/0/0/0", &[("accept-encoding", "gzip, br")]);
    assert_eq!(chunk.header("content-encoding"), None);
}

#[test]
fn the_openapi_document_describes_routes_that_answer() {
    let s = two_collections();
    let table = s.data.join("places.csv");
    std::fs::write(&table, "time,lat,lon,depth\n2020-01-01,1,2,3.5\n").unwrap();
    ingest(&s.data, &table, "places");
    let document = s.get("/api/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    let versions = s.get("/api/collections/ostia/versions").json();
    let version = versions["versions"][0]["id"].as_str().unwrap().to_owned();
    let later =
        s.get_with("/api/collections/ostia/position?coords=POINT(0%200)", &[("prefer", "respond-async")]);
    let job = later.json()["jobID"].as_str().unwrap().to_owned();
    while s.get(&format!("/api/jobs/{job}")).json()["status"] == "running" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    for (path, operations) in document["paths"].as_object().unwrap() {
        if operations.get("get").is_none() || path.contains("events") || path.contains("{run}") {
            continue;
        }
        let real = path
            .replace("/tables/{id}", "/tables/places")
            .replace("{id}", "ostia")
            .replace("{item}", "ostia-sst.nc")
            .replace("{version}", &version)
            .replace("{reference}", "ostia")
            .replace("{location}", "u173z")
            .replace("{job}", &job)
            .replace("{geohash}", "u")
            .replace("{year}/{month}/{day}", "2017/06/05")
            .replace("{year}/{month}", "2017/06")
            .replace("{year}", "2017")
            .replace("{tms}", "WebMercatorQuad")
            .replace("{z}/{y}/{x}", "0/0/0")
            .replace("{key}", if path.starts_with("/zarr2/") { ".zgroup" } else { "zarr.json" });
        let real = match real.rsplit('/').next() {
            Some("position") => format!("{real}?coords=POINT(0%200)"),
            Some("area") => format!("{real}?coords=POLYGON((0%200,9%200,9%209,0%200))"),
            Some("cube") => format!("{real}?bbox=0,0,9,9"),
            Some("radius") => format!("{real}?coords=POINT(0%200)&within=300"),
            Some("trajectory") => format!("{real}?coords=LINESTRING(-30%200,-20%2010)"),
            Some("lineage") if real == "/api/lineage" => format!("{real}?source=ostia-sst.nc"),
            Some("lineage") => format!("{real}?granule=ostia-sst.nc"),
            Some("aggregate") => format!("{real}?aggregations=total_count"),
            Some("wms" | "wmts") => format!("{real}?request=GetCapabilities"),
            _ => real,
        };
        assert_eq!(s.get(&real).status, 200, "{real}");
    }
}

#[test]
fn pages_for_people_are_there() {
    let s = Server::start(&[]);
    for path in ["/", "/embed", "/api/docs"] {
        let page = s.get(path);
        assert_eq!(page.status, 200, "{path}");
        assert!(page.header("content-type").is_some_and(|t| t.starts_with("text/html")), "{path}");
    }
    let docs = String::from_utf8(s.get("/api/docs").body).unwrap();
    assert!(docs.contains("id=\"problem-not-found\""));
    assert_eq!(s.get("/healthz").json()["status"], "ok");
    assert_eq!(s.get("/readyz").json()["collections"], 0);
}
