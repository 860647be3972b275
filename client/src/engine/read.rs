//! Numbers as they stand in the store: the readout, the histogram, the range of colours.

use std::rc::Rc;

use graticule_shared::axis::Axis;
use graticule_shared::range;
use wasm_bindgen_futures::spawn_local;

use crate::chunks::loader::{Block, Loader};
use crate::chunks::source::BlockKey;
use crate::engine::api::{Readout, Signal};
use crate::engine::run::Engine;
use crate::engine::state::{Layer, State};
use crate::engine::terrain::Found;
use crate::view::camera::wrap_longitude_deg;
use crate::view::levels::PageId;

/// Numbers looked at for a histogram or a range.
const SAMPLES: usize = 20 << 10;
const BINS: usize = 96;

/// A cell of some level at a place, and its centre in degrees.
struct Spot {
    level: usize,
    row: u32,
    column: u32,
    longitude_deg: f64,
    latitude_deg: f64,
}

impl Layer {
    fn spot(&self, loader: &Loader, level: usize, longitude: f64, latitude: f64) -> Option<Spot> {
        let grid = self.grids.get(level)?;
        if let Some(terrain) = &self.terrain {
            let Found { row, column, longitude_deg, latitude_deg } =
                terrain.cell(loader, level, grid, longitude, latitude)?;
            return Some(Spot { level, row, column, longitude_deg, latitude_deg });
        }
        let (y, x) = self.axes.as_ref()?;
        let row = grid.cell(0, u32::try_from(y.cell(latitude)?).ok()?);
        let column = grid.cell(1, u32::try_from(x.cell(longitude)?).ok()?);
        // A cell of a coarser level lies between the first and last cell it covers.
        let centre = |axis: &Axis, d: usize, i: u32| {
            let first = (f64::from(i) * grid.factor[d]).ceil() as usize;
            let last =
                ((f64::from(i + 1) * grid.factor[d]).ceil() as usize).min(axis.len()).saturating_sub(1);
            Some((axis.values().get(first)? + axis.values().get(last.max(first))?) / 2.0)
        };
        let (longitude_deg, latitude_deg) = (centre(x, 1, column)?, centre(y, 0, row)?);
        Some(Spot { level, row, column, longitude_deg, latitude_deg })
    }

    /// Blocks that say which cell of the finest level a place lies in.
    fn keys_around(&self, longitude: f64, latitude: f64) -> Vec<BlockKey> {
        match (&self.terrain, self.grids.first()) {
            (Some(t), Some(grid)) => t.keys_around(0, grid, longitude, latitude),
            _ => Vec::new(),
        }
    }

    fn page_of(&self, spot: &Spot) -> Option<PageId> {
        let grid = self.grids.get(spot.level)?;
        Some(PageId {
            level: spot.level as u8,
            y: grid.page_at(0, spot.row),
            x: grid.page_at(1, spot.column),
        })
    }

    /// The stored number at a spot of a block.
    fn number(&self, spot: &Spot, plane_offset: u64, block: &Block) -> Option<f64> {
        let (grid, source) = (self.grids.get(spot.level)?, self.sources.get(spot.level)?);
        let dtype = self.variable.packing.read_as();
        let bytes = match block {
            Block::Fill => source.fill(),
            Block::Data(data) => {
                let columns = *source.meta.block_shape().last()?;
                let (row, column) = (spot.row % grid.block[0], spot.column % grid.block[1]);
                let at = (plane_offset + u64::from(row) * columns + u64::from(column)) * dtype.size() as u64;
                data.subarray(at as u32, (at + dtype.size() as u64) as u32).to_vec()
            }
        };
        dtype.get_f64(&bytes, 0)
    }

    fn readout(&self, spot: &Spot, raw: f64, longitude: f64, latitude: f64) -> Readout {
        Readout {
            longitude_deg: wrap_longitude_deg(longitude),
            latitude_deg: latitude,
            value: self.variable.packing.value(raw),
            raw: Some(raw),
            level: spot.level as u32 + self.first_level,
            cell_longitude_deg: spot.longitude_deg,
            cell_latitude_deg: spot.latitude_deg,
            row: u64::from(spot.row),
            column: u64::from(spot.column),
        }
    }
}

impl Engine {
    /// Reads from the finest level whose block is here.
    fn read_here(&self, s: &State, longitude: f64, latitude: f64) -> Option<Readout> {
        let layer = s.layer.as_ref()?;
        let selection = s.selection();
        (0..layer.grids.len()).find_map(|level| {
            let spot = layer.spot(&self.loader, level, longitude, latitude)?;
            let place = layer.place(layer.page_of(&spot)?, &selection)?;
            let block = self.loader.get(&place.key)?;
            let raw = layer.number(&spot, place.plane_offset, &block)?;
            Some(layer.readout(&spot, raw, longitude, latitude))
        })
    }

    pub(super) fn update_readout(&self, s: &mut State) {
        if s.readout.as_ref().is_some_and(Option::is_some) {
            return;
        }
        let now = s.pointer.and_then(|(x, y)| {
            let (longitude, latitude) = s.camera.unproject(x, y)?;
            self.read_here(s, longitude, latitude)
        });
        if s.readout.as_ref() != Some(&now) {
            s.readout = Some(now.clone());
            s.say(Signal::Readout(now));
        }
    }

