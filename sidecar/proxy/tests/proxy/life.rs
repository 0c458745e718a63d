//! How connections end: drain, idleness, and endpoints that go.

use crate::support::*;
use http::Response;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use weir_model::HttpVersion;

#[tokio::test]
async fn draining_finishes_what_is_under_way_and_takes_nothing_new() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut idle = Peer::connect(proxy.inbound).await;
    idle.send("GET /idle HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    idle.head().await;
    let mut busy = Peer::connect(proxy.inbound).await;
    busy.send("GET /busy HTTP/1.1\r\nHost: a\r\n\r\n").await;
    server.head().await;
    assert_eq!(proxy.drain.open(), 2);
    proxy.drain.start(Duration::from_secs(10));
    assert!(idle.closed().await);
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let (head, body) = busy.message().await;
    assert_eq!((field(&head, "connection"), body.as_str()), (Some("close"), "ok"));
    assert!(busy.closed().await);
    assert_eq!(patient(proxy.drain.drained()).await, 0);
    assert!(tokio::net::TcpStream::connect(proxy.inbound).await.is_err());
}

#[tokio::test]
async fn leaving_asks_to_go_elsewhere_and_goes_on_serving() {
    let upstream = Upstream::answering("ok").await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut early = Peer::connect(proxy.inbound).await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    early.send(request).await;
    assert_eq!(field(&early.message().await.0, "connection"), None);
    proxy.drain.leave(true);
    // The idle one stays open until it is used, or draining begins; new ones are served once.
    let mut late = Peer::connect(proxy.inbound).await;
    for peer in [&mut early, &mut late] {
        let closing = async {
            peer.send(request).await;
            let (head, body) = peer.message().await;
            assert_eq!(body, "ok");
            field(&head, "connection") == Some("close")
        };
        assert!(closing.await, "it is told");
        assert!(peer.closed().await);
    }
    assert_eq!(proxy.drain.stage(), weir_runtime::drain::Stage::Leaving { accepting: true });
}

/// As when another process has the listening socket too: the connection waits for that one.
#[tokio::test]
async fn where_others_accept_nothing_is_accepted() {
    let upstream = Upstream::answering("ok").await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut early = Peer::connect(proxy.inbound).await;
    early.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    early.message().await;
    proxy.drain.leave(false);
    // Here nobody has it, so it is refused once the worker has let go of it.
    let mut refused = false;
    for _ in 0..2000 {
        refused = tokio::net::TcpStream::connect(proxy.inbound).await.is_err();
        if refused {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(refused);
    early.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(early.message().await.1, "ok", "what is open is served");
}

/// A request that was on its way when draining began is answered: its connection was accepted.
#[tokio::test]
async fn a_first_request_may_come_a_moment_late() {
    let upstream = Upstream::answering("ok").await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut client = Peer::connect(proxy.inbound).await;
    eventually("it is accepted", || proxy.drain.open() == 1).await;
    proxy.drain.start(Duration::from_secs(10));
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (head, body) = client.message().await;
    assert_eq!((field(&head, "connection"), body.as_str()), (Some("close"), "ok"));
    assert!(client.closed().await);
    let mut silent = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut nothing = Peer::connect(silent.inbound).await;
    eventually("it is accepted", || silent.drain.open() == 1).await;
    silent.drain.start(Duration::from_secs(10));
    assert!(nothing.closed().await, "one that says nothing does not hold up the end");
    assert_eq!(patient(silent.drain.drained()).await, 0);
    silent.publish(vec![], &[]);
}

/// Requests that were begun before the client heard are all served: the final GOAWAY comes well after the notice.
#[tokio::test]
async fn requests_that_cross_the_notice_are_served() {
    let upstream = Upstream::answering("ok").await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut client = Client2::connect(proxy.inbound).await;
    client.get("http://a/").await;
    proxy.drain.leave(true);
    let mut served = 0;
    let told = async {
        loop {
            let Ok(mut sender) = client.sender.clone().ready().await else { return };
            let request = http::Request::get("http://a/").body(()).unwrap();
            let (response, _) = sender.send_request(request, true).unwrap();
            // The connection's task runs on another turn: it may have read the notice before it sends this.
            assert_eq!(response.await.unwrap().status(), 200);
            served += 1;
        }
    };
    patient(told).await;
    client.ended().await;
    proxy.drain.start(Duration::from_secs(10));
    assert_eq!(patient(proxy.drain.drained()).await, 0);
}

#[tokio::test]
async fn a_grpc_stream_that_outlasts_the_drain_ends_with_a_status() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http2, &[upstream.address]));
    let mut client = Client2::connect(proxy.inbound).await;
    let (response, _up) = client.post("http://a/svc/Watch").await;
    let mut server = Server2::accept(&upstream).await;
    let (_request, mut respond) = server.request().await;
    let head = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut down = respond.send_response(head, false).unwrap();
    down.send_data("event".into(), false).unwrap();
    let mut body = patient(response).await.unwrap().into_body();
    assert_eq!(patient(body.data()).await.unwrap().unwrap(), "event");
    proxy.drain.start(Duration::from_millis(100));
    assert_eq!(patient(proxy.drain.drained()).await, 1);
    proxy.drain.end(Duration::from_secs(5));
    let (rest, trailers) = collect(body).await;
    let trailers = trailers.unwrap();
    assert_eq!((rest.as_str(), trailers["grpc-status"].to_str().unwrap()), ("", "14"));
    drop(_up);
    client.ended().await;
    assert_eq!(patient(proxy.drain.drained()).await, 0, "nothing is left to be cut off");
}

