//! Where a granule belongs along the dimension that its collection grows by.
//!
//! The dimension is monotonic: a granule continues it, or takes the places of steps
//! that are there, all of them one by one; anything between is refused.

use std::ops::Range;

use super::Failure;
use super::arrange::Candidate;

/// Two instants this close, in seconds, are one; numbers without times must be equal.
const SAME: f64 = 1e-3;

/// What is there: of the collection, and of this run so far.
#[derive(Default)]
pub struct Along {
    /// Ascending: seconds, or the coordinate's own numbers.
    places: Vec<f64>,
    /// Steps without places, where there is no coordinate.
    length: u64,
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
    pub fn stored(places: Vec<f64>, last: String) -> Self {
        let length = places.len() as u64;
        if places.windows(2).any(|w| w[0] >= w[1]) {
            // No order to keep, such as names of ensemble members.
            return Self::without_places(length);
        }
        Self { places, length, stored: length, taken: Vec::new(), last }
    }

    pub fn without_places(length: u64) -> Self {
        Self { length, stored: length, ..Self::default() }
    }

    /// Where a granule belongs.
    ///
    /// # Errors
    /// Out of order; or another granule of this run has its places.
    pub fn place(&self, c: &Candidate, dimension: &str) -> Result<Place, Failure> {
        let n = c.length(dimension);
        let end = Place { steps: self.length..self.length + n, over: None };
        let Some(own) = c.places(dimension).filter(|p| !p.is_empty()) else { return Ok(end) };
        let Some(last) = self.places.last() else { return Ok(end) };
        let same = if c.is_timed(dimension) { SAME } else { 0.0 };
        if own[0] > last + same {
            return Ok(end);
        }
        let at = self.places.partition_point(|p| *p < own[0] - same);
        let there = &self.places[at.min(self.places.len())..];
        // Those that are there must all be met; what goes on beyond the last is appended.
        let step = own.iter().zip(there).position(|(a, b)| (a - b).abs() > same);
        if step.is_some() || there.is_empty() {
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
        let (first, to) = (c.words(dimension, 0), c.words(dimension, own.len().min(there.len()) - 1));
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
            self.places.extend(own.into_iter().skip(new));
            self.length = place.steps.end;
            let last = (place.steps.end - place.steps.start).saturating_sub(1) as usize;
            self.last = format!("{} in {}", c.words(dimension, last), c.granule.name);
        }
        self.taken.push(place.steps.clone());
    }
}
