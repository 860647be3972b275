//! Which units a quantity may be shown in, and how a value gets there.
//!
//! What is stored is never changed, nor what is drawn: only what a legend, a
//! readout and a typed range say. The choice follows from the unit's dimension
//! and, where one dimension serves several quantities, from the CF standard
//! name: a kilogram of water on a square metre is a millimetre, one of carbon
//! is not; a difference of temperatures has no zero point (CF section 3.1.2).

mod parse;

pub use parse::{Dimension, Unit};
use parse::{K, PRESSURE};

/// A unit that values are shown in.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// As it stands in addresses and attributes; UDUNITS reads it. Empty: no unit.
    pub id: String,
    /// As one writes it.
    pub label: String,
    /// From stored to shown; `None` where they are the same.
    by: Option<(Unit, Unit)>,
}

impl Shown {
    /// The stored unit itself.
    pub fn stored(units: Option<&str>) -> Self {
        let id = units.unwrap_or_default().trim().to_owned();
        Self { label: label(&id), id, by: None }
    }

    /// The stored `value` in this unit; exactly `value` where that is the stored unit.
    pub fn from_stored(&self, value: f64) -> f64 {
        self.by.and_then(|(stored, shown)| stored.convert(value, &shown)).unwrap_or(value)
    }

    pub fn to_stored(&self, value: f64) -> f64 {
        self.by.and_then(|(stored, shown)| shown.convert(value, &stored)).unwrap_or(value)
    }

    pub fn is_stored(&self) -> bool {
        self.by.is_none()
    }

    /// True where `name` means this unit, in whatever spelling.
    pub fn is_called(&self, name: &str) -> bool {
        self.id == name || self.label == name || (!name.is_empty() && label(name) == self.label)
    }
}

/// What a value is of, as far as the choice of units depends on it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quantity<'a> {
    pub units: Option<&'a str>,
    pub standard_name: Option<&'a str>,
    /// Where there is no standard name: the long name, or the variable's.
    pub name: &'a str,
    /// CF's attribute `units_metadata`.
    pub units_metadata: Option<&'a str>,
}

impl Quantity<'_> {
    fn says(&self, words: &[&str]) -> bool {
        let name = self.standard_name.unwrap_or(self.name).to_ascii_lowercase();
        words.iter().any(|w| name.contains(w))
    }

    fn is_difference(&self) -> bool {
        match self.units_metadata {
            Some(said) if said.contains("difference") => true,
            Some(said) if said.contains("on_scale") => false,
            _ => self.says(&[
                "anomaly",
                "difference",
                "tendency",
                "change",
                "_error",
                "uncertainty",
                "deviation",
            ]),
        }
    }

    fn is_water(&self) -> bool {
        self.says(&["precip", "rain", "snow", "evap", "runoff", "water", "moisture", "graupel"])
    }
}

/// Whether `units` are of pressure.
pub fn is_pressure(units: &str) -> bool {
    // To UDUNITS `mb` is none, and many write it.
    units.trim() == "mb" || Unit::parse(units).is_some_and(|u| u.dimension == PRESSURE)
}

/// Whether degrees of temperature are in `units`, of which CF (section 3.1.2) wants to know
/// whether they are differences.
pub fn has_temperature(units: &str) -> bool {
    Unit::parse(units).is_some_and(|u| u.dimension.iter().zip(K).any(|(d, k)| k != 0 && *d != 0))
}

/// The units that values of `q` can be shown in, the stored one first; only
/// that one where there is nothing to choose.
pub fn choices(q: &Quantity) -> Vec<Shown> {
    let native = Shown::stored(q.units);
    let Some(mut stored) = q.units.and_then(Unit::parse) else { return vec![native] };
    let (mut names, water) = family(&stored, q);
    if water && stored.dimension == PER_AREA {
        // Water of 1000 kg m-3 (CF standard names "lwe_...": liquid water equivalent).
        stored = Unit { dimension: DEPTH, scale: stored.scale * 1e-3, offset: 0.0 };
    } else if water && stored.dimension == PER_AREA_TIME {
        stored = Unit { dimension: RATE, scale: stored.scale * 1e-3, offset: 0.0 };
    }
    let difference = q.is_difference();
    if difference {
        stored = stored.of_differences();
    }
    let mut out = vec![native];
    for name in names.drain(..) {
        let Some(shown) = Unit::parse(name) else { continue };
        let shown = if difference { shown.of_differences() } else { shown };
        let same =
            (shown.scale / stored.scale - 1.0).abs() < 1e-9 && (shown.offset - stored.offset).abs() < 1e-9;
        if same || shown.dimension != stored.dimension {
            continue;
        }
        out.push(Shown { id: name.to_owned(), label: label(name), by: Some((stored, shown)) });
    }
    out
}

