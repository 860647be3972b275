//! The one sheet, at the left (on a phone from below): the catalog, and what is
//! known of the data shown.

use leptos::prelude::*;
use wasm_bindgen::JsValue;

use super::icons::{CLOSE, COPY, icon};
use super::model::{Collection, Model, Sheet};
use super::numbers;
use super::page;
use super::rail::copy;

pub fn sheet(m: Model) -> impl IntoView {
    let tab = move |which: Sheet, words: &'static str| {
        view! {
            <button role="tab" aria-selected=move || (m.sheet.get() == Some(which)).to_string() on:click=move |_| m.sheet.set(Some(which))>{words}</button>
        }
    };
    let open = Memo::new(move |_| m.sheet.get().is_some());
    move || {
        open.get().then(|| {
            view! {
                <aside class="g-sheet g-plate" aria-label="Catalog and details">
                    <div class="g-tabs" role="tablist">
                        {tab(Sheet::Catalog, "Catalog")} {tab(Sheet::Details, "Details")}
                        <button class="g-icon g-shut" aria-label="Close" on:click=move |_| m.sheet.set(None)>{icon(CLOSE)}</button>
                    </div>
                    {move || match m.sheet.get() {
                        Some(Sheet::Catalog) => catalog(m).into_any(),
                        Some(Sheet::Details) => details(m).into_any(),
                        None => ().into_any(),
                    }}
                </aside>
            }
        })
    }
}

fn catalog(m: Model) -> impl IntoView {
    let wanted = RwSignal::new(String::new());
    let url = RwSignal::new(String::new());
    let list = move || {
        let words = wanted.get().to_lowercase();
        let fits = |c: &Collection| {
            words
                .split_whitespace()
                .all(|w| [&c.id, &c.title, &c.description].iter().any(|t| t.to_lowercase().contains(w)))
        };
        m.catalog.get().map(|all| {
            let found: Vec<_> = all.into_iter().filter(|c| fits(c)).collect();
            if found.is_empty() {
                return view! { <p class="g-quiet">{if words.is_empty() { "No collections yet: graticule ingest FILE --collection ID" } else { "Nothing with these words" }}</p> }
                    .into_any();
            }
            found
                .into_iter()
                .map(|c| {
                    let id = c.id.clone();
                    if let Some(csv) = c.table {
                        return view! {
                            <a class="g-entry" href=csv download=format!("{id}.csv")>
                                <i></i>
                                <span><strong>{numbers::sentence(&c.title)}</strong><small>{format!("{id} · table, as CSV")}</small></span>
                            </a>
                        }
                        .into_any();
                    }
                    let chosen = { let id = id.clone(); move || (m.collection.get().as_deref() == Some(&id)).to_string() };
                    view! {
                        <button class="g-entry" aria-current=chosen on:click=move |_| { page::open_collection(m, &id); }>
                            <i style:background-image=c.thumbnail.as_ref().map(|u| format!("url({u:?})"))></i>
                            <span><strong>{numbers::sentence(&c.title)}</strong><small>{c.id.clone()}</small></span>
                        </button>
                    }
                    .into_any()
                })
                .collect_view()
                .into_any()
        })
    };
    view! {
        <div class="g-body">
            {move || m.catalog.with(|c| c.as_ref().is_some_and(|c| c.len() > 4)).then(|| view! {
                <input type="search" placeholder="Search collections" aria-label="Search collections" on:input=move |e| wanted.set(event_target_value(&e))/>
            })}
            <div class="g-entries">{list}</div>
            <form class="g-url" on:submit=move |e| {
                e.prevent_default();
                let text = url.get_untracked().trim().to_owned();
                if !text.is_empty() { page::open_url(m, &text); }
            }>
                <label>"Open any Zarr by its URL, or drop a NetCDF file on the map"
                    <input type="url" placeholder="https://host/store.zarr" prop:value=move || url.get() on:input=move |e| url.set(event_target_value(&e))/>
                </label>
                <button class="g-text" type="submit">"Open"</button>
            </form>
        </div>
    }
}

