//! What end-to-end tests need: the real binary, serving a directory of its own.
//!
//! The binary is found by `GRATICULE_BIN`, else where cargo puts it. Sample data
//! beyond what the project ships is found by `GRATICULE_SAMPLE_DATA`, else beside the
//! checkout; a test that needs it and finds none says SKIPPED.

pub mod granules;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Long enough for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The built `graticule`.
///
/// # Panics
/// It has not been built.
pub fn binary() -> PathBuf {
    let built = || {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        target.join("release").join("graticule")
    };
    let path = std::env::var_os("GRATICULE_BIN").map_or_else(built, PathBuf::from);
    assert!(path.exists(), "{}: not built; run `cargo build --release -p graticule`", path.display());
    path
}

/// A file that the project ships, such as `ostia-sst.nc`.
pub fn demo_file(name: &str) -> PathBuf {
    root().join("assets").join("demo").join(name)
}

/// A file of the sample data, or `None` after saying so.
pub fn sample(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("GRATICULE_SAMPLE_DATA")
        .map_or_else(|| root().join("..").join("shared").join("data"), PathBuf::from);
    let found = folder.join(path);
    if found.exists() {
        return Some(found);
    }
    eprintln!("SKIPPED: no {}; GRATICULE_SAMPLE_DATA names the folder of sample data", found.display());
    None
}

/// Runs the binary to its end, free of whatever the environment configures.
///
/// # Panics
/// It cannot be started.
pub fn graticule(args: &[&str]) -> Output {
    command(args).output().expect("the binary starts")
}

fn command(args: &[&str]) -> Command {
    let mut c = Command::new(binary());
    for (key, _) in std::env::vars() {
        if key.starts_with("GRATICULE_") {
            c.env_remove(key);
        }
    }
    c.args(args);
    c
}

/// Ingests a file in the foreground.
///
/// # Panics
/// It is not published.
pub fn ingest(data: &Path, file: &Path, collection: &str) {
    let out = graticule(&[
        "ingest",
        &file.to_string_lossy(),
        "--collection",
        collection,
        "--data",
        &data.to_string_lossy(),
    ]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// A running server; it ends with the value.
pub struct Server {
    child: Child,
    pub url: String,
    pub data: PathBuf,
    _own: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts with an empty data directory of its own.
    pub fn start(args: &[&str]) -> Self {
        Self::start_with(args, |_| {})
    }

    /// Starts with a data directory of its own, which `prepare` fills.
    ///
    /// # Panics
    /// There is no room for a temporary directory.
    pub fn start_with(args: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        prepare(dir.path());
        let mut server = Self::start_in(dir.path(), args);
        server._own = Some(dir);
        server
    }

    /// Starts in a directory that outlives it.
    ///
    /// # Panics
    /// The server does not say that it is ready.
    pub fn start_in(data: &Path, args: &[&str]) -> Self {
        let mut all = vec!["serve", "--bind", "127.0.0.1:0", "--data"];
        let shown = data.to_string_lossy();
        all.push(&shown);
        all.extend(args);
        let mut child =
            command(&all).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("the binary starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("ready at ") {
                    let _ = send.send(url.trim_end_matches('/').to_owned());
                }
            }
        });
        let url = receive.recv_timeout(PATIENCE);
        if url.is_err() {
            let _ = child.kill();
        }
        let url = url.expect("the server says that it is ready");
        Self { child, url, data: data.to_owned(), _own: None }
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send("GET", path, headers, b"")
    }

    /// # Panics
    /// No HTTP response comes.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut response = self.open(method, path, headers, body);
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_str().unwrap_or_default().to_owned()))
            .collect();
        let body = response.body_mut().with_config().limit(1 << 30).read_to_vec().expect("a whole body");
        Reply { status, headers, body }
    }

    fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> ureq::http::Response<ureq::Body> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_connect(Some(PATIENCE))
            .build()
            .into();
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (k, v) in headers {
            request = request.header(*k, *v);
        }
        let sent = if body.is_empty() {
            agent.run(request.body(()).expect("a request"))
        } else {
            agent.run(request.body(body).expect("a request"))
        };
        sent.expect("a response")
    }

    /// Follows `/api/events`: each CloudEvent as it comes.
    pub fn events(&self, query: &str, last_seen: Option<&str>) -> mpsc::Receiver<Value> {
        let headers: Vec<(&str, &str)> = last_seen.map(|id| ("last-event-id", id)).into_iter().collect();
        let response = self.open("GET", &format!("/api/events{query}"), &headers, b"");
        assert_eq!(response.status(), 200);
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            let body: Box<dyn Read> = Box::new(response.into_body().into_reader());
            for line in BufReader::new(body).lines().map_while(Result::ok) {
                if let Some(event) = line.strip_prefix("data:").and_then(|d| serde_json::from_str(d).ok())
                    && send.send(event).is_err()
                {
                    return;
                }
            }
        });
        receive
    }

    /// Asks until `done` says so.
    ///
    /// # Panics
    /// It never does.
    pub fn wait_for(&self, path: &str, done: impl Fn(&Reply) -> bool) -> Reply {
        let start = Instant::now();
        loop {
            let reply = self.get(path);
            if done(&reply) {
                return reply;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{path} stays {}: {}",
                reply.status,
                String::from_utf8_lossy(&reply.body)
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as an operator would, and says whether it ended in order.
    ///
    /// # Panics
    /// There is no `kill`.
    pub fn terminate(&mut self) -> bool {
        let told = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().expect("kill");
        told.success() && self.child.wait().is_ok_and(|s| s.success())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// # Panics
    /// The body is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The problem that this reply must be.
    ///
    /// # Panics
    /// It is none, or has another status.
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let body = self.json();
        assert_eq!(body["status"], status);
        for member in ["type", "title", "detail", "instance"] {
            assert!(body[member].as_str().is_some_and(|s| !s.is_empty()), "no {member}: {body}");
        }
        body
    }
}
