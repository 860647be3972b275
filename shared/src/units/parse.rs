//! Unit strings as UDUNITS-2 reads them, of which CF section 3.1 says that they are the grammar.
//!
//! Read is what gridded data use: products and quotients of units with prefixes,
//! whole exponents and plain factors. Parentheses, logarithmic units and times
//! since an epoch are not; such a text has no [`Unit`], which is no error.

/// Exponents of kilogram, metre, second, kelvin, mole, radian.
pub type Dimension = [i8; 6];

/// A unit: `base = value * scale + offset`, base being the product of SI base
/// units that `dimension` says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    pub dimension: Dimension,
    pub scale: f64,
    pub offset: f64,
}

/// Longer texts are prose.
const MAX_LEN: usize = 64;

const fn unit(dimension: Dimension, scale: f64, offset: f64) -> Unit {
    Unit { dimension, scale, offset }
}

const ONE: Dimension = [0; 6];
const KG: Dimension = [1, 0, 0, 0, 0, 0];
const M: Dimension = [0, 1, 0, 0, 0, 0];
const S: Dimension = [0, 0, 1, 0, 0, 0];
pub(super) const K: Dimension = [0, 0, 0, 1, 0, 0];
const MOL: Dimension = [0, 0, 0, 0, 1, 0];
const RAD: Dimension = [0, 0, 0, 0, 0, 1];
const SPEED: Dimension = [0, 1, -1, 0, 0, 0];
pub(super) const PRESSURE: Dimension = [1, -1, -2, 0, 0, 0];
const FAHRENHEIT: Unit = unit(K, 5.0 / 9.0, 459.67 * 5.0 / 9.0);
const FOOT_M: f64 = 0.3048;
const DEG_RAD: f64 = std::f64::consts::PI / 180.0;

/// Symbols: they keep their case and take prefixes where that is usual.
/// Values: SI brochure, 9th edition, tables 2 to 8; UDUNITS-2 `udunits2-{base,derived,accepted,common}.xml`.
const SYMBOLS: &[(&str, bool, Unit)] = &[
    ("g", true, unit(KG, 1e-3, 0.0)),
    ("m", true, unit(M, 1.0, 0.0)),
    ("s", true, unit(S, 1.0, 0.0)),
    ("K", true, unit(K, 1.0, 0.0)),
    ("mol", true, unit(MOL, 1.0, 0.0)),
    ("rad", true, unit(RAD, 1.0, 0.0)),
    ("Pa", true, unit(PRESSURE, 1.0, 0.0)),
    ("N", true, unit([1, 1, -2, 0, 0, 0], 1.0, 0.0)),
    ("J", true, unit([1, 2, -2, 0, 0, 0], 1.0, 0.0)),
    ("W", true, unit([1, 2, -3, 0, 0, 0], 1.0, 0.0)),
    ("Wh", true, unit([1, 2, -2, 0, 0, 0], 3600.0, 0.0)),
    ("bar", true, unit(PRESSURE, 1e5, 0.0)),
    ("mb", false, unit(PRESSURE, 100.0, 0.0)),
    ("atm", false, unit(PRESSURE, 101_325.0, 0.0)),
    ("inHg", false, unit(PRESSURE, 3386.389, 0.0)),
    ("°C", false, unit(K, 1.0, 273.15)),
    ("degC", false, unit(K, 1.0, 273.15)),
    ("deg_C", false, unit(K, 1.0, 273.15)),
    ("degree_C", false, unit(K, 1.0, 273.15)),
    ("degrees_C", false, unit(K, 1.0, 273.15)),
    ("°F", false, FAHRENHEIT),
    ("degF", false, FAHRENHEIT),
    ("degree_F", false, FAHRENHEIT),
    ("degrees_F", false, FAHRENHEIT),
    ("degK", false, unit(K, 1.0, 0.0)),
    ("deg_K", false, unit(K, 1.0, 0.0)),
    ("degree_K", false, unit(K, 1.0, 0.0)),
    ("degrees_K", false, unit(K, 1.0, 0.0)),
    ("%", false, unit(ONE, 0.01, 0.0)),
    ("ppm", false, unit(ONE, 1e-6, 0.0)),
    ("ppb", false, unit(ONE, 1e-9, 0.0)),
    ("min", false, unit(S, 60.0, 0.0)),
    ("h", false, unit(S, 3600.0, 0.0)),
    ("hr", false, unit(S, 3600.0, 0.0)),
    ("d", false, unit(S, 86_400.0, 0.0)),
    ("kn", false, unit(SPEED, 1852.0 / 3600.0, 0.0)),
    ("kt", false, unit(SPEED, 1852.0 / 3600.0, 0.0)),
    ("mph", false, unit(SPEED, 1609.344 / 3600.0, 0.0)),
    ("kph", false, unit(SPEED, 1000.0 / 3600.0, 0.0)),
    ("ft", false, unit(M, FOOT_M, 0.0)),
    ("in", false, unit(M, 0.0254, 0.0)),
    ("mi", false, unit(M, 1609.344, 0.0)),
    ("nmi", false, unit(M, 1852.0, 0.0)),
    ("gpm", false, unit(M, 1.0, 0.0)),
    ("Sv", false, unit([0, 3, -1, 0, 0, 0], 1e6, 0.0)),
    ("°", false, unit(RAD, DEG_RAD, 0.0)),
];

