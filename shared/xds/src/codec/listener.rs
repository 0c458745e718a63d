//! Listeners (LDS): an address with one filter chain of one filter, or a name that a client asks for (`api_listener`).

use super::fault::{At, Check, Fault, refuse, required};
use super::pb::{core, google, hcm, listener, tcp_proxy};
use super::{access_log, detection, http, wire};
use core::TrafficDirection;
use prost::Name;
use weir_model::node::Target;
use weir_model::{Detection, Direction, Listener, ListenerKind, TcpListener};

/// The message of a listener.
pub(super) fn encode(listener: &Listener, target: Target) -> listener::Listener {
    let (name, filter) = match &listener.kind {
        ListenerKind::Http(http) => (
            "envoy.filters.network.http_connection_manager",
            wire::pack(&http::encode(&listener.name, http, target)),
        ),
        ListenerKind::Tcp(tcp) => (TCP_PROXY, wire::pack(&proxy(&listener.name, tcp, target))),
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
        message.filter_chains = vec![chain(name, filter)];
    }
    if let (ListenerKind::Http(weir_model::HttpListener { detection: Some(found), .. }), Some(_)) =
        (&listener.kind, listener.address)
    {
        let otherwise = wire::pack(&proxy(&listener.name, &found.otherwise, target));
        detection::encode(&mut message, chain(TCP_PROXY, otherwise), found.wait);
    }
    message
}

const TCP_PROXY: &str = "envoy.filters.network.tcp_proxy";

fn chain(name: &str, config: google::Any) -> listener::FilterChain {
    let filter = listener::Filter {
        name: name.to_owned(),
        config_type: Some(listener::filter::ConfigType::TypedConfig(config)),
    };
    listener::FilterChain { filters: vec![filter], ..listener::FilterChain::default() }
}

/// The listener of a message.
#[allow(deprecated, reason = "deprecated fields still change what Envoy does, so they are refused as well")]
pub(super) fn decode(message: &listener::Listener) -> Check<Listener> {
    refuse!(message; additional_addresses, fcds_config, filter_chain_matcher, use_original_dst,
        deprecated_v1, transparent, freebind, socket_options, udp_listener_config, access_log, bind_to_port,
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
            refuse!(message; filter_chains, default_filter_chain, listener_filters);
            (None, from_api(api).at("api_listener.api_listener")?)
        }
        (Some(_), Some(_)) => return Err(Fault::of("api_listener", "not together with address")),
        (None, Some(address)) => (Some(wire::from_address(address).at("address")?), from_chains(message)?),
        (None, None) => return Err(Fault::of("address", "missing, and there is no api_listener")),
    };
    Ok(Listener { name: wire::name("name", &message.name)?, address, direction, kind })
}

fn from_api(api: &listener::ApiListener) -> Check<ListenerKind> {
    let manager: hcm::HttpConnectionManager = wire::unpack(required("", api.api_listener.as_ref())?)?;
    Ok(ListenerKind::Http(http::decode(&manager)?))
}

fn from_chains(message: &listener::Listener) -> Check<ListenerKind> {
    let detected = detection::decode(message)?;
    if detected.is_none() {
        refuse!(message; default_filter_chain);
    }
    let chains = &message.filter_chains;
    let kind = match chains.as_slice() {
        [chain] => from_chain(chain, detected.is_some()).at("filter_chains[0]")?,
        _ => {
            return Err(Fault::of(
                "filter_chains",
                format!("{} chains; exactly one is supported", chains.len()),
            ));
        }
    };
    let Some((wait, otherwise)) = detected else { return Ok(kind) };
    match (kind, from_chain(otherwise, false).at("default_filter_chain")?) {
        (ListenerKind::Http(http), ListenerKind::Tcp(otherwise)) => {
            let detection = Some(Box::new(Detection { otherwise, wait }));
            Ok(ListenerKind::Http(weir_model::HttpListener { detection, ..http }))
        }
        _ => Err(Fault::of("default_filter_chain", "must be for bytes, beside a chain for HTTP")),
    }
}

#[allow(deprecated, reason = "deprecated fields still change what Envoy does, so they are refused as well")]
fn from_chain(chain: &listener::FilterChain, detected: bool) -> Check<ListenerKind> {
    refuse!(chain; use_proxy_proto, transport_socket);
    match &chain.filter_chain_match {
        Some(matches) if detected && detection::is_http(matches) => {}
        _ if detected => {
            let message =
                "must be for the application_protocols http/1.0, http/1.1 and h2c, and nothing else";
            return Err(Fault::of("filter_chain_match", message));
        }
        Some(matches) if *matches != listener::FilterChainMatch::default() => {
            return Err(Fault::unsupported("filter_chain_match"));
        }
        _ => {}
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

fn proxy(name: &str, tcp: &TcpListener, target: Target) -> tcp_proxy::TcpProxy {
    tcp_proxy::TcpProxy {
        stat_prefix: name.to_owned(),
        cluster_specifier: Some(tcp_proxy::tcp_proxy::ClusterSpecifier::Cluster(tcp.cluster.clone())),
        access_log: access_log::encode(tcp.access_log.as_ref(), access_log::Protocol::Tcp, target),
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
