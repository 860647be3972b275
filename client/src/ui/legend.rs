//! The legend, which is the colour editor.
//!
//! The bar spans what is in view and the ends of the scale both; the coloured
//! part lies between its ends, which can be dragged or typed. Ends are said in
//! the unit shown and kept in the stored one, which is what the shader draws by.

use graticule_shared::colormap;
use leptos::html;
use leptos::prelude::*;
use web_sys::PointerEvent;

use super::headline::Caret;
use super::icons::{CLOSE, icon};
use super::model::Model;
use super::numbers;
use super::state::Style;
use super::turns::later;
use crate::engine::api::{Command, Scale};

/// Scales with a neutral middle.
const DIVERGING: [&str; 6] = ["balance", "RdBu_r", "coolwarm", "vik", "broc", "roma"];

/// What the bar spans, low to high.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Domain {
    low: f64,
    high: f64,
    log: bool,
}

impl Domain {
    fn new(style: &Style, histogram: Option<(f64, f64)>) -> Self {
        let (a, b) = style.clim;
        let (mut low, mut high) = (a.min(b), a.max(b));
        if let Some((l, h)) = histogram.filter(|(l, h)| l.is_finite() && h.is_finite() && h > l) {
            // Outliers a hundred spans away would squeeze the scale to nothing.
            let span = (high - low).max(f64::MIN_POSITIVE);
            low = low.min(l.max(low - span * 1.5));
            high = high.max(h.min(high + span * 1.5));
        }
        let log = style.scale == Scale::Log && low > 0.0;
        let pad = (high - low) * 0.04;
        if log {
            Self { low: low / 1.1, high: high * 1.1, log }
        } else {
            Self { low: low - pad, high: high + pad, log }
        }
    }

