//! Scale-up: an endpoint that joins gets at most its part of a share while it starts slowly, however idle it looks, under each policy
//! that compares endpoints or takes turns; and with no slow start it gets a whole one at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use weir_tests::backend::Backend;
use weir_tests::{ControlPlane, Sidecar, eventually, http};

/// The services: how each is balanced, and whether newcomers start slowly.
const SERVICES: [(&str, &str, bool); 4] = [
    ("turns", "RoundRobin", true),
    ("least", "LeastRequest", true),
    ("peak", "PeakEwma", true),
    ("eager", "RoundRobin", false),
];
/// Endpoints of each service before one more joins.
const BEFORE: usize = 3;
/// So long that no machine is too slow to be done in a small part of it.
const WINDOW: Duration = Duration::from_secs(120);
/// The least part of its share that an endpoint has, Envoy's default.
const LEAST_PART: f64 = 0.1;
const CALLERS: usize = 4;
const CALLS: usize = 500;

fn service(name: &str, policy: &str, slowly: bool) -> String {
    let slow_start =
        if slowly { format!("\n  slowStart: {{window: {}s}}", WINDOW.as_secs()) } else { String::new() };
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
  loadBalancing: {{policy: {policy}}}{slow_start}
---
"
    )
}

fn workload(name: &str, index: usize, address: SocketAddr) -> String {
    format!(
        "apiVersion: weir.dev/v1
kind: Workload
metadata: {{name: {name}-{index}, namespace: default, labels: {{app: {name}}}}}
spec: {{address: {}, ports: {{http: {}}}}}
---
",
        address.ip(),
        address.port()
    )
}

/// Several callers at once; panics unless all answers are good.
fn call(outbound: SocketAddr, host: &'static str) {
    let caller = |_| {
        std::thread::spawn(move || {
            let mut stream = TcpStream::connect(outbound).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            for _ in 0..CALLS {
                stream.write_all(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).unwrap();
                assert_eq!(http::read(&mut stream).unwrap().status, 200, "{host}");
            }
        })
    };
    let callers: Vec<_> = (0..CALLERS).map(caller).collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
}

/// How many endpoints of a service the sidecar has.
fn endpoints(sidecar: &Sidecar, service: &str) -> usize {
    let shown = http::get(sidecar.admin, "localhost", "/clusters?format=json").unwrap().text();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let clusters = shown["clusters"].as_array().unwrap();
    let name = format!("default/{service}:80");
    let cluster = clusters.iter().find(|cluster| cluster["name"].as_str().unwrap().contains(&name));
    cluster.map_or(0, |cluster| cluster["endpoints"].as_array().unwrap().len())
}

#[test]
fn a_newcomer_gets_at_most_its_part() {
    let dir = tempfile::tempdir().unwrap();
    let plane = ControlPlane::start(dir.path());
    let backends: Vec<Vec<Backend>> = SERVICES
        .iter()
        .map(|_| (0..=BEFORE).map(|index| Backend::start(&index.to_string())).collect())
        .collect();
    let mut manifest = String::new();
    for ((name, policy, slowly), backends) in SERVICES.iter().zip(&backends) {
        manifest += &service(name, policy, *slowly);
        for (index, backend) in backends.iter().enumerate().take(BEFORE) {
            manifest += &workload(name, index, backend.address);
        }
    }
    plane.apply(&manifest);
    let args = ["--service", "default/client", "--outbound", "127.0.0.1:0", "--workers", "2"];
    let sidecar = Sidecar::start(dir.path(), "client", plane.xds, &args);
    let outbound = sidecar.outbound.unwrap();
    for ((name, ..), backends) in SERVICES.iter().zip(&backends) {
        eventually(&format!("{name} is served"), Duration::from_secs(20), || {
            http::get(outbound, name, "/").is_ok_and(|answer| answer.status == 200)
        });
        // Those that were there when the service became known start at once.
        call(outbound, name);
        let served: Vec<u64> = backends.iter().take(BEFORE).map(Backend::served).collect();
        assert!(served.iter().all(|count| *count > 0), "{name}: {served:?}");
    }

    let joined = Instant::now();
    let newcomers: String = SERVICES
        .iter()
        .zip(&backends)
        .map(|((name, ..), all)| workload(name, BEFORE, all[BEFORE].address))
        .collect();
    plane.apply(&newcomers);
    for ((name, _, slowly), backends) in SERVICES.iter().zip(&backends) {
        eventually(&format!("the newcomer of {name} is known"), Duration::from_secs(20), || {
            endpoints(&sidecar, name) == BEFORE + 1
        });
        // Workers follow the snapshot that the admin endpoint shows.
        eventually(&format!("{name} uses it"), Duration::from_secs(20), || {
            http::get(outbound, name, "/").unwrap();
            backends[BEFORE].served() > 0
        });
        let before = backends[BEFORE].served();
        call(outbound, name);
        let (hits, calls) = ((backends[BEFORE].served() - before) as f64, (CALLERS * CALLS) as f64);
        // By the end of the calls its part was this at most, beside as many whole shares as there were endpoints.
        let part = (joined.elapsed().as_secs_f64() / WINDOW.as_secs_f64()).clamp(LEAST_PART, 1.0);
        let share = part / (BEFORE as f64 + part);
        println!("{name}: {:.2} % of the requests, a part is {:.2} %", hits / calls * 100.0, share * 100.0);
        if *slowly {
            // Six standard deviations: chance does not reach that.
            let bound = calls * share + 6.0 * (calls * share * (1.0 - share)).sqrt();
            assert!(hits <= bound, "{name}: {hits} of {calls}, at most {bound:.0}");
            // One answer that was late on a busy machine is enough for peak EWMA to leave it alone.
            assert!(hits > 0.0 || *name == "peak", "{name}: it gets nothing");
        } else {
            assert!(hits > calls / (BEFORE + 1) as f64 * 0.9, "{name}: {hits} of {calls}");
        }
    }
}