/// An upstream that ends without a word: a request whose effect nobody can repeat goes on another connection all the same, as
/// long as nothing of it was sent on the dead one.
#[tokio::test]
async fn a_connection_that_was_reset_while_idle_is_passed_over() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut client = Peer::connect(proxy.inbound).await;
    for _ in 0..5 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 2\r\n\r\nhi").await;
        let mut server = upstream.accept().await;
        assert_eq!(server.message().await.1, "hi");
        server.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        assert_eq!(client.message().await.1, "ok");
        server.stream.set_zero_linger().unwrap();
        drop(server);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn draining_tells_http2_clients_to_go_elsewhere() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http2, &[upstream.address]));
    let mut client = Client2::connect(proxy.inbound).await;
    let request = http::Request::get("http://a/").body(()).unwrap();
    let (response, _) = client.sender.send_request(request, true).unwrap();
    let mut server = Server2::accept(&upstream).await;
    let (_request, mut respond) = server.request().await;
    proxy.drain.start(Duration::from_secs(10));
    let mut sender = client.sender.clone();
    // GOAWAY arrives while the request is under way.
    patient(async {
        while sender.clone().ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    respond.send_response(Response::new(()), true).unwrap();
    assert_eq!(patient(response).await.unwrap().status(), 200);
    drop(std::mem::replace(&mut sender, client.sender.clone()));
    drop(sender);
    client.ended().await;
    assert_eq!(patient(proxy.drain.drained()).await, 0);
}

#[tokio::test]
async fn pipes_have_until_the_deadline() {
    let upstream = Upstream::bind().await;
    let mut proxy = Proxy::start();
    let listener = weir_model::Resource::Listener(tcp_listener(proxy.tcp, "db"));
    let db = weir_model::Resource::Cluster(cluster("db", HttpVersion::Http1, &[upstream.address]));
    proxy.publish(vec![db, listener], &[]);
    let mut client = Peer::connect(proxy.tcp).await;
    let mut server = upstream.accept().await;
    proxy.drain.start(Duration::from_millis(200));
    server.send("still here").await;
    assert_eq!(client.until("still here").await, "still here");
    assert_eq!(patient(proxy.drain.drained()).await, 1);
    proxy.drain.stop();
    assert!(client.closed().await);
}

#[tokio::test]
async fn idle_upstream_connections_close_in_time() {
    for http in [HttpVersion::Http1, HttpVersion::Http2] {
        let upstream = Upstream::bind().await;
        let mut app = cluster("app", http, &[upstream.address]);
        app.idle_timeout = Duration::from_millis(300);
        let proxy = Proxy::inbound(app);
        let mut client = Client2::connect(proxy.inbound).await;
        let request = http::Request::get("http://a/").body(()).unwrap();
        let (response, _) = client.sender.send_request(request, true).unwrap();
        if http == HttpVersion::Http1 {
            let mut server = upstream.accept().await;
            server.head().await;
            server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            patient(response).await.unwrap();
            assert!(server.closed().await);
        } else {
            let mut server = Server2::accept(&upstream).await;
            let (_request, mut respond) = server.request().await;
            respond.send_response(Response::new(()), true).unwrap();
            drop(respond);
            patient(response).await.unwrap();
            assert!(server.ended().await);
        }
        let state = proxy.cluster("app").state.clone();
        eventually("it is counted no more", || state.connections.load(Relaxed) == 0).await;
    }
}

/// An endpoint that leaves the configuration: its idle connections close, its busy one finishes first.
#[tokio::test]
async fn connections_of_an_endpoint_that_is_gone_close() {
    let (old, new) = (Upstream::bind().await, Upstream::answering("new").await);
    let mut proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[old.address]));
    let (mut idle, mut busy) = (Peer::connect(proxy.inbound).await, Peer::connect(proxy.inbound).await);
    idle.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut idle_server = old.accept().await;
    idle_server.head().await;
    busy.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut busy_server = old.accept().await;
    busy_server.head().await;
    idle_server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    idle.head().await;
    proxy.publish_inbound(
        vec![cluster("app", HttpVersion::Http1, &[new.address])],
        vec![route(forward("app"))],
    );
    assert!(idle_server.closed().await);
    busy_server.send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nold").await;
    assert_eq!(busy.message().await.1, "old");
    assert!(busy_server.closed().await);
    idle.send("GET /3 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(idle.message().await.1, "new");
}

