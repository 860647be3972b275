//! Drawing with wgpu: WebGPU or WebGL2, the same shaders.
//!
//! [`gpu`] is the device and its pipelines, shared by all maps of a page;
//! [`field`] holds one variable's pages in a texture array; [`scene`] is one
//! canvas. Nothing here knows where numbers come from.

pub mod field;
pub mod gpu;
pub mod layers;
pub mod patches;
pub mod scene;
pub mod warm;
pub mod warp;
pub mod window;
