//! HDF5 and NetCDF-4.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    if !(bytes.starts_with(b"\x89HDF\r\n\x1a\n")) {
        return Corpus::Reject;
    }
    graticule_fuzz::exercise(bytes);
    Corpus::Keep
});
