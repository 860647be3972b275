//! Quality tests of a recipe, made as the values pass by, and written down with
//! each granule.
//!
//! Memory is bounded: what the tests remember of each cell lies in memory while it
//! is small and on the disk where it is not (`state`).

mod check;
mod state;

use std::collections::BTreeSet;
use std::path::Path;

use graticule_formats::{FormatError, Source};
use graticule_shared::time::TimeUnits;
use serde_json::{Map, Value, json};

use super::concat::time_units;
use super::feed::FeedError;
use super::field::Field;
use crate::recipe::Recipe;
use crate::recipe::quality::{OnFail, Tests};
use check::{Counts, FAIL, GOOD, NOT_EVALUATED, STATE, SUSPECT, Tally, Worst};
use state::State;

/// Times before the new ones that are read again, for the tests to know what went before.
const MOST_BEFORE: u64 = 64;

/// The steps of the cube that one granule makes, and the file that is named for it.
#[derive(Debug, Clone)]
pub struct Share {
    pub file: String,
    pub from: u64,
    pub to: u64,
}

struct Watched<'a> {
    tests: &'a Tests,
    state: State,
    /// Cells of one step.
    cells: u64,
    /// Groups of steps that are read.
    touched: BTreeSet<u64>,
    /// One value a time: its rows are the steps.
    line: bool,
    /// The step after the last that was seen, of a line.
    seen: u64,
    /// By share.
    tallies: Vec<Tally>,
}

pub struct Quality<'a> {
    shares: &'a [Share],
    /// Those that are streamed, then those that are at hand.
    fields: Vec<&'a Field>,
    streamed: usize,
    watched: Vec<Option<Watched<'a>>>,
}

impl<'a> Quality<'a> {
    /// Of `fields`, which are streamed, and of `whole`, whose values are at hand; `lines` are the
    /// dimensions along which one value follows another in time.
    ///
    /// # Errors
    /// No room for scratch.
    pub fn new(
        fields: &'a [Field],
        whole: &'a [Field],
        lines: &BTreeSet<String>,
        recipe: &'a Recipe,
        shares: &'a [Share],
        scratch: &Path,
    ) -> anyhow::Result<Self> {
        let streamed = fields.len();
        let fields: Vec<&Field> = fields.iter().chain(whole).collect();
        let watched = fields.iter().map(|f| {
            // A second layout holds the same values again.
            let Some(tests) = recipe.quality.get(&f.source).filter(|_| !f.is_series) else { return Ok(None) };
            let line = f.shape.len() == 1 && f.dimension.as_ref().is_some_and(|d| lines.contains(d));
            let steps = f.axes.step.map_or(1, |a| f.shape[a]).max(1);
            let cells = if line { 1 } else { f.shape.iter().product::<u64>() / steps };
            let remembers = tests.spike.is_some() || tests.flat_line.is_some();
            let state = State::new(if remembers { cells * STATE as u64 } else { 0 }, scratch)?;
            let touched = f.touched(steps, f.levels[0].layout.shard[0].max(1)).into_iter().collect();
            let tallies = vec![Tally::default(); shares.len()];
            Ok(Some(Watched { tests, state, cells, touched, line, seen: 0, tallies }))
        });
        let watched = watched.collect::<std::io::Result<_>>()?;
        Ok(Self { shares, fields, streamed, watched })
    }

    /// Takes all values of a field that is at hand, number `number` of those; of a line those that
    /// are new.
    ///
    /// # Errors
    /// As [`Quality::observe`].
    pub fn observe_whole(
        &mut self,
        source: &dyn Source,
        number: usize,
        bytes: &[u8],
    ) -> Result<(), FeedError> {
        let number = self.streamed + number;
        let (Some(field), Some(Some(w))) = (self.fields.get(number), self.watched.get(number)) else {
            return Ok(());
        };
        let n = field.shape.first().copied().unwrap_or(1);
        let first = self.shares.iter().map(|s| s.from).min().filter(|_| w.line).unwrap_or(0).min(n);
        let from = first as usize * field.packing.read_as().size();
        let lead = vec![0; field.shape.len()];
        self.observe(source, number, &lead, 1, (first, n - first), bytes.get(from..).unwrap_or_default())
    }

