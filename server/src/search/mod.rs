//! What is asked of the catalog: one request, however it was put.
//!
//! A GET with parameters, a POST with JSON and the listing of one collection's
//! items all become a [`Search`]; the catalog answers that and knows no HTTP.

mod bounds;
pub mod cql2;
pub mod fields;
pub mod geometry;
pub mod instants;
mod json;
mod properties;
pub mod sort;
pub mod sql;
mod text;
mod tokens;
mod wkt;

pub use cql2::Expr;
pub use fields::{Fields, MAX_FIELDS};
pub use geometry::Shape;
pub use properties::{COLLECTIONS, DATETIME, END, ITEMS, Kind, Queryables, cut};
pub use sort::{Key, Token};

/// Longest filter in CQL2 text, bytes.
const MAX_TEXT: usize = 16 << 10;
/// Deepest nesting of a filter.
const MAX_DEPTH: usize = 64;
/// Arithmetic operators of a filter in text: a chain of them is a tree as deep as it is long.
const MAX_OPERATORS: usize = 500;
/// Values that `ids`, `collections` or `IN` may list.
pub const MAX_LISTED: usize = 1000;

/// Which items, in which order, how many.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Any of these; any at all where none are said, and nothing of an empty list.
    pub ids: Option<Vec<String>>,
    pub collections: Option<Vec<String>>,
    /// West, south, east, north; west may be greater than east.
    pub bbox: Option<[f64; 4]>,
    pub intersects: Option<Shape>,
    /// Seconds since 1970; either side may be open.
    pub time: Option<(f64, f64)>,
    /// Any of these words.
    pub words: Vec<String>,
    pub filter: Option<Expr>,
    pub sort: Vec<Key>,
    pub limit: u32,
    pub after: Option<Token>,
}

impl Search {
    /// Whether items are related to a shape one by one.
    pub fn has_shape(&self) -> bool {
        self.intersects.is_some() || self.filter.as_ref().is_some_and(Expr::has_shape)
    }
}
