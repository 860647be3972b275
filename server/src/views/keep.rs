//! Some of a collection's variables, and the coordinates that place them.

use graticule_shared::cube::SERIES;

use super::tree::Tree;
use crate::opened::Opened;

/// # Errors
/// A variable that there is not.
pub fn tree(opened: &Opened, names: Option<&[String]>) -> anyhow::Result<Tree> {
    let mut tree = Tree::of(std::sync::Arc::clone(&opened.snapshot));
    let variables = &opened.cube.variables;
    if let Some(names) = names {
        for name in names {
            if !variables.iter().any(|v| v.path == *name) {
                let there: Vec<&str> = variables.iter().map(|v| v.path.as_str()).collect();
                anyhow::bail!("view.keep: no variable {name:?}; there are {}", there.join(", "));
            }
        }
    }
    let gone: Vec<&str> = variables
        .iter()
        .filter(|v| names.is_some_and(|n| !n.contains(&v.path)))
        .flat_map(|v| v.levels.iter().map(|l| l.array.as_str()))
        .collect();
    // The second layout holds what the first does: it would have to be made as well.
    let series = opened.cube.series.as_ref().map(|s| format!("{s}/"));
    tree.root.shift_remove(SERIES);
    tree.retain(|path| !gone.contains(&path) && !series.as_ref().is_some_and(|s| path.starts_with(s)));
    Ok(tree)
}
