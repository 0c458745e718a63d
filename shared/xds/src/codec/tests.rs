use super::*;
use crate::strategies;
use ::http::StatusCode;
use proptest::prelude::*;
use weir_model::{
    Cluster, Discovery, LoadBalancing, PathMatch, RetryOn, RouteAction, RouteConfiguration, RouteSource,
    VirtualHost,
};

mod affinity;
mod chains;
mod clusters;
mod envoy;
mod filters;
mod health;
mod logs;
mod mirror;
mod refused;
mod retries;
mod shape;

/// What a value becomes on its way through another target's messages.
fn lowered(mut resource: Resource, target: Target) -> Resource {
    if let Resource::Listener(listener) = &mut resource {
        use access_log::Protocol::{Http, Tcp};
        // A format of weir's own is told as what it says.
        let told = |log: &mut Option<_>, protocol| {
            *log = access_log::decode(&access_log::encode(log.as_ref(), protocol, target)).unwrap();
        };
        let lowered_http = |http: &mut weir_model::HttpListener| {
            if target != Target::Weir {
                // Others go on doing what they do unasked.
                let manner = http.manner.get_or_insert_default();
                let manner = std::sync::Arc::make_mut(manner);
                manner.request_id.generate = true;
                manner.upgrades.get_or_insert_with(|| vec!["websocket".to_owned()]);
            }
            told(&mut http.access_log, Http);
            let otherwise = http.detection.as_mut().map(|detection| &mut detection.otherwise);
            otherwise.into_iter().for_each(|tcp| told(&mut tcp.access_log, Tcp));
        };
        match &mut listener.kind {
            weir_model::ListenerKind::Http(http) => lowered_http(http),
            weir_model::ListenerKind::Tcp(tcp) => told(&mut tcp.access_log, Tcp),
            weir_model::ListenerKind::Chains(chains) => {
                let kinds =
                    chains.chains.iter_mut().map(|chain| &mut chain.kind).chain(&mut chains.otherwise);
                for kind in kinds {
                    match kind {
                        weir_model::ChainKind::Tcp(tcp) => told(&mut tcp.access_log, Tcp),
                        weir_model::ChainKind::Http(http) => lowered_http(http),
                    }
                }
            }
        }
    }
    let routes = match &mut resource {
        Resource::Route(routes) => routes,
        Resource::Listener(weir_model::Listener { kind: weir_model::ListenerKind::Http(http), .. }) => {
            match &mut http.routes {
                RouteSource::Inline(routes) => routes,
                RouteSource::Rds(_) => return resource,
            }
        }
        _ => return resource,
    };
    if target == Target::Grpc {
        for host in &mut routes.virtual_hosts {
            host.filters = None;
            host.routes.iter_mut().for_each(|route| route.filters = None);
        }
    }
    let envoys_order = routes.in_envoys_order();
    for route in routes.virtual_hosts.iter_mut().flat_map(|host| &mut host.routes) {
        // Only weir is told what answers instead.
        if let (RouteAction::Forward(forward), Target::Envoy | Target::Grpc) = (&mut route.action, target) {
            forward.fallback = None;
            forward.timeouts.from_head = false;
        }
        // What is removed in the end is not added before.
        let mut mutations = vec![&mut route.request_headers, &mut route.response_headers];
        if let RouteAction::Forward(forward) = &mut route.action {
            let split = forward.clusters.iter_mut();
            mutations.extend(split.flat_map(|it| [&mut it.request_headers, &mut it.response_headers]));
        }
        for mutation in mutations {
            mutation.set.retain(|(name, _)| !mutation.remove.contains(name));
            mutation.add.retain(|(name, _)| !mutation.remove.contains(name));
        }
        if let (RouteAction::Forward(weir_model::Forward { retry: Some(retry), .. }), Target::Envoy) =
            (&mut route.action, target)
            && std::mem::take(&mut retry.on.reset)
        {
            // Only what was not sent is repeated whatever its method.
            retry.on.connect_failure = true;
        }
        // Only weir is told what answers instead.
        if let (RouteAction::Forward(forward), Target::Envoy | Target::Grpc) = (&mut route.action, target) {
            forward.fallback = None;
            forward.timeouts.from_head = false;
        }
        match (&mut route.action, target) {
            (RouteAction::Forward(forward), Target::Envoy)
                if !envoys_order && forward::changes_again(forward, &route.request_headers) =>
            {
                let before = std::mem::take(&mut route.request_headers);
                for cluster in &mut forward.clusters {
                    let later = std::mem::take(&mut cluster.request_headers);
                    let (add, remove) = header::encode_both(&before, &later);
                    cluster.request_headers = header::decode("request", &add, &remove).unwrap();
                }
            }
            (RouteAction::Forward(forward), Target::Grpc) => {
                // No limit per attempt without a policy, and no policy of nothing.
                let none = forward.retry.as_ref().is_none_or(|retry| retry.attempts == 0);
                let timeouts = &mut forward.timeouts;
                if none {
                    (forward.retry, timeouts.backend_request, timeouts.attempt_idle) = (None, None, None);
                }
                if let Some(retry) = &mut forward.retry {
                    (retry.hedge, retry.avoid_tried, retry.on.rate_limited) = (false, false, false);
                }
                timeouts.stream = timeouts.request.take().or(timeouts.stream);
                timeouts.grpc = weir_model::GrpcTimeout::default();
            }
            _ => {}
        }
        if let (PathMatch::Prefix(prefix), Target::Grpc) = (&route.matches.path, target)
            && prefix != "/"
        {
            route.matches.path = match prefix.matches('/').count() {
                2 => PathMatch::Exact(prefix.clone()),
                _ => PathMatch::Characters(format!("{prefix}/")),
            };
        }
    }
    resource
}

