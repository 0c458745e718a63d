//! Routes as policy has them: splits, mutations, rewrites, redirects, direct answers, timeouts, breakers.

use crate::support::*;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use weir_model::{
    DirectResponse, Forward, HeaderMutation, HttpVersion, PathMatch, PathRewrite, Redirect, Rewrite, Route,
    RouteAction, RouteMatch, Timeouts,
};

fn field_of(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static(name), HeaderValue::from_static(value))
}

async fn get(client: &mut Peer, path: &str) -> (String, String) {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    client.message().await
}

#[tokio::test]
async fn a_split_follows_its_weights() {
    let (one, two) = (Upstream::answering("one").await, Upstream::answering("two").await);
    let clusters = vec![
        cluster("one", HttpVersion::Http1, &[one.address]),
        cluster("two", HttpVersion::Http1, &[two.address]),
    ];
    let routes = vec![route(RouteAction::Forward(forward_to(&[("one", 90), ("two", 10)])))];
    let proxy = Proxy::routes(clusters, routes);
    let mut client = Peer::connect(proxy.inbound).await;
    let mut twos = 0;
    for _ in 0..1000 {
        twos += usize::from(get(&mut client, "/").await.1 == "two");
    }
    // 99.9 % of the binomial distribution; the seed is fixed.
    assert!((69..=132).contains(&twos), "{twos}");
}

#[tokio::test]
async fn endpoints_take_turns() {
    let (one, two) = (Upstream::answering("one").await, Upstream::answering("two").await);
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[one.address, two.address]));
    let mut client = Peer::connect(proxy.inbound).await;
    let mut ones = 0;
    for _ in 0..20 {
        ones += usize::from(get(&mut client, "/").await.1 == "one");
    }
    assert_eq!(ones, 10);
}

#[tokio::test]
async fn fields_and_targets_change_as_the_route_says() {
    let upstream = Upstream::bind().await;
    let mut forward = forward_to(&[("app", 1)]);
    forward.rewrite = Rewrite {
        host: Some("inner".to_owned()),
        path: Some(PathRewrite::Prefix("/new".to_owned())),
        more: None,
    };
    forward.clusters[0].request_headers.add = vec![field_of("x-cluster", "1")];
    forward.clusters[0].response_headers.set = vec![field_of("x-from", "cluster")];
    let changed = Route {
        matches: RouteMatch { path: PathMatch::Prefix("/old".to_owned()), ..RouteMatch::default() },
        request_headers: HeaderMutation {
            set: vec![field_of("x-set", "new")],
            remove: vec![HeaderName::from_static("x-gone")],
            ..HeaderMutation::default()
        },
        response_headers: HeaderMutation {
            add: vec![field_of("x-from", "route")],
            ..HeaderMutation::default()
        },
        ..route(RouteAction::Forward(forward))
    };
    let proxy = Proxy::routes(vec![cluster("app", HttpVersion::Http1, &[upstream.address])], vec![changed]);
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET /old/x?q=1 HTTP/1.1\r\nHost: outer\r\nX-Set: old\r\nX-Gone: 1\r\n\r\n").await;
    let mut server = upstream.accept().await;
    let head = server.head().await;
    assert!(head.starts_with("GET /new/x?q=1 HTTP/1.1\r\n"), "{head}");
    assert_eq!((field(&head, "host"), field(&head, "x-set")), (Some("inner"), Some("new")));
    assert_eq!((field(&head, "x-gone"), field(&head, "x-cluster")), (None, Some("1")));
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.contains("x-from: cluster\r\n") && head.contains("x-from: route\r\n"), "{head}");
    // And no other path has a route.
    let (head, body) = get(&mut client, "/older").await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    assert_eq!((field(&head, "server"), body.as_str()), (Some("weir"), "no route matches (NR)\n"));
}

#[tokio::test]
async fn a_rewritten_host_is_the_authority_in_http2() {
    let upstream = Upstream::bind().await;
    let mut forward = forward_to(&[("app", 1)]);
    forward.rewrite = Rewrite {
        host: Some("inner:1".to_owned()),
        path: Some(PathRewrite::Full("/all".to_owned())),
        more: None,
    };
    let routes = vec![route(RouteAction::Forward(forward))];
    let proxy = Proxy::routes(vec![cluster("app", HttpVersion::Http2, &[upstream.address])], routes);
    let mut client = Client2::connect(proxy.inbound).await;
    let (_response, _body) = client.post("http://outer/x?y").await;
    let (request, _respond) = Server2::accept(&upstream).await.request().await;
    assert_eq!(request.uri().to_string(), "http://inner:1/all?y");
}