    /// Takes a band of rows: bytes in the order step, row, column.
    ///
    /// # Errors
    /// A value fails and its granule is to be refused; the source does not read.
    pub fn observe(
        &mut self,
        source: &dyn Source,
        number: usize,
        lead: &[u64],
        steps: u64,
        (row, rows): (u64, u64),
        bytes: &[u8],
    ) -> Result<(), FeedError> {
        let (Some(field), Some(Some(w))) = (self.fields.get(number), self.watched.get_mut(number)) else {
            return Ok(());
        };
        if w.line {
            if row > w.seen && w.remembers() {
                w.forget(0, 1)?;
                let before = w.before().min(row);
                let bytes = source.read(&field.source, &[row - before], &[before])?;
                w.walk(self.shares, field, row - before, before, 0, 1, &bytes)?;
            }
            w.seen = row + rows;
            w.walk(self.shares, field, row, rows, 0, 1, bytes)?;
            return w.refuse(self.shares, field, source);
        }
        let first = field.axes.step.map_or(0, |a| lead[a]);
        let per_row = field.columns();
        // Number of the band's first cell among all of a step: other axes, then rows.
        let mut base = 0;
        for a in
            (0..field.shape.len()).filter(|a| Some(*a) != field.axes.step && Some(*a) != field.axes.column)
        {
            base = base * field.shape[a] + if a == field.axes.row { row } else { lead[a] };
        }
        let base = base * per_row;
        let n = (rows * per_row) as usize;
        if first > 0 && w.begins(field, first) && w.remembers() {
            w.forget(base, n)?;
            let before = w.before().min(first);
            let axes = &field.axes;
            let (mut start, mut count) = (lead.to_vec(), vec![1; lead.len()]);
            (start[axes.row], count[axes.row]) = (row, rows);
            if let Some(a) = axes.column {
                (start[a], count[a]) = (0, field.shape[a]);
            }
            if let Some(a) = axes.step {
                (start[a], count[a]) = (first - before, before);
            }
            let bytes = source.read(&field.source, &start, &count)?;
            w.walk(self.shares, field, first - before, before, base, n, &bytes)?;
        }
        w.walk(self.shares, field, first, steps, base, n, bytes)?;
        w.refuse(self.shares, field, source)
    }

    /// For each share, what its tests found.
    ///
    /// # Errors
    /// Too much is missing of a granule that is to be refused for it.
    pub fn finish(mut self, source: &dyn Source) -> Result<Vec<Vec<Value>>, FormatError> {
        let mut out = vec![Vec::new(); self.shares.len()];
        for (field, w) in self.fields.iter().copied().zip(self.watched.drain(..)) {
            let Some(w) = w else { continue };
            for ((share, tally), list) in self.shares.iter().zip(&w.tallies).zip(&mut out) {
                let (summary, flag) = summary(w.tests, field, tally, source);
                if flag == FAIL && w.tests.on_fail == OnFail::Refuse {
                    let said = format!("quality: {}", line(&summary));
                    return Err(FormatError::new(&share.file, said).in_variable(&field.source));
                }
                list.push(summary);
            }
        }
        Ok(out)
    }
}

