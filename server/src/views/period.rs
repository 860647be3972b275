//! Values over periods of time: of each hour, day, month, season or year, or of each month of all years.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, bail};
use futures::future::BoxFuture;
use graticule_shared::cube::{Packing, Role, packing};
use graticule_shared::dtype::DataType;
use graticule_shared::node;
use graticule_shared::time::{CfTime, TimeUnits};
use graticule_shared::zarr::ArrayMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::array;
use super::tree::{Make, Source, Tree, effort_of};
use crate::opened::Opened;
use crate::recipe::Section;
use crate::store::{Effort, Snapshot};

/// Values of several steps that are held together.
const BATCH: u64 = 1 << 21;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Every {
    Hour,
    Day,
    Month,
    Season,
    Year,
    MonthOfYear,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    Mean,
    Sum,
    Min,
    Max,
    Std,
    Count,
}

/// `[time]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    pub every: Every,
    pub method: Method,
}

impl Period {
    pub const KEYS: [&str; 2] = ["every", "method"];

    pub fn read(s: &Section<'_>) -> anyhow::Result<Self> {
        let every = match s.text("every")?.as_deref() {
            Some("hour") => Every::Hour,
            Some("day") => Every::Day,
            Some("month") => Every::Month,
            Some("season") => Every::Season,
            Some("year") => Every::Year,
            Some("month-of-year") => Every::MonthOfYear,
            _ => return Err(s.wrong("every", "hour, day, month, season, year or month-of-year")),
        };
        let method = match s.text("method")?.as_deref() {
            None | Some("mean") => Method::Mean,
            Some("sum") => Method::Sum,
            Some("min") => Method::Min,
            Some("max") => Method::Max,
            Some("std") => Method::Std,
            Some("count") => Method::Count,
            Some(_) => return Err(s.wrong("method", "mean, sum, min, max, std or count")),
        };
        Ok(Self { every, method })
    }
}

impl Method {
    /// As `cell_methods` says it (CF appendix E).
    const fn cell_method(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Sum => "sum",
            Self::Min => "minimum",
            Self::Max => "maximum",
            Self::Std => "standard_deviation",
            Self::Count => "point",
        }
    }
}

/// The steps of a period, and from when to when it is.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    start: f64,
    end: f64,
    steps: Vec<u64>,
}

/// The first instant of the period that an instant lies in, and of the one after it.
fn bounds(every: Every, t: CfTime) -> (CfTime, CfTime) {
    const HOUR: i64 = 3_600_000_000;
    let month = |year: i64, month: i64| CfTime {
        year: year + (month - 1).div_euclid(12),
        month: ((month - 1).rem_euclid(12) + 1) as u8,
        day: 1,
        micros_of_day: 0,
    };
    let m = i64::from(t.month);
    match every {
        Every::Hour => {
            let hour = t.micros_of_day / HOUR * HOUR;
            let start = CfTime { micros_of_day: hour, ..t };
            (start, CfTime { micros_of_day: hour + HOUR, ..t })
        }
        Every::Day => {
            let start = CfTime { micros_of_day: 0, ..t };
            (start, CfTime { micros_of_day: 24 * HOUR, ..t })
        }
        Every::Month | Every::MonthOfYear => (month(t.year, m), month(t.year, m + 1)),
        Every::Season => {
            // December belongs to the winter of the year that follows.
            let first = m - m % 3;
            (month(t.year, first), month(t.year, first + 3))
        }
        Every::Year => (month(t.year, 1), month(t.year, 13)),
    }
}

fn groups(every: Every, values: &[f64], units: &TimeUnits) -> anyhow::Result<Vec<Group>> {
    let mut out: BTreeMap<i64, Group> = BTreeMap::new();
    for (i, v) in values.iter().enumerate() {
        let t = units.decode(*v)?;
        let (start, end) = bounds(every, t);
        let key = match every {
            Every::MonthOfYear => i64::from(t.month),
            // Instants in order; a millisecond tells any two periods apart.
            _ => (start.epoch_secs(units.calendar) * 1e3) as i64,
        };
        let (start, end) = (units.encode(start), units.encode(end));
        let group = out.entry(key).or_insert_with(|| Group { start, end, steps: Vec::new() });
        group.start = group.start.min(start);
        group.end = group.end.max(end);
        group.steps.push(i as u64);
    }
    let mut all: Vec<Group> = out.into_values().collect();
    // Times rise: months of all years begin with the one that the first step is of.
    all.sort_by(|a, b| a.start.total_cmp(&b.start));
    Ok(all)
}

