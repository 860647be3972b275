//! Buckets: listed through `object_store`, read by signed requests.
//!
//! Credentials, region and endpoint come from the environment as AWS names them
//! (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`,
//! `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`; `AWS_SKIP_SIGNATURE=true` for public buckets).

use std::time::Duration;

use futures::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{ObjectStore, RetryConfig};
use reqwest::{Method, Url};

/// Objects of one listing.
const MOST_OBJECTS: usize = 1_000_000;
/// A signed request works for so long; each attempt signs anew.
const SIGNED_FOR: Duration = Duration::from_secs(3600);

fn bucket(url: &Url) -> Result<&str, String> {
    url.host_str()
        .filter(|b| !b.is_empty())
        .ok_or_else(|| format!("{url}: no bucket; expected s3://BUCKET/KEY"))
}

fn key(url: &Url) -> Result<Path, String> {
    Path::from_url_path(url.path()).map_err(|e| format!("{url}: {e}"))
}

fn client(url: &Url) -> Result<AmazonS3, String> {
    // Attempts are counted in one place only.
    let once = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    AmazonS3Builder::from_env()
        .with_bucket_name(bucket(url)?)
        .with_retry(once)
        .build()
        .map_err(|e| format!("{url}: {e}"))
}

fn unsigned() -> bool {
    std::env::var("AWS_SKIP_SIGNATURE").is_ok_and(|v| matches!(v.as_str(), "true" | "1"))
}

/// The HTTP address that an object is read from now.
///
/// # Errors
/// No bucket, no credentials.
pub async fn address(url: &Url) -> Result<Url, String> {
    if unsigned() {
        let of = |k: &str| std::env::var(k).ok().filter(|v| !v.is_empty());
        let endpoint =
            of("AWS_ENDPOINT_URL_S3").or_else(|| of("AWS_ENDPOINT_URL")).or_else(|| of("AWS_ENDPOINT"));
        let base = match endpoint {
            Some(e) => format!("{}/{}", e.trim_end_matches('/'), bucket(url)?),
            None => {
                let region = of("AWS_REGION")
                    .or_else(|| of("AWS_DEFAULT_REGION"))
                    .unwrap_or_else(|| "us-east-1".into());
                format!("https://{}.s3.{region}.amazonaws.com", bucket(url)?)
            }
        };
        return Url::parse(&format!("{base}{}", url.path())).map_err(|e| format!("{url}: {e}"));
    }
    client(url)?.signed_url(Method::GET, &key(url)?, SIGNED_FOR).await.map_err(|e| format!("{url}: {e}"))
}

/// Keys below the folder of `root`, relative to it, that begin with `prefix`.
///
/// # Errors
/// The bucket cannot be listed; too many objects.
pub async fn list(root: &Url, prefix: &str) -> Result<Vec<String>, String> {
    let base = key(root)?;
    // Listings go by whole folders.
    let folder = prefix.rsplit_once('/').map_or("", |(f, _)| f);
    let from = if folder.is_empty() { base.clone() } else { Path::from(format!("{base}/{folder}")) };
    let client = client(root)?;
    let mut objects = client.list(Some(&from));
    let mut out = Vec::new();
    let failed = |e: object_store::Error| format!("{root}: cannot be listed: {e}");
    while let Some(object) = objects.try_next().await.map_err(failed)? {
        let Some(rest) = object.location.prefix_match(&base) else { continue };
        let relative = rest.map(|p| p.as_ref().to_owned()).collect::<Vec<_>>().join("/");
        if relative.starts_with(prefix) {
            out.push(relative);
        }
        if out.len() > MOST_OBJECTS {
            return Err(format!("{root}: more than {MOST_OBJECTS} objects; name a longer root"));
        }
    }
    out.sort();
    Ok(out)
}
