//! `graticule serve`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::config::{Config, Flags, Typed};

#[derive(Debug, Args)]
pub struct Serve {
    /// Directory of the collections and the catalog [default: graticule-data]
    #[arg(long, env = "GRATICULE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, env = "GRATICULE_BIND", value_name = "ADDRESS:PORT")]
    bind: Option<String>,
    /// Configuration file (TOML)
    #[arg(long, env = "GRATICULE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// First ingest the small real dataset that comes with Graticule
    #[arg(long, env = "GRATICULE_DEMO")]
    demo: bool,
    /// A token that may do everything, for a first start
    #[arg(long, env = "GRATICULE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Scheme and host under which others reach this server, for links
    #[arg(long, env = "GRATICULE_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
}

impl Serve {
    /// # Errors
    /// A configuration that cannot be meant; what [`crate::serve::run`] says.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let typed = self.config.as_deref().map_or_else(|| Ok(Typed::default()), Typed::read)?;
        let flags = Flags {
            data: self.data,
            bind: self.bind,
            demo: self.demo,
            token: self.token,
            public_url: self.public_url,
        };
        crate::serve::run(Config::new(flags, typed)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