struct Summed {
    path: String,
    packing: Packing,
    /// Which dimension is time.
    axis: usize,
    groups: Arc<Vec<Group>>,
    method: Method,
    dtype: DataType,
}

/// What is known of each cell of a period so far.
struct Sums {
    method: Method,
    count: Vec<u32>,
    /// Sum, least, greatest, or mean (of a spread).
    first: Vec<f64>,
    /// Sum of squares of differences from the mean.
    second: Vec<f64>,
}

impl Sums {
    fn new(method: Method, cells: usize) -> Self {
        let first = match method {
            Method::Min => f64::INFINITY,
            Method::Max => f64::NEG_INFINITY,
            _ => 0.0,
        };
        let second = if method == Method::Std { vec![0.0; cells] } else { Vec::new() };
        Self { method, count: vec![0; cells], first: vec![first; cells], second }
    }

    fn add(&mut self, i: usize, v: f64) {
        if v.is_nan() {
            return;
        }
        let (Some(count), Some(first)) = (self.count.get_mut(i), self.first.get_mut(i)) else { return };
        *count += 1;
        match self.method {
            Method::Mean | Method::Sum => *first += v,
            Method::Min => *first = first.min(v),
            Method::Max => *first = first.max(v),
            Method::Count => {}
            Method::Std => {
                // B. P. Welford, Technometrics 4:3, 1962.
                let before = v - *first;
                *first += before / f64::from(*count);
                if let Some(second) = self.second.get_mut(i) {
                    *second += before * (v - *first);
                }
            }
        }
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let second = |i: usize| self.second.get(i).copied().unwrap_or_default();
        self.count.iter().zip(&self.first).enumerate().map(move |(i, (count, first))| {
            match (self.method, *count) {
                (Method::Count, n) => f64::from(n),
                (_, 0) => f64::NAN,
                (Method::Mean, n) => first / f64::from(n),
                (Method::Std, n) => (second(i) / f64::from(n)).sqrt(),
                _ => *first,
            }
        })
    }
}

impl Make for Summed {
    fn effort(&self, base: &Snapshot, shape: &[u64]) -> Effort {
        let mut own = shape.to_vec();
        let Some(periods) = own.get_mut(self.axis).map(|n| std::mem::replace(n, 1)) else {
            return Effort::default();
        };
        let long = base.hierarchy().arrays.get(&self.path).map_or(1, |a| a.block_shape()[self.axis]).max(1);
        let most = self.groups.iter().map(|g| runs(&g.steps, long, u64::MAX).len() as u64).max();
        effort_of(base, &self.path, &own).times(most.unwrap_or(0)).times(periods)
    }

    fn slab<'a>(
        &'a self,
        base: &'a Arc<Snapshot>,
        start: &'a [u64],
        count: &'a [u64],
    ) -> BoxFuture<'a, anyhow::Result<Vec<u8>>> {
        Box::pin(async move {
            let outer = count[..self.axis].iter().product::<u64>() as usize;
            let inner = count[self.axis + 1..].iter().product::<u64>() as usize;
            let periods = count[self.axis] as usize;
            let long =
                base.hierarchy().arrays.get(&self.path).map_or(1, |a| a.block_shape()[self.axis]).max(1);
            let most = (BATCH / (outer * inner).max(1) as u64).max(1);
            let mut out = vec![f64::NAN; outer * periods * inner];
            for p in 0..periods {
                let group =
                    self.groups.get(start[self.axis] as usize + p).context("a period that there is not")?;
                let mut sums = Sums::new(self.method, outer * inner);
                for (first, n) in runs(&group.steps, long, most) {
                    let (mut from, mut own) = (start.to_vec(), count.to_vec());
                    (from[self.axis], own[self.axis]) = (first, n);
                    let values = array::values(base, &self.path, &self.packing, &from, &own).await?;
                    for (row, values) in values.chunks(inner.max(1)).enumerate() {
                        let at = row / n as usize * inner;
                        values.iter().enumerate().for_each(|(i, v)| sums.add(at + i, *v));
                    }
                }
                for (i, v) in sums.values().enumerate() {
                    out[(i / inner * periods + p) * inner + i % inner] = v;
                }
            }
            Ok(array::bytes_of(&out, self.dtype))
        })
    }
}

