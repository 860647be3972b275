//! The nearest of many places on the sphere: a k-d tree over unit vectors.
//!
//! Vectors, because they know neither poles nor the antimeridian; a tree, because
//! ocean meshes put half of their cells in one estuary. It takes 16 bytes a place.

use super::sphere::{chord, is_place, unit_vector};

/// Places in a leaf, which are compared one by one.
const LEAF: usize = 12;

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// float32: half a metre on the Earth.
    at: [f32; 3],
    id: u32,
}

/// A place found, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    pub id: u32,
    /// Chord on the unit sphere.
    pub chord: f64,
}

/// Places by where they are.
#[derive(Debug)]
pub struct Nearest {
    /// An implicit tree: the middle of each range splits it along an axis that changes with depth.
    entries: Vec<Entry>,
}

impl Nearest {
    /// From longitudes and latitudes in degrees; what is no place is left out.
    /// Identifiers count all of them.
    pub fn new(places: impl Iterator<Item = (f64, f64)>) -> Self {
        let mut entries: Vec<Entry> = places
            .zip(0u32..)
            .filter(|((lon, lat), _)| is_place(*lon, *lat))
            .map(|((lon, lat), id)| Entry { at: unit_vector(lon, lat).map(|v| v as f32), id })
            .collect();
        arrange(&mut entries, 0);
        Self { entries }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The nearest place.
    pub fn one(&self, longitude: f64, latitude: f64) -> Option<Neighbour> {
        self.one_within(unit_vector(longitude, latitude), None, f64::INFINITY)
    }

    /// The nearest place to a unit vector, unless it is farther than the chord `most`: what is far
    /// from all places, such as what lies beside a swath, is as far from very many of them.
    /// `guess` is one of the places that may be near, and its unit vector: found or not, it
    /// shortens the search.
    pub fn one_within(
        &self,
        vector: [f64; 3],
        guess: Option<(u32, [f64; 3])>,
        most: f64,
    ) -> Option<Neighbour> {
        // Places are kept in float32.
        let mut found = [Neighbour { id: u32::MAX, chord: most + 1e-6 }];
        if let Some((id, at)) = guess {
            // Rounded as it is kept, so that the very same distance is found again.
            let chord = chord(at.map(|v| f64::from(v as f32)), vector);
            if chord < found[0].chord {
                found[0] = Neighbour { id, chord };
            }
        }
        self.fill(vector, &mut found);
        found.first().copied().filter(|n| n.id != u32::MAX && n.chord.is_finite())
    }

    /// The `N` nearest places to a unit vector, nearest first; infinitely far where there are fewer.
    pub fn several<const N: usize>(&self, vector: [f64; 3]) -> [Neighbour; N] {
        let mut found = [Neighbour { id: u32::MAX, chord: f64::INFINITY }; N];
        self.fill(vector, &mut found);
        found
    }

    fn fill(&self, vector: [f64; 3], found: &mut [Neighbour]) {
        if !found.is_empty() && vector.iter().all(|v| v.is_finite()) {
            search(&self.entries, 0, vector, found);
        }
    }
}

fn arrange(entries: &mut [Entry], axis: usize) {
    if entries.len() <= LEAF {
        return;
    }
    let middle = entries.len() / 2;
    entries.select_nth_unstable_by(middle, |a, b| a.at[axis].total_cmp(&b.at[axis]));
    let (low, high) = entries.split_at_mut(middle);
    arrange(low, (axis + 1) % 3);
    arrange(&mut high[1..], (axis + 1) % 3);
}

fn search(entries: &[Entry], axis: usize, v: [f64; 3], found: &mut [Neighbour]) {
    if entries.len() <= LEAF {
        for e in entries {
            offer(e, v, found);
        }
        return;
    }
    let middle = entries.len() / 2;
    let (low, high) = entries.split_at(middle);
    offer(&high[0], v, found);
    let across = v[axis] - f64::from(high[0].at[axis]);
    let (near, far) = if across < 0.0 { (low, &high[1..]) } else { (&high[1..], low) };
    search(near, (axis + 1) % 3, v, found);
    // Once all are at the very place, the rest of those there need no look.
    let worst = found.last().map_or(0.0, |w| w.chord);
    if across.abs() <= worst && worst > 0.0 {
        search(far, (axis + 1) % 3, v, found);
    }
}

/// Keeps `found` sorted; the lower identifier at a tie.
fn offer(e: &Entry, v: [f64; 3], found: &mut [Neighbour]) {
    let n = Neighbour { id: e.id, chord: chord(e.at.map(f64::from), v) };
    let before = |a: &Neighbour| (a.chord, a.id) < (n.chord, n.id);
    let at = found.iter().take_while(|a| before(a)).count();
    if at < found.len() {
        found[at..].rotate_right(1);
        found[at] = n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A spiral of evenly spread places, a tenth of them missing.
    fn spiral(n: usize) -> Vec<(f64, f64)> {
        (0..n)
            .map(|i| {
                let z = 1.0 - (2.0 * i as f64 + 1.0) / n as f64;
                let lon = (i as f64 * 137.507_764) % 360.0;
                (lon, if i % 10 == 3 { f64::NAN } else { z.asin().to_degrees() })
            })
            .collect()
    }

    #[test]
    fn the_tree_finds_what_a_plain_search_finds_at_poles_and_antimeridian_too() {
        let places = spiral(5000);
        let tree = Nearest::new(places.iter().copied());
        assert_eq!(tree.len(), 4500);
        for (lon, lat) in [
            (0.0, 90.0),
            (77.0, -90.0),
            (180.0, 3.0),
            (-180.0, 3.0),
            (359.9, 45.0),
            (12.3, -67.8),
            (-540.0, 1.0),
        ] {
            let v = unit_vector(lon, lat);
            let mut plain: Vec<(f64, usize)> = places
                .iter()
                .enumerate()
                .filter(|(_, p)| p.1.is_finite())
                .map(|(i, p)| (chord(unit_vector(p.0, p.1), v), i))
                .collect();
            plain.sort_by(|a, b| a.0.total_cmp(&b.0));
            let five = tree.several::<5>(v);
            for (n, (d, _)) in five.iter().zip(&plain) {
                assert!((n.chord - d).abs() < 1e-6, "{lon} {lat}: {n:?}, expected {d}");
            }
            assert_eq!(tree.one(lon, lat).unwrap().id as usize, plain[0].1);
        }
    }

    #[test]
    fn a_guess_changes_nothing() {
        let places = spiral(3000);
        let tree = Nearest::new(places.iter().copied());
        let mut last = None;
        for i in 0..2000u32 {
            let (lon, lat) = (f64::from(i) * 0.37, (f64::from(i) * 0.083).sin() * 90.0);
            let found = tree.one_within(unit_vector(lon, lat), last, f64::INFINITY).unwrap();
            assert_eq!(Some(found), tree.one(lon, lat));
            let (x, y) = places[found.id as usize];
            last = Some((found.id, unit_vector(x, y)));
        }
    }

    #[test]
    fn what_is_farther_than_it_may_be_is_not_found_and_all_else_is() {
        let places = spiral(500);
        let tree = Nearest::new(places.iter().copied());
        for i in 0..500u32 {
            let (lon, lat) = (f64::from(i) * 0.71, (f64::from(i) * 0.031).sin() * 90.0);
            let found = tree.one(lon, lat).unwrap();
            let within = |most| tree.one_within(unit_vector(lon, lat), None, most);
            assert_eq!(within(found.chord), Some(found));
            assert_eq!(within(found.chord - 1e-5), None);
        }
    }

    #[test]
    fn none_is_nearest_where_there_is_no_place() {
        let none = Nearest::new([(f64::NAN, 0.0), (0.0, 91.0), (1e20, 1e20)].into_iter());
        assert!(none.is_empty());
        assert_eq!(none.one(0.0, 0.0), None);
        assert_eq!(Nearest::new([(0.0, 0.0)].into_iter()).one(f64::NAN, 0.0), None);
        // Any number of cells at one place.
        let same = Nearest::new(std::iter::repeat_n((5.0, 5.0), 1000));
        assert_eq!(same.one(5.0, 5.1).unwrap().id, 0);
    }
}
