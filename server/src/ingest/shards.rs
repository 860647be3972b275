//! From bands of rows to stored shards, on every core.
//!
//! One thread reads, one adds up the pyramid, and all cores encode: encoding is
//! what takes the time. Memory holds two or three bands however fast the disk is: one that
//! is read, one that is added up and encoded, and of short ones one more.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use graticule_formats::Source;
use graticule_shared::cube::FILL_FLOAT;
use graticule_shared::shard::{Span, encode_index};

use super::feed::Feed;
use super::field::{Field, Level};
use super::plan::raw_bytes;
use super::planes::Plane;
use super::progress::Progress;
use super::quality::Quality;
use crate::codec::Decoder as Codec;
use crate::store::{ChunkSink, Payload};

/// A stored chunk's place: field, level, index.
pub struct Stored {
    pub field: usize,
    pub level: usize,
    pub index: Vec<u32>,
    /// `None` where all of it is fill, and what is stored there must go.
    pub payload: Option<Payload>,
}

/// Rows of one level, full width, of some steps.
struct Band {
    field: usize,
    level: usize,
    /// Index of each axis; of the step axis the first step.
    lead: Vec<u64>,
    steps: u64,
    row: u64,
    rows: u64,
    bytes: Vec<u8>,
}

/// Rows of a coarser level that do not fill a band yet.
struct Waiting {
    row: u64,
    /// Bytes of each step.
    steps: Vec<Vec<u8>>,
}

impl Waiting {
    /// The first `length` bytes of every step, one after the other; `band` is the usual length.
    fn cut(&mut self, length: usize, band: usize) -> Vec<u8> {
        // One step, whole: moved, not copied.
        if let [only] = self.steps.as_mut_slice()
            && only.len() == length
        {
            return std::mem::take(only);
        }
        let mut out = Vec::with_capacity(length * self.steps.len());
        for step in &mut self.steps {
            out.extend_from_slice(&step[..length]);
            let mut left = Vec::with_capacity(band.min(step.len().max(1)));
            left.extend_from_slice(&step[length..]);
            *step = left;
        }
        out
    }
}

/// Bytes of bands of level 0 that were read and are not encoded yet; a longer one is alone.
const UNENCODED: usize = 24 << 20;

/// How many there are of them.
#[derive(Default)]
struct Room {
    taken: Mutex<usize>,
    freed: Condvar,
}

/// The place of one, given back when its last job is done.
struct Place<'a>(&'a Room, usize);

impl Room {
    fn place(&self, bytes: usize) -> Place<'_> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = self.freed.wait_while(taken, |n| *n > 0 && *n + bytes > UNENCODED);
        *wait.unwrap_or_else(PoisonError::into_inner) += bytes;
        Place(self, bytes)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) -= self.1;
        self.0.freed.notify_one();
    }
}

/// One shard of a band: `column` counts shards.
struct Job<'a> {
    band: Arc<(Band, Option<Place<'a>>)>,
    column: u64,
}

/// What was stored, and which fields hold NetCDF's own fill without naming it.
pub type Read<'q> = (Vec<Stored>, Quality<'q>, Vec<bool>);

