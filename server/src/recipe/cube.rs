//! `[cube]`: which variables, how they are cut and packed, and what is added.

use std::collections::BTreeMap;

use anyhow::bail;
use graticule_formats::AttrValue;
use graticule_shared::dtype::DataType;
use toml::Value;

use super::codec::Codec;
use super::section::{Section, number};
use crate::ingest::duplicates::Duplicates;
use crate::keys;

const KEYS: [&str; 9] =
    ["concat", "variables", "chunks", "shards", "codec", "pyramid", "series", "duplicates", "attributes"];

/// Coarser levels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pyramid {
    /// Means of numbers, the central cell of categories.
    #[default]
    Auto,
    None,
    Average,
    Nearest,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cube {
    /// The dimension to grow along; time where none is named.
    pub concat: Option<String>,
    /// Variables to take, and what they need; all where none is named.
    pub variables: Vec<String>,
    /// Cells of an inner chunk, by dimension.
    pub chunks: BTreeMap<String, u64>,
    /// Cells of a shard, by dimension.
    pub shards: BTreeMap<String, u64>,
    pub codec: Codec,
    pub pyramid: Pyramid,
    /// A second layout, long in time.
    pub series: bool,
    pub duplicates: Duplicates,
    /// Attributes of the whole that take the place of the source's.
    pub attributes: Vec<(String, AttrValue)>,
    /// By variable.
    pub variable_attributes: BTreeMap<String, Vec<(String, AttrValue)>>,
}

impl Cube {
    pub fn read(s: &Section<'_>) -> anyhow::Result<Self> {
        let mut out = Self {
            concat: s.text("concat")?,
            variables: s.texts("variables")?,
            chunks: lengths(s, "chunks")?,
            shards: lengths(s, "shards")?,
            series: s.flag("series")?.unwrap_or(false),
            ..Self::default()
        };
        if let Some(text) = s.text("codec")? {
            out.codec = Codec::parse(&text).map_err(|e| anyhow::anyhow!("{}: {e}", s.path("codec")))?;
        }
        out.pyramid = match s.get("pyramid") {
            None | Some(Value::Boolean(true)) => Pyramid::Auto,
            Some(Value::Boolean(false)) => Pyramid::None,
            Some(Value::String(t)) if t == "nearest" => Pyramid::Nearest,
            Some(Value::String(t)) if t == "average" || t == "mean" => Pyramid::Average,
            Some(_) => return Err(s.wrong("pyramid", "true, false, \"average\" or \"nearest\"")),
        };
        if let Some(text) = s.text("duplicates")? {
            let said = |_| s.wrong("duplicates", "\"replace\", \"skip\", \"version\" or \"error\"");
            out.duplicates = text.parse().map_err(said)?;
        }
        for (dim, shard) in &out.shards {
            if let Some(chunk) = out.chunks.get(dim)
                && !shard.is_multiple_of(*chunk)
            {
                bail!(
                    "{}.{dim}: {shard} is no multiple of the chunk's {chunk}; expected such as {}",
                    s.path("shards"),
                    shard.div_ceil(*chunk) * chunk
                );
            }
        }
        if let Some(a) = s.named("attributes")? {
            for (key, value) in a.entries() {
                if value.is_table() {
                    let Some(of) = a.named(key)? else { continue };
                    let list = of.entries().map(|(k, v)| Ok((k.clone(), attribute(&of, k, v)?)));
                    out.variable_attributes.insert(key.clone(), list.collect::<anyhow::Result<_>>()?);
                } else {
                    out.attributes.push((key.clone(), attribute(&a, key, value)?));
                }
            }
        }
        Ok(out)
    }

    pub const fn keys() -> &'static [&'static str] {
        &KEYS
    }

    /// # Errors
    /// A name that none of `known` has; it says which is nearest.
    pub fn check_names<'a>(
        names: impl IntoIterator<Item = &'a String>,
        what: &str,
        known: &[&str],
    ) -> Result<(), String> {
        for name in names {
            if known.contains(&name.as_str()) {
                continue;
            }
            return Err(match keys::nearest(name, known.iter().copied()) {
                Some(k) => format!("{what}: there is no {name:?}; did you mean {k:?}?"),
                None => format!("{what}: there is no {name:?}; there are {}", known.join(", ")),
            });
        }
        Ok(())
    }
}

fn lengths(s: &Section<'_>, key: &str) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut out = BTreeMap::new();
    if let Some(t) = s.named(key)? {
        for (dim, _) in t.entries() {
            out.extend(t.whole(dim, 1, 1 << 24)?.map(|n| (dim.clone(), n)));
        }
    }
    Ok(out)
}

fn attribute(s: &Section<'_>, key: &str, v: &Value) -> anyhow::Result<AttrValue> {
    let floats = |v: Vec<f64>| AttrValue::Floats(DataType::Float64, v);
    let ints = |v: Vec<i64>| AttrValue::Ints(DataType::Int64, v);
    let read = match v {
        Value::String(t) => Some(AttrValue::Text(t.clone())),
        Value::Integer(i) => Some(ints(vec![*i])),
        Value::Float(f) => Some(floats(vec![*f])),
        Value::Array(list) if !list.is_empty() => {
            let whole: Option<Vec<i64>> = list.iter().map(Value::as_integer).collect();
            let texts: Option<Vec<String>> = list.iter().map(|v| v.as_str().map(str::to_owned)).collect();
            let numbers: Option<Vec<f64>> = list.iter().map(number).collect();
            whole.map(ints).or(texts.map(AttrValue::Texts)).or(numbers.map(floats))
        }
        _ => None,
    };
    read.ok_or_else(|| s.wrong(key, "a text, a number, or a list of one of them"))
}
