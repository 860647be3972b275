//! `/api/collections/{id}/preview.png`: the picture that stands in for a map.

use graticule_tests::{Reply, Server, demo_file, ingest};

fn server() -> Server {
    Server::start_with(&[], |data| {
        ingest(data, &demo_file("ostia-sst.nc"), "ostia");
        ingest(data, &demo_file("ncep-climatology.nc"), "ncep");
    })
}

/// Width, height and RGBA.
fn decode(reply: &Reply) -> (u32, u32, Vec<u8>) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(&reply.body));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::ALPHA);
    let mut reader = decoder.read_info().unwrap();
    let mut out = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut out).unwrap();
    (info.width, info.height, out)
}

#[test]
fn north_is_above_the_date_line_at_the_sides_and_land_is_clear() {
    let s = server();
    // All values lie above the range: the sea has one colour, viridis' last.
    let reply = s.get("/api/collections/ostia/preview.png?colormap=viridis&clim=0,1");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("image/png")));
    let (width, height, pixels) = decode(&reply);
    // A cell of the coarsest level is a pixel.
    assert!((90..=512).contains(&width) && height == width / 2, "{width} {height}");
    let at = |longitude: f64, latitude: f64| {
        let x = ((longitude + 180.0) / 360.0 * f64::from(width)) as usize;
        let y = ((90.0 - latitude) / 180.0 * f64::from(height)) as usize;
        let p = (y * width as usize + x) * 4;
        [pixels[p], pixels[p + 1], pixels[p + 2], pixels[p + 3]]
    };
    assert_eq!(at(134.0, -25.0)[3], 0, "Australia");
    assert_eq!(at(20.0, 23.0)[3], 0, "the Sahara");
    for (longitude, latitude) in [(134.0, 25.0), (-160.0, 0.0), (-30.0, 40.0), (80.0, -20.0)] {
        assert_eq!(at(longitude, latitude), [253, 231, 37, 255], "sea at {longitude} {latitude}");
    }
}

#[test]
fn a_preview_is_revalidated_by_its_tag_and_named_by_the_collection() {
    let s = server();
    let c = s.get("/api/collections/ncep").json();
    let thumbnail = &c["assets"]["thumbnail"];
    assert_eq!((&thumbnail["type"], &thumbnail["roles"][0]), (&"image/png".into(), &"thumbnail".into()));
    let path = thumbnail["href"].as_str().unwrap().strip_prefix(&s.url).unwrap().to_owned();
    let first = s.get_with(&path, &[("accept-encoding", "gzip")]);
    assert_eq!((first.status, first.header("content-encoding")), (200, None));
    let (width, height, pixels) = decode(&first);
    assert!(width >= 36 && (width / 2 - 2..=width / 2 + 2).contains(&height), "{width} {height}");
    // More than one colour: a field, not a sheet.
    let colours: std::collections::BTreeSet<&[u8]> = pixels.chunks_exact(4).collect();
    assert!(colours.len() > 50, "{} colours", colours.len());
    let tag = first.header("etag").unwrap();
    assert_eq!(s.get_with(&path, &[("if-none-match", tag)]).status, 304);
    assert_eq!(s.get(&format!("{path}?variable=rhum")).status, 200);
}

#[test]
fn what_cannot_be_drawn_is_refused_in_words() {
    let s = server();
    for (query, word) in [
        ("variable=nowhere", "air"),
        ("colormap=rainbowish", "viridis"),
        ("clim=3", "two different numbers"),
        ("clim=nan,1", "two different numbers"),
        ("colourmap=viridis", "colormap"),
    ] {
        let reply = s.get(&format!("/api/collections/ncep/preview.png?{query}"));
        assert_eq!(reply.status, 400, "{query}");
        assert!(
            reply.json()["detail"].as_str().unwrap().contains(word),
            "{query}: {}",
            reply.json()["detail"]
        );
    }
    assert_eq!(s.get("/api/collections/nowhere/preview.png").status, 404);
}
