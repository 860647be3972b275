//! Names, units and roles of columns, from one or two header lines.

use graticule_shared::units::Unit;

use super::Role;
use super::dialect::Dialect;

/// What the header says of a column.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Heading {
    pub(crate) name: String,
    pub(crate) units: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) role: Option<Role>,
}

/// Units that UDUNITS does not convert, or not under this spelling, but that tables state.
const OTHER_UNITS: [&str; 26] = [
    "UTC", "GMT", "degT", "deg", "degs", "degrees", "degreesN", "degreesE", "degN", "degE", "ft", "nmi",
    "psu", "PSU", "AU", "sec", "years", "yr", "ppm", "ppb", "dB", "NTU", "counts", "arcsec", "deg/day", "%",
];

pub(crate) fn is_unit(text: &str) -> bool {
    OTHER_UNITS.contains(&text) || Unit::parse(text).is_some()
}

/// What the columns are called: unique, in the source's own words.
pub(crate) fn headings(dialect: &Dialect) -> Vec<Heading> {
    let mut out: Vec<Heading> = Vec::new();
    for (i, name) in dialect.names.iter().enumerate() {
        let second = dialect.seconds.get(i).map(String::as_str).unwrap_or_default();
        let mut heading = if dialect.seconds_are_units {
            let known = !matches!(second, "" | "-" | "text");
            Heading { name: name.clone(), units: known.then(|| second.to_owned()), ..Heading::default() }
        } else if second.is_empty() {
            with_units_in_name(name)
        } else {
            in_two_lines(name, second, out.last())
        };
        if heading.name.is_empty() {
            heading.name = format!("column_{}", i + 1);
        }
        heading.role = role(&heading, second);
        out.push(heading);
    }
    make_unique(&mut out, dialect);
    // Of two latitudes (where a meteor began and ended) the first places the row.
    for wanted in [Role::Latitude, Role::Longitude, Role::Time] {
        for h in out.iter_mut().filter(|h| h.role == Some(wanted)).skip(1) {
            h.role = None;
        }
    }
    out
}

/// `depth (m)`, `temp [degC]`.
fn with_units_in_name(name: &str) -> Heading {
    for (open, close, certain) in [('[', ']', true), ('(', ')', false)] {
        if let Some((before, inside)) = name.strip_suffix(close).and_then(|n| n.rsplit_once(open))
            && !before.trim().is_empty()
            && !inside.trim().is_empty()
            && (certain || is_unit(inside.trim()))
        {
            return Heading {
                name: before.trim().to_owned(),
                units: Some(inside.trim().to_owned()),
                ..Heading::default()
            };
        }
    }
    Heading { name: name.to_owned(), ..Heading::default() }
}

/// The second line goes on with the name, states units, or both (`of N  deg`).
fn in_two_lines(name: &str, second: &str, before: Option<&Heading>) -> Heading {
    if name == "+/-" {
        // The uncertainty of the column before it, in its units.
        return Heading {
            name: format!("{} +/-", before.map_or("", |b| b.name.as_str())),
            units: before.and_then(|b| b.units.clone()),
            description: Some(second.to_owned()),
            role: None,
        };
    }
    if is_unit(second) {
        return Heading { name: name.to_owned(), units: Some(second.to_owned()), ..Heading::default() };
    }
    match second.rsplit_once(' ') {
        Some((words, unit)) if is_unit(unit) => Heading {
            name: name.to_owned(),
            units: Some(unit.to_owned()),
            description: Some(format!("{name} {}", words.trim())),
            role: None,
        },
        _ => Heading { name: format!("{name} ({second})"), ..Heading::default() },
    }
}

/// From the name, else from units that only one thing has (CF sections 4.1 and 4.2).
fn role(heading: &Heading, second: &str) -> Option<Role> {
    let plain: String =
        heading.name.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    let units = heading.units.as_deref().unwrap_or_default();
    match plain.as_str() {
        "lat" | "latitude" | "latbeg" | "decimallatitude" | "breite" => return Some(Role::Latitude),
        "lon" | "long" | "lng" | "longitude" | "lonbeg" | "decimallongitude" | "laenge" | "länge" => {
            return Some(Role::Longitude);
        }
        "time" | "date" | "datetime" | "timestamp" | "utc" | "utctime" | "timeutc" | "dateutc"
        | "datetimeutc" | "eventtime" | "obstime" | "beginningutctime" | "zeit" | "datum" => {
            return Some(Role::Time);
        }
        _ => {}
    }
    match units {
        "degrees_north" | "degree_north" | "degreesN" | "degN" => Some(Role::Latitude),
        "degrees_east" | "degree_east" | "degreesE" | "degE" => Some(Role::Longitude),
        "UTC" => Some(Role::Time),
        _ if second.starts_with("+N") => Some(Role::Latitude),
        _ if second.starts_with("+E") && units == "deg" => Some(Role::Longitude),
        _ => None,
    }
}

/// Two columns of one name get the second header line's words, else a number.
fn make_unique(headings: &mut [Heading], dialect: &Dialect) {
    let names: Vec<String> = headings.iter().map(|h| h.name.clone()).collect();
    let mut taken = std::collections::HashSet::new();
    for (i, h) in headings.iter_mut().enumerate() {
        let twice = names.iter().filter(|n| **n == h.name).count() > 1;
        if let Some(second) = dialect.seconds.get(i).filter(|s| twice && !s.is_empty()) {
            h.name = format!("{} ({second})", h.name);
        }
        let stem = h.name.clone();
        let mut n = 2;
        while !taken.insert(h.name.clone()) {
            h.name = format!("{stem} {n}");
            n += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_found_in_a_name() {
        for (text, name, units) in [
            ("depth (m)", "depth", Some("m")),
            ("temp [degC]", "temp", Some("degC")),
            ("time (UTC)", "time", Some("UTC")),
            ("flag (see below)", "flag (see below)", None),
            ("(m)", "(m)", None),
        ] {
            let h = with_units_in_name(text);
            assert_eq!((h.name.as_str(), h.units.as_deref()), (name, units));
        }
    }

    #[test]
    fn a_second_line_is_units_or_more_of_the_name() {
        let sol = in_two_lines("Sol lon", "deg", None);
        assert_eq!((sol.name.as_str(), sol.units.as_deref()), ("Sol lon", Some("deg")));
        let sigma = in_two_lines("+/-", "sigma", Some(&sol));
        assert_eq!((sigma.name.as_str(), sigma.units.as_deref()), ("Sol lon +/-", Some("deg")));
        assert_eq!(
            in_two_lines("Unique trajectory", "identifier", None).name,
            "Unique trajectory (identifier)"
        );
        let azimuth = in_two_lines("Azim +E", "of N  deg", None);
        assert_eq!(azimuth.units.as_deref(), Some("deg"));
    }
}
