//! Endpoints that are taken out, come back and start: by what they answer, by their checks, and when they are new.

use crate::support::*;
use bytes::Bytes;
use http::Response;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use weir_model::{
    Cluster, EndpointHealth, HealthCheck, HttpProbe, HttpVersion, LatencyOutlier, LoadBalancing,
    OutlierDetection, Probe, SlowStart,
};
use weir_telemetry::metrics::Registry;

/// A backend whose answers a test decides while it runs.
struct Backend {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    /// What it answers to `/healthz`.
    check: Arc<AtomicU16>,
    delay_millis: Arc<AtomicU64>,
    requests: Arc<AtomicUsize>,
    checks: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Backend {
    async fn start() -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (status, check) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicU16::new(200)));
        let (requests, checks) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (connections, delay_millis) = (Arc::<AtomicUsize>::default(), Arc::<AtomicU64>::default());
        let task = {
            let (status, check, requests, checks) =
                (status.clone(), check.clone(), requests.clone(), checks.clone());
            let (connections, delay) = (connections.clone(), delay_millis.clone());
            tokio::spawn(async move {
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    connections.fetch_add(1, SeqCst);
                    let (status, check, requests, checks) =
                        (status.clone(), check.clone(), requests.clone(), checks.clone());
                    let delay = delay.clone();
                    tokio::spawn(async move {
                        let mut read = Vec::new();
                        let mut buffer = [0; 4096];
                        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                            read.extend_from_slice(&buffer[..count]);
                            while let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                                let head: Vec<u8> = read.drain(..end + 4).collect();
                                let checked = head.starts_with(b"GET /healthz ");
                                let (count, status) =
                                    if checked { (&checks, &check) } else { (&requests, &status) };
                                count.fetch_add(1, SeqCst);
                                tokio::time::sleep(Duration::from_millis(delay.load(SeqCst))).await;
                                let status = status.load(SeqCst);
                                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                                if stream.write_all(answer.as_bytes()).await.is_err() {
                                    return;
                                }
                            }
                        }
                    });
                }
            })
        };
        Backend { address, status, check, delay_millis, requests, checks, connections, task }
    }

    async fn several(count: usize) -> Vec<Backend> {
        let mut backends = Vec::new();
        for _ in 0..count {
            backends.push(Backend::start().await);
        }
        backends
    }

    /// Requests since this was asked before.
    fn requests(&self) -> usize {
        self.requests.swap(0, SeqCst)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn app(addresses: &[SocketAddr], health: EndpointHealth) -> Cluster {
    Cluster { health, ..cluster("app", HttpVersion::Http1, addresses) }
}

fn addresses(backends: &[Backend]) -> Vec<SocketAddr> {
    backends.iter().map(|backend| backend.address).collect()
}

/// A proxy in front of these endpoints, which are looked after.
fn looked_after(addresses: &[SocketAddr], health: EndpointHealth) -> (Proxy, Registry) {
    let proxy = Proxy::inbound(app(addresses, health));
    let registry = proxy.look_after();
    (proxy, registry)
}

fn eager() -> OutlierDetection {
    OutlierDetection {
        interval: Duration::from_millis(50),
        base_ejection_time: Duration::from_millis(700),
        max_ejection_percent: 100,
        ..OutlierDetection::default()
    }
}

fn outliers(detection: OutlierDetection) -> EndpointHealth {
    EndpointHealth { outlier_detection: Some(Box::new(detection)), ..EndpointHealth::default() }
}

async fn get(client: &mut Peer) -> String {
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.message().await.0
}

async fn get_many(proxy: &Proxy, count: usize) {
    let mut client = Peer::connect(proxy.inbound).await;
    for _ in 0..count {
        get(&mut client).await;
    }
}

fn ejected(proxy: &Proxy) -> usize {
    let now = weir_runtime::clock::now();
    let cluster = proxy.cluster("app");
    cluster.endpoints.iter().filter(|endpoint| endpoint.is_ejected(weir_model::Time(now.nanos()))).count()
}

#[tokio::test]
async fn errors_in_a_row_eject_and_time_brings_back() {
    let backends = Backend::several(3).await;
    let (proxy, registry) = looked_after(&addresses(&backends), outliers(eager()));
    backends[1].status.store(500, SeqCst);
    get_many(&proxy, 15).await;
    eventually("it is ejected", || ejected(&proxy) == 1).await;
    assert_eq!(backends[1].requests(), 5);
    get_many(&proxy, 30).await;
    assert_eq!(backends[1].requests(), 0);
    let shown = registry.render_prometheus();
    let counted = "weir_outlier_ejections_total{weir_cluster=\"app\",detector=\"consecutive_5xx\"} 1";
    assert!(shown.contains(counted), "{shown}");
    assert!(shown.contains("weir_outlier_ejected{weir_cluster=\"app\"} 1"), "{shown}");
    // Better now; four errors before do not count any more.
    backends[1].status.store(200, SeqCst);
    eventually("its time is over", || ejected(&proxy) == 0).await;
    eventually("main has seen it", || {
        registry.render_prometheus().contains("weir_outlier_ejected{weir_cluster=\"app\"} 0")
    })
    .await;
    tokio::time::sleep(weir_decide::balance::LOOK_AGAIN).await;
    get_many(&proxy, 30).await;
    assert!(backends[1].requests() >= 8);
}

#[tokio::test]
async fn at_most_so_many_are_ejected() {
    let backends = Backend::several(4).await;
    let half =
        OutlierDetection { max_ejection_percent: 50, base_ejection_time: Duration::from_secs(60), ..eager() };
    let (proxy, registry) = looked_after(&addresses(&backends), outliers(half));
    backends.iter().for_each(|backend| backend.status.store(503, SeqCst));
    get_many(&proxy, 60).await;
    eventually("half of them are ejected", || ejected(&proxy) == 2).await;
    get_many(&proxy, 40).await;
    eventually("others are spared", || {
        registry.render_prometheus().contains("detector=\"consecutive_5xx\",reason=\"overflow\"")
    })
    .await;
    assert_eq!(ejected(&proxy), 2);
}

#[tokio::test]
async fn the_last_one_is_never_ejected() {
    let backends = Backend::several(2).await;
    let long = OutlierDetection { base_ejection_time: Duration::from_secs(60), ..eager() };
    let health = EndpointHealth { panic_threshold: 0, ..outliers(long) };
    let (proxy, registry) = looked_after(&addresses(&backends), health);
    backends.iter().for_each(|backend| backend.status.store(500, SeqCst));
    get_many(&proxy, 40).await;
    eventually("the last is spared", || registry.render_prometheus().contains("reason=\"last\"")).await;
    assert_eq!(ejected(&proxy), 1);
    backends.iter().for_each(|backend| backend.status.store(200, SeqCst));
    assert!(get(&mut Peer::connect(proxy.inbound).await).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn who_cannot_be_reached_is_ejected() {
    let backend = Backend::start().await;
    let long = OutlierDetection {
        split_external_local_origin_errors: true,
        base_ejection_time: Duration::from_secs(60),
        ..eager()
    };
    let (proxy, registry) = looked_after(&[backend.address, nobody().await], outliers(long));
    get_many(&proxy, 12).await;
    eventually("it is ejected", || ejected(&proxy) == 1).await;
    let shown = registry.render_prometheus();
    assert!(shown.contains("detector=\"consecutive_local_origin_failure\"} 1"), "{shown}");
    let mut client = Peer::connect(proxy.inbound).await;
    for _ in 0..20 {
        assert!(get(&mut client).await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn a_slow_one_is_ejected() {
    let backends = Backend::several(3).await;
    let latency = LatencyOutlier {
        factor: 3000,
        minimum_difference: Duration::from_millis(20),
        minimum_hosts: 3,
        request_volume: 3,
        enforcing: 100,
    };
    let detection = OutlierDetection {
        latency: Some(latency),
        interval: Duration::from_millis(1000),
        base_ejection_time: Duration::from_secs(60),
        ..eager()
    };
    let (proxy, registry) = looked_after(&addresses(&backends), outliers(detection));
    backends[2].delay_millis.store(60, SeqCst);
    for _ in 0..6 {
        get_many(&proxy, 12).await;
        if ejected(&proxy) == 1 {
            break;
        }
    }
    eventually("it is ejected", || ejected(&proxy) == 1).await;
    assert!(registry.render_prometheus().contains("detector=\"latency\"} 1"));
    backends[2].requests();
    get_many(&proxy, 12).await;
    assert_eq!(backends[2].requests(), 0);
}

fn every(probe: Probe) -> EndpointHealth {
    let (timeout, interval) = (Duration::from_secs(2), Duration::from_millis(30));
    let check = HealthCheck {
        no_traffic_interval: interval,
        no_traffic_healthy_interval: interval,
        ..HealthCheck::new(probe, timeout, interval, 2, 2)
    };
    EndpointHealth { health_check: Some(Box::new(check)), ..EndpointHealth::default() }
}

fn healthz() -> Probe {
    Probe::Http(HttpProbe {
        host: String::new(),
        path: "/healthz".to_owned(),
        method: http::Method::GET,
        http2: false,
        expected: vec![(200, 300)],
        retriable: vec![],
        headers: Default::default(),
    })
}

fn failing(proxy: &Proxy) -> Vec<usize> {
    let cluster = proxy.cluster("app");
    let endpoints = cluster.endpoints.iter().enumerate();
    endpoints.filter(|(_, endpoint)| endpoint.standing.is_failing()).map(|(index, _)| index).collect()
}

/// The place of an address among the cluster's endpoints, which are in order.
fn place(proxy: &Proxy, address: SocketAddr) -> usize {
    proxy.cluster("app").endpoints.iter().position(|endpoint| endpoint.address == address).unwrap()
}

#[tokio::test]
async fn who_fails_its_checks_gets_no_traffic() {
    let backends = Backend::several(3).await;
    backends[0].check.store(503, SeqCst);
    let (proxy, registry) = looked_after(&addresses(&backends), every(healthz()));
    let bad = place(&proxy, backends[0].address);
    eventually("the others pass", || failing(&proxy) == [bad]).await;
    tokio::time::sleep(weir_decide::balance::LOOK_AGAIN).await;
    get_many(&proxy, 30).await;
    assert_eq!(backends[0].requests(), 0);
    assert!(backends[1].requests() + backends[2].requests() == 30);
    eventually("it is counted", || {
        let shown = registry.render_prometheus();
        shown.contains("weir_health_check_failing{weir_cluster=\"app\"} 1")
            && shown.contains("outcome=\"refused\"")
    })
    .await;
    // It recovers, and another one falls ill.
    backends[0].check.store(204, SeqCst);
    backends[1].check.store(500, SeqCst);
    let other = place(&proxy, backends[1].address);
    eventually("they change places", || failing(&proxy) == [other]).await;
    tokio::time::sleep(weir_decide::balance::LOOK_AGAIN).await;
    get_many(&proxy, 30).await;
    assert_eq!(backends[1].requests(), 0);
    assert!(backends[0].requests() >= 12);
    // One connection for all checks, and one for the requests.
    assert!(backends[2].checks.load(SeqCst) > 3);
    assert!(backends[2].connections.load(SeqCst) <= 2);
}

#[tokio::test]
async fn checks_end_with_their_policy() {
    let backends = Backend::several(2).await;
    backends[0].check.store(503, SeqCst);
    let (mut proxy, _registry) = looked_after(&addresses(&backends), every(healthz()));
    let bad = place(&proxy, backends[0].address);
    eventually("one passes", || failing(&proxy) == [bad]).await;
    proxy.publish_inbound(
        vec![app(&addresses(&backends), EndpointHealth::default())],
        vec![route(forward("app"))],
    );
    get_many(&proxy, 20).await;
    assert!(backends[0].requests() > 5);
    let before = backends[1].checks.load(SeqCst);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(backends[1].checks.load(SeqCst) <= before + 1);
}

#[tokio::test]
async fn bytes_can_be_a_check() {
    let (good, bad) = (Upstream::bind().await, Upstream::bind().await);
    let probe = Probe::Tcp { send: b"PING\r\n".to_vec(), receive: vec![b"PONG".to_vec()] };
    let (proxy, _registry) = looked_after(&[good.address, bad.address], every(probe));
    let addresses = [good.address, bad.address];
    for (upstream, answer) in [(good, "+PONG\r\n"), (bad, "-ERR\r\n")] {
        tokio::spawn(async move {
            loop {
                let mut peer = upstream.accept().await;
                tokio::spawn(async move {
                    assert_eq!(peer.until("\r\n").await, "PING\r\n");
                    peer.send(answer).await;
                });
            }
        });
    }
    let bad = place(&proxy, addresses[1]);
    eventually("one passes", || failing(&proxy) == [bad]).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(failing(&proxy), [bad]);
}

#[tokio::test]
async fn grpc_has_a_check_of_its_own() {
    let (good, bad) = (Upstream::bind().await, Upstream::bind().await);
    let probe = Probe::Grpc { service: "reviews".to_owned(), authority: "reviews:80".to_owned() };
    let (proxy, _registry) = looked_after(&[good.address, bad.address], every(probe));
    let unwell = place(&proxy, bad.address);
    for (upstream, status) in [(good, 1), (bad, 2)] {
        tokio::spawn(async move {
            let mut server = Server2::accept(&upstream).await;
            // All checks come on one connection.
            loop {
                let (request, mut respond) = server.request().await;
                assert_eq!(request.uri(), "http://reviews:80/grpc.health.v1.Health/Check");
                assert_eq!(collect(request.into_body()).await.0, "\0\0\0\0\x09\x0a\x07reviews");
                let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
                let mut body = respond.send_response(head, false).unwrap();
                body.send_data(Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status]), false).unwrap();
                body.send_trailers(grpc_trailers("0")).unwrap();
            }
        });
    }
    eventually("one serves", || failing(&proxy) == [unwell]).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(failing(&proxy), [unwell]);
}

#[tokio::test]
async fn a_newcomer_starts_slowly() {
    let backends = Backend::several(3).await;
    let health = EndpointHealth {
        slow_start: Some(SlowStart::new(Duration::from_secs(60))),
        ..EndpointHealth::default()
    };
    for load_balancing in [LoadBalancing::RoundRobin, LoadBalancing::LeastRequest { choices: 2 }] {
        let cluster = |count: usize| Cluster {
            load_balancing: load_balancing.clone(),
            ..app(&addresses(&backends)[..count], health.clone())
        };
        let mut proxy = Proxy::inbound(cluster(2));
        let _registry = proxy.look_after();
        get_many(&proxy, 100).await;
        // Those that were there share evenly.
        let first = backends[0].requests();
        assert!((35..=65).contains(&first), "{load_balancing:?} {first}");
        backends[1].requests();
        proxy.publish_inbound(vec![cluster(3)], vec![route(forward("app"))]);
        let clients = (0..4).map(|_| get_many(&proxy, 250));
        futures_util::future::join_all(clients).await;
        let newcomer = backends[2].requests();
        // A tenth of a share beside two whole ones is 48 of a thousand.
        assert!(newcomer > 0 && newcomer < 85, "{load_balancing:?} {newcomer}");
        backends.iter().for_each(|backend| backend.requests.store(0, SeqCst));
    }
}
