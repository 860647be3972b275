//! What one map is showing and what it is to show next.

use std::collections::BTreeMap;
use std::rc::Rc;

use graticule_shared::axis::Axis;
use graticule_shared::colormap::Stretch;
use graticule_shared::cube::{Cube, Role, Variable};
use graticule_shared::raster::{Camera, Cell, Projection, mercator_columns, mercator_rows};
use graticule_shared::zarr::Hierarchy;

use crate::chunks::source::{BlockKey, Source};
use crate::engine::api::{Readout, Scale, Signal, StepState, Theme};
use crate::engine::terrain::Terrain;
use crate::render::field::{Field, Look, PageKey};
use crate::render::gpu::Gpu;
use crate::render::scene::{DARK, LIGHT, Palette, Scene, Way};
use crate::render::window::Window;
use crate::view::levels::{Cut, Grid, PageId};
use crate::view::plan::Plan;
use crate::view::smooth;

pub struct Store {
    pub url: String,
    pub hierarchy: Hierarchy,
    pub cube: Rc<Cube>,
}

pub struct Style {
    pub colormap: String,
    pub reversed: bool,
    /// `None` until the first numbers are here, unless it was set.
    pub clim: Option<(f64, f64)>,
    pub scale: Scale,
    pub opacity: f64,
    /// `None`: as the size of the cells asks for.
    pub smooth: Option<bool>,
    pub theme: Theme,
    pub graticule: bool,
    pub coastlines: bool,
    /// The colour map was chosen by a person, not by the variable's name.
    pub colormap_set: bool,
}

impl Style {
    pub fn palette(&self) -> &'static Palette {
        match self.theme {
            Theme::Dark => &DARK,
            Theme::Light => &LIGHT,
        }
    }

    pub fn look(&self) -> Option<Look> {
        let (low, high) = self.clim?;
        let (low, high, stretch) = match self.scale {
            Scale::Linear => (low, high, Stretch::Linear),
            Scale::Diverging => {
                let most = low.abs().max(high.abs());
                (-most, most, Stretch::Linear)
            }
            // A logarithm needs positive ends.
            Scale::Log if high > 0.0 => (if low > 0.0 { low } else { high * 1e-3 }, high, Stretch::Log),
            Scale::Log => (low, high, Stretch::Linear),
        };
        let high = if high == low { low + low.abs().max(1.0) * 1e-6 } else { high };
        Some(Look { low, high, stretch, opacity: self.opacity, smooth: self.smooth.unwrap_or(false) })
    }
}

/// Where a page's numbers lie.
pub struct Place {
    pub key: BlockKey,
    pub cut: Cut,
    /// First element of the plane within the block.
    pub plane_offset: u64,
}

/// One variable, ready to be planned, loaded and drawn.
pub struct Layer {
    pub variable: Variable,
    pub axes: Option<(Rc<Axis>, Rc<Axis>)>,
    /// Where the cells lie of a grid that is not on latitude and longitude.
    pub terrain: Option<Rc<Terrain>>,
    /// The store's number of the finest level here.
    pub first_level: u32,
    pub grids: Vec<Grid>,
    pub sources: Vec<Rc<Source>>,
    pub field: Option<Field>,
}

impl Layer {
    /// Lengths of the dimensions that are neither y nor x.
    pub fn outer(&self) -> &[graticule_shared::cube::Dim] {
        if self.variable.horizontal().is_some() {
            return self.variable.leading();
        }
        &self.variable.dims[..self.variable.dims.len().saturating_sub(2)]
    }

    pub fn time_dim(&self) -> Option<usize> {
        self.outer().iter().position(|d| d.role == Role::T)
    }

    /// Number of a choice of the outer indices.
    pub fn plane(&self, selection: &[u64]) -> u64 {
        self.outer().iter().zip(selection).fold(0, |n, (d, i)| n * d.len + (*i).min(d.len.saturating_sub(1)))
    }

    pub fn place(&self, page: PageId, selection: &[u64]) -> Option<Place> {
        let (grid, source) = (self.grids.get(page.level as usize)?, self.sources.get(page.level as usize)?);
        let cut = grid.cut(page);
        let shape = source.meta.block_shape();
        let outer = shape.len().checked_sub(2)?;
        let mut index = Vec::with_capacity(shape.len());
        let mut within = 0u64;
        for (i, size) in selection.iter().zip(&shape[..outer]) {
            index.push(i / size);
            within = within * size + i % size;
        }
        index.extend(cut.block.map(u64::from));
        let cells = shape[outer] * shape[outer + 1];
        Some(Place { key: source.key(&index), cut, plane_offset: within * cells })
    }

