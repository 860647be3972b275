//! The viewer.
//!
//! The server hands out stored bytes; everything a person sees is made here:
//! [`view`] decides what is wanted, `chunks` fetches it, a worker decodes it,
//! [`render`] draws it. [`engine`] ties them together and is all that the user
//! interface and the embedded element know.
//!
//! **Invariant:** `view` and `render` import neither leptos nor `web_sys`, so
//! that they are tested natively. Restyling starts at the shader: it makes no
//! request.

#[cfg(target_arch = "wasm32")]
mod breath;
pub mod chunks;
#[cfg(target_arch = "wasm32")]
pub mod embed;
pub mod engine;
pub mod render;
pub mod ui;
pub mod view;
