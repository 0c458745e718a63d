//! Clusters (CDS).
//!
//! What a cluster stands for travels in its metadata. The protocol and the idle time of its connections are in `HttpProtocolOptions`, where
//! Envoy wants them. An EDS cluster asks gRPC for load reports on this server (`lrs_server`); Envoy reports by its bootstrap.

use super::fault::{At, Check, Fault, refuse, required};
use super::pb::{cluster, core, google, upstreams};
use super::{balancing, breakers, dns, endpoints, health, metadata, wire};
use cluster::cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig};
use prost::Name;
use std::time::Duration;
use upstreams::HttpProtocolOptions;
use upstreams::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
    explicit_http_config::ProtocolConfig,
};
use weir_model::{CircuitBreakers, Cluster, ClusterKind, ConnectionLimits, Discovery, HttpVersion};

/// Envoy's own time to connect where a message does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Envoy's own idle time where a message does not say.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// As many streams as HTTP/2 can have at once (RFC 9113 section 5.1.1).
const MAX_STREAMS: u32 = u32::MAX >> 1;

/// Metadata that names the service port a cluster stands for.
const SERVICE: &str = "service";
/// Metadata of the cluster of the application beside the sidecar.
const APPLICATION: &str = "application";

/// The message of a cluster.
pub(super) fn encode(cluster: &Cluster) -> cluster::Cluster {
    let mut message = cluster::Cluster {
        name: cluster.name.clone(),
        connect_timeout: Some(wire::duration(cluster.connect_timeout)),
        circuit_breakers: Some(breakers::encode(&cluster.circuit_breakers)),
        typed_extension_protocol_options: [(
            HttpProtocolOptions::full_name(),
            wire::pack(&protocol(cluster)),
        )]
        .into(),
        metadata: kind(&cluster.kind),
        ..cluster::Cluster::default()
    };
    balancing::encode(&cluster.load_balancing, &cluster.spread, &mut message);
    health::encode(&cluster.health, &mut message);
    if let Some(subsets) = &cluster.subsets {
        balancing::encode_subsets(subsets, &mut message);
    }
    let discovery = match &cluster.discovery {
        Discovery::Eds(name) => {
            message.eds_cluster_config =
                Some(EdsClusterConfig { eds_config: wire::ads(), service_name: name.clone() });
            message.lrs_server = Some(core::ConfigSource {
                config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Self_(
                    core::SelfConfigSource::default(),
                )),
                ..core::ConfigSource::default()
            });
            DiscoveryType::Eds
        }
        Discovery::Static(assignment) => {
            message.load_assignment = Some(endpoints::encode(assignment));
            DiscoveryType::Static
        }
        Discovery::Dns(dns) => {
            dns::encode(dns, &mut message);
            if dns.logical { DiscoveryType::LogicalDns } else { DiscoveryType::StrictDns }
        }
    };
    message.upstream_connection_options =
        breakers::encode_keepalive(cluster.circuit_breakers.connection.keepalive.as_ref());
    message.cluster_discovery_type = Some(ClusterDiscoveryType::Type(discovery as i32));
    message
}

/// The cluster of a message.
#[allow(deprecated, reason = "deprecated fields still change what Envoy does, so they are refused as well")]
pub(super) fn decode(message: &cluster::Cluster) -> Check<Cluster> {
    refuse!(message; transport_socket_matches, transport_socket_matcher, transport_socket,
        upstream_http_protocol_options, common_http_protocol_options, http_protocol_options,
        http2_protocol_options, upstream_bind_config, protocol_selection, filters, close_connections_on_host_health_failure,
        upstream_config, connection_pool_per_downstream_connection, queuing_policies);
    let name = wire::name("name", &message.name)?;
    let connect_timeout = wire::optional_duration("connect_timeout", message.connect_timeout.as_ref())?;
    let balancing::Found { balancing: load_balancing, spread, subsets } = balancing::decode(message)?;
    let Options { http, idle_timeout, mut connection } = from_options(message)?;
    if let (None, Some(requests)) = (connection.max_requests, &message.max_requests_per_connection) {
        connection.max_requests = breakers::from_requests(requests);
    }
    connection.keepalive = breakers::from_options(message.upstream_connection_options.as_ref())
        .at("upstream_connection_options")?;
    Ok(Cluster {
        subsets,
        health: health::decode(message)?,
        kind: from_kind(message.metadata.as_ref())?,
        discovery: from_discovery(message, &name)?,
        load_balancing,
        http,
        connect_timeout: connect_timeout.unwrap_or(CONNECT_TIMEOUT),
        idle_timeout,
        spread,
        circuit_breakers: CircuitBreakers {
            connection,
            ..breakers::decode(message.circuit_breakers.as_ref()).at("circuit_breakers")?
        },
        name,
    })
}

