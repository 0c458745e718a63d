//! Where a stock Envoy and the sidecar send the same requests: the same clusters, endpoints and routes to both, in one run.
//!
//! Shares are counted; what is not left to chance (hashes, sides of a sticky split, priorities by hash) is compared caller by caller.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

#[path = "balancing/clusters.rs"]
mod others;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use weir_proto::envoy::envoy::config::cluster::v3 as cluster;
use weir_proto::envoy::envoy::config::core::v3 as core;
use weir_proto::envoy::envoy::config::endpoint::v3 as endpoint;
use weir_proto::envoy::envoy::config::route::v3 as route;
use weir_proto::envoy::envoy::extensions::load_balancing_policies as lb;
use weir_proto::envoy::google::protobuf as google;
use weir_tests::ads::Ads;
use weir_tests::backend::Backend;
use weir_tests::envoy::Bootstrap;
use weir_tests::resources::{self, pack};
use weir_tests::{Process, binary, eventually, http};

const CHANGE: Duration = Duration::from_secs(10);
/// Endpoints of most clusters.
const ENDPOINTS: usize = 10;
/// Requests on a connection before their answers are read.
const BATCH: usize = 50;
const KEYS: usize = 2000;
/// Keys where a share of them is held against a bound: one in a hundred is more than three standard deviations of chance.
const MANY_KEYS: usize = 6000;

/// A data plane.
struct Plane {
    name: &'static str,
    entrance: SocketAddr,
    _process: Process,
}

impl Plane {
    fn envoy(dir: &Path, ads: &Ads) -> Self {
        let entrance = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (node, (more, own)) = (others::node(), others::bootstrap());
        let bootstrap = Bootstrap { xds: ads.address, api: "DELTA_GRPC", node: &node, more: &more };
        let mut command = bootstrap.command(dir, "envoy");
        // Its clusters come last.
        let mut file = std::fs::OpenOptions::new().append(true).open(dir.join("envoy.yaml")).unwrap();
        file.write_all(own.as_bytes()).unwrap();
        let process = Process::start("envoy", dir, command.stdout(Stdio::null()));
        Self { name: "envoy", entrance, _process: process }
    }

    fn weir(dir: &Path, ads: &Ads) -> Self {
        let mut command = Command::new(binary("weir-sidecar"));
        command.args(["--xds", &ads.address.to_string(), "--node-id", "weir", "--workers", "1"]);
        command.args(["--admin-listen", "127.0.0.1:0", "--outbound", "127.0.0.1:0"]);
        command.args(others::arguments());
        command.arg("--state-dir").arg(dir.join("state"));
        let said = dir.join("weir.out");
        let out = std::fs::File::create(&said).unwrap();
        let process = Process::start("weir", dir, command.stdout(Stdio::from(out)));
        let mut entrance = None;
        eventually("the sidecar says where it listens", CHANGE, || {
            let text = std::fs::read_to_string(&said).unwrap_or_default();
            let word = text.split(' ').find_map(|word| word.strip_prefix("outbound="));
            entrance = word.and_then(|word| word.trim().parse().ok());
            entrance.is_some()
        });
        Self { name: "weir", entrance: entrance.unwrap(), _process: process }
    }

    /// Who answers each of these requests: a path and header lines.
    fn ask(&self, requests: &[(&str, String)]) -> Vec<String> {
        let mut stream = TcpStream::connect(self.entrance).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(CHANGE)).unwrap();
        let mut answers = Vec::with_capacity(requests.len());
        let mut read = Vec::new();
        for batch in requests.chunks(BATCH) {
            let text: String = batch
                .iter()
                .map(|(path, fields)| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
                .collect();
            stream.write_all(text.as_bytes()).unwrap();
            for _ in batch {
                answers.push(answer(&mut stream, &mut read));
            }
        }
        answers
    }

    fn shares(&self, path: &str, count: usize) -> BTreeMap<String, f64> {
        let requests: Vec<_> = (0..count).map(|_| (path, String::new())).collect();
        let mut counts = BTreeMap::new();
        for name in self.ask(&requests) {
            *counts.entry(name).or_insert(0.0) += 1.0 / count as f64;
        }
        counts
    }

    /// Where each of so many keys goes.
    fn places(&self, path: &str, keys: usize) -> Vec<String> {
        let requests: Vec<_> = (0..keys).map(|key| (path, format!("X-Key: key-{key}\r\n"))).collect();
        self.ask(&requests)
    }
}

