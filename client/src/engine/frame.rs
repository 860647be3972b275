//! What one animation frame does: plan, put up what has arrived, draw.

use std::rc::Rc;

use graticule_shared::axis::Axis;
use graticule_shared::colormap::{self, Stretch};
use graticule_shared::raster::{MERCATOR_LATITUDE_DEG, Projection};

use crate::chunks::loader::Block;
use crate::chunks::source::BlockKey;
use crate::engine::api::Signal;
use crate::engine::run::{Engine, MAX_TROUBLES, now_ms};
use crate::engine::shape::{plan_terrain, terrain_pages};
use crate::engine::state::{Layer, State};
use crate::engine::troubles::trouble;
use crate::render::field::{Field, Look};
use crate::render::gpu::Gpu;
use crate::render::layers;
use crate::render::patches::{Cells, patches};
use crate::render::scene::{Frame, Scene, Way};
use crate::render::window::Window;
use crate::view::levels::PageId;
use crate::view::plan::plan;

/// Bytes of pages put up in one animation frame, so that none takes long.
const UPLOAD_BYTES: u64 = 6 << 20;

/// How long the first page waits for company before it is shown alone.
const FIRST_PAGES_MS: f64 = 80.0;

impl Engine {
    /// One animation frame: plan, put up what has arrived, draw if anything changed.
    pub(super) fn frame(self: &Rc<Self>) {
        let mut more = false;
        let mut lost = false;
        {
            // Called from within a change: the animation frame that was asked for does it.
            let Ok(mut s) = self.state.try_borrow_mut() else { return };
            if let Some(gpu) = s.gpu.clone() {
                lost = gpu.is_lost();
                for e in gpu.take_errors() {
                    s.troubles += 1;
                    if s.troubles <= MAX_TROUBLES {
                        let next = "Reload the page; if it stays, another browser may do better.";
                        s.say(Signal::Trouble(trouble(
                            "Drawing failed",
                            "the graphics device refused a call",
                            next,
                            &e,
                        )));
                    }
                }
                if !lost {
                    more = self.update(&mut s, &gpu);
                }
            } else if s.plan_dirty {
                self.replan(&mut s);
            }
            self.update_readout(&mut s);
            let progress = self.loader.progress();
            if progress != s.progress {
                s.progress = progress;
                s.say(Signal::Progress { done: progress.0, total: progress.1, bytes: progress.2 });
            }
        }
        if lost {
            self.rebuild();
        }
        self.flush();
        self.ask_settle(120);
        if more {
            self.ask_frame();
        }
    }

    /// True where another frame is needed to finish.
    fn update(&self, s: &mut State, gpu: &Rc<Gpu>) -> bool {
        let Some(mut scene) = s.scene.take() else { return false };
        let more = self.update_scene(s, gpu, &mut scene);
        s.scene = Some(scene);
        more
    }

    fn update_scene(&self, s: &mut State, gpu: &Rc<Gpu>, scene: &mut Scene) -> bool {
        if s.camera.width_px <= 1.0 {
            return false;
        }
        let (camera, ratio) = (s.camera, s.ratio);
        // The wanted layer's geometry; what is still shown has the same kind of axes or its own.
        if let Some(layer) = &mut s.layer
            && layer.field.is_none()
            && (layer.axes.is_some() || layer.terrain.is_some())
        {
            layer.field = Some(crate::render::field::Field::new(
                gpu,
                layer.grids.clone(),
                &layer.variable.packing,
                layer.axes.as_ref().map(|(y, x)| (&**y, &**x)),
            ));
            s.place += 1;
        }
        if s.plan_dirty {
            self.replan(s);
        }
        self.reserve(s, gpu);
        let mut more = self.put_up(s, gpu) | self.build_meshes(s, gpu);
        self.settle_frame(s, gpu);
        if s.colours_dirty
            && s.previous.is_none()
            && let Some(mut lut) = colormap::lut(&s.style.colormap)
        {
            if s.style.reversed {
                lut.reverse();
            }
            scene.set_colours(gpu, &lut);
            s.colours_dirty = false;
        }
        let step = layers::graticule_step_deg(camera.zoom);
        if s.style.graticule && s.graticule_step != step {
            scene.set_graticule(gpu, &layers::graticule(step));
            s.graticule_step = step;
        }
        // An empty picture costs a frame that the first whole one then waits for.
        if s.draw_dirty && (s.complete.is_some() || s.base_map) {
            more |= scene.is_busy() || !self.draw(s, gpu, scene, ratio);
        }
        // The first pages are followed by others within moments: one picture of both.
        more | s.first_page.is_some_and(|_| s.complete.is_none())
    }

