//! Copies of requests: what a mirror gets, and that the caller never notices.

use crate::support::*;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use weir_model::{
    CircuitBreakers, Cluster, Forward, Fraction, HttpVersion, Mirror, PathRewrite, Rewrite, Route,
    RouteAction, limits,
};
use weir_proxy::TelemetryArgs;
use weir_telemetry::metrics::Registry;

const ALL: Fraction = Fraction(1_000_000);

fn mirror(cluster: &str, fraction: Fraction) -> Mirror {
    Mirror { cluster: cluster.to_owned(), fraction, marks_host: true }
}

fn mirrored(mirrors: Vec<Mirror>) -> Route {
    route(RouteAction::Forward(Forward { mirrors, ..forward_to(&[("app", 1)]) }))
}

/// A worker whose metrics can be read.
fn counted(clusters: Vec<Cluster>, routes: Vec<Route>) -> (Proxy, Registry) {
    let registry = Registry::new();
    let telemetry = TelemetryArgs { registry: registry.clone(), ..TelemetryArgs::disabled() };
    let mut proxy = Proxy::with(true, telemetry);
    proxy.publish_inbound(clusters, routes);
    (proxy, registry)
}

/// How many copies for `cluster` had this outcome.
fn count(registry: &Registry, cluster: &str, outcome: &str) -> usize {
    let metrics = registry.render_prometheus();
    let parts = [
        "weir_mirrored_requests_total{".to_owned(),
        format!("weir_cluster=\"{cluster}\""),
        format!("outcome=\"{outcome}\""),
    ];
    let line = metrics.lines().find(|line| parts.iter().all(|part| line.contains(part.as_str())));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as usize)
}

fn http1(name: &str, address: std::net::SocketAddr) -> Cluster {
    cluster(name, HttpVersion::Http1, &[address])
}

#[tokio::test]
async fn copies_are_what_the_upstream_gets_but_for_the_host() {
    let (app, one, two) = (Upstream::bind().await, Upstream::bind().await, Upstream::bind().await);
    let mut forward = Forward {
        mirrors: vec![mirror("one", ALL), Mirror { marks_host: false, ..mirror("two", ALL) }],
        ..forward_to(&[("app", 1)])
    };
    forward.rewrite = Rewrite { host: None, path: Some(PathRewrite::Full("/new".to_owned())), more: None };
    let clusters = vec![http1("app", app.address), http1("one", one.address), http1("two", two.address)];
    let (proxy, registry) = counted(clusters, vec![route(RouteAction::Forward(forward))]);
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("POST /old?q HTTP/1.1\r\nHost: shop:80\r\nX-Me: 1\r\nContent-Length: 5\r\n\r\nhello").await;
    let mut server = app.accept().await;
    let (head, body) = server.message().await;
    assert!(head.starts_with("POST /new?q HTTP/1.1\r\n"), "{head}");
    assert_eq!((field(&head, "host"), body.as_str()), (Some("shop:80"), "hello"));
    for (mirror, host) in [(&one, "shop-shadow:80"), (&two, "shop:80")] {
        let mut peer = mirror.accept().await;
        let (head, body) = peer.message().await;
        assert!(head.starts_with("POST /new?q HTTP/1.1\r\n"), "{head}");
        assert_eq!((field(&head, "host"), field(&head, "x-me")), (Some(host), Some("1")));
        assert_eq!(body, "hello");
        peer.send("HTTP/1.1 500 No\r\ncontent-length: 3\r\n\r\nbad").await;
    }
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let (head, body) = client.message().await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body == "ok", "{head}");
    for name in ["one", "two"] {
        eventually("the answers of mirrors are counted", || count(&registry, name, "answered") == 1).await;
    }
}

#[tokio::test]
async fn a_mirror_that_hangs_or_is_not_there_costs_the_caller_nothing() {
    let app = Upstream::answering("ok").await;
    let hanging = Upstream::bind().await;
    let clusters =
        vec![http1("app", app.address), http1("hanging", hanging.address), http1("gone", nobody().await)];
    let routes = vec![mirrored(vec![mirror("hanging", ALL), mirror("gone", ALL)])];
    let (proxy, registry) = counted(clusters, routes);
    let mut client = Peer::connect(proxy.inbound).await;
    for _ in 0..20 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = tokio::time::timeout(Duration::from_secs(5), client.message()).await.unwrap();
        assert_eq!(answer.1, "ok");
    }
    eventually("those that fail are counted", || count(&registry, "gone", "failed") == 20).await;
    assert_eq!(count(&registry, "hanging", "answered"), 0);
}

#[tokio::test]
async fn a_share_of_the_requests_is_copied() {
    let (app, shadow) = (Upstream::answering("ok").await, Upstream::answering("shadow").await);
    let clusters = vec![http1("app", app.address), http1("shadow", shadow.address)];
    let (proxy, registry) = counted(clusters, vec![mirrored(vec![mirror("shadow", Fraction(250_000))])]);
    let mut client = Peer::connect(proxy.inbound).await;
    for _ in 0..400 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.message().await.1, "ok");
    }
    // 99.9 % of the binomial distribution; the seed is fixed.
    let all =
        |registry: &Registry| count(registry, "shadow", "answered") + count(registry, "shadow", "dropped");
    eventually("copies are answered", || (72..=129).contains(&all(&registry))).await;
}

