//! Text as a table: its layout, its columns, its rows as they are and as words.

#![no_main]

use graticule_formats::table::{Kind, Value, open_bytes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(Some(table)) = open_bytes("fuzzed", bytes.to_vec(), graticule_fuzz::LIMITS) else { return };
    let header = table.header();
    let own: Vec<Kind> = header.columns.iter().map(|c| c.kind).collect();
    for kinds in [own.clone(), vec![Kind::Text; own.len()]] {
        let mut rows = 0;
        let read = table.rows(&kinds, &mut |row| {
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
});
