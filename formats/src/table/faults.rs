//! Rows that were left out, and why.

/// Faults kept with their text; all are counted.
const KEPT: usize = 100;
/// Characters kept of what was found.
const SHOWN: usize = 120;

/// One row that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1, as editors do; where a record has several lines, its first.
    pub line: u64,
    pub column: Option<String>,
    pub expected: String,
    /// The source's own text, shortened.
    pub found: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = &self.column {
            write!(f, ", column {column:?}")?;
        }
        write!(f, ": expected {}, found {}", self.expected, self.found)
    }
}

/// All rows that were left out: how many, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    pub count: u64,
    pub first: Vec<Fault>,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: impl FnOnce() -> Fault) {
        self.count += 1;
        if self.first.len() < KEPT {
            self.first.push(fault());
        }
    }

    /// Sentences for people; empty where there is none.
    pub fn sentences(&self) -> Vec<String> {
        let mut out: Vec<String> = self.first.iter().map(ToString::to_string).collect();
        if self.count > 0 {
            let rows = if self.count == 1 { "1 row was" } else { &format!("{} rows were", self.count) };
            out.insert(0, format!("{rows} left out, the first for {}", out[0]));
            if self.count == 1 {
                out.truncate(1);
            }
        }
        out
    }
}

/// `text` in quotes, shortened, control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    let short: String = text.chars().take(SHOWN).collect();
    let more = if short.len() < text.len() {
        format!(" and {} more bytes", text.len() - short.len())
    } else {
        String::new()
    };
    format!("{short:?}{more}")
}
