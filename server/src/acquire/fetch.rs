//! Brings remote files here: so many at once, with retries, within bounds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use super::download::{Download, Got};
use super::retry::{self, Trouble};
use super::{s3, url};
use crate::ingest::Failure;
use crate::ingest::bundle::Bundle;
use crate::recipe::Source;
use crate::store::Origin;

const CONNECT: Duration = Duration::from_secs(30);
/// Without a byte for so long, an attempt has failed.
const STALLED: Duration = Duration::from_secs(60);
const REDIRECTS: usize = 5;
/// Parts that nobody went on with for so long are removed.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Pages of links and files of checksums.
const LONGEST_TEXT: usize = 32 << 20;

/// What was fetched before, by [`Origin::key`]: what is shown of two signed addresses may be the same.
pub type Known = BTreeMap<String, Origin>;

pub struct Fetcher {
    client: Client,
    downloads: PathBuf,
    source: Source,
    /// Addresses that may be asked; all where it is `None`.
    allow: Option<Arc<Vec<String>>>,
    /// SHA-256 by file name.
    sums: BTreeMap<String, String>,
}

/// What became of a bundle.
pub enum Brought {
    Here(Bundle),
    /// Nothing of it changed since it was ingested.
    Unchanged(Bundle),
    Failed(Bundle, Failure),
}

impl Fetcher {
    /// # Errors
    /// No TLS, no folder for downloads, a file of checksums that cannot be read.
    pub async fn new(
        downloads: &Path,
        source: &Source,
        allow: Option<Arc<Vec<String>>>,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(downloads)?;
        remove_stale(downloads);
        let within = allow.clone();
        let redirects = Policy::custom(move |attempt| {
            let from = attempt.previous().last().map(|u| u.scheme().to_owned()).unwrap_or_default();
            if attempt.previous().len() > REDIRECTS {
                return attempt.error(format!("more than {REDIRECTS} redirects"));
            }
            if from == "https" && attempt.url().scheme() != "https" {
                return attempt.error("redirected from https to http");
            }
            if within.as_ref().is_some_and(|w| !url::allowed(attempt.url(), w)) {
                let host = attempt.url().host_str().unwrap_or_default().to_owned();
                return attempt.error(format!("redirected to {host}, which allow_urls does not name"));
            }
            attempt.follow()
        });
        let client = Client::builder()
            .redirect(redirects)
            .connect_timeout(CONNECT)
            .read_timeout(STALLED)
            .user_agent(concat!("graticule/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let mut out = Self {
            client,
            downloads: downloads.to_owned(),
            source: source.clone(),
            allow,
            sums: BTreeMap::new(),
        };
        if let Some(place) = &source.sha256 {
            let text = if url::is_url(place) {
                out.text(place).await.map_err(|f| anyhow::anyhow!("{f}"))?
            } else {
                std::fs::read_to_string(place).map_err(|e| anyhow::anyhow!("source.sha256: {place}: {e}"))?
            };
            out.sums = sums(&text);
            anyhow::ensure!(
                !out.sums.is_empty(),
                "source.sha256: {place}: no line is a SHA-256 in hexadecimal and a name"
            );
        }
        Ok(out)
    }

    /// Brings the bundles, so many at once; in their order.
    pub async fn bring(&self, bundles: Vec<Bundle>, known: &Known) -> Vec<Brought> {
        let each = bundles.into_iter().map(|b| self.bundle(b, known));
        futures::stream::iter(each).buffered(self.source.concurrency.max(1)).collect().await
    }

    async fn bundle(&self, mut bundle: Bundle, known: &Known) -> Brought {
        let mut unchanged = Vec::new();
        for i in 0..bundle.files.len() {
            let Some(address) = bundle.files.get(i).and_then(|f| f.named.clone()) else { continue };
            let before = known.get(&Origin::key_of(&address));
            match self.file(&address, before).await {
                Ok(Got::Unchanged) => unchanged.push(i),
                Ok(Got::File(path, origin)) => place(&mut bundle, i, path, origin),
                Err(f) => return Brought::Failed(bundle, f),
            }
        }
        if unchanged.len() == bundle.files.len() {
            return Brought::Unchanged(bundle);
        }
        // A part of it is new: the rest is needed after all.
        for i in unchanged {
            let Some(address) = bundle.files.get(i).and_then(|f| f.named.clone()) else { continue };
            match self.file(&address, None).await {
                Ok(Got::File(path, origin)) => place(&mut bundle, i, path, origin),
                Ok(Got::Unchanged) => {}
                Err(f) => return Brought::Failed(bundle, f),
            }
        }
        Brought::Here(bundle)
    }

    async fn file(&self, address: &str, known: Option<&Origin>) -> Result<Got, Failure> {
        let shown = url::shown(address);
        let parsed = url::parse(address).map_err(Failure::new)?;
        self.permit(&parsed)?;
        let name = url::file_name(&parsed);
        let sum = self.sums.get(&name).map(String::as_str);
        if !self.sums.is_empty() && sum.is_none() {
            return Err(Failure::new(format!("{shown}: source.sha256 has no checksum of {name:?}")));
        }
        let download = Download::new(&self.downloads, address, name);
        self.attempts(&shown, async || {
            let (to, extra) = self.request(&parsed).await?;
            download.attempt(&self.client, to, extra, known, sum).await
        })
        .await
    }

    fn permit(&self, parsed: &Url) -> Result<(), Failure> {
        match &self.allow {
            Some(w) if !url::allowed(parsed, w) => Err(Failure::new(format!(
                "{}: not below a prefix of allow_urls in the server's configuration",
                url::shown(parsed.as_str())
            ))),
            _ => Ok(()),
        }
    }

    /// What to ask, and with which credentials of the environment.
    async fn request(&self, parsed: &Url) -> Result<(Url, HeaderMap), Trouble> {
        let mut extra = HeaderMap::new();
        if parsed.scheme() == "s3" {
            return Ok((s3::address(parsed).await.map_err(Trouble::lasting)?, extra));
        }
        let host = parsed.host_str().unwrap_or_default();
        let variable: String = host
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        if let Ok(token) = std::env::var(format!("GRATICULE_BEARER_{variable}")) {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| Trouble::lasting(format!("GRATICULE_BEARER_{variable} is no token")))?;
            value.set_sensitive(true);
            extra.insert(AUTHORIZATION, value);
        }
        Ok((parsed.clone(), extra))
    }

