//! What an answer costs, before it is made.

use serde_json::{Value, json};

use super::split::{Most, Split};
use crate::problem::{Kind, Problem};

/// Values in one answer; more are asked for in parts.
pub const MAX_VALUES: u64 = 4_000_000;
/// Of chunks, decoded; more are asked for in parts.
pub const MAX_BYTES: u64 = 8 << 30;
/// Bytes that one core decodes in a second, as measured on a small machine.
const BYTES_PER_SECOND: f64 = 5e8;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    pub chunks: u64,
    /// Of these chunks, decoded.
    pub bytes: u64,
    /// Values in the answer.
    pub values: u64,
}

impl Cost {
    pub fn add(&mut self, other: Self) {
        self.chunks = self.chunks.saturating_add(other.chunks);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.values = self.values.saturating_add(other.values);
    }

    /// A guess from what is decoded and what is written.
    pub fn seconds(&self) -> f64 {
        let seconds = self.bytes as f64 / BYTES_PER_SECOND + self.values as f64 * 1e-7 + 0.001;
        (seconds * 1e4).round() / 1e4
    }

    pub fn is_too_much(&self, most_values: u64) -> bool {
        self.values > most_values || self.bytes > MAX_BYTES || self.chunks > super::gather::MAX_BLOCKS
    }

    /// Into how many parts it is to be split, so that each can be answered.
    pub fn parts(&self, most_values: u64) -> u64 {
        let of = |n: u64, most: u64| n.div_ceil(most.max(1));
        of(self.values, most_values)
            .max(of(self.bytes, MAX_BYTES))
            .max(of(self.chunks, super::gather::MAX_BLOCKS))
    }

    pub fn json(&self) -> Value {
        json!({"values": self.values, "chunks": self.chunks, "bytes": self.bytes, "seconds": self.seconds()})
    }

    /// As a dictionary of RFC 9651, for a header.
    pub fn header(&self) -> String {
        let Self { values, chunks, bytes } = self;
        format!("values={values}, chunks={chunks}, bytes={bytes}, seconds={:.3}", self.seconds())
    }
}

/// The refusal of too much, with parts that can each be answered where some are known.
pub fn too_much(cost: &Cost, steps: u64, most: &Most, split: Option<Split>) -> Problem {
    let says = |n: u64, what: &str, most: u64| (n > most).then(|| format!("{n} {what}, of at most {most}"));
    let why = [
        says(cost.values, "values in the answer", most.values),
        says(cost.bytes, "bytes of decoded chunks", MAX_BYTES),
        says(cost.chunks, "chunks to read", super::gather::MAX_BLOCKS),
        says(steps, "steps of all parameters together", most.steps),
    ];
    let why = why.into_iter().flatten().collect::<Vec<_>>().join("; ");
    let problem = |detail: String| Problem::new(Kind::TooLarge, detail).with("estimate", cost.json());
    match split {
        None => problem(format!("{why}: ask for less in {} parts or more", cost.parts(most.values))),
        Some(split) => split.refusal(problem(why)),
    }
}
