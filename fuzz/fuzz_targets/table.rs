//! Text as a table: its layout, its columns, its rows as they are and as words.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| graticule_fuzz::rows(bytes));
