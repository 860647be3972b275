//! Coarser levels, computed in the same pass that stores the finest.
//!
//! Rows arrive from the top. Each level keeps one unfinished row (the sum of its
//! valid cells times their area, and that area) and hands finished rows to the
//! next level as sums, never as rounded means: so a cell of level 9 is the mean of
//! the cells of level 0 that it covers, whatever the packing rounds between.
//! A cell has no value only where none of those cells has one.
//!
//! Categories have no mean: there the cell at the centre is taken.

use graticule_shared::cube::Packing;
use graticule_shared::dtype::DataType;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Average,
    Nearest,
}

impl Method {
    pub const fn name(self) -> &'static str {
        match self {
            Method::Average => "average",
            Method::Nearest => "nearest",
        }
    }
}

/// Levels above 0 for `rows` by `columns` cells: until both fit in one tile.
pub fn level_count(rows: u64, columns: u64) -> u32 {
    (0..).find(|k| rows.div_ceil(1 << k) <= 256 && columns.div_ceil(1 << k) <= 256).unwrap_or(0)
}

/// Areas of the cells of a row, relative to each other; 0 where a cell has no place.
#[derive(Debug, Clone, Copy)]
pub enum Area<'a> {
    All(f64),
    Each(&'a [f32]),
}

impl Area<'_> {
    fn at(self, column: usize) -> f64 {
        match self {
            Self::All(a) => a,
            Self::Each(list) => list.get(column).copied().map_or(0.0, f64::from),
        }
    }
}

struct Level {
    columns: usize,
    /// Unfinished row: sum of value times area, and area; unused for `Nearest`.
    sums: Vec<f64>,
    areas: Vec<f64>,
    /// Rows of the level below in the unfinished row: 0 or 1.
    pending: bool,
    /// Finished rows, stored type, native-endian.
    out: Vec<u8>,
}

/// Levels 1 and up of one plane.
pub struct Cascade {
    packing: Packing,
    method: Method,
    /// What a cell without a value is stored as.
    nodata: Vec<u8>,
    rows: usize,
    columns: usize,
    next_row: usize,
    levels: Vec<Level>,
}

impl Cascade {
    pub fn new(
        packing: Packing,
        method: Method,
        nodata: Vec<u8>,
        rows: usize,
        columns: usize,
        levels: u32,
    ) -> Self {
        let levels = (1..=levels).map(|k| {
            let columns = columns.div_ceil(1 << k);
            let width = if method == Method::Average { columns } else { 0 };
            Level {
                columns,
                sums: vec![0.0; width],
                areas: vec![0.0; width],
                pending: false,
                out: Vec::new(),
            }
        });
        let levels = levels.collect();
        Self { packing, method, nodata, rows, columns, next_row: 0, levels }
    }

    /// Takes the next row of level 0, whose cells have this area each.
    pub fn push(&mut self, row: &[u8], area: Area<'_>) {
        let r = self.next_row;
        self.next_row += 1;
        let last = self.next_row == self.rows;
        match self.method {
            Method::Nearest => self.pick(row, r, area),
            Method::Average => {
                let Some(level) = self.levels.first_mut() else { return };
                weigh_pairs(row, &self.packing, area, &mut level.sums, &mut level.areas);
                self.finish(0, last);
            }
        }
    }

    /// Finished rows of level `k` (from 1) since the last call.
    pub fn take(&mut self, k: usize) -> Vec<u8> {
        self.levels.get_mut(k - 1).map(|l| std::mem::take(&mut l.out)).unwrap_or_default()
    }

    fn pick(&mut self, row: &[u8], r: usize, area: Area<'_>) {
        let size = self.packing.dtype.size();
        for (i, level) in self.levels.iter_mut().enumerate() {
            let k = i + 1;
            let centre = |j: usize, n: usize| ((j << k) + (1 << i)).min(n - 1);
            if centre(r >> k, self.rows) == r {
                for j in 0..level.columns {
                    let column = centre(j, self.columns);
                    let cell = &row[column * size..(column + 1) * size];
                    let placed = area.at(column) > 0.0;
                    level.out.extend_from_slice(if placed { cell } else { &self.nodata });
                }
            }
        }
    }

