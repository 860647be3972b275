//! Regions: cells of the geohash grid, of which a cell has 32 cells of the next precision.
//!
//! An item is in every cell that its footprint meets, edges included, as a search by `bbox` has
//! it. One of the whole Earth would be in 1,024; so a cell of which it meets every part is
//! said as a whole, and nothing is said of its parts.

use super::Kind;

const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
/// Precision of the smallest cells that are counted: 11.25 degrees by 5.625.
pub const FINEST: usize = 2;
/// Columns, and rows, of the finest grid.
const SIDE: usize = 32;
/// Longest geohash: some centimetres.
pub const LONGEST: usize = 12;

/// Items without a footprint.
pub const NOWHERE: &str = "g:-";
pub const WORLD: &str = "g:";

/// The geohash of a place.
pub fn geohash(longitude: f64, latitude: f64, precision: usize) -> String {
    let (mut x, mut y) = ((-180.0, 180.0), (-90.0, 90.0));
    let mut out = String::with_capacity(precision);
    let mut even = true;
    for _ in 0..precision.min(LONGEST) {
        let mut index = 0;
        for _ in 0..5 {
            let (range, at) = if even { (&mut x, longitude) } else { (&mut y, latitude) };
            let middle = (range.0 + range.1) / 2.0;
            index = index * 2 + usize::from(at >= middle);
            if at >= middle {
                range.0 = middle;
            } else {
                range.1 = middle;
            }
            even = !even;
        }
        out.push(char::from(ALPHABET[index % 32]));
    }
    out
}

/// West, south, east, north of a geohash; `None` where it is none.
pub fn bounds(hash: &str) -> Option<[f64; 4]> {
    if hash.len() > LONGEST {
        return None;
    }
    let (mut x, mut y) = ((-180.0, 180.0), (-90.0, 90.0));
    let mut even = true;
    for c in hash.bytes() {
        let index = ALPHABET.iter().position(|a| *a == c)?;
        for bit in (0..5).rev() {
            let range = if even { &mut x } else { &mut y };
            let middle = (range.0 + range.1) / 2.0;
            if index >> bit & 1 == 1 {
                range.0 = middle;
            } else {
                range.1 = middle;
            }
            even = !even;
        }
    }
    Some([x.0, y.0, x.1, y.1])
}

/// Cells of the finest grid that a footprint meets: by column, and the first and last row.
pub struct Met {
    columns: [bool; SIDE],
    rows: (usize, usize),
}

impl Met {
    pub fn of([west, south, east, north]: [f64; 4]) -> Self {
        let span = |low: f64, high: f64, origin: f64, width: f64| {
            let cells = width / SIDE as f64;
            // A side that lies on an edge is in the cells on both sides of it.
            let first = ((low - origin) / cells).ceil() - 1.0;
            let last = ((high - origin) / cells).floor();
            let into = |n: f64| n.clamp(0.0, SIDE as f64 - 1.0) as usize;
            (into(first), into(last))
        };
        let mut columns = [false; SIDE];
        let parts = if west > east { vec![(west, 180.0), (-180.0, east)] } else { vec![(west, east)] };
        for (w, e) in parts {
            let (first, last) = span(w, e, -180.0, 360.0);
            columns.iter_mut().take(last + 1).skip(first).for_each(|c| *c = true);
        }
        Self { columns, rows: span(south, north, -90.0, 180.0) }
    }

    fn has(&self, column: usize, row: usize) -> bool {
        self.columns.get(column) == Some(&true) && (self.rows.0..=self.rows.1).contains(&row)
    }

    /// The cells of precision 1 or [`FINEST`] that are met.
    pub fn cells(&self, precision: usize) -> Vec<String> {
        let (wide, high) = if precision == 1 { (4, 8) } else { (1, 1) };
        let mut out = Vec::new();
        for row in (0..SIDE).step_by(high) {
            for column in (0..SIDE).step_by(wide) {
                if self.some(column, row, wide, high) {
                    out.push(hash_of(column, row, precision));
                }
            }
        }
        out
    }

    fn some(&self, column: usize, row: usize, wide: usize, high: usize) -> bool {
        (column..column + wide).any(|c| (row..row + high).any(|r| self.has(c, r)))
    }

