//! HTTP/1.1 byte by byte.

use crate::support::*;
use std::time::Duration;
use weir_model::HttpVersion;

async fn front() -> (Upstream, Proxy, Peer) {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let client = Peer::connect(proxy.inbound).await;
    (upstream, proxy, client)
}

#[tokio::test]
async fn a_request_goes_through_and_its_connections_stay_open() {
    let (upstream, _proxy, mut client) = front().await;
    client.send("GET /a?b=c HTTP/1.1\r\nHost: app\r\nX-One: 1\r\n\r\n").await;
    let mut server = upstream.accept().await;
    let head = server.head().await;
    assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{head}");
    assert_eq!((field(&head, "host"), field(&head, "x-one")), (Some("app"), Some("1")));
    server.send("HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-Two: 2\r\n\r\nok").await;
    let (head, body) = client.message().await;
    assert!(head.starts_with("HTTP/1.1 201 Created\r\n"), "{head}");
    assert_eq!((field(&head, "x-two"), body.as_str()), (Some("2"), "ok"));
    // Both connections serve again.
    client.send("GET /second HTTP/1.1\r\nHost: app\r\n\r\n").await;
    assert!(server.head().await.starts_with("GET /second "));
    server.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 204 "));
    client.send("GET /third HTTP/1.1\r\nHost: app\r\n\r\n").await;
    assert!(server.head().await.starts_with("GET /third "));
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (upstream, _proxy, mut client) = front().await;
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    for body in ["one", "two", "three"] {
        server.head().await;
        server.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    }
    for body in ["one", "two", "three"] {
        assert_eq!(client.message().await.1, body);
    }
}

