//! Opaque connections: which filter chain they take, where a server name leads, and how they are split and ended.

use std::collections::HashMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_model::access_log::{AccessLog as LogModel, LogFormat, LogOutput, Template};
use weir_model::{
    ChainKind, ChainMatch, Cluster, Direction, FilterChain, FilterChains, HttpVersion, Inspect, Listener,
    ListenerKind, Resource, RouteSource, TcpListener, TcpTarget,
};
use weir_proxy::TelemetryArgs;
use weir_telemetry::access_log::{AccessLog, DEFAULT_QUEUE};

use crate::support::*;
use crate::telemetry::Lines;

/// The beginning of a TLS connection that asks for a server.
pub fn hello(server_name: Option<&str>, protocols: &[&str]) -> Vec<u8> {
    fn vector(length: usize, content: &[u8]) -> Vec<u8> {
        let head = content.len().to_be_bytes();
        [&head[head.len() - length..], content].concat()
    }
    let mut extensions = Vec::new();
    if let Some(name) = server_name {
        let entry = [&[0][..], &vector(2, name.as_bytes())].concat();
        extensions.extend([&[0, 0][..], &vector(2, &vector(2, &entry))].concat());
    }
    if !protocols.is_empty() {
        let list: Vec<u8> = protocols.iter().flat_map(|name| vector(1, name.as_bytes())).collect();
        extensions.extend([&[0, 16][..], &vector(2, &vector(2, &list))].concat());
    }
    let body =
        [&[3, 3][..], &[7; 32], &[0], &vector(2, &[0x13, 0x01]), &[1, 0], &vector(2, &extensions)].concat();
    let message = [&[1][..], &vector(3, &body)].concat();
    [&[22, 3, 1][..], &vector(2, &message)].concat()
}

const TLS: Inspect = Inspect { tls: true, http: false, wait: Duration::from_secs(10), go_on: false };

fn named(names: &[&str]) -> ChainMatch {
    ChainMatch {
        server_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..ChainMatch::default()
    }
}

fn bytes(cluster: &str) -> ChainKind {
    ChainKind::Tcp(TcpListener::to(cluster))
}

fn chains(
    proxy: &Proxy,
    inspect: Option<Inspect>,
    chains: Vec<(ChainMatch, ChainKind)>,
    otherwise: Option<ChainKind>,
) -> Resource {
    let chains = chains.into_iter().map(|(matches, kind)| FilterChain { name: String::new(), matches, kind });
    let kind = FilterChains { inspect, chains: chains.collect(), otherwise };
    Resource::Listener(Listener {
        name: "chains".to_owned(),
        address: Some(proxy.tcp),
        direction: Direction::Outbound,
        kind: ListenerKind::Chains(Box::new(kind)),
    })
}

fn listening(proxy: &Proxy, tcp: TcpListener) -> Resource {
    let kind = ListenerKind::Tcp(tcp);
    let (name, address, direction) = ("tcp".to_owned(), Some(proxy.tcp), Direction::Outbound);
    Resource::Listener(Listener { name, address, direction, kind })
}

fn to(name: &str, upstream: &Upstream) -> Resource {
    Resource::Cluster(cluster(name, HttpVersion::Http1, &[upstream.address]))
}

/// A proxy whose opaque connections are logged so, and the lines.
fn logged() -> (Proxy, Lines, weir_telemetry::access_log::AccessLogHandle) {
    let lines = Lines::default();
    let (access_log, log) = AccessLog::start(lines.clone(), std::io::sink(), DEFAULT_QUEUE).unwrap();
    (Proxy::with(true, TelemetryArgs { access_log, ..TelemetryArgs::disabled() }), lines, log)
}

fn format(text: &str) -> std::sync::Arc<LogModel> {
    let format = LogFormat::Text { template: Template::parse(text).unwrap(), omit_empty: false };
    std::sync::Arc::new(LogModel { output: LogOutput::Stdout, format, ..LogModel::default() })
}

