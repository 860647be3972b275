//! A token bucket in one atomic: the generic cell rate algorithm (ITU-T I.371).
//!
//! Kept is not how many tokens there are but when the bucket will be full again; time refills it by
//! passing. Times are nanoseconds since the server started.

use std::sync::atomic::{AtomicU64, Ordering};

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub per_second: u64,
    pub burst: u64,
}

impl Rate {
    /// Nanoseconds in which so many tokens come.
    fn nanos(&self, tokens: u64) -> u64 {
        let nanos = u128::from(tokens) * 1_000_000_000 / u128::from(self.per_second.max(1));
        u64::try_from(nanos).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
    }

    /// Seconds in which an empty bucket fills.
    pub fn window_secs(&self) -> u64 {
        self.burst.div_ceil(self.per_second.max(1)).max(1)
    }
}

#[derive(Debug, Default)]
pub struct Bucket {
    full_at: AtomicU64,
}

/// How a bucket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    pub left: u64,
    /// Seconds until it is full.
    pub reset_secs: u64,
}

impl Bucket {
    /// Takes `tokens` if they are there.
    ///
    /// # Errors
    /// Nanoseconds until they are.
    pub fn take(&self, rate: &Rate, tokens: u64, now: u64) -> Result<(), u64> {
        let (cost, most) = (rate.nanos(tokens), rate.nanos(rate.burst));
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let after = full_at.max(now).saturating_add(cost);
            let wait = after.saturating_sub(now).saturating_sub(most);
            if wait > 0 {
                return Err(wait);
            }
            match self.full_at.compare_exchange_weak(full_at, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => full_at = other,
            }
        }
    }

    /// Whether there is anything left to take.
    ///
    /// # Errors
    /// Nanoseconds until there is.
    pub fn has_any(&self, rate: &Rate, now: u64) -> Result<(), u64> {
        let empty_at = now.saturating_add(rate.nanos(rate.burst));
        let full_at = self.full_at.load(Ordering::Relaxed);
        if full_at < empty_at { Ok(()) } else { Err(full_at - empty_at + rate.nanos(1).max(1)) }
    }

    /// Takes `tokens` though there be fewer: later ones pay for it.
    pub fn owe(&self, rate: &Rate, tokens: u64, now: u64) {
        let cost = rate.nanos(tokens);
        let _ = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            Some(full_at.max(now).saturating_add(cost))
        });
    }

    pub fn level(&self, rate: &Rate, now: u64) -> Level {
        let gone = self.full_at.load(Ordering::Relaxed).saturating_sub(now);
        let there = rate.nanos(rate.burst).saturating_sub(gone);
        let left = u128::from(there) * u128::from(rate.per_second) / 1_000_000_000;
        Level { left: u64::try_from(left).unwrap_or(u64::MAX), reset_secs: gone.div_ceil(1_000_000_000) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_goes_through_and_then_as_many_as_come_in() {
        let (rate, bucket) = (Rate { per_second: 10, burst: 5 }, Bucket::default());
        let now = 7 * SECOND;
        for _ in 0..5 {
            assert_eq!(bucket.take(&rate, 1, now), Ok(()));
        }
        assert_eq!(bucket.take(&rate, 1, now), Err(SECOND / 10));
        assert_eq!(bucket.level(&rate, now), Level { left: 0, reset_secs: 1 });
        assert_eq!(bucket.take(&rate, 1, now + SECOND / 10), Ok(()));
        assert!(bucket.take(&rate, 1, now + SECOND / 10).is_err());
        assert_eq!(bucket.level(&rate, now + 60 * SECOND).left, 5);
    }

    #[test]
    fn one_large_response_is_sent_and_paid_for_afterwards() {
        let (rate, bucket) = (Rate { per_second: 1_000_000, burst: 4_000_000 }, Bucket::default());
        assert_eq!(bucket.has_any(&rate, 0), Ok(()));
        bucket.owe(&rate, 10_000_000, 0);
        let wait = bucket.has_any(&rate, 0).unwrap_err();
        assert!((6 * SECOND..6 * SECOND + SECOND / 100).contains(&wait), "{wait}");
        assert_eq!(bucket.has_any(&rate, wait), Ok(()));
    }

    #[test]
    fn rates_beyond_all_measure_overflow_nothing() {
        let (rate, bucket) = (Rate { per_second: 1, burst: u64::MAX }, Bucket::default());
        bucket.owe(&rate, u64::MAX, u64::MAX / 8);
        bucket.owe(&rate, u64::MAX, u64::MAX / 8);
        let _ = bucket.level(&rate, u64::MAX / 8);
        let fast = Rate { per_second: u64::MAX, burst: u64::MAX };
        assert_eq!(Bucket::default().take(&fast, 1, 0), Ok(()));
    }
}
