//! Which files go into the next version, in which order, and which do not fit.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use graticule_formats::checks::{Severity, check_coordinates};
use graticule_formats::{Header, Source};
use graticule_shared::dtype::DataType;
use graticule_shared::grid::is_angle;
use graticule_shared::time::{CfTime, TimeUnits};
use sha2::{Digest, Sha256};

use super::along::Along;
use super::bundle::{Bundle, Input};
use super::concat::{Concat, From, Part, stored, time_units};
use super::duplicates::Duplicates;
use super::schema::Schema;
use super::{Failure, attributes, inputs, limits, plan};
use crate::catalog::facts::clock_time;
use crate::store::{Extent, Granule, Snapshot, hex};

/// Coordinates of cells are read this much at a time.
const SLAB_BYTES: u64 = 16 << 20;
/// Longer axes are not compared between granules.
const AXIS: u64 = 1 << 20;

/// A file that reads, with what its header and coordinates say.
pub struct Candidate {
    /// What the person named.
    pub path: PathBuf,
    pub bundle: Arc<Bundle>,
    pub granule: Granule,
    /// Of the other files of the bundle.
    pub also: Vec<Granule>,
    header: Header,
    /// Raw values of coordinate variables.
    axes: BTreeMap<String, Vec<f64>>,
    prints: Prints,
}

/// Dimensions and checksum of each variable of latitudes or longitudes that is no axis.
type Prints = BTreeMap<String, (Vec<String>, String)>;

/// Checksum of an array read in slabs along its first axis that is longer than one.
fn print(
    shape: &[u64],
    dtype: DataType,
    mut read: impl FnMut(&[u64], &[u64]) -> Result<Vec<u8>, Failure>,
) -> Result<String, Failure> {
    let (mut hash, mut start, mut count) = (Sha256::new(), vec![0; shape.len()], shape.to_vec());
    let Some(axis) = shape.iter().position(|n| *n > 1) else {
        hash.update(read(&start, &count)?);
        return Ok(hex(&hash.finalize()));
    };
    let one = shape[axis + 1..].iter().product::<u64>() * dtype.size() as u64;
    // A band of chunks at a time, not a row.
    let step = (SLAB_BYTES / one.max(1)).max(1);
    while start[axis] < shape[axis] {
        count[axis] = step.min(shape[axis] - start[axis]);
        hash.update(read(&start, &count)?);
        start[axis] += count[axis];
    }
    Ok(hex(&hash.finalize()))
}

pub struct Arranged {
    /// `None` where nothing was accepted.
    pub source: Option<Arc<dyn Source>>,
    pub accepted: Vec<Candidate>,
    pub refused: Vec<(Candidate, Failure)>,
    /// Where the collection exists: the dimension that it grows along.
    pub grows: Option<Grows>,
    /// What the files lie along, one after the other.
    pub dimension: Option<String>,
    /// First step and number of steps of each accepted candidate.
    pub steps: Vec<Option<(u64, u64)>>,
    /// The run fails for these.
    pub fatal: Vec<(Candidate, Failure)>,
}

/// What changes along the dimension that a collection grows along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grows {
    pub dimension: String,
    /// Steps that are new or overwritten, in order.
    pub fresh: Vec<Range<u64>>,
    /// Those that are overwritten.
    pub replaced: Vec<Range<u64>>,
}

