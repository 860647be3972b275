//! The codestream: headers, and where the data of tiles are (annex A).

use std::ops::Range;

use super::parameters::{COC, COD, Coding, Parameters, QCC, QCD, Quantization, SIZ};
use super::tile::Area;
use super::{Error, MOST_BITS, Result, Size, fault};

const SOC: u16 = 0xff4f;
const SOT: u16 = 0xff90;
const SOD: u16 = 0xff93;
const EOC: u16 = 0xffd9;

#[derive(Debug, Clone)]
struct TilePart {
    tile: u16,
    data: Range<usize>,
}

#[derive(Debug)]
pub(super) struct Codestream<'a> {
    pub(super) data: &'a [u8],
    pub(super) size: Size,
    /// Of the picture on the reference grid.
    pub(super) area: Area,
    /// Origin and size of the first tile.
    origin: (u32, u32),
    tile: (u32, u32),
    across: u32,
    down: u32,
    main: Parameters,
    /// What tiles have instead; ascending by tile.
    tiles: Vec<(u16, Parameters)>,
    /// Ascending by tile.
    parts: Vec<TilePart>,
}

/// Bytes from a place on.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    data: &'a [u8],
    pub(super) at: usize,
    pub(super) end: usize,
}

impl<'a> Cursor<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.data.get(self.at..self.end).and_then(|d| d.first_chunk());
        let Some(bytes) = bytes else {
            return fault(self.at, format!("{N} more bytes are needed; {} are left", self.end - self.at));
        };
        self.at += N;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A segment's content: its length counts itself.
    pub(super) fn segment(&mut self) -> Result<Cursor<'a>> {
        let at = self.at;
        let length = usize::from(self.u16()?);
        let end = at + length;
        if length < 2 || end > self.end {
            return fault(at, format!("a marker segment of {length} bytes; {} are left", self.end - at));
        }
        let content = Cursor { data: self.data, at: self.at, end };
        self.at = end;
        Ok(content)
    }
}

/// What SIZ says, and where the next marker is.
pub(super) fn main_header(data: &[u8]) -> Result<(Size, usize)> {
    Frame::read(data).map(|(frame, at)| (frame.size, at))
}

/// SIZ.
struct Frame {
    size: Size,
    area: Area,
    origin: (u32, u32),
    tile: (u32, u32),
}

impl Frame {
    fn read(data: &[u8]) -> Result<(Self, usize)> {
        let mut c = Cursor { data, at: 0, end: data.len() };
        let first = c.u16()?;
        if first != SOC {
            let jp2 = data.get(4..8) == Some(b"jP  ");
            let what =
                if jp2 { "a JP2 file; the codestream alone is read" } else { "no start of a codestream" };
            return fault(0, format!("{what}: it begins with {first:04X}, not {SOC:04X}"));
        }
        let at = c.at;
        if c.u16()? != SIZ {
            return fault(at, "SIZ (FF51) must follow the start of the codestream");
        }
        let mut s = c.segment()?;
        let capabilities = s.u16()?;
        if capabilities & 1 << 14 != 0 {
            return fault(at, "high-throughput JPEG 2000 (part 15) is not read");
        }
        let [x1, y1, x0, y0] = [s.u32()?, s.u32()?, s.u32()?, s.u32()?];
        let tile = (s.u32()?, s.u32()?);
        let origin = (s.u32()?, s.u32()?);
        let components = s.u16()?;
        if components != 1 {
            return fault(at, format!("the picture has {components} components; 1 is read"));
        }
        let depth = s.u8()?;
        let subsampled = (s.u8()?, s.u8()?);
        if subsampled != (1, 1) {
            let (x, y) = subsampled;
            return fault(at, format!("the component has every sample {x} by {y}; 1 by 1 is read"));
        }
        let (bits, signed) = (u32::from(depth & 0x7f) + 1, depth & 0x80 != 0);
        if bits > MOST_BITS {
            return fault(at, format!("samples of {bits} bits; at most {MOST_BITS} are read"));
        }
        let area = Area { x0, y0, x1, y1 };
        let reaches = |origin: u32, tile: u32, first: u32| {
            origin <= first && tile > 0 && u64::from(origin) + u64::from(tile) > u64::from(first)
        };
        // Coordinates are added and shifted in 32 bits.
        let allowed = x0 < x1 && y0 < y1 && x1.max(y1) <= 1 << 30;
        if !allowed || !reaches(origin.0, tile.0, x0) || !reaches(origin.1, tile.1, y0) {
            return fault(
                at,
                format!("a picture from {x0}, {y0} to {x1}, {y1} in tiles of {tile:?} from {origin:?}"),
            );
        }
        let size = Size { width: x1 - x0, height: y1 - y0, bits, signed };
        Ok((Self { size, area, origin, tile }, c.at))
    }
}

