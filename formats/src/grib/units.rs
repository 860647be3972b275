//! Units as UDUNITS reads them (CF section 3.1).
//!
//! The tables' own are words of meteorologists, of several centres: `Degree true`, `gpm`,
//! `(0 - 1)`, `kgm-2`. What has no unit, a code or a flag, keeps none.

/// The unit of a parameter of this long name in CF's terms; empty where it has none, or one that
/// UDUNITS cannot say.
pub fn of(text: &str, long: &str) -> String {
    let text = text.trim().replace("**", "");
    // Case tells these from others.
    match text.as_str() {
        "C" => return "degC".to_owned(),
        // Whether an absolute humidity or a metre nobody knows.
        "M" => return String::new(),
        "Km kg-1 s-1" => return "K m kg-1 s-1".to_owned(),
        _ => {}
    }
    let lower = text.to_ascii_lowercase();
    let code = ["code", "(code", "table", "integer(", "defined by"].iter().any(|c| lower.starts_with(c));
    if code {
        return String::new();
    }
    match lower.as_str() {
        "(0 - 1)" | "(0-1)" | "0-1" | "0to1" | "(-1 to 1)" | "numeric" | "dimensionless" | "proportion"
        | "fraction" | "integer" | "psu" | "psu per time step" | "ph" => "1",
        "-"
        | "?"
        | "???"
        | "no unit"
        | "keine"
        | "missing"
        | "category"
        | "categorical"
        | "boolean"
        | "index"
        | "justanumber"
        | "amount"
        | "ccittia5"
        | "dbz_max"
        | "millimetres*100 + number of stations" => "",
        // A power of two thirds: UDUNITS takes it for a third of a square metre.
        "m2/3 s-1" => "",
        "degree true" | "deg true" | "deg. true" | "degree coming from" | "deg" | "deg n" | "deg e"
        | "degree n" | "degree e" | "degree" => "degree",
        "deg c" | "degrees c" => "degC",
        "deg c per time step" => "K",
        "degreeday" => "K day",
        "degreeperday" => "K day-1",
        "psuperday" => "day-1",
        // A geopotential height of so many metres (CF: geopotential_height, in m).
        "gpm" => "m",
        "10 gpm" => "10 m",
        "m of water equivalent" => "m",
        "m of water equivalent s-1" => "m s-1",
        "m/s" | "ms-1" | "m s*-1" | "ms*-1" | "m s-1 per time step" => "m s-1",
        "m s-1 deg c" => "m s-1 degC",
        "m2s-2" | "m-2/s-2" => "m2 s-2",
        "m2 2-1" => "m2 s-1",
        "kgm-2" | "kg -2" => "kg m-2",
        // A density less 1000.
        "kg m-3 -1000" => "kg m-3 @ 1000",
        "w m-2" => "W m-2",
        "bq m-2 s-1" => "Bq m-2 s-1",
        "bq m-2" => "Bq m-2",
        "bq m-3" => "Bq m-3",
        "pa(o3)" => "Pa",
        // What it changed by within three hours.
        "pa-3h" => "Pa",
        "/kg" => "kg-1",
        "/s" => "s-1",
        "/m" => "m-1",
        "atm cm" => "1000 DU",
        "number m-2" | "person m-2" => "m-2",
        "bites per day per person" => "day-1",
        "tecu" => "1e16 m-2",
        "tecu/min" => "1e16 m-2 min-1",
        "ln(kpa)" => "ln(re 1 kPa)",
        "log10(kg m-3)" => "lg(re 1 kg m-3)",
        "log10((10-6g) m-3)" => "lg(re 1e-9 kg m-3)",
        // Of a radar's reflectivity factor the reference is 1 mm6 m-3, though the tables leave it out.
        "dbz" | "dbz ?" => "dBZ",
        "db" if long.to_ascii_lowercase().contains("reflectivity") => "dBZ",
        "db" => "0.1 lg(re 1)",
        _ => return text,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_the_tables_are_those_of_udunits() {
        for (text, long, want) in [
            ("m**2 s**-2", "Geopotential", "m2 s-2"),
            ("(0 - 1)", "Land-sea mask", "1"),
            ("Degree true", "Wind direction", "degree"),
            ("Deg. true", "Wind direction", "degree"),
            ("gpm", "Geopotential height", "m"),
            ("m of water equivalent", "Evaporation", "m"),
            ("dB", "Maximum/Composite radar reflectivity", "dBZ"),
            ("dB", "HF absorption", "0.1 lg(re 1)"),
            ("(Code table 4.222)", "Categorical rain", ""),
            ("code table (4.2", "Precipitable water category", ""),
            ("Code table 4.201", "Precipitation type", ""),
            ("M/S", "Wind gust", "m s-1"),
            ("ms-1", "Maximum wind speed", "m s-1"),
            ("C", "Temperature in Celsius", "degC"),
            (" W m-2 ", "A flux", "W m-2"),
            ("kg kg**-1", "Specific humidity", "kg kg-1"),
        ] {
            assert_eq!(of(text, long), want, "{text} of {long}");
        }
    }

    #[test]
    fn no_parameter_keeps_a_unit_that_udunits_refuses() {
        let refused = |u: &str| {
            let words = [
                "true", "gpm", "psu", "water", "per time", "Deg", "table", "Code", "TECU", "(0", "?", "0to1",
            ];
            words.iter().any(|w| u.contains(w))
                || u == "dB"
                || u == "-"
                || u.starts_with('/')
                || u.trim() != u
        };
        let tables =
            [(include_str!("tables/parameters1.tsv"), 5), (include_str!("tables/parameters2.tsv"), 6)];
        for (table, column) in tables {
            for line in table.lines().filter(|l| !l.starts_with('#')) {
                let mut rest = line.split('\t').skip(column);
                let (text, long) = (rest.next().unwrap_or_default(), rest.next().unwrap_or_default());
                let unit = of(text, long);
                assert!(!refused(&unit), "{line}: {unit}");
            }
        }
    }
}