#[tokio::test]
async fn redirects_and_direct_answers() {
    let redirect = Redirect {
        scheme: Some("https".to_owned()),
        host: None,
        port: None,
        path: Some(PathRewrite::Full("/there".to_owned())),
        status: StatusCode::MOVED_PERMANENTLY,
        strip_query: false,
    };
    let here = Route {
        matches: RouteMatch { path: PathMatch::Exact("/here".to_owned()), ..RouteMatch::default() },
        response_headers: HeaderMutation {
            set: vec![field_of("x-why", "moved")],
            ..HeaderMutation::default()
        },
        ..route(RouteAction::Redirect(redirect))
    };
    let teapot = DirectResponse { status: StatusCode::IM_A_TEAPOT, body: "short and stout".to_owned() };
    let proxy = Proxy::routes(vec![], vec![here, route(RouteAction::Direct(teapot))]);
    let mut client = Peer::connect(proxy.inbound).await;
    let (head, _) = get(&mut client, "/here?a=b").await;
    assert!(head.starts_with("HTTP/1.1 301 "), "{head}");
    assert_eq!(
        (field(&head, "location"), field(&head, "x-why")),
        (Some("https://a/there?a=b"), Some("moved"))
    );
    let (head, body) = get(&mut client, "/tea").await;
    assert!(head.starts_with("HTTP/1.1 418 ") && body == "short and stout", "{head}{body}");
}

#[tokio::test]
async fn grpc_callers_are_refused_in_their_own_words() {
    let direct = DirectResponse { status: StatusCode::SERVICE_UNAVAILABLE, body: "50 % off".to_owned() };
    let proxy = Proxy::routes(vec![], vec![route(RouteAction::Direct(direct))]);
    let mut client = Client2::connect(proxy.inbound).await;
    let (response, _body) = client.post("http://a/s/m").await;
    let response = patient(response).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &HeaderValue::from_static("application/grpc"))
    );
    assert_eq!(
        (&response.headers()["grpc-status"], &response.headers()["grpc-message"]),
        (&HeaderValue::from_static("14"), &HeaderValue::from_static("50 %25 off"))
    );
    assert!(response.body().is_end_stream());
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http2, &[]));
    let mut client = Client2::connect(proxy.inbound).await;
    let (response, _body) = client.post("http://a/s/m").await;
    let response = patient(response).await.unwrap();
    assert_eq!(response.headers()["grpc-message"], "no healthy upstream (UH)");
}

fn timed(timeouts: Timeouts) -> Forward {
    Forward { timeouts, ..forward_to(&[("app", 1)]) }
}

#[tokio::test]
async fn a_request_has_until_its_timeout() {
    let upstream = Upstream::bind().await;
    let timeouts = Timeouts { request: Some(Duration::from_millis(50)), ..Timeouts::default() };
    let routes = vec![route(RouteAction::Forward(timed(timeouts)))];
    let proxy = Proxy::routes(vec![cluster("app", HttpVersion::Http1, &[upstream.address])], routes);
    let mut client = Peer::connect(proxy.inbound).await;
    let (head, body) = get(&mut client, "/").await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    assert_eq!(body, "request timeout (UT)\n");
    assert!(
        upstream.accept().await.rest().await.ends_with("\r\n\r\n"),
        "the upstream's connection is closed"
    );
    // A stream that outlives it breaks off.
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    client.until("half").await;
    assert!(client.closed().await);
}

