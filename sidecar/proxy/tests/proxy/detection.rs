//! Listeners of which nobody said what they carry: HTTP of both versions, whatever else, and servers that speak first.

use crate::support::*;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use weir_model::{
    Detection, Direction, HttpVersion, Listener, ListenerKind, Resource, RouteSource, TcpListener,
};

const WAIT: Duration = Duration::from_millis(200);

/// A proxy whose inbound listener finds out what is spoken to the application.
fn detecting(upstream: SocketAddr) -> Proxy {
    let mut proxy = Proxy::start();
    let routes = RouteSource::Inline(any_host("inbound", vec![route(forward("app"))]));
    let mut listener = http_listener(proxy.inbound, Direction::Inbound, routes, None, false);
    let Listener { kind: ListenerKind::Http(http), .. } = &mut listener else { unreachable!() };
    let otherwise = TcpListener::to("app");
    http.detection = Some(Box::new(Detection { otherwise, wait: WAIT }));
    let app = cluster("app", HttpVersion::Http1, &[upstream]);
    proxy.publish(vec![Resource::Cluster(app), Resource::Listener(listener)], &[]);
    proxy
}

#[tokio::test]
async fn http_is_served_as_http() {
    let upstream = Upstream::answering("hello").await;
    let proxy = detecting(upstream.address);
    let mut client = Peer::connect(proxy.inbound).await;
    // The head in two parts, the first of which could still be anything.
    client.send("GE").await;
    tokio::time::sleep(WAIT / 4).await;
    client.send("T / HTTP/1.1\r\nHost: a\r\nTE: x\r\nConnection: te\r\n\r\n").await;
    let (head, body) = client.message().await;
    assert_eq!(body, "hello");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    // It stays HTTP, however long the client waits now.
    tokio::time::sleep(2 * WAIT).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.message().await.1, "hello");
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard() {
    let upstream = Upstream::bind().await;
    let proxy = detecting(upstream.address);
    let begun = Instant::now();
    let mut client = TcpStream::connect(proxy.inbound).await.unwrap();
    let mut server = upstream.accept().await;
    assert!(begun.elapsed() >= WAIT, "the client was given time");
    server.send("220 ready\r\n").await;
    let mut greeting = [0; 11];
    patient(client.read_exact(&mut greeting)).await.unwrap();
    assert_eq!(&greeting, b"220 ready\r\n");
    assert!(begun.elapsed() < WAIT + Duration::from_secs(2), "{:?}", begun.elapsed());
    // From here on it is bytes both ways, even those that look like HTTP.
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(server.head().await, "GET / HTTP/1.1\r\n\r\n");
    drop(client);
    assert!(server.closed().await);
}

/// It was connected in the meantime, but its server does not speak before it: nothing is lost by having waited.
#[tokio::test]
async fn a_client_that_takes_its_time_is_served_as_http_all_the_same() {
    let upstream = Upstream::bind().await;
    let proxy = detecting(upstream.address);
    let mut client = Peer::connect(proxy.inbound).await;
    let mut unused = upstream.accept().await;
    client.send("GET /late HTTP/1.1\r\nHost: a\r\nConnection: x\r\nX: hop\r\n\r\n").await;
    let mut server = upstream.accept().await;
    let head = server.head().await;
    assert!(head.starts_with("GET /late HTTP/1.1\r\n") && !head.contains("hop"), "{head}");
    assert!(unused.closed().await);
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(client.message().await.1, "ok");
}

#[tokio::test]
async fn a_client_that_takes_its_time_over_something_else_is_passed_through() {
    let upstream = Upstream::bind().await;
    let proxy = detecting(upstream.address);
    let mut client = Peer::connect(proxy.inbound).await;
    let mut server = upstream.accept().await;
    client.send("hi").await;
    server.until("hi").await;
    server.send("you").await;
    client.until("you").await;
}

#[tokio::test]
async fn what_is_not_http_goes_on_at_once_and_whole() {
    for first in
        [&b"*1\r\n$4\r\nPING\r\n"[..], b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", b"\x00\x00\x00\x08"]
    {
        let upstream = Upstream::bind().await;
        let proxy = detecting(upstream.address);
        let begun = Instant::now();
        let mut client = TcpStream::connect(proxy.inbound).await.unwrap();
        client.write_all(first).await.unwrap();
        client.shutdown().await.unwrap();
        let mut server = upstream.accept().await;
        assert!(begun.elapsed() < WAIT, "nothing was waited for: {:?}", begun.elapsed());
        assert_eq!(server.rest().await.as_bytes(), first);
        drop((server, upstream));
        let mut end = Vec::new();
        // The end, or a reset where the server left bytes unread.
        let _ = patient(client.read_to_end(&mut end)).await;
        assert!(end.is_empty());
    }
}

#[tokio::test]
async fn a_client_that_only_listens_and_one_that_leaves() {
    let upstream = Upstream::bind().await;
    let proxy = detecting(upstream.address);
    let mut listening = TcpStream::connect(proxy.inbound).await.unwrap();
    listening.shutdown().await.unwrap();
    let mut server = upstream.accept().await;
    server.send("time: 12:00").await;
    drop(server);
    let mut heard = String::new();
    patient(listening.read_to_string(&mut heard)).await.unwrap();
    assert_eq!(heard, "time: 12:00");
    for _ in 0..20 {
        drop(TcpStream::connect(proxy.inbound).await.unwrap());
        assert!(upstream.accept().await.closed().await);
    }
    eventually("none of them stays", || proxy.drain.open() == 0).await;
}

/// A listener that carries HTTP by its configuration waits for a head, not for a server.
#[tokio::test]
async fn a_listener_that_was_told_takes_nothing_else() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut client = Peer::connect(proxy.inbound).await;
    tokio::time::sleep(2 * WAIT).await;
    client.send("EHLO a\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 400"));
}
