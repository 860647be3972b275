//! The engine's life: start, frames, and what each frame does.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use graticule_shared::colormap;
use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::HtmlCanvasElement;

use crate::chunks::fetch::{self, Range};
use crate::chunks::loader::{Block, Failure, FailureKind, Loader};
use crate::chunks::pool::Pool;
use crate::engine::api::{Command, Signal, Trouble};
use crate::engine::state::{Layer, Showing, State};
use crate::engine::troubles::{cors, network, status, trouble};
use crate::render::field::Window;
use crate::render::gpu::Gpu;
use crate::render::layers;
use crate::render::scene::{Frame, Scene};
use crate::view::levels::PageId;
use crate::view::plan::plan;

/// Bytes of pages put up in one animation frame, so that none takes long.
const UPLOAD_BYTES: u64 = 6 << 20;
/// Troubles said before the rest is only counted: a dead server fails every chunk.
const MAX_TROUBLES: u32 = 8;

/// Where the viewer's own files are: absolute URLs.
pub struct Assets {
    /// Folder of `index.html`, with a slash at the end.
    pub base: String,
    pub worker: String,
    pub decode_glue: String,
    /// Resolves to the decoder's compiled `WebAssembly.Module`.
    pub decode_module: Promise,
}

impl Assets {
    /// From `globalThis.graticuleDecode`, which the loader script sets:
    /// `{worker, script, module}`.
    fn of_page() -> Option<Self> {
        let decode = Reflect::get(&js_sys::global(), &"graticuleDecode".into()).ok()?;
        let text = |key: &str| Reflect::get(&decode, &key.into()).ok()?.as_string();
        let worker = text("worker")?;
        Some(Self {
            base: format!("{}/", worker.rsplit_once('/')?.0),
            decode_glue: text("script")?,
            decode_module: Promise::resolve(&Reflect::get(&decode, &"module".into()).ok()?),
            worker,
        })
    }
}

/// Why there is no map at all.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    #[error("the loader script did not say where the decoder is (globalThis.graticuleDecode)")]
    Assets,
    #[error("no graphics device: {0}")]
    Gpu(String),
}

thread_local! {
    /// One device for all maps of a page, where the backend can share it.
    static SHARED: RefCell<std::rc::Weak<Gpu>> = const { RefCell::new(std::rc::Weak::new()) };
}

pub struct Engine {
    pub(super) state: RefCell<State>,
    pub(super) loader: Loader,
    pub(super) assets: Assets,
    canvas: HtmlCanvasElement,
    on_signal: Box<dyn Fn(Signal)>,
    frame_asked: Rc<Cell<bool>>,
    on_frame: RefCell<Option<Closure<dyn FnMut()>>>,
    timer: RefCell<Option<Closure<dyn FnMut()>>>,
    timer_asked: Cell<bool>,
    speaking: Cell<bool>,
    gpu_result: RefCell<Option<Result<(), EngineError>>>,
    gpu_waiters: RefCell<Vec<futures_channel::oneshot::Sender<Result<(), EngineError>>>>,
}

impl Engine {
    /// Starts at once and waits for nothing: the device, the decoder and the data
    /// arrive in parallel, so commands should be sent right away. [`Engine::ready`]
    /// tells whether there is a device. A canvas belongs to one engine.
    ///
    /// # Errors
    /// The page did not say where the decoder is.
    pub fn new(
        canvas: HtmlCanvasElement,
        on_signal: impl Fn(Signal) + 'static,
    ) -> Result<Rc<Self>, EngineError> {
        let assets = Assets::of_page().ok_or(EngineError::Assets)?;
        let engine = Rc::new_cyclic(|weak: &std::rc::Weak<Self>| {
            let pool =
                Pool::new(assets.worker.clone(), assets.decode_glue.clone(), assets.decode_module.clone());
            let (ask, fail) = (weak.clone(), weak.clone());
            let changed = Rc::new(move || {
                if let Some(e) = ask.upgrade() {
                    e.heard_of_data();
                }
            });
            let on_failure = Rc::new(move |f: Failure| {
                if let Some(e) = fail.upgrade() {
                    e.say_trouble(failure_words(&f));
                }
            });
            Self {
                state: RefCell::new(State::new()),
                loader: Loader::new(pool, changed, on_failure),
                assets,
                canvas,
                on_signal: Box::new(on_signal),
                frame_asked: Rc::new(Cell::new(false)),
                on_frame: RefCell::new(None),
                timer: RefCell::new(None),
                timer_asked: Cell::new(false),
                speaking: Cell::new(false),
                gpu_result: RefCell::new(None),
                gpu_waiters: RefCell::new(Vec::new()),
            }
        });
        let weak = Rc::downgrade(&engine);
        *engine.on_frame.borrow_mut() = Some(Closure::new(move || {
            if let Some(e) = weak.upgrade() {
                e.frame_asked.set(false);
                e.frame();
            }
        }));
        let weak = Rc::downgrade(&engine);
        *engine.timer.borrow_mut() = Some(Closure::new(move || {
            if let Some(e) = weak.upgrade() {
                e.timer_asked.set(false);
                e.settle();
            }
        }));
        let this = engine.clone();
        spawn_local(async move { this.start_gpu().await });
        Ok(engine)
    }

