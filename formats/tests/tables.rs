//! Tables against answers computed elsewhere (`references.json`, `tabular`).

mod sample;

use std::path::Path;

use graticule_formats::table::{self, Faults, Kind, Role, Table, TableHeader, Value};
use graticule_formats::{FormatError, Limits};

struct Read {
    header: TableHeader,
    rows: Vec<Vec<Value>>,
    faults: Faults,
}

fn open(path: &Path) -> Result<Box<dyn Table>, FormatError> {
    table::open(path, Limits::default()).map(|t| t.expect("a table"))
}

fn read(path: &Path) -> Read {
    let table = open(path).unwrap_or_else(|e| panic!("{e}"));
    let header = table.header().clone();
    let kinds: Vec<Kind> = header.columns.iter().map(|c| c.kind).collect();
    let mut rows = Vec::new();
    let faults = table
        .rows(&kinds, &mut |row| {
            rows.push(row.to_vec());
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{e}"));
    Read { header, rows, faults }
}

impl Read {
    fn column(&self, name: &str) -> usize {
        self.header
            .columns
            .iter()
            .position(|c| c.name == name)
            .unwrap_or_else(|| panic!("no column {name:?}"))
    }

    fn numbers(&self, column: usize) -> Vec<f64> {
        let number = |v: &Value| match v {
            Value::Int(v) => Some(*v as f64),
            Value::Float(v) => Some(*v),
            _ => None,
        };
        self.rows.iter().filter_map(|r| number(&r[column])).collect()
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * b.abs().max(1.0)
}

fn same_statistics(read: &Read, column: usize, expected: &serde_json::Value, what: &str) {
    let values = read.numbers(column);
    assert_eq!(values.len() as u64, expected["valid"].as_u64().unwrap(), "{what}: values");
    if values.is_empty() {
        return;
    }
    let sum: f64 = values.iter().sum();
    let mean = sum / values.len() as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
    for (name, found) in [
        ("min", values.iter().copied().fold(f64::INFINITY, f64::min)),
        ("max", values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        ("mean", mean),
        ("std", variance.sqrt()),
        ("sum", sum),
    ] {
        assert!(close(found, expected[name].as_f64().unwrap()), "{what}, {name}: {found}");
    }
}

#[test]
fn every_table_has_the_known_rows_and_statistics() {
    let Some((dir, references)) = sample::references() else { return };
    let mut compared = 0;
    for r in references["tabular"].as_array().unwrap() {
        let file = r["file"].as_str().unwrap();
        let read = read(&dir.join(file));
        assert_eq!(read.rows.len() as u64, r["rows"].as_u64().unwrap(), "{file}");
        assert_eq!(read.faults.count, 0, "{file}");
        let header: Vec<&str> =
            r["header"].as_array().into_iter().flatten().filter_map(|n| n.as_str()).collect();
        for (i, name) in header.iter().enumerate() {
            assert_eq!(read.header.columns[i].name, *name, "{file}");
        }
        let numeric = r["numeric"].as_object().into_iter().flatten();
        let named = r.as_object().unwrap().iter().filter(|(_, v)| v["size"].is_u64());
        for (name, expected) in numeric.chain(named) {
            let column = if name == "col3_sol_lon" { 3 } else { read.column(name) };
            same_statistics(&read, column, expected, &format!("{file}, {name}"));
            compared += 1;
        }
        if let Some(missing) = r["missing_MM"].as_u64() {
            let nulls = read.rows.iter().flatten().filter(|v| **v == Value::Null).count();
            assert_eq!(nulls as u64, missing, "{file}: MM");
        }
    }
    assert!(compared >= 20, "{compared} columns compared");
}

#[test]
fn the_meteor_network_s_columns_have_names_units_and_a_key() {
    let Some(dir) = sample::dir() else { return };
    let read = read(&dir.join("tabular/gmn_traj_summary_monthly_201812.txt"));
    assert_eq!(read.header.columns.len(), 86);
    let id = read.column("Unique trajectory (identifier)");
    assert_eq!(read.header.key, [id]);
    assert_eq!(read.rows[0][id], Value::Text("20181210010656_eBlUM".into()));
    assert_eq!(read.rows[496][id], Value::Text("20181231131806_tqkAH".into()));
    let time = read.column("Beginning (UTC Time)");
    assert_eq!(read.header.with_role(Role::Time), Some(time));
    for (row, expected) in [(0, "2018-12-10T01:06:56.588151Z"), (496, "2018-12-31T13:18:06.549635Z")] {
        let Value::Time(t) = read.rows[row][time] else { panic!("{:?}", read.rows[row][time]) };
        assert_eq!(table::instant(t), expected);
    }
    for (name, units) in
        [("Sol lon", "deg"), ("Vgeo", "km/s"), ("Vgeo +/-", "km/s"), ("LatBeg", "deg"), ("T", "years")]
    {
        assert_eq!(read.header.columns[read.column(name)].units.as_deref(), Some(units), "{name}");
    }
    assert_eq!(read.header.with_role(Role::Latitude), Some(read.column("LatBeg")));
    assert_eq!(read.header.columns[read.column("Beg in (FOV)")].kind, Kind::Boolean);
    // "..." is no shower.
    assert_eq!(read.rows[0][read.column("IAU (code)")], Value::Null);
}

#[test]
fn parts_of_an_instant_become_one() {
    let Some(dir) = sample::dir() else { return };
    for (file, first) in [
        ("ndbc_41002.txt", "2018-08-01T15:10:00Z"),
        ("ndbc_41002.spec", "2018-08-01T14:40:00Z"),
        ("ndbc_22101.drift", "2018-08-01T14:00:00Z"),
        ("ndbc_latest_obs.txt", "2018-07-30T21:00:00Z"),
        ("nhc_storm_list.csv", "1851-06-25T00:00:00Z"),
    ] {
        let read = read(&dir.join("tabular").join(file));
        let time = read.header.with_role(Role::Time).expect("a time");
        let Value::Time(t) = read.rows[0][time] else { panic!("{file}") };
        assert_eq!(table::instant(t), first, "{file}");
    }
}

#[test]
fn broken_rows_are_left_out_and_named_by_their_line() {
    let Some(dir) = sample::dir() else { return };
    let read = read(&dir.join("malformed/gmn_broken_rows.txt"));
    let lines: Vec<u64> = read.faults.first.iter().map(|f| f.line).collect();
    assert_eq!((read.rows.len(), lines), (25, vec![7, 9, 11, 13, 14]));
    let said = read.faults.sentences().join("\n");
    for part in
        ["expected 86 fields, found 2", "found 89", "found 81", "\"not-a-number\"", "a control character"]
    {
        assert!(said.contains(part), "{part} in {said}");
    }
    let mixed = self::read(&dir.join("malformed/csv_mixed.csv"));
    let lines: Vec<u64> = mixed.faults.first.iter().map(|f| f.line).collect();
    assert_eq!((mixed.rows.len(), lines), (4, vec![3, 4, 5, 6, 7, 8]), "{:?}", mixed.faults);
    assert!(
        mixed.faults.first[2]
            .to_string()
            .contains("column \"lat\": expected degrees within -90 and 90, found \"95\"")
    );
}

#[test]
fn other_encodings_and_decimal_commas_are_read_or_refused() {
    let Some(dir) = sample::dir() else { return };
    let latin1 = read(&dir.join("malformed/csv_latin1.csv"));
    assert_eq!(latin1.rows[1][0], Value::Text("Zürich".into()));
    let commas = read(&dir.join("malformed/csv_no_newline_semicolon_decimal_comma.csv"));
    assert_eq!(commas.rows[0][1..], [Value::Float(52.5), Value::Float(13.4), Value::Float(1.25)]);
    let utf16 = open(&dir.join("malformed/csv_utf16_bom.csv")).err().expect("refused");
    assert!(utf16.reason.contains("UTF-16"), "{utf16}");
    let long = read(&dir.join("malformed/csv_long_line.csv"));
    assert_eq!(long.header.columns[1].kind, Kind::Text);
}

fn bytes(text: &str) -> Result<Box<dyn Table>, FormatError> {
    table::open_bytes("t.csv", text.as_bytes().to_vec(), Limits::default()).map(|t| t.expect("a table"))
}

#[test]
fn a_row_of_units_is_units_and_a_byte_order_mark_is_nothing() {
    let table =
        bytes("\u{feff}time,latitude,temp\nUTC,degrees_north,degree_C\n2020-01-01T00:00:00Z,1.5,20\n")
            .unwrap();
    let columns: Vec<_> =
        table.header().columns.iter().map(|c| (c.name.as_str(), c.units.as_deref(), c.kind)).collect();
    assert_eq!(
        columns,
        [
            ("time", Some("UTC"), Kind::Timestamp),
            ("latitude", Some("degrees_north"), Kind::Float64),
            ("temp", Some("degree_C"), Kind::Int64)
        ]
    );
}

#[test]
fn the_last_row_decides_as_much_as_the_first() {
    let mut text = "station,level\n".to_owned();
    (0..5000).for_each(|i| text += &format!("{i},{i}\n"));
    text += "YRSV2,0.5\n";
    let table = bytes(&text).unwrap();
    let kinds: Vec<Kind> = table.header().columns.iter().map(|c| c.kind).collect();
    assert_eq!(kinds, [Kind::Text, Kind::Float64]);
    assert_eq!(table.header().columns[1].first_not_integer, Some((5002, "\"0.5\"".to_owned())));
}

#[test]
fn what_is_no_table_is_refused_in_words() {
    for (text, why) in [
        ("Once upon a time\nthere was a sea.\n", "no table is recognised"),
        ("a,b\n", "a header and no row"),
        ("a,b\n1,2,3,4\n5\n6\n7\n8\n", "no table is recognised"),
    ] {
        let e = bytes(text).err().unwrap_or_else(|| panic!("{text:?} was read"));
        assert!(e.reason.contains(why), "{text:?}: {e}");
    }
    for text in ["<html><body>Error</body></html>", "{\"a\": 1}", ""] {
        let opened = table::open_bytes("t", text.as_bytes().to_vec(), Limits::default()).unwrap();
        assert!(opened.is_none(), "{text:?} is left to the readers of grids");
    }
}

#[test]
fn an_argo_profile_is_one_row_a_level_with_its_flags() {
    let Some(dir) = sample::dir() else { return };
    let read = read(&dir.join("tabular/argo_R13857_001.nc"));
    // 112 levels, 112 pressures that are there.
    assert_eq!(read.rows.len(), 112);
    let at = |row: usize, name: &str| read.rows[row][read.column(name)].clone();
    assert_eq!(at(0, "PLATFORM_NUMBER"), Value::Text("13857".into()));
    assert_eq!(at(0, "CYCLE_NUMBER"), Value::Int(1));
    let Value::Time(juld) = at(0, "JULD") else { panic!("{:?}", at(0, "JULD")) };
    assert_eq!(&table::instant(juld)[..10], "1997-07-29");
    let (Value::Float(pressure), Value::Float(temperature)) = (at(0, "PRES"), at(0, "TEMP")) else {
        panic!()
    };
    assert!(close(pressure, ARGO_FIRST.0) && close(temperature, ARGO_FIRST.1), "{pressure} {temperature}");
    assert_eq!(at(0, "TEMP_QC"), Value::Text("1".into()));
    assert_eq!(read.header.with_role(Role::Latitude), Some(read.column("LATITUDE")));
    assert_eq!(read.header.columns[read.column("PRES")].units.as_deref(), Some("decibar"));
}

/// Pressure (decibar) and temperature (degree Celsius) of the first level, as netCDF4-python reads them.
const ARGO_FIRST: (f64, f64) = (11.9, 22.235);

fn fixture(name: &str) -> Read {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/samples").join(name))
}

impl Read {
    /// These columns of all rows, shown.
    fn shown(&self, names: &[&str]) -> Vec<String> {
        let one = |v: &Value| match v {
            Value::Null => "-".to_owned(),
            Value::Int(v) => v.to_string(),
            Value::Float(v) => v.to_string(),
            Value::Bool(v) => v.to_string(),
            Value::Time(v) => table::instant(*v)[5..13].to_owned(),
            Value::Text(v) => v.clone(),
        };
        let line =
            |r: &Vec<Value>| names.iter().map(|n| one(&r[self.column(n)])).collect::<Vec<_>>().join(" ");
        self.rows.iter().map(line).collect()
    }
}

#[test]
fn stations_of_one_time_axis_are_a_row_a_time_without_what_they_missed() {
    let read = fixture("stations.nc");
    assert_eq!(read.header.format, "CF timeSeries");
    assert_eq!(read.header.title.as_deref(), Some("timeSeries, stations"));
    let rows = read.shown(&["station_name", "lat", "time", "temperature"]);
    assert_eq!(rows.len(), 11, "the padding is no row");
    assert_eq!(rows[0], "north 10 01-01T00 0");
    assert_eq!(rows[6], "mid 20 01-01T12 6");
    assert_eq!(rows[7], "south 30 01-01T00 8");
}

#[test]
fn ragged_samples_find_their_instance_by_count_and_by_index() {
    let contiguous = fixture("contiguous.nc").shown(&["lat", "time", "z", "count"]);
    assert_eq!(
        contiguous,
        ["10 01-01T00 5 7", "10 01-01T00 10 8", "30 01-03T00 5 9", "30 01-03T00 10 10", "30 01-03T00 15 11"]
    );
    let indexed = fixture("indexed.nc").shown(&["lon", "time", "level"]);
    assert_eq!(indexed, ["2 01-01T00 1", "1 01-01T01 2", "2 01-01T02 3", "1 01-01T03 4"]);
}

#[test]
fn kerchunk_json_is_never_read_as_a_text_table() {
    // Lines that agree in commas and in blanks, as a table's do.
    let lines: Vec<String> = (0..40).map(|i| format!("\"t/{i}\": [\"a.nc\", {}, 100]", i * 100)).collect();
    let pretty = format!("{{\n{}\n}}", lines.join(",\n"));
    let texts = [
        pretty.clone(),
        pretty.replace('\n', " "),
        format!("\u{feff}{pretty}"),
        format!("{}{pretty}", "\n".repeat(700)),
        format!("{}{pretty}", " \n".repeat(4000)),
        format!("{{\"version\": 1, \"refs\": {pretty}}}"),
        format!("[{pretty}]"),
        // Its end cut off, and with line ends of another kind.
        pretty[..pretty.len() / 2].to_owned(),
        pretty.replace('\n', "\r\n"),
    ];
    for text in texts {
        for name in ["refs.json", "refs.csv", "refs.txt"] {
            let read = table::open_bytes(name, text.clone().into_bytes(), Limits::default());
            assert!(matches!(read, Ok(None)), "{name}: {:?}", &text[..60.min(text.len())]);
        }
    }
    // Braces further on make no JSON of a table.
    let table = "a,b\n{1},2\n{3},4\n";
    assert!(matches!(table::open_bytes("a.csv", table.into(), Limits::default()), Ok(Some(_))));
    let Some(dir) = sample::dir() else { return };
    for name in ["local_air.json", "local_ostia_20170605.json"] {
        assert!(
            table::open(&dir.join("kerchunk").join(name), Limits::default()).unwrap().is_none(),
            "{name}"
        );
    }
}
