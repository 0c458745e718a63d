//! Random good objects.

use crate::*;
use http::{Method, StatusCode};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use std::time::Duration;
use weir_model::mesh::{
    AffinityPolicy, Backend, BackendTarget, CorsFilter, Distribution, HttpFilters, HttpRule,
    LocalityFailover, MirrorFilter, Name, Near, TargetPort,
};
use weir_model::*;

fn label() -> impl Strategy<Value = String> {
    "[a-z]([a-z0-9-]{0,6}[a-z0-9])?"
}

fn texts() -> impl Strategy<Value = std::collections::BTreeMap<String, String>> {
    btree_map(
        "[a-z]{1,4}",
        prop_oneof![Just(String::new()), "[A-Za-z0-9]([A-Za-z0-9._-]{0,4}[a-z0-9])?".boxed()],
        0..3,
    )
}

fn duration(least: u64) -> impl Strategy<Value = Duration> {
    prop_oneof![least..2000u64, Just(3_600_000), Just(90_000), Just(99_999 * 3_600_000)]
        .prop_map(Duration::from_millis)
}

fn service() -> impl Strategy<Value = ServiceSpec> {
    let target =
        prop_oneof![(1..=65_535u16).prop_map(TargetPort::Number), label().prop_map(TargetPort::Named)];
    let protocol =
        prop_oneof![Just("http"), Just("kubernetes.io/h2c"), Just("grpc"), Just("tcp"), Just("mongo")]
            .prop_map(str::to_owned);
    let ports = btree_map(1..=65_535u16, (of(target), of(protocol)), 1..4).prop_map(|ports| {
        let port = |index: usize, port: u16, target: Option<TargetPort>, app_protocol: Option<String>| {
            let target = target.filter(|target| *target != TargetPort::Number(port));
            ServicePortSpec { name: format!("port-{index}"), port, target, app_protocol }
        };
        ports
            .into_iter()
            .enumerate()
            .map(|(index, (number, (target, protocol)))| port(index, number, target, protocol))
            .collect()
    });
    let distribution = of(prop_oneof![Just(Distribution::SameZone), Just(Distribution::SameNode)]);
    (texts(), ports, distribution).prop_map(|(selector, ports, distribution)| ServiceSpec {
        selector,
        ports,
        distribution,
    })
}

fn workload() -> impl Strategy<Value = WorkloadSpec> {
    let address = prop_oneof![Just("10.0.0.1"), Just("fe80::1"), Just("127.0.0.1")]
        .prop_map(|text| text.parse().unwrap());
    let part = || prop_oneof![Just(String::new()), "[a-z0-9-]{1,5}".boxed()];
    let locality =
        (part(), part(), part()).prop_map(|(region, zone, sub_zone)| Locality { region, zone, sub_zone });
    (address, btree_map(label(), 1..=65_535u16, 1..4), locality, 1..=65_535u32)
        .prop_map(|(address, ports, locality, weight)| WorkloadSpec { address, ports, locality, weight })
}

fn path() -> impl Strategy<Value = PathMatch> {
    prop_oneof![
        Just(PathMatch::default()),
        "(/[a-zA-Z0-9~!$&'()*+,;=:@_-]{1,5}){1,3}/?".prop_map(PathMatch::Exact),
        "(/[a-z0-9.]{1,3}x){1,3}".prop_map(PathMatch::Prefix),
        "/[a-z]{1,4}(\\.\\*|\\[0-9\\]\\+)?".prop_map(PathMatch::Regex),
    ]
}

fn value() -> impl Strategy<Value = StringMatch> {
    prop_oneof!["\\PC{1,8}".prop_map(StringMatch::Exact), "[a-z]{1,4}(\\.\\*)?".prop_map(StringMatch::Regex)]
}

fn header_name() -> impl Strategy<Value = HeaderName> {
    "x-[a-z0-9-]{1,8}".prop_map(|text| text.parse().unwrap())
}