#[tokio::test]
async fn the_server_name_chooses_the_chain_and_nothing_is_lost() {
    let mut proxy = Proxy::start();
    let (exact, wild, tls, other) =
        (Upstream::bind().await, Upstream::bind().await, Upstream::bind().await, Upstream::bind().await);
    let any_tls = ChainMatch { transport: "tls".to_owned(), ..ChainMatch::default() };
    let listener = chains(
        &proxy,
        Some(TLS),
        vec![
            (named(&["*.example.com"]), bytes("wild")),
            (named(&["a.example.com"]), bytes("exact")),
            (any_tls, bytes("tls")),
        ],
        Some(bytes("other")),
    );
    let clusters = [to("exact", &exact), to("wild", &wild), to("tls", &tls), to("other", &other)];
    proxy.publish(clusters.into_iter().chain([listener]).collect(), &[]);
    let cases = [
        (hello(Some("a.example.com"), &[]), &exact),
        (hello(Some("A.EXAMPLE.com"), &["h2"]), &exact),
        (hello(Some("b.a.example.com"), &[]), &wild),
        (hello(Some("example.com"), &[]), &tls),
        (hello(None, &["h2"]), &tls),
        (b"SSH-2.0-x\r\n".to_vec(), &other),
    ];
    for (first, upstream) in cases {
        let mut client = Peer::connect(proxy.tcp).await;
        // In pieces, the last of which decides.
        let (head, tail) = first.split_at(first.len() / 2);
        client.send(head).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        client.send(tail).await;
        let mut server = upstream.accept().await;
        let mut seen = vec![0; first.len()];
        patient(server.stream.read_exact(&mut seen)).await.unwrap();
        assert_eq!(seen, first);
        server.send("welcome").await;
        assert_eq!(client.until("welcome").await, "welcome");
    }
}

#[tokio::test]
async fn what_matches_no_chain_is_closed() {
    let telemetry = TelemetryArgs::disabled();
    let registry = telemetry.registry.clone();
    let mut proxy = Proxy::with(true, telemetry);
    let upstream = Upstream::bind().await;
    let listener = chains(&proxy, Some(TLS), vec![(named(&["a"]), bytes("a"))], None);
    proxy.publish(vec![to("a", &upstream), listener], &[]);
    let mut client = Peer::connect(proxy.tcp).await;
    client.send(hello(Some("b"), &[])).await;
    assert!(client.closed().await);
    let mut half = TcpStream::connect(proxy.tcp).await.unwrap();
    half.write_all(&hello(Some("a"), &[])[..9]).await.unwrap();
    half.shutdown().await.unwrap();
    assert_eq!(
        patient(half.read(&mut [0; 9])).await.unwrap_or(0),
        0,
        "it ended before it was clear what it is"
    );
    assert!(upstream.is_quiet().await);
    eventually("it is counted", || {
        let text = registry.render_prometheus();
        text.lines().any(|line| line.contains("\"NR\"") && line.ends_with(" 1"))
    })
    .await;
}

#[tokio::test]
async fn a_silent_client_is_closed_or_served_in_time() {
    let upstream = Upstream::bind().await;
    for go_on in [false, true] {
        let mut proxy = Proxy::start();
        let inspect = Inspect { wait: Duration::from_millis(100), go_on, ..TLS };
        let listener = chains(&proxy, Some(inspect), vec![(named(&["a"]), bytes("a"))], Some(bytes("a")));
        proxy.publish(vec![to("a", &upstream), listener], &[]);
        let mut client = Peer::connect(proxy.tcp).await;
        if go_on {
            upstream.accept().await.send("220 ready\n").await;
            assert_eq!(client.until("\n").await, "220 ready\n");
        } else {
            assert!(client.closed().await);
        }
    }
}

/// Without anything to look at, a server may speak first.
#[tokio::test]
async fn chains_by_addresses_wait_for_nobody() {
    let mut proxy = Proxy::start();
    let upstream = Upstream::bind().await;
    let port = ChainMatch { destination_port: Some(proxy.tcp.port()), ..ChainMatch::default() };
    let local = ChainMatch { sources: vec!["127.0.0.0/8".parse().unwrap()], ..port.clone() };
    let listener = chains(&proxy, None, vec![(port, bytes("none")), (local, bytes("a"))], None);
    let none = Resource::Cluster(cluster("none", HttpVersion::Http1, &[]));
    proxy.publish(vec![to("a", &upstream), none, listener], &[]);
    let mut client = Peer::connect(proxy.tcp).await;
    upstream.accept().await.send("hello").await;
    assert_eq!(client.until("hello").await, "hello");
}