    fn draw(&self, s: &mut State, gpu: &Rc<Gpu>, scene: &mut Scene, ratio: f64) -> bool {
        let camera = s.camera;
        s.way = Way::General;
        let mut ready = false;
        // Taken out meanwhile: what is shown is part of the state.
        let mut previous = s.previous.take();
        let mut layer = s.layer.take();
        let wanted = previous.is_none();
        let (shown, look, level) = match &mut previous {
            Some(p) => (Some(&mut p.layer), p.look, p.plan_level),
            None => (layer.as_mut(), s.style.look(), s.plan.level),
        };
        if let (Some(shown), Some(mut look)) = (shown, look)
            && let Some(mut field) = shown.field.take()
        {
            look.smooth = s.style.smooth.unwrap_or_else(|| shown.is_smooth_by_default(level, &camera));
            s.way =
                prepare(s, gpu, scene, &mut Shown { layer: shown, field: &mut field, level, wanted }, &look);
            shown.field = Some(field);
            ready = true;
        }
        (s.previous, s.layer) = (previous, layer);
        let field = match &s.previous {
            Some(p) => p.layer.field.as_ref(),
            None => s.layer.as_ref().and_then(|l| l.field.as_ref()),
        };
        let frame = Frame {
            palette: s.style.palette(),
            coastlines: s.style.coastlines,
            graticule: s.style.graticule,
            field: field.filter(|_| ready && s.complete.is_some()),
            way: s.way,
        };
        if scene.draw(gpu, &camera, ratio, &frame) {
            s.draw_dirty = false;
            s.frames += 1;
            return true;
        }
        false
    }

    /// Before there is a device: the data may already be asked for.
    fn want_early(&self, s: &mut State) {
        let Some(layer) = &s.layer else { return };
        let Some(grid) = layer.grids.last().filter(|g| g.page_count() <= 16) else { return };
        let level = (layer.grids.len() - 1) as u8;
        let selection = s.selection();
        let mut keys = self.range_blocks(s).filter(|r| r.few).map_or_else(Vec::new, |r| r.keys);
        for y in 0..grid.pages[0] {
            for x in 0..grid.pages[1] {
                let page = PageId { level, y, x };
                if let Some(place) = layer.place(page, &selection)
                    && !keys.contains(&place.key)
                {
                    keys.push(place.key);
                }
            }
        }
        self.loader.want(keys);
    }

    /// Decides which pages are wanted, and asks for what is not here. Needs no
    /// device and no animation frame: requests leave at once.
    pub(super) fn replan(&self, s: &mut State) {
        if s.camera.width_px <= 1.0 {
            return;
        }
        let selection = s.selection();
        let ahead: Vec<Vec<u64>> = s.prefetch.iter().take(64).filter_map(|t| s.selection_at(*t)).collect();
        let terrain = s.layer.as_ref().and_then(|l| l.terrain.clone());
        let axes = s.layer.as_ref().and_then(|l| l.axes.clone());
        if axes.is_none() && terrain.is_none() {
            self.want_early(s);
            return;
        }
        if let Some(terrain) = &terrain
            && std::mem::take(&mut s.view_dirty)
        {
            plan_terrain(s, terrain);
        }
        if let Some((y, x)) = axes
            && std::mem::take(&mut s.view_dirty)
        {
            (s.columns, s.rows) = s.cells_for((&y, &x));
            if let Some(layer) = &s.layer {
                s.plan = plan(&s.camera, s.ratio, &layer.grids, (&y, &x), &s.columns, &s.rows);
                let globe = s.camera.projection == Projection::Globe;
                let grid = layer.grids.get(s.plan.level).filter(|_| globe);
                s.window = grid.and_then(|g| Window::around(g, s.plan.level, &s.plan.pages));
            }
            s.place += 1;
        }
        s.plan_dirty = false;
        let Some(layer) = &s.layer else { return };
        let (mut keys, late) = match self.range_blocks(s) {
            Some(range) if range.few => (range.keys, Vec::new()),
            Some(range) => (Vec::new(), range.keys),
            None => (Vec::new(), Vec::new()),
        };
        let add = |keys: &mut Vec<BlockKey>, page: PageId, selection: &[u64]| {
            if let (Some(t), Some(grid)) = (&terrain, layer.grids.get(usize::from(page.level))) {
                for key in t.keys(page, grid) {
                    if !keys.contains(&key) {
                        keys.push(key);
                    }
                }
            }
            if let Some(p) = layer.place(page, selection)
                && !keys.contains(&p.key)
            {
                keys.push(p.key);
            }
        };
        // Background first only where there is nothing to look at yet.
        let first = s.complete.is_none();
        if first {
            s.plan.background.iter().for_each(|p| add(&mut keys, *p, &selection));
        }
        s.plan.pages.iter().for_each(|p| add(&mut keys, *p, &selection));
        if !first {
            s.plan.background.iter().for_each(|p| add(&mut keys, *p, &selection));
        }
        keys.extend(late.into_iter().filter(|k| !keys.contains(k)).collect::<Vec<_>>());
        for selection in &ahead {
            s.plan.pages.iter().for_each(|p| add(&mut keys, *p, selection));
        }
        self.loader.want(keys);
    }

