//! Where the eye is and what it therefore needs.
//!
//! Pure: numbers in, numbers out. What is visible is decided from the same
//! tables of cells that the shader reads, so that a page is asked for exactly if
//! a pixel shows it.

pub mod camera;
pub mod cap;
pub mod ground;
pub mod levels;
pub mod mesh;
pub mod overview;
pub mod plan;
pub mod smooth;
