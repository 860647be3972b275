//! Who may change a collection: a bearer token with the scope for it.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};

use super::App;
use crate::catalog::tokens::Scope;
use crate::problem::{Answer, Kind, Problem};

/// # Errors
/// 401 without a token that works, 403 with one that may not do this.
pub async fn authorise(app: &Arc<App>, headers: &HeaderMap, collection: &str) -> Answer<()> {
    let wanted = Scope::Ingest(collection.to_owned());
    let what = || format!("ingesting into {collection:?} takes {wanted} or admin");
    allowed(app, headers, |s| s.allows(&wanted), what).await
}

/// [`authorise`] where the collection is not known yet: a token that may ingest into any.
///
/// # Errors
/// As [`authorise`].
pub async fn authorise_any(app: &Arc<App>, headers: &HeaderMap) -> Answer<()> {
    let what = || "a run takes ingest:COLLECTION or admin".to_owned();
    allowed(app, headers, |s| matches!(s, Scope::Ingest(_) | Scope::Admin), what).await
}

async fn allowed(
    app: &Arc<App>,
    headers: &HeaderMap,
    does: impl Fn(&Scope) -> bool,
    what: impl Fn() -> String,
) -> Answer<()> {
    let challenge = |p: Problem| p.header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer ").or_else(|| v.strip_prefix("bearer ")))
        .map(|t| t.trim().to_owned());
    let Some(token) = bearer else {
        return Err(challenge(Problem::new(
            Kind::Unauthorized,
            "This needs a token: send \"Authorization: Bearer TOKEN\"; `graticule token issue --scope ingest:COLLECTION` makes one.",
        )));
    };
    if let Some(own) = &app.config.bootstrap_token
        && crate::catalog::tokens::hash(own) == crate::catalog::tokens::hash(&token)
    {
        return Ok(());
    }
    let scopes =
        app.catalog.call_with(move |c| c.token_scopes(&token)).await.map_err(Problem::internal)?.ok_or_else(
            || challenge(Problem::new(Kind::Unauthorized, "This token is not known, or was revoked.")),
        )?;
    if scopes.iter().any(does) {
        return Ok(());
    }
    let has = scopes.iter().map(Scope::to_string).collect::<Vec<_>>().join(", ");
    Err(Problem::new(Kind::Forbidden, format!("This token allows {has}; {}.", what())))
}

/// The description of an operation that takes a token.
pub fn guarded(mut operation: Value) -> Value {
    operation["security"] = json!([{"token": []}]);
    operation
}
