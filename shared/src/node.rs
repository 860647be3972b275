//! Paths of groups and arrays in a hierarchy, and what a name means beside one of them.
//!
//! A path has no slash at its ends; the root's is empty.

/// The group that a node lies in.
pub fn group(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(group, _)| group)
}

/// The node called `name` in a group.
pub fn within(group: &str, name: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{group}/{name}") }
}

/// The node called `name` in the group of `path`.
pub fn beside(path: &str, name: &str) -> String {
    within(group(path), name)
}

/// What `name` may mean seen from the node at `path`: in its own group, then in each group above
/// (NetCDF-4 scoping; CF section 2.7.1, search by relative path). Nothing where the name is empty.
pub fn scope(path: &str, name: &str) -> impl Iterator<Item = String> {
    let first = (!name.is_empty()).then(|| group(path));
    let groups = std::iter::successors(first, |g| (!g.is_empty()).then(|| group(g)));
    groups.map(move |g| within(g, name))
}

/// The groups that nodes lie in, each once, in order.
pub fn groups<'a>(paths: impl IntoIterator<Item = &'a str>) -> std::collections::BTreeSet<&'a str> {
    paths.into_iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_from_the_nodes_own_group_up_to_the_root() {
        let all = |path, name| scope(path, name).collect::<Vec<_>>();
        assert_eq!(all("a/b/v", "lat"), ["a/b/lat", "a/lat", "lat"]);
        assert_eq!(all("v", "lat"), ["lat"]);
        assert!(all("a/v", "").is_empty());
        assert_eq!((beside("a/v", "w").as_str(), beside("v", "w").as_str()), ("a/w", "w"));
    }
}
