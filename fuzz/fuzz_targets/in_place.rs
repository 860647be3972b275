//! Parts of a file in their place, as a server decodes what it only refers to: the file's bytes are
//! hostile, and so then is where its parts lie and how they are packed.

#![no_main]

use graticule_formats::{FileCodec, open_bytes};
use graticule_fuzz::LIMITS;
use libfuzzer_sys::fuzz_target;

/// More of them only repeat what the first ones do.
const TAKEN: usize = 8;

fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = open_bytes("fuzzed", bytes.to_vec(), LIMITS) else { return };
    for v in source.header().variables.iter().take(4 * TAKEN) {
        let Ok(stored) = source.stored(&v.path) else { continue };
        if !FileCodec::is_one(&stored.codecs) {
            continue;
        }
        let Ok(codec) = FileCodec::new(&stored.codecs, &stored.chunk_shape, v.dtype, 1 << 24) else {
            continue;
        };
        for span in stored.spans.iter().take(TAKEN) {
            let range = usize::try_from(span.offset).ok().zip(usize::try_from(span.length).ok());
            let part = range.and_then(|(at, n)| bytes.get(at..at.checked_add(n)?));
            // The file may have changed beneath the reference.
            for part in [part.unwrap_or_default(), bytes] {
                if let Ok(values) = codec.decode(part) {
                    assert_eq!(values.len(), codec.decoded_len());
                }
            }
        }
    }
});