/// Names: any case, one or many.
const NAMES: &[(&str, Unit)] = &[
    ("gram", unit(KG, 1e-3, 0.0)),
    ("kilogram", unit(KG, 1.0, 0.0)),
    ("tonne", unit(KG, 1000.0, 0.0)),
    ("meter", unit(M, 1.0, 0.0)),
    ("metre", unit(M, 1.0, 0.0)),
    ("millimeter", unit(M, 1e-3, 0.0)),
    ("millimetre", unit(M, 1e-3, 0.0)),
    ("centimeter", unit(M, 1e-2, 0.0)),
    ("centimetre", unit(M, 1e-2, 0.0)),
    ("kilometer", unit(M, 1000.0, 0.0)),
    ("kilometre", unit(M, 1000.0, 0.0)),
    ("foot", unit(M, FOOT_M, 0.0)),
    ("feet", unit(M, FOOT_M, 0.0)),
    ("inch", unit(M, 0.0254, 0.0)),
    ("mile", unit(M, 1609.344, 0.0)),
    ("second", unit(S, 1.0, 0.0)),
    ("sec", unit(S, 1.0, 0.0)),
    ("minute", unit(S, 60.0, 0.0)),
    ("hour", unit(S, 3600.0, 0.0)),
    ("day", unit(S, 86_400.0, 0.0)),
    ("kelvin", unit(K, 1.0, 0.0)),
    ("celsius", unit(K, 1.0, 273.15)),
    ("degree_celsius", unit(K, 1.0, 273.15)),
    ("degrees_celsius", unit(K, 1.0, 273.15)),
    ("fahrenheit", FAHRENHEIT),
    ("degree_fahrenheit", FAHRENHEIT),
    ("degrees_fahrenheit", FAHRENHEIT),
    ("pascal", unit(PRESSURE, 1.0, 0.0)),
    ("hectopascal", unit(PRESSURE, 100.0, 0.0)),
    ("millibar", unit(PRESSURE, 100.0, 0.0)),
    ("watt", unit([1, 2, -3, 0, 0, 0], 1.0, 0.0)),
    ("joule", unit([1, 2, -2, 0, 0, 0], 1.0, 0.0)),
    ("newton", unit([1, 1, -2, 0, 0, 0], 1.0, 0.0)),
    ("mole", unit(MOL, 1.0, 0.0)),
    ("radian", unit(RAD, 1.0, 0.0)),
    ("degree", unit(RAD, DEG_RAD, 0.0)),
    ("knot", unit(SPEED, 1852.0 / 3600.0, 0.0)),
    ("sverdrup", unit([0, 3, -1, 0, 0, 0], 1e6, 0.0)),
    ("percent", unit(ONE, 0.01, 0.0)),
    ("fraction", unit(ONE, 1.0, 0.0)),
    ("dimensionless", unit(ONE, 1.0, 0.0)),
];

