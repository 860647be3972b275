//! The command line: one command, one file.

/// `println!` to a reader that may have read enough: `graticule ingest --dry-run | head`.
macro_rules! out {
    ($($what:tt)*) => { $crate::cli::text(format_args!("{}\n", format_args!($($what)*))) };
}

mod check;
mod export;
mod history;
mod ingest;
mod serve;
mod token;
mod view;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::DEFAULT_DATA;

#[derive(Debug, Parser)]
#[command(name = "graticule", version, about = "Grids of the earth as versioned Zarr, with a living map")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the explorer, the APIs, and the ingest in the background
    Serve(serve::Serve),
    /// Ingest files into a collection, in the foreground
    Ingest(ingest::Ingest),
    /// Write what a collection refers to for other software
    Export(export::Export),
    /// Declare collections that are computed from others when they are read
    View(view::Views),
    /// Prove stores, checksums, references and catalog against each other
    Check(check::Check),
    /// Make the content of an earlier version the latest again, as a new version
    Rollback(history::Rollback),
    /// Take a collection down; its history is kept
    Remove(history::Remove),
    /// Bring a retired collection back
    Restore(history::Restore),
    /// Take old versions out of the history and reclaim their space
    Expire(history::Expire),
    /// Issue, list and revoke access tokens
    #[command(subcommand)]
    Token(token::Token),
}

#[derive(Debug, Args)]
struct DataDir {
    /// Directory of the collections and the catalog
    #[arg(long, env = "GRATICULE_DATA", value_name = "DIR", default_value = DEFAULT_DATA)]
    data: PathBuf,
}

/// Writes to standard output; whoever closed it has what he wanted.
fn text(what: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    if out.write_fmt(what).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
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
            log_to_stderr();
            s.run()
        }
        Command::Ingest(i) => {
            log_to_stderr();
            i.run()
        }
        // The report says what is wrong; the same in the words of a log would bury it.
        Command::Check(c) => c.run(),
        Command::Export(e) => e.run(),
        Command::View(v) => v.run(),
        Command::Rollback(c) => c.run(),
        Command::Remove(c) => c.run(),
        Command::Restore(c) => c.run(),
        Command::Expire(c) => c.run(),
        Command::Token(t) => t.run(),
    }
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("GRATICULE_LOG").unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new(
            "warn,graticule_server=info,icechunk_arrow_object_store=error,icechunk_storage=error",
        )
    });
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
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