    /// Adds a row of sums and areas to level `at` + 1.
    pub fn add(&mut self, at: usize, sums: &[f64], areas: &[f64], last: bool) {
        let Some(level) = self.levels.get_mut(at) else { return };
        for (to, from) in [(&mut level.sums, sums), (&mut level.areas, areas)] {
            for (t, pair) in to.iter_mut().zip(from.chunks(2)) {
                *t += pair.iter().sum::<f64>();
            }
        }
        self.finish(at, last);
    }

    /// Hands the row of level `at` + 1 on, where both rows below it have been added.
    fn finish(&mut self, at: usize, last: bool) {
        let Some(level) = self.levels.get_mut(at) else { return };
        if !level.pending && !last {
            level.pending = true;
            return;
        }
        level.pending = false;
        let columns = level.columns;
        let (mut s, mut a) = (std::mem::take(&mut level.sums), std::mem::take(&mut level.areas));
        means(&s, &a, &self.packing, &self.nodata, &mut level.out);
        self.add(at + 1, &s, &a, last);
        s.fill(0.0);
        a.fill(0.0);
        debug_assert_eq!(s.len(), columns);
        if let Some(level) = self.levels.get_mut(at) {
            (level.sums, level.areas) = (s, a);
        }
    }
}

/// Value, and 1, of each cell; 0 and 0 where there is no value.
pub fn weigh(row: &[u8], packing: &Packing, sums: &mut Vec<f64>, areas: &mut Vec<f64>) {
    macro_rules! run {
        ($t:ty) => {{
            let (cells, _) = row.as_chunks::<{ size_of::<$t>() }>();
            sums.clear();
            areas.clear();
            sums.reserve(cells.len());
            areas.reserve(cells.len());
            for c in cells {
                let v = <$t>::from_ne_bytes(*c) as f64;
                let valid = v.is_finite() && !packing.nodata.contains(&v);
                sums.push(if valid { v } else { 0.0 });
                areas.push(f64::from(u8::from(valid)));
            }
        }};
    }
    match packing.read_as() {
        DataType::Int8 => run!(i8),
        DataType::UInt8 => run!(u8),
        DataType::Int16 => run!(i16),
        DataType::UInt16 => run!(u16),
        DataType::Int32 => run!(i32),
        DataType::UInt32 => run!(u32),
        DataType::Int64 => run!(i64),
        DataType::UInt64 => run!(u64),
        DataType::Float32 => run!(f32),
        DataType::Float64 => run!(f64),
    }
}

/// Value times area, and area, of each cell, added up by twos: the way from level 0 to level 1, which is most of the work.
fn weigh_pairs(row: &[u8], packing: &Packing, area: Area<'_>, sums: &mut [f64], areas: &mut [f64]) {
    macro_rules! run {
        ($t:ty) => {{
            let number = |c: &[u8; size_of::<$t>()]| <$t>::from_ne_bytes(*c) as f64;
            let cells = row.as_chunks::<{ size_of::<$t>() }>().0;
            // Comparing with a list is many times slower than with the one value that is usual.
            match packing.nodata.as_slice() {
                [] => add_pairs(cells, area, sums, areas, |c| Some(number(c)).filter(|v| v.is_finite())),
                [one] => {
                    let one = *one;
                    add_pairs(cells, area, sums, areas, |c| {
                        Some(number(c)).filter(|v| v.is_finite() & (*v != one))
                    });
                }
                many => add_pairs(cells, area, sums, areas, |c| {
                    Some(number(c)).filter(|v| v.is_finite() && !many.contains(v))
                }),
            }
        }};
    }
    match packing.read_as() {
        DataType::Int8 => run!(i8),
        DataType::UInt8 => run!(u8),
        DataType::Int16 => run!(i16),
        DataType::UInt16 => run!(u16),
        DataType::Int32 => run!(i32),
        DataType::UInt32 => run!(u32),
        DataType::Int64 => run!(i64),
        DataType::UInt64 => run!(u64),
        DataType::Float32 => run!(f32),
        DataType::Float64 => run!(f64),
    }
}

