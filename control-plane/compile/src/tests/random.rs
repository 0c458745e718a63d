//! Random meshes and nodes: few of everything, so that references often meet, and with values that no validation would let through.

use http::{Method, StatusCode};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use weir_model::mesh::*;
use weir_model::node::{Inbound, Target};
use weir_model::*;

pub(super) fn namespace() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("svc")].prop_map(str::to_owned)
}

fn name() -> impl Strategy<Value = Name> {
    (
        namespace(),
        prop_oneof![4 => Just("x"), 4 => Just("y"), 2 => Just("z"), 1 => Just("x.b"), 1 => Just("")],
    )
        .prop_map(|(namespace, name)| Name::new(namespace, name))
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![Just(80), Just(90), Just(91), Just(0), Just(u16::MAX)]
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map("[ab]", "[12]", 0..3)
}

fn service() -> impl Strategy<Value = Service> {
    let protocol = prop_oneof![
        Just(AppProtocol::Unspecified),
        Just(AppProtocol::Http),
        Just(AppProtocol::Http2),
        Just(AppProtocol::Grpc),
        Just(AppProtocol::Tcp)
    ];
    let target = prop_oneof![port().prop_map(TargetPort::Number), "[pq]?".prop_map(TargetPort::Named)];
    let ports = vec(
        ("[pq]?", port(), target, protocol).prop_map(|(name, port, target, protocol)| ServicePort {
            name,
            port,
            target,
            protocol,
        }),
        0..4,
    );
    let distribution = of(prop_oneof![Just(Distribution::SameZone), Just(Distribution::SameNode)]);
    (labels(), ports, distribution).prop_map(|(selector, ports, distribution)| Service {
        selector,
        ports,
        distribution,
    })
}

fn address() -> impl Strategy<Value = SocketAddr> {
    (0..4u8, port()).prop_map(|(host, port)| SocketAddr::from(([10, 0, 0, host], port)))
}

fn workload() -> impl Strategy<Value = Workload> {
    let weight = prop_oneof![1..9u32, Just(0), Just(u32::MAX)];
    let ports = vec(
        ("[pq]?", port(), address()).prop_map(|(name, number, address)| WorkloadPort {
            name,
            number,
            address,
        }),
        0..3,
    );
    let locality =
        prop_oneof![Just(Locality::default()), Just("eu/1/a".parse().unwrap()), Just("us".parse().unwrap())];
    (labels(), locality, weight, ports, any::<bool>()).prop_map(|(labels, locality, weight, ports, ready)| {
        Workload { labels, locality, weight, ports, ready }
    })
}

fn path() -> impl Strategy<Value = PathMatch> {
    prop_oneof![
        Just(PathMatch::default()),
        "/[ab](/[ab])?".prop_map(PathMatch::Prefix),
        "/[ab]".prop_map(PathMatch::Exact),
        Just(PathMatch::Regex("/.*".to_owned())),
    ]
}

fn mutation() -> impl Strategy<Value = HeaderMutation> {
    let header = (HeaderName::from_static("x-a"), HeaderValue::from_static("1"));
    prop_oneof![
        3 => Just(HeaderMutation::default()).boxed(),
        1 => Just(HeaderMutation { set: vec![header], ..HeaderMutation::default() }).boxed()
    ]
}

fn matches() -> impl Strategy<Value = RouteMatch> {
    let method = of(prop_oneof![Just(Method::GET), Just(Method::POST)]);
    let query = vec("[ab]".prop_map(|name| QueryMatch { name, value: StringMatch::Present }), 0..2);
    let headers =
        vec(Just(HeaderMatch { name: HeaderName::from_static("x-b"), value: StringMatch::Present }), 0..2);
    (path(), method, headers, query).prop_map(|(path, method, headers, query)| RouteMatch {
        path,
        method,
        headers,
        query,
        fraction: None,
        more: None,
    })
}