/// SI brochure, table 7; `u` stands in for the sign of micro.
const PREFIXES: &[(&str, f64)] = &[
    ("da", 1e1),
    ("T", 1e12),
    ("G", 1e9),
    ("M", 1e6),
    ("k", 1e3),
    ("h", 1e2),
    ("d", 1e-1),
    ("c", 1e-2),
    ("m", 1e-3),
    ("µ", 1e-6),
    ("μ", 1e-6),
    ("u", 1e-6),
    ("n", 1e-9),
    ("p", 1e-12),
];

impl Unit {
    /// Reads `text`; `None` where it is not a unit that can be converted.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_LEN {
            return None;
        }
        // ECMWF writes fractions so; the double star is Fortran's exponent.
        let text = if text == "(0 - 1)" || text == "0-1" { "1" } else { text };
        let text = text.replace("**", "^");
        let mut factors = Vec::new();
        let mut divide = false;
        for part in split(&text) {
            match part {
                "/" | "per" if !divide => divide = true,
                "/" | "per" => return None,
                part => {
                    factors.push((part, divide));
                    divide = false;
                }
            }
        }
        match factors.as_slice() {
            _ if divide => None,
            [] => None,
            // Only a unit that stands alone keeps its zero point: a degree in a
            // product is a difference (UDUNITS-2, "offset units").
            [(one, false)] => factor(one),
            several => several.iter().try_fold(unit(ONE, 1.0, 0.0), |product, (part, divide)| {
                let f = factor(part)?;
                let sign = if *divide { -1 } else { 1 };
                let mut dimension = product.dimension;
                for (d, by) in dimension.iter_mut().zip(f.dimension) {
                    *d = d.checked_add(by.checked_mul(sign)?)?;
                }
                let scale = if *divide { product.scale / f.scale } else { product.scale * f.scale };
                sound(unit(dimension, scale, 0.0))
            }),
        }
    }

    /// `value` of this unit in `other`; the dimensions must be the same.
    pub fn convert(&self, value: f64, other: &Unit) -> Option<f64> {
        (self.dimension == other.dimension).then(|| {
            if self == other {
                value
            } else {
                (value * self.scale + (self.offset - other.offset)) / other.scale
            }
        })
    }

    /// The same unit for differences: no zero point.
    pub fn of_differences(self) -> Self {
        Self { offset: 0.0, ..self }
    }
}

fn sound(u: Unit) -> Option<Unit> {
    (u.scale.is_finite() && u.scale > 0.0).then_some(u)
}

/// Factors and division signs; a space, a dot or a star multiplies.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
        .flat_map(|word| {
            // A dot between digits is part of a number.
            let number = word.parse::<f64>().is_ok();
            word.split_inclusive(move |c: char| !number && matches!(c, '/' | '*' | '·' | '.')).flat_map(
                move |piece| {
                    let cut = piece.trim_end_matches(['*', '·']);
                    let cut = if number { cut } else { cut.trim_end_matches('.') };
                    match cut.strip_suffix('/') {
                        Some(before) => [before, "/"],
                        None => [cut, ""],
                    }
                },
            )
        })
        .filter(|p| !p.is_empty())
}

/// A number, or a unit with its exponent: `m-2`, `m^2`, `m²`, `s⁻¹`.
fn factor(text: &str) -> Option<Unit> {
    if let Ok(number) = text.parse::<f64>() {
        return sound(unit(ONE, number, 0.0));
    }
    if let Some((Ok(base), Ok(exponent))) =
        text.split_once('^').map(|(b, e)| (b.parse::<f64>(), e.parse::<i32>()))
    {
        return sound(unit(ONE, base.powi(exponent), 0.0));
    }
    let plain = text.replace('⁻', "-").replace('¹', "1").replace('²', "2").replace('³', "3");
    let at = plain.find(|c: char| c.is_ascii_digit() || matches!(c, '^' | '-' | '+')).unwrap_or(plain.len());
    let (name, exponent) = plain.split_at_checked(at)?;
    let exponent = exponent.trim_start_matches('^');
    if exponent.is_empty() && at == plain.len() {
        return named(name);
    }
    let exponent: i8 = exponent.parse().ok().filter(|e: &i8| (1..=9).contains(&e.unsigned_abs()))?;
    let base = named(name)?;
    let mut dimension = base.dimension;
    for d in &mut dimension {
        *d = d.checked_mul(exponent)?;
    }
    sound(unit(dimension, base.scale.powi(i32::from(exponent)), 0.0))
}

