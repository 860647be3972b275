//! What the targets share: reading a file wholly, under limits that a sanitizer bears.

use graticule_formats::checks::{check_coordinates, scan_values};
use graticule_formats::{Limits, open_bytes};

/// Small, so that 512 MiB are a bound that means something.
pub const LIMITS: Limits = Limits {
    read_bytes: 1 << 20,
    chunk_bytes: 1 << 20,
    variable_bytes: 1 << 24,
    variables: 1000,
    dimensions: 1000,
    attribute_bytes: 1 << 20,
    cache_bytes: 1 << 20,
};

/// More of them only repeat what the first ones do.
const VARIABLES_READ: usize = 32;

/// Opens `bytes` and reads what can be read: its coordinates are checked, and of
/// each variable the whole, the last element and a scan are asked for. Errors are
/// as good as values: only a panic, a hang or memory beyond bounds is a finding.
pub fn exercise(bytes: &[u8]) {
    let Ok(source) = open_bytes("fuzzed", bytes.to_vec(), LIMITS) else { return };
    let _ = check_coordinates(source.as_ref());
    for v in source.header().variables.iter().take(VARIABLES_READ) {
        let _ = v.packing();
        for (_, attribute) in &v.attributes {
            let _ = attribute.to_json().to_string();
        }
        let _ = source.read(&v.path, &vec![0; v.shape.len()], &v.shape);
        let one: Vec<u64> = v.shape.iter().map(|n| (*n).min(1)).collect();
        let last: Vec<u64> = v.shape.iter().map(|n| n.saturating_sub(1)).collect();
        let _ = source.read(&v.path, &last, &one);
        if v.shape.iter().try_fold(1u64, |n, len| n.checked_mul(*len)).is_some_and(|n| n <= 1 << 18) {
            let _ = scan_values(source.as_ref(), v);
        }
    }
}