#[tokio::test]
async fn a_body_is_copied_while_the_mirror_keeps_up_and_cut_when_it_does_not() {
    let (app, slow) = (Upstream::bind().await, Upstream::bind().await);
    let clusters = vec![http1("app", app.address), http1("slow", slow.address)];
    let (proxy, registry) = counted(clusters, vec![mirrored(vec![mirror("slow", ALL)])]);
    let mut client = Peer::connect(proxy.inbound).await;
    // More than kernel and bound together take from a peer that does not read.
    let length = 32 * 1024 * 1024;
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")).await;
    let mut server = app.accept().await;
    server.head().await;
    let peer = slow.accept().await;
    let sending = tokio::spawn(async move {
        let chunk = vec![b'x'; 64 * 1024];
        for _ in 0..length / chunk.len() {
            client.send(&chunk).await;
        }
        client
    });
    let mut body = vec![0; length];
    patient(tokio::io::AsyncReadExt::read_exact(&mut server.stream, &mut body)).await.unwrap();
    let mut client = patient(sending).await.unwrap();
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(client.message().await.1, "ok");
    eventually("it is cut", || count(&registry, "slow", "cut") == 1).await;
    drop(peer);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_copied_to_either_protocol() {
    let (app, one, two) = (Upstream::bind().await, Upstream::bind().await, Upstream::bind().await);
    let clusters = vec![
        http1("app", app.address),
        http1("one", one.address),
        cluster("two", HttpVersion::Http2, &[two.address]),
    ];
    let proxy = Proxy::routes(clusters, vec![mirrored(vec![mirror("one", ALL), mirror("two", ALL)])]);
    let mut client = Peer::connect(proxy.inbound).await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .await;
    let mut server = app.accept().await;
    server.until("0\r\n\r\n").await;
    let mut peer = one.accept().await;
    let copy = peer.until("0\r\n\r\n").await;
    assert!(copy.contains("host: a-shadow\r\n") && copy.contains("\r\n\r\n3\r\nabc\r\n"), "{copy}");
    let (request, _respond) = Server2::accept(&two).await.request().await;
    assert_eq!(request.uri().authority().unwrap().as_str(), "a-shadow");
    let mut body = request.into_body();
    let chunk = patient(body.data()).await.unwrap().unwrap();
    assert_eq!(chunk.as_ref(), b"abc");
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    client.message().await;
}

#[tokio::test]
async fn the_breaker_of_the_mirror_holds_and_what_it_turns_away_is_counted() {
    let (app, shadow) = (Upstream::answering("ok").await, Upstream::bind().await);
    let breakers = CircuitBreakers { max_requests: 2, ..CircuitBreakers::default() };
    let narrow = Cluster { circuit_breakers: breakers, ..http1("shadow", shadow.address) };
    let (proxy, registry) =
        counted(vec![http1("app", app.address), narrow], vec![mirrored(vec![mirror("shadow", ALL)])]);
    let mut client = Peer::connect(proxy.inbound).await;
    for _ in 0..10 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.message().await.1, "ok");
    }
    assert_eq!(count(&registry, "shadow", "dropped"), 8);
    assert_eq!(proxy.cluster("shadow").state.requests.load(Relaxed), 2);
}

#[tokio::test]
async fn as_many_copies_as_may_be_under_way_and_no_more() {
    let (app, shadow) = (Upstream::answering("ok").await, Upstream::bind().await);
    let (proxy, registry) = counted(
        vec![http1("app", app.address), http1("shadow", shadow.address)],
        vec![mirrored(vec![mirror("shadow", ALL)])],
    );
    let mut client = Peer::connect(proxy.inbound).await;
    for _ in 0..limits::MIRRORS_IN_FLIGHT + 7 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.message().await;
    }
    assert_eq!(count(&registry, "shadow", "dropped"), 7);
}

#[tokio::test]
async fn a_copy_is_given_up_when_its_time_is_over() {
    let (app, shadow) = (Upstream::answering("ok").await, Upstream::bind().await);
    let mut forward = Forward { mirrors: vec![mirror("shadow", ALL)], ..forward_to(&[("app", 1)]) };
    forward.timeouts.request = Some(Duration::from_millis(200));
    let clusters = vec![http1("app", app.address), http1("shadow", shadow.address)];
    let (proxy, registry) = counted(clusters, vec![route(RouteAction::Forward(forward))]);
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.message().await;
    let mut peer = shadow.accept().await;
    peer.head().await;
    assert!(peer.closed().await);
    eventually("it is counted", || count(&registry, "shadow", "timeout") == 1).await;
    assert_eq!(proxy.cluster("shadow").state.requests.load(Relaxed), 0);
}