fn one_match() -> impl Strategy<Value = RouteMatch> {
    let method = of(prop_oneof![Just(Method::GET), Just(Method::POST), Just(Method::PATCH)]);
    let headers = vec((header_name(), value()), 0..3).prop_map(|mut headers| {
        headers.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
        headers.dedup_by(|a, b| a.0 == b.0);
        headers.into_iter().map(|(name, value)| HeaderMatch { name, value }).collect()
    });
    let query = btree_map("[A-Za-z_]{1,5}", value(), 0..3)
        .prop_map(|query| query.into_iter().map(|(name, value)| QueryMatch { name, value }).collect());
    (path(), method, headers, query).prop_map(|(path, method, headers, query)| RouteMatch {
        path,
        method,
        headers,
        query,
        fraction: None,
        more: None,
    })
}

fn mutation() -> impl Strategy<Value = HeaderMutation> {
    let headers = || {
        vec(
            (header_name(), "[!-~]([ -~]{0,6}[!-~])?".prop_map(|text| HeaderValue::from_str(&text).unwrap())),
            0..3,
        )
        .prop_map(|mut headers| {
            headers.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
            headers.dedup_by(|a, b| a.0 == b.0);
            headers
        })
    };
    (headers(), headers(), vec(header_name(), 0..3)).prop_map(|(set, add, remove)| HeaderMutation {
        set,
        add,
        remove,
        edits: None,
    })
}

fn rewrite() -> impl Strategy<Value = PathRewrite> {
    prop_oneof![
        "(/[a-z0-9]{1,5}){1,3}".prop_map(PathRewrite::Full),
        "(/[a-z0-9]{1,5}){1,3}".prop_map(PathRewrite::Prefix),
        Just(PathRewrite::Prefix("/".to_owned())),
    ]
}

/// One that does not ask how the path was matched.
fn redirect_anywhere() -> impl Strategy<Value = Redirect> {
    redirect().prop_map(|redirect| Redirect {
        path: redirect.path.filter(|path| matches!(path, PathRewrite::Full(_))),
        ..redirect
    })
}

fn redirect() -> impl Strategy<Value = Redirect> {
    let scheme = of(prop_oneof![Just("http".to_owned()), Just("https".to_owned())]);
    let status = prop_oneof![
        Just(StatusCode::FOUND),
        Just(StatusCode::MOVED_PERMANENTLY),
        Just(StatusCode::PERMANENT_REDIRECT)
    ];
    (scheme, of(label()), of(1..=65_535u16), of(rewrite()), status).prop_map(
        |(scheme, host, port, path, status)| Redirect {
            scheme,
            host,
            port,
            path,
            status,
            strip_query: false,
        },
    )
}

fn cors() -> impl Strategy<Value = CorsFilter> {
    let origin =
        prop_oneof![Just("*".to_owned()), "https?://(\\*\\.)?[a-z]{1,5}\\.[a-z]{2,3}(:[1-9][0-9]{1,3})?"];
    let method = prop_oneof![Just(Method::GET), Just(Method::from_bytes(b"*").unwrap())];
    let names = || vec(header_name(), 0..3);
    (vec(origin, 1..3), vec(method, 0..3), names(), names(), 1..100_000u64, any::<bool>()).prop_map(
        |(origins, methods, headers, expose, seconds, credentials)| CorsFilter {
            origins,
            methods,
            headers,
            expose,
            max_age: Duration::from_secs(seconds),
            credentials,
        },
    )
}

fn mirrors(namespace: String) -> impl Strategy<Value = Vec<MirrorFilter>> {
    let mirror =
        (label(), 1..=65_535u16, 0..=1_000_000u32).prop_map(move |(name, port, parts)| MirrorFilter {
            target: BackendTarget { service: Name::new(&namespace, name), port },
            fraction: weir_model::Fraction(parts),
        });
    vec(mirror, 0..3)
}

fn backend(namespace: String) -> impl Strategy<Value = Backend> {
    let rewrite = (of(label()), of("(/[a-z0-9]{1,5}){1,3}".prop_map(PathRewrite::Full)));
    let own = prop_oneof![
        (rewrite, mirrors(namespace.clone())).prop_map(|((rewrite_host, rewrite_path), mirrors)| {
            HttpFilters { rewrite_host, rewrite_path, mirrors, ..HttpFilters::default() }
        }),
        redirect_anywhere()
            .prop_map(|redirect| HttpFilters { redirect: Some(redirect), ..HttpFilters::default() }),
    ];
    let filters = (own, mutation(), mutation()).prop_map(|(own, request_headers, response_headers)| {
        HttpFilters { request_headers, response_headers, ..own }
    });
    (label(), 1..=65_535u16, 0..=1_000_000u32, filters).prop_map(move |(name, port, weight, filters)| {
        Backend { target: BackendTarget { service: Name::new(&namespace, name), port }, weight, filters }
    })
}