fn filters() -> impl Strategy<Value = HttpFilters> {
    let rewrite = || {
        of(prop_oneof![Just(PathRewrite::Full("/n".to_owned())), Just(PathRewrite::Prefix("/n".to_owned()))])
    };
    let redirect = of(rewrite().prop_map(|path| Redirect {
        scheme: None,
        host: None,
        port: None,
        path,
        status: StatusCode::FOUND,
        strip_query: false,
    }));
    let mirror = (name(), port(), 0..=1_000_000u32).prop_map(|(service, port, parts)| MirrorFilter {
        target: BackendTarget { service, port },
        fraction: weir_model::Fraction(parts),
    });
    let cors = Just(CorsFilter {
        origins: vec!["https://*.a.b".to_owned()],
        methods: vec![Method::GET],
        headers: Vec::new(),
        expose: Vec::new(),
        max_age: Duration::from_secs(5),
        credentials: true,
    });
    (
        mutation(),
        mutation(),
        redirect,
        of("[ab]"),
        rewrite(),
        (vec(mirror, 0..3), of(cors), vec(name(), 0..2)),
    )
        .prop_map(
            |(
                request_headers,
                response_headers,
                redirect,
                rewrite_host,
                rewrite_path,
                (mirrors, cors, extensions),
            )| {
                HttpFilters {
                    request_headers,
                    response_headers,
                    redirect,
                    rewrite_host,
                    rewrite_path,
                    mirrors,
                    cors,
                    extensions,
                }
            },
        )
}

fn retry() -> impl Strategy<Value = RetryPolicy> {
    let on = (any::<bool>(), vec(Just(StatusCode::BAD_GATEWAY), 0..2), vec(Just(14u8), 0..2)).prop_map(
        |(connect_failure, statuses, grpc)| RetryOn { connect_failure, statuses, grpc, ..RetryOn::default() },
    );
    (0..20u32, on).prop_map(|(attempts, on)| RetryPolicy { attempts, on, ..RetryPolicy::default() })
}

fn timeouts() -> impl Strategy<Value = Timeouts> {
    let limit = || of(prop_oneof![Just(Duration::ZERO), Just(Duration::from_secs(1))]);
    (limit(), limit(), limit(), limit()).prop_map(|(request, backend_request, idle, stream)| Timeouts {
        request,
        backend_request,
        idle,
        stream,
        ..Timeouts::default()
    })
}

fn rule() -> impl Strategy<Value = HttpRule> {
    let weight = prop_oneof![4 => 0..10u32, 1 => Just(u32::MAX), 1 => Just(1_000_000)];
    let backend = (name(), port(), weight, filters()).prop_map(|(service, port, weight, filters)| Backend {
        target: BackendTarget { service, port },
        weight,
        filters,
    });
    let plain = filters().prop_map(|filters| HttpFilters { redirect: None, ..filters });
    let filters = prop_oneof![3 => plain.boxed(), 1 => filters().boxed()];
    (vec(matches(), 0..3), filters, vec(backend, 0..5), timeouts(), of(retry()), of(session())).prop_map(
        |(matches, filters, backends, timeouts, retry, session)| HttpRule {
            name: String::new(),
            matches,
            filters,
            backends,
            timeouts,
            retry,
            session,
        },
    )
}

fn parent() -> impl Strategy<Value = ParentRef> {
    (name(), of(port())).prop_map(|(service, port)| ParentRef { service, port })
}

fn cookie() -> Cookie {
    Cookie { name: "c".to_owned(), ttl: Some(Duration::ZERO), path: "/".to_owned(), attributes: Vec::new() }
}

fn session() -> impl Strategy<Value = Session> {
    any::<bool>().prop_map(|strict| Session { cookie: cookie(), strict })
}

