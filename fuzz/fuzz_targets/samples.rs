//! Discrete samples and profiles in NetCDF, as rows.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| graticule_fuzz::rows(bytes));
