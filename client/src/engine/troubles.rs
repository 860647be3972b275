//! What failed, why, and what to do next, in words that help.

use crate::engine::api::Trouble;

pub fn trouble(what: &str, why: &str, next: &str, details: &str) -> Trouble {
    Trouble { what: what.into(), why: why.into(), next: next.into(), details: details.into() }
}

/// `Status` of a request that brought no data, and what the server says of it.
pub fn status(what: &str, code: u16, said: Option<&str>, url: &str) -> Trouble {
    let (why, next) = match code {
        401 | 403 => (
            "the server refuses access",
            "A public S3 bucket answers 403 for missing objects too, unless listing is allowed. Check the address and the permissions.",
        ),
        404 => (
            "the server has no such object",
            "Check the address: it is the folder that holds zarr.json or .zmetadata.",
        ),
        429 => ("the server asks for fewer requests", "Wait a little and try again."),
        502 => (
            "a file that this cube refers to has vanished or changed",
            "The collection's page under /api/collections names the file; whoever runs the server can bring it back.",
        ),
        500.. => ("the server failed", "Try again; if it stays, tell whoever runs the server."),
        _ => ("the server's answer is not data", "Check the address."),
    };
    let why = said.map_or_else(|| format!("{why} (HTTP {code})"), |said| format!("{why}. {said}"));
    trouble(what, &why, next, &format!("GET {url}: {code}"))
}

pub fn cors(what: &str, url: &str) -> Trouble {
    trouble(
        what,
        "the server does not let web pages of other origins read it (CORS)",
        "Ask for the header Access-Control-Allow-Origin, and Range among Access-Control-Allow-Headers; or serve the data through Graticule.",
        &format!("GET {url}: blocked, no Access-Control-Allow-Origin"),
    )
}

pub fn network(what: &str, url: &str, why: &str) -> Trouble {
    trouble(
        what,
        "the server cannot be reached",
        "Check the address and the connection; a page served over https cannot read http.",
        &format!("GET {url}: {why}"),
    )
}

/// Of a block that could not be had.
#[cfg(target_arch = "wasm32")]
pub fn failure(f: &crate::chunks::loader::Failure) -> Trouble {
    let what = format!("Part of {} could not be loaded", f.array);
    use crate::chunks::loader::FailureKind;
    match &f.kind {
        FailureKind::Status(code, said) => status(&what, *code, said.as_deref(), &f.url),
        FailureKind::Cors => cors(&what, &f.url),
        FailureKind::Network(why) => network(&what, &f.url, why),
        FailureKind::Decode(why) => trouble(
            &what,
            &format!("the chunk cannot be decoded: {why}"),
            "The stored object may be damaged, or be written with an option that the viewer does not know.",
            &format!("{}: {why}", f.url),
        ),
        FailureKind::ShardIndex(why) => trouble(
            &what,
            &format!("the shard's index cannot be read: {why}"),
            "The stored object may be damaged, or the server answers Range requests wrongly.",
            &format!("{}: {why}", f.url),
        ),
    }
}
