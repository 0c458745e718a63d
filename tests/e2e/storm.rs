//! A backend that fails every other time, under full load: however many callers stand in a chain before it and however often each of them may
//! try again, it sees at most a quarter more than what is offered, if the applications between hand on what the sidecars tell each other or, as most do,
//! their trace context and nothing else. Where they hand on neither it sees more, which is what it is for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use weir_tests::{ControlPlane, Sidecar, eventually, http};

/// Callers at once: enough that a fifth of them is more than the retries that are always allowed.
const CALLERS: usize = 40;
/// How long the backend takes for each request.
const WORK: Duration = Duration::from_millis(150);
/// How long there is load.
const LOAD: Duration = Duration::from_secs(4);
/// The services of the chain in order; the last one is the backend.
const CHAIN: [&str; 4] = ["one", "two", "three", "four"];

fn manifest() -> String {
    let service = |name: &&str| {
        format!(
            "apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80, appProtocol: http}}]}}
---
apiVersion: weir.dev/v1
kind: TrafficPolicy
metadata: {{name: {name}, namespace: default}}
spec:
  targetRefs: [{{group: \"\", kind: Service, name: {name}}}]
  retries: {{attempts: 3, on: [\"5xx\"], backoff: {{base: 5ms, max: 20ms}}}}
---
"
        )
    };
    CHAIN.iter().map(service).collect()
}

/// What an application does with a request: the fields it was called with, and its answer with fields of its own.
type Serve = dyn Fn(&[String]) -> (u16, String) + Send + Sync;

/// An HTTP/1.1 server with a thread for each connection.
struct App {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl App {
    /// `connect` makes what serves one connection.
    fn start(connect: impl Fn() -> Box<Serve> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let serve = connect();
                std::thread::spawn(move || answer_all(stream, &serve));
            }
        });
        Self { address, stop }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _woken = TcpStream::connect(self.address);
    }
}

fn answer_all(stream: TcpStream, serve: &Serve) {
    let Ok(mut out) = stream.try_clone() else { return };
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(_request) = lines.next() {
        let fields: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let (status, own) = serve(&fields);
        let answer = format!("HTTP/1.1 {status} OK\r\n{own}content-length: 0\r\n\r\n");
        if out.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Fails half of the requests, and counts all of them.
fn backend(asked: Arc<AtomicU64>) -> App {
    App::start(move || {
        let asked = Arc::clone(&asked);
        Box::new(move |_| {
            let count = asked.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(WORK);
            // Without order, so that a retry is as likely to fail as anything else.
            let draw = (count + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63;
            (if draw == 0 { 200 } else { 503 }, String::new())
        })
    })
}

/// What applications hand on from the requests they serve to those they make, and back: nothing.
const NOTHING: u8 = 0;
/// What the sidecars tell each other.
const MARKS: u8 = 1;
/// Their trace context, which says nothing on the way back.
const TRACES: u8 = 2;

/// Calls the next service through its sidecar and fails as that does.
fn middle(
    next: &'static str,
    outbound: Arc<std::sync::OnceLock<SocketAddr>>,
    hands_on: Arc<AtomicU8>,
) -> App {
    App::start(move || {
        let outbound = *outbound.wait();
        let stream = std::sync::Mutex::new(TcpStream::connect(outbound).unwrap());
        let hands_on = Arc::clone(&hands_on);
        Box::new(move |fields| {
            let hands_on = hands_on.load(Ordering::Relaxed);
            let handed_on = |line: &&String| match hands_on {
                MARKS => line.to_ascii_lowercase().starts_with("x-weir-attempt:"),
                TRACES => line.to_ascii_lowercase().starts_with("traceparent:"),
                _ => false,
            };
            let kept: String = fields.iter().filter(handed_on).map(|line| format!("{line}\r\n")).collect();
            let stream = &mut *stream.lock().unwrap();
            let request = format!("GET / HTTP/1.1\r\nhost: {next}\r\n{kept}\r\n");
            let answer = stream.write_all(request.as_bytes()).and_then(|()| http::read(stream)).unwrap();
            let told = answer.header("x-weir-no-retry").filter(|_| hands_on == MARKS);
            (answer.status, told.map(|reason| format!("x-weir-no-retry: {reason}\r\n")).unwrap_or_default())
        })
    })
}

/// Calls a service with all callers for a while; how many calls were made.
fn load(outbound: SocketAddr, host: &'static str) -> u64 {
    static TRACES: AtomicU64 = AtomicU64::new(1);
    let until = Instant::now() + LOAD;
    let caller = move |_| {
        std::thread::spawn(move || {
            let mut stream = TcpStream::connect(outbound).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut calls = 0;
            while Instant::now() < until {
                let trace = TRACES.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let parent = format!("traceparent: 00-{trace:016x}{trace:016x}-{trace:016x}-00");
                write!(stream, "GET / HTTP/1.1\r\nhost: {host}\r\n{parent}\r\n\r\n").unwrap();
                let answer = http::read(&mut stream).unwrap();
                assert!(matches!(answer.status, 200 | 503), "{} {}", answer.status, answer.text());
                calls += 1;
            }
            calls
        })
    };
    let threads: Vec<_> = (0..CALLERS).map(caller).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
}

fn sidecar(dir: &Path, xds: SocketAddr, name: &str, app: &App) -> Sidecar {
    let (inbound, label) = (format!("127.0.0.1:0={}", app.address), format!("app={name}"));
    let service = format!("default/{name}");
    let args = ["--service", &service, "--label", &label, "--inbound", &inbound, "--outbound", "127.0.0.1:0"];
    Sidecar::start(dir, name, xds, &args)
}

#[test]
fn a_failing_backend_sees_at_most_a_quarter_more() {
    let dir = tempfile::tempdir().unwrap();
    let plane = ControlPlane::start(dir.path());
    plane.apply(&manifest());
    let asked = Arc::new(AtomicU64::new(0));
    let hands_on = Arc::new(AtomicU8::new(MARKS));
    let mut apps = Vec::new();
    let mut sidecars = Vec::new();
    for (index, name) in CHAIN.into_iter().enumerate() {
        let outbound = Arc::new(std::sync::OnceLock::new());
        let app = match CHAIN.get(index + 1) {
            Some(next) => middle(next, Arc::clone(&outbound), Arc::clone(&hands_on)),
            None => backend(Arc::clone(&asked)),
        };
        let sidecar = sidecar(dir.path(), plane.xds, name, &app);
        outbound.set(sidecar.outbound.unwrap()).unwrap();
        apps.push(app);
        sidecars.push(sidecar);
    }
    let front = Sidecar::start(
        dir.path(),
        "front",
        plane.xds,
        &["--service", "default/front", "--outbound", "127.0.0.1:0"],
    );
    let outbound = front.outbound.unwrap();
    for host in [CHAIN[0], CHAIN[3]] {
        eventually(&format!("{host} answers"), Duration::from_secs(20), || {
            http::get(outbound, host, "/").is_ok_and(|answer| answer.status == 200)
        });
    }
    let ratio = |host: &'static str| {
        let before = asked.load(Ordering::Relaxed);
        let offered = load(outbound, host);
        let seen = asked.load(Ordering::Relaxed) - before;
        let ratio = seen as f64 / offered as f64;
        println!("{host}: {offered} calls offered, {seen} seen by the backend: {ratio:.3}");
        ratio
    };
    let direct = ratio(CHAIN[3]);
    assert!((1.05..=1.25).contains(&direct), "one hop: {direct}");
    let chain = ratio(CHAIN[0]);
    assert!((1.05..=1.25).contains(&chain), "four hops: {chain}");
    hands_on.store(TRACES, Ordering::Relaxed);
    let traced = ratio(CHAIN[0]);
    assert!((1.05..=1.25).contains(&traced), "four hops with a trace context: {traced}");
    hands_on.store(NOTHING, Ordering::Relaxed);
    let silent = ratio(CHAIN[0]);
    assert!(silent > 1.3, "four hops that know nothing of each other: {silent}");
}
