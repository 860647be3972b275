//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Parser, Subcommand};

use crate::catalog::Catalog;
use crate::catalog::tokens::Scope;
use crate::config::{Config, DEFAULT_DATA, Flags, Typed};
use crate::ingest::{
    self, IngestRequest,
    progress::{self, Progress},
};
use crate::store::Store;

#[derive(Debug, Parser)]
#[command(name = "graticule", version, about = "Grids of the earth as versioned Zarr, with a living map")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the explorer, the APIs, and the ingest in the background
    Serve(Serve),
    /// Ingest files into a collection, in the foreground
    Ingest(Ingest),
    /// Issue, list and revoke access tokens
    #[command(subcommand)]
    Token(Token),
}

#[derive(Debug, Args)]
struct Serve {
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

#[derive(Debug, Args)]
struct Ingest {
    /// Files, directories and globs: NetCDF-3, NetCDF-4, HDF5, GRIB
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// Id of the collection that they become, or are appended to
    #[arg(long, env = "GRATICULE_COLLECTION", value_name = "ID")]
    collection: String,
    #[command(flatten)]
    at: DataDir,
    /// Dimension to grow along [default: time]
    #[arg(long, env = "GRATICULE_APPEND", value_name = "DIM")]
    append: Option<String>,
}

#[derive(Debug, Args)]
struct DataDir {
    /// Directory of the collections and the catalog
    #[arg(long, env = "GRATICULE_DATA", value_name = "DIR", default_value = DEFAULT_DATA)]
    data: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Token {
    /// Make a token and print it, once
    Issue {
        /// What it allows: admin, ingest:COLLECTION or read:COLLECTION; may be given several times
        #[arg(long = "scope", env = "GRATICULE_SCOPE", value_delimiter = ',', required = true)]
        scopes: Vec<String>,
        /// A word to know it by
        #[arg(long, env = "GRATICULE_NAME", default_value = "")]
        name: String,
        #[command(flatten)]
        at: DataDir,
    },
    /// List tokens: number, name, scopes, times; never the secret
    List {
        #[command(flatten)]
        at: DataDir,
    },
    /// Stop a token from working
    Revoke {
        /// Its number in the list
        id: i64,
        #[command(flatten)]
        at: DataDir,
    },
}

pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("graticule: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(s) => {
            let typed = s.config.as_deref().map_or_else(|| Ok(Typed::default()), Typed::read)?;
            let flags =
                Flags { data: s.data, bind: s.bind, demo: s.demo, token: s.token, public_url: s.public_url };
            log_to_stderr();
            crate::serve::run(Config::new(flags, typed)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Ingest(i) => {
            log_to_stderr();
            ingest(i)
        }
        Command::Token(t) => token(t),
    }
}

fn ingest(i: Ingest) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let store = Store::open(&i.at.data)?;
        let catalog = Catalog::open(&i.at.data)?;
        let request = IngestRequest { collection: i.collection, inputs: i.inputs, append: i.append };
        let progress: Arc<dyn Progress> = progress::for_stderr().into();
        let cancel = Arc::new(AtomicBool::new(false));
        let interrupted = Arc::clone(&cancel);
        tokio::spawn(async move {
            // Once to end in order, twice to end at once.
            let _ = tokio::signal::ctrl_c().await;
            interrupted.store(true, Ordering::Relaxed);
            let _ = tokio::signal::ctrl_c().await;
            std::process::exit(130);
        });
        ingest::ingest(&store, &catalog, &request, progress, cancel).await
    })?;
    for g in &report.granules {
        for note in &g.notes {
            println!("note: {}: {note}", g.file.display());
        }
    }
    let failed: Vec<_> = report.granules.iter().filter(|g| g.outcome == ingest::Outcome::Failed).collect();
    for g in &failed {
        eprintln!("failed: {g}");
    }
    match &report.version {
        Some(v) => println!(
            "{}: version {v}, {} of {} granules published, {:.1} s",
            report.collection,
            report.granules.iter().filter(|g| g.outcome == ingest::Outcome::Published).count(),
            report.granules.len(),
            report.seconds
        ),
        None => println!("{}: nothing new was published", report.collection),
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("GRATICULE_LOG").unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new(
            "warn,graticule_server=info,icechunk_arrow_object_store=error,icechunk_storage=error",
        )
    });
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

fn token(command: Token) -> anyhow::Result<ExitCode> {
    match command {
        Token::Issue { scopes, name, at } => {
            let scopes: Vec<Scope> =
                scopes.iter().map(|s| s.parse()).collect::<Result<_, _>>().map_err(anyhow::Error::msg)?;
            let (id, token) = Catalog::open(&at.data)?.issue_token(&name, &scopes)?;
            eprintln!("token {id}; it is shown only now:");
            println!("{token}");
        }
        Token::List { at } => {
            for t in Catalog::open(&at.data)?.list_tokens()? {
                let state = t.revoked.map_or_else(|| "works".to_owned(), |at| format!("revoked {at}"));
                println!("{}\t{}\t{}\t{}\t{state}", t.id, t.name, t.scopes, t.created);
            }
        }
        Token::Revoke { id, at } => {
            anyhow::ensure!(
                Catalog::open(&at.data)?.revoke_token(id)?,
                "no working token has number {id}; `graticule token list` shows them"
            );
            println!("token {id} revoked");
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
