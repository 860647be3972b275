//! Which request to start next: the most wanted block that is not here, and what
//! lies near enough to it to come along.

use std::rc::Rc;

use graticule_shared::shard::Span;
use js_sys::ArrayBuffer;
use web_sys::AbortController;

use super::{Active, Block, Inner, Shard, ShardKey};
use crate::chunks::fetch::Range;
use crate::chunks::source::{BlockKey, Source};

/// Requests under way at once: what a browser opens to one host, and a little more.
const MAX_REQUESTS: usize = 8;
/// Inner chunks this near to each other come in one request ...
const MAX_GAP: u64 = 32 << 10;
/// ... of at most this size.
const MAX_SPAN: u64 = 2 << 20;

pub(super) enum Start {
    Blocks {
        source: Rc<Source>,
        url: String,
        range: Range,
        blocks: Vec<(BlockKey, Span)>,
        base: u64,
        abort: AbortController,
        id: u32,
    },
    Shard {
        source: Rc<Source>,
        object: Vec<u64>,
        abort: AbortController,
        id: u32,
    },
}

impl Inner {
    pub(super) fn open_count(&self) -> u32 {
        let open = |k: &&BlockKey| !self.cache.contains(k) && !self.failed.contains(k);
        (self.wanted.iter().filter(open).count() + self.awaited.len()) as u32
    }

    fn is_open(&self, key: &BlockKey) -> bool {
        !self.cache.contains(key)
            && !self.failed.contains(key)
            && !self.decoding.contains(key)
            && !self.active.iter().any(|a| a.blocks.contains(key))
    }

    /// Wanted blocks of one shard.
    pub(super) fn wanted_in(&self, source: &Source, object: u64) -> Vec<BlockKey> {
        let mine =
            |k: &&BlockKey| k.array == source.id && source.object_number(&source.object_of(**k).0) == object;
        self.wanted.iter().chain(self.awaited.keys()).filter(mine).copied().collect()
    }

    pub(super) fn finish(&mut self, id: u32) -> bool {
        let before = self.active.len();
        self.active.retain(|a| a.id != id);
        before != self.active.len()
    }

    fn begin(&mut self, blocks: Vec<BlockKey>, shard: Option<ShardKey>) -> Option<(AbortController, u32)> {
        let abort = AbortController::new().ok()?;
        if self.active.is_empty() && self.decoding.is_empty() {
            (self.done, self.bytes) = (0, 0);
        }
        self.requests += 1;
        self.next_id = self.next_id.wrapping_add(1);
        self.active.push(Active { id: self.next_id, abort: abort.clone(), blocks, shard });
        Some((abort, self.next_id))
    }

    /// The next request to start, if one may.
    pub(super) fn next(&mut self, filled: &mut bool) -> Option<Start> {
        if self.active.len() >= MAX_REQUESTS {
            return None;
        }
        self.urgent.retain(|k| self.awaited.contains_key(k));
        let order: Vec<BlockKey> = self.urgent.iter().chain(&self.wanted).copied().collect();
        for key in order {
            if !self.is_open(&key) {
                continue;
            }
            let Some(source) = self.sources.get(&key.array).cloned() else { continue };
            let (object, inner) = source.object_of(key);
            if source.meta.sharding.is_none() {
                let (abort, id) = self.begin(vec![key], None)?;
                let blocks = vec![(key, Span { offset: 0, length: 0 })];
                let url = source.object_url(&object);
                return Some(Start::Blocks { source, url, range: Range::All, blocks, base: 0, abort, id });
            }
            let number = source.object_number(&object);
            let shard = (source.id, number);
            match self.shards.get(&shard) {
                None => {
                    self.shards.insert(shard, Shard::Loading);
                    let (abort, id) = self.begin(Vec::new(), Some(shard))?;
                    return Some(Start::Shard { source, object, abort, id });
                }
                Some(Shard::Loading) => continue,
                Some(Shard::Absent) => {
                    self.fill(key, filled);
                    continue;
                }
                Some(Shard::Whole(index, bytes)) => {
                    let (index, bytes) = (index.clone(), bytes.clone());
                    match index.get(inner).copied().flatten() {
                        None => self.fill(key, filled),
                        Some(span) => {
                            let end = (span.offset + span.length) as u32;
                            let part = bytes.slice_with_end(span.offset as u32, end);
                            self.decode_now(source, key, part);
                        }
                    }
                    continue;
                }
                Some(Shard::Index(index)) => {
                    let index = index.clone();
                    let Some(first) = index.get(inner).copied().flatten() else {
                        self.fill(key, filled);
                        continue;
                    };
                    let blocks = self.neighbours(&source, number, key, first, &index);
                    let base = blocks.iter().map(|(_, s)| s.offset).min().unwrap_or(first.offset);
                    let end = blocks.iter().map(|(_, s)| s.offset + s.length).max().unwrap_or(base);
                    let (abort, id) = self.begin(blocks.iter().map(|(k, _)| *k).collect(), Some(shard))?;
                    let (url, range) = (source.object_url(&object), Range::Span(base, end - base));
                    return Some(Start::Blocks { source, url, range, blocks, base, abort, id });
                }
            }
        }
        None
    }

    fn fill(&mut self, key: BlockKey, filled: &mut bool) {
        self.cache.insert(key, Block::Fill, 0);
        self.done += 1;
        for waiter in self.awaited.remove(&key).unwrap_or_default() {
            let _ = waiter.send(Some(Block::Fill));
        }
        *filled = true;
    }

    /// A block of a shard that is here already; the pool answers later.
    fn decode_now(&mut self, source: Rc<Source>, key: BlockKey, bytes: ArrayBuffer) {
        self.decoding.insert(key);
        self.late.push((source, key, bytes));
    }

    /// Other open blocks of the same shard that lie near enough to come along.
    fn neighbours(
        &self,
        source: &Rc<Source>,
        number: u64,
        key: BlockKey,
        span: Span,
        index: &[Option<Span>],
    ) -> Vec<(BlockKey, Span)> {
        let mut others: Vec<(BlockKey, Span)> = self
            .wanted_in(source, number)
            .into_iter()
            .filter(|k| *k != key && self.is_open(k))
            .filter_map(|k| Some((k, index.get(source.object_of(k).1).copied().flatten()?)))
            .collect();
        others.sort_by_key(|(_, s)| s.offset);
        others.dedup_by_key(|(k, _)| *k);
        let (mut start, mut end) = (span.offset, span.offset + span.length);
        let mut taken = vec![(key, span)];
        let take = |s: &Span, start: &mut u64, end: &mut u64| {
            let (low, high) = ((*start).min(s.offset), (*end).max(s.offset + s.length));
            let gap = s.offset.saturating_sub(*end).max(start.saturating_sub(s.offset + s.length));
            let fits = gap <= MAX_GAP && high - low <= MAX_SPAN;
            if fits {
                (*start, *end) = (low, high);
            }
            fits
        };
        for (k, s) in others.iter().filter(|(_, s)| s.offset >= span.offset) {
            if !take(s, &mut start, &mut end) {
                break;
            }
            taken.push((*k, *s));
        }
        for (k, s) in others.iter().rev().filter(|(_, s)| s.offset < span.offset) {
            if !take(s, &mut start, &mut end) {
                break;
            }
            taken.push((*k, *s));
        }
        taken
    }
}
