//! Sidecars are replaced by new processes under load: no connection is refused and no request fails. A new process that cannot
//! serve changes nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use weir_tests::app::App;
use weir_tests::callers::Callers;
use weir_tests::{ControlPlane, Sidecar, eventually, http};

const ROUNDS: usize = 3;

const MANIFEST: &str = "apiVersion: v1
kind: Service
metadata: {name: backend, namespace: default}
spec: {selector: {app: backend}, ports: [{name: http, port: 8080, appProtocol: http}, {name: grpc, port: 50051, appProtocol: grpc}]}
";

/// What a sidecar is started with, again and again.
struct Node<'a> {
    dir: &'a Path,
    id: &'a str,
    xds: SocketAddr,
    args: Vec<String>,
}

impl Node<'_> {
    fn start(&self, more: &[&str]) -> Sidecar {
        let args: Vec<&str> = self.args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Sidecar::start(self.dir, self.id, self.xds, &args)
    }

    /// Another process in its place, on the same addresses; the old one ends by itself.
    fn upgrade(&self, old: &mut Sidecar, workers: &str) {
        let new = self.start(&["--workers", workers]);
        assert_eq!((&new.inbound, new.outbound, new.admin), (&old.inbound, old.outbound, old.admin));
        new.wait_ready();
        let mut old = std::mem::replace(old, new);
        eventually("the old process ends", Duration::from_secs(15), || !old.process.running());
        let status = old.process.wait();
        assert!(status.success(), "{} ended with {status}:\n{}", self.id, old.process.said());
    }
}

#[test]
fn an_upgrade_costs_no_request() {
    let dir = tempfile::tempdir().unwrap();
    let mut plane = ControlPlane::start(dir.path());
    plane.apply(MANIFEST);
    let app = App::start_anywhere();
    let node = |id, args: &[&str]| {
        let door = dir.path().join("doors").join(format!("{id}.sock"));
        let usual = ["--handover", door.to_str().unwrap(), "--drain-pause", "500ms"];
        let args = usual.iter().chain(args).map(ToString::to_string).collect();
        Node { dir: dir.path(), id, xds: plane.xds, args }
    };
    let inbound = [format!("http=127.0.0.1:0={}", app.http1), format!("grpc=127.0.0.1:0={}", app.grpc)];
    let backend = node(
        "backend",
        &["--service", "default/backend", "--inbound", &inbound[0], "--inbound", &inbound[1]],
    );
    let frontend = node("frontend", &["--service", "default/frontend", "--outbound", "127.0.0.1:0"]);
    let (mut called, mut caller) = (backend.start(&[]), frontend.start(&[]));
    let outbound = caller.outbound.unwrap();
    called.wait_ready();
    caller.wait_ready();
    eventually("the mesh serves", Duration::from_secs(10), || {
        http::get(outbound, "backend:8080", "/").is_ok_and(|answer| answer.status == 200)
    });
    let callers = Callers::start(outbound, (6, "backend:8080"), (4, "backend:50051"));
    for round in 0..ROUNDS {
        // Also from one worker to two and back.
        let workers = ["2", "1"][round % 2];
        backend.upgrade(&mut called, workers);
        frontend.upgrade(&mut caller, workers);
    }
    // One that cannot reach the control plane, which is well, is no successor.
    let fails = std::process::Command::new(weir_tests::binary("weir-sidecar"))
        .args(["--xds", "127.0.0.1:1", "--node-id", backend.id, "--admin-listen", "127.0.0.1:0"])
        .arg("--state-dir")
        .arg(dir.path().join(backend.id))
        .args(&backend.args)
        .args(["--handover-timeout", "1s"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&fails.stderr).into_owned();
    assert_eq!(fails.status.code(), Some(1), "{said}");
    assert!(said.contains("the running sidecar goes on"), "{said}");
    assert!(called.process.running());
    called.wait_ready();

    let before = callers.made();
    eventually("the load goes on", Duration::from_secs(10), || callers.made() > before + 200);
    let outcome = callers.end();
    assert_eq!(outcome.failed, Vec::<String>::new(), "of {} and {}", outcome.http1, outcome.grpc);
    assert!(outcome.http1 > 500 && outcome.grpc > 500, "{} and {} are no load", outcome.http1, outcome.grpc);
    // One node each, and the state that both processes wrote is whole.
    let status = plane.status();
    let sidecars = status["sidecars"].as_array().unwrap();
    assert!(sidecars.len() == 2 && sidecars.iter().all(|one| one["connected"] == true), "{status:#}");
    plane.process.kill();
    eventually("the outage is noticed", Duration::from_secs(10), || {
        let metrics = http::get(caller.admin, "localhost", "/metrics").unwrap().text();
        metrics.lines().any(|line| line == "weir_config_connected 0")
    });
    // Without a control plane an upgrade serves what was last good, as before.
    frontend.upgrade(&mut caller, "1");
    assert_eq!(http::get(outbound, "backend:8080", "/outage").unwrap().text(), "/outage 0");
    caller.process.kill();
    let outbound = outbound.to_string();
    let caller = node("frontend", &["--service", "default/frontend", "--outbound", &outbound]).start(&[]);
    caller.wait_ready();
    let answer = http::get(caller.outbound.unwrap(), "backend:8080", "/last").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "/last 0"));
    eprintln!(
        "{} HTTP/1.1 requests and {} gRPC calls through {} upgrades of two sidecars, 0 failed",
        outcome.http1,
        outcome.grpc,
        2 * ROUNDS
    );
}
