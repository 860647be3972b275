//! The page around the map: its address, the server's catalog, news of new versions.

use std::time::Duration;

use js_sys::{Array, Reflect};
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{EventSource, MessageEvent, Response};

use super::address::Address;
use super::model::{Collection, Model, Sheet, set};
use super::{gestures, rail};
use crate::engine::api::{Command, Projection, View, global_fetch};

/// The address is written at most this often; browsers refuse more.
const WRITE_EVERY: Duration = Duration::from_millis(350);
/// How long the catalog waits for the first picture at most.
const PATIENCE_MS: i32 = 2000;
/// Steps per second of the playback that nobody asked for.
const GENTLE: f64 = 2.0;

/// An absolute URL beside the page: of the server, if one serves it.
pub fn here(path: &str) -> String {
    let base = document().base_uri().ok().flatten().unwrap_or_default();
    web_sys::Url::new_with_base(path, &base).map_or_else(|_| path.to_owned(), |u| u.href())
}

/// Reads the address and asks for what it says, before there is an interface.
pub fn begin(m: Model) -> Address {
    let a = Address::parse(&window().location().search().unwrap_or_default());
    m.gpu.set_value(a.gpu.clone());
    restore(m, &a);
    match (&a.data, &a.collection) {
        (Some(url), _) => open(m, &here(url)),
        (None, Some(id)) => {
            m.collection.set(Some(id.clone()));
            open(m, &store_of(id));
        }
        (None, None) => {}
    }
    // The engine forgets the range when it opens something: said after it.
    if let Some((low, high)) = a.clim {
        m.send(Command::SetClim(low, high));
    }
    a
}

/// The rest of what the address says, the server's catalog, and the address itself.
pub fn start(m: Model, a: Address) {
    seek_time(m, a.time.clone());
    let nothing_named = a.data.is_none() && a.collection.is_none();
    let pinned = a.time.is_some() || !a.indices.is_empty();
    spawn_local(async move {
        // What else there is can wait for the picture that was asked for.
        if !nothing_named {
            first_picture(m).await;
        }
        let catalog = collections().await;
        if let Some(list) = &catalog {
            live(m);
            if nothing_named {
                let mut cubes = list.iter().filter(|c| c.table.is_none());
                match list.iter().find(|c| c.moves).or_else(|| cubes.next()) {
                    Some(first) => {
                        let id = first.id.clone();
                        m.collection.set(Some(id.clone()));
                        open(m, &store_of(&id));
                        if let Some((low, high)) = a.clim {
                            m.send(Command::SetClim(low, high));
                        }
                        if !pinned && !gestures::reduced_motion() {
                            play_when_whole(m);
                        }
                    }
                    None => m.sheet.set(Some(Sheet::Catalog)),
                }
            }
        } else if nothing_named {
            m.sheet.set(Some(Sheet::Catalog));
        }
        m.catalog.set(catalog);
    });
    keep_address(m);
}

fn restore(m: Model, a: &Address) {
    if let Some(theme) = a.theme.or_else(theme_of_page) {
        rail::set_theme(m, theme);
    }
    if a.chrome == Some(false) {
        set(m.chrome, false);
    }
    if let Some(p) = a.projection {
        m.send(Command::SetProjection(p));
    }
    if let Some(v) = a.view {
        m.send(Command::SetView(v));
    }
    if let Some(v) = &a.variable {
        m.send(Command::SetVariable(v.clone()));
    }
    for (dim, index) in &a.indices {
        m.send(Command::SetIndex { dim: dim.clone(), index: *index });
    }
    if let Some(c) = &a.colormap {
        m.send(Command::SetColormap(c.clone()));
    }
    if let Some(s) = a.scale {
        m.send(Command::SetScale(s));
    }
    type Switch = fn(bool) -> Command;
    let flags: [(Option<bool>, Switch); 4] = [
        (a.reversed, Command::SetReversed),
        (a.coastlines, Command::SetCoastlines),
        (a.graticule, Command::SetGraticule),
        (a.smooth, Command::SetSmooth),
    ];
    for (flag, command) in flags {
        if let Some(on) = flag {
            m.send(command(on));
        }
    }
    if let Some(unit) = &a.unit {
        m.choose_unit(unit);
    }
    if let Some(o) = a.opacity {
        m.send(Command::SetOpacity(o));
    }
}

