//! Generated values for property tests: everything the model can say and the wire can carry, in the form a compiler gives it (lists that the
//! model calls ordered are ordered, replacements of a path prefix have no trailing slash).

mod bytes;
mod clusters;
mod filters;
mod health;
mod manner;
mod rare;
mod routes;

pub use bytes::{chain_match, tcp_listener};
pub use routes::{affinity, header_mutation, route, route_configuration, route_match};

use http::{Method, StatusCode};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use weir_model::access_log::{
    AccessLog, ENVOY_DEFAULT, JsonTemplate, LogFilter, LogFormat, LogOutput, Template,
};
use weir_model::node::{Inbound, Node, Target};
use weir_model::{
    Affinity, AskedWait, CircuitBreakers, Cluster, ClusterKind, ConnectionLimits, Cookie, Detection,
    DirectResponse, Direction, Discovery, Endpoint, Endpoints, Forward, Fraction, GrpcTimeout, HashPolicy,
    HashSource, HeaderMatch, HeaderMutation, HeaderName, HeaderValue, Health, HttpLimits, HttpListener,
    HttpVersion, Listener, ListenerKind, LoadBalancing, Locality, LocalityEndpoints, PathMatch, PathRewrite,
    QueryMatch, Redirect, ResetFormat, Resource, ResourceSet, RetryBudget, RetryOn, RetryPolicy, Rewrite,
    RingSize, Route, RouteAction, RouteConfiguration, RouteMatch, RouteSource, Session, StickySplit,
    StringMatch, Thresholds, Timeouts, Tracing, VirtualHost, WeightedCluster, limits,
};

/// Any resource.
pub fn resource() -> BoxedStrategy<Resource> {
    prop_oneof![
        cluster().prop_map(Resource::Cluster),
        endpoints().prop_map(Resource::Endpoints),
        listener().prop_map(Resource::Listener),
        route_configuration().prop_map(Resource::Route),
    ]
    .boxed()
}

/// A few resources, which need not refer to each other.
pub fn resource_set() -> BoxedStrategy<ResourceSet> {
    vec(resource(), 0..6)
        .prop_map(|resources| {
            let mut set = ResourceSet::default();
            resources.into_iter().for_each(|resource| set.insert(resource));
            set
        })
        .boxed()
}

/// A cluster.
pub fn cluster() -> BoxedStrategy<Cluster> {
    let discovery = prop_oneof![
        name().prop_map(Discovery::Eds),
        endpoints().prop_map(Discovery::Static),
        clusters::dns().prop_map(|dns| Discovery::Dns(Box::new(dns)))
    ];
    let version =
        prop_oneof![Just(HttpVersion::Http1), Just(HttpVersion::Http2), Just(HttpVersion::Downstream)];
    let times = (duration(), duration());
    let balancing = load_balancing().prop_flat_map(|balancing| {
        let health = health::endpoint_health(&balancing);
        let spread = clusters::spread(&balancing);
        (Just(balancing), spread, health, of(clusters::subsets()))
    });
    (name(), cluster_kind(), discovery, balancing, version, times, circuit_breakers())
        .prop_map(
            |(
                name,
                kind,
                discovery,
                (load_balancing, spread, health, subsets),
                http,
                (connect_timeout, idle_timeout),
                mut circuit_breakers,
            )| {
                if http == HttpVersion::Http1 {
                    circuit_breakers.connection.max_streams = None;
                }
                // Envoy wants the one with the other.
                let aware = spread.by_locality;
                let subsets = subsets.map(|mut subsets| {
                    subsets.locality_weight_aware &= aware;
                    Box::new(subsets)
                });
                Cluster {
                    subsets,
                    name,
                    kind,
                    discovery,
                    load_balancing,
                    http,
                    connect_timeout,
                    idle_timeout,
                    circuit_breakers,
                    spread,
                    health,
                }
            },
        )
        .boxed()
}

