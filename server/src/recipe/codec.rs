//! How chunks are packed: `zstd:3+shuffle`, `blosc:lz4:5+bitshuffle`, `gzip:6`, `none`.
//!
//! Only what every Zarr v3 reader has and our own browser decoder reads. A shuffle
//! is part of Blosc there, so `zstd:3+shuffle` is Zstandard inside of Blosc.

use graticule_shared::dtype::DataType;
use serde_json::{Value, json};

use crate::keys;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Codec {
    Blosc { inner: &'static str, level: u64, shuffle: Shuffle },
    Zstd { level: u64 },
    Gzip { level: u64 },
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shuffle {
    None,
    Bytes,
    Bits,
}

/// Level of Zstandard inside of Blosc: with blocks of a whole chunk it packs within some 4 % of what
/// level 5 does, in less than half of the time (docs/decisions/008-blosc-blocks.md).
const USUAL: u64 = 3;
/// Longest block of Blosc: its decoder holds two of them.
const MOST_BLOCK_BYTES: u64 = 1 << 20;

impl Default for Codec {
    fn default() -> Self {
        Self::Blosc { inner: "zstd", level: USUAL, shuffle: Shuffle::Bytes }
    }
}

const NAMES: [&str; 8] = ["zstd", "blosc", "gzip", "none", "lz4", "lz4hc", "zlib", "blosclz"];
const INNER: [&str; 5] = ["zstd", "lz4", "lz4hc", "zlib", "blosclz"];
const SHUFFLES: [&str; 2] = ["shuffle", "bitshuffle"];

impl Codec {
    /// # Errors
    /// A codec, a level or a filter that is not known; what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (main, filter) = text.split_once('+').map_or((text, None), |(m, f)| (m, Some(f)));
        let shuffle = match filter {
            None => Shuffle::None,
            Some("shuffle") => Shuffle::Bytes,
            Some("bitshuffle") => Shuffle::Bits,
            Some(other) => return Err(unknown(text, other, &SHUFFLES)),
        };
        let mut parts = main.split(':');
        let mut name = parts.next().unwrap_or_default();
        if !NAMES.contains(&name) {
            return Err(unknown(text, name, &NAMES));
        }
        let blosc = name == "blosc";
        let mut number = parts.next();
        if blosc {
            name = "zstd";
            if let Some(inner) = number.filter(|n| n.parse::<u64>().is_err()) {
                name = INNER.into_iter().find(|i| *i == inner).ok_or_else(|| unknown(text, inner, &INNER))?;
                number = parts.next();
            }
        }
        if let Some(more) = parts.next() {
            return Err(format!("{text:?}: {more:?} is one part too many"));
        }
        let inside = INNER.into_iter().find(|i| *i == name);
        let in_blosc =
            blosc || shuffle != Shuffle::None || matches!(name, "lz4" | "lz4hc" | "zlib" | "blosclz");
        let level = |from: u64, to: u64, usual: u64| match number {
            None => Ok(usual),
            Some(n) => n.parse().ok().filter(|l| (from..=to).contains(l)).ok_or_else(|| {
                format!(
                    "{text:?}: level {n:?}; expected {from} to {to}{}",
                    if in_blosc { " inside of Blosc" } else { "" }
                )
            }),
        };
        match (name, inside) {
            ("gzip" | "none", _) if shuffle != Shuffle::None => {
                Err(format!("{text:?}: {name} goes without a shuffle; zstd, lz4 and zlib go with one"))
            }
            ("none", _) => {
                number.map_or(Ok(Self::None), |n| Err(format!("{text:?}: none has no level {n:?}")))
            }
            ("gzip", _) => Ok(Self::Gzip { level: level(1, 9, 6)? }),
            (_, Some(inner)) if in_blosc => {
                // Blosc without a filter is seldom meant: its own default is to shuffle.
                let shuffle = if blosc && filter.is_none() { Shuffle::Bytes } else { shuffle };
                let usual = if inner == "zstd" { USUAL } else { 5 };
                Ok(Self::Blosc { inner, level: level(1, 9, usual)?, shuffle })
            }
            _ => Ok(Self::Zstd { level: level(1, 22, 5)? }),
        }
    }

    /// The compressors of a Zarr v3 codec chain, after its `bytes` codec; for chunks of a shape that
    /// will stay, where it is known.
    pub fn to_json(&self, dtype: DataType, chunk: Option<&[u64]>) -> Vec<Value> {
        match self {
            Self::None => Vec::new(),
            Self::Zstd { level } => {
                vec![json!({"name": "zstd", "configuration": {"level": level, "checksum": false}})]
            }
            Self::Gzip { level } => vec![json!({"name": "gzip", "configuration": {"level": level}})],
            Self::Blosc { inner, level, shuffle } => {
                let shuffle = match shuffle {
                    Shuffle::Bytes if dtype.size() > 1 => "shuffle",
                    Shuffle::Bits => "bitshuffle",
                    _ => "noshuffle",
                };
                // Left to itself (0), c-blosc cuts chunks into blocks of 64 KiB or so, and packs each alone.
                let bytes =
                    |chunk: &[u64]| chunk.iter().fold(dtype.size() as u64, |b, n| b.saturating_mul(*n));
                let bytes = chunk.map_or(0, bytes);
                vec![json!({"name": "blosc", "configuration": {"cname": inner, "clevel": level,
                    "shuffle": shuffle, "typesize": dtype.size(),
                    "blocksize": bytes.min(MOST_BLOCK_BYTES)}})]
            }
        }
    }
}

fn unknown(text: &str, part: &str, known: &[&str]) -> String {
    match keys::nearest(part, known.iter().copied()) {
        Some(k) => format!("{text:?}: {part:?} is not known; did you mean {k:?}?"),
        None => format!("{text:?}: {part:?} is not known; known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_read_as_the_contract_spells_them() {
        assert_eq!(Codec::parse("zstd:3+shuffle"), Ok(Codec::default()));
        assert_eq!(Codec::parse("zstd+shuffle"), Ok(Codec::default()));
        assert_eq!(Codec::parse("blosc"), Ok(Codec::default()));
        assert_eq!(Codec::parse("zstd:19"), Ok(Codec::Zstd { level: 19 }));
        assert_eq!(Codec::parse("gzip"), Ok(Codec::Gzip { level: 6 }));
        assert_eq!(Codec::parse("none"), Ok(Codec::None));
        assert_eq!(
            Codec::parse("blosc:lz4:9+bitshuffle"),
            Ok(Codec::Blosc { inner: "lz4", level: 9, shuffle: Shuffle::Bits })
        );
        assert_eq!(Codec::parse("lz4"), Ok(Codec::Blosc { inner: "lz4", level: 5, shuffle: Shuffle::None }));
    }

    #[test]
    fn what_no_reader_would_know_is_refused_with_the_nearest() {
        for (bad, why) in [
            ("zst:5", "did you mean \"zstd\""),
            ("zstd:12+shuffle", "expected 1 to 9 inside of Blosc"),
            ("zstd:30", "expected 1 to 22"),
            ("gzip:5+shuffle", "goes without a shuffle"),
            ("zstd:5+shufle", "did you mean \"shuffle\""),
            ("none:3", "no level"),
            ("blosc:zstd:5:1", "one part too many"),
        ] {
            let e = Codec::parse(bad).unwrap_err();
            assert!(e.contains(why), "{bad}: {e}");
        }
    }
}
