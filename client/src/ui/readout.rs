//! The value under the pointer, and the data cursor that keys move and ears hear.

use leptos::prelude::*;

use super::model::Model;
use super::state::readout_words;
use super::strip::now_words;
use crate::engine::api::Command;

pub fn readout(m: Model) -> impl IntoView {
    // The data cursor's place on the screen; the camera may have moved.
    let cursor_px = Memo::new(move |_| {
        m.moved.track();
        m.cursor.get().and_then(|(lon, lat)| m.state(|s| s.camera().project(lon, lat)))
    });
    let shown = move || {
        m.unit.track();
        let r = m.readout.get()?;
        let at = m.pointer.get().or_else(|| cursor_px.get())?;
        let (value, place, level) = m.state(|s| readout_words(s, &r));
        let none = value.is_none();
        let value = value.unwrap_or_else(|| "no data".to_owned());
        let (width, height) = m.state(|s| s.size_px);
        // On the side where there is room.
        let (dx, dy) =
            (if at.0 > width - 230.0 { -1.0 } else { 1.0 }, if at.1 > height - 180.0 { -1.0 } else { 1.0 });
        let style = format!(
            "transform:translate({:.0}px,{:.0}px) translate({},{})",
            at.0 + 14.0 * dx,
            at.1 + 14.0 * dy,
            if dx < 0.0 { "-100%" } else { "0" },
            if dy < 0.0 { "-100%" } else { "0" }
        );
        Some(view! {
            <div class="g-readout g-plate" style=style data-value=r.value.map(|v| v.to_string()) data-raw=r.raw.map(|v| v.to_string()) data-level=r.level.to_string()>
                <strong class="g-num" class:g-none=none>{value}</strong>
                <span class="g-num">{place}</span>
                <span class="g-num">{move || now_words(m)}</span>
                <small>{level}</small>
            </div>
        })
    };
    let crosshair = move || {
        cursor_px.get().map(|(x, y)| {
            view! { <div class="g-crosshair" style=format!("transform:translate({x:.1}px,{y:.1}px)")></div> }
        })
    };
    // Spoken only for the data cursor: a pointer would never stop talking.
    let spoken = Memo::new(move |_| {
        m.unit.track();
        let r = m.readout.get()?;
        m.cursor.get()?;
        if m.pointer.get().is_some() {
            return None;
        }
        let (value, place, _) = m.state(|s| readout_words(s, &r));
        Some(format!("{}, {place}, {}", value.unwrap_or_else(|| "no data".to_owned()), now_words(m)))
    });
    view! {
        {crosshair}
        {shown}
        <div class="g-spoken" role="status" aria-live="polite">{move || spoken.get()}</div>
    }
}

/// Puts the data cursor at a place and reads there.
pub fn put_cursor(m: Model, longitude_deg: f64, latitude_deg: f64) {
    let latitude_deg = latitude_deg.clamp(-90.0, 90.0);
    let longitude_deg = super::numbers::wrap(longitude_deg);
    m.cursor.set(Some((longitude_deg, latitude_deg)));
    m.send(Command::Probe { longitude_deg, latitude_deg });
}

/// Moves the data cursor by pixels; the first key brings it to the middle.
pub fn move_cursor(m: Model, dx: f64, dy: f64) {
    m.send(Command::Pointer(None));
    let place = m.state(|s| {
        let camera = s.camera();
        let now = m.cursor.get_untracked().and_then(|(lon, lat)| camera.project(lon, lat));
        let middle = (camera.width_px / 2.0, camera.height_px / 2.0);
        let (x, y) = now.map_or(middle, |(x, y)| (x + dx, y + dy));
        camera.unproject(x.clamp(0.0, camera.width_px), y.clamp(0.0, camera.height_px))
    });
    if let Some((lon, lat)) = place {
        put_cursor(m, lon, lat);
    }
}

/// The step has changed: the cursor's value is another.
pub fn follow(m: Model) {
    Effect::new(move |_| {
        m.frame.track();
        let quiet = m.pointer.get_untracked().is_none() && !m.playing.get_untracked();
        if let (Some((longitude_deg, latitude_deg)), true) = (m.cursor.get_untracked(), quiet) {
            m.send(Command::Probe { longitude_deg, latitude_deg });
        }
    });
}
