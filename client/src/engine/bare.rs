//! A map without an interface, for scripts: benchmarks and tests of pixels.

use std::rc::Rc;

use js_sys::{Array, Function, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::HtmlCanvasElement;

use crate::engine::Engine;
use crate::engine::api::{Command, Projection, Scale, Signal, Theme, View};

#[wasm_bindgen]
pub struct BareMap(Rc<Engine>);

#[wasm_bindgen]
impl BareMap {
    /// `hear` is called with each signal's name and its content as text.
    #[wasm_bindgen(constructor)]
    pub fn new(canvas: HtmlCanvasElement, hear: Function) -> Result<BareMap, JsError> {
        let say = move |signal: Signal| {
            let text = format!("{signal:?}");
            let text = if text.len() > 600 { text.chars().take(600).collect() } else { text };
            let name: String = text.chars().take_while(|c| c.is_alphanumeric()).collect();
            let _ = hear.call2(&JsValue::NULL, &name.into(), &text.into());
        };
        Ok(Self(Engine::new(canvas, say)?))
    }

    pub fn open(&self, url: String) {
        self.0.send(Command::Open { url });
    }

    pub fn set_variable(&self, path: String) {
        self.0.send(Command::SetVariable(path));
    }

    pub fn set_index(&self, dim: String, index: u32) {
        self.0.send(Command::SetIndex { dim, index: u64::from(index) });
    }

    pub fn set_clim(&self, low: f64, high: f64) {
        self.0.send(Command::SetClim(low, high));
    }

    pub fn set_colormap(&self, name: String) {
        self.0.send(Command::SetColormap(name));
    }

    pub fn set_log(&self, on: bool) {
        self.0.send(Command::SetScale(if on { Scale::Log } else { Scale::Linear }));
    }

    pub fn set_globe(&self, on: bool) {
        self.0.send(Command::SetProjection(if on { Projection::Globe } else { Projection::Mercator }));
    }

    pub fn set_light(&self, on: bool) {
        self.0.send(Command::SetTheme(if on { Theme::Light } else { Theme::Dark }));
    }

    pub fn set_smooth(&self, on: bool) {
        self.0.send(Command::SetSmooth(on));
    }

    pub fn set_lines(&self, coastlines: bool, graticule: bool) {
        self.0.send(Command::SetCoastlines(coastlines));
        self.0.send(Command::SetGraticule(graticule));
    }

    pub fn set_view(&self, longitude_deg: f64, latitude_deg: f64, zoom: f64) {
        self.0.send(Command::SetView(View { longitude_deg, latitude_deg, zoom }));
    }

    pub fn pan(&self, dx: f64, dy: f64) {
        self.0.send(Command::Pan { dx, dy });
    }

    pub fn zoom(&self, delta: f64, x: f64, y: f64) {
        self.0.send(Command::Zoom { delta, x, y });
    }

    pub fn resize(&self, width: f64, height: f64, ratio: f64) {
        self.0.send(Command::Resize { width, height, ratio });
    }

    pub fn pointer(&self, x: f64, y: f64) {
        self.0.send(Command::Pointer(Some((x, y))));
    }

    pub fn probe(&self, longitude_deg: f64, latitude_deg: f64) {
        self.0.send(Command::Probe { longitude_deg, latitude_deg });
    }

    pub fn prefetch(&self, indices: Vec<u32>) {
        self.0.send(Command::Prefetch(indices.into_iter().map(u64::from).collect()));
    }

    pub fn is_idle(&self) -> bool {
        self.0.is_idle()
    }

    /// Resolves to `[width, height, rgba]`.
    pub fn snapshot(&self) -> js_sys::Promise {
        let engine = self.0.clone();
        wasm_bindgen_futures::future_to_promise(async move {
            let (w, h, rgba) = engine.snapshot_rgba().await.ok_or("no picture")?;
            Ok(Array::of3(&w.into(), &h.into(), &Uint8Array::from(rgba.as_slice())).into())
        })
    }
}
