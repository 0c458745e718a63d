//! A stock gRPC client (grpcio) that dials `xds:///…` and is fed by our control plane.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use serde_json::{Value, json};
use std::time::Duration;
use weir_tests::script::Script;
use weir_tests::{ControlPlane, split};

const PEER: &str = "conformance/grpc_peer.py";

/// Calls so many times; how often `v2` answered, and what went wrong.
fn call(client: &mut Script, times: u64) -> (u64, Value) {
    let answer = client.ask(&times.to_string());
    (answer["counts"]["v2"].as_u64().unwrap_or(0), answer["errors"].clone())
}

fn manifest(ports: (&str, &str), weights: (u32, u32)) -> String {
    let version = |version: &str, port: &str| {
        format!(
            "---
apiVersion: v1
kind: Service
metadata: {{name: greeter-{version}, namespace: default}}
spec: {{selector: {{app: greeter, version: {version}}}, ports: [{{name: grpc, port: 50051, appProtocol: grpc}}]}}
---
apiVersion: weir.dev/v1
kind: Workload
metadata: {{name: greeter-{version}-a, namespace: default, labels: {{app: greeter, version: {version}}}}}
spec: {{address: 127.0.0.1, ports: {{grpc: {port}}}}}
"
        )
    };
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: greeter, namespace: default}}
spec: {{selector: {{app: greeter}}, ports: [{{name: grpc, port: 50051, appProtocol: grpc}}]}}
{}{}---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: greeter, namespace: default}}
spec:
  parentRefs: [{{group: \"\", kind: Service, name: greeter, port: 50051}}]
  rules:
  - backendRefs: [{{name: greeter-v1, port: 50051, weight: {}}}, {{name: greeter-v2, port: 50051, weight: {}}}]
",
        version("v1", ports.0),
        version("v2", ports.1),
        weights.0,
        weights.1
    )
}

#[test]
fn a_proxyless_grpc_client_follows_a_split() {
    let dir = tempfile::tempdir().unwrap();
    let (mut v1, mut v2) =
        (Script::start(PEER, &["server", "v1"], &[]), Script::start(PEER, &["server", "v2"], &[]));
    let ports = (v1.line(), v2.line());
    let ports = (ports.0.as_str(), ports.1.as_str());
    let plane = ControlPlane::start(dir.path());
    plane.apply(&manifest(ports, (90, 10)));
    let bootstrap = dir.path().join("bootstrap.json");
    let server = json!({"server_uri": plane.xds.to_string(), "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]});
    let content =
        json!({"xds_servers": [server], "node": {"id": "stock-grpcio", "locality": {"region": "eu"}}});
    std::fs::write(&bootstrap, content.to_string()).unwrap();
    let environment = [("GRPC_XDS_BOOTSTRAP", bootstrap.to_str().unwrap())];

    for name in ["greeter", "greeter.default.svc.cluster.local:50051"] {
        let mut client = Script::start(PEER, &["client", &format!("xds:///{name}")], &environment);
        assert_eq!(call(&mut client, 1).1, json!([]), "{name}");
    }
    let mut client = Script::start(PEER, &["client", "xds:///greeter.default:50051"], &environment);
    let (second, errors) = call(&mut client, 2000);
    assert_eq!(errors, json!([]));
    assert!(split::plausible(second, 2000, 0.1), "{second} of 2000 at 10 %");
    plane.wait_in_sync(1);

    plane.apply(&manifest(ports, (50, 50)));
    std::thread::sleep(Duration::from_secs(1));
    let (second, errors) = call(&mut client, 2000);
    assert_eq!(errors, json!([]));
    assert!(split::plausible(second, 2000, 0.5), "{second} of 2000 at 50 %, a second after it was written");
    let status = plane.status();
    let sidecar = status["sidecars"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["node"] == "stock-grpcio")
        .unwrap()
        .clone();
    assert_eq!((sidecar["target"].as_str(), sidecar["protocol"].as_str()), (Some("grpc"), Some("sotw")));
}
