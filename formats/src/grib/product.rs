//! GRIB2 section 4: product definition templates.
//!
//! Nearly all templates are the same blocks behind one another; a table says
//! which. A template that is not in the table is refused by its number.

use std::sync::Arc;

use super::field::{Parameter, Product};
use super::level::{self, Level};
use super::octets::{Result, Section};
use super::time;

/// A block of a template after the fixed surfaces.
#[derive(Clone, Copy, PartialEq)]
enum Block {
    Member,
    /// Mean, spread and the like of an ensemble.
    Derived,
    Probability,
    Percentile,
    /// Spatial statistics.
    Spatial,
    /// Date of the model version of a re-forecast.
    Reforecast,
    /// A statistic over an interval of time.
    Interval,
}
use Block::{Derived, Interval, Member, Percentile, Probability, Reforecast, Spatial};

/// A block between the parameter and the generating process.
#[derive(Clone, Copy, PartialEq)]
enum Prefix {
    Constituent,
    Source,
    PostProcessing,
    Aerosol,
    Size,
    Wavelength,
}

/// Blocks before the generating process and after the surfaces, by template number.
fn blocks(template: u16) -> Option<(&'static [Prefix], &'static [Block])> {
    use Prefix::{Aerosol, Constituent, PostProcessing, Size, Source, Wavelength};
    const OPTICAL: &[Prefix] = &[Aerosol, Size, Wavelength];
    Some(match template {
        0 | 7 => (&[], &[]),
        1 => (&[], &[Member]),
        2 => (&[], &[Derived]),
        5 => (&[], &[Probability]),
        6 => (&[], &[Percentile]),
        8 => (&[], &[Interval]),
        9 => (&[], &[Probability, Interval]),
        10 => (&[], &[Percentile, Interval]),
        11 => (&[], &[Member, Interval]),
        12 => (&[], &[Derived, Interval]),
        15 => (&[], &[Spatial]),
        40 => (&[Constituent], &[]),
        41 => (&[Constituent], &[Member]),
        42 => (&[Constituent], &[Interval]),
        43 => (&[Constituent], &[Member, Interval]),
        44 | 50 => (&[Aerosol, Size], &[]),
        45 => (&[Aerosol, Size], &[Member]),
        46 => (&[Aerosol, Size], &[Interval]),
        47 | 85 => (&[Aerosol, Size], &[Member, Interval]),
        48 => (OPTICAL, &[]),
        49 => (OPTICAL, &[Member]),
        60 => (&[], &[Member, Reforecast]),
        61 => (&[], &[Member, Reforecast, Interval]),
        70 => (&[PostProcessing], &[]),
        71 => (&[PostProcessing], &[Member]),
        72 => (&[PostProcessing], &[Interval]),
        73 => (&[PostProcessing], &[Member, Interval]),
        76 => (&[Constituent, Source], &[]),
        77 => (&[Constituent, Source], &[Member]),
        78 => (&[Constituent, Source], &[Interval]),
        79 => (&[Constituent, Source], &[Member, Interval]),
        80 => (&[Aerosol, Source, Size, Wavelength], &[]),
        81 => (&[Aerosol, Source, Size, Wavelength], &[Member]),
        82 => (&[Aerosol, Source, Size], &[Interval]),
        83 | 84 => (&[Aerosol, Source, Size], &[Member, Interval]),
        _ => return None,
    })
}

/// What the product needs to know of the rest of its message.
pub(crate) struct Context {
    pub(crate) discipline: u8,
    pub(crate) centre: u16,
    pub(crate) local_tables: u8,
    /// Seconds since 1970.
    pub(crate) reference: i64,
}

