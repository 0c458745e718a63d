//! What keeps retries from doing harm, and the limits of what is under way: marks along a chain of calls, waits that upstreams ask for,
//! circuit breakers by priority and endpoint, the life of connections.

use crate::support::*;
use http::{Response, StatusCode};
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;
use weir_model::{
    AskedWait, Cluster, Forward, HeaderMatch, HttpLimits, HttpVersion, ListenerKind, PathMatch, Priority,
    Resource, RetryOn, RetryPolicy, Route, RouteAction, RouteMatch, StringMatch, Timeouts,
};

const FAILED: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Retries 503 and whatever has no answer, at once.
fn policy() -> RetryPolicy {
    RetryPolicy {
        attempts: 2,
        on: RetryOn { reset: true, statuses: vec![StatusCode::SERVICE_UNAVAILABLE], ..RetryOn::default() },
        backoff_base: Duration::ZERO,
        backoff_max: Duration::ZERO,
        ..RetryPolicy::default()
    }
}

fn retrying(policy: RetryPolicy) -> Forward {
    Forward { retry: Some(policy), ..forward_to(&[("app", 1)]) }
}

fn to(addresses: &[SocketAddr]) -> Cluster {
    cluster("app", HttpVersion::Http1, addresses)
}

/// A worker whose application asks for `app` through it.
fn outbound(cluster: Cluster, forward: Forward) -> Proxy {
    let mut proxy = Proxy::start();
    let listener = named_listener("app", vec![route(RouteAction::Forward(forward))]);
    proxy.publish(vec![Resource::Cluster(cluster), Resource::Listener(listener)], &[]);
    proxy
}

async fn ask(client: &mut Peer, fields: &str) {
    client.send(format!("GET / HTTP/1.1\r\nHost: app\r\n{fields}\r\n")).await;
}

/// The heads of requests on one connection, each answered.
async fn serve(server: &mut Peer, answers: &[&str]) -> Vec<String> {
    let mut heads = Vec::new();
    for answer in answers {
        heads.push(server.head().await);
        server.send(answer).await;
    }
    heads
}

#[tokio::test]
async fn a_further_attempt_says_so_and_failing_in_vain_is_told() {
    let upstream = Upstream::bind().await;
    let proxy = outbound(to(&[upstream.address]), retrying(policy()));
    let mut client = Peer::connect(proxy.outbound).await;
    ask(&mut client, "").await;
    let heads = serve(&mut upstream.accept().await, &[FAILED, FAILED, FAILED]).await;
    let attempts: Vec<_> = heads.iter().map(|head| field(head, "x-weir-attempt")).collect();
    assert_eq!(attempts, [None, Some("2"), Some("3")]);
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(field(&head, "x-weir-no-retry"), Some("spent"));
}

#[tokio::test]
async fn what_goes_well_says_nothing() {
    let upstream = Upstream::bind().await;
    let proxy = outbound(to(&[upstream.address]), retrying(policy()));
    let mut client = Peer::connect(proxy.outbound).await;
    ask(&mut client, "").await;
    serve(&mut upstream.accept().await, &[FAILED, GOOD]).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(field(&head, "x-weir-no-retry"), None);
}

