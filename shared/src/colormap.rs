//! Colour scales: from a value to one of 256 colours.
//!
//! The browser's shader, the legend and anything the server draws look colours up
//! in the same tables and round the same way, so that a pixel can be checked
//! against its value. The tables and their sources are in `assets/colormaps/`.

/// 256 colours, sRGB, 8 bits each.
pub type Lut = [[u8; 3]; 256];

static NAMES: &str = include_str!("../../assets/colormaps/names.txt");
static TABLES: &[u8] = include_bytes!("../../assets/colormaps/colormaps.bin");

/// Names of all colour scales, the default (`viridis`) first.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.lines().filter(|l| !l.is_empty())
}

/// The table called `name`; a `_r` suffix reverses one that is not stored reversed.
pub fn lut(name: &str) -> Option<Lut> {
    let stored = |name: &str| -> Option<Lut> {
        let at = names().position(|n| n == name)? * 768;
        let (colours, _) = TABLES.get(at..at + 768)?.as_chunks::<3>();
        colours.try_into().ok()
    };
    stored(name).or_else(|| {
        let mut table = stored(name.strip_suffix("_r")?)?;
        table.reverse();
        Some(table)
    })
}

/// How a value runs from the low to the high end of the scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stretch {
    #[default]
    Linear,
    Log,
}

/// Index into the table: `floor(t * 256)`, held to 0..=255, as matplotlib's
/// `Colormap.__call__` does. `low` may exceed `high` to reverse the scale.
#[inline]
pub fn index(value: f64, low: f64, high: f64, stretch: Stretch) -> u8 {
    let t = match stretch {
        Stretch::Linear => (value - low) / (high - low),
        Stretch::Log => (value / low).ln() / (high / low).ln(),
    };
    // A cast cuts off the fraction, as floor does of what is not negative; NaN casts to 0.
    (t * 256.0).clamp(0.0, 255.0) as u8
}

/// The colour scale that suits a CF standard name: cmocean's by quantity, a
/// diverging one for differences, viridis where nothing is known.
pub fn default_for(standard_name: Option<&str>, name: &str, units: Option<&str>) -> &'static str {
    let s = standard_name.unwrap_or(name).to_ascii_lowercase();
    let has = |part: &str| s.contains(part);
    let signed =
        ["anomaly", "difference", "tendency", "vorticity", "divergence", "eastward", "northward", "upward"];
    if signed.into_iter().any(has) {
        "balance"
    } else if has("direction") || has("phase") {
        "phase"
    } else if has("sea_ice") || has("ice_area") {
        "ice"
    } else if has("temperature")
        || has("sst")
        || matches!(units, Some("K" | "kelvin" | "degC" | "celsius" | "degrees_C"))
    {
        "thermal"
    } else if has("salinity") {
        "haline"
    } else if has("speed") || has("wave") || has("gust") {
        "speed"
    } else if has("depth") || has("bathymetry") {
        "deep"
    } else if has("precipitation") || has("rain") || has("amount") {
        "amp"
    } else {
        "viridis"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_table_is_there_and_viridis_is_viridis() {
        assert!(names().count() >= 25);
        assert!(names().all(|n| lut(n).is_some()));
        let viridis = lut("viridis").unwrap();
        assert_eq!(viridis[0], [68, 1, 84]);
        assert_eq!(viridis[255], [253, 231, 37]);
        assert_eq!(lut("viridis_r").unwrap()[0], [253, 231, 37]);
        assert!(lut("no such scale").is_none());
    }

    #[test]
    fn the_index_rounds_as_matplotlib_does() {
        assert_eq!(index(0.0, 0.0, 1.0, Stretch::Linear), 0);
        assert_eq!(index(1.0, 0.0, 1.0, Stretch::Linear), 255);
        assert_eq!(index(0.5, 0.0, 1.0, Stretch::Linear), 128);
        assert_eq!(index(-9.0, 0.0, 1.0, Stretch::Linear), 0);
        assert_eq!(index(f64::NAN, 0.0, 1.0, Stretch::Linear), 0);
        assert_eq!(index(10.0, 1.0, 100.0, Stretch::Log), 128);
    }
}
