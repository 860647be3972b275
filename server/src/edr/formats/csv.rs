//! Rows as text (RFC 4180).

use std::fmt::Write;

use super::super::Coverage;
use super::rows::{Columns, Label};

/// The header names units: `air (degC)`. No data is an empty field.
pub fn write(coverages: &[Coverage]) -> Vec<u8> {
    let columns = Columns::of(coverages);
    let mut out = String::from("longitude,latitude");
    for d in &columns.dims {
        out.push(',');
        out.push_str(&field(&d.name));
    }
    for p in &columns.parameters {
        out.push(',');
        out.push_str(&field(
            &p.units.as_ref().map_or_else(|| p.name.clone(), |u| format!("{} ({u})", p.name)),
        ));
    }
    out.push_str("\r\n");
    columns.each(coverages, |row| {
        let _ = write!(out, "{},{}", row.longitude, row.latitude);
        for label in row.labels {
            out.push(',');
            let _ = match label {
                Some(Label::Time(t)) => out.write_str(t),
                Some(Label::Number(v)) => write!(out, "{v}"),
                None => Ok(()),
            };
        }
        for v in row.values {
            out.push(',');
            if v.is_finite() {
                let _ = write!(out, "{v}");
            }
        }
        out.push_str("\r\n");
    });
    out.into_bytes()
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
