//! A large grid through the real binary: time and peak memory of `graticule ingest`.
//!
//! The file is a NetCDF-3 64-bit-offset grid of float32, 36,000 x 18,000 unless
//! told otherwise: a smooth field with noise in the low digits, so that it
//! compresses as model output does, and a land mask, so that the pyramid has
//! something to leave out. It is written row by row and removed afterwards.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

const FILL: f32 = 1e20;

pub fn run() -> anyhow::Result<()> {
    let argument = |n: usize, default: usize| std::env::args().nth(n).map_or(Ok(default), |a| a.parse());
    let (columns, rows) = (argument(2, 36_000)?, argument(3, 18_000)?);
    let folder = std::env::temp_dir().join(format!("graticule-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = measure(&folder, columns, rows);
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn measure(folder: &Path, columns: usize, rows: usize) -> anyhow::Result<()> {
    let file = folder.join("large.nc");
    let started = Instant::now();
    write_grid(&file, columns, rows)?;
    println!(
        "wrote {columns} x {rows} float32, {:.2} GB, in {:.1} s",
        std::fs::metadata(&file)?.len() as f64 / 1e9,
        started.elapsed().as_secs_f64()
    );
    let data = std::env::var_os("GRATICULE_BENCH_DATA").map_or_else(|| folder.join("data"), PathBuf::from);
    let started = Instant::now();
    let mut child = Command::new(binary()?)
        .arg("ingest")
        .arg(&file)
        .args(["--collection", "large", "--data"])
        .arg(&data)
        .spawn()?;
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak_kib.max(peak_of(child.id()).unwrap_or(0));
        match child.try_wait()? {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    ensure!(status.success(), "ingest ended with {status}");
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "ingest: {seconds:.1} s, {:.0} MB/s of float32, peak memory {:.0} MB, store {:.2} GB",
        (columns * rows * 4) as f64 / 1e6 / seconds,
        peak_kib as f64 * 1024.0 / 1e6,
        size_of(&data)? as f64 / 1e9
    );
    Ok(())
}

pub fn binary() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("GRATICULE_BIN").map_or_else(
        || {
            std::env::var_os("CARGO_TARGET_DIR")
                .map_or_else(|| crate::root().join("target"), PathBuf::from)
                .join("release/graticule")
        },
        PathBuf::from,
    );
    ensure!(path.exists(), "{} is not there: run `make build` first", path.display());
    Ok(path)
}

/// The process's peak resident set in KiB, from Linux's `/proc`.
pub fn peak_of(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.trim().parse().ok()
}

fn size_of(folder: &Path) -> anyhow::Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        total += if entry.file_type()?.is_dir() { size_of(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(total)
}

/// NetCDF-3, 64-bit offset (NetCDF Classic Format Specification): header, then
/// `lat`, `lon` and `field` one after the other, all big-endian.
fn write_grid(path: &Path, columns: usize, rows: usize) -> anyhow::Result<()> {
    let mut header = Vec::new();
    let int = |h: &mut Vec<u8>, v: usize| -> anyhow::Result<()> {
        h.extend(u32::try_from(v).context("too large for a NetCDF-3 header")?.to_be_bytes());
        Ok(())
    };
    fn name(h: &mut Vec<u8>, text: &str) {
        h.extend((text.len() as u32).to_be_bytes());
        h.extend(text.as_bytes());
        h.extend(std::iter::repeat_n(0, text.len().next_multiple_of(4) - text.len()));
    }
    header.extend(b"CDF\x02");
    int(&mut header, 0)?;
    int(&mut header, 10)?;
    int(&mut header, 2)?;
    for (dim, n) in [("lat", rows), ("lon", columns)] {
        name(&mut header, dim);
        int(&mut header, n)?;
    }
    header.extend([0; 8]);
    int(&mut header, 11)?;
    int(&mut header, 3)?;
    let texts: [(&str, &[usize], &[(&str, &str)], usize); 3] = [
        ("lat", &[0], &[("units", "degrees_north")], rows * 4),
        ("lon", &[1], &[("units", "degrees_east")], columns * 4),
        ("field", &[0, 1], &[("units", "K"), ("long_name", "benchmark field")], rows * columns * 4),
    ];
    // Offsets are known once the header's length is: every entry has a fixed size.
    let entry_len = |n: &str, dims: &[usize], attrs: &[(&str, &str)], fill: bool| {
        let padded = |t: &str| 4 + t.len().next_multiple_of(4);
        let attributes: usize = attrs.iter().map(|(k, v)| padded(k) + 4 + padded(v)).sum();
        padded(n)
            + 4
            + dims.len() * 4
            + 8
            + attributes
            + if fill { padded("_FillValue") + 12 } else { 0 }
            + 4
            + 4
            + 8
    };
    let mut begin =
        header.len() + texts.iter().map(|(n, d, a, _)| entry_len(n, d, a, *n == "field")).sum::<usize>();
    for (variable, dims, attributes, bytes) in texts {
        let fill = variable == "field";
        name(&mut header, variable);
        int(&mut header, dims.len())?;
        for d in dims {
            int(&mut header, *d)?;
        }
        int(&mut header, 12)?;
        int(&mut header, attributes.len() + usize::from(fill))?;
        for (key, value) in attributes {
            name(&mut header, key);
            int(&mut header, 2)?;
            name(&mut header, value);
        }
        if fill {
            name(&mut header, "_FillValue");
            int(&mut header, 5)?;
            int(&mut header, 1)?;
            header.extend(FILL.to_be_bytes());
        }
        int(&mut header, 5)?;
        int(&mut header, bytes)?;
        header.extend((begin as u64).to_be_bytes());
        begin += bytes;
    }
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
    out.write_all(&header)?;
    for i in 0..rows {
        out.write_all(&(-90.0 + 180.0 * (i as f32 + 0.5) / rows as f32).to_be_bytes())?;
    }
    for j in 0..columns {
        out.write_all(&(-180.0 + 360.0 * (j as f32 + 0.5) / columns as f32).to_be_bytes())?;
    }
    let wave: Vec<f32> = (0..columns).map(|j| (j as f32 / columns as f32 * 12.0).sin()).collect();
    let mut noise = 0x2545_F491_4F6C_DD1Du64;
    let mut row = vec![0u8; columns * 4];
    for i in 0..rows {
        let lat = (i as f32 + 0.5) / rows as f32 * std::f32::consts::PI;
        let (base, swing) = (230.0 + 70.0 * lat.sin(), 8.0 * (lat * 5.0).cos());
        for (cell, w) in row.chunks_exact_mut(4).zip(&wave) {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            let value = base + swing * w + (noise & 31) as f32 / 512.0;
            let land = w * (lat * 7.0).sin() > 0.62;
            cell.copy_from_slice(&(if land { FILL } else { value }).to_be_bytes());
        }
        out.write_all(&row)?;
    }
    out.flush()?;
    Ok(())
}
