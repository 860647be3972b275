//! Which context a decision has: annex D, tables D.1 to D.4.
//!
//! What is around a sample is eight bits: its neighbours that are significant, first the diagonal
//! ones, then those [`ABOVE`], [`LEFT`], [`RIGHT`] and [`BELOW`]. Which of the latter are negative
//! is four bits in the same order.

use super::tile::Orientation;

pub(super) const DIAGONAL: [u8; 4] = [1, 2, 4, 8];
pub(super) const ABOVE: u8 = 1 << 4;
pub(super) const LEFT: u8 = 1 << 5;
pub(super) const RIGHT: u8 = 1 << 6;
pub(super) const BELOW: u8 = 1 << 7;
/// From a neighbour's bit down to that of its sign.
pub(super) const TO_SIGN: u32 = 4;

pub(super) const RUN: u8 = 17;
pub(super) const UNIFORM: u8 = 18;
/// Contexts of refinement: the first one without neighbours, with them one more; and later ones.
pub(super) const REFINE_ALONE: u8 = 14;
pub(super) const REFINE: u8 = 16;

const fn bit(pattern: usize, n: usize) -> usize {
    pattern >> n & 1
}

/// Table D.1: `lowest` for LL and LH; HL has both axes exchanged.
const fn along(horizontal: usize, vertical: usize, diagonal: usize) -> u8 {
    match (horizontal, vertical, diagonal) {
        (2, _, _) => 8,
        (1, 1.., _) => 7,
        (1, 0, 1..) => 6,
        (1, 0, 0) => 5,
        (_, 2, _) => 4,
        (_, 1, _) => 3,
        (_, _, 2..) => 2,
        (_, _, d) => d as u8,
    }
}

const fn diagonally(straight: usize, diagonal: usize) -> u8 {
    match (diagonal, straight) {
        (3.., _) => 8,
        (2, 1..) => 7,
        (2, 0) => 6,
        (1, 2..) => 5,
        (1, s) => 3 + s as u8,
        (_, 2..) => 2,
        (_, s) => s as u8,
    }
}

static SIGNIFICANCE: [[u8; 256]; 3] = {
    let mut tables = [[0; 256]; 3];
    let mut p = 0;
    while p < 256 {
        let horizontal = bit(p, 5) + bit(p, 6);
        let vertical = bit(p, 4) + bit(p, 7);
        let diagonal = bit(p, 0) + bit(p, 1) + bit(p, 2) + bit(p, 3);
        tables[0][p] = along(horizontal, vertical, diagonal);
        tables[1][p] = along(vertical, horizontal, diagonal);
        tables[2][p] = diagonally(horizontal + vertical, diagonal);
        p += 1;
    }
    tables
};

/// Contexts of zero coding for each neighbourhood.
pub(super) fn significance(orientation: Orientation) -> &'static [u8; 256] {
    match orientation {
        Orientation::Lowest | Orientation::Down => &SIGNIFICANCE[0],
        Orientation::Across => &SIGNIFICANCE[1],
        Orientation::Diagonal => &SIGNIFICANCE[2],
    }
}

/// Contexts of signs, with 0x80 where the sign is exchanged (table D.3), by what is around but for
/// the diagonals, and above that the signs.
pub(super) static SIGN: [u8; 256] = {
    const fn part(p: usize, n: usize) -> i32 {
        if bit(p, n) == 0 { 0 } else { 1 - 2 * bit(p, n + TO_SIGN as usize) as i32 }
    }
    const fn sum(a: i32, b: i32) -> i32 {
        (a + b).signum()
    }
    let mut table = [0; 256];
    let mut p = 0;
    while p < 256 {
        let vertical = sum(part(p, 0), part(p, 3));
        let horizontal = sum(part(p, 1), part(p, 2));
        let exchanged = horizontal < 0 || horizontal == 0 && vertical < 0;
        let (h, v) = if exchanged { (-horizontal, -vertical) } else { (horizontal, vertical) };
        let context = if h == 1 { 12 + v } else { 9 + v } as u8;
        table[p] = context | if exchanged { 0x80 } else { 0 };
        p += 1;
    }
    table
};
