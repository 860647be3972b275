//! Reads every value once, in slabs, and says how fast:
//! `cargo run --release -p graticule-formats --example stream -- FILE...`

use std::time::Instant;

use graticule_formats::{Limits, checks::scan_values, open};

fn main() {
    for path in std::env::args().skip(1) {
        let started = Instant::now();
        let source = open(path.as_ref(), Limits::default()).unwrap_or_else(|e| panic!("{e}"));
        for v in &source.header().variables {
            let scan = scan_values(source.as_ref(), v).unwrap_or_else(|e| panic!("{e}"));
            println!(
                "{}: {} valid, {} missing, {} to {}",
                v.path, scan.valid, scan.missing, scan.min, scan.max
            );
        }
        println!("{path}: {:?}", started.elapsed());
    }
}
