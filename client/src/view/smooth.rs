//! Whether cells are drawn flat or with straight lines between their centres.

/// A cell wider than this on the screen is seen as a tile, CSS pixels.
const TILE_PX: f64 = 4.0;

/// What is drawn unless someone said otherwise: smooth where single cells would
/// stand out, flat where they are fine, and flat always for categories, between
/// which there is nothing.
pub fn by_default(cell_px: f64, categories: bool) -> bool {
    !categories && cell_px > TILE_PX
}

#[cfg(test)]
mod tests {
    use super::by_default;

    #[test]
    fn large_cells_of_a_continuous_field_are_smoothed_and_categories_never() {
        assert!(by_default(5.6, false));
        assert!(!by_default(0.9, false));
        assert!(!by_default(400.0, true));
        assert!(!by_default(f64::NAN, false));
    }
}
