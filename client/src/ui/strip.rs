//! The bottom strip: time, and only time.
//!
//! Its track shows which frames are at hand, on their way, or not yet asked for.

use std::time::Duration;

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CanvasRenderingContext2d, PointerEvent};

use super::icons::{BACK, FORWARD, PAUSE, PLAY, icon};
use super::model::{Model, set};
use super::play;
use super::turns::later;
use crate::engine::api::StepState;

/// Room that one label of the ruler needs, CSS pixels.
const LABEL_PX: f64 = 76.0;

#[derive(Clone, Copy, PartialEq)]
enum Grip {
    Now,
    Start,
    End,
}

pub fn strip(m: Model) -> impl IntoView {
    play::run(m);
    let several = Memo::new(move |_| m.strip.with(|s| s.as_ref().is_some_and(|s| s.len > 1)));
    move || {
        several.get().then(|| {
            view! {
                <section class="g-strip g-plate" aria-label="Time">
                    <div class="g-transport">
                        <button class="g-icon" aria-label="Step back" title="Step back  ←" on:click=move |_| step(m, -1)>{icon(BACK)}</button>
                        <button class="g-icon g-play" aria-label=move || if m.playing.get() { "Pause" } else { "Play" } title="Play  space"
                            on:click=move |_| m.playing.update(|p| *p = !*p)>
                            {move || if m.playing.get() { icon(PAUSE).into_any() } else { icon(PLAY).into_any() }}
                        </button>
                        <button class="g-icon" aria-label="Step forward" title="Step forward  →" on:click=move |_| step(m, 1)>{icon(FORWARD)}</button>
                        <button class="g-speed g-num" title="Steps per second" aria-label=move || format!("{} steps per second", m.speed.get())
                            on:click=move |_| m.speed.update(|s| *s = match *s { s if s < 2.0 => 2.0, s if s < 4.0 => 4.0, s if s < 8.0 => 8.0, s if s < 16.0 => 16.0, _ => 1.0 })>
                            {move || format!("{}/s", m.speed.get())}
                        </button>
                    </div>
                    {later(move || track(m))}
                    <output class="g-now g-num">{move || now_words(m)}</output>
                </section>
            }
        })
    }
}

pub fn step(m: Model, by: i64) {
    m.playing.set(false);
    m.step_by(by);
}

pub fn now_words(m: Model) -> String {
    m.strip.with(|s| s.as_ref().map_or_else(String::new, |s| s.label(m.index.get())))
}

fn track(m: Model) -> impl IntoView {
    let rail = NodeRef::<html::Div>::new();
    let bar = NodeRef::<html::Canvas>::new();
    let width = RwSignal::new(600.0);
    let len = Memo::new(move |_| m.strip.with(|s| s.as_ref().map_or(1, |s| s.len)));
    let at = move |index: f64| (index + 0.5) / len.get() as f64 * 100.0;
    let held = RwSignal::new(None::<Grip>);

    Effect::new(move |_| {
        let Some(div) = rail.get() else { return };
        let measure = move || {
            if let Some(d) = rail.try_get_untracked().flatten() {
                set(width, f64::from(d.client_width()).max(60.0));
            }
        };
        measure();
        let seen = wasm_bindgen::closure::Closure::<dyn Fn()>::new(measure).into_js_value();
        if let Ok(observer) = web_sys::ResizeObserver::new(seen.unchecked_ref()) {
            observer.observe(&div);
        }
    });
    Effect::new(move |_| {
        let (Some(canvas), states) = (bar.get(), m.steps.get()) else { return };
        m.theme.track();
        // Before the first picture nothing is known of any.
        if states.is_empty() {
            return;
        }
        paint(&canvas, width.get(), len.get(), &states);
    });

    let index_at = move |e: &PointerEvent| {
        let x = rail
            .get_untracked()
            .map_or(0.0, |d| f64::from(e.client_x()) - d.get_bounding_client_rect().left());
        let steps = len.get_untracked();
        ((x / width.get_untracked() * steps as f64).floor().max(0.0) as u64).min(steps.saturating_sub(1))
    };
    let pull = move |grip: Grip, index: u64, released: bool| match grip {
        Grip::Now => scrub(m, index, released),
        Grip::Start => m.looped.update(|(a, b)| *a = index.min(*b)),
        Grip::End => m.looped.update(|(a, b)| *b = index.max(*a)),
    };
    let down = move |grip: Grip| {
        move |e: PointerEvent| {
            e.stop_propagation();
            if let Some(d) = rail.get_untracked() {
                let _ = d.set_pointer_capture(e.pointer_id());
            }
            let grip = if is_on(&e) { grip } else { Grip::Now };
            held.set(Some(grip));
            if grip == Grip::Now {
                m.playing.set(false);
                pull(grip, index_at(&e), false);
            }
        }
    };
    let ticks = Memo::new(move |_| {
        let most = (width.get() / LABEL_PX).floor() as usize;
        m.strip.with(|s| s.as_ref().map(|s| s.ticks(most)).unwrap_or_default())
    });
    let whole = Memo::new(move |_| m.looped.get() == (0, len.get().saturating_sub(1)));
    view! {
        <div class="g-track" node_ref=rail role="slider" tabindex="0" aria-label="Time step"
            aria-valuemin="0" aria-valuemax=move || (len.get().saturating_sub(1)).to_string()
            aria-valuenow=move || m.index.get().to_string() aria-valuetext=move || now_words(m)
            on:pointerdown=down(Grip::Now)
            on:pointermove=move |e| if let Some(grip) = held.get_untracked() { pull(grip, index_at(&e), false) }
            on:pointerup=move |e| if let Some(grip) = held.get_untracked() { held.set(None); pull(grip, index_at(&e), true) }
            on:pointercancel=move |_| held.set(None)
            on:keydown=move |e| {
                let by: i64 = match e.key().as_str() {
                    "PageUp" => 10, "PageDown" => -10,
                    "Home" => -(m.index.get_untracked() as i64),
                    "End" => len.get_untracked() as i64 - 1 - m.index.get_untracked() as i64,
                    _ => return,
                };
                e.prevent_default();
                step(m, by);
            }>
            <div class="g-ruler" aria-hidden="true">
                {move || ticks.get().into_iter().map(|t| {
                    let left = format!("{:.3}%", at(t.index));
                    view! { <span class="g-num" class:g-major=t.major style:left=left>{t.label}</span> }
                }).collect_view()}
            </div>
            <canvas class="g-frames" node_ref=bar height="4"></canvas>
            <div class="g-loop" class:g-whole=move || whole.get()
                style:left=move || format!("{:.3}%", m.looped.get().0 as f64 / len.get() as f64 * 100.0)
                style:right=move || format!("{:.3}%", 100.0 - (m.looped.get().1 + 1) as f64 / len.get() as f64 * 100.0)>
                <i class="g-from" title="Start of the loop" on:pointerdown=down(Grip::Start)></i>
                <i class="g-to" title="End of the loop" on:pointerdown=down(Grip::End)></i>
            </div>
            <div class="g-cursor" style:left=move || format!("{:.3}%", at(m.index.get() as f64))></div>
        </div>
    }
}