/// Opens and checks a file; its checksum may be left for [`Candidate::sum_up`].
///
/// # Errors
/// Why it cannot be a granule.
pub fn examine(bundle: Arc<Bundle>, sum: bool) -> Result<Candidate, Failure> {
    let source = bundle.open(limits())?;
    let findings = check_coordinates(source.as_ref())?;
    if let Some(f) = findings.iter().find(|f| f.severity == Severity::Refuse) {
        return Err(Failure { variable: Some(f.variable.clone()), offset: None, reason: f.to_string() });
    }
    let header = source.header().clone();
    if header.variables.is_empty() {
        return Err(Failure::new("the file has no variable of numbers"));
    }
    let mut axes = BTreeMap::new();
    for v in &header.variables {
        if v.dims.as_slice() == [v.path.clone()] && v.shape.iter().all(|n| *n <= AXIS) {
            let bytes = source.read(&v.path, &[0], &v.shape)?;
            axes.insert(v.path.clone(), v.dtype.to_f64_vec(&bytes));
        }
    }
    let mut prints = Prints::new();
    for v in header.variables.iter().filter(|v| !v.shape.is_empty() && !v.shape.contains(&0)) {
        if v.dims.as_slice() != [v.path.clone()] && is_angle(&attributes::global(&v.attributes)) {
            let sum = print(&v.shape, v.dtype, |s, n| Ok(source.read(&v.path, s, n)?))?;
            prints.insert(v.path.clone(), (v.dims.clone(), sum));
        }
    }
    let granules = bundle.files.iter().map(|f| granule(f, sum));
    let mut granules = granules.collect::<Result<Vec<_>, _>>()?.into_iter();
    let Some(mut granule) = granules.next() else { return Err(Failure::new("no file")) };
    granule.notes = findings.iter().map(ToString::to_string).collect();
    Ok(Candidate { path: bundle.shown(), bundle, granule, also: granules.collect(), header, axes, prints })
}

/// What is written down of a file.
fn granule(file: &Input, sum: bool) -> Result<Granule, Failure> {
    let (sha256, bytes) = if sum { checksum(file, &AtomicBool::new(false))? } else { Default::default() };
    let path = &file.path;
    let name =
        path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    let source = file.shown().display().to_string();
    Ok(Granule { name, sha256, bytes, source, origin: file.origin.clone(), ..Granule::default() })
}

/// SHA-256 in hexadecimal, and bytes.
///
/// # Errors
/// The file cannot be read, or `stop`.
pub fn checksum(file: &Input, stop: &AtomicBool) -> Result<(String, u64), Failure> {
    inputs::checksum_until(&file.path, stop)
        .map_err(|e| Failure::new(format!("the file cannot be read: {e}")))
}

impl Candidate {
    /// The file whose checksum was left for later.
    pub fn unsummed(&self) -> Option<&Input> {
        self.bundle.files.first().filter(|_| self.granule.sha256.is_empty())
    }

    /// Checksums of its files.
    pub fn sums(&self) -> impl Iterator<Item = String> + '_ {
        std::iter::once(&self.granule).chain(&self.also).map(|g| g.sha256.clone())
    }

    fn has_time_of_name(&self) -> bool {
        let time = self.header.variables.iter().find(|v| v.path == "time");
        let units = time.and_then(|v| v.attribute("units")?.as_text());
        self.bundle.files.iter().any(|f| f.captures.time.is_some()) && units == Some(super::stack::TIME_UNITS)
    }

    /// It is not one file as it is: merged, stacked, or timed by its name.
    pub fn is_composed(&self) -> bool {
        let stacked = self.bundle.files.iter().any(|f| f.captures.member.is_some());
        stacked || self.bundle.files.len() > 1 || self.has_time_of_name()
    }

    /// What tells its files from others: their bytes; and where their names say their times,
    /// the names too, for two days of no rain are the same bytes.
    pub fn keys(&self) -> impl Iterator<Item = String> + '_ {
        let of_name = self.has_time_of_name();
        let key = move |g: &Granule| if of_name { g.key() } else { g.sha256.clone() };
        std::iter::once(&self.granule).chain(&self.also).map(key)
    }

    /// All of its files are there already.
    pub fn is_known(&self, known: &std::collections::HashSet<String>) -> bool {
        self.keys().all(|s| known.contains(&s))
    }

    pub fn length(&self, dimension: &str) -> u64 {
        self.header.dimensions.iter().find(|d| d.name == dimension).map_or(0, |d| d.len)
    }

    fn units(&self, dimension: &str) -> Option<TimeUnits> {
        self.header.variables.iter().find(|v| v.path == dimension).and_then(time_units)
    }

    /// Whether the dimension's coordinate says instants.
    pub fn is_timed(&self, dimension: &str) -> bool {
        self.units(dimension).is_some()
    }

    /// Its places along the dimension: seconds, or the coordinate's own numbers where it has no times.
    pub fn places(&self, dimension: &str) -> Option<Vec<f64>> {
        places(self.axes.get(dimension)?, self.units(dimension).as_ref())
    }

    /// The place of number `step` in words.
    pub fn words(&self, dimension: &str, step: usize) -> String {
        let value = self.axes.get(dimension).and_then(|a| a.get(step)).copied();
        words(value, self.units(dimension).as_ref())
    }

    /// From its first to its last instant; `None` where no wall clock shows them.
    pub fn extent(&self, dimension: &str) -> Option<Extent> {
        let units = self.units(dimension)?;
        let times: Vec<CfTime> =
            self.axes.get(dimension)?.iter().map(|v| units.decode(*v).ok()).collect::<Option<_>>()?;
        let (first, last) = (times.iter().min()?, times.iter().max()?);
        let clock = (1..=9999).contains(&first.year) && (1..=9999).contains(&last.year);
        clock.then(|| Extent {
            start: clock_time(*first),
            end: clock_time(*last),
            start_secs: first.epoch_secs(units.calendar),
            end_secs: last.epoch_secs(units.calendar),
        })
    }

    /// The dimension that it grows along: the one asked for, else time.
    pub fn growing(&self, asked: Option<&str>) -> Result<Option<String>, Failure> {
        if let Some(name) = asked {
            return if self.header.dimensions.iter().any(|d| d.name == name) {
                Ok(Some(name.to_owned()))
            } else {
                let have: Vec<&str> = self.header.dimensions.iter().map(|d| d.name.as_str()).collect();
                Err(Failure::new(format!(
                    "no dimension {name:?} to append along; there are {}",
                    have.join(", ")
                )))
            };
        }
        let times = plan::time_dimensions(&self.header);
        Ok(times
            .into_iter()
            .max_by_key(|t| self.header.variables.iter().filter(|v| v.dims.contains(t)).count()))
    }
}