/// gRPC cannot rewrite paths, and what it is told instead of a segment prefix cannot carry the rewrite.
fn without_rewrites(mut resource: Resource) -> Resource {
    if let Resource::Route(routes) = &mut resource {
        for route in routes.virtual_hosts.iter_mut().flat_map(|host| &mut host.routes) {
            match &mut route.action {
                RouteAction::Forward(forward) => {
                    forward.rewrite.path = None;
                    // It has no sessions.
                    forward.affinity = forward
                        .affinity
                        .take()
                        .map(|it| Box::new(weir_model::Affinity { session: None, ..*it }));
                    forward.affinity = forward.affinity.take().filter(|it| !it.is_empty());
                }
                RouteAction::Redirect(redirect) => redirect.path = None,
                RouteAction::Direct(_) => {}
            }
        }
    }
    resource
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn decoding_undoes_encoding(resource in strategies::resource()) {
        prop_assert_eq!(decode(&encode(&resource, Target::Weir)), Ok(resource));
    }

    #[test]
    fn envoy_gets_the_same_but_for_the_order_of_header_changes(resource in strategies::resource()) {
        prop_assert_eq!(decode(&encode(&resource, Target::Envoy)), Ok(lowered(resource, Target::Envoy)));
    }

    #[test]
    fn grpc_gets_the_same_but_for_prefixes_and_empty_policies(
        routes in strategies::route_configuration().prop_map(Resource::Route),
    ) {
        let routes = without_rewrites(routes);
        prop_assert_eq!(decode(&encode(&routes, Target::Grpc)), Ok(lowered(routes, Target::Grpc)));
    }

    #[test]
    fn encoding_is_deterministic(resource in strategies::resource()) {
        for target in [Target::Weir, Target::Envoy, Target::Grpc] {
            prop_assert_eq!(encode(&resource, target), encode(&resource.clone(), target));
        }
    }

    #[test]
    fn random_bytes_never_panic(kind in 0..4usize, value in proptest::collection::vec(any::<u8>(), 0..200)) {
        let type_url = type_url(ResourceType::ALL[kind]).to_owned();
        let _ = decode(&Any { type_url, value });
    }

    #[test]
    fn damaged_messages_never_panic(
        resource in strategies::resource(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut any = encode(&resource, Target::Weir);
        for (index, byte) in damage {
            let index = index.index(any.value.len());
            any.value[index] = byte;
        }
        // If it is understood at all, what was understood can be said again.
        if let Ok(damaged) = decode(&any) {
            prop_assert!(decode(&encode(&damaged, Target::Weir)).is_ok());
        }
    }

    #[test]
    fn names_are_never_lost(resource in strategies::resource()) {
        let decoded = decode(&encode(&resource, Target::Envoy)).unwrap();
        prop_assert_eq!(decoded.name(), resource.name());
        prop_assert_eq!(decoded.kind(), resource.kind());
    }
}

#[test]
fn type_urls_are_those_of_the_messages() {
    assert_eq!(type_url(ResourceType::Cluster), pb::cluster::Cluster::type_url());
    assert_eq!(type_url(ResourceType::Endpoints), pb::endpoint::ClusterLoadAssignment::type_url());
    assert_eq!(type_url(ResourceType::Listener), pb::listener::Listener::type_url());
    assert_eq!(type_url(ResourceType::Route), pb::route::RouteConfiguration::type_url());
    for kind in ResourceType::ALL {
        assert_eq!(kind_of(type_url(kind)), Some(kind));
    }
    assert_eq!(kind_of("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"), None);
}

/// A cluster as simple as it gets.
fn cluster() -> Cluster {
    Cluster {
        subsets: None,
        name: "outbound/default/reviews:9080".to_owned(),
        kind: weir_model::ClusterKind::Service {
            namespace: "default".to_owned(),
            name: "reviews".to_owned(),
            port: 9080,
        },
        discovery: Discovery::Eds("outbound/default/reviews:9080".to_owned()),
        load_balancing: LoadBalancing::LeastRequest { choices: 2 },
        http: weir_model::HttpVersion::Downstream,
        connect_timeout: std::time::Duration::from_secs(1),
        idle_timeout: std::time::Duration::from_secs(60),
        circuit_breakers: weir_model::CircuitBreakers::default(),
        health: Default::default(),
        spread: Default::default(),
    }
}

/// A route configuration with one route.
fn routes(route: weir_model::Route) -> RouteConfiguration {
    let host = VirtualHost {
        name: "reviews".to_owned(),
        domains: vec!["*".to_owned()],
        routes: vec![route],
        filters: None,
        options: None,
    };
    RouteConfiguration {
        name: "outbound/default/reviews:9080".to_owned(),
        virtual_hosts: vec![host],
        options: None,
    }
}

/// A route to one cluster.
fn forward() -> weir_model::Route {
    weir_model::Route {
        name: "HTTPRoute default/reviews rule 0 match 0".to_owned(),
        stat_prefix: "HTTPRoute default/reviews".to_owned(),
        matches: weir_model::RouteMatch::default(),
        action: RouteAction::Forward(weir_model::Forward {
            clusters: vec![weir_model::WeightedCluster {
                subset: None,
                cluster: "outbound/default/reviews:9080".to_owned(),
                weight: 1,
                request_headers: Default::default(),
                response_headers: Default::default(),
            }],
            rewrite: Default::default(),
            timeouts: Default::default(),
            retry: Some(weir_model::RetryPolicy {
                attempts: 2,
                on: RetryOn {
                    reset: true,
                    statuses: vec![StatusCode::BAD_GATEWAY],
                    grpc: vec![2, 14],
                    ..RetryOn::default()
                },
                backoff_base: std::time::Duration::from_millis(25),
                backoff_max: std::time::Duration::from_millis(250),
                ..weir_model::RetryPolicy::default()
            }),
            priority: Default::default(),
            affinity: None,
            mirrors: Vec::new(),
            fallback: None,
        }),
        request_headers: Default::default(),
        response_headers: Default::default(),
        filters: None,
    }
}

/// A list of one balancing policy.
fn cluster_policy(name: &str, config: pb::google::Any) -> pb::cluster::LoadBalancingPolicy {
    pb::cluster::LoadBalancingPolicy {
        policies: vec![pb::cluster::load_balancing_policy::Policy {
            typed_extension_config: Some(pb::core::TypedExtensionConfig {
                name: name.to_owned(),
                typed_config: Some(config),
            }),
        }],
    }
}
