//! The same files into the same Zarr arrays, by `graticule ingest` and by Python
//! (xarray, cfgrib, rasterio, ndpyramid; `tests/bench/beside_python.py`), in turn, on all cores.
//!
//! Each is a process of its own, timed from its start to its end. Codec, chunks and shards
//! are those that Graticule chose; every value of both results is compared. Python may use
//! dask or not: what is quicker counts. Inputs and the virtual environment are kept below
//! `target/bench-python`, about 2 GB.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::bench_ingest::{binary, peak_of};

/// Kind, file and the ratio that is wanted of it.
const CASES: [(&str, &str, f64); 10] = [
    ("netcdf", "netcdf.nc", 2.0),
    ("grib", "grib-small.grib", 5.0),
    ("grib", "grib-simple.grib2", 5.0),
    ("grib", "grib-complex.grib2", 5.0),
    ("grib", "grib-ccsds.grib2", 5.0),
    ("grib", "grib-jpeg.grib2", 5.0),
    ("grib", "grib-png.grib2", 5.0),
    ("geotiff", "geotiff.tif", 1.0),
    ("pyramid", "pyramid.nc", 5.0),
    ("ndpyramid", "pyramid.nc", 5.0),
];

/// `bench-python [ROUNDS] [NAME...]`: of the cases whose kind or file begins with a name.
pub fn run() -> anyhow::Result<()> {
    let mut words: Vec<String> = std::env::args().skip(2).collect();
    let rounds = match words.first().map(|w| w.parse::<usize>()) {
        Some(Ok(n)) => {
            words.remove(0);
            n.max(1)
        }
        _ => 3,
    };
    let bench = Bench::prepare()?;
    println!("medians of {rounds} rounds, seconds from start to end of a process, and peak memory");
    println!(
        "{:<20}{:>11}{:>9}{:>11}{:>9}{:>8}{:>8}",
        "", "Graticule", "MB", "Python", "MB", "times", "wanted"
    );
    let mut missed = 0;
    for (kind, file, wanted) in CASES {
        let begins = |w: &String| kind.starts_with(w.as_str()) || file.starts_with(w.as_str());
        if !words.is_empty() && !words.iter().any(begins) {
            continue;
        }
        let (ours, theirs, with) = bench.compare(kind, file, rounds)?;
        let times = theirs.seconds / ours.seconds;
        missed += usize::from(times < wanted);
        let name = if kind == "ndpyramid" { kind } else { file };
        println!(
            "{name:<20}{:>11.2}{:>9.0}{:>11.2}{:>9.0}{times:>8.1}{wanted:>8.0}  {with}",
            ours.seconds, ours.megabytes, theirs.seconds, theirs.megabytes
        );
        if matches!(kind, "grib") {
            let (ours, theirs) = (bench.decoding(file)?, bench.decoding_in_python(kind, file)?);
            println!("{:<20}{ours:>11.2}{theirs:>20.2}{:>17.1}", "  decoding only", theirs / ours);
        }
    }
    println!("{missed} of these are below what is wanted");
    Ok(())
}

#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    megabytes: f64,
}

struct Bench {
    binary: PathBuf,
    arrays: PathBuf,
    python: PathBuf,
    script: PathBuf,
    data: PathBuf,
    out: PathBuf,
}

impl Bench {
    fn prepare() -> anyhow::Result<Self> {
        let root = crate::root();
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let folder = target.join("bench-python");
        let (venv, out) = (folder.join("venv"), folder.join("out"));
        let script = root.join("tests/bench/beside_python.py");
        let samples = std::env::var_os("GRATICULE_SAMPLE_DATA")
            .map_or_else(|| root.join("../shared/data"), PathBuf::from);
        ensure!(
            samples.join("references.json").exists(),
            "the sample files are not in {}; say where they are by GRATICULE_SAMPLE_DATA",
            samples.display()
        );
        std::fs::create_dir_all(&out)?;
        let python = venv.join("bin/python");
        if !venv.join("complete").exists() {
            println!("making {}", venv.display());
            let made = quiet(Command::new("python3").args(["-m", "venv"]).arg(&venv));
            made.context("python3 with its module venv is needed (Debian: python3-venv)")?;
            let requirements = root.join("tests/bench/requirements.txt");
            let pip =
                quiet(Command::new(&python).args(["-m", "pip", "install", "-q", "-r"]).arg(&requirements));
            pip.with_context(|| format!("what {} lists is needed", requirements.display()))?;
            std::fs::write(venv.join("complete"), "")?;
        }
        quiet(Command::new(env!("CARGO")).current_dir(&root).args([
            "build",
            "--release",
            "-q",
            "-p",
            "graticule-formats",
            "--example",
            "arrays",
        ]))?;
        let data = folder.join("data");
        quiet(Command::new(&python).arg(&script).arg("make").arg(&samples).arg(&data))?;
        let arrays = target.join("release/examples/arrays");
        Ok(Self { binary: binary()?, arrays, python, script, data, out })
    }

