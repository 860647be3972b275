//! Playback: the next frame when the last is whole and its time is up; what
//! comes next is asked for ahead.

use std::time::Duration;

use leptos::prelude::*;

use super::model::Model;
use crate::engine::api::Command;

/// Frames asked for ahead of need.
const AHEAD: u64 = 8;
/// A frame that does not come is passed over after this long.
const PATIENCE_MS: f64 = 8_000.0;

pub fn now_ms() -> f64 {
    web_sys::window().and_then(|w| w.performance()).map_or(0.0, |p| p.now())
}

/// Runs while `m.playing`; one chain of timers at most.
pub fn run(m: Model) {
    let turn = StoredValue::new(0u32);
    Effect::new(move |_| {
        turn.update_value(|t| *t = t.wrapping_add(1));
        if m.playing.get() {
            tick(m, turn, turn.get_value(), now_ms(), now_ms());
        } else {
            m.send(Command::Prefetch(Vec::new()));
        }
    });
}

fn tick(m: Model, turn: StoredValue<u32>, mine: u32, shown_ms: f64, asked_ms: f64) {
    if turn.try_get_value() != Some(mine) || !m.playing.get_untracked() {
        return;
    }
    let index = m.index.get_untracked();
    let whole = m.frame.get_untracked() == Some((index, true));
    let now = now_ms();
    let due = now - shown_ms >= 1000.0 / m.speed.get_untracked();
    let (mut shown_ms, mut asked_ms) = (shown_ms, asked_ms);
    if due && (whole || now - asked_ms > PATIENCE_MS) {
        let (from, to) = m.looped.get_untracked();
        let after = |i: u64| if i >= to || i < from { from } else { i + 1 };
        let next = after(index);
        m.go(next);
        let mut ahead = Vec::new();
        let mut i = next;
        while ahead.len() < AHEAD.min(to.saturating_sub(from)) as usize {
            i = after(i);
            ahead.push(i);
        }
        m.send(Command::Prefetch(ahead));
        (shown_ms, asked_ms) = (now, now);
    }
    set_timeout(
        move || tick(m, turn, mine, shown_ms, asked_ms),
        Duration::from_millis(if due { 8 } else { 16 }),
    );
}
