//! Fields arranged as CF says: dimensions, coordinates, and for each variable
//! which field lies at which place.
//!
//! **Time.** Each field has a reference time and a lead time; together they are the
//! time that it is valid for. If no two (reference, lead) pairs of the file are
//! valid at the same time, or there is only one lead or one reference time, there
//! is one dimension `time`, the time of validity, with `forecast_reference_time`
//! and `step` beside it. Otherwise there are two, `time` (the reference time) and
//! `step`, and `valid_time` is a coordinate over both. A statistic over a period is
//! valid at the period's end.
//!
//! **Levels.** Each variable has the levels that it has; variables with the same
//! levels share a dimension, other sets of levels of the same type are numbered:
//! `isobaricInhPa`, `isobaricInhPa_2`. One level is a scalar coordinate. Times and
//! lead times are shared by all variables of a file.
//!
//! **Holes.** A place without a field is NaN.

use std::collections::{BTreeMap, BTreeSet};

use super::field::Field;
use super::groups::Group;
use super::level::LevelType;

/// No field.
pub(crate) const HOLE: u32 = u32::MAX;
/// Places of all variables together.
pub(super) const MOST_PLACES: usize = 1 << 24;
/// Places that one field may stand for: a file of a few fields is no cube of millions.
const MOST_PLACES_PER_FIELD: usize = 4096;

/// The dimension(s) of time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Times {
    /// One axis of (reference, lead), by time of validity.
    Valid(Vec<(i64, i64)>),
    /// Reference times, and leads.
    Forecast(Vec<i64>, Vec<i64>),
}

impl Times {
    fn of<'f>(fields: impl Iterator<Item = &'f Field>) -> Self {
        let pairs: BTreeSet<(i64, i64)> = fields.map(|f| (f.reference, f.product.step)).collect();
        let references: BTreeSet<i64> = pairs.iter().map(|p| p.0).collect();
        let steps: BTreeSet<i64> = pairs.iter().map(|p| p.1).collect();
        let mut valid: Vec<(i64, i64)> = pairs.into_iter().collect();
        valid.sort_by_key(|(r, s)| r.saturating_add(*s));
        let unique = valid.windows(2).all(|w| match w {
            [a, b] => a.0.saturating_add(a.1) != b.0.saturating_add(b.1),
            _ => true,
        });
        if unique {
            Times::Valid(valid)
        } else {
            Times::Forecast(references.into_iter().collect(), steps.into_iter().collect())
        }
    }

    fn dims(&self) -> Vec<usize> {
        match self {
            Times::Valid(v) => vec![v.len()],
            Times::Forecast(r, s) => vec![r.len(), s.len()],
        }
    }

    /// Flat index over [`Times::dims`].
    fn index(&self, f: &Field) -> Option<usize> {
        match self {
            Times::Valid(v) => {
                let at = f.reference.saturating_add(f.product.step);
                v.binary_search_by_key(&at, |(r, s)| r.saturating_add(*s)).ok()
            }
            Times::Forecast(r, s) => {
                Some(r.binary_search(&f.reference).ok()? * s.len() + s.binary_search(&f.product.step).ok()?)
            }
        }
    }
}

/// A level or layer: first and second surface.
pub(crate) type Bounds = (Option<f64>, Option<f64>);

/// The levels of one or more variables.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Levels {
    pub(crate) kind: LevelType,
    /// From the ground up; at least one.
    pub(crate) values: Vec<Bounds>,
}

impl Levels {
    fn of(g: &Group, fields: &[Field]) -> Self {
        let mut values: Vec<Bounds> = Vec::new();
        let all = g.fields.iter().filter_map(|i| fields.get(*i)).map(|f| &f.product.level);
        let mut seen = BTreeSet::new();
        for l in all {
            let bits = |v: Option<f64>| v.map(f64::to_bits);
            if seen.insert((bits(l.first), bits(l.second))) {
                values.push((l.first, l.second));
            }
        }
        // Pressure falls upwards.
        let falls = g.key.level.standard_name == "air_pressure";
        let key = |b: &Bounds| match *b {
            (Some(a), Some(b)) => (a + b) / 2.0,
            (a, b) => a.or(b).unwrap_or(0.0),
        };
        values.sort_by(|a, b| {
            key(a).total_cmp(&key(b)).then(a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal))
        });
        if falls {
            values.reverse();
        }
        Self { kind: g.key.level.clone(), values }
    }
}

