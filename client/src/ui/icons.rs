//! Drawn in one weight, 20 units square, in the colour of the text around them.

use leptos::prelude::*;

pub fn icon(path: &'static str) -> impl IntoView {
    view! {
        <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" fill="none" stroke="currentColor"
            stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"><path d=path/></svg>
    }
}

pub const MENU: &str = "M3.5 6h13M3.5 10h13M3.5 14h8";
pub const PLAY: &str = "M6.5 4.2v11.6l9-5.8z";
pub const PAUSE: &str = "M7 4.5v11M13 4.5v11";
pub const BACK: &str = "M12.5 5l-5 5 5 5";
pub const FORWARD: &str = "M7.5 5l5 5-5 5";
pub const GLOBE: &str = "M10 3a7 7 0 1 0 0 14a7 7 0 1 0 0-14M3 10h14M10 3c2.4 2 3.4 4.3 3.4 7s-1 5-3.4 7M10 3c-2.4 2-3.4 4.3-3.4 7s1 5 3.4 7";
pub const FLAT: &str = "M3 5h14v10h-14zM3 10h14M7.7 5v10M12.3 5v10";
pub const LAYERS: &str = "M10 3.5l7 3.5-7 3.5-7-3.5zM3.5 10.5l6.5 3.3 6.5-3.3M3.5 13.8l6.5 3.2 6.5-3.2";
pub const THEME: &str = "M10 3.5a6.5 6.5 0 1 0 0 13zM10 3.5a6.5 6.5 0 0 1 0 13";
pub const SHARE: &str = "M10 12.5v-9M6.8 6.5l3.2-3.2 3.2 3.2M5 9.5h-1v7h12v-7h-1";
pub const FULL: &str = "M4 7.5v-3.5h3.5M12.5 4h3.5v3.5M16 12.5v3.5h-3.5M7.5 16h-3.5v-3.5";
pub const HELP: &str =
    "M10 3a7 7 0 1 0 0 14a7 7 0 1 0 0-14M8 8.2c.2-2.6 4.2-2.4 4.1 0c-.1 1.5-2.1 1.7-2.1 3.3M10 14v.1";
pub const CLOSE: &str = "M5.5 5.5l9 9M14.5 5.5l-9 9";
pub const COPY: &str = "M7.5 7.5h9v9h-9zM5 12.5h-1.5v-9h9v1.5";
