//! CF time units and calendars, ISO 8601: what is decoded is encoded again.

#![no_main]

use graticule_shared::time::{Calendar, CfTime, TimeUnits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, f64)| {
    let (units, calendar, value) = input;
    let _ = TimeUnits::looks_like(units);
    for named in [None, Some(calendar), Some("360_day"), Some("noleap"), Some("all_leap"), Some("julian")] {
        let Ok(axis) = TimeUnits::parse(units, named) else { continue };
        let Ok(time) = axis.decode(value) else { continue };
        let back = axis.encode(time);
        assert!(
            (back - value).abs() <= value.abs() * 1e-9 + 1.0,
            "{units:?} {named:?} {value} {time} {back}"
        );
        let _ = time.epoch_secs(axis.calendar);
        assert_eq!(
            CfTime::parse(&time.to_string(), axis.calendar).ok().filter(|_| time.year > 999).unwrap_or(time),
            time
        );
    }
    let calendar = Calendar::parse(calendar).unwrap_or(Calendar::Standard);
    if let Ok(time) = CfTime::parse(units, calendar) {
        let _ = (time.to_string(), time.epoch_secs(calendar));
    }
});
