//! Callers come back to where they were: by hash, by side of a split, by session.

use crate::support::*;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use weir_model::{
    Affinity, Cluster, Cookie, Discovery, Forward, HashPolicy, HashSource, HeaderName, Health, HttpVersion,
    LoadBalancing, RingSize, Route, RouteAction, Session, StickySplit,
};

fn cookie(name: &str) -> Cookie {
    Cookie {
        name: name.to_owned(),
        ttl: Some(Duration::from_secs(60)),
        path: "/".to_owned(),
        attributes: Vec::new(),
    }
}

fn hashing(source: HashSource) -> Affinity {
    Affinity { hash: vec![HashPolicy { source, terminal: false }], ..Affinity::default() }
}

fn session(strict: bool) -> Affinity {
    Affinity { session: Some(Session { cookie: cookie("s"), strict }), ..Affinity::default() }
}

fn tied(clusters: &[(&str, u32)], affinity: Affinity) -> Vec<Route> {
    let forward = Forward { affinity: Some(Box::new(affinity)), ..forward_to(clusters) };
    vec![route(RouteAction::Forward(forward))]
}

fn ring(addresses: &[SocketAddr]) -> Cluster {
    let load_balancing = LoadBalancing::RingHash(RingSize::default());
    Cluster { load_balancing, ..cluster("app", HttpVersion::Http1, addresses) }
}

/// Who answers a request with these header lines, and which cookie it sets, without its attributes.
async fn ask(client: &mut Peer, path: &str, fields: &str) -> (String, Option<String>) {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
    let (head, body) = client.message().await;
    let set = field(&head, "set-cookie").map(|value| value.split(';').next().unwrap().to_owned());
    (body, set)
}

fn with(cookie: &str) -> String {
    format!("Cookie: other=1; {cookie}\r\n")
}

/// Upstreams that answer with their names.
async fn four() -> [Answering; 4] {
    [
        Upstream::answering("a").await,
        Upstream::answering("b").await,
        Upstream::answering("c").await,
        Upstream::answering("d").await,
    ]
}

#[tokio::test]
async fn a_header_or_a_query_parameter_chooses_the_endpoint() {
    let upstreams = four().await;
    let addresses: Vec<SocketAddr> = upstreams.iter().map(|upstream| upstream.address).collect();
    for source in
        [HashSource::Header(HeaderName::from_static("x-user")), HashSource::Query("user".to_owned())]
    {
        let proxy = Proxy::routes(vec![ring(&addresses)], tied(&[("app", 1)], hashing(source)));
        let (mut one, mut other) = (Peer::connect(proxy.inbound).await, Peer::connect(proxy.inbound).await);
        let mut seen = BTreeSet::new();
        for user in 0..40 {
            let (path, fields) = (format!("/?user={user}"), format!("X-User: {user}\r\n"));
            let first = ask(&mut one, &path, &fields).await;
            assert_eq!(ask(&mut other, &path, &fields).await, first);
            seen.insert(first.0);
        }
        assert_eq!(seen.len(), 4, "users spread over all endpoints");
    }
}

#[tokio::test]
async fn one_address_goes_to_one_endpoint() {
    let upstreams = four().await;
    let addresses: Vec<SocketAddr> = upstreams.iter().map(|upstream| upstream.address).collect();
    let proxy =
        Proxy::routes(vec![ring(&addresses)], tied(&[("app", 1)], hashing(HashSource::SourceAddress)));
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        seen.insert(ask(&mut Peer::connect(proxy.inbound).await, "/", "").await.0);
    }
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn a_cookie_is_issued_and_brings_the_caller_back() {
    let upstreams = four().await;
    let addresses: Vec<SocketAddr> = upstreams.iter().map(|upstream| upstream.address).collect();
    let affinity = hashing(HashSource::Cookie(cookie("user")));
    let proxy = Proxy::routes(vec![ring(&addresses)], tied(&[("app", 1)], affinity));
    let mut client = Peer::connect(proxy.inbound).await;
    let mut seen = BTreeSet::new();
    for _ in 0..30 {
        let (first, issued) = ask(&mut client, "/", "").await;
        let issued = issued.unwrap();
        for _ in 0..3 {
            let again = ask(&mut client, "/", &with(&issued)).await;
            assert_eq!(again, (first.clone(), None), "and it is not issued again");
        }
        seen.insert(first);
    }
    assert!(seen.len() > 2, "callers on one connection are not one caller: {seen:?}");
}

