//! Coordinate axes: which cell a coordinate falls in.
//!
//! The map, the readout and the position query must name the same cell, so they
//! all ask here. An axis is one-dimensional and strictly monotonic (CF section
//! 1.3, "coordinate variable"); cells end halfway between neighbours.

#[derive(Debug, thiserror::Error, PartialEq)]
pub enum AxisError {
    #[error("the axis has no values")]
    Empty,
    #[error("value {index} is {value}, not a finite number")]
    NotFinite { index: usize, value: f64 },
    #[error("value {index} is {value} after {previous}: a coordinate axis must rise or fall throughout")]
    NotMonotonic { index: usize, value: f64, previous: f64 },
}

/// A strictly monotonic coordinate axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    values: Vec<f64>,
    /// Constant step, where there is one to within float32 rounding of the values.
    step: Option<f64>,
    /// 360 for longitudes, so that 359 finds -1.
    period: Option<f64>,
}

impl Axis {
    /// # Errors
    /// No values, one that is not finite, or values that do not rise or fall throughout.
    pub fn new(values: Vec<f64>) -> Result<Self, AxisError> {
        let (Some(&first), Some(&last)) = (values.first(), values.last()) else {
            return Err(AxisError::Empty);
        };
        if let Some((index, &value)) = values.iter().enumerate().find(|(_, v)| !v.is_finite()) {
            return Err(AxisError::NotFinite { index, value });
        }
        let rising = last > first;
        for (index, pair) in values.windows(2).enumerate() {
            if (pair[1] > pair[0]) != rising || pair[1] == pair[0] {
                return Err(AxisError::NotMonotonic { index: index + 1, value: pair[1], previous: pair[0] });
            }
        }
        let step = (values.len() > 1).then(|| (last - first) / (values.len() - 1) as f64).filter(|step| {
            let slack = (step.abs() * 1e-3).max(first.abs().max(last.abs()) * f64::from(f32::EPSILON));
            values.iter().enumerate().all(|(i, v)| (first + step * i as f64 - v).abs() <= slack)
        });
        Ok(Self { values, step, period: None })
    }

    /// A longitude axis in degrees: coordinates are taken modulo 360.
    ///
    /// # Errors
    /// As [`Axis::new`].
    pub fn longitude(values: Vec<f64>) -> Result<Self, AxisError> {
        let mut axis = Self::new(values)?;
        axis.period = Some(360.0);
        Ok(axis)
    }

    pub fn values(&self) -> &[f64] {
        &self.values
    }
    pub fn len(&self) -> usize {
        self.values.len()
    }
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
    pub fn first(&self) -> f64 {
        self.values.first().copied().unwrap_or(0.0)
    }
    pub fn last(&self) -> f64 {
        self.values.last().copied().unwrap_or(0.0)
    }
    /// The constant step; `None` on an irregular axis or one of a single value.
    pub fn step(&self) -> Option<f64> {
        self.step
    }
    pub fn is_rising(&self) -> bool {
        self.last() >= self.first()
    }

    /// Outer edges of the first and the last cell, in axis order.
    pub fn edges(&self) -> (f64, f64) {
        let v = &self.values;
        match v.len() {
            0 => (0.0, 0.0),
            1 => (v[0] - 0.5, v[0] + 0.5),
            n => (v[0] - (v[1] - v[0]) / 2.0, v[n - 1] + (v[n - 1] - v[n - 2]) / 2.0),
        }
    }

    /// True where the cells of a longitude axis close around the globe.
    pub fn wraps(&self) -> bool {
        let (a, b) = self.edges();
        let widest = self.values.windows(2).map(|p| (p[1] - p[0]).abs()).fold(0.0, f64::max);
        self.period.is_some_and(|p| ((b - a).abs() - p).abs() <= widest.max(1e-9) * 0.5 + 1e-6)
    }

    /// `coordinate` moved by whole periods to where the axis has it, or as near as can be.
    pub fn normalise(&self, coordinate: f64) -> f64 {
        let Some(period) = self.period else { return coordinate };
        let (a, b) = self.edges();
        let middle = (a + b) / 2.0;
        let moved = coordinate - ((coordinate - middle) / period).round() * period;
        if moved.is_finite() { moved } else { coordinate }
    }

    /// Index of the cell that `coordinate` lies in; the nearest value, the lower
    /// index at a tie. `None` outside the outermost cells.
    pub fn cell(&self, coordinate: f64) -> Option<usize> {
        if !coordinate.is_finite() || self.values.is_empty() {
            return None;
        }
        let x = self.normalise(coordinate);
        let (a, b) = self.edges();
        let (lo, hi) = (a.min(b), a.max(b));
        let slack = (hi - lo) * 1e-12;
        if x < lo - slack || x > hi + slack {
            return None;
        }
        let rising = self.is_rising();
        let after = self.values.partition_point(|v| if rising { *v < x } else { *v > x });
        let last = self.values.len() - 1;
        let (left, right) = (after.saturating_sub(1), after.min(last));
        let distance = |i: usize| self.values.get(i).map_or(f64::INFINITY, |v| (v - x).abs());
        Some(if distance(right) < distance(left) { right } else { left })
    }

