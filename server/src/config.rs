//! Configuration, held twice: as typed, then as meant.
//!
//! An unknown key is an error that names the nearest known one. Order of
//! precedence: flag, `GRATICULE_*` variable (both through clap), TOML file, default.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::keys;
use crate::limits;
use crate::recipe::folder::Folder;
use crate::retention::{self, Policy};

pub const DEFAULT_BIND: &str = "127.0.0.1:8080";
pub const DEFAULT_DATA: &str = "graticule-data";

/// The TOML file, as typed.
#[derive(Debug, Default, Clone, Deserialize)]
pub struct Typed {
    pub data: Option<PathBuf>,
    pub bind: Option<String>,
    pub demo: Option<bool>,
    pub token: Option<String>,
    pub public_url: Option<String>,
    /// Folder of recipes that runs may name.
    pub recipes: Option<PathBuf>,
    /// Prefixes of URLs that runs may name.
    #[serde(default)]
    pub allow_urls: Vec<String>,
    #[serde(default)]
    pub watch: Vec<Watch>,
    #[serde(default)]
    pub versions: retention::Typed,
    #[serde(default)]
    pub limits: limits::Typed,
}

/// A folder whose files become granules of a collection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Watch {
    pub folder: PathBuf,
    pub collection: String,
    /// Id of a recipe of the server that its files follow.
    pub recipe: Option<String>,
}

const KEYS: [&str; 10] =
    ["data", "bind", "demo", "token", "public_url", "recipes", "allow_urls", "watch", "versions", "limits"];
const WATCH_KEYS: [&str; 3] = ["folder", "collection", "recipe"];

impl Typed {
    /// # Errors
    /// The file cannot be read, is not TOML, or has a key or value that is not known.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{}: cannot read the configuration", path.display()))?;
        let mut typed = Self::parse(&text).with_context(|| path.display().to_string())?;
        // Paths in a file are meant from where the file lies.
        let base = path.parent().unwrap_or(Path::new("."));
        typed.data = typed.data.map(|d| base.join(d));
        typed.recipes = typed.recipes.map(|d| base.join(d));
        for w in &mut typed.watch {
            w.folder = base.join(&w.folder);
        }
        Ok(typed)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let table: toml::Table = toml::from_str(text)?;
        keys::check("", table.keys(), &KEYS)?;
        for (i, entry) in table.get("watch").and_then(toml::Value::as_array).into_iter().flatten().enumerate()
        {
            if let Some(t) = entry.as_table() {
                keys::check(&format!("watch[{i}]."), t.keys(), &WATCH_KEYS)?;
            }
        }
        retention::check(table.get("versions"))?;
        limits::check(table.get("limits"))?;
        Ok(table.try_into()?)
    }
}

/// A time such as `30d`, `12h`, `15m` or `10s`.
///
/// # Errors
/// What it should have been.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || format!("{text:?}: expected a number and its unit, such as 30d, 12h, 15m or 10s");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "d" => 86_400,
        "h" => 3600,
        "m" => 60,
        "s" => 1,
        _ => return Err(wrong()),
    };
    let number: u64 = number.trim().parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(std::time::Duration::from_secs).ok_or_else(wrong)
}

/// What flags and variables said of `serve`; `None` where they were silent.
#[derive(Debug, Default, Clone)]
pub struct Flags {
    pub data: Option<PathBuf>,
    pub bind: Option<String>,
    pub demo: bool,
    pub token: Option<String>,
    pub public_url: Option<String>,
}

/// The configuration of `serve`, as meant.
#[derive(Debug, Clone)]
pub struct Config {
    pub data: PathBuf,
    pub bind: SocketAddr,
    pub demo: bool,
    /// A token with the scope `admin` that needs no entry in the catalog.
    pub bootstrap_token: Option<String>,
    /// Scheme and host that links begin with; otherwise taken from each request.
    pub public_url: Option<String>,
    pub recipes: Option<Folder>,
    /// Runs may name URLs below these prefixes; none where it is empty.
    pub allow_urls: Arc<Vec<String>>,
    pub watch: Vec<Watch>,
    /// How long versions stand.
    pub versions: Policy,
    /// What one client may take.
    pub limits: limits::Settings,
}

