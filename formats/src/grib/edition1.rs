//! GRIB edition 1: sections 1 (product), 2 (grid), 3 (bitmap) and 4 (data).

use std::sync::Arc;

use super::field::{Encoded, Field, Parameter, Product, Range};
use super::inventory::Inventory;
use super::level;
use super::octets::{Fault, Result, Section};
use super::scan::Message;
use super::time;
use super::unpack::{Packing, Scale, SecondOrder};
use super::window::Window;

const ECMWF: u8 = 98;
const NCEP: u8 = 7;

/// A 32-bit floating-point number of IBM's System/360: base 16, exponent excess 64.
pub(crate) fn ibm(word: u32) -> f64 {
    let sign = if word >> 31 == 1 { -1.0 } else { 1.0 };
    let exponent = (word >> 24 & 0x7f) as i32 - 64;
    let mantissa = f64::from(word & 0x00ff_ffff) / 16_777_216.0;
    sign * mantissa * 16f64.powi(exponent)
}

fn section<'w>(window: &'w mut Window<'_>, name: &'static str, at: u64, end: u64) -> Result<Section<'w>> {
    let head = Section { name, offset: at, bytes: window.get(at, 3)? };
    let len = u64::from(head.u24(1)?);
    if len < 3 || at + len > end {
        return Err(Fault::at(
            format!(
                "{name} is {len} bytes long by its header; {} are left in the message",
                end.saturating_sub(at)
            ),
            at,
        ));
    }
    Ok(Section { name, offset: at, bytes: window.get(at, len)? })
}

/// Reads the headers of a message into `out`.
///
/// # Errors
/// Why its field cannot be read.
pub(crate) fn read(
    message: &Message,
    number: usize,
    window: &mut Window<'_>,
    out: &mut Inventory,
) -> Result<()> {
    let end = message.offset + message.len - 4;
    let mut at = message.offset + 8;
    let s = section(window, "section 1", at, end)?;
    let (centre, subcentre, flags) = (s.u8(5)?, s.u8(26)?, s.u8(8)?);
    let decimal = s.i16(27)?;
    let reference = reference_time(&s)?;
    let product = product(&s, centre, reference)?;
    at += s.bytes.len() as u64;
    if flags & 0x80 == 0 {
        return Err(Fault::at(
            "there is no grid description (section 2); grids that are known only by a number are not read",
            message.offset,
        ));
    }
    let s = section(window, "section 2", at, end)?;
    at += s.bytes.len() as u64;
    let grid = out.grid(1, &s)?;
    let bitmap = if flags & 0x40 != 0 {
        // It may be long, and only its beginning is wanted.
        let head = Section { name: "section 3", offset: at, bytes: window.get(at, 6)? };
        let len = u64::from(head.u24(1)?);
        if len < 6 || at + len > end {
            return Err(head
                .fault(1, format!("it is {len} bytes long by its header; {} are left", end - at.min(end))));
        }
        if head.u16(5)? != 0 {
            return Err(
                head.fault(5, "a bitmap that its centre has defined elsewhere; it is not in the file")
            );
        }
        let range = Range { offset: at + 6, len: len - 6 };
        at += len;
        Some(range)
    } else {
        None
    };
    let (packing, unused_bits, data) = binary_data(window, at, end, decimal)?;
    let field = Field {
        message: number,
        offset: message.offset,
        len: message.len,
        edition: 1,
        centre: u16::from(centre),
        subcentre: u16::from(subcentre),
        reference,
        product,
        grid,
        encoded: Encoded { packing, bitmap, data, values: None, unused_bits },
    };
    out.field(field)
}

fn reference_time(s: &Section<'_>) -> Result<i64> {
    let (year, century) = (i64::from(s.u8(13)?), i64::from(s.u8(25)?));
    let mut parts = [(century - 1) * 100 + year, 0, 0, 0, 0, 0];
    for (i, part) in parts.iter_mut().enumerate().take(5).skip(1) {
        *part = i64::from(s.u8(13 + i)?);
    }
    // Climatologies leave the day empty.
    time::epoch(parts).map_err(|f| s.fault(13, format!("reference time: {}", f.reason)))
}

fn product(s: &Section<'_>, centre: u8, reference: i64) -> Result<Product> {
    let (table, indicator) = (s.u8(4)?, s.u8(9)?);
    let (kind, top, bottom) = (s.u8(10)?, s.u8(11)?, s.u8(12)?);
    let both = i64::from(u16::from_be_bytes([top, bottom]));
    let range = s.u8(21)?;
    let keys = vec![
        ("lt", i64::from(kind)),
        ("lv", both),
        ("top", i64::from(top)),
        ("bot", i64::from(bottom)),
        ("tri", i64::from(range)),
    ];
    let (start, end, step_type) = lead_time(s, range, reference)?;
    let mut product = Product {
        parameter: Parameter::Edition1 { table, indicator },
        keys: Arc::new(keys),
        level: level::edition1(kind, top, bottom),
        step: end,
        period: end - start,
        step_type,
        member: None,
        kind: Vec::new(),
        process: [0, 0],
    };
    local(s, centre, &mut product)?;
    Ok(product)
}

