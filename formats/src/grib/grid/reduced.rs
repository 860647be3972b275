//! Reduced grids: rows of different lengths, stored one after another.

use super::super::octets::{Fault, Result};

/// Cells that are read at most: the limit on a field's bytes is stricter.
const MOST_CELLS: u64 = 1 << 28;

#[derive(Debug, Clone, PartialEq)]
struct Row {
    latitude: f64,
    /// Of the first cell.
    longitude: f64,
    /// Degrees from cell to cell.
    step: f64,
    /// Cells before this row.
    before: u64,
    cells: u32,
}

/// Where each cell is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rows {
    rows: Vec<Row>,
    /// Row lengths as the header lists them.
    lengths: Vec<u32>,
    cells: u64,
}

impl Rows {
    /// `points` are those that the header promises; where the row lengths sum up to
    /// more, the rows are cut to the longitudes from `lon1` to `lon2`.
    pub(super) fn new(
        latitudes: &[f64],
        lengths: Vec<u32>,
        points: u64,
        lon1: f64,
        mut lon2: f64,
        gaussian: bool,
    ) -> Result<Self> {
        if latitudes.len() != lengths.len() {
            return Err(Fault::new(format!("{} row lengths for {} rows", lengths.len(), latitudes.len())));
        }
        let sum: u64 = lengths.iter().map(|n| u64::from(*n)).sum();
        if sum == 0 || sum > MOST_CELLS {
            return Err(Fault::new(format!("the rows have {sum} cells in all; 1 to {MOST_CELLS} are read")));
        }
        if !(lon1.abs() <= 720.0 && lon2.abs() <= 720.0) {
            return Err(Fault::new(format!("the rows reach from {lon1} to {lon2} degrees of longitude")));
        }
        while lon2 < lon1 {
            lon2 += 360.0;
        }
        let longest = f64::from(lengths.iter().copied().max().unwrap_or(1).max(1));
        // The last point of the longest row is one step before the first; headers round.
        let global = lon2 - lon1 + 360.0 / longest > 360.0 - 0.5 * 360.0 / longest;
        let mut rows = Vec::with_capacity(lengths.len());
        let mut before = 0;
        for (latitude, n) in latitudes.iter().zip(&lengths) {
            let n = *n;
            let whole = 360.0 / f64::from(n.max(1));
            let (longitude, step, cells) = if sum == points || points == 0 {
                let step = match () {
                    () if global => whole,
                    () if n > 1 => (lon2 - lon1) / f64::from(n - 1),
                    () => 0.0,
                };
                (lon1, step, n)
            } else if gaussian {
                // The lengths are those around the whole globe.
                let slack = 1e-3;
                let first = ((lon1 - slack) / whole).ceil();
                let last = ((lon2 + slack) / whole).floor();
                (first * whole, whole, (last - first + 1.0).clamp(0.0, f64::from(n)) as u32)
            } else {
                (lon1, whole, n)
            };
            rows.push(Row { latitude: *latitude, longitude, step, before, cells });
            before += u64::from(cells);
        }
        if points != 0 && before != points {
            return Err(Fault::new(format!(
                "the rows have {sum} cells in all, {before} between longitudes {lon1} and {lon2}; {points} points are declared"
            )));
        }
        Ok(Self { rows, lengths, cells: before })
    }

    pub(super) fn cells(&self) -> u64 {
        self.cells
    }

    pub(super) fn lengths(&self) -> &[u32] {
        &self.lengths
    }

    /// Cells that each row really has.
    pub(super) fn cells_by_row(&self) -> Vec<u32> {
        self.rows.iter().map(|r| r.cells).collect()
    }

    /// Of `count` cells from `from` on.
    pub(super) fn latitudes(&self, from: usize, count: usize) -> Vec<f64> {
        self.walk(from, count, |row, _| row.latitude)
    }

    pub(super) fn longitudes(&self, from: usize, count: usize) -> Vec<f64> {
        self.walk(from, count, |row, i| {
            let lon = row.longitude + i as f64 * row.step;
            if lon >= 360.0 { lon - 360.0 } else { lon }
        })
    }

    fn walk(&self, from: usize, count: usize, at: impl Fn(&Row, u64) -> f64) -> Vec<f64> {
        let (from, end) = (from as u64, (from as u64).saturating_add(count as u64).min(self.cells));
        let mut out = Vec::with_capacity(end.saturating_sub(from) as usize);
        let first = self.rows.partition_point(|r| r.before + u64::from(r.cells) <= from);
        for row in self.rows.iter().skip(first).take_while(|r| r.before < end) {
            let a = from.max(row.before) - row.before;
            let b = end.min(row.before + u64::from(row.cells)) - row.before;
            out.extend((a..b).map(|i| at(row, i)));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_lie_row_after_row() {
        let rows = Rows::new(&[60.0, 0.0, -60.0], vec![2, 4, 2], 8, 0.0, 270.0, true).unwrap();
        assert_eq!(rows.longitudes(0, 8), [0.0, 180.0, 0.0, 90.0, 180.0, 270.0, 0.0, 180.0]);
        assert_eq!(rows.latitudes(1, 2), [60.0, 0.0]);
        assert_eq!(rows.longitudes(5, 9), [270.0, 0.0, 180.0]);
        assert!(Rows::new(&[60.0, 0.0], vec![2, 4], 7, 0.0, 270.0, true).is_err());
    }

    #[test]
    fn an_area_of_a_reduced_grid_cuts_its_rows() {
        let rows = Rows::new(&[60.0, 0.0], vec![8, 16], 3 + 5, 0.0, 90.0, true).unwrap();
        assert_eq!(rows.longitudes(0, 8), [0.0, 45.0, 90.0, 0.0, 22.5, 45.0, 67.5, 90.0]);
    }
}