/// Endpoints in localities.
pub fn endpoints() -> BoxedStrategy<Endpoints> {
    (name(), vec(locality_endpoints(), 0..4), 1..1000u32, any::<bool>(), clusters::drops())
        .prop_map(|(name, localities, overprovisioning, weighted_priority_health, drops)| Endpoints {
            name,
            localities,
            overprovisioning,
            weighted_priority_health,
            drops,
        })
        .boxed()
}

fn paths() -> BoxedStrategy<weir_model::Paths> {
    use weir_model::EscapedSlashes::{Forward, Keep, Redirect, Reject};
    let escaped = prop_oneof![Just(Keep), Just(Reject), Just(Redirect), Just(Forward)];
    (escaped, any::<bool>(), any::<bool>())
        .prop_map(|(escaped_slashes, normalize, merge_slashes)| weir_model::Paths {
            escaped_slashes,
            normalize,
            merge_slashes,
        })
        .boxed()
}

fn forwarded() -> BoxedStrategy<weir_model::Forwarded> {
    use weir_model::Forwarded::{Edge, Pass};
    let edge = (0..9u32, any::<bool>()).prop_map(|(trusted_hops, append)| Edge { trusted_hops, append });
    prop_oneof![Just(Pass), edge].boxed()
}

fn http_limits() -> BoxedStrategy<HttpLimits> {
    let times = (of(duration()), of(duration()), of(duration()), of(duration()), of(duration()));
    let heads = (of(1..=1024u32), of(1..=limits::HEAD_FIELDS_MOST), of(1..=u32::MAX));
    let window = || of(65_535..=i32::MAX.cast_unsigned());
    let http2 = (of(1..=i32::MAX.cast_unsigned()), window(), window());
    (times, heads, http2)
        .prop_map(
            |(
                (stream_idle, stream, idle, connection, head),
                (kilobytes, head_fields, requests),
                (streams, stream_window, connection_window),
            )| HttpLimits {
                stream_idle,
                stream,
                idle,
                connection,
                // What is always said is nothing.
                head: head.filter(|head| *head != limits::HEAD_TIMEOUT),
                head_bytes: kilobytes.map(|kilobytes| kilobytes * 1024),
                head_fields,
                requests,
                streams,
                stream_window,
                connection_window,
            },
        )
        .boxed()
}

/// HTTP on a listener that was told so.
fn http_listener() -> BoxedStrategy<HttpListener> {
    (
        route_source(),
        of(fraction()),
        of(access_log()),
        paths(),
        forwarded(),
        of(filters::of_listener()),
        http_limits(),
        of(manner::manner()),
    )
        .prop_map(|(routes, sampling, access_log, paths, forwarded, filters, limits, manner)| {
            let tracing = sampling.map(|sampling| Tracing { sampling });
            HttpListener {
                routes,
                tracing,
                access_log,
                detection: None,
                filters,
                paths,
                forwarded,
                limits,
                manner: manner.filter(|manner| !manner.is_plain()).map(Arc::new),
            }
        })
        .boxed()
}

/// A listener, with an address or to be asked for by name.
pub fn listener() -> BoxedStrategy<Listener> {
    let http = http_listener().prop_map(ListenerKind::Http);
    let tcp = bytes::tcp_listener;
    let detection =
        of((tcp(), duration()).prop_map(|(otherwise, wait)| Box::new(Detection { otherwise, wait })));
    let kind = prop_oneof![
        2 => (of(address()), http).boxed(),
        1 => (of(address()), tcp().prop_map(ListenerKind::Tcp)).boxed(),
        // Chains need an address to come in by.
        1 => (address().prop_map(Some), bytes::chains(http_listener()).prop_map(ListenerKind::Chains)).boxed(),
    ];
    let direction = prop_oneof![Just(Direction::Inbound), Just(Direction::Outbound)];
    (name(), direction, kind, detection)
        .prop_map(|(name, direction, (address, mut kind), detection)| {
            if let (Some(_), ListenerKind::Http(http)) = (address, &mut kind) {
                http.detection = detection;
            }
            Listener { name, address, direction, kind }
        })
        .boxed()
}

