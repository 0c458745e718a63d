//! Listeners (LDS): an address with one filter chain of one filter, or a name that a client asks for (`api_listener`).

use super::fault::{At, Check, Fault, refuse, required};
use super::pb::{core, google, hcm, listener, tcp_proxy};
use super::{access_log, http, wire};
use core::TrafficDirection;
use prost::Name;
use weir_model::node::Target;
use weir_model::{Direction, Listener, ListenerKind, TcpListener};

/// The message of a listener.
pub(super) fn encode(listener: &Listener, target: Target) -> listener::Listener {
    let (name, filter) = match &listener.kind {
        ListenerKind::Http(http) => (
            "envoy.filters.network.http_connection_manager",
            wire::pack(&http::encode(&listener.name, http, target)),
        ),
        ListenerKind::Tcp(tcp) => {
            ("envoy.filters.network.tcp_proxy", wire::pack(&proxy(&listener.name, tcp)))
        }
    };
    let direction = match listener.direction {
        Direction::Inbound => TrafficDirection::Inbound,
        Direction::Outbound => TrafficDirection::Outbound,
    };
    let mut message = listener::Listener {
        name: listener.name.clone(),
        address: listener.address.map(wire::address),
        traffic_direction: direction as i32,
        ..listener::Listener::default()
    };
    if listener.address.is_none() {
        message.api_listener = Some(listener::ApiListener { api_listener: Some(filter) });
    } else {
        let filter = listener::Filter {
            name: name.to_owned(),
            config_type: Some(listener::filter::ConfigType::TypedConfig(filter)),
        };
        message.filter_chains =
            vec![listener::FilterChain { filters: vec![filter], ..listener::FilterChain::default() }];
    }
    message
}

/// The listener of a message.
#[allow(deprecated, reason = "deprecated fields still change what Envoy does, so they are refused as well")]
pub(super) fn decode(message: &listener::Listener) -> Check<Listener> {
    refuse!(message; additional_addresses, fcds_config, filter_chain_matcher, use_original_dst, default_filter_chain,
        deprecated_v1, listener_filters, transparent, freebind, socket_options, udp_listener_config, access_log, bind_to_port,
        listener_specifier);
    let direction = match TrafficDirection::try_from(message.traffic_direction) {
        Ok(TrafficDirection::Inbound) => Direction::Inbound,
        Ok(TrafficDirection::Outbound | TrafficDirection::Unspecified) => Direction::Outbound,
        Err(_) => {
            return Err(Fault::of("traffic_direction", format!("{} is unknown", message.traffic_direction)));
        }
    };
    let (address, kind) = match (&message.api_listener, &message.address) {
        (Some(api), None) => {
            refuse!(message; filter_chains);
            (None, from_api(api).at("api_listener.api_listener")?)
        }
        (Some(_), Some(_)) => return Err(Fault::of("api_listener", "not together with address")),
        (None, Some(address)) => {
            (Some(wire::from_address(address).at("address")?), from_chains(&message.filter_chains)?)
        }
        (None, None) => return Err(Fault::of("address", "missing, and there is no api_listener")),
    };
    Ok(Listener { name: wire::name("name", &message.name)?, address, direction, kind })
}

fn from_api(api: &listener::ApiListener) -> Check<ListenerKind> {
    let manager: hcm::HttpConnectionManager = wire::unpack(required("", api.api_listener.as_ref())?)?;
    Ok(ListenerKind::Http(http::decode(&manager)?))
}

fn from_chains(chains: &[listener::FilterChain]) -> Check<ListenerKind> {
    match chains {
        [chain] => from_chain(chain).at("filter_chains[0]"),
        _ => Err(Fault::of("filter_chains", format!("{} chains; exactly one is supported", chains.len()))),
    }
}

#[allow(deprecated, reason = "deprecated fields still change what Envoy does, so they are refused as well")]
fn from_chain(chain: &listener::FilterChain) -> Check<ListenerKind> {
    refuse!(chain; use_proxy_proto, transport_socket);
    if chain
        .filter_chain_match
        .as_ref()
        .is_some_and(|matches| *matches != listener::FilterChainMatch::default())
    {
        return Err(Fault::unsupported("filter_chain_match"));
    }
    match chain.filters.as_slice() {
        [filter] => match &filter.config_type {
            Some(listener::filter::ConfigType::TypedConfig(config)) => {
                from_filter(config).at("filters[0].typed_config")
            }
            Some(listener::filter::ConfigType::ConfigDiscovery(_)) => {
                Err(Fault::unsupported("filters[0].config_discovery"))
            }
            None => Err(Fault::of("filters[0].typed_config", "missing")),
        },
        filters => Err(Fault::of("filters", format!("{} filters; exactly one is supported", filters.len()))),
    }
}

fn from_filter(config: &google::Any) -> Check<ListenerKind> {
    if config.type_url == hcm::HttpConnectionManager::type_url() {
        let manager: hcm::HttpConnectionManager = wire::unpack(config)?;
        Ok(ListenerKind::Http(http::decode(&manager)?))
    } else if config.type_url == tcp_proxy::TcpProxy::type_url() {
        let proxy: tcp_proxy::TcpProxy = wire::unpack(config)?;
        Ok(ListenerKind::Tcp(from_proxy(&proxy)?))
    } else {
        Err(Fault::of("type_url", format!("the filter {:?} is not supported", wire::cut(&config.type_url))))
    }
}

fn proxy(name: &str, tcp: &TcpListener) -> tcp_proxy::TcpProxy {
    tcp_proxy::TcpProxy {
        stat_prefix: name.to_owned(),
        cluster_specifier: Some(tcp_proxy::tcp_proxy::ClusterSpecifier::Cluster(tcp.cluster.clone())),
        access_log: access_log::encode(tcp.access_log, access_log::Protocol::Tcp),
        ..tcp_proxy::TcpProxy::default()
    }
}

#[allow(deprecated, reason = "deprecated fields still change what Envoy does, so they are refused as well")]
fn from_proxy(proxy: &tcp_proxy::TcpProxy) -> Check<TcpListener> {
    refuse!(proxy; on_demand, metadata_match, idle_timeout, downstream_idle_timeout, upstream_idle_timeout, max_connect_attempts,
        hash_policy, tunneling_config, max_downstream_connection_duration, proxy_protocol_tlvs, upstream_connect_mode);
    let cluster = match &proxy.cluster_specifier {
        Some(tcp_proxy::tcp_proxy::ClusterSpecifier::Cluster(cluster)) => wire::name("cluster", cluster)?,
        Some(tcp_proxy::tcp_proxy::ClusterSpecifier::WeightedClusters(_)) => {
            return Err(Fault::unsupported("weighted_clusters"));
        }
        None => return Err(Fault::of("cluster", "missing")),
    };
    Ok(TcpListener { cluster, access_log: access_log::decode(&proxy.access_log)? })
}