fn places(values: &[f64], units: Option<&TimeUnits>) -> Option<Vec<f64>> {
    match units {
        Some(u) => values.iter().map(|v| u.decode(*v).ok().map(|t| t.epoch_secs(u.calendar))).collect(),
        None => Some(values.to_vec()),
    }
}

fn words(value: Option<f64>, units: Option<&TimeUnits>) -> String {
    match (value, units) {
        (Some(v), Some(u)) => u.decode(v).map_or_else(|_| v.to_string(), |t| t.to_string()),
        (Some(v), None) => v.to_string(),
        (None, _) => "nothing".to_owned(),
    }
}

/// What the next granule is held against.
struct Reference {
    schema: Schema,
    axes: BTreeMap<String, Vec<f64>>,
    prints: Prints,
    along: Along,
}

/// Orders the candidates, refuses those that do not fit, and makes one source of the rest.
pub fn arrange(
    candidates: Vec<Candidate>,
    former: Option<Arc<Snapshot>>,
    append: Option<String>,
    duplicates: Duplicates,
    runtime: tokio::runtime::Handle,
) -> Arranged {
    let mut out = Arranged {
        source: None,
        accepted: Vec::new(),
        refused: Vec::new(),
        grows: None,
        dimension: None,
        steps: Vec::new(),
        fatal: Vec::new(),
    };
    let mut rest = Vec::new();
    let mut dimension: Option<String> = None;
    for c in candidates {
        match c.growing(append.as_deref()) {
            Ok(d) => {
                dimension = dimension.or(d);
                rest.push(c);
            }
            Err(failure) => out.refused.push((c, failure)),
        }
    }
    if let Some(d) = &dimension {
        let start = |c: &Candidate| c.places(d).and_then(|p| p.first().copied()).unwrap_or(f64::INFINITY);
        rest.sort_by(|a, b| start(a).total_cmp(&start(b)));
    }
    let mut stored_part = None;
    let mut reference: Option<Reference> = None;
    if let Some(snapshot) = &former {
        let Some(d) = dimension.clone() else {
            let why = "the collection exists and this file has no time dimension to append along; ingest it into a collection of its own";
            out.refused.extend(rest.into_iter().map(|c| (c, Failure::new(why))));
            return out;
        };
        match continued(snapshot, &d, &runtime) {
            Ok((r, part)) => {
                out.grows = Some(Grows { dimension: d, fresh: Vec::new(), replaced: Vec::new() });
                stored_part = Some(part);
                reference = Some(r);
            }
            Err(e) => {
                let why = format!("the collection cannot be appended to: {e}");
                out.refused.extend(rest.into_iter().map(|c| (c, Failure::new(why.clone()))));
                return out;
            }
        }
    }
    let mut placed = Vec::new();
    for c in rest {
        let grows = dimension.as_deref();
        let r = reference.get_or_insert_with(|| Reference {
            schema: Schema::of_header(&c.header),
            axes: c.axes.clone(),
            prints: c.prints.clone(),
            along: Along::default(),
        });
        let fits = match (grows, out.accepted.is_empty() && former.is_none()) {
            (None, true) => Ok(None),
            (None, false) => Err(Failure::new(
                "there is no time dimension to concatenate along; name one with --append, or ingest each file into a collection of its own",
            )),
            (Some(d), _) => r.fits(&c, d).and_then(|()| r.along.place(&c, d).map(Some)),
        };
        match fits {
            Err(failure) => out.refused.push((c, failure)),
            Ok(Some(place)) if place.replaces() && duplicates == Duplicates::Skip => {
                out.refused.push((c, place.there("duplicates = \"replace\" would overwrite them, and \"version\" would keep the granule before as a former revision")));
            }
            Ok(Some(place)) if place.replaces() && duplicates == Duplicates::Error => {
                let failure = place.there("with other bytes");
                out.fatal.push((c, failure));
            }
            Ok(place) => {
                if let (Some(place), Some(d)) = (&place, grows) {
                    r.along.take(place, &c, d);
                }
                let units = grows.and_then(|d| c.units(d));
                let length = place.as_ref().map_or(0, |p| p.steps.end - p.steps.start);
                let from = From::File(Arc::clone(&c.bundle));
                let part = Part { from, offset: 0, length, units };
                out.steps.push(place.as_ref().map(|p| (p.steps.start, length)));
                placed.push((place.map_or(0..0, |p| p.steps), part));
                out.accepted.push(c);
            }
        }
    }
    out.dimension.clone_from(&dimension);
    let Some(first) = out.accepted.first() else { return out };
    let mut header = first.header.clone();
    if let (Some(snapshot), Some(grows)) = (&former, &mut out.grows) {
        keep_time_encoding(&mut header, snapshot, &grows.dimension);
        placed.sort_by_key(|(steps, _)| steps.start);
        let stored = stored_part.as_ref().map_or(0, |p: &Part| p.length);
        grows.fresh = placed.iter().map(|(steps, _)| steps.clone()).collect();
        let overwritten = grows.fresh.iter().filter(|s| s.start < stored);
        grows.replaced = overwritten.map(|s| s.start..s.end.min(stored)).collect();
    }
    let parts = interleave(stored_part, placed);
    out.source =
        Some(Arc::new(Concat::new(header, dimension.as_deref().unwrap_or_default(), parts, limits())));
    out
}