/// Reads section 4.
pub(crate) fn read(s: &Section<'_>, context: &Context) -> Result<Product> {
    let template = s.u16(8)?;
    let (prefixes, suffixes) = blocks(template).ok_or_else(|| {
        s.fault(8, format!("product definition template 4.{template} is not read; fields on levels at a time or over an interval are"))
    })?;
    let (category, number) = (s.u8(10)?, s.u8(11)?);
    let mut keys = vec![("local", i64::from(context.local_tables))];
    let mut kind = Vec::new();
    let mut at = 12;
    for prefix in prefixes {
        at = prefix_block(s, *prefix, at, &mut keys, &mut kind)?;
    }
    let process = s.u8(at)?;
    keys.push(("gen", i64::from(process)));
    let unit = s.u8(at + 6)?;
    // A slip of the pen in the Manual: the forecast time of 4.44 has two octets.
    let (forecast, mut at) = match template {
        44 => (i64::from(s.u16(at + 7)?), at + 9),
        _ => (i64::from(s.i32(at + 7)?), at + 11),
    };
    let level = surfaces(s, at, context.centre, &mut keys)?;
    at += 12;
    let start = if unit == 255 {
        0
    } else {
        time::lead(context.reference, unit, forecast, 2).map_err(|f| s.fault(at, f.reason))?
    };
    let mut product = Product {
        parameter: Parameter::Edition2 { discipline: context.discipline, category, number },
        keys: Arc::new(keys),
        level,
        step: start,
        period: 0,
        step_type: "instant",
        member: None,
        kind,
        process: [i64::from(process), 0],
    };
    for block in suffixes {
        at = suffix_block(s, *block, at, start, context, &mut product)?;
    }
    Ok(product)
}

