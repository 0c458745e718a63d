//! Retries, hedging, limits on time and circuit breakers as other control planes say them.

use super::*;
use pb::route::retry_policy::{
    RateLimitedRetryBackOff, ResetHeader, RetryHostPredicate, retry_host_predicate,
};
use pb::route::route_action::MaxStreamDuration;
use pb::route::{HedgePolicy, RetryPolicy, RouteAction as Action, VirtualHost as Host, route::Action as Of};
use std::time::Duration;
use weir_model::{CircuitBreakers, Forward, GrpcTimeout, Priority, ResetFormat};

const SECOND: Duration = Duration::from_secs(1);

/// A route with this action in a virtual host changed like that.
fn message(action: Action, change: impl Fn(&mut Host)) -> pb::google::Any {
    let mut message = super::super::route::encode(&routes(forward()), Target::Weir);
    let host = &mut message.virtual_hosts[0];
    host.routes[0].action = Some(Of::Route(action));
    change(host);
    wire::pack(&message)
}

fn base() -> Action {
    Action {
        cluster_specifier: Some(pb::route::route_action::ClusterSpecifier::Cluster("c".to_owned())),
        ..Action::default()
    }
}

fn read(action: Action, change: impl Fn(&mut Host)) -> Forward {
    let Ok(Resource::Route(mut decoded)) = decode(&message(action, change)) else { panic!() };
    let RouteAction::Forward(forward) = decoded.virtual_hosts.remove(0).routes.remove(0).action else {
        panic!()
    };
    forward
}

fn refused(action: Action, change: impl Fn(&mut Host)) -> String {
    decode(&message(action, change)).unwrap_err().field
}

fn on(words: &str) -> RetryPolicy {
    RetryPolicy { retry_on: words.to_owned(), ..RetryPolicy::default() }
}

fn retrying(policy: RetryPolicy) -> weir_model::RetryPolicy {
    read(Action { retry_policy: Some(policy), ..base() }, |_| {}).retry.unwrap()
}

