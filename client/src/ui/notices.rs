//! What went wrong, in its place and in words; what went well, briefly.

use std::time::Duration;

use leptos::prelude::*;

use super::icons::{CLOSE, icon};
use super::model::Model;
use super::rail::copy;

pub fn notices(m: Model) -> impl IntoView {
    view! {
        {move || m.trouble.get().map(|t| {
            let details = format!("{}\n{}\n{}\n{}", t.what, t.why, t.next, t.details);
            view! {
                <section class="g-trouble g-plate" role="alert">
                    <h2>{t.what}</h2>
                    <p>{super::numbers::sentence(&t.why)}</p>
                    <p class="g-next">{t.next}</p>
                    <div class="g-row">
                        <button class="g-text" on:click=move |_| copy(m, details.clone(), "Details copied")>"Copy details"</button>
                        <button class="g-icon g-shut" aria-label="Dismiss" on:click=move |_| m.trouble.set(None)>{icon(CLOSE)}</button>
                    </div>
                </section>
            }
        })}
        {toast(m)}
    }
}

fn toast(m: Model) -> impl IntoView {
    Effect::new(move |_| {
        if let Some(t) = m.toast.get() {
            let gone = move || {
                if m.toast.with_untracked(|now| now.as_ref().is_some_and(|n| n.serial == t.serial)) {
                    m.toast.set(None);
                }
            };
            set_timeout(gone, Duration::from_millis(3500));
        }
    });
    view! { <div class="g-toasts" role="status" aria-live="polite">{move || m.toast.get().map(|t| view! { <p class="g-toast g-plate">{t.words}</p> })}</div> }
}