/// How something is logged.
pub fn access_log() -> BoxedStrategy<Arc<AccessLog>> {
    let template = || {
        let text = prop_oneof![
            Just(ENVOY_DEFAULT.to_owned()),
            "[a-z \\n]{0,9}(%%|%DURATION%|%REQ\\(x-a\\?:PATH\\):9%|%START_TIME\\(%s\\.%3f\\)%)?[a-z]{0,5}",
        ];
        text.prop_map(|text| Template::parse(&text).expect("known operators"))
    };
    let leaf = prop_oneof![
        4 => template().prop_map(JsonTemplate::Text),
        1 => (-1e9..1e9f64).prop_map(|number| JsonTemplate::Number(number.to_string())),
        1 => any::<bool>().prop_map(JsonTemplate::Bool),
        1 => Just(JsonTemplate::Null),
    ];
    let members =
        |inner| btree_map("[a-z_.]{1,6}", inner, 0..4).prop_map(|all| all.into_iter().collect::<Vec<_>>());
    let json = leaf.prop_recursive(3, 12, 4, move |inner| {
        prop_oneof![
            members(inner.clone()).prop_map(JsonTemplate::Object),
            vec(inner, 0..3).prop_map(JsonTemplate::List),
        ]
    });
    let format = prop_oneof![
        Just(LogFormat::Default),
        (template(), any::<bool>())
            .prop_map(|(template, omit_empty)| LogFormat::Text { template, omit_empty }),
        (btree_map("[a-z_.]{1,6}", json, 0..4), any::<bool>()).prop_map(|(members, omit_empty)| {
            LogFormat::Json { members: members.into_iter().collect(), omit_empty }
        }),
    ];
    let output = prop_oneof![Just(LogOutput::Stdout), Just(LogOutput::Stderr)];
    let one = (output, format, of(log_filter())).prop_map(|(output, format, filter)| AccessLog {
        output,
        format,
        filter: filter.map(Box::new),
        also: None,
    });
    vec(one, 1..3)
        .prop_map(|logs| {
            let chained = |also, log| Some(Arc::new(AccessLog { also, ..log }));
            logs.into_iter().rev().fold(None, chained).expect("there is one at least")
        })
        .boxed()
}

fn log_filter() -> BoxedStrategy<LogFilter> {
    use weir_model::access_log::Comparison::{AtLeast, AtMost, Equal, Unequal};
    let comparison = || prop_oneof![Just(Equal), Just(AtLeast), Just(AtMost), Just(Unequal)];
    let leaf = prop_oneof![
        Just(LogFilter::Always),
        Just(LogFilter::Traced),
        (comparison(), 0..600u32).prop_map(|(how, status)| LogFilter::Status(how, status)),
        (comparison(), any::<u32>()).prop_map(|(how, millis)| LogFilter::Duration(how, millis)),
        fraction().prop_map(LogFilter::Share),
        vec("(UH|DPE|URX)", 0..3).prop_map(LogFilter::Flags),
        (header_name(), of("[a-z]{0,5}"), any::<bool>())
            .prop_map(|(name, exact, inverted)| LogFilter::Header { name, exact, inverted }),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(LogFilter::All),
            vec(inner, 2..4).prop_map(LogFilter::Any),
        ]
    })
    .boxed()
}

