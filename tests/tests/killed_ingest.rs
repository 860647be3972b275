//! An ingest killed at a random moment, fifty times.
//!
//! Whatever the moment, a reader sees a whole version (the one before or the one
//! after, every chunk of every level in place and the values right), and the same
//! command run again completes.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const ROWS: usize = 720;
const COLUMNS: usize = 1440;
const KILLS: usize = 50;

/// The binary under test: `GRATICULE_BIN`, else the release build.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("GRATICULE_BIN") {
        return path.into();
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    target.join("release/graticule")
}

fn value(step: usize, row: usize, column: usize) -> f32 {
    step as f32 * 1000.0 + ((row * 31 + column * 17) % 101) as f32
}

/// A NetCDF-3 classic file of one time step (format specification, "classic format").
fn write_granule(path: &Path, step: usize) {
    let mut b: Vec<u8> = b"CDF\x01\0\0\0\0".to_vec();
    let word = |b: &mut Vec<u8>, n: usize| b.extend((n as u32).to_be_bytes());
    let name = |b: &mut Vec<u8>, s: &str| {
        b.extend((s.len() as u32).to_be_bytes());
        b.extend(s.as_bytes());
        b.resize(b.len().next_multiple_of(4), 0);
    };
    let dims = [("time", 1), ("lat", ROWS), ("lon", COLUMNS)];
    word(&mut b, 10);
    word(&mut b, dims.len());
    for (n, len) in dims {
        name(&mut b, n);
        word(&mut b, len);
    }
    word(&mut b, 0);
    word(&mut b, 0);
    let variables: [(&str, &[usize], &str, usize); 4] = [
        ("time", &[0], "days since 2000-01-01", 1),
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
        word(&mut b, 5);
        word(&mut b, cells * 4);
        offsets.push(b.len());
        word(&mut b, 0);
    }
    let values: [Vec<f32>; 4] = [
        vec![step as f32],
        (0..ROWS).map(|r| -89.875 + r as f32 * 0.25).collect(),
        (0..COLUMNS).map(|c| -179.875 + c as f32 * 0.25).collect(),
        (0..ROWS * COLUMNS).map(|i| value(step, i / COLUMNS, i % COLUMNS)).collect(),
    ];
    for (at, list) in offsets.into_iter().zip(values) {
        let begin = (b.len() as u32).to_be_bytes();
        b[at..at + 4].copy_from_slice(&begin);
        b.extend(list.iter().flat_map(|v| v.to_be_bytes()));
    }
    std::fs::File::create(path).and_then(|mut f| f.write_all(&b)).expect("the granule is written");
}

