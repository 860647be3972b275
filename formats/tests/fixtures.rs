//! Small files that the repository carries, so that these tests run anywhere.

use std::path::PathBuf;

use graticule_formats::{AttrValue, Limits, Source, Variable, open, open_bytes};
use graticule_shared::dtype::DataType;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn opened(name: &str) -> Box<dyn Source> {
    open(&path(name), Limits::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn variable<'a>(source: &'a dyn Source, path: &str) -> &'a Variable {
    source.header().variables.iter().find(|v| v.path == path).unwrap_or_else(|| panic!("no {path}"))
}

fn values(source: &dyn Source, path: &str, start: &[u64], count: &[u64]) -> Vec<f64> {
    let bytes = source.read(path, start, count).unwrap_or_else(|e| panic!("{e}"));
    variable(source, path).dtype.to_f64_vec(&bytes)
}

fn whole(source: &dyn Source, path: &str) -> Vec<f64> {
    let shape = variable(source, path).shape.clone();
    values(source, path, &vec![0; shape.len()], &shape)
}

/// As `place` in `fixtures/make.py`: 1000, 100 and 10 times the indices.
fn place(start: &[u64], count: &[u64]) -> Vec<f64> {
    let mut list = vec![0.0];
    for ((s, c), weight) in start.iter().zip(count).zip([1000.0, 100.0, 10.0]) {
        list = list.iter().flat_map(|v| (*s..s + c).map(move |i| v + i as f64 * weight)).collect();
    }
    list
}

#[test]
fn all_versions_of_netcdf_3_read_alike() {
    for (name, format) in [
        ("classic.nc", "NetCDF-3 classic"),
        ("offset64.nc", "NetCDF-3 64-bit offset"),
        ("cdf5.nc", "NetCDF-3 CDF-5"),
    ] {
        let source = opened(name);
        let s = source.as_ref();
        assert_eq!(s.header().format, format);
        let dims: Vec<_> =
            s.header().dimensions.iter().map(|d| (d.name.as_str(), d.len, d.unlimited)).collect();
        assert_eq!(dims, [("time", 3, true), ("lat", 3, false), ("lon", 4, false)]);
        assert_eq!(whole(s, "time"), [0.5, 1.5, 2.5]);
        assert_eq!(whole(s, "packed"), place(&[0; 3], &[3, 3, 4]));
        assert_eq!(values(s, "packed", &[1, 1, 1], &[2, 2, 3]), place(&[1, 1, 1], &[2, 2, 3]));
        let odd: Vec<f64> = place(&[0; 2], &[3, 3]).iter().map(|x| (x / 100.0).trunc()).collect();
        assert_eq!(whole(s, "odd"), odd);
        assert_eq!(whole(s, "fixed"), place(&[0; 2], &[3, 4]));
        assert_eq!(whole(s, "never"), [f64::from(9.969_21e36_f32); 12], "the default fill value");
        assert_eq!(whole(s, "scalar"), [2.5]);
        assert_eq!(s.header().skipped, [("letters".into(), "it holds characters, not numbers".into())]);
        assert_eq!(s.header().attributes, [("title".into(), AttrValue::Text("Fixture".into()))]);
        let packed = variable(s, "packed");
        assert_eq!(packed.attribute("_FillValue"), Some(&AttrValue::Ints(DataType::Int16, vec![-1])));
        assert_eq!(
            packed.attribute("scale_factor"),
            Some(&AttrValue::Floats(DataType::Float32, vec![f64::from(0.1f32)]))
        );
    }
    let source = opened("cdf5.nc");
    let bytes = source.read("wide", &[2], &[1]).expect("it reads");
    assert_eq!(bytes, (u64::MAX - 1).to_ne_bytes());
}

#[test]
fn netcdf_4_reads_groups_gaps_and_both_byte_orders() {
    let source = opened("netcdf4.nc");
    let s = source.as_ref();
    assert_eq!(s.header().format, "NetCDF-4");
    assert_eq!(s.header().attributes[0], ("title".into(), AttrValue::Text("Fixture ü".into())));
    assert!(s.header().attributes.contains(&("group/note".into(), AttrValue::Text("within".into()))));
    let v = variable(s, "packed");
    assert_eq!((v.dims.join(" "), v.chunks.clone()), ("time lat lon".into(), Some(vec![1, 4, 5])));
    assert_eq!(values(s, "packed", &[0, 0, 0], &[1, 6, 8]), place(&[0; 3], &[1, 6, 8]));
    assert_eq!(values(s, "packed", &[1, 0, 0], &[1, 6, 8]), [-7.0; 48], "chunks never written are fill");
    assert_eq!(values(s, "packed", &[2, 1, 3], &[1, 2, 4])[..4], place(&[2, 1, 3], &[1, 1, 4]));
    assert_eq!(values(s, "packed", &[2, 2, 3], &[1, 1, 4]), [-7.0; 4]);
    assert_eq!(whole(s, "short"), [1.0, 9.5, 9.5], "as long as its dimension");
    assert_eq!(whole(s, "big"), place(&[0; 2], &[6, 8]));
    let deep = variable(s, "group/deep");
    assert_eq!((deep.dims.join(" "), deep.dtype), ("group/z lat".into(), DataType::UInt8));
    for codec in ["zstd", "blosc_lz", "blosc_lz4", "bzip2"] {
        assert_eq!(whole(s, codec), place(&[0; 2], &[6, 8]), "{codec}");
    }
    let skipped: Vec<_> = s.header().skipped.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(skipped, ["choice", "words"]);
    for hidden in ["CLASS", "NAME", "_Netcdf4Dimid", "DIMENSION_LIST", "REFERENCE_LIST"] {
        assert!(s.header().variables.iter().all(|v| v.attribute(hidden).is_none()), "{hidden}");
    }
}

