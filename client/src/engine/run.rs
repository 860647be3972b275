//! The engine's life: start, frames, and what each frame does.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use graticule_shared::raster::Projection;
use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::HtmlCanvasElement;

use crate::breath::breathe;
use crate::chunks::fetch::{self, Range};
use crate::chunks::loader::{Failure, Loader};
use crate::chunks::pool::Pool;
use crate::engine::api::{Command, Signal, Trouble};
use crate::engine::device::device_for;
use crate::engine::lost::ContextWatch;
use crate::engine::state::{Layer, Showing, State};
use crate::engine::troubles::{failure, trouble};
use crate::render::gpu::Draw;
use crate::render::layers;
use crate::render::scene::{Frame, Scene, Way};
use crate::render::warm::{likely, warm_up};

/// Troubles said before the rest is only counted: a dead server fails every chunk.
pub(super) const MAX_TROUBLES: u32 = 8;

/// What the loader script has prepared.
pub struct Assets {
    /// Absolute URL of the folder of `index.html`, with a slash at the end.
    pub base: String,
    /// Gives the decode workers of one map.
    pub hire: Function,
    /// Resolves to the decoder's compiled `WebAssembly.Module`.
    pub decode_module: Promise,
}

impl Assets {
    /// From `globalThis.graticuleDecode`, which the loader script sets:
    /// `{base, hire, module}`.
    fn of_page() -> Option<Self> {
        let decode = Reflect::get(&js_sys::global(), &"graticuleDecode".into()).ok()?;
        let get = |key: &str| Reflect::get(&decode, &key.into()).ok();
        Some(Self {
            base: get("base")?.as_string()?,
            hire: get("hire")?.dyn_into().ok()?,
            decode_module: Promise::resolve(&get("module")?),
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

pub struct Engine {
    pub(super) state: RefCell<State>,
    pub(super) loader: Loader,
    pub(super) assets: Assets,
    canvas: HtmlCanvasElement,
    on_signal: Box<dyn Fn(Signal)>,
    frame_asked: Rc<Cell<bool>>,
    frame_handle: Cell<i32>,
    timer_handle: Cell<i32>,
    on_frame: RefCell<Option<Closure<dyn FnMut()>>>,
    timer: RefCell<Option<Closure<dyn FnMut()>>>,
    timer_asked: Cell<bool>,
    context: RefCell<Option<ContextWatch>>,
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
            let pool = Pool::new(&assets.hire, assets.decode_module.clone());
            let (ask, fail) = (weak.clone(), weak.clone());
            let changed = Rc::new(move || {
                if let Some(e) = ask.upgrade() {
                    e.heard_of_data();
                }
            });
            let on_failure = Rc::new(move |f: Failure| {
                if let Some(e) = fail.upgrade() {
                    e.say_trouble(failure(&f));
                }
            });
            Self {
                state: RefCell::new(State::new()),
                loader: Loader::new(pool, changed, on_failure),
                assets,
                canvas,
                on_signal: Box::new(on_signal),
                frame_asked: Rc::new(Cell::new(false)),
                frame_handle: Cell::new(0),
                timer_handle: Cell::new(0),
                on_frame: RefCell::new(None),
                timer: RefCell::new(None),
                timer_asked: Cell::new(false),
                context: RefCell::new(None),
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
        *engine.context.borrow_mut() = Some(ContextWatch::new(&engine.canvas, &engine));
        let this = engine.clone();
        spawn_local(async move {
            breathe().await;
            this.start_gpu().await;
        });
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
                way: state.way,
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
            self.frame_handle.set(w.request_animation_frame(f.as_ref().unchecked_ref()).unwrap_or(0));
        }
    }

    /// Statistics and the like, once things have been still for a moment.
    pub(super) fn ask_settle(&self, delay_ms: i32) {
        if self.timer_asked.replace(true) {
            return;
        }
        if let (Some(w), Some(f)) = (web_sys::window(), self.timer.borrow().as_ref()) {
            let callback = f.as_ref().unchecked_ref();
            let asked = w.set_timeout_with_callback_and_timeout_and_arguments_0(callback, delay_ms);
            self.timer_handle.set(asked.unwrap_or(0));
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
        let started = device_for(&self.canvas).await;
        breathe().await;
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
        gpu.layouts();
        breathe().await;
        let draw = {
            let s = self.state.borrow();
            let guess = || s.layer.as_ref().is_some_and(|l| l.is_smooth_by_default(s.plan.level, &s.camera));
            likely(s.camera.projection == Projection::Globe, s.style.smooth.unwrap_or_else(guess))
        };
        gpu.pipeline(draw);
        breathe().await;
        warm_up(&gpu, draw);
        breathe().await;
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
            s.land_detail = 0;
            s.moved();
        }
        self.gpu_known(Ok(()));
        self.flush();
        self.frame();
        self.ask_frame();
    }

    /// A lost device takes everything on it along; the decoded blocks are still here.
    pub(super) fn rebuild(self: &Rc<Self>) {
        self.put_down();
        let this = self.clone();
        spawn_local(async move { this.start_gpu().await });
    }

    /// Lets go of everything on the device.
    pub(super) fn put_down(&self) {
        let mut s = self.state.borrow_mut();
        s.gpu = None;
        s.scene = None;
        s.previous = None;
        s.complete = None;
        s.first_page = None;
        s.base_map = false;
        if let Some(l) = &mut s.layer {
            l.field = None;
        }
    }

    /// Keeps the layer that is shown until the next one is whole.
    pub(super) fn keep_showing(&self, s: &mut State) {
        let (plan_level, look) = (s.plan.level, s.style.look());
        if s.complete.is_some()
            && s.previous.is_none()
            && let Some(old) = s.layer.take()
            && old.field.is_some()
        {
            s.previous = Some(Showing { layer: old, plan_level, look });
        }
    }

    pub(super) fn replace_layer(&self, s: &mut State, layer: Layer) {
        s.layer = Some(layer);
        s.plan = Default::default();
        s.steps.clear();
        s.moved();
    }

    /// Fetches the base map's lines and land: coarse after the first picture, fine when near.
    pub(super) fn fetch_base_map(self: &Rc<Self>) {
        let (detail, with_lines, with_land) = {
            let mut s = self.state.borrow_mut();
            let wanted = if s.camera.zoom >= 3.5 { 2 } else { 1 };
            let waiting = s.complete.is_none() && (s.layer.is_some() || s.opening);
            let lines = s.style.coastlines && s.coast_detail < wanted;
            let land = s.land_detail < wanted;
            if s.scene.is_none() || waiting || !(lines || land) {
                return;
            }
            if lines {
                s.coast_detail = wanted;
            }
            s.land_detail = wanted;
            (if wanted == 2 { "50m" } else { "110m" }, lines, land)
        };
        let this = self.clone();
        spawn_local(async move {
            let base = &this.assets.base;
            let get = async |wanted: bool, file: &str| {
                let url = format!("{base}assets/vector/{file}");
                let fetched = if wanted { fetch::get(&url, Range::All, None).await.ok() } else { None };
                fetched.map(|f| js_sys::Uint8Array::new(&f.bytes).to_vec())
            };
            let lines = get(with_lines, &format!("coastline-{detail}.lines")).await;
            let mesh = get(with_land, &format!("land-{detail}.mesh")).await;
            let (lines, mesh) =
                (lines.and_then(|b| layers::parse_lines(&b)), mesh.and_then(|b| layers::parse_mesh(&b)));
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

    /// What the next pictures can be drawn with more quickly, compiled while nobody waits.
    fn quicken(&self) {
        let s = self.state.borrow();
        if let (Some(gpu), Way::Map { opaque: true, smooth: false }, Some(true)) = (&s.gpu, s.way, s.complete)
            && !gpu.is_made(Draw::OpaqueMap)
        {
            warm_up(gpu, Draw::OpaqueMap);
        }
    }

    /// A moment of rest: statistics, the base map, the time strip.
    fn settle(self: &Rc<Self>) {
        self.fetch_base_map();
        self.sharpen_readout();
        self.quicken();
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

impl Drop for Engine {
    fn drop(&mut self) {
        // What was asked for would find nobody.
        if let Some(w) = web_sys::window() {
            let _ = w.cancel_animation_frame(self.frame_handle.get());
            w.clear_timeout_with_handle(self.timer_handle.get());
        }
    }
}

pub fn now_ms() -> f64 {
    web_sys::window().and_then(|w| w.performance()).map_or(f64::INFINITY, |p| p.now())
}

async fn next_frame() {
    let promise = Promise::new(&mut |resolve: Function, _| {
        if let Some(w) = web_sys::window() {
            let _ = w.request_animation_frame(&resolve);
        }
    });
    let _ = JsFuture::from(promise).await;
}