/// The body of the next answer.
fn answer(stream: &mut TcpStream, read: &mut Vec<u8>) -> String {
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.expect("a length").trim().parse().unwrap();
            if read.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&read[end + 4..end + 4 + length]).into_owned();
                read.drain(..end + 4 + length);
                assert!(head.starts_with("http/1.1 200"), "{head}\n{body}");
                return body;
            }
        }
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => read.extend_from_slice(&buffer[..count]),
            other => panic!("{other:?} after {:?}", String::from_utf8_lossy(read)),
        }
    }
}

/// Both data planes, and backends they share.
struct Both {
    ads: Ads,
    planes: [Plane; 2],
    backends: Vec<Backend>,
    _dir: tempfile::TempDir,
}

impl Both {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ads = Ads::start();
        let backends: Vec<Backend> =
            (0..ENDPOINTS + 2).map(|index| Backend::start(&index.to_string())).collect();
        let planes = [Plane::envoy(dir.path(), &ads), Plane::weir(dir.path(), &ads)];
        let both = Self { ads, planes, backends, _dir: dir };
        let all = both.addresses(0..ENDPOINTS);
        let routes = pack(&routes());
        for plane in &both.planes {
            let mut resources = vec![(resources::ROUTES.to_owned(), routes.clone())];
            let listener = resources::listener(plane.entrance, &resources::manager());
            resources.push((resources::LISTENER.to_owned(), pack(&listener)));
            for cluster in clusters().into_iter().chain(others::all()) {
                resources.push((cluster.name.clone(), pack(&cluster)));
            }
            both.ads.put(plane.name, resources);
        }
        for name in ["turns", "least", "ring", "sized", "maglev", "near"] {
            both.put(&resources::endpoints(name, &all));
        }
        both.put(&resources::endpoints("one", &all[..1]));
        both.put(&resources::endpoints("two", &all[1..2]));
        // One of three endpoints is not there.
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for name in ["ejects", "checks"] {
            both.put(&resources::endpoints(name, &[all[0], gone, all[1]]));
        }
        others::prepare(&both);
        both.settle();
        for plane in &both.planes {
            eventually(&format!("{} serves", plane.name), CHANGE, || {
                http::get(plane.entrance, "a", "/turns").is_ok_and(|answer| answer.status == 200)
            });
        }
        both
    }

    fn addresses(&self, range: std::ops::Range<usize>) -> Vec<SocketAddr> {
        self.backends[range].iter().map(|backend| backend.address).collect()
    }

    fn put(&self, endpoints: &endpoint::ClusterLoadAssignment) {
        for plane in &self.planes {
            self.ads.put(plane.name, vec![(endpoints.cluster_name.clone(), pack(endpoints))]);
        }
    }

    /// Waits until both have what they were given, and their workers too.
    fn settle(&self) {
        for plane in &self.planes {
            assert_eq!(self.ads.settled(plane.name, CHANGE).unwrap(), vec![], "{} refuses", plane.name);
        }
        std::thread::sleep(Duration::from_millis(300));
    }

    /// What comes of both at once.
    fn each<T: Send>(&self, of: impl Fn(&Plane) -> T + Sync) -> [T; 2] {
        let [envoy, weir] = &self.planes;
        std::thread::scope(|scope| {
            let envoy = scope.spawn(|| of(envoy));
            let weir = of(weir);
            [envoy.join().unwrap(), weir]
        })
    }
}

fn clusters() -> Vec<cluster::Cluster> {
    let plain = |name: &str| resources::cluster(name, false);
    let policy = |name: &str, config: google::Any| cluster::Cluster {
        load_balancing_policy: Some(cluster::LoadBalancingPolicy {
            policies: vec![cluster::load_balancing_policy::Policy {
                typed_extension_config: Some(core::TypedExtensionConfig {
                    name: name.to_owned(),
                    typed_config: Some(config),
                }),
            }],
        }),
        ..plain(name)
    };
    let least =
        cluster::Cluster { lb_policy: cluster::cluster::LbPolicy::LeastRequest as i32, ..plain("least") };
    let ring = |minimum: Option<u64>| {
        pack(&lb::ring_hash::v3::RingHash {
            minimum_ring_size: minimum.map(|value| google::UInt64Value { value }),
            ..Default::default()
        })
    };
    let maglev = pack(&lb::maglev::v3::Maglev::default());
    vec![
        plain("turns"),
        least,
        policy("ring", ring(None)),
        policy("sized", ring(Some(1024))),
        policy("maglev", maglev.clone()),
        policy("near", maglev),
        plain("one"),
        plain("two"),
        ejects(plain("ejects")),
        checks(plain("checks")),
    ]
}