impl Config {
    /// # Errors
    /// A value that cannot be meant: an address that is none, a token too short to be secret.
    pub fn new(flags: Flags, typed: Typed) -> anyhow::Result<Self> {
        let bind = flags.bind.or(typed.bind).unwrap_or_else(|| DEFAULT_BIND.to_owned());
        let bind = bind.replace("localhost:", "127.0.0.1:");
        let bind = bind
            .parse()
            .with_context(|| format!("bind {bind:?}: expected ADDRESS:PORT, such as {DEFAULT_BIND}"))?;
        let bootstrap_token = flags.token.or(typed.token);
        if bootstrap_token.as_ref().is_some_and(|t| t.len() < 16) {
            bail!(
                "token: shorter than 16 characters could be guessed; `graticule token issue` makes a good one"
            );
        }
        let public_url = flags.public_url.or(typed.public_url);
        if let Some(url) = &public_url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            bail!("public_url {url:?}: expected http:// or https:// and a host");
        }
        for prefix in &typed.allow_urls {
            crate::acquire::url::parse(prefix).map_err(|e| {
                anyhow::anyhow!(
                    "allow_urls: {e}; expected a prefix such as \"https://data.example.org/sst/\""
                )
            })?;
        }
        if typed.recipes.is_none()
            && let Some(id) = typed.watch.iter().find_map(|w| w.recipe.as_ref())
        {
            bail!("watch: recipe {id:?}: \"recipes\" must name the folder that it lies in");
        }
        for w in &typed.watch {
            if !crate::store::is_collection_id(&w.collection) {
                bail!(
                    "watch: collection {:?} is no id: letters, digits, '-', '_' and '.', at most 63, starting with a letter or digit",
                    w.collection
                );
            }
        }
        Ok(Self {
            data: flags.data.or(typed.data).unwrap_or_else(|| DEFAULT_DATA.into()),
            bind,
            demo: flags.demo || typed.demo.unwrap_or(false),
            bootstrap_token,
            public_url: public_url.map(|u| u.trim_end_matches('/').to_owned()),
            recipes: typed.recipes.map(Folder::new),
            allow_urls: Arc::new(typed.allow_urls),
            watch: typed.watch,
            versions: Policy::new(&typed.versions)?,
            limits: limits::Settings::new(&typed.limits)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let e = Typed::parse("bnid = \"0.0.0.0:80\"").unwrap_err().to_string();
        assert_eq!(e, "unknown key \"bnid\"; did you mean \"bind\"?");
        let e = Typed::parse("[[watch]]\nfoldr = \"in\"\ncollection = \"a\"").unwrap_err().to_string();
        assert_eq!(e, "unknown key \"watch[0].foldr\"; did you mean \"watch[0].folder\"?");
    }

    #[test]
    fn flags_come_before_the_file_and_the_file_before_defaults() {
        let typed = Typed::parse("bind = \"127.0.0.1:1\"\ndata = \"d\"").unwrap();
        let c = Config::new(Flags { bind: Some("[::1]:2".into()), ..Flags::default() }, typed).unwrap();
        assert_eq!(c.bind.to_string(), "[::1]:2");
        assert_eq!(c.data, Path::new("d"));
        assert!(!c.demo);
        let c = Config::new(Flags::default(), Typed::default()).unwrap();
        assert_eq!(c.bind.to_string(), DEFAULT_BIND);
    }

    #[test]
    fn an_address_without_a_port_is_refused_with_an_example() {
        let e = Config::new(Flags { bind: Some("0.0.0.0".into()), ..Flags::default() }, Typed::default())
            .unwrap_err();
        assert!(format!("{e}").contains("ADDRESS:PORT"));
    }
}
