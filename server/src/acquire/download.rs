//! One file from one URL: resumed where it broke off, and checked.
//!
//! A download lives in a folder of its own under the data directory until its
//! version is published, named after its URL: whoever is killed half-way finds it
//! again and asks only for the rest, if the server says that it is still the same file
//! (RFC 9110: `Range` with `If-Range`).

use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::retry::Trouble;
use super::url;
use crate::store::{Origin, hex};

/// Says when another attempt is worth while, and what the part at hand is a part of.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    etag: Option<String>,
    last_modified: Option<String>,
    length: Option<u64>,
    /// Base64, of the whole.
    md5: Option<String>,
    sha256: Option<String>,
}

impl State {
    fn of(headers: &HeaderMap) -> Self {
        let text = |n: &str| headers.get(n).and_then(|v| v.to_str().ok()).map(str::to_owned);
        // A composite checksum (of parts) ends in "-N" and is not that of the bytes.
        let amazon = text("x-amz-checksum-sha256").filter(|c| !c.contains('-'));
        let digest = text("repr-digest").and_then(|d| {
            let all = d.split(',').map(str::trim).find_map(|p| p.strip_prefix("sha-256=:"))?;
            Some(all.trim_end_matches(':').to_owned())
        });
        Self {
            etag: text("etag").filter(|e| !e.starts_with("W/")),
            last_modified: text("last-modified"),
            length: text("content-length").and_then(|n| n.parse().ok()),
            md5: text("content-md5"),
            sha256: amazon.or(digest),
        }
    }

    /// What proves that the rest belongs to the part at hand.
    fn validator(&self) -> Option<&str> {
        self.etag.as_deref().or(self.last_modified.as_deref())
    }

    /// Whether a 206 brings the rest of the `have` bytes at hand: `Content-Range: bytes 100-199/200`
    /// begins where they end and is of the same length in all, and the validator, where the server
    /// repeats it (RFC 9110 section 15.3.7), is the same.
    fn goes_on(&self, headers: &HeaderMap, have: u64) -> bool {
        let text = |n: header::HeaderName| headers.get(n).and_then(|v| v.to_str().ok());
        let validator = if self.etag.is_some() { header::ETAG } else { header::LAST_MODIFIED };
        let same = text(validator).is_none_or(|v| Some(v) == self.validator());
        let range = text(header::CONTENT_RANGE).and_then(|t| t.strip_prefix("bytes ")?.split_once('/'));
        let rest = range.is_some_and(|(range, total)| {
            let begins = range.split_once('-').is_some_and(|(from, _)| from.parse() == Ok(have));
            // A total of "*" is not known.
            let total: Option<u64> = total.parse().ok();
            begins && total.zip(self.length).is_none_or(|(found, expected)| found == expected)
        });
        same && rest
    }
}

/// The folder of one URL.
pub struct Download {
    folder: PathBuf,
    name: String,
    /// As it is shown.
    url: String,
    /// Its key, where more was asked than is shown.
    key: Option<String>,
}

pub enum Got {
    File(PathBuf, Origin),
    Unchanged,
}

impl Download {
    pub fn new(downloads: &Path, address: &str, name: String) -> Self {
        let (key, url) = (Origin::key_of(address), url::shown(address));
        let folder = downloads.join(&key[..32]);
        let key = (url != address).then_some(key);
        Self { folder, name, url, key }
    }

    fn origin(&self, state: &State) -> Origin {
        Origin {
            url: self.url.clone(),
            address: self.key.clone(),
            etag: state.etag.clone(),
            last_modified: state.last_modified.clone(),
        }
    }

    /// One process at a time: two would write into one part. Held while it lives.
    fn lock(&self) -> Result<std::fs::File, Trouble> {
        let lock = std::fs::File::create(self.folder.join(".lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(std::fs::TryLockError::WouldBlock) => {
                Err(Trouble::passing("another process is downloading it"))
            }
            Err(std::fs::TryLockError::Error(e)) => Err(e.into()),
        }
    }

