//! Opaque bytes and filter chains.

use super::{access_log, duration, name};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use std::net::IpAddr;
use weir_model::{
    ChainKind, ChainMatch, FilterChain, FilterChains, HttpListener, Inspect, IpNet, RouteSource, SourceType,
    TcpListener, TcpTarget, limits,
};

/// Opaque bytes on a listener.
pub fn tcp_listener() -> impl Strategy<Value = TcpListener> {
    let target = (name(), 1..1_000_000u32).prop_map(|(cluster, weight)| TcpTarget { cluster, weight });
    let targets =
        prop_oneof![name().prop_map(|cluster| vec![TcpTarget { cluster, weight: 1 }]), vec(target, 1..4),];
    let times = (of(duration()), of(duration()));
    (targets, 1..=limits::TCP_ATTEMPTS_MOST, times, any::<bool>(), of(access_log())).prop_map(
        |(targets, attempts, (idle_timeout, max_duration), hash_source, access_log)| TcpListener {
            targets,
            attempts,
            idle_timeout,
            max_duration,
            hash_source,
            access_log,
        },
    )
}

/// Filter chains of a listener with an address, of `http` and bytes.
pub(super) fn chains(
    http: impl Strategy<Value = HttpListener> + 'static,
) -> impl Strategy<Value = Box<FilterChains>> {
    // Routes have a place of their own in other listeners.
    let routes = || RouteSource::Rds("routes".to_owned());
    let http = http.prop_map(move |http| HttpListener { routes: routes(), filters: None, ..http }).boxed();
    let kind = || {
        let http = http.clone().prop_map(|http| ChainKind::Http(Box::new(http)));
        prop_oneof![3 => tcp_listener().prop_map(ChainKind::Tcp), 1 => http]
    };
    let chain = ("[a-z]{0,5}", chain_match(), kind()).prop_map(|(name, matches, kind)| FilterChain {
        name,
        matches,
        kind,
    });
    let inspect = (any::<[bool; 3]>(), duration()).prop_map(|([tls, http, go_on], wait)| Inspect {
        tls: tls || !http,
        http,
        wait,
        go_on,
    });
    (vec(chain, 1..4), of(kind()), inspect).prop_map(|(chains, otherwise, inspect)| {
        // Without it these would be no chains but one.
        let inspect = Some(Inspect { tls: true, ..inspect });
        Box::new(FilterChains { inspect, chains, otherwise })
    })
}

/// Which connections a chain takes.
pub fn chain_match() -> impl Strategy<Value = ChainMatch> {
    let host = "(\\*\\.)?[a-z]{1,3}(\\.[a-z]{1,3}){0,2}";
    let transport = prop_oneof![Just(""), Just("tls"), Just("raw_buffer")].prop_map(str::to_owned);
    let source_type = prop_oneof![Just(SourceType::Any), Just(SourceType::Local), Just(SourceType::External)];
    let port = || 1..=u16::MAX;
    let nets = || vec(net(), 0..3);
    (
        (of(port()), nets(), vec(host, 0..3)),
        (transport, vec("[a-z0-9/.]{1,8}", 0..3)),
        (nets(), source_type, nets(), vec(port(), 0..3)),
    )
        .prop_map(|((destination_port, destinations, server_names), (transport, protocols), source)| {
            let (direct_sources, source_type, sources, source_ports) = source;
            ChainMatch {
                destination_port,
                destinations,
                server_names,
                transport,
                application_protocols: protocols,
                direct_sources,
                source_type,
                sources,
                source_ports,
            }
        })
}

fn net() -> impl Strategy<Value = IpNet> {
    (any::<IpAddr>(), 0..=128u8).prop_map(|(address, length)| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        IpNet::new(address, length.min(most)).expect("not too long").trunc()
    })
}
