//! What the model cannot say is refused, and the refusal names the field.

use super::pb::{self, core, google, route};
use super::*;
use crate::codec::cluster as cluster_codec;
use route::route::Action;
use route::route_action::ClusterSpecifier;
use route::route_match::PathSpecifier;

fn refused_routes(change: impl FnOnce(&mut route::Route)) -> String {
    let mut message = super::route::encode(&routes(forward()), Target::Weir);
    change(&mut message.virtual_hosts[0].routes[0]);
    let error = decode(&wire::pack(&message)).unwrap_err();
    assert_eq!(error.resource, "outbound/default/reviews:9080");
    assert!(!error.message.is_empty());
    error.field
}

fn refused_action(change: impl FnOnce(&mut route::RouteAction)) -> String {
    refused_routes(|route| match &mut route.action {
        Some(Action::Route(action)) => change(action),
        other => panic!("{other:?}"),
    })
}

fn refused_cluster(change: impl FnOnce(&mut pb::cluster::Cluster)) -> String {
    let mut message = cluster_codec::encode(&cluster());
    change(&mut message);
    decode(&wire::pack(&message)).unwrap_err().field
}

fn refused_listener(change: impl FnOnce(&mut pb::hcm::HttpConnectionManager)) -> String {
    let http = weir_model::HttpListener {
        manner: None,
        limits: Default::default(),
        routes: RouteSource::Rds("outbound".to_owned()),
        tracing: None,
        access_log: None,
        detection: None,
        filters: None,
        paths: weir_model::Paths::NONE,
        forwarded: weir_model::Forwarded::Pass,
    };
    let mut manager = super::http::encode("x", &http, Target::Envoy);
    change(&mut manager);
    let filter = pb::listener::Filter {
        name: "hcm".to_owned(),
        config_type: Some(pb::listener::filter::ConfigType::TypedConfig(wire::pack(&manager))),
    };
    let message = pb::listener::Listener {
        name: "x".to_owned(),
        address: Some(wire::address(([127, 0, 0, 1], 1).into())),
        filter_chains: vec![pb::listener::FilterChain { filters: vec![filter], ..Default::default() }],
        ..Default::default()
    };
    decode(&wire::pack(&message)).unwrap_err().field
}

#[test]
fn unknown_route_actions() {
    let action =
        refused_action(|it| it.cluster_specifier = Some(ClusterSpecifier::ClusterHeader("x-to".to_owned())));
    assert_eq!(action, "virtual_hosts[0].routes[0].route.cluster_header");
    let filter = refused_routes(|it| it.action = Some(Action::NonForwardingAction(Default::default())));
    assert_eq!(filter, "virtual_hosts[0].routes[0].non_forwarding_action");
    assert_eq!(refused_routes(|it| it.action = None), "virtual_hosts[0].routes[0].action");
}

#[test]
fn what_would_change_a_request() {
    assert_eq!(
        refused_action(|it| it.hash_policy.push(Default::default())),
        "virtual_hosts[0].routes[0].route.hash_policy[0].policy_specifier"
    );
    assert_eq!(refused_action(|it| it.priority = 2), "virtual_hosts[0].routes[0].route.priority");
    let mirror = refused_action(|it| it.request_mirror_policies.push(Default::default()));
    assert_eq!(mirror, "virtual_hosts[0].routes[0].route.request_mirror_policies[0].cluster");
    let retries = refused_action(|it| it.retry_policy.as_mut().unwrap().num_retries = wire::wrap(11));
    assert_eq!(retries, "virtual_hosts[0].routes[0].route.retry_policy.num_retries");
    let word = refused_action(|it| it.retry_policy.as_mut().unwrap().retry_on.push_str(",retriable-3xx"));
    assert_eq!(word, "virtual_hosts[0].routes[0].route.retry_policy.retry_on");
    let group = refused_action(|it| {
        it.regex_rewrite = Some(pb::matcher::RegexMatchAndSubstitute {
            pattern: Some(text::regex("")),
            substitution: "/\\1".to_owned(),
        });
    });
    assert_eq!(group, "virtual_hosts[0].routes[0].route.regex_rewrite.pattern.regex");
}

