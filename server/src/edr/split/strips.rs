//! By strips of a region between parallels.

use super::super::coverage::Domain;
use super::super::gather::Where;
use super::super::inside::{Chosen, MOST_CELLS};
use super::super::plan::{Plan, Spot};
use super::super::region::Region;
use super::super::shape::{MAX_CORNERS, Ring};
use super::{MOST_TEXT, Most, Split, finer, together};
use crate::opened::Opened;

/// Latitudes that are nearer to each other are one (of both sides of a cut a little counts).
const APART_DEG: f64 = 1e-8;

pub(super) fn of(plan: &Plan, region: &Region, opened: &Opened, most: &Most) -> Option<Split> {
    let spots: Option<Vec<Rows<'_>>> = (plan.spots.iter())
        .map(|s| if let Spot::Region(chosen) = s { Some(Rows::of(chosen)) } else { None })
        .collect();
    let spots = spots?;
    let mut latitudes: Vec<f64> = spots.iter().flat_map(Rows::latitudes).collect();
    latitudes.sort_unstable_by(f64::total_cmp);
    // Of more cells only some were found.
    let partial = plan
        .spots
        .iter()
        .any(|s| matches!(s, Spot::Region(c) if matches!(&c.at, Where::List(l) if l.len() >= MOST_CELLS)));
    let fits = |cuts: &Vec<f64>| {
        !partial
            && (0..=cuts.len()).all(|i| {
                let south = i.checked_sub(1).map_or(f64::NEG_INFINITY, |i| cuts[i]);
                let north = cuts.get(i).copied().unwrap_or(f64::INFINITY);
                let cells: Vec<Option<Where>> = spots.iter().map(|s| s.between(south, north)).collect();
                together(plan, opened, &cells).is_some_and(|(cost, steps)| most.has(&cost, steps))
            })
    };
    let parts = most.parts(&plan.cost, plan.steps());
    // What cannot be weighed is not cut finer than it seems to need.
    let finest = if partial { parts } else { latitudes.len() };
    let (cuts, fine) = finer(parts, finest, |n| cuts(&latitudes, n), fits)?;
    let (parameter, values) = listed(region, &cuts)?;
    Some(Split { parameter, values, again: !fine })
}

/// Two strips of a region of which these are latitudes of some cells.
pub(in super::super) fn through(region: &Region, mut latitudes: Vec<f64>) -> Option<Split> {
    latitudes.sort_unstable_by(f64::total_cmp);
    let (parameter, values) = listed(region, &cuts(&latitudes, 2)?)?;
    Some(Split { parameter, values, again: true })
}

/// Where to cut, so that each part has about as many of the cells and none is on a cut: fewer where
/// there are not so many latitudes.
fn cuts(latitudes: &[f64], parts: usize) -> Option<Vec<f64>> {
    let mut cuts: Vec<f64> = Vec::new();
    let mut from = 0;
    for i in 1..parts {
        let first = (latitudes.len() * i / parts).max(from + 1);
        // The next gap, which may be far where many lie on one parallel.
        let gap = (first..latitudes.len()).find(|at| latitudes[*at] - latitudes[at - 1] > APART_DEG);
        let Some(at) = gap else { break };
        cuts.push((latitudes[at - 1] + latitudes[at]) / 2.0);
        from = at;
    }
    (!cuts.is_empty()).then_some(cuts)
}

/// A region's cells from south to north.
enum Rows<'a> {
    Grid {
        chosen: &'a Chosen,
        latitude: &'a [f64],
        /// Cells that are asked for, of each row.
        counts: Vec<usize>,
    },
    Cells {
        latitude: &'a [f64],
        cells: &'a [u64],
        order: Vec<u32>,
    },
    None,
}

impl<'a> Rows<'a> {
    fn of(chosen: &'a Chosen) -> Self {
        match (&chosen.domain, &chosen.at) {
            (Domain::Grid { latitude, longitude, outside }, Where::Window { .. }) => {
                let wide = longitude.len().max(1);
                let counts = match outside {
                    None => vec![wide; latitude.len()],
                    Some(o) => o.chunks(wide).map(|row| row.iter().filter(|o| !**o).count()).collect(),
                };
                Self::Grid { chosen, latitude, counts }
            }
            (Domain::Cells { latitude, .. }, Where::List(cells)) => {
                let mut order: Vec<u32> = (0..cells.len().min(latitude.len()) as u32).collect();
                order.sort_unstable_by(|a, b| latitude[*a as usize].total_cmp(&latitude[*b as usize]));
                Self::Cells { latitude, cells, order }
            }
            _ => Self::None,
        }
    }

