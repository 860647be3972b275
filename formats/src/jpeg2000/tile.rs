//! A tile's resolution levels, sub-bands and precincts: annex B.

use super::codestream::{Codestream, missing};
use super::parameters::{Coding, Progression};
use super::{Result, fault};

/// A rectangle, without its last row and column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) x0: u32,
    pub(super) y0: u32,
    pub(super) x1: u32,
    pub(super) y1: u32,
}

impl Area {
    pub(super) fn width(&self) -> u32 {
        self.x1.saturating_sub(self.x0)
    }

    pub(super) fn height(&self) -> u32 {
        self.y1.saturating_sub(self.y0)
    }

    pub(super) fn samples(&self) -> usize {
        self.width() as usize * self.height() as usize
    }

    fn map(&self, x: impl Fn(u32) -> u32, y: impl Fn(u32) -> u32) -> Self {
        Self { x0: x(self.x0), y0: y(self.y0), x1: x(self.x1), y1: y(self.y1) }
    }
}

/// Which way a sub-band is high-pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orientation {
    Lowest,
    /// Horizontally (HL).
    Across,
    /// Vertically (LH).
    Down,
    /// Both ways (HH).
    Diagonal,
}

#[derive(Debug, Clone)]
pub(super) struct Band {
    pub(super) area: Area,
    pub(super) orientation: Orientation,
    /// Where its coefficients begin among the tile's.
    pub(super) offset: usize,
    /// Bit planes, guard bits included (equation E-2).
    pub(super) planes: u8,
    /// Of the quantization.
    pub(super) step: f32,
}

#[derive(Debug, Clone)]
pub(super) struct Resolution {
    pub(super) area: Area,
    /// First and number of its sub-bands.
    pub(super) bands: (usize, usize),
    /// Logarithms of a precinct's width and height, on this level's grid.
    pub(super) precinct: (u8, u8),
    /// Precincts across and down.
    pub(super) precincts: (u32, u32),
    /// Its first one among the tile's.
    pub(super) first_precinct: usize,
}

#[derive(Debug)]
pub(super) struct Tile<'a> {
    pub(super) index: u32,
    pub(super) area: Area,
    pub(super) coding: &'a Coding,
    pub(super) resolutions: Vec<Resolution>,
    pub(super) bands: Vec<Band>,
    pub(super) precincts: usize,
}

/// A precinct in the order of the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) layer: u16,
    pub(super) resolution: u8,
    /// Among those of the resolution level.
    pub(super) precinct: u32,
}

fn shifted_up(v: u32, by: u32) -> u32 {
    ((u64::from(v) + (1u64 << by) - 1) >> by) as u32
}

