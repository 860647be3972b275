//! Hands on the map: mouse, pen, fingers, wheel.
//!
//! Used by the explorer and the embedded element alike; knows nothing of either.
//! All listeners hang on one abort signal, so that a removed element leaves nothing behind.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wasm_bindgen::prelude::*;
use web_sys::{AbortController, AddEventListenerOptions, Element, EventTarget, PointerEvent, WheelEvent};

use crate::engine::api::Command;

/// Further than this and a press was a drag, in CSS pixels.
const TAP_SLACK_PX: f64 = 5.0;
/// The ground keeps this much of its speed each frame after it was let go.
const GLIDE: f64 = 0.92;

type Send = Rc<dyn Fn(Command)>;
type Tap = Rc<dyn Fn(f64, f64)>;

#[derive(Default)]
struct Hands {
    /// Pointer id and its last place.
    down: RefCell<Vec<(i32, f64, f64)>>,
    travelled_px: Cell<f64>,
    /// Pixels per frame, smoothed.
    velocity: Cell<(f64, f64)>,
    last_move_ms: Cell<f64>,
    /// Raised by every new touch, so that an old glide stops.
    glide: Cell<u32>,
    started_with: Cell<usize>,
}

/// Listens until `abort` is called.
pub fn attach(surface: &Element, send: Send, tap: Tap, abort: &AbortController) {
    let hands = Rc::new(Hands::default());
    let on = |name: &str, passive: bool, f: Box<dyn FnMut(web_sys::Event)>| {
        listen(surface, name, passive, abort, f)
    };

    let (h, el) = (hands.clone(), surface.clone());
    on(
        "pointerdown",
        true,
        Box::new(move |e| {
            let Ok(e) = e.dyn_into::<PointerEvent>() else { return };
            if e.button() > 1 {
                return;
            }
            let _ = el.set_pointer_capture(e.pointer_id());
            let mut down = h.down.borrow_mut();
            if down.is_empty() {
                h.travelled_px.set(0.0);
            }
            down.push((e.pointer_id(), f64::from(e.offset_x()), f64::from(e.offset_y())));
            h.started_with.set(down.len());
            h.velocity.set((0.0, 0.0));
            h.glide.set(h.glide.get() + 1);
        }),
    );

    let (h, s) = (hands.clone(), send.clone());
    on(
        "pointermove",
        true,
        Box::new(move |e| {
            let Ok(e) = e.dyn_into::<PointerEvent>() else { return };
            let (x, y) = (f64::from(e.offset_x()), f64::from(e.offset_y()));
            let mut down = h.down.borrow_mut();
            if down.is_empty() {
                drop(down);
                if e.pointer_type() != "touch" {
                    s(Command::Pointer(Some((x, y))));
                }
                return;
            }
            let Some(at) = down.iter().position(|p| p.0 == e.pointer_id()) else { return };
            let Some(&(_, old_x, old_y)) = down.get(at) else { return };
            let (dx, dy) = (x - old_x, y - old_y);
            h.travelled_px.set(h.travelled_px.get() + dx.hypot(dy));
            let other = down.iter().find(|p| p.0 != e.pointer_id()).copied();
            if let Some(p) = down.get_mut(at) {
                (p.1, p.2) = (x, y);
            }
            drop(down);
            match other {
                // Two fingers: the ground under both stays under both.
                Some((_, ox, oy)) => {
                    let before = (old_x - ox).hypot(old_y - oy).max(1.0);
                    let after = (x - ox).hypot(y - oy).max(1.0);
                    s(Command::Pan { dx: dx / 2.0, dy: dy / 2.0 });
                    s(Command::Zoom { delta: (after / before).log2(), x: (x + ox) / 2.0, y: (y + oy) / 2.0 });
                    h.velocity.set((0.0, 0.0));
                }
                None => {
                    let (vx, vy) = h.velocity.get();
                    h.velocity.set((vx * 0.6 + dx * 0.4, vy * 0.6 + dy * 0.4));
                    h.last_move_ms.set(e.time_stamp());
                    s(Command::Pan { dx, dy });
                }
            }
        }),
    );

    for name in ["pointerup", "pointercancel"] {
        let (h, s, tap) = (hands.clone(), send.clone(), tap.clone());
        on(
            name,
            true,
            Box::new(move |e| {
                let Ok(e) = e.dyn_into::<PointerEvent>() else { return };
                let mut down = h.down.borrow_mut();
                down.retain(|p| p.0 != e.pointer_id());
                if !down.is_empty() {
                    return;
                }
                drop(down);
                if e.type_() == "pointercancel" {
                    return;
                }
                if h.travelled_px.get() < TAP_SLACK_PX && h.started_with.get() == 1 {
                    tap(f64::from(e.offset_x()), f64::from(e.offset_y()));
                } else if e.time_stamp() - h.last_move_ms.get() < 40.0 && !reduced_motion() {
                    glide(h.clone(), s.clone());
                }
            }),
        );
    }

    let s = send.clone();
    on(
        "pointerleave",
        true,
        Box::new(move |e| {
            // A finger that is lifted was never hovering.
            if e.dyn_into::<PointerEvent>().is_ok_and(|e| e.pointer_type() != "touch") {
                s(Command::Pointer(None));
            }
        }),
    );

    let s = send.clone();
    on(
        "wheel",
        false,
        Box::new(move |e| {
            let Ok(e) = e.dyn_into::<WheelEvent>() else { return };
            e.prevent_default();
            let unit = match e.delta_mode() {
                WheelEvent::DOM_DELTA_LINE => 16.0,
                WheelEvent::DOM_DELTA_PAGE => 400.0,
                _ => 1.0,
            };
            // A pinch on a trackpad arrives as a wheel with ctrl held, in small numbers.
            let gain = if e.ctrl_key() { 0.012 } else { 0.0025 };
            let delta = (-e.delta_y() * unit * gain).clamp(-1.0, 1.0);
            s(Command::Zoom { delta, x: f64::from(e.offset_x()), y: f64::from(e.offset_y()) });
        }),
    );

    let s = send;
    on(
        "dblclick",
        true,
        Box::new(move |e| {
            let Ok(e) = e.dyn_into::<PointerEvent>().or_else(|e| {
                // Some browsers still send a plain MouseEvent here; the fields are the same.
                Ok::<_, web_sys::Event>(e.unchecked_into::<PointerEvent>())
            }) else {
                return;
            };
            let delta = if e.shift_key() { -1.0 } else { 1.0 };
            s(Command::Zoom { delta, x: f64::from(e.offset_x()), y: f64::from(e.offset_y()) });
        }),
    );
}

