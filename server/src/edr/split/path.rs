//! By pieces of a path, each of which begins where the last one ends: the cell there is in both.

use super::super::path;
use super::super::plan::{Plan, Spot};
use super::super::shape::Vertex;
use super::{MOST, MOST_TEXT, Most, Split, finer};
use crate::opened::Opened;
use crate::problem::{Kind, Problem};

pub(super) fn of(plan: &Plan, lines: &[Vec<Vertex>], opened: &Opened, most: &Most) -> Option<Split> {
    let Some(Spot::Path(first)) = plan.spots.first() else { return None };
    // Steps of each sample, found once.
    let owns: Option<Vec<(&path::Path, path::Own)>> = (plan.parts.iter())
        .map(|part| match plan.spots.get(part.spot)? {
            Spot::Path(p) => Some((p, path::own(part, p).ok()?)),
            _ => None,
        })
        .collect();
    let owns = owns?;
    let looks = first.looks;
    let fits = |cuts: &Vec<u64>| {
        let ends = std::iter::once(&0).chain(cuts).zip(cuts.iter().chain([&looks]));
        ends.into_iter().all(|(from, to)| {
            let (mut cost, mut steps) = (super::Cost::default(), 0);
            for (part, (path, own)) in plan.parts.iter().zip(&owns) {
                // Of another grid as many looks of its own.
                let scale =
                    |at: u64| (u128::from(at) * u128::from(path.looks) / u128::from(looks.max(1))) as u64;
                let Ok(own) = path::cost_between(opened, part, path, own, scale(*from), scale(*to)) else {
                    return false;
                };
                cost.add(own);
                steps += part.steps();
            }
            most.has(&cost, steps)
        })
    };
    let parts = most.parts(&plan.cost, plan.steps());
    let finest = usize::try_from(looks).unwrap_or(usize::MAX);
    let (cuts, fine) = finer(parts, finest, |n| Some(cuts(looks, n)), fits)?;
    listed(lines, first.step_deg, &cuts, looks, !fine)
}

/// The refusal of a path of more looks than are made, of cells so far apart.
pub(in super::super) fn too_long(lines: &[Vec<Vertex>], step_deg: f64, most: u64) -> Problem {
    let looks = looks_of(lines, step_deg);
    let parts = usize::try_from(looks / most).unwrap_or(usize::MAX).saturating_add(1).clamp(2, MOST);
    let why = format!("a path of {looks} places to look at, four to a cell, of at most {most}");
    let problem = Problem::new(Kind::TooLarge, why);
    match listed(lines, step_deg, &cuts(looks, parts), looks, looks / parts as u64 > most) {
        Some(split) => split.refusal(problem),
        None => problem,
    }
}

/// Looks along a leg: places at most a step apart, but for the first.
pub(in super::super) fn looks_along(a: &Vertex, b: &Vertex, step_deg: f64) -> u64 {
    let length = (b.longitude - a.longitude).abs().max((b.latitude - a.latitude).abs());
    ((length / step_deg).ceil() as u64).max(1)
}

/// Looks are counted through all lines; between two of them is one that is of none.
pub(in super::super) fn looks_of(lines: &[Vec<Vertex>], step_deg: f64) -> u64 {
    let legs = lines.iter().flat_map(|l| l.iter().zip(l.iter().skip(1)));
    let all = legs.fold(0u64, |n, (a, b)| n.saturating_add(looks_along(a, b, step_deg)));
    all.saturating_add(lines.len().saturating_sub(1) as u64)
}

fn cuts(looks: u64, parts: usize) -> Vec<u64> {
    let mut out: Vec<u64> =
        (1..parts as u128).map(|i| (u128::from(looks) * i / parts as u128) as u64).collect();
    out.dedup();
    out.retain(|at| *at > 0 && *at < looks);
    out
}

fn listed(lines: &[Vec<Vertex>], step_deg: f64, cuts: &[u64], looks: u64, again: bool) -> Option<Split> {
    let mut cutter = Cutter { cuts, next: 0, pieces: Vec::new(), piece: Vec::new(), line: Vec::new() };
    let mut at = 0u64;
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            cutter.end_line();
            at += 1;
            cutter.pass(at);
        }
        for (leg, (a, b)) in line.iter().zip(line.iter().skip(1)).enumerate() {
            if leg == 0 {
                cutter.line.push(*a);
            }
            let count = looks_along(a, b, step_deg);
            cutter.leg(a, b, at, count);
            at = at.saturating_add(count);
        }
    }
    debug_assert!(at == looks || looks == u64::MAX);
    cutter.end_line();
    cutter.end_piece();
    let values: Vec<String> = cutter.pieces;
    let length: usize = values.iter().map(String::len).sum();
    let fits = values.len() >= 2 && length <= MOST_TEXT;
    fits.then(|| Split { parameter: "coords".to_owned(), values, again })
}

struct Cutter<'a> {
    /// Looks at which the path is cut, rising.
    cuts: &'a [u64],
    next: usize,
    pieces: Vec<String>,
    piece: Vec<Vec<Vertex>>,
    line: Vec<Vertex>,
}

