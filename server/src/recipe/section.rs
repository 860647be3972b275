//! Values of a TOML table, each with the path under which a person finds it.

use std::path::Path;

use toml::{Table, Value};

use crate::keys;

/// A table of the recipe, its keys known.
pub struct Section<'a> {
    /// With its dot; empty for the whole file.
    prefix: String,
    table: &'a Table,
}

impl<'a> Section<'a> {
    /// # Errors
    /// A key that is not among `known`.
    pub fn new(prefix: &str, table: &'a Table, known: &[&str]) -> anyhow::Result<Self> {
        keys::check(prefix, table.keys(), known)?;
        Ok(Self { prefix: prefix.to_owned(), table })
    }

    /// A table with keys that a person chooses.
    pub fn open(prefix: &str, table: &'a Table) -> Self {
        Self { prefix: prefix.to_owned(), table }
    }

    pub fn entries(&self) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        self.table.iter()
    }

    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.table.get(key)
    }

    pub fn path(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// What to say of a value that cannot be meant.
    pub fn wrong(&self, key: &str, expected: &str) -> anyhow::Error {
        let found = self.table.get(key).map_or_else(|| "nothing".to_owned(), shown);
        anyhow::anyhow!("{}{key}: expected {expected}, found {found}", self.prefix)
    }

    fn read<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> anyhow::Result<Option<T>> {
        match self.table.get(key) {
            None => Ok(None),
            Some(v) => read(v).map(Some).ok_or_else(|| self.wrong(key, expected)),
        }
    }

    pub fn text(&self, key: &str) -> anyhow::Result<Option<String>> {
        self.read(key, "text", |v| v.as_str().map(str::to_owned))
    }

    pub fn texts(&self, key: &str) -> anyhow::Result<Vec<String>> {
        let list = |v: &Value| {
            v.as_array()?.iter().map(|t| t.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        Ok(self.read(key, "a list of texts", list)?.unwrap_or_default())
    }

    pub fn flag(&self, key: &str) -> anyhow::Result<Option<bool>> {
        self.read(key, "true or false", Value::as_bool)
    }

    /// A whole number in `from..=to`.
    pub fn whole(&self, key: &str, from: i64, to: i64) -> anyhow::Result<Option<u64>> {
        let expected = format!("a whole number from {from} to {to}");
        self.read(key, &expected, |v| {
            v.as_integer().filter(|n| (from..=to).contains(n)).and_then(|n| u64::try_from(n).ok())
        })
    }

    pub fn number(&self, key: &str) -> anyhow::Result<Option<f64>> {
        self.read(key, "a number", number)
    }

    /// Two numbers, the lower first.
    pub fn span(&self, key: &str) -> anyhow::Result<Option<(f64, f64)>> {
        self.read(key, "two numbers, the lower first", |v| match v.as_array()?.as_slice() {
            [a, b] => Some((number(a)?, number(b)?)).filter(|(a, b)| a <= b),
            _ => None,
        })
    }

    /// A table below; its keys must be known.
    pub fn table(&self, key: &str, known: &[&str]) -> anyhow::Result<Option<Section<'a>>> {
        let found = self.read(key, "a table", Value::as_table)?;
        found.map(|t| Section::new(&format!("{}{key}.", self.prefix), t, known)).transpose()
    }

    /// A table below with keys that a person chooses.
    pub fn named(&self, key: &str) -> anyhow::Result<Option<Section<'a>>> {
        let found = self.read(key, "a table", Value::as_table)?;
        Ok(found.map(|t| Section::open(&format!("{}{key}.", self.prefix), t)))
    }
}

pub fn number(v: &Value) -> Option<f64> {
    v.as_float().or_else(|| v.as_integer().map(|i| i as f64)).filter(|f| f.is_finite())
}

fn shown(v: &Value) -> String {
    let text = v.to_string();
    if text.len() > 80 { format!("a {}", v.type_str()) } else { text }
}

/// A path of a recipe is meant from where the recipe lies; URLs are left as they are.
pub fn from_here(base: &Path, text: &str) -> String {
    if text.contains("://") { text.to_owned() } else { base.join(text).display().to_string() }
}
