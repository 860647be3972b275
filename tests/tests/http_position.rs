//! `/api/collections/{id}/position`: the stored values at a place.

use graticule_tests::{Server, demo_file, ingest};
use serde_json::{Value, json};

fn server() -> Server {
    Server::start_with(&[], |data| {
        ingest(data, &demo_file("ostia-sst.nc"), "ostia");
        ingest(data, &demo_file("ncep-climatology.nc"), "ncep");
    })
}

fn position(s: &Server, query: &str) -> Value {
    let reply = s.get(&format!("/api/collections/{}", query.replace(' ', "%20")));
    assert_eq!(reply.status, 200, "{query}: {}", String::from_utf8_lossy(&reply.body));
    assert_eq!(reply.header("content-type"), Some("application/vnd.cov+json"));
    reply.json()
}

#[test]
fn the_value_is_the_stored_one_and_land_has_none() {
    let s = server();
    let land = position(&s, "ostia/position?coords=POINT(-0.2 51.6)&parameter-name=analysed_sst");
    assert_eq!(land["domain"]["domainType"], "Point");
    assert_eq!(land["ranges"]["analysed_sst"]["values"], json!([null]));
    assert_eq!(land["domain"]["axes"]["x"]["values"], json!([-0.125]));
    assert_eq!(land["domain"]["axes"]["t"]["values"], json!(["2017-06-05T12:00:00Z"]));
    let series = position(&s, "ncep/position?coords=POINT(-0.2 51.6)&parameter-name=air");
    assert_eq!(series["domain"]["domainType"], "PointSeries");
    let values = series["ranges"]["air"]["values"].as_array().unwrap();
    assert_eq!(values.len(), 12);
    assert!((values[0].as_f64().unwrap() - 5.606_863_021_850_586).abs() < 1e-9, "{}", values[0]);
}

#[test]
fn a_time_a_range_of_times_and_several_places_can_be_asked_for() {
    let s = server();
    let one = position(
        &s,
        "ncep/position?coords=POINT(-0.2 51.6)&parameter-name=air&datetime=1996-07-01T00:00:00Z",
    );
    assert_eq!(one["domain"]["axes"]["t"]["values"], json!(["1996-07-01T00:00:00Z"]));
    let some = position(
        &s,
        "ncep/position?coords=POINT(-0.2 51.6)&parameter-name=air&datetime=1996-03-01/1996-05-31",
    );
    assert_eq!(some["ranges"]["air"]["values"].as_array().unwrap().len(), 3);
    let open =
        position(&s, "ncep/position?coords=POINT(-0.2 51.6)&parameter-name=air&datetime=1996-11-01/..");
    assert_eq!(open["ranges"]["air"]["values"].as_array().unwrap().len(), 2);
    let two =
        position(&s, "ostia/position?coords=MULTIPOINT((-20 10),(-140.2 0.4))&parameter-name=analysed_sst");
    assert_eq!((&two["type"], two["coverages"].as_array().unwrap().len()), (&"CoverageCollection".into(), 2));
}

#[test]
fn csv_is_given_to_those_who_ask() {
    let s = server();
    let path = "/api/collections/ncep/position?coords=POINT(-0.2%2051.6)&parameter-name=air";
    for reply in [s.get(&format!("{path}&f=CSV")), s.get_with(path, &[("accept", "text/csv")])] {
        assert_eq!(reply.status, 200);
        assert!(reply.header("content-type").is_some_and(|t| t.starts_with("text/csv")));
        assert_eq!(String::from_utf8(reply.body).unwrap().trim_end().lines().count(), 13);
    }
}

#[test]
fn what_cannot_be_answered_is_refused_in_words() {
    let s = server();
    for (query, word) in [
        ("ostia/position", "POINT(4.9 52.4)"),
        ("ostia/position?coords=POINT(1)", "longitude"),
        ("ostia/position?coords=POINT(1%2095)", "95"),
        ("ostia/position?coords=POLYGON((0%200,1%201,1%200,0%200))", "POINT"),
        ("ostia/position?coords=POINT(1%202)&parameter-name=salt", "analysed_sst"),
        ("ostia/position?coords=POINT(1%202)&datetime=soon", "2024-01-31"),
        ("ostia/position?coords=POINT(1%202)&datetime=1990-01-01", "2017-06-05"),
        ("ostia/position?coords=POINT(1%202)&crs=EPSG:3857", "CRS84"),
        ("ostia/position?coords=POINT(1%202)&f=GRIB", "CoverageJSON"),
        ("ostia/position?cords=POINT(1%202)", "did you mean \"coords\""),
    ] {
        let detail =
            s.get(&format!("/api/collections/{query}")).problem(400)["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(word), "{query}: {detail}");
    }
    s.get("/api/collections/nobody/position?coords=POINT(1%202)").problem(404);
}