/// Consecutive steps, none across the end of a block (of `long` steps) and no more than `most`.
fn runs(steps: &[u64], long: u64, most: u64) -> Vec<(u64, u64)> {
    let mut out: Vec<(u64, u64)> = Vec::new();
    for step in steps {
        match out.last_mut() {
            Some((first, n)) if *first + *n == *step && step % long != 0 && *n < most => *n += 1,
            _ => out.push((*step, 1)),
        }
    }
    out
}

/// # Errors
/// No time, or none that is a date; periods of too many steps.
pub async fn tree(opened: &Arc<Opened>, period: &Period) -> anyhow::Result<Tree> {
    let mut tree = Tree::of(Arc::clone(&opened.snapshot));
    let mut dims: Vec<(&str, &str)> = Vec::new();
    for dim in opened.cube.variables.iter().filter_map(|v| v.dim(Role::T)) {
        let coordinate = dim.coordinate.as_deref().with_context(|| format!("{} has no values", dim.name))?;
        if !dims.contains(&(dim.name.as_str(), coordinate)) {
            dims.push((&dim.name, coordinate));
        }
    }
    if dims.is_empty() {
        bail!("no variable has a time axis");
    }
    // What else runs along time is of single steps.
    let h = Arc::clone(&opened.hierarchy);
    let runs = |a: &ArrayMeta| a.dims.iter().any(|d| dims.iter().any(|(name, _)| name == d));
    tree.retain(|path| !h.arrays.get(path).is_some_and(runs));
    let mut any = false;
    for (name, coordinate) in &dims {
        any |=
            along(opened, &mut tree, period, name, coordinate).await.with_context(|| (*name).to_owned())?;
    }
    anyhow::ensure!(any, "only categories have a time axis, which have no {:?}", period.method);
    Ok(tree)
}

/// An instant within each step: the middle of its bounds, where it has any that read (CF section
/// 7.1). What is called by the end of a month is of that month, not of the next.
async fn middles(opened: &Arc<Opened>, stored: &ArrayMeta, values: &[f64]) -> anyhow::Result<Vec<f64>> {
    let name = stored.attributes.get("bounds").and_then(Value::as_str).unwrap_or_default();
    let pairs = [values.len() as u64, 2];
    let found = node::scope(&stored.path, name).find_map(|p| opened.hierarchy.arrays.get(&p));
    let Some((bounds, dtype)) = found.filter(|b| b.shape == pairs).and_then(|b| Some((b, b.dtype?))) else {
        return Ok(values.to_vec());
    };
    // Bounds are in the units of what they bound; such as say others are not taken for it.
    let other =
        |key: &str| bounds.attributes.get(key).is_some_and(|own| Some(own) != stored.attributes.get(key));
    if other("units") || other("calendar") {
        return Ok(values.to_vec());
    }
    let read =
        array::values(&opened.snapshot, &bounds.path, &packing(bounds, dtype), &[0, 0], &pairs).await?;
    let middle = |(value, bounds): (&f64, &[f64])| match bounds {
        [a, b] if a.is_finite() && b.is_finite() => f64::midpoint(*a, *b),
        _ => *value,
    };
    Ok(values.iter().zip(read.chunks(2)).map(middle).collect())
}

