//! Which cells of a curvilinear grid are beside each other on the Earth, and not only in the array.
//!
//! A file's neighbours may lie anywhere: across the gap of a swath, at the fold of a tripolar
//! grid, or at (0, 0), where a model computes nothing.

/// A neighbour this many times farther than is usual in its grid is none.
pub const JUMP: f64 = 30.0;
/// Steps that the usual one is taken from, at most (and as many more as one row has).
const SAMPLES: usize = 4096;

/// The squared chord beyond which neighbours are not neighbours: [`JUMP`] times the median of the
/// steps of a sample of cells. `at` gives the unit vector of a cell that has a place.
pub fn limit(rows: usize, columns: usize, at: impl Fn(usize, usize) -> Option<[f64; 3]>) -> f64 {
    let cells = rows.saturating_mul(columns);
    let mut steps: Vec<f64> = (0..cells)
        .step_by(cells.div_ceil(SAMPLES).max(1))
        .filter_map(|i| {
            let (r, c) = (i / columns, i % columns);
            let here = at(r, c)?;
            let beside = (c + 1 < columns).then(|| at(r, c + 1)).flatten();
            let below = (r + 1 < rows).then(|| at(r + 1, c)).flatten();
            let far = [beside, below].into_iter().flatten().map(|p| squared(here, p)).fold(0.0, f64::max);
            Some(far).filter(|f| *f > 0.0)
        })
        .collect();
    if steps.is_empty() {
        return 1.0;
    }
    let middle = steps.len() / 2;
    let (_, median, _) = steps.select_nth_unstable_by(middle, f64::total_cmp);
    (*median * JUMP * JUMP).min(1.0)
}

/// The squared chord between two unit vectors.
pub fn squared(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(p, q)| (p - q) * (p - q)).sum()
}
