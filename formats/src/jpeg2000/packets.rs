//! Packets: which code-block has how many passes, in which bytes (B.9 and B.10).

use super::codestream::{Codestream, missing};
use super::packet_bits::{Bits, Node, Tree};
use super::parameters::Style;
use super::tile::{Area, Packet, Tile};
use super::{Error, Result, fault};

/// Passes that a segment of its own ends after, with arithmetic coding bypassed:
/// from the tenth on two raw ones and one coded.
const BEFORE_BYPASS: u32 = 10;

/// Bits of a length.
const LONGEST: u32 = 32;
/// No chunk follows.
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) band: u32,
    /// Place in the sub-band.
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u16,
    pub(super) height: u16,
    included: bool,
    length_bits: u8,
    /// Most significant bit planes that are zero.
    pub(super) zero_planes: u8,
    pub(super) passes: u32,
    first: u32,
    last: u32,
}

/// Bytes that a packet has of a codeword segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    pub(super) start: usize,
    pub(super) length: u32,
    pub(super) passes: u32,
    next: u32,
}

/// A code-block's segment ends before this pass, if `pass` belongs to it (tables D.8 and D.9).
pub(super) fn segment_end(style: Style, pass: u32) -> u32 {
    if style.terminate_all() {
        pass + 1
    } else if !style.bypass() {
        u32::MAX
    } else if pass < BEFORE_BYPASS {
        BEFORE_BYPASS
    } else if (pass - BEFORE_BYPASS) % 3 < 2 {
        pass + 2 - (pass - BEFORE_BYPASS) % 3
    } else {
        pass + 1
    }
}

/// What the packets of a tile say.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) blocks: Vec<Block>,
    chunks: Vec<Chunk>,
}

impl Contents {
    pub(super) fn chunks(&self, block: &Block) -> impl Iterator<Item = Chunk> + '_ {
        let at = |i: u32| self.chunks.get(i as usize).copied();
        std::iter::successors(at(block.first), move |c| at(c.next))
    }
}

/// A precinct's part of one sub-band.
#[derive(Debug)]
struct Part {
    first_block: usize,
    across: u32,
    down: u32,
    inclusion: Tree,
    zero_planes: Tree,
}

struct Reader<'a> {
    stream: &'a Codestream<'a>,
    tile: &'a Tile<'a>,
    /// For each precinct its sub-bands' parts.
    parts: Vec<Part>,
    nodes: Vec<Node>,
    contents: Contents,
    /// New chunks of the packet that is read: their bytes follow its header.
    fresh: Vec<usize>,
}

/// Reads all packets of a tile.
pub(super) fn read(stream: &Codestream<'_>, tile: &Tile<'_>) -> Result<Contents> {
    let mut reader = Reader {
        stream,
        tile,
        parts: Vec::new(),
        nodes: Vec::new(),
        contents: Contents::default(),
        fresh: Vec::new(),
    };
    reader.lay_out();
    let mut data = stream.tile_data(tile.index);
    let Some(mut now) = data.next() else {
        return Err(missing(stream, tile.index, "has no tile-part"));
    };
    tile.packets(|packet| {
        while now.is_empty() {
            now = match data.next() {
                Some(next) => next,
                None => return Err(missing(stream, tile.index, "ends before its last packet")),
            };
        }
        now.start = reader.packet(packet, now.start, now.end)?;
        Ok(())
    })?;
    Ok(reader.contents)
}

