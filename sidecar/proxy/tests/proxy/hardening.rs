//! Hostile and broken peers.

use crate::support::*;
use std::time::Duration;
use weir_model::{HttpVersion, limits};

/// What a client gets for raw bytes, and whether the upstream was reached.
async fn answer_to(bytes: impl AsRef<[u8]>) -> (String, bool) {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut client = Peer::connect(proxy.inbound).await;
    client.send(bytes).await;
    let head = client.head().await;
    (head, !upstream.is_quiet().await)
}

#[tokio::test]
async fn ambiguous_lengths_are_refused() {
    for lengths in [
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3, 4\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: \r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: xchunked\r\n",
    ] {
        let (head, reached) = answer_to(format!("POST / HTTP/1.1\r\nHost: a\r\n{lengths}\r\nabc")).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{lengths:?}: {head}");
        assert!(!reached, "{lengths:?}");
    }
}

#[tokio::test]
async fn malformed_heads_are_refused() {
    for bytes in [
        "GET / HTTP/1.1\r\nHost: a\r\nBad Name: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nName : 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/3.1\r\nHost: a\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ] {
        let (head, reached) = answer_to(bytes).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{bytes:?}: {head}");
        assert!(!reached, "{bytes:?}");
    }
}

#[tokio::test]
async fn requests_without_one_host_are_refused() {
    for hosts in ["", "Host: a\r\nHost: b\r\n"] {
        let (head, reached) = answer_to(format!("GET / HTTP/1.1\r\n{hosts}\r\n")).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{hosts:?}: {head}");
        assert!(!reached, "{hosts:?}");
    }
}

#[tokio::test]
async fn connect_has_no_route() {
    let (head, reached) = answer_to("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    assert!(!reached);
}

#[tokio::test]
async fn heads_have_a_bound_in_bytes_and_in_fields() {
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(limits::HEAD_BYTES));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(limits::HEAD_FIELDS + 1));
    for bytes in [long, many] {
        let upstream = Upstream::bind().await;
        let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
        let mut client = Peer::connect(proxy.inbound).await;
        // It may be refused before all of it was sent.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, bytes.as_bytes()).await;
        assert!(client.head().await.starts_with("HTTP/1.1 431 "));
        assert!(upstream.is_quiet().await);
    }
}

#[tokio::test]
async fn too_many_fields_over_http2_are_refused() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut client = Client2::connect(proxy.inbound).await;
    let mut request = http::Request::get("http://a/");
    for index in 0..=limits::HEAD_FIELDS {
        request = request.header(format!("x-{index}"), "y");
    }
    let (response, _) = client.sender.send_request(request.body(()).unwrap(), true).unwrap();
    assert_eq!(patient(response).await.unwrap().status(), 431);
    assert!(upstream.is_quiet().await);
}

#[tokio::test]
async fn a_broken_request_body_does_not_become_a_whole_one() {
    for broken in ["3\r\nabc\r\nzz\r\n", "3\r\nabcd\r\n"] {
        let upstream = Upstream::bind().await;
        let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
        let mut client = Peer::connect(proxy.inbound).await;
        client
            .send(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{broken}"))
            .await;
        let mut server = upstream.accept().await;
        let seen = server.rest().await;
        assert!(!seen.ends_with("0\r\n\r\n"), "{seen}");
    }
}

#[tokio::test]
async fn a_body_cut_short_does_not_become_a_whole_one() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf").await;
    let mut server = upstream.accept().await;
    server.until("half").await;
    drop(client);
    assert!(server.closed().await);
}

#[tokio::test]
async fn nonsense_from_upstream_is_a_bad_gateway_and_its_connection_closes() {
    for nonsense in [
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n",
    ] {
        let upstream = Upstream::bind().await;
        let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
        let mut client = Peer::connect(proxy.inbound).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send(nonsense).await;
        let (head, body) = client.message().await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{nonsense:?}: {head}");
        assert_eq!(body, "the upstream broke the protocol (UPE)\n");
        assert!(server.closed().await);
    }
}

#[tokio::test]
async fn bytes_after_a_response_poison_nothing() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
    server.send(format!("{answer}ok{answer}no")).await;
    assert_eq!(client.message().await.1, "ok");
    // The next request goes on a connection of its own.
    client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    assert!(server.head().await.starts_with("GET /2 "));
    server.send(format!("{answer}me")).await;
    assert_eq!(client.message().await.1, "me");
}

#[tokio::test]
async fn an_http1_server_behind_an_http2_cluster_is_an_error_not_a_hang() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http2, &[upstream.address]));
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.until("\r\n\r\n").await;
    server.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 502 ") || head.starts_with("HTTP/1.1 503 "), "{head}");
}

/// A flood of streams that are reset at once (CVE-2023-44487) ends the connection, not the worker.
#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let upstream = Upstream::answering("x").await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut peer = Peer::connect(proxy.inbound).await;
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    // Indexed fields only: GET, http, / and a literal authority.
    let head = [0x82, 0x86, 0x84, 0x41, 1, b'a'];
    for stream in (0..2000u32).map(|index| 2 * index + 1) {
        flood.extend([0, 0, head.len() as u8, 1, 5]);
        flood.extend(stream.to_be_bytes());
        flood.extend(head);
        flood.extend([0, 0, 4, 3, 0]);
        flood.extend(stream.to_be_bytes());
        flood.extend([0, 0, 0, 8]);
    }
    let _ = tokio::io::AsyncWriteExt::write_all(&mut peer.stream, &flood).await;
    patient(async { while !peer.closed().await {} }).await;
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.message().await.1, "x");
    tokio::time::sleep(Duration::from_millis(1)).await;
}
