//! Several files, and what is stored already, as one source along a dimension.
//!
//! A collection grows in time: a granule a day for years. To everything behind
//! [`Source`] the stored part and the new files are one long cube, so an append is
//! an ingest that begins late. Files are opened when they are read and only a few
//! stay open. Times are brought into the first part's units, whatever each file's own are.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use graticule_formats::{AttrValue, FormatError, Header, Limits, Source, Variable};
use graticule_shared::dtype::DataType;
use graticule_shared::time::TimeUnits;

use super::bundle::Bundle;
use crate::store::Snapshot;
pub use crate::store::slab as stored;

const KEPT_OPEN: usize = 4;

/// What one part of the dimension is read from.
#[derive(Clone)]
pub enum From {
    File(Arc<Bundle>),
    Stored { snapshot: Arc<Snapshot>, runtime: tokio::runtime::Handle },
}

pub struct Part {
    pub from: From,
    /// Where it begins in what it is read from, along the dimension.
    pub offset: u64,
    /// Along the dimension.
    pub length: u64,
    /// Of this part's time coordinate, where it has one.
    pub units: Option<TimeUnits>,
}

pub struct Concat {
    header: Header,
    dimension: String,
    /// The coordinate along the dimension and its bounds: numbers in time units.
    times: Vec<String>,
    units: Option<TimeUnits>,
    parts: Vec<Part>,
    limits: Limits,
    open: Mutex<VecDeque<(usize, Arc<dyn Source>)>>,
}

/// Time units of a coordinate variable.
pub fn time_units(v: &Variable) -> Option<TimeUnits> {
    let text = |k: &str| v.attribute(k).and_then(AttrValue::as_text);
    TimeUnits::parse(text("units")?, text("calendar")).ok()
}

impl Concat {
    /// `header` is the first part's; its lengths along `dimension` become the sum of the parts'.
    pub fn new(mut header: Header, dimension: &str, parts: Vec<Part>, limits: Limits) -> Self {
        let total = parts.iter().map(|p| p.length).sum();
        for d in header.dimensions.iter_mut().filter(|d| d.name == dimension) {
            d.len = total;
        }
        let mut times = vec![dimension.to_owned()];
        let mut units = None;
        for v in &mut header.variables {
            for (n, d) in v.shape.iter_mut().zip(&v.dims) {
                if d == dimension {
                    *n = total;
                }
            }
            // The levels of a pyramid each have it.
            if v.dims.as_slice() == [dimension] && v.path.ends_with(&format!("/{dimension}")) {
                times.push(v.path.clone());
            }
            if v.path == dimension {
                times.extend(v.attribute("bounds").and_then(AttrValue::as_text).map(str::to_owned));
                units = time_units(v);
            }
        }
        Self { header, dimension: dimension.to_owned(), times, units, parts, limits, open: Mutex::default() }
    }

    fn file(&self, number: usize, bundle: &Bundle) -> Result<Arc<dyn Source>, FormatError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, s)) = open.iter().find(|(n, _)| *n == number) {
            return Ok(Arc::clone(s));
        }
        let source = bundle.open(self.limits)?;
        if open.len() >= KEPT_OPEN {
            open.pop_front();
        }
        open.push_back((number, Arc::clone(&source)));
        Ok(source)
    }

    fn part(
        &self,
        number: usize,
        v: &Variable,
        start: &[u64],
        count: &[u64],
    ) -> Result<Vec<u8>, FormatError> {
        let Some(part) = self.parts.get(number) else { return Err(FormatError::new("", "no such part")) };
        let bytes = match &part.from {
            From::File(bundle) => self.file(number, bundle)?.read(&v.path, start, count)?,
            From::Stored { snapshot, runtime } => {
                runtime.block_on(stored(snapshot, &v.path, start, count)).map_err(|e| {
                    FormatError::new(snapshot.collection(), e.to_string()).in_variable(&v.path)
                })?
            }
        };
        match (&self.units, &part.units) {
            (Some(to), Some(from)) if self.times.contains(&v.path) && to != from => {
                convert(bytes, v.dtype, from, to).map_err(|reason| {
                    let file = match &part.from {
                        From::File(b) => b.shown().display().to_string(),
                        From::Stored { snapshot, .. } => snapshot.collection().to_owned(),
                    };
                    FormatError::new(file, reason).in_variable(&v.path)
                })
            }
            _ => Ok(bytes),
        }
    }
}

impl Source for Concat {
    fn header(&self) -> &Header {
        &self.header
    }

    fn read(&self, variable: &str, start: &[u64], count: &[u64]) -> Result<Vec<u8>, FormatError> {
        let Some(v) = self.header.variables.iter().find(|v| v.path == variable) else {
            return Err(FormatError::new("", "no such variable").in_variable(variable));
        };
        let Some(axis) = v.dims.iter().position(|d| *d == self.dimension) else {
            return self.part(0, v, start, count);
        };
        let size = v.dtype.size() as u64;
        let outer = count[..axis].iter().product::<u64>();
        let inner = count[axis + 1..].iter().product::<u64>() * size;
        let total = outer * count[axis] * inner;
        if total > self.limits.read_bytes {
            return Err(FormatError::new("", format!("{total} bytes at once")).in_variable(variable));
        }
        let (mut at, end) = (start[axis], start[axis] + count[axis]);
        let mut out = vec![0; total as usize];
        let mut begin = 0;
        for (number, part) in self.parts.iter().enumerate() {
            let stop = begin + part.length;
            if at < stop && at < end {
                let n = stop.min(end) - at;
                let (mut from, mut shape) = (start.to_vec(), count.to_vec());
                (from[axis], shape[axis]) = (part.offset + at - begin, n);
                let bytes = self.part(number, v, &from, &shape)?;
                let run = (n * inner) as usize;
                let offset = ((at - start[axis]) * inner) as usize;
                let stride = (count[axis] * inner) as usize;
                if run > 0 {
                    for (o, piece) in bytes.chunks_exact(run).enumerate().take(outer as usize) {
                        let to = o * stride + offset;
                        out[to..to + run].copy_from_slice(piece);
                    }
                }
                at += n;
            }
            begin = stop;
        }
        Ok(out)
    }
}

fn convert(bytes: Vec<u8>, dtype: DataType, from: &TimeUnits, to: &TimeUnits) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(bytes.len());
    for v in dtype.to_f64_vec(&bytes) {
        let time = from.decode(v).map_err(|e| e.to_string())?;
        let value = to.encode(time);
        if !dtype.is_float() && value.fract() != 0.0 {
            return Err(format!(
                "{time} is no whole number of the collection's time units, which it stores as {dtype}"
            ));
        }
        match dtype {
            DataType::Float32 => out.extend_from_slice(&(value as f32).to_ne_bytes()),
            DataType::Float64 => out.extend_from_slice(&value.to_ne_bytes()),
            _ => out.extend_from_slice(&(value as i64).to_ne_bytes()[..dtype.size()]),
        }
    }
    Ok(out)
}
