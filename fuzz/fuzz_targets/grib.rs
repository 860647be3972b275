//! GRIB editions 1 and 2, with or without something before the first message.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    if !(bytes.windows(4).any(|w| w == b"GRIB")) {
        return Corpus::Reject;
    }
    graticule_fuzz::exercise(bytes);
    Corpus::Keep
});
