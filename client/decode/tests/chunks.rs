//! Chunks written by numcodecs, of numbers that a formula gives: element `i` is
//! `i * 7919 % 1013`, then as the type has it (uint8: modulo 251; float32: over 8;
//! float64: over 3).

use graticule_decode::decode;
use graticule_shared::codec::Chain;
use graticule_shared::dtype::DataType;

fn cases() -> Vec<(String, Chain, Vec<u8>)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chunks");
    let list = std::fs::read_to_string(folder.join("cases.txt")).unwrap();
    list.lines()
        .map(|line| {
            let (name, chain) = line.split_once(' ').unwrap();
            let bytes = std::fs::read(folder.join(format!("{name}.bin"))).unwrap();
            (name.to_owned(), Chain::from_text(chain).unwrap(), bytes)
        })
        .collect()
}

fn number(dtype: DataType, i: u64) -> f64 {
    let n = (i * 7919 % 1013) as f64;
    match dtype {
        DataType::UInt8 => n % 251.0,
        DataType::Float32 => f64::from((n / 8.0) as f32),
        DataType::Float64 => n / 3.0,
        _ => n,
    }
}

#[test]
fn every_codec_gives_back_the_numbers_that_were_stored() {
    for (name, chain, bytes) in cases() {
        let decoded = decode(&chain, bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        let found = chain.dtype.to_f64_vec(&decoded);
        let expected: Vec<f64> = (0..64 * 48).map(|i| number(chain.dtype, i)).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn damaged_chunks_are_refused_or_decoded_but_never_panic() {
    let mut seed = 1u32;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed as usize
    };
    for (_, chain, bytes) in cases() {
        for cut in [0, 1, 3, 15, 16, 17, bytes.len() / 2, bytes.len() - 1] {
            let _ = decode(&chain, bytes[..cut.min(bytes.len())].to_vec());
        }
        for _ in 0..300 {
            let mut b = bytes.clone();
            for _ in 0..3 {
                // The header decides most: hit it often.
                let at = if random() % 2 == 0 { random() % b.len().min(40) } else { random() % b.len() };
                b[at] = random() as u8;
            }
            if let Ok(decoded) = decode(&chain, b) {
                assert_eq!(Some(decoded.len()), chain.decoded_len());
            }
        }
    }
}
