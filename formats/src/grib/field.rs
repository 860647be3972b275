//! One field of a file: what it is, when, where, and where its bits lie.

use std::sync::Arc;

use super::level::Level;
use super::unpack::Packing;

/// Which parameter, by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Parameter {
    Edition1 { table: u8, indicator: u8 },
    Edition2 { discipline: u8, category: u8, number: u8 },
}

pub(crate) type Keys = Arc<Vec<(&'static str, i64)>>;

/// What is measured, on which level, for which time.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    pub(crate) parameter: Parameter,
    /// Further coded numbers by the short keys of the parameter tables; fields that
    /// agree in them share them.
    pub(crate) keys: Keys,
    pub(crate) level: Level,
    /// Seconds from the reference time to the (end of the) period.
    pub(crate) step: i64,
    /// Seconds that a statistic covers; 0 for an instant.
    pub(crate) period: i64,
    /// As ecCodes names it: `instant`, `avg`, `accum`, `max`, ...
    pub(crate) step_type: &'static str,
    /// Of an individual member of an ensemble.
    pub(crate) member: Option<i64>,
    /// What else makes it another variable, as attribute and value: a percentile,
    /// a threshold, a constituent.
    pub(crate) kind: Vec<(&'static str, String)>,
    /// Looked at only where two fields claim one place: generating process, type
    /// of perturbation.
    pub(crate) process: [i64; 2],
}

/// Where the bitmap of a field lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    pub(crate) packing: Packing,
    /// Octets of the bitmap itself.
    pub(crate) bitmap: Option<Range>,
    /// Octets of the packed data.
    pub(crate) data: Range,
    /// Values packed, where the message says it (GRIB2 section 5).
    pub(crate) values: Option<u64>,
    /// Bits at the end of the data that are no value (GRIB1).
    pub(crate) unused_bits: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// Message in the file, from 1.
    pub(crate) message: usize,
    /// Of the message.
    pub(crate) offset: u64,
    /// Of the message, in bytes.
    #[cfg_attr(not(feature = "zarr"), allow(dead_code))]
    pub(crate) len: u64,
    pub(crate) edition: u8,
    pub(crate) centre: u16,
    pub(crate) subcentre: u16,
    /// Seconds since 1970 of the reference time.
    pub(crate) reference: i64,
    pub(crate) product: Product,
    /// Index of its grid.
    pub(crate) grid: usize,
    pub(crate) encoded: Encoded,
}

impl Field {
    /// How a person finds it again.
    pub(crate) fn place(&self) -> String {
        format!("message {} at byte {}", self.message, self.offset)
    }
}