    /// Of all cells, a row of a grid being as many times in it as is enough to weigh it.
    fn latitudes(&self) -> Vec<f64> {
        match self {
            Self::Grid { latitude, counts, .. } => {
                let most = counts.iter().copied().max().unwrap_or(1).max(1);
                let times = |n: usize| if n == 0 { 0 } else { (n * 64 / most).max(1) };
                let each = latitude.iter().zip(counts);
                each.flat_map(|(y, n)| std::iter::repeat_n(*y, times(*n))).collect()
            }
            Self::Cells { latitude, .. } => latitude.to_vec(),
            Self::None => Vec::new(),
        }
    }

    fn between(&self, south: f64, north: f64) -> Option<Where> {
        match self {
            Self::Grid { chosen, latitude, .. } => {
                let Where::Window { rows, columns } = &chosen.at else { return None };
                let inside = rows.iter().zip(*latitude).filter(|(_, y)| (south..north).contains(*y));
                let rows: Vec<u64> = inside.map(|(r, _)| *r).collect();
                (!rows.is_empty()).then(|| Where::Window { rows, columns: columns.clone() })
            }
            Self::Cells { latitude, cells, order } => {
                let at = |y: f64| order.partition_point(|i| latitude[*i as usize] < y);
                let list: Vec<u64> = order[at(south)..at(north)].iter().map(|i| cells[*i as usize]).collect();
                (!list.is_empty()).then_some(Where::List(list))
            }
            Self::None => None,
        }
    }
}

/// The parameter that says a strip, and each of them.
fn listed(region: &Region, cuts: &[f64]) -> Option<(String, Vec<String>)> {
    let [west, south, east, north] = region.bounds();
    let (west, east) = match region {
        // What was asked for beside the circle stays so.
        Region::Circles { clip: Some([w, _, e, _]), .. } => (*w, *e),
        Region::Circles { .. } => {
            let turn = 360.0 * ((west + 180.0) / 360.0).floor();
            (west - turn, east - turn)
        }
        _ => (west, east),
    };
    let ends: Vec<f64> = std::iter::once(south).chain(cuts.iter().copied()).chain([north]).collect();
    let strips = ends.iter().zip(ends.iter().skip(1));
    match region {
        // Of a circle the box says how much of it.
        Region::Box(_) | Region::Circles { .. } => {
            Some(("bbox".to_owned(), strips.map(|(s, n)| format!("{west},{s},{east},{n}")).collect()))
        }
        Region::Polygons(polygons) => {
            let (mut values, mut length) = (Vec::new(), 0);
            for text in strips.map(|(s, n)| strip_of(polygons, *s, *n)).filter(|t| !t.is_empty()) {
                length += text.len();
                let corners = text.bytes().filter(|b| *b == b',').count();
                if length > MOST_TEXT || corners >= MAX_CORNERS {
                    return None;
                }
                values.push(text);
            }
            Some(("coords".to_owned(), values))
        }
    }
}

/// The part of polygons between two parallels, as WKT; empty where there is none.
fn strip_of(polygons: &[Vec<Ring>], south: f64, north: f64) -> String {
    let text = |ring: &Ring| {
        let places: Vec<String> = ring.iter().map(|(x, y)| format!("{x} {y}")).collect();
        format!("({})", places.join(","))
    };
    let cut = |ring: &Ring| {
        let ring = half(&half(ring, |y| y - south), |y| north - y);
        (ring.len() >= 4).then_some(ring)
    };
    let parts: Vec<String> = polygons
        .iter()
        .filter_map(|rings| {
            let mut rings = rings.iter();
            let outer = cut(rings.next()?)?;
            let all: Vec<String> =
                std::iter::once(outer).chain(rings.filter_map(cut)).map(|r| text(&r)).collect();
            Some(format!("({})", all.join(",")))
        })
        .collect();
    if parts.is_empty() { String::new() } else { format!("MULTIPOLYGON({})", parts.join(",")) }
}

