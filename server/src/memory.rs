//! Large buffers go back to the operating system when they are freed, but not
//! while an ingest frees and asks for the same ones all the time.
//!
//! glibc raises its threshold for mapping an allocation each time a mapped one is
//! freed, up to 32 MiB, and keeps what lies below it in the heap: after some bands
//! of an ingest the process holds several that nobody uses. A fixed threshold
//! switches that off; it costs one `mmap` per buffer of megabytes, and a page fault
//! for each 4 KiB of it. An encoder asks for such a buffer for every chunk, and then
//! half of the time went into page faults: so the threshold is higher while it works.
//!
//! And it gives each thread a heap of its own, up to eight for each core. A server that decodes
//! blocks on whichever thread is free then keeps some in all of them: half of its memory under
//! 64 connections. As many heaps as cores serve as many requests in a second.

use std::sync::{Mutex, Once, PoisonError};

/// Bytes of an allocation that is mapped by itself, and bytes at the end of a heap
/// that are kept there.
#[derive(Clone, Copy)]
struct Thresholds {
    map: i32,
    trim: i32,
}

const AT_REST: Thresholds = Thresholds { map: 2 << 20, trim: 128 << 10 };
const AT_WORK: Thresholds = Thresholds { map: 8 << 20, trim: 64 << 20 };

static SET: Once = Once::new();
/// How many are at work.
static AT_WORK_NOW: Mutex<usize> = Mutex::new(0);

/// Fixes the thresholds for this process; later calls do nothing.
pub fn return_large_buffers() {
    SET.call_once(|| set(AT_REST));
}

/// While one of these lives, freed buffers are kept for the next who asks.
pub struct Work(());

impl Work {
    pub fn begin() -> Self {
        let mut now = AT_WORK_NOW.lock().unwrap_or_else(PoisonError::into_inner);
        if *now == 0 {
            set(AT_WORK);
        }
        *now += 1;
        Self(())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut now = AT_WORK_NOW.lock().unwrap_or_else(PoisonError::into_inner);
        *now -= 1;
        if *now == 0 {
            set(AT_REST);
            rest();
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn set(to: Thresholds) {
    // SAFETY: mallopt takes two integers and may be called at any time; it is
    // refused (0) rather than undefined for values out of range.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, to.map);
        libc::mallopt(libc::M_TRIM_THRESHOLD, to.trim);
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).max(2);
        libc::mallopt(libc::M_ARENA_MAX, i32::try_from(cores).unwrap_or(2));
    }
}

/// Bytes of its own above which a process that serves looks for what it can give back.
const MUCH: u64 = 96 << 20;

/// Gives back what lies free between buffers that live, where there is much: under a load that
/// never ends the holes would grow for as long. Every few seconds, on a thread that may block.
pub fn tidy() {
    // Resident pages, and those of them that are of files (proc(5)).
    let read = || -> Option<u64> {
        let text = std::fs::read_to_string("/proc/self/statm").ok()?;
        let mut pages = text.split_whitespace().skip(1).map(|n| n.parse::<u64>().unwrap_or(0));
        Some(pages.next()?.saturating_sub(pages.next()?) * 4096)
    };
    if read().is_some_and(|own| own > MUCH) {
        rest();
    }
}

/// Gives back what freed small buffers still hold; after work, not during it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub fn rest() {
    // SAFETY: malloc_trim may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn rest() {}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn set(to: Thresholds) {
    let _ = (to.map, to.trim);
}
