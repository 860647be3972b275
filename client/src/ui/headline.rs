//! Upper left: what is shown, in one line of text; it opens the sheet that says the rest.

use leptos::prelude::*;

use super::icons::{MENU, icon};
use super::model::{Model, Sheet};
use super::numbers;
use super::turns::later;
use crate::engine::api::Command;

pub fn headline(m: Model) -> impl IntoView {
    let name = Memo::new(move |_| {
        m.shape.track();
        m.state(|s| s.meta().map(|v| numbers::sentence(&v.label())))
    });
    view! {
        <header class="g-headline g-plate">
            <button class="g-icon" aria-label="Catalog and details" title="Catalog and details"
                aria-expanded=move || m.sheet.get().is_some().to_string()
                on:click=move |_| toggle(m, if m.catalog.get_untracked().is_some() { Sheet::Catalog } else { Sheet::Details })>
                {icon(MENU)}
            </button>
            {move || match name.get() {
                None => view! { <span class="g-quiet">{move || waiting_words(m)}</span> }.into_any(),
                Some(name) => view! {
                    <label class="g-pick">
                        <strong>{name}</strong><Caret/>
                        <select aria-label="Variable" on:change=move |e| {
                            m.send(Command::SetVariable(event_target_value(&e)));
                        }>
                            {variable_options(m)}
                        </select>
                    </label>
                    {later(move || move || { m.shape.track(); dim_pickers(m) })}
                    <button class="g-when" title="Title, source, licence, links"
                        aria-expanded=move || (m.sheet.get() == Some(Sheet::Details)).to_string()
                        on:click=move |_| toggle(m, Sheet::Details)>
                        {move || when_words(m)}
                    </button>
                }.into_any(),
            }}
        </header>
    }
}

fn toggle(m: Model, sheet: Sheet) {
    m.sheet.update(|s| *s = if s.is_some() { None } else { Some(sheet) });
}

fn waiting_words(m: Model) -> &'static str {
    match (m.trouble.get().is_some(), m.catalog.get()) {
        (true, _) => "No data",
        (_, Some(list)) if list.is_empty() => "No collections yet",
        _ => "Reading metadata",
    }
}

#[component]
pub fn Caret() -> impl IntoView {
    view! { <svg class="g-caret" viewBox="0 0 8 5" width="8" height="5" aria-hidden="true"><path d="M0 0l4 5 4-5z" fill="currentColor"/></svg> }
}

fn variable_options(m: Model) -> impl IntoView {
    m.state(|s| {
        let chosen = s.variable.clone();
        s.cube.as_ref().map(|cube| {
            cube.variables
                .iter()
                .filter(|v| v.is_drawable())
                .map(|v| {
                    let label = v.label();
                    let words = if label == v.path { label } else { format!("{label} ({})", v.path) };
                    view! { <option value=v.path.clone() selected=v.path == chosen>{words}</option> }
                })
                .collect_view()
        })
    })
}

fn dim_pickers(m: Model) -> impl IntoView {
    m.state(|s| {
        s.other_dims()
            .into_iter()
            .filter(|d| d.len > 1)
            .map(|d| {
                let (steps, dim) = (s.steps_of(d), d.name.clone());
                let now = {
                    let (steps, dim) = (steps.clone(), dim.clone());
                    move || {
                        let index = m.selected.with(|(_, i)| {
                            i.iter().find(|(n, _)| *n == dim).map_or(0, |(_, i)| *i)
                        });
                        steps.label(index)
                    }
                };
                let chosen = s.index_of(&d.name);
                // A select of a hundred thousand options helps nobody.
                let options = (0..d.len.min(1000))
                    .map(|i| view! { <option value=i.to_string() selected=i == chosen>{steps.label(i)}</option> })
                    .collect_view();
                let label = d.long_name.clone().unwrap_or_else(|| d.name.clone());
                view! {
                    <label class="g-pick" title=label.clone()>
                        <span class="g-num">{now}</span><Caret/>
                        <select aria-label=label.clone() on:change=move |e| {
                            if let Ok(index) = event_target_value(&e).parse() {
                                m.send(Command::SetIndex { dim: dim.clone(), index });
                            }
                        }>{options}</select>
                    </label>
                }
            })
            .collect_view()
    })
}

/// Valid time with its calendar.
fn when_words(m: Model) -> impl IntoView {
    m.strip.with(|strip| match strip {
        Some(s) => {
            let words = s.calendar_words();
            view! { <span class="g-num">{s.label(m.index.get())}</span> {words.map(|w| view! { <small>{w}</small> })} }
                .into_any()
        }
        None => view! { <span>"Details"</span> }.into_any(),
    })
}

/// Under the line, quietly: what is loading, what had to be guessed.
pub fn remarks(m: Model) -> impl IntoView {
    // Words only for what takes longer than a quarter of a second.
    let slow = RwSignal::new(false);
    let begun = RwSignal::new(0u32);
    Effect::new(move |was: Option<bool>| {
        let (done, total, _) = m.progress.get();
        let busy = total > done;
        if busy && was != Some(true) {
            begun.update(|n| *n += 1);
            let mine = begun.get_untracked();
            set_timeout(
                move || {
                    let still = m.progress.try_get_untracked().is_some_and(|(d, t, _)| t > d);
                    if still && begun.get_untracked() == mine {
                        slow.set(true);
                    }
                },
                std::time::Duration::from_millis(250),
            );
        } else if !busy {
            begun.update(|n| *n += 1);
            slow.set(false);
        }
        busy
    });
    let progress = move || {
        let (done, total, bytes) = m.progress.get();
        (slow.get() && !m.playing.get())
            .then(|| view! { <p class="g-remark g-num">{format!("{done} of {total} chunks, {}", numbers::bytes(bytes))}</p> })
    };
    let noted = RwSignal::new(true);
    Effect::new(move |_| {
        m.shape.track();
        noted.set(true);
        set_timeout(move || noted.set(false), std::time::Duration::from_secs(12));
    });
    let notes = move || {
        m.shape.track();
        let words = m.state(|s| s.cube.as_ref().and_then(|c| c.notes.first().cloned()));
        noted.get().then(|| words.map(|w| view! { <p class="g-remark">{w}</p> }))
    };
    view! { <div class="g-remarks" aria-live="off">{progress}{notes}</div> }
}
