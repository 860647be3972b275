//! A reference file as a stream: a million references become a table, never a tree of JSON.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::template::{Scope, Term};

/// References of one file, generated ones included.
pub(super) const MAX_REFERENCES: usize = 5_000_000;
/// Bytes of all keys, and of all that is given inline.
const MAX_KEYS: usize = 256 << 20;
const MAX_INLINE: usize = 64 << 20;
const MAX_URLS: usize = 200_000;

/// A span of a file; `length` is `None` for all of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) key: (u32, u32),
    pub(super) url: u32,
    pub(super) offset: u64,
    pub(super) length: Option<u64>,
}

#[derive(Default)]
pub(super) struct Table {
    /// All keys end to end.
    pub(super) keys: String,
    pub(super) spans: Vec<Span>,
    /// As written, templates included.
    pub(super) urls: Vec<String>,
    known: HashMap<String, u32>,
    pub(super) inline: BTreeMap<String, Vec<u8>>,
    inline_bytes: usize,
    templates: BTreeMap<String, String>,
    rules: Vec<Value>,
}

impl Table {
    /// # Errors
    /// In words: not JSON, no reference file, more than the limits allow.
    pub(super) fn read(text: impl std::io::Read) -> Result<Self, String> {
        let mut table = Self::default();
        let mut json = serde_json::Deserializer::from_reader(text);
        Top(&mut table).deserialize(&mut json).map_err(|e| e.to_string())?;
        json.end().map_err(|e| e.to_string())?;
        table.generate()?;
        let scope = Scope { templates: &table.templates, names: BTreeMap::new() };
        let urls: Result<Vec<String>, String> = table.urls.iter().map(|u| scope.render(u)).collect();
        table.urls = urls?;
        table.known.clear();
        let keys = std::mem::take(&mut table.keys);
        let key = |s: &Span| keys.get(s.key.0 as usize..s.key.1 as usize).unwrap_or_default();
        table.spans.sort_by(|a, b| key(a).cmp(key(b)));
        table.keys = keys;
        Ok(table)
    }

    fn span(&mut self, key: &str, url: &str, offset: u64, length: Option<u64>) -> Result<(), String> {
        if self.spans.len() >= MAX_REFERENCES {
            return Err(format!("more than {MAX_REFERENCES} references"));
        }
        let from = self.keys.len();
        self.keys.push_str(key);
        if self.keys.len() > MAX_KEYS {
            return Err(format!("the keys have more than {MAX_KEYS} bytes"));
        }
        let url = match self.known.get(url) {
            Some(known) => *known,
            None => {
                if self.urls.len() >= MAX_URLS {
                    return Err(format!("more than {MAX_URLS} files are referred to"));
                }
                let number = self.urls.len() as u32;
                self.urls.push(url.to_owned());
                self.known.insert(url.to_owned(), number);
                number
            }
        };
        self.spans.push(Span { key: (from as u32, self.keys.len() as u32), url, offset, length });
        Ok(())
    }

    fn inline(&mut self, key: &str, bytes: Vec<u8>) -> Result<(), String> {
        self.inline_bytes += key.len() + bytes.len();
        if self.inline_bytes > MAX_INLINE {
            return Err(format!("more than {MAX_INLINE} bytes are given inline"));
        }
        self.inline.insert(key.to_owned(), bytes);
        Ok(())
    }

