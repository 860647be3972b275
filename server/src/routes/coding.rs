//! Content codings of text: what a client takes, and text in it (RFC 9110 section 12.5.3).
//!
//! Chunks and pictures are packed already and never come here. Text is packed while somebody
//! waits, so levels are low: what they save over the network they may not cost in time.

use std::io::{self, Write};

use axum::http::{HeaderMap, HeaderValue, header};

use crate::accept;

/// Below this, compression saves no packet.
pub const MIN_BYTES: usize = 1024;
/// Above this, what is quick comes before what is small.
const LARGE_BYTES: usize = 512 << 10;
/// Above this, packing takes milliseconds that other requests on the same thread would wait for.
const LONG_BYTES: usize = 128 << 10;
const BROTLI_WINDOW_LOG2: i32 = 20;
const ZSTD_LEVEL: i32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Identity,
    Gzip,
    Brotli,
    Zstd,
}

impl Coding {
    /// What a request takes of text of so many bytes: the coding it likes best, and among those it
    /// likes alike the one that packs best, or quickest where there is much to pack.
    pub fn of(request: &HeaderMap, content_type: &str, bytes: usize) -> Self {
        let own = quality(request, "identity");
        let others = quality(request, "*");
        // Who wants none of it as it is (section 12.5.3) gets little texts and pictures packed too.
        let is_refused = own.or(others) == Some(0);
        if !is_refused && (bytes < MIN_BYTES || !is_text(content_type)) {
            return Self::Identity;
        }
        let order = if bytes > LARGE_BYTES {
            [Self::Zstd, Self::Gzip, Self::Brotli]
        } else {
            [Self::Brotli, Self::Zstd, Self::Gzip]
        };
        // Nothing that it takes is left: it is answered as if it had not asked.
        let mut best = (Self::Identity, own.unwrap_or(0));
        for coding in order {
            let named = quality(request, coding.token().unwrap_or_default());
            let q = named.or(others.filter(|_| is_refused)).unwrap_or(0);
            // A client that likes text plain as much as packed did not say so of itself.
            if q > best.1 || (q == best.1 && q > 0 && best.0 == Self::Identity) {
                best = (coding, q);
            }
        }
        best.0
    }

    /// As `Content-Encoding` names it; text as it is has no name.
    pub const fn token(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// A strong tag names the bytes sent, so each coding has its own.
    pub fn tagged(self, tag: &str) -> String {
        match self.token() {
            None => format!("\"{tag}\""),
            Some(token) => format!("\"{tag}-{token}\""),
        }
    }

    pub fn header(self) -> Option<HeaderValue> {
        self.token().map(HeaderValue::from_static)
    }

    /// # Errors
    /// None of memory alone.
    pub fn pack(self, body: &[u8]) -> io::Result<Vec<u8>> {
        let pack = || {
            let mut packer = Packer::new(self, body.len())?;
            let mut out = packer.push(body)?;
            out.extend(packer.finish()?);
            Ok(out)
        };
        let threads = tokio::runtime::Handle::try_current()
            .is_ok_and(|h| h.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread);
        if body.len() > LONG_BYTES && threads { tokio::task::block_in_place(pack) } else { pack() }
    }
}

/// Text that is made piece by piece, packed piece by piece.
pub struct Packer(Inner);

enum Inner {
    Identity,
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Packer {
    /// For about `bytes` of text.
    ///
    /// # Errors
    /// The encoder cannot be made.
    pub fn new(coding: Coding, bytes: usize) -> io::Result<Self> {
        Ok(Self(match coding {
            Coding::Identity => Inner::Identity,
            Coding::Gzip => {
                Inner::Gzip(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()))
            }
            Coding::Brotli => {
                let params = brotli::enc::BrotliEncoderParams {
                    quality: if bytes > LARGE_BYTES { 2 } else { 4 },
                    lgwin: BROTLI_WINDOW_LOG2,
                    size_hint: bytes,
                    ..Default::default()
                };
                Inner::Brotli(Box::new(brotli::CompressorWriter::with_params(Vec::new(), 8192, &params)))
            }
            Coding::Zstd => Inner::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?),
        }))
    }

    /// What is ready to be sent after `text`; it may be nothing yet.
    ///
    /// # Errors
    /// None of memory alone.
    pub fn push(&mut self, text: &[u8]) -> io::Result<Vec<u8>> {
        Ok(match &mut self.0 {
            Inner::Identity => text.to_vec(),
            Inner::Gzip(w) => {
                w.write_all(text)?;
                std::mem::take(w.get_mut())
            }
            Inner::Brotli(w) => {
                w.write_all(text)?;
                std::mem::take(w.get_mut())
            }
            Inner::Zstd(w) => {
                w.write_all(text)?;
                std::mem::take(w.get_mut())
            }
        })
    }

