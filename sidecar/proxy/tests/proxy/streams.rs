//! Streaming both ways, upgrades, and opaque bytes.

use crate::support::*;
use bytes::Bytes;
use http::Response;
use weir_model::{HttpVersion, Resource};

#[tokio::test]
async fn bidirectional_grpc_alternates() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http2, &[upstream.address]));
    let mut client = Client2::connect(proxy.inbound).await;
    let (response, mut up) = client.post("http://a/s/m").await;
    let mut server = Server2::accept(&upstream).await;
    let (request, mut respond) = server.request().await;
    let mut from_client = request.into_body();
    // The server speaks first: its head arrives before a byte of the request body.
    let mut down = respond.send_response(Response::new(()), false).unwrap();
    let mut from_server = patient(response).await.unwrap().into_body();
    for round in 0..20 {
        let ping = Bytes::from(format!("ping {round}"));
        up.send_data(ping.clone(), false).unwrap();
        let read = patient(from_client.data()).await.unwrap().unwrap();
        assert_eq!(read, ping);
        from_client.flow_control().release_capacity(read.len()).unwrap();
        let pong = Bytes::from(format!("pong {round}"));
        down.send_data(pong.clone(), false).unwrap();
        let read = patient(from_server.data()).await.unwrap().unwrap();
        assert_eq!(read, pong);
        from_server.flow_control().release_capacity(read.len()).unwrap();
    }
    up.send_data(Bytes::new(), true).unwrap();
    assert_eq!(collect(from_client).await.0, "");
    down.send_trailers(grpc_trailers("0")).unwrap();
    assert!(patient(from_server.data()).await.is_none());
    assert_eq!(patient(from_server.trailers()).await.unwrap().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn bodies_larger_than_every_window_go_both_ways() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http2, &[upstream.address]));
    let mut client = Client2::connect(proxy.inbound).await;
    let (response, mut up) = client.post("http://a/").await;
    let mut server = Server2::accept(&upstream).await;
    let (request, mut respond) = server.request().await;
    const SIZE: usize = 3 << 20;
    let sending = async {
        let mut left = SIZE;
        while left > 0 {
            up.reserve_capacity(left);
            let granted = patient(std::future::poll_fn(|cx| up.poll_capacity(cx))).await.unwrap().unwrap();
            up.send_data(Bytes::from(vec![b'x'; granted.min(left)]), granted >= left).unwrap();
            left -= granted.min(left);
        }
    };
    let echoing = async {
        let mut down = respond.send_response(Response::new(()), false).unwrap();
        let mut body = request.into_body();
        while let Some(chunk) = patient(body.data()).await {
            let chunk = chunk.unwrap();
            body.flow_control().release_capacity(chunk.len()).unwrap();
            // Unbounded at this end: the test's own buffer.
            down.send_data(chunk, false).unwrap();
        }
        down.send_trailers(grpc_trailers("0")).unwrap();
    };
    let receiving = async { collect(patient(response).await.unwrap().into_body()).await };
    let ((), (), (body, trailers)) = tokio::join!(sending, echoing, receiving);
    assert_eq!(body.len(), SIZE);
    assert!(trailers.is_some());
}

#[tokio::test]
async fn an_upgrade_becomes_a_pipe() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut client = Peer::connect(proxy.inbound).await;
    client
        .send("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n")
        .await;
    let mut server = upstream.accept().await;
    let head = server.head().await;
    assert_eq!((field(&head, "upgrade"), field(&head, "connection")), (Some("websocket"), Some("upgrade")));
    assert_eq!(field(&head, "sec-websocket-version"), Some("13"));
    // The first bytes of the new protocol come with the response.
    server
        .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nwelcome")
        .await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!((field(&head, "upgrade"), field(&head, "connection")), (Some("websocket"), Some("upgrade")));
    assert_eq!(client.until("welcome").await, "welcome");
    client.send("ping").await;
    assert_eq!(server.until("ping").await, "ping");
    server.send("pong").await;
    assert_eq!(client.until("pong").await, "pong");
    let state = proxy.cluster("app").state.clone();
    assert_eq!(state.requests.load(std::sync::atomic::Ordering::Relaxed), 1);
    drop(server);
    assert!(client.closed().await);
    drop(client);
    eventually("its place is free", || state.requests.load(std::sync::atomic::Ordering::Relaxed) == 0).await;
    eventually("and the connection", || state.connections.load(std::sync::atomic::Ordering::Relaxed) == 0)
        .await;
}

