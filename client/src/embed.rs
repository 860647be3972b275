//! The map without the explorer: what `<graticule-map>` drives.
//!
//! All elements of a page live in one instance of this module and share its
//! graphics device. The element itself (attributes, shadow DOM, events) is
//! `client/js/widget.js`; here is only what needs the engine.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Array, Function, Object, Reflect, Uint8ClampedArray};
use wasm_bindgen::prelude::*;
use web_sys::{AbortController, HtmlCanvasElement};

use crate::engine::api::{Command, Projection, Signal, Theme, View};
use crate::ui::hook::{readout_object, state_object};
use crate::ui::session::Session;
use crate::ui::state::{State, readout_words};
use crate::ui::{address, gestures, legend, times};

/// What a selector asks of a dimension.
#[derive(Clone)]
enum Wanted {
    Iso(String),
    Value(f64),
    Index(u64),
}

#[wasm_bindgen]
pub struct GraticuleMap {
    session: Rc<Session>,
    abort: AbortController,
    /// Asked for before the axis was known.
    wanted: Rc<RefCell<Vec<(String, Wanted)>>>,
}

#[wasm_bindgen]
impl GraticuleMap {
    /// `hear(name, detail)` is called with `load`, `timechange`, `hover`, `select`,
    /// `viewchange`, `error`, `style` and `steps`.
    #[wasm_bindgen(constructor)]
    pub fn new(canvas: HtmlCanvasElement, hear: Function) -> Result<GraticuleMap, JsError> {
        console_error_panic_hook::set_once();
        let abort = AbortController::new().map_err(|_| JsError::new("no AbortController"))?;
        let session = Session::start(canvas.clone())?;
        let wanted = Rc::new(RefCell::new(Vec::new()));
        let (weak, waiting, tell) = (Rc::downgrade(&session), wanted.clone(), hear.clone());
        session.listen(move |signal| {
            if let Some(session) = weak.upgrade() {
                settle(&session, &waiting, signal);
                announce(&session, &tell, signal);
            }
        });
        let (commands, taps) = (Rc::downgrade(&session), Rc::downgrade(&session));
        let send = Rc::new(move |command| {
            if let Some(s) = commands.upgrade() {
                s.send(command);
            }
        });
        let tap = Rc::new(move |x: f64, y: f64| {
            let Some(session) = taps.upgrade() else { return };
            let Some((lon, lat)) = session.state().camera().unproject(x, y) else { return };
            let hear = hear.clone();
            wasm_bindgen_futures::spawn_local(async move {
                let lon = crate::ui::numbers::wrap(lon);
                if let Some(r) = session.probe(lon, lat).await {
                    let _ = hear.call2(&JsValue::NULL, &"select".into(), &readout_object(&r).into());
                }
            });
        });
        gestures::attach(&canvas, send, tap, &abort);
        Ok(Self { session, abort, wanted })
    }

    /// Rejects where there is no graphics device; the canvas is then spent.
    pub fn ready(&self) -> js_sys::Promise {
        let engine = self.session.engine();
        wasm_bindgen_futures::future_to_promise(async move {
            match engine {
                Some(e) => {
                    e.ready().await.map(|()| JsValue::TRUE).map_err(|e| JsError::new(&e.to_string()).into())
                }
                None => Err(JsError::new("the map was removed").into()),
            }
        })
    }

    pub fn open(&self, url: String) {
        self.session.send(Command::Open { url });
    }

    pub fn refresh(&self) {
        self.session.send(Command::Refresh);
    }

    pub fn resize(&self, width: f64, height: f64, ratio: f64) {
        self.session.send(Command::Resize { width, height, ratio });
    }