    /// Waits for the graphics device.
    ///
    /// # Errors
    /// There is none; a fresh canvas may try the other backend.
    pub async fn ready(&self) -> Result<(), EngineError> {
        let (send, receive) = futures_channel::oneshot::channel();
        if let Some(known) = &*self.gpu_result.borrow() {
            return known.clone();
        }
        self.gpu_waiters.borrow_mut().push(send);
        receive.await.unwrap_or(Err(EngineError::Gpu("the map went away".to_owned())))
    }

    fn gpu_known(&self, result: Result<(), EngineError>) {
        *self.gpu_result.borrow_mut() = Some(result.clone());
        for waiter in self.gpu_waiters.take() {
            let _ = waiter.send(result.clone());
        }
    }

    pub fn send(self: &Rc<Self>, command: Command) {
        self.apply(command);
        self.act();
        self.flush();
    }

    /// Draws now, if no animation frame is being waited for. On a slow device the
    /// next one may be far off, and what is drawn before it is shown with it.
    pub(super) fn act(self: &Rc<Self>) {
        if !self.frame_asked.get() {
            self.frame();
        }
        self.ask_frame();
    }

    /// Something arrived: the last of what was missing is drawn at once.
    fn heard_of_data(self: &Rc<Self>) {
        if self.loader.is_whole() {
            self.frame();
        }
        self.ask_frame();
    }

    /// True when nothing is loading and the picture is whole.
    pub fn is_idle(&self) -> bool {
        let s = self.state.borrow();
        s.complete == Some(true)
            && !s.draw_dirty
            && !s.plan_dirty
            && self.loader.is_idle()
            && s.previous.is_none()
    }

    /// The map as it is drawn: width, height and RGBA bytes.
    pub async fn snapshot_rgba(self: &Rc<Self>) -> Option<(u32, u32, Vec<u8>)> {
        let (send, receive) = futures_channel::oneshot::channel();
        let (gpu, size) = {
            let mut state = self.state.borrow_mut();
            let state = &mut *state;
            let (gpu, scene) = (state.gpu.clone()?, state.scene.as_mut()?);
            let palette = state.style.palette();
            let field = match &state.previous {
                Some(p) => p.layer.field.as_ref(),
                None => state.layer.as_ref().and_then(|l| l.field.as_ref()),
            };
            let frame = Frame {
                palette,
                coastlines: state.style.coastlines,
                graticule: state.style.graticule,
                field: field.filter(|_| state.complete.is_some()),
                quick: state.quick,
            };
            scene.read_back(&gpu, &state.camera, state.ratio, &frame, move |bytes| drop(send.send(bytes)));
            (gpu.clone(), scene.size())
        };
        let mut receive = receive;
        // WebGL only finishes when it is polled.
        for _ in 0..600 {
            let _ = gpu.device.poll(wgpu::PollType::Poll);
            if let Ok(Some(bytes)) = receive.try_recv() {
                return Some((size[0], size[1], bytes?));
            }
            next_frame().await;
        }
        None
    }

    /// Colours of the base map now: around, water, land (sRGB, 0 to 1).
    pub fn base_colours(&self) -> [[f32; 3]; 3] {
        let p = self.state.borrow().style.palette();
        [p.space, p.water, p.land]
    }