/// What is stored, with the new files in their places between.
fn interleave(stored: Option<Part>, placed: Vec<(Range<u64>, Part)>) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut at, length) = (0, stored.as_ref().map_or(0, |p| p.length));
    let between = |from: u64, to: u64, parts: &mut Vec<Part>| {
        if let (Some(p), true) = (&stored, from < to) {
            parts.push(Part {
                from: p.from.clone(),
                offset: from,
                length: to - from,
                units: p.units.clone(),
            });
        }
    };
    for (steps, part) in placed {
        between(at, steps.start.min(length), &mut parts);
        at = steps.end.max(at);
        parts.push(part);
    }
    between(at, length, &mut parts);
    parts
}

impl Reference {
    fn fits(&self, c: &Candidate, d: &str) -> Result<(), Failure> {
        if let Some(difference) = self.schema.difference(&Schema::of_header(&c.header), d) {
            return Err(Failure::new(format!("does not fit the collection: {difference}")));
        }
        for (path, mine) in self.axes.iter().filter(|(p, _)| *p != d) {
            let Some(theirs) = c.axes.get(path) else { continue };
            let differs = |(a, b): (&f64, &f64)| (a - b).abs() > 1e-6 * a.abs().max(1.0);
            if let Some(i) = mine.iter().zip(theirs).position(differs) {
                return Err(Failure {
                    variable: Some(path.clone()),
                    offset: None,
                    reason: format!(
                        "does not fit the collection: coordinate {path:?}, value {i}: expected {}, found {}",
                        mine[i], theirs[i]
                    ),
                });
            }
        }
        for (path, (dims, mine)) in self.prints.iter().filter(|(_, (dims, _))| !dims.iter().any(|n| n == d)) {
            if c.prints.get(path).is_some_and(|(_, theirs)| theirs != mine) {
                return Err(Failure {
                    variable: Some(path.clone()),
                    offset: None,
                    reason: format!(
                        "does not fit the collection: {path:?} over {}: its cells lie elsewhere than those there; ingest it into a collection of its own",
                        dims.join(", ")
                    ),
                });
            }
        }
        Ok(())
    }
}

