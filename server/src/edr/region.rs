//! Which places lie in a polygon, a box or a circle, on longitude and latitude.
//!
//! A cell belongs to a region where its centre does, the region's edge included. Edges of
//! polygons are straight on longitude and latitude (as in GeoJSON, RFC 7946 section 3.1.1); a
//! region across the antimeridian runs on past 180 degrees.

use graticule_shared::grid::sphere::{chord, unit_vector, wrap_longitude};

use super::shape::Ring;

/// A degree that no longitude or latitude in float64 is known to.
const TINY: f64 = 1e-9;

#[derive(Debug, Clone, PartialEq)]
pub enum Region {
    Polygons(Vec<Vec<Ring>>),
    /// West, south, east, north; east is at least west.
    Box([f64; 4]),
    /// Within `angle` degrees of an arc of one of these places, and in this box (as of
    /// [`Region::Box`]) where there is one.
    Circles {
        centres: Vec<(f64, f64)>,
        angle_deg: f64,
        clip: Option<[f64; 4]>,
    },
}

impl Region {
    /// West, south, east, north; west may be greater than east.
    pub fn of_box(bbox: [f64; 4]) -> Self {
        Self::Box(unwound(bbox))
    }

    pub fn of_circles(centres: Vec<(f64, f64)>, angle_deg: f64, clip: Option<[f64; 4]>) -> Self {
        Self::Circles { centres, angle_deg, clip: clip.map(unwound) }
    }

    /// West, south, east, north, east at least west, and at most a turn apart where all longitudes count.
    pub fn bounds(&self) -> [f64; 4] {
        let around = |places: &mut dyn Iterator<Item = [f64; 4]>| {
            places.fold([f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY], |b, p| {
                [b[0].min(p[0]), b[1].min(p[1]), b[2].max(p[2]), b[3].max(p[3])]
            })
        };
        match self {
            Self::Box(b) => *b,
            Self::Polygons(p) => around(&mut p.iter().flatten().flatten().map(|(x, y)| [*x, *y, *x, *y])),
            Self::Circles { centres, angle_deg, clip } => {
                let [west, south, east, north] = around(&mut centres.iter().map(|(x, y)| {
                    let (south, north) = (y - angle_deg, y + angle_deg);
                    // Past a pole it has every longitude.
                    let wide = (angle_deg.to_radians().sin() / y.to_radians().cos()).asin().to_degrees();
                    let wide = if south <= -90.0 || north >= 90.0 || !wide.is_finite() {
                        180.0
                    } else {
                        wide + TINY
                    };
                    [x - wide, south.max(-90.0), x + wide, north.min(90.0)]
                }));
                match clip {
                    // Either has all of the longitudes that both have.
                    Some([w, s, e, n]) if e - w < east - west => [*w, south.max(*s), *e, north.min(*n)],
                    Some([_, s, _, n]) => [west, south.max(*s), east, north.min(*n)],
                    None => [west, south, east, north],
                }
            }
        }
    }

    /// The middle of its bounds.
    pub fn middle(&self) -> (f64, f64) {
        let [w, s, e, n] = self.bounds();
        ((w + e) / 2.0, (s + n) / 2.0)
    }

    /// The parameter that says it, and what was said, of several polygons or circles the first.
    pub fn given(&self) -> (&'static str, String) {
        let pairs =
            |ring: &[(f64, f64)]| ring.iter().map(|(x, y)| format!("{x} {y}")).collect::<Vec<_>>().join(",");
        match self {
            Self::Box([w, s, e, n]) => ("bbox", format!("{w},{s},{e},{n}")),
            Self::Polygons(p) => {
                let rings: Vec<String> =
                    p.iter().take(1).flatten().map(|r| format!("({})", pairs(r))).collect();
                ("coords", format!("POLYGON({})", rings.join(",")))
            }
            Self::Circles { centres, .. } => {
                ("coords", format!("POINT({})", pairs(centres.get(..1).unwrap_or_default())))
            }
        }
    }