#[tokio::test]
async fn http_and_bytes_on_one_listener() {
    let mut proxy = Proxy::start();
    let (app, db) = (Upstream::answering("hi").await, Upstream::bind().await);
    let routes = RouteSource::Inline(any_host("r", vec![route(forward("app"))]));
    let http = http_listener(proxy.tcp, Direction::Outbound, routes, None, false);
    let ListenerKind::Http(http) = http.kind else { unreachable!() };
    let plain = ChainMatch {
        application_protocols: ["http/1.1", "h2c"].map(str::to_owned).into(),
        transport: "raw_buffer".to_owned(),
        ..ChainMatch::default()
    };
    let inspect = Inspect { http: true, ..TLS };
    let build = |proxy: &Proxy, first: (ChainMatch, ChainKind), second| {
        chains(proxy, Some(inspect), vec![first, second], Some(bytes("db")))
    };
    let chain = (plain, ChainKind::Http(Box::new(http)));
    let tls = (named(&["db"]), bytes("db"));
    let listener = build(&proxy, chain.clone(), tls.clone());
    let clusters =
        || vec![Resource::Cluster(cluster("app", HttpVersion::Http1, &[app.address])), to("db", &db)];
    proxy.publish([clusters(), vec![listener]].concat(), &[]);
    let mut client = Peer::connect(proxy.tcp).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.message().await.1, "hi");
    // The chain moves, and the connection goes on by its match.
    let listener = build(&proxy, tls, chain);
    proxy.publish([clusters(), vec![listener]].concat(), &[]);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.message().await.1, "hi");
    for first in
        [hello(Some("db"), &["http/1.1"]), b"PING\r\n\x01".to_vec(), b"GET / HTTP/1.0\r\n\r\n".to_vec()]
    {
        let mut client = Peer::connect(proxy.tcp).await;
        client.send(&first).await;
        let mut server = db.accept().await;
        let mut seen = vec![0; first.len()];
        patient(server.stream.read_exact(&mut seen)).await.unwrap();
        assert_eq!(seen, first);
    }
    let only = chains(&proxy, None, vec![(ChainMatch::default(), bytes("db"))], None);
    proxy.publish([clusters(), vec![only]].concat(), &[]);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 5"), "its chain is gone");
}

#[tokio::test]
async fn connections_are_split_by_weight() {
    let mut proxy = Proxy::start();
    let (stable, canary) = (Upstream::bind().await, Upstream::bind().await);
    let target = |cluster: &str, weight| TcpTarget { cluster: cluster.to_owned(), weight };
    let targets = vec![target("stable", 80), target("canary", 10), target("nobody", 10)];
    let listener = listening(&proxy, TcpListener { targets, ..TcpListener::to("x") });
    let nobody = Resource::Cluster(cluster("nobody", HttpVersion::Http1, &[]));
    proxy.publish(vec![to("stable", &stable), to("canary", &canary), nobody, listener], &[]);
    let mut counts = HashMap::new();
    let mut open = Vec::new();
    for _ in 0..300 {
        let mut client = Peer::connect(proxy.tcp).await;
        let went = tokio::select! {
            server = stable.accept() => { open.push(server); "stable" }
            server = canary.accept() => { open.push(server); "canary" }
            closed = client.closed() => { assert!(closed); "closed" }
        };
        open.push(client);
        *counts.entry(went).or_insert(0) += 1;
    }
    // Of a binomial share of 10 % less than one in a million is beyond this.
    let near = |name: &str, range: std::ops::Range<i32>| {
        assert!(range.contains(&counts[name]), "{name}: {counts:?}");
    };
    near("stable", 205..275);
    near("canary", 8..60);
    near("closed", 8..60);
}

#[tokio::test]
async fn idle_connections_end_and_busy_ones_do_not() {
    let (mut proxy, lines, log) = logged();
    let upstream = Upstream::bind().await;
    let access_log = Some(format("%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT%\n"));
    let idle_timeout = Some(Duration::from_millis(400));
    let listener = listening(&proxy, TcpListener { access_log, idle_timeout, ..TcpListener::to("db") });
    proxy.publish(vec![to("db", &upstream), listener], &[]);
    let mut client = Peer::connect(proxy.tcp).await;
    let mut server = upstream.accept().await;
    let begun = tokio::time::Instant::now();
    // Either direction counts.
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.send("tick").await;
        client.until("tick").await;
    }
    assert!(client.closed().await && server.closed().await);
    assert!(begun.elapsed() >= Duration::from_millis(1000), "{:?}", begun.elapsed());
    eventually("it is over", || proxy.drain.open() == 0).await;
    assert!(log.flush(PATIENCE).await);
    assert_eq!(lines.text(), "- 0 24\n");
}

#[tokio::test]
async fn connections_last_as_long_as_they_may() {
    let (mut proxy, lines, log) = logged();
    let upstream = Upstream::bind().await;
    let tcp = TcpListener {
        access_log: Some(format("%RESPONSE_FLAGS%\n")),
        max_duration: Some(Duration::from_millis(200)),
        ..TcpListener::to("db")
    };
    let listener = listening(&proxy, tcp);
    proxy.publish(vec![to("db", &upstream), listener], &[]);
    let mut client = Peer::connect(proxy.tcp).await;
    let _server = upstream.accept().await;
    assert!(client.closed().await);
    eventually("it is over", || proxy.drain.open() == 0).await;
    assert!(log.flush(PATIENCE).await);
    assert_eq!(lines.text(), "DT\n");
}

