//! What to do with a granule that a collection has already.
//!
//! A granule *is there* when its bytes are (the same SHA-256), or when the steps that it
//! holds are, with other bytes: the same times, whatever the file's name. Same bytes change
//! nothing, so that an ingest can always be repeated; only [`Duplicates::Error`] objects. Of
//! the same times with other bytes:
//!
//! | policy | the steps | the granule before |
//! |---|---|---|
//! | `skip` | stay; the file is refused, with a sentence | stays |
//! | `replace` | are overwritten in a new version | is no item any more |
//! | `version` | are overwritten in a new version | stays an item, as a former revision |
//! | `error` | stay; the whole run fails | stays |
//!
//! A granule before that still holds other steps stays as it is. In every case the version
//! before stays readable at its own address.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::str::FromStr;

use super::arrange::Candidate;
use super::{Failure, GranuleReport, Outcome, Publish, failed};
use crate::store::{Change, Granule, Kind, Past, Standing, Store, StoreError};

/// The recipe's `duplicates`: what to do with a granule that is there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Duplicates {
    /// The new granule's values take the place of the old, and its item the old one's.
    Replace,
    /// The same granule twice changes nothing; one with other bytes is refused.
    #[default]
    Skip,
    /// As `Replace`, the granule before staying an item: a former revision.
    Version,
    /// The run fails.
    Error,
}

impl FromStr for Duplicates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "replace" => Ok(Self::Replace),
            "skip" => Ok(Self::Skip),
            "version" => Ok(Self::Version),
            "error" => Ok(Self::Error),
            _ => Err(format!("{text:?}: expected skip, replace, version or error")),
        }
    }
}

/// Which granules are asked for; those that fit any of it.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub sha256: Vec<String>,
    /// Item ids.
    pub ids: Vec<String>,
    /// Granules that hold any of these steps.
    pub steps: Vec<Range<u64>>,
    /// Addresses that granules were fetched from.
    pub urls: Vec<String>,
}

impl Wanted {
    pub fn fits(&self, granule: &Granule) -> bool {
        self.sha256.contains(&granule.sha256)
            || self.ids.iter().any(|id| id == granule.id())
            || granule.origin.as_ref().is_some_and(|o| self.urls.contains(&o.url))
            || granule.steps.is_some_and(|(at, n)| {
                self.steps.iter().any(|w| w.start < at.saturating_add(n) && w.end > at)
            })
    }
}

/// The granules of the latest version that fit, read from its history.
///
/// # Errors
/// A history that cannot be read.
pub async fn from_history(store: &Store, id: &str, wanted: &Wanted) -> Result<Vec<Standing>, StoreError> {
    let living = store.living(id, None).await?;
    Ok(living.into_values().filter(|s| wanted.fits(&s.granule)).collect())
}

/// Takes out those whose bytes the collection has. `Err` where that fails the run.
pub async fn known(
    store: &Store,
    catalog: &impl Publish,
    id: &str,
    policy: Duplicates,
    candidates: Vec<Candidate>,
) -> anyhow::Result<Result<(Vec<Candidate>, Vec<GranuleReport>), Vec<GranuleReport>>> {
    let wanted =
        Wanted { sha256: candidates.iter().flat_map(Candidate::sums).collect(), ..Wanted::default() };
    let mut held = catalog.held(store, id, &wanted).await?;
    if matches!(policy, Duplicates::Replace | Duplicates::Version) {
        // A former revision is not what the steps hold now: given again, it is to come back.
        held.retain(|s| s.granule.superseded_by.is_none());
    }
    let version: HashMap<String, &str> = held
        .iter()
        .flat_map(|s| [s.granule.sha256.clone(), s.granule.key()].map(|k| (k, s.version.as_str())))
        .collect();
    // Of several files together, all must be there.
    let there = |c: &Candidate| {
        let found = c.keys().map(|s| version.get(&s).copied()).collect::<Option<Vec<_>>>();
        found.and_then(|all| all.first().copied())
    };
    if policy == Duplicates::Error && candidates.iter().any(|c| there(c).is_some()) {
        let why = |c: &Candidate| {
            there(c).map(|v| Failure::new(format!("is in the collection already, since version {v}")))
        };
        return Ok(Err(fail_all(candidates, why)));
    }
    let (same, new): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|c| there(c).is_some());
    Ok(Ok((new, same.into_iter().map(unchanged).collect())))
}

pub fn unchanged(c: Candidate) -> GranuleReport {
    GranuleReport {
        file: c.path,
        outcome: Outcome::Unchanged,
        failure: None,
        notes: Vec::new(),
        bytes: c.granule.bytes,
    }
}

