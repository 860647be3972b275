//! Several files that each hold some variables of one cube, as one source.
//!
//! Models publish a file a variable. What files share (axes, bounds, grid
//! mappings) must be the same in all of them; the first in which it is not is
//! refused with the first field that differs.

use std::collections::BTreeMap;
use std::sync::Arc;

use graticule_formats::{FormatError, Header, Source};

use super::compare;

/// A source and the name of its file.
pub type Named = (String, Arc<dyn Source>);

pub struct Merged {
    header: Header,
    /// Which source holds a variable.
    of: BTreeMap<String, usize>,
    sources: Vec<Arc<dyn Source>>,
}

/// What headers of one cube have in common.
///
/// # Errors
/// A dimension of two lengths.
pub fn join(header: &mut Header, (file, other): (&str, &Header), first: &str) -> Result<(), FormatError> {
    for d in &other.dimensions {
        match header.dimensions.iter().find(|m| m.name == d.name) {
            None => header.dimensions.push(d.clone()),
            Some(m) if m.len == d.len => {}
            Some(m) => {
                let said = format!(
                    "does not go with {first}: dimension {:?}: expected {}, found {}",
                    d.name, m.len, d.len
                );
                return Err(FormatError::new(file, said));
            }
        }
    }
    // What only some of them say is not said of the whole.
    header.attributes.retain(|(name, value)| other.attributes.iter().any(|(n, v)| n == name && v == value));
    header
        .skipped
        .extend(other.skipped.iter().filter(|s| !header.skipped.contains(s)).cloned().collect::<Vec<_>>());
    header
        .notes
        .extend(other.notes.iter().filter(|n| !header.notes.contains(n)).cloned().collect::<Vec<_>>());
    Ok(())
}

impl Merged {
    /// # Errors
    /// A file that does not go with the first; a file that does not read.
    pub fn new(sources: Vec<Named>) -> Result<Self, FormatError> {
        let Some(((first, base), rest)) = sources.split_first() else {
            return Err(FormatError::new("", "nothing to merge"));
        };
        let mut header = base.header().clone();
        let mut of: BTreeMap<String, usize> = header.variables.iter().map(|v| (v.path.clone(), 0)).collect();
        for (number, (file, source)) in rest.iter().enumerate() {
            join(&mut header, (file, source.header()), first)?;
            for w in &source.header().variables {
                let Some(at) = of.get(&w.path) else {
                    of.insert(w.path.clone(), number + 1);
                    header.variables.push(w.clone());
                    continue;
                };
                let (name, there) = &sources[*at];
                let Some(v) = header.variables.iter().find(|v| v.path == w.path) else { continue };
                if let Some(said) = compare::difference((there.as_ref(), v), (source.as_ref(), w))? {
                    return Err(FormatError::new(file, format!("does not go with {name}: {said}")));
                }
            }
        }
        Ok(Self { header, of, sources: sources.into_iter().map(|(_, s)| s).collect() })
    }
}

impl Source for Merged {
    fn header(&self) -> &Header {
        &self.header
    }

    fn read(&self, variable: &str, start: &[u64], count: &[u64]) -> Result<Vec<u8>, FormatError> {
        match self.of.get(variable).and_then(|i| self.sources.get(*i)) {
            Some(source) => source.read(variable, start, count),
            None => Err(FormatError::new("", "no such variable").in_variable(variable)),
        }
    }
}
