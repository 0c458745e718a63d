//! Three backends and their sidecars are restarted one after the other, ten times over, under load: no request fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use weir_tests::app::App;
use weir_tests::callers::Callers;
use weir_tests::{ControlPlane, Sidecar, eventually, http};

const ROUNDS: usize = 10;
const BACKENDS: usize = 3;

const MANIFEST: &str = "apiVersion: v1
kind: Service
metadata: {name: backend, namespace: default}
spec: {selector: {app: backend}, ports: [{name: http, port: 8080, appProtocol: http}, {name: grpc, port: 50051, appProtocol: grpc}]}
";

/// An application and its sidecar, always on the same addresses.
struct Pod {
    id: String,
    app: App,
    sidecar: Sidecar,
}

impl Pod {
    fn start(dir: &Path, xds: SocketAddr, number: usize) -> Self {
        let (id, app) = (format!("backend-{number}"), App::start_anywhere());
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let sidecar = sidecar(dir, xds, &id, [anywhere; 2], &app);
        Self { id, app, sidecar }
    }

    /// As Kubernetes does it with a native sidecar whose `preStop` drains: first the sidecar, then the application; then both
    /// again, the application first.
    fn restart(&mut self, dir: &Path, xds: SocketAddr) {
        self.sidecar.process.signal("TERM");
        let status = self.sidecar.process.wait();
        assert!(status.success(), "{} ended with {status}:\n{}", self.id, self.sidecar.process.said());
        assert!(self.app.served() > 0, "{} took no part", self.id);
        self.app.restart();
        let inbound = [self.sidecar.inbound[0], self.sidecar.inbound[1]];
        self.sidecar = sidecar(dir, xds, &self.id, inbound, &self.app);
        self.sidecar.wait_ready();
    }
}

fn sidecar(dir: &Path, xds: SocketAddr, id: &str, listen: [SocketAddr; 2], app: &App) -> Sidecar {
    let inbound = [format!("http={}={}", listen[0], app.http1), format!("grpc={}={}", listen[1], app.grpc)];
    let service = ["--service", "default/backend", "--inbound", &inbound[0], "--inbound", &inbound[1]];
    Sidecar::start(dir, id, xds, &[&service[..], &["--drain-pause", "200ms"]].concat())
}

/// A sidecar that is told to end does so when its peers have acknowledged that it is gone, not before.
#[test]
fn the_end_waits_until_peers_know() {
    let dir = tempfile::tempdir().unwrap();
    let plane = ControlPlane::start(dir.path());
    plane.apply(MANIFEST);
    let app = App::start_anywhere();
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut called = sidecar(dir.path(), plane.xds, "backend", [anywhere; 2], &app);
    let caller = ["--service", "default/frontend", "--outbound", "127.0.0.1:0"];
    let caller = Sidecar::start(dir.path(), "frontend", plane.xds, &caller);
    called.wait_ready();
    caller.wait_ready();
    eventually("the mesh serves", Duration::from_secs(10), || {
        http::get(caller.outbound.unwrap(), "backend:8080", "/").is_ok_and(|answer| answer.status == 200)
    });
    caller.process.signal("STOP");
    called.process.signal("TERM");
    std::thread::sleep(Duration::from_secs(2));
    let running = called.process.running();
    let ready = http::get(called.admin, "localhost", "/ready");
    let served = http::get(called.inbound[0], "backend", "/still");
    caller.process.signal("CONT");
    assert!(running, "its drain pause is over, but its peer does not know yet");
    assert_eq!(ready.unwrap().status, 503, "it is not ready any more");
    assert_eq!(served.unwrap().text(), "/still 0", "and it still serves");
    eventually("it ends", Duration::from_secs(2), || !called.process.running());
}

/// A sidecar that was told to end is gone for its peers at once, and still finds names for its application that nobody used before.
#[test]
fn who_leaves_can_still_call_others() {
    let dir = tempfile::tempdir().unwrap();
    let plane = ControlPlane::start(dir.path());
    plane.apply(MANIFEST);
    plane.apply(&MANIFEST.replace("backend", "other"));
    let (app, other) = (App::start_anywhere(), App::start_anywhere());
    let outbound = ["--outbound", "127.0.0.1:0", "--drain-pause", "5s"];
    let sidecar = |name: &str, app: &App| {
        let (inbound, service) = (format!("http=127.0.0.1:0={}", app.http1), format!("default/{name}"));
        let label = format!("app={name}");
        let own = ["--service", &service, "--label", &label, "--inbound", &inbound];
        Sidecar::start(dir.path(), name, plane.xds, &[&own[..], &outbound].concat())
    };
    let (mut leaving, peer) = (sidecar("backend", &app), sidecar("other", &other));
    leaving.wait_ready();
    peer.wait_ready();
    let called = |from: &Sidecar, name: &str| http::get(from.outbound.unwrap(), name, "/").unwrap();
    eventually("the mesh serves", Duration::from_secs(10), || called(&peer, "backend:8080").status == 200);
    leaving.process.signal("TERM");
    eventually("its peer has heard of it", Duration::from_secs(4), || {
        called(&peer, "backend:8080").status == 503
    });
    let answer = called(&leaving, "other:8080");
    assert!(leaving.process.running(), "it ended before its pause was over");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(called(&leaving, "nobody:8080").status, 404, "it hears what does not exist, too");
    assert!(leaving.process.wait().success());
}

#[test]
fn a_rolling_restart_costs_no_request() {
    let dir = tempfile::tempdir().unwrap();
    let plane = ControlPlane::start(dir.path());
    plane.apply(MANIFEST);
    let mut pods: Vec<Pod> = (0..BACKENDS).map(|number| Pod::start(dir.path(), plane.xds, number)).collect();
    let caller = ["--service", "default/frontend", "--outbound", "127.0.0.1:0"];
    let caller = Sidecar::start(dir.path(), "frontend", plane.xds, &caller);
    let outbound = caller.outbound.unwrap();
    for sidecar in pods.iter().map(|pod| &pod.sidecar).chain([&caller]) {
        sidecar.wait_ready();
    }
    eventually("the mesh serves", Duration::from_secs(10), || {
        http::get(outbound, "backend:8080", "/").is_ok_and(|answer| answer.status == 200)
    });
    let callers = Callers::start(outbound, (6, "backend:8080"), (4, "backend:50051"));
    for pod in &pods {
        eventually("every backend takes part", Duration::from_secs(10), || pod.app.served() > 10);
    }
    for _ in 0..ROUNDS {
        for pod in &mut pods {
            pod.restart(dir.path(), plane.xds);
            let app = &pod.app;
            eventually("it is in use again", Duration::from_secs(10), || app.served() > 0);
        }
    }
    let outcome = callers.end();
    assert_eq!(outcome.failed, Vec::<String>::new(), "of {} and {}", outcome.http1, outcome.grpc);
    assert!(
        outcome.http1 > 1000 && outcome.grpc > 1000,
        "{} and {} are no load",
        outcome.http1,
        outcome.grpc
    );
    eprintln!(
        "{} HTTP/1.1 requests and {} gRPC calls through {ROUNDS} rolling restarts of {BACKENDS} backends, 0 failed",
        outcome.http1, outcome.grpc
    );
}
