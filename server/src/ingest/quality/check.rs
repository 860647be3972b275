//! The QARTOD tests of one variable, cell by cell as times pass.
//!
//! Source of the rules: IOOS QARTOD, Manual for Real-Time Quality Control of In-situ
//! Temperature and Salinity Data, version 2.1, tests 4 (gross range), 6 (spike) and
//! 8 (flat line). A spike is judged when the value after it has come.

use crate::recipe::quality::{FlatLine, GrossRange, Tests, Thresholds};

/// QARTOD flags.
pub const GOOD: u8 = 1;
pub const NOT_EVALUATED: u8 = 2;
pub const SUSPECT: u8 = 3;
pub const FAIL: u8 = 4;
pub const MISSING: u8 = 9;

/// Numbers of state for each cell: the two values before; length, least and greatest of the run.
pub const STATE: usize = 5;

/// Values by flag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub good: u64,
    pub not_evaluated: u64,
    pub suspect: u64,
    pub fail: u64,
    pub missing: u64,
}

impl Counts {
    fn add(&mut self, flag: u8) {
        match flag {
            GOOD => self.good += 1,
            SUSPECT => self.suspect += 1,
            FAIL => self.fail += 1,
            MISSING => self.missing += 1,
            _ => self.not_evaluated += 1,
        }
    }
}

/// The first value of the worst flag.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worst {
    pub test: &'static str,
    pub flag: u8,
    pub value: f64,
    pub step: u64,
    /// Number of the cell among all of one step.
    pub cell: u64,
}

/// What the tests found in one granule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    pub values: u64,
    pub missing: u64,
    pub gross_range: Counts,
    pub spike: Counts,
    pub flat_line: Counts,
    pub worst: Option<Worst>,
}

impl Tally {
    fn note(&mut self, found: Worst) {
        if found.flag >= SUSPECT && found.flag <= FAIL && self.worst.is_none_or(|w| found.flag > w.flag) {
            self.worst = Some(found);
        }
    }
}

fn gross(test: &GrossRange, v: f64) -> u8 {
    let outside = |(lo, hi): (f64, f64)| v < lo || v > hi;
    match () {
        () if outside(test.fail) => FAIL,
        () if test.suspect.is_some_and(outside) => SUSPECT,
        () => GOOD,
    }
}

/// Beyond the thresholds.
pub fn beyond(test: &Thresholds, v: f64) -> u8 {
    match () {
        () if test.fail.is_some_and(|t| v > t) => FAIL,
        () if test.suspect.is_some_and(|t| v > t) => SUSPECT,
        () => GOOD,
    }
}

/// Takes the next value of a cell; `tallies` are those of the step before and of this one, where
/// they are counted.
pub fn next(
    tests: &Tests,
    state: &mut [f64],
    value: Option<f64>,
    (step, cell): (u64, u64),
    before: Option<&mut Tally>,
    now: Option<&mut Tally>,
) {
    let &mut [v1, v2, ..] = state else { return };
    if let (Some(spike), Some(t)) = (&tests.spike, before)
        && !v1.is_nan()
    {
        let flag = match value {
            Some(v) if !v2.is_nan() => beyond(spike, (v1 - (v2 + v) / 2.0).abs()),
            _ => NOT_EVALUATED,
        };
        t.spike.add(flag);
        t.note(Worst { test: "spike", flag, value: v1, step: step.saturating_sub(1), cell });
    }
    let run = value.map_or(0, |v| tests.flat_line.as_ref().map_or(0, |f| run(f, state, v)));
    if value.is_none() {
        state[2] = f64::NAN;
    }
    (state[0], state[1]) = (value.unwrap_or(f64::NAN), v1);
    let Some(t) = now else { return };
    t.values += 1;
    let Some(v) = value else {
        t.missing += 1;
        for counts in [&mut t.gross_range, &mut t.spike, &mut t.flat_line] {
            counts.add(MISSING);
        }
        return;
    };
    if let Some(g) = &tests.gross_range {
        let flag = gross(g, v);
        t.gross_range.add(flag);
        t.note(Worst { test: "gross_range", flag, value: v, step, cell });
    }
    if let Some(f) = &tests.flat_line {
        let reached = |n: Option<u32>| n.is_some_and(|n| run >= u64::from(n));
        let flag = match () {
            () if reached(f.fail) => FAIL,
            () if reached(f.suspect) => SUSPECT,
            () => GOOD,
        };
        t.flat_line.add(flag);
        t.note(Worst { test: "flat_line", flag, value: v, step, cell });
    }
}

