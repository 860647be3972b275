//! Why a file was not read: which file, which variable, which byte, and what
//! would have been right.

/// A refusal that its reader can act on.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}{}: {reason}", variable.as_ref().map(|v| format!(", variable {v:?}")).unwrap_or_default(), offset.map(|o| format!(", byte {o}")).unwrap_or_default())]
pub struct FormatError {
    /// File name as the caller gave it.
    pub file: String,
    pub variable: Option<String>,
    /// Byte offset in the file where reading stopped, where it is known.
    pub offset: Option<u64>,
    /// What was found and what was expected.
    pub reason: String,
}

impl FormatError {
    pub fn new(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { file: file.into(), variable: None, offset: None, reason: reason.into() }
    }

    #[must_use]
    pub fn in_variable(mut self, variable: impl Into<String>) -> Self {
        self.variable = Some(variable.into());
        self
    }

    #[must_use]
    pub fn at_byte(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }
}
