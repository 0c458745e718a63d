//! What exactly is on the wire, where a stock client depends on it.

use super::pb::{hcm, listener, route};
use super::*;
use crate::codec::cluster as cluster_codec;
use ::http::Method;
use route::route::Action;
use route::route_action::ClusterSpecifier;
use route::route_match::PathSpecifier;
use std::time::Duration;
use weir_model::{Forward, PathRewrite, Route};

fn one(route: Route, target: Target) -> route::Route {
    super::route::encode(&routes(route), target).virtual_hosts.remove(0).routes.remove(0)
}

fn action(route: Route, target: Target) -> route::RouteAction {
    match one(route, target).action {
        Some(Action::Route(action)) => action,
        other => panic!("{other:?}"),
    }
}

fn with_path(path: PathMatch) -> Route {
    Route { matches: weir_model::RouteMatch { path, ..Default::default() }, ..forward() }
}

fn edit(route: &mut Route) -> &mut Forward {
    match &mut route.action {
        RouteAction::Forward(forward) => forward,
        _ => unreachable!("forward() forwards"),
    }
}

#[test]
fn no_request_timeout_is_said_because_absence_means_fifteen_seconds() {
    let action = action(forward(), Target::Envoy);
    assert_eq!(action.timeout, Some(pb::google::Duration::default()));
    assert_eq!(action.idle_timeout, None);
}

#[test]
fn grpc_reads_its_deadline_from_max_stream_duration() {
    let mut route = forward();
    edit(&mut route).timeouts.request = Some(Duration::from_secs(3));
    let limit = action(route.clone(), Target::Grpc).max_stream_duration.unwrap();
    assert_eq!(limit.max_stream_duration.unwrap().seconds, 3);
    assert_eq!(action(route, Target::Envoy).max_stream_duration, None);
}

#[test]
fn one_plain_cluster_is_said_plainly() {
    let name = "outbound/default/reviews:9080".to_owned();
    assert_eq!(action(forward(), Target::Envoy).cluster_specifier, Some(ClusterSpecifier::Cluster(name)));
}

#[test]
fn segment_prefixes_are_never_what_envoy_forbids() {
    let path = |prefix: &str, target| {
        one(with_path(PathMatch::Prefix(prefix.to_owned())), target).r#match.unwrap().path_specifier.unwrap()
    };
    assert_eq!(path("/", Target::Envoy), PathSpecifier::Prefix("/".to_owned()));
    assert_eq!(path("/v2", Target::Envoy), PathSpecifier::PathSeparatedPrefix("/v2".to_owned()));
    // gRPC's paths are /SERVICE/METHOD, and it knows no segment prefix.
    assert_eq!(path("/pkg.Service", Target::Grpc), PathSpecifier::Prefix("/pkg.Service/".to_owned()));
    assert_eq!(
        path("/pkg.Service/Method", Target::Grpc),
        PathSpecifier::Path("/pkg.Service/Method".to_owned())
    );
}

#[test]
fn methods_are_matched_as_pseudo_headers() {
    let mut route = forward();
    route.matches.method = Some(Method::PUT);
    let header = one(route, Target::Envoy).r#match.unwrap().headers.remove(0);
    assert_eq!(header.name, ":method");
}

/// What Envoy makes of a path, as its documentation has it.
fn rewritten(route: Route, path: &str) -> String {
    let matched = match &route.matches.path {
        PathMatch::Prefix(prefix) => prefix.clone(),
        _ => path.to_owned(),
    };
    let action = action(route, Target::Envoy);
    match action.regex_rewrite {
        None => format!("{}{}", action.prefix_rewrite, &path[matched.len()..]),
        Some(regex) => {
            let pattern = regex.pattern.unwrap().regex;
            let rest = match pattern.as_str() {
                "^.*$" => "",
                // `^PREFIX/?`
                _ => path[matched.len()..].strip_prefix('/').unwrap_or(&path[matched.len()..]),
            };
            format!("{}{rest}", regex.substitution)
        }
    }
}

