//! How numbers become colours, as it was asked for and as it was meant.

use graticule_shared::colormap::{self, Lut, Stretch};
use graticule_shared::cube::Variable;

use crate::problem::{Answer, Problem};

/// What is asked; what is left open is the browser's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    pub colormap: Option<String>,
    /// Low and high end in the stored unit.
    pub clim: Option<(f64, f64)>,
    pub logarithmic: bool,
    /// So many steps of colour instead of 256 (ncWMS: `NUMCOLORBANDS`).
    pub bands: Option<u8>,
    pub below: Beyond,
    pub above: Beyond,
    /// 0 to 255; opaque when absent.
    pub alpha: Option<u8>,
}

/// What is shown beyond an end of the scale (ncWMS: `BELOWMINCOLOR`, `ABOVEMAXCOLOR`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Beyond {
    /// The colour of the end.
    #[default]
    Extend,
    Transparent,
    Colour([u8; 3]),
}

impl Beyond {
    /// `extend`, `transparent`, or a colour as [`colour`] reads it.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(name: &str, text: &str) -> Answer<Self> {
        match text.to_ascii_lowercase().as_str() {
            "extend" => Ok(Self::Extend),
            "transparent" => Ok(Self::Transparent),
            _ => colour(text).map(Self::Colour).ok_or_else(|| {
                Problem::parameter(name, text, "expected extend, transparent or a colour such as 0xFF8800")
            }),
        }
    }
}

/// `0xRRGGBB` or `#RRGGBB`.
pub fn colour(text: &str) -> Option<[u8; 3]> {
    let digits = ["0x", "0X", "#"].iter().find_map(|p| text.strip_prefix(p))?;
    if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let [_, r, g, b] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some([r, g, b])
}

/// `low,high`: two different numbers.
///
/// # Errors
/// Anything else.
pub fn clim(name: &str, text: &str) -> Answer<(f64, f64)> {
    let number = |t: &str| t.trim().parse().ok().filter(|v: &f64| v.is_finite());
    match text.split(',').map(number).collect::<Vec<_>>()[..] {
        [Some(low), Some(high)] if low != high => Ok((low, high)),
        _ => Err(Problem::parameter(name, text, "expected two different numbers such as -2,32")),
    }
}

/// The colour scale that a variable has while nobody chose one.
pub fn default_colormap(variable: &Variable) -> &'static str {
    colormap::default_for(
        variable.standard_name.as_deref(),
        variable.path.rsplit('/').next().unwrap_or(&variable.path),
        variable.units.as_deref(),
    )
}

/// # Errors
/// No colour scale has this name.
pub fn lut(name: &str) -> Answer<Lut> {
    colormap::lut(name).ok_or_else(|| {
        let known: Vec<&str> = colormap::names().collect();
        Problem::parameter("colormap", name, format!("expected one of {}; _r reverses", known.join(", ")))
    })
}

/// Complete.
#[derive(Debug, Clone)]
pub struct Style {
    pub name: String,
    pub lut: Lut,
    pub low: f64,
    pub high: f64,
    pub stretch: Stretch,
    pub below: Beyond,
    pub above: Beyond,
    pub alpha: u8,
    bands: Option<u8>,
}

impl Style {
    /// # Errors
    /// Ends that a logarithm does not have.
    pub fn new(name: String, lut: Lut, (low, high): (f64, f64), asked: &Asked) -> Answer<Self> {
        let stretch = if asked.logarithmic { Stretch::Log } else { Stretch::Linear };
        // Where nobody chose the ends, as the viewer does it.
        let low = if asked.logarithmic && asked.clim.is_none() && low <= 0.0 && high > 0.0 {
            high * 1e-3
        } else {
            low
        };
        if asked.logarithmic && (low <= 0.0 || high <= 0.0) {
            let why = "a logarithmic scale needs two ends above zero";
            return Err(Problem::parameter("clim", &format!("{low},{high}"), why));
        }
        let mut banded = lut;
        if let Some(bands) = asked.bands.map(usize::from).filter(|n| *n > 0) {
            for (i, colour) in banded.iter_mut().enumerate() {
                let band = i * bands / 256;
                *colour = lut[if bands == 1 { 127 } else { band * 255 / (bands - 1) }];
            }
        }
        Ok(Self {
            name,
            lut: banded,
            low,
            high,
            stretch,
            below: asked.below,
            above: asked.above,
            alpha: asked.alpha.unwrap_or(255),
            bands: asked.bands,
        })
    }

    /// The same for styles that draw the same.
    pub fn key(&self) -> String {
        let Self { name, low, high, stretch, below, above, alpha, bands, .. } = self;
        format!("{name} {low:?} {high:?} {stretch:?} {below:?} {above:?} {alpha} {bands:?}")
    }

    /// The colour of a value.
    pub fn colour(&self, value: f64) -> [u8; 3] {
        self.lut[usize::from(colormap::index(value, self.low, self.high, self.stretch))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_ends_are_read_or_refused() {
        assert_eq!(colour("0xFF8001"), Some([255, 128, 1]));
        assert_eq!(colour("#000000"), Some([0; 3]));
        for bad in ["", "red", "0x12345", "0x1234567", "#12345é", "#+12345"] {
            assert_eq!(colour(bad), None, "{bad}");
        }
        assert_eq!(clim("clim", "-2, 32").unwrap(), (-2.0, 32.0));
        for bad in ["", "1", "1,1", "a,b", "1,2,3", "nan,1", "1,inf"] {
            assert!(clim("clim", bad).is_err(), "{bad}");
        }
        assert_eq!(Beyond::parse("x", "TRANSPARENT").unwrap(), Beyond::Transparent);
    }

    #[test]
    fn bands_are_steps_of_one_colour_from_end_to_end() {
        let lut = lut("viridis").unwrap();
        let asked = Asked { bands: Some(5), ..Asked::default() };
        let style = Style::new("viridis".into(), lut, (0.0, 5.0), &asked).unwrap();
        assert_eq!(style.colour(0.1), lut[0]);
        assert_eq!(style.colour(0.9), lut[0]);
        assert_eq!(style.colour(2.5), lut[127]);
        assert_eq!(style.colour(4.9), lut[255]);
        let logarithmic = Asked { logarithmic: true, clim: Some((0.0, 1.0)), ..Asked::default() };
        assert!(Style::new("viridis".into(), lut, (0.0, 1.0), &logarithmic).is_err());
    }
}