#[tokio::test]
async fn somebody_elses_further_attempt_is_made_once() {
    let upstream = Upstream::bind().await;
    let proxy = outbound(to(&[upstream.address]), retrying(policy()));
    let mut client = Peer::connect(proxy.outbound).await;
    ask(&mut client, "x-weir-attempt: 2\r\n").await;
    let heads = serve(&mut upstream.accept().await, &[FAILED]).await;
    assert_eq!(field(&heads[0], "x-weir-attempt"), Some("2"), "those below know it too");
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(field(&head, "x-weir-no-retry"), None, "who is above still has attempts");
    // A first attempt is none, and neither is what makes no sense.
    for said in ["x-weir-attempt: 1\r\n", "x-weir-attempt: often\r\n"] {
        let upstream = Upstream::bind().await;
        let proxy = outbound(to(&[upstream.address]), retrying(policy()));
        let mut client = Peer::connect(proxy.outbound).await;
        ask(&mut client, said).await;
        serve(&mut upstream.accept().await, &[FAILED, GOOD]).await;
        assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_passed_over_whosever_attempt_it_is() {
    let upstream = Upstream::answering("alive").await;
    let proxy = outbound(to(&[nobody().await, upstream.address]), retrying(policy()));
    let mut client = Peer::connect(proxy.outbound).await;
    for _ in 0..4 {
        ask(&mut client, "x-weir-attempt: 3\r\n").await;
        assert_eq!(client.message().await.1, "alive");
    }
}

#[tokio::test]
async fn what_was_tried_below_in_vain_is_not_tried_again() {
    let upstream = Upstream::bind().await;
    let proxy = outbound(to(&[upstream.address]), retrying(policy()));
    let mut client = Peer::connect(proxy.outbound).await;
    ask(&mut client, "").await;
    let told = "HTTP/1.1 503 Service Unavailable\r\nx-weir-no-retry: spent\r\ncontent-length: 0\r\n\r\n";
    serve(&mut upstream.accept().await, &[told]).await;
    assert_eq!(field(&client.head().await, "x-weir-no-retry"), Some("spent"), "and those above know it");
    assert!(upstream.is_quiet().await);
}

#[tokio::test]
async fn an_open_breaker_says_that_there_is_no_use_in_asking_again() {
    let mut app = to(&[nobody().await]);
    app.circuit_breakers.max_requests = 0;
    let proxy = outbound(app.clone(), retrying(policy()));
    let mut client = Peer::connect(proxy.outbound).await;
    ask(&mut client, "").await;
    let (head, body) = client.message().await;
    assert_eq!(body, "circuit breaker open: too many requests (UO)\n");
    assert_eq!(field(&head, "x-weir-no-retry"), Some("overloaded"));
    // Another workload may have room for what this application has not.
    let proxy = Proxy::inbound(app);
    let mut client = Peer::connect(proxy.inbound).await;
    ask(&mut client, "").await;
    assert_eq!(field(&client.message().await.0, "x-weir-no-retry"), None);
}

#[tokio::test]
async fn a_budget_that_is_used_up_is_told() {
    let upstream = Upstream::bind().await;
    let mut app = to(&[upstream.address]);
    app.circuit_breakers.retry_budget.parts_per_million = 0;
    app.circuit_breakers.retry_budget.min_concurrency = 1;
    let proxy = outbound(app, retrying(policy()));
    let mut first = Peer::connect(proxy.outbound).await;
    ask(&mut first, "").await;
    let mut busy = upstream.accept().await;
    serve(&mut busy, &[FAILED]).await;
    // Its retry takes the only place.
    let retried = busy.head().await;
    assert_eq!(field(&retried, "x-weir-attempt"), Some("2"));
    assert_eq!(proxy.cluster("app").state.retries.load(Relaxed), 1);
    let mut second = Peer::connect(proxy.outbound).await;
    ask(&mut second, "").await;
    serve(&mut upstream.accept().await, &[FAILED]).await;
    assert_eq!(field(&second.head().await, "x-weir-no-retry"), Some("spent"));
    busy.send(GOOD).await;
    assert!(first.head().await.starts_with("HTTP/1.1 200 "));
    eventually("the place is given back", || proxy.cluster("app").state.retries.load(Relaxed) == 0).await;
}

#[tokio::test]
async fn an_upstream_that_asks_for_time_gets_it() {
    let upstream = Upstream::bind().await;
    let asked = Some(AskedWait::retry_after(Duration::from_secs(5)));
    let proxy = outbound(to(&[upstream.address]), retrying(RetryPolicy { asked, ..policy() }));
    let mut client = Peer::connect(proxy.outbound).await;
    ask(&mut client, "").await;
    let begun = Instant::now();
    let later = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
    serve(&mut upstream.accept().await, &[later, GOOD]).await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn fields_decide_which_requests_and_which_responses() {
    let upstream = Upstream::bind().await;
    let condition =
        |name: &str| HeaderMatch { name: name.parse().unwrap(), value: StringMatch::Regex("y.*".to_owned()) };
    let on = RetryOn { headers: vec![condition("x-again")], ..RetryOn::default() };
    let forward = retrying(RetryPolicy { on, requests: vec![condition("x-retry")], ..policy() });
    let proxy = outbound(to(&[upstream.address]), forward);
    let mut client = Peer::connect(proxy.outbound).await;
    let again = "HTTP/1.1 200 OK\r\nx-again: yes\r\ncontent-length: 0\r\n\r\n";
    ask(&mut client, "").await;
    let mut server = upstream.accept().await;
    serve(&mut server, &[again]).await;
    assert!(field(&client.head().await, "x-again").is_some(), "the request does not ask for it");
    ask(&mut client, "x-retry: y\r\n").await;
    serve(&mut server, &[again, GOOD]).await;
    assert!(field(&client.head().await, "x-again").is_none());
    ask(&mut client, "x-retry: y\r\n").await;
    serve(&mut server, &[FAILED]).await;
    assert!(client.head().await.starts_with("HTTP/1.1 503 "), "the status is not listed");
}

#[tokio::test]
async fn a_rate_limit_is_passed_on_unless_it_is_listed() {
    let limited =
        "HTTP/1.1 503 Service Unavailable\r\nx-envoy-ratelimited: true\r\ncontent-length: 0\r\n\r\n";
    for (rate_limited, status) in [(false, "503"), (true, "200")] {
        let upstream = Upstream::bind().await;
        let on = RetryOn { rate_limited, ..policy().on };
        let proxy = outbound(to(&[upstream.address]), retrying(RetryPolicy { on, ..policy() }));
        let mut client = Peer::connect(proxy.outbound).await;
        ask(&mut client, "").await;
        let answers: &[&str] = if rate_limited { &[limited, GOOD] } else { &[limited] };
        serve(&mut upstream.accept().await, answers).await;
        assert!(client.head().await.starts_with(&format!("HTTP/1.1 {status} ")));
    }
}

/// A route to `app` for one path, with a priority.
fn prioritized(path: &str, priority: Priority) -> Route {
    let forward = Forward { priority, ..forward_to(&[("app", 1)]) };
    let matches = RouteMatch { path: PathMatch::Exact(path.to_owned()), ..RouteMatch::default() };
    Route { name: path.to_owned(), matches, ..route(RouteAction::Forward(forward)) }
}

#[tokio::test]
async fn what_is_important_has_breakers_of_its_own() {
    let upstream = Upstream::bind().await;
    let mut app = to(&[upstream.address]);
    app.circuit_breakers.max_requests = 1;
    app.circuit_breakers.high.max_requests = 1;
    let routes = vec![prioritized("/high", Priority::High), prioritized("/", Priority::Default)];
    let proxy = Proxy::routes(vec![app], routes);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut usual = Peer::connect(proxy.inbound).await;
    usual.send(get("/")).await;
    let mut busy = upstream.accept().await;
    busy.head().await;
    let mut refused = Peer::connect(proxy.inbound).await;
    refused.send(get("/")).await;
    assert!(refused.message().await.1.ends_with("(UO)\n"));
    let mut high = Peer::connect(proxy.inbound).await;
    high.send(get("/high")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    let state = &proxy.cluster("app").state;
    let counts = state.of(Priority::High);
    let high_counts = [counts.requests, counts.connections].map(|count| count.load(Relaxed));
    assert_eq!((state.requests.load(Relaxed), high_counts), (1, [1, 1]));
    refused.send(get("/high")).await;
    assert!(refused.message().await.1.ends_with("(UO)\n"));
    server.send(GOOD).await;
    assert!(high.head().await.starts_with("HTTP/1.1 200 "));
    busy.send(GOOD).await;
    assert!(usual.head().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn an_endpoint_has_no_more_connections_than_it_may() {
    let upstream = Upstream::bind().await;
    let mut app = to(&[upstream.address]);
    app.circuit_breakers.max_endpoint_connections = Some(1);
    app.circuit_breakers.max_pending = 1;
    let proxy = Proxy::inbound(app);
    let mut first = Peer::connect(proxy.inbound).await;
    ask(&mut first, "").await;
    let mut server = upstream.accept().await;
    server.head().await;
    let mut second = Peer::connect(proxy.inbound).await;
    ask(&mut second, "").await;
    let pending = || proxy.cluster("app").state.pending.load(Relaxed);
    eventually("it waits", || pending() == 1).await;
    let mut third = Peer::connect(proxy.inbound).await;
    ask(&mut third, "").await;
    assert!(third.message().await.1.contains("too many requests wait"), "and no more than may");
    assert!(upstream.is_quiet().await);
    server.send(GOOD).await;
    first.head().await;
    serve(&mut server, &[GOOD]).await;
    assert!(second.head().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_connection_carries_so_many_requests() {
    let upstream = Upstream::bind().await;
    let mut app = to(&[upstream.address]);
    app.circuit_breakers.connection.max_requests = Some(2);
    let proxy = Proxy::inbound(app);
    let mut client = Peer::connect(proxy.inbound).await;
    for _ in 0..3 {
        ask(&mut client, "").await;
        let mut server = upstream.accept().await;
        serve(&mut server, &[GOOD]).await;
        client.head().await;
        ask(&mut client, "").await;
        serve(&mut server, &[GOOD]).await;
        client.head().await;
        assert!(server.closed().await);
    }
}

#[tokio::test]
async fn a_connection_carries_so_many_streams() {
    let upstream = Upstream::bind().await;
    let mut app = cluster("app", HttpVersion::Http2, &[upstream.address]);
    app.circuit_breakers.connection.max_requests = Some(1);
    let proxy = Proxy::inbound(app);
    let mut client = Client2::connect(proxy.inbound).await;
    for status in [201, 202] {
        let (response, _) =
            client.sender.send_request(http::Request::get("http://a/").body(()).unwrap(), true).unwrap();
        let mut server = Server2::accept(&upstream).await;
        let (_request, mut respond) = server.request().await;
        respond.send_response(Response::builder().status(status).body(()).unwrap(), true).unwrap();
        assert_eq!(patient(response).await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn a_connection_carries_so_many_streams_at_once() {
    let upstream = Upstream::bind().await;
    let mut app = cluster("app", HttpVersion::Http2, &[upstream.address]);
    app.circuit_breakers.connection.max_streams = Some(1);
    let proxy = Proxy::inbound(app);
    let mut client = Client2::connect(proxy.inbound).await;
    let mut open = vec![];
    for status in [201, 202] {
        let request = http::Request::get("http://a/").body(()).unwrap();
        let (response, _) = client.sender.send_request(request, true).unwrap();
        // A connection for each, although the first one would take a hundred.
        let mut server = Server2::accept(&upstream).await;
        let (_request, respond) = server.request().await;
        open.push((response, server, respond, status));
    }
    for (response, _server, mut respond, status) in open {
        respond.send_response(Response::builder().status(status).body(()).unwrap(), true).unwrap();
        assert_eq!(patient(response).await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn a_connection_grows_so_old() {
    let upstream = Upstream::bind().await;
    let mut app = to(&[upstream.address]);
    app.circuit_breakers.connection.max_duration = Some(Duration::from_millis(100));
    let proxy = Proxy::inbound(app);
    let mut client = Peer::connect(proxy.inbound).await;
    ask(&mut client, "").await;
    let mut server = upstream.accept().await;
    serve(&mut server, &[GOOD]).await;
    client.head().await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    ask(&mut client, "").await;
    serve(&mut upstream.accept().await, &[GOOD]).await;
    client.head().await;
    assert!(server.closed().await, "idle and too old");
}

#[tokio::test]
async fn a_stream_ends_after_its_time_whatever_moves() {
    let upstream = Upstream::bind().await;
    let timeouts = Timeouts { stream: Some(Duration::from_millis(200)), ..Timeouts::default() };
    let forward = Forward { timeouts, ..forward_to(&[("app", 1)]) };
    let proxy = Proxy::routes(vec![to(&[upstream.address])], vec![route(RouteAction::Forward(forward))]);
    let mut client = Peer::connect(proxy.inbound).await;
    ask(&mut client, "").await;
    let (head, body) = client.message().await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    assert_eq!(body, "downstream duration timeout (DT)\n");
    let mut client = Peer::connect(proxy.inbound).await;
    ask(&mut client, "").await;
    let _first = upstream.accept().await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n").await;
    client.head().await;
    let moving = async {
        loop {
            server.send("x").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = moving => {}
        rest = client.rest() => assert!(rest.len() < 99, "{rest}"),
    }
}

#[tokio::test]
async fn an_attempt_that_falls_silent_gives_way_to_the_next() {
    let upstream = Upstream::bind().await;
    let timeouts = Timeouts { attempt_idle: Some(Duration::from_millis(100)), ..Timeouts::default() };
    let proxy = outbound(to(&[upstream.address]), Forward { timeouts, ..retrying(policy()) });
    let mut client = Peer::connect(proxy.outbound).await;
    ask(&mut client, "").await;
    let mut silent = upstream.accept().await;
    silent.head().await;
    let mut server = upstream.accept().await;
    serve(&mut server, &[GOOD]).await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    assert!(silent.closed().await);
}

#[tokio::test]
async fn a_caller_s_deadline_is_granted_as_far_as_the_route_does() {
    let upstream = Upstream::bind().await;
    let grpc = weir_model::GrpcTimeout { max: Some(Duration::from_secs(5)), offset: Duration::from_secs(1) };
    let timeouts = Timeouts { grpc, ..Timeouts::default() };
    let forward = Forward { timeouts, ..forward_to(&[("app", 1)]) };
    let app = cluster("app", HttpVersion::Http2, &[upstream.address]);
    let proxy = Proxy::routes(vec![app], vec![route(RouteAction::Forward(forward))]);
    let mut client = Client2::connect(proxy.inbound).await;
    let request = http::Request::post("http://a/s/m")
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "1H")
        .body(())
        .unwrap();
    let (_response, _) = client.sender.send_request(request, true).unwrap();
    let mut server = Server2::accept(&upstream).await;
    let (request, _respond) = server.request().await;
    let told = weir_decide_timeout(&request.headers()["grpc-timeout"]);
    assert!(told <= Duration::from_secs(4) && told > Duration::from_secs(3), "{told:?}");
}

/// As long as the eight digits and the unit say.
fn weir_decide_timeout(value: &http::HeaderValue) -> Duration {
    let text = value.to_str().unwrap();
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().unwrap();
    match unit {
        "n" => Duration::from_nanos(number),
        "u" => Duration::from_micros(number),
        "m" => Duration::from_millis(number),
        "S" => Duration::from_secs(number),
        other => panic!("{other}"),
    }
}

/// Hedges after 100 ms.
fn hedging(cluster: Cluster) -> Proxy {
    let timeouts = Timeouts { backend_request: Some(Duration::from_millis(100)), ..Timeouts::default() };
    outbound(cluster, Forward { timeouts, ..retrying(RetryPolicy { hedge: true, ..policy() }) })
}

#[tokio::test]
async fn the_first_answer_wins_and_the_other_attempt_is_given_up() {
    for slow_wins in [true, false] {
        let upstream = Upstream::bind().await;
        let proxy = hedging(to(&[upstream.address]));
        let mut client = Peer::connect(proxy.outbound).await;
        ask(&mut client, "").await;
        let mut slow = upstream.accept().await;
        slow.head().await;
        let mut second = upstream.accept().await;
        assert_eq!(field(&second.head().await, "x-weir-attempt"), Some("2"));
        assert_eq!(proxy.cluster("app").state.retries.load(Relaxed), 1, "it counts against the budget");
        let (winner, loser) = if slow_wins { (&mut slow, &mut second) } else { (&mut second, &mut slow) };
        winner.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfast").await;
        assert_eq!(client.message().await.1, "fast");
        assert!(loser.closed().await);
        let endpoint = proxy.cluster("app").endpoints[0].clone();
        eventually("nothing is in flight", || endpoint.active.load(Relaxed) == 0).await;
        // The connection that won is used again.
        ask(&mut client, "").await;
        serve(winner, &[GOOD]).await;
        assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn a_bad_answer_of_an_overtaken_attempt_counts_for_nothing() {
    let upstream = Upstream::bind().await;
    let proxy = hedging(to(&[upstream.address]));
    let mut client = Peer::connect(proxy.outbound).await;
    ask(&mut client, "").await;
    let mut slow = upstream.accept().await;
    slow.head().await;
    let mut second = upstream.accept().await;
    second.head().await;
    slow.send(FAILED).await;
    second.send(GOOD).await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn the_last_attempts_are_waited_for() {
    let upstream = Upstream::bind().await;
    let proxy = hedging(to(&[upstream.address]));
    let mut client = Peer::connect(proxy.outbound).await;
    ask(&mut client, "").await;
    let mut attempts = Vec::new();
    for _ in 0..3 {
        let mut attempt = upstream.accept().await;
        attempt.head().await;
        attempts.push(attempt);
    }
    // All of them are too slow, and there is no further one.
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(upstream.is_quiet().await);
    attempts[1].send(GOOD).await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    assert!(attempts.swap_remove(0).closed().await);
}

#[tokio::test]
async fn what_must_not_be_done_twice_is_not_hedged() {
    let upstream = Upstream::bind().await;
    let proxy = hedging(to(&[upstream.address]));
    let mut client = Peer::connect(proxy.outbound).await;
    client.send("POST / HTTP/1.1\r\nHost: app\r\ncontent-length: 0\r\n\r\n").await;
    let mut slow = upstream.accept().await;
    slow.head().await;
    let (head, body) = client.message().await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    assert_eq!(body, "upstream request timeout (UT)\n");
    assert!(upstream.is_quiet().await);
}

#[tokio::test]
async fn streams_are_hedged_too() {
    let upstream = Upstream::bind().await;
    let proxy = hedging(cluster("app", HttpVersion::Http2, &[upstream.address]));
    let mut client = Peer::connect(proxy.outbound).await;
    ask(&mut client, "").await;
    let mut server = Server2::accept(&upstream).await;
    let (_request, mut slow) = server.request().await;
    let (_request, mut second) = server.request().await;
    second.send_response(Response::builder().status(202).body(()).unwrap(), true).unwrap();
    assert!(client.head().await.starts_with("HTTP/1.1 202 "));
    let reset = patient(std::future::poll_fn(|cx| slow.poll_reset(cx))).await;
    assert_eq!(reset.unwrap(), h2::Reason::CANCEL);
}

/// A worker whose inbound listener has limits of its own.
fn limited(cluster: Cluster, limits: HttpLimits) -> Proxy {
    let mut proxy = Proxy::start();
    let mut listener = inbound_listener(proxy.inbound, vec![route(forward("app"))]);
    let ListenerKind::Http(http) = &mut listener.kind else { unreachable!() };
    http.limits = limits;
    proxy.publish(vec![Resource::Cluster(cluster), Resource::Listener(listener)], &[]);
    proxy
}

#[tokio::test]
async fn a_listener_s_connections_end_in_order_after_their_time() {
    let upstream = Upstream::answering("good").await;
    let connection = Some(Duration::from_millis(300));
    let proxy = limited(to(&[upstream.address]), HttpLimits { connection, ..HttpLimits::default() });
    let mut client = Peer::connect(proxy.inbound).await;
    ask(&mut client, "").await;
    assert_eq!(client.message().await.1, "good");
    assert!(client.closed().await);
    let mut client = Peer::connect(proxy.inbound).await;
    ask(&mut client, "").await;
    assert_eq!(client.message().await.1, "good");
}

#[tokio::test]
async fn a_listener_s_idle_connections_end_sooner_if_it_says_so() {
    let upstream = Upstream::answering("good").await;
    let idle = Some(Duration::from_millis(300));
    let proxy = limited(to(&[upstream.address]), HttpLimits { idle, ..HttpLimits::default() });
    let mut client = Peer::connect(proxy.inbound).await;
    ask(&mut client, "").await;
    assert_eq!(client.message().await.1, "good");
    assert!(client.closed().await);
}

#[tokio::test]
async fn a_listener_s_silent_streams_end() {
    let upstream = Upstream::bind().await;
    let stream_idle = Some(Duration::from_millis(100));
    let proxy = limited(to(&[upstream.address]), HttpLimits { stream_idle, ..HttpLimits::default() });
    let mut client = Peer::connect(proxy.inbound).await;
    ask(&mut client, "").await;
    let _silent = upstream.accept().await;
    let (head, body) = client.message().await;
    assert!(head.starts_with("HTTP/1.1 504 ") && body.ends_with("(SI)\n"), "{head}{body}");
}