const DEPTH: Dimension = [0, 1, 0, 0, 0, 0];
const RATE: Dimension = [0, 1, -1, 0, 0, 0];
const PER_AREA: Dimension = [1, -2, 0, 0, 0, 0];
const PER_AREA_TIME: Dimension = [1, -2, -1, 0, 0, 0];

/// Names of the units that people use for the dimension, and whether it is one of water.
fn family(stored: &Unit, q: &Quantity) -> (Vec<&'static str>, bool) {
    let water = q.is_water();
    let names: &[&str] = match stored.dimension {
        [0, 0, 0, 1, 0, 0] => &["K", "degC", "degF"],
        RATE if water => &["mm/day", "mm/h", "m s-1"],
        RATE => &["m s-1", "km/h", "kn", "mph"],
        [1, -1, -2, 0, 0, 0] => &["Pa", "hPa", "inHg"],
        DEPTH if water => &["mm", "cm", "m", "in"],
        // Heights and depths; a wavelength in kilometres would be a joke.
        DEPTH if stored.scale >= 1e-3 => &["m", "cm", "ft", "km"],
        PER_AREA_TIME if water => &["mm/day", "mm/h"],
        PER_AREA if water => &["mm", "cm", "in"],
        [1, -3, 0, 0, 0, 0] if q.says(&["concentration", "pm2", "pm10", "dust", "aerosol"]) => {
            &["kg m-3", "g m-3", "µg m-3"]
        }
        [1, 0, -2, 0, 0, 0] => &["J m-2", "MJ m-2", "kWh m-2"],
        [0, 3, -1, 0, 0, 0] => &["m3 s-1", "Sv"],
        [0, 0, 1, 0, 0, 0] => &["s", "min", "h", "day"],
        // Of a kilogram in a kilogram a hundredth is said per mille.
        [0, 0, 0, 0, 0, 0] if q.units.is_some_and(|u| u.contains('g')) => &["kg kg-1", "g kg-1"],
        [0, 0, 0, 0, 0, 0] if stored.scale >= 0.01 => &["1", "%"],
        _ => &[],
    };
    (names.to_vec(), water)
}