    /// As it is looked into many times.
    pub fn sight(&self) -> Sight<'_> {
        match self {
            Self::Box(b) => Sight::Box(*b),
            Self::Polygons(polygons) => Sight::Edges(Edges::of(polygons)),
            Self::Circles { centres, angle_deg, clip } => Sight::Circles {
                centres: centres.iter().map(|(x, y)| unit_vector(*x, *y)).collect(),
                reach: 2.0 * (angle_deg.min(180.0).to_radians() / 2.0).sin() + 1e-12,
                clip: *clip,
            },
        }
    }

    /// Whether a place lies inside, whichever turn its longitude counts from.
    pub fn contains(&self, longitude: f64, latitude: f64) -> bool {
        self.sight().along(latitude).contains(longitude)
    }
}

/// A region with its edges in order.
pub enum Sight<'a> {
    Box([f64; 4]),
    Edges(Edges<'a>),
    /// Unit vectors, and the chord to the rim.
    Circles {
        centres: Vec<[f64; 3]>,
        reach: f64,
        clip: Option<[f64; 4]>,
    },
}

/// With its east beyond its west, past 180 where that is so.
fn unwound([west, south, east, north]: [f64; 4]) -> [f64; 4] {
    [west, south, if west > east { east + 360.0 } else { east }, north]
}

fn along_box([w, s, e, n]: &[f64; 4], latitude: f64) -> Along<'static> {
    let inside = latitude >= s - TINY && latitude <= n + TINY;
    Along::parts(if inside { vec![(*w, *e)] } else { vec![] })
}

impl Sight<'_> {
    /// What of a parallel lies inside.
    pub fn along(&self, latitude: f64) -> Along<'_> {
        match self {
            Self::Box(b) => along_box(b, latitude),
            Self::Edges(edges) => Along::parts(edges.along(latitude)),
            Self::Circles { centres, reach, clip } => Along::Circles {
                centres,
                reach: *reach,
                latitude,
                clip: clip.as_ref().map(|b| Box::new(along_box(b, latitude))),
            },
        }
    }

    /// How much is looked at for one parallel.
    pub fn effort(&self, latitude: f64) -> usize {
        match self {
            Self::Box(_) => 1,
            Self::Edges(edges) => edges.band(latitude).len(),
            Self::Circles { centres, .. } => centres.len(),
        }
    }
}

/// Edges of polygons by bands of latitude: the few of a band are all that a parallel meets.
pub struct Edges<'a> {
    /// Lower end, upper end, and which polygon.
    edges: Vec<(&'a (f64, f64), &'a (f64, f64), usize)>,
    south: f64,
    /// Bands in a degree.
    scale: f64,
    /// Where in `members` each band begins, and where the last ends.
    starts: Vec<usize>,
    members: Vec<u32>,
}

impl<'a> Edges<'a> {
    const MOST_BANDS: usize = 4096;

    fn of(polygons: &'a [Vec<Ring>]) -> Self {
        let mut edges = Vec::new();
        for (which, rings) in polygons.iter().enumerate() {
            for (a, b) in rings.iter().flat_map(|r| r.iter().zip(r.iter().skip(1))) {
                edges.push(if a.1 <= b.1 { (a, b, which) } else { (b, a, which) });
            }
        }
        let south = edges.iter().map(|e| e.0.1).fold(f64::INFINITY, f64::min);
        let north = edges.iter().map(|e| e.1.1).fold(f64::NEG_INFINITY, f64::max);
        let mut out = Self { edges, south, scale: 0.0, starts: vec![0], members: Vec::new() };
        // Fewer where edges are so long that each would be in many.
        let mut bands = out.edges.len().clamp(1, Self::MOST_BANDS);
        loop {
            out.scale = if north > south { bands as f64 / (north - south) } else { 0.0 };
            let all: usize = out.edges.iter().map(|e| out.reach(e, bands)).map(|(a, b)| b - a + 1).sum();
            if bands == 1 || all <= 8 * out.edges.len() {
                break;
            }
            bands /= 2;
        }
        let mut lists: Vec<Vec<u32>> = vec![Vec::new(); bands];
        for (i, edge) in out.edges.iter().enumerate() {
            let (first, last) = out.reach(edge, bands);
            lists[first..=last].iter_mut().for_each(|l| l.push(i as u32));
        }
        for list in lists {
            out.members.extend(list);
            out.starts.push(out.members.len());
        }
        out
    }

    fn band_of(&self, latitude: f64, bands: usize) -> usize {
        // A number below 0 or none is the first band.
        (((latitude - self.south) * self.scale) as usize).min(bands - 1)
    }

