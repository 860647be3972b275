//! Prints what a file says: `cargo run --release -p graticule-formats --example describe -- FILE...`

use graticule_formats::{Limits, open};

fn main() {
    for path in std::env::args().skip(1) {
        let source = match open(path.as_ref(), Limits::default()) {
            Ok(source) => source,
            Err(e) => {
                println!("{e}");
                continue;
            }
        };
        let header = source.header();
        println!("{path}: {}", header.format);
        for d in &header.dimensions {
            println!("  {} = {}{}", d.name, d.len, if d.unlimited { " (unlimited)" } else { "" });
        }
        for v in &header.variables {
            println!("  {} {}({}) chunks {:?}", v.dtype, v.path, v.dims.join(", "), v.chunks);
            for (name, value) in &v.attributes {
                println!("    {name} = {}", value.to_json());
            }
            if let (Some(first), true) = (v.shape.first(), v.shape.len() <= 1 || v.shape.contains(&0)) {
                let read = source.read(&v.path, &vec![0; v.shape.len()], &v.shape);
                match read {
                    Ok(bytes) => println!(
                        "    values {:?} of {first}",
                        v.dtype.to_f64_vec(&bytes).iter().take(30).collect::<Vec<_>>()
                    ),
                    Err(e) => println!("    {e}"),
                }
            }
        }
        for (name, value) in &header.attributes {
            println!("  :{name} = {}", value.to_json());
        }
        for (name, why) in &header.skipped {
            println!("  skipped {name}: {why}");
        }
    }
}