fn from_discovery(message: &cluster::Cluster, name: &str) -> Check<Discovery> {
    let kind = match message.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(kind)) => DiscoveryType::try_from(kind).ok(),
        Some(ClusterDiscoveryType::ClusterType(_)) => return Err(Fault::unsupported("cluster_type")),
        None => Some(DiscoveryType::Static),
    };
    match kind {
        Some(DiscoveryType::Eds) => {
            let eds = required("eds_cluster_config", message.eds_cluster_config.as_ref())?;
            wire::from_ads("eds_config", eds.eds_config.as_ref()).at("eds_cluster_config")?;
            match eds.service_name.as_str() {
                "" => Ok(Discovery::Eds(name.to_owned())),
                service => Ok(Discovery::Eds(wire::name("eds_cluster_config.service_name", service)?)),
            }
        }
        Some(DiscoveryType::Static) => {
            let assignment = required("load_assignment", message.load_assignment.as_ref())?;
            Ok(Discovery::Static(endpoints::decode(assignment).at("load_assignment")?))
        }
        Some(DiscoveryType::StrictDns) => Ok(Discovery::Dns(dns::decode(message, false)?)),
        Some(DiscoveryType::LogicalDns) => Ok(Discovery::Dns(dns::decode(message, true)?)),
        Some(DiscoveryType::OriginalDst) | None => {
            Err(Fault::of("type", "only EDS, STATIC, STRICT_DNS and LOGICAL_DNS are supported"))
        }
    }
}

fn protocol(cluster: &Cluster) -> HttpProtocolOptions {
    let http1 = core::Http1ProtocolOptions::default;
    let http2 = || core::Http2ProtocolOptions {
        max_concurrent_streams: cluster.circuit_breakers.connection.max_streams.and_then(wire::wrap),
        ..core::Http2ProtocolOptions::default()
    };
    let explicit = |config| {
        UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig { protocol_config: Some(config) })
    };
    let options = match cluster.http {
        HttpVersion::Http1 => explicit(ProtocolConfig::HttpProtocolOptions(http1())),
        HttpVersion::Http2 => explicit(ProtocolConfig::Http2ProtocolOptions(http2())),
        HttpVersion::Downstream => {
            UpstreamProtocolOptions::UseDownstreamProtocolConfig(UseDownstreamHttpConfig {
                http_protocol_options: Some(http1()),
                http2_protocol_options: Some(http2()),
                http3_protocol_options: None,
            })
        }
    };
    HttpProtocolOptions {
        common_http_protocol_options: Some(core::HttpProtocolOptions {
            idle_timeout: Some(wire::duration(cluster.idle_timeout)),
            max_requests_per_connection: cluster
                .circuit_breakers
                .connection
                .max_requests
                .and_then(wire::wrap),
            max_connection_duration: cluster.circuit_breakers.connection.max_duration.map(wire::duration),
            ..core::HttpProtocolOptions::default()
        }),
        upstream_protocol_options: Some(options),
        ..HttpProtocolOptions::default()
    }
}

/// What a cluster's protocol options say.
struct Options {
    http: HttpVersion,
    idle_timeout: Duration,
    connection: ConnectionLimits,
}

fn from_options(message: &cluster::Cluster) -> Check<Options> {
    let field = "typed_extension_protocol_options";
    let key = HttpProtocolOptions::full_name();
    // One at most is understood; of several the first in order, so that the answer is always the same.
    match message
        .typed_extension_protocol_options
        .iter()
        .filter(|(other, _)| **other != key)
        .min_by_key(|(key, _)| *key)
    {
        Some((other, _)) => Err(Fault::of(field, format!("{:?} is not supported", wire::cut(other)))),
        None => match message.typed_extension_protocol_options.get(&key) {
            Some(options) => from_protocol(options).at(&format!("{field}[{key}]")),
            None => Ok(Options {
                http: HttpVersion::Http1,
                idle_timeout: IDLE_TIMEOUT,
                connection: ConnectionLimits::default(),
            }),
        },
    }
}

