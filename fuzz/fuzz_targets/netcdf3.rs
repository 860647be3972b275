//! NetCDF-3: classic, 64-bit offset and CDF-5.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    if !(bytes.starts_with(b"CDF")) {
        return Corpus::Reject;
    }
    graticule_fuzz::exercise(bytes);
    Corpus::Keep
});