#[test]
fn prefixes_are_replaced_as_the_gateway_api_says() {
    let cases = [
        // prefix, replacement, request, result
        ("/foo", "/xyz", "/foo/bar", "/xyz/bar"),
        ("/foo", "/xyz/", "/foo/bar", "/xyz/bar"),
        ("/foo", "/xyz", "/foo", "/xyz"),
        ("/foo", "/xyz", "/foo/", "/xyz/"),
        ("/foo", "", "/foo/bar", "/bar"),
        ("/foo", "", "/foo/", "/"),
        ("/foo", "", "/foo", "/"),
        ("/foo", "/", "/foo/", "/"),
        ("/foo", "/", "/foo", "/"),
        ("/foo", "/", "/foo/bar", "/bar"),
        ("/", "/xyz", "/bar", "/xyz/bar"),
        ("/", "/xyz", "/", "/xyz/"),
        ("/", "/", "/bar", "/bar"),
    ];
    for (prefix, replacement, request, expected) in cases {
        let mut route = with_path(PathMatch::Prefix(prefix.to_owned()));
        edit(&mut route).rewrite.path = Some(PathRewrite::Prefix(replacement.to_owned()));
        assert_eq!(rewritten(route, request), expected, "{prefix} -> {replacement:?} on {request}");
    }
}

#[test]
fn full_paths_are_replaced_literally() {
    let mut route = forward();
    edit(&mut route).rewrite.path = Some(PathRewrite::Full("/a\\1".to_owned()));
    let regex = action(route, Target::Envoy).regex_rewrite.unwrap();
    assert_eq!(regex.substitution, "/a\\\\1");
}

#[test]
fn only_a_stock_envoy_is_told_the_safe_word_for_resets() {
    let words = |target| action(forward(), target).retry_policy.unwrap().retry_on;
    assert_eq!(
        words(Target::Envoy),
        "reset-before-request,unavailable,retriable-status-codes,retriable-headers"
    );
    assert_eq!(words(Target::Weir), "reset,unavailable,retriable-status-codes,retriable-headers");
}

#[test]
fn per_cent_signs_in_header_values_are_no_commands() {
    let mut route = forward();
    let value = ::http::HeaderValue::from_static("100%REQ(x)%");
    route.request_headers.set = vec![(::http::HeaderName::from_static("x-share"), value)];
    let header = one(route, Target::Envoy).request_headers_to_add.remove(0).header.unwrap();
    assert_eq!(header.value, "100%%REQ(x)%%");
}

#[test]
fn every_policy_but_round_robin_leaves_grpc_something_it_knows() {
    let encoded = |load_balancing| cluster_codec::encode(&Cluster { load_balancing, ..cluster() });
    assert_eq!(encoded(LoadBalancing::RoundRobin).load_balancing_policy, None);
    assert_eq!(encoded(LoadBalancing::RoundRobin).lb_policy, 0);
    let second = Duration::from_secs(1);
    for policy in [
        LoadBalancing::Random,
        LoadBalancing::LeastRequest { choices: 2 },
        LoadBalancing::PeakEwma { decay: second, default_rtt: second },
        LoadBalancing::RingHash(weir_model::RingSize::default()),
        LoadBalancing::Maglev { table_size: None },
    ] {
        let message = encoded(policy);
        // Envoy refuses both forms together.
        assert_eq!(message.common_lb_config.unwrap().locality_config_specifier, None);
        let policies = message.load_balancing_policy.unwrap().policies;
        let last = policies.last().unwrap().typed_extension_config.as_ref().unwrap();
        assert!(last.typed_config.as_ref().unwrap().type_url.ends_with("WrrLocality"));
    }
}

#[test]
fn eds_clusters_ask_for_load_reports_and_localities_have_weights() {
    assert!(cluster_codec::encode(&cluster()).lrs_server.is_some());
    let weightless = weir_model::LocalityEndpoints {
        locality: weir_model::Locality::default(),
        priority: 0,
        weight: 0,
        endpoints: vec![],
    };
    let message = endpoints::encode(&weir_model::Endpoints {
        drops: Vec::new(),
        weighted_priority_health: false,
        name: "a".to_owned(),
        localities: vec![weightless],
        overprovisioning: weir_model::OVERPROVISIONING,
    });
    assert_eq!(message.endpoints[0].load_balancing_weight.unwrap().value, 1);
    assert!(message.endpoints[0].locality.is_some());
}

