//! From "these blocks are wanted, in this order" to decoded blocks.

mod next;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use futures_channel::oneshot;
use graticule_shared::shard::{Span, index_len, parse_index};
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen_futures::spawn_local;
use web_sys::AbortController;

use crate::breath::breathe;
use crate::chunks::fetch::{self, FetchError, Range};
use crate::chunks::lru::Lru;
use crate::chunks::pool::Pool;
use crate::chunks::source::{BlockKey, Source};

use next::Start;

const CACHE_BYTES: usize = 256 << 20;
/// A decoded block: native bytes in C order, or nothing stored.
#[derive(Clone)]
pub enum Block {
    Data(Uint8Array),
    Fill,
}

/// Why a block could not be had.
#[derive(Debug, Clone)]
pub struct Failure {
    pub url: String,
    pub array: String,
    pub kind: FailureKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FailureKind {
    /// And what the server says of it.
    Status(u16, Option<String>),
    /// Another origin's server answers, but does not let pages read it.
    Cors,
    Network(String),
    Decode(String),
    ShardIndex(String),
}

type ShardKey = (u32, u64);

enum Shard {
    Loading,
    /// No such object: nothing stored.
    Absent,
    Index(Rc<Vec<Option<Span>>>),
    /// A server without Range sent all of it.
    Whole(Rc<Vec<Option<Span>>>, ArrayBuffer),
}

struct Active {
    id: u32,
    abort: AbortController,
    blocks: Vec<BlockKey>,
    shard: Option<ShardKey>,
}

type Waiters = Vec<oneshot::Sender<Option<Block>>>;

struct Inner {
    pool: Pool,
    sources: HashMap<u32, Rc<Source>>,
    cache: Lru<BlockKey, Block>,
    shards: HashMap<ShardKey, Shard>,
    wanted: Vec<BlockKey>,
    wanted_set: HashSet<BlockKey>,
    /// Awaited one by one, such as coordinates; ahead of all others.
    awaited: HashMap<BlockKey, Waiters>,
    urgent: Vec<BlockKey>,
    active: Vec<Active>,
    decoding: HashSet<BlockKey>,
    failed: HashSet<BlockKey>,
    /// Blocks of shards that came whole, to be decoded.
    late: Vec<(Rc<Source>, BlockKey, ArrayBuffer)>,
    next_id: u32,
    done: u32,
    bytes: u64,
    requests: u32,
    changed: Rc<dyn Fn()>,
    on_failure: Rc<dyn Fn(Failure)>,
}

#[derive(Clone)]
pub struct Loader(Rc<RefCell<Inner>>);

impl Loader {
    /// `changed` is called after anything arrived, `on_failure` for each block that cannot be had.
    pub fn new(pool: Pool, changed: Rc<dyn Fn()>, on_failure: Rc<dyn Fn(Failure)>) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            pool,
            sources: HashMap::new(),
            cache: Lru::new(CACHE_BYTES),
            shards: HashMap::new(),
            wanted: Vec::new(),
            wanted_set: HashSet::new(),
            awaited: HashMap::new(),
            urgent: Vec::new(),
            active: Vec::new(),
            decoding: HashSet::new(),
            failed: HashSet::new(),
            late: Vec::new(),
            next_id: 0,
            done: 0,
            bytes: 0,
            requests: 0,
            changed,
            on_failure,
        })))
    }

    pub fn add_source(&self, source: Rc<Source>) {
        self.0.borrow_mut().sources.insert(source.id, source);
    }

    /// Forgets what failed, so that it is tried again.
    pub fn retry(&self) {
        self.0.borrow_mut().failed.clear();
    }

    /// Replaces what is wanted, most wanted first. Requests for nothing wanted are aborted.
    pub fn want(&self, keys: Vec<BlockKey>) {
        {
            let mut inner = self.0.borrow_mut();
            inner.wanted_set = keys.iter().copied().collect();
            inner.wanted = keys;
            let inner = &mut *inner;
            let (wanted, awaited, sources) = (&inner.wanted_set, &inner.awaited, &inner.sources);
            let mut freed = Vec::new();
            inner.active.retain(|a| {
                let keep = match a.shard {
                    Some((array, object)) if a.blocks.is_empty() => {
                        wanted.iter().chain(awaited.keys()).any(|k| {
                            k.array == array && {
                                sources
                                    .get(&array)
                                    .is_some_and(|s| s.object_number(&s.object_of(*k).0) == object)
                            }
                        })
                    }
                    _ => a.blocks.iter().any(|b| wanted.contains(b) || awaited.contains_key(b)),
                };
                if !keep {
                    a.abort.abort();
                    freed.extend(a.shard.filter(|_| a.blocks.is_empty()));
                }
                keep
            });
            for shard in freed {
                inner.shards.remove(&shard);
            }
        }
        self.pump();
    }

    pub fn get(&self, key: &BlockKey) -> Option<Block> {
        self.0.borrow_mut().cache.get(key).cloned()
    }

    pub fn has(&self, key: &BlockKey) -> bool {
        self.0.borrow().cache.contains(key)
    }

    pub fn has_failed(&self, key: &BlockKey) -> bool {
        self.0.borrow().failed.contains(key)
    }

    /// True for a block that is on its way.
    pub fn is_loading(&self, key: &BlockKey) -> bool {
        let inner = self.0.borrow();
        inner.decoding.contains(key) || inner.wanted_set.contains(key) && !inner.cache.contains(key)
    }

    /// Calls `f` with each block in the cache of one of these arrays.
    pub fn cached(&self, mut f: impl FnMut(BlockKey)) {
        self.0.borrow().cache.keys().for_each(|k| f(*k));
    }

    /// Blocks done and wanted since all was idle, and bytes received.
    pub fn progress(&self) -> (u32, u32, u64) {
        let inner = self.0.borrow();
        let open = inner.open_count();
        if open == 0 { (0, 0, 0) } else { (inner.done, inner.done + open, inner.bytes) }
    }

    /// True when nothing that is wanted is missing; requests for it are over.
    pub fn is_whole(&self) -> bool {
        self.0.try_borrow().is_ok_and(|inner| inner.open_count() == 0)
    }

    pub fn is_idle(&self) -> bool {
        let inner = self.0.borrow();
        inner.open_count() == 0 && inner.active.is_empty()
    }

    /// Asks for a small array at once, ahead of whatever is wanted next; it is
    /// awaited with [`Loader::read_all`] later.
    pub fn ask_first(&self, source: &Source) {
        {
            let mut inner = self.0.borrow_mut();
            for number in 0..source.block_count() {
                let key = BlockKey { array: source.id, number };
                if !inner.cache.contains(&key) {
                    inner.awaited.entry(key).or_default();
                    inner.urgent.push(key);
                }
            }
        }
        self.pump();
    }

    /// Asks for blocks that are awaited one by one, so that they come together.
    pub fn ask(&self, keys: &[BlockKey]) {
        {
            let mut inner = self.0.borrow_mut();
            for key in keys {
                if !inner.cache.contains(key) && !inner.awaited.contains_key(key) {
                    inner.awaited.entry(*key).or_default();
                    inner.urgent.push(*key);
                }
            }
        }
        self.pump();
    }

    /// One block, whatever the view wants; `None` where it cannot be had.
    pub async fn wait_for(&self, key: BlockKey) -> Option<Block> {
        let answer = {
            let mut inner = self.0.borrow_mut();
            if let Some(block) = inner.cache.get(&key) {
                return Some(block.clone());
            }
            let (send, answer) = oneshot::channel();
            inner.awaited.entry(key).or_default().push(send);
            inner.failed.remove(&key);
            inner.urgent.push(key);
            answer
        };
        self.pump();
        answer.await.ok().flatten()
    }

    /// All numbers of a small array, such as a coordinate.
    pub async fn read_all(&self, source: &Rc<Source>) -> Option<Vec<f64>> {
        let unsigned = source
            .meta
            .attributes
            .get("_Unsigned")
            .and_then(|v| v.as_str())
            .is_some_and(|s| s.eq_ignore_ascii_case("true"));
        let dtype = if unsigned { source.chain.dtype.to_unsigned() } else { source.chain.dtype };
        let length = usize::try_from(*source.meta.shape.first()?).ok()?;
        let mut out = Vec::new();
        for number in 0..source.block_count() {
            let bytes = match self.wait_for(BlockKey { array: source.id, number }).await? {
                Block::Data(bytes) => bytes.to_vec(),
                Block::Fill => source.fill().repeat(*source.meta.block_shape().first()? as usize),
            };
            out.extend(dtype.to_f64_vec(&bytes));
        }
        out.truncate(length);
        Some(out)
    }

    /// Starts requests until enough are under way.
    fn pump(&self) {
        let mut filled = false;
        loop {
            let next = self.0.borrow_mut().next(&mut filled);
            let Some(start) = next else { break };
            match start {
                Start::Blocks { source, url, range, blocks, base, abort, id } => {
                    self.fetch_blocks(source, url, range, blocks, base, abort, id);
                }
                Start::Shard { source, object, abort, id } => self.fetch_index(source, object, abort, id),
            }
        }
        let late = std::mem::take(&mut self.0.borrow_mut().late);
        for (source, key, bytes) in late {
            let url = source.object_url(&source.object_of(key).0);
            self.decode(source, key, bytes, url);
        }
        if filled {
            let changed = self.0.borrow().changed.clone();
            changed();
        }
    }

    #[allow(clippy::too_many_arguments)] // the parts of one request
    fn fetch_blocks(
        &self,
        source: Rc<Source>,
        url: String,
        range: Range,
        blocks: Vec<(BlockKey, Span)>,
        base: u64,
        abort: AbortController,
        id: u32,
    ) {
        let this = self.clone();
        spawn_local(async move {
            // A view asks for a dozen at once, and each takes a moment to ask for.
            breathe().await;
            let result = get_twice(&url, range, &abort).await;
            let live = this.0.borrow_mut().finish(id);
            match result {
                Ok(f) => {
                    let total = f.bytes.byte_length();
                    this.0.borrow_mut().bytes += u64::from(total);
                    let one = blocks.len() == 1 && (range == Range::All || !f.whole);
                    for (key, span) in blocks {
                        let bytes = if one {
                            f.bytes.clone()
                        } else {
                            let from = (if f.whole { span.offset } else { span.offset - base }) as u32;
                            f.bytes.slice_with_end(
                                from.min(total),
                                from.saturating_add(span.length as u32).min(total),
                            )
                        };
                        this.decode(source.clone(), key, bytes, url.clone());
                    }
                }
                // 404: nothing stored, all fill (Zarr core, "missing chunks").
                Err(FetchError::Status(404, _)) => {
                    for (key, _) in &blocks {
                        this.arrived(*key, Block::Fill, 0);
                    }
                }
                Err(FetchError::Aborted) if !live => {}
                Err(e) => {
                    let keys = blocks.iter().map(|(k, _)| *k).collect();
                    this.failed(keys, source.meta.path.clone(), url, e).await;
                }
            }
            this.pump();
        });
    }

    fn decode(&self, source: Rc<Source>, key: BlockKey, bytes: ArrayBuffer, url: String) {
        let pool = {
            let mut inner = self.0.borrow_mut();
            inner.decoding.insert(key);
            inner.pool.clone()
        };
        let this = self.clone();
        spawn_local(async move {
            let result = pool.decode(source.clone(), bytes).await;
            this.0.borrow_mut().decoding.remove(&key);
            match result {
                Ok(bytes) => {
                    let length = bytes.length() as usize;
                    this.arrived(key, Block::Data(bytes), length);
                }
                Err(why) => this.report(
                    vec![key],
                    Failure { url, array: source.meta.path.clone(), kind: FailureKind::Decode(why) },
                ),
            }
            this.pump();
        });
    }

    fn fetch_index(&self, source: Rc<Source>, object: Vec<u64>, abort: AbortController, id: u32) {
        let this = self.clone();
        spawn_local(async move {
            let shard: ShardKey = (source.id, source.object_number(&object));
            let url = source.object_url(&object);
            let (count, sharding) = (source.inner_count(), source.meta.sharding.as_ref());
            let (crc, at_end) = sharding.map_or((true, true), |s| (s.index_crc32c, s.index_at_end));
            let length = index_len(count, crc);
            let range = if at_end { Range::Last(length) } else { Range::Span(0, length) };
            let result = get_twice(&url, range, &abort).await;
            let live = this.0.borrow_mut().finish(id);
            let why = match result {
                Ok(f) => {
                    let all = Uint8Array::new(&f.bytes);
                    this.0.borrow_mut().bytes += u64::from(all.length());
                    let part = match (f.whole, at_end) {
                        (true, true) => {
                            all.subarray(all.length().saturating_sub(length as u32), all.length())
                        }
                        (true, false) => all.subarray(0, length as u32),
                        (false, _) => all,
                    };
                    match parse_index(&part.to_vec(), count, crc) {
                        Ok(index) => {
                            let index = Rc::new(index);
                            let state =
                                if f.whole { Shard::Whole(index, f.bytes) } else { Shard::Index(index) };
                            this.0.borrow_mut().shards.insert(shard, state);
                            None
                        }
                        Err(e) => Some(FailureKind::ShardIndex(e.to_string())),
                    }
                }
                Err(FetchError::Status(404, _)) => {
                    this.0.borrow_mut().shards.insert(shard, Shard::Absent);
                    None
                }
                Err(FetchError::Aborted) => {
                    if live {
                        this.0.borrow_mut().shards.remove(&shard);
                    }
                    None
                }
                Err(e) => Some(kind_of(&url, e).await),
            };
            if let Some(kind) = why {
                let keys = {
                    let mut inner = this.0.borrow_mut();
                    inner.shards.remove(&shard);
                    inner.wanted_in(&source, shard.1)
                };
                this.report(keys, Failure { url, array: source.meta.path.clone(), kind });
            }
            this.pump();
        });
    }

    async fn failed(&self, keys: Vec<BlockKey>, array: String, url: String, e: FetchError) {
        let kind = kind_of(&url, e).await;
        self.report(keys, Failure { url, array, kind });
    }

    fn report(&self, keys: Vec<BlockKey>, failure: Failure) {
        let (tell, changed, waiters) = {
            let mut inner = self.0.borrow_mut();
            let waiters: Waiters = keys.iter().filter_map(|k| inner.awaited.remove(k)).flatten().collect();
            inner.done += keys.len() as u32;
            inner.failed.extend(keys);
            (inner.on_failure.clone(), inner.changed.clone(), waiters)
        };
        waiters.into_iter().for_each(|w| drop(w.send(None)));
        tell(failure);
        changed();
    }

    fn arrived(&self, key: BlockKey, block: Block, bytes: usize) {
        let (changed, waiters) = {
            let mut inner = self.0.borrow_mut();
            inner.cache.insert(key, block.clone(), bytes);
            inner.done += 1;
            (inner.changed.clone(), inner.awaited.remove(&key).unwrap_or_default())
        };
        waiters.into_iter().for_each(|w| drop(w.send(Some(block.clone()))));
        changed();
    }
}

/// Once more after a request that got no answer at all.
async fn get_twice(url: &str, range: Range, abort: &AbortController) -> Result<fetch::Fetched, FetchError> {
    match fetch::get(url, range, Some(&abort.signal())).await {
        Err(FetchError::Unreadable(_)) | Err(FetchError::Status(502..=504, _)) => {
            fetch::get(url, range, Some(&abort.signal())).await
        }
        other => other,
    }
}

pub async fn kind_of(url: &str, e: FetchError) -> FailureKind {
    match e {
        FetchError::Status(code, said) => FailureKind::Status(code, said),
        FetchError::Aborted => FailureKind::Network("aborted".to_owned()),
        FetchError::Unreadable(why) => {
            if fetch::answers_without_cors(url).await {
                FailureKind::Cors
            } else {
                FailureKind::Network(why)
            }
        }
    }
}