fn affinity() -> impl Strategy<Value = AffinityPolicy> {
    let source = || {
        prop_oneof![
            Just(HashSource::Header(HeaderName::from_static("x-c"))),
            Just(HashSource::Cookie(cookie())),
            Just(HashSource::SourceAddress),
            Just(HashSource::Query("q".to_owned())),
        ]
    };
    let near = prop_oneof![Just(Near::Zone), Just(Near::Region)];
    let failover = (near, of(100..200u32))
        .prop_map(|(prefer, overprovisioning)| LocalityFailover { prefer, overprovisioning });
    (of(source()), of(source()), of(session()), of(failover))
        .prop_map(|(hash, sticky, session, failover)| AffinityPolicy { hash, sticky, session, failover })
}

fn policy() -> impl Strategy<Value = TrafficPolicy> {
    let balancing = prop_oneof![
        Just(LoadBalancing::Random),
        Just(LoadBalancing::PeakEwma {
            decay: Duration::from_secs(1),
            default_rtt: Duration::from_millis(1)
        }),
        Just(LoadBalancing::RingHash(RingSize { minimum: Some(9), maximum: None })),
        Just(LoadBalancing::Maglev { table_size: None }),
    ];
    let breakers = Just(CircuitBreakers { max_pending: 1, ..CircuitBreakers::default() });
    (
        btree_set(parent(), 0..3),
        of(balancing),
        of(Just(Duration::from_secs(2))),
        timeouts(),
        of(retry()),
        of(breakers),
        (health(), affinity(), actions()),
        0..3u64,
    )
        .prop_map(
            |(
                targets,
                load_balancing,
                connect_timeout,
                timeouts,
                retry,
                circuit_breakers,
                (health, affinity, actions),
                created_millis,
            )| TrafficPolicy {
                targets,
                load_balancing,
                connect_timeout,
                timeouts,
                retry,
                circuit_breakers,
                health,
                affinity,
                actions,
                created_millis,
            },
        )
}

fn actions() -> impl Strategy<Value = ActionPolicy> {
    let abort = Abort { answer: AbortAnswer::Grpc(14), fraction: weir_model::Fraction(1) };
    let fault = Fault { abort: Some(abort), ..Fault::default() };
    let fallback = prop_oneof![
        (name(), port()).prop_map(|(service, port)| FallbackPolicy::Backend(BackendTarget { service, port })),
        Just(FallbackPolicy::Response(words())),
    ];
    (admission(), of(Just(fault)), of(fallback), of(1..9u32)).prop_map(
        |(limits, fault, fallback, max_request_bytes)| ActionPolicy {
            limits,
            fault,
            fallback,
            max_request_bytes,
        },
    )
}

fn health() -> impl Strategy<Value = HealthPolicy> {
    let probe = Probe::Grpc { service: String::new(), authority: String::new() };
    let second = Duration::from_secs(1);
    (
        of(Just(OutlierDetection::default())),
        of(Just(HealthCheck::new(probe, second, second, 2, 2))),
        of(0..=100u32),
        of(Just(SlowStart::new(second))),
    )
        .prop_map(|(outlier_detection, health_check, panic_threshold, slow_start)| HealthPolicy {
            outlier_detection,
            health_check,
            panic_threshold,
            slow_start,
        })
}

fn stream(tls: bool) -> impl Strategy<Value = StreamRoute> {
    let backend = (name(), port(), 0..3u32).prop_map(|(service, port, weight)| StreamBackend {
        target: BackendTarget { service, port },
        weight,
    });
    let host =
        prop_oneof![Just("a.example.com"), Just("*.example.com"), Just("*.com")].prop_map(str::to_owned);
    let hosts = if tls { 0..3 } else { 0..1 };
    (vec(parent(), 0..3), btree_set(host, hosts), vec(backend, 1..3), 0..3u64).prop_map(
        |(parents, hostnames, backends, created_millis)| StreamRoute {
            parents,
            hostnames: hostnames.into_iter().collect(),
            backends,
            created_millis,
        },
    )
}

