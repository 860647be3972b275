//! An image as CF variables.

use graticule_shared::dtype::DataType;

use graticule_shared::grid::projection::Projection;

use super::axes::{self, Affine, Transform};
use super::crs::Crs;
use super::directory::{Bytes, Directory};
use super::gdal::{self, Item};
use super::keys::{GeoKeys, Reference};
use super::layout::Layout;
use super::{Content, Places};
use crate::checks::{Finding, Severity};
use crate::{AttrValue, Dimension, FormatError, Header, Limits, Variable};

const SUBFILE_TYPE: u16 = 254;
const COLOUR_MAP: u16 = 320;
const GDAL_METADATA: u16 = 42112;
const GDAL_NODATA: u16 = 42113;
/// Photometric interpretation of a palette.
const PALETTE: u64 = 3;
/// The grid mapping variable.
const MAPPING: &str = "crs";

pub(super) fn note(variable: &str, found: impl Into<String>, expected: &str) -> Finding {
    Finding::new(Severity::Note, variable, found, expected)
}

fn text(value: &str) -> AttrValue {
    AttrValue::Text(value.to_owned())
}

fn number(value: f64) -> AttrValue {
    AttrValue::Floats(DataType::Float64, vec![value])
}

/// `value` in the type of the samples; callers have checked that it is one.
pub(super) fn native(dtype: DataType, value: f64) -> Vec<u8> {
    match dtype {
        DataType::Int8 => (value as i8).to_ne_bytes().to_vec(),
        DataType::UInt8 => (value as u8).to_ne_bytes().to_vec(),
        DataType::Int16 => (value as i16).to_ne_bytes().to_vec(),
        DataType::UInt16 => (value as u16).to_ne_bytes().to_vec(),
        DataType::Int32 => (value as i32).to_ne_bytes().to_vec(),
        DataType::UInt32 => (value as u32).to_ne_bytes().to_vec(),
        DataType::Int64 => (value as i64).to_ne_bytes().to_vec(),
        DataType::UInt64 => (value as u64).to_ne_bytes().to_vec(),
        DataType::Float32 => (value as f32).to_ne_bytes().to_vec(),
        DataType::Float64 => value.to_ne_bytes().to_vec(),
    }
}

/// The header, what stands behind each variable, where the cells of a rotated image are, and
/// the missing value.
pub(super) fn build(
    bytes: &Bytes,
    layout: &Layout,
    pages: &[(u64, Directory)],
    limits: &Limits,
) -> Result<(Header, Vec<Content>, Option<Places>, Option<f64>), FormatError> {
    let directory = &pages[0].1;
    let keys = GeoKeys::read(bytes, directory, limits)?;
    let reference = keys.reference().map_err(|reason| FormatError::new(&bytes.file, reason))?;
    let transform = axes::read(bytes, directory, keys.at_centres(), [layout.height, layout.width], limits)?;
    let (axes, places) = match transform {
        None => (None, None),
        Some(Transform::Axes(y, x)) => (Some((y, x)), None),
        Some(Transform::Rotated(affine)) => (None, Some(places(affine, reference.as_ref(), &bytes.file)?)),
    };
    let metadata = gdal::items(&bytes.text(directory, GDAL_METADATA, limits)?);
    let mut header = Header {
        format: if bytes.big { "GeoTIFF (BigTIFF)" } else { "GeoTIFF" }.to_owned(),
        ..Header::default()
    };
    let mut contents = Vec::new();
    let geographic = reference.as_ref().is_some_and(|r| matches!(r.crs, Crs::Geographic(_)));
    let names = if geographic && places.is_none() { ["latitude", "longitude"] } else { ["y", "x"] };
    for (name, len) in names.into_iter().zip([layout.height, layout.width]) {
        header.dimensions.push(Dimension { name: name.to_owned(), len, unlimited: false });
    }
    if let Some((y, x)) = axes {
        let unit = reference.as_ref().map_or(1.0, |r| r.unit);
        for (i, mut axis) in [y, x].into_iter().enumerate() {
            axis.first *= unit;
            axis.step *= unit;
            header.variables.push(axis_variable(names[i], header.dimensions[i].len, i, reference.as_ref()));
            contents.push(Content::Axis(axis));
        }
    } else if places.is_some() {
        for (i, content) in [Content::Latitude, Content::Longitude].into_iter().enumerate() {
            let name = ["latitude", "longitude"][i];
            header.variables.push(Variable {
                path: name.to_owned(),
                dims: names.map(str::to_owned).to_vec(),
                shape: vec![layout.height, layout.width],
                dtype: DataType::Float64,
                attributes: vec![
                    ("standard_name".to_owned(), text(name)),
                    ("units".to_owned(), text(["degrees_north", "degrees_east"][i])),
                ],
                chunks: None,
            });
            contents.push(content);
        }
        header.notes.push(note(
            "file",
            "the image is rotated or sheared: its cells have latitudes and longitudes instead of axes",
            "a north-up image, which has axes",
        ));
        let guessed = reference.as_ref().and_then(|r| r.note.as_ref());
        header.notes.extend(guessed.map(|n| note("file", n.as_str(), "a known geographic system")));
    } else {
        header.notes.push(note(
            "file",
            "the image does not say where it is",
            "ModelPixelScale and ModelTiepoint",
        ));
    }
    match &reference {
        Some(r) if axes.is_some() => {
            let mut attributes = r.crs.attributes();
            if let Some(code) = r.epsg {
                attributes.push(("epsg_code".to_owned(), text(&format!("EPSG:{code}"))));
            }
            header.variables.push(Variable {
                path: MAPPING.to_owned(),
                dims: Vec::new(),
                shape: Vec::new(),
                dtype: DataType::Int32,
                attributes,
                chunks: None,
            });
            contents.push(Content::Mapping);
            header
                .notes
                .extend(r.note.as_ref().map(|n| note(MAPPING, n.as_str(), "a known geographic system")));
        }
        Some(_) => {}
        None => header.notes.push(note("file", "there is no coordinate reference system", "GeoKeys")),
    }
    let missing = missing(bytes, layout, directory, limits, &mut header)?;
    let palette = palette(bytes, layout, directory, limits)?;
    let mapped = reference.is_some() && axes.is_some();
    for band in 0..layout.bands {
        let items: Vec<&Item> =
            metadata.iter().filter(|i| i.band == Some(band) && i.domain.is_empty()).collect();
        let mut attributes = band_attributes(layout, band, &items, missing);
        if mapped {
            attributes.push(("grid_mapping".to_owned(), text(MAPPING)));
        }
        if places.is_some() {
            attributes.push(("coordinates".to_owned(), text("latitude longitude")));
        }
        attributes.extend(palette.iter().cloned());
        header.variables.push(Variable {
            path: band_name(band, &items, &header.variables),
            dims: names.map(str::to_owned).to_vec(),
            shape: vec![layout.height, layout.width],
            dtype: layout.coding.dtype,
            attributes,
            chunks: Some(vec![
                (layout.coding.chunk_height as u64).min(layout.height),
                (layout.coding.chunk_width as u64).min(layout.width),
            ]),
        });
        contents.push(Content::Band(band));
    }
    for item in metadata.iter().filter(|i| i.band.is_none() && i.domain.is_empty() && !i.name.is_empty()) {
        header.attributes.push((item.name.replace('/', "_"), text(&item.value)));
    }
    other_pages(bytes, layout, &pages[1..], &mut header)?;
    Ok((header, contents, places, missing))
}

