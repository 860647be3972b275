//! Puts the map and its controls on the page.

use std::rc::Rc;

use leptos::mount::mount_to;
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::{AbortController, HtmlCanvasElement, HtmlElement};

use super::address::Address;
use super::hook::Hook;
use super::model::Model;
use super::session::Session;
use super::{gestures, headline, keys, legend, notices, page, rail, readout, sheet, strip, turns};
use crate::breath::breathe;
use crate::engine::api::Command;

/// Starts the explorer in `host`; resolves once the graphics device is there.
///
/// # Errors
/// There is none; `host` is then to be emptied and may be used again.
#[wasm_bindgen]
pub async fn explore(host: HtmlElement) -> Result<(), JsError> {
    console_error_panic_hook::set_once();
    let bare = document().document_element().is_some_and(|r| r.has_attribute("data-bare"));
    let canvas: HtmlCanvasElement = document()
        .create_element("canvas")
        .ok()
        .and_then(|c| c.dyn_into().ok())
        .ok_or_else(|| JsError::new("no canvas"))?;
    canvas.set_class_name("g-map");
    for (name, value) in
        [("tabindex", "0"), ("role", "application"), ("aria-label", "Map. Arrow keys move the data cursor.")]
    {
        let _ = canvas.set_attribute(name, value);
    }
    let overlay: HtmlElement = document()
        .create_element("div")
        .ok()
        .and_then(|d| d.dyn_into().ok())
        .ok_or_else(|| JsError::new("no document"))?;
    overlay.set_class_name("g-ui");
    let _ = host.append_with_node_2(&canvas, &overlay);

    // Short tasks instead of a long one: the page stays responsive while it starts.
    turns::begin();
    let session = Session::start(canvas.clone())?;
    breathe().await;
    let model = Model::new(&session, bare);
    fit(&canvas, &session);
    breathe().await;
    let address = page::begin(model);
    hands(&canvas, model);
    breathe().await;
    mount(&overlay, model, address).await;
    if let Ok(Some(skeleton)) = document().query_selector(".g-frame") {
        skeleton.remove();
    }
    Hook::install(model);
    match session.engine() {
        Some(engine) => Ok(engine.ready().await?),
        None => Ok(()),
    }
}

/// Puts the controls over the map, one after the other.
async fn mount(overlay: &HtmlElement, m: Model, address: Address) {
    add(overlay, move || {
        keys::listen(m);
        page::start(m, address);
        readout::follow(m);
    });
    let chrome = move || view! { <div class="g-chrome" class:g-bare=m.bare class:g-hidden=move || !(m.bare || m.chrome.get())></div> };
    add(overlay, chrome);
    let Some(chrome) = overlay.last_element_child().and_then(|e| e.dyn_into::<HtmlElement>().ok()) else {
        return;
    };
    breathe().await;
    if m.bare {
        add(&chrome, move || view! { {notices::notices(m)} {readout::readout(m)} });
        breathe().await;
        add(&chrome, move || strip::strip(m));
        breathe().await;
        add(&chrome, move || legend::legend(m));
        return;
    }
    add(&chrome, move || view! { {headline::headline(m)} {headline::remarks(m)} });
    breathe().await;
    add(&chrome, move || rail::rail(m));
    breathe().await;
    add(&chrome, move || sheet::sheet(m));
    breathe().await;
    add(&chrome, move || legend::legend(m));
    breathe().await;
    add(&chrome, move || strip::strip(m));
    breathe().await;
    add(overlay, move || view! { {notices::notices(m)} {readout::readout(m)} });
}

/// Adds a view at the end of `host`, for good.
fn add<N: IntoView + 'static>(host: &HtmlElement, view: impl FnOnce() -> N + 'static) {
    turns::end();
    mount_to(host.clone(), view).forget();
}

/// Tells the engine the canvas's size, now and whenever it changes.
fn fit(canvas: &HtmlCanvasElement, session: &Rc<Session>) {
    let (element, session) = (canvas.clone(), session.clone());
    let measure = move || {
        let rect = element.get_bounding_client_rect();
        // Beyond two device pixels a phone's GPU works for nobody's eyes.
        let ratio = window().device_pixel_ratio().clamp(0.5, 2.0);
        session.send(Command::Resize { width: rect.width(), height: rect.height(), ratio });
    };
    measure();
    let seen = Closure::<dyn Fn()>::new(measure).into_js_value();
    if let Ok(observer) = web_sys::ResizeObserver::new(seen.unchecked_ref()) {
        observer.observe(canvas);
        std::mem::forget(observer);
    }
}

fn hands(canvas: &HtmlCanvasElement, model: Model) {
    let Ok(abort) = AbortController::new() else { return };
    let send = Rc::new(move |command| model.send(command));
    let tap = Rc::new(move |x: f64, y: f64| {
        if let Some((lon, lat)) = model.state(|s| s.camera().unproject(x, y)) {
            readout::put_cursor(model, lon, lat);
        } else {
            model.cursor.set(None);
        }
    });
    gestures::attach(canvas, send, tap, &abort);
    std::mem::forget(abort);
}
