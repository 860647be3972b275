//! Sequential JPEG with Huffman codes (ITU-T T.81), sample for sample as rasterio has it.
//!
//! The standard leaves open how the transform is rounded and how coarse colour becomes
//! fine, so that decoders differ, by tens of steps at sharp edges. Here it is as in the
//! libjpeg (9) of GDAL's and rasterio's packages: the "islow" transform, of 16 x 16 samples
//! where a component has half the resolution.

mod frame;
mod huffman;
mod idct;
mod scan;
mod upsample;

/// A decoded picture.
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// One plane of `width * height` samples for each component.
    pub(crate) planes: Vec<Vec<u8>>,
}

/// Decodes a stream of at most `max_width` x `max_height` pixels.
///
/// # Errors
/// A sentence that names the marker and its byte offset, for streams that are damaged,
/// cut off, larger, progressive, arithmetic or lossless.
pub(crate) fn decode(stream: &[u8], max_width: usize, max_height: usize) -> Result<Picture, String> {
    let (frame, planes) = scan::decode(stream, max_width, max_height)?;
    let planes = planes
        .into_iter()
        .zip(&frame.components)
        .map(|(plane, c)| upsample::to_full(&plane, c, &frame))
        .collect();
    Ok(Picture { width: frame.width, height: frame.height, planes })
}

/// YCbCr as red, green and blue (ITU-T T.871), in libjpeg's fixed point, in place.
pub(crate) fn to_rgb(planes: &mut [Vec<u8>]) {
    let [y, cb, cr] = planes else { return };
    const HALF: i32 = 1 << 15;
    for ((y, cb), cr) in y.iter_mut().zip(cb).zip(cr) {
        let (l, b, r) = (i32::from(*y), i32::from(*cb) - 128, i32::from(*cr) - 128);
        // 1.402, 0.344136286, 0.714136286 and 1.772 times 2^16.
        let red = l + ((91_881 * r + HALF) >> 16);
        let green = l + ((-22_553 * b - 46_802 * r + HALF) >> 16);
        let blue = l + ((116_130 * b + HALF) >> 16);
        (*y, *cb, *cr) = (clamp(red), clamp(green), clamp(blue));
    }
}

fn clamp(v: i32) -> u8 {
    v.clamp(0, 255) as u8
}
