//! Listeners (LDS): an address with filter chains of one filter each, or a name that a client asks for (`api_listener`).

use super::fault::{At, Check, Fault, refuse, required};
use super::pb::{core, google, hcm, listener, tcp_proxy};
use super::{chains, detection, http, tcp, wire};
use core::TrafficDirection;
use prost::Name;
use weir_model::node::Target;
use weir_model::{ChainKind, Detection, Direction, Listener, ListenerKind};

/// The message of a listener.
pub(super) fn encode(listener: &Listener, target: Target) -> listener::Listener {
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
    let (name, filter) = match &listener.kind {
        ListenerKind::Http(http) => packed::http(&listener.name, http, target),
        ListenerKind::Tcp(tcp) => packed::tcp(&listener.name, tcp, target),
        ListenerKind::Chains(chains) => {
            chains::encode(&mut message, chains, target);
            return message;
        }
    };
    if listener.address.is_none() {
        message.api_listener = Some(listener::ApiListener { api_listener: Some(filter) });
    } else {
        message.filter_chains = vec![chain(name, filter)];
    }
    if let (ListenerKind::Http(weir_model::HttpListener { detection: Some(found), .. }), Some(_)) =
        (&listener.kind, listener.address)
    {
        let (name, otherwise) = packed::tcp(&listener.name, &found.otherwise, target);
        detection::encode(&mut message, chain(name, otherwise), found.wait);
    }
    message
}

/// Filters with their names.
pub(super) mod packed {
    use super::{Target, google, http, tcp, wire};

    pub(in super::super) fn http(
        listener: &str,
        it: &weir_model::HttpListener,
        target: Target,
    ) -> (&'static str, google::Any) {
        let manager = http::encode(listener, it, target);
        ("envoy.filters.network.http_connection_manager", wire::pack(&manager))
    }

    pub(in super::super) fn tcp(
        listener: &str,
        it: &weir_model::TcpListener,
        target: Target,
    ) -> (&'static str, google::Any) {
        ("envoy.filters.network.tcp_proxy", wire::pack(&tcp::encode(listener, it, target)))
    }
}

pub(super) fn chain(name: &str, config: google::Any) -> listener::FilterChain {
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
    Ok(match from_filter(required("", api.api_listener.as_ref())?)? {
        ChainKind::Http(http) => ListenerKind::Http(*http),
        ChainKind::Tcp(tcp) => ListenerKind::Tcp(tcp),
    })
}

fn from_chains(message: &listener::Listener) -> Check<ListenerKind> {
    let Some((wait, otherwise)) = detection::decode(message)? else { return chains::decode(message) };
    let [chain] = message.filter_chains.as_slice() else { return chains::decode(message) };
    let kind = from_filters(chain).at("filter_chains[0]")?;
    match (kind, from_filters(otherwise).at("default_filter_chain")?) {
        (ChainKind::Http(http), ChainKind::Tcp(otherwise)) => {
            let detection = Some(Box::new(Detection { otherwise, wait }));
            Ok(ListenerKind::Http(weir_model::HttpListener { detection, ..*http }))
        }
        _ => chains::decode(message),
    }
}

/// The one filter of a chain.
#[allow(deprecated, reason = "deprecated fields still change what Envoy does, so they are refused as well")]
pub(super) fn from_filters(chain: &listener::FilterChain) -> Check<ChainKind> {
    refuse!(chain; use_proxy_proto, transport_socket);
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

fn from_filter(config: &google::Any) -> Check<ChainKind> {
    if config.type_url == hcm::HttpConnectionManager::type_url() {
        let manager: hcm::HttpConnectionManager = wire::unpack(config)?;
        Ok(ChainKind::Http(Box::new(http::decode(&manager)?)))
    } else if tcp::is_proxy(config) {
        let proxy: tcp_proxy::TcpProxy = wire::unpack(config)?;
        Ok(ChainKind::Tcp(tcp::decode(&proxy)?))
    } else {
        Err(Fault::of("type_url", format!("the filter {:?} is not supported", wire::cut(&config.type_url))))
    }
}