fn ingest(data: &Path, file: &Path) -> Child {
    Command::new(binary())
        .arg("ingest")
        .arg(file)
        .args(["--collection", "killed", "--data"])
        .arg(data)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

fn completes(data: &Path, file: &Path, when: &str) -> Duration {
    let started = Instant::now();
    let done = ingest(data, file).wait_with_output().expect("the ingest ends");
    assert!(done.status.success(), "{when}: {}", String::from_utf8_lossy(&done.stderr));
    started.elapsed()
}

struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(data: &Path) -> Self {
        let mut child = Command::new(binary())
            .args(["serve", "--bind", "127.0.0.1:0", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let out = child.stdout.take().expect("standard output is piped");
        let mut lines = BufReader::new(out).lines();
        let url = loop {
            let line = lines.next().expect("the server says its URL").expect("its output reads");
            if let Some(at) = line.find("http://") {
                break line[at..]
                    .split_whitespace()
                    .next()
                    .unwrap_or_default()
                    .trim_end_matches('/')
                    .to_owned();
            }
        };
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }

    fn get(&self, path: &str) -> Vec<u8> {
        let url = format!("{}{path}", self.url);
        let mut answer = ureq::get(&url).call().unwrap_or_else(|e| panic!("{url}: {e}"));
        answer.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap_or_else(|e| panic!("{url}: {e}"))
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Asserts that the latest version is whole; its number of steps.
    fn whole_version(&self) -> usize {
        let root = self.json("/zarr/killed/zarr.json");
        let nodes = root["consolidated_metadata"]["metadata"].as_object().expect("consolidated metadata");
        let steps = nodes["v"]["shape"][0].as_u64().expect("a shape");
        let list = |v: &Value| -> Vec<u64> {
            v.as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
        };
        for (path, node) in nodes.iter().filter(|(_, n)| n["node_type"] == "array") {
            let (shape, names) = (list(&node["shape"]), &node["dimension_names"]);
            for (n, name) in shape.iter().zip(names.as_array().into_iter().flatten()) {
                assert!(name != "time" || *n == steps, "{path} has {n} steps, v has {steps}");
            }
            let chunk = list(&node["chunk_grid"]["configuration"]["chunk_shape"]);
            let grid: Vec<u64> = shape.iter().zip(&chunk).map(|(n, c)| n.div_ceil(*c)).collect();
            for flat in 0..grid.iter().product() {
                let mut rest: u64 = flat;
                let mut index: Vec<String> = grid
                    .iter()
                    .rev()
                    .map(|n| {
                        let i = rest % n;
                        rest /= n;
                        i.to_string()
                    })
                    .collect();
                index.reverse();
                // The last row of shards says enough of old steps; new ones are read whole.
                assert!(!self.get(&format!("/zarr/killed/{path}/c/{}", index.join("/"))).is_empty());
            }
        }
        let (row, column) = (101, 707);
        let (lat, lon) = (-89.875 + row as f64 * 0.25, -179.875 + column as f64 * 0.25);
        let answer = self
            .json(&format!("/api/collections/killed/position?coords=POINT({lon}%20{lat})&parameter-name=v"));
        let got: Vec<f64> = answer["ranges"]["v"]["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_f64)
            .collect();
        let want: Vec<f64> = (0..steps as usize).map(|s| f64::from(value(s, row, column))).collect();
        assert_eq!(got, want);
        steps as usize
    }
}

#[test]
fn an_ingest_killed_at_a_random_moment_leaves_a_whole_version_and_the_next_completes() {
    if !binary().exists() {
        panic!("{}: build it first: cargo build --release", binary().display());
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let data = dir.path().join("data");
    let file = |step: usize| dir.path().join(format!("v_{step:03}.nc"));
    write_granule(&file(0), 0);
    let usual = completes(&data, &file(0), "the first ingest");
    let server = Server::start(&data);
    assert_eq!(server.whole_version(), 1);
    let mut seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |d| d.as_nanos() as u64 | 1);
    println!("seed {seed}, an ingest takes {usual:?}");
    let mut steps = 1;
    let mut cut_short = 0;
    for kill in 0..KILLS {
        write_granule(&file(steps), steps);
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let mut child = ingest(&data, &file(steps));
        std::thread::sleep(usual.mul_f64((seed % 1000) as f64 / 1000.0 * 1.1));
        let ended = child.try_wait().expect("the child can be asked").is_some();
        child.kill().expect("SIGKILL is sent");
        child.wait().expect("the child is reaped");
        cut_short += usize::from(!ended);
        let seen = server.whole_version();
        assert!(seen == steps || seen == steps + 1, "kill {kill}: {seen} steps, {steps} before");
        // Every few kills run to the end; the others leave their remains to the next one.
        if seen == steps && kill % 5 == 4 {
            completes(&data, &file(steps), &format!("after kill {kill}"));
            assert_eq!(server.whole_version(), steps + 1);
            steps += 1;
        } else {
            steps = seen;
        }
    }
    completes(&data, &file(steps - 1), "the same file again");
    assert_eq!(server.whole_version(), steps, "the same file again changes nothing");
    write_granule(&file(steps), steps);
    completes(&data, &file(steps), "the last ingest");
    assert_eq!(server.whole_version(), steps + 1);
    println!("{cut_short} of {KILLS} were cut short, {} versions were published", steps + 1);
    assert!(cut_short > KILLS / 4, "the kills came too late to mean anything");
}
