//! Where a granule belongs along the dimension that its collection grows by.
//!
//! The dimension is monotonic: a granule continues it, or takes the places of steps
//! that are there, all of them one by one; anything between is refused.

use std::cmp::Ordering;
use std::ops::Range;

use graticule_shared::time::TimeUnits;

use super::Failure;
use super::arrange::Candidate;

/// Two instants this close, in seconds, are one; numbers without times must be equal.
const SAME: f64 = 1e-3;

/// What is there: of the collection, and of this run so far.
#[derive(Default)]
pub struct Along {
    /// Of the collection, ascending: the coordinate's own numbers, which mean what `units` say.
    /// They become instants one by one where they are looked at, and few are.
    values: Vec<f64>,
    units: Option<TimeUnits>,
    /// Of this run: seconds, or the coordinate's own numbers.
    more: Vec<f64>,
    length: u64,
    /// There is no order to keep: no coordinate, or one such as numbers of ensemble members.
    unordered: bool,
    /// How many are stored already.
    stored: u64,
    /// Steps that this run takes.
    taken: Vec<Range<u64>>,
    last: String,
}

/// Where one granule goes.
pub struct Place {
    pub steps: Range<u64>,
    over: Option<String>,
}

impl Place {
    /// Whether it takes the places of steps that are stored.
    pub fn replaces(&self) -> bool {
        self.over.is_some()
    }

    /// The failure that its steps are there already.
    pub fn there(&self, hint: &str) -> Failure {
        let times = self.over.as_deref().unwrap_or_default();
        Failure::new(format!("these times are in the collection already, with other bytes: {times}; {hint}"))
    }
}

impl Along {
    /// # Errors
    /// The last value is no instant.
    pub fn stored(values: Vec<f64>, units: Option<TimeUnits>, last: String) -> Result<Self, String> {
        let length = values.len() as u64;
        if values.windows(2).any(|w| w[0].partial_cmp(&w[1]) != Some(Ordering::Less)) {
            return Ok(Self::without_places(length));
        }
        if let (Some(u), Some(v)) = (&units, values.last()) {
            u.decode(*v).map_err(|e| e.to_string())?;
        }
        Ok(Self { values, units, length, stored: length, last, ..Self::default() })
    }

    pub fn without_places(length: u64) -> Self {
        Self { length, stored: length, unordered: true, ..Self::default() }
    }

    fn count(&self) -> usize {
        self.values.len() + self.more.len()
    }

    /// The place of a step; NaN where its value is no instant.
    fn at(&self, step: usize) -> f64 {
        match (self.values.get(step), &self.units) {
            (Some(v), Some(u)) => u.decode(*v).map_or(f64::NAN, |t| t.epoch_secs(u.calendar)),
            (Some(v), None) => *v,
            (None, _) => self.more.get(step - self.values.len()).copied().unwrap_or(f64::NAN),
        }
    }

    /// The first step that is not before `place`.
    fn first_from(&self, place: f64) -> usize {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.at(middle) < place { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// Where a granule belongs.
    ///
    /// # Errors
    /// Out of order; or another granule of this run has its places.
    pub fn place(&self, c: &Candidate, dimension: &str) -> Result<Place, Failure> {
        let n = c.length(dimension);
        let end = Place { steps: self.length..self.length + n, over: None };
        let Some(own) = c.places(dimension).filter(|p| !p.is_empty() && !self.unordered) else {
            return Ok(end);
        };
        let Some(last) = self.count().checked_sub(1) else { return Ok(end) };
        let same = if c.is_timed(dimension) { SAME } else { 0.0 };
        if own[0] > self.at(last) + same {
            return Ok(end);
        }
        let at = self.first_from(own[0] - same);
        let there = own.len().min(self.count() - at);
        // Those that are there must all be met; what goes on beyond the last is appended.
        let met = |k: &usize| (own[*k] - self.at(at + *k)).abs() <= same;
        let step = (0..there).find(|k| !met(k));
        if step.is_some() || there == 0 {
            let found = c.words(dimension, step.unwrap_or(0));
            let reason = match step {
                Some(k) if k > 0 => format!(
                    "time out of order: step {k} is {found}, and no step of the collection, which goes on to {}, is",
                    self.last
                ),
                _ => format!("time out of order: expected later than {}, found {found}", self.last),
            };
            return Err(Failure { variable: Some(dimension.to_owned()), offset: None, reason });
        }
        let (first, to) = (c.words(dimension, 0), c.words(dimension, there - 1));
        let over = if first == to { first } else { format!("{first} to {to}") };
        let steps = at as u64..at as u64 + n;
        if steps.start >= self.stored || self.taken.iter().any(|t| t.start < steps.end && t.end > steps.start)
        {
            return Err(Failure {
                variable: Some(dimension.to_owned()),
                offset: None,
                reason: format!("another granule of this run has the same times: {over}"),
            });
        }
        Ok(Place { steps, over: Some(over) })
    }

    /// Enters a granule at its place.
    pub fn take(&mut self, place: &Place, c: &Candidate, dimension: &str) {
        if place.steps.end > self.length {
            let own = c.places(dimension).unwrap_or_default();
            let new = (self.length.max(place.steps.start) - place.steps.start) as usize;
            self.more.extend(own.into_iter().skip(new));
            self.length = place.steps.end;
            let last = (place.steps.end - place.steps.start).saturating_sub(1) as usize;
            self.last = format!("{} in {}", c.words(dimension, last), c.granule.name);
        }
        self.taken.push(place.steps.clone());
    }
}