impl<'a> Tile<'a> {
    pub(super) fn new(stream: &'a Codestream<'_>, index: u32) -> Result<Self> {
        let (coding, quantization) = stream.parameters(index)?;
        let area = stream.tile_area(index);
        let levels = u32::from(coding.levels);
        let mut tile = Self { index, area, coding, resolutions: Vec::new(), bands: Vec::new(), precincts: 0 };
        let mut precincts = 0u64;
        let mut offset = 0;
        for (level, size) in (0..=levels).zip(&coding.precincts) {
            let first_band = tile.bands.len();
            // How often the tile is halved to this level, and to its sub-bands.
            let halved = levels - level;
            let to_band = if level == 0 { halved } else { halved + 1 };
            let orientations: &[Orientation] = match level {
                0 => &[Orientation::Lowest],
                _ => &[Orientation::Across, Orientation::Down, Orientation::Diagonal],
            };
            for orientation in orientations {
                let (across, down) = match orientation {
                    Orientation::Lowest => (0, 0),
                    Orientation::Across => (1, 0),
                    Orientation::Down => (0, 1),
                    Orientation::Diagonal => (1, 1),
                };
                // Equation B-15.
                let edge = |v: u32, odd: u64| {
                    let half = odd << to_band >> 1;
                    let from = u64::from(v).saturating_sub(half);
                    ((from + (1u64 << to_band) - 1) >> to_band) as u32
                };
                let band = area.map(|x| edge(x, across), |y| edge(y, down));
                let nth = tile.bands.len();
                let Some((planes, step)) = quantization.band(nth, stream.size.bits) else {
                    return fault(0, format!("QCD (FF5C) has no step for sub-band {nth}"));
                };
                if planes > super::blocks::MOST_PLANES {
                    let most = super::blocks::MOST_PLANES;
                    return fault(
                        0,
                        format!("QCD (FF5C): {planes} bit planes in sub-band {nth}; at most {most} are read"),
                    );
                }
                tile.bands.push(Band { area: band, orientation: *orientation, offset, planes, step });
                offset += band.samples();
            }
            let area = area.map(|x| shifted_up(x, halved), |y| shifted_up(y, halved));
            let count = |from: u32, to: u32, size: u8| {
                if from < to { shifted_up(to, u32::from(size)) - (from >> size) } else { 0 }
            };
            let (across, down) = (count(area.x0, area.x1, size.0), count(area.y0, area.y1, size.1));
            let (across, down) = if across == 0 || down == 0 { (0, 0) } else { (across, down) };
            tile.resolutions.push(Resolution {
                area,
                bands: (first_band, tile.bands.len() - first_band),
                precinct: *size,
                precincts: (across, down),
                first_precinct: precincts.min(usize::MAX as u64) as usize,
            });
            precincts = precincts.saturating_add(u64::from(across) * u64::from(down));
        }
        // Each has a packet in each layer, of one byte at least.
        let bytes: usize = stream.tile_data(index).map(|r| r.len()).sum();
        let packets = precincts.saturating_mul(u64::from(coding.layers));
        if packets > bytes as u64 {
            return Err(missing(stream, index, &format!("has {bytes} bytes for {packets} packets")));
        }
        tile.precincts = precincts as usize;
        Ok(tile)
    }

    /// Calls `visit` for each packet, in the order they have in the codestream (B.12).
    pub(super) fn packets(&self, mut visit: impl FnMut(Packet) -> Result<()>) -> Result<()> {
        let layers = 0..self.coding.layers;
        let resolutions = || (0u8..).zip(&self.resolutions);
        let count = |r: &Resolution| r.precincts.0 * r.precincts.1;
        match self.coding.progression {
            Progression::LayerResolution => {
                for layer in layers {
                    for (resolution, r) in resolutions() {
                        (0..count(r))
                            .try_for_each(|precinct| visit(Packet { layer, resolution, precinct }))?;
                    }
                }
            }
            Progression::ResolutionLayer => {
                for (resolution, r) in resolutions() {
                    for layer in layers.clone() {
                        (0..count(r))
                            .try_for_each(|precinct| visit(Packet { layer, resolution, precinct }))?;
                    }
                }
            }
            Progression::ResolutionPosition => {
                for (resolution, r) in resolutions() {
                    for precinct in 0..count(r) {
                        layers.clone().try_for_each(|layer| visit(Packet { layer, resolution, precinct }))?;
                    }
                }
            }
            Progression::Position => {
                let mut places = Vec::with_capacity(self.precincts);
                for (resolution, r) in resolutions() {
                    let halved = u32::from(self.coding.levels - resolution);
                    // The first precincts of a row begin where the tile does.
                    let place = |first: u32, nth: u32, size: u8, origin: u32| {
                        let at = u64::from((first >> size) + nth) << size << halved;
                        at.max(u64::from(origin))
                    };
                    for precinct in 0..count(r) {
                        let (i, j) = (precinct % r.precincts.0, precinct / r.precincts.0);
                        let y = place(r.area.y0, j, r.precinct.1, self.area.y0);
                        let x = place(r.area.x0, i, r.precinct.0, self.area.x0);
                        places.push((y, x, resolution, precinct));
                    }
                }
                places.sort_unstable();
                for (.., resolution, precinct) in places {
                    layers.clone().try_for_each(|layer| visit(Packet { layer, resolution, precinct }))?;
                }
            }
        }
        Ok(())
    }
}
