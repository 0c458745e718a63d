//! What the sidecar does not take: each resource is good for Envoy, and the sidecar must refuse it by the name of the field, rather than take
//! it and do something else. What it served before it goes on serving.

use weir_proto::envoy::envoy::config::accesslog::v3 as accesslog;
use weir_proto::envoy::envoy::config::core::v3 as core;
use weir_proto::envoy::google::protobuf as google;
use weir_tests::resources::{self, pack};

use crate::oracle::Oracle;
use crate::rules::{self, Rule, Text, everywhere, pb, prefix, regex};
use core::header_value_option::HeaderAppendAction;

/// Route configurations with the field that is not supported.
fn routes() -> Vec<(pb::RouteConfiguration, &'static str)> {
    let one = |rule: Rule| everywhere([rule]);
    let to = || prefix("/").to("alpha");
    let at = |change: fn(&mut pb::RouteMatch)| {
        let Rule(mut route) = to();
        change(route.r#match.get_or_insert_default());
        one(Rule(route))
    };
    let with = |change: fn(&mut pb::RouteAction)| one(to().with(change));
    let host = |change: fn(&mut pb::VirtualHost)| {
        let mut routes = one(to());
        change(&mut routes.virtual_hosts[0]);
        routes
    };
    let whole = |change: fn(&mut pb::RouteConfiguration)| {
        let mut routes = one(to());
        change(&mut routes);
        routes
    };
    let added = |action: HeaderAppendAction, value: &str| {
        let Rule(mut route) = to();
        route.request_headers_to_add.push(rules::option("x-new", value, action));
        one(Rule(route))
    };
    let mut body = prefix("/").answer(200, "said");
    if let Some(pb::route::Action::DirectResponse(direct)) = &mut body.0.action {
        direct.body_format = Some(core::SubstitutionFormatString {
            format: Some(core::substitution_format_string::Format::TextFormatSource(core::DataSource {
                specifier: Some(core::data_source::Specifier::InlineString("%LOCAL_REPLY_BODY%".to_owned())),
                ..Default::default()
            })),
            ..Default::default()
        });
    }
    let append = HeaderAppendAction::AppendIfExistsOrAdd;
    vec![
        (
            at(|matches| {
                let presented = Some(google::BoolValue { value: true });
                matches.tls_context =
                    Some(pb::route_match::TlsContextMatchOptions { presented, ..Default::default() });
            }),
            "match.tls_context",
        ),
        (one(body), "direct_response.body_format"),
        (one(regex("/a").to("alpha").header("x-a", Text::Regex("\\C"))), "match.headers[0].value.regex"),
        (added(append, "%METADATA(ROUTE:a:b)%"), "request_headers_to_add[0].header.value"),
        (
            with(|action| {
                let cluster = pb::route_action::ClusterSpecifier::ClusterHeader("x-cluster".to_owned());
                action.cluster_specifier = Some(cluster);
            }),
            "route.cluster_header",
        ),
        (
            with(|action| {
                action.internal_redirect_policy = Some(pb::InternalRedirectPolicy::default());
            }),
            "route.internal_redirect_policy",
        ),
        (
            host(|host| host.require_tls = pb::virtual_host::TlsRequirementType::All as i32),
            "virtual_hosts[0].require_tls",
        ),
        (
            host(|host| host.include_is_timeout_retry_header = true),
            "virtual_hosts[0].include_is_timeout_retry_header",
        ),
        (whole(|routes| routes.internal_only_headers.push("x-in".to_owned())), "internal_only_headers"),
    ]
}

/// Refuses each of them, and nothing else.
pub(crate) fn run(oracle: &mut Oracle) -> usize {
    let mut count = 0;
    for (routes, field) in routes().into_iter() {
        let refused = oracle.apply(&routes);
        let [one] = refused.as_slice() else { panic!("{field} is not refused by name: {refused:?}") };
        assert!(one.message.contains(&format!("{field}:")), "{field} is refused otherwise: {}", one.message);
        count += 1;
    }
    for (what, type_url, message, field) in others() {
        oracle.ads.put("weir", vec![("refused".to_owned(), message)]);
        let refused = oracle.weir.settled(&oracle.ads);
        let found = refused.iter().any(|one| one.message.contains(&format!("{field}:")));
        assert!(found, "{what}: {field} is not refused by name: {refused:?}");
        oracle.ads.remove("weir", type_url, "refused");
        count += 1;
    }
    count
}

/// Listeners and clusters: what it is, its type, itself, the field.
fn others() -> Vec<(&'static str, &'static str, google::Any, &'static str)> {
    use weir_proto::envoy::envoy::config::cluster::v3::cluster::{
        ClusterDiscoveryType, CommonLbConfig, DiscoveryType, LbSubsetConfig,
        lb_subset_config::LbSubsetSelector,
    };
    const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
    const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    let address = ([127, 0, 0, 1], 1).into();
    let listener = |change: &dyn Fn(&mut resources::Manager)| {
        let mut manager = resources::manager();
        change(&mut manager);
        let mut listener = resources::listener(address, &manager);
        listener.name = "refused".to_owned();
        pack(&listener)
    };
    let cluster = |change: &dyn Fn(&mut resources::Cluster)| {
        let mut cluster = resources::cluster("refused", false);
        change(&mut cluster);
        pack(&cluster)
    };
    let subsets = |single: bool, fallback: i32| LbSubsetConfig {
        metadata_fallback_policy: fallback,
        subset_selectors: vec![LbSubsetSelector {
            keys: vec!["version".to_owned()],
            single_host_per_subset: single,
            ..Default::default()
        }],
        ..Default::default()
    };
    let filter = |optional: bool| {
        move |manager: &mut resources::Manager| {
            let mut filter = manager.http_filters[0].clone();
            filter.name = "unknown".to_owned();
            filter.is_optional = optional;
            filter.config_type = Some(resources::filter_config(google::Any {
                type_url: "type.googleapis.com/envoy.extensions.filters.http.gzip.v3.Gzip".to_owned(),
                value: vec![],
            }));
            manager.http_filters.insert(0, filter);
        }
    };
    vec![
        ("an unknown filter", LISTENER, listener(&filter(false)), "http_filters[0].typed_config"),
        ("no router", LISTENER, listener(&|manager| manager.http_filters.clear()), "http_filters"),
        (
            "replies of its own",
            LISTENER,
            listener(&|manager| manager.local_reply_config = Some(Default::default())),
            "local_reply_config",
        ),
        (
            "a time for whole requests",
            LISTENER,
            listener(&|manager| manager.request_timeout = Some(rules::duration(1000))),
            "request_timeout",
        ),
        (
            "tunnels of a caller's choice",
            LISTENER,
            listener(&|manager| manager.upgrade_configs[0].upgrade_type = "CONNECT".to_owned()),
            "upgrade_configs[0].upgrade_type",
        ),
        (
            "absolute targets that are none",
            LISTENER,
            listener(&|manager| {
                let allow_absolute_url = Some(google::BoolValue { value: false });
                manager.http_protocol_options =
                    Some(core::Http1ProtocolOptions { allow_absolute_url, ..Default::default() });
            }),
            "http_protocol_options.allow_absolute_url",
        ),
        (
            "pings on idle connections",
            LISTENER,
            listener(&|manager| {
                let connection_keepalive = Some(core::KeepaliveSettings::default());
                manager.http2_protocol_options =
                    Some(core::Http2ProtocolOptions { connection_keepalive, ..Default::default() });
            }),
            "http2_protocol_options.connection_keepalive",
        ),
        (
            "a log of what is in metadata",
            LISTENER,
            listener(&|manager| {
                use accesslog::access_log_filter::FilterSpecifier;
                let metadata = FilterSpecifier::MetadataFilter(accesslog::MetadataFilter::default());
                manager.access_log[0].filter =
                    Some(accesslog::AccessLogFilter { filter_specifier: Some(metadata) });
            }),
            "access_log[0].filter.metadata_filter",
        ),
        ("another codec", LISTENER, listener(&|manager| manager.codec_type = 1), "codec_type"),
        (
            "endpoints wherever a connection was meant for",
            CLUSTER,
            cluster(&|cluster| {
                cluster.cluster_discovery_type =
                    Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst as i32));
            }),
            "type",
        ),
        (
            "a resolver of its own",
            CLUSTER,
            cluster(&|cluster| {
                cluster.cluster_discovery_type =
                    Some(ClusterDiscoveryType::Type(DiscoveryType::StrictDns as i32));
                cluster.typed_dns_resolver_config =
                    Some(core::TypedExtensionConfig { name: "c-ares".to_owned(), ..Default::default() });
            }),
            "typed_dns_resolver_config",
        ),
        (
            "one endpoint for each subset",
            CLUSTER,
            cluster(&|cluster| cluster.lb_subset_config = Some(subsets(true, 0))),
            "lb_subset_config.subset_selectors[0].single_host_per_subset",
        ),
        (
            "a list of subsets to fall back to",
            CLUSTER,
            cluster(&|cluster| cluster.lb_subset_config = Some(subsets(false, 1))),
            "lb_subset_config.metadata_fallback_policy",
        ),
        (
            "connections that end with their endpoint's health",
            CLUSTER,
            cluster(&|cluster| cluster.close_connections_on_host_health_failure = true),
            "close_connections_on_host_health_failure",
        ),
        (
            "connections that end with any change of endpoints",
            CLUSTER,
            cluster(&|cluster| {
                cluster.common_lb_config =
                    Some(CommonLbConfig { close_connections_on_host_set_change: true, ..Default::default() });
            }),
            "common_lb_config.close_connections_on_host_set_change",
        ),
        (
            "endpoints that do not count before their first check",
            CLUSTER,
            cluster(&|cluster| {
                cluster.common_lb_config =
                    Some(CommonLbConfig { ignore_new_hosts_until_first_hc: true, ..Default::default() });
            }),
            "common_lb_config.ignore_new_hosts_until_first_hc",
        ),
        (
            "a source address for connections",
            CLUSTER,
            cluster(&|cluster| {
                cluster.upstream_bind_config = Some(core::BindConfig {
                    freebind: Some(google::BoolValue { value: true }),
                    ..Default::default()
                });
            }),
            "upstream_bind_config",
        ),
        (
            "a transport socket",
            CLUSTER,
            cluster(&|cluster| {
                cluster.transport_socket =
                    Some(core::TransportSocket { name: "tls".to_owned(), ..Default::default() });
            }),
            "transport_socket",
        ),
        (
            "a pool for each connection",
            CLUSTER,
            cluster(&|cluster| cluster.connection_pool_per_downstream_connection = true),
            "connection_pool_per_downstream_connection",
        ),
    ]
}
