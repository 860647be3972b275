//! Sub-bands to samples: annex F.
//!
//! A level goes row by row: each row is put together across, then rows are lifted down with as
//! little delay as the steps allow. Both ways whole rows are added, which the compiler vectorises.

use super::tile::{Area, Band, Orientation, Tile};

/// A sample while it is transformed.
pub(super) trait Sample: Copy + Default {
    /// Lifting steps, the first on even samples, then in turn.
    const STEPS: usize;

    /// From sign and twice the magnitude; `half` is half of the quantization's step.
    fn coefficient(coded: u32, half: f32) -> Self;
    /// `self` after lifting step `step` with its neighbours.
    fn lift(self, step: usize, before: Self, after: Self) -> Self;
    /// What low-pass and high-pass coefficients are multiplied with before the steps.
    fn scaled(self, high: bool) -> Self;
    /// The one sample of a signal that begins at an odd place.
    fn alone(self) -> Self;
    fn whole(self) -> i32;
    /// Many of them, without a copy if they are whole.
    fn all_whole(samples: &mut Vec<Self>) -> Vec<i32> {
        samples.iter().map(|s| s.whole()).collect()
    }
}

impl Sample for i32 {
    const STEPS: usize = 2;

    #[inline(always)]
    fn coefficient(coded: u32, _: f32) -> Self {
        let magnitude = (coded & 0x7fff_ffff) >> 1;
        if coded >> 31 == 0 { magnitude as i32 } else { -(magnitude as i32) }
    }

    #[inline(always)]
    fn lift(self, step: usize, before: Self, after: Self) -> Self {
        let sum = before.wrapping_add(after);
        match step {
            0 => self.wrapping_sub(sum.wrapping_add(2) >> 2),
            _ => self.wrapping_add(sum >> 1),
        }
    }

    #[inline(always)]
    fn scaled(self, _: bool) -> Self {
        self
    }

    fn alone(self) -> Self {
        // Towards zero: of a stream that was cut, an odd one is a guess in the middle.
        self / 2
    }

    #[inline(always)]
    fn whole(self) -> i32 {
        self
    }

    fn all_whole(samples: &mut Vec<Self>) -> Vec<i32> {
        std::mem::take(samples)
    }
}

impl Sample for f32 {
    const STEPS: usize = 4;

    #[inline(always)]
    fn coefficient(coded: u32, half: f32) -> Self {
        let magnitude = (coded & 0x7fff_ffff) as i32 as f32 * half;
        f32::from_bits(magnitude.to_bits() | coded & 1 << 31)
    }

    #[inline(always)]
    fn lift(self, step: usize, before: Self, after: Self) -> Self {
        // Table F.4, the last of the analysis first.
        const FACTORS: [f32; 4] = [0.443_506_85, 0.882_911_1, -0.052_980_12, -1.586_134_3];
        self - FACTORS[step & 3] * (before + after)
    }

    #[inline(always)]
    fn scaled(self, high: bool) -> Self {
        const K: f32 = 1.230_174_1;
        self * if high { 1.0 / K } else { K }
    }

    fn alone(self) -> Self {
        self / 2.0
    }

    #[inline(always)]
    fn whole(self) -> i32 {
        self.round_ties_even() as i32
    }
}

/// What a tile's transform works on; kept from tile to tile.
#[derive(Debug, Default)]
pub(super) struct Planes<S> {
    /// All sub-bands, one after the other.
    coefficients: Vec<S>,
    /// A resolution level, and the one below it.
    level: Vec<S>,
    below: Vec<S>,
    /// Both halves of a row, with a sample before and after.
    low: Vec<S>,
    high: Vec<S>,
}

impl<S: Sample> Planes<S> {
    /// Makes room for the sub-bands of a tile. What is there is old: each code-block writes its own.
    pub(super) fn prepare(&mut self, tile: &Tile<'_>) {
        self.coefficients.resize(tile.bands.iter().map(|b| b.area.samples()).sum(), S::default());
    }

    pub(super) fn coefficients(&mut self, band: &Band) -> &mut [S] {
        self.coefficients.get_mut(band.offset..band.offset + band.area.samples()).unwrap_or_default()
    }

    /// All samples of the tile, row by row.
    pub(super) fn synthesize(&mut self, tile: &Tile<'_>) -> &mut Vec<S> {
        let lowest = tile.resolutions.first().map_or(0, |r| r.area.samples());
        self.level.clear();
        self.level.extend_from_slice(self.coefficients.get(..lowest).unwrap_or_default());
        for r in tile.resolutions.iter().skip(1) {
            std::mem::swap(&mut self.level, &mut self.below);
            self.level.resize(r.area.samples(), S::default());
            let bands = tile.bands.get(r.bands.0..r.bands.0 + r.bands.1).unwrap_or_default();
            self.step(r.area, bands);
        }
        &mut self.level
    }