/// Takes out who fails five times in a row, for longer than any test takes.
fn ejects(mut cluster: cluster::Cluster) -> cluster::Cluster {
    cluster.outlier_detection = Some(cluster::OutlierDetection {
        max_ejection_percent: Some(google::UInt32Value { value: 100 }),
        base_ejection_time: Some(google::Duration { seconds: 300, nanos: 0 }),
        ..Default::default()
    });
    cluster
}

/// Asks its endpoints whether they can be connected to.
fn checks(mut cluster: cluster::Cluster) -> cluster::Cluster {
    use core::health_check::{HealthChecker, TcpHealthCheck};
    let time = Some(google::Duration { seconds: 0, nanos: 100_000_000 });
    let one = Some(google::UInt32Value { value: 1 });
    cluster.health_checks = vec![core::HealthCheck {
        timeout: time,
        interval: time,
        no_traffic_interval: time,
        unhealthy_threshold: one,
        healthy_threshold: one,
        health_checker: Some(HealthChecker::TcpHealthCheck(TcpHealthCheck::default())),
        ..Default::default()
    }];
    cluster
}

/// A path for each cluster, and one that splits by hash.
fn routes() -> route::RouteConfiguration {
    use route::route_action::{ClusterSpecifier, HashPolicy, hash_policy};
    use route::weighted_cluster::{ClusterWeight, RandomValueSpecifier};
    let hash = HashPolicy {
        terminal: false,
        policy_specifier: Some(hash_policy::PolicySpecifier::Header(hash_policy::Header {
            header_name: "x-key".to_owned(),
            regex_rewrite: None,
        })),
    };
    let asking = |path: &str, specifier: ClusterSpecifier, metadata_match| route::Route {
        name: path.to_owned(),
        r#match: Some(route::RouteMatch {
            path_specifier: Some(route::route_match::PathSpecifier::Path(format!("/{path}"))),
            ..Default::default()
        }),
        action: Some(route::route::Action::Route(route::RouteAction {
            cluster_specifier: Some(specifier),
            metadata_match,
            hash_policy: vec![hash.clone()],
            ..Default::default()
        })),
        ..Default::default()
    };
    let to = |path: &str, specifier| asking(path, specifier, None);
    let side = |name: &str, weight: u32| ClusterWeight {
        name: name.to_owned(),
        weight: Some(google::UInt32Value { value: weight }),
        ..Default::default()
    };
    let split = route::WeightedCluster {
        clusters: vec![side("one", 70), side("two", 30)],
        random_value_specifier: Some(RandomValueSpecifier::UseHashPolicy(google::BoolValue { value: true })),
        ..Default::default()
    };
    let plain = ["turns", "least", "ring", "sized", "maglev", "near", "ejects", "checks"];
    let mut routes: Vec<_> =
        plain.iter().map(|name| to(name, ClusterSpecifier::Cluster((*name).to_owned()))).collect();
    for (path, cluster, wanted) in others::paths() {
        routes.push(asking(path, ClusterSpecifier::Cluster(cluster.to_owned()), wanted));
    }
    routes.push(to("split", ClusterSpecifier::WeightedClusters(split)));
    let host = route::VirtualHost {
        name: "all".to_owned(),
        domains: vec!["*".to_owned()],
        routes,
        ..Default::default()
    };
    route::RouteConfiguration {
        name: resources::ROUTES.to_owned(),
        virtual_hosts: vec![host],
        ..Default::default()
    }
}

fn moved(before: &[String], after: &[String]) -> f64 {
    before.iter().zip(after).filter(|(one, other)| one != other).count() as f64 / before.len() as f64
}

/// Everything at once: starting both data planes takes longer than any of it.
#[test]
fn both_send_requests_to_the_same_places() {
    let both = Both::start();
    shares(&both);
    agreement(&both);
    leaving(&both);
    failover(&both);
    panicking(&both);
    ejection(&both);
    others::subsets(&both);
    others::zones(&both);
    others::others(&both);
}

/// All endpoints are used below half of them, and only the healthy ones at half.
fn panicking(both: &Both) {
    for (unhealthy, used) in [(5, 5), (6, ENDPOINTS), (ENDPOINTS, ENDPOINTS), (0, ENDPOINTS)] {
        let mut endpoints = resources::endpoints("turns", &both.addresses(0..ENDPOINTS));
        for one in endpoints.endpoints[0].lb_endpoints.iter_mut().take(unhealthy) {
            one.health_status = core::HealthStatus::Unhealthy as i32;
        }
        both.put(&endpoints);
        both.settle();
        let [envoy, weir] = both.each(|plane| plane.shares("/turns", 200));
        assert_eq!((envoy.len(), weir.len()), (used, used), "{unhealthy} unhealthy: {envoy:?} {weir:?}");
    }
}