    fn reach(&self, edge: &(&(f64, f64), &(f64, f64), usize), bands: usize) -> (usize, usize) {
        (self.band_of(edge.0.1 - TINY, bands), self.band_of(edge.1.1 + TINY, bands))
    }

    fn band(&self, latitude: f64) -> &[u32] {
        let band = self.band_of(latitude, self.starts.len() - 1);
        &self.members[self.starts[band]..self.starts[band + 1]]
    }

    /// Pairs of longitudes, in no order, which may overlap.
    fn along(&self, latitude: f64) -> Vec<(f64, f64)> {
        let mut parts = Vec::new();
        let mut crossings: Vec<(usize, f64)> = Vec::new();
        for (low, high, polygon) in self.band(latitude).iter().map(|i| self.edges[*i as usize]) {
            if low.1 == high.1 {
                if (low.1 - latitude).abs() <= TINY {
                    parts.push((low.0.min(high.0), low.0.max(high.0)));
                }
            } else if low.1 <= latitude && latitude < high.1 {
                let x = low.0 + (latitude - low.1) / (high.1 - low.1) * (high.0 - low.0);
                crossings.push((polygon, x));
            } else if (high.1 - latitude).abs() <= TINY {
                // A topmost vertex is a part of the edge too.
                parts.push((high.0, high.0));
            }
        }
        // A ring is crossed an even number of times, so that pairs are of one polygon.
        crossings.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        parts.extend(crossings.as_chunks::<2>().0.iter().map(|[a, b]| (a.1, b.1)));
        parts
    }
}

/// What of a parallel lies inside a region.
pub enum Along<'a> {
    /// From west to east within -180 and 180, none touching another.
    Parts(Vec<(f64, f64)>),
    Circles {
        centres: &'a [[f64; 3]],
        reach: f64,
        latitude: f64,
        clip: Option<Box<Self>>,
    },
}

