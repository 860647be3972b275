//! Every numeric variable of the sample files, against what netCDF4-python reads.

mod sample;

use graticule_formats::{AttrValue, FormatError, Limits, Source, Variable, open};
use graticule_shared::dtype::DataType;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What is known not to be read yet, with a part of the reason: a fix announces itself.
const KNOWN_FAILURES: [(&str, &str); 1] =
    [("netcdf/structure/compound.nc", "shared datatype/dataspace in attribute v3 is not supported")];

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Reads a variable whole, in slabs along its first axis, so that slabs are tested too.
fn read_whole(source: &dyn Source, v: &Variable) -> Result<Vec<u8>, FormatError> {
    let count = v.shape.clone();
    let whole = source.read(&v.path, &vec![0; count.len()], &count)?;
    let Some(n) = count.first().copied().filter(|n| *n > 1) else { return Ok(whole) };
    let mut pieces = Vec::new();
    for (from, to) in [(0, n / 3), (n / 3, n / 3 + 1), (n / 3 + 1, n)] {
        let mut start = vec![0; count.len()];
        let mut part = count.clone();
        start[0] = from;
        part[0] = to - from;
        pieces.extend(source.read(&v.path, &start, &part)?);
    }
    assert!(pieces == whole, "{}: slabs differ from the whole", v.path);
    Ok(whole)
}

fn first_failure(path: &std::path::Path) -> Option<String> {
    let source = match open(path, Limits::default()) {
        Ok(source) => source,
        Err(e) => return Some(e.to_string()),
    };
    let header = source.header();
    let failed = header.variables.iter().find_map(|v| read_whole(source.as_ref(), v).err());
    failed.map(|e| e.to_string()).or_else(|| header.skipped.first().map(|(n, why)| format!("{n}: {why}")))
}

fn number(v: &Variable, name: &str) -> Option<f64> {
    v.attribute(name).and_then(AttrValue::as_f64)
}

/// By the rules that references.json states: scaled in float64, missing to NaN.
fn decode(v: &Variable, raw: &[u8]) -> Vec<f64> {
    let unsigned = v.attribute("_Unsigned").and_then(AttrValue::as_text).is_some_and(|t| t == "true");
    let dtype = if unsigned { v.dtype.to_unsigned() } else { v.dtype };
    let cast = |x: f64| if unsigned && x < 0.0 { x + 2f64.powi(8 * dtype.size() as i32) } else { x };
    let missing: Vec<f64> =
        ["_FillValue", "missing_value"].iter().filter_map(|n| number(v, n)).map(cast).collect();
    let scale = number(v, "scale_factor").unwrap_or(1.0);
    let offset = number(v, "add_offset").unwrap_or(0.0);
    dtype
        .to_f64_vec(raw)
        .into_iter()
        .map(|x| if missing.contains(&x) { f64::NAN } else { x * scale + offset })
        .collect()
}

fn close(got: f64, want: f64) -> bool {
    (got - want).abs() <= 1e-6 * want.abs().max(1.0)
}

#[test]
fn every_numeric_variable_equals_the_known_answers() {
    let Some((dir, references)) = sample::references() else { return };
    let inventory = references["netcdf_inventory"].as_object().expect("an inventory");
    let (mut files, mut variables, mut wrong) = (0, 0, Vec::new());
    for (name, known) in inventory {
        if let Some((_, reason)) = KNOWN_FAILURES.iter().find(|(n, _)| n == name) {
            match first_failure(&dir.join(name)) {
                Some(found) if found.contains(reason) => {}
                found => wrong.push(format!("{name}: expected to fail with {reason:?}; found {found:?}")),
            }
            continue;
        }
        let source = match open(&dir.join(name), Limits::default()) {
            Ok(source) => source,
            Err(e) => {
                wrong.push(format!("{e}"));
                continue;
            }
        };
        files += 1;
        let header = source.header();
        for (path, want) in known["vars"].as_object().expect("variables") {
            let numpy = want["dtype"].as_str().unwrap_or_default();
            let Some(dtype) = DataType::from_v2(numpy) else {
                // A character that is there for its attributes alone (CF section 5.6) is carried over as a number.
                let mapping = header.variables.iter().any(|v| {
                    v.path == *path && v.shape.is_empty() && v.attribute("grid_mapping_name").is_some()
                });
                if !mapping && !header.skipped.iter().any(|(n, _)| n == path) {
                    wrong.push(format!("{name} {path}: {numpy} is not reported as skipped"));
                }
                continue;
            };
            let Some(v) = header.variables.iter().find(|v| v.path == *path) else {
                let why = header.skipped.iter().find(|(n, _)| n == path);
                wrong.push(format!("{name} {path}: not there; skipped: {why:?}"));
                continue;
            };
            variables += 1;
            if v.dtype != dtype || serde_json::json!(v.shape) != want["shape"] {
                wrong.push(format!(
                    "{name} {path}: {} {:?}, expected {numpy} {}",
                    v.dtype, v.shape, want["shape"]
                ));
                continue;
            }
            for (dim, len) in v.dims.iter().zip(&v.shape) {
                if !header.dimensions.iter().any(|d| d.name == *dim && d.len == *len) {
                    wrong.push(format!("{name} {path}: dimension {dim} of length {len} is not declared"));
                }
            }
            let raw = match read_whole(source.as_ref(), v) {
                Ok(raw) => raw,
                Err(e) => {
                    wrong.push(e.to_string());
                    continue;
                }
            };
            if let Some(sha) = want["sha256_raw"].as_str()
                && hex(&raw) != sha
            {
                wrong.push(format!("{name} {path}: the stored values differ"));
            }
            let values: Vec<f64> = decode(v, &raw).into_iter().filter(|x| x.is_finite()).collect();
            let found = [
                ("valid", values.len() as f64),
                ("min", values.iter().copied().fold(f64::INFINITY, f64::min)),
                ("max", values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
                ("mean", values.iter().sum::<f64>() / values.len() as f64),
            ];
            for (key, got) in found {
                if let Some(want) = want[key].as_f64()
                    && !close(got, want)
                {
                    wrong.push(format!("{name} {path}: {key} is {got}, expected {want}"));
                }
            }
        }
        for (dim, len) in known["dims"].as_object().expect("dims") {
            let found = header.dimensions.iter().find(|d| d.name == *dim);
            if found.map(|d| d.len) != len.as_u64() {
                wrong.push(format!("{name}: dimension {dim} is {found:?}, expected {len}"));
            }
        }
        let unlimited: Vec<&str> =
            known["unlimited"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for d in &header.dimensions {
            let known_dim = known["dims"].get(&d.name).is_some();
            if known_dim && d.unlimited != unlimited.contains(&d.name.as_str()) {
                wrong.push(format!("{name}: dimension {} unlimited: {}", d.name, d.unlimited));
            }
        }
    }
    eprintln!("{files} files, {variables} numeric variables compared");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    assert!(files >= 50 && variables >= 500, "the inventory shrank: {files} files, {variables} variables");
}