    pub(super) fn ask_frame(&self) {
        if self.frame_asked.replace(true) {
            return;
        }
        if let (Some(w), Some(f)) = (web_sys::window(), self.on_frame.borrow().as_ref()) {
            let _ = w.request_animation_frame(f.as_ref().unchecked_ref());
        }
    }

    /// Statistics and the like, once things have been still for a moment.
    fn ask_settle(&self, delay_ms: i32) {
        if self.timer_asked.replace(true) {
            return;
        }
        if let (Some(w), Some(f)) = (web_sys::window(), self.timer.borrow().as_ref()) {
            let _ =
                w.set_timeout_with_callback_and_timeout_and_arguments_0(f.as_ref().unchecked_ref(), delay_ms);
        }
    }

    /// Hands out what is to be said, while nothing is borrowed.
    pub(super) fn flush(&self) {
        if self.speaking.replace(true) {
            return;
        }
        loop {
            let signals = std::mem::take(&mut self.state.borrow_mut().outbox);
            if signals.is_empty() {
                break;
            }
            signals.into_iter().for_each(|s| (self.on_signal)(s));
        }
        self.speaking.set(false);
    }

    pub(super) fn say_trouble(&self, t: Trouble) {
        {
            let mut s = self.state.borrow_mut();
            s.troubles += 1;
            if s.troubles <= MAX_TROUBLES {
                s.say(Signal::Trouble(t));
            }
        }
        self.flush();
    }

    async fn start_gpu(self: Rc<Self>) {
        let shared =
            SHARED.with(|s| s.borrow().upgrade()).filter(|g| !g.is_lost() && cfg!(feature = "webgpu"));
        let target = || wgpu::SurfaceTarget::Canvas(self.canvas.clone());
        let started = match shared {
            Some(gpu) => match gpu.instance.create_surface(target()) {
                Ok(surface) => Ok((gpu, surface)),
                Err(e) => Err(e.to_string()),
            },
            None => match Gpu::new(target()).await {
                Ok((gpu, surface)) => Ok((Rc::new(gpu), surface)),
                Err(e) => Err(e.to_string()),
            },
        };
        let (gpu, surface) = match started {
            Ok(pair) => pair,
            Err(why) => {
                let next = "Try another browser, or switch hardware acceleration on.";
                self.say_trouble(trouble(
                    "The map cannot be drawn",
                    "no graphics device answers",
                    next,
                    &why,
                ));
                self.gpu_known(Err(EngineError::Gpu(why)));
                return;
            }
        };
        SHARED.with(|s| *s.borrow_mut() = Rc::downgrade(&gpu));
        {
            let mut s = self.state.borrow_mut();
            let mut scene = Scene::new(&gpu, surface);
            if s.camera.width_px > 1.0 {
                let (w, h, r) = (s.camera.width_px, s.camera.height_px, s.ratio);
                scene.resize(&gpu, [(w * r).round() as u32, (h * r).round() as u32]);
            }
            s.say(Signal::Ready { backend: gpu.backend().to_owned() });
            s.scene = Some(scene);
            s.gpu = Some(gpu);
            s.colours_dirty = true;
            s.graticule_step = 0;
            s.coast_detail = 0;
            s.moved();
        }
        self.gpu_known(Ok(()));
        self.flush();
        self.frame();
        self.ask_frame();
    }

    /// A lost device takes everything on it along; the decoded blocks are still here.
    fn rebuild(self: &Rc<Self>) {
        {
            let mut s = self.state.borrow_mut();
            s.gpu = None;
            s.scene = None;
            s.previous = None;
            s.complete = None;
            if let Some(l) = &mut s.layer {
                l.field = None;
            }
        }
        let this = self.clone();
        spawn_local(async move { this.start_gpu().await });
    }

