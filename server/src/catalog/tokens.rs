//! Bearer tokens. Only the SHA-256 of a token is kept: the secret is 32 random
//! bytes, so a slow hash would add nothing.

use std::fmt;
use std::str::FromStr;

use rusqlite::{OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::{Catalog, now};
use crate::store::is_collection_id;

const PREFIX: &str = "graticule_";

/// What a token allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    Admin,
    Ingest(String),
    Read(String),
}

impl Scope {
    /// True where holding `self` is enough to do what `wanted` names.
    pub fn allows(&self, wanted: &Scope) -> bool {
        match (self, wanted) {
            (Scope::Admin, _) => true,
            (Scope::Ingest(a), Scope::Ingest(b) | Scope::Read(b)) => a == b,
            (a, b) => a == b,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Admin => f.write_str("admin"),
            Scope::Ingest(id) => write!(f, "ingest:{id}"),
            Scope::Read(id) => write!(f, "read:{id}"),
        }
    }
}

impl FromStr for Scope {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "admin" => Ok(Scope::Admin),
            Some(("ingest", id)) if is_collection_id(id) => Ok(Scope::Ingest(id.to_owned())),
            Some(("read", id)) if is_collection_id(id) => Ok(Scope::Read(id.to_owned())),
            _ => Err(format!(
                "scope {text:?}: expected admin, ingest:COLLECTION or read:COLLECTION, such as ingest:oisst"
            )),
        }
    }
}

#[derive(Debug, Clone)]
pub struct TokenRow {
    pub id: i64,
    pub name: String,
    pub scopes: String,
    pub created: String,
    pub revoked: Option<String>,
}

/// SHA-256 of a token, in hexadecimal.
pub fn hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

impl Catalog {
    /// Makes a token and returns its number and the token itself, which is not kept.
    ///
    /// # Errors
    /// No randomness, or the catalog cannot be written.
    pub fn issue_token(&self, name: &str, scopes: &[Scope]) -> anyhow::Result<(i64, String)> {
        let mut secret = [0u8; 32];
        getrandom::fill(&mut secret).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
        let token = format!("{PREFIX}{}", hex(&secret));
        let scopes = scopes.iter().map(Scope::to_string).collect::<Vec<_>>().join(" ");
        let id = self.with(|c| {
            c.execute(
                "INSERT INTO tokens (name, hash, scopes, created) VALUES (?, ?, ?, ?)",
                params![name, hash(&token), scopes, now()],
            )?;
            Ok(c.last_insert_rowid())
        })?;
        Ok((id, token))
    }

    /// # Errors
    /// The catalog cannot be read.
    pub fn list_tokens(&self) -> anyhow::Result<Vec<TokenRow>> {
        self.with(|c| {
            let mut q = c.prepare("SELECT id, name, scopes, created, revoked FROM tokens ORDER BY id")?;
            let rows = q.query_map([], |r| {
                Ok(TokenRow {
                    id: r.get(0)?,
                    name: r.get(1)?,
                    scopes: r.get(2)?,
                    created: r.get(3)?,
                    revoked: r.get(4)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// False where there is no such token that still works.
    ///
    /// # Errors
    /// The catalog cannot be written.
    pub fn revoke_token(&self, id: i64) -> anyhow::Result<bool> {
        self.with(|c| {
            Ok(c.execute(
                "UPDATE tokens SET revoked = ? WHERE id = ? AND revoked IS NULL",
                params![now(), id],
            )? > 0)
        })
    }

    /// The scopes of `token`; `None` where it is unknown or revoked.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn token_scopes(&self, token: &str) -> anyhow::Result<Option<Vec<Scope>>> {
        let hash = hash(token);
        let scopes: Option<String> = self.with(|c| {
            Ok(c.query_row(
                "SELECT scopes FROM tokens WHERE hash = ? AND revoked IS NULL",
                params![hash],
                |r| r.get(0),
            )
            .optional()?)
        })?;
        Ok(scopes.map(|s| s.split(' ').filter_map(|s| s.parse().ok()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_works_until_it_is_revoked_and_is_kept_only_as_a_hash() {
        let dir = tempfile::tempdir().unwrap();
        let c = Catalog::open(dir.path()).unwrap();
        let (id, token) = c.issue_token("ci", &[Scope::Ingest("oisst".into())]).unwrap();
        let scopes = c.token_scopes(&token).unwrap().unwrap();
        assert!(scopes[0].allows(&Scope::Ingest("oisst".into())));
        assert!(scopes[0].allows(&Scope::Read("oisst".into())));
        assert!(!scopes[0].allows(&Scope::Ingest("other".into())));
        assert!(!scopes[0].allows(&Scope::Admin));
        let stored: String =
            c.with(|c| Ok(c.query_row("SELECT hash FROM tokens", [], |r| r.get(0))?)).unwrap();
        assert_ne!(stored, token);
        assert!(c.revoke_token(id).unwrap());
        assert!(!c.revoke_token(id).unwrap());
        assert_eq!(c.token_scopes(&token).unwrap(), None);
    }

    #[test]
    fn a_scope_that_is_none_is_refused_with_an_example() {
        assert!("write:a".parse::<Scope>().unwrap_err().contains("ingest:oisst"));
        assert!("ingest:../x".parse::<Scope>().is_err());
        assert_eq!("read:a".parse::<Scope>().unwrap().to_string(), "read:a");
    }
}
