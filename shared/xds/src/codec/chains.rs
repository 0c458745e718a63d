//! Listeners whose filter chains are chosen by what is known of a connection: matches, and the listener filters that look at first bytes.
//!
//! A listener whose matches ask for what only TLS says gets the inspector of TLS if it has none, as in Envoy.

use super::fault::{At, Check, Fault, each, refuse};
use super::listener::{chain, from_filters, packed};
use super::pb::{core, google, http_inspector, listener, tls_inspector};
use super::wire;
use listener::filter_chain_match::ConnectionSourceType;
use prost::Name;
use std::net::IpAddr;
use std::time::Duration;
use weir_model::node::Target;
use weir_model::{
    ChainKind, ChainMatch, FilterChain, FilterChains, Inspect, IpNet, ListenerKind, SourceType, limits,
};

/// How long Envoy waits for its listener filters unless it is told.
const ENVOY_WAIT: Duration = Duration::from_secs(15);
const TLS: &str = "envoy.filters.listener.tls_inspector";
const HTTP: &str = "envoy.filters.listener.http_inspector";

/// Writes the chains of a listener.
pub(super) fn encode(message: &mut listener::Listener, chains: &FilterChains, target: Target) {
    let name = message.name.clone();
    if let Some(inspect) = &chains.inspect {
        let tls = inspect.tls.then(|| (TLS, wire::pack(&tls_inspector::TlsInspector::default())));
        let http = inspect.http.then(|| (HTTP, wire::pack(&http_inspector::HttpInspector {})));
        let filter = |(name, config): (&str, google::Any)| listener::ListenerFilter {
            name: name.to_owned(),
            config_type: Some(listener::listener_filter::ConfigType::TypedConfig(config)),
            ..listener::ListenerFilter::default()
        };
        message.listener_filters = tls.into_iter().chain(http).map(filter).collect();
        message.listener_filters_timeout = Some(wire::duration(inspect.wait));
        message.continue_on_listener_filters_timeout = inspect.go_on;
    }
    let one = |kind: &ChainKind| {
        let (filter, config) = match kind {
            ChainKind::Http(http) => packed::http(&name, http, target),
            ChainKind::Tcp(tcp) => packed::tcp(&name, tcp, target),
        };
        chain(filter, config)
    };
    message.filter_chains = chains
        .chains
        .iter()
        .map(|it| listener::FilterChain {
            name: it.name.clone(),
            filter_chain_match: Some(encode_match(&it.matches)),
            ..one(&it.kind)
        })
        .collect();
    message.default_filter_chain = chains.otherwise.as_ref().map(one);
}

fn encode_match(matches: &ChainMatch) -> listener::FilterChainMatch {
    let ranges = |nets: &[IpNet]| {
        let range = |net: &IpNet| core::CidrRange {
            address_prefix: net.addr().to_string(),
            prefix_len: wire::wrap(net.prefix_len().into()),
        };
        nets.iter().map(range).collect()
    };
    let source_type = match matches.source_type {
        SourceType::Any => ConnectionSourceType::Any,
        SourceType::Local => ConnectionSourceType::SameIpOrLoopback,
        SourceType::External => ConnectionSourceType::External,
    };
    listener::FilterChainMatch {
        destination_port: matches.destination_port.and_then(|port| wire::wrap(port.into())),
        prefix_ranges: ranges(&matches.destinations),
        server_names: matches.server_names.clone(),
        transport_protocol: matches.transport.clone(),
        application_protocols: matches.application_protocols.clone(),
        direct_source_prefix_ranges: ranges(&matches.direct_sources),
        source_type: source_type.into(),
        source_prefix_ranges: ranges(&matches.sources),
        source_ports: matches.source_ports.iter().copied().map(u32::from).collect(),
        ..listener::FilterChainMatch::default()
    }
}

