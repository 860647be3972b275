//! The right rail: six quiet tools.

use graticule_shared::cube::Variable;
use leptos::prelude::*;

use super::address::theme_name;
use super::icons::{FLAT, FULL, GLOBE, HELP, LAYERS, SHARE, THEME, icon};
use super::model::Model;
use crate::engine::api::{Command, Projection, Theme};

pub fn rail(m: Model) -> impl IntoView {
    let globe = move || m.projection.get() == Projection::Globe;
    view! {
        <nav class="g-rail g-plate" aria-label="Tools">
            <button class="g-icon" title="Globe or map  g" aria-label=move || if globe() { "Show as a map" } else { "Show as a globe" }
                on:click=move |_| turn_globe(m)>{move || if globe() { icon(FLAT).into_any() } else { icon(GLOBE).into_any() }}</button>
            <button class="g-icon" title="Layers  l" aria-label="Layers" aria-expanded=move || m.layers.get().to_string()
                on:click=move |_| toggle_layers(m)>{icon(LAYERS)}</button>
            <button class="g-icon" title="Dark or light  t" aria-label="Dark or light" on:click=move |_| turn_theme(m)>{icon(THEME)}</button>
            <button class="g-icon" title="Copy a link to exactly this  s" aria-label="Copy a link to exactly this" on:click=move |_| share(m)>{icon(SHARE)}</button>
            <button class="g-icon" title="Full screen  f" aria-label="Full screen" on:click=move |_| full_screen()>{icon(FULL)}</button>
            <button class="g-icon" title="Keys  ?" aria-label="Keys" aria-expanded=move || m.help.get().to_string()
                on:click=move |_| toggle_help(m)>{icon(HELP)}</button>
        </nav>
        {move || m.layers.get().then(|| layers(m))}
        {move || m.help.get().then(|| help(m))}
    }
}

fn layers(m: Model) -> impl IntoView {
    let one = move |words: &'static str, on: Signal<bool>, command: fn(bool) -> Command| {
        view! {
            <label class="g-check"><input type="checkbox" prop:checked=move || on.get()
                on:change=move |e| m.send(command(event_target_checked(&e)))/>{words}</label>
        }
    };
    let smooth = Signal::derive(move || {
        m.smooth.track();
        m.moved.track();
        m.shape.track();
        m.state(|s| s.is_smooth())
    });
    // Grids of their own are drawn cell by cell.
    let regular = move || {
        m.shape.track();
        m.selected.track();
        m.state(|s| !s.meta().is_some_and(Variable::is_warped))
    };
    view! {
        <div class="g-layers g-plate" role="group" aria-label="Layers">
            {one("Coastlines", m.coastlines.into(), Command::SetCoastlines)}
            {one("Graticule", m.graticule.into(), Command::SetGraticule)}
            {move || regular().then(|| one("Smooth", smooth, Command::SetSmooth))}
        </div>
    }
}

const KEYS: [(&str, &str); 15] = [
    ("space", "play or pause"),
    ("← →", "step in time; on the map, move the data cursor"),
    ("↑ ↓", "move the data cursor"),
    ("+ −", "zoom"),
    ("0", "the whole Earth"),
    ("g", "globe or map"),
    ("t", "dark or light"),
    ("c", "colours"),
    ("u", "another unit"),
    ("a", "range from what is in view"),
    ("l", "layers"),
    ("i", "details and links"),
    ("s", "copy a link to exactly this"),
    ("d", "hide everything but the map"),
    ("?", "this list"),
];

fn help(m: Model) -> impl IntoView {
    view! {
        <div class="g-help g-plate" role="dialog" aria-label="Keys">
            <dl>{KEYS.map(|(key, words)| view! { <dt><kbd>{key}</kbd></dt><dd>{words}</dd> }).into_iter().collect_view()}</dl>
            <button class="g-text" on:click=move |_| m.help.set(false)>"Close"</button>
        </div>
    }
}

/// One at a time: they open in the same place.
pub fn toggle_layers(m: Model) {
    m.help.set(false);
    m.layers.update(|o| *o = !*o);
}

pub fn toggle_help(m: Model) {
    m.layers.set(false);
    m.help.update(|o| *o = !*o);
}

pub fn turn_globe(m: Model) {
    m.send(Command::SetProjection(match m.projection.get_untracked() {
        Projection::Globe => Projection::Mercator,
        Projection::Mercator => Projection::Globe,
    }));
}

pub fn turn_theme(m: Model) {
    set_theme(m, if m.theme.get_untracked() == Theme::Dark { Theme::Light } else { Theme::Dark });
}

pub fn set_theme(m: Model, theme: Theme) {
    m.send(Command::SetTheme(theme));
    let name = theme_name(theme);
    if let Some(root) = document().document_element() {
        let _ = root.set_attribute("data-theme", name);
    }
    if let Ok(Some(storage)) = window().local_storage() {
        let _ = storage.set_item("graticule.theme", name);
    }
    if let Ok(Some(meta)) = document().query_selector("meta[name=theme-color]") {
        let _ = meta.set_attribute("content", if theme == Theme::Dark { "#0a0d12" } else { "#e8ecf0" });
    }
}

pub fn share(m: Model) {
    super::page::write_address(m);
    let href = window().location().href().unwrap_or_default();
    copy(m, href, "Link copied: it shows exactly this");
}

/// To the clipboard; where that is denied, the text itself is the message.
pub fn copy(m: Model, text: String, words: &'static str) {
    let written = window().navigator().clipboard().write_text(&text);
    wasm_bindgen_futures::spawn_local(async move {
        match wasm_bindgen_futures::JsFuture::from(written).await {
            Ok(_) => m.say(words),
            Err(_) => m.say(text),
        }
    });
}

pub fn full_screen() {
    if document().fullscreen_element().is_some() {
        document().exit_fullscreen();
    } else if let Some(root) = document().document_element() {
        let _ = root.request_fullscreen();
    }
}
