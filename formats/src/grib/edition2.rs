//! GRIB edition 2: sections 1 to 7 of a message, where 2 to 7, 3 to 7 or 4 to 7 may
//! be repeated.

use super::field::{Encoded, Field, Product, Range};
use super::inventory::{Inventory, MOST_FAULTS, MOST_FIELDS};
use super::octets::{Fault, Result, Section};
use super::product::{self, Context};
use super::scan::Message;
use super::time;
use super::unpack::{Ccsds, Complex, Missing, Packing, Scale};
use super::window::Window;

const NAMES: [&str; 8] =
    ["section 0", "section 1", "section 2", "section 3", "section 4", "section 5", "section 6", "section 7"];

/// What the sections so far have said.
#[derive(Default)]
struct State {
    identified: Option<Identified>,
    /// A field that cannot be read leaves the others of its message alone.
    grid: Option<Result<usize>>,
    product: Option<Result<Product>>,
    packing: Option<Result<(Packing, u64)>>,
    bitmap: Option<Result<Option<Range>>>,
    /// For "the bitmap defined before".
    last_bitmap: Option<Range>,
}

#[derive(Clone, Copy)]
struct Identified {
    centre: u16,
    subcentre: u16,
    local_tables: u8,
    reference: i64,
}

/// Reads the headers of a message into `out`.
///
/// # Errors
/// The sections do not follow one another as they must. Faults of single fields
/// are noted in `out`.
pub(crate) fn read(
    message: &Message,
    number: usize,
    window: &mut Window<'_>,
    out: &mut Inventory,
) -> Result<()> {
    let discipline = window.get(message.offset + 6, 1)?.first().copied().unwrap_or_default();
    let end = message.offset + message.len - 4;
    let mut at = message.offset + 16;
    let mut state = State::default();
    let mut fields = 0;
    while at < end {
        let head = window.get(at, 5)?;
        let s = Section { name: "section", offset: at, bytes: head };
        let (len, n) = (u64::from(s.u32(1)?), s.u8(5)?);
        let name = NAMES.get(usize::from(n)).copied().unwrap_or("section");
        if len < 5 || len > end - at {
            return Err(Fault::at(
                format!(
                    "{name} is {len} bytes long by its header; {} are left in the message, and 5 are the least",
                    end - at
                ),
                at,
            ));
        }
        match n {
            1 => state.identified = Some(identification(&section(window, n, at, len)?)?),
            2 => {}
            3 => state.grid = Some(out.grid(2, &section(window, n, at, len)?)),
            4 => {
                let s = section(window, n, at, len)?;
                let i = state.identified.ok_or_else(|| Fault::at("section 4 comes before section 1", at))?;
                let context = Context {
                    discipline,
                    centre: i.centre,
                    local_tables: i.local_tables,
                    reference: i.reference,
                };
                state.product = Some(product::read(&s, &context));
            }
            5 => state.packing = Some(representation(&section(window, n, at, len)?)),
            6 => {
                let head = Section { name, offset: at, bytes: window.get(at, len.min(6))? };
                state.bitmap = Some(bitmap(&head, len, &mut state.last_bitmap));
            }
            7 => {
                fields += 1;
                if out.faults.len() >= MOST_FAULTS || out.fields.len() >= MOST_FIELDS {
                    return Err(Fault::at("too many fields in one message; the rest is not read", at));
                }
                let data = Range { offset: at + 5, len: len - 5 };
                match state.field(message, number, data, at) {
                    Ok(field) => out.field(field)?,
                    Err(fault) => out.faults.push((
                        format!(
                            "message {number}{}",
                            if fields > 1 { format!(" field {fields}") } else { String::new() }
                        ),
                        fault,
                    )),
                }
            }
            n => {
                return Err(Fault::at(format!("section number {n}; 1 to 7 are expected here"), at + 4));
            }
        }
        at += len;
    }
    if fields == 0 {
        return Err(Fault::at("the message has no section 7, so no values", message.offset));
    }
    Ok(())
}

fn section<'w>(window: &'w mut Window<'_>, n: u8, offset: u64, len: u64) -> Result<Section<'w>> {
    let name = NAMES.get(usize::from(n)).copied().unwrap_or("section");
    Ok(Section { name, offset, bytes: window.get(offset, len)? })
}

fn identification(s: &Section<'_>) -> Result<Identified> {
    let mut parts = [i64::from(s.u16(13)?), 0, 0, 0, 0, 0];
    for (i, part) in parts.iter_mut().enumerate().skip(1) {
        *part = i64::from(s.u8(14 + i)?);
    }
    Ok(Identified {
        centre: s.u16(6)?,
        subcentre: s.u16(8)?,
        local_tables: s.u8(11)?,
        reference: time::epoch(parts).map_err(|f| s.fault(13, format!("reference time: {}", f.reason)))?,
    })
}