#[test]
fn plain_hdf5_has_anonymous_dimensions() {
    let source = opened("plain.h5");
    let s = source.as_ref();
    assert_eq!(s.header().format, "HDF5");
    assert_eq!(whole(s, "contiguous"), place(&[0; 2], &[3, 4]));
    assert_eq!(values(s, "chunked", &[3, 2], &[4, 4]), place(&[3, 2], &[4, 4]));
    assert_eq!(whole(s, "lzf"), place(&[0; 2], &[9, 7]));
    assert_eq!(whole(s, "grown"), place(&[0; 2], &[9, 7]));
    assert!(variable(s, "contiguous").dims.iter().all(|d| d.starts_with("phony_dim_")));
    let v = variable(s, "contiguous");
    assert_eq!(v.attribute("unit"), Some(&AttrValue::Text("K".into())));
    assert_eq!(v.attribute("list"), Some(&AttrValue::Texts(vec!["a".into(), "bb".into()])));
    let why = |name: &str| s.header().skipped.iter().find(|(n, _)| n == name).map(|(_, why)| why.as_str());
    assert!(why("pairs").is_some_and(|w| w.contains("compounds")), "{:?}", why("pairs"));
}

#[test]
fn bytes_in_memory_read_as_the_file_does() {
    for name in ["classic.nc", "cdf5.nc", "netcdf4.nc", "plain.h5"] {
        let bytes = std::fs::read(path(name)).expect("a fixture");
        let (file, memory) = (opened(name), open_bytes(name, bytes, Limits::default()).expect("it opens"));
        for v in &file.header().variables {
            assert_eq!(whole(file.as_ref(), &v.path), whole(memory.as_ref(), &v.path), "{name} {}", v.path);
        }
    }
}

#[test]
fn chunks_larger_than_the_cache_read_alike() {
    for name in ["netcdf4.nc", "plain.h5"] {
        let (usual, held) = (
            opened(name),
            open(&path(name), Limits { cache_bytes: 8, ..Limits::default() }).expect("it opens"),
        );
        for v in &usual.header().variables {
            let (u, h) = (usual.as_ref(), held.as_ref());
            assert_eq!(whole(u, &v.path), whole(h, &v.path), "{name} {}", v.path);
            let start: Vec<u64> = v.shape.iter().map(|n| n / 3).collect();
            let count: Vec<u64> = v.shape.iter().zip(&start).map(|(n, s)| (n - s).div_ceil(2)).collect();
            assert_eq!(
                values(u, &v.path, &start, &count),
                values(h, &v.path, &start, &count),
                "{name} {}",
                v.path
            );
        }
    }
}

#[test]
fn a_slab_outside_the_variable_is_refused_in_words() {
    let source = opened("classic.nc");
    let message =
        |start: &[u64], count: &[u64]| source.read("packed", start, count).expect_err("it is outside").reason;
    assert_eq!(
        message(&[0, 0, 2], &[3, 3, 3]),
        "3 elements from 2 on along \"lon\" were asked for; it has 4"
    );
    assert_eq!(message(&[u64::MAX, 0, 0], &[2, 1, 1]).split(' ').next(), Some("2"));
    assert!(message(&[0], &[1]).contains("3 dimensions"));
    let error = source.read("nothing", &[], &[]).expect_err("no such variable");
    assert!(error.to_string().contains("variable \"nothing\": there is no such variable"), "{error}");
}

#[test]
fn a_truncated_file_names_itself_and_the_byte_where_it_ends() {
    for name in ["classic.nc", "offset64.nc", "cdf5.nc", "netcdf4.nc", "plain.h5"] {
        let bytes = std::fs::read(path(name)).expect("a fixture");
        // The very last byte may be padding.
        for keep in [bytes.len() - 2, bytes.len() / 2, 100, 9, 4] {
            let cut = bytes[..keep].to_vec();
            let error = open_bytes(name, cut, Limits::default()).err();
            let error = error.unwrap_or_else(|| panic!("{name} cut to {keep} bytes was opened"));
            assert!(error.file == name && error.offset.is_some_and(|o| o <= keep as u64), "{keep}: {error}");
        }
    }
}

#[test]
fn a_damaged_chunk_names_its_variable_and_the_byte_where_it_begins() {
    let original = std::fs::read(path("netcdf4.nc")).expect("a fixture");
    let shape = variable(opened("netcdf4.nc").as_ref(), "packed").shape.clone();
    let mut found = 0;
    for at in (0..original.len()).step_by(7) {
        let mut bytes = original.clone();
        bytes[at] ^= 0x10;
        let Ok(source) = open_bytes("damaged.nc", bytes, Limits::default()) else { continue };
        let Err(error) = source.read("packed", &[0; 3], &shape) else { continue };
        assert_eq!(
            (error.file.as_str(), error.variable.as_deref()),
            ("damaged.nc", Some("packed")),
            "{error}"
        );
        // A flip in the index sends the reader elsewhere; one in a chunk is found there.
        let offset = error.offset.unwrap_or_else(|| panic!("no byte in {error}"));
        let within = (offset..offset + 64).contains(&(at as u64));
        let undecoded = ["DEFLATE", "checksum mismatch"].iter().any(|w| error.reason.contains(w));
        found += usize::from(within && undecoded);
    }
    assert!(found > 20, "{found} flips hit a chunk");
}
