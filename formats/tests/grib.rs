//! Every GRIB field of the sample data against what ecCodes and wgrib2 read.

mod positions;
mod sample;

use graticule_formats::{AttrValue, Limits, Source, Variable, open};
use positions::{close, near_on_the_globe, number, position, text, values};
use serde_json::Value;

/// The end of a step range as ecCodes writes it, in hours: `6`, `0-5`, `0m-15m`, `-28587-6477`.
fn step_end(range: &str) -> f64 {
    let end = match range.get(1..).and_then(|r| r.rfind('-')) {
        Some(i) => &range[i + 2..],
        None => range,
    };
    match end.strip_suffix('m') {
        Some(minutes) => minutes.parse::<f64>().expect("minutes") / 60.0,
        None => end.parse().expect("hours"),
    }
}

/// Days from 1970-01-01.
fn days(y: i64, m: i64, d: i64) -> i64 {
    let (y, m) = if m <= 2 { (y - 1, m + 12) } else { (y, m) };
    365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * (m - 3) + 2) / 5 + d - 719_469
}

/// A record of the references: one field of a file.
struct Record<'a>(&'a Value);

impl Record<'_> {
    fn int(&self, key: &str) -> Option<i64> {
        self.0[key].as_i64()
    }

    /// True where `v` is of its parameter and level.
    fn names(&self, v: &Variable) -> bool {
        let short = self.0["shortName"].as_str().expect("a name");
        let named = match short {
            // Its numbers are all that is known, or the code table has a name for it.
            "unknown" => v.path.starts_with('d') && v.path.contains("_n"),
            // One name for all constituents there; the tables here know them apart.
            "mass_mixrat" => v.attribute("GRIB_constituentType").is_some(),
            _ => text(v, "GRIB_shortName") == short,
        };
        let same = |attribute: &str, key: &str| {
            self.int(key).is_none_or(|want| number(v, attribute) == Some(want as f64))
        };
        named
            && text(v, "GRIB_typeOfLevel") == self.0["typeOfLevel"]
            && text(v, "GRIB_gridType") == self.0["gridType"]
            && same("GRIB_edition", "edition")
            && same("GRIB_discipline", "discipline")
            && same("GRIB_parameterCategory", "parameterCategory")
            && same("GRIB_parameterNumber", "parameterNumber")
    }

    /// Indices before those of the grid, if the variable has such a place.
    fn place(&self, source: &dyn Source, v: &Variable) -> Option<Vec<u64>> {
        let date = self.int("dataDate").expect("a date");
        let time = self.int("dataTime").expect("a time");
        let reference =
            days(date / 10_000, date / 100 % 100, date % 100) * 86_400 + time / 100 * 3600 + time % 100 * 60;
        let step = step_end(self.0["stepRange"].as_str().expect("a step"));
        let at = |path: &str, is: &dyn Fn(f64) -> bool| {
            values(source, path).into_iter().position(is).map(|i| i as u64)
        };
        let level = self.0["level"].as_f64().expect("a level");
        let mut out = Vec::new();
        for dim in &v.dims {
            let coordinate = source.header().variables.iter().find(|c| c.path == *dim);
            let Some(c) = coordinate else { break };
            out.push(match text(c, "standard_name") {
                "time" => {
                    let references = values(source, "forecast_reference_time");
                    let steps = values(source, "step");
                    let mut pairs = references.into_iter().zip(steps);
                    // ecCodes leaves out the seconds.
                    pairs.position(|(r, s)| r - r % 60.0 == reference as f64 && close(s, step))? as u64
                }
                "forecast_reference_time" => at(dim, &|r| r == reference as f64)?,
                "forecast_period" => at(dim, &|s| close(s, step))?,
                "realization" => {
                    let member = self.int("number")? as f64;
                    at(dim, &|n| n == member)?
                }
                "latitude" | "longitude" | "projection_y_coordinate" | "grid_latitude" => break,
                _ => match c.attribute("bounds").and_then(AttrValue::as_text) {
                    // ecCodes calls a layer by its first surface.
                    Some(bounds) => at(bounds, &|l| close(l, level))? / 2,
                    None => at(dim, &|l| close(l, level))?,
                },
            });
        }
        let scalar = number(v, "GRIB_level");
        let bounds = text(v, "GRIB_typeOfLevel").contains("Layer");
        (bounds || scalar.is_none_or(|l| close(l, level) || l.floor() == level)).then_some(out)
    }

    /// The flat index of what lies at `k` in the file, in rows of `columns`.
    fn unscanned(&self, k: usize, columns: usize) -> usize {
        let flags = self.int("scanningMode").unwrap_or(0);
        assert_eq!(flags & 0x20, 0, "no sample has columns first");
        let (row, column) = (k / columns, k % columns);
        if flags & 0x10 != 0 && row % 2 == 1 { row * columns + columns - 1 - column } else { k }
    }
}