fn glide(hands: Rc<Hands>, send: Send) {
    let turn = hands.glide.get();
    let (mut vx, mut vy) = hands.velocity.get();
    animate(move || {
        if hands.glide.get() != turn || vx.hypot(vy) < 0.3 {
            return false;
        }
        send(Command::Pan { dx: vx, dy: vy });
        (vx, vy) = (vx * GLIDE, vy * GLIDE);
        true
    });
}

/// A closure that asks for itself again.
type Frame = Rc<RefCell<Option<Closure<dyn FnMut()>>>>;

/// Calls `step` before every paint until it says `false`.
pub fn animate(mut step: impl FnMut() -> bool + 'static) {
    let again = Frame::default();
    let inner = again.clone();
    *again.borrow_mut() = Some(Closure::new(move || {
        if step() {
            request(&inner);
        } else {
            // Not from within its own call: dropped after it returned.
            let done = inner.borrow_mut().take();
            wasm_bindgen_futures::spawn_local(async move { drop(done) });
        }
    }));
    request(&again);
}

fn request(closure: &Frame) {
    if let (Some(window), Some(c)) = (web_sys::window(), closure.borrow().as_ref()) {
        let _ = window.request_animation_frame(c.as_ref().unchecked_ref());
    }
}

pub fn reduced_motion() -> bool {
    web_sys::window()
        .and_then(|w| w.match_media("(prefers-reduced-motion: reduce)").ok().flatten())
        .is_some_and(|m| m.matches())
}

/// Adds a listener that lives as long as `abort`.
pub fn listen(
    target: &EventTarget,
    name: &str,
    passive: bool,
    abort: &AbortController,
    f: Box<dyn FnMut(web_sys::Event)>,
) {
    let options = AddEventListenerOptions::new();
    options.set_passive(passive);
    options.set_signal(&abort.signal());
    let f = Closure::wrap(f).into_js_value();
    let _ = target.add_event_listener_with_callback_and_add_event_listener_options(
        name,
        f.unchecked_ref(),
        &options,
    );
}