    fn script(&self, what: &str, case: &str) -> Command {
        let mut c = Command::new(&self.python);
        c.arg("-W").arg("ignore").arg(&self.script).args([what, case]);
        c
    }

    /// Medians of both, and whether Python used dask.
    fn compare(&self, kind: &str, file: &str, rounds: usize) -> anyhow::Result<(Cost, Cost, &'static str)> {
        let source = self.data.join(file);
        let case = format!("{kind}:{}", source.display());
        let (store, zarr) = (self.out.join("store"), self.out.join("zarr"));
        let (recipe, layout) = (self.out.join("recipe.toml"), self.out.join("layout.json"));
        let repository = store.join("collections/bench/repo");
        std::fs::write(&recipe, format!("[cube]\npyramid = {}\n", kind.ends_with("pyramid")))?;
        let (mut ours, mut theirs) = (Vec::new(), [Vec::new(), Vec::new()]);
        let ways = ["dask", "plain"];
        let mut wanted = vec![0, 1];
        if kind == "ndpyramid" {
            wanted = vec![0];
        }
        for round in 0..rounds {
            clear(&store)?;
            ours.push(timed(
                Command::new(&self.binary)
                    .arg("ingest")
                    .arg(&source)
                    .args(["--collection", "bench", "--recipe"])
                    .arg(&recipe)
                    .arg("--data")
                    .arg(&store),
            )?);
            if round == 0 {
                quiet(self.script("layout", &repository.display().to_string()).arg(&layout))?;
            }
            for way in wanted.clone() {
                clear(&zarr)?;
                let mut write = self.script("write", &case);
                theirs[way].push(timed(write.arg(&zarr).arg(&layout).arg(ways[way]))?);
                if round == 0 {
                    quiet(self.script("same", &case).arg(&zarr).arg(&repository))
                        .with_context(|| format!("{file}: the results differ"))?;
                }
            }
            if let ([a, ..], [b, ..]) = (theirs[0].as_slice(), theirs[1].as_slice()) {
                wanted = vec![usize::from(b.seconds < a.seconds)];
            }
        }
        clear(&store)?;
        clear(&zarr)?;
        let way = wanted[0];
        Ok((median(&mut ours), median(&mut theirs[way]), ways[way]))
    }

    /// Seconds to read all arrays into memory on one thread, the best of five.
    fn decoding(&self, file: &str) -> anyhow::Result<f64> {
        let out = output(Command::new(&self.arrays).arg("--json").arg(self.data.join(file)))?;
        seconds(&out)
    }

    fn decoding_in_python(&self, kind: &str, file: &str) -> anyhow::Result<f64> {
        let case = format!("{kind}:{}", self.data.join(file).display());
        let runs = (0..3).map(|_| seconds(&output(self.script("decode", &case).arg("plain"))?));
        runs.reduce(|a, b| Ok(a?.min(b?))).context("no run")?
    }
}

fn seconds(json: &str) -> anyhow::Result<f64> {
    let value: serde_json::Value = serde_json::from_str(json.trim())?;
    value["seconds"].as_f64().with_context(|| format!("no seconds in {json}"))
}

fn clear(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(())
}

fn median(costs: &mut [Cost]) -> Cost {
    costs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    costs[costs.len() / 2]
}

/// Runs a command that must succeed; what it says is shown only if it fails.
fn quiet(command: &mut Command) -> anyhow::Result<()> {
    output(command).map(drop)
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let out = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(
        out.status.success(),
        "{command:?}: {}\n{}{}",
        out.status,
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// What a command takes that must succeed.
fn timed(command: &mut Command) -> anyhow::Result<Cost> {
    // Only one of the two waits until its bytes are on the disk: not for those of the other.
    quiet(&mut Command::new("sync"))?;
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak_kib.max(peak_of(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let seconds = started.elapsed().as_secs_f64();
    ensure!(status.success(), "{command:?}: {status}; run it by hand to see why");
    Ok(Cost { seconds, megabytes: peak_kib as f64 * 1024.0 / 1e6 })
}
