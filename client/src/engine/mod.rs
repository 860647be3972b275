//! One map: a store, a view, a picture. Commands in, signals out.
//!
//! Everything happens on one thread: a command changes what is wanted, what
//! arrives changes what can be drawn, and one animation frame does both. Signals
//! leave only when nothing is borrowed, so that whoever hears one may send a
//! command at once.

pub mod api;
#[cfg(target_arch = "wasm32")]
mod bare;
#[cfg(target_arch = "wasm32")]
mod commands;
#[cfg(target_arch = "wasm32")]
mod device;
#[cfg(target_arch = "wasm32")]
mod frame;
#[cfg(target_arch = "wasm32")]
mod lost;
#[cfg(target_arch = "wasm32")]
mod open;
#[cfg(target_arch = "wasm32")]
mod range;
#[cfg(target_arch = "wasm32")]
mod read;
#[cfg(target_arch = "wasm32")]
mod run;
#[cfg(target_arch = "wasm32")]
mod shape;
#[cfg(target_arch = "wasm32")]
mod state;
#[cfg(target_arch = "wasm32")]
mod steps;
#[cfg(target_arch = "wasm32")]
mod survey;
#[cfg(target_arch = "wasm32")]
mod terrain;
pub mod troubles;

#[cfg(target_arch = "wasm32")]
pub use run::{Engine, EngineError, now_ms};