fn rule(namespace: String) -> impl Strategy<Value = HttpRule> {
    let timeouts = (of(duration(0)), of(duration(0))).prop_map(|(one, other)| Timeouts {
        request: one.max(other),
        backend_request: other,
        ..Timeouts::default()
    });
    let codes = proptest::collection::btree_set(400..=599u16, 0..4);
    let retry = (codes, 0..=10u32, duration(1)).prop_map(|(codes, attempts, base)| {
        let default = RetryPolicy::default();
        let statuses = codes.into_iter().filter_map(|code| http::StatusCode::from_u16(code).ok()).collect();
        RetryPolicy {
            attempts,
            on: RetryOn { statuses, ..default.on.clone() },
            backoff_base: base,
            backoff_max: base * 10,
            ..default
        }
    });
    let host = of(label());
    let own = namespace.clone();
    let extensions = proptest::collection::btree_set(label(), 0..3)
        .prop_map(move |names| names.into_iter().map(|name| Name::new(&own, name)).collect());
    let forwards = (
        vec(one_match(), 0..4),
        vec(backend(namespace.clone()), 0..4),
        host,
        of(rewrite()),
        (timeouts, of(retry), of(session())),
        (mirrors(namespace.clone()), of(cors()), extensions),
    )
        .prop_map(
            |(
                mut matches,
                mut backends,
                rewrite_host,
                rewrite_path,
                (timeouts, retry, session),
                (mirrors, cors, extensions),
            )| {
                if matches!(rewrite_path, Some(PathRewrite::Prefix(_))) {
                    matches.truncate(0);
                }
                if let Some(first) = backends.first_mut() {
                    first.weight = first.weight.max(1);
                }
                let filters = HttpFilters {
                    rewrite_host,
                    rewrite_path,
                    mirrors,
                    cors,
                    extensions,
                    ..HttpFilters::default()
                };
                HttpRule { name: String::new(), matches, filters, backends, timeouts, retry, session }
            },
        );
    let redirects = redirect().prop_map(|redirect| HttpRule {
        name: String::new(),
        matches: Vec::new(),
        filters: HttpFilters { redirect: Some(redirect), ..HttpFilters::default() },
        backends: Vec::new(),
        timeouts: Timeouts::default(),
        retry: None,
        session: None,
    });
    (prop_oneof![3 => forwards.boxed(), 1 => redirects.boxed()], mutation(), mutation()).prop_map(
        |(mut rule, request, response)| {
            rule.filters.request_headers = request;
            rule.filters.response_headers = response;
            rule
        },
    )
}

fn route(namespace: String) -> impl Strategy<Value = HttpRouteSpec> {
    let parents = btree_map(label(), (label(), of(label()), of(1..=65_535u16)), 1..3).prop_map(|parents| {
        let parent = |(name, (namespace, section, port))| RouteParent {
            service: Name::new(namespace, name),
            section,
            port,
        };
        parents.into_iter().map(parent).collect()
    });
    let hostnames = vec("(\\*\\.)?[a-z]{1,4}\\.[a-z]{2,3}", 0..2);
    (parents, hostnames, vec(rule(namespace), 1..4)).prop_map(|(parents, hostnames, mut rules)| {
        for (index, rule) in rules.iter_mut().enumerate().skip(1) {
            rule.name = format!("rule-{index}");
        }
        HttpRouteSpec { parents, hostnames, rules }
    })
}

fn cookie() -> impl Strategy<Value = Cookie> {
    ("[a-zA-Z_-]{1,8}", 0..100_000u64, "(/[a-z]{1,4}){1,2}").prop_map(|(name, ttl, path)| Cookie {
        name,
        ttl: Some(Duration::from_secs(ttl)),
        path,
        attributes: Vec::new(),
    })
}

fn header_or_cookie() -> impl Strategy<Value = HashSource> {
    prop_oneof![header_name().prop_map(HashSource::Header), cookie().prop_map(HashSource::Cookie)]
}

