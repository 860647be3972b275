//! What became of each granule of an ingest.

use std::path::PathBuf;

use graticule_formats::FormatError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Published,
    /// The same bytes are in the collection already.
    Unchanged,
    Failed,
}

/// Why a granule was refused: enough to find the place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub variable: Option<String>,
    pub offset: Option<u64>,
    pub reason: String,
}

impl Failure {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { variable: None, offset: None, reason: reason.into() }
    }
}

/// With `#` it goes on after the name of a file.
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut place = Vec::new();
        place.extend(self.variable.as_ref().map(|v| format!("variable {v:?}")));
        place.extend(self.offset.map(|at| format!("byte {at}")));
        match (f.alternate(), place.is_empty()) {
            (true, true) => write!(f, ": {}", self.reason),
            (true, false) => write!(f, ", {}: {}", place.join(", "), self.reason),
            (false, true) => f.write_str(&self.reason),
            (false, false) => write!(f, "{}: {}", place.join(", "), self.reason),
        }
    }
}

impl From<FormatError> for Failure {
    fn from(e: FormatError) -> Self {
        Self { variable: e.variable, offset: e.offset, reason: e.reason }
    }
}

#[derive(Debug, Clone)]
pub struct GranuleReport {
    pub file: PathBuf,
    pub outcome: Outcome,
    pub failure: Option<Failure>,
    pub notes: Vec<String>,
    pub bytes: u64,
}

impl std::fmt::Display for GranuleReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        match (&self.failure, self.outcome) {
            (Some(failure), _) => write!(f, "{failure:#}"),
            (None, Outcome::Unchanged) => write!(f, ": already in the collection, unchanged"),
            (None, _) => write!(f, ": published"),
        }
    }
}

#[derive(Debug, Clone)]
pub struct IngestReport {
    pub collection: String,
    /// The version that was published, if one was.
    pub version: Option<String>,
    pub granules: Vec<GranuleReport>,
    pub seconds: f64,
}

impl IngestReport {
    pub fn is_complete(&self) -> bool {
        self.granules.iter().all(|g| g.outcome != Outcome::Failed)
    }
}