fn details(m: Model) -> impl IntoView {
    let about = RwSignal::new_local(None::<JsValue>);
    Effect::new(move |_| {
        m.shape.track();
        let url = m.state(|s| s.url.clone());
        wasm_bindgen_futures::spawn_local(async move {
            let attributes = page::root_attributes(&url).await;
            let _ = about.try_set(attributes);
        });
    });
    let attribute = move |names: &[&str]| {
        about.with(|a| {
            let a = a.as_ref()?;
            names
                .iter()
                .find_map(|n| js_sys::Reflect::get(a, &(*n).into()).ok()?.as_string())
                .filter(|t| !t.trim().is_empty())
        })
    };
    let entry = |name: &'static str, words: Option<String>| {
        words.map(|w| view! { <dt>{name}</dt><dd>{linked(w)}</dd> })
    };
    view! {
        <div class="g-body g-details">
            {move || {
                m.shape.track();
                m.selected.track();
                m.state(|s| {
                    let meta = s.meta();
                    let title = s.cube.as_ref().and_then(|c| c.title.clone());
                    view! {
                        <h2>{title.or_else(|| meta.map(|v| v.label()))}</h2>
                        <dl>
                            {entry("Variable", meta.map(|v| match &v.standard_name {
                                Some(standard) => format!("{} ({standard})", v.path),
                                None => v.path.clone(),
                            }))}
                            {entry("Unit", meta.and_then(|v| v.units.clone()))}
                            {entry("Dimensions", meta.map(|v| v.dims.iter().map(|d| format!("{} {}", d.name, d.len)).collect::<Vec<_>>().join(" × ")))}
                            {entry("Calendar", s.strip().and_then(|t| t.calendar).map(|c| c.name().replace('_', " ")))}
                            {entry("Stored as", meta.map(|v| {
                                let packed = if v.packing.is_identity() { String::new() } else { format!(", × {} + {}", numbers::stored(v.packing.scale), numbers::stored(v.packing.offset)) };
                                let levels = match v.levels.len() { 1 => "one level".to_owned(), n => format!("{n} levels") };
                                format!("{}{packed}; {levels}", v.packing.dtype.zarr_name())
                            }))}
                            {entry("Source", attribute(&["source"]))}
                            {entry("Institution", attribute(&["institution", "creator_name"]))}
                            {entry("Licence", attribute(&["license", "licence"]))}
                            {entry("Cite", attribute(&["citation", "references"]))}
                            {entry("History", attribute(&["history"]))}
                            {entry("Comment", attribute(&["comment", "summary"]))}
                            {entry("Read as", s.cube.as_ref().filter(|c| !c.notes.is_empty()).map(|c| c.notes.join("; ")))}
                        </dl>
                    }
                })
            }}
            {move || {
                m.shape.track();
                links(m)
            }}
        </div>
    }
}

fn linked(words: String) -> impl IntoView {
    if words.starts_with("https://") && !words.contains(char::is_whitespace) {
        view! { <a href=words.clone() rel="noreferrer" target="_blank">{words.clone()}</a> }.into_any()
    } else {
        words.into_any()
    }
}

/// The same data elsewhere: Python, the shell, STAC.
fn links(m: Model) -> impl IntoView {
    let snippet = |name: &'static str, text: String| {
        let copied = text.clone();
        view! {
            <div class="g-snippet">
                <header><span>{name}</span>
                    <button class="g-icon" aria-label=format!("Copy: {name}") title="Copy" on:click=move |_| copy(m, copied.clone(), "Copied")>{icon(COPY)}</button></header>
                <pre>{text}</pre>
            </div>
        }
    };
    let (url, variable) = m.state(|s| (s.url.clone(), s.variable.clone()));
    let collection = m.collection.get_untracked();
    let api = collection.as_ref().map(|id| page::here(&format!("api/collections/{id}")));
    let metadata = format!("{}/zarr.json", url.trim_end_matches('/'));
    if let Some(name) = url.rsplit('/').next().filter(|_| super::state::is_dropped(&url)) {
        let name = js_sys::decode_uri_component(name).map_or_else(|_| name.to_owned(), String::from);
        let python = format!("import xarray as xr\nds = xr.open_dataset(\"{name}\")\nds[\"{variable}\"]");
        return snippet("xarray", python).into_any();
    }
    let python = format!("import xarray as xr\nds = xr.open_zarr(\"{url}\")\nds[\"{variable}\"]");
    let curl = match &api {
        Some(api) => format!("curl '{api}/position?coords=POINT(0%2050)&parameter-name={variable}&f=CSV'"),
        None => format!("curl '{metadata}'"),
    };
    view! {
        {snippet("xarray", python)}
        {snippet("Zarr", url)}
        {snippet("curl", curl)}
        {api.map(|a| view! { <p><a href=a target="_blank">"STAC collection (JSON)"</a></p> })}
    }
    .into_any()
}