/// Of a rotated image, whose coordinates alone say nothing to whoever wants axes.
fn places(mut affine: Affine, reference: Option<&Reference>, file: &str) -> Result<Places, FormatError> {
    let Some(r) = reference else {
        let reason =
            "the image is rotated or sheared and has no coordinate reference system; expected GeoKeys";
        return Err(FormatError::new(file, reason));
    };
    for term in affine.x.iter_mut().chain(&mut affine.y) {
        *term *= r.unit;
    }
    let projection = match r.crs {
        Crs::Geographic(_) => None,
        Crs::Projected { .. } => {
            let attributes = r.crs.attributes().into_iter().map(|(k, v)| (k, v.to_json())).collect();
            let projection = Projection::from_attributes(&attributes);
            Some(projection.map_err(|reason| FormatError::new(file, reason))?)
        }
    };
    Ok(Places { affine, projection })
}

fn axis_variable(name: &str, len: u64, i: usize, reference: Option<&Reference>) -> Variable {
    let mut attributes = vec![("axis".to_owned(), text(["Y", "X"][i]))];
    match reference.map(|r| r.crs) {
        Some(Crs::Geographic(_)) => {
            attributes.push(("standard_name".to_owned(), text(name)));
            attributes.push(("units".to_owned(), text(["degrees_north", "degrees_east"][i])));
        }
        Some(Crs::Projected { .. }) => {
            let standard = ["projection_y_coordinate", "projection_x_coordinate"][i];
            attributes.push(("standard_name".to_owned(), text(standard)));
            attributes.push(("units".to_owned(), text("m")));
        }
        None => {}
    }
    Variable {
        path: name.to_owned(),
        dims: vec![name.to_owned()],
        shape: vec![len],
        dtype: DataType::Float64,
        attributes,
        chunks: None,
    }
}

/// GDAL's nodata, if a sample can have that value.
fn missing(
    bytes: &Bytes,
    layout: &Layout,
    directory: &Directory,
    limits: &Limits,
    header: &mut Header,
) -> Result<Option<f64>, FormatError> {
    let written = bytes.text(directory, GDAL_NODATA, limits)?;
    if written.trim().is_empty() {
        return Ok(None);
    }
    let value = gdal::missing(&written);
    let possible = value.filter(|v| match layout.coding.dtype {
        DataType::Float64 | DataType::Float32 => true,
        dtype => dtype.to_f64_vec(&native(dtype, *v)) == [*v],
    });
    if possible.is_none() {
        let found = format!("the nodata value is {:?}; it is ignored", written.trim());
        header.notes.push(note("file", found, &format!("a value of {}", layout.coding.dtype)));
    }
    Ok(possible)
}