#[tokio::test]
async fn silence_has_a_limit_of_its_own() {
    let upstream = Upstream::bind().await;
    let timeouts = Timeouts { idle: Some(Duration::from_millis(200)), ..Timeouts::default() };
    let routes = vec![route(RouteAction::Forward(timed(timeouts)))];
    let proxy = Proxy::routes(vec![cluster("app", HttpVersion::Http1, &[upstream.address])], routes);
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n").await;
    client.head().await;
    // It takes longer than the limit, but never stands still as long.
    for _ in 0..8 {
        server.send("x").await;
        client.until("x").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(client.closed().await);
    let (head, _) = get(&mut Peer::connect(proxy.inbound).await, "/").await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
}

#[tokio::test]
async fn an_upload_that_moves_is_not_silent() {
    let upstream = Upstream::bind().await;
    let timeouts = Timeouts { idle: Some(Duration::from_millis(200)), ..Timeouts::default() };
    let routes = vec![route(RouteAction::Forward(timed(timeouts)))];
    let proxy = Proxy::routes(vec![cluster("app", HttpVersion::Http1, &[upstream.address])], routes);
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 9\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    for _ in 0..8 {
        client.send("x").await;
        server.until("x").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.send("x").await;
    server.until("x").await;
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_grpc_deadline_is_told_and_kept() {
    let upstream = Upstream::bind().await;
    let timeouts =
        Timeouts { request: Some(Duration::from_secs(10)), from_head: true, ..Timeouts::default() };
    let routes = vec![route(RouteAction::Forward(timed(timeouts)))];
    let proxy = Proxy::routes(vec![cluster("app", HttpVersion::Http2, &[upstream.address])], routes);
    let mut client = Client2::connect(proxy.inbound).await;
    let ask = |timeout: Option<&str>| {
        let mut request = http::Request::post("http://a/s/m").header("content-type", "application/grpc");
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        request.body(()).unwrap()
    };
    // The caller's is shorter.
    let (response, mut body) = client.sender.send_request(ask(Some("80m")), false).unwrap();
    body.send_data(Bytes::from_static(b"x"), true).unwrap();
    let mut server = Server2::accept(&upstream).await;
    let (request, mut respond) = server.request().await;
    let told = weir_decide::deadline::parse(&request.headers()["grpc-timeout"]).unwrap();
    assert!(told <= Duration::from_millis(80) && told > Duration::from_millis(20), "{told:?}");
    let response = patient(response).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "4");
    let reason = patient(std::future::poll_fn(|cx| respond.poll_reset(cx))).await.unwrap();
    assert_eq!(reason, h2::Reason::CANCEL);
    // The route's is shorter, or the only one.
    for timeout in [Some("1H"), None] {
        let (_response, _body) = client.sender.send_request(ask(timeout), false).unwrap();
        let (request, _respond) = server.request().await;
        let told = weir_decide::deadline::parse(&request.headers()["grpc-timeout"]).unwrap();
        assert!(told <= Duration::from_secs(10) && told > Duration::from_secs(5), "{told:?}");
    }
}

#[tokio::test]
async fn too_many_requests_are_turned_away() {
    let upstream = Upstream::bind().await;
    let mut app = cluster("app", HttpVersion::Http1, &[upstream.address]);
    app.circuit_breakers.max_requests = 1;
    let proxy = Proxy::inbound(app);
    let mut first = Peer::connect(proxy.inbound).await;
    first.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    let mut second = Peer::connect(proxy.inbound).await;
    let (head, body) = get(&mut second, "/2").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(body, "circuit breaker open: too many requests (UO)\n");
    assert_eq!(proxy.cluster("app").state.traffic.totals().refused, 1);
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(first.message().await.1, "ok");
    // There is room again.
    second.send("GET /3 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(server.head().await.starts_with("GET /3 "));
}

#[tokio::test]
async fn requests_wait_for_one_of_few_connections_but_not_too_many() {
    let upstream = Upstream::bind().await;
    let mut app = cluster("app", HttpVersion::Http1, &[upstream.address]);
    app.circuit_breakers.max_connections = 1;
    app.circuit_breakers.max_pending = 1;
    let proxy = Proxy::inbound(app);
    let mut first = Peer::connect(proxy.inbound).await;
    first.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    let state = proxy.cluster("app").state.clone();
    let mut second = Peer::connect(proxy.inbound).await;
    second.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the second waits", || state.pending.load(Relaxed) == 1).await;
    let (head, body) = get(&mut Peer::connect(proxy.inbound).await, "/3").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(body, "circuit breaker open: too many requests wait for a connection (UO)\n");
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(first.message().await.1, "ok");
    assert!(server.head().await.starts_with("GET /2 "), "it gets the same connection");
    assert_eq!((state.pending.load(Relaxed), state.connections.load(Relaxed)), (0, 1));
}

#[tokio::test]
async fn an_idle_connection_makes_room_for_one_to_another_endpoint() {
    let (one, two) = (Upstream::answering("one").await, Upstream::answering("two").await);
    let mut app = cluster("app", HttpVersion::Http1, &[one.address, two.address]);
    app.circuit_breakers.max_connections = 1;
    let proxy = Proxy::inbound(app);
    let mut client = Peer::connect(proxy.inbound).await;
    for _ in 0..6 {
        assert!(get(&mut client, "/").await.0.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(proxy.cluster("app").state.connections.load(Relaxed), 1);
}

#[tokio::test]
async fn latency_and_load_are_known_per_endpoint() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let endpoint = proxy.cluster("app").endpoints[0].clone();
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    assert_eq!((endpoint.active.load(Relaxed), endpoint.latency.load(Relaxed)), (1, 0));
    server.send("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n").await;
    client.head().await;
    eventually("it is counted", || endpoint.traffic.totals().failed == 1).await;
    assert_eq!((endpoint.active.load(Relaxed), endpoint.traffic.totals().started), (0, 1));
    assert_ne!(endpoint.latency.load(Relaxed), 0);
    assert_eq!(proxy.cluster("app").state.traffic.totals().failed, 1);
}

/// The limits of weir's own policies begin with the head of a request, those of others when it is whole.
#[tokio::test]
async fn a_body_that_is_slow_to_come_counts_where_limits_begin_with_the_head() {
    for (from_head, expected) in [(false, "HTTP/1.1 200 "), (true, "HTTP/1.1 504 ")] {
        let upstream = Upstream::bind().await;
        let limit = Some(Duration::from_millis(400));
        let timeouts = Timeouts { request: limit, backend_request: limit, from_head, ..Timeouts::default() };
        let routes = vec![route(RouteAction::Forward(timed(timeouts)))];
        let proxy = Proxy::routes(vec![cluster("app", HttpVersion::Http1, &[upstream.address])], routes);
        let mut client = Peer::connect(proxy.inbound).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 4\r\n\r\nbo").await;
        let mut server = upstream.accept().await;
        server.head().await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        if !from_head {
            client.send("dy").await;
            server.until("body").await;
            server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
        let head = client.head().await;
        assert!(head.starts_with(expected), "{from_head}: {head}");
    }
}