    fn part(&self) -> PathBuf {
        self.folder.join(".part")
    }
    fn state(&self) -> PathBuf {
        self.folder.join(".state")
    }
    fn whole(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// One attempt. `address` is what is asked, which may be signed.
    ///
    /// # Errors
    /// Why there is no file, and whether another attempt may help; what came is kept.
    pub async fn attempt(
        &self,
        client: &Client,
        address: Url,
        extra: HeaderMap,
        known: Option<&Origin>,
        sum: Option<&str>,
    ) -> Result<Got, Trouble> {
        std::fs::create_dir_all(&self.folder)?;
        let _only = self.lock()?;
        let kept: State = std::fs::read(self.state())
            .ok()
            .and_then(|b| serde_json::from_slice(&b).ok())
            .unwrap_or_default();
        let complete = self.whole().is_file() && kept.validator().is_some();
        let mut have = std::fs::metadata(self.part()).map_or(0, |m| m.len());
        if have > 0 && (complete || kept.validator().is_none()) {
            std::fs::remove_file(self.part())?;
            have = 0;
        }
        let mut request = client.get(address).headers(extra).header(header::ACCEPT_ENCODING, "identity");
        let header = |v: &str| HeaderValue::from_str(v).map_err(|e| Trouble::lasting(e.to_string()));
        if complete {
            request = conditional(request, kept.etag.as_deref(), kept.last_modified.as_deref())?;
        } else if let Some(v) = kept.validator().filter(|_| have > 0) {
            request =
                request.header(header::RANGE, format!("bytes={have}-")).header(header::IF_RANGE, header(v)?);
        } else if let Some(k) = known {
            request = conditional(request, k.etag.as_deref(), k.last_modified.as_deref())?;
        }
        let mut response = request.send().await?;
        let status = response.status();
        let state = match status {
            StatusCode::NOT_MODIFIED if complete => return Ok(Got::File(self.whole(), self.origin(&kept))),
            StatusCode::NOT_MODIFIED => return Ok(Got::Unchanged),
            StatusCode::PARTIAL_CONTENT if have > 0 && kept.goes_on(response.headers(), have) => kept,
            StatusCode::OK => {
                // The whole: it changed, or the server has no ranges.
                have = 0;
                // What is described must not outlive its description.
                remove(&self.part())?;
                remove(&self.whole())?;
                let state = State::of(response.headers());
                std::fs::write(self.state(), serde_json::to_vec(&state).unwrap_or_default())?;
                state
            }
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                let _ = std::fs::remove_file(self.part());
                return Err(Trouble::passing(format!("status {status}: not the range that was asked for")));
            }
            _ => return Err(Trouble::of_status(status, response.headers())),
        };
        let mut file = tokio::fs::OpenOptions::new()
            .create(true)
            .append(have > 0)
            .write(true)
            .truncate(have == 0)
            .open(self.part())
            .await?;
        let outcome = loop {
            match response.chunk().await {
                Ok(Some(bytes)) => {
                    have += bytes.len() as u64;
                    if state.length.is_some_and(|n| have > n) {
                        break Err(Trouble::passing(format!(
                            "more bytes than the {} declared",
                            state.length.unwrap_or(0)
                        )));
                    }
                    file.write_all(&bytes).await?;
                }
                Ok(None) => break Ok(()),
                Err(e) => {
                    let e = Trouble::from(e);
                    let of = state.length.map_or_else(String::new, |n| format!(" of {n}"));
                    break Err(Trouble::passing(format!(
                        "the connection ended after {have}{of} bytes: {}",
                        e.said
                    )));
                }
            }
        };
        file.flush().await?;
        file.sync_data().await?;
        drop(file);
        if let Err(e) = outcome {
            if state.length.is_some_and(|n| have > n) {
                std::fs::remove_file(self.part())?;
            }
            return Err(e);
        }
        let have = std::fs::metadata(self.part())?.len();
        if let Some(n) = state.length.filter(|n| *n != have) {
            return Err(Trouble::passing(format!("the connection ended after {have} of {n} bytes")));
        }
        if let Err(said) = self.check(&state, sum)? {
            // A bad copy is no part of a good one.
            std::fs::remove_file(self.part())?;
            return Err(Trouble::passing(said));
        }
        std::fs::rename(self.part(), self.whole())?;
        Ok(Got::File(self.whole(), self.origin(&state)))
    }

    fn check(&self, state: &State, sum: Option<&str>) -> std::io::Result<Result<(), String>> {
        if state.md5.is_none() && state.sha256.is_none() && sum.is_none() {
            return Ok(Ok(()));
        }
        let mut file = std::fs::File::open(self.part())?;
        let (mut sha, mut md5, mut buffer) = (Sha256::new(), Md5::default(), vec![0; 1 << 20]);
        loop {
            let n = file.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            sha.update(&buffer[..n]);
            md5::Digest::update(&mut md5, &buffer[..n]);
        }
        let (sha, md5) = (sha.finalize(), md5::Digest::finalize(md5));
        for (what, expected, found) in [
            ("SHA-256", sum.map(str::to_ascii_lowercase), hex(&sha)),
            ("SHA-256 of the server", state.sha256.clone(), STANDARD.encode(sha)),
            ("Content-MD5", state.md5.clone(), STANDARD.encode(md5)),
        ] {
            if let Some(expected) = expected.filter(|e| *e != found) {
                return Ok(Err(format!("{what}: expected {expected}, found {found}")));
            }
        }
        Ok(Ok(()))
    }

    /// Forgets the file; a part that another attempt may go on with stays.
    pub fn forget(folder_of: &Path) {
        if let Some(folder) = folder_of.parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

fn conditional(
    request: reqwest::RequestBuilder,
    etag: Option<&str>,
    last_modified: Option<&str>,
) -> Result<reqwest::RequestBuilder, Trouble> {
    let value = |v: &str| HeaderValue::from_str(v).map_err(|e| Trouble::lasting(e.to_string()));
    Ok(match (etag, last_modified) {
        (Some(e), _) => request.header(header::IF_NONE_MATCH, value(e)?),
        (None, Some(d)) => request.header(header::IF_MODIFIED_SINCE, value(d)?),
        (None, None) => request,
    })
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
