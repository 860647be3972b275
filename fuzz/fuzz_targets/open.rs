//! Any bytes: what a file is found to be, gzip around GRIB, refusals.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| graticule_fuzz::exercise(bytes));
