//! What is done with requests before they go anywhere: limits, faults, CORS.

use crate::support::*;
use http::{HeaderValue, StatusCode};
use std::time::Duration;
use tokio::time::Instant;
use weir_model::{
    Abort, AbortAnswer, Cors, Delay, DirectResponse, Fault, Filters, Fraction, HeaderMatch, HttpVersion,
    KeyedLimit, LimitKey, Listener, ListenerKind, PathMatch, RateLimits, Resource, Route, RouteAction,
    StringMatch, TokenBucket,
};
use weir_proxy::TelemetryArgs;
use weir_telemetry::metrics::Registry;

const ALL: Fraction = Fraction(1_000_000);

fn bucket(burst: u32, requests: u32, interval: Duration) -> TokenBucket {
    TokenBucket { burst, requests, interval }
}

fn limits(all: Option<TokenBucket>, keyed: Vec<KeyedLimit>) -> RateLimits {
    RateLimits { name: "default/guard".to_owned(), all, keyed, ..RateLimits::default() }
}

fn limited(limits: RateLimits) -> Filters {
    Filters { limits: Some(limits), ..Filters::default() }
}

fn filtered(filters: Filters) -> Route {
    Route { filters: Some(Box::new(filters)), ..route(forward("app")) }
}

async fn ask(client: &mut Peer, fields: &str) -> (String, String) {
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
    client.message().await
}

fn app(upstream: &Answering) -> weir_model::Cluster {
    cluster("app", HttpVersion::Http1, &[upstream.address])
}

#[tokio::test]
async fn what_exceeds_a_limit_is_told_when_to_come_back() {
    let upstream = Upstream::answering("ok").await;
    let limits = limits(Some(bucket(3, 1, Duration::from_secs(20))), vec![]);
    let registry = Registry::new();
    let telemetry = TelemetryArgs { registry: registry.clone(), ..TelemetryArgs::disabled() };
    let mut proxy = Proxy::with(true, telemetry);
    proxy.publish_inbound(vec![app(&upstream)], vec![filtered(limited(limits))]);
    // Of all connections together.
    for _ in 0..3 {
        let mut client = Peer::connect(proxy.inbound).await;
        assert!(ask(&mut client, "").await.0.starts_with("HTTP/1.1 200 "));
    }
    let mut client = Peer::connect(proxy.inbound).await;
    let (head, body) = ask(&mut client, "").await;
    assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
    assert!(body.ends_with("(RL)\n"), "{body}");
    let wait: u64 = field(&head, "retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{head}");
    assert_eq!(field(&head, "ratelimit-policy"), Some("\"default/guard\";q=3;w=60"));
    assert_eq!(field(&head, "ratelimit"), Some(format!("\"default/guard\";r=0;t={wait}").as_str()));
    eventually("the flag is counted", || {
        let metrics = registry.render_prometheus();
        metrics.lines().any(|line| {
            line.contains("weir_response_flags_total") && line.contains("flag=\"RL\"") && line.ends_with(" 1")
        })
    })
    .await;
}

#[tokio::test]
async fn tokens_come_back() {
    let upstream = Upstream::answering("ok").await;
    let limits = limits(Some(bucket(1, 10, Duration::from_secs(1))), vec![]);
    let proxy = Proxy::routes(vec![app(&upstream)], vec![filtered(limited(limits))]);
    let mut client = Peer::connect(proxy.inbound).await;
    assert!(ask(&mut client, "").await.0.starts_with("HTTP/1.1 200 "));
    let begun = Instant::now();
    let mut passed = 0;
    while begun.elapsed() < Duration::from_millis(1000) {
        passed += usize::from(ask(&mut client, "").await.0.starts_with("HTTP/1.1 200 "));
    }
    let possible = begun.elapsed().as_millis() as usize / 100;
    assert!((1..=possible).contains(&passed), "{passed} of {possible}");
}