/// A node as it describes itself.
pub fn node() -> BoxedStrategy<Node> {
    let label = "[a-z][a-z0-9-]{0,10}";
    let target = prop_oneof![Just(Target::Weir), Just(Target::Envoy), Just(Target::Grpc)];
    let inbound = (of(label), address(), address()).prop_map(|(name, listen, app)| Inbound {
        name: name.unwrap_or_default(),
        listen,
        app,
    });
    let account = prop_oneof![Just(weir_model::mesh::SERVICE_ACCOUNT.to_owned()), label];
    let identity = (name(), target, label, of(label), account, locality());
    let listeners = (of(address()), btree_map(address(), name(), 0..3), vec(inbound, 0..3));
    let upstream = (label, label).prop_map(|(namespace, name)| format!("{namespace}/{name}"));
    let wishes =
        (btree_map(label, "[ -~]{0,10}", 0..3), btree_set(upstream, 0..3), of(fraction()), any::<bool>());
    (identity, listeners, wishes)
        .prop_map(
            |(
                (id, target, namespace, service, service_account, locality),
                (outbound, outbound_tcp, inbound),
                (labels, upstreams, sampling, access_log),
            )| Node {
                id,
                target,
                namespace,
                service: service.unwrap_or_default(),
                service_account,
                labels,
                locality,
                outbound,
                outbound_tcp,
                inbound,
                upstreams,
                uses: Default::default(),
                sampling,
                access_log,
            },
        )
        .boxed()
}

fn thresholds() -> BoxedStrategy<Thresholds> {
    let budget = (0..=1_000_000u32, any::<u32>())
        .prop_map(|(parts_per_million, min_concurrency)| RetryBudget { parts_per_million, min_concurrency });
    (any::<(u32, u32, u32)>(), budget)
        .prop_map(|((max_connections, max_pending, max_requests), retry_budget)| Thresholds {
            max_connections,
            max_pending,
            max_requests,
            retry_budget,
        })
        .boxed()
}

fn cluster_kind() -> BoxedStrategy<ClusterKind> {
    let label = "[a-z][a-z0-9-]{0,20}";
    prop_oneof![
        (label, label, any::<u16>()).prop_map(|(namespace, name, port)| ClusterKind::Service {
            namespace,
            name,
            port
        }),
        Just(ClusterKind::Application),
        Just(ClusterKind::Unknown),
    ]
    .boxed()
}

fn load_balancing() -> BoxedStrategy<LoadBalancing> {
    let ring = (of(0..=limits::RING_POINTS), of(limits::RING_POINTS..=8_388_608))
        .prop_map(|(minimum, maximum)| LoadBalancing::RingHash(RingSize { minimum, maximum }));
    let table_size = of(prop_oneof![Just(2u32), Just(251), Just(65_537), Just(limits::MAGLEV_SLOTS)]);
    prop_oneof![
        Just(LoadBalancing::RoundRobin),
        Just(LoadBalancing::Random),
        (2..10u32).prop_map(|choices| LoadBalancing::LeastRequest { choices }),
        (duration(), duration())
            .prop_map(|(decay, default_rtt)| LoadBalancing::PeakEwma { decay, default_rtt }),
        ring,
        table_size.prop_map(|table_size| LoadBalancing::Maglev { table_size }),
    ]
    .boxed()
}

fn circuit_breakers() -> BoxedStrategy<CircuitBreakers> {
    let connection = (of(1..u32::MAX), of(duration()), of(1..=u32::MAX >> 1), of(clusters::keepalive()))
        .prop_map(|(max_requests, max_duration, max_streams, keepalive)| ConnectionLimits {
            max_requests,
            max_duration,
            max_streams,
            keepalive,
        });
    (thresholds(), thresholds(), of(any::<u32>()), connection)
        .prop_map(|(thresholds, high, max_endpoint_connections, connection)| CircuitBreakers {
            max_connections: thresholds.max_connections,
            max_pending: thresholds.max_pending,
            max_requests: thresholds.max_requests,
            retry_budget: thresholds.retry_budget,
            high,
            max_endpoint_connections,
            connection,
        })
        .boxed()
}