#[test]
fn every_field_of_the_references_is_decoded_to_the_known_values_at_the_known_places() {
    let Some((dir, references)) = sample::references() else { return };
    let (mut fields, mut positions, mut wrong) = (0, 0, Vec::new());
    for entry in references["grib"].as_array().expect("a list") {
        let file = entry["file"].as_str().expect("a file");
        let records = entry["records"].as_array().expect("records");
        let source = match open(&dir.join(file), Limits::default()) {
            Ok(source) => source,
            Err(e) => {
                if !(records[0]["gridType"] == "sh" && e.reason.contains("spherical harmonics")) {
                    wrong.push(e.to_string());
                }
                continue;
            }
        };
        let header = source.header();
        for (what, why) in &header.skipped {
            wrong.push(format!("{file}: skipped {what}: {why}"));
        }
        for record in records {
            let r = Record(record);
            let tell = format!(
                "{file} field {} ({} {} {}, step {})",
                record["field"],
                record["shortName"],
                record["typeOfLevel"],
                record["level"],
                record["stepRange"]
            );
            let places: Vec<(&Variable, Vec<u64>)> = header
                .variables
                .iter()
                .filter(|v| v.attribute("GRIB_gridType").is_some() && r.names(v))
                .filter_map(|v| Some((v, r.place(source.as_ref(), v)?)))
                .collect();
            let mut faults = Vec::new();
            // Several constituents of one parameter: one of them is it.
            for (v, place) in &places {
                let fault = compare(source.as_ref(), v, place, &r, &mut positions);
                faults.push(fault);
            }
            match faults.iter().find(|f| f.is_empty()) {
                Some(_) => fields += 1,
                None => wrong.push(format!(
                    "{tell}: {}",
                    faults.into_iter().next().unwrap_or_else(|| vec!["is in no variable".into()]).join("; ")
                )),
            }
        }
    }
    eprintln!("{fields} fields, {positions} positions compared");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    assert!(fields >= 60, "the references shrank: {fields} fields");
}

