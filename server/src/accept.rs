//! What a client takes.

/// The elements of a list of preferences, each with its weight in thousandths: 0 is refused, and so is what
/// has a weight that is none (RFC 9110, section 12.4.2).
pub fn weighed(list: &str) -> impl Iterator<Item = (&str, u16)> {
    list.split(',').map(|element| {
        let mut parts = element.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let q = parts.find_map(|p| {
            let (key, value) = p.split_once('=')?;
            key.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().unwrap_or(0.0))
        });
        (name, (q.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0) as u16)
    })
}

/// Media types of `Accept`, the most wanted first; not those that are refused (RFC 9110, section 12.5.1).
pub fn preferred(accept: &str) -> Vec<&str> {
    let mut all: Vec<(&str, u16)> = weighed(accept).filter(|(_, q)| *q > 0).collect();
    // Equal ones stay in their order.
    all.sort_by_key(|(_, q)| std::cmp::Reverse(*q));
    all.into_iter().map(|(t, _)| t).collect()
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

    #[test]
    fn weights_are_read_in_either_case_and_kept_between_0_and_1() {
        let of = |list| weighed(list).collect::<Vec<_>>();
        assert_eq!(
            of("gzip;Q=0.5 , br ; q = 0.001,*;q=7,a;q=-1,b;q=NaN"),
            [("gzip", 500), ("br", 1), ("*", 1000), ("a", 0), ("b", 0)]
        );
    }
}
