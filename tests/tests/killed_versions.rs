//! Appends, replacements and rollbacks killed at random moments, fifty times.
//!
//! Whatever the moment, the latest version is whole: `graticule check` finds nothing lost in
//! the store, its content is what it was before or what the command makes it, and the next
//! command completes.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use graticule_tests::granules::Granule;
use graticule_tests::{binary, graticule};
use serde_json::Value;

const KILLS: usize = 50;

fn spawn(args: &[&str]) -> std::process::Child {
    let mut c = std::process::Command::new(binary());
    c.args(args).stdout(Stdio::null()).stderr(Stdio::null());
    c.spawn().expect("the binary starts")
}

/// Codes of what is wrong, those aside that the next command sets right.
fn lost(data: &Path) -> Vec<String> {
    let out = graticule(&["check", "--deep", "--json", "--data", &data.to_string_lossy()]);
    let report: Value = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
    let all = report["findings"].as_array().expect("findings").iter();
    all.map(|f| f["code"].as_str().expect("a code").to_owned())
        .filter(|c| !matches!(c.as_str(), "orphan" | "collection-stale"))
        .collect()
}

fn tip(data: &Path) -> String {
    let text = std::fs::read_to_string(data.join("collections/k/repo/refs/branch.main/ref.json"));
    let tip: Value = serde_json::from_str(&text.expect("a tip")).expect("JSON");
    tip["snapshot"].as_str().expect("a snapshot").to_owned()
}

#[test]
fn appends_and_rollbacks_killed_at_random_moments_leave_a_whole_version_every_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let shown = data.to_string_lossy().into_owned();
    let grid = |step, extra| Granule { rows: 300, columns: 300, extra, ..Granule::of(step) };
    let ingest = |file: &str| {
        let args = ["ingest", file, "--collection", "k", "--duplicates", "replace", "--data", &shown];
        args.map(str::to_owned).to_vec()
    };
    let completes = |args: &[String]| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let out = graticule(&args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    for step in 0..3 {
        let file = grid(step, 0.0).write(dir.path(), &format!("{step}.nc"));
        completes(&ingest(&file.to_string_lossy()));
    }
    let started = Instant::now();
    let file = grid(3, 0.0).write(dir.path(), "3.nc");
    completes(&ingest(&file.to_string_lossy()));
    let usual = started.elapsed();
    let mut seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |d| d.as_nanos() as u64 | 1);
    println!("seed {seed}, a command takes {usual:?}");
    let mut versions = vec![tip(&data)];
    let (mut next, mut cut_short, mut published) = (4, 0, 0);
    for kill in 0..KILLS {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let before = tip(&data);
        let command = match kill % 3 {
            // Another granule, one in the place of another, or back to an earlier version.
            0 => ingest(&grid(next, 0.0).write(dir.path(), &format!("{next}.nc")).to_string_lossy()),
            1 => {
                let extra = kill as f32 / 100.0 + 0.01;
                ingest(&grid(1, extra).write(dir.path(), &format!("1-{kill}.nc")).to_string_lossy())
            }
            _ => {
                let others: Vec<&String> = versions.iter().filter(|v| **v != before).collect();
                match others.get(seed as usize % others.len().max(1)) {
                    Some(to) => ["rollback", "k", to.as_str(), "--data", &shown].map(str::to_owned).to_vec(),
                    None => continue,
                }
            }
        };
        let args: Vec<&str> = command.iter().map(String::as_str).collect();
        let mut child = spawn(&args);
        // Most of a short command is its end: let the kills fall there too.
        std::thread::sleep(usual.mul_f64((seed % 1000) as f64 / 1000.0).max(Duration::from_millis(1)));
        let ended = child.try_wait().expect("the child can be asked").is_some();
        child.kill().expect("SIGKILL is sent");
        child.wait().expect("the child is reaped");
        cut_short += usize::from(!ended);
        let now = tip(&data);
        if now != before {
            published += 1;
            versions.push(now);
        }
        // What killing breaks it breaks at once or not at all; a look at every kill would
        // take longer than the kills.
        if kill % 5 == 4 {
            assert_eq!(lost(&data), Vec::<String>::new(), "after kill {kill}");
            let step = next;
            let file = grid(step, 0.0).write(dir.path(), &format!("{step}.nc"));
            // After a rollback this may come in the place of a later step, or out of order.
            let out =
                graticule(&ingest(&file.to_string_lossy()).iter().map(String::as_str).collect::<Vec<_>>());
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            assert!(out.status.success() || said.contains("out of order"), "{said}");
            next += 1;
            if tip(&data) != *versions.last().unwrap_or(&String::new()) {
                versions.push(tip(&data));
            }
        }
    }
    let last = grid(1000, 0.0).write(dir.path(), "last.nc");
    completes(&ingest(&last.to_string_lossy()));
    let out = graticule(&["check", "--deep", "--data", &shown]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    println!("{cut_short} of {KILLS} were cut short, {published} published before they were killed");
    assert!(cut_short > KILLS / 4, "the kills came too late to mean anything");
}