    /// One animation frame: plan, put up what has arrived, draw if anything changed.
    fn frame(self: &Rc<Self>) {
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
            && let Some((y, x)) = &layer.axes
        {
            layer.field = Some(crate::render::field::Field::new(
                gpu,
                layer.grids.clone(),
                &layer.variable.packing,
                (y, x),
            ));
            s.place_dirty = true;
        }
        if s.plan_dirty {
            self.replan(s);
        }
        self.reserve(s, gpu);
        let mut more = self.put_up(s, gpu);
        self.settle_frame(s, gpu);
        if s.colours_dirty
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
            more |= !self.draw(s, gpu, scene, ratio);
        }
        more
    }

    /// Writes the tables of cells for what is to be drawn.
    fn put_cells(&self, s: &mut State, gpu: &Gpu, scene: &mut Scene) {
        if !std::mem::take(&mut s.place_dirty) {
            return;
        }
        match &s.previous {
            Some(p) => {
                if let Some((y, x)) = &p.layer.axes {
                    let (columns, rows) = s.cells_for((y, x));
                    scene.put_cells(gpu, &columns, &rows);
                }
                // Those of the wanted layer follow when it is shown.
            }
            None => {
                scene.put_cells(gpu, &s.columns, &s.rows);
                let grid = s.layer.as_ref().and_then(|l| l.grids.get(s.plan.level));
                if let (Some(grid), Some(window)) = (grid, &s.window) {
                    scene.put_texels(gpu, (&s.columns, &s.rows), grid, window);
                }
            }
        }
    }

    fn draw(&self, s: &mut State, gpu: &Rc<Gpu>, scene: &mut Scene, ratio: f64) -> bool {
        let camera = s.camera;
        self.put_cells(s, gpu, scene);
        let look = s.style.look();
        let window = if s.previous.is_none() { s.window } else { None };
        let (shown, level) = match &mut s.previous {
            Some(p) => (Some(&mut p.layer), p.plan_level),
            None => (s.layer.as_mut(), s.plan.level),
        };
        let (mut ready, mut quick) = (false, false);
        let pages = &s.plan.pages;
        if let (Some(layer), Some(look)) = (shown, look) {
            let (magnified, wraps) = (layer.is_magnified(level, &camera, ratio), layer.wraps());
            if let Some(mut field) = layer.field.take() {
                let globe = camera.projection == graticule_shared::raster::Projection::Globe;
                let plane = field.shown_plane();
                let here = |p: &PageId| layer.page_key(*p, plane).is_some_and(|k| field.has(k));
                match window {
                    Some(window)
                        if field.is_simple(&look, level, globe, magnified) && pages.iter().all(here) =>
                    {
                        field.prepare_quick(gpu, &look, &window);
                        quick = true;
                    }
                    _ => field.prepare(gpu, &look, level, magnified, wraps),
                }
                layer.field = Some(field);
                ready = true;
            }
        }
        let field = match &s.previous {
            Some(p) => p.layer.field.as_ref(),
            None => s.layer.as_ref().and_then(|l| l.field.as_ref()),
        };
        let frame = Frame {
            palette: s.style.palette(),
            coastlines: s.style.coastlines,
            graticule: s.style.graticule,
            field: field.filter(|_| ready && s.complete.is_some()),
            quick,
        };
        s.quick = quick;
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
        let mut keys = Vec::new();
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
        let Some((y, x)) = s.layer.as_ref().and_then(|l| l.axes.clone()) else {
            self.want_early(s);
            return;
        };
        if std::mem::take(&mut s.view_dirty) {
            (s.columns, s.rows) = s.cells_for((&y, &x));
            if let Some(layer) = &s.layer {
                s.plan = plan(&s.camera, s.ratio, &layer.grids, (&y, &x), &s.columns, &s.rows);
                let grid = layer.grids.get(s.plan.level);
                s.window = grid.and_then(|g| Window::around(g, s.plan.level, &s.plan.pages));
            }
            s.place_dirty = true;
        }
        s.plan_dirty = false;
        let Some(layer) = &s.layer else { return };
        let mut keys = Vec::new();
        let mut add = |page, selection: &[u64]| {
            if let Some(p) = layer.place(page, selection)
                && !keys.contains(&p.key)
            {
                keys.push(p.key);
            }
        };
        // Background first only where there is nothing to look at yet.
        let first = s.complete.is_none();
        if first {
            s.plan.background.iter().for_each(|p| add(*p, &selection));
        }
        s.plan.pages.iter().for_each(|p| add(*p, &selection));
        if !first {
            s.plan.background.iter().for_each(|p| add(*p, &selection));
        }
        for selection in &ahead {
            s.plan.pages.iter().for_each(|p| add(*p, selection));
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
        if s.style.clim.is_none() {
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
            let here = |page: &PageId| {
                layer.page_key(*page, plane).is_some_and(|k| field.has(k))
                    || layer.place(*page, &selection).is_some_and(|p| self.loader.has_failed(&p.key))
            };
            let whole = s.plan.pages.iter().all(here);
            let any = s.plan.pages.iter().chain(&s.plan.background).any(here);
            (plane, whole, field.shown_plane() == plane, any)
        };
        let was = s.complete;
        if whole || (first && any) {
            if let Some(field) = s.layer.as_mut().and_then(|l| l.field.as_mut())
                && (!shown || s.previous.is_some())
            {
                field.show(plane);
                s.previous = None;
                s.place_dirty = true;
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

    /// Keeps the layer that is shown until the new one is whole.
    pub(super) fn replace_layer(&self, s: &mut State, layer: Layer) {
        let plan_level = s.plan.level;
        if s.complete.is_some()
            && s.previous.is_none()
            && let Some(old) = s.layer.take()
            && old.field.is_some()
        {
            s.previous = Some(Showing { layer: old, plan_level });
        }
        s.layer = Some(layer);
        s.plan = Default::default();
        s.steps.clear();
        s.moved();
    }

    /// Fetches the base map's lines and land: coarse after the first picture, fine when near.
    pub(super) fn fetch_base_map(self: &Rc<Self>) {
        let detail = {
            let mut s = self.state.borrow_mut();
            let wanted = if s.camera.zoom >= 3.5 { 2 } else { 1 };
            let waiting = s.complete.is_none() && (s.layer.is_some() || s.opening);
            if s.scene.is_none() || waiting || s.coast_detail >= wanted {
                return;
            }
            s.coast_detail = wanted;
            if wanted == 2 { "50m" } else { "110m" }
        };
        let this = self.clone();
        spawn_local(async move {
            let url =
                |kind: &str, ext: &str| format!("{}assets/vector/{kind}-{detail}.{ext}", this.assets.base);
            let lines = fetch::get(&url("coastline", "lines"), Range::All, None).await;
            let mesh = fetch::get(&url("land", "mesh"), Range::All, None).await;
            let bytes = |f: fetch::Fetched| js_sys::Uint8Array::new(&f.bytes).to_vec();
            let (lines, mesh) = (
                lines.ok().and_then(|f| layers::parse_lines(&bytes(f))),
                mesh.ok().and_then(|f| layers::parse_mesh(&bytes(f))),
            );
            {
                let mut s = this.state.borrow_mut();
                let s = &mut *s;
                let (Some(gpu), Some(scene)) = (&s.gpu, &mut s.scene) else { return };
                if let Some(lines) = lines {
                    scene.set_coastlines(gpu, &lines);
                }
                if let Some(mesh) = mesh {
                    scene.set_land(gpu, &mesh);
                }
                s.base_map = true;
                s.draw_dirty = true;
            }
            this.ask_frame();
        });
    }

    /// A moment of rest: statistics, the base map, the time strip.
    fn settle(self: &Rc<Self>) {
        self.fetch_base_map();
        let more = {
            let mut s = self.state.borrow_mut();
            self.update_steps(&mut s);
            if s.stats_due && s.complete == Some(true) {
                s.stats_due = false;
                self.say_histogram(&mut s);
            }
            !self.loader.is_idle()
        };
        self.flush();
        if more {
            self.ask_settle(200);
        }
    }
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

fn failure_words(f: &Failure) -> Trouble {
    let what = format!("Part of {} could not be loaded", f.array);
    match &f.kind {
        FailureKind::Status(code) => status(&what, *code, &f.url),
        FailureKind::Cors => cors(&what, &f.url),
        FailureKind::Network(why) => network(&what, &f.url, why),
        FailureKind::Decode(why) => trouble(
            &what,
            &format!("the chunk cannot be decoded: {why}"),
            "The stored object may be damaged, or be written with an option that the viewer does not know.",
            &format!("{}: {why}", f.url),
        ),
        FailureKind::ShardIndex(why) => trouble(
            &what,
            &format!("the shard's index cannot be read: {why}"),
            "The stored object may be damaged, or the server answers Range requests wrongly.",
            &format!("{}: {why}", f.url),
        ),
    }
}

async fn next_frame() {
    let promise = Promise::new(&mut |resolve: Function, _| {
        if let Some(w) = web_sys::window() {
            let _ = w.request_animation_frame(&resolve);
        }
    });
    let _ = JsFuture::from(promise).await;
}
