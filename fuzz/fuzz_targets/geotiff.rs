//! TIFF, BigTIFF, their tags and code streams.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    if !(bytes.starts_with(b"II") || bytes.starts_with(b"MM")) {
        return Corpus::Reject;
    }
    graticule_fuzz::exercise(bytes);
    Corpus::Keep
});
