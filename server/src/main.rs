#![allow(dead_code, unused_imports, reason = "the commands that use the store are being written")]

mod codec;
mod store;

fn main() {}
