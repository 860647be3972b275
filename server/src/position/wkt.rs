//! The geometry of a position query: WKT `POINT` or `MULTIPOINT` (OGC 06-103r4
//! section 7.2), longitude before latitude as in CRS84.

/// Longitudes and latitudes in degrees; a third number (height) is passed over.
///
/// # Errors
/// What was expected, for anything else.
pub fn parse_points(text: &str) -> Result<Vec<(f64, f64)>, String> {
    let expected = || {
        "expected WKT with longitude before latitude, such as POINT(4.9 52.4) or MULTIPOINT((4.9 52.4),(5.1 52.1))"
            .to_owned()
    };
    let text = text.trim();
    let open = text.find('(').ok_or_else(expected)?;
    let body = text[open..].strip_prefix('(').and_then(|b| b.strip_suffix(')')).ok_or_else(expected)?;
    let keyword = text[..open].trim().to_ascii_uppercase();
    let keyword = keyword.strip_suffix('Z').unwrap_or(&keyword).trim();
    let points: Vec<&str> = match keyword {
        "POINT" => vec![body],
        "MULTIPOINT" => {
            body.split(',').map(|p| p.trim().trim_start_matches('(').trim_end_matches(')')).collect()
        }
        _ => return Err(expected()),
    };
    points
        .into_iter()
        .map(|p| {
            let numbers: Option<Vec<f64>> =
                p.split_whitespace().map(|n| n.parse().ok().filter(|v: &f64| v.is_finite())).collect();
            let (longitude, latitude) = match numbers.as_deref() {
                Some(&[x, y] | &[x, y, _]) => (x, y),
                _ => return Err(expected()),
            };
            if !(-90.0..=90.0).contains(&latitude) {
                return Err(format!(
                    "latitude {latitude} is not within -90 and 90; longitude comes first, as in POINT(4.9 52.4)"
                ));
            }
            if !(-540.0..=540.0).contains(&longitude) {
                return Err(format!("longitude {longitude} is not within -180 and 180"));
            }
            Ok((longitude, latitude))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::parse_points;

    #[test]
    fn points_are_read_with_longitude_first() {
        assert_eq!(parse_points("POINT(4.9 52.4)"), Ok(vec![(4.9, 52.4)]));
        assert_eq!(parse_points(" point Z (4.9 52.4 10)"), Ok(vec![(4.9, 52.4)]));
        assert_eq!(parse_points("MULTIPOINT((1 2), (3 4))"), Ok(vec![(1.0, 2.0), (3.0, 4.0)]));
        assert_eq!(parse_points("MULTIPOINT(1 2,3 4)"), Ok(vec![(1.0, 2.0), (3.0, 4.0)]));
    }

    #[test]
    fn what_is_no_point_is_refused_with_an_example() {
        for bad in [
            "",
            "POINT",
            "POINT()",
            "POINT(1)",
            "POINT(a b)",
            "POINT(1 2 3 4)",
            "POINT(NaN 0)",
            "POINT 1 2",
            "POLYGON((0 0,1 1,1 0,0 0))",
            "POINT(1 2",
            "(1 2)",
        ] {
            assert!(parse_points(bad).unwrap_err().contains("POINT(4.9 52.4)"), "{bad}");
        }
        assert!(parse_points("POINT(52 104)").unwrap_err().contains("longitude comes first"));
    }
}
