//! A real OTLP collector receives the spans of both sidecars of a call as one trace; one that is down hurts nobody.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use weir_tests::backend::Backend;
use weir_tests::{ControlPlane, Process, Sidecar, eventually, http, peer};

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn collector(dir: &Path, port: u16) -> Process {
    let mut command = Command::new(peer("rotel"));
    command.args(["start", "--otlp-grpc-endpoint", &format!("127.0.0.1:{port}")]);
    command.args(["--otlp-http-endpoint", &format!("127.0.0.1:{}", free_port())]);
    command.args(["--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed"]);
    let out = std::fs::File::options().create(true).append(true).open(dir.join("collector.out")).unwrap();
    Process::start("collector", dir, command.stdout(Stdio::from(out)))
}

fn said(dir: &Path) -> String {
    ["collector.out", "collector.log"]
        .map(|file| std::fs::read_to_string(dir.join(file)).unwrap_or_default())
        .concat()
}

/// What the collector printed of each span: `key: value` lines between `Span #n` heads.
fn spans(dir: &Path) -> Vec<BTreeMap<String, String>> {
    let mut spans: Vec<BTreeMap<String, String>> = Vec::new();
    let said = ["collector.out", "collector.log"]
        .map(|file| std::fs::read_to_string(dir.join(file)).unwrap_or_default())
        .concat();
    for line in said.lines().map(str::trim) {
        if line.starts_with("Span #") {
            spans.push(BTreeMap::new());
        } else if let (Some(span), Some((key, value))) = (spans.last_mut(), line.split_once(": ")) {
            span.entry(key.trim().to_owned()).or_insert_with(|| value.trim().to_owned());
        }
    }
    spans
}

struct Mesh {
    caller: Sidecar,
    called: Sidecar,
    backend: Backend,
    _plane: ControlPlane,
}

fn mesh(dir: &Path, otlp: &str) -> Mesh {
    let backend = Backend::start("v1");
    let plane = ControlPlane::start(dir);
    plane.apply(
        "apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080, appProtocol: http}]}
",
    );
    let inbound = format!("127.0.0.1:0={}", backend.address);
    let called = Sidecar::start(
        dir,
        "reviews-a",
        plane.xds,
        &["--service", "default/reviews", "--inbound", &inbound, "--otlp", otlp],
    );
    let caller = Sidecar::start(
        dir,
        "frontend-a",
        plane.xds,
        &["--service", "default/frontend", "--outbound", "127.0.0.1:0", "--otlp", otlp],
    );
    called.wait_ready();
    caller.wait_ready();
    plane.wait_in_sync(2);
    Mesh { caller, called, backend, _plane: plane }
}

#[test]
fn both_sidecars_of_a_call_are_one_trace_in_a_real_collector() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let _collector = collector(dir.path(), port);
    let mesh = mesh(dir.path(), &format!("http://127.0.0.1:{port}"));
    let outbound = mesh.caller.outbound.unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let head = |trace: &str| {
        format!(
            "GET /reviews/7 HTTP/1.1\r\nhost: reviews\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-01\r\nconnection: close\r\n\r\n"
        )
    };
    let answer = http::request(outbound, head(trace).as_bytes()).unwrap();
    assert_eq!(answer.status, 200);
    let seen = answer.header("x-seen-traceparent").expect("the application sees the context").to_owned();
    assert!(seen.contains(trace) && !seen.contains("00f067aa0ba902b7"), "{seen}");
    let of_trace = || -> Vec<BTreeMap<String, String>> {
        let is = |span: &BTreeMap<String, String>| span.values().any(|value| value.contains(trace));
        spans(dir.path()).into_iter().filter(is).collect()
    };
    eventually("the spans arrive", Duration::from_secs(20), || of_trace().len() >= 2);
    let spans = of_trace();
    let text = format!("{spans:#?}");
    println!("{text}");
    // The first span's parent is the caller's; every other's is another span of the trace.
    let ids: Vec<String> = spans.iter().filter_map(|span| span.get("ID").cloned()).collect();
    let parents: Vec<String> = spans.iter().filter_map(|span| span.get("Parent ID").cloned()).collect();
    assert_eq!(ids.len(), spans.len(), "{text}");
    let outside: Vec<_> = parents.iter().filter(|parent| !ids.contains(parent)).collect();
    assert_eq!(outside, ["00f067aa0ba902b7"], "{text}");
    assert!(text.contains("SPAN_KIND_CLIENT") && text.contains("SPAN_KIND_SERVER"), "{text}");
    let said = said(dir.path());
    assert!(said.contains("Str(frontend)") && said.contains("Str(reviews)"), "both services are named");
    // A caller that decided against it is obeyed.
    let unsampled = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    assert_eq!(
        http::request(outbound, head(unsampled).replace("b7-01", "b7-00").as_bytes()).unwrap().status,
        200
    );
    std::thread::sleep(Duration::from_secs(3));
    assert!(!format!("{:?}", self::spans(dir.path())).contains(unsampled));
}

fn metric(sidecar: &Sidecar, part: &str) -> f64 {
    let text = http::get(sidecar.admin, "localhost", "/metrics").unwrap().text();
    let lines = text.lines().filter(|line| !line.starts_with('#') && line.contains(part));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn a_collector_that_is_down_costs_spans_and_no_request() {
    let dir = tempfile::tempdir().unwrap();
    let mesh = mesh(dir.path(), &format!("http://127.0.0.1:{}", free_port()));
    let outbound = mesh.caller.outbound.unwrap();
    // More spans than the queue holds.
    const REQUESTS: u64 = 12_000;
    let mut slowest = Duration::ZERO;
    let mut stream = std::net::TcpStream::connect(outbound).unwrap();
    for _ in 0..REQUESTS {
        let start = std::time::Instant::now();
        std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nhost: reviews\r\n\r\n").unwrap();
        assert_eq!(http::read(&mut stream).unwrap().status, 200);
        slowest = slowest.max(start.elapsed());
    }
    assert_eq!(mesh.backend.served(), REQUESTS);
    assert!(slowest < Duration::from_secs(1), "a request waited {slowest:?} for the collector");
    for sidecar in [&mesh.caller, &mesh.called] {
        eventually("drops are counted", Duration::from_secs(30), || {
            metric(sidecar, "weir_spans_total{outcome=\"dropped") > 0.0
        });
    }
}