impl Watched<'_> {
    fn remembers(&self) -> bool {
        self.tests.spike.is_some() || self.tests.flat_line.is_some()
    }

    /// Whether the steps before `first` were not seen in this pass.
    fn begins(&self, field: &Field, first: u64) -> bool {
        let unit = field.levels[0].layout.shard[0].max(1);
        !self.touched.contains(&(first / unit).wrapping_sub(1))
    }

    fn forget(&mut self, base: u64, n: usize) -> Result<(), FeedError> {
        self.state
            .with(base * STATE as u64, n * STATE, |s| s.fill(f64::NAN))
            .map_err(|e| FeedError::Scratch("of quality tests".into(), e))
    }

    /// Steps that the tests look back.
    fn before(&self) -> u64 {
        let flat = self.tests.flat_line.as_ref();
        let longest = flat.and_then(|f| f.fail.or(f.suspect)).map_or(0, u64::from);
        longest.clamp(2, MOST_BEFORE)
    }

    #[allow(clippy::too_many_arguments)]
    fn walk(
        &mut self,
        shares: &[Share],
        field: &Field,
        first: u64,
        steps: u64,
        base: u64,
        n: usize,
        bytes: &[u8],
    ) -> Result<(), FeedError> {
        let of = |step: u64| shares.iter().position(|s| (s.from..s.to).contains(&step));
        let dtype = field.packing.read_as();
        let size = dtype.size();
        let (tests, packing, remembers) = (self.tests, &field.packing, self.remembers());
        debug_assert!(base + n as u64 <= self.cells);
        for s in 0..steps {
            let step = first + s;
            let (now, before) = (of(step), step.checked_sub(1).and_then(of));
            if now.is_none() && !remembers {
                continue;
            }
            // Both are counted apart and put back, as they may be one.
            let mut mine = now.map(|i| std::mem::take(&mut self.tallies[i]));
            let mut other = before.filter(|b| Some(*b) != now).map(|i| std::mem::take(&mut self.tallies[i]));
            let same = before.is_some() && before == now;
            let from = s as usize * n * size;
            let plane = bytes.get(from..from + n * size).unwrap_or_default();
            let mut each = |state: &mut [f64]| {
                let mut forgotten = [f64::NAN; STATE];
                let mut scratch = Tally::default();
                for i in 0..plane.len() / size {
                    let value =
                        dtype.get_f64(plane, i).and_then(|r| packing.value(r)).filter(|v| !v.is_nan());
                    let slot =
                        if remembers { &mut state[i * STATE..(i + 1) * STATE] } else { &mut forgotten[..] };
                    let place = (step, base + i as u64);
                    if same {
                        check::next(tests, slot, value, place, Some(&mut scratch), mine.as_mut());
                    } else {
                        check::next(tests, slot, value, place, other.as_mut(), mine.as_mut());
                    }
                }
                if let Some(t) = mine.as_mut() {
                    t.absorb_spikes(&scratch);
                }
            };
            if remembers {
                let state = &mut self.state;
                state
                    .with(base * STATE as u64, n * STATE, each)
                    .map_err(|e| FeedError::Scratch("of quality tests".into(), e))?;
            } else {
                each(&mut []);
            }
            if let (Some(i), Some(t)) = (now, mine) {
                self.tallies[i] = t;
            }
            if let (Some(i), Some(t)) = (before, other) {
                self.tallies[i] = t;
            }
        }
        Ok(())
    }

    /// The first failed value of a granule that is to be refused for it.
    fn refuse(&self, shares: &[Share], field: &Field, source: &dyn Source) -> Result<(), FeedError> {
        if self.tests.on_fail != OnFail::Refuse {
            return Ok(());
        }
        for (share, tally) in shares.iter().zip(&self.tallies) {
            if let Some(w) = tally.worst.filter(|w| w.flag == FAIL) {
                let said = format!(
                    "quality: {} fails at {}: found {}",
                    w.test,
                    words(&place(field, &w, source).1),
                    w.value
                );
                return Err(FormatError::new(&share.file, said).in_variable(&field.source).into());
            }
        }
        Ok(())
    }
}

impl Tally {
    /// Spikes of the steps of the same granule.
    fn absorb_spikes(&mut self, other: &Self) {
        let (a, b) = (&mut self.spike, other.spike);
        a.good += b.good;
        a.not_evaluated += b.not_evaluated;
        a.suspect += b.suspect;
        a.fail += b.fail;
        if let Some(w) = other.worst
            && self.worst.is_none_or(|mine| w.flag > mine.flag || (w.flag == mine.flag && w.step < mine.step))
        {
            self.worst = Some(w);
        }
    }
}