/// Other clusters' connections stay open across snapshots.
#[tokio::test]
async fn connections_outlive_snapshots() {
    let upstream = Upstream::bind().await;
    let app = cluster("app", HttpVersion::Http1, &[upstream.address]);
    let mut proxy = Proxy::inbound(app.clone());
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    client.head().await;
    for round in 0..5 {
        let other = cluster(&format!("other-{round}"), HttpVersion::Http1, &[upstream.address]);
        let mut app = app.clone();
        app.connect_timeout = Duration::from_secs(round + 1);
        proxy.publish_inbound(vec![app, other], vec![route(forward("app"))]);
        tokio::time::sleep(Duration::from_millis(10)).await;
        client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        server.head().await;
        server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        client.head().await;
    }
    assert_eq!(proxy.cluster("app").state.connections.load(Relaxed), 1);
}

/// Neither an idle connection nor a stream that goes on for hours holds what it no longer needs.
#[tokio::test]
async fn old_snapshots_go() {
    let upstream = Upstream::bind().await;
    let app = cluster("app", HttpVersion::Http1, &[upstream.address]);
    let mut proxy = Proxy::inbound(app.clone());
    let (mut idle, mut long) = (Peer::connect(proxy.inbound).await, Peer::connect(proxy.inbound).await);
    idle.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    idle.head().await;
    long.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await;
    long.until("half").await;
    let old = std::sync::Arc::downgrade(&proxy.snapshot());
    let cluster = std::sync::Arc::downgrade(&proxy.cluster("app"));
    let mut app = app;
    app.connect_timeout = Duration::from_secs(3);
    proxy.publish_inbound(vec![app], vec![route(forward("app"))]);
    eventually("the old snapshot is gone", || old.strong_count() == 0).await;
    eventually("and its cluster", || cluster.strong_count() == 0).await;
    server.send("half").await;
    assert_eq!(long.until("half").await, "half");
}