/// What the chains of a listener with an address say.
pub(super) fn decode(message: &listener::Listener) -> Check<ListenerKind> {
    let chains = each("filter_chains", &message.filter_chains, limits::FILTER_CHAINS, from_chain)?;
    let otherwise = match &message.default_filter_chain {
        Some(chain) => Some(from_default(chain).at("default_filter_chain")?),
        None => None,
    };
    let inspect = inspect(message, &chains)?;
    if chains.is_empty() && otherwise.is_none() {
        return Err(Fault::of("filter_chains", "missing, and there is no default_filter_chain"));
    }
    if let ([FilterChain { matches, kind, .. }], None, None) = (chains.as_slice(), &otherwise, &inspect)
        && *matches == ChainMatch::default()
    {
        return Ok(match kind.clone() {
            ChainKind::Http(http) => ListenerKind::Http(*http),
            ChainKind::Tcp(tcp) => ListenerKind::Tcp(tcp),
        });
    }
    Ok(ListenerKind::Chains(Box::new(FilterChains { inspect, chains, otherwise })))
}

fn from_chain(chain: &listener::FilterChain) -> Check<FilterChain> {
    let matches = match &chain.filter_chain_match {
        Some(matches) => from_match(matches).at("filter_chain_match")?,
        None => ChainMatch::default(),
    };
    if chain.name.len() > limits::NAME_BYTES {
        return Err(Fault::of("name", format!("longer than {} bytes", limits::NAME_BYTES)));
    }
    Ok(FilterChain { name: chain.name.clone(), matches, kind: from_filters(chain)? })
}

fn from_default(chain: &listener::FilterChain) -> Check<ChainKind> {
    match &chain.filter_chain_match {
        Some(matches) if *matches != listener::FilterChainMatch::default() => {
            Err(Fault::of("filter_chain_match", "takes what no other chain matches; leave it unset"))
        }
        _ => from_filters(chain),
    }
}

fn from_match(matches: &listener::FilterChainMatch) -> Check<ChainMatch> {
    refuse!(matches; address_suffix, suffix_len);
    let ranges =
        |field: &str, ranges: &[core::CidrRange]| each(field, ranges, limits::CHAIN_VALUES, from_range);
    let source_type = match ConnectionSourceType::try_from(matches.source_type) {
        Ok(ConnectionSourceType::Any) => SourceType::Any,
        Ok(ConnectionSourceType::SameIpOrLoopback) => SourceType::Local,
        Ok(ConnectionSourceType::External) => SourceType::External,
        Err(_) => return Err(Fault::of("source_type", format!("{} is unknown", matches.source_type))),
    };
    if matches.transport_protocol.len() > limits::NAME_BYTES {
        return Err(Fault::of("transport_protocol", format!("longer than {} bytes", limits::NAME_BYTES)));
    }
    Ok(ChainMatch {
        destination_port: match &matches.destination_port {
            Some(port) => Some(from_port(&port.value).at("destination_port")?),
            None => None,
        },
        destinations: ranges("prefix_ranges", &matches.prefix_ranges)?,
        server_names: each("server_names", &matches.server_names, limits::CHAIN_VALUES, |name| {
            server_name(name)
        })?,
        transport: matches.transport_protocol.clone(),
        application_protocols: each(
            "application_protocols",
            &matches.application_protocols,
            limits::CHAIN_VALUES,
            |name| wire::name("", name),
        )?,
        direct_sources: ranges("direct_source_prefix_ranges", &matches.direct_source_prefix_ranges)?,
        source_type,
        sources: ranges("source_prefix_ranges", &matches.source_prefix_ranges)?,
        source_ports: each("source_ports", &matches.source_ports, limits::CHAIN_VALUES, from_port)?,
    })
}

fn from_port(port: &u32) -> Check<u16> {
    let found = u16::try_from(*port).ok().filter(|port| *port > 0);
    found.ok_or_else(|| Fault::new(format!("{port} is no port from 1 to 65535")))
}