impl Reader<'_> {
    /// Makes all code-blocks, precinct by precinct (B.7).
    fn lay_out(&mut self) {
        for (level, r) in self.tile.resolutions.iter().enumerate() {
            // Of a precinct on the grid of the sub-bands.
            let less = u8::from(level > 0);
            let (pw, ph) = (r.precinct.0 - less, r.precinct.1 - less);
            let (bw, bh) = (self.tile.coding.block.0.min(pw), self.tile.coding.block.1.min(ph));
            for j in 0..r.precincts.1 {
                for i in 0..r.precincts.0 {
                    let cell = |first: u32, nth: u32, size: u8| {
                        let nth = u64::from((first >> (size + less)) + nth);
                        let end = |n: u64| (n << size).min(u64::from(u32::MAX)) as u32;
                        (end(nth), end(nth + 1))
                    };
                    let (x0, x1) = cell(r.area.x0, i, pw);
                    let (y0, y1) = cell(r.area.y0, j, ph);
                    for band in r.bands.0..r.bands.0 + r.bands.1 {
                        self.part(band, Area { x0, y0, x1, y1 }, bw, bh);
                    }
                }
            }
        }
    }

    /// The code-blocks of a sub-band in a precinct.
    fn part(&mut self, index: usize, precinct: Area, bw: u8, bh: u8) {
        let Some(band) = self.tile.bands.get(index) else { return };
        let b = band.area;
        let (x0, x1) = (precinct.x0.max(b.x0), precinct.x1.min(b.x1));
        let (y0, y1) = (precinct.y0.max(b.y0), precinct.y1.min(b.y1));
        let (mut across, mut down) = (0, 0);
        let (left, top) = (x0 >> bw, y0 >> bh);
        if x0 < x1 && y0 < y1 {
            across = ((x1 - 1) >> bw) - left + 1;
            down = ((y1 - 1) >> bh) - top + 1;
        }
        let first_block = self.contents.blocks.len();
        for row in top..top + down {
            for column in left..left + across {
                let (from_x, from_y) = ((column << bw).max(x0), (row << bh).max(y0));
                let (to_x, to_y) = (((column + 1) << bw).min(x1), ((row + 1) << bh).min(y1));
                self.contents.blocks.push(Block {
                    band: index as u32,
                    x: from_x - b.x0,
                    y: from_y - b.y0,
                    width: (to_x - from_x) as u16,
                    height: (to_y - from_y) as u16,
                    included: false,
                    length_bits: 3,
                    zero_planes: 0,
                    passes: 0,
                    first: NONE,
                    last: NONE,
                });
            }
        }
        let inclusion = Tree::new(across, down, &mut self.nodes);
        let zero_planes = Tree::new(across, down, &mut self.nodes);
        self.parts.push(Part { first_block, across, down, inclusion, zero_planes });
    }

    /// Reads one packet and returns where the next one is.
    fn packet(&mut self, packet: Packet, start: usize, end: usize) -> Result<usize> {
        let Some(r) = self.tile.resolutions.get(usize::from(packet.resolution)) else { return Ok(start) };
        let data = self.stream.data;
        let mut at = start;
        let coding = self.tile.coding;
        if coding.start_markers && data.get(at..at + 2) == Some(&[0xff, 0x91]) {
            at += 6;
        }
        let mut bits = Bits::new(data, at, end);
        self.fresh.clear();
        if bits.bit()? == 1 {
            // The lowest level has one part a precinct, the others three.
            let (bands, before) = match packet.resolution {
                0 => (1, 0),
                _ => {
                    let lowest = self.tile.resolutions.get(1).map_or(0, |r| r.first_precinct);
                    (3, lowest + (r.first_precinct - lowest) * 3)
                }
            };
            let first = before + packet.precinct as usize * bands;
            for nth in first..first + bands {
                self.part_header(nth, packet.layer, &mut bits)?;
            }
        }
        bits.align()?;
        at = bits.at;
        if coding.end_markers {
            if data.get(at..at + 2) != Some(&[0xff, 0x92]) {
                return fault(at, "no end (FF92) of a packet header where one is due");
            }
            at += 2;
        }
        for chunk in &self.fresh {
            if let Some(chunk) = self.contents.chunks.get_mut(*chunk) {
                chunk.start = at;
                at = at.saturating_add(chunk.length as usize);
            }
        }
        if at > end {
            return Err(Error {
                byte: end,
                reason: format!(
                    "the data of tile {} end {} bytes within a packet",
                    self.tile.index,
                    at - end
                ),
            });
        }
        Ok(at)
    }

    /// What a packet header says of the code-blocks of a part.
    fn part_header(&mut self, nth: usize, layer: u16, bits: &mut Bits<'_>) -> Result<()> {
        let Some(part) = self.parts.get(nth) else { return Ok(()) };
        for y in 0..part.down {
            for x in 0..part.across {
                let nth = part.first_block + y as usize * part.across as usize + x as usize;
                let Some(block) = self.contents.blocks.get_mut(nth) else { continue };
                let planes = self.tile.bands.get(block.band as usize).map_or(0, |b| b.planes);
                if block.is_here(part, (x, y), layer, planes, &mut self.nodes, bits)? {
                    let passes = block.new_passes(planes, bits)?;
                    self.contents.add(nth, passes, self.tile.coding.style, bits, &mut self.fresh)?;
                }
            }
        }
        Ok(())
    }
}

impl Block {
    /// Whether the packet has something of it; the first time, its zero bit planes are read too.
    fn is_here(
        &mut self,
        part: &Part,
        place: (u32, u32),
        layer: u16,
        planes: u8,
        nodes: &mut [Node],
        bits: &mut Bits<'_>,
    ) -> Result<bool> {
        if self.included {
            return Ok(bits.bit()? == 1);
        }
        let size = (part.across, part.down);
        if part.inclusion.value(nodes, size, place, u32::from(layer) + 1, bits)?.is_none() {
            return Ok(false);
        }
        self.included = true;
        match part.zero_planes.value(nodes, size, place, u32::from(planes) + 1, bits)? {
            Some(zero) => self.zero_planes = zero as u8,
            None => {
                return fault(
                    bits.at,
                    format!("more than {planes} zero bit planes of a code-block; its sub-band has {planes}"),
                );
            }
        }
        Ok(true)
    }

    /// How many passes are new, and how long a length is.
    fn new_passes(&mut self, planes: u8, bits: &mut Bits<'_>) -> Result<u32> {
        let passes = bits.passes()?;
        let left = u32::from(planes - self.zero_planes);
        let (all, most) = (self.passes + passes, (left * 3).saturating_sub(2));
        if all > most {
            return fault(
                bits.at,
                format!("a code-block of {all} passes; its {left} bit planes have {most}"),
            );
        }
        while bits.bit()? == 1 {
            self.length_bits += 1;
            if u32::from(self.length_bits) > LONGEST {
                return fault(bits.at, format!("a length of more than {LONGEST} bits in a packet header"));
            }
        }
        Ok(passes)
    }
}

impl Contents {
    /// Reads the lengths of a block's new passes, a chunk for each segment.
    fn add(
        &mut self,
        nth: usize,
        mut passes: u32,
        style: Style,
        bits: &mut Bits<'_>,
        fresh: &mut Vec<usize>,
    ) -> Result<()> {
        let Some(block) = self.blocks.get_mut(nth) else { return Ok(()) };
        while passes > 0 {
            let now = passes.min(segment_end(style, block.passes) - block.passes);
            let size = u32::from(block.length_bits) + now.ilog2();
            if size > LONGEST {
                return fault(bits.at, format!("a length of {size} bits in a packet header"));
            }
            let length = bits.bits(size)?;
            let link = self.chunks.len() as u32;
            match self.chunks.get_mut(block.last as usize) {
                Some(last) => last.next = link,
                None => block.first = link,
            }
            block.last = link;
            fresh.push(self.chunks.len());
            self.chunks.push(Chunk { start: 0, length, passes: now, next: NONE });
            block.passes += now;
            passes -= now;
        }
        Ok(())
    }
}
