//! What an answer costs, before it is made.

use graticule_shared::cube::Role;
use serde_json::{Value, json};

use super::coverage::{Labels, Selected};
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

/// The refusal of too much, with intervals of time that can each be answered where there are
/// steps enough to split, levels where not.
pub fn too_much(cost: &Cost, most_values: u64, dims: &[Selected]) -> Problem {
    let parts = cost.parts(most_values) as usize;
    let longest = dims
        .iter()
        .filter(|d| matches!(d.role, Role::T | Role::Z) && d.indices.len() >= parts.max(2))
        .max_by_key(|d| (d.role == Role::T, d.indices.len()));
    let says = |n: u64, what: &str, most: u64| format!("{n} {what}, of at most {most}");
    let why = [
        (cost.values > most_values).then(|| says(cost.values, "values in the answer", most_values)),
        (cost.bytes > MAX_BYTES).then(|| says(cost.bytes, "bytes of decoded chunks", MAX_BYTES)),
        (cost.chunks > super::gather::MAX_BLOCKS)
            .then(|| says(cost.chunks, "chunks to read", super::gather::MAX_BLOCKS)),
    ];
    let why = why.into_iter().flatten().collect::<Vec<_>>().join("; ");
    let Some(dim) = longest else {
        return Problem::new(
            Kind::TooLarge,
            format!("{why}: ask for fewer parameter-name or a smaller area, in {parts} parts or more"),
        )
        .with("estimate", cost.json());
    };
    let per = dim.indices.len() / parts.max(1);
    let ends: Vec<(usize, usize)> = (0..dim.indices.len())
        .step_by(per.max(1))
        .map(|a| (a, (a + per.max(1)).min(dim.indices.len()) - 1))
        .take(1000)
        .collect();
    let (name, split): (&str, Vec<String>) = match &dim.labels {
        Labels::Times { values, .. } => {
            let at = |i: usize| values.get(i).map_or("..", String::as_str);
            ("datetime", ends.iter().map(|(a, b)| format!("{}/{}", at(*a), at(*b))).collect())
        }
        Labels::Numbers(values) => {
            let at = |i: usize| values.get(i).copied().unwrap_or_default();
            ("z", ends.iter().map(|(a, b)| format!("{}/{}", at(*a), at(*b))).collect())
        }
    };
    let detail = format!(
        "{why}: ask in {} parts, such as {name}={}; \"split\" lists them",
        split.len(),
        split.first().map_or("", String::as_str)
    );
    Problem::new(Kind::TooLarge, detail)
        .with("parameter", name)
        .with("split", split)
        .with("estimate", cost.json())
}
