//! The box in degrees that places lie in, the short way around.

use super::sphere::{is_place, wrap_longitude};

const BINS: usize = 3600;

/// Gathers places.
#[derive(Debug, Clone)]
pub struct Extent {
    south: f64,
    north: f64,
    /// Least and greatest longitude in each tenth of a degree.
    bins: Vec<Option<(f64, f64)>>,
    count: usize,
}

impl Default for Extent {
    fn default() -> Self {
        Self { south: f64::INFINITY, north: f64::NEG_INFINITY, bins: vec![None; BINS], count: 0 }
    }
}

impl Extent {
    /// Takes a place; what is none is left out.
    pub fn add(&mut self, longitude: f64, latitude: f64) {
        if !is_place(longitude, latitude) {
            return;
        }
        self.count += 1;
        self.south = self.south.min(latitude.max(-90.0));
        self.north = self.north.max(latitude.min(90.0));
        // A pole has no longitude.
        if latitude.abs() >= 90.0 - 1e-9 {
            return;
        }
        let lon = wrap_longitude(longitude);
        let bin = (((lon + 180.0) * BINS as f64 / 360.0) as usize).min(BINS - 1);
        let (low, high) = self.bins[bin].unwrap_or((lon, lon));
        self.bins[bin] = Some((low.min(lon), high.max(lon)));
    }

    /// A pole lies within: all longitudes do.
    pub fn add_pole(&mut self, latitude: f64) {
        self.count += 1;
        self.south = self.south.min(latitude);
        self.north = self.north.max(latitude);
        for (i, bin) in self.bins.iter_mut().enumerate() {
            let lon = i as f64 * 360.0 / BINS as f64 - 180.0;
            bin.get_or_insert((lon, lon));
        }
    }

    /// West, south, east, north; west is greater than east across the antimeridian.
    /// `None` where there was no place.
    pub fn bbox(&self) -> Option<[f64; 4]> {
        if self.count == 0 {
            return None;
        }
        let filled: Vec<(f64, f64)> = self.bins.iter().copied().flatten().collect();
        let (Some(first), Some(last)) = (filled.first(), filled.last()) else {
            return Some([-180.0, self.south, 180.0, self.north]);
        };
        // The widest gap lies outside; the next widest tells how close places usually lie.
        let mut gap = (first.0 + 360.0 - last.1, first.0, last.1);
        let mut second = 0.0;
        for pair in filled.windows(2) {
            let width = pair[1].0 - pair[0].1;
            if width > gap.0 {
                second = gap.0;
                gap = (width, pair[1].0, pair[0].1);
            } else {
                second = f64::max(second, width);
            }
        }
        let around = gap.0 < 45.0 && filled.len() > 7 && gap.0 <= 1.5 * second + 0.2;
        let (west, east) = if around { (-180.0, 180.0) } else { (gap.1, gap.2) };
        Some([west, self.south, east, self.north])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lons: impl Iterator<Item = f64>) -> [f64; 4] {
        let mut e = Extent::default();
        lons.for_each(|l| e.add(l, 10.0));
        e.bbox().unwrap()
    }

    #[test]
    fn the_box_is_the_short_way_around() {
        assert_eq!(of((0..21).map(|i| 170.0 + f64::from(i))), [170.0, 10.0, -170.0, 10.0]);
        assert_eq!(of((0..21).map(|i| -10.0 + f64::from(i))), [-10.0, 10.0, 10.0, 10.0]);
        assert_eq!(of((0..360).map(|i| f64::from(i) + 0.5)), [-180.0, 10.0, 180.0, 10.0]);
        assert_eq!(of((0..72).map(|i| f64::from(i) * 5.0)), [-180.0, 10.0, 180.0, 10.0]);
        // Nearly all the way around is not all the way around.
        assert_eq!(of((0..341).map(|i| f64::from(i) - 170.0)), [-170.0, 10.0, 170.0, 10.0]);
    }

    #[test]
    fn a_pole_has_every_longitude_and_no_place_has_no_box() {
        let mut e = Extent::default();
        assert_eq!(e.bbox(), None);
        e.add(f64::NAN, 1.0);
        e.add(3.0, 1e20);
        assert_eq!(e.bbox(), None);
        e.add(12.0, 70.0);
        e.add_pole(90.0);
        assert_eq!(e.bbox(), Some([-180.0, 70.0, 180.0, 90.0]));
    }
}
