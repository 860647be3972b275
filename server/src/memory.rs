//! Large buffers go back to the operating system when they are freed.
//!
//! glibc raises its threshold for mapping an allocation each time a mapped one is
//! freed, up to 32 MiB, and keeps what lies below it in the heap: after some bands
//! of an ingest the process holds several that nobody uses. A fixed threshold
//! switches that off; it costs one `mmap` per buffer of megabytes.

use std::sync::Once;

const THRESHOLD_BYTES: i32 = 2 << 20;

static SET: Once = Once::new();

/// Fixes the threshold for this process; later calls do nothing.
pub fn return_large_buffers() {
    SET.call_once(set);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn set() {
    // SAFETY: mallopt takes two integers and may be called at any time; it is
    // refused (0) rather than undefined for values out of range.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, THRESHOLD_BYTES);
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
fn set() {
    let _ = THRESHOLD_BYTES;
}