/// What of a field is not as it should be.
fn compare(
    source: &dyn Source,
    v: &Variable,
    place: &[u64],
    r: &Record<'_>,
    positions: &mut usize,
) -> Vec<String> {
    let outer = place.len();
    let mut start = place.to_vec();
    start.resize(v.shape.len(), 0);
    let mut count = vec![1; outer];
    count.extend_from_slice(&v.shape[outer..]);
    let bytes = match source.read(&v.path, &start, &count) {
        Ok(bytes) => bytes,
        Err(e) => return vec![e.to_string()],
    };
    let all = v.dtype.to_f64_vec(&bytes);
    let valid: Vec<f64> = all.iter().copied().filter(|x| !x.is_nan()).collect();
    let want = &r.0["values"];
    let found = [
        ("size", all.len() as f64),
        ("valid", valid.len() as f64),
        ("min", valid.iter().copied().fold(f64::INFINITY, f64::min)),
        ("max", valid.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        ("mean", valid.iter().sum::<f64>() / valid.len() as f64),
    ];
    let mut wrong = Vec::new();
    for (what, got) in found {
        let want = want[what].as_f64();
        if !want.is_some_and(|want| close(got, want)) {
            wrong.push(format!("{what} is {got}, expected {want:?}"));
        }
    }
    let columns = v.shape.last().copied().unwrap_or(1) as usize;
    for (k, want) in r.0["samples"].as_object().into_iter().flatten() {
        let got = all[r.unscanned(k.parse().expect("an index"), columns)];
        if !want.as_f64().map_or(got.is_nan(), |want| close(got, want)) {
            wrong.push(format!("value {k} is {got}, expected {want}"));
        }
    }
    // ecCodes gives positions of rows that all run one way.
    for (k, want) in r.0["latlon"].as_object().into_iter().flatten() {
        let got = position(source, v, k.parse().expect("an index"));
        let want = (want[0].as_f64().expect("a latitude"), want[1].as_f64().expect("a longitude"));
        *positions += 1;
        if !near_on_the_globe(got, want) {
            wrong.push(format!("point {k} is at {got:?}, expected {want:?}"));
        }
    }
    wrong
}

#[test]
fn wgrib2_reads_the_same_numbers() {
    let Some((dir, references)) = sample::references() else { return };
    for check in references["wgrib2_check"].as_array().expect("a list") {
        let file = check["file"].as_str().expect("a file");
        let packed = std::fs::read(dir.join(check["ref"].as_str().expect("a reference"))).expect("it reads");
        let mut raw = Vec::new();
        lzma_rs::xz_decompress(&mut packed.as_slice(), &mut raw).expect("it unpacks");
        let want: Vec<f32> = raw.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let source = open(&dir.join(file), Limits::default()).unwrap_or_else(|e| panic!("{e}"));
        let v = source.header().variables.last().expect("a variable");
        let all = values(source.as_ref(), &v.path);
        // Fields of this variable follow one another in time, as in the file.
        let field = check["field"].as_u64().expect("a field") as usize;
        let got = &all[field * want.len()..(field + 1) * want.len()];
        let differ = got.iter().zip(&want).filter(|(got, want)| {
            // wgrib2's missing value.
            let missing = **want > 9.998e20;
            got.is_nan() != missing || !missing && !close(**got, f64::from(**want))
        });
        assert_eq!(differ.count(), 0, "{file} field {field}");
        assert_eq!(got.len() as u64, check["n"].as_u64().expect("a count"), "{file}");
    }
}

/// The same slab by any way of asking for it.
#[test]
fn parts_of_a_field_equal_the_whole() {
    let Some(dir) = sample::dir() else { return };
    for file in [
        "era5-levels-members.grib",
        "ndfd_waveh_mercator_complex.grib",
        "O32_global.grib1",
        "cmc_glb_tmp_jpeg.grib2",
    ] {
        let limits = Limits { cache_bytes: 1 << 16, ..Limits::default() };
        let source = open(&dir.join("grib").join(file), limits).unwrap_or_else(|e| panic!("{e}"));
        let v = source.header().variables.last().expect("a variable");
        let rank = v.shape.len();
        let last: Vec<u64> = v.shape.iter().map(|n| n - 1).collect();
        let mut start = last.clone();
        let mut count = vec![1; rank];
        (start[rank - 1], count[rank - 1]) = (0, v.shape[rank - 1]);
        if rank > 1 && v.dims[rank - 2] != "time" {
            (start[rank - 2], count[rank - 2]) = (0, v.shape[rank - 2]);
        }
        let read = |start: &[u64], count: &[u64]| {
            source.read(&v.path, start, count).unwrap_or_else(|e| panic!("{e}"))
        };
        let whole = read(&start, &count);
        let (rows, columns) = (count[rank - 2], count[rank - 1]);
        for (row0, rows_n, column0, columns_n) in [
            (0, rows, 0, columns),
            (rows / 2, rows - rows / 2, 0, columns),
            (0, rows, columns / 3, 5),
            (rows - 1, 1, 1, 2),
        ] {
            let (mut s, mut c) = (start.clone(), count.clone());
            if rows > 1 {
                (s[rank - 2], c[rank - 2]) = (row0, rows_n);
            }
            (s[rank - 1], c[rank - 1]) = (column0, columns_n);
            let expected: Vec<u8> = (row0..row0 + if rows > 1 { rows_n } else { 1 })
                .flat_map(|r| {
                    let at = ((if rows > 1 { r } else { 0 }) * columns + column0) as usize * 4;
                    whole[at..at + columns_n as usize * 4].to_vec()
                })
                .collect();
            assert!(read(&s, &c) == expected, "{file}: {s:?} {c:?}");
        }
    }
}

#[test]
fn units_are_those_of_udunits() {
    let Some(data) = sample::dir() else { return };
    for (file, path, want) in [
        ("grib/gfswave_atlocn.grib2", "swdir", "degree"),
        ("grib/hrrr_wrfsubhf_sample.grib2", "refc", "dBZ"),
        ("grib/nam_awp21100_2018.grib2", "gh_isobaricInhPa", "m"),
    ] {
        let source = open(&data.join(file), Limits::default()).unwrap_or_else(|e| panic!("{e}"));
        let v = source.header().variables.iter().find(|v| v.path == path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!(text(v, "units"), want, "{path}");
    }
}

#[test]
fn partitions_of_swell_are_no_vertical_axis_and_levels_are() {
    let Some(data) = sample::dir() else { return };
    let attribute = |file: &str, path: &str, name: &str| {
        let source = open(&data.join(file), Limits::default()).unwrap_or_else(|e| panic!("{e}"));
        let v = source.header().variables.iter().find(|v| v.path == path).unwrap_or_else(|| panic!("{path}"));
        v.attribute(name).and_then(AttrValue::as_text).map(str::to_owned)
    };
    let swell = "grib/gfswave_atlocn.grib2";
    assert_eq!(attribute(swell, "orderedSequenceData", "units").as_deref(), Some("1"));
    assert_eq!(attribute(swell, "orderedSequenceData", "axis"), None);
    assert_eq!(attribute(swell, "orderedSequenceData", "positive"), None);
    assert_eq!(attribute("grib/nam_awp21100_2018.grib2", "isobaricInhPa", "axis").as_deref(), Some("Z"));
}