/// A unit as one writes it: signs for degrees, raised exponents, no `1`.
pub fn label(units: &str) -> String {
    let units = units.trim();
    match units {
        "degC" | "degree_C" | "degrees_C" | "Celsius" | "celsius" | "deg_C" | "degree_Celsius"
        | "degrees_Celsius" | "degree_celsius" | "degrees_celsius" | "°C" => return "°C".to_owned(),
        "degF" | "degree_F" | "degrees_F" | "fahrenheit" | "Fahrenheit" | "°F" => return "°F".to_owned(),
        "kelvin" | "Kelvin" | "degK" | "degree_K" | "degrees_K" => return "K".to_owned(),
        "1" | "(0 - 1)" | "0-1" | "~" | "dimensionless" => return String::new(),
        "percent" | "Percent" => return "%".to_owned(),
        "degree" | "degrees" => return "°".to_owned(),
        _ => {}
    }
    let mut out = String::with_capacity(units.len() + 8);
    let chars: Vec<char> = units.replace("**", "^").chars().collect();
    let mut raised = false;
    for (i, c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|i| chars.get(i)).copied().unwrap_or(' ');
        let after = chars.get(i + 1).copied().unwrap_or(' ');
        // An exponent follows a letter or a hat, and runs on over its digits.
        raised = match c {
            '^' => true,
            '-' | '+' => (raised && before == '^') || (before.is_alphabetic() && after.is_ascii_digit()),
            c if c.is_ascii_digit() => raised || before.is_alphabetic(),
            _ => false,
        };
        match c {
            '^' | '+' if raised => {}
            '-' if raised => out.push('⁻'),
            c if raised && c.is_ascii_digit() => {
                out.extend(c.to_digit(10).and_then(|d| "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().nth(d as usize)));
            }
            c => out.push(*c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressures_and_temperatures_are_known_by_their_units() {
        for units in ["Pa", "hPa", "kPa", "mbar", "mb", "millibar", "millibars", "bar", "dbar", "Pascals"] {
            assert!(is_pressure(units), "{units}");
        }
        for units in ["m", "1", "", "K", "level", "sigma_level"] {
            assert!(!is_pressure(units), "{units}");
        }
        for units in ["K", "degC", "degree_Celsius", "K s-1", "W m-2 K-1"] {
            assert!(has_temperature(units), "{units}");
        }
        assert!(!has_temperature("m s-1") && !has_temperature("") && !has_temperature("hPa"));
    }

    fn of<'a>(units: &'a str, standard_name: &'a str) -> Vec<Shown> {
        choices(&Quantity { units: Some(units), standard_name: Some(standard_name), ..Default::default() })
    }

    fn labels(list: &[Shown]) -> Vec<&str> {
        list.iter().map(|s| s.label.as_str()).collect()
    }

    #[test]
    fn the_stored_unit_comes_first_and_changes_nothing() {
        let list = of("degC", "sea_surface_temperature");
        assert_eq!(labels(&list), ["°C", "K", "°F"]);
        assert!(list[0].is_stored());
        assert_eq!(list[0].from_stored(0.1 + 0.2), 0.1 + 0.2);
        assert!((list[2].from_stored(100.0) - 212.0).abs() < 1e-9);
        assert!((list[1].to_stored(273.15)).abs() < 1e-12);
    }

    #[test]
    fn a_difference_of_temperatures_has_no_zero_point() {
        let list = of("K", "air_temperature_anomaly");
        let fahrenheit = list.iter().find(|s| s.label == "°F").unwrap();
        assert!((fahrenheit.from_stored(1.0) - 1.8).abs() < 1e-12);
        // A kelvin of difference is a degree of difference: nothing to choose.
        assert!(!labels(&list).contains(&"°C"));
        let said = Quantity {
            units: Some("K"),
            name: "t",
            units_metadata: Some("temperature: difference"),
            ..Default::default()
        };
        assert!(choices(&said).iter().all(|s| s.from_stored(0.0) == 0.0));
    }

    #[test]
    fn water_on_an_area_is_a_depth_and_other_mass_is_not() {
        let rain = of("kg m-2 s-1", "precipitation_flux");
        assert_eq!(labels(&rain), ["kg m⁻² s⁻¹", "mm/day", "mm/h"]);
        assert!((rain[1].from_stored(1.0) - 86_400.0).abs() < 1e-6);
        assert!((rain[1].to_stored(86_400.0) - 1.0).abs() < 1e-12);
        assert_eq!(of("kg m-2 s-1", "net_primary_productivity_of_biomass_expressed_as_carbon").len(), 1);
        assert_eq!(labels(&of("m s-1", "lwe_precipitation_rate")), ["m s⁻¹", "mm/day", "mm/h"]);
        assert_eq!(labels(&of("mm/day", "precipitation_flux"))[1], "mm/h");
    }

    #[test]
    fn each_quantity_has_the_units_that_people_use() {
        assert_eq!(labels(&of("m s**-1", "wind_speed")), ["m s⁻¹", "km/h", "kn", "mph"]);
        assert_eq!(labels(&of("Pa", "air_pressure_at_mean_sea_level")), ["Pa", "hPa", "inHg"]);
        assert_eq!(labels(&of("hPa", "air_pressure")), ["hPa", "Pa", "inHg"]);
        assert_eq!(labels(&of("m", "sea_surface_height_above_geoid")), ["m", "cm", "ft", "km"]);
        assert_eq!(labels(&of("1", "sea_ice_area_fraction")), ["", "%"]);
        assert_eq!(labels(&of("percent", "relative_humidity")), ["%", ""]);
        assert_eq!(labels(&of("kg kg**-1", "specific_humidity")), ["kg kg⁻¹", "g kg⁻¹"]);
        assert_eq!(of("days since 1950-01-01", "time").len(), 1);
        assert_eq!(of("psu", "sea_water_practical_salinity").len(), 1);
        assert_eq!(choices(&Quantity::default()).len(), 1);
    }

    #[test]
    fn every_offered_unit_goes_there_and_back() {
        for (units, name) in [
            ("K", "air_temperature"),
            ("ft", "altitude"),
            ("kn", "wind_speed"),
            ("g kg-1", "mixing_ratio"),
            ("%", "cloud_area_fraction"),
        ] {
            for shown in of(units, name) {
                for v in [-12.5, 0.0, 1.0, 271.349] {
                    let back = shown.to_stored(shown.from_stored(v));
                    assert!(
                        (back - v).abs() <= 1e-9 * v.abs().max(300.0),
                        "{units} {}: {v} {back}",
                        shown.id
                    );
                }
                assert!(shown.is_called(&shown.id) && shown.is_called(&shown.label));
            }
        }
    }

    #[test]
    fn labels_raise_exponents_and_leave_the_rest() {
        for (units, expected) in [
            ("kg m-2 s-1", "kg m⁻² s⁻¹"),
            ("m**2 s**-2", "m² s⁻²"),
            ("W/m^2", "W/m²"),
            ("m/s", "m/s"),
            ("mm/day", "mm/day"),
            ("1", ""),
            ("percent", "%"),
            ("Celsius", "°C"),
            ("degrees", "°"),
            ("K m-12", "K m⁻¹²"),
            ("µg m-3", "µg m⁻³"),
        ] {
            assert_eq!(label(units), expected);
        }
    }
}