impl<'a> Codestream<'a> {
    /// Reads all headers, and where the tile-parts' data are.
    pub(super) fn read(data: &'a [u8]) -> Result<Self> {
        let (Frame { size, area, origin, tile }, at) = Frame::read(data)?;
        let count = |origin: u32, tile: u32, end: u32| (end - origin).div_ceil(tile);
        let (across, down) = (count(origin.0, tile.0, area.x1), count(origin.1, tile.1, area.y1));
        let tiles = u64::from(across) * u64::from(down);
        if tiles > u64::from(u16::MAX) {
            return fault(2, format!("{across} by {down} tiles; 65535 are allowed"));
        }
        let mut c = Cursor { data, at, end: data.len() };
        let mut main = Parameters::default();
        let mut marker = c.u16()?;
        while marker != SOT {
            main.segment(marker, &mut c)?;
            marker = c.u16()?;
        }
        main.complete(c.at)?;
        let mut stream =
            Self { data, size, area, origin, tile, across, down, main, tiles: Vec::new(), parts: Vec::new() };
        loop {
            match marker {
                SOT => stream.tile_part(&mut c)?,
                EOC => break,
                m => {
                    return fault(
                        c.at - 2,
                        format!("{m:04X} where a tile-part (FF90) or the end (FFD9) is due"),
                    );
                }
            }
            marker = c.u16()?;
        }
        stream.parts.sort_by_key(|p| p.tile);
        stream.tiles.sort_by_key(|(t, _)| *t);
        Ok(stream)
    }

    /// SOT to the end of the data.
    fn tile_part(&mut self, c: &mut Cursor<'a>) -> Result<()> {
        let at = c.at - 2;
        let mut s = c.segment()?;
        let tile = s.u16()?;
        let length = s.u32()? as usize;
        let part = s.u8()?;
        if u32::from(tile) >= self.tiles() {
            return fault(at, format!("a part of tile {tile}; there are {}", self.tiles()));
        }
        // 0 means up to the end marker.
        let end = if length == 0 { c.end.saturating_sub(2) } else { at.saturating_add(length) };
        if end > c.end || end < c.at + 2 {
            return fault(at, format!("a tile-part of {length} bytes; {} are left", c.end - at));
        }
        let whole = std::mem::replace(&mut c.end, end);
        let mut own: Option<Parameters> = None;
        loop {
            let marker = c.u16()?;
            match marker {
                SOD => break,
                COD | COC | QCD | QCC if part != 0 => {
                    return fault(
                        c.at - 2,
                        format!("{marker:04X} in a tile-part that is not the tile's first"),
                    );
                }
                _ => own.get_or_insert_with(|| self.main.inherited()).segment(marker, c)?,
            }
        }
        if let Some(own) = own {
            self.tiles.push((tile, own));
        }
        self.parts.push(TilePart { tile, data: c.at..end });
        c.at = end;
        c.end = whole;
        Ok(())
    }

    pub(super) fn tiles(&self) -> u32 {
        self.across * self.down
    }

    /// A tile on the reference grid (equations B-7 to B-10).
    pub(super) fn tile_area(&self, index: u32) -> Area {
        let (p, q) = (u64::from(index % self.across), u64::from(index / self.across));
        let edge = |origin: u32, tile: u32, n: u64, from: u32, to: u32| {
            let at = u64::from(origin) + n * u64::from(tile);
            (at.min(u64::from(u32::MAX)) as u32).clamp(from, to)
        };
        let (a, o, t) = (self.area, self.origin, self.tile);
        Area {
            x0: edge(o.0, t.0, p, a.x0, a.x1),
            y0: edge(o.1, t.1, q, a.y0, a.y1),
            x1: edge(o.0, t.0, p + 1, a.x0, a.x1),
            y1: edge(o.1, t.1, q + 1, a.y0, a.y1),
        }
    }

    /// The data of a tile's parts, in order.
    pub(super) fn tile_data(&self, index: u32) -> impl Iterator<Item = Range<usize>> + '_ {
        let from = self.parts.partition_point(|p| u32::from(p.tile) < index);
        let parts = self.parts.get(from..).unwrap_or_default();
        parts.iter().take_while(move |p| u32::from(p.tile) == index).map(|p| p.data.clone())
    }

    /// How a tile is coded.
    pub(super) fn parameters(&self, index: u32) -> Result<(&Coding, &Quantization)> {
        let from = self.tiles.partition_point(|(t, _)| u32::from(*t) < index);
        let own = self.tiles.get(from).filter(|(t, _)| u32::from(*t) == index).map(|(_, p)| p);
        own.unwrap_or(&self.main).complete(0)
    }
}

/// Where a tile's data end: for what is missing there.
pub(super) fn missing(stream: &Codestream<'_>, index: u32, what: &str) -> Error {
    let byte = stream.tile_data(index).last().map_or(stream.data.len(), |r| r.end);
    Error { byte, reason: format!("tile {index} {what}") }
}
