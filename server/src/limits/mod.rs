//! What one client may take: so many requests, and so many bytes.
//!
//! Off unless configured (docs/decisions/014-limits-are-off.md). A grid server's cost is bytes more than
//! requests, so both are counted, each in a token bucket of its own. A response goes out whole when
//! there is anything left in the bucket of bytes, and what it took beyond that is paid for by waiting.
//! The path of a chunk takes no lock that others wait for: a client's buckets are found once a
//! connection, and are two atomics.

mod bucket;
mod net;
mod settings;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use futures::StreamExt;
use quick_cache::sync::Cache;

pub use settings::{Settings, Typed, check};

use crate::problem::{Kind, Problem};
use bucket::{Bucket, Rate};

/// Clients remembered; beyond that the ones least heard of are forgotten, and begin anew.
const KEPT_CLIENTS: usize = 65_536;
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const FORWARDED_FOR: &str = "x-forwarded-for";

/// What a client has taken.
#[derive(Debug, Default)]
pub struct Client {
    requests: Bucket,
    bytes: Bucket,
}

pub struct Limits {
    settings: Settings,
    clients: Cache<IpAddr, Arc<Client>>,
    started: Instant,
    policy: Option<HeaderValue>,
}

/// Whom a connection is from.
#[derive(Clone)]
pub enum Peer {
    /// Nobody counts what it takes.
    Free,
    Client(Arc<Client>),
    /// Each request says whom it is from.
    Proxy,
}

impl Limits {
    /// `None` where nothing is limited.
    pub fn new(settings: &Settings) -> Option<Self> {
        if settings.requests.is_none() && settings.bytes.is_none() {
            return None;
        }
        let policies =
            [("requests", "", settings.requests), ("bytes", ";qu=\"content-bytes\"", settings.bytes)];
        let policies = policies.into_iter().filter_map(|(name, unit, rate)| {
            let rate = rate?;
            Some(format!("\"{name}\";q={}{unit};w={}", rate.burst, rate.window_secs()))
        });
        Some(Self {
            settings: settings.clone(),
            clients: Cache::new(KEPT_CLIENTS),
            started: Instant::now(),
            policy: HeaderValue::try_from(policies.collect::<Vec<_>>().join(", ")).ok(),
        })
    }

    /// Whom a connection from this address is from.
    pub fn peer(&self, address: IpAddr) -> Peer {
        if self.settings.trusted.iter().any(|n| n.contains(address)) {
            return Peer::Proxy;
        }
        self.client(address)
    }

    fn client(&self, address: IpAddr) -> Peer {
        if self.settings.exempt.iter().any(|n| n.contains(address)) {
            return Peer::Free;
        }
        let found = self
            .clients
            .get_or_insert_with(&net::client(address), || Ok::<_, std::convert::Infallible>(Arc::default()));
        match found {
            Ok(client) => Peer::Client(client),
            Err(never) => match never {},
        }
    }

    /// The nearest address that no trusted proxy has; a list that is none is as good as absent.
    fn forwarded(&self, headers: &HeaderMap) -> Peer {
        let lists: Vec<&str> =
            headers.get_all(FORWARDED_FOR).iter().filter_map(|v| v.to_str().ok()).collect();
        let addresses = lists.iter().rev().flat_map(|l| l.rsplit(','));
        for text in addresses {
            match address(text) {
                Some(a) if self.settings.trusted.iter().any(|n| n.contains(a)) => {}
                Some(a) => return self.client(a),
                None => {
                    static SAID: std::sync::Once = std::sync::Once::new();
                    let text: String = text.chars().take(80).collect();
                    SAID.call_once(|| {
                        tracing::warn!(
                            header = FORWARDED_FOR,
                            text,
                            "a proxy names no address: its clients have no limits"
                        );
                    });
                    break;
                }
            }
        }
        // The proxy itself asks, or hides for whom: nobody else pays for that.
        Peer::Free
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Whether a request may be answered; whom to [charge](Self::charge) for the answer.
    ///
    /// # Errors
    /// 429: the client has taken what it may.
    pub fn admit(&self, peer: &Peer, headers: &HeaderMap) -> Result<Option<Arc<Client>>, Problem> {
        let found;
        let peer = match peer {
            Peer::Proxy => {
                found = self.forwarded(headers);
                &found
            }
            known => known,
        };
        let Peer::Client(client) = peer else { return Ok(None) };
        let now = self.now();
        if let Some(rate) = &self.settings.bytes {
            client.bytes.has_any(rate, now).map_err(|wait| self.refusal(client, "bytes", rate, wait, now))?;
        }
        if let Some(rate) = &self.settings.requests {
            let taken = client.requests.take(rate, 1, now);
            taken.map_err(|wait| self.refusal(client, "requests", rate, wait, now))?;
        }
        Ok(Some(Arc::clone(client)))
    }

    fn refusal(
        &self,
        client: &Client,
        what: &'static str,
        rate: &Rate,
        wait_nanos: u64,
        now: u64,
    ) -> Problem {
        let secs = wait_nanos.div_ceil(1_000_000_000).max(1);
        let detail = format!(
            "This address may take {} {what} per second and {} at once, and has; again in {secs} s.",
            rate.per_second, rate.burst
        );
        let mut problem = Problem::new(Kind::TooManyRequests, detail)
            .with("limit", what)
            .header(header::RETRY_AFTER, HeaderValue::from(secs));
        for (name, value) in self.headers(client, now) {
            problem = problem.header(name, value);
        }
        problem
    }

    /// Counts an answer, whose body may still be made, and says in its head what is left.
    pub fn charge(self: &Arc<Self>, client: Arc<Client>, response: Response<Body>) -> Response<Body> {
        let (mut parts, mut body) = response.into_parts();
        let now = self.now();
        if let Some(rate) = &self.settings.bytes {
            let said = || parts.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
            match body.size_hint().exact().or_else(said) {
                Some(n) => client.bytes.owe(rate, n, now),
                None => {
                    let (limits, client) = (Arc::clone(self), Arc::clone(&client));
                    body = Body::from_stream(body.into_data_stream().inspect(move |frame| {
                        if let (Ok(frame), Some(rate)) = (frame, &limits.settings.bytes) {
                            client.bytes.owe(rate, frame.len() as u64, limits.now());
                        }
                    }));
                }
            }
        }
        for (name, value) in self.headers(&client, now) {
            parts.headers.insert(name, value);
        }
        Response::from_parts(parts, body)
    }

    /// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
    fn headers(&self, client: &Client, now: u64) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let both = [
            ("requests", self.settings.requests, &client.requests),
            ("bytes", self.settings.bytes, &client.bytes),
        ];
        let levels = both.into_iter().filter_map(|(name, rate, bucket)| {
            let level = bucket.level(&rate?, now);
            Some(format!("\"{name}\";r={};t={}", level.left, level.reset_secs))
        });
        let levels = HeaderValue::try_from(levels.collect::<Vec<_>>().join(", ")).ok();
        let policy = self.policy.clone().map(|p| (RATE_LIMIT_POLICY, p));
        policy.into_iter().chain(levels.map(|l| (RATE_LIMIT, l)))
    }
}

