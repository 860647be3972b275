//! `window.graticule`: the explorer for scripts, tests and benchmarks.

use std::rc::Rc;

use js_sys::{Array, Object, Reflect};
use wasm_bindgen::prelude::*;

use super::address;
use super::model::Model;
use super::session::Session;
use crate::engine::api::{Command, Projection, Readout, Theme, Trouble};

#[wasm_bindgen]
pub struct Hook {
    model: Model,
}

impl Hook {
    pub fn install(model: Model) {
        if let Some(window) = web_sys::window() {
            let _ = Reflect::set(&window, &"graticule".into(), &Self { model }.into());
        }
    }
}

#[wasm_bindgen]
impl Hook {
    #[wasm_bindgen(getter)]
    pub fn idle(&self) -> bool {
        self.model.session().is_idle()
    }

    /// Opens any Zarr hierarchy.
    pub fn open(&self, url: &str) {
        super::page::open_url(self.model, url);
    }

    /// Says something, briefly.
    pub fn say(&self, words: String) {
        self.model.say(words);
    }

    /// Says what failed, why, and what to do next; `details` are for copying.
    pub fn fail(&self, what: String, why: String, next: String, details: String) {
        super::model::set(self.model.trouble, Some(Trouble { what, why, next, details }));
    }

    #[wasm_bindgen(js_name = setTime)]
    pub fn set_time(&self, index: u32) {
        super::model::set(self.model.playing, false);
        self.model.go(u64::from(index));
    }

    #[wasm_bindgen(js_name = setClim)]
    pub fn set_clim(&self, low: f64, high: f64) {
        self.model.send(Command::SetClim(low, high));
    }

    #[wasm_bindgen(js_name = setRange)]
    pub fn set_range(&self, low: f64, high: f64) {
        self.set_clim(low, high);
    }

    #[wasm_bindgen(js_name = setColormap)]
    pub fn set_colormap(&self, name: String) {
        self.model.send(Command::SetColormap(name));
    }

    #[wasm_bindgen(js_name = setProjection)]
    pub fn set_projection(&self, name: &str) {
        self.model.send(Command::SetProjection(address::projection(name).unwrap_or(Projection::Mercator)));
    }

    #[wasm_bindgen(js_name = setTheme)]
    pub fn set_theme(&self, name: &str) {
        super::rail::set_theme(self.model, address::theme(name).unwrap_or(Theme::Dark));
    }

    /// CSS pixels of a place, or `null` on the far side of the globe.
    pub fn project(&self, longitude_deg: f64, latitude_deg: f64) -> JsValue {
        let at = self.model.state(|s| s.camera().project(longitude_deg, latitude_deg));
        at.map_or(JsValue::NULL, |(x, y)| Array::of2(&x.into(), &y.into()).into())
    }

    /// How things stand, as a plain object.
    pub fn state(&self) -> Object {
        state_object(&self.model.session())
    }

    /// The stored value at a place, or `null` for no data.
    pub async fn readout(&self, longitude_deg: f64, latitude_deg: f64) -> JsValue {
        let session = self.model.session();
        match session.probe(longitude_deg, latitude_deg).await {
            Some(r) => readout_object(&r).into(),
            None => JsValue::NULL,
        }
    }
}

fn put(object: &Object, key: &str, value: impl Into<JsValue>) {
    let _ = Reflect::set(object, &key.into(), &value.into());
}

pub fn readout_object(r: &Readout) -> Object {
    let o = Object::new();
    put(&o, "longitude", r.longitude_deg);
    put(&o, "latitude", r.latitude_deg);
    put(&o, "value", r.value);
    put(&o, "raw", r.raw);
    put(&o, "level", r.level);
    put(&o, "cellLongitude", r.cell_longitude_deg);
    put(&o, "cellLatitude", r.cell_latitude_deg);
    put(&o, "row", r.row as f64);
    put(&o, "column", r.column as f64);
    o
}

pub fn state_object(session: &Rc<Session>) -> Object {
    let s = session.state();
    let o = Object::new();
    put(&o, "backend", s.backend.as_str());
    put(&o, "src", s.url.as_str());
    put(&o, "variable", s.variable.as_str());
    let indices = Object::new();
    for (dim, index) in &s.indices {
        put(&indices, dim, *index as f64);
    }
    put(&o, "indices", indices);
    put(&o, "unit", s.unit().id);
    let strip = s.strip();
    put(&o, "step", s.strip_index() as f64);
    put(&o, "steps", strip.as_ref().map_or(0.0, |t| t.len as f64));
    put(&o, "time", strip.as_ref().and_then(|t| t.iso(s.strip_index())));
    put(&o, "stepLabel", strip.as_ref().map(|t| t.label(s.strip_index())));
    put(&o, "colormap", s.style.colormap.as_str());
    put(&o, "reversed", s.style.reversed);
    put(&o, "clim", Array::of2(&s.style.clim.0.into(), &s.style.clim.1.into()));
    put(&o, "scale", address::scale_name(s.style.scale));
    put(&o, "smooth", s.is_smooth());
    put(&o, "opacity", s.style.opacity);
    put(&o, "projection", address::projection_name(s.projection));
    put(&o, "theme", address::theme_name(s.theme));
    put(&o, "longitude", s.view.longitude_deg);
    put(&o, "latitude", s.view.latitude_deg);
    put(&o, "zoom", s.view.zoom);
    put(&o, "idle", session.is_idle());
    put(&o, "trouble", s.trouble.as_ref().map(|t| format!("{}: {}", t.what, t.why)));
    o
}
