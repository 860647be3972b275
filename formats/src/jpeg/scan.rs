//! Markers, tables and the blocks of a scan (T.81 annexes B and F).

use super::frame::{Component, Frame};
use super::huffman::{Bits, Codes};
use super::idct;

/// Where the coefficients of a block go, in the order that they are stored in (T.81 figure A.6).
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

#[derive(Default)]
struct Tables {
    quantisation: [Option<[i32; 64]>; 4],
    dc: [Option<Codes>; 4],
    ac: [Option<Codes>; 4],
    /// Units between restart markers; 0 is none.
    restart: usize,
}

/// The frame, and of each component the stored samples, `stride * rows` of them.
pub(super) fn decode(
    stream: &[u8],
    max_width: usize,
    max_height: usize,
) -> Result<(Frame, Vec<Vec<u8>>), String> {
    let mut tables = Tables::default();
    let mut frame: Option<Frame> = None;
    let mut planes: Vec<Vec<u8>> = Vec::new();
    let mut done: Vec<bool> = Vec::new();
    if !stream.starts_with(b"\xff\xd8") {
        return Err("byte 0: its JPEG stream does not begin with the marker ff d8".into());
    }
    let mut at = 2;
    loop {
        // Any number of 255 may fill the space before a marker.
        let start = at;
        let rest = stream.get(at..).unwrap_or_default();
        let Some(i) = rest.windows(2).position(|w| w[0] == 0xff && w[1] != 0 && w[1] != 0xff) else {
            return Err(format!("byte {start}: its JPEG stream ends before the picture does"));
        };
        let marker = rest[i + 1];
        at += i + 2;
        if matches!(marker, 0x01 | 0xd0..=0xd8) {
            continue;
        }
        if marker == 0xd9 {
            return Err(format!("byte {start}: its JPEG stream ends before the picture does"));
        }
        let here = at - 2;
        let tell = move |why: String| format!("byte {here}, marker ff {marker:02x}: {why}");
        let length = match stream.get(at..at + 2) {
            Some(b) => usize::from(u16::from_be_bytes([b[0], b[1]])),
            None => return Err(tell("its JPEG stream is cut off".into())),
        };
        let segment = match stream.get(at + 2..at + length) {
            Some(segment) if length >= 2 => segment,
            _ => return Err(tell(format!("its {length} bytes are not all there"))),
        };
        at += length;
        match marker {
            0xc0 | 0xc1 if frame.is_none() => {
                let read = Frame::read(segment, max_width, max_height).map_err(tell)?;
                planes = read.components.iter().map(|c| vec![0; c.stride * c.rows]).collect();
                done = vec![false; planes.len()];
                frame = Some(read);
            }
            0xc0 | 0xc1 => return Err(tell("a second frame; one is read".into())),
            0xc4 => huffman_tables(segment, &mut tables).map_err(tell)?,
            0xdb => quantisation_tables(segment, &mut tables).map_err(tell)?,
            0xdd => match segment {
                [high, low] => tables.restart = usize::from(u16::from_be_bytes([*high, *low])),
                _ => return Err(tell("a restart interval of other than two bytes".into())),
            },
            0xda => {
                let Some(f) = &frame else { return Err(tell("a scan before the frame".into())) };
                at = read_scan(stream, at, segment, f, &tables, &mut planes, &mut done).map_err(tell)?;
                if done.iter().all(|d| *d) {
                    break;
                }
            }
            0xc2 | 0xc6 => return Err(tell("it is progressive; sequential JPEG is read".into())),
            0xc3 | 0xc5 | 0xc7 | 0xc9..=0xcf => {
                return Err(tell(
                    "it is lossless, hierarchical or arithmetic; sequential Huffman JPEG is read".into(),
                ));
            }
            // Application data, comments and what else is no part of the picture.
            _ => {}
        }
    }
    match frame {
        Some(frame) => Ok((frame, planes)),
        None => Err("its JPEG stream has no frame".into()),
    }
}

fn quantisation_tables(mut segment: &[u8], tables: &mut Tables) -> Result<(), String> {
    while let Some((kind, rest)) = segment.split_first() {
        let (wide, which) = (kind >> 4, usize::from(kind & 15));
        let size = if wide == 0 { 64 } else { 128 };
        let (Some((values, rest)), 0..4, 0..2) = (rest.split_at_checked(size), which, wide) else {
            return Err(format!("quantisation table {which} of kind {wide} in {} bytes", rest.len()));
        };
        let mut table = [0; 64];
        for (k, to) in ZIGZAG.iter().enumerate() {
            table[usize::from(*to)] = match wide {
                0 => i32::from(values[k]),
                _ => i32::from(u16::from_be_bytes([values[2 * k], values[2 * k + 1]])),
            };
        }
        tables.quantisation[which] = Some(table);
        segment = rest;
    }
    Ok(())
}