    async fn attempts<T>(
        &self,
        shown: &str,
        mut once: impl AsyncFnMut() -> Result<T, Trouble>,
    ) -> Result<T, Failure> {
        let retries = &self.source.retries;
        let mut n = 1;
        loop {
            let trouble = match once().await {
                Ok(t) => return Ok(t),
                Err(t) => t,
            };
            let last = retries.attempts.max(1);
            if trouble.permanent || n >= last {
                return Err(Failure::new(format!("{shown}: {} (attempt {n} of {last})", trouble.said)));
            }
            let rest = retry::rest(retries, n, &trouble);
            tracing::warn!(
                url = shown,
                attempt = n,
                of = last,
                rest_secs = rest.as_secs_f64(),
                "{}",
                trouble.said
            );
            tokio::time::sleep(rest).await;
            n += 1;
        }
    }

    /// A small document.
    ///
    /// # Errors
    /// As a download; and where it is too long or no text.
    pub async fn text(&self, address: &str) -> Result<String, Failure> {
        let shown = url::shown(address);
        let parsed = url::parse(address).map_err(Failure::new)?;
        self.permit(&parsed)?;
        self.attempts(&shown, async || {
            let (to, extra) = self.request(&parsed).await?;
            let mut response = self.client.get(to).headers(extra).send().await?;
            if !response.status().is_success() {
                return Err(Trouble::of_status(response.status(), response.headers()));
            }
            let mut out = Vec::new();
            while let Some(bytes) = response.chunk().await? {
                out.extend_from_slice(&bytes);
                if out.len() > LONGEST_TEXT {
                    return Err(Trouble::lasting(format!("more than {LONGEST_TEXT} bytes")));
                }
            }
            String::from_utf8(out).map_err(|_| Trouble::lasting("not text"))
        })
        .await
    }
}

fn place(bundle: &mut Bundle, i: usize, path: PathBuf, origin: Origin) {
    if let Some(f) = bundle.files.get_mut(i) {
        f.named = Some(origin.url.clone());
        f.path = path;
        f.origin = Some(origin);
    }
}

/// Removes the downloads of a bundle: it is published, or cannot be.
pub fn forget(bundle: &Bundle) {
    bundle.files.iter().filter(|f| f.origin.is_some()).for_each(|f| Download::forget(&f.path));
}

fn remove_stale(downloads: &Path) {
    for entry in std::fs::read_dir(downloads).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|m| m.modified());
        let old = modified.is_ok_and(|t| SystemTime::now().duration_since(t).is_ok_and(|age| age > KEPT));
        if old {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Lines as `sha256sum` writes them.
fn sums(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|l| {
            let (sum, name) = l.trim().split_once(char::is_whitespace)?;
            let hex = sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit());
            let name = name.trim_start().trim_start_matches('*');
            let leaf = name.rsplit('/').next().unwrap_or(name);
            hex.then(|| (leaf.to_owned(), sum.to_ascii_lowercase()))
        })
        .collect()
}