    /// True where meshes draw it.
    pub fn is_warped(&self) -> bool {
        self.variable.is_warped()
    }

    pub fn page_key(&self, page: PageId, plane: u64) -> Option<PageKey> {
        Some(PageKey { plane, number: self.grids.get(page.level as usize)?.page_number(page) })
    }

    pub fn wraps(&self) -> bool {
        self.axes.as_ref().is_some_and(|(_, x)| x.wraps())
    }

    /// True where a cell of `level` is wider than a device pixel.
    pub fn is_magnified(&self, level: usize, camera: &Camera, ratio: f64) -> bool {
        self.cell_px(level, camera) * ratio > 1.0
    }

    /// Width of a cell of `level` in CSS pixels; 0 where it is not known yet.
    fn cell_px(&self, level: usize, camera: &Camera) -> f64 {
        let (Some((_, x)), Some(grid)) = (&self.axes, self.grids.get(level)) else { return 0.0 };
        let (a, b) = x.edges();
        (b - a).abs() / x.len().max(1) as f64 * grid.factor[1] / camera.degrees_per_px()
    }

    pub fn is_smooth_by_default(&self, level: usize, camera: &Camera) -> bool {
        smooth::by_default(self.cell_px(level, camera), !self.variable.flags.is_empty())
    }
}

/// What stays on screen until the next layer or plane is whole.
pub struct Showing {
    pub layer: Layer,
    pub plan_level: usize,
    /// How it looked: the next one may have another range.
    pub look: Option<Look>,
}

pub struct State {
    pub camera: Camera,
    pub ratio: f64,
    /// Someone said where to look; else the data's extent decides.
    pub view_set: bool,
    pub pointer: Option<(f64, f64)>,
    pub style: Style,
    pub gpu: Option<Rc<Gpu>>,
    pub scene: Option<Scene>,
    pub store: Option<Rc<Store>>,
    /// Counts openings: what an older one still brings is ignored.
    pub generation: u32,
    pub wanted_variable: Option<String>,
    pub indices: BTreeMap<String, u64>,
    pub layer: Option<Layer>,
    pub previous: Option<Showing>,
    pub plan: Plan,
    /// Width of a cell of level 0 of a grid that meshes draw, in device pixels.
    pub cell_px: f64,
    /// The plan's pages as the quick shader takes them on the globe, where it can.
    pub window: Option<Window>,
    /// How the last picture was drawn.
    pub way: Way,
    /// Whether the picture is whole for what is wanted; `None` before the first frame.
    pub complete: Option<bool>,
    /// When the first page of what is being opened arrived, in milliseconds of the page.
    pub first_page: Option<f64>,
    pub prefetch: Vec<u64>,
    /// The view moved: cells and plan are to be made anew.
    pub view_dirty: bool,
    /// What is wanted changed, or the view did.
    pub plan_dirty: bool,
    /// Counts the changes of what lies where on the screen.
    pub place: u64,
    /// Of which place the general shader's tables are, and of which place and
    /// state of the field the patches, and whether they are smooth.
    pub cells_of: u64,
    pub patches_of: (u64, u64, bool),
    /// Whether the patches hide all land in view; `None` where the view cannot be cut into patches.
    pub patched: Option<bool>,
    /// Cells of the screen's columns and rows on a Mercator map, in the wanted layer.
    pub columns: Vec<Cell>,
    pub rows: Vec<Cell>,
    pub draw_dirty: bool,
    pub colours_dirty: bool,
    pub stats_due: bool,
    pub readout: Option<Option<Readout>>,
    /// Where the pointer was when the finest block under it was last asked for.
    pub sharpened: Option<(f64, f64)>,
    /// Nobody chose the range, and it is not the coarsest level's yet.
    pub clim_open: bool,
    /// Something else is being opened: its range is its own, unless one is said meanwhile.
    pub clim_forgotten: bool,
    pub steps: Vec<StepState>,
    pub progress: (u32, u32, u64),
    pub next_source: u32,
    /// Arrays of the open store that were used, by path.
    pub sources: BTreeMap<String, Rc<Source>>,
    pub outbox: Vec<Signal>,
    pub troubles: u32,
    pub graticule_step: u32,
    /// Which coastlines and which land are here or asked for: 0 none, 1 coarse, 2 fine.
    pub coast_detail: u8,
    pub land_detail: u8,
    /// Coastlines and land are here.
    pub base_map: bool,
    /// Metadata is being read.
    pub opening: bool,
    pub frames: u32,
}