impl State {
    fn field(&mut self, message: &Message, number: usize, data: Range, at: u64) -> Result<Field> {
        let missing = |n: u8| Fault::at(format!("section 7 comes without section {n}"), at);
        let i = self.identified.ok_or_else(|| missing(1))?;
        let grid = self.grid.clone().ok_or_else(|| missing(3))?;
        // Each field has its own; grid and bitmap may be said once.
        let product = self.product.take().ok_or_else(|| missing(4))?;
        let packing = self.packing.take().ok_or_else(|| missing(5))?;
        let bitmap = self.bitmap.take().ok_or_else(|| missing(6))?;
        let (packing, values) = packing?;
        Ok(Field {
            message: number,
            offset: message.offset,
            len: message.len,
            edition: 2,
            centre: i.centre,
            subcentre: i.subcentre,
            reference: i.reference,
            product: product?,
            grid: grid?,
            encoded: Encoded { packing, bitmap: bitmap?, data, values: Some(values), unused_bits: 0 },
        })
    }
}

fn bitmap(s: &Section<'_>, len: u64, last: &mut Option<Range>) -> Result<Option<Range>> {
    match s.u8(6)? {
        0 => {
            *last = Some(Range { offset: s.offset + 6, len: len - 6 });
            Ok(*last)
        }
        254 => last.map(Some).ok_or_else(|| {
            s.fault(6, "the bitmap defined before is meant; there is none before in this message")
        }),
        255 => Ok(None),
        n => Err(s.fault(6, format!("bitmap {n} is one that its centre has defined; it is not in the file"))),
    }
}

fn scale(s: &Section<'_>) -> Result<Scale> {
    let bits = u32::from(s.u8(20)?);
    let reference = f64::from(s.f32(12)?);
    if !reference.is_finite() {
        return Err(s.fault(12, format!("the reference value is {reference}")));
    }
    if bits > 32 {
        return Err(s.fault(20, format!("values of {bits} bits; at most 32 are read")));
    }
    Ok(Scale { reference, binary: s.i16(16)?, decimal: s.i16(18)?, bits })
}

/// Section 5: the packing, and how many values are packed.
fn representation(s: &Section<'_>) -> Result<(Packing, u64)> {
    let values = u64::from(s.u32(6)?);
    let template = s.u16(10)?;
    let packing = match template {
        0 => Packing::Simple(scale(s)?),
        2 | 3 => Packing::Complex(Box::new(complex(s, template == 3)?)),
        4 => match s.u8(12)? {
            1 => Packing::Ieee32,
            2 => Packing::Ieee64,
            n => return Err(s.fault(12, format!("IEEE precision {n}; 1 (32 bits) and 2 (64 bits) are read"))),
        },
        40 | 40_000 => Packing::Jpeg2000(scale(s)?),
        41 | 40_010 => Packing::Png(scale(s)?),
        42 => {
            let scale = scale(s)?;
            let (block, interval) = (u32::from(s.u8(23)?), u32::from(s.u16(24)?));
            Packing::Ccsds { scale, coding: Ccsds { bits: scale.bits, flags: s.u8(22)?, block, interval } }
        }
        61 => Packing::SimpleLog { scale: scale(s)?, before: f64::from(s.f32(21)?) },
        200 => {
            let largest = u32::from(s.u16(13)?);
            let levels = usize::from(s.u16(15)?);
            Packing::RunLength {
                bits: u32::from(s.u8(12)?),
                largest,
                levels: (0..levels).map(|i| s.u16(18 + 2 * i)).collect::<Result<_>>()?,
                decimal: s.i8(17)?,
            }
        }
        50 | 51 => {
            return Err(s.fault(
                10,
                format!("template 5.{template} packs spherical harmonics, not points of a grid"),
            ));
        }
        n => return Err(s.fault(10, format!("data representation template 5.{n} is not read"))),
    };
    Ok((packing, values))
}

fn complex(s: &Section<'_>, differences: bool) -> Result<Complex> {
    let missing = match s.u8(23)? {
        0 | 255 => Missing::None,
        1 => Missing::Primary,
        2 => Missing::PrimaryAndSecondary,
        n => return Err(s.fault(23, format!("missing value management {n}; 0, 1 and 2 are defined"))),
    };
    Ok(Complex {
        scale: scale(s)?,
        missing,
        groups: s.u32(32)?,
        width_reference: u32::from(s.u8(36)?),
        width_bits: u32::from(s.u8(37)?),
        length_reference: s.u32(38)?,
        length_increment: u32::from(s.u8(42)?),
        last_length: s.u32(43)?,
        length_bits: u32::from(s.u8(47)?),
        order: if differences { s.u8(48)? } else { 0 },
        descriptor_octets: if differences { s.u8(49)? } else { 0 },
    })
}
