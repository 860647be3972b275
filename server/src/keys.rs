//! Names that a person types, held against those that are known.
//!
//! A misspelt key that is silently ignored costs an operator an evening, so an
//! unknown name is an error that says which known one is nearest.

/// The known name that `name` was likely meant to be.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|k| (strsim::jaro_winkler(k, name), k))
        .filter(|(score, _)| *score > 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

/// What to say of a key that is not known; `prefix` is where it stands, with its dot.
pub fn unknown(prefix: &str, key: &str, known: &[&str]) -> String {
    match nearest(key, known.iter().copied()) {
        Some(k) => format!("unknown key \"{prefix}{key}\"; did you mean \"{prefix}{k}\"?"),
        None => format!("unknown key \"{prefix}{key}\"; known are {}", known.join(", ")),
    }
}

/// # Errors
/// The first key that is not known.
pub fn check<'a>(prefix: &str, keys: impl Iterator<Item = &'a String>, known: &[&str]) -> anyhow::Result<()> {
    for key in keys {
        anyhow::ensure!(known.contains(&key.as_str()), unknown(prefix, key, known));
    }
    Ok(())
}