/// Reads all `fields`, shows them to the quality tests and stores them.
///
/// # Errors
/// What the source, the codec or the disk says first; and `cancel`.
pub fn store<'q>(
    source: &dyn Source,
    fields: &[Field],
    mut quality: Quality<'q>,
    sink: &ChunkSink,
    scratch: &Path,
    progress: &dyn Progress,
    cancel: &AtomicBool,
) -> anyhow::Result<Read<'q>> {
    let _work = crate::memory::Work::begin();
    let cores = std::thread::available_parallelism().map_or(2, usize::from).min(16);
    let codecs = fields
        .iter()
        .map(|f| f.levels.iter().map(Level::codec).collect::<Result<Vec<_>, _>>())
        .collect::<Result<Vec<_>, String>>()
        .map_err(anyhow::Error::msg)?;
    let stop = AtomicBool::new(false);
    let stopped = || stop.load(Ordering::Relaxed) || cancel.load(Ordering::Relaxed);
    let stored = Mutex::new(Vec::new());
    let failure: Mutex<Option<anyhow::Error>> = Mutex::new(None);
    let fail = |e: anyhow::Error| {
        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
        stop.store(true, Ordering::Relaxed);
    };
    let mut filled = vec![false; fields.len()];
    let (bands_in, bands) = sync_channel::<Band>(0);
    let room = Room::default();
    let (jobs_in, jobs) = channel::<Job<'_>>();
    let jobs = Mutex::new(jobs);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        std::thread::scope(|scope| {
            let (watch, filled) = (&mut quality, &mut filled);
            scope.spawn(|| {
                read(source, fields, (watch, filled), scratch, progress, &stopped, bands_in)
                    .unwrap_or_else(&fail);
            });
            for _ in 0..cores {
                scope.spawn(|| {
                    loop {
                        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok(job) = next else { break };
                        if stopped() {
                            continue;
                        }
                        let band = &job.band.0;
                        let codec = &codecs[band.field][band.level];
                        match encode(&fields[band.field], codec, band, job.column, sink) {
                            Ok(Some(s)) => stored.lock().unwrap_or_else(PoisonError::into_inner).push(s),
                            Ok(None) => {}
                            Err(e) => fail(e),
                        }
                    }
                });
            }
            coarsen(fields, &bands, jobs_in, &room, &stopped);
            drop(bands);
        });
    }));
    if let Some(e) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(e);
    }
    if outcome.is_err() {
        anyhow::bail!("a worker thread ended unexpectedly");
    }
    if cancel.load(Ordering::Relaxed) {
        anyhow::bail!("cancelled");
    }
    Ok((stored.into_inner().unwrap_or_else(PoisonError::into_inner), quality, filled))
}

