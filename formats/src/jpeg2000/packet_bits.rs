//! What packet headers are written in: bits and tag trees (B.10).

use super::{Result, fault};

/// A tag tree (B.10.2); its nodes lie with those of all others, leaves first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree {
    first: usize,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Node {
    /// The value is this or, unless it is known, more.
    least: u32,
    known: bool,
}

impl Tree {
    pub(super) fn new(across: u32, down: u32, nodes: &mut Vec<Node>) -> Self {
        let first = nodes.len();
        let (mut w, mut h) = (across, down);
        while w > 0 && h > 0 {
            nodes.resize(nodes.len() + w as usize * h as usize, Node::default());
            if w == 1 && h == 1 {
                break;
            }
            (w, h) = (w.div_ceil(2), h.div_ceil(2));
        }
        Self { first }
    }

    /// The value at `x`, `y`, if it is below `limit`.
    pub(super) fn value(
        self,
        nodes: &mut [Node],
        part: (u32, u32),
        (x, y): (u32, u32),
        limit: u32,
        bits: &mut Bits<'_>,
    ) -> Result<Option<u32>> {
        // The way from the leaf up.
        let mut way = [0usize; 33];
        let (mut w, mut h) = part;
        let (mut first, mut depth) = (self.first, 0usize);
        for (level, node) in way.iter_mut().enumerate() {
            *node = first + (y >> level) as usize * w as usize + (x >> level) as usize;
            depth = level;
            if w <= 1 && h <= 1 {
                break;
            }
            first += w as usize * h as usize;
            (w, h) = (w.div_ceil(2), h.div_ceil(2));
        }
        let mut least = 0;
        let mut known = false;
        for node in way.iter().take(depth + 1).rev() {
            let Some(node) = nodes.get_mut(*node) else { break };
            node.least = node.least.max(least);
            while !node.known && node.least < limit {
                if bits.bit()? == 1 {
                    node.known = true;
                } else {
                    node.least += 1;
                }
            }
            (least, known) = (node.least, node.known);
        }
        Ok((known && least < limit).then_some(least))
    }
}

/// Bits of a packet header: after a byte FF only seven follow.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    pub(super) at: usize,
    end: usize,
    byte: u8,
    left: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8], at: usize, end: usize) -> Self {
        Self { data, at, end, byte: 0, left: 0 }
    }

    pub(super) fn bit(&mut self) -> Result<u32> {
        if self.left == 0 {
            self.left = if self.byte == 0xff { 7 } else { 8 };
            self.byte = self.next()?;
        }
        self.left -= 1;
        Ok(u32::from(self.byte >> self.left) & 1)
    }

    fn next(&mut self) -> Result<u8> {
        let byte = self.data.get(self.at).filter(|_| self.at < self.end);
        let Some(byte) = byte else {
            return fault(self.at, "the data end within a packet header");
        };
        self.at += 1;
        Ok(*byte)
    }

    pub(super) fn bits(&mut self, n: u32) -> Result<u32> {
        (0..n).try_fold(0, |v, _| Ok(v << 1 | self.bit()?))
    }

    /// Up to the next byte; a last FF has another one behind it.
    pub(super) fn align(&mut self) -> Result<()> {
        if self.byte == 0xff {
            self.next()?;
        }
        (self.byte, self.left) = (0, 0);
        Ok(())
    }

    /// New passes (table B.4).
    pub(super) fn passes(&mut self) -> Result<u32> {
        if self.bit()? == 0 {
            return Ok(1);
        }
        if self.bit()? == 0 {
            return Ok(2);
        }
        match self.bits(2)? {
            3 => {}
            n => return Ok(3 + n),
        }
        match self.bits(5)? {
            31 => Ok(37 + self.bits(7)?),
            n => Ok(6 + n),
        }
    }
}