fn hash_source() -> impl Strategy<Value = HashSource> {
    let query = "[a-z]{1,5}".prop_map(HashSource::Query);
    prop_oneof![header_or_cookie(), Just(HashSource::SourceAddress), query]
}

fn session() -> impl Strategy<Value = Session> {
    cookie().prop_map(|cookie| Session { cookie: Cookie { path: "/".to_owned(), ..cookie }, strict: false })
}

/// How endpoints are chosen, and what brings callers back.
fn balancing() -> impl Strategy<Value = (Option<LoadBalancing>, AffinityPolicy)> {
    let without = |policy: LoadBalancing| (Some(policy), None);
    let ring = (of(1..1000u32), of(1000..2000u32), hash_source()).prop_map(|(minimum, maximum, hash)| {
        (Some(LoadBalancing::RingHash(RingSize { minimum, maximum })), Some(hash))
    });
    let maglev = (of(Just(251)), hash_source())
        .prop_map(|(table_size, hash)| (Some(LoadBalancing::Maglev { table_size }), Some(hash)));
    let policy = prop_oneof![
        Just((None, None)),
        Just(without(LoadBalancing::RoundRobin)),
        Just(without(LoadBalancing::Random)),
        (2..=100u32).prop_map(move |choices| without(LoadBalancing::LeastRequest { choices })),
        (duration(1), duration(1))
            .prop_map(move |(decay, default_rtt)| without(LoadBalancing::PeakEwma { decay, default_rtt })),
        ring,
        maglev,
    ];
    let near = prop_oneof![Just(Near::Zone), Just(Near::Region)];
    let failover = (near, of(100..=10_000u32))
        .prop_map(|(prefer, overprovisioning)| LocalityFailover { prefer, overprovisioning });
    (policy, of(header_or_cookie()), of(session()), of(failover)).prop_map(
        |((policy, hash), sticky, session, failover)| {
            (policy, AffinityPolicy { hash, sticky, session, failover })
        },
    )
}

fn retries() -> impl Strategy<Value = RetriesSpec> {
    let condition = prop_oneof![
        Just(RetryCondition::ConnectFailure),
        Just(RetryCondition::RefusedStream),
        Just(RetryCondition::Reset),
        Just(RetryCondition::RateLimited),
        Just(RetryCondition::GatewayError),
        Just(RetryCondition::ServerError),
        (400..=599u16).prop_map(RetryCondition::Status),
        prop_oneof![Just(1), Just(4), Just(8), Just(13), Just(14)].prop_map(RetryCondition::Grpc),
    ];
    let budget = (of(0..=1_000_000u32), of(0..=100u32)).prop_map(|(parts_per_million, min_concurrency)| {
        RetryBudgetSpec { parts_per_million, min_concurrency }
    });
    let on = proptest::collection::btree_set(condition, 0..5).prop_map(|on| on.into_iter().collect());
    let more = (of(any::<bool>()), of(duration(0)));
    (of(0..=10u32), on, of(duration(1)), of(duration(1)), of(budget), more).prop_map(
        |(attempts, on, base, max, budget, (hedge, retry_after))| {
            let backoff_max = max.map(|max| max.max(base.unwrap_or_default()));
            RetriesSpec { attempts, on, backoff_base: base, backoff_max, budget, hedge, retry_after }
        },
    )
}

