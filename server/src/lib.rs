//! The server of Graticule: ingest, catalog, HTTP. The binary is a thin shell around [`cli::main`].

pub mod acquire;
pub mod background;
mod blosc;
pub mod catalog;
pub mod check;
pub mod cli;
pub mod codec;
pub mod config;
mod grouping;
pub mod ingest;
pub mod jobs;
pub mod keys;
pub mod memory;
pub mod opened;
pub mod position;
pub mod preview;
pub mod problem;
pub mod recipe;
pub mod reference;
pub mod retention;
pub mod routes;
mod rules;
pub mod search;
pub mod serve;
pub mod store;
pub mod tables;
pub mod web;
