//! Reads all variables of a file into memory, five times, and prints the best time
//! and the rate in bytes of arrays:
//! `cargo run --release -p graticule-formats --example arrays -- [--json] FILE...`

use std::time::{Duration, Instant};

use graticule_formats::{Limits, open};

fn main() {
    let json = std::env::args().any(|a| a == "--json");
    for path in std::env::args().skip(1).filter(|a| a != "--json") {
        let (mut best, mut opening, mut bytes) = (Duration::MAX, Duration::MAX, 0);
        for _ in 0..5 {
            let started = Instant::now();
            let limits = Limits { read_bytes: 4 << 30, ..Limits::default() };
            let source = open(path.as_ref(), limits).unwrap_or_else(|e| panic!("{e}"));
            opening = opening.min(started.elapsed());
            bytes = 0;
            for v in &source.header().variables {
                let start = vec![0; v.shape.len()];
                bytes += source.read(&v.path, &start, &v.shape).unwrap_or_else(|e| panic!("{e}")).len();
            }
            best = best.min(started.elapsed());
        }
        if json {
            println!("{{\"seconds\": {}, \"bytes\": {bytes}}}", best.as_secs_f64());
            continue;
        }
        let rate = bytes as f64 / 1e6 / best.as_secs_f64();
        println!("{path}: {bytes} bytes of arrays in {best:?} ({rate:.0} MB/s), {opening:?} of it opening");
    }
}
