//! Second-order packing of GRIB1 (section 4, flag bit 2).

use super::super::octets::{Fault, Result, Section};
use super::Scale;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SecondOrder;

impl SecondOrder {
    pub(crate) fn read(head: &Section<'_>, _scale: Scale) -> Result<Self> {
        Err(head.fault(4, "second-order packing is not read"))
    }

    pub(super) fn unpack(&self, _data: &[u8], _count: usize, _out: &mut Vec<f32>) -> Result<()> {
        Err(Fault::new("second-order packing"))
    }
}
