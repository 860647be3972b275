//! PNG pictures (template 5.41).
//!
//! The number of bits in section 5 and the depth of the picture need not agree:
//! 14-bit numbers lie in 16-bit samples. The picture is right about itself.

use std::io::Cursor;

use super::super::bits::Bits;
use super::super::octets::{Fault, Result};
use super::Scale;

pub(super) fn unpack(scale: &Scale, data: &[u8], count: usize, out: &mut Vec<f32>) -> Result<()> {
    let broken = |e: png::DecodingError| Fault::new(format!("the PNG picture does not decode: {e}"));
    // What the picture may take: at most four octets a value, and a line besides.
    let limits = png::Limits { bytes: count.saturating_mul(5).saturating_add(1 << 20) };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(data), limits);
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(broken)?;
    let info = reader.info();
    let (width, height) = (u64::from(info.width), u64::from(info.height));
    if width * height != count as u64 {
        return Err(Fault::new(format!(
            "the PNG picture has {width} by {height} samples; {count} values are declared"
        )));
    }
    if info.interlaced || info.color_type == png::ColorType::Indexed {
        return Err(Fault::new("the PNG picture is interlaced or has a palette; plain samples are expected"));
    }
    // Three and four channels are the octets of one number.
    let bits = info.bits_per_pixel() as u32;
    if bits > 32 {
        return Err(Fault::new(format!("PNG samples of {bits} bits; at most 32 are read")));
    }
    let (offset, factor) = scale.line();
    let columns = width as usize;
    while let Some(row) = reader.next_row().map_err(broken)? {
        let from = out.len();
        out.resize(from + columns, 0.0);
        let line = out.get_mut(from..).unwrap_or_default();
        Bits::new(row.data()).fill(bits, line, |p| (offset + f64::from(p) * factor) as f32)?;
    }
    Ok(())
}
