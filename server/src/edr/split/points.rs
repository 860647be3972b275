//! By places, in the order in which they were asked for.

use super::super::gather::Where;
use super::super::plan::{Plan, Spot};
use super::{Most, Split, finer, together};
use crate::opened::Opened;
use crate::problem::{Kind, Problem};

pub(super) fn of(plan: &Plan, places: &[(f64, f64)], opened: &Opened, most: &Most) -> Option<Split> {
    if places.len() < 2 {
        return None;
    }
    // Of a point on several grids each has its cells.
    let some = |spot: &Spot, (from, to): (usize, usize)| {
        let Spot::Points(points) = spot else { return None };
        let there = points.get(from..to)?.iter().flatten();
        let cells: Vec<u64> = there.flat_map(|p| &p.cells).map(|(cell, _)| *cell).collect();
        (!cells.is_empty()).then_some(Where::List(cells))
    };
    let fits = |pieces: &Vec<(usize, usize)>| {
        pieces.iter().all(|piece| {
            let cells: Vec<Option<Where>> = plan.spots.iter().map(|s| some(s, *piece)).collect();
            together(plan, opened, &cells).is_some_and(|(cost, steps)| most.has(&cost, steps))
        })
    };
    let parts = most.parts(&plan.cost, plan.steps());
    let (pieces, fine) = finer(parts, places.len(), |n| Some(pieces(places.len(), n)), fits)?;
    let values = pieces.into_iter().filter_map(|(a, b)| places.get(a..b)).map(wkt).collect();
    Some(Split { parameter: "coords".to_owned(), values, again: !fine })
}

/// The refusal of more places than are looked for at once.
pub(in super::super) fn too_many(places: &[(f64, f64)], most: usize) -> Problem {
    let split = Split {
        parameter: "coords".to_owned(),
        values: places.chunks(most).map(wkt).collect(),
        again: false,
    };
    let why = format!("{} points, of at most {most} in one request", places.len());
    split.refusal(Problem::new(Kind::TooLarge, why))
}

fn pieces(count: usize, parts: usize) -> Vec<(usize, usize)> {
    let per = count.div_ceil(parts.max(1)).max(1);
    (0..count).step_by(per).map(|from| (from, (from + per).min(count))).collect()
}

fn wkt(places: &[(f64, f64)]) -> String {
    match places {
        [(x, y)] => format!("POINT({x} {y})"),
        _ => {
            let each: Vec<String> = places.iter().map(|(x, y)| format!("{x} {y}")).collect();
            format!("MULTIPOINT({})", each.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_each_place_once() {
        assert_eq!(pieces(5, 2), [(0, 3), (3, 5)]);
        assert_eq!(pieces(2, 1000), [(0, 1), (1, 2)]);
        assert_eq!(wkt(&[(1.0, 2.5)]), "POINT(1 2.5)");
        assert_eq!(wkt(&[(1.0, 2.5), (3.0, 4.0)]), "MULTIPOINT(1 2.5,3 4)");
    }
}
