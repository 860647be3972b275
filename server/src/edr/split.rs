//! Parts of a request that is too much, each of which can be answered: by time or level where
//! there are steps enough, else by parameter, else by strips between parallels.

use graticule_shared::cube::Role;

use super::cost::Cost;
use super::coverage::{Domain, Labels, Selected};
use super::region::Region;
use super::shape::Ring;

/// Parts that are listed.
const MOST: usize = 1000;
/// Bytes of the polygons that are listed: long edges are in each of their strips.
const MOST_TEXT: usize = 4 << 20;

/// A parameter, and the values of it that together are what was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    pub parameter: String,
    pub values: Vec<String>,
}

/// Along the longest dimension of time or height that has as many steps as there are to be parts.
/// `given` are the dimensions that were chosen by their own names.
pub fn by_steps(dims: &[Selected], given: &[(String, String)], parts: usize) -> Option<Split> {
    let dim = dims
        .iter()
        .filter(|d| matches!(d.role, Role::T | Role::Z) && d.indices.len() >= parts.max(2))
        .max_by_key(|d| (d.role == Role::T, d.indices.len()))?;
    let per = (dim.indices.len() / parts.max(1)).max(1);
    // What lies between two steps is of the part too: only what follows each other is an interval.
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (i, index) in dim.indices.iter().enumerate() {
        match runs.last_mut() {
            Some((from, to))
                if i - *from < per && dim.indices.get(*to).is_some_and(|before| before + 1 == *index) =>
            {
                *to = i;
            }
            _ => runs.push((i, i)),
        }
    }
    if runs.len() > MOST {
        return None;
    }
    let part = |text: &dyn Fn(usize) -> String, (from, to): (usize, usize)| {
        if from == to { text(from) } else { format!("{}/{}", text(from), text(to)) }
    };
    let (own, values) = match &dim.labels {
        Labels::Times { values, .. } => {
            let text = |i: usize| values.get(i).cloned().unwrap_or_else(|| "..".to_owned());
            ("datetime", runs.into_iter().map(|r| part(&text, r)).collect())
        }
        Labels::Numbers(values) => {
            let text = |i: usize| values.get(i).copied().unwrap_or_default().to_string();
            ("z", runs.into_iter().map(|r| part(&text, r)).collect())
        }
    };
    let named = given.iter().any(|(name, _)| *name == dim.name);
    let parameter = if named { format!("dim:{}", dim.name) } else { own.to_owned() };
    Some(Split { parameter, values })
}

/// One by one, where each alone is not too much.
pub fn by_parameters(costs: &[(String, Cost)], most_values: u64) -> Option<Split> {
    let fits = costs.len() > 1 && costs.iter().all(|(_, c)| !c.is_too_much(most_values));
    fits.then(|| Split {
        parameter: "parameter-name".to_owned(),
        values: costs.iter().take(MOST).map(|(name, _)| name.clone()).collect(),
    })
}

/// Strips with about the same number of cells, cut between the cells' latitudes.
pub fn by_strips(region: &Region, domain: &Domain, parts: usize) -> Option<Split> {
    let mut latitudes: Vec<f64> = match domain {
        // Each row has as many cells as another.
        Domain::Grid { latitude, .. } => latitude.clone(),
        Domain::Cells { latitude, .. } => latitude.clone(),
        Domain::Point { .. } | Domain::Path { .. } => return None,
    };
    latitudes.sort_by(f64::total_cmp);
    let parts = parts.clamp(2, MOST);
    let mut cuts: Vec<f64> = Vec::new();
    for i in 1..parts {
        let at = latitudes.len() * i / parts;
        let (Some(below), Some(above)) =
            (at.checked_sub(1).and_then(|b| latitudes.get(b)), latitudes.get(at))
        else {
            continue;
        };
        if above > below {
            cuts.push((below + above) / 2.0);
        }
    }
    cuts.dedup();
    if cuts.is_empty() {
        return None;
    }
    let [west, south, east, north] = region.bounds();
    let ends: Vec<f64> = std::iter::once(south).chain(cuts).chain([north]).collect();
    let strips = ends.iter().zip(ends.iter().skip(1));
    match region {
        Region::Box(_) => Some(Split {
            parameter: "bbox".to_owned(),
            values: strips.map(|(s, n)| format!("{west},{s},{east},{n}")).collect(),
        }),
        Region::Polygons(polygons) => {
            let (mut values, mut length) = (Vec::new(), 0);
            for text in strips.map(|(s, n)| strip_of(polygons, *s, *n)).filter(|t| !t.is_empty()) {
                length += text.len();
                if length > MOST_TEXT {
                    return None;
                }
                values.push(text);
            }
            Some(Split { parameter: "coords".to_owned(), values })
        }
        Region::Circles { .. } => None,
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
    use super::super::shape::{Shape, parse};
    use super::*;

    #[test]
    fn strips_of_a_polygon_have_each_of_its_cells_once() {
        let text = "POLYGON((0 0,20 0,20 20,10 5,0 20,0 0),(4 2,6 2,6 4,4 4,4 2))";
        let Shape::Polygons(p) = parse(text, "").unwrap() else { panic!("no polygon") };
        let whole = Region::Polygons(p);
        let latitude: Vec<f64> = (0..40).map(|i| f64::from(i) * 0.5 + 0.25).collect();
        let longitude: Vec<f64> = (0..40).map(|i| f64::from(i) * 0.5 + 0.3).collect();
        let domain = Domain::Grid { latitude: latitude.clone(), longitude: longitude.clone(), outside: None };
        let split = by_strips(&whole, &domain, 4).unwrap();
        assert_eq!((split.parameter.as_str(), split.values.len()), ("coords", 4));
        let strips: Vec<Region> = split
            .values
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
        let domain = Domain::Grid { latitude: vec![3.0, 2.0, 1.0, 0.0], longitude: vec![0.0], outside: None };
        let split = by_strips(&Region::of_box([0.0, 0.0, 1.0, 3.0]), &domain, 2).unwrap();
        assert_eq!(split.values, ["0,0,1,1.5", "0,1.5,1,3"]);
        assert!(
            by_strips(
                &Region::of_box([0.0, 0.0, 1.0, 3.0]),
                &Domain::Point { longitude: 0.0, latitude: 0.0 },
                2
            )
            .is_none()
        );
    }
}