/// Begin and end of the time that values hold for, in seconds from the reference
/// time, and what they are over it (Code Table 5).
fn lead_time(s: &Section<'_>, range: u8, reference: i64) -> Result<(i64, i64, &'static str)> {
    let unit = s.u8(18)?;
    let (p1, p2) = (i64::from(s.u8(19)?), i64::from(s.u8(20)?));
    let lead = |n: i64| time::lead(reference, unit, n, 1).map_err(|f| s.fault(18, f.reason));
    Ok(match range {
        0 => (lead(p1)?, lead(p1)?, "instant"),
        1 => (0, 0, "instant"),
        2 => (lead(p1)?, lead(p2)?, "instant"),
        3 => (lead(p1)?, lead(p2)?, "avg"),
        4 => (lead(p1)?, lead(p2)?, "accum"),
        5 => (lead(p1)?, lead(p2)?, "diff"),
        6 => (-lead(p1)?, -lead(p2)?, "avg"),
        7 => (-lead(p1)?, lead(p2)?, "avg"),
        10 => {
            let p = lead(i64::from(s.u16(19)?))?;
            (p, p, "instant")
        }
        // Local to ECMWF: maximum and minimum since the previous post-processing.
        118 => (lead(p1)?, lead(p2)?, "cov"),
        // Averages and accumulations of many analyses or forecasts of one lead.
        51 => (lead(p1)?, lead(p1)?, "avgua"),
        113 => (lead(p1)?, lead(p1)?, "avgfc"),
        114 => (lead(p1)?, lead(p1)?, "accumfc"),
        123 => (0, 0, "avgua"),
        124 => (0, 0, "accumua"),
        n => {
            return Err(s.fault(
                21,
                format!(
                    "time range indicator {n} is not read; 0 to 7, 10, 51, 113, 114, 118, 123 and 124 are"
                ),
            ));
        }
    })
}

/// Members of ensembles are a local matter in GRIB1.
fn local(s: &Section<'_>, centre: u8, product: &mut Product) -> Result<()> {
    let len = s.bytes.len();
    if centre == ECMWF || s.u8(26)? == ECMWF {
        if len < 51 {
            return Ok(());
        }
        let definition = s.u8(41)?;
        product.process[0] = i64::from(s.u8(43)?);
        match s.u8(43)? {
            17 => product.kind.push(("derivedForecast", "mean".into())),
            18 => product.kind.push(("derivedForecast", "standardDeviation".into())),
            _ => {}
        }
        let total_at = |octet: usize| s.u16(octet).unwrap_or(0);
        let (number, total) = match definition {
            1 | 26 | 30 | 36 | 18 | 2 | 10 | 11 => (i64::from(s.u8(50)?), u16::from(s.u8(51)?)),
            12 => (i64::from(s.u16(50)?), total_at(63).max(1)),
            15 => (i64::from(s.u16(50)?), total_at(56)),
            16 => (i64::from(s.u16(50)?), 1),
            _ => (0, 0),
        };
        // A single forecast counts itself as none.
        if number > 0 || total > 0 {
            product.member = Some(number);
        }
    } else if centre == NCEP && len >= 45 && s.u8(41)? == 1 {
        let (kind, number) = (s.u8(42)?, i64::from(s.u8(43)?));
        match kind {
            // Control (1), negative (2) and positive (3) perturbations.
            1 => product.member = Some(0),
            2 | 3 => product.member = Some(number),
            5 => product.kind.push(("derivedForecast", "mean".into())),
            n => product.kind.push(("derivedForecast", n.to_string())),
        }
        product.process[1] = i64::from(kind);
    }
    Ok(())
}

/// Section 4: the packing, unused bits at its end, and where the data lie.
fn binary_data(window: &mut Window<'_>, at: u64, end: u64, decimal: i32) -> Result<(Packing, u32, Range)> {
    let available = end.saturating_sub(at);
    let head = Section { name: "section 4", offset: at, bytes: window.get(at, available.min(32))? };
    let len = u64::from(head.u24(1)?);
    // Messages beyond 24 bits keep something else in this length.
    let len = if available > 0x80_0000 && len < 120 { available } else { len };
    if len < 11 || len > available {
        return Err(head
            .fault(1, format!("it is {len} bytes long by its header; {available} are left in the message")));
    }
    let flags = head.u8(4)?;
    if flags & 0x80 != 0 {
        return Err(head.fault(
            4,
            "spherical harmonics (spectral coefficients) are not points of a grid; transform them first",
        ));
    }
    let scale =
        Scale { reference: ibm(head.u32(7)?), binary: head.i16(5)?, decimal, bits: u32::from(head.u8(11)?) };
    if scale.bits > 32 {
        return Err(head.fault(11, format!("values of {} bits; at most 32 are read", scale.bits)));
    }
    let unused = u32::from(flags & 0x0f);
    if flags & 0x40 != 0 {
        let packing = SecondOrder::read(&head, scale)?;
        return Ok((Packing::SecondOrder(Box::new(packing)), unused, Range { offset: at, len }));
    }
    if flags & 0x10 != 0 {
        return Err(head.fault(4, "a matrix of values at each point is not read"));
    }
    Ok((Packing::Simple(scale), unused, Range { offset: at + 11, len: len - 11 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ibm_numbers_are_of_base_16() {
        assert_eq!(ibm(0xC276_A000), -118.625);
        assert_eq!(ibm(0x4110_0000), 1.0);
        assert_eq!(ibm(0), 0.0);
    }
}