/// False where only categories run along this axis.
async fn along(
    opened: &Arc<Opened>,
    tree: &mut Tree,
    period: &Period,
    dim: &str,
    coordinate: &str,
) -> anyhow::Result<bool> {
    let stored = opened.array(coordinate)?;
    let said = |key: &str| stored.attributes.get(key).and_then(Value::as_str);
    let units = TimeUnits::parse(said("units").unwrap_or_default(), said("calendar"))?;
    let values = opened.axis_values(coordinate).await?;
    let within = middles(opened, stored, &values).await?;
    let groups = Arc::new(groups(period.every, &within, &units)?);
    let n = groups.len() as u64;
    let climatology = period.every == Every::MonthOfYear;
    let mut made: Vec<String> = Vec::new();
    for variable in &opened.cube.variables {
        let on = variable
            .dim(Role::T)
            .is_some_and(|d| d.name == dim && d.coordinate.as_deref() == Some(coordinate));
        if !on
            || (!variable.flags.is_empty()
                && !matches!(period.method, Method::Min | Method::Max | Method::Count))
        {
            // A mean of categories is none of them.
            continue;
        }
        for level in &variable.levels {
            let a = opened.array(&level.array)?;
            let axis = a.dims.iter().position(|d| d == dim).context("a level without time")?;
            let block = a.block_shape();
            let packing = packing(a, a.dtype.context("not numeric")?);
            let dtype = match period.method {
                Method::Count => DataType::Float32,
                _ => array::float_for(&packing),
            };
            let mut attributes = array::of_values(a);
            let before = attributes.get("cell_methods").and_then(Value::as_str).unwrap_or_default();
            let how = match (climatology, period.method.cell_method()) {
                (true, m) => format!("{dim}: {m} within years {dim}: {m} over years"),
                (false, m) => format!("{dim}: {m}"),
            };
            let methods = format!("{before} {how}").trim().to_owned();
            // Coordinates of single steps are gone.
            if let Some(named) = attributes.get("coordinates").and_then(Value::as_str) {
                let there = |name: &&str| {
                    let of = node::scope(&a.path, name).find_map(|p| opened.hierarchy.arrays.get(&p));
                    of.is_none_or(|c| !c.dims.iter().any(|d| d == dim))
                };
                let left = named.split_whitespace().filter(there).collect::<Vec<_>>().join(" ");
                attributes.insert("coordinates".into(), json!(left));
                attributes.retain(|k, v| k != "coordinates" || v != "");
            }
            if period.method == Method::Count {
                let label = variable.label();
                attributes.retain(|k, _| matches!(k.as_str(), "coordinates" | "grid_mapping"));
                attributes.insert("long_name".into(), json!(format!("number of values of {label}")));
                attributes.insert("units".into(), json!("1"));
            } else {
                attributes.insert("cell_methods".into(), json!(methods));
            }
            let (mut shape, mut chunk) = (a.shape.clone(), block.to_vec());
            (shape[axis], chunk[axis]) = (n, 1);
            let document = array::document(dtype, &shape, &chunk, &a.dims, attributes);
            let make = Summed {
                path: a.path.clone(),
                packing,
                axis,
                groups: Arc::clone(&groups),
                method: period.method,
                dtype,
            };
            tree.put(&a.path, document, Source::Made(Box::new(make)));
            made.push(a.path.clone());
        }
    }
    if made.is_empty() {
        return Ok(false);
    }
    let bounds = format!("{dim}_bnds");
    for group in node::groups(made.iter().map(String::as_str)) {
        let at = |name: &str| node::within(group, name);
        let mut attributes = array::of_values(stored);
        attributes.retain(|k, _| {
            !matches!(
                k.as_str(),
                "bounds"
                    | "climatology"
                    | "_FillValue"
                    | "actual_range"
                    | "valid_range"
                    | "valid_min"
                    | "valid_max"
            )
        });
        attributes.insert(if climatology { "climatology" } else { "bounds" }.into(), json!(bounds));
        let starts: Vec<f64> = groups.iter().map(|g| g.start).collect();
        let document = array::document(DataType::Float64, &[n], &[n], &[dim.to_owned()], attributes);
        tree.put(&at(dim), document, Source::Whole(array::bytes_of(&starts, DataType::Float64)));
        let ends: Vec<f64> = groups.iter().flat_map(|g| [g.start, g.end]).collect();
        let dims = [dim.to_owned(), "bnds".to_owned()];
        let document = array::document(DataType::Float64, &[n, 2], &[n, 2], &dims, Map::new());
        tree.put(&at(&bounds), document, Source::Whole(array::bytes_of(&ends, DataType::Float64)));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(every: Every, days: &[f64]) -> Vec<String> {
        let units = TimeUnits::parse("days since 2023-11-30", Some("standard")).unwrap();
        groups(every, days, &units)
            .unwrap()
            .iter()
            .map(|g| {
                format!("{} {} {:?}", units.decode(g.start).unwrap(), units.decode(g.end).unwrap(), g.steps)
            })
            .collect()
    }

    #[test]
    fn steps_fall_into_the_periods_of_the_calendar() {
        // 30 November, 1 December, 31 January, 1 March, 1 December a year later.
        let days = [0.0, 1.5, 62.0, 92.0, 367.0];
        assert_eq!(
            starts(Every::Month, &days[..2]),
            ["2023-11-01T00:00:00 2023-12-01T00:00:00 [0]", "2023-12-01T00:00:00 2024-01-01T00:00:00 [1]"]
        );
        assert_eq!(
            starts(Every::Season, &days[..4]),
            [
                "2023-09-01T00:00:00 2023-12-01T00:00:00 [0]",
                "2023-12-01T00:00:00 2024-03-01T00:00:00 [1, 2]",
                "2024-03-01T00:00:00 2024-06-01T00:00:00 [3]"
            ]
        );
        assert_eq!(starts(Every::Year, &days).len(), 2);
        let climate = starts(Every::MonthOfYear, &days);
        assert_eq!(climate[0], "2023-11-01T00:00:00 2023-12-01T00:00:00 [0]");
        assert_eq!(climate[1], "2023-12-01T00:00:00 2025-01-01T00:00:00 [1, 4]");
        assert_eq!(climate[3], "2024-03-01T00:00:00 2024-04-01T00:00:00 [3]");
        assert_eq!(
            starts(Every::Day, &[0.25, 0.75, 1.0]),
            ["2023-11-30T00:00:00 2023-12-01T00:00:00 [0, 1]", "2023-12-01T00:00:00 2023-12-02T00:00:00 [2]"]
        );
    }

    #[test]
    fn months_have_the_length_that_their_calendar_gives_them() {
        let units = TimeUnits::parse("days since 2000-01-01", Some("360_day")).unwrap();
        let all = groups(Every::Month, &(0..360).map(f64::from).collect::<Vec<_>>(), &units).unwrap();
        assert!(all.len() == 12 && all.iter().all(|g| g.steps.len() == 30 && g.end - g.start == 30.0));
    }

    #[test]
    fn steps_are_read_together_as_far_as_a_block_reaches() {
        assert_eq!(runs(&[0, 1, 2, 3, 4, 7], 3, 100), [(0, 3), (3, 2), (7, 1)]);
        assert_eq!(runs(&[0, 1, 2, 3], 10, 2), [(0, 2), (2, 2)]);
    }

    #[test]
    fn sums_leave_out_what_is_missing() {
        let of = |method| {
            let mut s = Sums::new(method, 2);
            [1.0, f64::NAN, 4.0].into_iter().for_each(|v| s.add(0, v));
            let v: Vec<f64> = s.values().collect();
            (v[0], v[1])
        };
        assert_eq!(of(Method::Mean).0, 2.5);
        assert_eq!((of(Method::Min).0, of(Method::Max).0, of(Method::Sum).0), (1.0, 4.0, 5.0));
        assert_eq!(of(Method::Std).0, 1.5);
        assert_eq!(of(Method::Count), (2.0, 0.0));
        assert!(of(Method::Mean).1.is_nan() && of(Method::Min).1.is_nan());
    }
}
