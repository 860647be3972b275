//! How far an ingest is: a bar for a person, lines for a log.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Told from several threads.
pub trait Progress: Send + Sync {
    /// A granule begins; `bytes` will be read.
    fn begin(&self, granule: &str, bytes: u64);
    /// `bytes` more were read of this variable.
    fn advance(&self, bytes: u64, variable: &str);
    /// The granule is done, one way or the other.
    fn end(&self, outcome: &str);
}

/// Says nothing.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64, _: &str) {}
    fn end(&self, _: &str) {}
}

/// A bar where standard error is a terminal, plain lines elsewhere.
pub fn for_stderr() -> Box<dyn Progress> {
    if std::io::stderr().is_terminal() { Box::new(Bar::default()) } else { Box::new(Lines::default()) }
}

#[derive(Default)]
struct Bar(Mutex<Option<ProgressBar>>);

impl Progress for Bar {
    fn begin(&self, granule: &str, bytes: u64) {
        let style = ProgressStyle::with_template(
            "{prefix} [{bar:32}] {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}",
        );
        let bar = ProgressBar::new(bytes).with_prefix(granule.to_owned());
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("━╸ "));
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
    }

    fn advance(&self, bytes: u64, variable: &str) {
        if let Some(bar) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.set_message(variable.to_owned());
            bar.inc(bytes);
        }
    }

    fn end(&self, outcome: &str) {
        if let Some(bar) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.println(outcome);
            bar.finish_and_clear();
        }
    }
}

#[derive(Default)]
struct Lines(Mutex<Option<Line>>);

struct Line {
    granule: String,
    total: u64,
    read: u64,
    said: Instant,
}

/// Lines are for logs: one every few seconds is enough.
const EVERY: Duration = Duration::from_secs(5);

impl Progress for Lines {
    fn begin(&self, granule: &str, bytes: u64) {
        let line = Line { granule: granule.to_owned(), total: bytes, read: 0, said: Instant::now() };
        say(&format!("{granule}: {:.1} MB to read", bytes as f64 / 1e6));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
    }

    fn advance(&self, bytes: u64, variable: &str) {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(line) = guard.as_mut() else { return };
        line.read += bytes;
        if line.said.elapsed() >= EVERY {
            line.said = Instant::now();
            let percent = line.read as f64 * 100.0 / line.total.max(1) as f64;
            say(&format!("{}: {percent:.0} % ({variable})", line.granule));
        }
    }

    fn end(&self, outcome: &str) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            say(outcome);
        }
    }
}

/// A closed standard error stops no ingest.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
