//! To one sample for each pixel: what the transform has left coarser is repeated.

use super::frame::{Component, Frame};

/// `plane`, of `c.stride * c.rows`, as `frame.width * frame.height` samples.
pub(super) fn to_full(plane: &[u8], c: &Component, frame: &Frame) -> Vec<u8> {
    let (across, down) = (8 * frame.max_h / c.h / c.block_width, 8 * frame.max_v / c.v / c.block_height);
    let mut out = Vec::with_capacity(frame.width * frame.height);
    for y in 0..frame.height {
        let line = &plane[y / down * c.stride..][..c.stride];
        if across == 1 {
            out.extend_from_slice(&line[..frame.width]);
        } else {
            out.extend((0..frame.width).map(|x| line[x / across]));
        }
    }
    out
}
