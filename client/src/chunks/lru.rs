//! A cache bounded in bytes that forgets what was used longest ago.

use std::collections::HashMap;
use std::hash::Hash;

pub struct Lru<K, V> {
    entries: HashMap<K, Entry<V>>,
    clock: u64,
    bytes: usize,
    budget: usize,
}

struct Entry<V> {
    value: V,
    bytes: usize,
    used: u64,
}

impl<K: Hash + Eq + Copy, V> Lru<K, V> {
    pub fn new(budget: usize) -> Self {
        Self { entries: HashMap::new(), clock: 0, bytes: 0, budget }
    }

    /// Looks without counting as use.
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|e| &e.value)
    }

    pub fn get(&mut self, key: &K) -> Option<&V> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.clock;
        Some(&entry.value)
    }

    pub fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.keys()
    }

    /// Drops the longest unused until the budget holds; never what came in just now.
    pub fn insert(&mut self, key: K, value: V, bytes: usize) {
        self.clock += 1;
        if let Some(old) = self.entries.insert(key, Entry { value, bytes, used: self.clock }) {
            self.bytes -= old.bytes;
        }
        self.bytes += bytes;
        if self.bytes <= self.budget {
            return;
        }
        // A tenth at once, so that not every insertion sorts.
        let target = self.budget / 10 * 9;
        let mut ages: Vec<(u64, K)> = self.entries.iter().map(|(k, e)| (e.used, *k)).collect();
        ages.sort_unstable_by_key(|(used, _)| *used);
        for (_, old) in ages.into_iter().filter(|(_, k)| *k != key) {
            if self.bytes <= target {
                break;
            }
            if let Some(e) = self.entries.remove(&old) {
                self.bytes -= e.bytes;
            }
        }
    }

    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut c = Lru::new(30);
        (0..3).for_each(|k| c.insert(k, (), 10));
        c.get(&0);
        c.insert(3, (), 10);
        assert!(c.contains(&0) && !c.contains(&1) && c.contains(&3));
    }

    #[test]
    fn an_entry_larger_than_the_budget_still_stays_until_the_next() {
        let mut c = Lru::new(10);
        c.insert(1, (), 100);
        assert!(c.contains(&1));
        c.insert(2, (), 1);
        assert!(!c.contains(&1) && c.contains(&2));
    }
}