fn policy(namespace: String) -> impl Strategy<Value = TrafficPolicySpec> {
    let targets = btree_map(label(), of(label()), 1..3).prop_map(|targets| {
        targets.into_iter().map(|(name, section)| PolicyTarget { name, section }).collect()
    });
    let timeouts =
        (of(duration(0)), of(duration(0)), of(duration(0))).prop_map(|(one, other, idle)| Timeouts {
            request: one.max(other),
            backend_request: other,
            idle,
            stream: idle,
            ..Timeouts::default()
        });
    let limit = || of(1..=1_000_000u32);
    let connection = (of(1..=1_000_000u32), of(duration(1)));
    let breakers = (limit(), limit(), limit(), connection).prop_map(
        |(max_connections, max_pending, max_requests, (max_connection_requests, max_connection_duration))| {
            CircuitBreakersSpec {
                max_connections,
                max_pending,
                max_requests,
                high: ThresholdsSpec { max_connections: None, max_pending, max_requests },
                max_endpoint_connections: max_connections,
                max_connection_requests,
                max_connection_duration,
            }
        },
    );
    let health = crate::traffic_policy::health::tests::policy();
    let actions = crate::traffic_policy::actions::tests::policy(namespace);
    (targets, balancing(), of(duration(1)), timeouts, of(retries()), of(breakers), (health, actions))
        .prop_map(
            |(
                targets,
                (load_balancing, affinity),
                connect_timeout,
                timeouts,
                retries,
                circuit_breakers,
                (health, actions),
            )| TrafficPolicySpec {
                targets,
                load_balancing,
                affinity,
                connect_timeout,
                timeouts,
                retries,
                circuit_breakers,
                health,
                actions,
            },
        )
}

/// A gRPC route with the parents and backends of an HTTP route.
fn calls(route: HttpRouteSpec) -> GrpcRouteSpec {
    let HttpRouteSpec { parents, hostnames, rules } = route;
    let rules = rules.into_iter().enumerate().map(|(index, rule)| {
        let method = |service: Option<&str>, method: Option<&str>| GrpcMethod {
            regex: index % 4 == 3,
            service: service.map(str::to_owned),
            method: method.map(str::to_owned),
        };
        let method = match index % 4 {
            0 => None,
            1 => Some(method(Some("a.B"), None)),
            2 => Some(method(None, Some("C"))),
            _ => Some(method(Some("a[.]B"), Some("C+"))),
        };
        let headers = rule.matches.first().map(|one| one.headers.clone()).unwrap_or_default();
        let filters = HttpFilters {
            extensions: rule.filters.extensions,
            request_headers: rule.filters.request_headers,
            response_headers: rule.filters.response_headers,
            ..HttpFilters::default()
        };
        let rest = HttpRule {
            name: rule.name,
            filters,
            backends: rule.backends,
            session: rule.session,
            ..HttpRule::default()
        };
        GrpcRule::new(vec![GrpcMatch { method, headers }], rest)
    });
    GrpcRouteSpec { parents, hostnames, rules: rules.collect() }
}

pub(super) fn any_object() -> impl Strategy<Value = Object> {
    let metadata = (texts(), btree_map("[a-z]{1,4}", "\\PC{0,20}", 0..2), of(0..=253_402_300_799_999u64))
        .prop_map(|(labels, annotations, created_millis)| Metadata { labels, annotations, created_millis });
    let spec = |namespace: String| {
        prop_oneof![
            service().prop_map(Spec::Service).boxed(),
            workload().prop_map(Spec::Workload).boxed(),
            route(namespace.clone()).prop_map(Spec::HttpRoute).boxed(),
            route(namespace.clone()).prop_map(|route| Spec::GrpcRoute(calls(route))).boxed(),
            crate::stream_route::tests::route(namespace.clone(), true).prop_map(Spec::TlsRoute).boxed(),
            crate::stream_route::tests::route(namespace.clone(), false).prop_map(Spec::TcpRoute).boxed(),
            policy(namespace).prop_map(|spec| Spec::TrafficPolicy(Box::new(spec))).boxed(),
            crate::route_filter::tests::filter().prop_map(|spec| Spec::RouteFilter(Box::new(spec))).boxed(),
        ]
    };
    (label(), label(), metadata).prop_flat_map(move |(namespace, name, metadata)| {
        spec(namespace.clone()).prop_map(move |spec| {
            let kind = match &spec {
                Spec::Service(_) => Kind::Service,
                Spec::Workload(_) => Kind::Workload,
                Spec::HttpRoute(_) => Kind::HttpRoute,
                Spec::GrpcRoute(_) => Kind::GrpcRoute,
                Spec::TlsRoute(_) => Kind::TlsRoute,
                Spec::TcpRoute(_) => Kind::TcpRoute,
                Spec::TrafficPolicy(_) => Kind::TrafficPolicy,
                Spec::RouteFilter(_) => Kind::RouteFilter,
            };
            Object { id: ObjectId::new(kind, Name::new(&namespace, &name)), metadata: metadata.clone(), spec }
        })
    })
}