    /// What is left to be sent.
    ///
    /// # Errors
    /// None of memory alone.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        match self.0 {
            Inner::Identity => Ok(Vec::new()),
            Inner::Gzip(w) => w.finish(),
            Inner::Brotli(w) => Ok(w.into_inner()),
            Inner::Zstd(w) => w.finish(),
        }
    }
}

/// True of types whose bodies are text that is worth packing.
fn is_text(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let (kind, name) = essence.split_once('/').unwrap_or((essence, ""));
    let format = name.rsplit('+').next().unwrap_or_default();
    // Events must arrive when they happen.
    (kind == "text" && name != "event-stream")
        || matches!(format, "json" | "xml" | "javascript" | "yaml" | "x-ndjson")
}

/// How much a request likes a coding, in thousandths; `None` where it does not name it: clients
/// that say `*` are known to read none of them, and plain text is right by that too.
pub fn quality(request: &HeaderMap, coding: &str) -> Option<u16> {
    let lists = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    let mut all = lists.flat_map(accept::weighed);
    all.find(|(name, _)| name.eq_ignore_ascii_case(coding)).map(|(_, q)| q)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn asked(list: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, list.parse().unwrap())])
    }

    #[test]
    fn a_refused_coding_is_not_used_and_the_best_liked_is() {
        let of = |list: &str| Coding::of(&asked(list), "application/json", 4096);
        assert_eq!(of("gzip, deflate, br, zstd"), Coding::Brotli);
        assert_eq!(of("gzip, br;q=0.5, zstd;q=0.8"), Coding::Gzip);
        assert_eq!(of("br;q=0, gzip;q=0.001"), Coding::Gzip);
        assert_eq!(of("br; q=0.0, *"), Coding::Identity);
        assert_eq!(of("identity"), Coding::Identity);
        assert_eq!(of("identity;q=1, gzip;q=0.5"), Coding::Identity);
        assert_eq!(of("gzip;q=nonsense"), Coding::Identity);
        assert_eq!(Coding::of(&HeaderMap::new(), "application/json", 4096), Coding::Identity);
    }

    #[test]
    fn who_refuses_things_as_they_are_gets_them_packed_where_it_takes_a_coding() {
        for (list, coding) in [
            ("gzip, identity;q=0", Coding::Gzip),
            ("gzip;q=0.1, *;q=0", Coding::Gzip),
            ("identity;q=0, *;q=0.5", Coding::Brotli),
            ("identity;q=0, br;q=0, *", Coding::Zstd),
            ("identity, *;q=0", Coding::Identity),
            // What it takes is nothing at all.
            ("identity;q=0", Coding::Identity),
            ("*;q=0", Coding::Identity),
            ("identity;q=0, compress", Coding::Identity),
        ] {
            for (text, bytes) in [("application/json", 4096), ("application/json", 10), ("image/png", 4096)] {
                assert_eq!(Coding::of(&asked(list), text, bytes), coding, "{list} {text} {bytes}");
            }
        }
    }

    #[test]
    fn little_text_pictures_and_chunks_go_as_they_are_and_much_text_goes_quickly() {
        let all = asked("gzip, br, zstd");
        assert_eq!(Coding::of(&all, "application/json", MIN_BYTES - 1), Coding::Identity);
        assert_eq!(Coding::of(&all, "application/geo+json", 2 << 20), Coding::Zstd);
        for text in
            ["text/csv; charset=utf-8", "application/vnd.oai.openapi+json;version=3.1", "image/svg+xml"]
        {
            assert_eq!(Coding::of(&all, text, 4096), Coding::Brotli, "{text}");
        }
        for other in
            ["image/png", "application/octet-stream", "application/vnd.apache.parquet", "text/event-stream"]
        {
            assert_eq!(Coding::of(&all, other, 4096), Coding::Identity, "{other}");
        }
    }

    #[test]
    fn what_is_packed_in_pieces_is_unpacked_whole() {
        let text: Vec<u8> = (0..200_000u32).flat_map(|i| i.to_string().into_bytes()).collect();
        for coding in [Coding::Identity, Coding::Gzip, Coding::Brotli, Coding::Zstd] {
            let mut packer = Packer::new(coding, text.len()).unwrap();
            let mut packed = Vec::new();
            for piece in text.chunks(50_000) {
                packed.extend(packer.push(piece).unwrap());
            }
            packed.extend(packer.finish().unwrap());
            assert!(coding == Coding::Identity || packed.len() < text.len() / 2, "{coding:?}");
            let mut plain = Vec::new();
            match coding {
                Coding::Identity => plain = packed,
                Coding::Gzip => {
                    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
                }
                Coding::Brotli => {
                    brotli::Decompressor::new(&packed[..], 4096).read_to_end(&mut plain).unwrap();
                }
                Coding::Zstd => plain = zstd::stream::decode_all(&packed[..]).unwrap(),
            }
            assert!(plain == text, "{coding:?}");
        }
    }
}
