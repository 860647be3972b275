//! JPEG 2000 code streams (template 5.40).

use super::super::octets::{Fault, Result};
use super::Scale;
use crate::jpeg2000::{decode, size};

pub(super) fn unpack(scale: &Scale, data: &[u8], count: usize, out: &mut Vec<f32>) -> Result<()> {
    let broken = |e| Fault::new(format!("the JPEG 2000 stream does not decode: {e}"));
    if size(data).map_err(broken)?.signed {
        return Err(Fault::new("JPEG 2000 samples with a sign; packed numbers have none"));
    }
    let samples = decode(data, count).map_err(broken)?;
    scale.apply(samples.iter().map(|s| *s as u32), out);
    Ok(())
}
