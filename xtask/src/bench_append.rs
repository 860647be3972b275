//! Whether the time per appended granule stays the same as a collection grows.
//!
//! Granules of one step are appended one by one, each by a process of its own, as
//! a cron job would. The collection is copied when it has ten; at the end granules are
//! appended to that copy and to the grown one in turn, so that what else the machine does
//! falls on both. What is told are the medians of these and their ratio.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::bench_ingest::binary;

const ROWS: usize = 90;
const COLUMNS: usize = 180;
/// Granules when the collection is young.
const EARLY: usize = 10;
/// Granules whose median is told.
const AROUND: usize = 20;

pub fn run() -> anyhow::Result<()> {
    let count: usize = std::env::args().nth(2).map_or(Ok(10_000), |a| a.parse())?;
    ensure!(count >= 100, "{count} granules: at least 100 are needed for a comparison");
    let folder = std::env::temp_dir().join(format!("graticule-append-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = measure(&folder, count);
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn measure(folder: &Path, count: usize) -> anyhow::Result<()> {
    let (grown, early, file) = (folder.join("data"), folder.join("early"), folder.join("granule.nc"));
    let binary = binary()?;
    let append = |data: &Path, step: usize| -> anyhow::Result<Duration> {
        std::fs::write(&file, granule(step))?;
        let started = Instant::now();
        let out = Command::new(&binary)
            .arg("ingest")
            .arg(&file)
            .args(["--collection", "append", "--data"])
            .arg(data)
            .stdout(Stdio::null())
            .output()?;
        ensure!(out.status.success(), "granule {step}: {}", String::from_utf8_lossy(&out.stderr));
        Ok(started.elapsed())
    };
    let mut times = Vec::with_capacity(count);
    for step in 0..count - AROUND {
        if step == EARLY {
            copy(&grown, &early)?;
        }
        times.push(append(&grown, step)?);
        if (step + 1).is_power_of_two() || (step + 1) % 1000 == 0 {
            println!("{:>6}: {:.1} ms", step + 1, millis(median(&times[step.saturating_sub(AROUND)..])));
        }
    }
    let (mut few, mut many) = (Vec::new(), Vec::new());
    for i in 0..AROUND {
        few.push(append(&early, EARLY + i)?);
        many.push(append(&grown, count - AROUND + i)?);
    }
    let (few, many) = (median(&few), median(&many));
    println!(
        "append, in turn: {:.1} ms after {EARLY} granules, {:.1} ms around number {count}: ratio {:.2}",
        millis(few),
        millis(many),
        many.as_secs_f64() / few.as_secs_f64()
    );
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn median(times: &[Duration]) -> Duration {
    let mut list = times.to_vec();
    list.sort_unstable();
    list.get(list.len() / 2).copied().unwrap_or_default()
}

fn millis(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

/// A NetCDF-3 classic file of one time step (format specification, "classic format").
fn granule(step: usize) -> Vec<u8> {
    let mut b: Vec<u8> = b"CDF\x01\0\0\0\0".to_vec();
    let word = |b: &mut Vec<u8>, n: usize| b.extend((n as u32).to_be_bytes());
    let name = |b: &mut Vec<u8>, s: &str| {
        b.extend((s.len() as u32).to_be_bytes());
        b.extend(s.as_bytes());
        b.resize(b.len().next_multiple_of(4), 0);
    };
    word(&mut b, 10);
    word(&mut b, 3);
    for (n, len) in [("time", 1), ("lat", ROWS), ("lon", COLUMNS)] {
        name(&mut b, n);
        word(&mut b, len);
    }
    word(&mut b, 0);
    word(&mut b, 0);
    let variables: [(&str, &[usize], &str, usize); 4] = [
        ("time", &[0], "hours since 2000-01-01", 1),
        ("lat", &[1], "degrees_north", ROWS),
        ("lon", &[2], "degrees_east", COLUMNS),
        ("v", &[0, 1, 2], "K", ROWS * COLUMNS),
    ];
    word(&mut b, 11);
    word(&mut b, variables.len());
    let mut offsets = Vec::new();
    for (n, over, units, cells) in variables {
        name(&mut b, n);
        word(&mut b, over.len());
        over.iter().for_each(|d| word(&mut b, *d));
        word(&mut b, 12);
        word(&mut b, 1);
        name(&mut b, "units");
        word(&mut b, 2);
        name(&mut b, units);
        // Type 6 is double, 5 float.
        let size = if n == "v" { 4 } else { 8 };
        word(&mut b, if n == "v" { 5 } else { 6 });
        word(&mut b, cells * size);
        offsets.push(b.len());
        word(&mut b, 0);
    }
    let coordinates: [Vec<f64>; 3] = [
        vec![step as f64],
        (0..ROWS).map(|r| -89.0 + 2.0 * r as f64).collect(),
        (0..COLUMNS).map(|c| -179.0 + 2.0 * c as f64).collect(),
    ];
    for (at, list) in offsets.iter().zip(coordinates) {
        let begin = (b.len() as u32).to_be_bytes();
        b[*at..at + 4].copy_from_slice(&begin);
        b.extend(list.iter().flat_map(|v| v.to_be_bytes()));
    }
    let begin = (b.len() as u32).to_be_bytes();
    b[offsets[3]..offsets[3] + 4].copy_from_slice(&begin);
    for i in 0..ROWS * COLUMNS {
        let (row, column) = ((i / COLUMNS) as f32, (i % COLUMNS) as f32);
        let value = 280.0 + 10.0 * (row / 20.0).sin() + (column / 30.0 + step as f32 / 24.0).cos();
        b.extend(value.to_be_bytes());
    }
    b
}
