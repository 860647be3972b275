//! `[quality.VARIABLE]`: thresholds of the QARTOD tests.
//!
//! Tests and flags are those of the IOOS QARTOD manuals (Manual for Real-Time Quality
//! Control of In-situ Temperature and Salinity Data, version 2.1: tests 4 gross range,
//! 6 spike, 8 flat line), on the values of each cell through time.

use super::section::Section;

const KEYS: [&str; 5] = ["gross_range", "spike", "flat_line", "missing", "fail"];

/// Suspect beyond the first, failed beyond the second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    pub suspect: Option<f64>,
    pub fail: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GrossRange {
    pub suspect: Option<(f64, f64)>,
    pub fail: (f64, f64),
}

/// So many values in a row that differ by no more than `tolerance`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlatLine {
    pub tolerance: f64,
    pub suspect: Option<u32>,
    pub fail: Option<u32>,
}

/// What is done with a granule that has failed values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFail {
    #[default]
    Record,
    Refuse,
}

/// The tests of one variable, in the units of its values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tests {
    pub gross_range: Option<GrossRange>,
    pub spike: Option<Thresholds>,
    pub flat_line: Option<FlatLine>,
    /// Fractions of a granule's values.
    pub missing: Option<Thresholds>,
    pub on_fail: OnFail,
}

impl Tests {
    pub fn read(s: &Section<'_>, variable: &str) -> anyhow::Result<Self> {
        let Some(s) = s.table(variable, &KEYS)? else { return Ok(Self::default()) };
        let gross_range = match s.table("gross_range", &["suspect", "fail"])? {
            None => None,
            Some(g) => {
                let suspect = g.span("suspect")?;
                let fail = g.span("fail")?.ok_or_else(|| g.wrong("fail", "two numbers, the lower first"))?;
                // QARTOD: what an operator expects lies within what the sensor can say.
                if suspect.is_some_and(|(a, b)| a < fail.0 || b > fail.1) {
                    return Err(g.wrong("suspect", "a span within that of fail"));
                }
                Some(GrossRange { suspect, fail })
            }
        };
        let thresholds = |key: &str, most: f64| -> anyhow::Result<Option<Thresholds>> {
            let Some(t) = s.table(key, &["suspect", "fail"])? else { return Ok(None) };
            let (suspect, fail) = (t.number("suspect")?, t.number("fail")?);
            for (name, n) in [("suspect", suspect), ("fail", fail)] {
                if n.is_some_and(|n| !(0.0..=most).contains(&n)) {
                    return Err(t.wrong(name, &format!("a number from 0 to {most}")));
                }
            }
            if suspect.is_none() && fail.is_none() {
                return Err(t.wrong("fail", "a number, or one for suspect"));
            }
            if suspect.zip(fail).is_some_and(|(s, f)| s > f) {
                return Err(t.wrong("suspect", "no more than fail"));
            }
            Ok(Some(Thresholds { suspect, fail }))
        };
        let spike = thresholds("spike", f64::MAX)?;
        let missing = thresholds("missing", 1.0)?;
        let flat_line = match s.table("flat_line", &["tolerance", "suspect", "fail"])? {
            None => None,
            Some(f) => {
                let count = |key: &str| -> anyhow::Result<Option<u32>> {
                    Ok(f.whole(key, 2, 65_000)?.and_then(|n| u32::try_from(n).ok()))
                };
                let (suspect, fail) = (count("suspect")?, count("fail")?);
                if suspect.is_none() && fail.is_none() {
                    return Err(f.wrong("fail", "a count of values, or one for suspect"));
                }
                if suspect.zip(fail).is_some_and(|(s, f)| s > f) {
                    return Err(f.wrong("suspect", "no more than fail"));
                }
                let tolerance = f.number("tolerance")?.unwrap_or(0.0);
                if tolerance < 0.0 {
                    return Err(f.wrong("tolerance", "a number from 0"));
                }
                Some(FlatLine { tolerance, suspect, fail })
            }
        };
        let on_fail = match s.text("fail")?.as_deref() {
            None | Some("record") => OnFail::Record,
            Some("refuse") => OnFail::Refuse,
            Some(_) => return Err(s.wrong("fail", "\"record\" or \"refuse\"")),
        };
        Ok(Self { gross_range, spike, flat_line, missing, on_fail })
    }
}
