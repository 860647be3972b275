//! Which files go into the next version, in which order, and which do not fit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use graticule_formats::checks::{Severity, check_coordinates};
use graticule_formats::{Header, Source};
use graticule_shared::dtype::DataType;
use graticule_shared::grid::is_angle;
use graticule_shared::time::TimeUnits;
use sha2::{Digest, Sha256};

use super::concat::{Concat, From, Part, stored, time_units};
use super::schema::Schema;
use super::{Failure, attributes, inputs, limits, plan};
use crate::store::{Granule, Snapshot, hex};

/// Coordinates of cells are read this much at a time.
const SLAB_BYTES: u64 = 16 << 20;
/// Longer axes are not compared between granules.
const AXIS: u64 = 1 << 20;

/// A file that reads, with what its header and coordinates say.
pub struct Candidate {
    pub path: PathBuf,
    pub granule: Granule,
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
    /// For an append: the dimension and its stored length.
    pub grows: Option<(String, u64)>,
}

/// Opens and checks a file.
///
/// # Errors
/// Why it cannot be a granule.
pub fn examine(path: &Path) -> Result<Candidate, Failure> {
    let source = graticule_formats::open(path, limits())?;
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
    let (sha256, bytes) =
        inputs::checksum(path).map_err(|e| Failure::new(format!("the file cannot be read: {e}")))?;
    let name =
        path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    let notes = findings.iter().map(ToString::to_string).collect();
    let granule = Granule { name, sha256, bytes, source: path.display().to_string(), notes };
    Ok(Candidate { path: path.to_owned(), granule, header, axes, prints })
}

impl Candidate {
    fn length(&self, dimension: &str) -> u64 {
        self.header.dimensions.iter().find(|d| d.name == dimension).map_or(0, |d| d.len)
    }

    fn units(&self, dimension: &str) -> Option<TimeUnits> {
        self.header.variables.iter().find(|v| v.path == dimension).and_then(time_units)
    }

    /// First and last instant along the dimension; `None` where it has no times.
    fn span(&self, dimension: &str) -> Option<(f64, f64)> {
        span(self.axes.get(dimension)?, &self.units(dimension)?)
    }

    /// The dimension that it grows along: the one asked for, else time.
    fn growing(&self, asked: Option<&str>) -> Result<Option<String>, Failure> {
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

fn span(values: &[f64], units: &TimeUnits) -> Option<(f64, f64)> {
    let at = |v: &f64| units.decode(*v).ok().map(|t| t.epoch_secs(units.calendar));
    Some((at(values.first()?)?, at(values.last()?)?))
}

/// What the next granule is held against.
struct Reference {
    schema: Schema,
    axes: BTreeMap<String, Vec<f64>>,
    prints: Prints,
    /// End of what is there, in seconds and in words.
    last: Option<(f64, String)>,
}

/// Orders the candidates, refuses those that do not fit, and makes one source of the rest.
pub fn arrange(
    candidates: Vec<Candidate>,
    former: Option<Arc<Snapshot>>,
    append: Option<String>,
    runtime: tokio::runtime::Handle,
) -> Arranged {
    let mut out = Arranged { source: None, accepted: Vec::new(), refused: Vec::new(), grows: None };
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
        let start = |c: &Candidate| c.span(d).map_or(f64::INFINITY, |s| s.0);
        rest.sort_by(|a, b| start(a).total_cmp(&start(b)));
    }
    let mut parts = Vec::new();
    let mut reference: Option<Reference> = None;
    if let Some(snapshot) = &former {
        let Some(d) = dimension.clone() else {
            let why = "the collection exists and this file has no time dimension to append along; ingest it into a collection of its own";
            out.refused.extend(rest.into_iter().map(|c| (c, Failure::new(why))));
            return out;
        };
        match continued(snapshot, &d, &runtime) {
            Ok((r, part)) => {
                out.grows = Some((d, part.length));
                parts.push(part);
                reference = Some(r);
            }
            Err(e) => {
                let why = format!("the collection cannot be appended to: {e}");
                out.refused.extend(rest.into_iter().map(|c| (c, Failure::new(why.clone()))));
                return out;
            }
        }
    }
    for c in rest {
        let grows = dimension.as_deref();
        match reference.as_ref().map_or(Ok(()), |r| r.fits(&c, grows)) {
            Err(failure) => out.refused.push((c, failure)),
            Ok(()) => {
                let last = grows.and_then(|d| Some((c.span(d)?.1, last_words(&c, d))));
                if let (Some(r), Some(_)) = (&mut reference, &last) {
                    r.last = last;
                } else if reference.is_none() {
                    reference = Some(Reference {
                        schema: Schema::of_header(&c.header),
                        axes: c.axes.clone(),
                        prints: c.prints.clone(),
                        last,
                    });
                }
                let length = grows.map_or(0, |d| c.length(d));
                let units = grows.and_then(|d| c.units(d));
                parts.push(Part { from: From::File(c.path.clone()), length, units });
                out.accepted.push(c);
            }
        }
    }
    let Some(first) = out.accepted.first() else { return out };
    let mut header = first.header.clone();
    if let (Some(snapshot), Some((d, _))) = (&former, &out.grows) {
        keep_time_encoding(&mut header, snapshot, d);
    }
    out.source =
        Some(Arc::new(Concat::new(header, dimension.as_deref().unwrap_or_default(), parts, limits())));
    out
}

fn last_words(c: &Candidate, dimension: &str) -> String {
    let words = || {
        let units = c.units(dimension)?;
        Some(format!("{} in {}", units.decode(*c.axes.get(dimension)?.last()?).ok()?, c.granule.name))
    };
    words().unwrap_or_else(|| c.granule.name.clone())
}

impl Reference {
    fn fits(&self, c: &Candidate, grows: Option<&str>) -> Result<(), Failure> {
        let Some(d) = grows else {
            return Err(Failure::new(
                "there is no time dimension to concatenate along; name one with --append, or ingest each file into a collection of its own",
            ));
        };
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
        if let (Some((last, words)), Some((first, _))) = (&self.last, c.span(d))
            && first <= *last
        {
            let found = c
                .units(d)
                .zip(c.axes.get(d).and_then(|a| a.first()))
                .and_then(|(u, v)| u.decode(*v).ok())
                .map(|t| t.to_string())
                .unwrap_or_default();
            return Err(Failure {
                variable: Some(d.to_owned()),
                offset: None,
                reason: format!("time out of order: expected later than {words}, found {found}"),
            });
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
    for a in h.arrays.values().filter(|a| a.shape.len() == 1 && a.shape[0] <= AXIS) {
        let own = a.path.rsplit('/').next() == a.dims.first().map(String::as_str);
        if let Some(dtype) = a.dtype.filter(|_| own) {
            let bytes = runtime.block_on(stored(snapshot, &a.path, &[0], &a.shape))?;
            axes.insert(a.path.clone(), dtype.to_f64_vec(&bytes));
        }
    }
    let mut prints = Prints::new();
    let coarser = Schema::coarser(h);
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
    let last = units.as_ref().and_then(|u| {
        let values = axes.get(dimension)?;
        Some((span(values, u)?.1, format!("{}, the collection's last", u.decode(*values.last()?).ok()?)))
    });
    let part = Part {
        from: From::Stored { snapshot: Arc::clone(snapshot), runtime: runtime.clone() },
        length,
        units,
    };
    Ok((Reference { schema: Schema::of_version(h), axes, prints, last }, part))
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