fn from_protocol(options: &google::Any) -> Check<Options> {
    let options: HttpProtocolOptions = wire::unpack(options)?;
    refuse!(options; upstream_http_protocol_options, http_filters, header_validation_config, outlier_detection,
        request_mirror_policies, hash_policy, retry_policy);
    let common = options.common_http_protocol_options.unwrap_or_default();
    let limits = || {
        refuse!(common; max_stream_duration, headers_with_underscores_action, max_headers_count);
        let idle = wire::optional_duration("idle_timeout", common.idle_timeout.as_ref())?;
        Ok((idle.unwrap_or(IDLE_TIMEOUT), breakers::from_connection(&common)?))
    };
    let (idle_timeout, mut connection) = limits().at("common_http_protocol_options")?;
    let http = match options.upstream_protocol_options {
        Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)) => match explicit.protocol_config {
            Some(ProtocolConfig::HttpProtocolOptions(http1)) => {
                from_http1(&http1).at("explicit_http_config.http_protocol_options")?;
                HttpVersion::Http1
            }
            Some(ProtocolConfig::Http2ProtocolOptions(http2)) => {
                let at = "explicit_http_config.http2_protocol_options";
                connection.max_streams = from_http2(&http2).at(at)?;
                HttpVersion::Http2
            }
            Some(ProtocolConfig::Http3ProtocolOptions(_)) => {
                return Err(Fault::unsupported("explicit_http_config.http3_protocol_options"));
            }
            None => return Err(Fault::of("explicit_http_config", "no protocol")),
        },
        Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(config)) => {
            let inner = || {
                refuse!(config; http3_protocol_options);
                from_http1(&config.http_protocol_options.unwrap_or_default()).at("http_protocol_options")?;
                from_http2(&config.http2_protocol_options.unwrap_or_default()).at("http2_protocol_options")
            };
            connection.max_streams = inner().at("use_downstream_protocol_config")?;
            HttpVersion::Downstream
        }
        Some(UpstreamProtocolOptions::AutoConfig(_)) => return Err(Fault::unsupported("auto_config")),
        None => return Err(Fault::of("upstream_protocol_options", "missing")),
    };
    Ok(Options { http, idle_timeout, connection })
}

/// Says nothing of how fields are written that weir would do otherwise. What servers read (`accept_http_10` and its like) means nothing here.
fn from_http1(options: &core::Http1ProtocolOptions) -> Check<()> {
    refuse!(options; header_key_format);
    Ok(())
}

/// How many streams a connection carries. Windows are weir's own.
fn from_http2(options: &core::Http2ProtocolOptions) -> Check<Option<u32>> {
    refuse!(options; allow_connect, allow_metadata, custom_settings_parameters, connection_keepalive);
    match &options.max_concurrent_streams {
        Some(streams) if !(1..=MAX_STREAMS).contains(&streams.value) => {
            let message = format!("{} is not from 1 to {MAX_STREAMS}", streams.value);
            Err(Fault::of("max_concurrent_streams", message))
        }
        streams => Ok(streams.as_ref().map(|streams| streams.value)),
    }
}

fn kind(kind: &ClusterKind) -> Option<core::Metadata> {
    match kind {
        ClusterKind::Service { namespace, name, port } => {
            Some(metadata::encode(SERVICE, &format!("{namespace}/{name}:{port}")))
        }
        ClusterKind::Application => Some(metadata::encode(APPLICATION, "")),
        ClusterKind::Unknown => None,
    }
}

fn from_kind(metadata: Option<&core::Metadata>) -> Check<ClusterKind> {
    let Some(service) = metadata::decode(metadata, SERVICE)? else {
        let application = metadata::decode(metadata, APPLICATION)?;
        return Ok(application.map_or(ClusterKind::Unknown, |_| ClusterKind::Application));
    };
    let parts = service.split_once('/').and_then(|(namespace, rest)| {
        let (name, port) = rest.rsplit_once(':')?;
        Some(ClusterKind::Service {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            port: port.parse().ok()?,
        })
    });
    parts.ok_or_else(|| Fault::of("metadata.filter_metadata.weir.service", "must be NAMESPACE/NAME:PORT"))
}
