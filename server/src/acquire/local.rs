//! Files of this machine.

use std::path::Path;

use super::{Failure, Input, Odd, inputs};
use crate::recipe::Recipe;
use crate::recipe::pattern::Pattern;

/// The files that one input means.
///
/// # Errors
/// Nothing is there, or nothing that fits.
pub fn files(input: &Path, recipe: &Recipe, odd: &mut Odd) -> anyhow::Result<Vec<Input>> {
    let Some(pattern) = &recipe.source.pattern else {
        let found = inputs::expand(&[input.to_owned()])?;
        return Ok(found.iter().map(|p| Input::of(p)).collect());
    };
    if input.is_dir() {
        let found = matching(input, recipe)?;
        anyhow::ensure!(
            !found.is_empty(),
            "{}: no file in this folder matches {:?}",
            input.display(),
            pattern.as_str()
        );
        return Ok(found);
    }
    let mut out = Vec::new();
    for path in inputs::expand(&[input.to_owned()])? {
        match pattern.read_path(&path.to_string_lossy()) {
            Some(captures) => out.push(Input { captures, ..Input::of(&path) }),
            None => odd.push((path, Failure::no_match(pattern.as_str()))),
        }
    }
    Ok(out)
}

/// The files below a folder that the recipe's pattern fits, by path; none without a pattern.
///
/// # Errors
/// A folder that cannot be listed.
pub fn matching(folder: &Path, recipe: &Recipe) -> anyhow::Result<Vec<Input>> {
    let mut found = Vec::new();
    if let Some(pattern) = &recipe.source.pattern {
        walk(folder, &mut Vec::new(), pattern, &mut found)?;
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn walk(
    folder: &Path,
    above: &mut Vec<String>,
    pattern: &Pattern,
    found: &mut Vec<Input>,
) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|e| anyhow::anyhow!("{}: {e}", folder.display()))?;
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        if above.len() < pattern.depth() {
            if path.is_dir() && pattern.admits_folder(above.len(), &name) {
                above.push(name);
                walk(&path, above, pattern, found)?;
                above.pop();
            }
        } else if path.is_file() {
            above.push(name);
            if let Some(captures) = pattern.read(&above.join("/")) {
                found.push(Input { captures, ..Input::of(&path) });
            }
            above.pop();
        }
    }
    Ok(())
}
