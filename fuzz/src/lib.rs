//! What the targets share: reading a file wholly, under limits that a sanitizer bears.

use graticule_formats::checks::{check_coordinates, scan_values};
use graticule_formats::table::{self, Kind, Value};
use graticule_formats::{Limits, Source, open_bytes};

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

/// Opens `bytes` and reads what can be read.
pub fn exercise(bytes: &[u8]) {
    if let Ok(source) = open_bytes("fuzzed", bytes.to_vec(), LIMITS) {
        read(source.as_ref());
    }
}

/// Reads what can be read: coordinates are checked, and of each variable the whole, the
/// last element and a scan are asked for. Errors are as good as values: only a panic, a
/// hang or memory beyond bounds is a finding.
pub fn read(source: &dyn Source) {
    let _ = check_coordinates(source);
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
            let _ = scan_values(source, v);
        }
    }
}

/// Opens `bytes` as a table and reads its rows, as they are and as words.
pub fn rows(bytes: &[u8]) {
    let Ok(Some(opened)) = table::open_bytes("fuzzed", bytes.to_vec(), LIMITS) else { return };
    let header = opened.header();
    let own: Vec<Kind> = header.columns.iter().map(|c| c.kind).collect();
    for kinds in [own.clone(), vec![Kind::Text; own.len()]] {
        let mut rows = 0;
        let read = opened.rows(&kinds, &mut |row| {
            rows += 1;
            assert_eq!(row.len(), kinds.len());
            for (value, kind) in row.iter().zip(&kinds) {
                let fits = match value {
                    Value::Null => true,
                    Value::Int(_) => *kind == Kind::Int64,
                    Value::Float(v) => *kind == Kind::Float64 && v.is_finite(),
                    Value::Bool(_) => *kind == Kind::Boolean,
                    Value::Time(_) => *kind == Kind::Timestamp,
                    Value::Text(_) => *kind == Kind::Text,
                };
                assert!(fits, "{value:?} in a column of {kind:?}");
            }
            Ok(())
        });
        if let Ok(faults) = read {
            assert!(rows <= header.rows && faults.count >= header.faults.count);
            let _ = faults.sentences();
        }
    }
}

/// A ZIP archive, stored, of the objects that `bytes` spell (see the target `zarr`).
pub fn zip(mut bytes: &[u8]) -> Vec<u8> {
    let (mut archive, mut directory, mut entries) = (Vec::new(), Vec::new(), 0u16);
    while let [key, low, high, rest @ ..] = bytes {
        let (key, content) = (usize::from(*key), usize::from(u16::from_le_bytes([*low, *high])));
        let name = rest.get(..key).unwrap_or(rest);
        let rest = &rest[name.len()..];
        let content = rest.get(..content).unwrap_or(rest);
        bytes = &rest[content.len()..];
        // From the version that is needed to the length of extra fields (APPNOTE 4.3.7).
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend(crc32fast::hash(content).to_le_bytes());
        common.extend((content.len() as u32).to_le_bytes());
        common.extend((content.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend((archive.len() as u32).to_le_bytes());
        directory.extend(name);
        archive.extend(b"PK\x03\x04");
        archive.extend(&common);
        archive.extend(name);
        archive.extend(content);
        entries = entries.saturating_add(1);
    }
    let start = archive.len() as u32;
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend([entries, entries].iter().flat_map(|n| n.to_le_bytes()));
    archive.extend((directory.len() as u32).to_le_bytes());
    archive.extend(start.to_le_bytes());
    archive.extend([0, 0]);
    archive
}