    /// References that `gen` describes by rule.
    fn generate(&mut self) -> Result<(), String> {
        let templates = std::mem::take(&mut self.templates);
        for rule in std::mem::take(&mut self.rules) {
            let text = |k: &str| match &rule[k] {
                Value::String(t) => Some(t.clone()),
                Value::Number(n) => Some(n.to_string()),
                _ => None,
            };
            let (Some(key), Some(url)) = (text("key"), text("url")) else {
                return Err("gen: a rule without \"key\" and \"url\"".to_owned());
            };
            let dimensions = rule["dimensions"].as_object().cloned().unwrap_or_default();
            let lists: Vec<(String, Steps)> = dimensions
                .iter()
                .map(|(n, d)| Ok((n.clone(), Steps::of(d)?)))
                .collect::<Result<_, String>>()?;
            let total = lists.iter().try_fold(1u64, |n, (_, s)| n.checked_mul(s.len()));
            let room = MAX_REFERENCES.saturating_sub(self.spans.len()) as u64;
            let total = total.filter(|n| *n <= room);
            let total = total.ok_or_else(|| {
                format!(
                    "gen: the rule for {key:?} makes more than the {MAX_REFERENCES} references that are read"
                )
            })?;
            for flat in 0..total {
                let mut rest = flat;
                let mut names = BTreeMap::new();
                for (name, steps) in lists.iter().rev() {
                    names.insert(name.clone(), steps.at(rest % steps.len().max(1)));
                    rest /= steps.len().max(1);
                }
                let scope = Scope { templates: &templates, names };
                let (key, url) = (scope.render(&key)?, scope.render(&url)?);
                let number = |k: &str| -> Result<Option<u64>, String> {
                    let Some(t) = text(k) else { return Ok(None) };
                    let n = scope.number(&t)?;
                    u64::try_from(n).map(Some).map_err(|_| format!("gen: {k} of {key:?} is {n}"))
                };
                let (offset, length) = (number("offset")?, number("length")?);
                self.span(&key, &url, offset.unwrap_or(0), length)?;
            }
        }
        self.templates = templates;
        Ok(())
    }
}

/// What one name of a rule runs through.
enum Steps {
    Range { start: i64, step: i64, len: u64 },
    List(Vec<Term>),
}

impl Steps {
    fn of(d: &Value) -> Result<Self, String> {
        if let Some(list) = d.as_array() {
            let term = |v: &Value| match v {
                Value::String(t) => Ok(Term::Text(t.clone())),
                v => v.as_i64().map(Term::Number).ok_or_else(|| format!("gen: {v} is no number or text")),
            };
            return Ok(Self::List(list.iter().map(term).collect::<Result<_, _>>()?));
        }
        let whole = |k: &str, default: i64| match &d[k] {
            Value::Null => Ok(default),
            v => v.as_i64().ok_or_else(|| format!("gen: {k} is {v}, expected a whole number")),
        };
        let (start, stop, step) = (whole("start", 0)?, whole("stop", 0)?, whole("step", 1)?);
        if step == 0 {
            return Err("gen: a step of 0".to_owned());
        }
        let (far, by) = (i128::from(stop) - i128::from(start), i128::from(step));
        let len = if (far > 0) == (by > 0) { (far.abs() + by.abs() - 1) / by.abs() } else { 0 };
        Ok(Self::Range { start, step, len: u64::try_from(len).unwrap_or(u64::MAX) })
    }

    fn len(&self) -> u64 {
        match self {
            Self::Range { len, .. } => *len,
            Self::List(list) => list.len() as u64,
        }
    }

    fn at(&self, i: u64) -> Term {
        match self {
            Self::Range { start, step, .. } => {
                Term::Number(start.saturating_add(step.saturating_mul(i as i64)))
            }
            Self::List(list) => list.get(i as usize).cloned().unwrap_or(Term::Number(0)),
        }
    }
}

/// The whole document: version 1, or version 0, which is references alone.
struct Top<'t>(&'t mut Table);

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one object of kerchunk references")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut versioned = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "version" => {
                    versioned = true;
                    let version: Value = map.next_value()?;
                    if version != 1 {
                        return Err(A::Error::custom(format!("version is {version}, expected 1")));
                    }
                }
                "refs" => map.next_value_seed(References(self.0))?,
                "templates" => {
                    let templates: BTreeMap<String, Value> = map.next_value()?;
                    for (name, text) in templates {
                        let text = text.as_str().ok_or_else(|| A::Error::custom("a template is no text"))?;
                        self.0.templates.insert(name, text.to_owned());
                    }
                }
                "gen" => self.0.rules = map.next_value()?,
                _ if versioned => drop(map.next_value::<IgnoredAny>()?),
                key => map.next_value_seed(Reference(self.0, key))?,
            }
        }
        Ok(())
    }
}

