//! Numbers for people: as many digits as mean something, never more.

/// A value for a label or the readout: up to six significant digits, a true minus sign.
pub fn value(v: f64) -> String {
    if !v.is_finite() {
        return "–".to_owned();
    }
    let magnitude = v.abs();
    let text = if magnitude != 0.0 && !(1e-4..1e7).contains(&magnitude) {
        format!("{v:.4e}").replacen('e', "×10^", 1)
    } else {
        let whole = if magnitude == 0.0 { 1 } else { magnitude.log10().floor() as i32 + 1 };
        trim(format!("{v:.*}", (6 - whole).clamp(0, 9) as usize))
    };
    minus(text)
}

/// Ticks and ends of a range: digits enough to tell them apart.
pub fn in_range(v: f64, span: f64) -> String {
    let magnitude = v.abs().max(span.abs());
    if magnitude == 0.0 || !span.is_finite() || !(1e-4..1e7).contains(&magnitude) {
        return value(v);
    }
    let digits = (2.0 - span.abs().log10().floor()).clamp(0.0, 6.0) as usize;
    minus(trim(format!("{v:.digits$}")))
}

fn trim(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn minus(text: String) -> String {
    if text == "-0" { "0".to_owned() } else { text.replace('-', "\u{2212}") }
}

/// A stored number in full; one that was a float32, with the digits that a float32 has.
pub fn stored(v: f64) -> String {
    let single = v as f32;
    minus(if f64::from(single) == v { single.to_string() } else { v.to_string() })
}

/// A sentence begins with a capital.
pub fn sentence(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

/// What was typed: accepts the true minus and a decimal comma.
pub fn parse(text: &str) -> Option<f64> {
    let plain = text.trim().replace('\u{2212}', "-").replace("×10^", "e").replace(',', ".");
    plain.parse::<f64>().ok().filter(|v| v.is_finite())
}

pub fn latitude(deg: f64) -> String {
    // Always two places: the text must not jump while the pointer moves.
    format!("{:.2}° {}", deg.abs(), if deg < 0.0 { "S" } else { "N" })
}

pub fn longitude(deg: f64) -> String {
    let deg = wrap(deg);
    format!("{:.2}° {}", deg.abs(), if deg < 0.0 { "W" } else { "E" })
}

pub fn wrap(longitude_deg: f64) -> f64 {
    (longitude_deg + 180.0).rem_euclid(360.0) - 180.0
}

/// Degrees of one cell, as in "level 2: 1° mean".
pub fn cell_size(deg: f64) -> String {
    let text = if deg >= 0.01 { trim(format!("{deg:.2}")) } else { trim(format!("{deg:.5}")) };
    format!("{text}°")
}

pub fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{} kB", n / 1_000),
        _ => format!("{:.1} MB", n as f64 / 1e6),
    }
}

/// A value and its unit's label, with the space that typography wants.
pub fn with_unit(v: f64, label: &str) -> String {
    let gap = if label.is_empty() || label == "°" { "" } else { " " };
    format!("{}{gap}{label}", value(v))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_keeps_six_significant_digits_and_no_noise() {
        assert_eq!(value(0.0), "0");
        assert_eq!(value(-1.5), "\u{2212}1.5");
        assert_eq!(value(291.449_999_9), "291.45");
        assert_eq!(value(123_347.75), "123348");
        assert_eq!(value(0.001_234_567), "0.00123457");
        assert_eq!(value(2.5e-9), "2.5000×10^\u{2212}9");
        assert_eq!(value(f64::NAN), "–");
    }

    #[test]
    fn ends_of_a_range_show_what_tells_them_apart() {
        assert_eq!(in_range(271.349, 34.0), "271.3");
        assert_eq!(in_range(1013.0, 4000.0), "1013");
        assert_eq!(in_range(0.01, 0.05), "0.01");
    }

    #[test]
    fn a_factor_stored_as_float32_shows_no_digits_that_it_never_had() {
        assert_eq!(stored(f64::from(0.01_f32)), "0.01");
        assert_eq!(stored(0.01), "0.01");
        assert_eq!(stored(-0.123_456_789_012), "\u{2212}0.123456789012");
        assert_eq!(sentence("there is none"), "There is none");
    }

    #[test]
    fn what_is_shown_can_be_typed_back() {
        for v in [0.0, -1.5, 291.45, 2.5e-9, -3e12] {
            assert_eq!(parse(&value(v)), Some(v));
        }
        assert_eq!(parse("3,5"), Some(3.5));
        assert_eq!(parse("warm"), None);
        assert_eq!(parse("inf"), None);
    }

    #[test]
    fn places_are_written_with_their_hemisphere() {
        assert_eq!(latitude(-33.75), "33.75° S");
        assert_eq!(longitude(359.0), "1.00° W");
        assert_eq!(longitude(180.0), "180.00° W");
    }
}
