//! Remote names: given one by one, made from times, or listed.

use std::path::PathBuf;

use super::fetch::Fetcher;
use super::{Failure, Input, Odd, s3, url};
use crate::recipe::Recipe;
use crate::recipe::pattern::{Captures, Pattern};

/// The files that one URL means; `is_root` where it is the recipe's own root.
///
/// # Errors
/// A root without a pattern, one that cannot be listed or has nothing that fits.
pub async fn files(
    address: &str,
    recipe: &Recipe,
    is_root: bool,
    fetcher: &Fetcher,
    odd: &mut Odd,
) -> anyhow::Result<Vec<Input>> {
    let input = |address: String, captures: Captures| Input {
        path: PathBuf::new(),
        named: Some(address),
        origin: None,
        captures,
    };
    let parsed = url::parse(address).map_err(anyhow::Error::msg)?;
    let shown = url::shown(address);
    let folder =
        is_root || parsed.path().ends_with('/') || (parsed.scheme() == "s3" && parsed.path().len() < 2);
    let Some(pattern) = &recipe.source.pattern else {
        anyhow::ensure!(
            !folder,
            "{shown}: a root needs a pattern; say source.pattern in the recipe, or name files"
        );
        return Ok(vec![input(address.to_owned(), Captures::default())]);
    };
    if !folder {
        return Ok(match pattern.read_name(&url::file_name(&parsed)) {
            Some(captures) => vec![input(address.to_owned(), captures)],
            None => {
                odd.push((PathBuf::from(shown), Failure::no_match(pattern.as_str())));
                Vec::new()
            }
        });
    }
    let base = address.trim_end_matches('/');
    let names = match &recipe.source.range {
        Some(range) => made(pattern, range, &recipe.cube.variables)?,
        None if parsed.scheme() == "s3" => {
            s3::list(&parsed, &pattern.literal_prefix()).await.map_err(anyhow::Error::msg)?
        }
        None => {
            anyhow::ensure!(
                pattern.depth() == 0,
                "{shown}: over http only one folder is listed; say source.start and source.end, from which names are made"
            );
            let page = fetcher.text(&format!("{base}/")).await.map_err(|f| anyhow::anyhow!("{f}"))?;
            links(&page)
        }
    };
    let found: Vec<Input> = names
        .into_iter()
        .filter_map(|name| Some(input(format!("{base}/{name}"), pattern.read(&name)?)))
        .collect();
    anyhow::ensure!(!found.is_empty(), "{shown}: nothing there matches {:?}", pattern.as_str());
    Ok(found)
}

/// A name for each instant, and for each variable where the pattern has one.
fn made(
    pattern: &Pattern,
    range: &crate::recipe::source::Range,
    variables: &[String],
) -> anyhow::Result<Vec<String>> {
    anyhow::ensure!(
        pattern.has_time(),
        "source.start: the pattern {:?} has no {{time}} that a name could be made of",
        pattern.as_str()
    );
    let each: Vec<Option<&str>> =
        if variables.is_empty() { vec![None] } else { variables.iter().map(|v| Some(v.as_str())).collect() };
    let (mut out, mut seen) = (Vec::new(), std::collections::HashSet::new());
    for time in range.instants() {
        for variable in &each {
            let name = pattern.name_at(time, *variable)?;
            if seen.insert(name.clone()) {
                out.push(name);
            }
        }
    }
    Ok(out)
}

/// Names that a directory page links to: what servers write for a folder of files.
fn links(page: &str) -> Vec<String> {
    let mut out = std::collections::BTreeSet::new();
    for part in page.split("href=").skip(1) {
        let quote = part.chars().next().filter(|c| matches!(c, '"' | '\''));
        let Some(q) = quote else { continue };
        let Some(target) = part[1..].split(q).next() else { continue };
        let name = target.strip_prefix("./").unwrap_or(target);
        if name.is_empty() || name.contains(['/', '?', '#']) {
            continue;
        }
        out.insert(percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned());
    }
    out.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_links_gives_the_names_in_its_own_folder() {
        let page = r#"<a href="../">up</a> <a href='b.nc'>b</a> <a HREF="no">x</a> <a href="./a%2B1.nc">a</a>
            <a href="https://elsewhere.org/c.nc">c</a> <a href="?C=M;O=A">sort</a> <a href="b.nc">again</a>"#;
        assert_eq!(links(page), ["a+1.nc", "b.nc"]);
    }
}
