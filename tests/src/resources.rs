//! What both data planes get beside routes: one listener, and clusters with one endpoint each. Only addresses differ between the two.

use std::net::SocketAddr;

use prost::{Message, Name};
use weir_proto::envoy::envoy::config::accesslog::v3 as accesslog;
use weir_proto::envoy::envoy::config::cluster::v3 as cluster;
use weir_proto::envoy::envoy::config::core::v3 as core;
use weir_proto::envoy::envoy::config::endpoint::v3 as endpoint;
use weir_proto::envoy::envoy::config::listener::v3 as listener;
use weir_proto::envoy::envoy::extensions::access_loggers::stream::v3 as stream_log;
use weir_proto::envoy::envoy::extensions::filters::http::buffer::v3 as buffer;
use weir_proto::envoy::envoy::extensions::filters::http::router::v3 as router;
use weir_proto::envoy::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use weir_proto::envoy::envoy::extensions::upstreams::http::v3 as upstreams;
use weir_proto::envoy::google::protobuf as google;

pub use cluster::Cluster;
pub use hcm::HttpConnectionManager as Manager;

/// The name of the route configuration that the listener asks for.
pub const ROUTES: &str = "oracle";

/// The name of the listener.
pub const LISTENER: &str = "oracle";

/// What is logged of each request, under the names of weir's own log.
const LOG: [(&str, &str); 5] = [
    ("case", "%REQ(X-CASE)%"),
    ("status", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("route", "%ROUTE_NAME%"),
    ("cluster", "%UPSTREAM_CLUSTER_RAW%"),
];

/// The message as it travels.
pub fn pack<M: Message + Name>(message: &M) -> google::Any {
    google::Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

fn ads() -> Option<core::ConfigSource> {
    Some(core::ConfigSource {
        resource_api_version: core::ApiVersion::V3 as i32,
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(Default::default())),
        ..Default::default()
    })
}

fn address(address: SocketAddr) -> Option<core::Address> {
    let socket = core::SocketAddress {
        address: address.ip().to_string(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(address.port().into())),
        ..Default::default()
    };
    Some(core::Address { address: Some(core::address::Address::SocketAddress(socket)) })
}

/// The connection manager. What is switched off in it is what weir has no notion of; see `differences.rs` for what is left.
pub fn manager() -> Manager {
    let router = router::Router { suppress_envoy_headers: true, ..Default::default() };
    hcm::HttpConnectionManager {
        stat_prefix: LISTENER.to_owned(),
        route_specifier: Some(hcm::http_connection_manager::RouteSpecifier::Rds(hcm::Rds {
            config_source: ads(),
            route_config_name: ROUTES.to_owned(),
        })),
        http_filters: vec![hcm::HttpFilter {
            name: "envoy.filters.http.router".to_owned(),
            config_type: Some(hcm::http_filter::ConfigType::TypedConfig(pack(&router))),
            ..Default::default()
        }],
        upgrade_configs: vec![hcm::http_connection_manager::UpgradeConfig {
            upgrade_type: "websocket".to_owned(),
            ..Default::default()
        }],
        stream_idle_timeout: Some(google::Duration::default()),
        generate_request_id: Some(google::BoolValue { value: false }),
        server_header_transformation: hcm::http_connection_manager::ServerHeaderTransformation::PassThrough
            as i32,
        access_log: vec![log()],
        ..Default::default()
    }
}

/// A connection manager as most control planes send it: what Envoy does unasked is on.
pub fn stock_manager() -> Manager {
    let mut manager = manager();
    manager.http_filters[0].config_type = Some(filter_config(pack(&router::Router::default())));
    manager.generate_request_id = None;
    manager.server_header_transformation = 0;
    manager
}

/// A connection manager at the edge, which believes nobody and gives paths one form.
pub fn edge_manager() -> Manager {
    let mut manager = manager();
    manager.use_remote_address = Some(google::BoolValue { value: true });
    manager.normalize_path = Some(google::BoolValue { value: true });
    manager.merge_slashes = true;
    manager
}

/// A connection manager that makes use of what there is to say of HTTP: sizes, names, forms of the authority, several logs.
pub fn particular_manager() -> Manager {
    let mut manager = manager();
    let most = buffer::Buffer { max_request_bytes: Some(google::UInt32Value { value: 1000 }) };
    manager.http_filters.insert(
        0,
        hcm::HttpFilter {
            name: "envoy.filters.http.buffer".to_owned(),
            config_type: Some(filter_config(pack(&most))),
            ..Default::default()
        },
    );
    manager.server_name = "particular".to_owned();
    manager.server_header_transformation = 0;
    manager.via = "1.1 particular".to_owned();
    manager.strip_trailing_host_dot = true;
    manager.strip_port_mode = Some(hcm::http_connection_manager::StripPortMode::StripAnyHostPort(true));
    manager.max_request_headers_kb = Some(google::UInt32Value { value: 8 });
    manager.always_set_request_id_in_response = true;
    manager.common_http_protocol_options = Some(core::HttpProtocolOptions {
        max_headers_count: Some(google::UInt32Value { value: 20 }),
        headers_with_underscores_action: core::http_protocol_options::HeadersWithUnderscoresAction::DropHeader
            as i32,
        ..Default::default()
    });
    manager.http_protocol_options = Some(core::Http1ProtocolOptions {
        header_key_format: Some(core::http1_protocol_options::HeaderKeyFormat {
            header_format: Some(
                core::http1_protocol_options::header_key_format::HeaderFormat::ProperCaseWords(
                    Default::default(),
                ),
            ),
        }),
        ..Default::default()
    });
    manager.http2_protocol_options = Some(core::Http2ProtocolOptions {
        max_concurrent_streams: Some(google::UInt32Value { value: 10 }),
        initial_stream_window_size: Some(google::UInt32Value { value: 65_536 }),
        ..Default::default()
    });
    // Beside the one that is compared: one of failures, to where nobody looks.
    let mut failures = log();
    failures.name = "envoy.access_loggers.stderr".to_owned();
    failures.config_type =
        Some(accesslog::access_log::ConfigType::TypedConfig(pack(&stream_log::StderrAccessLog::default())));
    failures.filter = Some(accesslog::AccessLogFilter {
        filter_specifier: Some(accesslog::access_log_filter::FilterSpecifier::StatusCodeFilter(
            accesslog::StatusCodeFilter {
                comparison: Some(accesslog::ComparisonFilter {
                    op: accesslog::comparison_filter::Op::Ge as i32,
                    value: Some(core::RuntimeUInt32 {
                        default_value: 500,
                        runtime_key: "failures".to_owned(),
                    }),
                }),
            },
        )),
    });
    manager.access_log.push(failures);
    manager
}

/// The configuration of an HTTP filter.
pub fn filter_config(config: google::Any) -> hcm::http_filter::ConfigType {
    hcm::http_filter::ConfigType::TypedConfig(config)
}

fn log() -> accesslog::AccessLog {
    let fields = LOG.iter().map(|(name, command)| {
        let kind = google::value::Kind::StringValue((*command).to_owned());
        ((*name).to_owned(), google::Value { kind: Some(kind) })
    });
    let json = google::Struct { fields: fields.collect() };
    let format = core::SubstitutionFormatString {
        format: Some(core::substitution_format_string::Format::JsonFormat(json)),
        ..Default::default()
    };
    let stdout = stream_log::StdoutAccessLog {
        access_log_format: Some(stream_log::stdout_access_log::AccessLogFormat::LogFormat(format)),
    };
    accesslog::AccessLog {
        name: "envoy.access_loggers.stdout".to_owned(),
        config_type: Some(accesslog::access_log::ConfigType::TypedConfig(pack(&stdout))),
        ..Default::default()
    }
}

/// A listener on an address, with this connection manager.
pub fn listener(on: SocketAddr, manager: &Manager) -> listener::Listener {
    let filter = listener::Filter {
        name: "envoy.filters.network.http_connection_manager".to_owned(),
        config_type: Some(listener::filter::ConfigType::TypedConfig(pack(manager))),
    };
    listener::Listener {
        name: LISTENER.to_owned(),
        address: address(on),
        filter_chains: vec![listener::FilterChain { filters: vec![filter], ..Default::default() }],
        traffic_direction: core::TrafficDirection::Outbound as i32,
        ..Default::default()
    }
}

/// A cluster whose endpoints come by EDS.
pub fn cluster(name: &str, http2: bool) -> Cluster {
    use upstreams::http_protocol_options::{
        ExplicitHttpConfig, UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
    };
    let protocol = match http2 {
        true => ProtocolConfig::Http2ProtocolOptions(Default::default()),
        false => ProtocolConfig::HttpProtocolOptions(Default::default()),
    };
    let options = upstreams::HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
            protocol_config: Some(protocol),
        })),
        ..Default::default()
    };
    cluster::Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(cluster::cluster::ClusterDiscoveryType::Type(
            cluster::cluster::DiscoveryType::Eds as i32,
        )),
        eds_cluster_config: Some(cluster::cluster::EdsClusterConfig {
            eds_config: ads(),
            ..Default::default()
        }),
        connect_timeout: Some(google::Duration { seconds: 1, nanos: 0 }),
        typed_extension_protocol_options: [(upstreams::HttpProtocolOptions::full_name(), pack(&options))]
            .into(),
        ..Default::default()
    }
}

/// The endpoints of a cluster, as they are sent.
pub use endpoint::ClusterLoadAssignment as Assignment;
/// What an endpoint is.
pub use endpoint::lb_endpoint::HostIdentifier;

/// The endpoints of a cluster.
pub fn endpoints(cluster: &str, addresses: &[SocketAddr]) -> endpoint::ClusterLoadAssignment {
    let lb_endpoints = addresses.iter().map(|at| endpoint::LbEndpoint {
        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(endpoint::Endpoint {
            address: address(*at),
            ..Default::default()
        })),
        ..Default::default()
    });
    let locality = endpoint::LocalityLbEndpoints {
        lb_endpoints: lb_endpoints.collect(),
        load_balancing_weight: Some(google::UInt32Value { value: 1 }),
        ..Default::default()
    };
    endpoint::ClusterLoadAssignment {
        cluster_name: cluster.to_owned(),
        endpoints: if addresses.is_empty() { vec![] } else { vec![locality] },
        ..Default::default()
    }
}
