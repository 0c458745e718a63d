//! Callers that keep their connections open and write down whatever goes wrong: HTTP/1.1 with and without bodies, and gRPC.
//!
//! They do what the RFCs ask of a client and no more: a response that says `Connection: close` ends the connection (RFC 9112
//! section 9.6), and after GOAWAY requests go on another one (RFC 9113 section 6.8). Nothing is sent twice.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;

use crate::http;

/// Between two requests of one caller.
const PAUSE: Duration = Duration::from_millis(3);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Callers at work.
#[derive(Debug)]
pub struct Callers {
    stop: Arc<AtomicBool>,
    http1: Arc<AtomicU64>,
    grpc: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// HTTP/1.1 requests made.
    pub http1: u64,
    /// gRPC calls made.
    pub grpc: u64,
    /// What went wrong, each with when and how.
    pub failed: Vec<String>,
}

impl Callers {
    /// Starts so many callers of either kind through `outbound`, to these authorities.
    pub fn start(
        outbound: SocketAddr,
        (http1, authority): (usize, &str),
        (grpc, service): (usize, &str),
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (http1_made, grpc_made) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let mut threads = Vec::new();
        for number in 0..http1 {
            let (stop, made, authority) = (stop.clone(), http1_made.clone(), authority.to_owned());
            threads.push(std::thread::spawn(move || call_http1(outbound, &authority, number, &stop, &made)));
        }
        if grpc > 0 {
            let (stop, made, service) = (stop.clone(), grpc_made.clone(), service.to_owned());
            threads.push(std::thread::spawn(move || call_grpc(outbound, &service, grpc, &stop, &made)));
        }
        Self { stop, http1: http1_made, grpc: grpc_made, threads }
    }

    /// Requests made so far.
    pub fn made(&self) -> u64 {
        self.http1.load(Ordering::Relaxed) + self.grpc.load(Ordering::Relaxed)
    }

    /// Stops them all.
    pub fn end(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let failed = self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let read = |made: &AtomicU64| made.load(Ordering::Relaxed);
        Outcome { http1: read(&self.http1), grpc: read(&self.grpc), failed }
    }
}

fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A request in one of four shapes, and what its answer is to say.
fn request(authority: &str, number: u64) -> (Vec<u8>, String) {
    let body: Vec<u8> = (0..3000).map(|at| (at as u64 + number) as u8).collect();
    let head =
        |method: &str, more: &str| format!("{method} /{number} HTTP/1.1\r\nhost: {authority}\r\n{more}\r\n");
    let mut bytes;
    match number % 4 {
        0 => bytes = head("GET", "").into_bytes(),
        1 => {
            bytes = head("POST", "content-length: 3000\r\n").into_bytes();
            bytes.extend_from_slice(&body);
        }
        2 => {
            bytes = head("POST", "transfer-encoding: chunked\r\n").into_bytes();
            for chunk in body.chunks(1000) {
                bytes.extend_from_slice(b"3e8\r\n");
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        }
        _ => {
            bytes = head("PUT", "content-length: 5\r\n").into_bytes();
            bytes.extend_from_slice(b"hello");
        }
    }
    let length = match number % 4 {
        0 => 0,
        3 => 5,
        _ => 3000,
    };
    (bytes, format!("/{number} {length}"))
}

#[allow(clippy::disallowed_methods, reason = "tests of real processes wait in real time")]
fn call_http1(
    to: SocketAddr,
    authority: &str,
    caller: usize,
    stop: &AtomicBool,
    made: &AtomicU64,
) -> Vec<String> {
    let mut failed = Vec::new();
    let mut stream = None;
    let mut number = caller as u64;
    while !stop.load(Ordering::Relaxed) {
        made.fetch_add(1, Ordering::Relaxed);
        number += 1;
        let mut fail = |how: String| failed.push(format!("http1 caller {caller}, request {number}: {how}"));
        let (bytes, expected) = request(authority, number);
        let reused = stream.is_some();
        let answer = stream.take().map_or_else(|| connect(to), Ok).and_then(|mut stream: TcpStream| {
            stream.write_all(&bytes)?;
            Ok((http::read(&mut stream)?, stream))
        });
        match answer {
            Ok((answer, open)) => {
                if answer.status != 200 || answer.text() != expected {
                    fail(format!("{} {}", answer.status, answer.text()));
                }
                let closing =
                    answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
                stream = Some(open).filter(|_| !closing);
            }
            Err(error) => fail(format!("{error} (connection reused: {reused})")),
        }
        std::thread::sleep(PAUSE);
    }
    failed
}

/// As many calls at a time as there are callers, on one connection for every two of them.
fn call_grpc(
    to: SocketAddr,
    authority: &str,
    callers: usize,
    stop: &AtomicBool,
    made: &AtomicU64,
) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(async {
        let pairs = (0..callers.div_ceil(2)).map(|pair| async move {
            let shared = tokio::sync::Mutex::new(None);
            let first = grpc_caller(to, authority, 2 * pair, &shared, stop, made);
            let second = grpc_caller(to, authority, 2 * pair + 1, &shared, stop, made);
            if 2 * pair + 1 == callers {
                return first.await;
            }
            let (mut first, mut second) = tokio::join!(first, second);
            first.append(&mut second);
            first
        });
        // All on this thread, side by side.
        let mut failed = Vec::new();
        for pair in futures_util::future::join_all(pairs).await {
            failed.extend(pair);
        }
        failed
    }))
}

