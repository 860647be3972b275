//! `[source]`: where files come from, and what their names say.

use std::path::Path;
use std::time::Duration;

use graticule_shared::time::{Calendar, CfTime};
use toml::Value;

use super::pattern::Pattern;
use super::section::{Section, from_here};
use super::span::Span;

const KEYS: [&str; 8] = ["pattern", "root", "concurrency", "retries", "start", "end", "step", "sha256"];
const RETRIES: [&str; 2] = ["attempts", "backoff"];
/// More names than this are asked for in parts.
const MOST_NAMES: u32 = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retries {
    pub attempts: u32,
    /// Rest after the first failure; twice as long after each further one.
    pub backoff: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 5, backoff: Duration::from_secs(2) }
    }
}

/// Instants from `start` to `end`, both included, `step` apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    pub start: CfTime,
    pub end: CfTime,
    pub step: Span,
}

impl Range {
    pub fn instants(&self) -> impl Iterator<Item = CfTime> + '_ {
        (0..MOST_NAMES).map_while(|n| self.step.after(self.start, n)).take_while(|t| *t <= self.end)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub pattern: Option<Pattern>,
    /// A folder or a URL; where the recipe lies when it is not given.
    pub root: Option<String>,
    /// Downloads at once.
    pub concurrency: usize,
    pub retries: Retries,
    pub range: Option<Range>,
    /// A file of checksums, a line each: SHA-256 in hexadecimal, and the name.
    pub sha256: Option<String>,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            pattern: None,
            root: None,
            concurrency: 4,
            retries: Retries::default(),
            range: None,
            sha256: None,
        }
    }
}

impl Source {
    pub const fn keys() -> &'static [&'static str] {
        &KEYS
    }

    pub fn read(s: &Section<'_>, base: &Path) -> anyhow::Result<Self> {
        let mut out = Self::default();
        if let Some(text) = s.text("pattern")? {
            let pattern = Pattern::parse(&text).map_err(|e| anyhow::anyhow!("{}: {e}", s.path("pattern")))?;
            out.pattern = Some(pattern);
        }
        if let Some(root) = s.text("root")? {
            if let Some((scheme, _)) = root.split_once("://")
                && !["http", "https", "s3", "file"].contains(&scheme)
            {
                return Err(s.wrong("root", "a folder, or a URL of http://, https:// or s3://"));
            }
            out.root = Some(from_here(base, root.strip_prefix("file://").unwrap_or(&root)));
        }
        out.sha256 = s.text("sha256")?.map(|p| {
            let beside = out.root.as_deref().filter(|r| r.contains("://"));
            match beside {
                Some(root) if !p.contains("://") && !base.join(&p).exists() => {
                    format!("{}/{p}", root.trim_end_matches('/'))
                }
                _ => from_here(base, &p),
            }
        });
        if let Some(n) = s.whole("concurrency", 1, 64)? {
            out.concurrency = usize::try_from(n).unwrap_or(1);
        }
        if let Some(r) = s.table("retries", &RETRIES)? {
            if let Some(n) = r.whole("attempts", 1, 100)? {
                out.retries.attempts = u32::try_from(n).unwrap_or(1);
            }
            if let Some(text) = r.text("backoff")? {
                out.retries.backoff = match Span::parse(&text) {
                    Ok(Span::Seconds(s)) if s <= 3600.0 => Duration::from_secs_f64(s),
                    Ok(_) => return Err(r.wrong("backoff", "at most 1h")),
                    Err(e) => anyhow::bail!("{}: {e}", r.path("backoff")),
                };
            }
        }
        let instant = |key: &str| -> anyhow::Result<Option<CfTime>> {
            let text = match s.get(key) {
                None => return Ok(None),
                Some(Value::Datetime(d)) => d.to_string(),
                Some(Value::String(t)) => t.clone(),
                Some(_) => return Err(s.wrong(key, "an ISO 8601 time")),
            };
            CfTime::parse(&text, Calendar::Standard)
                .map(Some)
                .map_err(|e| anyhow::anyhow!("{}: {e}", s.path(key)))
        };
        out.range = match (instant("start")?, instant("end")?, s.text("step")?) {
            (None, None, None) => None,
            (Some(start), Some(end), step) if start <= end => {
                let text = step.as_deref().unwrap_or("1d");
                let step = Span::parse(text).map_err(|e| anyhow::anyhow!("{}: {e}", s.path("step")))?;
                Some(Range { start, end, step })
            }
            (Some(_), Some(_), _) => return Err(s.wrong("end", "a time that is not before start")),
            (None, ..) => return Err(s.wrong("start", "an ISO 8601 time, as end or step is given")),
            (_, None, _) => return Err(s.wrong("end", "an ISO 8601 time, as start is given")),
        };
        Ok(out)
    }
}