pub(super) fn mesh() -> impl Strategy<Value = Mesh> {
    let route = (vec(parent(), 0..3), vec(rule(), 0..4), 0..3u64)
        .prop_map(|(parents, rules, created_millis)| HttpRoute { parents, rules, created_millis });
    let (services, workloads) = (btree_map(name(), service(), 0..8), btree_map(name(), workload(), 0..8));
    let routes = (btree_map(route_name(), route, 0..5), btree_map(name(), route_filter(), 0..6));
    let streams = (btree_map(name(), stream(true), 0..3), btree_map(name(), stream(false), 0..3));
    (services, workloads, routes, streams, btree_map(name(), policy(), 0..4)).prop_map(
        |(services, workloads, (http_routes, route_filters), (tls_routes, tcp_routes), traffic_policies)| {
            Mesh { services, workloads, http_routes, traffic_policies, route_filters, tls_routes, tcp_routes }
        },
    )
}

fn limits() -> RateLimits {
    let bucket = TokenBucket { burst: 1, requests: 1, interval: Duration::from_secs(1) };
    RateLimits { name: "l".to_owned(), all: Some(bucket), ..RateLimits::default() }
}

fn words() -> StaticAnswer {
    let response = DirectResponse { status: StatusCode::OK, body: "later".to_owned() };
    StaticAnswer { response, content_type: Some(HeaderValue::from_static("text/css")) }
}

fn admission() -> impl Strategy<Value = AdmissionPolicy> {
    (of(Just(limits())), of(Just(limits()))).prop_map(|(service, caller)| AdmissionPolicy { service, caller })
}

fn route_filter() -> impl Strategy<Value = RouteFilter> {
    let namespaces = btree_set(namespace(), 0..2);
    let caller = (namespaces, of(labels())).prop_map(|(namespaces, labels)| Caller {
        namespaces,
        labels: labels.unwrap_or_default(),
        ..Caller::default()
    });
    let priority = of(prop_oneof![Just(Priority::Default), Just(Priority::High)]);
    (vec(caller, 0..3), of(Just(words())), admission(), priority)
        .prop_map(|(callers, answer, limits, priority)| RouteFilter { callers, answer, limits, priority })
}

fn route_name() -> impl Strategy<Value = RouteName> {
    let kind = prop_oneof![Just(RouteKind::Http), Just(RouteKind::Grpc)];
    (kind, name()).prop_map(|(kind, name)| RouteName { name, kind })
}

fn authority() -> impl Strategy<Value = String> {
    let known = "(x|y|z)(\\.(a|b|svc))?(\\.svc(\\.cluster\\.local)?)?\\.?(:(80|90|91|0|65535|x|))?";
    prop_oneof![6 => known.boxed(), 1 => "\\PC{0,12}".boxed()]
}

pub(super) fn node() -> impl Strategy<Value = node::Node> {
    let target = prop_oneof![Just(Target::Weir), Just(Target::Envoy), Just(Target::Grpc)];
    let inbound = vec(
        ("[pq]?", address(), address()).prop_map(|(name, listen, app)| Inbound { name, listen, app }),
        0..3,
    );
    let names = (btree_set("(a|b)/(x|y|z)|x|", 0..4), btree_set(authority(), 0..6));
    let tcp = btree_map(address(), authority(), 0..3);
    (target, namespace(), labels(), of(address()), tcp, inbound, names, of(0..=1_000_000u32)).prop_map(
        |(target, namespace, labels, outbound, outbound_tcp, inbound, (upstreams, uses), sampling)| {
            node::Node {
                id: String::new(),
                target,
                service: format!("{namespace}/x"),
                service_account: SERVICE_ACCOUNT.to_owned(),
                namespace,
                labels,
                locality: Locality::default(),
                outbound,
                outbound_tcp,
                inbound,
                upstreams,
                uses,
                sampling: sampling.map(Fraction),
                access_log: false,
            }
        },
    )
}
