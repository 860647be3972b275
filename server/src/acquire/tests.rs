//! Downloads from a real server that behaves badly.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use base64::Engine;
use md5::Digest as _;

use super::fetch::{Brought, Fetcher, Known};
use crate::ingest::bundle::{Bundle, Input};
use crate::recipe::source::Retries;
use crate::recipe::{Cube, Source};
use crate::store::Origin;

/// What the server does next, and what it was asked.
#[derive(Default)]
struct House {
    body: Mutex<Vec<u8>>,
    etag: Mutex<String>,
    /// Statuses that come first, one a request.
    first: Mutex<Vec<u16>>,
    /// Cut the connection after so many bytes, once each.
    cuts: Mutex<Vec<usize>>,
    headers: Mutex<Vec<(String, String)>>,
    asked: Mutex<Vec<HeaderMap>>,
    /// Sends the range of whatever is there now, without a look at `If-Range`.
    careless: AtomicBool,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

async fn answer(State(h): State<Arc<House>>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let now = h.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    h.most_at_once.fetch_max(now, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(20)).await;
    h.at_once.fetch_sub(1, Ordering::SeqCst);
    h.asked.lock().unwrap().push(headers.clone());
    let mut out = Response::builder();
    if uri.path().starts_with("/away") {
        return out.status(302).header("location", "http://127.0.0.1:9/x.nc").body(Body::empty()).unwrap();
    }
    if uri.path() == "/dir/" {
        return out
            .body(Body::from("<a href=\"d.20200102.nc\">x</a><a href=\"d.20200101.nc\">y</a>"))
            .unwrap();
    }
    let status = { h.first.lock().unwrap().pop() };
    if let Some(status) = status {
        return out.status(status).header("retry-after", "0").body(Body::empty()).unwrap();
    }
    let (body, etag) = (h.body.lock().unwrap().clone(), h.etag.lock().unwrap().clone());
    let text = |n: &str| headers.get(n).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    if text("if-none-match") == etag {
        return out.status(304).body(Body::empty()).unwrap();
    }
    let from: usize =
        text("range").strip_prefix("bytes=").and_then(|r| r.trim_end_matches('-').parse().ok()).unwrap_or(0);
    let careless = h.careless.load(Ordering::SeqCst);
    let from = if careless || text("if-range") == etag { from } else { 0 };
    let rest = body[from..].to_vec();
    out = out.header("etag", &etag).header("content-length", rest.len());
    for (k, v) in h.headers.lock().unwrap().iter() {
        out = out.header(k, v);
    }
    if from > 0 {
        out = out
            .status(StatusCode::PARTIAL_CONTENT)
            .header("content-range", format!("bytes {from}-{}/{}", body.len() - 1, body.len()));
    }
    let cut = { h.cuts.lock().unwrap().pop() };
    match cut {
        None => out.body(Body::from(rest)).unwrap(),
        Some(n) => {
            let pieces: Vec<Result<Bytes, std::io::Error>> =
                vec![Ok(Bytes::from(rest[..n].to_vec())), Err(std::io::Error::other("cut"))];
            // What was sent must leave before the connection is cut.
            let slowly = futures::stream::unfold(pieces.into_iter(), |mut p| async {
                let next = p.next()?;
                if next.is_err() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Some((next, p))
            });
            out.body(Body::from_stream(slowly)).unwrap()
        }
    }
}

async fn serve() -> (Arc<House>, String) {
    let house = Arc::new(House::default());
    *house.body.lock().unwrap() = (0..200_000u32).map(|i| (i * 7 % 251) as u8).collect();
    *house.etag.lock().unwrap() = "\"one\"".into();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(answer).with_state(Arc::clone(&house));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (house, base)
}

fn source() -> Source {
    Source { retries: Retries { attempts: 3, backoff: Duration::from_millis(10) }, ..Source::default() }
}

fn bundle(url: &str) -> Bundle {
    let input = Input { named: Some(url.to_owned()), ..Input::of(std::path::Path::new("")) };
    Bundle::one(input, Cube::default())
}

async fn one(f: &Fetcher, url: &str, known: &Known) -> Result<Option<Vec<u8>>, String> {
    match f.bring(vec![bundle(url)], known).await.pop().unwrap() {
        Brought::Here(b) => Ok(Some(std::fs::read(&b.files[0].path).unwrap())),
        Brought::Unchanged(_) => Ok(None),
        Brought::Failed(_, f) => Err(f.to_string()),
    }
}

#[tokio::test]
async fn a_cut_download_goes_on_where_it_broke_off_even_in_another_process() {
    let (house, base) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    let url = format!("{base}/a.nc");
    *house.cuts.lock().unwrap() = vec![50_000, 60_000, 70_000];
    let f = Fetcher::new(dir.path(), &source(), None).await.unwrap();
    let said = one(&f, &url, &Known::new()).await.unwrap_err();
    assert!(
        said.contains(&url) && said.contains("(attempt 3 of 3)") && said.contains("ended after"),
        "{said}"
    );
    // Another process finds the part and asks for the rest only.
    let again = Fetcher::new(dir.path(), &source(), None).await.unwrap();
    let got = one(&again, &url, &Known::new()).await.unwrap().unwrap();
    assert_eq!(got, *house.body.lock().unwrap());
    let asked = house.asked.lock().unwrap();
    assert_eq!(asked.len(), 4);
    let range = asked[3]["range"].to_str().unwrap();
    assert_eq!((range, asked[3]["if-range"].to_str().unwrap()), ("bytes=180000-", "\"one\""));
}

#[tokio::test]
async fn a_file_that_changed_half_way_is_fetched_whole() {
    let (house, base) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    *house.cuts.lock().unwrap() = vec![50_000];
    let once = Source { retries: Retries { attempts: 1, ..source().retries }, ..source() };
    let f = Fetcher::new(dir.path(), &once, None).await.unwrap();
    let url = format!("{base}/a.nc");
    one(&f, &url, &Known::new()).await.unwrap_err();
    *house.body.lock().unwrap() = vec![9; 100_000];
    *house.etag.lock().unwrap() = "\"two\"".into();
    assert_eq!(one(&f, &url, &Known::new()).await.unwrap().unwrap(), vec![9; 100_000]);
}

#[tokio::test]
async fn a_rest_of_another_file_is_not_put_after_the_part_at_hand() {
    let (house, base) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    let once = Source { retries: Retries { attempts: 1, ..source().retries }, ..source() };
    let cut = Fetcher::new(dir.path(), &once, None).await.unwrap();
    let f = Fetcher::new(dir.path(), &source(), None).await.unwrap();
    house.careless.store(true, Ordering::SeqCst);
    // Another validator of the same length, and another length under the same validator.
    for (name, etag, length) in [("a.nc", "\"two\"", 200_000), ("b.nc", "\"two\"", 90_000)] {
        let url = format!("{base}/{name}");
        *house.cuts.lock().unwrap() = vec![50_000];
        one(&cut, &url, &Known::new()).await.unwrap_err();
        *house.body.lock().unwrap() = vec![9; length];
        *house.etag.lock().unwrap() = etag.into();
        assert_eq!(one(&f, &url, &Known::new()).await.unwrap().unwrap(), vec![9; length]);
    }
}

#[tokio::test]
async fn a_url_that_is_named_twice_is_fetched_once() {
    let (_, base) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    let f = Fetcher::new(dir.path(), &source(), None).await.unwrap();
    let named = ["a", "b", "a"].map(|n| std::path::PathBuf::from(format!("{base}/{n}.nc")));
    let (bundles, _) = super::bundles(&named, &crate::recipe::Recipe::default(), Some(&f)).await.unwrap();
    assert_eq!(bundles.len(), 2);
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_will_not_is_said_at_once() {
    let (house, base) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    let f = Fetcher::new(dir.path(), &source(), None).await.unwrap();
    *house.first.lock().unwrap() = vec![429, 503];
    assert!(one(&f, &format!("{base}/a.nc"), &Known::new()).await.unwrap().is_some());
    *house.first.lock().unwrap() = vec![404];
    let url = format!("{base}/b.nc?token=hidden");
    let said = one(&f, &url, &Known::new()).await.unwrap_err();
    assert!(said.contains("status 404 Not Found (attempt 1 of 3)") && !said.contains("hidden"), "{said}");
    *house.first.lock().unwrap() = vec![500; 5];
    let said = one(&f, &format!("{base}/c.nc"), &Known::new()).await.unwrap_err();
    assert!(said.contains("status 500 Internal Server Error (attempt 3 of 3)"), "{said}");
}

#[tokio::test]
async fn a_wrong_checksum_is_refused_with_what_was_expected_and_found() {
    let (house, base) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    let f = Fetcher::new(dir.path(), &source(), None).await.unwrap();
    let right =
        base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(&*house.body.lock().unwrap()));
    *house.headers.lock().unwrap() = vec![("content-md5".into(), right)];
    assert!(one(&f, &format!("{base}/a.nc"), &Known::new()).await.unwrap().is_some());
    *house.headers.lock().unwrap() = vec![("content-md5".into(), "AAAAAAAAAAAAAAAAAAAAAA==".into())];
    let said = one(&f, &format!("{base}/b.nc"), &Known::new()).await.unwrap_err();
    assert!(said.contains("Content-MD5: expected AAAAAAAAAAAAAAAAAAAAAA==, found"), "{said}");
    *house.headers.lock().unwrap() = Vec::new();
    let sums = dir.path().join("SHA256SUMS");
    std::fs::write(&sums, format!("{}  data/c.nc\n", "0".repeat(64))).unwrap();
    let with = Source { sha256: Some(sums.display().to_string()), ..source() };
    let f = Fetcher::new(dir.path(), &with, None).await.unwrap();
    let said = one(&f, &format!("{base}/c.nc"), &Known::new()).await.unwrap_err();
    assert!(said.contains("SHA-256: expected 0000"), "{said}");
    let said = one(&f, &format!("{base}/d.nc"), &Known::new()).await.unwrap_err();
    assert!(said.contains("no checksum of \"d.nc\""), "{said}");
}

#[tokio::test]
async fn what_is_unchanged_since_it_was_ingested_is_not_fetched_again() {
    let (house, base) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    let f = Fetcher::new(dir.path(), &source(), None).await.unwrap();
    let url = format!("{base}/a.nc");
    let origin = Origin { url: url.clone(), etag: Some("\"one\"".into()), ..Origin::default() };
    let known: Known = [(origin.key(), origin)].into();
    assert_eq!(one(&f, &url, &known).await, Ok(None));
    *house.etag.lock().unwrap() = "\"two\"".into();
    assert!(one(&f, &url, &known).await.unwrap().is_some());
}

#[tokio::test]
async fn two_addresses_that_differ_in_what_is_secret_alone_are_two_files() {
    let (_, base) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    let f = Fetcher::new(dir.path(), &source(), None).await.unwrap();
    let [first, second] = ["a", "b"].map(|key| format!("{base}/a.nc?day=1&token={key}"));
    let Some(Brought::Here(got)) = f.bring(vec![bundle(&first)], &Known::new()).await.pop() else {
        panic!("not fetched");
    };
    let origin = got.files[0].origin.clone().unwrap();
    assert_eq!(origin.url, format!("{base}/a.nc?day=1&token=..."));
    assert_eq!(origin.key(), Origin::key_of(&first));
    let known: Known = [(origin.key(), origin)].into();
    super::forget(&got);
    assert_eq!(one(&f, &first, &known).await, Ok(None), "what did not change is not fetched again");
    assert!(one(&f, &second, &known).await.unwrap().is_some(), "the other was never fetched");
}

#[tokio::test]
async fn no_more_are_fetched_at_once_than_the_recipe_says() {
    let (house, base) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    let f = Fetcher::new(dir.path(), &Source { concurrency: 3, ..source() }, None).await.unwrap();
    let all = (0..12).map(|i| bundle(&format!("{base}/{i}.nc"))).collect();
    let got = f.bring(all, &Known::new()).await;
    assert!(got.iter().all(|b| matches!(b, Brought::Here(_))));
    assert_eq!(house.most_at_once.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn nothing_outside_the_allowed_prefixes_is_asked_not_even_by_a_redirect() {
    let (house, base) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    let allow = Some(Arc::new(vec![format!("{base}/away"), format!("{base}/data")]));
    let f = Fetcher::new(dir.path(), &source(), allow).await.unwrap();
    let said = one(&f, &format!("{base}/secret/a.nc"), &Known::new()).await.unwrap_err();
    assert!(said.contains("not below a prefix of allow_urls"), "{said}");
    assert!(house.asked.lock().unwrap().is_empty());
    assert!(one(&f, &format!("{base}/data/a.nc"), &Known::new()).await.unwrap().is_some());
    let said = one(&f, &format!("{base}/away/a.nc"), &Known::new()).await.unwrap_err();
    assert!(said.contains("redirected to 127.0.0.1, which allow_urls does not name"), "{said}");
}

#[tokio::test]
async fn a_folder_of_links_and_a_range_of_times_give_the_same_names() {
    let (_, base) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for range in ["", "start = 2020-01-01\nend = 2020-01-02"] {
        let text = format!("[source]\nroot = \"{base}/dir\"\npattern = \"d.{{time:%Y%m%d}}.nc\"\n{range}");
        let recipe = crate::recipe::Recipe::parse(&text, dir.path()).unwrap();
        let f = Fetcher::new(dir.path(), &recipe.source, None).await.unwrap();
        let (bundles, odd) = super::bundles(&[], &recipe, Some(&f)).await.unwrap();
        assert!(odd.is_empty());
        names.push(bundles.iter().map(|b| b.shown().display().to_string()).collect::<Vec<_>>());
    }
    assert_eq!(names[0], [format!("{base}/dir/d.20200101.nc"), format!("{base}/dir/d.20200102.nc")]);
    assert_eq!(names[0], names[1]);
}