    /// Room on the device for the planned pages, of the plane shown and the wanted one.
    fn reserve(&self, s: &mut State, gpu: &Gpu) {
        let pages = s.plan.pages.len() + s.plan.background.len();
        if let Some(field) = s.layer.as_mut().and_then(|l| l.field.as_mut())
            && field.reserve(gpu, 2 * pages)
        {
            s.draw_dirty = true;
        }
    }

    /// Uploads pages of the wanted plane that have arrived. True where some are left for the next frame.
    fn put_up(&self, s: &mut State, gpu: &Rc<Gpu>) -> bool {
        let selection = s.selection();
        if s.clim_open {
            self.first_clim(s, &selection);
        }
        let Some(layer) = &mut s.layer else { return false };
        let Some(mut field) = layer.field.take() else { return false };
        let plane = layer.plane(&selection);
        let keys = s.plan.pages.iter().chain(&s.plan.background).filter_map(|p| layer.page_key(*p, plane));
        field.touch(keys);
        let mut bytes = 0;
        let mut more = false;
        for page in s.plan.pages.iter().chain(&s.plan.background) {
            let (Some(key), Some(place)) = (layer.page_key(*page, plane), layer.place(*page, &selection))
            else {
                continue;
            };
            if field.has(key) {
                continue;
            }
            let Some(block) = self.loader.get(&place.key) else { continue };
            if bytes >= UPLOAD_BYTES {
                more = true;
                break;
            }
            bytes += upload(gpu, layer, &mut field, page.level, key, &place, &block);
            if field.shown_plane() == plane {
                s.draw_dirty = true;
            }
        }
        layer.field = Some(field);
        more
    }

    /// Decides whether the wanted plane is whole, and shows it if so.
    fn settle_frame(&self, s: &mut State, _gpu: &Rc<Gpu>) {
        let selection = s.selection();
        let index = s.time_index();
        if s.style.clim.is_none() || s.plan_dirty {
            return;
        }
        let first = s.complete.is_none();
        let (plane, whole, shown, any) = {
            let Some(layer) = &s.layer else { return };
            let Some(field) = &layer.field else { return };
            let plane = layer.plane(&selection);
            let globe = s.camera.projection == Projection::Globe;
            let here = |page: &PageId| {
                layer.page_key(*page, plane).is_some_and(|k| field.has(k))
                    && (layer.terrain.is_none() || field.warp.has(*page, globe))
                    || layer.place(*page, &selection).is_some_and(|p| self.loader.has_failed(&p.key))
            };
            let whole = s.plan.pages.iter().all(here);
            let any = s.plan.pages.iter().chain(&s.plan.background).any(here);
            (plane, whole, field.shown_plane() == plane, any)
        };
        let was = s.complete;
        if any && first && s.first_page.is_none() {
            s.first_page = Some(now_ms());
        }
        let waited = s.first_page.is_some_and(|t| now_ms() - t >= FIRST_PAGES_MS);
        if whole || (first && any && waited) {
            if let Some(field) = s.layer.as_mut().and_then(|l| l.field.as_mut())
                && (!shown || s.previous.is_some())
            {
                field.show(plane);
                s.previous = None;
                s.place += 1;
                s.draw_dirty = true;
            }
            s.complete = Some(whole);
            if !shown || was != Some(whole) {
                s.say(Signal::Frame { index, complete: whole });
            }
        } else if !first {
            s.complete = Some(false);
        }
    }
}

