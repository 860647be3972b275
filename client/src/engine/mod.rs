//! One map: a store, a view, a picture. Commands in, signals out.

pub mod api;