    /// One level from the one below and three sub-bands (F.3.2).
    fn step(&mut self, area: Area, bands: &[Band]) {
        let (width, height) = (area.width() as usize, area.height() as usize);
        if width == 0 || height == 0 {
            return;
        }
        let (odd_x, odd_y) = (area.x0 as usize & 1, area.y0 as usize & 1);
        let low_width = (width + 1 - odd_x) / 2;
        let high_width = width - low_width;
        self.low.resize(low_width + 2, S::default());
        self.high.resize(high_width + 2, S::default());
        let band = |orientation: Orientation| {
            let offset = bands.iter().find(|b| b.orientation == orientation).map_or(0, |b| b.offset);
            self.coefficients.get(offset..).unwrap_or_default()
        };
        let across = band(Orientation::Across);
        let down = band(Orientation::Down);
        let diagonal = band(Orientation::Diagonal);
        for made in 0..height + S::STEPS {
            if made < height {
                let n = (made + odd_y) / 2 - if (made + odd_y) % 2 == 0 { odd_y } else { 0 };
                let (low, high, vertical_high) = if (made + odd_y) % 2 == 0 {
                    (self.below.as_slice(), across, false)
                } else {
                    (down, diagonal, true)
                };
                let low = low.get(n * low_width..(n + 1) * low_width).unwrap_or_default();
                let high = high.get(n * high_width..(n + 1) * high_width).unwrap_or_default();
                let both_ways = height > 1;
                for (to, from) in self.low.get_mut(1..).unwrap_or_default().iter_mut().zip(low) {
                    *to = from.scaled(false);
                }
                for (to, from) in self.high.get_mut(1..).unwrap_or_default().iter_mut().zip(high) {
                    *to = from.scaled(true);
                }
                let row = self.level.get_mut(made * width..(made + 1) * width).unwrap_or_default();
                match (width, odd_x) {
                    (1, 0) => row.iter_mut().zip(low).for_each(|(to, from)| *to = *from),
                    (1, _) => row.iter_mut().zip(high).for_each(|(to, from)| *to = from.alone()),
                    _ => across_row(&mut self.low, &mut self.high, odd_x, row),
                }
                if both_ways {
                    row.iter_mut().for_each(|s| *s = s.scaled(vertical_high));
                } else if odd_y == 1 {
                    row.iter_mut().for_each(|s| *s = s.alone());
                }
            }
            if height == 1 {
                break;
            }
            for step in 0..S::STEPS {
                let Some(row) = made.checked_sub(1 + step).filter(|r| *r < height) else { continue };
                if (row + odd_y) % 2 == step % 2 {
                    down_row(&mut self.level, width, height, row, step);
                }
            }
        }
    }
}

/// Lifts one row with the ones above and below; at an edge the other one counts twice.
#[inline(never)]
fn down_row<S: Sample>(level: &mut [S], width: usize, height: usize, row: usize, step: usize) {
    let (before, rest) = level.split_at_mut((row * width).min(level.len()));
    let (now, after) = rest.split_at_mut(width.min(rest.len()));
    let above = before.rchunks_exact(width).next();
    let below = if row + 1 < height { after.chunks_exact(width).next() } else { None };
    let (Some(above), Some(below)) = (above.or(below), below.or(above)) else { return };
    let mut lift = |step: usize| {
        for ((s, a), b) in now.iter_mut().zip(above).zip(below) {
            *s = s.lift(step, *a, *b);
        }
    };
    // The step as a constant in each loop.
    match step {
        0 => lift(0),
        1 => lift(1),
        2 => lift(2),
        _ => lift(3),
    }
}

/// Puts a row of two samples or more together. Both halves begin at index 1.
#[inline(never)]
fn across_row<S: Sample>(low: &mut [S], high: &mut [S], odd: usize, row: &mut [S]) {
    for step in 0..S::STEPS {
        // Neighbours of a low-pass sample n are high-pass ones n - 1 and n, or n and n + 1.
        let (to, from, first) =
            if step % 2 == 0 { (&mut *low, &mut *high, odd) } else { (&mut *high, &mut *low, 1 - odd) };
        mirror(from);
        let before = from.get(first..).unwrap_or_default();
        let after = from.get(first + 1..).unwrap_or_default();
        let end = to.len() - 1;
        let to = to.get_mut(1..end).unwrap_or_default();
        let mut lift = |step: usize| {
            for ((s, a), b) in to.iter_mut().zip(before).zip(after) {
                *s = s.lift(step, *a, *b);
            }
        };
        match step {
            0 => lift(0),
            1 => lift(1),
            2 => lift(2),
            _ => lift(3),
        }
    }
    let (first, second) = if odd == 0 { (&*low, &*high) } else { (&*high, &*low) };
    let first = first.get(1..).unwrap_or_default();
    let second = second.get(1..).unwrap_or_default();
    let (pairs, last) = row.as_chunks_mut::<2>();
    for ((pair, a), b) in pairs.iter_mut().zip(first).zip(second) {
        *pair = [*a, *b];
    }
    if let ([last], Some(a)) = (last, first.get(pairs.len())) {
        *last = *a;
    }
}

/// Symmetric continuation: what lies beyond an end is the sample next to it of the same half.
fn mirror<S: Sample>(half: &mut [S]) {
    if let [before, first, ..] = half {
        *before = *first;
    }
    if let [.., last, after] = half {
        *after = *last;
    }
}