struct References<'t>(&'t mut Table);

impl<'de> DeserializeSeed<'de> for References<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for References<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of references")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            map.next_value_seed(Reference(self.0, &key))?;
        }
        Ok(())
    }
}

/// One value: text, a span, or metadata as an object.
struct Reference<'t, 'k>(&'t mut Table, &'k str);

impl<'de> DeserializeSeed<'de> for Reference<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reference<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, [url] or [url, offset, length]")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let bytes = match text.strip_prefix("base64:") {
            Some(digits) => crate::zarr::base64(digits)
                .ok_or_else(|| E::custom(format!("{}: what follows \"base64:\" is none", self.1)))?,
            None => text.as_bytes().to_vec(),
        };
        self.0.inline(self.1, bytes).map_err(E::custom)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let wrong = |why: String| A::Error::custom(format!("{}: {why}", self.1));
        let url: String = seq.next_element()?.ok_or_else(|| wrong("an empty list".into()))?;
        let mut number = |name: &str| -> Result<Option<u64>, A::Error> {
            let Some(value) = seq.next_element::<Value>()? else { return Ok(None) };
            value.as_u64().map(Some).ok_or_else(|| wrong(format!("{name} is {value}")))
        };
        let (offset, length) = (number("offset")?, number("length")?);
        if offset.is_some() != length.is_some() || seq.next_element::<IgnoredAny>()?.is_some() {
            return Err(wrong("expected [url] or [url, offset, length]".into()));
        }
        self.0.span(self.1, &url, offset.unwrap_or(0), length).map_err(A::Error::custom)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut object = serde_json::Map::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            object.insert(key, value);
        }
        self.0.inline(self.1, Value::Object(object).to_string().into_bytes()).map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Table, String> {
        Table::read(text.as_bytes())
    }

    #[test]
    fn both_versions_and_generated_references_are_read() {
        let v0 = read(r#"{".zgroup": "{}", "x/0": ["a.nc", 4, 8], "x/1": "base64:AAE=", "x/2": ["a.nc"]}"#)
            .unwrap();
        assert_eq!(
            (v0.spans.len(), v0.inline["x/1"].clone(), v0.urls),
            (2, vec![0, 1], vec!["a.nc".to_owned()])
        );
        let text = r#"{"version": 1, "gen": [{"key": "x/{{i}}.{{j}}", "url": "{{f(c=j)}}", "offset": "{{i * 100 + 8}}",
            "length": "10", "dimensions": {"i": {"stop": 3}, "j": ["a", "b"]}}],
            "templates": {"f": "dir/{{c}}.nc"}, "refs": {".zgroup": {"zarr_format": 2}}}"#;
        let v1 = read(text).unwrap();
        assert_eq!(v1.urls, ["dir/a.nc", "dir/b.nc"]);
        let last = v1.spans.last().unwrap();
        assert_eq!(&v1.keys[last.key.0 as usize..last.key.1 as usize], "x/2.b");
        assert_eq!((last.url, last.offset, last.length), (1, 208, Some(10)));
        assert_eq!(v1.inline[".zgroup"], br#"{"zarr_format":2}"#);
    }

    #[test]
    fn references_that_are_none_are_refused_in_words() {
        for (text, part) in [
            (r#"{"x/0": ["a", -5, 3]}"#, "offset is -5"),
            (r#"{"x/0": ["a", 5]}"#, "expected [url]"),
            (r#"{"x/0": 7}"#, "expected text"),
            (r#"{"version": 2, "refs": {}}"#, "version is 2"),
            (r#"[{"refs": {}}]"#, "one object"),
            (
                r#"{"version": 1, "gen": [{"key": "x/{{i}}", "url": "u", "dimensions": {"i": {"stop": 1000000000}}}]}"#,
                "makes more",
            ),
            (r#"{"version": 1, "templates": {"a": "{{a}}"}, "refs": {"x": ["{{a}}"]}}"#, "deep"),
            (r#"{"x/0": "base64:é"}"#, "base64"),
        ] {
            let error = read(text).err().unwrap_or_default();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