#[tokio::test]
async fn a_caller_keeps_its_side_while_the_canary_grows() {
    let upstreams = [Upstream::answering("stable").await, Upstream::answering("canary").await];
    let clusters = || {
        let one = |name: &str, upstream: &Answering| cluster(name, HttpVersion::Http1, &[upstream.address]);
        vec![one("stable", &upstreams[0]), one("canary", &upstreams[1])]
    };
    let affinity =
        || Affinity { split: Some(StickySplit::Hash), ..hashing(HashSource::Cookie(cookie("side"))) };
    let sides = |canary: u32| tied(&[("stable", 100 - canary), ("canary", canary)], affinity());
    let mut proxy = Proxy::routes(clusters(), sides(20));
    let mut client = Peer::connect(proxy.inbound).await;
    let mut callers = Vec::new();
    for _ in 0..100 {
        let (side, issued) = ask(&mut client, "/", "").await;
        callers.push((issued.unwrap(), side == "canary"));
    }
    let on_canary = |callers: &[(String, bool)]| callers.iter().filter(|(_, canary)| *canary).count();
    assert!((8..35).contains(&on_canary(&callers)), "{}", on_canary(&callers));
    let mut before = on_canary(&callers);
    for weight in [20, 50, 80] {
        proxy.publish_inbound(clusters(), sides(weight));
        let mut client = Peer::connect(proxy.inbound).await;
        eventually_served(&mut client).await;
        for (cookie, was) in &mut callers {
            let (side, issued) = ask(&mut client, "/", &with(cookie)).await;
            assert_eq!(issued, None);
            assert!(side == "canary" || !*was, "a caller left the canary at {weight} %");
            *was = side == "canary";
        }
        assert!(on_canary(&callers) >= before);
        before = on_canary(&callers);
    }
    assert!(before > 60, "{before}");
}

/// The worker takes a new snapshot as soon as it gets to it.
async fn eventually_served(client: &mut Peer) {
    tokio::time::sleep(Duration::from_millis(50)).await;
    ask(client, "/", "").await;
}

#[tokio::test]
async fn a_session_outlives_new_weights_and_ends_with_its_endpoint() {
    let upstreams = four().await;
    let of = |range: std::ops::Range<usize>| -> Vec<SocketAddr> {
        upstreams[range].iter().map(|upstream| upstream.address).collect()
    };
    let clusters = |one: &[SocketAddr]| {
        vec![cluster("one", HttpVersion::Http1, one), cluster("two", HttpVersion::Http1, &of(2..4))]
    };
    let mut proxy = Proxy::routes(clusters(&of(0..2)), tied(&[("one", 1), ("two", 0)], session(false)));
    let mut client = Peer::connect(proxy.inbound).await;
    let (place, pin) = ask(&mut client, "/", "").await;
    let pin = pin.unwrap();
    for _ in 0..10 {
        assert_eq!(ask(&mut client, "/", &with(&pin)).await, (place.clone(), None));
    }
    // Everything new goes to the other side; the session stays.
    proxy.publish_inbound(clusters(&of(0..2)), tied(&[("one", 0), ("two", 1)], session(false)));
    let mut client = Peer::connect(proxy.inbound).await;
    eventually_served(&mut client).await;
    for _ in 0..10 {
        assert_eq!(ask(&mut client, "/", &with(&pin)).await, (place.clone(), None));
    }
    assert!(["c", "d"].contains(&ask(&mut client, "/", "").await.0.as_str()));
    // Its endpoint goes: another one takes over, and the cookie says so.
    let left = if place == "a" { of(1..2) } else { of(0..1) };
    proxy.publish_inbound(clusters(&left), tied(&[("one", 0), ("two", 1)], session(false)));
    let mut client = Peer::connect(proxy.inbound).await;
    eventually_served(&mut client).await;
    let (new_place, new_pin) = ask(&mut client, "/", &with(&pin)).await;
    let new_pin = new_pin.unwrap();
    assert!(["c", "d"].contains(&new_place.as_str()) && new_pin != pin);
    assert_eq!(ask(&mut client, "/", &with(&new_pin)).await, (new_place, None));
}