impl State {
    pub fn new() -> Self {
        Self {
            camera: Camera {
                projection: Projection::Mercator,
                longitude_deg: 0.0,
                latitude_deg: 0.0,
                zoom: 0.0,
                width_px: 1.0,
                height_px: 1.0,
            },
            ratio: 1.0,
            view_set: false,
            pointer: None,
            style: Style {
                colormap: "viridis".to_owned(),
                reversed: false,
                clim: None,
                scale: Scale::Linear,
                opacity: 1.0,
                smooth: None,
                theme: Theme::Dark,
                graticule: false,
                coastlines: true,
                colormap_set: false,
            },
            gpu: None,
            scene: None,
            store: None,
            generation: 0,
            wanted_variable: None,
            indices: BTreeMap::new(),
            layer: None,
            previous: None,
            plan: Plan::default(),
            cell_px: 1.0,
            window: None,
            way: Way::default(),
            complete: None,
            first_page: None,
            prefetch: Vec::new(),
            view_dirty: true,
            plan_dirty: true,
            place: 1,
            cells_of: 0,
            patches_of: (0, 0, false),
            patched: None,
            columns: Vec::new(),
            rows: Vec::new(),
            draw_dirty: true,
            colours_dirty: true,
            stats_due: false,
            readout: None,
            sharpened: None,
            clim_open: true,
            clim_forgotten: false,
            steps: Vec::new(),
            progress: (0, 0, 0),
            next_source: 0,
            sources: BTreeMap::new(),
            outbox: Vec::new(),
            troubles: 0,
            graticule_step: 0,
            coast_detail: 0,
            land_detail: 0,
            base_map: false,
            opening: false,
            frames: 0,
        }
    }

    /// Outer indices of the wanted layer, in the order of its dimensions.
    pub fn selection(&self) -> Vec<u64> {
        let Some(layer) = &self.layer else { return Vec::new() };
        layer
            .outer()
            .iter()
            .map(|d| self.indices.get(&d.name).copied().unwrap_or(0).min(d.len.saturating_sub(1)))
            .collect()
    }

    /// Selection with another time index.
    pub fn selection_at(&self, time: u64) -> Option<Vec<u64>> {
        let layer = self.layer.as_ref()?;
        let dim = layer.time_dim()?;
        let mut selection = self.selection();
        let len = layer.outer().get(dim)?.len;
        *selection.get_mut(dim)? = Some(time).filter(|t| *t < len)?;
        Some(selection)
    }

    pub fn time_index(&self) -> u64 {
        self.layer
            .as_ref()
            .and_then(Layer::time_dim)
            .and_then(|d| self.selection().get(d).copied())
            .unwrap_or(0)
    }

    pub fn say(&mut self, signal: Signal) {
        self.outbox.push(signal);
    }

    pub fn say_style(&mut self) {
        let s = &self.style;
        let Some(clim) = s.clim else { return };
        self.outbox.push(Signal::Style {
            colormap: s.colormap.clone(),
            reversed: s.reversed,
            clim,
            scale: s.scale,
            opacity: s.opacity,
        });
    }

    pub fn say_view(&mut self) {
        let c = &self.camera;
        self.outbox.push(Signal::ViewChanged {
            view: crate::engine::api::View {
                longitude_deg: c.longitude_deg,
                latitude_deg: c.latitude_deg,
                zoom: c.zoom,
            },
            projection: c.projection,
        });
    }

    pub fn say_selected(&mut self) {
        let Some(layer) = &self.layer else { return };
        let indices = layer.outer().iter().map(|d| d.name.clone()).zip(self.selection()).collect();
        let variable = layer.variable.path.clone();
        self.outbox.push(Signal::Selected { variable, indices });
    }

    /// Device pixels of the canvas.
    pub fn size_px(&self) -> [u32; 2] {
        [self.camera.width_px, self.camera.height_px].map(|n| (n * self.ratio).round().max(1.0) as u32)
    }

    /// Cells of the screen's columns and rows for these axes; empty on the globe.
    pub fn cells_for(&self, (y, x): (&Axis, &Axis)) -> (Vec<Cell>, Vec<Cell>) {
        let (mut columns, mut rows) = (Vec::new(), Vec::new());
        if self.camera.projection == Projection::Mercator {
            let [width, height] = self.size_px();
            mercator_columns(&self.camera, self.ratio, width, x, &mut columns);
            mercator_rows(&self.camera, self.ratio, height, y, &mut rows);
        }
        (columns, rows)
    }

    /// The camera moved.
    pub fn moved(&mut self) {
        self.view_dirty = true;
        self.plan_dirty = true;
        self.place += 1;
        self.draw_dirty = true;
        self.readout = None;
        self.sharpened = None;
        self.stats_due = true;
    }
}