fn theme_of_page() -> Option<crate::engine::api::Theme> {
    super::address::theme(&document().document_element()?.get_attribute("data-theme")?)
}

/// Goes to the step nearest to `iso` once the axis is known.
fn seek_time(m: Model, iso: Option<String>) {
    let Some(iso) = iso else { return };
    let sought = StoredValue::new(false);
    Effect::new(move |_| {
        let step = m.strip.with(|s| s.as_ref().and_then(|s| s.nearest(&iso)));
        if let (Some(step), false) = (step, sought.get_value()) {
            sought.set_value(true);
            if step != m.index.get_untracked() {
                m.go(step);
            }
        }
    });
}

/// Resolves with the first whole picture, or when that takes long.
async fn first_picture(m: Model) {
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        let _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, PATIENCE_MS);
        Effect::new(move |_| {
            if m.frame.get().is_some_and(|(_, whole)| whole) {
                let _ = resolve.call0(&JsValue::NULL);
            }
        });
    });
    let _ = JsFuture::from(promise).await;
}

fn play_when_whole(m: Model) {
    let begun = StoredValue::new(false);
    Effect::new(move |_| {
        let whole = m.frame.get().is_some_and(|(_, whole)| whole);
        let several = m.strip.with(|s| s.as_ref().is_some_and(|s| s.len > 1));
        if whole && several && !begun.get_value() {
            begun.set_value(true);
            m.speed.set(GENTLE);
            m.playing.set(true);
        }
    });
}

fn store_of(id: &str) -> String {
    here(&format!("zarr/{id}"))
}

fn open(m: Model, url: &str) {
    m.trouble.set(None);
    m.cursor.set(None);
    m.send(Command::Open { url: url.to_owned() });
}

pub fn open_collection(m: Model, id: &str) {
    m.playing.set(false);
    m.collection.set(Some(id.to_owned()));
    open(m, &store_of(id));
    if is_narrow() {
        m.sheet.set(None);
    }
}

pub fn open_url(m: Model, url: &str) {
    m.playing.set(false);
    m.collection.set(None);
    open(m, url);
    m.sheet.set(None);
}

fn is_narrow() -> bool {
    window().inner_width().ok().and_then(|w| w.as_f64()).is_some_and(|w| w < 640.0)
}

pub fn whole_earth(m: Model) {
    let zoom = m.state(|s| {
        let (width, height) = s.size_px;
        match s.projection {
            Projection::Mercator => (width / 512.0).min(height / 400.0),
            // The globe's disc is world / pi wide.
            Projection::Globe => width.min(height) * 0.9 * std::f64::consts::PI / 512.0,
        }
        .log2()
    });
    m.send(Command::SetView(View { longitude_deg: 0.0, latitude_deg: 0.0, zoom }));
}

/// Writes the state into the address, now.
pub fn write_address(m: Model) {
    let address =
        m.state(|s| s.cube.is_some().then(|| s.address(m.collection.get_untracked(), m.gpu.get_value())));
    let Some(address) = address else { return };
    let path = window().location().pathname().unwrap_or_default();
    if let Ok(history) = window().history() {
        let url = format!("{path}{}", address.query());
        let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&url));
    }
}

fn keep_address(m: Model) {
    let waiting = StoredValue::new(false);
    Effect::new(move |_| {
        m.shape.track();
        m.selected.track();
        m.style.track();
        m.moved.track();
        m.theme.track();
        [m.coastlines, m.graticule].iter().for_each(Track::track);
        m.smooth.track();
        m.collection.track();
        m.unit.track();
        if !waiting.get_value() {
            waiting.set_value(true);
            let write = move || {
                if waiting.try_set_value(false).is_none() {
                    write_address(m);
                }
            };
            set_timeout(write, WRITE_EVERY);
        }
    });
    Effect::new(move |_| {
        m.shape.track();
        let title = m.state(|s| s.meta().map(|v| v.label()));
        document().set_title(&title.map_or_else(|| "Graticule".to_owned(), |t| format!("{t} – Graticule")));
    });
}

