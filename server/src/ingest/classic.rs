//! NetCDF-3 classic files for tests (format specification, "classic format").

use std::path::{Path, PathBuf};

/// A float32 variable over dimensions of the file, with text attributes.
pub struct Var<'a> {
    pub name: &'a str,
    pub dims: &'a [&'a str],
    pub attributes: &'a [(&'a str, &'a str)],
    pub values: Vec<f32>,
}

pub fn write(path: &Path, dims: &[(&str, usize)], variables: &[Var<'_>]) {
    let mut b: Vec<u8> = b"CDF\x01\0\0\0\0".to_vec();
    let word = |b: &mut Vec<u8>, n: usize| b.extend((n as u32).to_be_bytes());
    let name = |b: &mut Vec<u8>, s: &str| {
        b.extend((s.len() as u32).to_be_bytes());
        b.extend(s.as_bytes());
        b.resize(b.len().next_multiple_of(4), 0);
    };
    word(&mut b, 10);
    word(&mut b, dims.len());
    for (n, len) in dims {
        name(&mut b, n);
        word(&mut b, *len);
    }
    word(&mut b, 0);
    word(&mut b, 0);
    word(&mut b, 11);
    word(&mut b, variables.len());
    let mut offsets = Vec::new();
    for v in variables {
        name(&mut b, v.name);
        word(&mut b, v.dims.len());
        let number = |d: &&str| dims.iter().position(|(n, _)| n == d).unwrap();
        v.dims.iter().for_each(|d| word(&mut b, number(d)));
        word(&mut b, if v.attributes.is_empty() { 0 } else { 12 });
        word(&mut b, v.attributes.len());
        for (key, text) in v.attributes {
            name(&mut b, key);
            word(&mut b, 2);
            name(&mut b, text);
        }
        word(&mut b, 5);
        word(&mut b, v.values.len() * 4);
        offsets.push(b.len());
        word(&mut b, 0);
    }
    for (at, v) in offsets.into_iter().zip(variables) {
        let begin = (b.len() as u32).to_be_bytes();
        b[at..at + 4].copy_from_slice(&begin);
        b.extend(v.values.iter().flat_map(|f| f.to_be_bytes()));
    }
    std::fs::write(path, b).unwrap();
}

pub const LAT: usize = 6;
pub const LON: usize = 8;

/// A field of `days` days from `first` on; its value is `base` + 100 * day + cell.
pub fn days(path: &Path, field: &str, units: &str, first: usize, days: usize, base: f32) -> PathBuf {
    grid(path, field, units, Some((first, days)), LON, &|d, cell| base + 100.0 * d as f32 + cell as f32);
    path.to_owned()
}

/// The same over `lon` columns, without a dimension of time where `times` is `None`.
pub fn grid(
    path: &Path,
    field: &str,
    units: &str,
    times: Option<(usize, usize)>,
    lon: usize,
    value: &dyn Fn(usize, usize) -> f32,
) {
    let unit = [("units", units)];
    let (first, steps) = times.unwrap_or((0, 1));
    let axis = |n: usize, from: f32, step: f32| (0..n).map(|i| from + i as f32 * step).collect();
    let mut variables = vec![
        Var {
            name: "lat",
            dims: &["lat"],
            attributes: &[("units", "degrees_north")],
            values: axis(LAT, -50.0, 20.0),
        },
        Var {
            name: "lon",
            dims: &["lon"],
            attributes: &[("units", "degrees_east")],
            values: axis(lon, 0.0, 10.0),
        },
    ];
    if times.is_some() {
        let values = (first..first + steps).map(|d| d as f32).collect();
        variables.push(Var {
            name: "time",
            dims: &["time"],
            attributes: &[("units", "days since 2000-01-01")],
            values,
        });
    }
    let values = (first..first + steps).flat_map(|d| (0..LAT * lon).map(move |c| (d, c)));
    variables.push(Var {
        name: field,
        dims: if times.is_some() { &["time", "lat", "lon"] } else { &["lat", "lon"] },
        attributes: &unit,
        values: values.map(|(d, c)| value(d, c)).collect(),
    });
    let dims = [("time", steps), ("lat", LAT), ("lon", lon)];
    write(path, if times.is_some() { &dims } else { &dims[1..] }, &variables);
}
