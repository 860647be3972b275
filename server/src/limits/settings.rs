//! `[limits]` of the configuration, as typed and as meant.
//!
//! ```toml
//! [limits]
//! requests_per_second = 100           # of one client; without it, as many as it likes
//! requests_burst = 1000               # ten seconds' worth when absent
//! bytes_per_second = 20_000_000
//! bytes_burst = 400_000_000           # twenty seconds' worth when absent
//! trusted_proxies = ["10.0.0.0/8"]    # whose X-Forwarded-For is believed
//! exempt = ["127.0.0.0/8", "::1"]     # nobody but this machine when absent
//! write_timeout = "60s"               # a reader that takes nothing for so long is let go
//! ```

use std::time::Duration;

use anyhow::{anyhow, ensure};
use serde::Deserialize;

use super::bucket::Rate;
use super::net::Net;
use crate::config::duration;
use crate::keys;

const KEYS: [&str; 7] = [
    "requests_per_second",
    "requests_burst",
    "bytes_per_second",
    "bytes_burst",
    "trusted_proxies",
    "exempt",
    "write_timeout",
];
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1"];
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Seconds' worth of what a client may take at once, unless something else is said.
const REQUESTS_BURST_SECS: u64 = 10;
const BYTES_BURST_SECS: u64 = 20;

/// As typed.
#[derive(Debug, Default, Clone, Deserialize)]
pub struct Typed {
    requests_per_second: Option<u64>,
    requests_burst: Option<u64>,
    bytes_per_second: Option<u64>,
    bytes_burst: Option<u64>,
    #[serde(default)]
    trusted_proxies: Vec<String>,
    exempt: Option<Vec<String>>,
    write_timeout: Option<String>,
}

/// As meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub requests: Option<Rate>,
    pub bytes: Option<Rate>,
    pub trusted: Vec<Net>,
    pub exempt: Vec<Net>,
    pub write_timeout: Duration,
}

/// # Errors
/// A key that is not known.
pub fn check(table: Option<&toml::Value>) -> anyhow::Result<()> {
    let Some(table) = table.and_then(toml::Value::as_table) else { return Ok(()) };
    keys::check("limits.", table.keys(), &KEYS)
}

impl Settings {
    /// # Errors
    /// A rate of nothing, a burst of what has no rate, an address or a time that is none.
    pub fn new(typed: &Typed) -> anyhow::Result<Self> {
        let rate = |what: &str, per_second: Option<u64>, burst: Option<u64>, secs: u64| {
            let Some(per_second) = per_second else {
                ensure!(burst.is_none(), "limits.{what}_burst: expected {what}_per_second beside it");
                return Ok(None);
            };
            ensure!(
                per_second > 0,
                "limits.{what}_per_second: 0 would answer nobody; leave it out for no limit"
            );
            let burst = burst.unwrap_or(per_second.saturating_mul(secs));
            ensure!(burst > 0, "limits.{what}_burst: 0 would answer nobody; expected at least 1");
            Ok(Some(Rate { per_second, burst }))
        };
        let nets = |key: &str, list: &[String]| -> anyhow::Result<Vec<Net>> {
            list.iter().map(|t| Net::parse(t).map_err(|why| anyhow!("limits.{key}: {why}"))).collect()
        };
        let exempt = typed.exempt.clone().unwrap_or_else(|| LOOPBACK.map(str::to_owned).to_vec());
        let write_timeout = match &typed.write_timeout {
            None => WRITE_TIMEOUT,
            Some(text) => duration(text).map_err(|why| anyhow!("limits.write_timeout: {why}"))?,
        };
        ensure!(!write_timeout.is_zero(), "limits.write_timeout: 0 would cut off everybody");
        Ok(Self {
            requests: rate("requests", typed.requests_per_second, typed.requests_burst, REQUESTS_BURST_SECS)?,
            bytes: rate("bytes", typed.bytes_per_second, typed.bytes_burst, BYTES_BURST_SECS)?,
            trusted: nets("trusted_proxies", &typed.trusted_proxies)?,
            exempt: nets("exempt", &exempt)?,
            write_timeout,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Settings> {
        let table: toml::Table = toml::from_str(text)?;
        check(table.get("limits"))?;
        Settings::new(&table["limits"].clone().try_into()?)
    }

    #[test]
    fn nothing_is_limited_unless_it_is_said() {
        let s = Settings::new(&Typed::default()).unwrap();
        assert!(s.requests.is_none() && s.bytes.is_none() && s.trusted.is_empty());
        assert!(s.exempt.iter().any(|n| n.contains("127.0.0.1".parse().unwrap())));
        let s = read("[limits]\nrequests_per_second = 50\nwrite_timeout = \"2s\"").unwrap();
        assert_eq!(s.requests, Some(Rate { per_second: 50, burst: 500 }));
        assert_eq!(s.write_timeout, Duration::from_secs(2));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_its_key() {
        for (bad, why) in [
            ("requests_per_secnd = 1", "did you mean \"limits.requests_per_second\""),
            ("requests_per_second = 0", "limits.requests_per_second: 0"),
            ("bytes_burst = 10", "bytes_per_second beside it"),
            ("trusted_proxies = [\"proxy\"]", "limits.trusted_proxies: \"proxy\""),
            ("write_timeout = \"soon\"", "limits.write_timeout"),
        ] {
            let e = read(&format!("[limits]\n{bad}")).unwrap_err().to_string();
            assert!(e.contains(why), "{bad}: {e}");
        }
    }
}
