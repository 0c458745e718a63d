//! What answers where an upstream cannot, and that the caller is told why.

use crate::support::*;
use http::StatusCode;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use weir_model::{
    CircuitBreakers, Cluster, DirectResponse, Fallback, Forward, HttpVersion, RetryOn, RetryPolicy, Route,
    RouteAction, StaticAnswer,
};
use weir_proxy::TelemetryArgs;
use weir_telemetry::metrics::Registry;

fn words() -> Fallback {
    let response = DirectResponse { status: StatusCode::OK, body: "{\"later\": true}".to_owned() };
    Fallback::Direct(StaticAnswer { response, content_type: Some("application/json".parse().unwrap()) })
}

fn to_other() -> Fallback {
    Fallback::Cluster("other".to_owned())
}

fn with(fallback: Fallback) -> Forward {
    Forward { fallback: Some(Box::new(fallback)), ..forward_to(&[("app", 1)]) }
}

fn routed(forward: Forward) -> Vec<Route> {
    vec![route(RouteAction::Forward(forward))]
}

fn http1(name: &str, addresses: &[std::net::SocketAddr]) -> Cluster {
    cluster(name, HttpVersion::Http1, addresses)
}

async fn get(client: &mut Peer) -> (String, String) {
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.message().await
}

fn assert_degraded(head: &str, reason: &str) {
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(field(head, "x-weir-degraded"), Some(reason), "{head}");
}

#[tokio::test]
async fn words_answer_where_nobody_can() {
    let registry = Registry::new();
    let telemetry = TelemetryArgs { registry: registry.clone(), ..TelemetryArgs::disabled() };
    let mut proxy = Proxy::with(true, telemetry);
    proxy.publish_inbound(vec![http1("app", &[])], routed(with(words())));
    let mut client = Peer::connect(proxy.inbound).await;
    let (head, body) = get(&mut client).await;
    assert_degraded(&head, "no-healthy-upstream");
    assert_eq!(body, "{\"later\": true}");
    assert_eq!(field(&head, "content-type"), Some("application/json"), "{head}");
    for flag in ["UH", "FB"] {
        eventually("both flags are counted", || {
            let metrics = registry.render_prometheus();
            let flag = format!("flag=\"{flag}\"");
            metrics.lines().any(|line| line.contains("weir_response_flags_total") && line.contains(&flag))
        })
        .await;
    }
    let gone = nobody().await;
    let proxy = Proxy::routes(vec![http1("app", &[gone])], routed(with(words())));
    let mut client = Peer::connect(proxy.inbound).await;
    assert_degraded(&get(&mut client).await.0, "connect-failure");
}

#[tokio::test]
async fn another_cluster_answers_with_the_whole_request() {
    let (app, other) = (Upstream::bind().await, Upstream::bind().await);
    let clusters = vec![http1("app", &[app.address]), cluster("other", HttpVersion::Http2, &[other.address])];
    let proxy = Proxy::routes(clusters, routed(with(to_other())));
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("POST /x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
    let mut server = app.accept().await;
    server.message().await;
    drop(server);
    let (request, mut respond) = Server2::accept(&other).await.request().await;
    assert_eq!(request.uri().to_string(), "http://a/x?y");
    let mut body = request.into_body();
    assert_eq!(patient(body.data()).await.unwrap().unwrap().as_ref(), b"hello");
    let response = http::Response::builder().status(200).header("content-length", "0").body(()).unwrap();
    respond.send_response(response, true).unwrap();
    assert_degraded(&client.message().await.0, "upstream-reset");
    for name in ["app", "other"] {
        let state = proxy.cluster(name).state.clone();
        eventually("no place is kept", || {
            state.of(weir_model::Priority::Default).requests.load(Relaxed) == 0
        })
        .await;
    }
}

#[tokio::test]
async fn an_answer_that_may_not_be_tried_again_is_answered_for() {
    let (app, other) = (Upstream::bind().await, Upstream::answering("stale").await);
    let on = RetryOn { statuses: vec![StatusCode::SERVICE_UNAVAILABLE], ..RetryOn::default() };
    let retry =
        RetryPolicy { attempts: 1, on, backoff_base: Duration::from_millis(1), ..RetryPolicy::default() };
    let forward = Forward { retry: Some(retry), ..with(to_other()) };
    let clusters = vec![http1("app", &[app.address]), http1("other", &[other.address])];
    let proxy = Proxy::routes(clusters, routed(forward));
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = app.accept().await;
    for _ in 0..2 {
        server.head().await;
        server.send("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await;
    }
    let (head, body) = client.message().await;
    assert_degraded(&head, "retries-exhausted");
    assert_eq!(body, "stale");
    // An answer that no policy lists is the upstream's own.
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    server.head().await;
    server.send("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await;
    let (head, _) = client.message().await;
    assert!(head.starts_with("HTTP/1.1 500 ") && field(&head, "x-weir-degraded").is_none(), "{head}");
}

#[tokio::test]
async fn an_open_breaker_is_answered_for() {
    let (app, other) = (Upstream::bind().await, Upstream::answering("stale").await);
    let breakers = CircuitBreakers { max_requests: 1, ..CircuitBreakers::default() };
    let narrow = Cluster { circuit_breakers: breakers, ..http1("app", &[app.address]) };
    let proxy = Proxy::routes(vec![narrow, http1("other", &[other.address])], routed(with(to_other())));
    let mut first = Peer::connect(proxy.inbound).await;
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = app.accept().await;
    server.head().await;
    let mut second = Peer::connect(proxy.inbound).await;
    second.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
    let (head, body) = second.message().await;
    assert_degraded(&head, "overflow");
    assert_eq!(body, "stale");
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let (head, body) = first.message().await;
    assert!(field(&head, "x-weir-degraded").is_none() && body == "ok", "{head}");
}

#[tokio::test]
async fn time_that_is_over_is_told_in_words_but_asks_nobody_else() {
    let app = Upstream::bind().await;
    let other = Upstream::bind().await;
    for (fallback, status) in [(words(), "200"), (to_other(), "504")] {
        let mut forward = with(fallback);
        forward.timeouts.request = Some(Duration::from_millis(200));
        let clusters = vec![http1("app", &[app.address]), http1("other", &[other.address])];
        let proxy = Proxy::routes(clusters, routed(forward));
        let mut client = Peer::connect(proxy.inbound).await;
        let (head, _) = get(&mut client).await;
        assert_eq!(&head[9..12], status, "{head}");
        drop(app.accept().await);
    }
    assert!(other.is_quiet().await);
}

#[tokio::test]
async fn a_fallback_that_fails_fails_as_itself() {
    let gone = nobody().await;
    let clusters = vec![http1("app", &[]), http1("other", &[gone])];
    let proxy = Proxy::routes(clusters, routed(with(to_other())));
    let mut client = Peer::connect(proxy.inbound).await;
    let (head, body) = get(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 503 ") && body.contains("(UF)"), "{head}{body}");
    assert_eq!(field(&head, "x-weir-degraded"), Some("no-healthy-upstream"));
}

#[tokio::test]
async fn a_request_that_is_refused_is_not_answered_for() {
    let app = Upstream::answering("ok").await;
    let proxy = Proxy::routes(vec![http1("app", &[app.address])], routed(with(words())));
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a b\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 400 ") && field(&head, "x-weir-degraded").is_none(), "{head}");
}
