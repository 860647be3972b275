//! A last resort against panics in libraries: on the server one bad file must
//! not take the process down. In the browser panics abort (`panic = "abort"`),
//! and the page's worker is restarted instead.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::FormatError;

/// Runs `read`; a panic inside becomes an error about `file`.
pub(crate) fn guard<T>(file: &str, read: impl FnOnce() -> Result<T, FormatError>) -> Result<T, FormatError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(FormatError::new(file, format!("the file is damaged in a way that stopped its reader: {what}")))
    })
}