async fn get_json(url: &str) -> Option<JsValue> {
    let request = web_sys::Request::new_with_str(url).ok()?;
    let response: Response = JsFuture::from(global_fetch(&request).ok()?).await.ok()?.dyn_into().ok()?;
    if !response.ok() {
        return None;
    }
    JsFuture::from(response.json().ok()?).await.ok()
}

fn text(object: &JsValue, key: &str) -> Option<String> {
    Reflect::get(object, &key.into()).ok()?.as_string().filter(|t| !t.is_empty())
}

/// Steps along its time dimension, as the datacube extension tells them.
fn steps_of_time(collection: &JsValue) -> f64 {
    let get = |o: &JsValue, key: &str| Reflect::get(o, &key.into()).unwrap_or(JsValue::NULL);
    let Ok(dims) = get(collection, "cube:dimensions").dyn_into::<js_sys::Object>() else { return 0.0 };
    let time = js_sys::Object::values(&dims).iter().find(|d| text(d, "type").as_deref() == Some("temporal"));
    time.and_then(|d| get(&d, "graticule:size").as_f64()).unwrap_or(0.0)
}

/// `None` where no server of ours answers.
async fn collections() -> Option<Vec<Collection>> {
    let answer = get_json(&here("api/collections")).await?;
    let list: Array = Reflect::get(&answer, &"collections".into()).ok()?.dyn_into().ok()?;
    let one = |c: JsValue| {
        let id = text(&c, "id")?;
        let title = text(&c, "title").unwrap_or_else(|| id.clone());
        let moves = steps_of_time(&c) > 1.0;
        let get = |o: &JsValue, key: &str| Reflect::get(o, &key.into()).ok().filter(JsValue::is_object);
        let thumbnail = get(&c, "assets").and_then(|a| text(&get(&a, "thumbnail")?, "href"));
        let table = get(&c, "table:columns").and_then(|_| text(&get(&get(&c, "assets")?, "csv")?, "href"));
        Some(Collection {
            moves,
            table,
            title,
            thumbnail,
            description: text(&c, "description").unwrap_or_default(),
            id,
        })
    };
    Some(list.iter().filter_map(one).collect())
}

/// Global attributes of the store shown; asked for when someone wants to read them.
pub async fn root_attributes(url: &str) -> Option<JsValue> {
    let url = url.trim_end_matches('/');
    if let Some(root) = get_json(&format!("{url}/zarr.json")).await {
        return Reflect::get(&root, &"attributes".into()).ok();
    }
    get_json(&format!("{url}/.zattrs")).await
}

/// Hears of new versions; the browser reconnects by itself.
fn live(m: Model) {
    let Ok(source) = EventSource::new(&here("api/events")) else { return };
    let heard = Closure::<dyn Fn(MessageEvent)>::new(move |e: MessageEvent| {
        let Some(event) = e.data().as_string().and_then(|t| js_sys::JSON::parse(&t).ok()) else { return };
        if text(&event, "type").as_deref() != Some("org.graticule.version.published") {
            return;
        }
        let data = Reflect::get(&event, &"data".into()).unwrap_or(JsValue::NULL);
        let Some(id) = text(&data, "collection") else { return };
        if m.collection.get_untracked().as_deref() == Some(&id) {
            m.send(Command::Refresh);
            m.say("A new version is here");
        }
        spawn_local(async move {
            if let Some(list) = collections().await {
                let is_cube = list.iter().any(|c| c.id == id && c.table.is_none());
                let first = is_cube
                    && m.catalog
                        .with_untracked(|c| c.as_ref().is_none_or(|c| c.iter().all(|c| c.table.is_some())));
                set(m.catalog, Some(list));
                // The first collection of an empty server: show it.
                if first && m.collection.get_untracked().is_none() && m.state(|s| s.cube.is_none()) {
                    open_collection(m, &id);
                }
            }
        });
    })
    .into_js_value();
    source.set_onmessage(Some(heard.unchecked_ref()));
    // A server may name its events; both ways are heard.
    let _ = source.add_event_listener_with_callback("org.graticule.version.published", heard.unchecked_ref());
    std::mem::forget(source);
}