/// The stored version as the first part of what grows.
fn continued(
    snapshot: &Arc<Snapshot>,
    dimension: &str,
    runtime: &tokio::runtime::Handle,
) -> anyhow::Result<(Reference, Part)> {
    let h = snapshot.hierarchy();
    let mut axes = BTreeMap::new();
    let coarser = Schema::coarser(h);
    let finest = h.arrays.values().filter(|a| !coarser.iter().any(|c| a.path.starts_with(c)));
    for a in finest.filter(|a| a.shape.len() == 1 && a.shape[0] <= AXIS) {
        let own = a.path.rsplit('/').next() == a.dims.first().map(String::as_str);
        if let Some(dtype) = a.dtype.filter(|_| own) {
            let bytes = runtime.block_on(stored(snapshot, &a.path, &[0], &a.shape))?;
            axes.insert(a.path.clone(), dtype.to_f64_vec(&bytes));
        }
    }
    let mut prints = Prints::new();
    for a in h.arrays.values().filter(|a| !a.shape.is_empty() && !a.shape.contains(&0)) {
        let own = a.shape.len() == 1 && a.path.rsplit('/').next() == a.dims.first().map(String::as_str);
        let level = coarser.iter().any(|c| a.path.starts_with(c));
        if let Some(dtype) = a.dtype.filter(|_| !own && !level && is_angle(&a.attributes)) {
            let sum = print(&a.shape, dtype, |s, n| {
                runtime.block_on(stored(snapshot, &a.path, s, n)).map_err(|e| Failure::new(e.to_string()))
            });
            let sum = sum.map_err(|f| anyhow::anyhow!("{}: {}", a.path, f.reason))?;
            prints.insert(a.path.clone(), (a.dims.clone(), sum));
        }
    }
    let array = h
        .arrays
        .get(dimension)
        .ok_or_else(|| anyhow::anyhow!("it has no coordinate variable {dimension:?}"))?;
    let length = array.shape.first().copied().unwrap_or(0);
    let text = |k: &str| array.attributes.get(k).and_then(serde_json::Value::as_str);
    let units = text("units").and_then(|u| TimeUnits::parse(u, text("calendar")).ok());
    let along = match axes.get(dimension) {
        Some(values) => {
            let last = format!("{}, the collection's last", words(values.last().copied(), units.as_ref()));
            Along::stored(values.clone(), units.clone(), last)
                .map_err(|e| anyhow::anyhow!("{dimension}: {e}"))?
        }
        None => Along::without_places(length),
    };
    let part = Part {
        from: From::Stored { snapshot: Arc::clone(snapshot), runtime: runtime.clone() },
        offset: 0,
        length,
        units,
    };
    Ok((Reference { schema: Schema::of_version(h), axes, prints, along }, part))
}

/// The time coordinate and its bounds stay in the units they are stored in.
fn keep_time_encoding(header: &mut Header, snapshot: &Snapshot, dimension: &str) {
    let text = |path: &str, key: &str| {
        let value = snapshot.hierarchy().arrays.get(path)?.attributes.get(key)?;
        value.as_str().map(str::to_owned)
    };
    let bounds = text(dimension, "bounds");
    for v in header.variables.iter_mut().filter(|v| v.path == dimension || Some(&v.path) == bounds.as_ref()) {
        for key in ["units", "calendar"] {
            v.attributes.retain(|(n, _)| n != key);
            if let Some(t) = text(&v.path, key) {
                v.attributes.push((key.to_owned(), graticule_formats::AttrValue::Text(t)));
            }
        }
    }
}
