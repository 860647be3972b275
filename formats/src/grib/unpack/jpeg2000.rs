//! JPEG 2000 code streams (template 5.40).

use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};

use super::super::octets::{Fault, Result};
use super::Scale;

pub(super) fn unpack(scale: &Scale, data: &[u8], count: usize, out: &mut Vec<f32>) -> Result<()> {
    let broken = |e: &dyn std::fmt::Display| Fault::new(format!("the JPEG 2000 stream does not decode: {e}"));
    let settings = DecodeSettings { resolve_palette_indices: false, strict: true, target_resolution: None };
    let image = Image::new(data, &settings).map_err(|e| broken(&e))?;
    let (width, height) = (u64::from(image.width()), u64::from(image.height()));
    // Before anything of that size is allocated.
    if width * height != count as u64 {
        return Err(Fault::new(format!(
            "the JPEG 2000 picture has {width} by {height} samples; {count} values are declared"
        )));
    }
    if image.color_space().num_channels() != 1 || image.has_alpha() {
        return Err(Fault::new("the JPEG 2000 picture has more than one component"));
    }
    let precision = image.original_bit_depth();
    if precision > 24 {
        return Err(Fault::new(format!("JPEG 2000 samples of {precision} bits; at most 24 are read")));
    }
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(|e| broken(&e))?;
    let [samples] = decoded.components() else {
        return Err(Fault::new(format!(
            "the JPEG 2000 picture has {} components, not 1",
            decoded.components().len()
        )));
    };
    // Samples are whole numbers held in float32, which is exact up to 24 bits.
    scale.apply(samples.samples().iter().take(count).map(|s| *s as u32), out);
    Ok(())
}