/// `value` is `None` where a cell has none.
fn add_pairs<const N: usize>(
    cells: &[[u8; N]],
    area: Area<'_>,
    sums: &mut [f64],
    areas: &mut [f64],
    value: impl Fn(&[u8; N]) -> Option<f64>,
) {
    let one = |c: &[u8; N]| value(c).map_or((0.0, 0.0), |v| (v, 1.0));
    let (pairs, rest) = cells.as_chunks::<2>();
    let to = sums.iter_mut().zip(areas);
    match area {
        Area::All(area) => {
            let odd = rest.first().map(|c| (one(c), (0.0, 0.0)));
            let found = pairs.iter().map(|[a, b]| (one(a), one(b))).chain(odd);
            for ((sum, total), ((a, m), (b, n))) in to.zip(found) {
                *sum += (a + b) * area;
                *total += (m + n) * area;
            }
        }
        Area::Each(list) => {
            for ((sum, total), (cells, list)) in to.zip(cells.chunks(2).zip(list.chunks(2))) {
                for (c, area) in cells.iter().zip(list) {
                    let ((v, n), area) = (one(c), f64::from(*area));
                    *sum += v * area;
                    *total += n * area;
                }
            }
        }
    }
}

/// Means in the stored type; integers are rounded to the nearest.
pub fn means(sums: &[f64], areas: &[f64], packing: &Packing, nodata: &[u8], out: &mut Vec<u8>) {
    macro_rules! run {
        ($t:ty, $round:expr) => {{
            for (s, a) in sums.iter().zip(areas) {
                if *a > 0.0 {
                    let mean = s / a;
                    out.extend_from_slice(
                        &((if $round { mean.round_ties_even() } else { mean }) as $t).to_ne_bytes(),
                    );
                } else {
                    out.extend_from_slice(nodata);
                }
            }
        }};
    }
    match packing.read_as() {
        DataType::Int8 => run!(i8, true),
        DataType::UInt8 => run!(u8, true),
        DataType::Int16 => run!(i16, true),
        DataType::UInt16 => run!(u16, true),
        DataType::Int32 => run!(i32, true),
        DataType::UInt32 => run!(u32, true),
        DataType::Int64 => run!(i64, true),
        DataType::UInt64 => run!(u64, true),
        DataType::Float32 => run!(f32, false),
        DataType::Float64 => run!(f64, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packing(dtype: DataType, nodata: &[f64]) -> Packing {
        Packing { dtype, unsigned: false, scale: 1.0, offset: 0.0, nodata: nodata.to_vec() }
    }

    fn noise(n: usize) -> Vec<i16> {
        let mut x = 12345u32;
        (0..n)
            .map(|_| {
                x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if x >> 30 == 0 { -999 } else { (x >> 18) as i16 - 8000 }
            })
            .collect()
    }

    /// The definition, straight: every cell of level `k` from the cells of level 0.
    fn reference(grid: &[i16], rows: usize, columns: usize, area: &[f64], k: u32) -> Vec<f64> {
        let (r, c) = (rows.div_ceil(1 << k), columns.div_ceil(1 << k));
        let mut out = Vec::new();
        for j in 0..r {
            for i in 0..c {
                let (mut sum, mut total) = (0.0, 0.0);
                for y in (j << k)..((j + 1) << k).min(rows) {
                    for x in (i << k)..((i + 1) << k).min(columns) {
                        let v = grid[y * columns + x];
                        if v != -999 {
                            sum += f64::from(v) * area[y];
                            total += area[y];
                        }
                    }
                }
                out.push(if total > 0.0 { sum / total } else { -999.0 });
            }
        }
        out
    }

    #[test]
    fn every_level_is_the_area_weighted_mean_of_level_0_at_odd_sizes_with_gaps() {
        for (rows, columns) in [(1, 1), (1, 7), (5, 3), (37, 61), (64, 33), (129, 2)] {
            let mut grid = noise(rows * columns);
            // A hole wider than a coarse cell.
            for y in 0..rows.min(20) {
                for x in 0..columns.min(20) {
                    grid[y * columns + x] = -999;
                }
            }
            let area: Vec<f64> = (0..rows).map(|y| (y as f64 / rows as f64 * 3.0 - 1.5).cos()).collect();
            let levels = 5;
            let mut cascade = Cascade::new(
                packing(DataType::Int16, &[-999.0]),
                Method::Average,
                (-999i16).to_ne_bytes().to_vec(),
                rows,
                columns,
                levels,
            );
            let bytes: Vec<u8> = grid.iter().flat_map(|v| v.to_ne_bytes()).collect();
            for (row, a) in bytes.chunks(columns * 2).zip(&area) {
                cascade.push(row, Area::All(*a));
            }
            for k in 1..=levels {
                let got = cascade.take(k as usize);
                let got: Vec<i16> = got.chunks(2).map(|b| i16::from_ne_bytes([b[0], b[1]])).collect();
                let want = reference(&grid, rows, columns, &area, k);
                assert_eq!(got.len(), want.len());
                // The nearest integer: of a tie, which sums in another order may miss by a rounding, either.
                for (got, want) in got.iter().zip(&want) {
                    assert!(
                        (f64::from(*got) - want).abs() <= 0.5 + 1e-9,
                        "{rows}x{columns} level {k}: {got}, {want}"
                    );
                }
            }
        }
    }

    #[test]
    fn nan_infinity_and_fill_leave_no_trace_in_the_mean() {
        let mut c = Cascade::new(
            packing(DataType::Float32, &[f64::from(1e20f32)]),
            Method::Average,
            f32::NAN.to_ne_bytes().to_vec(),
            2,
            4,
            1,
        );
        for row in [[1.0f32, f32::NAN, 1e20, f32::INFINITY], [3.0, 2.0, f32::NAN, 1e20]] {
            c.push(&row.iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<u8>>(), Area::All(1.0));
        }
        let got = DataType::Float32.to_f64_vec(&c.take(1));
        assert_eq!(got[0], 2.0);
        assert!(got[1].is_nan());
    }

    #[test]
    fn categories_take_the_cell_at_the_centre() {
        let mut c = Cascade::new(packing(DataType::UInt8, &[]), Method::Nearest, vec![0], 3, 5, 2);
        for row in [[1u8, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 12, 13, 14, 15]] {
            c.push(&row, Area::All(1.0));
        }
        assert_eq!(c.take(1), [7, 9, 10, 12, 14, 15]);
        assert_eq!(c.take(2), [13, 15]);
    }

    #[test]
    fn cells_weigh_what_they_are_large_and_those_without_a_place_nothing() {
        let mut c = Cascade::new(
            packing(DataType::Float32, &[]),
            Method::Average,
            f32::NAN.to_ne_bytes().to_vec(),
            2,
            4,
            1,
        );
        let rows = [
            ([1.0f32, 9.0, 5.0, 6.0], [1.0f32, 0.0, 0.0, 0.0]),
            ([4.0, 9.0, 7.0, 8.0], [2.0, 0.0, 0.0, 0.0]),
        ];
        for (row, areas) in rows {
            c.push(&row.iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<u8>>(), Area::Each(&areas));
        }
        let got = DataType::Float32.to_f64_vec(&c.take(1));
        assert_eq!(got[0], 3.0);
        assert!(got[1].is_nan());
        let mut c = Cascade::new(packing(DataType::UInt8, &[]), Method::Nearest, vec![255], 2, 4, 1);
        c.push(&[1, 2, 3, 4], Area::Each(&[1.0; 4]));
        c.push(&[5, 6, 7, 8], Area::Each(&[1.0, 1.0, 1.0, 0.0]));
        assert_eq!(c.take(1), [6, 255]);
    }

    #[test]
    fn levels_stop_where_one_tile_holds_the_world() {
        assert_eq!(level_count(256, 256), 0);
        assert_eq!(level_count(181, 360), 1);
        assert_eq!(level_count(18_000, 36_000), 8);
    }
}