fn locality_endpoints() -> BoxedStrategy<LocalityEndpoints> {
    let health = prop_oneof![
        Just(Health::Healthy),
        Just(Health::Degraded),
        Just(Health::Draining),
        Just(Health::Unhealthy)
    ];
    let endpoint = (address(), "[a-z0-9/-]{0,20}", health, 1..u32::MAX, clusters::details()).prop_map(
        |(address, workload, health, weight, mut details)| {
            // An address that is the endpoint's own is none of its own.
            details.check_address = details.check_address.filter(|check| *check != address);
            // Both are metadata, which is a map as well.
            let workload = if details.labels.is_empty() { workload } else { String::new() };
            Endpoint { details: details.boxed(), address, workload, health, weight }
        },
    );
    (locality(), 0..=127u32, 1..u32::MAX, vec(endpoint, 0..5))
        .prop_map(|(locality, priority, weight, endpoints)| LocalityEndpoints {
            locality,
            priority,
            weight,
            endpoints,
        })
        .boxed()
}

/// A locality, possibly empty.
pub fn locality() -> BoxedStrategy<Locality> {
    let part = "[a-z0-9-]{0,8}";
    (part, part, part).prop_map(|(region, zone, sub_zone)| Locality { region, zone, sub_zone }).boxed()
}

fn route_source() -> BoxedStrategy<RouteSource> {
    prop_oneof![name().prop_map(RouteSource::Rds), route_configuration().prop_map(RouteSource::Inline)]
        .boxed()
}

fn string_match() -> BoxedStrategy<StringMatch> {
    prop_oneof![
        "[ -~]{0,20}".prop_map(StringMatch::Exact),
        regex().prop_map(StringMatch::Regex),
        Just(StringMatch::Present),
    ]
    .boxed()
}

/// A name: of a resource, a host, a service.
pub fn name() -> BoxedStrategy<String> {
    "[a-z*][a-zA-Z0-9./:_*-]{0,30}".boxed()
}

fn path() -> BoxedStrategy<String> {
    "/[a-zA-Z0-9./%_~-]{0,20}".boxed()
}

/// A path prefix of whole segments.
pub fn prefix() -> BoxedStrategy<String> {
    prop_oneof![Just("/".to_owned()), "(/[a-z0-9.+_$(-]{1,6}){1,4}"].boxed()
}

fn regex() -> BoxedStrategy<String> {
    "[a-z/]{1,8}(\\.\\*|\\[0-9\\]\\+|\\(x\\|y\\))?".boxed()
}

fn header_name() -> BoxedStrategy<HeaderName> {
    "[a-z][a-z0-9-]{0,15}"
        .prop_map(|name| HeaderName::from_bytes(name.as_bytes()).expect("letters, digits and dashes"))
        .boxed()
}

fn header_value() -> BoxedStrategy<HeaderValue> {
    let byte = prop_oneof![8 => 0x20..0x7fu8, 1 => Just(b'%'), 1 => 0x80..=0xffu8];
    vec(byte, 0..20).prop_map(|bytes| HeaderValue::from_bytes(&bytes).expect("no control characters")).boxed()
}

fn method() -> BoxedStrategy<Method> {
    let other = "[A-Z]{1,8}".prop_map(|method| Method::from_bytes(method.as_bytes()).expect("letters"));
    prop_oneof![Just(Method::GET), Just(Method::POST), other].boxed()
}

fn status() -> BoxedStrategy<StatusCode> {
    (100..1000u16).prop_map(|status| StatusCode::from_u16(status).expect("three digits")).boxed()
}

fn fraction() -> BoxedStrategy<Fraction> {
    (0..=1_000_000u32).prop_map(Fraction).boxed()
}

/// A duration longer than nothing, which is no limit on the wire.
fn duration() -> BoxedStrategy<Duration> {
    prop_oneof![
        3 => (1..100_000u64).prop_map(Duration::from_millis),
        1 => (1..u64::from(u32::MAX), 0..1_000_000_000u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos)),
    ]
    .boxed()
}

/// A socket address without scope.
pub fn address() -> BoxedStrategy<SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port)).boxed()
}
