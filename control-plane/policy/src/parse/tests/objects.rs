//! Random good objects.

use crate::*;
use http::{Method, StatusCode};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use std::time::Duration;
use weir_model::mesh::{Backend, BackendTarget, HttpFilters, HttpRule, Name, TargetPort};
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
    (texts(), ports).prop_map(|(selector, ports)| ServiceSpec { selector, ports })
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
    })
}

fn rewrite() -> impl Strategy<Value = PathRewrite> {
    prop_oneof![
        "(/[a-z0-9]{1,5}){1,3}".prop_map(PathRewrite::Full),
        "(/[a-z0-9]{1,5}){1,3}".prop_map(PathRewrite::Prefix),
        Just(PathRewrite::Prefix("/".to_owned())),
    ]
}

fn redirect() -> impl Strategy<Value = Redirect> {
    let scheme = of(prop_oneof![Just("http".to_owned()), Just("https".to_owned())]);
    let status = prop_oneof![
        Just(StatusCode::FOUND),
        Just(StatusCode::MOVED_PERMANENTLY),
        Just(StatusCode::PERMANENT_REDIRECT)
    ];
    (scheme, of(label()), of(1..=65_535u16), of(rewrite()), status)
        .prop_map(|(scheme, host, port, path, status)| Redirect { scheme, host, port, path, status })
}

fn backend(namespace: String) -> impl Strategy<Value = Backend> {
    let filters = (mutation(), mutation()).prop_map(|(request_headers, response_headers)| HttpFilters {
        request_headers,
        response_headers,
        ..HttpFilters::default()
    });
    (label(), 1..=65_535u16, 0..=1_000_000u32, filters).prop_map(move |(name, port, weight, filters)| {
        Backend { target: BackendTarget { service: Name::new(&namespace, name), port }, weight, filters }
    })
}

fn rule(namespace: String) -> impl Strategy<Value = HttpRule> {
    let timeouts = (of(duration(0)), of(duration(0))).prop_map(|(one, other)| Timeouts {
        request: one.max(other),
        backend_request: other,
        idle: None,
    });
    let host = of(label());
    let forwards = (vec(one_match(), 0..4), vec(backend(namespace), 0..4), host, of(rewrite()), timeouts)
        .prop_map(|(mut matches, mut backends, rewrite_host, rewrite_path, timeouts)| {
            if matches!(rewrite_path, Some(PathRewrite::Prefix(_))) {
                matches.truncate(0);
            }
            if let Some(first) = backends.first_mut() {
                first.weight = first.weight.max(1);
            }
            let filters = HttpFilters { rewrite_host, rewrite_path, ..HttpFilters::default() };
            HttpRule { name: String::new(), matches, filters, backends, timeouts, retry: None }
        });
    let redirects = redirect().prop_map(|redirect| HttpRule {
        name: String::new(),
        matches: Vec::new(),
        filters: HttpFilters { redirect: Some(redirect), ..HttpFilters::default() },
        backends: Vec::new(),
        timeouts: Timeouts::default(),
        retry: None,
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

fn balancing() -> impl Strategy<Value = LoadBalancing> {
    prop_oneof![
        Just(LoadBalancing::RoundRobin),
        Just(LoadBalancing::Random),
        (2..=100u32).prop_map(|choices| LoadBalancing::LeastRequest { choices }),
        (duration(1), duration(1))
            .prop_map(|(decay, default_rtt)| LoadBalancing::PeakEwma { decay, default_rtt }),
        header_name().prop_map(|header| LoadBalancing::RingHash(ConsistentHash { header })),
        header_name().prop_map(|header| LoadBalancing::Maglev(ConsistentHash { header })),
    ]
}

fn retries() -> impl Strategy<Value = RetriesSpec> {
    let condition = prop_oneof![
        Just(RetryCondition::ConnectFailure),
        Just(RetryCondition::RefusedStream),
        Just(RetryCondition::Reset),
        Just(RetryCondition::GatewayError),
        Just(RetryCondition::ServerError),
        (400..=599u16).prop_map(RetryCondition::Status),
        prop_oneof![Just(1), Just(4), Just(8), Just(13), Just(14)].prop_map(RetryCondition::Grpc),
    ];
    let budget = (of(0..=1_000_000u32), of(0..=100u32)).prop_map(|(parts_per_million, min_concurrency)| {
        RetryBudgetSpec { parts_per_million, min_concurrency }
    });
    let on = proptest::collection::btree_set(condition, 0..5).prop_map(|on| on.into_iter().collect());
    (of(0..=10u32), on, of(duration(1)), of(duration(1)), of(budget)).prop_map(
        |(attempts, on, base, max, budget)| {
            let backoff_max = max.map(|max| max.max(base.unwrap_or_default()));
            RetriesSpec { attempts, on, backoff_base: base, backoff_max, budget }
        },
    )
}

fn policy() -> impl Strategy<Value = TrafficPolicySpec> {
    let targets = btree_map(label(), of(label()), 1..3).prop_map(|targets| {
        targets.into_iter().map(|(name, section)| PolicyTarget { name, section }).collect()
    });
    let timeouts = (of(duration(0)), of(duration(0)), of(duration(0)))
        .prop_map(|(one, other, idle)| Timeouts { request: one.max(other), backend_request: other, idle });
    let limit = || of(1..=1_000_000u32);
    let breakers = (limit(), limit(), limit()).prop_map(|(max_connections, max_pending, max_requests)| {
        CircuitBreakersSpec { max_connections, max_pending, max_requests }
    });
    (targets, of(balancing()), of(duration(1)), timeouts, of(retries()), of(breakers)).prop_map(
        |(targets, load_balancing, connect_timeout, timeouts, retries, circuit_breakers)| TrafficPolicySpec {
            targets,
            load_balancing,
            connect_timeout,
            timeouts,
            retries,
            circuit_breakers,
        },
    )
}

pub(super) fn any_object() -> impl Strategy<Value = Object> {
    let metadata = (texts(), btree_map("[a-z]{1,4}", "\\PC{0,20}", 0..2), of(0..=253_402_300_799_999u64))
        .prop_map(|(labels, annotations, created_millis)| Metadata { labels, annotations, created_millis });
    let spec = |namespace: String| {
        prop_oneof![
            service().prop_map(Spec::Service).boxed(),
            workload().prop_map(Spec::Workload).boxed(),
            route(namespace).prop_map(Spec::HttpRoute).boxed(),
            policy().prop_map(Spec::TrafficPolicy).boxed(),
        ]
    };
    (label(), label(), metadata).prop_flat_map(move |(namespace, name, metadata)| {
        spec(namespace.clone()).prop_map(move |spec| {
            let kind = match &spec {
                Spec::Service(_) => Kind::Service,
                Spec::Workload(_) => Kind::Workload,
                Spec::HttpRoute(_) => Kind::HttpRoute,
                Spec::TrafficPolicy(_) => Kind::TrafficPolicy,
            };
            Object { id: ObjectId::new(kind, Name::new(&namespace, &name)), metadata: metadata.clone(), spec }
        })
    })
}