fn prefix_block(
    s: &Section<'_>,
    prefix: Prefix,
    at: usize,
    keys: &mut Vec<(&'static str, i64)>,
    kind: &mut Vec<(&'static str, String)>,
) -> Result<usize> {
    Ok(match prefix {
        Prefix::Constituent => {
            let c = s.u16(at)?;
            keys.extend([("chem", i64::from(c)), ("ischem", 1)]);
            kind.push(("constituentType", c.to_string()));
            at + 2
        }
        Prefix::Source => {
            let c = s.u8(at)?;
            keys.extend([("src", i64::from(c)), ("issrc", 1)]);
            kind.push(("sourceSinkChemicalPhysicalProcess", c.to_string()));
            at + 1
        }
        Prefix::PostProcessing => {
            kind.push(("typeOfPostProcessing", s.u8(at + 4)?.to_string()));
            at + 5
        }
        Prefix::Aerosol => {
            let c = s.u16(at)?;
            keys.extend([("aero", i64::from(c)), ("chem", i64::from(c)), ("isaero", 1)]);
            kind.push(("aerosolType", c.to_string()));
            at + 2
        }
        Prefix::Size => {
            let t = s.u8(at)?;
            keys.push(("ts", i64::from(t)));
            coded(s, at + 1, "fs1", "vs1", keys)?;
            coded(s, at + 6, "fs2", "vs2", keys)?;
            if t != 255 {
                kind.push(("typeOfSizeInterval", t.to_string()));
            }
            for (name, at) in [("firstSize", at + 1), ("secondSize", at + 6)] {
                if let Some(v) = s.scaled(at)? {
                    kind.push((name, format!("{v:e}")));
                }
            }
            at + 11
        }
        Prefix::Wavelength => {
            keys.push(("tw", i64::from(s.u8(at)?)));
            keys.push(("isopt", 1));
            coded(s, at + 1, "fw1", "vw1", keys)?;
            coded(s, at + 6, "fw2", "vw2", keys)?;
            for (name, at) in [("firstWavelength", at + 1), ("secondWavelength", at + 6)] {
                if let Some(v) = s.scaled(at)? {
                    kind.push((name, format!("{v:e}")));
                }
            }
            at + 11
        }
    })
}

/// A scale factor and a scaled value as they are coded, without those that are missing.
fn coded(
    s: &Section<'_>,
    at: usize,
    factor: &'static str,
    value: &'static str,
    keys: &mut Vec<(&'static str, i64)>,
) -> Result<()> {
    if s.u8(at)? != 0xff {
        keys.push((factor, i64::from(s.i8(at)?)));
    }
    if s.u32(at + 1)? != u32::MAX {
        keys.push((value, i64::from(s.i32(at + 1)?)));
    }
    Ok(())
}

/// The two fixed surfaces, each a type, a scale factor and a value.
fn surfaces(s: &Section<'_>, at: usize, centre: u16, keys: &mut Vec<(&'static str, i64)>) -> Result<Level> {
    let (first, second) = (s.u8(at)?, s.u8(at + 6)?);
    keys.push(("t1", i64::from(first)));
    keys.push(("t2", i64::from(second)));
    coded(s, at + 1, "f1", "v1", keys)?;
    coded(s, at + 7, "f2", "v2", keys)?;
    let bounded = (second != 255).then_some(second);
    let (kind, factor) = level::edition2(first, bounded, centre);
    // 1/100 is not a float: divide, so that 50000 Pa are 500 hPa.
    let in_units = |v: f64| if factor == 0.01 { v / 100.0 } else { v * factor };
    let value = |at: usize| Ok(s.scaled(at)?.map(in_units));
    let bottom = if bounded.is_some() { value(at + 7)? } else { None };
    Ok(Level::new(kind, value(at + 1)?, bottom))
}

fn suffix_block(
    s: &Section<'_>,
    block: Block,
    at: usize,
    start: i64,
    context: &Context,
    product: &mut Product,
) -> Result<usize> {
    Ok(match block {
        Member => {
            product.process[1] = i64::from(s.u8(at)?);
            product.member = Some(i64::from(s.u8(at + 1)?));
            at + 3
        }
        Derived => {
            let d = s.u8(at)?;
            product.kind.push(("derivedForecast", derived(d).map_or_else(|| d.to_string(), str::to_owned)));
            at + 2
        }
        Probability => {
            let t = s.u8(at + 2)?;
            Arc::make_mut(&mut product.keys).push(("prob", i64::from(t)));
            coded(s, at + 3, "flo", "vlo", Arc::make_mut(&mut product.keys))?;
            product.kind.push(("probabilityType", t.to_string()));
            for (name, at) in [("lowerLimit", at + 3), ("upperLimit", at + 8)] {
                if let Some(v) = s.scaled(at)? {
                    product.kind.push((name, v.to_string()));
                }
            }
            at + 13
        }
        Percentile => {
            product.kind.push(("percentileValue", s.u8(at)?.to_string()));
            at + 1
        }
        Spatial => {
            product.kind.push(("spatialStatistic", s.u8(at)?.to_string()));
            product.kind.push(("typeOfSpatialProcessing", s.u8(at + 1)?.to_string()));
            at + 3
        }
        Reforecast => at + 7,
        Interval => {
            interval(s, at, start, context, product)?;
            at + 24
        }
    })
}

/// Code Table 4.7.
fn derived(code: u8) -> Option<&'static str> {
    Some(match code {
        0 => "mean",
        1 => "weightedMean",
        2 => "standardDeviation",
        3 => "normalizedStandardDeviation",
        4 => "spread",
        5 => "largeAnomalyIndex",
        6 => "clusterMean",
        7 => "interquartileRange",
        8 => "minimum",
        9 => "maximum",
        _ => return None,
    })
}

/// Code Table 4.10 as ecCodes names step types.
pub(crate) fn statistic(code: u8) -> &'static str {
    match code {
        0 => "avg",
        1 => "accum",
        2 => "max",
        3 => "min",
        4 => "diff",
        5 => "rms",
        6 => "sd",
        7 => "cov",
        8 => "sdiff",
        9 => "ratio",
        10 => "stdanom",
        11 => "sum",
        12 => "conf",
        13 => "percent",
        100 => "severity",
        101 => "mode",
        _ => "statistic",
    }
}

fn interval(s: &Section<'_>, at: usize, start: i64, context: &Context, product: &mut Product) -> Result<()> {
    let ranges = s.u8(at + 7)?;
    let code = s.u8(at + 12)?;
    Arc::make_mut(&mut product.keys).push(("stat", i64::from(code)));
    product.step_type = statistic(code);
    let mut parts = [i64::from(s.u16(at)?), 0, 0, 0, 0, 0];
    for (i, part) in parts.iter_mut().enumerate().skip(1) {
        *part = i64::from(s.u8(at + 1 + i)?);
    }
    // Some centres leave the end empty; then the length of the first range says it.
    let end = match time::epoch(parts) {
        Ok(end) => end - context.reference,
        Err(_) if ranges > 0 => {
            let length = i64::from(s.u32(at + 15)?);
            let from = context.reference + start;
            start + time::lead(from, s.u8(at + 14)?, length, 2).map_err(|f| s.fault(at + 14, f.reason))?
        }
        Err(f) => return Err(s.fault(at, format!("the end of the interval: {}", f.reason))),
    };
    product.step = end;
    product.period = end - start;
    Ok(())
}
