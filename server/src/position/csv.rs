//! The same answer as rows: one for each place and step, one column a parameter.

use std::fmt::Write;

use super::{Labels, Place, Selected};

/// RFC 4180 text. The header names units: `air (degC)`. No data is an empty field.
pub fn csv(places: &[Place]) -> String {
    let mut parameters: Vec<(&str, Option<&str>)> = Vec::new();
    let mut dims: Vec<&str> = Vec::new();
    for s in places.iter().flat_map(|p| &p.series) {
        let name = (s.variable.path.as_str(), s.variable.units.as_deref());
        if !parameters.contains(&name) {
            parameters.push(name);
        }
        for d in &s.dims {
            if !dims.contains(&d.name.as_str()) {
                dims.push(&d.name);
            }
        }
    }
    let mut out = String::from("longitude,latitude");
    for d in &dims {
        out.push(',');
        out.push_str(&field(d));
    }
    for (name, units) in &parameters {
        out.push(',');
        out.push_str(&field(&units.map_or_else(|| (*name).to_owned(), |u| format!("{name} ({u})"))));
    }
    out.push_str("\r\n");
    for place in places {
        let mut done: Vec<&[Selected]> = Vec::new();
        for series in &place.series {
            if done.contains(&series.dims.as_slice()) {
                continue;
            }
            done.push(&series.dims);
            let together: Vec<_> = place.series.iter().filter(|s| s.dims == series.dims).collect();
            let shape: Vec<u64> = series.dims.iter().map(|d| d.indices.len() as u64).collect();
            for row in 0..series.values.len() {
                let at = crate::opened::unravel(row as u64, &shape);
                let _ = write!(out, "{},{}", place.longitude_deg, place.latitude_deg);
                for name in &dims {
                    out.push(',');
                    if let Some(i) = series.dims.iter().position(|d| d.name == *name) {
                        label(&mut out, &series.dims[i].labels, at.get(i).copied().unwrap_or(0));
                    }
                }
                for (name, _) in &parameters {
                    out.push(',');
                    let value = together.iter().find(|s| s.variable.path == *name);
                    if let Some(v) = value.and_then(|s| s.values.get(row).copied().flatten()) {
                        let _ = write!(out, "{v}");
                    }
                }
                out.push_str("\r\n");
            }
        }
    }
    out
}

fn label(out: &mut String, labels: &Labels, index: u64) {
    match labels {
        Labels::Times { values, .. } => out.push_str(values.get(index as usize).map_or("", String::as_str)),
        Labels::Numbers(values) => {
            if let Some(v) = values.get(index as usize) {
                let _ = write!(out, "{v}");
            }
        }
    }
}

/// Quoted where it must be; a leading character that a spreadsheet would run is defused.
fn field(text: &str) -> String {
    let safe = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.to_owned() };
    if safe.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", safe.replace('"', "\"\"")) } else { safe }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn hostile_names_stay_text() {
        assert_eq!(field("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(field("air (degC)"), "air (degC)");
    }
}
