//! Streams of HTTP/2 that become tunnels.

use crate::support::*;
use std::sync::Arc;
use weir_model::{HttpVersion, ListenerKind, Manner, Resource};

/// A worker whose inbound listener takes such requests.
fn open(upstream: &Upstream, http: HttpVersion) -> Proxy {
    let mut proxy = Proxy::start();
    let mut listener = inbound_listener(proxy.inbound, vec![route(forward("app"))]);
    let ListenerKind::Http(manager) = &mut listener.kind else { unreachable!() };
    manager.manner = Some(Arc::new(Manner { extended_connect: true, ..Manner::default() }));
    let app = cluster("app", http, &[upstream.address]);
    proxy.publish(vec![Resource::Cluster(app), Resource::Listener(listener)], &[]);
    proxy
}

async fn ask(
    client: &mut Client2,
    protocol: &'static str,
) -> (h2::client::ResponseFuture, h2::SendStream<bytes::Bytes>) {
    // The settings that allow it come with the server's first frames.
    for _ in 0..1000 {
        if client.sender.is_extended_connect_protocol_enabled() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let mut request = http::Request::builder().method("CONNECT").uri("http://a.test/chat").body(()).unwrap();
    request.extensions_mut().insert(h2::ext::Protocol::from_static(protocol));
    client.sender.send_request(request, false).unwrap()
}

#[tokio::test]
async fn a_websocket_over_http2_reaches_an_http1_application() {
    for version in [HttpVersion::Http1, HttpVersion::Downstream] {
        let upstream = Upstream::bind().await;
        let proxy = open(&upstream, version);
        let mut client = Client2::connect(proxy.inbound).await;
        let (response, mut up) = ask(&mut client, "websocket").await;
        let mut server = upstream.accept().await;
        let head = server.head().await;
        assert!(head.starts_with("GET /chat HTTP/1.1\r\n"), "{head}");
        assert_eq!(field(&head, "upgrade"), Some("websocket"));
        assert_eq!(field(&head, "connection"), Some("upgrade"));
        assert_eq!(field(&head, "host"), Some("a.test"));
        assert_eq!(field(&head, "sec-websocket-key").map(str::len), Some(24));
        assert_eq!(field(&head, "transfer-encoding"), None);
        server
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nfirst")
            .await;
        let response = patient(response).await.unwrap();
        assert_eq!(response.status(), 200);
        for name in ["connection", "upgrade", "sec-websocket-accept"] {
            assert!(!response.headers().contains_key(name), "{name}");
        }
        let mut down = response.into_body();
        assert_eq!(patient(down.data()).await.unwrap().unwrap(), "first");
        up.send_data("ping".into(), false).unwrap();
        assert_eq!(server.until("ping").await, "ping");
        server.send("pong").await;
        assert_eq!(patient(down.data()).await.unwrap().unwrap(), "pong");
        // Each half ends by itself.
        up.send_data("last".into(), true).unwrap();
        assert_eq!(server.rest().await, "last");
        server.send("after").await;
        assert_eq!(patient(down.data()).await.unwrap().unwrap(), "after");
        drop(server);
        while let Some(rest) = patient(down.data()).await {
            assert!(rest.unwrap().is_empty(), "it ends in order");
        }
    }
}

#[tokio::test]
async fn a_tunnel_with_a_slow_reader_holds_no_more_than_its_bounds() {
    let upstream = Upstream::bind().await;
    let proxy = open(&upstream, HttpVersion::Http1);
    let mut client = Client2::connect(proxy.inbound).await;
    let (response, _up) = ask(&mut client, "websocket").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    let response = patient(response).await.unwrap();
    // Nobody reads: what the upstream can get rid of has an end.
    let chunk = vec![0; 64 * 1024];
    let mut sent = 0;
    let stalled = loop {
        let write = tokio::io::AsyncWriteExt::write(&mut server.stream, &chunk);
        match tokio::time::timeout(std::time::Duration::from_millis(500), write).await {
            Ok(written) => sent += written.unwrap(),
            Err(_) => break true,
        }
        if sent > 64 * 1024 * 1024 {
            break false;
        }
    };
    assert!(stalled, "{sent} bytes went into nowhere");
    drop(response);
}

#[tokio::test]
async fn what_does_not_switch_is_no_tunnel() {
    let upstream = Upstream::bind().await;
    let proxy = open(&upstream, HttpVersion::Http1);
    let mut client = Client2::connect(proxy.inbound).await;
    for (answer, status) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 502),
        ("HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno", 403),
    ] {
        let (response, _up) = ask(&mut client, "websocket").await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send(answer).await;
        assert_eq!(patient(response).await.unwrap().status(), status, "{answer}");
    }
}

#[tokio::test]
async fn an_upstream_that_cannot_switch_is_not_asked() {
    let upstream = Upstream::bind().await;
    let proxy = open(&upstream, HttpVersion::Http2);
    let mut client = Client2::connect(proxy.inbound).await;
    let (response, _up) = ask(&mut client, "websocket").await;
    assert_eq!(patient(response).await.unwrap().status(), 403);
    assert!(upstream.is_quiet().await);
}

#[tokio::test]
async fn a_listener_that_does_not_say_so_opens_no_tunnels() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut client = Client2::connect(proxy.inbound).await;
    // By the first answer its settings have come.
    let (response, _) =
        client.sender.send_request(http::Request::get("http://a_/").body(()).unwrap(), true).unwrap();
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(patient(response).await.unwrap().status(), 204);
    assert!(!client.sender.is_extended_connect_protocol_enabled());
}
