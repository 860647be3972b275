//! The one-line text in which a codec chain reaches the browser's worker.

#![no_main]

use graticule_shared::codec::Chain;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(chain) = Chain::from_text(text) {
        assert_eq!(Chain::from_text(&chain.to_text()).expect("what was written"), chain);
    }
});
