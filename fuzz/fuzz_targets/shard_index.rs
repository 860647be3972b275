//! The index of a shard: what is read is written back the same.

#![no_main]

use graticule_shared::shard::{encode_index, parse_index};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for (chunks, crc32c) in [(bytes.len() as u64 / 16, true), (bytes.len() as u64 / 16, false)] {
        if let Ok(spans) = parse_index(bytes, chunks, crc32c) {
            assert_eq!(parse_index(&encode_index(&spans), chunks, true).expect("what was written"), spans);
        }
    }
});
