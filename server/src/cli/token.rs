//! `graticule token`.

use std::process::ExitCode;

use clap::Subcommand;

use super::DataDir;
use crate::catalog::Catalog;
use crate::catalog::tokens::Scope;

#[derive(Debug, Subcommand)]
pub enum Token {
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

impl Token {
    /// # Errors
    /// A scope that is none; the catalog cannot be read or written.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Token::Issue { scopes, name, at } => {
                let scopes: Vec<Scope> =
                    scopes.iter().map(|s| s.parse()).collect::<Result<_, _>>().map_err(anyhow::Error::msg)?;
                let (id, token) = Catalog::open(&at.data)?.issue_token(&name, &scopes)?;
                eprintln!("token {id}; it is shown only now:");
                out!("{token}");
            }
            Token::List { at } => {
                for t in Catalog::open(&at.data)?.list_tokens()? {
                    let state = t.revoked.map_or_else(|| "works".to_owned(), |at| format!("revoked {at}"));
                    out!("{}\t{}\t{}\t{}\t{state}", t.id, t.name, t.scopes, t.created);
                }
            }
            Token::Revoke { id, at } => {
                anyhow::ensure!(
                    Catalog::open(&at.data)?.revoke_token(id)?,
                    "no working token has number {id}; `graticule token list` shows them"
                );
                out!("token {id} revoked");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
