//! Attempts beyond the first: when they are made, and with what.

use crate::support::*;
use bytes::Bytes;
use http::{Response, StatusCode};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use weir_model::{Cluster, Forward, HttpVersion, RetryOn, RetryPolicy, RouteAction, Timeouts, limits};

fn retrying(on: RetryOn) -> Forward {
    let (backoff_base, backoff_max) = (Duration::ZERO, Duration::ZERO);
    let retry = RetryPolicy { attempts: 2, on, backoff_base, backoff_max, ..RetryPolicy::default() };
    Forward { retry: Some(retry), ..forward_to(&[("app", 1)]) }
}

fn safe() -> RetryOn {
    RetryOn { connect_failure: true, refused_stream: true, reset: true, ..RetryOn::default() }
}

fn on_status(status: StatusCode) -> RetryOn {
    RetryOn { statuses: vec![status], ..RetryOn::default() }
}

fn proxy(app: Cluster, forward: Forward) -> Proxy {
    Proxy::routes(vec![app], vec![route(RouteAction::Forward(forward))])
}

async fn get(client: &mut Peer) -> (String, String) {
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.message().await
}

#[tokio::test]
async fn a_dead_endpoint_is_passed_over() {
    let upstream = Upstream::answering("alive").await;
    let app = cluster("app", HttpVersion::Http1, &[nobody().await, upstream.address, nobody().await]);
    let proxy = proxy(app, retrying(safe()));
    let mut client = Peer::connect(proxy.inbound).await;
    for _ in 0..10 {
        assert_eq!(get(&mut client).await.1, "alive");
    }
    client.send("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(client.message().await.1, "alive");
    assert_eq!(proxy.cluster("app").state.retries.load(Relaxed), 0);
}

#[tokio::test]
async fn without_a_policy_or_an_endpoint_the_failure_is_the_answer() {
    let app = cluster("app", HttpVersion::Http1, &[nobody().await]);
    let none = proxy(app.clone(), forward_to(&[("app", 1)]));
    let (head, body) = get(&mut Peer::connect(none.inbound).await).await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(body, "cannot connect to the upstream: connection refused (UF)\n");
    let tried = proxy(app, retrying(safe()));
    let (_, body) = get(&mut Peer::connect(tried.inbound).await).await;
    assert_eq!(body, "cannot connect to the upstream: connection refused, after retries (UF)\n");
}

/// The peer closes an idle connection: nobody notices.
#[tokio::test]
async fn a_closed_idle_connection_is_passed_over() {
    let upstream = Upstream::bind().await;
    let app = cluster("app", HttpVersion::Http1, &[upstream.address]);
    let proxy = proxy(app, forward_to(&[("app", 1)]));
    let mut client = Peer::connect(proxy.inbound).await;
    for _ in 0..5 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 2\r\n\r\nhi").await;
        let mut server = upstream.accept().await;
        assert_eq!(server.message().await.1, "hi");
        server.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        assert_eq!(client.message().await.1, "ok");
        drop(server);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The peer closes a reused connection when the request has been written.
#[tokio::test]
async fn a_reset_is_retried_where_that_is_safe() {
    for (method, status) in [("GET", "200"), ("PUT", "200"), ("POST", "503")] {
        let upstream = Upstream::bind().await;
        let app = cluster("app", HttpVersion::Http1, &[upstream.address]);
        let proxy = proxy(app, retrying(safe()));
        let mut client = Peer::connect(proxy.inbound).await;
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\ncontent-length: 4\r\n\r\nbody")).await;
        let mut server = upstream.accept().await;
        assert_eq!(server.message().await.1, "body");
        drop(server);
        if status == "200" {
            let mut server = upstream.accept().await;
            assert_eq!(server.message().await.1, "body", "it is sent again");
            server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
        assert!(client.head().await.starts_with(&format!("HTTP/1.1 {status} ")), "{method}");
        assert!(upstream.is_quiet().await);
    }
}

#[tokio::test]
async fn a_listed_status_is_retried_with_the_whole_body() {
    let upstream = Upstream::bind().await;
    let app = cluster("app", HttpVersion::Http1, &[upstream.address]);
    let proxy = proxy(app, retrying(on_status(StatusCode::SERVICE_UNAVAILABLE)));
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").await;
    let mut server = upstream.accept().await;
    for _ in 0..2 {
        server.head().await;
        let body = server.until("0\r\n\r\n").await;
        assert!(body.starts_with("3\r\nabc\r\n"), "{body}");
        assert!(body.contains("de"), "{body}");
        server.send("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
        server = Peer { stream: reused_or_new(&upstream, server).await };
    }
    server.head().await;
    server.until("0\r\n\r\n").await;
    server.send("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nlast").await;
    // The attempts are used up: the answer is the upstream's own.
    assert_eq!(client.message().await.1, "last");
}

#[tokio::test]
async fn a_body_too_large_to_keep_is_sent_once() {
    let upstream = Upstream::bind().await;
    let app = cluster("app", HttpVersion::Http1, &[upstream.address]);
    let proxy = proxy(app, retrying(on_status(StatusCode::BAD_GATEWAY)));
    let mut client = Peer::connect(proxy.inbound).await;
    let body = "x".repeat(limits::RETRY_BODY_BYTES + 1);
    client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    let mut server = upstream.accept().await;
    assert_eq!(server.message().await.1.len(), body.len());
    server.send("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 4\r\n\r\nonce").await;
    assert_eq!(client.message().await.1, "once");
}

/// What would take many times its length to keep is not kept either.
#[tokio::test]
async fn a_body_of_too_many_pieces_is_sent_once() {
    for (pieces, attempts) in [(limits::BODY_PIECES, 2), (limits::BODY_PIECES + 1, 1)] {
        let upstream = Upstream::bind().await;
        let app = cluster("app", HttpVersion::Http1, &[upstream.address]);
        let policy =
            RetryPolicy { attempts: 1, ..retrying(on_status(StatusCode::BAD_GATEWAY)).retry.unwrap() };
        let proxy = proxy(app, Forward { retry: Some(policy), ..forward_to(&[("app", 1)]) });
        let mut client = Peer::connect(proxy.inbound).await;
        let body = "1\r\nx\r\n".repeat(pieces);
        client
            .send(format!("PUT / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}0\r\n\r\n"))
            .await;
        let mut server = upstream.accept().await;
        for attempt in 0..attempts {
            if attempt > 0 {
                server = Peer { stream: reused_or_new(&upstream, server).await };
            }
            server.head().await;
            server.until("\r\n0\r\n\r\n").await;
            server.send("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 4\r\n\r\nlast").await;
        }
        assert_eq!(client.message().await.1, "last", "{pieces}");
    }
}

#[tokio::test]
async fn an_attempt_may_take_too_long() {
    let upstream = Upstream::bind().await;
    let app = cluster("app", HttpVersion::Http1, &[upstream.address]);
    let timeouts = Timeouts { backend_request: Some(Duration::from_millis(50)), ..Timeouts::default() };
    let forward = Forward { timeouts, ..retrying(safe()) };
    let proxy = proxy(app, forward);
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut slow = upstream.accept().await;
    slow.head().await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(client.message().await.1, "ok");
    assert!(slow.closed().await);
}

#[tokio::test]
async fn retries_have_a_budget() {
    let upstream = Upstream::bind().await;
    let mut app = cluster("app", HttpVersion::Http1, &[upstream.address]);
    app.circuit_breakers.retry_budget.parts_per_million = 0;
    app.circuit_breakers.retry_budget.min_concurrency = 0;
    let proxy = proxy(app, retrying(on_status(StatusCode::BAD_GATEWAY)));
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn a_refused_stream_is_retried_whatever_its_method() {
    let upstream = Upstream::bind().await;
    let proxy = proxy(cluster("app", HttpVersion::Http2, &[upstream.address]), retrying(safe()));
    let mut client = Client2::connect(proxy.inbound).await;
    let (response, mut body) = client.post("http://a/s/m").await;
    body.send_data(Bytes::from_static(b"again"), true).unwrap();
    let mut server = Server2::accept(&upstream).await;
    let (request, mut respond) = server.request().await;
    assert_eq!(collect(request.into_body()).await.0, "again");
    respond.send_reset(h2::Reason::REFUSED_STREAM);
    let (request, mut respond) = server.request().await;
    assert_eq!(collect(request.into_body()).await.0, "again");
    respond.send_response(Response::new(()), true).unwrap();
    assert_eq!(patient(response).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_listed_grpc_status_is_retried() {
    let upstream = Upstream::bind().await;
    let on = RetryOn { grpc: vec![14], ..RetryOn::default() };
    let proxy = proxy(cluster("app", HttpVersion::Http2, &[upstream.address]), retrying(on));
    let mut client = Client2::connect(proxy.inbound).await;
    let (response, mut body) = client.post("http://a/s/m").await;
    body.send_data(Bytes::from_static(b"x"), true).unwrap();
    let mut server = Server2::accept(&upstream).await;
    let (_request, mut respond) = server.request().await;
    respond.send_response(Response::builder().header("grpc-status", "14").body(()).unwrap(), true).unwrap();
    let (_request, mut respond) = server.request().await;
    respond.send_response(Response::builder().header("grpc-status", "0").body(()).unwrap(), true).unwrap();
    assert_eq!(patient(response).await.unwrap().headers()["grpc-status"], "0");
}

/// A graceful GOAWAY: what is under way finishes, what comes next goes on a new connection.
#[tokio::test]
async fn an_upstream_that_says_goodbye_loses_nothing() {
    let upstream = Upstream::bind().await;
    let proxy = proxy(cluster("app", HttpVersion::Http2, &[upstream.address]), retrying(safe()));
    let mut client = Client2::connect(proxy.inbound).await;
    let request = || http::Request::get("http://a/").body(()).unwrap();
    let (first, _) = client.sender.send_request(request(), true).unwrap();
    let mut server = Server2::accept(&upstream).await;
    let (_request, mut respond) = server.request().await;
    server.say_goodbye();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (second, _) = client.sender.send_request(request(), true).unwrap();
    let mut other = Server2::accept(&upstream).await;
    let (_request, mut respond2) = other.request().await;
    respond2.send_response(Response::builder().status(202).body(()).unwrap(), true).unwrap();
    assert_eq!(patient(second).await.unwrap().status(), 202);
    respond.send_response(Response::builder().status(201).body(()).unwrap(), true).unwrap();
    assert_eq!(patient(first).await.unwrap().status(), 201);
}
