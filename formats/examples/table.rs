//! Prints what a table is, its first rows, and what was left out.
//!
//!     cargo run --release -p graticule-formats --example table FILE

use graticule_formats::{Limits, table};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args().skip(1) {
        let Some(table) = table::open(path.as_ref(), Limits::default())? else {
            println!("{path}: no table");
            continue;
        };
        let header = table.header();
        println!("{path}: {}, {} rows, key {:?}", header.format, header.rows, header.key);
        for c in &header.columns {
            println!(
                "  {:40} {:10} {:8} {:?}",
                c.name,
                c.kind.name(),
                c.units.as_deref().unwrap_or(""),
                c.role
            );
        }
        let kinds: Vec<_> = header.columns.iter().map(|c| c.kind).collect();
        let mut rows = 0;
        let faults = table.rows(&kinds, &mut |row| {
            if rows < 2 {
                println!("  {row:?}");
            }
            rows += 1;
            Ok(())
        })?;
        println!("  {rows} rows handed out");
        for sentence in faults.sentences().iter().chain(&header.notes) {
            println!("  {sentence}");
        }
    }
    Ok(())
}
