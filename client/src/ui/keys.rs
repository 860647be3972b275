//! The keyboard reaches everything.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, KeyboardEvent};

use super::model::{Model, Sheet};
use super::{rail, readout, strip};
use crate::engine::api::Command;

pub fn listen(m: Model) {
    let handle = window_event_listener(leptos::ev::keydown, move |e| {
        if e.ctrl_key() || e.meta_key() || e.alt_key() || is_typing(&e) {
            return;
        }
        if press(m, &e) {
            e.prevent_default();
        }
    });
    on_cleanup(move || handle.remove());
}

fn target(e: &KeyboardEvent) -> Option<Element> {
    e.target().and_then(|t| t.dyn_into::<Element>().ok())
}

fn is_typing(e: &KeyboardEvent) -> bool {
    target(e).is_some_and(|t| {
        matches!(t.tag_name().as_str(), "SELECT" | "TEXTAREA")
            || t.tag_name() == "INPUT" && !matches!(t.get_attribute("type").as_deref(), Some("checkbox"))
    })
}

/// True if the key meant something.
fn press(m: Model, e: &KeyboardEvent) -> bool {
    let on = target(e);
    let tag = on.as_ref().map(Element::tag_name).unwrap_or_default();
    let on_map = tag == "CANVAS";
    // Cells of ten pixels; with shift a pixel, for the careful.
    let stride = if e.shift_key() { 1.0 } else { 10.0 };
    let zoom = |delta: f64| {
        let (width, height) = m.state(|s| s.size_px);
        let at = m.pointer.get_untracked().unwrap_or((width / 2.0, height / 2.0));
        m.send(Command::Zoom { delta, x: at.0, y: at.1 });
    };
    match e.key().as_str() {
        " " if tag == "BUTTON" => return false,
        " " => m.playing.update(|p| *p = !*p),
        "ArrowLeft" if on_map => readout::move_cursor(m, -stride, 0.0),
        "ArrowRight" if on_map => readout::move_cursor(m, stride, 0.0),
        "ArrowLeft" | "," => strip::step(m, -1),
        "ArrowRight" | "." => strip::step(m, 1),
        "ArrowUp" => readout::move_cursor(m, 0.0, -stride),
        "ArrowDown" => readout::move_cursor(m, 0.0, stride),
        "+" | "=" => zoom(0.5),
        "-" | "\u{2212}" => zoom(-0.5),
        "0" => super::page::whole_earth(m),
        "g" => rail::turn_globe(m),
        "t" => rail::turn_theme(m),
        "c" => m.editor.update(|o| *o = !*o),
        "u" => m.turn_unit(false),
        "a" => m.send(Command::AutoClim),
        "l" => rail::toggle_layers(m),
        "i" => m.sheet.update(|s| *s = if s.is_some() { None } else { Some(Sheet::Details) }),
        "s" => rail::share(m),
        "f" => rail::full_screen(),
        "d" => m.chrome.update(|c| *c = !*c),
        "?" => rail::toggle_help(m),
        "Escape" => {
            m.help.set(false);
            m.layers.set(false);
            m.editor.set(false);
            m.sheet.set(None);
            m.cursor.set(None);
        }
        _ => return false,
    }
    true
}