#[test]
fn every_word_of_envoy_is_understood() {
    let words = |words: &str| retrying(on(words)).on;
    let unanswered =
        RetryOn { connect_failure: true, refused_stream: true, reset: true, ..RetryOn::default() };
    let statuses = |range: std::ops::RangeInclusive<u16>| {
        range.map(|status| StatusCode::from_u16(status).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(words("5xx"), RetryOn { statuses: statuses(500..=599), ..unanswered.clone() });
    assert_eq!(words("gateway-error"), RetryOn { statuses: statuses(502..=504), ..unanswered });
    assert_eq!(words("reset"), RetryOn { reset: true, ..RetryOn::default() });
    let connect = RetryOn { connect_failure: true, ..RetryOn::default() };
    assert_eq!(words("reset-before-request"), connect);
    assert_eq!(words("connect-failure"), connect);
    assert_eq!(words("refused-stream"), RetryOn { refused_stream: true, ..RetryOn::default() });
    assert_eq!(words("retriable-4xx"), RetryOn { statuses: statuses(409..=409), ..RetryOn::default() });
    assert_eq!(words("envoy-ratelimited"), RetryOn { rate_limited: true, ..RetryOn::default() });
    let grpc = words("cancelled, deadline-exceeded,internal,resource-exhausted,unavailable");
    assert_eq!(grpc, RetryOn { grpc: vec![1, 4, 8, 13, 14], ..RetryOn::default() });
    // What is listed counts only with its word.
    let listed = RetryPolicy { retriable_status_codes: vec![418], ..on("connect-failure") };
    assert_eq!(retrying(listed).on, connect);
    let listed = RetryPolicy { retriable_status_codes: vec![418], ..on("retriable-status-codes") };
    assert_eq!(retrying(listed).on.statuses, statuses(418..=418));
    let unknown = Action { retry_policy: Some(on("5xx,whatever")), ..base() };
    assert_eq!(refused(unknown, |_| {}), "virtual_hosts[0].routes[0].route.retry_policy.retry_on");
}

#[test]
fn header_conditions_are_of_any_kind() {
    let present = pb::route::HeaderMatcher { name: "x-again".to_owned(), ..Default::default() };
    let policy = RetryPolicy {
        retriable_headers: vec![present.clone()],
        retriable_request_headers: vec![present],
        ..on("retriable-headers")
    };
    let retry = retrying(policy);
    assert_eq!(retry.on.headers, retry.requests);
    assert_eq!(retry.requests[0].name, "x-again");
    let many = RetryPolicy {
        retriable_headers: vec![Default::default(); limits::RETRY_HEADERS + 1],
        ..on("retriable-headers")
    };
    let many = Action { retry_policy: Some(many), ..base() };
    assert_eq!(refused(many, |_| {}), "virtual_hosts[0].routes[0].route.retry_policy.retriable_headers");
}

#[test]
fn tried_endpoints_are_avoided_only_if_that_is_said() {
    assert!(!retrying(on("5xx")).avoid_tried);
    let predicate = |url: &str| RetryHostPredicate {
        name: "whatever".to_owned(),
        config_type: Some(retry_host_predicate::ConfigType::TypedConfig(pb::google::Any {
            type_url: format!("type.googleapis.com/envoy.extensions.retry.host.{url}"),
            value: Vec::new(),
        })),
    };
    let with = |url: &str| RetryPolicy {
        retry_host_predicate: vec![predicate(url)],
        host_selection_retry_max_attempts: 3,
        ..on("5xx")
    };
    assert!(retrying(with("previous_hosts.v3.PreviousHostsPredicate")).avoid_tried);
    let other = with("omit_canary_hosts.v3.OmitCanaryHostsPredicate");
    let field = refused(Action { retry_policy: Some(other), ..base() }, |_| {});
    let expected =
        "virtual_hosts[0].routes[0].route.retry_policy.retry_host_predicate[0].typed_config.type_url";
    assert_eq!(field, expected);
}

#[test]
fn waits_that_are_asked_for() {
    let header = |name: &str, format| ResetHeader { name: name.to_owned(), format };
    let with = |reset_headers| RetryPolicy {
        rate_limited_retry_back_off: Some(RateLimitedRetryBackOff { reset_headers, max_interval: None }),
        ..on("envoy-ratelimited")
    };
    let asked = retrying(with(vec![header("Retry-After", 0), header("X-RateLimit-Reset", 1)])).asked.unwrap();
    assert_eq!(asked.max, 300 * SECOND, "Envoy's default");
    let formats: Vec<_> = asked.fields.iter().map(|(name, format)| (name.as_str(), *format)).collect();
    assert_eq!(
        formats,
        [("retry-after", ResetFormat::Seconds), ("x-ratelimit-reset", ResetFormat::UnixTimestamp)]
    );
    assert_eq!(retrying(on("5xx")).asked, None);
    for (wrong, field) in [(vec![], "reset_headers"), (vec![header("a", 7)], "reset_headers[0].format")] {
        let action = Action { retry_policy: Some(with(wrong)), ..base() };
        let expected =
            format!("virtual_hosts[0].routes[0].route.retry_policy.rate_limited_retry_back_off.{field}");
        assert_eq!(refused(action, |_| {}), expected);
    }
}

#[test]
fn a_virtual_host_speaks_for_routes_that_do_not() {
    let host = |host: &mut Host| {
        host.retry_policy = Some(RetryPolicy {
            num_retries: wire::wrap(4),
            per_try_timeout: Some(wire::duration(SECOND)),
            ..on("5xx")
        });
        host.hedge_policy = Some(HedgePolicy { hedge_on_per_try_timeout: true, ..HedgePolicy::default() });
    };
    let inherited = read(base(), host);
    assert_eq!(inherited.timeouts.backend_request, Some(SECOND));
    let retry = inherited.retry.unwrap();
    assert_eq!((retry.attempts, retry.hedge), (4, true));
    let own =
        Action { retry_policy: Some(on("reset")), hedge_policy: Some(HedgePolicy::default()), ..base() };
    let own = read(own, host);
    assert_eq!(own.timeouts.backend_request, None, "one policy or the other, never a mixture");
    let retry = own.retry.unwrap();
    assert_eq!((retry.attempts, retry.hedge), (1, false));
    assert_eq!(
        refused(base(), |host| host.retry_policy = Some(on("whatever"))),
        "virtual_hosts[0].retry_policy.retry_on"
    );
}

#[test]
fn hedging_is_refused_where_weir_does_less() {
    let with = |hedge| Action { hedge_policy: Some(hedge), retry_policy: Some(on("5xx")), ..base() };
    let two = HedgePolicy { initial_requests: wire::wrap(2), ..HedgePolicy::default() };
    let field = "virtual_hosts[0].routes[0].route.hedge_policy";
    assert_eq!(refused(with(two), |_| {}), format!("{field}.initial_requests"));
    let chance = Some(pb::kind::FractionalPercent { numerator: 1, denominator: 0 });
    let more = HedgePolicy { additional_request_chance: chance, ..HedgePolicy::default() };
    assert_eq!(refused(with(more), |_| {}), format!("{field}.additional_request_chance"));
    let good =
        HedgePolicy { hedge_on_per_try_timeout: true, initial_requests: wire::wrap(1), ..Default::default() };
    assert!(read(with(good), |_| {}).retry.unwrap().hedge);
}

/// As Envoy's router has it: a route with a `max_stream_duration` has no `timeout`.
#[test]
fn the_limit_of_a_stream_replaces_that_of_the_request() {
    let with = |limit, timeout: Option<Duration>| {
        let action =
            Action { max_stream_duration: Some(limit), timeout: timeout.map(wire::duration), ..base() };
        read(action, |_| {}).timeouts
    };
    let limit =
        MaxStreamDuration { max_stream_duration: Some(wire::duration(60 * SECOND)), ..Default::default() };
    for timeout in [None, Some(SECOND)] {
        let timeouts = with(limit, timeout);
        assert_eq!((timeouts.request, timeouts.stream), (None, Some(60 * SECOND)));
    }
    let header = MaxStreamDuration {
        grpc_timeout_header_max: Some(wire::duration(5 * SECOND)),
        grpc_timeout_header_offset: Some(wire::duration(SECOND)),
        ..Default::default()
    };
    let timeouts = with(header, None);
    assert_eq!((timeouts.request, timeouts.stream), (None, None));
    assert_eq!(timeouts.grpc, GrpcTimeout { max: Some(5 * SECOND), offset: SECOND });
    let any = MaxStreamDuration { grpc_timeout_header_max: Some(Default::default()), ..Default::default() };
    assert_eq!(with(any, None).grpc.max, None, "zero is any");
    assert_eq!(read(base(), |_| {}).timeouts.request, Some(15 * SECOND));
}

#[test]
fn an_attempt_may_fall_silent_for_so_long() {
    let policy = RetryPolicy { per_try_idle_timeout: Some(wire::duration(SECOND)), ..on("5xx") };
    let forward = read(Action { retry_policy: Some(policy), priority: 1, ..base() }, |_| {});
    assert_eq!(forward.timeouts.attempt_idle, Some(SECOND));
    assert_eq!(forward.priority, Priority::High);
}

fn breakers(change: impl Fn(&mut pb::cluster::Cluster)) -> Result<CircuitBreakers, DecodeError> {
    let mut message = super::super::cluster::encode(&cluster());
    message.circuit_breakers = None;
    change(&mut message);
    decode(&wire::pack(&message)).map(|resource| match resource {
        Resource::Cluster(cluster) => cluster.circuit_breakers,
        other => panic!("{other:?}"),
    })
}

#[test]
#[allow(deprecated, reason = "older control planes still say it there")]
fn breakers_are_those_of_each_priority() {
    use pb::cluster::CircuitBreakers as Message;
    use pb::cluster::circuit_breakers::Thresholds;
    let unsaid = breakers(|_| {}).unwrap();
    assert_eq!((unsaid.max_requests, unsaid.retry_budget.min_concurrency), (1024, 3));
    assert_eq!((unsaid.high.max_requests, unsaid.high.retry_budget.parts_per_million), (1024, 0));
    let said = breakers(|message| {
        let of = |priority, count| Thresholds {
            priority,
            max_requests: wire::wrap(count),
            max_retries: wire::wrap(count + 1),
            track_remaining: true,
            ..Default::default()
        };
        let endpoint = Thresholds { max_connections: wire::wrap(5), ..Default::default() };
        let thresholds = vec![of(1, 7), of(0, 9), of(0, 11)];
        message.circuit_breakers = Some(Message { thresholds, per_host_thresholds: vec![endpoint] });
        message.max_requests_per_connection = wire::wrap(100);
    })
    .unwrap();
    assert_eq!((said.max_requests, said.high.max_requests), (9, 7), "the first of a priority");
    assert_eq!((said.retry_budget.min_concurrency, said.high.retry_budget.min_concurrency), (10, 8));
    assert_eq!(said.max_endpoint_connections, Some(5));
    assert_eq!(said.connection.max_requests, Some(100));
    let wrong = breakers(|message| {
        let endpoint = Thresholds { max_requests: wire::wrap(5), ..Default::default() };
        message.circuit_breakers =
            Some(Message { per_host_thresholds: vec![endpoint], ..Default::default() });
    });
    assert_eq!(wrong.unwrap_err().field, "circuit_breakers.per_host_thresholds[0].max_requests");
}

#[test]
fn streams_of_a_connection_are_counted_and_other_options_refused() {
    use pb::core::{Http2ProtocolOptions, KeepaliveSettings};
    use pb::upstreams::HttpProtocolOptions;
    use pb::upstreams::http_protocol_options::explicit_http_config::ProtocolConfig;
    use pb::upstreams::http_protocol_options::{ExplicitHttpConfig, UpstreamProtocolOptions};
    let read = |http2: Http2ProtocolOptions| {
        breakers(|message| {
            let protocol_config = Some(ProtocolConfig::Http2ProtocolOptions(http2.clone()));
            let explicit =
                UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig { protocol_config });
            let options =
                HttpProtocolOptions { upstream_protocol_options: Some(explicit), ..Default::default() };
            message.typed_extension_protocol_options =
                [(HttpProtocolOptions::full_name(), wire::pack(&options))].into();
        })
    };
    let streams =
        |count| Http2ProtocolOptions { max_concurrent_streams: wire::wrap(count), ..Default::default() };
    assert_eq!(read(streams(7)).unwrap().connection.max_streams, Some(7));
    assert_eq!(read(Http2ProtocolOptions::default()).unwrap().connection.max_streams, None);
    assert!(read(streams(0)).unwrap_err().field.ends_with("http2_protocol_options.max_concurrent_streams"));
    let asked = Some(KeepaliveSettings::default());
    let asked = Http2ProtocolOptions { connection_keepalive: asked, ..Default::default() };
    assert!(read(asked).unwrap_err().field.ends_with("http2_protocol_options.connection_keepalive"));
}

#[test]
fn a_listener_limits_what_its_routes_leave_open() {
    use pb::hcm::HttpConnectionManager;
    let read = |change: &dyn Fn(&mut HttpConnectionManager)| {
        let routes = weir_model::RouteSource::Rds("outbound".to_owned());
        let http = weir_model::HttpListener {
            manner: None,
            routes,
            tracing: None,
            access_log: None,
            filters: None,
            paths: weir_model::Paths::BASE,
            forwarded: weir_model::Forwarded::Pass,
            detection: None,
            limits: weir_model::HttpLimits::default(),
        };
        let mut manager = super::super::http::encode("x", &http, Target::Weir);
        change(&mut manager);
        super::super::http::decode(&manager).map(|http| http.limits).map_err(|fault| fault.path)
    };
    assert_eq!(read(&|_| {}), Ok(weir_model::HttpLimits::default()));
    let unsaid = read(&|it| it.stream_idle_timeout = None).unwrap();
    assert_eq!(unsaid.stream_idle, Some(300 * SECOND), "Envoy's default");
    let said = read(&|it| {
        it.common_http_protocol_options = Some(pb::core::HttpProtocolOptions {
            idle_timeout: Some(wire::duration(SECOND)),
            max_stream_duration: Some(wire::duration(2 * SECOND)),
            max_connection_duration: Some(wire::duration(3 * SECOND)),
            ..Default::default()
        });
    })
    .unwrap();
    let expected = (Some(SECOND), Some(2 * SECOND), Some(3 * SECOND));
    assert_eq!((said.idle, said.stream, said.connection), expected);
    let fields = |most| {
        read(&|it| {
            let max_headers_count = wire::wrap(most);
            it.common_http_protocol_options =
                Some(pb::core::HttpProtocolOptions { max_headers_count, ..Default::default() });
        })
    };
    assert_eq!(fields(5).unwrap().head_fields, Some(5));
    assert_eq!(fields(4097), Err("common_http_protocol_options.max_headers_count".to_owned()));
    let silent = read_idle(Some(Duration::ZERO));
    assert_eq!((silent, read_idle(None)), (Some(Duration::ZERO), None), "none at all is not the listener's");
}

fn read_idle(idle: Option<Duration>) -> Option<Duration> {
    read(Action { idle_timeout: idle.map(wire::duration), ..base() }, |_| {}).timeouts.idle
}
