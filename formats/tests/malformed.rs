//! Every malformed NetCDF, GRIB, TIFF, Zarr and kerchunk file of the sample data: refused where it must be, read
//! where it can be, in bounded memory and time, without a panic.

mod sample;

use std::time::Instant;

use graticule_formats::checks::{Finding, Severity, check_coordinates, scan_values};
use graticule_formats::{FormatError, Limits, Source, open};

enum Expected {
    /// `open` fails; the message contains this, and names this byte.
    Unopened(&'static str, Option<u64>),
    /// A finding refuses variable, index.
    Refused(&'static str, Option<u64>),
    /// Nothing refuses; a finding notes this variable.
    Noted(&'static str),
    /// It opens; what is skipped has this in its reason.
    Skipped(&'static str),
    Accepted,
}
use Expected::{Accepted, Noted, Refused, Skipped, Unopened};

const FILES: [(&str, Expected); 76] = [
    ("trunc_nc3.nc", Unopened("120 records", Some(9667))),
    ("trunc_nc4.nc", Unopened("cut short", Some(37889))),
    ("trunc_8bytes.nc", Unopened("cut short", Some(8))),
    ("empty.nc", Unopened("empty (0 bytes)", None)),
    ("html_named.nc", Unopened("HTML page", Some(0))),
    ("grib_named.nc", Accepted),
    ("png_named.tif", Unopened("PNG picture", Some(0))),
    ("empty.tif", Unopened("empty (0 bytes)", None)),
    ("trunc_cog.tif", Unopened("cut short", Some(152396))),
    ("tif_ifd_offset_past_end.tif", Unopened("an image directory should be at byte", Some(4294967280))),
    ("tif_ifd_loop.tif", Noted("file")),
    ("tif_dims_4e9.tif", Unopened("at most 1099511627776 are read", None)),
    ("wrong_magic.nc", Unopened("43 44 58 01", Some(0))),
    ("wrong_version_byte.nc", Unopened("version byte is 9", Some(3))),
    ("numrecs_huge.nc", Unopened("2147483647 records (byte 4)", Some(16112))),
    ("ndims_huge.nc", Unopened("4294967280 dimensions", Some(12))),
    ("hdf5_bitflips.nc", Unopened("checksum", Some(48))),
    ("huge_declared_sparse.nc", Unopened("8000000000000 bytes", None)),
    ("upstream_bad_cdf5_begin.nc", Unopened("cut short", Some(220))),
    ("nan_latitude.nc", Refused("lat", Some(4))),
    ("nonmonotonic_latitude.nc", Refused("lat", Some(4))),
    ("lat_out_of_range.nc", Refused("lat", Some(0))),
    ("duplicate_longitude.nc", Refused("lon", Some(5))),
    ("lon_inf.nc", Refused("lon", Some(7))),
    ("zero_length_time.nc", Refused("time", None)),
    ("zero_length_lat.nc", Refused("lat", None)),
    ("bad_time_units.nc", Refused("time", None)),
    ("time_descending_dup.nc", Refused("time", Some(2))),
    ("time_nan.nc", Refused("time", Some(1))),
    ("time_huge.nc", Refused("time", Some(1))),
    ("upstream_wrf_zero_time.nc", Refused("Time", None)),
    ("all_fill.nc", Noted("x")),
    ("inf_values.nc", Noted("x")),
    ("scale_zero_offset_nan.nc", Noted("x")),
    ("empty.grib2", Unopened("empty (0 bytes)", None)),
    ("grib_garbage_tail.grib2", Noted("file")),
    ("grib_garbage_head.grib2", Noted("file")),
    ("grib_length_huge.grib2", Unopened("9223372036854775807 bytes long by its header", Some(0))),
    ("grib_length_short.grib2", Unopened("does not end with \"7777\"", Some(16))),
    ("grib_bad_end.grib2", Unopened("there is \"7776\"", Some(21228))),
    ("grib_section_len_zero.grib2", Unopened("section 1 is 0 bytes long", Some(16))),
    ("grib_points_4e9.grib2", Unopened("4294967280 points are declared", Some(48))),
    ("grib_two_good_one_cut.grib2", Skipped("the file ends after 10616 of them")),
    ("grib1_length_ffffff.grib", Unopened("16777215 bytes long by its header", Some(0))),
    ("gzip_bomb.grib2.gz", Unopened("no GRIB message", Some(0))),
    ("trunc_grib1_multi.grib", Skipped("the file ends after 1382 of them")),
    ("upstream_era5-levels-corrupted.grib", Skipped("the length is wrong")),
    ("upstream_regular_ll_wrong_increment.grib", Noted("regular_ll")),
    ("zarr_bad_json.zarr", Unopened("x/.zarray is not JSON", None)),
    ("zarr_corrupt_chunks.zarr", Unopened("chunk 1/analysed_sst/c/0/0: blosc", None)),
    ("zarr_deep_json.zarr", Unopened(".zattrs is not JSON: recursion limit", None)),
    ("zarr_dup_keys.zarr", Unopened("[999999999, 999999999]", None)),
    ("zarr_path_traversal_consolidated.zarr", Unopened("may not leave the store", None)),
    ("zarr_separator_evil.zarr", Unopened("neither \".\" nor \"/\"", None)),
    ("zarr_shard_index_corrupt.zarr", Unopened("chunk u/c/0/0/0/0: shard index checksum", Some(165969))),
    ("zarr_shard_offset_past_end.zarr", Unopened("inner chunk 1 claims bytes", Some(128))),
    ("zarr_unknown_codec.zarr", Unopened("codec https://example.invalid/codec", None)),
    ("zarr_v2_blosc_bomb.zarr", Unopened("blosc: declares", None)),
    ("zarr_v2_chunk_huge.zarr", Unopened("more elements than any store can hold", None)),
    ("zarr_v2_negative_shape.zarr", Unopened("shape is [-5,16]", None)),
    ("zarr_v2_shape_1e12.zarr", Unopened("declares 4000000000000 bytes", None)),
    ("zarr_v2_zlib_bomb.zarr", Unopened("decodes to 257 bytes", None)),
    ("zarr_v2_zstd_bomb.zarr", Unopened("zstd", None)),
    ("zarr_v3_chunk_zero.zarr", Unopened("chunk shape has a 0", None)),
    ("zarr_v3_consolidated_traversal.zarr", Unopened("may not leave the store", None)),
    ("zarr_v3_gzip_bomb.zarr", Unopened("decodes to 257 bytes", None)),
    ("zarr_v3_rank_mismatch.zarr", Unopened("chunk shape has 1 dimensions", None)),
    ("zarr_v3_shape_float.zarr", Unopened("shape is [16.5,\"16\"]", None)),
    ("zarr_v3_shape_overflow.zarr", Unopened("more elements than any store can hold", None)),
    ("zip_bomb.zarr.zip", Unopened("0.0: 40000000 bytes", None)),
    ("zip_slip.zarr.zip", Unopened("would leave the archive", Some(419))),
    ("kerchunk_file_etc_passwd.json", Unopened("references may point below", None)),
    ("kerchunk_relative_escape.json", Unopened("references may point below", None)),
    ("kerchunk_loopback_url.json", Unopened("references over http are not read", None)),
    ("kerchunk_negative_range.json", Unopened("x/0: offset is -5", None)),
    ("kerchunk_template_bomb.json", Unopened("makes more than the 5000000", None)),
];

/// Everything that ingest would do: open, check, read all values. Also what is skipped.
fn digest(path: &std::path::Path) -> Result<(Vec<Finding>, String), FormatError> {
    let source = open(path, Limits::default())?;
    let skipped: Vec<String> = source.header().skipped.iter().map(|(n, why)| format!("{n}: {why}")).collect();
    let mut findings = check_coordinates(source.as_ref())?;
    for v in &source.header().variables {
        findings.extend(scan_values(source.as_ref(), v)?.findings(&v.path));
    }
    Ok((findings, skipped.join("; ")))
}

#[test]
fn every_malformed_file_is_refused_or_noted_as_it_should_be() {
    let Some(dir) = sample::dir() else { return };
    let mut wrong = Vec::new();
    let expectations = FILES.iter().chain(&[("hostile_names.nc", Accepted), ("deflate_bomb.nc", Accepted)]);
    for (name, expected) in expectations {
        let started = Instant::now();
        let result = digest(&dir.join("malformed").join(name));
        let refusal = |f: &&Finding| f.severity == Severity::Refuse;
        let fine = match (expected, &result) {
            (Unopened(part, byte), Err(e)) => e.to_string().contains(part) && e.offset == *byte,
            (Refused(variable, index), Ok((f, _))) => {
                f.iter().find(refusal).is_some_and(|f| f.variable == *variable && f.index == *index)
            }
            (Noted(variable), Ok((f, _))) => {
                !f.iter().any(|f| refusal(&f)) && f.iter().any(|f| f.variable == *variable)
            }
            (Skipped(part), Ok((f, skipped))) => !f.iter().any(|f| refusal(&f)) && skipped.contains(part),
            (Accepted, Ok((f, _))) => !f.iter().any(|f| refusal(&f)),
            _ => false,
        };
        let told = match &result {
            Ok((findings, skipped)) => findings
                .iter()
                .map(ToString::to_string)
                .chain([skipped.clone()])
                .collect::<Vec<_>>()
                .join("; "),
            Err(e) => e.to_string(),
        };
        eprintln!("{name}: {told}");
        if !fine {
            wrong.push(format!("{name}: {told}"));
        }
        if started.elapsed().as_secs() >= 10 {
            wrong.push(format!("{name}: took {:?}", started.elapsed()));
        }
    }
    assert!(wrong.is_empty(), "{} files not as expected:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_malformed_file_was_forgotten() {
    let Some(dir) = sample::dir() else { return };
    for entry in std::fs::read_dir(dir.join("malformed")).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let known =
            FILES.iter().any(|(n, _)| *n == name) || name == "hostile_names.nc" || name == "deflate_bomb.nc";
        assert!(
            known || !(name.ends_with(".nc") || name.ends_with(".tif") || name.contains("grib")),
            "{name} is in no expectation"
        );
    }
}

#[test]
fn a_name_that_leaves_the_tree_is_not_a_variable() {
    let Some(dir) = sample::dir() else { return };
    let source = open(&dir.join("malformed/hostile_names.nc"), Limits::default()).expect("it opens");
    for v in &source.header().variables {
        assert!(v.path.split('/').all(|part| !part.is_empty() && part != "." && part != ".."), "{}", v.path);
    }
}

#[test]
fn good_files_are_refused_for_nothing() {
    let Some((dir, references)) = sample::references() else { return };
    let mut wrong = Vec::new();
    for name in references["netcdf_inventory"].as_object().expect("an inventory").keys() {
        let Ok(source) = open(&dir.join(name), Limits::default()) else { continue };
        match check_coordinates(source.as_ref()) {
            Ok(findings) => {
                for f in findings {
                    eprintln!("{name}: {:?} {f}", f.severity);
                    if f.severity == Severity::Refuse {
                        wrong.push(format!("{name}: {f}"));
                    }
                }
            }
            Err(e) if e.reason.contains("contiguous raw data") => {}
            Err(e) => wrong.push(e.to_string()),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The limit on one read holds for a file that would allow more.
#[test]
fn a_read_beyond_the_limit_is_refused_before_it_allocates() {
    let Some(dir) = sample::dir() else { return };
    let limits = Limits { read_bytes: 1 << 20, ..Limits::default() };
    let source: Box<dyn Source> = open(&dir.join("malformed/deflate_bomb.nc"), limits).expect("it opens");
    let v = &source.header().variables[0];
    let error = source.read(&v.path, &[0, 0], &v.shape).expect_err("128 MiB are too much");
    assert!(error.reason.contains("one read may be 1048576 bytes"), "{error}");
    let limits = Limits { chunk_bytes: 1 << 20, ..Limits::default() };
    let error = open(&dir.join("malformed/deflate_bomb.nc"), limits).err().expect("its chunks are too much");
    assert!(error.reason.contains("decode to 16777216 bytes"), "{error}");
}
