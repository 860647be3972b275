//! Which inputs of a run, or files of a watched folder, are one granule together.
//!
//! The same grouping as the command line's ([`Bundle::group`]), made from names before
//! anything is queued: what is claimed, tried again and reported is then a granule.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::acquire::{local, url};
use crate::ingest::bundle::{Bundle, Input};
use crate::jobs::{Group, Grouping};
use crate::recipe::{Recipe, folder::Folder};

/// By the recipes of a server.
pub struct ByRecipe(pub Option<Folder>);

impl ByRecipe {
    fn recipe(&self, id: &str) -> anyhow::Result<Recipe> {
        match &self.0 {
            Some(folder) => folder.get(id),
            None => anyhow::bail!("recipe {id:?}: the configuration names no folder of recipes"),
        }
    }
}

impl Grouping for ByRecipe {
    fn groups(&self, recipe: &str, inputs: &[String]) -> anyhow::Result<Vec<Group>> {
        Ok(groups(&self.recipe(recipe)?, inputs))
    }

    fn matching(&self, recipe: &str, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let found = local::matching(folder, &self.recipe(recipe)?)?;
        Ok(found.into_iter().map(|f| f.path).collect())
    }
}

/// The granules that the inputs make, in the order of the times in their names where all have
/// one; then those that the pattern does not fit, which will be refused one by one.
fn groups(recipe: &Recipe, inputs: &[String]) -> Vec<Group> {
    let alone = |input: &String| Group { inputs: vec![input.clone()], whole: true };
    let Some(pattern) = &recipe.source.pattern else { return inputs.iter().map(alone).collect() };
    let (mut named, mut odd) = (Vec::new(), Vec::new());
    for input in inputs {
        let path = PathBuf::from(input);
        let read = match url::parse(input) {
            _ if !url::is_url(input) => pattern.read_path(input).filter(|_| !path.is_dir()),
            Ok(u) => pattern.read_name(&url::file_name(&u)).filter(|_| !u.path().ends_with('/')),
            Err(_) => None,
        };
        match read {
            Some(captures) => named.push(Input { captures, ..Input::of(&path) }),
            None => odd.push(alone(input)),
        }
    }
    let bundles = Bundle::in_order(Bundle::group(named, recipe));
    // A granule is whole when it has what any other has, and what the recipe names.
    let all: BTreeSet<Part> = bundles.iter().flat_map(|b| &b.files).map(part).collect();
    let named: BTreeSet<Option<String>> = all.iter().map(|p| p.1.clone()).collect();
    let wanted: Vec<Option<String>> = recipe.cube.variables.iter().cloned().map(Some).collect();
    let by_name = wanted.iter().any(|v| named.contains(v));
    let group = |b: Bundle| {
        let has: BTreeSet<Part> = b.files.iter().map(part).collect();
        let variables: BTreeSet<Option<String>> = has.iter().map(|p| p.1.clone()).collect();
        let whole = has.len() == all.len() && (!by_name || wanted.iter().all(|v| variables.contains(v)));
        Group { inputs: b.files.iter().map(|f| f.path.display().to_string()).collect(), whole }
    };
    bundles.into_iter().map(group).chain(odd).collect()
}

/// Member and variable.
type Part = (Option<String>, Option<String>);

fn part(file: &Input) -> Part {
    (file.captures.member.clone(), file.captures.variable.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pattern: &str, more: &str, inputs: &[&str]) -> Vec<(Vec<String>, bool)> {
        let text = format!("[source]\npattern = \"{pattern}\"\n{more}");
        let recipe = Recipe::parse(&text, Path::new(".")).unwrap();
        let inputs: Vec<String> = inputs.iter().map(|i| (*i).to_owned()).collect();
        groups(&recipe, &inputs).into_iter().map(|g| (g.inputs, g.whole)).collect()
    }

    fn one(inputs: &[&str], whole: bool) -> (Vec<String>, bool) {
        (inputs.iter().map(|i| (*i).to_owned()).collect(), whole)
    }

    #[test]
    fn variables_of_one_time_are_one_granule_and_granules_follow_their_times() {
        let got = told(
            "{variable}_{time:%Y%m%d}.nc",
            "",
            &["/in/v_20200102.nc", "/in/odd.nc", "/in/u_20200101.nc", "/in/u_20200102.nc"],
        );
        let expected = [
            one(&["/in/u_20200101.nc"], false),
            one(&["/in/u_20200102.nc", "/in/v_20200102.nc"], true),
            one(&["/in/odd.nc"], true),
        ];
        assert_eq!(got, expected);
    }

    #[test]
    fn a_granule_waits_for_the_variables_that_the_recipe_names() {
        let variables = "[cube]\nvariables = [\"u\", \"v\"]";
        let got = told("{variable}_{time:%Y}.nc", variables, &["/in/u_2020.nc", "/in/w_2020.nc"]);
        assert_eq!(got, [one(&["/in/u_2020.nc"], false)]);
    }

    #[test]
    fn addresses_keep_their_queries_and_a_plain_pattern_puts_nothing_together() {
        let got = told("{time:%Y}.nc", "", &["https://h.org/2021.nc?sig=a", "https://h.org/2020.nc?sig=b"]);
        let expected =
            [one(&["https://h.org/2020.nc?sig=b"], true), one(&["https://h.org/2021.nc?sig=a"], true)];
        assert_eq!(got, expected);
    }

    #[test]
    fn a_time_in_the_name_of_a_folder_is_read_too() {
        let got = told("{time:%Y%m%d}/{variable}.nc", "", &["/in/20200102/u.nc", "/in/20200101/u.nc"]);
        assert_eq!(got, [one(&["/in/20200101/u.nc"], true), one(&["/in/20200102/u.nc"], true)]);
    }
}