#[tokio::test]
async fn values_of_a_field_are_limited_apart() {
    let upstream = Upstream::answering("ok").await;
    let by_user = KeyedLimit {
        key: LimitKey::Header("x-user".parse().unwrap()),
        bucket: bucket(2, 1, Duration::from_secs(3600)),
    };
    let proxy = Proxy::routes(vec![app(&upstream)], vec![filtered(limited(limits(None, vec![by_user])))]);
    let mut client = Peer::connect(proxy.inbound).await;
    for user in ["anna", "bert", "carl"] {
        let field = format!("X-User: {user}\r\n");
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(ask(&mut client, &field).await.0[9..12].to_owned());
        }
        assert_eq!(statuses, ["200", "200", "429"], "{user}");
    }
    // Nobody's is nobody's.
    for _ in 0..5 {
        assert!(ask(&mut client, "").await.0.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn an_address_is_limited_whatever_its_ports() {
    let upstream = Upstream::answering("ok").await;
    let by_address =
        KeyedLimit { key: LimitKey::SourceAddress, bucket: bucket(1, 1, Duration::from_secs(3600)) };
    let proxy = Proxy::routes(vec![app(&upstream)], vec![filtered(limited(limits(None, vec![by_address])))]);
    let mut first = Peer::connect(proxy.inbound).await;
    assert!(ask(&mut first, "").await.0.starts_with("HTTP/1.1 200 "));
    let mut second = Peer::connect(proxy.inbound).await;
    assert!(ask(&mut second, "").await.0.starts_with("HTTP/1.1 429 "));
}

#[tokio::test]
async fn callers_of_grpc_are_told_in_its_words() {
    let upstream = Upstream::bind().await;
    let limits =
        RateLimits { exhausted: true, ..limits(Some(bucket(1, 1, Duration::from_secs(3600))), vec![]) };
    let clusters = vec![cluster("app", HttpVersion::Http2, &[upstream.address])];
    let proxy = Proxy::routes(clusters, vec![filtered(limited(limits))]);
    let mut client = Peer::connect(proxy.inbound).await;
    let call =
        "POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n";
    client.send(call).await;
    let (_request, _respond) = Server2::accept(&upstream).await.request().await;
    let mut client = Peer::connect(proxy.inbound).await;
    client.send(call).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(field(&head, "grpc-status"), Some("8"));
    assert!(field(&head, "retry-after").is_some());
}

#[tokio::test]
async fn a_bucket_outlives_a_change_of_other_things() {
    let upstream = Upstream::answering("ok").await;
    let mut proxy = Proxy::start();
    let route = filtered(limited(limits(Some(bucket(1, 1, Duration::from_secs(3600))), vec![])));
    proxy.publish_inbound(vec![app(&upstream)], vec![route.clone()]);
    let mut client = Peer::connect(proxy.inbound).await;
    assert!(ask(&mut client, "").await.0.starts_with("HTTP/1.1 200 "));
    let other = Route { name: "another".to_owned(), ..crate::support::route(forward("app")) };
    proxy.publish_inbound(vec![app(&upstream)], vec![route, other]);
    let mut client = Peer::connect(proxy.inbound).await;
    assert!(ask(&mut client, "").await.0.starts_with("HTTP/1.1 429 "));
}

#[tokio::test]
async fn routes_come_before_their_listener() {
    let upstream = Upstream::answering("ok").await;
    let mut proxy = Proxy::start();
    let none = limits(Some(bucket(1, 1, Duration::from_secs(3600))), vec![]);
    let exempt = Filters { limits: Some(RateLimits::default()), ..Filters::default() };
    let matching = |path: &str, route: Route| Route {
        matches: weir_model::RouteMatch {
            path: weir_model::PathMatch::Exact(path.to_owned()),
            ..weir_model::RouteMatch::default()
        },
        ..route
    };
    let routes = vec![matching("/free", filtered(exempt)), matching("/", route(forward("app")))];
    let mut listener = inbound_listener(proxy.inbound, routes);
    if let Listener { kind: ListenerKind::Http(http), .. } = &mut listener {
        http.filters = Some(Box::new(limited(none)));
    }
    proxy.publish(vec![Resource::Cluster(app(&upstream)), Resource::Listener(listener)], &[]);
    let mut client = Peer::connect(proxy.inbound).await;
    for _ in 0..3 {
        client.send("GET /free HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(client.message().await.0.starts_with("HTTP/1.1 200 "));
    }
    assert!(ask(&mut client, "").await.0.starts_with("HTTP/1.1 200 "));
    assert!(ask(&mut client, "").await.0.starts_with("HTTP/1.1 429 "));
}

fn faulty(delay: Option<Delay>, abort: Option<Abort>) -> Filters {
    let name = "x-fail".parse().unwrap();
    let headers = vec![HeaderMatch { name, value: StringMatch::Present }];
    Filters { fault: Some(Fault { headers, delay, abort }), ..Filters::default() }
}

#[tokio::test]
async fn requests_fail_on_purpose_and_only_those_that_are_meant() {
    let upstream = Upstream::answering("ok").await;
    let teapot = Abort { answer: AbortAnswer::Http(StatusCode::IM_A_TEAPOT), fraction: ALL };
    let proxy = Proxy::routes(vec![app(&upstream)], vec![filtered(faulty(None, Some(teapot)))]);
    let mut client = Peer::connect(proxy.inbound).await;
    assert!(ask(&mut client, "").await.0.starts_with("HTTP/1.1 200 "));
    let (head, body) = ask(&mut client, "X-Fail: 1\r\n").await;
    assert!(head.starts_with("HTTP/1.1 418 ") && body.ends_with("(FI)\n"), "{head}{body}");
    assert!(ask(&mut client, "").await.0.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_status_of_grpc_is_said_to_others_in_http() {
    let upstream = Upstream::answering("ok").await;
    let abort = Abort { answer: AbortAnswer::Grpc(14), fraction: ALL };
    let proxy = Proxy::routes(vec![app(&upstream)], vec![filtered(faulty(None, Some(abort)))]);
    let mut client = Peer::connect(proxy.inbound).await;
    assert!(ask(&mut client, "X-Fail: 1\r\n").await.0.starts_with("HTTP/1.1 503 "));
    client
        .send("POST /a.B/C HTTP/1.1\r\nHost: a\r\nX-Fail: 1\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n")
        .await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200 ") && field(&head, "grpc-status") == Some("14"), "{head}");
}

#[tokio::test]
async fn requests_wait_on_purpose_and_their_timeout_begins_afterwards() {
    let upstream = Upstream::answering("ok").await;
    let delay = Delay { duration: Duration::from_millis(600), fraction: ALL };
    let mut timed = forward_to(&[("app", 1)]);
    timed.timeouts.request = Some(Duration::from_millis(500));
    let route = Route {
        filters: Some(Box::new(faulty(Some(delay), None))),
        ..route(weir_model::RouteAction::Forward(timed))
    };
    let registry = Registry::new();
    let telemetry = TelemetryArgs { registry: registry.clone(), ..TelemetryArgs::disabled() };
    let mut proxy = Proxy::with(true, telemetry);
    proxy.publish_inbound(vec![app(&upstream)], vec![route]);
    let mut client = Peer::connect(proxy.inbound).await;
    let begun = Instant::now();
    assert!(ask(&mut client, "X-Fail: 1\r\n").await.0.starts_with("HTTP/1.1 200 "));
    assert!(begun.elapsed() >= Duration::from_millis(600));
    eventually("the flag is counted", || {
        let metrics = registry.render_prometheus();
        metrics.lines().any(|line| {
            line.contains("weir_response_flags_total") && line.contains("flag=\"DI\"") && line.ends_with(" 1")
        })
    })
    .await;
}

fn cors() -> Filters {
    let cors = Cors {
        origins: vec![StringMatch::Exact("https://shop.example".to_owned())],
        methods: vec![http::Method::PUT],
        headers: vec!["x-cart".parse().unwrap()],
        expose: vec!["x-total".parse().unwrap()],
        max_age: Some(Duration::from_secs(60)),
        credentials: true,
    };
    Filters { cors: Some(cors), ..Filters::default() }
}

#[tokio::test]
async fn preflights_are_answered_here() {
    let upstream = Upstream::bind().await;
    let clusters = vec![cluster("app", HttpVersion::Http1, &[upstream.address])];
    let proxy = Proxy::routes(clusters, vec![filtered(cors())]);
    let mut client = Peer::connect(proxy.inbound).await;
    client
        .send("OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://shop.example\r\nAccess-Control-Request-Method: PUT\r\n\r\n")
        .await;
    let (head, body) = client.message().await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body.is_empty(), "{head}");
    assert_eq!(field(&head, "access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(field(&head, "access-control-allow-methods"), Some("PUT"));
    assert_eq!(field(&head, "access-control-allow-credentials"), Some("true"));
    assert_eq!(field(&head, "access-control-max-age"), Some("60"));
    assert!(upstream.is_quiet().await);
}

#[tokio::test]
async fn answers_say_who_may_read_them_even_refusals() {
    let upstream = Upstream::answering("ok").await;
    let filters = Filters {
        limits: limited(limits(Some(bucket(2, 1, Duration::from_secs(3600))), vec![])).limits,
        ..cors()
    };
    let proxy = Proxy::routes(vec![app(&upstream)], vec![filtered(filters)]);
    let mut client = Peer::connect(proxy.inbound).await;
    let (head, _) = ask(&mut client, "Origin: https://shop.example\r\n").await;
    assert_eq!(field(&head, "access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(field(&head, "access-control-expose-headers"), Some("x-total"));
    let (head, _) = ask(&mut client, "Origin: https://evil.example\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && field(&head, "access-control-allow-origin").is_none());
    let (head, _) = ask(&mut client, "Origin: https://shop.example\r\n").await;
    assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
    assert_eq!(field(&head, "access-control-allow-origin"), Some("https://shop.example"));
}

/// The matches of one rule are routes of their own with the same limits.
#[tokio::test]
async fn routes_that_share_a_limit_count_together_and_others_apart() {
    for (shared, statuses) in [(true, ["200", "429", "429"]), (false, ["200", "200", "429"])] {
        let upstream = Upstream::answering("ok").await;
        let one = RateLimits { shared, ..limits(Some(bucket(1, 1, Duration::from_secs(3600))), vec![]) };
        let mut routes: Vec<Route> = ["/search", "/find"]
            .into_iter()
            .map(|path| {
                let mut route = filtered(limited(one.clone()));
                route.name = format!("rule 0 match {path}");
                route.matches.path = PathMatch::Exact(path.to_owned());
                route
            })
            .collect();
        routes.push(route(forward("app")));
        let proxy = Proxy::routes(vec![app(&upstream)], routes);
        let mut client = Peer::connect(proxy.inbound).await;
        let mut found = Vec::new();
        for path in ["/search", "/find", "/search"] {
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            found.push(client.message().await.0[9..12].to_owned());
        }
        assert_eq!(found, statuses, "shared: {shared}");
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(client.message().await.0.starts_with("HTTP/1.1 200 "), "what has no limit has none");
    }
}

/// What a route says of the body of its own answer holds where there is one.
#[tokio::test]
async fn an_answer_of_a_routes_own_says_what_its_body_is() {
    for (body, kind) in [("{}", Some("application/json")), ("", None)] {
        let answer = DirectResponse { status: StatusCode::OK, body: body.to_owned() };
        let mut answering = route(RouteAction::Direct(answer));
        let json = HeaderValue::from_static("application/json");
        answering.response_headers.set.push((http::header::CONTENT_TYPE, json));
        let proxy = Proxy::routes(vec![], vec![answering]);
        let mut client = Peer::connect(proxy.inbound).await;
        let (head, said) = ask(&mut client, "").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!((said.as_str(), field(&head, "content-type")), (body, kind), "{head}");
    }
}