/// A range; bits beyond its prefix say nothing.
fn from_range(range: &core::CidrRange) -> Check<IpNet> {
    let address: IpAddr = range.address_prefix.parse().map_err(|_| {
        Fault::of("address_prefix", format!("{:?} is no IP address", wire::cut(&range.address_prefix)))
    })?;
    let length = range.prefix_len.as_ref().map_or(0, |length| length.value);
    let net = u8::try_from(length).ok().and_then(|length| IpNet::new(address, length).ok());
    let net = net.ok_or_else(|| Fault::of("prefix_len", format!("{length} is too long for {address}")))?;
    Ok(net.trunc())
}

/// A name that a client could ask for, possibly with a star for its first labels.
fn server_name(name: &str) -> Check<String> {
    let name = wire::name("", name)?;
    let rest = name.strip_prefix("*.").unwrap_or(&name);
    if rest.is_empty() || rest.contains('*') {
        let message = format!(
            "{:?}: a wildcard stands for whole labels at the beginning, as in *.example.com; leave server_names unset for every name",
            wire::cut(&name)
        );
        return Err(Fault::new(message));
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let message = format!(
            "{:?} matches nothing, since names are compared in lower case; write it so",
            wire::cut(&name)
        );
        return Err(Fault::new(message));
    }
    Ok(name)
}

/// What is looked at before a chain is chosen.
fn inspect(message: &listener::Listener, chains: &[FilterChain]) -> Check<Option<Inspect>> {
    let (mut tls, mut http) = (false, false);
    for (index, filter) in message.listener_filters.iter().enumerate() {
        let place = from_inspector(filter).at_index("listener_filters", index)?;
        let which = match place {
            Inspector::Tls => &mut tls,
            Inspector::Http => &mut http,
        };
        if std::mem::replace(which, true) {
            return Err(Fault::of(&format!("listener_filters[{index}]"), "is there twice; remove one"));
        }
    }
    // What Envoy adds by itself.
    tls |= chains.iter().map(|chain| &chain.matches).any(|matches| match matches.transport.as_str() {
        "" => !matches.server_names.is_empty() || !matches.application_protocols.is_empty(),
        transport => transport == "tls",
    });
    if !tls && !http {
        return Ok(None);
    }
    let wait = match &message.listener_filters_timeout {
        None => ENVOY_WAIT,
        Some(wait) => wire::from_duration(wait).at("listener_filters_timeout")?,
    };
    if wait.is_zero() {
        let message = "0s waits for ever; give a time after which a silent client's connection is closed";
        return Err(Fault::of("listener_filters_timeout", message));
    }
    Ok(Some(Inspect { tls, http, wait, go_on: message.continue_on_listener_filters_timeout }))
}

enum Inspector {
    Tls,
    Http,
}

fn from_inspector(filter: &listener::ListenerFilter) -> Check<Inspector> {
    use listener::listener_filter::ConfigType;
    refuse!(filter; filter_disabled);
    let config = match &filter.config_type {
        Some(ConfigType::TypedConfig(config)) => config,
        Some(ConfigType::ConfigDiscovery(_)) => return Err(Fault::unsupported("config_discovery")),
        None => return Err(Fault::of("typed_config", "missing")),
    };
    if config.type_url == http_inspector::HttpInspector::type_url() {
        return Ok(Inspector::Http);
    }
    if config.type_url != tls_inspector::TlsInspector::type_url() {
        let message = format!(
            "the listener filter {:?} is not supported; TlsInspector and HttpInspector are",
            wire::cut(&config.type_url)
        );
        return Err(Fault::of("typed_config.type_url", message));
    }
    from_tls_inspector(config).at("typed_config")
}

/// Fingerprints are only for logs, whose operators for them are refused.
fn from_tls_inspector(config: &google::Any) -> Check<Inspector> {
    let inspector: tls_inspector::TlsInspector = wire::unpack(config)?;
    refuse!(inspector; close_connection_on_client_hello_parsing_errors);
    match &inspector.max_client_hello_size {
        Some(size) if size.value as usize != limits::CLIENT_HELLO_BYTES => {
            let message = format!("only {} is supported; leave it unset", limits::CLIENT_HELLO_BYTES);
            Err(Fault::of("max_client_hello_size", message))
        }
        _ => Ok(Inspector::Tls),
    }
}