/// One variable's places.
#[derive(Debug)]
pub(crate) struct Places {
    /// Of `Cube::members`; `None` without members.
    pub(crate) members: Option<usize>,
    /// Of `Cube::levels`.
    pub(crate) levels: usize,
    /// Lengths of the dimensions before the grid's.
    pub(crate) outer: Vec<u64>,
    /// Index of the field at each place, in C order; [`HOLE`] for none.
    pub(crate) fields: Vec<u32>,
    pub(crate) holes: usize,
}

pub(crate) struct Cube {
    pub(crate) times: Times,
    pub(crate) members: Vec<Vec<i64>>,
    pub(crate) levels: Vec<Levels>,
    /// One per group; an error where a variable would be mostly holes.
    pub(crate) places: Vec<Result<Places, String>>,
}

impl Cube {
    pub(crate) fn new(groups: &[Group], fields: &[Field]) -> Self {
        let mut cube = Cube {
            times: Times::of(groups.iter().flat_map(|g| &g.fields).filter_map(|i| fields.get(*i))),
            members: Vec::new(),
            levels: Vec::new(),
            places: Vec::new(),
        };
        let mut total = 0;
        for g in groups {
            let places = cube.arrange(g, fields, &mut total);
            cube.places.push(places);
        }
        cube
    }

    fn arrange(&mut self, g: &Group, fields: &[Field], total: &mut usize) -> Result<Places, String> {
        let mine: Vec<(usize, &Field)> =
            g.fields.iter().filter_map(|i| Some((*i, fields.get(*i)?))).collect();
        let members = g.key.members.then(|| {
            let set: BTreeSet<i64> = mine.iter().filter_map(|(_, f)| f.product.member).collect();
            shared(&mut self.members, set.into_iter().collect())
        });
        let levels = shared(&mut self.levels, Levels::of(g, fields));
        let number = members.and_then(|m| self.members.get(m)).map_or(&[][..], Vec::as_slice);
        let heights = self.levels.get(levels).map_or(&[][..], |l| &l.values);
        let time = self.times.dims();
        let steps: usize = time.iter().product();
        let count = number
            .len()
            .max(1)
            .checked_mul(steps)
            .and_then(|n| n.checked_mul(heights.len()))
            .filter(|n| *n / MOST_PLACES_PER_FIELD <= mine.len() && *total + n <= MOST_PLACES)
            .ok_or_else(|| {
                format!(
                    "{} fields in {} members, {steps} times and {} levels: nearly all of the cube would be empty",
                    mine.len(),
                    number.len().max(1),
                    heights.len()
                )
            })?;
        *total += count;
        let level_at: BTreeMap<[Option<u64>; 2], usize> = heights
            .iter()
            .enumerate()
            .map(|(i, (a, b))| ([a.map(f64::to_bits), b.map(f64::to_bits)], i))
            .collect();
        let mut places = vec![HOLE; count];
        for (i, f) in &mine {
            let m =
                f.product.member.filter(|_| members.is_some()).and_then(|m| number.binary_search(&m).ok());
            let l = &f.product.level;
            let level = level_at.get(&[l.first.map(f64::to_bits), l.second.map(f64::to_bits)]);
            let (Some(t), Some(level)) = (self.times.index(f), level) else { continue };
            let at = (m.unwrap_or(0) * steps + t) * heights.len() + level;
            if let Some(place) = places.get_mut(at) {
                *place = *i as u32;
            }
        }
        let holes = places.iter().filter(|p| **p == HOLE).count();
        let mut outer: Vec<u64> = Vec::new();
        if number.len() > 1 {
            outer.push(number.len() as u64);
        }
        outer.extend(time.iter().map(|n| *n as u64));
        if heights.len() > 1 {
            outer.push(heights.len() as u64);
        }
        Ok(Places { members, levels, outer, fields: places, holes })
    }
}

/// The index of `item`, added where it is new.
fn shared<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|i| *i == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}
