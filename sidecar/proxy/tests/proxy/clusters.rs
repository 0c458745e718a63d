//! What a cluster says of its endpoints beside where they are: subsets, dropped shares, where they are checked.

use crate::support::*;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use weir_model::{
    Cluster, Discovery, DropOverload, EndpointDetails, EndpointHealth, Endpoints, Fraction, HealthCheck,
    HttpProbe, HttpVersion, Label, Labels, Probe, Route, RouteAction, SubsetConfig, SubsetSelector,
};

fn version(value: &str) -> Labels {
    [("version".to_owned(), Label::Text(value.to_owned()))].into()
}

fn endpoints(cluster: &mut Cluster) -> &mut Endpoints {
    match &mut cluster.discovery {
        Discovery::Static(endpoints) => endpoints,
        other => panic!("{other:?}"),
    }
}

fn app(addresses: &[SocketAddr]) -> Cluster {
    cluster("app", HttpVersion::Http1, addresses)
}

/// To the endpoints of a version, if any is asked for.
fn to(value: Option<&str>) -> Route {
    let mut forward = forward_to(&[("app", 1)]);
    forward.clusters[0].subset = value.map(|value| Box::new(version(value)));
    route(RouteAction::Forward(forward))
}

async fn ask(proxy: &Proxy) -> (String, String) {
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.message().await
}

#[tokio::test]
async fn a_route_reaches_the_subset_it_asks_for() {
    let (one, two) = (Upstream::answering("one").await, Upstream::answering("two").await);
    let mut cluster = app(&[one.address, two.address]);
    for endpoint in &mut endpoints(&mut cluster).localities[0].endpoints {
        let labels = version(if endpoint.address == one.address { "1" } else { "2" });
        endpoint.details = EndpointDetails { labels, ..EndpointDetails::default() }.boxed();
    }
    let selector = SubsetSelector { keys: vec!["version".to_owned()], fallback: None };
    cluster.subsets = Some(Box::new(SubsetConfig { selectors: vec![selector], ..SubsetConfig::default() }));
    let mut proxy = Proxy::routes(vec![cluster.clone()], vec![to(Some("1"))]);
    for (value, expected) in [("1", "one"), ("2", "two")] {
        proxy.publish_inbound(vec![cluster.clone()], vec![to(Some(value))]);
        for _ in 0..4 {
            assert_eq!(ask(&proxy).await.1, expected);
        }
    }
    for nothing in [Some("3"), None] {
        proxy.publish_inbound(vec![cluster.clone()], vec![to(nothing)]);
        let (head, _) = ask(&proxy).await;
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    }
}

#[tokio::test]
async fn a_dropped_share_never_reaches_the_cluster() {
    let upstream = Upstream::answering("one").await;
    let mut cluster = app(&[upstream.address]);
    let drop = |share: u32| vec![DropOverload { category: "throttle".to_owned(), share: Fraction(share) }];
    endpoints(&mut cluster).drops = drop(1_000_000);
    let mut proxy = Proxy::routes(vec![cluster.clone()], vec![to(None)]);
    for _ in 0..5 {
        let (head, body) = ask(&proxy).await;
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        assert!(body.contains("overloaded"), "{body}");
    }
    let linked = proxy.cluster("app");
    assert_eq!(linked.drops[0].dropped(), 5);
    assert_eq!((linked.state.traffic.totals().refused, linked.state.requests.load(Relaxed)), (5, 0));
    endpoints(&mut cluster).drops = drop(0);
    proxy.publish_inbound(vec![cluster], vec![to(None)]);
    assert_eq!(ask(&proxy).await.1, "one");
}

#[tokio::test]
async fn an_endpoint_is_checked_where_and_as_whom_it_says() {
    let upstream = Upstream::answering("app").await;
    let checked = Upstream::bind().await;
    let mut cluster = app(&[upstream.address]);
    let probe = Probe::Http(HttpProbe {
        host: "cluster".to_owned(),
        path: "/health".to_owned(),
        method: http::Method::GET,
        http2: false,
        expected: Vec::new(),
        retriable: Vec::new(),
        headers: Default::default(),
    });
    let check = HealthCheck::new(probe, Duration::from_secs(5), Duration::from_millis(20), 1, 1);
    cluster.health = EndpointHealth {
        health_check: Some(Box::new(check)),
        panic_threshold: 0,
        ..EndpointHealth::default()
    };
    endpoints(&mut cluster).localities[0].endpoints[0].details = EndpointDetails {
        check_address: Some(checked.address),
        check_host: "endpoint".to_owned(),
        ..EndpointDetails::default()
    }
    .boxed();
    let proxy = Proxy::routes(vec![cluster], vec![to(None)]);
    let _registry = proxy.look_after();
    let mut asked = checked.accept().await;
    let head = asked.head().await;
    assert!(head.starts_with("GET /health HTTP/1.1"), "{head}");
    assert_eq!(field(&head, "host"), Some("endpoint"), "{head}");
    let (refused, _) = ask(&proxy).await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "before its first check: {refused}");
    asked.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let cluster = proxy.cluster("app");
    eventually("it passes", || !cluster.endpoints[0].standing.is_failing()).await;
    assert_eq!(ask(&proxy).await.1, "app");
}

#[tokio::test]
async fn an_endpoint_that_is_not_checked_is_healthy() {
    let upstream = Upstream::answering("app").await;
    let mut cluster = app(&[upstream.address]);
    let probe = Probe::Tcp { send: b"?".to_vec(), receive: vec![b"never".to_vec()] };
    let check = HealthCheck::new(probe, Duration::from_secs(5), Duration::from_millis(20), 1, 1);
    cluster.health = EndpointHealth {
        health_check: Some(Box::new(check)),
        panic_threshold: 0,
        ..EndpointHealth::default()
    };
    endpoints(&mut cluster).localities[0].endpoints[0].details =
        EndpointDetails { unchecked: true, ..EndpointDetails::default() }.boxed();
    let proxy = Proxy::routes(vec![cluster], vec![to(None)]);
    let _registry = proxy.look_after();
    assert_eq!(ask(&proxy).await.1, "app");
}
