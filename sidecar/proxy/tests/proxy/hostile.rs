//! Tables of malformed and ambiguous input, each row with exactly what has to come of it.
//!
//! Behind the proxy an upstream writes down every byte it gets, so that a request that means two things would be seen. Between
//! rows a connection that has nothing to do with them makes a request: it has to work, and what it sends has to be the next thing the
//! upstream sees. At the end of a table the process must not have grown by more than the table may cost.

mod http1;
mod http2;
mod responses;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use weir_model::HttpVersion;

use crate::support::*;

/// How much a table may leave behind in this process, which runs other tests beside it.
const GROWTH: usize = 96 * 1024 * 1024;

/// What the healthy connection sends, as the upstream sees it.
const HEALTHY: &str = "GET /healthy HTTP/1.1\r\nhost: healthy\r\n\r\n";

/// What the upstream has to have seen of a row.
#[derive(Clone, Debug)]
pub enum Seen {
    /// Exactly this.
    Exactly(String),
    /// This, any number of times.
    Repeatedly(String),
    /// At most the beginning of one request, which never became whole.
    Part,
}

impl Seen {
    pub const fn nothing() -> Seen {
        Seen::Exactly(String::new())
    }
}

/// An upstream that writes down what it gets and answers each whole request with `ok`.
pub struct Recorder {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Recorder {
    pub async fn start() -> Recorder {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<u8>>>::default();
        let shared = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(record(stream, shared.clone()));
            }
        });
        Recorder { address, seen, task }
    }

    /// What was seen since the last time.
    pub fn take(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.seen.lock().unwrap())).into_owned()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn record(mut stream: TcpStream, seen: Arc<Mutex<Vec<u8>>>) {
    let mut unanswered = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        seen.lock().unwrap().extend_from_slice(&buffer[..read]);
        unanswered.extend_from_slice(&buffer[..read]);
        while let Some(end) = whole(&unanswered) {
            let body = if unanswered.starts_with(b"HEAD ") { "" } else { "ok" };
            unanswered.drain(..end);
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{body}");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// Where the first request ends, if it is whole. What the proxy writes is plain, so a plain reading will do.
pub fn whole(bytes: &[u8]) -> Option<usize> {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let head = text.find("\r\n\r\n")? + 4;
    if field(&text[..head], "transfer-encoding").is_some() {
        let mut at = head;
        loop {
            let line = text[at..].find("\r\n")?;
            let size = usize::from_str_radix(&text[at..at + line], 16).ok()?;
            at += line + 2;
            if size == 0 {
                break;
            }
            at += size + 2;
            text.get(at..)?;
        }
        while !text[at..].starts_with("\r\n") {
            at += text[at..].find("\r\n")? + 2;
        }
        return Some(at + 2);
    }
    let length = field(&text[..head], "content-length").map_or(0, |length| length.parse().unwrap());
    (bytes.len() >= head + length).then_some(head + length)
}

/// A proxy, what is behind it, and what must not suffer.
pub struct Bench {
    pub proxy: Proxy,
    pub recorder: Recorder,
    healthy: Peer,
    before: usize,
    failures: Vec<String>,
    rows: usize,
}

impl Bench {
    pub async fn start() -> Bench {
        let recorder = Recorder::start().await;
        let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[recorder.address]));
        let healthy = Peer::connect(proxy.inbound).await;
        let mut bench = Bench { proxy, recorder, healthy, before: 0, failures: Vec::new(), rows: 0 };
        assert_eq!(bench.settle().await, "");
        bench.before = resident();
        bench
    }

    /// What the upstream saw since the last time, after a healthy request has gone through behind it.
    pub async fn settle(&mut self) -> String {
        self.healthy.send("GET /healthy HTTP/1.1\r\nHost: healthy\r\n\r\n").await;
        let (head, body) = self.healthy.message().await;
        assert!(head.starts_with("HTTP/1.1 200 ") && body == "ok", "the healthy connection suffers: {head}");
        let seen = self.recorder.take();
        match seen.strip_suffix(HEALTHY) {
            Some(before) => before.to_owned(),
            None => format!("{seen} (and the healthy request is not its end)"),
        }
    }

    /// Notes whether a row went as it should.
    pub async fn judge(&mut self, name: &str, wrong: Option<String>, expected: &Seen) {
        self.rows += 1;
        let seen = self.settle().await;
        let right = match expected {
            Seen::Exactly(expected) => seen == *expected,
            Seen::Repeatedly(one) => seen.replace(one, "").is_empty(),
            Seen::Part => {
                seen.is_empty()
                    || (seen.starts_with("POST / HTTP/1.1\r\n") && whole(seen.as_bytes()).is_none())
            }
        };
        if let Some(wrong) = wrong {
            self.failures.push(format!("{name}: {wrong}"));
        }
        if !right {
            self.failures.push(format!("{name}: the upstream saw {seen:?}, not {expected:?}"));
        }
    }

    /// The end of a table of at least so many rows.
    pub fn finish(self, at_least: usize) {
        assert!(
            self.failures.is_empty(),
            "{} of {} rows:\n{}",
            self.failures.len(),
            self.rows,
            self.failures.join("\n")
        );
        assert!(self.rows >= at_least, "{} rows", self.rows);
        let grown = resident().saturating_sub(self.before);
        assert!(grown <= GROWTH, "{grown} bytes more than before");
    }
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