    fn all(&self, column: usize, row: usize, wide: usize, high: usize) -> bool {
        (column..column + wide).all(|c| (row..row + high).all(|r| self.has(c, r)))
    }
}

/// The cell that the finest one at this column and row is, or lies in.
fn hash_of(column: usize, row: usize, precision: usize) -> String {
    let at = |n: usize, origin: f64, width: f64| origin + (n as f64 + 0.5) * width / SIDE as f64;
    geohash(at(column, -180.0, 360.0), at(row, -90.0, 180.0), precision)
}

/// The nodes that count an item with this footprint.
pub fn nodes(footprint: Option<[f64; 4]>, mut push: impl FnMut(String, Kind)) {
    let Some(footprint) = footprint else { return push(NOWHERE.to_owned(), Kind::Meets) };
    let met = Met::of(footprint);
    if met.all(0, 0, SIDE, SIDE) {
        return push(WORLD.to_owned(), Kind::Whole);
    }
    for row in (0..SIDE).step_by(8) {
        for column in (0..SIDE).step_by(4).filter(|c| met.some(*c, row, 4, 8)) {
            let large = format!("{WORLD}{}", hash_of(column, row, 1));
            push(large.clone(), Kind::Meets);
            if met.all(column, row, 4, 8) {
                push(large, Kind::Whole);
                continue;
            }
            for r in row..row + 8 {
                for c in (column..column + 4).filter(|c| met.has(*c, r)) {
                    push(format!("{WORLD}{}", hash_of(c, r, 2)), Kind::Meets);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geohashes_are_those_that_the_field_knows() {
        assert_eq!(geohash(-5.6, 42.6, 5), "ezs42");
        assert_eq!(geohash(10.40744, 57.64911, 11), "u4pruydqqvj");
        assert_eq!(bounds("u"), Some([0.0, 45.0, 45.0, 90.0]));
        assert_eq!(bounds("u0"), Some([0.0, 45.0, 11.25, 50.625]));
        assert_eq!((bounds("a"), bounds("U"), bounds("0000000000000")), (None, None, None));
        assert_eq!(bounds(""), Some([-180.0, -90.0, 180.0, 90.0]));
        assert_eq!(geohash(180.0, 90.0, 2), "zz");
    }

    #[test]
    fn a_cell_is_met_exactly_where_its_box_is() {
        let boxes = [
            [-30.0, 40.0, 10.0, 60.0],
            [170.0, -10.0, -170.0, 10.0],
            [0.0, 0.0, 45.0, 45.0],
            [-180.0, 0.0, 180.0, 90.0],
            [12.0, 12.0, 12.0, 12.0],
            [-180.0, -90.0, -180.0, -90.0],
        ];
        for b in boxes {
            for precision in [1, FINEST] {
                let met = Met::of(b).cells(precision);
                let mut all = 0;
                for c in Met::of([-180.0, -90.0, 180.0, 90.0]).cells(precision) {
                    let [w, s, e, n] = bounds(&c).unwrap();
                    let parts =
                        if b[0] > b[2] { vec![(b[0], 180.0), (-180.0, b[2])] } else { vec![(b[0], b[2])] };
                    let meets = b[1] <= n && b[3] >= s && parts.iter().any(|(x, y)| *x <= e && *y >= w);
                    assert_eq!(met.contains(&c), meets, "{b:?} {c}");
                    all += 1;
                }
                assert_eq!(all, if precision == 1 { 32 } else { 1024 });
            }
        }
    }

    #[test]
    fn what_is_whole_is_said_once() {
        let of = |b| {
            let mut out = Vec::new();
            nodes(b, |n, k| out.push((n, k)));
            out
        };
        assert_eq!(of(Some([-180.0, -90.0, 180.0, 90.0])), [(WORLD.to_owned(), Kind::Whole)]);
        assert_eq!(of(None), [(NOWHERE.to_owned(), Kind::Meets)]);
        let inside = of(Some([1.0, 46.0, 44.0, 89.0]));
        assert_eq!(inside, [("g:u".to_owned(), Kind::Meets), ("g:u".to_owned(), Kind::Whole)]);
        assert_eq!(
            of(Some([1.0, 46.0, 2.0, 47.0])),
            [("g:u".to_owned(), Kind::Meets), ("g:u0".to_owned(), Kind::Meets)]
        );
    }
}