/// Each way to fail has Envoy's flags, and the server name is in the line.
#[tokio::test]
async fn failures_say_why() {
    let (mut proxy, lines, log) = logged();
    let upstream = Upstream::bind().await;
    let tcp = |cluster: &str, attempts| {
        let access_log = Some(format("%RESPONSE_FLAGS% %REQUESTED_SERVER_NAME% %UPSTREAM_CLUSTER%\n"));
        ChainKind::Tcp(TcpListener { access_log, attempts, ..TcpListener::to(cluster) })
    };
    let listener = chains(
        &proxy,
        Some(TLS),
        vec![
            (named(&["empty"]), tcp("empty", 3)),
            (named(&["dead"]), tcp("dead", 1)),
            (named(&["full"]), tcp("full", 3)),
            (named(&["half"]), tcp("half", 2)),
        ],
        None,
    );
    let dead = nobody().await;
    let of = |name: &str, addresses: &[std::net::SocketAddr]| cluster(name, HttpVersion::Http1, addresses);
    let mut full: Cluster = of("full", &[upstream.address]);
    full.circuit_breakers.max_connections = 0;
    let clusters = vec![
        of("empty", &[]),
        of("dead", &[dead, upstream.address]),
        full,
        of("half", &[dead, upstream.address]),
    ];
    let clusters: Vec<Resource> = clusters.into_iter().map(Resource::Cluster).collect();
    proxy.publish([clusters, vec![listener]].concat(), &[]);
    let mut open = 0;
    for name in ["empty", "dead", "dead", "full", "half", "half"] {
        let mut client = Peer::connect(proxy.tcp).await;
        client.send(hello(Some(name), &[])).await;
        tokio::select! {
            closed = client.closed() => assert!(closed, "{name}"),
            _ = upstream.accept() => open += 1,
        }
    }
    // Round robin: one of two goes to the endpoint that answers, and all of them if another one may be tried.
    assert_eq!(open, 3);
    eventually("all are over", || proxy.drain.open() == 0).await;
    assert!(log.flush(PATIENCE).await);
    let mut found: Vec<String> = lines.text().lines().map(str::to_owned).collect();
    found.sort();
    assert_eq!(
        found,
        ["- dead dead", "- half half", "- half half", "UF,URX dead dead", "UH empty empty", "UO full full"]
    );
}

#[tokio::test]
async fn the_source_address_keeps_its_endpoint() {
    let mut proxy = Proxy::start();
    let (one, two) = (Upstream::bind().await, Upstream::bind().await);
    let mut db = cluster("db", HttpVersion::Http1, &[one.address, two.address]);
    db.load_balancing = weir_model::LoadBalancing::Maglev { table_size: None };
    let listener = listening(&proxy, TcpListener { hash_source: true, ..TcpListener::to("db") });
    proxy.publish(vec![Resource::Cluster(db), listener], &[]);
    let mut counts = [0, 0];
    for _ in 0..12 {
        let _client = Peer::connect(proxy.tcp).await;
        tokio::select! {
            _ = one.accept() => counts[0] += 1,
            _ = two.accept() => counts[1] += 1,
        }
    }
    assert!(counts.contains(&12), "{counts:?}");
}

/// The outbound listener for TLS needs nothing but the answer to the name.
#[tokio::test]
async fn the_server_name_is_asked_for() {
    let mut proxy = Proxy::start();
    let upstream = Upstream::bind().await;
    let mut client = Peer::connect(proxy.tls).await;
    let first = hello(Some("DB.example.com"), &[]);
    client.send(&first).await;
    assert_eq!(&*patient(proxy.wanted.recv()).await.unwrap(), "db.example.com:443");
    let listener = Resource::Listener(Listener {
        name: "db.example.com:443".to_owned(),
        address: None,
        direction: Direction::Outbound,
        kind: ListenerKind::Tcp(TcpListener::to("db")),
    });
    let web = Resource::Listener(named_listener("web:443", vec![route(forward("db"))]));
    proxy.publish(vec![to("db", &upstream), listener, web], &["nobody:443"]);
    let mut server = upstream.accept().await;
    let mut seen = vec![0; first.len()];
    patient(server.stream.read_exact(&mut seen)).await.unwrap();
    assert_eq!(seen, first);
    server.send("hello").await;
    assert_eq!(client.until("hello").await, "hello");
    // What does not exist, what is HTTP, what has no name, and what is no TLS.
    for first in [hello(Some("nobody"), &[]), hello(Some("web"), &[]), hello(None, &[]), b"GET /".to_vec()] {
        let mut client = Peer::connect(proxy.tls).await;
        client.send(first).await;
        assert!(client.closed().await);
    }
    // Bytes have no name in HTTP.
    let mut http = Peer::connect(proxy.outbound).await;
    http.send("GET / HTTP/1.1\r\nHost: db.example.com:443\r\n\r\n").await;
    assert!(http.head().await.starts_with("HTTP/1.1 404"));
    assert!(upstream.is_quiet().await);
}
