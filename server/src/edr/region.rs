//! Which places lie in a polygon, a box or a circle, on longitude and latitude.
//!
//! A cell belongs to a region where its centre does, the region's edge included. Edges of
//! polygons are straight on longitude and latitude (as in GeoJSON, RFC 7946 section 3.1.1); a
//! region across the antimeridian runs on past 180 degrees.

use graticule_shared::grid::sphere::{chord, unit_vector};

use super::shape::Ring;

/// A degree that no longitude or latitude in float64 is known to.
const TINY: f64 = 1e-9;

#[derive(Debug, Clone, PartialEq)]
pub enum Region {
    Polygons(Vec<Vec<Ring>>),
    /// West, south, east, north; east is at least west.
    Box([f64; 4]),
    /// Within `angle` degrees of an arc of one of these places.
    Circles {
        centres: Vec<(f64, f64)>,
        angle_deg: f64,
    },
}

impl Region {
    /// West, south, east, north; west may be greater than east.
    pub fn of_box([west, south, east, north]: [f64; 4]) -> Self {
        Self::Box([west, south, if west > east { east + 360.0 } else { east }, north])
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
            Self::Circles { centres, angle_deg } => around(&mut centres.iter().map(|(x, y)| {
                let (south, north) = (y - angle_deg, y + angle_deg);
                // Past a pole it has every longitude.
                let wide = (angle_deg.to_radians().sin() / y.to_radians().cos()).asin().to_degrees();
                let wide =
                    if south <= -90.0 || north >= 90.0 || !wide.is_finite() { 180.0 } else { wide + TINY };
                [x - wide, south.max(-90.0), x + wide, north.min(90.0)]
            })),
        }
    }

    /// Parts of a parallel that lie inside: pairs of longitudes, in no order, which may overlap.
    /// A circle's are found place by place.
    pub fn along(&self, latitude: f64) -> Along<'_> {
        match self {
            Self::Circles { .. } => Along::Each(self),
            Self::Box([w, s, e, n]) => {
                let inside = latitude >= s - TINY && latitude <= n + TINY;
                Along::Parts(if inside { vec![(*w, *e)] } else { vec![] })
            }
            Self::Polygons(polygons) => {
                let mut parts = Vec::new();
                for rings in polygons {
                    let mut crossings: Vec<f64> = Vec::new();
                    for (a, b) in rings.iter().flat_map(|r| r.iter().zip(r.iter().skip(1))) {
                        let (low, high) = if a.1 <= b.1 { (a, b) } else { (b, a) };
                        if low.1 == high.1 {
                            if (low.1 - latitude).abs() <= TINY {
                                parts.push((low.0.min(high.0), low.0.max(high.0)));
                            }
                            continue;
                        }
                        if low.1 <= latitude && latitude < high.1 {
                            crossings.push(low.0 + (latitude - low.1) / (high.1 - low.1) * (high.0 - low.0));
                        } else if (high.1 - latitude).abs() <= TINY {
                            // A topmost vertex is a part of the edge too.
                            parts.push((high.0, high.0));
                        }
                    }
                    crossings.sort_by(f64::total_cmp);
                    parts.extend(crossings.as_chunks::<2>().0.iter().map(|[a, b]| (*a, *b)));
                }
                Along::Parts(parts)
            }
        }
    }

    /// Whether a place lies inside, whichever turn its longitude counts from.
    pub fn contains(&self, longitude: f64, latitude: f64) -> bool {
        self.along(latitude).contains(longitude, latitude)
    }
}

pub enum Along<'a> {
    Parts(Vec<(f64, f64)>),
    Each(&'a Region),
}

impl Along<'_> {
    pub fn contains(&self, longitude: f64, latitude: f64) -> bool {
        match self {
            Self::Parts(parts) => parts.iter().any(|(west, east)| {
                let turns = ((west - TINY - longitude) / 360.0).ceil();
                longitude + turns * 360.0 <= east + TINY
            }),
            Self::Each(Region::Circles { centres, angle_deg }) => {
                let reach = 2.0 * (angle_deg.min(180.0).to_radians() / 2.0).sin();
                let at = unit_vector(longitude, latitude);
                centres.iter().any(|(x, y)| chord(unit_vector(*x, *y), at) <= reach + 1e-12)
            }
            Self::Each(region) => region.contains(longitude, latitude),
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
        let r = Region::Circles { centres: vec![(179.0, 89.0)], angle_deg: 2.0 };
        assert!(r.contains(-1.0, 89.5) && r.contains(-179.0, 88.5) && !r.contains(-1.0, 88.5));
        assert_eq!(r.bounds(), [-1.0, 87.0, 359.0, 90.0]);
        let r = Region::Circles { centres: vec![(180.0, 0.0)], angle_deg: 1.0 };
        assert!(r.contains(-179.5, 0.0) && !r.contains(-178.9, 0.0));
    }
}