/// Who cannot be reached is out after its fifth failure, or after its first check.
fn ejection(both: &Both) {
    let failures = |plane: &Plane, path: &str, count: usize| {
        (0..count).filter(|_| http::get(plane.entrance, "a", path).unwrap().status != 200).count()
    };
    assert_eq!(both.each(|plane| failures(plane, "/ejects", 60)), [5, 5], "failures until it is ejected");
    assert_eq!(both.each(|plane| failures(plane, "/checks", 30)), [0, 0], "failures of checked endpoints");
}

/// Round robin and least request give everyone its share, within one in a hundred.
fn shares(both: &Both) {
    for (path, count) in [("/turns", 1000), ("/least", 20_000)] {
        for (plane, shares) in ["envoy", "weir"].into_iter().zip(both.each(|plane| plane.shares(path, count)))
        {
            assert_eq!(shares.len(), ENDPOINTS, "{plane} {path}: {shares:?}");
            let off = shares.values().map(|share| (share - 0.1).abs()).fold(0.0, f64::max);
            println!("{path} {plane}: off by {:.2} % at most", off * 100.0);
            assert!(off <= 0.01, "{plane} {path}: {shares:?}");
        }
    }
}

/// What is chosen by a hash is the same on both, caller by caller.
fn agreement(both: &Both) {
    for path in ["/sized", "/maglev", "/split"] {
        let [envoy, weir] = both.each(|plane| plane.places(path, KEYS));
        assert_eq!(moved(&envoy, &weir), 0.0, "{path}: both choose the same endpoint for every key");
        let used: BTreeSet<&String> = weir.iter().collect();
        assert_eq!(used.len(), if path == "/split" { 2 } else { ENDPOINTS }, "{path}");
    }
    let [_, split] = both.each(|plane| plane.places("/split", KEYS));
    let second = split.iter().filter(|name| *name == "1").count() as f64 / KEYS as f64;
    assert!((second - 0.3).abs() < 0.05, "{second}");
}

/// When one of N endpoints leaves, at most 1/N of the keys and two in a hundred move.
fn leaving(both: &Both) {
    let paths = ["/ring", "/maglev"];
    let before = paths.map(|path| both.each(|plane| plane.places(path, MANY_KEYS)));
    let mut left = both.addresses(0..ENDPOINTS);
    left.remove(4);
    for path in paths {
        both.put(&resources::endpoints(&path[1..], &left));
    }
    both.settle();
    for (path, before) in paths.into_iter().zip(before) {
        let after = both.each(|plane| plane.places(path, MANY_KEYS));
        let [envoy, weir] = [moved(&before[0], &after[0]), moved(&before[1], &after[1])];
        println!(
            "{path}: of {MANY_KEYS} keys moved: envoy {:.1} %, weir {:.1} %",
            envoy * 100.0,
            weir * 100.0
        );
        assert!(after.iter().flatten().all(|name| name != "4"));
        assert!(weir <= 1.0 / ENDPOINTS as f64 + 0.02, "{path}: {weir}");
    }
}

/// The next priority takes over at the same thresholds: for the same callers on both.
fn failover(both: &Both) {
    for (unhealthy, expected) in [(0, 0.0), (2, 0.0), (3, 0.02), (5, 0.30), (10, 1.0)] {
        let mut first = resources::endpoints("near", &both.addresses(0..ENDPOINTS));
        for one in first.endpoints[0].lb_endpoints.iter_mut().take(unhealthy) {
            one.health_status = core::HealthStatus::Unhealthy as i32;
        }
        let second = resources::endpoints("near", &both.addresses(ENDPOINTS..ENDPOINTS + 2));
        first.endpoints.extend(
            second.endpoints.into_iter().map(|it| endpoint::LocalityLbEndpoints { priority: 1, ..it }),
        );
        both.put(&first);
        both.settle();
        let far = |names: Vec<String>| -> Vec<bool> {
            names.iter().map(|name| name.parse::<usize>().unwrap() >= ENDPOINTS).collect()
        };
        let [envoy, weir] = both.each(|plane| far(plane.places("/near", KEYS)));
        let share = |far: &[bool]| far.iter().filter(|far| **far).count() as f64 / KEYS as f64;
        println!(
            "{unhealthy} of 10 unhealthy: to the next priority envoy {:.3}, weir {:.3}",
            share(&envoy),
            share(&weir)
        );
        assert_eq!(envoy, weir, "{unhealthy} unhealthy: not the same callers");
        assert!((share(&weir) - expected).abs() < 0.03, "{unhealthy} unhealthy: {}", share(&weir));
    }
}
