//! The control plane is killed under load, is gone for ten seconds, and returns: no request fails. A sidecar that restarts meanwhile serves
//! from its last good configuration.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use weir_tests::backend::Backend;
use weir_tests::{ControlPlane, Sidecar, eventually, http, split};

const OUTAGE: Duration = Duration::from_secs(10);
const CALLERS: u64 = 8;

fn manifest(weights: (u32, u32)) -> String {
    let service = |name: &str, selector: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\nspec: {{selector: {{{selector}}}, ports: [{{name: \
             http, port: 9080, appProtocol: http}}]}}\n---\n"
        )
    };
    format!(
        "{}{}{}apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: reviews, namespace: default}}
spec:
  parentRefs: [{{group: \"\", kind: Service, name: reviews, port: 9080}}]
  rules:
  - backendRefs: [{{name: reviews-v1, port: 9080, weight: {}}}, {{name: reviews-v2, port: 9080, weight: {}}}]
",
        service("reviews", "app: reviews"),
        service("reviews-v1", "app: reviews, version: v1"),
        service("reviews-v2", "app: reviews, version: v2"),
        weights.0,
        weights.1
    )
}

/// Callers on connections that stay open; whatever is not a 200 is written down.
struct Load {
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(outbound: SocketAddr) -> Self {
        let (stop, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let caller = |_| {
            let (stop, requests) = (Arc::clone(&stop), Arc::clone(&requests));
            std::thread::spawn(move || {
                let mut failed = Vec::new();
                let mut stream = TcpStream::connect(outbound).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    requests.fetch_add(1, Ordering::Relaxed);
                    let sent =
                        std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nhost: reviews\r\n\r\n");
                    match sent.and_then(|()| http::read(&mut stream)) {
                        Ok(answer) if answer.status == 200 => {}
                        Ok(answer) => failed.push(format!("{} {}", answer.status, answer.text())),
                        Err(error) => {
                            failed.push(error.to_string());
                            stream = TcpStream::connect(outbound).unwrap();
                        }
                    }
                    std::thread::sleep(Duration::from_millis(4));
                }
                failed
            })
        };
        let threads = (0..CALLERS).map(caller).collect();
        Self { stop, requests, threads }
    }

    fn end(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let failed = self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        (self.requests.load(Ordering::Relaxed), failed)
    }
}

#[test]
fn an_outage_of_the_control_plane_costs_no_request() {
    let dir = tempfile::tempdir().unwrap();
    let (v1, v2) = (Backend::start("v1"), Backend::start("v2"));
    let mut plane = ControlPlane::start(dir.path());
    plane.apply(&manifest((90, 10)));
    let xds = plane.xds;
    let reviews = |version: &str, backend: &Backend| {
        let (inbound, version_label) =
            (format!("127.0.0.1:0={}", backend.address), format!("version={version}"));
        let id = format!("reviews-{version}");
        let args = [
            "--service",
            "default/reviews",
            "--label",
            "app=reviews",
            "--label",
            &version_label,
            "--inbound",
            &inbound,
        ];
        Sidecar::start(dir.path(), &id, xds, &args)
    };
    let (first, second) = (reviews("v1", &v1), reviews("v2", &v2));
    let frontend = |outbound: &str| {
        Sidecar::start(
            dir.path(),
            "frontend",
            xds,
            &["--service", "default/frontend", "--outbound", outbound],
        )
    };
    let caller = frontend("127.0.0.1:0");
    // One more, which restarts in the middle of the outage.
    let other = |outbound: &str| {
        Sidecar::start(
            dir.path(),
            "restarted",
            xds,
            &["--service", "default/frontend", "--outbound", outbound],
        )
    };
    let mut restarted = other("127.0.0.1:0");
    for sidecar in [&first, &second, &caller, &restarted] {
        sidecar.wait_ready();
    }
    plane.wait_in_sync(4);
    for sidecar in [&caller, &restarted] {
        eventually("the mesh serves", Duration::from_secs(10), || {
            http::get(sidecar.outbound.unwrap(), "reviews", "/").is_ok_and(|answer| answer.status == 200)
        });
    }
    // What was used is written down a moment later.
    std::thread::sleep(Duration::from_secs(1));

    let load = Load::start(caller.outbound.unwrap());
    std::thread::sleep(Duration::from_secs(2));
    plane.process.kill();
    std::thread::sleep(OUTAGE / 2);
    let outbound = restarted.outbound.unwrap();
    restarted.process.kill();
    drop(restarted);
    let restarted = other(&outbound.to_string());
    restarted.wait_ready();
    for _ in 0..50 {
        assert_eq!(
            http::get(outbound, "reviews", "/").unwrap().status,
            200,
            "served from the last good configuration"
        );
    }
    std::thread::sleep(OUTAGE / 2);
    let plane = ControlPlane::start_on(dir.path(), &plane.policy.to_string(), &xds.to_string());
    plane.wait_in_sync(4);
    std::thread::sleep(Duration::from_secs(2));
    plane.apply(&manifest((50, 50)));
    plane.wait_in_sync(4);
    let before = (v1.served(), v2.served());
    std::thread::sleep(Duration::from_secs(4));
    let (one, two) = (v1.served() - before.0, v2.served() - before.1);
    let (requests, failed) = load.end();
    assert_eq!(failed, Vec::<String>::new(), "of {requests}");
    assert!(requests > 2000, "{requests} requests are no load");
    assert!(
        split::plausible(two, one + two, 0.5),
        "after the outage changes arrive again: {two} of {}",
        one + two
    );
    println!("{requests} requests through a control plane outage of {OUTAGE:?}, 0 failed");
}