#[tokio::test]
async fn chunked_bodies_stream_both_ways() {
    let (upstream, _proxy, mut client) = front().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    let mut server = upstream.accept().await;
    let head = server.head().await;
    assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
    assert_eq!(server.until("3\r\nabc\r\n").await, "3\r\nabc\r\n");
    client.send("2\r\nde\r\n0\r\n\r\n").await;
    assert_eq!(server.until("0\r\n\r\n").await, "2\r\nde\r\n0\r\n\r\n");
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n").await;
    assert_eq!(field(&client.head().await, "transfer-encoding"), Some("chunked"));
    // The first chunk arrives before the second was sent.
    assert_eq!(client.until("wxyz\r\n").await, "4\r\nwxyz\r\n");
    server.send("1\r\n!\r\n0\r\n\r\n").await;
    assert_eq!(client.until("0\r\n\r\n").await, "1\r\n!\r\n0\r\n\r\n");
    client.send("GET /again HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(server.head().await.starts_with("GET /again "));
}

#[tokio::test]
async fn a_get_with_a_chunked_body_keeps_it() {
    let (upstream, _proxy, mut client) = front().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").await;
    let mut server = upstream.accept().await;
    assert_eq!(field(&server.head().await, "transfer-encoding"), Some("chunked"));
    assert_eq!(server.until("0\r\n\r\n").await, "3\r\nabc\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_response_may_come_before_the_request_is_through() {
    let (upstream, _proxy, mut client) = front().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.until("1\r\na\r\n").await;
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nA\r\n").await;
    client.head().await;
    assert_eq!(client.until("A\r\n").await, "1\r\nA\r\n");
    client.send("1\r\nb\r\n0\r\n\r\n").await;
    assert_eq!(server.until("0\r\n\r\n").await, "1\r\nb\r\n0\r\n\r\n");
    server.send("1\r\nB\r\n0\r\n\r\n").await;
    assert_eq!(client.until("0\r\n\r\n").await, "1\r\nB\r\n0\r\n\r\n");
    // And the connection serves again.
    client.send("GET /again HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(server.head().await.starts_with("GET /again "));
}

/// The whole response is there before the request body: the connection is neither lost nor kept from others.
#[tokio::test]
async fn an_early_and_whole_response_frees_its_connection() {
    let (upstream, proxy, mut client) = front().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
    let mut server = upstream.accept().await;
    server.until("1\r\na\r\n").await;
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(client.message().await.1, "ok");
    client.send("1\r\nb\r\n0\r\n\r\nGET /again HTTP/1.1\r\nHost: a\r\n\r\n").await;
    server.until("0\r\n\r\n").await;
    let mut next = Peer { stream: reused_or_new(&upstream, server).await };
    assert!(next.head().await.starts_with("GET /again "));
    drop(next);
    let state = proxy.cluster("app").state.clone();
    eventually("no connection is left", || state.connections.load(std::sync::atomic::Ordering::Relaxed) == 0)
        .await;
}

#[tokio::test]
async fn declared_trailers_go_through() {
    let (upstream, _proxy, mut client) = front().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(format!("{head}1\r\na\r\n0\r\nx-sum: 7\r\n\r\n")).await;
    let mut server = upstream.accept().await;
    assert_eq!(field(&server.head().await, "trailer"), Some("x-sum"));
    assert_eq!(server.until("\r\n\r\n").await, "1\r\na\r\n0\r\nx-sum: 7\r\n\r\n");
    server.send("HTTP/1.1 200 OK\r\nTrailer: x-end\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\nx-end: 8\r\n\r\n").await;
    client.head().await;
    assert_eq!(client.until("\r\n\r\n").await, "1\r\nb\r\n0\r\nx-end: 8\r\n\r\n");
}

#[tokio::test]
async fn head_and_not_modified_keep_their_lengths_without_a_body() {
    let (upstream, _proxy, mut client) = front().await;
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    assert!(server.head().await.starts_with("HEAD / "));
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n").await;
    assert_eq!(field(&client.head().await, "content-length"), Some("1234"));
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    server.head().await;
    server.send("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 304 "), "{head}");
    assert_eq!(field(&head, "etag"), Some("\"x\""));
}

#[tokio::test]
async fn the_caller_is_told_to_continue() {
    let (upstream, _proxy, mut client) = front().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hi").await;
    let mut server = upstream.accept().await;
    let (head, body) = server.message().await;
    assert_eq!((field(&head, "expect"), body.as_str()), (None, "hi"));
    server.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn fields_of_a_hop_end_there() {
    let (upstream, _proxy, mut client) = front().await;
    client
        .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x-mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\nTE: gzip\r\n\r\n")
        .await;
    let mut server = upstream.accept().await;
    let head = server.head().await;
    for gone in ["connection", "x-mine", "keep-alive", "proxy-connection", "te"] {
        assert_eq!(field(&head, gone), None, "{gone}");
    }
    server.send("HTTP/1.1 200 OK\r\nConnection: x-yours\r\nX-Yours: 1\r\nKeep-Alive: 5\r\ncontent-length: 0\r\n\r\n").await;
    let head = client.head().await;
    for gone in ["connection", "x-yours", "keep-alive"] {
        assert_eq!(field(&head, gone), None, "{gone}");
    }
}

#[tokio::test]
async fn an_absolute_target_names_the_host() {
    let (upstream, _proxy, mut client) = front().await;
    client.send("GET http://real:8080/x?y HTTP/1.1\r\nHost: other\r\n\r\n").await;
    let mut server = upstream.accept().await;
    let head = server.head().await;
    assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
    assert_eq!(field(&head, "host"), Some("real:8080"));
}

#[tokio::test]
async fn an_old_client_gets_an_answer_it_understands() {
    let (upstream, _proxy, mut client) = front().await;
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    assert!(server.head().await.starts_with("GET / HTTP/1.1\r\n"));
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n").await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("\r\n\r\nhi"), "{answer}");
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_ends_ours() {
    let (upstream, _proxy, mut client) = front().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it").await;
    drop(server);
    client.head().await;
    assert_eq!(client.until("0\r\n\r\n").await, "9\r\nall of it\r\n0\r\n\r\n");
    // And the next request makes a new connection.
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    upstream.accept().await.head().await;
}

#[tokio::test]
async fn a_response_that_breaks_off_breaks_off_here_too() {
    let (upstream, _proxy, mut client) = front().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    assert_eq!(field(&client.until("half").await, "content-length"), Some("10"));
    drop(server);
    assert!(client.closed().await);
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let (upstream, proxy, mut client) = front().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    let state = proxy.cluster("app").state.clone();
    assert_eq!(state.requests.load(std::sync::atomic::Ordering::Relaxed), 1);
    drop(client);
    assert!(server.closed().await);
    eventually("its place is free", || state.requests.load(std::sync::atomic::Ordering::Relaxed) == 0).await;
    eventually("and its connection", || state.connections.load(std::sync::atomic::Ordering::Relaxed) == 0)
        .await;
}

#[tokio::test]
async fn a_large_body_is_not_buffered() {
    let (upstream, _proxy, mut client) = front().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
    // Nobody reads: after what sockets and one buffer hold, writing blocks.
    let block = vec![b'x'; 1 << 20];
    let writing = async {
        loop {
            server.send(&block).await;
        }
    };
    let mut sent = 0;
    tokio::pin!(writing);
    while tokio::time::timeout(std::time::Duration::from_millis(300), &mut writing).await.is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 0, "the writer never finishes by itself");
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
}

/// A caller that is still sending reads its response, and its connection goes on.
#[tokio::test]
async fn a_body_that_nobody_wants_is_read_and_dropped() {
    let refused = Proxy::inbound(cluster("app", HttpVersion::Http1, &[]));
    let mut client = Peer::connect(refused.inbound).await;
    for _ in 0..3 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n").await;
        let (head, _) = client.message().await;
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        client.send(vec![b'x'; 300_000]).await;
    }
    // But not for ever.
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n").await;
    client.message().await;
    let block = vec![b'x'; 1 << 16];
    let mut blocks = 0;
    while tokio::io::AsyncWriteExt::write_all(&mut client.stream, &block).await.is_ok() {
        blocks += 1;
    }
    assert!(blocks < 1000, "{blocks}");
}

#[tokio::test]
async fn an_early_response_of_http2_leaves_the_callers_connection_whole() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http2, &[upstream.address]));
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n").await;
    let mut server = Server2::accept(&upstream).await;
    let (request, mut respond) = server.request().await;
    let head = http::Response::builder().status(413).header("content-length", 0).body(()).unwrap();
    respond.send_response(head, true).unwrap();
    drop((request, respond));
    assert!(client.head().await.starts_with("HTTP/1.1 413 "));
    client.send(vec![b'x'; 300_000]).await;
    client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(server.request().await.0.uri().path(), "/next");
}

