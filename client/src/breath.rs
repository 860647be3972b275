//! Between two tasks of the page.

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// Lets the browser do what else it has to do: short tasks instead of a long one.
pub async fn breathe() {
    // Where the browser has it, without a timer's delay.
    let scheduler = Reflect::get(&js_sys::global(), &"scheduler".into()).unwrap_or(JsValue::UNDEFINED);
    let yielded = Reflect::get(&scheduler, &"yield".into())
        .ok()
        .and_then(|f| f.dyn_into::<Function>().ok()?.call0(&scheduler).ok());
    let turn = yielded.map_or_else(
        || {
            Promise::new(&mut |resolve, _| {
                if let Some(w) = web_sys::window() {
                    let _ = w.set_timeout_with_callback(&resolve);
                }
            })
        },
        |promise| Promise::resolve(&promise),
    );
    let _ = JsFuture::from(turn).await;
}
