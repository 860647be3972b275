//! Small NetCDF-3 granules of known values (format specification, "classic format").

use std::path::{Path, PathBuf};

/// Steps of a variable `v` over `time`, `lat` and `lon`, in kelvin.
#[derive(Debug, Clone, Copy)]
pub struct Granule {
    /// Days since 2000-01-01 of its first step.
    pub first: usize,
    pub steps: usize,
    pub rows: usize,
    pub columns: usize,
    /// Added to every value, so that granules of the same times differ.
    pub extra: f32,
}

impl Default for Granule {
    fn default() -> Self {
        Self { first: 0, steps: 1, rows: 6, columns: 8, extra: 0.0 }
    }
}

impl Granule {
    pub fn of(first: usize) -> Self {
        Self { first, ..Self::default() }
    }

    pub fn value(&self, step: usize, row: usize, column: usize) -> f32 {
        step as f32 * 1000.0 + ((row * 31 + column * 17) % 101) as f32 + self.extra
    }

    /// Writes the file and returns where it lies.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, self.bytes()).expect("the granule is written");
        path
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut b: Vec<u8> = b"CDF\x01\0\0\0\0".to_vec();
        let word = |b: &mut Vec<u8>, n: usize| b.extend((n as u32).to_be_bytes());
        let name = |b: &mut Vec<u8>, s: &str| {
            b.extend((s.len() as u32).to_be_bytes());
            b.extend(s.as_bytes());
            b.resize(b.len().next_multiple_of(4), 0);
        };
        let dims = [("time", self.steps), ("lat", self.rows), ("lon", self.columns)];
        word(&mut b, 10);
        word(&mut b, dims.len());
        for (n, len) in dims {
            name(&mut b, n);
            word(&mut b, len);
        }
        word(&mut b, 0);
        word(&mut b, 0);
        let cells = self.steps * self.rows * self.columns;
        let variables: [(&str, &[usize], &str, usize); 4] = [
            ("time", &[0], "days since 2000-01-01", self.steps),
            ("lat", &[1], "degrees_north", self.rows),
            ("lon", &[2], "degrees_east", self.columns),
            ("v", &[0, 1, 2], "K", cells),
        ];
        word(&mut b, 11);
        word(&mut b, variables.len());
        let mut offsets = Vec::new();
        for (n, over, units, count) in variables {
            name(&mut b, n);
            word(&mut b, over.len());
            over.iter().for_each(|d| word(&mut b, *d));
            word(&mut b, 12);
            word(&mut b, 1);
            name(&mut b, "units");
            word(&mut b, 2);
            name(&mut b, units);
            word(&mut b, 5);
            word(&mut b, count * 4);
            offsets.push(b.len());
            word(&mut b, 0);
        }
        let (height, width) = (180.0 / self.rows as f32, 360.0 / self.columns as f32);
        let values: [Vec<f32>; 4] = [
            (0..self.steps).map(|s| (self.first + s) as f32).collect(),
            (0..self.rows).map(|r| -90.0 + (r as f32 + 0.5) * height).collect(),
            (0..self.columns).map(|c| -180.0 + (c as f32 + 0.5) * width).collect(),
            (0..cells)
                .map(|i| {
                    let (step, cell) = (i / (self.rows * self.columns), i % (self.rows * self.columns));
                    self.value(self.first + step, cell / self.columns, cell % self.columns)
                })
                .collect(),
        ];
        for (at, list) in offsets.into_iter().zip(values) {
            let begin = (b.len() as u32).to_be_bytes();
            b[at..at + 4].copy_from_slice(&begin);
            b.extend(list.iter().flat_map(|v| v.to_be_bytes()));
        }
        b
    }
}