#[test]
fn conditions_that_cannot_be_checked() {
    let part = refused_routes(|it| {
        let header = route::HeaderMatcher { name: ":protocol".to_owned(), ..Default::default() };
        it.r#match.as_mut().unwrap().headers.push(header);
    });
    assert_eq!(part, "virtual_hosts[0].routes[0].match.headers[0].name");
    let metadata =
        refused_routes(|it| it.r#match.as_mut().unwrap().dynamic_metadata.push(Default::default()));
    assert_eq!(metadata, "virtual_hosts[0].routes[0].match.dynamic_metadata");
    // Conditions of retries are on header fields, and that they are there.
    let retriable = refused_action(|it| {
        let header = route::HeaderMatcher { name: "x".to_owned(), invert_match: true, ..Default::default() };
        it.retry_policy.as_mut().unwrap().retriable_headers.push(header);
    });
    assert_eq!(retriable, "virtual_hosts[0].routes[0].route.retry_policy.retriable_headers[1].invert_match");
    let slash = refused_routes(|it| {
        it.r#match.as_mut().unwrap().path_specifier =
            Some(PathSpecifier::PathSeparatedPrefix("/a/".to_owned()));
    });
    assert_eq!(slash, "virtual_hosts[0].routes[0].match.path_separated_prefix");
    let regex = "a".repeat(limits::REGEX_BYTES + 1);
    let long = refused_routes(|it| {
        it.r#match.as_mut().unwrap().path_specifier = Some(PathSpecifier::SafeRegex(text::regex(&regex)));
    });
    assert_eq!(long, "virtual_hosts[0].routes[0].match.safe_regex.regex");
}

#[test]
fn header_changes_that_cannot_be_made() {
    let option = |key: &str, value: &str, append_action| pb::core::HeaderValueOption {
        header: Some(pb::core::HeaderValue {
            key: key.to_owned(),
            value: value.to_owned(),
            ..Default::default()
        }),
        append_action,
        ..Default::default()
    };
    for value in ["%METADATA(ROUTE:a)%", "%REQ(y)", "50%", "a\nb", "%PROTOCOL% a\nb"] {
        let refused = refused_routes(|it| it.request_headers_to_add.push(option("x", value, 0)));
        assert_eq!(refused, "virtual_hosts[0].routes[0].request_headers_to_add[0].header.value", "{value}");
    }
    let action = refused_routes(|it| it.response_headers_to_add.push(option("x", "1", 7)));
    assert_eq!(action, "virtual_hosts[0].routes[0].response_headers_to_add[0].append_action");
    let twice = refused_routes(|it| {
        it.response_headers_to_add.push(option("x", "1", 2));
        #[allow(deprecated)]
        let old = &mut it.response_headers_to_add[0].append;
        *old = Some(google::BoolValue { value: true });
    });
    assert_eq!(twice, "virtual_hosts[0].routes[0].response_headers_to_add[0].append");
    let part = refused_routes(|it| it.response_headers_to_add.push(option(":status", "1", 2)));
    assert_eq!(part, "virtual_hosts[0].routes[0].response_headers_to_add[0].header.key");
}

#[test]
fn clusters() {
    let secure = refused_cluster(|it| it.transport_socket = Some(Default::default()));
    assert_eq!(secure, "transport_socket");
    assert_eq!(refused_cluster(|it| it.name.clear()), "name");
    let wherever = pb::cluster::cluster::ClusterDiscoveryType::Type(4);
    assert_eq!(refused_cluster(|it| it.cluster_discovery_type = Some(wherever)), "type");
    let budget = refused_cluster(|it| {
        let threshold = &mut it.circuit_breakers.as_mut().unwrap().thresholds[0];
        threshold.retry_budget.as_mut().unwrap().budget_percent = Some(pb::kind::Percent { value: f64::NAN });
    });
    assert_eq!(budget, "circuit_breakers.thresholds[0].retry_budget.budget_percent");
    let negative = Some(google::Duration { seconds: -1, nanos: 0 });
    assert_eq!(refused_cluster(|it| it.connect_timeout = negative), "connect_timeout");
    assert_eq!(
        refused_cluster(|it| it.load_balancing_policy.as_mut().unwrap().policies.clear()),
        "load_balancing_policy.policies"
    );
}

#[test]
fn listeners() {
    let chain = "filter_chains[0].filters[0].typed_config";
    let filter = refused_listener(|it| {
        let any = google::Any {
            type_url: "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua".to_owned(),
            value: vec![],
        };
        it.http_filters.insert(
            0,
            pb::hcm::HttpFilter {
                name: "lua".to_owned(),
                config_type: Some(pb::hcm::http_filter::ConfigType::TypedConfig(any)),
                ..Default::default()
            },
        );
    });
    assert_eq!(filter, format!("{chain}.http_filters[0].typed_config"));
    assert_eq!(refused_listener(|it| it.http_filters.clear()), format!("{chain}.http_filters"));
    let unknown = refused_listener(|it| it.path_with_escaped_slashes_action = 99);
    assert_eq!(unknown, format!("{chain}.path_with_escaped_slashes_action"));
    // Without use_remote_address it would say which address a request comes from.
    assert_eq!(refused_listener(|it| it.xff_num_trusted_hops = 1), format!("{chain}.xff_num_trusted_hops"));
    assert_eq!(refused_listener(|it| it.via = "a\nb".to_owned()), format!("{chain}.via"));
    assert_eq!(refused_listener(|it| it.proxy_100_continue = true), format!("{chain}.proxy_100_continue"));
    assert_eq!(
        refused_listener(|it| it.server_header_transformation = 9),
        format!("{chain}.server_header_transformation")
    );
    let large = refused_listener(|it| it.max_request_headers_kb = wire::wrap(1025));
    assert_eq!(large, format!("{chain}.max_request_headers_kb"));
    let http1 = |options: pb::core::Http1ProtocolOptions| {
        refused_listener(|it| it.http_protocol_options = Some(options))
    };
    let relative = pb::core::Http1ProtocolOptions {
        allow_absolute_url: Some(google::BoolValue { value: false }),
        ..Default::default()
    };
    assert_eq!(http1(relative), format!("{chain}.http_protocol_options.allow_absolute_url"));
    let lengths = pb::core::Http1ProtocolOptions { allow_chunked_length: true, ..Default::default() };
    assert_eq!(http1(lengths), format!("{chain}.http_protocol_options.allow_chunked_length"));
    let pings = refused_listener(|it| {
        let connection_keepalive = Some(pb::core::KeepaliveSettings::default());
        it.http2_protocol_options =
            Some(pb::core::Http2ProtocolOptions { connection_keepalive, ..Default::default() });
    });
    assert_eq!(pings, format!("{chain}.http2_protocol_options.connection_keepalive"));
    let both = refused_listener(|it| {
        use pb::hcm::http_connection_manager::StripPortMode::StripAnyHostPort;
        (it.strip_matching_host_port, it.strip_port_mode) = (true, Some(StripAnyHostPort(true)));
    });
    assert_eq!(both, format!("{chain}.strip_matching_host_port"));
    assert_eq!(refused_listener(|it| it.route_specifier = None), format!("{chain}.route_specifier"));
}

/// What Envoy leaves as it comes by default is left so here too, whatever weir's own listeners say.
#[test]
fn paths_and_forwarding_are_as_the_listener_says() {
    use weir_model::{EscapedSlashes, Forwarded, Paths};
    let decoded = |change: &dyn Fn(&mut pb::hcm::HttpConnectionManager)| {
        let http = weir_model::HttpListener {
            manner: None,
            limits: Default::default(),
            routes: RouteSource::Rds("r".to_owned()),
            tracing: None,
            access_log: None,
            detection: None,
            filters: None,
            paths: Paths::NONE,
            forwarded: Forwarded::Pass,
        };
        let mut manager = super::http::encode("x", &http, Target::Weir);
        change(&mut manager);
        let http = super::http::decode(&manager).unwrap();
        (http.paths, http.forwarded)
    };
    let on = || Some(google::BoolValue { value: true });
    assert_eq!(decoded(&|_| {}), (Paths::NONE, Forwarded::Pass));
    let off = google::BoolValue { value: false };
    let all_off = |it: &mut pb::hcm::HttpConnectionManager| {
        (it.normalize_path, it.use_remote_address) = (Some(off), Some(off));
        (it.path_with_escaped_slashes_action, it.skip_xff_append) = (1, true);
    };
    assert_eq!(decoded(&all_off), (Paths::NONE, Forwarded::Pass));
    assert_eq!(decoded(&|it| it.normalize_path = on()).0, Paths::BASE);
    assert!(decoded(&|it| it.merge_slashes = true).0.merge_slashes);
    for (action, expected) in
        [(2, EscapedSlashes::Reject), (3, EscapedSlashes::Redirect), (4, EscapedSlashes::Forward)]
    {
        assert_eq!(decoded(&|it| it.path_with_escaped_slashes_action = action).0.escaped_slashes, expected);
    }
    let edge = decoded(&|it| {
        (it.use_remote_address, it.xff_num_trusted_hops, it.skip_xff_append) = (on(), 2, true);
    });
    assert_eq!(edge.1, Forwarded::Edge { trusted_hops: 2, append: false });
}

#[test]
fn an_optional_filter_may_be_unknown() {
    let http = weir_model::HttpListener {
        manner: None,
        limits: Default::default(),
        routes: RouteSource::Rds("r".to_owned()),
        tracing: None,
        access_log: Some(std::sync::Arc::default()),
        detection: None,
        filters: None,
        paths: weir_model::Paths::NONE,
        forwarded: weir_model::Forwarded::Pass,
    };
    let mut manager = super::http::encode("x", &http, Target::Weir);
    manager
        .http_filters
        .insert(0, pb::hcm::HttpFilter { name: "x".to_owned(), is_optional: true, ..Default::default() });
    assert_eq!(super::http::decode(&manager), Ok(http));
}

#[test]
fn endpoints_without_weight_or_with_names() {
    let endpoints = weir_model::Endpoints {
        drops: Vec::new(),
        weighted_priority_health: false,
        name: "a".to_owned(),
        overprovisioning: weir_model::OVERPROVISIONING,
        localities: vec![weir_model::LocalityEndpoints {
            locality: Default::default(),
            priority: 0,
            weight: 1,
            endpoints: vec![weir_model::Endpoint {
                details: None,
                address: ([127, 0, 0, 1], 80).into(),
                workload: "w".to_owned(),
                health: Default::default(),
                weight: 1,
            }],
        }],
    };
    let mut message = super::endpoints::encode(&endpoints);
    message.endpoints[0].lb_endpoints[0].load_balancing_weight = wire::wrap(0);
    let error = decode(&wire::pack(&message)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a: endpoints[0].lb_endpoints[0].load_balancing_weight: must be at least 1"
    );
    message = super::endpoints::encode(&endpoints);
    message.endpoints[0].priority = 128;
    assert_eq!(decode(&wire::pack(&message)).unwrap_err().field, "endpoints[0].priority");
}

#[test]
fn foreign_forms_that_mean_the_same_are_understood() {
    let mut message = super::route::encode(&routes(forward()), Target::Weir);
    message.virtual_hosts[0].routes[0].r#match.as_mut().unwrap().path_specifier =
        Some(PathSpecifier::Prefix("/a.b".to_owned()));
    if let Some(Action::Route(action)) = &mut message.virtual_hosts[0].routes[0].action {
        action.timeout = None;
        action.retry_policy.as_mut().unwrap().retry_on = "5xx".to_owned();
    }
    let Ok(Resource::Route(decoded)) = decode(&wire::pack(&message)) else { panic!() };
    let route = &decoded.virtual_hosts[0].routes[0];
    assert_eq!(route.matches.path, PathMatch::Characters("/a.b".to_owned()));
    let RouteAction::Forward(forward) = &route.action else { panic!() };
    assert_eq!(forward.timeouts.request, Some(std::time::Duration::from_secs(15)));
    assert_eq!(forward.retry.as_ref().unwrap().on.statuses.len(), 100);
}

/// On the wire removing comes before adding, and a weighted cluster's changes before its route's.
#[test]
fn header_changes_are_read_in_envoys_order() {
    let option = |name: &str, value: &str, action: core::header_value_option::HeaderAppendAction| {
        core::HeaderValueOption {
            header: Some(core::HeaderValue {
                key: name.to_owned(),
                value: value.to_owned(),
                ..Default::default()
            }),
            append_action: action as i32,
            ..Default::default()
        }
    };
    let add = core::header_value_option::HeaderAppendAction::AppendIfExistsOrAdd;
    let set = core::header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd;
    let mut message = super::route::encode(&routes(forward()), Target::Weir);
    let route = &mut message.virtual_hosts[0].routes[0];
    route.request_headers_to_add = vec![option("x-a", "route", add), option("x-b", "route", set)];
    route.request_headers_to_remove = vec!["x-a".to_owned(), "x-c".to_owned()];
    if let Some(Action::Route(action)) = &mut route.action {
        let cluster = |name: &str| pb::route::weighted_cluster::ClusterWeight {
            name: name.to_owned(),
            weight: wire::wrap(1),
            request_headers_to_add: vec![
                option("x-b", name, add),
                option("x-c", name, add),
                option("x-d", name, add),
            ],
            ..Default::default()
        };
        let clusters = vec![cluster("one"), cluster("two")];
        action.cluster_specifier =
            Some(pb::route::route_action::ClusterSpecifier::WeightedClusters(pb::route::WeightedCluster {
                clusters,
                ..Default::default()
            }));
    }
    let Ok(Resource::Route(decoded)) = decode(&wire::pack(&message)) else { panic!() };
    let route = &decoded.virtual_hosts[0].routes[0];
    assert!(route.request_headers.is_empty(), "the clusters do it");
    let RouteAction::Forward(forward) = &route.action else { panic!() };
    let changes = &forward.clusters[1].request_headers;
    let said = |list: &[(weir_model::HeaderName, weir_model::HeaderValue)]| -> Vec<String> {
        list.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect()
    };
    assert_eq!(said(&changes.set), ["x-b=route", "x-a=route"]);
    assert_eq!(said(&changes.add), ["x-d=two"]);
    assert_eq!(changes.remove, ["x-c"]);
}