/// Fails a whole run for what is wrong with some of its granules.
pub fn fail_all(
    candidates: Vec<Candidate>,
    why: impl Fn(&Candidate) -> Option<Failure>,
) -> Vec<GranuleReport> {
    let all = candidates.into_iter().map(|c| {
        let failure = why(&c).map_or_else(
            || {
                Failure::new(
                    "not published: another granule of this run is there already, and duplicates = \"error\"",
                )
            },
            |f| Failure { reason: format!("{}, and duplicates = \"error\"", f.reason), ..f },
        );
        failed(c.path, failure)
    });
    all.collect()
}

/// Id of the `n`th item of a name, from the second on.
pub(super) fn numbered(name: &str, n: u64) -> String {
    format!("{name}~{n}")
}

/// A number above `taken` that no item of the name has: in some thirty lookups, however many have
/// it, as a file that is published hourly under one name will.
async fn free_number(
    store: &Store,
    catalog: &impl Publish,
    id: &str,
    name: &str,
    mut taken: u64,
) -> anyhow::Result<u64> {
    let is_free = async |n: u64| {
        let wanted = Wanted { ids: vec![numbered(name, n)], ..Wanted::default() };
        Ok::<bool, anyhow::Error>(catalog.held(store, id, &wanted).await?.is_empty())
    };
    let mut stride = 1;
    while !is_free(taken + stride).await? {
        taken += stride;
        stride *= 2;
    }
    let mut free = taken + stride;
    while free - taken > 1 {
        let middle = taken + (free - taken) / 2;
        if is_free(middle).await? {
            free = middle;
        } else {
            taken = middle;
        }
    }
    Ok(free)
}

/// Gives each granule its item's id, and says which granules they put out of their places.
///
/// `replaced` are the steps that are overwritten.
///
/// # Errors
/// The catalog cannot be read.
pub async fn settle(
    store: &Store,
    catalog: &impl Publish,
    id: &str,
    policy: Duplicates,
    granules: &mut [Granule],
    replaced: &[Range<u64>],
) -> anyhow::Result<Change> {
    let ids = granules.iter().map(|g| g.name.clone()).collect();
    let wanted = Wanted { ids, steps: replaced.to_vec(), ..Wanted::default() };
    let held = catalog.held(store, id, &wanted).await?;
    let covered = |g: &Granule, by: &Granule| match (g.steps, by.steps) {
        (Some((at, n)), Some((from, count))) => at >= from && at + n <= from + count,
        // Recorded before steps were: its name must do.
        (None, _) => g.name == by.name && !replaced.is_empty(),
        _ => false,
    };
    let mut put_out: Vec<(usize, &Granule)> = Vec::new();
    for s in held.iter().filter(|s| s.granule.superseded_by.is_none()) {
        if let Some(by) = granules.iter().position(|g| covered(&s.granule, g)) {
            put_out.push((by, &s.granule));
        }
    }
    let goes = |g: &Granule| policy != Duplicates::Version && put_out.iter().any(|(_, o)| o.id() == g.id());
    let (gone, stand): (Vec<&Granule>, Vec<&Granule>) =
        held.iter().map(|s| &s.granule).partition(|g| goes(g));
    let mut taken: BTreeSet<String> = stand.into_iter().map(|g| g.id().to_owned()).collect();
    let mut numbers: HashMap<String, u64> = HashMap::new();
    for g in granules.iter_mut() {
        let of_name = |o: &&&Granule| o.name == g.name && !taken.contains(o.id());
        let free = if !taken.contains(&g.name) {
            g.name.clone()
        } else if let Some(former) = gone.iter().find(of_name) {
            former.id().to_owned()
        } else {
            let last = numbers.get(&g.name).copied().unwrap_or(1);
            let n = free_number(store, catalog, id, &g.name, last).await?;
            numbers.insert(g.name.clone(), n);
            numbered(&g.name, n)
        };
        taken.insert(free.clone());
        g.id = (free != g.name).then_some(free);
    }
    let past = put_out.into_iter().map(|(by, g)| Past {
        id: g.id().to_owned(),
        sha256: g.sha256.clone(),
        by: granules.get(by).map(|g| g.id().to_owned()),
    });
    let mut change = Change { kind: Kind::Append, ..Change::default() };
    if !replaced.is_empty() {
        if policy == Duplicates::Version {
            (change.kind, change.superseded) = (Kind::Revise, past.collect());
        } else {
            (change.kind, change.replaced) = (Kind::Replace, past.collect());
        }
    }
    Ok(change)
}