    /// The cell that `coordinate` lies in, and how far into it: 0 at the edge
    /// before it in axis order, 1 at the edge after. `None` outside the axis.
    pub fn locate(&self, coordinate: f64) -> Option<(usize, f64)> {
        let i = self.cell(coordinate)?;
        let x = self.normalise(coordinate);
        let (a, b) = (self.edge(i), self.edge(i + 1));
        Some((i, ((x - a) / (b - a)).clamp(0.0, 1.0)))
    }

    /// Edge `i` of `len() + 1`: halfway between values `i - 1` and `i`.
    pub fn edge(&self, i: usize) -> f64 {
        let (first, last) = self.edges();
        match (i.checked_sub(1).and_then(|p| self.values.get(p)), self.values.get(i)) {
            (Some(p), Some(q)) => (p + q) / 2.0,
            (None, _) => first,
            (_, None) => last,
        }
    }

    /// Continuous index: 2.0 at value 2, 2.5 halfway to value 3; extrapolated
    /// linearly past the ends. NaN where `coordinate` is.
    pub fn fractional(&self, coordinate: f64) -> f64 {
        let v = &self.values;
        let x = self.normalise(coordinate);
        if v.len() < 2 {
            return x - self.first();
        }
        let rising = self.is_rising();
        let after = v.partition_point(|v| if rising { *v < x } else { *v > x }).clamp(1, v.len() - 1);
        let (p, q) = (v[after - 1], v[after]);
        (after - 1) as f64 + (x - p) / (q - p)
    }

    /// Where cell `j` of pyramid level `k` lies: halfway between the first and
    /// the last cell of level 0 that it covers.
    pub fn level_value(&self, level: u32, j: usize) -> Option<f64> {
        let first = j.checked_shl(level)?;
        let last = (j + 1).checked_shl(level)?.min(self.values.len()).checked_sub(1)?;
        Some((self.values.get(first)? + self.values.get(last)?) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globe(from: f64, n: usize, step: f64) -> Axis {
        Axis::longitude((0..n).map(|i| from + i as f64 * step).collect()).unwrap()
    }

    #[test]
    fn longitudes_are_found_modulo_360() {
        let a = globe(0.125, 1440, 0.25);
        assert!(a.wraps());
        assert_eq!(a.cell(-0.2), Some(1439));
        assert_eq!(a.cell(359.9), Some(1439));
        assert_eq!(a.cell(-360.0 + 0.1), Some(0));
        let b = globe(21.0, 180, 2.0);
        assert_eq!(b.cell(-140.2), Some(99));
        assert_eq!(b.cell(20.2), Some(0));
        assert_eq!(globe(250.0, 21, 2.5).cell(-99.1), Some(4));
        assert_eq!(globe(250.0, 21, 2.5).cell(0.0), None);
        assert!(!globe(250.0, 21, 2.5).wraps());
    }

    #[test]
    fn a_falling_axis_finds_the_nearest_value() {
        let a = Axis::new((0..241).map(|i| 90.0 - 0.75 * f64::from(i)).collect()).unwrap();
        assert_eq!(a.cell(51.6), Some(51));
        assert_eq!(a.cell(90.2), Some(0));
        assert_eq!(a.cell(91.0), None);
        assert_eq!(a.step(), Some(-0.75));
        assert_eq!(a.fractional(89.625), 0.5);
    }

    #[test]
    fn an_irregular_axis_has_no_step_but_has_cells() {
        let a = Axis::new(vec![-87.86, -85.09, -82.31, -79.0]).unwrap();
        assert_eq!(a.step(), None);
        assert_eq!(a.cell(-86.4), Some(1));
        assert_eq!(a.cell(-86.5), Some(0));
    }

    #[test]
    fn broken_axes_are_refused_with_the_index() {
        assert_eq!(Axis::new(vec![]), Err(AxisError::Empty));
        assert!(matches!(Axis::new(vec![0.0, f64::NAN]), Err(AxisError::NotFinite { index: 1, .. })));
        assert_eq!(
            Axis::new(vec![0.0, 1.0, 0.5]),
            Err(AxisError::NotMonotonic { index: 2, value: 0.5, previous: 1.0 })
        );
        assert!(Axis::new(vec![1.0, 1.0]).is_err());
    }

    #[test]
    fn a_pyramid_cell_lies_in_the_middle_of_what_it_covers() {
        let a = Axis::new(vec![0.0, 1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(a.level_value(1, 0), Some(0.5));
        assert_eq!(a.level_value(1, 2), Some(4.0));
        assert_eq!(a.level_value(2, 1), Some(4.0));
        assert_eq!(a.level_value(1, 3), None);
    }
}