/// False where a browser took a finger beside a small handle for one on it: whoever
/// puts a finger on the track means the time.
fn is_on(e: &PointerEvent) -> bool {
    const FINGER_PX: f64 = 10.0;
    e.current_target().and_then(|t| t.dyn_into::<web_sys::Element>().ok()).is_none_or(|t| {
        let rect = t.get_bounding_client_rect();
        let x = f64::from(e.client_x());
        x > rect.left() - FINGER_PX && x < rect.right() + FINGER_PX
    })
}

/// While dragging, the nearest frame at hand is shown at once; the exact one
/// when the hand rests or lets go.
fn scrub(m: Model, index: u64, released: bool) {
    let near = m.steps.with_untracked(|s| nearest_cached(s, index));
    match near {
        Some(near) if !released && near != index => {
            m.go(near);
            let serial = m.scrubbed.get_untracked().wrapping_add(1);
            m.scrubbed.set(serial);
            set_timeout(
                move || {
                    if m.scrubbed.get_untracked() == serial {
                        m.go(index);
                    }
                },
                Duration::from_millis(120),
            );
        }
        _ => {
            m.scrubbed.update(|n| *n = n.wrapping_add(1));
            m.go(index);
        }
    }
}

fn nearest_cached(states: &[StepState], index: u64) -> Option<u64> {
    const REACH: u64 = 12;
    (0..=REACH)
        .flat_map(|d| [index.checked_sub(d), index.checked_add(d)])
        .flatten()
        .find(|i| states.get(*i as usize) == Some(&StepState::Cached))
}

fn paint(canvas: &web_sys::HtmlCanvasElement, width: f64, len: u64, states: &[StepState]) {
    let ratio = web_sys::window().map_or(1.0, |w| w.device_pixel_ratio());
    let pixels = (width * ratio).round().max(1.0);
    canvas.set_width(pixels as u32);
    canvas.set_height((4.0 * ratio).round() as u32);
    // Kept off the GPU: a strip of a few pixels would wait for it behind the map's first picture.
    let options = js_sys::Object::new();
    let _ = js_sys::Reflect::set(&options, &"willReadFrequently".into(), &true.into());
    let Some(context) = canvas
        .get_context_with_context_options("2d", &options)
        .ok()
        .flatten()
        .and_then(|c| c.dyn_into::<CanvasRenderingContext2d>().ok())
    else {
        return;
    };
    let style = web_sys::window().and_then(|w| w.get_computed_style(canvas).ok().flatten());
    let colour = |name: &str| {
        style
            .as_ref()
            .and_then(|s| s.get_property_value(name).ok())
            .map(|c| c.trim().to_owned())
            .unwrap_or_default()
    };
    let colours = [colour("--frame-missing"), colour("--frame-loading"), colour("--frame-cached")];
    let height = f64::from(canvas.height());
    let steps = len.max(1) as usize;
    // A gap of one device pixel between frames, where there is room for it.
    let gap = if pixels / steps as f64 >= 6.0 { ratio.round().max(1.0) } else { 0.0 };
    let mut run = 0;
    for i in 0..steps {
        let state = |i: usize| states.get(i).copied().unwrap_or(StepState::Missing) as usize;
        if gap == 0.0 && i + 1 < steps && state(i + 1) == state(i) {
            continue;
        }
        let (a, b) = (run as f64 / steps as f64 * pixels, (i + 1) as f64 / steps as f64 * pixels - gap);
        if let Some(c) = colours.get(state(i)) {
            let _ = js_sys::Reflect::set(&context, &"fillStyle".into(), &JsValue::from_str(c));
        }
        context.fill_rect(a.round(), 0.0, (b - a).max(1.0), height);
        run = i + 1;
    }
}