    /// Gets what says the number of full resolution at a place. False where there
    /// is none, or it cannot be had, or something else is shown by now.
    async fn fetch_finest(self: &Rc<Self>, longitude: f64, latitude: f64) -> bool {
        let (around, generation, selection) = {
            let s = self.state.borrow();
            let around = s.layer.as_ref().map(|l| l.keys_around(longitude, latitude));
            (around.unwrap_or_default(), s.generation, s.selection())
        };
        self.loader.ask(&around);
        for key in around {
            if self.loader.wait_for(key).await.is_none() {
                return false;
            }
        }
        let key = {
            let s = self.state.borrow();
            s.layer.as_ref().and_then(|l| {
                let spot = l.spot(&self.loader, 0, longitude, latitude)?;
                Some(l.place(l.page_of(&spot)?, &selection)?.key)
            })
        };
        let Some(key) = key else { return false };
        let here = self.loader.wait_for(key).await.is_some();
        let s = self.state.borrow();
        here && s.generation == generation && s.selection() == selection
    }

    /// The number of full resolution at a place, fetched if it must be.
    pub(super) fn probe(self: &Rc<Self>, longitude: f64, latitude: f64) {
        let this = self.clone();
        spawn_local(async move {
            let (generation, selection) = {
                let s = this.state.borrow();
                (s.generation, s.selection())
            };
            let here = this.fetch_finest(longitude, latitude).await;
            {
                let mut s = this.state.borrow_mut();
                if s.generation != generation || s.selection() != selection {
                    return;
                }
                let readout = if here { this.read_here(&s, longitude, latitude) } else { None };
                s.readout = Some(readout.clone());
                s.say(Signal::Readout(readout));
            }
            this.flush();
        });
    }

    /// A sample of the values in view at the planned level.
    pub(super) fn sample(&self, s: &State, selection: &[u64]) -> Vec<f64> {
        let Some(layer) = &s.layer else { return Vec::new() };
        let here = |pages: &[PageId]| -> Vec<(PageId, Block)> {
            let block = |p: &PageId| Some((*p, self.loader.get(&layer.place(*p, selection)?.key)?));
            pages.iter().filter_map(block).collect()
        };
        // One level only: a coarse background would count places twice. The
        // planned one if it is whole, else the background, which covers more.
        let fine = here(&s.plan.pages);
        let coarse = if fine.len() < s.plan.pages.len() { here(&s.plan.background) } else { Vec::new() };
        let here = if coarse.is_empty() { fine } else { coarse };
        let Some(level) = here.first().map(|(p, _)| p.level) else { return Vec::new() };
        let each = SAMPLES / here.len().max(1);
        let mut out = Vec::with_capacity(SAMPLES);
        for (page, block) in &here {
            let (Some(place), Some(source)) =
                (layer.place(*page, selection), layer.sources.get(level as usize))
            else {
                continue;
            };
            let Block::Data(data) = block else { continue };
            let dtype = layer.variable.packing.read_as();
            let columns = source.meta.block_shape().last().copied().unwrap_or(1);
            let [rows, width] = place.cut.size;
            // Every so many rows, whole: one copy each.
            let keep = (each / width.max(1) as usize).clamp(1, rows.max(1) as usize);
            let step = (rows as usize / keep).max(1);
            for row in (step / 2..rows as usize).step_by(step) {
                let first = place.plane_offset
                    + (u64::from(place.cut.origin[0]) + row as u64) * columns
                    + u64::from(place.cut.origin[1]);
                let size = dtype.size() as u64;
                let bytes =
                    data.subarray((first * size) as u32, ((first + u64::from(width)) * size) as u32).to_vec();
                out.extend(
                    dtype.to_f64_vec(&bytes).into_iter().filter_map(|raw| layer.variable.packing.value(raw)),
                );
            }
        }
        out.retain(|v| v.is_finite());
        out
    }

    /// Where the pointer rests on a coarse number, the stored one is fetched.
    pub(super) fn sharpen_readout(self: &Rc<Self>) {
        let place = {
            let mut s = self.state.borrow_mut();
            let first = s.layer.as_ref().map_or(0, |l| l.first_level);
            let coarse = matches!(&s.readout, Some(Some(r)) if r.level > first);
            let Some((x, y)) = s.pointer.filter(|p| coarse && s.sharpened != Some(*p)) else { return };
            s.sharpened = Some((x, y));
            s.camera.unproject(x, y)
        };
        let Some((longitude, latitude)) = place else { return };
        let this = self.clone();
        spawn_local(async move {
            if this.fetch_finest(longitude, latitude).await {
                this.state.borrow_mut().readout = None;
                this.ask_frame();
            }
        });
    }

    pub(super) fn auto_clim(&self) {
        let mut s = self.state.borrow_mut();
        let selection = s.selection();
        let mut values = self.sample(&s, &selection);
        if let Some(found) = range::percentiles(&mut values) {
            s.style.clim = Some(found);
            s.clim_open = false;
            s.restyled();
        }
    }

    pub(super) fn say_histogram(&self, s: &mut State) {
        let selection = s.selection();
        let values = self.sample(s, &selection);
        let (low, high) =
            values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        if low > high {
            return;
        }
        let width = if high > low { high - low } else { 1.0 };
        let mut counts = vec![0u32; BINS];
        for v in &values {
            let bin = ((v - low) / width * BINS as f64) as usize;
            if let Some(c) = counts.get_mut(bin.min(BINS - 1)) {
                *c += 1;
            }
        }
        s.say(Signal::Histogram { counts, range: (low, high) });
    }
}