fn huffman_tables(mut segment: &[u8], tables: &mut Tables) -> Result<(), String> {
    while let Some((kind, rest)) = segment.split_first() {
        let (class, which) = (kind >> 4, usize::from(kind & 15));
        let (Some((counts, rest)), 0..2, 0..4) = (rest.split_first_chunk::<16>(), class, which) else {
            return Err(format!("Huffman table {which} of class {class} in {} bytes", rest.len()));
        };
        let total: usize = counts.iter().map(|n| usize::from(*n)).sum();
        let Some((values, rest)) = rest.split_at_checked(total) else {
            return Err(format!("a Huffman table of {total} codes in {} bytes", rest.len()));
        };
        let codes = Codes::new(counts, values)?;
        let side = if class == 0 { &mut tables.dc } else { &mut tables.ac };
        side[which] = Some(codes);
        segment = rest;
    }
    Ok(())
}

/// A component of a scan, with its tables.
struct Coded<'a> {
    index: usize,
    component: &'a Component,
    quantisation: &'a [i32; 64],
    dc: &'a Codes,
    ac: &'a Codes,
    last: i32,
}

fn table(of: &[Option<Codes>; 4], which: u8) -> Option<&Codes> {
    of.get(usize::from(which))?.as_ref()
}

/// Decodes the blocks of one scan; where the next marker is looked for.
fn read_scan(
    stream: &[u8],
    at: usize,
    segment: &[u8],
    frame: &Frame,
    tables: &Tables,
    planes: &mut [Vec<u8>],
    done: &mut [bool],
) -> Result<usize, String> {
    let cut = || "its scan header is cut off".to_owned();
    let (n, rest) = segment.split_first().ok_or_else(cut)?;
    let entries = rest.as_chunks::<2>().0.get(..usize::from(*n)).ok_or_else(cut)?;
    let mut coded = Vec::with_capacity(entries.len());
    for [id, which] in entries {
        let index = frame.components.iter().position(|c| c.id == *id);
        let index = index.ok_or_else(|| format!("component {id} is in the scan and not in the frame"))?;
        if std::mem::replace(&mut done[index], true) {
            return Err(format!("component {id} is in two scans"));
        }
        let component = &frame.components[index];
        let quantisation = tables.quantisation[component.quantisation].as_ref();
        let (Some(quantisation), Some(dc), Some(ac)) =
            (quantisation, table(&tables.dc, which >> 4), table(&tables.ac, which & 15))
        else {
            return Err(format!("component {id} refers to a table that is not there"));
        };
        coded.push(Coded { index, component, quantisation, dc, ac, last: 0 });
    }
    // A component alone is in rows of its own blocks; several take turns (T.81 A.2).
    let alone = coded.len() == 1;
    let (across, down) = match &coded[..] {
        [] => return Err("its scan has no component".into()),
        [c] => (c.component.across, c.component.down),
        _ => (frame.width.div_ceil(8 * frame.max_h), frame.height.div_ceil(8 * frame.max_v)),
    };
    let mut bits = Bits::new(stream, at);
    for unit in 0..across * down {
        if tables.restart > 0 && unit > 0 && unit % tables.restart == 0 {
            bits.restart().ok_or_else(|| format!("no restart marker before unit {unit}"))?;
            coded.iter_mut().for_each(|c| c.last = 0);
        }
        let (row, column) = (unit / across, unit % across);
        for c in &mut coded {
            let (h, v) = if alone { (1, 1) } else { (c.component.h, c.component.v) };
            for block in 0..h * v {
                let block_of = coefficients(&mut bits, c)?;
                let (width, height) = (c.component.block_width, c.component.block_height);
                let (y, x) = (height * (row * v + block / h), width * (column * h + block % h));
                let stride = c.component.stride;
                idct::inverse(&block_of, width, height, &mut planes[c.index][y * stride + x..], stride);
            }
        }
        if bits.ran_out() {
            return Err(format!("its scan is cut off in unit {unit} of {}", across * down));
        }
    }
    Ok(bits.position())
}

/// The next block's coefficients, multiplied by their quantisation.
fn coefficients(bits: &mut Bits<'_>, c: &mut Coded<'_>) -> Result<[i32; 64], String> {
    let mut block = [0; 64];
    let size = bits.code(c.dc)?;
    if size > 15 {
        return Err(format!("a difference of {size} bits; 15 at most are possible"));
    }
    c.last = c.last.wrapping_add(bits.signed(size));
    block[0] = c.last.wrapping_mul(c.quantisation[0]);
    let mut k = 1;
    while k < 64 {
        let code = bits.code(c.ac)?;
        let (zeros, size) = (usize::from(code >> 4), code & 15);
        if size == 0 {
            if zeros < 15 {
                break;
            }
            k += 16;
            continue;
        }
        k += zeros;
        let Some(to) = ZIGZAG.get(k) else { return Err("a block has more than 64 coefficients".into()) };
        let to = usize::from(*to);
        block[to] = bits.signed(size).wrapping_mul(c.quantisation[to]);
        k += 1;
    }
    Ok(block)
}