/// Index and coordinates of a value, by dimension.
fn place(field: &Field, w: &Worst, source: &dyn Source) -> (Map<String, Value>, Map<String, Value>) {
    let header = source.header();
    let dims =
        header.variables.iter().find(|v| v.path == field.source).map(|v| v.dims.clone()).unwrap_or_default();
    // Along one dimension either the cells count or the steps.
    let mut rest = if field.axes.step.is_none() { w.cell + w.step } else { w.cell };
    let mut index = vec![0; field.shape.len()];
    for a in (0..field.shape.len()).rev() {
        if Some(a) == field.axes.step {
            index[a] = w.step;
        } else {
            index[a] = rest % field.shape[a].max(1);
            rest /= field.shape[a].max(1);
        }
    }
    let (mut indices, mut at) = (Map::new(), Map::new());
    for (dim, i) in dims.iter().zip(index) {
        indices.insert(dim.clone(), json!(i));
        let coordinate =
            header.variables.iter().find(|v| v.path == *dim && v.dims.as_slice() == [dim.clone()]);
        let Some(v) = coordinate else { continue };
        let Some(raw) = source.read(&v.path, &[i], &[1]).ok().and_then(|b| v.dtype.get_f64(&b, 0)) else {
            continue;
        };
        let value = v.packing().value(raw).unwrap_or(raw);
        let units: Option<TimeUnits> = time_units(v);
        let time = units.and_then(|u| u.decode(value).ok()).map(|t| json!(format!("{t}Z")));
        at.insert(dim.clone(), time.unwrap_or_else(|| json!(value)));
    }
    (indices, at)
}

fn words(at: &Map<String, Value>) -> String {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    at.iter().map(|(k, v)| format!("{k} {}", text(v))).collect::<Vec<_>>().join(", ")
}

fn summary(tests: &Tests, field: &Field, t: &Tally, source: &dyn Source) -> (Value, u8) {
    let mut made = Map::new();
    let mut flag = if t.values > t.missing { GOOD } else { NOT_EVALUATED };
    let mut put = |name: &str, is: bool, mut c: Counts| {
        if !is {
            return;
        }
        if name == "spike" {
            // What came last has no value after it yet.
            let seen = c.good + c.suspect + c.fail + c.not_evaluated + c.missing;
            c.not_evaluated += t.values.saturating_sub(seen);
        }
        let worst = if c.fail > 0 {
            FAIL
        } else if c.suspect > 0 {
            SUSPECT
        } else {
            GOOD
        };
        flag = flag.max(worst);
        let counts =
            [("1", c.good), ("2", c.not_evaluated), ("3", c.suspect), ("4", c.fail), ("9", c.missing)];
        let counts: Map<String, Value> =
            counts.into_iter().filter(|(_, n)| *n > 0).map(|(k, n)| (k.to_owned(), json!(n))).collect();
        made.insert(name.to_owned(), Value::Object(counts));
    };
    put("gross_range", tests.gross_range.is_some(), t.gross_range);
    put("spike", tests.spike.is_some(), t.spike);
    put("flat_line", tests.flat_line.is_some(), t.flat_line);
    if let Some(m) = &tests.missing {
        let fraction = t.missing as f64 / t.values.max(1) as f64;
        let found = check::beyond(m, fraction);
        flag = flag.max(found);
        made.insert("missing".into(), json!({"fraction": fraction, "flag": found}));
    }
    let mut out = json!({"variable": field.source, "flag": flag, "values": t.values, "missing": t.missing, "tests": made});
    if let Some(w) = &t.worst {
        let (index, at) = place(field, w, source);
        out["worst"] = json!({"test": w.test, "flag": w.flag, "value": w.value, "index": index, "at": at});
    }
    (out, flag)
}

/// A summary as one line for people.
pub fn line(s: &Value) -> String {
    let mut out = s["variable"].as_str().unwrap_or_default().to_owned();
    let named = |k: &str| match k {
        "1" => "good",
        "2" => "not evaluated",
        "3" => "suspect",
        "4" => "failed",
        _ => "missing",
    };
    for (test, found) in s["tests"].as_object().into_iter().flatten() {
        if test == "missing" {
            let percent = found["fraction"].as_f64().unwrap_or(0.0) * 100.0;
            let word = match found["flag"].as_u64() {
                Some(4) => "missing, which fails",
                Some(3) => "missing, which is suspect",
                _ => "missing",
            };
            out.push_str(&format!("; {percent:.1} % {word}"));
        } else {
            let counts: Vec<String> = found
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(k, _)| *k != "9")
                .map(|(k, n)| format!("{n} {}", named(k)))
                .collect();
            out.push_str(&format!("; {test}: {}", counts.join(", ")));
        }
    }
    if let Some(w) = s.get("worst") {
        let at = w["at"].as_object().map(words).unwrap_or_default();
        out.push_str(&format!(
            "; first by {}: {} at {at}",
            w["test"].as_str().unwrap_or_default(),
            w["value"]
        ));
    }
    out
}
