//! The geometry of a position query.

#![no_main]

use libfuzzer_sys::fuzz_target;

// The server would bring all its stores with it; this file of it depends on nothing.
#[path = "../../server/src/position/wkt.rs"]
mod wkt;

fuzz_target!(|text: &str| {
    if let Ok(points) = wkt::parse_points(text) {
        assert!(points.iter().all(|(x, y)| x.abs() <= 540.0 && y.abs() <= 90.0));
    }
});