impl Along<'_> {
    fn parts(given: Vec<(f64, f64)>) -> Self {
        let mut parts = Vec::with_capacity(given.len() + 1);
        for (west, east) in given {
            if east - west >= 360.0 - TINY {
                return Self::Parts(vec![(-180.0, 180.0)]);
            }
            let from = wrap_longitude(west);
            let to = from + (east - west);
            parts.push((from, to.min(180.0)));
            if to > 180.0 {
                parts.push((-180.0, to - 360.0));
            }
        }
        parts.sort_by(|a, b| a.0.total_cmp(&b.0));
        parts.dedup_by(|next, last| {
            let touch = next.0 <= last.1 + TINY;
            if touch {
                last.1 = last.1.max(next.1);
            }
            touch
        });
        Self::Parts(parts)
    }

    /// Whether a place of this longitude lies inside, whichever turn that counts from.
    pub fn contains(&self, longitude: f64) -> bool {
        match self {
            Self::Parts(parts) => {
                let at = wrap_longitude(longitude);
                let there = |at: f64| {
                    let next = parts.partition_point(|(west, _)| *west - TINY <= at);
                    next > 0 && at <= parts[next - 1].1 + TINY
                };
                // The seam is in the west and in the east.
                there(at)
                    || (at <= -180.0 + TINY && there(at + 360.0))
                    || (at >= 180.0 - TINY && there(at - 360.0))
            }
            Self::Circles { centres, reach, latitude, clip } => {
                let at = unit_vector(longitude, *latitude);
                clip.as_ref().is_none_or(|c| c.contains(longitude))
                    && centres.iter().any(|c| chord(*c, at) <= *reach)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polygon(rings: &[&[(f64, f64)]]) -> Region {
        Region::Polygons(vec![rings.iter().map(|r| r.to_vec()).collect()])
    }

    #[test]
    fn edges_corners_and_holes_of_a_polygon() {
        let r = polygon(&[
            &[(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0), (0.0, 0.0)],
            &[(4.0, 4.0), (6.0, 4.0), (6.0, 6.0), (4.0, 6.0), (4.0, 4.0)],
        ]);
        for (x, y, inside) in [
            (5.0, 1.0, true),
            (0.0, 0.0, true),
            (10.0, 10.0, true),
            (10.0, 5.0, true),
            (3.0, 10.0, true),
            (5.0, 5.0, false),
            (4.0, 5.0, true),
            (-0.01, 5.0, false),
            (5.0, 10.01, false),
            (365.0, 1.0, true),
            (-355.0, 1.0, true),
        ] {
            assert_eq!(r.contains(x, y), inside, "{x} {y}");
        }
    }

    #[test]
    fn a_star_of_many_edges_is_what_each_of_its_rays_says() {
        // Edges reach from the middle to the rim, so that bands have many of them.
        let n = 2000;
        let ring: Vec<(f64, f64)> = (0..=n)
            .map(|i| {
                let turn = f64::from(i % n) / f64::from(n) * std::f64::consts::TAU;
                let r = if i % 2 == 0 { 40.0 } else { 20.0 };
                (170.0 + r * turn.cos(), r * turn.sin())
            })
            .collect();
        let region = polygon(&[&ring]);
        let sight = region.sight();
        for i in 0..2000 {
            let (x, y) = (120.0 + f64::from(i % 50) * 2.03, -45.0 + f64::from(i / 50) * 2.27);
            let crossed = ring
                .iter()
                .zip(&ring[1..])
                .filter(|(a, b)| (a.1 <= y) != (b.1 <= y) && a.0 + (y - a.1) / (b.1 - a.1) * (b.0 - a.0) > x);
            assert_eq!(sight.along(y).contains(x), crossed.count() % 2 == 1, "{x} {y}");
        }
    }

    #[test]
    fn polygons_that_overlap_are_together_what_either_has() {
        let square = |w: f64| vec![(w, 0.0), (w + 10.0, 0.0), (w + 10.0, 10.0), (w, 10.0), (w, 0.0)];
        let r = Region::Polygons(vec![vec![square(0.0)], vec![square(5.0)], vec![square(355.0)]]);
        let Along::Parts(parts) = r.sight().along(5.0) else { panic!("no parts") };
        assert_eq!(parts, [(-5.0, 15.0)]);
        assert!(r.contains(-4.0, 5.0) && r.contains(14.0, 5.0) && !r.contains(16.0, 5.0));
    }

    #[test]
    fn a_triangle_has_its_apex() {
        let r = polygon(&[&[(0.0, 0.0), (2.0, 0.0), (1.0, 1.0), (0.0, 0.0)]]);
        assert!(r.contains(1.0, 1.0) && r.contains(1.0, 0.5) && !r.contains(1.2, 0.9));
    }

    #[test]
    fn boxes_and_polygons_run_on_across_the_antimeridian() {
        let b = Region::of_box([170.0, -10.0, -170.0, 10.0]);
        assert!(b.contains(175.0, 0.0) && b.contains(-175.0, 0.0) && b.contains(185.0, 0.0));
        assert!(!b.contains(0.0, 0.0) && !b.contains(-169.0, 0.0));
        let p = polygon(&[&[(170.0, 0.0), (190.0, 0.0), (190.0, 5.0), (170.0, 5.0), (170.0, 0.0)]]);
        assert!(p.contains(-175.0, 1.0) && p.contains(180.0, 1.0) && !p.contains(0.0, 1.0));
    }

    #[test]
    fn a_circle_reaches_across_a_pole_and_the_antimeridian() {
        let r = Region::of_circles(vec![(179.0, 89.0)], 2.0, None);
        assert!(r.contains(-1.0, 89.5) && r.contains(-179.0, 88.5) && !r.contains(-1.0, 88.5));
        assert_eq!(r.bounds(), [-1.0, 87.0, 359.0, 90.0]);
        let r = Region::of_circles(vec![(180.0, 0.0)], 1.0, None);
        assert!(r.contains(-179.5, 0.0) && !r.contains(-178.9, 0.0));
        let r = Region::of_circles(vec![(180.0, 0.0)], 1.0, Some([179.5, 0.0, -179.9, 9.0]));
        assert!(r.contains(-179.95, 0.1) && r.contains(179.6, 0.1));
        assert!(!r.contains(-179.5, 0.1) && !r.contains(179.6, -0.1) && !r.contains(179.6, 1.1));
        assert_eq!(r.bounds(), [179.5, 0.0, 180.1, 1.0]);
    }
}
