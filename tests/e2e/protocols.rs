//! gRPC and WebSocket, with stock libraries at both ends of two sidecars.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::net::SocketAddr;
use std::path::Path;
use weir_tests::script::Script;
use weir_tests::{ControlPlane, Sidecar};

const PEER: &str = "e2e/protocol_peer.py";

/// A control plane and two sidecars: the caller's, and that of an application on `port` behind the service `echo`.
struct Pair {
    _plane: ControlPlane,
    caller: Sidecar,
    called: Sidecar,
}

fn pair(dir: &Path, protocol: &str, service_port: u16, app_port: &str) -> Pair {
    let plane = ControlPlane::start(dir);
    plane.apply(&format!(
        "apiVersion: v1
kind: Service
metadata: {{name: echo, namespace: default}}
spec: {{selector: {{app: echo}}, ports: [{{name: main, port: {service_port}, appProtocol: {protocol}}}]}}
"
    ));
    let inbound = format!("127.0.0.1:0=127.0.0.1:{app_port}");
    let called =
        Sidecar::start(dir, "echo", plane.xds, &["--service", "default/echo", "--inbound", &inbound]);
    let caller = Sidecar::start(
        dir,
        "caller",
        plane.xds,
        &["--service", "default/caller", "--outbound", "127.0.0.1:0"],
    );
    called.wait_ready();
    caller.wait_ready();
    plane.wait_in_sync(2);
    Pair { _plane: plane, caller, called }
}

fn all_true(results: &str) {
    let results: serde_json::Value = serde_json::from_str(results).expect("the client ended with an error");
    let failed: Vec<_> = results.as_object().unwrap().iter().filter(|(_, passed)| **passed != true).collect();
    assert!(failed.is_empty(), "{failed:?}");
    eprintln!("{results}");
}

fn run(dir: &Path, protocol: &str, kind: &str, service_port: u16, authority: &str) -> Pair {
    let mut server = Script::start(PEER, &[&format!("{kind}-server")], &[]);
    let pair = pair(dir, protocol, service_port, &server.line());
    let outbound: SocketAddr = pair.caller.outbound.unwrap();
    let mut client = Script::start(PEER, &[&format!("{kind}-client"), &outbound.to_string(), authority], &[]);
    all_true(&client.line());
    pair
}

#[test]
fn grpc_of_every_kind_passes_two_sidecars() {
    let dir = tempfile::tempdir().unwrap();
    let pair = run(dir.path(), "grpc", "grpc", 50051, "echo.default:50051");
    let metrics =
        |sidecar: &Sidecar| weir_tests::http::get(sidecar.admin, "localhost", "/metrics").unwrap().text();
    assert!(
        metrics(&pair.called).contains("rpc_server") || metrics(&pair.called).contains("http_server"),
        "{}",
        metrics(&pair.called)
    );
}

#[test]
fn grpc_passes_where_the_service_does_not_say_what_it_speaks() {
    let dir = tempfile::tempdir().unwrap();
    // `kubernetes.io/h2c` is said by the Gateway API's own tests; nothing at all is said by most people.
    run(dir.path(), "kubernetes.io/h2c", "grpc", 50051, "echo:50051");
}

#[test]
fn web_sockets_pass_two_sidecars() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "http", "ws", 8080, "echo.default:8080");
}