fn band_attributes(
    layout: &Layout,
    band: u64,
    items: &[&Item],
    missing: Option<f64>,
) -> Vec<(String, AttrValue)> {
    let mut out = Vec::new();
    if let Some(value) = missing {
        let fill = AttrValue::from_native(layout.coding.dtype, &native(layout.coding.dtype, value));
        out.push(("_FillValue".to_owned(), fill));
    }
    for item in items {
        let value = item.value.trim();
        let parsed = value.parse::<f64>().ok().filter(|v| v.is_finite());
        match (item.role.as_str(), parsed) {
            ("scale", Some(scale)) if scale != 1.0 => out.push(("scale_factor".to_owned(), number(scale))),
            ("offset", Some(offset)) if offset != 0.0 => out.push(("add_offset".to_owned(), number(offset))),
            ("unittype", _) if !value.is_empty() => out.push(("units".to_owned(), text(value))),
            ("description", _) if !value.is_empty() => out.push(("long_name".to_owned(), text(value))),
            ("", _) if !item.name.is_empty() => {
                out.push((format!("GDAL_{}", item.name.replace('/', "_")), text(value)));
            }
            _ => {}
        }
    }
    // CF section 3.3: one of long_name and standard_name.
    if !out.iter().any(|(name, _)| name == "long_name") {
        out.push(("long_name".to_owned(), text(&format!("band {}", band + 1))));
    }
    out
}

/// The description of a band where it can be a name, else `band_1` and so on.
fn band_name(band: u64, items: &[&Item], taken: &[Variable]) -> String {
    let described = items.iter().find(|i| i.role == "description").map(|i| i.value.trim());
    let name: String = described
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .take(64)
        .collect();
    let name = name.trim_matches('_');
    let free = |name: &str| {
        !["latitude", "longitude", "y", "x", MAPPING].contains(&name) && !taken.iter().any(|v| v.path == name)
    };
    let numbered = format!("band_{}", band + 1);
    if name.starts_with(char::is_alphabetic) && !name.starts_with("band_") && free(name) {
        name.to_owned()
    } else {
        numbered
    }
}

/// A palette as CF flags (section 3.5), up to the last entry that has a colour.
fn palette(
    bytes: &Bytes,
    layout: &Layout,
    directory: &Directory,
    limits: &Limits,
) -> Result<Vec<(String, AttrValue)>, FormatError> {
    let map = bytes.all_uints(directory, COLOUR_MAP, limits)?;
    let entries = map.len() / 3;
    if layout.coding.photometric != PALETTE || layout.coding.bits > 8 || entries == 0 || entries > 256 {
        return Ok(Vec::new());
    }
    let colour = |i: usize| [map[i], map[entries + i], map[2 * entries + i]].map(|c| (c >> 8) as u8);
    let last = (0..entries).rposition(|i| colour(i) != [0; 3]).map_or(entries, |i| i + 1);
    let colours: Vec<String> = (0..last)
        .map(|i| {
            let [r, g, b] = colour(i);
            format!("#{r:02x}{g:02x}{b:02x}")
        })
        .collect();
    let meanings: Vec<String> = (0..last).map(|i| format!("class_{i}")).collect();
    Ok(vec![
        ("flag_values".to_owned(), AttrValue::Ints(layout.coding.dtype, (0..last as i64).collect())),
        ("flag_meanings".to_owned(), text(&meanings.join(" "))),
        ("flag_colors".to_owned(), text(&colours.join(" "))),
    ])
}

/// Overviews are made anew by whoever wants them; masks and further images are told of.
fn other_pages(
    bytes: &Bytes,
    layout: &Layout,
    pages: &[(u64, Directory)],
    header: &mut Header,
) -> Result<(), FormatError> {
    let mut factors = Vec::new();
    for (i, (_, page)) in pages.iter().enumerate() {
        let kind = bytes.one(page, SUBFILE_TYPE, 0).unwrap_or(0);
        let width = bytes.one(page, 256, 0).unwrap_or(0);
        if kind & 4 != 0 {
            header.notes.push(note(
                "file",
                format!("image {} is a mask; it is ignored", i + 2),
                "nodata values",
            ));
        } else if kind & 1 != 0 && width > 0 {
            factors.push((layout.width as f64 / width as f64).round() as i64);
        } else {
            header.skipped.push((
                format!("image {}", i + 2),
                "only the first image of the file is read; split the others off".to_owned(),
            ));
        }
    }
    if !factors.is_empty() {
        header.attributes.push(("overviews".to_owned(), AttrValue::Ints(DataType::Int64, factors)));
    }
    Ok(())
}
