//! Sources of the same fields, side by side along a dimension of their own:
//! members of an ensemble, or one source at the time that its name says.

use std::collections::BTreeSet;
use std::sync::Arc;

use graticule_formats::{AttrValue, Dimension, FormatError, Header, Source, Variable};
use graticule_shared::dtype::DataType;
use graticule_shared::time::{CfTime, TimeUnits};

use super::merge::{Named, join};
use super::{compare, plan};

/// Units of times that are taken from names.
pub const TIME_UNITS: &str = "hours since 1970-01-01 00:00:00";

pub struct Stacked {
    header: Header,
    dimension: String,
    /// Of the dimension's coordinate, native-endian.
    coordinate: Vec<u8>,
    stacked: BTreeSet<String>,
    sources: Vec<Arc<dyn Source>>,
}

impl Stacked {
    /// Members by name, numbered where all of them are numbers and named by flags where not
    /// (CF section 3.5: `flag_values`, `flag_meanings`).
    ///
    /// # Errors
    /// Fields that differ between members; a source that does not read.
    pub fn members(names: &[String], sources: Vec<Named>) -> Result<Self, FormatError> {
        let digits = |n: &String| n.parse::<i32>().ok();
        let numbers: Option<Vec<i32>> = names.iter().map(digits).collect();
        let text = |k: &str, v: &str| (k.to_owned(), AttrValue::Text(v.to_owned()));
        let mut attributes = vec![text("standard_name", "realization"), text("long_name", "ensemble member")];
        let values = numbers.unwrap_or_else(|| {
            let all: Vec<i32> = (0..).take(names.len()).collect();
            let flags = all.iter().map(|i| i64::from(*i)).collect();
            attributes.push(("flag_values".into(), AttrValue::Ints(DataType::Int32, flags)));
            let words: Vec<String> = names.iter().map(|n| n.replace(char::is_whitespace, "_")).collect();
            attributes.push(("flag_meanings".into(), AttrValue::Text(words.join(" "))));
            all
        });
        let bytes = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
        Self::new("member", DataType::Int32, attributes, bytes, sources)
    }

    /// One source at an instant.
    ///
    /// # Errors
    /// A source that does not read.
    pub fn at_time(time: CfTime, source: Named) -> Result<Self, FormatError> {
        let units =
            TimeUnits::parse(TIME_UNITS, None).map_err(|e| FormatError::new(&source.0, e.to_string()))?;
        let text = |k: &str, v: &str| (k.to_owned(), AttrValue::Text(v.to_owned()));
        let attributes = vec![text("standard_name", "time"), text("units", TIME_UNITS), text("axis", "T")];
        let bytes = units.encode(time).to_ne_bytes().to_vec();
        Self::new("time", DataType::Float64, attributes, bytes, vec![source])
    }

    fn new(
        dimension: &str,
        dtype: DataType,
        attributes: Vec<(String, AttrValue)>,
        coordinate: Vec<u8>,
        sources: Vec<Named>,
    ) -> Result<Self, FormatError> {
        let Some(((first, base), rest)) = sources.split_first() else {
            return Err(FormatError::new("", "nothing to stack"));
        };
        let mut header = base.header().clone();
        if header.dimensions.iter().any(|d| d.name == dimension) {
            let said =
                format!("has a dimension {dimension:?} of its own; the pattern's would be a second one");
            return Err(FormatError::new(first, said));
        }
        // A scalar of the same name gives way to the dimension.
        header.variables.retain(|v| v.path != dimension);
        let fields = plan::fields(&header).map_err(|e| FormatError::new(first, e))?;
        let stacked: BTreeSet<String> =
            header.variables.iter().filter(|v| fields.contains(&v.path)).map(|v| v.path.clone()).collect();
        for (file, source) in rest {
            let theirs = source.header();
            join(&mut header, (file, theirs), first)?;
            for v in base.header().variables.iter().filter(|v| v.path != dimension) {
                let Some(w) = theirs.variables.iter().find(|w| w.path == v.path) else {
                    let said =
                        format!("does not go with {first}: variable {:?}: expected, not found", v.path);
                    return Err(FormatError::new(file, said));
                };
                let said = if stacked.contains(&v.path) {
                    compare::declared(v, w)
                } else {
                    compare::difference((base.as_ref(), v), (source.as_ref(), w))?
                };
                if let Some(said) = said {
                    return Err(FormatError::new(file, format!("does not go with {first}: {said}")));
                }
            }
            if let Some(w) = theirs
                .variables
                .iter()
                .find(|w| w.path != dimension && !base.header().variables.iter().any(|v| v.path == w.path))
            {
                let said = format!("does not go with {first}: variable {:?}: found, not expected", w.path);
                return Err(FormatError::new(file, said));
            }
        }
        let len = sources.len() as u64;
        header.dimensions.push(Dimension { name: dimension.to_owned(), len, unlimited: false });
        for v in header.variables.iter_mut().filter(|v| stacked.contains(&v.path)) {
            v.dims.insert(0, dimension.to_owned());
            v.shape.insert(0, len);
            if let Some(c) = &mut v.chunks {
                c.insert(0, 1);
            }
        }
        header.variables.push(Variable {
            path: dimension.to_owned(),
            dims: vec![dimension.to_owned()],
            shape: vec![len],
            dtype,
            attributes,
            chunks: None,
        });
        let sources = sources.into_iter().map(|(_, s)| s).collect();
        Ok(Self { header, dimension: dimension.to_owned(), coordinate, stacked, sources })
    }
}

impl Source for Stacked {
    fn header(&self) -> &Header {
        &self.header
    }

    fn read(&self, variable: &str, start: &[u64], count: &[u64]) -> Result<Vec<u8>, FormatError> {
        let outside = || FormatError::new("", "a slab outside of it").in_variable(variable);
        if variable == self.dimension || self.stacked.contains(variable) {
            let (&[from, ref start @ ..], &[n, ref count @ ..]) = (start, count) else {
                return Err(outside());
            };
            let end = from.checked_add(n).filter(|e| *e <= self.sources.len() as u64).ok_or_else(outside)?;
            if variable == self.dimension {
                let one = self.coordinate.len() / self.sources.len().max(1);
                return Ok(self.coordinate[from as usize * one..end as usize * one].to_vec());
            }
            let mut out = Vec::new();
            for source in &self.sources[from as usize..end as usize] {
                let mut bytes = source.read(variable, start, count)?;
                if out.is_empty() {
                    out = bytes;
                } else {
                    out.append(&mut bytes);
                }
            }
            return Ok(out);
        }
        match self.sources.first() {
            Some(first) => first.read(variable, start, count),
            None => Err(outside()),
        }
    }
}