impl Cutter<'_> {
    /// A leg that begins at a look and has `count` more.
    fn leg(&mut self, a: &Vertex, b: &Vertex, from: u64, count: u64) {
        while let Some(cut) = self.cuts.get(self.next).filter(|c| **c <= from.saturating_add(count)) {
            let done = cut.saturating_sub(from);
            let place = if done >= count { *b } else { between(a, b, done as f64 / count as f64) };
            if done > 0 {
                self.line.push(place);
            }
            self.end_line();
            self.end_piece();
            self.line.push(place);
            self.next += 1;
        }
        // A cut at its end has the end already.
        if self.line.last() != Some(b) || self.line.len() == 1 && a == b {
            self.line.push(*b);
        }
    }

    /// Cuts up to a look between two lines.
    fn pass(&mut self, at: u64) {
        while self.cuts.get(self.next).is_some_and(|c| *c <= at) {
            self.end_piece();
            self.next += 1;
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if line.len() >= 2 {
            self.piece.push(line);
        }
    }

    fn end_piece(&mut self) {
        let piece = std::mem::take(&mut self.piece);
        if !piece.is_empty() {
            self.pieces.push(wkt(&piece));
        }
    }
}

fn between(a: &Vertex, b: &Vertex, part: f64) -> Vertex {
    let mix = |a: f64, b: f64| a + (b - a) * part;
    Vertex {
        longitude: mix(a.longitude, b.longitude),
        latitude: mix(a.latitude, b.latitude),
        z: a.z.zip(b.z).map(|(a, b)| mix(a, b)),
        m: a.m.zip(b.m).map(|(a, b)| mix(a, b)),
    }
}

fn wkt(lines: &[Vec<Vertex>]) -> String {
    let vertex = |v: &Vertex| {
        let more = [v.z, v.m].into_iter().flatten().map(|n| format!(" {n}")).collect::<String>();
        format!("{} {}{more}", v.longitude, v.latitude)
    };
    let line = |l: &Vec<Vertex>| format!("({})", l.iter().map(vertex).collect::<Vec<_>>().join(","));
    let marks = match lines.iter().flatten().next() {
        Some(Vertex { z: Some(_), m: Some(_), .. }) => "ZM",
        Some(Vertex { z: Some(_), .. }) => "Z",
        Some(Vertex { m: Some(_), .. }) => "M",
        _ => "",
    };
    match lines {
        [one] => format!("LINESTRING{marks}{}", line(one)),
        _ => format!("MULTILINESTRING{marks}({})", lines.iter().map(line).collect::<Vec<_>>().join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::shape::{Shape, parse};
    use super::*;

    fn cut(text: &str, parts: usize) -> Vec<String> {
        let Shape::Lines(lines) = parse(text, "").unwrap() else { panic!("no lines") };
        let looks = looks_of(&lines, 1.0);
        listed(&lines, 1.0, &cuts(looks, parts), looks, false).map(|s| s.values).unwrap_or_default()
    }

    #[test]
    fn a_piece_begins_where_the_last_one_ends() {
        assert_eq!(cut("LINESTRING(0 0,10 0)", 2), ["LINESTRING(0 0,5 0)", "LINESTRING(5 0,10 0)"]);
        assert_eq!(
            cut("LINESTRINGZM(0 0 100 0,4 0 300 40,4 4 300 80)", 4),
            [
                "LINESTRINGZM(0 0 100 0,2 0 200 20)",
                "LINESTRINGZM(2 0 200 20,4 0 300 40)",
                "LINESTRINGZM(4 0 300 40,4 2 300 60)",
                "LINESTRINGZM(4 2 300 60,4 4 300 80)",
            ]
        );
    }

    #[test]
    fn lines_are_cut_where_one_ends_or_within_them() {
        // 2 + 1 + 2 looks.
        let two = "MULTILINESTRING((0 0,2 0),(50 0,52 0))";
        assert_eq!(cut(two, 2), ["LINESTRING(0 0,2 0)", "LINESTRING(50 0,52 0)"]);
        assert_eq!(
            cut("MULTILINESTRING((0 0,2 0),(50 0,58 0))", 2),
            ["MULTILINESTRING((0 0,2 0),(50 0,52 0))", "LINESTRING(52 0,58 0)"]
        );
        // A leg of no length is a look too.
        assert_eq!(
            cut("LINESTRINGM(0 0 1,0 0 2,0 0 3)", 2),
            ["LINESTRINGM(0 0 1,0 0 2)", "LINESTRINGM(0 0 2,0 0 3)"]
        );
    }

    #[test]
    fn a_path_around_the_earth_on_the_finest_grid_is_cut_too() {
        let Shape::Lines(lines) = parse("LINESTRING(-180 0,180 0,-180 1)", "").unwrap() else { panic!() };
        let problem = too_long(&lines, 1e-6, 1 << 20);
        assert_eq!(problem.kind.status().as_u16(), 413);
        assert!(problem.detail.contains("\"split\""), "{}", problem.detail);
    }
}