#[tokio::test]
async fn bytes_sent_before_the_upgrade_was_granted_are_not_lost() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
    client.head().await;
    assert_eq!(server.until("early").await, "early");
}

#[tokio::test]
async fn an_upgrade_that_is_refused_is_an_ordinary_response() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
    assert_eq!(client.message().await.1, "no");
    client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(server.head().await.starts_with("GET /2 "));
}

#[tokio::test]
async fn nobody_switches_protocols_unasked() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 502 "));
    assert!(server.closed().await);
}

#[tokio::test]
async fn opaque_bytes_and_half_closed_connections() {
    let upstream = Upstream::bind().await;
    let mut proxy = Proxy::start();
    let listener = tcp_listener(proxy.tcp, "db");
    let db = cluster("db", HttpVersion::Http1, &[upstream.address]);
    proxy.publish(vec![Resource::Cluster(db), Resource::Listener(listener)], &[]);
    let mut client = Peer::connect(proxy.tcp).await;
    let mut server = upstream.accept().await;
    // The server speaks first.
    server.send("220 ready\n").await;
    assert_eq!(client.until("\n").await, "220 ready\n");
    client.send("a question\n").await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
    assert_eq!(server.rest().await, "a question\n");
    server.send("an answer").await;
    drop(server);
    assert_eq!(client.rest().await, "an answer");
}

/// By a reset, and by the end of this process.
#[tokio::test]
async fn bytes_are_counted_however_an_opaque_connection_ends() {
    let upstream = Upstream::bind().await;
    let telemetry = weir_proxy::TelemetryArgs::disabled();
    let registry = telemetry.registry.clone();
    let mut proxy = Proxy::with(true, telemetry);
    let listener = tcp_listener(proxy.tcp, "db");
    let db = cluster("db", HttpVersion::Http1, &[upstream.address]);
    proxy.publish(vec![Resource::Cluster(db), Resource::Listener(listener)], &[]);
    let counted = |up: u32, down: u32| {
        let text = registry.render_prometheus();
        let is = |direction: &str, bytes: u32| {
            let mut lines = text.lines().filter(|line| line.starts_with("weir_tcp_bytes_total{"));
            lines.any(|line| line.contains(direction) && line.ends_with(&format!(" {bytes}")))
        };
        is("\"receive\"", up) && is("\"transmit\"", down)
    };
    let talk = async || {
        let mut client = Peer::connect(proxy.tcp).await;
        let mut server = upstream.accept().await;
        client.send("question").await;
        assert_eq!(server.until("question").await, "question");
        server.send("an answer").await;
        assert_eq!(client.until("an answer").await, "an answer");
        (client, server)
    };
    let (_client, server) = talk().await;
    server.stream.set_zero_linger().unwrap();
    drop(server);
    eventually("a reset loses no count", || counted(8, 9)).await;
    let _open = talk().await;
    proxy.drain.stop();
    eventually("nor does the end", || counted(16, 18)).await;
}

#[tokio::test]
async fn an_opaque_connection_finds_the_endpoint_that_answers() {
    let upstream = Upstream::bind().await;
    let mut proxy = Proxy::start();
    let listener = tcp_listener(proxy.tcp, "db");
    let db = cluster("db", HttpVersion::Http1, &[nobody().await, nobody().await, upstream.address]);
    proxy.publish(vec![Resource::Cluster(db), Resource::Listener(listener)], &[]);
    let mut client = Peer::connect(proxy.tcp).await;
    let mut server = upstream.accept().await;
    server.send("hello").await;
    assert_eq!(client.until("hello").await, "hello");
}

#[tokio::test]
async fn an_opaque_connection_without_endpoints_ends() {
    let mut proxy = Proxy::start();
    let listener = tcp_listener(proxy.tcp, "db");
    let db = cluster("db", HttpVersion::Http1, &[nobody().await]);
    proxy.publish(vec![Resource::Cluster(db), Resource::Listener(listener)], &[]);
    assert!(Peer::connect(proxy.tcp).await.closed().await);
}
