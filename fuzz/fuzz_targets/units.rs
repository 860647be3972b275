//! UDUNITS spellings, and the units offered in their place.

#![no_main]

use graticule_shared::units::{Unit, label};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (from, to) = input;
    let _ = label(from);
    if let (Some(from), Some(to)) = (Unit::parse(from), Unit::parse(to)) {
        let _ = from.convert(1.0, &to);
        let _ = from.of_differences().convert(1.0, &to.of_differences());
    }
});