/// The part of a ring where `side` of the latitude is not negative (I. Sutherland and
/// G. Hodgman, CACM 17:32, 1974), closed again. Parts that fall asunder are joined along the cut.
fn half(ring: &Ring, side: impl Fn(f64) -> f64) -> Ring {
    let mut out: Ring = Vec::new();
    for (a, b) in ring.iter().zip(ring.iter().skip(1)) {
        let (p, q) = (side(a.1), side(b.1));
        if p >= 0.0 {
            out.push(*a);
        }
        if (p >= 0.0) != (q >= 0.0) {
            let part = p / (p - q);
            out.push((a.0 + (b.0 - a.0) * part, a.1 + (b.1 - a.1) * part));
        }
    }
    if let Some(first) = out.first().copied() {
        out.push(first);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::shape::{Shape, parse};
    use super::*;

    #[test]
    fn strips_of_a_polygon_have_each_of_its_cells_once() {
        let text = "POLYGON((0 0,20 0,20 20,10 5,0 20,0 0),(4 2,6 2,6 4,4 4,4 2))";
        let Shape::Polygons(p) = parse(text, "").unwrap() else { panic!("no polygon") };
        let whole = Region::Polygons(p);
        let latitude: Vec<f64> = (0..40).map(|i| f64::from(i) * 0.5 + 0.25).collect();
        let longitude: Vec<f64> = (0..40).map(|i| f64::from(i) * 0.5 + 0.3).collect();
        let (parameter, values) = listed(&whole, &cuts(&latitude, 4).unwrap()).unwrap();
        assert_eq!((parameter.as_str(), values.len()), ("coords", 4));
        let strips: Vec<Region> = values
            .iter()
            .map(|t| match parse(t, "").unwrap() {
                Shape::Polygons(p) => Region::Polygons(p),
                other => panic!("{other:?}"),
            })
            .collect();
        for y in &latitude {
            for x in &longitude {
                let count = strips.iter().filter(|s| s.contains(*x, *y)).count();
                assert_eq!(count, usize::from(whole.contains(*x, *y)), "{x} {y}");
            }
        }
    }

    #[test]
    fn a_box_is_cut_between_rows() {
        let of = |latitudes: &[f64], n| cuts(latitudes, n);
        assert_eq!(
            listed(&Region::of_box([0.0, 0.0, 1.0, 3.0]), &of(&[0.0, 1.0, 2.0, 3.0], 2).unwrap()),
            Some(("bbox".to_owned(), vec!["0,0,1,1.5".to_owned(), "0,1.5,1,3".to_owned()]))
        );
        assert_eq!(of(&[1.0, 1.0, 1.0], 2), None);
        assert_eq!(of(&[0.0, 1.0], 5), Some(vec![0.5]));
        // Never between latitudes that are one, however many cells have it.
        let found = of(&[0.0, 1.0, 1.0, 1.0 + 1e-12, 2.0], 4).unwrap();
        assert!(found.len() == 2 && found[0] == 0.5 && (found[1] - 1.5).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn strips_of_a_circle_are_no_wider_than_its_box() {
        let circle = |x, clip| Region::of_circles(vec![(x, 0.0)], 45.0, clip);
        let parts = |r: &Region| listed(r, &[10.0]).unwrap().1;
        assert_eq!(parts(&circle(0.0, Some([0.0, -60.0, 120.0, 60.0])))[1], "0,10,120,45");
        let bounds =
            parts(&circle(500.0, None))[0].split(',').map(|v| v.parse().unwrap()).collect::<Vec<f64>>();
        assert!((-180.0..180.0).contains(&bounds[0]) && bounds[2] < 540.0, "{bounds:?}");
    }

    #[test]
    fn a_row_without_a_cell_in_the_region_is_no_part() {
        let chosen = Chosen {
            at: Where::Window { rows: vec![4, 5, 6], columns: vec![0, 1] },
            domain: Domain::Grid {
                latitude: vec![2.0, 1.0, 0.0],
                longitude: vec![0.0, 1.0],
                outside: Some(vec![true, true, false, true, false, false]),
            },
            areas: super::super::super::inside::Areas::Unknown,
        };
        let rows = Rows::of(&chosen);
        let mut latitudes = rows.latitudes();
        latitudes.sort_by(f64::total_cmp);
        assert_eq!(cuts(&latitudes, 3), Some(vec![0.5]));
        assert_eq!(
            rows.between(f64::NEG_INFINITY, 0.5),
            Some(Where::Window { rows: vec![6], columns: vec![0, 1] })
        );
    }
}
