//! What a client takes.

/// Media types of `Accept`, the most wanted first; not those that are refused (RFC 9110, section 12.5.1).
pub fn preferred(accept: &str) -> Vec<&str> {
    let weighed = |range: &str| -> Option<f32> {
        let q = range.split(';').skip(1).find_map(|p| p.trim().strip_prefix("q="));
        q.map_or(Some(1.0), |q| q.trim().parse().ok()).filter(|q| *q > 0.0)
    };
    let mut all: Vec<(f32, &str)> = accept
        .split(',')
        .filter_map(|range| Some((weighed(range)?, range.split(';').next()?.trim())))
        .collect();
    // Equal ones stay in their order.
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.into_iter().map(|(_, t)| t).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_wanted_comes_first_and_what_is_refused_not_at_all() {
        assert_eq!(
            preferred("text/csv;q=0.1, application/x-netcdf , */*;q=0.1"),
            ["application/x-netcdf", "text/csv", "*/*"]
        );
        assert_eq!(preferred("text/csv;q=0, */*; q=0.5"), ["*/*"]);
        assert_eq!(preferred("a/b;level=1;q=0.3,c/d;q=x,e/f"), ["e/f", "a/b"]);
    }
}