fn named(name: &str) -> Option<Unit> {
    let symbol = |name: &str| SYMBOLS.iter().find(|(s, ..)| *s == name);
    if let Some((.., u)) = symbol(name) {
        return Some(*u);
    }
    let lower = name.to_lowercase();
    let word = |name: &str| NAMES.iter().find(|(n, _)| *n == name).map(|(_, u)| *u);
    if let Some(u) = word(&lower).or_else(|| word(lower.strip_suffix('s')?)) {
        return Some(u);
    }
    PREFIXES.iter().find_map(|(prefix, by)| {
        let (_, takes, u) = symbol(name.strip_prefix(prefix)?)?;
        (*takes).then(|| unit(u.dimension, u.scale * by, 0.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) {
        let (u, v) = (Unit::parse(a).unwrap_or_else(|| panic!("{a}")), Unit::parse(b).unwrap());
        assert_eq!(u.dimension, v.dimension, "{a} {b}");
        assert!(
            (u.scale / v.scale - 1.0).abs() < 1e-12 && (u.offset - v.offset).abs() < 1e-9,
            "{a} {b}: {u:?} {v:?}"
        );
    }

    #[test]
    fn the_same_unit_in_different_hands_is_the_same() {
        for text in
            ["m s-1", "m/s", "m s**-1", "m s^-1", "m.s-1", "m·s⁻¹", "metres per second", "meter second-1"]
        {
            same(text, "m s-1");
        }
        for text in ["kg m-2 s-1", "kg m**-2 s**-1", "kg/m2/s", "kg/m^2/s", "g cm-2 s-1 0.1"] {
            same(text, "kg m-2 s-1");
        }
        same("millibars", "hPa");
        same("mb", "hPa");
        same("degrees_Celsius", "degC");
        same("(0 - 1)", "1");
        same("mm/day", "mm d-1");
        same("10^-6 m", "um");
        same("0.001 m", "mm");
    }

    #[test]
    fn what_is_no_unit_has_none() {
        let texts = [
            "",
            "~",
            "days since 1950-01-01",
            "m/",
            "//",
            "m//s",
            "m^99",
            "m-",
            "-1",
            "0",
            "psu",
            "W (m2)",
            "1e999",
        ];
        for text in texts {
            assert_eq!(Unit::parse(text), None, "{text}");
        }
        assert_eq!(Unit::parse(&"m".repeat(100)), None);
        assert_eq!(Unit::parse("m9 m9 m9 m9 m9 m9 m9 m9 m9 m9 m9 m9 m9 m9 m9"), None);
    }

    #[test]
    fn known_conversions_hold() {
        for (value, from, expected, to) in [
            (0.0, "degC", 273.15, "K"),
            (300.0, "K", 26.85, "degC"),
            (-40.0, "degF", -40.0, "degC"),
            (212.0, "degF", 373.15, "K"),
            (1.0, "kn", 1.852, "km/h"),
            (101_325.0, "Pa", 1013.25, "hPa"),
            (1.0, "ft", 30.48, "cm"),
            (0.25, "1", 25.0, "%"),
            (1.0, "m s-1", 3.6, "km h-1"),
            (1.0, "Sv", 1e6, "m3 s-1"),
        ] {
            let (a, b) = (Unit::parse(from).unwrap(), Unit::parse(to).unwrap());
            let got = a.convert(value, &b).unwrap();
            assert!((got - expected).abs() < 1e-9 * expected.abs().max(1.0), "{value} {from} = {got} {to}");
            let back = b.convert(got, &a).unwrap();
            assert!((back - value).abs() < 1e-9 * value.abs().max(1.0));
        }
        assert_eq!(Unit::parse("m").unwrap().convert(1.0, &Unit::parse("s").unwrap()), None);
    }
}
