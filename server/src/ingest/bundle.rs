//! Files that make one granule of a cube: a file, or a file for each variable
//! and each member, told by their names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use graticule_formats::{FormatError, Limits, Source};
use graticule_shared::time::CfTime;

use super::merge::{Merged, Named};
use super::select::Selected;
use super::stack::Stacked;
use super::{Failure, mesh, plan, transpose};
use crate::recipe::{Cube, Recipe, pattern::Captures};
use crate::store::Origin;

/// A file that is at hand.
#[derive(Debug, Clone)]
pub struct Input {
    pub path: PathBuf,
    /// What the person named, where it is not the path: a URL.
    pub named: Option<String>,
    pub origin: Option<Origin>,
    pub captures: Captures,
}

impl Input {
    pub fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), named: None, origin: None, captures: Captures::default() }
    }

    pub fn shown(&self) -> PathBuf {
        match &self.named {
            Some(address) => PathBuf::from(crate::acquire::url::shown(address)),
            None => self.path.clone(),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Bundle {
    /// By member, then by variable.
    pub files: Vec<Input>,
    /// Its chunks will be referred to: dimensions stay in the file's order.
    pub in_place: bool,
    cube: Cube,
}

impl Bundle {
    pub fn one(file: Input, cube: Cube) -> Self {
        Self { files: vec![file], in_place: false, cube }
    }

    /// Puts together what belongs together, in the order in which the first of each was given.
    pub fn group(files: Vec<Input>, recipe: &Recipe) -> Vec<Self> {
        if !recipe.source.pattern.as_ref().is_some_and(|p| p.merges()) {
            return files.into_iter().map(|f| Self::one(f, recipe.cube.clone())).collect();
        }
        let wanted = &recipe.cube.variables;
        let says = |f: &Input| f.captures.variable.clone().unwrap_or_default();
        // Where names say variables by the names that the recipe uses, others need not be opened.
        let by_name = files.iter().any(|f| wanted.contains(&says(f)));
        let mut out: Vec<Self> = Vec::new();
        // Where the group of a time and the rest of a name is.
        let mut places: BTreeMap<(Option<CfTime>, String), usize> = BTreeMap::new();
        for f in files {
            if by_name && !wanted.contains(&says(&f)) {
                continue;
            }
            let key = (f.captures.time, f.captures.rest.clone());
            let place = *places.entry(key).or_insert(out.len());
            match out.get_mut(place) {
                Some(b) => b.files.push(f),
                None => out.push(Self::one(f, recipe.cube.clone())),
            }
        }
        for b in &mut out {
            b.files.sort_by(|x, y| {
                let key = |f: &Input| (f.captures.member.clone(), f.captures.variable.clone());
                natural(&key(x).0, &key(y).0).then_with(|| key(x).1.cmp(&key(y).1))
            });
        }
        out
    }

    /// By the times in their names, where all have one.
    pub fn in_order(mut bundles: Vec<Self>) -> Vec<Self> {
        let time = |b: &Self| b.files.first().and_then(|f| f.captures.time);
        if bundles.iter().all(|b| time(b).is_some()) {
            bundles.sort_by_key(time);
        }
        bundles
    }

    pub fn has(&self, file: &str) -> bool {
        self.files.iter().any(|f| f.path.as_os_str() == file)
    }

    /// Names it in messages.
    pub fn shown(&self) -> PathBuf {
        self.files.first().map(Input::shown).unwrap_or_default()
    }

    /// # Errors
    /// A file that does not read, or does not go with the first.
    pub fn open(&self, limits: Limits) -> Result<Arc<dyn Source>, FormatError> {
        let share = (limits.cache_bytes / self.files.len().max(1)).max(1 << 20);
        let limits = Limits { cache_bytes: share, ..limits };
        let mut members: BTreeMap<usize, (String, Vec<Named>)> = BTreeMap::new();
        let mut seen: Vec<&str> = Vec::new();
        for f in &self.files {
            let member = f.captures.member.as_deref().unwrap_or_default();
            let number = seen.iter().position(|m| *m == member).unwrap_or_else(|| {
                seen.push(member);
                seen.len() - 1
            });
            let source: Arc<dyn Source> = Arc::from(graticule_formats::open(&f.path, limits)?);
            let entry = members.entry(number).or_insert_with(|| (member.to_owned(), Vec::new()));
            entry.1.push((f.path.display().to_string(), source));
        }
        let stacks = self.files.iter().any(|f| f.captures.member.is_some());
        let mut names = Vec::new();
        let mut sources: Vec<Named> = Vec::new();
        for (name, mut files) in members.into_values() {
            names.push(name);
            if files.len() == 1 {
                sources.append(&mut files);
            } else {
                let first = files.first().map(|f| f.0.clone()).unwrap_or_default();
                sources.push((first, Arc::new(Merged::new(files)?)));
            }
        }
        let file = sources.first().map(|s| s.0.clone()).unwrap_or_default();
        let mut whole: Arc<dyn Source> = if stacks {
            Arc::new(Stacked::members(&names, sources)?)
        } else {
            match sources.pop() {
                Some((_, only)) => only,
                None => return Err(FormatError::new("", "no files")),
            }
        };
        // A name's time is taken where the file itself has no dimension of time.
        let time = self.files.first().and_then(|f| f.captures.time);
        if let Some(time) = time.filter(|_| plan::time_dimensions(whole.header()).is_empty()) {
            let by_time = self.cube.concat.as_deref().is_none_or(|d| d == "time");
            if by_time && !whole.header().dimensions.iter().any(|d| d.name == "time") {
                whole = Arc::new(Stacked::at_time(time, (file.clone(), whole))?);
            }
        }
        if !self.in_place {
            whole = transpose::grids_last(mesh::placed(whole)?)?;
        }
        if self.cube.variables.is_empty()
            && self.cube.variable_attributes.is_empty()
            && self.cube.chunks.is_empty()
            && self.cube.shards.is_empty()
        {
            return Ok(whole);
        }
        Ok(Arc::new(Selected::new(&file, whole, &self.cube)?))
    }
}

/// Members in the order in which people count: r2 before r10.
fn natural(a: &Option<String>, b: &Option<String>) -> std::cmp::Ordering {
    let parts = |s: &Option<String>| -> Vec<(u64, String)> {
        let mut out = vec![(0u64, String::new())];
        for c in s.as_deref().unwrap_or_default().chars() {
            match (c.to_digit(10), out.last_mut()) {
                (Some(d), Some(last)) => last.0 = last.0.saturating_mul(10).saturating_add(u64::from(d)),
                (None, Some(last)) if last.0 == 0 => last.1.push(c),
                (None, _) => out.push((0, c.to_string())),
                (Some(_), None) => {}
            }
        }
        out
    };
    // Text first, then the number after it.
    let keyed = |s| parts(s).into_iter().map(|(n, t)| (t, n)).collect::<Vec<_>>();
    keyed(a).cmp(&keyed(b))
}

impl Failure {
    /// A recipe's file that its pattern does not fit.
    pub(crate) fn no_match(pattern: &str) -> Self {
        Self::new(format!("its name does not match the recipe's pattern {pattern:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_thousand_names_are_grouped_at_once_and_in_the_order_given() {
        let text = "[source]\npattern = \"{variable}_*.nc\"";
        let recipe = Recipe::parse(text, Path::new(".")).unwrap();
        let pattern = recipe.source.pattern.as_ref().unwrap();
        let names = (0..50_000).rev().flat_map(|n| ["b", "a"].map(|v| format!("{v}_{n}.nc")));
        let files: Vec<Input> = names
            .map(|n| Input { captures: pattern.read_name(&n).unwrap(), ..Input::of(Path::new(&n)) })
            .collect();
        let start = std::time::Instant::now();
        let bundles = Bundle::group(files, &recipe);
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
        assert_eq!(bundles.len(), 50_000);
        let of = |b: &Bundle| b.files.iter().map(|f| f.path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(of(&bundles[0]), ["a_49999.nc", "b_49999.nc"]);
        assert_eq!(of(&bundles[49_999]), ["a_0.nc", "b_0.nc"]);
    }

    #[test]
    fn members_are_counted_as_people_count() {
        let mut names = ["r10i1", "r2i1", "r1i2", "r1i1"].map(|n| Some(n.to_owned()));
        names.sort_by(natural);
        assert_eq!(names.map(Option::unwrap), ["r1i1", "r1i2", "r2i1", "r10i1"]);
    }
}
