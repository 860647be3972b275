//! Which fields are one variable.
//!
//! A variable is one parameter on one type of level, of one kind of statistic, on
//! one grid; its fields differ in member, time, lead time and level. Where two
//! fields still claim one place, what is left of their headers (the length of the
//! period, the generating process, the type of perturbation) separates them into
//! variables. Where nothing does, equal copies are one field, and different ones
//! refuse the variable: neither the first nor the last is right by its place.

use std::collections::HashMap;

use super::field::{Field, Parameter};
use super::level::LevelType;
use super::names::{self, Name};
use super::unpack::Packing;

/// What all fields of a variable share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) name: Name,
    pub(crate) parameter: Parameter,
    pub(crate) centre: u16,
    pub(crate) level: LevelType,
    pub(crate) step_type: &'static str,
    pub(crate) grid: usize,
    pub(crate) members: bool,
    pub(crate) kind: Vec<(&'static str, String)>,
    pub(crate) float64: bool,
    /// What separates fields that claim one place.
    pub(crate) split: Vec<(&'static str, i64)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) key: Key,
    /// Indices of its fields, in file order.
    pub(crate) fields: Vec<usize>,
    /// Fields that say again what another says.
    pub(crate) copies: usize,
}

/// Member, reference time, lead time, level: the place of a field in its variable.
pub(crate) type Place = (Option<i64>, i64, i64, [u64; 2]);

pub(crate) fn place(f: &Field) -> Place {
    let bits = |v: Option<f64>| v.unwrap_or(f64::NAN).to_bits();
    let p = &f.product;
    (p.member, f.reference, p.step, [bits(p.level.first), bits(p.level.second)])
}

/// A variable that is refused, and why.
pub(crate) type Refused = (String, String);

/// Sorts fields into variables, in the order of their first fields. `same` compares
/// the values of two fields.
pub(crate) fn group(fields: &[Field], same: &dyn Fn(usize, usize) -> bool) -> (Vec<Group>, Vec<Refused>) {
    let mut groups: Vec<Group> = Vec::new();
    let mut known: HashMap<Key, usize> = HashMap::new();
    for (i, f) in fields.iter().enumerate() {
        let p = &f.product;
        let key = Key {
            name: names::of(f),
            parameter: p.parameter,
            centre: f.centre,
            level: p.level.kind.clone(),
            step_type: p.step_type,
            grid: f.grid,
            members: p.member.is_some(),
            kind: p.kind.clone(),
            float64: f.encoded.packing == Packing::Ieee64,
            split: Vec::new(),
        };
        let at = *known.entry(key.clone()).or_insert_with(|| {
            groups.push(Group { key, fields: Vec::new(), copies: 0 });
            groups.len() - 1
        });
        if let Some(g) = groups.get_mut(at) {
            g.fields.push(i);
        }
    }
    let mut out = Vec::new();
    let mut refused = Vec::new();
    for g in groups {
        for part in separate(g, fields) {
            match without_copies(part, fields, same) {
                Ok(g) => out.push(g),
                Err(why) => refused.push(why),
            }
        }
    }
    (out, refused)
}

fn has_duplicates(indices: &[usize], fields: &[Field], also: &[usize]) -> bool {
    let mut seen = std::collections::HashSet::new();
    let splits = |f: &Field| also.iter().map(|s| SPLITS.get(*s).map_or(0, |s| (s.1)(f))).collect::<Vec<_>>();
    indices.iter().filter_map(|i| fields.get(*i)).any(|f| !seen.insert((place(f), splits(f))))
}

/// What separates fields that claim one place, and its name.
const SPLITS: [(&str, fn(&Field) -> i64); 3] = [
    ("period_seconds", |f| f.product.period),
    ("generatingProcess", |f| f.product.process[0]),
    ("perturbation", |f| f.product.process[1]),
];

fn separate(g: Group, fields: &[Field]) -> Vec<Group> {
    if !has_duplicates(&g.fields, fields, &[]) {
        return vec![g];
    }
    let ways: [&[usize]; 7] = [&[0], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]];
    // What separates nothing leaves the copies to be compared.
    let Some(way) = ways.into_iter().find(|w| !has_duplicates(&g.fields, fields, w)) else { return vec![g] };
    let mut parts: Vec<Group> = Vec::new();
    for i in g.fields {
        let Some(f) = fields.get(i) else { continue };
        let split: Vec<(&'static str, i64)> =
            way.iter().filter_map(|s| SPLITS.get(*s)).map(|(name, of)| (*name, of(f))).collect();
        match parts.iter_mut().find(|p| p.key.split == split) {
            Some(p) => p.fields.push(i),
            None => parts.push(Group { key: Key { split, ..g.key.clone() }, fields: vec![i], copies: 0 }),
        }
    }
    parts
}

fn without_copies(
    mut g: Group,
    fields: &[Field],
    same: &dyn Fn(usize, usize) -> bool,
) -> Result<Group, Refused> {
    let mut at: HashMap<Place, usize> = HashMap::new();
    let mut kept = Vec::with_capacity(g.fields.len());
    for i in &g.fields {
        let Some(f) = fields.get(*i) else { continue };
        match at.entry(place(f)) {
            std::collections::hash_map::Entry::Vacant(v) => {
                v.insert(*i);
                kept.push(*i);
            }
            std::collections::hash_map::Entry::Occupied(o) => {
                if !same(*o.get(), *i) {
                    let first = fields.get(*o.get()).map(Field::place).unwrap_or_default();
                    let why = format!(
                        "{} and {} claim the same place ({}) with different values; at most one can be right",
                        first,
                        f.place(),
                        describe(f)
                    );
                    return Err((format!("{} ({})", g.key.name.short, g.key.level.name), why));
                }
                g.copies += 1;
            }
        }
    }
    g.fields = kept;
    Ok(g)
}

fn describe(f: &Field) -> String {
    let p = &f.product;
    let mut text = format!(
        "reference time {}, step {} h",
        super::time::iso(f.reference),
        p.step as f64 / super::time::HOUR as f64
    );
    if let Some(v) = p.level.value() {
        text += &format!(", {} {v} {}", p.level.kind.name, p.level.kind.units);
    }
    if let Some(n) = p.member {
        text += &format!(", member {n}");
    }
    text
}

/// What may tell variables of one short name apart, in words.
fn facets(k: &Key) -> [String; 6] {
    let kind: Vec<&str> = k.kind.iter().map(|(_, v)| v.as_str()).collect();
    let split = k.split.iter().map(|(n, v)| match *n {
        "period_seconds" if v % 3600 == 0 => format!("{}h", v / 3600),
        "period_seconds" => format!("{}min", v / 60),
        other => format!("{other}{v}"),
    });
    [
        k.level.name.to_string(),
        k.step_type.to_owned(),
        kind.join("_"),
        if k.members { "members" } else { "" }.to_owned(),
        split.collect::<Vec<_>>().join("_"),
        names::centre(k.centre).map_or(k.centre.to_string(), |c| c.0.to_owned()),
    ]
}

/// A name for each group: the short name where it is the only one, else with what
/// tells them apart. `taken` are names that coordinates have.
pub(crate) fn names(groups: &[Group], taken: &[String]) -> Vec<String> {
    // Of each short name the facets of its first group, and in which of them others differ.
    let mut differing: HashMap<&str, ([String; 6], [bool; 6])> = HashMap::new();
    for g in groups {
        let mine = facets(&g.key);
        let (first, differ) =
            differing.entry(&g.key.name.short).or_insert_with(|| (mine.clone(), [false; 6]));
        for ((d, a), b) in differ.iter_mut().zip(first).zip(&mine) {
            *d |= a != b;
        }
    }
    let mut used: HashMap<String, usize> = taken.iter().map(|n| (n.clone(), 1)).collect();
    let mut out = Vec::new();
    for g in groups {
        let mut name = g.key.name.short.clone();
        if let Some((_, differ)) = differing.get(name.as_str()) {
            for (facet, _) in facets(&g.key).iter().zip(differ).filter(|(f, d)| **d && !f.is_empty()) {
                name = format!("{name}_{}", names::safe(facet));
            }
        }
        let mut unique = name.clone();
        while let Some(n) = used.get_mut(&unique) {
            *n += 1;
            unique = format!("{name}_{n}");
        }
        used.insert(unique.clone(), 1);
        out.push(unique);
    }
    out
}
