//! One plane of a field on its way into the coarser levels, whatever its grid.

use super::bins::Binner;
use super::field::{Field, Weights};
use super::pyramid::{Area, Cascade};

/// The coarser levels of one step of a field.
pub enum Plane {
    Rows(Cascade),
    Cells(Box<Binner>),
}

impl Plane {
    pub fn new(field: &Field) -> Self {
        let coarser = field.levels.len() as u32 - 1;
        let cascade = |rows: usize, columns: usize, levels: u32| {
            Cascade::new(field.packing.clone(), field.method, field.nodata.clone(), rows, columns, levels)
        };
        match &field.weights {
            Weights::Bins(bins) => {
                let rest = cascade(bins.rows, bins.columns, coarser.saturating_sub(1));
                Self::Cells(Box::new(Binner::new(field, bins, rest)))
            }
            _ => Self::Rows(cascade(field.rows() as usize, field.columns() as usize, coarser)),
        }
    }

    /// Takes the next rows of level 0, from row `first` on.
    pub fn push(&mut self, field: &Field, bytes: &[u8], row_bytes: usize, first: usize) {
        match self {
            Self::Cells(binner) => binner.push(bytes, first),
            Self::Rows(cascade) => {
                let columns = field.columns() as usize;
                for (row, r) in bytes.chunks(row_bytes.max(1)).zip(first..) {
                    cascade.push(
                        row,
                        match &field.weights {
                            Weights::Cells(areas) => {
                                let from = (r * columns).min(areas.len());
                                Area::Each(&areas[from..(from + columns).min(areas.len())])
                            }
                            Weights::Rows(areas) => Area::All(areas.get(r).copied().unwrap_or(1.0)),
                            Weights::Bins(_) => Area::All(1.0),
                        },
                    );
                }
            }
        }
    }

    /// Finished rows of level `k` (from 1) since the last call.
    pub fn take(&mut self, k: usize) -> Vec<u8> {
        match self {
            Self::Rows(cascade) => cascade.take(k),
            Self::Cells(binner) => binner.take(k),
        }
    }
}