/// Length of the run of values within the tolerance that `v` ends.
fn run(test: &FlatLine, state: &mut [f64], v: f64) -> u64 {
    let &mut [_, _, ref mut n, ref mut lo, ref mut hi] = state else { return 0 };
    let (low, high) = (lo.min(v), hi.max(v));
    if n.is_nan() || high - low > test.tolerance {
        (*n, *lo, *hi) = (1.0, v, v);
    } else {
        (*n, *lo, *hi) = (*n + 1.0, low, high);
    }
    *n as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(tests: &Tests, values: &[Option<f64>]) -> Tally {
        let mut state = [f64::NAN; STATE];
        let mut all: Vec<Tally> = vec![Tally::default(); values.len() + 1];
        for (i, v) in values.iter().enumerate() {
            let (a, b) = all.split_at_mut(i);
            next(tests, &mut state, *v, (i as u64, 0), a.last_mut(), b.first_mut());
        }
        let mut out = Tally::default();
        for t in all {
            let sum = |a: &mut Counts, b: Counts| {
                a.good += b.good;
                a.not_evaluated += b.not_evaluated;
                a.suspect += b.suspect;
                a.fail += b.fail;
                a.missing += b.missing;
            };
            out.values += t.values;
            out.missing += t.missing;
            sum(&mut out.gross_range, t.gross_range);
            sum(&mut out.spike, t.spike);
            sum(&mut out.flat_line, t.flat_line);
            t.worst.into_iter().for_each(|w| out.note(w));
        }
        out
    }

    fn some(values: &[f64]) -> Vec<Option<f64>> {
        values.iter().map(|v| (!v.is_nan()).then_some(*v)).collect()
    }

    #[test]
    fn gross_range_as_the_manual_has_it() {
        let tests = Tests {
            gross_range: Some(GrossRange { suspect: Some((0.0, 30.0)), fail: (-5.0, 50.0) }),
            ..Tests::default()
        };
        let t = walk(&tests, &some(&[10.0, 30.0, 31.0, -5.0, 51.0, f64::NAN]));
        let c = t.gross_range;
        assert_eq!((c.good, c.suspect, c.fail, c.missing), (2, 2, 1, 1));
        let w = t.worst.unwrap();
        assert_eq!((w.test, w.flag, w.value, w.step), ("gross_range", FAIL, 51.0, 4));
    }

    #[test]
    fn a_spike_is_judged_between_its_neighbours() {
        let spike = Some(Thresholds { suspect: Some(2.0), fail: Some(8.0) });
        let t = walk(
            &Tests { spike, ..Tests::default() },
            &some(&[1.0, 1.0, 11.0, 1.0, 4.0, 1.0, f64::NAN, 1.0]),
        );
        // 11 fails (10); 1 beside it on both sides and 4 are suspect (5, 6.5, 3).
        assert_eq!((t.spike.fail, t.spike.suspect, t.spike.missing), (1, 3, 1));
        // The first, and the one before the gap, have a neighbour missing.
        assert_eq!((t.spike.not_evaluated, t.spike.good), (2, 0));
        assert_eq!(t.worst.unwrap().step, 2);
    }

    #[test]
    fn a_flat_line_is_counted_from_its_beginning() {
        let flat_line = Some(FlatLine { tolerance: 0.11, suspect: Some(3), fail: Some(4) });
        let tests = Tests { flat_line, ..Tests::default() };
        let t = walk(&tests, &some(&[1.0, 1.05, 1.0, 1.1, 2.0, 2.0, f64::NAN, 2.0, 2.0]));
        let c = t.flat_line;
        assert_eq!((c.good, c.suspect, c.fail, c.missing), (6, 1, 1, 1));
    }
}