#[test]
fn a_named_listener_is_an_api_listener_with_a_router() {
    let listener = weir_model::Listener {
        name: "reviews:9080".to_owned(),
        address: None,
        direction: weir_model::Direction::Outbound,
        kind: weir_model::ListenerKind::Http(weir_model::HttpListener {
            manner: None,
            limits: Default::default(),
            routes: RouteSource::Rds("outbound/default/reviews:9080".to_owned()),
            tracing: None,
            access_log: None,
            detection: None,
            filters: None,
            paths: weir_model::Paths::NONE,
            forwarded: weir_model::Forwarded::Pass,
        }),
    };
    let message: listener::Listener = super::listener::encode(&listener, Target::Grpc);
    assert!(message.filter_chains.is_empty() && message.address.is_none());
    let manager: hcm::HttpConnectionManager =
        wire::unpack(&message.api_listener.unwrap().api_listener.unwrap()).unwrap();
    assert_eq!(manager.http_filters.len(), 1);
    assert_eq!(manager.stat_prefix, "reviews:9080");
    assert_eq!(manager.xff_num_trusted_hops, 0);
    assert_eq!(manager.stream_idle_timeout, Some(pb::google::Duration::default()));
    assert_eq!(manager.tracing, None);
    assert_eq!(manager.upgrade_configs[0].upgrade_type, "websocket");
}

/// What Envoy makes of a field: a cluster's changes, then the route's; each removes, then goes through its list.
fn changed(route: Route, value: &str) -> Vec<String> {
    let message = one(route, Target::Envoy);
    let Some(Action::Route(action)) = message.action else { panic!() };
    let Some(ClusterSpecifier::WeightedClusters(split)) = action.cluster_specifier else { panic!() };
    let cluster = &split.clusters[0];
    let mut values = vec![value.to_owned()];
    for (add, remove) in [
        (&cluster.request_headers_to_add, &cluster.request_headers_to_remove),
        (&message.request_headers_to_add, &message.request_headers_to_remove),
    ] {
        if !remove.is_empty() {
            values.clear();
        }
        for option in add {
            if option.append_action == 2 {
                values.clear();
            }
            values.push(option.header.as_ref().unwrap().value.clone());
        }
    }
    values
}

#[test]
fn a_cluster_changes_the_request_after_its_route() {
    let field =
        |value: &'static str| (::http::HeaderName::from_static("x"), ::http::HeaderValue::from_static(value));
    let mutation = |set: &[&'static str], add: &[&'static str], remove: bool| weir_model::HeaderMutation {
        set: set.iter().map(|value| field(value)).collect(),
        add: add.iter().map(|value| field(value)).collect(),
        remove: if remove { vec![field("").0] } else { vec![] },
        edits: None,
    };
    // set, then add, then remove; the route's first.
    let apply = |mutation: &weir_model::HeaderMutation, mut values: Vec<String>| {
        let text = |value: &::http::HeaderValue| value.to_str().unwrap().to_owned();
        for (_, value) in &mutation.set {
            values = vec![text(value)];
        }
        values.extend(mutation.add.iter().map(|(_, value)| text(value)));
        if mutation.remove.is_empty() { values } else { vec![] }
    };
    let all = || {
        [&[][..], &["1"]].into_iter().flat_map(|set| {
            [&[][..], &["2"], &["3", "4"]]
                .into_iter()
                .flat_map(move |add| [false, true].map(|remove| (set, add, remove)))
        })
    };
    for (set, add, remove) in all() {
        for (then_set, then_add, then_remove) in all() {
            let mut route = forward();
            route.request_headers = mutation(set, add, remove);
            let later = mutation(then_set, then_add, then_remove);
            let expected = apply(&later, apply(&route.request_headers, vec!["0".to_owned()]));
            edit(&mut route).clusters[0].weight = 2;
            edit(&mut route).clusters[0].request_headers = later;
            assert_eq!(changed(route.clone(), "0"), expected, "{route:?}");
        }
    }
}