/// Sends every band of every field, in the order that the pyramid needs.
fn read(
    source: &dyn Source,
    fields: &[Field],
    (quality, filled): (&mut Quality<'_>, &mut [bool]),
    scratch: &Path,
    progress: &dyn Progress,
    stopped: &dyn Fn() -> bool,
    bands: SyncSender<Band>,
) -> anyhow::Result<()> {
    for (number, field) in fields.iter().enumerate() {
        if field.shape.contains(&0) || !field.is_walked() {
            continue;
        }
        let fill = field.fill_is_unnamed().then(|| raw_bytes(field.dtype, FILL_FLOAT));
        let mut feed = Feed::new(source, field, scratch);
        for (lead, steps) in field.groups() {
            for (row, rows) in field.row_bands() {
                if stopped() {
                    return Ok(());
                }
                let bytes = feed.band(&lead, steps, row, rows)?;
                let expected = steps * rows * field.columns() * field.dtype.size() as u64;
                anyhow::ensure!(
                    bytes.len() as u64 == expected,
                    "{}: {} bytes read, {expected} expected",
                    field.source,
                    bytes.len()
                );
                if let Some(fill) = &fill
                    && !filled[number]
                {
                    filled[number] = bytes.chunks_exact(fill.len()).any(|cell| cell == fill);
                }
                progress.advance(bytes.len() as u64, &field.source);
                quality.observe(source, number, &lead, steps, (row, rows), &bytes)?;
                let band = Band { field: number, level: 0, lead: lead.clone(), steps, row, rows, bytes };
                if bands.send(band).is_err() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Passes bands on to the encoders, and the coarser levels' bands with them.
fn coarsen<'a>(
    fields: &[Field],
    bands: &Receiver<Band>,
    jobs: Sender<Job<'a>>,
    room: &'a Room,
    stopped: &dyn Fn() -> bool,
) {
    let submit = |band: Band| {
        let place = (band.level == 0).then(|| room.place(band.bytes.len()));
        let band = Arc::new((band, place));
        let field = &fields[band.0.field];
        if band.0.level > 0 || !field.elsewhere {
            let level = &field.levels[band.0.level];
            for column in 0..level.columns.div_ceil(level.layout.shard[2]) {
                let _ = jobs.send(Job { band: Arc::clone(&band), column });
            }
        }
        band
    };
    let mut planes: Vec<Plane> = Vec::new();
    let mut rest: Vec<Waiting> = Vec::new();
    let mut length = 0;
    loop {
        // The one that is read stays with its reader until there is room for it.
        drop(room.place(length));
        let Ok(band) = bands.recv() else { break };
        length = band.bytes.len();
        if stopped() {
            continue;
        }
        let field = &fields[band.field];
        let (lead, steps, number) = (band.lead.clone(), band.steps, band.field);
        let (first, last) = (band.row == 0, band.row + band.rows == field.rows());
        let coarser = field.levels.len() - 1;
        if coarser == 0 {
            submit(band);
            continue;
        }
        if first {
            planes = (0..steps).map(|_| Plane::new(field)).collect();
            rest =
                (0..coarser).map(|_| Waiting { row: 0, steps: vec![Vec::new(); steps as usize] }).collect();
        }
        let shared = submit(band);
        let band = &shared.0;
        let row_bytes = (field.columns() * field.dtype.size() as u64) as usize;
        for (plane, rows) in planes.iter_mut().zip(band.bytes.chunks(row_bytes * band.rows as usize)) {
            plane.push(field, rows, row_bytes, band.row as usize);
        }
        drop(shared);
        for k in 1..=coarser {
            let level = &field.levels[k];
            let width = (level.columns * field.dtype.size() as u64) as usize;
            let waiting = &mut rest[k - 1];
            for (plane, bytes) in planes.iter_mut().zip(&mut waiting.steps) {
                let finished = plane.take(k);
                if bytes.capacity() == 0 {
                    let rest = level.rows - waiting.row.min(level.rows);
                    bytes.reserve_exact(width * rest.min(level.layout.shard[1]) as usize);
                }
                bytes.extend_from_slice(&finished);
            }
            let height = level.layout.shard[1] as usize;
            loop {
                let ready = waiting.steps.first().map_or(0, |b| b.len() / width);
                if ready == 0 || (ready < height && !last) {
                    break;
                }
                let rows = ready.min(height);
                let bytes = waiting.cut(rows * width, height * width);
                let row = waiting.row;
                waiting.row += rows as u64;
                submit(Band {
                    field: number,
                    level: k,
                    lead: lead.clone(),
                    steps,
                    row,
                    rows: rows as u64,
                    bytes,
                });
            }
        }
    }
}

/// Encodes and stores one shard; `None` where all of it is fill and nothing is stored there.
fn encode(
    field: &Field,
    codec: &Codec,
    band: &Band,
    column: u64,
    sink: &ChunkSink,
) -> anyhow::Result<Option<Stored>> {
    let level = &field.levels[band.level];
    let size = field.dtype.size();
    let [it, iy, ix] = level.layout.inner.map(|n| n as usize);
    let per = level.layout.per_shard().map(|n| n as usize);
    let (rows, columns, steps) = (band.rows as usize, level.columns as usize, band.steps as usize);
    let fill = codec.fill();
    let mut spans: Vec<Option<Span>> = Vec::with_capacity(per.iter().product());
    let mut shard = Vec::new();
    let mut inner = fill.clone();
    let first_column = column as usize * level.layout.shard[2] as usize;
    for t in 0..per[0] {
        for y in 0..per[1] {
            for x in 0..per[2] {
                let (t0, y0, x0) = (t * it, y * iy, first_column + x * ix);
                if t0 >= steps || y0 >= rows || x0 >= columns {
                    spans.push(None);
                    continue;
                }
                let (nt, ny, nx) = (it.min(steps - t0), iy.min(rows - y0), ix.min(columns - x0));
                if nt < it || ny < iy || nx < ix {
                    inner.copy_from_slice(&fill);
                }
                for s in 0..nt {
                    for r in 0..ny {
                        let from = (((t0 + s) * rows + y0 + r) * columns + x0) * size;
                        let to = ((s * iy + r) * ix) * size;
                        inner[to..to + nx * size].copy_from_slice(&band.bytes[from..from + nx * size]);
                    }
                }
                if inner == fill {
                    spans.push(None);
                    continue;
                }
                let encoded = codec.encode(&inner).map_err(|e| anyhow::anyhow!("{}: {e}", level.path))?;
                spans.push(Some(Span { offset: shard.len() as u64, length: encoded.len() as u64 }));
                shard.extend_from_slice(&encoded);
            }
        }
    }
    let payload = if !shard.is_empty() {
        shard.extend_from_slice(&encode_index(&spans));
        Some(sink.put(shard)?)
    } else if field.fresh.is_some() {
        None
    } else {
        return Ok(None);
    };
    let axes = &level.axes;
    let index = (0..level.rank)
        .map(|a| match a {
            a if Some(a) == axes.step => band.lead[a] / level.layout.shard[0],
            a if a == axes.row => band.row / level.layout.shard[1],
            a if Some(a) == axes.column => column,
            a => band.lead.get(a).copied().unwrap_or(0),
        })
        .map(u32::try_from)
        .collect::<Result<_, _>>()?;
    Ok(Some(Stored { field: band.field, level: band.level, index, payload }))
}