/// What a frame draws.
struct Shown<'a> {
    layer: &'a Layer,
    field: &'a mut Field,
    level: usize,
    /// It is what is wanted, not what stays until that is whole.
    wanted: bool,
}

/// Writes what the shaders need for `shown`, and says which of them can draw it.
fn prepare(s: &mut State, gpu: &Gpu, scene: &mut Scene, shown: &mut Shown, look: &Look) -> Way {
    let Shown { layer, field, level, wanted } = shown;
    let (level, wanted) = (*level, *wanted);
    if let Some(terrain) = &layer.terrain {
        let pages = terrain_pages(s, layer, terrain, field, level, wanted);
        field.warp.place(gpu, &s.camera, &pages);
        field.prepare_quick(gpu, look, (level, false), None);
        return Way::Warp;
    }
    let Some((y, x)) = &layer.axes else { return Way::General };
    let magnified = layer.is_magnified(level, &s.camera, s.ratio);
    let smooth = look.smooth && magnified;
    let linear = look.stretch == Stretch::Linear;
    let globe = s.camera.projection == Projection::Globe;
    let wraps = layer.wraps();
    // The view's own cells are those of the wanted layer.
    let cells = |s: &State| if wanted { (s.columns.clone(), s.rows.clone()) } else { s.cells_for((y, x)) };
    if linear && globe && wanted && field.is_regular(level) && (!smooth || field.is_one_page(level)) {
        let plane = field.shown_plane();
        let here = |p: &PageId| layer.page_key(*p, plane).is_some_and(|k| field.has(k));
        let enough = field.has_only(level) || s.plan.pages.iter().all(here);
        if let Some(window) = s.window.filter(|w| w.level == level && enough) {
            field.prepare_quick(gpu, look, (level, wraps), Some(&window));
            return Way::Globe { smooth };
        }
    }
    if linear && !globe {
        let now = (s.place, field.changes(), smooth);
        if s.patches_of != now {
            let (columns, rows) = cells(s);
            let around = covers_world(y) && columns.iter().all(|c| c.index >= 0.0);
            let how = if smooth { Cells::Smooth { wraps } } else { Cells::Flat };
            let made = patches(&columns, &rows, &layer.grids, level, how, |page| field.layer_of(page));
            s.patched = made.map(|p| {
                scene.put_patches(gpu, &p);
                let opaque = |l: u16| field.is_opaque(u32::from(l));
                around && p.covers && p.quads.iter().all(|q| q.layers.iter().all(|l| opaque(*l)))
            });
            s.patches_of = now;
        }
        if let Some(opaque) = s.patched {
            field.prepare_quick(gpu, look, (level, wraps), None);
            return Way::Map { opaque: opaque && look.opacity >= 1.0, smooth };
        }
    }
    if s.cells_of != s.place {
        let (columns, rows) = cells(s);
        scene.put_cells(gpu, &columns, &rows);
        s.cells_of = s.place;
    }
    field.prepare(gpu, look, level, magnified, wraps);
    Way::General
}

/// True where a Mercator map has no row beside the axis.
fn covers_world(latitude: &Axis) -> bool {
    let (a, b) = latitude.edges();
    a.min(b) <= -MERCATOR_LATITUDE_DEG && a.max(b) >= MERCATOR_LATITUDE_DEG
}

/// One page from its block to the atlas; the bytes that were written.
fn upload(
    gpu: &Gpu,
    layer: &Layer,
    field: &mut crate::render::field::Field,
    level: u8,
    key: crate::render::field::PageKey,
    place: &crate::engine::state::Place,
    block: &Block,
) -> u64 {
    let Some(source) = layer.sources.get(level as usize) else { return 0 };
    let Some(columns) = source.meta.block_shape().last().copied() else { return 0 };
    match block {
        Block::Fill => field.upload_fill(gpu, key, &source.fill(), place.cut.size),
        Block::Data(data) => {
            let item = source.chain.dtype.size() as u64;
            let [y, x] = place.cut.origin.map(u64::from);
            let [rows, width] = place.cut.size.map(u64::from);
            if rows == 0 || width == 0 {
                return 0;
            }
            let from = (place.plane_offset + y * columns + x) * item;
            let to = from + ((rows - 1) * columns + width) * item;
            let bytes = data.subarray(from as u32, to as u32).to_vec();
            field.upload(gpu, key, &bytes, columns as u32, place.cut.size)
        }
    }
}
