use super::*;

/// Streams that `tests/fixtures/jpeg2000/make_jpeg2000.py` made: name, width, height and bits.
macro_rules! fixtures {
    ($(($name:literal, $width:literal, $height:literal, $bits:literal)),* $(,)?) => {
        [$((
            $name,
            include_bytes!(concat!("../../tests/fixtures/jpeg2000/", $name, ".j2k")).as_slice(),
            Size { width: $width, height: $height, bits: $bits, signed: false },
        )),*]
    };
}

const FIXTURES: &[(&str, &[u8], Size)] = &fixtures![
    ("plain", 45, 37, 12),
    ("one_sample", 1, 1, 8),
    ("one_row", 300, 1, 12),
    ("one_column", 1, 100, 10),
    ("one_bit", 33, 20, 1),
    ("sixteen_bits", 21, 19, 16),
    ("deep", 21, 19, 24),
    ("irreversible", 45, 37, 8),
    ("tiles", 45, 37, 10),
    ("order_lrcp", 45, 37, 8),
    ("order_rlcp", 45, 37, 8),
    ("order_rpcl", 45, 37, 8),
    ("order_pcrl", 45, 37, 8),
    ("order_cprl", 45, 37, 8),
    ("style_bypass", 24, 23, 12),
    ("style_reset", 24, 23, 12),
    ("style_terminate", 24, 23, 12),
    ("style_causal", 24, 23, 12),
    ("style_predictable", 24, 23, 12),
    ("style_symbols", 24, 23, 12),
    ("style_all", 45, 37, 12),
    ("markers", 33, 20, 8),
    ("wide_blocks", 200, 9, 6),
];

/// The formula of the script.
fn samples(size: Size) -> Vec<i32> {
    let (width, height) = (i64::from(size.width), i64::from(size.height));
    let one = |x: i64, y: i64| {
        let wave = (x - width / 2).pow(2) * 5 + (y - height / 3).pow(2) * 7 + x * y * 3;
        let spot = if (x / 5 + y / 4) % 7 == 0 { 1 << (size.bits - 1) } else { 0 };
        ((wave + spot) % (1 << size.bits)) as i32
    };
    (0..height).flat_map(|y| (0..width).map(move |x| one(x, y))).collect()
}

fn fixture(name: &str) -> (Vec<u8>, usize) {
    let (_, data, size) = FIXTURES.iter().find(|(n, ..)| *n == name).unwrap();
    (data.to_vec(), size.width as usize * size.height as usize)
}

#[test]
fn what_another_encoder_wrote_decodes_to_what_it_was() {
    for (name, data, expected) in FIXTURES {
        assert_eq!(size(data).unwrap(), *expected, "{name}");
        let wanted = samples(*expected);
        let got = decode(data, wanted.len()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let allowed = if *name == "irreversible" { 1 } else { 0 };
        let worst = got.iter().zip(&wanted).map(|(g, w)| (g - w).abs()).max();
        assert!(got.len() == wanted.len() && worst <= Some(allowed), "{name}: {worst:?}");
    }
}

#[test]
fn a_stream_that_ends_early_is_an_error_wherever_it_ends() {
    for (name, data, size) in FIXTURES {
        for end in 0..data.len() {
            let got = decode(&data[..end], size.width as usize * size.height as usize);
            assert!(got.is_err(), "{name}: {end} of {} bytes", data.len());
        }
    }
}

#[test]
fn changed_bytes_give_an_error_or_as_many_samples() {
    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for (name, data, size) in FIXTURES {
        let count = size.width as usize * size.height as usize;
        for _ in 0..100 {
            let mut data = data.to_vec();
            for _ in 0..1 + random() % 3 {
                let at = random() % data.len();
                data[at] = random() as u8;
            }
            if let Ok(got) = decode(&data, count) {
                assert_eq!(got.len(), count, "{name}");
            }
        }
    }
}

#[test]
fn an_unexpected_size_is_refused_before_anything_is_decoded() {
    let (mut data, count) = fixture("plain");
    let error = decode(&data, count + 1).unwrap_err();
    assert!(error.reason.contains("45 by 37 samples; 1666 are expected"), "{error}");
    // Xsiz and Ysiz.
    data[8..16].copy_from_slice(&[0x20, 0, 0, 0, 0x20, 0, 0, 0]);
    assert!(decode(&data, count).is_err());
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    let (plain, count) = fixture("plain");
    let cod = plain.windows(2).position(|w| w == [0xff, 0x52]).unwrap();
    let cases: [(usize, &[u8], &str); 8] = [
        (0, b"\0\0\0\x0cjP  ", "a JP2 file"),
        (6, &[0x40], "high-throughput"),
        (40, &[0, 3], "3 components"),
        (43, &[2], "every sample 2 by 1"),
        (cod + 1, &[0x5e], "regions of interest"),
        (cod + 1, &[0x5f], "progression order"),
        (cod + 1, &[0x60], "packed packet headers"),
        (cod + 5, &[7], "progression order 7"),
    ];
    for (at, bytes, reason) in cases {
        let mut data = plain.clone();
        data[at..at + bytes.len()].copy_from_slice(bytes);
        let error = decode(&data, count).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}, not {reason}");
    }
}

#[test]
fn many_packets_that_few_bytes_cannot_hold_are_refused_at_once() {
    let (mut data, count) = fixture("plain");
    let cod = data.windows(2).position(|w| w == [0xff, 0x52]).unwrap();
    data[cod + 6..cod + 8].copy_from_slice(&[0xff, 0xff]);
    let error = decode(&data, count).unwrap_err();
    assert!(error.reason.contains("393210 packets"), "{error}");
}
