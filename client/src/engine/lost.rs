//! A lost device is rebuilt, and not only when somebody next touches the map.
//!
//! WebGPU tells through the device; a rebuild takes a new one at once. WebGL
//! tells through the canvas: its context comes back by itself, if the loss is
//! not taken for the end, and nothing may be drawn before it has.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use wasm_bindgen::prelude::*;
use web_sys::{Event, HtmlCanvasElement};

use crate::engine::run::Engine;

thread_local! {
    /// Maps of this page: the device they share names none of them.
    static MAPS: RefCell<Vec<Weak<Engine>>> = const { RefCell::new(Vec::new()) };
}

/// The device told that it is lost: every map looks whether it was its own.
pub(super) fn device_lost() {
    // A map may be drawing just now: the next frame sees it.
    let maps = MAPS.with(|m| m.try_borrow().map(|m| m.clone()).unwrap_or_default());
    maps.iter().filter_map(Weak::upgrade).for_each(|e| e.ask_frame());
}

type Listener = Closure<dyn FnMut(Event)>;

/// Listens to a canvas's context until it is dropped.
pub(super) struct ContextWatch {
    canvas: HtmlCanvasElement,
    listeners: [(&'static str, Listener); 2],
}

impl ContextWatch {
    pub(super) fn new(canvas: &HtmlCanvasElement, engine: &Rc<Engine>) -> Self {
        MAPS.with(|m| {
            let mut maps = m.borrow_mut();
            maps.retain(|e| e.strong_count() > 0);
            maps.push(Rc::downgrade(engine));
        });
        let (lost, restored) = (Rc::downgrade(engine), Rc::downgrade(engine));
        let listeners: [(&'static str, Listener); 2] = [
            (
                "webglcontextlost",
                Closure::new(move |event: Event| {
                    // Else the browser never gives it back.
                    event.prevent_default();
                    if let Some(e) = lost.upgrade() {
                        e.put_down();
                    }
                }),
            ),
            (
                "webglcontextrestored",
                Closure::new(move |_: Event| {
                    if let Some(e) = restored.upgrade() {
                        e.rebuild();
                    }
                }),
            ),
        ];
        for (name, listener) in &listeners {
            let _ = canvas.add_event_listener_with_callback(name, listener.as_ref().unchecked_ref());
        }
        Self { canvas: canvas.clone(), listeners }
    }
}

impl Drop for ContextWatch {
    fn drop(&mut self) {
        for (name, listener) in &self.listeners {
            let listener = listener.as_ref().unchecked_ref();
            let _ = self.canvas.remove_event_listener_with_callback(name, listener);
        }
    }
}
