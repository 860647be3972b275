//! From what a person names to files at hand: folders, patterns, URLs, buckets.
//!
//! Naming comes first and costs little: what belongs together and in which order is
//! read from names alone. Bytes are fetched afterwards, a few granules ahead of the
//! ingest, so that a year of files never lies on the disk at once.

mod download;
mod fetch;
mod list;
pub mod local;
mod retry;
mod s3;
#[cfg(test)]
mod tests;
pub mod url;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

pub use fetch::{Brought, Fetcher, Known, forget};

use crate::ingest::Failure;
use crate::ingest::bundle::{Bundle, Input};
use crate::ingest::inputs;
use crate::recipe::Recipe;

/// Names that a recipe's pattern does not fit, each with the reason.
pub type Odd = Vec<(PathBuf, Failure)>;

/// Where downloads lie until they are published.
pub fn downloads(data: &Path) -> PathBuf {
    data.join("tmp").join("downloads")
}

/// Whether any of the inputs, or the recipe's own source, is remote.
pub fn is_remote(inputs: &[PathBuf], recipe: &Recipe) -> bool {
    let remote = |p: &str| url::is_url(p);
    if inputs.is_empty() {
        recipe.source.root.as_deref().is_some_and(remote)
    } else {
        inputs.iter().any(|p| p.to_str().is_some_and(remote))
    }
}

/// The granules that the inputs, or without any the recipe's source, mean; in order of the
/// times in their names where all have one. Remote ones are not fetched.
///
/// # Errors
/// Nothing is there, or nothing that fits; a root that cannot be listed.
pub async fn bundles(
    inputs: &[PathBuf],
    recipe: &Recipe,
    fetcher: Option<&Fetcher>,
) -> anyhow::Result<(Vec<Bundle>, Odd)> {
    let mut odd = Odd::new();
    let mut files: Vec<Input> = Vec::new();
    for path in named(inputs, recipe)? {
        let text = path.to_str().filter(|t| url::is_url(t)).map(str::to_owned);
        match (text, fetcher) {
            (Some(address), Some(fetcher)) => {
                files.extend(list::files(&address, recipe, inputs.is_empty(), fetcher, &mut odd).await?);
            }
            (Some(address), None) => anyhow::bail!("{}: not fetched here", url::shown(&address)),
            (None, _) => {
                let recipe = recipe.clone();
                let (found, left) = tokio::task::spawn_blocking(move || {
                    let mut left = Odd::new();
                    local::files(&path, &recipe, &mut left).map(|f| (f, left))
                })
                .await??;
                files.extend(found);
                odd.extend(left);
            }
        }
    }
    // Named twice, one is meant; two at once would be in each other's way.
    let mut seen = HashSet::new();
    files.retain(|f| f.named.as_ref().is_none_or(|address| seen.insert(address.clone())));
    Ok((Bundle::in_order(Bundle::group(files, recipe)), odd))
}

fn named(inputs: &[PathBuf], recipe: &Recipe) -> anyhow::Result<Vec<PathBuf>> {
    if !inputs.is_empty() {
        return Ok(inputs.to_vec());
    }
    let beside = || recipe.path.as_deref().and_then(Path::parent).map(Path::to_owned);
    match (&recipe.source.root, &recipe.source.pattern) {
        (Some(root), _) => Ok(vec![PathBuf::from(root)]),
        (None, Some(_)) => {
            Ok(vec![beside().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| ".".into())])
        }
        (None, None) => anyhow::bail!(
            "no input files were given: name some, or say source.root and source.pattern in the recipe"
        ),
    }
}