    fn place(&self, v: f64) -> f64 {
        let t = if self.log {
            (v.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (v - self.low) / (self.high - self.low)
        };
        if t.is_finite() { t.clamp(0.0, 1.0) } else { 0.0 }
    }

    fn value(&self, t: f64) -> f64 {
        if self.log {
            self.low * (self.high / self.low).powf(t)
        } else {
            self.low + t * (self.high - self.low)
        }
    }
}

/// A CSS gradient of `name`.
pub fn gradient(name: &str, reversed: bool) -> String {
    const STOPS: usize = 24;
    let Some(lut) = colormap::lut(name) else { return "none".to_owned() };
    let stops: Vec<String> = (0..=STOPS)
        .map(|i| {
            let at = i * 255 / STOPS;
            let [r, g, b] = lut[if reversed { 255 - at } else { at }];
            format!("rgb({r} {g} {b})")
        })
        .collect();
    format!("linear-gradient(90deg,{})", stops.join(","))
}

/// The histogram as an SVG path over `domain`, 100 wide and 28 high.
fn skyline(domain: Domain, counts: &[u32], range: (f64, f64)) -> String {
    // The root keeps the small bins visible beside the sea's.
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let height = |c: u32| 28.0 - 26.0 * (f64::from(c) / f64::from(most)).sqrt();
    let width = (range.1 - range.0) / counts.len().max(1) as f64;
    let x = |i: usize| domain.place(range.0 + width * i as f64) * 100.0;
    let mut d = format!("M{:.2} 28", x(0));
    for (i, c) in counts.iter().enumerate() {
        d.push_str(&format!("V{:.1}H{:.2}", height(*c), x(i + 1)));
    }
    d.push_str("V28Z");
    d
}

pub fn legend(m: Model) -> impl IntoView {
    let known = Memo::new(move |_| {
        m.shape.track();
        m.state(|s| s.meta().is_some_and(|v| v.is_drawable()))
    });
    move || known.get().then(|| panel(m))
}

fn panel(m: Model) -> impl IntoView {
    // Frozen while an end is dragged, or the bar would run away from the hand.
    let frozen = RwSignal::new(None::<Domain>);
    let domain = Memo::new(move |_| {
        frozen.get().unwrap_or_else(|| {
            m.histogram.with(|h| m.style.with(|s| Domain::new(s, h.as_ref().map(|h| h.1))))
        })
    });
    let bar = NodeRef::<html::Div>::new();
    let held = RwSignal::new(None::<bool>);
    let drag = move |e: &PointerEvent| {
        let (Some(high_end), Some(b)) = (held.get_untracked(), bar.get_untracked()) else { return };
        let rect = b.get_bounding_client_rect();
        let t = (f64::from(e.client_x()) - rect.left()) / rect.width().max(1.0);
        let v = round_to_pixel(m, domain.get_untracked(), t, rect.width());
        let (low, high) = m.style.with_untracked(|s| s.clim);
        set_clim(m, if high_end { (low, v) } else { (v, high) });
    };
    let grip = move |high_end: bool, name: &'static str| {
        let at = move || {
            let (low, high) = m.style.with(|s| s.clim);
            format!("{:.3}%", domain.get().place(if high_end { high } else { low }) * 100.0)
        };
        let now = move || m.style.with(|s| if high_end { s.clim.1 } else { s.clim.0 });
        view! {
            <i class="g-grip" role="slider" tabindex="0" aria-label=name style:left=at
                aria-valuenow=move || m.unit.with(|u| u.from_stored(now())).to_string()
                aria-valuetext=move || m.unit.with(|u| numbers::with_unit(u.from_stored(now()), &u.label))
                on:pointerdown=move |e| {
                    if let Some(b) = bar.get_untracked() { let _ = b.set_pointer_capture(e.pointer_id()); }
                    frozen.set(Some(domain.get_untracked()));
                    held.set(Some(high_end));
                }
                on:keydown=move |e| {
                    let by = match e.key().as_str() { "ArrowLeft" | "ArrowDown" => -0.01, "ArrowRight" | "ArrowUp" => 0.01, _ => return };
                    e.prevent_default();
                    e.stop_propagation();
                    let d = domain.get_untracked();
                    let v = d.value(d.place(now()) + by);
                    let (low, high) = m.style.with_untracked(|s| s.clim);
                    set_clim(m, if high_end { (low, v) } else { (v, high) });
                }></i>
        }
    };
    let fill = move || {
        m.style.with(|s| {
            let (a, b) = (domain.get().place(s.clim.0) * 100.0, domain.get().place(s.clim.1) * 100.0);
            let lut = colormap::lut(&s.colormap);
            let end = |last: bool| {
                lut.as_ref().map_or_else(String::new, |l| {
                    let [r, g, b] = l[if last != s.reversed { 255 } else { 0 }];
                    format!("rgb({r} {g} {b})")
                })
            };
            let (low_end, high_end) = if a <= b { (end(false), end(true)) } else { (end(true), end(false)) };
            let reversed = s.reversed != (a > b);
            // Beneath the gradient, wherever that lies, the colour beyond changes sides.
            let middle = ((a + b) / 2.0).clamp(0.0, 100.0);
            format!(
                "{} {:.2}% 0/{:.2}% 100% no-repeat,linear-gradient(90deg,{low_end} {middle:.2}%,{high_end} {middle:.2}%)",
                gradient(&s.colormap, reversed),
                // The offset of a background is a share of what is left over.
                if (b - a).abs() < 99.99 { a.min(b) / (100.0 - (b - a).abs()) * 100.0 } else { 0.0 },
                (b - a).abs(),
            )
        })
    };
    let histogram = move || {
        m.histogram.with(|h| {
            h.as_ref().map(|(counts, range)| {
                let d = skyline(domain.get(), counts, *range);
                view! { <svg class="g-histogram" viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true"><path d=d/></svg> }
            })
        })
    };
    view! {
        <section class="g-legend g-plate" class:g-open=move || m.editor.get() aria-label="Colour scale">
            <div class="g-bar" node_ref=bar
                on:pointermove=move |e| drag(&e)
                on:pointerup=move |_| { held.set(None); frozen.set(None); }
                on:pointercancel=move |_| { held.set(None); frozen.set(None); }>
                {histogram}
                <div class="g-gradient" style:background=fill></div>
                {grip(false, "Low end")} {grip(true, "High end")}
            </div>
            <div class="g-ends">{later(move || ends(m))}</div>
            {move || m.editor.get().then(|| editor(m))}
        </section>
    }
}

/// Beneath the bar: its numbers, the unit, the name of the colours.
fn ends(m: Model) -> impl IntoView {
    view! {
        {number(m, false)}
        {unit(m)}
        <button class="g-colours" aria-label=move || m.style.with(|s| format!("Colours: {}", s.colormap)) aria-expanded=move || m.editor.get().to_string() title="Colours  c"
            on:click=move |_| m.editor.update(|o| *o = !*o)>{move || m.style.with(|s| s.colormap.clone())}<Caret/></button>
        {number(m, true)}
    }
}

/// The unit; a click shows the next one that fits, with shift the one before.
fn unit(m: Model) -> impl IntoView {
    let several = Memo::new(move |_| {
        m.shape.track();
        m.state(|s| s.unit_choices().len() > 1)
    });
    // A share of one has no sign of its own.
    let words = move || {
        m.unit.with(
            |u| if u.label.is_empty() && several.get() { "fraction".to_owned() } else { u.label.clone() },
        )
    };
    move || {
        if several.get() {
            view! {
                <button class="g-unit" title="Another unit  u" aria-label=move || format!("Unit: {}. Show another", words())
                    on:click=move |e| m.turn_unit(e.shift_key())>{words}</button>
            }
            .into_any()
        } else {
            view! { <span class="g-unit">{words}</span> }.into_any()
        }
    }
}

/// No more digits than the hand can mean, in the unit shown.
fn round_to_pixel(m: Model, domain: Domain, t: f64, width_px: f64) -> f64 {
    m.unit.with_untracked(|u| {
        let v = u.from_stored(domain.value(t));
        let pixel = (u.from_stored(domain.value(t + 1.0 / width_px.max(1.0))) - v).abs();
        let digit = 10f64.powf(pixel.log10().floor());
        u.to_stored(if digit.is_finite() && digit > 0.0 { (v / digit).round() * digit } else { v })
    })
}

fn set_clim(m: Model, (low, high): (f64, f64)) {
    if m.style.with_untracked(|s| s.scale) == Scale::Diverging {
        // Whichever end moved, the other mirrors it.
        let old = m.style.with_untracked(|s| s.clim);
        let most = if low != old.0 { low.abs() } else { high.abs() };
        m.send(Command::SetClim(-most, most));
    } else {
        m.send(Command::SetClim(low, high));
    }
}

/// An end's number; a click makes it a field.
fn number(m: Model, high_end: bool) -> impl IntoView {
    let typing = RwSignal::new(false);
    let field = NodeRef::<html::Input>::new();
    let name = if high_end { "High end of the colour scale" } else { "Low end of the colour scale" };
    let shown = move || {
        m.unit.with(|u| {
            let (low, high) = m.style.with(|s| (u.from_stored(s.clim.0), u.from_stored(s.clim.1)));
            numbers::in_range(if high_end { high } else { low }, (high - low).abs())
        })
    };
    Effect::new(move |_| {
        if let (true, Some(f)) = (typing.get(), field.get()) {
            f.set_value(&value_now(m, high_end));
            let _ = f.focus();
            f.select();
        }
    });
    let done = move |text: String| {
        if !typing.get_untracked() {
            return;
        }
        typing.set(false);
        if let Some(v) = numbers::parse(&text) {
            let v = m.unit.with_untracked(|u| u.to_stored(v));
            let (low, high) = m.style.with_untracked(|s| s.clim);
            set_clim(m, if high_end { (low, v) } else { (v, high) });
        }
    };
    move || {
        if typing.get() {
            view! {
                <input class="g-number g-num" node_ref=field inputmode="decimal" aria-label=name
                    on:keydown=move |e| match e.key().as_str() {
                        "Enter" => done(event_target_value(&e)),
                        "Escape" => typing.set(false),
                        _ => {}
                    }
                    on:blur=move |e| done(event_target_value(&e))/>
            }
            .into_any()
        } else {
            view! { <button class="g-number g-num" class:g-high=high_end title=name on:click=move |_| typing.set(true)>{shown}</button> }
                .into_any()
        }
    }
}

/// For typing: all digits that are meant, none that a conversion left behind.
fn value_now(m: Model, high_end: bool) -> String {
    let v = m.style.with_untracked(|s| if high_end { s.clim.1 } else { s.clim.0 });
    m.unit.with_untracked(|u| match u.from_stored(v) {
        v if u.is_stored() => v.to_string(),
        v => format!("{v:.9e}").parse::<f64>().unwrap_or(v).to_string(),
    })
}

fn editor(m: Model) -> impl IntoView {
    let scale = move |s: Scale, words: &'static str| {
        view! {
            <button role="radio" aria-checked=move || m.style.with(|t| t.scale == s).to_string() on:click=move |_| choose_scale(m, s)>{words}</button>
        }
    };
    view! {
        <div class="g-editor">
            <div class="g-row">
                <div class="g-segments" role="radiogroup" aria-label="Scale">
                    {scale(Scale::Linear, "Linear")} {scale(Scale::Log, "Log")} {scale(Scale::Diverging, "Diverging")}
                </div>
                <button class="g-text" title="From the 2nd to the 98th percentile in view  a" on:click=move |_| m.send(Command::AutoClim)>"Auto"</button>
            </div>
            <div class="g-row">
                <label class="g-check"><input type="checkbox" prop:checked=move || m.style.with(|s| s.reversed)
                    on:change=move |e| m.send(Command::SetReversed(event_target_checked(&e)))/>"Reverse"</label>
                <label class="g-slide">"Opacity"<input type="range" min="0" max="1" step="0.05" prop:value=move || m.style.with(|s| s.opacity.to_string())
                    on:input=move |e| if let Ok(o) = event_target_value(&e).parse() { m.send(Command::SetOpacity(o)) }/></label>
                <button class="g-icon g-shut" aria-label="Close the colour editor" on:click=move |_| m.editor.set(false)>{icon(CLOSE)}</button>
            </div>
            <div class="g-maps" role="listbox" aria-label="Colour map">
                {colormap::names().map(|name| view! {
                    <button role="option" aria-selected=move || m.style.with(|s| s.colormap == name).to_string()
                        on:click=move |_| m.send(Command::SetColormap(name.to_owned()))>
                        <i style:background=gradient(name, false)></i><span>{name}</span>
                    </button>
                }).collect_view()}
            </div>
        </div>
    }
}

fn choose_scale(m: Model, scale: Scale) {
    m.send(Command::SetScale(scale));
    if scale == Scale::Diverging {
        let ((low, high), map) = m.style.with_untracked(|s| (s.clim, s.colormap.clone()));
        let most = low.abs().max(high.abs());
        m.send(Command::SetClim(-most, most));
        if !DIVERGING.contains(&map.as_str()) {
            m.send(Command::SetColormap("balance".into()));
        }
    }
}
