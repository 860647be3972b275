//! One request, and what its failure means.

use super::DROPPED;
use js_sys::ArrayBuffer;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, Request, RequestInit, RequestMode, Response};

#[derive(Debug, Clone, PartialEq)]
pub enum FetchError {
    Aborted,
    /// The server answered, but not with what was asked for; what it says of that, where it
    /// says it as problem details (RFC 9457).
    Status(u16, Option<String>),
    /// No answer that the page may read.
    Unreadable(String),
}

/// Which bytes of an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    All,
    Last(u64),
    /// First byte and length.
    Span(u64, u64),
}

pub struct Fetched {
    pub bytes: ArrayBuffer,
    /// The server sent the whole object, although a part was asked for.
    pub whole: bool,
}

pub fn global_fetch(request: &Request) -> Result<js_sys::Promise, JsValue> {
    let name = if request.url().starts_with(DROPPED) { "graticuleFiles" } else { "fetch" };
    let fetch = js_sys::Reflect::get(&js_sys::global(), &name.into())?;
    fetch.dyn_into::<js_sys::Function>()?.call1(&JsValue::UNDEFINED, request)?.dyn_into()
}

/// # Errors
/// As [`FetchError`] says.
pub async fn get(url: &str, range: Range, signal: Option<&AbortSignal>) -> Result<Fetched, FetchError> {
    let response = send(url, range, signal).await.map_err(unreadable)?;
    let status = response.status();
    if !(200..300).contains(&status) {
        return Err(FetchError::Status(status, detail(&response).await));
    }
    let body = response.array_buffer().map_err(unreadable)?;
    let bytes: ArrayBuffer = JsFuture::from(body).await.map_err(unreadable)?.unchecked_into();
    Ok(Fetched { whole: range != Range::All && status != 206, bytes })
}

/// Of an answer that is no data; at most so many characters of it are shown.
const DETAIL: usize = 400;

async fn detail(response: &Response) -> Option<String> {
    let kind = response.headers().get("Content-Type").ok()??;
    if !kind.starts_with("application/problem+json") {
        return None;
    }
    let problem = JsFuture::from(response.json().ok()?).await.ok()?;
    let detail = js_sys::Reflect::get(&problem, &"detail".into()).ok()?.as_string()?;
    Some(detail.chars().take(DETAIL).collect())
}

async fn send(url: &str, range: Range, signal: Option<&AbortSignal>) -> Result<Response, JsValue> {
    let init = RequestInit::new();
    init.set_mode(RequestMode::Cors);
    init.set_signal(signal);
    let request = Request::new_with_str_and_init(url, &init)?;
    match range {
        Range::All => {}
        Range::Last(n) => request.headers().set("Range", &format!("bytes=-{n}"))?,
        Range::Span(at, n) => {
            request.headers().set("Range", &format!("bytes={at}-{}", at + n.saturating_sub(1)))?;
        }
    }
    JsFuture::from(global_fetch(&request)?).await?.dyn_into()
}

fn unreadable(e: JsValue) -> FetchError {
    let text = |key: &str| {
        js_sys::Reflect::get(&e, &key.into()).ok().and_then(|v| v.as_string()).unwrap_or_default()
    };
    if text("name") == "AbortError" { FetchError::Aborted } else { FetchError::Unreadable(text("message")) }
}

/// After a request without a readable answer: does the server answer at all?
/// If so, it is its CORS headers that are missing.
pub async fn answers_without_cors(url: &str) -> bool {
    let init = RequestInit::new();
    init.set_mode(RequestMode::NoCors);
    let Ok(request) = Request::new_with_str_and_init(url, &init) else { return false };
    match global_fetch(&request) {
        Ok(promise) => JsFuture::from(promise).await.is_ok(),
        Err(_) => false,
    }
}