type Shared = tokio::sync::Mutex<Option<SendRequest<Bytes>>>;

async fn grpc_caller(
    to: SocketAddr,
    authority: &str,
    caller: usize,
    shared: &Shared,
    stop: &AtomicBool,
    made: &AtomicU64,
) -> Vec<String> {
    let mut failed = Vec::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        made.fetch_add(1, Ordering::Relaxed);
        let called = tokio::time::timeout(PATIENCE, async {
            let sender = sender(to, shared).await?;
            call(sender, authority, number).await
        });
        let called = called.await.unwrap_or_else(|_| Err("no answer".to_owned()));
        if let Err(how) = called {
            failed.push(format!("grpc caller {caller}, call {number}: {how}"));
        }
        tokio::time::sleep(PAUSE).await;
    }
    failed
}

/// The connection, if it still takes requests; otherwise a new one.
async fn sender(to: SocketAddr, shared: &Shared) -> Result<SendRequest<Bytes>, String> {
    let mut shared = shared.lock().await;
    if let Some(sender) = shared.take()
        && let Ok(sender) = sender.ready().await
    {
        *shared = Some(sender.clone());
        return sender.ready().await.map_err(|error| format!("a connection that was ready is not: {error}"));
    }
    let stream = tokio::net::TcpStream::connect(to).await.map_err(|error| format!("connect: {error}"))?;
    stream.set_nodelay(true).map_err(|error| format!("connect: {error}"))?;
    let (sender, connection) =
        h2::client::handshake(stream).await.map_err(|error| format!("handshake: {error}"))?;
    // How it ends is told to each call.
    tokio::task::spawn_local(async move { drop(connection.await) });
    *shared = Some(sender.clone());
    sender.ready().await.map_err(|error| format!("a new connection: {error}"))
}

async fn call(mut sender: SendRequest<Bytes>, authority: &str, number: u64) -> Result<(), String> {
    let request = ::http::Request::post(format!("http://{authority}/weir.test.Echo/Unary"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (response, mut stream) =
        sender.send_request(request, false).map_err(|error| format!("send: {error}"))?;
    let text = format!("message {number}").repeat(20);
    let mut message = vec![0];
    message.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
    message.extend_from_slice(text.as_bytes());
    let half = message.len() / 2;
    let message = Bytes::from(message);
    let said = |what: &'static str| move |error: h2::Error| format!("{what}: {error}");
    stream.send_data(message.slice(..half), false).map_err(said("first half"))?;
    // The halves travel apart.
    tokio::task::yield_now().await;
    stream.send_data(message.slice(half..), true).map_err(said("second half"))?;
    let response = response.await.map_err(said("response"))?;
    let (head, mut body) = response.into_parts();
    let mut echoed = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(said("body"))?;
        let _ = body.flow_control().release_capacity(chunk.len());
        echoed.extend_from_slice(&chunk);
    }
    let trailers = body.trailers().await.map_err(said("trailers"))?;
    let status = trailers.as_ref().unwrap_or(&head.headers).get("grpc-status").cloned();
    match status {
        Some(status) if status == "0" && head.status == 200 && echoed == message => Ok(()),
        status => {
            let text = head.headers.get("grpc-message").cloned();
            Err(format!("{} grpc-status {status:?} {text:?} after {} bytes", head.status, echoed.len()))
        }
    }
}