/// An address as proxies write it: some with a port, version 6 in brackets then, or quoted.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let port = || text.parse::<std::net::SocketAddr>().ok().map(|a| a.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(port).or_else(bracketed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(text: &str) -> Arc<Limits> {
        let typed: Typed = toml::from_str(text).unwrap();
        Arc::new(Limits::new(&Settings::new(&typed).unwrap()).unwrap())
    }
    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
    fn from(list: &str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(FORWARDED_FOR), list.parse().unwrap())])
    }

    #[test]
    fn a_client_that_took_its_requests_waits_and_others_do_not() {
        let limits = limits("requests_per_second = 1\nrequests_burst = 2");
        let (one, other) = (limits.peer(ip("192.0.2.1")), limits.peer(ip("192.0.2.2")));
        let none = HeaderMap::new();
        assert!(limits.admit(&one, &none).is_ok() && limits.admit(&one, &none).is_ok());
        let refused = limits.admit(&one, &none).unwrap_err();
        assert_eq!(refused.kind, Kind::TooManyRequests);
        let said = |name: HeaderName| refused.headers.iter().find(|(n, _)| *n == name).unwrap().1.clone();
        assert_eq!(said(header::RETRY_AFTER), "1");
        assert_eq!(said(RATE_LIMIT_POLICY), "\"requests\";q=2;w=2");
        assert_eq!(said(RATE_LIMIT), "\"requests\";r=0;t=2");
        assert!(limits.admit(&other, &none).is_ok());
        // Another connection of the same client is the same client.
        assert!(limits.admit(&limits.peer(ip("192.0.2.1")), &none).is_err());
        assert!(limits.admit(&limits.peer(ip("127.0.0.1")), &none).unwrap().is_none());
    }

    #[tokio::test]
    async fn bytes_are_counted_whether_their_number_is_known_or_not() {
        let limits = limits("bytes_per_second = 1000\nbytes_burst = 1000");
        let none = HeaderMap::new();
        for known in [true, false] {
            let peer = limits.peer(ip(if known { "192.0.2.1" } else { "192.0.2.2" }));
            let client = limits.admit(&peer, &none).unwrap().unwrap();
            let body = if known {
                Body::from(vec![0; 5000])
            } else {
                Body::from_stream(futures::stream::iter([
                    Ok::<_, std::io::Error>(vec![0; 2500]),
                    Ok(vec![0; 2500]),
                ]))
            };
            let sent = limits.charge(client, Response::new(body));
            assert!(sent.headers()[RATE_LIMIT].to_str().unwrap().starts_with("\"bytes\";r="));
            assert_eq!(axum::body::to_bytes(sent.into_body(), 10_000).await.unwrap().len(), 5000);
            let refused = limits.admit(&peer, &none).unwrap_err();
            let (_, after) = refused.headers.iter().find(|(n, _)| *n == header::RETRY_AFTER).unwrap();
            assert!(["4", "5"].contains(&after.to_str().unwrap()), "{after:?}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_says_for_whom_it_asks() {
        let limits =
            limits("requests_per_second = 1\nrequests_burst = 1\ntrusted_proxies = [\"10.0.0.0/8\"]");
        let proxy = limits.peer(ip("10.0.0.1"));
        assert!(limits.admit(&proxy, &from("192.0.2.1")).is_ok());
        // What a client claims stands before what the proxy saw.
        assert!(limits.admit(&proxy, &from("198.51.100.7, 192.0.2.1, 10.0.0.2")).is_err());
        assert!(limits.admit(&proxy, &from("192.0.2.2")).is_ok());
        let direct = limits.peer(ip("192.0.2.3"));
        assert!(limits.admit(&direct, &from("192.0.2.4")).is_ok());
        assert!(limits.admit(&direct, &from("192.0.2.5")).is_err());
        assert!(limits.admit(&proxy, &from("nonsense")).unwrap().is_none());
    }
}
