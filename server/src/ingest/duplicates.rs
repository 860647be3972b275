//! What to do with a granule that a collection has already.

/// The recipe's `duplicates`: a granule whose name or whose times the collection has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Duplicates {
    /// The new granule's values take the place of the old.
    Replace,
    /// The same granule twice changes nothing.
    #[default]
    Skip,
    /// As `Replace`, and as a version of its own even where the bytes are the same.
    Version,
    /// Refused.
    Error,
}