    /// An attribute of the element, by its name; what it cannot mean is left alone.
    pub fn set(&self, name: &str, value: &str) {
        let command = match name {
            "variable" => Command::SetVariable(value.to_owned()),
            "colormap" => match value
                .strip_suffix("_r")
                .filter(|_| graticule_shared::colormap::names().all(|n| n != value))
            {
                Some(plain) => {
                    self.session.send(Command::SetColormap(plain.to_owned()));
                    Command::SetReversed(true)
                }
                None => {
                    self.session.send(Command::SetReversed(false));
                    Command::SetColormap(value.to_owned())
                }
            },
            "clim" => {
                let ends: Vec<f64> = value.split(',').filter_map(|v| v.trim().parse().ok()).collect();
                let [low, high] = ends[..] else { return };
                Command::SetClim(low, high)
            }
            "view" => {
                let place: Vec<f64> = value.split(',').filter_map(|v| v.trim().parse().ok()).collect();
                let [longitude_deg, latitude_deg, zoom] = place[..] else { return };
                Command::SetView(View { longitude_deg, latitude_deg, zoom })
            }
            "projection" => {
                Command::SetProjection(address::projection(value).unwrap_or(Projection::Mercator))
            }
            "theme" => Command::SetTheme(address::theme(value).unwrap_or(Theme::Dark)),
            "smooth" => match value {
                "0" | "false" | "off" => Command::SetSmooth(false),
                _ => Command::SetSmooth(true),
            },
            "opacity" => Command::SetOpacity(value.parse().unwrap_or(1.0)),
            "scale" => Command::SetScale(address::scale(value).unwrap_or_default()),
            "unit" => {
                self.session.choose_unit(value);
                return;
            }
            "time" => {
                self.want(String::new(), Wanted::Iso(value.to_owned()));
                return;
            }
            _ => return,
        };
        self.session.send(command);
    }

    #[wasm_bindgen(js_name = setClim)]
    pub fn set_clim(&self, low: f64, high: f64) {
        self.session.send(Command::SetClim(low, high));
    }

    /// `{time: "2020-01-01", level: 850, member: {index: 3}}`: ISO times, values of
    /// coordinates (the nearest is taken), or indices.
    #[wasm_bindgen(js_name = setSelector)]
    pub fn set_selector(&self, selector: &Object) {
        for dim in Object::keys(selector).iter().filter_map(|k| k.as_string()) {
            let value = Reflect::get(selector, &dim.as_str().into()).unwrap_or(JsValue::NULL);
            let index = Reflect::get(&value, &"index".into()).ok().and_then(|i| i.as_f64());
            let wanted = match (value.as_string(), value.as_f64(), index) {
                (Some(iso), ..) => Wanted::Iso(iso),
                (_, Some(v), _) => Wanted::Value(v),
                (_, _, Some(i)) if i >= 0.0 => Wanted::Index(i as u64),
                _ => continue,
            };
            self.want(dim, wanted);
        }
    }

    fn want(&self, dim: String, wanted: Wanted) {
        let command = apply(&self.session.state(), &dim, &wanted);
        match command {
            Some(command) => self.session.send(command),
            None => {
                let mut waiting = self.wanted.borrow_mut();
                waiting.retain(|(d, _)| *d != dim);
                waiting.push((dim, wanted));
            }
        }
    }

    /// Shows step `index` of time (or of what stands in for it).
    pub fn step(&self, index: u32) {
        let dim = self.session.state().strip_dim().map(|d| d.name.clone());
        if let Some(dim) = dim {
            self.session.send(Command::SetIndex { dim, index: u64::from(index) });
        }
    }

    pub fn state(&self) -> Object {
        state_object(&self.session)
    }

    /// A CSS gradient of the colour scale, low to high.
    pub fn gradient(&self) -> String {
        let s = self.session.state();
        legend::gradient(&s.style.colormap, s.style.reversed)
    }

    /// Unit, and the ends of the scale as one writes them.
    pub fn labels(&self) -> Array {
        let s = self.session.state();
        let (low, high) = s.style.clim;
        let unit = s.unit();
        let (low, high) = (unit.from_stored(low), unit.from_stored(high));
        let number = |v: f64| JsValue::from(crate::ui::numbers::in_range(v, (high - low).abs()));
        Array::of3(&number(low), &number(high), &unit.label.into())
    }

    /// The stored value at a place; `null` outside the data.
    pub fn query(&self, longitude_deg: f64, latitude_deg: f64) -> js_sys::Promise {
        let session = self.session.clone();
        wasm_bindgen_futures::future_to_promise(async move {
            let readout = session.probe(longitude_deg, latitude_deg).await;
            Ok(readout.map_or(JsValue::NULL, |r| readout_object(&r).into()))
        })
    }

