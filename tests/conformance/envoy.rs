//! A stock Envoy fed by our control plane, once with state-of-the-world and once with incremental xDS.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use weir_tests::backend::Backend;
use weir_tests::envoy::Bootstrap;
use weir_tests::{ControlPlane, Process, eventually, http, split};

fn manifest(v1: SocketAddr, v2: SocketAddr, weights: (u32, u32), extra: &str) -> String {
    let version = |version: &str, address: SocketAddr| {
        format!(
            "---
apiVersion: v1
kind: Service
metadata: {{name: reviews-{version}, namespace: default}}
spec: {{selector: {{app: reviews, version: {version}}}, ports: [{{name: http, port: 9080, appProtocol: http}}]}}
---
apiVersion: weir.dev/v1
kind: Workload
metadata: {{name: reviews-{version}-a, namespace: default, labels: {{app: reviews, version: {version}}}}}
spec: {{address: {}, ports: {{http: {}}}, locality: eu/eu-1/a}}
",
            address.ip(),
            address.port()
        )
    };
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: reviews, namespace: default}}
spec: {{selector: {{app: reviews}}, ports: [{{name: http, port: 9080, appProtocol: http}}]}}
{}{}---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: reviews, namespace: default}}
spec:
  parentRefs: [{{group: \"\", kind: Service, name: reviews, port: 9080}}]
  rules:
{extra}  - backendRefs: [{{name: reviews-v1, port: 9080, weight: {}}}, {{name: reviews-v2, port: 9080, weight: {}}}]
",
        version("v1", v1),
        version("v2", v2),
        weights.0,
        weights.1
    )
}

fn envoy(dir: &Path, name: &str, api: &str, xds: SocketAddr, outbound: SocketAddr) -> Process {
    let node = format!(
        "{{id: {name}, cluster: default, locality: {{region: eu, zone: eu-1, sub_zone: a}}, \
         metadata: {{weir: {{service: default/frontend, outbound: \"{outbound}\"}}}}}}"
    );
    let more = "cluster_manager:
  load_stats_config:
    api_type: GRPC
    transport_api_version: V3
    grpc_services: [{envoy_grpc: {cluster_name: xds}}]
";
    let mut command = Bootstrap { xds, api, node: &node, more }.command(dir, name);
    Process::start(name, dir, command.stdout(Stdio::null()))
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Counts which version answers; any other answer is an error.
fn ask(outbound: SocketAddr, requests: u64, host: &str) -> (u64, Vec<String>) {
    let mut second = 0;
    let mut wrong = Vec::new();
    for _ in 0..requests {
        match http::get(outbound, host, "/reviews/7") {
            Ok(answer) if answer.status == 200 && answer.text() == "v1" => {}
            Ok(answer) if answer.status == 200 && answer.text() == "v2" => second += 1,
            Ok(answer) => wrong.push(format!("{} {}", answer.status, answer.text())),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    (second, wrong)
}

fn follows_a_split(api: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (v1, v2) = (Backend::start("v1"), Backend::start("v2"));
    let plane = ControlPlane::start(dir.path());
    plane.apply(&manifest(v1.address, v2.address, (90, 10), ""));
    let outbound = free_address();
    let mut envoy = envoy(dir.path(), "stock-envoy", api, plane.xds, outbound);
    eventually("Envoy serves", Duration::from_secs(30), || {
        assert!(envoy.running(), "Envoy ended: {}", envoy.said());
        http::get(outbound, "reviews", "/").is_ok_and(|answer| answer.status == 200)
    });
    for host in [
        "reviews",
        "reviews:9080",
        "reviews.default",
        "reviews.default.svc:9080",
        "reviews.default.svc.cluster.local",
    ] {
        assert_eq!(ask(outbound, 1, host).1, Vec::<String>::new(), "{host}");
    }
    let (second, wrong) = ask(outbound, 2000, "reviews");
    assert_eq!(wrong, Vec::<String>::new());
    assert!(split::plausible(second, 2000, 0.1), "{second} of 2000 at 10 %");

    plane.apply(&manifest(v1.address, v2.address, (50, 50), ""));
    let written = Instant::now();
    let mut transition = Vec::new();
    while written.elapsed() < Duration::from_secs(1) {
        transition.extend(ask(outbound, 10, "reviews:9080").1);
    }
    assert_eq!(transition, Vec::<String>::new(), "errors while the split changed");
    let (second, wrong) = ask(outbound, 2000, "reviews");
    assert_eq!(wrong, Vec::<String>::new());
    assert!(split::plausible(second, 2000, 0.5), "{second} of 2000 at 50 %, a second after it was written");

    // Counts multiply to more than RE2 repeats, and we have a table for it: a policy that this target refuses.
    let refused = "  - matches: [{path: {type: RegularExpression, value: '/(?:a{100}){11}'}}]\n    backendRefs: [{name: reviews-v1, port: 9080}]\n";
    plane.apply(&manifest(v1.address, v2.address, (0, 100), refused));
    eventually("the refusal is shown", Duration::from_secs(10), || {
        plane.weir_ok(&["status"]).contains("invalid repetition size")
    });
    let status = plane.weir_ok(&["status"]);
    assert!(status.contains("stock-envoy refused"), "{status}");
    let (second, wrong) = ask(outbound, 500, "reviews");
    assert_eq!(wrong, Vec::<String>::new());
    assert!(split::plausible(second, 500, 0.5), "the last good configuration is served: {second} of 500");

    plane.apply(&manifest(v1.address, v2.address, (100, 0), ""));
    eventually("Envoy takes what follows", Duration::from_secs(10), || {
        ask(outbound, 20, "reviews") == (0, vec![])
    });
    plane.wait_in_sync(1);
    assert!(!plane.weir_ok(&["status"]).contains("refused"));
    // An Envoy counts for its reports from the moment it tracks a cluster on.
    eventually("load is reported", Duration::from_secs(30), || {
        assert_eq!(ask(outbound, 50, "reviews"), (0, vec![]));
        let status = plane.status();
        status["load"].as_array().unwrap().iter().any(|one| {
            one["cluster"] == "outbound/default/reviews-v1:9080"
                && one["requests"].as_u64().unwrap_or(0) >= 100
        })
    });
    let said = envoy.said();
    assert!(!said.contains("[critical]") && !said.contains("[error]"), "{said}");
}

#[test]
fn a_stock_envoy_follows_a_split_over_state_of_the_world_xds() {
    follows_a_split("GRPC");
}

#[test]
fn a_stock_envoy_follows_a_split_over_incremental_xds() {
    follows_a_split("DELTA_GRPC");
}
