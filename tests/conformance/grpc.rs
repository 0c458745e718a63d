//! A stock gRPC client (grpcio) that dials `xds:///…` and is fed by our control plane.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use weir_tests::{ControlPlane, peer, split};

/// One grpcio process; it ends with its standard input.
struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn start(args: &[&str], bootstrap: Option<&Path>) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/grpc_peer.py");
        let mut command = Command::new(peer("py/bin/python"));
        command.arg(script).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(bootstrap) = bootstrap {
            command.env("GRPC_XDS_BOOTSTRAP", bootstrap);
        }
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Calls so many times; the share of `v2`, and what went wrong.
    fn call(&mut self, times: u64) -> (u64, Value) {
        writeln!(self.input.as_mut().unwrap(), "{times}").unwrap();
        let answer: Value = serde_json::from_str(&self.line()).unwrap();
        (answer["counts"]["v2"].as_u64().unwrap_or(0), answer["errors"].clone())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.input = None;
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
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
    let (mut v1, mut v2) = (Peer::start(&["server", "v1"], None), Peer::start(&["server", "v2"], None));
    let ports = (v1.line(), v2.line());
    let ports = (ports.0.as_str(), ports.1.as_str());
    let plane = ControlPlane::start(dir.path());
    plane.apply(&manifest(ports, (90, 10)));
    let bootstrap = dir.path().join("bootstrap.json");
    let server = json!({"server_uri": plane.xds.to_string(), "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]});
    let content = json!({"xds_servers": [server], "node": {"id": "stock-grpcio", "locality": {"region": "eu"}}});
    std::fs::write(&bootstrap, content.to_string()).unwrap();

    for name in ["greeter", "greeter.default.svc.cluster.local:50051"] {
        let mut client = Peer::start(&["client", &format!("xds:///{name}")], Some(&bootstrap));
        assert_eq!(client.call(1).1, json!([]), "{name}");
    }
    let mut client = Peer::start(&["client", "xds:///greeter.default:50051"], Some(&bootstrap));
    let (second, errors) = client.call(2000);
    assert_eq!(errors, json!([]));
    assert!(split::plausible(second, 2000, 0.1), "{second} of 2000 at 10 %");
    plane.wait_in_sync(1);

    plane.apply(&manifest(ports, (50, 50)));
    std::thread::sleep(Duration::from_secs(1));
    let (second, errors) = client.call(2000);
    assert_eq!(errors, json!([]));
    assert!(split::plausible(second, 2000, 0.5), "{second} of 2000 at 50 %, a second after it was written");
    let status = plane.status();
    let sidecar = status["sidecars"].as_array().unwrap().iter().find(|one| one["node"] == "stock-grpcio").unwrap().clone();
    assert_eq!((sidecar["target"].as_str(), sidecar["protocol"].as_str()), (Some("grpc"), Some("sotw")));
}