/// What comes of a request to a listener with these settings.
async fn under(paths: weir_model::Paths, forwarded: weir_model::Forwarded) -> (Upstream, Proxy, Peer) {
    let upstream = Upstream::bind().await;
    let mut proxy = Proxy::start();
    let mut listener = inbound_listener(proxy.inbound, vec![route(forward("app"))]);
    let weir_model::ListenerKind::Http(http) = &mut listener.kind else { panic!("{listener:?}") };
    (http.paths, http.forwarded) = (paths, forwarded);
    let cluster = cluster("app", HttpVersion::Http1, &[upstream.address]);
    proxy
        .publish(vec![weir_model::Resource::Cluster(cluster), weir_model::Resource::Listener(listener)], &[]);
    let client = Peer::connect(proxy.inbound).await;
    (upstream, proxy, client)
}

#[tokio::test]
async fn paths_take_the_form_that_the_listener_gives_them() {
    use weir_model::{EscapedSlashes, Forwarded, Paths};
    let merging = Paths { merge_slashes: true, escaped_slashes: EscapedSlashes::Forward, ..Paths::BASE };
    for (rules, sent, seen) in [
        (Paths::NONE, "/a/../b//c%2Fd", "/a/../b//c%2Fd"),
        (Paths::BASE, "/a/../b//c%2Fd?e=../", "/b//c%2Fd?e=../"),
        (merging, "/a/..%2f..\\b//c%2Fd?e=../", "/b/c/d?e=../"),
    ] {
        let (upstream, _proxy, mut client) = under(rules, Forwarded::Pass).await;
        client.send(format!("GET {sent} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let head = upstream.accept().await.head().await;
        assert!(head.starts_with(&format!("GET {seen} HTTP/1.1\r\n")), "{head}");
    }
    let escaped = |escaped_slashes| Paths { escaped_slashes, ..Paths::NONE };
    let (_upstream, _proxy, mut client) = under(escaped(EscapedSlashes::Redirect), Forwarded::Pass).await;
    client.send("GET /a%2fb?c HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (head, _) = client.message().await;
    assert!(head.starts_with("HTTP/1.1 307 "), "{head}");
    assert_eq!(field(&head, "location"), Some("/a/b?c"));
    let (_upstream, _proxy, mut client) = under(escaped(EscapedSlashes::Reject), Forwarded::Pass).await;
    client.send("GET /a%5Cb HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn only_an_edge_says_who_asks() {
    use weir_model::{Forwarded, Paths};
    let sent = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nForwarded: for=2.2.2.2\r\n\r\n";
    for (rules, addresses, scheme) in [
        (Forwarded::Pass, "1.1.1.1", "https"),
        (Forwarded::Edge { trusted_hops: 0, append: true }, "1.1.1.1,127.0.0.1", "http"),
        (Forwarded::Edge { trusted_hops: 1, append: false }, "1.1.1.1", "https"),
    ] {
        let (upstream, _proxy, mut client) = under(Paths::BASE, rules).await;
        client.send(sent).await;
        let head = upstream.accept().await.head().await;
        assert_eq!(field(&head, "x-forwarded-for"), Some(addresses), "{head}");
        assert_eq!(field(&head, "x-forwarded-proto"), Some(scheme), "{head}");
        assert_eq!(
            (field(&head, "x-forwarded-host"), field(&head, "forwarded")),
            (Some("b"), Some("for=2.2.2.2"))
        );
    }
}

/// A caller that stops amid its body is told that it was too slow; one whose upstream is silent, that the upstream was.
#[tokio::test]
async fn whoever_is_slow_is_blamed() {
    let upstream = Upstream::bind().await;
    let mut forward = forward_to(&[("app", 1)]);
    forward.timeouts.idle = Some(Duration::from_millis(150));
    let routes = vec![route(weir_model::RouteAction::Forward(forward))];
    let proxy = Proxy::routes(vec![cluster("app", HttpVersion::Http1, &[upstream.address])], routes);
    for (sent, status) in [("abc", "408"), ("abcd", "504")] {
        let mut client = Peer::connect(proxy.inbound).await;
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n{sent}")).await;
        let _server = upstream.accept().await;
        let (head, body) = client.message().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")) && body.ends_with("(SI)\n"), "{head}{body}");
    }
}

/// Trailers go on where both sides say that they take them, whatever the content is.
#[tokio::test]
async fn trailers_are_welcome_where_the_caller_says_so() {
    let (upstream, _proxy, mut client) = front().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: te\r\nTE: trailers\r\n\r\n").await;
    let mut server = upstream.accept().await;
    let head = server.head().await;
    assert_eq!((field(&head, "te"), field(&head, "connection")), (Some("trailers"), Some("te")));
    server
        .send(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n2\r\nok\r\n0\r\nx: y\r\n\r\n",
        )
        .await;
    assert!(client.until("0\r\nx: y\r\n\r\n").await.contains("2\r\nok\r\n"));
}