#[tokio::test]
async fn a_draining_endpoint_keeps_its_sessions_and_gets_no_other() {
    let upstreams = four().await;
    let addresses: Vec<SocketAddr> = upstreams.iter().map(|upstream| upstream.address).collect();
    let mut proxy = Proxy::routes(
        vec![cluster("app", HttpVersion::Http1, &addresses)],
        tied(&[("app", 1)], session(false)),
    );
    let mut client = Peer::connect(proxy.inbound).await;
    let (place, pin) = ask(&mut client, "/", "").await;
    let pin = pin.unwrap();
    let index = ["a", "b", "c", "d"].iter().position(|name| *name == place).unwrap();
    let mut draining = cluster("app", HttpVersion::Http1, &addresses);
    let Discovery::Static(endpoints) = &mut draining.discovery else { unreachable!("it is static") };
    let endpoints = endpoints.localities[0].endpoints.iter_mut();
    endpoints.filter(|it| it.address == addresses[index]).for_each(|it| it.health = Health::Draining);
    proxy.publish_inbound(vec![draining], tied(&[("app", 1)], session(false)));
    let mut client = Peer::connect(proxy.inbound).await;
    eventually_served(&mut client).await;
    assert_eq!(ask(&mut client, "/", &with(&pin)).await, (place.clone(), None));
    for _ in 0..12 {
        assert_ne!(ask(&mut client, "/", "").await.0, place);
    }
}

#[tokio::test]
async fn a_cookie_reaches_nothing_but_endpoints_of_the_route() {
    let (inside, outside) = (Upstream::answering("inside").await, Upstream::answering("outside").await);
    let clusters = vec![
        cluster("app", HttpVersion::Http1, &[inside.address]),
        cluster("other", HttpVersion::Http1, &[outside.address]),
    ];
    let proxy = Proxy::routes(clusters, tied(&[("app", 1)], session(false)));
    let mut client = Peer::connect(proxy.inbound).await;
    let pin = |cluster: &str, address: SocketAddr| {
        let cluster = weir_decide::affinity::cluster_key(cluster);
        weir_decide::affinity::Pin { cluster, endpoint: weir_decide::affinity::endpoint_key(address) }.value()
    };
    let outside = outside.address;
    for forged in [
        outside.to_string(),
        format!("\"{outside}\""),
        pin("other", outside),
        pin("app", outside),
        "f".repeat(32),
        "0".repeat(33),
        String::new(),
        "\u{e9}".repeat(16),
    ] {
        let (body, set) = ask(&mut client, "/", &with(&format!("s={forged}"))).await;
        assert_eq!(body, "inside", "{forged}");
        assert_eq!(set, Some(format!("s=\"{}\"", pin("app", inside.address))), "{forged}");
    }
}

#[tokio::test]
async fn a_strict_session_fails_rather_than_moves() {
    let upstreams = four().await;
    let addresses: Vec<SocketAddr> = upstreams.iter().map(|upstream| upstream.address).collect();
    let app = |addresses: &[SocketAddr]| vec![cluster("app", HttpVersion::Http1, addresses)];
    let mut proxy = Proxy::routes(app(&addresses[..1]), tied(&[("app", 1)], session(true)));
    let mut client = Peer::connect(proxy.inbound).await;
    let (place, pin) = ask(&mut client, "/", "").await;
    let pin = pin.unwrap();
    assert_eq!(ask(&mut client, "/", &with(&pin)).await, (place, None));
    proxy.publish_inbound(app(&addresses[1..]), tied(&[("app", 1)], session(true)));
    let mut client = Peer::connect(proxy.inbound).await;
    eventually_served(&mut client).await;
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", with(&pin))).await;
    let (head, body) = client.message().await;
    assert!(head.starts_with("HTTP/1.1 503 ") && body.contains("UH"), "{head}{body}");
}

#[tokio::test]
async fn sessions_are_for_the_requests_under_their_path() {
    let upstream = Upstream::answering("a").await;
    let mut affinity = session(false);
    affinity.session.as_mut().unwrap().cookie.path = "/shop".to_owned();
    let app = vec![cluster("app", HttpVersion::Http1, &[upstream.address])];
    let proxy = Proxy::routes(app, tied(&[("app", 1)], affinity));
    let mut client = Peer::connect(proxy.inbound).await;
    assert_eq!(ask(&mut client, "/other", "").await.1, None);
    assert!(ask(&mut client, "/shop/cart?x", "").await.1.is_some());
}
