//! Damage of all kinds to small files: an error or values, never a panic, never
//! long. Deterministic, so that a failure can be repeated from its seed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use graticule_formats::checks::check_coordinates;
use graticule_formats::{Limits, open_bytes};

/// Knuth's MMIX generator; the high bits are good enough here.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n.max(1)
    }
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    match random.below(5) {
        // A header's fields are near the start.
        0 => {
            let at = random.below(bytes.len().min(512));
            bytes[at] = random.below(256) as u8;
        }
        1 => {
            for _ in 0..=random.below(8) {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
        }
        2 => {
            let keep = random.below(bytes.len());
            bytes.truncate(keep);
        }
        3 => {
            let at = random.below(bytes.len().saturating_sub(8));
            let huge = [0xff; 8];
            let n = [2, 4, 8][random.below(3)];
            bytes[at..at + n].copy_from_slice(&huge[..n]);
        }
        _ => {
            let (from, to) = (random.below(bytes.len()), random.below(bytes.len()));
            let n = random.below(64).min(bytes.len() - from.max(to));
            bytes.copy_within(from..from + n, to);
        }
    }
}

/// Opens and reads everything; true where the file was still readable.
fn exercise(bytes: Vec<u8>, cache_bytes: usize) -> bool {
    let limits = Limits {
        read_bytes: 1 << 20,
        chunk_bytes: 1 << 20,
        variable_bytes: 1 << 24,
        cache_bytes,
        ..Limits::default()
    };
    let Ok(source) = open_bytes("damaged", bytes, limits) else { return false };
    let _ = check_coordinates(source.as_ref());
    let mut whole = true;
    for v in &source.header().variables {
        whole &= source.read(&v.path, &vec![0; v.shape.len()], &v.shape).is_ok();
        let one: Vec<u64> = v.shape.iter().map(|n| (*n).min(1)).collect();
        let last: Vec<u64> = v.shape.iter().map(|n| n.saturating_sub(1)).collect();
        whole &= source.read(&v.path, &last, &one).is_ok();
    }
    whole
}

#[test]
fn damaged_files_neither_panic_nor_take_long() {
    // A panic inside a library would be turned into an error: here it must show.
    let panics = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = panics.clone();
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        default_hook(info);
    }));
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let started = Instant::now();
    let rounds: u64 = std::env::var("GRATICULE_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(5000);
    for name in [
        "classic.nc",
        "cdf5.nc",
        "netcdf4.nc",
        "plain.h5",
        "grib/simple_bitmap.grib1",
        "grib/second_order_SPD3.grib1",
        "grib/many_fields.grib2",
        "grib/differences_bitmap.grib2",
        "grib/jpeg_bitmap.grib2",
        "grib/png_bitmap.grib2",
        "grib/ccsds_bitmap.grib2",
        "grib/runs.grib2",
        "geotiff/chunky_packbits_bigtiff.tif",
        "geotiff/planar_zstd_big_endian.tif",
        "geotiff/strips_lzw_predictor3.tif",
        "geotiff/tiles_deflate_predictor2.tif",
        "geotiff/tiles_jpeg.tif",
    ] {
        let original = std::fs::read(folder.join(name)).expect("a fixture");
        assert!(exercise(original.clone(), 1 << 20), "{name} itself reads");
        let mut readable = 0;
        for seed in 0..rounds {
            let mut random = Random(seed ^ 0x9e37_79b9_7f4a_7c15);
            let mut bytes = original.clone();
            damage(&mut bytes, &mut random);
            let one = Instant::now();
            readable += u64::from(exercise(bytes, [1 << 20, 64][(seed % 2) as usize]));
            assert!(one.elapsed() < Duration::from_secs(5), "{name}, seed {seed} took {:?}", one.elapsed());
            assert_eq!(panics.load(std::sync::atomic::Ordering::Relaxed), 0, "{name}, seed {seed} panicked");
        }
        eprintln!("{name}: {readable} of {rounds} damaged files still read");
    }
    eprintln!("{:?}", started.elapsed());
}