    /// `[width, height, pixels]` of the picture as it is drawn.
    pub fn pixels(&self) -> js_sys::Promise {
        let engine = self.session.engine();
        wasm_bindgen_futures::future_to_promise(async move {
            let shot = match engine {
                Some(e) => e.snapshot_rgba().await,
                None => None,
            };
            let (width, height, bytes) = shot.ok_or_else(|| JsError::new("there is no picture yet"))?;
            Ok(Array::of3(&width.into(), &height.into(), &Uint8ClampedArray::from(&bytes[..])).into())
        })
    }

    /// Ends it: listeners, requests and GPU memory go.
    pub fn stop(&self) {
        self.abort.abort();
        self.session.stop();
    }
}

/// The command that a selector means, once its axis is known.
fn apply(state: &State, dim: &str, wanted: &Wanted) -> Option<Command> {
    let meta = state.meta()?;
    let dim = if dim.is_empty() { state.strip_dim()? } else { meta.dims.iter().find(|d| d.name == dim)? };
    let index = match wanted {
        Wanted::Index(i) => *i,
        Wanted::Iso(iso) => {
            let steps: times::Steps = state.steps_of(dim);
            steps.nearest(iso).or_else(|| iso.parse().ok().filter(|_| !steps.is_time()))?
        }
        Wanted::Value(v) => {
            let values = state.coordinates.get(&dim.name)?;
            let nearest =
                values.iter().enumerate().min_by(|a, b| (a.1 - v).abs().total_cmp(&(b.1 - v).abs()));
            nearest?.0 as u64
        }
    };
    Some(Command::SetIndex { dim: dim.name.clone(), index })
}

fn settle(session: &Rc<Session>, waiting: &RefCell<Vec<(String, Wanted)>>, signal: &Signal) {
    if !matches!(signal, Signal::Coordinate { .. } | Signal::Selected { .. }) || waiting.borrow().is_empty() {
        return;
    }
    let mut commands = Vec::new();
    {
        let state = session.state();
        waiting.borrow_mut().retain(|(dim, wanted)| match apply(&state, dim, wanted) {
            Some(command) => {
                commands.push(command);
                false
            }
            None => true,
        });
    }
    commands.into_iter().for_each(|c| session.send(c));
}

fn announce(session: &Rc<Session>, hear: &Function, signal: &Signal) {
    let detail = Object::new();
    let put = |key: &str, value: JsValue| {
        let _ = Reflect::set(&detail, &key.into(), &value);
    };
    let name = match signal {
        Signal::Frame { complete: true, .. } => "load",
        Signal::Selected { .. } | Signal::Coordinate { .. } => {
            let s = session.state();
            let strip = s.strip();
            put("index", (s.strip_index() as f64).into());
            put("steps", strip.as_ref().map_or(0.0, |t| t.len as f64).into());
            put("time", strip.as_ref().and_then(|t| t.iso(s.strip_index())).into());
            put("label", strip.as_ref().map(|t| t.label(s.strip_index())).into());
            "timechange"
        }
        Signal::Readout(Some(r)) => {
            let o = readout_object(r);
            let (value, place, level) = readout_words(&session.state(), r);
            let words = format!("{} · {place} · {level}", value.unwrap_or_else(|| "no data".to_owned()));
            let _ = Reflect::set(&o, &"words".into(), &words.into());
            let _ = hear.call2(&JsValue::NULL, &"hover".into(), &o);
            return;
        }
        Signal::Readout(None) => {
            let _ = hear.call2(&JsValue::NULL, &"hover".into(), &JsValue::NULL);
            return;
        }
        Signal::ViewChanged { view, projection } => {
            put("longitude", view.longitude_deg.into());
            put("latitude", view.latitude_deg.into());
            put("zoom", view.zoom.into());
            put("projection", address::projection_name(*projection).into());
            "viewchange"
        }
        Signal::Trouble(t) => {
            put("what", t.what.as_str().into());
            put("why", t.why.as_str().into());
            put("next", t.next.as_str().into());
            put("details", t.details.as_str().into());
            "error"
        }
        Signal::Style { .. } => "style",
        _ => return,
    };
    let _ = hear.call2(&JsValue::NULL, &name.into(), &detail);
}
